"""pynetdicom as the one who calls. In: titles, addresses, contexts; out: an association, or why it was refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.sop_class import Verification

from lab.process import LOOPBACK, Address

# A file is sent as its bytes stand on disk. Decoding and encoding it anew would prove nothing about identity.
_config.STORE_SEND_CHUNKED_DATASET = True
ANY_PORT = Address(LOOPBACK, 0)


@contextmanager
def association(
    to: Address,
    calling: str,
    called: str,
    contexts: Iterable[str | tuple[str, str | list[str]]] = (Verification,),
    *,
    source: Address = ANY_PORT,
    receives: Iterable[str] = (),
    handlers: Iterable[tuple[Any, Any]] = (),
) -> Iterator[Any]:
    """Ask for an association and yield it, established or not; release it at the end if it still stands.

    `contexts`: SOP classes, or pairs of SOP class and transfer syntaxes. `receives`: SOP classes for which the
    other role is asked for too (sub-item 54H), as C-GET needs. `source`: the address and port to call from.
    """
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 30
    proposed = [build_context(*((item,) if isinstance(item, str) else item)) for item in contexts]
    asked = [build_role(sop_class, scu_role=True, scp_role=True) for sop_class in receives]
    made = entity.associate(
        to.host,
        to.port,
        contexts=proposed,
        ae_title=called,
        ext_neg=asked,
        bind_address=(source.host, source.port),
        evt_handlers=[*handlers, (evt.EVT_PDU_RECV, note_rejection)],
    )
    try:
        yield made
    finally:
        if made.is_established:
            made.release()
        entity.shutdown()


def rejection(made: Any) -> str | None:
    """Result, source and reason of an A-ASSOCIATE-RJ as `1/1/3`; None if the association was not rejected."""
    # Not `is_rejected`: now and then pynetdicom calls a rejection that came quickly an abort.
    return getattr(made, "_lab_rejection", None)


def note_rejection(event: Any) -> None:
    if isinstance(event.pdu, A_ASSOCIATE_RJ):
        event.assoc._lab_rejection = f"{event.pdu.result}/{event.pdu.source}/{event.pdu.reason_diagnostic}"


def context_results(made: Any) -> dict[str, int]:
    """Abstract syntax → the result in the A-ASSOCIATE-AC (PS3.8 table 9-18)."""
    return {str(context.abstract_syntax): context.result for context in made.accepted_contexts + made.rejected_contexts}


def ask(made: Any, request: Any, abstract_syntax: str) -> Any:
    """Send a DIMSE request as it stands, whatever pynetdicom would think of it, and return the response.

    `request` and the response are primitives of pynetdicom.dimse_primitives. It goes on the accepted context of
    `abstract_syntax`, whose roles do not matter here.
    """
    (context_id,) = (item.context_id for item in made.accepted_contexts if item.abstract_syntax == abstract_syntax)
    # As pynetdicom's own send_* do: its reactor must not take the response from the queue.
    made._reactor_checkpoint.clear()
    while not made._is_paused:
        time.sleep(0.001)
    try:
        made.dimse.send_msg(request, context_id)
        _, response = made.dimse.get_msg(block=True)
    finally:
        made._reactor_checkpoint.set()
    return response


def query(level: str | None, **keys: str) -> Any:
    """An identifier for C-FIND, C-GET or C-MOVE; an empty value asks for the attribute to be returned."""
    identifier = Dataset()
    if level:
        identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier
