"""When the server lost something, or this device missed too much.

Rules of device.md kept here
    13  On 410 a device repeats what it had sent and the server holds, gives back what a server lost, and then
        takes a snapshot beside what is shown; what neither it nor the pull after it brought goes.
    14  Where unsent puts touch records that the snapshot lacks, the server is asked about these and what is above
        them. A tombstone it still holds waits as in rule 6; for what is gone, the unsent changes become voids and
        are written anew, behind puts of every field that was shown, missing ancestors first, as one group.
        Records from a device that the server no longer knows so far are kept aside as recovered.
    15  A server that holds less than `after` gets it again from the kept log, voids for what had been refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..collections import COLLECTIONS, parent_of
from . import adopting, pushing, rejecting, vectors
from .database import Tx
from .leaving import leave, leaving
from .reads import read_one
from .records import (
    AWAITED,
    SHOWN,
    WAITING,
    Key,
    Row,
    ancestors,
    bury,
    descendants,
    drop,
    dumps,
    has_put_at_or_below,
    read_row,
    recompute,
    revive_above,
    settle,
)
from .requests import Request, space_path
from .spaces import Space, Stream, current_device, restart_snapshot, save, save_stream, streams, wish_pull
from .whole import undecided_writes, whole_writes
from .writing import BATCH_BYTES_MAX, BATCH_CHANGES_MAX, WRITTEN_ANEW, Write, write_groups

__all__ = [
    "begin_resync",
    "ids_answered",
    "ids_request",
    "keep_lost",
    "restate",
    "server_behind",
    "snapshot_completed",
    "step_resync",
]


def server_behind(tx: Tx, found: Space, one: Stream, acked: int) -> None:
    """Rule 15: go back to what the server holds, and make ready to send the rest of the kept log again.

    Where the log no longer reaches back so far, the id is left, and every record is written as it stands.
    """
    if acked >= one.after_n:
        return
    hlc = None
    if acked > 0:
        row = tx.one("SELECT hlc FROM log WHERE space = ? AND device = ? AND n = ?", (found.no, one.device, acked))
        hlc = row[0] if row else None
    kept = tx.one(
        "SELECT COUNT(*) FROM log WHERE space = ? AND device = ? AND n > ? AND n <= ?",
        (found.no, one.device, acked, one.after_n),
    )[0]
    if kept < one.after_n - acked or (acked > 0 and hlc is None):
        save_stream(tx, one, matched=acked)
        leave(tx, one.device)
        return
    lost = tx.all(
        "SELECT pos, op, collection, id, verdict FROM log WHERE space = ? AND device = ? AND n > ? AND n <= ?",
        (found.no, one.device, acked, one.after_n),
    )
    save_stream(tx, one, after_n=acked, after_hlc=hlc)
    for pos, op, collection, id, verdict in lost:
        if op == "void" or verdict is not None:
            tx.execute(
                "UPDATE log SET op = 'void', fields = NULL, grp = NULL, verdict = NULL, state = 1 WHERE pos = ?", (pos,)
            )
            continue
        # When it was answered stays: `_held_already` asks for it.
        tx.execute("UPDATE log SET state = 1, laid = 1 WHERE pos = ?", (pos,))
        recompute(tx, found.no, (collection, id))
        revive_above(tx, found.no, (collection, id))


def begin_resync(tx: Tx, found: Space, acked: int | None, *, of_push: bool) -> None:
    """Take a 410 (rule 13).

    acked: what the server holds of the current id, where the 410 told it. of_push: it refused changes; nothing is
    pushed then before the snapshot is complete, from a device that never fetched anything either.
    """
    if found.resync == "repeat" or found.phase != "live":
        # It came again, or while a snapshot was on its way: only a snapshot helps.
        waits = of_push or found.cursor is not None or found.resync != ""
        save(tx, found, resync="snapshot" if waits else "", resync_acked=None)
        restart_snapshot(tx, found)
        return
    save(tx, found, resync="repeat", resync_acked=acked)
    current = current_device(tx)
    for one in streams(tx, found.no):
        # A push without changes is never refused so, and tells whether the server lost something (rule 15). What was
        # told is of the current id alone.
        if one.after_n and (acked is None or one.device != current):
            save_stream(tx, one, ask=True)


def step_resync(tx: Tx, found: Space) -> tuple[Stream, list[pushing.Line]] | None:
    """What is to be asked or repeated before the snapshot; None, and the snapshot is due, where nothing is left.

    An empty list is a question (does the server hold `after`?).
    """
    current = current_device(tx)
    for one in streams(tx, found.no):
        if one.ask:
            return one, []
        upto = found.resync_acked if one.device == current else None
        lines = pushing.unanswered(tx, found, one.device, sent_only=True, upto=upto)
        if lines:
            return one, lines
        if upto is not None and upto < one.after_n:
            save(tx, found, resync_acked=None)
            server_behind(tx, found, one, upto)
            lines = pushing.unanswered(tx, found, one.device, sent_only=True)
            if lines:
                return one, lines
    if not leaving(tx):
        save(tx, found, resync="snapshot", resync_acked=None)
        restart_snapshot(tx, found)
    return None


def snapshot_completed(tx: Tx, found: Space, before: vectors.Vector) -> None:
    """The last page and the first pull are there: what neither brought goes (rule 13), or is asked for (rule 14).

    before: the version from before the snapshot.
    """
    # What was asked of the server of before says nothing of this one.
    tx.execute("DELETE FROM missing WHERE space = ?", (found.no,))
    tx.set_meta(f"gone:{found.no}", None)
    lacking = _lacking(tx, found)
    touched = [key for key in lacking if has_put_at_or_below(tx, found.no, key, unsent_only=True)]
    asked = set(touched)
    for key in touched:
        asked.update(above for above in ancestors(tx, found.no, key) if above in lacking)
    held: list[int] = []
    # Of an id that was left, under whose numbers they were.
    merged = set(json.loads(tx.meta(f"merged:{found.no}") or "[]"))
    for key in asked:
        tx.execute("INSERT OR IGNORE INTO missing VALUES (?, ?, ?)", (found.no, *key))
        row = read_row(tx, found.no, key)
        if row is not None and row.body is not None:
            held += _held_already(tx, found, key, row, before, merged)
            if adopting.was_lost(tx, found, key, row, before):
                adopting.await_return(tx, found, key, row)
    tx.set_meta(f"held:{found.no}", dumps(held) if held else None)
    # The id may be lost once more before they are written anew.
    tx.set_meta(f"merged:{found.no}", dumps(held) if held else None)
    for key in lacking:
        if key in asked or (row := read_row(tx, found.no, key)) is None or row.body is None:
            continue
        drop(tx, found.no, key, "recovered" if _is_lost_to_all(tx, found, key, row, before) else "dropped")
    adopting.ended(tx, found, before)
    # After a resync the digests are compared; a first snapshot has nothing of before to differ in.
    checked_at = 0 if found.resync else tx.environment.now_ms()
    save(tx, found, resync="ids" if asked else "", resync_acked=None, checked_at=checked_at)


def keep_lost(tx: Tx, found: Space, before: vectors.Vector) -> None:
    """Keep aside as recovered what the snapshot lacks because the server lost it, before a tombstone of the pull behind
    it takes that along: whoever deleted what is above may never have heard of it.

    before: the version from before the snapshot.
    """
    lost: set[Key] = set()
    lacking = _lacking(tx, found)
    for key in lacking:
        row = read_row(tx, found.no, key)
        if row is not None and row.body is not None and _is_lost_to_all(tx, found, key, row, before):
            lost.add(key)
    for key in lacking if lost else ():
        goes = key in lost or any(above in lost for above in ancestors(tx, found.no, key))
        if goes and not has_put_at_or_below(tx, found.no, key, unsent_only=True):
            drop(tx, found.no, key, "recovered" if key in lost else "dropped")


def _is_lost_to_all(tx: Tx, found: Space, key: Key, row: Row, before: vectors.Vector) -> bool:
    """Whether the server lost a record that nobody has deleted here, at or above it, as it was last shown: that would
    come back."""
    if not adopting.was_lost(tx, found, key, row, before):
        return False
    for one in (key, *ancestors(tx, found.no, key)):
        line = read_row(tx, found.no, one)
        if line is not None and not line.alive:
            seq = tx.one(
                "SELECT MAX(seq) FROM log WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND op = 'delete'",
                (found.no, *one),
            )[0]
            # What was pulled under the delete had been shown to nobody.
            if seq is not None and (row.seq or 0) <= seq:
                return False
    return True


def _lacking(tx: Tx, found: Space) -> list[Key]:
    """What shows, and the snapshot did not bring; what is below something before that, since each goes for a reason of
    its own."""
    rows = tx.all(
        f"SELECT collection, id FROM records WHERE space = ? AND status IN ({SHOWN}, {WAITING}) AND snap <> ?"
        " ORDER BY collection, id",
        (found.no, found.snap),
    )
    return sorted(((row[0], row[1]) for row in rows), key=lambda key: -len(list(_above(key[0]))))


def _held_already(
    tx: Tx, found: Space, key: Key, row: Row, before: vectors.Vector, merged: Collection[int]
) -> list[int]:
    """The positions of own changes that are in the body of a record which the snapshot lacks.

    A server had answered and merged them before it lost them, so that the body has them, or what others replaced them
    with knowingly. A tombstone that waits came with a version that may count more than the body has.
    """
    if row.status != SHOWN or adopting.is_partial(tx, found, row):
        return []
    rows = tx.all(
        "SELECT pos, answered_at IS NOT NULL, device, n FROM log"
        " WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND state < 2",
        (found.no, *key),
    )
    return [pos for pos, answered, device, n in rows if pos in merged or (answered and n <= before.get(device, 0))]


def ids_request(tx: Tx, found: Space, device: str, at_once: int) -> Request:
    """Ask about records that the snapshot lacked and unsent puts touch (rule 14), at most `at_once` of them."""
    ids = [
        row[0]
        for row in tx.all("SELECT DISTINCT id FROM missing WHERE space = ? ORDER BY id LIMIT ?", (found.no, at_once))
    ]
    return Request(
        kind="ids",
        method="GET",
        path=space_path(found.id or "", "pull"),
        query={"ids": ",".join(ids)},
        device=device,
        space=found.no,
        asked={"from": found.cursor, "ids": ids},
    )


def ids_answered(tx: Tx, found: Space, request: Request, body: dict[str, Any]) -> None:
    """Take what the server said of the missing records. Complete when none is left in `missing`."""
    if found.resync != "ids" or request.asked["from"] != found.cursor:
        return
    held = {(r.get("collection"), r["id"]): r for r in body["records"] if r.get("seq") is not None}
    gone: list[Key] = []
    for collection, id in tx.all("SELECT collection, id FROM missing WHERE space = ? ORDER BY id", (found.no,)):
        if id not in request.asked["ids"]:
            continue
        key = (collection, id)
        record = held.get(key)
        if record is None:
            gone.append(key)
            continue
        if record.get("deleted"):
            bury(tx, found.no, key, record["seq"])
        else:
            # It moved since the pull: the next one brings it, at a version that knows it.
            wish_pull(tx, found)
        tx.execute("DELETE FROM missing WHERE space = ? AND collection = ? AND id = ?", (found.no, *key))
    tx.set_meta(f"gone:{found.no}", dumps([*_gone(tx, found), *gone]))
    for key in gone:
        tx.execute("DELETE FROM missing WHERE space = ? AND collection = ? AND id = ?", (found.no, *key))
    if tx.one("SELECT 1 FROM missing WHERE space = ? LIMIT 1", (found.no,)) is None:
        _name_parents(tx, found)
        _write_anew(tx, found, [(c, i) for c, i in _gone(tx, found)])
        tx.set_meta(f"gone:{found.no}", None)
        tx.set_meta(f"held:{found.no}", None)
        tx.set_meta(f"merged:{found.no}", None)
        save(tx, found, resync="")


def _name_parents(tx: Tx, found: Space) -> None:
    """Say where records belong of which the server may have lost everything but a delete.

    Own puts bring such a record back; below nothing it would be hidden, and nobody would see what is missing of it.
    """
    rows = tx.all(
        "SELECT r.collection, r.id, r.parent FROM records r JOIN aside a USING (space, collection, id)"
        f" WHERE r.space = ? AND r.status = {WAITING} AND r.parent IS NOT NULL AND a.kind = ?"
        " ORDER BY r.collection, r.id",
        (found.no, AWAITED),
    )
    for collection, id, above in rows if found.role != "viewer" else ():
        # What is deleted here, or below what is, would come back (A4 of `adopting.py`).
        shows = read_one(tx.conn, found.no, collection, id) is not None
        if shows and (parent := parent_of(collection)) is not None:
            write_groups(tx, found.no, [[Write(collection, id, {parent[0]: above}, context={})]], mark=WRITTEN_ANEW)


def _gone(tx: Tx, found: Space) -> list[list[str]]:
    text_gone = tx.meta(f"gone:{found.no}")
    return json.loads(text_gone) if text_gone else []


def _write_anew(tx: Tx, found: Space, gone: Sequence[Key]) -> None:
    """Rule 14, for what no server holds any more."""
    if not gone:
        return
    depth = {name: len(list(_above(name))) for name in COLLECTIONS}
    # What the record showed without the changes that are written anew behind it.
    bodies = {key: json.loads(row.body) for key in gone if (row := read_row(tx, found.no, key)) and row.body}
    order = sorted(bodies, key=lambda key: (depth.get(key[0], 0), key))
    # A delete above or a put below must not change places with them: the order says what a delete has seen.
    related = dict.fromkeys(
        one for key in gone for one in (*ancestors(tx, found.no, key), key, *descendants(tx, found.no, key))
    )
    changes = _unsent(tx, found.no, related)
    # What the bodies have is written with them: once more behind them, it would replace what others made of it. What
    # the body of a tombstone has is written by nobody else: the server may have the delete, and not what it deleted.
    told = set(json.loads(tx.meta(f"held:{found.no}") or "[]"))
    held = {pos for pos, collection, id, *_ in changes if pos in told and (collection, id) in bodies}
    tx.executemany("UPDATE log SET laid = 0 WHERE pos = ?", [(pos,) for pos in held])
    for key in bodies:
        recompute(tx, found.no, key)
    lost = adopting.awaited(tx, found, bodies)
    beaten = {key: _conflicts(tx, found, key) for key in bodies.keys() - {one.key for one in lost}}
    context: vectors.Vector | None = None
    anew: list[Write] = []
    for pos, collection, id, op, fields, change_context in changes:
        known = vectors.decode(change_context)
        context = context if context is not None else known
        if pos not in held:
            anew.append(Write(collection, id, json.loads(fields) if fields else {}, op, context=known))
    # The oldest context: the whole puts then bury nothing that another device wrote anew meanwhile.
    group = [one for key in order for one in whole_writes(tx, found.no, key, bodies[key], context=context or {})]
    for key in bodies:
        tx.execute(
            "UPDATE records SET body = NULL, status = 0, seq = NULL WHERE space = ? AND collection = ? AND id = ?",
            (found.no, *key),
        )
    # A tombstone that waits for these changes waits for those that take their place.
    rejecting.blank(tx, found, [(change[0], (change[1], change[2])) for change in changes], settled=False)
    moved = dict.fromkeys([*((change[1], change[2]) for change in changes), *bodies])
    for key in moved:
        recompute(tx, found.no, key)
    _log_as_groups(tx, found, [*group, *anew])
    settle(tx, found.no, moved, merged=False)
    adopting.adopt(tx, found, lost)
    # Nobody chose between these values here, and what is written now has only those that won.
    for key in order:
        adopting.keep_losers(tx, found, key, beaten.get(key, {}))


def _conflicts(tx: Tx, found: Space, key: Key) -> dict[str, Any]:
    row = read_row(tx, found.no, key)
    shown = json.loads(row.shown or row.body or "{}") if row is not None else {}
    conflicts: dict[str, Any] = shown.get("conflicts") or {}
    return conflicts


def _log_as_groups(tx: Tx, found: Space, writes: Sequence[Write]) -> None:
    """One group, or as few as the size of a batch allows."""
    part: list[Write] = []
    size = 0
    for one in writes:
        weight = len(dumps(one.fields).encode()) + 400
        if part and (len(part) >= BATCH_CHANGES_MAX or size + weight > BATCH_BYTES_MAX):
            write_groups(tx, found.no, [part], mark=WRITTEN_ANEW)
            part, size = [], 0
        part.append(one)
        size += weight
    if part:
        write_groups(tx, found.no, [part], mark=WRITTEN_ANEW)


def _unsent(tx: Tx, space: int, keys: Iterable[Key]) -> list[Any]:
    """The unanswered changes of these records, in order: (pos, collection, id, op, fields, context)."""
    found = [
        row
        for key in keys
        for row in tx.all(
            "SELECT pos, collection, id, op, fields, context FROM log"
            " WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND state < 2",
            (space, *key),
        )
    ]
    return sorted(found)


def _above(collection: str) -> Iterable[str]:
    parent = parent_of(collection)
    while parent:
        yield parent[1]
        parent = parent_of(parent[1])


def restate(tx: Tx, found: Space) -> None:
    """Write every record as it shows: the server lost changes that the kept log no longer has.

    With what is laid over it, since that has lower numbers: what the record was before would replace it.
    """
    rows = tx.all(
        "SELECT collection, id, COALESCE(shown, body) FROM records"
        f" WHERE space = ? AND status = {SHOWN} AND alive = 1 AND body IS NOT NULL",
        (found.no,),
    )
    depth = {name: len(list(_above(name))) for name in COLLECTIONS}
    writable = [row for row in rows if row[0] in COLLECTIONS and not COLLECTIONS[row[0]].read_only]
    for collection, id, text in sorted(writable, key=lambda row: (depth[row[0]], row[1])):
        _log_as_groups(tx, found, undecided_writes(tx, found.no, (collection, id), json.loads(text)))
    save(tx, found, restate=False)
