"""TLS-03: which cipher suites and known flaws does the target have? sslyze asks, one connection at a time."""

from dicomgate.assess.model import (
    Check,
    Fact,
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
from dicomgate.assess.suites import Suites, scan, sslyze_is_installed


def probe(prober: Prober) -> Suites | Judgement:
    if prober.entry is None:
        return skipped(SkipReason.NOT_APPLICABLE, "The target does not speak TLS")
    if prober.rehearsal:
        return skipped(SkipReason.NOT_APPLICABLE, "A rehearsal does not start sslyze")
    if not sslyze_is_installed():
        return skipped(SkipReason.TOOL, "sslyze is not installed: pip install dicomgate[assess]")
    return scan(prober)


def judge(seen: Suites) -> Judgement:
    facts: dict[str, Fact] = {"accepted": len(seen.accepted), "forbidden": " ".join(seen.forbidden)}
    if seen.forbidden or seen.flaws:
        named = ", ".join((*seen.flaws, *seen.forbidden))
        return failed(f"Forbidden by RFC 9325 or known as a flaw: {named}", flaws=" ".join(seen.flaws), **facts)
    if not seen.accepted:
        return inconclusive(f"The scan found no suite at all: {seen.why or 'no handshake succeeded'}", **facts)
    if seen.why:
        return inconclusive(f"A part of the scan failed: {seen.why}", **facts)
    if seen.discouraged:
        why = f"{len(seen.discouraged)} suites that RFC 9325 advises against"
        return failed(why, Severity.LOW, discouraged=" ".join(seen.discouraged), **facts)
    return passed("Only suites that RFC 9325 recommends", **facts)


PROCEDURE = Procedure(
    Check(
        "TLS-03",
        "weak cipher suites or known TLS flaws",
        (Requirement.R6,),
        Severity.HIGH,
        Mode.NEGOTIATION,
        "TLS handshakes by sslyze, one at a time; no DICOM",
        "a suite with NULL, anonymous, export, RC4, DES or 3DES; compression; insecure renegotiation; Heartbleed, CCS "
        "injection, ROBOT. Low: suites that RFC 9325 advises against (CBC, static RSA, DHE)",
        "Encryption that can be broken, or is none.",
        "Use the profile of DICOM PS3.15 B.12 (BCP 195): ECDHE with AES-GCM. The gate's profile bcp195 has these only.",
    ),
    probe,
    judge,
)
