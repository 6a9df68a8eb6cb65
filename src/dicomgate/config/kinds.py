"""Tables whose keys depend on their `kind`: one class for each kind of `[[verifier]]` and `[[sink]]`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from dicomgate.config import words
from dicomgate.config.schema import (
    ClientTls,
    FilePath,
    KiB,
    Kind,
    MiB,
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
from dicomgate.iam.oidc.settings import Algorithm, Introspection, OidcSettings, TokenRules
from dicomgate.iam.settings import LocalSettings

MINUTE = 60.0
Texts = Annotated[list[Annotated[str, AfterValidator(words.plain)]], BeforeValidator(one_or_many), Field(min_length=1)]
_LOCAL = LocalSettings("")


class LocalVerifier(VerifierTable):
    """Users of the gate itself, kept in its store: see `dicomgate user`."""

    memory: Annotated[int, PlainValidator(size_within(19 * MiB, 1024 * MiB))] = Field(
        default=_LOCAL.memory * KiB, description="Memory that checking one passcode takes (argon2id)."
    )
    passes: Annotated[int, PlainValidator(whole_within(2, 16))] = Field(
        default=_LOCAL.passes, description="How often it goes through that memory (argon2id)."
    )


class LdapVerifier(VerifierTable):
    """A directory: LDAP or Active Directory."""


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
    """Tickets of a Kerberos realm."""


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


class SyslogSink(SinkTable):
    """DICOM audit messages to an audit record repository, by syslog."""

    address: str | None = Field(default=None, description="Where it sends to.")
    tls: ClientTls | None = Field(default=None, description="Table: ca, certificate, key. Absent: plaintext.")


class FhirSink(SinkTable):
    """FHIR AuditEvent resources to a repository."""


class JsonlSink(SinkTable):
    """Records as JSON lines."""


class AlertSink(SinkTable):
    """Findings to people: mail, webhook, chat, pager."""


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
}
KINDS: Mapping[str, Mapping[str, type[Table]]] = {"verifier": VERIFIERS, "sink": SINKS}
"""By the header of the table."""
