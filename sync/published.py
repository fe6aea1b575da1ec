"""Which templates everybody sees: a list beside the records, written in the transaction that writes them.

Owns: what makes a template public, and what it is found by.
Refuses to know: who looks, and how the list is kept (storage/templates.py).

Invariants
    T1  The list is a function of the records: a template of a personal space stands in it where it is shown, its
        visibility is public, and it is not larger than anybody trains; it was written by a device or over REST alike.
        What no write changes since is not in it twice, and what a write makes private is gone with that write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from storage import templates as store
from storage.database import Transaction
from storage.records import read_rows
from storage.rows import StoredRecord

# How the write path spells it. A text that says the same has its quotes escaped, and what is found where none is
# public is looked at once more.
_PUBLIC: Final = b'"visibility":"public"'


class _Values(msgspec.Struct):
    title: str = ""
    visibility: str | None = None
    tags: list[str] = []
    exercise: str | None = None


class _Body(msgspec.Struct):
    values: _Values


_decode: Final = msgspec.json.Decoder(_Body).decode


def touched(before: Iterable[StoredRecord], after: Iterable[StoredRecord]) -> set[str]:
    """The templates that a batch may have put on the list, changed on it, or taken from it.

    before: what was read of the touched records and their ancestors. after: what is written of them.
    """
    return {
        record.id
        for records in (before, after)
        for record in records
        if record.collection == "templates" and _PUBLIC in record.body
    }


async def renew(tx: Transaction, space: str, templates: Collection[str], *, now_ms: int) -> None:
    """Bring the list to what the records say of these templates, behind the write of the records."""
    rows = await read_rows(tx, space, [("templates", each) for each in templates])
    public = {}
    for row in rows:
        values = _decode(row.body).values if row.status == 0 else None
        if values is not None and values.visibility == "public":
            public[row.id] = values
    await store.unlist_templates(tx, space, set(templates) - set(public))
    for template, values in sorted(public.items())[: store.LISTED_PER_SPACE_MAX]:
        below = await store.read_below_some(tx, space, ("templates", template), store.RECORDS_MAX + 1)
        exercises = [_decode(row.body).values.exercise for row in below if row.collection == "template_exercises"]
        if len(below) > store.RECORDS_MAX or len(exercises) > store.EXERCISES_MAX:
            await store.unlist_templates(tx, space, [template])
            continue
        terms = store.terms_of(values.title, values.tags, {each for each in exercises if each is not None})
        await store.list_template(tx, space, template, terms=terms, exercises=len(exercises), now_ms=now_ms)
