"""What is said of the files behind TLS, and what OpenSSL is told to do with those that are good."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from dicomgate.config.files import examine_files
from dicomgate.gate.certificates import Finding, examine, facts_of, read_certificate
from dicomgate.gate.settings import ClientTls, ServerTls, TlsProfile
from dicomgate.gate.tls import TlsFilesError, client_context, reason, server_context
from gate.encrypted import settings
from lab.pki import DAY, SERVER, Authority, Identity


class Files:
    """An authority and a good `tls` table of a listener."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = Authority(directory)
        self.gate = self.issue("gate")
        self.crl = directory / "ca.crl"
        self.crl.write_bytes(self.ca.revoke())
        self.tls = ServerTls(self.gate.certificate, self.gate.key, self.ca.certificate, crl=self.crl)

    def issue(self, name: str, **options: object) -> Identity:
        return self.ca.issue(name, usage=[SERVER], **options)  # type: ignore[arg-type]

    def of(self, identity: Identity) -> ServerTls:
        return replace(self.tls, certificate=identity.certificate, key=identity.key)

    def file(self, content: bytes, name: str = "file.pem") -> Path:
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def found(tls: ServerTls | ClientTls, directory: Path) -> list[tuple[str, bool, str]]:
    """Setting, fatal and text, with file names in place of paths and dates."""
    findings: list[Finding] = examine(tls, time.time())
    return [(f.setting, f.fatal, f.text.replace(f"{directory}/", "").partition(", on ")[0]) for f in findings]


def test_nothing_is_said_of_good_files(files: Files) -> None:
    assert examine(files.tls, time.time()) == []
    assert examine(ClientTls(files.ca.certificate, files.gate.certificate, files.gate.key), time.time()) == []


def encrypted(files: Files) -> ServerTls:
    key = rsa.generate_private_key(65537, 2048)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    return replace(files.of(files.issue("locked", key=key)), key=files.file(secret))


def readable_by_others(files: Files) -> ServerTls:
    files.gate.key.chmod(0o644)
    return files.tls


CASES: dict[str, tuple[Callable[[Files], ServerTls], tuple[str, bool, str]]] = {
    "no certificate": (
        lambda files: replace(files.tls, certificate=files.directory / "none"),
        ("certificate", True, "expected a file, but there is no none"),
    ),
    "a directory": (
        lambda files: replace(files.tls, client_ca=files.directory),
        ("client_ca", True, "expected a readable file, came {directory}: is a directory"),
    ),
    "another certificate's key": (
        lambda files: replace(files.tls, key=files.issue("other").key),
        ("key", True, "other.key is not the key of the first certificate in gate.crt"),
    ),
    "a certificate for a key": (
        lambda files: replace(files.tls, key=files.gate.certificate),
        ("key", True, "expected a private key (PEM), came something else in gate.crt"),
    ),
    "a key for a certificate": (
        lambda files: replace(files.tls, certificate=files.gate.key),
        ("certificate", True, "expected certificates (PEM), came something else in gate.key"),
    ),
    "a passphrase": (encrypted, ("key", True, "expected a key without a passphrase, came file.pem with one")),
    "readable by others": (readable_by_others, ("key", False, "every user of this machine may read gate.key")),
    "expired": (
        lambda files: files.of(files.issue("old", begins=-9 * DAY, ends=-DAY)),
        ("certificate", True, "the certificate of CN=old in old.crt expired on"),
    ),
    "not yet valid": (
        lambda files: files.of(files.issue("new", begins=DAY)),
        ("certificate", True, "the certificate of CN=new in new.crt is not valid before"),
    ),
    "20 days": (
        lambda files: files.of(files.issue("gate20", ends=20 * DAY)),
        ("certificate", False, "the certificate of CN=gate20 in gate20.crt expires within 30 days"),
    ),
    "5 days": (
        lambda files: files.of(files.issue("gate5", ends=5 * DAY)),
        ("certificate", False, "the certificate of CN=gate5 in gate5.crt expires within 7 days"),
    ),
    "an hour": (
        lambda files: files.of(files.issue("gate1", ends=timedelta(hours=1))),
        ("certificate", False, "the certificate of CN=gate1 in gate1.crt expires within 1 day"),
    ),
    "no revocation list": (
        lambda files: replace(files.tls, crl=files.ca.certificate),
        ("crl", True, "expected revocation lists (PEM), came something else in ca.crt"),
    ),
    "an old revocation list": (
        lambda files: replace(files.tls, crl=files.file(files.ca.revoke(ends=-DAY))),
        ("crl", True, "the revocation list of CN=ca of the lab in file.pem ended on"),
    ),
    "a certificate among the revocation lists": (
        lambda files: replace(
            files.tls, crl=files.file(files.ca.revoke() + Authority(files.directory, "other").certificate.read_bytes())
        ),
        ("crl", True, "expected revocation lists only, came certificates as well in file.pem"),
    ),
    "another authority's revocation list": (
        lambda files: replace(files.tls, crl=files.file(Authority(files.directory / "x", "x").revoke())),
        ("crl", False, "file.pem has no revocation list of CN=ca of the lab"),
    ),
    "too long": (
        lambda files: replace(files.tls, client_ca=files.file(b"x" * (4 * 1024**2 + 1))),
        ("client_ca", True, "expected at most 4194304 bytes, came more in file.pem"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong(files: Files, case: str) -> None:
    make, (setting, fatal, text) = CASES[case]
    tls = make(files)
    ((came_setting, came_fatal, came),) = found(tls, files.directory)
    assert (came_setting, came_fatal) == (setting, fatal)
    assert came.startswith(text.format(directory=files.directory))
    if fatal:
        with pytest.raises(TlsFilesError):
            server_context(tls)
    else:
        server_context(tls)


def test_a_key_that_is_too_short_for_openssl(files: Files) -> None:
    weak = files.issue("weak", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is the bad one
    with pytest.raises(TlsFilesError, match="ee key too small"):
        server_context(files.of(weak))
    server_context(replace(files.of(weak), profile=TlsProfile.UNSAFE_LEGACY))
    with pytest.raises(TlsFilesError, match="ee key too small"):
        client_context(ClientTls(files.ca.certificate, weak.certificate, weak.key))


def test_check_says_it_with_file_and_key(files: Files) -> None:
    weak = files.issue("weak", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is the bad one
    made = replace(
        settings(None, 104, archive_tls=ClientTls(files.directory / "none")),
        listeners=tuple(
            replace(settings(tls, 104).listeners[0], name=name)
            for name, tls in (("good", files.tls), ("soon", CASES["5 days"][0](files)), ("weak", files.of(weak)))
        ),
    )
    said = [str(problem) for problem in examine_files(made, {}, "gate.toml", time.time())]
    assert [line.partition(" the ")[0].partition(": expected")[0].partition(" OpenSSL")[0] for line in said] == [
        "gate.toml:listener[soon].tls.certificate: warning:",
        "gate.toml:listener[weak].tls: error:",
        "gate.toml:archive[main].tls.ca: error",
    ]
    assert all("\n  hint: " in line for line in said)


def suites(context: ssl.SSLContext) -> set[str]:
    return {str(each["name"]) for each in context.get_ciphers() if not str(each["name"]).startswith("TLS_")}


def test_profiles(files: Files) -> None:
    contexts = {
        profile: (
            server_context(replace(files.tls, profile=profile)),
            client_context(ClientTls(files.ca.certificate, profile=profile)),
        )
        for profile in TlsProfile
    }
    for profile, pair in contexts.items():
        for context in pair:
            assert context.options & ssl.OP_NO_COMPRESSION
            assert context.options & ssl.OP_NO_RENEGOTIATION
            if profile is not TlsProfile.UNSAFE_LEGACY:
                assert context.security_level == 2
                assert all(
                    "ECDHE" in suite and ("GCM" in suite or "CCM" in suite or "CHACHA" in suite)
                    for suite in suites(context)
                )
        assert pair[0].options & ssl.OP_CIPHER_SERVER_PREFERENCE
        assert pair[0].verify_mode is ssl.CERT_REQUIRED
        assert pair[0].verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN
        assert pair[1].check_hostname
        assert not pair[1].hostname_checks_common_name
        assert pair[1].verify_mode is ssl.CERT_REQUIRED
    oldest = {profile: pair[0].minimum_version for profile, pair in contexts.items()}
    assert oldest[TlsProfile.BCP195] is oldest[TlsProfile.MODIFIED_BCP195] is ssl.TLSVersion.TLSv1_2
    assert oldest[TlsProfile.TLS13_ONLY] is ssl.TLSVersion.TLSv1_3
    assert len(suites(contexts[TlsProfile.BCP195][0])) == 4
    assert "ECDHE-ECDSA-AES256-CCM" in suites(contexts[TlsProfile.MODIFIED_BCP195][0])
    assert "AES128-SHA" in suites(contexts[TlsProfile.UNSAFE_LEGACY][0])


def test_who_may_come_without_a_certificate(files: Files) -> None:
    assert server_context(replace(files.tls, client_certificate_required=False)).verify_mode is ssl.CERT_OPTIONAL
    assert server_context(ServerTls(files.gate.certificate, files.gate.key)).verify_mode is ssl.CERT_NONE


def test_facts(files: Files) -> None:
    device = files.ca.issue("ct1", names=["ct1.example", "10.1.2.3"], uris=["urn:x"])
    facts = read_certificate(device.certificate)
    assert facts == device.facts
    assert (facts.dns_names, facts.uris, facts.issuer) == (("ct1.example",), ("urn:x",), "CN=ca of the lab")
    assert (len(facts.sha256), len(facts.spki_sha256)) == (64, 64)
    with pytest.raises(ValueError, match="parsing"):
        facts_of(b"0\x82\x01\x00no certificate")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "connection reset by peer"),
        (OSError(), "connection lost"),
        (ssl.SSLEOFError(8, "EOF"), "connection closed amid the handshake"),
        (ssl.SSLError(1, "x"), "unknown TLS error"),
    ],
)
def test_reasons(error: OSError, said: str) -> None:
    assert reason(error) == said
