"""`dicomgate assess`: what is open, with evidence. In: targets, a scope and consent; out: an assessment.

Everything that is wrong with the command is said before a packet is sent. Data to stdout, talk to stderr.
"""

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.assess.fleet import MOST_HOSTS_AT_ONCE
from dicomgate.assess.inputs import Inputs, User
from dicomgate.assess.model import Consent, Exit, Severity, exit_status
from dicomgate.assess.report import report
from dicomgate.assess.scope import ScopeError, check_window, place
from dicomgate.assess.suggest import suggest
from dicomgate.cli.assess_report import Format, check_output, read_baseline, read_users, write
from dicomgate.cli.assess_request import (
    check_interval,
    check_titles,
    folder_of,
    key_pair,
    lab_targets,
    permission_of,
    placed_inputs,
    read_files,
    study_uid,
    targets_of,
)
from dicomgate.cli.assess_run import Run
from dicomgate.cli.speech import WRONG


class FailOn(StrEnum):
    """The severities, as words."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


def assess(
    targets: Annotated[list[str] | None, typer.Argument(metavar="[HOST:PORT]...", help="What to assess.")] = None,
    called: Annotated[str | None, typer.Option(metavar="TITLE", help="Called AE title of the targets.")] = None,
    scope: Annotated[Path | None, typer.Option(metavar="FILE", help="What may be touched, and who says so.")] = None,
    authorised: Annotated[str | None, typer.Option(metavar="TEXT", help="Who has allowed this, and why.")] = None,
    contact: Annotated[str, typer.Option(metavar="TEXT", help="Who can stop this; with --authorised.")] = "",
    ports: Annotated[str, typer.Option(metavar="N,N…", help="Other ports in the scope; with --authorised.")] = "",
    target_file: Annotated[Path | None, typer.Option("--targets", metavar="FILE", help="Targets, one a line.")] = None,
    allow_public: Annotated[bool, typer.Option("--allow-public", help="Public addresses are meant.")] = False,
    allow_count: Annotated[bool, typer.Option("--allow-count", help="Query, and count what comes.")] = False,
    allow_intrusive: Annotated[
        bool, typer.Option("--allow-intrusive", help="Store a synthetic image, guess titles, send malformed PDUs.")
    ] = False,
    lab: Annotated[
        list[str] | None, typer.Option(metavar="HOST:PORT", help="This target serves no patients: lab checks, too.")
    ] = None,
    known_calling: Annotated[str | None, typer.Option(metavar="TITLE", help="A device's calling AE title.")] = None,
    planted_study: Annotated[str | None, typer.Option(metavar="UID", help="A synthetic study in the archive.")] = None,
    move_to: Annotated[str | None, typer.Option(metavar="TITLE", help="Who may receive the planted study.")] = None,
    test_user: Annotated[str | None, typer.Option(metavar="NAME", help="An account to guess passcodes of.")] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="A device's certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    revoked_certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="A revoked one (PEM).")] = None,
    revoked_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key.")] = None,
    dicomweb: Annotated[list[str] | None, typer.Option(metavar="URL", help="A DICOMweb base address.")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="This runs on the Internet, outside the site.")] = False,
    zone: Annotated[str | None, typer.Option(metavar="NAME", help="The zone of the scope this runs in.")] = None,
    beyond_channel: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS:PORT", help="A peer site's real address.")
    ] = None,
    records: Annotated[Path | None, typer.Option(metavar="FILE", help="A gate's records (JSON lines).")] = None,
    indexed: Annotated[Path | None, typer.Option(metavar="FILE", help="A search engine's host lookup.")] = None,
    segments: Annotated[Path | None, typer.Option(metavar="FILE", help="From dicomgate segment verify.")] = None,
    channels: Annotated[Path | None, typer.Option(metavar="FILE", help="The state of channels (JSON).")] = None,
    files: Annotated[Path | None, typer.Option(metavar="DIR", help="Stored DICOM files to look at.")] = None,
    watch: Annotated[Path | None, typer.Option(metavar="FILE", help="A log where the canary must appear.")] = None,
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="Between connections to a target.")] = 1.0,
    hosts_at_once: Annotated[int, typer.Option(min=1, max=64, help="Hosts at a time.")] = MOST_HOSTS_AT_ONCE,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="Go on where an earlier run stopped.")] = None,
    output_format: Annotated[Format, typer.Option("--format", help="How the assessment is written.")] = Format.TEXT,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to; else stdout.")] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An earlier assessment (JSON) to compare with.")
    ] = None,
    suggest_to: Annotated[
        Path | None, typer.Option("--suggest", metavar="FILE", help="Write a gate's configuration that closes it.")
    ] = None,
    observe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who uses it: records, capture or flow log; for --suggest.")
    ] = None,
    gate_name: Annotated[
        str, typer.Option(metavar="HOST", help="Name or address of the gate-to-be; for --suggest.")
    ] = "gate.example",
    fail_on: Annotated[FailOn, typer.Option(help="Exit status 1 from this severity on.")] = FailOn.HIGH,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be sent; connect to nothing.")] = False,
) -> None:
    """What is open at a DICOM server, with evidence, and without moving a patient value."""
    wanted = targets_of(targets or [], target_file)
    try:
        permission = permission_of(scope, authorised, contact, ports, wanted)
        wanted = wanted or list(permission.named)
        if not dry_run:
            check_window(permission, datetime.now().astimezone())
        permission, placed = place(permission, wanted, allow_public)
    except ScopeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG) from None
    check_titles(called, permission, placed, known_calling, move_to)
    check_interval(interval, placed)
    consent = Consent(allow_count, allow_intrusive, lab_targets(lab or [], placed))
    inputs = placed_inputs(
        Inputs(
            known_calling=known_calling,
            planted_study=study_uid(planted_study),
            move_to=move_to,
            test_user=User(test_user) if test_user else None,
            certificate=key_pair(certificate, key, "--certificate", "--key"),
            revoked=key_pair(revoked_certificate, revoked_key, "--revoked-certificate", "--revoked-key"),
            outside=outside,
            files=folder_of(files),
            watch=watch,
        ),
        permission,
        placed,
        zone,
        dicomweb or [],
        beyond_channel or [],
    )
    inputs = read_files(inputs, records, indexed, segments, channels)
    before = None if baseline is None else read_baseline(baseline)
    observations = read_users(observe, suggest_to, gate_name, placed)
    run = Run(permission, inputs, consent, called or "", interval)
    print(permission, file=sys.stderr)
    if dry_run:
        run.rehearse(placed)
        return
    check_output(output)
    check_output(suggest_to, "--suggest")
    assessment = run.carry_out(placed, hosts_at_once, state)
    write(report(assessment, before), output_format, output, Severity.parse(fail_on))
    if suggest_to is not None:
        suggest_to.write_text(suggest(assessment, observations, gate_name), encoding="utf-8")
        print(f"a configuration that closes it is in {suggest_to}; read it before use", file=sys.stderr)
    status = exit_status(assessment, Severity.parse(fail_on))
    if status is not Exit.PASS:
        raise typer.Exit(status.value)
