"""Users: the queries of accounts. Sessions and tokens are in `storage.sessions`."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import users


class UserRow(NamedTuple):
    """One account. `disabled_at` in Unix milliseconds, or None."""

    id: str
    email: str
    name: str
    role: str
    plan: str
    created_at: int
    disabled_at: int | None
    password_hash: str


_user = select(
    users.c.id,
    users.c.email,
    users.c.name,
    users.c.role,
    users.c.plan,
    users.c.created_at,
    users.c.disabled_at,
    users.c.password_hash,
)
_by_id = _user.where(users.c.id == bindparam("user"))
_by_email = _user.where(users.c.email_key == bindparam("email_key"))
_LOCK = Prepared(postgresql=_by_id.with_for_update(), sqlite=_by_id)
_add = insert(users)


async def add_user(
    tx: Transaction, *, user: str, email: str, email_key: str, name: str, password_hash: str, now_ms: int
) -> None:
    """Store a new account. Raises Duplicate where the address has one."""
    await tx.execute(
        _add,
        {
            "id": user,
            "email": email,
            "email_key": email_key,
            "name": name,
            "password_hash": password_hash,
            "role": "user",
            "plan": "free",
            "created_at": now_ms,
        },
    )


async def lock_user(tx: Transaction, user: str) -> UserRow | None:
    """One account, locked until the transaction ends: what is counted of it after this stays as it was counted."""
    rows = await tx.execute(_LOCK, {"user": user})
    return UserRow(*rows[0]) if rows else None


async def find_login(tx: Transaction, email_key: str) -> UserRow | None:
    """The account of an address, or None."""
    rows = await tx.execute(_by_email, {"email_key": email_key})
    return UserRow(*rows[0]) if rows else None


async def find_user(tx: Transaction, user: str) -> UserRow | None:
    """One account by its id, or None."""
    rows = await tx.execute(_by_id, {"user": user})
    return UserRow(*rows[0]) if rows else None
