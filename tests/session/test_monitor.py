"""mode = "monitor": what a peer rule would refuse passes and is recorded as such; nothing else passes."""

from dataclasses import replace

from dicomgate.audit.record import Outcome
from dicomgate.policy.model import Assurance, Verb
from dicomgate.policy.verdict import Deny
from dicomgate.session.events import Connected, Recorded, Reloaded
from dicomgate.wire.codes import Reject
from playbook import ACCEPTOR, Playbook, acceptor, message, requestor
from session.cast import (
    ON_ECHO,
    ON_FIND,
    ON_STORE,
    SCANNER,
    accept,
    answer,
    connected,
    find,
    hospital,
    monitoring,
    request,
    scanner,
    store,
    workstation,
)

PASSES = ["record association_requested success", "record association_admitted would_refuse", "wait for the disk"]


def test_a_stranger_passes_and_the_record_says_what_would_have_been():
    play = Playbook(monitoring()) >> requestor(request("STRANGER")) << PASSES >> Recorded(True) << ["connect to main"]
    assert play >> Connected() << ["relay to acceptor: A-ASSOCIATE-RQ from STRANGER to ARCHIVE for 1, 3, 5, 7, 9, 11"]
    assert (play.records[-1].rule, play.records[-1].peer) == ("default", "(unmatched)")


def test_an_operation_that_would_be_refused_passes_and_the_record_says_so():
    play = connected(Playbook(monitoring())) >> acceptor(accept(ON_ECHO, ON_FIND)) << ...
    play = (
        play
        >> requestor(message(ON_FIND, find(), b"keys"))
        << [
            "relay to acceptor: C-FIND-RQ 1 on 5",
            "relay to acceptor: 4 bytes of data on 5, last",
        ]
    )
    assert (
        play
        >> acceptor(message(ON_FIND, answer(find())))
        << [
            "record operation would_refuse C-FIND-RQ 0000",
            "relay to requestor: C-FIND-RSP 1 on 5 0000",
        ]
    )
    assert play.records[-1].rule == "peer[ct-1].may"
    assert play.records[-1].reason == "peer ct-1 may not find"


def test_an_operation_that_is_allowed_is_recorded_as_ever():
    play = scanner(monitoring()) >> requestor(message(ON_STORE, store(), b"image")) << ...
    play >> acceptor(message(ON_STORE, answer(store()))) << ...
    assert play.records[-1].outcome is Outcome.SUCCESS


def test_a_malformed_uid_is_refused_even_so():
    assert (
        scanner(monitoring())
        >> requestor(message(ON_STORE, store(7, "../../x"), b"image"))
        << [
            "record operation_refused refused C-STORE-RQ 0117",
            "say to requestor: C-STORE-RSP 7 on 3 0117",
        ]
    )


def test_a_malformed_title_is_refused_even_so():
    play = Playbook(monitoring()) >> requestor(replace(request(), calling_ae_title=b"CT1\n".ljust(16))) << ...
    assert play.records[-1].status == "1/1/3"


def test_an_archive_nobody_has_is_refused_even_so():
    play = Playbook(monitoring()) >> requestor(request("CT1", "PACS")) << ...
    assert play.records[-1].status == "1/1/7"


def test_who_has_to_prove_an_identity_is_refused_even_so():
    play = Playbook(monitoring(replace(SCANNER, assurance=Assurance.DEVICE))) >> requestor(request()) << ...
    assert play.records[-1].status == "1/1/3"


def test_a_full_archive_is_refused_even_so():
    full = Deny("archive[main].max_associations", "full", Reject.LOCAL_LIMIT_EXCEEDED)
    play = Playbook(monitoring(), admission=lambda permit: full) >> requestor(request("STRANGER")) << ...
    assert play.records[-1].status == "2/3/2"


def test_an_archive_that_stores_without_a_get_is_refused_even_so():
    play = workstation(monitoring()) >> acceptor(message(ON_STORE, store(50), b"image")) << ...
    assert play.records[-1].outcome is Outcome.REFUSED


def test_a_violation_ends_both_even_so():
    play = scanner(monitoring()) >> requestor(message(99, store())) << ...
    assert play.records[-1].status == "abort 2/5"


def test_strangers_are_ended_when_the_gate_starts_to_enforce():
    play = connected(Playbook(monitoring()), request("STRANGER")) >> acceptor(accept(ON_ECHO)) << ...
    play = (
        play
        >> Reloaded(hospital())
        << [
            "say to requestor: A-ABORT 2/0",
            "say to acceptor: A-ABORT 2/0",
            "record association_ended failure abort 2/0",
        ]
    )
    assert play.records[-1].peer == "(unmatched)"


def test_a_known_peer_lives_on_when_the_gate_starts_to_enforce():
    play = connected(Playbook(monitoring())) >> acceptor(accept(ON_ECHO, ON_FIND)) << ...
    play = play >> Reloaded(hospital()) << []
    assert (
        play
        >> requestor(message(ON_FIND, find(), b"keys"))
        << [
            "record operation_refused refused C-FIND-RQ C000",
            "say to requestor: C-FIND-RSP 1 on 5 C000",
        ]
    )
    assert b"keys" not in play.sent[ACCEPTOR]
    assert Verb.FIND not in SCANNER.may
