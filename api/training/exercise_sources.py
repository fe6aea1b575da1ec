"""Lists of exercises that other projects publish: what a row of each says, in our words.

Owns: the forms of free-exercise-db's JSON and of wger's (the answers of its exercise endpoints, of all versions),
and their vocabularies. Facts are read: names, muscles, equipment, kind, licence. Instructions and pictures are the
authors' works, under licences of their own, and are not.
Refuses to know: files, ids, and what is already there (`exercise_import.py`).

A source reads a row into `Facts`; a word that has no place among ours is told in `unread`, and the row lands
without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

ENGLISH: Final = 2


@dataclass
class Facts:
    """What a row says. `external_id` is the source's own name for it; `unread`: {our field: their words}."""

    external_id: str
    name: str
    aliases: list[str] = field(default_factory=list)
    category: str = "strength"
    force: str | None = None
    level: str | None = None
    mechanic: str | None = None
    equipment: list[str] = field(default_factory=list)
    primary_muscles: list[str] = field(default_factory=list)
    secondary_muscles: list[str] = field(default_factory=list)
    licence: str | None = None
    author: str | None = None
    source_url: str | None = None
    # The source's name for the movement that this is a variation of.
    variation: str | None = None
    unread: dict[str, list[str]] = field(default_factory=dict)

    def _words(self, name: str, theirs: Iterable[str], ours: Mapping[str, str | None]) -> list[str]:
        """Their words in ours, each once; a word that means nothing to us (None) is passed over."""
        found: dict[str, None] = {}
        for word in theirs:
            known = word.strip().casefold()
            if known not in ours:
                self.unread.setdefault(name, []).append(word)
            elif (our := ours[known]) is not None:
                found[our] = None
        return list(found)

    def take(self, name: str, theirs: Iterable[str | None], ours: Mapping[str, str | None]) -> None:
        """Read their words into one of our fields, a set or a single value."""
        words = self._words(name, [word for word in theirs if word], ours)
        if isinstance(getattr(self, name), list):
            setattr(self, name, words)
        elif words:
            setattr(self, name, words[0])


@dataclass(frozen=True)
class Source:
    """app: its name, as it stands in ids. is_row: whether a row looks like one of its. read: a row's facts; raises
    msgspec.ValidationError, which names the field, where it is none. texts: the fields that are left out on purpose."""

    app: str
    is_row: Callable[[Mapping[str, Any]], bool]
    read: Callable[[msgspec.Raw, int], Facts]
    texts: tuple[str, ...]


def _same(*words: str) -> dict[str, str | None]:
    return {word.replace("_", " "): word for word in words}


_MUSCLES: Final = _same(
    "abdominals", "abductors", "adductors", "biceps", "calves", "chest", "forearms", "glutes", "hamstrings", "lats",
    "lower_back", "middle_back", "neck", "quadriceps", "shoulders", "traps", "triceps",
)  # fmt: skip
_CATEGORIES: Final = _same(
    "strength", "cardio", "stretching", "plyometrics", "powerlifting", "olympic_weightlifting", "strongman"
)
_LEVELS: Final = _same("beginner", "intermediate", "advanced") | {"expert": "advanced"}
_EQUIPMENT: Final[dict[str, str | None]] = {
    **_same("barbell", "dumbbell", "cable", "machine", "medicine_ball", "exercise_ball", "other"),
    "body only": "bodyweight",
    "kettlebells": "kettlebell",
    "bands": "band",
    "foam roll": "foam_roller",
    "e-z curl bar": "ez_bar",
}


# -- free-exercise-db ------------------------------------------------------------------------------------------------


class _FreeRow(msgspec.Struct):
    name: str
    id: str | None = None
    force: str | None = None
    level: str | None = None
    mechanic: str | None = None
    equipment: str | None = None
    category: str | None = None
    primaryMuscles: list[str] = []
    secondaryMuscles: list[str] = []


def _free(raw: msgspec.Raw, language: int) -> Facts:
    row = msgspec.json.decode(raw, type=_FreeRow)
    facts = Facts(row.id or row.name, row.name, licence="Unlicense")
    facts.take("category", [row.category], _CATEGORIES)
    facts.take("force", [row.force], _same("push", "pull", "static"))
    facts.take("level", [row.level], _LEVELS)
    facts.take("mechanic", [row.mechanic], _same("compound", "isolation"))
    facts.take("equipment", [row.equipment], _EQUIPMENT)
    facts.take("primary_muscles", row.primaryMuscles, _MUSCLES)
    facts.take("secondary_muscles", row.secondaryMuscles, _MUSCLES)
    return facts


# -- wger ------------------------------------------------------------------------------------------------------------


class _Named(msgspec.Struct):
    """A muscle, a piece of equipment, a category. Plain endpoints give its id alone."""

    id: int
    name: str = ""


class _Alias(msgspec.Struct):
    alias: str


class _Translation(msgspec.Struct):
    name: str
    language: int | _Named = ENGLISH
    aliases: list[_Alias | str] = []


class _Licence(msgspec.Struct):
    id: int | None = None
    short_name: str | None = None
    full_name: str | None = None
    url: str | None = None


class _WgerRow(msgspec.Struct):
    uuid: str | None = None
    id: int | None = None
    # Older answers are one exercise in one language; newer ones have its translations, under either name.
    name: str | None = None
    language: int | _Named | None = None
    aliases: list[_Alias | str] = []
    translations: list[_Translation] = []
    exercises: list[_Translation] = []
    category: int | _Named | None = None
    muscles: list[int | _Named] = []
    muscles_secondary: list[int | _Named] = []
    equipment: list[int | _Named] = []
    license: int | _Licence | None = None
    license_author: str | None = None
    variations: int | str | list[Any] | None = None
    variation_group: int | str | None = None


# By the ids that wger's own data has; what somebody added to a server of theirs is told by its name.
_WGER_MUSCLES: Final = {
    1: "biceps", 2: "shoulders", 3: "chest", 4: "chest", 5: "triceps", 6: "abdominals", 7: "calves", 8: "glutes",
    9: "traps", 10: "quadriceps", 11: "hamstrings", 12: "lats", 13: "biceps", 14: "abdominals", 15: "calves",
    16: "lower_back",
}  # fmt: skip
# A mat and a bench are no load, and every exercise may have one.
_WGER_EQUIPMENT: Final[dict[int, str | None]] = {
    1: "barbell", 2: "ez_bar", 3: "dumbbell", 4: None, 5: "exercise_ball", 6: "bodyweight", 7: "bodyweight", 8: None,
    9: None, 10: "kettlebell", 11: "band",
}  # fmt: skip
_WGER_EQUIPMENT_NAMES: Final[dict[str, str | None]] = _EQUIPMENT | {
    "resistance band": "band",
    "band": "band",
    "kettlebell": "kettlebell",
    "swiss ball": "exercise_ball",
    "gym mat": None,
    "bench": None,
    "incline bench": None,
}
# wger's categories are parts of the body: where no muscle is named, that is what is known of them.
_WGER_PARTS: Final[dict[int, str | None]] = {
    8: None, 9: None, 10: "abdominals", 11: "chest", 12: "middle_back", 13: "shoulders", 14: "calves", 15: None,
}  # fmt: skip
_WGER_CARDIO: Final = 15
_WGER_LICENCES: Final = {1: "CC-BY-SA 3", 2: "CC-BY-SA 4"}


def _wger(raw: msgspec.Raw, language: int) -> Facts:
    row = msgspec.json.decode(raw, type=_WgerRow)
    said = row.translations or row.exercises
    if not said and row.name is not None:
        said = [_Translation(row.name, row.language or language, row.aliases)]
    said = sorted((each for each in said if each.name.strip()), key=lambda each: _id_of(each.language) != language)
    if not said:
        raise msgspec.ValidationError("an exercise needs a name - at `$.translations`")
    name, *others = (each.name for each in said)
    facts = Facts(row.uuid or str(row.id or name), name)
    aliases = [alias if isinstance(alias, str) else alias.alias for each in said for alias in each.aliases]
    facts.aliases = [alias for alias in dict.fromkeys((*others, *aliases)) if alias.strip() and alias != name]
    _take_ids(facts, "primary_muscles", row.muscles, _WGER_MUSCLES, _MUSCLES)
    _take_ids(facts, "secondary_muscles", row.muscles_secondary, _WGER_MUSCLES, _MUSCLES)
    _take_ids(facts, "equipment", row.equipment, _WGER_EQUIPMENT, _WGER_EQUIPMENT_NAMES)
    if row.category is not None:
        if _id_of(row.category) == _WGER_CARDIO:
            facts.category = "cardio"
        elif not facts.primary_muscles:
            part = _WGER_PARTS.get(_id_of(row.category))
            facts.primary_muscles = [part] if part else []
    if isinstance(row.license, _Licence):
        facts.licence = row.license.short_name or row.license.full_name
    elif row.license is not None:
        facts.licence = _WGER_LICENCES.get(row.license)
    # A list names the variations themselves, and no movement.
    group = row.variation_group or row.variations
    facts.variation = None if isinstance(group, list) or not group else str(group)
    facts.author = (row.license_author or "").strip() or None
    return facts


def _id_of(value: int | _Named) -> int:
    return value if isinstance(value, int) else value.id


def _take_ids(
    facts: Facts,
    name: str,
    theirs: Iterable[int | _Named],
    by_id: Mapping[int, str | None],
    by_name: Mapping[str, str | None],
) -> None:
    found: dict[str, None] = {}
    for each in theirs:
        id, called = (each, "") if isinstance(each, int) else (each.id, each.name)
        known = id in by_id or called.casefold() in by_name
        if not known:
            facts.unread.setdefault(name, []).append(called or str(id))
        elif (our := by_id.get(id, by_name.get(called.casefold()))) is not None:
            found[our] = None
    setattr(facts, name, list(found))


SOURCES: Final = (
    Source(
        "free-exercise-db",
        lambda row: "primaryMuscles" in row or "force" in row,
        _free,
        ("instructions", "images"),
    ),
    Source(
        "wger",
        lambda row: "muscles_secondary" in row or "translations" in row or "license_author" in row,
        _wger,
        ("description", "images", "videos", "notes", "comments"),
    ),
)


# -- what follows from the facts -------------------------------------------------------------------------------------

_ONE_SIDE: Final = re.compile(r"\b(?:single|one)[- ](?:arm|leg|hand)(?:ed)?\b", re.IGNORECASE)
_ASSISTED: Final = re.compile(r"\bassisted\b", re.IGNORECASE)
_LOADED: Final = frozenset({"barbell", "dumbbell", "kettlebell", "cable", "machine", "medicine_ball", "ez_bar"})


def measured(facts: Facts) -> tuple[str, str]:
    """(measure, load_mode) as far as the facts tell: what of a set is logged, and how its weight counts."""
    loaded = not _LOADED.isdisjoint(facts.equipment)
    if facts.category == "cardio":
        return "distance_duration", "none"
    if facts.category == "stretching":
        return "duration", "none"
    if _ASSISTED.search(facts.name):
        return "assisted_reps", "assisted"
    if facts.force == "static":
        return ("weight_duration", "external") if loaded else ("duration", "none")
    if loaded or facts.category in ("powerlifting", "olympic_weightlifting", "strongman"):
        return "weight_reps", "external"
    if "bodyweight" in facts.equipment:
        return "bodyweight_reps", "bodyweight_plus"
    # What a band, a ball or a roller gives is no weight; of equipment that nobody named, nothing is known.
    return ("reps_only", "none") if facts.equipment and facts.equipment != ["other"] else ("weight_reps", "external")


def is_one_sided(facts: Facts) -> bool:
    """Whether the name says that a set is one side's."""
    return bool(_ONE_SIDE.search(facts.name))
