"""What the server would refuse of a write, told before it is logged.

Owns: the rules of `collections.json`, one compiled checker for each field. They are the server's own, and a test holds
both to the same verdict on the same values. What only the server can know (whether a record is full, whether the right
to write is there) is its to judge, and goes to the inbox.

Refuses to judge what was shown already: a value that a newer server let in is read, written anew and given back as it
is (undo, recovery); only what a program writes of its own passes through here.

Codes: wrong_type, out_of_range, too_long, bad_id, bad_text, immutable, record_full; as the server's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from ..collections import COLLECTIONS, NIL_UUID
from ..errors import InvalidWrite
from . import text
from .value_types import Check, Fault, amount, below, checker, each, fail, is_record_id, or_null

__all__ = ["judge_field", "judge_id"]

SET_ELEMENTS_MAX: Final = 1_000


def judge_id(collection: str, id: str) -> None:
    """Raises InvalidWrite (bad_id) where `id` may name no record of this collection."""
    if COLLECTIONS[collection].single:
        if id != NIL_UUID:
            raise InvalidWrite(f"The one record of {collection} has the id {NIL_UUID}, not {id!r}.", code="bad_id")
    elif not is_record_id(id):
        raise InvalidWrite(
            f"{id!r} is no id for a record of {collection}: make one with new_id() (a UUID of version 7 or 5).",
            code="bad_id",
        )


def judge_field(collection: str, name: str, edit: Any, shown: Any) -> None:
    """Judge one field of a put as it would be sent. `shown` is what the field shows now, None where it shows nothing.

    Raises:
        InvalidWrite: the server would refuse it; `field` and `code` say what.
    """
    try:
        _check_of(collection, name)(edit)
        _judge_against_shown(collection, name, edit, shown)
    except Fault as fault:
        raise InvalidWrite(f"{collection}.{name}{fault.path} {fault.text}.", code=fault.code, field=name) from None


def _judge_against_shown(collection: str, name: str, edit: Any, shown: Any) -> None:
    declared = COLLECTIONS[collection]
    if declared.parent is not None and declared.parent[0] == name and shown is not None and shown != edit:
        fail("immutable", "never changes: copy the record and delete this one")
    kind = declared.fields[name].kind
    if kind == "set":
        there = set(shown or ())
        number = len(there.difference(edit.get("remove", ())).union(edit.get("add", ())))
        if number > SET_ELEMENTS_MAX and number > len(there):
            fail("record_full", f"would hold {number} elements; a set holds at most {SET_ELEMENTS_MAX}")
    elif kind == "text":
        try:
            text.laid_over(shown, edit["yjs"])
        except InvalidWrite:
            fail("bad_text", "takes a string, or a Yjs update in base64")


@cache
def _check_of(collection: str, name: str) -> Check:
    field = COLLECTIONS[collection].fields[name]
    assert field.declared is not None, "only declared fields are written"
    if field.kind in ("text", "counter"):
        # Their forms are made by values.py, and what is in a text is judged with what it is laid over.
        return _of_counter if field.kind == "counter" else lambda edit: None
    check = checker(field.declared)
    return _of_set(check) if field.kind == "set" else or_null(check, field.declared.get("nullable", False))


def _of_set(check: Check) -> Check:
    def checked(edit: Mapping[str, list[Any]]) -> None:
        for move, elements in edit.items():
            each(elements, check, f".{move}")

    return checked


def _of_counter(edit: Mapping[str, Any]) -> None:
    below(".inc", amount(-1_000_000_000, 1_000_000_000), edit["inc"])
