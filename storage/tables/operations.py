"""What the server keeps of its own work: requests answered once, mails, jobs, what happened, what was erased."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

from storage.tables.base import metadata

# What a POST was answered with, for when it is sent again under the same Idempotency-Key.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("key", Text, nullable=False),
    # What was asked for, hashed: a key stands for one request.
    Column("fingerprint", Text, nullable=False),
    Column("claimed_at", BigInteger, nullable=False, index=True),
    # None while the first request is under way.
    Column("status", SmallInteger),
    Column("headers", LargeBinary),
    Column("body", LargeBinary),
    PrimaryKeyConstraint("user_id", "key"),
)

# Mails that are to be sent. What they say is written when they are, so that no link is stored.
mails = Table(
    "mails",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # What it is about: a user's id, a registration's id, or an address.
    Column("about", Text, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, index=True),
    Column("give_up_at", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
)

# What happened to accounts. No foreign keys: a line outlives what it is about.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("event", Text, nullable=False),
    # Whose account it is, and who did it; null where that is not known.
    Column("user_id", Text),
    Column("actor_id", Text),
    Column("session_id", Text),
    Column("address", Text),
    Column("details", LargeBinary, nullable=False),
    Index("ix_audit_log_user_id_at", "user_id", "at"),
)

# Work behind an answer, which survives the process that began it: exports, erasures.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # Whose it is. No foreign key: an erasure ends with its user's row and its own in one transaction.
    Column("user_id", Text, index=True),
    Column("arguments", LargeBinary, nullable=False),
    # Where it goes on, as it last said.
    Column("memory", LargeBinary),
    Column("state", Text, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    # How often it was begun: whoever works on it is told apart by this number.
    Column("attempt", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    # From when on it may be begun; of a running one, when it counts as left behind.
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("result", LargeBinary),
    Column("error", Text),
    Index(
        "ix_jobs_kind_due_at",
        "kind",
        "due_at",
        postgresql_where=text("finished_at IS NULL"),
        sqlite_where=text("finished_at IS NULL"),
    ),
    Index(
        "ix_jobs_finished_at",
        "finished_at",
        postgresql_where=text("finished_at IS NOT NULL"),
        sqlite_where=text("finished_at IS NOT NULL"),
    ),
)

# Who was erased, as a hash: a backup that still has them is put back without them.
erasures = Table(
    "erasures",
    metadata,
    Column("user_hash", Text, primary_key=True),
    Column("erased_at", BigInteger, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
