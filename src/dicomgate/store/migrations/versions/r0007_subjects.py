"""What an operation is about: study, series, and the patient under a pseudonym. In old rows all of it stays NULL."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("study_instance_uid", "series_instance_uid", "patient", "sealed_patient"):
        op.add_column("records", sa.Column(name, sa.Text()))
