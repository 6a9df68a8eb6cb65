"""The lab itself: it says why a program did not start, leaves nothing running, and hears every knock."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from lab import studies
from lab.eavesdropping import eavesdropping_listener
from lab.process import LabError, free_address, running, wait_until

ENDS = "print('no such table: patients', flush=True); raise SystemExit(3)"
FORKS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_program_that_dies_is_quoted(tmp_path: Path) -> None:
    with (
        pytest.raises(LabError, match=r"(?s)ended with 3.*no such table"),
        running("dies", [sys.executable, "-c", ENDS], tmp_path, ready=lambda process: False),
    ):
        pytest.fail("it cannot have become ready")


def test_a_program_that_is_never_ready_is_stopped(tmp_path: Path) -> None:
    with (
        pytest.raises(LabError, match=r"not ready within 0\.5 s"),
        running("idles", [sys.executable, "-c", FORKS], tmp_path, ready=lambda process: False, seconds=0.5),
    ):
        pytest.fail("it cannot have become ready")


def test_what_a_program_forked_ends_with_it(tmp_path: Path) -> None:
    with running("forks", [sys.executable, "-c", FORKS], tmp_path, ready=lambda process: process.text() != "") as made:
        child = int(made.text())
        assert is_running(child)
    assert made.popen.returncode is not None
    wait_until(lambda: not is_running(child), 5, "the end of the forked child")


def is_running(pid: int) -> bool:
    """Whether a process lives; one that has ended and waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_the_eavesdropper_hears_every_connection_and_byte() -> None:
    with eavesdropping_listener() as listener:
        for sent in (b"", b"one", b"three"):
            with socket.create_connection((listener.address.host, listener.address.port)) as connection:
                connection.sendall(sent)
        wait_until(lambda: (listener.connections, listener.bytes) == (3, 8), 5, "three connections and eight bytes")
        assert sorted(bytes(came) for came in listener.received) == [b"", b"one", b"three"]


def test_free_addresses_lie_below_the_ports_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1024 < free_address().port < lowest for _ in range(20))


def test_every_frame_of_the_large_object_is_there(tmp_path: Path) -> None:
    made = studies.large_multiframe(tmp_path / "large.dcm", "lab", 3_000_000)
    length, _ = studies.data_set_digest(made.path)
    frame = 512 * 512 * 2
    pixels = made.data_set()[-6 * frame :]
    assert length > 6 * frame
    assert [int.from_bytes(pixels[i * frame : i * frame + 4], "little") for i in range(6)] == list(range(6))
    assert os.path.getsize(made.path) == length + studies.data_set_offset(made.path)
