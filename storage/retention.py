"""The queries that let old tombstones go: finding them, asking the votes, removing them with what lies below."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from msgspec import json
from sqlalchemy import bindparam, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.push_reads import named, read_below
from storage.rows import LINE_WEIGHT_SQL, Key, VoterRow
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
    """What a collection removed: rows in all, those of them that counted as records, and bytes, the ledger's too."""

    rows: int
    records: int
    bytes: int


_spaces_with_old = (
    select(records.c.space_id).where(records.c.deleted_at <= bindparam("before")).distinct().limit(bindparam("most"))
)
_old = (
    select(records.c.collection, records.c.id, records.c.seq, records.c.deleted_at)
    .where(records.c.space_id == bindparam("space"), records.c.deleted_at <= bindparam("before"))
    .order_by(records.c.deleted_at, records.c.seq)
    .limit(bindparam("most"))
)
_delete_dots = select(changes.c.device_id, changes.c.n).where(
    changes.c.space_id == bindparam("space"),
    changes.c.collection == bindparam("in_collection"),
    changes.c.record_id == bindparam("record"),
    changes.c.op == "delete",
    changes.c.verdict.is_(None),
    changes.c.collected.is_(False),
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


_WANTED_POSTGRES = "SELECT * FROM unnest(CAST(:collections AS text[]), CAST(:ids AS text[])) AS w(collection, id)"
_WANTED_SQLITE = "SELECT value ->> 0 AS collection, value ->> 1 AS id FROM json_each(:keys)"


def _for_keys(statement: str) -> Prepared:
    """`statement` over the keys {wanted}, (collection, id)."""
    return Prepared(
        postgresql=statement.format(wanted=_WANTED_POSTGRES), sqlite=statement.format(wanted=_WANTED_SQLITE)
    )


_TOMBSTONES = _for_keys(
    "SELECT collection, id, status, length(body) + length(state) FROM records "
    "WHERE space_id = :space AND status = 1 AND (collection, id) IN ({wanted})"
)
_REMOVE_RECORDS = _for_keys("DELETE FROM records WHERE space_id = :space AND (collection, id) IN ({wanted})")
_LEAVE_HISTORY = _for_keys(
    "UPDATE changes SET collected = TRUE WHERE space_id = :space AND (collection, record_id) IN ({wanted})"
)
_FORGET_LINES = Prepared(
    postgresql=f"""
DELETE FROM changes AS c USING unnest(CAST(:devices AS text[]), CAST(:kept_from AS bigint[])) AS k(device, n)
WHERE c.space_id = :space AND c.device_id = k.device AND c.n <= k.n AND c.collected RETURNING {LINE_WEIGHT_SQL}""",
    sqlite=f"""
DELETE FROM changes WHERE (space_id, device_id, n) IN (
    SELECT c.space_id, c.device_id, c.n FROM json_each(:kept) AS k CROSS JOIN changes AS c
    WHERE c.space_id = :space AND c.device_id = k.value ->> 0 AND c.n <= k.value ->> 1 AND c.collected
) RETURNING {LINE_WEIGHT_SQL}""",
)


async def spaces_with_tombstones(tx: Transaction, before_ms: int, most: int) -> list[str]:
    """Spaces that hold a tombstone from `before_ms` (Unix milliseconds) or earlier."""
    return [str(row[0]) for row in await tx.execute(_spaces_with_old, {"before": before_ms, "most": most})]


async def old_tombstones(tx: Transaction, space: str, before_ms: int, most: int) -> list[Tombstone]:
    """The space's tombstones from `before_ms` or earlier, the oldest first."""
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
        VoterRow(row[0], row[1], json.decode(row[2]), row[3], row[4], bool(row[5]))
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
    """Remove tombstones with everything below them, at any depth, and let go of their histories.

    A line of the ledger that a repeated push may still be compared with (the newest LEDGER_KEPT of each device, whose
    newest number `version` tells) stays, in no history any more; the others go. What of `keys` is no tombstone stays.
    The caller has locked the space and raises its floor by `set_floor`.
    """
    if not keys:
        return Removed(0, 0, 0)
    rows = await tx.execute(_TOMBSTONES, {"space": space, **named(tx, keys)})
    tops = [(row[0], row[1]) for row in rows]
    below = await read_below(tx, space, tops)
    sizes = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    sizes |= {(r.collection, r.id): (r.status, len(r.body) + len(r.state)) for r in below}
    doomed = {"space": space, **named(tx, list(sizes))}
    await tx.execute(_REMOVE_RECORDS, doomed)
    await tx.execute(_LEAVE_HISTORY, doomed)
    devices_, kept_from = list(version), [n - LEDGER_KEPT for n in version.values()]
    if tx.dialect == "sqlite":
        kept = json.encode([list(pair) for pair in zip(devices_, kept_from, strict=True)]).decode()
        forgotten = await tx.execute(_FORGET_LINES, {"space": space, "kept": kept})
    else:
        forgotten = await tx.execute(_FORGET_LINES, {"space": space, "devices": devices_, "kept_from": kept_from})
    records_ = sum(status in (0, 2) for status, _ in sizes.values())
    bytes_ = sum(size for _, size in sizes.values()) + sum(row[0] for row in forgotten)
    return Removed(len(sizes), records_, bytes_)


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
