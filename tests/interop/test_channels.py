"""The tutorial of the cloud archive, run with real tunnels: its files and commands, and the IPsec of the how-to.

A capture in "internet" shows what passes there; the line is cut and mended, secrets do not fit, and a tunnel goes.
Behind WireGuard the archive is Orthanc, behind IPsec dcmqrscp.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicomgate.assess.model import Outcome
from docs.pages import blocks
from interop.conftest import require, require_package
from lab import dcmtk, studies
from lab.hospital import same_data_sets
from lab.process import wait_until
from lab.sites import Place, sites
from lab.tunnel import (
    APPLY,
    GATES,
    PAGE,
    READER,
    STATUS,
    TOLD,
    VERIFY_CLOUD,
    VERIFY_HOSPITAL,
    Tunnel,
    certificates,
    exchange_keys,
    pages_files,
    set_up,
    with_ipsec,
)

pytestmark = [pytest.mark.interop, pytest.mark.system]
FILES = """
dicomgate channel render -c gate.toml --output files
cat files/hospital-cloud.conf files/hospital-cloud-secret.conf > files/both.conf
swanctl --load-all --noprompt --file files/both.conf
"""
"""An end that dicomgate does not run: the files that it renders, loaded by strongSwan's own program."""
PSK = ('authentication = "psk"', 'psk_file = "keys/tunnel.psk"')
CARRIED = {"wireguard": "udp port 51820", "ipsec": "udp port 4500 or udp port 500"}


@pytest.fixture(scope="module", params=["wireguard", "ipsec"])
def tunnel(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Tunnel]:
    kind = request.param
    for component in ("dcmtk", "namespaces", kind, *(["orthanc"] if kind == "wireguard" else [])):
        require(component)
    if kind == "ipsec":
        require_package("vici")
    with ExitStack() as stack:
        places = stack.enter_context(sites(tmp_path_factory.mktemp(kind)))
        if kind == "wireguard":
            made = set_up(places, kind, pages_files(), stack)
            exchange_keys(made)
        else:
            with ThreadPoolExecutor() as pool:
                made_certificates = pool.submit(certificates, places.directory)
                made = set_up(places, kind, with_ipsec(pages_files()), stack)
                made_certificates.result()
        made.everywhere(APPLY)
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


def _packets(file: Path, *expression: str) -> int:
    command = ["tcpdump", "-n", "-r", str(file), *expression]
    return len(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())


def test_no_command_of_the_page_is_left_out() -> None:
    assert len([block for block in blocks("sh") if block.page == PAGE]) == 7


def test_verify_finds_nothing_wrong(tunnel: Tunnel) -> None:
    assert set(tunnel.everywhere(STATUS).values()) == {"hospital-cloud  up\n"}
    for place, text in ((Place.HOSPITAL, VERIFY_HOSPITAL), (Place.CLOUD, VERIFY_CLOUD)):
        said = tunnel.type_in(place, text).stdout
        assert "FAIL" not in said
        found = {line.split()[2] for line in said.splitlines()}
        assert {"up:", "selectors:", "secrets:", "cleartext:", "counters:", "route:"} <= found
    tunnel.verified(Place.HOSPITAL)
    assert tunnel.assessed(Place.HOSPITAL) == {"EXP-07": Outcome.PASS, "EXP-08": Outcome.PASS}


def test_everything_passes_and_only_the_tunnel_is_seen(tunnel: Tunnel, captured: Path, tmp_path: Path) -> None:
    made = [studies.instance(tmp_path, kind, f"cloud-{tunnel.kind}", n) for n, kind in enumerate(studies.KINDS[1:2], 1)]
    titles = ("-aet", "READER1", "-aec", "ARCHIVE")
    to = ("10.1.1.5", "104")
    stored = tunnel.places.run(Place.READER, dcmtk.BIN / "storescu", *titles, *to, *(each.path for each in made))
    assert stored.returncode == 0, stored.stdout + stored.stderr
    study = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={made[0].study_instance_uid}")
    found = tunnel.places.run(Place.READER, dcmtk.BIN / "findscu", "-v", *titles, *study, *to)
    assert made[0].study_instance_uid in found.stdout + found.stderr
    got = tmp_path / "got"
    got.mkdir()
    fetched = tunnel.places.run(Place.READER, dcmtk.BIN / "getscu", "+B", *titles, "-od", got, *study, *to)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    tunnel.type_in(Place.READER, READER.replace("…", made[0].study_instance_uid), tmp_path)  # C-ECHO and C-MOVE
    sent = {each.sop_instance_uid: each for each in made}
    assert same_data_sets(sent, got) == []
    assert same_data_sets(sent, tunnel.received) == []
    admitted = tunnel.gate(Place.CLOUD).await_record(event="association_admitted", listener="tunnel")
    assert (admitted["assurance"], admitted["detail"]["channel"]) == ("device", "hospital-cloud")
    back = tunnel.gate(Place.HOSPITAL).await_record(event="association_admitted", listener="from-cloud")
    assert back["detail"]["channel"] == "hospital-cloud"
    assert _packets(captured, CARRIED[tunnel.kind]) > 20
    assert _packets(captured, "not", "(", *CARRIED[tunnel.kind].split(), ")") == 0
    content = captured.read_bytes()
    assert not any(word in content for word in (b"READER1", b"ARCHIVE", b"1.2.840.10008"))


def test_the_line_is_cut_and_mended(tunnel: Tunnel, captured: Path) -> None:
    """Section 6 of the page. An association that runs meanwhile loses its permit at both gates."""
    before = tunnel.lines()
    with ExitStack() as stack:
        running = tunnel.association(stack)
        tunnel.places.cut()
        begun = time.monotonic()
        measured: dict[str, float] = {}

        def seen(what: str, condition: Callable[[], bool]) -> None:
            wait_until(condition, TOLD, what)
            measured[what] = time.monotonic() - begun

        try:
            for place in tunnel.folders:
                seen(f"{place} says down", lambda place=place: tunnel.logged(place, '"channel_down"', before[place]))
            seen("aborted", lambda: "aborted" in running.text())
            assert tunnel.echo().returncode != 0
            measured["refused"] = time.monotonic() - begun
            ended = {
                Place.HOSPITAL: "channel hospital-cloud to the called party is down",
                Place.CLOUD: "channel hospital-cloud is down",
            }
            for place, why in ended.items():
                tunnel.await_log(place, why, before[place])
            tunnel.await_log(Place.HOSPITAL, "channel hospital-cloud is down", before[Place.HOSPITAL])
            people = tunnel.people
            assert people is not None
            seen("alert", lambda: "channel hospital-cloud is down" in people.text())
            assert tunnel.metric(Place.HOSPITAL) == 'dicomgate_channel_up{channel="hospital-cloud"} 0.0'
        finally:
            tunnel.places.mend()
            begun = time.monotonic()
        for place in tunnel.folders:
            seen(f"{place} says up", lambda place=place: tunnel.logged(place, '"channel_up"', before[place]))
    assert tunnel.echo().returncode == 0
    assert tunnel.metric(Place.HOSPITAL) == 'dicomgate_channel_up{channel="hospital-cloud"} 1.0'
    assert _packets(captured, "tcp") == 0
    print(tunnel.kind, {what: round(seconds, 1) for what, seconds in measured.items()})


def test_who_comes_beside_the_tunnel_is_not_believed(tunnel: Tunnel, captured: Path) -> None:
    """The tunnel is taken down at one end: its rules stay, and nothing leaves in clear. It stays down afterwards."""
    before = tunnel.lines()[Place.CLOUD]
    assert tunnel.channel(Place.HOSPITAL, "down").returncode == 0
    tunnel.await_log(Place.CLOUD, '"channel_down"', before)
    probe = "import socket; socket.create_connection(('10.20.1.5', 104), 0.7, ('10.1.1.5', 0))"
    assert tunnel.places.run(Place.HOSPITAL, sys.executable, "-c", probe).returncode != 0
    assert _packets(captured, "tcp") == 0
    # Without the hospital's rules it does leave in clear, and the cloud's own drop it. Without those and without a
    # tunnel the gate is called from the right address, and refuses: it came through no channel.
    table = "dicomgate_channel_hospital-cloud"
    tunnel.places.do(Place.HOSPITAL, "nft", "delete", "table", "inet", table)
    found = tunnel.verified(Place.HOSPITAL, "--echo 10.1.1.5:104")  # somebody who answers at once, beside the tunnel
    assert (found["cleartext"][0], found["up"][0]) == (False, False)
    assert tunnel.assessed(Place.HOSPITAL)["EXP-07"] is Outcome.FAIL
    assert tunnel.kind == "wireguard" or "run dicomgate channel apply" in found["up"][1]
    assert tunnel.places.run(Place.HOSPITAL, sys.executable, "-c", probe).returncode != 0
    assert _packets(captured, "tcp") > 0
    assert tunnel.channel(Place.CLOUD, "down").returncode == 0
    tunnel.places.do(Place.CLOUD, "nft", "delete", "table", "inet", table)
    assert tunnel.places.run(Place.HOSPITAL, sys.executable, "-c", probe).returncode == 0
    tunnel.await_log(Place.CLOUD, '"rule": "listener[tunnel].channels"', before)


@pytest.mark.parametrize("tunnel", ["ipsec"], indirect=True)
def test_a_shared_secret_that_fits_and_one_that_does_not(tunnel: Tunnel) -> None:
    """`authentication = "psk"` as in the how-to, with the secret that `channel keys` makes, over the same strongSwan.

    The end in the cloud is loaded from rendered files.
    """
    page = (PAGE.parent.parent / "howto" / "ipsec.md").read_text("utf-8")
    assert all(f"`{line}`" in page for line in PSK)
    for folder in tunnel.folders.values():
        file = folder / "gate.toml"
        text = re.sub(r'^(certificate|key|ca) = "keys/.*\n', "", file.read_text(), flags=re.M)
        file.write_text(text.replace('kind = "ipsec"\n', 'kind = "ipsec"\n' + "\n".join(PSK) + "\n"))
    tunnel.everywhere("dicomgate channel down -c gate.toml")
    assert "psk_file" in tunnel.type_in(Place.CLOUD, "dicomgate channel keys -c gate.toml").stdout
    made, carried = (tunnel.folders[place] / "keys" / "tunnel.psk" for place in GATES)
    carried.write_text(made.read_text())
    # A secret that others can read is not even tried.
    carried.chmod(0o644)
    refused = tunnel.channel(Place.HOSPITAL, "apply")
    assert refused.returncode == 2
    assert "channel[hospital-cloud].psk_file" in refused.stderr
    assert "others can read or change this secret (mode 0644)" in refused.stderr
    carried.chmod(0o600)
    tunnel.type_in(Place.HOSPITAL, "dicomgate channel apply -c gate.toml")
    tunnel.type_in(Place.CLOUD, FILES)
    wait_until(lambda: tunnel.echo().returncode == 0, TOLD, "a C-ECHO through the tunnel")
    found = tunnel.verified(Place.HOSPITAL)
    assert {check: text for check, (ok, text) in found.items() if not ok} == {}
    assert tunnel.assessed(Place.HOSPITAL) == {"EXP-07": Outcome.PASS, "EXP-08": Outcome.FAIL}  # one secret for both
    # Another secret at one end: no tunnel, and both ends say what is wrong.
    carried.write_text("b3RoZXI=\n")
    again = "dicomgate channel down -c gate.toml && dicomgate channel apply -c gate.toml"
    tunnel.type_in(Place.HOSPITAL, again)
    wrong = "down: there is no IKE SA: the other end does not believe our shared secret (AUTHENTICATION_FAILED)"
    told = tunnel.everywhere("! dicomgate channel status -c gate.toml")
    assert [wrong in text for text in told.values()] == [True, True], told
    ok, text = tunnel.verified(Place.HOSPITAL, "--echo 10.1.1.5:104")["up"]
    assert not ok
    assert "AUTHENTICATION_FAILED" in text
    assert not any("b3RoZXI" in each for each in (text, *told.values()))
    assert tunnel.echo().returncode != 0
