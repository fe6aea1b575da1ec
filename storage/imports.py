"""Files of other apps that were handed in: how each is to be read, what it brought, and what became of it.

Owns: the statements over `imports`. Refuses to know: what is in a file.

An import is `reading` (for its preview), `ready` (it waits for a word), `importing`, `done`, `undoing`, `undone`, or
`failed`. Each statement names the user whose it is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from storage.database import Transaction
from storage.prepared import Prepared


class ImportRow(NamedTuple):
    """One import. choices, brought, summary: JSON. created_at: Unix milliseconds.

    state: "failed" also where the job that worked on it was given up.
    """

    id: str
    user: str
    space: str
    state: str
    name: str
    choices: bytes
    brought: bytes
    summary: bytes | None
    job: str | None
    created_at: int


# What an import has brought that brought nothing.
NOTHING: Final = b"[]"
# A job that was given up, or let go of, leaves its import as it was.
_UNDER_WAY: Final = (
    "(i.state IN ('reading', 'importing', 'undoing') AND EXISTS "
    "(SELECT 1 FROM jobs AS j WHERE j.id = i.job_id AND j.finished_at IS NULL))"
)
_STATE: Final = (
    f"CASE WHEN i.state IN ('reading', 'importing', 'undoing') AND NOT {_UNDER_WAY} THEN 'failed' ELSE i.state END"
)
_COLUMNS: Final = (
    f"i.id, i.user_id, i.space_id, {_STATE}, i.name, i.choices, i.brought, i.summary, i.job_id, i.created_at"
)
_ADD = Prepared(
    "INSERT INTO imports (id, user_id, space_id, state, name, choices, file, brought, job_id, created_at) "
    "VALUES (:id, :user, :space, :state, :name, :choices, :file, :brought, :job, :now_ms) RETURNING id"
)
_FIND = Prepared(f"SELECT {_COLUMNS} FROM imports AS i WHERE i.id = :id AND i.user_id = :user")
_FILE = Prepared("SELECT file FROM imports WHERE id = :id AND user_id = :user")
_LIST = Prepared(
    f"SELECT {_COLUMNS} FROM imports AS i WHERE i.user_id = :user AND (i.created_at, i.id) < (:before, :below) "
    "ORDER BY i.created_at DESC, i.id DESC LIMIT :limit"
)
_BEGIN = Prepared(
    "UPDATE imports SET state = :state, choices = :choices, job_id = :job "
    "WHERE id = :id AND user_id = :user RETURNING id"
)
_NOTE = Prepared("UPDATE imports SET brought = :brought WHERE id = :id AND user_id = :user RETURNING id")
_END = Prepared("UPDATE imports SET state = :state, summary = :summary WHERE id = :id AND user_id = :user RETURNING id")
_UNDONE = Prepared("UPDATE imports SET brought = :nothing WHERE id = :id AND user_id = :user RETURNING id")
_DROP_FILE = Prepared("UPDATE imports SET file = NULL WHERE id = :id AND user_id = :user RETURNING id")
# What was only looked at is over with its file; what was begun can still be taken back.
_WITHOUT_FILE: Final = (
    "UPDATE imports AS i SET file = NULL, state = CASE WHEN i.state IN ('ready', 'reading') THEN 'expired' "
    f"ELSE i.state END WHERE i.file IS NOT NULL AND NOT {_UNDER_WAY} AND"
)
_DROP_OLD_FILES = Prepared(f"{_WITHOUT_FILE} i.created_at < :before_ms RETURNING id")
_TRIM_FILES = Prepared(
    f"{_WITHOUT_FILE} i.user_id = :user AND i.id NOT IN (SELECT id FROM imports WHERE user_id = :user "
    "AND file IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT :keep) RETURNING id"
)
_TRIM = Prepared(
    f"DELETE FROM imports AS i WHERE i.user_id = :user AND NOT {_UNDER_WAY} AND i.id NOT IN (SELECT id FROM imports "
    "WHERE user_id = :user ORDER BY CASE WHEN file IS NULL AND brought = :nothing THEN 1 ELSE 0 END, "
    "created_at DESC, id DESC LIMIT :keep) RETURNING created_at, id, choices"
)
_OLDEST = Prepared("SELECT created_at, id, choices FROM imports WHERE user_id = :user ORDER BY created_at, id LIMIT 1")
_CHOOSE = Prepared("UPDATE imports SET choices = :choices WHERE id = :id AND user_id = :user RETURNING id")
_CHOICES = Prepared(
    "SELECT choices FROM (SELECT choices, created_at, id, "
    "sum(length(choices)) OVER (ORDER BY created_at DESC, id DESC) AS bytes "
    "FROM imports WHERE user_id = :user) AS given WHERE bytes <= :bytes_max ORDER BY created_at, id"
)


async def add_import(tx: Transaction, row: ImportRow, file: bytes) -> None:
    """Store a file that came in."""
    values = row._asdict() | {"file": file, "now_ms": row.created_at}
    await tx.execute(_ADD, values)


async def find_import(tx: Transaction, *, id: str, user: str) -> ImportRow | None:
    """One import of a user, or None."""
    rows = await tx.execute(_FIND, {"id": id, "user": user})
    return ImportRow(*rows[0]) if rows else None


async def read_file(tx: Transaction, *, id: str, user: str) -> bytes | None:
    """The file of an import; None where it is no longer kept."""
    rows = await tx.execute(_FILE, {"id": id, "user": user})
    return None if not rows or rows[0][0] is None else bytes(rows[0][0])


async def list_imports(tx: Transaction, *, user: str, before: tuple[int, str] | None, limit: int) -> list[ImportRow]:
    """At most `limit` imports of a user, newest first, older than (created_at, id) where that is given."""
    at, below = before or (2**62, "")
    rows = await tx.execute(_LIST, {"user": user, "before": at, "below": below, "limit": limit})
    return [ImportRow(*row) for row in rows]


async def begin_import(tx: Transaction, *, id: str, user: str, state: str, choices: bytes, job: str) -> None:
    """Note that a job begins to work on an import."""
    await tx.execute(_BEGIN, {"id": id, "user": user, "state": state, "choices": choices, "job": job})


async def note_brought(tx: Transaction, *, id: str, user: str, brought: bytes) -> None:
    """Note what an import has brought so far."""
    await tx.execute(_NOTE, {"id": id, "user": user, "brought": brought})


async def end_import(
    tx: Transaction, *, id: str, user: str, state: str, summary: bytes | None, keep_file: bool
) -> None:
    """Note what became of an import."""
    await tx.execute(_END, {"id": id, "user": user, "state": state, "summary": summary})
    if state == "undone":
        await tx.execute(_UNDONE, {"id": id, "user": user, "nothing": NOTHING})
    if not keep_file:
        await tx.execute(_DROP_FILE, {"id": id, "user": user})


async def forget_files(tx: Transaction, before_ms: int) -> int:
    """Let go of files that nobody said a word about since a moment; how many."""
    return len(await tx.execute(_DROP_OLD_FILES, {"before_ms": before_ms}))


async def trim_files(tx: Transaction, *, user: str, keep: int) -> int:
    """Let go of a user's files but the latest `keep`, and those that a job works on; how many."""
    return len(await tx.execute(_TRIM_FILES, {"user": user, "keep": keep}))


class Chosen(NamedTuple):
    """How the file of an import was to be read. They sort from the oldest."""

    created_at: int
    id: str
    choices: bytes


async def trim_imports(tx: Transaction, *, user: str, keep: int) -> list[Chosen]:
    """Forget a user's imports but `keep`, and those under way; what was chosen for those that are gone.

    Those go first that have neither a file nor anything to take back, the oldest of them before the others.
    """
    rows = await tx.execute(_TRIM, {"user": user, "keep": keep, "nothing": NOTHING})
    return [Chosen(row[0], row[1], bytes(row[2])) for row in rows]


async def oldest_choices(tx: Transaction, user: str) -> Chosen | None:
    """What was chosen for the oldest import of a user, or None where there is none."""
    rows = await tx.execute(_OLDEST, {"user": user})
    return Chosen(rows[0][0], rows[0][1], bytes(rows[0][2])) if rows else None


async def set_choices(tx: Transaction, *, id: str, user: str, choices: bytes) -> None:
    """Note how the file of an import is to be read."""
    await tx.execute(_CHOOSE, {"id": id, "user": user, "choices": choices})


async def earlier_choices(tx: Transaction, user: str, bytes_max: int) -> list[bytes]:
    """How each file of a user was to be read, oldest first: the latest that are `bytes_max` together."""
    return [bytes(row[0]) for row in await tx.execute(_CHOICES, {"user": user, "bytes_max": bytes_max})]
