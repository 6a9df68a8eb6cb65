"""A small hospital of network namespaces around one router, which is the gate host. Root only.

    admin 10.1.9.2 ─┐          ┌─ archive 10.1.1.20
    guest 10.1.200.9 ─┤  gate   ├─ modality 10.1.2.31
    outside 192.0.2.9 ─┘        └─ reading 10.1.3.7

The gate host has the first address of each network, and is 10.1.1.5 too. Namespaces are named after this process, so
that several can stand side by side; leaving the block ends what runs in them and deletes them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.process import wait_until

GATE = "10.1.1.5"
HOSTS = {
    "archive": "10.1.1.20/24",
    "modality": "10.1.2.31/24",
    "reading": "10.1.3.7/24",
    "admin": "10.1.9.2/24",
    "guest": "10.1.200.9/24",
    "outside": "192.0.2.9/24",
}
ADDRESS = {name: text.partition("/")[0] for name, text in HOSTS.items()}
_ACCEPT = """
import socket, sys
doors = [socket.create_server(("", int(port)), backlog=64) for port in sys.argv[1:]]
print("ready", flush=True)
import select
while True:
    for door in select.select(doors, [], [])[0]:
        door.accept()[0].close()
"""
_CONNECT = """
import socket, sys
s = socket.socket()
s.settimeout(float(sys.argv[3]))
s.bind((sys.argv[4], 0))
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    print(type(error).__name__)
else:
    print("passed")
"""


@dataclass(frozen=True)
class Island:
    """The namespaces by the names above, and `gate` between them."""

    tag: str
    listening: list[subprocess.Popen[str]] = field(default_factory=list)

    def name(self, host: str) -> str:
        return f"{self.tag}-{host}"

    def run(
        self, host: str, *command: str | Path, check: bool = True, **more: object
    ) -> subprocess.CompletedProcess[str]:
        """A command in a namespace, to its end."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name(host), *map(str, command)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **more,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done  # type: ignore[no-any-return]

    def start(self, host: str, *command: str | Path, **more: object) -> subprocess.Popen[str]:
        """A command in a namespace; whoever starts it waits for it, and it is dead after the island."""
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            ["ip", "netns", "exec", self.name(host), *map(str, command)], text=True, **more
        )

    def listen(self, host: str, *ports: int) -> None:
        """Something that accepts connections on these ports, and closes them."""
        process = self.start(host, sys.executable, "-c", _ACCEPT, *map(str, ports), stdout=subprocess.PIPE)
        self.listening.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def reaches(self, host: str, address: str, port: int, seconds: float = 0.7, source: str = "") -> bool:
        """Whether a connection is accepted, from one of the host's addresses; silence and refusal are both "no"."""
        said = self.run(host, sys.executable, "-c", _CONNECT, address, str(port), str(seconds), source)
        return said.stdout.strip() == "passed"

    def nft(self, script: str) -> None:
        self.run("gate", "nft", "-f", "-", input=script)

    def ruleset(self) -> str:
        """Everything that nft has on the gate host, without counters."""
        return self.run("gate", "nft", "-s", "list", "ruleset").stdout

    def wait(self, host: str, address: str, port: int, *, reached: bool, seconds: float = 20) -> None:
        wait_until(lambda: self.reaches(host, address, port) is reached, seconds, f"{address}:{port} from {host}")


@contextmanager
def island() -> Iterator[Island]:
    """The namespaces, connected and routed."""
    here = Island(f"dg{os.getpid()}")
    try:
        add_namespace(here.name("gate"))
        for host, text in HOSTS.items():
            address, length = text.split("/")
            router = address.rpartition(".")[0] + ".1"
            add_namespace(here.name(host))
            ip("link", "add", "eth", "netns", here.name(host), "type", "veth",
                "peer", "name", host, "netns", here.name("gate"))  # fmt: skip
            for name, device, own in (("gate", host, router), (host, "eth", address)):
                ip("-n", here.name(name), "addr", "add", f"{own}/{length}", "dev", device)
                ip("-n", here.name(name), "link", "set", device, "up")
            ip("-n", here.name(host), "route", "add", "default", "via", router)
        ip("-n", here.name("gate"), "addr", "add", f"{GATE}/32", "dev", "archive")
        here.run("gate", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield here
    finally:
        for host in ("gate", *HOSTS):
            end_namespace(here.name(host))
        for process in here.listening:
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


def add_namespace(name: str) -> None:
    """With its own loopback interface up."""
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")


def end_namespace(namespace: str) -> None:
    """And whatever runs in it."""
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), 9)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, check=False)


def ip(*arguments: str) -> None:
    """A command of iproute2."""
    command: Sequence[str] = ("ip", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
