"""A tunnel that ends on a host in front of the gate: what the gate then proves, what it cannot, and how it fails.

The tutorial's gates; in the cloud WireGuard runs on a machine of its own, from the files that `render` wrote, without
dicomgate. The gate behind it knows the tunnel by a mark, as the how-to says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicomgate.assess.model import Outcome
from docs.pages import ROOT, blocks
from interop.conftest import require
from lab.process import wait_until
from lab.sites import Place, sites
from lab.tunnel import TOLD, Tunnel, exchange_keys, pages_files, set_up

pytestmark = [pytest.mark.interop, pytest.mark.system]
PAGE = ROOT / "docs" / "howto" / "tunnel-elsewhere.md"
TABLE = "inet dicomgate_channel_hospital-cloud"
PROBE = "import socket; socket.create_connection(('{}', {}), 0.7, ('{}', 0))"


def _step(mark: str) -> str:
    (found,) = (block.text for block in blocks("sh") if block.page == PAGE and block.mark == mark)
    return found


def _files() -> dict[Place, str]:
    """The tutorial's; in the cloud's own file its end gets the lines of the how-to."""
    files = pages_files()
    (lines,) = (block.text for block in blocks("toml") if block.page == PAGE)
    end = 'key = "keys/cloud.key"\n'
    assert end in files[Place.CLOUD]
    files[Place.CLOUD] = files[Place.CLOUD].replace(end, end + lines)
    return files


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tunnel]:
    for component in ("dcmtk", "orthanc", "namespaces", "wireguard"):
        require(component)
    with ExitStack() as stack:
        places = stack.enter_context(sites(tmp_path_factory.mktemp("elsewhere"), apart=True))
        made = set_up(places, "wireguard", _files(), stack)
        exchange_keys(made)
        made.type_in(Place.CLOUD, _step("on gate"))
        made.type_in(Place.TUNNEL, _step("on tunnel host"), made.folders[Place.CLOUD])
        assert "tcp_fwmark_accept" in made.channel(Place.CLOUD, "status").stdout
        made.type_in(Place.CLOUD, _step("on gate, marks"))
        made.everywhere("dicomgate channel apply -c gate.toml")
        made.start_gates(stack)
        yield made


@pytest.fixture
def captured(tunnel: Tunnel, tmp_path: Path) -> Iterator[Path]:
    """What passes "internet" while the test runs."""
    file = tmp_path / "internet.pcap"
    command = ["tcpdump", "--immediate-mode", "-U", "-n", "-Z", "root", "-i", "any", "-s", "0", "-w", file, "ip"]
    name = f"tcpdump-{os.urandom(3).hex()}"
    with tunnel.places.program(name, Place.INTERNET, command, lambda process: "listening on" in process.text()):
        yield file


def _in_clear(file: Path) -> int:
    """TCP packets outside of the tunnel."""
    done = subprocess.run(["tcpdump", "-n", "-r", str(file), "tcp"], capture_output=True, text=True, check=False)
    return len(done.stdout.splitlines())


def _reaches(tunnel: Tunnel, place: Place, here: str, there: str, port: int) -> bool:
    return tunnel.places.run(place, sys.executable, "-c", PROBE.format(there, port, here)).returncode == 0


def test_the_mark_names_the_channel(tunnel: Tunnel, captured: Path) -> None:
    assert tunnel.echo().returncode == 0
    admitted = tunnel.gate(Place.CLOUD).await_record(event="association_admitted", listener="tunnel")
    assert (admitted["assurance"], admitted["detail"]["channel"]) == ("device", "hospital-cloud")
    found = tunnel.verified(Place.CLOUD, "--echo 10.1.1.5:11105")
    assert {check: text for check, (ok, text) in found.items() if not ok} == {}
    assert found.keys() == {"up", "marked", "echo"}
    assert "have to be verified where it ends" in found["up"][1]
    # Nobody here has seen the identities, nor what could leave in clear.
    assert tunnel.assessed(Place.CLOUD) == {"EXP-07": Outcome.INCONCLUSIVE, "EXP-08": Outcome.INCONCLUSIVE}
    assert _in_clear(captured) == 0


def test_silence_beyond_the_tunnel_takes_the_permit(tunnel: Tunnel, captured: Path) -> None:
    """Nothing on the gate host changes when the line is cut elsewhere; whoever should answer does not."""
    before = tunnel.lines()
    with ExitStack() as stack:
        running = tunnel.association(stack)
        tunnel.places.cut()
        try:
            for place in tunnel.folders:
                tunnel.await_log(place, '"channel_down"', before[place])
            tunnel.await_log(Place.CLOUD, "the other end has fallen silent", before[Place.CLOUD])
            tunnel.await_log(Place.CLOUD, "channel hospital-cloud is down", before[Place.CLOUD])
            wait_until(lambda: "aborted" in running.text(), TOLD, "the end of the association")
            assert not _reaches(tunnel, Place.CLOUD, "10.20.1.5", "10.1.1.5", 11105)
        finally:
            tunnel.places.mend()
    for place in tunnel.folders:
        tunnel.await_log(place, '"channel_up"', before[place])
    assert tunnel.echo().returncode == 0
    assert _in_clear(captured) == 0


def test_without_its_mark_it_is_dropped_and_without_rules_refused(tunnel: Tunnel) -> None:
    before = tunnel.lines()[Place.CLOUD]
    tunnel.places.do(Place.CLOUD, "nft", "delete", "table", "inet", "marks")
    assert not _reaches(tunnel, Place.HOSPITAL, "10.1.1.5", "10.20.1.5", 104)
    tunnel.places.do(Place.CLOUD, "nft", "delete", "table", *TABLE.split())
    assert _reaches(tunnel, Place.HOSPITAL, "10.1.1.5", "10.20.1.5", 104)
    tunnel.await_log(Place.CLOUD, '"rule": "listener[tunnel].channels"', before)
    tunnel.type_in(Place.CLOUD, _step("on gate, marks"))
    tunnel.type_in(Place.CLOUD, "dicomgate channel apply -c gate.toml")


def test_what_it_cannot_prove(tunnel: Tunnel, captured: Path) -> None:
    """The gate believes its tunnel host. Its rules hold back what would leave in clear; without them nobody does.

    The last test of this file: it leaves the tunnel down.
    """
    before = tunnel.lines()[Place.CLOUD]
    device = tunnel.places.do(Place.TUNNEL, "wg", "show", "interfaces").strip()
    tunnel.places.do(Place.TUNNEL, "ip", "link", "delete", "dev", device)
    assert not _reaches(tunnel, Place.CLOUD, "10.20.1.5", "10.1.1.5", 11105)
    assert _in_clear(captured) == 0
    tunnel.places.do(Place.TUNNEL, "nft", "delete", "table", *TABLE.split())
    assert not _reaches(tunnel, Place.CLOUD, "10.20.1.5", "10.1.1.5", 11105)  # the hospital's own rules drop it
    assert _in_clear(captured) > 0
    tunnel.await_log(Place.CLOUD, '"channel_down"', before)
    assert tunnel.channel(Place.HOSPITAL, "down").returncode == 0
    tunnel.places.do(Place.HOSPITAL, "nft", "delete", "table", *TABLE.split())
    tunnel.await_log(Place.CLOUD, '"channel_up"', before)  # in clear from end to end, and it looks like a tunnel here
