"""Bans, and what detectors have learned."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bans",
        sa.Column("identifier", sa.Text(), primary_key=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("rung", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lifted", sa.Double()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("placed_recorded", sa.Integer(), nullable=False),
        sa.Column("ended_recorded", sa.Integer(), nullable=False),
    )
    op.create_index("bans_revision", "bans", ["revision"])
    op.create_table(
        "learned",
        sa.Column("detector", sa.Text(), primary_key=True, nullable=False),
        sa.Column("memory", sa.Text(), nullable=False),
    )
