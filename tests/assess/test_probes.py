"""Probes on loopback: what each asks, and that what comes is neither read further nor kept than it must be."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from assess import strangers
from assess.scene import FAST, QUICK, outcomes, prober
from assess.strangers import Behaviour, Stranger, listening
from dicomgate.assess.checks import (
    exp04_shadow_listeners,
    exp06_dicomweb,
    exp07_channel_bypass,
    fpr02_stored_files,
    log01_canary,
    tls01_plaintext,
    tls09_dual_stack,
)
from dicomgate.assess.inputs import Inputs, WebService
from dicomgate.assess.line import Endpoint, KeyPair, Line, Tls
from dicomgate.assess.model import Consent, Judgement, Outcome, SkipReason, State
from dicomgate.assess.prober import Stopped
from dicomgate.assess.rehearsal import RehearsalClock, RehearsalDialer
from dicomgate.assess.suites import sslyze_is_installed
from dicomgate.assess.survey import survey
from lab.pki import SERVER, Authority, Identity


def test_one_a_second_and_a_cap() -> None:
    clock = RehearsalClock()
    opened: list[float] = []

    class Noting(RehearsalDialer):
        def open(self, endpoint: Endpoint, tls: Tls | None, deadline: float) -> Line:
            opened.append(clock.now())
            return super().open(endpoint, tls, deadline)

    slow = replace(
        prober(Endpoint("127.0.0.1", 104), dialer=Noting("ARCHIVE", lambda line: None)),
        tempo=replace(FAST, interval=1.0, most_connections=60),
        sleep=clock.sleep,
        now=clock.now,
    )
    report = survey(slow, Consent())
    assert report.state is State.ASSESSED
    assert len(opened) == report.connections <= 60
    assert all(after - before >= 1.0 for before, after in pairwise(opened))
    assert opened[-1] < 120  # a default assessment takes less than two minutes


def test_other_ports_are_asked_in_the_scope_only() -> None:
    with ExitStack() as stack:
        own, shadow, foreign = (stack.enter_context(listening(strangers.rejecting)) for _ in range(3))
        inputs = Inputs(ports=(shadow.endpoint.port, foreign.endpoint.port), declared=frozenset({own.endpoint}))
        asking = prober(own.endpoint, inputs=inputs)
        asking.permits = lambda endpoint: endpoint == shadow.endpoint
        found = exp04_shadow_listeners.PROCEDURE.run(asking)
        assert found.outcome is Outcome.FAIL
        assert str(shadow.endpoint.port) in found.why
        assert foreign.connections == 0
        assert tls01_plaintext.PROCEDURE.run(asking).outcome is Outcome.FAIL
        with pytest.raises(ValueError, match="is not in the scope"):
            asking.ask_port(foreign.endpoint)


def test_the_way_around_a_channel() -> None:
    with listening(strangers.silent) as target, listening(strangers.rejecting) as beyond:
        asking = prober(target.endpoint, inputs=Inputs(beyond_channel=(beyond.endpoint,)))
        assert exp07_channel_bypass.PROCEDURE.run(asking).outcome is Outcome.FAIL
        asking.permits = lambda endpoint: False
        outside = exp07_channel_bypass.PROCEDURE.run(asking)
        assert outside.skipped is SkipReason.SCOPE
        assert beyond.connections == 1


def studies(stranger: Stranger, connection: socket.socket) -> None:
    """DICOMweb that lists patients to everybody, without end."""
    connection.recv(65536)
    stranger.send(connection, b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n\r\n[")
    while not stranger.ended.is_set():
        stranger.send(connection, strangers.NAME * 1000)


def test_dicomweb_is_not_read_beyond_its_headers() -> None:
    with listening(strangers.rejecting) as target, listening(studies) as web:
        service = WebService(
            "http://x/dicom-web", f"127.0.0.1:{web.endpoint.port}", web.endpoint, "/dicom-web", tls=False
        )
        found = exp06_dicomweb.PROCEDURE.run(prober(target.endpoint, inputs=Inputs(dicomweb=(service,))))
    assert found.outcome is Outcome.FAIL
    assert "PLANTED" not in repr(found)
    assert web.sent < 8 * 1024 * 1024


def test_the_canary_is_found_when_it_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "siem.log"
    log.write_text("DGCANARY-000000 of last year\n")

    def logging(stranger: Stranger, connection: socket.socket) -> None:
        calling = strangers.request_of(connection).calling_ae_title
        with log.open("ab") as file:
            file.write(b"x" * 10_000 + calling + b"\n")
        connection.recv(65536)

    with listening(logging) as stranger:
        asking = prober(stranger.endpoint, inputs=Inputs(watch=log), patience=replace(QUICK, answer=0.3))
        seen = log01_canary.PROCEDURE.probe(asking)
    assert not isinstance(seen, Judgement)
    assert seen.detected_after is not None
    with listening(strangers.rejecting) as stranger:
        deaf = log01_canary.PROCEDURE.run(prober(stranger.endpoint, inputs=Inputs(watch=log)))
    assert deaf.outcome is Outcome.FAIL


def test_a_log_that_is_rotated_away(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log01_canary.appears(log, "DGCANARY-1", 0) == (False, 0)
    log.write_bytes(b"x" * 100)
    found, start = log01_canary.appears(log, "DGCANARY-1", 0)
    assert not found
    log.write_bytes(b"DGCANARY-1")  # shorter than before: a new file
    assert log01_canary.appears(log, "DGCANARY-1", start)[0]


def test_stored_files_are_counted_and_not_named(tmp_path: Path) -> None:
    meta = b"DICM" + b"\x02\x00\x03\x00UI"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(bytes(128) + meta + (4).to_bytes(2, "little") + b"1.2\0")
    (tmp_path / "b").write_bytes(b"\x7fELF".ljust(128, b"\0") + meta + (4).to_bytes(2, "little") + b"1.3\0")
    (tmp_path / "c").write_bytes(bytes(128) + meta + (6).to_bytes(2, "little") + b"../../")
    (tmp_path / "d").write_bytes(b"#!/bin/sh")  # no DICOM: not this check's business
    (tmp_path / "loop").symlink_to(tmp_path)
    counts = fpr02_stored_files.count(tmp_path)
    assert (counts.files, counts.dicom, counts.executable, counts.unsafe_uid) == (4, 3, 1, 1)


@contextmanager
def over_tls(identity: Identity, behaviour: Behaviour, settle: ssl.SSLContext) -> Iterator[Stranger]:
    """A stranger behind TLS."""
    settle.load_cert_chain(identity.certificate, identity.key)

    def behave(stranger: Stranger, connection: socket.socket) -> None:
        with settle.wrap_socket(connection, server_side=True) as encrypted:
            behaviour(stranger, encrypted)

    with listening(behave) as stranger:
        yield stranger


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def test_old_tls_with_weak_suites_and_no_client_certificate(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    server = authority.issue("old", names=["127.0.0.1"], usage=[SERVER])
    with over_tls(server, strangers.endless, context) as stranger:
        report = survey(prober(stranger.endpoint), Consent())
        again = prober(stranger.endpoint, inputs=Inputs(host_name="other.example"))
        named = survey(again, Consent())
    assert report.tls
    came = {result.check.id: result.outcome for result in report.results}
    wanted = {"TLS-01": Outcome.PASS, "TLS-02": Outcome.FAIL, "TLS-04": Outcome.PASS, "TLS-05": Outcome.FAIL}
    assert {name: came[name] for name in wanted} == wanted
    assert "TLS 1.0, TLS 1.1" in report.result("TLS-02").judgement.why
    assert named.result("TLS-04").outcome is Outcome.FAIL
    if sslyze_is_installed():
        assert came["TLS-03"] is Outcome.FAIL


def test_client_certificates_are_asked_for_and_checked(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    server = authority.issue("careful", names=["127.0.0.1"], usage=[SERVER])
    client = authority.issue("client")
    inputs = Inputs(known_calling="CT1", certificate=KeyPair(client.certificate, client.key))
    with over_tls(server, strangers.endless, context) as stranger:
        report = survey(prober(stranger.endpoint, inputs=inputs), Consent())
    assert report.state is State.ASSESSED
    came = {name: report.result(name).outcome for name in ("TLS-04", "TLS-05", "TLS-06", "TLS-07", "AZ-09")}
    assert came == {
        "TLS-04": Outcome.PASS,
        "TLS-05": Outcome.PASS,
        "TLS-06": Outcome.PASS,
        "TLS-07": Outcome.FAIL,  # any title goes with any certificate
        "AZ-09": Outcome.PASS,
    }


def test_clear_beside_tls(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server = authority.issue("both", names=["127.0.0.1"], usage=[SERVER])
    with over_tls(server, strangers.endless, context) as encrypted, listening(strangers.endless) as clear:
        asking = prober(encrypted.endpoint, inputs=Inputs(ports=(clear.endpoint.port,)))
        assert tls09_dual_stack.PROCEDURE.run(asking).outcome is Outcome.FAIL


def test_a_web_server_behind_tls_is_no_archive(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server = authority.issue("web", names=["127.0.0.1"], usage=[SERVER])
    with over_tls(server, strangers.web, context) as stranger:
        report = survey(prober(stranger.endpoint), Consent())
    assert report.state is State.NOT_DICOM
    assert outcomes(report, Outcome.PASS, Outcome.FAIL) == {}


def test_a_handshake_without_end_is_given_up(authority: Authority) -> None:
    def dripping(stranger: Stranger, connection: socket.socket) -> None:
        connection.recv(65536)
        while not stranger.ended.wait(0.02):
            stranger.send(connection, b"\x16")

    with listening(dripping) as stranger:
        report = survey(prober(stranger.endpoint, patience=replace(QUICK, connect=0.4, answer=0.4)), Consent())
    assert report.state is State.NOT_DICOM


def test_the_window_ends_a_run() -> None:
    with listening(strangers.rejecting) as stranger:
        ended = prober(stranger.endpoint)
        ended.halted = lambda: "the window of the scope has ended"
        with pytest.raises(Stopped, match="window"):
            ended.pace()
        report = survey(ended, Consent())
        assert stranger.connections == 0
    assert report.state is State.STOPPED
    assert outcomes(report, Outcome.PASS, Outcome.FAIL) == {}


def test_probers_share_nothing() -> None:
    """Two targets at a time, each with its own count."""
    with listening(strangers.rejecting) as one, listening(strangers.rejecting) as other:
        reports = {}

        def assess(stranger: Stranger) -> None:
            reports[stranger.endpoint.port] = survey(prober(stranger.endpoint), Consent())

        threads = [threading.Thread(target=assess, args=(stranger,)) for stranger in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for stranger in (one, other):
            assert reports[stranger.endpoint.port].connections == stranger.connections
