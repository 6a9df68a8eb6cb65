"""The tables of the configuration file as pydantic models: plain TOML values in, typed values out.

Every field's description is its documentation and the hint of its type errors. A default is the strictest value.
What the tables say together is judged in crosscheck.py; what this version cannot do yet stands in unsupported.py.
"""

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, create_model

from dicomgate.channel.model import Authentication, ChannelKind, Start, Termination
from dicomgate.config import units, words
from dicomgate.config.problem import WrongValueError, shown
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.model import Rung
from dicomgate.detect.settings import DetectSettings, RuleMode
from dicomgate.gate.settings import ConnectionLimits, TlsProfile
from dicomgate.iam.settings import DeskLimits, GuardLimits
from dicomgate.policy.model import (
    AeTitlePattern,
    Assurance,
    CertificatePattern,
    Endpoint,
    Hours,
    Mode,
    OnExpiry,
    Refusals,
    Tamper,
    UpstreamIdentity,
    Verb,
)
from dicomgate.segment.model import OtherTraffic
from dicomgate.session.limits import SessionLimits
from dicomgate.store.settings import TrailSettings

KiB, MiB = 1024, 1024**2
DAY = 86400.0
LARGEST_COUNT = 1_000_000
LARGEST_NUMBER = 10**15


class Kind(StrEnum):
    """What a `[[verifier]]` asks."""

    LOCAL = "local"
    LDAP = "ldap"
    OIDC = "oidc"
    KERBEROS = "kerberos"
    SAML = "saml"


class SinkKind(StrEnum):
    """Where a `[[sink]]` sends records."""

    SYSLOG = "syslog"
    FHIR = "fhir"
    JSONL = "jsonl"
    ALERT = "alert"


class PlaintextPasscodes(StrEnum):
    """What becomes of a passcode that comes in clear."""

    REFUSE = "refuse"
    UNSAFE_ACCEPT = "unsafe-accept"


class Ocsp(StrEnum):
    """Whether the authority of a client certificate is asked if it still holds."""

    OFF = "off"
    REQUIRE = "require"


class ClientCertificate(StrEnum):
    """Whether a client has to show one."""

    REQUIRED = "required"
    OPTIONAL = "optional"


def whole_within(smallest: int, largest: int) -> Callable[[object], int]:
    def within(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise WrongValueError(
                f"expected a whole number from {smallest} to {largest}, came {shown(value)}",
                "write a number without quotes",
            )
        return value

    return within


class OnAuditFailure(StrEnum):
    REFUSE = "refuse"
    CONTINUE = "continue"


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_COUNT:
        raise WrongValueError(
            f"expected a whole number from 1 to {LARGEST_COUNT}, came {shown(value)}", "write a number without quotes"
        )
    return value


def size_within(smallest: int, largest: int) -> Callable[[object], int]:
    def within(value: object) -> int:
        found = units.size(value)
        if not smallest <= found <= largest:
            raise WrongValueError(
                f"expected a size from {smallest // KiB} KiB to {largest // KiB} KiB, came {shown(value)}",
                "choose a size within these bounds",
            )
        return found

    return within


def seconds_within(shortest: float, longest: float) -> Callable[[object], float]:
    def span(value: object) -> float:
        found = units.seconds(value)
        if not shortest <= found <= longest:
            raise WrongValueError(
                f"expected a time from {shortest:g} s to {longest:g} s, came {shown(value)}",
                "choose a time within these bounds",
            )
        return found

    return span


def _seconds(longest: float) -> Callable[[object], float]:
    def within(value: object) -> float:
        found = units.seconds(value)
        if not 0 < found <= longest:
            raise WrongValueError(
                f"expected a time above 0 s and up to {longest:.0f} s, came {shown(value)}",
                "choose a time within these bounds; no deadline can be switched off",
            )
        return found

    return within


def _keep(value: object) -> float:
    found = units.seconds(value)
    if not DAY <= found <= 36525 * DAY:
        raise WrongValueError(
            f"expected a time from 1 d to 36525 d, came {shown(value)}", "leave it out to keep records for ever"
        )
    return found


def one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _state(value: object) -> str:
    # The value may hold a password, so no message repeats it.
    hint = 'write "sqlite:///state/gate.db", a file relative to this one, or "sqlite:////…" for an absolute path'
    if not isinstance(value, str):
        raise WrongValueError(f"expected a database URL, came {shown(value)}", hint)
    if value.startswith("postgresql://"):
        return value
    path = value.removeprefix("sqlite:///")
    if path == value:
        raise WrongValueError("expected a database URL that begins with sqlite:/// or postgresql://", hint)
    if not path or path.endswith("/") or path.startswith(":memory:") or not path.isprintable() or "?" in path:
        raise WrongValueError("expected the path of a file after sqlite:///, without options", hint)
    return value


def _shared(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("valkey://"):
        raise WrongValueError(
            "expected a URL that begins with valkey://", 'write for instance "valkey://10.1.1.40:6379"'
        )
    return value


def _file_path(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise WrongValueError(
            "expected the path of a file, came an empty one", "relative paths are relative to this file"
        )
    return value


_ASSURANCES = {assurance.word: assurance for assurance in Assurance}

Name = Annotated[str, PlainValidator(words.name)]
Title = Annotated[str, PlainValidator(words.ae_title)]
NetworkTexts = list[Annotated[str, PlainValidator(words.network)]]
Verbs = list[Annotated[Verb, PlainValidator(words.one_of({verb.value: verb for verb in Verb}))]]
ChannelNames = Annotated[list[Name], BeforeValidator(one_or_many)]
FixedNetworks = Annotated[list[Annotated[str, PlainValidator(words.fixed_network)]], Field(min_length=1)]
HostName = Annotated[str, PlainValidator(words.host_name)]
IpAddress = Annotated[IPv4Address | IPv6Address, PlainValidator(words.address)]
Port = Annotated[int, PlainValidator(words.port)]
Place = Annotated[Endpoint, PlainValidator(units.endpoint)]
Places = Annotated[list[Place], BeforeValidator(one_or_many), Field(min_length=1)]
Count = Annotated[int, PlainValidator(_count)]
Seconds = Annotated[float, PlainValidator(_seconds(DAY))]
FilePath = Annotated[str, AfterValidator(_file_path)]
Profile = Annotated[TlsProfile, PlainValidator(words.one_of({word.value: word for word in TlsProfile}))]


class Table(BaseModel):
    """What all tables share: unknown keys are mistakes, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class GateTable(Table):
    """`[gate]`: the gate as a whole."""

    name: Name = Field(default="dicomgate", description="Name of this gate in its start, stop and reload records.")
    state: Annotated[str, PlainValidator(_state)] = Field(
        default="sqlite:///state/gate.db",
        description="Where records and durable state are kept: sqlite:///FILE (relative to this file) or postgresql://….",
    )
    shared: Annotated[str, PlainValidator(_shared)] | None = Field(
        default=None, description="valkey://… for counters and bans that many gates share."
    )
    mode: Annotated[Mode, PlainValidator(words.one_of({mode.value: mode for mode in Mode}))] = Field(
        default=Mode.ENFORCE,
        description="enforce, or monitor: judge and record, but let pass what a peer rule would refuse.",
    )
    refusals: Annotated[Refusals, PlainValidator(words.one_of({word.value: word for word in Refusals}))] = Field(
        default=Refusals.PRECISE,
        description="precise: a rejection gives the standard's reason; uniform: 1/1/1 in place of 1/1/3 and 1/1/7.",
    )
    find_refusal_status: Annotated[int, PlainValidator(words.failure_status)] = Field(
        default=0xC000,
        description="DIMSE status that answers a refused C-FIND: a failure of the classes 0xAxxx, 0xCxxx or 0x01xx.",
    )


class SniTable(Table):
    """One entry of `sni` in the `tls` of a `[[listener]]`."""

    names: Annotated[list[Annotated[str, PlainValidator(words.host_name)]], Field(min_length=1)] = Field(
        description="Array of the names that clients ask for."
    )
    certificate: FilePath = Field(description="File with the certificate chain that they are shown (PEM).")
    key: FilePath = Field(description="File with its private key (PEM).")


class ListenerTls(Table):
    """`tls` of a `[[listener]]`."""

    certificate: FilePath = Field(description="File with the gate's certificate chain (PEM).")
    key: FilePath = Field(description="File with its private key (PEM).")
    client_ca: FilePath | None = Field(
        default=None, description="File with the authorities that vouch for client certificates."
    )
    client_certificate: Annotated[
        ClientCertificate, PlainValidator(words.one_of({word.value: word for word in ClientCertificate}))
    ] = Field(
        default=ClientCertificate.REQUIRED,
        description="With client_ca: required, or optional: a client may come without a certificate.",
    )
    crl: FilePath | None = Field(
        default=None,
        description="File with a revocation list (PEM) of every authority in client_ca and of those in between.",
    )
    profile: Profile = Field(
        default=TlsProfile.BCP195, description="bcp195, modified-bcp195, tls13-only or unsafe-legacy."
    )
    ocsp: Annotated[Ocsp, PlainValidator(words.one_of({word.value: word for word in Ocsp}))] = Field(
        default=Ocsp.OFF,
        description="With client_ca: require asks the authority of each client certificate (OCSP) whether it still "
        "holds. No answer is no.",
    )
    ocsp_responder: Annotated[str, PlainValidator(words.http_url)] | None = Field(
        default=None, description='URL to ask with ocsp = "require". Absent: the one in the certificate.'
    )
    sni: list[SniTable] = Field(
        default=[],
        description="Array of tables with names, certificate and key: who asks for one of the names (SNI) is shown "
        "that certificate.",
    )


class ClientTls(Table):
    """`tls` towards a server that the gate calls."""

    ca: FilePath = Field(description="File with the authorities that vouch for the other side (PEM).")
    certificate: FilePath | None = Field(default=None, description="File with the gate's own certificate chain (PEM).")
    key: FilePath | None = Field(default=None, description="File with its private key (PEM).")


class CalledTls(ClientTls):
    """`tls` of an `[[archive]]` or a `[[peer]]`, which the gate calls."""

    name: Annotated[str, PlainValidator(words.host_name)] | None = Field(
        default=None, description="Name that its certificate must bear. Absent: the host of `address`."
    )
    spki: list[Annotated[str, PlainValidator(words.fingerprint)]] = Field(
        default=[], description="Array of SHA-256 fingerprints of public keys; its own must be one. Empty: any key."
    )
    profile: Profile = Field(
        default=TlsProfile.BCP195, description="bcp195, modified-bcp195, tls13-only or unsafe-legacy."
    )


class ListenerTable(Table):
    """`[[listener]]`: an address the gate accepts on."""

    name: Name = Field(description="Name of the listener; peers refer to it.")
    bind: Annotated[Endpoint, PlainValidator(units.bind)] = Field(
        description='Literal address and port to accept on, for instance "10.1.1.5:104"; port 0 takes any free port.'
    )
    networks: NetworkTexts = Field(
        default=[], description='Array of networks that may connect at all: addresses, CIDRs or "any". Empty: nobody.'
    )
    tls: ListenerTls | None = Field(
        default=None,
        description="Table: certificate, key, client_ca, client_certificate, crl, profile. Absent: plaintext.",
    )
    proxy_protocol_from: NetworkTexts = Field(
        default=[],
        description="Array of networks of the load balancers that must send a PROXY protocol header. Empty: none.",
    )
    verifiers: list[Name] | None = Field(
        default=None, description="Array of names of the verifiers it trusts to vouch for users. Absent: all."
    )
    plaintext_passcodes: Annotated[
        PlaintextPasscodes, PlainValidator(words.one_of({word.value: word for word in PlaintextPasscodes}))
    ] = Field(
        default=PlaintextPasscodes.REFUSE,
        description="What becomes of a passcode that comes without TLS: refuse, or unsafe-accept.",
    )
    channels: ChannelNames | None = Field(
        default=None,
        description="Array of channels, one of which must have carried the connection. Absent: not asked. "
        "Empty: nobody.",
    )


class ArchiveTable(Table):
    """`[[archive]]`: an upstream the gate protects."""

    name: Name = Field(description="Name of the archive; peers refer to it.")
    ae_title: Title = Field(description="AE title of the archive; clients call it, and that routes them to it.")
    address: Places = Field(description="HOST:PORT of the archive, or an array of them that are tried in this order.")
    networks: NetworkTexts | None = Field(
        default=None,
        description="Array of networks it may call back from. Absent: the literal addresses in `address`. Empty: none.",
    )
    calling_ae_titles: list[Title] | None = Field(
        default=None, description="Array of AE titles it may call back under. Absent: its `ae_title`."
    )
    calling_ae: Annotated[str | None, PlainValidator(words.calling_ae)] = Field(
        default=None,
        description='"keep" (default) shows the archive the client\'s own AE title; any other title replaces it.',
    )
    identity: Annotated[
        UpstreamIdentity, PlainValidator(words.one_of({word.value: word for word in UpstreamIdentity}))
    ] = Field(
        default=UpstreamIdentity.STRIP,
        description="What the archive learns of the user: strip (nothing), pass (the verified token or assertion), "
        "mint (a token signed by the gate), map (calling_ae_map), or login (the token of `dicomgate login`).",
    )
    calling_ae_map: Annotated[tuple[tuple[str, str, str], ...], PlainValidator(words.calling_ae_map)] = Field(
        default=(),
        description='With identity = "map": table of "user:NAME" or "role:NAME" to the calling AE title that the '
        "archive sees. Users go before roles; else calling_ae holds.",
    )
    tls: CalledTls | None = Field(
        default=None, description="Table: ca, certificate, key, name, spki, profile. Absent: plaintext."
    )
    certificates: list[Annotated[CertificatePattern, PlainValidator(words.certificate)]] | None = Field(
        default=None,
        description="Array of what its certificate is recognised by when it calls back: dns:…, uri:…, sha256:… or "
        "spki:…. One must fit. Absent: no certificate is asked for. Empty: it may not call back.",
    )
    tamper: Annotated[Tamper, PlainValidator(words.one_of({word.value: word for word in Tamper}))] = Field(
        default=Tamper.OFF,
        description="What is done about a C-STORE with other content for a SOP instance that is already stored: "
        "off (default; nothing is digested), alert, or refuse.",
    )
    max_associations: Count = Field(default=100, description="Most associations open to this archive at the same time.")


class PeerTable(Table):
    """`[[peer]]`: a known DICOM party and what it may do. The first peer that matches wins, in file order."""

    name: Name = Field(description="Name of the peer in rules and records.")
    ae_titles: list[Annotated[AeTitlePattern, PlainValidator(words.ae_title_pattern)]] = Field(
        default=[], description="Array of AE titles it calls itself; * and ? are wildcards. Empty: matches nobody."
    )
    networks: NetworkTexts = Field(
        default=[], description='Array of networks it calls from: addresses, CIDRs or "any". Empty: matches nobody.'
    )
    listeners: list[Name] | None = Field(
        default=None, description="Array of names of the listeners it may use. Absent: every listener. Empty: none."
    )
    assurance: Annotated[Assurance, PlainValidator(words.one_of(_ASSURANCES))] = Field(
        default=Assurance.USER,
        description="Proof that is required: user (default), device, or address (AE title and network only).",
    )
    certificates: list[Annotated[CertificatePattern, PlainValidator(words.certificate)]] | None = Field(
        default=None,
        description="Array of what its certificate is recognised by: dns:…, uri:…, sha256:… or spki:…. One must fit. "
        "Absent: no certificate is asked for. Empty: matches nobody.",
    )
    channels: ChannelNames | None = Field(
        default=None,
        description="Array of channels, one of which must have carried its connection; that proves a device, too. "
        "Absent: not asked. Empty: matches nobody.",
    )
    may: Verbs = Field(
        default=[],
        description=f"Array of verbs it may use: {', '.join(Verb)}. Empty: nothing.",
    )
    move_to: list[str] = Field(
        default=[], description='Array of destinations for its C-MOVE: AE titles, peer names or "self". Empty: none.'
    )
    archive: Annotated[list[Name], BeforeValidator(one_or_many)] | None = Field(
        default=None, description="Name of the archive it may reach, or an array of names. Absent: the only archive."
    )
    address: Place | None = Field(
        default=None, description="HOST:PORT where it listens, if the archive may call it back."
    )
    tls: CalledTls | None = Field(
        default=None,
        description="Table: ca, certificate, key, name, spki, profile; how `address` is called. Absent: plaintext.",
    )
    sop_classes: list[Annotated[str, PlainValidator(words.sop_class)]] | None = Field(
        default=None,
        description="Array of SOP classes (UIDs or keywords such as CTImageStorage) it is limited to. Absent: all.",
    )
    transfer_syntaxes: list[Annotated[str, PlainValidator(words.transfer_syntax)]] | None = Field(
        default=None,
        description="Array of transfer syntaxes (UIDs or keywords such as JPEG2000Lossless) it is limited to. "
        "Absent: all that are not off by default.",
    )
    verifiers: list[Name] | None = Field(
        default=None,
        description="Array of names of the verifiers that may vouch for its users. Absent: all. Written for a peer of "
        "lower assurance: an identity that is offered must be true.",
    )
    username_roles: list[Name] | None = Field(
        default=None,
        description="Array of roles of a user whom it merely names (identity type 1), which a proven device may. "
        "Absent: such users are refused.",
    )
    max_associations: Count | None = Field(
        default=None,
        description="Most associations of this peer at the same time. Absent: limits.associations_per_peer.",
    )
    never_block: bool = Field(
        default=False,
        description="true: no detector may hold this peer off, nor any address of its networks; only a command may.",
    )
    corrections: bool = Field(
        default=False,
        description="true: it may replace the content of a stored SOP instance, which is recorded and not refused.",
    )


class RoleTable(Table):
    """`[[role]]`: what a verified user may do; cuts down what the peer may do."""

    name: Name = Field(description="Name of the role.")
    groups: list[str] = Field(default=[], description="Array of directory groups whose members have this role.")
    emergency: bool = Field(
        default=False,
        description="Only `dicomgate break-glass` gives this role: to one user, for a reason and a time.",
    )
    may: Verbs = Field(default=[], description=f"Array of verbs it allows: {', '.join(Verb)}. Empty: nothing.")
    archives: list[Name] | None = Field(default=None, description="Array of archives it holds at. Absent: all.")
    hours: list[Annotated[Hours, PlainValidator(words.hours)]] | None = Field(
        default=None,
        description='Array of times it holds at, in the gate\'s local time, for instance "Mon-Fri 07:00-19:00". '
        "Absent: always. Empty: never.",
    )
    sop_classes: list[Annotated[str, PlainValidator(words.sop_class)]] | None = Field(
        default=None,
        description="Array of SOP classes (UIDs or keywords) it may store, and retrieve by C-GET. Absent: all.",
    )
    on_expiry: Annotated[OnExpiry, PlainValidator(words.one_of({word.value: word for word in OnExpiry}))] = Field(
        default=OnExpiry.FINISH,
        description="When the proof of who the user is expires: finish lets a running association go on, end aborts.",
    )


class VerifierTable(Table):
    """`[[verifier]]`: who can vouch for a user. Each kind has keys of its own."""

    name: Name = Field(description="Name of the verifier.")
    kind: Annotated[Kind, PlainValidator(words.one_of({kind.value: kind for kind in Kind}))] = Field(
        description="local, ldap, oidc, kerberos or saml."
    )


class SinkTable(Table):
    """`[[sink]]`: where records go beside the store. Each kind has keys of its own."""

    name: Name = Field(description="Name of the sink.")
    kind: Annotated[SinkKind, PlainValidator(words.one_of({kind.value: kind for kind in SinkKind}))] = Field(
        description="syslog, fhir, jsonl or alert."
    )


_SESSION, _CONNECTION, _TRAIL = SessionLimits(), ConnectionLimits(), TrailSettings()


class SiteTable(Table):
    """`[[site]]`: one place with networks of its own: a hospital, a cloud."""

    name: Name = Field(description="Name of the site; channels and segments refer to it.")
    own: bool = Field(default=False, description="true for the one site that this file is for.")
    networks: FixedNetworks = Field(description="Array of the site's own networks: addresses or CIDRs.")
    address: HostName | None = Field(
        default=None, description="Its public address or host name. Absent: it changes, or lies behind NAT."
    )
    gate: IpAddress | None = Field(
        default=None, description="Address of the gate inside this site. Absent: there is no gate."
    )


class ChannelEndTable(Table):
    """`ends` of a `[[channel]]`."""

    site: Name = Field(description="Name of the site at this end.")
    networks: FixedNetworks | None = Field(
        default=None, description="Array of networks of the site that may use the channel. Absent: all of the site's."
    )
    termination: Annotated[Termination, PlainValidator(words.one_of({word.value: word for word in Termination}))] = (
        Field(
            default=Termination.GATE_HOST,
            description="Where the tunnel ends: gate-host, separate-host or router (somebody else's device).",
        )
    )
    address: HostName | None = Field(
        default=None, description="Public address or host name of the machine it ends on. Absent: the site's address."
    )
    identity: Annotated[str, PlainValidator(words.ike_identity)] | None = Field(
        default=None, description="What this end calls itself in IKE: a name of its certificate. Absent: its address."
    )
    certificate: FilePath | None = Field(
        default=None, description="IPsec, our end: file with its certificate chain (PEM)."
    )
    key: FilePath | None = Field(
        default=None, description="Our end: file with its private key (IPsec: PEM; WireGuard: base64)."
    )
    public_key: Annotated[str, PlainValidator(words.wireguard_key)] | None = Field(
        default=None, description="WireGuard: its public key (base64)."
    )
    port: Port = Field(default=51820, description="WireGuard: the UDP port it listens on.")
    tunnel_address: Annotated[IPv4Interface | IPv6Interface, PlainValidator(words.tunnel_address)] | None = Field(
        default=None, description="WireGuard: address and prefix length of its interface, as 10.99.0.1/30."
    )
    interface: Annotated[str, PlainValidator(words.interface)] | None = Field(
        default=None, description="Our end: network interface on the gate host that only this channel feeds."
    )
    mark: Annotated[int, PlainValidator(words.mark)] | None = Field(
        default=None, description="Our end: netfilter mark that packets from this channel bear."
    )


class ChannelTable(Table):
    """`[[channel]]`: a tunnel between two sites."""

    name: Name = Field(description="Name of the channel; peers and listeners can demand it.")
    kind: Annotated[ChannelKind, PlainValidator(words.one_of({word.value: word for word in ChannelKind}))] = Field(
        description="ipsec or wireguard."
    )
    ends: list[ChannelEndTable] = Field(
        description="Two tables [[channel.ends]]: site, networks, termination, address, identity, …"
    )
    ports: list[Port] | None = Field(
        default=None, description="Array of TCP ports that may pass. Absent: every protocol and port. Empty: refused."
    )
    authentication: (
        Annotated[Authentication, PlainValidator(words.one_of({word.value: word for word in Authentication}))] | None
    ) = Field(default=None, description="IPsec: certificate (default) or psk.")
    ca: FilePath | None = Field(
        default=None, description="IPsec with certificates: file with the authorities that vouch for the ends (PEM)."
    )
    psk_file: FilePath | None = Field(
        default=None, description="File with the shared secret: IPsec's only one, or WireGuard's additional one."
    )
    start: Annotated[Start, PlainValidator(words.one_of({word.value: word for word in Start}))] = Field(
        default=Start.START, description="IPsec: start (at once) or trap (when the first packet wants to pass)."
    )
    dead_after: Annotated[float, PlainValidator(_seconds(3600))] = Field(
        default=30.0, description="Silence of the other end after which the channel counts as down."
    )
    rekey_after: Seconds = Field(default=3600.0, description="Age of a traffic key at which it is renewed.")


class TargetTable(Table):
    """`dicom_to` of a `[[segment]]`."""

    segment: Name | None = Field(default=None, description="Name of a segment; needs ports.")
    peer: Name | None = Field(default=None, description="Name of a peer with an address.")
    archive: Name | None = Field(default=None, description="Name of an archive: reached without the gate in between.")
    ports: list[Port] | None = Field(
        default=None, description="Array of TCP ports. Absent: those of the peer's or archive's address."
    )


class ManagementTable(Table):
    """`management` of a `[[segment]]`."""

    networks: FixedNetworks = Field(description="Array of networks that its machines are administered from.")
    ports: Annotated[list[Port], Field(min_length=1)] = Field(
        default=[22], description="Array of TCP ports for that, for instance SSH and a web page."
    )


class SegmentTable(Table):
    """`[[segment]]`: a set of networks, and what may pass to them."""

    name: Name = Field(description="Name of the segment.")
    networks: FixedNetworks = Field(description="Array of its networks: addresses or CIDRs. None is in two segments.")
    site: Name | None = Field(default=None, description="Name of the site it is at. Absent: the own one.")
    dicom: bool = Field(
        default=True,
        description="false: no machine in it speaks DICOM, in either direction, even where a peer's networks are any.",
    )
    dicom_to: list[TargetTable] = Field(
        default=[],
        description="Array of tables: what it speaks DICOM to without the gate in between. Empty: nothing. "
        "What peers, listeners and archives need follows from their own tables.",
    )
    management: ManagementTable | None = Field(
        default=None, description="Table: networks, ports. Absent: its machines are not administered over the network."
    )
    other_traffic: Annotated[
        OtherTraffic, PlainValidator(words.one_of({word.value: word for word in OtherTraffic}))
    ] = Field(
        default=OtherTraffic.DROP,
        description="What becomes of traffic to it that is neither DICOM nor management: drop, or pass.",
    )


class SegmentationTable(Table):
    """`[segmentation]`: what the firewall rules need beside the segments."""

    dicom_ports: list[Port] = Field(
        default=[104, 2761, 2762, 4242, 11112],
        description="Array of TCP ports that are closed wherever nothing opens them, beside those in this file.",
    )
    gate: list[IpAddress] | None = Field(
        default=None,
        description="Array of the gate host's addresses. Absent: the own site's gate, and what the listeners bind.",
    )


class LimitsTable(Table):
    """`[limits]`: sizes as bytes or "1 MiB", times as seconds or "15 s"."""

    associate_pdu: Annotated[int, PlainValidator(size_within(4 * KiB, 16 * MiB))] = Field(
        default=_SESSION.associate_pdu, description="Longest A-ASSOCIATE PDU, either direction."
    )
    pdu: Annotated[int, PlainValidator(size_within(4 * KiB, 64 * MiB))] = Field(
        default=_SESSION.pdu, description="Longest P-DATA PDU that two parties may agree on."
    )
    command_set: Annotated[int, PlainValidator(size_within(1 * KiB, 1 * MiB))] = Field(
        default=_SESSION.command_set, description="Longest DIMSE command set, all fragments together."
    )
    outstanding_operations: Count = Field(
        default=_SESSION.outstanding_operations, description="Requests without a final response, per direction."
    )
    refused_operations: Count = Field(
        default=_SESSION.refused_operations,
        description="Refused requests in one association, after which it is aborted.",
    )
    first_byte: Seconds = Field(default=_SESSION.first_byte, description="From accept to the first byte.")
    associate_deadline: Seconds = Field(
        default=_SESSION.associate_deadline, description="From accept to the whole A-ASSOCIATE-RQ."
    )
    tls_handshake: Seconds = Field(
        default=_SESSION.tls_handshake, description="From accept to the end of the TLS handshake."
    )
    identity: Seconds = Field(
        default=_SESSION.identity, description="From asking the verifiers who a user is to their answer."
    )
    recall: Seconds = Field(
        default=_CONNECTION.recall,
        description="From asking the record store what is known of a SOP instance to its answer.",
    )
    archive_connect: Seconds = Field(
        default=_SESSION.archive_connect,
        description="TCP connect to one address of an archive, and the TLS handshake with it.",
    )
    archive_answer: Seconds = Field(
        default=_SESSION.archive_answer, description="From the gate's A-ASSOCIATE-RQ to the archive's answer."
    )
    idle: Seconds = Field(
        default=_SESSION.idle, description="No operation outstanding and no byte in either direction."
    )
    no_progress: Seconds = Field(
        default=_SESSION.no_progress, description="An operation outstanding, and no byte in either direction."
    )
    write_stall: Seconds = Field(
        default=_SESSION.write_stall, description="Bytes wait for one party and it takes none."
    )
    absolute: Annotated[float, PlainValidator(_seconds(30 * DAY))] = Field(
        default=_SESSION.absolute, description="Longest life of an association, whatever it does."
    )
    close: Seconds = Field(
        default=_SESSION.close, description="Wait for the other side to close the connection (ARTIM)."
    )
    associations: Count = Field(default=_CONNECTION.associations, description="Most associations, all peers together.")
    associations_per_peer: Count = Field(
        default=_CONNECTION.associations_per_peer, description="Most associations of one peer."
    )
    associations_per_address: Count = Field(
        default=_CONNECTION.associations_per_address, description="Most associations from one address."
    )
    half_open: Count = Field(
        default=_CONNECTION.half_open,
        description="Most connections without a whole A-ASSOCIATE-RQ, all addresses together.",
    )
    half_open_per_address: Count = Field(
        default=_CONNECTION.half_open_per_address, description="The same, from one address."
    )
    drain: Seconds = Field(
        default=_CONNECTION.drain, description="What running associations get after SIGTERM before they are aborted."
    )


class AuditTable(Table):
    """`[audit]`: the records."""

    on_failure: Annotated[OnAuditFailure, PlainValidator(words.one_of({w.value: w for w in OnAuditFailure}))] = Field(
        default=OnAuditFailure.REFUSE,
        description="While records cannot be kept: refuse associations, or continue without a record.",
    )
    checkpoint_interval: Seconds = Field(
        default=_TRAIL.checkpoint_interval, description="Longest time until a new record is under a signed checkpoint."
    )
    checkpoint_records: Count = Field(
        default=_TRAIL.checkpoint_records, description="New records after which there is a checkpoint at once."
    )
    checkpoint_file: FilePath | None = Field(
        default=None,
        description="File that checkpoints are appended to. Absent: beside gate.state, ending in .checkpoints.",
    )
    signing_key: FilePath | None = Field(
        default=None,
        description="File with the key that signs checkpoints; made on first use. "
        "Absent: beside gate.state, ending in .signing-key.",
    )
    pseudonym_key: FilePath | None = Field(
        default=None,
        description="File with the key of the pseudonyms of patients; made on first use. "
        "Absent: beside gate.state, ending in .pseudonym-key.",
    )
    keep: Annotated[float | None, PlainValidator(_keep)] = Field(
        default=None,
        description='How long records are kept, for instance "365 d", from 1 d to 100 years. Absent: for ever.',
    )


_DESK, _GUARD = DeskLimits(), GuardLimits()


class IdentityTable(Table):
    """`[identity]`: how users are verified, and what guessing is answered with."""

    workers: Annotated[int, PlainValidator(whole_within(1, 64))] = Field(
        default=_DESK.workers, description="Claims that one verifier is asked at the same time."
    )
    queue: Count = Field(
        default=_DESK.queue, description="Claims that wait or are asked, all verifiers together; more are refused."
    )
    attempts: Count = Field(
        default=_GUARD.attempts, description="Failures of one user from one address within `window` before a lockout."
    )
    attempts_per_address: Count = Field(
        default=_GUARD.attempts_per_address,
        description="The same for one address, all users together. An IPv6 address counts as its /64.",
    )
    attempts_per_user: Count = Field(
        default=_GUARD.attempts_per_user,
        description="The same for one user, all addresses together where the user was not verified before.",
    )
    window: Seconds = Field(default=_GUARD.window, description="How long a first failure and those after it count.")
    lockout: Seconds = Field(default=_GUARD.lockout, description="How long a lockout lasts; it ends by itself.")
    delay: Seconds = Field(
        default=_GUARD.delay,
        description="From a claim to its refusal at the first failure; doubled by each further one.",
    )
    longest_delay: Seconds = Field(
        default=_GUARD.longest_delay,
        description="What the doubling ends at; at most half of limits.identity is waited.",
    )
    familiar: Annotated[float, PlainValidator(_seconds(365 * DAY))] = Field(
        default=_GUARD.familiar,
        description="How long an address where a user was verified is spared from `attempts_per_user`.",
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST_NUMBER:
        raise WrongValueError(
            f"expected a number above 0 and up to {LARGEST_NUMBER}, came {shown(value)}",
            "write a number without quotes",
        )
    return float(value)


_RUNGS = {rung.word: rung for rung in Rung}
RungWord = Annotated[Rung, PlainValidator(words.one_of(_RUNGS))]
RuleModeWord = Annotated[RuleMode, PlainValidator(words.one_of({mode.value: mode for mode in RuleMode}))]
Titles = list[Title]


class DetectRule(Table):
    """`[detect.rules.D01]`: one detector's own settings."""

    mode: RuleModeWord | None = Field(
        default=None, description="off, simulate or respond. Absent: as `mode` of [detect]."
    )
    action: RungWord | None = Field(
        default=None,
        description=f"What is done: {', '.join(_RUNGS)}. Absent: as the detector has it.",
    )
    threshold: Annotated[float, PlainValidator(_number)] | None = Field(
        default=None, description="How many it takes, in the detector's own unit. Absent: as the detector has it."
    )
    window: Annotated[float, PlainValidator(_seconds(30 * DAY))] | None = Field(
        default=None, description="Within which time. Absent: as the detector has it."
    )
    duration: Annotated[float, PlainValidator(_seconds(30 * DAY))] | None = Field(
        default=None, description="How long its action holds. Absent: as the detector has it."
    )


if TYPE_CHECKING:

    class DetectRules(Table):
        """One key for each detector of the catalogue; made below, because they are listed there."""

else:
    DetectRules = create_model(
        "DetectRules",
        __base__=Table,
        __doc__="`[detect.rules]`: one detector each. Absent: the detector as it is.",
        **{each.id: (DetectRule | None, Field(default=None, description=f"{each.title}.")) for each in DETECTORS},
    )
_DETECT = DetectSettings()


class DetectTable(Table):
    """`[detect]`: what attacks look like, and what is done about them."""

    mode: RuleModeWord = Field(
        default=_DETECT.mode,
        description="off; simulate: find and alert, and only record what else would be done; respond: do it. "
        "For all detectors without a mode of their own.",
    )
    at_most: RungWord = Field(
        default=_DETECT.at_most,
        description=f"The furthest that any detector may go: {', '.join(_RUNGS)}.",
    )
    learn: Annotated[float, PlainValidator(_seconds(90 * DAY))] = Field(
        default=_DETECT.learn, description="How long records are watched before what was seen counts as usual."
    )
    delay: Annotated[float, PlainValidator(_seconds(60))] = Field(
        default=_DETECT.delay, description="How long a connection is held by the action `delay`."
    )
    cap: Count = Field(
        default=_DETECT.cap, description="Associations a party may have open at a time under the action `cap`."
    )
    firewall: bool = Field(
        default=False,
        description="true: banned addresses are also closed out by the nftables table of `dicomgate segment apply`.",
    )
    honey_titles: Titles = Field(
        default=[], description="Array of AE titles that nobody has a reason to use or to send to."
    )
    honey_users: list[str] = Field(default=[], description="Array of user names that nobody has.")
    honey_instances: list[Annotated[str, PlainValidator(words.uid)]] = Field(
        default=[], description="Array of SOP Instance UIDs that nobody has a reason to touch."
    )
    rules: DetectRules | None = Field(
        default=None, description="Table: settings of single detectors, such as [detect.rules.D05]."
    )


class LoginTable(Table):
    """`[login]`: the user of this very gate, where it stands at a desk: see `dicomgate login`."""

    issuer: Annotated[str, PlainValidator(words.provider_url)] = Field(
        description="URL of the OpenID Connect provider that the user signs in at."
    )
    client_id: Annotated[str, AfterValidator(words.plain)] = Field(
        description="Client ID of this gate at the provider: a public client that may use the device grant."
    )
    scope: Annotated[str, AfterValidator(words.plain)] = Field(
        default="openid offline_access",
        description="Scope that is asked for; offline_access lets it be renewed while the user is away.",
    )
    resource: Annotated[str, AfterValidator(words.plain)] | None = Field(
        default=None, description="Audience that is asked for (RFC 8707), where the provider wants to be told."
    )
    ca: FilePath | None = Field(
        default=None,
        description="File with the authorities that vouch for the provider's server (PEM). Absent: this machine's.",
    )
    tokens: FilePath = Field(
        default="state/login.json",
        description="File that keeps the tokens, readable by its owner only, where there is no keyring.",
    )


class MetricsTable(Table):
    """`[metrics]`: numbers for monitoring systems."""

    bind: Annotated[Endpoint, PlainValidator(units.bind)] | None = Field(
        default=None, description='Literal address and port to serve metrics on, for instance "127.0.0.1:9108".'
    )


TABLES: dict[str, type[Table]] = {
    "gate": GateTable,
    "limits": LimitsTable,
    "audit": AuditTable,
    "identity": IdentityTable,
    "detect": DetectTable,
    "metrics": MetricsTable,
    "segmentation": SegmentationTable,
    "login": LoginTable,
}
"""Tables that stand at most once, `[gate]`."""

ARRAYS: dict[str, type[Table]] = {
    "listener": ListenerTable,
    "archive": ArchiveTable,
    "peer": PeerTable,
    "role": RoleTable,
    "verifier": VerifierTable,
    "sink": SinkTable,
    "site": SiteTable,
    "channel": ChannelTable,
    "segment": SegmentTable,
}
"""Tables that stand any number of times, `[[peer]]`; each has a name."""
