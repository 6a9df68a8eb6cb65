"""`[gate]`, `[limits]` and `[metrics]`: the gate as a whole, and how much of anything it takes."""

from typing import Annotated

from pydantic import Field, PlainValidator

from dicomgate.config import units, words
from dicomgate.config.problem import WrongValueError, shown
from dicomgate.config.schema.fields import DAY, Count, GiB, KiB, MiB, Name, Seconds, Table, seconds_up_to, size_within
from dicomgate.gate.settings import ConnectionLimits
from dicomgate.policy.model import Endpoint, Mode, Refusals
from dicomgate.session.limits import SessionLimits

_SESSION, _CONNECTION = SessionLimits(), ConnectionLimits()


def _state(value: object) -> str:
    # The value may hold a password, so no message repeats it.
    hint = 'write "sqlite:///state/gate.db", a file relative to this one, or "sqlite:////…" for an absolute path'
    if not isinstance(value, str):
        raise WrongValueError(f"expected a database URL, came {shown(value)}", hint)
    if value.startswith("postgresql://"):
        return value
    path = value.removeprefix("sqlite:///")
    if path == value:
        raise WrongValueError("expected a database URL that begins with sqlite:/// or postgresql://", hint)
    if not path or path.endswith("/") or path.startswith(":memory:") or not path.isprintable() or "?" in path:
        raise WrongValueError("expected the path of a file after sqlite:///, without options", hint)
    return value


def _shared(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("valkey://"):
        raise WrongValueError(
            "expected a URL that begins with valkey://", 'write for instance "valkey://10.1.1.40:6379"'
        )
    return value


class GateTable(Table):
    """`[gate]`: the gate as a whole."""

    name: Name = Field(default="dicomgate", description="Name of this gate in its start, stop and reload records.")
    state: Annotated[str, PlainValidator(_state)] = Field(
        default="sqlite:///state/gate.db",
        description="Where records and durable state are kept: sqlite:///FILE (relative to this file) or postgresql://….",
    )
    shared: Annotated[str, PlainValidator(_shared)] | None = Field(
        default=None, description="valkey://… for counters and bans that many gates share."
    )
    mode: Annotated[Mode, PlainValidator(words.one_of({mode.value: mode for mode in Mode}))] = Field(
        default=Mode.ENFORCE,
        description="enforce, or monitor: judge and record, but let pass what a peer rule would refuse.",
    )
    refusals: Annotated[Refusals, PlainValidator(words.one_of({word.value: word for word in Refusals}))] = Field(
        default=Refusals.PRECISE,
        description="precise: a rejection gives the standard's reason; uniform: 1/1/1 in place of 1/1/3 and 1/1/7.",
    )
    find_refusal_status: Annotated[int, PlainValidator(words.failure_status)] = Field(
        default=0xC000,
        description="DIMSE status that answers a refused C-FIND: a failure of the classes 0xAxxx, 0xCxxx or 0x01xx.",
    )


class LimitsTable(Table):
    """`[limits]`: sizes as bytes or "1 MiB", times as seconds or "15 s"."""

    associate_pdu: Annotated[int, PlainValidator(size_within(4 * KiB, 16 * MiB))] = Field(
        default=_SESSION.associate_pdu, description="Longest A-ASSOCIATE PDU, either direction."
    )
    pdu: Annotated[int, PlainValidator(size_within(4 * KiB, 64 * MiB))] = Field(
        default=_SESSION.pdu, description="Longest P-DATA PDU that two parties may agree on."
    )
    command_set: Annotated[int, PlainValidator(size_within(1 * KiB, 1 * MiB))] = Field(
        default=_SESSION.command_set, description="Longest DIMSE command set, all fragments together."
    )
    held_object: Annotated[int, PlainValidator(size_within(1 * MiB, 1024 * GiB))] = Field(
        default=_SESSION.held_object,
        description='Longest data set that is held back as a whole (tamper_hold = "object"); a longer one is refused.',
    )
    held_objects: Annotated[int, PlainValidator(size_within(1 * MiB, 1024 * GiB))] = Field(
        default=_CONNECTION.held_objects,
        description="The same, of all associations together, in memory and on disk; more is refused for the moment.",
    )
    outstanding_operations: Count = Field(
        default=_SESSION.outstanding_operations, description="Requests without a final response, per direction."
    )
    refused_operations: Count = Field(
        default=_SESSION.refused_operations,
        description="Refused requests in one association, after which it is aborted.",
    )
    first_byte: Seconds = Field(default=_SESSION.first_byte, description="From accept to the first byte.")
    associate_deadline: Seconds = Field(
        default=_SESSION.associate_deadline, description="From accept to the whole A-ASSOCIATE-RQ."
    )
    tls_handshake: Seconds = Field(
        default=_SESSION.tls_handshake, description="From accept to the end of the TLS handshake."
    )
    identity: Seconds = Field(
        default=_SESSION.identity, description="From asking the verifiers who a user is to their answer."
    )
    recall: Seconds = Field(
        default=_CONNECTION.recall,
        description="From asking the record store what is known of a SOP instance to its answer.",
    )
    archive_connect: Seconds = Field(
        default=_SESSION.archive_connect,
        description="TCP connect to one address of an archive, and the TLS handshake with it.",
    )
    archive_answer: Seconds = Field(
        default=_SESSION.archive_answer, description="From the gate's A-ASSOCIATE-RQ to the archive's answer."
    )
    idle: Seconds = Field(
        default=_SESSION.idle, description="No operation outstanding and no byte in either direction."
    )
    no_progress: Seconds = Field(
        default=_SESSION.no_progress, description="An operation outstanding, and no byte in either direction."
    )
    write_stall: Seconds = Field(
        default=_SESSION.write_stall, description="Bytes wait for one party and it takes none."
    )
    absolute: Annotated[float, PlainValidator(seconds_up_to(30 * DAY))] = Field(
        default=_SESSION.absolute, description="Longest life of an association, whatever it does."
    )
    close: Seconds = Field(
        default=_SESSION.close, description="Wait for the other side to close the connection (ARTIM)."
    )
    associations: Count = Field(default=_CONNECTION.associations, description="Most associations, all peers together.")
    associations_per_peer: Count = Field(
        default=_CONNECTION.associations_per_peer, description="Most associations of one peer."
    )
    associations_per_address: Count = Field(
        default=_CONNECTION.associations_per_address, description="Most associations from one address."
    )
    half_open: Count = Field(
        default=_CONNECTION.half_open,
        description="Most connections without a whole A-ASSOCIATE-RQ, all addresses together.",
    )
    half_open_per_address: Count = Field(
        default=_CONNECTION.half_open_per_address, description="The same, from one address."
    )
    drain: Seconds = Field(
        default=_CONNECTION.drain, description="What running associations get after SIGTERM before they are aborted."
    )


class MetricsTable(Table):
    """`[metrics]`: numbers for monitoring systems."""

    bind: Annotated[Endpoint, PlainValidator(units.bind)] | None = Field(
        default=None, description='Literal address and port to serve metrics on, for instance "127.0.0.1:9108".'
    )
