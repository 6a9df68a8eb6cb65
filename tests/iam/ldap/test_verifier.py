"""Search, then bind: what is asked of a directory for each outcome, and what is never asked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomgate.iam import ber
from dicomgate.iam.ldap import filters
from dicomgate.iam.ldap.settings import Groups
from dicomgate.iam.secret import SecretSource
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verified
from dicomgate.wire.codes import IdentityType
from iam.ldap.conftest import Make
from iam.ldap.fake_directory import (
    ALICE,
    BASE,
    BIND,
    GATE,
    SEARCH,
    Request,
    Wire,
    conversation,
    directory,
    honest,
    settings,
)
from iam.presented import passcode, web_token

NOW = 1_700_000_000.0


def test_the_right_passcode(make: Make, secret: Path) -> None:
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        verifier = make(settings(secret, server.server()))
        found = verifier.verify(passcode("ALICE alice", "alice secret"), NOW)
        verifier.close()
    groups = frozenset({"cn=one,dc=x", "cn=two,dc=x"})
    assert found == Verified(Principal("alice", "staff", IdentityType.USERNAME_AND_PASSCODE, groups))
    assert [request.dn for request in log if request.operation.tag == BIND] == [GATE, ALICE]


def test_the_wrong_passcode(make: Make, secret: Path) -> None:
    with directory(conversation(honest)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "bob secret"), NOW)
    assert isinstance(found, Refuted)
    assert (found.cause, found.user) == (Cause.WRONG_CREDENTIAL, "alice")


def test_an_unknown_user_costs_a_bind_too_but_the_passcode_is_not_sent(make: Make, secret: Path) -> None:
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        found = make(settings(secret, server.server())).verify(passcode("mallory", "alice secret"), NOW)
    assert isinstance(found, Refuted)
    assert (found.cause, found.user) == (Cause.UNKNOWN_USER, "mallory")
    nobody = [request for request in log if request.operation.tag == BIND][-1]
    assert nobody.dn.endswith(f",{BASE}")
    assert len(nobody.passcode) == len("alice secret")
    assert all(b"alice secret" not in request.operation.contents for request in log)


def test_a_directory_that_says_yes_to_everything_is_not_believed_about_nobody(make: Make, secret: Path) -> None:
    def yes(wire: Wire, asked: Request) -> None:
        wire.answer(asked, 0x61 if asked.operation.tag == BIND else 0x65)

    with directory(conversation(yes)) as server:
        found = make(settings(secret, server.server())).verify(passcode("mallory", "x"), NOW)
    assert found == Unavailable("the directory takes any passcode for a name that it does not have")


def test_an_empty_passcode_never_leaves_the_gate(make: Make, secret: Path) -> None:
    with directory(conversation(honest)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", b""), NOW)
        assert server.connections == 0
    assert found == Refuted(Cause.MALFORMED, "an empty passcode", "alice")


@pytest.mark.parametrize("given", [b"\0", b"alice secret\0", b"\0alice secret", b"\xff\xfe", b" "])
def test_a_passcode_is_sent_byte_by_byte(make: Make, secret: Path, given: bytes) -> None:
    """With a C string, NUL would cut it short: an empty passcode is an anonymous bind, which succeeds."""
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", given), NOW)
    assert isinstance(found, Refuted)
    assert [request for request in log if request.operation.tag == BIND][-1].passcode == given


def test_other_claims_are_for_others(make: Make, secret: Path) -> None:
    found = make(settings(secret)).verify(web_token(), NOW)
    assert isinstance(found, Refuted)
    assert found.cause is Cause.NOT_MINE


@pytest.mark.parametrize("dns", [[ALICE, f"cn=alice2,{BASE}"], [ALICE, "cn=alice,ou=former,dc=x"]])
def test_two_entries_are_nobody(make: Make, secret: Path, dns: list[str]) -> None:
    def twice(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == BIND:
            wire.answer(asked, 0x61, 0 if asked.dn == GATE else 49)
            return
        for dn in dns:
            wire.entry(asked, dn, uid=["alice"])
        wire.answer(asked, 0x65, 4)

    with directory(conversation(twice)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert found == Refuted(Cause.UNKNOWN_USER, "user_filter finds several entries and must find one", "alice")


@pytest.mark.parametrize("names", [[], ["alice", "bob"], ["ali\nce"], [""], ["x" * 257]])
def test_a_user_without_one_name_of_its_own_is_not_let_in(make: Make, secret: Path, names: list[str]) -> None:
    def nameless(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH:
            wire.entry(asked, ALICE, uid=names)
        wire.answer(asked, 0x61 if asked.operation.tag == BIND else 0x65)

    with directory(conversation(nameless)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert found == Unavailable("expected one name in the attribute uid of the user's entry")


def test_an_entry_without_a_name_is_not_bound_as(make: Make, secret: Path) -> None:
    """A bind with a passcode and no name is anonymous for some servers, and so a success."""

    def nameless(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH:
            wire.entry(asked, "", uid=["alice"])
        wire.answer(asked, 0x61 if asked.operation.tag == BIND else 0x65)

    log: list[Request] = []
    with directory(conversation(nameless, log)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Unavailable)
    assert "" not in [request.dn for request in log if request.operation.tag == BIND]


@pytest.mark.parametrize("code", [1, 2, 8, 10, 13, 32, 34, 50, 51, 52, 53, 80])
def test_trouble_of_the_server_is_not_the_user_s(make: Make, secret: Path, code: int) -> None:
    def ill(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == BIND and asked.dn == ALICE:
            wire.answer(asked, 0x61, code, "alice secret is what I was told")
        else:
            honest(wire, asked)

    with directory(conversation(ill)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Unavailable)
    assert found.reason.startswith("the directory answers a user's bind with ")
    assert "alice secret" not in found.reason


@pytest.mark.parametrize("code", [1, 4, 10, 11, 12, 32, 50, 53])
def test_a_search_that_is_refused_finds_nobody_and_says_so(make: Make, secret: Path, code: int) -> None:
    def refuses(wire: Wire, asked: Request) -> None:
        wire.answer(asked, 0x61 if asked.operation.tag == BIND else 0x65, 0 if asked.operation.tag == BIND else code)

    with directory(conversation(refuses)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Unavailable)
    assert f"the search below {BASE} ended with" in found.reason


def test_references_to_other_servers_are_not_followed(make: Make, secret: Path) -> None:
    def refers(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH:
            reference = ber.encode(0x73, ber.octets("ldap://192.0.2.9"))
            wire.send(ber.encode(ber.SEQUENCE, ber.integer(asked.number), reference))
        honest(wire, asked)

    with directory(conversation(refers)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Verified)


def test_anonymous_searches(make: Make, secret: Path) -> None:
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        verifier = make(settings(secret, server.server(), service=None))
        assert isinstance(verifier.verify(passcode("alice", "alice secret"), NOW), Verified)
    assert [request.dn for request in log if request.operation.tag == BIND] == [ALICE]


def test_a_service_account_that_is_refused_is_not_tried_again_at_once(make: Make, secret: Path) -> None:
    """Or the gate itself would have it locked."""
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        verifier = make(settings(secret, server.server()))
        secret.write_text("old secret\n")
        found = [verifier.verify(passcode("alice", "alice secret"), NOW) for _ in range(5)]
    assert len(log) == 1 or [request.operation.tag for request in log].count(BIND) == 1
    assert len(set(found)) == 1
    assert isinstance(found[0], Unavailable)
    assert f"it refuses the service account {GATE} (49 invalid credentials)" in found[0].reason
    assert "secret" not in found[0].reason


@pytest.mark.parametrize("content", [None, "", "\n", "\n\n", "two\nlines\n", "x" * 5000])
def test_a_passcode_file_without_a_passcode(make: Make, secret: Path, content: str | None) -> None:
    with directory(conversation(honest)) as server:
        verifier = make(settings(secret, server.server()))
        secret.unlink()
        if content is not None:
            secret.write_text(content)
        found = verifier.verify(passcode("alice", "alice secret"), NOW)
        assert server.connections == 0
    assert isinstance(found, Unavailable)
    assert str(secret) in found.reason


def test_a_passcode_in_the_environment(make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_PASSCODE", "gate secret")
    with directory(conversation(honest)) as server:
        made = settings(secret, server.server())
        service = type(made.service)(GATE, SecretSource(variable="GATE_PASSCODE"))  # type: ignore[misc]
        made = settings(secret, server.server(), service=service)
        assert isinstance(make(made).verify(passcode("alice", "alice secret"), NOW), Verified)
        del os.environ["GATE_PASSCODE"]
        found = make(made).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Unavailable)
    assert "GATE_PASSCODE" in found.reason


def test_active_directory_s_rule_is_asked_with_the_full_name(make: Make, secret: Path) -> None:
    log: list[Request] = []

    def active_directory(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH and b"1.2.840.113556.1.4.1941" in asked.query:
            wire.entry(asked, "CN=Radiology,OU=Groups,DC=x")
            wire.entry(asked, "CN=Clinic,OU=Groups,DC=x")
            wire.answer(asked, 0x65)
        else:
            honest(wire, asked)

    with directory(conversation(active_directory, log)) as server:
        made = settings(secret, server.server(), groups=Groups.MATCHING_RULE)
        found = make(made).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Verified)
    assert found.principal.groups == {"CN=Radiology,OU=Groups,DC=x", "CN=Clinic,OU=Groups,DC=x"}
    asked = log[-1]
    assert asked.dn == "ou=groups,dc=x"
    wanted = filters.encode(filters.parse("(member:1.2.840.113556.1.4.1941:={dn})"), {"dn": ALICE})
    assert asked.query == wanted


def nested(parents: dict[str, list[str]]) -> Callable[[Wire, Request], None]:
    """A directory whose groups have the attribute memberOf as listed; alice is in `start`."""

    def answer(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == BIND:
            wire.answer(asked, 0x61)
            return
        if asked.dn == BASE:
            wire.entry(asked, ALICE, uid=["alice"], memberOf=["start"])
        elif asked.dn in parents:
            wire.entry(asked, asked.dn, memberOf=parents[asked.dn])
        wire.answer(asked, 0x65, 0 if asked.dn == BASE or asked.dn in parents else 32)

    return answer


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({}, {"start"}),
        ({"start": ["a", "b"], "a": ["c"], "b": ["c"], "c": []}, {"start", "a", "b", "c"}),
        ({"start": ["start"]}, {"start"}),
        ({"start": ["a"], "a": ["b"], "b": ["start"]}, {"start", "a", "b"}),
    ],
)
def test_groups_within_groups(make: Make, secret: Path, parents: dict[str, list[str]], expected: set[str]) -> None:
    with directory(conversation(nested(parents))) as server:
        made = settings(secret, server.server(), nested_groups=True)
        found = make(made).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Verified)
    assert found.principal.groups == expected


@pytest.mark.parametrize(
    ("parents", "reason"),
    [
        ({"start": ["g0"]} | {f"g{n}": [f"g{n + 1}"] for n in range(50)}, "nested more than 10 deep"),
        ({"start": [f"g{n}" for n in range(1500)]}, "in 1000 groups or more"),
    ],
)
def test_groups_without_end_let_nobody_in(make: Make, secret: Path, parents: dict[str, list[str]], reason: str) -> None:
    with directory(conversation(nested(parents))) as server:
        made = settings(secret, server.server(), nested_groups=True)
        found = make(made).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Unavailable)
    assert reason in found.reason


def test_half_a_list_of_groups_is_not_taken_for_all(make: Make, secret: Path) -> None:
    """Active Directory sends 1500 values at most, and says so in the attribute's name."""

    def ranged(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH:
            wire.entry(asked, ALICE, uid=["alice"], **{"memberOf;range=0-1499": ["cn=one,dc=x"]})
        wire.answer(asked, 0x61 if asked.operation.tag == BIND else 0x65)

    with directory(conversation(ranged)) as server:
        found = make(settings(secret, server.server())).verify(passcode("alice", "alice secret"), NOW)
    assert isinstance(found, Unavailable)
    assert 'groups = "search"' in found.reason


def test_groups_of_somebody_another_verifier_has_proved(make: Make, secret: Path) -> None:
    def left(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == SEARCH and b"alice" not in asked.query:
            wire.entry(asked, f"cn=bob,{BASE}", uid=["bob"], userAccountControl=["514"])
        honest(wire, asked)

    log: list[Request] = []
    with directory(conversation(left, log)) as server:
        verifier = make(settings(secret, server.server()))
        assert verifier.groups_of("alice", NOW) == {"cn=one,dc=x", "cn=two,dc=x"}
        bob = verifier.groups_of("bob", NOW)
    assert isinstance(bob, Refuted)
    assert bob.cause is Cause.DISABLED
    assert [request.dn for request in log if request.operation.tag == BIND] == [GATE]


def test_many_users_at_once_share_few_connections_for_searches(make: Make, secret: Path) -> None:
    log: list[Request] = []
    with directory(conversation(honest, log), backlog=64) as server:
        verifier = make(settings(secret, server.server(), connections=2, operation_timeout=5.0))
        claims = [passcode("alice", "alice secret" if n % 2 else f"wrong {n}") for n in range(60)]
        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(lambda each: verifier.verify(each, NOW), claims))
        verifier.close()
    assert [isinstance(each, Verified) for each in found] == [bool(n % 2) for n in range(60)]
    assert [request.dn for request in log if request.operation.tag == BIND].count(GATE) <= 2


def test_a_closed_verifier_keeps_nothing_open(make: Make, secret: Path) -> None:
    log: list[Request] = []
    with directory(conversation(honest, log)) as server:
        verifier = make(settings(secret, server.server()))
        verifier.verify(passcode("alice", "alice secret"), NOW)
        verifier.close()
        assert isinstance(verifier.verify(passcode("alice", "alice secret"), NOW), Verified)
        assert server.connections == 4


def test_an_unknown_user_is_waited_for_as_long_as_a_known_one(
    make: Make, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory with slow hashes answers at once where it has nothing to hash."""
    waits: list[float] = []
    with directory(conversation(honest)) as server:
        verifier = make(settings(secret, server.server()))
        monkeypatch.setattr("dicomgate.iam.ldap.verifier.time.sleep", waits.append)
        assert isinstance(verifier.verify(passcode("mallory", "x"), NOW), Refuted)
        assert waits == [], "nothing to go by yet"
        monkeypatch.setattr("dicomgate.iam.ldap.verifier._Durations.one", lambda _: 60.0)
        assert isinstance(verifier.verify(passcode("alice", "wrong"), NOW), Refuted)
        assert waits == []
        assert isinstance(verifier.verify(passcode("mallory", "x"), NOW), Refuted)
    (wait,) = waits
    assert 0 < wait <= 5.0, "until the deadline and no longer"


def test_the_durations_that_are_remembered_are_those_of_real_binds(make: Make, secret: Path) -> None:
    def slow(wire: Wire, asked: Request) -> None:
        if asked.operation.tag == BIND and asked.dn == ALICE:
            time.sleep(0.1)
        honest(wire, asked)

    with directory(conversation(slow)) as server:
        verifier = make(settings(secret, server.server(), operation_timeout=5.0))
        assert verifier._lately.one() == 0.0
        verifier.verify(passcode("mallory", "x"), NOW)
        assert verifier._lately.one() == 0.0
        verifier.verify(passcode("alice", "wrong"), NOW)
        assert verifier._lately.one() >= 0.1
