"""Checkpoints by syslog, to a webhook and to a file: each arrives, whatever the receiver does, and can be verified."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomgate.audit.checkpoint import logged, notes
from dicomgate.policy.model import Endpoint
from dicomgate.sinks import syslog
from dicomgate.sinks.spool import DeliveryError, Spool
from dicomgate.sinks.witness import FileWitness, SyslogWitness, WebhookWitness
from sinks.conftest import MakeSpool
from sinks.standins import SECONDS, Notes, Receiver, Told, note, reset, until

SHORT = 0.2


class Web:
    """An HTTP server of one's own, for answers that no library would give. `answer` is what each connection gets."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.behaviour = "good"
        self.requests: list[tuple[str, bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/notes?gate=north"
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        if self.behaviour == "reset":
            reset(connection)
            return
        head, _, body = self._read(connection).partition(b"\r\n\r\n")
        self.requests.append((head.decode("ascii"), body))
        if self.behaviour == "hang":
            while connection.recv(1):
                pass
        elif self.behaviour == "drip":
            while not self.over.wait(SHORT / 10):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n"[:1])
        else:
            connection.sendall(self.answer)

    def _read(self, connection: socket.socket) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        length = int(next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")).split()[1])
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


@pytest.fixture
def source() -> Notes:
    """In the place of records: the spools of these tests push checkpoints."""
    made = Notes()
    made.add(3)
    return made


def delivered(running: Spool[object], upto: int) -> None:
    until(lambda: running.cursor == upto, f"delivery up to {upto}")


def test_a_webhook_gets_the_note_as_it_is(web: Web, source: Notes, spool: MakeSpool, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("letters\n")
    delivered(spool(WebhookWitness(web.url, None, token_file=token), replay=True), 30)
    assert [body.decode() for _, body in web.requests] == [note(10), note(20), note(30)]
    head = web.requests[0][0].split("\r\n")
    assert head[0] == "POST /notes?gate=north HTTP/1.1"
    assert {"Authorization: Bearer letters", "Content-Type: text/plain; charset=utf-8"} <= set(head)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 500 Oh\r\n\r\n", "expected 2xx, came 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "expected 2xx, came 302"),
        (b"\x00\xff\x15\x03\x01garbage\r\n\r\n", "the answer is not HTTP, or was cut off"),
        (b"HTTP/1.1 " + b"2" * 70_000, "the answer is not HTTP, or was cut off"),
        (b"HTTP/1.1 204 No Content\r\n" + b"A: b\r\n" * 1000, "the answer is not HTTP, or was cut off"),
        (b"", "the answer is not HTTP, or was cut off"),
    ],
)
def test_an_answer_that_is_no_yes_is_a_failure(web: Web, answer: bytes, why: str) -> None:
    web.answer = answer
    kept = Notes()
    kept.add(1)
    with pytest.raises(DeliveryError, match=why) as failure:
        WebhookWitness(web.url, None).send(kept.rows)  # type: ignore[arg-type]
    assert "/notes" in str(failure.value)


@pytest.mark.parametrize(("behaviour", "why"), [("hang", "timed out"), ("drip", "timed out"), ("reset", "reset")])
def test_a_receiver_that_is_no_use_is_told_once_and_tried_again(
    web: Web, source: Notes, spool: MakeSpool, told: Told, behaviour: str, why: str
) -> None:
    web.behaviour = behaviour
    running = spool(WebhookWitness(web.url, None, answer=SHORT), replay=True)
    until(lambda: running.failures >= 2, "a second try")
    web.behaviour = "good"
    delivered(running, 30)
    assert [reason is None for _, reason in told.reports] == [False, True]
    assert why in str(told.reports[0][1])
    assert [body.decode() for _, body in web.requests][-3:] == [note(10), note(20), note(30)]


def test_syslog_gets_a_line_that_verify_reads(
    source: Notes, spool: MakeSpool, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog, "END", SHORT)
    monkeypatch.setattr(SyslogWitness, "patience", 0.0)
    monkeypatch.setattr(SyslogWitness, "overlap", 0.0)
    with Receiver() as receiver:
        receiver.behaviour = "cut"
        running = spool(SyslogWitness([Endpoint("127.0.0.1", receiver.port)], None), replay=True)
        until(lambda: told.reports != [], "the failure")
        receiver.behaviour = "good"
        delivered(running, 30)
        lines = [message.decode("ascii") for message in receiver.messages]
    assert all(line.startswith("<85>1 1970-01-01T00:16:40.000Z ") and " CHECKPOINT - " in line for line in lines)
    log = ["Nov 22 16:00:00 other sshd[1]: hello\n", *(f"{{'message': '{line}', 'more': 1}}\n" for line in lines)]
    assert list(dict.fromkeys(text for _, text in logged(iter(log)))) == [note(10), note(20), note(30)]


def test_what_is_no_note_in_a_log_comes_out_to_be_refused() -> None:
    lines = ["dicomgate-checkpoint north 10 !!!\n", "dicomgate-checkpoint north 10 QQ\n", "nothing\n"]
    assert [number for number, _ in logged(iter(lines))] == [1, 2]


def test_a_file_that_was_cut_off_can_be_read_behind_that(source: Notes, spool: MakeSpool, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere"
    path.write_text(note(7)[:-20], "utf-8")
    delivered(spool(FileWitness(path), replay=True), 30)
    found = [text for _, text in notes(iter(path.read_text("utf-8").splitlines(keepends=True)))]
    assert found[1:] == [note(10), note(20), note(30)]
