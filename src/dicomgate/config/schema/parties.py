"""`[[listener]]`, `[[archive]]` and `[[peer]]`: where the gate accepts, what it protects, and who may do what."""

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator

from dicomgate.config import units, words
from dicomgate.config.schema.fields import Count, Name, NetworkTexts, Place, Places, Table, Title, Verbs, one_or_many
from dicomgate.config.schema.tls import CalledTls, ListenerTls
from dicomgate.policy.model import (
    AeTitlePattern,
    Assurance,
    CertificatePattern,
    Endpoint,
    Tamper,
    TamperHold,
    UpstreamIdentity,
    Verb,
)

ChannelNames = Annotated[list[Name], BeforeValidator(one_or_many)]
_ASSURANCES = {assurance.word: assurance for assurance in Assurance}


class PlaintextPasscodes(StrEnum):
    """What becomes of a passcode that comes in clear."""

    REFUSE = "refuse"
    UNSAFE_ACCEPT = "unsafe-accept"


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
    tamper_hold: Annotated[TamperHold, PlainValidator(words.one_of({word.value: word for word in TamperHold}))] = Field(
        default=TamperHold.FRAGMENT,
        description='What is held back, with tamper = "refuse", until the content is judged: fragment (default), the '
        "end of each object; object, all of it, for archives that lose the original when a store is cut off.",
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
