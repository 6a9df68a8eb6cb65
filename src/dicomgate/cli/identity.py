"""The desk and what stands behind it, put together: settings and a store in, an IdentityDesk for the gate out.

`hold_to` is called on the event loop, every few seconds, with who is a local user.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

from sqlalchemy import Engine

from dicomgate.audit.record import Event, Outcome, Record, iso_time
from dicomgate.audit.sink import RecordSink
from dicomgate.gate.journal import Journal
from dicomgate.iam.desk import Desk
from dicomgate.iam.emergency import EmergencyRoles, EmergencyWatch
from dicomgate.iam.guard import Guard
from dicomgate.iam.kerberos.settings import KerberosSettings
from dicomgate.iam.kerberos.verifier import KerberosVerifier
from dicomgate.iam.ldap.settings import LdapSettings
from dicomgate.iam.ldap.verifier import LdapVerifier
from dicomgate.iam.local import LocalVerifier, at_once
from dicomgate.iam.notices import (
    EmergencyInForce,
    EmergencyOver,
    LockedOut,
    Notice,
    VerifierBack,
    VerifierBroke,
    VerifierStuck,
)
from dicomgate.iam.oidc.settings import OidcSettings
from dicomgate.iam.saml.replays import Replays
from dicomgate.iam.saml.settings import SamlSettings
from dicomgate.iam.saml.verifier import SamlVerifier
from dicomgate.iam.settings import IdentitySettings, LocalSettings
from dicomgate.iam.standing import StandingWatch
from dicomgate.identity.account import Standing
from dicomgate.identity.verifier import Verifier
from dicomgate.store.grants import GateGrants
from dicomgate.store.users import VerifierUsers


class UserIdentity:
    """Verifiers, guard, desk and emergency access of a running gate. `desk` is what the gate is given."""

    def __init__(
        self,
        settings: IdentitySettings,
        engine: Engine,
        call_soon: Callable[[Callable[[], None]], object],
        sink: RecordSink,
        journal: Journal,
        hold_to: Callable[[Standing], None] = lambda standing: None,
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._journal = journal
        self._grants = GateGrants(engine)
        self._guard = Guard(settings.guard)
        self._replays: dict[str, Replays] = {}
        self.desk = Desk(
            verifiers_of(settings, engine, self._replays),
            self._guard,
            EmergencyRoles(self._grants, settings.emergency_roles).amend,
            call_soon,
            self._told,
            settings.desk,
        )
        self._watch = EmergencyWatch(self._grants, self.desk.tell)

        def on_the_loop(standing: Standing) -> None:
            with suppress(RuntimeError):  # the event loop is closed, and with it every association
                call_soon(partial(hold_to, standing))

        self._standing = StandingWatch(VerifierUsers(engine), on_the_loop, self.desk.tell)
        self._standing.use(*_local(settings))

    def reload(self, settings: IdentitySettings) -> None:
        """New verifiers and numbers; counted failures and lockouts stay."""
        self._guard.limits = settings.guard
        amend = EmergencyRoles(self._grants, settings.emergency_roles).amend
        self.desk.change(verifiers_of(settings, self._engine, self._replays), amend, settings.desk)
        self._standing.use(*_local(settings))

    def close(self) -> None:
        """While the event loop still takes calls, or after it."""
        self._standing.close()
        self._watch.close()
        self.desk.close()

    def _told(self, notice: Notice) -> None:
        """On the event loop."""
        match notice:
            case LockedOut():
                record = lockout_record(notice, time.time())
                self._sink.submit([record])
                self._journal.record(record)
            case VerifierBroke(verifier, what):
                self._journal.say("critical", "verifier_broke", verifier=verifier, what=what)
            case VerifierStuck(verifier, threads):
                self._journal.say("error", "verifier_stuck", verifier=verifier, threads=threads)
            case VerifierBack(verifier):
                self._journal.say("info", "verifier_back", verifier=verifier)
            case EmergencyInForce(grant):
                known = {"user": grant.user, "role": grant.role, "reason": grant.reason, "operator": grant.operator}
                self._journal.say("critical", "emergency_in_force", grant=grant.id, ends=iso_time(grant.ends), **known)
            case EmergencyOver(grant):
                self._journal.say("warning", "emergency_over", grant=grant.id, user=grant.user, role=grant.role)
            case _:
                assert_never(notice)


def _local(settings: IdentitySettings) -> tuple[frozenset[str], frozenset[str]]:
    """The verifiers of local users, and the roles that those have from elsewhere."""
    verifiers = frozenset(table.name for table in settings.verifiers if isinstance(table, LocalSettings))
    return verifiers, settings.emergency_roles


def verifiers_of(settings: IdentitySettings, engine: Engine, replays: dict[str, Replays]) -> list[tuple[Verifier, int]]:
    """Each verifier of the file, and how many threads may ask it at the same time.

    `replays` holds what each has seen, by its name: that outlives the verifier when the file is read anew.
    """
    few = min(at_once(), settings.desk.workers)  # for work on this machine's processors
    # First, since a realm's verifier may stand above the directory that it asks for groups.
    directories = {table.name: LdapVerifier(table) for table in settings.verifiers if isinstance(table, LdapSettings)}
    found: list[tuple[Verifier, int]] = []
    for table in settings.verifiers:
        match table:
            case LocalSettings():
                found.append((LocalVerifier(table, VerifierUsers(engine)), few))
            case LdapSettings():
                found.append((directories[table.name], settings.desk.workers))
            case KerberosSettings():
                groups_of = None if table.groups_from is None else directories[table.groups_from].groups_of
                found.append((KerberosVerifier(table, groups_of), settings.desk.workers))
            case OidcSettings():
                from dicomgate.iam.oidc.verifier import OidcVerifier  # noqa: PLC0415 - libraries, for who needs them

                found.append((OidcVerifier(table), settings.desk.workers))
            case SamlSettings():
                seen = replays.setdefault(table.name, Replays(since=time.time()))
                found.append((SamlVerifier(table, seen), few))
            case _:
                assert_never(table)
    return found


def lockout_record(lockout: LockedOut, now: float) -> Record:
    return Record(
        time=now,
        event=Event.USER_LOCKED_OUT,
        outcome=Outcome.REFUSED,
        reason=f"{lockout.failures} failures: {lockout.scope.value.replace('_', ' ')} locked out",
        user=lockout.user,
        listener=lockout.origin.listener,
        address=str(lockout.origin.address),
        port=lockout.origin.port,
        detail={"scope": lockout.scope.value, "failures": lockout.failures, "locked_for": lockout.seconds},
    )
