"""`dicomgate check`, `explain` and `test-policy`: questions to a configuration, without a gate."""

import sys
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.cli.audit import trail
from dicomgate.cli.speech import DENIED, INCOMPLETE, ConfigFile, fail, say
from dicomgate.config.load import load
from dicomgate.config.problem import ConfigurationError
from dicomgate.explain import Question, explain_question, explain_record
from dicomgate.gate.certificates import read_certificate
from dicomgate.policy.model import Verb
from dicomgate.rehearsal import rehearse
from dicomgate.store.reader import by_refusal_id


def check(
    config: ConfigFile,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when there are warnings.")] = False,
) -> None:
    """Parse and lint a configuration: FILE:KEY: error|warning: text, then a hint."""
    try:
        configuration = load(config)
    except ConfigurationError as error:
        say(map(str, error.problems))
        raise typer.Exit(DENIED) from None
    say(map(str, configuration.warnings))
    print(f"{config}: no errors, {len(configuration.warnings)} warnings", file=sys.stderr)
    if strict and configuration.warnings:
        raise typer.Exit(INCOMPLETE)


def explain(
    config: ConfigFile,
    refusal_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A refusal ID to look up.")] = None,
    listener: Annotated[str | None, typer.Option(help="Name of the listener.")] = None,
    source: Annotated[str | None, typer.Option("--from", metavar="IP", help="Address of the caller.")] = None,
    calling: Annotated[str | None, typer.Option(metavar="TITLE", help="Calling AE title.")] = None,
    called: Annotated[str | None, typer.Option(metavar="TITLE", help="Called AE title.")] = None,
    verb: Annotated[Verb | None, typer.Option(help="What is to be done.")] = None,
    move_to: Annotated[str | None, typer.Option(metavar="TITLE", help="Move destination, with --verb move.")] = None,
    user: Annotated[str | None, typer.Option(help="Verified user.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role of the user; may be repeated.")] = None,
    at: Annotated[datetime | None, typer.Option(metavar="TIME", help="Local time; default: now.")] = None,
    channel: Annotated[str | None, typer.Option(metavar="NAME", help="The channel that it came through.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate that the client shows (PEM).")
    ] = None,
) -> None:
    """Which rule decides, and why: for a question put as options, or for a refusal ID."""
    if refusal_id is not None:
        with trail(config, "explain") as engine:
            record = by_refusal_id(engine, refusal_id.strip().upper())
        if record is None:
            fail(f"no record has the refusal ID {refusal_id}", "IDs have eight characters; is this the right gate?")
        say(explain_record(record))
        raise typer.Exit(DENIED)
    if listener is None or source is None or calling is None or called is None or verb is None:
        wanted = "give a refusal ID, or --listener, --from, --calling, --called and --verb"
        fail(wanted, "see dicomgate explain --help")
    try:
        address = ip_address(source)
    except ValueError:
        fail(f"--from: expected an IP address, came {source!r}", "for instance --from 10.1.2.31")
    try:
        shown = None if certificate is None else read_certificate(certificate)
    except (OSError, ValueError):
        fail(f"--certificate: expected a certificate (PEM) in {certificate}", "name the file the client shows")
    question = Question(
        listener,
        address,
        calling,
        called,
        verb,
        move_to,
        user,
        tuple(role or ()),
        certificate=shown,
        channel=channel,
        at=(at or datetime.now()).timestamp(),
    )
    configuration = load(config, files=False)
    known = [each.name for each in configuration.channels]
    if channel is not None and channel not in known:
        fail(f"--channel: there is no channel {channel!r}", f"channels in the file: {', '.join(known) or 'none'}")
    allowed, lines = explain_question(configuration.settings.rules, question)
    say(lines)
    if not allowed:
        raise typer.Exit(DENIED)


def test_policy(
    config: ConfigFile,
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="Cases, one a line; see docs/reference/commands.md.")],
) -> None:
    """Put a file of cases to a configuration: each must come out as it is written there."""
    try:
        text = cases.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        fail(f"{cases}: cannot be read: {reason}", "name a text file with one case a line")
    lines, code = rehearse(load(config, files=False).settings.rules, str(cases), text)
    say(lines)
    if code:
        raise typer.Exit(code)
