"""Records as people without a device see them: what is shown, by key, by parent or by collection. No state is read.

Each statement is confined to one space, and looks rows up by an index: its cost follows from what it returns, and not
from the length of the history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.push_reads import BELOW, WANTED, named
from storage.rows import Key
from storage.spaces import SPACE_COLUMNS, SpaceRow, space_row
from storage.tables import members, spaces


class Row(NamedTuple):
    """One record as it is served: its body has no seq. status: as of storage/rows.py:StoredRecord."""

    collection: str
    id: str
    seq: int
    parent: Key | None
    status: int
    body: bytes


_COLUMNS = "r.collection, r.id, r.seq, r.parent_collection, r.parent_id, r.status, r.body"
_BY_KEYS = Prepared(
    postgresql=f"""SELECT {_COLUMNS} FROM ({WANTED["postgresql"]}) AS w CROSS JOIN LATERAL (
    SELECT * FROM records AS o WHERE o.space_id = :space AND o.collection = w.collection AND o.id = w.id LIMIT 1
) AS r""",
    sqlite=f"""SELECT {_COLUMNS} FROM ({WANTED["sqlite"]}) AS w CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = w.collection AND r.id = w.id""",
)
# A parent is of a collection above: nothing is found twice, and a database that need not look for that stops early.
_ALL_BELOW = {dialect: each.replace("    UNION\n", "    UNION ALL\n") for dialect, each in BELOW.items()}
_BELOW = Prepared(
    postgresql=f"""{_ALL_BELOW["postgresql"]} SELECT {_COLUMNS} FROM touched AS t CROSS JOIN LATERAL (
    SELECT * FROM records AS o WHERE o.space_id = :space AND o.collection = t.collection AND o.id = t.id LIMIT 1
) AS r WHERE r.status = 0 LIMIT :most""",
    sqlite=f"""{_ALL_BELOW["sqlite"]} SELECT {_COLUMNS} FROM touched AS t CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = t.collection AND r.id = t.id AND r.status = 0 LIMIT :most""",
)
# The record itself, and what is below it.
_TREE = Prepared(
    postgresql=f"""{_ALL_BELOW["postgresql"]} SELECT {_COLUMNS}
FROM (SELECT * FROM wanted UNION ALL SELECT * FROM touched) AS t CROSS JOIN LATERAL (
    SELECT * FROM records AS o WHERE o.space_id = :space AND o.collection = t.collection AND o.id = t.id LIMIT 1
) AS r WHERE r.status = 0 LIMIT :most""",
    sqlite=f"""{_ALL_BELOW["sqlite"]} SELECT {_COLUMNS}
FROM (SELECT * FROM wanted UNION ALL SELECT * FROM touched) AS t CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = t.collection AND r.id = t.id AND r.status = 0 LIMIT :most""",
)
# A position is in the body alone; it is compared byte by byte, as everywhere.
_LAST = (
    f"SELECT {_COLUMNS} FROM records AS r WHERE r.space_id = :space AND r.parent_collection = :above "
    "AND r.parent_id = :id AND r.collection = :collection AND r.status = 0 ORDER BY {position}, r.id DESC LIMIT :most"
)
_LAST_BELOW = Prepared(
    postgresql=_LAST.replace(
        "{position}",
        """(CAST(convert_from(r.body, 'UTF8') AS json) #>> '{values,position}') COLLATE "C" DESC NULLS LAST""",
    ),
    sqlite=_LAST.replace("{position}", "CAST(r.body AS text) ->> '$.values.position' DESC"),
)
_OF_COLLECTION = Prepared(
    f"SELECT {_COLUMNS} FROM records AS r WHERE r.space_id = :space AND r.collection = :collection AND r.status = 0 "
    "AND r.id > :after ORDER BY r.id LIMIT :limit"
)
# Newest first; what has no time yet comes last. The first condition is that of the index.
_LISTED = Prepared(
    f"SELECT {_COLUMNS}, r.listed_at FROM records AS r WHERE r.space_id = :space AND r.collection = :collection "
    "AND r.listed_at IS NOT NULL AND r.listed_at >= :since AND (r.listed_at, r.id) < (:before, :before_id) "
    "ORDER BY r.listed_at DESC, r.id DESC LIMIT :limit"
)
# Above every time that there is, in the order of any language.
LATEST: Final = ("99999", "")
_PERSONAL = Prepared(
    select(*SPACE_COLUMNS, members.c.role)
    .select_from(spaces)
    .join(members, (members.c.space_id == spaces.c.id) & (members.c.user_id == spaces.c.owner_id))
    .where(spaces.c.owner_id == bindparam("user"), spaces.c.kind == "personal")
)


def _rows(found: Iterable[Sequence[Any]]) -> list[Row]:
    return [Row(row[0], row[1], row[2], None if row[4] is None else (row[3], row[4]), row[5], row[6]) for row in found]


async def read_rows(tx: Transaction, space: str, keys: Collection[Key]) -> list[Row]:
    """Those of these records that a space holds, whatever their status: one look-up by the key for each."""
    return _rows(await tx.execute(_BY_KEYS, {"space": space, **named(tx, keys)})) if keys else []


async def read_shown_below(tx: Transaction, space: str, keys: Collection[Key], *, most: int) -> list[Row]:
    """At most `most` of what a space shows below these records, at any depth, in no order."""
    return _rows(await tx.execute(_BELOW, {"space": space, "most": most, **named(tx, keys)})) if keys else []


async def read_shown_tree(tx: Transaction, space: str, key: Key, *, most: int) -> list[Row]:
    """At most `most` of a record and what is below it, at any depth, as far as shown: one state, in no order."""
    return _rows(await tx.execute(_TREE, {"space": space, "most": most, **named(tx, [key])}))


async def read_last_below(tx: Transaction, space: str, key: Key, collection: str, *, most: int) -> list[Row]:
    """The last ones of a collection that a space shows directly below a record, at most `most`, in their order."""
    asked = {"space": space, "above": key[0], "id": key[1], "collection": collection, "most": most}
    return _rows(await tx.execute(_LAST_BELOW, asked))[::-1]


async def list_shown(tx: Transaction, space: str, collection: str, *, after: str, limit: int) -> list[Row]:
    """At most `limit` records that a space shows of one collection, in the order of their ids, after the id `after`
    ("" begins)."""
    asked = {"space": space, "collection": collection, "after": after, "limit": limit}
    return _rows(await tx.execute(_OF_COLLECTION, asked))


async def list_by_time(
    tx: Transaction, space: str, collection: str, *, since: str, before: tuple[str, str], limit: int
) -> list[tuple[Row, tuple[str, str]]]:
    """At most `limit` shown records of a collection that is listed by a time, newest first, each with its place.

    One scan of an index, of as many entries as are returned.

    Args:
        since: the earliest time, as the records have it; "" also lists what has none.
        before: the place of the last one of the page before, or LATEST.
    """
    asked = {"space": space, "collection": collection, "since": since, "limit": limit}
    rows = await tx.execute(_LISTED, {**asked, "before": before[0], "before_id": before[1]})
    return [(each, (row[7], row[1])) for each, row in zip(_rows(rows), rows, strict=True)]


async def personal_space(tx: Transaction, user: str) -> SpaceRow | None:
    """A user's own space; None where there is no such user."""
    rows = await tx.execute(_PERSONAL, {"user": user})
    return space_row(rows[0]) if rows else None
