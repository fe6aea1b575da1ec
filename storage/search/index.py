"""The exercises of one space, in memory: what a query matches, and how well.

Owns: what matches, and the grade of a match. Refuses to know: whose space it is, and what else decides an order
(`api/training/exercise_search.py`).

Invariants
    M1  An exercise is found by its whole name with the best grade, whatever its case, accents and marks.
    M2  Whatever begins a word of a name finds it, in any order of the words.
    M3  The work of a query is bounded by the index and `words.WORDS_MAX`, and by nothing that is typed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count, pairwise
from typing import Final, NamedTuple

from storage.search.document import Document
from storage.search.typos import distance, letters, slips_allowed, unlike
from storage.search.words import ABBREVIATIONS, FILLERS, SYNONYMS, compared, singular, words

# Of fewer words than these, each is needed.
_MAY_MISS_ONE_FROM: Final = 3
# Words whose slips are remembered: each keystroke asks for the words before it again.
_REMEMBERED_MAX: Final = 2_000
# So few letters find much of the index and everybody types them first: what they find is remembered.
_SHORT_MAX: Final = 2
_SHORT_REMEMBERED_MAX: Final = 400

# What a typed word costs: as a whole word, as the beginning of one, and for each slip; and beside that, where it is a
# muscle that only helps.
_WHOLE: Final = 0
_BEGINNING: Final = 2
_SLIP: Final = 4
_HELPING: Final = 1

# A cost, and the numbers of the names that it is paid for.
_Meaning = tuple[int, set[int]]


class Grade(IntEnum):
    """How an exercise was found, the best first."""

    NAME = 0  # it is called so
    ALIAS = 1  # it is also called so
    WORDS = 2  # one of its names has all the words, or words that begin like them
    ACROSS = 3  # its names, muscles, equipment and category have them together
    SLIPS = 4  # one of its names has them but for slips
    SLIPS_ACROSS = 5
    PART = 6  # all but one, where nothing has all


class Match(NamedTuple):
    """How well an exercise matches; less is better.

    slips: what was forgiven. helping: words that are muscles which only help in it. extra: words of the name that
    nobody asked for. begun: words of which only the beginning was asked for.
    """

    grade: Grade
    slips: int = 0
    helping: int = 0
    extra: int = 0
    begun: int = 0


ANY: Final = Match(Grade.NAME)


@dataclass(frozen=True, slots=True)
class _Name:
    """A name in the index, or (length None) what else is said of an exercise. dearer: what a word costs more here."""

    id: str
    length: int | None
    dearer: int


class _Terms:
    """Terms, each with the numbers of the names that have it."""

    def __init__(self) -> None:
        self.having: dict[str, set[int]] = {}
        self._sorted: list[str] | None = []

    def add(self, term: str, number: int) -> bool:
        """True where the term is new."""
        having = self.having.get(term)
        if having is not None:
            having.add(number)
            return False
        self.having[term] = {number}
        self._sorted = None
        return True

    def remove(self, term: str, number: int) -> bool:
        """True where nothing has the term any more."""
        having = self.having[term]
        having.discard(number)
        if having:
            return False
        del self.having[term]
        self._sorted = None
        return True

    def beginning_with(self, word: str) -> Iterator[str]:
        """The terms that begin with a word, itself first."""
        if self._sorted is None:
            self._sorted = sorted(self.having)
        for place in range(bisect_left(self._sorted, word), len(self._sorted)):
            if not self._sorted[place].startswith(word):
                return
            yield self._sorted[place]


class Index:
    """Search documents by id. Not for use by two threads at once."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self._numbers = count()
        self._names: dict[int, _Name] = {}
        # How many of them are none, but what else is said about an exercise.
        self._others = 0
        self._numbers_of: dict[str, tuple[int, ...]] = {}
        self._words = _Terms()
        self._joined = _Terms()
        # Which exercises are called just so.
        self._called: dict[str, set[str]] = {}
        self._letters: dict[str, tuple[int, ...]] = {}
        self._slips: dict[str, tuple[_Meaning, ...]] = {}
        self._short: dict[str, dict[str, Match]] = {}

    @property
    def names(self) -> int:
        """How many names it holds in all: what it costs in memory."""
        return len(self._names) - self._others

    def put(self, document: Document) -> None:
        """Add a document, in the place of the one with its id."""
        self.drop(document.id)
        self._short.clear()
        self.documents[document.id] = document
        numbers = []
        for length, dearer, words_, joined in _parts(document):
            number = next(self._numbers)
            numbers.append(number)
            self._names[number] = _Name(document.id, length, dearer)
            self._others += length is None
            for word in words_:
                if self._words.add(word, number):
                    self._letters[word] = letters(word)
                    self._slips.clear()
            for word in joined:
                self._joined.add(word, number)
        self._numbers_of[document.id] = tuple(numbers)
        for phrase in document.phrases:
            self._called.setdefault(phrase.text, set()).add(document.id)

    def drop(self, id: str) -> None:
        """Remove a document; nothing happens where there is none."""
        document = self.documents.pop(id, None)
        if document is None:
            return
        self._short.clear()
        for number, (length, _, words_, joined) in zip(self._numbers_of.pop(id), _parts(document), strict=True):
            del self._names[number]
            self._others -= length is None
            for word in words_:
                if self._words.remove(word, number):
                    del self._letters[word]
            for word in joined:
                self._joined.remove(word, number)
        for text in {phrase.text for phrase in document.phrases}:
            self._called[text].discard(id)
            if not self._called[text]:
                del self._called[text]

    def match(self, text: str) -> Mapping[str, Match]:
        """{id: how well it matches} of every document that `text` finds; of a text without words, of every one."""
        asked = words(text)
        whole = " ".join(asked)
        if len(whole) > _SHORT_MAX:
            return self._match(asked, whole)
        found = self._short.get(whole)
        if found is None:
            if len(self._short) >= _SHORT_REMEMBERED_MAX:
                self._short.clear()
            found = self._short[whole] = self._match(asked, whole)
        return found

    def _match(self, asked: tuple[str, ...], whole: str) -> dict[str, Match]:
        if not asked:
            return dict.fromkeys(self.documents, ANY)
        typed = compared(asked)
        found = self._match_words(_telling(typed))
        expanded = compared([each for word in typed for each in ABBREVIATIONS.get(word, (word,))])
        if expanded != typed:
            for id, match in self._match_words(_telling(expanded)).items():
                found[id] = min(match, found.get(id, match))
        for id in self._called.get(whole, ()):
            is_name = self.documents[id].phrases[0].text == whole
            found[id] = Match(Grade.NAME if is_name else Grade.ALIAS)
        return found

    def _match_words(self, asked: tuple[str, ...]) -> dict[str, Match]:
        costs = [self._costs(meant) for meant in self._meanings(asked)]
        best: dict[str, Match] = {}
        for number in set.intersection(*map(set, costs)):
            name = self._names[number]
            if name.length is not None:
                match = _match([cost[number] for cost in costs], name.length - len(asked))
                if name.id not in best or match < best[name.id]:
                    best[name.id] = match
        across = [self._by_id(cost) for cost in costs]
        for id in set.intersection(*map(set, across)):
            if id not in best or best[id].grade > Grade.ACROSS:
                match = _match([cost[id] for cost in across], self.documents[id].phrases[0].length, across=True)
                if id not in best or match < best[id]:
                    best[id] = match
        if best or len(asked) < _MAY_MISS_ONE_FROM:
            return best
        had = Counter(id for each in across for id in each)
        return {
            id: Match(
                Grade.PART,
                helping=sum(each.get(id, 0) % 2 for each in across),
                extra=self.documents[id].phrases[0].length,
            )
            for id, number in had.items()
            if number == len(asked) - 1
        }

    def _costs(self, meant: list[_Meaning]) -> dict[int, int]:
        """{number of a name that has the word: what the word costs there}."""
        costs: dict[int, int] = {}
        # The dearest first, so that the cheapest stays.
        for cost, having in sorted(meant, key=_first, reverse=True):
            costs.update(dict.fromkeys(having, cost))
        return costs

    def _by_id(self, costs: Mapping[int, int]) -> dict[str, int]:
        by_id: dict[str, int] = {}
        for number, cost in costs.items():
            name = self._names[number]
            cost += name.dearer
            if by_id.get(name.id, cost) >= cost:
                by_id[name.id] = cost
        return by_id

    def _meanings(self, asked: tuple[str, ...]) -> list[list[_Meaning]]:
        """What each word may mean; with its neighbour it may be one word ("push up", "pushup")."""
        pairs = [list(self._like(first + second)) for first, second in pairwise(asked)]
        return [
            [*self._with_slips(word), *self._like(word), *_at(pairs, place - 1), *_at(pairs, place)]
            for place, word in enumerate(asked)
        ]

    def _like(self, word: str) -> Iterator[_Meaning]:
        """What is this word, or another word for it, or begins like it."""
        for terms in (self._words, self._joined):
            for term in terms.beginning_with(word):
                yield _WHOLE if term == word else _BEGINNING, terms.having[term]
            one = singular(word)
            for same in (one, SYNONYMS.get(word), SYNONYMS.get(one)):
                if same is not None and same in terms.having:
                    yield _WHOLE, terms.having[same]

    def _with_slips(self, word: str) -> tuple[_Meaning, ...]:
        known = self._slips.get(word)
        if known is None:
            known = tuple(self._find_slips(word))
            if len(self._slips) >= _REMEMBERED_MAX:
                self._slips.clear()
            self._slips[word] = known
        return known

    def _find_slips(self, word: str) -> Iterator[_Meaning]:
        most = slips_allowed(word)
        if most == 0:
            return
        typed = letters(word)
        for term, known in self._letters.items():
            if unlike(typed, known, most):
                continue
            apart = distance(word, term, most)
            if apart is not None:
                slips, is_whole = apart
                yield _SLIP * max(slips, 1) + (_WHOLE if is_whole else _BEGINNING), self._words.having[term]


def _parts(document: Document) -> Iterator[tuple[int | None, int, frozenset[str], frozenset[str]]]:
    for phrase in document.phrases:
        yield phrase.length, 0, phrase.terms(), phrase.joined()
    yield None, 0, document.about, frozenset()
    if document.beside:
        yield None, _HELPING, document.beside, frozenset()


def _telling(asked: tuple[str, ...]) -> tuple[str, ...]:
    """The words that tell something, or all of them where none does; each once."""
    return tuple(dict.fromkeys(word for word in asked if word not in FILLERS)) or asked[:1]


def _at(pairs: list[list[_Meaning]], place: int) -> list[_Meaning]:
    return pairs[place] if 0 <= place < len(pairs) else []


def _match(costs: Sequence[int], extra: int, *, across: bool = False) -> Match:
    helping = sum(cost % 2 for cost in costs)
    slips = sum(cost // 2 for cost in costs if cost >= _SLIP)
    within = Grade.SLIPS if slips else Grade.WORDS
    # Each is followed by the same for words that no one name has together.
    grade = Grade(within + 1) if across else within
    begun = sum(cost - cost % 2 == _BEGINNING for cost in costs)
    return Match(grade, slips, helping, max(extra, 0), begun)


def _first(meaning: _Meaning) -> int:
    return meaning[0]
