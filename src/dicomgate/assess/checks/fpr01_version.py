"""FPR-01: which product is it, and which flaws are known in that version? From names in an answer already received."""

from dataclasses import dataclass

from dicomgate.assess.dialogue import Accepted
from dicomgate.assess.fingerprint import Flaw, flaws_of, read_fingerprint
from dicomgate.assess.model import (
    Check,
    Fact,
    Fingerprint,
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
from dicomgate.assess.proposal import Proposal


@dataclass(frozen=True, slots=True)
class Seen:
    fingerprint: Fingerprint
    flaws: tuple[Flaw, ...]
    dated: str


def probe(prober: Prober) -> Seen | Judgement:
    answer = prober.ask(Proposal(calling=prober.caller))
    if not isinstance(answer, Accepted):
        return skipped(SkipReason.REFUSED_BEFORE, "Only an A-ASSOCIATE-AC names the software, and there was none")
    fingerprint = read_fingerprint(answer.accept)
    return Seen(fingerprint, *flaws_of(fingerprint))


def judge(seen: Seen) -> Judgement:
    product = seen.fingerprint.product
    facts: dict[str, Fact] = {
        "implementation_class_uid": seen.fingerprint.implementation_class_uid,
        "implementation_version_name": seen.fingerprint.implementation_version_name or "",
        "table": seen.dated,
    }
    if product is None:
        return inconclusive("The software is not in the table", **facts)
    facts |= {"product": product.name, "product_version": product.version or "", "embedded_toolkit": product.toolkit}
    if product.version is None:
        return inconclusive(f"It is built with {product.name}, in a version that it does not name", **facts)
    if not seen.flaws:
        return passed(f"No flaw of {product.name} {product.version} is in the table of {seen.dated}", **facts)
    severity = max(flaw.severity for flaw in seen.flaws)
    facts |= {
        "cves": " ".join(flaw.cve for flaw in seen.flaws),
        "confidence": " ".join(sorted({flaw.confidence for flaw in seen.flaws})),
    }
    note = "; which product embeds it is not known" if product.toolkit else ""
    count = len(seen.flaws)
    return failed(f"{product.name} {product.version}: {count} known flaws{note}", severity, **facts)


PROCEDURE = Procedure(
    Check(
        "FPR-01",
        "a version with known flaws",
        (Requirement.R0, Requirement.R7),
        Severity.CRITICAL,
        Mode.NEGOTIATION,
        "nothing more: reads the implementation class UID and version name (52H, 55H) of an A-ASSOCIATE-AC",
        "a flaw in the table for this version. Of an embedded toolkit: medium, since the product may not use that part",
        "Attacks on known flaws can be had ready-made.",
        "Update. Until then let nobody but the gate reach it; distributions also fix flaws without a new number.",
    ),
    probe,
    judge,
)
