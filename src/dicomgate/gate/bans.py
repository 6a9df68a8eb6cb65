"""Who is held off at the doors and at the association of one gate, and who is sent away when a ban comes.

In: bans from detection, and from the store (also those of other gates and of commands). Out: refusals, aborts, records.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Protocol

from dicomgate.audit.record import Record
from dicomgate.audit.sink import Recorded
from dicomgate.detect.ban import Ban, BanList, Spared
from dicomgate.detect.model import Rung, SubjectKind
from dicomgate.detect.response import ban_record
from dicomgate.facts import Address
from dicomgate.policy.verdict import AssociationPermit, Deny
from dicomgate.wire.codes import Reject

RULE = "ban"
MOST = 10_000
"""Bans in one gate beyond which no detector places another: each is kept in memory and written to the store."""


class BanStore(Protocol):
    """Where bans are kept; never blocks its caller."""

    def place(self, ban: Ban) -> None: ...

    def recorded(self, identifier: str, ended: bool) -> None: ...


class BanEntry(Protocol):
    """A ban as the store has it, and which of its records are written."""

    @property
    def ban(self) -> Ban: ...

    @property
    def placed_recorded(self) -> bool: ...

    @property
    def ended_recorded(self) -> bool: ...


class Running(Protocol):
    """A connection that may have to go."""

    @property
    def address(self) -> Address: ...

    @property
    def permit(self) -> AssociationPermit | None: ...

    def send_away(self, why: str) -> None: ...


Push = Callable[[str, float], None]
"""Told an address and for how many seconds it is banned (0: not any more). Must not block."""


class Bans:
    """`running` are the connections there are; `write` keeps records; `wall` is the time in seconds since 1970.

    `push` is told of banned addresses while `firewall` is set.
    """

    def __init__(
        self,
        store: BanStore | None,
        running: Callable[[], Iterable[Running]],
        write: Callable[[Sequence[Record], Recorded | None], None],
        wall: Callable[[], float],
        push: Push | None = None,
        *,
        most: int = MOST,
    ) -> None:
        self._list = BanList()
        self._store = store
        self._running = running
        self._write = write
        self._wall = wall
        self._push = push
        self._most = most
        self._pushed: dict[str, float] = {}  # banned in the firewall, and until when
        self._pending: set[tuple[str, bool]] = set()
        self.firewall = push is not None
        self.cap = 1
        self.delay = 3.0

    def __len__(self) -> int:
        """How many are known here; those that are over count until the store has said so."""
        return len(self._list)

    @property
    def spared(self) -> Spared:
        return self._list.spared

    def heed(self, spared: Spared, *, firewall: bool) -> None:
        """Other parties are spared, or the firewall is to know more or less than before: at once, and there too."""
        self._list.spared = spared
        self.firewall = firewall
        for address in {*self._pushed, *self._list.values(SubjectKind.ADDRESS)}:
            self._tell_firewall(address)

    # -- questions -----------------------------------------------------------------------------------------

    def at_door(self, address: Address) -> Ban | None:
        """What holds for everything from this address."""
        return self._list.of_address(address, self._wall()) if len(self._list) else None

    def at_association(self, permit: AssociationPermit) -> Deny | None:
        """Is who was just admitted by the rules held off all the same?"""
        if not len(self._list):
            return None
        ban = self._of(permit)
        if ban is None or ban.rung < Rung.CAP:
            return None
        if ban.rung is Rung.CAP:
            others = sum(1 for each in self._running() if each.permit is not None and self._of(each.permit) == ban)
            if others < self.cap:
                return None
            why = f"{ban.subject} has {others} associations open and {self.cap} are allowed by ban {ban.identifier}"
            return Deny(RULE, why, Reject.LOCAL_LIMIT_EXCEEDED)
        return Deny(RULE, why_held(ban), Reject.NO_REASON)

    # -- changes -------------------------------------------------------------------------------------------

    def place(self, ban: Ban) -> Ban | None:
        """From detection: in force at once, on disk soon. The ban that holds from now on.

        That may be one that was there already and does as much for as long. None: there is no room for one more.
        """
        held = self._list.covering(ban, self._wall())
        if held is not None:
            return held
        if len(self._list) >= self._most:
            return None
        self._enforce(ban)
        if self._store is not None:
            self._store.place(ban)
        return ban

    def heard(self, entries: Sequence[BanEntry]) -> None:
        """From the store: what was placed or lifted, here or elsewhere, and what is over."""
        now = self._wall()
        for entry in entries:
            ban = entry.ban
            if ban.in_force(now):
                if ban.identifier not in self._list:
                    self._enforce(ban)
            elif ban.identifier in self._list:
                self._list.drop(ban.identifier)
                if ban.subject.kind is SubjectKind.ADDRESS:
                    self._tell_firewall(ban.subject.value)
            if not entry.placed_recorded:
                self._record(ban, now, ended=False)
            if not ban.in_force(now) and not entry.ended_recorded and now >= ban.since:
                self._record(ban, now, ended=True)

    def _enforce(self, ban: Ban) -> None:
        self._list.place(ban)
        if ban.rung is not Rung.BAN:
            return
        if ban.subject.kind is SubjectKind.ADDRESS:
            self._tell_firewall(ban.subject.value)
        now = self._wall()
        for each in tuple(self._running()):
            held = self._of(each.permit) if each.permit is not None else self._list.of_address(each.address, now)
            if held is not None and held.rung is Rung.BAN:
                each.send_away(why_held(held))

    def _tell_firewall(self, address: str) -> None:
        """What holds for this address now, if that is not what was told last."""
        if self._push is None:
            return
        now = self._wall()
        held = self._list.of_address(ip_address(address), now) if self.firewall else None
        until = held.until if held is not None and held.rung is Rung.BAN else 0.0
        told = self._pushed.get(address, 0.0)
        if until > now:
            self._pushed[address] = until
        else:
            self._pushed.pop(address, None)
        if until != told and max(until, told) > now:  # where its time is over, the firewall knows that by itself
            self._push(address, max(0.0, until - now))

    def _record(self, ban: Ban, now: float, *, ended: bool) -> None:
        key = (ban.identifier, ended)
        if key in self._pending:
            return
        self._pending.add(key)
        self._write((ban_record(ban, now, placed=not ended),), partial(self._recorded, key))

    def _recorded(self, key: tuple[str, bool], durable: bool) -> None:
        self._pending.discard(key)
        if durable and self._store is not None:
            self._store.recorded(*key)

    def _of(self, permit: AssociationPermit) -> Ban | None:
        facts = permit.facts
        certificate = facts.origin.certificate
        return self._list.of_party(
            facts.origin.address,
            facts.calling_ae_title,
            None if permit.principal is None else permit.principal.name,
            None if certificate is None else certificate.sha256,
            self._wall(),
        )


def why_held(ban: Ban) -> str:
    return f"{ban.subject} is held off: ban {ban.identifier} of {ban.origin}"
