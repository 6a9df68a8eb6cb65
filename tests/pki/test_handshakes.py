"""Two sides of TLS in memory, each with what the authority gave it: who gets through, and what each learns."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from dicomgate.pki.words import KeyKind, Usage
from pki.scene import Site, site

HOST = "pacs.north.example"


def side(north: Site, name: str, *, server: bool, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(north.device(name, "chain.pem"), north.device(name, "key.pem"))
    context.load_verify_locations(north.device(name, "ca.pem"))
    context.load_verify_locations(north.folder / "crl.pem")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN | ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after the handshake; SSLError of whichever refused."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [near, far]
    for _ in range(10):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return near, far
    raise AssertionError("the handshake does not end")


@pytest.fixture
def both(north: Site) -> Site:
    north.issue("ct-1", "CT 1", "ct1.north.example")
    north.issue("pacs", "PACS", HOST, "127.0.0.1")
    return north


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("kind", KeyKind)
def test_each_proves_itself_to_the_other(north: Site, kind: KeyKind, version: ssl.TLSVersion) -> None:
    north.issue("ct-1", "CT 1", "ct1.north.example", usage=Usage.CLIENT, kind=kind)
    north.issue("pacs", "PACS", HOST, usage=Usage.SERVER, kind=kind)
    near, far = shake(
        side(north, "ct-1", server=False, version=version), side(north, "pacs", server=True, version=version)
    )
    seen = far.getpeercert()
    assert seen is not None
    assert seen["subjectAltName"] == (("DNS", "ct1.north.example"), ("URI", "dicom-ae:CT%201"))
    assert near.getpeercert()["subjectAltName"] == (("DNS", HOST), ("URI", "dicom-ae:PACS"))  # type: ignore[index]
    assert near.version() == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_an_address_is_a_name_too(both: Site, version: ssl.TLSVersion) -> None:
    ends = side(both, "ct-1", server=False, version=version), side(both, "pacs", server=True, version=version)
    shake(*ends, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(*ends, "127.0.0.2")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(*ends, "ct1.north.example")


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("revoked", ["ct-1", "pacs"])
def test_a_revoked_side_is_refused(both: Site, version: ssl.TLSVersion, revoked: str) -> None:
    both.revoke(revoked)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate revoked"):
        shake(side(both, "ct-1", server=False, version=version), side(both, "pacs", server=True, version=version))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_a_purpose_is_not_the_other(north: Site, version: ssl.TLSVersion) -> None:
    north.issue("ct-1", "CT1", "ct1.north.example", usage=Usage.SERVER)
    north.issue("pacs", "PACS", HOST, usage=Usage.SERVER)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"purpose|unsuitable"):
        shake(side(north, "ct-1", server=False, version=version), side(north, "pacs", server=True, version=version))


def test_another_site_of_the_same_name_is_refused(both: Site, tmp_path: Path) -> None:
    other = site(tmp_path / "other")
    other.issue()
    client = side(other, "ct-1", server=False, version=VERSIONS[1])
    server = side(both, "pacs", server=True, version=VERSIONS[1])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(client, server)


def test_a_renewed_device_gets_through_before_and_after(both: Site) -> None:
    server = side(both, "pacs", server=True, version=VERSIONS[1])
    before = side(both, "ct-1", server=False, version=VERSIONS[1])
    both.renew("ct-1")
    shake(before, server)
    shake(side(both, "ct-1", server=False, version=VERSIONS[1]), server)
