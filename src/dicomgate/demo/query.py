"""Query matching of the demo's archive: data sets and an identifier come in, matching data sets go out (PS3.4 C.2.2.2).

Single value, list of UID, universal, wildcard and range matching. Sequences are not matched.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from pydicom.dataset import Dataset


class Level(StrEnum):
    """PS3.4 C.3: the levels of the query models, as they stand in Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


ORDER = tuple(Level)

UNIQUE_KEY = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}

KEYS = {
    Level.PATIENT: ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    Level.STUDY: (
        "StudyInstanceUID",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyDescription",
        "ReferringPhysicianName",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: (
        "SeriesInstanceUID",
        "Modality",
        "SeriesNumber",
        "SeriesDescription",
        "NumberOfSeriesRelatedInstances",
    ),
    Level.IMAGE: ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
"""What can be asked for at each level; a level also knows the keys of those above it."""

_COUNTED = {
    "NumberOfStudyRelatedSeries": "SeriesInstanceUID",
    "NumberOfStudyRelatedInstances": "SOPInstanceUID",
    "NumberOfSeriesRelatedInstances": "SOPInstanceUID",
}
_RANGE_VRS = frozenset({"DA", "TM", "DT"})
_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})


def level_of(identifier: Dataset, highest: Level) -> Level | None:
    """The level an identifier asks at; None when it names none, or one above the model's `highest`."""
    text = str(identifier.get("QueryRetrieveLevel", "")).strip()
    if text not in ORDER or ORDER.index(Level(text)) < ORDER.index(highest):
        return None
    return Level(text)


def find(images: Iterable[Dataset], identifier: Dataset, level: Level) -> list[Dataset]:
    """One response identifier for each entity at `level` that matches every key of `identifier`."""
    supported = {keyword for above in ORDER[: ORDER.index(level) + 1] for keyword in KEYS[above]}
    keys = [element for element in identifier if element.keyword in supported]
    return [
        _response(entity, [element.keyword for element in keys], level)
        for entity in _entities(images, level)
        if all(matches(element.VR, _texts(element.value), _values(entity, element.keyword)) for element in keys)
    ]


def select(images: Iterable[Dataset], identifier: Dataset, level: Level) -> list[Dataset]:
    """The images a C-GET or C-MOVE identifier names by its unique keys (PS3.4 C.4.2.2.1)."""
    keys = [UNIQUE_KEY[above] for above in ORDER[: ORDER.index(level) + 1]]
    if not _texts(identifier.get(keys[-1], "")):
        return []  # the standard requires the key of the level itself; without it "all" would be meant
    return [
        image
        for image in images
        if all(matches("UI", _texts(identifier.get(key, "")), [str(image.get(key, ""))]) for key in keys)
    ]


def matches(vr: str, wanted: Sequence[str], values: Sequence[str]) -> bool:
    """Whether any of `values` matches the key values `wanted`; no wanted value matches everything."""
    if not wanted:
        return True
    return any(_matches_one(vr, one, value) for one in wanted for value in values)


def _matches_one(vr: str, wanted: str, value: str) -> bool:
    if vr in _RANGE_VRS and "-" in wanted:
        first, last = wanted.split("-", 1)
        return bool(value) and first <= value and (not last or value[: len(last)] <= last)
    if vr == "PN":
        wanted, value = wanted.rstrip("^").casefold(), value.rstrip("^").casefold()
    if vr in _WILDCARD_VRS:
        parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in wanted)
        return re.fullmatch("".join(parts), value, re.DOTALL) is not None
    return wanted == value


def _entities(images: Iterable[Dataset], level: Level) -> list[list[Dataset]]:
    groups: dict[str, list[Dataset]] = {}
    for image in images:
        groups.setdefault(str(image.get(UNIQUE_KEY[level], "")), []).append(image)
    return list(groups.values())


def _values(entity: Sequence[Dataset], keyword: str) -> list[str]:
    if keyword in _COUNTED:
        return [str(len({str(image.get(_COUNTED[keyword], "")) for image in entity}))]
    if keyword == "ModalitiesInStudy":
        return sorted({str(image.get("Modality", "")) for image in entity})
    return _texts(entity[0].get(keyword, "")) or [""]


def _texts(value: object) -> list[str]:
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [str(one).strip() for one in several if one is not None and str(one).strip()]


def _response(entity: Sequence[Dataset], asked: Iterable[str], level: Level) -> Dataset:
    response = Dataset()
    response.QueryRetrieveLevel = level.value
    for keyword in (*asked, UNIQUE_KEY[level]):
        values = _values(entity, keyword)
        setattr(response, keyword, values if len(values) > 1 else values[0])
    return response
