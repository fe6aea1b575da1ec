"""Who has an account here: people, how they sign in, and the devices and sessions that they do it with.

What opens something (a password, a token, a link) is stored hashed: a dump of these tables opens nothing.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from storage.tables.base import metadata

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

# Which devices a session was used with: a revoked device ends the sessions that know no other one.
session_devices = Table(
    "session_devices",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False),
    Column("device_id", Text, nullable=False, index=True),
    PrimaryKeyConstraint("session_id", "device_id"),
)
