"""A real directory: sign-ins, groups, locked accounts, restarts, and the settings that the pages show."""

from __future__ import annotations

import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dicomgate.config.load import interpret
from dicomgate.iam.ldap import filters, servers
from dicomgate.iam.ldap.settings import Groups, LdapSettings, Server, ServiceAccount
from dicomgate.iam.ldap.verifier import LdapVerifier
from dicomgate.iam.secret import SecretSource
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from docs.pages import Block, blocks
from iam.presented import passcode
from lab.openldap import GATE, GATE_PASSCODE, GROUPS, PEOPLE, OpenLdap, named, openldap

pytestmark = [pytest.mark.interop]
WHOLE = """
[[listener]]
name = "inside"
bind = "10.1.1.5:104"
networks = ["10.1.0.0/16"]
[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"
"""
RADIOLOGISTS, CLINICIANS, EVERYBODY, CIRCLE = map(named, ("radiologists", "clinicians", "everybody", "circle"))


@pytest.fixture
def settings(clinic: OpenLdap, tmp_path: Path) -> LdapSettings:
    return settings_for(clinic, tmp_path)


def settings_for(clinic: OpenLdap, directory: Path) -> LdapSettings:
    secret = directory / "passcode"
    secret.write_text(GATE_PASSCODE + "\n", encoding="utf-8")
    return LdapSettings(
        name="staff",
        servers=(Server(clinic.tls.host, clinic.tls.port, tls_at_once=True),),
        ca=clinic.ca,
        user_base=PEOPLE,
        group_base=GROUPS,
        service=ServiceAccount(GATE, SecretSource(secret)),
    )


def ask(settings: LdapSettings, user: str, secret: bytes | str | None = None) -> Verification:
    verifier = LdapVerifier(settings)
    try:
        return verifier.verify(passcode(user, f"{user} secret" if secret is None else secret), time.time())
    finally:
        verifier.close()


def cause(found: Verification) -> Cause:
    assert isinstance(found, Refuted)
    return found.cause


def start_tls(clinic: OpenLdap, settings: LdapSettings) -> LdapSettings:
    return replace(settings, servers=(Server(clinic.plain.host, clinic.plain.port, tls_at_once=False),))


@pytest.mark.parametrize("at_once", [True, False])
def test_who_may_come_in(clinic: OpenLdap, settings: LdapSettings, at_once: bool) -> None:
    chosen = settings if at_once else start_tls(clinic, settings)
    found = ask(chosen, "alice")
    assert isinstance(found, Verified)
    assert (found.principal.name, found.principal.verifier) == ("alice", "staff")
    assert found.principal.groups == {RADIOLOGISTS}
    assert cause(ask(chosen, "alice", "wrong")) is Cause.WRONG_CREDENTIAL
    assert cause(ask(chosen, "mallory")) is Cause.UNKNOWN_USER


@pytest.mark.parametrize(
    ("user", "secret", "name"),
    [
        ("ALICE", "alice secret", "alice"),
        ("müller", "Käse mit Löchern", "müller"),
        ("MÜLLER", "Käse mit Löchern", "müller"),
        ("a*b(c)", "a*b(c) secret", "a*b(c)"),
    ],
)
def test_the_name_in_records_is_the_directory_s_own(settings: LdapSettings, user: str, secret: str, name: str) -> None:
    found = ask(settings, user, secret)
    assert isinstance(found, Verified)
    assert found.principal.name == name


@pytest.mark.parametrize(
    "user", ["*", "a*", "alice*", "alice)(uid=*", "*)(uid=alice", "\\2a", "alice\\", "(", "x" * 256]
)
def test_a_name_that_tries_to_be_a_filter_is_nobody(settings: LdapSettings, user: str) -> None:
    assert cause(ask(settings, user, "alice secret")) is Cause.UNKNOWN_USER


@pytest.mark.parametrize("secret", [b"\0", b"alice secret\0", b"\0alice secret", b"\xff\xfe", b" ", b"x" * 4000])
def test_strange_passcodes_are_wrong_ones(settings: LdapSettings, secret: bytes) -> None:
    assert cause(ask(settings, "alice", secret)) is Cause.WRONG_CREDENTIAL


def test_two_users_under_one_address_are_nobody(settings: LdapSettings) -> None:
    by_mail = replace(settings, user_filter=filters.parse("(mail={user})"))
    assert cause(ask(by_mail, "twin@clinic.example", "twin1 secret")) is Cause.UNKNOWN_USER
    assert isinstance(ask(by_mail, "odd@clinic.example", "a*b(c) secret"), Verified)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("gone", Cause.DISABLED),
        ("left", Cause.EXPIRED),
        ("forgotten", Cause.EXPIRED),
        ("locked", Cause.LOCKED_OUT),
        ("reset", Cause.EXPIRED),
    ],
)
def test_accounts_that_are_barred(settings: LdapSettings, user: str, expected: Cause) -> None:
    assert cause(ask(settings, user)) is expected
    assert cause(ask(settings, user, "wrong")) in (expected, Cause.WRONG_CREDENTIAL)


def test_the_directory_s_own_lock_after_many_failures(settings: LdapSettings) -> None:
    found = [cause(ask(settings, "tired", "wrong")) for _ in range(20)]
    assert set(found) == {Cause.WRONG_CREDENTIAL}
    assert cause(ask(settings, "tired")) is Cause.LOCKED_OUT


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"groups": Groups.NONE}, set()),
        ({"groups": Groups.MEMBER_OF}, {RADIOLOGISTS}),
        ({"groups": Groups.MEMBER_OF, "nested_groups": True}, {RADIOLOGISTS, CLINICIANS, EVERYBODY, CIRCLE}),
        ({"groups": Groups.SEARCH}, {RADIOLOGISTS}),
        ({"groups": Groups.SEARCH, "nested_groups": True}, {RADIOLOGISTS, CLINICIANS, EVERYBODY, CIRCLE}),
        ({"groups": Groups.SEARCH, "group_filter": filters.parse("(memberUid={user})")}, {named("posix")}),
        (
            {
                "groups": Groups.SEARCH,
                "nested_groups": True,
                "group_filter": filters.parse("(|(member={dn})(&(objectClass=posixGroup)(memberUid={user})))"),
            },
            {RADIOLOGISTS, CLINICIANS, EVERYBODY, CIRCLE, named("posix")},
        ),
    ],
)
def test_groups(settings: LdapSettings, changes: dict[str, object], expected: set[str]) -> None:
    found = ask(replace(settings, **changes), "alice")  # type: ignore[arg-type]
    assert isinstance(found, Verified)
    assert found.principal.groups == expected


def test_active_directory_s_names(settings: LdapSettings) -> None:
    written = "(&(objectClass=user)(|(sAMAccountName={user})(userPrincipalName={user})))"
    chosen = replace(settings, user_filter=filters.parse(written), name_attribute="sAMAccountName")
    for user in ("alice", "alice@clinic.example", "ALICE@CLINIC.EXAMPLE"):
        found = ask(chosen, user, "alice secret")
        assert isinstance(found, Verified)
        assert found.principal.name == "alice"


SHOWN = [block for block in blocks("toml") if block.page.name == "ldap.md"]


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
def test_what_the_page_shows_lets_alice_in(clinic: OpenLdap, settings: LdapSettings, block: Block) -> None:
    """As it stands there, but for the places of servers and files; a rule of Active Directory's own is replaced."""
    shown = interpret(tomllib.loads(WHOLE) | tomllib.loads(block.text), block.name, Path()).identity.verifiers[0]
    assert isinstance(shown, LdapSettings)
    assert shown.service is not None
    assert settings.service is not None
    service = replace(shown.service, passcode=settings.service.passcode)
    chosen = replace(shown, servers=settings.servers, ca=settings.ca, service=service)
    if chosen.groups is Groups.MATCHING_RULE:
        chosen = replace(chosen, groups=Groups.SEARCH, nested_groups=True)
    found = ask(chosen, "alice")
    assert isinstance(found, Verified)
    assert found.principal.name == "alice"
    assert {RADIOLOGISTS, EVERYBODY} < found.principal.groups
    assert cause(ask(chosen, "alice", "wrong")) is Cause.WRONG_CREDENTIAL


def test_the_page_shows_two_kinds() -> None:
    assert len(SHOWN) == 2


def test_a_rule_that_only_active_directory_has_gives_no_groups(settings: LdapSettings) -> None:
    """OpenLDAP takes an unknown rule for a condition that nothing meets (RFC 4511 4.5.1.7)."""
    found = ask(replace(settings, groups=Groups.MATCHING_RULE), "alice")
    assert isinstance(found, Verified)
    assert found.principal.groups == frozenset()


def test_somebody_else_s_authority(clinic: OpenLdap, settings: LdapSettings) -> None:
    for chosen in (settings, start_tls(clinic, settings)):
        found = ask(replace(chosen, ca=clinic.foreign_ca), "alice")
        assert isinstance(found, Unavailable)
        assert "its certificate is not accepted" in found.reason


def test_another_name_than_the_certificate_s(clinic: OpenLdap, settings: LdapSettings) -> None:
    chosen = replace(settings, servers=(Server("127.0.0.2", clinic.tls.port, tls_at_once=True),))
    assert isinstance(ask(chosen, "alice"), Unavailable)


@pytest.mark.parametrize(
    ("port", "at_once"), [("plain", True), ("tls", False)], ids=["TLS to the plain port", "StartTLS to the TLS port"]
)
def test_the_wrong_port(clinic: OpenLdap, settings: LdapSettings, port: str, at_once: bool) -> None:
    place = getattr(clinic, port)
    chosen = replace(settings, servers=(Server(place.host, place.port, tls_at_once=at_once),), connect_timeout=1.0)
    assert isinstance(ask(chosen, "alice"), Unavailable)


def test_a_directory_that_demands_tls_refuses_plaintext(clinic: OpenLdap, tmp_path: Path) -> None:
    with openldap(tmp_path / "strict", tls_required=True) as strict:
        chosen = start_tls(strict, settings_for(strict, tmp_path))
        assert isinstance(ask(chosen, "alice"), Verified)
        found = ask(replace(chosen, ca=None), "alice")
    assert isinstance(found, Unavailable)
    assert "13 confidentiality required" in found.reason


def test_plaintext_works_where_it_is_called_unsafe(clinic: OpenLdap, settings: LdapSettings) -> None:
    assert isinstance(ask(replace(start_tls(clinic, settings), ca=None), "alice"), Verified)


def test_a_service_account_may_not_be_anybody(settings: LdapSettings) -> None:
    assert settings.service is not None
    wrong = replace(settings, service=replace(settings.service, dn=f"cn=alice,{PEOPLE}"))
    found = ask(wrong, "alice")
    assert isinstance(found, Unavailable)
    assert "refuses the service account" in found.reason


def test_an_anonymous_search_sees_nothing_here(settings: LdapSettings) -> None:
    found = ask(replace(settings, service=None), "alice")
    assert isinstance(found, Unavailable | Refuted)


def test_a_restart_is_noticed_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "ALL_FAILED", 0.0)
    with openldap(tmp_path / "restarted") as server:
        verifier = LdapVerifier(settings_for(server, tmp_path))
        claims = passcode("alice", "alice secret")
        with ThreadPoolExecutor(4) as pool:
            before = list(pool.map(lambda _: verifier.verify(claims, time.time()), range(8)))
            server.stop()
            down = list(pool.map(lambda _: verifier.verify(claims, time.time()), range(8)))
            server.start()
            after = list(pool.map(lambda _: verifier.verify(claims, time.time()), range(8)))
        verifier.close()
    assert all(isinstance(each, Verified) for each in before)
    assert all(isinstance(each, Unavailable) for each in down)
    assert all(isinstance(each, Verified) for each in after)


def test_the_second_server_takes_over(clinic: OpenLdap, settings: LdapSettings, tmp_path: Path) -> None:
    with openldap(tmp_path / "first") as first:
        both = (tmp_path / "authorities.pem").resolve()
        both.write_bytes(first.ca.read_bytes() + clinic.ca.read_bytes())
        place = Server(first.tls.host, first.tls.port, tls_at_once=True)
        verifier = LdapVerifier(replace(settings, ca=both, servers=(place, *settings.servers)))
        claims = passcode("alice", "alice secret")
        assert isinstance(verifier.verify(claims, time.time()), Verified)
        first.stop()
        assert all(isinstance(verifier.verify(claims, time.time()), Verified) for _ in range(3))
        verifier.close()


def test_two_hundred_sign_ins_at_once(settings: LdapSettings) -> None:
    """Each is judged for itself: right and wrong, known and unknown, side by side on eight threads."""
    users = ["alice", "bob", "carol", "mallory"]
    claims = [(user, secret) for n in range(25) for user in users for secret in (f"{user} secret", f"wrong {n}")]
    verifier = LdapVerifier(settings)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: verifier.verify(passcode(*each), time.time()), claims))
    verifier.close()
    assert len(found) == 200
    for (user, secret), outcome in zip(claims, found, strict=True):
        right = secret == f"{user} secret" and user != "mallory"
        assert isinstance(outcome, Verified) is right, (user, outcome)
        if isinstance(outcome, Verified):
            assert outcome.principal.name == user
