"""How answers are read, the same in every check: an answer in, a judgement or a sentence out. Pure."""

from dicomgate.assess.dialogue import Aborted, Accepted, Answer, NoAnswer, Rejected, spoke_dicom
from dicomgate.assess.line import Ending
from dicomgate.assess.model import Fact, Judgement, Severity, SkipReason, failed, inconclusive, passed, skipped
from dicomgate.assess.prober import Asked
from dicomgate.wire.codes import Reject, status_class

_ACSE, _PRESENTATION = 2, 3  # PS3.8 table 9-21, source of a rejection; 3 is where congestion stands


def admission(
    answer: Answer,
    accepted: str,
    refused: str,
    *,
    severity: Severity | None = None,
    own_title: bool = True,
    **facts: Fact,
) -> Judgement:
    """A finding when the association was accepted, a pass when it was refused, else neither.

    `own_title`: the target was called by the title the user gave, so that "called AE title not recognized" only says
    that the user gave a wrong one.
    """
    facts = {"answer": str(answer), **facts}
    match answer:
        case Accepted():
            return failed(accepted, severity, **facts)
        case Rejected(rejection):
            if own_title and rejection == Reject.CALLED_AE_TITLE_NOT_RECOGNIZED:
                return inconclusive("The target does not know the called title it was given; check --called", **facts)
            if rejection.transient and rejection.source == _PRESENTATION:
                return inconclusive(f"The target said it is busy ({rejection}); try again later", **facts)
            return passed(refused, **facts)
        case Aborted():
            return passed(refused, **facts)
        case NoAnswer(ending=Ending.TLS_REFUSED):
            return passed("Refused in the TLS handshake", **facts)
        case _:
            return inconclusive(f"No proof either way: the target {saw(answer)}", **facts)


def saw(answer: Answer) -> str:
    """An answer as the end of a sentence that begins with "the target"."""
    match answer:
        case NoAnswer(connected=False):
            return f"could not be connected to ({answer.ending.value})"
        case NoAnswer(ending=Ending.TLS_REFUSED):
            return str(answer)
        case NoAnswer(ending=Ending.TIMED_OUT):
            return f"did not answer in time{f' ({answer.why})' if answer.why else ''}"
        case NoAnswer():
            return f"ended the connection without an answer ({answer})"
        case _:
            return str(answer)


def refused_before(baseline: Answer) -> Judgement | None:
    """Whether this caller is refused for its titles or its transport, so that identity is never looked at."""
    match baseline:
        case Rejected(rejection) if rejection in (
            Reject.CALLING_AE_TITLE_NOT_RECOGNIZED,
            Reject.CALLED_AE_TITLE_NOT_RECOGNIZED,
        ):
            why = f"The target refuses this caller by its AE title ({rejection}) before it looks at an identity"
            return skipped(SkipReason.REFUSED_BEFORE, why)
        case NoAnswer(ending=Ending.TLS_REFUSED):
            return skipped(SkipReason.REFUSED_BEFORE, "The target refuses this caller in the TLS handshake")
        case _:
            return None


def refused_in_tls(baseline: Answer) -> Judgement | None:
    """Whether this caller never gets as far as DICOM."""
    if isinstance(baseline, NoAnswer) and baseline.ending is Ending.TLS_REFUSED:
        return skipped(SkipReason.REFUSED_BEFORE, "The target refuses this caller in the TLS handshake, before DICOM")
    return None


def refused_identity(answer: Answer) -> bool:
    """Whether a rejection is about the identity (PS3.7 D.3.3.7.3: source ACSE)."""
    return isinstance(answer, Rejected) and answer.rejection.source == _ACSE


def answered(answer: Answer) -> bool:
    """A PDU, or a refusal in the TLS handshake: either way the target has decided."""
    return spoke_dicom(answer) or (isinstance(answer, NoAnswer) and answer.ending is Ending.TLS_REFUSED)


def vouched(answer: Answer) -> bool:
    """An A-ASSOCIATE-AC that confirms the identity with a sub-item 59H (PS3.7 D.3.3.7.2)."""
    return isinstance(answer, Accepted) and answer.accept.user_information.user_identity_response is not None


def not_asked(asked: Asked, service: str) -> Judgement | None:
    """The judgement when no request could be sent: refused at the door, service not offered, or no proof."""
    if asked.offered:
        return None
    if isinstance(asked.answer, Accepted):
        return passed(f"{service} is not offered to this caller", answer=str(asked.answer), calling=asked.calling)
    return admission(asked.answer, "", "Refused at the association", calling=asked.calling)


def refused_operation(asked: Asked) -> Judgement | None:
    """A pass when the request was answered with a failure or an abort; inconclusive when it was not answered."""
    replies = asked.replies
    if replies is None:
        return inconclusive("No request was sent", calling=asked.calling)
    facts: dict[str, Fact] = {"calling": asked.calling, "pending": replies.pending}
    if replies.cut_off or replies.pending or replies.sub_operations or replies.completed:
        return None  # whatever came in the end, something was handed out before
    if isinstance(replies.ended, Aborted):
        return passed("The target aborted the association instead of answering", answer=str(replies.ended), **facts)
    if replies.ended is not None:
        return inconclusive(f"No proof either way: the target {saw(replies.ended)}", **facts)
    if replies.status is not None and status_class(replies.status) == "failure":
        return passed("Refused with a failure status", status=status(replies.status), **facts)
    return None


def status(number: int | None) -> str:
    """A DIMSE status as the standard writes it."""
    return "none" if number is None else f"{number:04X}H"


__all__ = [
    "admission",
    "answered",
    "not_asked",
    "refused_before",
    "refused_identity",
    "refused_in_tls",
    "refused_operation",
    "saw",
    "spoke_dicom",
    "status",
    "vouched",
]
