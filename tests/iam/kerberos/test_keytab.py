"""Names in a keytab, as `check` reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.iam.kerberos import keytab
from dicomgate.iam.kerberos.keytab import principals_of


def counted(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def key(*name: str, realm: str = "CLINIC.EXAMPLE") -> bytes:
    words = counted(realm) + b"".join(map(counted, name))
    entry = struct.pack(">H", len(name)) + words + struct.pack(">IIBHH", 1, 0, 1, 18, 32) + bytes(32)
    return struct.pack(">i", len(entry)) + entry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keytab"


def test_every_name_once(file: Path) -> None:
    hole = struct.pack(">i", -10) + bytes(10)
    file.write_bytes(b"\x05\x02" + key("dicom", "gate") + hole + key("dicom", "gate") + key("müller", realm="X"))
    assert principals_of(file) == {"dicom/gate@CLINIC.EXAMPLE", "müller@X"}


def test_an_empty_keytab(file: Path) -> None:
    file.write_bytes(b"\x05\x02" + bytes(4))
    assert principals_of(file) == frozenset()


@pytest.mark.parametrize(
    "content", [b"", b"\x05\x01", b"-----BEGIN", b"\x05\x02\0", b"\x05\x02" + key("a")[:20], b"\x05\x02\0\0\0\x01\0"]
)
def test_another_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match="expected a keytab"):
        principals_of(file)


def test_a_huge_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keytab, "LARGEST", 100)
    file.write_bytes(b"\x05\x02" + key("a") * 10)
    with pytest.raises(ValueError, match="expected a keytab"):
        principals_of(file)


@given(content=st.binary(max_size=120))
def test_any_bytes_are_a_keytab_or_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.keytab"
    file.write_bytes(b"\x05\x02" + content)
    try:
        assert all("@" in name for name in principals_of(file))
    except ValueError:
        return
