"""Tables whose keys depend on their `kind`: one class for each kind of `[[verifier]]` and `[[sink]]`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from dicomgate.config import directory_words, words
from dicomgate.config.schema import (
    ClientTls,
    Count,
    FilePath,
    KiB,
    Kind,
    MiB,
    Name,
    Places,
    Seconds,
    SinkKind,
    SinkTable,
    Table,
    VerifierTable,
    one_or_many,
    seconds_within,
    size_within,
    whole_within,
)
from dicomgate.detect.model import Severity
from dicomgate.iam.ldap.filters import Filter
from dicomgate.iam.ldap.settings import Groups, LdapSettings, Server
from dicomgate.iam.oidc.settings import Algorithm, Introspection, OidcSettings, TokenRules
from dicomgate.iam.settings import LocalSettings
from dicomgate.sinks.alerts import AlertSettings
from dicomgate.sinks.settings import MessageId
from dicomgate.sinks.spool import BATCH

MINUTE = 60.0
Texts = Annotated[list[Annotated[str, AfterValidator(words.plain)]], BeforeValidator(one_or_many), Field(min_length=1)]
_LOCAL = LocalSettings("")
_ALERT = AlertSettings("")


class LocalVerifier(VerifierTable):
    """Users of the gate itself, kept in its store: see `dicomgate user`."""

    memory: Annotated[int, PlainValidator(size_within(19 * MiB, 1024 * MiB))] = Field(
        default=_LOCAL.memory * KiB, description="Memory that checking one passcode takes (argon2id)."
    )
    passes: Annotated[int, PlainValidator(whole_within(2, 16))] = Field(
        default=_LOCAL.passes, description="How often it goes through that memory (argon2id)."
    )


_LDAP = LdapSettings("", (), None, "")
EntryName = Annotated[str, PlainValidator(directory_words.distinguished_name)]
Wait = Annotated[float, PlainValidator(seconds_within(0.1, MINUTE))]


class LdapVerifier(VerifierTable):
    """A directory, LDAP or Active Directory, and its passcodes (identity type 2)."""

    servers: Annotated[
        list[Annotated[Server, PlainValidator(directory_words.server)]],
        BeforeValidator(one_or_many),
        Field(min_length=1),
    ] = Field(
        description="ldaps://HOST[:PORT] (TLS at once) or ldap://HOST[:PORT] (StartTLS), or an array of them that are "
        "tried in this order."
    )
    ca: FilePath | None = Field(
        default=None,
        description="File with the authorities that vouch for the servers (PEM). Required, but for unsafe_plaintext.",
    )
    unsafe_plaintext: bool = Field(
        default=False, description="Speak ldap:// without TLS: everybody on the way reads every passcode."
    )
    bind_dn: EntryName | None = Field(
        default=None, description="Full name of the service account that searches. Absent: searches are anonymous."
    )
    bind_passcode_file: FilePath | None = Field(default=None, description="File with the passcode of that account.")
    bind_passcode_env: Annotated[str, AfterValidator(words.variable)] | None = Field(
        default=None, description="Environment variable with the passcode of that account."
    )
    user_base: EntryName = Field(description="Full name of the entry below which users are looked for.")
    user_filter: Annotated[Filter, PlainValidator(directory_words.user_filter)] | None = Field(
        default=None,
        description="Filter that finds one user; {user} stands for the name that was presented. Absent: (uid={user}).",
    )
    name_attribute: Annotated[str, PlainValidator(directory_words.attribute)] = Field(
        default=_LDAP.name_attribute,
        description="Attribute of the user's entry whose value is the user's name in rules and records.",
    )
    groups: Annotated[Groups, PlainValidator(words.one_of({word.value: word for word in Groups}))] = Field(
        default=_LDAP.groups,
        description="Where groups come from: memberof (attribute of the user), search (group_filter), "
        "matching-rule (Active Directory, nested groups too) or none.",
    )
    nested_groups: bool = Field(
        default=False, description="With memberof or search: also the groups that these groups are in, step by step."
    )
    group_base: EntryName | None = Field(
        default=None,
        description="With search or matching-rule: full name of the entry below which groups are looked for. "
        "Absent: user_base.",
    )
    group_filter: Annotated[Filter, PlainValidator(directory_words.group_filter)] | None = Field(
        default=None,
        description="With search: filter that finds a user's groups; {dn} stands for the full name of the entry, "
        "{user} for the name. Absent: (member={dn}).",
    )
    connections: Count = Field(
        default=_LDAP.connections, description="Most connections that are kept for searches; each sign-in adds its own."
    )
    connect_timeout: Wait = Field(default=_LDAP.connect_timeout, description="TCP connect and TLS with one server.")
    operation_timeout: Wait = Field(default=_LDAP.operation_timeout, description="One search or one bind.")
    total_timeout: Wait = Field(default=_LDAP.total_timeout, description="All that one user's sign-in may take.")


_RULES = TokenRules("", frozenset())
_OIDC = OidcSettings("", _RULES)


class OidcVerifier(VerifierTable):
    """An OpenID Connect provider and the tokens it signs (identity type 5)."""

    issuer: Annotated[str, PlainValidator(words.provider_url)] = Field(
        description="URL of the OpenID Connect issuer, exactly as tokens name it (iss)."
    )
    audience: Texts = Field(description="Audience that a token must name (aud), or an array: one of them.")
    ca: FilePath | None = Field(
        default=None,
        description="File with the authorities that vouch for the provider's server (PEM). Absent: this machine's.",
    )
    jwks: FilePath | None = Field(
        default=None, description="File with the issuer's public keys (JWK set), for a site without a way to it."
    )
    algorithms: Annotated[
        list[Annotated[Algorithm, PlainValidator(words.one_of({word.value: word for word in Algorithm}))]],
        Field(min_length=1),
    ] = Field(
        default=list(_RULES.algorithms),
        description=f"Array of signature algorithms that are taken: {', '.join(Algorithm)}.",
    )
    types: Texts = Field(
        default=sorted(_RULES.types), description="Array of token types that are taken (typ), in any letter case."
    )
    clients: Texts | None = Field(
        default=None,
        description="Array of the clients whose tokens are taken (azp, client_id). Absent: any client of the issuer.",
    )
    user_claim: Annotated[tuple[str, ...], PlainValidator(words.claim_path)] = Field(
        default=_OIDC.user_claim,
        description="Claim that names the user; with dots, or as an array, one within another.",
    )
    groups_claim: Annotated[tuple[str, ...], PlainValidator(words.claim_path)] = Field(
        default=_OIDC.groups_claim, description='Claim with the user\'s groups, for instance "realm_access.roles".'
    )
    certificate_bound: bool = Field(
        default=False, description="Take only tokens that are bound to the client's certificate (RFC 8705)."
    )
    leeway: Annotated[float, PlainValidator(seconds_within(0, 5 * MINUTE))] = Field(
        default=_RULES.leeway, description="How far the provider's clock may be off."
    )
    introspection: Annotated[
        Introspection, PlainValidator(words.one_of({word.value: word for word in Introspection}))
    ] = Field(
        default=_OIDC.introspection,
        description="Tokens that the provider is asked about (RFC 7662): never, opaque (no JSON Web Tokens) or always.",
    )
    password_grant: bool = Field(
        default=False,
        description="Also try names and passcodes (identity type 2) at the provider: it must still allow that grant.",
    )
    client_id: Annotated[str, AfterValidator(words.plain)] | None = Field(
        default=None, description="The gate's own client ID at the provider, for introspection and password_grant."
    )
    client_secret_file: FilePath | None = Field(default=None, description="File with the secret of that client.")
    client_secret_env: Annotated[str, AfterValidator(words.variable)] | None = Field(
        default=None, description="Environment variable with the secret of that client."
    )
    scope: Annotated[str, AfterValidator(words.plain)] = Field(
        default=_OIDC.scope, description="Scope that is asked for with password_grant."
    )
    timeout: Annotated[float, PlainValidator(seconds_within(0.1, MINUTE))] = Field(
        default=_OIDC.timeout, description="What all requests for one user may take together."
    )
    stale_keys: Seconds = Field(
        default=_OIDC.stale_keys, description="How long fetched keys are used while the provider is down."
    )


class KerberosVerifier(VerifierTable):
    """Tickets of a Kerberos realm (identity type 3). Needs the extra `dicomgate[kerberos]`."""

    keytab: FilePath = Field(description="File with the keys of the service (keytab).")
    principal: Annotated[str, PlainValidator(directory_words.service_principal)] = Field(
        description="The service that tickets must be for, with its realm: SERVICE/HOST@REALM."
    )
    realms: Annotated[list[Annotated[str, PlainValidator(directory_words.realm)]], Field(min_length=1)] | None = Field(
        default=None, description="Array of realms whose users are believed. Absent: the realm of principal."
    )
    strip_realm: bool = Field(default=False, description='Call users "alice", not "alice@CLINIC.EXAMPLE".')
    replay_cache: FilePath = Field(
        default="state/kerberos.replays", description="File that remembers which tokens were presented."
    )
    roles: list[Name] = Field(default=[], description="Array of roles that every user with a ticket has.")
    groups_from: Name | None = Field(
        default=None, description="Name of the ldap verifier whose directory knows the groups of these users."
    )


class SamlVerifier(VerifierTable):
    """Assertions of a SAML 2.0 identity provider (identity type 4). Needs the extra `dicomgate[saml]`."""

    audience: Annotated[str, AfterValidator(words.plain)] = Field(
        description="The gate's entity ID, which an assertion must name (Audience)."
    )
    recipient: Texts | None = Field(
        default=None,
        description="What an assertion may be addressed to (Recipient), or an array. Absent: the audience.",
    )
    metadata: FilePath | None = Field(
        default=None, description="File with the provider's metadata: its entity ID and signing certificates."
    )
    issuer: Annotated[str, AfterValidator(words.plain)] | None = Field(
        default=None, description="Entity ID of the provider; with metadata of several, which one."
    )
    certificates: Annotated[list[FilePath], Field(min_length=1)] | None = Field(
        default=None, description="Array of files with the provider's signing certificates (PEM), instead of metadata."
    )
    user_attribute: Annotated[str, AfterValidator(words.plain)] | None = Field(
        default=None, description="Name of the attribute that names the user. Absent: the NameID."
    )
    groups_attribute: Annotated[str, AfterValidator(words.plain)] = Field(
        default="groups", description="Name of the attribute with the user's groups."
    )
    reuse: bool = Field(
        default=False, description="Let an assertion be presented again until it ends, unless it says OneTimeUse."
    )
    leeway: Annotated[float, PlainValidator(seconds_within(0, 5 * MINUTE))] = Field(
        default=30.0, description="How far the provider's clock may be off."
    )


_REPLAY = "false: a sink that is new begins with what happens from now on; true: with the oldest record of the store."
_UNSAFE_PLAINTEXT = "true: send without TLS; whoever sees the network then reads the records, and can change them."
_PATIENT_IDS = (
    "Name patients by their Patient ID, sealed in the store until then; false: as unknown, with their pseudonym. "
    "Absent: true with TLS, false without."
)


class SyslogSink(SinkTable):
    """DICOM audit messages (PS3.15 A.5) to an audit record repository, by syslog."""

    address: Places = Field(
        description="HOST:PORT of the repository, or an array of them that are tried in this order."
    )
    tls: ClientTls | None = Field(default=None, description="Table: ca, certificate, key.")
    unsafe_plaintext: bool = Field(default=False, description=_UNSAFE_PLAINTEXT)
    message_id: Annotated[MessageId, PlainValidator(words.one_of({word.value: word for word in MessageId}))] = Field(
        default=MessageId.DICOM, description="MSGID: DICOM's, or the one that IHE's ATNA profile asks for."
    )
    bom: bool = Field(default=True, description="Begin the text of each message with the mark of UTF-8 (RFC 5424 6.4).")
    patient_ids: bool | None = Field(default=None, description=_PATIENT_IDS)
    replay: bool = Field(default=False, description=_REPLAY)


class FhirSink(SinkTable):
    """FHIR R4 AuditEvent resources (IHE ITI-20) to a repository."""

    url: Annotated[str, PlainValidator(words.fhir_base)] = Field(
        description='Base of the FHIR server, for instance "https://repository.example/fhir".'
    )
    tls: ClientTls | None = Field(
        default=None, description="Table: ca, certificate, key. Absent: the machine's own authorities."
    )
    unsafe_plaintext: bool = Field(default=False, description=_UNSAFE_PLAINTEXT)
    token_file: FilePath | None = Field(default=None, description="File with a bearer token, read anew for each batch.")
    batch: Annotated[int, PlainValidator(whole_within(1, BATCH))] = Field(
        default=50, description="Records in one batch; 1 sends each resource by itself."
    )
    patient_ids: bool | None = Field(default=None, description=_PATIENT_IDS)
    replay: bool = Field(default=False, description=_REPLAY)


class JsonlSink(SinkTable):
    """Records as JSON lines, under the names of the Elastic Common Schema."""

    file: FilePath = Field(description='File to append to; it may be rotated at any time. "-" is stdout.')
    replay: bool = Field(default=False, description=_REPLAY)


class CheckpointSink(SinkTable):
    """Signed checkpoints to where nobody at the gate can change them. One of address, url and file."""

    address: Places | None = Field(
        default=None, description="HOST:PORT of a syslog receiver, or an array of them that are tried in this order."
    )
    url: Annotated[str, PlainValidator(words.http_url)] | None = Field(
        default=None, description="URL that each checkpoint is sent to by POST, as text."
    )
    file: FilePath | None = Field(
        default=None, description="File that they are appended to, beside audit.checkpoint_file."
    )
    tls: ClientTls | None = Field(
        default=None, description="Table: ca, certificate, key. Absent with a URL: the machine's own authorities."
    )
    unsafe_plaintext: bool = Field(
        default=False, description="true: send without TLS; whoever is on the way can keep checkpoints from arriving."
    )
    token_file: FilePath | None = Field(
        default=None, description="File with a bearer token for the URL, read anew for each checkpoint."
    )
    replay: bool = Field(
        default=False,
        description="false: a sink that is new begins with the next checkpoint; true: with the oldest of the store.",
    )


class AlertSink(SinkTable):
    """Findings to people: mail, webhook, chat, pager."""

    urls_file: FilePath | None = Field(
        default=None, description="File with the receivers, one address of apprise a line. They hold secrets."
    )
    urls_env: str | None = Field(
        default=None, description="Environment variable with the same. One of both is required."
    )
    minimum: Annotated[Severity, PlainValidator(words.one_of({word.value: word for word in Severity}))] = Field(
        default=_ALERT.minimum, description="Least severity that is told: low, medium, high or critical."
    )
    group: Seconds = Field(
        default=_ALERT.group, description="How long a finding waits for others, to be told in one message."
    )
    most_per_hour: Count = Field(default=_ALERT.most_per_hour, description="Most messages in an hour.")


VERIFIERS: Mapping[str, type[VerifierTable]] = {
    Kind.LOCAL: LocalVerifier,
    Kind.LDAP: LdapVerifier,
    Kind.OIDC: OidcVerifier,
    Kind.KERBEROS: KerberosVerifier,
    Kind.SAML: SamlVerifier,
}
SINKS: Mapping[str, type[SinkTable]] = {
    SinkKind.SYSLOG: SyslogSink,
    SinkKind.FHIR: FhirSink,
    SinkKind.JSONL: JsonlSink,
    SinkKind.ALERT: AlertSink,
    SinkKind.CHECKPOINTS: CheckpointSink,
}
KINDS: Mapping[str, Mapping[str, type[Table]]] = {"verifier": VERIFIERS, "sink": SINKS}
"""By the header of the table."""
