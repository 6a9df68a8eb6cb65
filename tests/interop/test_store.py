"""C-STORE of several SOP classes and transfer syntaxes arrives byte for byte."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from lab import dcmtk, studies
from lab.hospital import Hospital, Title, same_data_sets
from lab.pynetdicom_clients import association
from lab.studies import KINDS, Instance, Kind

pytestmark = [pytest.mark.interop, pytest.mark.system]
LARGE = 500_000_000
PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.5": "-xr",
}
"""Transfer syntax → storescu's option that proposes it."""


def every_kind(folder: Path, study: str) -> dict[str, Instance]:
    made = [studies.instance(folder, kind, study) for kind in KINDS]
    return {item.sop_instance_uid: item for item in made}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_storescu_to_storescp(lab: Hospital, tmp_path: Path, kind: Kind) -> None:
    sent = studies.instance(tmp_path, kind, f"storescu-storescp-{lab.route}")
    option = PROPOSE[kind.transfer_syntax_uid]
    done = dcmtk.storescu(lab.to("STORESCP"), Title.MODALITY, "STORESCP", [sent.path], option, "-R")
    assert done.ok, done.output
    assert same_data_sets({sent.sop_instance_uid: sent}, lab.files.directory) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_storescu_to_orthanc(lab: Hospital, tmp_path: Path, kind: Kind) -> None:
    sent = studies.instance(tmp_path, kind, f"storescu-orthanc-{lab.route}")
    option = PROPOSE[kind.transfer_syntax_uid]
    done = dcmtk.storescu(lab.to("ORTHANC"), Title.MODALITY, "ORTHANC", [sent.path], option, "-R")
    assert done.ok, done.output
    kept = tmp_path / "kept.dcm"
    kept.write_bytes(lab.orthanc.get_bytes(f"/instances/{stored_in_orthanc(lab, sent)}/file"))
    assert comparable(kept, kind) == comparable(sent.path, kind)


def test_storescu_sends_many_in_one_association(lab: Hospital, tmp_path: Path) -> None:
    # Without -R storescu proposes all contexts it has, close to the 128 that fit into one A-ASSOCIATE-RQ.
    sent = {
        item.sop_instance_uid: item for item in studies.study(tmp_path, f"many-{lab.route}", 12, kinds=studies.EXPLICIT)
    }
    paths = [item.path for item in sent.values()]
    done = dcmtk.storescu(lab.to("STORESCP"), Title.MODALITY, "STORESCP", paths)
    assert done.ok, done.output
    assert done.output.count("Received Store Response (Success)") == len(sent)
    assert same_data_sets(sent, lab.files.directory) == []


def test_pynetdicom_to_storescp(lab: Hospital, tmp_path: Path) -> None:
    sent = every_kind(tmp_path, f"pynetdicom-storescp-{lab.route}")
    store_all(lab, "STORESCP", sent)
    assert same_data_sets(sent, lab.files.directory) == []


def test_pynetdicom_to_dcmqrscp(lab: Hospital, tmp_path: Path) -> None:
    sent = every_kind(tmp_path, f"pynetdicom-dcmqrscp-{lab.route}")
    # Of the compressed syntaxes dcmqrscp takes the one it was started with.
    taken = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless)
    sent = {uid: item for uid, item in sent.items() if item.transfer_syntax_uid in taken}
    store_all(lab, "QRSCP", sent)
    assert same_data_sets(sent, lab.archive.directory) == []


def test_pynetdicom_to_pynetdicom(lab: Hospital, tmp_path: Path) -> None:
    sent = every_kind(tmp_path, f"pynetdicom-pynetdicom-{lab.route}")
    store_all(lab, "NOTEBOOK", sent)
    for uid, item in sent.items():
        received = lab.notebook.received[uid]
        assert received.sop_class_uid == item.sop_class_uid
        assert received.transfer_syntax_uid == item.transfer_syntax_uid
        assert received.data_set == item.data_set(), item.name


def test_500_megabytes_from_storescu_to_storescp(lab: Hospital, tmp_path: Path) -> None:
    sent = studies.large_multiframe(tmp_path / "large.dcm", f"large-{lab.route}", LARGE)
    digest = studies.data_set_digest(sent.path)
    assert digest[0] > LARGE
    done = dcmtk.storescu(lab.to("STORESCP"), Title.MODALITY, "STORESCP", [sent.path], "-xe", "-R", seconds=300)
    assert done.ok, done.output
    sent.path.unlink()
    received = studies.files_by_sop_instance(lab.files.directory, [sent.sop_instance_uid])[sent.sop_instance_uid]
    assert studies.data_set_digest(received) == digest
    received.unlink()
    if lab.gate:
        record = lab.gate.await_record(event="operation", sop_instance_uid=sent.sop_instance_uid)
        assert (record["verb"], record["status"], record["bytes"]) == ("store", "0000", digest[0])


def store_all(lab: Hospital, archive: str, sent: dict[str, Instance]) -> None:
    contexts = [(item.sop_class_uid, item.transfer_syntax_uid) for item in sent.values()]
    with association(lab.to(archive), Title.MODALITY, archive, contexts) as made:
        assert made.is_established
        for item in sent.values():
            assert made.send_c_store(item.path).Status == 0, item.name


def stored_in_orthanc(lab: Hospital, sent: Instance) -> str:
    found = lab.orthanc.find("Instance", SOPInstanceUID=sent.sop_instance_uid)
    assert len(found) == 1
    return found[0]


def comparable(path: Path, kind: Kind) -> bytes:
    """Orthanc deflates anew what it keeps, with another result for the same data set."""
    data_set = studies.data_set_of(path)
    if kind.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return zlib.decompress(data_set, -zlib.MAX_WBITS)
    return data_set
