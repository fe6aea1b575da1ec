"""The queries of the audit: everything that is stored, page by page, and what hangs on nothing.

Owns: reading whole spaces in bounded pieces, in the order of the database's own keys. Refuses to know what is right
(`sync/audit.py`), and changes nothing.

Invariants
    A1  No statement returns more rows than it is asked for, and one that walks a space walks a bounded part of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, func, select, text, tuple_

from storage.database import Transaction
from storage.prepared import Prepared
from storage.push_reads import named
from storage.rows import LINE_WEIGHT_SQL, Key, StoredChange
from storage.tables import records, spaces

# Before the first key.
START: Final[Key] = ("", "")


class AuditedRecord(NamedTuple):
    """One record's row, as it is stored."""

    collection: str
    id: str
    seq: int
    parent_collection: str | None
    parent_id: str | None
    status: int
    body: bytes
    state: bytes
    deleted_at: int | None
    listed_at: str | None

    @property
    def key(self) -> Key:
        return self.collection, self.id


class Place(NamedTuple):
    """A place among the ledger's lines of some records, in the order of `read_lines`; the default is before all."""

    collection: str = ""
    id: str = ""
    arrival: int = 0
    device: str = ""
    n: int = 0


class Put(NamedTuple):
    """A change that the record (collection, id) counts among the puts below it."""

    collection: str
    id: str
    device: str
    n: int


class Orphan(NamedTuple):
    """A row that names what is not there. `row` names it, `missing` what it names; the space where it has one."""

    space: str | None
    row: str
    missing: str


_LINE = (
    "c.device_id, c.n, c.arrival, c.collection, c.record_id, c.op, c.hlc, c.clamped_hlc, c.grp, c.context, c.fields, "
    "c.verdict, c.received_at, c.user_id"
)
# What a record consists of: its accepted lines, but for those of an earlier life of it that was collected.
_STANDING = "c.verdict IS NULL AND c.op <> 'void' AND NOT c.collected"

_spaces = (
    select(spaces.c.id)
    # What is being erased goes piece by piece, and is nobody's.
    .where(spaces.c.id > bindparam("after"), spaces.c.kind != "erasing")
    .order_by(spaces.c.id)
    .limit(bindparam("most"))
)
_size = select(func.count()).select_from(records)
_records = (
    select(
        records.c.collection,
        records.c.id,
        records.c.seq,
        records.c.parent_collection,
        records.c.parent_id,
        records.c.status,
        records.c.body,
        records.c.state,
        records.c.deleted_at,
        records.c.listed_at,
    )
    .where(
        records.c.space_id == bindparam("space"),
        tuple_(records.c.collection, records.c.id) > tuple_(bindparam("in_collection"), bindparam("after")),
    )
    .order_by(records.c.collection, records.c.id)
    .limit(bindparam("most"))
)
_RECORDS = Prepared(_records)
_RECORDS_UPTO = Prepared(
    _records.where(
        tuple_(records.c.collection, records.c.id) <= tuple_(bindparam("upto_collection"), bindparam("upto"))
    )
)
_NTH_KEY = Prepared(
    _records.with_only_columns(records.c.collection, records.c.id).limit(1).offset(bindparam("skipped"))
)
# The condition as it stands in the index of the feed: a parameter would hide that the index has all that is asked.
_REPEATED = text(
    "SELECT seq FROM records WHERE space_id = :space AND status < 2 GROUP BY seq HAVING COUNT(*) > 1 LIMIT :most"
)

# SQLite would walk the whole space for a list of pairs.
_WANTED_POSTGRES = "unnest(CAST(:collections AS text[]), CAST(:ids AS text[])) AS w(collection, id)"
_WANTED_SQLITE = "(SELECT value ->> 0 AS collection, value ->> 1 AS id FROM json_each(:keys)) AS w"
_PARENTS = """
SELECT r.collection, r.id, r.status, r.state FROM {wanted} CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = w.collection AND r.id = w.id"""
_READ_PARENTS = Prepared(
    postgresql=_PARENTS.format(wanted=_WANTED_POSTGRES), sqlite=_PARENTS.format(wanted=_WANTED_SQLITE)
)

_LINES = f"""
SELECT {_LINE} FROM {{wanted}} CROSS JOIN {{changes}}
WHERE {_STANDING} AND
    (c.collection, c.record_id, c.arrival, c.device_id, c.n) > (:collection, :id, :arrival, :device, :n)
    {{more}}
ORDER BY c.collection, c.record_id, c.arrival, c.device_id, c.n LIMIT :most"""
_OF_RECORD = "c.space_id = :space AND c.collection = w.collection AND c.record_id = w.id"
_READ_LINES = Prepared(
    postgresql=_LINES.format(
        wanted=_WANTED_POSTGRES,
        changes=f"LATERAL (SELECT * FROM changes AS c WHERE {_OF_RECORD}) AS c",
        more="",
    ),
    sqlite=_LINES.format(
        wanted=_WANTED_SQLITE,
        changes="changes AS c",
        more=f"AND {_OF_RECORD}",
    ),
)
# A counted put is of a record below: no collection lies deeper than two others. The ledger may have let go of the
# line, or the record may have been collected, which leaves its puts behind in the parent, also where it came back since
# below another one.
_UNFOUNDED = """
SELECT w.collection, w.id, w.device, w.n FROM {wanted} CROSS JOIN {changes}
LEFT JOIN records AS r ON r.space_id = :space AND r.collection = c.collection AND r.id = c.record_id
LEFT JOIN records AS p ON p.space_id = :space AND p.collection = r.parent_collection AND p.id = r.parent_id
WHERE {more} (c.op <> 'put' OR c.verdict IS NOT NULL OR (r.id IS NOT NULL AND NOT c.collected
    AND NOT coalesce(r.parent_collection = w.collection AND r.parent_id = w.id, false)
    AND NOT coalesce(p.parent_collection = w.collection AND p.parent_id = w.id, false)))"""
_OF_DOT = "c.space_id = :space AND c.device_id = w.device AND c.n = w.n"
_READ_UNFOUNDED = Prepared(
    postgresql=_UNFOUNDED.format(
        wanted="unnest(CAST(:collections AS text[]), CAST(:ids AS text[]), CAST(:devices AS text[]), "
        "CAST(:numbers AS bigint[])) AS w(collection, id, device, n)",
        changes=f"LATERAL (SELECT * FROM changes AS c WHERE {_OF_DOT}) AS c",
        more="",
    ),
    sqlite=_UNFOUNDED.format(
        wanted="(SELECT value ->> 0 AS collection, value ->> 1 AS id, value ->> 2 AS device, value ->> 3 AS n "
        "FROM json_each(:puts)) AS w",
        changes="changes AS c",
        more=f"{_OF_DOT} AND",
    ),
)
_LOST = text(
    f"SELECT DISTINCT c.collection, c.record_id FROM changes AS c WHERE c.space_id = :space AND c.device_id = :device "
    f"AND c.n > :above AND c.n <= :upto AND {_STANDING} AND NOT EXISTS (SELECT 1 FROM records AS r "
    "WHERE r.space_id = c.space_id AND r.collection = c.collection AND r.id = c.record_id) LIMIT :most"
)

_VERDICTS = text(
    "SELECT n, collection, record_id, verdict FROM changes WHERE space_id = :space AND device_id = :device "
    "AND n > :above AND n <= :upto AND verdict IS NOT NULL ORDER BY n"
)

_NEXT_DEVICE = text(
    "SELECT d.id, (SELECT MIN(n) FROM changes WHERE space_id = :space AND device_id = d.id), "
    "(SELECT MAX(n) FROM changes WHERE space_id = :space AND device_id = d.id) FROM "
    "(SELECT MIN(device_id) AS id FROM changes WHERE space_id = :space AND device_id > :after) AS d "
    "WHERE d.id IS NOT NULL"
)
_NEWEST = text(
    "SELECT COUNT(*), MAX(arrival) FROM changes WHERE space_id = :space AND device_id = :device AND n > :above"
)
_LEDGER_BYTES = text(f"SELECT coalesce(sum({LINE_WEIGHT_SQL}), 0) FROM changes WHERE space_id = :space")
_VOTERS = text(
    "SELECT v.device_id, v.seen FROM space_devices AS v "
    "WHERE v.space_id = :space AND v.device_id > :after ORDER BY v.device_id LIMIT :most"
)

# The ids of spaces in a table that has no foreign key to them, each looked up once instead of once a row.
_OF_NO_SPACE = """
WITH RECURSIVE ids(id) AS (
    SELECT MIN(space_id) FROM {table}
    UNION ALL
    SELECT (SELECT MIN(space_id) FROM {table} WHERE space_id > ids.id) FROM ids WHERE ids.id IS NOT NULL
)
SELECT ids.id, '{table}', ids.id FROM ids
WHERE ids.id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM spaces AS s WHERE s.id = ids.id) LIMIT :most"""
_WITHOUT = """
SELECT {space}, {row}, {names} FROM {table} AS t WHERE {names} IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM {wanted} AS w WHERE w.id = {names}{more}) {only} LIMIT :most"""


def _without(
    table: str, names: str, wanted: str, row: str, *, space: str = "NULL", more: str = "", only: str = ""
) -> Any:
    return text(
        _WITHOUT.format(table=table, names=f"t.{names}", wanted=wanted, row=row, space=space, more=more, only=only)
    )


# What names something → the rows that name what is not there.
ORPHANS: Final[dict[str, Any]] = {
    "member_without_user": _without("members", "user_id", "users", "t.user_id", space="t.space_id"),
    "member_without_space": _without("members", "space_id", "spaces", "t.user_id", space="t.space_id"),
    "owner_without_user": _without("spaces", "owner_id", "users", "t.id", space="t.id"),
    # The catalog is everybody's to read, and what is being erased is nobody's.
    "space_without_owner": text(
        "SELECT s.id, s.id, coalesce(s.owner_id, 'nobody') FROM spaces AS s WHERE s.kind IN ('personal', 'shared') "
        "AND NOT EXISTS (SELECT 1 FROM members AS m WHERE m.space_id = s.id AND m.role = 'owner' "
        "AND m.state = 'member' AND (s.kind = 'shared' OR m.user_id = s.owner_id)) LIMIT :most"
    ),
    "member_without_role": text(
        "SELECT space_id, user_id, CASE WHEN role IN ('owner', 'editor', 'viewer') THEN state ELSE role END "
        "FROM members WHERE role NOT IN ('owner', 'editor', 'viewer') OR state NOT IN ('invited', 'member') LIMIT :most"
    ),
    "device_without_user": _without("devices", "user_id", "users", "t.id"),
    "session_without_user": _without("sessions", "user_id", "users", "t.id"),
    "session_without_device": _without("sessions", "device_id", "devices", "t.id", more=" AND w.user_id = t.user_id"),
    # The hash is no secret, and is still not for a report: the session is enough to find the row.
    "token_without_session": _without("refresh_tokens", "session_id", "sessions", "t.session_id"),
    "session_with_two_tokens": text(
        "SELECT NULL, session_id, session_id FROM refresh_tokens WHERE spent_at IS NULL "
        "GROUP BY session_id HAVING COUNT(*) > 1 LIMIT :most"
    ),
    "voter_without_device": _without(
        "space_devices",
        "device_id",
        "devices",
        "t.device_id",
        space="t.space_id",
        more=" AND w.user_id = t.user_id",
        only="AND NOT t.resync",
    ),
    "voter_without_space": _without("space_devices", "space_id", "spaces", "t.device_id", space="t.space_id"),
    "records_without_space": text(_OF_NO_SPACE.format(table="records")),
    "changes_without_space": text(_OF_NO_SPACE.format(table="changes")),
}

_INTEGRITY_SQLITE = text("PRAGMA integrity_check(20)")


async def read_size(tx: Transaction) -> int:
    """How many records there are, tombstones and those that are not served too. Walks an index."""
    return int((await tx.execute(_size))[0][0])


async def read_space_ids(tx: Transaction, after: str, most: int) -> list[str]:
    """At most `most` ids of spaces after `after`."""
    return [str(row[0]) for row in await tx.execute(_spaces, {"after": after, "most": most})]


async def read_records(tx: Transaction, space: str, after: Key, upto: Key | None, most: int) -> list[AuditedRecord]:
    """At most `most` records of a space above the key `after` and up to `upto`, if any, whatever their status."""
    page: dict[str, Any] = {"space": space, "in_collection": after[0], "after": after[1], "most": most}
    if upto is None:
        return [AuditedRecord(*row) for row in await tx.execute(_RECORDS, page)]
    page |= {"upto_collection": upto[0], "upto": upto[1]}
    return [AuditedRecord(*row) for row in await tx.execute(_RECORDS_UPTO, page)]


async def nth_key(tx: Transaction, space: str, after: Key, n: int) -> Key | None:
    """The key of the `n`-th record of a space above the key `after`; None where there are fewer. Walks an index."""
    page = {"space": space, "in_collection": after[0], "after": after[1], "skipped": n - 1}
    rows = await tx.execute(_NTH_KEY, page)
    return (rows[0][0], rows[0][1]) if rows else None


async def read_parents(tx: Transaction, space: str, keys: Collection[Key]) -> dict[Key, tuple[int, bytes]]:
    """(status, state) of those of these records that are stored."""
    rows = await tx.execute(_READ_PARENTS, {"space": space, **named(tx, keys)}) if keys else []
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


async def read_lines(tx: Transaction, space: str, keys: Collection[Key], after: Place, most: int) -> list[StoredChange]:
    """At most `most` lines after a place of what these records consist of: record by record, each as the server took
    them."""
    page: dict[str, Any] = {"space": space, **named(tx, keys), **after._asdict(), "most": most}
    return [StoredChange(*row) for row in await tx.execute(_READ_LINES, page)] if keys else []


async def unfounded(tx: Transaction, space: str, puts: Sequence[Put]) -> list[Put]:
    """Those of these puts that are in the ledger and are no puts of a record below the one that counts them."""
    page: dict[str, Any] = {"space": space}
    if tx.dialect == "sqlite":
        page["puts"] = msgspec.json.encode(puts).decode()
    else:
        collections, ids, devices, numbers = zip(*puts, strict=True)
        page |= {"collections": collections, "ids": ids, "devices": devices, "numbers": numbers}
    return [Put(*row) for row in await tx.execute(_READ_UNFOUNDED, page)]


async def read_lost(tx: Transaction, space: str, device: str, above: int, upto: int, most: int) -> list[Key]:
    """Records that are not stored although a change of `device` with a number over `above` and up to `upto` stands."""
    window = {"space": space, "device": device, "above": above, "upto": upto, "most": most}
    return [(_name(row[0]), _name(row[1])) for row in await tx.execute(_LOST, window)]


async def read_verdicts(
    tx: Transaction, space: str, device: str, above: int, upto: int
) -> list[tuple[int, Key, bytes]]:
    """(number, record, why) of the rejected changes of `device` with a number over `above` and up to `upto`."""
    window = {"space": space, "device": device, "above": above, "upto": upto}
    return [(row[0], (_name(row[1]), _name(row[2])), row[3]) for row in await tx.execute(_VERDICTS, window)]


def _name(stored: object) -> str:
    """Part of a key, where damage may have left none."""
    return "?" if stored is None else str(stored)


async def next_device(tx: Transaction, space: str, after: str) -> tuple[str, int, int] | None:
    """(device, its oldest and its newest number in the ledger) of the first device after `after`, or None."""
    rows = await tx.execute(_NEXT_DEVICE, {"space": space, "after": after})
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


async def count_newest(tx: Transaction, space: str, device: str, above: int) -> tuple[int, int]:
    """(how many lines of a device have a number over `above`, the largest arrival among them or 0)."""
    rows = await tx.execute(_NEWEST, {"space": space, "device": device, "above": above})
    return int(rows[0][0]), int(rows[0][1] or 0)


async def ledger_bytes(tx: Transaction, space: str) -> int:
    """What the ledger of a space takes of its quota."""
    return int((await tx.execute(_LEDGER_BYTES, {"space": space}))[0][0])


async def repeated_seqs(tx: Transaction, space: str, most: int) -> list[int]:
    """Seqs that more than one served record has."""
    return [int(row[0]) for row in await tx.execute(_REPEATED, {"space": space, "most": most})]


async def read_seen(tx: Transaction, space: str, after: str, most: int) -> list[tuple[str, bytes]]:
    """(device, what it has promised to know) of the devices with a place in a space."""
    rows = await tx.execute(_VOTERS, {"space": space, "after": after, "most": most})
    return [(row[0], row[1]) for row in rows]


async def read_orphans(tx: Transaction, kind: str, most: int) -> list[Orphan]:
    """At most `most` rows of one of the kinds of ORPHANS."""
    return [Orphan(*row) for row in await tx.execute(ORPHANS[kind], {"most": most})]


async def read_damage(tx: Transaction) -> list[str]:
    """What SQLite finds wrong with its own file, in its words; nothing on Postgres, which keeps checksums itself."""
    if tx.dialect != "sqlite":
        return []
    said = [str(row[0]) for row in await tx.execute(_INTEGRITY_SQLITE) if row[0] != "ok"]
    # Of a torn file SQLite says many lines in one.
    return [line for words in said for line in words.splitlines() if not line.startswith("*** ")]
