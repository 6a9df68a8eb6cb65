"""An assessment and what was observed in; the text of a gate's configuration that closes what was found, out. Pure.

Nothing is invented: what was not observed is a blank, marked `FILL IN`, and a blank lets nobody in.
"""

import json
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from shlex import quote

from dicomgate.assess.model import Assessment, Severity, State, TargetReport
from dicomgate.assess.need import Allowed, Observations, allowlist

BLANK = "FILL IN"
"""Marks everything that somebody has to look at."""
FOLDER = "pki"
MOST_LISTED = 12


def suggest(assessment: Assessment, observations: Observations | None, server: str = "gate.example") -> str:
    """The file's text. `server` is the gate's own DNS name or address, as its certificate shall bear it."""
    allowed = () if observations is None else allowlist(observations.uses)
    usable = tuple(each for each in allowed if _is_usable(each))
    return "\n".join(
        [
            *_head(assessment, usable, server),
            *_gate(usable, observations),
            *_archives(assessment.targets),
            *(line for number, each in enumerate(usable) for line in _peer(each, number, usable)),
            *_left_out(each for each in allowed if each not in usable),
            *([] if usable else _blank_peer()),
            "",
        ]
    )


def _head(assessment: Assessment, allowed: tuple[Allowed, ...], server: str) -> Iterator[str]:
    closes = dict.fromkeys(
        finding.result.check.id for finding in assessment.findings if finding.result.severity > Severity.INFO
    )
    yield "# A gate in front of what was assessed, written by dicomgate assess --suggest."
    if closes:
        yield f"# It is to close: {', '.join(closes)}"
    yield f"# Where it says {BLANK}, somebody has to know better. A blank lets nobody in."
    yield "#"
    yield "# First certificates, in this folder:"
    yield f'#   dicomgate pki init {FOLDER} --name "{BLANK}" --permit any'
    option = "--address" if _is_address(server) else "--host"
    yield f"#   dicomgate pki issue gate --ca {FOLDER} {option} {quote(server)} --both"
    for number, each in enumerate(allowed):
        name = _name(each, number, allowed)
        yield f"#   dicomgate pki issue {name} --ca {FOLDER} --ae {quote(each.calling)} --client"
    yield "# Then: dicomgate check -c THIS-FILE, dicomgate run -c THIS-FILE, and assess again, at the gate."
    yield "# Last, close the archive's own port to everybody but the gate."
    yield ""


def _gate(allowed: tuple[Allowed, ...], observations: Observations | None) -> Iterator[str]:
    networks = list(dict.fromkeys(network for each in allowed for network in each.networks))
    yield "[gate]"
    yield 'name = "gate"'
    yield 'state = "sqlite:///state/gate.db"'
    yield 'refusals = "uniform"               # guessing teaches nothing (ADM-04, ADM-05)'
    yield ""
    yield "[[listener]]"
    yield 'name = "tls"'
    yield f'bind = "0.0.0.0:2762"              # {BLANK}: the one address that devices call, if you can'
    if observations is not None and networks:
        yield f"# Exactly the addresses that were seen in {observations.days:.0f} days."
    else:
        yield f"# {BLANK}: the devices' networks, such as 10.1.2.0/24. Empty, nobody may connect."
    yield f"networks = {json.dumps(networks)}"
    yield ""
    yield "[listener.tls]                     # TLS-01 to TLS-09"
    yield f'certificate = "{FOLDER}/devices/gate/chain.pem"'
    yield f'key = "{FOLDER}/devices/gate/key.pem"'
    yield f'client_ca = "{FOLDER}/ca.pem"'
    yield f'crl = "{FOLDER}/crl.pem"'
    yield ""


def _archives(targets: Iterable[TargetReport]) -> Iterator[str]:
    titles: set[str] = set()
    number = 0
    for target in targets:
        if target.state not in (State.ASSESSED, State.STOPPED):
            continue
        again = target.called_ae_title in titles
        mark = "# " if again else ""
        if again:
            yield f"# {BLANK}: it has the AE title of another one; each needs its own, or list both addresses above."
        number += not again
        titles.add(target.called_ae_title)
        yield f"{mark}[[archive]]"
        yield f'{mark}name = "archive-{number}"'
        yield f"{mark}ae_title = {json.dumps(target.called_ae_title)}"
        yield f"{mark}address = {json.dumps(target.target)}"
        if target.tls:
            yield f'# {BLANK}: it speaks TLS. tls = {{ ca = "…", certificate = "…", key = "…" }}'
        yield ""


def _peer(allowed: Allowed, number: int, every: tuple[Allowed, ...]) -> Iterator[str]:
    yield "[[peer]]"
    yield f"name = {json.dumps(_name(allowed, number, every))}"
    yield f"ae_titles = {json.dumps([allowed.calling])}"
    yield f"networks = {json.dumps(list(allowed.networks))}"
    yield 'assurance = "device"               # its certificate names its AE title'
    yield f"certificates = {json.dumps([f'uri:dicom-ae:{_percent(allowed.calling)}'])}"
    verbs = dict.fromkeys(["echo", *allowed.verbs])
    unseen = "" if allowed.verbs else f"  # {BLANK}: what it does was not seen"
    yield f"may = {json.dumps(list(verbs))}{unseen}"
    if "move" in allowed.verbs:
        yield 'move_to = ["self"]'
        yield f'# {BLANK}: where it listens, as the archive will call it. address = "10.1.2.3:104"'
    yield ""


def _left_out(left_out: Iterable[Allowed]) -> Iterator[str]:
    for each in list(left_out)[:MOST_LISTED]:
        what = "has a title that the file cannot hold" if each.calling else "did not show its AE title"
        yield f"# {BLANK}: {', '.join(each.networks[:MOST_LISTED])} called {each.count} times and {what}."
        yield ""


def _blank_peer() -> Iterator[str]:
    yield f"# {BLANK}: one for each device, and its networks above. dicomgate need shows who uses the archive now."
    yield "# [[peer]]"
    yield '# name = "ct-1"'
    yield '# ae_titles = ["CT1"]'
    yield '# networks = ["10.1.2.31/32"]'
    yield '# assurance = "device"'
    yield '# certificates = ["uri:dicom-ae:CT1"]'
    yield '# may = ["echo", "store"]'
    yield ""


def _is_usable(allowed: Allowed) -> bool:
    """A wildcard in a title that somebody called himself would let others in."""
    return (
        bool(allowed.calling)
        and not set(allowed.calling) & set("*?\\")
        and allowed.calling.isascii()
        and allowed.calling.isprintable()
    )


def _name(allowed: Allowed, number: int, every: tuple[Allowed, ...]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", allowed.calling.lower()).strip("-") or "device"
    same = [other for other in every if re.sub(r"[^a-z0-9]+", "-", other.calling.lower()).strip("-") == slug]
    return slug if len(same) == 1 and slug != "gate" else f"{slug}-{number + 1}"


def _percent(title: str) -> str:
    return "".join(each if each.isalnum() or each in "-._~" else f"%{ord(each):02X}" for each in title)


def _is_address(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True
