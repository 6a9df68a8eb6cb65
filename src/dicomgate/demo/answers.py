"""What a client was told, as values that can be compared with what was expected and printed as they stand."""

from dataclasses import dataclass, field

from dicomgate.wire.codes import Rejection, Status

_REASONS = {
    Rejection(1, 1, 1): "no reason given",
    Rejection(1, 1, 3): "calling AE title not recognized",
    Rejection(1, 1, 7): "called AE title not recognized",
}
_STATUSES: dict[int, str] = {
    Status.SUCCESS: "success",
    Status.NOT_AUTHORIZED: "refused: not authorized",
    Status.MOVE_DESTINATION_UNKNOWN: "refused: move destination unknown",
}


@dataclass(frozen=True, slots=True)
class Answered:
    """The final DIMSE status of one operation, or of `images` C-STOREs that all ended alike.

    `matches` counts C-FIND responses, `images` the images that arrived unchanged. `comment` is the Error
    Comment (0000,0902), where the gate puts its refusal ID; it takes no part in comparisons.
    """

    command: str
    status: int
    matches: int | None = None
    images: int | None = None
    comment: str = field(default="", compare=False)

    def __str__(self) -> str:
        parts = [f"{self.command} {self.status:04X}H", _STATUSES.get(self.status, "")]
        if self.matches is not None:
            parts.append(f"{self.matches} matches")
        if self.images is not None:
            parts.append(f"{self.images} images unchanged")
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Rejected:
    """An A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    rejection: Rejection

    def __str__(self) -> str:
        known = _REASONS.get(self.rejection)
        return f"A-ASSOCIATE-RJ {self.rejection}" + (f" ({known})" if known else "")


@dataclass(frozen=True, slots=True)
class ContextRefused:
    """The association stands, but this presentation context was refused with `result` (PS3.8 table 9-18)."""

    name: str
    result: int

    def __str__(self) -> str:
        return f"context {self.name} refused, result {self.result}"


@dataclass(frozen=True, slots=True)
class Aborted:
    """An A-ABORT, whatever its reason."""

    def __str__(self) -> str:
        return "A-ABORT"


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection was closed without a DICOM answer."""

    def __str__(self) -> str:
        return "connection closed, no answer"


@dataclass(frozen=True, slots=True)
class Unexpected:
    """Anything no step hopes for: a time-out, a program that failed, bytes that make no sense."""

    what: str

    def __str__(self) -> str:
        return self.what


Answer = Answered | Rejected | ContextRefused | Aborted | Closed | Unexpected
Answers = tuple[Answer, ...]
