"""The types a field's value may have, as data.

Owns: the shape and the limits of every value, and how they are announced in `GET /api/sync`.

Refuses to know: which field has which type (`storage/collections.py`), and how a value is checked
(`sync/validation.py` compiles a checker from each of these).

Invariants
    T1  A type is an immutable value without behaviour beyond describing itself as plain JSON.
    T2  Every type has a maximum: of a number, of characters, of elements or of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

# With 4 decimals a double is exact up to 2**53 / 10**4, about 9e11; this stays well below it.
NUMBER_MAX: Final = 1_000_000_000
DECIMALS_MAX: Final = 4
# Levels of nesting inside a free JSON value; a whole change may have 32.
FREE_DEPTH_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class String:
    """Unicode text of `min_length` to `max_length` code points, without U+0000."""

    max_length: int
    min_length: int = 0

    def describe(self) -> dict[str, Any]:
        minimum = {"min_length": self.min_length} if self.min_length else {}
        return {"type": "string", **minimum, "max_length": self.max_length}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number within both bounds; 8.0 is 8."""

    minimum: int
    maximum: int

    def describe(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Number:
    """A number within both bounds, with at most 4 decimals; only n and n + 0.5 where `halves`."""

    minimum: int = -NUMBER_MAX
    maximum: int = NUMBER_MAX
    halves: bool = False

    def describe(self) -> dict[str, Any]:
        step = {"step": 0.5} if self.halves else {"decimals": DECIMALS_MAX}
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum, **step}


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false, and no number."""

    def describe(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Enum:
    """One of a few words; with `prefix` also that prefix and 1 to `custom_max` characters of one's own."""

    values: tuple[str, ...]
    prefix: str | None = None
    custom_max: int = 50

    def describe(self) -> dict[str, Any]:
        custom = {"prefix": self.prefix, "custom_max_length": self.custom_max} if self.prefix else {}
        return {"type": "enum", "values": list(self.values), **custom}


@dataclass(frozen=True, slots=True)
class Time:
    """RFC 3339 in UTC with milliseconds, `2026-11-23T10:00:00.123Z`: one spelling, so text order is time order."""

    def describe(self) -> dict[str, Any]:
        return {"type": "time"}


@dataclass(frozen=True, slots=True)
class Date:
    """A day of the calendar, `2026-11-23`."""

    def describe(self) -> dict[str, Any]:
        return {"type": "date"}


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A name of the IANA time zone database, `Europe/Berlin`."""

    def describe(self) -> dict[str, Any]:
        return {"type": "tz"}


@dataclass(frozen=True, slots=True)
class Order:
    """A fractional index: printable ASCII without blanks, compared by code point.

    Two devices that keep inserting at one place lengthen it by about a character in six insertions.
    """

    max_length: int = 250

    def describe(self) -> dict[str, Any]:
        return {"type": "order", "max_length": self.max_length}


@dataclass(frozen=True, slots=True)
class Uuid:
    """A UUID in lower case. One that must name a record (`record`) is of version 7 or 5, as all records' ids."""

    record: bool = False

    def describe(self) -> dict[str, Any]:
        return {"type": "uuid", **({"versions": [5, 7]} if self.record else {})}


@dataclass(frozen=True, slots=True)
class Mass:
    """`{"value": 225, "unit": "kg"|"lb"}`, kept as entered; 0 to `kg_max`, whichever unit it is in."""

    kg_max: int = 2_000

    def describe(self) -> dict[str, Any]:
        return {"type": "mass", "units": list(KG_PER_MASS_UNIT), "minimum": 0, "maximum_kg": self.kg_max}


@dataclass(frozen=True, slots=True)
class Length:
    """`{"value": 5, "unit": "m"|"km"|"mi"|"yd"|"ft"}`, kept as entered; 0 to `m_max`, whichever unit it is in."""

    m_max: int = 10_000_000

    def describe(self) -> dict[str, Any]:
        return {"type": "length", "units": list(M_PER_LENGTH_UNIT), "minimum": 0, "maximum_m": self.m_max}


@dataclass(frozen=True, slots=True)
class Json:
    """Any JSON value of at most `max_bytes` as compact JSON in UTF-8; an object where `object_only`."""

    max_bytes: int
    object_only: bool = False

    def describe(self) -> dict[str, Any]:
        kind = "object" if self.object_only else "json"
        return {"type": kind, "max_bytes": self.max_bytes, "max_depth": FREE_DEPTH_MAX}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A JSON array of at most `max_items` of one type."""

    item: Type
    max_items: int

    def describe(self) -> dict[str, Any]:
        return {"type": "list", "max_items": self.max_items, "items": self.item.describe()}


@dataclass(frozen=True, slots=True)
class Pair:
    """A JSON array of exactly two of one type: a span's begin and end."""

    item: Type

    def describe(self) -> dict[str, Any]:
        return {"type": "pair", "items": self.item.describe()}


@dataclass(frozen=True, slots=True)
class Member:
    """One key of a `Struct`. An optional key may be left out; a nullable one may be null."""

    type: Type
    optional: bool = False
    nullable: bool = False

    def describe(self) -> dict[str, Any]:
        flags = {"optional": True} if self.optional else {}
        return {**self.type.describe(), **flags, **({"nullable": True} if self.nullable else {})}


@dataclass(frozen=True, slots=True)
class Struct:
    """A JSON object with these keys and no others."""

    members: dict[str, Member] = field(hash=False)

    def describe(self) -> dict[str, Any]:
        return {"type": "struct", "members": {name: member.describe() for name, member in self.members.items()}}


Type = (
    String | Integer | Number | Boolean | Enum | Time | Date | TimeZone | Order | Uuid
    | Mass | Length | Json | ListOf | Pair | Struct
)  # fmt: skip

# The international pound and yard, exact by definition (1959).
KG_PER_MASS_UNIT: Final[dict[str, float]] = {"kg": 1.0, "lb": 0.45359237}
M_PER_LENGTH_UNIT: Final[dict[str, float]] = {"m": 1.0, "km": 1000.0, "mi": 1609.344, "yd": 0.9144, "ft": 0.3048}
