"""The project's pages as values: their texts, code blocks and links. In: the checkout; out: what tests ask about."""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "changes").glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "src" / "dicomgate").rglob("*.py"))

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- test: ([a-z ,]+) -->\n*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block. `mark` is the comment `<!-- test: … -->` before it, or empty."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Every code block of this language, in all pages."""
    return [block for page in PAGES for block in _blocks(page) if block.language == language]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        mark = _MARK.search(text[: found.start()])
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2], found[3], mark[1] if mark else "")


def read(*path: str) -> str:
    """A page by its path in the checkout."""
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands below one heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {heading!r}"
    return found[1]


def first_column(text: str) -> list[str]:
    """The words in backticks of the first column of every table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def script(*path: str) -> ModuleType:
    """A script of docs/ as a module, without running it."""
    file = ROOT.joinpath(*path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
