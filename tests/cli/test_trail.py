"""`dicomgate audit` verify, prove, check-proof, export, public-key and rotate-key, as an auditor runs them."""

import csv
import io
import json
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomgate import cli
from dicomgate.audit.record import SHOWN, Event, Outcome, Record
from dicomgate.store.database import open_store
from dicomgate.store.tree import append_at_once
from store.trail import Trail, names

CONFIGURATION = """
[gate]
name = "north"
state = "sqlite:///gate.db"

[[listener]]
name = "inside"
bind = "127.0.0.1:0"
networks = ["10.1.0.0/16"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.2.31"]
assurance = "address"
may = ["echo"]
"""
CONFIG = ("-c", "gate.toml")
KEY = ("--public-key", "gate.signing-key.pub")
HOSTILE = "=cmd|'/C calc'!A0\r\n\x1b[2Jforged,line\u202e"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    made = Trail(tmp_path)
    (tmp_path / "gate.toml").write_text(CONFIGURATION, encoding="utf-8")
    made.write(names(25))
    return made


@pytest.fixture
def run(trail: Trail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(trail.folder)

    def go(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["dicomgate", "audit", *arguments])
        capsys.readouterr()
        try:
            cli.main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return go


def test_verify_at_the_gate(run: Run) -> None:
    done = run("verify", *CONFIG)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "read: 25 records",
        "signed: records 1 to 25, by 2 checkpoints that fit",
        "the trail holds",
    ]


def test_verify_a_copy_elsewhere_that_cannot_be_written(run: Run, trail: Trail, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    for path in (trail.store, trail.checkpoints, trail.folder / "gate.signing-key.pub"):
        shutil.copy(path, away)
    for path in away.iterdir():
        path.chmod(0o400)
    away.chmod(0o500)
    arguments = ("--database", "away/gate.db", "--public-key", "away/gate.signing-key.pub")
    done = run("verify", *arguments, "--checkpoints", "away/gate.checkpoints", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["holds"], found["size"], found["signed"], found["remarks"]) == (True, 25, 25, [])
    assert len(list(away.iterdir())) == 3, "no file is made beside the evidence"
    done = run("verify", *arguments)
    assert done.code == 0
    assert "note: no checkpoint file was given" in done.out


def test_verify_finds_it_and_says_which(run: Run, trail: Trail) -> None:
    trail.execute("UPDATE records SET reason = 'another' WHERE sequence = 7", "DELETE FROM records WHERE sequence = 9")
    done = run("verify", *CONFIG)
    assert (done.code, done.err) == (1, "")
    assert "wrong: record 7 was altered: it does not fit its leaf hash" in done.out
    assert "wrong: record 9 was removed" in done.out
    assert done.out.endswith("the trail does not hold\n")
    found = json.loads(run("verify", *CONFIG, "--json").out)
    assert found["holds"] is False
    assert [(each["fault"], each["first"], each["last"]) for each in found["findings"]] == [
        ("altered", 7, 7),
        ("removed", 9, 9),
    ]


def test_verify_without_its_checkpoint_file(run: Run, trail: Trail) -> None:
    trail.checkpoints.unlink()
    done = run("verify", *CONFIG)
    assert done.code == 1
    assert "the checkpoint of 20 records is missing in " in done.out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "expected -c FILE or --database FILE, one of them"),
        ([*CONFIG, "--database", "gate.db"], "expected -c FILE or --database FILE, one of them"),
        (["--database", "gate.db"], "expected --public-key FILE beside --database"),
        (["--database", "absent.db", *KEY], "absent.db: there is no store here yet"),
        (["--database", "gate.toml", *KEY], "gate.toml: file is not a database"),
        ([*CONFIG, "--public-key", "gate.toml"], "gate.toml: expected"),
        ([*CONFIG, "--checkpoints", "absent"], "absent: No such file"),
    ],
)
def test_verify_that_cannot_begin_is_2(arguments: list[str], why: str, run: Run) -> None:
    done = run("verify", *arguments)
    assert (done.code, done.out) == (2, "")
    assert why in done.err


def test_a_proof_is_made_and_checked_without_the_trail(run: Run, trail: Trail) -> None:
    made = run("prove", "7", *CONFIG)
    assert (made.code, made.err) == (0, "")
    proof = trail.folder / "proof.json"
    proof.write_text(made.out)
    trail.store.unlink()
    done = run("check-proof", "proof.json", *KEY)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "proven: record 7 of north, under its checkpoint of 25 records"
    assert '  association: "a7"' in done.out
    done = run("check-proof", "proof.json", *KEY, "--checkpoints", "gate.checkpoints", "--json")
    assert json.loads(done.out)["record"]["association"] == "a7"
    trail.checkpoints.write_text("")
    done = run("check-proof", "proof.json", *KEY, "--checkpoints", "gate.checkpoints")
    assert (done.code, done.out) == (1, "")
    assert "not among those that were kept" in done.err
    changed, times = re.subn(r'(association\\*": ?\\*")a7', r"\1a8", made.out)
    assert times == 1, "nothing else may change: a digest may hold the same letters"
    proof.write_text(changed)
    done = run("check-proof", "proof.json", *KEY)
    assert (done.code, done.out) == (1, "")
    assert "the path does not lead from record 7 to the root" in done.err
    proof.write_bytes(b"\xff\xfe{")
    assert run("check-proof", "proof.json", *KEY).code == 1
    assert run("check-proof", "absent.json", *KEY).code == 2


def test_a_refusal_is_proven_by_its_id(run: Run, trail: Trail) -> None:
    trail.write(["refused"], refusal_id="7KQ2M9XH")
    made = run("prove", "--refusal-id", "7kq2m9xh", *CONFIG)
    assert json.loads(json.loads(made.out)["record"])["refusal_id"] == "7KQ2M9XH"
    done = run("prove", "--refusal-id", "ABCDEFGH", "--database", "gate.db")
    assert (done.code, done.out) == (1, "")
    assert "no record with this refusal ID" in done.err


def test_what_cannot_be_proven(run: Run, trail: Trail) -> None:
    assert "there is no record 99" in run("prove", "99", *CONFIG).err
    assert run("prove", *CONFIG).code == run("prove", "1", "--refusal-id", "A", *CONFIG).code == 2
    append_at_once(open_store("sqlite:///gate.db", trail.folder), [Record(1.0, Event.OPERATION, Outcome.SUCCESS)])
    assert "record 26 is not under a checkpoint yet" in run("prove", "26", *CONFIG).err
    trail.execute("UPDATE records SET reason = 'another' WHERE sequence = 7")
    assert "record 7 does not fit the signed checkpoint" in run("prove", "7", *CONFIG).err
    trail.execute("DELETE FROM records WHERE sequence = 8")
    assert "record 8 or its leaf hash is missing" in run("prove", "9", *CONFIG).err


def test_export_as_json_and_csv(run: Run, trail: Trail) -> None:
    trail.write(["hostile"], calling_ae_title=HOSTILE, detail={"key": HOSTILE})
    done = run("export", *CONFIG, "--format", "json")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert len(records) == 26
    (hostile,) = (record for record in records if record["association"] == "hostile")
    assert (hostile["calling_ae_title"], hostile["detail"]) == (HOSTILE, {"key": HOSTILE})
    done = run("export", *CONFIG, "--format", "csv")
    assert len(done.out.splitlines()) == 28, "a record is a line; one more, because the trail has just been read"
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert tuple(rows[0]) == ("sequence", *SHOWN)
    (row,) = (row for row in rows if row["association"] == "hostile")
    assert row["calling_ae_title"] == "'=cmd|'/C calc'!A0\\r\\n\\x1b[2Jforged,line\\u202e"
    assert json.loads(row["detail"]) == {"key": HOSTILE}
    assert "\x1b" not in done.out
    assert len(run("export", *CONFIG, "--format", "csv", "--until", "1970-01-01T00:00:00").out.splitlines()) == 1
    assert run("export", *CONFIG).code == run("export", *CONFIG, "--format", "xml").code == 2


def test_the_public_key_is_printed(run: Run, trail: Trail) -> None:
    done = run("public-key", *CONFIG)
    assert done.out == (trail.folder / "gate.signing-key.pub").read_text()
    assert done.out.startswith("north+")
    (trail.folder / "gate.signing-key.pub").unlink()
    assert run("public-key", *CONFIG).code == 2


def test_rotating_the_key_is_on_record(run: Run, trail: Trail) -> None:
    first, second = (run("rotate-key", *CONFIG).out.strip() for _ in range(2))
    assert first != second
    path = trail.folder / "gate.pseudonym-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    records = [
        json.loads(line)
        for line in run("search", *CONFIG, "--event", "pseudonym_key_rotated", "--json").out.splitlines()
    ]
    assert [record["detail"] for record in records] == [
        {"old_key": None, "new_key": first},
        {"old_key": first, "new_key": second},
    ]
    assert path.read_text().strip() not in json.dumps(records)
    assert trail.verify().holds


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("list", ()),
        ("search", ("--event", "operation")),
        ("export", ("--format", "csv")),
        ("verify", ()),
        ("prove", ("3",)),
    ],
)
def test_who_reads_the_trail_is_in_it(run: Run, trail: Trail, action: str, arguments: tuple[str, ...]) -> None:
    trail.write(names(1, 26))
    before = run("verify", *CONFIG, "--json")
    assert run(action, *arguments, *CONFIG).code == 0
    records = [json.loads(line) for line in run("list", *CONFIG, "--json").out.splitlines()]
    used = [record["detail"] for record in records if record["event"] == "audit_log_used"]
    assert [each["action"] for each in used] == ["verify", action], "each command once, behind what it has read"
    assert used[0]["operator"]
    assert json.loads(before.out)["holds"]
    assert trail.verify().holds


def test_who_may_not_write_the_trail_may_read_it(run: Run, trail: Trail) -> None:
    holder = sqlite3.connect(trail.folder / "gate.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = run("list", *CONFIG)
    holder.close()
    assert (done.code, len(done.out.splitlines()) > 0) == (0, True)
    assert "this use of the trail is not in it: " in done.err
    assert "database is locked" in done.err


def test_a_patient_and_a_study_can_be_followed(run: Run, trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("pseudonym", *CONFIG).code == 2, "nobody has made a key yet"
    run("rotate-key", *CONFIG)
    monkeypatch.setattr("sys.stdin", io.StringIO("4711\n"))
    jane = run("pseudonym", *CONFIG).out.strip()
    monkeypatch.setattr("sys.stdin", io.StringIO("4711\n"))
    elsewhere = run("pseudonym", *CONFIG, "--issuer", "SOUTH").out.strip()
    assert jane != elsewhere
    trail.write(["hers"], patient=jane, study_instance_uid="1.2.3", sealed_patient="c2VhbGVk")
    trail.write(["another's"], patient=elsewhere, study_instance_uid="1.2.3")
    for asked, found in ((("--patient", jane), ["hers"]), (("--study", "1.2.3"), ["hers", "another's"])):
        done = run("search", *CONFIG, "--json", *asked)
        assert [json.loads(line)["association"] for line in done.out.splitlines()] == found
        assert "c2VhbGVk" not in done.out
    assert "c2VhbGVk" not in run("export", *CONFIG, "--format", "csv").out
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run("pseudonym", *CONFIG).code == 2
