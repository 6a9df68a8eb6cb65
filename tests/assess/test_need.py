"""Who needs a port: from records, flow logs and captures; and the configuration that is suggested from it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.reports import OPEN, assessment, target
from dicomgate.assess.need import Decision, Observations, Use, allowlist, needs, networks
from dicomgate.assess.observed import ObservationError, from_flows, from_records
from dicomgate.assess.suggest import BLANK, suggest
from dicomgate.config.load import load
from lab.gate import run_dicomgate

DAY = 86400.0


def use(client: str = "10.1.2.31", calling: str = "CT1", verbs: tuple[str, ...] = ("store",), count: int = 1) -> Use:
    return Use("a:104", client, calling, "ARCHIVE", frozenset(verbs), count, 0.0, DAY)


@pytest.mark.parametrize(
    ("days", "uses", "decision"),
    [
        (30, (), Decision.CLOSE),
        (14, (), Decision.CLOSE),
        (13.9, (), Decision.UNDECIDED),
        (0.1, (use(),), Decision.ALLOW),
    ],
)
def test_the_answer(days: float, uses: tuple[Use, ...], decision: Decision) -> None:
    (answer,) = needs(Observations(uses, ("a:104",), 0.0, days * DAY))
    assert answer.decision is decision
    assert bool(answer.allowlist) is bool(uses)


def test_the_allowlist_has_one_line_for_each_title_and_no_more_than_was_used() -> None:
    first, second = allowlist(
        [use("10.1.2.30"), use("10.1.2.31", verbs=("echo",), count=2), use("fd00::7", "WS 1", ("find", "move"))]
    )
    assert (first.calling, first.networks, first.verbs, first.count) == ("CT1", ("10.1.2.30/31",), ("echo", "store"), 3)
    assert (second.calling, second.networks, second.verbs) == ("WS 1", ("fd00::7/128",), ("find", "move"))


@given(st.sets(st.integers(0, 600), min_size=1))
def test_networks_hold_exactly_what_was_seen(hosts: set[int]) -> None:
    from ipaddress import ip_network

    addresses = {f"10.0.{host // 256}.{host % 256}" for host in hosts}
    held = {str(address) for network in networks(addresses) for address in ip_network(network)}
    assert held == addresses


RECORDS = [
    {"time": "2026-11-01T00:00:00.000Z", "event": "gate_started"},
    {
        "time": "2026-11-02T00:00:00.000Z",
        "event": "association_admitted",
        "address": "10.1.2.31",
        "listener": "inside",
        "calling_ae_title": "CT1",
        "called_ae_title": "ARCHIVE",
        "verb": None,
    },
    {
        "time": "2026-11-02T00:00:01.000Z",
        "event": "operation",
        "address": "10.1.2.31",
        "listener": "inside",
        "calling_ae_title": "CT1",
        "called_ae_title": "ARCHIVE",
        "verb": "store",
    },
    {"time": "2026-11-03T00:00:00.000Z", "event": "association_refused", "address": "10.9.9.9"},
    {"time": "2026-12-01T00:00:00.000Z", "event": "gate_stopped"},
]


def test_records_of_a_gate() -> None:
    answers = {answer.door: answer for answer in needs(from_records(RECORDS, ["inside", "outside"]))}
    assert answers["outside"].decision is Decision.CLOSE
    (allowed,) = answers["inside"].allowlist
    assert (allowed.networks, allowed.verbs, allowed.count) == (("10.1.2.31/32",), ("store",), 1)


CSV = """start,src,dst,dport,bytes
2026-11-01T00:00:00,10.1.2.31,10.1.1.20,104,9000
1793000000.5,10.1.2.32,10.1.1.20,104,10
2026-11-20T00:00:00,10.1.2.32,10.1.1.20,443,10
"""
LINES = '\n{"ts": 1793000000, "src_ip": "fd00::5", "dst_ip": "fd00::1", "dst_port": 104}\n'


def test_flow_logs() -> None:
    (answer,) = needs(from_flows(CSV.splitlines(), frozenset({104})))
    assert answer.door == "10.1.1.20:104"
    assert [allowed.networks for allowed in answer.allowlist] == [("10.1.2.31/32", "10.1.2.32/32")]
    (other,) = needs(from_flows(LINES.splitlines(), frozenset({104})))
    assert (other.door, other.allowlist[0].networks) == ("[fd00::1]:104", ("fd00::5/128",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,c\n1,2,3\n", "line 1: expected a column for the time"),
        ("time,src,dst,port\nnow,10.1.1.1,10.1.1.2,104\n", "line 2: expected a time, two addresses and a port"),
        ("time,src,dst,port\n1,10.1.1.1\n", "line 2"),
        ("time,src,dst,port\n1,host,10.1.1.2,104\n", "line 2"),
        ('{"time": 1}\n[]\n', "line 1"),
        (
            '{"time": 1, "src": "10.1.1.1", "dst": "10.1.1.1", "port": 104}\nnonsense\n',
            "line 2: expected a JSON object",
        ),
    ],
)
def test_a_flow_log_with_mistakes_says_where(text: str, said: str) -> None:
    with pytest.raises(ObservationError, match=said):
        from_flows(text.splitlines(), frozenset({104}))


@given(st.text(max_size=300))
def test_any_text_is_a_flow_log_or_an_observation_error(text: str) -> None:
    try:
        from_flows(["time,src,dst,port", *text.splitlines()], frozenset({104}))
    except ObservationError:
        return


def test_a_record_that_is_none_says_where() -> None:
    with pytest.raises(ObservationError, match="record 2"):
        from_records([RECORDS[0], {"time": "2026-11-02T00:00:00.000Z", "event": "operation", "address": "nowhere"}])


def test_a_record_that_would_steer_a_terminal_is_none() -> None:
    with pytest.raises(ObservationError, match="record 1"):
        from_records([RECORDS[1] | {"calling_ae_title": "CT1\x1b[2J"}])


def test_the_command(tmp_path: Path) -> None:
    flows = tmp_path / "flows.csv"
    flows.write_text(CSV)
    done = run_dicomgate("need", "--observe", flows, "--door", "10.1.1.20:2762", "--json")
    assert done.returncode == 1, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["door"], each["decision"]) for each in answers] == [
        ("10.1.1.20:2762", "close"),
        ("10.1.1.20:104", "allow"),
    ]
    records = tmp_path / "records.jsonl"
    records.write_text("\n".join(json.dumps(record) for record in RECORDS))
    done = run_dicomgate("need", "--observe", records)
    assert done.returncode == 0, done.stderr
    assert "CT1  from 10.1.2.31/32  to ARCHIVE  for store" in done.stdout
    (tmp_path / "wrong").write_bytes(b"\xff\xfe\x00")
    for wrong in (["--observe", tmp_path / "wrong"], ["--observe", tmp_path / "absent"], []):
        done = run_dicomgate("need", *wrong)
        assert done.returncode == 2
        assert done.stderr.startswith("dicomgate: error: ")
        assert "hint: " in done.stderr


HOSTILE = [
    use("10.1.2.31"),
    use("10.1.2.32", "ct1", ("find", "move")),
    use("10.1.2.33", "CT*"),
    use("10.1.2.34", "$(reboot)"),
    use("10.1.2.35", "'; reboot #"),
    use("10.1.2.36", 'A"B'),
    use("10.1.2.37", ""),
    use("10.1.2.38", "GATE"),
    use("10.1.2.39", "W S", ()),
]


@pytest.mark.parametrize("uses", [None, [], [use()], HOSTILE], ids=["none", "empty", "one", "hostile"])
def test_what_is_suggested_is_a_configuration_without_errors(uses: list[Use] | None, tmp_path: Path) -> None:
    observed = None if uses is None else Observations(tuple(uses), (), 0.0, 30 * DAY)
    file = tmp_path / "gate.toml"
    file.write_text(suggest(assessment(target(OPEN), target(OPEN, name="10.1.1.21:104")), observed))
    settings = load(file, files=False).settings
    rules = settings.rules
    assert [archive.ae_title for archive in rules.archives] == ["ARCHIVE"], "a second one of that title is a blank"
    assert all(listener.tls is not None for listener in settings.listeners)
    named = {title for peer in tomllib.loads(file.read_text()).get("peer", []) for title in peer["ae_titles"]}
    assert named == {each.calling for each in uses or [] if each.calling and "*" not in each.calling}
    assert BLANK in file.read_text()


def test_commands_in_a_suggestion_cannot_be_injected() -> None:
    text = suggest(assessment(target(OPEN)), Observations(tuple(HOSTILE), (), 0.0, DAY))
    assert "--ae '$(reboot)'" in text
    assert "--ae ''\"'\"'; reboot #'" in text
