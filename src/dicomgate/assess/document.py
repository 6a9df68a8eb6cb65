"""Assessments as JSON documents and back: what programs read, what baselines and interrupted runs are kept in.

The document's shape is published in docs/reference/assess.schema.json; `SCHEMA` in model.py is its version.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dicomgate.assess.model import (
    SCHEMA,
    Assessment,
    Authorisation,
    Check,
    Consent,
    Evidence,
    Fingerprint,
    Health,
    Judgement,
    Outcome,
    Product,
    Result,
    Severity,
    SkipReason,
    State,
    TargetReport,
)


class DocumentError(ValueError):
    """The document is not what this version writes."""


def assessment_document(assessment: Assessment) -> dict[str, Any]:
    """The whole run, ready for json.dumps."""
    authorisation, consent = assessment.authorisation, assessment.consent
    return {
        "schema": SCHEMA,
        "version": assessment.version,
        "authorisation": {
            "text": authorisation.text,
            "contact": authorisation.contact,
            "window": authorisation.window,
            "targets": list(authorisation.targets),
            "networks": list(authorisation.networks),
            "public_addresses": authorisation.public_addresses,
        },
        "consent": {"count": consent.count, "intrusive": consent.intrusive, "lab": sorted(consent.lab)},
        "started": written(assessment.started),
        "finished": written(assessment.finished),
        "targets": [target_document(target) for target in assessment.targets],
    }


def target_document(report: TargetReport) -> dict[str, Any]:
    """One target."""
    health, fingerprint = report.health, report.fingerprint
    return {
        "target": report.target,
        "address": report.address,
        "called_ae_title": report.called_ae_title,
        "state": report.state,
        "why": report.why,
        "tls": report.tls,
        "fingerprint": None if fingerprint is None else _fingerprint_document(fingerprint),
        "health": None if health is None else {"at_start": health.at_start, "at_end": health.at_end},
        "connections": report.connections,
        "started": written(report.started),
        "finished": written(report.finished),
        "results": [_result_document(result) for result in report.results],
    }


def _result_document(result: Result) -> dict[str, Any]:
    check, judgement = result.check, result.judgement
    return {
        "id": check.id,
        "title": check.title,
        "requirements": [str(requirement) for requirement in check.requirements],
        "severity": str(result.severity),
        "mode": str(check.mode),
        "outcome": judgement.outcome,
        "why": judgement.why,
        "skipped": judgement.skipped,
        "evidence": {item.name: item.value for item in judgement.evidence},
    }


def _fingerprint_document(fingerprint: Fingerprint) -> dict[str, Any]:
    product = fingerprint.product
    return {
        "implementation_class_uid": fingerprint.implementation_class_uid,
        "implementation_version_name": fingerprint.implementation_version_name,
        "product": None
        if product is None
        else {"name": product.name, "version": product.version, "toolkit": product.toolkit},
    }


def read_assessment(document: Mapping[str, Any], checks: Mapping[str, Check]) -> Assessment:
    """An assessment from its document; DocumentError where it is another's. `checks` is the catalogue by ID.

    Results of checks that the catalogue no longer has are left out.
    """
    if document.get("schema") != SCHEMA:
        raise DocumentError(f"expected an assessment with schema {SCHEMA}, came {str(document.get('schema'))[:60]!r}")
    try:
        authorisation, consent = document["authorisation"], document["consent"]
        return Assessment(
            version=document["version"],
            authorisation=Authorisation(
                authorisation["text"],
                authorisation["contact"],
                authorisation["window"],
                tuple(authorisation["targets"]),
                tuple(authorisation["networks"]),
                authorisation["public_addresses"],
            ),
            consent=Consent(consent["count"], consent["intrusive"], frozenset(consent["lab"])),
            targets=tuple(read_target(target, checks) for target in document["targets"]),
            started=_read(document["started"]),
            finished=_read(document["finished"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError(f"expected an assessment, came a document that breaks its schema: {error}") from error


def read_target(document: Mapping[str, Any], checks: Mapping[str, Check]) -> TargetReport:
    """One target from its document. KeyError, TypeError or ValueError where it breaks the schema."""
    health, fingerprint = document["health"], document["fingerprint"]
    return TargetReport(
        target=document["target"],
        address=document["address"],
        called_ae_title=document["called_ae_title"],
        state=State(document["state"]),
        why=document["why"],
        tls=document["tls"],
        results=tuple(_read_result(each, checks) for each in document["results"] if each["id"] in checks),
        fingerprint=None if fingerprint is None else _read_fingerprint(fingerprint),
        health=None if health is None else Health(health["at_start"], health["at_end"]),
        connections=document["connections"],
        started=_read(document["started"]),
        finished=_read(document["finished"]),
    )


def _read_result(document: Mapping[str, Any], checks: Mapping[str, Check]) -> Result:
    check = checks[document["id"]]
    severity = Severity.parse(document["severity"])
    reason = document["skipped"]
    return Result(
        check,
        Judgement(
            Outcome(document["outcome"]),
            document["why"],
            tuple(Evidence(name, value) for name, value in document["evidence"].items()),
            None if severity is check.severity else severity,
            None if reason is None else SkipReason(reason),
        ),
    )


def _read_fingerprint(document: Mapping[str, Any]) -> Fingerprint:
    product = document["product"]
    return Fingerprint(
        document["implementation_class_uid"],
        document["implementation_version_name"],
        None if product is None else Product(product["name"], product["version"], product["toolkit"]),
    )


def written(seconds: float) -> str:
    """Seconds since 1970 as the document writes a time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
