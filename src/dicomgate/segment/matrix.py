"""A plan in; a page in plain words for the people who run the firewalls out, as Markdown or HTML. Pure."""

from collections.abc import Sequence
from html import escape

from dicomgate.policy.model import Networks
from dicomgate.segment.flows import Flow, Plan, Purpose, Transport
from dicomgate.segment.model import OtherTraffic, Segment

_HEAD = ("From", "Addresses", "To", "Addresses", "Ports", "For", "Asked for by")
_NOTES = (
    "Answers to a connection that is allowed pass; nothing else passes back.",
    "A line allows new connections in one direction only.",
)


def markdown(plan: Plan, title: str) -> str:
    """One table, then what is closed. Every text from the configuration is escaped."""
    rows = [_row(flow) for flow in plan.flows]
    lines = [f"# {_cell(title)}", "", "## What may pass", ""]
    lines += [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    lines += ["", *(f"- {note}" for note in _NOTES), "", "## What is closed", ""]
    lines += [f"- {_cell(sentence)}" for sentence in closed(plan)]
    return "\n".join([*lines, ""])


def html(plan: Plan, title: str) -> str:
    """The same page, whole, without scripts or anything from elsewhere."""
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in _row(flow))}</tr>\n" for flow in plan.flows)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>body{font-family:sans-serif;margin:2rem}table{border-collapse:collapse}"
        "th,td{border:1px solid #999;padding:.3rem .6rem;text-align:left;vertical-align:top}</style>\n"
        f"<h1>{escape(title)}</h1>\n<h2>What may pass</h2>\n"
        f"<table>\n<tr>{''.join(f'<th>{head}</th>' for head in _HEAD)}</tr>\n{rows}</table>\n"
        f"<ul>\n{_items(_NOTES)}</ul>\n<h2>What is closed</h2>\n<ul>\n{_items(closed(plan))}</ul>\n</html>\n"
    )


def closed(plan: Plan) -> list[str]:
    """What every other renderer writes as drops, in words."""
    ports = ", ".join(map(str, plan.dicom_ports))
    sentences = [f"TCP {ports}: closed from everywhere to everywhere, but for the lines above."]
    silent = (
        f"Segment {segment.name} ({segment.networks}): no DICOM at all, in either direction."
        for segment in plan.segments
        if not segment.dicom
    )
    shut = (
        f"Segment {segment.name} ({segment.networks}): every other port is closed, {_but(segment)}"
        for segment in plan.segments
        if segment.other_traffic is OtherTraffic.DROP
    )
    return [*sentences, *silent, *shut]


def _but(segment: Segment) -> str:
    management = segment.management
    if not management.networks:
        return "also for administration."
    return f"but for TCP {', '.join(map(str, management.ports))} from {management.networks}."


def _row(flow: Flow) -> tuple[str, ...]:
    what = "DICOM" if flow.purpose is Purpose.DICOM else flow.purpose.value
    return (
        flow.source_name,
        _addresses(flow.source),
        flow.destination_name,
        _addresses(flow.destination),
        _ports(flow),
        f"{what}: {flow.why}",
        flow.rule,
    )


def _ports(flow: Flow) -> str:
    if flow.transport is Transport.ESP:
        return "IP protocol 50 (ESP)"
    return f"{flow.transport.upper()} {', '.join(map(str, flow.ports))}"


def _addresses(networks: Networks) -> str:
    if networks.any:
        return "everywhere"
    return ", ".join(
        str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
        for network in networks.members
    )


def _items(sentences: Sequence[str]) -> str:
    return "".join(f"<li>{escape(sentence)}</li>\n" for sentence in sentences)


def _cell(text: str) -> str:
    """Markdown that shows the text and does nothing else."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>|#!" else c for c in " ".join(text.split()))
