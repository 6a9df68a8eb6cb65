"""Each detector is fired by one playbook and left alone by another."""

from pathlib import Path

import pytest

from detect.scripted import read, scripts
from dicomgate.detect.catalogue import BY_ID, DETECTORS
from dicomgate.detect.guard import Guard
from dicomgate.detect.model import SubjectKind

HITS = {
    "nobody": (None,),
    "address": (SubjectKind.ADDRESS,),
    "party": (SubjectKind.USER, SubjectKind.AE_TITLE),
}


@pytest.mark.parametrize("path", scripts(), ids=lambda path: path.stem)
def test_a_playbook_finds_what_it_says(path: Path) -> None:
    detector, outcome = path.stem.split(".")
    script = read(path)
    guard = Guard(script.settings(detector), [BY_ID[detector]])
    found = [finding for record in script.records for finding in guard.see(record)]
    assert [f"{finding.detector} {finding.subject}" for finding in found] == script.expected
    for finding in found:
        hit = finding.target and finding.target.kind
        assert hit in HITS[BY_ID[detector].hits], finding
    assert bool(script.expected) is (outcome == "fires")
    assert guard.take_troubles() == []


def test_every_detector_has_both() -> None:
    wanted = {f"{detector.id}.{outcome}" for detector in DETECTORS for outcome in ("fires", "quiet")}
    assert {path.stem for path in scripts()} == wanted
