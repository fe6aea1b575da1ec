"""Templates that everybody sees, those that somebody likes or copied, and links to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
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
