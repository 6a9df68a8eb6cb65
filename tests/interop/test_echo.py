"""C-ECHO reaches every archive, from DCMTK and from pynetdicom."""

from __future__ import annotations

import pytest

from lab import dcmtk
from lab.hospital import Hospital, Title
from lab.pynetdicom_clients import association

pytestmark = [pytest.mark.interop, pytest.mark.system]
ARCHIVES = ["STORESCP", "QRSCP", "ORTHANC", "WORKLIST", "NOTEBOOK"]


@pytest.mark.parametrize("archive", ARCHIVES)
def test_echoscu(lab: Hospital, archive: str) -> None:
    done = dcmtk.echoscu(lab.to(archive), Title.MODALITY, archive)
    assert done.ok, done.output
    assert "Received Echo Response (Success)" in done.output


@pytest.mark.parametrize("archive", ARCHIVES)
def test_pynetdicom(lab: Hospital, archive: str) -> None:
    with association(lab.to(archive), Title.MODALITY, archive) as made:
        assert [made.send_c_echo().Status for _ in range(3)] == [0, 0, 0]


def test_the_archive_sees_the_titles_and_nothing_else_of_the_caller(lab: Hospital) -> None:
    with association(lab.to("NOTEBOOK"), Title.MODALITY, "NOTEBOOK") as made:
        assert made.send_c_echo().Status == 0
    seen = lab.notebook.associations[-1]
    assert (seen.calling_ae_title, seen.called_ae_title) == (Title.MODALITY, "NOTEBOOK")
    assert not seen.user_identity
