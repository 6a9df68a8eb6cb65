"""Local users at a real gate: who logs in reaches the archive, nobody else does, and the command line is obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyFind
from pynetdicom.sop_class import Verification

from lab.gate import Gate, run_dicomgate, running_gate
from lab.process import read, wait_until
from lab.pynetdicom_clients import query
from lab.pynetdicom_peers import PynetdicomPeer, pynetdicom_peer
from system.house import Trail

pytestmark = pytest.mark.system
GOOD, WRONG = "vinegar tractor eleven moss", "a guess of somebody else"
REFUSED = "1/2/1"
CONFIGURATION = """
[gate]
state = "sqlite:///gate.db"

[identity]
attempts = 4
delay = "50 ms"

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
name = "viewer"
ae_titles = ["VIEWER"]
networks = ["127.0.0.0/8"]
assurance = "user"
may = ["echo", "find"]

[[role]]
name = "assistant"
may = ["echo"]

[[role]]
name = "emergency"
may = ["find"]
emergency = true

[[verifier]]
name = "staff"
kind = "local"
"""


@dataclass(frozen=True, slots=True)
class Scene:
    gate: Gate
    archive: PynetdicomPeer
    trail: Trail

    def user(self, *arguments: str | Path) -> str:
        done = run_dicomgate(*arguments, "-c", self.gate.configuration)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add(self, name: str, folder: Path) -> None:
        file = folder / "passcode"
        file.write_text(GOOD)
        file.chmod(0o600)
        self.user("user", "add", name, "--role", "assistant", "--passcode-file", file)
        file.unlink()

    @contextmanager
    def inside(self, name: str) -> Iterator[Any]:
        """An association that stays."""
        identity = UserIdentityNegotiation()
        identity.user_identity_type, identity.positive_response_requested = 2, False
        identity.primary_field, identity.secondary_field = name.encode(), GOOD.encode()
        entity, to = AE("VIEWER"), self.gate.address("outside")
        entity.add_requested_context(Verification)
        made = entity.associate(to.host, to.port, ae_title="ARCHIVE", ext_neg=[identity])
        assert made.is_established
        try:
            yield made
        finally:
            entity.shutdown()

    def log_in(self, name: str, passcode: str, source: str = "127.0.0.1") -> tuple[str | None, list[int]]:
        """The rejection, if any, and the statuses of a C-ECHO and a C-FIND."""
        identity = UserIdentityNegotiation()
        identity.user_identity_type, identity.positive_response_requested = 2, False
        identity.primary_field, identity.secondary_field = name.encode(), passcode.encode()
        rejections: list[str] = []

        def note(event: Any) -> None:
            if isinstance(event.pdu, A_ASSOCIATE_RJ):
                rejections.append(f"{event.pdu.result}/{event.pdu.source}/{event.pdu.reason_diagnostic}")

        entity, to = AE("VIEWER"), self.gate.address("outside")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
        for sop_class in (Verification, StudyFind):
            entity.add_requested_context(sop_class)
        made = entity.associate(
            to.host,
            to.port,
            ae_title="ARCHIVE",
            ext_neg=[identity],
            bind_address=(source, 0),
            evt_handlers=[(evt.EVT_PDU_RECV, note)],
        )
        statuses: list[int] = []
        if made.is_established:
            statuses.append(made.send_c_echo().Status)
            if any(context.abstract_syntax == StudyFind for context in made.accepted_contexts):
                answers = list(made.send_c_find(query("STUDY", PatientID="NOBODY"), StudyFind))
                statuses.append(answers[-1][0].Status)
            made.release()
        entity.shutdown()
        return (rejections[0] if rejections else None), statuses


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with (
        pynetdicom_peer("ARCHIVE") as archive,
        running_gate(tmp_path, CONFIGURATION.format(archive=archive.address)) as gate,
    ):
        yield Scene(gate, archive, Trail(tmp_path))


def test_local_users_log_in(scene: Scene, tmp_path: Path) -> None:
    archive, trail = scene.archive, scene.trail
    # Nobody is known yet, and nothing reaches the archive.
    assert scene.log_in("alice", GOOD) == (REFUSED, [])
    assert archive.connections == 0

    # Added while the gate runs; the role allows an echo and no query.
    scene.add("alice", tmp_path)
    rejection, statuses = scene.log_in("ALICE", GOOD)
    assert rejection is None
    assert statuses[0] == 0x0000
    assert statuses[1:] in ([], [0xC000])
    admitted = trail.wait_for(event="association_admitted")
    assert admitted.user == "alice"
    assert admitted.assurance == "user"
    assert archive.connections == 1

    # Emergency access opens the query, for this user and with a trace.
    scene.user("break-glass", "alice", "--role", "emergency", "--reason", "stroke at night", "--for", "1h")
    assert scene.log_in("alice", GOOD) == (None, [0x0000, 0x0000])
    used = trail.wait_for(event="emergency_used")
    assert (used.user, used.reason, used.address) == ("alice", "stroke at night", "127.0.0.1")

    # Disabled while the gate runs.
    scene.user("user", "disable", "alice")
    before = archive.connections
    assert scene.log_in("alice", GOOD) == (REFUSED, [])
    scene.user("user", "enable", "alice")
    assert scene.log_in("alice", GOOD)[0] is None
    assert archive.connections == before + 1


@pytest.mark.parametrize("change", ["disable", "remove"])
def test_who_is_no_user_any_more_is_not_left_inside(scene: Scene, tmp_path: Path, change: str) -> None:
    for name in ("alice", "bert"):
        scene.add(name, tmp_path)
    with scene.inside("alice") as alice, scene.inside("bert") as bert:
        scene.user("user", change, "alice")
        wait_until(lambda: not alice.is_established, 30, "the end of the association")
        ended = scene.trail.wait_for(event="association_ended", user="alice")
        assert ended.rule == "verifier"
        assert ended.reason is not None
        assert ended.reason.startswith("alice ")
        assert bert.send_c_echo().Status == 0x0000


def test_guessing_locks_the_guesser_and_not_the_user(scene: Scene, tmp_path: Path) -> None:
    scene.add("alice", tmp_path)
    for _ in range(4):
        assert scene.log_in("alice", WRONG, "127.0.0.66") == (REFUSED, [])
    lockout = scene.trail.wait_for(event="user_locked_out")
    assert (lockout.user, lockout.address) == ("alice", "127.0.0.66")
    # Locked out looks exactly like a wrong passcode, and so does a name that does not exist.
    assert scene.log_in("alice", GOOD, "127.0.0.66") == (REFUSED, [])
    assert scene.log_in("nobody", GOOD, "127.0.0.67") == (REFUSED, [])
    assert scene.archive.connections == 0
    assert scene.log_in("alice", GOOD, "127.0.0.1")[0] is None
    assert len(scene.trail.records(event="user_locked_out")) == 1
    causes = [record.detail.get("cause") for record in scene.trail.records(event="identity_refused")]
    assert causes == ["wrong_credential"] * 4 + ["locked_out", "unknown_user"]


def test_nothing_the_gate_wrote_has_a_passcode_in_it(scene: Scene, tmp_path: Path) -> None:
    scene.add("alice", tmp_path)
    for name in ("alice", "nobody"):
        for passcode in (GOOD, WRONG):
            scene.log_in(name, passcode)
    scene.trail.wait_for(event="identity_refused", user="nobody")
    limits = Path(f"/proc/{scene.gate.process.popen.pid}/limits").read_text(encoding="ascii")
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0", "a dump of the process would hold passcodes"
    scene.gate.stop()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"alice" in written
    for secret in (GOOD, WRONG):
        assert secret.encode() not in written


def test_a_grant_is_in_the_log_of_a_gate_that_runs_and_of_one_that_starts(scene: Scene, tmp_path: Path) -> None:
    scene.user("break-glass", "alice", "--role", "emergency", "--reason", "stroke at night", "--for", "1h")
    wait_until(lambda: "emergency_in_force" in read(scene.gate.process.stderr), 20, "a line about the grant")
    scene.gate.stop()
    with running_gate(tmp_path / "again", CONFIGURATION.format(archive="127.0.0.1:1").replace(
        "sqlite:///gate.db", f"sqlite:///{tmp_path}/gate.db"
    )) as second:  # fmt: skip
        wait_until(lambda: "emergency_in_force" in read(second.process.stderr), 20, "a line about the grant")
