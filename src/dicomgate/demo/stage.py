"""Everything the demo needs standing: archive, receiver, configuration file and the gate as a process of its own.

A folder comes in; a `Stage` goes out, with the ports that clients call and ways to ask the gate's records.
"""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic

from dicomgate.demo.archive import LOOPBACK, Archive
from dicomgate.demo.clients import Receiver
from dicomgate.demo.studies import archived_studies

READY_WITHIN = 20.0
"""Seconds from the start of the gate until all its listeners accept."""
STOPPED_WITHIN = 10.0
"""Seconds from SIGTERM until the gate has ended; then it is killed."""
ANSWERED_WITHIN = 20.0
"""Seconds for `dicomgate audit` or `dicomgate explain`."""

OTHER_LOOPBACK = "127.0.0.2"
"""A second source address. Linux has all of 127.0.0.0/8; elsewhere it usually cannot be bound."""

LISTENERS = ("outside", "inside")

CONFIGURATION = """\
[gate]
name = "demo"
state = "sqlite:///gate.db"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"                # port 0: any free one; the gate prints which
networks = ["127.0.0.0/8"]

[[listener]]
name = "inside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1/32"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "127.0.0.1:{archive_port}"

[[peer]]                            # a modality: sends images, asks nothing
name = "ct-1"
ae_titles = ["CT1"]
networks = ["127.0.0.1/32"]
listeners = ["inside"]
assurance = "address"
may = ["echo", "store"]
archive = "main"

[[peer]]                            # another one, which lives at another address
name = "ct-2"
ae_titles = ["CT2"]
networks = ["127.0.0.9/32"]
assurance = "address"
may = ["echo", "store"]
archive = "main"

[[peer]]                            # a reading station: fetches images, also by C-MOVE to itself
name = "reader-1"
ae_titles = ["READER1"]
networks = ["127.0.0.1/32"]
listeners = ["outside"]
assurance = "address"
may = ["echo", "find", "get", "move"]
move_to = ["self"]
archive = "main"
address = "127.0.0.1:{receiver_port}"

[[peer]]                            # a viewer's work list: may look, may not fetch
name = "viewer"
ae_titles = ["VIEWER"]
networks = ["127.0.0.1/32"]
listeners = ["outside"]
assurance = "address"
may = ["echo", "find"]
archive = "main"
"""


class StageError(Exception):
    """Something the demo stands on did not come up or did not answer; the text says what, and what it said."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record with a refusal ID, as `dicomgate audit list --json` prints it. `time` is seconds since 1970."""

    time: float
    refusal_id: str
    event: str
    rule: str
    reason: str
    status: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `dicomgate explain ID` printed."""

    command: str
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands: `ports` of the gate by listener name, the archive behind it and the receiver in front."""

    folder: Path
    configuration: Path
    archive: Archive
    receiver: Receiver
    ports: Mapping[str, int]
    two_source_addresses: bool

    def refusals(self) -> list[Refusal]:
        """Every refusal recorded so far, oldest first. StageError when the command fails."""
        lines = _dicomgate("audit", "list", "-c", str(self.configuration), "--json").splitlines()
        records = [json.loads(line) for line in lines if line.strip()]
        return sorted((_refusal(record) for record in records if record["refusal_id"]), key=lambda r: r.time)

    def explain(self, refusal_id: str) -> Explanation:
        """Why that was refused, in the gate's own words. StageError when the command fails."""
        text = _dicomgate("explain", refusal_id, "-c", str(self.configuration), accept=(0, 1))
        return Explanation(f"dicomgate explain {refusal_id} -c {self.configuration.name}", text)


@contextmanager
def standing(folder: Path) -> Iterator[Stage]:
    """Start everything in `folder`, and stop it all at the end. StageError when the gate does not come up."""
    configuration = folder / "gate.toml"
    with Archive(archived_studies()) as archive, Receiver("READER1") as receiver:
        configuration.write_text(
            CONFIGURATION.format(archive_port=archive.port, receiver_port=receiver.port), encoding="utf-8"
        )
        with _gate(configuration, folder / "gate.log") as ports:
            # the archive knows the reading station by the gate's inner listener: its way back leads through the gate
            archive.deliver_to("READER1", LOOPBACK, ports["inside"])
            yield Stage(folder, configuration, archive, receiver, ports, _can_bind(OTHER_LOOPBACK))


@contextmanager
def _gate(configuration: Path, log: Path) -> Iterator[Mapping[str, int]]:
    with (
        log.open("wb") as messages,
        subprocess.Popen(  # noqa: S603
            _command("run", "-c", str(configuration)), stdout=subprocess.PIPE, stderr=messages, text=True
        ) as process,
    ):
        try:
            yield _ready_ports(process, log)
        finally:
            _stop(process)


def _ready_ports(process: subprocess.Popen[str], log: Path) -> dict[str, int]:
    """Wait for a `ready NAME ADDRESS` line for each listener."""
    lines: Queue[str | None] = Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put(None)

    Thread(target=read, daemon=True, name="gate stdout").start()
    ports: dict[str, int] = {}
    deadline = monotonic() + READY_WITHIN
    while set(ports) != set(LISTENERS):
        try:
            line = lines.get(timeout=max(0.0, deadline - monotonic()))
        except Empty:
            raise StageError(_did_not_come_up(f"was not ready within {READY_WITHIN:.0f} s", log)) from None
        if line is None:
            raise StageError(_did_not_come_up(f"ended with exit code {process.wait(STOPPED_WITHIN)}", log))
        match line.split():
            case ["ready", name, address]:
                ports[name] = int(address.rpartition(":")[2])
            case _:
                raise StageError(f"the gate: expected a line 'ready NAME ADDRESS', got {line.strip()!r}")
    return ports


def _did_not_come_up(what: str, log: Path) -> str:
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
    return "\n".join((f"the gate {what}; its last words:", *last))


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        with suppress(OSError):
            process.stdout.close()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dicomgate", *arguments]


def _dicomgate(*arguments: str, accept: tuple[int, ...] = (0,)) -> str:
    """Run another `dicomgate` command and give what it printed."""
    shown = f"dicomgate {arguments[0]}"
    try:
        # this very program, and arguments made in this package
        done = subprocess.run(  # noqa: S603
            _command(*arguments), check=False, capture_output=True, text=True, timeout=ANSWERED_WITHIN
        )
    except subprocess.TimeoutExpired:
        raise StageError(f"{shown}: expected an answer within {ANSWERED_WITHIN:.0f} s, none came") from None
    if done.returncode not in accept:
        raise StageError(f"{shown}: expected exit code {accept}, got {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _refusal(record: Mapping[str, object]) -> Refusal:
    return Refusal(
        time=datetime.fromisoformat(str(record["time"])).timestamp(),
        refusal_id=str(record["refusal_id"]),
        event=str(record["event"]),
        rule=str(record["rule"] or ""),
        reason=str(record["reason"] or ""),
        status=str(record["status"] or ""),
    )


def _can_bind(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
