"""The hash tree over records. Rows of older versions get their salts and leaves here, in the order they were written.

What was changed before this step cannot be told from what was not: the tree vouches for records from here on.
"""

import os
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from dicomgate.audit.leaf import RANDOM_BYTES, Encode, NotCanonicalError, Value, canonical, salted, salted_leaf
from dicomgate.audit.merkle import HASH_BYTES, Frontier

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NUMBERS = {"time": float, "duration": float, "port": int, "message_id": int, "bytes": int}
_COLUMNS = [
    "time",
    "event",
    "outcome",
    "association",
    "refusal_id",
    "reason",
    "rule",
    "listener",
    "address",
    "port",
    "calling_ae_title",
    "called_ae_title",
    "peer",
    "archive",
    "user",
    "assurance",
    "verb",
    "command",
    "message_id",
    "sop_class_uid",
    "sop_instance_uid",
    "move_destination",
    "bytes",
    "status",
    "duration",
    "detail",
]
_ROWS = 1000


def upgrade() -> None:
    op.add_column("records", sa.Column("salt", sa.LargeBinary()))
    op.add_column("records", sa.Column("leaf", sa.LargeBinary()))
    op.create_table(
        "tree",
        sa.Column("only", sa.Integer(), primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("nodes", sa.LargeBinary(), nullable=False),
        sa.Column("prune_to", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.Integer(), primary_key=True),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
    )
    op.create_table(
        "pruned",
        sa.Column("first", sa.Integer(), primary_key=True),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
    )
    frontier = _plant()
    op.get_bind().exec_driver_sql(
        "INSERT INTO tree (only, size, nodes, prune_to) VALUES (1, ?, ?, 0)", (frontier.size, frontier.to_bytes())
    )


def _plant() -> Frontier:
    """Leaves for the rows that are there, numbered from 1 without a gap."""
    connection = op.get_bind()
    text = canonical({name: _NUMBERS.get(name, str) for name in _COLUMNS})
    columns = ", ".join(f'"{name}"' for name in _COLUMNS)
    read = f"SELECT sequence, {columns} FROM records WHERE sequence > ? ORDER BY sequence LIMIT {_ROWS}"  # noqa: S608
    write = "UPDATE records SET sequence = ?, salt = ?, leaf = ? WHERE sequence = ?"
    frontier, last = Frontier(), -(2**63)
    while rows := connection.exec_driver_sql(read, (last,)).all():
        changes = [
            (number, *_leaf(text, number, row[1:]), row[0]) for number, row in enumerate(rows, frontier.size + 1)
        ]
        for change in changes:
            connection.exec_driver_sql(write, change)
        frontier, last = frontier.extended(change[2] for change in changes), rows[-1][0]
    return frontier


def _leaf(text: Encode, number: int, row: Sequence[Value]) -> tuple[bytes | None, bytes]:
    salt = salted(os.urandom(RANDOM_BYTES))
    try:
        return salt, salted_leaf(salt, text(number, row))
    except NotCanonicalError:
        # No version ever wrote this row. It must not keep the gate from starting; verify will name it.
        return None, os.urandom(HASH_BYTES)
