"""The queries of the read path: pages of stored bytes, each with its space in one statement. No record is parsed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from msgspec import json
from sqlalchemy import bindparam, select, tuple_

from storage.database import Transaction
from storage.prepared import Prepared
from storage.rows import StoredChange, StoredRecord
from storage.spaces import CATALOG_SPACE, SPACE_COLUMNS, SpaceRow, member_of, space_row
from storage.tables import changes


@dataclass(frozen=True, slots=True)
class Page:
    """A space and some of its records as (seq, body), read as one state."""

    space: SpaceRow
    rows: list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Served:
    """A page for a member of a space, read with it as one state. `records`: as they go over the wire
    (sync/bodies.py:wire), with commas between. `last`: the seq of the last one, behind which there may be `more`."""

    space: SpaceRow
    records: bytes
    last: int | None
    more: bool


_SPACE = ", ".join(f"s.{column.name}" for column in SPACE_COLUMNS)
_N_SPACE = len(SPACE_COLUMNS)

# Where a page ends: the last seq of at most :limit records, read up to and with the first one that makes their bodies
# more than :enough bytes, but two at least, so that the caller sees that there is more. Bodies are not read for it.
# status < 2: shown or deleted, in the words of the index ix_records_feed.
_SIZES = """
SELECT seq, length(body) AS size FROM records WHERE space_id = :space AND {where} ORDER BY seq {order} LIMIT :limit"""
_END = """
SELECT {last}(seq) FROM (
    SELECT seq, sum(size) OVER w - size AS before, row_number() OVER w AS place
    FROM ({sizes}) AS sizes WINDOW w AS (ORDER BY seq {order} ROWS UNBOUNDED PRECEDING)
) AS totals WHERE before <= :enough OR place <= 2"""
# Most pages end by their number of records, which a plain sum tells for a third of the time. Whoever may not see them
# has no end, and so no record, of which not even a size is read.
_ROWS = """
SELECT seq, body FROM records WHERE space_id = :space AND {where} AND seq {within} (
    CASE WHEN NOT {may} THEN NULL
    WHEN (SELECT sum(size) FROM ({sizes}) AS sizes) <= :enough THEN {nowhere} ELSE ({end}) END
) ORDER BY seq {order} LIMIT :limit"""

# Postgres: the space in one row and each record in another. One statement, so one state, and the space's version is
# sent once however many records the page has.
_PAGE_POSTGRES = """
SELECT {space}, CAST(NULL AS bigint), CAST(NULL AS bytea) FROM spaces AS s WHERE s.id = :space
UNION ALL SELECT {nulls}, r.seq, r.body FROM ({rows}) AS r"""
# SQLite: everything in one row, since at each the driver lets go of the interpreter's lock and asks for it again.
# Bodies are JSON, in which no control character stands as it is; both lists come from the same pass, in one order.
_PAGE_SQLITE = """
SELECT {space}, r.seqs, r.bodies FROM spaces AS s CROSS JOIN (
    SELECT group_concat(seq, ',') AS seqs, CAST(group_concat(CAST(body AS TEXT), char(31)) AS BLOB) AS bodies
    FROM ({rows})
) AS r WHERE s.id = :space"""
_BETWEEN = b"\x1f"
# A page as it is served, put together by the database: of a thousand records no process but its own touches each.
# Whoever has no place in the space gets the space's row alone.
_SERVED = """
SELECT {space}, m.role, m.state, r.seqs, r.size, r.served FROM spaces AS s
LEFT JOIN members AS m ON m.space_id = s.id AND m.user_id = :user
CROSS JOIN (SELECT {seqs} AS seqs, sum(length(body)) AS size, {served} AS served FROM ({rows}) AS page) AS r
WHERE s.id = :space"""
_SERVED_POSTGRES = {
    "seqs": "array_agg(seq)",
    "served": "string_agg(CAST('{\"seq\":' || seq || ',' AS bytea) || substr(body, 2), CAST('\\x1f' AS bytea))",
}
_SERVED_SQLITE = {
    # Cut as bytes: of a text each character would be counted.
    "seqs": "group_concat(seq, ',')",
    "served": "CAST(group_concat('{\"seq\":' || seq || ',' || CAST(substr(body, 2) AS TEXT), char(31)) AS BLOB)",
}


_EVERYBODY = "1 = 1"
_MEMBERS = f"""(:space = '{CATALOG_SPACE}' OR EXISTS (
    SELECT 1 FROM members AS o WHERE o.space_id = :space AND o.user_id = :user AND o.state = 'member'))"""
# More bytes than a space may hold, and a seq above all there are.
_ALL: Final = 2**62


def _rows(where: str, may: str, *, newest_first: bool = False) -> str:
    order, last, within, nowhere = ("DESC", "min", ">=", 0) if newest_first else ("ASC", "max", "<=", _ALL)
    sizes = _SIZES.format(where=where, order=order)
    end = _END.format(sizes=sizes, order=order, last=last)
    return _ROWS.format(where=where, may=may, order=order, within=within, sizes=sizes, nowhere=nowhere, end=end)


def _page_statement(rows: str) -> Prepared:
    parts = {"space": _SPACE, "nulls": ", ".join(["NULL"] * _N_SPACE), "rows": rows}
    return Prepared(postgresql=_PAGE_POSTGRES.format(**parts), sqlite=_PAGE_SQLITE.format(**parts))


def _served_statement(rows: str) -> Prepared:
    parts = {"space": _SPACE, "rows": rows}
    return Prepared(
        postgresql=_SERVED.format(**parts, **_SERVED_POSTGRES), sqlite=_SERVED.format(**parts, **_SERVED_SQLITE)
    )


_UP = "seq > :after AND status < 2"
_DOWN = "seq <= :ceiling AND seq < :below AND status < 2 AND status = 0"
_AFTER = _page_statement(_rows(_UP, _EVERYBODY))
_SERVE_AFTER = _served_statement(_rows(_UP, _MEMBERS))
_SERVE_DOWN = _served_statement(_rows(_DOWN, _MEMBERS, newest_first=True))

# An id is looked up in each collection that the space has, by the primary key: first the collections, each by one step
# to the next in the index, then one look-up for each pair.
_COLLECTIONS = """
WITH RECURSIVE collections(name) AS (
    SELECT min(collection) FROM records WHERE space_id = :space
    UNION ALL
    SELECT (SELECT min(r.collection) FROM records AS r WHERE r.space_id = :space AND r.collection > c.name)
    FROM collections AS c WHERE c.name IS NOT NULL
)
SELECT {selected}
"""
_OF_IDS_POSTGRES = """
FROM unnest(CAST(:ids AS text[])) AS w(id) CROSS JOIN collections AS c CROSS JOIN LATERAL (
    SELECT * FROM records AS o WHERE o.space_id = :space AND o.collection = c.name AND o.id = w.id LIMIT 1
) AS r"""
_OF_IDS_SQLITE = """
FROM json_each(:ids) AS w CROSS JOIN collections AS c CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = c.name AND r.id = w.value"""


def _of_ids(selected: str) -> Prepared:
    found = _COLLECTIONS.format(selected=selected)
    return Prepared(postgresql=found + _OF_IDS_POSTGRES, sqlite=found + _OF_IDS_SQLITE)


_BY_IDS = _of_ids("r.collection, r.id, r.seq, r.parent_collection, r.parent_id, r.status, r.body, r.state")
_BYTES_OF_IDS = _of_ids("coalesce(sum(length(r.body)), 0)")
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


async def read_after(tx: Transaction, space: str, seq: int, limit: int, *, enough: int = _ALL) -> Page | None:
    """Records above `seq`, tombstones included, in seq order: at most `limit`, and no further than `enough` bytes of
    bodies, which the last one may pass; two at least where there are as many. None where there is no such space."""
    asked = {"space": space, "after": seq, "limit": limit, "enough": enough}
    page = _page(tx, await tx.execute(_AFTER, asked))
    if page is not None:
        # They come in this order already, though SQL does not promise it here: sorting finds nothing to do.
        page.rows.sort(key=_seq)
    return page


async def serve_after(tx: Transaction, space: str, user: str, seq: int, limit: int, *, enough: int) -> Served | None:
    """A page for `user` of what moved above `seq`, tombstones included, in seq order: at most `limit` records, and no
    more than `enough` bytes of bodies, but one record at least. None where the user has no place in such a space."""
    asked = {"space": space, "user": user, "after": seq, "limit": limit + 1, "enough": enough}
    return _served(tx, await tx.execute(_SERVE_AFTER, asked), limit, enough)


async def serve_down(
    tx: Transaction, space: str, user: str, ceiling: int, below: int, limit: int, *, enough: int
) -> Served | None:
    """As `serve_after`, of what is shown not above `ceiling` and below `below`, newest first."""
    asked = {"space": space, "user": user, "ceiling": ceiling, "below": below, "limit": limit + 1, "enough": enough}
    return _served(tx, await tx.execute(_SERVE_DOWN, asked), limit, enough, newest_first=True)


def _served(
    tx: Transaction, rows: Sequence[Any], limit: int, enough: int, *, newest_first: bool = False
) -> Served | None:
    if not rows:
        return None
    row = rows[0]
    if member_of(row[0], row[_N_SPACE], row[_N_SPACE + 1])[1] != "member":
        return None
    space, (seqs, size, records) = space_row(row), row[_N_SPACE + 2 :]
    if seqs is None:
        return Served(space, b"", None, False)
    if tx.dialect == "sqlite":
        seqs = list(map(int, seqs.split(",")))
    if seqs != (ordered := sorted(seqs, reverse=newest_first)):
        # They come in this order already, though SQL does not promise it here.
        by_seq = dict(zip(seqs, records.split(_BETWEEN), strict=True))
        seqs, records = ordered, _BETWEEN.join(by_seq[seq] for seq in ordered)
    # One more was asked for than a page has: the last one, or that which passed the bytes.
    more = len(seqs) > limit or (size > enough and len(seqs) > 1)
    if more:
        del seqs[-1]
        records = records[: records.rindex(_BETWEEN)]
    return Served(space, records.replace(_BETWEEN, b","), seqs[-1], more)


_seq = itemgetter(0)


def _page(tx: Transaction, rows: Sequence[Any]) -> Page | None:
    head = next((row for row in rows if row[0] is not None), None)
    if head is None:
        return None
    if tx.dialect == "postgresql":
        return Page(space_row(head), [(row[_N_SPACE], row[_N_SPACE + 1]) for row in rows if row[0] is None])
    seqs, bodies = head[_N_SPACE], head[_N_SPACE + 1]
    if seqs is None:
        return Page(space_row(head), [])
    return Page(space_row(head), list(zip(map(int, seqs.split(",")), bodies.split(_BETWEEN), strict=True)))


async def read_ids(tx: Transaction, space: str, ids: Collection[str]) -> list[StoredRecord]:
    """The records of one space under these ids, in any collection, whatever their status, in the order of asking.

    O(ids × collections).
    """
    if not ids:
        return []
    rows = await tx.execute(_BY_IDS, {"space": space, "ids": _given(tx, ids)})
    asked = {id: place for place, id in enumerate(dict.fromkeys(ids))}
    return [
        StoredRecord(row[0], row[1], row[2], None if row[4] is None else (row[3], row[4]), row[5], row[6], row[7])
        for row in sorted(rows, key=lambda row: (asked[row[1]], row[0]))
    ]


async def bytes_of_ids(tx: Transaction, space: str, ids: Collection[str]) -> int:
    """How many bytes the bodies of these records have together; none is read for it."""
    return int((await tx.execute(_BYTES_OF_IDS, {"space": space, "ids": _given(tx, ids)}))[0][0])


def _given(tx: Transaction, ids: Collection[str]) -> Any:
    wanted = list(dict.fromkeys(ids))
    return json.encode(wanted).decode() if tx.dialect == "sqlite" else wanted


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
