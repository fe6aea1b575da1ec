"""The inbox: changes that were refused, kept with the reason until somebody mends or discards them (rule 10).

What was refused because the server's schema did not allow it yet is sent again by itself once the schema has grown:
as it was, in its old context, so that what was written meanwhile becomes a conflict and is not replaced. What this
device wrote over since, or what is deleted now, stays for a person to decide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..collections import COLLECTIONS
from ..errors import NotFound
from .database import Tx
from .reads import read_one
from .vectors import decode
from .writing import WRITTEN_ANEW, Write, write_groups

__all__ = ["Refused", "about_due", "discard", "forgetting", "read_inbox", "resend", "schema_told"]


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused change. `code` is the server's word, `message` its sentence; `no` names the entry."""

    no: int
    space: int
    op: str
    collection: str | None
    id: str | None
    fields: Mapping[str, Any]
    code: str
    field: str | None
    message: str
    at_ms: int


def read_inbox(conn: Any, space: int | None = None) -> list[Refused]:
    """Every entry, oldest first; of one space where it is named."""
    rows = conn.execute(
        "SELECT no, space, op, collection, id, fields, code, field, message, at FROM inbox"
        " WHERE ? IS NULL OR space = ? ORDER BY no",
        (space, space),
    )
    return [
        Refused(no, place, op, collection, id, json.loads(fields) if fields else {}, code, name, message, at)
        for no, place, op, collection, id, fields, code, name, message, at in rows
    ]


def resend(tx: Tx, no: int, fields: Mapping[str, Any] | None = None) -> None:
    """Write a refused change anew, with other `fields` where they are given, and drop it from the inbox.

    Raises:
        NotFound: there is no such entry.
        InvalidWrite: the mended change is refused here already; the entry stays.
    """
    row = tx.one("SELECT space, op, collection, id, fields FROM inbox WHERE no = ?", (no,))
    if row is None:
        raise NotFound(f"The inbox has no entry {no}; inbox() lists what there is.")
    wanted = dict(fields) if fields is not None else json.loads(row[4]) if row[4] else {}
    write_groups(tx, row[0], [[Write(row[2], row[3], wanted, row[1])]], judged=fields is not None)
    discard(tx, no)


def discard(tx: Tx, no: int) -> None:
    """Drop an entry for good.

    Raises:
        NotFound: there is no such entry.
    """
    if not tx.execute("DELETE FROM inbox WHERE no = ?", (no,)):
        raise NotFound(f"The inbox has no entry {no}; inbox() lists what there is.")


# What a newer schema may allow: new collections and fields, more words, wider limits.
SCHEMA_CODES = ("unknown_collection", "unknown_field", "wrong_type", "out_of_range", "too_long")
_WAITS = f"code IN ({', '.join(repr(code) for code in SCHEMA_CODES)})"
# How often to ask whether the schema has grown, while something waits for it.
ASK_EVERY_MS = 24 * 3600 * 1000


def about_due(tx: Tx, asked_at_ms: int | None) -> bool:
    """True where a change waits for the server's schema, and this process has not asked for it today."""
    if asked_at_ms is not None and tx.environment.elapsed_ms() - asked_at_ms < ASK_EVERY_MS:
        return False
    return bool(tx.recall(f"SELECT 1 FROM inbox WHERE {_WAITS} AND cause IS NOT NULL LIMIT 1"))


def schema_told(tx: Tx, schema: int) -> int:
    """Take the server's schema, and send again what it may allow now. How many changes that were."""
    tx.set_meta("server_schema", str(schema))
    # Nobody knows what the schema was when these were refused: from now on its growth is seen.
    tx.execute(f"UPDATE inbox SET schema = ? WHERE schema = 0 AND {_WAITS}", (schema,))
    causes = tx.all(f"SELECT DISTINCT space, cause FROM inbox WHERE {_WAITS} AND schema < ? ORDER BY cause", (schema,))
    tx.execute(f"UPDATE inbox SET schema = ? WHERE {_WAITS}", (schema,))
    return sum(_send_again(tx, space, cause) for space, cause in causes if cause is not None)


def forgetting(tx: Tx, before_ms: int) -> None:
    """What was answered before this moment is about to leave the log, which tells what was written over here since.

    What it tells of what is refused is told once more: that waits for a person from now on.
    """
    tx.execute(
        "UPDATE inbox SET cause = NULL WHERE cause IN (SELECT i.cause FROM inbox i JOIN log l ON l.space = i.space"
        " AND l.collection = i.collection AND l.id = i.id AND l.pos > i.cause"
        " WHERE l.state = 2 AND l.laid = 0 AND l.answered_at < ? AND l.op = 'put' AND l.verdict IS NULL AND EXISTS"
        " (SELECT 1 FROM json_each(l.fields) a JOIN json_each(i.fields) b ON a.key = b.key))",
        (before_ms,),
    )


def _send_again(tx: Tx, space: int, cause: int) -> int:
    rows = tx.all(
        "SELECT no, op, collection, id, fields, context FROM inbox WHERE space = ? AND cause = ? ORDER BY no",
        (space, cause),
    )
    writes = [
        Write(collection, id, json.loads(fields or "{}"), op, context=decode(context or "{}"))
        for _, op, collection, id, fields, context in rows
    ]
    made = {(one.collection, one.id) for one in writes}
    if not all(_still_stands(tx, space, one, cause, made) for one in writes):
        return 0
    write_groups(tx, space, [writes], mark=WRITTEN_ANEW)
    tx.execute("DELETE FROM inbox WHERE space = ? AND cause = ?", (space, cause))
    return len(writes)


def _still_stands(tx: Tx, space: int, one: Write, cause: int, made: set[tuple[str, str]]) -> bool:
    declared = COLLECTIONS.get(one.collection)
    if declared is None or declared.read_only or not one.fields.keys() <= declared.fields.keys():
        return False
    later = tx.all(
        "SELECT fields FROM log WHERE space = ? AND collection = ? AND id = ? AND pos > ? AND op = 'put'"
        " AND verdict IS NULL",
        (space, one.collection, one.id, cause),
    )
    if any(one.fields.keys() & json.loads(row[0]).keys() for row in later):
        return False
    row = tx.one("SELECT 1 FROM records WHERE space = ? AND collection = ? AND id = ?", (space, one.collection, one.id))
    if row is not None:
        return read_one(tx.conn, space, one.collection, one.id) is not None
    if tx.one("SELECT 1 FROM aside WHERE space = ? AND collection = ? AND id = ?", (space, one.collection, one.id)):
        # It was there, and is deleted.
        return False
    if declared.parent is None:
        return True
    above = (declared.parent[1], one.fields.get(declared.parent[0]))
    return above in made or (isinstance(above[1], str) and read_one(tx.conn, space, above[0], above[1]) is not None)
