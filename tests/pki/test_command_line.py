"""`dicomgate pki`: what goes to stdout, what to stderr, the exit status, and that no secret is among it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dicomgate import cli
from dicomgate.cli.pki import pki as commands_of_pki
from pki.scene import secret

WORDS = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    stdout: str
    stderr: str


Pki = Callable[..., Ended]


@pytest.fixture
def pki(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pki:
    """Runs `dicomgate pki …` in an empty folder with a file `pw`; no output may hold the passphrase or a key."""
    monkeypatch.chdir(tmp_path)
    secret(tmp_path / "pw", WORDS)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dicomgate", "pki", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        for text in (out, err):
            assert WORDS not in text
            assert "PRIVATE KEY" not in text
        code = caught.value.code
        return Ended(code if isinstance(code, int) else 0, out, err)

    return run


@pytest.fixture
def ready(pki: Pki) -> Pki:
    made = pki("init", "pki", "--name", "North Clinic", "--permit", "north.example", "--passphrase-file", "pw")
    assert (made.status, "may vouch for north.example" in made.stdout) == (0, True)
    return pki


CT1 = ("issue", "ct-1", "--ae", "CT1", "--host", "ct1.north.example", "--passphrase-file", "pw")


def test_a_day_at_the_site(ready: Pki, tmp_path: Path) -> None:
    issued = ready(*CT1, "--keystore-passphrase-file", "pw", "--days", "100")
    assert issued.status == 0
    assert "echoscu +tls pki/devices/ct-1/key.pem" in issued.stdout
    assert "until" in issued.stderr
    assert ready("show", "ct-1").stdout == issued.stdout
    assert ready("renew", "ct-1", "--same-key", "--passphrase-file", "pw").status == 0

    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    (tmp_path / "mr1.csr").write_bytes(request.public_bytes(Encoding.PEM))
    imported = ready("import", "mr-1", "mr1.csr", "--ae", "MR1", "--client", "--passphrase-file", "pw")
    assert imported.status == 0
    assert "key.pem" not in imported.stdout

    assert ready("revoke", "mr-1", "--reason", "key-compromise", "--passphrase-file", "pw").status == 0
    assert ready("crl", "--days", "10", "--passphrase-file", "pw").stdout.count(" until ") == 2
    rows = [json.loads(line) for line in ready("list", "--json").stdout.splitlines()]
    assert [(row["kind"], row["name"], row["state"]) for row in rows] == [
        ("root", "North Clinic", "valid"),
        ("issuing", "North Clinic", "valid"),
        ("root-crl", "North Clinic", "valid"),
        ("issuing-crl", "North Clinic", "valid"),
        ("device", "ct-1", "valid"),
        ("device", "ct-1", "valid"),
        ("device", "mr-1", "revoked"),
    ]
    assert len(ready("list").stdout.splitlines()) == len(rows) + 1
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "pw":
            assert WORDS.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("issue", "ct/1", "--ae", "CT1", "--host", "ct1.north.example"), "NAME: expected 1 to 63 letters"),
        (("issue", "ct-1", "--ae", "CT*", "--host", "ct1.north.example"), "--ae: expected 1 to 16"),
        (("issue", "ct-1", "--ae", "CT1", "--host", "*.north.example"), "--host: expected a DNS name"),
        (("issue", "ct-1", "--ae", "CT1", "--host", "ct1.south.example"), "--host: "),
        (("issue", "ct-1", "--ae", "CT1"), "--host: expected a host or an address"),
        (("issue", "ct-1", "--ae", "CT1", "--client", "--both"), "--server: came together"),
        ((*CT1[:-2],), "--passphrase-file: a passphrase is needed"),
        ((*CT1[:-1], "nowhere"), "nowhere: does not exist"),
        ((*CT1, "--ca", "nowhere"), "nowhere/root.pem: does not exist"),
        (("renew", "ct-9", "--passphrase-file", "pw"), "pki/devices/ct-9: "),
        (("renew", "ct-9", "--same-key", "--csr", "x"), "--same-key: came together"),
        (("import", "ct-9", "nothing.csr", "--ae", "X", "--client"), "nothing.csr: does not exist"),
        (("revoke", "ct-9", "--passphrase-file", "pw"), '"ct-9": is neither'),
        (("init", "pki", "--name", "N", "--permit", "any"), "pki: exists already"),
        (("init", "new", "--name", "N"), "--permit: expected the DNS suffixes"),
        (("list", "--ca", "."), "root.pem: does not exist"),
    ],
)
def test_a_mistake_has_place_and_hint(
    ready: Pki, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    ended = ready(*arguments)
    assert (ended.status, ended.stdout) == (cli.WRONG, "")
    first, hint = ended.stderr.splitlines()
    assert first.startswith(f"dicomgate: error: {said}")
    assert hint.startswith("  hint: ")


def test_unencrypted_keys_are_warned_of(pki: Pki) -> None:
    made = pki("init", "pki", "--name", "North Clinic", "--permit", "any")
    assert made.status == 0
    assert "whoever can read it can be any device" in made.stderr
    assert "may vouch for any name" in made.stderr


def test_no_passphrase_can_be_given_as_an_argument(pki: Pki, tmp_path: Path) -> None:
    commands = typer.main.get_command(commands_of_pki).commands  # type: ignore[attr-defined]
    options = {name for command in commands.values() for option in command.params for name in option.opts}
    assert {name for name in options if "pass" in name} == {
        "--passphrase",
        "--passphrase-file",
        "--keystore-passphrase-file",
    }
    refused = pki("init", "pki", "--name", "N", "--permit", "any", "--passphrase", "something")
    assert refused.status == cli.WRONG
    assert not (tmp_path / "pki").exists()
