"""The transcript: results come in one by one, lines for people go out. Eighty columns, plain when not on a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.text import Text

from dicomgate.demo.archive import AssociationSeen, ConnectionSeen, OperationSeen, Seen
from dicomgate.demo.result import Result
from dicomgate.demo.stage import Explanation

_PICTURE = """\
 CT1 (modality) ............ inside  |
                                     |-- dicomgate --> ARCHIVE
 READER1 (reading station).. outside |                 trusts any AE title
 VIEWER (work list) ........ outside |

 CT1      may echo and store
 READER1  may echo, find, get, and move to itself
 VIEWER   may echo and find
 CT2      may echo and store, but only from 127.0.0.9
 anybody else: nothing"""

_NEXT = """\
The configuration of this demo is an ordinary one. README.md shows ten lines
that put a gate in front of your own archive; `dicomgate check -c FILE` tells
what is wrong or weak in it before it runs. With `dicomgate demo --keep` the
configuration, the log and the records of the demo stay to look at."""


class Transcript:
    """Writes what happened to a rich console, as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        fancy = (console.encoding or "").lower().startswith("utf")
        self._marks = {True: "✓", False: "✗"} if fancy else {True: "+", False: "!"}

    def opening(self) -> None:
        """What stands where, before the first step."""
        self._heading("An archive, a gate and real clients, all on this machine")
        for line in _PICTURE.splitlines():
            self._print(line)

    def chapter(self, title: str) -> None:
        self._heading(title)

    def step(self, result: Result) -> None:
        """One step: what it was, what was expected, what happened, what the archive saw, what was recorded."""
        step = result.step
        if result.not_run:
            self._title("-", "yellow", step.title, step.client)
            self._details([("not run", result.not_run)])
            return
        self._title(self._marks[result.held], "green" if result.held else "bold red", step.title, step.client)
        details = [
            ("expected", " or: ".join(_sentence(answers) for answers in step.expected)),
            ("happened", _sentence(result.answers)),
            ("archive", _glimpse(result.seen)),
        ]
        details += [
            ("refusal", f"{refusal.refusal_id}: {refusal.reason} [{refusal.rule}]") for refusal in result.refusals
        ]
        details += [("WRONG", problem) for problem in result.problems]
        self._details(details)

    def explanation(self, explanation: Explanation) -> None:
        """What `dicomgate explain` says about the step before."""
        self._print(f"    $ {explanation.command}", "bold")
        for line in explanation.text.rstrip().splitlines():
            self._print_hanging("    ", line, "dim")

    def archive_log(self, seen: Sequence[Seen]) -> None:
        """The archive's own log, one line per connection."""
        self._heading("The archive's own log")
        for group in _by_connection(seen):
            self._print_hanging("  ", _log_line(group))

    def closing(self, results: Sequence[Result], seen: Sequence[Seen], problems: Sequence[str]) -> None:
        """Totals, and whether everything was as it should be."""
        ran = [result for result in results if not result.not_run]
        held = sum(result.held for result in ran)
        self._heading("In short")
        details = [("steps", f"{held} of {len(ran)} as expected, {len(results) - len(ran)} not run")]
        if problems:
            details += [("WRONG", problem) for problem in problems]
        else:
            connections = sum(isinstance(one, ConnectionSeen) for one in seen)
            refused = sum(result.step.caller is None for result in ran)
            details.append(
                ("archive", f"saw {connections} connections, all of them allowed, and none of {refused} refused ones")
            )
        self._details(details)

    def next(self) -> None:
        """Where to go from here."""
        self._heading("What next")
        for line in _NEXT.splitlines():
            self._print(line)

    def kept(self, folder: Path) -> None:
        """What was left in place."""
        self._print(f"Kept: {folder}")
        self._print(f"      dicomgate audit list -c {folder / 'gate.toml'}")

    def failure(self, text: str) -> None:
        """The demo itself could not go on."""
        for line in f"{self._marks[False]} {text}".splitlines():
            self._print(line, "bold red")

    def _heading(self, title: str) -> None:
        for line in ("", title, "-" * len(title)):
            self._print(line, "bold")

    def _title(self, mark: str, style: str, title: str, client: str) -> None:
        gap = self._console.width - len(f"{mark} {title}{client}")
        line = Text.assemble((mark, style), " ", title, " " * max(gap, 1), (client, "dim"))
        self._console.print(line, soft_wrap=True)

    def _details(self, details: Iterable[tuple[str, str]]) -> None:
        for label, text in details:
            self._print_hanging(f"    {label:<8}  ", text, "bold red" if label == "WRONG" else "")

    def _print_hanging(self, indent: str, text: str, style: str = "") -> None:
        """Wrapped at the console's width, every line as far in as the first, and without blanks at its end."""
        lines = wrap(text, max(self._console.width - len(indent), 20), break_on_hyphens=False) or [""]
        for index, line in enumerate(lines):
            self._print((" " * len(indent) if index else indent) + line, style)

    def _print(self, line: str, style: str = "") -> None:
        # as Text: the brackets of a rule's name are no markup; a long path stays on one line, to be copied
        self._console.print(Text(line, style), soft_wrap=True)


def _sentence(answers: Iterable[object]) -> str:
    return "; ".join(map(str, answers)) or "nothing"


def _glimpse(seen: Sequence[Seen]) -> str:
    """What the archive saw of one step, in one line."""
    callers = Counter(one.calling_ae_title for one in seen if isinstance(one, AssociationSeen))
    operations = Counter(one.command for one in seen if isinstance(one, OperationSeen))
    connections = sum(isinstance(one, ConnectionSeen) for one in seen)
    if not seen:
        return "saw nothing, not even a connection"
    if not callers:
        return f"saw {_times('TCP connection', connections)} without an association"
    inside = ", ".join(_times(command, count) for command, count in operations.items()) or "no operation"
    return f"saw an association of {', '.join(_times(caller, n) for caller, n in callers.items())}: {inside}"


def _log_line(seen: Sequence[Seen]) -> str:
    """One connection of the archive's log, in its own words."""
    what, *more = [str(one) for one in seen if not isinstance(one, ConnectionSeen)] or [str(seen[0])]
    return f"{what}: {', '.join(_times(each, n) for each, n in Counter(more).items()) or 'no operation'}"


def _times(what: str, count: int) -> str:
    return what if count == 1 else f"{what} x {count}"


def _by_connection(seen: Sequence[Seen]) -> list[list[Seen]]:
    groups: list[list[Seen]] = []
    for one in seen:
        if isinstance(one, ConnectionSeen) or not groups:
            groups.append([])
        groups[-1].append(one)
    return groups
