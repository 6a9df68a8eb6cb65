"""Bans on disk: placed and lifted by a gate or by a command, seen by every gate on the same store within a second."""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, and_, func, or_, select

from dicomgate.detect.ban import Ban
from dicomgate.detect.model import Rung, Subject, SubjectKind
from dicomgate.store.database import StoreError, told
from dicomgate.store.schema import BANS, LEARNED

KEPT = 7 * 86400.0
"""Seconds that a ban which is over is still listed; its records stay in the trail."""
_NEXT = select(func.coalesce(func.max(BANS.c.revision), 0) + 1).scalar_subquery()
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_RUNGS = {rung.word: rung for rung in Rung}


@dataclass(frozen=True, slots=True)
class Entry:
    """A ban and what has been done about it. `revision` grows with every change."""

    ban: Ban
    revision: int
    placed_recorded: bool = False
    ended_recorded: bool = False


def new_identifier() -> str:
    """Eight characters, as a refusal ID: not guessed, and can be said aloud."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))


def place(engine: Engine, *placed: Ban) -> None:
    """Keep bans, all of them or none. StoreError when the store cannot be written."""
    rows = [
        {
            "identifier": ban.identifier,
            "kind": ban.subject.kind.value,
            "value": _plain(ban.subject.value),
            "rung": ban.rung.word,
            "since": ban.since,
            "until": ban.until,
            "origin": ban.origin,
            "reason": _plain(ban.reason),
            "lifted": ban.lifted,
            "placed_recorded": 0,
            "ended_recorded": 0,
        }
        for ban in placed
    ]
    with told(engine), _at_once(engine).begin() as connection:
        for row in rows:
            connection.execute(BANS.insert().values(revision=_NEXT, **row))


def lift(engine: Engine, time: float, *, identifier: str | None = None, subject: Subject | None = None) -> list[Ban]:
    """End what is in force of this identifier or of this party; what was ended. StoreError as above."""
    asked = [BANS.c.lifted.is_(None), BANS.c.until > time]
    if identifier is not None:
        asked.append(BANS.c.identifier == identifier)
    if subject is not None:
        asked += [BANS.c.kind == subject.kind.value, BANS.c.value == subject.value]
    with told(engine), _at_once(engine).begin() as connection:
        ended = [_ban(row) for row in connection.execute(select(BANS).where(*asked))]
        for ban in ended:
            chosen = BANS.c.identifier == ban.identifier
            connection.execute(BANS.update().where(chosen).values(lifted=time, revision=_NEXT))
    return ended


def listed(engine: Engine, time: float, *, ended: bool = False) -> list[Ban]:
    """Those in force, the one that ends last first; with `ended` also those that are over."""
    asked = select(BANS).order_by(BANS.c.until.desc(), BANS.c.identifier)
    if not ended:
        asked = asked.where(BANS.c.until > time, BANS.c.lifted.is_(None))
    with told(engine), engine.connect() as connection:
        return [_ban(row) for row in connection.execute(asked)]


def changed(engine: Engine, since: int, time: float) -> list[Entry]:
    """What changed at or after a revision, and what lacks the record of its beginning or of its end."""
    over = and_(BANS.c.ended_recorded == 0, or_(BANS.c.until <= time, BANS.c.lifted.is_not(None)))
    with told(engine), engine.connect() as connection:
        rows = connection.execute(select(BANS).where(or_(BANS.c.revision >= since, BANS.c.placed_recorded == 0, over)))
        return [Entry(_ban(row), row.revision, bool(row.placed_recorded), bool(row.ended_recorded)) for row in rows]


def recorded(engine: Engine, marks: Iterable[tuple[str, bool]]) -> None:
    """Bans of which a record is written: by identifier, that of the beginning (False) or that of the end (True)."""
    with told(engine), _at_once(engine).begin() as connection:
        for identifier, ended in marks:
            done = {"ended_recorded": 1} if ended else {"placed_recorded": 1}
            connection.execute(BANS.update().where(BANS.c.identifier == identifier).values(done))


def purge(engine: Engine, time: float) -> None:
    """Forget what has long been over."""
    with told(engine), _at_once(engine).begin() as connection:
        connection.execute(BANS.delete().where(BANS.c.until < time - KEPT, BANS.c.ended_recorded == 1))


def remember(engine: Engine, memories: Mapping[str, Any]) -> None:
    """Keep what detectors have learned, JSON values by detector."""
    with told(engine), _at_once(engine).begin() as connection:
        connection.execute(LEARNED.delete())
        for detector, memory in memories.items():
            connection.execute(LEARNED.insert().values(detector=detector, memory=json.dumps(memory)))


def remembered(engine: Engine) -> dict[str, Any]:
    """What remember() kept. What is no JSON is given as None: its detector learns anew."""
    with told(engine), engine.connect() as connection:
        return {row.detector: _json(row.memory) for row in connection.execute(select(LEARNED))}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _ban(row: Row[Any]) -> Ban:
    try:
        return Ban(
            identifier=row.identifier,
            subject=Subject(SubjectKind(row.kind), row.value),
            rung=_RUNGS[row.rung],
            since=row.since,
            until=row.until,
            origin=row.origin,
            reason=row.reason,
            lifted=row.lifted,
        )
    except (ValueError, KeyError):
        raise StoreError(f"ban {row.identifier} was not written by this version") from None


def _plain(text: str) -> str:
    """What SQLite surely takes: a name may hold a lone surrogate."""
    return text[:1024].encode("utf-8", "backslashreplace").decode("utf-8")


def _at_once(engine: Engine) -> Engine:
    """A transaction that will write takes the lock at its beginning: taken later, it could fail without a wait."""
    return engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
