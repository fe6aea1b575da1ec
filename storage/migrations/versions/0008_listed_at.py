"""Workouts and measurements in the order of their time, from an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What storage/rows.py:listed_at says of a row, in the words of each database.
_TIME = {
    "postgresql": "convert_from(body, 'UTF8')::jsonb #>> '{{values,{field}}}'",
    "sqlite": "json_extract(CAST(body AS TEXT), '$.values.{field}')",
}


def upgrade() -> None:
    op.add_column("records", sa.Column("listed_at", sa.Text))
    time = _TIME[op.get_bind().dialect.name]
    for name, field in (("workouts", "started_at"), ("measurements", "at")):
        filled = f"coalesce({time.format(field=field)}, '')"
        op.execute(f"UPDATE records SET listed_at = {filled} WHERE collection = '{name}' AND status = 0")
    given = sa.text("listed_at IS NOT NULL")
    op.create_index(
        "ix_records_listed",
        "records",
        ["space_id", "collection", "listed_at", "id"],
        postgresql_where=given,
        sqlite_where=given,
    )
