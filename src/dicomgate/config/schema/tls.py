"""`tls` of listeners, archives and peers: files, and what the other side has to show."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, PlainValidator

from dicomgate.config import words
from dicomgate.config.schema.fields import FilePath, Table
from dicomgate.gate.settings import TlsProfile


class Ocsp(StrEnum):
    """Whether the authority of a client certificate is asked if it still holds."""

    OFF = "off"
    REQUIRE = "require"


class ClientCertificate(StrEnum):
    """Whether a client has to show one."""

    REQUIRED = "required"
    OPTIONAL = "optional"


Profile = Annotated[TlsProfile, PlainValidator(words.one_of({word.value: word for word in TlsProfile}))]


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
