"""An exercise as it is searched: made once from the record's stored bytes, and then only read.

Owns: which fields of an exercise are searched and counted. Refuses to know: where the record came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from sys import intern
from typing import Final

import msgspec

from storage.search.words import compared, fold, singular, words

# More names than any exercise has; the rest of a set that holds a thousand is not searched.
ALIASES_MAX: Final = 64

FACETS: Final = ("muscle", "primary_muscle", "secondary_muscle", "equipment", "level", "category")


class _Values(msgspec.Struct):
    name: str = ""
    aliases: list[str] = []
    category: str | None = None
    level: str | None = None
    equipment: list[str] = []
    primary_muscles: list[str] = []
    secondary_muscles: list[str] = []
    archived: bool = False


class _Record(msgspec.Struct):
    id: str
    deleted: bool = False
    values: _Values = msgspec.field(default_factory=_Values)


_decode: Final = msgspec.json.Decoder(_Record).decode


@dataclass(frozen=True, slots=True)
class Phrase:
    """One name of an exercise, as its words. What it is found by is worked out when it is asked for, which is when the
    exercise enters or leaves an index: kept, it would be most of the index."""

    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole name in single words."""
        return " ".join(self.words)

    @property
    def length(self) -> int:
        """How many words it has."""
        return len(self.words)

    def terms(self) -> frozenset[str]:
        """What each word may be found by."""
        return _either_number(compared(self.words))

    def joined(self) -> frozenset[str]:
        """What two neighbours may be found by where they are written as one ("pushup")."""
        return _either_number(first + second for first, second in pairwise(compared(self.words)))


@dataclass(frozen=True, slots=True)
class Document:
    """One exercise. The first of `phrases` is its name, the others are its aliases.

    folded: its name as it is compared in alphabetical order.
    about: what it may be found by beside its names: the muscles that it is for, equipment, category.
    beside: what it may be found by after all of these: the muscles that only help.
    facets: {facet: its values}, for each of FACETS.
    choices: the same as "facet:value", one string each, which is quick to count.
    """

    id: str
    name: str
    folded: str
    phrases: tuple[Phrase, ...]
    about: frozenset[str]
    beside: frozenset[str]
    facets: dict[str, tuple[str, ...]]
    choices: tuple[str, ...]


def document(body: bytes) -> Document | None:
    """What a stored record is to the search; None where it is deleted or archived.

    Raises msgspec.DecodeError for what is no record of the collection, which is a defect of what was stored.
    """
    record = _decode(body)
    values = record.values
    if record.deleted or values.archived:
        return None
    primary, secondary = values.primary_muscles, values.secondary_muscles
    facets = {
        "muscle": tuple(dict.fromkeys((*primary, *secondary))),
        "primary_muscle": tuple(primary),
        "secondary_muscle": tuple(secondary),
        "equipment": tuple(values.equipment),
        "level": (values.level,) if values.level else (),
        "category": (values.category,) if values.category else (),
    }
    choices = tuple(intern(f"{facet}:{value}") for facet, words_ in facets.items() for value in words_)
    about = _words_of((*primary, *facets["equipment"], *facets["category"]))
    names = [values.name, *sorted(values.aliases)[:ALIASES_MAX]]
    phrases = tuple(Phrase(tuple(map(intern, words(text)))) for text in names)
    return Document(record.id, values.name, fold(values.name), phrases, about, _words_of(secondary), facets, choices)


def _words_of(values: Iterable[str]) -> frozenset[str]:
    return _either_number(word for each in values for word in each.split("_"))


def _either_number(some: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*map(_forms, some))


# The names of the catalog are made of some hundred words.
@lru_cache(2_000)
def _forms(word: str) -> tuple[str, str]:
    return word, singular(word)
