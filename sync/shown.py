"""Records as they are shown: plain JSON, with the version by which a reader says what they saw.

Owns: the plain form of a record (a text as its string), and what is below what.
Refuses to know: how records are read and written (records.py), and HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from storage.collections import COLLECTIONS
from storage.records import Row
from storage.rows import Key, StoredRecord

_TEXTS: Final = {
    name: frozenset(each for each, declared in spec.fields.items() if declared.kind == "text")
    for name, spec in COLLECTIONS.items()
}


class Record(msgspec.Struct, frozen=True):
    """One shown record. `values`: plain JSON, a text as its string; fields that nobody wrote are not there.

    conflicts: {field: [{"value", "device", "at"}]}, the values that lost to concurrent ones.
    life: of its space, which together with `seq` names one state of the record.
    """

    collection: str
    id: str
    seq: int
    life: str
    parent: Key | None
    values: dict[str, Any]
    conflicts: dict[str, list[dict[str, Any]]]
    updated_at: str | None
    updated_by: str | None
    # The Yjs states of its texts, in base64.
    yjs: dict[str, str]

    @property
    def key(self) -> Key:
        return self.collection, self.id

    @property
    def version(self) -> str:
        """Names this state of the record."""
        return version_of([self])

    def plain(self) -> dict[str, Any]:
        """The record as the REST side shows it: {"id", "version", fields, "conflicts"?, "updated_at", "updated_by"}."""
        shown: dict[str, Any] = {"id": self.id, "version": self.version, **self.values}
        if self.conflicts:
            shown["conflicts"] = self.conflicts
        return {**shown, "updated_at": self.updated_at, "updated_by": self.updated_by}


@dataclass(frozen=True, slots=True)
class Tree:
    """A record with everything that is shown below it, in no order.

    is_whole: False where that is more than one answer shows (TREE_MAX), and `below` is empty.
    """

    root: Record
    below: list[Record]
    is_whole: bool = True
    _children: dict[tuple[Key, str], list[Record]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.below:
            if each.parent is not None:
                self._children.setdefault((each.parent, each.collection), []).append(each)

    @property
    def version(self) -> str:
        """Names this state of the record and of all that is below it."""
        return version_of([self.root, *self.below])

    def children(self, of: Record, collection: str) -> list[Record]:
        """What is directly below a record, by `position` where it has one, then by id."""
        found = self._children.get((of.key, collection), ())
        return sorted(found, key=lambda each: (str(each.values.get("position") or ""), each.id))


def version_of(records: Iterable[Record]) -> str:
    """A short text that is another one as soon as any of these records is in another state, or they are others."""
    states = sorted(f"{each.collection}/{each.id}/{each.seq}/{each.life}" for each in records)
    return hashlib.blake2b("\n".join(states).encode(), digest_size=12).hexdigest()


class _Body(msgspec.Struct):
    """As much of a served record as a reader without a device needs."""

    values: dict[str, Any] = {}
    conflicts: dict[str, list[dict[str, Any]]] = {}
    updated_at: str | None = None
    updated_by: str | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def record_of(row: Row | StoredRecord, life: str) -> Record:
    """A shown row of a space, whose life is `life`, as a record."""
    body = _decode_body(row.body)
    values, yjs = body.values, {}
    for name in _TEXTS[row.collection] & values.keys():
        yjs[name] = values[name]["yjs"]
        values[name] = values[name]["text"]
    return Record(
        row.collection,
        row.id,
        row.seq,
        life,
        row.parent,
        values,
        body.conflicts,
        body.updated_at,
        body.updated_by,
        yjs,
    )


def trees_of(roots: Sequence[Record], below: Iterable[Record]) -> list[Tree]:
    """Each root with what is below it, at any depth."""
    children: dict[Key, list[Record]] = {}
    for each in below:
        if each.parent is not None:
            children.setdefault(each.parent, []).append(each)
    trees = []
    for root in roots:
        found: list[Record] = []
        level = [root]
        while level:
            level = [child for each in level for child in children.get(each.key, ())]
            found += level
        trees.append(Tree(root, found))
    return trees
