"""`python -m bench.record_store [ASSOCIATIONS]`: CPU of making the four records of an association durable.

In: how many associations to record at each batch size. Out: a table on stdout, one line per batch size, that
compares the gate's recorder (both its threads: queue, SQLAlchemy, SQLite, the fsync's kernel time) with a bare
sqlite3 `executemany` of ready-made tuples into the same table, in turns in the same run.
"""

import queue
import secrets
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.store.database import open_store
from dicomgate.store.recorder import Recorder
from dicomgate.store.schema import row_of

BATCHES = (1, 8, 64)
ROUNDS = 5


def records_of_one_association() -> list[Record]:
    """Admission, one C-STORE and the end, as a session writes them."""
    requested = Record(
        time.time(),
        Event.ASSOCIATION_REQUESTED,
        Outcome.SUCCESS,
        association=secrets.token_hex(8),
        listener="inside",
        address="10.1.2.31",
        port=49152,
        calling_ae_title="CT1",
        called_ae_title="ARCHIVE",
        peer="ct-1",
        archive="main",
        assurance="address",
    )
    stored = requested._replace(
        event=Event.OPERATION,
        verb="store",
        command="C-STORE-RQ",
        message_id=1,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"1.2.826.0.1.3680043.8.498.{secrets.randbits(64)}",
        bytes=524288,
        status="0000",
        duration=0.02,
    )
    return [
        requested._replace(detail={"contexts": 2}),
        requested._replace(event=Event.ASSOCIATION_ADMITTED, rule="peer ct-1"),
        stored,
        requested._replace(event=Event.ASSOCIATION_ENDED, bytes=526000, duration=0.1),
    ]


def recorder_cpu(folder: Path, batches: list[list[list[Record]]]) -> tuple[float, int]:
    """CPU seconds of the whole process for all batches, and how many transactions they took."""
    calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    engine = open_store("sqlite:///recorder.db", folder)
    transactions = 0
    recorder = Recorder(engine, calls.put, lambda reason: sys.exit(reason or "recovered"))
    durable: list[bool] = []
    begin = time.process_time()
    for batch in batches:
        expected = len(durable) + len(batch)
        for records in batch:
            recorder.submit(records, durable.append)
        while len(durable) < expected:
            calls.get()()
            transactions += 1  # the recorder makes one call per commit
    spent = time.process_time() - begin
    if recorder.close(10.0) or not all(durable):
        sys.exit("expected every record to be kept")
    return spent, transactions


def bare_cpu(folder: Path, batches: list[list[list[Record]]]) -> float:
    """CPU seconds of sqlite3 for the same rows; making the rows is not counted."""
    open_store("sqlite:///bare.db", folder)
    rows = [[row_of(record) for records in batch for record in records] for batch in batches]
    columns = ", ".join(f'"{name}"' for name in FIELDS)
    statement = f"INSERT INTO records ({columns}) VALUES ({', '.join('?' * len(FIELDS))})"  # noqa: S608 - names
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    begin = time.process_time()
    for part in rows:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, part)
        connection.execute("COMMIT")
    spent = time.process_time() - begin
    connection.close()
    return spent


def measure(associations: int, size: int) -> tuple[list[float], list[float], float]:
    """Microseconds per association of each round, recorder and bare, and associations per transaction."""
    ours, bare, transactions = [], [], 0
    count = max(1, associations // size)
    for _ in range(ROUNDS):
        batches = [[records_of_one_association() for _ in range(size)] for _ in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            spent, taken = recorder_cpu(Path(folder), batches)
            ours.append(spent / (count * size) * 1e6)
            bare.append(bare_cpu(Path(folder), batches) / (count * size) * 1e6)
        transactions += taken
    return ours, bare, ROUNDS * count * size / transactions


def main() -> None:
    associations = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    print("submitted at once | per transaction | recorder µs CPU/association | bare sqlite3 | ratio (spread)")
    for size in BATCHES:
        ours, bare, per_transaction = measure(associations, size)
        ratios = sorted(a / b for a, b in zip(ours, bare, strict=True))
        print(
            f"{size:17} | {per_transaction:15.1f} | {statistics.median(ours):27.1f} | {statistics.median(bare):12.1f}"
            f" | {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
