"""fail2ban's own test of a filter. In: a log and a filter; out: what it would count, and when that was."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

from lab.process import LabError

PROGRAM = Path("/usr/bin/fail2ban-regex")


def failures(log: Path, filter_file: Path, timezone: str = "UTC") -> list[tuple[str, float]]:
    """Address and time (since 1970) of each line that counts, on a machine in this time zone."""
    done = subprocess.run(
        [PROGRAM, "--usedns=no", "-o", "row", log, filter_file],
        env={**os.environ, "TZ": timezone},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise LabError(f"fail2ban-regex ended with {done.returncode}\n{done.stdout}{done.stderr}")
    rows = [ast.literal_eval(line.rstrip(",")) for line in done.stdout.splitlines() if line.startswith("[")]
    return [(str(address), float(when)) for address, when, _ in rows]
