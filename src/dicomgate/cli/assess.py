"""`dicomgate assess`: what is open, with evidence. In: targets, a scope and consent; out: an assessment.

Everything that is wrong with the command is said before a packet is sent. Data to stdout, talk to stderr.
"""

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import Progress as Bar

from dicomgate import __version__
from dicomgate.assess.checks import CATALOGUE, CHECKS
from dicomgate.assess.dialogue import Patience
from dicomgate.assess.document import DocumentError, read_assessment
from dicomgate.assess.fleet import MOST_HOSTS_AT_ONCE, Fleet, Progress, StateError, StateFile
from dicomgate.assess.inputs import (
    InputError,
    Inputs,
    User,
    WebService,
    read_channels,
    read_indexed,
    read_segments,
    read_usage,
)
from dicomgate.assess.line import Endpoint, KeyPair, SocketDialer
from dicomgate.assess.model import Assessment, Consent, Exit, Mode, Severity, exit_status
from dicomgate.assess.need import Observations
from dicomgate.assess.prober import Prober, Target, Tempo
from dicomgate.assess.rehearsal import RehearsalClock, RehearsalDialer
from dicomgate.assess.render.html import html
from dicomgate.assess.render.json import report_document
from dicomgate.assess.render.junit import junit
from dicomgate.assess.render.sarif import sarif
from dicomgate.assess.render.terminal import print_report
from dicomgate.assess.report import Report, report
from dicomgate.assess.scope import (
    MOST_TARGETS,
    Named,
    Resolved,
    Scope,
    ScopeError,
    check_window,
    expand,
    place,
    read_named,
    read_scope,
    resolve,
    scope_of_options,
)
from dicomgate.assess.suggest import suggest
from dicomgate.assess.survey import survey
from dicomgate.cli.need import read_observations
from dicomgate.cli.speech import WRONG, fail, say
from dicomgate.wire.text import is_valid_ae_title, is_valid_uid

WIDTH = 150
"""Of a text report that does not go to a terminal."""
INTRUSIVE_CONNECTIONS = 120
"""Connections to one target where intrusive checks are allowed; otherwise Tempo's 60."""


class Format(StrEnum):
    """How an assessment is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    HTML = "html"


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
    wanted = _targets(targets or [], target_file)
    try:
        permission = _permission(scope, authorised, contact, ports, wanted)
        wanted = wanted or list(permission.named)
        if not dry_run:
            check_window(permission, datetime.now().astimezone())
        permission, placed = place(permission, wanted, allow_public)
    except ScopeError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG) from None
    _check_titles(called, permission, placed, known_calling, move_to)
    _check_interval(interval, placed)
    consent = Consent(allow_count, allow_intrusive, _lab(lab or [], placed))
    inputs = _inputs(
        Inputs(
            known_calling=known_calling,
            planted_study=_uid(planted_study),
            move_to=move_to,
            test_user=User(test_user) if test_user else None,
            certificate=_pair(certificate, key, "--certificate", "--key"),
            revoked=_pair(revoked_certificate, revoked_key, "--revoked-certificate", "--revoked-key"),
            outside=outside,
            files=_folder(files),
            watch=watch,
        ),
        permission,
        placed,
        zone,
        dicomweb or [],
        beyond_channel or [],
    )
    inputs = _read_files(inputs, records, indexed, segments, channels)
    before = None if baseline is None else _baseline(baseline)
    observations = _observations(observe, suggest_to, gate_name, placed)
    run = _Run(permission, inputs, consent, called or "", interval)
    print(permission, file=sys.stderr)
    if dry_run:
        run.rehearse(placed)
        return
    _check_output(output)
    _check_output(suggest_to, "--suggest")
    assessment = run.carry_out(placed, hosts_at_once, state)
    _write(report(assessment, before), output_format, output, Severity.parse(fail_on))
    if suggest_to is not None:
        suggest_to.write_text(suggest(assessment, observations, gate_name), encoding="utf-8")
        print(f"a configuration that closes it is in {suggest_to}; read it before use", file=sys.stderr)
    status = exit_status(assessment, Severity.parse(fail_on))
    if status is not Exit.PASS:
        raise typer.Exit(status.value)


@dataclass(frozen=True, slots=True)
class _Run:
    """What is the same for every target of a run."""

    scope: Scope
    inputs: Inputs
    consent: Consent
    called_ae_title: str
    interval: float

    def carry_out(self, placed: Sequence[Resolved], hosts_at_once: int, state: Path | None) -> Assessment:
        started = time.time()
        halted = threading.Event()
        try:
            kept = None if state is None else StateFile(state, self._kind())
        except StateError as error:
            print(f"dicomgate: error: {error}", file=sys.stderr)
            raise typer.Exit(WRONG) from None
        with _progress(len(placed), len(CATALOGUE)) as heard:
            fleet = Fleet(
                lambda target, called: self._prober(target, called, halted),
                self.consent,
                self.called_ae_title,
                kept,
                heard,
                hosts_at_once,
                halted=halted,
            )
            reports = tuple(fleet.run(placed))
        if halted.is_set():
            print("interrupted: what was not asked is reported as such", file=sys.stderr)
        return Assessment(__version__, self.scope.facts(), self.consent, reports, started, time.time())

    def rehearse(self, placed: Sequence[Resolved]) -> None:
        """Every PDU a real run could send, once for each target: in clear, and what TLS adds."""
        for resolved in placed:
            if resolved.endpoint is None:
                print(f"{resolved.named}: its name has no address", file=sys.stderr)
                continue
            called = resolved.named.called_ae_title or self.called_ae_title
            for over_tls in (False, True):
                say([f"# {resolved.named}, {'over TLS' if over_tls else 'in clear'}"])
                clock = RehearsalClock()
                dialer = RehearsalDialer(called, lambda line: say([line]), over_tls=over_tls)
                prober = replace(
                    self._prober(resolved, called, threading.Event()),
                    dialer=dialer,
                    sleep=clock.sleep,
                    now=clock.now,
                    rehearsal=True,
                )
                survey(prober, self.consent, progress=lambda check: say([f"# {check}"]))

    def _prober(self, resolved: Resolved, called: str, halted: threading.Event) -> Prober:
        if resolved.endpoint is None:
            raise ValueError("a target without an address has no prober")
        most = INTRUSIVE_CONNECTIONS if self.consent.covers(Mode.INTRUSIVE, str(resolved.named)) else None
        tempo = Tempo(interval=self.interval)
        return Prober(
            Target(str(resolved.named), resolved.endpoint, called),
            replace(self.inputs, host_name=None if _is_address(resolved.named.host) else resolved.named.host),
            SocketDialer(),
            Patience(),
            tempo if most is None else replace(tempo, most_connections=most),
            permits=lambda endpoint: self._permits(endpoint, resolved),
            halted=lambda: self._halted(halted),
        )

    def _permits(self, endpoint: Endpoint, target: Resolved) -> bool:
        named = {target.endpoint, *(service.endpoint for service in self.inputs.dicomweb), *self.inputs.beyond_channel}
        return self.scope.covers(endpoint.address) and (endpoint in named or endpoint.port in self.scope.ports)

    def _halted(self, halted: threading.Event) -> str | None:
        if halted.is_set():
            return "interrupted by the user"
        window = self.scope.window
        if window is not None and datetime.now().astimezone() >= window.ends:
            return "the window of the scope has ended"
        return None

    def _kind(self) -> dict[str, object]:
        """What must be the same for a state file to be used again."""
        facts, consent = self.scope.facts(), self.consent
        return {
            "authorised": facts.text,
            "called": self.called_ae_title,
            "consent": [consent.count, consent.intrusive, *sorted(consent.lab)],
        }


@contextmanager
def _progress(targets: int, checks: int) -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal; elsewhere one line for each target that is done."""
    if not sys.stderr.isatty():
        yield (
            lambda progress: (
                None
                if progress.report is None
                else print(f"{progress.target}: {progress.report.state}", file=sys.stderr)
            )
        )
        return
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("assessing", total=targets * checks)
        done: dict[str, int] = {}

        def heard(progress: Progress) -> None:
            before = done.get(progress.target, 0)
            done[progress.target] = checks if progress.report is not None else before + 1
            shown = progress.check_id or "done"
            bar.update(task, advance=done[progress.target] - before, description=f"{progress.target} {shown}")

        yield heard


def _write(finished: Report, output_format: Format, output: Path | None, fail_on: Severity) -> None:
    if output_format is Format.TEXT and output is None and sys.stdout.isatty():
        print_report(finished, Console())
        return
    text = _text(finished, output_format, fail_on)
    if output is None:
        say([text])
    else:
        output.write_text(text + "\n", encoding="utf-8")
        print(f"written to {output}", file=sys.stderr)


def _text(finished: Report, output_format: Format, fail_on: Severity) -> str:
    match output_format:
        case Format.JSON:
            return json.dumps(report_document(finished), indent=2)
        case Format.SARIF:
            return json.dumps(sarif(finished), indent=2)
        case Format.JUNIT:
            return junit(finished, fail_on)
        case Format.HTML:
            return html(finished)
        case Format.TEXT:
            console = Console(width=WIDTH, no_color=True, force_terminal=False, file=StringIO())
            with console.capture() as captured:
                print_report(finished, console)
            return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _baseline(file: Path) -> Assessment:
    try:
        return read_assessment(json.loads(file.read_text("utf-8")), CHECKS)
    except OSError as error:
        fail(f"--baseline: {file} cannot be read: {error.strerror}", "name a file that exists")
    except (DocumentError, ValueError) as error:
        fail(f"--baseline: {file}: {str(error)[:200]}", "name what dicomgate assess --format json has written")


def _observations(
    file: Path | None, suggest_to: Path | None, gate_name: str, placed: Sequence[Resolved]
) -> Observations | None:
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", gate_name):
        fail(f"--gate-name: expected a host name or an address, came {gate_name[:60]!r}", "gate.north.example")
    if file is None:
        return None
    if suggest_to is None:
        fail("--observe belongs to --suggest", "to see who uses a port, ask dicomgate need")
    ports = frozenset(target.endpoint.port for target in placed if target.endpoint is not None)
    return read_observations(file, ports)


def _targets(words: Iterable[str], file: Path | None) -> list[Named]:
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            fail(f"--targets: {file} cannot be read as text", "name a file with one HOST:PORT a line")
        words = [*words, *(line.partition("#")[0] for line in lines if line.partition("#")[0].strip())]
    wanted: dict[Named, None] = {}
    for word in words:
        try:
            wanted.update(dict.fromkeys(expand(word)))
        except ValueError as error:
            fail(f"expected HOST:PORT or NETWORK/BITS:PORT, came {word.strip()[:80]!r} ({error})", "10.1.1.5:104")
    if len(wanted) > MOST_TARGETS:
        fail(f"expected at most {MOST_TARGETS} targets, came {len(wanted)}", "assess one network after the other")
    return list(wanted)


def _permission(scope: Path | None, authorised: str | None, contact: str, ports: str, wanted: Sequence[Named]) -> Scope:
    if (scope is None) is (authorised is None):
        hint = 'without a scope nothing is sent: write a file, or --authorised "J. Doe, head of IT, ticket 4711"'
        fail("give either --scope FILE or --authorised TEXT", hint)
    if scope is not None:
        if contact or ports:
            fail("--contact and --ports belong to --authorised", "write them into the scope file")
        return read_scope(scope)
    if not wanted:
        fail("expected at least one target", "for instance dicomgate assess 10.1.1.5:104")
    try:
        numbers = sorted({int(number) for number in ports.split(",") if number.strip()})
    except ValueError:
        fail(f"--ports: expected numbers, came {ports[:60]!r}", "for instance --ports 104,11112")
    if any(not 0 < number < 65536 for number in numbers) or len(numbers) > 32:
        fail("--ports: expected up to 32 ports of 1 to 65535", "for instance --ports 104,11112")
    return scope_of_options(authorised or "", contact, wanted, numbers)


def _check_titles(
    called: str | None, scope: Scope, placed: Sequence[Resolved], known_calling: str | None, move_to: str | None
) -> None:
    for option, title in (("--called", called), ("--known-calling", known_calling), ("--move-to", move_to)):
        if title is not None and not is_valid_ae_title(title):
            fail(f"{option}: expected an AE title, came {title[:40]!r}", "1 to 16 printable characters, no backslash")
    if called is None and any(target.named.called_ae_title is None for target in placed):
        fail("expected --called TITLE", "the AE title of the archive; or write called = … for each [[target]]")
    if not placed:
        fail("the scope names no target", "name one: dicomgate assess HOST:PORT …")


def _check_interval(interval: float, placed: Sequence[Resolved]) -> None:
    own = all(target.endpoint is None or ip_address(target.endpoint.address).is_loopback for target in placed)
    if not 0 <= interval <= 60 or (interval < 1 and not own):
        fail(f"--interval: expected 1 to 60 seconds, came {interval:g}", "less only for targets on this machine")


def _lab(words: Iterable[str], placed: Sequence[Resolved]) -> frozenset[str]:
    names = {str(target.named) for target in placed}
    for word in words:
        if word not in names:
            fail(
                f"--lab: {word[:80]!r} is no target of this run",
                f"write it as the target: {', '.join(sorted(names)[:4])}",
            )
    return frozenset(words)


def _uid(text: str | None) -> str | None:
    if text is not None and not is_valid_uid(text):
        fail(f"--planted-study: expected a UID, came {text[:64]!r}", "digits and dots")
    return text


def _pair(certificate: Path | None, key: Path | None, option: str, key_option: str) -> KeyPair | None:
    if (certificate is None) is not (key is None):
        fail(f"{option} and {key_option} belong together", "give both, or neither")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            fail(f"{file}: no such file", "expected PEM")
    return None if certificate is None or key is None else KeyPair(certificate, key)


def _folder(folder: Path | None) -> Path | None:
    if folder is not None and not folder.is_dir():
        fail(f"--files: {folder} is no folder", "name the folder that holds the stored files")
    return folder


def _inputs(
    inputs: Inputs,
    scope: Scope,
    placed: Sequence[Resolved],
    zone: str | None,
    dicomweb: Iterable[str],
    beyond_channel: Iterable[str],
) -> Inputs:
    if zone is not None and zone not in scope.zones:
        fail(f"--zone: {zone[:60]!r} is not in the scope", f"known there: {', '.join(scope.zones) or 'no zone'}")
    return replace(
        inputs,
        ports=scope.ports,
        declared=frozenset(target.endpoint for target in placed if target.endpoint is not None),
        zone=None if zone is None else scope.zones[zone],
        dicomweb=tuple(_service(url) for url in dicomweb),
        beyond_channel=tuple(_endpoint(text) for text in beyond_channel),
    )


def _service(url: str) -> WebService:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not url.isascii():
        fail(f"--dicomweb: expected http://HOST:PORT/PATH, came {url[:80]!r}", "without a name and password")
    addresses = resolve(parts.hostname)
    if not addresses:
        fail(f"--dicomweb: {parts.hostname[:80]} has no address", "write the address")
    tls = parts.scheme == "https"
    return WebService(url, parts.netloc, Endpoint(addresses[0], port or (443 if tls else 80)), parts.path, tls)


def _endpoint(text: str) -> Endpoint:
    try:
        named = read_named(text)
        return Endpoint(str(ip_address(named.host)), named.port)
    except ValueError:
        fail(f"--beyond-channel: expected ADDRESS:PORT, came {text[:80]!r}", "the peer site's real address")


def _read_files(
    inputs: Inputs, records: Path | None, indexed: Path | None, segments: Path | None, channels: Path | None
) -> Inputs:
    try:
        return replace(
            inputs,
            usage=None if records is None else read_usage(records),
            indexed=None if indexed is None else read_indexed(indexed),
            segments=None if segments is None else read_segments(segments),
            channels=None if channels is None else read_channels(channels),
        )
    except InputError as error:
        print(f"dicomgate: error: {error}", file=sys.stderr)
        raise typer.Exit(WRONG) from None


def _check_output(output: Path | None, option: str = "--output") -> None:
    """Before anything is sent: an assessment that cannot be written would have been for nothing."""
    if output is not None:
        try:
            output.open("a").close()
        except OSError as error:
            fail(f"{option}: {output} cannot be written: {error.strerror}", "name a file in a folder that exists")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
