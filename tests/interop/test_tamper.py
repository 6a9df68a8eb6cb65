"""An attacker alters an image that is stored already: the archive keeps the original, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from interop.conftest import require
from lab import dcmtk, orthanc, studies
from lab.gate import Gate, running_gate
from lab.process import wait_until
from lab.studies import Instance

pytestmark = [pytest.mark.interop, pytest.mark.system]
LARGE = 500_000_000
RULES = """
[gate]
name = "door"
state = "sqlite:///gate.db"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"
tamper = "{tamper}"

[[peer]]
name = "ct"
ae_titles = ["CT1", "INTRUDER"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["echo", "store"]

[[peer]]
name = "quality"
ae_titles = ["QUALITY"]
networks = ["127.0.0.1"]
assurance = "address"
may = ["store"]
corrections = true
"""


@dataclass(frozen=True)
class Scene:
    gate: Gate
    archive: orthanc.Orthanc

    def store(self, image: Instance, calling: str = "CT1") -> dcmtk.Outcome:
        return dcmtk.storescu(self.gate.address("outside"), calling, "ARCHIVE", [image.path], "-R")

    def kept(self, image: Instance) -> bytes:
        """The archive's own file."""
        (found,) = self.archive.find("Instance", SOPInstanceUID=image.sop_instance_uid)
        return studies.data_set_of(self._file(found, image))

    def _file(self, found: str, image: Instance) -> Path:
        path = image.path.with_suffix(".kept")
        path.write_bytes(self.archive.get_bytes(f"/instances/{found}/file"))
        return path

    def alarms(self) -> list[tuple[object, ...]]:
        records = self.gate.records(event="instance_changed")
        return [(r["outcome"], r["calling_ae_title"], r["rule"], r["status"]) for r in records]


@contextmanager
def scene(folder: Path, tamper: str = "refuse") -> Iterator[Scene]:
    for component in ("dcmtk", "orthanc"):
        require(component)
    with (
        orthanc.orthanc(folder / "orthanc", "ARCHIVE", overwrites=True) as archive,
        running_gate(folder / "gate", RULES.format(archive=archive.address, tamper=tamper)) as gate,
    ):
        yield Scene(gate, archive)


@pytest.fixture
def image(tmp_path: Path) -> Instance:
    return studies.study(tmp_path / "images", "tamper", 1)[0]


def altered(image: Instance) -> Instance:
    """The same instance with some of its pixels changed."""
    content = bytearray(image.path.read_bytes())
    content[-64:] = bytes(byte ^ 0xFF for byte in content[-64:])
    path = image.path.with_name("altered.dcm")
    path.write_bytes(content)
    return Instance("altered", path, *(getattr(image, name) for name in list(Instance.__slots__)[2:]))


def test_without_the_alarm_the_archive_is_overwritten(tmp_path: Path, image: Instance) -> None:
    """The attack works: otherwise the tests below would show nothing."""
    with scene(tmp_path, "off") as made:
        assert made.store(image).ok
        assert made.store(altered(image), "INTRUDER").ok
        assert made.kept(image) == altered(image).data_set()
        assert made.alarms() == []


def test_an_altered_image_is_refused_and_the_original_stays(tmp_path: Path, image: Instance) -> None:
    with scene(tmp_path) as made:
        assert made.store(image).ok
        done = made.store(altered(image), "INTRUDER")
        assert not done.ok
        assert "0x124" in done.output, done.output
        assert made.kept(image) == image.data_set()
        assert made.alarms() == [("refused", "INTRUDER", "archive[main].tamper", "0124")]
        # The true image again, as a modality sends it that missed the answer: nothing is wrong with that.
        assert made.store(image).ok
        assert made.kept(image) == image.data_set()
        record = made.gate.await_record(event="operation", calling_ae_title="CT1")
        assert record["detail"]["sha256"] == hashlib.sha256(image.data_set()).hexdigest()
        assert record["detail"]["content"] == "same"


def test_alert_lets_it_pass_and_says_so_each_time(tmp_path: Path, image: Instance) -> None:
    with scene(tmp_path, "alert") as made:
        assert made.store(image).ok
        for _ in range(2):
            assert made.store(altered(image), "INTRUDER").ok
        assert made.kept(image) == altered(image).data_set()
        assert made.alarms() == [("would_refuse", "INTRUDER", "archive[main].tamper", None)] * 2


def test_a_correction_passes_and_is_what_counts_from_then_on(tmp_path: Path, image: Instance) -> None:
    with scene(tmp_path) as made:
        assert made.store(image).ok
        assert made.store(altered(image), "QUALITY").ok
        assert made.kept(image) == altered(image).data_set()
        made.gate.await_record(event="operation", calling_ae_title="QUALITY")
        assert not made.store(image).ok, "putting the old version back is a change as well"
        assert made.kept(image) == altered(image).data_set()
        assert [alarm[0] for alarm in made.alarms()] == ["success", "refused"]


def test_what_was_stored_is_known_after_a_restart(tmp_path: Path, image: Instance) -> None:
    require("dcmtk")
    with dcmtk.storescp(tmp_path / "archive", "ARCHIVE", unique_names=True) as archive:
        rules = RULES.format(archive=archive.address, tamper="refuse")
        for round_ in range(3):
            with running_gate(tmp_path / "gate", rules) as gate:
                to = gate.address("outside")
                if round_ == 0:
                    assert dcmtk.storescu(to, "CT1", "ARCHIVE", [image.path], "-R").ok
                    original = fingerprint(archive.directory)
                    gate.await_record(event="operation", sop_instance_uid=image.sop_instance_uid)
                    gate.kill()
                    continue
                assert not dcmtk.storescu(to, "INTRUDER", "ARCHIVE", [altered(image).path], "-R").ok
                cleared = partial(has_only, archive.directory, original)
                wait_until(cleared, 10, "the end of the cut-off file")
                assert gate.stop() == 0


def has_only(folder: Path, files: dict[str, str]) -> bool:
    return fingerprint(folder) == files


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file of the archive, also while it removes one."""
    found = {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_500_megabytes_are_digested_in_bounded_memory(tmp_path: Path) -> None:
    require("dcmtk")
    large = studies.large_multiframe(tmp_path / "large.dcm", "tamper", LARGE)
    digest = studies.data_set_digest(large.path)
    with (
        dcmtk.storescp(tmp_path / "archive", "ARCHIVE") as archive,
        running_gate(tmp_path / "gate", RULES.format(archive=archive.address, tamper="refuse")) as gate,
    ):
        to = gate.address("outside")
        assert dcmtk.storescu(to, "CT1", "ARCHIVE", [large.path], "-xe", "-R", seconds=300).ok
        record = gate.await_record(event="operation", sop_instance_uid=large.sop_instance_uid)
        assert (record["bytes"], record["detail"]["sha256"]) == digest
        received = studies.files_by_sop_instance(archive.directory, [large.sop_instance_uid])[large.sop_instance_uid]
        assert studies.data_set_digest(received) == digest
        before = resident(gate)
        tail(large.path)
        assert not dcmtk.storescu(to, "INTRUDER", "ARCHIVE", [large.path], "-xe", "-R", seconds=300).ok
        assert resident(gate) - before < 32 * 1024 * 1024
        assert gate.records(event="instance_changed")[0]["bytes"] == digest[0]


def tail(path: Path) -> None:
    """Change the very last byte."""
    with path.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes((last[0] ^ 1,)))


def resident(gate: Gate) -> int:
    """The most memory the gate has had so far, in bytes."""
    text = Path(f"/proc/{gate.process.popen.pid}/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.mark.parametrize("hold", ["fragment", "object"])
def test_an_archive_that_writes_over_its_copy_keeps_the_original_if_it_hears_of_nothing(
    tmp_path: Path, image: Instance, hold: str
) -> None:
    """DCMTK's storescp writes into the file it has: cut off, the original is lost. So it must not hear of the store."""
    require("dcmtk")
    with dcmtk.storescp(tmp_path / "archive", "ARCHIVE") as archive:
        rules = RULES.format(archive=archive.address, tamper=f'refuse"\ntamper_hold = "{hold}')
        with running_gate(tmp_path / "gate", rules) as gate:
            to = gate.address("outside")
            large = studies.large_multiframe(tmp_path / "large.dcm", "whole", 5_000_000)
            assert dcmtk.storescu(to, "CT1", "ARCHIVE", [image.path, large.path], "-xe", "-R").ok
            gate.await_record(event="operation", sop_instance_uid=large.sop_instance_uid)
            original = fingerprint(archive.directory)
            assert len(original) == 2
            tail(large.path)
            done = dcmtk.storescu(to, "INTRUDER", "ARCHIVE", [altered(image).path, large.path], "-xe", "-R", "-nh")
            assert done.output.count("0x124") == (2 if hold == "object" else 1), done.output
            gate.await_record(event="instance_changed", sop_instance_uid=image.sop_instance_uid)
            if hold == "object":
                gate.await_record(event="instance_changed", sop_instance_uid=large.sop_instance_uid)
                assert fingerprint(archive.directory) == original
                ended = gate.await_record(event="association_ended", calling_ae_title="INTRUDER")
                assert ended["detail"]["ended_by"] != "gate", "both are refused within one association"
            else:
                wait_until(lambda: fingerprint(archive.directory) != original, 10, "the loss, or this shows nothing")
