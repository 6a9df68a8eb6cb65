"""Advice in; the configuration of each gate out, as TOML that `dicomgate check` takes once its keys are made. Pure."""

from collections.abc import Iterator
from ipaddress import ip_network

from dicomgate.channel.model import ChannelKind, Termination
from dicomgate.config.overlap import Span, overlap, spans
from dicomgate.plan.answers import Answers, Directory, ElsewhereAnswers
from dicomgate.plan.decide import Admission, Advice, Ear, Link, Proof
from dicomgate.plan.toml import Value, table
from dicomgate.policy.model import Networks

PLAIN, TLS, INSIDE_TLS, BETWEEN, BACK, ARCHIVE_SIDE = 104, 2762, 2763, 2764, 2765, 11105
"""Ports of the listeners: the first two are DICOM's own (PS3.8 9.1.1, PS3.15 B.1)."""
CHANNEL = "between"
KEYS: dict[str, str] = {"certificate": "keys/chain.pem", "key": "keys/key.pem"}
TUNNEL_KEYS: dict[str, str] = {"certificate": "keys/tunnel/chain.pem", "key": "keys/tunnel/key.pem"}
"""Of an authority of their own: strongSwan takes no certificate below one that is bound to names."""
WIREGUARD_KEY = "keys/wireguard.key"
_TUNNEL_ADDRESSES = ("10.99.0.0/30", "172.30.99.0/30", "192.168.99.0/30", "100.64.99.0/30")
Keys = dict[str, Value | None]


def gates(advice: Advice) -> dict[str, str]:
    """By name of the place: the text of its gate.toml. None at all when the archive cannot be reached safely."""
    if not advice.usable:
        return {}
    answers = advice.answers
    found = {answers.site.name: _text(_here(advice))}
    if answers.elsewhere is not None and answers.elsewhere.gate is not None:
        found[answers.elsewhere.name] = _text(_there(advice, answers.elsewhere))
    return found


def host_name(place: str, what: str = "gate") -> str:
    """The name in a certificate. `.internal` is set aside for private use."""
    return f"{what}.{place}.internal".lower().replace("_", "-")


def called_back(advice: Advice) -> list[Admission]:
    """The parties of the site that the archive can send to."""
    if advice.link is Link.TLS_TO_ARCHIVE:
        return []  # the site lets nothing in from there
    if advice.link is Link.TLS_BETWEEN_GATES and advice.answers.site.public is None:
        return []
    return [each for each in advice.admissions if each.ear is not Ear.OUTSIDE and each.party.listens is not None]


def has_way_back(advice: Advice) -> bool:
    """Whether the archive can send to anybody."""
    return bool(called_back(advice))


def _text(parts: Iterator[str]) -> str:
    return "\n".join(parts)


def _here(advice: Advice) -> Iterator[str]:
    answers, site = advice.answers, advice.answers.site
    two_gates = answers.elsewhere is not None and answers.elsewhere.gate is not None
    mine = [each for each in advice.admissions if each.ear is not Ear.OUTSIDE or not two_gates]
    yield f"# The gate of {site.name}, written by dicomgate plan.\n"
    yield table("[gate]", {"name": f"{site.name}-gate"})
    callers = [*site.networks, *_archive_callers(advice)]
    if any(each.ear is Ear.INSIDE for each in mine) or (has_way_back(advice) and advice.link is not None) or not mine:
        yield _listener("inside", f"{site.gate}:{PLAIN}", callers, None)
    if any(each.ear is Ear.INSIDE_TLS for each in mine):
        yield _listener("inside-tls", f"{site.gate}:{INSIDE_TLS}", site.networks, "required")
    yield from _outside(mine, str(site.gate))
    if advice.link is Link.TLS_BETWEEN_GATES and has_way_back(advice) and answers.elsewhere is not None:
        there = str(answers.elsewhere.public)
        yield _listener("from-archive", f"{site.gate}:{BACK}", [there], "required")
    yield table("[[archive]]", _archive(advice))
    for each in mine:
        yield table("[[peer]]", _peer(each, advice))
    yield from _users(answers, mine)
    yield from _sites(advice, own=site.name)
    yield from _segments(advice)


def _there(advice: Advice, elsewhere: ElsewhereAnswers) -> Iterator[str]:
    """In front of an archive elsewhere: takes this site's parties from this site's gate, and those outside."""
    answers, site = advice.answers, advice.answers.site
    gate = str(elsewhere.gate)
    through = advice.link is Link.CHANNEL
    outside = [each for each in advice.admissions if each.ear is Ear.OUTSIDE]
    yield f"# The gate of {elsewhere.name}, in front of the archive, written by dicomgate plan.\n"
    yield table("[gate]", {"name": f"{elsewhere.name}-gate"})
    source = [str(site.gate)] if through else [str(site.public)] if site.public is not None else ["any"]
    if through:
        yield _listener("sites", f"{gate}:{PLAIN}", source, None, [CHANNEL])
    else:
        yield _listener("sites", f"{gate}:{BETWEEN}", source, "required")
    if has_way_back(advice):
        yield _listener("archive-side", f"{gate}:{ARCHIVE_SIDE}", [answers.archive.address.host], None)
    yield from _outside(outside, gate)
    archive = answers.archive
    yield table("[[archive]]", {"name": "main", "ae_title": archive.ae_title, "address": str(archive.address)})
    for each in advice.admissions:
        if each.ear is Ear.OUTSIDE:
            yield table("[[peer]]", _peer(each, advice))
        else:
            yield table("[[peer]]", _forwarded(each, advice, source))
    yield from _users(answers, outside)
    yield from _sites(advice, own=elsewhere.name)


def _listener(
    name: str, bind: str, networks: list[str], client_certificate: str | None, channels: list[str] | None = None
) -> str:
    tls = None if client_certificate is None else {**KEYS, "client_ca": "keys/ca.pem"}
    if tls is not None and client_certificate == "optional":
        tls["client_certificate"] = "optional"
    return table(
        "[[listener]]", {"name": name, "bind": _bind(bind), "networks": networks, "tls": tls, "channels": channels}
    )


def _bind(text: str) -> str:
    host, _, port = text.rpartition(":")
    return f"[{host}]:{port}" if ":" in host else text


def _outside(admissions: list[Admission], gate: str) -> Iterator[str]:
    """One TLS listener for all; a certificate is asked for, and demanded when nobody comes without one."""
    outside = [each for each in admissions if each.ear is Ear.OUTSIDE]
    if outside:
        anywhere = any(each.anywhere for each in outside)
        networks = [network for each in outside for network in each.party.networks or []]
        demanded = "required" if all(each.proof is Proof.CERTIFICATE for each in outside) else "optional"
        yield _listener("outside", f"{gate}:{TLS}", ["any"] if anywhere else list(dict.fromkeys(networks)), demanded)


def _archive_callers(advice: Advice) -> list[str]:
    """Who besides the site's own networks calls the inside listener: what comes back through the channel."""
    elsewhere = advice.answers.elsewhere
    if elsewhere is None or advice.link is not Link.CHANNEL or not has_way_back(advice):
        return []
    return [str(elsewhere.gate) if elsewhere.gate is not None else advice.answers.archive.address.host]


def _archive(advice: Advice) -> Keys:
    archive, elsewhere = advice.answers.archive, advice.answers.elsewhere
    keys: Keys = {"name": "main", "ae_title": archive.ae_title, "address": str(archive.address)}
    if elsewhere is None or advice.link is None:
        return keys
    if advice.link is Link.CHANNEL:
        return keys if elsewhere.gate is None else {**keys, "address": _bind(f"{elsewhere.gate}:{PLAIN}")}
    own = {"ca": "keys/ca.pem", **KEYS}
    if advice.link is Link.TLS_TO_ARCHIVE:
        return {**keys, "tls": own}
    name = host_name(elsewhere.name)
    return {
        **keys,
        "address": _bind(f"{elsewhere.public}:{BETWEEN}"),
        "tls": {**own, "name": name},
        "certificates": [f"dns:{name}"] if has_way_back(advice) else None,
    }


def _peer(each: Admission, advice: Advice) -> Keys:
    party, site = each.party, advice.answers.site
    assurance = {Proof.USER: "user", Proof.CERTIFICATE: "device", Proof.ADDRESS: "address"}[each.proof]
    name = host_name(site.name, party.name)
    return {
        "name": party.name,
        "ae_titles": party.ae_titles,
        "networks": (["any"] if each.ear is Ear.OUTSIDE else site.networks) if each.anywhere else party.networks or [],
        "listeners": [each.ear.value],
        "assurance": assurance,
        "certificates": [f"dns:{name}"] if each.proof is Proof.CERTIFICATE else None,
        "may": sorted(party.does),
        "move_to": ["self"] if "move" in party.does else None,
        "address": None if party.listens is None or each.ear is Ear.OUTSIDE else str(party.listens),
    }


def _forwarded(each: Admission, advice: Advice, source: list[str]) -> Keys:
    """A party of the site as the gate elsewhere sees it: its own AE title, brought and proven by the site's gate."""
    party, site = each.party, advice.answers.site
    through = advice.link is Link.CHANNEL
    listens = party.listens is not None and has_way_back(advice)
    name = host_name(site.name)
    back = _bind(f"{site.gate}:{PLAIN}" if through else f"{site.public}:{BACK}")
    return {
        "name": party.name,
        "ae_titles": party.ae_titles,
        "networks": source,
        "listeners": ["sites"],
        "assurance": "device",
        "channels": [CHANNEL] if through else None,
        "certificates": None if through else [f"dns:{name}"],
        "may": sorted(party.does),
        "move_to": ["self"] if "move" in party.does else None,
        "address": back if listens else None,
        "tls": {"ca": "keys/ca.pem", **KEYS, "name": name} if listens and not through else None,
    }


def _users(answers: Answers, admissions: list[Admission]) -> Iterator[str]:
    verbs = sorted({verb for each in admissions if each.proof is Proof.USER for verb in each.party.does})
    if not verbs:
        return
    if answers.directory is Directory.NONE:
        yield table("[[role]]", {"name": "reader", "may": verbs})
        yield table("[[verifier]]", {"name": "own-users", "kind": "local"})
        return
    lines = [
        f"# Until the {answers.directory} verifier is described here, every user is refused. Take the keys of its kind",
        "# from the reference of settings, and the groups from your directory:",
        "# [[verifier]]",
        '# name = "staff"',
        f'# kind = "{answers.directory}"',
        "# [[role]]",
        '# name = "reader"',
        '# groups = ["…"]',
        f"# may = {table('', {'may': verbs}).strip().partition(' = ')[2]}",
        "",
    ]
    yield "\n".join(lines)


def _sites(advice: Advice, own: str) -> Iterator[str]:
    """Both sites and the tunnel between them, the same in both files but for whose file it is."""
    answers, elsewhere = advice.answers, advice.answers.elsewhere
    if elsewhere is None or advice.link is not Link.CHANNEL:
        return
    for place in (answers.site, elsewhere):
        yield table(
            "[[site]]",
            {
                "name": place.name,
                "own": True if place.name == own else None,
                "networks": place.networks,
                "address": None if place.public is None else str(place.public),
                "gate": None if place.gate is None else str(place.gate),
            },
        )
    ipsec = elsewhere.kind is ChannelKind.IPSEC
    here = elsewhere.termination
    there = Termination.ROUTER if elsewhere.gate is None else Termination.GATE_HOST
    own_termination = here if own == answers.site.name else there
    ca = "keys/tunnel/ca.pem" if ipsec and own_termination is not Termination.ROUTER else None
    ends = (
        (answers.site.name, here, str(answers.site.gate)),
        (elsewhere.name, there, answers.archive.address.host if elsewhere.gate is None else str(elsewhere.gate)),
    )
    addresses = (None, None) if ipsec else _tunnel_addresses(answers)
    yield table("[[channel]]", {"name": CHANNEL, "kind": elsewhere.kind.value, "ca": ca})
    for (name, termination, carried), address in zip(ends, addresses, strict=True):
        ours = name == own and termination is not Termination.ROUTER
        end = table(
            "[[channel.ends]]",
            {
                "site": name,
                "networks": [carried],
                "termination": termination.value,
                "identity": host_name(name) if ipsec else None,
                "certificate": TUNNEL_KEYS["certificate"] if ours and ipsec else None,
                "key": (TUNNEL_KEYS["key"] if ipsec else WIREGUARD_KEY) if ours else None,
                "tunnel_address": address,
            },
        )
        yield end if ipsec or name == own else f'{end}# public_key = "…", as dicomgate channel keys prints it there\n'


def _tunnel_addresses(answers: Answers) -> tuple[str | None, str | None]:
    """Both ends inside a WireGuard tunnel, in a network that nobody has; none where all of ours are taken."""
    taken = [*answers.site.networks, *(answers.elsewhere.networks if answers.elsewhere else [])]
    free = (text for text in _TUNNEL_ADDRESSES if not overlap(_spans([text]), _spans(taken)))
    found = next(free, None)
    if found is None:
        return None, None
    first, second = ip_network(found).hosts()
    return f"{first}/30", f"{second}/30"


def _spans(networks: list[str]) -> tuple[Span, ...]:
    return spans(Networks.of(networks))


def _segments(advice: Advice) -> Iterator[str]:
    """Only the DICOM ports are closed at first; other_traffic = "drop" is a later stage."""
    site = advice.answers.site
    if not advice.segmented:
        return
    yield table("[segmentation]", {"gate": [str(site.gate)]})
    if site.imaging is not None:
        management = table("[segment.management]", {"networks": site.administrators})
        yield table("[[segment]]", {"name": "imaging", "networks": site.imaging, "other_traffic": "pass"}) + management
    if site.guests is not None:
        guests: Keys = {"name": "guests", "networks": site.guests, "dicom": False, "other_traffic": "pass"}
        yield table("[[segment]]", guests)
