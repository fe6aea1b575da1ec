"""Names of a file to exercises that exist: the same name, words or letters, else candidates to choose from.

Owns what makes two names one. Only what is the same decides alone; what is merely alike is offered and never taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from .ids import derived_id
from .model import Candidate
from .names import plain

K = TypeVar("K")

_CANDIDATES_MAX = 3
# Nobody looks through more; a file of nothing but names that nobody knows would take minutes.
CANDIDATES_FOR_MAX = 200
_LIKENESS_MIN = 0.5
_NAME_MAX = 100

# What apps and people write for one and the same word.
_SYNONYMS = {
    "db": "dumbbell",
    "bb": "barbell",
    "kb": "kettlebell",
    "tricep": "triceps",
    "bicep": "biceps",
    "flye": "fly",
    "flies": "fly",
    "ohp": "overhead press",
    "rdl": "romanian deadlift",
    "one": "single",
    "1": "single",
    "seat": "seated",
}


@lru_cache(maxsize=16_384)
def words(name: str) -> tuple[str, ...]:
    """A name's words in alphabetical order, in the singular: "Bench Press (Barbell)" and "Barbell Bench Press" are the
    same words. A bench is flat where nothing else is said."""
    found = re.findall(r"[^\W_]+", plain(name))
    return tuple(sorted(_singular(word) for word in found if word != "flat" or len(found) == 1))


@lru_cache(maxsize=16_384)
def letters(name: str) -> str:
    """A name's letters in their order: "Chinups" and "Chin-Up" are the same letters."""
    return "".join(_singular(word) for word in re.findall(r"[^\W_]+", plain(name)))


def _singular(word: str) -> str:
    if word.endswith(("sses", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


# A press with dumbbells is not one with a barbell: what it is done with weighs double.
_EQUIPMENT = frozenset({"barbell", "dumbbell", "kettlebell", "cable", "machine", "smith", "band", "ez"})
_USUAL_WORDS = {_singular(word): meant.split() for word, meant in _SYNONYMS.items()}


@lru_cache(maxsize=16_384)
def _sense(name: str) -> frozenset[str]:
    """The words of a name with their usual spelling, for likeness alone."""
    return frozenset(_singular(each) for word in words(name) for each in _USUAL_WORDS.get(word, (word,)))


def _weight(sense: frozenset[str]) -> int:
    return len(sense) + len(sense & _EQUIPMENT)


class Names:
    """Resolves names by `names` (name → exercise id): the same name first, then the same words, then the same letters.

    Words and letters decide only where all names with these lead to one exercise. An id of None says that the name is
    an exercise of its own, whatever it is like.
    """

    def __init__(self, names: Mapping[str, str | None]) -> None:
        self._exact = {plain(name): exercise for name, exercise in names.items()}
        known = [(name, exercise) for name, exercise in names.items() if exercise is not None]
        self._words = _unambiguous((words(name), exercise) for name, exercise in known)
        self._letters = _unambiguous((letters(name), exercise) for name, exercise in known)
        self._senses = [(_weight(_sense(name)), exercise, name) for name, exercise in known]
        # Where in them each word stands: a name is compared with those that it has a word in common with.
        self._places: dict[str, list[int]] = {}
        for place, (name, _) in enumerate(known):
            for word in _sense(name):
                self._places.setdefault(word, []).append(place)

    def resolve(self, name: str) -> str | None:
        exact = plain(name)
        if exact in self._exact:
            return self._exact[exact]
        return self._words.get(words(name)) or self._letters.get(letters(name))

    def candidates(self, name: str) -> tuple[Candidate, ...]:
        """The exercises with the most words in common, best first; each by its name that is most alike."""
        sense = _sense(name)
        own_weight = _weight(sense)
        common: dict[int, int] = {}
        for word in sense:
            weight = _weight(frozenset((word,)))
            for place in self._places.get(word, ()):
                common[place] = common.get(place, 0) + weight
        best: dict[str, Candidate] = {}
        # In the order of the names: of two that are equally like, the first stands for the exercise.
        for place in sorted(common):
            weight, exercise, known = self._senses[place]
            likeness = round(2 * common[place] / (own_weight + weight), 2)
            if likeness >= _LIKENESS_MIN and (exercise not in best or likeness > best[exercise].likeness):
                best[exercise] = Candidate(exercise, known, likeness)
        found = sorted(best.values(), key=lambda c: (-c.likeness, len(c.name), c.name))
        return tuple(found[:_CANDIDATES_MAX])


def _unambiguous(known: Iterable[tuple[K, str]]) -> dict[K, str]:
    found: dict[K, set[str]] = {}
    for key, exercise in known:
        found.setdefault(key, set()).add(exercise)
    return {key: next(iter(exercises)) for key, exercises in found.items() if len(exercises) == 1}


def one_mapping(*tiers: Mapping[str, str | None]) -> dict[str, str | None]:
    """Several sources of names as one, the most trusted first: a name, or other names of the same words, that one of
    them knows is not asked of the next."""
    merged: dict[str, str | None] = {}
    taken: set[tuple[str, ...]] = set()
    for tier in tiers:
        fresh = {name: exercise for name, exercise in tier.items() if words(name) not in taken}
        merged |= fresh
        taken |= {words(name) for name in fresh}
    return merged


class Exercises:
    """The exercises of a file: which names are known, and which become custom exercises."""

    def __init__(self, app: str, names: Mapping[str, str | None]) -> None:
        self._app = app
        self._known = Names(names)
        self.matched: dict[str, str] = {}
        self.custom: dict[str, str] = {}
        self.unmatched: dict[str, None] = {}
        self.measured: dict[str, set[str]] = {}
        self._ids: dict[str, tuple[str, bool]] = {}

    def resolve(self, name: str) -> tuple[str, bool]:
        """The exercise's id, and whether it was known before."""
        if (found := self._ids.get(name)) is not None:
            return found
        known = self._known.resolve(name)
        if known is not None:
            self.matched[name] = known
            found = known, True
        else:
            found = derived_id(self._app, "exercise", plain(name)), False
            self.custom.setdefault(found[0], custom_name(name))
            self.unmatched[name] = None
        self._ids[name] = found
        return found

    def candidates(self) -> dict[str, tuple[Candidate, ...]]:
        """What each of the first CANDIDATES_FOR_MAX unmatched names could mean; names that nothing is like are left
        out."""
        asked = islice(self.unmatched, CANDIDATES_FOR_MAX)
        return {name: found for name in asked if (found := self._known.candidates(name))}

    def measure(self, exercise: str, what: Iterable[str]) -> None:
        """Remember what a set measured, to describe a custom exercise by it."""
        self.measured.setdefault(exercise, set()).update(what)


def custom_name(name: str) -> str:
    """A name of 2 to 100 characters."""
    name = name.strip()
    return f"{name} (exercise)" if len(name) < 2 else name[:_NAME_MAX].rstrip()
