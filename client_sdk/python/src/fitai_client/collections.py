"""The collections this SDK knows: their fields' kinds, their parents and the types of their values, as data.

Owns: what a device must know to lay its own changes over merged records, to hide what lies below a deleted one, and
to tell at once what no server would take. It is read from `collections.json`, which is what the server announces in
`GET /api/sync`. Refuses to know: collections and fields that a newer server may have; those are kept as they come and
shown unread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

__all__ = [
    "CHILDREN",
    "COLLECTIONS",
    "NIL_UUID",
    "SCHEMA",
    "Collection",
    "Field",
    "chain",
    "field_of",
    "no_such_field",
    "parent_of",
]

# The id of the one record of `preferences`.
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"

Kind = Literal["register", "set", "counter", "text"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. A passing register (a rest timer) alone brings no deleted record back.

    declared: its type and limits as the server announces them; None for a field that is not known.
    """

    kind: Kind
    passing: bool = False
    declared: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection. `parent` is (the field that holds the parent's id, the parent's collection).

    single: it has one record, whose id is the nil UUID.
    """

    name: str
    fields: Mapping[str, Field]
    parent: tuple[str, str] | None = None
    read_only: bool = False
    single: bool = False


def _read(name: str, fields: Mapping[str, Mapping[str, Any]], single: bool) -> Collection:
    return Collection(
        name,
        MappingProxyType({f: Field(d["kind"], d.get("passing", False), d) for f, d in fields.items()}),
        next(((f, d["parent"]) for f, d in fields.items() if "parent" in d), None),
        any(d.get("read_only", False) for d in fields.values()),
        single,
    )


_DECLARED = json.loads(Path(__file__).with_name("collections.json").read_text(encoding="utf-8"))

# The version of the server's declarations that the file was written from; every push names it.
SCHEMA: Final[int] = _DECLARED["schema"]

COLLECTIONS: Final[Mapping[str, Collection]] = MappingProxyType(
    {name: _read(name, fields, name in _DECLARED["single"]) for name, fields in _DECLARED["collections"].items()}
)

# The collections directly below each one.
CHILDREN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {name: tuple(c.name for c in COLLECTIONS.values() if c.parent and c.parent[1] == name) for name in COLLECTIONS}
)

_REGISTER = Field("register")


def field_of(collection: str, name: str) -> Field:
    """The declaration of a field; one that is not known is taken as a register."""
    declared = COLLECTIONS.get(collection)
    return (declared.fields.get(name) if declared else None) or _REGISTER


def parent_of(collection: str) -> tuple[str, str] | None:
    """(field, collection) of the parent, or None for a collection at the top or an unknown one."""
    declared = COLLECTIONS.get(collection)
    return declared.parent if declared else None


def chain(collection: str) -> tuple[tuple[str, str], ...]:
    """Everything above a collection, nearest first, as (field, collection)."""
    above: list[tuple[str, str]] = []
    parent = parent_of(collection)
    while parent:
        above.append(parent)
        parent = parent_of(parent[1])
    return tuple(above)


def no_such_field(collection: str, name: str) -> str:
    """The sentence about a field that there is not, with what may have been meant."""
    from difflib import get_close_matches  # Loaded for a mistake alone.

    declared = COLLECTIONS.get(collection)
    known = sorted(declared.fields) if declared else []
    if close := get_close_matches(name, known, 1):
        return f"{collection} has no field {name!r}; did you mean {close[0]!r}?"
    return f"{collection} has no field {name!r}{'; it has ' if known else ''}{', '.join(known)}."
