"""What a configuration needs, flow by flow, and how one connection is judged by it."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from dicomgate.config.load import interpret, parse
from dicomgate.segment.flows import Plan, Purpose, plan
from dicomgate.segment.judge import judge
from dicomgate.segment.zones import zones
from segment.targets import PLANS, plan_of

BASE = """
[[listener]]
name = "inside"
bind = "10.1.1.5:104"
networks = ["10.1.0.0/16"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"

[segmentation]
"""
PEER = """
[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
assurance = "address"
"""


def made(text: str) -> Plan:
    configuration = interpret(parse(text, "gate.toml"), "gate.toml", PLANS)
    assert configuration.segmentation is not None
    return plan(configuration.settings.rules, configuration.segmentation)


def to_the_gate(text: str) -> list[str]:
    return [str(flow.source) for flow in made(text).flows if flow.destination_name.startswith("gate")]


def test_a_peer_gets_what_it_and_its_listener_have_in_common() -> None:
    assert to_the_gate(BASE + PEER + 'networks = ["10.0.0.0/8", "192.168.1.0/24"]\nmay = ["echo"]') == ["10.1.0.0/16"]


def test_any_is_cut_down_to_the_listener() -> None:
    assert to_the_gate(BASE + PEER + 'networks = ["any"]\nmay = ["echo"]') == ["10.1.0.0/16"]


@pytest.mark.parametrize("lines", ['networks = ["10.1.2.31"]', 'networks = ["192.168.1.1"]\nmay = ["echo"]'])
def test_who_may_nothing_or_cannot_connect_needs_no_way(lines: str) -> None:
    assert to_the_gate(BASE + PEER + lines) == []


def test_an_archive_needs_a_way_back_only_when_somebody_listens() -> None:
    listening = PEER + 'networks = ["10.1.2.31"]\nmay = ["echo"]\naddress = "10.1.2.31:104"'
    assert to_the_gate(BASE + listening) == ["10.1.2.31/32", "10.1.1.20/32"]
    rules = {flow.rule for flow in made(BASE + listening).flows}
    assert rules == {
        "peer[ct-1].networks",
        "archive[main].networks",
        "archive[main].address",
        "peer[ct-1].address",
    }


def test_behind_load_balancers_only_they_connect() -> None:
    flows = [flow for flow in plan_of("two_sites").flows if flow.destination_name.startswith("gate, ")]
    assert [str(flow.source) for flow in flows] == ["10.10.1.2/32, 10.10.1.3/32"]


def test_tunnels_that_end_on_the_gate_host_are_let_in() -> None:
    tunnels = [flow for flow in plan_of("two_sites").flows if flow.purpose is Purpose.TUNNEL]
    assert [(flow.transport.value, flow.ports) for flow in tunnels] == [
        ("udp", (500,)),
        ("esp", ()),
        ("udp", (4500,)),
        ("udp", (51820,)),
    ]


CHANNELS = (PLANS / "channels.toml").read_text("utf-8")


def by_channel(text: str, name: str) -> list[tuple[str, int, str | None]]:
    """Where somebody may call the gate from, on which port, and the channel it must come through."""
    return [
        (str(flow.source), flow.ports[0], flow.arrives_by.channel if flow.arrives_by else None)
        for flow in made(text).flows
        if flow.destination_name.startswith("gate, ") and flow.source_name == name
    ]


def test_each_channel_of_a_peer_brings_what_it_carries() -> None:
    assert by_channel(CHANNELS, "peer branches") == [
        ("10.22.0.0/16", 104, "to-kernel"),
        ("10.23.0.0/16", 104, "to-user-space"),
        ("10.22.0.0/16", 11113, "to-kernel"),
        ("10.23.0.0/16", 11113, "to-user-space"),
    ]


def test_what_peer_and_listener_demand_holds_together() -> None:
    text = CHANNELS.replace('"to-kernel", "to-user-space"]\n\n[[archive]]', '"to-kernel"]\n\n[[archive]]')
    assert by_channel(text, "peer branches")[2:] == [("10.22.0.0/16", 11113, "to-kernel")]
    assert by_channel(text, "archive main") == [("10.1.1.20/32", 104, None)], "it is in no tunnel"


def test_no_channel_means_nobody_also_for_the_firewall() -> None:
    assert by_channel(CHANNELS.replace('channels = "to-wireguard"', "channels = []"), "peer reader") == []


def test_a_channel_that_does_not_carry_the_port_brings_nothing() -> None:
    text = CHANNELS.replace("ports = [104]", "ports = [105]", 1).replace('address = "10.21.3.7:104"', "")
    assert by_channel(text, "peer reader") == []


def test_what_goes_to_another_site_goes_into_its_channel() -> None:
    leaving = {
        (flow.destination_name, flow.leaves_by.channel if flow.leaves_by else None)
        for flow in plan_of("channels").flows
        if flow.source_name == "gate"
    }
    assert leaving == {("archive main", None), ("archive old", "to-kernel"), ("peer reader", "to-wireguard")}


def test_in_front_of_a_gate_that_a_tunnel_ends_on_nothing_of_it_passes_in_clear() -> None:
    (gate,) = zones(plan_of("channels"), None)
    assert {str(opening.there) for opening in gate.arriving if opening.flow.arrives_by} == {"10.24.9.0/24"}
    assert [each.flow.destination_name for each in gate.leaving if not each.flow.source.any] == ["archive main"]
    (reading,) = zones(plan_of("channels"), "wireguard")
    assert "peer[reader].address" in {opening.flow.rule for opening in reading.arriving}, "this one is behind its gate"


CLINIC = [
    # source, destination, port, passes, rule
    ("10.1.2.31", "10.1.1.5", 104, True, "peer[ct-1].networks"),
    ("10.1.2.32", "10.1.1.5", 104, False, "segmentation.dicom_ports"),
    ("10.1.2.31", "10.1.1.20", 11112, False, "segmentation.dicom_ports"),
    ("10.1.1.5", "10.1.1.20", 11112, True, "archive[main].address"),
    ("10.1.1.20", "10.1.1.5", 104, True, "archive[main].networks"),
    ("10.1.1.5", "10.1.3.7", 104, True, "peer[reading-room].address"),
    ("192.0.2.7", "10.1.1.5", 2762, True, "peer[teleradiology].networks"),
    ("192.0.2.7", "10.1.1.5", 104, False, "segmentation.dicom_ports"),
    ("10.1.200.7", "10.1.1.5", 2762, False, "segment[guest].dicom"),
    ("10.1.1.20", "10.1.200.7", 104, False, "segment[guest].dicom"),
    ("10.1.2.31", "10.1.3.9", 4006, True, "segment[imaging].dicom_to"),
    ("10.1.3.9", "10.1.2.31", 4006, False, "segmentation.dicom_ports"),
    ("10.1.9.7", "10.1.2.31", 22, True, "segment[imaging].management"),
    ("10.1.9.77", "10.1.2.31", 22, False, "segment[imaging].other_traffic"),
    ("10.1.9.7", "10.1.2.31", 80, False, "segment[imaging].other_traffic"),
    ("10.1.9.77", "10.1.3.9", 80, True, "none"),
    ("10.1.9.77", "192.0.2.7", 80, True, "none"),
    ("10.1.9.77", "192.0.2.7", 4242, False, "segmentation.dicom_ports"),
]


@pytest.mark.parametrize(("source", "destination", "port", "passes", "rule"), CLINIC)
def test_one_connection(source: str, destination: str, port: int, passes: bool, rule: str) -> None:
    judged = judge(plan_of("clinic"), ip_address(source), ip_address(destination), port)
    assert (judged.passes, judged.rule) == (passes, rule)


def test_nothing_of_a_plan_can_be_left_out() -> None:
    """Minimal: without any one flow, something that must pass would not."""
    listening = PEER + 'networks = ["10.1.2.31"]\nmay = ["echo"]\naddress = "10.1.2.31:104"'
    whole = made(BASE + listening)
    assert len(whole.flows) == 4
    for flow in whole.flows:
        source, there = (networks.members[0].network_address for networks in (flow.source, flow.destination))
        less = replace(whole, flows=tuple(other for other in whole.flows if other is not flow))
        assert judge(whole, source, there, flow.ports[0]).passes
        assert not judge(less, source, there, flow.ports[0]).passes


def test_networks_written_twice_stand_once() -> None:
    """nft takes no set whose elements overlap."""
    text = (
        BASE
        + """
gate = ["10.1.1.5", "10.1.1.5", "10.1.1.4"]
dicom_ports = [104, 104]

[[segment]]
name = "imaging"
networks = ["10.1.1.0/24", "10.1.1.0/25", "10.1.0.0/23"]
management = { networks = ["10.1.9.1", "10.1.9.0/28"], ports = [443, 22, 443] }
dicom_to = [{ archive = "main", ports = [104, 104] }]
"""
    )
    whole = made(text)
    assert [str(each) for each in (whole.gate, whole.closed)] == ["10.1.1.4/32, 10.1.1.5/32", "10.1.0.0/23"]
    assert [(str(flow.source), flow.ports) for flow in whole.flows] == [
        ("10.1.1.4/32, 10.1.1.5/32", (11112,)),
        ("10.1.0.0/23", (104,)),
        ("10.1.9.0/28", (22, 443)),
    ]


def test_a_site_without_its_guests_is_no_contradiction() -> None:
    text = BASE + PEER + 'networks = ["10.1.0.0/30"]\nmay = ["echo"]\n'
    text += '[[segment]]\nname = "guest"\nnetworks = ["10.1.0.2"]\ndicom = false\nother_traffic = "pass"\n'
    assert to_the_gate(text) == ["10.1.0.0/31, 10.1.0.3/32"]
