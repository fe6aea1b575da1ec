"""What a push writes: all of it by one statement on Postgres, and by at most four on SQLite.

Invariants
    H1  The number of statements does not depend on the batch, nor on the length of the history.
    H2  Every statement is confined to one space.
    H3  Whoever writes anything of a space, or locks it to do so, makes a new version of the space's row on Postgres,
        and other values in it on SQLite where it writes a record. So where the row is the one that was read
        (`storage/push_reads.py`), all that was read of the space still holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from storage.cancelling import to_the_end
from storage.database import PreparedParameters, Transaction
from storage.errors import Moved
from storage.prepared import Prepared
from storage.push_reads import STANDS, RowVersion
from storage.rows import CHANGE_COLUMNS, StoredChange, StoredRecord, VoterRow, listed_at
from storage.spaces import SpaceRow

__all__ = ["write_push"]

_encode = msgspec.json.Encoder().encode

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
    INSERT INTO changes (space_id, {CHANGE_COLUMNS})
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
    sqlite=f"INSERT INTO changes (space_id, {CHANGE_COLUMNS}) VALUES (:space, :device, :n, :arrival, :collection, "
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
    row_version: RowVersion | None = None,
) -> None:
    """Write what a push leaves: records, ledger, the device's vote where it moved, and the space as it now is.

    `deleted_at` (Unix milliseconds) dates the tombstones among `records`. One statement on Postgres, at most four on
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
    if isinstance(row_version, dict):
        statements.append((STANDS, row_version))
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
