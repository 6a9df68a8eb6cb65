"""Advice in; the stages of a rollout out, each with how to do it and how to go back. Pure.

Read by people who administer an archive and its devices: addresses and ports stand where they are needed.
"""

from collections.abc import Iterator

from dicomgate.channel.model import Termination
from dicomgate.plan.answers import Directory, ElsewhereAnswers
from dicomgate.plan.decide import Advice, Ear, Link, Proof
from dicomgate.plan.gates import ARCHIVE_SIDE, BACK, BETWEEN, INSIDE_TLS, PLAIN, TLS, called_back

Stage = tuple[str, str, str]
"""Its name, how, and how back."""


def stages(advice: Advice) -> Iterator[Stage]:
    """In the order in which they are gone: nothing is opened to the outside before all inside is well."""
    yield (
        "Know who calls",
        "List every device, its AE title and its address, and compare with the peers in the files.",
        "nothing was changed.",
    )
    yield from _tunnel(advice)
    yield from _there(advice)
    yield from _here(advice)
    yield from _archive(advice)
    if advice.segmented:
        yield (
            "Segments",
            "On the gate host: `dicomgate segment apply --confirm-within 5min`, then `dicomgate segment verify` from a"
            ' machine of each segment, then `dicomgate segment confirm`. Later write `other_traffic = "drop"` for the'
            " imaging segment, and do it again.",
            "do nothing: what is not confirmed goes by itself. Afterwards `dicomgate segment revert --all`.",
        )
    yield from _certificates(advice)
    yield from _users(advice)
    yield from _opening(advice)
    yield (
        "Watch",
        "Send the records to your own systems ([[sink]]), and run `dicomgate assess` from outside now and then.",
        "not needed: it changes nothing.",
    )


def _tunnel(advice: Advice) -> Iterator[Stage]:
    answers, elsewhere = advice.answers, advice.answers.elsewhere
    if advice.link is not Link.CHANNEL or elsewhere is None:
        return
    here, there = answers.site.name, elsewhere.name
    ends_here = elsewhere.termination is Termination.GATE_HOST
    verified = [place for place, ends in ((here, ends_here), (there, elsewhere.gate is not None)) if ends]
    how = [
        f"On the gate host of {place} `dicomgate channel apply -c {place}/gate.toml`, then `dicomgate channel verify`."
        for place in verified
    ]
    if len(verified) < 2:
        how.append(
            f"`dicomgate channel render -c {here}/gate.toml --output files` writes what the administrators of the other"
            " machines need on which it ends."
        )
    yield (
        "The tunnel",
        f"{' '.join(how)} Nothing uses it yet.",
        "`dicomgate channel down`, and DICOM still goes its old way." if verified else "take it down there.",
    )


def _there(advice: Advice) -> Iterator[Stage]:
    elsewhere, site = advice.answers.elsewhere, advice.answers.site
    if elsewhere is None or elsewhere.gate is None:
        return
    port = ""
    if advice.link is Link.TLS_BETWEEN_GATES:
        port = f" Let TCP {BETWEEN} from {site.public or 'the site'} in."
    yield (
        f"The gate of {elsewhere.name}",
        f"Start it beside the archive: `dicomgate run -c {elsewhere.name}/gate.toml`. Nobody calls it yet.{port}",
        "stop it.",
    )


def _here(advice: Advice) -> Iterator[Stage]:
    answers = advice.answers
    ears = {each.ear for each in advice.admissions}
    doors = [
        f"port {port}{how}"
        for ear, port, how in ((Ear.INSIDE, PLAIN, ""), (Ear.INSIDE_TLS, INSIDE_TLS, " (TLS)"))
        if ear in ears
    ]
    name, run = answers.site.name, f"`dicomgate run -c {answers.site.name}/gate.toml`"
    if not doors:
        yield f"The gate of {name}", f"Start it: {run}. Nobody inside has to call it.", "stop it."
        return
    yield (
        f"The gate of {name} beside the old way",
        f'Write `mode = "monitor"` below [gate], start it with {run}, and let one device call {answers.site.gate}, '
        f"{' or '.join(doors)}, AE title {answers.archive.ae_title} as before. Monitor mode lets pass what a peer rule"
        " would refuse, so nothing from outside may reach it yet.",
        "let the device call the archive again.",
    )
    yield (
        "Enforce",
        'Write `mode = "enforce"`, reload (SIGHUP), and let the other devices call the gate, one by one.',
        'write `mode = "monitor"` and reload.',
    )


def _archive(advice: Advice) -> Iterator[Stage]:
    answers, elsewhere = advice.answers, advice.answers.elsewhere
    beside = elsewhere is not None and elsewhere.gate is not None
    at_the_archive = elsewhere.gate if elsewhere is not None and beside else answers.site.gate
    back = called_back(advice)
    if advice.link is Link.TLS_BETWEEN_GATES and back and elsewhere is not None:
        yield (
            "The way back",
            f"For C-MOVE, let TCP {BACK} in from {elsewhere.public} to the gate of {answers.site.name}.",
            f"close TCP {BACK}; queries and storing go on.",
        )
    if back:
        titles = ", ".join(title for each in back for title in each.party.ae_titles)
        port = ARCHIVE_SIDE if beside else PLAIN
        yield (
            "Where the archive sends to",
            f"In the archive's list of destinations, {titles}: address {at_the_archive}, port {port}. The gates pass on"
            f" what comes for them, so these devices have to take calls from {answers.site.gate}.",
            "write the devices' own addresses there again.",
        )
    caller = answers.site.public or "your public address" if advice.link is Link.TLS_TO_ARCHIVE else at_the_archive
    yield (
        "The archive takes calls from the gate only",
        f"Let it take associations from {caller} and nobody else: in its own settings, then in the firewall.",
        "take the limit out of the archive again.",
    )


def _certificates(advice: Advice) -> Iterator[Stage]:
    if any(each.ear is Ear.INSIDE_TLS for each in advice.admissions):
        yield (
            "TLS inside",
            "Give each device that can its certificate, one at a time.",
            "let the device call the archive again.",
        )


def _users(advice: Advice) -> Iterator[Stage]:
    if not any(each.proof is Proof.USER for each in advice.admissions):
        return
    file = f"{_exposed_at(advice)}/gate.toml"
    directory = advice.answers.directory
    if directory is Directory.NONE:
        yield (
            "Users",
            f"`dicomgate user add NAME --role reader -c {file}` for each person.",
            f"`dicomgate user disable NAME -c {file}`.",
        )
        return
    yield (
        "Users",
        f"Describe the {directory} verifier and the role in {file}, as it stands there. Until then every user is"
        " refused.",
        "take them out again, and reload.",
    )


def _opening(advice: Advice) -> Iterator[Stage]:
    if advice.exposed:
        yield (
            "Open the gate",
            f"Forward TCP {TLS} from the internet to the gate of {_exposed_at(advice)}, and nothing else. Try it with"
            " one party first; then close the ways that the parties used before.",
            f"take the forwarding of TCP {TLS} away.",
        )


def _exposed_at(advice: Advice) -> str:
    """The place whose gate those outside call: where the archive is, if there can be one."""
    elsewhere: ElsewhereAnswers | None = advice.answers.elsewhere
    return elsewhere.name if elsewhere is not None and elsewhere.gate is not None else advice.answers.site.name
