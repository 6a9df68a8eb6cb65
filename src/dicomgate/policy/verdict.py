"""The verdict on some facts, and the permit that proves it. Plain data that the audit trail can keep.

A permit is evidence: the commands that reach another party cannot be built without one, and only
`Policy` makes one. Python cannot forbid forging; a raising __init__ turns a forgotten check into an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from dicomgate.facts import AssociationFacts, Side
from dicomgate.identity.claims import Claims
from dicomgate.identity.principal import Principal
from dicomgate.policy.model import Archive, Assurance, Endpoint, Peer, Role, Verb
from dicomgate.wire.codes import ContextResult, Rejection
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import AssociateRequest


class Direction(StrEnum):
    """Who asked: a peer for the archive, or the archive for a peer (C-MOVE's stores, commitment results)."""

    TO_ARCHIVE = "to_archive"
    TO_PEER = "to_peer"


@dataclass(frozen=True, slots=True)
class Route:
    """Where an admitted association is taken: `endpoints` are tried in order."""

    direction: Direction
    archive: Archive
    peer: Peer
    endpoints: tuple[Endpoint, ...]

    @property
    def name(self) -> str:
        """The party connected to, for logs and records."""
        return self.archive.name if self.direction is Direction.TO_ARCHIVE else self.peer.name


@final
class AssociationPermit:
    """Evidence that an association was allowed. Holds the very request that was judged and may be sent.

    `request` is the A-ASSOCIATE-RQ for the other party: narrowed to what is allowed, without a user identity unless
    the archive is to have it. `refused_contexts` answers the proposed contexts that were left out.
    `principal` is the verified user, if one was asked for; `roles` are what cuts the peer's verbs down, None nothing.
    `expires` is when the association has to end because the proof of who its user is ends (seconds since 1970).
    """

    __slots__ = ("assurance", "expires", "facts", "principal", "refused_contexts", "request", "roles", "route")
    facts: AssociationFacts
    route: Route
    request: AssociateRequest
    refused_contexts: Mapping[int, ContextResult]
    assurance: Assurance
    principal: Principal | None
    roles: tuple[Role, ...] | None
    expires: float | None

    def __init__(self) -> None:
        raise TypeError("an AssociationPermit comes from Policy.decide_association")


@final
class OperationPermit:
    """Evidence that one DIMSE request was allowed. Holds the very command that was judged and may be sent."""

    __slots__ = ("command", "sender", "verb")
    command: Command
    sender: Side
    verb: Verb | None
    """None only in monitor mode, for an operation that has no verb."""

    def __init__(self) -> None:
        raise TypeError("an OperationPermit comes from Policy.decide_operation")


Permit = AssociationPermit | OperationPermit


@dataclass(frozen=True, slots=True)
class Deny:
    """Refused. `rule` names the configuration key or the check, `reason` is a sentence for the administrator."""

    rule: str
    reason: str
    answer: Rejection | int
    """An A-ASSOCIATE-RJ, or the DIMSE status of the refusing response."""
    verb: Verb | None = None


@dataclass(frozen=True, slots=True)
class AskIdentity:
    """Not decided yet: these verifiers have to say whether the claims are true. Then the same question is put again."""

    claims: Claims
    verifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllowAssociation:
    """Allowed by `rule`. `would_refuse` is set in monitor mode: what enforcement would have said."""

    rule: str
    permit: AssociationPermit
    would_refuse: Deny | None = None


@dataclass(frozen=True, slots=True)
class AllowOperation:
    rule: str
    permit: OperationPermit
    would_refuse: Deny | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One line of `dicomgate explain`: what was checked, and what came of it."""

    check: str
    finding: str
    passed: bool
