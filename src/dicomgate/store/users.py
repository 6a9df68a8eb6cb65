"""Local users: what `dicomgate user` changes, and what the local verifier asks while the gate runs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Row, delete, insert, or_, select, union_all, update

from dicomgate.audit.record import Record
from dicomgate.identity.account import Account
from dicomgate.identity.verifier import Unavailable
from dicomgate.store.database import StoreError, told
from dicomgate.store.schema import USERS
from dicomgate.store.tree import append


class Users:
    """Each change and its record are kept together, or neither is. Raises StoreError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, account: Account, record: Record) -> bool:
        """False when there is a user of this name."""
        values = {name: getattr(account, name) for name in USERS.c.keys()}  # noqa: SIM118 - a collection of columns
        with writing(self._engine) as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == account.name)).first() is not None:
                return False
            connection.execute(insert(USERS).values(values | {"roles": json.dumps(account.roles)}))
            append(connection, record)
        return True

    def change(self, name: str, values: Mapping[str, object], record: Record) -> bool:
        """Set columns of one user (`roles` as a tuple); False when there is no such user."""
        values = {column: json.dumps(value) if column == "roles" else value for column, value in values.items()}
        with writing(self._engine) as connection:
            if connection.execute(update(USERS).where(USERS.c.name == name).values(values)).rowcount == 0:
                return False
            append(connection, record)
        return True

    def remove(self, name: str, record: Record) -> bool:
        """False when there is no such user."""
        with writing(self._engine) as connection:
            if connection.execute(delete(USERS).where(USERS.c.name == name)).rowcount == 0:
                return False
            append(connection, record)
        return True

    def find(self, name: str) -> Account | None:
        with told(self._engine), self._engine.connect() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == name)).one_or_none()
            return None if row is None else _account(row)

    def everybody(self) -> list[Account]:
        """In the order of names."""
        with told(self._engine), self._engine.connect() as connection:
            return [_account(row) for row in connection.execute(select(USERS).order_by(USERS.c.name))]


class VerifierUsers:
    """The Accounts of the local verifier: what goes wrong is Unavailable, and the claim is not believed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def nearest(self, name: str) -> Account | Unavailable | None:
        following = select(USERS).where(USERS.c.name >= name).order_by(USERS.c.name).limit(1).subquery()
        first = select(USERS).order_by(USERS.c.name).limit(1).subquery()
        # Always both, in one question: where in the order a name would stand must not be seen either.
        question = union_all(select(following), select(first))
        try:
            with told(self._engine), self._engine.connect() as connection:
                row = connection.execute(question).first()
                return None if row is None else _account(row)
        except StoreError as problem:
            return Unavailable(str(problem))

    def enabled(self) -> Mapping[str, frozenset[str]] | Unavailable:
        question = select(USERS.c.name, USERS.c.roles).where(USERS.c.disabled.is_(False))
        try:
            with told(self._engine), self._engine.connect() as connection:
                return {name: frozenset(json.loads(roles)) for name, roles in connection.execute(question)}
        except StoreError as problem:
            return Unavailable(str(problem))

    def rehash(self, account: Account, passcode: str) -> Unavailable | None:
        mine = (USERS.c.name == account.name) & (USERS.c.passcode == account.passcode)
        try:
            with writing(self._engine) as connection:
                connection.execute(update(USERS).where(mine).values(passcode=passcode))
        except StoreError as problem:
            return Unavailable(str(problem))
        return None

    def use_step(self, name: str, step: int) -> bool | Unavailable:
        unused = or_(USERS.c.totp_step.is_(None), USERS.c.totp_step < step)
        try:
            with writing(self._engine) as connection:
                change = update(USERS).where(USERS.c.name == name, unused).values(totp_step=step)
                return connection.execute(change).rowcount == 1
        except StoreError as problem:
            return Unavailable(str(problem))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes from its beginning: what was read in it is still so when it is committed."""
    with told(engine), engine.execution_options(sqlite_begin="BEGIN IMMEDIATE").begin() as connection:
        yield connection


def _account(row: Row[tuple[object, ...]]) -> Account:
    values = dict(row._mapping)
    return Account(**values | {"roles": tuple(json.loads(values["roles"]))})
