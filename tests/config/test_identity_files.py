"""What `dicomgate check` says of the files that verifiers and `[login]` name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from dicomgate.config import identity_files
from dicomgate.config.load import load
from dicomgate.config.problem import ConfigurationError, Problem
from iam.oidc.issuer import key_set
from lab.pki import Authority
from lab.saml_provider import ENTITY, SamlProvider, metadata

GATE = """
[[listener]]
name = "inside"
bind = "127.0.0.1:11112"
networks = ["127.0.0.1"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "127.0.0.1:11113"

[[peer]]
name = "workstation"
ae_titles = ["WS1"]
networks = ["127.0.0.1"]
may = ["echo"]
"""
OIDC = 'kind = "oidc"\nissuer = "https://login.clinic.example"\naudience = "dicomgate"\n'
SAML = 'kind = "saml"\naudience = "https://gate.clinic.example"\n'
Check = Callable[[str], list[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def problems(text: str) -> tuple[Problem, ...]:
        file = tmp_path / "gate.toml"
        table = text if text.startswith("[") else f'[[verifier]]\nname = "staff"\n{text}'
        file.write_text(f"{GATE}\n{table}")
        try:
            return load(file).warnings
        except ConfigurationError as error:
            return error.problems

    def check(text: str) -> list[str]:
        said = (str(problem) for problem in problems(text) if problem.key.startswith(("verifier", "login")))
        return [line.partition("gate.toml:")[2].partition("\n")[0] for line in said]

    return check


@pytest.fixture
def idp(tmp_path: Path) -> SamlProvider:
    pytest.importorskip("signxml", reason="the extra dicomgate[saml] is not installed")
    return SamlProvider(tmp_path)


def test_good_files_are_not_mentioned(check: Check, tmp_path: Path, idp: SamlProvider) -> None:
    Authority(tmp_path)
    (tmp_path / "keys.json").write_text(json.dumps(key_set()))
    (tmp_path / "secret").write_text("secret\n")
    (tmp_path / "secret").chmod(0o600)
    files = 'ca = "ca.crt"\njwks = "keys.json"\nclient_id = "gate"\nclient_secret_file = "secret"\n'
    assert check(OIDC + files) == []
    assert check(SAML + 'metadata = "idp.xml"') == []
    assert check(SAML + f'issuer = "{ENTITY}"\ncertificates = ["idp.crt"]') == []
    assert check('[login]\nissuer = "https://login.clinic.example"\nclient_id = "desk"\nca = "ca.crt"') == []


@pytest.mark.usefixtures("idp")
def test_missing_files(check: Check, tmp_path: Path) -> None:
    absent = str(tmp_path / "absent")
    assert check(OIDC + 'ca = "absent"') == [f"verifier[staff].ca: error: expected a file, but there is no {absent}"]
    for text, key in (
        (OIDC + 'jwks = "absent"', "jwks"),
        (SAML + 'metadata = "absent"', "metadata"),
        (SAML + 'issuer = "x"\ncertificates = ["absent"]', "certificates"),
    ):
        missing = f"error: expected a readable file, came {absent}: no such file or directory"
        assert check(text) == [f"verifier[staff].{key}: {missing}"]
    assert check(OIDC + 'client_id = "gate"\nclient_secret_file = "absent"') == [
        f"verifier[staff].client_secret_file: error: {absent} cannot be read: no such file or directory"
    ]
    login = '[login]\nissuer = "https://login.clinic.example"\nclient_id = "desk"\nca = "absent"'
    assert check(login) == [f"login.ca: error: expected a file, but there is no {absent}"]


@pytest.mark.usefixtures("idp")
def test_files_of_something_else(check: Check, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("hunter2\nhunter2\n")
    for text, key in (
        (OIDC + 'ca = "other"', "ca"),
        (OIDC + 'jwks = "other"', "jwks"),
        (OIDC + 'client_id = "gate"\nclient_secret_file = "other"', "client_secret_file"),
        (SAML + 'metadata = "other"', "metadata"),
        (SAML + 'issuer = "x"\ncertificates = ["other"]', "certificates"),
    ):
        (said,) = check(text)
        assert said.startswith(f"verifier[staff].{key}: error: expected") or f"{key}: error: {other}" in said
        assert "hunter2" not in said
    other.write_text(metadata(ENTITY))
    (said,) = check(SAML + 'metadata = "other"')
    assert "expected an entityID and a signing certificate" in said
    other.write_text(json.dumps({"keys": []}))
    (said,) = check(OIDC + 'jwks = "other"')
    assert "expected a public key" in said


def test_a_secret_that_everybody_may_read(check: Check, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o644)
    (said,) = check(OIDC + 'client_id = "gate"\nclient_secret_file = "secret"')
    assert said.startswith("verifier[staff].client_secret_file: warning: every user of this machine may read")


def test_a_variable_need_not_be_there_for_who_checks(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    text = OIDC + 'client_id = "gate"\nclient_secret_env = "DICOMGATE_TEST_SECRET"'
    monkeypatch.delenv("DICOMGATE_TEST_SECRET", raising=False)
    (said,) = check(text)
    assert said.startswith("verifier[staff].client_secret_env: warning: expected a secret")
    monkeypatch.setitem(os.environ, "DICOMGATE_TEST_SECRET", "secret")
    assert check(text) == []


@pytest.mark.usefixtures("idp")
def test_certificates_that_end(check: Check, tmp_path: Path) -> None:
    for ends, word in ((timedelta(days=5), "expires within 7 days"), (-timedelta(hours=1), "expired on")):
        leaf = Authority(tmp_path / "idp").issue("idp", begins=-timedelta(days=9), ends=ends, self_signed=True).leaf
        (tmp_path / "idp.xml").write_text(metadata(ENTITY, leaf.public_bytes(Encoding.DER)))
        (said,) = check(SAML + 'metadata = "idp.xml"')
        assert said.startswith("verifier[staff].metadata: warning: the certificate of CN=idp")
        assert word in said


def test_a_package_that_is_not_installed(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(identity_files, "find_spec", absent)
    assert check(SAML + 'metadata = "idp.xml"') == [
        "verifier[staff].kind: error: expected the package lxml, but it is not installed"
    ]
