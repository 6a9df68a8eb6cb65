"""Mistakes that only show when tables are read together: names, routes, addresses that meet. Document in, errors out.

A check skips what is already known to be wrong (`Entry.broken`), so that one mistake gives one error.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from itertools import combinations

from dicomgate.config import directory_checks, island, kinds, schema, topology
from dicomgate.config.document import Document, Entry
from dicomgate.config.kinds import AlertSink
from dicomgate.config.problem import Problem, WrongValueError, listed, shown
from dicomgate.config.sinks import mistakes, sinks_with_tls
from dicomgate.config.units import literal
from dicomgate.config.words import ae_title
from dicomgate.iam.oidc.settings import Introspection
from dicomgate.policy.model import Assurance, Endpoint, UpstreamIdentity


def crosscheck(document: Document) -> Iterator[Problem]:
    """Every error that the tables make together."""
    for check in CHECKS:
        yield from check(document)


def _something_to_do(document: Document) -> Iterator[Problem]:
    for table, purpose in (("listener", "nothing could connect"), ("archive", "there is nothing to protect")):
        if not document.counts[table]:
            yield document.error(
                table, f"expected at least one [[{table}]], came none", f"without a [[{table}]] {purpose}"
            )


def _names_once(document: Document) -> Iterator[Problem]:
    for table, names in document.names.items():
        for name in _repeated(names):
            text = f"expected each name once, came {names.count(name)} tables named {shown(name)}"
            yield document.error(f"{table}[{name}].name", text, "give each its own name; records and rules refer to it")


def _archive_titles_once(document: Document) -> Iterator[Problem]:
    titles = [entry.table.ae_title for entry in document.archives]
    for title in _repeated(titles):
        keys = [entry.key for entry in document.archives if entry.table.ae_title == title]
        yield document.error(
            f"{keys[1]}.ae_title",
            f"expected each archive's AE title once, came {shown(title)} in {listed(keys)}",
            "the called AE title decides which archive is meant; an archive with several addresses lists them",
        )


def _binds_once(document: Document) -> Iterator[Problem]:
    for one, other in combinations(document.listeners, 2):
        mine, theirs = one.table.bind, other.table.bind
        if mine.port == theirs.port != 0 and _hosts_meet(mine, theirs):
            yield document.error(
                f"{other.key}.bind",
                f"expected an address of its own, came {theirs}, which {one.key} ({mine}) already takes",
                "give one of them another port, or the literal address of another interface",
            )


def _hosts_meet(one: Endpoint, other: Endpoint) -> bool:
    mine, theirs = literal(one.host), literal(other.host)
    if mine is None or theirs is None or mine.version != theirs.version:
        return False
    return mine == theirs or mine.is_unspecified or theirs.is_unspecified


def _known_listeners(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        for name in peer.table.listeners or ():
            yield from document.unknown(f"{peer.key}.listeners", "listener", name)


def _known_archives(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        for name in peer.table.archive or ():
            yield from document.unknown(f"{peer.key}.archive", "archive", name)
        if not peer.written("archive") and document.counts["archive"] > 1:
            names = document.names["archive"]
            yield document.error(
                f"{peer.key}.archive",
                f"expected the name of an archive, because there is more than one ({listed(names)})",
                "write the archives this peer may reach, for instance "
                + (f'archive = "{names[0]}"' if names else 'archive = "main"'),
            )


def _move_destinations(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        for destination in peer.table.move_to:
            if destination == "self" or destination in document.names["peer"]:
                continue
            try:
                ae_title(destination)
            except WrongValueError as mistake:
                yield document.error(
                    f"{peer.key}.move_to",
                    f'expected an AE title, the name of a peer or "self", came {shown(destination)}',
                    "wildcards are not possible: an archive only sends to one title it knows"
                    if "*" in destination or "?" in destination
                    else mistake.hint,
                )


def _peers_are_not_archives(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        for pattern in peer.table.ae_titles:
            for archive in document.archives:
                titles = [archive.table.ae_title, *(archive.table.calling_ae_titles or ())]
                if pattern.is_literal and pattern.text in titles:
                    yield document.error(
                        f"{peer.key}.ae_titles",
                        f"expected a title that no archive has, came {shown(pattern.text)}, which is {archive.key}'s",
                        "give the peer its own AE title; a client with the archive's title could pass for the archive",
                    )


def _no_loops(document: Document) -> Iterator[Problem]:
    places: list[tuple[str, Endpoint]] = [
        (f"{archive.key}.address", place) for archive in document.archives for place in archive.table.address
    ]
    places += [(f"{peer.key}.address", peer.table.address) for peer in document.peers if peer.table.address]
    for key, place in places:
        for listener in document.listeners:
            if _leads_to(place, listener.table.bind, document.listeners):
                yield document.error(
                    key,
                    f"expected the address of another system, came {place}, where {listener.key} accepts: a loop",
                    "write the address of the system itself, not the gate's own",
                )
                break


def _leads_to(place: Endpoint, bind: Endpoint, listeners: Iterable[Entry[schema.ListenerTable]]) -> bool:
    """Whether connecting to `place` would reach this listener, as far as the file alone can tell."""
    bound = literal(bind.host)
    if place.port != bind.port or bound is None:
        return False
    own = {listener.table.bind.host for listener in listeners}
    for address in _addresses(place.host):
        if address == bound:
            return True
        if bound.is_unspecified and bound.version == address.version and (address.is_loopback or str(address) in own):
            return True
    return False


def _addresses(host: str) -> tuple[IPv4Address | IPv6Address, ...]:
    if host.lower() == "localhost":
        return IPv4Address("127.0.0.1"), IPv6Address("::1")
    address = literal(host)
    return () if address is None else (address,)


def _way_back(document: Document) -> Iterator[Problem]:
    """An archive known by host names only, while a peer waits for it to call back."""
    for archive in document.archives:
        named = [place for place in archive.table.address if literal(place.host) is None]
        if not named or archive.written("networks"):
            continue
        name = archive.table.name
        waiting = [
            peer.key
            for peer in document.peers
            if peer.table.address and (peer.table.archive is None or name in peer.table.archive)
        ]
        if waiting:
            yield document.error(
                f"{archive.key}.networks",
                f"expected the networks it calls back from, because {waiting[0]} has an address"
                f" and {shown(named[0].host)} is a host name",
                'write for instance networks = ["10.1.1.20"]; a name server must not decide who is the archive',
            )


def _client_certificates_are_vouched_for(document: Document) -> Iterator[Problem]:
    for entry in document.listeners:
        tls = entry.table.tls
        if tls is None or tls.client_ca is not None:
            continue
        for key in ("client_certificate", "crl", "ocsp", "ocsp_responder"):
            if key in tls.model_fields_set:
                yield document.error(
                    f"{entry.key}.tls.{key}",
                    "expected client_ca beside it, but it is missing",
                    "without client_ca no client is asked for a certificate",
                )


def _certificate_and_key_together(document: Document) -> Iterator[Problem]:
    called: list[tuple[str, schema.ClientTls | None]] = [(entry.key, entry.table.tls) for entry in document.archives]
    called += [(entry.key, entry.table.tls) for entry in document.peers]
    called += sinks_with_tls(document)
    for key, tls in called:
        if tls is not None and (tls.certificate is None) is not (tls.key is None):
            there, missing = ("certificate", "key") if tls.key is None else ("key", "certificate")
            yield document.error(
                f"{key}.tls.{missing}",
                f"expected this key beside {there}, but it is missing",
                "the gate shows a certificate with both, and none without",
            )


def _tls_needs_an_address(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        if peer.table.tls is not None and not peer.written("address"):
            yield document.error(
                f"{peer.key}.tls",
                "expected address beside it: it says how the peer is called back",
                "write the address where it listens; how it comes in is said at the listener",
            )


def _each_name_has_one_certificate(document: Document) -> Iterator[Problem]:
    for entry in document.listeners:
        names = [name.lower() for each in (entry.table.tls.sni if entry.table.tls else ()) for name in each.names]
        for name in _repeated(names):
            text = f"expected each name once, came {shown(name)} in several entries"
            yield document.error(f"{entry.key}.tls.sni", text, "give each name to one certificate")


def _devices_can_prove_themselves(document: Document) -> Iterator[Problem]:
    """A device is known by its certificate, and only a listener with `client_ca` asks for one."""
    asking = [entry.table.name for entry in document.listeners if entry.table.tls and entry.table.tls.client_ca]
    if any(entry.broken for entry in document.listeners):
        return
    for peer in document.peers:
        table = peer.table
        if peer.written("channels") and not peer.written("certificates"):
            continue  # its channel proves it; topology.py sees to that
        if table.assurance is Assurance.DEVICE and not peer.written("certificates"):
            yield document.error(
                f"{peer.key}.certificates",
                'expected what its certificate is recognised by, because assurance is "device"',
                'write for instance certificates = ["dns:ct1.north.example"], or channels = ["NAME"] for a tunnel',
            )
        if table.assurance is not Assurance.DEVICE and not table.certificates:
            continue
        silent = [name for name in table.listeners or () if name in document.names["listener"] and name not in asking]
        if silent or not asking:
            where = f"listener[{silent[0]}]" if silent else "no listener"
            yield document.error(
                f"{peer.key}.listeners" if silent else f"{peer.key}.certificates",
                f"expected a listener that asks for certificates, came {where}"
                + (", which has no tls.client_ca" if silent else " with tls.client_ca"),
                "write client_ca in the tls of the listener it uses, or ask for no certificate",
            )


def _known_verifiers(document: Document) -> Iterator[Problem]:
    trusted = [(entry.key, entry.table.verifiers) for entry in document.peers]
    trusted += [(entry.key, entry.table.verifiers) for entry in document.listeners]
    for key, names in trusted:
        for name in names or ():
            yield from document.unknown(f"{key}.verifiers", "verifier", name)


def _known_roles(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        for name in peer.table.username_roles or ():
            yield from document.unknown(f"{peer.key}.username_roles", "role", name)
    for archive in document.archives:
        for kind, name, _ in archive.table.calling_ae_map:
            if kind == "role":
                yield from document.unknown(f"{archive.key}.calling_ae_map", "role", name)
    for role in document.roles:
        for name in role.table.archives or ():
            yield from document.unknown(f"{role.key}.archives", "archive", name)


def _named_users_come_from_proven_devices(document: Document) -> Iterator[Problem]:
    for peer in document.peers:
        if peer.table.username_roles is not None and not peer.written("certificates"):
            yield document.error(
                f"{peer.key}.username_roles",
                "expected certificates beside it: only a proven device may name its user without a proof",
                'write for instance certificates = ["dns:workstation1.north.example"]',
            )


def _maps_are_used(document: Document) -> Iterator[Problem]:
    for archive in document.archives:
        table = archive.table
        if archive.broken & {"identity", "calling_ae_map"}:
            continue
        if (table.identity is UpstreamIdentity.MAP) is not bool(table.calling_ae_map):
            there, missing = (
                ('identity = "map"', "calling_ae_map") if table.identity is UpstreamIdentity.MAP
                else ("calling_ae_map", "identity")
            )  # fmt: skip
            yield document.error(
                f"{archive.key}.{missing}",
                f"expected it beside {there}: one is nothing without the other",
                'write identity = "map" and for instance calling_ae_map = { "role:radiologist" = "RADIOLOGY" }',
            )


def _archives_can_prove_themselves(document: Document) -> Iterator[Problem]:
    if any(entry.broken for entry in document.listeners):
        return
    asked = any(entry.table.tls and entry.table.tls.client_ca for entry in document.listeners)
    for archive in document.archives:
        if archive.table.certificates and not asked:
            yield document.error(
                f"{archive.key}.certificates",
                "expected a listener that asks for certificates, came no listener with tls.client_ca",
                "write client_ca in the tls of the listener where it calls back, or ask for no certificate",
            )


def _never_block_names_addresses(document: Document) -> Iterator[Problem]:
    """Its addresses are never held off; `any` would mean that nobody is."""
    for peer in document.peers:
        broad = [text for text in peer.table.networks if text == "any" or text.endswith("/0")]
        if peer.table.never_block and broad:
            yield document.error(
                f"{peer.key}.networks",
                f"expected the addresses of the devices, because never_block is true, came {shown(broad[0])}",
                "no detector holds off an address of these networks; write those of the devices that must not be",
            )


def _alerts_have_receivers(document: Document) -> Iterator[Problem]:
    for entry in document.sinks:
        table = entry.table
        if not isinstance(table, AlertSink):
            continue
        given = [key for key in ("urls_file", "urls_env") if entry.written(key)]
        if len(given) != 1:
            yield document.error(
                f"{entry.key}.urls_file",
                f"expected one of urls_file and urls_env, came {listed(given) if given else 'neither'}",
                "name a file or an environment variable with one address of apprise a line",
            )


def _emergency_roles_are_granted(document: Document) -> Iterator[Problem]:
    emergency = {entry.table.name for entry in document.roles if entry.table.emergency}
    for peer in document.peers:
        for name in emergency.intersection(peer.table.username_roles or ()):
            yield document.error(
                f"{peer.key}.username_roles",
                f"expected no emergency role, came {shown(name)}",
                "an emergency role comes from dicomgate break-glass only, to a user who is verified",
            )
    for entry in document.roles:
        if entry.table.emergency and entry.table.groups:
            yield document.error(
                f"{entry.key}.groups",
                "expected no groups, because emergency is true",
                "an emergency role comes from dicomgate break-glass only; give the groups another role",
            )


def _a_client_to_ask_as(document: Document) -> Iterator[Problem]:
    """The gate itself signs in at a provider that it asks about users."""
    for entry in document.verifiers:
        table = entry.table
        if not isinstance(table, kinds.OidcVerifier) or entry.broken:
            continue
        asks = table.introspection is not Introspection.NEVER
        secrets = [key for key in ("client_secret_file", "client_secret_env") if key in table.model_fields_set]
        reason = "introspection" if asks else "password_grant" if table.password_grant else "".join(secrets[:1])
        if reason and table.client_id is None:
            yield document.error(
                f"{entry.key}.client_id",
                f"expected this key beside {reason}, but it is missing",
                "register the gate as a client at the provider, and write its client ID",
            )
        if asks and not secrets:
            yield document.error(
                f"{entry.key}.client_secret_file",
                "expected this key or client_secret_env beside introspection, but both are missing",
                "a provider tells about tokens only to clients that prove who they are (RFC 7662 2.1)",
            )
        if len(secrets) > 1:
            yield document.error(
                f"{entry.key}.client_secret_env",
                "expected one place for the secret, came client_secret_file too",
                "remove one of the two",
            )


def _a_login_to_show(document: Document) -> Iterator[Problem]:
    for entry in document.archives:
        if entry.table.identity is UpstreamIdentity.LOGIN and not document.counts["login"]:
            yield document.error(
                f"{entry.key}.identity",
                'expected a [login] table beside "login", came a file without one',
                "write issuer and client_id below [login], and run dicomgate login",
            )


def _one_source_of_certificates(document: Document) -> Iterator[Problem]:
    for entry in document.verifiers:
        table = entry.table
        if not isinstance(table, kinds.SamlVerifier) or entry.broken:
            continue
        if (table.metadata is None) is (table.certificates is None):
            came = "neither" if table.metadata is None else "both"
            yield document.error(
                f"{entry.key}.metadata",
                f"expected metadata, or issuer and certificates, came {came}",
                "write metadata, the file that the provider offers for download",
            )
        elif table.certificates is not None and table.issuer is None:
            yield document.error(
                f"{entry.key}.issuer",
                "expected this key beside certificates, but it is missing",
                "write the entity ID of the provider, as its assertions name it (Issuer)",
            )


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


CHECKS: tuple[Callable[[Document], Iterator[Problem]], ...] = (
    _something_to_do,
    _names_once,
    _archive_titles_once,
    _binds_once,
    _known_listeners,
    _known_archives,
    _move_destinations,
    _peers_are_not_archives,
    _no_loops,
    _way_back,
    _client_certificates_are_vouched_for,
    _certificate_and_key_together,
    _tls_needs_an_address,
    _each_name_has_one_certificate,
    _devices_can_prove_themselves,
    _a_client_to_ask_as,
    _a_login_to_show,
    _one_source_of_certificates,
    *directory_checks.CHECKS,
    _known_verifiers,
    _known_roles,
    _named_users_come_from_proven_devices,
    _maps_are_used,
    _archives_can_prove_themselves,
    _emergency_roles_are_granted,
    *topology.CHECKS,
    *island.CHECKS,
    mistakes,
    _never_block_names_addresses,
    _alerts_have_receivers,
)
