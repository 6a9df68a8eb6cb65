"""What is rendered for each end, against files that an administrator may read; and what is not rendered at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from channel.scene import ipsec_channel, wireguard_channel, with_end
from dicomgate.channel import guard, ipsec, sheet, wireguard, words
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, Start, Termination
from dicomgate.channel.problem import ChannelError

GOLDEN = Path(__file__).parent / "golden"
PSK = ipsec_channel(authentication=Authentication.PSK, ca=None, psk_file=Path("/etc/dicomgate/keys/psk"), ports=())
TRAP = ipsec_channel(start=Start.TRAP)
WITH_INTERFACE = with_end(ipsec_channel(), 0, interface="ipsec0")
ROUTER = with_end(ipsec_channel(), 1, termination=Termination.ROUTER)
APART = with_end(wireguard_channel(), 0, termination=Termination.SEPARATE_HOST, interface="vlan7")
MARKED = with_end(wireguard_channel(), 0, termination=Termination.SEPARATE_HOST, mark=7)
DYNAMIC = with_end(wireguard_channel(), 0, address=None)
CASES: dict[str, tuple[Callable[[Channel, ChannelEnd], str], Channel, int]] = {
    "ipsec-ours.conf": (ipsec.swanctl_conf, ipsec_channel(), 0),
    "ipsec-theirs.conf": (ipsec.swanctl_conf, ipsec_channel(), 1),
    "ipsec-psk.conf": (ipsec.swanctl_conf, PSK, 0),
    "ipsec-trap.conf": (ipsec.swanctl_conf, TRAP, 0),
    "ipsec-router.txt": (sheet.sheet, ROUTER, 1),
    "ipsec-kernel.nft.json": (guard.table, ipsec_channel(), 0),
    "ipsec-interface.nft.json": (guard.table, WITH_INTERFACE, 0),
    "wireguard-ours.conf": (wireguard.configuration, wireguard_channel(), 0),
    "wireguard-dynamic.conf": (wireguard.configuration, DYNAMIC, 0),
    "wireguard-router.txt": (sheet.sheet, wireguard_channel(), 1),
    "wireguard-marked.nft.json": (guard.table, MARKED, 0),
    "wireguard.nft.json": (guard.table, wireguard_channel(), 0),
}


@pytest.mark.parametrize("name", CASES)
def test_rendered(name: str) -> None:
    render, channel, end = CASES[name]
    assert render(channel, channel.ends[end]) == (GOLDEN / name).read_text("utf-8")


def test_every_golden_file_has_its_case() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == CASES.keys()


def test_a_shared_secret_stands_in_a_file_of_its_own() -> None:
    assert "secret = aGFsbG8=" in ipsec.secrets_conf(PSK, PSK.ends[0], "aGFsbG8=")
    assert "aGFsbG8=" not in ipsec.swanctl_conf(PSK, PSK.ends[0])
    with pytest.raises(ChannelError, match="base64"):
        ipsec.secrets_conf(PSK, PSK.ends[0], 'x"\n}')


def test_one_of_two_ends_begins() -> None:
    channel = ipsec_channel()
    assert [ipsec.initiates(channel, end) for end in channel.ends] == [False, True]
    dynamic = with_end(channel, 0, address=None)
    assert [ipsec.initiates(dynamic, end) for end in dynamic.ends] == [True, False]
    assert [ipsec.initiates(TRAP, end) for end in TRAP.ends] == [False, False]


HOSTILE = ("a;reboot", "$(reboot)", "a b", "a\nb", "a'b", 'a"b', "a`b", "../a", "a{b", "", "ä")


@pytest.mark.parametrize("text", HOSTILE)
def test_names_with_metacharacters_are_refused(text: str) -> None:
    for render, channel, number in CASES.values():
        hostile = replace(channel, name=text)
        with pytest.raises(ChannelError):
            render(hostile, hostile.ends[number])


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in ("a b", "")])
def test_identities_hosts_and_interfaces_too(text: str) -> None:
    for channel in (with_end(ipsec_channel(), 0, identity=text), with_end(ipsec_channel(), 1, address=text)):
        with pytest.raises(ChannelError):
            ipsec.swanctl_conf(channel, channel.ends[0])
    for channel in (
        with_end(wireguard_channel(), 0, interface=text),
        with_end(wireguard_channel(), 1, public_key=text),
    ):
        with pytest.raises(ChannelError):
            wireguard.configuration(channel, channel.ends[0])


@pytest.mark.parametrize("text", ["/etc/$(reboot)", "/etc/a b", "relative", "/etc/a;b", "/etc/a\nb"])
def test_paths_that_a_shell_would_read_differently_are_refused(text: str) -> None:
    channel = with_end(wireguard_channel(), 0, private_key=Path(text))
    with pytest.raises(ChannelError, match="plain absolute path"):
        wireguard.configuration(channel, channel.ends[0])


def test_what_is_missing_is_named() -> None:
    for changes, key in (({"private_key": None}, "key"), ({"tunnel_address": None}, "tunnel_address")):
        channel = with_end(wireguard_channel(), 0, **changes)
        with pytest.raises(ChannelError, match=rf"ends\.{key}"):
            wireguard.configuration(channel, channel.ends[0])
    stranger = with_end(wireguard_channel(), 1, public_key=None)
    with pytest.raises(ChannelError, match="public_key"):
        wireguard.device_arguments(stranger, stranger.ends[0])
    nameless = with_end(ipsec_channel(), 1, identity=None)
    with pytest.raises(ChannelError, match="identity"):
        ipsec.connection(nameless, nameless.ends[0])


def test_without_interface_and_mark_nothing_tells_cleartext_from_the_rest() -> None:
    for channel in (ipsec_channel(), wireguard_channel()):
        elsewhere = with_end(channel, 0, termination=Termination.SEPARATE_HOST)
        with pytest.raises(ChannelError, match="interface"):
            guard.table(elsewhere, elsewhere.ends[0])


def test_a_tunnel_host_has_its_own_interface_and_rules() -> None:
    """`interface` is the gate host's; the files for the machine where the tunnel ends do not know it."""
    assert words.interface(APART, APART.ends[0]) == "vlan7"
    assert words.interface(MARKED, MARKED.ends[0]) is None
    assert words.device(APART, APART.ends[0]) == words.interface(wireguard_channel(), wireguard_channel().ends[0])
    here = wireguard_channel()
    assert wireguard.configuration(APART, APART.ends[0]) == wireguard.configuration(here, here.ends[0])
    assert guard.table(*guard.where_it_ends(APART, APART.ends[0])) == guard.table(here, here.ends[0])
    assert "vlan7" in guard.table(APART, APART.ends[0])


def test_interfaces_of_long_names_differ() -> None:
    one, other = (wireguard_channel(name=f"hospital-number-{number}") for number in (1, 2))
    names = {words.interface(each, each.ends[0]) for each in (one, other)}
    assert len(names) == 2
    assert all(name is not None and len(name) <= 15 for name in names)


def test_the_rules_are_recognised_when_nft_lists_them() -> None:
    import json

    channel = wireguard_channel()
    own = channel.ends[0]
    loaded = json.loads(guard.table(channel, own))["nftables"]
    listing = {"nftables": [{"metainfo": {"version": "1.0.6"}}, *(each["add"] for each in loaded if "add" in each)]}
    assert guard.listed(json.dumps(listing), channel, own) == guard.rules(channel, own)
    for answer in ("", "[]", '{"nftables": 1}', '{"nftables": [{"rule": {}}]}', "garbage"):
        with pytest.raises(ChannelError):
            guard.listed(answer, channel, own)


def test_rules_in_a_chain_without_its_hook_do_not_count() -> None:
    import json

    channel = wireguard_channel()
    loaded = json.loads(guard.table(channel, channel.ends[0]))["nftables"]
    entries = [each["add"] for each in loaded if "add" in each]
    for entry in entries:
        if "chain" in entry and entry["chain"]["name"] == "output":
            del entry["chain"]["hook"]
    assert "output" not in {
        chain for chain, _ in guard.listed(json.dumps({"nftables": entries}), channel, channel.ends[0])
    }
