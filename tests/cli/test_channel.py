"""`dicomgate channel`: what is printed and written, and how it ends where nothing can be asked."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomgate import cli
from dicomgate.assess.checks import exp07_channel_bypass, exp08_channel_identity
from dicomgate.assess.inputs import read_channels
from dicomgate.assess.model import Outcome

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "channel-verify.md"

GATE = """
[[site]]
name = "hospital"
own = true
networks = ["10.1.0.0/16"]
address = "203.0.113.10"

[[site]]
name = "cloud"
networks = ["10.20.1.0/24"]
address = "198.51.100.20"

[[channel]]
name = "cloud"
kind = "wireguard"
psk_file = "psk"
[[channel.ends]]
site = "hospital"
key = "wg.key"
tunnel_address = "10.1.99.1/30"
[[channel.ends]]
site = "cloud"
public_key = "VUGzQ+Uf1xdMcHWy6CdXBxDgGSnJdbDDzQfDIXXUr3U="
tunnel_address = "10.20.1.2/30"
termination = "router"

[[channel]]
name = "secret"
kind = "ipsec"
authentication = "psk"
psk_file = "psk"
[[channel.ends]]
site = "hospital"
networks = ["10.1.7.0/24"]
[[channel.ends]]
site = "paris"

[[site]]
name = "paris"
networks = ["10.30.0.0/16"]
address = "192.0.2.7"

[[listener]]
name = "inside"
bind = "10.1.1.5:104"
networks = ["10.1.0.0/16"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.2.31"]
assurance = "address"
may = ["echo"]
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`dicomgate channel VERB -c gate.toml …`: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("gate.toml").write_text(GATE, encoding="utf-8")

    def go(verb: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["dicomgate", "channel", verb, "-c", "gate.toml", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return go


def test_keys_are_made_and_never_printed(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("keys")
    assert code == 0
    assert [line.split()[-1] for line in out.splitlines()] == ["made", "made", "present"]
    for name in ("wg.key", "psk"):
        path = tmp_path / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().strip() not in out
    again = run("keys", "--channel", "cloud")[1]
    assert again.split()[2] == out.split()[2]
    coming = run("keys", "--channel", "cloud", "--prepare")[1]
    assert coming.split()[2] != out.split()[2]
    active = run("keys", "--channel", "cloud", "--activate")[1]
    assert active.split()[2] == coming.split()[2]
    assert run("keys", "--prepare", "--activate")[0] == 2


def test_files_are_written_and_secrets_are_for_the_owner(run: Run, tmp_path: Path) -> None:
    run("keys")
    code, out, err = run("render", "--output", "files")
    assert (code, err) == (0, "")
    names = {Path(line).name for line in out.splitlines()}
    assert names == {
        "wg-cloud.conf",
        "cloud.nft.json",
        "cloud-cloud.txt",
        "secret.conf",
        "secret-secret.conf",
        "secret.nft.json",
    }
    assert stat.S_IMODE((tmp_path / "files" / "secret-secret.conf").stat().st_mode) == 0o600
    assert (tmp_path / "psk").read_text().strip() in (tmp_path / "files" / "secret-secret.conf").read_text()


def test_the_other_end_and_a_secret_that_is_not_printed(run: Run, tmp_path: Path) -> None:
    run("keys")
    code, out, _ = run("render", "--channel", "secret", "--end", "paris")
    assert code == 0
    assert "# ---- secret.conf" in out
    assert "remote_addrs = 203.0.113.10" in out
    assert (tmp_path / "psk").read_text().strip() not in out


def test_what_cannot_be_is_said(run: Run) -> None:
    assert run("render", "--channel", "nowhere")[0] == 2
    assert run("render", "--channel", "cloud", "--end", "paris")[0] == 2
    code, _, err = run("verify", "--echo", "nonsense")
    assert code == 2
    assert "--echo" in err
    assert run("verify", "--calling", "A\\B")[0] == 2


def test_a_tunnel_that_is_not_there_is_down_and_no_proof(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no wg, no nft
    code, out, _ = run("status", "--json", "--channel", "cloud")
    row = json.loads(out)
    assert (code, row["channel"], row["kind"], row["up"]) == (1, "cloud", "wireguard", False)
    assert "wg is not installed" in row["reason"]
    code, out, _ = run("verify", "--json", "--channel", "cloud")
    failed = {row["check"] for row in map(json.loads, out.splitlines()) if not row["ok"]}
    assert code == 1
    assert failed == {"up", "secrets", "route", "cleartext", "echo"}
    code, _, err = run("apply", "--channel", "cloud")
    assert code == 2
    assert "channel[cloud].ends.key: " in err  # the first thing that is wrong, before anything is changed
    assert "dicomgate channel keys" in err
    run("keys")
    code, _, err = run("apply", "--channel", "cloud")
    assert code == 2
    assert "wg is not installed" in err


def test_the_assessor_reads_what_verify_writes(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no wg, no nft
    run("keys")
    code, _, err = run("verify", "--output", "verified.json")
    assert (code, err) == (1, "")
    document = json.loads((tmp_path / "verified.json").read_text("utf-8"))
    assert (document["gate"], document["ok"]) == ("dicomgate", False)
    cloud, secret = read_channels(tmp_path / "verified.json")
    assert (cloud.name, cloud.mutual, cloud.shared_key_days) == ("cloud", True, 0)
    assert (secret.name, secret.mutual, secret.shared_key_days) == ("secret", False, 0)
    assert {finding.check for finding in cloud.findings if not finding.seen} == {"up", "cleartext", "echo"}
    unseen = exp07_channel_bypass.judge(exp07_channel_bypass.Seen(channels=(cloud,)))
    assert unseen.outcome is Outcome.INCONCLUSIVE, unseen.why
    assert exp08_channel_identity.judge((cloud,)).outcome is Outcome.INCONCLUSIVE
    assert exp08_channel_identity.judge((secret,)).outcome is Outcome.FAIL
    assert run("verify", "--output", "no/such/folder/verified.json")[0] == 2


def test_every_key_of_the_result_is_documented(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    run("verify", "--output", "verified.json")
    document = json.loads((tmp_path / "verified.json").read_text("utf-8"))
    channel = document["channels"][0]
    keys = {*document, *(f"channels.{key}" for key in channel), *(f"findings.{key}" for key in channel["findings"][0])}
    rows = re.findall(r"^\| (`[^|]*) \|", REFERENCE.read_text("utf-8"), re.MULTILINE)
    documented = re.findall(r"`([a-z_.]+)`", "".join(rows))
    assert keys - {"channels.findings"} <= set(documented)
