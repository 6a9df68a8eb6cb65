"""Every number a session enforces; docs/design/defaults.md gives the reason for each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Sizes in bytes, times in seconds. Config keys of the same names stand in [limits]."""

    associate_pdu: int = 1024 * 1024
    """Longest A-ASSOCIATE PDU, either direction."""
    pdu: int = 1024 * 1024
    """Longest P-DATA-TF the gate lets two parties agree on (sub-item 51H is clamped to it)."""
    command_set: int = 64 * 1024
    """Longest command set, all fragments together."""
    held_object: int = 2 * 1024**3
    """Longest data set that is held back as a whole, where an archive wants that."""
    outstanding_operations: int = 64
    """Requests without a final response, per direction; an asynchronous window is clamped to it."""
    refused_operations: int = 1000
    """Refused requests in one association, after which it is ended: each costs a record."""
    first_byte: float = 10.0
    """From accept to the first byte."""
    associate_deadline: float = 15.0
    """From accept to the whole A-ASSOCIATE-RQ."""
    tls_handshake: float = 10.0
    """From accept (or the PROXY header) to the end of the TLS handshake."""
    identity: float = 10.0
    """From asking the verifiers who a user is to their answer."""
    archive_connect: float = 5.0
    """TCP connect to one address of an archive, and the TLS handshake with it."""
    archive_answer: float = 20.0
    """From our A-ASSOCIATE-RQ to the archive's answer."""
    idle: float = 900.0
    """No operation outstanding and no byte in either direction."""
    no_progress: float = 600.0
    """An operation outstanding, and no byte in either direction."""
    write_stall: float = 120.0
    """Bytes wait for one party and it takes none."""
    absolute: float = 86400.0
    """Longest life of an association, whatever it does."""
    close: float = 5.0
    """ARTIM while waiting for the other side to close (PS3.8 9.1.5)."""
