"""Real clients: pynetdicom as SCU, a storage SCP for images that come back, and a bare socket.

Where to go and under which names comes in; what the other side answered goes out. Nothing here knows the rules.
"""

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dicomgate.demo.answers import Aborted, Answer, Answered, Answers, Closed, ContextRefused, Rejected, Unexpected
from dicomgate.demo.archive import LOOPBACK, TRANSFER_SYNTAXES, shut_down
from dicomgate.demo.studies import SOP_CLASSES
from dicomgate.wire.codes import PduType, Rejection, Status

PATIENCE = 8.0
"""Seconds any client waits for one answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls whom: the TCP port on loopback, both AE titles, and the source address if it matters."""

    port: int
    calling_ae_title: str
    called_ae_title: str
    source_address: str | None = None


def echo(call: Call) -> Answers:
    """One C-ECHO."""
    with _association(call, [Verification]) as party:
        return party.refusal or (_status("C-ECHO", party.association.send_c_echo()),)


def store(call: Call, images: Iterable[Dataset]) -> Answers:
    """C-STORE each image on one association; equal answers are told once."""
    with _association(call, SOP_CLASSES) as party:
        if party.refusal:
            return party.refusal
        answers = [_status("C-STORE", party.association.send_c_store(image)) for image in images]
        return tuple(dict.fromkeys(answers))


def find(call: Call, patient_name: str) -> Answers:
    """C-FIND, Study Root at STUDY level, by patient name."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.PatientName = patient_name
    identifier.StudyInstanceUID = ""
    identifier.ModalitiesInStudy = ""
    model = StudyRootQueryRetrieveInformationModelFind
    with _association(call, [model]) as party:
        if party.refusal:
            return party.refusal
        *pending, final = party.association.send_c_find(identifier, model)
        return (_status("C-FIND", final[0], matches=len(pending)),)


def get(call: Call, study_instance_uid: str, originals: Mapping[str, Dataset]) -> Answers:
    """C-GET one study; `images` counts those that equal the `originals`, which are given by SOP Instance UID."""
    arrived: list[Dataset] = []
    model = StudyRootQueryRetrieveInformationModelGet
    with _association(call, [model, *SOP_CLASSES], scp_for=SOP_CLASSES, arrived=arrived) as party:
        if party.refusal:
            return party.refusal
        *_, final = party.association.send_c_get(_study_identifier(study_instance_uid), model)
        return (_status("C-GET", final[0], images=unchanged(arrived, originals)),)


def move(
    call: Call, study_instance_uid: str, destination: str, receiver: "Receiver", originals: Mapping[str, Dataset]
) -> Answers:
    """C-MOVE one study to `destination`; `images` counts what the `receiver` got unchanged meanwhile."""
    model = StudyRootQueryRetrieveInformationModelMove
    before = len(receiver.arrived)
    with _association(call, [model]) as party:
        if party.refusal:
            return party.refusal
        *_, final = party.association.send_c_move(_study_identifier(study_instance_uid), destination, model)
        return (_status("C-MOVE", final[0], images=unchanged(receiver.arrived[before:], originals)),)


def echo_and_propose_storage(call: Call) -> Answers:
    """Propose Verification and CT storage together, say what became of storage, and C-ECHO on what is left."""
    with _association(call, [Verification, SOP_CLASSES[0]]) as party:
        if party.refusal:
            return party.refusal
        return (*_contexts_refused(party.association), _status("C-ECHO", party.association.send_c_echo()))


def store_while_entitled_to_get(call: Call, image: Dataset) -> Answers:
    """Open storage contexts the way C-GET needs them, then send a C-STORE over one; finally C-ECHO.

    pynetdicom would not send it, since the role was not negotiated; a hostile client does not ask, so the check
    is switched off here.
    """
    model = StudyRootQueryRetrieveInformationModelGet
    with _association(call, [Verification, model, *SOP_CLASSES], scp_for=SOP_CLASSES) as party:
        if party.refusal:
            return party.refusal
        for context in party.association.accepted_contexts:
            context._as_scu = True
        return (
            _status("C-STORE", party.association.send_c_store(image)),
            _status("C-ECHO", party.association.send_c_echo()),
        )


def send_bytes(port: int, data: bytes, source_address: str = LOOPBACK) -> Answers:
    """Connect, send `data` and tell how it ended."""
    try:
        with socket.create_connection((LOOPBACK, port), PATIENCE, (source_address, 0)) as connection:
            connection.sendall(data)
            received = b""
            while len(received) < 10 and (more := connection.recv(4096)):
                received += more
    except ConnectionError:
        return (Closed(),)
    except TimeoutError:
        return (Unexpected(f"still open after {PATIENCE:.0f} s"),)
    if not received:
        return (Closed(),)
    if received[0] == PduType.ABORT and len(received) == 10:  # PS3.8 9.3.8: an A-ABORT is always 10 bytes
        return (Aborted(),)
    return (Unexpected(f"{len(received)} bytes came back, the first is {received[0]:02X}H"),)


def unchanged(arrived: Sequence[Dataset], originals: Mapping[str, Dataset]) -> int:
    """How many of the images that arrived equal their original, element by element."""
    return sum(image == originals.get(str(image.SOPInstanceUID)) for image in arrived)


class Receiver:
    """A reading station's own storage SCP on loopback: keeps what the archive sends it. A context manager."""

    def __init__(self, ae_title: str) -> None:
        self._arrived: list[Dataset] = []
        self._lock = Lock()
        self._server: Any = None
        self._ae = AE(ae_title=ae_title)
        for uid in SOP_CLASSES:
            self._ae.add_supported_context(uid, TRANSFER_SYNTAXES)

    @property
    def port(self) -> int:
        """The TCP port on loopback; RuntimeError before the receiver runs."""
        if self._server is None:
            raise RuntimeError("expected a running receiver, it has not been started")
        return int(self._server.socket.getsockname()[1])

    @property
    def arrived(self) -> tuple[Dataset, ...]:
        with self._lock:
            return tuple(self._arrived)

    def __enter__(self) -> "Receiver":
        self._server = self._ae.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shut_down(self._ae)

    def _store(self, event: Any) -> int:
        with self._lock:
            self._arrived.append(event.dataset)
        return Status.SUCCESS


@dataclass(frozen=True, slots=True)
class _Party:
    association: Any
    refusal: Answers
    """Empty when the association was established."""


@contextmanager
def _association(
    call: Call, sop_classes: Sequence[str], *, scp_for: Sequence[str] = (), arrived: list[Dataset] | None = None
) -> Iterator[_Party]:
    ended_by: list[Answer] = []

    def pdu_received(event: Any) -> None:
        # Asked of the PDU itself: when the rejection comes quickly, pynetdicom takes it for a lost connection.
        pdu = event.pdu
        if pdu.pdu_type == PduType.ASSOCIATE_RJ:
            ended_by.append(Rejected(Rejection(pdu.result, pdu.source, pdu.reason_diagnostic)))
        elif pdu.pdu_type == PduType.ABORT:
            ended_by.append(Aborted())

    def store_received(event: Any) -> int:
        if arrived is None:
            return Status.UNRECOGNIZED_OPERATION
        arrived.append(event.dataset)
        return Status.SUCCESS

    ae = AE(ae_title=call.calling_ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = PATIENCE
    association = ae.associate(
        LOOPBACK,
        call.port,
        contexts=[build_context(uid, TRANSFER_SYNTAXES) for uid in sop_classes],
        ae_title=call.called_ae_title,
        ext_neg=[build_role(uid, scp_role=True) for uid in scp_for],
        bind_address=(call.source_address, 0) if call.source_address else None,
        evt_handlers=[(evt.EVT_PDU_RECV, pdu_received), (evt.EVT_C_STORE, store_received)],
    )
    try:
        yield _Party(association, () if association.is_established else _refusal(association, ended_by))
    finally:
        if association.is_established:
            association.release()


def _refusal(association: Any, ended_by: Sequence[Answer]) -> Answers:
    # an A-ASSOCIATE-AC that accepts no context: pynetdicom aborts of its own accord
    return _contexts_refused(association) or tuple(ended_by[:1]) or (Closed(),)


def _contexts_refused(association: Any) -> Answers:
    return tuple(ContextRefused(cx.abstract_syntax.name, cx.result) for cx in association.rejected_contexts)


def _status(command: str, status: Dataset, matches: int | None = None, images: int | None = None) -> Answer:
    if "Status" not in status:  # pynetdicom's way to say that no valid response came
        return Unexpected(f"no answer to {command}")
    if status.Status != Status.SUCCESS:
        matches = images = None
    return Answered(command, status.Status, matches, images, str(status.get("ErrorComment", "")))


def _study_identifier(study_instance_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study_instance_uid
    return identifier
