"""Is the network as the plan says, seen from this machine? A plan in; probes, what they found, and a verdict out.

A probe is a TCP connection that is closed again at once: no DICOM is spoken, nothing is sent. What must pass has to be
accepted; what must not has to stay silent: an answer of any kind, also a refusal, shows that a packet got there.
"""

import errno
import socket
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, summarize_address_range

from dicomgate.facts import Address
from dicomgate.policy.model import Networks
from dicomgate.segment import kernel
from dicomgate.segment.apply import differences
from dicomgate.segment.flows import Plan, Purpose, Transport
from dicomgate.segment.judge import judge
from dicomgate.segment.kernel import Loaded, NftError
from dicomgate.segment.model import Neighbour
from dicomgate.segment.networks import machines
from dicomgate.segment.own_way import cut_ways, is_gate_host, source_to

AT_ONCE = 32
"""Probes at the same time."""
MOST_PROBES = 4096


class Found(StrEnum):
    """What became of a connection attempt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """A reset or an ICMP message: something answered."""
    SILENT = "silent"
    NO_ROUTE = "no route"
    """This machine knows no way there; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """A machine that the configuration names, and the port to try. `check` is what the assessor calls the question.

    `forbidden_by`: the key that forbids it from everywhere; None: the plan is asked.
    """

    name: str
    address: Address
    port: int
    check: str = "EXP-05"
    forbidden_by: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One line of the matrix. `expected` is whether it must pass, and `rule` the key that says so."""

    source: Address
    source_segment: str | None
    target: Target
    expected: bool
    rule: str
    found: Found

    @property
    def ok(self) -> bool:
        if self.expected:
            return self.found is Found.ACCEPTED
        return self.found in (Found.SILENT, Found.NO_ROUTE)


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One question about the rules loaded on this machine; `finding` says what is wrong, "" when nothing is."""

    name: str
    finding: str

    @property
    def ok(self) -> bool:
        return not self.finding


@dataclass(frozen=True, slots=True)
class Verification:
    """`ok` only when every probe and every check is, and there was at least one."""

    probes: tuple[Probe, ...]
    checks: tuple[RuleCheck, ...]

    @property
    def ok(self) -> bool:
        answers = [*(each.ok for each in self.probes), *(each.ok for each in self.checks)]
        return bool(answers) and all(answers)


class TooManyProbesError(ValueError):
    """More questions than are sensible to ask at once."""


def targets(plan: Plan, neighbours: Sequence[Neighbour]) -> list[Target]:
    """Every single machine that a DICOM flow leads to, at every DICOM port; and other sites, past their tunnels."""
    found: dict[tuple[Address, int], Target] = {}
    for flow in plan.flows:
        if flow.purpose is Purpose.DICOM and flow.transport is Transport.TCP:
            for address in machines(flow.destination):  # a whole segment is not scanned
                for port in plan.dicom_ports:
                    # A port that this flow opens gives the target its name, other flows do not take it away.
                    if port in flow.ports or (address, port) not in found:
                        found[address, port] = Target(flow.destination_name, address, port)
    for neighbour in neighbours:
        for port in plan.dicom_ports:
            past = f"site {neighbour.site}, past the channel"
            key = f"site[{neighbour.site}].address"
            found.setdefault((neighbour.address, port), Target(past, neighbour.address, port, "EXP-07", key))
    for address, name in {address: target.name for (address, _), target in found.items()}.items():
        for segment in plan.segments:
            if address in segment.networks and address in plan.closed:
                for port in segment.management.ports:
                    found.setdefault((address, port), Target(name, address, port))
    if len(found) > MOST_PROBES:
        raise TooManyProbesError(f"expected at most {MOST_PROBES} probes, came {len(found)}")
    return list(found.values())


def probe(plan: Plan, asked: Iterable[Target], seconds: float) -> tuple[Probe, ...]:
    """Try each from this machine, waiting so many seconds for an answer; a target that is this machine is left out."""
    here = is_gate_host(plan)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda target: _try(plan, target, seconds, here), asked)
        return tuple(each for each in found if each is not None)


def check_rules(plan: Plan, held: Sequence[Address] | None) -> tuple[RuleCheck, ...]:
    """What the kernel holds against the plan, on a machine that has the rules. NftError: cannot be read.

    `held` are the addresses that the gate has banned; None when the firewall is not told of bans.
    """
    now = kernel.loaded()
    if not now.text:
        return (RuleCheck("loaded", "the table inet dicomgate is not loaded"),)
    lines = [line for line in differences(plan, now) if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    changed = f"{len(lines)} lines differ, the first: {' '.join(lines[0].split())}" if lines else ""
    for_ever = [value for _, value, left in now.bans if left is None]
    ways = cut_ways(plan)
    return (
        RuleCheck("loaded", "" if now.in_force else "no rules are in force"),
        RuleCheck("as configured", changed),
        RuleCheck("confirmed", "the rules are on trial" if now.seconds_left else ""),
        RuleCheck("nothing else in the table", ", ".join(f"{kind} {name}" for kind, name in now.strangers)),
        RuleCheck("the gate's own way", ways[0] if ways else ""),
        RuleCheck(
            "bans end",
            f"{len(for_ever)} bans have no end, the first: {for_ever[0]}" if for_ever else "",
        ),
        *(() if held is None else (RuleCheck("bans are the gate's", _strange_bans(now, held)),)),
    )


def _strange_bans(now: Loaded, held: Sequence[Address]) -> str:
    """What the sets close out and the gate does not, and the other way round."""
    closed = {value: _networks_of(value) for _, value, _ in now.bans}
    stale = [value for value, networks in closed.items() if not any(each in networks for each in held)]
    missing = [str(each) for each in held if not any(each in networks for networks in closed.values())]
    sentences = (
        (stale, "closed out, though the gate has banned nobody there"),
        (missing, "banned by the gate, and not closed out"),
    )
    return "; ".join(f"{', '.join(values[:3])}: {what} ({len(values)})" for values, what in sentences if values)


def _networks_of(element: str) -> Networks:
    """An element of a set as the kernel lists it: an address, a network, or a range of addresses."""
    first, separator, last = element.partition("-")
    if not separator:
        return Networks.of([element])
    return Networks(tuple(summarize_address_range(*sorted(map(ip_address, (first, last)), key=int))))


def rule_checks(plan: Plan, *, asked: bool, held: Sequence[Address] | None) -> tuple[RuleCheck, ...]:
    """`check_rules`; unless asked for, nothing on a machine that has no such table or may not read it."""
    try:
        if not asked and not kernel.loaded().text:
            return ()
        return check_rules(plan, held)
    except NftError as error:
        return (RuleCheck("loaded", error.text),) if asked else ()


def as_json(found: Verification, gate: str, time: str) -> dict[str, object]:
    """The file that `--output` writes; docs/reference/segment-verify.md describes it."""
    return {
        "format": "dicomgate-segment-verify/1",
        "time": time,
        "gate": gate,
        "ok": found.ok,
        "probes": [
            {
                "check": each.target.check,
                "source": str(each.source),
                "source_segment": each.source_segment,
                "destination": str(each.target.address),
                "destination_name": each.target.name,
                "port": each.target.port,
                "expected": "pass" if each.expected else "drop",
                "found": each.found.value,
                "rule": each.rule,
                "ok": each.ok,
            }
            for each in found.probes
        ],
        "rules": [{"name": each.name, "ok": each.ok, "finding": each.finding} for each in found.checks],
    }


def table(found: Verification) -> Iterator[str]:
    """The matrix as lines for the eye, failures marked."""
    for each in found.probes:
        wanted = "must pass" if each.expected else "must not pass"
        where = f"{each.source_segment or 'no segment'} {each.source}"
        there = f"{each.target.name} {each.target.address} port {each.target.port}"
        yield f"{'ok  ' if each.ok else 'FAIL'}  {where} to {there}: {wanted}, {each.found} ({each.rule})"
    for check in found.checks:
        yield f"{'ok  ' if check.ok else 'FAIL'}  rules on this machine, {check.name}: {check.finding or 'yes'}"


def _same_segment(plan: Plan, one: Address, other: Address) -> bool:
    return any(one in segment.networks and other in segment.networks for segment in plan.segments)


def _try(plan: Plan, target: Target, seconds: float, here: bool) -> Probe | None:
    source, found = _connect(target, seconds)
    if source is not None and source == target.address:
        return None
    if source is None:
        source = ip_address("0.0.0.0" if target.address.version == 4 else "::")  # noqa: S104 - no address: no way there
    segment = next((each.name for each in plan.segments if source in each.networks), None)
    if target.forbidden_by is not None:
        return Probe(source, segment, target, False, target.forbidden_by, found)
    if target.port not in plan.dicom_ports and (here or _same_segment(plan, source, target.address)):
        return None  # what the gate host asks for itself, and what stays inside a segment, meets no rule
    judged = judge(plan, source, target.address, target.port)
    return Probe(source, segment, target, judged.passes, judged.rule, found)


def _connect(target: Target, seconds: float) -> tuple[Address | None, Found]:
    """Connect and leave. The source is the address that this machine would use, None without a route."""
    family = socket.AF_INET if target.address.version == 4 else socket.AF_INET6
    place = (str(target.address), target.port)
    source = source_to(target.address, target.port)
    if source is None:
        return None, Found.NO_ROUTE
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        try:
            sock.connect(place)
        except TimeoutError:
            return source, Found.SILENT
        except OSError as error:
            # Our own output rules drop without a word; EPERM is what another firewall on this machine says.
            silent = (errno.EPERM, errno.EACCES, errno.ETIMEDOUT)
            return source, Found.SILENT if error.errno in silent else Found.REFUSED
    return source, Found.ACCEPTED
