"""Taking what the server shows: pages of a pull, deltas of the socket, pages of a snapshot.

Rules of device.md kept here
    6   A tombstone drops what lies below it, or waits for own puts; after a complete pull, what has no parent
        there is dropped.
    7   A page applies only where the device still stands where it asked from; the pages of one pull become
        visible together, with their version.
    12  A new device shows each page of its snapshot as it comes, newest first.
    15  A version that counts fewer own changes than `after`, or a new life, makes the device push at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..collections import COLLECTIONS, parent_of
from ..errors import Unreachable
from . import adopting, vectors
from .adopting import Replaced
from .database import Tx
from .records import (
    SHOWN,
    TOMBSTONE,
    Key,
    bury,
    covered,
    drop,
    dumps,
    has_put_at_or_below,
    read_row,
    recompute,
    settle,
    stop_laying,
    touch_tree,
    watches_below,
)
from .recovery import keep_lost, snapshot_completed
from .requests import Request, space_path
from .spaces import Space, current_device, save, save_stream, streams

__all__ = [
    "apply_delta",
    "apply_pull",
    "apply_snapshot_page",
    "pull_request",
    "show_repaired",
    "snapshot_request",
]

PAGE_RECORDS = 5_000
# The first page is small, so that what the user touched last is on the screen at once.
FIRST_PAGE_RECORDS = 500

Json = dict[str, Any]


def pull_request(found: Space, device: str, cursor: str) -> Request:
    """The next page of a pull; `cursor` is the space's own, or the last page's."""
    return Request(
        kind="pull",
        method="GET",
        path=space_path(found.id or "", "pull"),
        query={"cursor": cursor, "limit": str(PAGE_RECORDS)},
        device=device,
        space=found.no,
        asked={"from": pull_start(found), "snap": found.snap, "cursor": cursor, "wished": found.pull},
    )


def pull_start(found: Space) -> str | None:
    """Where a pull of this space starts: at its cursor, or at the ceiling of the snapshot that was just taken."""
    return found.snap_cursor if found.phase == "settling" else found.cursor


def snapshot_request(found: Space, device: str) -> Request:
    """The next page of the snapshot that is coming, or the first of a new one."""
    going_on = found.phase == "snapshot" and found.snap_before is not None
    query = {"limit": str(PAGE_RECORDS if going_on else FIRST_PAGE_RECORDS)}
    if going_on and found.snap_before is not None:
        query["before"] = found.snap_before
    elif found.resync and found.cursor is not None:
        # The server then says how far it still has what was served here (rule 21).
        query["cursor"] = found.cursor
    return Request(
        kind="snapshot",
        method="GET",
        path=space_path(found.id or "", "snapshot"),
        query=query,
        device=device,
        space=found.no,
        asked={"snap": found.snap, "before": found.snap_before if going_on else None, "phase": found.phase},
    )


def apply_pull(tx: Tx, found: Space, request: Request, pages: Sequence[Json]) -> bool:
    """Make the pages of a whole pull visible, with the version of the last one. False for a late answer."""
    # Where a snapshot is due, or the space is gone, the cursor is still what it was: a pull would make it live again.
    stands = found.phase in ("live", "settling")
    if not stands or request.asked["from"] != pull_start(found) or request.asked["snap"] != found.snap:
        return False
    last = pages[-1]
    _apply(
        tx,
        found,
        [record for page in pages for record in page["records"]],
        last["cursor"],
        last["life"],
        last["version"],
        # What was wished for while the pages came may lie behind where the first of them said that they end.
        pull=0 if found.pull == request.asked["wished"] else found.pull,
    )
    return True


def apply_delta(tx: Tx, found: Space, delta: Json) -> bool:
    """Make a delta of the socket visible. False where it does not start where the device stands: pull then."""
    if found.phase != "live" or found.resync or delta["from"] != found.cursor or found.life != delta["life"]:
        return False
    version = vectors.merged(found.version, delta.get("version") or {})
    _apply(tx, found, delta["records"], delta["to"], delta["life"], version, pull=0)
    return True


def apply_snapshot_page(tx: Tx, found: Space, request: Request, page: Json) -> bool:
    """Make one page of a snapshot visible (rule 12). False for a late answer."""
    asked = request.asked
    if asked["snap"] != found.snap or asked["phase"] != found.phase:
        return False
    if asked["before"] is None:
        if found.phase == "snapshot":
            return False
        adopting.begin(tx, found, page.get("kept"))
        save(
            tx,
            found,
            phase="snapshot",
            snap=found.snap + 1,
            snap_cursor=page["cursor"],
            snap_life=page["life"],
            snap_version=page["version"],
        )
    elif asked["before"] != found.snap_before:
        return False
    keys = [(record["collection"], record["id"]) for record in page["records"]]
    before = page.get("before")
    if before and (before == asked["before"] or not _brings_new(tx, found, keys)):
        raise Unreachable(
            "The pages of a snapshot do not go on, or have no end; whatever wrote them is no server of it."
        )
    replaced = adopting.replaced(tx, found, page["records"], found.snap_version)
    done = covered(tx, found, keys=keys)
    stop_laying(tx, done)
    replaced += _show_records(tx, found, page["records"], found.snap_version)
    _lay_again(tx, found, keys, found.snap_version)
    adopting.adopt(tx, found, replaced)
    save(tx, found, snap_before=before, phase="snapshot" if before else "settling")
    return True


def _brings_new(tx: Tx, found: Space, keys: Iterable[Key]) -> bool:
    """Whether there is one of these that no page of this snapshot brought yet."""
    known = "SELECT 1 FROM records WHERE space = ? AND collection = ? AND id = ? AND snap = ?"
    return any(tx.one(known, (found.no, *key, found.snap)) is None for key in keys)


def _apply(tx: Tx, found: Space, records: Iterable[Json], cursor: str, life: str, version: Json, *, pull: int) -> None:
    latest: dict[Key, Json] = {}
    for record in records:
        # The pages of one pull are read one after another, and a record may have moved in between.
        latest[(record["collection"], record["id"])] = record
    new_life = found.life is not None and found.life != life
    settled = found.phase == "settling"
    before = found.version
    replaced = adopting.replaced(tx, found, latest.values(), version) if settled else []
    save(tx, found, cursor=cursor, life=life, version=dict(version), phase="live", snap_before=None, pull=pull)
    # What the merged records have is laid over no more, before they are shown: most of a pull is one's own changes.
    done = covered(tx, found)
    stop_laying(tx, done)
    shown = [key for key, record in latest.items() if not record.get("deleted")]
    replaced += _show_records(tx, found, [latest[key] for key in shown], found.version)
    _lay_again(tx, found, shown, found.version)
    if settled:
        keep_lost(tx, found, before)
    for key, record in latest.items():
        if record.get("deleted"):
            bury(tx, found.no, key, record.get("seq"))
    _drop_orphans(tx, found, _orphans_of_snapshot(tx, found) if settled else _orphans(tx, found, latest))
    adopting.adopt(tx, found, replaced)
    if settled:
        snapshot_completed(tx, found, before)
    if done or latest or settled:
        rest = {key for _, key in done} - set(shown)
        settle(tx, found.no, sorted(rest), merged=True)
    current = current_device(tx)
    for one in streams(tx, found.no):
        if not one.device or (one.last_n == 0 and one.device != current):
            continue  # An id of before that never wrote here has nothing that could be lost.
        if new_life or found.version.get(one.device, 0) < one.after_n:
            save_stream(tx, one, ask=True)


def show_repaired(tx: Tx, found: Space, records: Sequence[Json]) -> None:
    """Show records that were found to differ at the space's own cursor."""
    adopting.adopt(tx, found, _show_records(tx, found, records, found.version))


def _show_records(tx: Tx, found: Space, records: Sequence[Json], version: vectors.Vector) -> list[Replaced]:
    """Write the bodies of records that are there at `version`. A page of thousands is one statement.

    What is told of those that were lost and return is for `adopting.adopt`, once own changes are laid over.
    """
    if not records:
        return []
    laid = {
        (row[0], row[1])
        for row in tx.all("SELECT DISTINCT collection, id FROM log WHERE space = ? AND laid = 1", (found.no,))
    }
    rows: list[tuple[Any, ...]] = []
    keys: list[Key] = []
    parents: dict[str, str | None] = {}
    watched: dict[str, bool] = {}
    watched_below: dict[str, bool] = {}
    for record in records:
        collection, id = record["collection"], record["id"]
        if collection not in parents:
            parent = parent_of(collection)
            parents[collection] = parent[0] if parent else None
            watched[collection] = tx.watches(found.no, collection)
            watched_below[collection] = watches_below(tx, found.no, collection)
        if watched_below[collection]:
            row = read_row(tx, found.no, (collection, id))
            if row is None or not row.alive:
                touch_tree(tx, found.no, (collection, id))
        if watched[collection]:
            tx.touch(found.no, collection, id)
        above = record["values"].get(parents[collection]) if parents[collection] else None
        rows.append((found.no, collection, id, record["seq"], found.snap, above, "conflicts" in record, dumps(record)))
        keys.append((collection, id))
    returning = _gone_of(tx, found.no, keys)
    kept = adopting.returned(tx, found, returning, version) if returning else []
    tx.executemany(
        f"INSERT INTO records (space, collection, id, seq, status, snap, alive, parent, conflicted, body)"
        f" VALUES (?, ?, ?, ?, {SHOWN}, ?, 1, ?, ?, ?) ON CONFLICT (space, collection, id) DO UPDATE SET"
        f" seq = excluded.seq, status = {SHOWN}, snap = excluded.snap, alive = 1, parent = excluded.parent,"
        " conflicted = excluded.conflicted, shown = NULL, body = excluded.body",
        rows,
    )
    for key in keys:
        if key in laid:
            recompute(tx, found.no, key)
    return kept


def _lay_again(tx: Tx, found: Space, keys: Iterable[Key], version: vectors.Vector) -> None:
    """Lay own changes over records that came back without them: a version covered them, and this one does not.

    The server lost them, and will be given them again (rule 15); until then they are neither shown as lost nor
    replaced by somebody who does not see them.
    """
    came = set(keys)
    if not came:
        return
    for one in streams(tx, found.no):
        known = version.get(one.device, 0)
        if known >= one.after_n:
            continue
        rows = tx.all(
            "SELECT pos, collection, id FROM log WHERE space = ? AND device = ? AND n > ? AND n <= ?"
            " AND laid = 0 AND verdict IS NULL AND op <> 'void'",
            (found.no, one.device, known, one.after_n),
        )
        again = [(pos, (collection, id)) for pos, collection, id in rows if (collection, id) in came]
        tx.executemany("UPDATE log SET laid = 1 WHERE pos = ?", [(pos,) for pos, _ in again])
        for key in dict.fromkeys(key for _, key in again):
            recompute(tx, found.no, key)


def _gone_of(tx: Tx, space: int, keys: Sequence[Key]) -> list[Key]:
    """Those of these records of which something is aside."""
    if not keys or tx.one("SELECT 1 FROM aside WHERE space = ? LIMIT 1", (space,)) is None:
        return []
    rows = tx.all(
        "SELECT j.key FROM json_each(?) j CROSS JOIN aside a ON a.space = ? AND"
        " a.collection = json_extract(j.value, '$[0]') AND a.id = json_extract(j.value, '$[1]') ORDER BY j.key",
        (dumps(keys), space),
    )
    return [keys[row[0]] for row in rows]


def _orphans(tx: Tx, found: Space, latest: dict[Key, Json]) -> list[Key]:
    """What this pull brought and has no parent there."""
    there: dict[Key, bool] = {}
    orphans = []
    for key, record in latest.items():
        parent = parent_of(key[0])
        if parent is None or record.get("deleted"):
            continue
        above = (parent[1], record["values"].get(parent[0]))
        if above not in there:
            row = read_row(tx, found.no, above)
            there[above] = row is not None and row.status != TOMBSTONE
        if not there[above]:
            orphans.append(key)
    return orphans


def _orphans_of_snapshot(tx: Tx, found: Space) -> list[Key]:
    """What the whole snapshot brought and has no parent there: it went while the pages came."""
    return [
        (name, row[0])
        for name, collection in COLLECTIONS.items()
        if collection.parent is not None
        for row in tx.all(
            f"SELECT r.id FROM records r WHERE r.space = ? AND r.collection = ? AND r.status = {SHOWN} AND NOT EXISTS"
            " (SELECT 1 FROM records p WHERE p.space = r.space AND p.collection = ? AND p.id = r.parent"
            f" AND p.status <> {TOMBSTONE})",
            (found.no, name, collection.parent[1]),
        )
    ]


def _drop_orphans(tx: Tx, found: Space, orphans: Iterable[Key]) -> None:
    """Rule 6: after a complete pull, what has no parent there is dropped, unless own puts may bring it one."""
    for key in orphans:
        if not has_put_at_or_below(tx, found.no, key):
            drop(tx, found.no, key, "dropped")
