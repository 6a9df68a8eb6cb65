"""The proof of one record: a store and a number in, a Proof under the newest checkpoint out."""

from sqlalchemy import Engine

from dicomgate.audit.checkpoint import CheckpointError, read
from dicomgate.audit.leaf import NotCanonicalError, salted_leaf
from dicomgate.audit.merkle import inclusion_ranges, inclusion_root
from dicomgate.audit.proof import Proof
from dicomgate.audit.record import FIELDS
from dicomgate.store.database import StoreError, path_of, told
from dicomgate.store.schema import canonical_text
from dicomgate.store.tree import pruned_size, range_root


def prove(engine: Engine, sequence: int) -> Proof:
    """StoreError when there is no such record, no checkpoint over it yet, or when the store does not bear it out."""
    with told(engine), engine.connect() as connection, connection.begin():
        place = path_of(engine)
        row = connection.exec_driver_sql(_RECORD, (sequence,)).one_or_none()
        if row is None:
            if 1 <= sequence <= pruned_size(connection):
                raise StoreError(f"{place}: record {sequence} was pruned; only its leaf hash is left")
            raise StoreError(f"{place}: there is no record {sequence}")
        note = connection.exec_driver_sql(_NEWEST, (sequence,)).scalar()
        if note is None:
            raise StoreError(f"{place}: record {sequence} is not under a checkpoint yet\nhint: try again in a minute")
        try:
            checkpoint, _ = read(note)
            text = canonical_text(sequence, row[1:-2])
            path = tuple(range_root(connection, each) for each in inclusion_ranges(sequence - 1, checkpoint.size))
            leaf = salted_leaf(row[-2], text)
            if inclusion_root(sequence - 1, checkpoint.size, leaf, path) == checkpoint.root:
                return Proof(text, row[-2], path, note)
        except (CheckpointError, NotCanonicalError, TypeError):
            pass
        raise StoreError(
            f"{place}: record {sequence} does not fit the signed checkpoint\n"
            "hint: dicomgate audit verify says what is wrong"
        )


def sequence_of(engine: Engine, refusal_id: str) -> int | None:
    """The newest record with this refusal ID."""
    with told(engine), engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT MAX(sequence) FROM records WHERE refusal_id = ?", (refusal_id,))
        number = found.scalar()
        return number if isinstance(number, int) else None


_NAMES = ", ".join(f'"{name}"' for name in ("sequence", *FIELDS, "salt", "leaf"))
_RECORD = f"SELECT {_NAMES} FROM records WHERE sequence = ?"  # noqa: S608 - names, no values
_NEWEST = "SELECT note FROM checkpoints WHERE size >= ? ORDER BY size DESC LIMIT 1"
