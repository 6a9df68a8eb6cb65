"""`dicomgate segment`: firewall rules from the same file, rendered, applied, confirmed and verified."""

import json
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dicomgate.audit.record import Event, Outcome, Record, iso_time
from dicomgate.channel.result import identity
from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, say
from dicomgate.config import units
from dicomgate.config.load import Configuration, load
from dicomgate.config.problem import WrongValueError
from dicomgate.detect.ban import Spared
from dicomgate.detect.model import Rung, SubjectKind
from dicomgate.facts import Address
from dicomgate.segment import apply as applying
from dicomgate.segment import aws, azure, kernel, kubernetes, matrix, nftables, verify
from dicomgate.segment.azure import TooManyRulesError
from dicomgate.segment.flows import Plan, plan
from dicomgate.segment.model import Segmentation
from dicomgate.segment.own_way import cut_ways
from dicomgate.segment.sessions import cut_off, sessions
from dicomgate.segment.words import UnsafeNameError
from dicomgate.store import bans
from dicomgate.store.database import StoreError, open_store
from dicomgate.store.recorder import Recorder

SHORTEST_TRIAL, LONGEST_TRIAL = 5, 3600
"""Seconds: long enough to try a new connection, short enough to wait for."""
PROBE_SECONDS = 2.0
STORE_SECONDS = 5.0

segment = typer.Typer(help="Firewall rules from the same file.", no_args_is_help=True)


class Target(StrEnum):
    NFTABLES = "nftables"
    KUBERNETES = "kubernetes"
    AWS = "aws"
    AZURE = "azure"
    MATRIX = "matrix"
    MATRIX_HTML = "matrix-html"


@segment.command("render")
def segment_render(
    config: ConfigFile,
    target: Annotated[Target, typer.Option(help="What the rules are written for.")],
    site: Annotated[
        str | None, typer.Option(metavar="NAME", help="Segments of this site; default: of the own one.")
    ] = None,
) -> None:
    """Print the rules. Nothing is changed anywhere."""
    configuration = load(config, files=False)
    of_file = _plan(configuration)
    known = [each.name for each in configuration.sites]
    if site is not None and site not in known:
        fail(f"--site: there is no site {site!r}", f"sites in the file: {', '.join(known) or 'none'}")
    if site is not None and target in (Target.NFTABLES, Target.MATRIX, Target.MATRIX_HTML):
        fail(f"--site: has no meaning for {target}", "nftables are the own host's; the matrix shows every site")
    title = f"{configuration.settings.name}: what may pass"
    renderers: dict[Target, Callable[[], str]] = {
        Target.NFTABLES: lambda: nftables.whole(of_file),
        Target.KUBERNETES: lambda: kubernetes.render(of_file, site),
        Target.AWS: lambda: aws.render(of_file, site),
        Target.AZURE: lambda: azure.render(of_file, site),
        Target.MATRIX: lambda: matrix.markdown(of_file, title),
        Target.MATRIX_HTML: lambda: matrix.html(of_file, title),
    }
    try:
        text = renderers[target]()
    except (UnsafeNameError, TooManyRulesError) as error:
        fail(f"{target}: {error}", "change the names or the networks in the file")
    say(text.splitlines())


@segment.command("diff")
def segment_diff(config: ConfigFile) -> None:
    """What is loaded on this machine against what the file says; exit status 1 when they differ."""
    lines = applying.differences(_plan(load(config, files=False)), kernel.loaded())
    say(lines)
    if lines:
        raise typer.Exit(DENIED)


@segment.command("apply")
def segment_apply(
    config: ConfigFile,
    confirm_within: Annotated[
        str, typer.Option(metavar="TIME", help="The kernel takes the rules back after this time unless confirmed.")
    ] = "60s",
    at_once: Annotated[bool, typer.Option("--at-once", help="For good, without a trial: for scripts.")] = False,
) -> None:
    """Put the rules into force on this machine, on trial first."""
    configuration = load(config, files=False)
    of_file = _plan(configuration)
    seconds = _trial(confirm_within)
    _refuse(configuration, cut_off(of_file, sessions()), "add the address to management of this machine's segment")
    _refuse(configuration, cut_ways(of_file), "add the address to gate below [segmentation]")
    try:
        done = applying.apply(of_file, None if at_once else seconds)
    except kernel.NftError as error:
        _record(configuration, Event.SEGMENT_CHANGED, Outcome.FAILURE, "apply", error.text)
        raise
    match done:
        case applying.Applied.UNCHANGED:
            say(["unchanged: these rules are in force"])
            return
        case applying.Applied.ON_TRIAL:
            say(
                [f"on trial for {seconds} s; then the kernel takes them back unless you run: dicomgate segment confirm"]
            )
        case applying.Applied.IN_FORCE:
            say(["in force"])
    _record(configuration, Event.SEGMENT_CHANGED, Outcome.SUCCESS, "apply", done.value)


@segment.command("confirm")
def segment_confirm(config: ConfigFile) -> None:
    """Keep the rules that are on trial."""
    configuration = load(config, files=False)
    try:
        applying.confirm()
    except applying.NothingOnTrialError as error:
        _no_trial(error)
    say(["confirmed"])
    _record(configuration, Event.SEGMENT_CHANGED, Outcome.SUCCESS, "confirm", "in force")


@segment.command("revert")
def segment_revert(
    config: ConfigFile,
    everything: Annotated[bool, typer.Option("--all", help="Take every rule of dicomgate away.")] = False,
) -> None:
    """End a trial at once; the rules before it are in force again."""
    configuration = load(config, files=False)
    if everything:
        say(["removed" if applying.remove() else "nothing was loaded"])
    else:
        try:
            applying.revert()
        except applying.NothingOnTrialError as error:
            _no_trial(error)
        say(["reverted"])
    _record(configuration, Event.SEGMENT_CHANGED, Outcome.SUCCESS, "revert", "all" if everything else "trial")


@segment.command("verify")
def segment_verify(
    config: ConfigFile,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result for the assessor (JSON).")
    ] = None,
    rules: Annotated[
        bool, typer.Option("--rules", help="The rules must be loaded on this machine, as configured.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0.1, max=30, help="Seconds to wait for an answer.")] = PROBE_SECONDS,
) -> None:
    """Try, from this machine, what must pass and what must not; exit status 1 when it is not so."""
    configuration = load(config, files=False)
    of_file = _plan(configuration)
    neighbours = _segmentation(configuration).neighbours
    try:
        asked = verify.targets(of_file, neighbours)
    except verify.TooManyProbesError as error:
        fail(str(error), "name single machines in the file, and fewer dicom_ports")
    checks = verify.rule_checks(of_file, asked=rules, held=_held_off(configuration))
    found = verify.Verification(verify.probe(of_file, asked, wait), checks)
    now = time.time()
    result = verify.as_json(found, configuration.settings.name, iso_time(now))
    result["channels"] = [identity(channel, now) for channel in configuration.channels]
    text = json.dumps(result, indent=None if as_json else 2)
    if output is not None:
        output.write_text(text + "\n", "utf-8")
    say([text] if as_json else verify.table(found))
    wrong = sum(not each.ok for each in found.probes) + sum(not each.ok for each in found.checks)
    total = len(found.probes) + len(found.checks)
    if not total:
        print("dicomgate: nothing could be asked from this machine", file=sys.stderr)
    outcome = Outcome.SUCCESS if found.ok else Outcome.FAILURE
    _record(configuration, Event.SEGMENT_VERIFIED, outcome, "verify", f"{wrong} of {total} not as they must be")
    if not found.ok:
        raise typer.Exit(DENIED)


def _refuse(configuration: Configuration, reasons: list[str], hint: str) -> None:
    """End the command, with every reason, when there is one."""
    if reasons:
        for reason in reasons:
            print(f"dicomgate: refused: {reason}", file=sys.stderr)
        print(f"  hint: {hint}", file=sys.stderr)
        _record(configuration, Event.SEGMENT_CHANGED, Outcome.REFUSED, "apply", reasons[0])
        raise typer.Exit(DENIED)


def _held_off(configuration: Configuration) -> list[Address] | None:
    """The addresses that the gate has told the firewall of; None when it tells none, or its store cannot be read."""
    settings = configuration.settings
    if not settings.detect.firewall:
        return None
    spared = Spared.of(settings.rules, (each.proxy_protocol_from for each in settings.listeners))
    try:
        engine = open_store(configuration.state, configuration.base)
        try:
            listed = bans.listed(engine, time.time())
        finally:
            engine.dispose()
    except StoreError as error:
        print(f"dicomgate: warning: bans are not compared: {error}", file=sys.stderr)
        return None
    return [
        ip_address(ban.subject.value)
        for ban in listed
        if ban.rung is Rung.BAN and ban.subject.kind is SubjectKind.ADDRESS
        if not (ban.automatic and spared.spares(ban.subject, None, None))
    ]


def _plan(configuration: Configuration) -> Plan:
    return plan(configuration.settings.rules, _segmentation(configuration))


def _segmentation(configuration: Configuration) -> Segmentation:
    if configuration.segmentation is None:
        fail("the file has neither [segmentation] nor a [[segment]]", "see docs/howto/segmentation.md")
    return configuration.segmentation


def _trial(text: str) -> int:
    try:
        seconds = units.seconds(int(text) if text.isdigit() else text)
    except WrongValueError as mistake:
        fail(f"--confirm-within: {mistake.text}", mistake.hint)
    if not SHORTEST_TRIAL <= seconds <= LONGEST_TRIAL:
        fail(f"--confirm-within: expected {SHORTEST_TRIAL} s to {LONGEST_TRIAL} s, came {text}", "for instance 60s")
    return int(seconds)


def _no_trial(error: applying.NothingOnTrialError) -> NoReturn:
    hint = "the rules before it are in force; apply again" if error.over else "dicomgate segment apply begins one"
    print(f"dicomgate: error: {error}\n  hint: {hint}", file=sys.stderr)
    raise typer.Exit(DENIED)


def _record(configuration: Configuration, event: Event, outcome: Outcome, action: str, reason: str) -> None:
    """Kept when it can be. A full disk must not keep anybody from reverting a firewall, so it only is said."""
    try:
        engine = open_store(configuration.state, configuration.base)
    except StoreError as error:
        print(f"dicomgate: warning: not recorded: {error}", file=sys.stderr)
        return
    kept: list[bool] = []
    recorder = Recorder(engine, lambda call: call(), lambda _: None)
    recorder.submit([Record(time.time(), event, outcome, reason=reason, detail={"action": action})], kept.append)
    recorder.close(STORE_SECONDS)
    engine.dispose()
    if not all(kept) or not kept:
        print("dicomgate: warning: not recorded: the store did not take it", file=sys.stderr)
