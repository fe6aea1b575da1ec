"""What an app asks for: conditions, order and limit over a collection, as SQL and as a test of one record.

Names come from the declared collections and never reach SQL otherwise. A field of a record above may be asked for too
(a set's `workout`, or its `exercise`), and a part of a value by a dot (`weight.value`, `source.import`).

Invariant
    Q1  A record matches a condition in a query just where it matches it in a watch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..collections import COLLECTIONS, Field, chain, no_such_field
from ..errors import InvalidWrite
from .schema import value_of

if TYPE_CHECKING:
    from .reads import Record

__all__ = ["OPERATORS", "Query", "check_watchable", "column", "condition", "matches"]

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "has")
_PART = re.compile(r"[a-z][a-z0-9_]*")
# Types of values that have parts.
_OF_PARTS = ("length", "mass", "object", "struct")


@dataclass(frozen=True, slots=True)
class Query:
    """Which records of a collection, and in which order.

    equals: field → value; `id`, and the fields of the records above, work too.
    where: further conditions (field, operator, value): = != < <= > >=; "in" a list of values; "has" for a set or a list
    that contains the value. A field that was never written is None: it equals None and fulfils nothing else. A set, a
    list and a quantity have no order: of a quantity its `value` has one.
    order: fields, `-` in front for descending.
    """

    equals: Mapping[str, Any] = field(default_factory=dict)
    where: Sequence[tuple[str, str, Any]] = ()
    order: Sequence[str] = ()
    limit: int | None = None
    offset: int = 0

    def conditions(self) -> list[tuple[str, str, Any]]:
        """All conditions alike.

        Raises:
            InvalidWrite: an operator that there is not, or a value that does not go with it.
        """
        found = [*((name, "=", value) for name, value in self.equals.items()), *self.where]
        for name, operator, value in found:
            if operator not in OPERATORS:
                raise InvalidWrite(f"A condition is one of {' '.join(OPERATORS)}, not {operator!r}.", field=name)
            if operator == "in" and not isinstance(value, list | tuple | set | frozenset):
                raise InvalidWrite(f"{name}: in takes a list of values.", field=name)
            if operator in _COMPARE and isinstance(value, dict | list):
                raise InvalidWrite(f"{name}: {operator} takes a number or a text.", field=name)
        return found


def column(collection: str, name: str) -> str:
    """The SQL of a field of a record `r`, or of what is above it (`p1`, `p2`).

    Raises:
        InvalidWrite: there is no such field.
    """
    if name == "id":
        return "r.id"
    whole, dot, part = name.partition(".")
    for level, here in enumerate([collection, *(above for _, above in chain(collection))]):
        alias = f"p{level}" if level else "r"
        declared = COLLECTIONS.get(here)
        if declared is None:
            break
        if declared.parent and declared.parent[0] == name:
            return f"{alias}.parent"
        if whole in declared.fields and (not dot or _PART.fullmatch(part)):
            is_text = declared.fields[whole].kind == "text"
            return value_of(f"{whole}.text" if is_text else name, alias)
    raise InvalidWrite(no_such_field(collection, name), code="unknown_field", field=name)


def condition(collection: str, name: str, operator: str, value: Any) -> tuple[str, list[Any]]:
    """One condition as SQL, with its parameters."""
    sql = column(collection, name)
    if operator == "has" and not _holds_many(_declared(collection, name)):
        raise InvalidWrite(f"{name} of {collection} is neither a set nor a list: has does not go with it.", field=name)
    if operator in _COMPARE and _has_no_order(_declared(collection, name)):
        raise InvalidWrite(f"{name} of {collection} has no order: {operator} does not go with it.", field=name)
    if operator == "has":
        return f"EXISTS (SELECT 1 FROM json_each({sql}) WHERE value = ?)", [_parameter(value)]
    if operator == "in":
        return f"{sql} IN ({', '.join('?' * len(value))})", [_parameter(one) for one in value]
    if value is None:
        return {"=": f"{sql} IS NULL", "!=": f"{sql} IS NOT NULL"}.get(operator, "0"), []
    return f"{sql} {operator} ?", [_parameter(value)]


def _declared(collection: str, name: str) -> Field | None:
    """A field as a whole, of a record or of what is above it; None for a part of one, and for ids."""
    for here in (collection, *(above for _, above in chain(collection))):
        if here in COLLECTIONS and name in COLLECTIONS[here].fields:
            return COLLECTIONS[here].fields[name]
    return None


def _holds_many(declared: Field | None) -> bool:
    return declared is not None and (declared.kind == "set" or (declared.declared or {}).get("type") == "list")


def _has_no_order(declared: Field | None) -> bool:
    of_parts = declared is not None and (declared.declared or {}).get("type") in _OF_PARTS
    return of_parts or _holds_many(declared)


def _parameter(value: Any) -> Any:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else value


def check_watchable(collection: str, query: Query) -> None:
    """See that a watch can tell from a record alone whether it matches.

    Raises:
        InvalidWrite: a condition on a field of a record above; the ids of what is above may be asked for.
    """
    parents = {name for name, _ in chain(collection)}
    own = COLLECTIONS[collection].fields if collection in COLLECTIONS else {}
    for name, operator, value in query.conditions():
        condition(collection, name, operator, value)
        if name != "id" and name not in parents and name.partition(".")[0] not in own:
            raise InvalidWrite(f"A watch of {collection} cannot ask for {name}: watch it where it is.", field=name)


def matches(record: Record, query: Query) -> bool:
    """True where the record fulfils every condition."""
    return all(_holds(_value(record, name), operator, value) for name, operator, value in query.conditions())


def _value(record: Record, name: str) -> Any:
    if name == "id":
        return record.id
    for here, above in chain(record.collection):
        if here == name:
            return record.above.get(above)
    whole, dot, part = name.partition(".")
    value = record.values.get(whole)
    if dot:
        for step in part.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    elif isinstance(value, Mapping) and value.keys() == {"text", "yjs"}:
        return value["text"]
    return value


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
}


def _holds(found: Any, operator: str, value: Any) -> bool:
    if operator == "has":
        return isinstance(found, list) and value in found
    if operator == "in":
        return found is not None and found in value
    if operator == "=":
        return bool(found == value)
    if value is None or found is None:
        return operator == "!=" and value is None and found is not None
    if operator == "!=":
        return bool(found != value)
    # What has parts, somewhere within a value, is to SQLite the text that it is kept as.
    found = _parameter(found)
    if isinstance(found, str) != isinstance(value, str):
        # As SQLite orders them: every number is below every text.
        return _COMPARE[operator](isinstance(found, str), isinstance(value, str))
    return _COMPARE[operator](found, value)
