"""What is no archive, or a bad one, gets no verdicts, holds nobody up, and costs no memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO

import pytest
from rich.console import Console

from assess import strangers
from assess.scene import everything, outcomes, prober
from assess.strangers import Behaviour, listening
from dicomgate.assess.dialogue import Patience
from dicomgate.assess.document import target_document
from dicomgate.assess.line import Endpoint, Line, SocketDialer, Tls
from dicomgate.assess.model import Outcome, State
from dicomgate.assess.survey import survey
from dicomgate.assess.text import print_target

IMPATIENT = Patience(connect=0.5, answer=0.5, operation=1.0, release=0.3, most_bytes=1024 * 1024)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (strangers.web, "not in DICOM (http)"),
        (strangers.shell, "not in DICOM (ssh)"),
        (strangers.silent, "did not answer in time"),
        (strangers.tarpit, "a part of an answer"),
        (strangers.resetting, "without an answer"),
        (strangers.closing, "without an answer"),
        (strangers.liar, "more than the limit"),
        (strangers.garbage, "broken PDU"),
        (strangers.unasked, "was not proposed"),
    ],
)
def test_what_is_no_archive_gets_no_verdict(behaviour: Behaviour, why: str) -> None:
    with listening(behaviour) as stranger:
        report = survey(prober(stranger.endpoint, patience=IMPATIENT), everything(stranger.endpoint))
    assert report.state is State.NOT_DICOM
    assert why in report.why
    assert outcomes(report, Outcome.FAIL, Outcome.PASS) == {}
    assert report.incomplete
    assert report.connections <= 2  # in clear, and over TLS: then it is left alone
    assert stranger.sent < 16 * 1024 * 1024  # what a socket buffers; a client that read on would take it all


def test_nothing_listens() -> None:
    with listening(strangers.silent) as stranger:
        endpoint = stranger.endpoint
    report = survey(prober(endpoint), everything(endpoint))
    assert report.state is State.UNREACHABLE
    assert "connection refused" in report.why
    assert outcomes(report, Outcome.FAIL, Outcome.PASS) == {}
    assert report.connections == 1


def test_what_accepts_everything_proves_nothing() -> None:
    with listening(strangers.decoy) as stranger:
        report = survey(prober(stranger.endpoint, patience=IMPATIENT), everything(stranger.endpoint))
    assert report.state in (State.INDISCRIMINATE, State.STOPPED)
    assert outcomes(report, Outcome.FAIL) == {}
    assert "accepts an application context" in report.result("ADM-01").judgement.why


def test_who_stops_answering_is_left_alone() -> None:
    with listening(strangers.forgetful) as stranger:
        report = survey(prober(stranger.endpoint, patience=IMPATIENT), everything(stranger.endpoint))
    assert report.state is State.STOPPED
    assert "no longer answers as at first" in report.why
    assert report.connections <= 4
    assert outcomes(report, Outcome.PASS) == {}
    assert report.result("AZ-02").outcome is Outcome.INCONCLUSIVE


def test_a_find_without_end_is_cut_off_and_its_names_go_nowhere() -> None:
    with listening(strangers.endless) as stranger:
        report = survey(prober(stranger.endpoint, patience=IMPATIENT), everything(stranger.endpoint))
    assert report.result("AZ-03").outcome is Outcome.FAIL
    assert report.result("AZ-03").judgement.evidence[-1].value is True
    written = StringIO()
    print_target(report, Console(file=written, width=200))
    for text in (json.dumps(target_document(report)), written.getvalue()):
        assert "PLANTED" not in text


@dataclass(slots=True)
class Counting:
    """A dialer that knows how many of its lines are open. (The stranger notices on a busy machine late what closed.)"""

    now: int = 0
    most: int = 0

    def open(self, endpoint: Endpoint, tls: Tls | None, deadline: float) -> Line:
        line = SocketDialer().open(endpoint, tls, deadline)
        self.now += 1
        self.most = max(self.most, self.now)
        return CountedLine(line, self)


class CountedLine:
    def __init__(self, line: Line, counting: Counting) -> None:
        self._line, self._counting, self._closed = line, counting, False
        self.certificate, self.tls_version = line.certificate, line.tls_version
        self.send, self.receive = line.send, line.receive

    def close(self) -> None:
        self._line.close()
        self._counting.now -= not self._closed
        self._closed = True


def test_one_connection_at_a_time() -> None:
    counting = Counting()
    with listening(strangers.rejecting) as stranger:
        report = survey(prober(stranger.endpoint, dialer=counting), everything(stranger.endpoint))
    assert counting.most == 5 + 1, "ROB-02 holds five and asks once more"
    assert counting.now == 0
    assert report.state is State.ASSESSED
    assert outcomes(report, Outcome.FAIL).keys() == {"TLS-01", "ROB-01", "ROB-03", "ROB-04"}


def test_the_cap_holds() -> None:
    with listening(strangers.rejecting) as stranger:
        capped = prober(stranger.endpoint)
        capped.tempo = type(capped.tempo)(interval=0.0, most_connections=5)
        report = survey(capped, everything(stranger.endpoint))
        assert stranger.connections <= 5
    assert report.state is State.STOPPED
    assert "cap of 5" in report.why


def test_an_interruption_ends_it_at_the_next_connection() -> None:
    asked: list[Endpoint] = []
    with listening(strangers.rejecting) as stranger:
        interrupted = prober(stranger.endpoint)
        interrupted.halted = lambda: "interrupted by the user" if interrupted.connections >= 4 else None
        report = survey(interrupted, everything(stranger.endpoint))
        asked.append(stranger.endpoint)
        assert stranger.connections == 4
    assert report.state is State.STOPPED
    assert report.why == "interrupted by the user"
