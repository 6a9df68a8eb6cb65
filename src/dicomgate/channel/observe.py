"""One end of a channel, looked at for `verify`, applied and taken down: the tunnel, its rules and routes, an echo."""

import json
from collections.abc import Callable
from pathlib import Path

from dicomgate.channel import elsewhere, guard, keys, vici, wg, words
from dicomgate.channel.echo import Echo, EchoTarget, echo
from dicomgate.channel.ipsec import remote_of
from dicomgate.channel.model import Channel, ChannelEnd, ChannelKind, Termination
from dicomgate.channel.problem import ChannelError
from dicomgate.channel.programs import LOOKING, run
from dicomgate.channel.verify import Observation
from dicomgate.policy.model import Network


def observe(
    channel: Channel,
    end: ChannelEnd,
    target: EchoTarget | None,
    *,
    vici_socket: Path = vici.SOCKET,
    ask: Callable[[EchoTarget], Echo] = echo,
) -> Observation:
    """Everything `judge` wants to know, seen once. What cannot be seen is said in the observation, not raised."""
    before, _ = _tunnel(channel, end, vici_socket)
    if isinstance(before, vici.Daemon) and not vici.established(channel, before):
        why = _why_not(channel, end, vici_socket)
        before, _ = _tunnel(channel, end, vici_socket)
    else:
        why = None
    counted = _counted(channel, end, before)
    answer = None if target is None else ask(target)
    after, problem = _tunnel(channel, end, vici_socket)
    rules, rules_problem = _rules(channel, end)
    received, sent = zip(counted, _counted(channel, end, after), strict=True)
    public_key, secrets_problem = _secrets(channel, end)
    return Observation(
        daemon=after if isinstance(after, vici.Daemon) else None,
        device=after if isinstance(after, wg.Device) else None,
        problem=problem or why,
        public_key=public_key,
        secrets_problem=secrets_problem,
        rules=rules,
        rules_problem=rules_problem,
        routes=tuple((str(network), _route(network)) for network in remote_of(channel, end).networks.members),
        echo=answer,
        received=received,
        sent=sent,
        wall=wg.wall(),
    )


def apply(channel: Channel, end: ChannelEnd, *, vici_socket: Path = vici.SOCKET) -> None:
    """First the rules that keep its traffic out of the clear, then the tunnel.

    What can be known to fail fails before anything is changed. When the tunnel fails nevertheless, rules that were not
    there before are taken back: a channel that never was must not cut what passes today.
    """
    if end.termination is Termination.GATE_HOST:
        if channel.kind is ChannelKind.IPSEC:
            vici.ready(channel, end, vici_socket)
        else:
            wg.ready(channel, end)
    elif end.interface is None and end.mark is None:
        return
    rules, _ = _rules(channel, end)
    run(["nft", "-j", "-f", "-"], text=guard.table(channel, end))
    if end.termination is not Termination.GATE_HOST:
        return
    try:
        if channel.kind is ChannelKind.IPSEC:
            vici.apply(channel, end, vici_socket)
        else:
            wg.apply(channel, end)
    except ChannelError:
        if rules == ():
            run(["nft", "delete", "table", "inet", words.table(channel)])
        raise


def take_down(channel: Channel, end: ChannelEnd, *, vici_socket: Path = vici.SOCKET) -> None:
    """Remove the tunnel. The rules stay: what belonged into it does not leave in clear now."""
    if end.termination is not Termination.GATE_HOST:
        raise ChannelError(f"channel {channel.name} does not end on this host", "take it down where it ends")
    if channel.kind is ChannelKind.IPSEC:
        vici.take_down(channel, vici_socket)
    else:
        wg.take_down(channel, end)


def _tunnel(channel: Channel, end: ChannelEnd, vici_socket: Path) -> tuple[vici.Daemon | wg.Device | None, str | None]:
    if end.termination is not Termination.GATE_HOST:
        return None, elsewhere.host_problem(end) or silence(channel)
    try:
        if channel.kind is ChannelKind.IPSEC:
            return vici.look(vici_socket), None
        return wg.look(words.device(channel, end)), None
    except ChannelError as error:
        return None, error.text


def down_because(channel: Channel, end: ChannelEnd, wrong: str, *, vici_socket: Path = vici.SOCKET) -> str:
    """What is wrong, and why, where charon can be made to tell."""
    if channel.kind is not ChannelKind.IPSEC or end.termination is not Termination.GATE_HOST:
        return wrong
    try:
        why = vici.why_not(channel, end, vici_socket)
    except ChannelError:
        return wrong
    return wrong if why is None else f"{wrong}: {why}"


def _why_not(channel: Channel, end: ChannelEnd, vici_socket: Path) -> str | None:
    try:
        return vici.why_not(channel, end, vici_socket)
    except ChannelError as error:
        return error.text


def silence(channel: Channel) -> str | None:
    """Where somebody at the other site should answer: that nobody does."""
    knocker = elsewhere.knocker(channel)
    if knocker is None or knocker.once(LOOKING):
        return None
    return f"nobody answers at {channel.own.sign_of_life if channel.own else None}"


def _secrets(channel: Channel, end: ChannelEnd) -> tuple[str | None, str | None]:
    """The public key that the private one of WireGuard makes; what is wrong with the files of secrets."""
    if end.termination is not Termination.GATE_HOST:
        return None, None
    public: str | None = None
    try:
        if channel.psk_file is not None:
            keys.read_secret(channel.psk_file, channel.key("psk_file"))
        if end.private_key is not None and channel.kind is ChannelKind.IPSEC:
            keys.read_private(end.private_key, channel.key("ends.key"))
        elif end.private_key is not None:
            public = keys.public_key(keys.read_secret(end.private_key, channel.key("ends.key")))
    except ChannelError as error:
        return None, error.text
    return public, None


def _counted(channel: Channel, end: ChannelEnd, tunnel: vici.Daemon | wg.Device | None) -> tuple[int, int]:
    """Bytes in and out."""
    match tunnel:
        case vici.Daemon(sas=sas):
            children = [child for sa in sas if sa.name == channel.name for child in sa.children]
            return sum(child.bytes_in for child in children), sum(child.bytes_out for child in children)
        case wg.Device(peers=peers):
            ours = [peer for peer in peers if peer.public_key == remote_of(channel, end).public_key]
            return sum(peer.received for peer in ours), sum(peer.sent for peer in ours)
        case None:
            return elsewhere.counted(end)


def _rules(channel: Channel, end: ChannelEnd) -> tuple[tuple[guard.Rule, ...] | None, str | None]:
    """Those that are loaded; a table that is not there has none, which is not the same as one that was not seen."""
    name = words.table(channel)
    try:
        listing = json.loads(run(["nft", "-j", "list", "tables", "inet"], seconds=LOOKING))
        if all(each.get("table", {}).get("name") != name for each in listing["nftables"]):
            return (), None
        answer = run(["nft", "-j", "list", "table", "inet", name], seconds=LOOKING)
        return tuple(guard.listed(answer, channel, end)), None
    except ChannelError as error:
        return None, error.text
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, "expected a list of tables from nft, came something else"


def _route(network: Network) -> str | None:
    """The interface that a packet to this network takes now; None when there is no way."""
    some = network.network_address + (0 if network.num_addresses == 1 else 1)
    try:
        answer = json.loads(run(["ip", "-j", "route", "get", str(some)], seconds=LOOKING))
        return str(answer[0]["dev"])
    except (ChannelError, ValueError, LookupError, TypeError):
        return None
