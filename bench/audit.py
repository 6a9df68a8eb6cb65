"""The row `audit`: what proof, counting and sending cost a gate. In: the plan; out: two tables.

All gates judge the same load behind the same rules and write the same durable records. One of them does nothing more
with its records (bench/plain_gate.py); the others keep the hash tree, sign checkpoints, count, are scraped, and two of
them deliver everything to a sink. What one owes to its sink when the load is over counts, too: each gate is watched
until even a syslog sink is sure of everything, for the same time.
"""

import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count

from bench.measure import Metric, Plan, Ratio, Table, Values, say, take_turns
from bench.paths import Gate, GateOptions, RelayPath
from bench.process import LOOPBACK, Address, Load, MeasurementError, free_port
from bench.tls import Identity

OFF = "gate, audit off"
SYSLOG = "gate, syslog over TLS"
LINES = "gate, JSON lines"

SETTLED = 12.0
"""Seconds after which even a syslog sink is sure of everything, which it makes itself 5 s after the first message."""
SCRAPE = 5.0
"""Seconds between two scrapes; Prometheus asks three times less often when nobody tells it otherwise."""

_rooms = count(1)


class AuditedGate(Gate):
    """A gate with metrics to be scraped, and perhaps a sink."""

    def __init__(self, name: str, sink: str = "", *, profile: bool = False) -> None:
        self._metrics = free_port()
        metrics = f'[metrics]\nbind = "{LOOPBACK}:{self._metrics}"\n'
        super().__init__(GateOptions(more=f"{sink}\n{metrics}", profile=profile), name)

    def scrape(self) -> str:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self._metrics}/metrics") as page:
            return str(page.read().decode())

    def has_delivered(self) -> bool:
        behind = [line for line in self.scrape().splitlines() if line.startswith("dicomgate_sink_behind_records{")]
        return all(line.endswith(" 0.0") for line in behind)


def _paths(plan: Plan, port: int) -> list[RelayPath]:
    syslog = f"""[[sink]]
name = "repository"
kind = "syslog"
address = "{LOOPBACK}:{port}"
tls = {{ ca = "{plan.tls.certificate}" }}
"""
    lines = '[[sink]]\nname = "lines"\nkind = "jsonl"\nfile = "lines.jsonl"\n'
    return plan.chosen(
        [
            Gate(GateOptions(program="bench.plain_gate"), OFF),
            AuditedGate("gate", profile=plan.profile),
            AuditedGate(SYSLOG, syslog, profile=plan.profile),
            AuditedGate(LINES, lines, profile=plan.profile),
        ]
    )


def audit(plan: Plan) -> Iterator[Table]:
    """Associations, then one large object, through all of them."""
    with ExitStack() as stack:
        port = stack.enter_context(_repository(plan.tls))
        paths = _paths(plan, port)
        yield _associations(plan, paths)
        yield _bulk(plan, paths)


def _associations(plan: Plan, paths: list[RelayPath]) -> Table:
    metrics = (Metric("rate", "associations/s", digits=0), Metric("cpu_per_association", "gate CPU µs each", 1e6, 0))
    what = "audit and metrics, CPU per association"
    table = Table(
        "Audit, association set-up",
        f"{plan.associations} associations with one C-ECHO each, 16 at a time, which make four records each. {OFF}: "
        "durable records and nothing more. gate: hash tree, checkpoints, metrics scraped every "
        f"{SCRAPE:g} s. The others deliver to one sink besides.",
        metrics,
        (
            Ratio(what, "cpu_per_association", OFF, 1.15, 1.10),
            Ratio("the same and a sink: syslog over TLS", "cpu_per_association", OFF, 1.15, 1.10, SYSLOG),
            Ratio("the same and a sink: JSON lines", "cpu_per_association", OFF, 1.15, 1.10, LINES),
        ),
    )
    say(table.title)
    with Load("responder") as responder, _all(plan, paths, (LOOPBACK, responder.report(10)["port"])) as addresses:

        def once(path: RelayPath) -> Values:
            def load() -> Values:
                with Load("clients", "churn", *addresses[path.name], plan.associations, 16) as clients:
                    return dict(clients.report(180))

            values = _watched(path, load)
            return {
                "rate": plan.associations / values["seconds"],
                "cpu_per_association": values["cpu"] / plan.associations,
            }

        return take_turns(table, paths, plan.rounds, once)


def _bulk(plan: Plan, paths: list[RelayPath]) -> Table:
    """In large PDUs, where the relay itself is cheapest."""
    size, maximum_length = round(plan.gigabytes * 1e9), 128 * 1024
    what = "audit and metrics, relay CPU per GB, 128 KiB PDUs"
    table = Table(
        "Audit, bulk relay, 128 KiB PDUs",
        f"One C-STORE of {plan.gigabytes:g} GB. It makes no more records than a small one; what it pays for is the "
        "scrapes, the checkpoint and the connection to the sink.",
        (Metric("rate", "GB/s"), Metric("cpu_per_gb", "gate CPU s/GB", digits=3)),
        (
            Ratio(what, "cpu_per_gb", OFF, 1.05, 1.02),
            Ratio("the same and a sink: syslog over TLS", "cpu_per_gb", OFF, 1.05, 1.02, SYSLOG),
            Ratio("the same and a sink: JSON lines", "cpu_per_gb", OFF, 1.05, 1.02, LINES),
        ),
    )
    say(table.title)
    with (
        Load("sink", maximum_length, size) as sink,
        _all(plan, paths, (LOOPBACK, sink.report(10)["port"])) as addresses,
    ):

        def once(path: RelayPath) -> Values:
            def load() -> Values:
                with Load("sender", *addresses[path.name], maximum_length, size) as sender:
                    return dict(sender.report(180))

            values = _watched(path, load)
            gigabytes = values["bytes"] / 1e9
            return {"rate": gigabytes / values["seconds"], "cpu_per_gb": values["cpu"] / gigabytes}

        return take_turns(table, paths, plan.rounds, once)


@contextmanager
def _all(plan: Plan, paths: list[RelayPath], target: Address) -> Iterator[dict[str, Address]]:
    """Start every path; without one of them there is nothing to compare."""
    with ExitStack() as stack:
        yield {
            path.name: stack.enter_context(path.before(target, plan.room / f"audit-{next(_rooms)}")) for path in paths
        }


def _watched(path: RelayPath, load: Callable[[], Values]) -> Values:
    """What `load` measured, and the gate's CPU seconds until everything that follows from it is done (`cpu`)."""
    before = path.cpu_seconds()
    with _scraped(path):
        values = load()
        time.sleep(SETTLED)
    cpu = path.cpu_seconds() - before
    if isinstance(path, AuditedGate) and not path.has_delivered():
        raise MeasurementError(f"{path.name} is still behind after {SETTLED:g} s")
    return values | {"cpu": cpu}


@contextmanager
def _scraped(path: RelayPath) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        while isinstance(path, AuditedGate) and not over.wait(SCRAPE):
            path.scrape()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _repository(tls: Identity) -> Iterator[int]:
    """A syslog receiver with TLS that reads, forgets, and ends when the sender does; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # closed: the measurement is over
                try:
                    with context.wrap_socket(connection, server_side=True) as encrypted:
                        while encrypted.recv(1 << 20):
                            pass
                        encrypted.unwrap()
                except OSError:
                    connection.close()  # a gate that is stopped

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
