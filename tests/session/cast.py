"""Who plays: an archive, a scanner that stores, a workstation that queries and listens, and what they say."""

from dataclasses import replace
from typing import Any

from dicomgate.association.negotiation import pad_ae_title
from dicomgate.policy.model import (
    AeTitlePattern,
    Archive,
    Assurance,
    Endpoint,
    Listener,
    Mode,
    Networks,
    Peer,
    Rules,
    Tamper,
    Verb,
)
from dicomgate.policy.policy import Policy
from dicomgate.session.events import Connected, Recorded
from dicomgate.wire.codes import CommandField, ContextResult
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import (
    AssociateAccept,
    AssociateRequest,
    ContextAnswer,
    ProposedContext,
    RoleSelection,
    UserInformation,
)
from playbook import Playbook, acceptor, requestor

VERIFICATION, CT_IMAGE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"

ON_ECHO, ON_STORE, ON_FIND, ON_MOVE, ON_GET, ON_COMMIT = 1, 3, 5, 7, 9, 11
"""The presentation context that each of them uses below."""
CONTEXTS = {
    ON_ECHO: VERIFICATION,
    ON_STORE: CT_IMAGE,
    ON_FIND: STUDY_FIND,
    ON_MOVE: STUDY_MOVE,
    ON_GET: STUDY_GET,
    ON_COMMIT: COMMITMENT,
}

ARCHIVE = Archive(
    "main",
    "ARCHIVE",
    (Endpoint("10.1.1.20", 11112),),
    networks=Networks.of(["10.1.1.20"]),
    calling_ae_titles=("ARCHIVE",),
)
SCANNER = Peer(
    "ct-1",
    (AeTitlePattern("CT1"),),
    Networks.of(["10.1.2.31"]),
    assurance=Assurance.ADDRESS,
    may=frozenset({Verb.ECHO, Verb.STORE, Verb.COMMIT}),
    archives=("main",),
    endpoint=Endpoint("10.1.2.31", 104),
)
WORKSTATION = Peer(
    "ws-1",
    (AeTitlePattern("WS1"),),
    Networks.of(["10.1.2.40"]),
    assurance=Assurance.ADDRESS,
    may=frozenset({Verb.ECHO, Verb.FIND, Verb.MOVE, Verb.GET}),
    move_to=("self",),
    archives=("main",),
)


def hospital(*peers: Peer, **rules: Any) -> Policy:
    """The policy of a hospital with one archive; with nobody named, the scanner and the workstation are its peers."""
    listener = Listener("inside", Networks.of(["10.1.0.0/16"]))
    return Policy(Rules((listener,), (ARCHIVE,), peers or (SCANNER, WORKSTATION), **rules))


def monitoring(*peers: Peer) -> Policy:
    return hospital(*peers, mode=Mode.MONITOR)


def watchful(peer: Peer = SCANNER, **rules: Any) -> Policy:
    """Its archive refuses altered images. The workstation may store as well."""
    listener = Listener("inside", Networks.of(["10.1.0.0/16"]))
    storing = replace(WORKSTATION, may=WORKSTATION.may | {Verb.STORE})
    return Policy(Rules((listener,), (replace(ARCHIVE, tamper=Tamper.REFUSE),), (peer, storing), **rules))


# -- associations ------------------------------------------------------------------------------------------


def request(calling: str = "CT1", called: str = "ARCHIVE", *contexts: int, **told: Any) -> AssociateRequest:
    """A proposal; without context IDs, the six of CONTEXTS."""
    return AssociateRequest(
        pad_ae_title(called),
        pad_ae_title(calling),
        tuple(ProposedContext(n, CONTEXTS[n], (IMPLICIT, EXPLICIT)) for n in contexts or CONTEXTS),
        UserInformation(**{"maximum_length": 16384, "implementation_class_uid": "1.2.3", **told}),
    )


def accept(*contexts: int, **told: Any) -> AssociateAccept:
    """What an archive answers that takes exactly these contexts."""
    return AssociateAccept(
        pad_ae_title("ARCHIVE"),
        pad_ae_title("CT1"),
        tuple(ContextAnswer(n, ContextResult.ACCEPTANCE, EXPLICIT) for n in contexts),
        UserInformation(**{"maximum_length": 32768, "implementation_class_uid": "1.2.4", **told}),
    )


def connected(play: Playbook, asked: AssociateRequest | None = None) -> Playbook:
    """The request has been judged, recorded and sent on; the archive has not answered."""
    return play >> requestor(asked or request()) << ... >> Recorded(True) << ... >> Connected() << ...


def scanner(policy: Policy | None = None, **options: Any) -> Playbook:
    """A scanner with an association: echo, C-STORE and storage commitment have their contexts."""
    play = connected(Playbook(policy or hospital(), **options))
    return play >> acceptor(accept(ON_ECHO, ON_STORE, ON_COMMIT)) << ...


GET_ROLE = RoleSelection(CT_IMAGE, False, True)


def workstation(
    policy: Policy | None = None, roles: tuple[RoleSelection, ...] = (GET_ROLE,), **options: Any
) -> Playbook:
    """A workstation with an association: echo, query, C-MOVE and C-GET, for which it takes CT images."""
    play = Playbook(policy or hospital(), address="10.1.2.40", **options)
    play = connected(play, request("WS1", role_selections=(GET_ROLE,)))
    return play >> acceptor(accept(ON_ECHO, ON_STORE, ON_FIND, ON_MOVE, ON_GET, role_selections=roles)) << ...


# -- commands ----------------------------------------------------------------------------------------------


def echo(number: int = 1) -> Command:
    return Command(CommandField.C_ECHO_RQ, False, affected_sop_class_uid=VERIFICATION, message_id=number)


def store(number: int = 1, instance: str = "1.2.3.4") -> Command:
    return Command(
        CommandField.C_STORE_RQ,
        True,
        affected_sop_class_uid=CT_IMAGE,
        message_id=number,
        priority=0,
        affected_sop_instance_uid=instance,
    )


def find(number: int = 1) -> Command:
    return Command(CommandField.C_FIND_RQ, True, affected_sop_class_uid=STUDY_FIND, message_id=number, priority=0)


def get(number: int = 1) -> Command:
    return Command(CommandField.C_GET_RQ, True, affected_sop_class_uid=STUDY_GET, message_id=number, priority=0)


def move(destination: str, number: int = 1) -> Command:
    return Command(
        CommandField.C_MOVE_RQ,
        True,
        affected_sop_class_uid=STUDY_MOVE,
        message_id=number,
        priority=0,
        move_destination=destination,
    )


def commit(number: int = 1) -> Command:
    return Command(
        CommandField.N_ACTION_RQ,
        True,
        requested_sop_class_uid=COMMITMENT,
        message_id=number,
        requested_sop_instance_uid=COMMITMENT_INSTANCE,
        action_type_id=1,
    )


def report(number: int = 1) -> Command:
    """The archive's word that what was stored is safe."""
    return Command(
        CommandField.N_EVENT_REPORT_RQ,
        True,
        affected_sop_class_uid=COMMITMENT,
        message_id=number,
        affected_sop_instance_uid=COMMITMENT_INSTANCE,
        event_type_id=1,
    )


def cancel(number: int) -> Command:
    return Command(CommandField.C_CANCEL_RQ, False, message_id_being_responded_to=number)


def answer(asked: Command, status: int = 0, *, data: bool = False, **more: Any) -> Command:
    """The response to a request."""
    return Command(
        asked.command_field.response,
        data,
        message_id_being_responded_to=asked.message_id,
        status=status,
        **more,
    )
