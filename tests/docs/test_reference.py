"""The reference says what the code does: every key, option, record, verb, log line, rule and number."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields

import click
import pytest
import typer

from dicomgate import cli
from dicomgate.audit.mapping import messages_of
from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.cli import speech
from dicomgate.config import schema
from dicomgate.gate.settings import ConnectionLimits
from dicomgate.policy.model import Verb
from dicomgate.session.limits import SessionLimits
from dicomgate.sinks.metrics import COUNTERS, GAUGES
from docs.pages import SOURCES, first_column, read, script, section

WRITE_SETTINGS = script("docs", "reference", "write_settings.py")
COMMANDS = read("docs", "reference", "commands.md")
RECORDS = read("docs", "reference", "records.md")
DEFAULTS = read("docs", "design", "defaults.md")


@pytest.mark.parametrize("page", ["settings", "verbs", "checks", "detectors"])
def test_written_pages_are_current(page: str) -> None:
    written = script("docs", "reference", f"write_{page}.py").text()
    assert read("docs", "reference", f"{page}.md") == written, f"run docs/reference/write_{page}.py"


@pytest.mark.parametrize("table", [*schema.TABLES, *schema.ARRAYS])
def test_every_setting_is_documented(table: str) -> None:
    heading, model = (
        (f"[{table}]", schema.TABLES[table]) if table in schema.TABLES else (f"[[{table}]]", schema.ARRAYS[table])
    )
    assert first_column(section(read("docs", "reference", "settings.md"), heading)) == list(model.model_fields)


def test_verbs_are_documented() -> None:
    page = read("docs", "reference", "verbs.md")
    assert first_column(page)[: len(Verb)] == list(Verb)
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == list(Verb)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, typer.core.TyperGroup):
        yield path, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        below = command.get_command(context, word)
        assert below is not None
        yield from commands(below, f"{path} {word}")


EVERY_COMMAND = dict(commands(typer.main.get_command(cli.app), "dicomgate"))


@pytest.mark.parametrize("path", EVERY_COMMAND)
def test_every_option_is_documented(path: str) -> None:
    takes_file = any("--config" in parameter.opts for parameter in EVERY_COMMAND[path].params)
    text = section(COMMANDS, path + (" -c FILE" if takes_file else ""))
    options = {option for parameter in EVERY_COMMAND[path].params for option in parameter.opts if option[0] == "-"}
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", "".join(rows))) == options


def test_every_command_is_documented() -> None:
    assert {heading.removesuffix(" -c FILE") for heading in re.findall(r"^## (.+)$", COMMANDS, re.M)} == set(
        EVERY_COMMAND
    )


def test_exit_statuses_are_documented() -> None:
    wanted = {0, speech.DENIED, speech.WRONG, speech.INCOMPLETE, speech.BUG}
    assert set(map(int, re.findall(r"^\| (\d) \|", COMMANDS, re.MULTILINE))) == wanted


def test_events_are_documented() -> None:
    assert first_column(section(RECORDS, "Events")) == list(Event)
    assert [outcome for outcome in Outcome if outcome not in section(RECORDS, "Events")] == []


def test_fields_are_documented() -> None:
    assert set(first_column(section(RECORDS, "Fields"))) == set(FIELDS)


def calls(*names: str) -> Iterator[ast.Call]:
    """Every call of a function or method with one of these names."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) in names:
                yield node


def detail_keys() -> Iterator[str]:
    """The keys that the code puts into `detail`: of displays, and of assignments to a dict of that name."""
    homes = ("detail", "proposed", "asked_for")
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.keyword(arg="detail", value=ast.Dict(keys=keys)):
                    yield from constants(keys)
                case ast.AnnAssign(target=ast.Name(id=home), value=ast.Dict(keys=keys)) if home in homes:
                    yield from constants(keys)
                case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=home), slice=key)]) if home in homes:
                    yield from constants([key])


def constants(nodes: list[ast.expr | None] | list[ast.expr]) -> Iterator[str]:
    yield from (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_details_are_documented() -> None:
    assert sorted(first_column(section(RECORDS, "detail"))) == sorted(set(detail_keys()))


def test_log_lines_are_documented() -> None:
    said = {
        (call.args[1].value, call.args[0].value)
        for call in calls("say")
        if len(call.args) == 2 and isinstance(call.args[0], ast.Constant) and isinstance(call.args[1], ast.Constant)
    }
    said.add(("log_lines_lost", "warning"))  # made where the line itself is, not said
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", read("docs", "reference", "log.md"), re.MULTILINE)
    assert sorted(rows) == sorted(said)


METRICS = read("docs", "reference", "metrics.md")
EVERY_METRIC = {metric.name + ("_total" if metric.kind == "counter" else ""): metric for metric in (*COUNTERS, *GAUGES)}


def test_metrics_are_documented() -> None:
    rows = re.findall(r"^\| `(dicomgate_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", section(METRICS, "List"), re.M)
    assert rows == [
        (name, metric.kind, ", ".join(metric.labels) or "-", metric.help) for name, metric in EVERY_METRIC.items()
    ]
    labels = {label for metric in EVERY_METRIC.values() for label in metric.labels} - {"version"}
    assert set(first_column(section(METRICS, "Labels"))) == labels


def test_rules_and_dashboard_ask_for_metrics_that_exist() -> None:
    alerts = read("packaging", "prometheus", "dicomgate.rules.yml")
    dashboard = read("packaging", "grafana", "dicomgate.json")
    histograms = [f"{name}_bucket" for name, metric in EVERY_METRIC.items() if metric.buckets]
    asked = {word for text in (alerts, dashboard) for word in re.findall(r"\bdicomgate_\w+", text)}
    assert asked <= {*EVERY_METRIC, *histograms}
    shown = {word.removesuffix("_bucket") for word in re.findall(r"\bdicomgate_\w+", dashboard)}
    assert set(EVERY_METRIC) - shown == set()


def test_alerts_are_documented() -> None:
    named = re.findall(r"- alert: (\w+)", read("packaging", "prometheus", "dicomgate.rules.yml"))
    assert first_column(section(read("docs", "howto", "metrics.md"), "Prometheus")) == named


MESSAGES = read("docs", "reference", "audit-messages.md")


def codes(record: Record) -> set[str]:
    return {
        f"{coded.code} {coded.text}"
        for message in messages_of(record, "gate")
        for coded in (message.event, message.type)
        if coded is not None
    }


def test_what_becomes_of_each_event_is_documented() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]*)\| ([^|]*)\| ([^|]*)\|$", section(MESSAGES, "Messages"), re.M)
    documented = {event: " ".join(cells) for names, *cells in rows for event in re.findall(r"`(\w+)`", names)}
    assert set(documented) == set(Event)
    for event in set(Event) - {Event.OPERATION}:
        found = codes(Record(0.0, event, Outcome.SUCCESS))
        assert set(re.findall(r"\d{6} [A-Z][A-Za-z ]+[a-z]", documented[event])) == found, event


def test_what_becomes_of_each_request_is_documented() -> None:
    table = section(MESSAGES, "Messages").partition("An `operation` goes by")[2]
    rows = re.findall(r"^\| (`[^|]+|any other|)\s*\| ([^|]*)\| ([^|]*)\|$", table, re.M)
    documented: dict[str, list[tuple[str, str]]] = {}
    requests: list[str] = []
    for names, event, action in rows:
        if names.strip():  # an empty cell: one more message of the request above
            requests = re.findall(r"`(\w+_RQ)`", names) or ["any other"]
        for request in requests:
            documented.setdefault(request, []).append((event.partition(",")[0].strip(), action.strip()))
    for request, wanted in documented.items():
        command = "N_GET_RQ" if request == "any other" else request
        messages = messages_of(Record(0.0, Event.OPERATION, Outcome.SUCCESS, command=command), "gate")
        told = [(f"{message.event.code} {message.event.text}", message.action.value) for message in messages]
        assert wanted == (told or [("none", "")]), request


def rules() -> Iterator[str]:
    """The rules that the code names; of a text that is put together, its constant end."""
    for call in calls("Deny", "_deny", "_give_up", "_drop_half_open", "connection_refused"):
        yield from endings(call.args[0])
    for call in calls("refuse", "refuse_connection"):
        yield from endings(call.args[1])
    for call in calls("_end"):
        yield from (end for word in call.keywords if word.arg == "rule" for end in endings(word.value))


def endings(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=[*_, ast.Constant(value=str(text))]):
            yield text.rpartition("]")[2]
        case _:
            pass  # a rule handed on from elsewhere


def test_rules_are_documented() -> None:
    documented = first_column(section(read("docs", "reference", "refusals.md"), "Rules"))
    named = set(rules()) - {"listener"}  # an unknown listener can only be asked about by `explain`
    assert len(named) > 20
    assert [rule for rule in sorted(named) if not any(word.endswith(rule) for word in documented)] == []


def shown(name: str) -> str:
    """The default of a limit as pages show it."""
    value = {**vars_of(SessionLimits()), **vars_of(ConnectionLimits())}[name]
    if isinstance(value, float):
        return str(WRITE_SETTINGS.duration(value))
    is_size = name in ("associate_pdu", "pdu", "command_set", "held_object", "held_objects")
    return str(WRITE_SETTINGS.size(value)) if is_size else str(value)


def vars_of(limits: SessionLimits | ConnectionLimits) -> dict[str, float]:
    return {field.name: getattr(limits, field.name) for field in fields(limits)}


@pytest.mark.parametrize(
    ("heading", "limits"), [("One association", SessionLimits()), ("Counts", ConnectionLimits())], ids=str
)
def test_every_default_has_a_reason(heading: str, limits: SessionLimits | ConnectionLimits) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]{20,}) \|$", section(DEFAULTS, heading), re.MULTILINE)
    assert [(name, value) for name, value, _ in rows] == [(name, shown(name)) for name in vars_of(limits)]


def test_every_default_of_identity_has_a_reason() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]{20,}) \|$", section(DEFAULTS, "User identity"), re.MULTILINE)
    values = [(name, getattr(schema.IdentityTable(), name)) for name in schema.IdentityTable.model_fields]
    wanted = [(name, WRITE_SETTINGS.duration(v) if isinstance(v, float) else str(v)) for name, v in values]
    assert [(name, value) for name, value, _ in rows] == wanted


def test_fixed_numbers_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(\S+)\.py` \| `(\w+)` \| ([\d.]+) \| [^|]{10,} \|$", section(DEFAULTS, "Fixed numbers"), re.MULTILINE
    )
    assert len(rows) > 20
    for file, name, value in rows:
        module = importlib.import_module("dicomgate." + file.replace("/", "."))
        assert getattr(module, name) == float(value), f"{file}.py {name}"


def test_the_service_waits_longer_than_the_gate_needs_to_stop() -> None:
    unit = read("packaging", "dicomgate.service")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    records, sinks = 10, 10  # cli.run gives the last records and their delivery so long
    assert int(seconds) > ConnectionLimits().drain + SessionLimits().close + records + sinks
    (files,) = re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)
    assert int(files) > 2 * ConnectionLimits().associations + ConnectionLimits().half_open


def test_the_map_of_the_house_is_the_one_that_is_checked() -> None:
    project = tomllib.loads(read("pyproject.toml"))
    (contract,) = (each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    layers = [set(layer.split(" | ")) for layer in contract["layers"]]
    rows = [line.split("|")[1] for line in read("CONTRIBUTING.md").splitlines() if line.startswith("| `")]
    house = [{word.removesuffix(".py").rstrip("/") for word in re.findall(r"`([^`]+)`", row)} for row in rows]
    assert house[: len(layers)] == layers
