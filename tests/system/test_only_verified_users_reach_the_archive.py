"""Every assurance, whatever is presented, whatever the provider does: the archive is called for a verified user only.

Where a peer's users are not asked for, it is called for what the peer has to prove instead; malformed, never.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path

import pytest

from dicomgate.wire.codes import PduType
from iam.oidc.issuer import AUDIENCE, EC, key_set, says, token
from iam.oidc.stand_in import WELL_KNOWN, Reply, Request, StandIn, standing_in
from lab.gate import Gate, running_gate
from lab.pki import SERVER, Authority, Identity, trusting
from lab.process import free_address
from system.house import Trail
from system.raw_archive import (
    IMPLICIT,
    ON_ECHO,
    VERIFICATION,
    RawArchive,
    Wire,
    answered,
    associate_ac,
    associate_rq,
    dial,
    item,
    proposed,
    user_identity,
    user_information,
)

pytestmark = pytest.mark.system
USER, DEVICE, ADDRESS = "USER1", "DEVICE1", "ADDRESS1"
RIGHT, WRONG = b"correct horse", b"a guess"
SLOW = 30.0
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[identity]
delay = "1 ms"
attempts = 1000

[limits]
identity = {patience}

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]
tls = {{ certificate = "{server}", key = "{key}", client_ca = "{ca}", client_certificate = "optional" }}

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"

[[role]]
name = "radiologist"
groups = ["radiologists"]
may = ["echo"]

[[verifier]]
name = "staff"
kind = "oidc"
issuer = "{issuer}"
audience = "dicomgate"
client_id = "gate"
password_grant = true

[[peer]]
name = "user"
ae_titles = ["USER1"]
networks = ["127.0.0.0/8"]
assurance = "user"
may = ["echo"]

[[peer]]
name = "device"
ae_titles = ["DEVICE1"]
networks = ["127.0.0.0/8"]
assurance = "device"
certificates = ["dns:ct1.lab.example"]
may = ["echo"]

[[peer]]
name = "address"
ae_titles = ["ADDRESS1"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo"]
"""


class Provider(Enum):
    """What the provider does while users come."""

    UP = "up"
    DOWN = "down"
    SLOW = "slow"
    GARBAGE = "garbage"


def _now() -> int:
    return int(time.time())


def _good(issuer: str, **changes: object) -> str:
    return token(says(**{"iss": issuer, "aud": AUDIENCE, "iat": _now() - 5, "exp": _now() + 600, **changes}), EC)


@contextmanager
def _provider(kind: Provider) -> Iterator[str]:
    """Its issuer identifier."""
    if kind is Provider.DOWN:
        yield f"http://{free_address()}"
        return
    with standing_in() as provider:
        provider.publish(key_set())
        if kind is Provider.UP:
            provider.routes["/token"] = lambda request: _granted(provider, request)
        else:
            answer = Reply(pause=SLOW) if kind is Provider.SLOW else Reply(raw=b"\x00\xff" * 200)
            provider.routes = dict.fromkeys((WELL_KNOWN, "/jwks", "/token"), answer)
        yield provider.issuer


def _granted(provider: StandIn, request: Request) -> Reply:
    if request.form.get("password", "").encode() == RIGHT:
        return Reply({"access_token": _good(provider.issuer), "token_type": "Bearer"})
    return Reply({"error": "invalid_grant"}, 400)


def _well_formed(issuer: str) -> dict[str, bytes]:
    """What may be presented, by a name that begins with "good" for what a provider that is up vouches for."""
    good = _good(issuer).encode()
    nobody = _good(issuer, groups=["cleaners"]).encode()
    return {
        "nothing": b"",
        "a name": user_identity(1, b"alice"),
        "good passcode": user_identity(2, b"alice", RIGHT),
        "wrong passcode": user_identity(2, b"alice", WRONG),
        "empty passcode": user_identity(2, b"alice"),
        "name that is not UTF-8": user_identity(2, b"\xff\xfe", RIGHT),
        "a ticket": user_identity(3, b"\x60\x82\x01\x00" + bytes(80)),
        "an assertion": user_identity(4, b"<saml:Assertion/>"),
        "good token": user_identity(5, good, asked=1),
        "token of another": user_identity(5, good[:-4] + b"AAAA"),
        "ended token": user_identity(5, _good(issuer, exp=_now() - 600).encode()),
        "token without a role": user_identity(5, nobody),
        "no token at all": user_identity(5, b""),
        "an answer, which is dropped": item(0x59, b"\x00\x00"),
    }


MALFORMED = {
    "type 0": user_identity(0, b"alice"),
    "type 6": user_identity(6, b"alice"),
    "a token with a passcode": user_identity(5, b"a.b.c", RIGHT),
    "a length beyond its item": item(0x58, b"\x02\x00\xff\xffalice\x00\x00"),
    "nothing in it": item(0x58, b""),
    "more behind it": item(0x58, b"\x01\x00\x00\x05alice\x00\x00\x00\x00"),
    "two of them": user_identity(2, b"alice", WRONG) + user_identity(1, b"alice"),
}
CALLERS = ((USER, False), (USER, True), (DEVICE, False), (DEVICE, True), (ADDRESS, False))
"""Calling AE title, and whether the device's certificate is shown."""


class Scene:
    def __init__(self, gate: Gate, archive: RawArchive, ca: Authority, device: Identity, issuer: str) -> None:
        self.gate, self.archive, self.issuer = gate, archive, issuer
        self._plain, self._shown = trusting(ca.certificate), device.context(ca.certificate)

    def ask(self, calling: str, shown: bool, presented: bytes) -> Wire:
        """An A-ASSOCIATE-RQ over TLS."""
        context: ssl.SSLContext = self._shown if shown else self._plain
        raw = dial(self.gate.address("outside"))
        wire = Wire(context.wrap_socket(raw.sock, server_hostname="localhost"))
        wire.say(
            associate_rq(proposed(ON_ECHO, VERIFICATION, IMPLICIT), calling=calling, user=user_information(presented))
        )
        return wire

    def is_let_in(self, calling: str, shown: bool, presented: bytes) -> bool:
        """By the gate's answer, which must agree with what the archive saw."""
        before = self.archive.connections
        with self.ask(calling, shown, presented) as client:
            with ExitStack() as ending:
                answer = self._answer(client, ending)
            let_in = answer[:1] == bytes((PduType.ASSOCIATE_AC,))
        assert (self.archive.connections > before) is let_in, (calling, shown, answer[:10].hex(" "))
        assert let_in or answer[:1] in (bytes((PduType.ASSOCIATE_RJ,)), bytes((PduType.ABORT,))), answer[:80]
        return let_in

    def _answer(self, client: Wire, ending: ExitStack) -> bytes:
        """What the client hears; the archive, if it is called, lets in whoever comes."""
        self.archive._server.settimeout(0.02)
        client.sock.settimeout(0.02)
        until = time.monotonic() + SLOW
        while time.monotonic() < until:
            try:
                upstream = self.archive.meet()
            except TimeoutError:
                pass
            else:
                ending.callback(upstream.close)
                upstream.expect(PduType.ASSOCIATE_RQ)
                upstream.say(associate_ac(answered(ON_ECHO, IMPLICIT), user=user_information()))
            try:
                return client.pdu()
            except TimeoutError:
                continue
        raise AssertionError("no answer")


@pytest.mark.parametrize("provider", Provider)
def test_who_reaches_the_archive(provider: Provider, tmp_path: Path) -> None:
    ca = Authority(tmp_path / "pki")
    server, device = ca.issue("gate", names=["localhost"], usage=[SERVER]), ca.issue("ct1")
    with RawArchive() as archive, _provider(provider) as issuer:
        text = CONFIGURATION.format(
            patience='"1 s"' if provider is Provider.SLOW else '"20 s"',
            server=server.certificate,
            key=server.key,
            ca=ca.certificate,
            archive=archive.address,
            issuer=issuer,
        )
        with running_gate(tmp_path / "gate", text) as gate:
            scene = Scene(gate, archive, ca, device, issuer)
            for calling, shown in CALLERS:
                for name, presented in _well_formed(issuer).items():
                    verified = name.startswith("good") and provider is Provider.UP
                    wanted = {USER: verified, DEVICE: shown, ADDRESS: True}[calling]
                    assert scene.is_let_in(calling, shown, presented) is wanted, (calling, shown, name)
                for name, presented in MALFORMED.items():
                    assert not scene.is_let_in(calling, shown, presented), (calling, shown, name)
            trail = Trail(tmp_path / "gate")
            admitted = [record for record in trail.records(event="association_admitted") if record.peer == "user"]
            assert len(admitted) == (4 if provider is Provider.UP else 0)
            assert all((record.user, record.assurance) == ("alice", "user") for record in admitted)
