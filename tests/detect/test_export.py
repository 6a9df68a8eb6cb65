"""The rules for other systems are those of the detectors, well-formed, and match what the gate really logs."""

import io
import json
import re
from pathlib import Path

import pytest
import yaml

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.export import crowdsec, fail2ban, failure_patterns, sigma
from dicomgate.detect.signal import Condition, Test
from dicomgate.gate.journal import Journal

GOLDEN = Path(__file__).parent / "golden"
T0 = 1_700_000_000.0
HOST = r"(?P<host>[0-9a-fA-F:.]+)"
DATE = re.compile(r'^\{"time": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|\+00:00)"')


@pytest.mark.parametrize(
    ("name", "written"),
    [("sigma.yml", sigma), ("crowdsec.yaml", crowdsec), ("fail2ban.conf", fail2ban)],
    ids=["sigma", "crowdsec", "fail2ban"],
)
def test_the_export_is_as_it_was(name: str, written: object) -> None:
    text = written()  # type: ignore[operator]
    assert text == (GOLDEN / name).read_text("utf-8"), (
        f"dicomgate detect export --format … > tests/detect/golden/{name}"
    )


def test_sigma_has_a_rule_for_each_detector_and_a_correlation_for_each_that_counts() -> None:
    rules = list(yaml.safe_load_all(sigma()))
    assert len({rule["id"] for rule in rules}) == len(rules)
    found = [rule["detection"]["selection"]["rule"] for rule in rules if _is_finding(rule)]
    assert found == [detector.id for detector in DETECTORS]
    names = {rule["name"] for rule in rules if "name" in rule}
    correlations = [rule for rule in rules if "correlation" in rule]
    assert {name for rule in correlations for name in rule["correlation"]["rules"]} == names
    for rule in correlations:
        detector = next(each for each in DETECTORS if f" {each.id}:" in rule["title"])
        told = rule["correlation"]
        assert (told["type"] == "value_count") is (detector.signal is not None and detector.signal.distinct is not None)
        assert told["condition"]["gte"] == detector.threshold
        assert told["timespan"] == f"{detector.window / 60:g}m"
    for rule in rules:
        if "detection" in rule:
            assert set(rule["detection"]["condition"].split()) - {"and", "not"} <= set(rule["detection"])


def _is_finding(rule: dict[str, object]) -> bool:
    detection = rule.get("detection")
    return isinstance(detection, dict) and detection["selection"].get("event") == "finding"


def sigma_matches(rule: dict[str, object], line: dict[str, object]) -> bool:
    """A little Sigma: fields with one modifier, lists of values, `a and not b`."""
    detection = rule["detection"]
    assert isinstance(detection, dict)

    def selected(name: str) -> bool:
        for field, values in detection[name].items():
            key, _, modifier = field.partition("|")
            value: object = line
            for step in key.split("."):
                value = value.get(step, "") if isinstance(value, dict) else ""
            wanted = tuple(values) if isinstance(values, list) else (values,)
            test = Test(modifier) if modifier else Test.EQUALS
            if not test.holds(str(value), wanted):
                return False
        return True

    first, *others = [part.strip() for part in detection["condition"].split("and not")]
    return selected(first) and not any(selected(other) for other in others)


def logged(*records: Record) -> list[str]:
    """The lines that a gate writes for them."""
    stream = io.StringIO()
    journal = Journal(stream)
    for record in records:
        journal.record(record)
    journal.close()
    return stream.getvalue().splitlines()


REFUSED = Record(
    T0,
    Event.ASSOCIATION_REFUSED,
    Outcome.REFUSED,
    association="a-1",
    refusal_id="V44B8SDG",
    reason="no peer has the calling AE title X",
    rule="default",
    listener="outside",
    address="203.0.113.9",
    port=4711,
    calling_ae_title='X","address":"1',
    called_ae_title='a": "8.8.8.8',
    status="1/1/3",
)
FOUND = Record(
    T0,
    Event.FINDING,
    Outcome.REFUSED,
    reason='10.1.9.9 was refused with 4 titles such as ", "address": "8.8.8.8"',
    rule="D02",
    address="2001:db8::9",
    calling_ae_title="ME",
    detail={"severity": "high", "subject": '", "address": "8.8.8.8"'},
)


def matching(line: str) -> list[str]:
    """The addresses that fail2ban would take from a line: it cuts the date off first."""
    assert DATE.match(line), line
    rest = DATE.sub("", line)
    if '"never_block": true' in rest:
        return []
    found = (re.search(pattern.replace("<HOST>", HOST), rest) for pattern in failure_patterns())
    return [match["host"] for match in found if match]


def test_fail2ban_finds_the_address_in_real_lines_and_no_stranger_can_put_another_in() -> None:
    refused, found = logged(REFUSED, FOUND)
    assert matching(refused) == ["203.0.113.9"]
    assert matching(found) == ["2001:db8::9"]


def test_fail2ban_leaves_alone_what_the_gate_leaves_alone() -> None:

    lines = logged(
        REFUSED._replace(status="2/3/2"),
        FOUND._replace(rule="D06"),
        FOUND._replace(detail={"never_block": True}),
        REFUSED._replace(event=Event.OPERATION_REFUSED),
    )
    assert [matching(line) for line in lines] == [[], [], [], []]


def test_sigma_matches_real_lines() -> None:
    rules = list(yaml.safe_load_all(sigma()))
    refused, found = (json.loads(line) for line in logged(REFUSED, FOUND))
    told = [rule["title"] for rule in rules if "detection" in rule and sigma_matches(rule, refused)]
    assert [title.split()[1] for title in told] == ["D01:", "D02:", "D03:"]
    told = [rule["title"] for rule in rules if "detection" in rule and sigma_matches(rule, found)]
    assert [title.split()[1] for title in told] == ["D02:"]


def test_crowdsec_scenarios_read_only_what_the_parser_gives_them() -> None:
    parser, *scenarios = yaml.safe_load_all(crowdsec())
    given = {static["meta"] for static in parser["statics"] if "meta" in static}
    assert len(scenarios) > 8
    for scenario in scenarios:
        used = set(re.findall(r"evt\.Meta\.(\w+)", json.dumps(scenario)))
        assert used <= given, scenario["name"]
        if scenario["type"] == "leaky":
            assert scenario["capacity"] >= 1
            assert re.fullmatch(r"[\d.]+s", scenario["leakspeed"])
        else:
            assert "capacity" not in scenario


def test_a_condition_compares_as_text() -> None:
    record = Record(T0, Event.OPERATION, Outcome.SUCCESS, detail={"unrestricted": True, "n": 3})
    assert Condition("detail.unrestricted", Test.EQUALS, ("true",)).holds(record)
    assert Condition("detail.n", Test.STARTS, ("3",)).holds(record)
    assert not Condition("address", Test.CONTAINS, ("1",)).holds(record)
