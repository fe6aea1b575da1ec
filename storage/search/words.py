"""What of a text is compared: its words, without case, accents, marks and apostrophes.

Names and queries pass through the same functions, so what is folded away is folded away on both sides. All of it is
linear in the text, and no text is looked at past `TEXT_MAX` characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

# The longest alias that the collection declares; a query that is longer equals nothing.
TEXT_MAX: Final = 200
# The longest name of the catalog has ten; what comes after these is compared as a whole text alone.
WORDS_MAX: Final = 12
# Longer than any word of a language in which words are written apart.
WORD_MAX: Final = 32

# Letters that are not a letter with a mark, as people without them on their keyboard write them.
_LETTERS: Final = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
_APOSTROPHES: Final = str.maketrans(dict.fromkeys("'’ʼ`´"))
_WORD: Final = re.compile(r"[^\W_]+")

# Words that tell nothing where others do.
FILLERS: Final = frozenset(("a", "an", "and", "at", "for", "from", "in", "of", "on", "the", "to", "with"))

# What is typed for one other word.
SYNONYMS: Final = {
    "db": "dumbbell",
    "bb": "barbell",
    "kb": "kettlebell",
    "bw": "bodyweight",
    "one": "single",
    "1": "single",
    "flye": "fly",
    "flie": "fly",
    "pec": "chest",
    "ab": "abdominal",
    "quad": "quadricep",
    "ham": "hamstring",
    "delt": "shoulder",
    "calve": "calf",
}

# What is typed for several words.
ABBREVIATIONS: Final = {
    "ohp": ("overhead", "press"),
    "rdl": ("romanian", "deadlift"),
    "sldl": ("stiff", "leg", "deadlift"),
    "cgbp": ("close", "grip", "bench", "press"),
    "bss": ("bulgarian", "split", "squat"),
    "ghr": ("glute", "ham", "raise"),
    "tgu": ("turkish", "get", "up"),
    "hspu": ("handstand", "push", "up"),
}


def fold(text: str) -> str:
    """The text in lower case, without accents and apostrophes, in single spaces.

    >>> fold("  Développé  COUCHÉ ")
    'developpe couche'
    """
    folded = text[:TEXT_MAX].translate(_APOSTROPHES).casefold()
    # Most names are in ASCII, where there is nothing more to fold.
    if not folded.isascii():
        decomposed = unicodedata.normalize("NFKD", folded)
        plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
        folded = plain.casefold().translate(_LETTERS)
    return " ".join(folded.split())


def words(text: str) -> tuple[str, ...]:
    """The words of a text, all of them, in their order. What has neither letters nor digits is one word as it stands.

    >>> words("Farmer's Push-Up (3/4)")
    ('farmers', 'push', 'up', '3', '4')
    """
    folded = fold(text)
    return tuple(_WORD.findall(folded)) or ((folded,) if folded else ())


def compared(all_words: Sequence[str]) -> tuple[str, ...]:
    """As much of a text's words as the index compares one by one."""
    return tuple(word[:WORD_MAX] for word in all_words[:WORDS_MAX])


def singular(word: str) -> str:
    """A word in the singular, as far as its end tells.

    >>> singular("presses"), singular("curls"), singular("press"), singular("abs")
    ('press', 'curl', 'press', 'ab')
    """
    if word.endswith(("sses", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word
