"""`--dry-run` shows what a run would send, and opens no connection."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from assess.scene import everything, outcomes, prober
from dicomgate.assess.inputs import DICOM_PORTS, Inputs, User
from dicomgate.assess.line import Endpoint
from dicomgate.assess.model import Consent, Outcome, State
from dicomgate.assess.prober import Tempo
from dicomgate.assess.rehearsal import RehearsalClock, RehearsalDialer
from dicomgate.assess.survey import survey

TARGET = Endpoint("127.0.0.1", 104)


@pytest.fixture
def nobody_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a rehearsal connected")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("nobody_connects")
@pytest.mark.parametrize("over_tls", [False, True])
def test_everything_is_shown(over_tls: bool) -> None:
    said: list[str] = []
    clock = RehearsalClock()
    inputs = Inputs(known_calling="CT1", planted_study="1.2.3", move_to="OTHER", test_user=User("test"), ports=(11112,))
    rehearsed = replace(
        prober(TARGET, inputs=inputs, dialer=RehearsalDialer("ARCHIVE", said.append, over_tls=over_tls)),
        sleep=clock.sleep,
        now=clock.now,
        rehearsal=True,
    )
    report = survey(rehearsed, everything(TARGET))
    assert report.state is State.ASSESSED, report.why
    text = "\n".join(said)
    for word in ("A-ASSOCIATE-RQ", "C-ECHO-RQ", "C-FIND-RQ", "C-CANCEL-RQ", "C-GET-RQ", "C-MOVE-RQ", "C-STORE-RQ"):
        assert word in text
    for word in ("N-CREATE-RQ", "N-ACTION-RQ", "A-RELEASE-RQ", "malformed on purpose", "type 5", 'from "DGCANARY-'):
        assert word in text
    assert ("TLS handshake with a client certificate" in text) is over_tls
    assert text.count("connect to") == report.connections
    # In hexadecimal, too: the first PDU begins with its type and ends with the version name.
    assert "01 00 00 00 00" in text
    assert bytes.fromhex("53455353") == b"SESS"


@pytest.mark.usefixtures("nobody_connects")
def test_without_consent_little_is_shown() -> None:
    said: list[str] = []
    clock = RehearsalClock()
    rehearsed = replace(
        prober(TARGET, dialer=RehearsalDialer("ARCHIVE", said.append)), sleep=clock.sleep, now=clock.now
    )
    report = survey(rehearsed, Consent())
    text = "\n".join(said)
    assert "C-ECHO-RQ" in text
    assert not any(word in text for word in ("C-FIND-RQ", "C-STORE-RQ", "C-GET-RQ", "C-MOVE-RQ", "malformed"))
    assert outcomes(report, Outcome.FAIL)


@pytest.mark.usefixtures("nobody_connects")
@pytest.mark.parametrize("over_tls", [False, True])
def test_a_default_run_is_short_at_its_polite_pace(over_tls: bool) -> None:
    """Two minutes are promised. Less than half of them is pauses between connections; the rest is for slow answers."""
    clock = RehearsalClock()
    inputs = Inputs(known_calling="CT1", ports=tuple(port for port in DICOM_PORTS if port != TARGET.port))
    dialer = RehearsalDialer("ARCHIVE", lambda line: None, over_tls=over_tls)
    tempo = Tempo()
    polite = replace(
        prober(TARGET, inputs=inputs, dialer=dialer, tempo=tempo), sleep=clock.sleep, now=clock.now, rehearsal=True
    )
    report = survey(polite, Consent())
    assert report.state is State.ASSESSED, report.why
    assert tempo.interval == 1.0, "a connection a second"
    assert clock.now() == pytest.approx(report.connections - 1), "nothing but the pauses takes time here"
    assert report.connections <= 45
