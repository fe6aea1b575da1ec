"""Accounts that are being erased, what leads to all of theirs, and who was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("erasing_at", sa.BigInteger))
    op.create_table(
        "erasures",
        sa.Column("user_hash", sa.Text, nullable=False),
        sa.Column("erased_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_hash", name="pk_erasures"),
    )
    for name, table, columns, where in (
        ("ix_members_invited_by", "members", ["invited_by"], "invited_by IS NOT NULL"),
        ("ix_changes_user_id", "changes", ["user_id", "space_id"], "length(device_id) > 8"),
    ):
        op.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
