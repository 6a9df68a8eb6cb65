"""`dicomgate explain`: the same verdict as the gate's, each step told, and records read out."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.audit.record import Event, Outcome, Record
from dicomgate.explain import Question, explain_question, explain_record
from dicomgate.facts import OperationFacts, Side
from dicomgate.policy.model import AeTitlePattern, Assurance, Mode, Networks, Rules, Verb
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AllowOperation, Deny
from dicomgate.wire.codes import CommandField as C
from dicomgate.wire.command import Command
from policy.scene import CT, PEER, RULES, association, request

MEANS = {
    Verb.ECHO: ("1.2.840.10008.1.1", C.C_ECHO_RQ),
    Verb.STORE: (CT, C.C_STORE_RQ),
    Verb.FIND: ("1.2.840.10008.5.1.4.1.2.2.1", C.C_FIND_RQ),
    Verb.WORKLIST: ("1.2.840.10008.5.1.4.31", C.C_FIND_RQ),
    Verb.MOVE: ("1.2.840.10008.5.1.4.1.2.2.2", C.C_MOVE_RQ),
    Verb.GET: ("1.2.840.10008.5.1.4.1.2.2.3", C.C_GET_RQ),
    Verb.COMMIT: ("1.2.840.10008.1.20.1", C.N_ACTION_RQ),
    Verb.MPPS: ("1.2.840.10008.3.1.2.3.3", C.N_CREATE_RQ),
    Verb.UPS: ("1.2.840.10008.5.1.4.34.6.1", C.N_CREATE_RQ),
    Verb.PRINT: ("1.2.840.10008.5.1.1.9", C.N_CREATE_RQ),
}

questions = st.builds(
    Question,
    st.sampled_from(["inside", "inside", "inside", "nowhere"]),
    st.sampled_from(["10.1.2.31", "10.1.2.31", "10.1.9.9", "192.0.2.1", "::ffff:10.1.2.31"]).map(ip_address),
    st.sampled_from(["CT1", "CT1", "CT1", "CT2", "", "C\\1"]),
    st.sampled_from(["ARCHIVE", "ARCHIVE", "ARCHIVE", "CT1", "NOBODY"]),
    st.sampled_from(Verb),
    st.sampled_from([None, "CT1", "OTHER"]),
)
rules = st.builds(
    lambda peer, mode: replace(RULES, peers=(peer,), mode=mode),
    st.builds(
        lambda **changes: replace(PEER, **changes),
        may=st.sets(st.sampled_from(Verb), min_size=4).map(frozenset),
        assurance=st.sampled_from([Assurance.ADDRESS] * 4 + [Assurance.USER]),
        sop_classes=st.sampled_from([None, frozenset({CT}), frozenset()]),
        ae_titles=st.sampled_from([("CT1",), ("*",)]).map(lambda texts: tuple(map(AeTitlePattern, texts))),
    ),
    st.sampled_from(Mode),
)


def as_the_gate_decides(rules: Rules, question: Question) -> bool:
    """The question spelt out as facts, independently of explain."""
    policy = Policy(rules)
    address = getattr(question.source, "ipv4_mapped", None) or question.source
    if policy.decide_connection(question.listener, address) is not None:
        return False
    abstract_syntax, field = MEANS[question.verb]
    facts = association(
        request((abstract_syntax,)),
        calling="" if "\\" in question.calling_ae_title else question.calling_ae_title,
        called=question.called_ae_title,
        address=str(address),
    )
    verdict = policy.decide_association(facts)
    if isinstance(verdict, Deny):
        return False
    command = Command(
        field,
        True,
        affected_sop_class_uid=abstract_syntax,
        message_id=1,
        move_destination=question.move_destination or facts.calling_ae_title,
    )
    asked = OperationFacts(Side.REQUESTOR, facts.calling_ae_title, abstract_syntax, command)
    return isinstance(policy.decide_operation(verdict.permit, asked), AllowOperation)


@given(rules, questions)
@settings(max_examples=300)
def test_explain_says_what_the_gate_decides(rules: Rules, question: Question) -> None:
    allowed, lines = explain_question(rules, question)
    assert allowed is as_the_gate_decides(rules, question)
    assert ("verdict: allow" in lines) is allowed
    assert ("verdict: deny" in lines) is not allowed
    assert sum(line.startswith("rule: ") for line in lines) == 1


def ask(rules: Rules = RULES, **changes: object) -> tuple[bool, list[str]]:
    question = Question("inside", ip_address("10.1.2.31"), "CT1", "ARCHIVE", Verb.STORE)
    return explain_question(rules, replace(question, **changes))  # type: ignore[arg-type]


def test_an_allowed_question_tells_every_step_the_rule_and_the_archive() -> None:
    allowed, lines = ask()
    assert allowed
    assert lines == [
        "CT1 from 10.1.2.31 on listener inside calls ARCHIVE to store",
        "  yes  address: 10.1.2.31 may connect to listener inside",
        "  yes  called AE title: ARCHIVE is archive main",
        "  yes  peer: CT1 from 10.1.2.31 on listener inside is peer ct-1",
        "  yes  assurance: address: AE title and network are all that is asked",
        "  yes  presentation contexts: 1 of 1 allowed",
        "  yes  operation: C_STORE_RQ on 1.2.840.10008.5.1.4.1.1.2 is store",
        "verdict: allow",
        "rule: peer[ct-1]",
        "taken to: main",
    ]


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        (
            {"source": ip_address("192.0.2.1")},
            [
                "  no   address: 192.0.2.1 is not on the listener's networks",
                "verdict: deny",
                "rule: listener[inside].networks",
                "reason: 192.0.2.1 is not on the listener's networks",
                "the other side sees: connection closed",
            ],
        ),
        (
            {"listener": "nowhere"},
            [
                "  no   address: there is no listener nowhere",
                "verdict: deny",
                "rule: listener",
                "reason: there is no listener nowhere",
                "the other side sees: connection closed",
            ],
        ),
        (
            {"source": ip_address("10.1.9.9")},
            [
                "  no   network: CT1 is peer ct-1, but 10.1.9.9 is not on its networks",
                "verdict: deny",
                "rule: peer[ct-1].networks",
                "reason: CT1 is peer ct-1, but 10.1.9.9 is not on its networks",
                "the other side sees: A-ASSOCIATE-RJ 1/1/3",
            ],
        ),
        (
            {"verb": Verb.MOVE, "move_destination": "OTHER"},
            [
                "  no   operation: peer ct-1 may not move to OTHER",
                "verdict: deny",
                "rule: peer[ct-1].move_to",
                "reason: peer ct-1 may not move to OTHER",
                "the other side sees: DIMSE status A801H",
            ],
        ),
    ],
    ids=["address", "unknown listener", "association", "operation"],
)
def test_a_denied_question_ends_with_rule_reason_and_what_is_seen(changes: dict[str, object], end: list[str]) -> None:
    allowed, lines = ask(**changes)
    assert not allowed
    assert lines[-5:] == end


def test_a_limit_on_sop_classes_is_named_as_such() -> None:
    rules = replace(RULES, peers=(replace(PEER, sop_classes=frozenset()),))
    assert "rule: peer[ct-1].sop_classes" in ask(rules)[1]


def test_the_archives_event_reports_are_asked_about_as_such() -> None:
    """On its way back an archive reports on commitment; it does not request it."""
    for verb in (Verb.COMMIT, Verb.MPPS, Verb.UPS, Verb.PRINT):
        allowed, lines = ask(
            calling_ae_title="ARCHIVE", called_ae_title="CT1", source=ip_address("10.1.1.20"), verb=verb
        )
        assert allowed, lines
        assert any("N_EVENT_REPORT_RQ" in line for line in lines)
        assert lines[-1] == "taken to: ct-1"


def test_users_and_roles_are_said_to_change_nothing_where_no_user_is_asked_for() -> None:
    plain, asked = ask(), ask(user="anna", roles=("radiologist",))
    assert asked[0] is plain[0]
    assert [line for line in asked[1] if line not in plain[1]] == [
        "note: peer ct-1 asks for no user, so user and roles change nothing"
    ]


def test_monitor_mode_says_what_it_lets_pass() -> None:
    allowed, lines = ask(replace(RULES, mode=Mode.MONITOR), calling_ae_title="STRANGER")
    assert allowed
    told = "  monitor mode lets it pass; enforcement would refuse: default: no peer has the calling AE title STRANGER"
    assert told in lines


def test_a_name_that_is_no_title_can_be_asked_about() -> None:
    allowed, lines = ask(calling_ae_title="far too long for an AE title")
    assert not allowed
    assert lines[-2] == "reason: no peer has the calling AE title (malformed)"


def test_an_empty_policy_can_be_asked() -> None:
    assert not explain_question(Rules(), Question("x", ip_address("::1"), "A", "B", Verb.ECHO))[0]
    assert not explain_question(
        replace(RULES, peers=(), listeners=(replace(RULES.listeners[0], networks=Networks(any=True)),)),
        Question("inside", ip_address("::1"), "A", "B", Verb.ECHO),
    )[0]


def test_a_record_is_read_out_with_its_refusal_id() -> None:
    record = Record(
        time=1_700_000_000.0,
        event=Event.OPERATION_REFUSED,
        outcome=Outcome.REFUSED,
        refusal_id="7KQ2M9XH",
        rule="peer[ct-1].may",
        reason="peer ct-1 may not find",
        listener="inside",
        address="10.1.2.31",
        calling_ae_title="CT1",
        called_ae_title="ARCHIVE",
        verb="find",
        status="C000",
    )
    assert explain_record(record) == [
        "refusal ID: 7KQ2M9XH",
        "when: 2023-11-14T22:13:20.000Z",
        "what: operation_refused",
        "listener: inside",
        "from: 10.1.2.31",
        "calling AE title: CT1",
        "called AE title: ARCHIVE",
        "verb: find",
        "answered: C000",
        "verdict: deny",
        "rule: peer[ct-1].may",
        "reason: peer ct-1 may not find",
    ]
