"""What stands beside the records of a training log: imports, and what is derived to be found or kept up."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from storage.tables.base import metadata

# Files of other apps that were handed in over REST, and what became of them.
imports = Table(
    "imports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("space_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Of the file, as its sender called it.
    Column("name", Text, nullable=False),
    # How it is to be read: JSON.
    Column("choices", LargeBinary, nullable=False),
    # The file itself, until it is imported or thrown away.
    Column("file", LargeBinary),
    # [[collection, id], …]: the highest records that it brought, which an undoing deletes.
    Column("brought", LargeBinary, nullable=False),
    # What was read and done, as it is answered: JSON.
    Column("summary", LargeBinary),
    # The latest job that works on it.
    Column("job_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_imports_user_id_created_at", "user_id", "created_at"),
)

# What the people of a personal space train lately, counted now and then for what is popular; derived from its records.
exercise_uses = Table(
    "exercise_uses",
    metadata,
    Column("space_id", Text, nullable=False),
    Column("exercise_id", Text, nullable=False, index=True),
    PrimaryKeyConstraint("space_id", "exercise_id"),
)

# At which head of which life each space was counted.
exercise_use_heads = Table(
    "exercise_use_heads",
    metadata,
    Column("space_id", Text, primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("life", Text, nullable=False),
)

# Up to where a person's stored records follow from what stands in each space they train in; a row that is missing, or
# behind its space, means that they are to be brought up.
record_marks = Table(
    "record_marks",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("space_id", Text, nullable=False),
    Column("life", Text, nullable=False),
    Column("head", BigInteger, nullable=False),
    # What else they follow from: how records are worked out, and how the catalog's exercises are loaded.
    Column("basis", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "space_id"),
)

# Templates of personal spaces that everybody sees; derived from the records, and written with them (sync/published.py).
public_templates = Table(
    "public_templates",
    metadata,
    # What it is called by others: it follows from its place, and tells nobody which place that is.
    Column("id", Text, primary_key=True),
    Column("space_id", Text, nullable=False),
    Column("template_id", Text, nullable=False),
    # How many exercises stand in it.
    Column("exercises", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    # By how many people.
    Column("copies", BigInteger, nullable=False),
    UniqueConstraint("space_id", "template_id"),
    Index("ix_public_templates_published_at_id", "published_at", "id"),
    Index("ix_public_templates_copies_id", "copies", "id"),
)

# What they are found by: words of the title and the tags, whole tags, exercises. Bytes, which both databases compare
# alike.
public_template_terms = Table(
    "public_template_terms",
    metadata,
    Column("space_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("term", LargeBinary, nullable=False),
    PrimaryKeyConstraint("space_id", "id", "term"),
    Index("ix_public_template_terms_term_id", "term", "id"),
)

# The templates that somebody likes (favorite) or has copied (copy), by what they are called by others.
template_marks = Table(
    "template_marks",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("space_id", Text, nullable=False, index=True),
    Column("template_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "kind", "id"),
    Index("ix_template_marks_id_kind", "id", "kind"),
)

# Links by which a template is seen by whoever has one. The link itself follows from the nonce under the server's key.
template_links = Table(
    "template_links",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("space_id", Text, nullable=False, index=True),
    Column("template_id", Text, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("user_id", "space_id", "template_id"),
)
