"""`dicomgate test-policy`: a cases file against a configuration, with an exit code that a pipeline can use."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicomgate.cli import app

CONFIGURATION = """
listener = [{ name = "inside", bind = "127.0.0.1:0", networks = ["10.1.0.0/16"] }]
archive = [{ name = "main", ae_title = "ARCHIVE", address = "10.1.1.20:11112" }]

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.2.31"]
assurance = "address"
may = ["store"]
"""


@pytest.mark.parametrize(
    ("cases", "code", "said"),
    [
        ("allow  store  CT1  from 10.1.2.31  on inside  to ARCHIVE\n", 0, ""),
        ("allow  find   CT1  from 10.1.2.31  on inside  to ARCHIVE\n", 1, "deny"),
        ("perhaps\n", 2, "perhaps"),
    ],
)
def test_cases_come_out_as_written_or_say_what_came(tmp_path: Path, cases: str, code: int, said: str) -> None:
    (tmp_path / "gate.toml").write_text(CONFIGURATION)
    (tmp_path / "gate.cases").write_text(cases)
    result = CliRunner().invoke(app, ["test-policy", "-c", str(tmp_path / "gate.toml"), str(tmp_path / "gate.cases")])
    assert result.exit_code == code
    assert said in result.stdout


def test_a_missing_cases_file_is_a_wrong_command(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(CONFIGURATION)
    result = CliRunner().invoke(app, ["test-policy", "-c", str(tmp_path / "gate.toml"), str(tmp_path / "none")])
    assert result.exit_code == 2
