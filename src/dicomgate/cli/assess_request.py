"""What the words of `dicomgate assess` mean: targets, scope, consent and inputs in; checked values, or exit status 2.

Everything that is wrong is said here, before a packet is sent.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import typer

from dicomgate.assess.inputs import (
    Channel,
    InputError,
    Inputs,
    WebService,
    read_channels,
    read_indexed,
    read_segments,
    read_usage,
)
from dicomgate.assess.line import Endpoint, KeyPair
from dicomgate.assess.scope import (
    MOST_TARGETS,
    Named,
    Resolved,
    Scope,
    expand,
    read_named,
    read_scope,
    resolve,
    scope_of_options,
)
from dicomgate.cli.speech import WRONG, fail
from dicomgate.wire.text import is_valid_ae_title, is_valid_uid


def targets_of(words: Iterable[str], file: Path | None) -> list[Named]:
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            fail(f"--targets: {file} cannot be read as text", "name a file with one HOST:PORT a line")
        words = [*words, *(line.partition("#")[0] for line in lines if line.partition("#")[0].strip())]
    wanted: dict[Named, None] = {}
    for word in words:
        try:
            wanted.update(dict.fromkeys(expand(word)))
        except ValueError as error:
            fail(f"expected HOST:PORT or NETWORK/BITS:PORT, came {word.strip()[:80]!r} ({error})", "10.1.1.5:104")
    if len(wanted) > MOST_TARGETS:
        fail(f"expected at most {MOST_TARGETS} targets, came {len(wanted)}", "assess one network after the other")
    return list(wanted)


def permission_of(
    scope: Path | None, authorised: str | None, contact: str, ports: str, wanted: Sequence[Named]
) -> Scope:
    if (scope is None) is (authorised is None):
        hint = 'without a scope nothing is sent: write a file, or --authorised "J. Doe, head of IT, ticket 4711"'
        fail("give either --scope FILE or --authorised TEXT", hint)
    if scope is not None:
        if contact or ports:
            fail("--contact and --ports belong to --authorised", "write them into the scope file")
        return read_scope(scope)
    if not wanted:
        fail("expected at least one target", "for instance dicomgate assess 10.1.1.5:104")
    try:
        numbers = sorted({int(number) for number in ports.split(",") if number.strip()})
    except ValueError:
        fail(f"--ports: expected numbers, came {ports[:60]!r}", "for instance --ports 104,11112")
    if any(not 0 < number < 65536 for number in numbers) or len(numbers) > 32:
        fail("--ports: expected up to 32 ports of 1 to 65535", "for instance --ports 104,11112")
    return scope_of_options(authorised or "", contact, wanted, numbers)


def check_titles(
    called: str | None, scope: Scope, placed: Sequence[Resolved], known_calling: str | None, move_to: str | None
) -> None:
    for option, title in (("--called", called), ("--known-calling", known_calling), ("--move-to", move_to)):
        if title is not None and not is_valid_ae_title(title):
            fail(f"{option}: expected an AE title, came {title[:40]!r}", "1 to 16 printable characters, no backslash")
    if called is None and any(target.named.called_ae_title is None for target in placed):
        fail("expected --called TITLE", "the AE title of the archive; or write called = … for each [[target]]")
    if not placed:
        fail("the scope names no target", "name one: dicomgate assess HOST:PORT …")


def check_interval(interval: float, placed: Sequence[Resolved]) -> None:
    own = all(target.endpoint is None or ip_address(target.endpoint.address).is_loopback for target in placed)
    if not 0 <= interval <= 60 or (interval < 1 and not own):
        fail(f"--interval: expected 1 to 60 seconds, came {interval:g}", "less only for targets on this machine")


def lab_targets(words: Iterable[str], placed: Sequence[Resolved]) -> frozenset[str]:
    names = {str(target.named) for target in placed}
    for word in words:
        if word not in names:
            fail(
                f"--lab: {word[:80]!r} is no target of this run",
                f"write it as the target: {', '.join(sorted(names)[:4])}",
            )
    return frozenset(words)


def study_uid(text: str | None) -> str | None:
    if text is not None and not is_valid_uid(text):
        fail(f"--planted-study: expected a UID, came {text[:64]!r}", "digits and dots")
    return text


def key_pair(certificate: Path | None, key: Path | None, option: str, key_option: str) -> KeyPair | None:
    if (certificate is None) is not (key is None):
        fail(f"{option} and {key_option} belong together", "give both, or neither")
    for file in (certificate, key):
        if file is not None and not file.is_file():
            fail(f"{file}: no such file", "expected PEM")
    return None if certificate is None or key is None else KeyPair(certificate, key)


def folder_of(folder: Path | None) -> Path | None:
    if folder is not None and not folder.is_dir():
        fail(f"--files: {folder} is no folder", "name the folder that holds the stored files")
    return folder


def placed_inputs(
    inputs: Inputs,
    scope: Scope,
    placed: Sequence[Resolved],
    zone: str | None,
    dicomweb: Iterable[str],
    beyond_channel: Iterable[str],
) -> Inputs:
    if zone is not None and zone not in scope.zones:
        fail(f"--zone: {zone[:60]!r} is not in the scope", f"known there: {', '.join(scope.zones) or 'no zone'}")
    return replace(
        inputs,
        ports=scope.ports,
        declared=frozenset(target.endpoint for target in placed if target.endpoint is not None),
        zone=None if zone is None else scope.zones[zone],
        dicomweb=tuple(_service(url) for url in dicomweb),
        beyond_channel=tuple(_endpoint(text) for text in beyond_channel),
    )


def _service(url: str) -> WebService:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not url.isascii():
        fail(f"--dicomweb: expected http://HOST:PORT/PATH, came {url[:80]!r}", "without a name and password")
    addresses = resolve(parts.hostname)
    if not addresses:
        fail(f"--dicomweb: {parts.hostname[:80]} has no address", "write the address")
    tls = parts.scheme == "https"
    return WebService(url, parts.netloc, Endpoint(addresses[0], port or (443 if tls else 80)), parts.path, tls)


def _endpoint(text: str) -> Endpoint:
    try:
        named = read_named(text)
        return Endpoint(str(ip_address(named.host)), named.port)
    except ValueError:
        fail(f"--beyond-channel: expected ADDRESS:PORT, came {text[:80]!r}", "the peer site's real address")


def read_files(
    inputs: Inputs, records: Path | None, indexed: Path | None, segments: Path | None, channels: Path | None
) -> Inputs:
    try:
        return replace(
            inputs,
            usage=None if records is None else read_usage(records),
            indexed=None if indexed is None else read_indexed(indexed),
            segments=None if segments is None else read_segments(segments),
            channels=_channels([file for file in (channels, segments) if file is not None]),
        )
    except InputError as error:
        print(f"dicomgate: error: {error}", file=sys.stderr)
        raise typer.Exit(WRONG) from None


def _channels(files: Iterable[Path]) -> tuple[Channel, ...] | None:
    """Each channel once, from the first file that has it: channel verify knows more of it than segment verify."""
    known: dict[str, Channel] = {}
    for file in files:
        for channel in read_channels(file):
            known.setdefault(channel.name, channel)
    return tuple(known.values()) or None
