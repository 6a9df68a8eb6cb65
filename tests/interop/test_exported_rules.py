"""The exported rules, loaded where they belong: Sigma, fail2ban and CrowdSec read the log of a gate under attack.

What is blamed is the attacker's address, and nobody else's, whatever stands in the names that he sends.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationRule
from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from dicomgate.audit.record import Event
from dicomgate.detect.catalogue import DETECTORS
from dicomgate.detect.export import crowdsec as crowdsec_files
from dicomgate.detect.export import fail2ban as fail2ban_filter
from dicomgate.detect.export import sigma
from dicomgate.detect.model import Severity
from dicomgate.wire.codes import PduType
from interop.conftest import require
from lab import crowdsec, fail2ban
from lab.process import wait_until
from system.house import house
from system.raw_archive import SECONDS, associate_rq, pdu

pytestmark = [pytest.mark.interop, pytest.mark.system]
TRIES_TITLES, WRONG_ONCE, LIES, INNOCENT = "127.9.0.1", "127.9.0.2", "127.9.0.3", "127.9.0.4"
ASKS_THE_NET = {"attacktag", "d3_fendtag"}
"""Validators of pySigma that fetch the lists of MITRE first."""


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a gate wrote to stderr while it was attacked, lines of JSON only."""
    folder = tmp_path_factory.mktemp("attacked")
    with house(folder, more='\n[detect]\nmode = "respond"\n') as door:
        for number in range(5):
            with door.dial(TRIES_TITLES) as wire:
                wire.say(associate_rq(calling='", "address', called=f"PACS{number}"))
                wire.expect(PduType.ASSOCIATE_RJ)
        with door.dial(WRONG_ONCE) as wire:
            wire.say(associate_rq(called="PACS"))
            wire.expect(PduType.ASSOCIATE_RJ)
        door.dial(LIES).say(pdu(PduType.ASSOCIATE_RQ, b"\0\1", 0x7FFFFFFF))
        with door.dial(INNOCENT) as wire:
            wire.say(associate_rq(called="HONEST"))
            wire.expect(PduType.ASSOCIATE_AC)
        for name in ("D02", "D25", "D27"):
            finding = door.trail.wait_for(event=Event.FINDING, rule=name)
            wait_until(lambda told=finding: str(told.refusal_id) in door.gate.log, SECONDS, f"the line of {name}")
        lines = [line for line in door.gate.log.splitlines() if line.startswith("{")]
    path = folder / "log.jsonl"
    path.write_text("\n".join((*lines, "")), encoding="utf-8")
    return path


# -- Sigma ---------------------------------------------------------------------------------------------------


def test_sigma_reads_every_rule_and_finds_nothing_wrong_with_it() -> None:
    rules = SigmaCollection.from_yaml(sigma(), collect_errors=True)
    assert rules.errors == []
    assert len(rules.rules) > len(DETECTORS)
    levels = {each.name.lower() for rule in rules.rules if (each := rule.level) is not None}
    assert levels <= {*Severity, "informational"}
    chosen = [kind for name, kind in validators.items() if name not in ASKS_THE_NET]
    assert [str(issue) for issue in SigmaValidator(chosen).validate_rules(rules)] == []


def test_sigma_finds_the_attacks_in_a_real_log(log: Path) -> None:
    """As a SIEM does it: a rule becomes a query, here of SQLite, over the fields of the lines."""
    rules = SigmaCollection.from_yaml(sigma())
    database = sqlite3.connect(":memory:")
    _load(database, [json.loads(line) for line in log.read_text().splitlines()], _fields(rules))
    blamed = set()
    for rule in rules.rules:
        backend = sqliteBackend()
        backend.table = "logs"
        if isinstance(rule, SigmaCorrelationRule) or (isinstance(rule, SigmaRule) and rule.name is None):
            (query,) = backend.convert(SigmaCollection([*_named(rules), rule]))[-1:]
            cursor = database.execute(query)
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                found = dict(zip(columns, row, strict=True))
                address = json.loads(found["group_keys"])["address"] if "group_keys" in found else found["address"]
                kind = "counted" if isinstance(rule, SigmaCorrelationRule) else "told"
                blamed.add((rule.title.split()[1].rstrip(":"), kind, address))
    assert blamed == {
        ("D02", "told", TRIES_TITLES),
        ("D02", "counted", TRIES_TITLES),
        ("D25", "told", TRIES_TITLES),
        ("D27", "told", LIES),
    }


def _named(rules: SigmaCollection) -> list[SigmaRule]:
    return [rule for rule in rules.rules if isinstance(rule, SigmaRule) and rule.name is not None]


def _fields(rules: SigmaCollection) -> set[str]:
    """Every field that a rule names."""
    documents = list(yaml.safe_load_all(sigma()))
    parts = [part for each in documents for part in each.get("detection", {}).values() if isinstance(part, dict)]
    counted = {each["correlation"]["condition"].get("field") for each in documents if "correlation" in each} - {None}
    grouped = {f for rule in rules.rules if isinstance(rule, SigmaCorrelationRule) for f in rule.group_by or ()}
    named = {key.split("|")[0] for part in parts for key in part}
    return named | grouped | counted | {"called_ae_title", "calling_ae_title"}


def _load(database: sqlite3.Connection, lines: Sequence[dict[str, object]], fields: set[str]) -> None:
    names = sorted(fields | {"timestamp"})
    database.execute(f"CREATE TABLE logs ({', '.join(f'`{name}` TEXT' for name in names)})")
    for line in lines:
        detail = line.get("detail")
        inner = detail if isinstance(detail, dict) else {}
        flat = {**line, "timestamp": line["time"], **{f"detail.{key}": value for key, value in inner.items()}}
        values = [None if flat.get(name) is None else str(flat[name]) for name in names]
        database.execute(f"INSERT INTO logs VALUES ({', '.join('?' * len(names))})", values)


# -- fail2ban ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Tokyo"])
def test_fail2ban_counts_the_attackers_and_knows_when_it_was(log: Path, tmp_path: Path, timezone: str) -> None:
    require("fail2ban")
    (tmp_path / "dicomgate.conf").write_text(fail2ban_filter())
    found = fail2ban.failures(log, tmp_path / "dicomgate.conf", timezone)
    assert Counter(address for address, _ in found) == {TRIES_TITLES: 7, WRONG_ONCE: 1, LIES: 1}
    written = log.stat().st_mtime
    assert all(abs(when - written) < 600 for _, when in found), "or fail2ban would take it for long past"


# -- CrowdSec ------------------------------------------------------------------------------------------------


def test_crowdsec_takes_the_files_and_blames_the_attackers(log: Path, tmp_path: Path) -> None:
    require("crowdsec")
    documents = crowdsec_files().split("---\n")
    files = {text.splitlines()[0].removeprefix("# "): text for text in documents}
    assert crowdsec.blamed(tmp_path / "crowdsec", log, "dicomgate", files) == {
        ("dicomgate/d02", TRIES_TITLES),
        ("dicomgate/d25", TRIES_TITLES),
        ("dicomgate/d27", LIES),
    }
