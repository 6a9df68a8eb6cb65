"""A gate that has no file descriptor left says so, disturbs nobody who is in, and accepts again when some are free."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from lab.process import wait_until
from system.bystanders import call, echoes, release
from system.house import house
from system.raw_archive import SECONDS

pytestmark = pytest.mark.system
LEFT = 10


def test_it_heals(tmp_path: Path) -> None:
    with house(tmp_path) as door:
        running = call(door.gate.address("outside"))
        door.wires.append(running)
        pid = door.gate.process.popen.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = max(int(link.name) for link in Path(f"/proc/{pid}/fd").iterdir()) + LEFT
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        crowd = [door.dial() for _ in range(LEFT * 3)]
        wait_until(lambda: '"cannot_accept"' in door.gate.log, SECONDS, "a line in the log")
        assert "LimitNOFILE" in door.gate.log
        assert psutil.Process(pid).num_fds() <= most
        assert echoes(running)
        door.innocent.is_undisturbed()
        for wire in crowd:
            wire.close()
        late = call(door.gate.address("outside"))
        assert echoes(late)
        release(late)
        release(running)
