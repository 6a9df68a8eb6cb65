"""What the file may say and this version cannot do yet. Each is an error: nothing that was written is silently ignored.

A version that learns one of these deletes its line.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicomgate.config.document import Document
from dicomgate.config.problem import Problem


def _always(value: object) -> bool:
    return value is not None


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A key of a table (or the whole table, when `field` is None), and which of its values are meant."""

    table: str
    field: str | None
    what: str
    hint: str
    when: Callable[[object], bool] = _always


UNSUPPORTED = (
    Unsupported(
        "gate",
        "state",
        "a PostgreSQL store",
        'write state = "sqlite:///state/gate.db"; each gate then keeps its own records',
        lambda value: str(value).startswith("postgresql://"),
    ),
    Unsupported("gate", "shared", "sharing counters among gates", "remove the line; each gate then counts for itself"),
)


def unsupported(document: Document) -> Iterator[Problem]:
    """An error for everything in the file that this version would have to ignore."""
    for row in UNSUPPORTED:
        for entry in document.entries(row.table):
            if row.field is None or (
                row.field in entry.table.model_fields_set and row.when(getattr(entry.table, row.field))
            ):
                key = entry.key if row.field is None else f"{entry.key}.{row.field}"
                yield document.error(key, f"{row.what} is not available in this version", row.hint)
