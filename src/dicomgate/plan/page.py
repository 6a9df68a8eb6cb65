"""Advice in; the page beside the gates' files out, as Markdown: what, why, in which order, and how back. Pure."""

from collections.abc import Iterator

from dicomgate.plan.decide import Advice, Link, Proof, Setup
from dicomgate.plan.gates import KEYS, TUNNEL_KEYS, WIREGUARD_KEY, called_back, gates, host_name
from dicomgate.plan.rollout import stages


def page(advice: Advice) -> str:
    """The answer to "is exposure needed" comes first."""
    parts = (
        _opening(advice),
        _measures(advice),
        _parties(advice),
        _vendors(advice),
        *((_commands(advice), _rollout(advice)) if advice.usable else ()),
    )
    return "\n".join("\n".join(part) for part in parts)


def _opening(advice: Advice) -> Iterator[str]:
    site = advice.answers.site
    yield f"# The plan for {site.name}"
    yield ""
    yield f"**{advice.measures[0].decision}**"
    yield ""
    yield f"Recommended setup: **{advice.setup.value}**."
    if advice.link is not None:
        yield f"Way to the archive: **{advice.link.value}**."
    if not advice.usable:
        yield ""
        yield (
            "No gate is configured yet: with these answers data would cross the internet in clear. One of these has to"
            " be possible first: a tunnel to the place of the archive, a gate with a public address there, or TLS on"
            " the archive itself."
        )
    if advice.setup is Setup.INTERNAL:
        yield ""
        yield "Forward no port to the archive or to the gate. What follows protects the archive inside."
    if advice.usable:
        yield ""
        yield "Files:"
        yield ""
        for place in gates(advice):
            yield f"- `{place}/gate.toml`: the gate of {place}" + (
                " with the segments around it" if advice.segmented and place == site.name else ""
            )
    yield ""


def _measures(advice: Advice) -> Iterator[str]:
    yield "## What, and why"
    yield ""
    yield "| | Recommendation | Here |"
    yield "|---|---|---|"
    for measure in advice.measures:
        yield f"| {measure.number} | {measure.name} | {measure.decision} |"
    yield ""


def _parties(advice: Advice) -> Iterator[str]:
    yield "## Who gets in, and by what proof"
    yield ""
    for each in advice.admissions:
        yield f"- **{each.party.name}**, by {each.proof.value}: {each.why}."
    if not advice.admissions:
        yield "- Nobody yet."
    if advice.refusals:
        yield ""
        yield "Not yet, and no rule is written for them:"
        yield ""
    for refused in advice.refusals:
        yield f"- **{refused.party.name}**: {refused.why}. Instead: {refused.instead}."
    reached = {each.party.name for each in called_back(advice)}
    moving = [each.party.name for each in advice.admissions if "move" in each.party.does]
    if lost := [name for name in moving if name not in reached]:
        yield ""
        yield (
            f"C-MOVE of {', '.join(lost)} will fail, because the archive has no way to send to them: retrieve by C-GET,"
            " or say where they listen, inside."
        )
    yield ""


def _vendors(advice: Advice) -> Iterator[str]:
    yield "## What to ask the vendors"
    yield ""
    for question in advice.questions:
        yield f"- {question}"
    yield ""


def _commands(advice: Advice) -> Iterator[str]:
    """Only the keys that the files name, and then every file is checked."""
    answers, files = advice.answers, gates(advice)
    by_tls = [place for place, text in files.items() if KEYS["certificate"] in text]
    by_ipsec = [place for place, text in files.items() if TUNNEL_KEYS["certificate"] in text]
    by_wireguard = [place for place, text in files.items() if WIREGUARD_KEY in text]
    devices = [each.party.name for each in advice.admissions if each.proof is Proof.CERTIFICATE]
    yield "## Commands"
    yield ""
    yield "In this folder, on a machine that is no gate: they make the keys that the files name, and check the files."
    if kept := [f"`{name}`" for name, used in (("pki", by_tls), ("tunnel-pki", by_ipsec)) if used]:
        yield f"Of what they make, {' and '.join(kept)} must not leave it; each gate gets its own folder only."
    yield ""
    yield "```sh"
    if by_tls:
        names = " ".join(f"--permit {place}.internal".lower().replace("_", "-") for place in files)
        yield f"dicomgate pki init pki --name {answers.site.name} {names}"
    for place in by_tls:
        yield from _issued(place, "gate", "pki", f"{place}/keys")
    for name in devices:
        yield f"dicomgate pki issue {name} --ca pki --host {host_name(answers.site.name, name)} --client"
    if by_ipsec:
        yield f"dicomgate pki init tunnel-pki --name {answers.site.name}-tunnels --permit any"
    for place in by_ipsec:
        yield from _issued(place, "tunnel", "tunnel-pki", f"{place}/keys/tunnel")
    if by_ipsec and answers.elsewhere is not None and answers.elsewhere.gate is None:
        name = answers.elsewhere.name
        yield f"dicomgate pki issue {name}-tunnel --ca tunnel-pki --host {host_name(name)}"
    for place in by_wireguard:
        yield f"mkdir -p {place}/keys"
        yield f"dicomgate channel keys -c {place}/gate.toml"
    for place in files:
        yield f"dicomgate check -c {place}/gate.toml"
    yield "```"
    yield ""
    if devices:
        yield f"What `pki/devices` holds for {', '.join(devices)} goes into that device, and nowhere else."
        yield ""
    if by_ipsec and answers.elsewhere is not None and answers.elsewhere.gate is None:
        name = answers.elsewhere.name
        yield f"`tunnel-pki/devices/{name}-tunnel` is for the machine at {name} on which the tunnel ends."
        yield ""
    if by_wireguard:
        yield (
            "`dicomgate channel keys` prints the public key of its end: write it into the other gate's file, where"
            " `public_key` stands, or give it to the administrator of the machine there; and write theirs into yours."
        )
        yield ""
    if advice.link is Link.TLS_TO_ARCHIVE:
        yield "If the archive has a certificate of its vendor's, put that vendor's authority into `keys/ca.pem`."
        yield ""


def _issued(place: str, what: str, authority: str, folder: str) -> Iterator[str]:
    yield f"dicomgate pki issue {place}-{what} --ca {authority} --host {host_name(place)}"
    yield f"mkdir -p {folder}"
    yield f"cp {authority}/devices/{place}-{what}/*.pem {folder}/"


def _rollout(advice: Advice) -> Iterator[str]:
    yield "## Rollout"
    yield ""
    yield "One stage at a time. Go on when `dicomgate audit list` shows what you expect for some days."
    yield ""
    for number, (stage, how, back) in enumerate(stages(advice), 1):
        yield f"{number}. **{stage}.** {how} *Back:* {back}"
    yield ""
