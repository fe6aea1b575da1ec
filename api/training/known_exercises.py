"""Which exercises a person can mean: the catalog's, their own, and those of the space that they write in.

Owns: where an exercise is looked for, and the warning about one that nobody knows: a device may bring it yet, so it is
no refusal.
Refuses to know: what an exercise is named for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from api.rest.endpoint import Fault
from api.training.answers import fault
from storage import catalog
from storage.database import Transaction
from storage.records import read_rows
from storage.rows import Key
from sync.bodies import SHOWN
from sync.records import Edit, View

_ID_CHARS: Final = 36
_NAMING: Final = frozenset({"workout_exercises", "template_exercises", "goals"})


def looked_for(ids: Iterable[str]) -> list[Key]:
    """The records that tell whether somebody can mean these exercises; none of those of the catalog, which is known."""
    return [("exercises", id) for id in dict.fromkeys(ids) if id not in catalog.ids()]


async def shown_in(tx: Transaction, space: str, keys: Collection[Key]) -> set[str]:
    """The ids of those of these exercises that a space shows."""
    possible = [key for key in keys if len(key[1]) == _ID_CHARS]
    return {row.id for row in await read_rows(tx, space, possible) if row.status == SHOWN}


def named_by(edits: Iterable[Edit]) -> list[Key]:
    """`looked_for` of the exercises that edits name."""
    return looked_for(id for _, id in _named(edits))


def _named(edits: Iterable[Edit]) -> list[tuple[str, str]]:
    """Where in the request each exercise is named, and its id."""
    return [
        (f"{edit.at}exercise", str(edit.values["exercise"]))
        for edit in edits
        if edit.collection in _NAMING and edit.values.get("exercise") is not None
    ]


async def warnings(view: View, personal: str, edits: Sequence[Edit]) -> list[Fault]:
    """A warning for each exercise that these edits name and nobody knows.

    view: it has looked up `looked_for` of the exercises. personal: the writer's own space.
    """
    named = _named(edits)
    keys = looked_for(id for _, id in named)
    await view.look_up(keys)
    left = {key for key in keys if view.known[key] is None}
    if left and view.space.id != personal:
        left -= {("exercises", id) for id in await shown_in(view.tx, personal, left)}
    return [
        fault(
            at, "unknown_exercise", f"{at} is no exercise of the catalog or of yours; it has no name until it is made"
        )
        for at, id in named
        if ("exercises", id) in left
    ]
