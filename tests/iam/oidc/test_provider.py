"""A provider that is slow, lying, down or talking nonsense makes nobody believed, and nothing wait for long."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from dicomgate.iam.oidc.jwks import FRESH, RETRY, KeysError, Provider
from dicomgate.iam.oidc.settings import OidcSettings, TokenRules
from dicomgate.iam.oidc.urls import is_safe_url
from dicomgate.iam.oidc.verifier import OidcVerifier
from dicomgate.iam.oidc.web import LARGEST_ANSWER, Web, WebError
from dicomgate.identity.claims import JsonWebToken
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from iam.claims import claims
from iam.oidc.issuer import AUDIENCE, NOW, RSA, STRANGER, key_set, token
from iam.oidc.stand_in import WELL_KNOWN, Reply, StandIn

NEXT = RSAKey.generate_key(2048, {"kid": "rsa-2"}, private=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def verifier(provider: StandIn) -> Iterator[Callable[..., OidcVerifier]]:
    made: list[OidcVerifier] = []

    def make(**settings: Any) -> OidcVerifier:
        rules = TokenRules(provider.issuer, frozenset({AUDIENCE}))
        made.append(OidcVerifier(OidcSettings("staff", rules, **{"timeout": 2.0, **settings})))
        return made[-1]

    yield make
    for each in made:
        each.close()


def judged(verifier: OidcVerifier, provider: StandIn, key: RSAKey = RSA, **changes: Any) -> Verification:
    return verifier.verify(claims(JsonWebToken(token(key=key, iss=provider.issuer, **changes))), NOW)


def test_keys_are_fetched_once(provider: StandIn, verifier: Callable[..., OidcVerifier]) -> None:
    known = verifier()
    assert not provider.requests, "nothing is asked before somebody comes"
    for _ in range(5):
        assert isinstance(judged(known, provider), Verified)
    assert [request.path for request in provider.requests] == [WELL_KNOWN, "/jwks"]
    for request in provider.requests:
        assert request.headers["accept-encoding"] == "identity"
        assert "cookie" not in request.headers


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(provider: StandIn, clock: Clock) -> Iterator[Provider]:
    web = Web(None)
    yield Provider(web, provider.issuer, 7200, clock)
    web.close()


ANSWERS: dict[str, Reply | dict[str, Any]] = {
    "not found": Reply(b"", 404),
    "broken": Reply(b"", 500),
    "page": Reply(b"<html>Welcome to the hotel's network</html>"),
    "no JSON object": Reply(b"[]"),
    "half an answer": Reply(b'{"issuer": "http', length=4000),
    "endless": Reply(b" " * (LARGEST_ANSWER + 1)),
    "no HTTP": Reply(raw=b"\x16\x03\x01\x02\x00" * 20),
    "a status line only": Reply(raw=b"HTTP/1.1 200 OK\r\n"),
    "nothing": Reply(raw=b""),
    "compressed": Reply(gzip.compress(b"{}"), headers={"content-encoding": "gzip"}),
    "redirect": Reply(b"", 302, {"location": "https://evil.example/"}),
    "another issuer": {"issuer": "https://evil.example"},
    "the issuer with a slash": {"issuer": None},
    "no keys": {"jwks_uri": None},
    "keys without TLS": {"jwks_uri": "http://keys.clinic.example/jwks"},
    "keys in a file": {"jwks_uri": "file:///etc/passwd"},
    "keys of a host that cannot be": {"jwks_uri": f"https://{'a' * 300}.example/jwks"},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_useless_answer_makes_the_refusal_transient(
    provider: StandIn, verifier: Callable[..., OidcVerifier], name: str
) -> None:
    wrong = ANSWERS[name]
    if isinstance(wrong, Reply):
        provider.routes[WELL_KNOWN] = wrong
    else:
        provider.publish(key_set(), **wrong)
    found = judged(verifier(), provider)
    assert isinstance(found, Unavailable), found
    assert "evil" not in found.reason


@pytest.mark.parametrize("name", [name for name, wrong in ANSWERS.items() if isinstance(wrong, Reply)])
def test_so_does_a_useless_key_set(provider: StandIn, verifier: Callable[..., OidcVerifier], name: str) -> None:
    provider.routes["/jwks"] = ANSWERS[name]  # type: ignore[assignment]
    assert isinstance(judged(verifier(), provider), Unavailable)


def test_nobody_there() -> None:
    rules = TokenRules("http://127.0.0.1:1", frozenset({AUDIENCE}))
    known = OidcVerifier(OidcSettings("staff", rules))
    found = known.verify(claims(JsonWebToken(token(iss="http://127.0.0.1:1"))), NOW)
    assert isinstance(found, Unavailable)
    assert "cannot be reached" in found.reason
    assert "refused" in found.reason


DRIPPING = {
    "never": Reply({}, pause=30),
    "body": Reply(b'{"issuer": "http://127.0.0.1"}' * 100, pause=0.1, pieces=3000),
    "headers": Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3000, pause=0.1, pieces=3000),
}


@pytest.mark.parametrize("name", DRIPPING)
def test_one_deadline_holds_for_the_whole_request(
    provider: StandIn, verifier: Callable[..., OidcVerifier], name: str
) -> None:
    """Each byte comes well within any timeout that counts from byte to byte."""
    provider.routes[WELL_KNOWN] = DRIPPING[name]
    found = judged(verifier(timeout=0.3), provider)
    assert isinstance(found, Unavailable)
    assert "no answer in time" in found.reason


def test_a_stranger_under_the_name_of_the_provider_is_not_believed(
    provider: StandIn, verifier: Callable[..., OidcVerifier]
) -> None:
    provider.publish(key_set(STRANGER))
    found = judged(verifier(), provider)
    assert isinstance(found, Refuted)
    assert found.cause is Cause.WRONG_CREDENTIAL


def asked(provider: Provider, kid: str) -> bool:
    return bool(provider.candidates(kid, "RS256", time.monotonic() + 5))


def test_a_new_key_is_found_when_a_token_names_it(provider: StandIn, keys: Provider, clock: Clock) -> None:
    assert asked(keys, "rsa-1")
    provider.publish(key_set(RSA, NEXT))
    assert not asked(keys, "rsa-2"), "it was asked a moment ago"
    clock.now += RETRY
    assert asked(keys, "rsa-2")
    assert asked(keys, "rsa-1")


def test_a_flood_of_unknown_keys_makes_few_requests(provider: StandIn, keys: Provider, clock: Clock) -> None:
    assert asked(keys, "rsa-1")
    for number in range(600):
        clock.now += 0.1
        assert not asked(keys, f"unknown-{number}")
    assert provider.asked("/jwks") <= 1 + 60 / RETRY
    assert provider.asked(WELL_KNOWN) == 1


def test_a_flood_on_many_threads_does_not_either(provider: StandIn, keys: Provider) -> None:
    threads = [threading.Thread(target=asked, args=(keys, f"unknown-{number}")) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.asked("/jwks") == 1


def test_a_provider_that_is_down_is_asked_now_and_then(provider: StandIn, keys: Provider, clock: Clock) -> None:
    provider.routes[WELL_KNOWN] = Reply(b"", 503)
    for _ in range(60):
        clock.now += 1
        with pytest.raises(KeysError, match="status 200, came 503"):
            asked(keys, "rsa-1")
    assert 1 <= provider.asked(WELL_KNOWN) <= 1 + 60 / RETRY
    provider.publish(key_set())
    clock.now += RETRY
    assert asked(keys, "rsa-1")


def test_fetched_keys_are_used_for_a_time_while_the_provider_is_down(
    provider: StandIn, keys: Provider, clock: Clock
) -> None:
    assert asked(keys, "rsa-1")
    provider.routes.clear()
    clock.now += FRESH
    assert asked(keys, "rsa-1")
    with pytest.raises(KeysError):
        asked(keys, "rsa-2")  # it may be a new one: nobody could be asked
    clock.now += 7200 - FRESH
    assert asked(keys, "rsa-1")
    clock.now += 1
    with pytest.raises(KeysError):
        asked(keys, "rsa-1")


def test_a_withdrawn_key_is_forgotten(provider: StandIn, keys: Provider, clock: Clock) -> None:
    assert asked(keys, "rsa-1")
    provider.publish(key_set(NEXT))
    clock.now += FRESH
    assert not asked(keys, "rsa-1")


def test_who_knows_the_key_does_not_wait_for_who_fetches(provider: StandIn, keys: Provider, clock: Clock) -> None:
    assert asked(keys, "rsa-1")
    clock.now += FRESH
    begun, go_on = threading.Event(), threading.Event()

    def slow(request: object) -> Reply:
        begun.set()
        go_on.wait(10)
        return Reply(key_set())

    provider.routes["/jwks"] = slow
    fetching = threading.Thread(target=asked, args=(keys, "rsa-1"))
    fetching.start()
    assert begun.wait(10)
    assert asked(keys, "rsa-1")
    go_on.set()
    fetching.join()


def test_discovery_gives_endpoints_that_are_safe_to_ask(provider: StandIn, keys: Provider) -> None:
    provider.publish(key_set(), **{"token_endpoint": "http://login.clinic.example/token"})
    deadline = time.monotonic() + 5
    assert keys.endpoint("introspection_endpoint", deadline) == f"{provider.issuer}/introspection"
    for name in ("token_endpoint", "userinfo_endpoint"):
        with pytest.raises(WebError, match=name):
            keys.endpoint(name, deadline)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://login.clinic.example", True),
        ("https://login.clinic.example:8443/realms/main", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost", True),
        ("http://login.clinic.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://", False),
        ("https://user@login.clinic.example", False),
        ("https://login.clinic.example/#x", False),
        ("https://login.clinic.example:port", False),
        ("https://login clinic.example", False),
        ("https://login.clinic.example/\n", False),
        ("https://lögin.example", False),
        ("ftp://login.clinic.example", False),
        ("//login.clinic.example", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_only_https_is_safe(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe
