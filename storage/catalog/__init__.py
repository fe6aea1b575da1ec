"""The exercise catalog as it is shipped: one JSON file a movement pattern, read into typed values.

Owns: the data files beside this module, and their form: a file is a list of exercises, an exercise has exactly the
fields of the collection `exercises` and an `id`. Sets are sorted lists.

Refuses to know: how the catalog reaches a database (`sync/catalog.py`), and whether a value is allowed
(`storage/collections.py` declares it, the write path checks it).

Invariants
    K1  An id never changes and is never used for another exercise: workouts of years ago name it. An exercise that
        leaves the catalog leaves its file alone; the seeding archives it and never deletes it.
    K2  A name or an alias stands once in the whole catalog, whatever its case, so a name resolves to one exercise.

A new exercise gets a UUID of version 5 from the namespace and its name in lower case, words joined by hyphens
(`exercise_id`); a variation group likewise, from `group:` and its word. Renaming keeps the id.
"""

from __future__ import annotations

import re
import uuid
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

NAMESPACE: Final = uuid.UUID("6f1d2f0e-5b0b-5c56-9c0e-3a7d1f4b8e21")


class Increment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The smallest sensible step of the load."""

    value: int | float
    unit: Literal["kg", "lb"]


class Exercise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exercise, with the fields of `exercises` in their declared order."""

    id: str
    name: str
    aliases: tuple[str, ...]
    category: str
    measure: str
    force: str | None
    level: str
    mechanic: str | None
    equipment: tuple[str, ...]
    primary_muscles: tuple[str, ...]
    secondary_muscles: tuple[str, ...]
    instructions: tuple[str, ...]
    load_mode: str
    bodyweight_fraction: int | float | None
    is_unilateral: bool
    default_rest_s: int | None
    weight_increment: Increment | None
    variation_group: str | None
    archived: bool
    licence: str | None
    author: str | None
    source_url: str | None

    def values(self) -> dict[str, Any]:
        """Every field but the id as plain JSON values: what the record shows once it is written."""
        # Through JSON, so that a tuple is the list it is on the wire.
        values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        del values["id"]
        return values


@cache
def load() -> tuple[Exercise, ...]:
    """Every exercise of the catalog, file by file in the order of their names.

    Raises:
        msgspec.DecodeError: a data file is broken, which is a defect of the package; nothing can be done at run time.
    """
    decoder = msgspec.json.Decoder(list[Exercise])
    return tuple(exercise for file in _files() for exercise in decoder.decode(file.read_bytes()))


class _Named(msgspec.Struct):
    id: str


@cache
def ids() -> frozenset[str]:
    """The id of every exercise of the catalog, for who need not hold the exercises."""
    decoder = msgspec.json.Decoder(list[_Named])
    return frozenset(exercise.id for file in _files() for exercise in decoder.decode(file.read_bytes()))


def fingerprint() -> str:
    """Another one for each catalog that is shipped. Costs the reading of the files and not their decoding."""
    digest = blake2b(digest_size=16)
    for file in _files():
        digest.update(blake2b(file.read_bytes()).digest())
    return digest.hexdigest()


def _files() -> list[Path]:
    return sorted(Path(__file__).parent.glob("*.json"))


def exercise_id(name: str) -> str:
    """The id that a new exercise of this name is given."""
    return str(uuid.uuid5(NAMESPACE, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")))


def names(exercises: tuple[Exercise, ...]) -> dict[str, str]:
    """{a name or an alias, case folded: the exercise's id}: how an import finds what a log's name means."""
    return {name.casefold(): each.id for each in exercises for name in (each.name, *each.aliases)}
