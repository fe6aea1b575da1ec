"""Files of other apps that were handed in over REST."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_imports_user_id"), nullable=False),
        sa.Column("space_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("choices", sa.LargeBinary, nullable=False),
        sa.Column("file", sa.LargeBinary),
        sa.Column("brought", sa.LargeBinary, nullable=False),
        sa.Column("summary", sa.LargeBinary),
        sa.Column("job_id", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
    )
    op.create_index("ix_imports_user_id_created_at", "imports", ["user_id", "created_at"])
