"""Whether one rule's titles or networks meet or hold another's. Pure; for titles a wrong answer can only be "no"."""

from dicomgate.policy.model import AeTitlePattern, Networks

Span = tuple[int, int]
"""First and last address as numbers; IPv6 addresses stand above all IPv4 addresses."""

_ABOVE_IPV4 = 1 << 33
EVERY_ADDRESS: tuple[Span, ...] = ((0, (1 << 32) - 1), (_ABOVE_IPV4, _ABOVE_IPV4 + (1 << 128) - 1))


def is_any(networks: Networks) -> bool:
    """Written as `any`, or as the network that holds every address."""
    return networks.any or any(network.prefixlen == 0 for network in networks.members)


def spans(networks: Networks) -> tuple[Span, ...]:
    """The addresses in ascending spans that neither overlap nor touch, IPv4 apart from IPv6."""
    if networks.any:
        return EVERY_ADDRESS
    found: list[Span] = []
    for network in networks.members:
        above = 0 if network.version == 4 else _ABOVE_IPV4
        found.append((above + int(network.network_address), above + int(network.broadcast_address)))
    merged: list[Span] = []
    for first, last in sorted(found):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def overlap(one: tuple[Span, ...], other: tuple[Span, ...]) -> bool:
    """Whether some address is in both."""
    for first, last in one:
        for start, end in other:
            if first <= end and start <= last:
                return True
    return False


def covers(wide: tuple[Span, ...], narrow: tuple[Span, ...]) -> bool:
    """Whether every address of `narrow` is in `wide`."""
    return all(any(outer[0] <= inner[0] and inner[1] <= outer[1] for outer in wide) for inner in narrow)


def networks_overlap(one: Networks, other: Networks) -> bool:
    """Whether some address is in both."""
    return overlap(spans(one), spans(other))


def title_covers(wide: AeTitlePattern, narrow: AeTitlePattern) -> bool:
    """Whether every title that `narrow` matches is matched by `wide`.

    `narrow` is read as a text in which `?` stands for one unknown character and `*` for any number of them;
    which characters those are is AeTitlePattern's business.
    """
    text = narrow.text
    one, many = AeTitlePattern("?"), AeTitlePattern("*")
    reachable = {0}  # positions in text that the part of wide.text read so far can end at
    for symbol in wide.text:
        if symbol == "*":
            for position, other in enumerate(text):
                if position in reachable and (other in "*?" or many.matches(other)):
                    reachable.add(position + 1)
        elif symbol == "?":
            reachable = {p + 1 for p in reachable if p < len(text) and (text[p] == "?" or one.matches(text[p]))}
        else:
            reachable = {p + 1 for p in reachable if p < len(text) and text[p] == symbol}
    return len(text) in reachable
