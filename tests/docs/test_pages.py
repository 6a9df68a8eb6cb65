"""Pages hold together: links lead somewhere, examples can be used, nothing stands alone."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from dicomgate.assess.scope import read_scope
from dicomgate.config.load import interpret
from dicomgate.plan.answers import read as read_answers
from dicomgate.plan.decide import decide
from docs.pages import PAGES, ROOT, Block, blocks, read, section

LINK = re.compile(r"\]\(([^)\s]+)\)")
ABSOLUTE = re.compile(r"(?<![\w/.\]}])/[a-z][\w.-]*(?:/[\w.-]+)+")
PLACES = (
    "/opt/dicomgate",
    "/etc/dicomgate",
    "/etc/systemd/",
    "/usr/bin",
    "/usr/sbin",
    "/var/lib/dicomgate",
    "/bin/kill",
)
"""Where things are on a reader's machine. Any other absolute path was somebody's own."""
TOML = blocks("toml")
COMPLETE = [block for block in TOML if block.mark.startswith("complete")]


def name(block: Block) -> str:
    return block.name


def headings(page: Path) -> set[str]:
    """The anchors that a page has, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} leads nowhere"
        assert file.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in headings(file), f"{link}: no such heading"


def test_every_page_is_linked_from_another() -> None:
    linked = {ROOT / "README.md"}
    for page in PAGES:
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            linked.update(target.glob("*.md") if target.is_dir() else [target])
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in linked] == []


def test_no_path_of_somebodys_own_machine() -> None:
    others = [ROOT / "packaging" / "dicomgate.service", *(ROOT / "docs").rglob("*.py")]
    found = {
        f"{page.relative_to(ROOT)}: {path}"
        for page in [*PAGES, *others]
        for path in ABSOLUTE.findall(page.read_text(encoding="utf-8"))
        if not path.startswith(PLACES)
    }
    assert found == set()


def test_every_toml_example_says_how_it_is_tested() -> None:
    assert [
        block.name
        for block in TOML
        if block.mark.partition(",")[0] not in ("complete", "part", "part of end", "scope", "answers")
    ] == []
    assert len(COMPLETE) >= 6


@pytest.mark.parametrize("block", COMPLETE, ids=name)
def test_a_complete_configuration_loads(block: Block) -> None:
    settings = interpret(tomllib.loads(block.text), block.name, ROOT).settings
    assert settings.listeners
    assert settings.rules.archives
    assert settings.rules.peers


@pytest.mark.parametrize("block", [block for block in TOML if block.mark == "scope"], ids=name)
def test_a_scope_of_an_assessment_can_be_read(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "scope.toml"
    file.write_text(block.text, encoding="utf-8")
    assert read_scope(file).named


@pytest.mark.parametrize("block", [block for block in TOML if block.mark == "part"], ids=name)
def test_a_part_of_a_configuration_fits_into_a_whole_one(block: Block) -> None:
    whole = tomllib.loads(COMPLETE[0].text)
    part = tomllib.loads(block.text)
    assert whole.keys().isdisjoint(part)
    assert interpret(whole | part, block.name, ROOT) != interpret(whole, block.name, ROOT)


@pytest.mark.parametrize("block", [block for block in TOML if block.mark == "answers"], ids=name)
def test_answers_make_a_plan(block: Block) -> None:
    assert decide(read_answers(tomllib.loads(block.text), block.name)).usable


def test_the_readme_needs_ten_lines() -> None:
    (block,) = (block for block in COMPLETE if block.page.name == "README.md")
    assert block.mark == "complete, ten lines"
    assert len(block.text.splitlines()) == 10


@pytest.mark.parametrize("block", blocks("json"), ids=name)
def test_json_examples_parse(block: Block) -> None:
    assert json.loads(block.text)


def test_the_benchmark_has_its_place_in_the_readme() -> None:
    found = re.search(r"<!-- bench:begin -->\n(.*?)<!-- bench:end -->", read("README.md"), re.DOTALL)
    assert found is not None
    assert found[1].strip()


def test_the_readme_says_how_each_recommendation_stands() -> None:
    rows = re.findall(r"^\| (R\d) \| [^|]+ \| ([^|]+) \|$", section(read("README.md"), "The advisory it answers"), re.M)
    assert [number for number, _ in rows] == [f"R{number}" for number in range(9)]
    assert all(state.strip() for _, state in rows)


ADRS = sorted((ROOT / "docs" / "adr").glob("*.md"))


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in ADRS] == list(range(1, len(ADRS) + 1))


@pytest.mark.parametrize("page", ADRS, ids=lambda page: page.stem)
def test_a_decision_says_what_it_means_for_security_privacy_and_audit(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert [word for word in ("State", "Security", "Privacy", "Audit") if f"\n{word}: " not in text] == []


def test_change_fragments_have_a_known_kind() -> None:
    kinds = re.findall(r"^\| `(\w+)` \|", read("changes", "README.md"), re.MULTILINE)
    fragments = [page for page in (ROOT / "changes").glob("*.md") if page.name != "README.md"]
    wanted = re.compile(rf"[0-9]+\.({'|'.join(kinds)})\.md")
    assert [page.name for page in fragments if not wanted.fullmatch(page.name)] == []
    assert [page.name for page in fragments if page.read_text(encoding="utf-8").lstrip().startswith("#")] == []


def test_the_licence_is_whole() -> None:
    text = read("LICENSE")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
