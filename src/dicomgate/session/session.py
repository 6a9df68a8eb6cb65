"""One relayed association: events in, commands out, and the order "judge, record, then act" in plain sight.

    connection → A-ASSOCIATE-RQ judged → admission recorded → other party connected → A-ASSOCIATE-AC narrowed
    → messages judged and relayed both ways → released, aborted or lost → record

The states are those of PS3.8 9.2, one `Half` for each side; nothing else remembers where we are.
docs/design/life-of-an-association.md tells the same story with what the other side sees.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from dicomgate.association.negotiation import agree
from dicomgate.association.transitions import RECEIVED, Action, Occurrence, Role, State
from dicomgate.audit.patient import Conceal
from dicomgate.audit.record import Outcome, Record
from dicomgate.facts import AssociationFacts, Origin, Side
from dicomgate.identity.claims import Claims
from dicomgate.identity.principal import Principal
from dicomgate.identity.verifier import Refuted, Unavailable, Verification, Verified
from dicomgate.policy.model import UpstreamIdentity
from dicomgate.policy.policy import Policy
from dicomgate.policy.verdict import AllowAssociation, AskIdentity, AssociationPermit, Deny, Direction
from dicomgate.session.dialogue import Dialogue, Stopped
from dicomgate.session.events import (
    Answered,
    Close,
    Command,
    Connect,
    Connected,
    Event,
    Finish,
    HungUp,
    NotKept,
    NotRecalled,
    Ordered,
    Recalled,
    Received,
    Recorded,
    Relay,
    Reloaded,
    Resume,
    Returned,
    Say,
    Stalled,
    TimeUp,
    Unreachable,
    Verify,
    Write,
)
from dicomgate.session.half import Half
from dicomgate.session.ledger import Ledger
from dicomgate.session.limits import SessionLimits
from dicomgate.session.under_way import UnderWay
from dicomgate.wire.codec import decode, encode
from dicomgate.wire.codes import (
    ABORT_REASONS,
    REJECT_REASONS,
    AbortReason,
    AbortSource,
    IdentityType,
    PduType,
    Reject,
    Rejection,
)
from dicomgate.wire.framer import Broken, CommandFragment, ControlPdu, DataRun, Frame, Framer
from dicomgate.wire.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Malformed,
    ReleaseReply,
    UserIdentity,
    UserInformation,
)
from dicomgate.wire.pdu import ReleaseRequest as ReleaseRequestPdu
from dicomgate.wire.text import trim_ae_title

NEVER = float("inf")
_RELEASE_RQ, _RELEASE_RP = encode(ReleaseRequestPdu()), encode(ReleaseReply())

Admission = Callable[[AssociationPermit], Deny | None]
"""Is there room for one more? Asked after the rules have said yes; a Deny says which cap is full."""
UpstreamToken = Callable[[AssociationPermit], bytes | None]
"""A token that tells the archive who the user is; None when there is none to be had."""


def no_token(_: AssociationPermit) -> bytes | None:
    """Of a gate that can make none."""
    return None


class Session:
    """The brain between two connections. Times are seconds of one steady clock; `wall` turns them into dates."""

    def __init__(
        self,
        association: str,
        origin: Origin,
        policy: Policy,
        limits: SessionLimits,
        *,
        admission: Admission,
        upstream_token: UpstreamToken = no_token,
        under_way: UnderWay | None = None,
        conceal: Conceal | None = None,
        new_refusal_id: Callable[[], str],
        wall: Callable[[float], float],
        now: float,
    ) -> None:
        self._origin = origin
        self._policy = policy
        self._limits = limits
        self._admission: Admission | None = admission
        self._upstream_token = upstream_token
        self._under_way = UnderWay() if under_way is None else under_way
        self._wall = wall
        self._ledger = Ledger(association, origin, wall, new_refusal_id, conceal)
        self._requestor, self._acceptor = Half(Role.ACCEPTOR), Half(Role.REQUESTOR)
        self._halves = {Side.REQUESTOR: self._requestor, Side.ACCEPTOR: self._acceptor}
        self._framers = {
            Side.REQUESTOR: Framer(limits.associate_pdu, limits.pdu),
            Side.ACCEPTOR: Framer(limits.associate_pdu, limits.pdu),
        }
        self._dialogue: Dialogue | None = None  # from the agreement on
        self._facts: AssociationFacts | None = None
        self._opening: tuple[Record, ...] = ()  # told together with the decision
        self._asked: Claims | None = None  # while the verifiers are being asked
        self._principal: Principal | None = None
        self._server_response: bytes | None = None
        self._expires = NEVER
        self._permit: AssociationPermit | None = None
        self._sent: AssociationPermit | None = None  # the one connected for; a reload replaces only `_permit`
        self._request: AssociateRequest | None = None  # what is sent for it
        self._commands: list[Command] = []
        self._began = self._last_byte = self._phase_began = now
        self._bytes = 0
        self._ended = False
        self._acceptor_told: UserInformation | None = None
        self._behind_held: list[Frame] | None = None  # while the end of a data set of the requestor's is held back
        self._severed: tuple[Side, ...] = ()  # what was on its way to them is lost
        self._requestor.on(Occurrence.INCOMING_CONNECTION)

    # -- what the driver asks ------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Both sides are closed; the session takes no more events."""
        return self._requestor.state is State.IDLE and self._acceptor.state is State.IDLE

    @property
    def half_open(self) -> bool:
        """No whole A-ASSOCIATE-RQ has come yet."""
        return self._requestor.state is State.AWAITING_REQUEST

    @property
    def connecting(self) -> bool:
        """The other party is still wanted and not yet there."""
        return self._halves[Side.ACCEPTOR].state is State.AWAITING_CONNECTION

    @property
    def association(self) -> str:
        """The name its records bear."""
        return self._ledger.association

    @property
    def permit(self) -> AssociationPermit | None:
        """What the association was admitted with; None before the verdict and after a refusal."""
        return self._permit

    def take_carry(self, side: Side) -> bytes:
        """See `Framer.take_carry`."""
        carry = self._framers[side].take_carry()
        self._bytes -= len(carry)  # they are about to be counted a second time
        return carry

    @property
    def deadline(self) -> float:
        """When `TimeUp` is due; NEVER when only the driver's own clocks run (connecting, recording)."""
        limits = self._limits
        requestor, acceptor = self._requestor.state, self._acceptor.state
        if State.AWAITING_CLOSE in (requestor, acceptor):
            return self._phase_began + limits.close
        if requestor is State.AWAITING_REQUEST:
            return self._began + (limits.associate_deadline if self._bytes else limits.first_byte)
        if self._asked is not None:
            return self._phase_began + limits.identity
        if acceptor in (State.IDLE, State.AWAITING_CONNECTION):
            return NEVER
        if acceptor is State.AWAITING_ANSWER:
            return self._phase_began + limits.archive_answer
        quiet = limits.no_progress if self._dialogue is not None and self._dialogue.busy else limits.idle
        return min(self._last_byte + quiet, self._began + limits.absolute, self._expires)

    def hurried(self, side: Side) -> bool:
        """Is this side likely to hold back its next bytes until these are acknowledged (Nagle's algorithm)?

        So it is inside a PDU or message, and while it answers operations one response after another.
        """
        dialogue = self._dialogue
        if not self._framers[side].between_pdus:
            return True
        return dialogue is not None and (not dialogue.between_messages(side) or dialogue.answering(side))

    # -- events --------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Command]:
        """What is to be done about an event, in order."""
        if self.finished:
            return []
        commands: list[Command] = []
        self._commands = commands
        match event:
            case Received(side, data):
                self._received(side, data, now)
            case HungUp(side, why):
                self._hung_up(side, why, now)
            case Answered(verification):
                self._answered(verification, now)
            case Recorded(durable):
                self._recorded(durable, now)
            case Connected():
                self._connected(now)
            case Unreachable(why):
                self._unreachable(why, now)
            case TimeUp():
                self._time_up(now)
            case Stalled(side):
                self._give_up("write-stall", f"the {side} took no bytes for {self._limits.write_stall:g} s", now)
            case Reloaded(policy):
                self._reloaded(policy, now)
            case Ordered(why, rule):
                self._give_up(rule, why, now)
            case Recalled() | NotRecalled() | Returned() | NotKept():
                self._decided(event, now)
            case _:
                assert_never(event)
        if self.finished:
            commands.append(Finish())
        self._commands = []
        return commands

    def crashed(self, now: float) -> list[Command]:
        """A bug was met while handling an event: end the association with A-ABORT and a record, never go on.

        Of what the event had already ordered, only the records are kept. Bytes that were to be relayed are lost, and
        their receiver may be left inside a PDU.
        """
        commands: list[Command] = []
        for lost in self._commands:
            if isinstance(lost, Write):
                commands.append(lost)
            elif isinstance(lost, Relay):
                self._severed += (lost.side,)
        self._commands = commands
        self._give_up("bug", "internal error; the association was ended", now)
        if self.finished:
            commands.append(Finish())
        return commands

    def _received(self, side: Side, data: memoryview, now: float) -> None:
        state = self._halves[side].state
        if state is State.IDLE or state is State.AWAITING_CONNECTION:
            return  # not connected: these bytes are nobody's
        self._last_byte = now
        self._bytes += len(data)
        self._frames(side, self._framers[side].feed(data), now)

    def _frames(self, side: Side, frames: list[Frame], now: float) -> None:
        for frame in frames:
            if self._halves[side].state is State.IDLE:
                return
            if self._behind_held is not None and side is Side.REQUESTOR:
                # No more than one read brings: the driver was told to pause. The views are into its buffer.
                owned = replace(frame, wire=bytes(frame.wire)) if isinstance(frame, DataRun) else frame
                self._behind_held.append(owned)
                continue
            match frame:
                case DataRun() | CommandFragment():
                    self._message(side, frame, now)
                case ControlPdu(kind, body):
                    self._control(side, kind, body, now)
                case Broken(why, reason):
                    self._violation(side, why, reason, now)
                case _:
                    assert_never(frame)

    # -- association ---------------------------------------------------------------------------------------

    def _control(self, side: Side, kind: PduType, body: bytes, now: float) -> None:
        half = self._halves[side]
        before = half.state
        release = kind is PduType.RELEASE_RQ or kind is PduType.RELEASE_RP
        if release and self._dialogue is not None and not self._dialogue.between_messages(side):
            self._violation(side, f"{kind.name} inside a message", AbortReason.UNEXPECTED_PDU, now)
            return
        match half.on(RECEIVED[kind]):
            case Action.JUDGE_REQUEST:
                pdu = decode(kind, body)
                if isinstance(pdu, AssociateRequest):
                    self._judge(pdu, now)
                elif isinstance(pdu, Malformed):
                    self._violation(side, pdu.why, pdu.reason, now)
            case Action.CONFIRM_ACCEPT:
                pdu = decode(kind, body)
                if isinstance(pdu, AssociateAccept):
                    self._accepted(pdu, now)
                elif isinstance(pdu, Malformed):
                    self._violation(side, pdu.why, pdu.reason, now)
            case Action.CONFIRM_REJECT:
                pdu = decode(kind, body)
                if isinstance(pdu, AssociateReject):
                    self._rejected(pdu.rejection, now)
                else:
                    self._refuse_unanswered("the answer was malformed", now)
                self._do(Close(side))
            case Action.DELIVER_RELEASE_REQUEST | Action.DELIVER_COLLISION:
                self._release_requested(side, now)
            case Action.CONFIRM_RELEASE:
                self._do(Close(side))
                self._reply_release(side.other, now)
                self._end(Outcome.SUCCESS, "released", now, by=side.other)
            case Action.CONFIRM_RELEASE_IN_COLLISION:
                self._reply_release(side, now)
                self._reply_release(side.other, now)
                self._end(Outcome.SUCCESS, "released", now, by=side)
            case Action.DELIVER_ABORT:
                pdu = decode(kind, body)
                abort = _plain(pdu) if isinstance(pdu, Abort) else Abort()
                self._do(Close(side))
                self._lost(side, f"aborted by the {side}", now, abort)
            case Action.CLOSE:
                self._do(Close(side))
                if before is State.AWAITING_REQUEST:
                    self._left_early("A-ABORT instead of an A-ASSOCIATE-RQ", now)
            case Action.IGNORE | Action.ABORT_AGAIN:
                pass
            case Action.ABORT_AS_USER | Action.ABORT_AS_PROVIDER:
                why = f"{kind.name} in {before.name} ({before.value})"
                self._answer_violation(side, before, why, AbortReason.UNEXPECTED_PDU, now)
            case impossible:
                raise RuntimeError(f"{impossible.name} is no answer to {kind.name}")

    def _judge(self, request: AssociateRequest, now: float) -> None:
        calling, called = trim_ae_title(request.calling_ae_title), trim_ae_title(request.called_ae_title)
        self._facts = facts = AssociationFacts(self._origin, calling or "", called or "", request)
        self._ledger.name(_printable(request.calling_ae_title), _printable(request.called_ae_title))
        self._opening = (self._ledger.requested(facts, now),)
        self._decide(facts, now)

    def _decide(self, facts: AssociationFacts, now: float) -> None:
        verdict = self._policy.decide_association(facts, self._principal, at=self._wall(now))
        if isinstance(verdict, AskIdentity):
            self._asked = verdict.claims
            self._phase_began = now
            self._do(Write(self._take_opening()))
            self._do(Verify(verdict.claims, verdict.verifiers))
            return
        if isinstance(verdict, AllowAssociation):
            admission, self._admission = self._admission, None  # asked once; also lets go of whoever asked us
            if admission is None:
                raise RuntimeError("an association is judged once")
            full = admission(verdict.permit)
            if full is None:
                self._admit(verdict, now)
                return
            verdict = full
        self._refuse(verdict, self._ledger.new_id(), now)

    def _admit(self, verdict: AllowAssociation, now: float) -> None:
        self._permit = verdict.permit
        self._expires = self._expiry(verdict.permit, now)
        self._phase_began = now
        self._do(Write((*self._take_opening(), self._ledger.admitted(verdict, now)), durable=True))

    def _refuse(self, denied: Deny, refusal_id: str, now: float) -> None:
        """Not admitted: the record says why, the requestor gets the answer."""
        rejection = denied.answer if isinstance(denied.answer, Rejection) else Reject.NO_REASON
        refused = self._ledger.refused(denied, refusal_id, str(rejection), now)
        self._do(Write((*self._take_opening(), refused)))
        self._reject(rejection, now)
        self._ended = True

    def _take_opening(self) -> tuple[Record, ...]:
        opening, self._opening = self._opening, ()
        return opening

    def _expiry(self, permit: AssociationPermit, now: float) -> float:
        """When the proof of who the user is ends, on our clock; NEVER when that ends nothing."""
        return NEVER if permit.expires is None else now + permit.expires - self._wall(now)

    def _answered(self, verification: Verification, now: float) -> None:
        claims, self._asked = self._asked, None
        facts = self._facts
        if claims is None or facts is None or self._requestor.state is not State.AWAITING_LOCAL_DECISION:
            return  # the requestor left meanwhile, or was refused for want of an answer
        match verification:
            case Verified(principal, server_response):
                self._principal, self._server_response = principal, server_response
                self._ledger.identified(principal)
                self._opening = (self._ledger.identity_verified(principal, now),)
                self._decide(facts, now)
            case Refuted(cause, reason):
                self._unidentified(claims, verification, f"{cause.value}: {reason}", now)
            case Unavailable(reason):
                self._unidentified(claims, verification, reason, now)
            case _:
                assert_never(verification)

    def _unidentified(self, claims: Claims, why: Refuted | Unavailable, reason: str, now: float) -> None:
        """Whatever was wrong with the claims, the other side sees the same; only "try again later" differs."""
        refusal_id = self._ledger.new_id()
        self._opening = (self._ledger.identity_refused(claims, why, refusal_id, now),)
        answer = Reject.USER_IDENTITY_FAILED if isinstance(why, Refuted) else Reject.TEMPORARY_CONGESTION
        self._refuse(Deny("verifier", reason, answer), refusal_id, now)

    def _recorded(self, durable: bool, now: float) -> None:
        permit = self._permit
        if self._requestor.state is not State.AWAITING_LOCAL_DECISION or permit is None:
            return  # the requestor left meanwhile
        if self._sent is not None:
            return  # said before
        if not durable:
            denied = Deny("audit.on_failure", "the admission could not be recorded", Reject.TEMPORARY_CONGESTION)
            self._refuse(denied, self._ledger.new_id(), now)
            return
        self._request = permit.request
        if _needs_token(permit):
            token = self._upstream_token(permit)
            if token is None:
                why = f"archive {permit.route.archive.name} is to be told who the user is, and there is no token"
                denied = Deny(f"archive[{permit.route.archive.name}].identity", why, Reject.TEMPORARY_CONGESTION)
                self._refuse(denied, self._ledger.new_id(), now)
                return
            told = replace(permit.request.user_information, user_identity=UserIdentity(IdentityType.JWT, False, token))
            self._request = replace(permit.request, user_information=told)
        self._acceptor.on(Occurrence.LOCAL_REQUEST)
        self._sent = permit
        self._do(Connect(permit))

    def _connected(self, now: float) -> None:
        permit, request = self._sent, self._request
        half = self._acceptor
        if permit is None or request is None or half.state is not State.AWAITING_CONNECTION:
            return
        half.on(Occurrence.CONNECTED)
        self._phase_began = now
        # What the acceptor sends right behind its answer is held to what it was told here.
        self._framers[Side.ACCEPTOR].data_pdu = request.user_information.maximum_length
        self._do(Relay(Side.ACCEPTOR, encode(request), permit))

    def _unreachable(self, why: str, now: float) -> None:
        if self._acceptor.state is State.AWAITING_CONNECTION:
            self._acceptor.on(Occurrence.CONNECTION_CLOSED)
            self._refuse_unanswered(why, now)

    def _accepted(self, accept: AssociateAccept, now: float) -> None:
        permit, facts = self._sent, self._facts
        if permit is None or facts is None:
            raise RuntimeError("accepted without a permit")
        agreement = agree(facts.request, permit.request, permit.refused_contexts, accept, self._limits.pdu)
        if isinstance(agreement, Malformed):
            self._violation(Side.ACCEPTOR, agreement.why, agreement.reason, now)
            return
        self._acceptor_told = accept.user_information
        current = self._permit or permit  # a reload may have judged again since
        self._dialogue = Dialogue(
            current, agreement, self._policy, self._limits, self._ledger, self._halves, self._under_way
        )
        self._framers[Side.REQUESTOR].data_pdu = agreement.to_acceptor
        self._framers[Side.ACCEPTOR].data_pdu = agreement.to_requestor
        self._requestor.on(Occurrence.LOCAL_ACCEPT)
        answer = agreement.accept
        offered = facts.request.user_information.user_identity
        if permit.principal is not None and offered is not None and offered.positive_response_requested:
            # Only who was verified, and asked, is told so (PS3.7 D.3.3.7.2).
            told = replace(answer.user_information, user_identity_response=self._server_response or b"")
            answer = replace(answer, user_information=told)
        self._do(Relay(Side.REQUESTOR, encode(answer), permit))

    def _rejected(self, rejection: Rejection, now: float) -> None:
        """The other party's own refusal is passed on: it knows why, and whether to try again.

        Numbers outside PS3.8 table 9-21 are not: the requestor gets "no reason" in their place.
        """
        known = rejection.result in (1, 2) and (rejection.source, rejection.reason) in REJECT_REASONS
        told = rejection if known else Rejection(2 if rejection.transient else 1, *Reject.NO_REASON[1:])
        self._reject(told, now)
        why = f"refused by the acceptor: {rejection}"
        self._end(Outcome.FAILURE, why, now, status=str(told), by=Side.ACCEPTOR)

    def _refuse_unanswered(self, why: str, now: float) -> None:
        """Admitted, but the other party could not be reached or gave no usable answer: try again later."""
        self._reject(Reject.TEMPORARY_CONGESTION, now)
        status = str(Reject.TEMPORARY_CONGESTION)
        refusal_id = self._ledger.new_id()
        self._end(Outcome.FAILURE, why, now, rule="archive", refusal_id=refusal_id, status=status, by=Side.ACCEPTOR)

    def _reject(self, rejection: Rejection, now: float) -> None:
        half = self._requestor
        if half.state is State.AWAITING_LOCAL_DECISION:
            half.on(Occurrence.LOCAL_REJECT)
            self._phase_began = now
            self._do(Say(Side.REQUESTOR, encode(AssociateReject(rejection))))

    # -- release -------------------------------------------------------------------------------------------

    def _release_requested(self, side: Side, now: float) -> None:
        """PS3.8 7.2, passed on; when both sides ask at once, each is answered by us (9.2, AR-8 to AR-10)."""
        half, other = self._halves[side], self._halves[side.other]
        if half.state is State.AWAITING_LOCAL_RELEASE:
            other.on(Occurrence.LOCAL_RELEASE)
            self._do(Say(side.other, _RELEASE_RQ))
        elif half.state is State.COLLISION_REQUESTOR_LOCAL:
            half.on(Occurrence.LOCAL_RELEASE_REPLY)
            self._do(Say(side, _RELEASE_RP))

    def _reply_release(self, side: Side, now: float) -> None:
        half = self._halves[side]
        if half.state in (State.AWAITING_LOCAL_RELEASE, State.COLLISION_ACCEPTOR_LOCAL):
            half.on(Occurrence.LOCAL_RELEASE_REPLY)
            self._phase_began = now
            self._do(Say(side, _RELEASE_RP))

    # -- messages ------------------------------------------------------------------------------------------

    def _arrives(self, side: Side, now: float) -> bool:
        """Is P-DATA-TF allowed from this side now (PS3.8 9.2)? If not, it has been answered."""
        half = self._halves[side]
        before = half.state
        match half.on(Occurrence.RECEIVED_DATA):
            case Action.DELIVER_DATA | Action.DELIVER_DATA_WHILE_RELEASING:
                return True
            case Action.ABORT_AS_USER | Action.ABORT_AS_PROVIDER:
                why = f"P_DATA_TF in {before.name} ({before.value})"
                self._answer_violation(side, before, why, AbortReason.UNEXPECTED_PDU, now)
            case _:
                pass  # Sta13: whatever still comes is ignored
        return False

    def _message(self, side: Side, frame: DataRun | CommandFragment, now: float) -> None:
        if not self._arrives(side, now):
            return
        dialogue = self._dialogue
        if dialogue is None:
            raise RuntimeError("data without an agreement")
        if isinstance(frame, DataRun):
            wrong = dialogue.data(side, frame, now, self._commands)
            if frame.last and dialogue.holding:
                self._behind_held = []
        else:
            wrong = dialogue.command(side, frame, now, self._commands)
        if isinstance(wrong, Stopped):
            self._give_up(wrong.rule, wrong.why, now, wrong.refusal_id)
        elif wrong is not None:
            self._violation(side, wrong.why, wrong.reason, now, wrong.rule)

    def _decided(self, event: Recalled | NotRecalled | Returned | NotKept, now: float) -> None:
        """What was held back goes on, and then what came behind it; or that was the end of it."""
        dialogue = self._dialogue
        if dialogue is None or self._ended:
            return
        stopped: Stopped | None = None
        match event:
            case Recalled() | NotRecalled():
                stopped = dialogue.recalled(event, now, self._commands)
            case Returned():
                self._last_byte = now  # the acceptor has taken what it got before
                dialogue.returned(event, now, self._commands)
            case NotKept(why):
                stopped = dialogue.not_kept(why, now, self._commands)
            case _:
                assert_never(event)
        if stopped is not None:
            self._give_up(stopped.rule, stopped.why, now, stopped.refusal_id)
        elif self._behind_held is not None and not dialogue.holding:
            behind, self._behind_held = self._behind_held, None
            self._frames(Side.REQUESTOR, behind, now)
            if self._behind_held is None:
                self._do(Resume(Side.REQUESTOR))

    # -- the ways it ends ----------------------------------------------------------------------------------

    def _violation(self, side: Side, why: str, reason: AbortReason, now: float, rule: str = "malformed") -> None:
        """One side left the protocol: A-ABORT as provider, and the same for the other side."""
        half = self._halves[side]
        before = half.state
        if before not in (State.IDLE, State.AWAITING_CLOSE):
            half.on(Occurrence.RECEIVED_UNRECOGNIZED)
            self._answer_violation(side, before, why, reason, now, rule)

    def _answer_violation(
        self, side: Side, before: State, why: str, reason: AbortReason, now: float, rule: str = "malformed"
    ) -> None:
        """`half` has gone to Sta13; `before` is where it was."""
        refusal_id = self._ledger.new_id()
        status = f"abort {AbortSource.SERVICE_PROVIDER:d}/{reason:d}"
        told = f"{side}: {why}"
        if before is State.AWAITING_REQUEST and reason is AbortReason.UNRECOGNIZED_PDU:
            # Whatever this is, it does not speak DICOM and would not understand an A-ABORT.
            self._do(Write((self._ledger.connection_refused("malformed", f"not DICOM: {why}", refusal_id, None, now),)))
            self._halves[side].on(Occurrence.ARTIM_EXPIRED)
            self._do(Close(side))
            self._ended = True
            return
        self._say_abort(side, Abort(AbortSource.SERVICE_PROVIDER, reason), now)
        if self._permit is None and not self._ended:
            denied = Deny("malformed", told, Reject.NO_REASON)
            self._do(Write((self._ledger.refused(denied, refusal_id, status, now),)))
            self._ended = True
            return
        if side is Side.ACCEPTOR and self._requestor.state is State.AWAITING_LOCAL_DECISION:
            self._refuse_unanswered(told, now)
            return
        self._abort(side.other, Abort(AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED), now)
        self._end(Outcome.FAILURE, told, now, rule=rule, refusal_id=refusal_id, status=status, by=side)

    def _hung_up(self, side: Side, why: str, now: float) -> None:
        half = self._halves[side]
        if half.state is State.IDLE:
            return
        action = half.on(Occurrence.CONNECTION_CLOSED)
        self._do(Close(side))
        if action is Action.DELIVER_LOSS:
            self._lost(side, f"the {side} went away: {why}", now, Abort())
        elif action is Action.FORGET and self._last_byte > self._began:
            # Who comes and goes without a byte is a health check; who leaves amid a request has a reason.
            self._left_early(f"left amid its A-ASSOCIATE-RQ: {why}", now)

    def _left_early(self, why: str, now: float) -> None:
        refused = self._ledger.connection_refused("malformed", why, self._ledger.new_id(), None, now)
        self._do(Write((refused,)))
        self._ended = True

    def _lost(self, side: Side, why: str, now: float, abort: Abort) -> None:
        """One side is gone without a release; the other learns it by A-ABORT, or by a refusal if it still waits."""
        if side is Side.ACCEPTOR and self._requestor.state is State.AWAITING_LOCAL_DECISION:
            self._refuse_unanswered(why, now)
            return
        self._abort(side.other, abort, now)
        self._end(Outcome.FAILURE, why, now, by=side)

    def _time_up(self, now: float) -> None:
        limits = self._limits
        for side, half in self._halves.items():
            if half.state is State.AWAITING_CLOSE:
                half.on(Occurrence.ARTIM_EXPIRED)
                self._do(Close(side, reset=True))
                return
        requestor, acceptor = self._requestor, self._acceptor
        if self._asked is not None:
            self._answered(Unavailable(f"no verifier answered within {limits.identity:g} s"), now)
        elif requestor.state is State.AWAITING_REQUEST:
            seconds = limits.associate_deadline if self._bytes else limits.first_byte
            self._drop_half_open("limits", f"no A-ASSOCIATE-RQ within {seconds:g} s", now)
        elif acceptor.state is State.AWAITING_ANSWER:
            self._abort(Side.ACCEPTOR, Abort(), now)
            self._refuse_unanswered(f"the acceptor gave no answer within {limits.archive_answer:g} s", now)
        elif now >= self._began + limits.absolute:
            self._give_up("limits.absolute", f"older than {limits.absolute:g} s", now)
        elif now >= self._expires:
            self._give_up("role.on_expiry", "the proof of who its user is has expired", now)
        elif self._dialogue is not None and self._dialogue.busy:
            self._give_up("limits.no_progress", f"no byte for {limits.no_progress:g} s inside an operation", now)
        else:
            self._give_up("limits.idle", f"idle for {limits.idle:g} s", now)

    def _drop_half_open(self, rule: str, why: str, now: float) -> None:
        self._do(Write((self._ledger.connection_refused(rule, why, self._ledger.new_id(), None, now),)))
        self._requestor.on(Occurrence.ARTIM_EXPIRED)
        self._do(Close(Side.REQUESTOR, reset=True))
        self._ended = True

    def _give_up(self, rule: str, why: str, now: float, refusal_id: str | None = None) -> None:
        """The gate itself ends it."""
        if self.half_open:
            self._drop_half_open(rule, why, now)
            return
        if self._requestor.state is State.AWAITING_LOCAL_DECISION:
            self._abort(Side.ACCEPTOR, Abort(), now)
            self._reject(Reject.TEMPORARY_CONGESTION, now)
            status = str(Reject.TEMPORARY_CONGESTION)
        else:
            self._abort(Side.REQUESTOR, Abort(), now)
            self._abort(Side.ACCEPTOR, Abort(), now)
            status = "abort 2/0"
        self._end(Outcome.FAILURE, why, now, rule=rule, refusal_id=refusal_id or self._ledger.new_id(), status=status)

    def _reloaded(self, policy: Policy, now: float) -> None:
        self._policy = policy
        denied = policy.decide_connection(self._origin.listener, self._origin.address, self._origin.channel)
        if denied is not None and not self._ended:
            self._give_up(denied.rule, f"no longer allowed: {denied.reason}", now)
            return
        if self._permit is None or self._facts is None or self._ended:
            return
        verdict = policy.decide_association(self._facts, self._principal, at=self._wall(now))
        if isinstance(verdict, AskIdentity):
            verdict = Deny("verifier", "its user would have to be verified", Reject.USER_IDENTITY_FAILED)
        if isinstance(verdict, Deny):
            self._give_up(verdict.rule, f"no longer allowed: {verdict.reason}", now)
            return
        was, route = self._permit.route, verdict.permit.route
        if (route.direction, route.name) != (was.direction, was.name):
            why = f"no longer allowed: {self._facts.called_ae_title} now leads to {route.name}"
            self._give_up(verdict.rule, why, now)
            return
        # What was negotiated stays; what is asked from now on is judged by the new permit.
        self._permit = verdict.permit
        self._expires = self._expiry(verdict.permit, now)
        if self._dialogue is not None:
            self._dialogue.permit, self._dialogue.policy = verdict.permit, policy

    def _abort(self, side: Side, abort: Abort, now: float) -> None:
        half = self._halves[side]
        if half.state is State.AWAITING_CONNECTION:
            half.on(Occurrence.LOCAL_ABORT)
            self._do(Close(side, reset=True))
        elif half.state not in (State.IDLE, State.AWAITING_CLOSE, State.AWAITING_REQUEST):
            half.on(Occurrence.LOCAL_ABORT)
            self._say_abort(side, abort, now)

    def _say_abort(self, side: Side, abort: Abort, now: float) -> None:
        """A-ABORT, and wait for the close; a receiver that is inside a PDU would take it for data, so it is reset."""
        self._phase_began = now
        inside_pdu = self._dialogue is not None and self._dialogue.inside_pdu(side)
        if inside_pdu or side in self._severed:
            self._halves[side].on(Occurrence.CONNECTION_CLOSED)
            self._do(Close(side, reset=True))
        else:
            self._do(Say(side, encode(abort)))

    def _end(
        self,
        outcome: Outcome,
        reason: str,
        now: float,
        *,
        rule: str | None = None,
        refusal_id: str | None = None,
        status: str | None = None,
        by: Side | None = None,
    ) -> None:
        """`by`: whose doing it is; the gate's own if nobody's."""
        if self._ended:
            return
        self._ended = True
        if self._behind_held is not None:
            self._behind_held = None
            self._do(Resume(Side.REQUESTOR))  # its close is still to come
        dialogue = self._dialogue
        records: list[Record] = []
        if dialogue is not None:
            records.extend(self._ledger.operation(o, None, None, now) for o in dialogue.unfinished())
        records.append(
            self._ledger.ended(
                outcome,
                reason,
                now,
                rule=rule,
                refusal_id=refusal_id,
                status=status,
                byte_count=self._bytes,
                started=self._began,
                operations=dialogue.operations if dialogue is not None else 0,
                refusals=dialogue.refusals if dialogue is not None else 0,
                ended_by="gate" if by is None else by.value,
                acceptor=self._acceptor_told,
            )
        )
        self._do(Write(records))

    def _do(self, command: Command) -> None:
        self._commands.append(command)


def _needs_token(permit: AssociationPermit) -> bool:
    match permit.route.archive.identity:
        case UpstreamIdentity.LOGIN:
            return permit.route.direction is Direction.TO_ARCHIVE
        case UpstreamIdentity.MINT:
            return permit.principal is not None
        case UpstreamIdentity.STRIP | UpstreamIdentity.PASS | UpstreamIdentity.MAP:
            return False


def _plain(abort: Abort) -> Abort:
    """An A-ABORT to pass on: a user's has no reason, and a provider's is one of PS3.8 table 9-26."""
    if abort.source == AbortSource.SERVICE_USER:
        return Abort(AbortSource.SERVICE_USER)
    known = abort.source == AbortSource.SERVICE_PROVIDER and abort.reason in ABORT_REASONS
    return abort if known else Abort()


def _printable(raw: bytes) -> str:
    """An AE title for records, whatever was in it."""
    return raw.translate(_VISIBLE).decode("ascii").strip()


_VISIBLE = bytes(b if 0x20 <= b < 0x7F else ord("?") for b in range(256))
