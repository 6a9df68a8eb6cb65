"""Emergency access: grants that begin, are used and end, each together with its record."""

from collections.abc import Iterable

from sqlalchemy import Connection, Engine, insert, select, update

from dicomgate.audit.record import Event, Outcome, Record, iso_time
from dicomgate.identity.claims import Claims
from dicomgate.identity.emergency import Grant
from dicomgate.identity.verifier import Unavailable
from dicomgate.store.database import StoreError, told
from dicomgate.store.schema import EMERGENCY_GRANTS as GRANTS
from dicomgate.store.tree import append
from dicomgate.store.users import writing


class EmergencyGrants:
    """For the command line. Raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, grant: Grant) -> None:
        with writing(self._engine) as connection:
            _end_due(connection, grant.granted)
            connection.execute(insert(GRANTS).values({name: getattr(grant, name) for name in _COLUMNS}))
            append(connection, _record(grant.granted, Event.EMERGENCY_STARTED, grant))

    def revoke(self, grant_id: str, operator: str, now: float) -> Grant | None:
        """End it now; None when no grant of this name is in force."""
        with writing(self._engine) as connection:
            _end_due(connection, now)
            open_one = (GRANTS.c.id == grant_id) & GRANTS.c.ended.is_(None)
            ended = connection.execute(update(GRANTS).where(open_one).values(ended=now).returning(*GRANTS.c)).first()
            if ended is None:
                return None
            grant = Grant(**dict(ended._mapping))
            append(connection, _record(now, Event.EMERGENCY_ENDED, grant, f"revoked by {operator}"))
            return grant

    def all(self) -> list[Grant]:
        """Also those that are over, oldest first."""
        with told(self._engine), self._engine.connect() as connection:
            return _grants(connection.execute(select(GRANTS).order_by(GRANTS.c.granted, GRANTS.c.id)))


class GateGrants:
    """The Grants that the gate asks while it runs: what goes wrong is Unavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def in_force(self, now: float, user: str | None = None) -> tuple[Grant, ...] | Unavailable:
        open_ones = GRANTS.c.ended.is_(None) & (GRANTS.c.granted <= now) & (GRANTS.c.ends > now)
        question = select(GRANTS).where(open_ones).order_by(GRANTS.c.granted, GRANTS.c.id)
        if user is not None:
            question = question.where(GRANTS.c.user == user)
        try:
            with told(self._engine), self._engine.connect() as connection:
                return tuple(_grants(connection.execute(question)))
        except StoreError as problem:
            return Unavailable(str(problem))

    def record_use(self, grants: tuple[Grant, ...], claims: Claims, now: float) -> Unavailable | None:
        try:
            with writing(self._engine) as connection:
                for grant in grants:
                    append(connection, _record(now, Event.EMERGENCY_USED, grant, claims=claims))
        except StoreError as problem:
            return Unavailable(str(problem))
        return None

    def end_due(self, now: float) -> tuple[Grant, ...] | Unavailable:
        due = GRANTS.c.ended.is_(None) & (GRANTS.c.ends <= now)
        try:
            with told(self._engine), self._engine.connect() as connection:
                if connection.execute(select(GRANTS.c.id).where(due).limit(1)).first() is None:
                    return ()  # nearly always: nothing is locked for that
            with writing(self._engine) as connection:
                return tuple(_end_due(connection, now))
        except StoreError as problem:
            return Unavailable(str(problem))


_COLUMNS = tuple(GRANTS.c.keys())


def _end_due(connection: Connection, now: float) -> list[Grant]:
    due = GRANTS.c.ended.is_(None) & (GRANTS.c.ends <= now)
    ended = connection.execute(update(GRANTS).where(due).values(ended=GRANTS.c.ends).returning(*GRANTS.c))
    grants = _grants(ended.all())
    for grant in grants:
        append(connection, _record(grant.ends, Event.EMERGENCY_ENDED, grant, "its time is over"))
    return grants


def _grants(rows: Iterable[object]) -> list[Grant]:
    return [Grant(**dict(row._mapping)) for row in rows]  # type: ignore[attr-defined]


def _record(time: float, event: Event, grant: Grant, how: str | None = None, claims: Claims | None = None) -> Record:
    return Record(
        time=time,
        event=event,
        outcome=Outcome.SUCCESS,
        reason=how or grant.reason,
        user=grant.user,
        listener=claims.origin.listener if claims else None,
        address=str(claims.origin.address) if claims else None,
        port=claims.origin.port if claims else None,
        calling_ae_title=claims.calling_ae_title if claims else None,
        called_ae_title=claims.called_ae_title if claims else None,
        detail={
            "grant": grant.id,
            "role": grant.role,
            "operator": grant.operator,
            "ends": iso_time(grant.ends),
        },
    )
