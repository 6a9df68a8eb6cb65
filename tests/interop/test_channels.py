"""The tutorial of the cloud archive, run with real tunnels: its own files, and the IPsec tables of the how-to.

A capture in "internet" shows what passes there; the line is cut and mended.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomgate.assess.checks import exp07_channel_bypass, exp08_channel_identity
from dicomgate.assess.inputs import read_channels
from dicomgate.assess.model import Outcome
from docs.pages import blocks
from lab import dcmtk, studies
from lab.gate import Gate
from lab.hospital import same_data_sets
from lab.process import Process, read, wait_until
from lab.sites import Place, Sites, sites, strongswan_conf

pytestmark = [pytest.mark.interop, pytest.mark.system]
DICOMGATE = (sys.executable, "-m", "dicomgate")
VERIFIED = "verified.json"
CARRIED = {"wireguard": "udp port 51820", "ipsec": "udp port 4500 or udp port 500"}
TOLD = 25.0
"""Seconds to wait for a change: dead_after is 3 here, and the thread looks once a second on a machine that is busy."""


@dataclass(frozen=True)
class Scene:
    """Both gates and what is around them."""

    kind: str
    places: Sites
    folders: dict[Place, Path]
    gates: dict[Place, Process]
    received: Path

    def dicomgate(self, place: Place, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.places.run(place, *DICOMGATE, *arguments)

    def channel(self, place: Place, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.dicomgate(place, "channel", verb, "-c", self.folders[place] / "gate.toml", *arguments)

    def apply(self) -> None:
        """At both ends at once."""
        with ThreadPoolExecutor() as pool:
            for applied in pool.map(lambda place: self.channel(place, "apply"), self.folders):
                assert applied.returncode == 0, applied.stderr

    def gate(self, place: Place) -> Gate:
        return Gate(self.folders[place] / "gate.toml", self.gates[place])

    def echo(self) -> subprocess.CompletedProcess[str]:
        titles = ("-aet", "READER1", "-aec", "ARCHIVE")
        return self.places.run(Place.READER, dcmtk.BIN / "echoscu", "-to", "5", "-ta", "10", *titles, "10.1.1.5", "104")

    def verified(self, place: Place) -> dict[str, tuple[bool, str]]:
        asks = ("--echo", "10.1.1.5:11105") if place is Place.CLOUD else ()
        output = str(self.folders[place] / VERIFIED)
        said = self.channel(place, "verify", "--json", "--output", output, *asks).stdout
        lines = [json.loads(line) for line in said.splitlines()]
        return {line["check"]: (line["ok"], line["text"]) for line in lines}

    def assessed(self, place: Place) -> dict[str, Outcome]:
        """What the assessor concludes from the last `verified` there."""
        channels = read_channels(self.folders[place] / VERIFIED)
        return {
            "EXP-07": exp07_channel_bypass.judge(exp07_channel_bypass.Seen(channels=channels)).outcome,
            "EXP-08": exp08_channel_identity.judge(channels).outcome,
        }


def _tutorial() -> dict[Place, str]:
    cloud, hospital = (block.text for block in blocks("toml") if block.page.name == "cloud-archive.md")
    return {Place.CLOUD: cloud, Place.HOSPITAL: hospital}


def _with_ipsec(files: dict[Place, str]) -> dict[Place, str]:
    """The how-to's tables in place of those of the tutorial; ESP in user space has an interface, ipsec0."""
    (tables,) = (block.text for block in blocks("toml") if block.page.name == "ipsec.md")
    own = 'certificate = "keys/chain.pem"\nkey = "keys/key.pem"\n'
    interface = 'interface = "ipsec0"\n'
    assert own in tables
    rest = {
        place: re.sub(r"\[\[site\]\].*?(?=\[\[listener\]\])", "", text, flags=re.S) for place, text in files.items()
    }
    identity = 'identity = "cloud.north.example"\n'
    assert identity in tables
    here = tables.replace("own = true\n", "").replace(own, "").replace(identity, identity + own + interface)
    here = here.replace('networks = ["10.20.1.0/24"]', 'own = true\nnetworks = ["10.20.1.0/24"]')
    there = tables.replace(own, own + interface)
    return {Place.CLOUD: rest[Place.CLOUD] + here, Place.HOSPITAL: rest[Place.HOSPITAL] + there}


def _wireguard(files: dict[Place, str], folders: dict[Place, Path]) -> None:
    """Section 3 of the tutorial: keys are made on each host, and each public key goes into the other's file."""
    public: dict[Place, str] = {}
    for place, folder in folders.items():
        (folder / "gate.toml").write_text(files[place], encoding="utf-8")
        command = [*DICOMGATE, "channel", "keys", "-c", "gate.toml"]
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split()
        assert (made[0], made[1], made[3]) == ("hospital-cloud", "public_key", "made")
        public[place] = made[2]
    for place, other in ((Place.CLOUD, Place.HOSPITAL), (Place.HOSPITAL, Place.CLOUD)):
        files[place] = re.sub(r'public_key = "[^"]+"', f'public_key = "{public[other]}"', files[place])


def _certificates(directory: Path, folders: dict[Place, Path]) -> None:
    """The commands of the how-to; certificate, key and authority are copied to where the files name them."""
    (script,) = (block.text for block in blocks("sh") if block.page.name == "ipsec.md" and "pki init" in block.text)
    for line in script.splitlines():
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
        subprocess.run([*DICOMGATE, *words[1:]], cwd=directory, capture_output=True, check=True)
    for place, folder in folders.items():
        for name in ("ca.pem", "chain.pem", "key.pem"):
            (folder / "keys" / name).write_bytes((directory / "pki" / "devices" / place / name).read_bytes())
            (folder / "keys" / name).chmod(0o600)


@pytest.fixture(scope="module", params=["wireguard", "ipsec"])
def scene(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Scene]:
    plugin = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py"))
    assert plugin is not None
    kind = request.param
    plugin.require("dcmtk")
    plugin.require(kind)
    plugin.require("namespaces")
    if kind == "ipsec":
        plugin.require_package("vici")
    directory = tmp_path_factory.mktemp(kind)
    folders = {place: directory / place for place in (Place.CLOUD, Place.HOSPITAL)}
    for folder in folders.values():
        (folder / "keys").mkdir(parents=True, mode=0o700)
    files = _tutorial()
    if kind == "ipsec":
        files = _with_ipsec(files)
        _certificates(directory, folders)
    else:
        _wireguard(files, folders)
    for place, text in files.items():
        assert 'dead_after = "10 s"' in text
        (folders[place] / "gate.toml").write_text(text.replace('"10 s"', '"3 s"'), encoding="utf-8")
    with ExitStack() as stack:
        places = stack.enter_context(sites(directory))
        start = stack.enter_context
        if kind == "ipsec":
            for place, folder in folders.items():
                command = ["env", f"STRONGSWAN_CONF={strongswan_conf(folder)}", "/usr/lib/ipsec/charon"]
                there = Path(f"/proc/{places.holders[place]}/root/run/charon.vici")
                start(places.program(f"charon-{place}", place, command, lambda _, there=there: there.exists()))
        received = _around(places, stack, directory)
        made = Scene(kind, places, folders, {}, received)
        made.apply()
        for place, folder in folders.items():
            command = [*DICOMGATE, "run", "-c", folder / "gate.toml"]
            two = lambda process: read(process.stdout).count("ready ") == 2  # noqa: E731
            made.gates[place] = start(places.program(f"gate-{place}", place, command, two))
        for place in folders:
            _await_log(made, place, '"channel_up"', 0)
        yield made


def _around(places: Sites, stack: ExitStack, directory: Path) -> Path:
    """dcmqrscp behind the cloud gate, storescp beside the reader; where the latter puts what it receives."""
    database, received = directory / "database", directory / "received"
    database.mkdir()
    received.mkdir()
    configuration = directory / "dcmqrscp.cfg"
    configuration.write_text(
        "NetworkTCPPort = 11112\nMaxPDUSize = 16384\nMaxAssociations = 8\nHostTable BEGIN\n"
        "reader = (READER1, 10.20.1.5, 11105)\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\n"
        f"ARCHIVE {database} RW (100, 100mb) ANY\nAETable END\n"
    )
    archive = [dcmtk.BIN / "dcmqrscp", "-v", "-dhl", "-c", configuration, "11112"]
    stack.enter_context(
        places.program("archive", Place.ARCHIVE, archive, lambda _: places.listens(Place.ARCHIVE, 11112))
    )
    reader = [dcmtk.BIN / "storescp", "-v", "+B", "+xa", "-dhl", "-aet", "READER1", "-od", received, "11112"]
    stack.enter_context(places.program("reader", Place.READER, reader, lambda _: places.listens(Place.READER, 11112)))
    return received


@pytest.fixture
def captured(scene: Scene, tmp_path: Path) -> Iterator[Path]:
    """What passes "internet" while the test runs."""
    file = tmp_path / "internet.pcap"
    command = ["tcpdump", "--immediate-mode", "-U", "-n", "-Z", "root", "-i", "any", "-s", "0", "-w", file, "ip"]
    name = f"tcpdump-{os.urandom(3).hex()}"
    with scene.places.program(name, Place.INTERNET, command, lambda process: "listening on" in process.text()):
        yield file


def _packets(file: Path, *expression: str) -> int:
    command = ["tcpdump", "-n", "-r", str(file), *expression]
    return len(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())


def _await_log(scene: Scene, place: Place, words: str, after: int) -> None:
    """Wait for a line of a gate's log with these words, beyond the first `after` lines."""
    gate = scene.gate(place)
    wait_until(lambda: any(words in line for line in gate.log.splitlines()[after:]), TOLD, f"{words} at {place}")


def _lines(scene: Scene, place: Place) -> int:
    return len(scene.gate(place).log.splitlines())


def test_verify_finds_nothing_wrong(scene: Scene) -> None:
    assert scene.channel(Place.HOSPITAL, "status").stdout == "hospital-cloud  up\n"
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(scene.verified, scene.folders))
    for found in both:
        assert {check: text for check, (ok, text) in found.items() if not ok} == {}
        assert {"up", "selectors", "cleartext", "counters", "route"} <= found.keys()
    for place in scene.folders:
        assert scene.assessed(place) == {"EXP-07": Outcome.PASS, "EXP-08": Outcome.PASS}


def test_everything_passes_and_only_the_tunnel_is_seen(scene: Scene, captured: Path, tmp_path: Path) -> None:
    echoed = scene.echo()
    assert echoed.returncode == 0, echoed.stdout + echoed.stderr
    made = [studies.instance(tmp_path, kind, f"cloud-{scene.kind}", n) for n, kind in enumerate(studies.KINDS[1:2], 1)]
    titles = ("-aet", "READER1", "-aec", "ARCHIVE")
    to = ("10.1.1.5", "104")
    stored = scene.places.run(Place.READER, dcmtk.BIN / "storescu", *titles, *to, *(each.path for each in made))
    assert stored.returncode == 0, stored.stdout + stored.stderr
    study = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={made[0].study_instance_uid}")
    found = scene.places.run(Place.READER, dcmtk.BIN / "findscu", "-v", *titles, *study, *to)
    assert made[0].study_instance_uid in found.stdout + found.stderr
    got = tmp_path / "got"
    got.mkdir()
    fetched = scene.places.run(Place.READER, dcmtk.BIN / "getscu", "+B", *titles, "-od", got, *study, *to)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    moved = scene.places.run(Place.READER, dcmtk.BIN / "movescu", *titles, "-aem", "READER1", *study, *to)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    sent = {each.sop_instance_uid: each for each in made}
    assert same_data_sets(sent, got) == []
    assert same_data_sets(sent, scene.received) == []
    admitted = scene.gate(Place.CLOUD).await_record(event="association_admitted", listener="tunnel")
    assert (admitted["assurance"], admitted["detail"]["channel"]) == ("device", "hospital-cloud")
    back = scene.gate(Place.HOSPITAL).await_record(event="association_admitted", listener="from-cloud")
    assert back["detail"]["channel"] == "hospital-cloud"
    assert _packets(captured, CARRIED[scene.kind]) > 20
    assert _packets(captured, "not", "(", *CARRIED[scene.kind].split(), ")") == 0
    content = captured.read_bytes()
    assert not any(word in content for word in (b"READER1", b"ARCHIVE", b"1.2.840.10008"))


def test_the_line_is_cut_and_mended(scene: Scene, captured: Path) -> None:
    before = {place: _lines(scene, place) for place in scene.folders}
    scene.places.cut()
    try:
        for place in scene.folders:
            _await_log(scene, place, '"channel_down"', before[place])
        assert scene.echo().returncode != 0
        _await_log(scene, Place.HOSPITAL, "channel hospital-cloud is down", before[Place.HOSPITAL])
    finally:
        scene.places.mend()
    for place in scene.folders:
        _await_log(scene, place, '"channel_up"', before[place])
    assert scene.echo().returncode == 0
    assert _packets(captured, "tcp") == 0


def test_who_comes_beside_the_tunnel_is_not_believed(scene: Scene, captured: Path) -> None:
    """The tunnel is taken down at one end: its rules stay, and nothing leaves in clear.

    The last test of this file: it leaves the tunnel down.
    """
    before = _lines(scene, Place.CLOUD)
    assert scene.channel(Place.HOSPITAL, "down").returncode == 0
    _await_log(scene, Place.CLOUD, '"channel_down"', before)
    probe = "import socket; socket.create_connection(('10.20.1.5', 104), 2, ('10.1.1.5', 0))"
    assert scene.places.run(Place.HOSPITAL, sys.executable, "-c", probe).returncode != 0
    assert _packets(captured, "tcp") == 0
    # Without the hospital's rules it does leave in clear, and the cloud's own drop it. Without those and without a
    # tunnel the gate is called from the right address, and refuses: it came through no channel.
    table = "dicomgate_channel_hospital-cloud"
    scene.places.do(Place.HOSPITAL, "nft", "delete", "table", "inet", table)
    assert scene.verified(Place.HOSPITAL)["cleartext"][0] is False
    assert scene.assessed(Place.HOSPITAL)["EXP-07"] is Outcome.FAIL
    assert scene.places.run(Place.HOSPITAL, sys.executable, "-c", probe).returncode != 0
    assert _packets(captured, "tcp") > 0
    assert scene.channel(Place.CLOUD, "down").returncode == 0
    scene.places.do(Place.CLOUD, "nft", "delete", "table", "inet", table)
    assert scene.places.run(Place.HOSPITAL, sys.executable, "-c", probe).returncode == 0
    _await_log(scene, Place.CLOUD, '"rule": "listener[tunnel].channels"', before)
