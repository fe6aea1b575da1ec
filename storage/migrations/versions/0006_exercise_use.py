"""What people train lately, for what is popular."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "exercise_uses",
        sa.Column("space_id", sa.Text(), nullable=False),
        sa.Column("exercise_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", "exercise_id", name=op.f("pk_exercise_uses")),
    )
    op.create_index(op.f("ix_exercise_uses_exercise_id"), "exercise_uses", ["exercise_id"], unique=False)
    op.create_table(
        "exercise_use_heads",
        sa.Column("space_id", sa.Text(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", name=op.f("pk_exercise_use_heads")),
    )
