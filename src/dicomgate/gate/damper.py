"""Refusals at the door can come by the thousand a second; their records must not fill the disk.

The first few of a kind in a while are kept one by one; the rest are counted, and the count is kept.
"""

from collections.abc import Sequence

from dicomgate.audit.record import Event, Record

_KEPT_SINGLY = 20
_KEPT_OF_ASSOCIATIONS = 100
"""A refused A-ASSOCIATE-RQ tells more (which titles are tried), and costs who sends it more."""
_WINDOW = 10.0
_KINDS = 4096
"""Kinds (address and rule) told apart within one window; more are lumped together."""

_MOST = {Event.CONNECTION_REFUSED: _KEPT_SINGLY, Event.ASSOCIATION_REFUSED: _KEPT_OF_ASSOCIATIONS}


class Damper:
    """Thin out `connection_refused` and `association_refused`. Every other record passes untouched."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str | None, str | None], int] = {}
        self._last: dict[tuple[str | None, str | None], Record] = {}
        self._since = 0.0

    def thin(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records to keep now."""
        record = records[-1]
        most = _MOST.get(record.event)
        if most is None:
            return records
        kind = (record.address, record.rule)
        if kind not in self._seen and len(self._seen) >= _KINDS:
            kind = (None, record.rule)
        seen = self._seen.get(kind, 0) + 1
        self._seen[kind] = seen
        if seen <= most:
            return records
        self._last[kind] = record
        return ()

    def sweep(self, now: float) -> list[Record]:
        """At the end of a window: one record for each kind that was thinned out, with how many it stands for."""
        if now - self._since < _WINDOW:
            return []
        self._since = now
        summary = [
            record._replace(
                address=kind[0],
                port=None,
                detail={"repeated": self._seen[kind] - _MOST[record.event], "seconds": _WINDOW},
            )
            for kind, record in self._last.items()
        ]
        self._seen.clear()
        self._last.clear()
        return summary
