"""Each way a step can go wrong is noticed, and nothing else is."""

from dataclasses import replace

import pytest

from dicomgate.demo.answers import Answered, Answers, ContextRefused, Rejected
from dicomgate.demo.archive import AssociationSeen, ConnectionSeen, OperationSeen, Seen
from dicomgate.demo.result import Result, overall_problems
from dicomgate.demo.stage import Refusal
from dicomgate.demo.steps import Step
from dicomgate.wire.codes import Reject, Status

CONNECTION = ConnectionSeen("127.0.0.1", 40000)
ASSOCIATION = AssociationSeen("CT1", "ARCHIVE", "127.0.0.1")
ECHO = OperationSeen("CT1", "C-ECHO", "verification")
REFUSAL = Refusal(1.0, "K7Q2", "association_refused", "default", "no peer has that title", "1/1/3")

ECHOED: Answers = (Answered("C-ECHO", Status.SUCCESS),)
STRANGER: Answers = (Rejected(Reject.CALLING_AE_TITLE_NOT_RECOGNIZED),)


def allowed(answers: Answers = ECHOED, seen: tuple[Seen, ...] = (CONNECTION, ASSOCIATION, ECHO)) -> Result:
    step = Step("CT1 asks", "pynetdicom", lambda: answers, (ECHOED,), "CT1", ("C-ECHO",), refused=False)
    return Result(step, 0.0, answers, seen)


def refused(answers: Answers = STRANGER, seen: tuple[Seen, ...] = ()) -> Result:
    return Result(Step("EVIL asks", "pynetdicom", lambda: answers, (STRANGER,)), 0.0, answers, seen, (REFUSAL,))


def test_what_went_well_has_no_problem() -> None:
    assert allowed().problems == ()
    assert refused().problems == ()
    assert overall_problems([allowed(), refused()], allowed().seen) == ()


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (allowed(STRANGER), "the client was not told what was expected"),
        (refused(ECHOED), "the client was not told what was expected"),
        (allowed(seen=()), "the archive should have seen one association, of CT1"),
        (allowed(seen=(CONNECTION, CONNECTION, ASSOCIATION, ECHO)), "should have seen one association"),
        (allowed(seen=(CONNECTION, replace(ASSOCIATION, calling_ae_title="EVIL"), ECHO)), "one association, of CT1"),
        (allowed(seen=(CONNECTION, ASSOCIATION)), "the archive should have seen C-ECHO"),
        (allowed(seen=(CONNECTION, ASSOCIATION, ECHO, ECHO)), "the archive should have seen C-ECHO"),
        (refused(seen=(CONNECTION,)), "the archive must not have seen anything of this"),
        (replace(refused(), refusals=()), "the gate's records hold no refusal of this"),
        (replace(allowed(), refusals=(REFUSAL,)), "the gate recorded a refusal of something allowed"),
    ],
)
def test_each_broken_expectation_is_told(result: Result, problem: str) -> None:
    (told,) = result.problems
    assert problem in told
    assert not result.held


@pytest.mark.parametrize(("comment", "held"), [("refused, see K7Q2", True), ("refused", False), ("", False)])
def test_the_client_is_told_the_recorded_refusal_id(comment: str, held: bool) -> None:
    answers: Answers = (Answered("C-STORE", Status.NOT_AUTHORIZED, comment=comment),)
    step = Step("READER1 stores", "pynetdicom", lambda: answers, (answers,), "CT1")
    assert Result(step, 0.0, answers, (CONNECTION, ASSOCIATION), (REFUSAL,)).held is held


def test_a_step_that_was_not_run_is_no_problem_and_expects_nothing_at_the_archive() -> None:
    result = Result(allowed().step, 0.0, not_run="not installed")
    assert result.held
    assert overall_problems([result], ()) == ()


def test_traces_no_step_explains_are_told() -> None:
    stray = (*allowed().seen, CONNECTION)
    assert overall_problems([allowed()], stray) == ("the archive saw 2 TCP connections, 1 were allowed",)
    assert overall_problems([allowed(seen=())], ()) != ()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answered("C-FIND", 0, matches=3), "C-FIND 0000H, success, 3 matches"),
        (Answered("C-STORE", 0xA700), "C-STORE A700H"),
        (Rejected(Reject.CALLED_AE_TITLE_NOT_RECOGNIZED), "A-ASSOCIATE-RJ 1/1/7 (called AE title not recognized)"),
        (Rejected(Reject.LOCAL_LIMIT_EXCEEDED), "A-ASSOCIATE-RJ 2/3/2"),
        (ContextRefused("CT Image Storage", 3), "context CT Image Storage refused, result 3"),
    ],
)
def test_answers_read_as_sentences(answer: object, text: str) -> None:
    assert str(answer) == text
