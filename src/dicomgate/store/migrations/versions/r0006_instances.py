"""What is known of stored SOP instances, for the tamper alarm."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "instances",
        sa.Column("archive", sa.Text(), primary_key=True),
        sa.Column("sop_instance_uid", sa.Text(), primary_key=True),
        sa.Column("transfer_syntax", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("time", sa.Double(), nullable=False),
        sqlite_with_rowid=False,
    )
