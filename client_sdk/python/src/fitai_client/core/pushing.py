"""Sending own changes, and taking the answers.

Rules of device.md kept here
    8   "Sent" is recorded, durably, before the request leaves.
    9   An answer speaks for the changes of its request alone: answered is what lies at or below both `acked` and
        the request's last n. Only such an answer moves `after`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..collections import SCHEMA
from . import vectors
from .clock import rfc3339
from .database import Tx
from .records import unlay
from .rejecting import GROUP_MESSAGE, Verdict, groups_of, reject
from .requests import Request, space_path
from .spaces import Space, Stream, save, save_stream, stream
from .writing import BATCH_BYTES_MAX, BATCH_CHANGES_MAX

__all__ = ["answered", "build", "judge", "send", "still_asks", "unanswered"]

LOCAL, SENT, ANSWERED = 0, 1, 2


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


_LINES = (
    "SELECT n, hlc, context, op, collection, id, fields, grp, state FROM log"
    " WHERE space = ? AND device = ? AND state < 2 AND state >= ? AND n <= ? ORDER BY n LIMIT ?"
)


def unanswered(tx: Tx, found: Space, device: str, *, sent_only: bool = False, upto: int | None = None) -> list[Line]:
    """The changes that still need an answer, oldest first; at most one batch of them, and one more."""
    rows = tx.recall(
        _LINES,
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
    marks them as sent (`send`), durably, before the request leaves.
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
    """Rule 8: record that these changes are about to leave. They must not before all of that is on the disk."""
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
    if one.ask:
        save_stream(tx, one, ask=False)
    changes: dict[str, Any] = {}
    if (quota := body.get("quota")) and (told := json.dumps(quota)) != found.quota:
        changes["quota"] = told
    if found.confirm_deletes:
        changes["confirm_deletes"] = False
    if request.asked["seen"] is not None:
        changes |= {"seen": request.asked["seen"], "seen_at": tx.environment.now_ms()}
    if changes:
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
    # A void is in no group: where one stands for a change, the server has the others of its group as it says.
    refused = {n: verdict for n, verdict in verdicts.items() if verdict.code != "withdrawn"}
    for grp in groups_of(tx, found.no, one.device, refused):
        for n in grp:
            verdicts.setdefault(n, Verdict("group", GROUP_MESSAGE))
    tx.execute(
        "UPDATE log SET state = 2, answered_at = ? WHERE space = ? AND device = ? AND state < 2 AND n BETWEEN ? AND ?",
        (tx.environment.now_ms(), found.no, one.device, first, upto),
    )
    hlc = tx.one("SELECT hlc FROM log WHERE space = ? AND device = ? AND n = ?", (found.no, one.device, upto))[0]
    save_stream(tx, one, after_n=upto, after_hlc=hlc)
    reject(tx, found, one.device, verdicts)
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
