"""What a push reads: by one statement on SQLite and by one or two on Postgres, which may lock the space first.

A push is usually alone in its space: it reads everything by one statement, without a lock, and writes by another
(`storage/push_writes.py`), which writes only where the space's row is still the version that was read. Where it is
not, nothing is written, and the push is done again with the lock: on SQLite the transaction holds it with its first
statement; on Postgres `open_push` locks the row first and reads by a second statement, so that everything is as the
lock's last holder left it.

On SQLite a row has no version that could be asked for. There the row as it was read, and what else was read of who
pushes, is looked for again under the lock (STANDS): whatever moves a record moves the head.

Invariants
    H1  The number of statements does not depend on the batch, nor on the length of the history.
    H2  Every statement is confined to one space.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from storage.database import Transaction
from storage.prepared import Prepared
from storage.rows import CHANGE_COLUMNS, Key, StoredChange, StoredRecord, VoterRow
from storage.spaces import SPACE_COLUMNS, SpaceRow, member_of, space_row

__all__ = ["BELOW", "STANDS", "WANTED", "Opened", "RowVersion", "named", "open_push", "read_below", "read_changes"]

_encode = msgspec.json.Encoder().encode
_vector_decoder = msgspec.json.Decoder(dict[str, int])


# xmin on Postgres, and on SQLite the parameters of STANDS.
RowVersion = int | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """A space, and everything a push needs to know of it. `row_version`: of a row that is not locked; else None."""

    space: SpaceRow
    row_version: RowVersion | None
    role: str | None
    state: str | None
    device_user: str | None
    device_revoked: bool
    voter: VoterRow | None
    after: StoredChange | None
    records: dict[Key, StoredRecord]


_SPACE = ", ".join(f"s.{column.name}" for column in SPACE_COLUMNS)
_N_SPACE = len(SPACE_COLUMNS)
_CHANGE = ", ".join(f"c.{name.strip()}" for name in CHANGE_COLUMNS.split(","))
_ROW = "collection, id, seq, parent_collection, parent_id, status, body, state"
_RECORD = ", ".join(f"r.{name}" for name in _ROW.split(", "))

# What a push needs beside records, as one row: the space, the version of its row, and who pushes.
_WHO = f"m.role, m.state, d.user_id, d.revoked_at, v.user_id, v.seen, v.seen_at, v.first_at, v.resync, {_CHANGE}"
_N_WHO = 9 + len(StoredChange._fields)
_FROM = """
FROM spaces AS s
LEFT JOIN members AS m ON m.space_id = s.id AND m.user_id = :user
LEFT JOIN devices AS d ON d.id = :device
LEFT JOIN space_devices AS v ON v.space_id = s.id AND v.device_id = :device
LEFT JOIN changes AS c ON c.space_id = s.id AND c.device_id = :device AND c.n = :after_n
WHERE s.id = :space"""
_NO_RECORD = (
    "CAST(NULL AS text), CAST(NULL AS text), CAST(NULL AS bigint), CAST(NULL AS text), CAST(NULL AS text), "
    "CAST(NULL AS smallint), CAST(NULL AS {bytes}), CAST(NULL AS {bytes})"
)


def _nulls(count: int) -> str:
    return ", ".join(["NULL"] * count)


# Keys first, rows at the end: the recursion compares short texts and never a record's bytes. On Postgres each step is
# a LATERAL with a LIMIT, which the planner can only run as one look-up by key for each row: no statistics, however
# old, turn it into a scan of the history (H1). On SQLite CROSS JOIN fixes the same order.
WANTED = {
    "postgresql": "SELECT * FROM unnest(CAST(:collections AS text[]), CAST(:ids AS text[])) AS w(collection, id)",
    "sqlite": "SELECT value ->> 0 AS collection, value ->> 1 AS id FROM json_each(:keys)",
}
_TOUCHED = {
    # Most of what a push names is new: it is looked for once, and only what lies above what was found is climbed to.
    "postgresql": f"""
WITH RECURSIVE wanted AS ({WANTED["postgresql"]}), found AS MATERIALIZED (
    SELECT r.* FROM wanted AS w CROSS JOIN LATERAL (
        SELECT {_ROW} FROM records AS o
        WHERE o.space_id = :space AND o.collection = w.collection AND o.id = w.id LIMIT 1
    ) AS r
), touched(collection, id) AS (
    SELECT f.parent_collection, f.parent_id FROM found AS f WHERE f.parent_id IS NOT NULL
    UNION
    SELECT p.parent_collection, p.parent_id FROM touched AS t CROSS JOIN LATERAL (
        SELECT r.parent_collection, r.parent_id FROM records AS r
        WHERE r.space_id = :space AND r.collection = t.collection AND r.id = t.id LIMIT 1
    ) AS p WHERE p.parent_id IS NOT NULL
)""",
    "sqlite": f"""
WITH RECURSIVE touched(collection, id) AS (
    {WANTED["sqlite"]}
    UNION
    SELECT r.parent_collection, r.parent_id FROM touched AS t CROSS JOIN records AS r
    WHERE r.space_id = :space AND r.collection = t.collection AND r.id = t.id AND +r.parent_id IS NOT NULL
)""",
}
BELOW = {
    "postgresql": f"""
WITH RECURSIVE wanted AS ({WANTED["postgresql"]}), touched(collection, id) AS (
    SELECT c.collection, c.id FROM wanted AS w CROSS JOIN LATERAL (
        SELECT r.collection, r.id FROM records AS r
        WHERE r.space_id = :space AND r.parent_collection = w.collection AND r.parent_id = w.id OFFSET 0
    ) AS c
    UNION
    SELECT c.collection, c.id FROM touched AS t CROSS JOIN LATERAL (
        SELECT r.collection, r.id FROM records AS r
        WHERE r.space_id = :space AND r.parent_collection = t.collection AND r.parent_id = t.id OFFSET 0
    ) AS c
)""",
    "sqlite": f"""
WITH RECURSIVE wanted AS ({WANTED["sqlite"]}), touched(collection, id) AS (
    SELECT r.collection, r.id FROM wanted AS w CROSS JOIN records AS r
    WHERE r.space_id = :space AND r.parent_collection = w.collection AND r.parent_id = w.id
    UNION
    SELECT r.collection, r.id FROM touched AS t CROSS JOIN records AS r
    WHERE r.space_id = :space AND r.parent_collection = t.collection AND r.parent_id = t.id
)""",
}
_TOUCHED_RECORDS = {
    "postgresql": f"""FROM touched AS t CROSS JOIN LATERAL (
    SELECT {_ROW} FROM records AS o WHERE o.space_id = :space AND o.collection = t.collection AND o.id = t.id LIMIT 1
) AS r""",
    "sqlite": """FROM touched AS t CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = t.collection AND r.id = t.id""",
}

_LOCK = Prepared(postgresql="SELECT 1 FROM spaces WHERE id = :space FOR UPDATE")
_OPEN = Prepared(
    # xmin: the transaction that made this version of the row, which no other version of it has.
    postgresql=f"""{_TOUCHED["postgresql"]}
SELECT {_SPACE}, s.xmin, {_WHO}, {_NO_RECORD.format(bytes="bytea")} {_FROM}
UNION ALL SELECT {_nulls(_N_SPACE + 1 + _N_WHO)}, {_RECORD} FROM found AS r
UNION ALL SELECT {_nulls(_N_SPACE + 1 + _N_WHO)}, {_RECORD} {_TOUCHED_RECORDS["postgresql"]}""",
    sqlite=f"""{_TOUCHED["sqlite"]}
SELECT {_SPACE}, NULL, {_WHO}, {_NO_RECORD.format(bytes="blob")} {_FROM}
UNION ALL SELECT {_nulls(_N_SPACE + 1 + _N_WHO)}, {_RECORD} {_TOUCHED_RECORDS["sqlite"]}""",
)
_WAS = tuple(f"was_{place}" for place in range(_N_SPACE + _N_WHO))
STANDS = Prepared(
    sqlite=f"SELECT 1 {_FROM} AND ({_SPACE}, {_WHO}) IS ({', '.join(f':{name}' for name in _WAS)})", or_moved=True
)
_READ_BELOW = Prepared(
    postgresql=f"{BELOW['postgresql']} SELECT {_RECORD} {_TOUCHED_RECORDS['postgresql']}",
    sqlite=f"{BELOW['sqlite']} SELECT {_RECORD} {_TOUCHED_RECORDS['sqlite']}",
)
_CHANGES = Prepared(
    f"SELECT {_CHANGE} FROM changes AS c WHERE c.space_id = :space AND c.device_id = :device "
    "AND c.n BETWEEN :first AND :last ORDER BY c.n"
)


def named(tx: Transaction, keys: Collection[Key]) -> dict[str, Any]:
    """Keys as the parameters by which the statements of a dialect take a list of them."""
    if tx.dialect == "sqlite":
        return {"keys": _encode(list(keys)).decode()}
    return {"collections": [key[0] for key in keys], "ids": [key[1] for key in keys]}


async def open_push(
    tx: Transaction,
    *,
    space: str,
    user: str,
    device: str,
    after_n: int | None,
    keys: Collection[Key],
    lock: bool = True,
) -> Opened | None:
    """Lock a space and read what a push of `user` from `device` needs: None where there is no such space.

    `records` holds those of `keys` that exist, and all their ancestors. Two statements on Postgres, one on SQLite.

    Without `lock` one statement and no lock: then hand `row_version` on to `write_push`.
    """
    who = {"space": space, "user": user, "device": device, "after_n": -1 if after_n is None else after_n}
    if lock and tx.dialect == "postgresql" and not await tx.execute(_LOCK, who):
        return None
    # A statement of its own, since one of Postgres sees what was there when it began: before it got the lock.
    rows = await tx.execute(_OPEN, {**who, **named(tx, keys)})
    # The one row that is no record comes first, but SQL does not promise it.
    head = next((row for row in rows if row[0] is not None), None)
    if head is None:
        return None
    row_version: RowVersion | None = None
    if not lock:
        was = (*head[:_N_SPACE], *head[_N_SPACE + 1 : _N_SPACE + 1 + _N_WHO])
        row_version = {**who, **dict(zip(_WAS, was, strict=True))} if tx.dialect == "sqlite" else head[_N_SPACE]
    return _opened(device, space_row(head), row_version, head[_N_SPACE + 1 :], [row for row in rows if row[0] is None])


def _opened(
    device: str, space: SpaceRow, row_version: RowVersion | None, who: Sequence[Any], records: Sequence[Sequence[Any]]
) -> Opened:
    role, state, device_user, revoked_at = who[:4]
    role, state = member_of(space.id, role, state)
    voter = who[4:9]
    after = who[9:_N_WHO]
    stored = _records(row[_N_SPACE + 1 + _N_WHO :] for row in records)
    return Opened(
        space=space,
        row_version=row_version,
        role=role,
        state=state,
        device_user=device_user,
        device_revoked=revoked_at is not None,
        voter=None
        if voter[0] is None
        else VoterRow(device, voter[0], _vector_decoder.decode(voter[1]), voter[2], voter[3], bool(voter[4])),
        after=None if after[0] is None else StoredChange(*after),
        records={(record.collection, record.id): record for record in stored},
    )


def _records(rows: Iterable[Sequence[Any]]) -> list[StoredRecord]:
    return [
        StoredRecord(row[0], row[1], row[2], None if row[4] is None else (row[3], row[4]), row[5], row[6], row[7])
        for row in rows
    ]


async def read_changes(tx: Transaction, space: str, device: str, first: int, last: int) -> list[StoredChange]:
    """The ledger's lines of one device from number `first` to `last`, as far as they are kept."""
    rows = await tx.execute(_CHANGES, {"space": space, "device": device, "first": first, "last": last})
    return [StoredChange(*row) for row in rows]


async def read_below(tx: Transaction, space: str, keys: Collection[Key]) -> list[StoredRecord]:
    """Everything below these records, at any depth, whatever its status."""
    return _records(await tx.execute(_READ_BELOW, {"space": space, **named(tx, keys)})) if keys else []
