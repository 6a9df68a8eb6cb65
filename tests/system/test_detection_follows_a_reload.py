"""Receivers of alerts, thresholds, spared parties and the firewall follow SIGHUP; a bad file changes none of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicomgate.audit.record import Event
from dicomgate.wire.codes import PduType
from lab.alert_receiver import AlertReceiver
from lab.process import wait_until
from system.house import House, house
from system.raw_archive import SECONDS, associate_rq

pytestmark = pytest.mark.system
DETECT = """
[[sink]]
name = "on-call"
kind = "alert"
urls_file = "receivers"
group = "50 ms"

[[peer]]
name = "emergency"
ae_titles = ["EMERGENCY"]
networks = ["127.9.0.3"]
assurance = "address"
may = ["echo"]
archive = "honest"
never_block = false

[detect]
mode = "respond"
firewall = true

[detect.rules.D02]
threshold = 4
"""
RECORDER = """#!/bin/sh
cat >> "{log}"
"""
"""In place of the program nft: it notes what it is told. What the kernel makes of that is tested in tests/interop."""
HERE, ER = "127.9.0.1", "127.9.0.3"


def reload(door: House, event: Event, *changes: tuple[str, str]) -> str:
    """Rewrite the configuration; the reason in the record that it was taken, or refused."""
    text = door.gate.configuration.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    before = len(door.trail.records(event=event))
    door.gate.configuration.write_text(text, encoding="utf-8")
    door.gate.sighup()
    wait_until(lambda: len(door.trail.records(event=event)) > before, SECONDS, f"a record {event}")
    return str(door.trail.records(event=event)[-1].reason)


def try_titles(door: House, source: str, count: int, name: str) -> None:
    for number in range(count):
        with door.dial(source) as wire:
            wire.say(associate_rq(called=f"{name}{number}"))
            wire.expect(PduType.ASSOCIATE_RJ)


def is_let_in(door: House, source: str, calling: str = "CT1") -> bool:
    with door.dial(source) as wire:
        wire.say(associate_rq(calling=calling, called="HONEST"))
        return wire.pdu()[:1] == bytes((PduType.ASSOCIATE_AC,))


def test_a_reload_takes_all_of_it_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nft, told_kernel = tmp_path / "bin" / "nft", tmp_path / "nft.log"
    nft.parent.mkdir()
    nft.write_text(RECORDER.format(log=told_kernel))
    nft.chmod(0o755)
    monkeypatch.setenv("PATH", f"{nft.parent}{os.pathsep}{os.environ['PATH']}")

    def told(what: str, address: str) -> bool:
        """Is this the last that the kernel was told of this address?"""
        text = told_kernel.read_text() if told_kernel.exists() else ""
        about = [line for line in text.splitlines() if f" {address} " in line]
        return bool(about) and what in about[-1]

    with AlertReceiver() as first, AlertReceiver() as second:
        receivers = tmp_path / "gate" / "receivers"
        receivers.parent.mkdir()
        receivers.write_text(first.url)
        with house(tmp_path / "gate", more=DETECT) as door:
            try_titles(door, ER, 5, "PACS")
            wait_until(lambda: told("add element", ER), SECONDS, "the ban in the firewall")
            wait_until(lambda: first.messages, SECONDS, "an alert")
            assert not is_let_in(door, ER, "EMERGENCY")

            # A file of receivers that nobody can use: nothing of the new settings is taken.
            receivers.write_text("https//no-address\n")
            spare = ("never_block = false", "never_block = true")
            strict, lax = ("threshold = 4", "threshold = 2"), ("threshold = 2", "threshold = 4")
            why = reload(door, Event.CONFIGURATION_REFUSED, spare, strict)
            assert "sink on-call: address 1 is none that apprise knows" in why
            assert "no-address" not in door.gate.log
            assert not is_let_in(door, ER, "EMERGENCY")
            assert told("add element", ER)
            try_titles(door, "127.9.0.4", 3, "OTHER")
            assert not door.trail.records(event=Event.FINDING, address="127.9.0.4")

            # The same with good receivers: who is spared now comes in at once, in the firewall as well.
            receivers.write_text(second.url)
            reload(door, Event.CONFIGURATION_LOADED)
            assert is_let_in(door, ER, "EMERGENCY")
            wait_until(lambda: told("delete element", ER), SECONDS, "its end in the firewall")
            try_titles(door, HERE, 3, "MORE")
            door.trail.wait_for(event=Event.FINDING, rule="D02", address=HERE)
            wait_until(lambda: any(HERE in body for _, body in second.messages), SECONDS, "an alert there")
            assert not any(HERE in body for _, body in first.messages)
            wait_until(lambda: told("add element", HERE), SECONDS, "the ban in the firewall")

            # Without the firewall and without the sink: it is opened again, nobody is told, the gate still refuses.
            text = door.gate.configuration.read_text(encoding="utf-8")
            sink = text[text.index("[[sink]]") : text.index('[[peer]]\nname = "emergency"')]
            reload(door, Event.CONFIGURATION_LOADED, (sink, ""), ("firewall = true", "firewall = false"), lax)
            wait_until(lambda: told("delete element", HERE), SECONDS, "its end in the firewall")
            assert not is_let_in(door, HERE)
            count = len(second.messages)
            try_titles(door, "127.9.0.5", 5, "LAST")
            door.trail.wait_for(event=Event.FINDING, rule="D02", address="127.9.0.5")
            assert not told("element", "127.9.0.5")
        assert len(second.messages) == count
