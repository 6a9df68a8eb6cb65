"""The detectors as rules for systems that read the gate's log (docs/reference/log.md). Out: text, the same each time.

Each detector is found by the gate's own `finding` line. Those that only count are also written as rules over the lines
they count, so that a SIEM that collects several gates can count across them.
"""

import json
from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from dicomgate.audit.record import Event
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.detector import Detector
from dicomgate.detect.model import Rung
from dicomgate.detect.signal import Condition, Signal, Test

_QUIET = frozenset({Event.ASSOCIATION_REQUESTED, Event.ASSOCIATION_ADMITTED, Event.OPERATION})
"""Routine that the log leaves out unless `run --verbose` is given."""


# -- Sigma ---------------------------------------------------------------------------------------------------


def sigma() -> str:
    """Sigma rules and correlations, one YAML document each."""
    return "---\n".join(text for each in DETECTORS for text in _sigma(each))


def _sigma(each: type[Detector]) -> Iterator[str]:
    told = {"event": Event.FINDING.value, "rule": each.id}
    yield _sigma_rule(each, each.id, f"{each.title}, found by the gate", {"selection": told}, "selection", each)
    signal = each.signal
    if signal is None or each.unit == "once":
        return
    name = f"dicomgate_{each.id.lower()}_signal"
    selection: dict[str, object] = {"event": [event.value for event in signal.events]}
    selection |= {_sigma_field(condition): list(condition.values) for condition in signal.conditions}
    parts: dict[str, dict[str, object]] = {"selection": selection}
    for number, condition in enumerate(signal.exceptions, start=1):
        parts[f"exception_{number}"] = {_sigma_field(condition): list(condition.values)}
    condition_text = " and not ".join(parts)
    yield _sigma_rule(each, f"{each.id} signal", f"{each.title}, one event", parts, condition_text, None, name)
    yield _sigma_correlation(each, signal, name)


def _sigma_field(condition: Condition) -> str:
    return condition.field if condition.test is Test.EQUALS else f"{condition.field}|{condition.test.value}"


def _sigma_rule(
    each: type[Detector],
    about: str,
    title: str,
    parts: dict[str, dict[str, object]] | dict[str, dict[str, str]],
    condition: str,
    level_of: type[Detector] | None,
    name: str | None = None,
) -> str:
    lines = [
        f"title: {_quoted(f'dicomgate {each.id}: {title}')}",
        f"id: {_identifier(about)}",
        *([f"name: {name}"] if name else []),
        "status: experimental",
        f"description: {_quoted(_description(each))}",
        "logsource:",
        "    product: dicomgate",
        "    service: gate",
        "detection:",
    ]
    for part, fields in parts.items():
        lines.append(f"    {part}:")
        lines += [f"        {field}: {json.dumps(values)}" for field, values in fields.items()]
    lines += [
        f"    condition: {condition}",
        "falsepositives:",
        f"    - {_quoted(each.false_positives)}",
        f"level: {level_of.severity.value if level_of else 'informational'}",
        f"tags: [attack.{each.technique.lower()}]",
    ]
    return "\n".join(lines) + "\n"


def _sigma_correlation(each: type[Detector], signal: Signal, name: str) -> str:
    lines = [
        f"title: {_quoted(f'dicomgate {each.id}: {each.title}')}",
        f"id: {_identifier(f'{each.id} correlation')}",
        "status: experimental",
        f"description: {_quoted(_description(each))}",
        "correlation:",
        f"    type: {'value_count' if signal.distinct else 'event_count'}",
        f"    rules: [{name}]",
        f"    group-by: [{signal.group_by}]",
        f"    timespan: {each.window / 60:g}m",
        "    condition:",
        f"        gte: {each.threshold:g}",
        *([f"        field: {signal.distinct}"] if signal.distinct else []),
        "falsepositives:",
        f"    - {_quoted(each.false_positives)}",
        f"level: {each.severity.value}",
        f"tags: [attack.{each.technique.lower()}]",
    ]
    return "\n".join(lines) + "\n"


# -- CrowdSec ------------------------------------------------------------------------------------------------


def crowdsec() -> str:
    """A parser (s01-parse) and then scenarios, one YAML document each; only what has an address to act on."""
    return "---\n".join([_crowdsec_parser(), *(_crowdsec(each) for each in DETECTORS if _acts_on_addresses(each))])


_CROWDSEC_FIELDS = ("event", "rule", "reason", "status", "outcome", "user", "called_ae_title", "calling_ae_title")
_CROWDSEC_DETAILS = ("cause", "ended_by")


def _crowdsec_parser() -> str:
    lines = [
        "# parsers/s01-parse/dicomgate-logs.yaml",
        "filter: \"evt.Parsed.program == 'dicomgate'\"",
        "onsuccess: next_stage",
        "name: dicomgate/dicomgate-logs",
        "description: The JSON log of dicomgate",
        "statics:",
        "  - meta: service",
        "    value: dicomgate",
        "  - meta: log_type",
        "    value: dicomgate",
        "  - target: evt.StrTime",
        "    expression: JsonExtract(evt.Line.Raw, 'time')",
        "  - meta: source_ip",
        "    expression: JsonExtract(evt.Line.Raw, 'address')",
    ]
    for field in _CROWDSEC_FIELDS:
        lines += [f"  - meta: {field}", f"    expression: JsonExtract(evt.Line.Raw, '{field}')"]
    for field in _CROWDSEC_DETAILS:
        lines += [f"  - meta: {field}", f"    expression: JsonExtract(evt.Line.Raw, 'detail.{field}')"]
    return "\n".join(lines) + "\n"


def _crowdsec(each: type[Detector]) -> str:
    signal = each.signal
    once = signal is None or each.unit == "once"
    if once or signal is None:
        kind, test = "trigger", f"evt.Meta.event == 'finding' && evt.Meta.rule == '{each.id}'"
    else:
        kind = "leaky"
        test = " && ".join(
            [
                _any_of("event", Test.EQUALS, tuple(event.value for event in signal.events)),
                *(_any_of(_meta(c.field), c.test, c.values) for c in signal.conditions),
                *(f"not ({_any_of(_meta(c.field), c.test, c.values)})" for c in signal.exceptions),
            ]
        )
    lines = [
        f"# scenarios/dicomgate-{each.id.lower()}.yaml",
        f"type: {kind}",
        f"name: dicomgate/{each.id.lower()}",
        f"description: {_quoted(_description(each))}",
        f"filter: {_quoted(f'evt.Meta.service == {chr(39)}dicomgate{chr(39)} && {test}')}",
        "groupby: evt.Meta.source_ip",
    ]
    if kind == "leaky" and signal is not None:
        if signal.distinct:
            lines.append(f"distinct: evt.Meta.{signal.distinct}")
        # A bucket overflows with one more than its capacity.
        lines += [f"capacity: {each.threshold - 1:g}", f"leakspeed: {each.window / each.threshold:g}s"]
    lines += [
        "blackhole: 1m",
        "labels:",
        "  service: dicomgate",
        f"  technique: attack.{each.technique}",  # not a list, which versions before 1.5 do not take
        f"  label: {_quoted(each.title)}",
        "  spoofable: 0",
        f"  remediation: {'true' if each.action >= Rung.REFUSE else 'false'}",
    ]
    return "\n".join(lines) + "\n"


def _meta(field: str) -> str:
    return field.removeprefix("detail.")


def _any_of(meta: str, test: Test, values: tuple[str, ...]) -> str:
    operator = {Test.EQUALS: "==", Test.STARTS: "startsWith", Test.ENDS: "endsWith", Test.CONTAINS: "contains"}[test]
    tests = [f"evt.Meta.{meta} {operator} '{value}'" for value in values]
    return tests[0] if len(tests) == 1 else f"({' || '.join(tests)})"


# -- fail2ban ------------------------------------------------------------------------------------------------

_LINE = r'^\W*"level": "\w+", "event": "{event}", .*?{fields}"address": "<HOST>"{after}'
"""The log writes its fields in one order (docs/reference/records.md). A quote inside a value is escaped, so that no
stranger can bring in a field of his own. fail2ban has cut the date off the line."""


def failure_patterns() -> tuple[str, ...]:
    """Regular expressions with fail2ban's `<HOST>`: findings that hold an address off, and refusals by the rules."""
    drastic = "|".join(each.id for each in DETECTORS if each.action >= Rung.REFUSE and _acts_on_addresses(each))
    return (
        _LINE.format(event=Event.FINDING.value, fields=f'"rule": "(?:{drastic})", .*?', after=""),
        _LINE.format(event=Event.ASSOCIATION_REFUSED.value, fields="", after='.*?"status": "1/'),
        _LINE.format(event=Event.IDENTITY_REFUSED.value, fields="", after=""),
    )


def fail2ban() -> str:
    """filter.d/dicomgate.conf, and (as comments) a jail. What the gate spares is ignored."""
    patterns = failure_patterns()
    lines = [
        "# filter.d/dicomgate.conf",
        "#",
        "# A jail:",
        "#   [dicomgate]",
        "#   enabled  = true",
        "#   filter   = dicomgate",
        "#   logpath  = the file that the gate's stderr goes to",
        "#   maxretry = 10",
        "#   findtime = 5m",
        "#   bantime  = 1h",
        "#   ignoreip = the addresses of devices that must never be blocked",
        "",
        "[Definition]",
        r'datepattern = ^\{"time": "%%Y-%%m-%%dT%%H:%%M:%%S\.%%f%%z"',  # without %z it would be local time
        f"failregex = {patterns[0]}",
        *(f"            {pattern}" for pattern in patterns[1:]),
        'ignoreregex = "never_block": true',
    ]
    return "\n".join(lines) + "\n"


# -- shared --------------------------------------------------------------------------------------------------


def _acts_on_addresses(each: type[Detector]) -> bool:
    signal = each.signal
    if signal is None or each.unit == "once":
        return each.action >= Rung.REFUSE
    return signal.group_by in ("address", "user") and _QUIET.isdisjoint(signal.events)


def _description(each: type[Detector]) -> str:
    if each.unit == "once":
        return f"{each.title}: once"
    within = f" within {each.window / 60:g} min" if each.window else ""
    return f"{each.title}: {quantity(each.threshold)} {each.unit}{within}"


def quantity(threshold: float) -> str:
    """A threshold in words."""
    return f"{threshold / 1024**3:g} GiB" if threshold >= 1024**3 else f"{threshold:g}"


def _identifier(about: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"https://dicomgate.invalid/detect/{about}"))


def _quoted(text: str) -> str:
    return json.dumps(text)
