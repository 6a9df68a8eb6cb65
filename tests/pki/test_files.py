"""Files that keep secrets and one change at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dicomgate.pki import commands, files
from dicomgate.pki.problem import PkiError
from pki.scene import NOW, Site, secret, site


def test_secrets_are_for_the_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        it = site(tmp_path / "pki")
        it.issue(p12=secret(tmp_path / "pw", "correct horse battery"))
    finally:
        os.umask(before)
    for path in it.folder.rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_symlink():
            continue
        if path.is_dir():
            assert mode == 0o700, path
        elif path.name.endswith((".key.pem", ".p12")) or path.name in ("key.pem", "lock"):
            assert mode == 0o600, path
        else:
            assert mode == 0o644, path
            assert b"PRIVATE" not in path.read_bytes(), path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_read_is_not_used(north: Site, mode: int) -> None:
    (north.folder / "issuing.key.pem").chmod(mode)
    with pytest.raises(PkiError, match=rf"others can read or change this secret \(mode {mode:04o}\)"):
        north.issue()
    assert north.load().issued == ()


def test_a_folder_that_others_can_change_is_not_used(north: Site) -> None:
    north.folder.chmod(0o770)
    with pytest.raises(PkiError, match="others can write into it"):
        north.issue()


def test_a_folder_that_others_can_look_into_is_told(north: Site) -> None:
    north.folder.chmod(0o755)
    assert any("others can look into it" in note for note in north.issue().notes)


def test_one_change_at_a_time(north: Site) -> None:
    with files.locked(north.folder), pytest.raises(PkiError, match="another dicomgate pki is changing"):
        north.issue()
    north.issue()


def test_reading_needs_no_lock(north: Site) -> None:
    with files.locked(north.folder):
        assert commands.listing(north.folder, now=NOW).lines


def test_a_folder_that_is_no_authority_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match=r"root\.pem: does not exist"):
        Site(tmp_path).issue()
    assert list(tmp_path.iterdir()) == []


def test_a_named_pipe_is_no_key(north: Site) -> None:
    path = north.folder / "issuing.key.pem"
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(PkiError, match="expected a file"):
        north.issue()


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(files.LARGEST_FILE + 1)
    with pytest.raises(PkiError, match="expected at most"):
        files.read(path)


def test_a_link_beside_the_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ("key" + files.UNFINISHED)).symlink_to(victim)
    with pytest.raises(PkiError):
        files.write(tmp_path / "key", b"data", files.PRIVATE)
    assert victim.read_bytes() == b"precious"


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        done.append("name")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    files.write(tmp_path / "file", b"data", files.PUBLIC)
    assert done == ["file", "name", "folder"]
