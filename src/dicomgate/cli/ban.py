"""`dicomgate ban`: who is held off. Works beside a running gate, which notices within a second or two."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from dicomgate.audit.record import iso_time
from dicomgate.cli.audit import trail
from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, say
from dicomgate.config.load import load
from dicomgate.config.problem import WrongValueError
from dicomgate.config.units import seconds
from dicomgate.config.words import ae_title, fingerprint
from dicomgate.detect.ban import COMMAND, Ban
from dicomgate.detect.model import BANNABLE, Rung, Subject, SubjectKind
from dicomgate.store import bans
from dicomgate.store.database import open_store

ban = typer.Typer(help="Who is held off: addresses, AE titles, users, certificates.", no_args_is_help=True)

Kind = Annotated[SubjectKind, typer.Argument(metavar="KIND", help="address, ae_title, user or certificate (SHA-256).")]
Value = Annotated[str, typer.Argument(metavar="VALUE")]
_LONGEST = 366 * 86400.0


@ban.command("list")
def ban_list(
    config: ConfigFile,
    as_json: AsJson = False,
    ended: Annotated[bool, typer.Option("--ended", help="Those of the last week that are over too.")] = False,
) -> None:
    """Who is held off now, until when and why."""
    now = time.time()
    with trail(config, None) as engine:
        found = bans.listed(engine, now, ended=ended)
    say(json.dumps(_as_json(each, now)) if as_json else _line(each, now) for each in found)


@ban.command("add")
def ban_add(
    config: ConfigFile,
    kind: Kind,
    value: Value,
    duration: Annotated[str, typer.Option("--for", metavar="TIME", help='How long, such as "30 min" or "1 d".')],
    reason: Annotated[str, typer.Option(help="Why, for those who ask later.")],
    rung: Annotated[str, typer.Option("--action", help="ban (default), refuse, cap or delay.")] = Rung.BAN.word,
) -> None:
    """Hold somebody off. Never-block peers are not spared: a human decided."""
    rungs = {each.word: each for each in Rung if each > Rung.ALERT}
    if rung not in rungs:
        fail(f"--action: expected one of {', '.join(rungs)}, came {rung!r}", "see docs/howto/bans.md")
    try:
        lasting = seconds(duration)
    except WrongValueError as wrong:
        fail(f"--for: {wrong.text}", wrong.hint)
    if not 0 < lasting <= _LONGEST:
        fail("--for: expected more than nothing and at most a year", 'write for instance --for "1 h"')
    subject = _subject(kind, value)
    if rungs[rung] is Rung.DELAY and kind is not SubjectKind.ADDRESS:
        fail("--action delay holds for addresses only", "a connection is held before it has said who it is")
    now = time.time()
    placed = Ban(bans.new_identifier(), subject, rungs[rung], now, now + lasting, COMMAND, reason)
    with _store(config) as engine:
        bans.place(engine, placed)
    say([placed.identifier])


@ban.command("lift")
def ban_lift(
    config: ConfigFile,
    which: Annotated[str, typer.Argument(metavar="ID|KIND", help="An identifier, or a kind with its value.")],
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]")] = None,
) -> None:
    """End a ban by its identifier, or every ban of one party."""
    with _store(config) as engine:
        if value is None:
            ended = bans.lift(engine, time.time(), identifier=which.strip().upper())
        elif which in [kind.value for kind in BANNABLE]:
            ended = bans.lift(engine, time.time(), subject=_subject(SubjectKind(which), value))
        else:
            fail(f"expected address, ae_title, user or certificate, came {which!r}", "see dicomgate ban list")
    say(each.identifier for each in ended)
    if not ended:
        raise typer.Exit(DENIED)


def _subject(kind: SubjectKind, value: str) -> Subject:
    try:
        match kind:
            case SubjectKind.ADDRESS:
                return Subject(kind, str(ip_address(value)))
            case SubjectKind.AE_TITLE:
                return Subject(kind, ae_title(value))
            case SubjectKind.CERTIFICATE:
                return Subject(kind, fingerprint(value))
            case SubjectKind.USER:
                return Subject(kind, value)
            case _:
                fail(f"a {kind.value} cannot be held off", "address, ae_title, user or certificate can")
    except WrongValueError as wrong:
        fail(wrong.text, wrong.hint)
    except ValueError:
        fail(f"expected an IP address, came {value!r}", "a network is the business of the listener and of the firewall")


@contextmanager
def _store(config: Path) -> Iterator[Engine]:
    configuration = load(config, files=False)
    engine = open_store(configuration.state, configuration.base)
    try:
        yield engine
    finally:
        engine.dispose()


def _as_json(each: Ban, now: float) -> dict[str, object]:
    return {
        "identifier": each.identifier,
        "kind": each.subject.kind.value,
        "value": each.subject.value,
        "action": each.rung.word,
        "since": iso_time(each.since),
        "until": iso_time(each.until),
        "in_force": each.in_force(now),
        "lifted": None if each.lifted is None else iso_time(each.lifted),
        "origin": each.origin,
        "reason": each.reason,
    }


def _line(each: Ban, now: float) -> str:
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.until))
    state = "until" if each.in_force(now) else ("lifted before" if each.lifted is not None else "ended")
    return f"{each.identifier}  {each.rung.word}  {each.subject}  {state} {until}  {each.origin}  {each.reason}"
