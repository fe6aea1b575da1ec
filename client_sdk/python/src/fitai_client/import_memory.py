"""What this device remembers of its imports: what the user decided, what each import brought, and how it wrote it.

Owns: two kinds of entries in the local database's `meta`. They are this device's own and are never synced; on another
device, the id of the import in each workout's `source` has to do.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .core.database import LocalDatabase, Tx
from .core.records import descendants
from .core.values import Add
from .core.writing import Write
from .importing import one_mapping

__all__ = ["Choices", "Key", "choices", "forget_choices", "forget_import", "remember", "untouched"]

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
    groups: Iterable[Sequence[Write]],
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
            wrote = {one.id: _digest(_written(one.fields)) for group in groups for one in group}
            brought = {
                "roots": list(all_roots),
                "exercises": list(all_exercises),
                "wrote": {**kept.get("wrote", {}), **wrote},
            }
            tx.set_meta(_BROUGHT + import_id, json.dumps(brought))


def forget_choices(db: LocalDatabase) -> None:
    with db.write() as tx:
        tx.set_meta(_CHOICES, None)


def forget_import(db: LocalDatabase, import_id: str) -> None:
    with db.write() as tx:
        tx.set_meta(_BROUGHT + import_id, None)


def untouched(tx: Tx, space: int, import_id: str) -> list[Key]:
    """What may go of an import: workouts and additions to older ones into which nobody wrote since, and exercises that
    nobody changed and that nothing else uses."""
    kept = _read(tx.conn, _BROUGHT + import_id)
    wrote = kept.get("wrote", {})
    of_import = tx.all(
        "SELECT id FROM records WHERE space = ? AND collection = 'workouts' AND alive"
        " AND json_extract(COALESCE(shown, body), '$.values.source.import') = ?",
        (space, import_id),
    )
    goes: dict[Key, None] = {}
    stays: set[Key] = set()
    # Parents first: an addition of later may lie in a workout that stays.
    for key in dict.fromkeys([*(("workouts", row[0]) for row in of_import), *map(_key, kept.get("roots", []))]):
        if key in stays or not _is_there(tx.conn, space, *key):
            continue
        tree = [key, *(below for below in descendants(tx, space, key) if _is_there(tx.conn, space, *below))]
        if _is_as_written(tx, space, tree, wrote):
            goes[key] = None
        else:
            stays.update(tree)
    exercises = [("exercises", id) for id in kept.get("exercises", []) if not _is_used(tx.conn, space, id, goes)]
    return [
        *goes,
        *(key for key in exercises if _is_there(tx.conn, space, *key) and _is_as_written(tx, space, [key], wrote)),
    ]


def _key(noted: Sequence[str]) -> Key:
    return noted[0], noted[1]


def _is_as_written(tx: Tx, space: int, tree: Sequence[Key], wrote: Mapping[str, str]) -> bool:
    """Whether every record of a tree is as the import wrote it.

    On another device than the importing one, and of an import of before this was noted: whether all of it was last
    written at one moment by one device, and nothing that is above after what is below it, as an import does.
    """
    moments = set()
    seqs: dict[str, int] = {}
    for collection, id in tree:
        seq, parent, body = tx.one(
            "SELECT seq, parent, COALESCE(shown, body) FROM records WHERE space = ? AND collection = ? AND id = ?",
            (space, collection, id),
        )
        shown = json.loads(body)
        if shown.get("conflicts"):
            # Somebody wrote there, whose value lost.
            return False
        if wrote:
            if wrote.get(id) != _digest(shown["values"]):
                return False
            continue
        moments.add((shown.get("updated_at"), shown.get("updated_by")))
        seqs[id] = seq or 0
        if len(moments) > 1 or seqs.get(parent, 0) > seqs[id]:
            return False
    return True


def _written(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value.elements) if isinstance(value, Add) else value for name, value in fields.items()}


def _digest(values: Mapping[str, Any]) -> str:
    """Short, and the same for the values of an import and for what a record shows of them, from wherever it comes."""
    told = {name: plain for name, value in values.items() if (plain := _plain(value)) not in (None, "", [])}
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    """A value without what differs between ways of writing it: whole numbers, a text with its state, a set's order."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return value["text"] if "yjs" in value else {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return sorted(map(_plain, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


def _is_used(conn: sqlite3.Connection, space: int, exercise: str, without: Mapping[Key, None]) -> bool:
    """Whether anything names an exercise, in any space, but the records below `without`."""
    rows = conn.execute(
        "SELECT space, collection, id, parent FROM records"
        " WHERE collection IN ('workout_exercises', 'template_exercises', 'goals') AND alive"
        " AND json_extract(COALESCE(shown, body), '$.values.exercise') = ?",
        (exercise,),
    )
    for of, collection, id, parent in rows:
        if of == space and ((collection, id) in without or ("workouts", parent) in without):
            continue
        if collection != "workout_exercises" or _is_there(conn, of, "workouts", parent):
            return True
    return False


def _is_there(conn: sqlite3.Connection, space: int, collection: str, id: str) -> bool:
    sql = "SELECT 1 FROM records WHERE space = ? AND collection = ? AND id = ? AND alive"
    return conn.execute(sql, (space, collection, id)).fetchone() is not None


def _read(conn: sqlite3.Connection, key: str) -> dict[str, Any]:
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return dict(json.loads(row[0])) if row else {}
