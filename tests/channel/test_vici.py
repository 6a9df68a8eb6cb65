"""What charon says becomes a judgement; a daemon that is absent, silent or lying becomes an error with a hint."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from channel.scene import ipsec_channel, security_association, with_end
from dicomgate.channel import vici
from dicomgate.channel.problem import ChannelError
from dicomgate.channel.vici import Daemon, judge_life, numbered

CHANNEL = ipsec_channel()
SA = security_association(CHANNEL)
POLICIES = frozenset(child.name for child in SA.children)
GOOD = Daemon(frozenset(), (SA,), POLICIES)


def wrong(daemon: Daemon, interface: str | None = None) -> str | None:
    channel = with_end(CHANNEL, 0, interface=interface)
    return judge_life(channel, channel.ends[0], daemon).wrong


def test_life() -> None:
    assert wrong(GOOD) is None
    assert wrong(replace(GOOD, sas=())) == "there is no IKE SA"
    assert wrong(replace(GOOD, sas=(replace(SA, name="another"),))) == "there is no IKE SA"
    assert wrong(replace(GOOD, sas=(replace(SA, state="DELETING"),))) == "there is no IKE SA"
    lost = replace(SA, children=SA.children[1:])
    assert wrong(replace(GOOD, sas=(lost,))) == "there is no CHILD_SA hospital-cloud-out"
    dead = replace(SA, children=tuple(replace(child, state="DELETED") for child in SA.children))
    assert wrong(replace(GOOD, sas=(dead,))) == "there is no CHILD_SA hospital-cloud-out"


def test_without_an_interface_the_kernels_policies_must_be_there() -> None:
    assert wrong(replace(GOOD, policies=frozenset())) == "the kernel holds no policy for hospital-cloud-out"
    userland = replace(GOOD, plugins=frozenset({"kernel-libipsec"}))
    assert "kernel-libipsec" in (wrong(userland) or "")
    assert wrong(userland, "ipsec0") is None


def test_an_unanswered_question_is_seen() -> None:
    asking = replace(GOOD, sas=(replace(SA, waiting=True),))
    assert judge_life(CHANNEL, CHANNEL.ends[0], asking).waiting


def test_ports_are_numbers() -> None:
    assert numbered("10.1.0.0/16[tcp/ssh]") == "10.1.0.0/16[tcp/22]"
    assert numbered("10.1.0.0/16[tcp/104]") == "10.1.0.0/16[tcp/104]"
    assert numbered("10.1.0.0/16") == "10.1.0.0/16"


@contextmanager
def charon(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A listener that treats its one caller as told."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        caller, _ = listening.accept()
        with caller:
            answer(caller)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield path
    finally:
        thread.join(10)
        listening.close()


@pytest.mark.parametrize(
    "said",
    [b"", b"\0\0\0\1\7", b"\0\0\0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\5\1\3\1a\0", b"\0\0\0\1\1"],
    ids=repr,
)
def test_garbage_is_refused(tmp_path: Path, said: bytes) -> None:
    pytest.importorskip("vici")

    def lie(caller: socket.socket) -> None:
        caller.recv(4096)
        caller.sendall(said)

    with charon(tmp_path / "vici", lie) as path, pytest.raises(ChannelError):
        vici.look(path)


def test_silence_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("vici")
    monkeypatch.setattr(vici, "LOOKING", 0.2)
    done = threading.Event()
    with charon(tmp_path / "vici", lambda _: done.wait(10) and None) as path:
        with pytest.raises(ChannelError, match="did not answer"):
            vici.look(path)
        done.set()


def test_nobody_is_there(tmp_path: Path) -> None:
    pytest.importorskip("vici")
    with pytest.raises(ChannelError, match="is charon running"):
        vici.look(tmp_path / "vici")


def test_without_the_extra_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vici", None)
    with pytest.raises(ChannelError, match=r"dicomgate\[channel\]"):
        vici.look(tmp_path / "vici")


def test_files_are_read_before_anything_changes(tmp_path: Path) -> None:
    channel = with_end(CHANNEL, 0, certificate=tmp_path / "none.pem")
    with pytest.raises(ChannelError, match=r"none\.pem"):
        vici.apply(channel, channel.ends[0], tmp_path / "vici")
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(ChannelError, match="expected certificates"):
        vici.apply(channel, channel.ends[0], tmp_path / "vici")
