"""Undo: of one's own last change, and of a delete.

Rule of device.md kept here
    19  Undoing a delete writes every field of the record, of deleted ones above it and of all that is shown again
        below it, as one group; values of a record that another device deleted come from what was kept aside, or
        from the server's `history`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..collections import field_of, parent_of
from ..errors import NotFound
from .database import Tx
from .reads import read_one
from .records import Key, descendants, read_row
from .whole import whole_writes
from .writing import Write, write_groups

__all__ = ["last_group", "restore_deleted", "rewrite_recovered", "undo_group"]


def restore_deleted(tx: Tx, no: int, key: Key, values: Mapping[str, Any] | None = None) -> int:
    """Write a deleted record back, with what is above and below it (rule 19). How many records were written.

    values: the record's fields, where the device kept none (from `history`).

    Raises:
        NotFound: the record shows, or nothing is known of it.
    """
    if read_one(tx.conn, no, *key) is not None:
        raise NotFound(f"{key[0]} {key[1]} is not deleted.")
    shown = _known(tx, no, key) or ({"values": dict(values)} if values is not None else None)
    if shown is None:
        raise NotFound(f"Nothing is kept of {key[0]} {key[1]}: ask for its history.")
    bodies: dict[Key, dict[str, Any]] = {key: shown}
    one = key
    while (parent := parent_of(one[0])) is not None:
        above_id = bodies[one]["values"].get(parent[0])
        above = (parent[1], above_id)
        if not isinstance(above_id, str) or read_one(tx.conn, no, *above) is not None:
            break
        known = _known(tx, no, above)
        if known is None:
            break
        bodies = {above: known, **bodies}
        one = above
    for below, body in _below(tx, no, key):
        bodies.setdefault(below, body)
    writes = [one for k, body in bodies.items() for one in whole_writes(tx, no, k, body, counters=False)]
    for start in range(0, len(writes), _GROUP):
        write_groups(tx, no, [writes[start : start + _GROUP]])
    return len(bodies)


# Well under a batch, whole records being large.
_GROUP = 500


def rewrite_recovered(tx: Tx, no: int) -> int:
    """Write again what the server lost and this device kept aside (rule 14). How many records were written."""
    rows = tx.all("SELECT collection, id, body FROM aside WHERE space = ? AND kind = 'recovered'", (no,))
    depth = {row[0]: len(_levels(row[0])) for row in rows}
    for collection, id, body in sorted(rows, key=lambda row: (depth[row[0]], row[1])):
        if read_one(tx.conn, no, collection, id) is None:
            write_groups(tx, no, [whole_writes(tx, no, (collection, id), json.loads(body))])
    tx.execute("DELETE FROM aside WHERE space = ? AND kind = 'recovered'", (no,))
    return len(rows)


def last_group(tx: Tx, no: int, before_pos: int) -> list[int]:
    """The positions of the newest change of this device before `before_pos`, with all of its group."""
    row = tx.one(
        "SELECT pos, device, grp FROM log WHERE space = ? AND pos < ? AND op <> 'void' AND verdict IS NULL"
        " ORDER BY pos DESC LIMIT 1",
        (no, before_pos),
    )
    if row is None:
        return []
    if row[2] is None:
        return [row[0]]
    lines = tx.all("SELECT pos FROM log WHERE space = ? AND device = ? AND grp = ? ORDER BY pos", (no, row[1], row[2]))
    return [line[0] for line in lines]


def undo_group(tx: Tx, no: int, positions: Sequence[int]) -> int:
    """Write what these changes replaced, newest first, as one group. How many writes that took.

    A create is undone by a delete, a delete as rule 19 has it, a field by its value of before.
    """
    writes: list[Write] = []
    restored = 0
    for pos in sorted(positions, reverse=True):
        op, collection, id, fields, before, made_new = tx.one(
            "SELECT op, collection, id, fields, before, before IS NULL FROM log WHERE pos = ?", (pos,)
        )
        if op == "delete":
            restored += restore_deleted(tx, no, (collection, id))
        elif made_new and _first_of(tx, no, (collection, id)) == pos:
            writes.append(Write(collection, id, op="delete"))
        else:
            old = json.loads(before) if before else {}
            writes.append(Write(collection, id, _inverse(collection, json.loads(fields), old)))
    if writes:
        write_groups(tx, no, [writes])
    return len(writes) + restored


def _inverse(collection: str, fields: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    inverse: dict[str, Any] = {}
    for name, edit in fields.items():
        kind = field_of(collection, name).kind
        old = before.get(name)
        if kind == "set":
            there = set(old or ())
            added, removed = set(edit.get("add", ())) - there, set(edit.get("remove", ())) & there
            inverse[name] = {"add": sorted(removed), "remove": sorted(added)}
        elif kind == "counter":
            inverse[name] = {"inc": -edit["inc"]}
        elif kind == "text":
            inverse[name] = old["text"] if isinstance(old, dict) else ""
        else:
            inverse[name] = old
    return inverse


def _first_of(tx: Tx, no: int, key: Key) -> int | None:
    pos: int | None = tx.one(
        "SELECT MIN(pos) FROM log WHERE space = ? AND collection = ? AND id = ? AND op <> 'void'", (no, *key)
    )[0]
    return pos


def _known(tx: Tx, no: int, key: Key) -> dict[str, Any] | None:
    """The last values of a record that does not show: still in its row, or aside."""
    row = read_row(tx, no, key)
    if row is not None and (row.shown or row.body):
        known: dict[str, Any] = json.loads(row.shown or row.body or "{}")
        if known.get("values"):
            return known
    line = tx.one("SELECT body FROM aside WHERE space = ? AND collection = ? AND id = ?", (no, *key))
    return json.loads(line[0]) if line else None


def _below(tx: Tx, no: int, key: Key) -> list[tuple[Key, dict[str, Any]]]:
    """What was below a record when it was dropped, and is not deleted for its own sake, nearest first."""
    found: dict[Key, dict[str, Any]] = {}
    for below in descendants(tx, no, key):
        row = read_row(tx, no, below)
        if row is not None and row.alive and (body := _known(tx, no, below)):
            found[below] = body
    rows = tx.all("SELECT collection, id, body FROM aside WHERE space = ? AND root = ?", (no, key[1]))
    for collection, id, body in rows:
        if (collection, id) != key:
            found.setdefault((collection, id), json.loads(body))
    return sorted(found.items(), key=lambda item: len(_levels(item[0][0])))


def _levels(collection: str) -> list[str]:
    above = []
    parent = parent_of(collection)
    while parent:
        above.append(parent[1])
        parent = parent_of(parent[1])
    return above
