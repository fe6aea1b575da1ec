"""Templates that everybody sees, those that somebody likes or copied, and links to them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from storage.templates import EXERCISES_MAX, LISTED_PER_SPACE_MAX, RECORDS_MAX, public_id, terms_of

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "public_templates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("space_id", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.Column("exercises", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.Column("copies", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_public_templates")),
        sa.UniqueConstraint("space_id", "template_id", name=op.f("uq_public_templates_space_id_template_id")),
    )
    op.create_index("ix_public_templates_published_at_id", "public_templates", ["published_at", "id"], unique=False)
    op.create_index("ix_public_templates_copies_id", "public_templates", ["copies", "id"], unique=False)
    op.create_table(
        "public_template_terms",
        sa.Column("space_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("term", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", "id", "term", name=op.f("pk_public_template_terms")),
    )
    op.create_index("ix_public_template_terms_term_id", "public_template_terms", ["term", "id"], unique=False)
    op.create_table(
        "template_marks",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("space_id", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_template_marks_user_id")),
        sa.PrimaryKeyConstraint("user_id", "kind", "id", name=op.f("pk_template_marks")),
    )
    op.create_index(op.f("ix_template_marks_space_id"), "template_marks", ["space_id"], unique=False)
    op.create_index("ix_template_marks_id_kind", "template_marks", ["id", "kind"], unique=False)
    op.create_table(
        "template_links",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("space_id", sa.Text(), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_template_links_user_id")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_template_links")),
        sa.UniqueConstraint(
            "user_id", "space_id", "template_id", name=op.f("uq_template_links_user_id_space_id_template_id")
        ),
    )
    op.create_index(op.f("ix_template_links_space_id"), "template_links", ["space_id"], unique=False)
    _list_what_is_public(op.get_bind())


_TEMPLATES = sa.text(
    "SELECT r.space_id, r.id, r.body FROM records AS r JOIN spaces AS s ON s.id = r.space_id "
    "WHERE s.kind = 'personal' AND r.collection = 'templates' AND r.status = 0 ORDER BY r.space_id, r.id"
)
_BELOW = sa.text(
    "SELECT id, body FROM records WHERE space_id = :space AND parent_collection = :above AND parent_id = :id "
    "AND status = 0"
)


def _list_what_is_public(connection: sa.Connection) -> None:
    """What a write does from now on, for what was written before (sync/published.py)."""
    listed: dict[str, int] = {}
    for space, template, body in connection.execute(_TEMPLATES).all():
        record = json.loads(body)
        values = record["values"]
        if values.get("visibility") != "public" or listed.get(space, 0) >= LISTED_PER_SPACE_MAX:
            continue
        below = _below(connection, space, "templates", template)
        sets = sum(len(_below(connection, space, "template_exercises", id)) for id, _ in below[: EXERCISES_MAX + 1])
        if len(below) > EXERCISES_MAX or len(below) + sets > RECORDS_MAX:
            continue
        listed[space] = listed.get(space, 0) + 1
        id, since = public_id(space, template), datetime.fromisoformat(record["updated_at"])
        connection.execute(
            sa.text("INSERT INTO public_templates VALUES (:id, :space, :template, :exercises, :at, 0)"),
            {
                "id": id,
                "space": space,
                "template": template,
                "exercises": len(below),
                "at": int(since.timestamp() * 1e3),
            },
        )
        exercises = {each for _, values in below if (each := values.get("exercise")) is not None}
        terms = terms_of(values.get("title", ""), values.get("tags", ()), exercises)
        if terms:
            connection.execute(
                sa.text("INSERT INTO public_template_terms VALUES (:space, :id, :term)"),
                [{"space": space, "id": id, "term": term} for term in sorted(terms)],
            )


def _below(connection: sa.Connection, space: str, above: str, id: str) -> list[tuple[str, dict[str, Any]]]:
    rows = connection.execute(_BELOW, {"space": space, "above": above, "id": id})
    return [(row[0], json.loads(row[1])["values"]) for row in rows]
