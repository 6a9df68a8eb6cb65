"""What a configuration allows or forbids and its writer may not have meant. Parsed configuration in, warnings out."""

from collections.abc import Callable, Iterator

from dicomgate.channel.model import Termination
from dicomgate.config import directory_checks, introduction_checks, sinks
from dicomgate.config.document import Document
from dicomgate.config.kinds import KerberosVerifier
from dicomgate.config.overlap import is_any, networks_overlap
from dicomgate.config.problem import Problem, listed, shown
from dicomgate.config.schema import Kind, OnAuditFailure
from dicomgate.config.shadow import shadowed
from dicomgate.config.units import literal
from dicomgate.gate.settings import GateSettings, TlsProfile
from dicomgate.policy.model import Assurance, Listener, Mode, Networks, Peer, Tamper, TamperHold, Verb

NARROW = {4: 24, 6: 64}
"""By IP version: the shortest prefix that is still one network segment."""

Warnings = Iterator[Problem]


def lint(document: Document, settings: GateSettings) -> tuple[Problem, ...]:
    """Every warning, in the order of LINTS; `settings` are those built from `document`."""
    return tuple(problem for check in LINTS for problem in check(document, settings))


def _receives_only(peer: Peer) -> bool:
    """A peer that the archive sends to and that never asks for anything itself."""
    return peer.endpoint is not None and not peer.may


def _listeners_of(peer: Peer, settings: GateSettings) -> list[Listener]:
    return [found for found in settings.rules.listeners if peer.listeners is None or found.name in peer.listeners]


def _monitor_mode(document: Document, settings: GateSettings) -> Warnings:
    if settings.rules.mode is Mode.MONITOR:
        yield document.warning(
            "gate.mode",
            "monitor: nothing that a peer rule refuses is stopped",
            'read the records for what would be refused, then write mode = "enforce"',
        )


def _any_listener(document: Document, settings: GateSettings) -> Warnings:
    for listener, bound in zip(settings.rules.listeners, settings.listeners, strict=True):
        if is_any(listener.networks):
            yield document.warning(
                f"listener[{listener.name}].networks",
                "every address may connect",
                "list the networks that devices and users connect from",
            )
        if is_any(bound.proxy_protocol_from):
            yield document.warning(
                f"listener[{listener.name}].proxy_protocol_from",
                "every address may claim to forward for any other address",
                "list the addresses of the load balancers only",
            )


def _plaintext_in_public(document: Document, settings: GateSettings) -> Warnings:
    for entry in document.listeners:
        address = literal(entry.table.bind.host)
        if address is None or entry.table.tls is not None:
            continue
        if address.is_unspecified:
            text = f"plaintext on every interface of this machine ({address})"
        elif not (address.is_private or address.is_loopback or address.is_link_local):
            text = f"plaintext on {address}, which is not a private address"
        else:
            continue
        yield document.warning(
            f"{entry.key}.bind",
            text,
            "write tls = { certificate = …, key = … }, or bind to a private address behind a tunnel",
        )


def _unsafe_profile(document: Document, settings: GateSettings) -> Warnings:
    places = [(f"listener[{listener.name}]", listener.tls) for listener in settings.listeners]
    called = [(f"archive[{name}]", tls) for name, tls in settings.archive_tls.items()]
    called += [(f"peer[{name}]", tls) for name, tls in settings.peer_tls.items()]
    for key, tls in (*places, *called):
        if tls is not None and tls.profile is TlsProfile.UNSAFE_LEGACY:
            yield document.warning(
                f"{key}.tls.profile",
                "unsafe-legacy: old TLS versions, weak keys and SHA-1 are let in",
                "keep it to one listener for the devices that need it, with their addresses only",
            )


def _plaintext_way_back(document: Document, settings: GateSettings) -> Warnings:
    for peer in settings.rules.peers:
        if peer.endpoint is not None and peer.certificates is not None and peer.name not in settings.peer_tls:
            yield document.warning(
                f"peer[{peer.name}].address",
                "the archive's way back to this peer is plaintext, although the peer itself comes with TLS",
                "write tls at the peer, or keep that way inside a trusted or tunnelled network",
            )


def _unused_listener(document: Document, settings: GateSettings) -> Warnings:
    rules = settings.rules
    called_back = any(peer.endpoint for peer in rules.peers)
    for listener in rules.listeners:
        key = f"listener[{listener.name}]"
        users = [
            peer
            for peer in rules.peers
            if listener in _listeners_of(peer, settings)
            and not _receives_only(peer)
            and networks_overlap(listener.networks, peer.networks)
        ]
        if not listener.networks:
            yield document.warning(
                f"{key}.networks", "empty, so nobody may connect here", "list who may connect, or remove the listener"
            )
        elif not users and not (
            called_back and any(networks_overlap(listener.networks, archive.networks) for archive in rules.archives)
        ):
            yield document.warning(
                key,
                "no peer can use this listener",
                f"name it in a peer's listeners, widen its networks ({listener.networks}), or remove it",
            )


def _archive_callers(document: Document, settings: GateSettings) -> Warnings:
    for entry, archive in zip(document.archives, settings.rules.archives, strict=True):
        if is_any(archive.networks):
            yield document.warning(
                f"{entry.key}.networks", "every address may pass for the archive", "list the archive's own addresses"
            )
        named = [place.host for place in archive.endpoints if literal(place.host) is None]
        if named and not entry.written("networks"):
            yield document.warning(
                f"{entry.key}.networks",
                f"not written, and {shown(named[0])} is a host name: a call back from there is refused",
                'write networks = ["ADDRESS"] if it may call back, or networks = [] to say that it never does',
            )


def _without_channel(document: Document, settings: GateSettings) -> Warnings:
    others = [site for site in document.sites if not site.table.own]
    for peer in settings.rules.peers:
        if peer.channels is not None or all(known.channels is not None for known in _listeners_of(peer, settings)):
            continue
        for site in others:
            from_there = not is_any(peer.networks) and networks_overlap(peer.networks, Networks.of(site.table.networks))
            if from_there:
                yield document.warning(
                    f"peer[{peer.name}].channels",
                    f"not written, so it may come from {site.key} without a channel",
                    'write channels = ["NAME"], or demand a channel on its listeners',
                )


def _no_sign_of_life(document: Document, settings: GateSettings) -> Warnings:
    own = {site.table.name for site in document.sites if site.table.own}
    demanded = {name for peer in settings.rules.peers for name in peer.channels or ()}
    demanded |= {name for listener in settings.rules.listeners for name in listener.channels or ()}
    for channel in document.channels:
        for end in channel.table.ends:
            elsewhere = end.site in own and end.termination is not Termination.GATE_HOST
            if elsewhere and end.sign_of_life is None and channel.table.name in demanded:
                yield document.warning(
                    f"{channel.key}.ends.sign_of_life",
                    "not written, so a tunnel that goes down on another machine still counts as up here",
                    'write sign_of_life = "ADDRESS:PORT" of somebody at the other site who answers TCP',
                )


def _bypasses_the_gate(document: Document, settings: GateSettings) -> Warnings:
    for segment in document.segments:
        for target in segment.table.dicom_to:
            if target.archive is not None:
                yield document.warning(
                    f"{segment.key}.dicom_to",
                    f"archive[{target.archive}] can be reached without the gate from the whole segment",
                    "let its devices call the gate, and write a [[peer]] for each",
                )


def _no_peers(document: Document, settings: GateSettings) -> Warnings:
    if not settings.rules.peers:
        yield document.warning(
            "peer", "there is no [[peer]], so everybody is refused", "add a [[peer]] for each device"
        )


def _any_peer(document: Document, settings: GateSettings) -> Warnings:
    for peer in settings.rules.peers:
        if is_any(peer.networks):
            yield document.warning(
                f"peer[{peer.name}].networks",
                "every address is accepted for this peer",
                "list the addresses or networks it calls from",
            )


def _weak_assurance(document: Document, settings: GateSettings) -> Warnings:
    for entry, peer in zip(document.peers, settings.rules.peers, strict=True):
        key = f"{entry.key}.assurance"
        if _receives_only(peer):
            continue
        if peer.assurance is Assurance.ADDRESS and peer.certificates is None:
            text, hint = _address_only(peer)
            yield document.warning(key, text, hint)
        if not entry.written("assurance"):
            yield document.warning(
                key,
                'not written, so it is "user": a verified user is required',
                'write assurance = "user", or "address" if an AE title from its networks is proof enough',
            )
        if peer.assurance is Assurance.USER and not document.verifiers:
            yield document.warning(
                key,
                'nobody can be verified, because there is no [[verifier]]: assurance "user" then refuses everybody',
                'write assurance = "address" and narrow networks for a device that must work now',
            )


def _address_only(peer: Peer) -> tuple[str, str]:
    wide = [network for network in peer.networks.members if network.prefixlen < NARROW[network.version]]
    if is_any(peer.networks):
        return (
            "the AE title is the only proof, from every address: whoever guesses the title gets in",
            "list the addresses it calls from; a title is a name, not a password",
        )
    if wide:
        return (
            f"an AE title from somewhere in {listed(map(str, wide))} is the only proof: any machine there can claim it",
            "list single addresses, or at least networks no wider than /24 (IPv4) or /64 (IPv6)",
        )
    return (
        "AE title and network address are the only proof, and both can be forged from inside its network segment",
        "list single addresses, keep the device in a segment of its own, and allow only the verbs it needs",
    )


def _matches_nobody(document: Document, settings: GateSettings) -> Warnings:
    for entry, peer in zip(document.peers, settings.rules.peers, strict=True):
        if not peer.ae_titles:
            yield document.warning(
                f"{entry.key}.ae_titles",
                "empty, so this peer matches nobody",
                "list the AE titles the device calls itself",
            )
        if _receives_only(peer):
            continue
        listeners = _listeners_of(peer, settings)
        if not peer.networks:
            yield document.warning(
                f"{entry.key}.networks",
                "empty, so this peer matches nobody",
                "list the addresses the device calls from",
            )
        elif not listeners:
            yield document.warning(
                f"{entry.key}.listeners",
                "empty, so this peer matches nobody",
                "name a listener, or remove the line for all",
            )
        elif not any(networks_overlap(listener.networks, peer.networks) for listener in listeners):
            yield document.warning(
                f"{entry.key}.networks",
                f"outside the networks of {listed(f'listener[{found.name}]' for found in listeners)},"
                " so this peer matches nobody",
                "add its networks to the listener, or name another listener",
            )
        for key, values in (
            ("certificates", peer.certificates),
            ("may", peer.may),
            ("archive", peer.archives),
            ("sop_classes", peer.sop_classes),
            ("transfer_syntaxes", peer.transfer_syntaxes),
        ):
            if values is not None and not values:
                yield document.warning(
                    f"{entry.key}.{key}",
                    "empty, so everything this peer asks for is refused",
                    f"list what belongs in {key}",
                )


def _move_destinations(document: Document, settings: GateSettings) -> Warnings:
    names = {"self", *(peer.name for peer in settings.rules.peers)}
    patterns = [pattern for peer in settings.rules.peers for pattern in peer.ae_titles]
    literals = {pattern.text for pattern in patterns if pattern.is_literal}
    wildcards = [pattern for pattern in patterns if not pattern.is_literal]
    for peer in settings.rules.peers:
        key = f"peer[{peer.name}].move_to"
        if Verb.MOVE in peer.may and not peer.move_to:
            yield document.warning(
                key, "empty, so every move of this peer is refused", 'list AE titles, peer names or "self"'
            )
        if peer.move_to and Verb.MOVE not in peer.may:
            yield document.warning(
                key, "has no effect, because this peer may not move", 'add "move" to may, or remove it'
            )
        for destination in peer.move_to:
            known = destination in names or destination in literals
            if not known and not any(pattern.matches(destination) for pattern in wildcards):
                yield document.warning(
                    key,
                    f"no peer is named or titled {shown(destination)}, so the gate cannot judge where data goes",
                    "correct the title, or add a [[peer]] for it; otherwise only the archive knows what it stands for",
                )


def _roles(document: Document, settings: GateSettings) -> Warnings:
    local = any(entry.table.kind is Kind.LOCAL for entry in document.verifiers)
    with_a_ticket = {
        role for entry in document.verifiers if isinstance(entry.table, KerberosVerifier) for role in entry.table.roles
    }
    for entry in document.roles:
        if not document.verifiers:
            yield document.warning(
                entry.key,
                "nobody can get this role, because there is no [[verifier]]",
                "remove it until users can be verified",
            )
        elif not (entry.table.groups or entry.table.emergency or local or entry.table.name in with_a_ticket):
            yield document.warning(
                f"{entry.key}.groups",
                "nobody can get this role: no group has it",
                "list the directory groups that have it",
            )
        if not entry.table.may:
            yield document.warning(
                f"{entry.key}.may", "empty, so this role allows nothing", "list verbs, or remove the role"
            )


def _limits(document: Document, settings: GateSettings) -> Warnings:
    limits = settings.session
    if limits.first_byte > limits.associate_deadline:
        yield document.warning(
            "limits.first_byte",
            f"{limits.first_byte:g} s never applies, because associate_deadline is {limits.associate_deadline:g} s",
            "make first_byte shorter than associate_deadline",
        )


def _audit(document: Document, settings: GateSettings) -> Warnings:
    if document.audit.table.on_failure is OnAuditFailure.CONTINUE:
        yield document.warning(
            "audit.on_failure",
            "continue: while records cannot be kept, associations pass without one",
            'write on_failure = "refuse" if every access must leave a record',
        )


def _tamper_hold(document: Document, settings: GateSettings) -> Warnings:
    for archive in settings.rules.archives:
        if archive.tamper_hold is TamperHold.OBJECT and archive.tamper is not Tamper.REFUSE:
            yield document.warning(
                f"archive[{archive.name}].tamper_hold",
                f'"object" does nothing while tamper is "{archive.tamper.value}"',
                'write tamper = "refuse", or leave tamper_hold out',
            )


def _sinks(document: Document, settings: GateSettings) -> Warnings:
    yield from sinks.warnings(document)


LINTS: tuple[Callable[[Document, GateSettings], Warnings], ...] = (
    _monitor_mode,
    _any_listener,
    _plaintext_in_public,
    _unsafe_profile,
    _plaintext_way_back,
    _unused_listener,
    _archive_callers,
    _without_channel,
    _no_sign_of_life,
    _bypasses_the_gate,
    _no_peers,
    _any_peer,
    _weak_assurance,
    shadowed,
    _matches_nobody,
    _move_destinations,
    _roles,
    _limits,
    _audit,
    *directory_checks.LINTS,
    *introduction_checks.LINTS,
    _tamper_hold,
    _sinks,
)
