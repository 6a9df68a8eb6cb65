"""`dicomgate segment` and `dicomgate plan` where no firewall is needed: what they print, and how they end."""

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicomgate.cli import app
from segment.targets import NAMES, PLANS

CLINIC = PLANS / "clinic.toml"
PLAN_CASES = Path(__file__).parents[1] / "plan" / "cases"
RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("target", "ending"),
    [
        ("nftables", ".nft"),
        ("kubernetes", ".kubernetes.json"),
        ("aws", ".aws.tf.json"),
        ("azure", ".azure.tf.json"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_renders_to_stdout(name: str, target: str, ending: str) -> None:
    done = RUNNER.invoke(app, ["segment", "render", "-c", str(PLANS / f"{name}.toml"), "--target", target])
    assert done.exit_code == 0
    assert done.stdout == (PLANS / f"{name}{ending}").read_text("utf-8")


def test_pages_bear_the_name_of_the_gate() -> None:
    for target in ("matrix", "matrix-html"):
        done = RUNNER.invoke(app, ["segment", "render", "-c", str(CLINIC), "--target", target])
        assert "dicomgate: what may pass" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--target", "aws", "--site", "clowd"], "there is no site 'clowd'"),
        (["--target", "nftables", "--site", "cloud"], "has no meaning for nftables"),
    ],
)
def test_sites_are_those_of_the_file(words: list[str], said: str) -> None:
    done = RUNNER.invoke(app, ["segment", "render", "-c", str(PLANS / "two_sites.toml"), *words])
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_remote_site_has_its_own_rules() -> None:
    words = ["segment", "render", "-c", str(PLANS / "two_sites.toml"), "--target", "aws", "--site", "cloud"]
    groups = json.loads(RUNNER.invoke(app, words).stdout)["resource"]["aws_security_group"]
    assert list(groups) == ["dicomgate_Cloud_archive"]


@pytest.mark.parametrize("command", ["render --target matrix", "diff", "apply", "verify"])
def test_without_segments_there_is_nothing_to_do(command: str, tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(CLINIC.read_text("utf-8").partition("[[segment]]")[0], "utf-8")
    done = RUNNER.invoke(app, ["segment", *command.split(), "-c", str(file)])
    assert done.exit_code == 2
    assert "neither [segmentation] nor a [[segment]]" in done.stderr


@pytest.mark.parametrize("time", ["4s", "2h", "soon", "-1s", "0"])
def test_a_trial_has_sensible_bounds(time: str) -> None:
    done = RUNNER.invoke(app, ["segment", "apply", "-c", str(CLINIC), "--confirm-within", time])
    assert done.exit_code == 2
    assert "--confirm-within: expected" in done.stderr


def test_plan_writes_a_folder_once(tmp_path: Path) -> None:
    words = ["plan", str(tmp_path / "out"), "--answers", str(PLAN_CASES / "cloud_and_users.toml")]
    done = RUNNER.invoke(app, words)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].startswith("Yes: the archive is elsewhere")
    written = sorted(
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    )
    assert written == ["README.md", "answers.toml", "cloud/gate.toml", "north-clinic/gate.toml"]
    again = RUNNER.invoke(app, words)
    assert again.exit_code == 2
    assert "nothing that exists is written over" in again.stderr


def test_plan_says_stop(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["plan", str(tmp_path / "out"), "--answers", str(PLAN_CASES / "no_safe_way.toml")])
    assert done.exit_code == 1
    assert not list((tmp_path / "out").rglob("gate.toml"))


def test_plan_keeps_answers_that_cannot_both_be_true(tmp_path: Path) -> None:
    out, kept = tmp_path / "out", tmp_path / "out.answers.toml"
    said = "north-clinic|10.9.1.5|10.1.0.0/16|||||here|ARCHIVE|10.1.1.20:11112||none|".replace("|", "\n")
    done = RUNNER.invoke(app, ["plan", str(out)], input=said + "\n")
    assert done.exit_code == 1
    assert not out.exists()
    assert f"Your answers are in {kept}." in done.stderr.replace("\n", " ")
    kept.write_text(kept.read_text("utf-8").replace("10.9.1.5", "10.1.1.5"), "utf-8")
    assert RUNNER.invoke(app, ["plan", str(out), "--answers", str(kept)]).exit_code == 0
    other = tmp_path / "other.answers.toml"
    other.write_text("mine", "utf-8")
    assert "the answers are not kept" in RUNNER.invoke(app, ["plan", str(tmp_path / "other")], input=said + "\n").stderr
    assert other.read_text("utf-8") == "mine"


def test_plan_asks(tmp_path: Path) -> None:
    site = ["north-clinic", "10.1.1.5", "10.1.0.0/16", "", "", "", ""]
    archive = ["here", "ARCHIVE", "nonsense", "10.1.1.20:11112", ""]
    party = ["ct-1", "inside", "CT1", "10.1.2.31", "echo store", "no", "no", "no", ""]
    said = [*site, *archive, "", *party, ""]
    done = RUNNER.invoke(app, ["plan", str(tmp_path / "out")], input="\n".join(said) + "\n")
    assert done.exit_code == 0, done.stderr
    assert "expected HOST:PORT" in done.stderr
    answers = tomllib.loads((tmp_path / "out" / "answers.toml").read_text("utf-8"))
    assert answers["party"][0]["does"] == ["echo", "store"]
    assert "No. Nobody outside needs access" in done.stdout
