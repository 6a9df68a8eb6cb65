"""What verify asks, how it judges what came back, and that the assessor can read it. No network here."""

import json
import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from dicomgate.assess.inputs import read_segments
from dicomgate.config.load import load
from dicomgate.segment import verify
from dicomgate.segment.kernel import Loaded
from dicomgate.segment.verify import (
    Found,
    Probe,
    RuleCheck,
    Target,
    TooManyProbesError,
    Verification,
    as_json,
    table,
    targets,
)
from segment.targets import PLANS, plan_of

GATE = Target("gate, listener inside", ip_address("10.1.1.5"), 104)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "segment-verify.md"


def probe(expected: bool, found: Found, segment: str | None = "guest") -> Probe:
    return Probe(ip_address("10.1.200.9"), segment, GATE, expected, "segment[guest].dicom", found)


@pytest.mark.parametrize(
    ("expected", "found", "ok"),
    [
        (True, Found.ACCEPTED, True),
        (True, Found.REFUSED, False),
        (True, Found.SILENT, False),
        (True, Found.NO_ROUTE, False),
        (False, Found.ACCEPTED, False),
        (False, Found.REFUSED, False),
        (False, Found.SILENT, True),
        (False, Found.NO_ROUTE, True),
    ],
)
def test_what_must_pass_is_accepted_and_what_must_not_stays_silent(expected: bool, found: Found, ok: bool) -> None:
    assert probe(expected, found).ok is ok


@pytest.mark.parametrize("element", ["10.1.2.0/24", "10.1.2.3-10.1.2.9", "10.1.2.7"])
def test_a_ban_is_found_in_whatever_way_the_kernel_lists_it(element: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded("table", current="12345678", bans=(("banned4", element, 60),))
    monkeypatch.setattr(verify.kernel, "loaded", lambda: loaded)
    monkeypatch.setattr(verify, "differences", lambda plan, now: [])

    def finding(*held: str) -> str:
        checks = verify.check_rules(plan_of("clinic"), [ip_address(each) for each in held])
        return next(check.finding for check in checks if check.name == "bans are the gate's")

    assert finding("10.1.2.7") == ""
    assert finding() == f"{element}: closed out, though the gate has banned nobody there (1)"
    assert finding("10.1.2.7", "2001:db8::1") == "2001:db8::1: banned by the gate, and not closed out (1)"


def test_nothing_asked_proves_nothing() -> None:
    assert not Verification((), ()).ok
    good, bad = probe(False, Found.SILENT), probe(False, Found.REFUSED)
    assert Verification((good,), (RuleCheck("loaded", ""),)).ok
    assert not Verification((good,), (RuleCheck("loaded", "it is not"),)).ok
    assert not Verification((good, bad), ()).ok
    assert [line[:4] for line in table(Verification((good, bad), (RuleCheck("loaded", ""),)))] == [
        "ok  ",
        "FAIL",
        "ok  ",
    ]


def test_single_machines_are_asked_at_every_dicom_port() -> None:
    configuration = load(PLANS / "two_sites.toml", files=False)
    assert configuration.segmentation is not None
    plan = plan_of("two_sites")
    asked = targets(plan, configuration.segmentation.neighbours)
    places = {(str(each.address), each.port): each for each in asked}
    assert {address for address, _ in places} == {"10.10.1.5", "10.20.1.20", "10.20.1.21", "198.51.100.20"}
    assert {port for address, port in places if address == "10.20.1.20"} == set(plan.dicom_ports)
    assert ("10.10.1.5", 22) in places, "the management port of a closed segment must not be open to others"
    past = places["198.51.100.20", 104]
    assert (past.check, past.forbidden_by) == ("EXP-07", "site[cloud].address")


def test_a_typing_error_becomes_no_scan() -> None:
    plan = replace(plan_of("clinic"), dicom_ports=tuple(range(1, 5000)))
    with pytest.raises(TooManyProbesError):
        targets(plan, ())


def test_the_assessor_reads_what_is_written(tmp_path: Path) -> None:
    found = Verification((probe(False, Found.ACCEPTED), probe(True, Found.ACCEPTED, None)), ())
    file = tmp_path / "verify.json"
    file.write_text(json.dumps(as_json(found, "gate", "2026-11-22T09:49:42.123Z")), "utf-8")
    first, second = read_segments(file)
    assert (first.source_segment, first.address, first.port, first.must_pass, first.ok) == (
        "guest",
        "10.1.1.5",
        104,
        False,
        False,
    )
    assert (second.source_segment, second.must_pass, second.ok) == ("10.1.200.9", True, True)


def test_every_key_of_the_result_is_documented() -> None:
    found = as_json(Verification((probe(False, Found.ACCEPTED),), (RuleCheck("loaded", ""),)), "gate", "now")
    keys = {*found, "channels"}
    for part in ("probes", "rules"):
        (row,) = found[part]  # type: ignore[misc]
        keys |= {f"{part}.{key}" for key in row}
    documented = set(
        re.findall(r"`([a-z_.]+)`", "".join(re.findall(r"^\| (`[^|]*) \|", REFERENCE.read_text("utf-8"), re.M)))
    )
    assert {key for key in keys if key not in documented} <= {"rules.ok"}
