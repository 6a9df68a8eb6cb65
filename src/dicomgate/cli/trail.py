"""`dicomgate audit verify`, `prove`, `check-proof`, `public-key`, `pseudonym`, `rotate-key`: proofs and keys."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine

from dicomgate.audit.checkpoint import LARGEST_NOTE, LOGGED, Checkpoint, CheckpointError, PublicKey, opened
from dicomgate.audit.proof import LARGEST_PROOF, Proof, ProofError, proven
from dicomgate.audit.pseudonym import Identifier
from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, operator, say
from dicomgate.config.load import Configuration, load
from dicomgate.store.database import StoreError, open_copy, open_store, path_of, state_path
from dicomgate.store.keys import pseudonym_key, public_key, public_path, rotate_pseudonym_key, verify_ed25519
from dicomgate.store.proving import prove as prove_record
from dicomgate.store.proving import sequence_of
from dicomgate.store.settings import TrailSettings
from dicomgate.store.tree import append_at_once
from dicomgate.store.verification import CheckpointFile, Verification, verify_trail

Configured = Annotated[
    Path | None, typer.Option("-c", "--config", metavar="FILE", help="The configuration file (TOML).")
]
Database = Annotated[
    Path | None, typer.Option("--database", metavar="FILE", help="A copy of the store, in place of -c FILE.")
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints", metavar="FILE", help="Checkpoints, or a log with some, kept elsewhere; may be repeated."
    ),
]
PublicKeyFile = Annotated[
    Path | None,
    typer.Option("--public-key", metavar="FILE", help="The public key; without it the one beside the store."),
]


def verify(
    config: Configured = None,
    database: Database = None,
    checkpoints: Checkpoints = None,
    public: PublicKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Find every record that was altered, removed, moved or cut off. Needs no gate and no network."""
    engine, configuration = _opened(config, database)
    settings = None if configuration is None else configuration.trail
    store = path_of(engine)
    if public is None and settings is None:
        fail("expected --public-key FILE beside --database", "dicomgate audit public-key printed it at the gate")
    key = public_key(public or public_path((settings or TrailSettings()).signing_key_of(store)))
    files = [_kept(path) for path in checkpoints or []]
    if settings is not None:
        own = settings.checkpoints_of(store)
        files.append(CheckpointFile(str(own), _lines_of(own) if own.exists() else [], own=True))
    found = verify_trail(engine, key, verify_ed25519, files)
    say([json.dumps({"holds": found.holds, **asdict(found)})] if as_json else _report(found))
    if configuration is not None:  # not before: what is examined is left as it was found
        record_use(configuration, "verify")
    if not found.holds:
        raise typer.Exit(DENIED)


def prove(
    sequence: Annotated[int | None, typer.Argument(min=1, help="Number of the record.")] = None,
    config: Configured = None,
    database: Database = None,
    refusal_id: Annotated[
        str | None, typer.Option("--refusal-id", help="The record of this refusal, in place of a number.")
    ] = None,
) -> None:
    """Print a proof that one record is in the trail. It can be checked without the trail."""
    engine, configuration = _opened(config, database)
    if (sequence is None) is (refusal_id is None):
        fail("expected SEQUENCE or --refusal-id ID, one of them", "dicomgate audit search --json shows both")
    number = sequence if refusal_id is None else sequence_of(engine, refusal_id.upper())
    if number is None:
        print("dicomgate: there is no record with this refusal ID", file=sys.stderr)
        raise typer.Exit(DENIED)
    say([prove_record(engine, number).to_json()])
    if configuration is not None:
        record_use(configuration, "prove")


def record_use(configuration: Configuration, action: str) -> None:
    """Reading the trail is a fact that belongs in it (PS3.15 A.5.3.2). Who may not write there may still read."""
    detail: dict[str, object] = {"action": action, "operator": operator()}
    try:
        engine = open_store(configuration.state, configuration.base)
        append_at_once(engine, [Record(time.time(), Event.AUDIT_LOG_USED, Outcome.SUCCESS, detail=detail)])
    except StoreError as problem:
        print(f"this use of the trail is not in it: {str(problem).splitlines()[0]}", file=sys.stderr)


def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The proof.")],
    public: Annotated[Path, typer.Option("--public-key", metavar="FILE", help="The public key of the gate.")],
    checkpoints: Checkpoints = None,
    as_json: AsJson = False,
) -> None:
    """Check a proof. Needs neither the trail nor a configuration."""
    key = public_key(public)
    try:
        record, checkpoint = proven(Proof.from_json(_start_of(file)), key, verify_ed25519)
        if checkpoints and not any(_is_kept(checkpoint, path, key) for path in checkpoints):
            raise ProofError(f"its checkpoint of {checkpoint.size} records is not among those that were kept")
    except ProofError as problem:
        print(f"dicomgate: not proven: {problem}", file=sys.stderr)
        raise typer.Exit(DENIED) from None
    if as_json:
        say([json.dumps({"origin": checkpoint.origin, "size": checkpoint.size, "record": dict(record)})])
        return
    where = f"{checkpoint.origin}, under its checkpoint of {checkpoint.size} records"
    say([f"proven: record {record['sequence']} of {where}"])
    say(f"  {name}: {json.dumps(value)}" for name, value in record.items() if name != "sequence")


def print_public_key(config: ConfigFile) -> None:
    """Print the public key that checkpoints are checked with. Give it to whoever is to check them."""
    configuration = load(config, files=False)
    store = state_path(configuration.state, configuration.base)
    say([str(public_key(public_path(configuration.trail.signing_key_of(store))))])


def print_pseudonym(
    config: ConfigFile,
    issuer: Annotated[str, typer.Option("--issuer", metavar="TEXT", help="Issuer of Patient ID, if any.")] = "",
) -> None:
    """Print the pseudonym of a Patient ID, which is read from stdin: a command line is seen by others, and kept."""
    configuration = load(config, files=False)
    path = configuration.trail.pseudonym_key_of(state_path(configuration.state, configuration.base))
    if not path.exists():
        fail(f"{path}: there is no key of pseudonyms", "dicomgate run makes it")
    if sys.stdin.isatty():
        print("Patient ID: ", end="", file=sys.stderr, flush=True)
    value = sys.stdin.readline().strip()
    if not value:
        fail("expected a Patient ID on stdin, came nothing", "dicomgate audit pseudonym -c FILE < FILE_WITH_THE_ID")
    say([pseudonym_key(path).pseudonym(Identifier.PATIENT_ID, value, issuer)])


def rotate_key(config: ConfigFile) -> None:
    """Destroy the key of the pseudonyms and make a new one: no identifier can be tried against the old ones again."""
    configuration = load(config, files=False)
    engine = open_store(configuration.state, configuration.base)
    old, new = rotate_pseudonym_key(configuration.trail.pseudonym_key_of(path_of(engine)))
    detail: dict[str, object] = {"old_key": None if old is None else old.id, "new_key": new.id}
    append_at_once(engine, [Record(time.time(), Event.PSEUDONYM_KEY_ROTATED, Outcome.SUCCESS, detail=detail)])
    say([new.id])
    print("a running gate has the old key in memory until it is reloaded or restarted", file=sys.stderr)


def _opened(config: Path | None, database: Path | None) -> tuple[Engine, Configuration | None]:
    """A read-only store, and the configuration it is that of; a copy has none, and nobody writes into it."""
    if config is None and database is not None:
        return open_copy(database), None
    if config is None or database is not None:
        fail("expected -c FILE or --database FILE, one of them", "the configuration file, or a copy of the store")
    configuration = load(config, files=False)
    return open_store(configuration.state, configuration.base, read_only=True), configuration


def _kept(path: Path) -> CheckpointFile:
    """Checkpoints that were pushed: notes one after another, or a log with some among its lines."""
    log = any(LOGGED in line for line in _lines_of(path))
    return CheckpointFile(str(path), _lines_of(path), own=False, log=log)


def _lines_of(path: Path) -> Iterator[str]:
    """A file of checkpoints, read as it is needed; StoreError at once when it cannot be read."""
    try:
        path.open(encoding="utf-8").close()
    except OSError as problem:
        raise StoreError(f"{path}: {problem.strerror}") from None
    return _read_lines(path)


def _read_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        while line := file.readline(LARGEST_NOTE):
            yield line


def _start_of(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened_file:
            return opened_file.read(LARGEST_PROOF + 1)
    except OSError as problem:
        raise StoreError(f"{file}: {problem.strerror}") from None


def _is_kept(checkpoint: Checkpoint, path: Path, key: PublicKey) -> bool:
    """Whether a file of checkpoints has this one, signed."""
    for _, note in _kept(path).notes():
        try:
            if opened(note, key, verify_ed25519) == checkpoint:
                return True
        except CheckpointError:
            continue
    return False


def _report(found: Verification) -> Iterator[str]:
    if found.pruned:
        under = "no checkpoint that fits" if found.pruned_under is None else f"the checkpoint of {found.pruned_under}"
        yield f"pruned: records 1 to {found.pruned}, under {under}"
    yield f"read: {found.records} records"
    yield (
        f"signed: records 1 to {found.signed}, by {found.checkpoints} checkpoints that fit"
        if found.signed
        else ("signed: none")
    )
    for remark in found.remarks:
        yield f"note: {remark}"
    for finding in found.findings:
        yield f"wrong: {finding.text}"
    if found.more_findings:
        yield f"wrong: {found.more_findings} more"
    yield "the trail holds" if found.holds else "the trail does not hold"
