"""A real gate with an archive driven by hand, an honest one, and an innocent who must notice nothing.

In: a folder and settings; out: `House`, with the gate's records read straight from its store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from dicomgate.audit.record import Record
from dicomgate.store.database import open_store
from dicomgate.store.reader import search
from lab.gate import Gate, running_gate
from lab.process import Address, wait_until
from system.bystanders import HonestArchive, Innocent
from system.raw_archive import SECONDS, RawArchive, Wire, dial, established

STATE = "sqlite:///gate.db"
RULES = """
[gate]
name = "door"
state = "{state}"
{gate}

[limits]
{limits}

[audit]
{audit}

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{main}"
max_associations = 10000

[[archive]]
name = "honest"
ae_title = "HONEST"
address = "{honest}"
max_associations = 10000

[[peer]]
name = "ct"
ae_titles = ["CT1"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo", "store", "find", "get"]
archive = ["main", "honest"]

[[peer]]
name = "innocent"
ae_titles = ["INNOCENT"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo"]
archive = "honest"
"""
"""`{gate}`, `{limits}` and `{audit}` take further lines; more tables may be put behind it."""


class Trail:
    """The records of a gate, also while it writes."""

    def __init__(self, folder: Path, state: str = STATE) -> None:
        self._engine = open_store(state, folder, read_only=True)

    def records(self, **equal: object) -> list[Record]:
        """Those with these values, oldest first. `address` and `event` are asked of the store, the rest here."""
        asked = {name: value for name, value in equal.items() if name in ("address", "event")}
        found = search(self._engine, **asked)  # type: ignore[arg-type]
        return [r for r in found if all(getattr(r, name) == value for name, value in equal.items())]

    def wait_for(self, **equal: object) -> Record:
        """The newest of them, once there is one."""
        found: list[Record] = []

        def there() -> bool:
            found[:] = self.records(**equal)
            return bool(found)

        wait_until(there, SECONDS, f"a record with {equal}")
        return found[-1]


def _addresses() -> Iterator[str]:
    return (f"127.1.{number // 250}.{number % 250 + 1}" for number in count())


@dataclass(frozen=True, slots=True)
class House:
    """Everything that runs."""

    gate: Gate
    archive: RawArchive
    honest: HonestArchive
    innocent: Innocent
    trail: Trail
    wires: list[Wire] = field(default_factory=list)
    """What was dialled, to be closed at the end if a test failed to."""
    _callers: Iterator[str] = field(default_factory=_addresses)

    def dial(self, source: str | None = None, receive_buffer: int | None = None) -> Wire:
        """A connection to the gate; each from an address of its own, since caps and thinned-out records go by it."""
        wire = dial(self.gate.address("outside"), source or next(self._callers), receive_buffer)
        self.wires.append(wire)
        return wire

    def association(self) -> tuple[Wire, Wire]:
        """The client's and the archive's end of an association that both now can spoil."""
        client = self.dial()
        self.wires.append(established(client, self.archive))
        return client, self.wires[-1]

    def record_of(self, wire: Wire, **equal: object) -> Record:
        """What was recorded about this client, once it is; and there is a line in the log about it."""
        record = self.trail.wait_for(address=wire.here.host, port=wire.here.port, **equal)
        key = record.refusal_id or record.association
        wait_until(lambda: str(key) in self.gate.log, SECONDS, f"a line in the log with {key}")
        return record

    def refusal_of(self, wire: Wire, **equal: object) -> Record:
        """As record_of(), for what has a refusal ID and a reason."""
        record = self.record_of(wire, **equal)
        assert record.refusal_id, record
        assert record.reason, record
        return record

    def memory(self) -> int:
        """Resident bytes of the gate."""
        return int(psutil.Process(self.gate.process.popen.pid).memory_info().rss)


@contextmanager
def house(
    folder: Path, *, gate: str = "", limits: str = "", audit: str = "", more: str = "", state: str = STATE
) -> Iterator[House]:
    """Start it all; stop it at the end, when the innocent must still be undisturbed.

    `more` are tables; `{main}` and `{honest}` in them become the addresses of the archives.
    """
    with RawArchive() as archive, HonestArchive() as honest:
        text = rules(archive.address, honest.address, gate=gate, limits=limits, audit=audit, state=state)
        text += more.replace("{main}", str(archive.address)).replace("{honest}", str(honest.address))
        with running_gate(folder, text) as running, Innocent(running.address("outside")) as innocent:
            door = House(running, archive, honest, innocent, Trail(folder, state))
            try:
                yield door
                innocent.is_undisturbed()
            finally:
                for wire in door.wires:
                    wire.close()


def rules(
    main: Address, honest: Address, *, gate: str = "", limits: str = "", audit: str = "", state: str = STATE
) -> str:
    """The configuration of a house with these archives."""
    return RULES.format(gate=gate, limits=limits, audit=audit, main=main, honest=honest, state=state)
