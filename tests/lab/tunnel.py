"""Both gates of the tutorial of the cloud archive, from the page's own files and commands, and what is around them.

In: places, and the kind of tunnel; out: `Tunnel`, whose gates run and whose channel is up. The archive behind the cloud
gate is Orthanc or DCMTK's; the reader is DCMTK's storescp. Somebody in the hospital receives alerts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dicomgate.assess.checks import exp07_channel_bypass, exp08_channel_identity
from dicomgate.assess.inputs import read_channels
from dicomgate.assess.model import Outcome
from docs.pages import ROOT, blocks
from lab import dcmtk, orthanc
from lab.gate import Gate
from lab.process import Address, LabError, Process, read, wait_until
from lab.sites import CHARON, Place, Sites, strongswan_conf

GATES = (Place.CLOUD, Place.HOSPITAL)
TOLD = 25.0
"""Seconds to wait for a change: dead_after is 3 here, and the thread looks once a second on a machine that is busy."""
PAGE = ROOT / "docs" / "tutorial" / "cloud-archive.md"
_BESIDE = """
[metrics]
bind = "127.0.0.1:9108"

[[sink]]
name = "people"
kind = "alert"
urls_file = "alerts"
minimum = "high"
group = "1 s"
"""
"""What the hospital's file gets beside the page's text: a metric and an alert to be looked at."""
_RECEIVER = """
import time
from lab.alert_receiver import AlertReceiver
with AlertReceiver(8099) as people:
    print("ready", flush=True)
    told = 0
    while True:
        for title, _ in people.messages[told:]:
            told += 1
            print(title, flush=True)
        time.sleep(0.05)
"""
_RUNNING = """
import time
from pynetdicom import AE
entity = AE("READER1")
entity.add_requested_context("1.2.840.10008.1.1")
made = entity.associate("10.1.1.5", 104, ae_title="ARCHIVE")
print("ready" if made.is_established else "refused", flush=True)
while made.is_alive():
    time.sleep(0.02)
print("aborted" if made.is_aborted else "ended", flush=True)
"""


def pages_files() -> dict[Place, str]:
    """The two configurations of the page."""
    cloud, hospital = (block.text for block in blocks("toml") if block.page == PAGE)
    return {Place.CLOUD: cloud, Place.HOSPITAL: hospital}


def _steps(mark: str) -> list[str]:
    return [block.text for block in blocks("sh") if block.page == PAGE and block.mark == mark]


KEYS, APPLY = _steps("on both")
(STATUS,) = _steps("on both, later")
(RUN,) = _steps("on both, stays")
((VERIFY_HOSPITAL,), (VERIFY_CLOUD,), (READER,)) = (_steps(f"on {place}") for place in ("hospital", "cloud", "reader"))
"""Every command of the page."""


def with_ipsec(files: dict[Place, str]) -> dict[Place, str]:
    """The how-to's tables in place of those of the tutorial; ESP in user space has an interface, ipsec0."""
    tables = next(block.text for block in blocks("toml") if block.page.name == "ipsec.md")
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


def certificates(directory: Path) -> None:
    """The commands of the how-to; certificate, key and authority are copied to where the files name them."""
    (script,) = (block.text for block in blocks("sh") if block.page.name == "ipsec.md" and "pki init" in block.text)
    for line in script.splitlines():
        words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
        subprocess.run([sys.executable, "-m", *words], cwd=directory, capture_output=True, check=True)
    for place in GATES:
        keys = directory / place / "keys"
        keys.mkdir(parents=True, mode=0o700)
        for name in ("ca.pem", "chain.pem", "key.pem"):
            (keys / name).write_bytes((directory / "pki" / "devices" / place / name).read_bytes())
            (keys / name).chmod(0o600)


@dataclass
class Tunnel:
    """`kind` is `ipsec` or `wireguard`. Folders hold each gate's gate.toml and keys."""

    kind: str
    places: Sites
    folders: dict[Place, Path]
    received: Path
    gates: dict[Place, Process] = field(default_factory=dict)
    people: Process | None = None

    def type_in(
        self, place: Place, text: str, folder: Path | None = None, *, failing: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """What somebody would type there. LabError unless it succeeds; not with `failing`."""
        done = self.places.run(place, *self._shell(folder or self.folders[place], text))
        if done.returncode and not failing:
            raise LabError(f"{text} in {place}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def everywhere(self, text: str) -> dict[Place, str]:
        """On both gate hosts at once; what was printed."""
        with ThreadPoolExecutor() as pool:
            done = pool.map(lambda place: (place, self.type_in(place, text).stdout), self.folders)
            return dict(done)

    def channel(self, place: Place, words: str) -> subprocess.CompletedProcess[str]:
        """`dicomgate channel`; how it ends is for the caller to judge."""
        return self.type_in(place, f"dicomgate channel {words} -c gate.toml", failing=True)

    def start_gates(self, stack: ExitStack) -> None:
        """At once; ready is when both listeners of each accept and the channel is up for both."""
        shells = {place: self._shell(folder, f"exec {RUN}") for place, folder in self.folders.items()}
        two: Callable[[Process], bool] = lambda process: read(process.stdout).count("ready ") == 2  # noqa: E731
        with ThreadPoolExecutor() as pool:
            begun = {
                place: pool.submit(stack.enter_context, self.places.program(f"gate-{place}", place, shell, two))
                for place, shell in shells.items()
            }
            self.gates |= {place: process.result() for place, process in begun.items()}
        for place in self.gates:
            self.await_log(place, '"channel_up"')

    def gate(self, place: Place) -> Gate:
        return Gate(self.folders[place] / "gate.toml", self.gates[place])

    def lines(self) -> dict[Place, int]:
        """How much each gate has logged so far."""
        return {place: len(self.gate(place).log.splitlines()) for place in self.gates}

    def logged(self, place: Place, words: str, after: int = 0) -> bool:
        return any(words in line for line in self.gate(place).log.splitlines()[after:])

    def await_log(self, place: Place, words: str, after: int = 0) -> None:
        """Wait for a line of a gate's log with these words, beyond the first `after` lines."""
        wait_until(lambda: self.logged(place, words, after), TOLD, f"{words} at {place}\n{self.gates[place].tail()}")

    def echo(self) -> subprocess.CompletedProcess[str]:
        titles = ("-aet", "READER1", "-aec", "ARCHIVE")
        return self.places.run(Place.READER, dcmtk.BIN / "echoscu", "-to", "5", "-ta", "10", *titles, "10.1.1.5", "104")

    def verified(self, place: Place, ask: str = "") -> dict[str, tuple[bool, str]]:
        """What verify says, by check."""
        done = self.channel(place, f"verify --json --output verified.json {ask}")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["check"]: (line["ok"], line["text"]) for line in lines}

    def assessed(self, place: Place) -> dict[str, Outcome]:
        """What the assessor concludes from the last `verified` there."""
        channels = read_channels(self.folders[place] / "verified.json")
        return {
            "EXP-07": exp07_channel_bypass.judge(exp07_channel_bypass.Seen(channels=channels)).outcome,
            "EXP-08": exp08_channel_identity.judge(channels).outcome,
        }

    def association(self, stack: ExitStack) -> Process:
        """One from the reader that stays; it prints `aborted` when it is."""
        command = [sys.executable, "-c", _RUNNING]
        name = f"association-{os.urandom(3).hex()}"
        return stack.enter_context(
            self.places.program(name, Place.READER, command, lambda process: "ready" in process.text())
        )

    def metric(self, place: Place) -> str:
        """The line of dicomgate_channel_up."""
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9108/metrics').read().decode())"
        text = self.places.do(place, sys.executable, "-c", ask)
        (line,) = (line for line in text.splitlines() if line.startswith("dicomgate_channel_up"))
        return line

    def _shell(self, folder: Path, text: str) -> list[str | Path]:
        """`dicomgate` is the one under test, and DCMTK's programs come before pynetdicom's of the same names."""
        shims = self.places.directory / "bin"
        shims.mkdir(exist_ok=True)
        shim = shims / "dicomgate"
        if not shim.exists():
            beside = shims / f"dicomgate-{os.urandom(3).hex()}"
            beside.write_text(f'#!/bin/sh\nexec {sys.executable} -m dicomgate "$@"\n')
            beside.chmod(0o755)
            beside.rename(shim)
        path = f"PATH={shims}:{dcmtk.BIN}:{os.environ['PATH']}:/usr/sbin"
        return ["env", "-C", folder, path, "sh", "-ec", text]


def set_up(places: Sites, kind: str, files: dict[Place, str], stack: ExitStack) -> Tunnel:
    """Write the gates' files, shortened in time, and start what is around them; no tunnel and no gate yet."""
    folders = {place: places.directory / place for place in files}
    made = Tunnel(kind, places, folders, places.directory / "received")
    for place, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        assert 'dead_after = "10 s"' in files[place]
        text = files[place].replace('"10 s"', '"3 s"') + (_BESIDE if place is Place.HOSPITAL else "")
        (folder / "gate.toml").write_text(text, encoding="utf-8")
        (folder / "alerts").write_text("json://127.0.0.1:8099/alerts\n")
    with ThreadPoolExecutor() as pool:
        people = pool.submit(stack.enter_context, _people(places))
        around = [pool.submit(stack.enter_context, each) for each in _around(made)]
        if kind == "ipsec":
            daemons = [charon(places, place, strongswan_conf(folder)) for place, folder in folders.items()]
            around += [pool.submit(stack.enter_context, each) for each in daemons]
        for each in around:
            each.result()
        made.people = people.result()
    return made


def exchange_keys(made: Tunnel) -> None:
    """Section 3 of the page: keys are made on each host, and each public key goes into the other's file."""
    public = {}
    for place, printed in made.everywhere(KEYS).items():
        name, what, key, done = printed.split()
        assert (name, what, done) == ("hospital-cloud", "public_key", "made")
        public[place] = key
    for place, other in (GATES, GATES[::-1]):
        file = made.folders[place] / "gate.toml"
        file.write_text(re.sub(r'public_key = "[^"]+"', f'public_key = "{public[other]}"', file.read_text()))


def _people(places: Sites) -> AbstractContextManager[Process]:
    command = [
        "env",
        f"PYTHONPATH={ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}",
        sys.executable,
        "-c",
        _RECEIVER,
    ]
    return places.program("people", Place.HOSPITAL, command, lambda process: "ready" in process.text())


def _around(made: Tunnel) -> Iterator[AbstractContextManager[Process]]:
    """The archive behind the cloud gate, and storescp beside the reader, which keeps what it receives."""
    places = made.places
    archive = _orthanc(places) if made.kind == "wireguard" else _dcmqrscp(places)
    yield places.program("archive", Place.ARCHIVE, archive, lambda _: places.listens(Place.ARCHIVE, 11112))
    made.received.mkdir()
    reader = [dcmtk.BIN / "storescp", "-v", "+B", "+xa", "-dhl", "-aet", "READER1", "-od", made.received, "11112"]
    yield places.program("reader", Place.READER, reader, lambda _: places.listens(Place.READER, 11112))


def _orthanc(places: Sites) -> list[str | Path]:
    folder = places.directory / "orthanc"
    folder.mkdir()
    caller = orthanc.Modality("READER1", Address("10.20.1.5", 11105))
    here, http = Address("10.20.1.20", 11112), Address("127.0.0.1", 8042)
    settings = orthanc.settings_of(folder, "ARCHIVE", here, http, {"reader": caller})
    (folder / "orthanc.json").write_text(json.dumps(settings))
    return [orthanc.PROGRAM, folder / "orthanc.json"]


def _dcmqrscp(places: Sites) -> list[str | Path]:
    database = places.directory / "database"
    database.mkdir()
    configuration = places.directory / "dcmqrscp.cfg"
    configuration.write_text(
        "NetworkTCPPort = 11112\nMaxPDUSize = 16384\nMaxAssociations = 8\nHostTable BEGIN\n"
        "reader = (READER1, 10.20.1.5, 11105)\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\n"
        f"ARCHIVE {database} RW (100, 100mb) ANY\nAETable END\n"
    )
    return [dcmtk.BIN / "dcmqrscp", "-v", "-dhl", "-c", configuration, "11112"]


def charon(places: Sites, place: Place, configuration: Path) -> AbstractContextManager[Process]:
    """strongSwan's daemon, ready when its socket is there."""
    command = ["env", f"STRONGSWAN_CONF={configuration}", CHARON]
    there = Path(f"/proc/{places.holders[place]}/root/run/charon.vici")
    return places.program(f"charon-{place}", place, command, lambda _: there.exists())
