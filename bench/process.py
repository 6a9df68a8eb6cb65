"""Programs started for a measurement, and what the kernel says of them. In: a command line; out: seconds, bytes."""

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Address = tuple[str, int]

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
_SCHEDULED = 2
"""Of the kinds of CPU clocks, what the scheduler counted."""


class MeasurementError(Exception):
    """A measurement could not be made; the text says what was expected and what came."""


class Program:
    """One child process, its output in files below `room`. Stopped by its own process ID only."""

    def __init__(self, name: str, command: Iterable[str], room: Path) -> None:
        self.name = name
        self.log = room / f"{name}.log"
        self.output = room / f"{name}.out"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
        with self.log.open("wb") as log, self.output.open("wb") as output:
            self._process = subprocess.Popen(
                tuple(command), stdin=subprocess.DEVNULL, stdout=output, stderr=log, cwd=room, env=environment
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, patience: float = 10.0) -> None:
        """SIGTERM, then SIGKILL after `patience` seconds."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def still_runs(self) -> None:
        """MeasurementError, with the end of the log, when the program has ended."""
        if self._process.poll() is not None:
            raise MeasurementError(f"{self.name} ended with {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what it wrote to stderr, on one line."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-6:]) or "(it said nothing)"

    def accepts(self, address: Address, patience: float = 20.0) -> None:
        """Wait until `address` takes a TCP connection."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            self.still_runs()
            with contextlib.suppress(OSError), socket.create_connection(address, 1):
                return
            time.sleep(0.05)
        raise MeasurementError(f"{self.name} does not accept on {address[0]}:{address[1]} after {patience:.0f} s")

    def line(self, beginning: str, patience: float = 30.0) -> str:
        """Wait until it has printed a whole line that begins so."""
        until = time.monotonic() + patience
        while True:
            for line in self.output.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(beginning) and line.endswith("\n"):
                    return line.strip()
            self.still_runs()
            if time.monotonic() > until:
                raise MeasurementError(f"{self.name} did not print {beginning!r} within {patience:.0f} s")
            time.sleep(0.02)


class Load:
    """A load program of this package: one JSON object per line on stdout, orders on stdin, reasons on stderr."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.name = " ".join((module, *map(str, arguments)))
        command = (sys.executable, "-m", f"bench.{module}", *map(str, arguments))
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, bufsize=0
        )

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def order(self, word: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: report() will say why
            self._process.stdin.write(f"{word}\n".encode())

    def report(self, patience: float) -> dict[str, Any]:
        """The next line it prints; MeasurementError when it ends or says nothing for `patience` seconds."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = b""
        if select.select([self._process.stdout], [], [], patience)[0]:
            line = self._process.stdout.readline()
        if not line:
            if self._process.poll() is None and not select.select([self._process.stdout], [], [], 0)[0]:
                raise MeasurementError(f"{self.name}: no report within {patience:.0f} s")
            reason = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            raise MeasurementError(f"{self.name}: {reason[-1] if reason else 'ended without a report'}")
        return dict(json.loads(line))


def descriptor_limit() -> int:
    """How many open files a process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def raise_descriptor_limit() -> None:
    """Lift this process's soft limit of open files to the hard one, for itself and all it starts."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor_limit(), descriptor_limit()))


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


def with_children(pids: Iterable[int]) -> list[int]:
    """The processes themselves and whatever they have started."""
    family: list[int] = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        family.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += map(int, children.read_text().split())
    return family


def cpu_seconds(pids: Iterable[int]) -> float:
    """User + system time so far, in seconds, of all threads that there are and were.

    From the processes' CPU clocks (clock_getcpuclockid(3)), in nanoseconds; /proc/PID/stat counts in steps of 10 ms.
    """
    return sum(time.clock_gettime((~pid << 3) | _SCHEDULED) for pid in with_children(pids))


def memory_bytes(pids: Iterable[int]) -> dict[str, int]:
    """`Rss`, `Pss` and `Uss` (private pages) in bytes, from /proc/PID/smaps_rollup."""
    total = {"Rss": 0, "Pss": 0, "Uss": 0}
    for pid in with_children(pids):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, number, *_ = line.replace(":", " ").split()
            if name.startswith("Private_"):
                name = "Uss"
            if name in total:
                total[name] += int(number) * 1024
    return total
