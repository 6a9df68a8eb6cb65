"""Who is held off, how hard, and until when; and whom nobody but a human may hold off. Pure, times since 1970."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from dicomgate.detect.model import Rung, Subject, SubjectKind
from dicomgate.facts import Address
from dicomgate.policy.model import AeTitlePattern, Networks, Rules


@dataclass(frozen=True, slots=True)
class Ban:
    """`rung` is DELAY, CAP, REFUSE or BAN. `origin` is the detector, or `command` when a human placed it.

    `identifier` has eight characters. `lifted` is when a human ended it before `until`.
    """

    identifier: str
    subject: Subject
    rung: Rung
    since: float
    until: float
    origin: str
    reason: str
    lifted: float | None = None

    @property
    def automatic(self) -> bool:
        return self.origin != COMMAND

    def in_force(self, time: float) -> bool:
        return self.lifted is None and self.since <= time < self.until


COMMAND = "command"
"""The origin of what a human placed."""


@dataclass(frozen=True, slots=True)
class Spared:
    """Parties that no detector may hold off: an automatic ban does not hit them, whenever it was placed.

    `networks`: addresses of never-block peers, of archives, and of load balancers. `parties`: titles of never-block
    peers, each with its networks.
    """

    networks: tuple[Networks, ...] = ()
    parties: tuple[tuple[tuple[AeTitlePattern, ...], Networks], ...] = ()

    @classmethod
    def of(cls, rules: Rules, senders: Iterable[Networks] = ()) -> "Spared":
        """`senders` are the load balancers whose PROXY headers are read."""
        peers = [peer for peer in rules.peers if peer.never_block]
        return cls(
            (*(peer.networks for peer in peers), *(archive.networks for archive in rules.archives), *senders),
            tuple((peer.ae_titles, peer.networks) for peer in peers),
        )

    def address(self, address: Address) -> bool:
        return any(address in networks for networks in self.networks)

    def party(self, address: Address, calling_ae_title: str) -> bool:
        return self.address(address) or any(
            address in networks and any(title.matches(calling_ae_title) for title in titles)
            for titles, networks in self.parties
        )

    def spares(self, subject: Subject, address: str | None, calling_ae_title: str | None) -> bool:
        """May no detector answer this? `address` and `calling_ae_title` are those of what was found."""
        own = _address(subject.value) if subject.kind is SubjectKind.ADDRESS else None
        if own is not None and self.address(own):
            return True
        seen = _address(address)
        return seen is not None and self.party(seen, calling_ae_title or "")


def _address(text: str | None) -> Address | None:
    try:
        return None if text is None else ip_address(text)
    except ValueError:
        return None


class BanList:
    """The bans in force, found by what is known of a caller. A stricter one comes first."""

    def __init__(self, bans: Iterable[Ban] = (), spared: Spared | None = None) -> None:
        self.spared = spared or Spared()
        self._bans: dict[str, Ban] = {}
        self._by_subject: dict[Subject, list[Ban]] = {}
        for ban in bans:
            self.place(ban)

    def __len__(self) -> int:
        return len(self._bans)

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._bans

    def place(self, ban: Ban) -> None:
        """One with the same identifier is replaced."""
        self.drop(ban.identifier)
        self._bans[ban.identifier] = ban
        self._by_subject.setdefault(ban.subject, []).append(ban)

    def drop(self, identifier: str) -> None:
        old = self._bans.pop(identifier, None)
        if old is not None:
            rest = [ban for ban in self._by_subject[old.subject] if ban.identifier != identifier]
            if rest:
                self._by_subject[old.subject] = rest
            else:
                del self._by_subject[old.subject]

    def values(self, kind: SubjectKind) -> set[str]:
        """Of which parties of this kind anything is known."""
        return {subject.value for subject in self._by_subject if subject.kind is kind}

    def covering(self, ban: Ban, time: float) -> Ban | None:
        """One that holds the same party off already, at least as hard and as long."""
        found = self._by_subject.get(ban.subject, ())
        holding = [each for each in found if each.in_force(time) and each.rung >= ban.rung and each.until >= ban.until]
        return max(holding, key=lambda each: (each.rung, each.until), default=None)

    def of_address(self, address: Address, time: float) -> Ban | None:
        """What holds at the door, where nothing else is known."""
        found = self._by_subject.get(Subject(SubjectKind.ADDRESS, str(address)))
        if found is None:
            return None
        return self._strictest(found, time, self.spared.address(address))

    def of_party(
        self, address: Address, calling_ae_title: str, user: str | None, certificate: str | None, time: float
    ) -> Ban | None:
        """What holds for an association. `certificate` is its SHA-256 in lower-case hexadecimal."""
        if not self._bans:
            return None
        claims = (
            (SubjectKind.ADDRESS, str(address)),
            (SubjectKind.AE_TITLE, calling_ae_title),
            (SubjectKind.USER, user),
            (SubjectKind.CERTIFICATE, certificate),
        )
        found = [ban for kind, value in claims if value for ban in self._by_subject.get(Subject(kind, value), ())]
        return self._strictest(found, time, bool(found) and self.spared.party(address, calling_ae_title))

    @staticmethod
    def _strictest(bans: Iterable[Ban], time: float, spared: bool) -> Ban | None:
        holding = [ban for ban in bans if ban.in_force(time) and not (spared and ban.automatic)]
        return max(holding, key=lambda ban: (ban.rung, ban.until), default=None)
