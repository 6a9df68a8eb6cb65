"""The table of records. Spelled out here, so that later changes of store/schema.py do not change the past."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "records",
        sa.Column("sequence", sa.Integer(), primary_key=True),
        sa.Column("time", sa.Double(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("association", sa.Text()),
        sa.Column("refusal_id", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("rule", sa.Text()),
        sa.Column("listener", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("port", sa.Integer()),
        sa.Column("calling_ae_title", sa.Text()),
        sa.Column("called_ae_title", sa.Text()),
        sa.Column("peer", sa.Text()),
        sa.Column("archive", sa.Text()),
        sa.Column("user", sa.Text()),
        sa.Column("assurance", sa.Text()),
        sa.Column("verb", sa.Text()),
        sa.Column("command", sa.Text()),
        sa.Column("message_id", sa.Integer()),
        sa.Column("sop_class_uid", sa.Text()),
        sa.Column("sop_instance_uid", sa.Text()),
        sa.Column("move_destination", sa.Text()),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("status", sa.Text()),
        sa.Column("duration", sa.Double()),
        sa.Column("detail", sa.Text()),
    )
    op.create_index("records_time", "records", ["time"])
    for name in ("association", "refusal_id"):
        op.create_index(f"records_{name}", "records", [name], sqlite_where=sa.text(f"{name} IS NOT NULL"))
