"""From the values a program gives to the `fields` of a change on the wire.

Owns: which Python values stand for which JSON values, and what no JSON reader would take. Refuses to know:
types and ranges of fields, which the server judges.

Invariants
    V1  What leaves here is JSON as RFC 8259 means it: no NaN, no lone surrogate, no U+0000, at most
        DEPTH_MAX levels. A batch that holds anything else would be refused whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ..errors import InvalidWrite
from . import text
from .environment import Environment

__all__ = ["Add", "Increment", "Remove", "encode_field", "plain"]

# The protocol allows 32 levels a batch; the batch, its changes and their fields take five of them.
DEPTH_MAX = 27
# Beyond this a double no longer holds every integer.
_INTEGER_MAX = 2**53


class Add:
    """Puts elements into a set field: `tags=Add("push", "heavy")`."""

    def __init__(self, *elements: Any) -> None:
        self.elements = elements


class Remove:
    """Takes elements out of a set field."""

    def __init__(self, *elements: Any) -> None:
        self.elements = elements


@dataclass(frozen=True, slots=True)
class Increment:
    """Raises a counter field by an amount, which may be negative."""

    amount: int | float | Decimal


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """The JSON value for a Python value: datetimes become RFC 3339 in UTC, Decimals numbers, UUIDs text.

    Raises:
        InvalidWrite: the value has no JSON form, or breaks V1. `where` names the field in the sentence.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        if abs(value) > _INTEGER_MAX:
            raise InvalidWrite(f"{where}: {value} is beyond what a JSON number holds exactly.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidWrite(f"{where}: {value} is no JSON number.")
        return float(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidWrite(f"{where}: {value} is no JSON number.")
        return plain(int(value) if value == value.to_integral_value() else float(value), where)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidWrite(f"{where}: a time needs its time zone, such as datetime.now(UTC).")
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if depth >= DEPTH_MAX:
        raise InvalidWrite(f"{where}: more than {DEPTH_MAX} levels of nesting.")
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, where, depth + 1) for item in value]
    raise InvalidWrite(f"{where}: a {type(value).__name__} has no JSON form.")


def encode_field(kind: str, value: Any, shown: Any, where: str, environment: Environment) -> Any:
    """One field of a put, as the wire has it.

    kind: register, set, counter or text. shown: what the field shows now, None where it shows nothing; a whole
    set or a whole text is turned into the edit that leads there from it.

    Raises:
        InvalidWrite: the value does not fit the kind.
    """
    if kind == "set":
        return _set_edit(value, shown, where)
    if kind == "counter":
        return _counter_edit(value, where)
    if kind == "text":
        return _text_edit(value, shown, where, environment)
    return plain(value, where)


def _set_edit(value: Any, shown: Any, where: str) -> dict[str, list[Any]]:
    if isinstance(value, Add):
        return {"add": [plain(element, where) for element in value.elements]}
    if isinstance(value, Remove):
        return {"remove": [plain(element, where) for element in value.elements]}
    if isinstance(value, Mapping):
        if not value.keys() <= {"add", "remove"}:
            raise InvalidWrite(f'{where}: an edit of a set is {{"add": […], "remove": […]}}.')
        if not all(isinstance(items, list | tuple | set | frozenset) for items in value.values()):
            raise InvalidWrite(f"{where}: what is added and removed are lists.", code="wrong_type")
        return {name: [plain(element, where) for element in items] for name, items in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        wanted = [plain(element, where) for element in value]
        there = shown if isinstance(shown, list) else []
        # Elements of several kinds have no order; the declaration allows one kind alone.
        edit = {"add": sorted((element for element in wanted if element not in there), key=str)}
        if gone := sorted((element for element in there if element not in wanted), key=str):
            edit["remove"] = gone
        return edit
    raise InvalidWrite(f"{where}: a set takes a list of its elements, Add(…) or Remove(…).")


def _counter_edit(value: Any, where: str) -> dict[str, Any]:
    amount = value.amount if isinstance(value, Increment) else value.get("inc") if isinstance(value, Mapping) else None
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        raise InvalidWrite(f"{where}: a counter takes Increment(amount).")
    return {"inc": plain(amount, where)}


def _text_edit(value: Any, shown: Any, where: str, environment: Environment) -> dict[str, str]:
    if isinstance(value, str):
        return {"yjs": text.replaced(shown, _text(value, where), environment.random_bytes(text.CLIENT_BYTES))}
    if isinstance(value, Mapping) and isinstance(value.get("yjs"), str):
        return {"yjs": value["yjs"]}
    raise InvalidWrite(f"{where}: a text takes a string.")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise InvalidWrite(f"{where}: the names of an object must be text.")
    return _text(key, where)


def _text(value: str, where: str) -> str:
    if "\0" in value:
        raise InvalidWrite(f"{where}: U+0000 is not allowed in a text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidWrite(f"{where}: half of a surrogate pair is no text.") from error
    return str(value)
