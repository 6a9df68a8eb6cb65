"""The rules that keep a channel's traffic out of the clear, for nftables (JSON, libnftables-json(5)). Pure.

What belongs into the tunnel and would leave beside it is dropped, and so is what claims to come from the other site
and did not come out of the tunnel. A table of its own; no other table is touched.

A tunnel that ends on another machine may be known here by a mark only. A mark says nothing of where a packet leaves, so
then only what arrives is judged here, and the machine where the tunnel ends holds back what would leave in clear.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dicomgate.channel import words
from dicomgate.channel.ipsec import remote_of
from dicomgate.channel.model import Channel, ChannelEnd, ChannelKind, Termination
from dicomgate.channel.problem import ChannelError
from dicomgate.policy.model import Network

Rule = tuple[str, str]
"""Chain, and the expressions of the rule as JSON with sorted keys: comparable with what nft lists."""

_HOOKS = {"prerouting": -300, "forward": 0, "output": 0}
"""Chain and hook, and its priority: arriving packets are judged before anything else looks at them."""
_MARKED = {"prerouting": -140}
"""By their mark they can be judged only once they bear it: netfilter's mangle is -150."""


def table(channel: Channel, end: ChannelEnd) -> str:
    """A whole nft transaction: the table is replaced at one stroke."""
    name = words.table(channel)
    own = {"family": "inet", "name": name}
    commands: list[dict[str, Any]] = [{"add": {"table": own}}, {"delete": {"table": own}}, {"add": {"table": own}}]
    for hook, priority in _hooks(channel, end).items():
        chain = {"family": "inet", "table": name, "name": hook, "type": "filter", "hook": hook, "prio": priority}
        commands.append({"add": {"chain": {**chain, "policy": "accept"}}})
    for hook, expressions in rules(channel, end):
        rule = {"family": "inet", "table": name, "chain": hook, "expr": json.loads(expressions)}
        commands.append({"add": {"rule": rule}})
    return json.dumps({"nftables": commands}, indent=1) + "\n"


def rules(channel: Channel, end: ChannelEnd) -> list[Rule]:
    """In the order in which they are judged. ChannelError where nothing tells the tunnel from the rest."""
    remote = remote_of(channel, end)
    interface = words.interface(channel, end)
    beside = _beside(interface, end.mark if by_mark(channel, end) else None)
    found = []
    for hook in _hooks(channel, end):
        found += [_rule(hook, carrier, {"accept": None}) for carrier in _carriers(channel, end)]
        arriving = hook == "prerouting"
        if channel.kind is ChannelKind.WIREGUARD and channel.ports and interface is not None:
            found += _ports(hook, interface, channel.ports)
        for network in remote.networks.members:
            far = _address("saddr" if arriving else "daddr", network)
            found.append(_rule(hook, *beside[0 if arriving else 1], far, {"drop": None}))
    return found


def where_it_ends(channel: Channel, end: ChannelEnd) -> tuple[Channel, ChannelEnd]:
    """The same as seen from the separate host on which this end is: what tells it on the gate host is not there."""
    there = replace(end, termination=Termination.GATE_HOST, interface=None, mark=None)
    one, other = (there if each is end else each for each in channel.ends)
    return replace(channel, ends=(one, other)), there


def by_mark(channel: Channel, end: ChannelEnd) -> bool:
    """Is a mark all that tells the tunnel from the rest? ChannelError where nothing does."""
    if words.interface(channel, end) is not None or end.termination is Termination.GATE_HOST:
        return False
    if end.mark is None:
        raise ChannelError(
            f"channel[{channel.name}].ends.interface: expected it at {end.site.name}, to tell the tunnel from the rest",
            "name the network interface that only this channel feeds, or the mark that its packets bear",
        )
    return True


def _hooks(channel: Channel, end: ChannelEnd) -> dict[str, int]:
    return _MARKED if by_mark(channel, end) else _HOOKS


def listed(answer: str, channel: Channel, end: ChannelEnd) -> list[Rule]:
    """The rules that nft -j lists for this channel's table, in the same form; ChannelError if it lists something else.

    A chain that hangs on no hook, or not on its own, judges nothing, so its rules do not count.
    """
    hooks = _hooks(channel, end)
    try:
        entries = json.loads(answer)["nftables"]
        chains = {
            entry["chain"]["name"]
            for entry in entries
            if "chain" in entry
            and hooks.get(entry["chain"]["name"]) == entry["chain"].get("prio")
            and entry["chain"].get("hook") == entry["chain"]["name"]
        }
        ours = [
            entry["rule"] for entry in entries if "rule" in entry and entry["rule"]["table"] == words.table(channel)
        ]
        return [(rule["chain"], _canonical(rule["expr"])) for rule in ours if rule["chain"] in chains]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ChannelError("nft answered something else than a list of rules", "is it nftables 1.0 or later?") from None


def _ports(hook: str, interface: str, ports: tuple[int, ...]) -> Iterator[Rule]:
    """WireGuard knows no ports. Like the selectors of IPsec these are stateless: a port at either end will do."""
    inside = _match({"meta": {"key": "iifname" if hook == "prerouting" else "oifname"}}, interface)
    for port in ports:
        for way in ("dport", "sport"):
            yield _rule(hook, inside, _match({"payload": {"protocol": "tcp", "field": way}}, port), {"accept": None})
    yield _rule(hook, inside, {"drop": None})


def _carriers(channel: Channel, end: ChannelEnd) -> list[dict[str, Any]]:
    """The tunnel's own packets: the public address of its other end may lie in a network that it carries."""
    if end.termination is not Termination.GATE_HOST:
        return []
    if channel.kind is ChannelKind.WIREGUARD:
        return [_match({"payload": {"protocol": "udp", "field": way}}, end.port) for way in ("sport", "dport")]
    esp = _match({"meta": {"key": "l4proto"}}, "esp")
    return [esp, *(_match({"payload": {"protocol": "udp", "field": "dport"}}, port) for port in (500, 4500))]


def _beside(interface: str | None, mark: int | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What says that a packet came, or leaves, beside the tunnel."""
    if mark is not None:
        return [_match({"meta": {"key": "iifname"}}, "lo", "!="), _match({"meta": {"key": "mark"}}, mark, "!=")], []
    if interface is None:
        return [_match({"meta": {"key": "ipsec"}}, False)], [_match({"rt": {"key": "ipsec"}}, False)]
    return (
        [_match({"meta": {"key": "iifname"}}, interface, "!="), _match({"meta": {"key": "iifname"}}, "lo", "!=")],
        [_match({"meta": {"key": "oifname"}}, interface, "!="), _match({"meta": {"key": "oifname"}}, "lo", "!=")],
    )


def _address(field: str, network: Network) -> dict[str, Any]:
    whole = network.prefixlen == network.max_prefixlen
    right: str | dict[str, Any] = str(network.network_address)
    if not whole:
        right = {"prefix": {"addr": right, "len": network.prefixlen}}
    return _match({"payload": {"protocol": "ip6" if network.version == 6 else "ip", "field": field}}, right)


def _match(left: dict[str, Any], right: str | int | dict[str, Any], operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _rule(chain: str, *expressions: dict[str, Any]) -> Rule:
    return chain, _canonical(list(expressions))


def _canonical(expressions: list[dict[str, Any]]) -> str:
    return json.dumps(expressions, sort_keys=True)
