"""A real realm: tickets that are good, replayed, changed, expired, for others; and the reply that a client checks."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dicomgate.iam.kerberos.keytab import principals_of
from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.iam.kerberos.tokens import AP_REQ_TOKEN, KERBEROS
from dicomgate.iam.kerberos.verifier import KerberosVerifier
from dicomgate.iam.ldap.verifier import LdapVerifier
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Cause, Refuted, Unavailable, Verification, Verified
from dicomgate.wire.codes import IdentityType
from iam.presented import passcode, ticket
from interop.test_ldap import settings_for
from lab.kerberos import OTHER_SERVICE, PLAIN, REALM, SERVICE, THREE_LEGS, Realm
from lab.openldap import OpenLdap, named

pytestmark = [pytest.mark.interop]
BOB, ADMIN = "bob", "alice/admin"


@pytest.fixture
def settings(realm: Realm, tmp_path: Path) -> KerberosSettings:
    return KerberosSettings("tickets", realm.keytab, SERVICE, frozenset({REALM}), tmp_path / "state" / "replays")


@pytest.fixture
def verifier(settings: KerberosSettings) -> KerberosVerifier:
    return KerberosVerifier(settings)


@pytest.fixture(scope="module")
def alice(realm: Realm) -> Path:
    """Alice's ticket cache."""
    return realm.log_in("alice")


def ask(verifier: KerberosVerifier, token: bytes) -> Verification:
    return verifier.verify(ticket(token), time.time())


def cause(found: Verification) -> Cause:
    assert isinstance(found, Refuted), found
    return found.cause


def bare(token: bytes) -> bytes:
    """The AP-REQ in a GSS token."""
    return token[token.index(KERBEROS + AP_REQ_TOKEN) + len(KERBEROS + AP_REQ_TOKEN) :]


def test_a_good_ticket_once(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    (token,) = realm.tokens(alice)
    found = ask(verifier, token)
    assert isinstance(found, Verified)
    expires = found.principal.expires
    assert expires is not None
    assert found.principal == Principal(f"alice@{REALM}", "tickets", IdentityType.KERBEROS, expires=expires)
    assert time.time() < expires < time.time() + 25 * 3600
    assert cause(ask(verifier, token)) is Cause.REPLAYED


def test_the_client_believes_the_reply(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    with realm.client(alice) as client:
        found = ask(verifier, client.token)
        assert isinstance(found, Verified)
        assert client.takes(found.server_response)


def test_a_bare_ap_req_gets_a_bare_ap_rep(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    (token,) = realm.tokens(alice)
    found = ask(verifier, bare(token))
    assert isinstance(found, Verified)
    assert found.server_response[0] == 0x6F
    assert cause(ask(verifier, bare(token))) is Cause.REPLAYED
    assert cause(ask(verifier, token)) is Cause.REPLAYED, "the same in another dress"


def test_who_does_not_ask_gets_no_reply(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    found = ask(verifier, realm.tokens(alice, kind=PLAIN)[0])
    assert isinstance(found, Verified)
    assert found.server_response == b""


def test_three_messages_have_no_room(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    assert cause(ask(verifier, realm.tokens(alice, kind=THREE_LEGS)[0])) is Cause.MALFORMED


def test_a_ticket_for_another_service_of_the_same_keytab(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    assert {SERVICE, OTHER_SERVICE} <= principals_of(realm.keytab)
    assert cause(ask(verifier, realm.tokens(alice, service=OTHER_SERVICE)[0])) is Cause.NOT_MINE


def test_a_replay_is_known_after_a_restart(realm: Realm, settings: KerberosSettings, alice: Path) -> None:
    (token,) = realm.tokens(alice)
    assert isinstance(ask(KerberosVerifier(settings), token), Verified)
    assert cause(ask(KerberosVerifier(settings), token)) is Cause.REPLAYED
    assert settings.replay_cache.stat().st_mode & 0o077 == 0


def test_of_the_same_token_many_times_at_once_one_gets_in(
    realm: Realm, verifier: KerberosVerifier, alice: Path
) -> None:
    tokens = realm.tokens(alice, 20)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda token: ask(verifier, token), [token for token in tokens for _ in range(8)]))
    assert sum(isinstance(each, Verified) for each in found) == len(tokens)
    assert Counter(cause(each) for each in found if not isinstance(each, Verified)) == {Cause.REPLAYED: 7 * len(tokens)}


def test_different_users_at_once_stay_apart(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    caches = {f"alice@{REALM}": alice, f"bob@{REALM}": realm.log_in(BOB), f"alice/admin@{REALM}": realm.log_in(ADMIN)}
    made = [(name, token) for name, cache in caches.items() for token in realm.tokens(cache, 30)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: ask(verifier, each[1]), made))
    assert [each.principal.name for each in found if isinstance(each, Verified)] == [name for name, _ in made]


def test_a_changed_token_is_nobody_s(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    """One bit, everywhere. A few bits of the outside are not protected, and change nothing: then it is alice still."""
    (token,) = realm.tokens(alice)
    outcomes = Counter[str]()
    for place in range(len(token)):
        changed = token[:place] + bytes((token[place] ^ 1,)) + token[place + 1 :]
        match ask(verifier, changed):
            case Verified(principal):
                assert principal.name == f"alice@{REALM}"
                assert place < 60
                outcomes["verified"] += 1
            case Refuted(found):
                outcomes[found] += 1
            case Unavailable(reason):
                pytest.fail(f"byte {place}: {reason}")
    assert outcomes["verified"] <= 3
    assert outcomes[Cause.WRONG_CREDENTIAL] > 400


@pytest.mark.parametrize("garbage", [b"\x60\x03abc", b"\x6e\x03abc", b"\x61\x03abc", b"x" * 65_000, b"\x6e\x00"])
def test_garbage(verifier: KerberosVerifier, garbage: bytes) -> None:
    assert cause(ask(verifier, garbage)) is Cause.MALFORMED


def test_every_cut_of_a_token(realm: Realm, verifier: KerberosVerifier, alice: Path) -> None:
    (token,) = realm.tokens(alice)
    for cut in range(1, len(token), 7):
        assert cause(ask(verifier, token[:cut])) is Cause.MALFORMED


def test_users_of_other_realms_are_for_others(realm: Realm, settings: KerberosSettings, alice: Path) -> None:
    strict = KerberosVerifier(replace(settings, realms=frozenset({"NORTH.EXAMPLE"})))
    found = ask(strict, realm.tokens(alice)[0])
    assert found == Refuted(Cause.NOT_MINE, f"users of the realm {REALM} are not believed", f"alice@{REALM}")


def test_a_name_without_its_realm(realm: Realm, settings: KerberosSettings, alice: Path) -> None:
    stripped = KerberosVerifier(replace(settings, strip_realm=True, roles=frozenset({"reader"})))
    found = ask(stripped, realm.tokens(alice)[0])
    assert isinstance(found, Verified)
    assert (found.principal.name, found.principal.roles) == ("alice", {"reader"})


def test_a_clock_that_is_wrong(realm: Realm, verifier: KerberosVerifier) -> None:
    """The client's clock is ten minutes ahead; five are allowed."""
    cache = realm.log_in(BOB)
    realm.tokens(cache)  # gets the service's ticket while the clocks agree
    shifted = cache.with_name("cache.shifted")
    shifted.write_bytes(with_clock(cache.read_bytes(), 600))
    assert cause(ask(verifier, realm.tokens(shifted)[0])) is Cause.EXPIRED


def with_clock(cache: bytes, seconds: int) -> bytes:
    """A ticket cache (version 4) whose header says how far the KDC's clock is from the client's."""
    assert cache[:2] == b"\x05\x04"
    (length,) = struct.unpack(">H", cache[2:4])
    return b"\x05\x04" + struct.pack(">HHHii", 12, 1, 8, seconds, 0) + cache[4 + length :]


OLD = """
import json, sys, time
from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.iam.kerberos.verifier import KerberosVerifier
from iam.presented import ticket
from pathlib import Path
keytab, service, realm, replays, token = sys.argv[1:]
verifier = KerberosVerifier(KerberosSettings("k", Path(keytab), service, frozenset({realm}), Path(replays)))
print(json.dumps(repr(verifier.verify(ticket(bytes.fromhex(token)), time.time()))))
"""


def test_a_ticket_that_has_expired(realm: Realm, alice: Path, tmp_path: Path) -> None:
    """Five minutes of skew are more than a test can wait, so a process with a skew of one second judges it."""
    short = realm.log_in(BOB, "-l", "2s")
    (token,) = realm.tokens(short)
    impatient = tmp_path / "krb5.conf"
    text = (realm.directory / "krb5.conf").read_text(encoding="utf-8")
    impatient.write_text(text.replace("[libdefaults]", "[libdefaults]\n  clockskew = 1"), encoding="utf-8")

    def judged(token: bytes) -> str:
        arguments = [realm.keytab, SERVICE, REALM, tmp_path / "replays", token.hex()]
        environment = {**realm.environment, "KRB5_CONFIG": str(impatient), "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", OLD, *map(str, arguments)], env=environment, capture_output=True, check=True
        )
        return str(json.loads(done.stdout))

    assert "Verified" in judged(realm.tokens(alice)[0])
    time.sleep(4)
    assert "Cause.EXPIRED" in judged(token)


def test_a_keytab_with_another_version_of_the_key(
    realm: Realm, settings: KerberosSettings, alice: Path, tmp_path: Path
) -> None:
    service = f"dicom/changed.clinic.example@{REALM}"
    old, new = tmp_path / "old.keytab", tmp_path / "new.keytab"
    realm.administer(f"addprinc -randkey {service}", f"ktadd -k {old} {service}")
    (token, again) = realm.tokens(alice, 2, service=service)
    realm.administer(f"ktadd -k {new} {service}")
    of_service = replace(settings, principal=service, keytab=new)
    assert cause(ask(KerberosVerifier(of_service), token)) is Cause.WRONG_CREDENTIAL
    file = tmp_path / "service.keytab"
    verifier = KerberosVerifier(replace(of_service, keytab=file))
    assert isinstance(ask(verifier, token), Unavailable)
    file.write_bytes(old.read_bytes())  # put there while the gate runs
    assert isinstance(ask(verifier, again), Verified)


@pytest.mark.parametrize("wrong", ["missing", "empty", "other service", "a directory"])
def test_a_keytab_that_cannot_be_used(
    realm: Realm, settings: KerberosSettings, alice: Path, tmp_path: Path, wrong: str
) -> None:
    keytab = tmp_path / "keytab"
    match wrong:
        case "empty":
            keytab.write_bytes(b"\x05\x02")
        case "other service":
            settings = replace(settings, principal=f"dicom/nobody@{REALM}")
            keytab = realm.keytab
        case "a directory":
            keytab.mkdir()
    found = ask(KerberosVerifier(replace(settings, keytab=keytab)), realm.tokens(alice)[0])
    assert isinstance(found, Unavailable)
    assert str(keytab) in found.reason


def test_without_a_place_to_remember_replays_nobody_gets_in(
    realm: Realm, settings: KerberosSettings, alice: Path, tmp_path: Path
) -> None:
    verifier = KerberosVerifier(replace(settings, replay_cache=tmp_path))
    found = ask(verifier, realm.tokens(alice)[0])
    assert isinstance(found, Unavailable)
    assert "replay cache" in found.reason
    (tmp_path / "file").write_bytes(b"")
    verifier = KerberosVerifier(replace(settings, replay_cache=tmp_path / "file" / "replays"))
    found = ask(verifier, realm.tokens(alice)[0])
    assert isinstance(found, Unavailable)
    assert "no place for the replay cache" in found.reason


@pytest.fixture
def directory(clinic: OpenLdap, tmp_path: Path) -> Iterator[LdapVerifier]:
    made = LdapVerifier(settings_for(clinic, tmp_path))
    yield made
    made.close()


def test_groups_come_from_a_directory(
    realm: Realm, settings: KerberosSettings, alice: Path, directory: LdapVerifier
) -> None:
    verifier = KerberosVerifier(replace(settings, strip_realm=True), directory.groups_of)
    found = ask(verifier, realm.tokens(alice)[0])
    assert isinstance(found, Verified)
    assert found.principal.groups == {named("radiologists")}
    # alice/admin is nobody in the directory; the ticket does not help.
    unknown = ask(verifier, realm.tokens(realm.log_in(ADMIN))[0])
    assert cause(unknown) is Cause.DISABLED


def test_a_directory_that_is_down_lets_no_ticket_in(realm: Realm, settings: KerberosSettings, alice: Path) -> None:
    down = Unavailable("the directory is down")
    verifier = KerberosVerifier(settings, lambda user, now: down)
    assert ask(verifier, realm.tokens(alice)[0]) == down


def test_other_claims_are_for_others(verifier: KerberosVerifier) -> None:
    found = verifier.verify(passcode("alice", "alice secret"), time.time())
    assert cause(found) is Cause.NOT_MINE
