"""What `check` says of the files that verifiers of the kinds ldap and kerberos name."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dicomgate.config.load import load
from dicomgate.config.problem import ConfigurationError, Problem, Severity
from lab.pki import DAY, Authority

REST = """
[[listener]]
name = "inside"
bind = "10.1.1.5:104"
networks = ["10.1.0.0/16"]
[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"
"""
LDAP = """
[[verifier]]
name = "staff"
kind = "ldap"
servers = "ldaps://ldap.clinic.example"
ca = "ca.crt"
bind_dn = "cn=gate,dc=clinic,dc=example"
user_base = "ou=people,dc=clinic,dc=example"
bind_passcode_file = "passcode"
"""
SERVICE = "dicom/gate.clinic.example@CLINIC.EXAMPLE"
KERBEROS = f"""
[[role]]
name = "reader"
may = ["find"]
[[verifier]]
name = "domain"
kind = "kerberos"
keytab = "dicom.keytab"
principal = "{SERVICE}"
roles = ["reader"]
"""


def said(directory: Path, table: str, key: str) -> list[Problem]:
    """The problems with one key of the verifier."""
    (directory / "gate.toml").write_text(REST + table, encoding="utf-8")
    try:
        problems = load(directory / "gate.toml").warnings
    except ConfigurationError as error:
        problems = error.problems
    return [problem for problem in problems if problem.key.endswith(f"].{key}")]


def keytab(*principals: str) -> bytes:
    content = b"\x05\x02"
    for principal in principals:
        name, _, realm = principal.rpartition("@")
        words = [realm, *name.split("/")]
        entry = struct.pack(">H", len(words) - 1)
        entry += b"".join(struct.pack(">H", len(word)) + word.encode() for word in words) + bytes(40)
        content += struct.pack(">i", len(entry)) + entry
    return content


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where everything is as it should be."""
    authority = Authority(tmp_path)
    assert authority.certificate == tmp_path / "ca.crt"
    for name, content in (("passcode", b"secret\n"), ("dicom.keytab", keytab("host/x@X", SERVICE))):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.mark.parametrize(
    ("table", "keys"), [(LDAP, ["ca", "bind_passcode_file"]), (KERBEROS, ["keytab", "kind"])], ids=["ldap", "kerberos"]
)
def test_nothing_is_said_of_good_files(
    directory: Path, table: str, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", ModuleType("gssapi"))  # as if the extra were installed
    assert [problem for key in keys for problem in said(directory, table, key)] == []


@pytest.mark.parametrize(
    ("table", "key", "file"),
    [(LDAP, "ca", "ca.crt"), (LDAP, "bind_passcode_file", "passcode"), (KERBEROS, "keytab", "dicom.keytab")],
)
@pytest.mark.parametrize("wrong", ["missing", "a directory", "empty", "binary", "huge"])
def test_a_file_that_cannot_be_used_is_an_error(directory: Path, table: str, key: str, file: str, wrong: str) -> None:
    path = directory / file
    path.unlink()
    match wrong:
        case "a directory":
            path.mkdir()
        case "empty":
            path.write_bytes(b"")
        case "binary":
            path.write_bytes(b"\xff\x00" * 20)
        case "huge":
            path.write_bytes(b"x" * 5_000_000)
    (problem,) = said(directory, table, key)
    assert problem.severity is Severity.ERROR
    assert file in problem.text


@pytest.mark.parametrize(
    ("table", "key", "file"), [(LDAP, "bind_passcode_file", "passcode"), (KERBEROS, "keytab", "dicom.keytab")]
)
def test_a_secret_that_everybody_may_read_is_a_warning(directory: Path, table: str, key: str, file: str) -> None:
    (directory / file).chmod(0o604)
    (problem,) = said(directory, table, key)
    assert problem.severity is Severity.WARNING
    assert "every user of this machine may read" in problem.text
    (directory / file).chmod(0o640)
    assert said(directory, table, key) == []


def test_a_keytab_for_others_is_an_error(directory: Path) -> None:
    (directory / "dicom.keytab").write_bytes(keytab("host/gate.clinic.example@CLINIC.EXAMPLE"))
    (problem,) = said(directory, KERBEROS, "keytab")
    assert problem.severity is Severity.ERROR
    assert f"expected a key of {SERVICE}" in problem.text
    assert "came keys of host/gate.clinic.example@CLINIC.EXAMPLE" in problem.text


def test_an_authority_that_ends_soon_is_a_warning(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomgate.config.load.time.time", lambda: _ends(directory) - 3 * DAY.total_seconds())
    (problem,) = said(directory, LDAP, "ca")
    assert problem.severity is Severity.WARNING


def _ends(directory: Path) -> float:
    from cryptography import x509

    return x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes()).not_valid_after_utc.timestamp()


def test_a_passcode_that_the_environment_lacks_is_a_warning(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = LDAP.replace('bind_passcode_file = "passcode"', 'bind_passcode_env = "GATE_LDAP_PASSCODE"')
    monkeypatch.delenv("GATE_LDAP_PASSCODE", raising=False)
    (problem,) = said(directory, table, "bind_passcode_env")
    assert problem.severity is Severity.WARNING
    monkeypatch.setenv("GATE_LDAP_PASSCODE", "secret")
    assert said(directory, table, "bind_passcode_env") == []


def test_without_the_package_it_says_how_to_get_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    (problem,) = said(directory, KERBEROS, "kind")
    assert problem.severity is Severity.ERROR
    assert problem.hint == 'pip install "dicomgate[kerberos]"'


def test_no_secret_is_ever_said(directory: Path) -> None:
    (directory / "passcode").write_bytes(b"hunter2 hunter2\x00\n")
    problems = said(directory, LDAP, "bind_passcode_file")
    assert problems
    assert all("hunter2" not in str(problem) for problem in problems)
