"""What the writer of `identity` at an archive may not have meant. Parsed configuration in, warnings out."""

from collections.abc import Callable, Iterator

from dicomgate.config.document import Document
from dicomgate.config.problem import Problem
from dicomgate.config.units import literal
from dicomgate.gate.settings import GateSettings
from dicomgate.policy.model import Endpoint, UpstreamIdentity

_TOKENS = frozenset({UpstreamIdentity.PASS, UpstreamIdentity.MINT, UpstreamIdentity.LOGIN})


def _tokens_in_clear(document: Document, settings: GateSettings) -> Iterator[Problem]:
    for archive in settings.rules.archives:
        away = [place for place in archive.endpoints if not _is_this_machine(place)]
        if away and archive.identity in _TOKENS and archive.name not in settings.archive_tls:
            yield document.warning(
                f"archive[{archive.name}].identity",
                f"{archive.identity}: tokens of users go to {away[0]} in clear, and are good for whoever reads them",
                "write tls at the archive, or keep the way there inside a tunnel",
            )


def _lent_sign_in(document: Document, settings: GateSettings) -> Iterator[Problem]:
    for archive in settings.rules.archives:
        if archive.identity is not UpstreamIdentity.LOGIN:
            continue
        for peer in settings.rules.peers:
            here = not peer.networks.any and all(network.is_loopback for network in peer.networks.members)
            if archive.name in peer.archives and peer.may and not here:
                yield document.warning(
                    f"peer[{peer.name}].networks",
                    f"whoever calls from there is taken by archive[{archive.name}] for the user who is signed in here",
                    'write networks = ["127.0.0.1"], and run one such gate at each desk',
                )


def _is_this_machine(place: Endpoint) -> bool:
    address = literal(place.host)
    return address is not None and address.is_loopback


LINTS: tuple[Callable[[Document, GateSettings], Iterator[Problem]], ...] = (_tokens_in_clear, _lent_sign_in)
