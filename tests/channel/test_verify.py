"""Seeded faults, each found by the check that is for it; a good tunnel passes every check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from channel.scene import (
    OUR_KEY,
    THEIR_KEY,
    child,
    good_ipsec,
    good_wireguard,
    ipsec_channel,
    wireguard_channel,
    with_end,
)
from dicomgate.channel import guard
from dicomgate.channel.echo import Echo
from dicomgate.channel.model import Channel, Termination
from dicomgate.channel.verify import Observation, judge
from dicomgate.channel.vici import Daemon, IkeSa

Fault = Callable[[Observation], Observation]


def failed(channel: Channel, seen: Observation) -> set[str]:
    return {finding.check for finding in judge(channel, channel.ends[0], seen) if not finding.ok}


def test_a_good_tunnel_passes() -> None:
    assert failed(ipsec_channel(), good_ipsec(ipsec_channel())) == set()
    assert failed(wireguard_channel(), good_wireguard(wireguard_channel())) == set()
    open_ports = ipsec_channel(ports=())
    assert failed(open_ports, good_ipsec(open_ports)) == set()


def sa(**changes: object) -> Fault:
    def seed(seen: Observation) -> Observation:
        assert seen.daemon is not None
        (good,) = seen.daemon.sas
        return replace(seen, daemon=replace(seen.daemon, sas=(replace(good, **changes),)))  # type: ignore[arg-type]

    return seed


def children(change: Callable[[IkeSa], tuple[object, ...]]) -> Fault:
    def seed(seen: Observation) -> Observation:
        assert seen.daemon is not None
        return sa(children=change(seen.daemon.sas[0]))(seen)

    return seed


def each_child(**changes: object) -> Fault:
    return children(lambda good: tuple(replace(one, **changes) for one in good.children))  # type: ignore[arg-type]


def without_rule(number: int) -> Fault:
    def seed(seen: Observation) -> Observation:
        assert seen.rules is not None
        return replace(seen, rules=seen.rules[:number] + seen.rules[number + 1 :])

    return seed


IPSEC_FAULTS: dict[str, tuple[Fault, set[str]]] = {
    "no SA": (lambda seen: replace(seen, daemon=Daemon(frozenset(), (), frozenset())), {"up"}),
    "charon is dead": (lambda seen: replace(seen, daemon=None, problem="nobody answered"), {"up"}),
    "not established": (sa(state="CONNECTING"), {"up"}),
    "IKEv1": (sa(version=1), {"version"}),
    "wrong peer": (sa(remote_id="mallory.example"), {"peer_identity"}),
    "wrong own identity": (sa(local_id="ct1.north.example"), {"own_identity"}),
    "weak IKE cipher": (sa(encryption="3DES_CBC", integrity="HMAC_SHA2_256_128"), {"ike_algorithms"}),
    "weak PRF": (sa(prf="PRF_HMAC_SHA1"), {"ike_algorithms"}),
    "weak group": (sa(group="MODP_1024"), {"ike_algorithms"}),
    "weak ESP cipher": (each_child(encryption="NULL"), {"esp_algorithms"}),
    "weak ESP integrity": (each_child(encryption="AES_CBC", integrity="HMAC_SHA1_96"), {"esp_algorithms"}),
    "AH": (each_child(protocol="AH"), {"esp_algorithms"}),
    "a child is missing": (children(lambda good: good.children[:1]), {"selectors"}),
    "a selector is too narrow": (each_child(remote_ts=("10.20.1.0/25[tcp/104]",)), {"selectors"}),
    "a selector too many": (
        children(lambda good: (*good.children, child("wide", ("0.0.0.0/0",), ("0.0.0.0/0",)))),
        {"selectors"},
    ),
    "a drop rule is missing": (without_rule(3), {"cleartext"}),
    "a secret for everybody": (lambda seen: replace(seen, secrets_problem="others can read"), {"secrets"}),
    "an accept in front": (
        lambda seen: replace(seen, rules=(("prerouting", '[{"accept": null}]'), *(seen.rules or ()))),
        {"cleartext"},
    ),
    "no rules": (lambda seen: replace(seen, rules=None, rules_problem="no such table"), {"cleartext"}),
    "nobody answers": (lambda seen: replace(seen, echo=Echo(False, "silence")), {"echo"}),
    "nobody to ask": (lambda seen: replace(seen, echo=None), {"echo"}),
    "an echo beside the tunnel": (lambda seen: replace(seen, received=(7, 7), sent=(7, 7)), {"counters"}),
    "answers beside the tunnel": (lambda seen: replace(seen, received=(7, 7)), {"counters"}),
}


@pytest.mark.parametrize("name", IPSEC_FAULTS)
def test_a_fault_of_ipsec_is_found(name: str) -> None:
    seed, expected = IPSEC_FAULTS[name]
    channel = ipsec_channel()
    assert failed(channel, seed(good_ipsec(channel))) == expected


def peer(**changes: object) -> Fault:
    def seed(seen: Observation) -> Observation:
        assert seen.device is not None
        (good,) = seen.device.peers
        return replace(seen, device=replace(seen.device, peers=(replace(good, **changes),)))  # type: ignore[arg-type]

    return seed


def device(**changes: object) -> Fault:
    return lambda seen: replace(seen, device=replace(seen.device, **changes))  # type: ignore[arg-type, type-var]


def stranger(seen: Observation) -> Observation:
    assert seen.device is not None
    (good,) = seen.device.peers
    return replace(seen, device=replace(seen.device, peers=(good, replace(good, public_key="x", allowed_ips=()))))


WIREGUARD_FAULTS: dict[str, tuple[Fault, set[str]]] = {
    "no interface": (lambda seen: replace(seen, device=None), {"up"}),
    "no handshake": (peer(handshake=0), {"up"}),
    "an old handshake": (peer(handshake=900), {"up"}),
    "another peer": (peer(public_key="x"), {"up", "peer_identity", "preshared", "selectors"}),
    "one peer too many": (stranger, {"peer_identity"}),
    "another own key": (device(public_key=THEIR_KEY), {"own_identity"}),
    "another port": (device(port=51999), {"port"}),
    "no additional secret": (peer(preshared=False), {"preshared"}),
    "too few addresses": (peer(allowed_ips=("10.20.1.0/24",)), {"selectors"}),
    "too many addresses": (peer(allowed_ips=("0.0.0.0/0", "10.20.1.0/24", "10.99.0.1/32")), {"selectors"}),
    "a route beside": (lambda seen: replace(seen, routes=(("10.20.1.0/24", "eth0"),)), {"route"}),
    "no route": (lambda seen: replace(seen, routes=()), {"route"}),
    "a drop rule is missing": (without_rule(-2), {"cleartext"}),
    "a secret for everybody": (lambda seen: replace(seen, secrets_problem="others can read"), {"secrets"}),
}


@pytest.mark.parametrize("name", WIREGUARD_FAULTS)
def test_a_fault_of_wireguard_is_found(name: str) -> None:
    seed, expected = WIREGUARD_FAULTS[name]
    channel = wireguard_channel()
    assert failed(channel, seed(good_wireguard(channel))) == expected


def test_a_tunnel_on_another_machine_is_proven_as_far_as_it_can_be_seen() -> None:
    channel = with_end(ipsec_channel(), 0, termination=Termination.SEPARATE_HOST, interface="vlan7")
    own = channel.ends[0]
    blind = {each.check: each.ok for each in judge(channel, own, Observation(problem="no interface vlan7"))}
    assert blind == {"up": False, "route": False, "cleartext": False, "echo": False}
    good = replace(
        good_ipsec(channel), daemon=None, rules=tuple(guard.rules(channel, own)), routes=(("10.20.1.0/24", "vlan7"),)
    )
    findings = {each.check: each for each in judge(channel, own, good)}
    assert {check for check, each in findings.items() if not each.ok} == set()
    assert "have to be verified where it ends (separate-host)" in findings["up"].text
    assert failed(channel, replace(good, received=(0, 0))) == {"counters"}
    assert failed(channel, replace(good, routes=(("10.20.1.0/24", "eth0"),))) == {"route"}


def test_a_mark_speaks_of_what_arrives_only() -> None:
    channel = with_end(wireguard_channel(), 0, termination=Termination.SEPARATE_HOST, mark=7)
    rules = tuple(guard.rules(channel, channel.ends[0]))
    seen = Observation(rules=rules, echo=Echo(True, "it answered"))
    findings = {each.check: each for each in judge(channel, channel.ends[0], seen)}
    assert {check: each.ok for check, each in findings.items()} == {"up": True, "marked": True, "echo": True}
    assert "where the tunnel ends, or not" in findings["marked"].text
    assert failed(channel, replace(seen, rules=())) == {"marked"}


def test_a_key_that_was_renewed_and_not_applied_is_found() -> None:
    channel = with_end(wireguard_channel(), 0, public_key=None)
    seen = good_wireguard(channel)
    assert failed(channel, replace(seen, public_key=OUR_KEY)) == set()
    assert failed(channel, replace(seen, public_key=THEIR_KEY)) == {"own_identity"}


def test_why_there_is_no_tunnel_is_said() -> None:
    channel = ipsec_channel()
    seen = replace(good_ipsec(channel), daemon=Daemon(frozenset(), (), frozenset()), problem="AUTHENTICATION_FAILED")
    assert judge(channel, channel.ends[0], seen)[0].text.endswith("came none: AUTHENTICATION_FAILED")
