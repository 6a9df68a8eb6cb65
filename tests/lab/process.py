"""Programs as context managers. In: a command line; out: a process that is ready, and gone when the block ends.

Every program runs in a session of its own with its output in a file, so that a failed start can show what the
program said, and so that stopping it also stops the workers it forked and nothing else.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

LOOPBACK = "127.0.0.1"
POLL_INTERVAL = 0.02
LOG_TAIL_LINES = 25
LAB_PORTS = (20_000, 32_000)
_RANDOM = random.SystemRandom()


class LabError(RuntimeError):
    """A program did not start, died, or did not do in time what was waited for. The text holds its last lines."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """From `HOST:PORT` or `[HOST]:PORT`."""
        host, _, port = text.rpartition(":")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


def free_address(host: str = LOOPBACK) -> Address:
    """A port that is free at this moment. For programs that cannot bind port 0 and say which one they got.

    It lies below the range from which the kernel takes ports for outgoing connections, or one of the many
    connections of a test run would now and then take it before the program does.
    """
    while True:
        port = _RANDOM.randrange(*LAB_PORTS)
        with suppress(OSError), socket.create_server(("", port)):
            return Address(host, port)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll until the condition holds; LabError names `what` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s for {what}")
        time.sleep(POLL_INTERVAL)


@dataclass(frozen=True, slots=True)
class Process:
    """A running program and the files that hold all it printed."""

    name: str
    popen: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def text(self) -> str:
        """All it has printed so far: stdout, then stderr."""
        return read(self.stdout) + read(self.stderr)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to what it forked."""
        self.popen.send_signal(number)

    def listens(self, port: int) -> bool:
        """True once this very process listens on the port; asked of the kernel, so no stray connection is made."""
        try:
            connections = psutil.Process(self.popen.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            return False
        return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll until ready; LabError with the last lines of its output when it dies or is too slow."""
        deadline = time.monotonic() + seconds
        while not ready():
            code = self.popen.poll()
            if code is not None:
                raise LabError(f"{self.name} ended with {code} before it was ready\n{self.tail()}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} was not ready within {seconds:g} s\n{self.tail()}")
            time.sleep(POLL_INTERVAL)

    def tail(self) -> str:
        """Its last lines, to be shown when something failed."""
        return "\n".join(
            line
            for path in (self.stdout, self.stderr)
            for line in [f"--- {path.name}", *read(path).splitlines()[-LOG_TAIL_LINES:]]
        )

    def stop(self, seconds: float = 10.0) -> int:
        """SIGTERM to its process group, SIGKILL to what is left; the exit code of the program (again, if it ended)."""
        if self.popen.returncode is None:
            self._signal_group(signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while not self._has_ended() and time.monotonic() < deadline:
                time.sleep(POLL_INTERVAL)
            # Before it is reaped its number cannot belong to anyone else, and so neither can its group's.
            self._signal_group(signal.SIGKILL)
        return self.popen.wait()

    def kill(self) -> None:
        """SIGKILL to its process group, at once."""
        if self.popen.returncode is None:
            self._signal_group(signal.SIGKILL)
        self.popen.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def read(path: Path) -> str:
    """What a program has written to a file so far, even if it is not text."""
    return path.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running(
    name: str,
    arguments: Sequence[str | Path],
    directory: Path,
    *,
    ready: Callable[[Process], bool],
    seconds: float = 20.0,
    grace: float = 10.0,
) -> Iterator[Process]:
    """Start a program in `directory`, wait until it is ready, and stop its process group at the end.

    Its output goes to `directory/NAME.out` and `NAME.err`. LabError if it dies or is not ready within `seconds`.
    `grace` is how many seconds it gets between SIGTERM and SIGKILL.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stdout, stderr = directory / f"{name}.out", directory / f"{name}.err"
    with stdout.open("wb") as output, stderr.open("wb") as errors:
        popen = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    process = Process(name, popen, stdout, stderr)
    try:
        process.wait_ready(lambda: ready(process), seconds)
        yield process
    finally:
        process.stop(grace)
