"""The row `watch`: bulk transfers on the loopback interface while `dicomgate watch` listens there. Needs root.

In: the plan; out: its table.
"""

import re
import sys
import time
from collections.abc import Iterator
from itertools import count

from bench.measure import Metric, Plan, Table, Values, say, take_turns
from bench.paths import Direct, RelayPath
from bench.process import LOOPBACK, Load, MeasurementError, Program, cpu_seconds

MAXIMUM_LENGTH = 128 * 1024
_rooms = count(1)


def watching(plan: Plan) -> Iterator[Table]:
    """The same transfer with nobody listening and with a watcher, past the gate and through it."""
    size = round(plan.gigabytes * 1e9)
    table = Table(
        "Watching the loopback interface",
        f"A C-STORE of {plan.gigabytes:g} GB in P-DATA PDUs of {MAXIMUM_LENGTH // 1024} KiB, as fast as it goes, "
        "with and without `dicomgate watch --interface lo`. Through the gate each byte passes there twice. What "
        "the kernel had no room for is counted by the watcher itself; the bytes behind it are not looked at.",
        (
            Metric("rate", "GB/s"),
            Metric("cpu_per_gb", "watcher CPU s/GB on the wire", digits=3),
            Metric("frames", "frames seen", digits=0),
            Metric("dropped", "frames dropped", digits=0),
            Metric("share", "dropped, percent", scale=100.0, digits=1),
        ),
    )
    say(table.title)
    quiet: list[RelayPath] = [Direct(), plan.gate()]
    heard: list[RelayPath] = [Direct(), plan.gate()]
    for path in heard:
        path.name = f"{path.name}, watched"
    paths = plan.chosen([*quiet, *heard])
    with Load("sink", MAXIMUM_LENGTH, size) as sink:
        target = (LOOPBACK, sink.report(10)["port"])

        def once(path: RelayPath) -> Values:
            room = plan.room / f"watch-{next(_rooms)}"
            with path.before(target, room) as address:
                if path in quiet:
                    with Load("sender", *address, MAXIMUM_LENGTH, size) as sender:
                        values = sender.report(180)
                    return {"rate": values["bytes"] / 1e9 / values["seconds"]}
                watcher = Program("watch", [sys.executable, "-m", "dicomgate", "watch", "--interface", "lo"], room)
                try:
                    while "listening on lo" not in watcher.log.read_text():
                        watcher.still_runs()
                        time.sleep(0.02)
                    before = cpu_seconds([watcher.pid])
                    with Load("sender", *address, MAXIMUM_LENGTH, size) as sender:
                        values = sender.report(180)
                    time.sleep(1.0)  # what waits in the kernel's buffer is still looked at
                    spent = cpu_seconds([watcher.pid]) - before
                finally:
                    watcher.stop(30)
            told = re.search(r"frames: (\d+);.*dropped by the kernel: (\d+)", watcher.log.read_text())
            if told is None:
                raise MeasurementError(f"watch said no totals: {watcher.last_words()}")
            frames, dropped = float(told[1]), float(told[2])
            gigabytes = values["bytes"] / 1e9
            legs = 1 if isinstance(path, Direct) else 2
            return {
                "rate": gigabytes / values["seconds"],
                "cpu_per_gb": spent / gigabytes / legs,
                "frames": frames,
                "dropped": dropped,
                "share": dropped / (frames + dropped),
            }

        yield take_turns(table, paths, plan.few_rounds, once)
