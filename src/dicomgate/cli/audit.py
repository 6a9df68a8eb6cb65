"""`dicomgate audit`: read the audit trail."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.cli.speech import AsJson, ConfigFile, say
from dicomgate.config.load import load
from dicomgate.policy.model import Verb
from dicomgate.store.database import open_store
from dicomgate.store.reader import search

audit = typer.Typer(help="Read the audit trail.", no_args_is_help=True)


@audit.command("list")
def audit_list(
    config: ConfigFile,
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")] = None,
) -> None:
    """All records, oldest first."""
    with trail(config) as engine:
        if limit is None:
            print_records(search(engine), as_json)
        else:
            print_records(reversed(list(search(engine, limit=limit, newest_first=True))), as_json)


@audit.command("search")
def audit_search(
    config: ConfigFile,
    as_json: AsJson = False,
    since: Annotated[datetime | None, typer.Option(help="Not before this time (local).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time (local).")] = None,
    event: Annotated[Event | None, typer.Option()] = None,
    outcome: Annotated[Outcome | None, typer.Option()] = None,
    refusal_id: Annotated[str | None, typer.Option()] = None,
    association: Annotated[str | None, typer.Option()] = None,
    calling: Annotated[str | None, typer.Option(help="Calling AE title.")] = None,
    called: Annotated[str | None, typer.Option(help="Called AE title.")] = None,
    address: Annotated[str | None, typer.Option()] = None,
    peer: Annotated[str | None, typer.Option()] = None,
    verb: Annotated[Verb | None, typer.Option()] = None,
    limit: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """The records that match everything given, oldest first."""
    with trail(config) as engine:
        found = search(
            engine,
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
            limit=limit,
        )
        print_records(found, as_json)


@contextmanager
def trail(config: Path) -> Iterator[Engine]:
    configuration = load(config, files=False)
    engine = open_store(configuration.state, configuration.base, read_only=True)
    try:
        yield engine
    finally:
        engine.dispose()


def print_records(records: "Iterator[Record] | reversed[Record]", as_json: bool) -> None:
    say(json.dumps(record.as_json()) if as_json else _line(record) for record in records)


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
        record.verb or "",
        record.status or "",
        record.refusal_id or "",
        record.rule or "",
        record.reason or "",
    ]
    return "  ".join(part for part in parts if part)
