"""Bringing an export of another app into a client: offline, idempotent, and undone as a whole where it was wrong.

Owns: which of an import's writes are still to be made. How a file is read is importing/'s, and how a write is
logged core/'s.

Invariants
    M1  A record that shows already is left alone: importing a file twice changes nothing, and an edit made since
        the first time stays.
    M2  A workout with its exercises and sets is one group: it arrives everywhere whole, or not at all.
    M3  All groups are one local transaction: an import that was interrupted has not happened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .client import Client
from .collections import field_of
from .core.values import Add
from .core.writing import Write
from .importing import Import, read
from .importing import Write as ReadWrite

__all__ = ["Imported", "import_csv", "undo_import"]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. `file` is what was read: its preview, the rows in doubt, the rows that cannot be read.

    written: records made now. known: records of the file that were here already.
    """

    file: Import
    written: int
    known: int


async def import_csv(
    client: Client,
    data: bytes,
    *,
    timezone: str,
    unit: str | None = None,
    names: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Imported:
    """Import an export of Hevy, Strong, FitNotes, Lyfta or Fitbod into the personal space.

    Args:
        data: the file as it is; its dialect is found by its content.
        timezone: the IANA zone in which its times are meant.
        unit: "kg" or "lb", where the file leaves it open or the preview's guess was wrong.
        names: exercise name → id of the exercise, for names that are known already.
        now: the moment against which a date is in the future; the machine's clock where none is given.

    Raises:
        NotATrainingLog: nothing was imported, because the file is none.
        InvalidWrite: a write of it cannot be logged; nothing was imported.
    """
    file = read(data, timezone=timezone, unit=unit, names=names, now=now or datetime.now(UTC))
    here = await client.read(lambda conn: _shown(conn, client.number))
    groups = [
        [_as_write(write) for write in group if (write.collection, write.id) not in here]
        for group in [*file.exercises, *file.groups]
    ]
    found = sum(len(group) for group in [*file.exercises, *file.groups])
    written = await client.write_groups([group for group in groups if group])
    return Imported(file, written, found - written)


async def undo_import(client: Client, imported: Imported | str) -> int:
    """Delete the workouts that one import brought, with everything below them. How many there were.

    `imported` is what `import_csv` returned, or its `file.id`, which each record keeps in its `source`. Exercises stay:
    other workouts may use them.
    """
    import_id = imported.file.id if isinstance(imported, Imported) else imported
    workouts = await client.workouts.list()
    mine = [record for record in workouts if (record.get("source") or {}).get("import") == import_id]
    await client.write_groups([[Write("workouts", record.id, op="delete")] for record in mine])
    return len(mine)


def _shown(conn: sqlite3.Connection, space: int) -> set[tuple[str, str]]:
    """The keys of everything that is there, with every parent there."""
    shown: set[tuple[str, str]] = set()
    rows = conn.execute("SELECT collection, id, parent FROM records WHERE space = ? AND alive", (space,)).fetchall()
    by_collection: dict[str, list[tuple[str, str | None]]] = {}
    for collection, id, parent in rows:
        by_collection.setdefault(collection, []).append((id, parent))
    for collection, parents in (("exercises", None), ("workouts", None), ("workout_exercises", "workouts")):
        for id, parent in by_collection.get(collection, ()):
            if parents is None or (parents, str(parent)) in shown:
                shown.add((collection, id))
    for id, parent in by_collection.get("sets", ()):
        if ("workout_exercises", str(parent)) in shown:
            shown.add(("sets", id))
    return shown


def _as_write(write: ReadWrite) -> Write:
    fields = {
        name: Add(*value)
        if field_of(write.collection, name).kind == "set" and isinstance(value, Sequence) and not isinstance(value, str)
        else value
        for name, value in write.fields.items()
    }
    return Write(write.collection, write.id, fields)
