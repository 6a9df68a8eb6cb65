"""`python -m bench.audit_cost [ASSOCIATIONS]`: what counting and sending records costs, per association.

In: how many associations each gate gets. Out: a table on stdout: CPU of real gates without a sink, with JSON lines
and with syslog, until the sink has delivered everything, in turns; and that of the metrics alone.
"""

import json
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.paths import Address, Gate
from bench.process import Load, MeasurementError, free_port
from bench.record_store import records_of_one_association
from dicomgate.audit.record import Record
from dicomgate.audit.sink import Recorded
from dicomgate.sinks.metrics import Tally

ROUNDS = 3
SETTLED = 15.0
"""Seconds after which even a syslog sink is sure of everything."""
LOOPBACK = "127.0.0.1"


class Nowhere:
    """A RecordSink that keeps nothing."""

    failing: str | None = None

    def submit(self, records: Sequence[Record], done: Recorded | None = None) -> None:
        if done is not None:
            done(True)


class SendingGate(Gate):
    """A gate with one more table, and metrics to ask whether all is delivered."""

    def __init__(self, name: str, table: str) -> None:
        super().__init__(name=name)
        self._table = table
        self._metrics = free_port()

    def configuration(self, target: Address) -> str:
        return f'{super().configuration(target)}\n{self._table}\n[metrics]\nbind = "{LOOPBACK}:{self._metrics}"\n'

    def has_delivered(self) -> bool:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._metrics}/metrics") as page:
            lines = page.read().decode().splitlines()
        return all(line.endswith(" 0.0") for line in lines if line.startswith("dicomgate_sink_behind_records{"))


def metrics_cpu(associations: int) -> float:
    """CPU seconds per association that counting adds."""
    batches = [records_of_one_association() for _ in range(associations)]
    spent = []
    for sink in (Nowhere(), Tally(Nowhere())):
        if isinstance(sink, Tally):
            sink.name(["ct-1"], ["main"])
        before = time.thread_time()
        for requested, admitted, *rest in batches:
            sink.submit([requested])
            sink.submit([admitted], lambda durable: None)
            for each in rest:
                sink.submit([each])
        spent.append(time.thread_time() - before)
    return (spent[1] - spent[0]) / associations


def repository() -> int:
    """A syslog receiver that reads, forgets, and ends when the sender does."""
    listener = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(1 << 20):
                    pass

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def main() -> None:
    associations = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    port = repository()
    lines = '[[sink]]\nname = "lines"\nkind = "jsonl"\nfile = "lines.jsonl"\n'
    syslog = f'[[sink]]\nname = "r"\nkind = "syslog"\naddress = "{LOOPBACK}:{port}"\nunsafe_plaintext = true\n'
    gates = [SendingGate("no sink", ""), SendingGate("JSON lines", lines), SendingGate("syslog", syslog)]
    costs: dict[str, list[float]] = {gate.name: [] for gate in gates}
    with ExitStack() as stack, Load("responder") as responder:
        target = (LOOPBACK, responder.report(10)["port"])
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        addresses = {}
        for gate in gates:
            room = folder / gate.name
            room.mkdir()
            addresses[gate.name] = gate.start(target, room)
            stack.callback(gate.stop)
        for _ in range(ROUNDS):
            for gate in gates:
                before = gate.cpu_seconds()
                with Load("clients", "churn", *addresses[gate.name], associations, 16) as clients:
                    clients.report(180)
                time.sleep(SETTLED)  # no question meanwhile: answering would be counted, too
                costs[gate.name].append((gate.cpu_seconds() - before) / associations)
                if not gate.has_delivered():
                    raise MeasurementError(f"{gate.name} is still behind after {SETTLED:.0f} s")
    off = statistics.median(costs["no sink"])
    counting = statistics.median(metrics_cpu(5000) for _ in range(5))
    rows = {"metrics alone": counting, **{name: statistics.median(values) for name, values in costs.items()}}
    print("what | µs CPU/association | ratio to the gate without a sink")
    for name, value in rows.items():
        ratio = f"+{value / off:.1%}" if name == "metrics alone" else f"{value / off:.2f}"
        print(f"{name:14} | {value * 1e6:18.1f} | {ratio}")
    print(json.dumps({name: round(value * 1e6, 1) for name, value in rows.items()}), file=sys.stderr)


if __name__ == "__main__":
    main()
