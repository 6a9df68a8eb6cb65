"""Peers that an earlier peer hides, wholly or where both match: the first matching peer wins, in file order."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from dicomgate.config.document import Document
from dicomgate.config.overlap import Span, covers, overlap, spans, title_covers
from dicomgate.config.problem import Problem, shown
from dicomgate.gate.settings import GateSettings
from dicomgate.policy.model import AeTitlePattern, Peer


@dataclass(frozen=True, slots=True)
class _Reach:
    """All that decides whether a peer matches."""

    peer: str
    titles: tuple[AeTitlePattern, ...]
    addresses: tuple[Span, ...]
    listeners: frozenset[str]
    archives: frozenset[str]

    @classmethod
    def of(cls, peer: Peer, listeners: frozenset[str]) -> "_Reach":
        here = listeners if peer.listeners is None else peer.listeners
        return cls(peer.name, peer.ae_titles, spans(peer.networks), here, frozenset(peer.archives))

    def covers(self, other: "_Reach") -> bool:
        return (
            bool(other.titles and other.addresses and other.listeners and other.archives)
            and covers(self.addresses, other.addresses)
            and self.listeners >= other.listeners
            and self.archives >= other.archives
            and all(any(title_covers(wide, narrow) for wide in self.titles) for narrow in other.titles)
        )

    def meets(self, other: "_Reach") -> bool:
        return (
            overlap(self.addresses, other.addresses)
            and not self.listeners.isdisjoint(other.listeners)
            and not self.archives.isdisjoint(other.archives)
        )


def shadowed(document: Document, settings: GateSettings) -> Iterator[Problem]:
    """A warning for each peer that one earlier peer hides, and for each title shared with an earlier one."""
    listeners = frozenset(listener.name for listener in settings.rules.listeners)
    # Only these can hide a peer. Comparing each peer with each takes half a minute for some thousand devices.
    with_title: dict[str, list[_Reach]] = defaultdict(list)
    with_wildcard: list[_Reach] = []
    for entry, peer in zip(document.peers, settings.rules.peers, strict=True):
        here = _Reach.of(peer, listeners)
        titles = sorted({pattern.text for pattern in peer.ae_titles if pattern.is_literal})
        namesakes = [(title, first) for title in titles for first in with_title[title] if first.meets(here)]
        candidates = [*(first for _, first in namesakes), *with_wildcard]
        if covering := next((first for first in candidates if first.covers(here)), None):
            yield document.warning(
                entry.key,
                f"unreachable: peer[{covering.peer}] stands earlier and matches whatever this one would match",
                "move the narrower peer above the wider one, or remove it",
            )
        else:
            for title, first in namesakes:
                yield document.warning(
                    f"{entry.key}.ae_titles",
                    f"{shown(title)} is also a title of peer[{first.peer}], which wins where both match",
                    "give each device its own title, or networks that do not overlap",
                )
        if entry.table.certificates:
            continue  # asks for a certificate too, so it matches fewer than its titles and networks say
        for title in titles:
            with_title[title].append(here)
        if any(not pattern.is_literal for pattern in peer.ae_titles):
            with_wildcard.append(here)
