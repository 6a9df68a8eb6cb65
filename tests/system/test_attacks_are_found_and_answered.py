"""Scripted attacks on one running gate: each is found, told by webhook and by mail, and answered; others go on.

`ATTACKS` is the table: who attacks how, what finds it, and how the answer looks at the client and at the archive.
Each attacker has an address and an AE title of its own. The times to detect are printed at the end (pytest -s).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from dicomgate.audit.record import Event, Record
from dicomgate.wire.codes import CommandField, PduType
from lab.alert_receiver import AlertReceiver
from lab.gate import run_dicomgate
from lab.mail_receiver import MailReceiver
from lab.process import wait_until
from system.house import House, house
from system.raw_archive import (
    CT,
    FIND,
    GET,
    IMPLICIT,
    ON_CT,
    ON_ECHO,
    ON_GET,
    PENDING,
    RELEASE_RQ,
    SECONDS,
    VERIFICATION,
    Wire,
    abort,
    associate_ac,
    associate_rq,
    command,
    command_of,
    data_set,
    dial,
    element,
    item,
    pdu,
    proposed,
    query_rq,
    response,
    store_rq,
    user_identity,
    user_information,
)

pytestmark = pytest.mark.system
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
ON_MOVE = 9
PASSCODE = "vinegar tractor eleven moss"
ELSEWHERE = "127.9.9.9"
MORE = """
[[listener]]
name = "login"
bind = "127.0.0.1:0"
networks = ["127.0.0.0/8"]
plaintext_passcodes = "unsafe-accept"

[[archive]]
name = "guarded"
ae_title = "GUARDED"
address = "{main}"
tamper = "refuse"

[[peer]]
name = "attackers"
ae_titles = ["A-*"]
networks = ["127.0.0.0/8"]
assurance = "address"
may = ["echo", "store", "find", "get", "move"]
archive = ["main", "honest", "guarded"]

[[peer]]
name = "viewers"
ae_titles = ["VIEWER"]
networks = ["127.0.0.0/8"]
listeners = ["login"]
assurance = "user"
may = ["echo"]
archive = ["main", "honest"]

[[role]]
name = "reader"
may = ["echo"]

[[verifier]]
name = "staff"
kind = "local"

[identity]
delay = "1 ms"

[[sink]]
name = "chat"
kind = "alert"
urls_file = "webhook"
minimum = "low"
group = "50 ms"
most_per_hour = 1000

[[sink]]
name = "on-call"
kind = "alert"
urls_file = "mail"
minimum = "low"
group = "100 ms"
most_per_hour = 1000

[detect]
mode = "respond"

[detect.rules.D10]
threshold = 2
action = "refuse"

[detect.rules.D11]
action = "ban"

[detect.rules.D16]
threshold = 100000
"""


@dataclass(slots=True)
class Stage:
    """The gate, who is told, and what was measured."""

    door: House
    webhook: AlertReceiver
    mail: MailReceiver
    times: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """What the webhook was told, and the mail is to be."""
    left: list[Wire] = field(default_factory=list)
    """What the attack has left open, for whoever looks at the answer: the client's end, and the archive's."""

    def associate(self, source: str, title: str, called: str = "ARCHIVE") -> tuple[Wire, Wire]:
        """A whole association from there: the client's end and that of an archive driven by hand."""
        client = self.door.dial(source)
        client.say(associate_rq(calling=title, called=called))
        archive = self.door.archive.meet()
        self.door.wires.append(archive)
        archive.expect(PduType.ASSOCIATE_RQ)
        archive.say(associate_ac())
        client.expect(PduType.ASSOCIATE_AC)
        return client, archive

    def log_in(self, source: str, user: str, passcode: str, called: str = "ARCHIVE") -> bytes:
        """What answers it: a PDU, or nothing where the door is shut."""
        identity = user_information(user_identity(2, user.encode(), passcode.encode()))
        with dial(self.door.gate.address("login"), source) as wire:
            contexts = proposed(ON_ECHO, VERIFICATION, IMPLICIT)
            wire.say(associate_rq(contexts, calling="VIEWER", called=called, user=identity))
            return wire.pdu()

    def answer_to(self, source: str, title: str) -> bytes:
        """What answers a request for the archive, which must not be called for it."""
        before = self.door.archive.connections
        with self.door.dial(source) as wire:
            wire.say(associate_rq(calling=title))
            came = wire.pdu()
        assert self.door.archive.connections == before, "the archive was called"
        return came


# -- what attackers do ---------------------------------------------------------------------------------------


def try_titles(stage: Stage, source: str, title: str) -> None:
    for number in range(5):
        with stage.door.dial(source) as wire:
            wire.say(associate_rq(calling=title, called=f"PACS{number}"))
            wire.expect(PduType.ASSOCIATE_RJ)


def spray_passcodes(stage: Stage, source: str, title: str) -> None:
    """One passcode that somebody will have, many names: none of them fails often enough to be locked."""
    for user in ("anna", "ben", "clara", "dora", "emil"):
        assert stage.log_in(source, user, "Winter2026!")[6:] == bytes((0, 1, 2, 1))


def guess_passcodes(stage: Stage, source: str, title: str) -> None:
    for number in range(5):
        assert stage.log_in(source, "frida", f"guess {number}")[:1] == bytes((PduType.ASSOCIATE_RJ,))


def sweep(stage: Stage, source: str, title: str) -> None:
    many = b"".join(proposed(2 * n + 1, f"1.2.840.10008.5.1.4.1.1.{n}", IMPLICIT) for n in range(100))
    for _ in range(2):
        with stage.door.dial(source) as wire:
            wire.say(associate_rq(many, calling=title, called="HONEST", user=user_information(item(0x55, b"NMAP_X"))))
            wire.expect(PduType.ASSOCIATE_AC)
            wire.say(RELEASE_RQ)
            wire.expect(PduType.RELEASE_RP)


def connect_slowly(stage: Stage, source: str, title: str) -> None:
    for _ in range(8):
        stage.door.dial(source).say(associate_rq(calling=title)[:10])


def declare_two_gigabytes(stage: Stage, source: str, title: str) -> None:
    stage.door.dial(source).say(pdu(PduType.ASSOCIATE_RQ, b"\0\1", 0x7FFFFFFF))


def harvest(stage: Stage, source: str, title: str) -> None:
    client, archive = stage.associate(source, title)
    client.say(query_rq())
    archive.pdu(), archive.pdu()
    archive.say(response(5, CommandField.C_FIND_RSP, 1, 0, sop_class=FIND))
    assert command_of(client.pdu()).status == 0
    stage.left += (client, archive)


def export_by_move(stage: Stage, source: str, title: str) -> None:
    client = stage.door.dial(source)
    client.say(associate_rq(proposed(ON_MOVE, MOVE, IMPLICIT), calling=title, called="HONEST"))
    client.expect(PduType.ASSOCIATE_AC)
    for number in range(3):
        asked = command(
            ON_MOVE,
            CommandField.C_MOVE_RQ,
            data_set=True,
            message_id=number + 1,
            affected_sop_class_uid=MOVE,
            priority=0,
            move_destination=f"ELSEWHERE{number}",
        )
        client.say(asked, data_set(ON_MOVE, element(0x52, b"STUDY ", group=8)))
        assert command_of(client.pdu()).status == 0xA801


def export_by_volume(stage: Stage, source: str, title: str) -> None:
    client, archive = stage.associate(source, title)
    client.say(query_rq(CommandField.C_GET_RQ))
    archive.pdu(), archive.pdu()
    for number in range(1, 12):
        archive.say(store_rq(number, f"1.2.3.{number}"), data_set(ON_CT, bytes(10_000)))
        client.pdu(), client.pdu()
        client.say(response(ON_CT, CommandField.C_STORE_RSP, number, 0, sop_class=CT, instance=f"1.2.3.{number}"))
        archive.pdu()
    stage.left += (client, archive)


def alter_an_image(stage: Stage, source: str, title: str) -> None:
    instance = "1.2.3.77"
    names_it = b"\x08\0\x18\0UI" + len(instance).to_bytes(2, "little") + instance.encode()
    for pixels in (b"original", b"altered!"):
        client, archive = stage.associate(source, title, "GUARDED")
        client.say(store_rq(1, instance), data_set(ON_CT, names_it + pixels))
        assert command_of(archive.pdu()).command_field is CommandField.C_STORE_RQ
        if pixels == b"original":
            assert archive.pdu() == data_set(ON_CT, names_it + pixels)
            archive.say(response(ON_CT, CommandField.C_STORE_RSP, 1, 0, sop_class=CT, instance=instance))
            assert command_of(client.pdu()).status == 0
        else:
            stage.left += (client, archive)


def lie_as_an_archive(stage: Stage, source: str, title: str) -> None:
    for _ in range(2):
        client, archive = stage.associate(source, title)
        client.say(query_rq(CommandField.C_GET_RQ))
        archive.pdu(), archive.pdu()
        archive.say(response(5, CommandField.C_FIND_RSP, 77, PENDING, sop_class=FIND))  # answers nothing
        stage.left += (client, archive)


# -- what becomes of them ------------------------------------------------------------------------------------


def shut_out(stage: Stage, source: str, title: str) -> None:
    """Nothing more from this address, whatever it calls itself; the same request from elsewhere reaches the archive."""
    assert stage.answer_to(source, title) == b""
    assert stage.answer_to(source, "A-OTHER") == b""
    client, _ = stage.associate(ELSEWHERE, "A-ELSEWHERE")
    client.close()


def shut_out_of_login(stage: Stage, source: str, title: str) -> None:
    """Also with the right passcode; the user herself comes in from elsewhere."""
    before = stage.door.archive.connections
    assert stage.log_in(source, "anna", PASSCODE) == b""
    assert stage.door.archive.connections == before
    assert stage.log_in(ELSEWHERE, "anna", PASSCODE, "HONEST")[:1] == bytes((PduType.ASSOCIATE_AC,))


def title_banned(stage: Stage, source: str, title: str) -> None:
    """What ran is aborted on both sides; the title comes in from nowhere."""
    for wire in stage.left:
        assert wire.pdu()[:1] == bytes((PduType.ABORT,))
    assert stage.answer_to(ELSEWHERE, title)[6:] == bytes((0, 1, 1, 1))


def capped(stage: Stage, source: str, title: str) -> None:
    """One association at a time; the running one goes on."""
    assert stage.answer_to(source, title)[6:] == bytes((0, 2, 3, 2))
    client, archive = stage.left
    archive.say(response(ON_GET, CommandField.C_GET_RSP, 1, 0, sop_class=GET))
    assert command_of(client.pdu()).status == 0


def image_kept(stage: Stage, source: str, title: str) -> None:
    """The sender has its failure; the archive has not a byte of the altered data set's end."""
    client, archive = stage.left
    assert command_of(client.pdu()).status == 0x0124
    assert client.pdu()[:1] == bytes((PduType.ABORT,))
    assert archive.rest() == abort(2, 0)


def archive_cut_off(stage: Stage, source: str, title: str) -> None:
    """Both sides of both associations are aborted; nobody is held off, and the next association is carried."""
    for wire in stage.left:
        assert wire.pdu()[:1] == bytes((PduType.ABORT,))
    stage.associate(source, title)[0].close()


@dataclass(frozen=True, slots=True)
class Attack:
    """`answer` is the rung of the finding's record."""

    attack: Callable[[Stage, str, str], None]
    detector: str
    answer: str
    aftermath: Callable[[Stage, str, str], None]


ATTACKS = {
    "AE titles are tried": Attack(try_titles, "D02", "ban", shut_out),
    "one passcode is tried on many users": Attack(spray_passcodes, "D05", "ban", shut_out_of_login),
    "many passcodes are tried on one user": Attack(guess_passcodes, "D04", "refuse", shut_out_of_login),
    "a scanner sweeps": Attack(sweep, "D10", "refuse", shut_out),
    "slowloris": Attack(connect_slowly, "D28", "refuse", shut_out),
    "a declared length of 2 GiB": Attack(declare_two_gigabytes, "D27", "ban", shut_out),
    "a harvest by wildcard": Attack(harvest, "D11", "ban", title_banned),
    "an export by C-MOVE": Attack(export_by_move, "D15", "refuse", shut_out),
    "an export by volume": Attack(export_by_volume, "D16", "cap", capped),
    "an image is altered": Attack(alter_an_image, "D20", "alert", image_kept),
    "an archive lies": Attack(lie_as_an_archive, "D36", "alert", archive_cut_off),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("attacked")
    with ExitStack() as running:
        webhook, mail = running.enter_context(AlertReceiver()), running.enter_context(MailReceiver())
        (folder / "webhook").write_text(f"# the chat room\n\n{webhook.url}\n")
        (folder / "mail").write_text(mail.url)
        limits = 'associate_deadline = "2 s"\nfirst_byte = "2 s"'
        door = running.enter_context(house(folder, more=MORE, limits=limits))
        for user in ("anna", "frida"):
            _add_user(door, folder, user)
        stage = Stage(door, webhook, mail)
        yield stage
        for told in stage.told:  # apprise leaves seconds between two mails: nobody waits for each
            wait_until(lambda says=told: any(says in body for _, body in mail.messages), SECONDS, f"a mail: {told}")
    print("\n\nAttack                                  found by  after its last record  told after  answer")
    print("\n".join(stage.times))


def _add_user(door: House, folder: Path, user: str) -> None:
    file = folder / "passcode"
    file.write_text(PASSCODE)
    file.chmod(0o600)
    done = run_dicomgate(
        "user", "add", user, "-c", door.gate.configuration, "--role", "reader", "--passcode-file", file
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_found_told_and_answered(stage: Stage, name: str) -> None:
    each, number = ATTACKS[name], list(ATTACKS).index(name) + 1
    source, title = f"127.9.0.{number}", f"A-{number}"
    stage.left.clear()
    each.attack(stage, source, title)
    finding = stage.door.trail.wait_for(event=Event.FINDING, rule=each.detector, address=source)
    assert (finding.detail["answer"], bool(finding.refusal_id)) == (each.answer, each.answer != "alert"), finding
    told = _told(stage, finding)
    each.aftermath(stage, source, title)
    if finding.refusal_id:
        placed = stage.door.trail.wait_for(event=Event.BAN_PLACED, refusal_id=finding.refusal_id)
        assert (placed.rule, placed.detail["answer"]) == (each.detector, each.answer)
    stage.door.innocent.is_undisturbed()
    seen = datetime.fromisoformat(str(finding.detail["last_seen"])).timestamp()
    figures = f"{finding.time - seen:>20.2f} s {told - seen:>10.2f} s"
    stage.times.append(f"{name:40}{finding.rule:8}{figures}  {each.answer} of {finding.detail['subject']}")


def _told(stage: Stage, finding: Record) -> float:
    """The webhook has the finding's own sentence; when that was seen, at the latest."""
    sentence = str(finding.reason)
    wait_until(lambda: any(sentence in body for _, body in stage.webhook.messages), SECONDS, f"an alert: {sentence}")
    stage.told.append(sentence)
    return time.time()


def test_what_is_only_simulated_is_said_and_not_done(tmp_path: Path) -> None:
    with house(tmp_path) as door:  # `simulate` is the default
        for number in range(5):
            with door.dial("127.9.0.1") as wire:
                wire.say(associate_rq(called=f"PACS{number}"))
                wire.expect(PduType.ASSOCIATE_RJ)
        record = door.trail.wait_for(event=Event.FINDING, rule="D02")
        assert (record.outcome, record.detail["answer"], record.detail["simulated"]) == ("would_refuse", "alert", "ban")
        with door.dial("127.9.0.1") as wire:
            wire.say(associate_rq(called="HONEST"))
            wire.expect(PduType.ASSOCIATE_AC)


def test_what_was_found_last_is_said_before_the_gate_ends(tmp_path: Path) -> None:
    with AlertReceiver() as receiver:
        (tmp_path / "receivers").write_text(receiver.url)
        sink = '[[sink]]\nname = "on-call"\nkind = "alert"\nurls_file = "receivers"\ngroup = "10 min"\n'
        with house(tmp_path, more=sink) as door:
            door.innocent.leave()
            door.dial("127.9.0.1").say(pdu(PduType.ASSOCIATE_RQ, b"\0\1", 0x7FFFFFFF))
            door.trail.wait_for(address="127.9.0.1", rule="malformed")
            door.gate.stop()
            assert door.trail.records(event=Event.FINDING, rule="D27")
            assert any(" D27 " in body for _, body in receiver.messages)
