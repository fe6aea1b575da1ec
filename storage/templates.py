"""Templates across spaces: what everybody sees of them, how they are found, and reading one with what stands in it.

Owns: the statements over `public_templates` and their terms, and what a template is called by others.
Refuses to know: which templates are public (sync/published.py), and what is shown of one (api/training).

Nobody who is blocked, in either direction, sees the other's templates; nor does anybody those of a disabled account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, case, delete, exists, or_, select, tuple_

from storage.database import Transaction
from storage.prepared import Prepared
from storage.push_reads import BELOW, named
from storage.records import Row
from storage.rows import Key
from storage.search.words import fold, words
from storage.tables import blocks, profiles, public_template_terms, public_templates, spaces, template_marks, users

# More than any program has; what a device wrote beyond it is shown to its owner alone.
EXERCISES_MAX: Final = 500
# Exercises and sets together: a year of four days a week.
RECORDS_MAX: Final = 2_500
# More than this is no collection of programs but a flood; what comes after is not listed.
LISTED_PER_SPACE_MAX: Final = 100
# Of a flood of templates the first ones are looked at for those that wait to be listed: so many, and so many bytes. On
# SQLite nobody else writes meanwhile.
LOOKED_AT_MAX: Final = 5_000
LOOKED_AT_BYTES_MAX: Final = 32 * 1_048_576
# Titles and tags are short: only what somebody made to fill the index has more.
TERMS_MAX: Final = 200

_NAMES: Final = UUID("a2d6a2bb-4f0e-5a59-8a7c-6d3f7c5f9a10")

# A template's place: (space, id).
Place = tuple[str, str]
Order = Literal["newest", "copied"]


class Listing(NamedTuple):
    """A template that everybody sees, for who looks.

    author: the owner's name, where they show it to strangers; else None, and so is their id.
    """

    id: str
    space: str
    template: str
    exercises: int
    published_at: int
    copies: int
    owner: str
    author: str | None
    is_favorite: bool


class Found(NamedTuple):
    """A template's row, and the life of its space."""

    space: str
    life: str
    row: Row


def public_id(space: str, template: str) -> str:
    """What a template is called by others: ids are given by devices, and two people may have the same one."""
    return str(uuid5(_NAMES, f"{space}\n{template}"))


# -- what it is found by ---------------------------------------------------------------------------------------------


def terms_of(title: str, tags: Iterable[str], exercises: Iterable[str]) -> set[bytes]:
    """What a template is found by: TERMS_MAX at most, and rather by its title and its tags than by each exercise."""
    tags = sorted(tags)
    spoken = (b"w" + word.encode() for text in (title, *tags) for word in sorted(words(text)))
    found: set[bytes] = set()
    for term in chain(spoken, map(tag_term, tags), map(exercise_term, sorted(exercises))):
        found.add(term)
        if len(found) == TERMS_MAX:  # nobody reads a flood to its end
            break
    return found


def tag_term(tag: str) -> bytes:
    """The term of a whole tag."""
    return b"t" + fold(tag).encode()


def exercise_term(exercise: str) -> bytes:
    """The term of an exercise."""
    return b"e" + exercise.encode()


# -- the list that is kept -------------------------------------------------------------------------------------------

_LIST = Prepared(
    """
INSERT INTO public_templates (id, space_id, template_id, exercises, published_at, copies)
SELECT CAST(:id AS text), CAST(:space AS text), CAST(:template AS text), CAST(:exercises AS bigint),
    CAST(:now_ms AS bigint), (SELECT count(*) FROM template_marks AS m WHERE m.id = :id AND m.kind = 'copy')
WHERE true ON CONFLICT (id) DO UPDATE SET exercises = excluded.exercises
"""
)
_ADD_TERM = Prepared("INSERT INTO public_template_terms (space_id, id, term) VALUES (:space, :id, :term)")
_FORGET_TERM = Prepared("DELETE FROM public_template_terms WHERE space_id = :space AND id = :id AND term = :term")
_ids: Any = bindparam("ids", expanding=True)
_FORGET_TERMS = delete(public_template_terms).where(
    public_template_terms.c.space_id == bindparam("space"), public_template_terms.c.id.in_(_ids)
)
_UNLIST = delete(public_templates).where(public_templates.c.id.in_(_ids))
_COUNTS = select(public_templates.c.template_id, public_templates.c.exercises).where(
    public_templates.c.space_id == bindparam("space")
)
_SHOWN_IN_SPACE: Final = "r.space_id = :space AND r.collection = 'templates' AND r.status = 0"
_OF_SPACE: Final = f"""
SELECT r.id FROM records AS r WHERE {_SHOWN_IN_SPACE} AND r.id <= (
    SELECT max(id) FROM (
        SELECT id, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS total FROM (
            SELECT r.id, length(r.body) AS size FROM records AS r WHERE {_SHOWN_IN_SPACE} ORDER BY r.id LIMIT :looked_at
        ) AS sizes
    ) AS totals WHERE total <= :bytes
) AND """
_PUBLIC_IDS = Prepared(
    postgresql=_OF_SPACE + "position(CAST(:says AS bytea) IN r.body) > 0", sqlite=_OF_SPACE + "instr(r.body, :says) > 0"
)
_TERMS = select(public_template_terms.c.id, public_template_terms.c.term).where(
    public_template_terms.c.space_id == bindparam("space"), public_template_terms.c.id.in_(_ids)
)
# Each step is bounded: a count says no more than that there are too many.
_EXERCISES_OF = (
    "SELECT e.id FROM records AS e WHERE e.space_id = :space AND e.parent_collection = 'templates' "
    "AND e.parent_id = w.id AND e.collection = 'template_exercises' AND e.status = 0"
)
_SETS_OF = (
    "SELECT s.id FROM records AS s WHERE s.space_id = :space AND s.parent_collection = 'template_exercises' "
    "AND s.parent_id = e.id AND s.status = 0"
)
_SIZES = Prepared(
    postgresql=f"""
SELECT w.id, (SELECT count(*) FROM ({_EXERCISES_OF} LIMIT :exercises) AS c), (
    SELECT count(*) FROM (
        SELECT 1 FROM ({_EXERCISES_OF} OFFSET 0) AS e CROSS JOIN LATERAL ({_SETS_OF} OFFSET 0) AS c LIMIT :records
    ) AS c
) FROM unnest(CAST(:ids AS text[])) AS w(id)""",
    sqlite=f"""
SELECT w.id, (SELECT count(*) FROM ({_EXERCISES_OF} LIMIT :exercises)), (
    SELECT count(*) FROM (
        {_EXERCISES_OF.replace("e.id FROM records AS e", "1 FROM records AS e CROSS JOIN records AS s")}
        AND {_SETS_OF.partition(" WHERE ")[2]} LIMIT :records
    )
) FROM (SELECT value AS id FROM json_each(:ids)) AS w""",
)
_EXERCISES = Prepared(
    postgresql=f"""
SELECT w.id, e.body FROM unnest(CAST(:ids AS text[])) AS w(id)
CROSS JOIN LATERAL ({_EXERCISES_OF.replace("e.id", "e.body", 1)} OFFSET 0) AS e""",
    sqlite=f"""
SELECT w.id, e.body FROM (SELECT value AS id FROM json_each(:ids)) AS w CROSS JOIN records AS e
WHERE {_EXERCISES_OF.partition(" WHERE ")[2]}""",
)


async def read_listed(tx: Transaction, space: str) -> dict[str, int]:
    """{template: how many exercises it is listed with} of all of a space's templates that everybody sees."""
    return {row[0]: row[1] for row in await tx.execute(_COUNTS, {"space": space})}


async def read_public_ids(tx: Transaction, space: str, says: bytes) -> list[str]:
    """Those of the first LOOKED_AT_MAX templates that a space shows, and of their first LOOKED_AT_BYTES_MAX bytes,
    whose body has `says` in it. One statement."""
    asked = {"space": space, "says": says, "looked_at": LOOKED_AT_MAX, "bytes": LOOKED_AT_BYTES_MAX}
    return [row[0] for row in await tx.execute(_PUBLIC_IDS, asked)]


async def read_terms(tx: Transaction, space: str, templates: Collection[str]) -> dict[str, set[bytes]]:
    """{template: what it is found by}, as it is stored, of those of these templates that are found by something."""
    called = {public_id(space, each): each for each in templates}
    found: dict[str, set[bytes]] = {}
    for id, term in await tx.execute(_TERMS, {"space": space, "ids": list(called)}) if called else ():
        found.setdefault(called[id], set()).add(bytes(term))
    return found


async def read_bodies_of_exercises(tx: Transaction, space: str, templates: Collection[str]) -> dict[str, list[bytes]]:
    """{template: the exercises that the space shows in it} of those of these that are not larger than anybody trains.

    Two statements, whatever they are asked of: how much stands in a template that is too large is not looked at.
    """
    asked = {"space": space, "exercises": EXERCISES_MAX + 1, "records": RECORDS_MAX + 1}
    sizes = await tx.execute(_SIZES, {**asked, "ids": _texts(tx, templates)}) if templates else ()
    fitting = [id for id, blocks, sets in sizes if blocks <= EXERCISES_MAX and blocks + sets <= RECORDS_MAX]
    found: dict[str, list[bytes]] = {each: [] for each in fitting}
    for id, body in await tx.execute(_EXERCISES, {"space": space, "ids": _texts(tx, fitting)}) if fitting else ():
        found[id].append(body)
    return found


def _texts(tx: Transaction, texts: Collection[str]) -> Any:
    return msgspec.json.encode(list(texts)).decode() if tx.dialect == "sqlite" else list(texts)


async def list_templates(tx: Transaction, space: str, exercises: Mapping[str, int], *, now_ms: int) -> None:
    """Put templates among those that everybody sees, each with how many exercises it has. Since when one is there,
    stays."""
    if exercises:
        asked = {"space": space, "now_ms": now_ms}
        rows = [
            {**asked, "id": public_id(space, each), "template": each, "exercises": count}
            for each, count in sorted(exercises.items())
        ]
        await tx.execute(_LIST, rows)


async def change_terms(
    tx: Transaction, space: str, *, add: Mapping[str, Collection[bytes]], remove: Mapping[str, Collection[bytes]]
) -> None:
    """Write what templates are found by from now on, as the difference from what is stored."""
    for statement, terms in ((_FORGET_TERM, remove), (_ADD_TERM, add)):
        rows = [
            {"space": space, "id": public_id(space, template), "term": term}
            for template, some in sorted(terms.items())
            for term in sorted(some)
        ]
        if rows:
            await tx.execute(statement, rows)


async def unlist_templates(tx: Transaction, space: str, templates: Collection[str]) -> None:
    """Take templates from those that everybody sees; nothing happens to one that is not there."""
    ids = [public_id(space, each) for each in templates]
    if ids:
        await tx.execute(_FORGET_TERMS, {"space": space, "ids": ids})
        await tx.execute(_UNLIST, {"ids": ids})


# -- looking ---------------------------------------------------------------------------------------------------------

# The name of an owner who shows it to strangers (api/accounts/people.py:sight).
_shows_name = or_(profiles.c.visibility != "private", profiles.c.name_key.is_not(None), profiles.c.by_email.is_(True))
_viewer: ColumnElement[str] = bindparam("viewer")
apart: Final = ~exists().where(
    or_(
        and_(blocks.c.user_id == _viewer, blocks.c.blocked_id == users.c.id),
        and_(blocks.c.user_id == users.c.id, blocks.c.blocked_id == _viewer),
    )
)
is_favorite: Final = exists().where(
    template_marks.c.user_id == _viewer,
    template_marks.c.kind == "favorite",
    template_marks.c.id == public_templates.c.id,
)
listings: Final = (
    select(
        public_templates.c.id,
        public_templates.c.space_id,
        public_templates.c.template_id,
        public_templates.c.exercises,
        public_templates.c.published_at,
        public_templates.c.copies,
        users.c.id,
        case((_shows_name, users.c.name)),
        is_favorite,
    )
    .join_from(public_templates, spaces, spaces.c.id == public_templates.c.space_id)
    .join(users, users.c.id == spaces.c.owner_id)
    .outerjoin(profiles, profiles.c.user_id == users.c.id)
    .where(spaces.c.kind == "personal", users.c.disabled_at.is_(None), apart)
)
_PUBLISHED = select(
    public_templates.c.template_id,
    public_templates.c.id,
    public_templates.c.published_at,
    public_templates.c.copies,
).where(
    public_templates.c.space_id == bindparam("space"),
    public_templates.c.template_id.in_(bindparam("templates", expanding=True)),
)
_by_id = listings.where(public_templates.c.id == bindparam("id"))
_BELOW_SOME = Prepared(
    postgresql=f"""{BELOW["postgresql"]}
SELECT r.collection, r.id, r.seq, r.parent_collection, r.parent_id, r.status, r.body
FROM touched AS t CROSS JOIN LATERAL (
    SELECT * FROM records AS o WHERE o.space_id = :space AND o.collection = t.collection AND o.id = t.id LIMIT 1
) AS r WHERE r.status = 0 LIMIT :most""",
    sqlite=f"""{BELOW["sqlite"]}
SELECT r.collection, r.id, r.seq, r.parent_collection, r.parent_id, r.status, r.body
FROM touched AS t CROSS JOIN records AS r
WHERE r.space_id = :space AND r.collection = t.collection AND r.id = t.id AND r.status = 0 LIMIT :most""",
)
_ROW = "r.space_id, s.life, r.collection, r.id, r.seq, r.status, r.body"
_AT = Prepared(
    postgresql=f"""
SELECT {_ROW} FROM unnest(CAST(:spaces AS text[]), CAST(:collections AS text[]), CAST(:ids AS text[]))
    AS w(space_id, collection, id)
JOIN records AS r ON r.space_id = w.space_id AND r.collection = w.collection AND r.id = w.id
JOIN spaces AS s ON s.id = r.space_id WHERE r.status = 0""",
    sqlite=f"""
SELECT {_ROW} FROM json_each(:keys) AS w CROSS JOIN records AS r CROSS JOIN spaces AS s
WHERE r.space_id = w.value ->> 0 AND r.collection = w.value ->> 1 AND r.id = w.value ->> 2
    AND s.id = r.space_id AND r.status = 0""",
)


async def read_listing(tx: Transaction, viewer: str, id: str) -> Listing | None:
    """A template by what it is called by others; None where `viewer` does not see it among the public ones."""
    rows = await tx.execute(_by_id, {"viewer": viewer, "id": id})
    return listing_of(rows[0]) if rows else None


async def find_listings(
    tx: Transaction,
    viewer: str,
    *,
    words: Sequence[str] = (),
    tags: Sequence[str] = (),
    exercises: Sequence[str] = (),
    order: Order = "newest",
    before: tuple[int, str] | None = None,
    most: int,
) -> list[Listing]:
    """At most `most` of the templates that everybody sees, the newest or the most copied first.

    Args:
        words: each begins some word of the title or a tag. tags, exercises: each of them stands in it.
        before: the (published_at or copies, id) where the page before ended.
    """
    by = public_templates.c.published_at if order == "newest" else public_templates.c.copies
    key = tuple_(by, public_templates.c.id)
    found = listings.order_by(by.desc(), public_templates.c.id.desc()).limit(most)
    if before is not None:
        found = found.where(key < tuple_(*before))
    term = public_template_terms.c.term
    begins = [b"w" + word.encode() for word in words]
    conditions: list[ColumnElement[bool]] = [and_(term >= each, term < each + b"\xff") for each in begins]
    conditions += [term == tag_term(each) for each in tags]
    conditions += [term == exercise_term(each) for each in exercises]
    for each in conditions:
        found = found.where(public_templates.c.id.in_(select(public_template_terms.c.id).where(each)))
    return [listing_of(row) for row in await tx.execute(found, {"viewer": viewer})]


async def read_published(tx: Transaction, space: str, templates: Collection[str]) -> dict[str, tuple[str, int, int]]:
    """{template: (what others call it, published_at, copies)} of those of a space's templates that everybody sees."""
    rows = await tx.execute(_PUBLISHED, {"space": space, "templates": list(templates)}) if templates else []
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def listing_of(row: Sequence[Any]) -> Listing:
    """A row of `listings`."""
    id, space, template, exercises, published_at, copies, owner, author, favorite = row
    return Listing(id, space, template, exercises, published_at, copies, owner, author, bool(favorite))


async def read_at(tx: Transaction, places: Collection[tuple[str, str, str]]) -> list[Found]:
    """The shown records under these (space, collection, id), in any order: a look-up for each, in one statement."""
    if not places:
        return []
    asked: dict[str, Any]
    if tx.dialect == "sqlite":
        asked = {"keys": msgspec.json.encode(list(places)).decode()}
    else:
        columns = zip(*places, strict=True)
        asked = dict(zip(("spaces", "collections", "ids"), map(list, columns), strict=True))
    return [
        Found(row[0], row[1], Row(row[2], row[3], row[4], None, row[5], row[6])) for row in await tx.execute(_AT, asked)
    ]


async def read_below_some(tx: Transaction, space: str, key: Key, most: int) -> list[Row]:
    """At most `most` of the records that a space shows below one, in no order."""
    rows = await tx.execute(_BELOW_SOME, {"space": space, "most": most, **named(tx, [key])})
    return [Row(row[0], row[1], row[2], None if row[4] is None else (row[3], row[4]), row[5], row[6]) for row in rows]
