"""Secrets are made once, in files that nobody else reads, and renewed in two steps."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from dicomgate.channel import keys
from dicomgate.channel.problem import ChannelError


def test_a_public_key_is_that_of_rfc_7748() -> None:
    """Section 5.2: the scalar 9 times the base point, after one iteration."""
    private = (9).to_bytes(32, "little")
    public = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert base64.b64decode(keys.public_key(base64.b64encode(private).decode())).hex() == public
    with pytest.raises(ChannelError, match="32 bytes"):
        keys.public_key("aGFsbG8=")
    with pytest.raises(ChannelError):
        keys.public_key("no base64!")


def test_a_secret_is_made_once_with_mode_0600(tmp_path: Path) -> None:
    path = tmp_path / "wg.key"
    os.umask(0)
    try:
        first, made = keys.ensure(path, keys.new_private_key)
    finally:
        os.umask(0o022)
    assert made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.ensure(path, keys.new_private_key) == (first, False)


def test_what_others_can_read_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "psk"
    keys.ensure(path, keys.new_shared_secret)
    path.chmod(0o640)
    with pytest.raises(ChannelError, match="owner alone"):
        keys.read_secret(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff\xfe", b"x" * 5000])
def test_what_is_no_line_is_no_secret(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "psk"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ChannelError, match="one line"):
        keys.read_secret(path)


def test_no_file_no_folder_no_device(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="no such file"):
        keys.read_secret(tmp_path / "psk")
    with pytest.raises(ChannelError, match="cannot be written"):
        keys.ensure(tmp_path / "nowhere" / "psk", keys.new_shared_secret)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ChannelError, match="owner alone"):
        keys.read_secret(tmp_path / "pipe")


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "psk").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChannelError):
        keys.ensure(tmp_path / "psk", keys.new_shared_secret)
    assert not (tmp_path / "elsewhere").exists()


def test_renewal_has_two_steps(tmp_path: Path) -> None:
    path = tmp_path / "wg.key"
    old, _ = keys.ensure(path, keys.new_private_key)
    coming = keys.prepare(path, keys.new_private_key)
    assert coming != old
    assert keys.prepare(path, keys.new_private_key) == coming
    assert keys.read_secret(path) == old
    assert keys.activate(path) == coming
    assert keys.read_secret(path) == coming
    with pytest.raises(ChannelError, match="no such file"):
        keys.activate(path)
