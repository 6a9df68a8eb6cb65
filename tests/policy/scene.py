"""One small hospital for the tests of the policy, and requests to put to it."""

from dataclasses import replace
from ipaddress import ip_address

from dicomgate.association.negotiation import pad_ae_title
from dicomgate.facts import AssociationFacts, OperationFacts, Origin, Side
from dicomgate.policy.model import AeTitlePattern, Archive, Assurance, Endpoint, Listener, Networks, Peer, Rules, Verb
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AllowAssociation, AssociationPermit
from dicomgate.wire.codes import CommandField
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import AssociateRequest, ProposedContext, RoleSelection, UserInformation

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
VERIFICATION, CT, MR = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
MPPS, COMMIT = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.1.20.1"

ARCHIVE = Archive(
    "main", "ARCHIVE", (Endpoint("10.1.1.20", 11112),), Networks.of(["10.1.1.20"]), calling_ae_titles=("ARCHIVE",)
)
PEER = Peer(
    name="ct-1",
    ae_titles=(AeTitlePattern("CT1"),),
    networks=Networks.of(["10.1.2.0/24"]),
    listeners=frozenset({"inside"}),
    assurance=Assurance.ADDRESS,
    may=frozenset(Verb),
    move_to=("self",),
    archives=("main",),
    endpoint=Endpoint("10.1.2.31", 104),
)
RULES = Rules(listeners=(Listener("inside", Networks.of(["10.1.0.0/16"])),), archives=(ARCHIVE,), peers=(PEER,))


def policy(**peer: object) -> Policy:
    """The policy for one peer, changed as given."""
    return Policy(replace(RULES, peers=(replace(PEER, **peer),)))  # type: ignore[arg-type]


def contexts(*proposed: tuple[str, ...]) -> tuple[ProposedContext, ...]:
    """From (abstract syntax, transfer syntaxes…); IDs 1, 3, 5, …; Implicit VR Little Endian where none is given."""
    return tuple(
        ProposedContext(2 * number + 1, abstract, tuple(syntaxes) or (IMPLICIT,))
        for number, (abstract, *syntaxes) in enumerate(proposed)
    )


def request(*proposed: tuple[str, ...], roles: tuple[RoleSelection, ...] = (), **told: object) -> AssociateRequest:
    """An A-ASSOCIATE-RQ from CT1 to ARCHIVE."""
    information = UserInformation(16384, "1.2.3", role_selections=roles, **told)  # type: ignore[arg-type]
    return AssociateRequest(
        pad_ae_title("ARCHIVE"), pad_ae_title("CT1"), contexts(*(proposed or ((VERIFICATION,),))), information
    )


def association(
    rq: AssociateRequest | None = None,
    *,
    calling: str = "CT1",
    called: str = "ARCHIVE",
    address: str = "10.1.2.31",
    listener: str = "inside",
) -> AssociationFacts:
    return AssociationFacts(Origin(listener, ip_address(address), 49152), calling, called, rq or request())


def admitted(asked: Policy, rq: AssociateRequest | None = None, **where: str) -> AssociationPermit:
    verdict = asked.decide_association(association(rq, **where))
    assert isinstance(verdict, AllowAssociation), verdict
    return verdict.permit


def operation(command: Command, abstract_syntax: str = "", sender: Side = Side.REQUESTOR) -> OperationFacts:
    return OperationFacts(sender, "CT1", abstract_syntax or command.sop_class_uid or "", command)


def store(**elements: object) -> Command:
    """A C-STORE-RQ of a CT image, with elements changed as given."""
    values: dict[str, object] = {
        "affected_sop_class_uid": CT,
        "affected_sop_instance_uid": "1.2.3.4",
        "message_id": 1,
        "priority": 0,
        **elements,
    }
    return Command(CommandField.C_STORE_RQ, True, **values)  # type: ignore[arg-type]
