"""Which templates everybody sees: a list beside the records, written in the transaction that writes them.

Owns: what makes a template public, and what it is found by.
Refuses to know: who looks, and how the list is kept (storage/templates.py).

Invariants
    T1  The list is a function of the records: a template of a personal space stands in it where it is shown, its
        visibility is public, and it is not larger than anybody trains; it was written by a device or over REST alike.
        What no write changes since is not in it twice, and what a write makes private is gone with that write.
        Of more than LISTED_PER_SPACE_MAX those stand in it that come first by their ids, among the first LOOKED_AT_MAX
        templates and LOOKED_AT_BYTES_MAX bytes of them: where one goes, the next one comes with the same write.
    T2  A write costs the list as many statements for many templates as for one, and writes of it what is another.
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
# Where one that waits for room is too large, the next one is looked at, and so on so many times.
_ROUNDS: Final = 3


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
    public = await _public(tx, space, templates)
    bodies = await store.read_bodies_of_exercises(tx, space, sorted(public))
    # The space is locked: nobody else lists one of its templates meanwhile.
    listed = await store.read_listed(tx, space)
    fit = (listed.keys() - set(templates)) | bodies.keys()
    if len(listed) >= store.LISTED_PER_SPACE_MAX and fit != listed.keys():
        # There may be others, which wait for room.
        unfit = set(templates) - bodies.keys()
        ids = set(await store.read_public_ids(tx, space, _PUBLIC))
        for _ in range(_ROUNDS):
            new = sorted(_first(fit | (ids - unfit)) - fit)
            public |= (read := await _public(tx, space, new))
            bodies |= (fitting := await store.read_bodies_of_exercises(tx, space, sorted(read)))
            unfit |= set(new) - fitting.keys()
            fit |= fitting.keys()
    fit = _first(fit)
    await store.unlist_templates(tx, space, listed.keys() - fit)
    shown = sorted(fit & bodies.keys())
    moved = {each: len(bodies[each]) for each in shown if listed.get(each) != len(bodies[each])}
    await store.list_templates(tx, space, moved, now_ms=now_ms)
    stored = await store.read_terms(tx, space, shown)
    add, remove = {}, {}
    for each in shown:
        named = {exercise for body in bodies[each] if (exercise := _decode(body).values.exercise) is not None}
        terms, before = store.terms_of(public[each].title, public[each].tags, named), stored.get(each, set())
        add[each], remove[each] = terms - before, before - terms
    await store.change_terms(tx, space, add=add, remove=remove)


def _first(templates: Collection[str]) -> set[str]:
    """As many as are listed at most, by their ids."""
    return set(sorted(templates)[: store.LISTED_PER_SPACE_MAX])


async def _public(tx: Transaction, space: str, templates: Collection[str]) -> dict[str, _Values]:
    """Those of these templates that are shown and public."""
    rows = await read_rows(tx, space, [("templates", each) for each in templates]) if templates else ()
    found = {row.id: _decode(row.body).values for row in rows if row.status == 0}
    return {id: values for id, values in found.items() if values.visibility == "public"}
