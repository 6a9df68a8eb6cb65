"""The transcript is readable at 80 columns, plain without a terminal, and hides nothing that went wrong."""

from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

from rich.console import Console

from dicomgate.demo.answers import Answered, Answers, Rejected
from dicomgate.demo.archive import AssociationSeen, ConnectionSeen, OperationSeen
from dicomgate.demo.result import Result
from dicomgate.demo.stage import Explanation, Refusal
from dicomgate.demo.steps import Step
from dicomgate.demo.transcript import Transcript
from dicomgate.wire.codes import Reject, Status

ECHOED: Answers = (Answered("C-ECHO", Status.SUCCESS),)
STRANGER: Answers = (Rejected(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),)
SEEN = (
    ConnectionSeen("127.0.0.1", 40000),
    AssociationSeen("CT1", "ARCHIVE", "127.0.0.1"),
    OperationSeen("CT1", "C-STORE", "CT Image Storage"),
    OperationSeen("CT1", "C-STORE", "CT Image Storage"),
)
REFUSED = Result(
    Step("Somebody types CT2, but calls from another network", "pynetdicom", lambda: STRANGER, (STRANGER,)),
    0.0,
    STRANGER,
    (),
    (Refusal(1.0, "K7Q2", "association_refused", "peer[ct-2].networks", "CT2 is peer ct-2, but not there", "1/1/3"),),
)


def written(*results: Result) -> str:
    output = StringIO()
    transcript = Transcript(Console(file=output, width=80))
    for result in results:
        transcript.step(result)
    return output.getvalue()


def test_a_step_on_one_line_with_its_details_below() -> None:
    lines = written(REFUSED).splitlines()
    assert lines == [
        "✓ Somebody types CT2, but calls from another network                  pynetdicom",
        "    expected  A-ASSOCIATE-RJ 1/1/3 (calling AE title not recognized)",
        "    happened  A-ASSOCIATE-RJ 1/1/3 (calling AE title not recognized)",
        "    archive   saw nothing, not even a connection",
        "    refusal   K7Q2: CT2 is peer ct-2, but not there [peer[ct-2].networks]",
    ]


def test_what_went_wrong_stands_out() -> None:
    text = written(Result(REFUSED.step, 0.0, ECHOED, SEEN))
    assert text.startswith("✗")
    assert "WRONG     the client was not told what was expected" in text
    assert "WRONG     the archive must not have seen anything of this" in text
    assert "WRONG     the gate's records hold no refusal of this" in text
    assert "saw an association of CT1: C-STORE x 2" in text


def test_what_was_not_run_says_why() -> None:
    text = written(Result(REFUSED.step, 0.0, not_run="DCMTK's echoscu is not installed"))
    assert text.startswith("-")
    assert "not run   DCMTK's echoscu is not installed" in text


def test_a_terminal_without_unicode_gets_other_marks() -> None:
    output = TextIOWrapper(BytesIO(), encoding="iso-8859-1")
    transcript = Transcript(Console(file=output, width=80))
    transcript.opening()
    transcript.step(REFUSED)
    transcript.next()
    transcript.kept(Path("kept"))
    output.flush()
    assert b"\n+ Somebody types CT2" in output.buffer.getvalue()


def test_every_line_fits() -> None:
    output = StringIO()
    transcript = Transcript(Console(file=output, width=80))
    transcript.opening()
    transcript.chapter("Refused at the door")
    transcript.step(REFUSED)
    transcript.explanation(Explanation("dicomgate explain K7Q2", "refused by [peer[ct-2].networks]\n" + "why " * 40))
    transcript.archive_log(SEEN)
    transcript.closing([REFUSED], SEEN, ["something " * 20])
    transcript.closing([REFUSED], SEEN, [])
    transcript.next()
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "refused by [peer[ct-2].networks]" in text  # not swallowed as markup
    assert "1 of 1 as expected, 0 not run" in text
