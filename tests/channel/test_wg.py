"""What wg tells, and how an interface is made: by commands that are noted here instead of run."""

from __future__ import annotations

from pathlib import Path

import pytest

from channel.scene import THEIR_KEY, wireguard_channel, with_end
from dicomgate.channel import keys, programs, wg, words
from dicomgate.channel.model import Channel
from dicomgate.channel.problem import ChannelError

DUMP = (
    "cHJpdmF0ZQ==\tVUGzQ+Uf1xdMcHWy6CdXBxDgGSnJdbDDzQfDIXXUr3U=\t51820\toff\n"
    f"{THEIR_KEY}\t(none)\t198.51.100.20:51821\t10.99.0.1/32,10.20.1.0/24\t1000\t300\t200\t10\n"
    "x\tcHNr\t(none)\t(none)\t0\t0\t0\toff\n"
)


def test_a_dump_is_read_and_its_private_key_is_not_kept() -> None:
    device = wg.parse_dump(DUMP)
    assert (device.port, len(device.peers)) == (51820, 2)
    ours, stranger = device.peers
    assert ours.allowed_ips == ("10.20.1.0/24", "10.99.0.1/32")
    assert (ours.preshared, ours.handshake, ours.received, ours.sent) == (False, 1000, 300, 200)
    assert (stranger.preshared, stranger.endpoint, stranger.allowed_ips) == (True, None, ())
    assert "cHJpdmF0ZQ" not in repr(device)


@pytest.mark.parametrize("text", ["", "a\tb\n", "a\tb\tc\td\n", DUMP + "short\n"])
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(ChannelError, match="not understood"):
        wg.parse_dump(text)


def test_life() -> None:
    channel = wireguard_channel()
    device = wg.parse_dump(DUMP)
    assert wg.judge_life(channel, channel.ends[0], device, 1179).wrong is None
    assert wg.judge_life(channel, channel.ends[0], device, 1180).wrong == "the last handshake is too old"
    unknown = with_end(channel, 1, public_key="9" * 43 + "=")
    assert "public key" in (wg.judge_life(unknown, unknown.ends[0], device, 1000).wrong or "")


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    private, _ = keys.ensure(tmp_path / "wg.key", "key", keys.new_private_key)
    made = wireguard_channel(psk_file=None)
    return with_end(made, 0, private_key=tmp_path / "wg.key", public_key=keys.public_key(private))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Every command; an interface is there once it was added."""
    found: list[list[str]] = []
    interfaces = tmp_path / "net"
    interfaces.mkdir()

    def run(arguments: list[str], **_: object) -> str:
        found.append(list(arguments))
        if "type" in arguments:
            (interfaces / arguments[4]).mkdir()
        return DUMP if arguments[0] == "wg" and arguments[-1] == "dump" else ""

    monkeypatch.setattr(wg, "run", run)
    monkeypatch.setattr(wg.shutil, "which", lambda program: program)
    monkeypatch.setattr(wg, "_INTERFACES", interfaces)
    return found


def test_an_interface_is_made_and_strangers_are_removed(channel: Channel, ran: list[list[str]]) -> None:
    wg.apply(channel, channel.ends[0])
    interface = words.interface(channel, channel.ends[0])
    assert ran[0] == ["ip", "link", "add", "dev", interface, "type", "wireguard"]
    assert ["wg", "set", interface, "peer", "x", "remove"] in ran
    assert ran[-1] == ["ip", "route", "replace", "10.20.1.0/24", "dev", interface, "src", "10.1.1.5"]
    assert not any("PRIVATE" in word or (len(word) == 44 and word != THEIR_KEY) for each in ran for word in each)


def test_a_failure_undoes_a_new_interface(
    channel: Channel, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = wg.run

    def fail_at_routes(arguments: list[str], **options: object) -> str:
        if arguments[:2] == ["ip", "route"]:
            raise ChannelError("ip route failed", "hint")
        return noted(arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(wg, "run", fail_at_routes)
    with pytest.raises(ChannelError, match="ip route failed"):
        wg.apply(channel, channel.ends[0])
    assert ran[-1] == ["ip", "link", "delete", "dev", words.interface(channel, channel.ends[0])]


def test_without_its_programs_nothing_is_begun(
    channel: Channel, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wg.shutil, "which", lambda program: None)
    with pytest.raises(ChannelError, match="wg is not installed"):
        wg.apply(channel, channel.ends[0])
    assert ran == []


def test_a_key_that_is_not_the_configured_one_changes_nothing(channel: Channel, ran: list[list[str]]) -> None:
    other = with_end(channel, 0, public_key=THEIR_KEY)
    with pytest.raises(ChannelError, match="another public key"):
        wg.apply(other, other.ends[0])
    assert ran == []


def test_programs_that_fail_hang_or_are_missing() -> None:
    with pytest.raises(ChannelError, match="not installed"):
        programs.run(["no-such-program"])
    with pytest.raises(ChannelError, match="false failed"):
        programs.run(["false"])
    with pytest.raises(ChannelError, match="did not end"):
        programs.run(["sleep", "30"], seconds=0.1)
    assert programs.run(["cat"], text="said") == "said"
