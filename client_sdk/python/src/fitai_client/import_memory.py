"""What this device remembers of its imports: what the user decided, and what each import brought.

Owns: two kinds of entries in the local database's `meta`. They are this device's own and are never synced; on another
device, the id of the import in each workout's `source` has to do.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .core.database import LocalDatabase
from .importing import one_mapping

__all__ = ["Choices", "Key", "brought_by", "choices", "forget_choices", "forget_import", "remember"]

# (collection, id)
Key = tuple[str, str]

_CHOICES = "import_choices"
_BROUGHT = "import:"


@dataclass(frozen=True, slots=True)
class Choices:
    """names: exercise name → id of the exercise that the user picked, or None for one of its own. units: app → unit."""

    names: Mapping[str, str | None] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def choices(conn: sqlite3.Connection) -> Choices:
    """Every choice that is remembered."""
    kept = _read(conn, _CHOICES)
    return Choices(kept.get("names", {}), kept.get("units", {}))


def remember(
    db: LocalDatabase,
    import_id: str,
    roots: Sequence[Key],
    exercises: Sequence[str],
    names: Mapping[str, str | None],
    units: Mapping[str, str],
) -> None:
    """Keep what an import is about to bring, beside what the same file brought before, and the choices made for it."""
    with db.write() as tx:
        if names or units:
            before = choices(tx.conn)
            merged = {"names": one_mapping(names, before.names), "units": {**before.units, **units}}
            tx.set_meta(_CHOICES, json.dumps(merged, ensure_ascii=False, sort_keys=True))
        if roots or exercises:
            kept = _read(tx.conn, _BROUGHT + import_id)
            all_roots = dict.fromkeys([*map(tuple, kept.get("roots", [])), *roots])
            all_exercises = dict.fromkeys([*kept.get("exercises", []), *exercises])
            brought = {"roots": list(all_roots), "exercises": list(all_exercises)}
            tx.set_meta(_BROUGHT + import_id, json.dumps(brought))


def forget_choices(db: LocalDatabase) -> None:
    with db.write() as tx:
        tx.set_meta(_CHOICES, None)


def forget_import(db: LocalDatabase, import_id: str) -> None:
    with db.write() as tx:
        tx.set_meta(_BROUGHT + import_id, None)


def brought_by(conn: sqlite3.Connection, space: int, import_id: str) -> list[Key]:
    """What is still there of what an import brought: workouts, additions to older ones, exercises no longer used."""
    kept = _read(conn, _BROUGHT + import_id)
    of_import = conn.execute(
        "SELECT id FROM records WHERE space = ? AND collection = 'workouts' AND alive"
        " AND json_extract(COALESCE(shown, body), '$.values.source.import') = ?",
        (space, import_id),
    )
    roots: dict[Key, None] = {("workouts", row[0]): None for row in of_import}
    for collection, id in kept.get("roots", []):
        if _is_there(conn, space, collection, id):
            roots[(collection, id)] = None
    unused = [id for id in kept.get("exercises", []) if not _is_used(conn, space, id, roots)]
    return [*roots, *(("exercises", id) for id in unused if _is_there(conn, space, "exercises", id))]


def _is_used(conn: sqlite3.Connection, space: int, exercise: str, without: Mapping[Key, None]) -> bool:
    """Whether anything but the records below `without` names an exercise."""
    rows = conn.execute(
        "SELECT collection, id, parent FROM records"
        " WHERE space = ? AND collection IN ('workout_exercises', 'template_exercises', 'goals') AND alive"
        " AND json_extract(COALESCE(shown, body), '$.values.exercise') = ?",
        (space, exercise),
    )
    for collection, id, parent in rows:
        if (collection, id) in without or ("workouts", parent) in without:
            continue
        if collection != "workout_exercises" or _is_there(conn, space, "workouts", parent):
            return True
    return False


def _is_there(conn: sqlite3.Connection, space: int, collection: str, id: str) -> bool:
    sql = "SELECT 1 FROM records WHERE space = ? AND collection = ? AND id = ? AND alive"
    return conn.execute(sql, (space, collection, id)).fetchone() is not None


def _read(conn: sqlite3.Connection, key: str) -> dict[str, Any]:
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return dict(json.loads(row[0])) if row else {}
