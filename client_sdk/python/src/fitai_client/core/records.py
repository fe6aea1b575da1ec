"""The records' rows: what the server showed, what shows with own changes, and what drops with a tombstone.

Owns rules 4, 5 and 6: every function that moves a record's body, or what is laid over it, leaves `shown` and
`alive` of that record, and of everything above it, as these rules have them.

Invariants
    R1  `alive` says whether the record itself is there; whether it shows is decided when it is read, by what is
        above it. It is 0 where a delete of this device is laid over and no counting put at or below came later.
    R2  A row whose status is WAITING shows its last body: its tombstone waits for own puts at or below (rule 6).
    R3  A record with an own change laid over has a row, whatever the server says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..collections import CHILDREN, parent_of
from .database import Tx
from .overlay import LaidPut, lay_over, start
from .spaces import Space

__all__ = [
    "AWAITED",
    "NONE",
    "SHOWN",
    "TOMBSTONE",
    "WAITING",
    "Key",
    "Laid",
    "Row",
    "ancestors",
    "bury",
    "covered",
    "descendants",
    "drop",
    "dumps",
    "has_put_at_or_below",
    "read_row",
    "recompute",
    "revive_above",
    "settle",
    "stop_laying",
    "touch_tree",
    "unlay",
    "watches_below",
]

Key = tuple[str, str]
# A change of the log that is laid over: its position, and the record it is of.
Laid = tuple[int, Key]

# The server never showed it; shows it; its tombstone came but waits; its tombstone came and applied.
NONE, SHOWN, WAITING, TOMBSTONE = 0, 1, 2, 3

# The kind of what is aside of a record that shows all the while, and of which the server lost something.
AWAITED = "awaited"


class Row(NamedTuple):
    """A record's row, its JSON not decoded."""

    seq: int | None
    status: int
    snap: int
    alive: int
    parent: str | None
    shown: str | None
    body: str | None


dumps: Final[Callable[[Any], str]] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""JSON as this database keeps it."""


def read_row(tx: Tx, space: int, key: Key) -> Row | None:
    row = tx.one(
        "SELECT seq, status, snap, alive, parent, shown, body FROM records"
        " WHERE space = ? AND collection = ? AND id = ?",
        (space, *key),
    )
    return Row(*row) if row else None


def recompute(tx: Tx, space: int, key: Key) -> None:
    """Lay the record's own changes over its body anew (rule 4), and work out whether it is there (R1).

    A row that nothing holds any more (no body, nothing laid over) goes. Does not look above: see `revive_above`.
    """
    row = read_row(tx, space, key)
    laid = tx.all(
        "SELECT device, hlc, op, fields, seen, pos, counts FROM log"
        " WHERE space = ? AND collection = ? AND id = ? AND laid = 1 ORDER BY pos",
        (space, *key),
    )
    tx.touch(space, *key)
    status = row.status if row else NONE
    body = row.body if row else None
    if not laid:
        if body is None:
            tx.execute("DELETE FROM records WHERE space = ? AND collection = ? AND id = ?", (space, *key))
        elif row and (row.shown is not None or not row.alive):
            tx.execute(
                "UPDATE records SET shown = NULL, alive = 1, parent = ?, conflicted = ?"
                " WHERE space = ? AND collection = ? AND id = ?",
                (_parent(key, json.loads(body)), '"conflicts":' in body, space, *key),
            )
        return
    base = json.loads(body) if body else None
    shown = start(base)
    for _, hlc, op, fields, seen, *_ in laid:
        if op == "put":
            put = LaidPut(hlc, json.loads(fields), json.loads(seen) if seen else {})
            lay_over(key[0], shown, base, put)
    tx.execute(
        "INSERT INTO records (space, collection, id, status, alive, parent, conflicted, shown)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (space, collection, id) DO UPDATE SET alive = excluded.alive,"
        " parent = excluded.parent,"
        " conflicted = excluded.conflicted, shown = excluded.shown",
        (
            space,
            *key,
            status,
            _is_alive(tx, space, key, status, laid),
            _parent(key, shown),
            "conflicts" in shown,
            dumps(shown),
        ),
    )


def revive_above(tx: Tx, space: int, key: Key) -> None:
    """Work out anew whether the records above are there: a put below a deleted record brings it back."""
    for above in ancestors(tx, space, key):
        row = read_row(tx, space, above)
        if row is not None and not row.alive:
            touch_tree(tx, space, above)
            recompute(tx, space, above)


def ancestors(tx: Tx, space: int, key: Key) -> Iterator[Key]:
    """The keys above a record, nearest first, as far as its row and theirs tell."""
    row = read_row(tx, space, key)
    parent = parent_of(key[0])
    while row is not None and parent is not None and row.parent is not None:
        key = (parent[1], row.parent)
        yield key
        row, parent = read_row(tx, space, key), parent_of(key[0])


def descendants(tx: Tx, space: int, key: Key) -> list[Key]:
    """Every key below a record, nearest first, whether it shows or not."""
    found: list[Key] = []
    level = [key]
    while level:
        level = [
            (child, row[0])
            for collection, id in level
            for child in CHILDREN.get(collection, ())
            for row in tx.all(
                "SELECT id FROM records WHERE space = ? AND collection = ? AND parent = ?", (space, child, id)
            )
        ]
        found += level
    return found


def has_put_at_or_below(tx: Tx, space: int, key: Key, *, after_pos: int = 0, unsent_only: bool = False) -> bool:
    """True where a counting put of this device, made after `after_pos`, is laid over the record or what is below."""
    unsent = " AND state < 2" if unsent_only else ""
    if (
        tx.one(
            f"SELECT 1 FROM log WHERE laid = 1 AND counts = 1 AND space = ? AND pos > ?{unsent} LIMIT 1",
            (space, after_pos),
        )
        is None
    ):
        return False
    return any(
        tx.one(
            "SELECT 1 FROM log WHERE laid = 1 AND counts = 1 AND space = ? AND collection = ? AND id = ? AND pos > ?"
            f"{unsent} LIMIT 1",
            (space, *one, after_pos),
        )
        for one in (key, *descendants(tx, space, key))
    )


def touch_tree(tx: Tx, space: int, key: Key) -> None:
    """Note, for those who watch, that a record and everything below it may stop or begin to show."""
    tx.touch(space, *key)
    if watches_below(tx, space, key[0]):
        for below in descendants(tx, space, key):
            tx.touch(space, *below)


def watches_below(tx: Tx, space: int, collection: str) -> bool:
    """True where somebody watches a collection below this one."""
    return any(tx.watches(space, child) or watches_below(tx, space, child) for child in CHILDREN.get(collection, ()))


def bury(tx: Tx, space: int, key: Key, seq: int | None) -> None:
    """Take a tombstone from the server: it applies, or waits for own puts at or below (rule 6)."""
    row = read_row(tx, space, key)
    # Without a row there may still be something below: a page of a snapshot brought it, and its parent never came.
    if row is not None and row.body is not None and has_put_at_or_below(tx, space, key):
        tx.execute(
            "UPDATE records SET status = ?, seq = ? WHERE space = ? AND collection = ? AND id = ?",
            (WAITING, seq, space, *key),
        )
        return
    drop(tx, space, key, "dropped")


def drop(tx: Tx, space: int, key: Key, kind: str) -> None:
    """Drop a record and everything below it, keeping their values aside for undo (`kind` says why).

    What was awaited becomes recovered: the server may have the tombstone alone, and not what it deleted.
    """
    touch_tree(tx, space, key)
    now_ms = tx.environment.now_ms()
    for one in (*descendants(tx, space, key), key):
        row = read_row(tx, space, one)
        if row is None:
            continue
        if row.body is not None:
            tx.execute(
                "INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (space, collection, id) DO UPDATE SET"
                f" kind = CASE kind WHEN '{AWAITED}' THEN 'recovered' ELSE excluded.kind END, root = excluded.root,"
                " body = excluded.body, at = excluded.at",
                (space, *one, kind, key[1], row.shown or row.body, now_ms),
            )
            tx.execute(
                "UPDATE records SET body = NULL, status = ? WHERE space = ? AND collection = ? AND id = ?",
                (TOMBSTONE, space, *one),
            )
        recompute(tx, space, one)


def covered(tx: Tx, space: Space, *, keys: Iterable[Key] | None = None) -> list[Laid]:
    """The changes that a push has answered and the merged record has (rule 4): they need be laid over no more.

    keys: only those of these records, which the snapshot that is coming has just brought.
    """
    if keys is None:
        rows = tx.recall(
            "SELECT l.pos, l.device, l.n, l.collection, l.id, COALESCE(r.snap, 0) FROM log l LEFT JOIN records r"
            " ON r.space = l.space AND r.collection = l.collection AND r.id = l.id"
            " WHERE l.space = ? AND l.laid = 1 AND l.state = 2",
            (space.no,),
        )
    else:
        came = set(keys)
        rows = [
            (*row, space.snap)
            for row in tx.all(
                "SELECT pos, device, n, collection, id FROM log WHERE space = ? AND laid = 1 AND state = 2", (space.no,)
            )
            if (row[3], row[4]) in came
        ]
    return [(pos, (collection, id)) for pos, device, n, collection, id, snap in rows if space.knows(snap, device, n)]


def stop_laying(tx: Tx, done: Iterable[Laid]) -> None:
    """Take changes out of the overlay. The caller then settles what showed them (`settle`)."""
    tx.executemany("UPDATE log SET laid = 0 WHERE pos = ?", [(pos,) for pos, _ in done])


def settle(tx: Tx, space: int, keys: Iterable[Key], *, merged: bool) -> None:
    """Show anew the records whose own changes stopped being laid over, and let waiting tombstones apply.

    merged: the server took the changes, so what a tombstone drops now is kept aside as it showed with them; without
    it, the changes were refused or withdrawn, and it is kept as it shows without them.
    """
    if merged:
        settle_waiting(tx, space)
    for key in keys:
        row = read_row(tx, space, key)
        if row is not None and not row.alive:
            touch_tree(tx, space, key)
        recompute(tx, space, key)
    settle_deleted(tx, space)
    if not merged:
        settle_waiting(tx, space)


def unlay(tx: Tx, space: int, done: Sequence[Laid], *, merged: bool) -> None:
    """Stop laying over these changes, and settle what showed them."""
    if done:
        stop_laying(tx, done)
        settle(tx, space, dict.fromkeys(key for _, key in done), merged=merged)


def settle_deleted(tx: Tx, space: int) -> None:
    """Work out anew whether records are there over which a delete of this device is laid."""
    for row in tx.all(
        "SELECT DISTINCT collection, id FROM log WHERE space = ? AND laid = 1 AND op = 'delete'", (space,)
    ):
        touch_tree(tx, space, (row[0], row[1]))
        recompute(tx, space, (row[0], row[1]))


def settle_waiting(tx: Tx, space: int) -> None:
    """Apply the tombstones that waited for own puts which are no longer laid over."""
    for collection, id in tx.all("SELECT collection, id FROM records WHERE space = ? AND status = 2", (space,)):
        if not has_put_at_or_below(tx, space, (collection, id)):
            drop(tx, space, (collection, id), "dropped")


def _is_alive(tx: Tx, space: int, key: Key, status: int, laid: list[Any]) -> bool:
    """R1. `laid` are the record's own changes, oldest first: (…, op at 2, …, pos at 5, counts at 6)."""
    deletes = [change[5] for change in laid if change[2] == "delete"]
    if deletes:
        return has_put_at_or_below(tx, space, key, after_pos=deletes[-1])
    if status == TOMBSTONE:
        return any(change[6] for change in laid)
    return status in (SHOWN, WAITING) or any(change[2] == "put" for change in laid)


def _parent(key: Key, shown: Any) -> str | None:
    parent = parent_of(key[0])
    value = (shown.get("values") or {}).get(parent[0]) if parent else None
    return value if isinstance(value, str) else None
