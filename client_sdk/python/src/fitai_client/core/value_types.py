"""Compiled checkers of values, one for each type that the server announces.

Owns: what a value of each type in `collections.json` may be. Refuses to know: fields, collections, and what is shown.
A checker returns nothing, or raises a `Fault`.
"""

from __future__ import annotations

import json
import re
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, Final, NoReturn

__all__ = ["Check", "Fault", "amount", "below", "checker", "each", "fail", "is_record_id", "or_null"]

Check = Callable[[Any], None]

DECIMALS_MAX: Final = 4
# The international pound and yard, exact by definition (1959).
_FACTORS: Final = {"kg": 1.0, "lb": 0.45359237, "m": 1.0, "km": 1000.0, "mi": 1609.344, "yd": 0.9144, "ft": 0.3048}

is_record_id: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_ANY_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}").fullmatch
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z").fullmatch
_ORDER: Final = re.compile(r"[!-~]+").fullmatch
_ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}").fullmatch


class Fault(Exception):
    """`path` leads to the fault from the field (".value", "[3]")."""

    def __init__(self, code: str, text: str, path: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.path = code, text, path


def fail(code: str, text: str, path: str = "") -> NoReturn:
    raise Fault(code, text, path)


def each(values: Iterable[Any], check: Check, path: str = "") -> None:
    for index, value in enumerate(values):
        below(f"{path}[{index}]", check, value)


def below(path: str, check: Check, value: Any) -> None:
    try:
        check(value)
    except Fault as fault:
        fail(fault.code, fault.text, path + fault.path)


def or_null(check: Check, nullable: bool) -> Check:
    def checked(value: Any) -> None:
        if value is not None:
            check(value)
        elif not nullable:
            fail("wrong_type", "cannot be null")

    return checked


def checker(declared: Mapping[str, Any]) -> Check:
    """The checker of one declared type; a type that this version does not know is the server's to judge."""
    factory = _TYPES.get(declared["type"])
    return factory(declared) if factory is not None else lambda value: None


def _string(declared: Mapping[str, Any]) -> Check:
    least, most = declared.get("min_length", 0), declared["max_length"]

    def check(value: Any) -> None:
        if type(value) is not str:
            fail("wrong_type", "must be a string")
        if len(value) > most:
            fail("too_long", f"has {len(value)} characters; at most {most} fit")
        if len(value) < least:
            fail("out_of_range", f"must have at least {least} characters")

    return check


def _integer(declared: Mapping[str, Any]) -> Check:
    low, high = declared["minimum"], declared["maximum"]

    def check(value: Any) -> None:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is float and round(value, DECIMALS_MAX) != value:
            fail("out_of_range", f"must be {low} to {high}")
        if type(value) is not int:
            fail("wrong_type", f"must be a whole number, {low} to {high}")
        if not low <= value <= high:
            fail("out_of_range", f"must be {low} to {high}, not {value}")

    return check


def _number(declared: Mapping[str, Any]) -> Check:
    return amount(declared["minimum"], declared["maximum"], halves=declared.get("step") == 0.5)


def amount(low: float, high: float, *, halves: bool = False, unit: str = "") -> Check:
    bounds = f"{_plain(low)} to {_plain(high)}{unit}{' by halves' if halves else ''}"

    def check(value: Any) -> None:
        if type(value) is not int and type(value) is not float:
            fail("wrong_type", "must be a number")
        if not low <= value <= high or (halves and value * 2 != int(value * 2)):
            fail("out_of_range", f"must be {bounds}, not {value}")
        if round(value, DECIMALS_MAX) != value:
            fail("out_of_range", f"must have at most {DECIMALS_MAX} decimals, not {value}")

    return check


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _boolean(declared: Mapping[str, Any]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not bool:
            fail("wrong_type", "must be true or false")

    return check


def _enum(declared: Mapping[str, Any]) -> Check:
    words, prefix = frozenset(declared["values"]), declared.get("prefix")
    choices = ", ".join(declared["values"]) + (f" or {prefix}<name>" if prefix else "")
    custom = _string({"max_length": declared.get("custom_max_length", 0) + len(prefix or "")})

    def check(value: Any) -> None:
        if type(value) is not str:
            fail("wrong_type", "must be a string")
        if value in words:
            return
        if prefix and value.startswith(prefix) and len(value) > len(prefix):
            custom(value)
        else:
            fail("out_of_range", f"must be one of {choices}, not {value[:50]!r}")

    return check


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _time(declared: Mapping[str, Any]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not str or not _TIME(value) or not _is_day(value[:10]):
            fail("wrong_type", "must be a datetime with its zone, or text like 2026-11-23T10:00:00.123Z")

    return check


def _date(declared: Mapping[str, Any]) -> Check:
    def check(value: Any) -> None:
        if type(value) is not str or not _DATE(value) or not _is_day(value):
            fail("wrong_type", "must be a date, or text like 2026-11-23")

    return check


def _time_zone(declared: Mapping[str, Any]) -> Check:
    # A machine without the zone database judges by the shape of the name alone.
    zones = zoneinfo.available_timezones()

    def check(value: Any) -> None:
        if type(value) is not str:
            fail("wrong_type", "must be a string")
        if not _ZONE(value) or (zones and value not in zones):
            fail("out_of_range", f"must be an IANA time zone like Europe/Berlin, not {value[:50]!r}")

    return check


def _order(declared: Mapping[str, Any]) -> Check:
    most = declared["max_length"]

    def check(value: Any) -> None:
        if type(value) is not str or not _ORDER(value):
            fail("wrong_type", "must be a fractional index: printable ASCII without blanks")
        if len(value) > most:
            fail("too_long", f"has {len(value)} characters; at most {most} fit")

    return check


def _uuid(declared: Mapping[str, Any]) -> Check:
    match = is_record_id if "versions" in declared else _ANY_UUID
    versions = " of version 7 or 5" if "versions" in declared else ""

    def check(value: Any) -> None:
        if type(value) is not str:
            fail("wrong_type", "must be a string")
        if not match(value):
            fail("bad_id", f"must be a UUID{versions} in lower case, not {value[:50]!r}")

    return check


def _quantity(declared: Mapping[str, Any]) -> Check:
    most = declared.get("maximum_kg") or declared["maximum_m"]
    # Rounded to the decimals that a value may have, so that the bound itself may be entered.
    amounts = {
        unit: amount(declared["minimum"], round(most / _FACTORS[unit], DECIMALS_MAX), unit=f" {unit}")
        for unit in declared["units"]
    }

    def check(value: Any) -> None:
        if type(value) is not dict or value.keys() != {"value", "unit"} or type(value["unit"]) is not str:
            fail("wrong_type", f'must be {{"value": number, "unit": "{"|".join(amounts)}"}}')
        amount = amounts.get(value["unit"])
        if amount is None:
            fail("out_of_range", f"must be one of {', '.join(amounts)}, not {value['unit'][:20]!r}", ".unit")
        below(".value", amount, value["value"])

    return check


def _json(declared: Mapping[str, Any]) -> Check:
    most, levels = declared["max_bytes"], declared["max_depth"]

    def check(value: Any) -> None:
        if declared["type"] == "object" and type(value) is not dict:
            fail("wrong_type", "must be an object")
        if not _is_shallow(value, levels):
            fail("out_of_range", f"must have at most {levels} levels")
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        if size > most:
            fail("too_long", f"takes {size} bytes; at most {most} fit")

    return check


def _is_shallow(value: Any, levels: int) -> bool:
    if type(value) is dict:
        return levels > 0 and all(_is_shallow(each, levels - 1) for each in value.values())
    if type(value) is list:
        return levels > 0 and all(_is_shallow(each, levels - 1) for each in value)
    return True


def _list(declared: Mapping[str, Any]) -> Check:
    item, most = checker(declared["items"]), declared["max_items"]

    def check(value: Any) -> None:
        if type(value) is not list:
            fail("wrong_type", "must be a list")
        if len(value) > most:
            fail("too_long", f"has {len(value)} elements; at most {most} fit")
        each(value, item)

    return check


def _pair(declared: Mapping[str, Any]) -> Check:
    item = checker(declared["items"])

    def check(value: Any) -> None:
        if type(value) is not list or len(value) != 2:
            fail("wrong_type", "must be a list of two")
        each(value, item)

    return check


def _struct(declared: Mapping[str, Any]) -> Check:
    members = {
        name: or_null(checker(member), member.get("nullable", False)) for name, member in declared["members"].items()
    }
    needed = {name for name, member in declared["members"].items() if not member.get("optional")}
    others = ", ".join(sorted(members.keys() - needed))
    shape = f"must be an object with {', '.join(sorted(needed))}" + (f" and at most {others}" if others else "")

    def check(value: Any) -> None:
        if type(value) is not dict or not needed <= value.keys() <= members.keys():
            fail("wrong_type", shape)
        for name, each in value.items():
            below(f".{name}", members[name], each)

    return check


_TYPES: Final[Mapping[str, Callable[[Mapping[str, Any]], Check]]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "enum": _enum,
    "time": _time,
    "date": _date,
    "tz": _time_zone,
    "order": _order,
    "uuid": _uuid,
    "mass": _quantity,
    "length": _quantity,
    "json": _json,
    "object": _json,
    "list": _list,
    "pair": _pair,
    "struct": _struct,
}
