"""What a record shows: the server's merged values with the device's own changes laid over them (rules 4 and 5).

Pure functions over JSON values. The *base* is a record as the server served it; a *shown* record has the same
form, with `pending` beside it: the fields that show a change of this device.

Invariants
    O1  Laying changes over one by one as they are made gives what laying all of them over the base gives.
    O2  A value that came into the base under a change laid over it is listed among the field's conflicts, and
        no other value of this device's doing is (rule 5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..collections import field_of
from ..errors import InvalidWrite
from . import text
from .clock import hlc_ms, rfc3339

__all__ = ["LaidPut", "counts", "lay_over", "same_value", "seen_values", "start"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LaidPut:
    """A put of this device that is laid over. `seen` is what `seen_values` gave when it was made."""

    hlc: str
    fields: Mapping[str, Any]
    seen: Mapping[str, list[Any]]


def start(base: Json | None) -> Json:
    """What a record shows with nothing laid over it; an empty record where the server never showed it."""
    if base is None:
        return {"values": {}, "updated_at": None, "updated_by": None, "pending": []}
    shown: Json = {
        "values": dict(base.get("values") or {}),
        "updated_at": base.get("updated_at"),
        "updated_by": base.get("updated_by"),
        "pending": [],
    }
    if base.get("conflicts"):
        shown["conflicts"] = dict(base["conflicts"])
    return shown


def lay_over(collection: str, shown: Json, base: Json | None, put: LaidPut) -> None:
    """Lay one put over `shown`, in place. `base` is what `shown` was started from."""
    values = shown["values"]
    for name, edit in put.fields.items():
        kind = field_of(collection, name).kind
        if kind == "set":
            inside = {e for e in values.get(name) or () if e not in edit.get("remove", ())}
            values[name] = sorted(inside.union(edit.get("add", ())))
        elif kind == "counter":
            values[name] = (values.get(name) or 0) + edit["inc"]
        elif kind == "text":
            values[name] = _text(values.get(name), edit["yjs"])
        else:
            values[name] = edit
            _list_conflicts(collection, shown, base, name, edit, put.seen.get(name, []))
        if name not in shown["pending"]:
            shown["pending"].append(name)
    shown["updated_at"] = rfc3339(hlc_ms(put.hlc))
    # Nobody but this device knows of the change yet, and its id may still become another one.
    shown["updated_by"] = None


def seen_values(collection: str, base: Json | None, fields: Iterable[str]) -> dict[str, list[Any]]:
    """For each register among `fields`, the values of the base that a change made now has seen, and so replaces."""
    if base is None:
        return {}
    values = base.get("values") or {}
    conflicts = base.get("conflicts") or {}
    return {
        name: [values[name], *(loser["value"] for loser in conflicts.get(name, ()))]
        for name in fields
        if name in values and field_of(collection, name).kind == "register"
    }


def counts(collection: str, fields: Mapping[str, Any]) -> bool:
    """True where a put counts against deletes: one of passing fields alone does not, one of no fields does."""
    return not fields or not all(field_of(collection, name).passing for name in fields)


def _list_conflicts(collection: str, shown: Json, base: Json | None, name: str, value: Any, seen: list[Any]) -> None:
    """Rule 5: of the base's values of a register, list those that the change laid over it had not seen."""
    losers: list[Json] = []
    if base is not None and name in (base.get("values") or {}) and not field_of(collection, name).passing:
        winner = {
            "value": base["values"][name],
            "device": base.get("updated_by"),
            "at": base.get("updated_at"),
        }
        known = {_same(item) for item in (*seen, value)}
        for loser in (winner, *(base.get("conflicts") or {}).get(name, ())):
            if _same(loser["value"]) not in known:
                known.add(_same(loser["value"]))
                losers.append(loser)
    conflicts = shown.setdefault("conflicts", {})
    if losers:
        conflicts[name] = losers
    else:
        conflicts.pop(name, None)
    if not conflicts:
        del shown["conflicts"]


def _text(shown: Any, update: str) -> Any:
    try:
        return text.laid_over(shown, update)
    except InvalidWrite:
        # What the server refuses as bad_text shows as if it had not been written, until the verdict is there.
        return shown if shown is not None else {"text": "", "yjs": ""}


def same_value(one: Any, other: Any) -> bool:
    """Equal as JSON values (8 is 8.0)."""
    return _same(one) == _same(other)


def _same(value: Any) -> str:
    """A text that is equal for equal JSON values (8 is 8.0)."""
    return json.dumps(_normal(value), sort_keys=True)


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    return value
