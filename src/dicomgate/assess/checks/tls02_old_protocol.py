"""TLS-02: are SSL 3.0, TLS 1.0 or TLS 1.1 accepted? One hand-made ClientHello for each; no handshake is finished."""

import os
import struct
import time
from dataclasses import dataclass

from dicomgate.assess.dialogue import NoAnswer
from dicomgate.assess.line import Line, LineError
from dicomgate.assess.model import (
    Check,
    Judgement,
    Mode,
    Requirement,
    Severity,
    SkipReason,
    failed,
    inconclusive,
    passed,
    skipped,
)
from dicomgate.assess.prober import Prober
from dicomgate.assess.procedure import Procedure

VERSIONS = {"SSL 3.0": 0x0300, "TLS 1.0": 0x0301, "TLS 1.1": 0x0302}
SUITES = bytes.fromhex("c00ac014c009c013003900330035002fc007c011000500040016000a")
"""Every usual suite of that time: ECDHE, DHE and RSA with AES-CBC, RC4 and 3DES."""
_HANDSHAKE, _SERVER_HELLO = 22, 2
_ANSWER = 11  # record header, handshake header, version


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[tuple[str, int | None], ...]
    """Version and what was chosen; 0 for a refusal, None for no answer."""


def client_hello(version: int) -> bytes:
    """A ClientHello that offers nothing above `version` (RFC 4346 7.4.1.2, RFC 4492 5.1)."""
    groups = struct.pack(">HHHHHH", 10, 8, 6, 23, 24, 25)
    formats = struct.pack(">HHBB", 11, 2, 1, 0)
    extensions = b"" if version == VERSIONS["SSL 3.0"] else groups + formats
    body = struct.pack(">H", version) + os.urandom(32) + b"\0" + struct.pack(">H", len(SUITES)) + SUITES + b"\1\0"
    if extensions:
        body += struct.pack(">H", len(extensions)) + extensions
    handshake = b"\1" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", _HANDSHAKE, min(version, 0x0301), len(handshake)) + handshake


def chosen(answer: bytes) -> int | None:
    """The version of the ServerHello; 0 for another record, such as an alert; None for too little."""
    if len(answer) >= _ANSWER and answer[0] == _HANDSHAKE and answer[5] == _SERVER_HELLO:
        return int.from_bytes(answer[9:11], "big")
    return 0 if answer else None


def probe(prober: Prober) -> Seen | Judgement:
    if prober.entry is None:
        return skipped(SkipReason.NOT_APPLICABLE, "The target does not speak TLS")
    answers = []
    for name, version in VERSIONS.items():
        with prober.line(prober.target.endpoint) as line:
            answers.append((name, None if isinstance(line, NoAnswer) else _offer(prober, line, version)))
    return Seen(tuple(answers))


def _offer(prober: Prober, line: Line, version: int) -> int | None:
    deadline = time.monotonic() + prober.patience.connect
    answer = b""
    try:
        line.send(client_hello(version), deadline)
        while len(answer) < _ANSWER and (data := line.receive(deadline)):
            answer += data
    except LineError as error:
        # A server that resets, or closes at once, has refused; one that stays silent has not answered.
        return chosen(answer) if answer else (None if error.ending.name == "TIMED_OUT" else 0)
    return chosen(answer) or 0


def judge(seen: Seen) -> Judgement:
    accepted = [name for name, version in seen.answers if version == VERSIONS[name]]
    if accepted:
        return failed(f"Accepts {', '.join(accepted)}", versions=", ".join(accepted))
    silent = [name for name, version in seen.answers if version is None]
    if silent:
        return inconclusive(f"No answer to {', '.join(silent)}", versions=", ".join(silent))
    return passed("SSL 3.0, TLS 1.0 and TLS 1.1 are refused")


PROCEDURE = Procedure(
    Check(
        "TLS-02",
        "old TLS versions are accepted",
        (Requirement.R6,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "a ClientHello for SSL 3.0, TLS 1.0 and TLS 1.1; the handshake is not finished",
        "a ServerHello at that version (RFC 8996 forbids them)",
        "These versions have known flaws; an attacker in between can force their use.",
        "Allow TLS 1.2 and 1.3 only (Orthanc: DicomTlsMinimumProtocolVersion; DCMTK: +px).",
    ),
    probe,
    judge,
)
