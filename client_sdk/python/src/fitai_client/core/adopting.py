"""What others wrote, this device showed, and the server lost since: what a snapshot would take off the screen.

A device gives back its own changes from its log. An edit of somebody whose device is gone is in no log any more, only
in what shows on the devices that had pulled it. Here it is found before the record that the server still has takes
its place, and written anew.

Rule of docs/sdk-authors.md kept here
    21  Where a snapshot after a `resync` shows a record as it was before an edit that this device had shown, and the
        edit is not among this device's own, it is adopted: written anew, as this device's own change, in the context
        that both knew. What would replace something that nobody compared it with goes to the inbox instead.

Invariants
    A1  No adoption covers a value that was not shown here: its context is what both this device and the server's
        snapshot know, and nothing where this device showed a conflict.
    A2  A later number of this device counts as having seen its earlier ones. So nothing is adopted into a field whose
        own change had not seen it, be that laid over or merged long ago; that goes to the inbox.
    A3  Devices that adopt the same edit write equal values, elements or updates: they merge into one.
    A4  What shows no more (deleted here, or below what is) is not adopted: it would come back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..collections import COLLECTIONS, field_of
from ..errors import InvalidWrite
from . import text, vectors
from .database import Tx
from .overlay import same_value, seen_values
from .reads import read_one
from .records import AWAITED, Key, Row, dumps, read_row
from .rejecting import LOST_CODE, LOST_MESSAGE, Verdict, enqueue_inbox
from .spaces import Space, current_device
from .whole import whole_parts
from .writing import WRITTEN_ANEW, Write, write_groups

__all__ = [
    "BEATEN_CODE",
    "LOST_CODE",
    "Replaced",
    "adopt",
    "await_return",
    "awaited",
    "begin",
    "ended",
    "is_partial",
    "keep_losers",
    "replaced",
    "returned",
    "was_lost",
]

Json = dict[str, Any]

# The code of what had lost a conflict in a record that was deleted, and is written again.
BEATEN_CODE = "beaten"
_BEATEN_MESSAGE = "It had lost a conflict in a record that was deleted and is back: send it again, or discard it."


@dataclass(frozen=True, slots=True)
class Replaced:
    """A record that the server's is about to take the place of.

    shown: as it showed. context: what the server's changes of it are known to be here, and it had seen. moved: whether
    somebody may have written to it since, whom this device never heard of.
    """

    key: Key
    shown: Json
    context: vectors.Vector
    moved: bool


def begin(tx: Tx, found: Space, kept: int | None) -> None:
    """The first page of a snapshot after a `resync` is there.

    kept: the seq up to which the server has all that was served here, None where it does not say. `found` stands at the
    snapshot before, which was the last that is complete, unless another was on its way.
    """
    if found.cursor is None:
        return
    earlier = _state(tx, found)
    whole, known = (earlier["whole"], earlier["known"]) if earlier else (found.snap, found.version)
    if earlier:
        # What that one has brought shows already.
        known = vectors.merged(known, found.snap_version)
    tx.set_meta(_key(found), dumps({"kept": kept, "whole": whole, "known": known}))


def ended(tx: Tx, found: Space, before: vectors.Vector) -> None:
    """The snapshot is complete. before: the version from before it; what of it the server lacks is remembered."""
    tx.set_meta(_key(found), None)
    lost = {device: n for device, n in before.items() if n > found.version.get(device, 0)}
    if lost:
        told = tx.meta(_lost_key(found))
        tx.set_meta(_lost_key(found), vectors.encode(vectors.merged(lost, vectors.decode(told) if told else {})))


def was_lost(tx: Tx, found: Space, key: Key, row: Row, before: vectors.Vector) -> bool:
    """Whether something of a record that the snapshot does not bring is lost, and not deleted by others knowingly."""
    declared = COLLECTIONS.get(key[0])
    if declared is not None and declared.read_only:
        # The server works it out anew; nobody else could write it.
        return False
    state, version = _state(tx, found), found.version
    author = json.loads(row.body or "{}").get("updated_by")
    if before.get(author, 0) > version.get(author, 0):
        return True
    # Whoever was the last to write gave their part back; what was below it may be lost all the same.
    kept = state["kept"] if state else None
    return kept is not None and (row.seq or 0) > kept and not vectors.at_least(version, before)


def is_partial(tx: Tx, found: Space, row: Row) -> bool:
    """Whether a row is of a snapshot that never became complete: of a life in between, of whose order nothing is
    known."""
    state = _state(tx, found)
    return state is not None and row.snap > state["whole"]


def replaced(tx: Tx, found: Space, records: Iterable[Json], version: vectors.Vector) -> list[Replaced]:
    """Of the records that the server shows at `version`, those that showed otherwise here, by what it lost.

    Before they are shown, and before `found.version` moves.
    """
    state = _state(tx, found)
    if state is None or vectors.at_least(version, state["known"]):
        return []
    result = []
    for record in records:
        key = (record["collection"], record["id"])
        row = read_row(tx, found.no, key)
        if record.get("deleted") or row is None or row.body is None or row.snap == found.snap:
            continue
        kept, seq = state["kept"], record["seq"]
        partial = row.snap > state["whole"]
        unmoved = kept is not None and seq <= kept
        author = str(record.get("updated_by"))
        if partial or _moved_in_what_was_lost(found, row, kept, seq, version):
            result.append(
                Replaced(
                    key,
                    json.loads(row.shown or row.body),
                    vectors.minimum(found.version, version),
                    partial or (not unmoved and version.get(author, 0) > found.version.get(author, 0)),
                )
            )
    return result


def _moved_in_what_was_lost(found: Space, row: Row, kept: int | None, seq: int, version: vectors.Vector) -> bool:
    if kept is not None:
        return (row.seq or 0) > kept
    # A server that does not say: what has fallen in the order was moved by what it lost.
    author = json.loads(row.body or "{}").get("updated_by")
    return (row.seq or 0) > seq or found.version.get(author, 0) > version.get(author, 0)


def await_return(tx: Tx, found: Space, key: Key, row: Row) -> None:
    """A record goes on showing, with own changes, until the server has told whether it holds it (rule 14), and
    something of it was lost: it is compared once the server's is there, or once it is written anew."""
    tx.execute(
        "INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (space, collection, id) DO UPDATE SET"
        " kind = excluded.kind, root = excluded.root, body = excluded.body, at = excluded.at",
        (found.no, *key, AWAITED, key[1], row.shown or row.body, tx.environment.now_ms()),
    )


def awaited(tx: Tx, found: Space, keys: Iterable[Key]) -> list[Replaced]:
    """Of these records those for whose return was waited, as they show now. They are waited for no longer."""
    result = []
    for key in keys:
        row = read_row(tx, found.no, key)
        one = (found.no, *key, AWAITED)
        if tx.execute("DELETE FROM aside WHERE space = ? AND collection = ? AND id = ? AND kind = ?", one) and row:
            result.append(Replaced(key, json.loads(row.shown or row.body or "{}"), {}, True))
    return result


def returned(tx: Tx, found: Space, keys: Sequence[Key], version: vectors.Vector) -> list[Replaced]:
    """Of these records, which are about to show (again), those that were kept as recovered, or went on showing, while
    something of them is still lost. What was kept of any of them goes."""
    told = tx.meta(_lost_key(found))
    result: list[Replaced] = []
    if told is not None and not vectors.at_least(version, vectors.decode(told)):
        result = awaited(tx, found, keys)
        for key in keys:
            row = tx.one(
                "SELECT body FROM aside WHERE space = ? AND collection = ? AND id = ? AND kind = 'recovered'",
                (found.no, *key),
            )
            if row is not None:
                result.append(Replaced(key, json.loads(row[0]), {}, True))
    tx.executemany(
        "DELETE FROM aside WHERE space = ? AND collection = ? AND id = ?", [(found.no, *key) for key in keys]
    )
    return result


def adopt(tx: Tx, found: Space, many: Iterable[Replaced]) -> None:
    """Write anew what of these records no longer shows (rule 21), once the server's are shown with own changes.

    Of one that comes twice, the first stands.
    """
    first: dict[Key, Replaced] = {}
    for one in many:
        first.setdefault(one.key, one)
    for one in first.values():
        row = read_row(tx, found.no, one.key)
        if row is None or read_one(tx.conn, found.no, *one.key) is None:
            continue
        missing = _missing(tx, found, one, json.loads(row.shown or row.body or "{}"))
        base = json.loads(row.body) if row.body else None
        for context, fields in ((one.context, missing.covering), ({}, missing.beside)):
            seen = seen_values(one.key[0], base, fields) if context else {}
            for part in whole_parts(tx, found.no, one.key, fields):
                _write(tx, found, Write(*one.key, part, context=context, seen=seen))
        for name, edit in missing.unjudged:
            _keep(tx, found, one.key, name, edit, one.context)


def keep_losers(tx: Tx, found: Space, key: Key, conflicts: Mapping[str, Any], code: str = LOST_CODE) -> None:
    """Into the inbox, what had lost a conflict in a record that is written again without it."""
    for name, losers in conflicts.items():
        for loser in losers:
            _keep(tx, found, key, name, loser["value"], {}, code)


@dataclass(slots=True)
class _Missing:
    """Edits that bring back what showed: in the context of both, beside everything, and those that a person judges."""

    covering: Json = field(default_factory=dict)
    beside: Json = field(default_factory=dict)
    unjudged: list[tuple[str, Any]] = field(default_factory=list)


def _missing(tx: Tx, found: Space, one: Replaced, now: Mapping[str, Any]) -> _Missing:
    collection = one.key[0]
    declared = COLLECTIONS.get(collection)
    result = _Missing()
    if found.kind == "catalog" or (declared is not None and declared.read_only):
        return result
    values: Json = now.get("values") or {}
    parent = declared.parent[0] if declared and declared.parent else None
    for name, shown in one.shown["values"].items():
        kind = field_of(collection, name)
        if name == parent or kind.passing:
            continue
        if kind.kind == "register":
            _register(tx, found, one, now, name, result)
        elif kind.kind == "set":
            here, there = set(shown or ()), set(values.get(name) or ())
            edit: Json = {"add": sorted(here - there)} if here - there else {}
            if there - here and not one.moved:
                edit["remove"] = sorted(there - here)
            if edit:
                result.covering[name] = edit
        elif kind.kind == "text":
            if (update := text.beyond(shown, values.get(name))) is not None:
                result.covering[name] = {"yjs": update}
        elif shown != values.get(name):
            # Two devices that both gave a counter back would count twice.
            result.unjudged.append((name, {"inc": (shown or 0) - (values.get(name) or 0)}))
    for edits in (result.covering, result.beside):
        for name in list(edits):
            if declared is None or name not in declared.fields or found.role == "viewer":
                result.unjudged.append((name, edits.pop(name)))
    return result


def _register(tx: Tx, found: Space, one: Replaced, now: Mapping[str, Any], name: str, result: _Missing) -> None:
    values = now.get("values") or {}
    there = [values.get(name), *(loser["value"] for loser in (now.get("conflicts") or {}).get(name, ()))]
    beaten = (one.shown.get("conflicts") or {}).get(name, ())
    losers = [loser["value"] for loser in beaten]
    is_own = any(loser.get("device") == current_device(tx) for loser in beaten)
    shown = one.shown["values"][name]
    for loser in losers:
        if not _among(loser, [shown, *there]):
            result.unjudged.append((name, loser))
    if _among(shown, there):
        return
    if name not in values:
        result.covering[name] = shown
    elif one.moved or is_own or (_among(values[name], losers) and _is_laid(tx, found, one.key, name)):
        result.unjudged.append((name, shown))
    elif losers:
        result.beside[name] = shown
    else:
        result.covering[name] = shown


def _among(value: Any, values: Iterable[Any]) -> bool:
    return any(same_value(value, other) for other in values)


def _is_laid(tx: Tx, found: Space, key: Key, name: str) -> bool:
    """Whether a change of this device to the field is laid over (A2)."""
    rows = tx.all(
        "SELECT fields FROM log WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND op = 'put'",
        (found.no, *key),
    )
    return any(name in json.loads(row[0]) for row in rows)


def _write(tx: Tx, found: Space, write: Write) -> None:
    try:
        write_groups(tx, found.no, [[write]], mark=WRITTEN_ANEW)
    except InvalidWrite:
        # A value that a newer server let in, and this package cannot write.
        for name, edit in write.fields.items():
            _keep(tx, found, (write.collection, write.id), name, edit, write.context or {})


def _keep(tx: Tx, found: Space, key: Key, name: str, edit: Any, context: vectors.Vector, code: str = LOST_CODE) -> None:
    """Into the inbox, where a person can read it, send it again or discard it."""
    change = ("put", *key, dumps({name: edit}))
    verdict = Verdict(code, LOST_MESSAGE if code == LOST_CODE else _BEATEN_MESSAGE, name)
    enqueue_inbox(tx, found.no, current_device(tx), 0, change, verdict, context=vectors.encode(context))


def _state(tx: Tx, found: Space) -> Json | None:
    told = tx.meta(_key(found))
    return json.loads(told) if told else None


def _key(found: Space) -> str:
    return f"recovering:{found.no}"


def _lost_key(found: Space) -> str:
    return f"lost:{found.no}"
