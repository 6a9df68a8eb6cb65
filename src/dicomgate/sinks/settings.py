"""What the configuration says about sinks, as frozen values: one class for each kind."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicomgate.policy.model import Endpoint


class MessageId(StrEnum):
    """MSGID of a syslog message: PS3.15 A.6 suggests the first, IHE ATNA demands the second."""

    DICOM = "DICOM+RFC3881"
    IHE = "IHE+RFC-3881"


@dataclass(frozen=True, slots=True)
class SyslogSettings:
    """DICOM audit messages by syslog. TLS is settled elsewhere, by the sink's name; without it, plaintext."""

    name: str
    addresses: tuple[Endpoint, ...]
    message_id: MessageId
    bom: bool
    replay: bool
    patient_ids: bool
    """Its messages name patients by their Patient ID."""


@dataclass(frozen=True, slots=True)
class FhirSettings:
    """AuditEvent resources to the FHIR server at `url`, so many records in a batch."""

    name: str
    url: str
    batch: int
    token_file: Path | None
    replay: bool
    patient_ids: bool


@dataclass(frozen=True, slots=True)
class JsonlSettings:
    """JSON lines to a file; None is stdout."""

    name: str
    file: Path | None
    replay: bool


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Signed checkpoints by syslog (`addresses`), to `url` or to `file`: one of the three."""

    name: str
    addresses: tuple[Endpoint, ...]
    url: str | None
    file: Path | None
    token_file: Path | None
    replay: bool


SinkSettings = SyslogSettings | FhirSettings | JsonlSettings | CheckpointSettings
