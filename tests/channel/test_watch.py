"""The thread that looks at channels: what it tells, and when. What it looks at is put in its place."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from channel.scene import HOSPITAL, ipsec_channel, wireguard_channel, with_end
from dicomgate.channel import elsewhere as looking
from dicomgate.channel import vici, watch
from dicomgate.channel.liveness import Look
from dicomgate.channel.model import Channel, Termination
from dicomgate.channel.problem import ChannelError
from dicomgate.channel.watch import Change, Watcher, look_at
from dicomgate.policy.model import Endpoint

UP = Look(None, received=1)
CHANNEL = wireguard_channel()


class Scene:
    """A watcher with a clock that is set by hand, and the answer to each look."""

    def __init__(self, *channels: Channel) -> None:
        self.now = 0.0
        self.answer: Look | str = UP
        self.told: list[Change] = []
        self.begun: list[str] = []
        self.watcher = Watcher(channels, self.told.append, now=lambda: self.now)

    def look(self, at: float, answer: Look | str) -> list[tuple[bool, str]]:
        """One round; what it told."""
        self.now, self.answer = at, answer
        before = len(self.told)
        self.watcher.look()
        return [(change.up, change.why) for change in self.told[before:]]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(CHANNEL)

    def look(channel: Channel, _: object) -> Look:
        if isinstance(made.answer, str):
            raise ChannelError(made.answer, "")
        return made.answer

    monkeypatch.setattr(watch, "look_at", look)
    monkeypatch.setattr(vici, "initiate", lambda channel, *_: made.begun.append(channel.name))
    return made


def test_each_change_is_told_once(scene: Scene) -> None:
    assert scene.look(0, UP) == [(True, "it carries traffic")]
    assert scene.look(1, UP) == []
    assert scene.look(2, Look("there was no handshake yet")) == [(False, "there was no handshake yet")]
    assert scene.look(3, Look("the last handshake is too old")) == []
    assert scene.look(4, UP) == [(True, "it carries traffic")]


def test_what_is_down_from_the_beginning_is_told(scene: Scene) -> None:
    assert scene.look(0, "wg is not installed") == [(False, "wg is not installed")]
    assert not scene.watcher.is_up(CHANNEL)


def test_what_nobody_has_looked_at_for_long_is_not_up(scene: Scene) -> None:
    scene.look(0, UP)
    assert scene.watcher.is_up(CHANNEL)
    scene.now = watch.UNSEEN  # the thread is stuck
    assert not scene.watcher.is_up(CHANNEL)
    assert scene.watcher.closed_to("10.20.1.5") == "hospital-cloud"


def test_nothing_is_sent_into_a_channel_that_is_down(scene: Scene) -> None:
    assert scene.watcher.closed_to("10.20.1.5") == "hospital-cloud"
    assert scene.watcher.closed_to("10.1.1.20") is None
    scene.look(0, UP)
    assert scene.watcher.closed_to("10.20.1.5") is None


def test_a_changed_channel_has_to_prove_itself_anew(scene: Scene) -> None:
    scene.look(0, UP)
    scene.watcher.reload((wireguard_channel(ports=(104, 2762)),))
    assert scene.told[-1] == Change("hospital-cloud", False, "its configuration has changed")
    assert scene.watcher.closed_to("10.20.1.5") == "hospital-cloud"
    assert scene.look(1, UP) == [(True, "it carries traffic")]
    scene.watcher.reload(())
    assert scene.told[-1].up is False
    assert scene.watcher.closed_to("10.20.1.5") is None


def test_an_unchanged_channel_stays_up_over_a_reload(scene: Scene) -> None:
    scene.look(0, UP)
    scene.watcher.reload((wireguard_channel(),))
    assert scene.watcher.is_up(CHANNEL)
    assert scene.look(1, UP) == []


def test_the_end_that_begins_begins_again(scene: Scene) -> None:
    cloud = ipsec_channel()
    ours = with_end(cloud, 0, address=None)  # so that this end is the one that begins
    scene.watcher.reload((ours,))
    scene.look(0, Look("there is no IKE SA"))
    scene.look(1, Look("there is no IKE SA"))
    assert scene.begun == ["hospital-cloud"]
    scene.look(watch.AGAIN, Look("there is no IKE SA"))
    assert scene.begun == ["hospital-cloud"] * 2
    scene.watcher.reload((cloud,))
    scene.look(100, Look("there is no IKE SA"))
    assert scene.begun == ["hospital-cloud"] * 2


def test_the_thread_looks_and_ends(scene: Scene) -> None:
    scene.watcher.start()
    scene.watcher.close()
    assert scene.told == [Change("hospital-cloud", True, "it carries traffic")]
    with socket.socket() as nobody:
        assert scene.watcher.carrier_of(nobody) is None


def test_a_tunnel_on_another_machine_is_seen_by_its_interface_or_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = with_end(ipsec_channel(), 0, termination=Termination.ROUTER, interface="lo")
    assert look_at(elsewhere).wrong is None
    assert look_at(with_end(elsewhere, 0, interface="nosuch0")).wrong == "there is no interface nosuch0"
    keeps = tmp_path / "tcp_fwmark_accept"
    monkeypatch.setattr(looking, "_KEEPS_MARKS", keeps)
    for written, wrong in (("0\n", True), ("1\n", False)):
        keeps.write_text(written)
        for marked in (with_end(elsewhere, 0, interface=None, mark=7), with_end(elsewhere, 0, mark=7)):
            assert ("tcp_fwmark_accept" in (look_at(marked).wrong or "")) is wrong
    # A mark that no kernel keeps proves nothing where the tunnel ends here, either.
    keeps.unlink()
    assert "tcp_fwmark_accept" in (look_at(with_end(ipsec_channel(), 0, mark=7)).wrong or "")


def test_a_bug_while_looking_is_no_sign_of_life(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread goes on, and what was let in through the channel is told that it is down."""
    assert scene.look(0, UP) == [(True, "it carries traffic")]

    def buggy(channel: Channel, _: object) -> Look:
        raise ZeroDivisionError

    monkeypatch.setattr(watch, "look_at", buggy)
    assert scene.look(1, UP) == []
    assert scene.look(6, UP) == [(False, "it could not be looked at: ZeroDivisionError")]
    assert not scene.watcher.is_up(CHANNEL)


def knocking(place: Endpoint) -> Channel:
    """A tunnel that ends on another machine; the gate has no address of its own to call from."""
    site = replace(HOSPITAL, gate=None)
    channel = wireguard_channel(dead_after=3.0)
    return with_end(channel, 0, site=site, termination=Termination.ROUTER, interface="lo", sign_of_life=place)


def test_silence_of_the_other_site_is_the_end_of_a_tunnel_on_another_machine() -> None:
    """Accepted or refused: it has answered. What answers nobody for dead_after is down."""
    told: list[Change] = []
    clock = [0.0]

    def look(at: float) -> list[bool]:
        clock[0], before = at, len(told)
        watcher.look()
        return [change.up for change in told[before:]]

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, socket.socket() as waiting:
        where = listening.getsockname()
        watcher = Watcher((knocking(Endpoint(*where)),), told.append, now=lambda: clock[0])
        with closing(watcher):
            assert look(0) == [False]
            assert "nobody has answered at 127.0.0.1" in told[0].why
            assert look(1) == [True]  # accepted
            # The queue is full and nobody accepts: now the kernel drops whoever calls, like a line that is cut.
            waiting.setblocking(False)
            waiting.connect_ex(where)
            assert [told for at in range(2, 9) for told in look(at)] == [False]
            assert told[-1].why == "the other end has fallen silent"
            listening.close()
            assert [told for at in (9, 10) for told in look(at)] == [True]  # refused


def test_who_answers_is_asked_once_by_hand() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = Endpoint("127.0.0.1", listening.getsockname()[1])
        assert looking.Knocker(place, "127.0.0.1", 1.0).once(2.0)
    assert looking.Knocker(place, None, 1.0).once(2.0)
    assert not looking.Knocker(place, "192.0.2.1", 1.0).once(2.0)  # not our address
