"""Does a channel do what the configuration says? What was seen in, findings out. Pure; observe.py does the looking."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dicomgate.channel import guard, ipsec, wireguard, words
from dicomgate.channel.echo import Echo
from dicomgate.channel.model import Channel, ChannelEnd, ChannelKind, Termination
from dicomgate.channel.vici import Daemon, IkeSa
from dicomgate.channel.wg import Device, PeerState

_LEAST_KEY = 128
_IKE_AND_ESP = {"AES_GCM_16": None, "CHACHA20_POLY1305": None, "AES_CBC": "HMAC_SHA2"}
"""Encryption, and how the name of the integrity algorithm must begin when the encryption has none of its own
(RFC 8247 2.1 and 2.3, RFC 8221 5 and 6)."""
_PRFS = frozenset({"PRF_HMAC_SHA2_256", "PRF_HMAC_SHA2_384", "PRF_HMAC_SHA2_512"})
_GROUPS = frozenset(
    {"MODP_2048", "MODP_3072", "MODP_4096", "ECP_256", "ECP_384", "ECP_521", "CURVE_25519", "CURVE_448"}
)
"""RFC 8247 2.2 and 2.4: MUST and SHOULD, and what is stronger."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen at one end. `problem`: why the tunnel could not be asked, or is not up. `rules`: those that are
    loaded, None when they could not be listed (`rules_problem`). `routes`: for each remote network, the interface its
    packets take. `received` and `sent`: bytes through the tunnel before and after the echo. `wall`: seconds since 1970.
    `public_key`: what the private key's file makes (WireGuard). `secrets_problem`: why a secret is none any more."""

    daemon: Daemon | None = None
    device: Device | None = None
    problem: str | None = None
    public_key: str | None = None
    secrets_problem: str | None = None
    rules: tuple[guard.Rule, ...] | None = None
    rules_problem: str | None = None
    routes: tuple[tuple[str, str | None], ...] = ()
    echo: Echo | None = None
    received: tuple[int, int] = (0, 0)
    sent: tuple[int, int] = (0, 0)
    wall: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one channel: `ok`, and what was seen against what was expected. Not `seen`: it could not be looked
    at, which is not well either."""

    check: str
    ok: bool
    text: str
    seen: bool = True


def judge(channel: Channel, end: ChannelEnd, seen: Observation) -> list[Finding]:
    """Every check of this kind of channel, in a fixed order. What was not seen is not well."""
    if end.termination is not Termination.GATE_HOST:
        found = [_elsewhere(end, seen)]
    elif channel.kind is ChannelKind.IPSEC:
        found = [*_ipsec(channel, end, seen), _secrets(seen)]
    else:
        found = [*_wireguard(channel, end, seen), _secrets(seen)]
    countable = end.termination is Termination.GATE_HOST or end.interface is not None
    return [*found, *_routes(channel, end, seen), *_cleartext(channel, end, seen), *_passage(seen, countable)]


def _elsewhere(end: ChannelEnd, seen: Observation) -> Finding:
    """Nothing here can speak for a security association on another machine, and the text says so."""
    known = [f"interface {end.interface} is up"] * (end.interface is not None)
    known += ["the kernel keeps marks"] * (end.mark is not None)
    known += [f"{end.sign_of_life} answers"] * (end.sign_of_life is not None)
    if seen.problem is not None or not known:
        return Finding("up", False, seen.problem or "nothing at this end tells the tunnel from the rest")
    there = f"identity, algorithms and selectors have to be verified where it ends ({end.termination.value})"
    return Finding("up", True, f"as far as this host sees: {', '.join(known)}; {there}")


def _secrets(seen: Observation) -> Finding:
    return Finding("secrets", seen.secrets_problem is None, seen.secrets_problem or "nobody else can read them")


def _ipsec(channel: Channel, end: ChannelEnd, seen: Observation) -> Iterator[Finding]:
    daemon = seen.daemon
    sas = [sa for sa in daemon.sas if sa.name == channel.name and sa.state == "ESTABLISHED"] if daemon else []
    if not sas:
        why = f": {seen.problem}" if seen.problem else ""
        text = f"expected an IKE SA that is established, came none{why}"
        yield Finding("up", False, text, seen=daemon is not None)
        return
    yield Finding("up", True, f"an IKE SA is established with {sas[0].remote_host}")
    remote = ipsec.remote_of(channel, end)
    version = all(sa.version == 2 for sa in sas)
    yield Finding("version", version, "IKEv2" if version else "expected IKEv2 only, came IKEv1")
    yield _same("peer_identity", remote.identity or "", {sa.remote_id for sa in sas})
    yield _same("own_identity", end.identity or "", {sa.local_id for sa in sas})
    yield _algorithms("ike_algorithms", sas, _weak_ike)
    yield _algorithms("esp_algorithms", sas, _weak_esp)
    expected = _pairs((here, there) for _, here, there in ipsec.selectors(channel, end))
    installed = [child for sa in sas for child in sa.children if child.state == "INSTALLED"]
    yield _selectors(expected, _pairs((child.local_ts, child.remote_ts) for child in installed))


def _wireguard(channel: Channel, end: ChannelEnd, seen: Observation) -> Iterator[Finding]:
    remote = ipsec.remote_of(channel, end)
    device = seen.device
    if device is None:
        yield Finding("up", False, seen.problem or "expected an interface, came none", seen=seen.problem is None)
        return
    peer = next((each for each in device.peers if each.public_key == remote.public_key), None)
    fresh = peer is not None and peer.handshake > 0 and seen.wall - peer.handshake < wireguard.HANDSHAKE_LASTS
    yield Finding("up", fresh, "the last handshake is fresh" if fresh else "expected a handshake of late, came none")
    yield _same("peer_identity", remote.public_key or "", {each.public_key for each in device.peers})
    own = end.public_key or seen.public_key
    if own is not None:
        yield _same("own_identity", own, {device.public_key})
    listens = device.port == end.port
    yield Finding("port", listens, f"expected UDP port {end.port}, came {device.port}" if not listens else "as written")
    if channel.psk_file is not None:
        both = peer is not None and peer.preshared
        yield Finding("preshared", both, "in use" if both else "expected an additional secret, came none")
    yield _selectors(frozenset(wireguard.allowed_ips(remote)), _allowed(peer))


def _routes(channel: Channel, end: ChannelEnd, seen: Observation) -> Iterator[Finding]:
    interface = words.interface(channel, end)
    if interface is None:
        return  # the kernel's policies catch the packets, whatever route they take
    wanted = {str(network) for network in ipsec.remote_of(channel, end).networks.members}
    wrong = [f"{network} to {taken}" for network, taken in seen.routes if taken != interface]
    unseen = sorted(wanted - {network for network, _ in seen.routes})
    ok = not wrong and not unseen
    text = f"through {interface}" if ok else f"expected routes through {interface}, came {', '.join(wrong + unseen)}"
    yield Finding("route", ok, text)


def _cleartext(channel: Channel, end: ChannelEnd, seen: Observation) -> Iterator[Finding]:
    by_mark = guard.by_mark(channel, end)
    # By a mark nothing that leaves is judged: that must not be read as if nothing could leave.
    check = "marked" if by_mark else "cleartext"
    if seen.rules is None:
        yield Finding(check, False, seen.rules_problem or "the rules could not be listed", seen=False)
        return
    expected = guard.rules(channel, end)
    missing = [rule for rule in expected if rule not in seen.rules]
    strange = [rule for rule in seen.rules if rule not in expected]
    if missing:
        text = f"expected the rules of {words.table(channel)}, but {len(missing)} are missing, first in {missing[0][0]}"
    elif strange:
        text = f"expected the rules of {words.table(channel)} only, came others, first in {strange[0][0]}"
    elif list(seen.rules) != expected:
        text = "expected the rules in another order"
    else:
        text = "what belongs into the tunnel is dropped beside it"
        if by_mark:
            text = "what arrives without the mark is dropped; what leaves is held back where the tunnel ends, or not"
    yield Finding(check, list(seen.rules) == expected, text)


def _passage(seen: Observation, countable: bool) -> Iterator[Finding]:
    if seen.echo is None:
        text = "expected somebody behind the other end to ask, came nobody; give --echo"
        yield Finding("echo", False, text, seen=False)
        return
    yield Finding("echo", seen.echo.answered, seen.echo.text)
    if not countable:
        return  # a mark is on packets that arrive; nothing counts them
    rose = seen.received[1] > seen.received[0] and seen.sent[1] > seen.sent[0]
    received, sent = seen.received[1] - seen.received[0], seen.sent[1] - seen.sent[0]
    text = f"{sent} bytes out and {received} bytes in while the C-ECHO passed"
    yield Finding("counters", rose, text if rose else f"expected both to rise, came {text}")


def _same(check: str, expected: str, came: set[str]) -> Finding:
    ok = came == {expected}
    others = ", ".join(sorted(came)) or "nobody"
    return Finding(check, ok, expected if ok else f"expected {expected or 'one'}, came {others}")


def _algorithms(check: str, sas: list[IkeSa], weak: Callable[[IkeSa], Iterator[str]]) -> Finding:
    found = sorted({text for sa in sas for text in weak(sa)})
    return Finding(check, not found, f"weak: {', '.join(found)}" if found else "as strong as RFC 8247 and 8221 ask for")


def _weak_ike(sa: IkeSa) -> Iterator[str]:
    yield from _weak_cipher(sa.encryption, sa.key_size, sa.integrity)
    if sa.prf not in _PRFS:
        yield sa.prf or "no PRF"
    if sa.group not in _GROUPS:
        yield sa.group or "no key exchange"


def _weak_esp(sa: IkeSa) -> Iterator[str]:
    for child in sa.children:
        if child.state == "INSTALLED":
            if child.protocol != "ESP":
                yield child.protocol or "no ESP"
            yield from _weak_cipher(child.encryption, child.key_size, child.integrity)


def _weak_cipher(encryption: str, key_size: int, integrity: str) -> Iterator[str]:
    if encryption not in _IKE_AND_ESP:
        yield encryption or "no encryption"
        return
    if encryption.startswith("AES") and key_size < _LEAST_KEY:
        yield f"{encryption} with {key_size} bits"
    needed = _IKE_AND_ESP[encryption]
    if needed is not None and not integrity.startswith(needed):
        yield integrity or "no integrity"


def _pairs(selectors: Iterable[tuple[Sequence[str], Sequence[str]]]) -> frozenset[str]:
    """Every pair of selectors that may speak to each other."""
    return frozenset(f"{here} with {there}" for local, remote in selectors for here in local for there in remote)


def _selectors(expected: frozenset[str], came: frozenset[str]) -> Finding:
    gap, excess = sorted(expected - came), sorted(came - expected)
    said = [f"a gap: {', '.join(gap)}"] * bool(gap) + [f"more than it should: {', '.join(excess)}"] * bool(excess)
    return Finding("selectors", not said, "; ".join(said) or f"exactly {', '.join(sorted(expected))}")


def _allowed(peer: PeerState | None) -> frozenset[str]:
    return frozenset() if peer is None else frozenset(peer.allowed_ips)
