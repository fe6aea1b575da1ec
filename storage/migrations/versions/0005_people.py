"""What people let others see of them, whom they block, and what they report."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_profiles_user_id"), nullable=False),
        sa.Column("bio", sa.Text, nullable=False),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("name_key", sa.LargeBinary),
        sa.Column("by_email", sa.Boolean, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_profiles"),
    )
    op.create_index("ix_profiles_name_key", "profiles", ["name_key"])
    op.create_table(
        "blocks",
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_blocks_user_id"), nullable=False),
        sa.Column("blocked_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "blocked_id", name="pk_blocks"),
    )
    op.create_index("ix_blocks_blocked_id", "blocks", ["blocked_id"])
    op.create_table(
        "reports",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("reporter_id", sa.Text, sa.ForeignKey("users.id", name="fk_reports_reporter_id"), nullable=False),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", name="fk_reports_user_id"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_reporter_id", "reports", ["reporter_id"])
    op.create_index("ix_reports_user_id", "reports", ["user_id"])
