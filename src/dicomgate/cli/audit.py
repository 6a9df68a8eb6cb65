"""`dicomgate audit`: read the audit trail."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from dicomgate.audit.record import SHOWN, Event, Outcome, Record
from dicomgate.audit.table import csv_lines
from dicomgate.cli.speech import AsJson, ConfigFile, say
from dicomgate.cli.trail import check_proof, print_pseudonym, print_public_key, prove, record_use, rotate_key, verify
from dicomgate.config.load import load
from dicomgate.policy.model import Verb
from dicomgate.store.database import open_store
from dicomgate.store.reader import Question, numbered

audit = typer.Typer(help="Read the audit trail.", no_args_is_help=True)


Since = Annotated[datetime | None, typer.Option("--since", help="Not before this time (local).")]
Until = Annotated[datetime | None, typer.Option("--until", help="Before this time (local).")]
ByEvent = Annotated[Event | None, typer.Option("--event")]
ByOutcome = Annotated[Outcome | None, typer.Option("--outcome")]
ById = Annotated[str | None, typer.Option("--refusal-id")]
ByAssociation = Annotated[str | None, typer.Option("--association")]
ByCalling = Annotated[str | None, typer.Option("--calling", help="Calling AE title.")]
ByCalled = Annotated[str | None, typer.Option("--called", help="Called AE title.")]
ByAddress = Annotated[str | None, typer.Option("--address")]
ByPeer = Annotated[str | None, typer.Option("--peer")]
ByVerb = Annotated[Verb | None, typer.Option("--verb")]
ByStudy = Annotated[str | None, typer.Option("--study", help="Study Instance UID.")]
ByPatient = Annotated[
    str | None, typer.Option("--patient", metavar="PSEUDONYM", help="As `audit pseudonym` prints it.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1)]


class Format(StrEnum):
    """What `export` writes."""

    JSON = "json"
    CSV = "csv"


@audit.command("list")
def audit_list(
    config: ConfigFile,
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")] = None,
) -> None:
    """All records, oldest first."""
    with trail(config, "list") as engine:
        if limit is None:
            print_records(numbered(engine), as_json)
        else:
            print_records(reversed(list(numbered(engine, limit=limit, newest_first=True))), as_json)


@audit.command("search")
def audit_search(
    config: ConfigFile,
    as_json: AsJson = False,
    since: Since = None,
    until: Until = None,
    event: ByEvent = None,
    outcome: ByOutcome = None,
    refusal_id: ById = None,
    association: ByAssociation = None,
    calling: ByCalling = None,
    called: ByCalled = None,
    address: ByAddress = None,
    peer: ByPeer = None,
    verb: ByVerb = None,
    study: ByStudy = None,
    patient: ByPatient = None,
    limit: Limit = None,
) -> None:
    """The records that match everything given, oldest first."""
    question = Question(
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
        event=event,
        outcome=outcome,
        refusal_id=refusal_id,
        association=association,
        calling=calling,
        called=called,
        address=address,
        peer=peer,
        verb=verb,
        study=study,
        patient=patient,
        limit=limit,
    )
    with trail(config, "search") as engine:
        print_records(numbered(engine, **question), as_json)


@audit.command("export")
def audit_export(
    config: ConfigFile,
    format_: Annotated[Format, typer.Option("--format", help="json: one object a line; csv: for spreadsheets.")],
    since: Since = None,
    until: Until = None,
    event: ByEvent = None,
    outcome: ByOutcome = None,
    association: ByAssociation = None,
    address: ByAddress = None,
    peer: ByPeer = None,
    verb: ByVerb = None,
    study: ByStudy = None,
    patient: ByPatient = None,
) -> None:
    """The records that match everything given, with every field, oldest first."""
    question = Question(
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
        event=event,
        outcome=outcome,
        association=association,
        address=address,
        peer=peer,
        verb=verb,
        study=study,
        patient=patient,
    )
    with trail(config, "export") as engine:
        found = numbered(engine, **question)
        say(map(_object, found) if format_ is Format.JSON else csv_lines(("sequence", *SHOWN), map(_cells, found)))


@contextmanager
def trail(config: Path, action: str | None) -> Iterator[Engine]:
    """The store, to be read. Afterwards it says that its records were; None: it is something else that is read.

    Afterwards, because the newest records would otherwise always be about their own reading.
    """
    configuration = load(config, files=False)
    engine = open_store(configuration.state, configuration.base, read_only=True)
    try:
        yield engine
    finally:
        engine.dispose()
        if action is not None:
            record_use(configuration, action)


def print_records(records: Iterable[tuple[int, Record]], as_json: bool) -> None:
    say(map(_object, records) if as_json else (_line(record) for _, record in records))


def _object(numbered_record: tuple[int, Record]) -> str:
    sequence, record = numbered_record
    return json.dumps({"sequence": sequence, **record.as_json()})


def _cells(numbered_record: tuple[int, Record]) -> Iterator[object]:
    sequence, record = numbered_record
    values = record.as_json()
    yield sequence
    yield from (json.dumps(values[name]) if name == "detail" else values[name] for name in SHOWN)


def _line(record: Record) -> str:
    """One record for the eye: when, what, who, why."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
    who = f"{record.calling_ae_title or '-'} → {record.called_ae_title or '-'}" if record.calling_ae_title else ""
    parts = [
        when,
        record.outcome.value,
        record.event.value,
        record.address or "",
        who,
        record.user or "",
        record.verb or "",
        record.status or "",
        record.refusal_id or "",
        record.rule or "",
        record.reason or "",
    ]
    return "  ".join(part for part in parts if part)


audit.command()(verify)
audit.command()(prove)
audit.command("check-proof")(check_proof)
audit.command("public-key")(print_public_key)
audit.command("pseudonym")(print_pseudonym)
audit.command("rotate-key")(rotate_key)
