"""`dicomgate explain`: a question put in the words of the configuration, or a record, told as lines.

The question is turned into the very facts the gate would see and put to the very functions it uses.
"""

from dataclasses import dataclass

from dicomgate.association.negotiation import pad_ae_title
from dicomgate.audit.record import Record, iso_time
from dicomgate.facts import Address, AssociationFacts, OperationFacts, Origin, Side
from dicomgate.policy.model import Rules, Verb
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import Deny, Step
from dicomgate.wire.codes import CommandField, Rejection
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import AssociateRequest, ProposedContext, UserInformation
from dicomgate.wire.text import is_valid_ae_title

_IMPLICIT = "1.2.840.10008.1.2"
_EXAMPLES: dict[Verb, tuple[str, CommandField]] = {
    Verb.ECHO: ("1.2.840.10008.1.1", CommandField.C_ECHO_RQ),
    Verb.STORE: ("1.2.840.10008.5.1.4.1.1.2", CommandField.C_STORE_RQ),
    Verb.FIND: ("1.2.840.10008.5.1.4.1.2.2.1", CommandField.C_FIND_RQ),
    Verb.WORKLIST: ("1.2.840.10008.5.1.4.31", CommandField.C_FIND_RQ),
    Verb.MOVE: ("1.2.840.10008.5.1.4.1.2.2.2", CommandField.C_MOVE_RQ),
    Verb.GET: ("1.2.840.10008.5.1.4.1.2.2.3", CommandField.C_GET_RQ),
    Verb.COMMIT: ("1.2.840.10008.1.20.1", CommandField.N_ACTION_RQ),
    Verb.MPPS: ("1.2.840.10008.3.1.2.3.3", CommandField.N_CREATE_RQ),
    Verb.UPS: ("1.2.840.10008.5.1.4.34.6.1", CommandField.N_CREATE_RQ),
    Verb.PRINT: ("1.2.840.10008.5.1.1.9", CommandField.N_CREATE_RQ),
}
"""For each verb a SOP class and request that mean it: what the question is tried with."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked on the command line; every field in the configuration's own words."""

    listener: str
    source: Address
    calling_ae_title: str
    called_ae_title: str
    verb: Verb
    move_destination: str | None = None
    user: str | None = None
    roles: tuple[str, ...] = ()


def explain_question(rules: Rules, question: Question) -> tuple[bool, list[str]]:
    """Would it be allowed? With each step, the deciding rule and what the other side would see."""
    policy = Policy(rules)
    lines = [
        f"{question.calling_ae_title} from {question.source} on listener {question.listener} "
        f"calls {question.called_ae_title} to {question.verb}"
    ]
    if question.user is not None or question.roles:
        lines.append("  note: no verifier is available in this version, so the user and roles change nothing")
    if (denied := policy.decide_connection(question.listener, question.source)) is not None:
        return False, [*lines, _step(Step("address", denied.reason, False)), *_denied(denied, "connection closed")]
    lines.append(_step(Step("address", f"{question.source} may connect to listener {question.listener}", True)))
    steps: list[Step] = []
    abstract_syntax, field = _EXAMPLES[question.verb]
    facts = AssociationFacts(
        Origin(question.listener, question.source, 0),
        _title(question.calling_ae_title),
        _title(question.called_ae_title),
        AssociateRequest(
            pad_ae_title(_title(question.called_ae_title)),
            pad_ae_title(_title(question.calling_ae_title)),
            (ProposedContext(1, abstract_syntax, (_IMPLICIT,)),),
            UserInformation(16384, ""),
        ),
    )
    verdict = policy.decide_association(facts, steps)
    lines.extend(map(_step, steps))
    if isinstance(verdict, Deny):
        return False, [*lines, *_denied(verdict, _answer(verdict))]
    command = Command(
        field,
        True,
        affected_sop_class_uid=abstract_syntax,
        message_id=1,
        move_destination=question.move_destination or question.calling_ae_title,
    )
    operation = policy.decide_operation(
        verdict.permit, OperationFacts(Side.REQUESTOR, facts.calling_ae_title, abstract_syntax, command)
    )
    if isinstance(operation, Deny):
        lines.append(_step(Step("operation", operation.reason, False)))
        return False, [*lines, *_denied(operation, _answer(operation))]
    lines.append(_step(Step("operation", f"{field.name} on {abstract_syntax} is {question.verb}", True)))
    lines.extend(
        f"  monitor mode lets it pass; enforcement would refuse: {would.rule}: {would.reason}"
        for would in (verdict.would_refuse, operation.would_refuse)
        if would is not None
    )
    route = verdict.permit.route
    return True, [*lines, "verdict: allow", f"rule: {verdict.rule}", f"taken to: {route.name}"]


def explain_record(record: Record) -> list[str]:
    """One refusal as lines an administrator can read out."""
    facts = {
        "refusal ID": record.refusal_id,
        "when": iso_time(record.time),
        "what": record.event.value,
        "listener": record.listener,
        "from": record.address,
        "calling AE title": record.calling_ae_title,
        "called AE title": record.called_ae_title,
        "peer": record.peer,
        "verb": record.verb,
        "command": record.command,
        "SOP class": record.sop_class_uid,
        "move destination": record.move_destination,
        "answered": record.status,
        "association": record.association,
    }
    lines = [f"{name}: {value}" for name, value in facts.items() if value]
    return [*lines, "verdict: deny", f"rule: {record.rule or '-'}", f"reason: {record.reason or '-'}"]


def _title(text: str) -> str:
    return text.strip() if is_valid_ae_title(text.strip()) else ""


def _step(step: Step) -> str:
    return f"  {'yes' if step.passed else 'no '}  {step.check}: {step.finding}"


def _denied(denied: Deny, seen: str) -> list[str]:
    return ["verdict: deny", f"rule: {denied.rule}", f"reason: {denied.reason}", f"the other side sees: {seen}"]


def _answer(denied: Deny) -> str:
    if isinstance(denied.answer, Rejection):
        return f"A-ASSOCIATE-RJ {denied.answer}"
    return f"DIMSE status {denied.answer:04X}H"
