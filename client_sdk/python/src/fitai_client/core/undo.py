"""Undo and redo: of one's own changes, and of a delete.

The log itself is the list of what can be undone, by the `mark` of each change, so it outlives the process and reaches
back as far as the log is kept:

    none         the user's own: can be undone
    undone N     was undone by the action N, the place in the log where that began to write: can be redone
    undo N       what that action wrote; `restored N` where it wrote a deleted record whole
    past, anew   neither: an action that is over, and what recovery wrote

Invariants
    U1  Undo takes back this device's own changes alone: a field that shows another value meanwhile stays as it is, a
        record that others wrote into is not deleted, and a change of which nothing is left, or shows, is passed over.
        So what it writes knows this device's own changes and no others: what stands in conflict with them stays.
    U2  Redo brings back what was undone last, as long as nothing else was written since. A delete knows what it knew
        when it was made, and so takes nothing along that others have written since.
    U3  A deleted record comes back with what stands in conflict in it: nobody chose between these values.

Rule of device.md kept here
    19  Undoing a delete writes every field of the record, of deleted ones above it and of all that is shown again
        below it, as one group; values of a record that another device deleted come from what was kept aside, or
        from the server's `history`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..collections import COLLECTIONS, field_of, parent_of
from ..errors import InvalidWrite, NotFound
from . import text
from .adopting import BEATEN_CODE, Replaced, adopt, keep_losers
from .database import Tx
from .reads import read_one
from .records import Key, descendants, read_row
from .spaces import own_context, space
from .vectors import Vector, decode, merged
from .whole import beaten, undecided_writes, whole_writes
from .writing import WRITTEN_ANEW, Write, write_groups

__all__ = ["redo", "restore_deleted", "rewrite_recovered", "undo"]

log = logging.getLogger("fitai_client.sync")

Shown = dict[Key, dict[str, Any]]


def restore_deleted(
    tx: Tx, no: int, key: Key, values: Mapping[str, Any] | None = None, *, mark: str | None = None
) -> int:
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
    above, _ = _missing_above(tx, no, key, shown)
    bodies: dict[Key, dict[str, Any]] = {**above, key: shown}
    for below, body in _below(tx, no, key):
        bodies.setdefault(below, body)
    writes = [one for k, body in bodies.items() for one in undecided_writes(tx, no, k, body, every=True)]
    for k, body in bodies.items():
        keep_losers(tx, space(tx, no), k, beaten(tx, body), BEATEN_CODE)
    for start in range(0, len(writes), _GROUP):
        write_groups(tx, no, [writes[start : start + _GROUP]], mark=mark)
    return len(bodies)


# Well under a batch, whole records being large.
_GROUP = 500


def rewrite_recovered(tx: Tx, no: int) -> int:
    """Write again what the server lost and this device kept aside (rule 14). How many records are there again.

    In no context at all: of a record that does not show here the server may have had newer values meanwhile. What it is
    in comes along where that does not show, since the server may have let its tombstone go: below nothing nobody would
    see it. Where nothing is known of that any more, it stays aside; and so does what cannot be written: of a space that
    is gone, or of a newer schema.
    """
    rows = tx.all("SELECT collection, id, body FROM aside WHERE space = ? AND kind = 'recovered'", (no,))
    depth = {row[0]: len(_levels(row[0])) for row in rows}
    done = 0
    for collection, id, body in sorted(rows, key=lambda row: (depth[row[0]], row[1])):
        tx.execute("SAVEPOINT recovered")
        try:
            done += _rewrite(tx, no, (collection, id), json.loads(body))
        except (InvalidWrite, NotFound) as error:
            log.info("a recovered record of %s stays aside: %s", collection, error.code)
            tx.roll_back_to("recovered")
        tx.execute("RELEASE recovered")
    return done


def _rewrite(tx: Tx, no: int, key: Key, body: Mapping[str, Any]) -> bool:
    """Write one recovered record again; False where it stays aside."""
    if read_one(tx.conn, no, *key) is None:
        above, is_known = _missing_above(tx, no, key, body)
        if not is_known or key[0] not in COLLECTIONS:
            return False
        groups = [whole_writes(tx, no, one, known, context={}, counters=False) for one, known in above.items()]
        write_groups(tx, no, [*groups, whole_writes(tx, no, key, body, context={})], mark=WRITTEN_ANEW)
        keep_losers(tx, space(tx, no), key, body.get("conflicts") or {})
    else:
        # It was made again here meanwhile, with what its maker knew.
        adopt(tx, space(tx, no), [Replaced(key, dict(body), {}, True)])
    tx.execute("DELETE FROM aside WHERE space = ? AND collection = ? AND id = ?", (no, *key))
    return True


def _missing_above(tx: Tx, no: int, key: Key, shown: Mapping[str, Any]) -> tuple[dict[Key, dict[str, Any]], bool]:
    """What a record is in, at any level, and does not show, as it was last known, the highest first; and whether that
    is all of it."""
    missing: dict[Key, dict[str, Any]] = {}
    while (parent := parent_of(key[0])) is not None:
        id = shown["values"].get(parent[0])
        if isinstance(id, str) and read_one(tx.conn, no, parent[1], id) is not None:
            break
        known = _known(tx, no, (parent[1], id)) if isinstance(id, str) else None
        if known is None:
            return missing, False
        key, shown = (parent[1], id), known
        missing = {key: known, **missing}
    return missing, True


def undo(tx: Tx, no: int) -> int:
    """Undo the newest change that can be, with its group. How many changes that took back; 0 if there is none."""
    while positions := _newest(tx, no):
        action = _last_pos(tx) + 1
        _take_back(tx, no, positions, action)
        done = _last_pos(tx) >= action
        _mark(tx, positions, f"undone {action}" if done else "past")
        if done:
            return len(positions)
    return 0


def _newest(tx: Tx, no: int) -> list[int]:
    row = tx.one(
        "SELECT pos, device, grp FROM log WHERE space = ? AND op <> 'void' AND verdict IS NULL AND mark IS NULL"
        " ORDER BY pos DESC LIMIT 1",
        (no,),
    )
    if row is None or row[2] is None:
        return [row[0]] if row else []
    rows = tx.all("SELECT pos FROM log WHERE space = ? AND device = ? AND grp = ? ORDER BY pos", (no, row[1], row[2]))
    return [line[0] for line in rows]


def _take_back(tx: Tx, no: int, positions: Sequence[int], action: int) -> None:
    """Write what these changes replaced, newest first.

    A create is undone by a delete, a delete as rule 19 has it, a field by its value of before.
    """
    writes: list[Write] = []
    shown: Shown = {}
    own = own_context(tx, space(tx, no))
    anew = _written_anew(tx, no)
    for pos in reversed(positions):
        op, collection, id, fields, before, seen = tx.one(
            "SELECT op, collection, id, fields, before, seen FROM log WHERE pos = ?", (pos,)
        )
        key = (collection, id)
        shows = read_one(tx.conn, no, *key) is not None
        if op == "delete" and not shows:
            # Where nothing is kept of it any more, the next one is looked at.
            with suppress(NotFound):
                restore_deleted(tx, no, key, mark=f"restored {action}")
        elif op == "put" and shows and before is None and _first_of(tx, no, key) == pos:
            if _is_own(tx, no, key, anew):
                writes.append(Write(*key, op="delete", context=own))
        elif op == "put" and shows and (inverse := _inverse(tx, no, key, fields, before, shown)):
            writes.append(_own_write(key, inverse, fields, seen, own))
    if writes:
        write_groups(tx, no, [writes], mark=f"undo {action}")


def _own_write(key: Key, inverse: Mapping[str, Any], taken_back: str, seen: str | None, own: Vector) -> Write:
    """What takes the place of an own put, and of nothing else (U1).

    seen: what that put had seen: this has seen the same, and what it takes back.
    """
    fields, known = json.loads(taken_back), json.loads(seen) if seen else {}
    return Write(*key, inverse, context=own, seen={name: [*known.get(name, ()), fields[name]] for name in inverse})


def redo(tx: Tx, no: int) -> int:
    """Bring back what was undone last (U2). How many changes that took; 0 if there is nothing to redo."""
    rows = tx.all("SELECT DISTINCT mark FROM log WHERE space = ? AND mark GLOB 'undone *'", (no,))
    action = max((int(row[0].split()[1]) for row in rows), default=0)
    own = "SELECT 1 FROM log WHERE space = ? AND pos >= ? AND mark IS NULL AND op <> 'void' LIMIT 1"
    if not action or tx.one(own, (no, action)) is not None:
        return 0
    writes: list[Write] = []
    shown: Shown = {}
    mine = own_context(tx, space(tx, no))
    undone = _marked(tx, no, f"undone {action}")
    for _, op, collection, id, _, _, _, context in undone:
        if op == "delete" and read_one(tx.conn, no, collection, id) is not None:
            writes.append(Write(collection, id, op="delete", context=merged(decode(context), mine)))
    wrote = _marked(tx, no, f"undo {action}")
    for _, op, collection, id, fields, before, seen, _ in reversed(wrote):
        key = (collection, id)
        if op == "delete" and read_one(tx.conn, no, *key) is None:
            with suppress(NotFound):
                restore_deleted(tx, no, key, mark="past")
        elif op == "put" and (inverse := _inverse(tx, no, key, fields, before, shown)):
            writes.append(_own_write(key, inverse, fields, seen, mine))
    if writes:
        write_groups(tx, no, [writes], mark="past")
    _mark(tx, [row[0] for row in wrote], "past")
    # They are the user's own again: the next undo finds them.
    _mark(tx, [row[0] for row in undone], None)
    return len(undone)


def _marked(tx: Tx, no: int, mark: str) -> list[Any]:
    return tx.all(
        "SELECT pos, op, collection, id, fields, before, seen, context FROM log"
        " WHERE space = ? AND mark = ? AND op <> 'void' AND verdict IS NULL ORDER BY pos",
        (no, mark),
    )


def _mark(tx: Tx, positions: Sequence[int], mark: str | None) -> None:
    tx.executemany("UPDATE log SET mark = ? WHERE pos = ?", [(mark, pos) for pos in positions])


def _last_pos(tx: Tx) -> int:
    pos: int = tx.one("SELECT COALESCE(MAX(pos), 0) FROM log")[0]
    return pos


def _inverse(tx: Tx, no: int, key: Key, written: str, replaced: str | None, shown: Shown) -> dict[str, Any]:
    """What brings the fields back that a put wrote, where they still show it (U1), or will once the later puts of its
    group are taken back.

    shown: the values as they will be then, of each record that was looked at.
    """
    fields: dict[str, Any] = json.loads(written)
    before: dict[str, Any] = json.loads(replaced) if replaced else {}
    if key not in shown:
        row = read_row(tx, no, key)
        shown[key] = json.loads((row.shown or row.body or "{}") if row else "{}").get("values") or {}
    values = shown[key]
    inverse: dict[str, Any] = {}
    for name, edit in fields.items():
        kind = field_of(key[0], name).kind
        old = before.get(name)
        if kind == "set":
            there = set(old or ())
            added, removed = set(edit.get("add", ())) - there, set(edit.get("remove", ())) & there
            if added or removed:
                inverse[name] = {"add": sorted(removed), "remove": sorted(added)}
        elif kind == "counter":
            inverse[name] = {"inc": -edit["inc"]}
        elif kind == "text":
            if values.get(name) is not None and values[name]["text"] == text.laid_over(old, edit["yjs"])["text"]:
                inverse[name] = old["text"] if isinstance(old, dict) else ""
                values[name] = old
        elif values.get(name) == edit and (old is not None or _may_be_null(key[0], name)):
            inverse[name] = values[name] = old
    return inverse


def _written_anew(tx: Tx, no: int) -> set[Key]:
    """The records that this device wrote of its own accord: they may have others' edits under its name."""
    return set(tx.all("SELECT collection, id FROM log WHERE space = ? AND mark = ?", (no, WRITTEN_ANEW)))


def _is_own(tx: Tx, no: int, key: Key, anew: set[Key]) -> bool:
    """True where nobody else was the last to write the record or anything below it, as far as is known here (U1).

    Whoever wrote before that keeps the record alive: they are not in the context of the delete.
    """
    own = {row[0] for row in tx.all("SELECT id FROM devices")}
    keys = [key, *descendants(tx, no, key)]
    if not anew.isdisjoint(keys):
        return False
    rows = (read_row(tx, no, one) for one in keys)
    bodies = (json.loads(row.body) for row in rows if row is not None and row.body)
    return all(body.get("updated_by") in own for body in bodies)


def _may_be_null(collection: str, name: str) -> bool:
    """A register that takes no null stays as it is once it was written: no server would take its absence."""
    declared = field_of(collection, name).declared
    return declared is None or bool(declared.get("nullable", False))


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
