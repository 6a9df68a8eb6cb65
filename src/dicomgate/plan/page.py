"""Advice in; the page beside the gates' files out, as Markdown: what, why, in which order, and how back. Pure."""

from collections.abc import Iterator

from dicomgate.channel.model import ChannelKind
from dicomgate.plan.decide import Advice, Ear, Link, Proof, Setup
from dicomgate.plan.gates import BACK, BETWEEN, CHANNEL, TLS, gates, host_name


def page(advice: Advice) -> str:
    """The answer to "is exposure needed" comes first."""
    parts = (
        _opening(advice),
        _measures(advice),
        _parties(advice),
        _vendors(advice),
        *((_keys(advice), _rollout(advice)) if advice.usable else ()),
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
    yield ""


def _vendors(advice: Advice) -> Iterator[str]:
    yield "## What to ask the vendors"
    yield ""
    for question in advice.questions:
        yield f"- {question}"
    yield ""


def _keys(advice: Advice) -> Iterator[str]:
    answers = advice.answers
    places = list(gates(advice))
    devices = [each.party.name for each in advice.admissions if each.proof is Proof.CERTIFICATE]
    suffixes = [f"{place}.internal".lower().replace("_", "-") for place in places]
    yield "## Keys"
    yield ""
    yield "On a machine that is no gate; the folder `pki` stays there."
    yield ""
    yield "```sh"
    yield f"dicomgate pki init pki --name {answers.site.name} " + " ".join(f"--permit {suffix}" for suffix in suffixes)
    for place in places:
        yield f"dicomgate pki issue {place}-gate --ca pki --host {host_name(place)}"
        yield f"mkdir -p {place}/keys"
        yield f"cp pki/devices/{place}-gate/*.pem {place}/keys/"
    for name in devices:
        yield f"dicomgate pki issue {name} --ca pki --host {host_name(answers.site.name, name)} --client"
    if (
        answers.elsewhere is not None
        and advice.link is Link.CHANNEL
        and answers.elsewhere.kind is ChannelKind.WIREGUARD
    ):
        for place in places:
            yield f"(umask 077; wg genkey > {place}/keys/wireguard.key)"
    for place in places:
        yield f"dicomgate check -c {place}/gate.toml"
    yield "```"
    yield ""
    if advice.link is Link.TLS_TO_ARCHIVE:
        yield "If the archive has a certificate of its vendor's, put that vendor's authority into `keys/ca.pem`."
        yield ""


def _rollout(advice: Advice) -> Iterator[str]:
    yield "## Rollout"
    yield ""
    yield "One stage at a time. Go on when `dicomgate audit list` shows what you expect for some days."
    yield ""
    for number, (stage, how, back) in enumerate(_stages(advice), 1):
        yield f"{number}. **{stage}.** {how} *Back:* {back}"
    yield ""


def _stages(advice: Advice) -> Iterator[tuple[str, str, str]]:
    answers, elsewhere = advice.answers, advice.answers.elsewhere
    yield (
        "Know who calls",
        "List every device, its AE title and its address, and compare with the peers in the files.",
        "nothing was changed.",
    )
    if advice.link is Link.CHANNEL:
        yield (
            "The tunnel",
            f"Bring up channel {CHANNEL} with dicomgate channel, and verify it before anything uses it.",
            "take the tunnel down; DICOM still goes its old way.",
        )
    if elsewhere is not None and elsewhere.gate is not None:
        port = (
            f" Let TCP {BETWEEN} from {answers.site.public or 'the site'} in."
            if (advice.link is Link.TLS_BETWEEN_GATES)
            else ""
        )
        yield (
            f"The gate of {elsewhere.name}",
            f"Start it beside the archive; nobody calls it yet.{port}",
            "stop it.",
        )
    yield (
        "The gate beside the old way",
        'Start it with mode = "monitor" and point one device at it. Monitor mode lets pass what a peer rule would'
        " refuse, so nothing from outside may reach it yet.",
        "point the device at the archive again.",
    )
    yield (
        "Enforce",
        'Write mode = "enforce", reload, and point the other devices at the gate one by one.',
        'write mode = "monitor" and reload.',
    )
    yield (
        "The archive takes calls from the gate only",
        "Limit it in its own settings, then in the firewall.",
        "take the limit out of the archive again.",
    )
    if advice.segmented:
        yield (
            "Segments",
            "dicomgate segment apply --confirm-within 5min, dicomgate segment verify from each segment, then dicomgate"
            ' segment confirm. Later other_traffic = "drop" for the imaging segment.',
            "do nothing: what is not confirmed goes by itself. Afterwards dicomgate segment revert --all.",
        )
    if any(each.ear is Ear.INSIDE_TLS for each in advice.admissions):
        yield (
            "TLS inside",
            "Give each device that can its certificate, one at a time.",
            'let the device call port 104 again, with assurance = "address" for its peer.',
        )
    if advice.exposed:
        yield (
            "Open the gate",
            f"Forward TCP {TLS} from the internet to the gate, and nothing else. Try it with one party first; then"
            " close the ways that the parties used before.",
            f"take the forwarding of TCP {TLS} away.",
        )
    if advice.link is Link.TLS_BETWEEN_GATES and answers.site.public is not None:
        yield (
            "The way back",
            f"For C-MOVE, let TCP {BACK} in from {elsewhere.public if elsewhere else ''} to the gate.",
            f"close TCP {BACK}; queries and storing go on.",
        )
    yield (
        "Watch",
        "Send the records to your own systems, and run dicomgate assess from outside now and then.",
        "not needed: it changes nothing.",
    )
