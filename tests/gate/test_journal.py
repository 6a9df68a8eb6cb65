"""The log: one JSON object a line whatever the strings, bounded, and never in the way."""

import errno
import io
import json
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.gate.journal import Journal


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_a_line_with_what_it_holds_and_nothing_empty() -> None:
    stream = io.StringIO()
    journal = Journal(stream)
    journal.record(
        Record(
            1.0,
            Event.ASSOCIATION_REFUSED,
            Outcome.REFUSED,
            refusal_id="7KQ2M9XH",
            rule="default",
            calling_ae_title="",
            bytes=0,
            detail={"presentation_contexts": 3},
        )
    )
    journal.close()
    (line,) = lines(stream)
    assert line.pop("time")
    assert line == {
        "level": "warning",
        "event": "association_refused",
        "outcome": "refused",
        "refusal_id": "7KQ2M9XH",
        "rule": "default",
        "bytes": 0,
        "detail": {"presentation_contexts": 3},
    }


def test_routine_is_left_out_unless_it_went_wrong_or_is_asked_for() -> None:
    quiet, verbose = io.StringIO(), io.StringIO()
    for stream in (quiet, verbose):
        journal = Journal(stream, verbose=stream is verbose)
        journal.record(Record(1.0, Event.OPERATION, Outcome.SUCCESS))
        journal.record(Record(2.0, Event.OPERATION, Outcome.WOULD_REFUSE))
        journal.record(Record(3.0, Event.ASSOCIATION_ENDED, Outcome.SUCCESS))
        journal.close()
    assert [line["outcome"] for line in lines(quiet)] == ["would_refuse", "success"]
    assert [line["outcome"] for line in lines(verbose)] == ["success", "would_refuse", "success"]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(), max_size=3), max_size=5))
@settings(max_examples=50)
def test_one_json_object_a_line_whatever_the_strings(said: list[dict[str, str]]) -> None:
    """Also line separators of Unicode and lone surrogates, which some readers take for line ends or errors."""
    stream = io.StringIO()
    journal = Journal(stream)
    for values in (*said, {"a": "\n{}\r\u2028\ud800\x1b[2J"}):
        journal.say("info", "test", **values)
    journal.close()
    written = stream.getvalue().encode("ascii").split(b"\n")
    assert written.pop() == b""
    assert [json.loads(line) for line in written] == [
        {"time": json.loads(line)["time"], "level": "info", "event": "test", **values}
        for line, values in zip(written, (*said, {"a": "\n{}\r\u2028\ud800\x1b[2J"}), strict=True)
    ]


class Stuck(io.StringIO):
    """A stream that nobody reads until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.release = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.release.wait(20)
        return super().write(text)


def test_a_stuck_stream_stops_nobody_and_what_did_not_fit_is_counted() -> None:
    stream = Stuck()
    journal = Journal(stream)
    journal.say("info", "first")
    assert stream.reached.wait(20)
    for number in range(25_000):  # on the test's own thread: it would hang here if the journal blocked
        journal.say("info", "more", number=number)
    stream.release.set()
    journal.close(timeout=20)
    told = lines(stream)
    kept = [line["number"] for line in told if line["event"] == "more"]
    assert kept == list(range(10_000))
    assert [line["count"] for line in told if line["event"] == "log_lines_lost"] == [15_000]


def test_closing_does_not_wait_for_a_stuck_stream() -> None:
    stream = Stuck()
    journal = Journal(stream)
    journal.say("info", "first")
    assert stream.reached.wait(20)
    journal.close(timeout=0.01)
    stream.release.set()


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = threading.Event()

    def write(self, text: str) -> int:
        self.tried.set()
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_stream_that_is_gone_ends_the_log_and_nothing_else() -> None:
    stream = Gone()
    journal = Journal(stream)
    journal.say("info", "first")
    assert stream.tried.wait(20)
    for _ in range(20_000):
        journal.say("info", "more")
    journal.close()
    assert stream.getvalue() == ""


class FullOnce(io.StringIO):
    """A stream on a disk that is full for one write."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = threading.Event()

    def write(self, text: str) -> int:
        if not self.refused.is_set():
            self.refused.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_the_lines_it_had_no_room_for_and_says_how_many() -> None:
    stream = FullOnce()
    journal = Journal(stream)
    journal.say("info", "lost")
    assert stream.refused.wait(10.0)
    journal.say("info", "kept")
    journal.close()
    assert [line["event"] for line in lines(stream)] == ["kept", "log_lines_lost"]
    assert lines(stream)[1]["count"] == 1
