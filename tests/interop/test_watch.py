"""`dicomgate watch` on a mirror port and on a capture, while real clients go through the gate and past it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomgate.watch.capture import Interface
from interop.conftest import require
from lab import studies
from lab.alert_receiver import AlertReceiver
from lab.dcmtk import BIN
from lab.gate import DICOMGATE, run_dicomgate
from lab.mirror import HOSTS, INTERFACE, Mirror, mirror
from lab.pki import CLIENT, SERVER, Authority, Identity
from lab.process import running, wait_until
from watch.test_watching import conversation
from watch.wiretap import pcap

pytestmark = [pytest.mark.interop, pytest.mark.system]

CONFIGURATION = """
[[listener]]
name = "clear"
bind = "10.1.0.5:104"
networks = ["10.1.0.0/24"]

[[listener]]
name = "secured"
bind = "10.1.0.5:2762"
networks = ["10.1.0.0/24"]
tls = {{ certificate = "{gate.certificate}", key = "{gate.key}", client_ca = "{ca}" }}

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.0.20:11112"

[[archive]]
name = "secured"
ae_title = "SAFE"
address = "10.1.0.20:2762"
tls = {{ ca = "{ca}" }}

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.0.31"]
assurance = "address"
may = ["echo", "store"]
archive = "main"

[[sink]]
name = "on-call"
kind = "alert"
urls_file = "receivers"
minimum = "low"
group = "200 ms"

[detect]
mode = "respond"

"""
QUERY = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName", "-k", "StudyInstanceUID")


@dataclass(frozen=True)
class Scene:
    """An archive in clear, one with TLS, and a gate, all on one switch."""

    here: Mirror
    ca: Authority
    device: Identity
    folder: Path

    def scu(
        self,
        host: str,
        program: str,
        server: str,
        port: int,
        calling: str,
        called: str,
        *options: str | Path,
        files: tuple[Path, ...] = (),
    ) -> str:
        """One of DCMTK's clients; what it said."""
        titles = ("-v", "-aet", calling, "-aec", called)
        command = (BIN / program, *titles, *options, HOSTS[server], str(port), *files)
        done = self.here.run(host, *command, cwd=self.folder)
        return done.stdout + done.stderr

    @property
    def secured(self) -> tuple[str | Path, ...]:
        return ("+tls", self.device.key, self.device.certificate, "+cf", self.ca.certificate)


@contextmanager
def scene(folder: Path, receiver: AlertReceiver) -> Iterator[Scene]:
    ca = Authority(folder / "pki")
    own = ca.issue("gate", names=["10.1.0.5"], usage=[SERVER, CLIENT])
    safe = ca.issue("archive", names=["10.1.0.20"], usage=[SERVER])
    device = ca.issue("ct1.lab.example", names=["ct1.lab.example"], usage=[CLIENT])
    file = folder / "gate" / "gate.toml"
    file.parent.mkdir()
    file.write_text(CONFIGURATION.format(gate=own, ca=ca.certificate))
    (file.parent / "receivers").write_text(f"{receiver.url}\n")
    database = folder / "archive" / "database"
    database.mkdir(parents=True)
    settings = folder / "archive" / "dcmqrscp.cfg"
    settings.write_text(
        "NetworkTCPPort = 11112\nMaxPDUSize = 131072\nMaxAssociations = 32\nHostTable BEGIN\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nARCHIVE {database} RW (20, 100mb) ANY\nAETable END\n"
    )
    with mirror() as here:
        queried = here.inside("archive", BIN / "dcmqrscp", "-v", "-c", settings, "11112")
        stored = here.inside("archive", BIN / "storescp", "-v", "-aet", "SAFE", "-od", database,
                             "+tls", safe.key, safe.certificate, "-ic", "2762")  # fmt: skip
        gate = here.inside("gate", *DICOMGATE, "run", "-c", file)
        with (
            running("dcmqrscp", queried, folder / "archive", ready=lambda _: here.listens("archive", 11112)),
            running("storescp", stored, folder / "archive", ready=lambda _: here.listens("archive", 2762)),
            running("dicomgate", gate, file.parent, ready=lambda process: process.text().count("ready ") == 2),
        ):
            yield Scene(here, ca, device, folder)


def is_settled(file: Path) -> bool:
    """Nothing more is being written to it."""
    size = file.stat().st_size
    time.sleep(0.3)
    return file.stat().st_size == size


def test_every_conversation_on_a_mirror_port_is_found(tmp_path: Path) -> None:
    """Clear and TLS, through the gate and past it; and the attack that goes past it is found and told."""
    for component in ("dcmtk", "namespaces", "tcpdump"):
        require(component)
    image = studies.instance(tmp_path, studies.EXPLICIT[0], "watch")
    study = f"StudyInstanceUID={image.study_instance_uid}"
    with AlertReceiver() as receiver, scene(tmp_path, receiver) as lab:
        here, day = lab.here, tmp_path / "day.pcap"
        watch = here.inside("switch", *DICOMGATE, "watch", "--interface", INTERFACE, "--json",
                            "-c", tmp_path / "gate" / "gate.toml")  # fmt: skip
        dump = here.inside("switch", "/usr/bin/tcpdump", "-i", INTERFACE, "-U", "--immediate-mode", "-s", "0",
                           "-Z", "root", "-w", day)  # fmt: skip
        with (
            running("watch", watch, tmp_path / "watch", ready=lambda each: "listening on br0" in each.text()) as live,
            running(
                "tcpdump", dump, tmp_path / "tcpdump", ready=lambda each: "listening on br0" in each.text()
            ) as dumping,
        ):
            for _ in range(2):
                assert "Echo Response (Success)" in lab.scu("modality", "echoscu", "gate", 104, "CT1", "ARCHIVE")
                assert "Success" in lab.scu("modality", "echoscu", "gate", 2762, "CT1", "ARCHIVE", *lab.secured)
            assert "Success" in lab.scu("modality", "storescu", "gate", 104, "CT1", "ARCHIVE", files=(image.path,))
            for number in range(5):
                said = lab.scu("attacker", "echoscu", "archive", 11112, "EVIL", f"PACS{number}")
                assert "Called AE Title Not Recognized" in said
            lab.scu("attacker", "findscu", "archive", 11112, "EVIL", "ARCHIVE", *QUERY)
            for number in range(3):
                asked = ("-S", "-aem", f"ELSEWHERE{number}", "-k", "QueryRetrieveLevel=STUDY", "-k", study)
                lab.scu("attacker", "movescu", "archive", 11112, "EVIL", "ARCHIVE", *asked)
            lab.scu("attacker", "echoscu", "archive", 2762, "EVIL", "SAFE", *lab.secured)
            wait_until(lambda: '"rule": "D15"' in live.text(), 30, "a finding while it listens")
            wait_until(lambda: is_settled(day), 30, "the end of the capture")
            for each in (live, dumping):
                each.send_signal(signal.SIGINT)
                assert each.popen.wait(30) == 0
        lines = [json.loads(line) for line in live.stdout.read_text().splitlines()]
        talk = live.stderr.read_text()
        again = run_dicomgate("watch", "--pcap", day, "--json", "--alert", "-c", tmp_path / "gate" / "gate.toml")
        assert again.returncode == 0, again.stderr
    for told in (lines, [json.loads(line) for line in again.stdout.splitlines()]):
        rows = [line for line in told if "event" not in line]
        connections: Counter[tuple[str, str, int, str]] = Counter()
        for row in rows:
            connections[row["client"], row["server"], row["port"], row["transport"]] += row["connections"]
        gate, archive, modality, attacker = (HOSTS[name] for name in ("gate", "archive", "modality", "attacker"))
        assert connections == {
            (modality, gate, 104, "clear"): 3,
            (modality, gate, 2762, "tls"): 2,
            (gate, archive, 11112, "clear"): 5,
            (attacker, archive, 11112, "clear"): 9,
            (attacker, archive, 2762, "tls"): 1,
        }
        past = {(row["client"], row["transport"]) for row in rows if "bypasses the gate" in row["remarks"]}
        assert past == {(attacker, "clear"), (attacker, "tls")}
        findings = [line for line in told if line.get("event") == "finding"]
        assert {(each["rule"], each["address"]) for each in findings} == {(f"D{n:02}", attacker) for n in (2, 11, 15)}
        assert {each["detail"]["answer"] for each in findings} == {"alert"}
    assert "dropped by the kernel: 0" in talk
    told_people = "".join(body for _, body in receiver.messages)
    assert [name for name in ("D02", "D11", "D15") if name not in told_people] == []


def test_what_came_before_the_end_is_looked_at() -> None:
    """A watcher that lags behind is stopped: what the kernel holds for it is not thrown away."""
    require("namespaces")  # and with them the right to listen
    source, mark = Interface("lo"), os.urandom(16)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            for number in range(200):
                sender.sendto(mark + bytes([number]), sender.getsockname())
        source.stop()
        seen = [bytes(frame[1])[-1] for frame in source.frames() if frame is not None and mark in bytes(frame[1])]
    finally:
        source.close()
    assert seen == list(range(200))


def test_a_capture_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "day.pcap"
    file.write_bytes(pcap(conversation().frames))
    done = run_dicomgate("watch", "--pcap", file)
    assert done.returncode == 0, done.stderr
    assert "10.1.2.31 → 10.1.1.20:11112  clear  CT1 → ARCHIVE  1 connections" in done.stdout
    assert "DOE" not in done.stdout + done.stderr
    file.write_bytes(file.read_bytes()[:-3])
    cut = run_dicomgate("watch", "--pcap", file, "--json")
    assert cut.returncode == 2
    assert json.loads(cut.stdout)["verbs"] == {"echo": 1, "find": 1, "store": 1}
    assert "cut off in the middle of a frame" in cut.stderr


@pytest.mark.parametrize("options", [[], ["--pcap", "x", "--interface", "lo"], ["--interface", "nothere0"]])
def test_a_wrong_question_is_2(options: list[str]) -> None:
    done = run_dicomgate("watch", *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
