"""The search indexes of this process, one a space, caught up when somebody searches.

Owns: when an index is what its space shows, how it becomes so, and how many are held.
Refuses to know: what is searched for (`storage/search/index.py`), and who may search (`exercise_search.py`).

Invariants
    I1  Never stale: what `caught_up` returns shows every write that had committed when its `place` was read. A space
        says by its head that it moved; where it began another life, or the database another history, or tombstones
        were collected that the index has not seen, the index is built anew.
    I2  Bounded: an index holds `NAMES_MAX` names at most, this process all in all `HELD_NAMES_MAX`; the index used
        longest ago goes first. What of a space does not fit is not found, and `Held.complete` says so.
    I3  Nobody waits for an index with a connection in hand, so that those who do keep no connection from others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from storage.database import Database
from storage.search.document import document
from storage.search.index import Index
from storage.search.queries import ExerciseRow, Place, read_moved_exercises

# Twice the catalog. Users who write exercises of their own write some dozens.
NAMES_MAX: Final = 12_000
# Some 70 MB, and the catalog's beside them: the users of some hours, who have written some dozens each.
HELD_NAMES_MAX: Final = 30_000
# Most users have written none, and an empty index costs a kilobyte.
HELD_MAX: Final = 5_000
# A page's bodies are in memory together, and indexing it takes the event loop about a hundredth of a second.
PAGE_ROWS: Final = 200


@dataclass(eq=False)
class Held:
    """The index of one space, and which state of it that is."""

    index: Index = field(default_factory=Index)
    seen: Place | None = None
    complete: bool = True
    # How many of its names are counted among those of the process; none of the catalog, which is never let go of.
    counted: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_of(self, place: Place) -> bool:
        """Whether nothing has moved since it was caught up."""
        return self.seen is not None and self._follows(self.seen, place) and self.seen.head >= place.head

    def can_follow(self, place: Place) -> bool:
        """Whether what moved since it was caught up is all that is missing."""
        return self.seen is not None and self._follows(self.seen, place) and self.seen.head >= place.floor

    @staticmethod
    def _follows(seen: Place, place: Place) -> bool:
        return (seen.life, seen.timeline) == (place.life, place.timeline)


class ExerciseIndexes:
    """The indexes of the spaces that were searched lately."""

    def __init__(
        self,
        database: Database,
        *,
        names_max: int = NAMES_MAX,
        held_names_max: int = HELD_NAMES_MAX,
        held_max: int = HELD_MAX,
    ) -> None:
        self._database = database
        self._names_max = names_max
        self._held_names_max = held_names_max
        self._held_max = held_max
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._names = 0

    @property
    def held(self) -> int:
        """How many are held."""
        return len(self._held)

    async def caught_up(self, place: Place) -> Held:
        """The index of a space, no older than `place`. Do not await anything between this and its use.

        Raises StorageError; the index is then as it was, and the next search tries again.
        """
        held = self._held.setdefault(place.space, Held())
        self._held.move_to_end(place.space)
        if not held.is_of(place):
            async with held.lock:
                # Somebody else may have done it meanwhile.
                if not held.is_of(place):
                    await self._catch_up(held, place)
                    self._count(held, place)
                    self._let_go()
        return held

    async def _catch_up(self, held: Held, place: Place) -> None:
        if held.can_follow(place):
            assert held.seen is not None
            async with self._database.read() as tx:
                moved = await read_moved_exercises(tx, place.space, held.seen.head, PAGE_ROWS + 1)
            if len(moved) <= PAGE_ROWS:
                _apply(held.index, moved)
                held.complete = self._cut(held.index) and held.complete
                held.seen = place
                return
        held.index, held.complete = await self._built(place)
        held.seen = place

    async def _built(self, place: Place) -> tuple[Index, bool]:
        """A new index, page by page, so that others are served meanwhile."""
        index = Index()
        async with self._database.read() as tx:
            rows = await read_moved_exercises(tx, place.space, 0, PAGE_ROWS)
            while rows:
                _apply(index, rows)
                if not self._cut(index):
                    return index, False
                await asyncio.sleep(0)
                rows = await read_moved_exercises(tx, place.space, 0, PAGE_ROWS, below=rows[-1].id)
        return index, True

    def _cut(self, index: Index) -> bool:
        """Let go of the exercises that were made first, where there are too many; False where there were."""
        if index.names <= self._names_max:
            return True
        for id in sorted(index.documents):
            index.drop(id)
            if index.names <= self._names_max:
                break
        return False

    def _count(self, held: Held, place: Place) -> None:
        # Another search may have let go of it meanwhile.
        if not place.is_catalog and self._held.get(place.space) is held:
            self._names += held.index.names - held.counted
            held.counted = held.index.names

    def _let_go(self) -> None:
        """Let go of the indexes that were used longest ago, where there are too many."""
        if self._is_in_bounds():
            return
        for space, held in list(self._held.items()):
            if self._is_in_bounds():
                return
            if not _is_pinned(held):
                self._names -= held.counted
                del self._held[space]

    def _is_in_bounds(self) -> bool:
        return self._names <= self._held_names_max and len(self._held) <= self._held_max


def _is_pinned(held: Held) -> bool:
    """Everybody searches the catalog; and one that was never caught up is being waited for."""
    return held.seen is None or held.seen.is_catalog


def _apply(index: Index, rows: list[ExerciseRow]) -> None:
    for row in rows:
        found = document(row.body)
        if found is None:
            index.drop(row.id)
        else:
            index.put(found)
