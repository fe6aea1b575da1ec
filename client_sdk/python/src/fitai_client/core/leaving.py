"""Taking a new device id: another wears the same one, it was revoked, or no server knows it.

Rules of device.md kept here
    16  What can no longer go under an id of before goes under a fresh one of its own, never the current one.
    17  Up to `matched` the server holds just what this device sent. Everything above it, out of the kept log too,
        is renumbered under a new id, in all spaces; in those contexts the old id counts up to `matched`, or as
        far as a version applied before the change was made, in this life of the server.

The steps: an id is *leaving* from the first such answer on. Each space is asked what it holds, until every one
has a `matched`; then a new key is registered; then one local transaction renumbers.
"""

from __future__ import annotations

import json
from typing import Any

from . import vectors
from .database import Tx
from .ids import uuid7
from .pushing import Line, judge, still_asks, unanswered
from .records import WAITING, dumps, recompute
from .requests import Request
from .spaces import Space, Stream, all_spaces, restart_snapshot, save, save_stream, stream

__all__ = ["held", "leave", "leaving", "lines_to_ask", "matched", "next_question", "ready", "switched"]


def leaving(tx: Tx) -> list[str]:
    """The ids that are being left."""
    return [row[0] for row in tx.recall("SELECT id FROM devices WHERE successor_key IS NOT NULL ORDER BY id")]


def leave(tx: Tx, device: str) -> None:
    """Begin to leave an id; a second call changes nothing."""
    tx.execute(
        "UPDATE devices SET successor_key = ? WHERE id = ? AND successor_key IS NULL", (uuid7(tx.environment), device)
    )
    for found in all_spaces(tx):
        one = stream(tx, found.no, device)
        # Where nothing is in doubt, the server holds all that it is known to hold.
        if one.matched is None and (found.id is None or found.phase == "gone" or not _in_doubt(tx, found, one)):
            save_stream(tx, one, matched=one.after_n)


def matched(tx: Tx, found: Space, request: Request, body: dict[str, Any]) -> None:
    """Take device_forked, device_revoked or unknown_device of one space (rule 17)."""
    one = still_asks(tx, request)
    if one is None:
        return
    device = one.device
    details = body.get("details") or {}
    told = details.get("matched")
    leave(tx, device)
    one = stream(tx, found.no, device)
    asked_from = request.asked["after"]
    if told is None:
        # The kept log's first change stands in for `after`, or nothing does where the log reaches back to n = 1.
        earliest = _earliest(tx, found.no, device)
        further_back = None if earliest is None else 0 if earliest == 1 else earliest
        if further_back is not None and asked_from > further_back:
            save_stream(tx, one, from_n=further_back, matched=None)
        else:
            save_stream(tx, one, matched=0, after_n=0, after_hlc=None, from_n=None)
        return
    told = min(int(told), request.asked["last"])
    if told > one.after_n:
        judge(tx, found, request, told, details.get("rejected") or [])
        one = stream(tx, found.no, device)
    if told == request.asked["last"] and request.asked["first"] is not None and _goes_on(tx, found, device, told):
        save_stream(tx, one, from_n=told, matched=None)
        return
    hlc = _hlc(tx, found.no, device, told)
    if told < one.after_n:
        save_stream(tx, one, after_n=told, after_hlc=hlc)
    save_stream(tx, one, matched=told, from_n=None)


def held(tx: Tx, found: Space, one: Stream, request: Request) -> None:
    """Take a 200 about an id that is being left: the server holds all that this request named, if not more."""
    last = request.asked["last"]
    is_part = one.from_n is not None and request.asked["first"] is not None and request.asked["after"] == one.from_n
    if is_part and _goes_on(tx, found, one.device, last):
        save_stream(tx, one, from_n=last)
    elif not unanswered(tx, found, one.device, sent_only=True):
        save_stream(tx, one, matched=one.after_n, from_n=None)


def _goes_on(tx: Tx, found: Space, device: str, last: int) -> bool:
    """Whether anything was sent under an id behind this number, so that it is to be asked about too."""
    row = tx.one(
        "SELECT 1 FROM log WHERE space = ? AND device = ? AND n > ? AND state > 0 LIMIT 1", (found.no, device, last)
    )
    return row is not None


def next_question(tx: Tx) -> tuple[Space, Stream] | None:
    """A space that has not yet told how much it holds of an id that is being left."""
    for device in leaving(tx):
        for found in all_spaces(tx):
            one = stream(tx, found.no, device)
            if one.matched is None and found.id is not None:
                return found, one
    return None


def lines_to_ask(tx: Tx, found: Space, one: Stream) -> tuple[tuple[int, str] | None, list[Line]]:
    """`after` and the changes of the next question: all that was ever sent, from where it is in doubt."""
    if one.from_n is None:
        after = (one.after_n, one.after_hlc or "") if one.after_n else None
        return after, unanswered(tx, found, one.device, sent_only=True)
    rows = tx.all(
        "SELECT n, hlc, context, op, collection, id, fields, grp, state FROM log"
        " WHERE space = ? AND device = ? AND n > ? AND state > 0 ORDER BY n LIMIT 1001",
        (found.no, one.device, one.from_n),
    )
    hlc = _hlc(tx, found.no, one.device, one.from_n)
    return (one.from_n, hlc) if one.from_n and hlc else None, [Line(*row) for row in rows]


def ready(tx: Tx) -> tuple[str, str] | None:
    """(id, key of its successor) of an id that every space has told about, so that a new one can be asked for.

    An id of before that has nothing to carry over is left here without a successor: each server that lost its devices
    would be asked for one more otherwise, until there are too many.
    """
    for device in leaving(tx):
        if all(stream(tx, found.no, device).matched is not None for found in all_spaces(tx)):
            if _carries_nothing(tx, device):
                switched(tx, device, None)
                continue
            key: str = tx.one("SELECT successor_key FROM devices WHERE id = ?", (device,))[0]
            return device, key
    return None


def _carries_nothing(tx: Tx, device: str) -> bool:
    if tx.one("SELECT state FROM devices WHERE id = ?", (device,))[0] == "current":
        return False
    return not any(
        tx.one(
            "SELECT 1 FROM log WHERE space = ? AND device = ? AND n > ? AND op <> 'void' AND verdict IS NULL LIMIT 1",
            (found.no, device, stream(tx, found.no, device).matched or 0),
        )
        for found in all_spaces(tx)
    )


def switched(tx: Tx, old: str, new: str | None) -> None:
    """Renumber everything above `matched` of an id that was left, under the new one (rule 17); None where that is
    nothing."""
    key, state = tx.one("SELECT successor_key, state FROM devices WHERE id = ?", (old,))
    # Rule 16: an id of before is followed by one of its own, which is never the current one.
    tx.execute("UPDATE devices SET state = 'old', successor_key = NULL WHERE id = ?", (old,))
    if new is not None:
        tx.execute("INSERT INTO devices (id, key, state) VALUES (?, ?, ?)", (new, key, state))
    for found in all_spaces(tx):
        one = stream(tx, found.no, old)
        if _log_is_short(tx, found.no, one):
            save(tx, found, restate=True)
        _renumber(tx, found, one, one.matched or 0, new)
        if found.phase == "live" and tx.one(
            "SELECT 1 FROM records WHERE space = ? AND status = ? LIMIT 1", (found.no, WAITING)
        ):
            # The server may forget a tombstone that waits here, now that the id which had a say in it is gone: a
            # snapshot tells, and what is gone is then written anew whole (rule 14).
            save(tx, found, resync="snapshot", resync_acked=None)
            restart_snapshot(tx, found)


def _renumber(tx: Tx, found: Space, one: Stream, upto: int, new: str | None) -> None:
    n = 0 if new is None else stream(tx, found.no, new).last_n
    moved: set[tuple[str, str]] = set()
    group: tuple[int, int] | None = None
    rows = tx.all(
        "SELECT pos, op, context, life, grp, verdict, collection, id, n, answered_at FROM log"
        " WHERE space = ? AND device = ? AND n > ? ORDER BY n",
        (found.no, one.device, upto),
    )
    merged: list[int] = []
    for pos, op, context, life, grp, verdict, collection, id, before, answered_at in rows:
        if op == "void" or verdict is not None:
            tx.execute("DELETE FROM log WHERE pos = ?", (pos,))
            continue
        if answered_at is not None and before <= found.version.get(one.device, 0):
            merged.append(pos)
        n += 1
        known = vectors.decode(context)
        if life != found.life:
            # The numbers that a version of another life counted may stand for other changes now.
            known.pop(one.device, None)
        known = vectors.merged(known, {one.device: upto} if upto else {})
        if grp is None:
            group = None
        elif group is None or group[0] != grp:
            group = (grp, n)
        tx.execute(
            "UPDATE log SET device = ?, n = ?, context = ?, grp = ?, state = 0, laid = 1, answered_at = NULL"
            " WHERE pos = ?",
            (new, n, vectors.encode(known), group[1] if group else None, pos),
        )
        moved.add((collection, id))
    if new is not None:
        save_stream(tx, stream(tx, found.no, new), last_n=n)
    save_stream(tx, one, last_n=upto, after_n=min(one.after_n, upto), ask=False)
    if merged:
        # Under their new numbers nothing tells that what is shown has them already.
        merged += json.loads(tx.meta(f"merged:{found.no}") or "[]")
        tx.set_meta(f"merged:{found.no}", dumps(merged))
    for key in moved:
        recompute(tx, found.no, key)


def _log_is_short(tx: Tx, no: int, one: Stream) -> bool:
    """True where changes that the server does not hold are no longer in the kept log."""
    upto = one.matched or 0
    kept = tx.one("SELECT COUNT(*) FROM log WHERE space = ? AND device = ? AND n > ?", (no, one.device, upto))[0]
    return bool(kept < one.last_n - upto)


def _in_doubt(tx: Tx, found: Space, one: Stream) -> bool:
    return one.ask or bool(unanswered(tx, found, one.device, sent_only=True))


def _earliest(tx: Tx, no: int, device: str) -> int | None:
    n: int | None = tx.one("SELECT MIN(n) FROM log WHERE space = ? AND device = ?", (no, device))[0]
    return n


def _hlc(tx: Tx, no: int, device: str, n: int) -> str | None:
    row = tx.one("SELECT hlc FROM log WHERE space = ? AND device = ? AND n = ?", (no, device, n))
    return row[0] if row else None
