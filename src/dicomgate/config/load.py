"""A path in; a Configuration out, or a ConfigurationError that holds everything wrong with the file at once."""

import os
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dicomgate.channel.model import Channel, Site
from dicomgate.config.build import build, build_identity, build_trail
from dicomgate.config.crosscheck import crosscheck
from dicomgate.config.detection import alerts
from dicomgate.config.document import read_document
from dicomgate.config.files import examine_files
from dicomgate.config.identity import login
from dicomgate.config.identity_files import examine_identity
from dicomgate.config.lint import lint
from dicomgate.config.problem import ConfigurationError, Problem, Severity
from dicomgate.config.sinks import sink_tls, sinks
from dicomgate.config.surroundings import channels, segmentation, sites
from dicomgate.config.unsupported import unsupported
from dicomgate.gate.settings import ClientTls, GateSettings
from dicomgate.iam.oidc.settings import LoginSettings
from dicomgate.iam.settings import IdentitySettings
from dicomgate.policy.model import Endpoint
from dicomgate.segment.model import Segmentation
from dicomgate.sinks.alerts import AlertSettings
from dicomgate.sinks.settings import SinkSettings
from dicomgate.store.settings import TrailSettings

LARGEST_FILE = 8 * 1024**2
"""Bytes. Thousands of peers fit; a device file or a disk image named by mistake does not fill the memory."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the file says. Two that compare equal make the same gate.

    `state` is a database URL as written; a path in it is relative to `base`, the directory of the file.
    `segmentation` is None when the file has neither [segmentation] nor a [[segment]].
    """

    settings: GateSettings
    state: str
    base: Path
    trail: TrailSettings
    sites: tuple[Site, ...] = ()
    channels: tuple[Channel, ...] = ()
    segmentation: Segmentation | None = None
    warnings: tuple[Problem, ...] = ()
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    login: LoginSettings | None = None
    sinks: tuple[SinkSettings, ...] = ()
    sink_tls: Mapping[str, ClientTls] = field(default_factory=dict)
    """By name of the sink; one that is missing has no `tls` of its own."""
    metrics: Endpoint | None = None
    """Where metrics are served."""
    alerts: tuple[AlertSettings, ...] = ()
    """Who is told of findings."""


def load(path: Path, *, files: bool = True) -> Configuration:
    """Read, judge and build. ConfigurationError names the file as it was given.

    With `files`, those that it names (certificates, keys, …) are examined too. Who only asks about rules or records
    may not even be allowed to read them.
    """
    # Not resolved: a file that is a link (as in a container's mounted volume) is moved by its link, not its target.
    configuration = interpret(parse(_read(path), str(path)), str(path), path.absolute().parent)
    if not files:
        return configuration
    now = time.time()
    problems = (
        *examine_files(configuration.settings, configuration.sink_tls, str(path), now),
        *examine_identity(configuration.identity.verifiers, configuration.login, str(path), now),
    )
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ConfigurationError((*problems, *configuration.warnings))
    return replace(configuration, warnings=(*configuration.warnings, *problems))


def interpret(data: Mapping[str, object], file: str, base: Path) -> Configuration:
    """Judge and build TOML values; `file` is the name to show. Other files are not looked at."""
    document, errors = read_document(data, file)
    errors += crosscheck(document)
    unavailable = tuple(unsupported(document))
    if errors:
        raise ConfigurationError((*errors, *unavailable))
    settings = build(document, base)
    warnings = lint(document, settings)
    if unavailable:
        raise ConfigurationError((*unavailable, *warnings))
    return Configuration(
        settings,
        document.gate.table.state,
        base,
        build_trail(document, base),
        tuple(sites(document).values()),
        channels(document, base),
        segmentation(document),
        warnings,
        build_identity(document, base),
        None if document.login is None else login(document.login.table, base),
        sinks(document, base),
        sink_tls(document, base),
        None if document.metrics is None else document.metrics.table.bind,
        alerts=alerts(document, base),
    )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise _unusable(path, "expected a file, but there is none", "check the path given with -c") from None
    except IsADirectoryError:
        raise _unusable(
            path, "expected a file, came a directory", "name the file in it, for instance gate.toml"
        ) from None
    except PermissionError:
        raise _unusable(
            path, "expected a readable file, but reading it is not permitted", "let the user that runs the gate read it"
        ) from None
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "the path is not valid"
        raise _unusable(path, f"expected a readable file: {reason}", "check the path given with -c") from None
    if len(content) > LARGEST_FILE:
        raise _unusable(path, f"expected at most {LARGEST_FILE} bytes, came more", "check that this is the right file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unusable(
            path, "expected UTF-8 text, came other bytes", "save the file as UTF-8 in the editor", f"line {line}"
        ) from None


def parse(text: str, file: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line = _syntax(str(error), text)
        hint = "strings need quotes, arrays brackets, and each key stands once in its table"
        raise ConfigurationError([Problem(file, f"line {line}", Severity.ERROR, message, hint)]) from None
    except (ValueError, RecursionError):
        # What the parser lets through from int() and from its own stack.
        hint = "look for a number of thousands of digits or for hundreds of nested brackets"
        raise ConfigurationError([Problem(file, "", Severity.ERROR, "expected TOML of sane size", hint)]) from None


def _syntax(message: str, text: str) -> tuple[str, int]:
    """The parser's message without its place, and the line."""
    if found := re.search(r" \(at line ([0-9]+), column [0-9]+\)$", message):
        return f"not valid TOML: {message[: found.start()]}", int(found[1])
    return f"not valid TOML: {message.removesuffix(' (at end of document)')}", text.count("\n") + 1


def _unusable(path: Path, text: str, hint: str, key: str = "") -> ConfigurationError:
    return ConfigurationError([Problem(str(path), key, Severity.ERROR, text, hint)])
