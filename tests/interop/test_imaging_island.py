"""The tutorial "An imaging island", command by command, in network namespaces."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from docs.pages import ROOT, blocks
from interop.conftest import require
from lab.island import ADDRESS, GATE, island

pytestmark = pytest.mark.interop
PAGE = ROOT / "docs" / "tutorial" / "imaging-island.md"
STEPS = [block for block in blocks("sh") if block.page == PAGE]


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    require("namespaces")
    assert len(STEPS) == 9
    (configuration,) = [block.text for block in blocks("toml") if block.page == PAGE]
    (tmp_path / "gate.toml").write_text(configuration, "utf-8")
    shim = tmp_path / "dicomgate"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m dicomgate "$@"\n')
    shim.chmod(0o755)
    env = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
    env["PATH"] = f"{tmp_path}:{env['PATH']}"
    with island() as here:
        here.listen("gate", 104, 22)
        here.listen("archive", 11112, 22)
        here.listen("modality", 22)
        here.listen("reading", 104)
        for step in STEPS:
            place, _, fails = step.mark.removeprefix("on ").partition(", ")
            done = here.run(place, "sh", "-c", step.text, check=False, env=env, cwd=tmp_path)
            said = f"{step.name}\n{done.stdout}\n{done.stderr}"
            if "the rules are on trial" in done.stdout:
                assert done.stdout.count("FAIL") == 1, said
                assert not here.reaches("guest", GATE, 104)
                assert here.reaches("modality", GATE, 104)
                assert here.reaches("admin", GATE, 22)
                assert not here.reaches("modality", ADDRESS["archive"], 11112)
            else:
                assert (done.returncode == 1) is bool(fails), said
        assert here.reaches("guest", GATE, 104)
