"""Users are verified beside the event loop: others go on meanwhile, and the archive hears nothing before the answer."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from dicomgate.audit.record import Event
from dicomgate.gate.settings import GateSettings
from dicomgate.identity.claims import Claims, JsonWebToken
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.policy.model import Assurance, Role, Verb
from dicomgate.wire.codes import IdentityType
from dicomgate.wire.pdu import AssociateAccept, AssociateRequest, UserIdentity
from gate.standins import House, accepting, asking, echo_works, house, rejected, until

TOKEN = UserIdentity(IdentityType.JWT, True, b"e30.e30.sig")
ANNA = Principal("anna", "staff", IdentityType.JWT, roles=frozenset({"reader"}))


class Desk:
    """Keeps claims until the test answers."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Claims, Callable[[Verification], None]]] = []

    def submit(self, claims: Claims, verifiers: tuple[str, ...] | None, done: Callable[[Verification], None]) -> None:
        assert verifiers == ("staff",)
        self.waiting.append((claims, done))


def with_users(settings: GateSettings) -> GateSettings:
    """CT1 needs a user; CT2 is known by its address."""
    first, *others = settings.rules.peers
    reader = Role("reader", may=frozenset({Verb.ECHO}))
    user = replace(first, assurance=Assurance.USER)
    rules = replace(settings.rules, peers=(user, *others), roles=(reader,), verifiers=("staff",))
    return replace(settings, rules=rules, session=replace(settings.session, identity=0.6))


@pytest.fixture
def hospital() -> Iterator[House]:
    with house(with_users) as running:
        yield running


@pytest.fixture
def desk(hospital: House) -> Desk:
    waiting = Desk()
    hospital.call(lambda: setattr(hospital.gate, "desk", waiting))
    return waiting


def with_token(rq: AssociateRequest, identity: UserIdentity | None = TOKEN) -> AssociateRequest:
    return replace(rq, user_information=replace(rq.user_information, user_identity=identity))


def test_others_go_on_while_a_user_is_verified(hospital: House, desk: Desk) -> None:
    client = hospital.client()
    client.send(with_token(asking()))
    claims, done = until(lambda: desk.waiting and desk.waiting[0])
    assert claims.credential == JsonWebToken("e30.e30.sig")
    assert str(claims.origin.address) == "127.0.0.1"
    echo_works(*hospital.association(asking(calling="CT2")))
    assert hospital.nobody_called()
    hospital.call(lambda: done(Verified(ANNA)))
    archive = hospital.accept()
    rq = archive.pdu()
    assert rq.user_information.user_identity is None
    archive.send(accepting(rq))
    answer = client.pdu()
    assert isinstance(answer, AssociateAccept)
    assert answer.user_information.user_identity_response == b""
    echo_works(client, archive)
    assert hospital.await_record(Event.OPERATION, 2).user == "anna"


@pytest.mark.parametrize(
    ("verification", "seen"),
    [(Refuted(Cause.WRONG_CREDENTIAL, "no", "anna"), "1/2/1"), (Unavailable("down"), "2/3/1")],
    ids=["refuted", "unavailable"],
)
def test_the_archive_never_hears_of_who_is_not_believed(
    hospital: House, desk: Desk, verification: Verification, seen: str
) -> None:
    client = hospital.client()
    client.send(with_token(asking()))
    _, done = until(lambda: desk.waiting and desk.waiting[0])
    hospital.call(lambda: done(verification))
    assert rejected(client.pdu()) == seen
    assert hospital.nobody_called()


def test_a_verifier_that_never_answers_is_not_waited_for(hospital: House, desk: Desk) -> None:
    client = hospital.client()
    client.send(with_token(asking()))
    assert rejected(client.pdu()) == "2/3/1"
    _, done = desk.waiting[0]
    hospital.call(lambda: done(Verified(ANNA)))  # too late to count
    assert hospital.nobody_called()


def test_who_leaves_meanwhile_is_not_connected_for(hospital: House, desk: Desk) -> None:
    client = hospital.client()
    client.send(with_token(asking()))
    _, done = until(lambda: desk.waiting and desk.waiting[0])
    client.reset()
    hospital.settle()
    hospital.call(lambda: done(Verified(ANNA)))
    assert hospital.nobody_called()


def test_without_a_desk_nobody_is_believed(hospital: House) -> None:
    client = hospital.client()
    client.send(with_token(asking()))
    assert rejected(client.pdu()) == "2/3/1"
    client = hospital.client()
    client.send(with_token(asking(), None))
    assert rejected(client.pdu()) == "1/2/1"
    assert hospital.nobody_called()
