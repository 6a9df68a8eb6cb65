"""While records cannot be kept, new associations are turned away, running ones go on, and it heals by itself."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomgate.wire.codes import PduType
from lab.process import wait_until
from system.bystanders import call, echoes, release
from system.house import House, house
from system.raw_archive import SECONDS, Wire, associate_rq, reject

pytestmark = pytest.mark.system
CONGESTION = reject(2, 3, 1)
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What can be done to the folder of the store, and undone."""

    begin: Callable[[], None]
    end: Callable[[], None]


def locked(folder: Path, _: House) -> Iterator[Trouble]:
    """Another process holds the write lock."""
    with sqlite3.connect(folder / "gate.db", isolation_level=None) as other:
        yield Trouble(lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK"))
    other.close()


def full(folder: Path, door: House) -> Iterator[Trouble]:
    """The file system has no room; without the right to mount a small one, the gate's files may not grow."""
    filler = folder / "filler"
    if os.path.ismount(folder):

        def fill() -> None:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(1024))

        yield Trouble(fill, filler.unlink)
        return
    # A reader keeps the write-ahead log from being begun anew, so that it has to grow.
    with sqlite3.connect(folder / "gate.db", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM records").fetchall()
        pid, (soft, hard) = door.gate.process.popen.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
        for _ in range(20):
            release(call(door.gate.address("outside")))
        size = (folder / "gate.db-wal").stat().st_size
        yield Trouble(
            lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard)) and None,
            lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard)) and None,
        )
    reader.close()


TROUBLES = {"locked": locked, "full": full}


@contextmanager
def small_file_system(folder: Path) -> Iterator[None]:
    """512 KiB on `folder` if this process may mount; otherwise nothing is changed."""
    folder.mkdir()
    mounted = _LIBC.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=512k") == 0
    try:
        yield
    finally:
        if mounted:
            _LIBC.umount2(os.fsencode(folder), 2)  # MNT_DETACH: a reader may still have it open


@contextmanager
def in_trouble(tmp_path: Path, kind: str, audit: str = "") -> Iterator[tuple[House, Trouble]]:
    """A house whose store can be put out of action."""
    store = tmp_path / "store"
    with small_file_system(store), house(tmp_path / "gate", audit=audit, state=f"sqlite:///{store}/gate.db") as door:
        troubles = TROUBLES[kind](store, door)
        yield door, next(troubles)
        with suppress(StopIteration):
            next(troubles)


def answer(door: House) -> bytes:
    """What a new caller is told."""
    with door.dial() as wire:
        wire.say(associate_rq(called="HONEST"))
        return wire.pdu()


def said(door: House, event: str) -> list[dict[str, object]]:
    """The lines of the log about an event."""
    lines = [json.loads(line) for line in door.gate.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("kind", TROUBLES)
def test_new_ones_are_turned_away_until_records_can_be_kept_again(tmp_path: Path, kind: str) -> None:
    with in_trouble(tmp_path, kind) as (door, trouble):
        running = call(door.gate.address("outside"))
        before = len(door.honest.seen)
        trouble.begin()
        with door.dial() as first:
            first.say(associate_rq(called="HONEST"))
            assert first.pdu() == CONGESTION
        assert [answer(door) for _ in range(5)] == [CONGESTION] * 5
        assert len(door.honest.seen) == before
        assert echoes(running)
        trouble.end()
        wait_until(lambda: answer(door)[:1] == bytes((PduType.ASSOCIATE_AC,)), SECONDS, "recovery")
        assert echoes(running, 2)
        release(running)
        refused = door.refusal_of(first, event="association_refused")
        assert (refused.rule, refused.status) == ("audit.on_failure", "2/3/1")
        assert not door.trail.records(event="association_admitted", port=first.here.port)
        wait_until(lambda: said(door, "audit_recovered") != [], SECONDS, "a line in the log")
        failing = said(door, "audit_failing")
        assert [(line["level"], line["consequence"]) for line in failing] == [("critical", "refuse")]
        assert failing[0]["reason"]
        assert len(said(door, "audit_recovered")) == 1


@pytest.mark.parametrize("kind", TROUBLES)
def test_on_failure_continue_lets_them_pass_and_catches_up(tmp_path: Path, kind: str) -> None:
    with in_trouble(tmp_path, kind, 'on_failure = "continue"') as (door, trouble):
        trouble.begin()
        wires: list[Wire] = []
        for _ in range(3):
            wires.append(door.dial())
            wires[-1].say(associate_rq(called="HONEST"))
            wires[-1].expect(PduType.ASSOCIATE_AC)
            assert echoes(wires[-1])
        wait_until(lambda: said(door, "audit_failing") != [], SECONDS, "a line in the log")
        assert [line["consequence"] for line in said(door, "audit_failing")] == ["continue"]
        trouble.end()
        for wire in wires:
            door.trail.wait_for(event="association_admitted", port=wire.here.port)
            release(wire)
