"""Users whom a real directory and a real Kerberos realm vouch for, at a real gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification

from interop.conftest import require
from lab import dcmtk
from lab.gate import Gate, running_gate
from lab.kerberos import PLAIN, SERVICE, Realm
from lab.openldap import GATE, GATE_PASSCODE, PEOPLE, OpenLdap, named
from lab.process import wait_until
from lab.pynetdicom_clients import note_rejection, rejection

pytestmark = pytest.mark.interop
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[identity]
delay = "10 ms"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]
plaintext_passcodes = "unsafe-accept"

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"

[[peer]]
name = "workstation"
ae_titles = ["WS1"]
networks = ["127.0.0.0/8"]
assurance = "user"
may = ["echo"]

[[role]]
name = "radiologist"
groups = ["{group}"]
may = ["echo"]

[[verifier]]
name = "domain"
kind = "kerberos"
keytab = "{keytab}"
principal = "{service}"
strip_realm = true
replay_cache = "replays"
groups_from = "staff"

[[verifier]]
name = "staff"
kind = "ldap"
servers = "ldap://{ldap}"
ca = "{ca}"
bind_dn = "{gate}"
bind_passcode_file = "passcode"
user_base = "{people}"
"""


@dataclass(frozen=True)
class Answer:
    """What the client got. `response` is that of item 59H; None when there was no such item."""

    accepted: bool
    rejection: str | None = None
    response: bytes | None = None


@dataclass(frozen=True)
class Scene:
    gate: Gate
    clinic: OpenLdap
    realm: Realm

    def sign_in(self, kind: int, primary: bytes, secondary: bytes = b"") -> Answer:
        """One association with a user identity item, and one C-ECHO."""
        identity = UserIdentityNegotiation()
        identity.user_identity_type = kind
        identity.primary_field = primary
        identity.secondary_field = secondary
        identity.positive_response_requested = True
        entity = AE("WS1")
        entity.add_requested_context(Verification)
        to = self.gate.address("outside")
        handlers = [(evt.EVT_PDU_RECV, note_rejection)]
        made = entity.associate(to.host, to.port, ae_title="ARCHIVE", ext_neg=[identity], evt_handlers=handlers)
        if made.is_established:
            assert made.send_c_echo().Status == 0
            item = made.acceptor.user_identity
            made.release()
            return Answer(True, response=None if item is None else item.server_response or b"")
        return Answer(False, rejection(made))


@pytest.fixture
def scene(clinic: OpenLdap, realm: Realm, tmp_path: Path) -> Iterator[Scene]:
    require("dcmtk")
    (tmp_path / "passcode").write_text(GATE_PASSCODE, encoding="utf-8")
    (tmp_path / "passcode").chmod(0o600)
    with dcmtk.storescp(tmp_path / "archive", "ARCHIVE") as archive:
        text = CONFIGURATION.format(
            archive=archive.address,
            group=named("radiologists"),
            keytab=realm.keytab,
            service=SERVICE,
            ldap=clinic.plain,
            ca=clinic.ca,
            gate=GATE,
            people=PEOPLE,
        )
        with running_gate(tmp_path, text) as gate:
            yield Scene(gate, clinic, realm)


def test_a_passcode_and_a_ticket_lead_to_the_same_user(scene: Scene) -> None:
    assert scene.sign_in(2, b"alice", b"alice secret") == Answer(True, response=b"")
    by_passcode = scene.gate.await_record(event="association_admitted", user="alice")
    alice = scene.realm.log_in("alice")
    with scene.realm.client(alice) as client:
        answer = scene.sign_in(3, client.token)
        assert answer.accepted
        assert answer.response
        assert client.takes(answer.response), "the client believes that this is the gate it wanted"
    by_ticket = scene.gate.await_record(event="association_admitted", user="alice")
    assert [record["assurance"] for record in (by_passcode, by_ticket)] == ["user", "user"]
    assert len(scene.gate.records(event="association_admitted", user="alice")) == 2


def test_who_is_not_let_in(scene: Scene) -> None:
    refused = Answer(False, "1/2/1")
    assert scene.sign_in(2, b"alice", b"wrong") == refused
    assert scene.sign_in(2, b"mallory", b"alice secret") == refused
    assert scene.sign_in(2, b"*", b"alice secret") == refused
    assert scene.sign_in(2, b"gone", b"gone secret") == refused
    # Known and right, but in no group that has a role.
    assert scene.sign_in(2, b"bob", b"bob secret") == refused
    bob, alice = scene.realm.log_in("bob"), scene.realm.log_in("alice")
    assert scene.sign_in(3, scene.realm.tokens(bob)[0]) == refused
    (token,) = scene.realm.tokens(alice, kind=PLAIN)
    assert scene.sign_in(3, token).accepted
    assert scene.sign_in(3, token) == refused, "a replay"
    assert scene.sign_in(3, b"\x61\x03abc") == refused
    written = scene.gate.log + str(scene.gate.records())
    assert "alice secret" not in written
    assert GATE_PASSCODE not in written


def test_while_the_directory_is_down_a_client_may_try_again(scene: Scene) -> None:
    scene.clinic.stop()
    try:
        (token,) = scene.realm.tokens(scene.realm.log_in("alice"))
        assert scene.sign_in(2, b"alice", b"alice secret") == Answer(False, "2/3/1")
        assert scene.sign_in(3, token) == Answer(False, "2/3/1")
    finally:
        scene.clinic.start()
    wait_until(lambda: scene.sign_in(2, b"alice", b"alice secret").accepted, 20, "the directory to be asked again")
