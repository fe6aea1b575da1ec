"""From JSON and query strings to typed values, with every fault named in one answer.

Owns: what a wrong value is called. The codes are `required`, `unknown_field`, `wrong_type`, `wrong_length`,
`out_of_range`, `wrong_format`, `unknown_value` and `invalid`.
Refuses to know: what a value means.

msgspec stops at the first fault, so a struct is converted field by field here, and lists and structs inside it are
walked; a value that is right is converted by msgspec in one go, before any of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import structs

from api.errors import InvalidFields
from sync.strict_json import INTEGER_MAX

S = TypeVar("S", bound=msgspec.Struct)

# So many faults help nobody; the answer stays small.
FAULTS_MAX: Final = 50
_NAME_SHOWN_MAX: Final = 64
_CODES: Final = (
    (re.compile(r"^Object missing required field"), "required"),
    (re.compile(r"^Object contains unknown field"), "unknown_field"),
    (re.compile(r"of length|unique"), "wrong_length"),
    (re.compile(r"[<>]=? ?-?[0-9]|multiple of|out of range"), "out_of_range"),
    (re.compile(r"matching regex|timezone component|^Invalid (UUID|RFC3339|ISO8601|base64)|^Invalid "), "wrong_format"),
    (re.compile(r"^Expected .+, got"), "wrong_type"),
)
_TYPES: Final = (
    ("`str`", "a text"),
    ("`int`", "a whole number"),
    ("`float`", "a number"),
    ("`bool`", "true or false"),
    ("`array`", "a list"),
    ("`object`", "an object"),
    ("`null`", "null"),
)

Fault = dict[str, str]


def bind(value: Any, type_: type[S]) -> S:
    """Return a JSON value as `type_`. Raises InvalidFields, with each fault of the value."""
    try:
        try:
            made: S = msgspec.convert(value, type_)
        except msgspec.ValidationError:
            value = _whole(value)
            made = msgspec.convert(value, type_)
    except (msgspec.ValidationError, ValueError, OverflowError):
        faults = list(_faults(value, type_, "", strict=True))[:FAULTS_MAX]
        raise InvalidFields(
            fields=faults or [_fault("", "invalid", "The body is not what this endpoint takes.")]
        ) from None
    if fault := _unstorable(value, ""):
        raise InvalidFields(fields=[fault])
    return made


def bind_query(given: Iterable[tuple[str, str]], type_: type[S]) -> S:
    """Return the parameters of an address as `type_`, whose fields are texts, numbers, truths, or lists of them.

    Raises InvalidFields: also for a parameter that stands twice and is no list.
    """
    known = _fields(type_)
    value: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, text in given:
        shown = name[:_NAME_SHOWN_MAX]
        if name in known and is_list(known[name].type):
            value.setdefault(name, []).append(text)
        elif name in value:
            faults.append(_fault(shown, "invalid", f"{shown} stands twice in the address"))
        elif name in known and not _is_text(known[name].type) and text.lower() == "null":
            faults.append(_fault(shown, "wrong_type", f"{shown} is never null; leave it out"))
        else:
            value[name] = text
    try:
        if not faults and _unstorable(value, "") is None:
            for name in value:
                if name in known and _is_time(known[name].type):
                    msgspec.convert(value[name], known[name].type)
            return msgspec.convert(value, type_, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError):
        pass
    faults += _faults(value, type_, "", strict=False)
    if not faults and (fault := _unstorable(value, "")) is not None:
        faults.append(fault)
    raise InvalidFields(fields=faults[:FAULTS_MAX])


def _faults(value: Any, type_: Any, at: str, *, strict: bool) -> Iterable[Fault]:
    """Each thing that is wrong with a value; none where it is right."""
    inner = _struct_in(type_)
    if inner is not None and isinstance(value, Mapping):
        yield from _faults_of_object(value, inner, at, strict=strict)
        return
    item = _item_of(type_)
    if item is not None and type(value) is list and _struct_in(item) is not None:
        for place, each in enumerate(value):
            yield from _faults(each, item, f"{at}[{place}]", strict=strict)
    try:
        msgspec.convert(value, type_, strict=strict or _is_time(type_))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        if item is None or type(value) is not list or _struct_in(item) is None or " - at `$[" not in str(error):
            yield _worded(at, str(error))


def _faults_of_object(
    value: Mapping[str, Any], type_: type[msgspec.Struct], at: str, *, strict: bool
) -> Iterable[Fault]:
    prefix = f"{at}." if at else ""
    known = _fields(type_)
    before = False
    for name in value:
        if name not in known:
            before = True
            shown = prefix + name[:_NAME_SHOWN_MAX]
            yield _fault(shown, "unknown_field", f"{shown} is not a field of this request")
    for name, each in known.items():
        if name not in value:
            if each.required:
                before = True
                yield _fault(prefix + name, "required", f"{prefix}{name} is required")
        else:
            for fault in _faults(value[name], each.type, prefix + name, strict=strict):
                before = True
                yield fault
    if not before:
        # Each field is right alone; what is wrong is how they stand together (`__post_init__`).
        try:
            msgspec.convert(value, type_, strict=strict)
        except (msgspec.ValidationError, ValueError, OverflowError) as error:
            yield _worded(at, str(error))


@cache
def _fields(type_: type[msgspec.Struct]) -> Mapping[str, structs.FieldInfo]:
    """The fields of a struct, by their names outside. To work them out takes longer than to read a whole form."""
    return {each.encode_name: each for each in structs.fields(type_)}


def _worded(at: str, message: str) -> Fault:
    message, _, _ = message.partition(" - at `")
    code = next((code for pattern, code in _CODES if pattern.search(message)), "invalid")
    if message.startswith("Invalid enum value"):
        code = "unknown_value"
    for theirs, ours in _TYPES:
        message = message.replace(theirs, ours)
    message = message.replace("Expected", "expected").replace(" | ", " or ").replace("`", "'")
    return _fault(at, code, f"{at}: {message}" if at else message)


def _fault(field: str, code: str, message: str) -> Fault:
    return {"field": field, "code": code, "message": message}


def _whole(value: Any) -> Any:
    """A JSON value with 3.0 as 3: to JSON they are one number, and some writers spell it so."""
    if type(value) is float and value.is_integer() and abs(value) <= INTEGER_MAX:
        return int(value)
    if type(value) is dict:
        return {name: _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if type(value) is list else value


def _unstorable(value: Any, at: str) -> Fault | None:
    """The first text with a U+0000, which Postgres takes nowhere."""
    if type(value) is str:
        return _fault(at, "wrong_type", f"{at} must be a text without U+0000") if "\0" in value else None
    if type(value) is dict:
        for name, each in value.items():
            if found := _unstorable(name, at) or _unstorable(each, f"{at}.{name}" if at else name):
                return found
    elif type(value) is list:
        for place, each in enumerate(value):
            if found := _unstorable(each, f"{at}[{place}]"):
                return found
    return None


def _bare(type_: Any) -> Any:
    """A type without what `Annotated` says of it."""
    return get_args(type_)[0] if hasattr(type_, "__metadata__") else type_


def _struct_in(type_: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is, alone or beside null and UNSET."""
    bare = _bare(type_)
    for each in (bare, *get_args(bare)) if get_origin(bare) is not list else (bare,):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _item_of(type_: Any) -> Any | None:
    """The type of a list's items, where a type is a list, alone or beside null and UNSET."""
    bare = _bare(type_)
    candidates = (bare,) if get_origin(bare) in (list, tuple) else get_args(bare)
    for each in candidates:
        inner = _bare(each)
        if get_origin(inner) in (list, tuple):
            return get_args(inner)[0]
    return None


def _is_text(type_: Any) -> bool:
    """Whether a type takes any text, alone or beside null."""
    return any(_bare(each) is str for each in (type_, *get_args(_bare(type_))))


def _is_time(type_: Any) -> bool:
    """Whether a type is a moment, alone or beside null: msgspec takes a number for one where it is lenient."""
    return any(_bare(each) is datetime for each in (type_, *get_args(_bare(type_))))


def is_list(type_: Any) -> bool:
    """Whether a type is a list, alone or beside null and UNSET."""
    return _item_of(type_) is not None
