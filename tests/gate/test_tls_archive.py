"""The gate as a TLS client of an archive: whom it believes, what it shows, and what the caller learns of a failure."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dicomgate.audit.record import Event
from dicomgate.gate.settings import ClientTls
from dicomgate.policy.model import Assurance, Endpoint
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import encode
from dicomgate.wire.codes import Reject
from dicomgate.wire.pdu import AssociateAccept, AssociateReject
from gate.encrypted import HERE, ArchiveThread, House, house, settings
from lab.pki import CLIENT, DAY, SERVER, Authority, Identity
from session.cast import ON_ECHO, request


def server(identity: Identity, clients: Path | None = None, protocols: tuple[str, ...] = ("dicom",)) -> ssl.SSLContext:
    """An archive that shows this certificate, and asks for one if it knows whom to believe."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    context.set_alpn_protocols(list(protocols))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def archive(made: House, name: str = "archive", **options: object) -> Identity:
    return made.ca.issue(name, **{"names": ["127.0.0.1"], "usage": [SERVER], **options})  # type: ignore[arg-type]


def test_both_sides_prove_themselves(tmp_path: Path) -> None:
    with house(
        tmp_path,
        archive_context=lambda made: server(archive(made), made.ca.certificate),
        archive_tls=lambda made: ClientTls(made.ca.certificate, made.gate_identity.certificate, made.gate_identity.key),
    ) as made:
        made.client().echoes()
        assert made.archive.protocols == ["dicom"]


def test_a_name_beside_the_address(tmp_path: Path) -> None:
    with house(
        tmp_path,
        archive_context=lambda made: server(archive(made, names=["archive.lab.example"])),
        archive_tls=lambda made: ClientTls(made.ca.certificate, name="archive.lab.example"),
    ) as made:
        made.client().echoes()


def test_a_host_name_is_looked_up_and_verified(tmp_path: Path) -> None:
    with house(
        tmp_path,
        host="localhost",
        archive_context=lambda made: server(archive(made, names=["localhost"])),
        archive_tls=lambda made: ClientTls(made.ca.certificate),
    ) as made:
        made.client().echoes()


def test_a_pinned_key(tmp_path: Path) -> None:
    pinned: list[str] = []

    def context(made: House) -> ssl.SSLContext:
        identity = archive(made)
        pinned.append(identity.facts.spki_sha256)
        return server(identity)

    with house(
        tmp_path,
        archive_context=context,
        archive_tls=lambda made: ClientTls(made.ca.certificate, spki=frozenset({"00" * 32, *pinned})),
    ) as made:
        made.client().echoes()


def unreachable(made: House, expected: str) -> None:
    """The caller gets a transient refusal; the record and the log say why."""
    party = made.client()
    party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
    assert party.pdu() == AssociateReject(Reject.TEMPORARY_CONGESTION)
    party.close()
    ended = made.until(lambda: made.of(Event.ASSOCIATION_ENDED), "the end")[-1]
    assert (ended.rule, ended.reason) == ("archive", expected)
    assert made.until(lambda: made.lines("connect_failed"), "a log line")[-1]["reason"] == expected


Make = Callable[[House], ssl.SSLContext]
BAD: dict[str, tuple[Make, str]] = {
    "expired": (
        lambda made: server(archive(made, begins=-9 * DAY, ends=-DAY)),
        "certificate refused: certificate has expired",
    ),
    "not yet valid": (
        lambda made: server(archive(made, begins=DAY)),
        "certificate refused: certificate is not yet valid",
    ),
    "other CA": (
        lambda made: server(Authority(made.ca.directory / "x", "x").issue("a", names=["127.0.0.1"], usage=[SERVER])),
        "certificate refused: unable to get local issuer certificate",
    ),
    "self-signed": (
        lambda made: server(archive(made, self_signed=True)),
        "certificate refused: self-signed certificate",
    ),
    "for clients only": (
        lambda made: server(archive(made, usage=[CLIENT])),
        "certificate refused: unsuitable certificate purpose",
    ),
    "another address": (
        lambda made: server(archive(made, names=["127.0.0.2"])),
        "certificate refused: IP address mismatch, certificate is not valid for '127.0.0.1'",
    ),
    "name in the common name only": (
        lambda made: server(archive(made, "127.0.0.1", names=["other.lab.example"])),
        "certificate refused: IP address mismatch, certificate is not valid for '127.0.0.1'",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_archive_that_cannot_prove_itself_gets_nothing(tmp_path: Path, kind: str) -> None:
    context, reason = BAD[kind]
    with house(tmp_path, archive_context=context, archive_tls=lambda made: ClientTls(made.ca.certificate)) as made:
        unreachable(made, f"TLS: {reason}")
        made.until(lambda: made.archive.problems, "the end of the archive's handshake")
        assert made.archive.protocols == []


def test_a_key_that_is_not_pinned(tmp_path: Path) -> None:
    keys: list[str] = []

    def context(made: House) -> ssl.SSLContext:
        identity = archive(made)
        keys.append(identity.facts.spki_sha256)
        return server(identity)

    with house(
        tmp_path,
        archive_context=context,
        archive_tls=lambda made: ClientTls(made.ca.certificate, spki=frozenset({"00" * 32})),
    ) as made:
        unreachable(made, f"TLS: certificate refused: its public key (spki:{keys[0]}) is not one of those listed")


def test_an_archive_that_never_shakes_hands(tmp_path: Path) -> None:
    with house(
        tmp_path, archive_tls=lambda made: ClientTls(made.ca.certificate), limits=SessionLimits(archive_connect=0.4)
    ) as made:
        made.archive.silent = True
        unreachable(made, "TLS: no handshake in time")


def test_an_archive_that_wants_a_certificate_the_gate_has_not(tmp_path: Path) -> None:
    with house(
        tmp_path,
        archive_context=lambda made: server(archive(made), made.ca.certificate),
        archive_tls=lambda made: ClientTls(made.ca.certificate),
    ) as made:
        party = made.client()
        party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
        assert party.pdu() == AssociateReject(Reject.TEMPORARY_CONGESTION)
        party.close()
        # TLS 1.3 tells it with the first read, after the handshake.
        ended = made.until(lambda: made.of(Event.ASSOCIATION_ENDED), "the end")[-1]
        assert ended.reason == "the acceptor went away: tlsv13 alert certificate required"


def test_the_way_back_to_a_peer_is_encrypted_too(tmp_path: Path) -> None:
    """The archive calls back; the peer that listens shows its certificate, and sees the gate's."""
    made = House(tmp_path)
    context = server(archive(made, "ct-1"), made.ca.certificate)
    listening = ArchiveThread(context)
    wanted = settings(None, 1, certificates=None, assurance=Assurance.ADDRESS)
    rules = wanted.rules
    calling = replace(rules.archives[0], networks=HERE, calling_ae_titles=("ARCHIVE",))
    peer = replace(rules.peers[0], endpoint=Endpoint("127.0.0.1", listening.port))
    tls = ClientTls(made.ca.certificate, made.gate_identity.certificate, made.gate_identity.key)
    made.start(replace(wanted, rules=replace(rules, archives=(calling,), peers=(peer,)), peer_tls={"ct-1": tls}))
    try:
        party = made.plain()
        party.send(encode(request("ARCHIVE", "CT1", ON_ECHO)))
        assert isinstance(party.pdu(), AssociateAccept)
        assert listening.protocols == ["dicom"]
    finally:
        made.stop()
        listening.close()
