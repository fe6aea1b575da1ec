"""What links in mails prove: single-use tokens of accounts, by their hashes, and registrations not yet confirmed.

Refuses to know: tokens (only their hashes come here) and lifetimes. Times are Unix milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import one_time_tokens, registrations


class Registration(NamedTuple):
    """An account that will be one once its address is confirmed."""

    id: str
    email: str
    email_key: str
    name: str
    password_hash: str


_PUT = Prepared(
    "INSERT INTO one_time_tokens (user_id, purpose, hash, email_key, expires_at) "
    "VALUES (:user, :purpose, :hash, :email_key, :expires_at) "
    "ON CONFLICT (user_id, purpose) DO UPDATE SET hash = excluded.hash, email_key = excluded.email_key, "
    "expires_at = excluded.expires_at"
)
_FIND = select(one_time_tokens.c.user_id, one_time_tokens.c.email_key).where(
    one_time_tokens.c.hash == bindparam("hash_"),
    one_time_tokens.c.purpose == bindparam("purpose_"),
    one_time_tokens.c.expires_at > bindparam("now_ms"),
)
_SPEND = (
    delete(one_time_tokens)
    .where(
        one_time_tokens.c.hash == bindparam("hash_"),
        one_time_tokens.c.purpose == bindparam("purpose_"),
        one_time_tokens.c.expires_at > bindparam("now_ms"),
    )
    .returning(one_time_tokens.c.user_id, one_time_tokens.c.email_key)
)
_FORGET_USER = delete(one_time_tokens).where(
    one_time_tokens.c.user_id == bindparam("user"), one_time_tokens.c.purpose == bindparam("purpose_")
)
_FORGET_OLD = (
    delete(one_time_tokens)
    .where(one_time_tokens.c.expires_at <= bindparam("now_ms"))
    .returning(one_time_tokens.c.user_id)
)

_ADD_REGISTRATION = insert(registrations)
_registration = select(
    registrations.c.id,
    registrations.c.email,
    registrations.c.email_key,
    registrations.c.name,
    registrations.c.password_hash,
)
_REGISTRATION = _registration.where(
    registrations.c.id == bindparam("registration"), registrations.c.expires_at > bindparam("now_ms")
)
_NEWEST_REGISTRATION = (
    _registration.where(
        registrations.c.email_key == bindparam("email_key"), registrations.c.expires_at > bindparam("now_ms")
    )
    .order_by(registrations.c.id.desc())
    .limit(1)
)
_GIVE_TOKEN = (
    update(registrations)
    .where(registrations.c.id == bindparam("registration"))
    .values(token_hash=bindparam("hash_"), expires_at=bindparam("until"))
)
_SPEND_REGISTRATION = (
    delete(registrations)
    .where(registrations.c.token_hash == bindparam("hash_"), registrations.c.expires_at > bindparam("now_ms"))
    .returning(
        registrations.c.id,
        registrations.c.email,
        registrations.c.email_key,
        registrations.c.name,
        registrations.c.password_hash,
    )
)
_REMOVE_REGISTRATION = delete(registrations).where(registrations.c.id == bindparam("registration"))
_FORGET_OLD_REGISTRATIONS = (
    delete(registrations).where(registrations.c.expires_at <= bindparam("now_ms")).returning(registrations.c.id)
)


async def put_token(
    tx: Transaction, *, user: str, purpose: str, token_hash: str, email_key: str, expires_at: int
) -> None:
    """Store a user's token of this purpose; it takes the place of an earlier one."""
    await tx.execute(
        _PUT,
        {"user": user, "purpose": purpose, "hash": token_hash, "email_key": email_key, "expires_at": expires_at},
    )


async def find_token(tx: Transaction, *, token_hash: str, purpose: str, now_ms: int) -> tuple[str, str] | None:
    """The user of a token that is good, and the address that it was sent to; it stays good."""
    rows = await tx.execute(_FIND, {"hash_": token_hash, "purpose_": purpose, "now_ms": now_ms})
    return (rows[0][0], rows[0][1]) if rows else None


async def spend_token(tx: Transaction, *, token_hash: str, purpose: str, now_ms: int) -> tuple[str, str] | None:
    """As `find_token`, and the token is gone. Of two at once, one gets None."""
    rows = await tx.execute(_SPEND, {"hash_": token_hash, "purpose_": purpose, "now_ms": now_ms})
    return (rows[0][0], rows[0][1]) if rows else None


async def forget_token(tx: Transaction, *, user: str, purpose: str) -> None:
    """Take a user's token of this purpose away, if there is one."""
    await tx.execute(_FORGET_USER, {"user": user, "purpose_": purpose})


async def add_registration(tx: Transaction, registration: Registration, *, now_ms: int, expires_at: int) -> None:
    """Store what will be an account."""
    await tx.execute(
        _ADD_REGISTRATION,
        {
            "id": registration.id,
            "email": registration.email,
            "email_key": registration.email_key,
            "name": registration.name,
            "password_hash": registration.password_hash,
            "token_hash": None,
            "created_at": now_ms,
            "expires_at": expires_at,
        },
    )


async def find_registration(tx: Transaction, registration: str, now_ms: int) -> Registration | None:
    """One that has not expired, by its id."""
    rows = await tx.execute(_REGISTRATION, {"registration": registration, "now_ms": now_ms})
    return Registration(*rows[0]) if rows else None


async def newest_registration(tx: Transaction, email_key: str, now_ms: int) -> Registration | None:
    """The newest one of an address."""
    rows = await tx.execute(_NEWEST_REGISTRATION, {"email_key": email_key, "now_ms": now_ms})
    return Registration(*rows[0]) if rows else None


async def give_registration_token(tx: Transaction, registration: str, token_hash: str, expires_at: int) -> None:
    """Note the token that confirms it, in place of an earlier one."""
    await tx.execute(_GIVE_TOKEN, {"registration": registration, "hash_": token_hash, "until": expires_at})


async def spend_registration(tx: Transaction, token_hash: str, now_ms: int) -> Registration | None:
    """The registration that a token confirms; both are gone."""
    rows = await tx.execute(_SPEND_REGISTRATION, {"hash_": token_hash, "now_ms": now_ms})
    return Registration(*rows[0]) if rows else None


async def remove_registration(tx: Transaction, registration: str) -> None:
    """Take it away: it will never be an account."""
    await tx.execute(_REMOVE_REGISTRATION, {"registration": registration})


async def forget_expired(tx: Transaction, now_ms: int) -> int:
    """Take away all tokens and registrations that have expired; how many there were."""
    gone = await tx.execute(_FORGET_OLD, {"now_ms": now_ms})
    return len(gone) + len(await tx.execute(_FORGET_OLD_REGISTRATIONS, {"now_ms": now_ms}))
