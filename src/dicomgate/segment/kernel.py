"""The nftables of this machine, by way of the program nft: what is loaded, and transactions. All else is NftError.

One call of `nft -f` is one transaction: the kernel takes all of it or nothing, also when nft is killed meanwhile.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomgate.segment.nftables import BAN_SETS, HOOKS, TABLE, TRIAL_SET

SECONDS = 30
"""How long nft may take. It waits for the kernel's lock while another one writes."""
_CHAIN = re.compile(r"rules_([0-9a-f]{8}x?)_(?:input|forward|output|judge)")
_BLOCK = re.compile(r"^\t(?:set|chain|map|counter|flowtable) (\S+) \{\n(?:.*\n)*?\t\}$", re.MULTILINE)
_ELEMENTS = re.compile(r"\n\t\telements = \{[^}]*\}")


class NftError(Exception):
    """nft is missing, refused, or said what nobody can read. Nothing has changed."""

    def __init__(self, text: str, hint: str) -> None:
        self.text = text
        self.hint = hint
        super().__init__(f"{text}\n  hint: {hint}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the kernel holds of our table. `text` is nft's own listing, "" when there is no table.

    `current` is the generation that is confirmed, `trial` the one on trial, in force while `seconds_left` > 0;
    `over` are all generations that are there. `bans` are elements of the ban sets with the seconds they have left
    (None: for ever, which nothing of ours writes). `strangers` are chains and sets that are not ours.
    """

    text: str
    current: str | None = None
    trial: str | None = None
    seconds_left: int = 0
    generations: frozenset[str] = frozenset()
    bans: tuple[tuple[str, str, int | None], ...] = ()
    strangers: tuple[tuple[str, str], ...] = ()

    @property
    def in_force(self) -> str | None:
        """The generation that packets meet at this moment."""
        return self.trial if self.trial is not None and self.seconds_left > 0 else self.current


def load(lines: Iterable[str]) -> None:
    """One transaction. NftError when nft refuses it; then all is as it was."""
    _nft(["-f", "-"], "\n".join((*lines, "")))


def loaded() -> Loaded:
    """Our table as it is. A machine without it has an empty one; other tables are not looked at."""
    tables = _objects(_nft(["-j", "list", "tables"]), "table")
    if not any(f"{table.get('family')} {table.get('name')}" == TABLE for table in tables):
        return Loaded("")
    listing = _nft(["-j", "list", "table", *TABLE.split()])
    return _read(listing, _nft(["-s", "-nn", "list", "table", *TABLE.split()]))


def rehearsed(script: str) -> str:
    """What nft lists after loading a whole script into an empty network namespace: nothing of this machine changes.

    The kernel is asked to take the rules, so what it would refuse is refused here first.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NftError("unshare is not installed", "install util-linux")
    nft = _program()
    shell = f'"$0" -f - && "$0" -s -nn list table {TABLE}'
    return _run([unshare, "--net", "sh", "-c", shell, nft], script)


def comparable(text: str, generation: str | None) -> list[str]:
    """A listing as lines that two tables share when the same rules are in force: one generation, no elements."""
    lines: list[str] = []
    for block in _BLOCK.finditer(text):
        name = block[1]
        chain = _CHAIN.fullmatch(name)
        if chain is not None and chain[1] != generation:
            continue
        shown = _ELEMENTS.sub("", block[0]) if name in (*BAN_SETS.values(), TRIAL_SET) else block[0]
        for line in shown.splitlines():
            target = _CHAIN.search(line)
            if name in HOOKS and target is not None:
                if target[1] != generation:
                    continue
                line = line.replace(f"meta nfproto @{TRIAL_SET} ", "")  # noqa: PLW2901 - the line as it is compared
            lines.append(line.replace(f"rules_{generation}_", "rules_"))
    return lines


def _read(listing: str, text: str) -> Loaded:
    chains = [str(chain["name"]) for chain in _objects(listing, "chain")]
    sets = {str(each["name"]): each for each in _objects(listing, "set")}
    current, trial = None, None
    for rule in _objects(listing, "rule"):
        if rule.get("chain") == "input" and (target := _target(rule.get("expr"))) is not None:
            if TRIAL_SET in json.dumps(rule.get("expr")):
                trial = target
            else:
                current = target
    return Loaded(
        text=text,
        current=current,
        trial=trial,
        seconds_left=max((left or 0 for _, left in _elements(sets.get(TRIAL_SET, {}))), default=0),
        generations=frozenset(found[1] for name in chains if (found := _CHAIN.fullmatch(name))),
        bans=tuple((name, *element) for name in BAN_SETS.values() for element in _elements(sets.get(name, {}))),
        strangers=(
            *(("chain", name) for name in chains if name not in HOOKS and not _CHAIN.fullmatch(name)),
            *(("set", name) for name in sets if name not in (*BAN_SETS.values(), TRIAL_SET)),
        ),
    )


def _target(expr: object) -> str | None:
    """The generation that a rule of a base chain leads to."""
    found = re.search(r'"goto": \{"target": "([^"]*)"', json.dumps(expr))
    chain = _CHAIN.fullmatch(found[1]) if found else None
    return chain[1] if chain else None


def _elements(of_set: dict[str, object]) -> list[tuple[str, int | None]]:
    """An element as nft reads it again, and the seconds it has left."""
    found: list[tuple[str, int | None]] = []
    elements = of_set.get("elem", [])
    for element in elements if isinstance(elements, list) else []:
        inner = element.get("elem") if isinstance(element, dict) else None
        timed = inner if isinstance(inner, dict) else {"val": element}
        left = timed.get("expires", timed.get("timeout"))
        found.append((_value(timed.get("val")), left if isinstance(left, int) else None))
    return found


def _value(value: object) -> str:
    match value:
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"range": [first, last]}:
            return f"{first}-{last}"
        case _:
            return str(value)


def _objects(listing: str, kind: str) -> list[dict[str, object]]:
    try:
        found = json.loads(listing)["nftables"]
        return [each[kind] for each in found if kind in each]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NftError("nft answered what is no listing", "nft --version should say 1.0 or newer") from None


def _nft(arguments: Sequence[str], script: str | None = None) -> str:
    return _run([_program(), *arguments], script)


def _program() -> str:
    # /usr/sbin is not on every user's path.
    found = shutil.which("nft", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if found is None:
        raise NftError("nft is not installed", "apt-get install nftables")
    return found


def _run(command: Sequence[str], script: str | None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, and rules that only we write
            command, input=script, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise NftError(f"nft did not answer within {SECONDS} s", "another program may hold the kernel's lock") from None
    except OSError as error:
        raise NftError(f"{command[0]} cannot be started: {error.strerror}", "check the installation") from None
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if line.strip()), "no reason given")
        refused = "not permitted" in said or "Permission denied" in said
        hint = "run it as root (CAP_NET_ADMIN)" if refused else "nothing was changed"
        raise NftError(f"nft refused: {said[:200]}", hint)
    return done.stdout
