"""New certificates, keys, authorities and revocation lists without a restart; bad ones change nothing."""

from __future__ import annotations

import os
import ssl
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dicomgate.audit.record import Event
from dicomgate.gate import credentials
from dicomgate.gate.settings import ClientTls, ServerTls
from dicomgate.gate.tls import TlsFilesError
from dicomgate.policy.verdict import Direction, Route
from dicomgate.wire.codec import encode
from dicomgate.wire.pdu import AssociateAccept, ReleaseReply, ReleaseRequest
from gate.encrypted import House, house, settings
from lab.pki import CLIENT, SERVER, Identity
from session.cast import ON_ECHO, request


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_LOOK_EVERY", 0.0)


def install(made: House, fresh: Identity) -> None:
    """As an administrator does it: write beside, then move over, one after the other."""
    for new, old in ((fresh.certificate, made.gate_identity.certificate), (fresh.key, made.gate_identity.key)):
        os.replace(new, old)


def shown(made: House) -> bytes:
    """The certificate that the gate shows now."""
    party = made.client()
    der = party.sock.getpeercert(binary_form=True)
    party.echoes()
    assert der is not None
    return der


def fresh(made: House, number: int = 1) -> Identity:
    return made.ca.issue(f"fresh{number}", names=["127.0.0.1"], usage=[SERVER, CLIENT])


def test_a_new_certificate_is_taken_and_running_associations_go_on(tmp_path: Path) -> None:
    with house(tmp_path) as made:
        running = made.client()
        running.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
        assert isinstance(running.pdu(), AssociateAccept)
        before = shown(made)
        install(made, fresh(made))
        made.until(lambda: made.lines("tls_reloaded"), "tls_reloaded")
        assert shown(made) != before
        assert made.lines("tls_reloaded")[-1]["of"] == "listener[outside]"
        running.send(encode(ReleaseRequest()))
        assert isinstance(running.pdu(), ReleaseReply)


def test_bad_files_keep_the_old_ones_and_are_told_of_once(tmp_path: Path) -> None:
    with house(tmp_path) as made:
        before = shown(made)
        other = fresh(made)
        os.replace(other.certificate, made.gate_identity.certificate)
        (line,) = made.until(lambda: made.lines("tls_reload_failed"), "tls_reload_failed")
        assert line["file"] == str(made.gate_identity.key)
        assert "is not the key" in line["reason"]
        assert shown(made) == before
        assert shown(made) == before
        assert len(made.lines("tls_reload_failed")) == 1
        os.replace(other.key, made.gate_identity.key)
        made.until(lambda: made.lines("tls_reloaded"), "tls_reloaded")
        assert shown(made) != before


def test_a_revocation_list_takes_effect(tmp_path: Path) -> None:
    def tls(made: House) -> ServerTls:
        (tmp_path / "list").write_bytes(made.ca.revoke())
        return replace(made.tls, crl=tmp_path / "list")

    with house(tmp_path, tls=tls) as made:
        session = ssl_session(made)
        (tmp_path / "new").write_bytes(made.ca.revoke(made.device))
        os.replace(tmp_path / "new", tmp_path / "list")
        made.until(lambda: made.lines("tls_reloaded"), "tls_reloaded")
        context, ticket = session
        assert made.refused(context=context).reason == "certificate refused: certificate revoked"
        # Nor does a ticket from before help.
        party = made.plain()
        with pytest.raises(OSError, match=r"(?i)revoked|reset|closed|EOF"):  # noqa: PT012 - told with the first read
            secured = made.keep(
                type(party)(context.wrap_socket(party.sock, server_hostname="127.0.0.1", session=ticket))
            )
            secured.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
            if not secured.sock.recv(1):
                raise ConnectionError("closed")


def ssl_session(made: House) -> tuple[ssl.SSLContext, ssl.SSLSession | None]:
    context = made.device.context(made.ca.certificate)
    party = made.client(context=context)
    party.send(encode(request("CT1", "ARCHIVE", ON_ECHO)))
    party.pdu()
    session = party.sock.session  # type: ignore[attr-defined]
    party.close()
    return context, session


def test_a_reload_reads_the_files_anew_and_a_bad_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_LOOK_EVERY", 3600.0)
    with house(tmp_path) as made:
        before = shown(made)
        key = made.gate_identity.key.read_bytes()
        made.gate_identity.key.write_bytes(b"nothing")
        with pytest.raises(TlsFilesError, match="expected a private key"):
            made.gate.reload(made.settings)
        made.gate_identity.key.write_bytes(key)
        install(made, fresh(made))
        assert shown(made) == before
        made.call(lambda: made.gate.reload(made.settings))
        assert shown(made) != before


def test_rotation_under_load_fails_no_association(tmp_path: Path) -> None:
    with house(tmp_path) as made:
        failures: list[BaseException] = []
        done = threading.Event()
        counts = [0] * 4

        def clients(number: int) -> None:
            try:
                while not done.is_set():
                    made.client().echoes()
                    counts[number] += 1
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=clients, args=(number,)) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        try:
            for number in range(5):
                install(made, fresh(made, number))
                made.until(lambda n=number: len(made.lines("tls_reloaded")) > n, "tls_reloaded")  # type: ignore[misc]
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert all(counts)
        assert made.of(Event.CONNECTION_REFUSED) == []
        ended = made.until(
            lambda: len(e := made.of(Event.ASSOCIATION_ENDED)) == sum(counts) and e, "that all have ended"
        )
        assert {record.outcome.value for record in ended} == {"success"}


def test_contexts_are_made_anew_each_hour_without_a_word(tmp_path: Path) -> None:
    made = House(tmp_path)
    held = credentials.Credentials(settings(made.tls, 104, archive_tls=ClientTls(made.ca.certificate)), now=0.0)
    said: list[object] = []

    def report(place: str, error: TlsFilesError | None) -> None:
        said.append((place, error))

    rules = settings(None, 104).rules
    main = Route(Direction.TO_ARCHIVE, rules.archives[0], rules.peers[0], ())
    first = held.of_listener("outside"), held.of_called(main)
    held.sweep(3599.0, report)
    assert (held.of_listener("outside"), held.of_called(main)) == first
    held.sweep(3600.0, report)
    assert held.of_listener("outside") is not first[0]
    assert held.of_called(main) is not first[1]
    assert said == []
    assert held.of_listener("other") is held.of_called(replace(main, direction=Direction.TO_PEER)) is None
    made.ca.certificate.unlink()
    held.sweep(3601.0, report)
    assert [place for place, _ in said] == ["listener[outside]", "archive[main]"]  # type: ignore[misc]
    made.journal.close()
    made.loop.close()
