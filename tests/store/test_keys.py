"""Keys beside the store: made once, for their owner only, read back the same, destroyed for good."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomgate.audit.pseudonym import Identifier
from dicomgate.store.database import StoreError
from dicomgate.store.keys import (
    pseudonym_key,
    public_key,
    public_path,
    rotate_pseudonym_key,
    signer,
    verify_ed25519,
)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_signing_key_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "gate.signing-key"
    made = signer(path, "north")
    again = signer(path, "another name")
    assert again.key == made.key == public_key(public_path(path))
    assert made.key.name == "north", "a log keeps its name"
    assert verify_ed25519(made.key.key, again.sign(b"message"), b"message")
    assert not verify_ed25519(made.key.key, again.sign(b"message"), b"another")
    assert not verify_ed25519(b"short", again.sign(b"message"), b"message")
    assert not verify_ed25519(made.key.key, b"short", b"message")
    assert (permissions(path), permissions(public_path(path))) == (0o600, 0o644)
    assert sorted(each.name for each in path.parent.iterdir()) == ["gate.signing-key", "gate.signing-key.pub"]
    assert path.read_text().startswith("PRIVATE+KEY+north+")


MAKERS: list[Callable[[Path], object]] = [lambda path: signer(path, "north"), pseudonym_key]


@pytest.mark.parametrize("make", MAKERS)
def test_secrets_that_others_may_read_are_refused(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "key"
    make(path)
    path.chmod(0o640)
    with pytest.raises(StoreError, match=r"others can read or change this secret \(mode 0640\)"):
        make(path)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"PRIVATE+KEY+north+00000000+AQID", b"PRIVATE+KEY+a+b+!", b"ab", b"x" * 9999]
)
def test_what_is_no_key_is_refused_and_not_repeated(
    make: Callable[[Path], object], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=r"key: expected a (signing|pseudonym) key\nhint: restore it") as refused:
        make(path)
    assert "PRIVATE" not in str(refused.value)
    assert path.read_bytes() == content, "never overwritten: old checkpoints need it"


def test_a_key_whose_id_is_another_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = signer(path, "north")
    path.write_text(path.read_text().replace(made.key.id.hex(), "00000000"))
    with pytest.raises(StoreError, match="expected a signing key"):
        signer(path, "north")


@pytest.mark.parametrize("make", MAKERS)
def test_a_folder_or_a_pipe_is_refused(make: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(StoreError, match="expected a file"):
        make(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder"):
        make(tmp_path / "folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        make(tmp_path / "file" / "key")


def test_public_keys_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no public key here"):
        public_key(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff" * 100)
    with pytest.raises(StoreError, match="expected a public key in text"):
        public_key(tmp_path / "binary")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(StoreError, match="expected"):
        public_key(tmp_path / "text")


def test_rotation_destroys_the_old_key_where_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "gate.pseudonym-key"
    old = pseudonym_key(path)
    assert pseudonym_key(path) == old
    assert permissions(path) == 0o600
    os.link(path, tmp_path / "the old blocks")
    before, after = rotate_pseudonym_key(path)
    assert before == old
    assert after == pseudonym_key(path) != old
    assert after.pseudonym(Identifier.PATIENT_ID, "1") != old.pseudonym(Identifier.PATIENT_ID, "1")
    assert (tmp_path / "the old blocks").read_bytes() == bytes(64) + b"\n"
    (tmp_path / "none yet").unlink(missing_ok=True)
    assert rotate_pseudonym_key(tmp_path / "none yet")[0] is None
