"""`python -m bench [ROW…]`. In: options; out: the report on stdout, progress on stderr.

A run of all rows and paths replaces bench/results.md and .json; anything less prints only, or needs --output.
Exit 0 when everything asked for was measured, 1 when something could not be (the reason stands in the report).
How fast anything was never decides the exit status.
"""

import argparse
import pstats
import signal
import sys
import tempfile
from pathlib import Path

from bench import report
from bench.measure import Plan, Table, say
from bench.paths import PROFILE
from bench.process import MeasurementError, raise_descriptor_limit
from bench.rows import ROWS

HERE = Path(__file__).resolve().parent
PATHS = ("direct", "haproxy", "nginx", "gate")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ratios of the gate against other relays.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which rows (default: all): {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per path (slow rows: at most 3)")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="data set of the bulk row, below 4.2")
    parser.add_argument("--idle", type=int, default=3000, help="idle associations")
    parser.add_argument("--hostile", type=int, default=2000, help="half-open or dribbling clients")
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=[], help="measure only these paths")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work at all?")
    parser.add_argument("--profile", action="store_true", help="one ROW, the gate alone, under cProfile")
    parser.add_argument("--output", type=Path, help="directory for results.md and results.json, written in any case")
    options = parser.parse_args()
    for row in options.rows:
        if row not in ROWS:
            parser.error(f"expected one of {', '.join(ROWS)}, got {row}")
    if options.profile and len(options.rows) != 1:
        parser.error("--profile needs exactly one ROW")
    if not 0 < options.gigabytes < 4.2:
        parser.error("--gigabytes: a data set's pixel data are limited to 4.2 GB by its 32-bit length")
    return options


def plan(options: argparse.Namespace, room: Path) -> Plan:
    only = frozenset(("gate",) if options.profile else options.paths)
    if options.quick:
        return Plan(
            room,
            rounds=1,
            gigabytes=min(options.gigabytes, 0.25),
            images=40,
            echoes=50,
            objects=1,
            object_megabytes=50,
            associations=500,
            idle=min(options.idle, 300),
            hostile=min(options.hostile, 300),
            probe_seconds=4.0,
            only=only,
            profile=options.profile,
        )
    return Plan(
        room,
        rounds=1 if options.profile else options.rounds,
        gigabytes=options.gigabytes,
        idle=options.idle,
        hostile=options.hostile,
        only=only,
        profile=options.profile,
    )


def main() -> int:
    options = arguments()
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)  # now, and not when all is measured
    # A plain SIGTERM would leave the relays running: unwind instead.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    raise_descriptor_limit()
    tables: list[Table] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dicomgate-bench-") as directory:
        work = plan(options, Path(directory))
        for row in options.rows or ROWS:
            try:
                tables += ROWS[row](work)
            except MeasurementError as failure:
                problems.append(f"{row}: {failure}")
                say(f"{row}: could not be measured: {failure}")
        for profile in sorted(Path(directory).rglob(PROFILE), key=lambda file: file.stat().st_mtime):
            pstats.Stats(str(profile)).sort_stats("tottime").print_stats(45)
    problems += [f"{table.title}: {path}: {why}" for table in tables for path, why in table.failures.items()]
    facts = report.machine()
    text = report.markdown(tables, facts)
    print(text)
    for problem in problems:
        print(f"could not be measured: {problem}")
    # What stands in the repository is only ever replaced by a whole run.
    whole = not (problems or options.rows or options.paths or options.quick)
    if output := options.output or (HERE if whole else None):
        (output / "results.md").write_text(text)
        (output / "results.json").write_text(report.as_json(tables, facts))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
