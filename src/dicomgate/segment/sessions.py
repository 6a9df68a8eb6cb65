"""Who administers this machine over the network at this moment, and whether a plan would let them in again.

In: the environment of this process and its parents, and `who`. Out: sessions; and, pure, those that would be cut.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from dicomgate.facts import Address
from dicomgate.segment.flows import Plan
from dicomgate.segment.judge import judge

SSH = 22
_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Session:
    """`server` and `port` are this machine's; None when only the client is known."""

    client: Address
    server: Address | None = None
    port: int = SSH


def sessions() -> tuple[Session, ...]:
    """Each once. sudo hides SSH_CONNECTION from its command, so that every parent is asked for it."""
    found = dict.fromkeys(session for text in _of_parents() if (session := of_ssh_connection(text)) is not None)
    for session in of_who(_who()):
        if not any(known.client == session.client for known in found):
            found[session] = None
    return tuple(found)


def cut_off(plan: Plan, present: Sequence[Session]) -> list[str]:
    """A sentence for each session that could not connect again under this plan."""
    sentences = []
    for session in present:
        servers = [session.server] if session.server else [_first(network) for network in plan.gate.members]
        answers = [judge(plan, session.client, server, session.port) for server in servers]
        if answers and not any(answer.passes for answer in answers):
            sentences.append(
                f"the session from {session.client} to port {session.port} of this machine is cut by {answers[0].rule}"
            )
    return sentences


def of_ssh_connection(text: str) -> Session | None:
    """`CLIENT PORT SERVER PORT` as sshd writes it into SSH_CONNECTION; None for anything else."""
    words = text.split()
    try:
        client, _, server, port = words
        return Session(_plain(client), _plain(server), int(port))
    except ValueError:
        return None


def of_who(listing: str) -> Iterator[Session]:
    """The remote ones of `who --ips`: the address stands at the end, in brackets or not."""
    for line in listing.splitlines():
        found = re.search(r"\(?([0-9a-fA-F.:]+)\)?\s*$", line)
        try:
            client = _plain(found[1]) if found else None
        except ValueError:
            continue
        if client is not None and not client.is_loopback:
            yield Session(client)


def _of_parents() -> Iterator[str]:
    if "SSH_CONNECTION" in os.environ:
        yield os.environ["SSH_CONNECTION"]
    pid = os.getppid()
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        except OSError:
            return  # it has ended, or is somebody else's
        for entry in environment.split(b"\0"):
            if entry.startswith(b"SSH_CONNECTION="):
                yield entry.partition(b"=")[2].decode("utf-8", "replace")
        pid = int(status.rpartition(")")[2].split()[1])


def _who() -> str:
    program = shutil.which("who")
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program without arguments from anywhere
            [program, "--ips"], capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""  # the SSH connections of the parents are known without it
    return done.stdout


def _plain(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _first(network: object) -> Address:
    return ip_address(str(network).partition("/")[0])
