"""Accounts elsewhere (OpenID Connect) that open one here: plain queries by issuer and subject."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, select, update

from storage.database import Transaction
from storage.tables import identities

_INSERT = insert(identities)
_USER = select(identities.c.user_id).where(
    identities.c.issuer == bindparam("of_issuer"), identities.c.subject == bindparam("of_subject")
)
_USED = (
    update(identities)
    .where(identities.c.issuer == bindparam("of_issuer"), identities.c.subject == bindparam("of_subject"))
    .values(last_used_at=bindparam("now_ms"))
)


async def add_identity(tx: Transaction, *, issuer: str, subject: str, user: str, now_ms: int) -> None:
    """Let this account elsewhere open the account of `user`. Raises Duplicate where it opens one already."""
    await tx.execute(
        _INSERT,
        {"issuer": issuer, "subject": subject, "user_id": user, "created_at": now_ms, "last_used_at": now_ms},
    )


async def user_of_identity(tx: Transaction, *, issuer: str, subject: str) -> str | None:
    """Whose account it opens, or None."""
    rows = await tx.execute(_USER, {"of_issuer": issuer, "of_subject": subject})
    return str(rows[0][0]) if rows else None


async def note_identity_used(tx: Transaction, *, issuer: str, subject: str, now_ms: int) -> None:
    """Note that it was signed in with just now."""
    await tx.execute(_USED, {"of_issuer": issuer, "of_subject": subject, "now_ms": now_ms})
