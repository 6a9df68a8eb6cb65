"""Behind a load balancer the caller is whom the PROXY header names; nobody gets in without one, or by a forged one."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from zlib import crc32

import pytest

from dicomgate.wire.codes import PduType
from lab.process import LOOPBACK, Address, free_address, running
from system.bystanders import echoes, release
from system.house import House, house
from system.raw_archive import Wire, associate_rq, dial, reject

pytestmark = pytest.mark.system
BALANCER, CALLER = "127.0.0.1", "127.3.0.7"
BEHIND = """
[[listener]]
name = "behind"
bind = "127.0.0.1:0"
networks = ["127.3.0.0/16", "2001:db8::/32"]
proxy_protocol_from = ["127.0.0.1"]

[[peer]]
name = "six"
ae_titles = ["SIX"]
networks = ["2001:db8::7"]
assurance = "address"
may = ["echo"]
archive = "honest"
"""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def v1(source: str, port: int = 40000, family: str = "TCP4", destination: str = "127.0.0.1") -> bytes:
    return f"PROXY {family} {source} {destination} {port} 104\r\n".encode()


def v2(source: str, port: int = 40000, *, command: int = 0x21, tlvs: bytes = b"") -> bytes:
    address = ip_address(source)
    family = 0x11 if address.version == 4 else 0x21
    body = address.packed * 2 + struct.pack(">HH", port, 104) + tlvs
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("proxied"), more=BEHIND, limits='first_byte = "2 s"') as running_house:
        yield running_house
        running_house.innocent.is_undisturbed()


@contextmanager
def behind(door: House, source: str = BALANCER) -> Iterator[Wire]:
    with dial(door.gate.address("behind"), source) as wire:
        yield wire


GOOD = {
    "v1": (v1(CALLER), "CT1", CALLER),
    "v2": (v2(CALLER), "CT1", CALLER),
    "v2 with TLVs": (v2(CALLER, tlvs=b"\x04\0\x03abc" + b"\xe0\0\x01x"), "CT1", CALLER),
    "v1 over IPv6": (v1("2001:db8::7", family="TCP6", destination="2001:db8::1"), "SIX", "2001:db8::7"),
    "v2 over IPv6": (v2("2001:db8::7"), "SIX", "2001:db8::7"),
    "v2 with an IPv4 caller in IPv6": (v2(f"::ffff:{CALLER}"), "CT1", CALLER),
}


@pytest.mark.parametrize(("header", "calling", "address"), GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("cut", ["at once", "apart", "dribbled"])
def test_the_header_names_the_caller(door: House, header: bytes, calling: str, address: str, cut: str) -> None:
    request = associate_rq(calling=calling, called="HONEST")
    port = 20000 + crc32(header + cut.encode()) % 40000
    header = renumbered(header, port)
    with behind(door) as wire:
        if cut == "at once":
            wire.say(header + request)
        elif cut == "apart":
            wire.say(header)
            wire.say(request)
        else:
            wire.dribble(header + request[:20])
            wire.say(request[20:])
        wire.expect(PduType.ASSOCIATE_AC)
        assert echoes(wire)
        release(wire)
    record = door.trail.wait_for(event="association_admitted", address=address, port=port)
    assert (record.listener, record.calling_ae_title) == ("behind", calling)


def renumbered(header: bytes, port: int) -> bytes:
    """The same header with another port of the caller."""
    if header.startswith(b"PROXY"):
        return header.replace(b" 40000 ", b" %d " % port)
    return header.replace(struct.pack(">HH", 40000, 104), struct.pack(">HH", port, 104))


BAD = {
    "none": associate_rq(called="HONEST"),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "v1 too long": b"PROXY TCP4 " + b"1" * 200,
    "v1 of UDP": b"PROXY UDP4 127.3.0.7 127.0.0.1 1 2\r\n",
    "v1 with names": b"PROXY TCP4 localhost localhost 1 2\r\n",
    "v2 of version 3": v2(CALLER, command=0x31),
    "v2 shorter than its addresses": SIGNATURE + b"\x21\x11\0\x04" + bytes(4),
    "v2 of 64 KiB": SIGNATURE + b"\x21\x11\xff\xff" + bytes(5000),
    "v2 with a TLV that lies": v2(CALLER, tlvs=b"\x04\xff\xffabc"),
}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD.keys())
def test_a_bad_header_is_closed(door: House, header: bytes) -> None:
    before = len(door.honest.seen)
    with behind(door) as wire:
        wire.say(header)
        assert wire.pdu() == b""
    record = door.refusal_of(wire, event="connection_refused")
    assert (record.rule, record.listener) == ("listener[behind].proxy_protocol_from", "behind")
    assert len(door.honest.seen) == before


def test_no_header_in_time(door: House) -> None:
    with behind(door) as wire:
        wire.say(b"PROXY TC")
        assert wire.pdu() == b""
    assert door.refusal_of(wire, event="connection_refused").rule == "listener[behind].proxy_protocol_from"


def test_the_balancers_own_health_check_is_judged_by_its_own_address(door: House) -> None:
    with behind(door) as wire:
        wire.say(v2(CALLER, command=0x20) + associate_rq(called="HONEST"))
        assert wire.pdu() == b""
    assert door.refusal_of(wire, event="connection_refused").rule == "listener[behind].networks"


def test_a_caller_from_elsewhere_is_refused_by_its_true_address(door: House) -> None:
    with behind(door) as wire:
        wire.say(v1("192.0.2.66", 1234) + associate_rq(called="HONEST"))
        assert wire.pdu() == b""
    record = door.trail.wait_for(event="connection_refused", address="192.0.2.66", port=1234)
    assert record.rule == "listener[behind].networks"


def test_who_is_no_balancer_cannot_forge_a_header(door: House) -> None:
    with behind(door, "127.3.0.9") as wire:
        wire.say(v1(CALLER) + associate_rq(called="HONEST"))
        assert wire.pdu() == b""
    record = door.refusal_of(wire, event="connection_refused")
    assert record.rule == "malformed"


def test_who_is_no_balancer_needs_no_header(door: House) -> None:
    with behind(door, "127.3.0.9") as wire:
        wire.say(associate_rq(calling="STRANGER", called="HONEST"))
        assert wire.pdu() == reject(1, 1, 3)


@contextmanager
def haproxy(folder: Path, to: Address, option: str) -> Iterator[Address]:
    """HAProxy in front of the gate."""
    where = free_address()
    file = folder / "haproxy.cfg"
    file.write_text(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
        f"listen relay\n  bind {where}\n  server gate {to} {option}\n"
    )
    with running(
        "haproxy",
        (str(HAPROXY), "-db", "-f", str(file)),
        folder,
        ready=lambda process: process.listens(where.port),
    ):
        yield where


@pytest.mark.skipif(HAPROXY is None, reason="HAProxy (Debian package haproxy) is not installed")
@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front(door: House, tmp_path: Path, option: str) -> None:
    with haproxy(tmp_path, door.gate.address("behind"), option) as front, dial(front, CALLER) as wire:
        wire.say(associate_rq(called="HONEST"))
        wire.expect(PduType.ASSOCIATE_AC)
        assert echoes(wire)
        release(wire)
        record = door.trail.wait_for(event="association_admitted", address=CALLER, port=wire.here.port)
        assert record.listener == "behind"
        with dial(front, LOOPBACK) as outsider:
            outsider.say(associate_rq(called="HONEST"))
            assert outsider.pdu() == b""
        refused = door.refusal_of(outsider, event="connection_refused")
        assert refused.rule == "listener[behind].networks"
