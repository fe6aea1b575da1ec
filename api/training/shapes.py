"""What records look like over HTTP: types made from the declared collections.

Owns: the type of a field's value in JSON, with its bounds; the structs for what makes a record, what changes one and
what shows one; and the way from such a struct to the plain JSON that sync/records.py takes.
Refuses to know: what a field means, and which endpoint takes what.

A type says what it can, and the OpenAPI page says the same. What needs more than that (at most four decimals, pounds
within the same bound as kilograms) a struct objects to by itself, with what sync/records.py would refuse when it is
written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.endpoint import Fault, Shown, Strict
from api.rest.formats import TIME_ZONE, called
from storage import field_types as types
from storage.collection_specs import FieldSpec
from storage.collections import COLLECTIONS
from storage.field_types import NUMBER_MAX
from sync.edits import objections as wrong_values
from sync.planner import SET_ELEMENTS_MAX

# A text that is longer in UTF-8 than one change carries is refused when it is written; this is what fits in any case.
TEXT_CHARS_MAX: Final = 12_000
UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

A_UUID: Final = called("a UUID in lower case")

UuidText = Annotated[str, Meta(pattern=UUID_PATTERN, description="A UUID in lower case.", extra=A_UUID)]
_VERSION: Final = Annotated[str, Meta(description="Names this state of the record; If-Match takes it.")]

Field = tuple[str, Any] | tuple[str, Any, Any]
# What is wrong with how fields stand together, each of which is right: as plain JSON, by name.
Check = Callable[[Mapping[str, Any]], Iterable[Fault]]


class Loser(Shown):
    """A value that lost to a concurrent one, and stays until a later write replaces it."""

    value: Any
    device: str
    at: str


def creating(
    name: str,
    collection: str,
    *,
    required: Collection[str] = (),
    without: Collection[str] = (),
    more: Collection[Field] = (),
    check: Check | None = None,
) -> type[Strict]:
    """The struct of what makes a record: every field but those `without`, of which these are `required`.

    more: fields of the request that are none of the record's, as msgspec.defstruct takes them.
    check: what is wrong with how its fields stand together.
    """
    declared = COLLECTIONS[collection].fields
    fields: list[Any] = [(each, _incoming(each, spec)) for each, spec in declared.items() if each in required]
    fields += [
        (each, _incoming(each, spec) | UnsetType, UNSET)
        for each, spec in declared.items()
        if each not in required and each not in without
    ]
    doc = f"What makes one of the {collection.replace('_', ' ')}."
    return _struct(name, [*fields, *more], Strict, doc, _objections(collection, check))


def patching(
    name: str,
    collection: str,
    *,
    without: Collection[str] = (),
    more: Collection[Field] = (),
    check: Check | None = None,
) -> type[Strict]:
    """The struct of what changes a record: a field that is left out stays as it is. A parent never changes."""
    declared = COLLECTIONS[collection].fields
    fields = [
        (each, _incoming(each, spec) | UnsetType, UNSET)
        for each, spec in declared.items()
        if each not in without and spec.parent is None
    ]
    doc = f"What changes one of the {collection.replace('_', ' ')}; what is left out stays."
    return _struct(name, [*fields, *more], Strict, doc, _objections(collection, check))


def showing(name: str, collection: str, *, more: Collection[Field] = ()) -> type[Shown]:
    """The struct of what shows a record; fields that nobody wrote yet are left out. For the OpenAPI page: handlers
    answer `Record.plain`, which has this shape."""
    fields: list[Any] = [("id", str), ("version", _VERSION)]
    fields += [
        (each, _outgoing(each, spec) | UnsetType, UNSET) for each, spec in COLLECTIONS[collection].fields.items()
    ]
    fields += [
        ("conflicts", dict[str, list[Loser]] | UnsetType, UNSET),
        ("updated_at", str | None),
        ("updated_by", str | None),
    ]
    return _struct(name, [*fields, *more], Shown, f"One of the {collection.replace('_', ' ')}.")


def facing(name: str, collection: str, fields: Collection[str], *, more: Collection[Field] = ()) -> type[Shown]:
    """The struct of what shows somebody else's record: these fields alone, and neither who wrote them nor when."""
    declared = COLLECTIONS[collection].fields
    shown: list[Any] = [(each, _outgoing(each, declared[each]) | UnsetType, UNSET) for each in fields]
    return _struct(name, [*shown, *more], Shown, f"One of the {collection.replace('_', ' ')}, as others see it.")


def values_of(body: msgspec.Struct, collection: str) -> dict[str, Any]:
    """The fields of a record that a request gives, as plain JSON: times in UTC with milliseconds, 8.0 as 8."""
    declared = COLLECTIONS[collection].fields
    given = ((name, getattr(body, name, UNSET)) for name in declared)
    return {name: _plain(value) for name, value in given if value is not UNSET}


def wire_time(moment: datetime) -> str:
    """A moment as records spell it: in UTC, with milliseconds."""
    try:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        # The calendar has no such moment in UTC; spelled like this it is refused by name when it is written.
        return moment.isoformat()


def _struct(
    name: str, fields: list[Any], base: type[Any], doc: str, namespace: dict[str, Any] | None = None
) -> type[Any]:
    made = msgspec.defstruct(
        name,
        fields,
        bases=(base,),
        kw_only=True,
        forbid_unknown_fields=base is Strict,
        module=__name__,
        namespace=namespace,
    )
    made.__doc__ = doc
    return made


def _objections(collection: str, check: Check | None) -> dict[str, Any]:
    """How a struct of a collection's fields objects."""
    declared = COLLECTIONS[collection].fields

    def objections(cls: type[Strict], given: Mapping[str, Any]) -> Iterator[Fault]:
        # What is none of the record's own may be a list of what is below it.
        own = {name: _plain(value) for name, value in given.items() if name in declared}
        # Where null may stand, its type says.
        wrong = wrong_values(collection, {name: value for name, value in own.items() if value is not None})
        yield from wrong
        if check is not None:
            refused = {each["field"] for each in wrong}
            yield from check({name: own.get(name, each) for name, each in given.items() if name not in refused})

    return {"objections": classmethod(objections)}


def _plain(value: Any) -> Any:
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) <= NUMBER_MAX else value
    if type(value) is datetime:
        return wire_time(value)
    if type(value) is date:
        return value.isoformat()
    if type(value) is list:
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, msgspec.Struct):
        given = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: _plain(each) for name, each in given if each is not UNSET}
    return value


# -- types -----------------------------------------------------------------------------------------------------------


def _incoming(name: str, spec: FieldSpec) -> Any:
    """The type of a field's whole value as it comes in."""
    if spec.kind == "text":
        return Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]
    assert spec.type is not None, "only a text has no type"
    of_value = type_of(spec.type, name)
    if spec.kind == "set":
        return Annotated[list[of_value], Meta(max_length=SET_ELEMENTS_MAX)]  # type: ignore[valid-type]
    return of_value | None if spec.nullable else of_value


def _outgoing(name: str, spec: FieldSpec) -> Any:
    """The type of a field's value as it goes out: the values that are stored may be of any version of the limits, and
    the one that counts after a conflict may be null."""
    if spec.kind == "text":
        return str
    assert spec.type is not None, "only a text has no type"
    of_value = type_of(spec.type, name)
    return list[of_value] if spec.kind == "set" else of_value | None  # type: ignore[valid-type]


def type_of(declared: types.Type, name: str) -> Any:
    """The type of a declared type's values in JSON. An object of several keys is called after the field `name`."""
    known = _MADE.get(id(declared))
    if known is None:
        # The declared types live as long as the process, so their ids stay theirs.
        known = _MADE[id(declared)] = _made(declared, name)
    return known


_MADE: dict[int, Any] = {}


def _made(declared: types.Type, name: str) -> Any:
    match declared:
        case types.String(longest, shortest):
            return Annotated[str, Meta(max_length=longest, min_length=shortest or None)]
        case types.Integer(low, high):
            return Annotated[int, Meta(ge=low, le=high)]
        case types.Number(low, high, halves):
            return Annotated[float, Meta(ge=low, le=high, multiple_of=0.5 if halves else None)]
        case types.Boolean():
            return bool
        case types.Enum(values, None):
            return Literal[values]
        case types.Enum(values, prefix, longest):
            pattern = f"^({'|'.join(values)}|{prefix}.{{1,{longest}}})$"
            words = called(f"one of {', '.join(values)} or {prefix}<name> of at most {longest} characters")
            return Annotated[str, Meta(pattern=pattern, max_length=longest + len(prefix or ""), extra=words)]
        case types.Time():
            return Annotated[datetime, Meta(tz=True)]
        case types.Date():
            return date
        case types.TimeZone():
            return Annotated[
                str, Meta(max_length=100, description="An IANA name, like Europe/Berlin.", extra_json_schema=TIME_ZONE)
            ]
        case types.Order(longest):
            words = called(f"a fractional index: 1 to {longest} printable ASCII characters, no blanks among them")
            description = "A fractional index: compared as text."
            return Annotated[str, Meta(pattern="^[!-~]+$", max_length=longest, description=description, extra=words)]
        case types.Uuid():
            return UuidText
        case types.Mass():
            return Mass
        case types.Length():
            return Length
        case types.Json(_, object_only):
            return dict[str, Any] if object_only else Any
        case types.ListOf(item, most):
            return Annotated[list[type_of(item, name)], Meta(max_length=most)]  # type: ignore[misc]
        case types.Pair(item):
            return Annotated[list[type_of(item, name)], Meta(min_length=2, max_length=2)]  # type: ignore[misc]
        case types.Struct(members):
            return _members(members, name)
    raise AssertionError(f"{declared} has no type in JSON")


class Mass(Strict):
    """A mass as it was entered; at most 2,000 kg, whichever unit it is in."""

    value: Annotated[float, Meta(ge=0, le=4_409.2453)]
    unit: Literal["kg", "lb"]


class Length(Strict):
    """A length as it was entered; at most 10,000 km, whichever unit it is in."""

    value: Annotated[float, Meta(ge=0)]
    unit: Literal["m", "km", "mi", "yd", "ft"]


def _members(members: Mapping[str, types.Member], called: str) -> type[Strict]:
    fields: list[Any] = []
    for name, member in members.items():
        made = type_of(member.type, name)
        if member.nullable:
            made = made | None
        fields.append((name, made | UnsetType, UNSET) if member.optional else (name, made))
    return _struct(called.title().replace("_", ""), fields, Strict, "One value: its keys stand together.")
