"""Every check has a remedy for every kind of system, and the gate's blocks are what the gate reads."""

from __future__ import annotations

import json
import tomllib
from collections import Counter

import pytest

from dicomgate.assess.advice import GATE, Basis, Remedy, product_of, remedies, remedies_for
from dicomgate.assess.checks import CHECKS
from dicomgate.assess.model import Fingerprint, Product
from dicomgate.config import schema

PRODUCTS = [GATE, "orthanc", "dcm4chee", "dcmtk", "conquest"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_check_stands_in_exactly_one_remedy_of_each_product(product: str) -> None:
    counted = Counter(check for remedy in remedies() if remedy.product == product for check in remedy.checks)
    assert counted == dict.fromkeys(CHECKS, 1)


def test_the_gate_comes_first() -> None:
    assert {tuple(remedy.product for remedy in remedies_for(check)) for check in CHECKS} == {tuple(PRODUCTS)}


@pytest.mark.parametrize("remedy", remedies(), ids=lambda remedy: f"{remedy.product}-{remedy.checks[0]}")
def test_a_remedy_is_whole(remedy: Remedy) -> None:
    assert remedy.do.endswith(".")
    assert remedy.effort in (1, 2, 3)
    assert remedy.block
    match remedy.file.rpartition(".")[2]:
        case "toml":
            _is_read_by_the_gate(remedy.block)
        case "json":
            json.loads(remedy.block)
        case "ldif":
            assert remedy.block.startswith("dn: ")
            assert "\nchangetype: modify\n" in remedy.block


def _is_read_by_the_gate(block: str) -> None:
    for name, value in tomllib.loads(block).items():
        model = schema.TABLES[name] if name in schema.TABLES else schema.ARRAYS[name]
        for table in value if isinstance(value, list) else [value]:
            keys = set(table)
            known = set(model.model_fields)
            known |= {"verifier": {"issuer", "audience"}, "sink": {"file"}}.get(name, set())
            assert keys <= known, f"[{name}] {keys - known}"


def test_a_block_that_was_not_tried_says_so() -> None:
    assert all(remedy.basis.warning for remedy in remedies() if remedy.basis is not Basis.TESTED)
    run = {remedy.product for remedy in remedies() if remedy.basis is Basis.TESTED}
    assert run == {GATE, "orthanc", "dcmtk"}, "others' software is not here to be run"


def test_a_toolkit_does_not_tell_the_product() -> None:
    def named(name: str, *, toolkit: bool) -> Fingerprint:
        return Fingerprint("1.2.3", None, Product(name, None, toolkit))

    assert product_of(named("Orthanc 1.12", toolkit=False)) == "orthanc"
    assert product_of(named("DCMTK", toolkit=True)) is None
    assert product_of(None) is None
