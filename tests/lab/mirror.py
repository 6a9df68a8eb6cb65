"""One switch and the parties on it, each in a network namespace; what passes can be heard at the switch. Root only.

    gate 10.1.0.5   archive 10.1.0.20   modality 10.1.0.31   attacker 10.1.0.9      (all on `br0` of `switch`)

The bridge shows its own host nothing that is addressed to others unless somebody asks for it, as a mirror port does.
Namespaces are named after this process; leaving the block ends what runs in them and deletes them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.island import add_namespace, end_namespace, ip

HOSTS = {"gate": "10.1.0.5", "archive": "10.1.0.20", "modality": "10.1.0.31", "attacker": "10.1.0.9"}
INTERFACE = "br0"


@dataclass(frozen=True)
class Mirror:
    """The namespaces by the names above, and `switch`."""

    tag: str

    def name(self, host: str) -> str:
        return f"{self.tag}-{host}"

    def inside(self, host: str, *command: str | Path) -> list[str]:
        """The command line that runs a command on a host."""
        return ["ip", "netns", "exec", self.name(host), *map(str, command)]

    def run(self, host: str, *command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A command on a host, to its end."""
        return subprocess.run(
            self.inside(host, *command), capture_output=True, text=True, timeout=60, check=False, cwd=cwd
        )

    def listens(self, host: str, port: int) -> bool:
        """Does anything on the host listen there? Asked of the kernel: no connection is made."""
        return bool(self.run(host, "ss", "-Hltn", f"sport = :{port}").stdout)


@contextmanager
def mirror() -> Iterator[Mirror]:
    """The namespaces, connected."""
    here = Mirror(f"dm{os.getpid()}")
    switch = here.name("switch")
    try:
        add_namespace(switch)
        ip("-n", switch, "link", "add", INTERFACE, "type", "bridge")
        ip("-n", switch, "link", "set", INTERFACE, "up")
        for host, address in HOSTS.items():
            add_namespace(here.name(host))
            ip("link", "add", "eth", "netns", here.name(host), "type", "veth",
               "peer", "name", host, "netns", switch)  # fmt: skip
            ip("-n", switch, "link", "set", host, "master", INTERFACE)
            ip("-n", switch, "link", "set", host, "up")
            ip("-n", here.name(host), "addr", "add", f"{address}/24", "dev", "eth")
            ip("-n", here.name(host), "link", "set", "eth", "up")
        yield here
    finally:
        for host in ("switch", *HOSTS):
            end_namespace(here.name(host))
