"""The queries of the write path: a whole push in two or three statements on Postgres and at most four on SQLite.

On SQLite the transaction holds the write lock with its first statement. On Postgres a push is usually alone in its
space: it reads everything by one statement, without a lock, and writes by another, which takes hold of the space's row
and writes only where that is still the version of the row that was read. Where it is not, nothing is written, and the
push is done again with the lock: then `open_push` locks the row first and reads by a second statement, so that
everything is as the lock's last holder left it.

Invariants
    H1  The number of statements of a push does not depend on the batch, nor on the length of the history.
    H2  Every statement is confined to one space.
    H3  Whoever writes anything of a space, or locks it to do so, makes a new version of the space's row. So where the
        row is the one that was read, all that was read of the space still holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from storage.cancelling import to_the_end
from storage.collections import LISTED_BY
from storage.database import PreparedParameters, Transaction
from storage.errors import Moved
from storage.prepared import Prepared
from storage.spaces import SPACE_COLUMNS, SpaceRow, member_of, space_row

__all__ = [
    "BELOW",
    "WANTED",
    "Key",
    "Opened",
    "SpaceRow",
    "StoredChange",
    "StoredRecord",
    "VoterRow",
    "listed_at",
    "named",
    "open_push",
    "read_below",
    "read_changes",
    "write_push",
]

# (collection, id): what names a record within a space.
Key = tuple[str, str]

_encode = msgspec.json.Encoder().encode
_vector_decoder = msgspec.json.Decoder(dict[str, int])


class StoredRecord(NamedTuple):
    """One record's row. `body` is the object as it is served, without its seq; `state` is the kernel's.

    status: 0 shown, 1 deleted, 2 hidden, 3 a stub that only carries what lies below it.
    """

    collection: str
    id: str
    seq: int
    parent: Key | None
    status: int
    body: bytes
    state: bytes


class StoredChange(NamedTuple):
    """One line of the ledger: a change as it was sent, and what became of it.

    arrival: the head after its batch. context: as it was cut. fields: JSON as sent, None for a delete and a void.
    verdict: the rejection as JSON, None where it was accepted. clamped_hlc: the stamp that counts, where another.
    """

    device: str
    n: int
    arrival: int
    collection: str | None
    id: str | None
    op: str
    hlc: str
    clamped_hlc: str | None
    group: str | None
    context: bytes
    fields: bytes | None
    verdict: bytes | None
    received_at: int
    user: str

    @property
    def weight(self) -> int:
        """The bytes that a line takes of its space's quota; LINE_WEIGHT_SQL is the same."""
        return LINE_BYTES + len(self.context) + len(self.fields or b"") + len(self.verdict or b"")


# What the short columns of a line take, with their index: about, and the same for every line.
LINE_BYTES = 200
LINE_WEIGHT_SQL = f"({LINE_BYTES} + length(context) + coalesce(length(fields), 0) + coalesce(length(verdict), 0))"


@dataclass(frozen=True, slots=True)
class VoterRow:
    """A device's place in a space: what it has promised to know, and whether it owes a snapshot."""

    device: str
    user: str
    seen: dict[str, int]
    seen_at: int
    first_at: int
    resync: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A space, and everything a push needs to know of it. `row_version`: of a row that is not locked; else None."""

    space: SpaceRow
    row_version: int | None
    role: str | None
    state: str | None
    device_user: str | None
    device_revoked: bool
    voter: VoterRow | None
    after: StoredChange | None
    records: dict[Key, StoredRecord]


_SPACE = ", ".join(f"s.{column.name}" for column in SPACE_COLUMNS)
_N_SPACE = len(SPACE_COLUMNS)
_CHANGE_COLUMNS = (
    "device_id, n, arrival, collection, record_id, op, hlc, clamped_hlc, grp, context, fields, verdict, "
    "received_at, user_id"
)
_CHANGE = ", ".join(f"c.{name.strip()}" for name in _CHANGE_COLUMNS.split(","))
_ROW = "collection, id, seq, parent_collection, parent_id, status, body, state"
_RECORD = ", ".join(f"r.{name}" for name in _ROW.split(", "))
_N_RECORD = 8

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

    Without `lock`, on Postgres, one statement and no lock: then hand `row_version` on to `write_push`.
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
    row_version = None if lock else head[_N_SPACE]
    return _opened(device, space_row(head), row_version, head[_N_SPACE + 1 :], [row for row in rows if row[0] is None])


def _opened(
    device: str, space: SpaceRow, row_version: int | None, who: Sequence[Any], records: Sequence[Sequence[Any]]
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


_SET_SPACE = """
UPDATE spaces SET head = :head, version = :version, life = :life, lives = :lives, timeline = :timeline,
    records = :records, bytes = :bytes, server_device = :server_device, server_hlc = :server_hlc
WHERE id = :space"""
_UPSERT_RECORD = """
ON CONFLICT (space_id, collection, id) DO UPDATE SET seq = excluded.seq,
    parent_collection = excluded.parent_collection, parent_id = excluded.parent_id, status = excluded.status,
    body = excluded.body, state = excluded.state, listed_at = excluded.listed_at, deleted_at = excluded.deleted_at"""
_RECORD_COLUMNS = (
    "space_id, collection, id, seq, parent_collection, parent_id, status, body, state, listed_at, deleted_at"
)

# The columns of a batch as Postgres takes them: (name, type). A column travels as an array or, where all its values
# are alike, as one value and no array: a batch of sets has one collection, one operation, one context.
_RECORD_ARRAYS = (
    ("collection", "text"),
    ("id", "text"),
    ("seq", "bigint"),
    ("parent_collection", "text"),
    ("parent_id", "text"),
    ("status", "smallint"),
    ("body", "bytea"),
    ("state", "bytea"),
    ("listed_at", "text"),
)
_CHANGE_ARRAYS = (
    ("device", "text"),
    ("n", "bigint"),
    ("arrival", "bigint"),
    ("collection", "text"),
    ("id", "text"),
    ("op", "text"),
    ("hlc", "text"),
    ("clamped_hlc", "text"),
    ("group", "text"),
    ("context", "bytea"),
    ("fields", "bytea"),
    ("verdict", "bytea"),
    ("received_at", "bigint"),
    ("user", "text"),
)
# No two rows of a batch share these, so that there always is an array to count the rows by.
_ALWAYS_ARRAYS = frozenset(("r_id", "c_n"))


def _unnested(letter: str, columns: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """(the columns to select, the table to select them from) of a batch."""
    names = [f"{letter}_{name}" for name, _ in columns]
    selected = ", ".join(
        f"coalesce({letter}.{name}, CAST(:{name}_all AS {type_}))"
        for name, (_, type_) in zip(names, columns, strict=True)
    )
    arrays = ", ".join(f"CAST(:{name} AS {type_}[])" for name, (_, type_) in zip(names, columns, strict=True))
    return selected, f"unnest({arrays}) AS {letter}({', '.join(names)})"


_RECORD_SELECTED, _RECORD_BATCH = _unnested("r", _RECORD_ARRAYS)
_CHANGE_SELECTED, _CHANGE_BATCH = _unnested("c", _CHANGE_ARRAYS)
# The space comes first, and everything else hangs on it: where its row has moved, nothing at all is written.
_WRITE_POSTGRES = Prepared(
    postgresql=f"""
WITH space AS ({_SET_SPACE} AND (CAST(:row_version AS xid) IS NULL OR xmin = CAST(:row_version AS xid)) RETURNING 1
), written AS (
    INSERT INTO records ({_RECORD_COLUMNS})
    SELECT CAST(:space AS text), {_RECORD_SELECTED},
        CASE WHEN coalesce(r.r_status, CAST(:r_status_all AS smallint)) = 1 THEN CAST(:deleted_at AS bigint) END
    FROM {_RECORD_BATCH} CROSS JOIN space
    {_UPSERT_RECORD}
), logged AS (
    INSERT INTO changes (space_id, {_CHANGE_COLUMNS})
    SELECT CAST(:space AS text), {_CHANGE_SELECTED} FROM {_CHANGE_BATCH} CROSS JOIN space
), voted AS (
    INSERT INTO space_devices (space_id, device_id, user_id, seen, seen_at, first_at, resync)
    SELECT CAST(:space AS text), v.* FROM (SELECT CAST(:v_device AS text) AS device_id, CAST(:v_user AS text),
        CAST(:v_seen AS bytea), CAST(:v_seen_at AS bigint), CAST(:v_first_at AS bigint), CAST(:v_resync AS boolean)
    ) AS v CROSS JOIN space WHERE v.device_id IS NOT NULL
    ON CONFLICT (space_id, device_id) DO UPDATE SET seen = excluded.seen, seen_at = excluded.seen_at
) SELECT count(*) FROM space"""
)

# On SQLite a batch is one prepared statement run for each row: measured faster than json_each over the batch, and
# json_each cannot carry bytes.
_RECORDS_SQLITE = Prepared(
    sqlite=f"INSERT INTO records ({_RECORD_COLUMNS}) VALUES (:space, :collection, :id, :seq, :parent_collection, "
    f":parent_id, :status, :body, :state, :listed_at, :deleted_at) {_UPSERT_RECORD}"
)
_CHANGES_SQLITE = Prepared(
    sqlite=f"INSERT INTO changes (space_id, {_CHANGE_COLUMNS}) VALUES (:space, :device, :n, :arrival, :collection, "
    ":id, :op, :hlc, :clamped_hlc, :group, :context, :fields, :verdict, :received_at, :user)"
)
_SET_SPACE_ALONE = Prepared(_SET_SPACE)
# A view whose trigger sets the space and upserts the vote: SQLite's way to write two tables in one statement.
_SET_SPACE_AND_VOTER = Prepared(
    sqlite="""
INSERT INTO push_heads (space_id, head, version, life, lives, timeline, records, bytes, server_device, server_hlc,
    device_id, user_id, seen, seen_at, first_at, resync)
VALUES (:space, :head, :version, :life, :lives, :timeline, :records, :bytes, :server_device, :server_hlc,
    :v_device, :v_user, :v_seen, :v_seen_at, :v_first_at, :v_resync)"""
)


async def write_push(
    tx: Transaction,
    *,
    space: SpaceRow,
    records: Sequence[StoredRecord],
    changes: Sequence[StoredChange],
    voter: VoterRow | None,
    deleted_at: int,
    row_version: int | None = None,
) -> None:
    """Write what a push leaves: records, ledger, the device's vote where it moved, and the space as it now is.

    `deleted_at` (Unix milliseconds) dates the tombstones among `records`. One statement on Postgres, at most three on
    SQLite. Raises Duplicate where the ledger has one of the numbers already; and Moved, with nothing written, where
    `row_version` is that of a row that somebody has written since.
    """
    head = {**_space_parameters(space), **_voter_parameters(voter)}
    if tx.dialect == "postgresql":
        arrays = {**_arrays(records, changes), "deleted_at": deleted_at, "row_version": row_version}
        writing = _write_postgres(tx, {**head, **arrays})
        # What commits by itself is carried to its end, as a COMMIT is.
        await (writing if row_version is None else to_the_end(writing))
        return
    statements: list[tuple[Prepared, PreparedParameters]] = []
    if records:
        statements.append((_RECORDS_SQLITE, [_record_values(space.id, record, deleted_at) for record in records]))
    if changes:
        statements.append((_CHANGES_SQLITE, [(space.id, *change) for change in changes]))
    await tx.execute_all(*statements, (_SET_SPACE_ALONE if voter is None else _SET_SPACE_AND_VOTER, head))


async def _write_postgres(tx: Transaction, parameters: dict[str, Any]) -> None:
    if (await tx.execute(_WRITE_POSTGRES, parameters))[0][0] == 0:
        raise Moved("Somebody else wrote the space meanwhile; read it again.")


def _space_parameters(space: SpaceRow) -> dict[str, Any]:
    return {
        "space": space.id,
        "head": space.head,
        "version": _encode(space.version),
        "life": space.life,
        "lives": _encode(space.lives),
        "timeline": space.timeline,
        "records": space.records,
        "bytes": space.bytes,
        "server_device": space.server_device,
        "server_hlc": space.server_hlc,
    }


def _record_values(space: str, record: StoredRecord, deleted_at: int) -> tuple[Any, ...]:
    """A record's row, in the order of _RECORD_COLUMNS."""
    collection, id_, seq, parent, status, body, state = record
    above, parent_id = parent or (None, None)
    gone = deleted_at if status == 1 else None
    return space, collection, id_, seq, above, parent_id, status, body, state, listed_at(collection, status, body), gone


class _Listed(msgspec.Struct):
    values: dict[str, Any] = {}


_decode_listed = msgspec.json.Decoder(_Listed).decode


def listed_at(collection: str, status: int, body: bytes) -> str | None:
    """Where a record stands in the list of its collection, which is ordered by a time: "" where it has none yet.

    None where it is not shown, or its collection is not listed so (`CollectionSpec.listed_by`).
    """
    by = LISTED_BY.get(collection)
    if by is None or status != 0:
        return None
    try:
        return _decode_listed(body).values.get(by) or ""
    except msgspec.DecodeError:  # a row that was damaged, which the audit finds
        return ""


def _voter_parameters(voter: VoterRow | None) -> dict[str, Any]:
    if voter is None:
        return _NO_VOTER
    return {
        "v_device": voter.device,
        "v_user": voter.user,
        "v_seen": _encode(voter.seen),
        "v_seen_at": voter.seen_at,
        "v_first_at": voter.first_at,
        "v_resync": voter.resync,
    }


_NO_VOTER = dict.fromkeys(("v_device", "v_user", "v_seen", "v_seen_at", "v_first_at", "v_resync"))


def _arrays(records: Sequence[StoredRecord], changes: Sequence[StoredChange]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    above = [record.parent or (None, None) for record in records]
    collections, ids, seqs, _, statuses, bodies, states = zip(*records, strict=True) if records else ((),) * 7
    parents = zip(*above, strict=True) if above else ((), ())
    listed = [listed_at(record.collection, record.status, record.body) for record in records]
    for (name, _), column in zip(
        _RECORD_ARRAYS, (collections, ids, seqs, *parents, statuses, bodies, states, listed), strict=True
    ):
        _add_column(arrays, f"r_{name}", column)
    lines = zip(*changes, strict=True) if changes else ((),) * len(_CHANGE_ARRAYS)
    for (name, _), column in zip(_CHANGE_ARRAYS, lines, strict=True):
        _add_column(arrays, f"c_{name}", column)
    return arrays


def _add_column(arrays: dict[str, Any], name: str, column: Sequence[Any]) -> None:
    alike = bool(column) and name not in _ALWAYS_ARRAYS and column[-1] == column[0]
    if alike and column.count(column[0]) == len(column):
        arrays[name], arrays[f"{name}_all"] = None, column[0]
    else:
        arrays[name], arrays[f"{name}_all"] = column, None
