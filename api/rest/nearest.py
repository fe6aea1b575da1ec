"""Which of the words that are known somebody meant by one that is not, for the end of a refusal.

Owns: when two words are alike, and what other apps call ours. Refuses to know: what the words are of.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

# A letter wrong in four is a slip; with more of them it is another word.
_ALIKE: Final = 0.75
_NAMED_MAX: Final = 3
# No name of ours is longer; what is typed may be.
_LOOKED_AT_MAX: Final = 64
# What people call by several words; where one of them is known, the others mean it.
_SAME: Final = (
    {"level", "difficulty"},
    {"kind", "type"},
    {"started_at", "start", "start_time"},
    {"ended_at", "end", "end_time"},
    {"title", "name"},
    {"notes", "comment", "description"},
    {"limit", "per_page", "page_size", "size", "count"},
    {"q", "query", "search", "text"},
    {"weight", "load"},
    {"kg", "kilograms", "kilogram", "metric"},
    {"lb", "pounds", "pound", "imperial"},
)


def meant(word: str, known: Iterable[str]) -> str:
    """What a refusal of a word ends with: the nearest of those that are known, or those of which it is a part; nothing
    where there is none. It repeats nothing of `word`.
    """
    by_plain = {_plain(each): each for each in known}
    plain = _plain(word[:_LOOKED_AT_MAX])
    found = get_close_matches(plain, by_plain, 1, _ALIKE)
    found = found or sorted(same for group in _SAME if plain in group for same in group & by_plain.keys())[:1]
    # One word of several: the reps of a planned set are target_reps_min or target_reps_max.
    found = found or [each for each in by_plain if plain in each.split("_")][:_NAMED_MAX]
    return f": did you mean {listed([by_plain[each] for each in found], 'or')}?" if found else ""


def listed(names: list[str], last: str) -> str:
    """Names as a sentence lists them: "a, b or c"."""
    return f" {last} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
