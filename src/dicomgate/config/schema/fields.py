"""What the tables' fields are made of: numbers and times within bounds, names, files, networks; and `Table` itself.

In: what stands in the file. Out: typed values, or a `WrongValueError` that says what was expected.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from dicomgate.config import units, words
from dicomgate.config.problem import WrongValueError, shown
from dicomgate.policy.model import Endpoint, Verb

KiB, MiB, GiB = 1024, 1024**2, 1024**3
DAY = 86400.0
LARGEST_COUNT = 1_000_000


class Table(BaseModel):
    """What all tables share: unknown keys are mistakes, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def whole_within(smallest: int, largest: int) -> Callable[[object], int]:
    def within(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise WrongValueError(
                f"expected a whole number from {smallest} to {largest}, came {shown(value)}",
                "write a number without quotes",
            )
        return value

    return within


def count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_COUNT:
        raise WrongValueError(
            f"expected a whole number from 1 to {LARGEST_COUNT}, came {shown(value)}", "write a number without quotes"
        )
    return value


def size_within(smallest: int, largest: int) -> Callable[[object], int]:
    def within(value: object) -> int:
        found = units.size(value)
        if not smallest <= found <= largest:
            raise WrongValueError(
                f"expected a size from {smallest // KiB} KiB to {largest // KiB} KiB, came {shown(value)}",
                "choose a size within these bounds",
            )
        return found

    return within


def seconds_within(shortest: float, longest: float) -> Callable[[object], float]:
    def span(value: object) -> float:
        found = units.seconds(value)
        if not shortest <= found <= longest:
            raise WrongValueError(
                f"expected a time from {shortest:g} s to {longest:g} s, came {shown(value)}",
                "choose a time within these bounds",
            )
        return found

    return span


def seconds_up_to(longest: float) -> Callable[[object], float]:
    def within(value: object) -> float:
        found = units.seconds(value)
        if not 0 < found <= longest:
            raise WrongValueError(
                f"expected a time above 0 s and up to {longest:.0f} s, came {shown(value)}",
                "choose a time within these bounds; no deadline can be switched off",
            )
        return found

    return within


def one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _file_path(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise WrongValueError(
            "expected the path of a file, came an empty one", "relative paths are relative to this file"
        )
    return value


Name = Annotated[str, PlainValidator(words.name)]
Title = Annotated[str, PlainValidator(words.ae_title)]
NetworkTexts = list[Annotated[str, PlainValidator(words.network)]]
Verbs = list[Annotated[Verb, PlainValidator(words.one_of({verb.value: verb for verb in Verb}))]]
ChannelNames = Annotated[list[Name], BeforeValidator(one_or_many)]
FixedNetworks = Annotated[list[Annotated[str, PlainValidator(words.fixed_network)]], Field(min_length=1)]
HostName = Annotated[str, PlainValidator(words.host_name)]
IpAddress = Annotated[IPv4Address | IPv6Address, PlainValidator(words.address)]
Port = Annotated[int, PlainValidator(words.port)]
Place = Annotated[Endpoint, PlainValidator(units.endpoint)]
Places = Annotated[list[Place], BeforeValidator(one_or_many), Field(min_length=1)]
Count = Annotated[int, PlainValidator(count)]
Seconds = Annotated[float, PlainValidator(seconds_up_to(DAY))]
FilePath = Annotated[str, AfterValidator(_file_path)]
