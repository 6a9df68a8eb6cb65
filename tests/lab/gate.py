"""A real `dicomgate run` process. In: a configuration; out: the addresses it listens on, its log and its records."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomgate.config.load import load
from dicomgate.store.database import StoreError, open_store
from dicomgate.store.reader import numbered
from lab.process import Address, LabError, Process, read, running, wait_until

DICOMGATE = (sys.executable, "-m", "dicomgate")
READY_SECONDS = 30.0
RECORD_SECONDS = 15.0
WRITTEN = 0.5
"""Records that no decision waits for lie for a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A running gate. Its configuration file may be rewritten and reloaded with sighup()."""

    configuration: Path
    process: Process

    def address(self, listener: str) -> Address:
        """Where a listener accepts, as the gate itself has printed it."""
        return _printed_addresses(read(self.process.stdout))[listener]

    @property
    def log(self) -> str:
        """All it has printed so far, stdout and stderr."""
        return self.process.text()

    def sighup(self) -> None:
        """Ask it to reload its configuration."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds: float = 40.0) -> int:
        """SIGTERM: drain, then end. The exit code."""
        return self.process.stop(seconds)

    def kill(self) -> None:
        """SIGKILL, no farewell."""
        self.process.kill()

    def records(self, **filters: object) -> list[dict[str, Any]]:
        """Its audit records in which every named field has the given value, oldest first."""
        # Past the command line: whoever reads the trail there leaves a record, and a test that waits would fill it.
        time.sleep(WRITTEN)
        configuration = load(self.configuration, files=False)
        try:
            every = list(numbered(open_store(configuration.state, configuration.base, read_only=True)))
        except StoreError as error:
            raise LabError(f"the trail cannot be read: {error}") from None
        found = ({"sequence": number, **json.loads(json.dumps(record.as_json()))} for number, record in every)
        return [record for record in found if all(record.get(name) == value for name, value in filters.items())]

    def await_record(self, **filters: object) -> dict[str, Any]:
        """The newest record that fits, once there is one. LabError shows the log if none comes."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = self.records(**filters)
            return bool(found)

        try:
            wait_until(there, RECORD_SECONDS, f"a record with {filters}")
        except LabError as error:
            raise LabError(f"{error}; there are {self.records()}\n{self.process.tail()}") from None
        return found[-1]


def run_dicomgate(*arguments: str | Path, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run one command of the gate to its end, with stdout and stderr apart."""
    command = [*DICOMGATE, *(str(argument) for argument in arguments)]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
    )


@contextmanager
def running_gate(directory: Path, configuration: str) -> Iterator[Gate]:
    """Write the configuration, run the gate with it until the block ends.

    Ready is when it has printed one `ready NAME ADDRESS` line for each `[[listener]]`; port 0 may be bound.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "dicomgate.toml"
    file.write_text(configuration, encoding="utf-8")
    listeners = sum(line.strip() == "[[listener]]" for line in configuration.splitlines())
    command: list[str | Path] = [*DICOMGATE, "run", "-c", file]

    def ready(process: Process) -> bool:
        return len(_printed_addresses(read(process.stdout))) == listeners

    with running("dicomgate", command, directory, ready=ready, seconds=READY_SECONDS) as process:
        yield Gate(file, process)


def _printed_addresses(output: str) -> dict[str, Address]:
    # The last line may still be in the making.
    complete = output[: output.rfind("\n") + 1]
    words = (line.split() for line in complete.splitlines() if line.startswith("ready "))
    return {name: Address.parse(address) for _, name, address in words}
