"""Compiled checkers of values: one for each declared type.

Owns: what a value of each type in `storage/field_types.py` may be, and the fault of one that is not.

Refuses to know: collections, kinds of fields, and what a rejection looks like (`sync/validation.py`).

A checker answers the value to merge, or a `Fault`; it never raises, whatever JSON value it is given, and it changes
nothing of what it is given. Faults are built with the checker, so that refusing costs as little as accepting.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

import msgspec

from storage import field_types as types


class Fault:
    """What a checker answers for a value that it refuses; `path` leads to it from the field (".value", "[3]")."""

    __slots__ = ("code", "path", "text")

    def __init__(self, code: str, text: str, path: str = "") -> None:
        self.code = code
        self.text = text
        self.path = path

    def below(self, step: str) -> Fault:
        return Fault(self.code, self.text, step + self.path)


# A checker answers the value to merge, or a Fault.
Check = Callable[[Any], Any]

is_record_id: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_ANY_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_UUID_CHARS: Final = 36
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
# What needs no look into the calendar: the first 28 days of a month, in a year that there is.
_PLAIN_TIME: Final = re.compile(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
).fullmatch
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z").fullmatch
_ORDER: Final = re.compile(r"[!-~]+").fullmatch
# Area/Location, with at most two levels below the area, as the longest names of the database have.
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}").fullmatch

_NUL = Fault("wrong_type", "must not contain U+0000")
NULL = Fault("wrong_type", "cannot be null")


def _unless_nul(value: str, fault: Fault) -> Fault:
    """`fault` for a text that is refused; U+0000 in it has its own code, whatever else is wrong."""
    return _NUL if "\0" in value else fault


def of_type(declared: types.Type) -> Check:
    """Compile the checker of one declared type."""
    return _FACTORIES[type(declared)](declared)


def _of_string(declared: types.String) -> Check:
    most, least = declared.max_length, declared.min_length
    wrong = Fault("wrong_type", "must be a string")
    long = Fault("too_long", f"must have at most {most} characters")
    short = Fault("out_of_range", f"must have at least {least} characters")

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        if "\0" in value:
            return _NUL
        if len(value) > most:
            return long
        return short if len(value) < least else value

    return check


def _of_integer(declared: types.Integer) -> Check:
    low, high = declared.minimum, declared.maximum
    wrong = Fault("wrong_type", f"must be a whole number, {low} to {high}")
    outside = Fault("out_of_range", f"must be {low} to {high}")

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


def _of_number(declared: types.Number) -> Check:
    return _of_amount(declared.minimum, declared.maximum, halves=declared.halves)


def _of_amount(low: float, high: float, *, halves: bool = False, unit: str = "") -> Check:
    wrong = Fault("wrong_type", "must be a number")
    bounds = f"must be {_plain(low)} to {_plain(high)}{unit}"
    outside = Fault("out_of_range", bounds + (" by halves" if halves else ""))
    decimals = Fault("out_of_range", f"must have at most {types.DECIMALS_MAX} decimals")

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


# What one change may add to a counter.
check_increment = _of_amount(-types.NUMBER_MAX, types.NUMBER_MAX)


def _of_boolean(declared: types.Boolean) -> Check:
    wrong = Fault("wrong_type", "must be true or false")
    return lambda value: value if type(value) is bool else wrong


def _of_enum(declared: types.Enum) -> Check:
    words, prefix = frozenset(declared.values), declared.prefix
    choices = ", ".join(declared.values) + (f" or {prefix}<name>" if prefix else "")
    wrong = Fault("wrong_type", "must be a string")
    outside = Fault("out_of_range", f"must be one of {choices}")
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


def _of_time(declared: types.Time) -> Check:
    wrong = Fault("wrong_type", "must be a time like 2026-11-23T10:00:00.123Z")

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        return value if _PLAIN_TIME(value) or (_TIME(value) and _is_day(value[:10])) else wrong

    return check


def _of_date(declared: types.Date) -> Check:
    wrong = Fault("wrong_type", "must be a date like 2026-11-23")
    return lambda value: value if type(value) is str and _DATE(value) and _is_day(value) else wrong


def _of_time_zone(declared: types.TimeZone) -> Check:
    wrong = Fault("wrong_type", "must be a string")
    unknown = Fault("out_of_range", "must be an IANA time zone like Europe/Berlin")
    zones = zoneinfo.available_timezones()

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        if not _ZONE(value):
            return _unless_nul(value, unknown)
        # A machine without the zone database judges by the shape of the name alone: it is no fault of the device.
        return value if value in zones or not zones else unknown

    return check


def _of_order(declared: types.Order) -> Check:
    most = declared.max_length
    wrong = Fault("wrong_type", "must be a fractional index: printable ASCII without blanks")
    long = Fault("too_long", f"must have at most {most} characters")

    def check(value: Any) -> Any:
        if type(value) is not str or not _ORDER(value):
            return wrong
        return value if len(value) <= most else long

    return check


def _of_uuid(declared: types.Uuid) -> Check:
    # The sets of an exercise name the same parent one after the other.
    match = lru_cache(maxsize=1024)(is_record_id if declared.record else _ANY_UUID)
    wrong = Fault("wrong_type", "must be a string")
    versions = " of version 7 or 5" if declared.record else ""
    malformed = Fault("bad_id", f"must be a UUID{versions} in lower case")

    def check(value: Any) -> Any:
        if type(value) is not str:
            return wrong
        return value if len(value) == _UUID_CHARS and match(value) else _unless_nul(value, malformed)

    return check


def _of_quantity(per_unit: Mapping[str, float], maximum: int) -> Check:
    """A value with its unit; `maximum` is in the unit whose factor is 1."""
    wrong = Fault("wrong_type", f'must be {{"value": number, "unit": "{"|".join(per_unit)}"}}')
    no_unit = Fault("out_of_range", f"must be one of {', '.join(per_unit)}", ".unit")
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
        return amount.below(".value") if amount.__class__ is Fault else value

    return check


def _of_mass(declared: types.Mass) -> Check:
    return _of_quantity(types.KG_PER_MASS_UNIT, declared.kg_max)


def _of_length(declared: types.Length) -> Check:
    return _of_quantity(types.M_PER_LENGTH_UNIT, declared.m_max)


def _of_json(declared: types.Json) -> Check:
    most = declared.max_bytes
    wrong = Fault("wrong_type", "must be an object")
    deep = Fault("out_of_range", f"must have at most {types.FREE_DEPTH_MAX} levels")
    odd = Fault("wrong_type", "must be JSON that every reader takes: no lone surrogate, no endless number")
    long = Fault("too_long", f"must have at most {most} bytes")

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


def _of_list(declared: types.ListOf) -> Check:
    of_item, most = of_type(declared.item), declared.max_items
    wrong = Fault("wrong_type", "must be a list")
    long = Fault("too_long", f"must have at most {most} elements")

    def check(value: Any) -> Any:
        if type(value) is not list:
            return wrong
        return long if len(value) > most else _of_items(value, of_item)

    return check


def _of_pair(declared: types.Pair) -> Check:
    of_item = of_type(declared.item)
    wrong = Fault("wrong_type", "must be a list of two")
    return lambda value: _of_items(value, of_item) if type(value) is list and len(value) == 2 else wrong


def _of_items(values: list[Any], of_item: Check) -> Any:
    checked = []
    for index, value in enumerate(values):
        result = of_item(value)
        if result.__class__ is Fault:
            return result.below(f"[{index}]")
        checked.append(result)
    return checked


def _of_struct(declared: types.Struct) -> Check:
    members = {name: (of_type(member.type), member.nullable) for name, member in declared.members.items()}
    needed = frozenset(name for name, member in declared.members.items() if not member.optional)
    shape = f"must be an object with {', '.join(sorted(needed))}"
    others = members.keys() - needed
    wrong = Fault("wrong_type", shape + (f" and at most {', '.join(sorted(others))}" if others else ""))

    def check(value: Any) -> Any:
        if type(value) is not dict or not needed <= value.keys() <= members.keys():
            return wrong
        checked: dict[str, Any] = {}
        for name, each in value.items():
            of_member, nullable = members[name]
            if each is None and nullable:
                checked[name] = None
                continue
            result = NULL if each is None else of_member(each)
            if result.__class__ is Fault:
                return result.below(f".{name}")
            checked[name] = result
        return checked

    return check


_FACTORIES: Final[Mapping[type, Callable[[Any], Check]]] = {
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
