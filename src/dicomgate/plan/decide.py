"""Answers in; the advisory's recommendation for them out: setup, who gets in by what proof, who cannot yet, and why.

Pure and deterministic. Each branch of the advisory is one function or one line of a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from dicomgate.plan.answers import Answers, Can, Directory, From, PartyAnswers, Where


class Setup(StrEnum):
    """The advisory's two setups, and what lies before and between them."""

    INTERNAL = "no exposure"
    """Nobody outside needs access and the archive is here: keep it inside."""
    POINT_TO_MULTIPOINT = "point-to-multipoint"
    """Users or institutions at many places."""
    SITE_TO_SITE = "site-to-site"
    """The archive is elsewhere, and only this site's own network uses it."""
    BOTH = "site-to-site, and point-to-multipoint for the others"


class Link(StrEnum):
    """How this site reaches an archive elsewhere."""

    CHANNEL = "channel"
    TLS_BETWEEN_GATES = "TLS between two gates"
    TLS_TO_ARCHIVE = "TLS to the archive"
    UNSAFE = "none that is safe"


class Proof(StrEnum):
    """What lets a party in, strongest first."""

    USER = "user"
    CERTIFICATE = "certificate"
    ADDRESS = "address"


class Ear(StrEnum):
    """Which listener of the gate a party calls."""

    OUTSIDE = "outside"
    INSIDE = "inside"
    INSIDE_TLS = "inside-tls"


@dataclass(frozen=True, slots=True)
class Admission:
    """A party that gets in: `why` is a sentence. `anywhere`: its addresses change."""

    party: PartyAnswers
    proof: Proof
    ear: Ear
    why: str
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A party that cannot be let in with what its software can do: why, and what would change that."""

    party: PartyAnswers
    why: str
    instead: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One recommendation of the advisory (`R0` to `R8`), what of it is done here, and why."""

    number: str
    name: str
    decision: str


@dataclass(frozen=True, slots=True)
class Advice:
    """`usable` is False when the archive cannot be reached safely: then no gate is configured.

    `segmented`: enough is known of the network to write segments.
    """

    answers: Answers
    setup: Setup
    link: Link | None
    admissions: tuple[Admission, ...]
    refusals: tuple[Refusal, ...]
    measures: tuple[Measure, ...]
    questions: tuple[str, ...]
    segmented: bool

    @property
    def exposed(self) -> bool:
        """Whether the gate accepts anybody from outside."""
        return any(admission.ear is Ear.OUTSIDE for admission in self.admissions)

    @property
    def usable(self) -> bool:
        return self.link is not Link.UNSAFE


def decide(answers: Answers) -> Advice:
    """The whole recommendation."""
    judged = [_judge(party, answers) for party in answers.party]
    setup, link = _setup(answers), _link(answers)
    admissions = tuple(each for each in judged if isinstance(each, Admission))
    return Advice(
        answers=answers,
        setup=setup,
        link=link,
        admissions=admissions,
        refusals=tuple(each for each in judged if isinstance(each, Refusal)),
        measures=tuple(_measures(answers, setup, link, admissions)),
        questions=tuple(_questions(answers)),
        segmented=_segmented(answers),
    )


def _setup(answers: Answers) -> Setup:
    outside = any(party.origin is From.OUTSIDE for party in answers.party)
    if answers.archive.where is Where.HERE:
        return Setup.POINT_TO_MULTIPOINT if outside else Setup.INTERNAL
    return Setup.BOTH if outside else Setup.SITE_TO_SITE


def _link(answers: Answers) -> Link | None:
    elsewhere = answers.elsewhere
    if elsewhere is None:
        return None
    callable_from_outside = elsewhere.public is not None or answers.site.public is not None
    if elsewhere.channel is Can.YES and callable_from_outside:
        return Link.CHANNEL
    if elsewhere.gate is not None and elsewhere.public is not None:
        return Link.TLS_BETWEEN_GATES
    if answers.archive.tls is Can.YES:
        return Link.TLS_TO_ARCHIVE
    return Link.UNSAFE


def _judge(party: PartyAnswers, answers: Answers) -> Admission | Refusal:
    return _inside(party, answers) if party.origin is From.INSIDE else _outside(party)


def _inside(party: PartyAnswers, answers: Answers) -> Admission | Refusal:
    if party.tls is Can.YES and party.certificate is Can.YES:
        why = "it can show a certificate, which proves the device better than its address"
        return Admission(party, Proof.CERTIFICATE, Ear.INSIDE_TLS, why, anywhere=party.networks is None)
    if party.networks is not None:
        return Admission(party, Proof.ADDRESS, Ear.INSIDE, "AE title and static address are all it can prove")
    return Refusal(
        party,
        "it can show no certificate, and its address changes: only its AE title would be left, which anybody can type",
        "give it a static address (a reservation in DHCP is enough)",
    )


def _outside(party: PartyAnswers) -> Admission | Refusal:
    if party.tls is not Can.YES:
        return Refusal(
            party,
            "it cannot speak TLS, and its data would cross the internet in clear",
            "put a gate of its own, or the end of a tunnel, at its site; or let it use other software",
        )
    moving = party.networks is None
    if party.identity is Can.YES:
        where = "from anywhere" if moving else "from its static addresses"
        return Admission(party, Proof.USER, Ear.OUTSIDE, f"its users say who they are, {where}, over TLS", moving)
    if party.certificate is Can.YES:
        why = "it sends no user identity, but shows a certificate of its own"
        return Admission(party, Proof.CERTIFICATE, Ear.OUTSIDE, why, moving)
    if not moving:
        why = "it proves neither user nor device, so that only its static addresses are let in, over TLS"
        return Admission(party, Proof.ADDRESS, Ear.OUTSIDE, why)
    return Refusal(
        party,
        "it has no static address, sends no user identity and shows no certificate: nothing tells it from a stranger",
        "software that can send a user identity or show a certificate; or a gate or tunnel at its side",
    )


def _segmented(answers: Answers) -> bool:
    return bool(answers.site.imaging or answers.site.guests) and answers.site.administrators is not None


def _measures(
    answers: Answers, setup: Setup, link: Link | None, admissions: tuple[Admission, ...]
) -> Iterator[Measure]:
    users = any(each.proof is Proof.USER for each in admissions)
    yield Measure("R0", "Is exposure needed?", _EXPOSURE[setup])
    yield Measure("R1", "User identity and IAM", _identity(answers, users))
    moving = [each.party.name for each in admissions if each.anywhere and each.ear is Ear.OUTSIDE]
    yield Measure(
        "R2",
        "Source addresses",
        "Every party is let in from its own addresses, or at least its own site, only."
        if not moving
        else f"By address where there are static ones; {', '.join(moving)}: from anywhere, by better proof.",
    )
    yield Measure("R3", "AE titles", "Each party by its own AE titles; whoever calls itself otherwise is refused.")
    yield Measure("R4", "Streaming reverse proxy", "The gate stands before the archive and judges each operation.")
    yield Measure("R5", "Site-to-site channel", _CHANNEL[link])
    tls = [each.party.name for each in admissions if each.ear is not Ear.INSIDE]
    plain = [each.party.name for each in admissions if each.ear is Ear.INSIDE]
    yield Measure(
        "R6",
        "TLS",
        " ".join(
            (
                f"For {', '.join(tls)}." if tls else "Nobody here can use it yet.",
                f"In clear, inside only: {', '.join(plain)}." if plain else "Nobody comes in clear.",
            )
        ),
    )
    yield Measure(
        "R7",
        "Segmentation",
        "Segments are written; put them on trial with dicomgate segment apply."
        if _segmented(answers)
        else "Not written: which networks hold imaging devices or guests, and from where are machines administered?",
    )
    yield Measure("R8", "Logging and monitoring", "Every decision is recorded; send the records to your own systems.")


def _identity(answers: Answers, users: bool) -> str:
    if not users:
        return "No party sends user identities; ask the vendors, because an AE title is no person."
    if answers.directory is Directory.NONE:
        return "Users of the gate itself: a user name and a strong passcode for each person, none shared."
    return f"Users of your own directory ({answers.directory}): who leaves there has left here, too."


_EXPOSURE = {
    Setup.INTERNAL: "No. Nobody outside needs access and the archive is here: keep it internal, and open nothing.",
    Setup.POINT_TO_MULTIPOINT: "Yes: parties outside need the archive. The gate is exposed, the archive never.",
    Setup.SITE_TO_SITE: "Not to the internet: the archive is elsewhere, but only your own network uses it.",
    Setup.BOTH: "Yes: the archive is elsewhere, and parties outside need it too. Only a gate is exposed.",
}
_CHANNEL: dict[Link | None, str] = {
    None: "Not needed: the archive is at your own site.",
    Link.CHANNEL: "Yes: the archive is reached through the tunnel only.",
    Link.TLS_BETWEEN_GATES: "Not possible: TLS with certificates between two gates, and their addresses, stand in.",
    Link.TLS_TO_ARCHIVE: "Not possible: TLS to the archive stands in; it must let in your public address only.",
    Link.UNSAFE: "Not possible, and nothing stands in: neither a gate there nor an archive with TLS.",
}


def _questions(answers: Answers) -> Iterator[str]:
    if answers.elsewhere is not None and answers.elsewhere.channel is Can.UNKNOWN:
        yield f"{answers.elsewhere.name}: can an IPsec (IKEv2) or WireGuard tunnel end there, and where?"
    if answers.archive.where is Where.ELSEWHERE and answers.archive.tls is Can.UNKNOWN:
        yield "archive: can it speak DICOM over TLS (BCP 195 profiles), on a port of its own?"
    yield "archive: can it be limited to associations from the gate's address?"
    for party in answers.party:
        for can, question in (
            (party.tls, "can it speak DICOM over TLS (BCP 195 profiles), and from which version on?"),
            (party.certificate, "can it show a client certificate that you issue?"),
            (party.identity, "can it send a user identity (PS3.7 D.3.3.7), and of which type?"),
        ):
            if can is Can.UNKNOWN:
                yield f"{party.name}: {question}"
