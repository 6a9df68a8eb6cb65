"""A skipped interop test says why, in one place; on a machine that must have everything it is a failure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
SKIPPING = re.compile(r"pytest\.(skip|importorskip)\(|mark\.(skip|skipif|xfail)\b")
ABSENT = (Path("/nonexistent/program"),)


@pytest.fixture
def conftest(request: pytest.FixtureRequest) -> ModuleType:
    """The conftest.py beside this file, as pytest has loaded it."""
    plugin = request.config.pluginmanager.get_plugin(str(HERE / "conftest.py"))
    assert isinstance(plugin, ModuleType)
    return plugin


def test_every_component_has_a_reason_and_every_reason_a_component(conftest: ModuleType) -> None:
    reasons: dict[str, str] = conftest.skip_reasons()
    assert reasons.keys() == {*conftest.COMPONENTS, *conftest.PACKAGES}
    assert all(len(reason.split()) > 3 for reason in reasons.values())


def test_nothing_else_skips() -> None:
    skipping = {
        path.name: len(SKIPPING.findall(path.read_text(encoding="utf-8")))
        for path in [*HERE.glob("*.py"), *HERE.parent.joinpath("lab").glob("*.py")]
        if path != Path(__file__)
    }
    assert {name: count for name, count in skipping.items() if count} == {"conftest.py": 2}


def test_a_missing_component_skips_with_its_reason(conftest: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DICOMGATE_REQUIRE_LAB", raising=False)
    require: Callable[..., None] = conftest.require
    for component, reason in conftest.skip_reasons().items():
        with pytest.raises(pytest.skip.Exception, match=re.escape(reason)):
            require(component, ABSENT)


def test_where_the_lab_is_required_a_missing_component_fails(
    conftest: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMGATE_REQUIRE_LAB", "1")
    for component, reason in conftest.skip_reasons().items():
        with pytest.raises(pytest.fail.Exception, match=re.escape(reason)):
            conftest.require(component, ABSENT)
