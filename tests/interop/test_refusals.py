"""What the gate refuses: what the caller is told, what is recorded, and that nobody behind the gate saw it."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_ECHO, C_FIND, C_MOVE, C_STORE, N_ACTION, N_DELETE, N_EVENT_REPORT, N_GET
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    Verification,
)

from lab import studies
from lab.eavesdropping import EavesdroppingListener, eavesdropping_listener
from lab.gate import Gate, running_gate
from lab.process import LOOPBACK, Address, free_address
from lab.pynetdicom_clients import ask, association, context_results, query, rejection
from lab.pynetdicom_peers import COMMITMENT_INSTANCE, SUCCESS, PynetdicomPeer, pynetdicom_peer

pytestmark = pytest.mark.system
FIND = StudyRootQueryRetrieveInformationModelFind
GET = StudyRootQueryRetrieveInformationModelGet
MOVE = StudyRootQueryRetrieveInformationModelMove
STRANGER = "127.0.0.2"
"""A loopback address that no peer calls from."""
CLOSE_SECONDS = 10.0
A_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02"
"""The fixed part of an A-ABORT from the service provider (PS3.8 9.3.8)."""

CONFIGURATION = """
[gate]
name = "door"
state = "sqlite:///gate.db"

[limits]
archive_answer = "1 s"
first_byte = "2 s"
associate_deadline = "2 s"
close = "1 s"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]

[[listener]]
name = "inside"
bind = "127.0.0.1:0"
networks = ["127.0.0.1"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"

[[archive]]
name = "silent"
ae_title = "SILENT"
address = "{silent}"

[[peer]]
name = "ct"
ae_titles = ["CT1"]
networks = ["127.0.0.1"]
listeners = ["outside"]
assurance = "address"
may = ["echo", "store"]
sop_classes = ["CTImageStorage"]
archive = "main"

[[peer]]
name = "viewer"
ae_titles = ["VIEWER"]
networks = ["127.0.0.1"]
listeners = ["outside"]
assurance = "address"
may = ["echo", "get", "move"]
move_to = ["self"]
archive = "main"
address = "{silent}"

[[peer]]
name = "workflow"
ae_titles = ["RIS"]
networks = ["127.0.0.1"]
listeners = ["outside"]
assurance = "address"
may = ["mpps", "commit", "ups"]
archive = "main"
address = "{ris}"

[[peer]]
name = "monitor"
ae_titles = ["ECHOER"]
networks = ["127.0.0.1"]
listeners = ["outside"]
assurance = "address"
may = ["echo"]
archive = ["main", "silent"]

[[peer]]
name = "person"
ae_titles = ["PERSON"]
networks = ["127.0.0.1"]
listeners = ["outside"]
may = ["echo"]
archive = "main"
"""


@dataclass(frozen=True, slots=True)
class Door:
    """A gate, an archive that notes what it sees, and an address where nobody must ever knock."""

    gate: Gate
    archive: PynetdicomPeer
    ris: PynetdicomPeer
    silent: EavesdroppingListener
    study: tuple[studies.Instance, ...]

    @contextmanager
    def nobody_is_reached(self) -> Iterator[None]:
        """Whatever happens in the block, nobody behind the gate sees a connection."""
        behind = (self.archive, self.ris, self.silent)
        before = [party.connections for party in behind]
        yield
        assert [party.connections for party in behind] == before

    def refusal(self, source: Address, **filters: object) -> dict[str, Any]:
        """The record of what was refused to a caller, known by its port; it has an ID and a reason."""
        record = self.gate.await_record(port=source.port, outcome="refused", **filters)
        assert record["refusal_id"]
        assert record["reason"]
        assert record["address"] == source.host
        assert record["refusal_id"] in self.gate.log
        return record


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    study = tuple(studies.study(folder / "study", "refusals", 2))
    with (
        pynetdicom_peer("ARCHIVE", instances=study) as archive,
        pynetdicom_peer("RIS") as ris,
        eavesdropping_listener() as silent,
    ):
        text = CONFIGURATION.format(archive=archive.address, ris=ris.address, silent=silent.address)
        with running_gate(folder / "gate", text) as gate:
            yield Door(gate, archive, ris, silent, study)


# -- associations --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """An A-ASSOCIATE-RQ that is refused: the answer as result/source/reason, and the rule that the record names."""

    answer: str
    rule: str
    calling: str = "CT1"
    called: str = "ARCHIVE"
    listener: str = "outside"
    source: str = LOOPBACK
    contexts: tuple[str | tuple[str, str], ...] = (Verification,)


REFUSED_CALLS = {
    "unknown calling title": Call("1/1/3", "default", calling="INTRUDER"),
    "calling title in other letters": Call("1/1/3", "default", calling="ct1"),
    "known calling title from a wrong network": Call("1/1/3", "peer[ct].networks", source=STRANGER),
    "unknown called title": Call("1/1/7", "default", called="PACS"),
    "an archive of others": Call("1/1/7", "peer[ct].archive", called="SILENT"),
    "wrong listener": Call("1/1/3", "peer[ct].listeners", listener="inside"),
    "a user who did not sign in": Call("1/2/1", "peer[person].assurance", calling="PERSON"),
    "verb not allowed": Call("1/1/1", "peer[monitor].may", calling="ECHOER", contexts=(CTImageStorage,)),
    "query not allowed": Call("1/1/1", "peer[viewer].may", calling="VIEWER", contexts=(FIND,)),
    "SOP class not allowed": Call("1/1/1", "peer[ct].sop_classes", contexts=(MRImageStorage,)),
    "transfer syntax that is off": Call(
        "1/1/1", "peer[ct].transfer_syntaxes", contexts=((CTImageStorage, DeflatedExplicitVRLittleEndian),)
    ),
    "a peer calls a peer": Call("1/1/3", "peer[viewer].archive", called="VIEWER"),
    "an archive's title from a wrong network": Call(
        "1/1/3", "peer[viewer].archive", calling="ARCHIVE", called="VIEWER", source=STRANGER
    ),
    "the wrong archive calls a peer": Call("1/1/3", "peer[viewer].archive", calling="SILENT", called="VIEWER"),
}


@pytest.mark.parametrize("call", REFUSED_CALLS.values(), ids=REFUSED_CALLS.keys())
def test_an_association_is_rejected(door: Door, call: Call) -> None:
    source = Address(call.source, free_address().port)
    with door.nobody_is_reached():
        to = door.gate.address(call.listener)
        with association(to, call.calling, call.called, call.contexts, source=source) as made:
            assert rejection(made) == call.answer
        record = door.refusal(source, event="association_refused")
    assert record["status"] == call.answer
    assert record["rule"] == call.rule
    assert record["listener"] == call.listener
    assert record["calling_ae_title"] == call.calling
    assert record["called_ae_title"] == call.called


def test_the_same_caller_passes_with_what_it_may(door: Door) -> None:
    """Without this, a gate that refuses everything would pass the tests above."""
    before = door.archive.connections
    with association(door.gate.address("outside"), "CT1", "ARCHIVE") as made:
        assert made.send_c_echo().Status == SUCCESS
    assert door.archive.connections == before + 1
    assert door.archive.associations[-1].calling_ae_title == "CT1"


def test_the_silent_address_would_have_noticed(door: Door) -> None:
    """Nor would they prove anything if the eavesdropper were deaf."""
    before = door.silent.connections
    with association(door.gate.address("outside"), "ECHOER", "SILENT") as made:
        assert rejection(made) == "2/3/1"
    assert door.silent.connections == before + 1
    assert door.silent.received[-1].startswith(b"\x01\x00")


def test_contexts_that_are_not_allowed_are_refused_one_by_one(door: Door) -> None:
    contexts = [Verification, CTImageStorage, MRImageStorage, FIND, (MRImageStorage, DeflatedExplicitVRLittleEndian)]
    with association(door.gate.address("outside"), "CT1", "ARCHIVE", contexts) as made:
        assert context_results(made) == {Verification: 0, CTImageStorage: 0, MRImageStorage: 3, FIND: 3}
        assert made.send_c_echo().Status == SUCCESS
    assert set(door.archive.associations[-1].proposed) == {Verification, CTImageStorage}


def test_a_context_with_nothing_but_a_syntax_that_is_off(door: Door) -> None:
    contexts = [Verification, (CTImageStorage, DeflatedExplicitVRLittleEndian)]
    with association(door.gate.address("outside"), "CT1", "ARCHIVE", contexts) as made:
        assert context_results(made) == {Verification: 0, CTImageStorage: 4}
    assert set(door.archive.associations[-1].proposed) == {Verification}


# -- connections that are not DICOM, or not from here --------------------------------------------------------------


def client_hello() -> bytes:
    """What a TLS client really sends first."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="archive.example")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


MALFORMED: dict[str, Callable[[], bytes]] = {
    "HTTP": lambda: b"GET / HTTP/1.1\r\nHost: archive.example\r\n\r\n",
    "TLS ClientHello": client_hello,
    "random bytes": lambda: hashlib.shake_256(b"random").digest(4096),
    "a request of 4 GiB": lambda: b"\x01\x00\xff\xff\xff\xff" + bytes(1000),
    "data before a request": lambda: b"\x04\x00\x00\x00\x00\x0c" + b"\x00\x00\x00\x08\x01\x03" + bytes(6),
    "a request that is too short": lambda: b"\x01\x00\x00\x00\x00\x04\x00\x01\x00\x00",
    "a request that never ends": lambda: b"\x01\x00\x00\x00\x01\x00\x00\x01",
    "nothing at all": lambda: b"",
}


@pytest.mark.parametrize("bytes_of", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_not_dicom_is_closed(door: Door, bytes_of: Callable[[], bytes]) -> None:
    source = free_address()
    with door.nobody_is_reached():
        answer = answer_to(bytes_of(), door.gate.address("outside"), source)
        assert answer == b"" or (answer.startswith(A_ABORT) and len(answer) == len(A_ABORT) + 1)
        record = door.refusal(source, listener="outside")
    assert record["event"] in ("connection_refused", "association_refused")


def test_an_address_that_is_not_the_listeners_is_closed_without_a_word(door: Door) -> None:
    source = Address(STRANGER, free_address().port)
    with door.nobody_is_reached():
        assert answer_to(b"", door.gate.address("inside"), source) == b""
        record = door.refusal(source, event="connection_refused")
    assert record["rule"] == "listener[inside].networks"


def answer_to(sent: bytes, to: Address, source: Address) -> bytes:
    """All that comes back until the gate closes; TimeoutError if it does not."""
    came = bytearray()
    with socket.create_connection((to.host, to.port), CLOSE_SECONDS, (source.host, source.port)) as connection:
        # It may close before all of it was sent, and closing with unread input resets the connection.
        with suppress(ConnectionError):
            connection.sendall(sent)
        with suppress(ConnectionError):
            while piece := connection.recv(4096):
                came += piece
    return bytes(came)


# -- operations inside an association ------------------------------------------------------------------------------


def message(kind: Any, **elements: Any) -> Any:
    """A DIMSE request primitive with a message ID and these elements."""
    request = kind()
    request.MessageID = 21
    for name, value in elements.items():
        setattr(request, name, value)
    return request


def store(sop_class: str = CTImageStorage, instance: str = "1.2.3.4") -> Any:
    request = message(C_STORE, AffectedSOPClassUID=sop_class, AffectedSOPInstanceUID=instance, Priority=2)
    request.DataSet = BytesIO(b"\x08\x00\x16\x00UI\x00\x00" * 4000)
    return request


def identifier() -> BytesIO:
    return BytesIO(b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ")


@dataclass(frozen=True, slots=True)
class Ask:
    """A DIMSE request that is refused: by whom it is made, on which context, and the status that answers it."""

    calling: str
    on: str
    request: Callable[[], Any]
    status: int
    rule: str
    role: bool = False
    """Propose the other role for the context as well, as a client of C-GET does."""


REFUSED_REQUESTS = {
    "C-STORE by one who may only retrieve": Ask("VIEWER", CTImageStorage, store, 0x0124, "peer[viewer].may", role=True),
    "C-STORE of another SOP class than its context": Ask(
        "CT1", CTImageStorage, lambda: store(MRImageStorage), 0x0122, "malformed"
    ),
    "C-STORE with a path for a UID": Ask("CT1", CTImageStorage, lambda: store(instance="../../x"), 0x0117, "malformed"),
    "C-MOVE to a stranger": Ask(
        "VIEWER",
        MOVE,
        lambda: message(
            C_MOVE, AffectedSOPClassUID=MOVE, Priority=2, MoveDestination="ELSEWHERE", Identifier=identifier()
        ),
        0xA801,
        "peer[viewer].move_to",
    ),
    "C-FIND on a context for C-GET": Ask(
        "VIEWER",
        GET,
        lambda: message(C_FIND, AffectedSOPClassUID=GET, Priority=2, Identifier=identifier()),
        0x0122,
        "default",
    ),
    "C-ECHO on a storage context": Ask(
        "CT1", CTImageStorage, lambda: message(C_ECHO, AffectedSOPClassUID=CTImageStorage), 0x0122, "default"
    ),
    "N-GET of a performed procedure step": Ask(
        "RIS",
        ModalityPerformedProcedureStep,
        lambda: message(N_GET, RequestedSOPClassUID=ModalityPerformedProcedureStep, RequestedSOPInstanceUID="1.2.3"),
        0x0118,
        "default",
    ),
    "N-DELETE of storage commitment": Ask(
        "RIS",
        StorageCommitmentPushModel,
        lambda: message(
            N_DELETE, RequestedSOPClassUID=StorageCommitmentPushModel, RequestedSOPInstanceUID=COMMITMENT_INSTANCE
        ),
        0x0118,
        "default",
    ),
    "N-ACTION on a performed procedure step": Ask(
        "RIS",
        ModalityPerformedProcedureStep,
        lambda: message(
            N_ACTION,
            RequestedSOPClassUID=ModalityPerformedProcedureStep,
            RequestedSOPInstanceUID="1.2.3",
            ActionTypeID=1,
        ),
        0x0118,
        "default",
    ),
    "N-EVENT-REPORT by a client": Ask(
        "RIS",
        StorageCommitmentPushModel,
        lambda: message(
            N_EVENT_REPORT,
            AffectedSOPClassUID=StorageCommitmentPushModel,
            AffectedSOPInstanceUID=COMMITMENT_INSTANCE,
            EventTypeID=1,
        ),
        0x0110,
        "direction",
    ),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")  # one case sends such a value
@pytest.mark.parametrize("case", REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS.keys())
def test_an_operation_is_refused_and_the_association_lives_on(door: Door, case: Ask) -> None:
    source = free_address()
    before = len(door.archive.operations())
    receives = [case.on] if case.role else []
    contexts: list[str | tuple[str, str]] = [(case.on, ExplicitVRLittleEndian) if case.role else case.on]
    to = door.gate.address("outside")
    with association(to, case.calling, "ARCHIVE", contexts, receives=receives, source=source) as made:
        first = ask(made, case.request(), case.on)
        second = ask(made, case.request(), case.on)
    assert (first.Status, second.Status) == (case.status, case.status)
    assert first.MessageIDBeingRespondedTo == 21
    assert len(door.archive.operations()) == before
    assert door.archive.associations[-1].end == "released"
    record = door.refusal(source, event="operation_refused")
    assert record["status"] == f"{case.status:04X}"
    assert record["rule"] == case.rule
    assert record["peer"] is not None
    assert record["refusal_id"] in (second.ErrorComment or "")


CALL_BACKS = {
    "C-FIND": (
        UnifiedProcedureStepPull,
        lambda: message(
            C_FIND,
            AffectedSOPClassUID=UnifiedProcedureStepPush,
            Priority=2,
            Identifier=BytesIO(b"\x08\x00\x18\x00" + bytes(4)),
        ),
        0xC000,
    ),
    "N-ACTION": (
        StorageCommitmentPushModel,
        lambda: message(
            N_ACTION,
            RequestedSOPClassUID=StorageCommitmentPushModel,
            RequestedSOPInstanceUID=COMMITMENT_INSTANCE,
            ActionTypeID=1,
        ),
        0x0124,
    ),
}


@pytest.mark.parametrize(("on", "request_of", "status"), CALL_BACKS.values(), ids=CALL_BACKS.keys())
def test_an_archive_that_calls_back_may_report_but_not_ask(
    door: Door, on: str, request_of: Callable[[], Any], status: int
) -> None:
    source = free_address()
    report = message(N_EVENT_REPORT, EventTypeID=1, AffectedSOPInstanceUID=COMMITMENT_INSTANCE)
    report.AffectedSOPClassUID = StorageCommitmentPushModel
    contexts = sorted({on, str(StorageCommitmentPushModel)})
    with association(door.gate.address("inside"), "ARCHIVE", "RIS", contexts, source=source) as made:
        assert ask(made, request_of(), on).Status == status
        assert ask(made, report, StorageCommitmentPushModel).Status == SUCCESS
    assert [operation.command for operation in door.ris.associations[-1].operations] == ["N-EVENT-REPORT"]
    record = door.refusal(source, event="operation_refused")
    assert (record["status"], record["rule"]) == (f"{status:04X}", "peer[workflow].may")


def test_a_refused_retriever_can_still_retrieve(door: Door) -> None:
    came: list[str] = []

    def keep(event: Any) -> int:
        came.append(str(event.request.AffectedSOPInstanceUID))
        return SUCCESS

    contexts: list[str | tuple[str, str]] = [GET, (CTImageStorage, ExplicitVRLittleEndian)]
    with association(
        door.gate.address("outside"),
        "VIEWER",
        "ARCHIVE",
        contexts,
        receives=[CTImageStorage],
        handlers=[(evt.EVT_C_STORE, keep)],
    ) as made:
        assert ask(made, store(), CTImageStorage).Status == 0x0124
        wanted = query("STUDY", StudyInstanceUID=door.study[0].study_instance_uid)
        statuses = [status.Status for status, _ in made.send_c_get(wanted, GET)]
    assert statuses[-1] == SUCCESS
    assert sorted(came) == sorted(item.sop_instance_uid for item in door.study)
