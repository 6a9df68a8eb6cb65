"""Whatever is done to a trail is found, offline, in a copy: altered, removed, swapped, cut off, put back, rewritten."""

import os
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dicomgate.audit.leaf import salted, salted_leaf
from dicomgate.audit.merkle import Frontier
from dicomgate.audit.record import FIELDS, Event, Outcome, Record
from dicomgate.store.database import StoreError, open_store
from dicomgate.store.keys import public_key, public_path, signer
from dicomgate.store.schema import canonical_text
from dicomgate.store.tree import append_at_once
from dicomgate.store.verification import Fault
from store.trail import Trail, found, names

RECORDS = 50


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    trail = Trail(tmp_path_factory.mktemp("trail"))
    trail.write(names(RECORDS))
    return trail


@pytest.fixture
def trail(written: Trail, tmp_path: Path) -> Trail:
    return written.copy(tmp_path / "copy")


def test_a_trail_that_nobody_touched_holds(trail: Trail) -> None:
    verification = trail.verify()
    assert verification.holds
    assert verification.findings == verification.remarks == []
    assert (verification.records, verification.size, verification.signed) == (50, 50, 50)
    assert verification.checkpoints == 3  # 20, 40, and one at the end
    assert sorted(path.name for path in trail.folder.iterdir()) == [
        "gate.checkpoints", "gate.db", "gate.signing-key", "gate.signing-key.pub",
    ]  # fmt: skip


@pytest.mark.parametrize("column", FIELDS)
def test_no_column_can_be_altered(column: str, trail: Trail) -> None:
    other = "7" if column in ("time", "event", "outcome") else f'CASE WHEN "{column}" IS NULL THEN 1 END'
    trail.execute(f'UPDATE records SET "{column}" = {other} WHERE sequence = 17')
    assert found(trail.verify()) == [(Fault.ALTERED, 17, 17)]


@pytest.mark.parametrize(
    "change",
    [
        "calling_ae_title = 'CT2'",
        "calling_ae_title = 'CT1 '",
        "calling_ae_title = NULL",
        "calling_ae_title = CAST('CT1' AS BLOB)",
        "calling_ae_title = CAST(x'ff' AS TEXT)",
        "calling_ae_title = 'CT1' || char(0)",
        "port = 104.5",
        "port = 'many'",
        "time = time + 0.001",
        "time = 9e999",
        "refusal_id = ''",
        "salt = NULL",
        "salt = zeroblob(17)",
        "salt = 'text'",
        "leaf = zeroblob(32)",
    ],
)
def test_no_change_is_too_small(change: str, trail: Trail) -> None:
    trail.execute(f"UPDATE records SET {change} WHERE sequence = 17")
    assert (Fault.ALTERED, 17, 17) in found(trail.verify())


@pytest.mark.parametrize("leaf", ["NULL", "'text'", "x'00'"])
def test_a_leaf_hash_that_is_none(leaf: str, trail: Trail) -> None:
    trail.execute(f"UPDATE records SET leaf = {leaf} WHERE sequence = 17")
    verification = trail.verify()
    assert found(verification) == [(Fault.ALTERED, 17, 17)]
    assert "could not be compared" in verification.remarks[-1]


def test_the_middle_is_deleted(trail: Trail) -> None:
    trail.execute("DELETE FROM records WHERE sequence BETWEEN 10 AND 30", "DELETE FROM records WHERE sequence = 33")
    assert found(trail.verify()) == [(Fault.REMOVED, 10, 30), (Fault.REMOVED, 33, 33)]


def test_the_first_is_deleted(trail: Trail) -> None:
    trail.execute("DELETE FROM records WHERE sequence = 1")
    assert found(trail.verify()) == [(Fault.REMOVED, 1, 1)]


def test_the_tail_is_dropped(trail: Trail) -> None:
    trail.execute("DELETE FROM records WHERE sequence > 45")
    assert found(trail.verify()) == [(Fault.CUT_OFF, 46, 50)]


def test_the_tail_is_dropped_and_the_tree_fits_it(trail: Trail) -> None:
    cut_to(trail, 45)
    assert found(trail.verify()) == [(Fault.CUT_OFF, 46, 50)]
    trail.execute("DELETE FROM checkpoints WHERE size > 45")
    assert found(trail.verify()) == [(Fault.CUT_OFF, 46, 50)], "the file knows better"
    assert trail.verify(files=[]).holds, "which is why it has to be kept elsewhere"
    assert "no checkpoint file was given" in trail.verify(files=[]).remarks[0]


def test_everything_is_deleted(trail: Trail) -> None:
    trail.execute("DELETE FROM records", "UPDATE tree SET size = 0, nodes = x''", "DELETE FROM checkpoints")
    assert found(trail.verify()) == [(Fault.CUT_OFF, 1, 50)]


def swap(trail: Trail, columns: str) -> None:
    with closing(sqlite3.connect(trail.store)) as store:
        rows = {
            n: store.execute(f"SELECT {columns} FROM records WHERE sequence = ?", (n,)).fetchone() for n in (17, 18)
        }
        assignments = ", ".join(f"{column.strip()} = ?" for column in columns.split(","))
        for to, from_ in ((17, 18), (18, 17)):
            store.execute(f"UPDATE records SET {assignments} WHERE sequence = ?", (*rows[from_], to))
        store.commit()


def test_two_rows_are_swapped(trail: Trail) -> None:
    trail.execute(
        "UPDATE records SET sequence = 1000 WHERE sequence = 17",
        "UPDATE records SET sequence = 17 WHERE sequence = 18",
        "UPDATE records SET sequence = 18 WHERE sequence = 1000",
    )
    assert found(trail.verify())[:2] == [(Fault.ALTERED, 17, 17), (Fault.ALTERED, 18, 18)]


@pytest.mark.parametrize("columns", ["association", "salt, leaf", "association, salt, leaf"])
def test_parts_of_two_rows_are_swapped(columns: str, trail: Trail) -> None:
    swap(trail, columns)
    assert found(trail.verify())[:2] == [(Fault.ALTERED, 17, 17), (Fault.ALTERED, 18, 18)]


def rewrite(trail: Trail, number: int, *, tree: bool = False) -> None:
    """What somebody does who knows how leaves are made, but has no key."""
    with closing(sqlite3.connect(trail.store)) as store:
        store.execute("UPDATE records SET association = 'forged' WHERE sequence = ?", (number,))
        columns = ", ".join(f'"{name}"' for name in FIELDS)
        row = store.execute(f"SELECT {columns} FROM records WHERE sequence = ?", (number,)).fetchone()
        salt = salted(os.urandom(16))
        leaf = salted_leaf(salt, canonical_text(number, row))
        store.execute("UPDATE records SET salt = ?, leaf = ? WHERE sequence = ?", (salt, leaf, number))
        if tree:
            leaves = [row[0] for row in store.execute("SELECT leaf FROM records ORDER BY sequence")]
            store.execute("UPDATE tree SET nodes = ?", (Frontier().extended(leaves).to_bytes(),))
        store.commit()


def cut_to(trail: Trail, size: int) -> None:
    with closing(sqlite3.connect(trail.store)) as store:
        store.execute("DELETE FROM records WHERE sequence > ?", (size,))
        leaves = [row[0] for row in store.execute("SELECT leaf FROM records ORDER BY sequence")]
        store.execute("UPDATE tree SET size = ?, nodes = ?", (size, Frontier().extended(leaves).to_bytes()))
        store.commit()


@pytest.mark.parametrize("tree", [False, True])
def test_a_record_is_rewritten_with_its_leaf(tree: bool, trail: Trail) -> None:
    rewrite(trail, 33, tree=tree)
    verification = trail.verify()
    assert found(verification) == [(Fault.REWRITTEN, 21, 40)], "between the checkpoints that it lies between"
    assert verification.signed == 20
    assert verification.remarks == ["1 later checkpoints do not fit either, as must be"]


def test_it_is_rewritten_and_the_checkpoints_in_the_store_are_gone(trail: Trail) -> None:
    rewrite(trail, 33, tree=True)
    trail.execute("DELETE FROM checkpoints WHERE size > 20")
    assert (Fault.REWRITTEN, 21, 40) in found(trail.verify())
    assert (Fault.CHECKPOINT, None, None) in found(trail.verify())


def test_records_behind_the_last_checkpoint_are_guarded_by_the_tree_only(trail: Trail) -> None:
    late = [Record(1.0, Event.OPERATION, Outcome.SUCCESS, association=f"late {number}") for number in range(3)]
    append_at_once(open_store("sqlite:///gate.db", trail.folder), late)
    verification = trail.verify()
    assert verification.holds
    assert verification.remarks == [
        "records 51 to 53 are not under a checkpoint yet: only their leaf hashes vouch for them"
    ]
    rewrite(trail, 52)
    assert found(trail.verify()) == [(Fault.REWRITTEN, 51, 53)]


def test_records_of_another_hand(trail: Trail) -> None:
    trail.execute("INSERT INTO records (sequence, time, event, outcome) VALUES (60, 1, 'operation', 'success')")
    assert found(trail.verify()) == [(Fault.ADDED, 60, 60)]


def test_an_old_store_is_put_back(written: Trail, tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    trail.write(names(30))
    old = trail.store.read_bytes()
    trail.write(names(30, 31))
    assert trail.verify().holds
    trail.store.write_bytes(old)
    assert found(trail.verify()) == [(Fault.CUT_OFF, 31, 60)]
    kept_elsewhere = tmp_path / "one note that came by mail"
    kept_elsewhere.write_text("\n".join(trail.checkpoints.read_text("utf-8").split("\n")[-7:-1]) + "\n")
    assert found(trail.verify(own=False, files=[kept_elsewhere])) == [(Fault.CUT_OFF, 31, 60)], "one is enough"


def test_an_old_store_is_put_back_and_used_again(tmp_path: Path) -> None:
    trail = Trail(tmp_path)
    trail.write(names(30))
    old = trail.store.read_bytes()
    trail.write(names(10, 31))
    trail.store.write_bytes(old)
    trail.write(names(10, 131))
    trail.write(names(10, 141))
    verification = trail.verify()
    assert (Fault.REWRITTEN, 1, 40) in found(verification), "the key has signed two histories"


# -- the checkpoint file ------------------------------------------------------------------------------------------


def edit(trail: Trail, old: str, new: str) -> None:
    text = trail.checkpoints.read_text("utf-8")
    assert old in text
    trail.checkpoints.write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize(("old", "new"), [("\n40\n", "\n39\n"), ("north\n20", "south\n20"), ("—", "--"), ("=\n", "\n")])
def test_the_checkpoint_file_is_edited(old: str, new: str, trail: Trail) -> None:
    edit(trail, old, new)
    assert Fault.CHECKPOINT in {fault for fault, _, _ in found(trail.verify())}


def test_a_checkpoint_is_taken_out_of_the_middle(trail: Trail) -> None:
    parts = trail.checkpoints.read_text("utf-8").split("\n\n")
    trail.checkpoints.write_text("\n\n".join(parts[:2] + parts[4:]), "utf-8")
    verification = trail.verify()
    assert [finding.text for finding in verification.findings] == [
        "the checkpoint of 40 records is missing in gate.checkpoints"
    ]


def test_the_checkpoint_file_is_cut(trail: Trail) -> None:
    parts = trail.checkpoints.read_text("utf-8").split("\n\n")
    trail.checkpoints.write_text("\n\n".join(parts[:2]) + "\n\n", "utf-8")
    assert [finding.fault for finding in trail.verify().findings] == [Fault.CHECKPOINT] * 2
    trail.checkpoints.write_text("", "utf-8")
    assert len(trail.verify().findings) == 3


def test_a_checkpoint_is_taken_out_of_the_store(trail: Trail) -> None:
    trail.execute("DELETE FROM checkpoints WHERE size = 40")
    assert [finding.text for finding in trail.verify().findings] == [
        "the checkpoint of 40 records is missing in the store"
    ]


def test_a_checkpoint_in_the_store_is_edited(trail: Trail) -> None:
    trail.execute("UPDATE checkpoints SET note = replace(note, '40', '41') WHERE size = 40")
    assert found(trail.verify())[0][0] is Fault.CHECKPOINT


def test_checkpoints_of_another_key_prove_nothing(trail: Trail, tmp_path: Path) -> None:
    other = signer(tmp_path / "other", "north")
    public_path(trail.key).write_text(f"{other.key}\n")
    verification = trail.verify()
    assert not verification.holds
    assert verification.signed == 0
    assert public_key(public_path(trail.key)) == other.key


def test_the_newest_may_be_missing_in_the_file_after_a_kill(trail: Trail) -> None:
    text = trail.checkpoints.read_text("utf-8")
    whole = text.rindex("north\n50")
    trail.checkpoints.write_text(text[: whole + 20], "utf-8")
    verification = trail.verify()
    assert verification.holds
    assert len(verification.remarks) == 2
    trail.write(["next"])
    assert trail.verify().holds, "the gate mends it"
    assert trail.verify().remarks == []


# -- bytes --------------------------------------------------------------------------------------------------------


def content(store: Path) -> object:
    """All that anybody can read from the records, by whatever way SQLite takes."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro&immutable=1", uri=True)) as connection:
        connection.text_factory = bytes
        return [
            connection.execute(f"SELECT * FROM records {how}").fetchall()
            for how in (
                "NOT INDEXED ORDER BY sequence",
                "WHERE time > 0 ORDER BY time, sequence",
                "WHERE association IS NOT NULL ORDER BY association",
            )
        ]


def test_a_flipped_byte_is_found_or_changes_nothing(trail: Trail) -> None:
    original = trail.store.read_bytes()
    before = content(trail.store)
    chance = random.Random(2)
    harmless = 0
    for _ in range(250):
        changed = bytearray(original)
        at = chance.randrange(len(changed))
        changed[at] ^= 1 << chance.randrange(8)
        trail.store.write_bytes(changed)
        try:
            holds = trail.verify().holds
        except StoreError:
            continue
        if holds:
            harmless += 1
            assert content(trail.store) == before, f"byte {at}"
    assert harmless < 250


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_cut_file_is_found(share: float, trail: Trail) -> None:
    whole = trail.store.read_bytes()
    trail.store.write_bytes(whole[: int(len(whole) * share)])
    with suppress(StoreError):  # so little is left that it does not open
        assert not trail.verify().holds


def test_no_finding_repeats_what_a_record_says(trail: Trail) -> None:
    trail.execute("UPDATE records SET reason = CAST(x'ff41424344' AS TEXT) WHERE sequence = 3")
    assert "ABCD" not in str(trail.verify())


def test_a_wholly_rewritten_store_does_not_fill_the_memory(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomgate.store.verification._MOST_FAULTS", 10)
    trail.execute("UPDATE records SET reason = 'another'")
    verification = trail.verify()
    assert len(verification.findings) == 10
    assert verification.more_findings == RECORDS - 10
