"""Users: the queries of accounts. Sessions and tokens are in `storage.sessions`."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, insert, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import users


class UserRow(NamedTuple):
    """One account. Times in Unix milliseconds, or None; `password_hash` is empty where it has no password."""

    id: str
    email: str
    name: str
    role: str
    plan: str
    created_at: int
    disabled_at: int | None
    password_hash: str
    email_key: str
    email_verified_at: int | None


_user = select(
    users.c.id,
    users.c.email,
    users.c.name,
    users.c.role,
    users.c.plan,
    users.c.created_at,
    users.c.disabled_at,
    users.c.password_hash,
    users.c.email_key,
    users.c.email_verified_at,
)
_by_id = _user.where(users.c.id == bindparam("user"))
_by_email = _user.where(users.c.email_key == bindparam("email_key"))
_LOCK = Prepared(postgresql=_by_id.with_for_update(), sqlite=_by_id)
_add = insert(users)
_set_password = update(users).where(users.c.id == bindparam("user")).values(password_hash=bindparam("hashed"))
_verify_email = (
    update(users)
    .where(users.c.id == bindparam("user"), users.c.email_verified_at.is_(None))
    .values(email_verified_at=bindparam("now_ms"))
    .returning(users.c.id)
)


async def add_user(
    tx: Transaction,
    *,
    user: str,
    email: str,
    email_key: str,
    name: str,
    password_hash: str,
    now_ms: int,
    email_verified_at: int | None = None,
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
            "email_verified_at": email_verified_at,
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


async def set_password(tx: Transaction, user: str, password_hash: str) -> None:
    """Replace the password of an account."""
    await tx.execute(_set_password, {"user": user, "hashed": password_hash})


async def verify_email(tx: Transaction, user: str, now_ms: int) -> bool:
    """Note that the address was proven; False where it was already."""
    return bool(await tx.execute(_verify_email, {"user": user, "now_ms": now_ms}))
