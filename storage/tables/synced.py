"""What devices sync: spaces, who is in them, their records, and the ledger of changes.

Every table but that of the spaces themselves begins its key with `space_id`, so that they can be distributed by it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

spaces = Table(
    "spaces",
    metadata,
    Column("id", Text, primary_key=True),
    # personal, shared, catalog; erasing: it is nobody's any more, and goes piece by piece.
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("owner_id", Text, index=True),
    # The seq of the newest write; the row's lock makes seq order commit order.
    Column("head", BigInteger, nullable=False),
    Column("version", LargeBinary, nullable=False),
    Column("life", Text, nullable=False),
    # [[life, the head at which it began], …], oldest first.
    Column("lives", LargeBinary, nullable=False),
    Column("timeline", Text, nullable=False),
    # Tombstones at or below this seq may have been collected.
    Column("floor", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("server_device", Text, nullable=False),
    Column("server_hlc", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("space_id", Text, ForeignKey("spaces.id"), nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("invited_by", Text),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("space_id", "user_id"),
    Index(
        "ix_members_invited_by",
        "invited_by",
        postgresql_where=text("invited_by IS NOT NULL"),
        sqlite_where=text("invited_by IS NOT NULL"),
    ),
)

space_devices = Table(
    "space_devices",
    metadata,
    Column("space_id", Text, ForeignKey("spaces.id"), nullable=False),
    Column("device_id", Text, nullable=False, index=True),
    Column("user_id", Text, nullable=False),
    # What the device has promised to know, and when it last said so.
    Column("seen", LargeBinary, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    # It lost its vote: its pushes wait for a snapshot.
    Column("resync", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("space_id", "device_id"),
)

records = Table(
    "records",
    metadata,
    Column("space_id", Text, nullable=False),
    Column("collection", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("parent_collection", Text),
    Column("parent_id", Text),
    # 0 shown, 1 deleted (a tombstone), 2 hidden, 3 a stub: a parent that nobody named yet.
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", LargeBinary, nullable=False),
    # Of a shown record that people list by a time: that time, as text; see storage/rows.py:listed_at.
    Column("listed_at", Text),
    Column("deleted_at", BigInteger),
    PrimaryKeyConstraint("space_id", "collection", "id"),
    # Each of these has a condition, so that none of them can be taken for a look-up by the whole key: while a table has
    # no statistics, Postgres finds any index good that begins with the right column, and remembers the plan.
    Index(
        "ix_records_feed",
        "space_id",
        "seq",
        postgresql_where=text("status < 2"),
        sqlite_where=text("status < 2"),
    ),
    Index(
        "ix_records_parent",
        "space_id",
        "parent_collection",
        "parent_id",
        postgresql_where=text("parent_id IS NOT NULL"),
        sqlite_where=text("parent_id IS NOT NULL"),
    ),
    Index(
        "ix_records_listed",
        "space_id",
        "collection",
        "listed_at",
        "id",
        postgresql_where=text("listed_at IS NOT NULL"),
        sqlite_where=text("listed_at IS NOT NULL"),
    ),
    # Few rows have one: in all spaces, which have old tombstones; in one, which these are.
    Index(
        "ix_records_deleted_at",
        "deleted_at",
        postgresql_where=text("deleted_at IS NOT NULL"),
        sqlite_where=text("deleted_at IS NOT NULL"),
    ),
    Index(
        "ix_records_space_id_deleted_at",
        "space_id",
        "deleted_at",
        postgresql_where=text("deleted_at IS NOT NULL"),
        sqlite_where=text("deleted_at IS NOT NULL"),
    ),
)

changes = Table(
    "changes",
    metadata,
    Column("space_id", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("n", BigInteger, nullable=False),
    # The space's head after the batch: the order in which the server took changes.
    Column("arrival", BigInteger, nullable=False),
    Column("collection", Text),
    Column("record_id", Text),
    Column("op", Text, nullable=False),
    # As it was sent; a clamped one stands beside it.
    Column("hlc", Text, nullable=False),
    Column("clamped_hlc", Text),
    Column("grp", Text),
    Column("context", LargeBinary, nullable=False),
    Column("fields", LargeBinary),
    # Why it was rejected, as JSON; null where it was accepted.
    Column("verdict", LargeBinary),
    Column("received_at", BigInteger, nullable=False),
    Column("user_id", Text, nullable=False),
    # Its record's tombstone was collected: the line stays for repeated pushes and is in no history any more.
    Column("collected", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("space_id", "device_id", "n"),
    # It begins with the record, so that no look-up by the key can take it: see `records`.
    Index("ix_changes_record", "record_id", "collection", "space_id"),
    # What the server wrote for somebody, under an id of its own (longer than a device's): no device leads to it.
    Index(
        "ix_changes_user_id",
        "user_id",
        "space_id",
        postgresql_where=text("length(device_id) > 8"),
        sqlite_where=text("length(device_id) > 8"),
    ),
)
