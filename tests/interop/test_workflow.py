"""The messages around an examination: its performed procedure step, and the archive's word that it keeps it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep, StorageCommitmentPushModel

from lab.hospital import Hospital, Title
from lab.pynetdicom_clients import association, query
from lab.pynetdicom_peers import COMMITMENT_INSTANCE, DUPLICATE_INSTANCE, SUCCESS
from lab.studies import uid

pytestmark = [pytest.mark.interop, pytest.mark.system]
REPORT_SECONDS = 10.0
REQUEST_COMMITMENT = 1
"""Action type of storage commitment (PS3.4 table J.3-1)."""


def test_modality_performed_procedure_step(lab: Hospital) -> None:
    step = uid("mpps", lab.route)
    begun = query(None, PerformedProcedureStepStatus="IN PROGRESS", PerformedStationAETitle=Title.MODALITY)
    done = query(None, PerformedProcedureStepStatus="COMPLETED", PerformedProcedureStepEndTime="120000")
    with association(lab.to("NOTEBOOK"), Title.MODALITY, "NOTEBOOK", [ModalityPerformedProcedureStep]) as made:
        created, _ = made.send_n_create(begun, ModalityPerformedProcedureStep, step)
        again, _ = made.send_n_create(begun, ModalityPerformedProcedureStep, step)
        changed, _ = made.send_n_set(done, ModalityPerformedProcedureStep, step)
    assert (created.Status, again.Status, changed.Status) == (SUCCESS, DUPLICATE_INSTANCE, SUCCESS)
    assert lab.notebook.steps[step].PerformedProcedureStepStatus == "COMPLETED"
    assert lab.notebook.steps[step].PerformedStationAETitle == Title.MODALITY


def commitment_request(transaction: str) -> Any:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid(transaction, "object")
    request = Dataset()
    request.TransactionUID, request.ReferencedSOPSequence = transaction, [item]
    return request


def test_storage_commitment_reports_on_the_same_association(lab: Hospital) -> None:
    transaction = uid("commitment-same", lab.route)
    answers = len(lab.notebook.event_reports)
    reported = threading.Event()
    transactions: list[str] = []

    def report(event: Any) -> tuple[int, None]:
        transactions.append(str(event.event_information.TransactionUID))
        reported.set()
        return SUCCESS, None

    with association(
        lab.to("NOTEBOOK"),
        Title.MODALITY,
        "NOTEBOOK",
        [StorageCommitmentPushModel],
        handlers=[(evt.EVT_N_EVENT_REPORT, report)],
    ) as made:
        status, _ = made.send_n_action(
            commitment_request(transaction), REQUEST_COMMITMENT, StorageCommitmentPushModel, COMMITMENT_INSTANCE
        )
        assert status.Status == SUCCESS
        assert reported.wait(REPORT_SECONDS), "no N-EVENT-REPORT came"
        lab.notebook.wait_for(lambda peer: len(peer.event_reports) > answers, "an answer to its report")
    assert transactions == [transaction]
    assert lab.notebook.event_reports[-1] == SUCCESS


def test_storage_commitment_reports_on_a_new_association(lab: Hospital) -> None:
    transaction = uid("commitment-new", lab.route)
    answers = len(lab.notebook.event_reports)
    with association(lab.to("NOTEBOOK"), Title.COMMITTING, "NOTEBOOK", [StorageCommitmentPushModel]) as made:
        status, _ = made.send_n_action(
            commitment_request(transaction), REQUEST_COMMITMENT, StorageCommitmentPushModel, COMMITMENT_INSTANCE
        )
    assert status.Status == SUCCESS
    lab.notebook.wait_for(lambda peer: len(peer.event_reports) > answers, "an answer to its report")
    assert lab.notebook.event_reports[-1] == SUCCESS
    (report,) = lab.committing.operations("N-EVENT-REPORT")
    assert report.sop_instance_uid == COMMITMENT_INSTANCE
    assert transaction.encode() in report.data_set
    seen = lab.committing.associations[-1]
    assert (seen.calling_ae_title, seen.called_ae_title) == ("NOTEBOOK", Title.COMMITTING)
