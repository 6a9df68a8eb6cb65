"""A plan in; nftables text out (nft -f). One table of our own, `inet dicomgate`; no other table is named anywhere.

The rules of one plan are a generation: four chains whose names bear a hash of their text. The three base chains hold
one jump each, so that a generation comes into force, or goes, in one transaction, and a generation on trial is in
force only while the set `trial` holds an element. The kernel removes that element when its time is over: the rules
revert by themselves even when every process that knows of them is dead.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import assert_never

from dicomgate.policy.model import Network, Networks
from dicomgate.segment.flows import Flow, Plan, Purpose, Transport
from dicomgate.segment.model import Tunnel
from dicomgate.segment.networks import common, of_version, tidy, without
from dicomgate.segment.words import interface, plain

TABLE = "inet dicomgate"
HOOKS = ("input", "forward", "output")
PRIORITY = -10
"""Just before the usual filter tables. A drop here ends the packet, an accept leaves it to the tables behind."""
BAN_SETS = {4: "banned4", 6: "banned6"}
TRIAL_SET = "trial"
LONGEST_COMMENT = 120
_FAMILY = {4: "ip", 6: "ip6"}
_ADDRESS_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}


def generation(plan: Plan) -> str:
    """Eight hexadecimal digits that two plans share when their rules are the same."""
    return hashlib.sha256(_rules(plan, "").encode()).hexdigest()[:8]


def chain_names(of_generation: str) -> tuple[str, ...]:
    """The chains of a generation; those that are jumped to from others come last."""
    return tuple(f"rules_{of_generation}_{part}" for part in (*HOOKS, "judge"))


def whole(plan: Plan) -> str:
    """A file for `nft -f` at boot: replaces the table, with its bans, in one transaction."""
    return "\n".join(
        (
            "# Written by dicomgate segment render. Replaces the table, and the bans in it, in one transaction.",
            f"table {TABLE}",
            f"delete table {TABLE}",
            *frame(),
            *body(plan, generation(plan)),
            *enforced(generation(plan)),
            "",
        )
    )


def frame() -> list[str]:
    """Table, sets and base chains; what is there already stays as it is."""
    return [
        f"add table {TABLE}",
        *(
            f"add set {TABLE} {name} {{ type {_ADDRESS_TYPE[version]}; flags interval, timeout; }}"
            for version, name in BAN_SETS.items()
        ),
        f"add set {TABLE} {TRIAL_SET} {{ typeof meta nfproto; flags timeout; }}",
        *(
            f"add chain {TABLE} {hook} {{ type filter hook {hook} priority {PRIORITY}; policy accept; }}"
            for hook in HOOKS
        ),
    ]


def body(plan: Plan, own: str) -> list[str]:
    """The chains of a plan, as generation `own`; no packet meets them yet."""
    names = reversed(chain_names(own))
    return [*(f"{verb} chain {TABLE} {name}" for name in names for verb in ("add", "flush")), _rules(plan, own)]


def enforced(current: str) -> list[str]:
    """This generation, and nothing else, from now on."""
    return [*_emptied_hooks(), *(f"add rule {TABLE} {hook} goto rules_{current}_{hook}" for hook in HOOKS)]


def on_trial(trial: str, current: str | None, seconds: int) -> list[str]:
    """The generation `trial` for so many seconds; after that `current` again, or no rules when there is none."""
    return [
        *_emptied_hooks(),
        *(f"add rule {TABLE} {hook} meta nfproto @{TRIAL_SET} goto rules_{trial}_{hook}" for hook in HOOKS),
        *(f"add rule {TABLE} {hook} goto rules_{current}_{hook}" for hook in HOOKS if current is not None),
        f"add element {TABLE} {TRIAL_SET} {{ ipv4 timeout {seconds}s, ipv6 timeout {seconds}s }}",
    ]


def forgotten(generations: Iterable[str]) -> list[str]:
    """Generations that nothing jumps to any more."""
    names = [name for each in generations for name in chain_names(each)]
    return [*(f"flush chain {TABLE} {name}" for name in names), *(f"delete chain {TABLE} {name}" for name in names)]


def ban(networks: Sequence[Network], seconds: int) -> str:
    """Close the DICOM ports to these addresses for a while. Fails in nft when no table is loaded."""
    lines = []
    for network in networks:
        name = BAN_SETS[network.version]
        # An element that is there keeps its old time; only taking it out first renews it.
        lines += [
            f"add element {TABLE} {name} {{ {_address(network)} timeout {seconds}s }}",
            f"delete element {TABLE} {name} {{ {_address(network)} }}",
            f"add element {TABLE} {name} {{ {_address(network)} timeout {seconds}s }}",
        ]
    return "\n".join([*lines, ""])


def lift(networks: Sequence[Network]) -> str:
    """End bans before their time; one that is not there is no mistake."""
    lines = []
    for network in networks:
        name = BAN_SETS[network.version]
        lines += [
            f"add element {TABLE} {name} {{ {_address(network)} timeout 1s }}",
            f"delete element {TABLE} {name} {{ {_address(network)} }}",
        ]
    return "\n".join([*lines, ""])


def _emptied_hooks() -> list[str]:
    return [*(f"flush chain {TABLE} {hook}" for hook in HOOKS), f"flush set {TABLE} {TRIAL_SET}"]


def _rules(plan: Plan, own: str) -> str:
    ports = _set(map(str, plan.dicom_ports))
    closed = [f"{_FAMILY[v]} daddr {_networks(plan.closed, v)}" for v in (4, 6) if of_version(plan.closed, v)]
    drops = [f'{match} counter drop comment "other_traffic"' for match in closed]
    judge = f"jump rules_{own}_judge"
    return "\n".join(
        (
            f"table {TABLE} {{",
            *_chain(f"rules_{own}_judge", _judge(plan, ports)),
            *_chain(f"rules_{own}_input", ['iifname "lo" accept', *_beside(plan, "input"), judge, *drops]),
            *_chain(f"rules_{own}_forward", [*_beside(plan, "forward"), judge, *drops]),
            *_chain(f"rules_{own}_output", ['oifname "lo" accept', *_beside(plan, "output"), judge]),
            "}",
        )
    )


def _chain(name: str, rules: Iterable[str]) -> Iterator[str]:
    yield f"\tchain {name} {{"
    yield from (f"\t\t{rule}" for rule in rules)
    yield "\t}"


def _beside(plan: Plan, hook: str) -> Iterator[str]:
    """Drops of what has to pass through a tunnel and does not. They stand before `established`, so that a connection
    that began inside does not go on in clear; and not in the rules that accept, because in a chain that more than
    one hook jumps to nft cannot ask about IPsec."""
    found: dict[str, None] = {}
    for flow in plan.flows:
        if (tunnel := flow.arrives_by) is not None and _meets(hook, "input", tunnel, plan):
            found |= _drops(tunnel, _outside(tunnel), replace(flow, source=_only_by_tunnel(flow, plan)))
        if (tunnel := flow.leaves_by) is not None and _meets(hook, "output", tunnel, plan):
            found |= _drops(tunnel, _past(tunnel), flow)
    yield from found


def _meets(hook: str, own: str, tunnel: Tunnel, plan: Plan) -> bool:
    """A router on the way meets no packet of a tunnel that ends on the gate host, and may meet all of another."""
    return hook == own or (hook == "forward" and bool(common(tunnel.ends_on, plan.gate)))


def _drops(tunnel: Tunnel, signs: Iterable[str], flow: Flow) -> dict[str, None]:
    comment = plain(f"beside channel {tunnel.channel}", LONGEST_COMMENT)
    rules = [*_matches(flow)]
    return dict.fromkeys(f'{sign}{match} counter drop comment "{comment}"' for sign in signs for match in rules)


def _only_by_tunnel(flow: Flow, plan: Plan) -> Networks:
    """The flow's sources without those that another peer, by networks of its own, may come from in clear."""
    others = (
        network
        for other in plan.flows
        if other.purpose is Purpose.DICOM and other.arrives_by is None and not other.source.any
        if {*other.ports} & {*flow.ports} and common(other.destination, flow.destination)
        for network in other.source.members
    )
    return without(flow.source, tidy(others))


def _outside(tunnel: Tunnel) -> list[str]:
    """What a packet that did not come out of the tunnel has; one is enough. "", every packet: nothing tells it."""
    signs = [
        *([f'iifname != "{interface(tunnel.interface)}" '] if tunnel.interface is not None else []),
        *([f"meta mark != 0x{tunnel.mark:08x} "] if tunnel.mark is not None else []),
        *(["meta ipsec missing "] if tunnel.by_policy else []),
    ]
    return signs or [""]


def _past(tunnel: Tunnel) -> list[str]:
    """The same of a packet that is about to leave. A mark is of what arrives, so that it says nothing here."""
    if tunnel.interface is not None:
        return [f'oifname != "{interface(tunnel.interface)}" ']
    return ["rt ipsec missing "] if tunnel.by_policy else []


def _judge(plan: Plan, ports: str) -> Iterator[str]:
    for version, name in BAN_SETS.items():
        # Only the DICOM ports: no detector can ban the administrator.
        yield f'{_FAMILY[version]} saddr @{name} tcp dport {ports} counter drop comment "banned"'
    yield "ct state established,related accept"
    for flow in plan.flows:
        if flow.purpose is Purpose.MANAGEMENT:
            yield from _accept(flow)
    for version in (4, 6):
        if of_version(plan.silent, version):
            for direction in ("saddr", "daddr"):
                match = f"{_FAMILY[version]} {direction} {_networks(plan.silent, version)}"
                yield f'{match} tcp dport {ports} counter drop comment "no DICOM here"'
    for flow in plan.flows:
        if flow.purpose is not Purpose.MANAGEMENT:
            yield from _accept(flow)
    yield "meta l4proto { icmp, ipv6-icmp } accept"
    yield f'tcp dport {ports} counter drop comment "DICOM elsewhere"'


def _accept(flow: Flow) -> Iterator[str]:
    comment = plain(flow.rule, LONGEST_COMMENT)
    yield from (f'{match} counter accept comment "{comment}"' for match in _matches(flow))


def _matches(flow: Flow) -> Iterator[str]:
    match flow.transport:
        case Transport.ESP:
            what = "meta l4proto esp"
        case Transport.TCP | Transport.UDP:
            what = f"{flow.transport} dport {_set(map(str, flow.ports))}"
        case _:
            assert_never(flow.transport)
    for version in (4, 6):
        if not of_version(flow.source, version) or not of_version(flow.destination, version):
            continue
        source = "" if flow.source.any else f"{_FAMILY[version]} saddr {_networks(flow.source, version)} "
        yield f"{source}{_FAMILY[version]} daddr {_networks(flow.destination, version)} {what}"


def _networks(networks: Networks, version: int) -> str:
    return _set(_address(network) for network in of_version(networks, version))


def _address(network: Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _set(values: Iterable[str]) -> str:
    values = list(values)
    return values[0] if len(values) == 1 else f"{{ {', '.join(values)} }}"
