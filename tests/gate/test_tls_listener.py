"""Who gets through a TLS listener, who does not and why, and what those who stall cost the others: nothing."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from dicomgate.audit.record import Event, Record
from dicomgate.gate.settings import ConnectionLimits, NamedIdentity, ServerTls, TlsProfile
from dicomgate.policy.model import Assurance, CertificateKind, CertificatePattern
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import Reject
from dicomgate.wire.command import encode_command
from dicomgate.wire.framer import p_data_pdus
from dicomgate.wire.pdu import AssociateReject
from gate.encrypted import HERE, House, Party, house
from lab.pki import DAY, SERVER, Authority, Identity, trusting
from session.cast import ON_ECHO, ON_STORE, request, store

RULE = "listener[outside].tls"


def crl(made: House, *revoked: Identity) -> Path:
    path = made.ca.directory / "ca.crl"
    path.write_bytes(made.ca.revoke(*revoked))
    return path


def with_crl(made: House) -> ServerTls:
    return ServerTls(made.tls.certificate, made.tls.key, made.tls.client_ca, crl=crl(made))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("tls"), tls=with_crl) as made:
        yield made


def test_a_device_with_its_certificate(running: House) -> None:
    running.client().echoes()
    admitted = running.of(Event.ASSOCIATION_ADMITTED)[-1]
    assert (admitted.peer, admitted.assurance) == ("ct-1", "device")
    assert dict(admitted.detail) == {
        "direction": "to_archive",
        "tls_version": "TLSv1.3",
        "tls_cipher": "TLS_AES_256_GCM_SHA384",
        "certificate_sha256": running.device.facts.sha256,
    }


@pytest.mark.parametrize("protocols", [("dicom",), ("http/1.1", "dicom"), ()])
def test_application_protocol_dicom_or_none(running: House, protocols: tuple[str, ...]) -> None:
    party = running.client(context=running.device.context(running.ca.certificate, protocols=protocols))
    assert party.sock.selected_alpn_protocol() == ("dicom" if protocols else None)
    party.echoes()


def test_tls_1_2(running: House) -> None:
    context = running.device.context(running.ca.certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    running.client(context=context).echoes()
    assert running.of(Event.ASSOCIATION_ADMITTED)[-1].detail["tls_cipher"] == "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_resumes_a_session_is_still_known_by_its_certificate(running: House, version: ssl.TLSVersion) -> None:
    context = running.device.context(running.ca.certificate)
    context.maximum_version = version
    first = running.client(context=context)
    first.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
    first.pdu()  # what it reads brings the ticket along
    session = first.sock.session
    first.close()
    again = running.plain()
    secured = context.wrap_socket(again.sock, server_hostname="127.0.0.1", session=session)
    assert secured.session_reused
    Party(secured).echoes()
    assert running.of(Event.ASSOCIATION_ADMITTED)[-1].assurance == "device"


def test_another_devices_title_is_refused_and_told_apart(running: House) -> None:
    stranger = running.ca.issue("ct2")
    party = running.client(stranger)
    party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
    assert party.pdu() == AssociateReject(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
    party.close()
    refused = running.of(Event.ASSOCIATION_REFUSED)[-1]
    assert (refused.rule, refused.status) == ("peer[ct-1].certificates", "1/1/3")
    assert refused.detail["certificate_sha256"] == stranger.facts.sha256
    assert stranger.facts.sha256 in (refused.reason or "")


def bad_certificate(made: House, kind: str) -> Identity:
    ca = made.ca
    match kind:
        case "expired":
            return ca.issue("expired", begins=-20 * DAY, ends=-DAY)
        case "not yet valid":
            return ca.issue("early", begins=DAY)
        case "self-signed":
            return ca.issue("self", self_signed=True)
        case "other CA":
            return Authority(ca.directory / "other", "other").issue("ct1")
        case "revoked":
            bad = ca.issue("revoked")
            crl(made, bad)
            return bad
        case "for servers only":
            return ca.issue("server", usage=[SERVER])
        case "RSA 1024":
            return ca.issue("small", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - it is the bad one
    raise AssertionError(kind)


REASONS = {
    "expired": "certificate refused: certificate has expired",
    "not yet valid": "certificate refused: certificate is not yet valid",
    "self-signed": "certificate refused: self-signed certificate",
    "other CA": "certificate refused: unable to get local issuer certificate",
    "revoked": "certificate refused: certificate revoked",
    "for servers only": "certificate refused: unsuitable certificate purpose",
    "RSA 1024": "certificate refused: EE certificate key too weak",
}


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
@pytest.mark.parametrize("assurance", [Assurance.DEVICE, Assurance.ADDRESS], ids=lambda each: each.word)
def test_every_bad_certificate_is_refused_with_its_reason(tmp_path: Path, assurance: Assurance, required: bool) -> None:
    def tls(made: House) -> ServerTls:
        first = with_crl(made)
        for kind in REASONS:
            bad[kind] = bad_certificate(made, kind)
        return ServerTls(first.certificate, first.key, first.client_ca, required, first.crl)

    bad: dict[str, Identity] = {}
    with house(tmp_path, tls=tls, assurance=assurance) as made:
        said: dict[str, str | None] = {}
        for kind, identity in bad.items():
            refused = made.refused(identity)
            assert (refused.rule, refused.address) == (RULE, "127.0.0.1")
            assert refused.refusal_id
            said[kind] = refused.reason
        assert said == REASONS
        made.client().echoes()


def test_revocation_along_the_chain(tmp_path: Path) -> None:
    """A root in the file, an authority in between that clients send along, and a list of each of them."""
    between: list[Authority] = []

    def lists(made: House, of_root: list[Identity], of_between: list[Identity]) -> None:
        path = tmp_path / "lists.new"
        path.write_bytes(made.ca.revoke(*of_root) + between[0].revoke(*of_between))
        path.replace(tmp_path / "lists")

    def tls(made: House) -> ServerTls:
        between.append(Authority(tmp_path / "between", "between", issuer=made.ca))
        lists(made, [], [])
        return ServerTls(made.tls.certificate, made.tls.key, made.tls.client_ca, crl=tmp_path / "lists")

    with house(tmp_path, tls=tls) as made:
        device = between[0].issue("ct1")
        itself = Identity(between[0].certificate, device.key, between[0].authority)
        made.client(device).echoes()
        for of_root, of_between in (([], [device]), ([itself], [])):
            lists(made, of_root, of_between)
            made.call(lambda: made.gate.reload(made.settings))
            assert made.refused(device).reason == "certificate refused: certificate revoked"
        lists(made, [], [])
        made.call(lambda: made.gate.reload(made.settings))
        made.client(device).echoes()


def test_a_client_without_certificate(running: House) -> None:
    assert running.refused(context=trusting(running.ca.certificate)).reason == "peer did not return a certificate"


def test_optional_certificates_let_through_who_needs_none(tmp_path: Path) -> None:
    def tls(made: House) -> ServerTls:
        return ServerTls(made.tls.certificate, made.tls.key, made.tls.client_ca, client_certificate_required=False)

    with house(tmp_path, tls=tls, assurance=Assurance.ADDRESS, certificates=None) as made:
        made.client(context=trusting(made.ca.certificate)).echoes()
        assert made.of(Event.ASSOCIATION_ADMITTED)[-1].assurance == "address"
    with house(tmp_path / "device", tls=tls) as made:
        party = made.client(context=trusting(made.ca.certificate))
        party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
        assert party.pdu() == AssociateReject(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
        party.close()
        assert made.of(Event.ASSOCIATION_REFUSED)[-1].reason == "CT1 is peer ct-1, but it showed no certificate"


@pytest.mark.parametrize("kind", list(CertificateKind))
def test_by_what_a_certificate_is_recognised(tmp_path: Path, kind: CertificateKind) -> None:
    authority = Authority(tmp_path / "apart")
    device = authority.issue("ct1", uris=["urn:device:ct1"])
    values = {
        CertificateKind.DNS: "ct1.lab.example",
        CertificateKind.URI: "urn:device:ct1",
        CertificateKind.SHA256: device.facts.sha256,
        CertificateKind.SPKI: device.facts.spki_sha256,
    }
    renewed = authority.issue("renewed", names=["ct1.lab.example"], uris=["urn:device:ct1"])
    with house(
        tmp_path,
        tls=lambda made: ServerTls(made.tls.certificate, made.tls.key, authority.certificate),
        certificates=(CertificatePattern(kind, values[kind]),),
    ) as made:
        made.client(context=device.context(made.ca.certificate)).echoes()
        party = made.client(context=renewed.context(made.ca.certificate))
        if kind in (CertificateKind.DNS, CertificateKind.URI):
            party.echoes()
        else:
            party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
            assert isinstance(party.pdu(), AssociateReject)
            party.close()


@pytest.mark.parametrize("profile", [TlsProfile.BCP195, TlsProfile.MODIFIED_BCP195, TlsProfile.TLS13_ONLY])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions(tmp_path: Path, profile: TlsProfile, version: ssl.TLSVersion) -> None:
    def tls(made: House) -> ServerTls:
        return ServerTls(made.tls.certificate, made.tls.key, made.tls.client_ca, profile=profile)

    with house(tmp_path, tls=tls) as made:
        context = made.device.context(made.ca.certificate)
        context.minimum_version = context.maximum_version = version
        assert made.refused(context=context).reason == "unsupported protocol"


@pytest.mark.parametrize("suites", ["RSA+AES", "DHE+AES", "ECDHE+AES+SHA", "aNULL"])
def test_weak_suites(running: House, suites: str) -> None:
    context = running.device.context(running.ca.certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{suites}:@SECLEVEL=0")
    assert running.refused(context=context).reason == "no shared cipher"


def last_refusal(made: House, before: int) -> Record:
    return made.until(lambda: made.of(Event.CONNECTION_REFUSED)[before:], "a refusal")[0]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (encode(request("CT1", "ARCHIVE", ON_ECHO)), "plaintext DICOM on a TLS listener"),
        (b"GET / HTTP/1.1\r\n\r\n", "not TLS: expected a TLS handshake record, found 47H"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff", "not TLS: expected 34 bytes in the ClientHello, found 1"),
    ],
)
def test_what_is_no_tls(running: House, said: bytes, reason: str) -> None:
    before = len(running.of(Event.CONNECTION_REFUSED))
    party = running.plain()
    party.send(said)
    assert party.sock.recv(1) == b""
    party.close()
    refused = last_refusal(running, before)
    assert (refused.rule, refused.reason) == (RULE, reason)


def hello(made: House, *protocols: str) -> bytes:
    """A ClientHello of OpenSSL's."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = made.device.context(made.ca.certificate, protocols=protocols).wrap_bio(
        incoming, outgoing, server_hostname="127.0.0.1"
    )
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_another_application_protocol_gets_the_alert_for_it(running: House) -> None:
    before = len(running.of(Event.CONNECTION_REFUSED))
    party = running.plain()
    party.send(hello(running, "http/1.1", "h2"))
    assert party.exactly(8) == b"\x15\x03\x01\x00\x02\x02\x78"
    party.close()
    assert last_refusal(running, before).reason == "none of the application protocols offered is dicom"


@pytest.mark.parametrize("part", [1, 5, 100], ids=lambda part: f"after {part} bytes")
def test_who_leaves_amid_its_client_hello(running: House, part: int) -> None:
    before = len(running.of(Event.CONNECTION_REFUSED))
    party = running.plain()
    party.send(hello(running)[:part])
    party.close()
    assert last_refusal(running, before).reason == "left amid its ClientHello"


def test_who_leaves_amid_the_handshake(running: House) -> None:
    before = len(running.of(Event.CONNECTION_REFUSED))
    party = running.plain()
    party.send(hello(running))
    party.exactly(50)
    party.close()
    assert last_refusal(running, before).reason in ("connection closed amid the handshake", "connection reset by peer")


def test_who_comes_and_goes_without_a_byte_is_a_health_check(running: House) -> None:
    before = len(running.of(Event.CONNECTION_REFUSED))
    running.plain().close()
    running.client().echoes()
    assert running.of(Event.CONNECTION_REFUSED)[before:] == []


def test_a_client_hello_byte_by_byte(running: House) -> None:
    context = running.device.context(running.ca.certificate)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    party = running.plain()
    party.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in outgoing.read():
        party.send(bytes([byte]))
    while True:
        incoming.write(party.sock.recv(65536))
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            party.send(outgoing.read())  # once more, with the curve that is spoken here
    assert client.selected_alpn_protocol() == "dicom"
    party.close()


LATE = SessionLimits(tls_handshake=0.4)


def test_handshakes_have_a_deadline(tmp_path: Path) -> None:
    with house(tmp_path, limits=LATE) as made:
        silent, slow, stuck = made.plain(), made.plain(), made.plain()
        slow.send(hello(made)[:50])
        stuck.send(hello(made))
        assert [party.sock.recv(1) for party in (silent, slow)] == [b"", b""]
        while stuck.sock.recv(65536):
            pass
        reasons = [record.reason for record in made.of(Event.CONNECTION_REFUSED)]
        assert reasons == ["no TLS handshake within 0.4 s"] * 3
        for party in (silent, slow, stuck):
            party.close()


def test_stalled_handshakes_give_way_and_keep_nobody_waiting(tmp_path: Path) -> None:
    counts = ConnectionLimits(half_open=150, half_open_per_address=150, associations_per_address=1000)
    with house(tmp_path, counts=counts) as made:
        said = hello(made)
        stalled = [made.plain() for _ in range(200)]
        for number, party in enumerate(stalled):
            party.send(said[: (0, 1, 60, len(said))[number % 4]])
        for _ in range(3):
            made.client().echoes()
        assert made.call(lambda: len(made.gate.half_open)) <= 150
        gave_way = [record for record in made.of(Event.CONNECTION_REFUSED) if record.rule == "gate"]
        assert gave_way
        assert {record.reason for record in gave_way} == {"gave way to a newer connection"}
        for party in stalled:
            party.close()
        made.until(lambda: made.call(lambda: len(made.gate.half_open)) == 0, "that all places are free")


def test_behind_a_load_balancer_the_header_comes_first(tmp_path: Path) -> None:
    with house(tmp_path, proxies=HERE) as made:
        party = made.plain()
        party.send(b"PROXY TCP4 127.0.0.9 127.0")
        party.send(b".0.1 4711 104\r\n")
        secured = made.device.context(made.ca.certificate).wrap_socket(party.sock, server_hostname="127.0.0.1")
        Party(secured).echoes()
        admitted = made.of(Event.ASSOCIATION_ADMITTED)[-1]
        assert (admitted.address, admitted.port) == ("127.0.0.9", 4711)
        # Header and ClientHello in one piece, from an address that may not connect: no handshake is begun.
        denied = made.plain()
        denied.send(b"PROXY TCP4 10.9.9.9 127.0.0.1 4711 104\r\n" + hello(made))
        with suppress(ConnectionResetError):
            assert denied.sock.recv(1) == b""
        assert made.of(Event.CONNECTION_REFUSED)[-1].rule == "listener[outside].networks"


def test_the_end_without_close_notify_amid_an_object_is_a_loss(running: House) -> None:
    party = running.client()
    party.send(encode(request("CT1", "ARCHIVE", ON_ECHO, ON_STORE)))
    party.pdu()
    party.send(p_data_pdus(ON_STORE, encode_command(store()), 16384), b"\4\0\0\0\x10\0\0\0\x0f\xfa\3\0" + bytes(1000))
    raw = socket.socket(fileno=party.sock.detach())
    raw.shutdown(socket.SHUT_WR)
    ended = running.until(
        lambda: [each for each in running.of(Event.ASSOCIATION_ENDED) if each.outcome.value == "failure"], "the end"
    )[-1]
    assert ended.reason == "the requestor went away: connection closed"
    raw.close()


def test_the_end_of_tls_is_told_to_the_client(running: House) -> None:
    party = running.client()
    party.send(encode(request("CT1", "NOBODY", ON_ECHO)))
    assert isinstance(party.pdu(), AssociateReject)
    # After the rejection it is the client who closes; its close_notify is answered with one, not with a reset.
    raw = party.sock.unwrap()
    raw.settimeout(10)
    assert raw.recv(1) == b""
    raw.close()


def test_expiry_is_judged_when_a_client_comes(tmp_path: Path) -> None:
    with house(tmp_path) as made:
        soon = made.ca.issue("soon", names=["ct1.lab.example"], ends=timedelta(seconds=2))
        made.client(soon).echoes()
        made.until(lambda: made.gate.wall(made.gate.now()) > soon.facts.not_after + 1, "that it has expired")
        assert made.refused(soon).reason == REASONS["expired"]


def test_the_certificate_that_was_asked_for_by_name(tmp_path: Path) -> None:
    def named(made: House) -> ServerTls:
        other = made.ca.issue("other", names=["gate.clinic.example", "127.0.0.1"], usage=[SERVER])
        names = ("gate.clinic.example", "Second.Clinic.Example")
        return replace(made.tls, others=(NamedIdentity(names, other.certificate, other.key),))

    with house(tmp_path, tls=named) as made:

        def shown(name: str) -> bytes | None:
            context = made.device.context(made.ca.certificate)
            context.check_hostname = False
            party = made.plain()
            party = made.keep(Party(context.wrap_socket(party.sock, server_hostname=name)))
            assert isinstance(party.sock, ssl.SSLSocket)
            der = party.sock.getpeercert(binary_form=True)
            party.echoes()
            return der

        usual = shown("gate.lab.example")
        other = shown("gate.clinic.example")
        assert usual != other
        assert shown("second.clinic.example") == shown("GATE.clinic.example") == other
        assert shown("nobody.example") == shown("127.0.0.1") == usual


def test_a_client_without_the_right_certificate_is_refused_under_every_name(tmp_path: Path) -> None:
    def named(made: House) -> ServerTls:
        other = made.ca.issue("other", names=["gate.clinic.example"], usage=[SERVER])
        return replace(made.tls, others=(NamedIdentity(("gate.clinic.example",), other.certificate, other.key),))

    with house(tmp_path, tls=named) as made:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(made.ca.certificate)
        party = made.plain()
        with suppress(OSError):  # TLS 1.3 tells a client with its first read only
            party = made.keep(Party(context.wrap_socket(party.sock, server_hostname="gate.clinic.example")))
            party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
            assert party.sock.recv(1) == b""
        refused = made.until(lambda: made.of(Event.CONNECTION_REFUSED), "a refusal")
        assert refused[0].rule == "listener[outside].tls"
        assert made.of(Event.ASSOCIATION_REQUESTED) == []


def test_a_thousand_stalled_handshakes_keep_nobody_waiting(tmp_path: Path) -> None:
    """From nine addresses, half of them silent, half amid the handshake: whom a peer names keeps its way in."""
    counts = ConnectionLimits(half_open=600, half_open_per_address=100)
    with house(tmp_path, counts=counts) as made:
        begun = hello(made)
        parties = []
        for number in range(1000):
            source = f"127.0.0.{2 + number % 9}"
            sock = socket.create_connection(("127.0.0.1", made.port), 10, (source, 0))
            parties.append(made.keep(Party(sock)))
            if number % 2:
                parties[-1].send(begun)
        for _ in range(5):
            made.client().echoes()
        assert made.call(lambda: len(made.gate.half_open)) <= 600


def s_client(made: House, *options: str) -> subprocess.Popen[bytes]:
    """OpenSSL's own client, as the device. A line of one letter is an order to it: R renegotiates, K asks for keys."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{made.port}", *options]
    command += [
        "-cert",
        str(made.device.certificate),
        "-key",
        str(made.device.key),
        "-CAfile",
        str(made.ca.certificate),
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_nobody_renegotiates(running: House) -> None:
    """TLS 1.2 could; the gate says no_renegotiation (RFC 5246 7.2.2) or hangs up, and goes on with others."""
    with s_client(running, "-tls1_2") as client:
        output, _ = client.communicate(b"R\n", timeout=20)
    assert b"RENEGOTIATING" in output
    assert b"no renegotiation" in output, output
    running.client().echoes()


def test_keys_are_updated_amid_a_connection(running: House) -> None:
    """RFC 8446 4.6.3: the client asks for new keys both ways, and an association follows on them."""
    before = len(running.of(Event.ASSOCIATION_ADMITTED))
    with s_client(running, "-tls1_3") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(b"K\n")
        client.stdin.flush()
        said = b""
        while b"KEYUPDATE" not in said:
            said += (more := os.read(client.stdout.fileno(), 4096))
            assert more, said
        client.stdin.write(encode(request("CT1", "ARCHIVE", ON_ECHO)))
        client.stdin.flush()
        running.until(lambda: len(running.of(Event.ASSOCIATION_ADMITTED)) > before, "an admission")
        client.kill()


@pytest.mark.parametrize("size", [16385, 40000, 65535])
def test_records_beyond_what_tls_allows_end_the_connection(running: House, size: int) -> None:
    before = len(running.of(Event.CONNECTION_REFUSED))
    party = running.plain()
    party.send(hello(running))
    party.exactly(5)
    party.send(b"\x17\x03\x03" + size.to_bytes(2, "big") + bytes(size))
    with suppress(OSError):
        while party.sock.recv(65536):
            pass
    assert last_refusal(running, before).rule == RULE
    running.client().echoes()


class Asked:
    """Stands in for the authorities: answers what the test says, or keeps the question."""

    def __init__(self, answer: str | None, *, silent: bool = False) -> None:
        self.answer = answer
        self.silent = silent
        self.questions: list[bytes] = []

    def ask(self, certificate: bytes, tls: ServerTls, done: Callable[[str | None], None]) -> None:
        self.questions.append(certificate)
        if not self.silent:
            done(self.answer)


@pytest.mark.parametrize("answer", [None, "it has been revoked"])
def test_who_is_asked_about_is_let_in_only_if_the_authority_says_so(tmp_path: Path, answer: str | None) -> None:
    with house(tmp_path, tls=lambda made: replace(made.tls, ocsp=True)) as made:
        authorities = Asked(answer)
        made.call(lambda: setattr(made.gate, "revocations", authorities))
        if answer is None:
            made.client().echoes()
        else:
            assert made.refused().reason == f"certificate refused: {answer}"
            assert made.of(Event.ASSOCIATION_REQUESTED) == []
        assert authorities.questions == [made.device.leaf.public_bytes(Encoding.DER)]


def test_without_anybody_to_ask_nobody_gets_in(tmp_path: Path) -> None:
    with house(tmp_path, tls=lambda made: replace(made.tls, ocsp=True)) as made:
        assert made.refused().reason == "certificate refused: nobody can be asked whether it has been revoked"


def test_an_authority_that_does_not_answer_is_waited_for_no_longer_than_a_handshake(tmp_path: Path) -> None:
    with house(tmp_path, tls=lambda made: replace(made.tls, ocsp=True), limits=LATE) as made:
        authorities = Asked(None, silent=True)
        made.call(lambda: setattr(made.gate, "revocations", authorities))
        assert made.refused().reason == "no TLS handshake within 0.4 s"
        assert made.call(lambda: len(made.gate.half_open)) == 0
