"""Properties of every decision: silence refuses, less in the rules is less for the peer, nothing raises."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from dicomgate.facts import AssociationFacts, OperationFacts, Origin, Side
from dicomgate.policy.model import (
    AeTitlePattern,
    Archive,
    Assurance,
    Endpoint,
    Listener,
    Mode,
    Networks,
    Peer,
    Refusals,
    Rules,
    Verb,
)
from dicomgate.policy.policy import Policy
from dicomgate.policy.verbs import service_of
from dicomgate.policy.verdict import AllowAssociation, AllowOperation, AssociationPermit, Deny, Direction
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import PduType, Rejection
from dicomgate.wire.pdu import AssociateRequest, ProposedContext, RoleSelection, UserInformation
from dicomgate.wire.text import is_valid_ae_title, trim_ae_title
from policy import scene
from wire import strategies

# Few of everything, so that rules and questions meet often.
TITLES = ["CT1", "CT2", "ARCHIVE", "OTHER", "A B", ""]
CLASSES = [
    scene.VERIFICATION, scene.CT, scene.MR, scene.FIND, scene.GET, scene.COMMIT, scene.MPPS,
    "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.31", "1.2.840.10008.5.1.4.34.6.2", "1.2.840.10008.5.1.1.9",
    "1.2.3", "1.2.840.10008.9",
]  # fmt: skip
SYNTAXES = [scene.IMPLICIT, scene.EXPLICIT, scene.BIG_ENDIAN]
ADDRESSES = ["10.1.1.1", "10.1.1.2", "10.1.2.1", "2001:db8::1"]
NETWORKS = ["any", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1", "2001:db8::/32"]
LISTENERS = ["inside", "outside"]
ARCHIVES = ["main", "other"]


def some(values, **sizes):
    return st.lists(st.sampled_from(values), unique=True, **sizes)


def mostly(usual, strategy, times=4):
    """`usual`, and now and then something of the strategy."""
    return st.sampled_from([True] * times + [False]).flatmap(lambda same: st.just(usual) if same else strategy)


anywhere = Networks(any=True)
networks = mostly(anywhere, some(NETWORKS, max_size=3).map(Networks.of), 2)
endpoints = st.builds(Endpoint, st.sampled_from(ADDRESSES), st.just(104))
archives = st.builds(
    Archive,
    st.just("main"),
    st.just("ARCHIVE"),
    endpoints.map(lambda endpoint: (endpoint,)),
    networks,
    mostly(("ARCHIVE",), some(["ARCHIVE", "OTHER"]).map(tuple), 2),
    st.sampled_from([None, "GATE"]),
)
peers = st.builds(
    Peer,
    name=st.just("peer"),
    ae_titles=mostly(["CT1"], some(["CT1", "CT?", "*", "A B"], max_size=2), 2).map(
        lambda texts: tuple(map(AeTitlePattern, texts))
    ),
    networks=networks,
    listeners=mostly(None, some(LISTENERS).map(frozenset)),
    assurance=mostly(Assurance.ADDRESS, st.sampled_from(Assurance), 9),
    may=mostly(frozenset(Verb), some(list(Verb)).map(frozenset), 1),
    move_to=some(["self", "CT2", "peer0"]).map(tuple),
    archives=mostly(("main",), some(ARCHIVES).map(tuple)),
    endpoint=st.none() | endpoints,
    sop_classes=mostly(None, some(CLASSES).map(frozenset), 2),
    transfer_syntaxes=mostly(None, some(SYNTAXES).map(frozenset), 2),
)
rules = st.builds(
    Rules,
    listeners=st.tuples(networks, networks).map(lambda of: tuple(map(Listener, LISTENERS, of))),
    archives=st.lists(archives, min_size=1, max_size=2).map(
        lambda found: tuple(
            replace(archive, name=name, ae_title=title)
            for archive, name, title in zip(found, ARCHIVES, ["ARCHIVE", "OTHER"], strict=False)
        )
    ),
    peers=st.lists(peers, min_size=1, max_size=3).map(
        lambda found: tuple(replace(peer, name=f"peer{number}") for number, peer in enumerate(found))
    ),
    refusals=st.sampled_from(Refusals),
)
role_selections = some(CLASSES, max_size=2).flatmap(
    lambda uids: st.tuples(*(st.builds(RoleSelection, st.just(uid), st.booleans(), st.booleans()) for uid in uids))
)
likely_requests = st.builds(
    lambda contexts, roles: AssociateRequest(
        bytes(16),
        bytes(16),
        tuple(ProposedContext(2 * n + 1, uid, tuple(syntaxes)) for n, (uid, syntaxes) in enumerate(contexts)),
        UserInformation(16384, "1.2.3", role_selections=roles),
    ),
    st.lists(st.tuples(st.sampled_from(CLASSES), some(SYNTAXES, min_size=1)), min_size=1, max_size=4),
    role_selections,
)
origins = st.builds(
    Origin,
    mostly("inside", st.sampled_from(["outside", "unknown"])),
    st.sampled_from(ADDRESSES).map(ip_address),
    st.just(49152),
)
associations = st.one_of(
    st.builds(AssociationFacts, origins, st.just("CT1"), mostly("ARCHIVE", st.sampled_from(TITLES)), likely_requests),
    st.builds(AssociationFacts, origins, st.just("ARCHIVE"), st.just("CT1"), likely_requests),
    st.builds(AssociationFacts, origins, st.sampled_from(TITLES), st.sampled_from(TITLES), likely_requests),
)
odd_associations = associations | st.builds(
    AssociationFacts, origins, st.sampled_from(TITLES), st.sampled_from(TITLES), strategies.requests
)
operations = st.builds(
    OperationFacts,
    mostly(Side.REQUESTOR, st.just(Side.ACCEPTOR), 2),
    st.sampled_from(TITLES),
    st.sampled_from(CLASSES),
    strategies.commands(),
    st.booleans(),
)


def likely(facts: OperationFacts, instance: str = "1.2.3.4") -> OperationFacts:
    """The same with a request of its class and with sound UIDs, so that it gets past the first checks."""
    fitting = sorted(service_of(facts.abstract_syntax))
    command = replace(
        facts.command,
        command_field=fitting[facts.command.command_field % len(fitting)] if fitting else facts.command.command_field,
        affected_sop_class_uid=facts.abstract_syntax,
        requested_sop_class_uid=None,
        affected_sop_instance_uid=instance,
        requested_sop_instance_uid=None,
        move_originator_ae_title=None,
        move_destination=facts.calling_ae_title or "CT1",
    )
    return replace(facts, command=command)


def permitted(asked: Policy, facts: AssociationFacts) -> AssociationPermit | None:
    """The permit for what has got as far as an A-ASSOCIATE-RQ."""
    if asked.decide_connection(facts.origin.listener, facts.origin.address) is not None:
        return None
    verdict = asked.decide_association(facts)
    return verdict.permit if isinstance(verdict, AllowAssociation) else None


@given(associations)
def test_rules_without_peers_deny_everybody(facts: AssociationFacts) -> None:
    everywhere = tuple(Listener(name, Networks(any=True)) for name in LISTENERS)
    for silent in (Rules(), Rules(listeners=everywhere), replace(scene.RULES, listeners=everywhere, peers=())):
        assert permitted(Policy(silent), facts) is None


@given(rules, associations)
def test_a_peer_of_defaults_matches_nobody(given_rules: Rules, facts: AssociationFacts) -> None:
    silent = replace(given_rules, peers=(Peer("silent"), *(Peer(peer.name) for peer in given_rules.peers)))
    assert permitted(Policy(silent), facts) is None


@given(rules, st.sampled_from(Mode), odd_associations, operations)
@settings(max_examples=120)
def test_no_question_raises_and_every_answer_can_be_sent(
    given_rules: Rules, mode: Mode, facts: AssociationFacts, asked: OperationFacts
) -> None:
    policy = Policy(replace(given_rules, mode=mode))
    denied = policy.decide_connection(facts.origin.listener, facts.origin.address)
    assert denied is None or isinstance(denied, Deny)
    verdict = policy.decide_association(facts)
    if isinstance(verdict, Deny):
        assert isinstance(verdict.answer, Rejection)
        assert verdict.rule
        assert verdict.reason
        return
    request = verdict.permit.request
    assert decode(PduType.ASSOCIATE_RQ, encode(request)[6:]) == request
    for question in (asked, likely(asked)):
        answer = policy.decide_operation(verdict.permit, question)
        if isinstance(answer, Deny):
            assert isinstance(answer.answer, int)
            assert answer.answer not in (0x0000, 0xFF00, 0xFF01)
        else:
            assert answer.permit.command is question.command


@given(rules, st.sampled_from(Mode), associations)
def test_the_permits_request_holds_only_what_was_asked_and_allowed(
    given_rules: Rules, mode: Mode, facts: AssociationFacts
) -> None:
    permit = permitted(Policy(replace(given_rules, mode=mode)), facts)
    if permit is None:
        return
    sent, asked = permit.request, facts.request
    assert sent.user_information.user_identity is None
    assert sent.user_information.unknown_items == 0
    kept = {context.context_id: context for context in sent.presentation_contexts}
    proposed = {context.context_id: context for context in asked.presentation_contexts}
    assert kept.keys() | permit.refused_contexts.keys() == proposed.keys()
    assert not kept.keys() & permit.refused_contexts.keys()
    for number, context in kept.items():
        assert context.abstract_syntax == proposed[number].abstract_syntax
        assert set(context.transfer_syntaxes) <= set(proposed[number].transfer_syntaxes)
        assert context.transfer_syntaxes
    for role in sent.user_information.role_selections:
        wanted = next(r for r in asked.user_information.role_selections if r.sop_class_uid == role.sop_class_uid)
        assert role.scu_role <= wanted.scu_role
        assert role.scp_role <= wanted.scp_role
    for title in (sent.called_ae_title, sent.calling_ae_title):
        assert is_valid_ae_title(trim_ae_title(title) or "")


@given(rules, associations, st.sampled_from([Assurance.DEVICE, Assurance.USER]), st.sampled_from(Mode))
def test_a_peer_that_must_prove_more_than_its_address_is_never_taken_to_an_archive(
    given_rules: Rules, facts: AssociationFacts, assurance: Assurance, mode: Mode
) -> None:
    peers = tuple(replace(peer, assurance=assurance) for peer in given_rules.peers)
    permit = permitted(Policy(replace(given_rules, peers=peers, mode=mode)), facts)
    if permit is not None and permit.route.direction is Direction.TO_ARCHIVE:
        assert permit.route.peer not in peers


@given(rules, associations, st.sampled_from(["ae_titles", "networks", "listeners", "may", "archives"]))
def test_an_empty_list_means_nobody(given_rules: Rules, facts: AssociationFacts, field: str) -> None:
    """May: an archive may still verify and send to a peer that listens, which is what `address` says."""
    empty: object = {"networks": Networks(), "ae_titles": (), "archives": ()}.get(field, frozenset())
    peers = tuple(replace(peer, **{field: empty}) for peer in given_rules.peers)  # type: ignore[arg-type]
    permit = permitted(Policy(replace(given_rules, peers=peers)), facts)
    if permit is not None:
        assert permit.route.direction is Direction.TO_PEER
        assert field in ("networks", "listeners", "may")


def lesser(of: Rules) -> Iterator[Rules]:
    """The same rules with one element of one list of one listener, archive or peer taken away, in every way there is.

    None in `listeners`, `sop_classes` and `transfer_syntaxes` means no limit, as the model says: there is nothing to
    take away. A written list loses an element, down to the empty one, and stays a limit.
    """
    for kind in ("listeners", "archives", "peers"):
        entries = getattr(of, kind)
        for number, entry in enumerate(entries):
            for field in fields(entry):
                for value in less(getattr(entry, field.name)):
                    changed = replace(entry, **{field.name: value})
                    yield replace(of, **{kind: (*entries[:number], changed, *entries[number + 1 :])})


def less(value: object) -> Iterator[object]:
    """`value` with one member less."""
    match value:
        case Endpoint():
            yield None
        case Networks():
            members = ["any"] * value.any + [str(network) for network in value.members]
            yield from map(Networks.of, without_one(members))
        case frozenset():
            yield from map(frozenset, without_one(sorted(value)))
        case tuple():
            yield from map(tuple, without_one(value))


def without_one(members: Sequence[object]) -> Iterator[list[object]]:
    for number in range(len(members)):
        yield [*members[:number], *members[number + 1 :]]


@given(rules, associations, operations)
@settings(max_examples=150)
def test_taking_an_element_of_a_rule_away_never_allows_more(
    given_rules: Rules, facts: AssociationFacts, asked: OperationFacts
) -> None:
    """One peer only: with several, a narrower first peer lets a later one match, which is what order means."""
    given_rules = replace(given_rules, peers=given_rules.peers[:1])
    before, question = Policy(given_rules), likely(asked)
    permit = permitted(before, facts)
    allowed = {} if permit is None else {c.context_id: c for c in permit.request.presentation_contexts}
    for narrower in lesser(given_rules):
        after = Policy(narrower)
        more = permitted(after, facts)
        if more is None:
            continue
        assert permit is not None
        for context in more.request.presentation_contexts:
            assert context.context_id in allowed
            assert set(context.transfer_syntaxes) <= set(allowed[context.context_id].transfer_syntaxes)
        if isinstance(after.decide_operation(more, question), AllowOperation):
            assert isinstance(before.decide_operation(permit, question), AllowOperation)


@given(rules, associations, operations)
@settings(max_examples=120)
def test_monitor_mode_refuses_nothing_that_enforcement_allows(
    given_rules: Rules, facts: AssociationFacts, asked: OperationFacts
) -> None:
    enforced, watched = Policy(given_rules), Policy(replace(given_rules, mode=Mode.MONITOR))
    permit, loose = permitted(enforced, facts), permitted(watched, facts)
    if permit is None:
        return
    assert loose is not None
    assert loose.route == permit.route
    question = likely(asked)
    if isinstance(enforced.decide_operation(permit, question), AllowOperation):
        verdict = watched.decide_operation(loose, question)
        assert isinstance(verdict, AllowOperation)
        assert verdict.would_refuse is None


@given(rules, associations, operations)
@settings(max_examples=120)
def test_what_monitor_mode_would_refuse_is_what_enforcement_refuses(
    given_rules: Rules, facts: AssociationFacts, asked: OperationFacts
) -> None:
    enforced, watched = Policy(given_rules), Policy(replace(given_rules, mode=Mode.MONITOR))
    if watched.decide_connection(facts.origin.listener, facts.origin.address) is not None:
        return
    verdict, strict = watched.decide_association(facts), enforced.decide_association(facts)
    if isinstance(verdict, Deny):
        assert isinstance(strict, Deny)
        return
    if isinstance(strict, Deny):
        assert verdict.would_refuse is not None
        return
    if verdict.would_refuse is not None:
        assert strict.permit.refused_contexts
    question = likely(asked)
    watching, deciding = (
        watched.decide_operation(verdict.permit, question),
        enforced.decide_operation(strict.permit, question),
    )
    if isinstance(watching, AllowOperation):
        assert watching.would_refuse == (deciding if isinstance(deciding, Deny) else None)
    else:
        assert watching == deciding
