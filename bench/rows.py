"""The rows of the report, one function each. In: the plan; out: tables (values in seconds, bytes, counts)."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import quantiles

from bench import dcmtk, orthanc
from bench.audit import audit
from bench.logins import logins
from bench.measure import Ceiling, Metric, Plan, Ratio, Table, Values, say, take_turns
from bench.paths import Gate, GateOptions, HAProxy, Nginx, RelayPath, Stunnel
from bench.process import LOOPBACK, Address, Load, MeasurementError
from bench.watching import watching

AFTERMATH = 0.3
"""Seconds a relay gets to finish what it owes (closing, records) before its CPU time is read."""

_rooms = count(1)
_TLS_GATE = "gate, TLS in"
_DIGEST_GATE = "gate, digest"
_HOLDING_GATE = "gate, objects held"
_BLIND_GATE = "gate, no detection"
_SLICE = 500_000
"""Bytes of a slice of a CT."""


def _room(plan: Plan, path: RelayPath) -> Path:
    return plan.room / f"{next(_rooms)}-{path.name.replace(' ', '-').replace(',', '')}"


@contextmanager
def _all_before(plan: Plan, table: Table, paths: Sequence[RelayPath], target: Address) -> Iterator[dict[str, Address]]:
    """Start every path in front of one target; those that cannot start are noted in the table."""
    with ExitStack() as stack:
        addresses = {}
        for path in paths:
            try:
                addresses[path.name] = stack.enter_context(path.before(target, _room(plan, path)))
            except MeasurementError as failure:
                table.failures[path.name] = str(failure)
                say(f"  {path.name}: could not be started: {failure}")
        yield addresses


def _with_cpu(path: RelayPath, load: Callable[[], Values]) -> Values:
    """What `load` measured, and the relay's own CPU seconds meanwhile (`cpu`; not for the direct path)."""
    before = path.cpu_seconds()
    values = load()
    time.sleep(AFTERMATH)
    return values | ({"cpu": path.cpu_seconds() - before} if path.pids else {})


def bulk(plan: Plan) -> Iterator[Table]:
    """One association, one C-STORE of some gigabytes, in small and in large PDUs."""
    metrics = (Metric("rate", "GB/s"), Metric("cpu_per_gb", "relay CPU s/GB", digits=3))
    for kib, good, aim in ((16, 1.0, 0.6), (128, 0.9, 0.5)):
        size, maximum_length = round(plan.gigabytes * 1e9), kib * 1024
        what = f"relay CPU per GB, {kib} KiB PDUs, full inspection"
        table = Table(
            f"Bulk relay, one association, {kib} KiB PDUs",
            f"One C-STORE of {plan.gigabytes:g} GB in P-DATA PDUs of {kib} KiB: how much processor the relay itself "
            "spends per gigabyte while the gate reads every PDU and PDV header and the others read none.",
            metrics,
            (Ratio(what, "cpu_per_gb", "nginx 256 KiB", good, aim), Ratio(what, "cpu_per_gb", "nginx", good, aim)),
        )
        say(table.title)
        paths = plan.usual(None, 256)
        with Load("sink", maximum_length, size) as sink:
            target = (LOOPBACK, sink.report(10)["port"])
            with _all_before(plan, table, paths, target) as addresses:

                def once(path: RelayPath, addresses: dict[str, Address] = addresses) -> Values:
                    def load() -> Values:
                        with Load("sender", *addresses[path.name], maximum_length, size) as sender:  # noqa: B023
                            return sender.report(180)

                    values = _with_cpu(path, load)
                    gigabytes = values["bytes"] / 1e9
                    cpu = {"cpu_per_gb": values["cpu"] / gigabytes} if path.pids else {}
                    return {"rate": gigabytes / values["seconds"]} | cpu

                yield take_turns(table, paths, plan.rounds, once)


def digest(plan: Plan) -> Iterator[Table]:
    """What detection and the tamper alarm cost where data are carried: the same load with and without each."""
    whole = round(plan.gigabytes * 1e9)
    for kib, size, objects, load_of in (
        (16, whole, 1, f"One C-STORE of {plan.gigabytes:g} GB"),
        (128, whole, 1, f"One C-STORE of {plan.gigabytes:g} GB"),
        (16, _SLICE, whole // _SLICE, f"{whole // _SLICE} C-STOREs of {_SLICE / 1e6:g} MB, one after the other,"),
    ):
        what = f"{'one object' if objects == 1 else 'slices'}, {kib} KiB PDUs"
        table = Table(
            f"Bulk relay, detection and tamper alarm, {what}",
            f"{load_of} in P-DATA PDUs of {kib} KiB through the gate with all detectors, with none, and with all "
            'detectors and `tamper = "refuse"`: that takes the SHA-256 of every data-set byte, and holds the end until '
            'the record store has said what it knows of the instance. With `tamper_hold = "object"` the archive gets '
            "nothing before that.",
            (Metric("rate", "GB/s"), Metric("cpu_per_gb", "relay CPU s/GB", digits=3)),
            (
                Ratio(f"the same with detection, {what}", "cpu_per_gb", _BLIND_GATE, 1.05, 1.02),
                Ratio(f"the same with the tamper alarm, {what}", "cpu_per_gb", "gate", 4.0, 3.0, _DIGEST_GATE),
                Ratio(f"the same, objects held back, {what}", "cpu_per_gb", "gate", 8.0, 5.0, _HOLDING_GATE),
            ),
        )
        say(table.title)
        blind = Gate(GateOptions(detection=False, profile=plan.profile), _BLIND_GATE)
        paths = plan.chosen([plan.gate(), blind, plan.watchful_gate(_DIGEST_GATE), plan.holding_gate(_HOLDING_GATE)])
        with Load("sink", kib * 1024, size, objects) as sink:
            target = (LOOPBACK, sink.report(10)["port"])
            with _all_before(plan, table, paths, target) as addresses:

                def once(
                    path: RelayPath,
                    addresses: dict[str, Address] = addresses,
                    told: tuple[int, ...] = (kib * 1024, size, objects),
                ) -> Values:
                    def load() -> Values:
                        with Load("sender", *addresses[path.name], *told) as sender:
                            return sender.report(180)

                    values = _with_cpu(path, load)
                    gigabytes = values["bytes"] / 1e9
                    return {"rate": gigabytes / values["seconds"], "cpu_per_gb": values["cpu"] / gigabytes}

                yield take_turns(table, paths, plan.rounds, once)


def tls_bulk(plan: Plan) -> Iterator[Table]:
    """The same through relays that take TLS off."""
    size, maximum_length = round(plan.gigabytes * 1e9), 16 * 1024
    what = "TLS in, plain out, relay CPU per GB, 16 KiB PDUs, full inspection"
    table = Table(
        "Bulk relay with TLS in, one association, 16 KiB PDUs",
        f"One C-STORE of {plan.gigabytes:g} GB over TLS 1.3 (AES-256-GCM) to a relay that decrypts it and passes it on "
        "in clear. The gate reads every header besides.",
        (Metric("rate", "GB/s"), Metric("cpu_per_gb", "relay CPU s/GB", digits=3)),
        (
            Ratio(what, "cpu_per_gb", "stunnel", 1.0, 0.9),
            Ratio(what, "cpu_per_gb", "haproxy", 1.0, 0.9),
            Ratio(what, "cpu_per_gb", "nginx 256 KiB", 1.3, 1.0),
        ),
    )
    say(table.title)
    tls = plan.tls
    paths = plan.chosen([HAProxy(tls), Nginx(256, tls), Stunnel(tls), plan.tls_gate()])
    with Load("sink", maximum_length, size) as sink:
        target = (LOOPBACK, sink.report(10)["port"])
        with _all_before(plan, table, paths, target) as addresses:

            def once(path: RelayPath) -> Values:
                def load() -> Values:
                    with Load("sender", *addresses[path.name], maximum_length, size, "tls") as sender:
                        return sender.report(180)

                values = _with_cpu(path, load)
                gigabytes = values["bytes"] / 1e9
                return {"rate": gigabytes / values["seconds"], "cpu_per_gb": values["cpu"] / gigabytes}

            yield take_turns(table, paths, plan.rounds, once)


def small(plan: Plan) -> Iterator[Table]:
    """Stock DCMTK at both ends: many images over one association, then many C-ECHOs."""
    why = (
        "The direct path is slow because stock DCMTK leaves Nagle's algorithm on: the last small segment of each "
        "message waits until the receiver's delayed ACK (about 40 ms) lets it go. "
        "A relay that sets TCP_NODELAY and asks for immediate ACKs on both of its connections takes that wait away; "
        "one that does not, hands it on."
    )
    paths = plan.chosen([*(path for path in plan.usual() if path.name != "nginx"), plan.tls_gate(_TLS_GATE)])
    seconds = (Metric("seconds", "wall s"),)
    images = Table(
        f"{plan.images} x C-STORE of a 0.5 MB CT image, storescu → storescp",
        f"One association with {plan.images} images, both ends stock DCMTK. {why}",
        seconds,
        (
            Ratio(f"{plan.images} x C-STORE, stock DCMTK both ends, wall", "seconds", "direct", 0.1, 0.04),
            Ratio("the same, TLS to the gate", "seconds", "direct", 0.1, 0.04, _TLS_GATE),
        ),
    )
    echoes = Table(
        f"{plan.echoes} x C-ECHO, echoscu → storescp",
        f"One association with {plan.echoes} C-ECHOs, both ends stock DCMTK: the same stall, once for each "
        "request and once for each response.",
        seconds,
        (
            Ratio(f"{plan.echoes} x C-ECHO, stock DCMTK both ends, wall", "seconds", "direct", 0.1, 0.04),
            Ratio("the same, TLS to the gate", "seconds", "direct", 0.1, 0.04, _TLS_GATE),
        ),
    )
    for table, command in (
        (images, dcmtk.store_command(plan.room / "images", plan.images)),
        (echoes, dcmtk.echo_command(plan.echoes)),
    ):
        say(table.title)
        with (
            dcmtk.storescp(plan.room / f"storescp-{next(_rooms)}") as target,
            _all_before(plan, table, paths, target) as addresses,
        ):

            def once(path: RelayPath, addresses: dict[str, Address] = addresses) -> Values:
                said = dcmtk.encrypted(command) if path.name == _TLS_GATE else command  # noqa: B023
                return {"seconds": dcmtk.run(said, addresses[path.name])}

            yield take_turns(table, paths, plan.few_rounds, once)


def no_stall(plan: Plan) -> Iterator[Table]:
    """pynetdicom to Orthanc with large objects, where nothing waits for an ACK."""
    total = plan.objects * plan.object_megabytes
    paths = plan.usual()
    with ExitStack() as stack:
        archive = orthanc.receiver(plan.room / f"receiver-{next(_rooms)}")
        receiver, target, forget = stack.enter_context(archive)
        table = Table(
            f"{plan.objects} x C-STORE of {plan.object_megabytes} MB, pynetdicom → {receiver}",
            f"{total} MB in large objects between programs that do not stall each other: what the gate costs in wall "
            "time when there is nothing to win.",
            (Metric("seconds", "wall s"),),
            (Ratio("C-STORE without stall, large objects, wall", "seconds", "direct", 1.1, 1.02),),
        )
        say(table.title)
        addresses = stack.enter_context(_all_before(plan, table, paths, target))

        def once(path: RelayPath) -> Values:
            arguments = (*addresses[path.name], plan.objects, plan.object_megabytes)
            with Load("pynetdicom_store", "send", *arguments) as sender:
                values = sender.report(300)
            forget()
            return values

        # The first store finds a cold archive, which would be charged to whichever path comes first.
        warm_up = Table("warm-up", "", (Metric("seconds", "warm-up s"),))
        take_turns(warm_up, [path for path in paths if path.name in addresses][:1], 1, once)
        yield take_turns(table, paths, plan.rounds, once)


def set_up(plan: Plan) -> Iterator[Table]:
    """Association set-up: A-ASSOCIATE, C-ECHO, A-RELEASE from 16 clients at once."""
    table = Table(
        "Association set-up, 16 clients",
        f"{plan.associations} associations with one C-ECHO each, 16 at a time: the gate judges each by its rules and "
        "writes a durable record before the archive hears of it; HAProxy and nginx only connect.",
        (Metric("rate", "associations/s", digits=0), Metric("cpu_per_association", "relay CPU µs each", 1e6, 0)),
        (Ratio("association set-up with rules and durable record, CPU", "cpu_per_association", "haproxy", 4.0, 2.5),),
    )
    say(table.title)
    paths = plan.usual(None)
    with Load("responder") as responder:
        target = (LOOPBACK, responder.report(10)["port"])
        with _all_before(plan, table, paths, target) as addresses:

            def once(path: RelayPath) -> Values:
                def load() -> Values:
                    with Load("clients", "churn", *addresses[path.name], plan.associations, 16) as clients:
                        return clients.report(180)

                values = _with_cpu(path, load)
                cpu = {"cpu_per_association": values["cpu"] / plan.associations} if path.pids else {}
                return {"rate": plan.associations / values["seconds"]} | cpu

            yield take_turns(table, paths, plan.rounds, once)


def detection(plan: Plan) -> Iterator[Table]:
    """What detection costs: the same associations with every detector and with none."""
    table = Table(
        "Detection",
        f"{plan.associations} associations with one C-ECHO each, 16 at a time, with all detectors looking at every "
        "record and with none.",
        (Metric("rate", "associations/s", digits=0), Metric("cpu_per_association", "gate CPU µs each", 1e6, 0)),
        (Ratio("association set-up with detection, CPU", "cpu_per_association", _BLIND_GATE, 1.10, 1.05),),
    )
    say(table.title)
    paths = [Gate(), Gate(GateOptions(detection=False), _BLIND_GATE)]
    with Load("responder") as responder:
        target = (LOOPBACK, responder.report(10)["port"])
        with _all_before(plan, table, paths, target) as addresses:

            def once(path: RelayPath) -> Values:
                def load() -> Values:
                    with Load("clients", "churn", *addresses[path.name], plan.associations, 16) as clients:
                        return clients.report(180)

                values = _with_cpu(path, load)
                return {
                    "rate": plan.associations / values["seconds"],
                    "cpu_per_association": values["cpu"] / plan.associations,
                }

            yield take_turns(table, paths, plan.rounds, once)


def idle(plan: Plan) -> Iterator[Table]:
    """Memory of established associations that say nothing."""
    table = Table(
        f"{plan.idle:,} idle associations",
        f"Resident memory that {plan.idle:,} established associations add to the relay, per association, and again "
        "after each of them has carried one C-ECHO; every one of them still answered.",
        (
            Metric("each", "KiB each (RSS)", 1 / 1024, 1),
            Metric("each_private", "KiB each (USS)", 1 / 1024, 1),
            Metric("each_used", "KiB each after C-ECHO (RSS)", 1 / 1024, 1),
            Metric("resident", "RSS in all, MB", 1e-6, 1),
        ),
        (
            Ceiling("idle association, resident memory of the gate", "each", "KiB", 30, 12, 1 / 1024),
            Ceiling("10,000 idle associations (extrapolated)", "ten_thousand", "MB", 300, 120, 1e-6),
        ),
    )
    say(table.title)
    paths = plan.chosen([HAProxy(), plan.unlimited_gate()])

    def once(path: RelayPath) -> Values:
        with Load("responder") as responder:
            target = (LOOPBACK, responder.report(10)["port"])
            with path.before(target, _room(plan, path)) as address:
                with Load("clients", "churn", *address, 200, 16) as warm_up:
                    warm_up.report(60)
                time.sleep(1)
                before = path.memory_bytes()
                with Load("clients", "hold", *address, plan.idle) as holder:
                    holder.report(180)
                    time.sleep(1)
                    held = path.memory_bytes()
                    holder.order("echo")
                    holder.report(180)
                    time.sleep(1)
                    used = path.memory_bytes()
        each = (held["Rss"] - before["Rss"]) / plan.idle
        return {
            "each": each,
            "each_private": (held["Uss"] - before["Uss"]) / plan.idle,
            "each_used": (used["Rss"] - before["Rss"]) / plan.idle,
            "resident": float(held["Rss"]),
            "ten_thousand": before["Rss"] + each * 10_000,
        }

    yield take_turns(table, paths, plan.few_rounds, once)


def half_open(plan: Plan) -> Iterator[Table]:
    """An honest C-ECHO while hostile clients hold half-open and dribbling connections."""
    table = Table(
        f"An honest C-ECHO among {plan.hostile:,} half-open or dribbling clients",
        f"From 127.0.0.2 to .9, {plan.hostile:,} clients connect and never finish an A-ASSOCIATE-RQ (half are silent, "
        "half send a byte a second; whoever is thrown out comes back 5 s later). Meanwhile 127.0.0.1 asks for an "
        "association with one C-ECHO every 50 ms; latency runs from the moment it was due. `gate` has its default "
        "limits and may throw them out at once, `gate, caps raised` only at their deadline; the last column says how "
        "many stood open at a time.",
        (
            Metric("quiet_p50", "p50 ms before", 1e3, 1),
            Metric("p50", "p50 ms", 1e3, 1),
            Metric("p99", "p99 ms", 1e3, 1),
            Metric("max", "max ms", 1e3, 1),
            Metric("failures", "failed", digits=0),
            Metric("held", "hostile connections held", digits=0),
        ),
        (
            Ceiling(f"honest C-ECHO beside {plan.hostile:,} hostile clients, p99", "p99", "ms", 250, 50, 1e3),
            Ceiling("the same with all of them let stay, p99", "p99", "ms", 250, 50, 1e3, "gate, caps raised"),
        ),
    )
    say(table.title)
    caps_raised = plan.unlimited_gate("gate, caps raised")
    paths = plan.chosen([HAProxy(), plan.gate(), caps_raised])

    def probe(address: Address, seconds: float) -> tuple[list[float], list[str]]:
        with Load("probe", *address, seconds) as client:
            report = client.report(seconds * 2 + 60)
        return report["latencies"], report["failures"]

    def once(path: RelayPath) -> Values:
        with Load("responder") as responder:
            target = (LOOPBACK, responder.report(10)["port"])
            with path.before(target, _room(plan, path)) as address:
                quiet, failures = probe(address, 2.0)
                if not quiet:
                    raise MeasurementError(f"no C-ECHO passed before the attack: {failures[0]}")
                with Load("hostile", *address, plan.hostile) as hostile:
                    hostile.report(60)
                    latencies, failures = probe(address, plan.probe_seconds)
                    hostile.order("stop")
                    attack = hostile.report(30)
        if failures:
            say(f"  {path.name}: {len(failures)} C-ECHOs failed, the first: {failures[0]}")
        values: Values = {"quiet_p50": _percentile(quiet, 50), "failures": len(failures), "held": attack["held"]}
        if latencies:
            values |= {"p50": _percentile(latencies, 50), "p99": _percentile(latencies, 99), "max": max(latencies)}
        return values

    yield take_turns(table, paths, plan.few_rounds, once)


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


ROWS: dict[str, Callable[[Plan], Iterator[Table]]] = {
    "bulk": bulk,
    "digest": digest,
    "tls-bulk": tls_bulk,
    "small": small,
    "no-stall": no_stall,
    "set-up": set_up,
    "detection": detection,
    "audit": audit,
    "idle": idle,
    "half-open": half_open,
    "logins": logins,
    "watch": watching,
}
