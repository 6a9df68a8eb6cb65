"""Every renderer against its golden file, against what its target publishes, with names that mean something to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from dicomgate.policy.model import Networks
from dicomgate.segment import aws, azure, kubernetes, matrix, nftables
from dicomgate.segment.azure import TooManyRulesError
from dicomgate.segment.flows import Flow, Plan, Purpose
from dicomgate.segment.model import Segment
from dicomgate.segment.words import UnsafeNameError
from segment.targets import NAMES, PLANS, TARGETS, plan_of

SCHEMAS = Path(__file__).parent / "schemas"
HOSTILE = ['a"; flush ruleset; #', "a\nb", "$(id)", "${var.x}", "`id`", "a b\\", "{{ x }}", "../x", "*", "é", ""]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", TARGETS)
def test_renders_as_written(name: str, ending: str) -> None:
    assert TARGETS[ending](plan_of(name)) == (PLANS / f"{name}{ending}").read_text("utf-8")


def test_every_golden_file_has_its_plan() -> None:
    golden = {path.name for path in PLANS.iterdir() if path.suffix != ".toml"}
    assert golden == {f"{name}{ending}" for name in NAMES for ending in TARGETS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["kubernetes", "aws", "azure"])
def test_fits_the_schema_of_its_target(name: str, target: str) -> None:
    renderers = {"kubernetes": kubernetes.render, "aws": aws.render, "azure": azure.render}
    schema = json.loads((SCHEMAS / f"{target}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for site in (None, "cloud") if name == "two_sites" else (None,):
        jsonschema.validate(json.loads(renderers[target](plan_of(name), site)), schema)


PUBLISHED = json.loads((SCHEMAS / "published.json").read_text("utf-8"))
"""By schemas/write_published.py, from what Kubernetes and the providers publish."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("version", PUBLISHED["kubernetes"])
def test_a_policy_is_what_kubernetes_publishes(name: str, version: str) -> None:
    schema = PUBLISHED["kubernetes"][version]
    for site in {None, *(segment.site for segment in plan_of(name).segments)}:
        for policy in json.loads(kubernetes.render(plan_of(name), site))["items"]:
            jsonschema.validate(policy, schema)


FITS: dict[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "strings": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
    "map of strings": lambda value: isinstance(value, dict) and all(isinstance(v, str) for v in value.values()),
    # Terraform's JSON takes a set of blocks only when every attribute of every block is written.
    "objects": lambda value: False,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("provider", PUBLISHED["terraform"])
def test_a_resource_is_what_the_provider_publishes(name: str, provider: str) -> None:
    render = aws.render if "/aws" in provider else azure.render
    published = PUBLISHED["terraform"][provider]
    for site in {None, *(segment.site for segment in plan_of(name).segments)}:
        for kind, resources in json.loads(render(plan_of(name), site))["resource"].items():
            attributes, required = published[kind]["attributes"], published[kind]["required"]
            for resource in resources.values():
                assert set(required) <= set(resource)
                assert [key for key in resource if not FITS[attributes.get(key, "objects")](resource[key])] == []


def test_a_remote_site_is_rendered_and_not_applied_here() -> None:
    plan = plan_of("two_sites")
    policies = json.loads(kubernetes.render(plan, "cloud"))["items"]
    assert [policy["spec"]["podSelector"]["matchLabels"] for policy in policies] == [
        {"dicomgate-segment": "Cloud_archive"}
    ]
    assert "ip daddr 10.20.1.0/24 counter drop" not in nftables.whole(plan)
    assert "ip daddr 10.10.1.0/24 counter drop" in nftables.whole(plan)


def test_the_silent_are_left_out_of_everywhere() -> None:
    """A security group cannot say "all but", so what is left is written out; a policy can."""
    plan = plan_of("clinic")
    rules = json.loads(aws.render(plan))["resource"]["aws_vpc_security_group_ingress_rule"].values()
    open_to_all = [
        Networks.of([rule["cidr_ipv4"]])
        for rule in rules
        if rule["description"] == "peer[teleradiology].networks" and "cidr_ipv4" in rule
    ]
    covered = Networks(tuple(network for each in open_to_all for network in each.members))
    guest, stranger = Networks.of(["10.1.200.7", "192.0.2.7"]).members
    assert guest.network_address not in covered
    assert stranger.network_address in covered
    assert {"cidr": "0.0.0.0/0", "except": ["10.1.200.0/22"]} in [
        each["ipBlock"]
        for policy in json.loads(kubernetes.render(plan))["items"]
        for rule in policy["spec"]["ingress"]
        for each in rule.get("from", [])
    ]


def hostile(name: str) -> Plan:
    plan = plan_of("gate_only")
    networks = Networks.of(["2001:db8:1::/64"])
    flow = Flow(Purpose.DICOM, name, networks, name, networks, (104,), name, name)
    return replace(plan, flows=(flow,), segments=(Segment(name, networks),))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("render", [nftables.whole, kubernetes.render, aws.render, azure.render])
def test_a_name_that_is_more_than_a_name_is_refused(name: str, render: object) -> None:
    assert callable(render)
    with pytest.raises(UnsafeNameError):
        render(hostile(name))


@pytest.mark.parametrize("name", [*HOSTILE, "sixteen-letters-", "a b"])
def test_an_interface_that_is_more_than_a_name_is_refused(name: str) -> None:
    plan = plan_of("channels")
    flows = tuple(flow for flow in plan.flows if flow.arrives_by)
    assert flows[0].arrives_by is not None
    bad = replace(flows[0], arrives_by=replace(flows[0].arrives_by, interface=name))
    with pytest.raises(UnsafeNameError):
        nftables.whole(replace(plan, flows=(bad,)))


def test_a_tunnel_that_nothing_tells_from_the_clear_lets_nobody_through() -> None:
    plan = plan_of("channels")
    flow = next(flow for flow in plan.flows if flow.arrives_by)
    assert flow.arrives_by is not None
    blind = replace(flow, arrives_by=replace(flow.arrives_by, interface=None))
    lines = [line.strip() for line in nftables.whole(replace(plan, flows=(blind,))).splitlines()]
    drop = 'ip saddr 10.21.3.0/24 ip daddr 10.1.1.5 tcp dport 104 counter drop comment "beside channel to-wireguard"'
    assert drop in lines


@pytest.mark.parametrize("name", [*HOSTILE, "<script>alert(1)</script>", "a|b", "[x](https://evil.example)"])
def test_pages_show_a_name_and_do_nothing_else(name: str) -> None:
    page = matrix.html(hostile(name), name)
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert set(tags) == {"html", "meta", "title", "style", "h1", "h2", "table", "tr", "th", "td", "ul", "li"}
    (row,) = [line for line in matrix.markdown(hostile(name), name).splitlines() if "2001:db8:1::/64 |" in line]
    assert row.replace("\\|", "").count("|") == 8
    assert "](" not in row.replace("\\]", "")


def test_two_names_never_become_one() -> None:
    plan = plan_of("gate_only")
    one, other = Networks.of(["10.1.1.0/24"]), Networks.of(["10.1.2.0/24"])
    segments = (Segment("a.b", one), Segment("A_b", other), Segment("a_b", Networks.of(["10.1.3.0/24"])))
    plan = replace(plan, segments=segments)
    assert len(json.loads(aws.render(plan))["resource"]["aws_security_group"]) == 3
    assert len({policy["metadata"]["name"] for policy in json.loads(kubernetes.render(plan))["items"]}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_group_of_aws_takes_no_rule_twice(name: str) -> None:
    for kind, rules in json.loads(aws.render(plan_of(name)))["resource"].items():
        places = [tuple((key, value) for key, value in rule.items() if key != "description") for rule in rules.values()]
        assert "rule" not in kind or len({*places}) == len(places)


def test_a_group_of_azure_has_an_end() -> None:
    plan = plan_of("gate_only")
    segment = Segment("all", Networks.of(["2001:db8::/32"]))
    flows = tuple(replace(plan.flows[0], rule=f"peer[{number}].networks") for number in range(4000))
    with pytest.raises(TooManyRulesError, match="3997"):
        azure.render(replace(plan, flows=flows, segments=(segment,)))


def test_the_same_rules_are_the_same_generation() -> None:
    plan = plan_of("clinic")
    assert nftables.generation(plan) == nftables.generation(plan_of("clinic"))
    assert nftables.generation(plan) != nftables.generation(replace(plan, dicom_ports=(104,)))
