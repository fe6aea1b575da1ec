"""Which of the words that are known somebody meant by one that is not, for the end of a refusal.

Owns: when two words are alike, and what other apps call ours. Refuses to know: what the words are of.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

# A letter wrong in four is a slip; with more of them it is another word.
_ALIKE: Final = 0.75
# No name of ours is longer; what is typed may be.
_LOOKED_AT_MAX: Final = 64
# What people call by several words; where one of them is known, the others mean it.
_SAME: Final = (
    {"level", "difficulty"},
    {"title", "name"},
    {"notes", "comment", "description"},
    {"limit", "per_page", "page_size", "size", "count"},
    {"q", "query", "search", "text"},
    {"weight", "load"},
    {"kg", "kilograms", "kilogram", "metric"},
    {"lb", "pounds", "pound", "imperial"},
)


def meant(word: str, known: Iterable[str]) -> str:
    """ ": did you mean …?" with the nearest of the words that are known; nothing where none is near.

    It repeats nothing of `word`.
    """
    by_plain = {_plain(each): each for each in known}
    plain = _plain(word[:_LOOKED_AT_MAX])
    found = get_close_matches(plain, by_plain, 1, _ALIKE)
    found += sorted(same for group in _SAME if plain in group for same in group & by_plain.keys())
    return f": did you mean {by_plain[found[0]]}?" if found else ""


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
