"""Records as CSV that a spreadsheet can open: cells in, lines out that neither run as a formula nor break a line."""

import csv
import io
import re
from collections.abc import Iterable, Iterator

_FORMULA = re.compile("(^|[;,|])( *[=+@\uff1d\uff0b\uff0d\uff20-])")
"""What spreadsheets take for the begin of a formula, also in full width, and also behind what may split a cell."""


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """RFC 4180 lines without their ends, the header first. None is an empty cell; a number stays a number.

    Text that a spreadsheet would take for a formula has an apostrophe before it, and what is not printable is written
    as an escape (`\\n`, `\\u202e`), so that each record is one line and shows what it is.
    """
    yield _line(header)
    for row in rows:
        yield _line(map(_cell, row))


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    shown = text if text.isprintable() else "".join(map(_shown, text))
    return _FORMULA.sub(r"\1'\2", shown)


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
