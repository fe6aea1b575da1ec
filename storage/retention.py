"""The queries that let old tombstones go: finding them, asking the votes, removing them with what lies below."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec
from sqlalchemy import and_, bindparam, delete, or_, select, update

from storage.database import Transaction
from storage.feed import read_ids
from storage.push import Key, VoterRow, read_below
from storage.tables import changes, devices, records, space_devices, spaces

# A repeated push is compared with the ledger; so far back every device may always reach.
LEDGER_KEPT = 10_000


class Tombstone(NamedTuple):
    """A deleted record, the seq of its last move and when it was deleted (Unix milliseconds)."""

    collection: str
    id: str
    seq: int
    deleted_at: int


class Removed(NamedTuple):
    """What a collection removed: rows in all, those of them that counted as records, and their bytes."""

    rows: int
    records: int
    bytes: int


_spaces_with_old = (
    select(records.c.space_id).where(records.c.deleted_at <= bindparam("before")).distinct().limit(bindparam("most"))
)
_old = (
    select(records.c.collection, records.c.id, records.c.seq, records.c.deleted_at)
    .where(
        records.c.space_id == bindparam("space"),
        records.c.status == 1,
        records.c.deleted_at <= bindparam("before"),
    )
    .order_by(records.c.seq)
    .limit(bindparam("most"))
)
_delete_dots = select(changes.c.device_id, changes.c.n).where(
    changes.c.space_id == bindparam("space"),
    changes.c.collection == bindparam("in_collection"),
    changes.c.record_id == bindparam("record"),
    changes.c.op == "delete",
    changes.c.verdict.is_(None),
)
_voters = (
    select(
        space_devices.c.device_id,
        space_devices.c.user_id,
        space_devices.c.seen,
        space_devices.c.seen_at,
        space_devices.c.first_at,
        space_devices.c.resync,
    )
    .join(devices, devices.c.id == space_devices.c.device_id)
    .where(
        space_devices.c.space_id == bindparam("space"),
        space_devices.c.resync.is_(False),
        devices.c.revoked_at.is_(None),
    )
)


async def spaces_with_tombstones(tx: Transaction, before_ms: int, most: int) -> list[str]:
    """Spaces that hold a tombstone from `before_ms` (Unix milliseconds) or earlier."""
    return [str(row[0]) for row in await tx.execute(_spaces_with_old, {"before": before_ms, "most": most})]


async def old_tombstones(tx: Transaction, space: str, before_ms: int, most: int) -> list[Tombstone]:
    """The space's tombstones from `before_ms` or earlier, in seq order."""
    rows = await tx.execute(_old, {"space": space, "before": before_ms, "most": most})
    return [Tombstone(*row) for row in rows]


async def delete_dots(tx: Transaction, space: str, key: Key) -> dict[str, int]:
    """The newest accepted delete of a record by each device."""
    rows = await tx.execute(_delete_dots, {"space": space, "in_collection": key[0], "record": key[1]})
    dots: dict[str, int] = {}
    for device, n in rows:
        dots[device] = max(n, dots.get(device, 0))
    return dots


async def read_voters(tx: Transaction, space: str) -> list[VoterRow]:
    """The live devices that have a vote in a space."""
    return [
        VoterRow(row[0], row[1], msgspec.json.decode(row[2]), row[3], row[4], bool(row[5]))
        for row in await tx.execute(_voters, {"space": space})
    ]


async def take_vote(tx: Transaction, space: str, device: str) -> None:
    """End a device's vote: its pushes wait until it has taken a snapshot."""
    await tx.execute(
        update(space_devices)
        .where(space_devices.c.space_id == space, space_devices.c.device_id == device)
        .values(resync=True)
    )


async def remove_records(tx: Transaction, space: str, keys: Collection[Key], version: dict[str, int]) -> Removed:
    """Remove tombstones with everything below them, and their lines of the ledger that no push may reach back to.

    The caller has locked the space and raises its floor.
    """
    own = await read_ids(tx, space, {key[1] for key in keys})
    rows = [r for r in own if (r.collection, r.id) in set(keys)] + await read_below(tx, space, keys)
    doomed = list({(r.collection, r.id) for r in rows})
    for start in range(0, len(doomed), 200):
        part = doomed[start : start + 200]
        named = or_(*(and_(records.c.collection == c, records.c.id == i) for c, i in part))
        await tx.execute(delete(records).where(records.c.space_id == space, named))
        lines = or_(*(and_(changes.c.collection == c, changes.c.record_id == i) for c, i in part))
        for device, n in version.items():
            if n > LEDGER_KEPT:
                await tx.execute(
                    delete(changes).where(
                        changes.c.space_id == space,
                        changes.c.device_id == device,
                        changes.c.n <= n - LEDGER_KEPT,
                        lines,
                    )
                )
    return Removed(len(doomed), sum(r.status in (0, 2) for r in rows), sum(len(r.body) + len(r.state) for r in rows))


async def set_floor(tx: Transaction, space: str, floor: int, removed: Removed) -> None:
    """Raise a space's floor and take what was removed off its quota."""
    await tx.execute(
        update(spaces)
        .where(spaces.c.id == space)
        .values(
            floor=floor,
            records=spaces.c.records - removed.records,
            bytes=spaces.c.bytes - removed.bytes,
        )
    )
