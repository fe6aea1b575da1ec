"""A record written whole: for what no server holds any more, and for an undone delete (rules 14, 15 and 19).

Invariants
    W1  Every field that was shown is written: a register as it shows, a text as the whole document, a set as its
        elements, a counter as its shown sum.
    W2  No put is larger than a change may be: a large record takes several. What no change can hold at all goes to
        the inbox, where it can be read.
    W3  What stands in conflict stays so: whoever writes it whole saw all of its values, and chose none of them. So such
        a field is written in an empty context; and not at all where this id wrote one of the values that lost, since
        its next number counts as having seen that. The server was told of that id, and so of the conflict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..collections import COLLECTIONS, field_of
from . import text
from .database import Tx
from .records import Key, dumps
from .rejecting import Verdict, enqueue_inbox
from .spaces import current_device
from .vectors import Vector
from .writing import CHANGE_BYTES_MAX, Write

__all__ = ["beaten", "undecided_writes", "whole_parts", "whole_put", "whole_writes"]

# A context names every device of the space; a change of the largest part leaves this much for it.
_PART_BYTES_MAX = CHANGE_BYTES_MAX - 8 * 1024


def whole_put(collection: str, shown: Mapping[str, Any], *, counters: bool = True) -> dict[str, Any]:
    """The fields of a put of everything that is shown (W1).

    counters: write a counter's shown sum, as for a record that no server holds; where the server may still hold it,
    it keeps its own sum, and the put raises it by nothing.
    """
    fields: dict[str, Any] = {}
    declared = COLLECTIONS.get(collection)
    for name, value in (shown.get("values") or {}).items():
        if declared is None or name not in declared.fields:
            continue
        kind = field_of(collection, name).kind
        if kind == "set":
            fields[name] = {"add": list(value)}
        elif kind == "counter":
            fields[name] = {"inc": value if counters else 0}
        elif kind == "text":
            fields[name] = {"yjs": text.whole(value)}
        else:
            fields[name] = value
    return fields


def whole_writes(
    tx: Tx,
    space: int,
    key: Key,
    shown: Mapping[str, Any],
    *,
    context: Vector | None = None,
    counters: bool = True,
) -> list[Write]:
    """The writes of a whole record, as few as W2 allows; the first one has the parent."""
    fields = whole_put(key[0], shown, counters=counters)
    return [Write(*key, part, context=context) for part in whole_parts(tx, space, key, fields, shown) or [{}]]


def beaten(tx: Tx, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The conflicts of a record in which a value of this very id lost: its next number counts as having seen that."""
    current = current_device(tx)
    return {
        name: losers
        for name, losers in (shown.get("conflicts") or {}).items()
        if any(loser.get("device") == current for loser in losers)
    }


def undecided_writes(tx: Tx, space: int, key: Key, shown: Mapping[str, Any], *, every: bool = False) -> list[Write]:
    """The writes of a whole record that the server may still hold, which choose between no values in conflict (W3).

    Counters are raised by nothing. every: write the fields that W3 leaves out too; the caller keeps what that ends
    (`beaten`).
    """
    in_conflict, own = shown.get("conflicts") or {}, beaten(tx, shown)
    written = {name: value for name, value in shown["values"].items() if every or name not in own}
    alone = {name: value for name, value in written.items() if name not in in_conflict or name in own}
    contested = {name: value for name, value in written.items() if name not in alone}
    writes = whole_writes(tx, space, key, {"values": alone}, counters=False)
    if contested:
        writes += whole_writes(tx, space, key, {"values": contested}, context={}, counters=False)
    return writes


def whole_parts(
    tx: Tx, space: int, key: Key, fields: Mapping[str, Any], shown: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The fields of one record in as few puts as W2 allows, the parent first; none where no field is left.

    shown: the record, where it is written for a server that holds nothing of it; a text that is too large for a change
    is then written as if it were new.
    """
    parts: list[dict[str, Any]] = []
    size = 0
    declared = COLLECTIONS[key[0]]
    parent = declared.parent[0] if declared.parent else None
    for name in sorted(fields, key=lambda name: (name != parent, name)):
        edit = fields[name]
        weight = _weight(name, edit)
        if weight > _PART_BYTES_MAX and shown is not None and declared.fields[name].kind == "text":
            # Without what was deleted in it, a text is as large as it looks.
            words = shown["values"][name].get("text", "")
            edit = {"yjs": text.replaced(None, words, tx.environment.random_bytes(text.CLIENT_BYTES))}
            weight = _weight(name, edit)
        if weight > _PART_BYTES_MAX:
            verdict = Verdict("too_long", "It is larger than a change may be, and could not be written again.", name)
            enqueue_inbox(tx, space, current_device(tx), 0, ("put", *key, dumps({name: edit})), verdict)
            continue
        if not parts or size + weight > _PART_BYTES_MAX:
            parts.append({})
            size = 0
        parts[-1][name] = edit
        size += weight
    return parts


def _weight(name: str, edit: Any) -> int:
    return len(dumps({name: edit}).encode())
