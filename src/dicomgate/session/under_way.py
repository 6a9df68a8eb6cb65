"""Instances that are being stored right now, in all associations of one gate.

Two stores of one instance may be under way at once, neither of them on disk yet. Whoever completes first is noted here,
and the other is judged by that. In: who begins, is let through, and has ended; out: what counts as known.
"""

from collections.abc import Sequence

from dicomgate.audit.instance import Instance, Version


class _Stores:
    __slots__ = ("count", "let_through")

    def __init__(self) -> None:
        self.count = 0
        self.let_through: list[Version] = []


class UnderWay:
    """For one thread. An instance is held for as long as one of its stores is: none begins before it has been entered,
    and none ends before what came of it is on disk, so what the store on disk says is never too old."""

    def __init__(self) -> None:
        self._stores: dict[Instance, _Stores] = {}

    @property
    def instances(self) -> int:
        """How many there are."""
        return len(self._stores)

    def enter(self, instance: Instance) -> None:
        """A store begins. Only what is read from disk after this counts for it."""
        self._stores.setdefault(instance, _Stores()).count += 1

    def known(self, instance: Instance, on_disk: Version | None) -> Version | None:
        """The newest version: one that was let through and has not failed, or else that on disk.

        Also for a store that has left already, because it was answered before its end.
        """
        stores = self._stores.get(instance)
        return stores.let_through[-1] if stores is not None and stores.let_through else on_disk

    def let_through(self, instance: Instance, version: Version) -> None:
        """The archive is about to get the end of it; until it has said no, it counts as known."""
        self._stores[instance].let_through.append(version)

    def leave(self, instance: Instance, version: Version | None = None) -> None:
        """A store has ended, and nothing of it is to be remembered; `version` is what it had been let through with."""
        stores = self._stores[instance]
        if version is not None:
            stores.let_through.remove(version)
        self._count_down(instance, stores)

    def settled(self, instances: Sequence[Instance]) -> None:
        """What came of these stores is on disk. Those of an earlier gate, or unknown ones, do not matter."""
        for instance in instances:
            if (stores := self._stores.get(instance)) is not None:
                self._count_down(instance, stores)

    def _count_down(self, instance: Instance, stores: _Stores) -> None:
        stores.count -= 1
        if not stores.count:
            del self._stores[instance]
