"""From JSON and query strings to typed values, with every fault named in one answer.

Owns: what a wrong value is called. The codes are `required`, `unknown_field`, `wrong_type`, `wrong_length`,
`out_of_range`, `wrong_format`, `unknown_value` and `invalid`.
Refuses to know: what a value means; a struct says that by itself (`Strict.objections`), of the fields that are each of
their type, so that both kinds of faults come in one answer. In which words (wording.py).

msgspec stops at the first fault, so a struct is converted field by field here, and what is inside it is walked; a value
that is right is converted by msgspec in one go, before any of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import UNSET, structs

from api.errors import InvalidFields
from api.rest.endpoint import Fault, Strict
from api.rest.nearest import meant
from api.rest.wording import refusal
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


def bind(value: Any, type_: type[S]) -> S:
    """Return a JSON value as `type_`. Raises InvalidFields, with each fault of the value."""
    try:
        try:
            made: S = msgspec.convert(value, type_)
        except msgspec.ValidationError:
            value = _whole(value)
            made = msgspec.convert(value, type_)
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise _refused(_faults(value, type_, "", strict=True)) from None
    if fault := _unstorable(value, ""):
        raise InvalidFields(fields=[fault])
    return _unless_objected(made)


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
    made: S | None = None
    try:
        if not faults and _unstorable(value, "") is None:
            for name in value:
                if name in known and _is_time(known[name].type):
                    msgspec.convert(value[name], known[name].type)
            made = msgspec.convert(value, type_, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError):
        pass
    if made is not None:
        return _unless_objected(made)
    faults += _faults(value, type_, "", strict=False)
    if not faults and (fault := _unstorable(value, "")) is not None:
        faults.append(fault)
    raise _refused(faults)


def _refused(faults: Iterable[Fault]) -> InvalidFields:
    found = list(islice(faults, FAULTS_MAX))
    return InvalidFields(fields=found or [_fault("", "invalid", "The body is not what this endpoint takes.")])


def _faults(value: Any, type_: Any, at: str, *, strict: bool) -> Iterable[Fault]:
    """Each thing that is wrong with a value; none where it is right."""
    if strict and at and type(value) is dict and (made := _made(value, type_)) is not UNSET:
        # Of a file with one slip nearly all is right, and a walk through it takes half a second.
        yield from _objections(made, at)
        return
    inner = _struct_in(type_)
    if inner is not None and isinstance(value, Mapping):
        yield from _faults_of_object(value, inner, at, strict=strict)
        return
    before = False
    for place, each, of in _inside(value, type_):
        # In an address a list is a parameter that stands several times.
        for fault in _faults(each, of, at + place if strict else at, strict=strict):
            before = True
            yield fault
    try:
        msgspec.convert(value, type_, strict=strict or _is_time(type_))
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        message = str(error)
        if not (before and " - at `$" in message):
            code = _code(message)
            yield _fault(at, code, refusal(at, type_, value, code, is_text=not strict))


def _made(value: Any, type_: Any) -> Any:
    """A value as `type_`; UNSET where anything is wrong with it but what a struct says of itself."""
    try:
        return UNSET if _unstorable(value, "") else msgspec.convert(value, type_)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return UNSET


def _inside(value: Any, type_: Any) -> Iterable[tuple[str, Any, Any]]:
    """What a list or a mapping holds: where, each, and of which type it has to be."""
    if type(value) is list and (item := _item_of(type_)) is not None:
        for place, each in enumerate(value):
            yield f"[{place}]", each, item
    elif type(value) is dict and (item := _value_of(type_)) is not None:
        for name, each in value.items():
            yield f".{name[:_NAME_SHOWN_MAX]}", each, item


def _faults_of_object(
    value: Mapping[str, Any], type_: type[msgspec.Struct], at: str, *, strict: bool
) -> Iterable[Fault]:
    prefix = f"{at}." if at else ""
    known = _fields(type_)
    for name in value:
        if name not in known:
            shown = prefix + name[:_NAME_SHOWN_MAX]
            what = "field of this request" if strict else "parameter of this address"
            hint = meant(name, [each for each in known if each not in value])
            yield _fault(shown, "unknown_field", f"{shown} is not a {what}{hint}")
    right: dict[str, Any] = {}
    wrong: set[str] = set()
    for name, each in known.items():
        if name not in value:
            if each.required:
                wrong.add(name)
                yield _fault(prefix + name, "required", f"{prefix}{name} is required")
            continue
        for fault in _faults(value[name], each.type, prefix + name, strict=strict):
            wrong.add(name)
            yield fault
        if name not in wrong and (unstorable := _unstorable(value[name], prefix + name)) is not None:
            wrong.add(name)
            yield unstorable
        if name not in wrong:
            right[name] = msgspec.convert(value[name], each.type, strict=strict or _is_time(each.type))
    if issubclass(type_, Strict):
        # What is wrong is told once, and not missed besides.
        objections = (each for each in type_.objections(right) if each["field"] not in wrong)
        yield from _placed(objections, prefix)


# -- what is right by its type ---------------------------------------------------------------------------------------


def _unless_objected(made: S) -> S:
    if faults := list(islice(_objections(made, ""), FAULTS_MAX)):
        raise InvalidFields(fields=faults)
    return made


def _objections(value: Any, at: str) -> Iterable[Fault]:
    """What structs say of themselves, at any depth."""
    if isinstance(value, Strict):
        type_, prefix = type(value), f"{at}." if at else ""
        for name in _looked_into(type_):
            yield from _objections(getattr(value, name), prefix + name)
        if _objects(type_):
            given = {name: each for name, inside in _names(type_) if (each := getattr(value, inside)) is not UNSET}
            yield from _placed(type_.objections(given), prefix)
    elif type(value) is list:
        for place, each in enumerate(value):
            yield from _objections(each, f"{at}[{place}]")


def _placed(faults: Iterable[Fault], prefix: str) -> Iterable[Fault]:
    return ({**fault, "field": prefix + fault["field"]} for fault in faults)


@cache
def _objects(type_: type[Strict]) -> bool:
    """Whether a struct, or one that it stands on, says of itself what is wrong."""
    return any("objections" in vars(each) for each in type_.__mro__ if each not in Strict.__mro__)


@cache
def _names(type_: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """The names of the fields of a struct: outside, and inside."""
    return tuple(zip(type_.__struct_encode_fields__, type_.__struct_fields__, strict=True))


@cache
def _looked_into(type_: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a struct in which there are structs that may object."""
    found = []
    for each in structs.fields(type_):
        inner = _struct_in(each.type) or _struct_in(_item_of(each.type))
        if inner is not None and issubclass(inner, Strict) and (_objects(inner) or _looked_into(inner)):
            found.append(each.name)
    return tuple(found)


@cache
def _fields(type_: type[msgspec.Struct]) -> Mapping[str, structs.FieldInfo]:
    """The fields of a struct, by their names outside. To work them out takes longer than to read a whole form."""
    return {each.encode_name: each for each in structs.fields(type_)}


def _code(message: str) -> str:
    """What msgspec's message of a fault says, in a word."""
    message, _, _ = message.partition(" - at `")
    if message.startswith("Invalid enum value"):
        return "unknown_value"
    return next((code for pattern, code in _CODES if pattern.search(message)), "invalid")


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


def fields_inside(type_: Any) -> Mapping[str, Any]:
    """The types of the fields of a struct, or of the structs of a list, by their names outside; none of other types."""
    inner = _struct_in(type_) or _struct_in(_item_of(type_))
    return {} if inner is None else {name: each.type for name, each in _fields(inner).items()}


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


def _value_of(type_: Any) -> Any | None:
    """The type of a mapping's values, where a type is a mapping, alone or beside null and UNSET."""
    bare = _bare(type_)
    candidates = () if get_origin(bare) in (list, tuple) else get_args(bare)
    for each in (bare, *map(_bare, candidates)):
        if get_origin(each) is dict:
            return get_args(each)[1]
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
