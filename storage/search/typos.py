"""How far a typed word is from a known one, in slips: a letter too many, too few, wrong, or two the wrong way round.

The distance is that of Damerau and Levenshtein in which no part is edited twice ("optimal string alignment").
Words are at most `words.WORD_MAX` long, so one comparison is a thousand steps at most, and `unlike` spares nearly all.
"""

from __future__ import annotations

from typing import Final

# One slip in a word of four letters, two in a long one: a shorter word with a slip is another word.
_ONE_FROM: Final = 4
_TWO_FROM: Final = 9
# Half a word with a slip in it: from here on it still says which word it is the beginning of.
BEGINNING_FROM: Final = 5


def slips_allowed(word: str) -> int:
    """How many slips are forgiven in a word of this length."""
    return 0 if len(word) < _ONE_FROM else 1 if len(word) < _TWO_FROM else 2


def letters(word: str) -> tuple[int, ...]:
    """The letters that a word begins with, as a set of bits for each length: for `unlike`."""
    bits, sets = 0, []
    for letter in word:
        bits |= 1 << (ord(letter) & 63)
        sets.append(bits)
    return tuple(sets)


def unlike(typed: tuple[int, ...], known: tuple[int, ...], most: int) -> bool:
    """True where `distance` of two words, of which these are the `letters`, is surely None.

    A slip brings one letter that the other word has not, and the word meant, or its typed beginning, is at most `most`
    letters longer or shorter than what was typed.
    """
    length, other = len(typed), len(known)
    shortest = length - most
    if other < shortest:
        return True
    longest = length + most
    everything = known[(longest if longest < other else other) - 1]
    return (typed[-1] & ~everything).bit_count() > most or (known[shortest - 1] & ~typed[-1]).bit_count() > most


def distance(typed: str, known: str, most: int) -> tuple[int, bool] | None:
    """(slips, whether to the whole of `known` and not to a beginning of it); None where there are more than `most`.

    A beginning counts where `typed` is long enough to tell (`BEGINNING_FROM`); the whole word goes before it.

    >>> distance("bnech", "bench", 1)
    (1, True)
    >>> distance("deadlfi", "deadlift", 1)
    (1, False)
    """
    if len(typed) - len(known) > most:
        return None
    # best[j]: the slips between what was typed so far and the first j letters of the known word.
    before: list[int] = []
    best = list(range(len(known) + 1))
    last = ""
    for i, letter in enumerate(typed, 1):
        now = [i]
        for j, other in enumerate(known, 1):
            slips = min(best[j] + 1, now[j - 1] + 1, best[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == known[j - 2] and last == other:
                slips = min(slips, before[j - 2] + 1)
            now.append(slips)
        if min(now) > most:
            return None
        before, best, last = best, now, letter
    if best[-1] <= most:
        return best[-1], True
    beginning = min(best)
    return (beginning, False) if len(typed) >= BEGINNING_FROM and beginning <= most else None
