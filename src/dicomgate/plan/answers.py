"""TOML values of an answers file in; Answers out, or every mistake in it at once. Pure.

The questions are those of the advisory: who needs access from where, with which addresses, what can their software do,
and where is the archive.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import Field, PlainValidator, ValidationError

from dicomgate.channel.model import ChannelKind, Termination
from dicomgate.config import units, words
from dicomgate.config.overlap import Span, covers, overlap, spans
from dicomgate.config.problem import ConfigurationError, Problem, Severity, WrongValueError, listed, shown, shown_key
from dicomgate.config.schema import FixedNetworks, Name, Table, Title
from dicomgate.policy.model import Endpoint, Networks, Verb


class Where(StrEnum):
    """Where the archive stands, seen from the site that plans."""

    HERE = "here"
    ELSEWHERE = "elsewhere"


class From(StrEnum):
    INSIDE = "inside"
    OUTSIDE = "outside"


class Can(StrEnum):
    """What a party's software can do. `unknown` is treated as no, and becomes a question to its vendor."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Directory(StrEnum):
    """Where the staff's user accounts are kept."""

    NONE = "none"
    LDAP = "ldap"
    OIDC = "oidc"
    KERBEROS = "kerberos"
    SAML = "saml"


def _word(kind: type[StrEnum]) -> PlainValidator:
    return PlainValidator(words.one_of({word.value: word for word in kind}))


def _endpoint(value: object) -> Endpoint:
    place = units.endpoint(value)
    words.address(place.host)
    return place


Ability = Annotated[Can, _word(Can)]
Literal = Annotated[Endpoint, PlainValidator(_endpoint)]
Host = Annotated[IPv4Address | IPv6Address, PlainValidator(words.address)]


class ArchiveAnswers(Table):
    """`[archive]`: what is to be protected."""

    where: Annotated[Where, _word(Where)] = Field(description="Where does the archive stand: here or elsewhere?")
    ae_title: Title = Field(description="What is its AE title?")
    address: Literal = Field(description="At which address and port does it listen?")
    tls: Ability = Field(default=Can.UNKNOWN, description="Can the archive itself speak TLS: yes, no or unknown?")


class SiteAnswers(Table):
    """`[site]`: the place that plans, and the machine the gate will run on."""

    name: Name = Field(description="What is your site called?")
    gate: Host = Field(description="Which inside address will the gate have?")
    networks: FixedNetworks = Field(description="Which networks does your site have?")
    public: Host | None = Field(default=None, description="Which static public address does it have, if any?")
    imaging: FixedNetworks | None = Field(default=None, description="Which of its networks hold imaging devices only?")
    guests: FixedNetworks | None = Field(
        default=None, description="Which of its networks must never speak DICOM: guests, office?"
    )
    administrators: FixedNetworks | None = Field(default=None, description="From where are its machines administered?")


class ElsewhereAnswers(Table):
    """`[elsewhere]`: the place where the archive stands, when that is not here."""

    name: Name = Field(description="What is the place called where the archive stands?")
    networks: FixedNetworks = Field(description="Which networks does it have?")
    public: Host | None = Field(default=None, description="Which static public address does it have, if any?")
    gate: Host | None = Field(default=None, description="Which inside address can a gate have there, if any?")
    channel: Ability = Field(description="Can a tunnel be made between the two sites: yes, no or unknown?")
    kind: Annotated[ChannelKind, _word(ChannelKind)] = Field(
        default=ChannelKind.IPSEC, description="Which kind of tunnel: ipsec or wireguard?"
    )
    termination: Annotated[Termination, _word(Termination)] = Field(
        default=Termination.GATE_HOST, description="Where does it end here: gate-host, separate-host or router?"
    )


class PartyAnswers(Table):
    """`[[party]]`: somebody who needs access: a device, a reading room, an institution, a group of users."""

    name: Name = Field(description="What is it called?")
    origin: Annotated[From, _word(From)] = Field(
        alias="from", description="From where does it come: inside or outside?"
    )
    ae_titles: list[Title] = Field(min_length=1, description="Which AE titles does it call itself?")
    networks: FixedNetworks | None = Field(
        default=None, description="Which static addresses does it call from? Absent: they change."
    )
    does: Annotated[list[Annotated[Verb, _word(Verb)]], Field(min_length=1)] = Field(
        description=f"What does it need to do: {', '.join(Verb)}?"
    )
    tls: Ability = Field(default=Can.UNKNOWN, description="Can it speak TLS: yes, no or unknown?")
    certificate: Ability = Field(default=Can.UNKNOWN, description="Can it show a certificate of its own?")
    identity: Ability = Field(default=Can.UNKNOWN, description="Can it send a user's identity (PS3.7 D.3.3.7)?")
    listens: Literal | None = Field(default=None, description="At which address and port does it listen, if at all?")


class Answers(Table):
    """The whole file."""

    site: SiteAnswers = Field(description="Table [site]: name, gate, networks, …")
    archive: ArchiveAnswers = Field(description="Table [archive]: where, ae_title, address, tls.")
    elsewhere: ElsewhereAnswers | None = Field(
        default=None, description="Table [elsewhere], when the archive is there."
    )
    directory: Annotated[Directory, _word(Directory)] = Field(
        default=Directory.NONE, description="Where are the staff's accounts: none, ldap, oidc, kerberos or saml?"
    )
    party: list[PartyAnswers] = Field(default=[], description="Tables [[party]]: everybody who needs access.")


TABLES: dict[str, type[Table]] = {
    "site": SiteAnswers,
    "archive": ArchiveAnswers,
    "elsewhere": ElsewhereAnswers,
    "party": PartyAnswers,
}


def read(data: Mapping[str, object], file: str) -> Answers:
    """ConfigurationError holds everything that is wrong, with the key where it stands."""
    try:
        answers = Answers.model_validate(data)
    except ValidationError as wrong:
        raise ConfigurationError(_problems(wrong, file)) from None
    contradictions = _contradictions(answers, file)
    if contradictions:
        raise ConfigurationError(contradictions)
    return answers


def _problems(wrong: ValidationError, file: str) -> list[Problem]:
    found = []
    for detail in wrong.errors(include_url=False):
        key = ".".join(str(step + 1) if isinstance(step, int) else shown_key(step) for step in detail["loc"])
        match detail["type"], detail.get("ctx", {}).get("error"):
            case "extra_forbidden", _:
                text, hint = "unknown key", f"known here: {listed(_known(detail['loc'][:-1]))}"
            case "missing", _:
                text, hint = "expected an answer, but it is missing", "docs/howto/plan.md shows a whole file"
            case "value_error", WrongValueError() as mistake:
                text, hint = mistake.text, mistake.hint
            case _:
                text = f"expected another kind of value, came {shown(detail['input'])}"
                hint = "docs/howto/plan.md shows a whole file"
        found.append(Problem(file, key, Severity.ERROR, text, hint))
    return found


def _known(path: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that a path leads to."""
    model: type[Table] = Answers
    for step in path:
        if isinstance(step, str):
            model = TABLES[step]
    return [found.alias or key for key, found in model.model_fields.items()]


def _contradictions(answers: Answers, file: str) -> list[Problem]:
    return [Problem(file, key, Severity.ERROR, text, hint) for key, text, hint in _found(answers)]


def _found(answers: Answers) -> Iterator[tuple[str, str, str]]:
    """Answers that cannot both be true: key, what is wrong, hint."""
    site, archive, elsewhere = answers.site, answers.archive, answers.elsewhere
    own = _spans(site.networks)
    if archive.where is Where.ELSEWHERE and elsewhere is None:
        yield "elsewhere", "expected this table, because the archive is elsewhere", "write [elsewhere]"
    if archive.where is Where.HERE and elsewhere is not None:
        yield "elsewhere", "expected no such table, because the archive is here", "remove it, or correct archive.where"
    if not covers(own, _spans([str(site.gate)])):
        yield "site.gate", f"expected an address of the site, came {site.gate}", "the gate stands inside"
    if archive.where is Where.HERE and not covers(own, _spans([archive.address.host])):
        yield "archive.address", f"expected an address of the site, came {archive.address}", "or is it elsewhere?"
    for key, networks in (("imaging", site.imaging), ("guests", site.guests)):
        if networks and not covers(own, _spans(networks)):
            yield f"site.{key}", "expected networks of the site, came others", "add them to site.networks"
    if overlap(_spans(site.imaging or []), _spans(site.guests or [])):
        yield "site.guests", "expected networks that hold no imaging devices, came some of site.imaging", "split them"
    if elsewhere is not None:
        yield from _found_elsewhere(answers, elsewhere)
    yield from _found_parties(answers)


def _found_elsewhere(answers: Answers, elsewhere: ElsewhereAnswers) -> Iterator[tuple[str, str, str]]:
    there = _spans(elsewhere.networks)
    if elsewhere.name == answers.site.name:
        yield "elsewhere.name", "expected another name than the site's", "rename one of them"
    if overlap(there, _spans(answers.site.networks)):
        yield "elsewhere.networks", "expected networks that the site has not, came some of site.networks", "renumber"
    if elsewhere.gate is not None and not covers(there, _spans([str(elsewhere.gate)])):
        yield "elsewhere.gate", f"expected an address of elsewhere.networks, came {elsewhere.gate}", "correct one"
    behind = elsewhere.gate is not None or elsewhere.channel is Can.YES
    if behind and not covers(there, _spans([answers.archive.address.host])):
        yield (
            "archive.address",
            f"expected an address of elsewhere.networks, came {answers.archive.address}",
            "write the archive's own address there, not a public one",
        )


def _found_parties(answers: Answers) -> Iterator[tuple[str, str, str]]:
    names = [party.name for party in answers.party]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield "party.name", f"expected each name once, came {shown(name)} twice", "rename one of them"
    for party in answers.party:
        key, networks = f"party[{party.name}]", _spans(party.networks or [])
        if answers.archive.ae_title in party.ae_titles:
            title = shown(answers.archive.ae_title)
            yield f"{key}.ae_titles", f"expected a title that is not the archive's, came {title}", "correct one of them"
        if party.origin is From.INSIDE and not covers(_spans(answers.site.networks), networks):
            yield f"{key}.networks", "expected addresses of the site, came others", "or does it come from outside?"
        if party.origin is From.OUTSIDE and overlap(_spans(answers.site.networks), networks):
            yield f"{key}.networks", "expected public addresses, came some of the site", "or does it come from inside?"
        if overlap(_spans(answers.site.guests or []), networks):
            yield f"{key}.networks", "expected no address of site.guests, came one", "guests never speak DICOM"


def _spans(networks: list[str]) -> tuple[Span, ...]:
    return spans(Networks.of(networks))
