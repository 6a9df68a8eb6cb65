"""Every command that reads: what goes to stdout, what to stderr, and the exit code."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomgate import __version__, cli
from dicomgate.audit.record import SHOWN, Event, Outcome, Record
from dicomgate.store.database import open_store
from dicomgate.store.recorder import Recorder

SOUND = """
[gate]
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
may = ["echo", "store", "move"]
move_to = ["self"]
"""
BROKEN = SOUND + '\n[[peer]]\nname = "ct-2"\nnetwork = ["10.1.2.32"]\n'
NO_SYNTAX = "[gate\n"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`dicomgate ARGUMENTS` in a folder with sound.toml, broken.toml and no_syntax.toml."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("sound", SOUND), ("broken", BROKEN), ("no_syntax", NO_SYNTAX)):
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")

    def go(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["dicomgate", *arguments])
        capsys.readouterr()
        try:
            cli.main()
            code: object = 0
        except SystemExit as ended:
            code = ended.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return go


def test_version(run: Run) -> None:
    assert run("version") == Done(0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["version", "--nonsense"],
        ["check"],
        ["check", "--nonsense", "-c", "sound.toml"],
        ["explain", "-c", "sound.toml", "--verb", "nonsense"],
        ["audit", "nonsense"],
        ["audit", "list", "-c", "sound.toml", "--limit", "0"],
        ["audit", "search", "-c", "sound.toml", "--since", "yesterday"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_2_and_says_so_on_stderr(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "rror" in done.err


def test_help_is_not_an_error(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    for command in ("run", "check", "explain", "demo", "audit", "version"):
        assert command in done.out


# -- check -----------------------------------------------------------------------------------------------------


def test_check_of_a_sound_file_prints_its_warnings_and_is_0(run: Run) -> None:
    done = run("check", "-c", "sound.toml")
    assert done.code == 0
    assert done.lines[0].startswith("sound.toml:peer[ct-1].assurance: warning: ")
    assert done.lines[1].startswith("  hint: ")
    assert done.err == "sound.toml: no errors, 1 warnings\n"


def test_check_strict_is_3_when_there_are_warnings(run: Run) -> None:
    plain, strict = run("check", "-c", "sound.toml"), run("check", "-c", "sound.toml", "--strict")
    assert strict.code == 3
    assert strict.out == plain.out


def test_check_of_a_broken_file_is_1_and_the_problems_are_data(run: Run) -> None:
    done = run("check", "-c", "broken.toml")
    assert done.code == 1
    assert any(line.startswith("broken.toml:peer[ct-2].network: error: ") for line in done.lines)
    assert done.err == ""


@pytest.mark.parametrize(
    ("file", "said"),
    [("no_syntax.toml", "no_syntax.toml:line 1: error: not valid TOML"), ("absent.toml", "absent.toml: error: ")],
)
def test_check_of_what_is_no_configuration_is_1(run: Run, file: str, said: str) -> None:
    done = run("check", "-c", file)
    assert done.code == 1
    assert done.out.startswith(said)
    assert "hint: " in done.out


@pytest.mark.parametrize("command", [["run"], ["explain", "ABCD2345"], ["audit", "list"], ["audit", "search"]])
@pytest.mark.parametrize("file", ["broken.toml", "no_syntax.toml", "absent.toml"])
def test_every_other_command_ends_with_2_on_a_wrong_configuration(run: Run, command: list[str], file: str) -> None:
    done = run(*command, "-c", file)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"{file}:")
    assert "hint: " in done.err


# -- explain ---------------------------------------------------------------------------------------------------

ASKED = ["--listener", "inside", "--from", "10.1.2.31", "--calling", "CT1", "--called", "ARCHIVE", "--verb", "store"]


def test_explain_allow_is_0(run: Run) -> None:
    done = run("explain", "-c", "sound.toml", *ASKED)
    assert done.code == 0
    assert done.lines[-3:] == ["verdict: allow", "rule: peer[ct-1]", "taken to: main"]
    assert done.err == ""


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--from", "10.1.2.32", "rule: peer[ct-1].networks"),
        ("--from", "192.0.2.1", "rule: listener[inside].networks"),
        ("--calling", "CT9", "rule: default"),
        ("--calling", "much too long for a title", "rule: default"),
        ("--called", "NOBODY", "rule: default"),
        ("--verb", "find", "rule: peer[ct-1].may"),
        ("--listener", "outside", "rule: listener"),
    ],
)
def test_explain_deny_is_1_and_names_the_rule(run: Run, option: str, value: str, rule: str) -> None:
    asked = list(ASKED)
    asked[asked.index(option) + 1] = value
    done = run("explain", "-c", "sound.toml", *asked)
    assert done.code == 1
    assert "verdict: deny" in done.lines
    assert rule in done.lines
    assert any(line.startswith("reason: ") for line in done.lines)
    assert done.err == ""


def test_explain_of_a_move_takes_its_destination(run: Run) -> None:
    asked = [*ASKED[:-1], "move"]
    assert run("explain", "-c", "sound.toml", *asked).code == 0
    assert run("explain", "-c", "sound.toml", *asked, "--move-to", "CT1").code == 0
    denied = run("explain", "-c", "sound.toml", *asked, "--move-to", "OTHER")
    assert denied.code == 1
    assert "the other side sees: DIMSE status A801H" in denied.lines


def test_explain_takes_an_ipv4_address_in_ipv6_clothes_as_the_gate_does(run: Run) -> None:
    asked = ["::ffff:10.1.2.31" if word == "10.1.2.31" else word for word in ASKED]
    assert run("explain", "-c", "sound.toml", *asked).code == 0


def test_explain_says_where_no_user_is_asked_for(run: Run) -> None:
    done = run("explain", "-c", "sound.toml", *ASKED, "--user", "anna", "--role", "radiologist", "--role", "admin")
    assert done.code == 0
    assert any(line.startswith("note: ") for line in done.lines)


@pytest.mark.parametrize("left_out", ["--listener", "--from", "--calling", "--called", "--verb"])
def test_half_a_question_is_2(run: Run, left_out: str) -> None:
    place = ASKED.index(left_out)
    done = run("explain", "-c", "sound.toml", *ASKED[:place], *ASKED[place + 2 :])
    assert done.code == 2
    assert done.out == ""
    assert "hint: " in done.err


def test_an_address_that_is_none_is_2(run: Run) -> None:
    done = run("explain", "-c", "sound.toml", *["pacs" if word == "10.1.2.31" else word for word in ASKED])
    assert done.code == 2
    assert "expected an IP address, came 'pacs'" in done.err


# -- the trail -------------------------------------------------------------------------------------------------

RECORDS = [
    Record(1_700_000_000.0 + number, **values)  # type: ignore[arg-type]
    for number, values in enumerate(
        [
            {"event": Event.GATE_STARTED, "outcome": Outcome.SUCCESS},
            {
                "event": Event.ASSOCIATION_REFUSED,
                "outcome": Outcome.REFUSED,
                "refusal_id": "7KQ2M9XH",
                "rule": "default",
                "reason": "no peer has the calling AE title EVIL",
                "address": "192.0.2.1",
                "calling_ae_title": "EVIL",
                "called_ae_title": "ARCHIVE",
                "association": "a-1",
                "status": "1/1/3",
            },
            {
                "event": Event.OPERATION,
                "outcome": Outcome.SUCCESS,
                "peer": "ct-1",
                "verb": "store",
                "address": "10.1.2.31",
                "calling_ae_title": "CT1",
                "called_ae_title": "ARCHIVE",
                "association": "a-2",
                "status": "0000",
                "bytes": 512,
            },
        ]
    )
]


@pytest.fixture
def trail(tmp_path: Path) -> None:
    recorder = Recorder(open_store("sqlite:///gate.db", tmp_path), lambda call: None, lambda reason: None)
    recorder.submit(RECORDS)
    assert recorder.close(20) == 0


@pytest.mark.usefixtures("trail")
def test_audit_list_json_is_one_record_a_line_oldest_first(run: Run) -> None:
    done = run("audit", "list", "-c", "sound.toml", "--json")
    assert done.code == 0
    records = [json.loads(line) for line in done.lines]
    assert [record["event"] for record in records] == ["gate_started", "association_refused", "operation"]
    promised = [
        "time",
        "event",
        "outcome",
        "refusal_id",
        "reason",
        "rule",
        "listener",
        "address",
        "calling_ae_title",
        "called_ae_title",
        "peer",
        "user",
        "assurance",
        "verb",
        "sop_class_uid",
        "bytes",
        "status",
    ]
    for record in records:
        assert set(promised) <= set(record)
        assert list(record) == ["sequence", *SHOWN]
    assert [record["sequence"] for record in records] == [1, 2, 3]
    assert records[1]["refusal_id"] == "7KQ2M9XH"
    assert records[0]["time"] == "2023-11-14T22:13:20.000Z"
    assert done.err == ""


@pytest.mark.usefixtures("trail")
def test_audit_list_for_the_eye(run: Run) -> None:
    done = run("audit", "list", "-c", "sound.toml")
    assert done.code == 0
    assert len(done.lines) == 3
    for word in ("refused", "192.0.2.1", "EVIL → ARCHIVE", "1/1/3", "7KQ2M9XH", "default"):
        assert word in done.lines[1]


@pytest.mark.usefixtures("trail")
def test_audit_list_limit_gives_the_newest_oldest_first(run: Run) -> None:
    lines = run("audit", "list", "-c", "sound.toml", "--json", "--limit", "2").lines
    assert [json.loads(line)["event"] for line in lines] == ["association_refused", "operation"]


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize(
    ("options", "events"),
    [
        ([], ["gate_started", "association_refused", "operation"]),
        (["--event", "operation"], ["operation"]),
        (["--outcome", "refused"], ["association_refused"]),
        (["--refusal-id", "7KQ2M9XH"], ["association_refused"]),
        (["--association", "a-2"], ["operation"]),
        (["--calling", "EVIL"], ["association_refused"]),
        (["--called", "ARCHIVE"], ["association_refused", "operation"]),
        (["--address", "10.1.2.31"], ["operation"]),
        (["--peer", "ct-1"], ["operation"]),
        (["--verb", "store"], ["operation"]),
        (["--verb", "store", "--calling", "EVIL"], []),
        (["--called", "ARCHIVE", "--limit", "1"], ["association_refused"]),
        (["--since", "2030-01-01"], []),
        (["--until", "2000-01-01"], []),
        (["--since", "2000-01-01", "--until", "2030-01-01"], ["gate_started", "association_refused", "operation"]),
    ],
    ids=lambda value: " ".join(value) or "everything",
)
def test_audit_search_finds_what_matches_everything_given(run: Run, options: list[str], events: list[str]) -> None:
    done = run("audit", "search", "-c", "sound.toml", "--json", *options)
    assert done.code == 0
    assert [json.loads(line)["event"] for line in done.lines] == events


@pytest.mark.usefixtures("trail")
@pytest.mark.parametrize("refusal_id", ["7KQ2M9XH", "7kq2m9xh", " 7KQ2M9XH "])
def test_explain_reads_out_a_refusal(run: Run, refusal_id: str) -> None:
    done = run("explain", refusal_id, "-c", "sound.toml")
    assert done.code == 1
    assert done.lines[0] == "refusal ID: 7KQ2M9XH"
    assert done.lines[-3:] == [
        "verdict: deny",
        "rule: default",
        "reason: no peer has the calling AE title EVIL",
    ]


@pytest.mark.usefixtures("trail")
def test_an_unknown_refusal_id_is_2_and_says_what_to_do(run: Run) -> None:
    done = run("explain", "ZZZZZZZZ", "-c", "sound.toml")
    assert done.code == 2
    assert done.out == ""
    assert "no record has the refusal ID ZZZZZZZZ" in done.err
    assert "hint: " in done.err


@pytest.mark.parametrize("command", [["audit", "list"], ["audit", "search"], ["explain", "7KQ2M9XH"]])
def test_a_trail_that_does_not_exist_is_2_and_is_not_made(run: Run, command: list[str], tmp_path: Path) -> None:
    done = run(*command, "-c", "sound.toml")
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("dicomgate: error: ")
    assert not (tmp_path / "gate.db").exists()


def test_a_bug_is_4_and_says_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(path: Path) -> object:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr("dicomgate.cli.rules.load", buggy)
    done = run("check", "-c", "sound.toml")
    assert done.code == 4
    assert done.out == ""
    assert "ZeroDivisionError" in done.err
    assert done.err.endswith("dicomgate: internal error; the lines above say where\n")
