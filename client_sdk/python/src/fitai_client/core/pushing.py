"""Sending own changes, and taking the answers.

Rules of device.md kept here
    8   "Sent" is recorded, durably, before the request leaves.
    9   An answer speaks for the changes of its request alone: answered is what lies at or below both `acked` and
        the request's last n. Only such an answer moves `after`.
    10  What is refused goes to the inbox with its reason, and with it the later puts of the same record, and of
        records below, that were never sent; of a group, all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..collections import SCHEMA
from . import vectors
from .clock import rfc3339
from .database import Tx
from .records import Laid, descendants, unlay
from .requests import Request, space_path
from .spaces import Space, Stream, save, save_stream, stream
from .writing import BATCH_BYTES_MAX, BATCH_CHANGES_MAX

__all__ = [
    "Verdict",
    "answered",
    "build",
    "enqueue_inbox",
    "judge",
    "refuse_all",
    "send",
    "still_asks",
    "unanswered",
    "void",
]

LOCAL, SENT, ANSWERED = 0, 1, 2

GROUP_MESSAGE = "Another change of its group was refused."


class Verdict(NamedTuple):
    """Why a change was refused."""

    code: str
    message: str
    field: str | None = None


class Line(NamedTuple):
    """A change of the log, as a batch needs it."""

    n: int
    hlc: str
    context: str
    op: str
    collection: str | None
    id: str | None
    fields: str | None
    grp: int | None
    state: int


_LINE = "n, hlc, context, op, collection, id, fields, grp, state"


def unanswered(tx: Tx, found: Space, device: str, *, sent_only: bool = False, upto: int | None = None) -> list[Line]:
    """The changes that still need an answer, oldest first; at most one batch of them, and one more."""
    rows = tx.all(
        f"SELECT {_LINE} FROM log WHERE space = ? AND device = ? AND state < 2 AND state >= ? AND n <= ?"
        " ORDER BY n LIMIT ?",
        (found.no, device, SENT if sent_only else LOCAL, upto if upto is not None else 1 << 62, BATCH_CHANGES_MAX + 1),
    )
    return [Line(*row) for row in rows]


def build(
    tx: Tx,
    found: Space,
    one: Stream,
    lines: Sequence[Line],
    *,
    after: tuple[int, str] | None,
    seen: vectors.Vector | None = None,
    limit: int = BATCH_CHANGES_MAX,
) -> Request:
    """The push of as many of these changes as one batch takes, groups whole.

    `lines` are adjacent and start behind `after`, which is None before the first change of this id. The caller
    marks them as sent (`send`) before the request leaves.
    """
    batch = _cut(lines, limit)
    changes: list[str] = []
    context: str | None = None
    for line in batch:
        text = f'{{"n":{line.n},"hlc":"{line.hlc}"'
        if line.context != context:
            text += f',"context":{line.context}'
            context = line.context
        if line.op != "void":
            text += f',"collection":"{line.collection}","id":"{line.id}"'
        text += f',"op":"{line.op}"'
        if line.op == "put":
            text += f',"fields":{line.fields}'
        if line.grp is not None:
            text += f',"group":{line.grp}'
        changes.append(text + "}")
    envelope: dict[str, Any] = {
        "device": one.device,
        "schema": SCHEMA,
        "sent_at": rfc3339(tx.environment.now_ms()),
        "after": {"n": after[0], "hlc": after[1]} if after else None,
    }
    if found.cursor is not None:
        envelope["cursor"] = found.cursor
    if seen is not None:
        envelope["seen"] = seen
    if found.confirm_deletes:
        envelope["confirm_deletes"] = True
    head = json.dumps(envelope, separators=(",", ":"))
    return Request(
        kind="push",
        method="POST",
        path=space_path(found.id or "", "push"),
        body=f'{head[:-1]},"changes":[{",".join(changes)}]}}',
        device=one.device,
        space=found.no,
        asked={
            "device": one.device,
            "after": after[0] if after else 0,
            "first": batch[0].n if batch else None,
            "last": batch[-1].n if batch else (after[0] if after else 0),
            "last_hlc": batch[-1].hlc if batch else None,
            "stands": [one.after_n, one.after_hlc],
            "seen": seen,
            "units": len(_units(batch)),
        },
    )


def _units(lines: Sequence[Line]) -> list[list[Line]]:
    """The changes by group: what stands or falls together, and cannot be split."""
    units: list[list[Line]] = []
    for line in lines:
        if units and line.grp is not None and units[-1][0].grp == line.grp:
            units[-1].append(line)
        else:
            units.append([line])
    return units


def _cut(lines: Sequence[Line], limit: int) -> list[Line]:
    """The longest start that fits one batch. The first unit always fits: it was refused when made if it did not."""
    batch: list[Line] = []
    size = 0
    units = _units(lines)
    # One line more than a batch was read, so a last group that goes on beyond it is known to be cut.
    for unit in units if len(lines) <= BATCH_CHANGES_MAX else units[:-1] or units:
        size += sum(len((line.fields or "").encode()) + len(line.context) + 300 for line in unit)
        if batch and (len(batch) + len(unit) > limit or size > BATCH_BYTES_MAX):
            break
        batch += unit
    return batch


def send(tx: Tx, request: Request) -> None:
    """Rule 8: record that these changes are about to leave. The transaction must be durable."""
    if request.asked["first"] is not None:
        tx.execute(
            "UPDATE log SET state = 1 WHERE space = ? AND device = ? AND n BETWEEN ? AND ? AND state = 0",
            (request.space, request.asked["device"], request.asked["first"], request.asked["last"]),
        )


def still_asks(tx: Tx, request: Request) -> Stream | None:
    """The stream, where it still stands where the request was made from; None for a late answer.

    An id may have been left meanwhile, and its changes renumbered: then they are not what the answer speaks for.
    """
    asked = request.asked
    one = stream(tx, request.space, asked["device"])
    if [one.after_n, one.after_hlc] != list(asked["stands"]):
        return None
    if asked["first"] is not None:
        row = tx.one(
            "SELECT hlc FROM log WHERE space = ? AND device = ? AND n = ?", (one.space, one.device, asked["last"])
        )
        if row is None or row[0] != asked["last_hlc"]:
            return None
    return one


def answered(tx: Tx, found: Space, request: Request, body: dict[str, Any]) -> None:
    """Take the 200 of a push (rules 4, 9 and 10)."""
    one = still_asks(tx, request)
    if one is None:
        return
    upto = min(int(body["acked"]), request.asked["last"])
    judge(tx, found, request, upto, body.get("rejected") or [])
    save_stream(tx, one, ask=False)
    changes: dict[str, Any] = {"quota": body.get("quota") or found.quota}
    if found.confirm_deletes:
        changes["confirm_deletes"] = False
    if request.asked["seen"] is not None:
        changes |= {"seen": request.asked["seen"], "seen_at": tx.environment.now_ms()}
    save(tx, found, **changes)


def judge(tx: Tx, found: Space, request: Request, upto: int, rejected: Iterable[dict[str, Any]]) -> None:
    """Mark the request's changes up to `upto` as answered, put what was refused into the inbox, move `after`."""
    one = stream(tx, found.no, request.asked["device"])
    first = request.asked["first"]
    if first is None or upto < first:
        return
    verdicts = {
        int(item["n"]): Verdict(str(item["code"]), str(item.get("message") or item["code"]), item.get("field"))
        for item in rejected
        if first <= int(item["n"]) <= upto
    }
    for grp in _groups_of(tx, found.no, one.device, verdicts):
        for n in grp:
            verdicts.setdefault(n, Verdict("group", GROUP_MESSAGE))
    tx.execute(
        "UPDATE log SET state = 2, answered_at = ? WHERE space = ? AND device = ? AND state < 2 AND n BETWEEN ? AND ?",
        (tx.environment.now_ms(), found.no, one.device, first, upto),
    )
    hlc = tx.one("SELECT hlc FROM log WHERE space = ? AND device = ? AND n = ?", (found.no, one.device, upto))[0]
    save_stream(tx, one, after_n=upto, after_hlc=hlc)
    _refuse(tx, found, one.device, verdicts)
    merged = [
        (pos, (collection, id))
        for pos, n, collection, id, snap in tx.all(
            "SELECT l.pos, l.n, l.collection, l.id, COALESCE(r.snap, 0) FROM log l LEFT JOIN records r"
            " ON r.space = l.space AND r.collection = l.collection AND r.id = l.id"
            " WHERE l.space = ? AND l.device = ? AND l.n BETWEEN ? AND ? AND l.laid = 1",
            (found.no, one.device, first, upto),
        )
        if found.knows(snap, one.device, n)
    ]
    unlay(tx, found.no, merged, merged=True)


def _groups_of(tx: Tx, space: int, device: str, verdicts: dict[int, Verdict]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for n in verdicts:
        row = tx.one("SELECT grp FROM log WHERE space = ? AND device = ? AND n = ?", (space, device, n))
        if row and row[0] is not None and row[0] not in groups:
            groups[row[0]] = [
                line[0]
                for line in tx.all(
                    "SELECT n FROM log WHERE space = ? AND device = ? AND grp = ? AND op <> 'void'",
                    (space, device, row[0]),
                )
            ]
    return list(groups.values())


def _refuse(tx: Tx, found: Space, device: str, verdicts: dict[int, Verdict]) -> None:
    """Rule 10, for changes that the server has spent: inbox them, and what depends on them and never left."""
    done: list[Laid] = []
    for n, verdict in sorted(verdicts.items()):
        row = tx.one(
            "SELECT pos, op, collection, id, fields, verdict FROM log WHERE space = ? AND device = ? AND n = ?",
            (found.no, device, n),
        )
        if row is None or row[1] == "void" or row[5] is not None:
            continue
        enqueue_inbox(tx, found.no, device, n, row[1:5], verdict)
        tx.execute("UPDATE log SET verdict = ? WHERE pos = ?", (json.dumps(verdict._asdict()), row[0]))
        done.append((row[0], (row[2], row[3])))
    if not done:
        return
    dependent = _never_sent_behind(tx, found.no, done)
    unlay(tx, found.no, done, merged=False)
    void(tx, found, dependent, Verdict("depends", "It builds on a change that was refused."))


def _never_sent_behind(tx: Tx, space: int, refused: list[Laid]) -> list[int]:
    """The positions of the later, never sent puts of these records and of what is below, groups whole."""
    found: set[int] = set()
    for pos, key in refused:
        for one in (key, *descendants(tx, space, key)):
            found.update(
                row[0]
                for row in tx.all(
                    "SELECT pos FROM log WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND state = 0"
                    " AND op = 'put' AND pos > ?",
                    (space, *one, pos),
                )
            )
    return with_groups(tx, space, found)


def with_groups(tx: Tx, space: int, positions: Iterable[int]) -> list[int]:
    """These positions and every other one of their groups, in order."""
    found = set(positions)
    for pos in list(found):
        row = tx.one("SELECT device, grp FROM log WHERE pos = ?", (pos,))
        if row[1] is not None:
            found.update(
                line[0]
                for line in tx.all(
                    "SELECT pos FROM log WHERE space = ? AND device = ? AND grp = ? AND state < 2", (space, *row)
                )
            )
    return sorted(found)


def void(tx: Tx, found: Space, positions: Sequence[int], verdict: Verdict) -> None:
    """Put voids into the place of changes that are not to be sent (again), and the changes into the inbox.

    Their numbers and hlcs stay; a void of a change that the server holds after all is skipped by it.
    """
    done: list[Laid] = []
    for pos in positions:
        row = tx.one("SELECT op, collection, id, fields, device, n FROM log WHERE pos = ?", (pos,))
        if row[0] == "void":
            continue
        enqueue_inbox(tx, found.no, row[4], row[5], row[:4], verdict)
        done.append((pos, (row[1], row[2])))
    blank(tx, found, done)


def blank(tx: Tx, found: Space, done: Sequence[Laid]) -> None:
    """Turn changes into voids, without a word in the inbox."""
    for pos, _ in done:
        tx.execute("UPDATE log SET op = 'void', fields = NULL, grp = NULL, seen = NULL WHERE pos = ?", (pos,))
    unlay(tx, found.no, done, merged=False)


def refuse_all(tx: Tx, found: Space, verdict: Verdict) -> None:
    """The right to write here is gone: the whole queue leaves the overlay and goes to the inbox."""
    void(
        tx,
        found,
        [row[0] for row in tx.all("SELECT pos FROM log WHERE space = ? AND state < 2 ORDER BY pos", (found.no,))],
        verdict,
    )


def enqueue_inbox(tx: Tx, space: int, device: str, n: int, change: Sequence[Any], verdict: Verdict) -> None:
    """Keep a refused change, (op, collection, id, fields), where the user can see and mend it."""
    op, collection, id, fields = change
    tx.execute(
        "INSERT INTO inbox (space, device, n, op, collection, id, fields, code, field, message, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            space,
            device,
            n,
            op,
            collection,
            id,
            fields,
            verdict.code,
            verdict.field,
            verdict.message,
            tx.environment.now_ms(),
        ),
    )
