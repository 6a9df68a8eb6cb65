"""Who is the user? Asked before anything goes upstream, answered once, and never waved through."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomgate.audit.record import Event
from dicomgate.facts import CertificateFacts, TlsFacts
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.policy.model import (
    AeTitlePattern,
    Archive,
    Assurance,
    CertificateKind,
    CertificatePattern,
    Listener,
    Mode,
    Networks,
    OnExpiry,
    Peer,
    Role,
    Rules,
    UpstreamIdentity,
    Verb,
)
from dicomgate.policy.policy import Policy
from dicomgate.session.events import Answered, Connect, Connected, HungUp, Ordered, Recorded, Reloaded
from dicomgate.session.limits import SessionLimits
from dicomgate.wire.codec import decode
from dicomgate.wire.codes import IdentityType, PduType
from dicomgate.wire.pdu import Abort, AssociateAccept, AssociateRequest, UserIdentity
from playbook import ACCEPTOR, REQUESTOR, STARTED, Overdue, Playbook, Wait, acceptor, message, requestor
from session.cast import ARCHIVE, ON_ECHO, ON_FIND, ON_STORE, accept, answer, echo, find, request, store

CERTIFICATE = CertificateFacts("ab" * 32, "cd" * 32, ("ws1.north.example",), (), "CN=North", "1", 4e9)
TLS = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256")
MUTUAL = replace(TLS, certificate=CERTIFICATE)
READER = Role("reader", groups=("cn=Readers,dc=north",), may=frozenset({Verb.ECHO, Verb.FIND}))
PEER = Peer(
    "tele",
    (AeTitlePattern("TELE"),),
    Networks(any=True),
    assurance=Assurance.USER,
    may=frozenset({Verb.ECHO, Verb.FIND, Verb.STORE}),
    archives=("main",),
)
ANNA = Principal("anna", "staff", IdentityType.USERNAME_AND_PASSCODE, groups=frozenset({"CN=readers, DC=North"}))
PASSCODE = UserIdentity(IdentityType.USERNAME_AND_PASSCODE, True, b"anna", b"correct horse")
TOKEN = UserIdentity(IdentityType.JWT, True, b"e30.e30.sig")


def policy(peer: Peer = PEER, archive: Archive = ARCHIVE, listener: Listener | None = None, **rules: object) -> Policy:
    listener = listener or Listener("outside", Networks(any=True))
    defaults = {"roles": (READER,), "verifiers": ("staff", "tokens")}
    return Policy(Rules((listener,), (archive,), (peer,), **{**defaults, **rules}))  # type: ignore[arg-type]


def play(rules: Policy | None = None, tls: TlsFacts | None = TLS, **options: object) -> Playbook:
    return Playbook(rules or policy(), address="8.8.8.8", listener="outside", tls=tls, **options)  # type: ignore[arg-type]


def asking(identity: UserIdentity | None = PASSCODE, *contexts: int) -> AssociateRequest:
    return request("TELE", "ARCHIVE", *contexts, user_identity=identity)


ASKED = ["record association_requested success", "ask staff, tokens about USERNAME_AND_PASSCODE"]
VERIFIED = ["record identity_verified success", "record association_admitted success", "wait for the disk"]


def refused(status: str = "1/2/1", *before: str) -> list[str]:
    return [*before, f"record association_refused refused {status}", f"say to requestor: A-ASSOCIATE-RJ {status}"]


def admitted(identity: UserIdentity = PASSCODE, who: Verified | None = None, rules: Policy | None = None) -> Playbook:
    playing = play(rules) >> requestor(asking(identity)) << ...
    playing = playing >> Answered(who or Verified(ANNA)) << VERIFIED >> Recorded(True) << ["connect to main"]
    return playing >> Connected() << ...


def test_a_verified_user_is_let_in_and_named_in_every_record():
    playing = (
        play()
        >> requestor(asking())
        << ASKED
        >> Answered(Verified(ANNA))
        << VERIFIED
        >> Recorded(True)
        << ["connect to main"]
        >> Connected()
        << ["relay to acceptor: A-ASSOCIATE-RQ from TELE to ARCHIVE for 1, 5"]
        >> acceptor(accept(ON_ECHO, ON_FIND))
        << ["relay to requestor: A-ASSOCIATE-AC for 1, not 3, 5, not 7, not 9, not 11"]
        >> requestor(message(ON_ECHO, echo(1)))
        << ["relay to acceptor: C-ECHO-RQ 1 on 1"]
        >> acceptor(message(ON_ECHO, answer(echo(1))))
        << ["record operation success C-ECHO-RQ 0000", "relay to requestor: C-ECHO-RSP 1 on 1 0000"]
    )
    for record in playing.records[1:]:
        assert record.user == "anna"
        assert record.address == "8.8.8.8"
    operation = next(record for record in playing.records if record.event is Event.OPERATION)
    assert operation.assurance == "user"
    assert operation.peer == "tele"
    assert operation.detail["proof"] == "username_and_passcode by staff"


def test_what_was_presented_goes_nowhere():
    playing = admitted() >> acceptor(accept(ON_ECHO)) << ...
    everything = bytes(playing.sent[ACCEPTOR]) + bytes(playing.sent[REQUESTOR]) + repr(playing.records).encode()
    assert b"correct horse" not in everything
    assert b"correct horse" not in repr(playing.session.permit).encode() + repr(PASSCODE).encode()
    assert b"anna" not in bytes(playing.sent[ACCEPTOR])


@pytest.mark.parametrize("asked_for", [True, False])
def test_the_response_item_comes_when_it_was_asked_for(asked_for: bool):
    ticket = UserIdentity(IdentityType.KERBEROS, asked_for, b"ticket")
    anna = replace(ANNA, identity_type=IdentityType.KERBEROS)
    playing = admitted(ticket, Verified(anna, b"AP-REP")) >> acceptor(accept(ON_ECHO)) << ...
    sent = bytes(playing.sent[REQUESTOR])
    accepted = decode(PduType.ASSOCIATE_AC, sent[6:])
    assert isinstance(accepted, AssociateAccept)
    assert accepted.user_information.user_identity_response == (b"AP-REP" if asked_for else None)


def test_an_archive_cannot_put_a_response_item_into_our_mouth():
    quiet = replace(PASSCODE, positive_response_requested=False)
    playing = admitted(quiet) >> acceptor(accept(ON_ECHO, user_identity_response=b"forged")) << ...
    assert b"forged" not in bytes(playing.sent[REQUESTOR])


# -- refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", Cause)
def test_whatever_was_wrong_looks_the_same(cause: Cause):
    playing = play() >> requestor(asking()) << ...
    playing = playing >> Answered(Refuted(cause, "told in the record only", "anna"))
    playing << refused("1/2/1", "record identity_refused refused")
    identity, association = playing.records[-2:]
    assert (identity.detail["cause"], identity.user) == (cause, "anna")
    assert identity.refusal_id == association.refusal_id
    assert association.user == "anna"


def test_nobody_to_ask_is_no_final_answer():
    playing = play() >> requestor(asking()) << ...
    playing >> Answered(Unavailable("the directory is down")) << refused("2/3/1", "record identity_refused failure")


def test_verifiers_get_their_time_and_no_more():
    playing = play(limits=SessionLimits(identity=7)) >> requestor(asking()) << ...
    assert playing.session.deadline == STARTED + 7
    playing >> Overdue() << refused("2/3/1", "record identity_refused failure")
    assert playing >> Answered(Verified(ANNA)) << []  # too late
    assert all(not isinstance(command, Connect) for command in playing.commands)


def test_without_an_identity_there_is_nobody_to_ask_about():
    playing = play() >> requestor(asking(None))
    playing << refused("1/2/1", "record association_requested success")


def test_a_passcode_in_clear_is_not_even_looked_at():
    playing = play(tls=None) >> requestor(asking())
    playing << refused("1/2/1", "record association_requested success")
    assert playing.records[-1].rule == "listener[outside].plaintext_passcodes"


def test_a_passcode_in_clear_is_taken_where_that_is_written():
    unsafe = Listener("outside", Networks(any=True), plaintext_passcodes=True)
    playing = play(policy(listener=unsafe), tls=None) >> requestor(asking())
    playing << ASKED


@pytest.mark.parametrize(
    "identity",
    [
        UserIdentity(IdentityType.USERNAME, False, b"anna"),
        UserIdentity(IdentityType.USERNAME_AND_PASSCODE, False, b"anna", b""),
        UserIdentity(IdentityType.USERNAME_AND_PASSCODE, False, b"", b"correct horse"),
        UserIdentity(IdentityType.USERNAME_AND_PASSCODE, False, b"an\xffna", b"correct horse"),
        UserIdentity(IdentityType.USERNAME_AND_PASSCODE, False, b"an\0na", b"correct horse"),
        UserIdentity(IdentityType.USERNAME_AND_PASSCODE, False, b"anna\r\nadmin", b"correct horse"),
        UserIdentity(IdentityType.USERNAME_AND_PASSCODE, False, b"a" * 300, b"correct horse"),
        UserIdentity(IdentityType.KERBEROS, False, b""),
        UserIdentity(IdentityType.SAML, False, b""),
        UserIdentity(IdentityType.JWT, False, b""),
        UserIdentity(IdentityType.JWT, False, b"\xc3\xa9.e30.sig"),
    ],
)
def test_what_cannot_be_an_identity_reaches_no_verifier(identity: UserIdentity):
    playing = play(tls=MUTUAL) >> requestor(asking(identity))
    playing << refused("1/2/1", "record association_requested success")


def test_a_user_without_a_role_is_refused():
    playing = play() >> requestor(asking()) << ...
    playing = playing >> Answered(Verified(replace(ANNA, groups=frozenset({"cn=Cleaners,dc=north"}))))
    playing << refused("1/2/1", "record identity_verified success")
    assert playing.records[-1].rule == "role"


def test_a_verifier_that_is_not_asked_vouches_for_nobody():
    playing = play(policy(replace(PEER, verifiers=("tokens",)))) >> requestor(asking()) << ...
    playing = playing >> Answered(Verified(ANNA))  # as if a verifier of another peer had answered
    playing << refused("1/2/1", "record identity_verified success")


def test_an_operation_beyond_the_role_is_refused_and_the_association_goes_on():
    rules = policy(roles=(replace(READER, may=frozenset({Verb.ECHO, Verb.STORE})), replace(READER, name="b")))
    playing = admitted(rules=rules) >> acceptor(accept(ON_ECHO, ON_STORE, ON_FIND)) << ...
    playing = playing >> Reloaded(policy()) << []  # the first role is gone: no store any more
    (
        playing
        >> requestor(message(ON_STORE, store(1), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0124",
            "say to requestor: C-STORE-RSP 1 on 3 0124",
        ]
    )
    (
        playing
        >> requestor(message(ON_FIND, find(2), b"query"))
        << [
            "relay to acceptor: C-FIND-RQ 2 on 5",
            "relay to acceptor: 5 bytes of data on 5, last",
        ]
    )


# -- the requestor while it waits --------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", [HungUp(REQUESTOR), requestor(Abort()), Ordered("the gate is stopping")])
def test_who_leaves_while_verifiers_are_asked_is_gone(leaving):
    playing = play() >> requestor(asking()) << ... >> leaving << ...
    playing >> Answered(Verified(ANNA)) << []


def test_a_reload_while_verifiers_are_asked_counts():
    playing = play() >> requestor(asking()) << ... >> Reloaded(policy(replace(PEER, ae_titles=()))) << []
    playing >> Answered(Verified(ANNA)) << refused("1/1/3", "record identity_verified success")


def test_a_reload_keeps_a_verified_user_and_drops_one_whose_verifier_is_gone():
    playing = admitted() >> acceptor(accept(ON_ECHO)) << ... >> Reloaded(policy()) << []
    playing >> Reloaded(policy(verifiers=("tokens",))) << ...
    assert playing.records[-1].rule == "peer[tele].verifiers"


def test_data_while_verifiers_are_asked_is_out_of_turn():
    playing = play() >> requestor(asking()) << ...
    playing >> requestor(message(ON_ECHO, echo(1))) << ...
    assert playing.sent[REQUESTOR][0] == 7  # A-ABORT
    playing >> Answered(Verified(ANNA)) << []


# -- the proof ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_expiry", OnExpiry)
def test_an_expired_proof_ends_the_association_or_lets_it_finish(on_expiry: OnExpiry):
    rules = policy(roles=(replace(READER, on_expiry=on_expiry),))
    brief = Verified(replace(ANNA, expires=STARTED + 60))
    playing = admitted(who=brief, rules=rules) >> acceptor(accept(ON_ECHO)) << ...
    if on_expiry is OnExpiry.END:
        assert playing.session.deadline == STARTED + 60
        playing >> Overdue() << ...
        assert playing.records[-1].rule == "role.on_expiry"
    else:
        assert playing.session.deadline > STARTED + 60
        playing >> Wait(61) >> requestor(message(ON_ECHO, echo(1))) << ["relay to acceptor: C-ECHO-RQ 1 on 1"]


# -- a name that a device gives ----------------------------------------------------------------------------

NAMED = UserIdentity(IdentityType.USERNAME, True, b"anna")
DEVICE = replace(
    PEER, certificates=(CertificatePattern(CertificateKind.DNS, "ws1.north.example"),), username_roles=("reader",)
)


def test_a_proven_device_may_name_its_user_where_that_is_written():
    playing = play(policy(DEVICE), MUTUAL) >> requestor(asking(NAMED))
    playing << ["record association_requested success", "record association_admitted success", "wait for the disk"]
    record = playing.records[-1]
    assert (record.user, record.assurance, record.detail["proof"]) == ("anna", "device", "username by (device)")


@pytest.mark.parametrize(
    ("peer", "tls"), [(replace(DEVICE, username_roles=None), MUTUAL), (replace(DEVICE, certificates=None), MUTUAL)]
)
def test_a_name_alone_proves_nothing(peer: Peer, tls: TlsFacts):
    play(policy(peer), tls) >> requestor(asking(NAMED)) << refused("1/2/1", "record association_requested success")


# -- towards the archive -----------------------------------------------------------------------------------


def upstream(playing: Playbook) -> AssociateRequest:
    pdu = decode(PduType.ASSOCIATE_RQ, bytes(playing.sent[ACCEPTOR])[6:])
    assert isinstance(pdu, AssociateRequest)
    return pdu


def test_a_verified_token_is_passed_on_where_that_is_written_and_a_passcode_never():
    passing = policy(archive=replace(ARCHIVE, identity=UpstreamIdentity.PASS))
    anna = Verified(replace(ANNA, identity_type=IdentityType.JWT, verifier="tokens"))
    identity = upstream(admitted(TOKEN, anna, passing)).user_information.user_identity
    assert identity == replace(TOKEN, positive_response_requested=False)
    assert upstream(admitted(PASSCODE, None, passing)).user_information.user_identity is None


def test_a_minted_token_tells_the_archive_who_it_is():
    minting = policy(archive=replace(ARCHIVE, identity=UpstreamIdentity.MINT))
    playing = play(minting, upstream_token=lambda permit: b"minted for " + (permit.principal or ANNA).name.encode())
    playing = playing >> requestor(asking()) << ... >> Answered(Verified(ANNA)) << ... >> Recorded(True) << ...
    playing = playing >> Connected() << ...
    assert upstream(playing).user_information.user_identity == UserIdentity(IdentityType.JWT, False, b"minted for anna")


def test_without_a_token_that_is_wanted_nothing_is_connected():
    minting = policy(archive=replace(ARCHIVE, identity=UpstreamIdentity.MINT))
    playing = play(minting) >> requestor(asking()) << ... >> Answered(Verified(ANNA)) << ...
    playing >> Recorded(True) << refused("2/3/1")
    assert playing.records[-1].rule == "archive[main].identity"


@pytest.mark.parametrize(
    ("users", "roles", "seen"),
    [
        ((("anna", "ANNA1"),), (("reader", "READERS"),), b"ANNA1"),
        ((("bert", "BERT1"),), (("reader", "READERS"),), b"READERS"),
        ((), (("night", "NIGHT"),), b"TELE"),
    ],
)
def test_a_user_or_role_becomes_a_calling_ae_title(users, roles, seen: bytes):
    mapped = replace(ARCHIVE, identity=UpstreamIdentity.MAP, calling_ae_of_user=users, calling_ae_of_role=roles)
    assert upstream(admitted(rules=policy(archive=mapped))).calling_ae_title == seen.ljust(16)


# -- no way around -----------------------------------------------------------------------------------------

ANSWERS: list[Verification | None] = [
    None,
    Unavailable("down"),
    *(Refuted(cause, "no") for cause in Cause),
    Verified(replace(ANNA, groups=frozenset())),
    Verified(replace(ANNA, verifier="another")),
    Verified(ANNA),
]
IDENTITIES = [
    None,
    NAMED,
    PASSCODE,
    TOKEN,
    UserIdentity(IdentityType.KERBEROS, False, b"t"),
    UserIdentity(IdentityType.SAML, False, b"a"),
]


@pytest.mark.parametrize("tls", [None, TLS, MUTUAL], ids=["plain", "tls", "mutual"])
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("verifiers", [(), ("staff", "tokens")], ids=["none", "some"])
@pytest.mark.parametrize("assurance", Assurance)
def test_no_combination_lets_an_unverified_user_in(
    assurance: Assurance, verifiers: tuple[str, ...], mode: Mode, tls: TlsFacts | None
):
    """Assurance, what was presented, what verifiers say: "user" is reached by a verified user with a role only."""
    for identity, verification in product(IDENTITIES, ANSWERS):
        peer = replace(PEER, assurance=assurance, certificates=DEVICE.certificates if tls is MUTUAL else None)
        playing = play(policy(peer, verifiers=verifiers, mode=mode), tls) >> requestor(asking(identity)) << ...
        asked = any(record.event is Event.ASSOCIATION_REQUESTED for record in playing.records)
        assert asked
        if verification is not None:
            playing = playing >> Answered(verification) << ...
        playing = playing >> Recorded(True) << ...
        connected = any(isinstance(command, Connect) for command in playing.commands)
        vouched = verification == Verified(ANNA) and verifiers != () and identity not in (None, NAMED)
        in_clear = identity is PASSCODE and tls is None
        match assurance:
            case Assurance.USER:
                assert connected is (vouched and not in_clear), (identity, verification)
            case Assurance.DEVICE:
                assert connected is (tls is MUTUAL)
            case Assurance.ADDRESS:
                assert connected
        assert bool(playing.sent[ACCEPTOR]) is False


@given(
    identity_type=st.sampled_from(IdentityType),
    primary=st.binary(max_size=80),
    secondary=st.binary(max_size=80),
    tls=st.sampled_from([None, TLS, MUTUAL]),
    answers=st.lists(st.sampled_from([a for a in ANSWERS if a is not None and a != Verified(ANNA)]), max_size=3),
)
def test_no_identity_item_gets_in_by_itself(identity_type, primary, secondary, tls, answers):
    with_passcode = identity_type is IdentityType.USERNAME_AND_PASSCODE
    identity = UserIdentity(identity_type, True, primary, secondary if with_passcode else b"")
    playing = play(policy(), tls) >> requestor(asking(identity)) << ...
    for verification in answers:
        playing = playing >> Answered(verification) << ...
        assert not any(isinstance(command, Connect) for command in playing.commands)
    playing = playing >> Recorded(True) << ...
    assert not any(isinstance(command, Connect) for command in playing.commands)
    assert not playing.sent[ACCEPTOR]
