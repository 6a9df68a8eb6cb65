"""EXP-06: does DICOMweb answer without credentials? The status line and headers are read, the body never is."""

from dataclasses import dataclass

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
from dicomgate.assess.web import WebAnswer, get_head


@dataclass(frozen=True, slots=True)
class Seen:
    answers: tuple[tuple[str, WebAnswer], ...]
    """URL and what came."""


def probe(prober: Prober) -> Seen | Judgement:
    address = prober.target.endpoint.address
    services = [service for service in prober.inputs.dicomweb if service.endpoint.address == address]
    if not services:
        return skipped(SkipReason.INPUT, "No DICOMweb address of this host was named: give --dicomweb URL")
    services = [service for service in services if prober.is_in_scope(service.endpoint)]
    if not services:
        return skipped(SkipReason.SCOPE, "The DICOMweb address is not in the scope")
    return Seen(tuple((service.url, get_head(prober, service, "/studies?limit=1")) for service in services))


def judge(seen: Seen) -> Judgement:
    for url, answer in seen.answers:
        if answer.status in (200, 204, 206) and ("dicom+json" in answer.kind or answer.status == 204):
            return failed("Studies are listed to anybody, without credentials", url=url, status=answer.status)
    url, answer = seen.answers[0]
    if answer.status in (401, 403, 404):
        return passed(f"Answered with HTTP {answer.status}", url=url, status=answer.status)
    return inconclusive(f"No proof either way: {answer}", url=url, status=answer.status)


PROCEDURE = Procedure(
    Check(
        "EXP-06",
        "DICOMweb open without credentials",
        (Requirement.R0, Requirement.R4),
        Severity.CRITICAL,
        Mode.COUNT,
        "GET /studies?limit=1 without credentials; the connection is closed after the headers",
        "HTTP 200 with a DICOM JSON type, or 204",
        "Anybody with a browser can list and download studies.",
        "Close the HTTP port, or put a web proxy with authentication in front of it.",
    ),
    probe,
    judge,
)
