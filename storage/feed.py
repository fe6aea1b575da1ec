"""The queries of the read path: pages of stored bytes, each with its space in one statement. No record is parsed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from msgspec import json
from sqlalchemy import bindparam, select, tuple_

from storage.database import Transaction
from storage.prepared import Prepared
from storage.push import StoredChange, StoredRecord
from storage.spaces import SPACE_COLUMNS, SpaceRow, space_row
from storage.tables import changes


@dataclass(frozen=True, slots=True)
class Page:
    """A space and some of its records as (seq, body), read as one state."""

    space: SpaceRow
    rows: list[tuple[int, bytes]]


_SPACE = ", ".join(f"s.{column.name}" for column in SPACE_COLUMNS)
_N_SPACE = len(SPACE_COLUMNS)

# The space in one row and each record in another: one statement, so one state, and the space's version is sent once
# however many records the page has.
_PAGE = """
SELECT {space}, CAST(NULL AS bigint), CAST(NULL AS {bytes}) FROM spaces AS s WHERE s.id = :space
UNION ALL SELECT {nulls}, r.seq, r.body FROM (
    SELECT seq, body FROM records WHERE space_id = :space AND {where} ORDER BY seq {order} LIMIT :limit
) AS r"""


# status < 2: shown or deleted, in the words of the index ix_records_feed.
def _page_statement(where: str, order: str) -> Prepared:
    parts = {"space": _SPACE, "nulls": ", ".join(["NULL"] * _N_SPACE), "where": where, "order": order}
    return Prepared(postgresql=_PAGE.format(bytes="bytea", **parts), sqlite=_PAGE.format(bytes="blob", **parts))


_AFTER = _page_statement("seq > :after AND status < 2", "ASC")
_DOWN = _page_statement("seq <= :ceiling AND seq < :below AND status < 2 AND status = 0", "DESC")

# An id is looked up in each collection that the space has, by the primary key: first the collections, each by one step
# to the next in the index, then one look-up for each pair.
_COLLECTIONS = """
WITH RECURSIVE collections(name) AS (
    SELECT min(collection) FROM records WHERE space_id = :space
    UNION ALL
    SELECT (SELECT min(r.collection) FROM records AS r WHERE r.space_id = :space AND r.collection > c.name)
    FROM collections AS c WHERE c.name IS NOT NULL
)
SELECT r.collection, r.id, r.seq, r.parent_collection, r.parent_id, r.status, r.body, r.state
"""
_BY_IDS = Prepared(
    postgresql=f"""{_COLLECTIONS}
FROM unnest(CAST(:ids AS text[])) AS w(id) CROSS JOIN collections AS c CROSS JOIN LATERAL (
    SELECT * FROM records AS o WHERE o.space_id = :space AND o.collection = c.name AND o.id = w.id LIMIT 1
) AS r""",
    sqlite=f"""{_COLLECTIONS}
FROM json_each(:ids) AS w CROSS JOIN collections AS c CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = c.name AND r.id = w.value""",
)
_SHOWN_KEYS = Prepared(
    "SELECT collection, id, seq FROM records WHERE space_id = :space AND seq > :after AND status < 2 AND status = 0 "
    "ORDER BY seq LIMIT :limit"
)
_lines = select(
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
).where(
    changes.c.space_id == bindparam("space"),
    changes.c.collection == bindparam("in_collection"),
    changes.c.record_id == bindparam("record"),
    changes.c.collected.is_(False),
)
_history = _lines.order_by(changes.c.arrival, changes.c.n)
_accepted = (
    _lines.where(
        changes.c.verdict.is_(None),
        tuple_(changes.c.arrival, changes.c.n) < tuple_(bindparam("arrival"), bindparam("number")),
    )
    .order_by(changes.c.arrival.desc(), changes.c.n.desc())
    .limit(bindparam("most"))
)


async def read_after(tx: Transaction, space: str, seq: int, limit: int) -> Page | None:
    """At most `limit` records above `seq`, tombstones included, in seq order; None where there is no such space."""
    page = _page(await tx.execute(_AFTER, {"space": space, "after": seq, "limit": limit}))
    if page is not None:
        # They come in this order already, though SQL does not promise it of a UNION: sorting finds nothing to do.
        page.rows.sort(key=_seq)
    return page


async def read_down(tx: Transaction, space: str, ceiling: int, below: int, limit: int) -> Page | None:
    """At most `limit` shown records not above `ceiling` and below `below`, newest first; None as `read_after`."""
    page = _page(await tx.execute(_DOWN, {"space": space, "ceiling": ceiling, "below": below, "limit": limit}))
    if page is not None:
        page.rows.sort(key=_seq, reverse=True)
    return page


_seq = itemgetter(0)


def _page(rows: Sequence[Any]) -> Page | None:
    head = next((row for row in rows if row[0] is not None), None)
    if head is None:
        return None
    return Page(space_row(head), [(row[_N_SPACE], row[_N_SPACE + 1]) for row in rows if row[0] is None])


async def read_ids(tx: Transaction, space: str, ids: Collection[str]) -> list[StoredRecord]:
    """The records of one space under these ids, in any collection, whatever their status: O(ids × collections)."""
    if not ids:
        return []
    wanted = list(set(ids))
    given: Any = json.encode(wanted).decode() if tx.dialect == "sqlite" else wanted
    rows = await tx.execute(_BY_IDS, {"space": space, "ids": given})
    return [
        StoredRecord(row[0], row[1], row[2], None if row[4] is None else (row[3], row[4]), row[5], row[6], row[7])
        for row in rows
    ]


async def read_shown_keys(tx: Transaction, space: str, after: int, limit: int) -> list[tuple[str, str, int]]:
    """(collection, id, seq) of at most `limit` records that a space shows above seq `after`, in seq order."""
    rows = await tx.execute(_SHOWN_KEYS, {"space": space, "after": after, "limit": limit})
    return [(row[0], row[1], row[2]) for row in rows]


async def read_history(tx: Transaction, space: str, collection: str, id: str) -> list[StoredChange]:
    """The ledger's lines of one record in the order in which the server took them, rejected ones included."""
    rows = await tx.execute(_history, {"space": space, "in_collection": collection, "record": id})
    return [StoredChange(*row) for row in rows]


async def read_accepted(
    tx: Transaction, space: str, key: tuple[str, str], before: tuple[int, int] | None, most: int
) -> list[StoredChange]:
    """At most `most` accepted changes of one record, newest first; with `before`, those older than (arrival, n)."""
    arrival, n = before or (2**62, 0)
    asked = {"space": space, "in_collection": key[0], "record": key[1], "arrival": arrival, "number": n, "most": most}
    return [StoredChange(*row) for row in await tx.execute(_accepted, asked)]
