"""strongSwan asked and told over vici: security associations, policies and plugins out; connections and keys in.

Needs the package of the extra `channel`. Every answer has a deadline: charon can be there and say nothing.
"""

import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomgate.channel import ipsec
from dicomgate.channel.keys import read_private, read_secret, read_trusted
from dicomgate.channel.liveness import Look
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, Start
from dicomgate.channel.problem import ChannelError

SOCKET = Path("/var/run/charon.vici")
LOOKING, CHANGING = 2.0, 20.0
"""Seconds for an answer: about what is, and about what is to be done."""
TRYING = 4.0
"""Seconds that a tunnel gets to come up while somebody waits to be told why it does not."""
_AGAIN = 0.2
"""Seconds between two looks whether an SA is gone."""
_SIGNS = (
    ("AUTHENTICATION_FAILED", "the other end does not believe our {proof} (AUTHENTICATION_FAILED): is it the right one"
     " there and here, and are both identities as written?"),
    ("MAC mismatched", "the other end has another shared secret"),
    ("no shared key found", "charon holds no shared secret for these identities: run dicomgate channel apply"),
    ("no private key found", "charon holds no private key for our identity: run dicomgate channel apply"),
    ("no trusted", "the certificate of the other end is not vouched for by ca"),
    ("constraint check failed", "the other end proved to be somebody else than its identity says"),
    ("TS_UNACCEPTABLE", "the other end has other selectors (TS_UNACCEPTABLE): compare networks and ports"),
    ("NO_PROPOSAL_CHOSEN", "the other end takes none of our proposals, or knows no such tunnel (NO_PROPOSAL_CHOSEN)"),
    ("giving up after", "the other end does not answer: is its address right, and do UDP 500 and 4500 pass?"),
    ("not established after", "the other end does not answer in time: is its address right, do UDP 500 and 4500 pass?"),
)  # fmt: skip
"""What charon says when a tunnel does not come up, and what it means; the most telling first."""
_MISREAD = (ValueError, KeyError, TypeError, AttributeError)
"""What comes of an answer that is well-formed and means something else."""
_USER_SPACE = "kernel-libipsec"
_NAMED_PORT = re.compile(r"(.*\[(tcp|udp))/([a-z][a-z0-9_-]*)\]")


@dataclass(frozen=True, slots=True)
class Child:
    """One CHILD_SA: what carries the traffic. Algorithms and selectors in strongSwan's spelling."""

    name: str
    state: str
    protocol: str
    encryption: str
    key_size: int
    integrity: str
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class IkeSa:
    """One IKE_SA and its children. `waiting`: it has asked the other end something and got no answer yet."""

    name: str
    version: int
    state: str
    local_id: str
    remote_id: str
    remote_host: str
    encryption: str
    key_size: int
    integrity: str
    prf: str
    group: str
    waiting: bool
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Daemon:
    """What charon says of itself. `policies` are the names of the children that the kernel holds policies for."""

    plugins: frozenset[str]
    sas: tuple[IkeSa, ...]
    policies: frozenset[str]

    @property
    def in_user_space(self) -> bool:
        """ESP is done by charon itself: the kernel has no policies, and drops nothing on its own."""
        return _USER_SPACE in self.plugins


def look(path: Path = SOCKET) -> Daemon:
    """Ask charon; ChannelError when it cannot be asked or answers something else."""
    with _session(path, LOOKING) as session:
        plugins = frozenset(_text(each) for each in session.stats().get("plugins", ()))
        sas = tuple(_ike_sa(name, values) for answer in session.list_sas() for name, values in answer.items())
        policies = frozenset(
            _text(values.get("child", b""))
            for answer in session.list_policies({"trap": "yes"})
            for values in answer.values()
        )
    return Daemon(plugins, sas, policies)


def established(channel: Channel, daemon: Daemon) -> bool:
    """Is there an IKE SA of this channel?"""
    return any(sa.name == channel.name and sa.state == "ESTABLISHED" for sa in daemon.sas)


def judge_life(channel: Channel, end: ChannelEnd, daemon: Daemon) -> Look:
    """Does the tunnel carry all that it should, by charon's account?"""
    ours = [sa for sa in daemon.sas if sa.name == channel.name and sa.state == "ESTABLISHED"]
    installed = {child.name: child for sa in ours for child in sa.children if child.state == "INSTALLED"}
    received = sum(child.bytes_in for child in installed.values())
    waiting = any(sa.waiting for sa in ours)
    missing = [name for name, _, _ in ipsec.selectors(channel, end) if name not in installed]
    if not ours:
        return Look("there is no IKE SA")
    if missing:
        return Look(f"there is no CHILD_SA {missing[0]}", received, waiting)
    if end.interface is None and end.mark is None:
        if daemon.in_user_space:
            return Look("kernel-libipsec is loaded: write interface (ipsec0) at our end", received, waiting)
        unguarded = [name for name in installed if name not in daemon.policies]
        if unguarded:
            return Look(f"the kernel holds no policy for {unguarded[0]}", received, waiting)
    return Look(None, received, waiting)


@dataclass(frozen=True, slots=True)
class _Load:
    """What charon is told, in this order; all of it read and judged."""

    certificates: list[bytes]
    key: bytes | None
    shared: dict[str, Any] | None
    section: dict[str, Any]


def ready(channel: Channel, end: ChannelEnd, path: Path = SOCKET) -> None:
    """ChannelError unless every file can be read, every value is judged, and charon answers. Changes nothing."""
    _load(channel, end)
    look(path)


def apply(channel: Channel, end: ChannelEnd, path: Path = SOCKET) -> None:
    """Load credentials and connection, and begin if this end begins. What was there under this name is replaced.

    All files are read, and every value is judged, before charon is told anything.
    """
    load = _load(channel, end)
    with _session(path, CHANGING) as session:
        for certificate in load.certificates:
            session.load_cert({"type": "X509", "flag": "NONE", "data": certificate})
        if load.key is not None:
            session.load_key({"type": "any", "data": load.key})
        if load.shared is not None:
            session.load_shared(load.shared)
        session.load_conn({channel.name: load.section})
        if channel.start is Start.START and ipsec.remote_of(channel, end).address is not None:
            # Also at the end that usually waits: whichever is applied last finds the other one ready.
            _begin(session, channel, end)


def _load(channel: Channel, end: ChannelEnd) -> _Load:
    section: dict[str, Any] = ipsec.connection(channel, end)
    if channel.authentication is Authentication.PSK:
        secret = read_secret(*_named(channel, "psk_file", channel.psk_file))
        owners = [str(end.identity), str(ipsec.remote_of(channel, end).identity)]
        shared = {"id": channel.name, "type": "IKE", "data": secret.encode(), "owners": owners}
        return _Load([], None, shared, section)
    chain = _pem(*_named(channel, "ends.certificate", end.certificate))
    authorities = _pem(*_named(channel, "ca", channel.ca))
    key = read_private(*_named(channel, "ends.key", end.private_key))
    section["local"]["certs"] = chain[:1]
    section["remote"]["cacerts"] = authorities
    return _Load(chain[1:], key, None, section)


def initiate(channel: Channel, end: ChannelEnd, path: Path = SOCKET) -> None:
    """Begin, without waiting for how it ends. charon gives up for good when the other end refuses once."""
    with _session(path, LOOKING) as session:
        _begin(session, channel, end)


def why_not(channel: Channel, end: ChannelEnd, path: Path = SOCKET) -> str | None:
    """Begin once more and listen to what charon says meanwhile: why there is no tunnel. None: it says nothing of use.

    Takes TRYING seconds for each child at most; ChannelError when charon itself cannot be asked.
    """
    if ipsec.remote_of(channel, end).address is None:
        return None  # nobody to call: only the other end knows
    said: list[str] = []
    with _session(path, CHANGING) as session:
        known = [_text(name) for name in session.get_conns().get("conns", ())]
    if channel.name not in known:
        return "charon does not know the connection: run dicomgate channel apply"
    try:
        with _session(path, CHANGING) as session:
            for name, _, _ in ipsec.selectors(channel, end):
                words = {"ike": channel.name, "child": name, "timeout": str(int(TRYING * 1000)), "loglevel": "1"}
                said.extend(_text(line.get("msg", b"")) for line in session.initiate(words))
    except ChannelError as error:  # it failed, and what was said before tells why
        said.append(error.text)
    proof = "shared secret" if channel.authentication is Authentication.PSK else "certificate"
    for sign, meaning in _SIGNS:
        if any(sign in line for line in said):
            return meaning.format(proof=proof)
    return None


def _begin(session: Any, channel: Channel, end: ChannelEnd) -> None:
    for name, _, _ in ipsec.selectors(channel, end):
        for _ in session.initiate({"ike": channel.name, "child": name, "timeout": "-1", "loglevel": "-1"}):
            pass


def take_down(channel: Channel, path: Path = SOCKET) -> None:
    """Unload the connection and end its SAs. That there is none is fine, or that the other end was quicker."""
    with _session(path, CHANGING) as session:
        known = [_text(name) for name in session.get_conns().get("conns", ())]
        if channel.name in known:
            session.unload_conn({"name": channel.name})
    if not _has_sas(channel, path):
        return
    try:
        with _session(path, CHANGING) as session:
            for _ in session.terminate({"ike": channel.name, "timeout": "5000", "loglevel": "-1"}):
                pass
    except ChannelError:
        # charon says so also of an SA that is being deleted already, by the other end or after a cut line.
        deadline = time.monotonic() + TRYING
        while _has_sas(channel, path):
            if time.monotonic() >= deadline:
                raise
            time.sleep(_AGAIN)


def _has_sas(channel: Channel, path: Path) -> bool:
    with _session(path, LOOKING) as session:
        return any(channel.name in answer for answer in session.list_sas({"ike": channel.name}))


class _Impatient(socket.socket):
    """One deadline for a whole conversation. The package vici waits for ever for an answer that has begun to come."""

    def __init__(self, seconds: float) -> None:
        super().__init__(socket.AF_UNIX)
        self._deadline = time.monotonic() + seconds
        super().settimeout(seconds)

    def settimeout(self, value: float | None) -> None:
        """Not for others to choose."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """TimeoutError when the time for all of it is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        super().settimeout(left)
        return super().recv(size, flags)


@contextmanager
def _session(path: Path, seconds: float) -> Iterator[Any]:
    try:
        import vici  # noqa: PLC0415 - an extra
        from vici.exception import CommandException, DeserializationException, SessionException  # noqa: PLC0415
    except ImportError:
        raise ChannelError(
            "an IPsec channel needs the Python package vici, which is not installed", "install dicomgate[channel]"
        ) from None
    sock = _Impatient(seconds)
    try:
        sock.connect(str(path))
        yield vici.Session(sock)
    except TimeoutError:
        raise ChannelError(f"strongSwan did not answer within {seconds:g} s", "look into charon's log") from None
    except OSError as error:
        raise ChannelError(
            f"strongSwan cannot be asked at {path}: {error.strerror or error}",
            "is charon running, and may this user open its vici socket (charon.plugins.vici.socket)?",
        ) from None
    except CommandException as error:
        hint = "its log says more; an authority with bounds (pki init --permit) is not read by strongSwan 5.9"
        raise ChannelError(f"strongSwan refused: {error}", hint) from None
    except (SessionException, DeserializationException, struct.error, *_MISREAD) as error:
        raise ChannelError(
            f"strongSwan answered something that is not understood ({type(error).__name__})", f"is {path} charon's?"
        ) from None
    finally:
        sock.close()


def _ike_sa(name: str, values: Mapping[str, Any]) -> IkeSa:
    return IkeSa(
        name=name,
        version=int(values["version"]),
        state=_text(values["state"]),
        local_id=_text(values.get("local-id", b"")),
        remote_id=_text(values.get("remote-id", b"")),
        remote_host=_text(values.get("remote-host", b"")),
        encryption=_text(values.get("encr-alg", b"")),
        key_size=int(values.get("encr-keysize", 0)),
        integrity=_text(values.get("integ-alg", b"")),
        prf=_text(values.get("prf-alg", b"")),
        group=_text(values.get("dh-group", b"")),
        waiting=bool(values.get("tasks-active")),
        children=tuple(_child(child) for child in values.get("child-sas", {}).values()),
    )


def _child(values: Mapping[str, Any]) -> Child:
    return Child(
        name=_text(values["name"]),
        state=_text(values["state"]),
        protocol=_text(values.get("protocol", b"")),
        encryption=_text(values.get("encr-alg", b"")),
        key_size=int(values.get("encr-keysize", 0)),
        integrity=_text(values.get("integ-alg", b"")),
        local_ts=_selectors(values.get("local-ts", ())),
        remote_ts=_selectors(values.get("remote-ts", ())),
        bytes_in=int(values.get("bytes-in", 0)),
        bytes_out=int(values.get("bytes-out", 0)),
    )


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", errors="replace")


def _selectors(values: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(numbered(_text(value)) for value in values)


def numbered(selector: str) -> str:
    """charon writes ports by name where the machine has one (`[tcp/acr-nema]`); here they are numbers."""
    found = _NAMED_PORT.fullmatch(selector)
    if found is None:
        return selector
    try:
        return f"{found[1]}/{socket.getservbyname(found[3], found[2])}]"
    except OSError:
        return selector


def _named(channel: Channel, key: str, path: Path | None) -> tuple[Path, str]:
    """The file, and where the configuration names it."""
    if path is None:
        raise ChannelError(f"{channel.key(key)}: expected this key", "name a file")
    return path, channel.key(key)


def _pem(path: Path, key: str) -> list[bytes]:
    """The certificates of a file, one by one: charon takes the first of several only."""
    end = b"-----END CERTIFICATE-----"
    begin = b"-----BEGIN CERTIFICATE-----"
    parts = read_trusted(path, key).split(end)
    found = [begin + part.partition(begin)[2] + end + b"\n" for part in parts if begin in part]
    if not found:
        raise ChannelError(
            f"{key}: {path}: expected certificates (PEM), came none", "name the file that pki issue made"
        )
    return found
