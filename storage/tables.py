"""The tables, as SQLAlchemy Core metadata, alike on SQLite and Postgres.

Ids are texts made by the server or by devices, times are Unix milliseconds, version vectors and verdicts are JSON
in bytes. Every table of the sync path begins its key with `space_id`, so that the tables can be distributed by it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False),
    # The address as it is compared: one account an address, however it is spelled.
    Column("email_key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="user"),
    Column("plan", Text, nullable=False, server_default="free"),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    # Since when everything about the user is being erased: their name, address and password are gone at once.
    Column("erasing_at", BigInteger),
    # When somebody proved to read mail at the address.
    Column("email_verified_at", BigInteger),
)

# Accounts elsewhere (OpenID Connect) that open one here. The subject is the issuer's own name for its user.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("issuer", "subject"),
)

# What a link in a mail proves, by its hash; of each purpose a user has the newest one alone.
one_time_tokens = Table(
    "one_time_tokens",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    # The address that it was sent to: it counts only while the account has that one.
    Column("email_key", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("user_id", "purpose"),
)

# Accounts that become ones once their address is confirmed. Two for one address do not know of each other.
registrations = Table(
    "registrations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    # Of the link in the mail; null until that is written.
    Column("token_hash", Text, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
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

devices = Table(
    "devices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    # The installation's own UUID: asking twice for an id gives the same one.
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("app_version", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    UniqueConstraint("user_id", "key"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False, index=True),
    Column("device_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("revoked_reason", Text),
    Column("user_agent", Text, nullable=False, server_default=""),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    # Tokens are stored hashed; a dump of the table opens nothing.
    Column("hash", Text, primary_key=True),
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("issued_at", BigInteger, nullable=False),
    Column("spent_at", BigInteger),
)

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

# Which devices a session was used with: a revoked device ends the sessions that know no other one.
session_devices = Table(
    "session_devices",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False),
    Column("device_id", Text, nullable=False, index=True),
    PrimaryKeyConstraint("session_id", "device_id"),
)

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
