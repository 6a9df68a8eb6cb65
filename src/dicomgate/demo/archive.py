"""A small archive on loopback: images come in, DICOM services go out, and everything it saw is kept as values.

It believes every AE title, as most archives do. That is what the gate is for, and `seen` is the proof of it:
what was refused in front must not be in there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from dicomgate.demo.query import Level, find, level_of, select
from dicomgate.demo.studies import SOP_CLASSES

LOOPBACK = "127.0.0.1"
TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]

_PATIENT_ROOT = {
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
}
_QUERY_MODELS = (
    *sorted(_PATIENT_ROOT),
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

_ENDED_WITHIN = 1.0
"""Seconds that a connection gets to end by itself."""

_SUCCESS = 0x0000
_PENDING = 0xFF00
_CANCEL = 0xFE00
_IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS = 0xA900  # PS3.4 C.4.1.1.4


@dataclass(frozen=True, slots=True)
class ConnectionSeen:
    """A TCP connection was accepted."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"TCP connection from {self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class AssociationSeen:
    """An A-ASSOCIATE-RQ arrived."""

    calling_ae_title: str
    called_ae_title: str
    address: str

    def __str__(self) -> str:
        return f"{self.calling_ae_title} -> {self.called_ae_title}"


@dataclass(frozen=True, slots=True)
class OperationSeen:
    """A DIMSE request arrived. `subject` is what it was about: a SOP class, a level, a destination."""

    calling_ae_title: str
    command: str
    subject: str

    def __str__(self) -> str:
        return f"{self.command} ({self.subject})"


Seen = ConnectionSeen | AssociationSeen | OperationSeen


class Archive:
    """The archive while it runs; a context manager. Its threads are pynetdicom's own."""

    def __init__(self, images: Iterable[Dataset], ae_title: str = "ARCHIVE") -> None:
        self.ae_title = ae_title
        self._images = {str(image.SOPInstanceUID): image for image in images}
        self._seen: list[Seen] = []
        self._destinations: dict[str, tuple[str, int]] = {}
        self._lock = Lock()
        self._ae = _application_entity(ae_title)
        self._server: Any = None

    @property
    def port(self) -> int:
        """The TCP port on loopback; RuntimeError before the archive runs."""
        if self._server is None:
            raise RuntimeError("expected a running archive, it has not been started")
        return int(self._server.socket.getsockname()[1])

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Everything that reached this archive so far, in order."""
        with self._lock:
            return tuple(self._seen)

    @property
    def images(self) -> Mapping[str, Dataset]:
        """What it holds now, by SOP Instance UID."""
        with self._lock:
            return dict(self._images)

    def deliver_to(self, ae_title: str, host: str, port: int) -> None:
        """Name a destination for C-MOVE: which address stands behind an AE title."""
        with self._lock:
            self._destinations[ae_title] = (host, port)

    def __enter__(self) -> "Archive":
        self._server = self._ae.start_server(
            (LOOPBACK, 0),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._connected),
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_C_ECHO, self._echo),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
            ],
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shut_down(self._ae)

    def _saw(self, seen: Seen) -> None:
        with self._lock:
            self._seen.append(seen)

    def _saw_operation(self, event: Any, command: str, subject: str) -> None:
        self._saw(OperationSeen(event.assoc.requestor.ae_title.strip(), command, subject))

    def _connected(self, event: Any) -> None:
        self._saw(ConnectionSeen(str(event.address[0]), int(event.address[1])))

    def _requested(self, event: Any) -> None:
        asked = event.assoc.requestor.primitive
        self._saw(
            AssociationSeen(
                asked.calling_ae_title.strip(), asked.called_ae_title.strip(), str(event.assoc.requestor.address)
            )
        )

    def _echo(self, event: Any) -> int:
        self._saw_operation(event, "C-ECHO", "verification")
        return _SUCCESS

    def _store(self, event: Any) -> int:
        image = event.dataset
        image.file_meta = event.file_meta
        self._saw_operation(event, "C-STORE", image.SOPClassUID.name)
        with self._lock:
            self._images[str(image.SOPInstanceUID)] = image
        return _SUCCESS

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        level = self._level(event, "C-FIND")
        if level is None:
            yield _IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, None
            return
        for response in find(self.images.values(), event.identifier, level):
            if event.is_cancelled:
                yield _CANCEL, None
                return
            response.RetrieveAETitle = self.ae_title
            yield _PENDING, response

    def _get(self, event: Any) -> Iterator[Any]:
        level = self._level(event, "C-GET")
        yield from self._sub_operations(event, level)

    def _move(self, event: Any) -> Iterator[Any]:
        level = self._level(event, "C-MOVE", f" to {event.move_destination.strip()}")
        with self._lock:
            host, port = self._destinations.get(event.move_destination.strip(), (None, None))
        yield host, port, {"contexts": [build_context(uid, TRANSFER_SYNTAXES) for uid in SOP_CLASSES]}
        yield from self._sub_operations(event, level)

    def _level(self, event: Any, command: str, more: str = "") -> Level | None:
        highest = Level.PATIENT if event.request.AffectedSOPClassUID in _PATIENT_ROOT else Level.STUDY
        level = level_of(event.identifier, highest)
        self._saw_operation(event, command, f"{level.value if level else 'no level'}{more}")
        return level

    def _sub_operations(self, event: Any, level: Level | None) -> Iterator[Any]:
        """What pynetdicom wants of a retrieval: how many, then a status and an image for each."""
        if level is None:
            yield 1  # a count of 0 would be answered with Success
            yield _IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, None
            return
        chosen = select(self.images.values(), event.identifier, level)
        yield len(chosen)
        for image in chosen:
            if event.is_cancelled:
                yield _CANCEL, None
                return
            yield _PENDING, image


def shut_down(ae: Any) -> None:
    """Stop an application entity's servers, after the connections that are just ending have ended.

    pynetdicom aborts every association that it still knows, and its state machine takes offence at an abort on a
    connection that waits to be closed.
    """
    for association in ae.active_associations:
        if association.dul.is_alive():
            association.dul.join(_ENDED_WITHIN)
    ae.shutdown()


def _application_entity(ae_title: str) -> Any:
    ae = AE(ae_title=ae_title)
    ae.maximum_associations = 50
    ae.add_supported_context(Verification, TRANSFER_SYNTAXES)
    for uid in SOP_CLASSES:
        # both roles: a client stores as SCU, and receives as SCP while it has a C-GET running (PS3.4 C.5.3)
        ae.add_supported_context(uid, TRANSFER_SYNTAXES, scu_role=True, scp_role=True)
    for uid in _QUERY_MODELS:
        ae.add_supported_context(uid, TRANSFER_SYNTAXES)
    return ae
