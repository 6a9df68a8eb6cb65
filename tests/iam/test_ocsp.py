"""What an OCSP responder may say, and what the gate makes of it. Real HTTP, real signatures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from dicomgate.iam import ocsp as asked
from dicomgate.iam.ocsp import OcspDesk, Question
from lab.pki import CLIENT, Authority, Identity

HOUR = timedelta(hours=1)
Say = Callable[[ocsp.OCSPRequest], bytes]


class Responder(ThreadingHTTPServer):
    """Answers with what `say` makes of a request, and counts."""

    daemon_threads = True

    def __init__(self, say: Say) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.say = say
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Responder)
        self.server.requests += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.say(ocsp.load_der_ocsp_request(body))
        self.send_response(200 if answer else 503)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def responder(say: Say) -> Iterator[Responder]:
    server = Responder(say)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Scene:
    """A hospital's authority and one device; `answer` signs what a responder says of it."""

    def __init__(self, directory: Path) -> None:
        self.ca = Authority(directory)
        self.device = self.ca.issue("ct1")
        self.other = self.ca.issue("ct2")

    def answer(
        self,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        *,
        about: Identity | None = None,
        signer: Identity | None = None,
        begins: timedelta = -HOUR,
        ends: timedelta | None = HOUR,
    ) -> bytes:
        now = datetime.now(UTC)
        revoked = status is ocsp.OCSPCertStatus.REVOKED
        builder = ocsp.OCSPResponseBuilder().add_response(
            (about or self.device).leaf,
            self.ca.authority,
            hashes.SHA1(),  # noqa: S303 - it names the issuer
            status,
            now + begins,
            None if ends is None else now + ends,
            now - HOUR if revoked else None,
            None,
        )
        certificate, key = self.ca.authority, self.ca.key
        if signer is not None:
            certificate = signer.leaf
            key = load_pem_private_key(signer.key.read_bytes(), None)  # type: ignore[assignment]
            builder = builder.certificates([certificate])
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)

    def ask(self, url: str | None, certificate: Identity | None = None, desk: OcspDesk | None = None) -> str | None:
        answers: Queue[str | None] = Queue()
        own = desk or OcspDesk(lambda call: call())
        der = (certificate or self.device).leaf.public_bytes(Encoding.DER)
        own.submit(Question(der, self.ca.certificate, url), answers.put)
        try:
            return answers.get(timeout=20)
        finally:
            if desk is None:
                own.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("ocsp"))


def test_a_good_certificate_is_asked_about_once(scene: Scene) -> None:
    desk = OcspDesk(lambda call: call())
    with responder(lambda _: scene.answer()) as server:
        assert [scene.ask(server.url, desk=desk) for _ in range(3)] == [None, None, None]
        assert server.requests == 1
    desk.close()


def test_an_answer_is_not_believed_longer_than_an_hour(scene: Scene) -> None:
    clock = [datetime.now(UTC)]
    desk = OcspDesk(lambda call: call(), now=lambda: clock[0])
    with responder(lambda _: scene.answer(ends=timedelta(days=30))) as server:
        assert scene.ask(server.url, desk=desk) is None
        clock[0] += timedelta(hours=1, seconds=1)
        assert scene.ask(server.url, desk=desk) is None
        assert server.requests == 2
    desk.close()


def test_a_responder_that_the_authority_has_named(scene: Scene) -> None:
    named = scene.ca.issue("responder", usage=[ExtendedKeyUsageOID.OCSP_SIGNING])
    with responder(lambda _: scene.answer(signer=named)) as server:
        assert scene.ask(server.url) is None


REVOKED, UNKNOWN = ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
LIES: dict[str, tuple[Callable[[Scene], bytes], str]] = {
    "revoked": (lambda scene: scene.answer(REVOKED), "it has been revoked"),
    "unknown": (lambda scene: scene.answer(UNKNOWN), "its OCSP responder does not know it"),
    "about another": (
        lambda scene: scene.answer(about=scene.other),
        "its OCSP responder answered about another certificate",
    ),
    "signed by a device": (
        lambda scene: scene.answer(signer=scene.ca.issue("ct3", usage=[CLIENT])),
        "the answer of its OCSP responder is not signed by its authority",
    ),
    "signed by a device that has expired": (
        lambda scene: scene.answer(
            signer=scene.ca.issue("old", usage=[ExtendedKeyUsageOID.OCSP_SIGNING], ends=timedelta(hours=-1))
        ),
        "the answer of its OCSP responder is not signed by its authority",
    ),
    "signed by a stranger": (
        lambda scene: Scene(scene.ca.directory / "stranger").answer(about=scene.device),
        "the answer of its OCSP responder is not signed by its authority",
    ),
    "old": (
        lambda scene: scene.answer(begins=timedelta(days=-2), ends=-HOUR),
        "the answer of its OCSP responder is out of date",
    ),
    "from the future": (
        lambda scene: scene.answer(begins=2 * HOUR, ends=3 * HOUR),
        "the answer of its OCSP responder is out of date",
    ),
    "old without an end": (
        lambda scene: scene.answer(begins=-HOUR, ends=None),
        "the answer of its OCSP responder is out of date",
    ),
    "garbage": (lambda _: b"<html>", "its OCSP responder did not answer with an OCSP response"),
    "an error": (lambda _: b"", "its OCSP responder did not answer with an OCSP response"),
    "too long": (
        lambda scene: scene.answer() + bytes(asked.LARGEST_ANSWER),
        "its OCSP responder did not answer with an OCSP response",
    ),
    "not now": (
        lambda _: ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
            Encoding.DER
        ),
        "its OCSP responder answered try later",
    ),
}


@pytest.mark.parametrize("kind", LIES)
def test_what_else_a_responder_may_say_lets_nobody_in(scene: Scene, kind: str) -> None:
    say, told = LIES[kind]
    with responder(lambda _: say(scene)) as server:
        assert scene.ask(server.url) == told


def test_any_byte_that_is_changed_is_noticed(scene: Scene) -> None:
    answer = bytearray(scene.answer())
    sent = [bytes(answer)]
    with responder(lambda _: sent[0]) as server:
        for place in range(0, len(answer), 7):
            changed = bytearray(answer)
            changed[place] ^= 1
            sent[0] = bytes(changed)
            assert scene.ask(server.url) is not None, place


def test_nobody_to_ask(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.ask(None) == "it names no OCSP responder, and none is configured"
    assert scene.ask("http://127.0.0.1:1/") == "its OCSP responder gave no answer: ConnectError"
    stalled = threading.Event()
    monkeypatch.setattr(asked, "TIMEOUT", 0.2)
    with responder(lambda _: b"x" if stalled.wait(20) else b"") as server:
        assert scene.ask(server.url) == "its OCSP responder gave no answer: ReadTimeout"
        stalled.set()


def test_an_authority_that_is_not_listed_cannot_be_asked(scene: Scene, tmp_path: Path) -> None:
    stranger = Authority(tmp_path).issue("ct1")
    told = "the authority that issued it does not stand in client_ca itself, so its revocation cannot be asked"
    assert scene.ask("http://127.0.0.1:1/", stranger) == told


def test_a_crowd_is_told_so_and_a_bug_lets_nobody_in(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "MOST_WAITING", 0)
    assert scene.ask("http://127.0.0.1:1/") == "too many certificates wait to be asked about"
    monkeypatch.setattr(asked, "MOST_WAITING", 1)
    monkeypatch.setattr(asked, "_issuer", lambda *_: 1 / 0)
    assert scene.ask("http://127.0.0.1:1/") == "revocation could not be judged: ZeroDivisionError"
