"""kill -9 at any moment: whatever was reported as durable is there."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from dicomgate.store.database import open_store
from dicomgate.store.reader import search

CHILD = """
import itertools, os, queue, sys
from pathlib import Path
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.store.database import open_store
from dicomgate.store.recorder import Recorder

calls = queue.SimpleQueue()
recorder = Recorder(open_store("sqlite:///gate.db", Path(sys.argv[1])), calls.put, lambda reason: os.abort())
numbers = itertools.count()

def admit():
    name = f"{sys.argv[2]}-{next(numbers)}"
    records = [Record(1.0, event, Outcome.SUCCESS, association=name)
               for event in (Event.ASSOCIATION_REQUESTED, Event.ASSOCIATION_ADMITTED)]

    def reported(durable):
        os.write(1, f"{name} {durable}\\n".encode())
        admit()

    recorder.submit(records, reported)

for _ in range(8):
    admit()
while True:
    calls.get()()
"""


def test_every_reported_record_outlives_kill_9(tmp_path: Path) -> None:
    reported: set[str] = set()
    for round_, enough in enumerate((1, 40, 200, 600)):
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(round_)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}, text=True
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(enough)]
            child.kill()
            lines += child.stdout.readlines()
        answers = dict(line.split() for line in lines)
        assert len(answers) >= enough
        assert set(answers.values()) == {"True"}
        reported |= answers.keys()
    engine = open_store("sqlite:///gate.db", tmp_path)
    found = Counter(record.association for record in search(engine))
    assert reported <= found.keys()
    assert set(found.values()) == {2}, "both records of one submit, or none of them"
