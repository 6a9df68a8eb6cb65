"""Mistakes about sites and channels: networks that meet, selectors that leave a gap. Document in, errors out."""

from collections.abc import Callable, Iterator
from itertools import combinations

from dicomgate.channel.model import Authentication, ChannelKind, Termination
from dicomgate.config import schema
from dicomgate.config.document import Document, Entry
from dicomgate.config.overlap import Span, covers, overlap, spans
from dicomgate.config.problem import Problem, listed
from dicomgate.config.surroundings import gate_addresses
from dicomgate.config.units import literal
from dicomgate.policy.model import Endpoint, Networks

Channel = Entry[schema.ChannelTable]
Site = Entry[schema.SiteTable]


def _one_own_site(document: Document) -> Iterator[Problem]:
    own = [site.key for site in document.sites if site.table.own]
    if document.counts["site"] and len(own) != 1 and len(document.sites) == document.counts["site"]:
        yield document.error(
            "site",
            f"expected own = true in exactly one [[site]], came {listed(own)}",
            "mark the site whose gate reads this file",
        )


def _sites_apart(document: Document) -> Iterator[Problem]:
    for one, other in combinations(document.sites, 2):
        if overlap(_spans(one.table.networks), _spans(other.table.networks)):
            yield document.error(
                f"{other.key}.networks",
                f"expected networks that no other site has, came some that {one.key} has too",
                "an address in both could be sent either way; renumber one, or list narrower networks",
            )


def _gate_within_site(document: Document) -> Iterator[Problem]:
    for site in document.sites:
        gate = site.table.gate
        if gate is not None and not covers(_spans(site.table.networks), _spans([str(gate)])):
            yield document.error(
                f"{site.key}.gate",
                f"expected an address inside the site's networks, came {gate}",
                "add its network to networks, or correct the address",
            )


def _two_ends(document: Document) -> Iterator[Problem]:
    for channel in document.channels:
        if "ends" in channel.broken:
            continue
        ends = channel.table.ends
        for end in ends:
            yield from document.unknown(f"{channel.key}.ends.site", "site", end.site)
        if len(ends) != 2 or ends[0].site == ends[1].site:
            yield document.error(
                f"{channel.key}.ends",
                f"expected two ends at two sites, came {listed(end.site for end in ends)}",
                "write [[channel.ends]] twice, each with the name of another site",
            )
        if channel.table.ports is not None and not channel.table.ports:
            yield document.error(
                f"{channel.key}.ports", "expected at least one port, came none", "remove the line for every port"
            )


def _ends_within_sites(document: Document) -> Iterator[Problem]:
    for channel, end, site in _ends(document):
        if end.networks is not None and not covers(_spans(site.table.networks), _spans(end.networks)):
            yield document.error(
                f"{channel.key}.ends.networks",
                f"expected networks inside those of {site.key}, came others",
                f"the site has {listed(site.table.networks)}",
            )


def _one_end_can_be_called(document: Document) -> Iterator[Problem]:
    for channel in document.channels:
        found = [end.address or site.table.address for _, end, site in _ends_of(document, channel)]
        if len(found) == 2 and not any(found):
            yield document.error(
                f"{channel.key}.ends.address",
                "expected a public address at one end at least, came none at either",
                "write address in one [[site]]; the other may have a changing address or lie behind NAT",
            )


def _keys_fit_the_kind(document: Document) -> Iterator[Problem]:
    for channel in document.channels:
        table = channel.table
        psk = table.authentication is Authentication.PSK
        if table.kind is ChannelKind.WIREGUARD:
            strangers = {"authentication": table.authentication, "ca": table.ca}
            of_ends = ("identity", "certificate")
            needed: dict[str, str | None] = {}
        else:
            strangers = {"ca": table.ca} if psk else {"psk_file": table.psk_file}
            of_ends = ("public_key", "tunnel_address", "port", *(("certificate", "key") if psk else ()))
            needed = {"psk_file": table.psk_file} if psk else {"ca": table.ca}
            own = _own_end(document, channel)
            if own is None or own.termination is Termination.ROUTER:
                needed = {}  # its files lie elsewhere
            elif not psk and own.termination is Termination.GATE_HOST:
                needed |= {"ends.certificate": own.certificate, "ends.key": own.key}
        what = (
            "a WireGuard channel"
            if table.kind is ChannelKind.WIREGUARD
            else f"IPsec with {'psk' if psk else 'certificate'}"
        )
        for key, value in strangers.items():
            if value is not None:
                yield document.error(f"{channel.key}.{key}", f"this key has no meaning for {what}", "remove it")
        for key in of_ends:
            if any(key in end.model_fields_set for end in table.ends):
                yield document.error(f"{channel.key}.ends.{key}", f"this key has no meaning for {what}", "remove it")
        for key, file in needed.items():
            if file is None and key not in channel.broken:
                yield document.error(
                    f"{channel.key}.{key}", f"expected this key for {what}, but it is missing", "name a file"
                )


def _same_traffic_once(document: Document) -> Iterator[Problem]:
    for one, other in combinations(document.channels, 2):
        mine, theirs = _selectors(document, one), _selectors(document, other)
        if len(mine) == 2 and mine.keys() == theirs.keys() and all(overlap(mine[s], theirs[s]) for s in mine):
            yield document.error(
                f"{other.key}.ends.networks",
                f"expected networks that no other channel carries, came some that {one.key} carries too",
                "give each channel its own networks; the order of tunnels must not decide which one a packet takes",
            )


def _known_channels(document: Document) -> Iterator[Problem]:
    for key, names in _demanded(document):
        for name in names:
            yield from document.unknown(f"{key}.channels", "channel", name)


def _demanded_channels_end_here(document: Document) -> Iterator[Problem]:
    """A demand can only be proven at our own end, and only where the gate sees which packets came from it."""
    demands = [(key, c) for c in document.channels for key, names in _demanded(document) if c.table.name in names]
    for key, channel in demands:
        end = _own_end(document, channel)
        if end is None and len(_selectors(document, channel)) == 2:
            yield document.error(
                f"{key}.channels",
                f"expected a channel with an end at the own site, came {channel.key}",
                "a channel between two other sites proves nothing here",
            )
        elif end is not None and end.termination is not Termination.GATE_HOST and not (end.interface or end.mark):
            yield document.error(
                f"{channel.key}.ends.interface",
                f"expected interface or mark at the own end, because {key} demands a channel that ends elsewhere",
                "name the network interface of the gate host that only this channel feeds, for instance a VLAN",
            )


def _peers_fit_their_channels(document: Document) -> Iterator[Problem]:
    """Who demands a channel must come from networks that the channel carries, or nobody would ever match."""
    for peer in document.peers:
        names = peer.table.channels or []
        reached = [_remote(document, channel) for channel in document.channels if channel.table.name in names]
        if not reached or not peer.table.networks or not all(reached):
            continue
        carried = spans(Networks(tuple(n for remote in reached for n in remote.members)))
        if not covers(carried, _spans(peer.table.networks)):
            yield document.error(
                f"{peer.key}.networks",
                "expected networks that its channels carry, came others: the channels leave a gap",
                "list addresses behind the channel, or widen the networks of the channel's other end",
            )


def _addresses_lie_behind_a_channel(document: Document) -> Iterator[Problem]:
    """An archive or peer at another site that has a channel: the channel must carry what goes there, from the gate."""
    places: list[tuple[str, Endpoint]] = [
        (f"{archive.key}.address", place) for archive in document.archives for place in archive.table.address
    ]
    places += [(f"{peer.key}.address", peer.table.address) for peer in document.peers if peer.table.address]
    for key, place in places:
        there = literal(place.host)
        if there is None:
            continue
        for site in document.sites:
            channels = [c for c in document.channels if _leads_to(document, c, site)]
            if site.table.own or not channels or not covers(_spans(site.table.networks), _spans([str(there)])):
                continue
            if not any(_carries(document, channel, str(there), place.port) for channel in channels):
                yield document.error(
                    key,
                    f"expected an address that a channel carries from the gate, came {place}:"
                    f" {listed(channel.key for channel in channels)} to {site.key} leaves a gap",
                    "check networks at both ends and ports; the gate's own address has to be inside, too",
                )


def _signs_of_life_come_through(document: Document) -> Iterator[Problem]:
    """Who is asked whether the tunnel lives has to be behind it; a tunnel that ends here is asked itself."""
    for channel, end, site in _ends(document):
        place, key = end.sign_of_life, f"{channel.key}.ends.sign_of_life"
        if place is None:
            continue
        if not site.table.own or end.termination is Termination.GATE_HOST:
            yield document.error(
                key, "expected it at our own end only, and where the tunnel ends on another machine", "remove it"
            )
        elif literal(place.host) is None or not _carries(document, channel, place.host, place.port):
            yield document.error(
                key,
                f"expected an address and port that {channel.key} carries from the gate, came {place}",
                "name the literal address of a host at the other site, for instance its gate",
            )


def _carries(document: Document, channel: Channel, there: str, port: int) -> bool:
    own, remote = _own(document, channel), _remote(document, channel)
    gates = gate_addresses(document)
    return (
        covers(spans(remote), _spans([there]))
        and (not gates or any(gate in own for gate in gates))
        and (channel.table.ports is None or port in channel.table.ports)
    )


def _listeners_lie_behind_their_channels(document: Document) -> Iterator[Problem]:
    for listener in document.listeners:
        bound = literal(listener.table.bind.host)
        for channel in document.channels:
            own = _own(document, channel)
            if channel.table.name not in (listener.table.channels or ()) or not own:
                continue
            port = listener.table.bind.port
            outside = bound is not None and not bound.is_unspecified and bound not in own
            if outside or (channel.table.ports is not None and port not in channel.table.ports):
                yield document.error(
                    f"{listener.key}.bind",
                    f"expected an address and port that {channel.key} carries, came {listener.table.bind}",
                    "widen the networks or ports of the channel at this end, or bind another address",
                )


def _spans(networks: list[str]) -> tuple[Span, ...]:
    return spans(Networks.of(networks))


def _ends(document: Document) -> Iterator[tuple[Channel, schema.ChannelEndTable, Site]]:
    for channel in document.channels:
        yield from _ends_of(document, channel)


def _ends_of(document: Document, channel: Channel) -> Iterator[tuple[Channel, schema.ChannelEndTable, Site]]:
    known = {site.table.name: site for site in document.sites}
    for end in channel.table.ends:
        if end.site in known:
            yield channel, end, known[end.site]


def _selectors(document: Document, channel: Channel) -> dict[str, tuple[Span, ...]]:
    """By site: what the channel carries there."""
    return {end.site: _spans(end.networks or site.table.networks) for _, end, site in _ends_of(document, channel)}


def _own_end(document: Document, channel: Channel) -> schema.ChannelEndTable | None:
    return next((end for _, end, site in _ends_of(document, channel) if site.table.own), None)


def _own(document: Document, channel: Channel) -> Networks:
    return _networks(document, channel, own=True)


def _remote(document: Document, channel: Channel) -> Networks:
    """What the channel carries at its other end; nothing when none of its ends is at the own site."""
    return _networks(document, channel, own=False) if _own_end(document, channel) else Networks()


def _networks(document: Document, channel: Channel, *, own: bool) -> Networks:
    ends = [(end, site) for _, end, site in _ends_of(document, channel) if site.table.own is own]
    return Networks.of(text for end, site in ends for text in end.networks or site.table.networks)


def _leads_to(document: Document, channel: Channel, site: Site) -> bool:
    return _own_end(document, channel) is not None and any(end.site == site.table.name for end in channel.table.ends)


def _demanded(document: Document) -> Iterator[tuple[str, list[str]]]:
    """Who demands channels, by key, and which."""
    for listener in document.listeners:
        yield listener.key, listener.table.channels or []
    for peer in document.peers:
        yield peer.key, peer.table.channels or []


CHECKS: tuple[Callable[[Document], Iterator[Problem]], ...] = (
    _one_own_site,
    _sites_apart,
    _gate_within_site,
    _two_ends,
    _ends_within_sites,
    _one_end_can_be_called,
    _keys_fit_the_kind,
    _same_traffic_once,
    _known_channels,
    _demanded_channels_end_here,
    _peers_fit_their_channels,
    _addresses_lie_behind_a_channel,
    _listeners_lie_behind_their_channels,
    _signs_of_life_come_through,
)
