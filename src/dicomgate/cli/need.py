"""`dicomgate need`: who used a port, from where, for what; close it, or the smallest allowlist that would have served.

In: a gate's own records, records as JSON lines, a capture, or a flow log. Out: one answer for each port.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.assess.inputs import MOST_INPUT
from dicomgate.assess.need import DAY, Decision, Need, Observations, Use, needs
from dicomgate.assess.observed import ObservationError, from_flows, from_records, from_uses
from dicomgate.audit.record import iso_time
from dicomgate.cli.audit import trail
from dicomgate.cli.speech import DENIED, INCOMPLETE, AsJson, fail, say
from dicomgate.config.load import load
from dicomgate.store.reader import search
from dicomgate.watch.capture import CaptureError, read_file
from dicomgate.watch.parties import Parties
from dicomgate.watch.watcher import DICOM_PORTS, Watcher

CAPTURES = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a")
"""How pcap and pcapng files begin."""


def need(
    config: Annotated[
        Path | None, typer.Option("-c", "--config", metavar="FILE", help="A gate: its own records and listeners.")
    ] = None,
    observe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Records (JSON lines), a capture, or a flow log.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.1, help="With -c: so many days back; default: all.")] = None,
    door: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="This port was watched, used or not. May be repeated.")
    ] = None,
    port: Annotated[list[int] | None, typer.Option(help="A DICOM port beside the usual ones. May be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Do you need this port? Who used it, from where, for what."""
    if (config is None) is (observe is None):
        fail("expected --config or --observe, one of them", "for instance dicomgate need -c gate.toml --days 30")
    if days is not None and config is None:
        fail("--days belongs to --config", "a file is taken whole")
    answers = needs(_seen(config, observe, days, DICOM_PORTS | frozenset(port or ()), door or ()))
    if not answers:
        fail("no use was found, and no port was named", "name what was watched: --door 10.1.1.20:104")
    say(_json(answer) for answer in answers) if as_json else say(line for answer in answers for line in _lines(answer))
    decisions = {answer.decision for answer in answers}
    if Decision.CLOSE in decisions:
        raise typer.Exit(DENIED)
    if Decision.UNDECIDED in decisions:
        raise typer.Exit(INCOMPLETE)


def _seen(
    config: Path | None, observe: Path | None, days: float | None, ports: frozenset[int], doors: Sequence[str]
) -> Observations:
    if config is not None:
        return _own_records(config, days, doors)
    if observe is not None:
        return read_observations(observe, ports, doors)
    raise ValueError("one of the two is given")


def read_observations(file: Path, ports: frozenset[int], doors: Sequence[str] = ()) -> Observations:
    """From a file of any of the three kinds, told by how it begins. Ends the command when it is none of them."""
    try:
        with file.open("rb") as begin:
            head = begin.read(4)
        if head in CAPTURES:
            return _capture(file, ports, doors)
        if file.stat().st_size > MOST_INPUT:
            fail(f"{file} has more than {MOST_INPUT} bytes", "cut it to the time of interest")
        lines = file.read_text("utf-8").splitlines()
        first = next((line for line in lines if line.strip()), "")
        if first.lstrip().startswith("{") and '"event"' in first:
            return from_records(map(json.loads, filter(str.strip, lines)), doors)
        return from_flows(lines, ports, doors)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", "name a file that exists")
    except (ObservationError, CaptureError, ValueError) as error:
        fail(f"{file}: {str(error)[:200]}", "expected records of a gate (JSON lines), a capture, or a flow log")


def _own_records(config: Path, days: float | None, doors: Sequence[str]) -> Observations:
    now = time.time()
    listeners = [listener.name for listener in load(config, files=False).settings.listeners]
    since = 0.0 if days is None else now - days * DAY
    with trail(config, "need") as engine:
        oldest = next(search(engine, limit=1), None)
        records = (record.as_json() for record in search(engine, since=since))
        seen = from_records(records, [*listeners, *doors])
    return Observations(seen.uses, seen.doors, now if oldest is None else max(oldest.time, since), now)


def _capture(file: Path, ports: frozenset[int], doors: Sequence[str]) -> Observations:
    watcher, parties = Watcher(ports), Parties()
    times: list[float] = []
    for link, frame, at in read_file(file):
        times = [min(times[0], at), max(times[1], at)] if times else [at, at]
        parties.add(watcher.frame(link, frame, at))
    parties.add(watcher.finish())
    first, last = times or (0.0, 0.0)
    return from_uses(_uses(parties), doors, first, last)


def _uses(parties: Parties) -> Iterator[Use]:
    for row in parties.rows():
        party = row.party
        server = f"[{party.server}]" if ":" in party.server else party.server
        yield Use(
            f"{server}:{party.port}",
            party.client,
            party.calling_ae_title,
            party.called_ae_title,
            frozenset(row.verbs),
            row.connections,
            row.first,
            row.last,
        )


def _lines(answer: Need) -> Iterable[str]:
    yield f"{answer.door}  {_WORDS[answer.decision]} ({answer.days:.0f} days seen)"
    for allowed in answer.allowlist:
        yield "  ".join(
            [
                f"  {allowed.calling or '(title not seen)'}",
                f"from {', '.join(allowed.networks)}",
                f"to {', '.join(allowed.called) or '?'}",
                f"for {', '.join(allowed.verbs) or '?'}",
                f"{allowed.count} associations, last {iso_time(allowed.last)[:10]}",
            ]
        )


_WORDS = {
    Decision.CLOSE: "CLOSE IT: nobody used it",
    Decision.ALLOW: "needed: allow exactly these, and nobody else",
    Decision.UNDECIDED: "nobody used it, in too short a time to tell",
}


def _json(answer: Need) -> str:
    return json.dumps(
        {
            "door": answer.door,
            "decision": answer.decision,
            "days": round(answer.days, 2),
            "allow": [
                {
                    "calling_ae_title": allowed.calling or None,
                    "networks": list(allowed.networks),
                    "called_ae_titles": list(allowed.called),
                    "verbs": list(allowed.verbs),
                    "associations": allowed.count,
                    "last": iso_time(allowed.last),
                }
                for allowed in answer.allowlist
            ],
        }
    )
