"""What charon says becomes a judgement; a daemon that is absent, silent or lying becomes an error with a hint."""

from __future__ import annotations

import socket
import struct
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
def charon(path: Path, answer: Callable[[socket.socket], None], callers: int = 1) -> Iterator[Path]:
    """A listener that treats each of its callers as told."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        for _ in range(callers):
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

    asking: tuple[Callable[[Path], object], ...] = (
        vici.look,
        lambda path: vici.why_not(CHANNEL, CHANNEL.ends[0], path),
        lambda path: vici.take_down(CHANNEL, path),
        lambda path: vici.initiate(CHANNEL, CHANNEL.ends[0], path),
    )
    if said == b"\0\0\0\1\1":
        asking = asking[:1]  # an empty answer is one, where nothing has to be in it
    for number, ask in enumerate(asking):
        with charon(tmp_path / f"vici{number}", lie) as path, pytest.raises(ChannelError):
            ask(path)


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\0\0\0\7\5", b"HTTP/1.1 "], ids=repr)
def test_silence_ends_also_amid_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """The package vici itself would wait for the rest for ever, and with it the thread that watches."""
    pytest.importorskip("vici")
    monkeypatch.setattr(vici, "LOOKING", 0.2)
    done = threading.Event()

    def begin(caller: socket.socket) -> None:
        caller.sendall(said)
        done.wait(10)

    with charon(tmp_path / "vici", begin) as path:
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


class Charon:
    """Speaks vici (strongSwan, README.md of libcharon's vici) with as many callers as come, one by one."""

    def __init__(self, connections: list[str], said: list[str], error: str) -> None:
        self.connections, self.said, self.error = connections, said, error
        self.asked: list[str] = []

    def __call__(self, caller: socket.socket) -> None:
        from vici.protocol import Message, Packet, Transport

        line = Transport(caller)
        while True:
            try:
                packet = Packet.parse(line.receive())
            except (OSError, struct.error):
                return
            kind, rest = packet.response_type, packet.payload.read()
            if kind in (Packet.EVENT_REGISTER, Packet.EVENT_UNREGISTER):
                line.send(struct.pack("!B", Packet.EVENT_CONFIRM))
                continue
            command = rest[1 : 1 + rest[0]].decode()
            self.asked.append(command)
            answer: dict[str, object] = {"conns": self.connections}
            if command in ("initiate", "terminate"):
                for text in self.said:
                    line.send(Packet._named_request(Packet.EVENT, "control-log", Message.serialize({"msg": text})))
                answer = {"success": "no", "errmsg": self.error} if self.error else {"success": "yes"}
            line.send(struct.pack("!B", Packet.CMD_RESPONSE) + Message.serialize(answer))


KNOWN = ["hospital-cloud"]
FAILED = "establishing CHILD_SA 'hospital-cloud-out' failed"


@pytest.mark.parametrize(
    ("connections", "said", "error", "meaning"),
    [
        ([], [], "", "run dicomgate channel apply"),
        (["another"], [], "", "run dicomgate channel apply"),
        (KNOWN, ["received AUTHENTICATION_FAILED notify error"], FAILED, "does not believe our certificate"),
        (KNOWN, ["no trusted ECDSA public key found for 'cloud'"], FAILED, "not vouched for by ca"),
        (KNOWN, ["constraint check failed: identity 'cloud' required"], FAILED, "somebody else than its identity"),
        (KNOWN, ["received NO_PROPOSAL_CHOSEN notify error"], FAILED, "none of our proposals"),
        (KNOWN, ["received TS_UNACCEPTABLE notify, no CHILD_SA built"], FAILED, "other selectors"),
        (KNOWN, ["retransmit 3 of request", "giving up after 3 retransmits"], FAILED, "does not answer"),
        (KNOWN, [], "CHILD_SA not established after 4000ms", "does not answer in time"),
        (KNOWN, ["something new"], FAILED, None),
        (KNOWN, [], "", None),
    ],
)
def test_why_there_is_no_tunnel(
    tmp_path: Path, connections: list[str], said: list[str], error: str, meaning: str | None
) -> None:
    pytest.importorskip("vici")
    daemon = Charon(connections, said, error)
    with charon(tmp_path / "vici", daemon, callers=2 if connections == KNOWN else 1) as path:
        why = vici.why_not(CHANNEL, CHANNEL.ends[0], path)
    assert (why is None) is (meaning is None), why
    assert meaning is None or meaning in (why or "")


@pytest.mark.parametrize("remains", [False, True])
def test_a_tunnel_that_the_other_end_takes_down_meanwhile_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remains: bool
) -> None:
    """charon fails to end what is not there any more; only what is still there is an error."""
    pytest.importorskip("vici")
    seen = iter((True, True, False))
    monkeypatch.setattr(vici, "_has_sas", lambda *_: remains or next(seen))
    monkeypatch.setattr(vici, "TRYING", 0.3)
    daemon = Charon([], [], "no matching SAs to terminate found")
    with charon(tmp_path / "vici", daemon, callers=2) as path:
        if remains:
            with pytest.raises(ChannelError, match="no matching SAs"):
                vici.take_down(CHANNEL, path)
        else:
            vici.take_down(CHANNEL, path)
    assert daemon.asked == ["get-conns", "terminate"]


def test_an_end_that_cannot_call_does_not_guess(tmp_path: Path) -> None:
    dynamic = with_end(CHANNEL, 1, address=None)
    assert vici.why_not(dynamic, dynamic.ends[0], tmp_path / "vici") is None


def test_files_are_read_before_anything_changes(tmp_path: Path) -> None:
    channel = with_end(CHANNEL, 0, certificate=tmp_path / "none.pem")
    with pytest.raises(ChannelError, match=r"none\.pem"):
        vici.apply(channel, channel.ends[0], tmp_path / "vici")
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(ChannelError, match="expected certificates"):
        vici.apply(channel, channel.ends[0], tmp_path / "vici")
