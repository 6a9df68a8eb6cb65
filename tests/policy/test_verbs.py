"""The verb table against pydicom's dictionary of UIDs: every SOP class has a verb, or a written reason for none."""

import pytest
from pydicom.uid import UID_dictionary

from dicomgate.policy.model import Verb
from dicomgate.policy.verbs import PRINT_META, SERVICES, is_storage, names_same_service, service_of
from dicomgate.wire.codes import CommandField

SOP_CLASSES = {str(uid): str(entry[0]) for uid, entry in UID_dictionary.items() if "SOP Class" in entry[1]}
KEYWORDS = {str(uid): str(entry[4]) for uid, entry in UID_dictionary.items()}

_ON_MEDIA = "exists on media only and never travels in an association (PS3.4 I)"
_LOGGING = "writes into the archive's event logs; no verb of the configuration speaks of that"
_RETIRED_MANAGEMENT = "retired patient, visit, study and results management; no archive in use offers it"
_RETIRED_WORKLIST = "retired general purpose worklist, replaced by unified procedure steps"
_TRIAL = "a trial version, retired; the final class has another UID"
_MACHINE = "steers a treatment machine, not an archive"
_REAL_TIME = "travels over RTP (PS3.22), not in an association"

WITHOUT_VERB = {
    "1.2.840.10008.1.3.10": _ON_MEDIA,
    "1.2.840.10008.1.9": "retired basic study content notification",
    "1.2.840.10008.1.40": _LOGGING,
    "1.2.840.10008.1.42": _LOGGING,
    "1.2.840.10008.3.1.2.1.1": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.1.4": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.2.1": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.3.1": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.3.2": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.5.1": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.5.4": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.5.5": _RETIRED_MANAGEMENT,
    "1.2.840.10008.3.1.2.6.1": _RETIRED_MANAGEMENT,
    "1.2.840.10008.5.1.1.33": "makes the other side write discs: an export that no verb of the configuration allows",
    "1.2.840.10008.5.1.1.40": "reads the settings of a display, not an archive",
    "1.2.840.10008.5.1.4.1.1.201.5": "makes the archive list all it holds: a job, not a query",
    "1.2.840.10008.5.1.4.32": _RETIRED_WORKLIST,
    "1.2.840.10008.5.1.4.32.1": _RETIRED_WORKLIST,
    "1.2.840.10008.5.1.4.32.2": _RETIRED_WORKLIST,
    "1.2.840.10008.5.1.4.32.3": _RETIRED_WORKLIST,
    "1.2.840.10008.5.1.4.33": "tells others what an archive holds; no verb of the configuration speaks of that",
    "1.2.840.10008.5.1.4.34.1": _TRIAL,
    "1.2.840.10008.5.1.4.34.2": _TRIAL,
    "1.2.840.10008.5.1.4.34.3": _TRIAL,
    "1.2.840.10008.5.1.4.34.4.1": _TRIAL,
    "1.2.840.10008.5.1.4.34.4.2": _TRIAL,
    "1.2.840.10008.5.1.4.34.4.3": _TRIAL,
    "1.2.840.10008.5.1.4.34.4.4": _TRIAL,
    "1.2.840.10008.5.1.4.34.8": _MACHINE,
    "1.2.840.10008.5.1.4.34.9": _MACHINE,
    "1.2.840.10008.10.1": _REAL_TIME,
    "1.2.840.10008.10.2": _REAL_TIME,
    "1.2.840.10008.10.3": _REAL_TIME,
    "1.2.840.10008.10.4": _REAL_TIME,
}

NAMED = {
    "Find": Verb.FIND,
    "Move": Verb.MOVE,
    "Get": Verb.GET,
    "Storage": Verb.STORE,
    "Query": Verb.FIND,
}
"""What the end of a class's keyword says of its verb; UPS and worklist have verbs of their own."""


@pytest.mark.parametrize("uid", SOP_CLASSES, ids=KEYWORDS.get)
def test_every_sop_class_has_a_verb_or_a_reason_for_none(uid: str) -> None:
    assert bool(service_of(uid)) is (uid not in WITHOUT_VERB), SOP_CLASSES[uid]


def test_every_class_with_a_reason_is_a_class() -> None:
    assert WITHOUT_VERB.keys() <= SOP_CLASSES.keys()


@pytest.mark.parametrize("uid", sorted(SERVICES), ids=lambda uid: KEYWORDS.get(uid, uid))
def test_every_line_of_the_table_is_a_class_of_the_dictionary(uid: str) -> None:
    assert uid in SOP_CLASSES


@pytest.mark.parametrize("uid", [uid for uid in SOP_CLASSES if service_of(uid)], ids=KEYWORDS.get)
def test_the_verb_is_what_the_name_of_the_class_says(uid: str) -> None:
    verbs = set(service_of(uid).values())
    assert len(verbs) == 1
    for ending, verb in NAMED.items():
        if KEYWORDS[uid].endswith(ending) and not KEYWORDS[uid].startswith(("Unified", "ModalityWorklist")):
            assert verbs == {verb}


@pytest.mark.parametrize("uid", [uid for uid, entry in UID_dictionary.items() if "SOP Class" not in entry[1]])
def test_what_is_no_sop_class_gets_nothing(uid: str) -> None:
    """Transfer syntaxes and frames of reference share the root; one well-known instance lies under the storage root."""
    assert not service_of(uid) or (uid == "1.2.840.10008.5.1.4.1.1.201.1.1" and is_storage(uid))


@pytest.mark.parametrize(
    ("uid", "stored"),
    [
        ("1.2.276.0.7230010.3.1.0.1", True),
        ("1.2.840.113619.4.27", True),
        ("2.25.1", True),
        ("1.2.840.100081.1", True),
        ("1.2.840.10008.5.1.4.1.1.9999", True),  # the storage root of a later edition
        ("1.2.840.10008.5.1.4.1.2.9.1", False),
        ("1.2.840.10008.5.1.1.999", False),
        ("1.2.840.10008.5.1.4.34.6.9", False),
        ("1.2.840.10008.99", False),
        ("1.2.840.10008.", False),
    ],
)
def test_private_and_unknown_classes_are_stored_or_nothing(uid: str, stored: bool) -> None:
    assert dict(service_of(uid)) == ({CommandField.C_STORE_RQ: Verb.STORE} if stored else {})
    assert is_storage(uid) is stored


def test_only_requests_have_verbs() -> None:
    for uid in SOP_CLASSES:
        for field in service_of(uid):
            assert not field.is_response
            assert field is not CommandField.C_CANCEL_RQ


def test_every_verb_is_in_use() -> None:
    assert {verb for uid in SOP_CLASSES for verb in service_of(uid).values()} == set(Verb)


def test_a_query_is_not_a_worklist() -> None:
    worklist = [uid for uid in SOP_CLASSES if Verb.WORKLIST in service_of(uid).values()]
    assert worklist == ["1.2.840.10008.5.1.4.31"]


def test_a_command_names_the_class_of_its_context() -> None:
    push, watch = "1.2.840.10008.5.1.4.34.6.1", "1.2.840.10008.5.1.4.34.6.2"
    film_box, gray, ct = "1.2.840.10008.5.1.1.2", "1.2.840.10008.5.1.1.9", "1.2.840.10008.5.1.4.1.1.2"
    assert names_same_service(ct, ct)
    assert names_same_service(watch, push)
    assert names_same_service(gray, film_box)
    assert not names_same_service(push, watch)
    assert not names_same_service(film_box, gray)
    assert not names_same_service(gray, ct)
    assert not names_same_service(ct, film_box)


def test_every_print_meta_class_stands_for_the_film_session() -> None:
    metas = {uid for uid, entry in UID_dictionary.items() if entry[1] == "Meta SOP Class" and service_of(str(uid))}
    assert metas == PRINT_META
    for meta in metas:
        assert names_same_service(str(meta), "1.2.840.10008.5.1.1.1")
