"""The ledger counts against a space's quota: add what stands in it already."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As storage.rows.LINE_WEIGHT_SQL was when this step was written; a step never changes.
    op.execute(
        "UPDATE spaces SET bytes = bytes + (SELECT coalesce(sum(200 + length(context) + coalesce(length(fields), 0) "
        "+ coalesce(length(verdict), 0)), 0) FROM changes WHERE changes.space_id = spaces.id)"
    )
