"""From what a person wants a record to be to the change that makes it so.

Owns: edits in plain JSON; what joins a set and what leaves it, an edit of a text; the faults of a value, each by its
field.
Refuses to know: what stands in the space and how that is read (records.py), and how a change merges.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from conflict.text import UPDATE_BYTES_MAX
from storage.collection_specs import CollectionSpec
from storage.collections import COLLECTIONS
from storage.field_types import TimeZone
from storage.rows import Key
from sync.errors import Unavailable
from sync.shown import Record
from sync.texts import BadText, TextReader
from sync.validation import Rejection, check_fields, check_id

# As api/rest names faults, where a rejection of the protocol has another name for the same.
_CODES: Final = {"too_long": "wrong_length", "bad_id": "wrong_format", "bad_text": "wrong_format"}

Fault = dict[str, str]


@dataclass(frozen=True, slots=True)
class Edit:
    """One write to one record, in plain JSON.

    op: "create" makes the record and does nothing where its id is taken (the same request, sent again); "patch" and
        "delete" are NotFound where it is not shown; "put" patches it, or makes it where it is not there.
    values: a set as the whole list, a text as its string, a counter as what is added.
    at: where its fields stand in the request, as the beginning of their path ("sets[2]."), for faults.
    expected: versions; PreconditionFailed where the record is of none of them. None: whatever is there.
    """

    op: Literal["create", "patch", "put", "delete"]
    collection: str
    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    expected: Collection[str] | None = None

    @property
    def key(self) -> Key:
        return self.collection, self.id


async def fields_of(edit: Edit, standing: Record | None, faults: list[Fault], texts: TextReader) -> dict[str, Any]:
    """The fields of the put that makes the record as the edit wants it. What is wrong joins `faults`."""
    spec = COLLECTIONS[edit.collection]
    if (refused := check_id(spec, edit.id)) is not None:
        faults.append(fault(f"{edit.at}id", refused.code, refused.message))
    fields: dict[str, Any] = {}
    for name, value in edit.values.items():
        declared = spec.fields.get(name)
        try:
            change = await _change(declared.kind if declared else "register", standing, name, value, texts)
        except _Refused as error:
            faults.append(fault(edit.at + name, error.code, f"{name} {error}"))
            continue
        if change is _NOTHING:
            continue
        if (wrong := _wrong(spec, name, change)) is not None:
            faults.append({**wrong, "field": edit.at + name})
        else:
            fields[name] = change
    return fields


def objections(collection: str, values: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with the whole values of declared fields, as far as the values alone can tell.

    Nothing is said of a text, of which only an edit can be refused.
    """
    spec = COLLECTIONS[collection]
    changes = {}
    for name, value in values.items():
        kind = spec.fields[name].kind
        if kind != "text":
            changes[name] = {"inc": value} if kind == "counter" else {"add": value} if kind == "set" else value
    # Nearly all are good: look for the fault only where there is one.
    if not isinstance(check_fields(spec, changes), Rejection):
        return []
    found = (_wrong(spec, name, change) for name, change in changes.items())
    return [each for each in found if each is not None]


def _wrong(spec: CollectionSpec, name: str, change: Any) -> Fault | None:
    checked = check_fields(spec, {name: change})
    if not isinstance(checked, Rejection):
        return None
    declared = spec.fields.get(name)
    is_zone = declared is not None and isinstance(declared.type, TimeZone)
    # Over REST what is none of the known words is so called, and out of range is a number.
    code = "unknown_value" if is_zone and checked.code == "out_of_range" else checked.code
    return fault(name, code, checked.message.replace(f"{name}.add", name))


async def _change(kind: str, standing: Record | None, name: str, value: Any, texts: TextReader) -> Any:
    """What a put says to give a field a value; _NOTHING where it has it already, and says so only where that
    is certain: a register is always written, for that resolves its conflicts."""
    held = None if standing is None else standing.values.get(name)
    if kind == "counter":
        return {"inc": value}
    if kind == "set":
        if type(value) is not list:
            raise _Refused("wrong_type", "must be a list")
        if not all(type(each) is str for each in value):
            return {"add": value}  # which is refused by the check, with its place
        add, remove = set(value) - set(held or ()), set(held or ()) - set(value)
        return {"add": sorted(add), "remove": sorted(remove)} if add or remove else _NOTHING
    if kind == "text":
        if type(value) is not str or "\0" in value:
            raise _Refused("wrong_type", "must be a text without U+0000")
        return _NOTHING if value == (held or "") else await _rewritten(standing, name, value, texts)
    return value


async def _rewritten(standing: Record | None, name: str, text: str, texts: TextReader) -> dict[str, str]:
    """The change that makes a text read `text`."""
    state = b"" if standing is None else base64.b64decode(standing.yjs.get(name, ""))
    if len(text.encode()) <= UPDATE_BYTES_MAX:
        try:
            update = await texts.rewrite(state, text)
        except BadText:  # It was read when it came: the reader has no time now.
            raise Unavailable(retry_after_s=5) from None
        if len(update) <= UPDATE_BYTES_MAX:
            return {"yjs": base64.b64encode(update).decode()}
    raise _Refused("too_long", f"may change by at most {UPDATE_BYTES_MAX} bytes at once")


class _Refused(Exception):
    """A value that becomes no change; the text goes on after the field's name."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


_NOTHING: Final = object()


def fault(field: str, code: str, message: str) -> Fault:
    """One wrong field, under the name that api/rest has for its fault."""
    return {"field": field, "code": _CODES.get(code, code), "message": message}


def fault_of(edit: Edit, rejected: Mapping[str, Any]) -> Fault:
    """What the write path refused of an edit, as the fault of a field of the request."""
    field_ = rejected.get("field")
    at = edit.at + field_ if field_ else edit.at.rstrip(".")
    return fault(at, rejected["code"], rejected.get("message", ""))
