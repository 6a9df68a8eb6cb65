"""Which software answered, and which flaws are known in it: an A-ASSOCIATE-AC in, a fingerprint and CVEs out.

The tables are data files with a date; nothing is looked up elsewhere.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from dicomgate.assess.model import Fingerprint, Product, Severity
from dicomgate.wire.pdu import AssociateAccept


@dataclass(frozen=True, slots=True)
class Flaw:
    """One row of data/cves.toml that fits."""

    cve: str
    part: str
    what: str
    severity: Severity
    confidence: str
    """`source`: this very version is named. `version`: a range of versions is. `year`: it was reported after this
    version came out, and which versions have it is not verified."""


@lru_cache(maxsize=2)
def table(name: str) -> Mapping[str, Any]:
    """A data file of this package."""
    return tomllib.loads(files("dicomgate.assess").joinpath("data", f"{name}.toml").read_text("utf-8"))


def read_fingerprint(accept: AssociateAccept) -> Fingerprint:
    """Names as they came (the codec lets only UIDs and printable ASCII through), and the product they belong to."""
    information = accept.user_information
    class_uid = information.implementation_class_uid
    version_name = information.implementation_version_name
    return Fingerprint(class_uid, version_name, _product(class_uid, version_name or ""))


def _product(class_uid: str, version_name: str) -> Product | None:
    for software in table("fingerprints")["software"]:
        if class_uid.startswith(software["class_uid"]) or version_name.startswith(software["version_name"]):
            return Product(software["name"], _version(software["version_pattern"], version_name), software["toolkit"])
    return None


def _version(pattern: str, version_name: str) -> str | None:
    """`367` in a version name is 3.6.7."""
    found = re.match(pattern, version_name) if pattern else None
    return None if found is None else ".".join(found["digits"])


def flaws_of(fingerprint: Fingerprint) -> tuple[tuple[Flaw, ...], str]:
    """The flaws of that product and version, and the date of the table."""
    cves = table("cves")
    product = fingerprint.product
    if product is None or product.version is None:
        return (), cves["dated"]
    released = next(
        (
            release["year"]
            for release in table("fingerprints")["release"]
            if (release["name"], release["version"]) == (product.name, product.version)
        ),
        None,
    )
    return tuple(
        Flaw(row["id"], row["part"], row["what"], Severity.parse(row["severity"]), confidence)
        for row in cves["cve"]
        if row["product"] == product.name and (confidence := _confidence(row, product.version, released)) is not None
    ), cves["dated"]


def _confidence(row: Mapping[str, Any], version: str, released: int | None) -> str | None:
    if "versions" in row:
        return "source" if version in row["versions"] else None
    if "before" in row:
        return "version" if _numbers(version) < _numbers(row["before"]) else None
    if "upto" in row:
        return "version" if _numbers(version) <= _numbers(row["upto"]) else None
    return "year" if released is not None and released < row["year"] else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
