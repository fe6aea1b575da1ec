"""Templates as others see them: among the public ones, behind a link, or liked.

Owns: what of a template is shown to whom, and the one state that it is read in.
Refuses to know: addresses (templates.py), how links are made (template_links.py), and SQL.

Invariants
    F1  Of a template that is shown, its owner shows what stands in it: title, notes, tags, weeks, exercises and sets.
        Not where it is kept, where it came from, what lost to a conflict, which device wrote it, or when; ids of
        records have a time in them, so they are others here.
    F2  An exercise of the owner's own is shown as far as it is needed to train it, and only where it stands in the
        template.
    F3  A name is shown where its owner shows it to strangers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

from msgspec import UNSET, Meta, UnsetType

from api.rest.endpoint import Shown
from api.training.shapes import facing
from conflict.clock import rfc3339
from storage.database import Transaction
from storage.spaces import CATALOG_SPACE
from storage.template_links import linked
from storage.template_marks import Favorite, favorites_of
from storage.templates import (
    EXERCISES_MAX,
    RECORDS_MAX,
    Listing,
    Place,
    public_id,
    read_at,
    read_below_some,
    read_published,
)
from sync.records import Record, Tree, record_of

OF_TEMPLATE: Final = ("title", "notes", "tags", "weeks")
OF_EXERCISE: Final = ("exercise", "week", "day", "superset", "rest_s", "notes")
OF_SET: Final = (
    "kind", "target_reps_min", "target_reps_max", "target_weight", "target_percent_1rm", "target_rpe", "target_rir",
    "target_duration_s", "target_distance", "is_amrap", "progression",
)  # fmt: skip
# Of an exercise of the owner's own.
OF_CUSTOM: Final = (
    "name", "category", "measure", "force", "level", "mechanic", "equipment", "primary_muscles", "secondary_muscles",
    "instructions", "load_mode", "bodyweight_fraction", "is_unilateral", "default_rest_s", "weight_increment",
    "licence", "author", "source_url",
)  # fmt: skip


class Author(Shown):
    """Whose it is, where they show their name to everybody."""

    id: str
    name: str


_ABOUT: Final[list[Any]] = [
    ("author", Annotated[Author | None, Meta(description="null where they show their name to nobody.")]),
    ("is_own", bool),
    ("is_favorite", bool),
    ("copies", Annotated[int, Meta(description="By how many people it was copied.")] | UnsetType, UNSET),
    ("published_at", str | UnsetType, UNSET),
]
ListedTemplate: Any = facing(
    "ListedTemplate",
    "templates",
    OF_TEMPLATE,
    more=[
        ("id", str),
        ("space", Annotated[str, Meta(description="Of a template in a space of one's own.")] | UnsetType, UNSET),
        ("exercise_count", Annotated[int, Meta(description="How many exercises stand in it.")] | UnsetType, UNSET),
        *_ABOUT,
    ],
)
_PublicSet: Any = facing("PublicTemplateSet", "template_sets", OF_SET, more=[("id", str)])
_PublicExercise: Any = facing(
    "PublicTemplateExercise",
    "template_exercises",
    OF_EXERCISE,
    more=[
        ("id", str),
        ("name", Annotated[str | None, Meta(description="Of the exercise; null where it is none any more.")]),
        ("sets", list[_PublicSet]),
    ],
)
_CustomExercise: Any = facing("CustomExercise", "exercises", OF_CUSTOM, more=[("id", str)])
_WHOLE: Final[list[Any]] = [
    ("id", str),
    ("exercises", list[_PublicExercise]),
    (
        "custom_exercises",
        Annotated[list[_CustomExercise], Meta(description="Those that are not in the catalog: a copy brings them.")],
    ),
]
PublicTemplate: Any = facing("PublicTemplate", "templates", OF_TEMPLATE, more=[*_WHOLE, *_ABOUT])
SharedTemplate: Any = facing("SharedTemplate", "templates", OF_TEMPLATE, more=[*_WHOLE, _ABOUT[0]])


class Published(Shown):
    """Under which id everybody sees a template of one's own, since when, and how many people copied it."""

    id: str
    published_at: str
    copies: int


@dataclass(frozen=True, slots=True)
class Whole:
    """A template with everything in it, and the exercises that it names as far as it may show them, of one state.

    catalog: those of them that are everybody's.
    """

    place: Place
    tree: Tree
    exercises: Mapping[str, Record]
    catalog: frozenset[str]


async def read_whole(tx: Transaction, place: Place) -> Whole | None:
    """What a space shows of a template; None where it shows none, or one that is larger than anybody trains.

    `tx` is a snapshot. Who may see the space's template, the caller has asked.
    """
    space, template = place
    found = await read_at(tx, [(space, "templates", template)])
    if not found:
        return None
    root, life = record_of(found[0].row, found[0].life), found[0].life
    below = await read_below_some(tx, space, root.key, RECORDS_MAX + 1)
    tree = Tree(root, [record_of(row, life) for row in below])
    blocks = tree.children(root, "template_exercises")
    if len(below) > RECORDS_MAX or len(blocks) > EXERCISES_MAX:
        return None
    named = {str(each.values.get("exercise")) for each in blocks}
    rows = await read_at(tx, [(at, "exercises", each) for at in (CATALOG_SPACE, space) for each in sorted(named)])
    catalog = {each.row.id for each in rows if each.space == CATALOG_SPACE}
    exercises = {
        each.row.id: record_of(each.row, each.life)
        for each in rows
        if each.space == CATALOG_SPACE or each.row.id not in catalog
    }
    return Whole(place, tree, exercises, frozenset(catalog))


def face(whole: Whole) -> dict[str, Any]:
    """A whole template as others see it (F1, F2)."""
    called = public_id(*whole.place)
    names = {id: record.values.get("name") for id, record in whole.exercises.items()}
    exercises = []
    for each in whole.tree.children(whole.tree.root, "template_exercises"):
        sets = [
            {"id": opaque(called, one.id), **_some(one, OF_SET)} for one in whole.tree.children(each, "template_sets")
        ]
        shown = {"id": opaque(called, each.id), **_some(each, OF_EXERCISE)}
        exercise = str(each.values.get("exercise"))
        if exercise not in whole.catalog:
            shown["exercise"] = opaque(called, exercise)
        if shown.get("superset") is not None:
            shown["superset"] = opaque(called, str(shown["superset"]))
        exercises.append({**shown, "name": names.get(exercise), "sets": sets})
    custom = [
        {"id": opaque(called, id), **_some(record, OF_CUSTOM)}
        for id, record in sorted(whole.exercises.items())
        if id not in whole.catalog
    ]
    root = _some(whole.tree.root, OF_TEMPLATE)
    return {"id": called, **root, "exercises": exercises, "custom_exercises": custom}


def opaque(called: str, id: str) -> str:
    """An id that tells nothing of another one, but that it is the same one."""
    return str(uuid5(UUID(called), id))


def _some(record: Record, fields: Sequence[str]) -> dict[str, Any]:
    return {name: record.values[name] for name in fields if name in record.values}


def about(listing: Listing, viewer: str) -> dict[str, Any]:
    """What is told beside a public template (F3)."""
    return {
        "author": None if listing.author is None else {"id": listing.owner, "name": listing.author},
        "is_own": listing.owner == viewer,
        "is_favorite": listing.is_favorite,
        "copies": listing.copies,
        "published_at": rfc3339(listing.published_at),
    }


async def listed(tx: Transaction, found: Sequence[Listing], viewer: str) -> list[dict[str, Any]]:
    """Public templates as a list shows them."""
    roots = await _roots(tx, [(each.space, each.template) for each in found])
    return [
        {
            "id": each.id,
            **_some(roots[each.space, each.template], OF_TEMPLATE),
            "exercise_count": each.exercises,
            **about(each, viewer),
        }
        for each in found
        if (each.space, each.template) in roots
    ]


async def liked(tx: Transaction, found: Sequence[Favorite], viewer: str) -> list[dict[str, Any]]:
    """Liked templates as a list shows them: one's own under their own ids."""
    roots = await _roots(tx, [(each.space, each.template) for each in found])
    items = []
    for each in found:
        root = roots.get((each.space, each.template))
        if root is None:
            continue
        if each.listing is not None and each.listing.owner != viewer:
            own: dict[str, Any] = {"id": each.id, "exercise_count": each.listing.exercises}
            more = about(each.listing, viewer)
        else:
            own = {"id": each.template, "space": each.space}
            more = {"author": None, "is_own": True, "is_favorite": True}
        items.append({**own, **_some(root, OF_TEMPLATE), **more})
    return items


async def _roots(tx: Transaction, places: Sequence[Place]) -> dict[Place, Record]:
    found = await read_at(tx, [(space, "templates", template) for space, template in places])
    return {(each.space, each.row.id): record_of(each.row, each.life) for each in found}


async def beside(tx: Transaction, user: str, space: str, templates: Sequence[str]) -> list[dict[str, Any]]:
    """What is told beside each of these templates to a member of their space."""
    called = {each: public_id(space, each) for each in templates}
    favorites = await favorites_of(tx, user, called.values())
    published = await read_published(tx, space, templates)
    links = await linked(tx, user=user, space=space, templates=templates)
    return [
        {
            "is_favorite": called[each] in favorites,
            "is_shared": each in links,
            "published": _published(*published[each]) if each in published else None,
        }
        for each in templates
    ]


def _published(id: str, published_at: int, copies: int) -> dict[str, Any]:
    return {"id": id, "published_at": rfc3339(published_at), "copies": copies}
