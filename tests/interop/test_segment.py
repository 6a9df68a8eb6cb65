"""Firewall rules in real network namespaces: who gets through, what is put back, and what verify finds.

One router, which is the gate host, between modality, archive, reading room, administrators, guests and the outside.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess

import pytest

from dicomgate.assess.checks import exp05_wrong_zone
from dicomgate.assess.inputs import read_segments
from dicomgate.assess.model import Outcome
from dicomgate.config.load import load
from dicomgate.segment import kernel, nftables
from dicomgate.segment.flows import plan
from interop.conftest import require
from lab.island import ADDRESS, GATE, Island, island
from lab.sites import WIREGUARD as WIREGUARD_PROGRAMS
from segment.targets import NAMES, PLANS, plan_of

pytestmark = pytest.mark.interop

CONFIGURATION = """
[gate]
name = "island"

[[listener]]
name = "inside"
bind = "0.0.0.0:104"
networks = ["any"]

[[archive]]
name = "main"
ae_title = "ARCHIVE"
address = "10.1.1.20:11112"

[[peer]]
name = "ct-1"
ae_titles = ["CT1"]
networks = ["10.1.2.31"]
assurance = "address"
may = ["echo", "store"]

[[peer]]
name = "reading"
ae_titles = ["READ"]
networks = ["10.1.3.0/24"]
assurance = "address"
may = ["find", "move"]
move_to = ["self"]
address = "10.1.3.7:104"

[[segment]]
name = "archives"
networks = ["10.1.1.0/24"]
management = { networks = ["10.1.9.0/28"], ports = [22] }

[[segment]]
name = "modalities"
networks = ["10.1.2.0/24"]
management = { networks = ["10.1.9.0/28"], ports = [22] }

[[segment]]
name = "reading-room"
networks = ["10.1.3.0/24"]
other_traffic = "pass"

[[segment]]
name = "guest"
networks = ["10.1.200.0/24"]
dicom = false
other_traffic = "pass"

[segmentation]
dicom_ports = [104, 11112]
gate = ["10.1.1.5", "10.1.1.1", "10.1.3.1"]
"""
FOREIGN = """
table inet filter {
	chain input {
		type filter hook input priority 0; policy accept;
		tcp dport 9999 counter drop comment "somebody else's"
	}
}
table ip nat {
	map ports { type inet_service : ipv4_addr; elements = { 80 : 10.1.1.20 }; }
}
"""
WAYS = [
    # from, to, port, whether the rules let it pass
    ("modality", GATE, 104, True),
    ("reading", GATE, 104, True),
    ("archive", GATE, 104, True),
    ("outside", GATE, 104, False),
    ("guest", GATE, 104, False),
    ("admin", GATE, 104, False),
    ("gate", ADDRESS["archive"], 11112, True),
    ("gate", ADDRESS["reading"], 104, True),
    ("modality", ADDRESS["archive"], 11112, False),
    ("guest", ADDRESS["archive"], 11112, False),
    ("gate", ADDRESS["modality"], 104, False),
    ("admin", ADDRESS["archive"], 22, True),
    ("admin", GATE, 22, True),
    ("guest", GATE, 22, False),
    ("guest", ADDRESS["archive"], 22, False),
    ("guest", ADDRESS["reading"], 80, True),
]
"""Everything passes before the rules; who listens is in `here`."""


@pytest.fixture(scope="module")
def network() -> Iterator[Island]:
    require("namespaces")
    with island() as running:
        running.listen("gate", 104, 22, 11112)
        running.listen("archive", 11112, 22, 104)
        running.listen("modality", 104, 22)
        running.listen("reading", 104, 80)
        yield running


@pytest.fixture
def here(network: Island) -> Iterator[Island]:
    """The island with a ruleset of somebody else, which must be there unchanged after each test."""
    network.nft("flush ruleset")
    network.nft(FOREIGN)
    before = network.ruleset()
    yield network
    network.run("gate", "nft", "delete table inet dicomgate", check=False)
    assert network.ruleset() == before


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gate.toml"
    path.write_text(CONFIGURATION, "utf-8")
    return path


def dicomgate(
    here: Island, *words: str | Path, host: str = "gate", expect: int = 0, **environment: str
) -> CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"} | environment
    done = here.run(host, sys.executable, "-m", "dicomgate", "segment", *words, check=False, env=env)
    assert done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
    return done


def in_force(here: Island, file: Path) -> None:
    """What `apply --at-once` loads, without a process for it."""
    configuration = load(file, files=False)
    assert configuration.segmentation is not None
    here.nft(nftables.whole(plan(configuration.settings.rules, configuration.segmentation)))


def passing(here: Island) -> list[tuple[str, str, int, bool]]:
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda way: (*way[:3], here.reaches(*way[:3])), WAYS))


def test_who_is_listed_passes_and_nobody_else(here: Island, file: Path) -> None:
    assert all(reached for *_, reached in passing(here))
    dicomgate(here, "apply", "-c", file)
    assert passing(here) == WAYS
    dicomgate(here, "confirm", "-c", file)
    assert passing(here) == WAYS
    assert dicomgate(here, "diff", "-c", file).stdout == ""
    assert "unchanged" in dicomgate(here, "apply", "-c", file).stdout
    dicomgate(here, "revert", "--all", "-c", file)
    assert all(reached for *_, reached in passing(here))


def test_what_is_not_confirmed_goes_by_itself_with_every_process_dead(here: Island, file: Path) -> None:
    dicomgate(here, "apply", "-c", file, "--confirm-within", "6s")
    assert not here.reaches("guest", GATE, 104)
    running = here.run("gate", "ip", "netns", "pids", here.name("gate")).stdout.split()
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running if Path(f"/proc/{pid}").exists()]
    assert not [command for command in commands if b"dicomgate" in command], "nobody is there to put it back"
    here.wait("guest", GATE, 104, reached=True)
    assert "over" in dicomgate(here, "confirm", "-c", file, expect=1).stderr
    dicomgate(here, "revert", "-c", file)


def test_a_trial_that_is_not_confirmed_leaves_the_rules_before_it(here: Island, file: Path) -> None:
    dicomgate(here, "apply", "-c", file, "--at-once")
    confirmed = here.ruleset()
    file.write_text(CONFIGURATION.replace('["10.1.2.31"]', '["10.1.2.99"]'), "utf-8")
    dicomgate(here, "apply", "-c", file, "--confirm-within", "6s")
    assert not here.reaches("modality", GATE, 104)
    assert not here.reaches("guest", GATE, 104)
    here.wait("modality", GATE, 104, reached=True)
    assert not here.reaches("guest", GATE, 104)
    dicomgate(here, "revert", "-c", file)
    assert here.ruleset() == confirmed


def test_a_trial_is_taken_back_at_once(here: Island, file: Path) -> None:
    before = here.ruleset()
    dicomgate(here, "apply", "-c", file, "--confirm-within", "1h")
    dicomgate(here, "revert", "-c", file)
    assert here.ruleset() == before
    assert "nothing is on trial" in dicomgate(here, "revert", "-c", file, expect=1).stderr
    assert "nothing is on trial" in dicomgate(here, "confirm", "-c", file, expect=1).stderr


_KILLS = """#!/bin/sh
case "$*" in
"-f -") ;;
*) exec /usr/sbin/nft "$@" ;;
esac
read -r left moment < {state}
echo "$((left - 1)) $moment" > {state}
[ "$left" -eq 0 ] || exec /usr/sbin/nft "$@"
case $moment in
before) kill -9 -{group} ;;
during) cat > {state}.rules; flock {state} /usr/sbin/nft -f {state}.rules & sleep 0.02; kill -9 -{group} ;;
after) /usr/sbin/nft "$@"; kill -9 -{group} ;;
esac
"""
"""Ends everything that works on an apply, itself too, at one of its loads: the rehearsals, and the one that counts."""


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_kill_9_at_any_load_leaves_all_or_nothing(here: Island, file: Path, tmp_path: Path, moment: str) -> None:
    dicomgate(here, "apply", "-c", file, "--at-once")
    old = here.ruleset()
    back = dicomgate(here, "render", "-c", file, "--target", "nftables").stdout
    file.write_text(CONFIGURATION.replace('["10.1.2.31"]', '["10.1.2.31", "10.1.2.32"]'), "utf-8")
    program, state = tmp_path / "nft", tmp_path / "left"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    killed, new = 0, set()
    while True:
        state.write_text(f"{killed} {moment}\n")
        program.write_text(_KILLS.format(state=state, group="$(cut -d ' ' -f 5 /proc/$$/stat)"))
        program.chmod(0o755)
        words = [sys.executable, "-m", "dicomgate", "segment", "apply", "-c", str(file), "--at-once"]
        process = here.start("gate", *words, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True, env=environment)
        ended = process.wait(60)
        here.run("gate", "flock", state, "true")  # what was killed is gone
        found = here.ruleset()
        if found != old:
            new.add(found)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        killed += 1
        here.nft(back)
        assert here.ruleset() == old
    assert killed == 3, "two rehearsals and a load"
    assert len(new) == 1, "whoever is killed, there are the old rules or the new ones"


def test_nft_refusing_a_rule_halfway_leaves_everything(here: Island, file: Path, tmp_path: Path) -> None:
    """An nft that is given one line too many: the rules before it are good, and none of them may stay."""
    dicomgate(here, "apply", "-c", file, "--at-once")
    before = here.ruleset()
    folder = tmp_path / "bin"
    folder.mkdir()
    nft = folder / "nft"
    nft.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '"-f -") { cat; echo "add rule inet dicomgate nowhere accept"; } | /usr/sbin/nft -f - ;;\n'
        '*) exec /usr/sbin/nft "$@" ;;\nesac\n'
    )
    nft.chmod(0o755)
    file.write_text(CONFIGURATION.replace('["10.1.2.31"]', '["10.1.2.99"]'), "utf-8")
    path = f"{folder}:{os.environ['PATH']}"
    for words in (["--at-once"], ["--confirm-within", "60s"]):
        said = dicomgate(here, "apply", "-c", file, *words, expect=2, PATH=path).stderr
        assert "nft refused" in said
        assert here.ruleset() == before


def test_the_session_it_runs_in_is_not_cut(here: Island, file: Path) -> None:
    before = here.ruleset()
    said = dicomgate(here, "apply", "-c", file, expect=1, SSH_CONNECTION=f"10.1.3.7 50123 {GATE} 22").stderr
    assert "the session from 10.1.3.7 to port 22 of this machine is cut by segment[archives].other_traffic" in said
    assert here.ruleset() == before
    dicomgate(here, "apply", "-c", file, SSH_CONNECTION=f"10.1.9.2 50123 {GATE} 22")
    dicomgate(here, "revert", "-c", file)


def test_the_gate_is_not_cut_from_its_archive(here: Island, file: Path) -> None:
    """A router with many addresses calls from the one on the way, not from the one in the file."""
    before = here.ruleset()
    file.write_text(CONFIGURATION.replace('["10.1.1.5", "10.1.1.1", "10.1.3.1"]', '["10.1.1.5"]'), "utf-8")
    said = dicomgate(here, "apply", "-c", file, expect=1).stderr
    assert "calls archive main (10.1.1.20) from 10.1.1.1" in said
    assert here.ruleset() == before


def test_bans_close_dicom_for_a_while_and_outlive_a_change_of_rules(here: Island, file: Path) -> None:
    dicomgate(here, "apply", "-c", file, "--at-once")
    here.nft("add element inet dicomgate banned4 { 10.1.2.31 timeout 1h }")
    here.nft("add element inet dicomgate banned4 { 10.1.9.0/28 timeout 1h }")
    assert not here.reaches("modality", GATE, 104)
    assert here.reaches("admin", GATE, 22), "a ban never takes the administrator's way"
    file.write_text(CONFIGURATION.replace('["10.1.2.31"]', '["10.1.2.31", "10.1.2.32"]'), "utf-8")
    dicomgate(here, "apply", "-c", file)
    dicomgate(here, "confirm", "-c", file)
    assert not here.reaches("modality", GATE, 104)
    file.write_text(CONFIGURATION, "utf-8")
    dicomgate(here, "apply", "-c", file, "--at-once")
    assert not here.reaches("modality", GATE, 104)
    here.nft("flush set inet dicomgate banned4")
    assert here.reaches("modality", GATE, 104)


def test_a_ban_lasts_as_long_as_it_was_given(here: Island, file: Path) -> None:
    dicomgate(here, "apply", "-c", file, "--at-once")
    modality = [ip_network("10.1.2.31/32")]
    here.nft(nftables.ban(modality, 3600))
    here.nft(nftables.lift(modality))
    here.nft(nftables.lift(modality))
    assert here.reaches("modality", GATE, 104)
    here.nft(nftables.ban(modality, 3600))
    here.nft(nftables.ban(modality, 2))
    assert not here.reaches("modality", GATE, 104)
    here.wait("modality", GATE, 104, reached=True)


def test_a_ban_of_the_gate_closes_the_firewall_until_it_is_lifted(here: Island, file: Path) -> None:
    text = CONFIGURATION.replace("0.0.0.0:104", "0.0.0.0:2763") + "\n[detect]\nfirewall = true\n"
    file.write_text(text, "utf-8")

    def ban(*words: str) -> None:
        here.run("gate", sys.executable, "-m", "dicomgate", "ban", words[0], "-c", file, *words[1:])

    def about_bans() -> str:
        done = here.run("gate", sys.executable, "-m", "dicomgate", "segment", "verify", "-c", file, "--rules",
                        "--wait", "0.1", check=False)  # fmt: skip
        return next(line for line in done.stdout.splitlines() if "bans are the gate's" in line)

    dicomgate(here, "apply", "-c", file, "--at-once")
    gate = here.start("gate", sys.executable, "-m", "dicomgate", "run", "-c", file, stdout=PIPE, stderr=DEVNULL)
    here.listening.append(gate)
    assert gate.stdout.readline().startswith("ready inside")
    assert here.reaches("modality", GATE, 2763)
    ban("add", "address", ADDRESS["modality"], "--for", "1 h", "--reason", "test")
    here.wait("modality", GATE, 2763, reached=False)
    assert here.reaches("archive", GATE, 2763)
    assert about_bans().startswith("ok")
    here.nft("add element inet dicomgate banned4 { 10.9.9.0/24 timeout 1h }")
    assert "10.9.9.0/24: closed out, though the gate has banned nobody there (1)" in (said := about_bans())
    assert said.startswith("FAIL")
    here.nft("flush set inet dicomgate banned4")
    assert f"{ADDRESS['modality']}: banned by the gate, and not closed out (1)" in about_bans()
    here.nft(nftables.ban([ip_network(ADDRESS["modality"])], 3600))
    ban("lift", "address", ADDRESS["modality"])
    here.wait("modality", GATE, 2763, reached=True)
    assert about_bans().startswith("ok")
    gate.terminate()
    gate.communicate()


def test_verify_sees_the_network_from_every_side(here: Island, file: Path, tmp_path: Path) -> None:
    dicomgate(here, "apply", "-c", file, "--at-once")
    for host in ("gate", "modality", "reading", "guest", "outside", "admin"):
        dicomgate(here, "verify", "-c", file, "--wait", "0.4", host=host)
    output = tmp_path / "verify.json"
    dicomgate(here, "verify", "-c", file, "--wait", "0.4", "--output", output, "--json", host="modality")
    found = json.loads(output.read_text("utf-8"))
    assert found["format"] == "dicomgate-segment-verify/1"
    assert found["ok"] is True
    assert {"source_segment": "modalities", "expected": "pass", "found": "accepted"}.items() <= next(
        probe for probe in found["probes"] if (probe["destination"], probe["port"]) == (GATE, 104)
    ).items()
    with sqlite3.connect(tmp_path / "state" / "gate.db") as store:
        rows = store.execute("SELECT event, outcome FROM records ORDER BY sequence").fetchall()
    assert rows[0] == ("segment_changed", "success")
    assert set(rows[1:]) == {("segment_verified", "success")}


FAULTS = {
    "rules never loaded": "delete table inet dicomgate",
    "no rule in force": "flush chain inet dicomgate input",
    "an open port": "insert rule inet dicomgate input tcp dport 11112 accept",
    "a chain of somebody": "add chain inet dicomgate extra",
    "a set of somebody": "add set inet dicomgate extra { type ipv4_addr; }",
    "a ban for ever": "add element inet dicomgate banned4 { 10.9.9.9 }",
    "no ban set": "BANS",
    "a rule taken out": "DROP",
    "rules changed by hand": "OPEN",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_verify_on_the_gate_host_finds(here: Island, file: Path, fault: str) -> None:
    in_force(here, file)
    script = FAULTS[fault]
    listing = json.loads(here.run("gate", "nft", "-j", "-a", "list", "table", "inet", "dicomgate").stdout)["nftables"]
    rules = [each["rule"] for each in listing if "rule" in each]
    judge = next(rule["chain"] for rule in rules if rule["chain"].endswith("_judge"))
    if script == "DROP":
        last = [rule["handle"] for rule in rules if rule.get("comment") == "DICOM elsewhere"]
        script = f"delete rule inet dicomgate {judge} handle {last[0]}"
    elif script == "OPEN":
        script = f"insert rule inet dicomgate {judge} ip saddr 10.1.200.0/24 accept"
    elif script == "BANS":
        banned = [rule["handle"] for rule in rules if rule.get("comment") == "banned"]
        script = "\n".join(f"delete rule inet dicomgate {judge} handle {handle}" for handle in banned)
        script += "\ndelete set inet dicomgate banned4\ndelete set inet dicomgate banned6"
    here.nft(script)
    said = dicomgate(here, "verify", "-c", file, "--rules", "--wait", "0.4", expect=1).stdout
    assert "FAIL  rules on this machine" in said


SEEN_FROM = {
    "an open port from the guests": ("guest", "insert rule inet dicomgate input ip saddr 10.1.200.0/24 accept"),
    "a missing drop": ("outside", "flush chain inet dicomgate input"),
    "an archive past the gate": ("modality", "flush chain inet dicomgate forward"),
    "a ban that nobody took back": ("modality", "add element inet dicomgate banned4 { 10.1.2.31 timeout 1h }"),
}


@pytest.mark.parametrize("fault", SEEN_FROM)
def test_verify_finds_from_elsewhere(here: Island, file: Path, tmp_path: Path, fault: str) -> None:
    host, script = SEEN_FROM[fault]
    output = tmp_path / "verify.json"
    words = ("verify", "-c", file, "--wait", "0.4", "--output", output)
    in_force(here, file)
    dicomgate(here, *words, host=host)
    assert all(each.ok for each in read_segments(output)), "what the assessor reads"
    here.nft(script)
    assert "FAIL" in dicomgate(here, *words, host=host, expect=1).stdout
    through = [each for each in read_segments(output) if not each.must_pass]
    assert exp05_wrong_zone.judge(exp05_wrong_zone.Seen(probes=tuple(through))).outcome is (
        Outcome.PASS if fault == "a ban that nobody took back" else Outcome.FAIL
    )
    here.nft("flush set inet dicomgate banned4")


def test_a_changed_rule_shows_in_diff_and_the_next_trial_repairs_it(here: Island, file: Path) -> None:
    dicomgate(here, "apply", "-c", file, "--at-once")
    listing = json.loads(here.run("gate", "nft", "-j", "list", "table", "inet", "dicomgate").stdout)["nftables"]
    judge = next(each["chain"]["name"] for each in listing if each.get("chain", {}).get("name", "").endswith("_judge"))
    here.nft(f"insert rule inet dicomgate {judge} tcp dport 104 accept")
    assert "-\t\ttcp dport 104 accept" in dicomgate(here, "diff", "-c", file, expect=1).stdout
    assert here.reaches("guest", GATE, 104)
    dicomgate(here, "apply", "-c", file)
    assert not here.reaches("guest", GATE, 104)
    assert dicomgate(here, "diff", "-c", file).stdout == ""
    dicomgate(here, "confirm", "-c", file)
    assert dicomgate(here, "diff", "-c", file).stdout == ""
    assert not here.reaches("guest", GATE, 104)


def test_without_rights_nothing_happens(here: Island, file: Path) -> None:
    before = here.ruleset()
    words = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-m", "dicomgate", "segment"]
    file.parent.chmod(0o755)
    done = here.run("gate", *words, "diff", "-c", file, check=False)
    assert done.returncode == 2, done
    assert here.ruleset() == before


FAR = "10.30.0.7"
CHANNEL = (
    CONFIGURATION
    + f"""
[[peer]]
name = "far"
ae_titles = ["FAR"]
networks = ["{FAR}"]
assurance = "device"
channels = "far"
may = ["store"]

[[site]]
name = "island"
own = true
networks = ["10.1.0.0/16"]
address = "192.0.2.1"

[[site]]
name = "far"
networks = ["10.30.0.0/24"]
address = "192.0.2.9"

[[channel]]
name = "far"
"""
)
WIREGUARD = """kind = "wireguard"
[[channel.ends]]
site = "island"
key = "wg.key"
interface = "wg-gate"
[[channel.ends]]
site = "far"
"""
IPSEC = """kind = "ipsec"
ca = "ca.pem"
[[channel.ends]]
site = "island"
certificate = "gate.pem"
key = "gate.key"
[[channel.ends]]
site = "far"
"""
_ECHO = """
import socket
door = socket.create_server(("", 2762))
print("ready", flush=True)
while True:
    s = door.accept()[0]
    while data := s.recv(99):
        s.sendall(data)
"""
_SPEAK = """
import socket, sys
s = socket.create_connection((sys.argv[1], 2762), 5, (sys.argv[2], 0))
for _ in sys.stdin:
    s.settimeout(1.5)
    s.sendall(b"x")
    try:
        print("heard" if s.recv(1) else "closed", flush=True)
    except TimeoutError:
        print("silence", flush=True)
"""


@pytest.fixture
def far(here: Island) -> Iterator[Callable[[str], None]]:
    """A second address outside. What it is called with: the interface of the gate host by which both ways lead."""
    here.run("outside", "ip", "addr", "add", f"{FAR}/32", "dev", "lo")

    def by(interface: str) -> None:
        there, back = ("eth", "via 192.0.2.1") if interface == "outside" else ("wg-far", "")
        here.run("outside", "ip", "route", "replace", f"{GATE}/32", *back.split(), "dev", there)
        way = ["via", "192.0.2.9"] if interface == "outside" else []
        here.run("gate", "ip", "route", "replace", f"{FAR}/32", *way, "dev", interface)

    yield by
    for host in ("gate", "outside"):
        here.run(host, "ip", "route", "del", f"{FAR if host == 'gate' else GATE}/32", check=False)
    here.run("outside", "ip", "addr", "del", f"{FAR}/32", "dev", "lo")


@pytest.fixture
def tunnel(here: Island, far: Callable[[str], None], tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """WireGuard between the gate host (wg-gate) and outside (wg-far)."""
    require("wireguard", WIREGUARD_PROGRAMS)
    ends = {"gate": ("wg-gate", "192.0.2.1", f"{FAR}/32"), "outside": ("wg-far", "192.0.2.9", f"{GATE}/32")}
    public, running = {}, []
    for host in ends:
        secret = here.run(host, "wg", "genkey").stdout
        (tmp_path / f"{host}.key").write_text(secret)
        public[host] = here.run(host, "wg", "pubkey", input=secret).stdout.strip()
    for host, (interface, own, _) in ends.items():
        # Its socket has a fixed place, so each end has a /run of its own, and wg speaks to it from inside.
        script = (
            "mount -t tmpfs tmpfs /run && mkdir /run/wireguard\n"
            f"wireguard-go -f {interface} & until wg show {interface} >&- 2>&-; do sleep 0.05; done\n"
            f"wg set {interface} listen-port 51820 private-key {tmp_path}/{host}.key"
            f" peer {public[other := 'outside' if host == 'gate' else 'gate']}"
            f" endpoint {ends[other][1]}:51820 allowed-ips {ends[host][2]}\n"
            f"ip link set {interface} up && echo ready && wait\n"
        )
        process = here.start(host, "unshare", "-m", "--propagation", "private", "sh", "-c", script,
                             stdout=PIPE, stderr=DEVNULL, start_new_session=True)  # fmt: skip
        running.append(process)
        assert "ready\n" in iter(process.stdout.readline, ""), own
    yield far
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_who_must_come_through_wireguard_is_not_heard_beside_it(
    here: Island, file: Path, tunnel: Callable[[str], None]
) -> None:
    file.write_text(CHANNEL.replace("0.0.0.0:104", "0.0.0.0:2762") + WIREGUARD, "utf-8")
    server = here.start("gate", sys.executable, "-c", _ECHO, stdout=PIPE)
    here.listening.append(server)
    assert server.stdout.readline() == "ready\n"
    tunnel("outside")
    assert here.reaches("outside", GATE, 2762, source=FAR), "in clear it would be answered, were it not for the rules"
    dicomgate(here, "apply", "-c", file, "--at-once")
    assert not here.reaches("outside", GATE, 2762, source=FAR)
    tunnel("wg-gate")
    assert here.reaches("outside", GATE, 2762, source=FAR, seconds=5)
    client = here.start("outside", sys.executable, "-c", _SPEAK, GATE, FAR, stdin=PIPE, stdout=PIPE)

    def says() -> str:
        client.stdin.write("\n")
        client.stdin.flush()
        return str(client.stdout.readline()).strip()

    assert says() == "heard"
    tunnel("outside")
    assert says() == "silence", "what began inside the tunnel does not go on in clear"
    assert not here.reaches("outside", GATE, 2762, source=FAR)
    client.communicate()


def test_who_must_come_through_the_kernels_ipsec_is_not_heard_beside_it(
    here: Island, file: Path, far: Callable[[str], None]
) -> None:
    """That it is heard inside needs ESP in the kernel, which not every kernel of a test has; proof.py asks the same."""
    far("outside")
    file.write_text(CHANNEL + IPSEC, "utf-8")
    assert here.reaches("outside", GATE, 104, source=FAR)
    dicomgate(here, "apply", "-c", file, "--at-once")
    assert not here.reaches("outside", GATE, 104, source=FAR)
    file.write_text(CHANNEL.replace('channels = "far"\n', "").replace('"device"', '"address"') + IPSEC, "utf-8")
    dicomgate(here, "apply", "-c", file, "--at-once")
    assert here.reaches("outside", GATE, 104, source=FAR), "nobody demands the channel"


@pytest.mark.parametrize("name", NAMES)
def test_nft_takes_what_is_rendered_and_lists_it_as_it_was_meant(name: str) -> None:
    require("namespaces")
    listed = kernel.rehearsed((PLANS / f"{name}.nft").read_text("utf-8"))
    again = kernel.rehearsed(nftables.whole(plan_of(name)))
    assert listed == again
    assert listed.count("comment") == (PLANS / f"{name}.nft").read_text("utf-8").count("comment")
