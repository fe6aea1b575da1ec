"""What a server spent and did not take: out of the overlay, and into the inbox with its reason.

Rule of device.md kept here
    10  What is refused goes to the inbox with its reason, and with it the later puts of the same record, and of
        records below, that were never sent; of a group, all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .database import Tx
from .records import Laid, descendants, stop_laying, unlay
from .spaces import Space

__all__ = [
    "GROUP_MESSAGE",
    "LOST_CODE",
    "LOST_MESSAGE",
    "Verdict",
    "blank",
    "enqueue_inbox",
    "groups_of",
    "refuse_all",
    "reject",
    "void",
    "with_groups",
]

GROUP_MESSAGE = "Another change of its group was refused."
# Of what shows no more, and was in no change of this device that was refused.
LOST_CODE = "lost_by_server"
LOST_MESSAGE = "The server lost this value, and something else is there now: send it again, or discard it."


class Verdict(NamedTuple):
    """Why a change was refused."""

    code: str
    message: str
    field: str | None = None


def groups_of(tx: Tx, space: int, device: str, verdicts: dict[int, Verdict]) -> list[list[int]]:
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


def reject(tx: Tx, found: Space, device: str, verdicts: Mapping[int, Verdict]) -> None:
    """Rule 10, for changes that the server has spent: inbox them, and what depends on them and never left."""
    done: list[Laid] = []
    of_groups: dict[int, int] = {}
    causes: dict[int, int] = {}
    for n, verdict in sorted(verdicts.items()):
        row = tx.one(
            "SELECT pos, op, collection, id, fields, verdict, context, grp FROM log"
            " WHERE space = ? AND device = ? AND n = ?",
            (found.no, device, n),
        )
        if row is None or row[1] == "void" or row[5] is not None:
            continue
        # What fell together has one cause: the first change of the group.
        cause = causes[row[0]] = of_groups.setdefault(row[7], row[0]) if row[7] is not None else row[0]
        enqueue_inbox(tx, found.no, device, n, row[1:5], verdict, cause=cause, context=row[6])
        tx.execute("UPDATE log SET verdict = ? WHERE pos = ?", (json.dumps(verdict._asdict()), row[0]))
        done.append((row[0], (row[2], row[3])))
    if not done:
        return
    dependent: dict[int, int] = {}
    for laid in done:
        for pos in _never_sent_behind(tx, found.no, laid):
            dependent.setdefault(pos, causes[laid[0]])
    unlay(tx, found.no, done, merged=False)
    void(tx, found, dependent, Verdict("depends", "It builds on a change that was refused."))


def _never_sent_behind(tx: Tx, space: int, refused: Laid) -> list[int]:
    """The positions of the later, never sent puts of this record and of what is below, groups whole."""
    pos, key = refused
    found = [
        row[0]
        for one in (key, *descendants(tx, space, key))
        for row in tx.all(
            "SELECT pos FROM log WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND state = 0"
            " AND op = 'put' AND pos > ?",
            (space, *one, pos),
        )
    ]
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


def void(tx: Tx, found: Space, positions: Iterable[int], verdict: Verdict) -> None:
    """Put voids into the place of changes that are not to be sent (again), and the changes into the inbox.

    Their numbers and hlcs stay; a void of a change that the server holds after all is skipped by it. `positions` in
    order; as a mapping, each with the change that it falls with.
    """
    done: list[Laid] = []
    for pos in sorted(positions):
        row = tx.one("SELECT op, collection, id, fields, device, n, context FROM log WHERE pos = ?", (pos,))
        if row[0] == "void":
            continue
        cause = positions[pos] if isinstance(positions, Mapping) else None
        enqueue_inbox(tx, found.no, row[4], row[5], row[:4], verdict, cause=cause, context=row[6])
        done.append((pos, (row[1], row[2])))
    blank(tx, found, done)


def blank(tx: Tx, found: Space, done: Sequence[Laid], *, settled: bool = True) -> None:
    """Turn changes into voids, without a word in the inbox.

    settled: show at once what that leaves; otherwise the caller does (`settle`), once others are in their place.
    """
    for pos, _ in done:
        tx.execute("UPDATE log SET op = 'void', fields = NULL, grp = NULL, seen = NULL WHERE pos = ?", (pos,))
    if settled:
        unlay(tx, found.no, done, merged=False)
    else:
        stop_laying(tx, done)


def refuse_all(tx: Tx, found: Space, verdict: Verdict) -> None:
    """The right to write here is gone: the whole queue leaves the overlay and goes to the inbox."""
    void(
        tx,
        found,
        [row[0] for row in tx.all("SELECT pos FROM log WHERE space = ? AND state < 2 ORDER BY pos", (found.no,))],
        verdict,
    )


def enqueue_inbox(
    tx: Tx,
    space: int,
    device: str,
    n: int,
    change: Sequence[Any],
    verdict: Verdict,
    *,
    cause: int | None = None,
    context: str | None = None,
) -> None:
    """Keep a refused change, (op, collection, id, fields), where the user can see and mend it.

    cause: the place in the log of the change that it fell with. context: what it knew, for sending it again as it was.
    """
    op, collection, id, fields = change
    tx.execute(
        "INSERT INTO inbox (space, device, n, op, collection, id, fields, code, field, message, at, cause, context,"
        " schema) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            cause,
            context,
            int(tx.meta("server_schema") or 0),
        ),
    )
