"""Rules and tunnel together: nothing changes when it can be known to fail, and nothing is left half done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from channel.scene import ipsec_channel, wireguard_channel, with_end
from dicomgate.channel import guard, keys, observe, vici, wg, words
from dicomgate.channel.model import Authentication, Channel, Termination
from dicomgate.channel.problem import ChannelError

TABLE = "dicomgate_channel_hospital-cloud"


class Kernel:
    """Stands in for nft: one table or none; it can be told to refuse."""

    def __init__(self) -> None:
        self.rules: str | None = None
        self.changes: list[str] = []
        self.refuses = False

    def run(self, arguments: list[str], *, text: str = "", **_: object) -> str:
        assert arguments[0] == "nft"
        if "tables" in arguments:
            return json.dumps({"nftables": [] if self.rules is None else [{"table": {"name": TABLE}}]})
        if "list" in arguments:
            rule = {"chain": "output", "table": TABLE, "expr": []}
            chain = {"name": "output", "hook": "output", "prio": 0}
            return json.dumps({"nftables": [{"chain": chain}, {"rule": rule}]})
        if self.refuses:
            raise ChannelError("nft -j -f failed: syntax error", "")
        self.changes.append("deleted" if "delete" in arguments else "loaded")
        self.rules = None if "delete" in arguments else text
        return ""


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(observe, "run", made.run)
    return made


@pytest.fixture
def psk(tmp_path: Path) -> Channel:
    keys.ensure(tmp_path / "psk", "psk_file", keys.new_shared_secret)
    return ipsec_channel(authentication=Authentication.PSK, ca=None, psk_file=tmp_path / "psk")


def fails(*_: object) -> None:
    raise ChannelError("it failed", "")


def test_strongswan_that_does_not_run_changes_nothing(kernel: Kernel, psk: Channel, tmp_path: Path) -> None:
    pytest.importorskip("vici")
    with pytest.raises(ChannelError, match="is charon running"):
        observe.apply(psk, psk.ends[0], vici_socket=tmp_path / "vici")
    assert kernel.changes == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_of_everybody_changes_nothing(kernel: Kernel, psk: Channel, mode: int) -> None:
    assert psk.psk_file is not None
    psk.psk_file.chmod(mode)
    with pytest.raises(ChannelError, match=r"channel\[hospital-cloud\]\.psk_file: .*others can read or change"):
        observe.apply(psk, psk.ends[0])
    assert kernel.changes == []


def test_files_of_certificates_are_judged_too(kernel: Kernel, tmp_path: Path) -> None:
    for name in ("chain.pem", "ca.pem", "key.pem"):
        (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
        (tmp_path / name).chmod(0o600)
    channel = with_end(
        ipsec_channel(ca=tmp_path / "ca.pem"), 0, certificate=tmp_path / "chain.pem", private_key=tmp_path / "key.pem"
    )
    for name, mode, key in (
        ("key.pem", 0o644, "ends.key"),
        ("ca.pem", 0o666, "ca"),
        ("chain.pem", 0o664, "ends.certificate"),
    ):
        (tmp_path / name).chmod(mode)
        with pytest.raises(ChannelError) as told:
            observe.apply(channel, channel.ends[0], vici_socket=tmp_path / "vici")
        assert f"channel[hospital-cloud].{key}: {tmp_path / name}: others can" in told.value.text
        assert "chmod" in told.value.hint
        (tmp_path / name).chmod(0o600)
    assert kernel.changes == []


def test_rules_that_nft_refuses_leave_the_tunnel_alone(
    kernel: Kernel, psk: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.refuses = True
    monkeypatch.setattr(vici, "look", lambda *_: None)
    monkeypatch.setattr(vici, "apply", lambda *_: pytest.fail("the tunnel was touched"))
    with pytest.raises(ChannelError, match="nft -j -f failed"):
        observe.apply(psk, psk.ends[0])


@pytest.mark.parametrize("before", [None, "rules of an earlier apply"])
def test_a_tunnel_that_fails_takes_new_rules_with_it_and_no_others(
    kernel: Kernel, psk: Channel, before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.rules = before
    monkeypatch.setattr(vici, "look", lambda *_: None)
    monkeypatch.setattr(vici, "apply", fails)
    with pytest.raises(ChannelError, match="it failed"):
        observe.apply(psk, psk.ends[0])
    assert kernel.changes == (["loaded", "deleted"] if before is None else ["loaded"])
    assert (kernel.rules is None) is (before is None)


def test_on_another_machine_only_rules_are_loaded(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wg, "apply", lambda *_: pytest.fail("there is no tunnel here"))
    for changes in ({"mark": 7}, {"interface": "vlan7"}):
        channel = with_end(wireguard_channel(), 0, termination=Termination.ROUTER, **changes)
        observe.apply(channel, channel.ends[0])
        assert kernel.rules == guard.table(channel, channel.ends[0])
        assert words.table(channel) in kernel.rules
    assert kernel.changes == ["loaded", "loaded"]
    nothing = with_end(wireguard_channel(), 0, termination=Termination.ROUTER)
    observe.apply(nothing, nothing.ends[0])
    assert kernel.changes == ["loaded", "loaded"]
