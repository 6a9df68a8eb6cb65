"""Tables whose keys depend on their `kind`: one class for each kind of `[[verifier]]` and `[[sink]]`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, PlainValidator

from dicomgate.config.schema import (
    ClientTls,
    FilePath,
    KiB,
    Kind,
    MiB,
    SinkKind,
    SinkTable,
    Table,
    VerifierTable,
    size_within,
    whole_within,
)
from dicomgate.iam.settings import LocalSettings

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


class OidcVerifier(VerifierTable):
    """An OpenID Connect provider and the tokens it signs."""

    issuer: str | None = Field(default=None, description="URL of the OpenID Connect issuer.")
    audience: str | None = Field(default=None, description="Audience that a token must name.")
    ca: FilePath | None = Field(
        default=None, description="File with the authorities that vouch for the verifier's server."
    )


class KerberosVerifier(VerifierTable):
    """Tickets of a Kerberos realm."""


class SamlVerifier(VerifierTable):
    """Assertions of a SAML 2.0 identity provider."""


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
