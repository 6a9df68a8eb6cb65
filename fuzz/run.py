"""Runs every fuzz/fuzz_*.py for a bounded time, from the vectors and recorded traffic in tests/wire.

Exit 0 when no harness found a counterexample, 1 otherwise. Counterexamples are kept in fuzz/crashes; once
understood they belong into tests/wire/corpus/DECODER as *.bin, where the tests replay them for ever.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from wire.vector_files import seeds  # noqa: E402 - found only now


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the decoders for a bounded time.")
    parser.add_argument("--seconds", type=int, default=20, help="time for each harness (default: 20)")
    parser.add_argument("names", nargs="*", help="harnesses to run, such as `pdu` (default: all)")
    arguments = parser.parse_args()
    if arguments.seconds < 1:
        parser.error("--seconds: expected at least 1")  # libFuzzer takes 0 for "no limit"
    harnesses = {path.stem.removeprefix("fuzz_"): path for path in sorted(HERE.glob("fuzz_*.py"))}
    if unknown := set(arguments.names) - set(harnesses):
        parser.error(f"no harness {', '.join(sorted(unknown))}; there are: {', '.join(harnesses)}")
    chosen = arguments.names or list(harnesses)
    failed = [name for name in chosen if not _holds(harnesses[name], name, arguments.seconds)]
    print(f"fuzz: {len(chosen) - len(failed)} of {len(chosen)} invariants held", *failed, sep="\nbroken: ")
    return 1 if failed else 0


def _holds(harness: Path, name: str, seconds: int) -> bool:
    """One run of libFuzzer over the seeds of decoder `name`; a harness without its own decoder starts from all."""
    crashes = HERE / "crashes"
    crashes.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(name) or seeds()):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        command = [
            sys.executable,
            str(harness),
            f"-max_total_time={seconds}",
            "-timeout=10",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            f"-artifact_prefix={crashes}/{name}-",
            corpus,
        ]
        print(f"fuzz: {name} for {seconds} s", flush=True)
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own harness


if __name__ == "__main__":
    sys.exit(main())
