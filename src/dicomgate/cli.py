"""The command line and the composition root: one function per command, parts are put together here.

Data goes to stdout, talk goes to stderr. Exit codes: 0 done, 1 the answer is no (denied, problems found),
2 the command or the configuration is wrong, 4 a bug.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from sqlalchemy import Engine

from dicomgate import __version__
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.config.load import Configuration, load
from dicomgate.config.problem import ConfigurationError
from dicomgate.explain import Question, explain_question, explain_record
from dicomgate.gate.certificates import read_certificate
from dicomgate.gate.gate import Gate
from dicomgate.gate.journal import Journal
from dicomgate.gate.tls import TlsFilesError
from dicomgate.pki.passphrases import asking, choosing
from dicomgate.pki.problem import PkiError
from dicomgate.pki.words import DEVICE_DAYS, MOST_DAYS, KeyKind, Reason, Usage, Validity
from dicomgate.policy.model import Verb
from dicomgate.rehearsal import rehearse
from dicomgate.store.database import StoreError, open_store
from dicomgate.store.reader import by_refusal_id, search
from dicomgate.store.recorder import Recorder

if TYPE_CHECKING:
    from dicomgate.pki.commands import Report

DENIED, WRONG, INCOMPLETE, BUG = 1, 2, 3, 4

app = typer.Typer(
    help="A DICOM-aware reverse proxy in front of an archive. It refuses by default.",
    no_args_is_help=True,
    rich_markup_mode=None,  # FILE:KEY: is no picture of a key
    pretty_exceptions_enable=False,
    add_completion=False,
)
audit = typer.Typer(help="Read the audit trail.", no_args_is_help=True)
app.add_typer(audit, name="audit")
pki = typer.Typer(help="The site's own small certificate authority.", no_args_is_help=True)
app.add_typer(pki, name="pki")

ConfigFile = Annotated[Path, typer.Option("-c", "--config", metavar="FILE", help="The configuration file (TOML).")]


def main() -> None:
    """The console script."""
    try:
        app()
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(WRONG)
    except (StoreError, PkiError) as error:
        print(f"dicomgate: error: {error}", file=sys.stderr)
        sys.exit(WRONG)
    except Exception:
        traceback.print_exc()
        print("dicomgate: internal error; the lines above say where", file=sys.stderr)
        sys.exit(BUG)


@app.command()
def version() -> None:
    """Print the version."""
    _say([__version__])


@app.command()
def run(
    config: ConfigFile,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every association and operation.")] = False,
) -> None:
    """Run the gate until SIGTERM (drains) or SIGINT; SIGHUP reloads the configuration."""
    configuration = load(config)
    _warn(configuration)
    engine = open_store(configuration.state, configuration.base)
    _raise_open_files()
    _calm_the_collector()
    loop = asyncio.new_event_loop()
    journal = Journal(verbose=verbose)
    gate: Gate | None = None
    recorder = Recorder(engine, loop.call_soon_threadsafe, lambda reason: gate.report_sink(reason) if gate else None)
    try:
        gate = Gate(configuration.settings, recorder, journal, loop)
        # Before anybody can know that the gate is up: until then a signal would end it, as is their default.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gate.drain, loop.stop)
        loop.add_signal_handler(signal.SIGHUP, _reload, gate, config, configuration, journal)
        opened = gate.start()
    except OSError as error:
        recorder.close(5)
        journal.close()
        _fail(f"cannot listen: {error.strerror or error}", "is the address this machine's, and the port free?")
    except TlsFilesError as error:  # changed since it was read and found good
        recorder.close(5)
        journal.close()
        _fail(f"cannot speak TLS with {error.path}: {error.text}", "run dicomgate check")
    _say_ready(opened)
    try:
        loop.run_forever()
    finally:
        lost = recorder.close(10)
        if lost:
            journal.say("critical", "records_lost", count=lost)
        journal.close()
        loop.close()


@app.command()
def check(
    config: ConfigFile,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when there are warnings.")] = False,
) -> None:
    """Parse and lint a configuration: FILE:KEY: error|warning: text, then a hint."""
    try:
        configuration = load(config)
    except ConfigurationError as error:
        _say(map(str, error.problems))
        raise typer.Exit(DENIED) from None
    _say(map(str, configuration.warnings))
    print(f"{config}: no errors, {len(configuration.warnings)} warnings", file=sys.stderr)
    if strict and configuration.warnings:
        raise typer.Exit(INCOMPLETE)


@app.command()
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
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate that the client shows (PEM).")
    ] = None,
) -> None:
    """Which rule decides, and why: for a question put as options, or for a refusal ID."""
    if refusal_id is not None:
        with _trail(config) as engine:
            record = by_refusal_id(engine, refusal_id.strip().upper())
        if record is None:
            _fail(f"no record has the refusal ID {refusal_id}", "IDs have eight characters; is this the right gate?")
        _say(explain_record(record))
        raise typer.Exit(DENIED)
    if listener is None or source is None or calling is None or called is None or verb is None:
        wanted = "give a refusal ID, or --listener, --from, --calling, --called and --verb"
        _fail(wanted, "see dicomgate explain --help")
    try:
        address = ip_address(source)
    except ValueError:
        _fail(f"--from: expected an IP address, came {source!r}", "for instance --from 10.1.2.31")
    try:
        shown = None if certificate is None else read_certificate(certificate)
    except (OSError, ValueError):
        _fail(f"--certificate: expected a certificate (PEM) in {certificate}", "name the file the client shows")
    question = Question(listener, address, calling, called, verb, move_to, user, tuple(role or ()), certificate=shown)
    configuration = load(config, files=False)
    allowed, lines = explain_question(configuration.settings.rules, question)
    _say(lines)
    if not allowed:
        raise typer.Exit(DENIED)


@app.command("test-policy")
def test_policy(
    config: ConfigFile,
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="Cases, one a line; see docs/reference/commands.md.")],
) -> None:
    """Put a file of cases to a configuration: each must come out as it is written there."""
    try:
        text = cases.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        _fail(f"{cases}: cannot be read: {reason}", "name a text file with one case a line")
    lines, code = rehearse(load(config, files=False).settings.rules, str(cases), text)
    _say(lines)
    if code:
        raise typer.Exit(code)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep the working directory.")] = False,
) -> None:
    """An embedded archive, a gate and real clients: what passes, what is refused, and why."""
    from dicomgate.demo.scenario import run_demo  # noqa: PLC0415 - a toolkit and its dictionary, for this command only

    raise typer.Exit(run_demo(keep=keep))


@audit.command("list")
def audit_list(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")] = None,
) -> None:
    """All records, oldest first."""
    with _trail(config) as engine:
        if limit is None:
            _print(search(engine), as_json)
        else:
            _print(reversed(list(search(engine, limit=limit, newest_first=True))), as_json)


@audit.command("search")
def audit_search(
    config: ConfigFile,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
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
    with _trail(config) as engine:
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
        _print(found, as_json)


AuthorityFolder = Annotated[Path, typer.Option("--ca", metavar="DIR", help="The authority's folder.")]
PassphraseFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the passphrase of the authority's keys.")
]
KeystorePassphraseFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write PKCS#12, under the passphrase in this file.")
]
DeviceName = Annotated[str, typer.Argument(metavar="NAME", help="The device's name in this authority.")]
Titles = Annotated[list[str] | None, typer.Option("--ae", metavar="TITLE", help="An AE title; may be repeated.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", metavar="HOST", help="A DNS name; may be repeated.")]
Addresses = Annotated[list[str] | None, typer.Option("--address", metavar="IP", help="May be repeated.")]
Days = Annotated[int, typer.Option(min=1, max=MOST_DAYS, help="How long it is valid.")]
OnlyServer = Annotated[bool, typer.Option("--server", help="It is only called.")]
OnlyClient = Annotated[bool, typer.Option("--client", help="It only calls.")]
BothSides = Annotated[bool, typer.Option("--both", help="It calls and is called (default).")]
RootKey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where the root's key is kept; default: in the authority's folder.")
]
PKI_FOLDER = Path("pki")
VALIDITY = Validity()


@pki.command("init")
def pki_init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new folder.")],
    name: Annotated[str, typer.Option(help="The site, as it stands in every certificate.")],
    permit: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="A DNS suffix or a network it may vouch for; may be repeated. Or: any."),
    ] = None,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase for both keys.")] = False,
    passphrase_file: PassphraseFile = None,
    root_key: RootKey = None,
    root_days: Days = VALIDITY.root,
    issuing_days: Days = VALIDITY.issuing,
) -> None:
    """Make a root to be kept offline, and an issuing authority that signs devices."""
    from dicomgate.pki import commands  # noqa: PLC0415 - cryptography, for these commands only

    choose = choosing(passphrase_file) if passphrase or passphrase_file else None
    validity = Validity(root_days, issuing_days)
    _tell(
        commands.init(
            folder, name=name, permit=permit or [], now=_now(), choose=choose, root_key=root_key, validity=validity
        )
    )


@pki.command("issue")
def pki_issue(
    name: DeviceName,
    ca: AuthorityFolder = PKI_FOLDER,
    ae: Titles = None,
    host: Hosts = None,
    address: Addresses = None,
    server: OnlyServer = False,
    client: OnlyClient = False,
    both: BothSides = False,
    days: Days = DEVICE_DAYS,
    key: Annotated[KeyKind, typer.Option(help="rsa is for devices that cannot do ECDSA.")] = KeyKind.ECDSA,
    passphrase_file: PassphraseFile = None,
    keystore_passphrase_file: KeystorePassphraseFile = None,
) -> None:
    """Make a key and a certificate for a device, and print the lines that use them."""
    from dicomgate.pki import commands, names  # noqa: PLC0415

    holder = names.Holder.of(name, ae or [], host or [], address or [], _usage(server, client, both))
    choose_keystore = choosing(keystore_passphrase_file) if keystore_passphrase_file else None
    ask = asking(passphrase_file)
    _tell(commands.issue(ca, holder, now=_now(), ask=ask, days=days, kind=key, choose_keystore=choose_keystore))


@pki.command("import")
def pki_import(
    name: DeviceName,
    request: Annotated[Path, typer.Argument(metavar="CSR", help="The device's certification request.")],
    ca: AuthorityFolder = PKI_FOLDER,
    ae: Titles = None,
    host: Hosts = None,
    address: Addresses = None,
    server: OnlyServer = False,
    client: OnlyClient = False,
    both: BothSides = False,
    days: Days = DEVICE_DAYS,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign a device's own request. Its key is taken; names and purposes are those given here."""
    from dicomgate.pki import commands, names  # noqa: PLC0415

    holder = names.Holder.of(name, ae or [], host or [], address or [], _usage(server, client, both))
    _tell(commands.sign_request(ca, request, holder, now=_now(), ask=asking(passphrase_file), days=days))


@pki.command("renew")
def pki_renew(
    name: DeviceName,
    ca: AuthorityFolder = PKI_FOLDER,
    same_key: Annotated[bool, typer.Option("--same-key", help="Keep the key.")] = False,
    csr: Annotated[Path | None, typer.Option(metavar="CSR", help="Take the key of this new request.")] = None,
    days: Days = DEVICE_DAYS,
    passphrase_file: PassphraseFile = None,
    keystore_passphrase_file: KeystorePassphraseFile = None,
) -> None:
    """A new certificate with the names of the present one, which stays valid until it ends or is revoked."""
    from dicomgate.pki import commands  # noqa: PLC0415

    if same_key and csr:
        raise PkiError("--same-key", "came together with --csr", "give one of them")
    choose_keystore = choosing(keystore_passphrase_file) if keystore_passphrase_file else None
    ask = asking(passphrase_file)
    _tell(
        commands.renew(
            ca, name, now=_now(), ask=ask, days=days, same_key=same_key, request=csr, choose_keystore=choose_keystore
        )
    )


@pki.command("revoke")
def pki_revoke(
    target: Annotated[str, typer.Argument(metavar="NAME|SERIAL", help="All of a device, or one certificate.")],
    ca: AuthorityFolder = PKI_FOLDER,
    reason: Annotated[Reason, typer.Option()] = Reason.UNSPECIFIED,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Put certificates on the revocation list."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.revoke_device(ca, target, now=_now(), ask=asking(passphrase_file), reason=reason))


@pki.command("crl")
def pki_crl(
    ca: AuthorityFolder = PKI_FOLDER,
    days: Annotated[int | None, typer.Option(min=1, max=MOST_DAYS, help="How long the issuing list holds.")] = None,
    root_key: RootKey = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign the revocation lists anew, before they end."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.refresh_lists(ca, now=_now(), ask=asking(passphrase_file), days=days, root_key=root_key))


@pki.command("list")
def pki_list(
    ca: AuthorityFolder = PKI_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Every certificate and list, its state and the days that are left."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.listing(ca, now=_now(), as_json=as_json))


@pki.command("show")
def pki_show(name: DeviceName, ca: AuthorityFolder = PKI_FOLDER) -> None:
    """The lines of `issue` once more."""
    from dicomgate.pki import commands  # noqa: PLC0415

    _tell(commands.show(ca, name, now=_now()))


def _reload(gate: Gate, config: Path, running: Configuration, journal: Journal) -> None:
    """SIGHUP: a bad file keeps the old settings and says why."""
    try:
        fresh = load(config)
        if fresh.state != running.state:
            gate.refuse_reload("gate.state cannot change while the gate runs; restart it")
            return
        _say_ready(gate.reload(fresh.settings))
    except ConfigurationError as error:
        for problem in error.problems:
            journal.say("error", "configuration_problem", text=str(problem))
        gate.refuse_reload("; ".join(str(problem).splitlines()[0] for problem in error.problems[:5]))
    except TlsFilesError as error:  # changed since it was read and found good
        gate.refuse_reload(f"cannot speak TLS with {error.path}: {error.text}")
    except OSError as error:
        gate.refuse_reload(f"cannot listen: {error.strerror or error}")


def _say_ready(opened: Iterable[tuple[str, str]]) -> None:
    for name, address in opened:
        _say([f"ready {name} {address}"])


def _say(lines: Iterable[str]) -> None:
    """Data, to stdout. A reader that has seen enough (head, less) ends the printing, not the command or its verdict.

    A line leaves in one write: a log on the same file must not land inside it.
    """
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer goes nowhere; a complaint at exit would only confuse.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _warn(configuration: Configuration) -> None:
    for problem in configuration.warnings:
        print(problem, file=sys.stderr)


def _raise_open_files() -> None:
    """Each association takes two file descriptors; the soft limit of 1024 would end at 500."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _calm_the_collector() -> None:
    """What is loaded now stays; associations free themselves. Measured: a tenth of an association's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@contextmanager
def _trail(config: Path) -> Iterator[Engine]:
    configuration = load(config, files=False)
    engine = open_store(configuration.state, configuration.base, read_only=True)
    try:
        yield engine
    finally:
        engine.dispose()


def _print(records: "Iterator[Record] | reversed[Record]", as_json: bool) -> None:
    _say(json.dumps(record.as_json()) if as_json else _line(record) for record in records)


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


def _fail(text: str, hint: str) -> NoReturn:
    print(f"dicomgate: error: {text}\n  hint: {hint}", file=sys.stderr)
    raise typer.Exit(WRONG)


def _usage(server: bool, client: bool, both: bool) -> Usage:
    chosen = [usage for usage, wanted in zip(Usage, (server, client, both), strict=True) if wanted]
    if len(chosen) > 1:
        raise PkiError("--server", "came together with --client or --both", "give one of them; --both is the default")
    return chosen[0] if chosen else Usage.BOTH


def _tell(report: "Report") -> None:
    for line in report.lines:
        print(line)
    for note in report.notes:
        print(note, file=sys.stderr)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
