"""Five places in network namespaces: reader, hospital gate, internet, cloud gate, archive; the tutorial's addresses.
With `apart` there is a sixth, a tunnel host between the internet and the cloud gate.

In: a folder; out: `Sites`, in whose places programs run. Needs root; deletes what it made.

Each place has a mount namespace with a /run of its own: charon and wireguard-go have fixed paths there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.process import LabError, Process, running

CHARON = Path("/usr/lib/ipsec/charon")
IPSEC = (CHARON, Path("/usr/sbin/swanctl"), Path("/usr/sbin/nft"), Path("/usr/bin/tcpdump"))
WIREGUARD = tuple(
    Path(each)
    for each in ("/usr/bin/wireguard-go", "/usr/bin/wg", "/usr/bin/wg-quick", "/usr/sbin/nft", "/usr/bin/tcpdump")
)


class Place(StrEnum):
    READER = "reader"
    HOSPITAL = "hospital"
    INTERNET = "internet"
    TUNNEL = "tunnel"
    CLOUD = "cloud"
    ARCHIVE = "archive"


_LINES = (
    (Place.READER, "10.1.3.7/16", Place.HOSPITAL, "10.1.1.5/16"),
    (Place.HOSPITAL, "203.0.113.10/24", Place.INTERNET, "203.0.113.1/24"),
    (Place.CLOUD, "198.51.100.20/24", Place.INTERNET, "198.51.100.1/24"),
    (Place.ARCHIVE, "10.20.1.20/24", Place.CLOUD, "10.20.1.5/24"),
)
"""Who is connected with whom; on either side the interface is named after the place at the other end."""
_APART = (
    *(line for line in _LINES if Place.CLOUD not in line[::2] or Place.ARCHIVE in line),
    (Place.TUNNEL, "198.51.100.20/24", Place.INTERNET, "198.51.100.1/24"),
    (Place.CLOUD, "10.20.9.2/30", Place.TUNNEL, "10.20.9.1/30"),
)
"""The same with a host of its own for the cloud's end of the tunnel, in front of the gate."""


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the namespaces are: the prefix of their names, and a process that holds each."""

    prefix: str
    holders: dict[Place, int]
    directory: Path

    def into(self, place: Place) -> list[str]:
        """What stands in front of a command that is to run there."""
        return ["nsenter", "-t", str(self.holders[place]), "-m", "-n"]

    def run(self, place: Place, *arguments: str | Path, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a program there to its end; stdout and stderr apart."""
        command = [*self.into(place), *map(str, arguments)]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )

    def do(self, place: Place, *arguments: str | Path) -> str:
        """The same; LabError unless it succeeds."""
        done = self.run(place, *arguments)
        if done.returncode:
            raise LabError(f"{' '.join(map(str, arguments))} in {place}: {done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def program(
        self, name: str, place: Place, arguments: Sequence[str | Path], ready: Callable[[Process], bool]
    ) -> Iterator[Process]:
        """A program that runs there until the block ends. It gets no time for an orderly end: the place goes, too."""
        command = [*self.into(place), *arguments]
        with running(name, command, self.directory / name, ready=ready, grace=0.3) as process:
            yield process

    def listens(self, place: Place, port: int) -> bool:
        """Whether anybody listens there on this TCP port."""
        rows = Path(f"/proc/{self.holders[place]}/net/tcp").read_text(encoding="ascii").splitlines()
        return any(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A" for row in rows[1:])

    def cut(self) -> None:
        """The line between the hospital and the internet is gone."""
        self.do(Place.INTERNET, "ip", "link", "set", "hospital", "down")

    def mend(self) -> None:
        """A link that comes up again has lost its routes."""
        self.do(Place.INTERNET, "ip", "link", "set", "hospital", "up")
        self.do(Place.INTERNET, "ip", "route", "replace", "10.1.0.0/16", "via", "203.0.113.10")


@contextmanager
def sites(directory: Path, *, apart: bool = False) -> Iterator[Sites]:
    """The five places, connected; the gates know no way to each other's site but the internet."""
    prefix = f"dg{secrets.token_hex(3)}-"
    made: dict[Place, int] = {}
    with ExitStack() as stack:
        lines = _APART if apart else _LINES
        for place in Place:
            if not any(place in line for line in lines):
                continue
            stack.callback(_remove, prefix + place)
            _make(prefix + place)
            up = directory / f"{place}.up"
            hold = f"mount -t tmpfs tmpfs /run && mkdir -p /run/wireguard && touch {up} && exec sleep inf"
            command = [
                "ip",
                "netns",
                "exec",
                prefix + place,
                "unshare",
                "-m",
                "--propagation",
                "private",
                "sh",
                "-c",
                hold,
            ]
            holder = stack.enter_context(
                running(f"hold-{place}", command, directory / "hold", ready=lambda _, up=up: up.exists(), grace=1)
            )
            made[place] = holder.popen.pid
        found = Sites(prefix, made, directory)
        for one, address, other, far in lines:
            _ip(
                "link",
                "add",
                "name",
                other,
                "netns",
                prefix + one,
                "type",
                "veth",
                "peer",
                one,
                "netns",
                prefix + other,
            )
            for place, interface, its in ((one, other, address), (other, one, far)):
                _ip("-n", prefix + place, "address", "add", its, "dev", interface)
                _ip("-n", prefix + place, "link", "set", interface, "up")
        _ip("-n", prefix + Place.HOSPITAL, "route", "add", "default", "via", "203.0.113.1")
        ends = Place.TUNNEL if apart else Place.CLOUD
        _ip("-n", prefix + ends, "route", "add", "default", "via", "198.51.100.1")
        if apart:
            _ip("-n", prefix + Place.TUNNEL, "route", "add", "10.20.1.0/24", "via", "10.20.9.2")
            _ip("-n", prefix + Place.CLOUD, "route", "add", "default", "via", "10.20.9.1", "src", "10.20.1.5")
            found.do(Place.TUNNEL, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        # The internet would carry them in clear: what does not leave in clear is held back by the gates.
        found.mend()
        _ip("-n", prefix + Place.INTERNET, "route", "add", "10.20.1.0/24", "via", "198.51.100.20")
        found.do(Place.INTERNET, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield found


def strongswan_conf(directory: Path, *, in_user_space: bool = True) -> Path:
    """ESP in user space, so that no module of the kernel is needed. Plugins in this order: the first that can, does.

    Not in user space: policies and ESP are the kernel's. Where it has no ESP, there are policies and never an SA.
    """
    libipsec = "kernel-libipsec " if in_user_space else ""
    path = directory / "strongswan.conf"
    path.write_text(
        "charon {\n"
        "  load = random nonce openssl drbg aes sha1 sha2 hmac kdf pem pkcs1 pkcs8 x509 pubkey revocation constraints"
        f" {libipsec}kernel-netlink socket-default vici updown\n"
        "  threads = 16\n"  # with 8 every question over vici hangs
        "  retransmit_timeout = 1\n  retransmit_tries = 3\n"
        f"  filelog {{ log {{ path = {directory}/charon.log\n default = 1\n flush_line = yes }} }}\n"
        "  plugins { kernel-libipsec { allow_peer_ts = no } }\n"
        "}\n",
        encoding="utf-8",
    )
    return path


def _make(name: str) -> None:
    _ip("netns", "add", name)
    _ip("-n", name, "link", "set", "lo", "up")
    # "ip netns exec" puts these over /etc: nobody asks the machine's name server, and waits for it.
    etc = Path("/etc/netns") / name
    etc.mkdir(parents=True)
    (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (etc / "nsswitch.conf").write_text("hosts: files\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n")


def _remove(name: str) -> None:
    """With whoever still runs in there: they are all ours."""
    if (Path("/run/netns") / name).exists():
        for pid in subprocess.run(
            ["ip", "netns", "pids", name], capture_output=True, text=True, check=True
        ).stdout.split():
            os.kill(int(pid), 9)
        _ip("netns", "delete", name)
    shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr}")
