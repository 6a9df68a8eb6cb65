"""Bans of users and of certificates on the wire: refused before the archive is called, whatever else is proved."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dicomgate.audit.record import Event
from dicomgate.detect.ban import Ban
from dicomgate.detect.model import Rung, Subject, SubjectKind
from dicomgate.store import bans
from dicomgate.store.database import open_store
from dicomgate.wire.codes import PduType
from lab.gate import Gate, run_dicomgate, running_gate
from lab.pki import SERVER, Authority, trusting
from system.house import STATE, Trail
from system.raw_archive import (
    BOTH_ROLES,
    RawArchive,
    Wire,
    associate_ac,
    associate_rq,
    dial,
    echo_rq,
    user_identity,
    user_information,
)

pytestmark = pytest.mark.system
PASSCODE = "vinegar tractor eleven moss"
HERE, THERE, SPARED = "127.9.0.1", "127.9.0.2", "127.9.0.3"
REFUSED = bytes((0, 1, 1, 1))
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[identity]
delay = "1 ms"

[[listener]]
name = "outside"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]
tls = {{ certificate = "{server}", key = "{key}", client_ca = "{ca}", client_certificate = "optional" }}

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "{archive}"

[[peer]]
name = "viewers"
ae_titles = ["VIEWER"]
networks = ["127.9.0.1", "127.9.0.2"]
assurance = "user"
may = ["echo", "store", "find", "get"]

[[peer]]
name = "emergency-viewer"
ae_titles = ["VIEWER"]
networks = ["127.9.0.3"]
assurance = "user"
may = ["echo", "store", "find", "get"]
never_block = true

[[peer]]
name = "scanners"
ae_titles = ["SCANNER"]
networks = ["127.9.0.1", "127.9.0.2"]
assurance = "device"
certificates = ["dns:ct1.lab.example", "dns:ct2.lab.example"]
may = ["echo", "store", "find", "get"]

[[peer]]
name = "emergency-scanner"
ae_titles = ["SCANNER"]
networks = ["127.9.0.3"]
assurance = "device"
certificates = ["dns:ct1.lab.example", "dns:ct2.lab.example"]
may = ["echo", "store", "find", "get"]
never_block = true

[[role]]
name = "reader"
may = ["echo", "store", "find", "get"]

[[verifier]]
name = "staff"
kind = "local"
"""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who proves who it is: a user by a passcode, or a device by a certificate."""

    kind: SubjectKind
    value: str
    context: ssl.SSLContext
    request: bytes


@dataclass(slots=True)
class Stage:
    gate: Gate
    archive: RawArchive
    trail: Trail
    wires: list[Wire] = field(default_factory=list)

    def ask(self, who: Party, source: str = HERE) -> Wire:
        """Its request, sent; nothing is answered yet."""
        plain = dial(self.gate.address("outside"), source)
        wire = Wire(who.context.wrap_socket(plain.sock, server_hostname="localhost"))
        self.wires.append(wire)
        wire.say(who.request)
        return wire

    def associate(self, who: Party, source: str = HERE) -> tuple[Wire, Wire]:
        """Both ends of an association that was let in."""
        client = self.ask(who, source)
        archive = self.archive.meet()
        self.wires.append(archive)
        archive.expect(PduType.ASSOCIATE_RQ)
        archive.say(associate_ac())
        client.expect(PduType.ASSOCIATE_AC)
        return client, archive

    def is_refused(self, who: Party, source: str = HERE) -> bool:
        """1/1/1, and no connection to the archive; were it let in, nobody would answer."""
        before = self.archive.connections
        with self.ask(who, source) as client:
            return client.pdu()[6:] == REFUSED and self.archive.connections == before

    def ban(self, *words: str) -> str:
        done = run_dicomgate("ban", words[0], "-c", self.gate.configuration, *words[1:])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def await_change(self, event: Event, identifier: str) -> str:
        """A ban has begun or ended; the reason its record gives. It is in force, or over, before it has its record."""
        return str(self.trail.wait_for(event=event, refusal_id=identifier).reason)


def goes_on(client: Wire, archive: Wire) -> bool:
    client.say(echo_rq())
    return archive.pdu() == echo_rq()


@dataclass(frozen=True, slots=True)
class Cast:
    rules: str
    archive: RawArchive
    parties: Mapping[SubjectKind, tuple[Party, Party]]
    """Who is banned, and another one of the same kind."""


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    authority = Authority(tmp_path_factory.mktemp("pki"))
    server = authority.issue("gate", names=["localhost"], usage=[SERVER])
    with RawArchive() as archive:
        names = {"server": server.certificate, "key": server.key, "ca": authority.certificate}
        yield Cast(
            CONFIGURATION.format(archive=archive.address, **names),
            archive,
            {
                SubjectKind.USER: (_user(authority, "anna"), _user(authority, "ben")),
                SubjectKind.CERTIFICATE: (_device(authority, "ct1"), _device(authority, "ct2")),
            },
        )


def _user(authority: Authority, name: str) -> Party:
    shown = user_information(BOTH_ROLES, user_identity(2, name.encode(), PASSCODE.encode()))
    request = associate_rq(calling="VIEWER", user=shown)
    return Party(SubjectKind.USER, name, trusting(authority.certificate), request)


def _device(authority: Authority, name: str) -> Party:
    identity = authority.issue(name)
    context = identity.context(authority.certificate)
    return Party(SubjectKind.CERTIFICATE, identity.facts.sha256, context, associate_rq(calling="SCANNER"))


@contextmanager
def running(folder: Path, cast: Cast) -> Iterator[Stage]:
    with running_gate(folder, cast.rules) as gate:
        stage = Stage(gate, cast.archive, Trail(folder))
        try:
            yield stage
        finally:
            for wire in stage.wires:
                wire.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cast: Cast) -> Path:
    """Where a gate has its state: with two users."""
    made = tmp_path_factory.mktemp("gate")
    (made / "dicomgate.toml").write_text(cast.rules)
    passcode = made / "passcode"
    passcode.write_text(PASSCODE)
    passcode.chmod(0o600)
    for name in ("anna", "ben"):
        what = ("user", "add", name, "--role", "reader", "--passcode-file", passcode)
        assert run_dicomgate(*what, "-c", made / "dicomgate.toml").returncode == 0
    return made


def test_users_and_certificates_that_are_banned_stay_out(cast: Cast, folder: Path) -> None:
    with running(folder, cast) as stage:
        placed = {kind: _ban_while_it_runs(stage, kind, *cast.parties[kind]) for kind in cast.parties}
        stage.gate.kill()
    with running(folder, cast) as stage:
        for kind, (banned, _) in cast.parties.items():
            assert stage.is_refused(banned), "from the first connection on"
            assert stage.ban("lift", kind.value, banned.value) == placed[kind]
            assert stage.await_change(Event.BAN_LIFTED, placed[kind]) == "lifted by command"
            stage.associate(banned)
        brief = {kind: stage.ban(*_add(kind, banned, "2 s")) for kind, (banned, _) in cast.parties.items()}
        for kind, (banned, _) in cast.parties.items():
            assert stage.await_change(Event.BAN_PLACED, brief[kind]) == "a test"
            assert stage.await_change(Event.BAN_LIFTED, brief[kind]) == "its time is over"
            stage.associate(banned)
        for banned, _ in cast.parties.values():
            _ban_as_a_detector(stage, folder, banned)


def _add(kind: SubjectKind, banned: Party, lasting: str) -> tuple[str, ...]:
    return ("add", kind.value, banned.value, "--for", lasting, "--reason", "a test")


def _ban_while_it_runs(stage: Stage, kind: SubjectKind, banned: Party, other: Party) -> str:
    held, free = stage.associate(banned), stage.associate(other)
    identifier = stage.ban(*_add(kind, banned, "1 h"))
    assert [wire.pdu()[:1] for wire in held] == [bytes((PduType.ABORT,))] * 2
    assert goes_on(*free)
    assert stage.is_refused(banned)
    assert stage.is_refused(banned, THERE), "wherever it calls from"
    why = f"{kind.value} {banned.value} is held off: ban {identifier} of command"
    stage.trail.wait_for(event=Event.ASSOCIATION_REFUSED, rule="ban", address=THERE, reason=why)
    stage.associate(other)
    return identifier


def _ban_as_a_detector(stage: Stage, folder: Path, banned: Party) -> None:
    """As another gate on the same store places it: it does not hit a never-block peer, whoever calls from there."""
    elsewhere, spared = stage.associate(banned), stage.associate(banned, SPARED)
    now, engine = time.time(), open_store(STATE, folder)
    subject = Subject(banned.kind, banned.value)
    bans.place(engine, Ban(bans.new_identifier(), subject, Rung.BAN, now, now + 3600, "D11", "a test"))
    engine.dispose()
    assert [wire.pdu()[:1] for wire in elsewhere] == [bytes((PduType.ABORT,))] * 2
    assert stage.is_refused(banned)
    assert goes_on(*spared)
    stage.associate(banned, SPARED)
