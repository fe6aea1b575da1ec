"""Exercises by name: one's own, and those of the catalog with their aliases.

Owns: which exercise a typed name means, and what to offer where that is unclear. Before the first sync the catalog is
the one that ships with this program, whose ids are the same on every server.

Invariants
    E1  A name that could mean two exercises means none: the candidates are listed and nothing is logged.
    E2  One's own exercise goes before the catalog's of the same name.
    E3  Whole words decide; the beginning of one, or a misspelling, is asked about, however few exercises fit.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final, TypeVar

from api.command_line.device.outcome import Refused
from fitai_client import Client, NotFound
from storage.catalog import load as shipped

K = TypeVar("K")

CANDIDATES_MAX: Final = 12
# How alike two names must be for one to be offered for the other.
_ALIKE: Final = 0.72
# A sign of its own, like a pictograph, is a word: what somebody put in front of a name makes it another name.
_WORD: Final = re.compile(r"[^\W_]+|[\u2600-\ufdff\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the terminal knows of an exercise. `own`: made by this user, or by an import of theirs."""

    id: str
    name: str
    values: Mapping[str, Any] = field(repr=False)
    own: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.values.get("aliases", ()))

    @property
    def load_mode(self) -> str:
        return str(self.values.get("load_mode") or "external")


class UnclearName(Refused):
    """No exercise, or more than one, goes by this name."""

    code = "unclear_exercise"

    def __init__(self, name: str, candidates: list[Exercise], hint: str = "") -> None:
        if len(candidates) > 1:
            says = "could be one of these:"
        else:
            meant = f": did you mean {candidates[0].name}?" if candidates else "."
            says = f"is no exercise that I know{meant}{hint}"
        super().__init__(f"{name!r} {says}")
        self.candidates = candidates


class Exercises:
    """Every exercise of a device, found by id or by name."""

    def __init__(self, own: Iterable[Exercise], catalog: Iterable[Exercise], trained: Mapping[str, int]) -> None:
        """trained: exercise id → how many sets of it were done; what is trained is offered first."""
        self.trained = trained
        # E2: the later one wins a name.
        self.all = [*catalog, *own]
        self.by_id = {each.id: each for each in self.all}
        self._by_name = {plain(name): each for each in self.all for name in each.names}

    # Thousands of names, and most that are typed are whole ones: these are made for the first that is not.

    @cached_property
    def _by_words(self) -> Mapping[tuple[str, ...], Mapping[str, Exercise]]:
        return self._by(words)

    @cached_property
    def _by_letters(self) -> Mapping[str, Mapping[str, Exercise]]:
        return self._by(letters)

    def _by(self, spelt: Callable[[str], K]) -> dict[K, dict[str, Exercise]]:
        found: dict[K, dict[str, Exercise]] = {}
        for each in self.all:
            for name in each.names:
                found.setdefault(spelt(name), {})[each.id] = each
        return found

    def add(self, exercise: Exercise) -> None:
        """Know one more, which was just made."""
        self.by_id.setdefault(exercise.id, exercise)

    def name(self, id: str) -> str:
        """What to call an exercise; of one that is not on this device, the start of its id."""
        found = self.by_id.get(id)
        return found.name if found else f"Exercise {id[:8]}"

    def names(self) -> dict[str, str]:
        """Every name and alias → the exercise's id, for an import."""
        own = {plain(name) for each in self.all if each.own for name in each.names}
        return {name: each.id for each in self.all for name in each.names if each.own or plain(name) not in own}

    def whole(self, text: str) -> Exercise | None:
        """The exercise whose name or alias `text` is: as it stands, with its words in any order, or run together."""
        return (
            self._by_name.get(plain(text))
            or self._one(self._by_words.get(words(text), {}))
            or self._one(self._by_letters.get(letters(text), {}))
        )

    def find(self, text: str) -> Exercise:
        """The exercise that `text` names: whole, or by some of its words if only one, or one that was trained, fits.

        Raises:
            UnclearName: none, or several; with what was probably meant.
        """
        if (found := self.whole(text)) is not None:
            return found
        fitting = self._fitting(text, str.__eq__)
        trained = [each for each in fitting if self.trained.get(each.id)]
        for clear in (fitting, trained):
            if len(clear) == 1:
                return clear[0]
        # E3.
        offered = fitting or self._fitting(text, str.startswith) or self._alike(text)
        raise UnclearName(text, offered[:CANDIDATES_MAX])

    def _one(self, found: Mapping[str, Exercise]) -> Exercise | None:
        own = [each for each in found.values() if each.own]
        return own[0] if len(own) == 1 else next(iter(found.values())) if len(found) == 1 else None

    def _fitting(self, text: str, fits: Callable[[str, str], bool]) -> list[Exercise]:
        """Those with a word that fits for every typed one; the trained first, then by the shortest name that fits."""
        typed = singular(text)
        lengths: dict[str, int] = {}
        for each in self.all if typed else ():
            for name in each.names:
                spelt = singular(name)
                if all(any(fits(word, t) for word in spelt) for t in typed):
                    lengths[each.id] = min(len(name), lengths.get(each.id, len(name)))
        return sorted(
            (self.by_id[id] for id in lengths),
            key=lambda each: (-self.trained.get(each.id, 0), lengths[each.id], each.name),
        )

    def _alike(self, text: str) -> list[Exercise]:
        close = difflib.get_close_matches(plain(text), self._by_name, CANDIDATES_MAX, _ALIKE)
        return list({self._by_name[name].id: self._by_name[name] for name in close}.values())


# A live session reads the exercises again whenever one of them changes.
@lru_cache(maxsize=16_384)
def plain(name: str) -> str:
    """A name folded: lower case, no accents, single spaces, hyphens as spaces."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    return " ".join(re.sub(r"[-_/]+", " ", "".join(c for c in apart if not unicodedata.combining(c))).split())


def words(name: str) -> tuple[str, ...]:
    """A name's words in alphabetical order: "Bench Press (Barbell)" and "Barbell Bench Press" are the same words."""
    return tuple(sorted(_WORD.findall(plain(name))))


def singular(name: str) -> tuple[str, ...]:
    """A name's words without the s of a plural."""
    return tuple(word.removesuffix("s") or word for word in words(name))


def letters(name: str) -> str:
    """A name's letters in their order, without the s of a plural: "pullups" and "Pull-Up" are the same letters."""
    return "".join(word.removesuffix("s") for word in _WORD.findall(plain(name)))


async def read_exercises(client: Client, trained: Mapping[str, int] | None = None) -> Exercises:
    """Every exercise this device can name."""
    own = [Exercise(each.id, str(each.get("name")), each.values, own=True) for each in await client.exercises.list()]
    try:
        catalog = await (await client.space("catalog")).exercises.list()
    except NotFound:
        catalog = []
    known = [Exercise(each.id, str(each.get("name")), each.values) for each in catalog if not each.get("archived")]
    return Exercises(own, known or shipped_exercises(), trained or {})


def shipped_exercises() -> list[Exercise]:
    """The catalog that comes with this program."""
    return [Exercise(each.id, each.name, each.values()) for each in shipped()]
