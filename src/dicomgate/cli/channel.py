"""`dicomgate channel`: tunnels between sites, rendered, applied, looked at and proven."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dicomgate.audit.record import iso_time
from dicomgate.channel import guard, ipsec, keys, observe, result, sheet, wireguard, words
from dicomgate.channel.echo import EchoTarget
from dicomgate.channel.model import Authentication, Channel, ChannelEnd, ChannelKind, Termination
from dicomgate.channel.problem import ChannelError
from dicomgate.channel.proof import leads_through
from dicomgate.channel.verify import Finding, judge
from dicomgate.channel.watch import look_at
from dicomgate.cli.speech import DENIED, AsJson, ConfigFile, fail, say
from dicomgate.config.load import Configuration, load
from dicomgate.config.problem import WrongValueError
from dicomgate.config.units import endpoint, literal
from dicomgate.wire.text import is_valid_ae_title

PUBLIC, PRIVATE = 0o644, 0o600

channel = typer.Typer(help="Tunnels between sites.", no_args_is_help=True)

ChannelName = Annotated[
    str | None, typer.Option("--channel", metavar="NAME", help="One channel; without it all that end here.")
]
End = Annotated[str | None, typer.Option("--end", metavar="SITE", help="The end at this site; without it the own one.")]


@channel.command("render")
def channel_render(
    config: ConfigFile,
    name: ChannelName = None,
    site: End = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the files there, not to stdout.")
    ] = None,
) -> None:
    """The files of one end: swanctl.conf or wg-quick, firewall rules, and a sheet for the other side."""
    for each, end in _chosen(load(config, files=False), name, site):
        with _explained():
            files = dict(_rendered(each, end))
        if output is None:
            for file, (text, mode) in files.items():
                said = text.rstrip("\n") if mode == PUBLIC else "# It holds a secret: give --output DIR."
                say([f"# ---- {file}", said])
            continue
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, (text, mode) in files.items():
            _write(output / file, text, mode)
            say([str(output / file)])


@channel.command("apply")
def channel_apply(config: ConfigFile, name: ChannelName = None) -> None:
    """Load the own end: the firewall rules first, then the tunnel."""
    for each, end in _chosen(load(config, files=False), name, None):
        with _explained():
            observe.apply(each, end)
        print(f"channel {each.name}: applied", file=sys.stderr)


@channel.command("down")
def channel_down(config: ConfigFile, name: ChannelName = None) -> None:
    """Remove the own end of a tunnel. Its firewall rules stay, so that nothing leaves in clear."""
    for each, end in _chosen(load(config, files=False), name, None):
        with _explained():
            observe.take_down(each, end)
        print(f"channel {each.name}: taken down; its rules stay in table {words.table(each)}", file=sys.stderr)


@channel.command("status")
def channel_status(config: ConfigFile, name: ChannelName = None, as_json: AsJson = False) -> None:
    """Whether each channel is up, as the gate would see it now."""
    every_up = True
    for each, end in _chosen(load(config, files=False), name, None):
        try:
            wrong = look_at(each).wrong
            wrong = observe.down_because(each, end, wrong) if wrong is not None else observe.silence(each)
        except ChannelError as error:
            wrong = error.text
        every_up = every_up and wrong is None
        row = {"channel": each.name, "kind": each.kind.value, "up": wrong is None, "reason": wrong}
        say([json.dumps(row) if as_json else f"{each.name}  {'up' if wrong is None else f'down: {wrong}'}"])
    if not every_up:
        raise typer.Exit(DENIED)


@channel.command("verify")
def channel_verify(
    config: ConfigFile,
    name: ChannelName = None,
    ask: Annotated[
        str | None, typer.Option("--echo", metavar="HOST:PORT", help="Whom to send the C-ECHO; else an archive there.")
    ] = None,
    called: Annotated[str, typer.Option(metavar="TITLE", help="Called AE title of the C-ECHO.")] = "ANY-SCP",
    calling: Annotated[str, typer.Option(metavar="TITLE", help="Calling AE title of the C-ECHO.")] = "DICOMGATE",
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result for the assessor (JSON).")
    ] = None,
) -> None:
    """Prove it on the running host: identity, algorithms, selectors, traffic, and nothing beside the tunnel."""
    configuration = load(config, files=False)
    found = []
    for each, end in _chosen(configuration, name, None):
        target = _target(configuration, each, ask, called, calling)
        with _explained():
            findings = judge(each, end, observe.observe(each, end, target))
        found.append((each, findings))
        say(_line(each, finding, as_json) for finding in findings)
    if output is not None:
        now = time.time()
        document = result.document(found, configuration.settings.name, iso_time(now), now)
        _write(output, json.dumps(document, indent=2) + "\n", PUBLIC)
    if not all(finding.ok for _, findings in found for finding in findings):
        raise typer.Exit(DENIED)


@channel.command("keys")
def channel_keys(
    config: ConfigFile,
    name: ChannelName = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Make the next secret, beside the present one.")] = False,
    activate: Annotated[bool, typer.Option("--activate", help="Put the prepared secret in its place.")] = False,
) -> None:
    """Make the secrets that are missing (mode 0600) and print public keys. Secrets are never printed."""
    if prepare and activate:
        fail("--prepare came together with --activate", "give one of them; the other end changes in between")
    for each, end in _chosen(load(config, files=False), name, None):
        with _explained():
            say(_keys(each, end, prepare, activate))


def _keys(each: Channel, end: ChannelEnd, prepare: bool, activate: bool) -> Iterator[str]:
    if each.kind is ChannelKind.WIREGUARD and end.private_key is not None:
        private, done = _renewed(end.private_key, each.key("ends.key"), keys.new_private_key, prepare, activate)
        yield f"{each.name}  public_key  {keys.public_key(private)}  {done}"
    if each.psk_file is not None:
        _, done = _renewed(each.psk_file, each.key("psk_file"), keys.new_shared_secret, prepare, activate)
        yield f"{each.name}  psk_file  {each.psk_file}  {done}"


def _renewed(path: Path, key: str, make: Callable[[], str], prepare: bool, activate: bool) -> tuple[str, str]:
    if activate:
        return keys.activate(path, key), "activated"
    if prepare:
        return keys.prepare(path, key, make), "prepared"
    secret, made = keys.ensure(path, key, make)
    return secret, "made" if made else "present"


def _rendered(each: Channel, end: ChannelEnd) -> Iterator[tuple[str, tuple[str, int]]]:
    """File name, text and mode, for every file of this end."""
    name = words.name(each.name)
    if end.termination is Termination.ROUTER:
        yield f"{name}-{words.name(end.site.name)}.txt", (sheet.sheet(each, end), PUBLIC)
        return
    if each.kind is ChannelKind.IPSEC:
        yield f"{name}.conf", (ipsec.swanctl_conf(each, end), PUBLIC)
        if each.authentication is Authentication.PSK and each.psk_file is not None and os.path.exists(each.psk_file):
            yield (
                f"{name}-secret.conf",
                (ipsec.secrets_conf(each, end, keys.read_secret(each.psk_file, each.key("psk_file"))), PRIVATE),
            )
    else:
        yield f"{words.device(each, end)}.conf", (wireguard.configuration(each, end), PUBLIC)
    if end.termination is Termination.GATE_HOST or end.interface is not None or end.mark is not None:
        yield f"{name}.nft.json", (guard.table(each, end), PUBLIC)
    if end.termination is Termination.SEPARATE_HOST:
        yield f"{name}-tunnel-host.nft.json", (guard.table(*guard.where_it_ends(each, end)), PUBLIC)
    other = ipsec.remote_of(each, end)
    if other.termination is Termination.ROUTER:
        yield f"{name}-{words.name(other.site.name)}.txt", (sheet.sheet(each, other), PUBLIC)


def _chosen(configuration: Configuration, name: str | None, site: str | None) -> list[tuple[Channel, ChannelEnd]]:
    """The channels that were asked for, each with the end that was asked for."""
    names = [each.name for each in configuration.channels]
    if name is not None and name not in names:
        fail(f"--channel: there is no channel {name!r}", f"channels in the file: {', '.join(names) or 'none'}")
    found = []
    for each in configuration.channels:
        if name in (None, each.name):
            end = each.own if site is None else next((end for end in each.ends if end.site.name == site), None)
            if end is not None:
                found.append((each, end))
            elif name is not None:
                fail(f"channel {name} has no end at {site or 'the own site'}", "check --end and own = true")
    if not found:
        fail("no channel of the file has such an end", "write a [[channel]] with an end at the own site")
    return found


def _target(
    configuration: Configuration, each: Channel, ask: str | None, called: str, calling: str
) -> EchoTarget | None:
    for option, title in (("--called", called), ("--calling", calling)):
        if not is_valid_ae_title(title):
            fail(f"{option}: expected an AE title, came {title!r}", "at most 16 characters, no backslash")
    if ask is not None:
        try:
            place = endpoint(ask)
        except WrongValueError as error:
            fail(f"--echo: {error}", "write for instance 10.20.1.5:104")
        return EchoTarget(place.host, place.port, called, calling)
    for archive in configuration.settings.rules.archives:
        for place in archive.endpoints:
            address = literal(place.host)
            if address is not None and leads_through(each, address):
                return EchoTarget(place.host, place.port, archive.ae_title, calling)
    return None


def _line(each: Channel, finding: Finding, as_json: bool) -> str:
    if as_json:
        return json.dumps({"channel": each.name, "check": finding.check, "ok": finding.ok, "text": finding.text})
    return f"{each.name}  {'ok  ' if finding.ok else 'FAIL'}  {finding.check}: {finding.text}"


@contextmanager
def _explained() -> Iterator[None]:
    """A channel's error is the administrator's, and ends the command."""
    try:
        yield
    except ChannelError as error:
        fail(error.text, error.hint)


def _write(path: Path, text: str, mode: int) -> None:
    """Beside its place first: nobody reads half a file, and a secret is never readable for others."""
    beside = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}", "check the folder and its permissions")
