"""`dicomgate explain`: a question put in the words of the configuration, or a record, told as lines.

The question is turned into the very facts the gate would see and put to the very functions it uses.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address

from dicomgate.association.negotiation import pad_ae_title
from dicomgate.audit.record import Record, iso_time
from dicomgate.facts import Address, AssociationFacts, CertificateFacts, OperationFacts, Origin, Side, TlsFacts
from dicomgate.identity.principal import Principal
from dicomgate.policy.model import Rules, Verb
from dicomgate.policy.policy import Policy
from dicomgate.policy.verbs import service_of
from dicomgate.policy.verdict import AllowAssociation, AllowOperation, AskIdentity, Deny, Step
from dicomgate.wire.codes import CommandField, IdentityType, Rejection
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import AssociateRequest, ProposedContext, RoleSelection, UserInformation
from dicomgate.wire.text import is_valid_ae_title

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
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
_EXAMPLES_BACK: dict[Verb, tuple[str, CommandField]] = {
    **_EXAMPLES,
    Verb.COMMIT: ("1.2.840.10008.1.20.1", CommandField.N_EVENT_REPORT_RQ),
    Verb.MPPS: ("1.2.840.10008.3.1.2.3.5", CommandField.N_EVENT_REPORT_RQ),
    Verb.UPS: ("1.2.840.10008.5.1.4.34.6.4", CommandField.N_EVENT_REPORT_RQ),
    Verb.PRINT: ("1.2.840.10008.5.1.1.16", CommandField.N_EVENT_REPORT_RQ),
}
"""The same when an archive calls: of these services it only reports events."""
_ON_REQUESTED_CLASS = frozenset(
    {CommandField.N_GET_RQ, CommandField.N_SET_RQ, CommandField.N_ACTION_RQ, CommandField.N_DELETE_RQ}
)
"""Requests that carry Requested instead of Affected SOP Class UID (PS3.7 10.3)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked on the command line; every field in the configuration's own words.

    From `sop_class` on: what the question is tried with, when it is not the verb's usual example. `roles_proposed`
    are the SCU and SCP bit of a role selection; `by_called` asks on behalf of the called side, and `during_get`
    says that a C-GET is under way. `certificate` is what the client shows in its TLS handshake, if it has one, and
    `channel` the tunnel it comes through. `user` has been verified, and has the `roles`. `at` is the time, seconds
    since 1970.
    """

    listener: str
    source: Address
    calling_ae_title: str
    called_ae_title: str
    verb: Verb
    move_destination: str | None = None
    user: str | None = None
    roles: tuple[str, ...] = ()
    sop_class: str | None = None
    transfer_syntaxes: tuple[str, ...] = (IMPLICIT_VR_LITTLE_ENDIAN,)
    request: CommandField | None = None
    roles_proposed: tuple[bool, bool] | None = None
    by_called: bool = False
    during_get: bool = False
    certificate: CertificateFacts | None = None
    at: float = 0.0
    channel: str | None = None


class Stage(StrEnum):
    """How far a question got."""

    CONNECTION = "address"
    ASSOCIATION = "association"
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the policy says. `denied` ended it in `stage`; otherwise both permits were given."""

    stage: Stage
    denied: Deny | None
    association: AllowAssociation | None = None
    operation: AllowOperation | None = None
    steps: tuple[Step, ...] = ()

    @property
    def would_refuse(self) -> Deny | None:
        """In monitor mode: the first thing that enforcement would have refused."""
        allowed = (self.association, self.operation)
        return next((verdict.would_refuse for verdict in allowed if verdict and verdict.would_refuse), None)

    @property
    def seen(self) -> str:
        """A refusal as the other side sees it: `closed`, an A-ASSOCIATE-RJ as 1/1/3, a DIMSE status as 0124."""
        denied = self.denied or self.would_refuse
        if denied is None:
            return ""
        if isinstance(denied.answer, Rejection):
            return str(denied.answer)
        return "closed" if self.stage is Stage.CONNECTION else f"{denied.answer:04X}"


def ask(policy: Policy, question: Question) -> Answer:
    """Put a question to the policy as the gate would: connection, then association, then operation."""
    source = _plain(question.source)
    steps: list[Step] = []
    if (denied := policy.decide_connection(question.listener, source, question.channel)) is not None:
        return Answer(Stage.CONNECTION, denied, steps=(Step("address", denied.reason, False),))
    steps.append(Step("address", f"{source} may connect to listener {question.listener}", True))
    abstract_syntax, field = _tried_with(policy.rules, question)
    calling, called = _title(question.calling_ae_title), _title(question.called_ae_title)
    proposed = question.roles_proposed
    shown = question.certificate
    facts = AssociationFacts(
        Origin(
            question.listener,
            source,
            0,
            tls=None if shown is None else TlsFacts("", "", shown),
            channel=question.channel,
        ),
        calling,
        called,
        AssociateRequest(
            pad_ae_title(called),
            pad_ae_title(calling),
            (ProposedContext(1, abstract_syntax, question.transfer_syntaxes),),
            UserInformation(
                16384, "", role_selections=(RoleSelection(abstract_syntax, *proposed),) if proposed else ()
            ),
        ),
    )
    association = _decide(policy, facts, question, steps)
    if isinstance(association, Deny):
        return Answer(Stage.ASSOCIATION, association, steps=tuple(steps))
    on_requested = field in _ON_REQUESTED_CLASS
    command = Command(
        field,
        True,
        affected_sop_class_uid=None if on_requested else abstract_syntax,
        requested_sop_class_uid=abstract_syntax if on_requested else None,
        message_id=1,
        move_destination=(question.move_destination or calling) if field is CommandField.C_MOVE_RQ else None,
    )
    sender = Side.ACCEPTOR if question.by_called else Side.REQUESTOR
    operation = policy.decide_operation(
        association.permit,
        OperationFacts(sender, calling, abstract_syntax, command, question.during_get),
        at=question.at,
    )
    if isinstance(operation, Deny):
        steps.append(Step("operation", operation.reason, False))
        return Answer(Stage.OPERATION, operation, association, steps=tuple(steps))
    meaning = operation.permit.verb or "an operation without a verb"
    steps.append(Step("operation", f"{field.name} on {abstract_syntax} is {meaning}", True))
    return Answer(Stage.OPERATION, None, association, operation, tuple(steps))


def _decide(policy: Policy, facts: AssociationFacts, question: Question, steps: list[Step]) -> AllowAssociation | Deny:
    """The association, with the user as each verifier in turn would name it; the first that is trusted here counts."""
    if question.user is None and not question.roles:
        verdict = policy.decide_association(facts, at=question.at, steps=steps)
    else:
        denied: AllowAssociation | AskIdentity | Deny | None = None
        told: list[Step] = []
        for verifier in policy.rules.verifiers or ("none",):
            told = []
            user = Principal(question.user or "somebody", verifier, IdentityType.JWT, roles=frozenset(question.roles))
            denied = policy.decide_association(facts, user, at=question.at, steps=told)
            if not (isinstance(denied, Deny) and denied.rule.endswith("].verifiers")):
                break
        verdict = denied if denied is not None else policy.decide_association(facts, at=question.at)
        steps.extend(told)
    if isinstance(verdict, AskIdentity):
        raise RuntimeError("a question offers no user identity item that could be asked about")
    return verdict


def explain_question(rules: Rules, question: Question) -> tuple[bool, list[str]]:
    """Would it be allowed? With each step, the deciding rule and what the other side would see."""
    answer = ask(Policy(rules), question)
    lines = [
        f"{question.calling_ae_title} from {question.source} on listener {question.listener} "
        f"calls {question.called_ae_title} to {question.verb}"
    ]
    lines.extend(map(_step, answer.steps))
    if answer.denied is not None:
        denied = answer.denied
        return False, [
            *lines,
            "verdict: deny",
            f"rule: {denied.rule}",
            f"reason: {denied.reason}",
            f"the other side sees: {_told(answer)}",
        ]
    allowed = (answer.association, answer.operation)
    lines.extend(
        f"  monitor mode lets it pass; enforcement would refuse: {would.rule}: {would.reason}"
        for verdict in allowed
        if verdict and (would := verdict.would_refuse)
    )
    lines.append("verdict: allow")
    if answer.association is not None:
        permit = answer.association.permit
        if permit.principal is None and (question.user is not None or question.roles):
            lines.append(f"note: peer {permit.route.peer.name} asks for no user, so user and roles change nothing")
        lines += [f"rule: {answer.association.rule}", f"taken to: {permit.route.name}"]
    return True, lines


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


def _tried_with(rules: Rules, question: Question) -> tuple[str, CommandField]:
    """The SOP class and the request: as asked for, else the verb's example, else what means the verb on that class."""
    called = _title(question.called_ae_title)
    example, field = (_EXAMPLES if called in rules.archive_by_title else _EXAMPLES_BACK)[question.verb]
    if question.sop_class is not None:
        example = question.sop_class
        fitting = [request for request, verb in service_of(example).items() if verb is question.verb]
        field = fitting[0] if fitting and field not in fitting else field
    return example, question.request or field


def _plain(address: Address) -> Address:
    """As the gate sees it: an IPv4 caller of an IPv6 listener counts as what it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _title(text: str) -> str:
    """As the session does it: trimmed, and empty when it is no AE title."""
    return text.strip(" ") if is_valid_ae_title(text.strip(" ")) else ""


def _step(step: Step) -> str:
    return f"  {'yes' if step.passed else 'no '}  {step.check}: {step.finding}"


def _told(answer: Answer) -> str:
    match answer.stage:
        case Stage.CONNECTION:
            return "connection closed"
        case Stage.ASSOCIATION:
            return f"A-ASSOCIATE-RJ {answer.seen}"
        case Stage.OPERATION:
            return f"DIMSE status {answer.seen}H"
