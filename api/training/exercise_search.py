"""Finding exercises: in the catalog, among one's own, and in the shared spaces one is a member of. No HTTP.

Owns: who sees which exercise, and the order of what is found.
Refuses to know: what matches a text (`storage/search/`), requests and answers.

Invariants
    F1  Default deny: an exercise is seen in the catalog, or in a space whose member the caller is at that moment.
        Somebody who was only invited sees nothing of it, and a stranger's exercise is as if it did not exist.
    F2  Never stale: every search asks first which of these spaces moved, by one statement, and catches up.
    F3  Where one id stands in several spaces, the catalog's counts, then one's own, then that of the space that was
        made first: nobody puts another exercise into the place of the catalog's by using its id.
    F4  The order is whole: any two exercises compare, so pages neither overlap nor leave a gap, and it is the same on
        every server and over both databases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from api.training.exercise_facets import VOCABULARY, Counts, Filters, narrowed
from api.training.exercise_indexes import ExerciseIndexes
from api.training.exercise_use import ExerciseUse
from storage.database import Database
from storage.records import Row
from storage.search.document import Document
from storage.search.index import Grade, Match
from storage.search.queries import ExerciseRow, Place, read_exercises, read_places
from storage.search.words import FILLERS, SYNONYMS, singular, words
from sync.bodies import SHOWN
from sync.caller import Caller
from sync.environment import Environment
from sync.records import Record, record_of

LIMIT_MAX: Final = 100
_STRETCHING: Final = "stretching"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody searches for.

    text: what they typed; whatever its length, `storage.search.words.TEXT_MAX` characters of it are looked at.
    filters: {facet: the values that are wanted}, see `exercise_facets.VOCABULARY`.
    page: from 1 on; limit: how many on a page, 1 to LIMIT_MAX. The caller has checked both.
    """

    text: str = ""
    filters: Filters = field(default_factory=dict)
    page: int = 1
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Exercise:
    """An exercise that was found, with its `version` and all that shows it in `record`.

    space: where it stands. is_catalog: nobody but the server writes it.
    uses: how often it stands in the caller's newest workouts.
    """

    record: Record
    space: str
    is_catalog: bool
    uses: int

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what was found.

    total: how many were found on all pages. counts: of every facet, see `exercise_facets.narrowed`.
    complete: False where one of the caller's spaces holds more exercises than are searched.
    """

    exercises: tuple[Exercise, ...]
    total: int
    counts: Counts
    complete: bool


class _Candidate(NamedTuple):
    place: Place
    document: Document
    match: Match


@dataclass(frozen=True, slots=True)
class _Counted:
    """How well known exercises are: to the caller, to others, and by how many names."""

    own: Mapping[str, int]
    people: Mapping[str, int]

    def key(self, candidate: _Candidate) -> tuple[int, int, int, int, str, str]:
        """The best known first."""
        document = candidate.document
        # An exercise of the catalog with many names is one that many speak of; anybody may give their own some.
        names = len(document.phrases) if candidate.place.is_catalog else 1
        id = document.id
        return -self.own.get(id, 0), -self.people.get(id, 0), -names, len(document.name), document.folded, id


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the caller sees of what a text finds, by id."""

    candidates: Mapping[str, _Candidate]
    counted: _Counted
    complete: bool


class ExerciseSearch:
    """The search of one process."""

    def __init__(self, database: Database, environment: Environment, *, indexes: ExerciseIndexes | None = None) -> None:
        self._database = database
        self._indexes = ExerciseIndexes(database) if indexes is None else indexes
        self.use = ExerciseUse(database, environment)

    async def warm(self) -> None:
        """Read the catalog, so that the first search need not wait for it. Raises StorageError."""
        async with self._database.read() as tx:
            # Of nobody's spaces, the catalog alone is left.
            places = await read_places(tx, "")
        for place in places:
            await self._indexes.caught_up(place)

    async def search(self, caller: Caller, asked: Asked) -> Found:
        """What matches, the best first: by how it matches, then by how well known it is (docs/search.md).

        A text without words finds everything, by name. Where a muscle is asked for, what is for it goes before what it
        only helps in; where nothing but muscles is typed, what trains them goes before what stretches them.

        Raises StorageError.
        """
        seen = await self._see(caller, asked.text)
        muscles = asked.filters.get("muscle", frozenset())

        def helps(each: _Candidate) -> bool:
            return bool(muscles) and muscles.isdisjoint(each.document.facets["primary_muscle"])

        only_muscles = _names_muscles(asked.text)

        def stretches(each: _Candidate) -> bool:
            is_called_so = each.match.grade == Grade.NAME
            return only_muscles and not is_called_so and _STRETCHING in each.document.facets["category"]

        def by_match(each: _Candidate) -> tuple[Any, ...]:
            return stretches(each), each.match.grade, helps(each), each.match, seen.counted.key(each)

        def by_name(each: _Candidate) -> tuple[Any, ...]:
            return helps(each), each.document.folded, each.document.id

        ordered = sorted(seen.candidates.values(), key=by_match if words(asked.text) else by_name)
        return await self._page(seen, ordered, asked)

    async def popular(self, caller: Caller, asked: Asked) -> Found:
        """Every exercise that passes the filters, what the caller trains most first, then what most people train.

        `asked.text` is left aside. Raises StorageError.
        """
        seen = await self._see(caller, "")
        return await self._page(seen, sorted(seen.candidates.values(), key=seen.counted.key), asked)

    async def find(self, caller: Caller, id: str) -> Exercise | None:
        """One exercise by its id, an archived one too; None where there is none that the caller sees.

        Raises StorageError.
        """
        if not _is_id(id):
            return None
        async with self._database.read() as tx:
            places = await read_places(tx, caller.user)
            rows = {row.space: row for row in await read_exercises(tx, [(place.space, id) for place in places])}
        place = next((place for place in places if place.space in rows), None)
        if place is None:
            return None
        counted = await self._counted(places)
        return _exercise(place, rows[place.space], counted)

    async def _see(self, caller: Caller, text: str) -> _Seen:
        async with self._database.read() as tx:
            places = await read_places(tx, caller.user)
        counted = await self._counted(places)
        candidates: dict[str, _Candidate] = {}
        elsewhere: set[str] = set()
        complete = True
        for place in places:
            held = await self._indexes.caught_up(place)
            documents = held.index.documents
            for id, match in held.index.match(text).items():
                # An id of a space before this one means that one's exercise, whether the text finds it there or not.
                if id not in elsewhere:
                    candidates[id] = _Candidate(place, documents[id], match)
            elsewhere.update(documents)
            complete = complete and held.complete
        return _Seen(candidates, counted, complete)

    async def _counted(self, places: Sequence[Place]) -> _Counted:
        own = next((place for place in places if place.is_own), None)
        return _Counted({} if own is None else await self.use.own(own), await self.use.people())

    async def _page(self, seen: _Seen, ordered: Sequence[_Candidate], asked: Asked) -> Found:
        kept, counts = narrowed([each.document for each in ordered], asked.filters)
        begin = (asked.page - 1) * asked.limit
        places = {each.id: seen.candidates[each.id].place for each in kept[begin : begin + asked.limit]}
        async with self._database.read() as tx:
            rows = {row.id: row for row in await read_exercises(tx, [(at.space, id) for id, at in places.items()])}
        # One that was deleted since the index was read is left out; the next search does not find it.
        exercises = tuple(_exercise(at, rows[id], seen.counted) for id, at in places.items() if id in rows)
        return Found(exercises, len(kept), counts, seen.complete)


def _one(word: str) -> str:
    """The word that a word is compared as: in the singular, and not as an abbreviation."""
    one = singular(word)
    return SYNONYMS.get(word) or SYNONYMS.get(one, one)


_MUSCLES: Final = frozenset(_one(word) for muscle in VOCABULARY["muscle"] for word in muscle.split("_"))


def _names_muscles(text: str) -> bool:
    """Whether a text names muscles, and nothing else."""
    telling = [word for word in words(text) if word not in FILLERS]
    return bool(telling) and all(_one(word) in _MUSCLES for word in telling)


def _is_id(id: str) -> bool:
    try:
        return str(UUID(id)) == id
    except ValueError:
        return False


def _exercise(place: Place, row: ExerciseRow, counted: _Counted) -> Exercise:
    record = record_of(Row("exercises", row.id, row.seq, None, SHOWN, row.body), place.life)
    return Exercise(record, place.space, place.is_catalog, counted.own.get(row.id, 0))
