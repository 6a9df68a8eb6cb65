"""Secrets are made once, in files that nobody else reads, and renewed in two steps."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from dicomgate.channel import keys
from dicomgate.channel.problem import ChannelError

KEY = "channel[cloud].psk_file"


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
        first, made = keys.ensure(path, KEY, keys.new_private_key)
    finally:
        os.umask(0o022)
    assert made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keys.ensure(path, KEY, keys.new_private_key) == (first, False)


def test_what_others_can_read_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "psk"
    keys.ensure(path, KEY, keys.new_shared_secret)
    path.chmod(0o640)
    with pytest.raises(
        ChannelError,
        match=r"channel\[cloud\]\.psk_file: .*psk: others can read or change this secret \(mode 0640\)\n  hint: chmod",
    ):
        keys.read_secret(path, KEY)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602, 0o660, 0o610])
def test_a_private_key_too(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----")
    path.chmod(mode)
    with pytest.raises(ChannelError, match="others can"):
        keys.read_private(path, "channel[cloud].ends.key")
    path.chmod(0o400)
    assert keys.read_private(path, "channel[cloud].ends.key").startswith(b"-----BEGIN")


def test_who_vouches_is_not_for_others_to_choose(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(b"certificate")
    path.chmod(0o644)
    assert keys.read_trusted(path, "channel[cloud].ca") == b"certificate"
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(ChannelError, match=r"channel\[cloud\]\.ca: .*others can change"):
            keys.read_trusted(path, "channel[cloud].ca")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_file_of_another_user_is_no_secret_of_ours_nor_is_one_that_he_links_to(tmp_path: Path) -> None:
    ours, theirs, link = tmp_path / "ours", tmp_path / "theirs", tmp_path / "link"
    for path in (ours, theirs):
        path.write_text("secret")
        path.chmod(0o600)
    os.chown(theirs, 4242, 4242)
    with pytest.raises(ChannelError, match=r"belongs to another user \(uid 4242\)"):
        keys.read_secret(theirs, KEY)
    link.symlink_to(ours)
    assert keys.read_secret(link, KEY) == "secret"  # as secrets are mounted into containers
    os.lchown(link, 4242, 4242)
    with pytest.raises(ChannelError, match=r"link that another user has set \(uid 4242\)"):
        keys.read_secret(link, KEY)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff\xfe", b"\x1b[2J"])
def test_what_is_no_line_is_no_secret(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "psk"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ChannelError, match="one line"):
        keys.read_secret(path, KEY)


def test_a_device_or_a_heap_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "psk"
    path.write_bytes(b"x" * 5000)
    path.chmod(0o600)
    with pytest.raises(ChannelError, match="at most 4096 bytes"):
        keys.read_secret(path, KEY)


def test_no_file_no_folder_no_device(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="no such file"):
        keys.read_secret(tmp_path / "psk", KEY)
    with pytest.raises(ChannelError, match="cannot be written"):
        keys.ensure(tmp_path / "nowhere" / "psk", KEY, keys.new_shared_secret)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ChannelError, match="expected a file"):
        keys.read_secret(tmp_path / "pipe", KEY)


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "psk").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChannelError):
        keys.ensure(tmp_path / "psk", KEY, keys.new_shared_secret)
    assert not (tmp_path / "elsewhere").exists()


def test_renewal_has_two_steps(tmp_path: Path) -> None:
    path = tmp_path / "wg.key"
    old, _ = keys.ensure(path, KEY, keys.new_private_key)
    coming = keys.prepare(path, KEY, keys.new_private_key)
    assert coming != old
    assert keys.prepare(path, KEY, keys.new_private_key) == coming
    assert keys.read_secret(path, KEY) == old
    assert keys.activate(path, KEY) == coming
    assert keys.read_secret(path, KEY) == coming
    with pytest.raises(ChannelError, match="no such file"):
        keys.activate(path, KEY)
