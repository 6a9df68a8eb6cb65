"""Which records a detector counts, as data: the gate runs it, and export.py writes it for other systems."""

from dataclasses import dataclass
from enum import StrEnum

from dicomgate.audit.record import Event, Record


class Test(StrEnum):
    """How a text is compared."""

    EQUALS = "equals"
    STARTS = "startswith"
    ENDS = "endswith"
    CONTAINS = "contains"

    def holds(self, text: str, wanted: tuple[str, ...]) -> bool:
        match self:
            case Test.EQUALS:
                return text in wanted
            case Test.STARTS:
                return text.startswith(wanted)
            case Test.ENDS:
                return text.endswith(wanted)
            case Test.CONTAINS:
                return any(word in text for word in wanted)


Test.__test__ = False  # type: ignore[attr-defined] # pytest would take it for tests


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of the record (`detail.KEY` for a detail) is a text that compares with one of `values`."""

    field: str
    test: Test
    values: tuple[str, ...]

    def holds(self, record: Record) -> bool:
        text = text_of(record, self.field)
        return text in self.values if self.test is Test.EQUALS else self.test.holds(text, self.values)


@dataclass(frozen=True, slots=True)
class Signal:
    """Records of these events for which all conditions hold and none of the exceptions.

    They are counted for each value of the field `group_by`; with `distinct`, the different values of that field are.
    """

    events: tuple[Event, ...]
    conditions: tuple[Condition, ...] = ()
    exceptions: tuple[Condition, ...] = ()
    group_by: str = "address"
    distinct: str | None = None

    def matches(self, record: Record) -> bool:
        """Asked only of records of one of its events; most of them fail the first condition."""
        for each in self.conditions:
            if not each.holds(record):
                return False
        return not any(each.holds(record) for each in self.exceptions) if self.exceptions else True


def text_of(record: Record, field: str) -> str:
    """The value of a field as text, as JSON has it; empty where there is none."""
    value = record.detail.get(field[7:]) if field.startswith("detail.") else getattr(record, field)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def equals(field: str, *values: str) -> Condition:
    return Condition(field, Test.EQUALS, values)


def starts(field: str, *values: str) -> Condition:
    return Condition(field, Test.STARTS, values)


def ends(field: str, *values: str) -> Condition:
    return Condition(field, Test.ENDS, values)


def contains(field: str, *values: str) -> Condition:
    return Condition(field, Test.CONTAINS, values)
