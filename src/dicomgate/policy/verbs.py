"""Which verb a DIMSE operation means: abstract syntax and command in, verb out (PS3.4, PS3.6 Annex A).

An operation that no line names has no verb, and what has no verb is refused.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from dicomgate.policy.model import Verb
from dicomgate.wire.codes import CommandField as C

Service = Mapping[C, Verb]
"""The requests that belong to one SOP class, each with its verb."""

_QUERY_RETRIEVE = "1.2.840.10008.5.1.4.1.2."
_PRINT = "1.2.840.10008.5.1.1."
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_DICOM = "1.2.840.10008."
UPS_PUSH = "1.2.840.10008.5.1.4.34.6.1"
_UPS = "1.2.840.10008.5.1.4.34.6."
PRINT_META = frozenset(f"{_PRINT}{member}" for member in ("9", "9.1", "18", "18.1", "32"))
"""Classes that only stand for others: grayscale, color, both with referenced boxes, pull stored print (PS3.4 H.3)."""

STORE: Service = MappingProxyType({C.C_STORE_RQ: Verb.STORE})
_NOTHING: Service = MappingProxyType({})
_FIND: Service = MappingProxyType({C.C_FIND_RQ: Verb.FIND})
_MOVE: Service = MappingProxyType({C.C_MOVE_RQ: Verb.MOVE})
_GET: Service = MappingProxyType({C.C_GET_RQ: Verb.GET})
_PRINTING: Service = MappingProxyType(
    dict.fromkeys(
        (C.N_CREATE_RQ, C.N_SET_RQ, C.N_GET_RQ, C.N_ACTION_RQ, C.N_DELETE_RQ, C.N_EVENT_REPORT_RQ), Verb.PRINT
    )
)
_COMMITMENT: Service = MappingProxyType({C.N_ACTION_RQ: Verb.COMMIT, C.N_EVENT_REPORT_RQ: Verb.COMMIT})


def _ups(*requests: C) -> Service:
    return MappingProxyType(dict.fromkeys(requests, Verb.UPS))


SERVICES: dict[str, Service] = {
    "1.2.840.10008.1.1": MappingProxyType({C.C_ECHO_RQ: Verb.ECHO}),
    # Storage commitment, push and the retired pull model (PS3.4 J)
    "1.2.840.10008.1.20.1": _COMMITMENT,
    "1.2.840.10008.1.20.2": _COMMITMENT,
    # Modality performed procedure step: itself, retrieve, notification (PS3.4 F)
    "1.2.840.10008.3.1.2.3.3": MappingProxyType({C.N_CREATE_RQ: Verb.MPPS, C.N_SET_RQ: Verb.MPPS}),
    "1.2.840.10008.3.1.2.3.4": MappingProxyType({C.N_GET_RQ: Verb.MPPS}),
    "1.2.840.10008.3.1.2.3.5": MappingProxyType({C.N_EVENT_REPORT_RQ: Verb.MPPS}),
    # Query/Retrieve (PS3.4 C): patient root, study root, patient/study only, composite, without bulk data
    f"{_QUERY_RETRIEVE}1.1": _FIND,
    f"{_QUERY_RETRIEVE}1.2": _MOVE,
    f"{_QUERY_RETRIEVE}1.3": _GET,
    f"{_QUERY_RETRIEVE}2.1": _FIND,
    f"{_QUERY_RETRIEVE}2.2": _MOVE,
    f"{_QUERY_RETRIEVE}2.3": _GET,
    f"{_QUERY_RETRIEVE}3.1": _FIND,
    f"{_QUERY_RETRIEVE}3.2": _MOVE,
    f"{_QUERY_RETRIEVE}3.3": _GET,
    f"{_QUERY_RETRIEVE}4.2": _MOVE,
    f"{_QUERY_RETRIEVE}4.3": _GET,
    f"{_QUERY_RETRIEVE}5.3": _GET,
    # Modality worklist (PS3.4 K): a verb of its own, since a modality may need it and not the other queries
    "1.2.840.10008.5.1.4.31": MappingProxyType({C.C_FIND_RQ: Verb.WORKLIST}),
    # Unified procedure step (PS3.4 CC): push, watch, pull, event, query
    UPS_PUSH: _ups(C.N_CREATE_RQ, C.N_ACTION_RQ, C.N_GET_RQ),
    f"{_UPS}2": _ups(C.N_ACTION_RQ, C.N_GET_RQ, C.C_FIND_RQ),
    f"{_UPS}3": _ups(C.C_FIND_RQ, C.N_GET_RQ, C.N_SET_RQ, C.N_ACTION_RQ),
    f"{_UPS}4": _ups(C.N_EVENT_REPORT_RQ),
    f"{_UPS}5": _ups(C.C_FIND_RQ),
    # Relevant patient information (PS3.4 Q), product characteristics and substance approval queries
    "1.2.840.10008.5.1.4.37.1": _FIND,
    "1.2.840.10008.5.1.4.37.2": _FIND,
    "1.2.840.10008.5.1.4.37.3": _FIND,
    "1.2.840.10008.5.1.4.41": _FIND,
    "1.2.840.10008.5.1.4.42": _FIND,
    # Non-patient objects: storage, find, move, get of hanging protocols, palettes and implant templates
    **{
        f"1.2.840.10008.5.1.4.{group}.{member}": service
        for group in (38, 39, 43, 44, 45)
        for member, service in ((1, STORE), (2, _FIND), (3, _MOVE), (4, _GET))
    },
    # Defined procedure protocols and protocol approvals, inventories
    "1.2.840.10008.5.1.4.20.1": _FIND,
    "1.2.840.10008.5.1.4.20.2": _MOVE,
    "1.2.840.10008.5.1.4.20.3": _GET,
    f"{_STORAGE}200.4": _FIND,
    f"{_STORAGE}200.5": _MOVE,
    f"{_STORAGE}200.6": _GET,
    f"{_STORAGE}201.2": _FIND,
    f"{_STORAGE}201.3": _MOVE,
    f"{_STORAGE}201.4": _GET,
    f"{_STORAGE}201.5": _NOTHING,
    f"{_STORAGE}201.6": _FIND,
    # Storage classes outside the storage root
    "1.2.840.10008.5.1.4.34.7": STORE,
    "1.2.840.10008.5.1.4.34.10": STORE,
    f"{_PRINT}27": STORE,
    f"{_PRINT}29": STORE,
    f"{_PRINT}30": STORE,
    # Print management (PS3.4 H): session, boxes, job, printer, look-up tables, queue, pull print, meta classes.
    # Media creation (33) and display systems (40) share the root but are not print.
    **{
        f"{_PRINT}{member}": _PRINTING
        for member in ("1", "2", "4", "4.1", "4.2", "14", "15", "16", "16.376", "22", "23", "24", "24.1", "26", "31")
    },
    **dict.fromkeys(PRINT_META, _PRINTING),
}


@lru_cache(maxsize=1024)
def service_of(abstract_syntax: str) -> Service:
    """The requests that may travel on a presentation context of this abstract syntax.

    A UID outside the DICOM root is taken as a vendor's private storage class: such objects are common
    (PS3.4 B.5 lets anyone define one), and only C-STORE gets a verb from it.
    """
    exact = SERVICES.get(abstract_syntax)
    if exact is not None:
        return exact
    if abstract_syntax.startswith(_STORAGE) or not abstract_syntax.startswith(_DICOM):
        return STORE
    return _NOTHING


def is_storage(abstract_syntax: str) -> bool:
    """True when C-STORE belongs to this SOP class."""
    return C.C_STORE_RQ in service_of(abstract_syntax)


def names_same_service(abstract_syntax: str, sop_class_uid: str) -> bool:
    """May a command on this context name that SOP class?

    It names the abstract syntax itself, with two exceptions: every UPS instance carries the Push class
    (PS3.4 CC.3), and a print meta class stands for the classes it is made of (PS3.4 H.3).
    """
    if sop_class_uid == abstract_syntax:
        return True
    if abstract_syntax.startswith(_UPS):
        return sop_class_uid == UPS_PUSH
    return abstract_syntax in PRINT_META and service_of(sop_class_uid) is _PRINTING
