"""`[audit]` and `[[sink]]`: how records are kept, and where else they go."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, PlainValidator

from dicomgate.config import units, words
from dicomgate.config.problem import WrongValueError, shown
from dicomgate.config.schema.fields import DAY, Count, FilePath, Name, Seconds, Table
from dicomgate.store.settings import TrailSettings

_TRAIL = TrailSettings()


class SinkKind(StrEnum):
    """Where a `[[sink]]` sends records."""

    SYSLOG = "syslog"
    FHIR = "fhir"
    JSONL = "jsonl"
    ALERT = "alert"
    CHECKPOINTS = "checkpoints"


class OnAuditFailure(StrEnum):
    REFUSE = "refuse"
    CONTINUE = "continue"


def _keep(value: object) -> float:
    found = units.seconds(value)
    if not DAY <= found <= 36525 * DAY:
        raise WrongValueError(
            f"expected a time from 1 d to 36525 d, came {shown(value)}", "leave it out to keep records for ever"
        )
    return found


class AuditTable(Table):
    """`[audit]`: the records."""

    on_failure: Annotated[OnAuditFailure, PlainValidator(words.one_of({w.value: w for w in OnAuditFailure}))] = Field(
        default=OnAuditFailure.REFUSE,
        description="While records cannot be kept: refuse associations, or continue without a record.",
    )
    checkpoint_interval: Seconds = Field(
        default=_TRAIL.checkpoint_interval, description="Longest time until a new record is under a signed checkpoint."
    )
    checkpoint_records: Count = Field(
        default=_TRAIL.checkpoint_records, description="New records after which there is a checkpoint at once."
    )
    checkpoint_file: FilePath | None = Field(
        default=None,
        description="File that checkpoints are appended to. Absent: beside gate.state, ending in .checkpoints.",
    )
    signing_key: FilePath | None = Field(
        default=None,
        description="File with the key that signs checkpoints; made on first use. "
        "Absent: beside gate.state, ending in .signing-key.",
    )
    pseudonym_key: FilePath | None = Field(
        default=None,
        description="File with the key of the pseudonyms of patients; made on first use. "
        "Absent: beside gate.state, ending in .pseudonym-key.",
    )
    keep: Annotated[float | None, PlainValidator(_keep)] = Field(
        default=None,
        description='How long records are kept, for instance "365 d", from 1 d to 100 years. Absent: for ever.',
    )


class SinkTable(Table):
    """`[[sink]]`: where records go beside the store. Each kind has keys of its own."""

    name: Name = Field(description="Name of the sink.")
    kind: Annotated[SinkKind, PlainValidator(words.one_of({kind.value: kind for kind in SinkKind}))] = Field(
        description="syslog, fhir, jsonl, alert or checkpoints."
    )
