"""The tables of software and its flaws: each row whole, with its source, and versions compared as numbers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dicomgate.assess.fingerprint import flaws_of, table
from dicomgate.assess.model import Fingerprint, Product, Severity

WHEN = {"versions", "before", "upto", "year"}
ROWS = table("cves")["cve"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_a_row_is_whole(row: dict[str, Any]) -> None:
    assert re.fullmatch(r"CVE-\d{4}-\d{4,}", row["id"])
    assert len(WHEN & row.keys()) == 1
    assert row.keys() == {"id", "product", "part", "what", "severity", "source"} | (WHEN & row.keys())
    assert row["source"]
    toolkits = {software["name"] for software in table("fingerprints")["software"] if software["toolkit"]}
    assert row["product"] not in toolkits or Severity.parse(row["severity"]) <= Severity.MEDIUM
    assert "year" not in row or str(row["year"]) == row["id"][4:8]
    assert "year" not in row or "not verified" in row["source"], "a year is no range of versions"


def test_each_flaw_stands_once() -> None:
    ids = [row["id"] for row in ROWS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("3.6.6", {"CVE-2021-41689", "CVE-2022-2119", "CVE-2026-50254"}, {"CVE-2019-1010228"}),
        ("3.6.7", {"CVE-2024-34508", "CVE-2025-9732", "CVE-2026-10528"}, {"CVE-2021-41689", "CVE-2022-2119"}),
        ("3.6.9", {"CVE-2025-9732", "CVE-2026-52868"}, {"CVE-2024-28130", "CVE-2024-27628"}),
        ("3.7.0", {"CVE-2026-50003", "CVE-2026-5663"}, {"CVE-2025-9732"}),
        ("3.6.10", {"CVE-2026-50003"}, {"CVE-2025-9732"}),
        ("3.7.1", set(), {row["id"] for row in ROWS}),
    ],
)
def test_versions_of_dcmtk(version: str, has: set[str], has_not: set[str]) -> None:
    flaws, dated = flaws_of(Fingerprint("1.2.3", None, Product("DCMTK", version, True)))
    found = {flaw.cve: flaw.confidence for flaw in flaws}
    assert has <= found.keys()
    assert not has_not & found.keys()
    assert found.get("CVE-2026-10528", "year") == "year"
    assert found.get("CVE-2026-50003", "version") == "version"
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", dated)
