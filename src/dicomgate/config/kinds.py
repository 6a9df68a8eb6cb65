"""Tables whose keys depend on their `kind`: one class for each kind of `[[verifier]]` and `[[sink]]`."""

from collections.abc import Mapping

from pydantic import Field

from dicomgate.config.schema import ClientTls, FilePath, Kind, SinkKind, SinkTable, Table, VerifierTable


class LocalVerifier(VerifierTable):
    """Users of the gate itself, kept in its store."""


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
