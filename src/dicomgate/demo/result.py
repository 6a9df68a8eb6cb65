"""Expectation against reality: a step, the answers, the archive's log and the gate's records in, problems out."""

from collections.abc import Sequence
from dataclasses import dataclass

from dicomgate.demo.answers import Answered, Answers
from dicomgate.demo.archive import AssociationSeen, ConnectionSeen, OperationSeen, Seen
from dicomgate.demo.stage import Refusal
from dicomgate.demo.steps import Step
from dicomgate.wire.codes import Status


@dataclass(frozen=True, slots=True)
class Result:
    """A step that was played, or `not_run` with the reason. `began` is seconds since 1970."""

    step: Step
    began: float
    answers: Answers = ()
    seen: tuple[Seen, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    not_run: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What was not as expected, one text each; empty when the step held or was not run."""
        if self.not_run:
            return ()
        found = (self._answer_problem(), self._archive_problem(), self._record_problem(), self._told_id_problem())
        return tuple(problem for problem in found if problem)

    @property
    def held(self) -> bool:
        return not self.problems

    def _answer_problem(self) -> str | None:
        return None if self.answers in self.step.expected else "the client was not told what was expected"

    def _archive_problem(self) -> str | None:
        callers = [one.calling_ae_title for one in self.seen if isinstance(one, AssociationSeen)]
        connections = sum(isinstance(one, ConnectionSeen) for one in self.seen)
        operations = tuple(one.command for one in self.seen if isinstance(one, OperationSeen))
        if self.step.caller is None:
            return "the archive must not have seen anything of this" if self.seen else None
        if callers != [self.step.caller] or connections != 1:
            return f"the archive should have seen one association, of {self.step.caller}"
        if operations != self.step.operations:
            return f"the archive should have seen {', '.join(self.step.operations) or 'no operation'}"
        return None

    def _record_problem(self) -> str | None:
        if self.step.refused and not self.refusals:
            return "the gate's records hold no refusal of this"
        if self.refusals and not self.step.refused:
            return "the gate recorded a refusal of something allowed"
        return None

    def _told_id_problem(self) -> str | None:
        """Where DICOM has room for it, in a DIMSE failure, the client is told the ID that is in the records."""
        ids = [refusal.refusal_id for refusal in self.refusals]
        for answer in self.answers:
            if (
                isinstance(answer, Answered)
                and answer.status != Status.SUCCESS
                and not any(refusal_id in answer.comment for refusal_id in ids)
            ):
                return f"expected a recorded refusal ID in the Error Comment, got {answer.comment!r}"
        return None


def overall_problems(results: Sequence[Result], seen: Sequence[Seen]) -> tuple[str, ...]:
    """What is wrong with the whole: steps that did not hold, or traces at the archive that no step explains."""
    problems = [f"{result.step.title}: {'; '.join(result.problems)}" for result in results if not result.held]
    explained = sum(result.step.caller is not None and not result.not_run for result in results)
    for kind, name in ((ConnectionSeen, "TCP connections"), (AssociationSeen, "associations")):
        count = sum(isinstance(one, kind) for one in seen)
        if count != explained:
            problems.append(f"the archive saw {count} {name}, {explained} were allowed")
    return tuple(problems)
