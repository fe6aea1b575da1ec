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
import re
import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final

import msgspec

from storage import field_types as types
from storage.collections import COLLECTIONS, NIL_UUID, CollectionSpec, FieldSpec

# Long enough to recognise a name by, short enough that a hostile name of 10,000 characters is not repeated in full.
_NAME_CHARS_MAX = 64
# What one counter change may add; see field_types.NUMBER_MAX.
_INCREMENT_MAX = types.NUMBER_MAX


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one change is refused. `field` is the declared field at fault, or None where the change as a whole is."""

    code: str
    field: str | None
    message: str


class _Fault:
    """What a checker answers for a value that it refuses; `path` leads to it from the field (".value", "[3]")."""

    __slots__ = ("code", "path", "text")

    def __init__(self, code: str, text: str, path: str = "") -> None:
        self.code = code
        self.text = text
        self.path = path

    def below(self, step: str) -> _Fault:
        return _Fault(self.code, self.text, step + self.path)


# A checker answers the value to merge, or a _Fault.
_Check = Callable[[Any], Any]

_RECORD_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_ANY_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z").fullmatch
_ORDER: Final = re.compile(r"[!-~]+").fullmatch
# Area/Location, with at most two levels below the area, as the longest names of the database have.
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}").fullmatch

_NUL = _Fault("wrong_type", "must not contain U+0000")
_NULL = _Fault("wrong_type", "cannot be null")


def _unless_nul(value: str, fault: _Fault) -> _Fault:
    """`fault` for a text that is refused; U+0000 in it has its own code, whatever else is wrong."""
    return _NUL if "\0" in value else fault


# -- what the planner calls ----------------------------------------------------------------------------------------


def check_id(collection: CollectionSpec, id: str) -> Rejection | None:
    """None where `id` may name a record of this collection, for a put and for a delete alike."""
    if collection.single:
        if id == NIL_UUID:
            return None
        return Rejection("bad_id", None, f"the one record of {collection.name} has the id {NIL_UUID}")
    if type(id) is str and _RECORD_ID(id):
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
    refused = check_id(collection, id)
    if refused is not None:
        return refused
    if type(fields) is not dict:
        return Rejection("wrong_type", None, "fields must be an object")
    checks = _compiled(collection.name)
    checked: dict[str, Any] = {}
    for name, value in fields.items():
        found = checks.get(name)
        if found is None:
            known = name[:_NAME_CHARS_MAX]
            return Rejection("unknown_field", known, f"{collection.name} has no field {known!r}")
        check, nullable = found
        if value is None and nullable:
            checked[name] = None
            continue
        result = _NULL if value is None else check(value)
        if result.__class__ is _Fault:
            return Rejection(result.code, name, f"{name}{result.path} {result.text}")
        checked[name] = result
    return checked


@cache
def _compiled(name: str) -> Mapping[str, tuple[_Check, bool]]:
    return {field: (_of_field(spec), spec.nullable) for field, spec in COLLECTIONS[name].fields.items()}


# -- kinds ---------------------------------------------------------------------------------------------------------


def _of_field(spec: FieldSpec) -> _Check:
    if spec.kind == "text":
        return _check_text
    if spec.kind == "counter":
        return _check_counter
    assert spec.type is not None, "only a text has no type"
    of_value = _of_type(spec.type)
    return _of_set(of_value) if spec.kind == "set" else of_value


_TEXT_SHAPE = _Fault("wrong_type", 'must be {"yjs": "<base64 update>"}')
_TEXT_BASE64 = _Fault("bad_text", "must be base64 with its padding", ".yjs")
_TEXT_EMPTY = _Fault("bad_text", "is empty, which no update is", ".yjs")


def _check_text(value: Any) -> Any:
    if type(value) is not dict or len(value) != 1 or type(value.get("yjs")) is not str:
        return _TEXT_SHAPE
    try:
        update = binascii.a2b_base64(value["yjs"], strict_mode=True)
    except ValueError:  # binascii.Error is one; the other is text outside ASCII
        return _TEXT_BASE64
    return {"yjs": update} if update else _TEXT_EMPTY


_COUNTER_SHAPE = _Fault("wrong_type", 'must be {"inc": number}')


def _check_counter(value: Any) -> Any:
    if type(value) is not dict or len(value) != 1 or "inc" not in value:
        return _COUNTER_SHAPE
    increment = _check_increment(value["inc"])
    return increment.below(".inc") if increment.__class__ is _Fault else {"inc": increment}


_SET_SHAPE = _Fault("wrong_type", 'must be {"add": […], "remove": […]}')


def _of_set(of_element: _Check) -> _Check:
    def check(value: Any) -> Any:
        if type(value) is not dict or not value.keys() <= {"add", "remove"}:
            return _SET_SHAPE
        checked = {}
        for move in ("add", "remove"):
            elements = value.get(move, [])
            if type(elements) is not list:
                return _SET_SHAPE
            for index, element in enumerate(elements):
                result = of_element(element)
                if result.__class__ is _Fault:
                    return result.below(f".{move}[{index}]")
            checked[move] = elements
        return checked

    return check


# -- types ---------------------------------------------------------------------------------------------------------


def _of_type(declared: types.Type) -> _Check:
    return _FACTORIES[type(declared)](declared)


def _of_string(declared: types.String) -> _Check:
    most, least = declared.max_length, declared.min_length
    wrong = _Fault("wrong_type", "must be a string")
    long = _Fault("too_long", f"must have at most {most} characters")
    short = _Fault("out_of_range", f"must have at least {least} characters")

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        if "\0" in value:
            return _NUL
        if len(value) > most:
            return long
        return short if len(value) < least else value

    return check


def _of_integer(declared: types.Integer) -> _Check:
    low, high = declared.minimum, declared.maximum
    wrong = _Fault("wrong_type", f"must be a whole number, {low} to {high}")
    outside = _Fault("out_of_range", f"must be {low} to {high}")

    def check(value: Any) -> Any:
        if type(value) is float:
            if not value.is_integer():
                # A fifth decimal has its own code, whatever the number's declared step.
                return wrong if round(value, types.DECIMALS_MAX) == value else outside
            value = int(value)
        elif type(value) is not int:
            return wrong
        return value if low <= value <= high else outside

    return check


def _of_number(declared: types.Number) -> _Check:
    return _of_amount(declared.minimum, declared.maximum, halves=declared.halves)


def _of_amount(low: float, high: float, *, halves: bool = False, unit: str = "") -> _Check:
    wrong = _Fault("wrong_type", "must be a number")
    bounds = f"must be {_plain(low)} to {_plain(high)}{unit}"
    outside = _Fault("out_of_range", bounds + (" by halves" if halves else ""))
    decimals = _Fault("out_of_range", f"must have at most {types.DECIMALS_MAX} decimals")

    def check(value: Any) -> Any:
        if type(value) is int:
            return value if low <= value <= high else outside
        if type(value) is not float:
            return wrong
        # No bound holds for NaN, so it (which strict JSON does not have) would end here too.
        if not low <= value <= high:
            return outside
        if halves:
            return value if (value * 2).is_integer() else outside
        # round() answers the double nearest to the decimal of four digits: the same one where nothing was cut off.
        return value if round(value, types.DECIMALS_MAX) == value else decimals

    return check


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


_check_increment = _of_amount(-_INCREMENT_MAX, _INCREMENT_MAX)


def _of_boolean(declared: types.Boolean) -> _Check:
    wrong = _Fault("wrong_type", "must be true or false")
    return lambda value: value if type(value) is bool else wrong


def _of_enum(declared: types.Enum) -> _Check:
    words, prefix = frozenset(declared.values), declared.prefix
    choices = ", ".join(declared.values) + (f" or {prefix}<name>" if prefix else "")
    wrong = _Fault("wrong_type", "must be a string")
    outside = _Fault("out_of_range", f"must be one of {choices}")
    if prefix is None:

        def check(value: Any) -> Any:
            if type(value) is not str:
                return wrong
            return value if value in words else _unless_nul(value, outside)

        return check

    of_custom = _of_string(types.String(declared.custom_max + len(prefix)))

    def check_with_prefix(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        if value in words:
            return value
        if value.startswith(prefix) and len(value) > len(prefix):
            return of_custom(value)
        return _unless_nul(value, outside)

    return check_with_prefix


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:  # month 13, 30 February, year 0
        return False
    return True


def _of_time(declared: types.Time) -> _Check:
    wrong = _Fault("wrong_type", "must be a time like 2026-11-23T10:00:00.123Z")
    return lambda value: value if type(value) is str and _TIME(value) and _is_day(value[:10]) else wrong


def _of_date(declared: types.Date) -> _Check:
    wrong = _Fault("wrong_type", "must be a date like 2026-11-23")
    return lambda value: value if type(value) is str and _DATE(value) and _is_day(value) else wrong


@cache
def _known_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _of_time_zone(declared: types.TimeZone) -> _Check:
    wrong = _Fault("wrong_type", "must be a string")
    unknown = _Fault("out_of_range", "must be an IANA time zone like Europe/Berlin")

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        if not _ZONE(value):
            return _unless_nul(value, unknown)
        # A machine without the zone database judges by the shape of the name alone: it is no fault of the device.
        zones = _known_zones()
        return value if value in zones or not zones else unknown

    return check


def _of_order(declared: types.Order) -> _Check:
    most = declared.max_length
    wrong = _Fault("wrong_type", "must be a fractional index: printable ASCII without blanks")
    long = _Fault("too_long", f"must have at most {most} characters")

    def check(value: Any) -> Any:
        if type(value) is not str or not _ORDER(value):
            return wrong
        return value if len(value) <= most else long

    return check


def _of_uuid(declared: types.Uuid) -> _Check:
    match = _RECORD_ID if declared.record else _ANY_UUID
    wrong = _Fault("wrong_type", "must be a string")
    versions = " of version 7 or 5" if declared.record else ""
    malformed = _Fault("bad_id", f"must be a UUID{versions} in lower case")

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        return value if match(value) else _unless_nul(value, malformed)

    return check


def _of_quantity(per_unit: Mapping[str, float], maximum: int) -> _Check:
    """A value with its unit; `maximum` is in the unit whose factor is 1."""
    wrong = _Fault("wrong_type", f'must be {{"value": number, "unit": "{"|".join(per_unit)}"}}')
    no_unit = _Fault("out_of_range", f"must be one of {', '.join(per_unit)}", ".unit")
    # Rounded to the decimals that a value may have, so that the bound itself may be entered.
    amounts = {
        name: _of_amount(0, round(maximum / factor, types.DECIMALS_MAX), unit=f" {name}")
        for name, factor in per_unit.items()
    }

    def check(value: Any) -> Any:
        if type(value) is not dict or len(value) != 2:
            return wrong
        unit = value.get("unit")
        if type(unit) is not str or "value" not in value:
            return wrong
        of_amount = amounts.get(unit)
        if of_amount is None:
            return _unless_nul(unit, no_unit)
        amount = of_amount(value["value"])
        return amount.below(".value") if amount.__class__ is _Fault else value

    return check


def _of_mass(declared: types.Mass) -> _Check:
    return _of_quantity(types.KG_PER_MASS_UNIT, declared.kg_max)


def _of_length(declared: types.Length) -> _Check:
    return _of_quantity(types.M_PER_LENGTH_UNIT, declared.m_max)


def _of_json(declared: types.Json) -> _Check:
    most = declared.max_bytes
    wrong = _Fault("wrong_type", "must be an object")
    deep = _Fault("out_of_range", f"must have at most {types.FREE_DEPTH_MAX} levels")
    odd = _Fault("wrong_type", "must be JSON that every reader takes: no lone surrogate, no endless number")
    long = _Fault("too_long", f"must have at most {most} bytes")

    def check(value: Any) -> Any:
        if declared.object_only and type(value) is not dict:
            return wrong
        # The depth comes first: it is what makes the encoder's recursion harmless.
        if not _is_shallow(value, types.FREE_DEPTH_MAX):
            return deep
        try:
            encoded = msgspec.json.encode(value)
        except (UnicodeEncodeError, OverflowError):
            return odd
        if len(encoded) > most:
            return long
        # U+0000 is always written so; a backslash in a text is doubled, so the candidates are few.
        return _NUL if rb"\u0000" in encoded and _holds_nul(value) else value

    return check


def _is_shallow(value: Any, levels: int) -> bool:
    if type(value) is dict:
        return levels > 0 and all(_is_shallow(each, levels - 1) for each in value.values())
    if type(value) is list:
        return levels > 0 and all(_is_shallow(each, levels - 1) for each in value)
    return True


def _holds_nul(value: Any) -> bool:
    if type(value) is str:
        return "\0" in value
    if type(value) is dict:
        return any("\0" in name or _holds_nul(each) for name, each in value.items())
    return type(value) is list and any(map(_holds_nul, value))


def _of_list(declared: types.ListOf) -> _Check:
    of_item, most = _of_type(declared.item), declared.max_items
    wrong = _Fault("wrong_type", "must be a list")
    long = _Fault("too_long", f"must have at most {most} elements")

    def check(value: Any) -> Any:
        if type(value) is not list:
            return wrong
        return long if len(value) > most else _of_items(value, of_item)

    return check


def _of_pair(declared: types.Pair) -> _Check:
    of_item = _of_type(declared.item)
    wrong = _Fault("wrong_type", "must be a list of two")
    return lambda value: _of_items(value, of_item) if type(value) is list and len(value) == 2 else wrong


def _of_items(values: list[Any], of_item: _Check) -> Any:
    checked = []
    for index, value in enumerate(values):
        result = of_item(value)
        if result.__class__ is _Fault:
            return result.below(f"[{index}]")
        checked.append(result)
    return checked


def _of_struct(declared: types.Struct) -> _Check:
    members = {name: (_of_type(member.type), member.nullable) for name, member in declared.members.items()}
    needed = frozenset(name for name, member in declared.members.items() if not member.optional)
    shape = f"must be an object with {', '.join(sorted(needed))}"
    others = members.keys() - needed
    wrong = _Fault("wrong_type", shape + (f" and at most {', '.join(sorted(others))}" if others else ""))

    def check(value: Any) -> Any:
        if type(value) is not dict or not needed <= value.keys() <= members.keys():
            return wrong
        checked = {}
        for name, each in value.items():
            of_member, nullable = members[name]
            if each is None and nullable:
                checked[name] = None
                continue
            result = _NULL if each is None else of_member(each)
            if result.__class__ is _Fault:
                return result.below(f".{name}")
            checked[name] = result
        return checked

    return check


_FACTORIES: Final[Mapping[type, Callable[[Any], _Check]]] = {
    types.String: _of_string,
    types.Integer: _of_integer,
    types.Number: _of_number,
    types.Boolean: _of_boolean,
    types.Enum: _of_enum,
    types.Time: _of_time,
    types.Date: _of_date,
    types.TimeZone: _of_time_zone,
    types.Order: _of_order,
    types.Uuid: _of_uuid,
    types.Mass: _of_mass,
    types.Length: _of_length,
    types.Json: _of_json,
    types.ListOf: _of_list,
    types.Pair: _of_pair,
    types.Struct: _of_struct,
}
