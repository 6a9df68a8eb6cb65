"""Servers that are slow, dead, lying or garbage: nobody gets in, nobody else waits, and the next server is asked."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as times
from hypothesis import strategies as st

from dicomgate.iam import ber
from dicomgate.iam.ldap import connection, servers
from dicomgate.iam.ldap.settings import Server
from dicomgate.identity.verifier import Refuted, Unavailable, Verified
from iam.ldap.conftest import Make
from iam.ldap.fake_directory import (
    ALICE,
    BIND,
    EXTENDED,
    SEARCH,
    Request,
    Wire,
    conversation,
    directory,
    encrypted,
    entry,
    honest,
    result,
    settings,
)
from iam.presented import passcode
from lab.pki import SERVER, Authority
from lab.process import free_address

NOW = 1_700_000_000.0
ALICES = passcode("alice", "alice secret")


def silent(wire: Wire) -> None:
    while wire.socket.recv(4096):
        pass


def closes(wire: Wire) -> None:
    pass


def closes_after_reading(wire: Wire) -> None:
    wire.request()


def half(wire: Wire) -> None:
    asked = wire.request()
    wire.send(result(asked.number, 0x61)[:-3])
    silent(wire)


def half_and_closes(wire: Wire) -> None:
    asked = wire.request()
    wire.send(result(asked.number, 0x61)[:-3])


def garbage(wire: Wire) -> None:
    wire.request()
    wire.send(b"\xff" * 100)
    silent(wire)


def http(wire: Wire) -> None:
    wire.request()
    wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def endless(wire: Wire) -> None:
    wire.request()
    wire.send(b"\x30\x84\x7f\xff\xff\xff")
    while True:
        wire.send(bytes(65536))


def without_length(wire: Wire) -> None:
    wire.request()
    wire.send(b"\x30\x80" + bytes(100))
    silent(wire)


def drips(wire: Wire) -> None:
    asked = wire.request()
    for byte in result(asked.number, 0x61, 0, "x" * 100):
        wire.send(bytes((byte,)))
        time.sleep(0.05)


def another_number(wire: Wire) -> None:
    asked = wire.request()
    wire.answer(asked, 0x61, number=asked.number + 1)
    silent(wire)


def about_to_close(wire: Wire) -> None:
    """RFC 4511 4.4.1: a notice of disconnection has the message ID 0."""
    asked = wire.request()
    wire.answer(asked, 0x78, 52, number=0)


def another_answer(wire: Wire) -> None:
    while True:
        wire.answer(wire.request(), 0x78)


BAD: list[Callable[[Wire], None]] = [
    silent,
    closes,
    closes_after_reading,
    half,
    half_and_closes,
    garbage,
    http,
    endless,
    without_length,
    drips,
    another_number,
    about_to_close,
    another_answer,
]


@pytest.mark.parametrize("script", BAD)
def test_a_bad_server_lets_nobody_in_and_the_next_one_is_asked(
    make: Make, secret: Path, script: Callable[[Wire], None]
) -> None:
    with directory(script) as bad, directory(conversation(honest)) as good:
        alone = make(settings(secret, bad.server())).verify(ALICES, NOW)
        assert isinstance(alone, Unavailable)
        assert str(bad.server()) in alone.reason
        both = make(settings(secret, bad.server(), good.server()))
        assert isinstance(both.verify(ALICES, NOW), Verified)
        seen = bad.connections
        assert isinstance(both.verify(ALICES, NOW), Verified)
        assert bad.connections == seen, "a server that failed is passed over"


@pytest.mark.parametrize("script", BAD)
@pytest.mark.parametrize("step", ["search", "user's bind"])
def test_a_server_that_turns_bad_later(make: Make, secret: Path, script: Callable[[Wire], None], step: str) -> None:
    def turns(wire: Wire) -> None:
        while True:
            asked = wire.request()
            at = "search" if asked.operation.tag == SEARCH else "user's bind" if asked.dn == ALICE else ""
            if at == step:
                break
            honest(wire, asked)
        again = Wire(wire.socket)
        again.request = lambda: asked  # type: ignore[method-assign]
        if script is another_answer:
            wire.answer(asked, 0x78)
        else:
            script(again)

    with directory(turns) as bad:
        found = make(settings(secret, bad.server())).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)


def test_nobody_listens(make: Make, secret: Path) -> None:
    address = free_address()
    dead = Server(address.host, address.port, tls_at_once=False)
    found = make(settings(secret, dead)).verify(ALICES, NOW)
    assert found == Unavailable(f"{dead}: connection refused")


def test_a_name_without_an_address(make: Make, secret: Path) -> None:
    found = make(settings(secret, Server("directory.invalid", 389, tls_at_once=False))).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)


def test_while_one_waits_others_go_on(make: Make, secret: Path) -> None:
    """What the libraries around libldap do not grant: with them a silent server stops the whole process."""
    counted = itertools.count()
    done = threading.Event()

    def count() -> None:
        while not done.wait(0.01):
            next(counted)

    counter = threading.Thread(target=count)
    counter.start()
    with directory(silent) as bad:
        found = make(settings(secret, bad.server(), operation_timeout=0.5)).verify(ALICES, NOW)
    done.set()
    counter.join()
    assert isinstance(found, Unavailable)
    assert next(counted) > 5


def test_a_whole_verification_ends_in_time_however_many_servers_are_silent(make: Make, secret: Path) -> None:
    """Each server would be allowed a second; together they get half of one."""
    with directory(silent) as one, directory(silent) as other, directory(silent) as third:
        made = settings(secret, one.server(), other.server(), third.server(), operation_timeout=1.0, total_timeout=0.5)
        found = make(made).verify(ALICES, NOW)
        assert isinstance(found, Unavailable)
        assert one.connections + other.connections + third.connections == 1


def test_after_all_have_failed_nobody_waits_for_a_moment(
    make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "ALL_FAILED", 60.0)
    with directory(silent) as bad:
        verifier = make(settings(secret, bad.server()))
        first, second = verifier.verify(ALICES, NOW), verifier.verify(ALICES, NOW)
        assert isinstance(first, Unavailable)
        assert second == first
        assert bad.connections == 1
        monkeypatch.setattr(servers, "ALL_FAILED", 0.0)
        assert isinstance(verifier.verify(ALICES, NOW), Unavailable)
        assert bad.connections > 1


def test_a_server_that_is_back_is_asked_again(make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ill = threading.Event()
    ill.set()

    def sometimes(wire: Wire) -> None:
        (closes_after_reading if ill.is_set() else conversation(honest))(wire)

    with directory(sometimes) as first, directory(conversation(honest)) as second:
        verifier = make(settings(secret, first.server(), second.server()))
        verifier.verify(ALICES, NOW)
        assert isinstance(verifier.verify(ALICES, NOW), Verified)
        ill.clear()
        before = first.connections
        assert isinstance(verifier.verify(ALICES, NOW), Verified)
        assert first.connections == before
        monkeypatch.setattr(servers, "PASSED_OVER", 0.0)
        assert isinstance(verifier.verify(ALICES, NOW), Verified)
        assert first.connections > before


def test_a_connection_that_died_in_the_pool_is_replaced_unseen(make: Make, secret: Path) -> None:
    wires: list[Wire] = []

    def remembered(wire: Wire) -> None:
        wires.append(wire)
        conversation(honest)(wire)

    with directory(remembered) as server:
        verifier = make(settings(secret, server.server()))
        assert isinstance(verifier.verify(ALICES, NOW), Verified)
        for wire in wires:
            wire.socket.close() if wire.socket.fileno() < 0 else wire.socket.shutdown(socket.SHUT_RDWR)
        assert isinstance(verifier.verify(ALICES, NOW), Verified)


def test_an_idle_connection_is_not_trusted_for_ever(make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        verifier = make(settings(secret, server.server()))
        verifier.verify(ALICES, NOW)
        monkeypatch.setattr(servers, "LONGEST_IDLE", 0.0)
        verifier.verify(ALICES, NOW)
    assert [request.dn for request in log if request.operation.tag == BIND].count("cn=gate,dc=x") == 2


def test_when_all_connections_are_busy_it_is_said(make: Make, secret: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def waits(wire: Wire, request: Request) -> None:
        asked.set()
        go_on.wait(10)
        honest(wire, request)

    with directory(conversation(waits)) as server, ThreadPoolExecutor(1) as pool:
        made = settings(secret, server.server(), connections=1, operation_timeout=10.0, total_timeout=10.0)
        verifier = make(made)
        first = pool.submit(verifier.verify, ALICES, NOW)
        assert asked.wait(10)
        verifier._settings = replace(made, total_timeout=0.2)
        second = verifier.verify(ALICES, NOW)
        go_on.set()
        assert isinstance(first.result(10), Verified)
    assert second == Unavailable("all 1 connections for searches are busy")


def test_a_flood_of_entries_is_cut_off(make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def floods(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH:
            while True:
                wire.send(entry(asked.number, ALICE, uid=["alice"]))
        honest(wire, asked)

    with directory(conversation(floods)) as server:
        found = make(settings(secret, server.server())).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)
    assert "more entries than it was asked for" in found.reason


def test_an_answer_without_end_is_cut_off(make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_ANSWER", 10_000)

    def references(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH:
            reference = ber.encode(0x73, ber.octets("ldap://other.example"))
            while True:
                wire.send(ber.encode(ber.SEQUENCE, ber.integer(asked.number), reference))
        honest(wire, asked)

    with directory(conversation(references)) as server:
        found = make(settings(secret, server.server(), operation_timeout=5.0)).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)
    assert "longer than 10000 bytes" in found.reason


@times(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=80))
def test_whatever_it_sends_nobody_gets_in(make: Make, secret: Path, sent: bytes) -> None:
    def sends(wire: Wire) -> None:
        wire.request()
        wire.send(sent)

    with directory(sends) as bad:
        found = make(settings(secret, bad.server())).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)


# TLS: what an attacker on the way would do.


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def start_tls(wire: Wire) -> Request:
    asked = wire.request()
    assert asked.operation.tag == EXTENDED
    return asked


def test_without_start_tls_nothing_secret_is_sent(make: Make, secret: Path, authority: Authority) -> None:
    """An attacker who takes StartTLS away gets no passcode, not even the service account's."""
    log: list[Request] = []

    def refuses(wire: Wire, asked: Request) -> None:
        wire.answer(asked, 0x78 if asked.operation.tag == EXTENDED else 0x61, 2)

    with directory(conversation(refuses, log)) as server:
        found = make(settings(secret, server.server(), ca=authority.certificate)).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)
    assert "refuses StartTLS" in found.reason
    assert [request.operation.tag for request in log] == [EXTENDED]


def test_what_was_said_before_tls_does_not_count(make: Make, secret: Path, authority: Authority) -> None:
    """A response that is put in behind that to StartTLS must not pass for one to the bind that follows."""
    identity = authority.issue("slapd", names=["127.0.0.1"], usage=(SERVER,))

    def injects(wire: Wire) -> None:
        asked = start_tls(wire)
        wire.send(result(asked.number, 0x78) + result(asked.number + 1, 0x61))
        conversation(honest)(encrypted(wire, identity.certificate, identity.key))

    with directory(injects) as server:
        found = make(settings(secret, server.server(), ca=authority.certificate)).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)
    assert "between StartTLS and TLS" in found.reason


def secured(authority: Authority, names: list[str], *, at_once: bool) -> Callable[[Wire], None]:
    identity = authority.issue(names[0], names=names, usage=(SERVER,))

    def script(wire: Wire) -> None:
        if not at_once:
            wire.answer(start_tls(wire), 0x78)
        conversation(honest)(encrypted(wire, identity.certificate, identity.key))

    return script


@pytest.mark.parametrize("at_once", [True, False])
def test_tls_with_the_right_certificate(make: Make, secret: Path, authority: Authority, at_once: bool) -> None:
    with directory(secured(authority, ["127.0.0.1"], at_once=at_once)) as server:
        made = settings(secret, server.server(tls_at_once=at_once), ca=authority.certificate)
        assert isinstance(make(made).verify(ALICES, NOW), Verified)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_certificate_of_somebody_else_s(make: Make, secret: Path, authority: Authority, at_once: bool) -> None:
    with directory(secured(authority, ["ldap.other.example"], at_once=at_once)) as server:
        made = settings(secret, server.server(tls_at_once=at_once), ca=authority.certificate)
        found = make(made).verify(ALICES, NOW)
    assert isinstance(found, Unavailable)
    assert "its certificate is not accepted" in found.reason


@pytest.mark.parametrize("at_once", [True, False])
def test_silence_in_place_of_tls(make: Make, secret: Path, authority: Authority, at_once: bool) -> None:
    def says_yes_and_no_more(wire: Wire) -> None:
        if not at_once:
            wire.answer(start_tls(wire), 0x78)
        silent(wire)

    with directory(says_yes_and_no_more) as server:
        made = settings(secret, server.server(tls_at_once=at_once), ca=authority.certificate, connect_timeout=0.4)
        found = make(made).verify(ALICES, NOW)
    assert found == Unavailable(f"{server.server(tls_at_once=at_once)}: no answer in time")


def test_authorities_are_read_again_when_the_file_changes(
    make: Make, secret: Path, authority: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    other = Authority(tmp_path / "other", "other")
    ca.write_bytes(authority.certificate.read_bytes())
    with (
        directory(secured(authority, ["127.0.0.1"], at_once=True)) as old,
        directory(secured(other, ["127.0.0.1"], at_once=True)) as new,
    ):
        verifier = make(settings(secret, old.server(tls_at_once=True), new.server(tls_at_once=True), ca=ca))
        assert isinstance(verifier.verify(ALICES, NOW), Verified)
        assert new.connections == 0
        ca.write_bytes(other.certificate.read_bytes() + b"\n")
        assert isinstance(verifier.verify(ALICES, NOW), Verified)
        assert new.connections > 0
        ca.unlink()
        gone = verifier.verify(ALICES, NOW)
    assert isinstance(gone, Unavailable)
    assert f"the authorities in {ca} cannot be read" in gone.reason


def test_a_wrong_passcode_stays_wrong_while_another_server_is_down(make: Make, secret: Path) -> None:
    with directory(closes) as bad, directory(conversation(honest)) as good:
        verifier = make(settings(secret, bad.server(), good.server()))
        verifier.verify(ALICES, NOW)
        assert isinstance(verifier.verify(passcode("alice", "wrong"), NOW), Refuted)
