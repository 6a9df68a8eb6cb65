"""`dicomgate run` as a process: ready lines, signals, reload with good and bad files, and the ways it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.database import open_store
from dicomgate.store.recorder import Recorder
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import ReleaseRequest
from gate.standins import Party, accepting, asking, echo_works, rejected
from lab.gate import Gate, run_dicomgate, running_gate
from lab.process import free_address, read, wait_until

pytestmark = pytest.mark.system

LISTENER = '[[listener]]\nname = "{name}"\nbind = "{bind}"\nnetworks = ["127.0.0.0/8"]\n'


def configuration(archive_port: int, *extra: str, title: str = "CT1", drain: float = 0.2) -> str:
    return "\n".join(
        [
            '[gate]\nname = "test"\nstate = "sqlite:///gate.db"',
            LISTENER.format(name="inside", bind="127.0.0.1:0"),
            f'[[archive]]\nname = "main"\nae_title = "ARCHIVE"\naddress = "127.0.0.1:{archive_port}"',
            f'[[peer]]\nname = "ct-1"\nae_titles = ["{title}"]\nnetworks = ["127.0.0.1"]\nassurance = "address"',
            'may = ["echo", "store"]',
            f"[limits]\ndrain = {drain}\nclose = 1",
            *extra,
        ]
    )


@pytest.fixture
def archive() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@pytest.fixture
def parties() -> Iterator[list[Party]]:
    """Whatever is put in is closed at the end."""
    opened: list[Party] = []
    yield opened
    for party in opened:
        party.close()


def client_of(gate: Gate, parties: list[Party], listener: str = "inside") -> Party:
    address = gate.address(listener)
    party = Party(socket.create_connection((address.host, address.port), 10))
    parties.append(party)
    return party


def associated(gate: Gate, archive: socket.socket, parties: list[Party]) -> tuple[Party, Party]:
    client = client_of(gate, parties)
    client.send(asking())
    there = Party(archive.accept()[0])
    parties.append(there)
    there.send(accepting(there.pdu()))
    client.pdu()
    return client, there


def logged(gate: Gate, event: str) -> list[dict[str, object]]:
    """The log's lines about an event. stderr holds the warnings of the configuration first, then only JSON."""
    text = read(gate.process.stderr)
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_from_ready_to_sigterm(tmp_path: Path, archive: socket.socket, parties: list[Party]) -> None:
    with running_gate(tmp_path, configuration(archive.getsockname()[1])) as gate:
        echo_works(*associated(gate, archive, parties))
        parties[0].reset()
        wait_until(lambda: bool(logged(gate, "association_ended")), 10, "the end of the association")
        assert gate.stop() == 0
        address = gate.address("inside")
        assert read(gate.process.stdout) == f"ready inside {address}\n"
        stderr = read(gate.process.stderr).splitlines()
        talk = [line for line in stderr if not line.startswith("{")]
        assert ": warning: " in talk[0]
        assert talk[1].startswith("  hint: ")
        events = [record["event"] for record in gate.records()]
        assert (events[0], events[-1]) == ("gate_started", "gate_stopped")
        assert "association_ended" in events


def test_sigint_ends_it_too(tmp_path: Path) -> None:
    with running_gate(tmp_path, configuration(1)) as gate:
        gate.process.send_signal(signal.SIGINT)
        assert gate.process.popen.wait(30) == 0


def test_sigterm_lets_an_association_finish(tmp_path: Path, archive: socket.socket, parties: list[Party]) -> None:
    with running_gate(tmp_path, configuration(archive.getsockname()[1], drain=20)) as gate:
        client, there = associated(gate, archive, parties)
        gate.process.send_signal(signal.SIGTERM)
        address = gate.address("inside")

        def closed() -> bool:
            try:
                socket.create_connection((address.host, address.port), 1).close()
            except OSError:
                return True
            return False

        wait_until(closed, 10, "a closed listener")
        echo_works(client, there)
        assert gate.process.popen.poll() is None
        client.send(encode(ReleaseRequest()))
        there.pdu()
        there.close()
        client.reset()
        assert gate.process.popen.wait(30) == 0


def test_sighup_takes_a_good_file(tmp_path: Path, archive: socket.socket, parties: list[Party]) -> None:
    port = archive.getsockname()[1]
    with running_gate(tmp_path, configuration(port)) as gate:
        running = associated(gate, archive, parties)
        second = LISTENER.format(name="second", bind="127.0.0.1:0")
        gate.configuration.write_text(configuration(port, second, title="CT9"), encoding="utf-8")
        gate.sighup()
        wait_until(lambda: "ready second " in read(gate.process.stdout), 10, "the second listener")
        assert running[0].last_words()[-10:-9] == b"\7"  # CT1 is not a peer any more
        client = client_of(gate, parties, "second")
        client.send(asking())
        assert rejected(client.pdu()) == "1/1/3"


def test_sighup_with_a_bad_file_keeps_everything_and_says_why(
    tmp_path: Path, archive: socket.socket, parties: list[Party]
) -> None:
    text = configuration(archive.getsockname()[1])
    bad = {
        "unknown table": text + "\n[[nonsense]]\n",
        "not valid TOML": text.replace("[gate]", "[gate"),
        "gate.state cannot change": text.replace("gate.db", "other.db"),
        "only audit.on_failure can change in [audit]": text + '\n[audit]\nkeep = "365 d"\n',
        "expected at least one [[listener]]": "",
    }
    with running_gate(tmp_path, text) as gate:
        running = associated(gate, archive, parties)
        for number, (said, damaged) in enumerate(bad.items(), 1):
            gate.configuration.write_text(damaged, encoding="utf-8")
            gate.sighup()
            wait_until(lambda: len(logged(gate, "configuration_refused")) == number, 10, said)  # noqa: B023
            assert said in str(logged(gate, "configuration_refused")[-1]["reason"])
            echo_works(*running)
        gate.configuration.write_text(text, encoding="utf-8")
        key = tmp_path / "gate.pseudonym-key"
        sound = key.read_text(encoding="ascii")
        key.write_text("no key", encoding="ascii")
        gate.sighup()
        wait_until(lambda: len(logged(gate, "configuration_refused")) == len(bad) + 1, 10, "the key")
        assert "expected a pseudonym key" in str(logged(gate, "configuration_refused")[-1]["reason"])
        key.write_text(sound, encoding="ascii")
        assert len(gate.records(event="configuration_refused", outcome="failure")) == len(bad) + 1
        echo_works(*associated(gate, archive, parties))


def test_sighup_with_an_address_that_is_taken_keeps_everything(
    tmp_path: Path, archive: socket.socket, parties: list[Party]
) -> None:
    port = archive.getsockname()[1]
    text = configuration(port)
    with running_gate(tmp_path, text) as gate, socket.create_server(("127.0.0.1", 0)) as taken:
        second = LISTENER.format(name="second", bind=f"127.0.0.1:{taken.getsockname()[1]}")
        gate.configuration.write_text(configuration(port, second), encoding="utf-8")
        gate.sighup()
        wait_until(lambda: bool(logged(gate, "configuration_refused")), 10, "the refusal")
        assert "cannot listen" in str(logged(gate, "configuration_refused")[0]["reason"])
        echo_works(*associated(gate, archive, parties))


def test_an_address_that_is_taken_at_the_start_is_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "gate.toml"
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(configuration(1).replace("127.0.0.1:0", bind), encoding="utf-8")
        done = run_dicomgate("run", "-c", file)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "dicomgate: error: cannot listen: Address already in use" in done.stderr
    assert "hint: " in done.stderr


def test_an_older_store_that_was_put_back_is_told_and_the_gate_runs(
    tmp_path: Path, archive: socket.socket, parties: list[Party]
) -> None:
    text = configuration(archive.getsockname()[1])
    with running_gate(tmp_path, text) as gate:
        assert gate.stop() == 0
    old = (tmp_path / "gate.db").read_bytes()
    with running_gate(tmp_path, text) as gate:
        assert gate.stop() == 0
        assert logged(gate, "checkpoint_conflict") == []
    (tmp_path / "gate.db").write_bytes(old)
    with running_gate(tmp_path, text) as gate:
        wait_until(lambda: bool(logged(gate, "checkpoint_conflict")), 10, "the line")
        (line,) = logged(gate, "checkpoint_conflict")
        assert (line["level"], line["reason"]) == (
            "critical",
            "the checkpoint file knows 4 records, and the store has 2",
        )
        assert gate.await_record(event="checkpoint_conflict")["outcome"] == "failure"
        echo_works(*associated(gate, archive, parties))
        assert gate.stop() == 0
        verified = run_dicomgate("audit", "verify", "-c", gate.configuration)
    assert verified.returncode == 1
    assert "were altered" in verified.stdout


def test_a_signing_key_that_others_may_read_is_2(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(configuration(1), encoding="utf-8")
    (tmp_path / "gate.signing-key").write_text("secret")
    (tmp_path / "gate.signing-key").chmod(0o644)
    done = run_dicomgate("run", "-c", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "gate.signing-key: others can read or change this secret (mode 0644)" in done.stderr
    assert "hint: chmod 600" in done.stderr


def test_a_store_that_cannot_be_opened_is_2(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(configuration(1), encoding="utf-8")
    (tmp_path / "gate.db").write_bytes(b"this is no database" * 100)
    done = run_dicomgate("run", "-c", file)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "dicomgate: error: " in done.stderr


def test_a_signal_right_after_the_listeners_open_is_not_lost(tmp_path: Path) -> None:
    """Service managers send one as soon as they read `ready`; the default of SIGHUP and SIGTERM is to die at once."""
    file = tmp_path / "gate.toml"
    file.write_text(configuration(1), encoding="utf-8")
    program = """
import os, signal, sys
from dicomgate import cli
from dicomgate.gate.gate import Gate
start = Gate.start
def start_and_be_told(gate):
    opened = start(gate)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    return opened
Gate.start = start_and_be_told
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "-c", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line)["event"] for line in done.stderr.splitlines() if line.startswith("{")]
    assert "configuration_loaded" in events
    assert "gate_stopped" in events  # what a detector says of the reload may come behind it


@pytest.mark.parametrize(
    ("command", "records", "code"),
    [
        (["audit", "list", "--json"], 3000, 0),
        (["audit", "search"], 3000, 0),
        (["audit", "list", "--json"], 1, 0),
        (["check"], 0, 0),
        (
            [
                "explain",
                "--listener",
                "inside",
                "--from",
                "127.0.0.1",
                "--calling",
                "X",
                "--called",
                "Y",
                "--verb",
                "get",
            ],
            0,
            1,
        ),
    ],
    ids=["audit list", "audit search", "one line", "check", "explain"],
)
def test_a_reader_that_has_seen_enough_ends_the_printing_and_not_the_verdict(
    tmp_path: Path, command: list[str], records: int, code: int
) -> None:
    """`| head -1`: no complaint, and the exit code stays what it would have been."""
    file = tmp_path / "gate.toml"
    file.write_text(configuration(1), encoding="utf-8")
    recorder = Recorder(open_store("sqlite:///gate.db", tmp_path), lambda call: None, lambda reason: None)
    recorder.submit([Record(1.0, Event.GATE_STARTED, Outcome.SUCCESS, reason="x" * 60)] * records)
    assert recorder.close(20) == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dicomgate", *command, "-c", file],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr


def test_ready_lines_that_nobody_reads_do_not_stop_the_gate(tmp_path: Path) -> None:
    where = free_address()
    file = tmp_path / "gate.toml"
    file.write_text(configuration(1).replace("127.0.0.1:0", str(where)), encoding="utf-8")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dicomgate", "run", "-c", str(file)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=writing, stderr=log) as process:
        os.close(writing)
        try:

            def listens() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text("utf-8")
                try:
                    socket.create_connection((where.host, where.port), 1).close()
                except OSError:
                    return False
                return True

            wait_until(listens, 20, "a listening gate")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
