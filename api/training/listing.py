"""A page of one collection: newest first where its records have a time, and narrowed to what is asked for.

Owns: which parameters narrow a list, and where a page ends. Refuses to know: any one collection.

The page comes from the index of the list. What narrows it is looked at record by record, SCANNED_MAX of them at most
for one request: a page may hold fewer than were asked for, and the list goes on for as long as there is a cursor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from api.training.answers import Listed, cursor_of, place_of
from api.training.shapes import type_of, wire_time
from storage.collection_specs import FieldSpec
from storage.collections import COLLECTIONS
from storage.records import LATEST
from sync.records import Record, View

SCANNED_MAX: Final = 2_000
_STEP: Final = 200


class Spanned(Listed):
    """A page of what has a time."""

    since: Annotated[datetime, Meta(tz=True, description="The earliest time.")] | None = None
    until: Annotated[datetime, Meta(tz=True, description="Times before this.")] | None = None


def query(name: str, collection: str, *filters: str, more: Sequence[Any] = ()) -> Any:
    """The parameters of a collection's list.

    filters: the fields that narrow it, each as often as wanted.
    more: parameters beside those, as msgspec.defstruct takes them.
    """
    declared = COLLECTIONS[collection]
    fields: list[Any] = [
        (each, list[_values(declared.fields[each], each)], msgspec.field(default_factory=list))  # type: ignore[misc]
        for each in filters
    ]
    base = Listed if declared.listed_by is None else Spanned
    made = msgspec.defstruct(
        name, [*fields, *more], bases=(base,), kw_only=True, forbid_unknown_fields=True, module=__name__
    )
    made.__doc__ = f"A page of the {collection}."
    return made


def _values(field: FieldSpec, name: str) -> Any:
    if field.type is None:
        raise ValueError(f"{name} is a text, which narrows no list")
    return type_of(field.type, name)


async def page(
    view: View, collection: str, asked: Any, filters: Collection[str] = ()
) -> tuple[list[Record], str | None]:
    """The records of a page, and the cursor of the next one; None where it is the last.

    Raises InvalidFields for a cursor that is none.
    """
    place = None if asked.cursor is None else place_of(asked.cursor)
    wanted = {name: values for name in filters if (values := getattr(asked, name))}
    step = _STEP if wanted else asked.limit
    found: list[Record] = []
    for _ in range(0, SCANNED_MAX, step):
        rows, place = await _read(view, collection, asked, place, step)
        for at, each in enumerate(rows, 1):
            if _is_wanted(each, wanted):
                found.append(each)
            if len(found) == asked.limit:
                is_last = place is None and at == len(rows)
                return found, None if is_last else behind(each, collection)
        if place is None or not wanted:
            break
    return found, cursor_of(place)


async def _read(
    view: View, collection: str, asked: Any, place: tuple[str, str] | None, limit: int
) -> tuple[list[Record], tuple[str, str] | None]:
    """At most `limit` records behind a place, and where they end; None where there are no more."""
    if COLLECTIONS[collection].listed_by is not None:
        before = LATEST if asked.until is None else (wire_time(asked.until), "")
        since = "" if asked.since is None else wire_time(asked.since)
        return await view.by_time(collection, since=since, before=min(before, place or before), limit=limit)
    after = "" if place is None else place[1]
    found = await view.of_collection(collection, after=after, limit=limit + 1)
    return found[:limit], ("", found[limit - 1].id) if len(found) > limit else None


def behind(record: Record, collection: str) -> str | None:
    """The cursor of the page that begins behind a record."""
    return cursor_of(_place(record, collection))


def _is_wanted(record: Record, wanted: Mapping[str, Collection[str]]) -> bool:
    return all(record.values.get(name) in values for name, values in wanted.items())


def _place(record: Record, collection: str) -> tuple[str, str]:
    """Where a record stands in its list."""
    by = COLLECTIONS[collection].listed_by
    return "" if by is None else record.values.get(by) or "", record.id
