"""The audit log as tests read it: no part of the product reads it back, operators have SQL."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from storage.database import Transaction
from storage.tables import audit_log


class Line(NamedTuple):
    """One event. at: Unix milliseconds; address: where the request came from."""

    id: str
    at: int
    event: str
    user: str | None
    actor: str | None
    session: str | None
    address: str | None
    details: dict[str, Any]


async def newest_lines(tx: Transaction, *, most: int = 100) -> list[Line]:
    """The newest events, newest first."""
    rows = await tx.execute(
        select(
            audit_log.c.id,
            audit_log.c.at,
            audit_log.c.event,
            audit_log.c.user_id,
            audit_log.c.actor_id,
            audit_log.c.session_id,
            audit_log.c.address,
            audit_log.c.details,
        )
        .order_by(audit_log.c.at.desc(), audit_log.c.id.desc())
        .limit(most)
    )
    return [Line._make((*row[:-1], msgspec.json.decode(row[-1]))) for row in rows]
