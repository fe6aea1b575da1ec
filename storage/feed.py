"""The queries of the read path: pages of stored bytes, each with its space in one statement. No record is parsed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, text

from storage.database import Transaction
from storage.push import StoredChange, StoredRecord
from storage.spaces import SPACE_COLUMNS, SpaceRow, space_row
from storage.tables import changes, records


@dataclass(frozen=True, slots=True)
class Page:
    """A space and some of its records as (seq, body), read as one state."""

    space: SpaceRow
    rows: list[tuple[int, bytes]]


_SPACE = ", ".join(f"s.{column.name}" for column in SPACE_COLUMNS)
_N_SPACE = len(SPACE_COLUMNS)

_PAGE = """
SELECT {space}, r.seq, r.body FROM spaces AS s LEFT JOIN (
    SELECT seq, body FROM records WHERE space_id = :space AND {where} ORDER BY seq {order} LIMIT :limit
) AS r ON TRUE WHERE s.id = :space ORDER BY r.seq {order}"""
_AFTER = text(_PAGE.format(space=_SPACE, where="seq > :after AND status IN (0, 1)", order="ASC"))
_DOWN = text(_PAGE.format(space=_SPACE, where="seq <= :ceiling AND seq < :below AND status = 0", order="DESC"))

_RECORD_COLUMNS = (
    records.c.collection,
    records.c.id,
    records.c.seq,
    records.c.parent_collection,
    records.c.parent_id,
    records.c.status,
    records.c.body,
    records.c.state,
)
_by_ids = select(*_RECORD_COLUMNS).where(
    records.c.space_id == bindparam("space"), records.c.id.in_(bindparam("ids", expanding=True))
)
_shown_keys = (
    select(records.c.collection, records.c.id, records.c.seq)
    .where(records.c.space_id == bindparam("space"), records.c.status == 0)
    .order_by(records.c.collection, records.c.id)
)
_history = (
    select(
        changes.c.device_id,
        changes.c.n,
        changes.c.arrival,
        changes.c.collection,
        changes.c.record_id,
        changes.c.op,
        changes.c.hlc,
        changes.c.clamped_hlc,
        changes.c.grp,
        changes.c.context,
        changes.c.fields,
        changes.c.verdict,
        changes.c.received_at,
        changes.c.user_id,
    )
    .where(
        changes.c.space_id == bindparam("space"),
        changes.c.collection == bindparam("in_collection"),
        changes.c.record_id == bindparam("record"),
    )
    .order_by(changes.c.arrival, changes.c.n)
)


async def read_after(tx: Transaction, space: str, seq: int, limit: int) -> Page | None:
    """At most `limit` records above `seq`, tombstones included, in seq order; None where there is no such space."""
    return _page(await tx.execute(_AFTER, {"space": space, "after": seq, "limit": limit}))


async def read_down(tx: Transaction, space: str, ceiling: int, below: int, limit: int) -> Page | None:
    """At most `limit` shown records not above `ceiling` and below `below`, newest first; None as `read_after`."""
    return _page(await tx.execute(_DOWN, {"space": space, "ceiling": ceiling, "below": below, "limit": limit}))


def _page(rows: Sequence[Any]) -> Page | None:
    if not rows:
        return None
    found = [(row[_N_SPACE], row[_N_SPACE + 1]) for row in rows if row[_N_SPACE] is not None]
    return Page(space_row(rows[0]), found)


async def read_ids(tx: Transaction, space: str, ids: Collection[str]) -> list[StoredRecord]:
    """The records of one space under these ids, in any collection, whatever their status."""
    rows = await tx.execute(_by_ids, {"space": space, "ids": list(ids)}) if ids else []
    return [
        StoredRecord(row[0], row[1], row[2], None if row[4] is None else (row[3], row[4]), row[5], row[6], row[7])
        for row in rows
    ]


async def read_shown_keys(tx: Transaction, space: str) -> list[tuple[str, str, int]]:
    """(collection, id, seq) of everything a space shows. O(records)."""
    return [(row[0], row[1], row[2]) for row in await tx.execute(_shown_keys, {"space": space})]


async def read_history(tx: Transaction, space: str, collection: str, id: str) -> list[StoredChange]:
    """The ledger's lines of one record in the order in which the server took them, rejected ones included."""
    rows = await tx.execute(_history, {"space": space, "in_collection": collection, "record": id})
    return [StoredChange(*row) for row in rows]
