"""Which records a member touched: what a rewind goes back over."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from storage.database import Transaction
from storage.rows import Key
from storage.tables import changes

_touched = (
    select(changes.c.collection, changes.c.record_id)
    .where(
        changes.c.space_id == bindparam("space"),
        changes.c.user_id == bindparam("user"),
        changes.c.received_at >= bindparam("since_ms"),
        changes.c.verdict.is_(None),
        changes.c.op != "void",
        changes.c.collected.is_(False),
    )
    .distinct()
    .order_by(changes.c.collection, changes.c.record_id)
)


async def read_touched(tx: Transaction, space: str, user: str, since_ms: int) -> list[Key]:
    """The records of one space that one user has changed at or after `since_ms` (Unix milliseconds)."""
    rows = await tx.execute(_touched, {"space": space, "user": user, "since_ms": since_ms})
    return [(row[0], row[1]) for row in rows]
