"""Associations through a running gate over real sockets: what arrives, what is recorded, what is never seen."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from dicomgate.audit.record import Event, Outcome
from dicomgate.gate.link import Link
from dicomgate.gate.settings import GateSettings
from dicomgate.gate.upstream import Upstreams
from dicomgate.policy.model import Endpoint, Networks
from dicomgate.policy.policy import Policy
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import CommandField, PduType, Reject
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import Abort, AssociateAccept, AssociateReject, ReleaseReply, ReleaseRequest
from gate.standins import (
    House,
    Party,
    accepting,
    answering,
    asking,
    echo,
    echo_works,
    house,
    message,
    rejected,
    storing,
    until,
)
from policy.scene import CT, FIND


@pytest.fixture
def hospital() -> Iterator[House]:
    with house() as running:
        yield running


def limited(**limits: object) -> Callable[[GateSettings], GateSettings]:
    """Settings with some limits changed, of a session or of the gate."""

    def change(settings: GateSettings) -> GateSettings:
        ours = {name: value for name, value in limits.items() if name in SessionLimits.__dataclass_fields__}
        rest = {name: value for name, value in limits.items() if name not in ours}
        return replace(
            settings,
            session=replace(settings.session, **ours),  # type: ignore[arg-type]
            connections=replace(settings.connections, **rest),  # type: ignore[arg-type]
        )

    return change


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


# -- the plain way ---------------------------------------------------------------------------------------------


def test_an_association_from_first_byte_to_release(hospital: House) -> None:
    client, archive = hospital.association()
    echo_works(client, archive)
    image = noise(1, 300_001) + b"\0"
    client.send(message(3, storing(2), image))
    asked = archive.command()
    assert asked == storing(2)
    assert archive.data() == image
    archive.send(message(3, answering(asked)))
    assert client.command().status == 0
    client.send(ReleaseRequest())
    assert archive.pdu() == ReleaseRequest()
    archive.send(ReleaseReply())
    assert client.pdu() == ReleaseReply()
    assert archive.ends() == b""
    client.close()
    hospital.settle()
    events = [record.event for record in hospital.sink.records if record.association]
    assert events == [
        Event.ASSOCIATION_REQUESTED,
        Event.ASSOCIATION_ADMITTED,
        Event.OPERATION,
        Event.OPERATION,
        Event.ASSOCIATION_ENDED,
    ]
    stored, ended = hospital.sink.records[-2:]
    assert (stored.verb, stored.status, stored.bytes) == ("store", "0000", len(image))
    assert (ended.outcome, ended.peer, ended.reason) == (Outcome.SUCCESS, "ct-1", "released")
    assert hospital.call(lambda: hospital.gate.associations.total) == 0


@pytest.mark.parametrize(
    ("rq", "answer"),
    [
        (asking(calling="EVIL"), Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),
        (asking(calling="\x01"), Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),
        (asking(called="OTHER"), Reject.CALLED_AE_TITLE_NOT_RECOGNIZED),
        (asking(("1.2.840.10008.1.1", "1.2.840.10008.1.2.2")), Reject.NO_REASON),
        (replace(asking(), protocol_version=2), Reject.PROTOCOL_VERSION_NOT_SUPPORTED),
    ],
    ids=["calling", "malformed", "called", "contexts", "version"],
)
def test_a_refused_association_never_reaches_the_archive(hospital: House, rq: object, answer: object) -> None:
    client = hospital.client()
    client.send(rq)  # type: ignore[arg-type]
    assert client.pdu() == AssociateReject(answer)  # type: ignore[arg-type]
    client.close()
    hospital.settle()
    assert hospital.nobody_called()
    refused = hospital.await_record(Event.ASSOCIATION_REFUSED)
    assert refused.refusal_id
    assert len(refused.refusal_id) == 8
    assert refused.status == str(answer)


def test_a_request_that_comes_in_single_bytes_is_the_same_request(hospital: House) -> None:
    client = hospital.client()
    for byte in encode(asking()):
        client.send(bytes([byte]))
    archive = hospital.accept()
    archive.send(accepting(archive.pdu()))
    assert isinstance(client.pdu(), AssociateAccept)
    for byte in message(1, echo()):
        client.send(bytes([byte]))
    assert archive.command() == echo()


def test_a_refused_operation_is_answered_and_the_association_goes_on(hospital: House) -> None:
    client, archive = hospital.association()
    wrong = replace(storing(), affected_sop_instance_uid="../../1")
    client.send(message(3, wrong, noise(2, 200_000)), message(1, echo(2)))
    assert client.command().status == 0x0117
    assert archive.command() == echo(2)  # and nothing of the refused message before it
    archive.send(message(1, answering(echo(2))))
    assert client.command().status == 0
    refused = hospital.await_record(Event.OPERATION_REFUSED)
    assert (refused.rule, refused.command) == ("malformed", "C_STORE_RQ")


@pytest.mark.parametrize(
    "rubbish",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\0" * 100,
        b"\xff" * 100,
        b"SSH-2.0-x\r\n",
    ],
    ids=["HTTP", "TLS", "zeros", "ones", "SSH"],
)
def test_what_does_not_speak_dicom_is_closed_without_an_answer(hospital: House, rubbish: bytes) -> None:
    client = hospital.client()
    client.send(rubbish)
    assert client.ends() == b""
    refused = hospital.await_record(Event.CONNECTION_REFUSED)
    assert refused.refusal_id
    hospital.settle()
    assert hospital.nobody_called()


def test_a_pdu_longer_than_allowed_is_refused_before_it_is_sent(hospital: House) -> None:
    client = hospital.client()
    client.send(b"\1\0\xff\xff\xff\xff" + bytes(100))
    told = client.ends()
    assert told == b"" or told[0] == PduType.ABORT
    hospital.settle()
    assert hospital.nobody_called()


# -- the record comes first ------------------------------------------------------------------------------------


def test_nothing_is_connected_before_the_admission_is_on_disk(hospital: House) -> None:
    hospital.sink.answer = None
    client = hospital.client()
    client.send(asking())
    until(lambda: hospital.sink.waiting, "the admission")
    hospital.call(lambda: None)
    assert hospital.nobody_called()
    hospital.call(lambda: hospital.sink.waiting.pop()(True))
    archive = hospital.accept()
    archive.send(accepting(archive.pdu()))
    assert isinstance(client.pdu(), AssociateAccept)


def test_a_sink_that_fails_refuses_for_now(hospital: House) -> None:
    hospital.sink.answer = False
    client = hospital.client()
    client.send(asking())
    assert rejected(client.pdu()) == "2/3/1"
    client.close()
    hospital.settle()
    assert hospital.nobody_called()
    assert hospital.call(lambda: hospital.gate.associations.total) == 0
    assert hospital.await_record(Event.ASSOCIATION_REFUSED).rule == "audit.on_failure"
    hospital.sink.answer = True
    echo_works(*hospital.association())


def test_with_on_failure_continue_the_association_passes_and_its_records_are_handed_in_again() -> None:
    with house(lambda settings: replace(settings, on_audit_failure="continue")) as hospital:
        hospital.sink.answer = False
        echo_works(*hospital.association())
        assert hospital.await_record(Event.ASSOCIATION_ADMITTED).peer == "ct-1"
        assert len(hospital.sink.of(Event.ASSOCIATION_REQUESTED)) == 1


def test_a_client_that_leaves_while_its_admission_is_recorded_connects_nobody(hospital: House) -> None:
    hospital.sink.answer = None
    client = hospital.client()
    client.send(asking())
    until(lambda: hospital.sink.waiting, "the admission")
    client.reset()
    hospital.settle()
    hospital.call(lambda: hospital.sink.waiting.pop()(True))
    assert hospital.nobody_called()
    assert hospital.await_record(Event.ASSOCIATION_ENDED).outcome is Outcome.FAILURE


# -- the archive's side ----------------------------------------------------------------------------------------


def at(*ports: int) -> Callable[[GateSettings], GateSettings]:
    def change(settings: GateSettings) -> GateSettings:
        archive = replace(settings.rules.archives[0], endpoints=tuple(Endpoint("127.0.0.1", port) for port in ports))
        return replace(settings, rules=replace(settings.rules, archives=(archive,)))

    return change


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_an_archive_that_is_down_is_a_refusal_for_now(closed_port: int) -> None:
    with house(at(closed_port)) as hospital:
        client = hospital.client()
        client.send(asking())
        assert rejected(client.pdu()) == "2/3/1"
        ended = hospital.await_record(Event.ASSOCIATION_ENDED)
        assert (ended.outcome, ended.rule, ended.status) == (Outcome.FAILURE, "archive", "2/3/1")
        assert ended.refusal_id
        failed = until(lambda: [line for line in hospital.journal() if line["event"] == "connect_failed"])
        assert failed[0]["to"] == f"127.0.0.1:{closed_port}"


def test_the_next_address_is_tried_and_the_dead_one_is_not_tried_first_again(closed_port: int) -> None:
    with house() as hospital:
        live = hospital.archive.getsockname()[1]
        hospital.reload(at(closed_port, live)(hospital.gate.settings))
        echo_works(*hospital.association())
        echo_works(*hospital.association())
        hospital.gate._journal.close()
        assert [line["event"] for line in hospital.journal()].count("connect_failed") == 1


def test_an_archive_that_does_not_answer_is_given_up() -> None:
    with house(limited(archive_answer=0.2)) as hospital:
        client = hospital.client()
        client.send(asking())
        archive = hospital.accept()
        archive.pdu()
        assert rejected(client.pdu()) == "2/3/1"
        assert archive.ends() in (b"", encode(Abort()))
        assert "gave no answer" in (hospital.await_record(Event.ASSOCIATION_ENDED).reason or "")


def test_the_archives_own_refusal_is_passed_on(hospital: House) -> None:
    client = hospital.client()
    client.send(asking())
    archive = hospital.accept()
    archive.pdu()
    archive.send(AssociateReject(Reject.LOCAL_LIMIT_EXCEEDED))
    assert rejected(client.pdu()) == "2/3/2"
    assert archive.ends() == b""


def test_a_host_name_that_cannot_be_resolved_is_a_refusal_for_now() -> None:
    def nowhere(settings: GateSettings) -> GateSettings:
        archive = replace(settings.rules.archives[0], endpoints=(Endpoint("a..b.invalid", 104),))
        return replace(settings, rules=replace(settings.rules, archives=(archive,)))

    with house(nowhere) as hospital:
        client = hospital.client()
        client.send(asking())
        assert rejected(client.pdu()) == "2/3/1"
        assert hospital.await_record(Event.ASSOCIATION_ENDED).reason == "its host name cannot be resolved"


# -- both ways at once, and nobody who stops the others --------------------------------------------------------


def test_both_directions_flow_at_the_same_time(hospital: House) -> None:
    """A C-STORE goes up while the answers of a C-FIND come down; each side only begins to read when it has sent."""
    client, archive = hospital.association(asking((FIND,), (CT,)))
    find = Command(CommandField.C_FIND_RQ, True, affected_sop_class_uid=FIND, message_id=1, priority=0)
    client.send(message(1, find, b"\0" * 100))
    assert archive.command() == find
    archive.data()
    image, match = noise(3, 8_000_000), noise(4, 8_000_000)
    up = threading.Thread(target=client.send, args=(message(3, storing(2), image),))
    down = threading.Thread(target=archive.send, args=(message(1, answering(find, 0xFF00, has_data_set=True), match),))
    got: dict[str, bytes] = {}

    def read(name: str, party: Party) -> None:
        party.command()
        got[name] = party.data()

    readers = [threading.Thread(target=read, args=pair) for pair in (("up", archive), ("down", client))]
    for thread in (up, down, *readers):
        thread.start()
    for thread in (up, down, *readers):
        thread.join(30)
    assert got["up"] == image
    assert got["down"] == match


def waiting(hospital: House) -> list[int]:
    """Bytes that wait in the gate, for each socket."""
    return hospital.call(
        lambda: [link.pending_bytes for connection in hospital.gate._connections for link in connection._links.values()]
    )


def pending(hospital: House) -> int:
    return sum(waiting(hospital))


def test_parties_that_do_not_read_cost_bounded_memory_and_stop_nobody_else(hospital: House) -> None:
    """Ten images at once towards an archive that reads none of them: more than there are spare buffers."""
    some = noise(5, 16_000_000)
    images = [some[turn:] + some[:turn] for turn in range(0, 1000, 100)]
    stalled = [hospital.association() for _ in images]
    senders = [
        threading.Thread(target=client.send, args=(message(3, storing(), image),), daemon=True)
        for (client, _), image in zip(stalled, images, strict=True)
    ]
    for sender in senders:
        sender.start()
    until(lambda: waiting(hospital).count(0) == len(images) and quiet(hospital), "ten full pipes")
    assert all(sender.is_alive() for sender in senders)
    assert pending(hospital) <= len(images) * (1 << 20)
    echo_works(*hospital.association())
    for (_, archive), image in zip(stalled, images, strict=True):
        assert archive.command() == storing()
        assert hashlib.sha256(archive.data()).digest() == hashlib.sha256(image).digest()
    for sender in senders:
        sender.join(10)
    assert pending(hospital) == 0


def quiet(hospital: House) -> bool:
    """Nothing moves: every association with something pending has stopped being read."""
    before = pending(hospital)
    for _ in range(50):
        hospital.call(lambda: None)
    return pending(hospital) == before


def test_a_party_that_takes_nothing_for_too_long_is_given_up() -> None:
    with house(limited(write_stall=0.3, close=0.3)) as hospital:
        client, archive = hospital.association()
        sender = threading.Thread(target=flood, args=(client,), daemon=True)
        sender.start()
        ended = hospital.await_record(Event.ASSOCIATION_ENDED)
        assert ended.rule == "write-stall"
        hospital.settle()
        sender.join(10)
        assert archive.sock.fileno() >= 0


def flood(client: Party) -> None:
    """Send until the other side ends it."""
    try:
        client.send(message(3, storing(), bytes(40_000_000)))
    except OSError:
        return


# -- the ways it can be cut off --------------------------------------------------------------------------------

Cut = Callable[[Party], None]


def half_closed(party: Party) -> None:
    party.sock.shutdown(socket.SHUT_WR)


CUTS: dict[str, Cut] = {"reset": Party.reset, "closed": Party.close, "half-closed": half_closed}
HALF_RQ = encode(asking())[:100]
BEFORE: dict[str, bytes] = {"at once": b"", "in a header": b"\1\0\0", "in the request": HALF_RQ}
DURING: dict[str, bytes] = {
    "idle": b"",
    "in a PDU header": b"\4\0\0",
    "in a command": message(1, echo())[:20],
    "before the data set": message(3, storing()),
    "in the data set": message(3, storing(), bytes(50_000))[:-20_000],
    "between PDUs of the data set": message(3, storing(), bytes(32768))[: -16384 - 12],
    "after a whole request": message(1, echo()),
    "after the release request": encode(ReleaseRequest()),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("where", BEFORE)
def test_a_client_cut_off_before_its_request_leaves_nothing_behind(hospital: House, where: str, cut: str) -> None:
    client = hospital.client()
    client.send(BEFORE[where])
    until(lambda: hospital.open_connections() == 1 or hospital.sink.records[1:], "the connection")
    CUTS[cut](client)
    hospital.settle()
    assert hospital.nobody_called()
    assert hospital.call(lambda: len(hospital.gate.half_open)) == 0


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("side", ["client", "archive"])
@pytest.mark.parametrize("where", DURING)
def test_a_party_cut_off_ends_its_association_once_and_no_other(
    hospital: House, where: str, side: str, cut: str
) -> None:
    other = hospital.association()
    parties = dict(zip(("client", "archive"), hospital.association(), strict=True))
    left, told = parties[side], parties["archive" if side == "client" else "client"]
    left.send(DURING[where])
    CUTS[cut](left)
    last = told.last_words()
    told.close()
    until(lambda: hospital.open_connections() == 1, "the end of the association")
    ended = hospital.sink.of(Event.ASSOCIATION_ENDED)
    assert len(ended) == 1
    assert ended[0].outcome is Outcome.FAILURE
    if not where.startswith(("in the data", "between", "before")):
        assert last[-10:-6] == b"\7\0\0\0"
    echo_works(*other)


@pytest.mark.parametrize("cut", CUTS)
def test_an_archive_cut_off_before_its_answer_is_a_refusal_for_now(hospital: House, cut: str) -> None:
    client = hospital.client()
    client.send(asking())
    archive = hospital.accept()
    archive.pdu()
    CUTS[cut](archive)
    assert rejected(client.pdu()) == "2/3/1"
    client.close()
    hospital.settle()
    assert len(hospital.sink.of(Event.ASSOCIATION_ENDED)) == 1


@pytest.mark.parametrize("cut", CUTS)
def test_a_client_cut_off_while_the_archive_thinks_frees_the_archive(hospital: House, cut: str) -> None:
    client = hospital.client()
    client.send(asking())
    archive = hospital.accept()
    archive.pdu()
    CUTS[cut](client)
    assert archive.last_words()[:1] in (b"\7", b"")
    archive.close()
    hospital.settle()


def test_an_abort_is_passed_on(hospital: House) -> None:
    client, archive = hospital.association()
    client.send(Abort(0, 0))
    assert archive.pdu() == Abort(0, 0)
    assert archive.ends() == b""
    hospital.settle()


def test_what_was_sent_before_the_end_of_file_still_arrives(hospital: House) -> None:
    """The client sends an image and leaves; the archive reads late."""
    client, archive = hospital.association()
    image = noise(5, 5_000_000)
    sender = threading.Thread(target=lambda: (client.send(message(3, storing(), image)), client.close()))
    sender.start()
    assert archive.command() == storing()
    assert archive.data() == image
    assert archive.ends()[:1] == b"\7"
    sender.join(10)


# -- bugs and clocks -------------------------------------------------------------------------------------------


def test_a_bug_ends_its_association_with_an_abort_and_no_other(
    hospital: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = hospital.association()
    client, archive = hospital.association()
    decide = Policy.decide_operation

    def buggy(self: Policy, permit: object, facts: object, *, at: float) -> object:
        raise KeyError("DOE^JOHN")

    monkeypatch.setattr(Policy, "decide_operation", buggy)
    client.send(message(1, echo()))
    assert isinstance(client.pdu(), Abort)
    assert isinstance(archive.pdu(), Abort)
    monkeypatch.setattr(Policy, "decide_operation", decide)
    echo_works(*other)
    ended = hospital.await_record(Event.ASSOCIATION_ENDED)
    assert (ended.rule, ended.outcome) == ("bug", Outcome.FAILURE)
    said = until(lambda: [line for line in hospital.journal() if line["event"] == "bug"])
    assert said[0]["kind"] == "KeyError"
    assert "DOE" not in hospital.log.getvalue()


@pytest.mark.parametrize(
    ("owner", "method"),
    [(Link, "send"), (Link, "receive"), (Upstreams, "candidates"), (Upstreams, "answered")],
)
def test_a_bug_of_the_driver_ends_its_association_and_no_other(
    hospital: House, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    other = hospital.association()
    client = hospital.client()
    right = getattr(owner, method)
    met = threading.Event()

    def buggy(*_: object) -> object:
        met.set()
        raise KeyError("DOE^JOHN")

    monkeypatch.setattr(owner, method, buggy)
    client.send(asking())
    assert met.wait(10.0)
    monkeypatch.setattr(owner, method, right)
    with suppress(ConnectionResetError):  # reset or closed in order: what matters is that it does not hang
        while client.sock.recv(4096):
            pass
    echo_works(*other)
    until(lambda: any(line["event"] == "bug" and line["kind"] == "KeyError" for line in hospital.journal()))
    assert "DOE" not in hospital.log.getvalue()
    until(lambda: hospital.call(lambda: hospital.gate.associations.total) == 1)


@pytest.mark.parametrize(
    ("limit", "sent"), [("first_byte", b""), ("associate_deadline", HALF_RQ)], ids=["silent", "half a request"]
)
def test_a_connection_that_dawdles_is_closed(limit: str, sent: bytes) -> None:
    with house(limited(**{limit: 0.3})) as hospital:
        client = hospital.client()
        client.send(sent)
        assert client.ends() == b""
        assert (hospital.await_record(Event.CONNECTION_REFUSED).rule or "").startswith("limits")
        hospital.settle()


@pytest.mark.parametrize("limit", ["idle", "absolute", "no_progress"])
def test_an_association_that_outlives_its_time_is_aborted(limit: str) -> None:
    with house(limited(**{limit: 0.3})) as hospital:
        client, archive = hospital.association()
        if limit == "no_progress":
            client.send(message(1, echo()))
            archive.command()
        assert isinstance(client.pdu(), Abort)
        assert isinstance(archive.pdu(), Abort)
        assert hospital.await_record(Event.ASSOCIATION_ENDED).rule == f"limits.{limit}"


def test_a_party_that_does_not_close_after_the_end_is_cut_off() -> None:
    with house(limited(close=0.3)) as hospital:
        client = hospital.client()
        client.send(asking(calling="EVIL"))
        client.pdu()
        hospital.settle()


# -- caps ------------------------------------------------------------------------------------------------------


def test_a_full_house_refuses_for_now_and_takes_the_next_when_one_has_left() -> None:
    with house(limited(associations=1)) as hospital:
        first = hospital.association()
        second = hospital.client()
        second.send(asking())
        assert rejected(second.pdu()) == "2/3/2"
        assert hospital.await_record(Event.ASSOCIATION_REFUSED).rule == "limits.associations"
        first[0].reset()
        until(lambda: hospital.call(lambda: hospital.gate.associations.total) == 0)
        first[1].close()
        echo_works(*hospital.association())


def test_the_oldest_silent_connection_of_an_address_gives_way() -> None:
    with house(limited(half_open_per_address=2)) as hospital:
        oldest, second = hospital.client(), hospital.client()
        until(lambda: hospital.open_connections() == 2)
        third = hospital.client()
        assert oldest.ends() == b""
        refused = hospital.await_record(Event.CONNECTION_REFUSED)
        assert refused.reason == "gave way to a newer connection"
        third.send(asking())
        archive = hospital.accept()
        archive.send(accepting(archive.pdu()))
        assert isinstance(third.pdu(), AssociateAccept)
        second.send(asking(calling="EVIL"))
        assert rejected(second.pdu()) == "1/1/3"


def test_an_association_is_no_half_open_connection_any_more() -> None:
    with house(limited(half_open_per_address=1)) as hospital:
        first, second = hospital.association(), hospital.association()
        assert hospital.call(lambda: len(hospital.gate.half_open)) == 0
        echo_works(*first)
        echo_works(*second)


def test_silent_strangers_do_not_keep_a_known_device_out() -> None:
    """Two hundred half-open connections from elsewhere, with places for ten; the device a peer names gets in."""

    def only_loopback_one(settings: GateSettings) -> GateSettings:
        peers = tuple(replace(peer, networks=Networks.of(["127.0.0.1"])) for peer in settings.rules.peers)
        archives = tuple(replace(each, networks=Networks.of(["127.0.0.1"])) for each in settings.rules.archives)
        return limited(half_open=10, half_open_per_address=3)(
            replace(settings, rules=replace(settings.rules, peers=peers, archives=archives))
        )

    with house(only_loopback_one) as hospital:
        for number in range(200):
            hospital.client(source=f"127.0.0.{2 + number % 200}")
        until(lambda: hospital.call(lambda: len(hospital.gate.half_open)) == 8)
        echo_works(*hospital.association())
