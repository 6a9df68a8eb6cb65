"""The demo's archive and clients together, without a gate: every service works, and the archive tells of it all."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from pynetdicom import AE

from dicomgate.demo import clients, dcmtk, packets
from dicomgate.demo.answers import Aborted, Answer, Answered, Closed, ContextRefused, Rejected, Unexpected
from dicomgate.demo.archive import Archive, AssociationSeen, ConnectionSeen, OperationSeen
from dicomgate.demo.clients import Call, Receiver
from dicomgate.demo.studies import archived_studies, new_study, uid
from dicomgate.wire.codes import Reject, Status

CHEST_CT = uid("DEMO-0001", "CT", "20260301", "study")


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive(archived_studies()) as running:
        yield running


@pytest.fixture
def call(archive: Archive) -> Call:
    return Call(archive.port, "ANYBODY", "ARCHIVE")


def operations(archive: Archive) -> list[str]:
    return [str(one) for one in archive.seen if isinstance(one, OperationSeen)]


def test_studies_are_the_same_on_every_run() -> None:
    assert archived_studies() == archived_studies()
    assert new_study() == new_study()
    assert len({image.SOPInstanceUID for image in (*archived_studies(), *new_study())}) == 14


def test_what_the_archive_saw_is_told_in_order(archive: Archive, call: Call) -> None:
    assert clients.echo(call) == (Answered("C-ECHO", Status.SUCCESS),)
    connection, association, operation = archive.seen
    assert isinstance(connection, ConnectionSeen)
    assert connection.address == "127.0.0.1"
    assert association == AssociationSeen("ANYBODY", "ARCHIVE", "127.0.0.1")
    assert operation == OperationSeen("ANYBODY", "C-ECHO", "verification")


def test_a_bare_connection_is_seen_too(archive: Archive) -> None:
    clients.send_bytes(archive.port, packets.message_without_association())
    assert [type(one) for one in archive.seen] == [ConnectionSeen]


def test_stored_images_can_be_found_and_fetched(archive: Archive, call: Call) -> None:
    new = new_study()
    originals = {str(image.SOPInstanceUID): image for image in new}
    assert clients.find(call, "DEMO^CLARA") == (Answered("C-FIND", Status.SUCCESS, matches=0),)
    assert clients.store(call, new) == (Answered("C-STORE", Status.SUCCESS),)
    assert clients.find(call, "DEMO^CLARA") == (Answered("C-FIND", Status.SUCCESS, matches=1),)
    study = str(new[0].StudyInstanceUID)
    assert clients.get(call, study, originals) == (Answered("C-GET", Status.SUCCESS, images=3),)
    assert operations(archive) == [
        "C-FIND (STUDY)",
        *["C-STORE (CT Image Storage)"] * 3,
        "C-FIND (STUDY)",
        "C-GET (STUDY)",
    ]


def test_move_delivers_to_a_known_destination_only(archive: Archive, call: Call) -> None:
    with Receiver("READER1") as receiver:
        archive.deliver_to("READER1", "127.0.0.1", receiver.port)
        delivered = clients.move(call, CHEST_CT, "READER1", receiver, archive.images)
        assert delivered == (Answered("C-MOVE", Status.SUCCESS, images=4),)
        elsewhere = clients.move(call, CHEST_CT, "ELSEWHERE", receiver, archive.images)
        assert elsewhere == (Answered("C-MOVE", Status.MOVE_DESTINATION_UNKNOWN),)
        assert len(receiver.arrived) == 4


def test_an_image_that_was_changed_does_not_count(archive: Archive, call: Call) -> None:
    originals = {str(image.SOPInstanceUID): image for image in archived_studies()}
    first = next(image for image in originals.values() if image.StudyInstanceUID == CHEST_CT)
    first.PixelData = bytes(len(first.PixelData))
    assert clients.get(call, CHEST_CT, originals) == (Answered("C-GET", Status.SUCCESS, images=3),)


def test_the_archive_believes_a_client_that_ignores_its_role(archive: Archive, call: Call) -> None:
    """Which is what makes it a fair test of the gate: with nothing in front, the forged image is stored."""
    forged = new_study()[0]
    answers = clients.store_while_entitled_to_get(call, forged)
    assert answers == (Answered("C-STORE", Status.SUCCESS), Answered("C-ECHO", Status.SUCCESS))
    assert str(forged.SOPInstanceUID) in archive.images


def test_an_association_without_any_context_is_told() -> None:
    with Receiver("READER1") as receiver:  # knows storage, but no verification
        assert clients.echo(Call(receiver.port, "ANYBODY", "READER1")) == (ContextRefused("Verification SOP Class", 3),)


def test_a_context_refused_beside_an_accepted_one_is_named() -> None:
    ae = AE(ae_title="ECHOONLY")
    ae.add_supported_context("1.2.840.10008.1.1")
    server = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        answers = clients.echo_and_propose_storage(Call(server.server_address[1], "ANYBODY", "ECHOONLY"))
    finally:
        ae.shutdown()
    assert answers == (ContextRefused("CT Image Storage", 3), Answered("C-ECHO", Status.SUCCESS))


ABORT = bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 1])


@pytest.mark.parametrize(
    ("last_words", "answer"),
    [
        (b"", Closed()),
        (ABORT, Aborted()),
        (b"HTTP/1.1 400 Bad Request", Unexpected("24 bytes came back, the first is 48H")),
    ],
)
def test_how_a_connection_ended_is_told(last_words: bytes, answer: Answer) -> None:
    with one_caller(last_words) as port:
        assert clients.send_bytes(port, b"hello") == (answer,)


@pytest.mark.parametrize(("last_words", "answer"), [(b"", Closed()), (ABORT, Aborted())])
def test_how_an_association_request_ended_is_told(last_words: bytes, answer: Answer) -> None:
    with one_caller(last_words) as port:
        assert clients.echo(Call(port, "ANYBODY", "ARCHIVE")) == (answer,)


def test_a_quick_rejection_is_not_taken_for_a_lost_connection() -> None:
    for _ in range(10):  # pynetdicom does so about every tenth time
        with one_caller(bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 3])) as port:
            answers = clients.echo(Call(port, "ANYBODY", "ARCHIVE"))
        assert answers == (Rejected(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),)


def test_a_proper_request_over_a_bare_socket_is_accepted(archive: Archive) -> None:
    answers = clients.send_bytes(archive.port, packets.association_request("ARCHIVE", "ANYBODY"))
    assert isinstance(answers[0], Unexpected)
    assert str(answers[0]).endswith("the first is 02H")  # an A-ASSOCIATE-AC, which no step with a bare socket wants
    assert AssociationSeen("ANYBODY", "ARCHIVE", "127.0.0.1") in archive.seen


def test_a_closed_port_is_told_as_closed() -> None:
    with Receiver("GONE") as receiver:
        port = receiver.port
    assert clients.send_bytes(port, b"hello") == (Closed(),)


@contextmanager
def one_caller(last_words: bytes) -> Iterator[int]:
    """A port that reads what its first caller says, answers `last_words` and closes."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(last_words)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Thread(target=serve)
        server.start()
        yield listening.getsockname()[1]
        server.join()


def test_ports_are_only_told_while_running() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Archive(()).port
    with pytest.raises(RuntimeError, match="not been started"):
        _ = Receiver("READER1").port


@pytest.mark.interop
def test_dcmtk_clients(archive: Archive, call: Call, tmp_path: Path) -> None:
    programs = {name: dcmtk.program(name) for name in ("echoscu", "storescu", "findscu", "getscu")}
    echoscu, storescu, findscu, getscu = programs.values()
    assert echoscu, "Debian package dcmtk is not installed"
    assert storescu, "Debian package dcmtk is not installed"
    assert findscu, "Debian package dcmtk is not installed"
    assert getscu, "Debian package dcmtk is not installed"
    image, fetched = tmp_path / "new.dcm", tmp_path / "fetched"
    new_study()[0].save_as(image, enforce_file_format=True)
    fetched.mkdir()
    assert dcmtk.echo(echoscu, call) == (Answered("C-ECHO", Status.SUCCESS),)
    assert dcmtk.store(storescu, call, [image]) == (Answered("C-STORE", Status.SUCCESS),)
    assert archive.images[str(new_study()[0].SOPInstanceUID)] == new_study()[0]
    assert dcmtk.find(findscu, call, "DEMO*") == (Answered("C-FIND", Status.SUCCESS, matches=4),)
    fetch = dcmtk.get(getscu, call, CHEST_CT, fetched, archive.images)
    assert fetch == (Answered("C-GET", Status.SUCCESS, images=4),)
