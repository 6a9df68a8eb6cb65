"""The polite client: proposals in, answers out. One connection at a time, paced, counted, and never out of the scope.

At a sign of distress (no answer where there was one before, an abort in an operation) it stops, asks once more what it
asked first, and goes on only if the answer is the same as then.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dicomgate.assess.dialogue import (
    Aborted,
    Accepted,
    Answer,
    Dialogue,
    NoAnswer,
    Patience,
    Rejected,
    Replies,
    spoke_dicom,
)
from dicomgate.assess.inputs import Inputs
from dicomgate.assess.line import Dialer, Ending, Endpoint, Line, LineError, Tls
from dicomgate.assess.proposal import CALLING, ECHO, VERIFICATION, Offer, Proposal, fresh_uid
from dicomgate.wire.codes import CommandField, Reject
from dicomgate.wire.command import Command

MOST_SIGNS = 3
"""Signs of distress after which a target is left alone, though it answers again."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How fast and how often. Seconds and connections."""

    interval: float = 1.0
    """Between the beginnings of two connections to one target."""
    most_connections: int = 60
    idle_seconds: float = 60.0
    """How long a silent connection is held to see whether it is closed (ROB-01, ROB-02)."""
    drip_seconds: float = 90.0
    drip_interval: float = 8.0
    watch_seconds: float = 300.0
    """How long a canary is waited for."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is assessed."""

    name: str
    """`HOST:PORT` as the user wrote it."""
    endpoint: Endpoint
    called_ae_title: str


class Stopped(Exception):  # noqa: N818 - it ends an orderly procedure, it is no error
    """No further connection is made to this target. The text says why."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What the first request brought, in clear and, where that brought no DICOM, over TLS."""

    plain: Answer
    encrypted: Answer | None
    echo: Replies | None
    """Of a C-ECHO on the association, where one was accepted."""

    @property
    def answer(self) -> Answer:
        """What counts: the way in that speaks DICOM, or came nearest to it."""
        return self.plain if self.encrypted is None else self.encrypted

    @property
    def tls(self) -> bool:
        return self.encrypted is not None and (
            spoke_dicom(self.encrypted)
            or (isinstance(self.encrypted, NoAnswer) and self.encrypted.ending is Ending.TLS_REFUSED)
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """One DIMSE request and what became of it, from the association on."""

    calling: str
    answer: Answer
    offered: bool
    """The presentation context was accepted."""
    replies: Replies | None


@dataclass(frozen=True, slots=True)
class PortAnswer:
    """What another port of the host answered."""

    port: int
    plain: Answer
    encrypted: Answer | None


@dataclass(slots=True)
class Prober:
    """All I/O of the checks of one target."""

    target: Target
    inputs: Inputs
    dialer: Dialer
    patience: Patience = field(default_factory=Patience)
    tempo: Tempo = field(default_factory=Tempo)
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    permits: Callable[[Endpoint], bool] = lambda endpoint: False
    """Whether the scope has this endpoint. The target's own was asked about before there was a prober."""
    halted: Callable[[], str | None] = lambda: None
    """Why no further connection may be made: the window has ended, or the user has interrupted."""
    rehearsal: bool = False
    """Nothing is real: tools that would connect by themselves stay away."""
    connections: int = 0
    signs: int = 0
    contact: Contact | None = None
    server_certificate: bytes | None = None
    tls_version: str | None = None
    canary: str = ""
    seconds: float = 0.0
    """How long the last answer to an A-ASSOCIATE-RQ took."""
    _next: float = 0.0
    _known: dict[Proposal, Answer] = field(default_factory=dict)
    _kept: dict[str, Proposal] = field(default_factory=dict)
    _ports: tuple[PortAnswer, ...] | None = None

    # -- first contact and health ------------------------------------------------------------------------------------

    def make_contact(self) -> Contact:
        """Find out how the target answers, in clear and else over TLS."""
        plain, echo = self._echo(None)
        encrypted = None
        if not spoke_dicom(plain) and not (isinstance(plain, NoAnswer) and not plain.connected):
            encrypted, echo = self._echo(Tls())
            if isinstance(encrypted, NoAnswer) and encrypted.ending is not Ending.TLS_REFUSED:
                encrypted = None
        self.contact = Contact(plain, encrypted, echo)
        return self.contact

    def health(self) -> Answer:
        """The first request once more."""
        return self._echo(self.entry)[0]

    @property
    def entry(self) -> Tls | None:
        """TLS if that is how this target speaks DICOM."""
        return Tls() if self.contact is not None and self.contact.tls else None

    def _echo(self, tls: Tls | None) -> tuple[Answer, Replies | None]:
        with self._association(Proposal(), tls, self.target.endpoint) as (answer, dialogue):
            return answer, _ask_echo(answer, dialogue)

    # -- what checks use ---------------------------------------------------------------------------------------------

    def ask(self, proposal: Proposal) -> Answer:
        """Propose an association and release it. The same proposal is sent once only."""
        if proposal == Proposal() and self.contact is not None:
            return self.contact.answer
        if proposal not in self._known:
            with self.association(proposal) as (answer, _):
                self._known[proposal] = answer
        return self._known[proposal]

    def keep(self, name: str, make: Callable[[], Proposal]) -> Proposal:
        """A proposal with random parts that several checks share: made once."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @contextmanager
    def association(
        self, proposal: Proposal, *, tls: Tls | None = None, expected: bool = False
    ) -> Iterator[tuple[Answer, Dialogue | None]]:
        """An association with the target, released at the end.

        `tls` overrides the way in. `expected`: the end of the connection is what the check hopes for, and no sign of
        distress.
        """
        with self._association(proposal, tls or self.entry, self.target.endpoint) as (answer, dialogue):
            yield answer, dialogue
        if expected:
            return
        if _is_distress(answer):
            self._see_distress()
        elif dialogue is not None and (dialogue.cut_off or isinstance(dialogue.broken_off, Aborted)):
            # Some archives abort what they refuse, which is an answer if they live on.
            self._prove_health("after an operation that was aborted")
        elif dialogue is not None and dialogue.broken_off is not None:
            self._see_distress()

    def ask_one(
        self, offer: Offer, command: Command, data_set: bytes = b"", *, cancel_after: int | None = None
    ) -> Asked:
        """One DIMSE request on an association of its own, as the caller that gets furthest."""
        calling = self.caller
        with self.association(Proposal((offer,), calling=calling)) as (answer, dialogue):
            if dialogue is None or not isinstance(answer, Accepted):
                return Asked(calling, answer, offered=False, replies=None)
            if not answer.accepted_contexts:
                return Asked(calling, answer, offered=False, replies=None)
            replies = dialogue.ask(1, command, data_set, cancel_after=cancel_after)
            return Asked(calling, answer, offered=True, replies=replies)

    @property
    def caller(self) -> str:
        """The calling AE title that gets furthest: a stranger's, else the one the user has named.

        Furthest is an association; next to it a refusal that is about the user identity.
        """
        known = self.inputs.known_calling
        if known is None or _came_far(self.ask(Proposal())):
            return CALLING
        return known if _came_far(self.ask(Proposal(calling=known))) else CALLING

    @contextmanager
    def line(self, endpoint: Endpoint | None = None, tls: Tls | None = None) -> Iterator[Line | NoAnswer]:
        """A bare connection, for bytes that are no association. Without an endpoint: to the target, on its way in."""
        if endpoint is None:
            endpoint, tls = self.target.endpoint, tls or self.entry
        line = self._open(endpoint, tls)
        try:
            yield line
        finally:
            if not isinstance(line, NoAnswer):
                line.close()

    def is_in_scope(self, endpoint: Endpoint) -> bool:
        return self.permits(endpoint)

    def ask_port(self, endpoint: Endpoint) -> PortAnswer:
        """What another endpoint answers: in clear, and else over TLS. Only inside the scope (ValueError)."""
        if not self.permits(endpoint):
            raise ValueError(f"{endpoint} is not in the scope")
        with self._association(Proposal(), None, endpoint) as (plain, _):
            pass
        encrypted = None
        if not spoke_dicom(plain) and not (isinstance(plain, NoAnswer) and not plain.connected):
            with self._association(Proposal(), Tls(), endpoint) as (encrypted, _):
                pass
        return PortAnswer(endpoint.port, plain, encrypted)

    def other_ports(self) -> tuple[PortAnswer, ...]:
        """What the other ports of the host answer that are in the scope. Asked once."""
        if self._ports is None:
            address = self.target.endpoint.address
            endpoints = [Endpoint(address, port) for port in self.inputs.ports if port != self.target.endpoint.port]
            self._ports = tuple(self.ask_port(endpoint) for endpoint in endpoints if self.permits(endpoint))
        return self._ports

    def check_health(self) -> bool:
        """After something that might have hurt: whether it answers as at first. Stopped when it does not."""
        self._prove_health("after malformed or unfinished requests")
        return True

    def pace(self) -> None:
        """Wait for the next turn, and count it. Stopped at the cap. For tools that connect by themselves, too."""
        self.heed()
        if self.connections >= self.tempo.most_connections:
            raise Stopped(f"the cap of {self.tempo.most_connections} connections to one target is reached")
        wait = self._next - self.now()
        if wait > 0:
            self.sleep(wait)
        self._next = self.now() + self.tempo.interval
        self.connections += 1

    def heed(self) -> None:
        """Stopped when no further connection may be made. For checks that wait, between two looks."""
        if (reason := self.halted()) is not None:
            raise Stopped(reason)

    # -- below -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _association(
        self, proposal: Proposal, tls: Tls | None, endpoint: Endpoint
    ) -> Iterator[tuple[Answer, Dialogue | None]]:
        line = self._open(endpoint, tls)
        if isinstance(line, NoAnswer):
            yield line, None
            return
        dialogue = Dialogue(line, self.patience)
        try:
            if tls is not None and endpoint == self.target.endpoint:
                self.server_certificate, self.tls_version = line.certificate, line.tls_version
            begun = time.monotonic()
            answer = dialogue.request(proposal.request(self.target.called_ae_title))
            self.seconds = time.monotonic() - begun
            yield answer, dialogue
        finally:
            dialogue.release()

    def _open(self, endpoint: Endpoint, tls: Tls | None) -> Line | NoAnswer:
        self.pace()
        try:
            return self.dialer.open(endpoint, tls, time.monotonic() + self.patience.connect)
        except LineError as error:
            if endpoint == self.target.endpoint:
                self.server_certificate = error.certificate or self.server_certificate
            connected = error.ending in (Ending.TLS_REFUSED, Ending.NOT_TLS)
            return NoAnswer(error.ending, error.why, connected)

    def _see_distress(self) -> None:
        if self.contact is None or not _has_answered(self.contact):
            return  # it never answered: nothing has changed
        self.signs += 1
        if self.signs > MOST_SIGNS:
            raise Stopped(f"it showed {self.signs} signs of distress (aborts, closed or silent connections)")
        self._prove_health("after a request was not answered")

    def _prove_health(self, when: str) -> None:
        if self.contact is None:
            return
        before = str(self.contact.answer)
        now = str(self.health())
        if now != before:
            self.sleep(self.tempo.interval)
            now = str(self.health())
        if now != before:
            raise Stopped(f"{when} it no longer answers as at first: {before} then, {now} now")


def _came_far(answer: Answer) -> bool:
    """Past titles and addresses (PS3.7 D.3.3.7.3: a refused identity has the source ACSE)."""
    return isinstance(answer, Accepted) or (
        isinstance(answer, Rejected) and answer.rejection.source == Reject.USER_IDENTITY_FAILED.source
    )


def _has_answered(contact: Contact) -> bool:
    return spoke_dicom(contact.answer) or contact.tls


def _is_distress(answer: Answer) -> bool:
    """TLS refusals are answers; what else is no PDU was unexpected, and an A-ABORT means that something broke."""
    if isinstance(answer, NoAnswer):
        return answer.ending is not Ending.TLS_REFUSED
    return isinstance(answer, Aborted) or not spoke_dicom(answer)


def _ask_echo(answer: Answer, dialogue: Dialogue | None) -> Replies | None:
    if dialogue is None or not isinstance(answer, Accepted) or not answer.accepted_contexts:
        return None
    return dialogue.ask(1, Command(CommandField.C_ECHO_RQ, False, affected_sop_class_uid=VERIFICATION))


def undefined() -> Proposal:
    """A request that no implementation of DICOM can accept in full: nobody has defined what it proposes."""
    return Proposal((*ECHO, Offer(fresh_uid())), application_context_name="2.25.1")
