"""What a declaration of a collection says, and how it is put.

Owns: the parts of a declaration; what follows from it, the merge rules and the place in the tree; how it is announced.
Refuses to know: which collections there are (storage/collections.py), and what a type is (storage/field_types.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from conflict.rules import CollectionRules, FieldRules
from storage.field_types import Enum, Type, Uuid


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field. `type` is of the value of a register and of one element of a set; None for text.

    ranked: the values from weakest to strongest, where not the latest write wins but the strongest value.
    passing: the latest write counts, losers are not kept, and alone it brings no deleted record back.
    parent: the collection whose record this field names, where it says what the record is below.
    """

    kind: Literal["register", "set", "counter", "text"]
    type: Type | None
    nullable: bool = False
    ranked: tuple[str, ...] | None = None
    passing: bool = False
    parent: str | None = None

    def describe(self) -> dict[str, Any]:
        """This field as `GET /api/sync` announces it."""
        described: dict[str, Any] = {"kind": self.kind}
        described.update(self.type.describe() if self.type else {"type": "text"})
        if self.nullable:
            described["nullable"] = True
        if self.ranked:
            described["order"] = list(self.ranked)
        if self.passing:
            described["passing"] = True
        if self.parent:
            described["parent"] = self.parent
        return described


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """One collection, with what its declaration implies computed once.

    rules: what the merge kernel needs of it; `rules.parent` says which field names the record it is below.
    single: its one record has the nil UUID.
    server_only: the server alone writes it; a device may only read.
    depth: 0 for a collection at the top, 1 for one below such a collection, and so on.
    has_children: some other collection is below this one.
    listed_by: the time by which people list it, newest first; an index keeps that order (`records.listed_at`).
    """

    name: str
    fields: Mapping[str, FieldSpec]
    rules: CollectionRules
    single: bool = False
    server_only: bool = False
    depth: int = 0
    has_children: bool = False
    listed_by: str | None = None

    def describe(self) -> dict[str, dict[str, Any]]:
        """This collection as `GET /api/sync` announces it: {field: {"kind", "type", …}}."""
        server = {"read_only": True} if self.server_only else {}
        return {name: {**field.describe(), **server} for name, field in self.fields.items()}


def register(type: Type) -> FieldSpec:
    """A field with one value, which is never null."""
    return FieldSpec("register", type)


def maybe(type: Type) -> FieldSpec:
    """A register that may be null."""
    return FieldSpec("register", type, nullable=True)


def ranked(*weakest_first: str) -> FieldSpec:
    """A register of which not the latest write wins but the strongest value."""
    return FieldSpec("register", Enum(weakest_first), ranked=weakest_first)


def passing(type: Type) -> FieldSpec:
    """A register that may be null, of which the latest write counts and no loser is kept."""
    return FieldSpec("register", type, nullable=True, passing=True)


def set_of(element: Type) -> FieldSpec:
    """A set of such elements."""
    return FieldSpec("set", element)


def below(collection: str) -> FieldSpec:
    """The field that names the record, of this collection, which its own is below."""
    return FieldSpec("register", Uuid(record=True), parent=collection)


def collection(
    name: str,
    fields: dict[str, FieldSpec],
    *,
    single: bool = False,
    server_only: bool = False,
    listed_by: str | None = None,
) -> CollectionSpec:
    """The declaration of one collection, with the merge rules that follow from its fields; see `CollectionSpec`."""
    rules = {
        field: FieldRules(kind=spec.kind, order=spec.ranked or "latest", passing=spec.passing)
        for field, spec in fields.items()
    }
    parent = next(((field, spec.parent) for field, spec in fields.items() if spec.parent), None)
    return CollectionSpec(
        name, MappingProxyType(fields), CollectionRules(rules, parent), single, server_only, listed_by=listed_by
    )


def by_name(declared: tuple[CollectionSpec, ...]) -> dict[str, CollectionSpec]:
    """The declarations by name, each with its place in the tree; a parent is declared before its children."""
    parents = {spec.rules.parent[1] for spec in declared if spec.rules.parent}
    placed: dict[str, CollectionSpec] = {}
    for spec in declared:
        depth = placed[spec.rules.parent[1]].depth + 1 if spec.rules.parent else 0
        placed[spec.name] = replace(spec, depth=depth, has_children=spec.name in parents)
    return placed
