"""cases/NAME.toml against cases/NAME.expected: the lines that `dicomgate check` prints for the file, hints included.

What it says of the files that are named there is tested in test_files.py.
"""

from pathlib import Path

import pytest

from dicomgate.config.build import build
from dicomgate.config.crosscheck import CHECKS
from dicomgate.config.document import Document, read_document
from dicomgate.config.lint import LINTS
from dicomgate.config.load import load, parse
from dicomgate.config.problem import ConfigurationError, Problem
from dicomgate.config.unsupported import UNSUPPORTED, unsupported

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.toml"))


def problems(path: Path) -> tuple[Problem, ...]:
    try:
        return load(path, files=False).warnings
    except ConfigurationError as error:
        return error.problems


def documents() -> list[Document]:
    found = []
    for name in NAMES:
        if not name.startswith("syntax_"):
            path = CASES / f"{name}.toml"
            found.append(read_document(parse(path.read_text("utf-8"), name), name)[0])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_says_what_is_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES)
    said = "".join(f"{problem}\n" for problem in problems(Path(f"{name}.toml")))
    assert said == Path(f"{name}.expected").read_text("utf-8")


def test_each_toml_file_has_its_expectation_and_the_other_way_round() -> None:
    assert NAMES
    assert sorted(path.stem for path in CASES.glob("*.expected")) == NAMES


def test_each_cross_check_has_a_case() -> None:
    silent = [check.__name__ for check in CHECKS if not any(list(check(document)) for document in documents())]
    assert silent == []


def test_each_lint_has_a_case() -> None:
    usable = []
    for document in documents():
        wrong = f"{document.file}.expected"
        errors = [line for line in (CASES / wrong).read_text("utf-8").splitlines() if ": error: " in line]
        if all("not available in this version" in line for line in errors):
            usable.append((document, build(document, CASES)))
    silent = [lint.__name__ for lint in LINTS if not any(list(lint(*both)) for both in usable)]
    assert silent == []


def test_each_line_of_what_is_unavailable_has_a_case() -> None:
    said = {problem.text for document in documents() for problem in unsupported(document)}
    assert said == {f"{row.what} is not available in this version" for row in UNSUPPORTED}


def test_no_secret_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES)
    said = problems(Path("secrets_are_not_shown.toml"))
    assert "hunter2" in Path("secrets_are_not_shown.toml").read_text("utf-8")
    assert "hunter2" not in str(ConfigurationError(said))
