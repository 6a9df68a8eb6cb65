"""All five types of user identity at one real gate, from pynetdicom and DCMTK, with the real providers behind them.

The archive believes nobody but the gate: it wants a token that the gate has signed, and checks it with the gate's keys.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification

from interop.conftest import require, require_package
from lab import dcmtk, studies
from lab.gate import Gate, run_dicomgate, running_gate
from lab.kerberos import PLAIN, SERVICE, Realm
from lab.openid_provider import AUDIENCE, OpenIdProvider, openid_provider
from lab.openldap import GATE as LDAP_GATE
from lab.openldap import GATE_PASSCODE, PEOPLE, OpenLdap, named
from lab.pki import SERVER, Authority, Identity, now, trusting
from lab.process import LOOPBACK, Address, free_address
from lab.pynetdicom_clients import note_rejection, rejection
from lab.saml_provider import GATE, RECIPIENT, SamlProvider, Statement

pytestmark = [pytest.mark.interop, pytest.mark.system]
PASSCODE, REFUSED = "vinegar tractor eleven moss", "1/2/1"
CONFIGURATION = """
[gate]
name = "main-gate"
state = "sqlite:///gate.db"

[metrics]
bind = "{published}"

[[sink]]
name = "lines"
kind = "jsonl"
file = "records.jsonl"

[identity]
delay = "10 ms"
attempts = 50

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]
tls = {{ certificate = "{certificate}", key = "{key}", client_ca = "{ca}", client_certificate = "optional" }}

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"
identity = "mint"

[[peer]]
name = "workstation"
ae_titles = ["WS1"]
networks = ["127.0.0.0/8"]
assurance = "user"
may = ["echo", "store"]

[[peer]]
name = "reading-room"
ae_titles = ["READ1"]
networks = ["127.0.0.0/8"]
assurance = "user"
certificates = ["dns:read1.lab.example"]
username_roles = ["radiologist"]
may = ["echo"]

[[role]]
name = "radiologist"
groups = ["radiologists", "{group}"]
may = ["echo", "store"]

[[verifier]]
name = "own"
kind = "local"

[[verifier]]
name = "tokens"
kind = "oidc"
issuer = "{issuer}"
audience = "{audience}"
ca = "{openid_ca}"
user_claim = "preferred_username"
groups_claim = "realm_access.roles"

[[verifier]]
name = "assertions"
kind = "saml"
metadata = "{metadata}"
audience = "{saml_gate}"
recipient = "{recipient}"

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
ca = "{ldap_ca}"
bind_dn = "{ldap_gate}"
bind_passcode_file = "{ldap_passcode}"
user_base = "{people}"
"""


@dataclass
class Archive:
    """A C-ECHO and storage SCP that lets in whom a token of the gate introduces, and notes everybody who came."""

    published: Address
    """Where the gate serves its key set."""
    connections: int = 0
    tokens: list[str] = field(default_factory=list)
    users: list[tuple[str, list[str]]] = field(default_factory=list)
    address: Address = field(init=False)

    def connected(self, event: Any) -> None:
        self.connections += 1

    def identify(self, event: Any) -> tuple[bool, None]:
        """EVT_USER_ID: only type 5, only with the key set that the gate publishes, only for this archive."""
        if event.user_id_type != 5 or event.secondary_field:
            return False, None
        with urlopen(f"http://{self.published}/.well-known/jwks.json", timeout=10) as page:
            published = KeySet.import_key_set(json.load(page))
        try:
            found = jwt.decode(event.primary_field, published, algorithms=["ES256"])
        except (JoseError, ValueError):
            return False, None
        said = found.claims
        if (said["iss"], said["aud"]) != ("main-gate", "main") or not said["nbf"] - 1 <= time.time() < said["exp"]:
            return False, None
        self.tokens.append(event.primary_field.decode())
        self.users.append((said["sub"], said["roles"]))
        return True, None

    @contextmanager
    def serving(self) -> Iterator[None]:
        entity = AE("ARCHIVE")
        entity.supported_contexts = [*AllStoragePresentationContexts]
        entity.add_supported_context(Verification)
        handlers = [
            (evt.EVT_CONN_OPEN, self.connected),
            (evt.EVT_USER_ID, self.identify),
            (evt.EVT_C_ECHO, lambda event: 0),
            (evt.EVT_C_STORE, lambda event: 0),
        ]
        server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=handlers)
        self.address = Address(*server.socket.getsockname()[:2])
        try:
            yield
        finally:
            entity.shutdown()


@dataclass(frozen=True)
class Scene:
    folder: Path
    gate: Gate
    archive: Archive
    openid: OpenIdProvider
    saml: SamlProvider
    realm: Realm
    ca: Authority
    device: Identity

    def sign_in(
        self, kind: int | None, primary: bytes = b"", secondary: bytes = b"", calling: str = "WS1"
    ) -> str | None:
        """One association over TLS from pynetdicom, and one C-ECHO; the rejection, if it was rejected."""
        offered = []
        if kind is not None:
            identity = UserIdentityNegotiation()
            identity.user_identity_type, identity.positive_response_requested = kind, True
            identity.primary_field, identity.secondary_field = primary, secondary
            offered.append(identity)
        entity = AE(calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
        entity.add_requested_context(Verification)
        context: ssl.SSLContext = trusting(self.ca.certificate)
        if calling == "READ1":
            context = self.device.context(self.ca.certificate)
        to = self.gate.address("outside")
        made = entity.associate(
            to.host,
            to.port,
            ae_title="ARCHIVE",
            ext_neg=offered,
            tls_args=(context, "localhost"),
            evt_handlers=[(evt.EVT_PDU_RECV, note_rejection)],
        )
        if not made.is_established:
            entity.shutdown()
            if (left := made.dul.socket) is not None and left.socket is not None:
                left.socket.close()  # pynetdicom leaves it to the garbage collector
            return rejection(made) or "no answer"
        assert made.send_c_echo().Status == 0
        # What pynetdicom was told of itself: a response to what it asked (PS3.7 D.3.3.7.2).
        assert (made.acceptor.user_identity is not None) is (kind is not None)
        made.release()
        entity.shutdown()
        return None

    def store(self, *options: str | Path) -> dcmtk.Outcome:
        """One image over TLS from DCMTK's storescu."""
        encrypted = ("+tla", "+cf", self.ca.certificate)
        image = studies.instance(self.folder, studies.KINDS[1], "identities").path
        return dcmtk.storescu(self.gate.address("outside"), "WS1", "ARCHIVE", [image], *encrypted, *options)

    def token(self, user: str = "alice") -> bytes:
        return str(self.openid.tokens(user=user)["access_token"]).encode()

    def assertion(self, name: str = "carol") -> bytes:
        # A second ahead: the gate refuses what is older than its start, and instants are told in whole seconds.
        return self.saml.sign(Statement(now().timestamp(), name=name, issued=1, begins=None))

    def ticket(self, user: str = "alice") -> bytes:
        return self.realm.tokens(self.realm.log_in(user), kind=PLAIN)[0]


@pytest.fixture
def scene(clinic: OpenLdap, realm: Realm, tmp_path: Path) -> Iterator[Scene]:
    for component in ("dcmtk", "openid", "xmlsec1"):
        require(component)
    require_package("signxml")
    ca = Authority(tmp_path / "pki")
    server = ca.issue("gate", names=["localhost"], usage=[SERVER])
    device = ca.issue("read1")
    saml = SamlProvider(tmp_path / "idp")
    passcode = tmp_path / "ldap-passcode"
    passcode.write_text(GATE_PASSCODE)
    passcode.chmod(0o600)
    archive = Archive(free_address())
    with openid_provider(tmp_path / "openid") as openid, archive.serving():
        text = CONFIGURATION.format(
            certificate=server.certificate,
            key=server.key,
            ca=ca.certificate,
            archive=archive.address,
            published=archive.published,
            group=named("radiologists"),
            issuer=openid.issuer,
            audience=AUDIENCE,
            openid_ca=openid.ca,
            metadata=saml.metadata,
            saml_gate=GATE,
            recipient=RECIPIENT,
            keytab=realm.keytab,
            service=SERVICE,
            ldap=clinic.plain,
            ldap_ca=clinic.ca,
            ldap_gate=LDAP_GATE,
            ldap_passcode=passcode,
            people=PEOPLE,
        )
        with running_gate(tmp_path / "gate", text) as gate:
            file = tmp_path / "passcode"
            file.write_text(PASSCODE)
            file.chmod(0o600)
            done = run_dicomgate(
                "user", "add", "dora", "--role", "radiologist", "--passcode-file", file, "-c", gate.configuration
            )
            assert done.returncode == 0, done.stderr
            yield Scene(tmp_path, gate, archive, openid, saml, realm, ca, device)


def test_all_five_types_lead_to_the_archive_and_none_leaves_a_trace(scene: Scene) -> None:
    ticket, token, assertion = scene.ticket(), scene.token(), scene.assertion()
    ways: dict[str, tuple[int, bytes, bytes, str]] = {
        "username by (device)": (1, b"erna", b"", "READ1"),
        "username_and_passcode by own": (2, b"dora", PASSCODE.encode(), "WS1"),
        "username_and_passcode by staff": (2, b"alice", b"alice secret", "WS1"),
        "kerberos by domain": (3, ticket, b"", "WS1"),
        "saml by assertions": (4, assertion, b"", "WS1"),
        "jwt by tokens": (5, token, b"", "WS1"),
    }
    for proof, (kind, primary, secondary, calling) in ways.items():
        assert scene.sign_in(kind, primary, secondary, calling) is None, proof
        admitted = scene.gate.await_record(event="association_admitted")
        assert admitted["detail"]["proof"] == proof
        done = scene.gate.await_record(event="operation", association=admitted["association"])
        for record in (admitted, done):
            assert record["user"] == scene.archive.users[-1][0]
            assert record["address"] == LOOPBACK
            assert record["peer"] == ("reading-room" if kind == 1 else "workstation")
            assert record["assurance"] == ("device" if kind == 1 else "user")
            assert record["detail"]["proof"] == proof
    users = [(name, ["radiologist"]) for name in ("erna", "dora", "alice", "alice", "carol", "alice")]
    assert scene.archive.users == users

    # DCMTK sends what it can. (A ticket and an assertion are good once.)
    again, once_more = scene.ticket(), scene.assertion()
    files: dict[str, bytes] = {"-kt": again, "--saml": base64.b64encode(once_more), "--jwt": token}
    for option, content in files.items():
        credential = scene.folder / "credential"
        credential.write_bytes(content)
        stored = scene.store(option, credential, "-rsp")
        assert stored.ok, f"{option}: {stored.output}"
    stored = scene.store("-usr", "dora", "-pwd", PASSCODE)
    assert stored.ok, stored.output
    assert [name for name, _ in scene.archive.users[6:]] == ["alice", "carol", "alice", "dora"]
    served = scene.archive.connections
    for options in ((), ("-usr", "dora"), ("-usr", "dora", "-epw"), ("-usr", "dora", "-pwd", "a guess")):
        assert not scene.store(*options).ok
    assert scene.archive.connections == served

    limits = Path(f"/proc/{scene.gate.process.popen.pid}/limits").read_text(encoding="ascii")
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0", "a dump of the process would hold them all"
    scene.gate.stop()
    _none_is_in_what_was_written(
        scene.folder / "gate",
        PASSCODE.encode(),
        b"a guess",
        b"alice secret",
        GATE_PASSCODE.encode(),
        *token.split(b"."),
        *(part.encode() for minted in scene.archive.tokens for part in minted.split(".")[1:]),
        *(part for each in (ticket, again) for part in (each[40:72], each[-32:])),
        *(each[each.index(b"<ds:SignatureValue>") + 19 :][:60] for each in (assertion, once_more)),
    )


def _none_is_in_what_was_written(folder: Path, *secrets: bytes) -> None:
    """As it is, as a person would print it, or encoded: in the log, the store and whatever else is there."""
    written = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    kinds = {file.suffix for file in written}
    assert {".db", ".checkpoints", ".signing-key", ".token-key", ".jsonl", ".err"} <= kinds
    assert any(b"alice" in content for content in written.values())
    for secret in secrets:
        assert len(secret) > 6
        shapes = {secret, secret.hex().encode(), secret.hex().upper().encode(), repr(secret)[2:-1].encode()}
        shapes |= {base64.b64encode(secret)[:-4], base64.urlsafe_b64encode(secret)[:-4]}
        for file, content in written.items():
            for shape in shapes:
                assert shape not in content, f"a secret of {len(secret)} bytes is in {file.name}"


def test_nobody_else_reaches_the_archive(scene: Scene) -> None:
    ticket, token, assertion = scene.ticket(), scene.token(), scene.assertion()
    assert scene.sign_in(3, ticket) is None
    assert scene.sign_in(4, assertion) is None
    served = scene.archive.connections
    assert served == 2
    nobody: list[tuple[int | None, bytes, bytes, str]] = [
        (None, b"", b"", "WS1"),
        (None, b"", b"", "READ1"),
        (1, b"dora", b"", "WS1"),
        (1, b" ", b"", "READ1"),
        (2, b"dora", b"a guess", "WS1"),
        (2, b" ", PASSCODE.encode(), "WS1"),
        (2, b"*", b"alice secret", "WS1"),
        (2, b"alice)(uid=*", b"alice secret", "WS1"),
        (2, b"dora\0", b"a guess", "WS1"),
        (2, b"bob", b"bob secret", "WS1"),  # of the directory, without a role
        (3, ticket, b"", "WS1"),  # a second time
        (3, b"\x60\x82" + bytes(60), b"", "WS1"),
        (3, scene.ticket("bob"), b"", "WS1"),  # without a role
        (4, assertion, b"", "WS1"),  # a second time
        (4, scene.assertion().replace(b"carol", b"alice"), b"", "WS1"),
        (4, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"", "WS1"),
        (5, token[:-3] + b"abc", b"", "WS1"),
        (5, scene.token("bob"), b"", "WS1"),  # without a role
        (5, b"eyJhbGciOiJub25lIn0." + token.split(b".")[1] + b".", b"", "WS1"),
        (5, assertion, b"", "WS1"),
        (4, token, b"", "WS1"),
        (3, token, b"", "WS1"),
    ]
    for kind, primary, secondary, calling in nobody:
        assert scene.sign_in(kind, primary, secondary, calling) == REFUSED, (kind, primary[:30], calling)
    assert scene.archive.connections == served
    assert len(scene.gate.records(event="association_refused")) == len(nobody)
