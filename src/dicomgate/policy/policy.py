"""Rules and facts in, verdict out. First matching peer wins; what no rule allows is refused.

Two questions are asked of it: may this association be made (`decide_association`), and may this operation
be done inside it (`decide_operation`). `explain` asks the same functions and tells each step.
"""

from dataclasses import dataclass

from dicomgate.association.negotiation import OFF_UNLESS_WRITTEN, narrow
from dicomgate.facts import Address, AssociationFacts, OperationFacts, Side
from dicomgate.identity.principal import Principal
from dicomgate.policy.model import (
    AeTitlePattern,
    Archive,
    Assurance,
    Mode,
    Networks,
    OnExpiry,
    Peer,
    Refusals,
    Role,
    Rules,
    UpstreamIdentity,
    Verb,
    matches_one,
)
from dicomgate.policy.roles import allows, in_force, roles_of
from dicomgate.policy.users import DEVICE, UserRules, shown_certificate
from dicomgate.policy.verbs import is_storage, names_same_service, service_of
from dicomgate.policy.verdict import (
    AllowAssociation,
    AllowOperation,
    AskIdentity,
    AssociationPermit,
    Deny,
    Direction,
    OperationPermit,
    Route,
    Step,
)
from dicomgate.wire.codes import CommandField, ContextResult, IdentityType, Reject, Rejection, Status
from dicomgate.wire.command import Command
from dicomgate.wire.pdu import APPLICATION_CONTEXT_NAME, ProposedContext, RoleSelection, UserIdentity
from dicomgate.wire.text import is_valid_ae_title, is_valid_uid

_EVENTS = frozenset({Verb.COMMIT, Verb.MPPS, Verb.UPS, Verb.PRINT})
"""Verbs whose SCP may send N-EVENT-REPORT."""
_SELF = "self"


class Policy:
    """The rules of one configuration. Immutable; a reload makes a new one.

    `pdu_limit` and `operations_limit` are what a request is narrowed to before it is sent on.
    """

    def __init__(self, rules: Rules, pdu_limit: int = 1024 * 1024, operations_limit: int = 64) -> None:
        self.rules = rules
        self._pdu_limit = pdu_limit
        self._operations_limit = operations_limit
        self._users = UserRules(rules)
        self._listeners = {listener.name: listener for listener in rules.listeners}
        self._peers_by_name = {peer.name: peer for peer in rules.peers}

    def decide_connection(self, listener: str, address: Address, channel: str | None = None) -> Deny | None:
        """May this address connect at all, by the channel it came through? Asked before a byte is read; None: yes."""
        known = self._listeners.get(listener)
        if known is None:
            return Deny("listener", f"there is no listener {listener}", 0)
        if address not in known.networks:
            return Deny(f"listener[{listener}].networks", f"{address} is not on the listener's networks", 0)
        if known.channels is not None and channel not in known.channels:
            why = f"{address} did not come through a channel of the listener"
            return Deny(f"listener[{listener}].channels", why, 0)
        return None

    # -- associations --------------------------------------------------------------------------------------

    def decide_association(
        self,
        facts: AssociationFacts,
        principal: Principal | None = None,
        *,
        at: float = 0.0,
        steps: list[Step] | None = None,
    ) -> AllowAssociation | AskIdentity | Deny:
        """May this association be made, and in what shape is it sent on? (PS3.8 9.3.4 for the refusals)

        Without a principal the answer can be AskIdentity: then the claims are to be verified, and the question is put
        again with who it turned out to be. `at` is the time, seconds since 1970.
        """
        steps = [] if steps is None else steps
        request = facts.request
        if not request.protocol_version & 1:
            return self._deny("protocol", "protocol version 1 is not offered", Reject.PROTOCOL_VERSION_NOT_SUPPORTED)
        if request.application_context_name != APPLICATION_CONTEXT_NAME:
            return self._deny("protocol", "unknown application context", Reject.APPLICATION_CONTEXT_NOT_SUPPORTED)
        archive = self.rules.archive_by_title.get(facts.called_ae_title)
        found: tuple[Route, str] | Deny
        if archive is not None:
            steps.append(Step("called AE title", f"{facts.called_ae_title} is archive {archive.name}", True))
            found = self._route_to_archive(facts, archive, steps)
        else:
            found = self._route_to_peer(facts, steps)
        would_refuse = None
        if isinstance(found, Deny):
            fallback = self._monitored(archive, facts, found)
            if fallback is None:
                return found
            would_refuse, found = found, fallback
        route, rule = found
        if route.direction is Direction.TO_PEER or would_refuse is not None:
            # What nobody's rules allow, and monitor mode lets pass, is nobody's; archives are known by their place.
            return self._shape(_Caller(facts, route), rule, would_refuse, at, steps)
        lacking = self._device_lacking(route.peer, facts, steps)
        if lacking is not None:
            return lacking
        user = self._users.judge(route.peer, facts, principal, steps)
        if isinstance(user, Deny | AskIdentity):
            return user
        return self._shape(_Caller(facts, route, user, self._roles(route, user)), rule, would_refuse, at, steps)

    def _route_to_archive(
        self, facts: AssociationFacts, archive: Archive, steps: list[Step]
    ) -> tuple[Route, str] | Deny:
        title, origin = facts.calling_ae_title, facts.origin
        nearest: Deny | None = None
        for peer in self.rules.peers:
            if not peer.has_title(title):
                continue
            key = f"peer[{peer.name}]"
            if origin.address not in peer.networks:
                why = f"{title} is peer {peer.name}, but {origin.address} is not on its networks"
                nearest = nearest or self._deny(f"{key}.networks", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
                steps.append(Step("network", why, False))
                continue
            if peer.listeners is not None and origin.listener not in peer.listeners:
                why = f"{title} is peer {peer.name}, which may not use listener {origin.listener}"
                nearest = nearest or self._deny(f"{key}.listeners", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
                steps.append(Step("listener", why, False))
                continue
            if peer.certificates is not None and not peer.is_proven_by(origin.certificate):
                why = f"{title} is peer {peer.name}, but {shown_certificate(origin.certificate)}"
                nearest = nearest or self._deny(f"{key}.certificates", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
                steps.append(Step("certificate", why, False))
                continue
            if peer.channels is not None and not peer.comes_through(origin.channel):
                came = f"came through channel {origin.channel}" if origin.channel else "came through no channel"
                why = f"{title} is peer {peer.name}, but {came}"
                nearest = nearest or self._deny(f"{key}.channels", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
                steps.append(Step("channel", why, False))
                continue
            if archive.name not in peer.archives:
                why = f"peer {peer.name} may not reach archive {archive.name}"
                nearest = nearest or self._deny(f"{key}.archive", why, Reject.CALLED_AE_TITLE_NOT_RECOGNIZED)
                steps.append(Step("archive", why, False))
                continue
            steps.append(
                Step("peer", f"{title} from {origin.address} on listener {origin.listener} is peer {peer.name}", True)
            )
            return Route(Direction.TO_ARCHIVE, archive, peer, archive.endpoints), key
        if nearest is not None:
            return nearest
        why = f"no peer has the calling AE title {title or '(malformed)'}"
        steps.append(Step("calling AE title", why, False))
        return self._deny("default", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)

    def _route_to_peer(self, facts: AssociationFacts, steps: list[Step]) -> tuple[Route, str] | Deny:
        """The archive's way back: its own title, from its own network, to a peer that listens."""
        called, calling, origin = facts.called_ae_title, facts.calling_ae_title, facts.origin
        listening = [peer for peer in self.rules.peers if peer.endpoint is not None and peer.has_title(called)]
        if not listening:
            why = f"no archive and no listening peer has the called AE title {called or '(malformed)'}"
            steps.append(Step("called AE title", why, False))
            return self._deny("default", why, Reject.CALLED_AE_TITLE_NOT_RECOGNIZED)
        steps.append(Step("called AE title", f"{called} is peer {listening[0].name}, which listens", True))
        for archive in self.rules.archives:
            if calling not in archive.calling_ae_titles or origin.address not in archive.networks:
                continue
            if archive.certificates is not None and not matches_one(archive.certificates, origin.certificate):
                why = f"{calling} is archive {archive.name}, but {shown_certificate(origin.certificate)}"
                steps.append(Step("certificate", why, False))
                return self._deny(f"archive[{archive.name}].certificates", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)
            for peer in listening:
                if archive.name in peer.archives and peer.endpoint is not None:
                    steps.append(Step("archive", f"{calling} from {origin.address} is archive {archive.name}", True))
                    route = Route(Direction.TO_PEER, archive, peer, (peer.endpoint,))
                    return route, f"peer[{peer.name}].address"
        why = f"only its archive may call peer {listening[0].name}; {calling} from {origin.address} is not that archive"
        steps.append(Step("archive", why, False))
        return self._deny(f"peer[{listening[0].name}].archive", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)

    def _monitored(self, archive: Archive | None, facts: AssociationFacts, denied: Deny) -> tuple[Route, str] | None:
        """mode = "monitor": what no peer rule allows is taken to the archive it called, and said to be.

        A malformed calling AE title is no matter of peer rules, and is not sent on; nor is who calls itself a
        device that proves itself, without the proof: that is transport, which monitor mode does not touch.
        """
        if denied.rule.endswith(_PROOF):
            return None
        if self.rules.mode is not Mode.MONITOR or archive is None or not facts.calling_ae_title:
            return None
        return Route(Direction.TO_ARCHIVE, archive, _ANYBODY, archive.endpoints), 'gate.mode = "monitor"'

    def _device_lacking(self, peer: Peer, facts: AssociationFacts, steps: list[Step]) -> Deny | None:
        """How well we know the device. Monitor mode does not reach here: proof is no peer rule."""
        if peer.assurance is Assurance.ADDRESS:
            steps.append(Step("assurance", "address: AE title and network are all that is asked", True))
            return None
        if peer.assurance is Assurance.USER:
            return None  # the user is asked for next
        if peer.is_proven_by(facts.origin.certificate):
            steps.append(Step("assurance", "device: its certificate is one of those listed", True))
            return None
        if peer.comes_through(facts.origin.channel):
            steps.append(Step("assurance", f"device: it came through channel {facts.origin.channel}", True))
            return None
        why = f"peer {peer.name} must prove its device, and nothing here can vouch for it"
        steps.append(Step("assurance", why, False))
        return self._deny(f"peer[{peer.name}].assurance", why, Reject.CALLING_AE_TITLE_NOT_RECOGNIZED)

    def _roles(self, route: Route, user: Principal | None) -> tuple[Role, ...] | None:
        """What cuts the peer's verbs down; None when its users are not asked for."""
        if user is None or route.peer.assurance is not Assurance.USER:
            return None
        return roles_of(user, self.rules.roles, route.archive)

    def _shape(
        self, caller: "_Caller", rule: str, would_refuse: Deny | None, at: float, steps: list[Step]
    ) -> AllowAssociation | Deny:
        """Narrow the proposal to what the peer and its user may use; refuse when nothing is left."""
        facts, route, user = caller.facts, caller.route, caller.user
        if caller.roles is not None:
            roles = in_force(caller.roles, at)
            names = ", ".join(role.name for role in roles)
            user_name = user.name if user is not None else "the user"
            steps.append(Step("role", names or "none that holds here and now", bool(roles)))
            if not roles:
                why = f"{user_name} has no role that holds here and now"
                return self._deny("role", why, Reject.USER_IDENTITY_FAILED)
        else:
            roles = None
        request, peer = facts.request, route.peer
        offered = {role.sop_class_uid: role for role in request.user_information.role_selections}
        monitoring = self.rules.mode is Mode.MONITOR
        contexts: list[ProposedContext] = []
        refused: dict[int, ContextResult] = {}
        first_key: str | None = None
        for context in request.presentation_contexts:
            refusal = self._context_refused(route, roles, context, offered.get(context.abstract_syntax))
            if refusal is None:
                contexts.append(_narrow_syntaxes(peer, context))
                continue
            key, result = refusal
            first_key = first_key or key
            if monitoring:
                why = "a presentation context it may not use"
                would_refuse = would_refuse or self._deny(f"peer[{peer.name}].{key}", why, Reject.NO_REASON)
                contexts.append(context)
            else:
                refused[context.context_id] = result
        if not contexts:
            why = "none of the proposed presentation contexts is allowed"
            steps.append(Step("presentation contexts", why, False))
            return self._deny(f"peer[{peer.name}].{first_key or 'may'}", why, Reject.NO_REASON)
        steps.append(Step("presentation contexts", f"{len(contexts)} of {len(contexts) + len(refused)} allowed", True))
        selections = tuple(offered.values())
        if not monitoring:
            selections = tuple(r for s in selections if (r := self._narrow_role(route, roles, s)) is not None)
        permit = object.__new__(AssociationPermit)
        permit.facts = facts
        permit.route = route
        permit.request = narrow(
            request,
            tuple(contexts),
            selections,
            called_ae_title=facts.called_ae_title,
            calling_ae_title=_shown_as(caller),
            pdu_limit=self._pdu_limit,
            operations_limit=self._operations_limit,
            user_identity=_passed_on(caller),
        )
        permit.refused_contexts = refused
        permit.principal = user
        permit.roles = caller.roles
        permit.expires = _expiry(caller)
        permit.assurance = _assurance(caller)
        return AllowAssociation(rule, permit, would_refuse)

    def _context_refused(
        self, route: Route, roles: tuple[Role, ...] | None, context: ProposedContext, role: RoleSelection | None
    ) -> tuple[str, ContextResult] | None:
        """Why a presentation context is left out: the peer's key, and the answer (PS3.8 table 9-18). None: it stays."""
        abstract_syntax, peer = context.abstract_syntax, route.peer
        if peer.sop_classes is not None and is_storage(abstract_syntax) and abstract_syntax not in peer.sop_classes:
            return "sop_classes", ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
        if not _usable_verbs(route, roles, abstract_syntax, role):
            return "may", ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
        if not _allowed_syntaxes(peer, context):
            return "transfer_syntaxes", ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
        return None

    def _narrow_role(self, route: Route, roles: tuple[Role, ...] | None, role: RoleSelection) -> RoleSelection | None:
        """Keep the role bits that one of the allowed verbs needs; None when neither is left (PS3.7 D.3.3.4)."""
        may = {verb for verb in _allowed_verbs(route) if allows(roles, verb, role.sop_class_uid)}
        verbs = set(service_of(role.sop_class_uid).values())
        scu = role.scu_role and bool(verbs & may)
        scp = role.scp_role and ((Verb.STORE in verbs and Verb.GET in may) or bool(verbs & may & _EVENTS))
        return RoleSelection(role.sop_class_uid, scu, scp) if scu or scp else None

    # -- operations ----------------------------------------------------------------------------------------

    def decide_operation(
        self, permit: AssociationPermit, facts: OperationFacts, *, at: float = 0.0
    ) -> AllowOperation | Deny:
        """May this request be done? The verdict holds the permit to send on exactly the command judged.

        `at` is the time, seconds since 1970: a role may hold at some hours only.
        """
        verdict = self._judge_operation(permit.route, facts)
        if permit.roles is not None and isinstance(verdict, Verb):
            sop_class_uid = facts.command.sop_class_uid or ""
            if not allows(in_force(permit.roles, at), verdict, sop_class_uid):
                verdict = self._beyond_role(permit, facts.command.command_field, verdict)
        if isinstance(verdict, Deny):
            if self.rules.mode is not Mode.MONITOR or verdict.rule in _NO_PEER_RULE:
                return verdict
            return AllowOperation('gate.mode = "monitor"', _operation_permit(facts, verdict.verb), verdict)
        key = "may" if permit.route.direction is Direction.TO_ARCHIVE or verdict in _EVENTS else "address"
        return AllowOperation(f"peer[{permit.route.peer.name}].{key}", _operation_permit(facts, verdict))

    def _beyond_role(self, permit: AssociationPermit, field: CommandField, verb: Verb) -> Deny:
        user = permit.principal.name if permit.principal is not None else "the user"
        names = ", ".join(role.name for role in permit.roles or ())
        return Deny("role", f"{user} ({names}) may not {verb} this here and now", self._status(field), verb)

    def _judge_operation(self, route: Route, facts: OperationFacts) -> Verb | Deny:
        command, peer = facts.command, route.peer
        if (malformed := _malformed(command)) is not None:
            return malformed
        field = command.command_field
        sop_class_uid = command.sop_class_uid or ""
        if not names_same_service(facts.abstract_syntax, sop_class_uid):
            why = f"{field.name} names another SOP class than its presentation context"
            return Deny("malformed", why, _unsupported(field))
        verb = service_of(facts.abstract_syntax).get(field)
        if (why_not := _wrong_way(route, facts)) is not None:
            return Deny("direction", why_not, self._status(field), verb)
        if verb is None:
            return Deny("default", f"{field.name} has no verb on {facts.abstract_syntax}", _unsupported(field))
        if verb is Verb.STORE and peer.sop_classes is not None and sop_class_uid not in peer.sop_classes:
            why = f"{sop_class_uid} is not among the SOP classes of peer {peer.name}"
            return Deny(f"peer[{peer.name}].sop_classes", why, self._status(field), verb)
        if facts.sender is Side.ACCEPTOR:
            return self._judge_from_acceptor(route, field, verb)
        if verb not in _allowed_verbs(route) or (
            route.direction is Direction.TO_PEER and field is not CommandField.N_EVENT_REPORT_RQ and verb in _EVENTS
        ):
            why = f"peer {peer.name} may not {verb}"
            return Deny(f"peer[{peer.name}].may", why, self._status(field), verb)
        if verb is Verb.MOVE:
            return self._judge_destination(facts, route, command.move_destination or "")
        return verb

    def _judge_from_acceptor(self, route: Route, field: CommandField, verb: Verb) -> Verb | Deny:
        """What the archive asks of the caller belongs to what the caller asked for: to its C-GET, to its events."""
        meant = Verb.GET if field is CommandField.C_STORE_RQ else verb
        if meant in _allowed_verbs(route):
            return meant
        why = f"peer {route.peer.name} may not {meant}"
        return Deny(f"peer[{route.peer.name}].may", why, self._status(field), meant)

    def _judge_destination(self, facts: OperationFacts, route: Route, destination: str) -> Verb | Deny:
        """A C-MOVE is an export to a third party: its destination is a permission of its own (PS3.4 C.4.2)."""
        peer = route.peer
        why = f"peer {peer.name} may not move to {destination}"
        refused = Deny(f"peer[{peer.name}].move_to", why, Status.MOVE_DESTINATION_UNKNOWN, Verb.MOVE)
        if not is_valid_ae_title(destination):
            why = f"peer {peer.name} names a malformed move destination"
            return Deny("malformed", why, Status.MOVE_DESTINATION_UNKNOWN, Verb.MOVE)
        if peer is _ANYBODY:
            return refused
        for target in peer.move_to:
            if target == _SELF:
                own = {pattern.text for pattern in peer.ae_titles if pattern.is_literal}
                if destination in own | {facts.calling_ae_title}:
                    return Verb.MOVE
            elif (named := self._peers_by_name.get(target)) is not None:
                if named.has_title(destination):
                    return Verb.MOVE
            elif target == destination:
                return Verb.MOVE
        return refused

    def _status(self, field: CommandField) -> int:
        """The refusing status where 0124H is not among the listed ones (PS3.7 9.1, 10.1)."""
        match field:
            case CommandField.C_FIND_RQ:
                return self.rules.find_refusal_status
            case CommandField.C_ECHO_RQ:
                return Status.SOP_CLASS_NOT_SUPPORTED
            case CommandField.N_EVENT_REPORT_RQ:
                return Status.PROCESSING_FAILURE
            case _:
                return Status.NOT_AUTHORIZED

    def _deny(self, rule: str, reason: str, answer: Rejection) -> Deny:
        if self.rules.refusals is Refusals.UNIFORM and answer in _TELLING:
            answer = Reject.NO_REASON
        return Deny(rule, reason, answer)


_ANYBODY = Peer("(unmatched)", (AeTitlePattern("*"),), Networks(any=True), may=frozenset(Verb))
"""Whom monitor mode lets pass although no peer rule names them."""

_PROOF = ("].certificates", "].channels")
_NO_PEER_RULE = frozenset({"malformed", "direction"})
"""Operations that monitor mode refuses as well: no peer rule could ever allow them."""

_TELLING = frozenset({Reject.CALLING_AE_TITLE_NOT_RECOGNIZED, Reject.CALLED_AE_TITLE_NOT_RECOGNIZED})


def _allowed_verbs(route: Route) -> frozenset[Verb]:
    """What the calling side may ask for on this route."""
    if route.direction is Direction.TO_ARCHIVE:
        return route.peer.may
    return _CALL_BACK | (route.peer.may & _EVENTS)


_CALL_BACK = frozenset({Verb.ECHO, Verb.STORE})
"""A peer with an `address` has said that its archive may verify it and send it objects."""


def _usable_verbs(
    route: Route, roles: tuple[Role, ...] | None, abstract_syntax: str, role: RoleSelection | None
) -> set[Verb]:
    """The verbs for which this context is of use; a storage context also serves C-GET when the role says so."""
    may = _allowed_verbs(route)
    usable = set(service_of(abstract_syntax).values()) & may
    if is_storage(abstract_syntax) and Verb.GET in may and role is not None and role.scp_role:
        usable.add(Verb.GET)
    return usable if roles is None else {verb for verb in usable if allows(roles, verb, abstract_syntax)}


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who calls whom, all that is known by now: what an admitted association is shaped by."""

    facts: AssociationFacts
    route: Route
    user: Principal | None = None
    roles: tuple[Role, ...] | None = None


def _shown_as(caller: _Caller) -> str:
    """The calling AE title that the other party sees."""
    archive, title = caller.route.archive, caller.facts.calling_ae_title
    if caller.route.direction is Direction.TO_PEER:
        return title
    if archive.identity is UpstreamIdentity.MAP and caller.user is not None:
        names = {role.name for role in caller.roles or ()}
        for name, mapped in archive.calling_ae_of_user:
            if name == caller.user.name:
                return mapped
        for name, mapped in archive.calling_ae_of_role:
            if name in names:
                return mapped
    return title if archive.calling_ae is None else archive.calling_ae


def _passed_on(caller: _Caller) -> UserIdentity | None:
    """The user identity item for the archive: a verified assertion or token, never a passcode or a ticket."""
    if caller.user is None or caller.route.archive.identity is not UpstreamIdentity.PASS:
        return None
    offered = caller.facts.request.user_information.user_identity
    if offered is None or offered.identity_type not in (IdentityType.SAML, IdentityType.JWT):
        return None
    return UserIdentity(offered.identity_type, False, offered.primary_field)


def _expiry(caller: _Caller) -> float | None:
    if caller.user is None or not any(role.on_expiry is OnExpiry.END for role in caller.roles or ()):
        return None
    return caller.user.expires


def _assurance(caller: _Caller) -> Assurance:
    """How well it is known who this is. A name that only the device gives is as good as the device."""
    if caller.user is not None and caller.user.verifier != DEVICE:
        return Assurance.USER
    route = caller.route
    origin = caller.facts.origin
    shown = route.peer.is_proven_by(origin.certificate) or route.peer.comes_through(origin.channel)
    return Assurance.DEVICE if shown and route.direction is Direction.TO_ARCHIVE else Assurance.ADDRESS


def _narrow_syntaxes(peer: Peer, context: ProposedContext) -> ProposedContext:
    allowed = _allowed_syntaxes(peer, context)
    if len(allowed) == len(context.transfer_syntaxes):
        return context
    return ProposedContext(context.context_id, context.abstract_syntax, allowed)


def _allowed_syntaxes(peer: Peer, context: ProposedContext) -> tuple[str, ...]:
    if peer.transfer_syntaxes is None:
        return tuple(uid for uid in context.transfer_syntaxes if uid not in OFF_UNLESS_WRITTEN)
    return tuple(uid for uid in context.transfer_syntaxes if uid in peer.transfer_syntaxes)


def _malformed(command: Command) -> Deny | None:
    """UIDs and titles that archives and viewers use as file names are held to their grammar, both ways."""
    field = command.command_field
    for uid in (command.affected_sop_instance_uid, command.requested_sop_instance_uid):
        if uid and not is_valid_uid(uid):
            return Deny("malformed", f"{field.name} with a malformed SOP Instance UID", Status.INVALID_SOP_INSTANCE)
    if command.sop_class_uid and not is_valid_uid(command.sop_class_uid):
        return Deny("malformed", f"{field.name} with a malformed SOP Class UID", _unsupported(field))
    if _differ(command.affected_sop_class_uid, command.requested_sop_class_uid) or _differ(
        command.affected_sop_instance_uid, command.requested_sop_instance_uid
    ):
        # One of them is judged and recorded; which one the other side acts on is not ours to guess.
        return Deny("malformed", f"{field.name} names two SOP classes or two instances", _unsupported(field))
    if command.move_originator_ae_title and not is_valid_ae_title(command.move_originator_ae_title):
        return Deny("malformed", f"{field.name} with a malformed move originator", Status.INVALID_SOP_INSTANCE)
    return None


def _differ(affected: str | None, requested: str | None) -> bool:
    return bool(affected and requested and affected != requested)


def _unsupported(field: CommandField) -> int:
    """No such SOP class, in the words of C- and of N-services (PS3.7 C.5.7, C.5.6)."""
    return Status.NO_SUCH_SOP_CLASS if 0x0100 <= field < 0x0FFF else Status.SOP_CLASS_NOT_SUPPORTED


def _wrong_way(route: Route, facts: OperationFacts) -> str | None:
    """Why nobody may ask this in this direction, whatever the rules: a sentence, or None."""
    field = facts.command.command_field
    if facts.sender is Side.ACCEPTOR:
        sub_operation = field is CommandField.C_STORE_RQ and facts.retrieving
        if route.direction is Direction.TO_ARCHIVE and (sub_operation or field is CommandField.N_EVENT_REPORT_RQ):
            return None
        return f"{field.name} from the called side, with no operation under way that explains it"
    if field is CommandField.N_EVENT_REPORT_RQ and route.direction is Direction.TO_ARCHIVE:
        return "only an archive reports events"
    return None


def _operation_permit(facts: OperationFacts, verb: Verb | None) -> OperationPermit:
    permit = object.__new__(OperationPermit)
    permit.command = facts.command
    permit.sender = facts.sender
    permit.verb = verb
    return permit
