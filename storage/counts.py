"""Counts over the records of one space, for the rare checks that need them."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from storage.database import Transaction
from storage.tables import devices, records, space_devices

_count_shown = (
    select(func.count())
    .select_from(records)
    .where(
        records.c.space_id == bindparam("space"),
        records.c.collection == bindparam("collection_name"),
        records.c.status == 0,
    )
)


async def count_shown(tx: Transaction, space: str, collection: str) -> int:
    """How many records of one collection are shown: O(records of the space), so only a mass delete asks."""
    rows = await tx.execute(_count_shown, {"space": space, "collection_name": collection})
    return int(rows[0][0])


_count_devices = (
    select(func.count())
    .select_from(space_devices)
    .join(devices, devices.c.id == space_devices.c.device_id)
    .where(
        space_devices.c.space_id == bindparam("space"),
        space_devices.c.user_id == bindparam("user"),
        devices.c.revoked_at.is_(None),
    )
)


async def count_devices(tx: Transaction, space: str, user: str) -> int:
    """How many live devices of one user have a place in the space."""
    rows = await tx.execute(_count_devices, {"space": space, "user": user})
    return int(rows[0][0])
