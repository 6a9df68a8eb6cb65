"""A pynetdicom archive that does everything and notes everything. In: a title and its objects; out: what it saw.

It runs in threads of the test's own process. Its notes are the proof that nothing reached it: `connections` counts
TCP connections, `associations` holds each A-ASSOCIATE-RQ it was sent and each operation that came with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context, build_role, evt
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    UnifiedProcedureStepPull,
    Verification,
)

from lab.process import LOOPBACK, Address, wait_until
from lab.studies import Instance

SUCCESS, PENDING, CANCEL = 0x0000, 0xFF00, 0xFE00
DUPLICATE_INSTANCE, NO_SUCH_INSTANCE = 0x0111, 0x0112
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The well-known SOP instance of storage commitment (PS3.4 J.3.5)."""

QUERY_MODELS = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    ModalityWorklistInformationFind,
)
UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
ENDLESS = "ENDLESS"
"""A query for this PatientName has MANY matches, more than anyone waits for: it is there to be cancelled."""
MANY = 20_000


@dataclass(slots=True)
class Operation:
    """One DIMSE request that arrived. `data_set` is its bytes as they came."""

    command: str
    sop_class_uid: str
    sop_instance_uid: str | None = None
    transfer_syntax_uid: str | None = None
    data_set: bytes = field(default=b"", repr=False)
    move_originator: tuple[str, int] | None = None
    responses: int = 0
    cancelled: bool = False


@dataclass(slots=True)
class SeenAssociation:
    """One A-ASSOCIATE-RQ that arrived, what was done with it, and how it ended (`released`, `aborted`, or None)."""

    calling_ae_title: str
    called_ae_title: str
    source: Address
    proposed: dict[str, tuple[str, ...]]
    """Abstract syntax → the transfer syntaxes proposed for it, over all its contexts."""
    maximum_length: int
    user_identity: bool
    operations: list[Operation] = field(default_factory=list)
    end: str | None = None


@dataclass(slots=True)
class PynetdicomPeer:
    """The running peer and its notes."""

    ae_title: str
    address: Address
    connections: int = 0
    associations: list[SeenAssociation] = field(default_factory=list)
    received: dict[str, Operation] = field(default_factory=dict)
    """SOP instance UID → the C-STORE that brought it."""
    steps: dict[str, Any] = field(default_factory=dict)
    """MPPS instance UID → its attributes (Dataset)."""
    event_reports: list[int] = field(default_factory=list)
    """Status of each answer to an N-EVENT-REPORT this peer sent; -1 if there was no answer."""

    def operations(self, command: str | None = None) -> list[Operation]:
        """Every operation of every association, or those of one command such as `C-STORE`."""
        every = [operation for seen in self.associations for operation in seen.operations]
        return [operation for operation in every if command in (None, operation.command)]

    def wait_for(self, condition: Callable[[PynetdicomPeer], bool], what: str, seconds: float = 10.0) -> None:
        """Wait until the notes show something that reaches this peer on threads of its own."""
        wait_until(lambda: condition(self), seconds, f"{self.ae_title}: {what}")


@dataclass(frozen=True, slots=True)
class _Services:
    """The event handlers of one peer."""

    peer: PynetdicomPeer
    instances: tuple[Instance, ...]
    keys: tuple[Any, ...]
    worklist: tuple[Any, ...]
    destinations: Mapping[str, Address]
    report_to: Mapping[str, Address]

    def handlers(self) -> list[tuple[Any, Any]]:
        return [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_RELEASED, self._released),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, self._set),
            (evt.EVT_N_ACTION, self._action),
            (evt.EVT_N_EVENT_REPORT, self._event_report),
        ]

    def _connected(self, event: Any) -> None:
        self.peer.connections += 1

    def _requested(self, event: Any) -> None:
        request = event.assoc.requestor.primitive
        proposed: dict[str, tuple[str, ...]] = {}
        for context in request.presentation_context_definition_list:
            syntaxes = tuple(str(syntax) for syntax in context.transfer_syntax)
            proposed[str(context.abstract_syntax)] = proposed.get(str(context.abstract_syntax), ()) + syntaxes
        requestor = event.assoc.requestor
        seen = SeenAssociation(
            request.calling_ae_title.strip(),
            request.called_ae_title.strip(),
            Address(requestor.address, requestor.port),
            proposed,
            requestor.maximum_length,
            requestor.user_identity is not None,
        )
        event.assoc.lab_notes = seen
        self.peer.associations.append(seen)

    def _released(self, event: Any) -> None:
        event.assoc.lab_notes.end = "released"

    def _aborted(self, event: Any) -> None:
        event.assoc.lab_notes.end = "aborted"

    def _note(self, event: Any, command: str, sop_class: Any, instance: Any = None, data: Any = None) -> Operation:
        operation = Operation(
            command,
            str(sop_class),
            str(instance) if instance else None,
            str(event.context.transfer_syntax),
            data.getvalue() if data else b"",
        )
        event.assoc.lab_notes.operations.append(operation)
        return operation

    def _echo(self, event: Any) -> int:
        self._note(event, "C-ECHO", event.request.AffectedSOPClassUID)
        return SUCCESS

    def _store(self, event: Any) -> int:
        request = event.request
        operation = self._note(
            event, "C-STORE", request.AffectedSOPClassUID, request.AffectedSOPInstanceUID, request.DataSet
        )
        if request.MoveOriginatorApplicationEntityTitle is not None:
            operation.move_originator = (
                request.MoveOriginatorApplicationEntityTitle.strip(),
                request.MoveOriginatorMessageID,
            )
        self.peer.received[str(request.AffectedSOPInstanceUID)] = operation
        return SUCCESS

    def _find(self, event: Any) -> Iterator[tuple[int, Any]]:
        model = event.request.AffectedSOPClassUID
        operation = self._note(event, "C-FIND", model, data=event.request.Identifier)
        identifier = event.identifier
        if identifier.get("PatientName") == ENDLESS:
            found = _many()
        else:
            found = _matching(identifier, self.worklist if _is_worklist(model) else self.keys)
        for match in found:
            if event.is_cancelled:
                operation.cancelled = True
                yield CANCEL, None
                return
            operation.responses += 1
            yield PENDING, match

    def _get(self, event: Any) -> Iterator[Any]:
        self._note(event, "C-GET", event.request.AffectedSOPClassUID, data=event.request.Identifier)
        chosen = self._chosen(event.identifier)
        yield len(chosen)
        yield from self._send(event, chosen)

    def _move(self, event: Any) -> Iterator[Any]:
        self._note(event, "C-MOVE", event.request.AffectedSOPClassUID, data=event.request.Identifier)
        destination = self.destinations.get(event.move_destination.strip())
        if destination is None:
            yield None, None
            return
        chosen = self._chosen(event.identifier)
        contexts = [
            build_context(*pair) for pair in {(item.sop_class_uid, item.transfer_syntax_uid): None for item in chosen}
        ]
        yield destination.host, destination.port, {"contexts": contexts}
        yield len(chosen)
        yield from self._send(event, chosen)

    def _send(self, event: Any, chosen: Iterable[Instance]) -> Iterator[tuple[int, Any]]:
        for item in chosen:
            if event.is_cancelled:
                yield CANCEL, None
                return
            yield PENDING, dcmread(item.path)

    def _chosen(self, identifier: Any) -> list[Instance]:
        wanted = {
            "StudyInstanceUID": "study_instance_uid",
            "SeriesInstanceUID": "series_instance_uid",
            "SOPInstanceUID": "sop_instance_uid",
        }
        chosen = list(self.instances)
        for keyword, name in wanted.items():
            values = _values(identifier, keyword)
            if values:
                chosen = [item for item in chosen if getattr(item, name) in values]
        return chosen

    def _create(self, event: Any) -> tuple[int, Any]:
        request = event.request
        instance = str(request.AffectedSOPInstanceUID)
        self._note(event, "N-CREATE", request.AffectedSOPClassUID, instance, request.AttributeList)
        if instance in self.peer.steps:
            return DUPLICATE_INSTANCE, None
        self.peer.steps[instance] = event.attribute_list
        return SUCCESS, event.attribute_list

    def _set(self, event: Any) -> tuple[int, Any]:
        request = event.request
        instance = str(request.RequestedSOPInstanceUID)
        self._note(event, "N-SET", request.RequestedSOPClassUID, instance, request.ModificationList)
        if instance not in self.peer.steps:
            return NO_SUCH_INSTANCE, None
        self.peer.steps[instance].update(event.modification_list)
        return SUCCESS, event.modification_list

    def _action(self, event: Any) -> tuple[int, Any]:
        """Storage commitment: acknowledge the request, then report from another thread (PS3.4 J.3.3)."""
        request = event.request
        instance = str(request.RequestedSOPInstanceUID)
        self._note(event, "N-ACTION", request.RequestedSOPClassUID, instance, request.ActionInformation)
        report = Dataset()
        report.TransactionUID = event.action_information.TransactionUID
        report.ReferencedSOPSequence = event.action_information.ReferencedSOPSequence
        requestor = event.assoc.lab_notes.calling_ae_title
        target = self.report_to.get(requestor)
        arguments = (event.assoc, report) if target is None else (requestor, target, report)
        threading.Thread(target=self._report_here if target is None else self._report_there, args=arguments).start()
        return SUCCESS, None

    def _report_here(self, association: Any, report: Any) -> None:
        # The call waits until the N-ACTION response has left: pynetdicom pauses its reactor between messages.
        self._report(association, report)

    def _report_there(self, requestor: str, target: Address, report: Any) -> None:
        entity = _entity(self.peer.ae_title)
        entity.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        association = entity.associate(target.host, target.port, ae_title=requestor, ext_neg=[role])
        if not association.is_established:
            self.peer.event_reports.append(-1)
            return
        self._report(association, report)
        association.release()

    def _report(self, association: Any, report: Any) -> None:
        status, _ = association.send_n_event_report(report, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE)
        self.peer.event_reports.append(status.Status if "Status" in status else -1)

    def _event_report(self, event: Any) -> tuple[int, Any]:
        request = event.request
        instance = str(request.AffectedSOPInstanceUID)
        self._note(event, "N-EVENT-REPORT", request.AffectedSOPClassUID, instance, request.EventInformation)
        return SUCCESS, None


@contextmanager
def pynetdicom_peer(
    ae_title: str,
    *,
    address: Address | None = None,
    instances: Iterable[Instance] = (),
    worklist: Iterable[Any] = (),
    move_destinations: Mapping[str, Address] | None = None,
    report_to: Mapping[str, Address] | None = None,
) -> Iterator[PynetdicomPeer]:
    """Listen on loopback until the block ends.

    `instances` can be found, got and moved; `worklist` holds the items of modality worklist queries.
    `move_destinations`: AE title → where it connects to. `report_to`: AE title that asks for storage commitment →
    where the N-EVENT-REPORT goes on a new association; for any other requestor it goes back on the same one.
    """
    entity = _entity(ae_title)
    entity.require_called_aet = True
    # pynetdicom accepts by its own order, and explicit is how most objects here are encoded.
    syntaxes = sorted(ALL_TRANSFER_SYNTAXES, key=lambda syntax: syntax != ExplicitVRLittleEndian)
    for context in AllStoragePresentationContexts:
        # Both roles, or the reversed C-STORE of a C-GET has no context to run on (PS3.4 C.5.3).
        entity.add_supported_context(context.abstract_syntax, syntaxes, scu_role=True, scp_role=True)
    for sop_class in (Verification, ModalityPerformedProcedureStep, UnifiedProcedureStepPull, *QUERY_MODELS):
        entity.add_supported_context(sop_class)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)

    objects = tuple(instances)
    keys = tuple(dcmread(item.path, stop_before_pixels=True) for item in objects)
    peer = PynetdicomPeer(ae_title, address or Address(LOOPBACK, 0))
    services = _Services(
        peer,
        objects,
        keys,
        tuple(worklist),
        dict(move_destinations or {}),
        dict(report_to or {}),
    )
    where = (peer.address.host, peer.address.port)
    server = entity.start_server(where, block=False, evt_handlers=services.handlers())
    peer.address = Address(*server.socket.getsockname()[:2])
    try:
        yield peer
    finally:
        entity.shutdown()


def _entity(ae_title: str) -> Any:
    entity = AE(ae_title)
    entity.maximum_associations = 200
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
    return entity


def _matching(identifier: Any, candidates: Iterable[Any]) -> Iterator[Any]:
    """Single value, list of UIDs, wildcard and universal matching (PS3.4 C.2.2.2), each entity once."""
    level = identifier.get("QueryRetrieveLevel")
    seen = set()
    for candidate in candidates:
        unique = candidate.get(UNIQUE_KEYS[level]) if level else id(candidate)
        if unique in seen or not _agrees(identifier, candidate):
            continue
        seen.add(unique)
        match = Dataset()
        for element in identifier:
            if element.keyword == "QueryRetrieveLevel" or element.tag not in candidate:
                match.add(element)
            else:
                match.add(candidate[element.tag])
        yield match


def _many() -> Iterator[Any]:
    for number in range(MANY):
        match = Dataset()
        match.QueryRetrieveLevel, match.PatientName = "STUDY", f"{ENDLESS}^{number}"
        yield match


def _agrees(identifier: Any, candidate: Any) -> bool:
    for element in identifier:
        if element.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet") or element.is_empty:
            continue
        if element.VR == "SQ":
            items = candidate.get(element.keyword) or ()
            if not any(_agrees(element.value[0], item) for item in items):
                return False
        elif not any(fnmatchcase(str(candidate.get(element.keyword, "")), value) for value in _texts(element)):
            return False
    return True


def _values(identifier: Any, keyword: str) -> list[str]:
    element = identifier.data_element(keyword) if keyword in identifier else None
    return [] if element is None or element.is_empty else _texts(element)


def _texts(element: Any) -> list[str]:
    return [str(value) for value in element.value] if element.VM > 1 else [str(element.value)]


def _is_worklist(model: Any) -> bool:
    return bool(model == ModalityWorklistInformationFind)
