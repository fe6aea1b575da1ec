"""What people let others see of them, and what they think of each other."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, LargeBinary, PrimaryKeyConstraint, Table, Text

from storage.tables.base import metadata

# What a person lets others see of them; without a row: nothing. (Their name stands with the account.)
profiles = Table(
    "profiles",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("bio", Text, nullable=False),
    Column("visibility", Text, nullable=False),
    # The name as it is searched for; null where it is not to be found. Bytes, which both databases compare alike.
    Column("name_key", LargeBinary, index=True),
    Column("by_email", Boolean, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# Whom a user does not want to meet. No foreign key to them: whether an id is somebody is not told.
blocks = Table(
    "blocks",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("blocked_id", Text, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "blocked_id"),
)

# What users told the moderators of others.
reports = Table(
    "reports",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reporter_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    # When a moderator was done with it.
    Column("closed_at", BigInteger),
)
