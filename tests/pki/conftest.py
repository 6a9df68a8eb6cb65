"""Fixtures of the authority's tests, and what happens where a program is not installed."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path

import pytest

from pki.scene import Site, site

REASONS = Path(__file__).parents[1] / "interop" / "skips.toml"


@pytest.fixture
def north(tmp_path: Path) -> Site:
    return site(tmp_path / "pki")


@pytest.fixture(scope="session")
def openssl() -> str:
    return required("openssl", "openssl is not installed: as root, apt-get install --no-install-recommends openssl")


def required(program: str, reason: str | None = None) -> str:
    """The path of a program; skips with a reason without it, and fails where DICOMGATE_REQUIRE_LAB=1."""
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/bin")
    if found is None:
        why = reason or tomllib.loads(REASONS.read_text(encoding="utf-8"))[program]["reason"]
        if os.environ.get("DICOMGATE_REQUIRE_LAB") == "1":
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    return found
