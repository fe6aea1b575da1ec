"""Counts for the rare checks of a push that need them: over the records, and over the version, of one space."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import json
from sqlalchemy import bindparam, func, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import records

_count_shown = select(func.count()).select_from(
    select(records.c.seq)
    .where(
        records.c.space_id == bindparam("space"),
        records.c.collection == bindparam("collection_name"),
        records.c.status == 0,
    )
    .limit(bindparam("most"))
    .subquery()
)


async def count_shown(tx: Transaction, space: str, collection: str, *, most: int) -> int:
    """How many records of one collection are shown, or `most` where there are more: it looks no further."""
    rows = await tx.execute(_count_shown, {"space": space, "collection_name": collection, "most": most})
    return int(rows[0][0])


# Each id is one look-up by the key, however many devices the user has had.
_COUNT_ENTERED = Prepared(
    postgresql="SELECT count(*) FROM devices WHERE id = ANY(CAST(:devices AS text[])) AND user_id = :user",
    sqlite="SELECT count(*) FROM json_each(:devices) AS w CROSS JOIN devices AS d ON d.id = w.value "
    "WHERE d.user_id = :user",
)


async def count_entered(tx: Transaction, version: Collection[str], user: str) -> int:
    """How many of the devices in a space's version are one user's, revoked ones too. O(devices of the version)."""
    given = json.encode(list(version)).decode() if tx.dialect == "sqlite" else list(version)
    return int((await tx.execute(_COUNT_ENTERED, {"devices": given, "user": user}))[0][0])
