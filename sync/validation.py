"""Whether one put may be: every field's value against the declaration of its collection.

Owns: the checks behind the rejection codes `unknown_field`, `wrong_type`, `out_of_range`, `too_long`, `bad_id` and
the undecodable half of `bad_text`; and the form in which the kernel takes a field (a text's base64 decoded, a set
with both its lists).

Refuses to know: what is stored, who writes, and how a change merges. The rules that need those (`read_only`,
`immutable`, `record_full`, `group`, a text update that does not apply) are the planner's.

Codes
    wrong_type    another JSON type than declared, a malformed time, date or order, U+0000 in a text, null where the
                  field takes none, a part of a fraction where a whole number is asked for
    out_of_range  a number outside its bounds or with a fifth decimal, a word that is not one of the declared ones,
                  a text below its least length
    too_long      more characters, elements or bytes than the declared most
    bad_id        a text that is no UUID of the right version in lower case, as a record's id or in a field

Invariants
    V1  Any JSON value in any field is accepted or rejected by name, and never raises.
    V2  A checker is compiled once for each field; checking allocates nothing but its result.
    V3  What is accepted is what was sent, but for its spelling: 8.0 is 8 where a whole number is declared.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from storage.collection_specs import CollectionSpec, FieldSpec
from storage.collections import COLLECTIONS, NIL_UUID
from sync.value_checks import NULL, Check, Fault, check_increment, is_record_id, of_type

# Long enough to recognise a name by, short enough that a hostile name of 10,000 characters is not repeated in full.
_NAME_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one change is refused. `field` is the declared field at fault, or None where the change as a whole is."""

    code: str
    field: str | None
    message: str


# -- what the planner calls ----------------------------------------------------------------------------------------


def check_id(collection: CollectionSpec, id: str) -> Rejection | None:
    """None where `id` may name a record of this collection, for a put and for a delete alike."""
    if collection.single:
        if id == NIL_UUID:
            return None
        return Rejection("bad_id", None, f"the one record of {collection.name} has the id {NIL_UUID}")
    if type(id) is str and is_record_id(id):
        return None
    return Rejection("bad_id", None, "a record's id is a UUID of version 7 or 5 in lower case")


def check_put(collection: CollectionSpec, id: str, fields: dict[str, Any]) -> Rejection | dict[str, Any]:
    """Check one put against its collection's declaration.

    Args:
        fields: as decoded from strict JSON.

    Returns:
        The fields as the kernel takes them: a set as {"add": […], "remove": […]}, a text as {"yjs": bytes}, a
        register and a counter as sent. Or the first fault found: the change is spent, and its device is told.
    """
    return check_id(collection, id) or check_fields(collection, fields)


def check_fields(collection: CollectionSpec, fields: dict[str, Any]) -> Rejection | dict[str, Any]:
    """`check_put` for a record whose id has been checked."""
    if type(fields) is not dict:
        return Rejection("wrong_type", None, "fields must be an object")
    checks = _CHECKS[collection.name]
    try:
        # Nearly every put is good: look at all fields first, and for the fault only where there is one.
        checked = {
            name: checks[name].of_value(value) if value is not None else checks[name].of_null
            for name, value in fields.items()
        }
    except KeyError:
        return _first_fault(collection, fields)
    return _first_fault(collection, fields) if Fault in map(type, checked.values()) else checked


def _first_fault(collection: CollectionSpec, fields: dict[str, Any]) -> Rejection:
    checks = _CHECKS[collection.name]
    for name, value in fields.items():
        found = checks.get(name)
        if found is None:
            known = name[:_NAME_CHARS_MAX]
            return Rejection("unknown_field", known, f"{collection.name} has no field {known!r}")
        result = found.of_null if value is None else found.of_value(value)
        if result.__class__ is Fault:
            return Rejection(result.code, name, f"{name}{result.path} {result.text}")
    raise AssertionError("there is a fault")


# -- kinds ---------------------------------------------------------------------------------------------------------


def compile_field(spec: FieldSpec) -> Check:
    """The checker of one declared field, for every value but null."""
    if spec.kind == "text":
        return _check_text
    if spec.kind == "counter":
        return _check_counter
    assert spec.type is not None, "only a text has no type"
    of_value = of_type(spec.type)
    return _of_set(of_value) if spec.kind == "set" else of_value


_TEXT_SHAPE = Fault("wrong_type", 'must be {"yjs": "<base64 update>"}')
_TEXT_BASE64 = Fault("bad_text", "must be base64 with its padding", ".yjs")
_TEXT_EMPTY = Fault("bad_text", "is empty, which no update is", ".yjs")


def _check_text(value: Any) -> Any:
    if type(value) is not dict or len(value) != 1 or type(value.get("yjs")) is not str:
        return _TEXT_SHAPE
    try:
        update = binascii.a2b_base64(value["yjs"], strict_mode=True)
    except ValueError:  # binascii.Error is one; the other is text outside ASCII
        return _TEXT_BASE64
    return {"yjs": update} if update else _TEXT_EMPTY


_COUNTER_SHAPE = Fault("wrong_type", 'must be {"inc": number}')


def _check_counter(value: Any) -> Any:
    if type(value) is not dict or len(value) != 1 or "inc" not in value:
        return _COUNTER_SHAPE
    increment = check_increment(value["inc"])
    return increment.below(".inc") if increment.__class__ is Fault else {"inc": increment}


_SET_SHAPE = Fault("wrong_type", 'must be {"add": […], "remove": […]}')


def _of_set(of_element: Check) -> Check:
    def check(value: Any) -> Any:
        if type(value) is not dict or not value.keys() <= {"add", "remove"}:
            return _SET_SHAPE
        checked: dict[str, list[Any]] = {}
        for move in ("add", "remove"):
            elements = value.get(move, [])
            if type(elements) is not list:
                return _SET_SHAPE
            for index, element in enumerate(elements):
                result = of_element(element)
                if result.__class__ is Fault:
                    return result.below(f".{move}[{index}]")
            checked[move] = elements
        return checked

    return check


class _FieldCheck(NamedTuple):
    """The checker of a field's values, and what null is in it: None, or a fault."""

    of_value: Check
    of_null: Fault | None


_CHECKS: Final[Mapping[str, Mapping[str, _FieldCheck]]] = {
    name: {
        field: _FieldCheck(compile_field(declared), None if declared.nullable else NULL)
        for field, declared in spec.fields.items()
    }
    for name, spec in COLLECTIONS.items()
}
