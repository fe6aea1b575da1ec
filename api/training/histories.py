"""The histories of the people who look at their figures: kept in the process, caught up before every answer.

Owns: which spaces a history is of, how far it has read each, and how many are kept.
Refuses to know: what a figure is (figures/).

Invariants
    H1  Never stale: an answer asks first which of the person's spaces moved, by one read, and catches up.
    H2  Default deny: a space that the person left, or was only invited to, is none of theirs at the next answer.
    H3  A history is read and worked out by one at a time; reading a long one holds up nobody else.
    H4  What is kept is bounded by the number of records; who looked longest ago is read anew.
    H5  `unwritten` has every record that is another one than when it was last written, or is None: also once anybody
        else wrote one.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from figures import Exercise, History, Person, PersonalRecord, Records, Stored, exercises_in
from storage.cancelling import to_the_end
from storage.database import Database, Transaction
from storage.feed import Page, read_after
from storage.rows import Key
from storage.spaces import CATALOG_SPACE, SpaceRow, list_spaces, read_space
from storage.writers import writers_of
from sync.caller import Caller
from sync.errors import NotFound

# About 400 bytes each: twenty people with five years of training, or some thousands who have just begun.
KEPT_RECORDS_MAX: Final = 500_000
_PAGE: Final = 2_000
# What an empty one takes counts too: people without a record are many.
_EMPTY: Final = 20
# Fewer than this are taken at once; more go to a thread.
FEW: Final = 200

T = TypeVar("T")


class _Named(msgspec.Struct):
    collection: str
    id: str


# As it stands in the body of a stored record; inside a text the quotes are escaped.
_IS_RECORD: Final = b'"collection":"personal_records"'
_decode_name: Final = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True, slots=True)
class Place:
    """How far a space has been read. A life that began since may have taken records back."""

    life: str
    head: int


@dataclass
class Kept:
    """One person's history with their records, and what it was made from."""

    history: History
    records: Records = field(default_factory=Records)
    places: dict[str, Place] = field(default_factory=dict)
    size: int = _EMPTY
    # How much of that is counted in the size of all.
    counted: int = 0
    # What changed since the records were stored (record_keeping.py), by the record's id; None where one is no more.
    # None in all: nobody knows what is stored.
    unwritten: dict[str, PersonalRecord | None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def person(self) -> Person:
        return self.history.person

    def begin_anew(self, history: History) -> None:
        """Forget what was read."""
        self.history, self.records, self.places, self.size = history, Records(), {}, _EMPTY
        self.unwritten = None

    def work_out(self) -> None:
        """Bring the records to where the history is (H5)."""
        difference = self.records.update(self.history, self.history.take_dirty())
        if self.unwritten is not None:
            user = self.person.user
            self.unwritten |= {one.key.id(user): None for one in difference.withdrawn}
            self.unwritten |= {one.key.id(user): one for one in (*difference.new, *difference.changed)}

    async def made(self, make: Callable[[], T]) -> T:
        """What is made of the history, for who holds its lock: until it is done, also where they are cancelled (H3)."""
        if self.size <= FEW:
            return make()
        found: list[T] = []

        async def work() -> None:
            found.append(await asyncio.to_thread(make))

        await to_the_end(work())
        return found[0]

    @property
    def version(self) -> str:
        """Names the state that all figures follow from."""
        return ",".join(f"{space}:{place.life}:{place.head}" for space, place in sorted(self.places.items()))


class CatalogExercises:
    """The exercises that everybody has, decoded once for all histories while the catalog stays as it is."""

    def __init__(self) -> None:
        self._version = ""
        self._exercises: Mapping[str, Exercise] = {}

    async def read(self, tx: Transaction) -> Mapping[str, Exercise]:
        """By id; the same object as long as nothing of the catalog changed."""
        space = await read_space(tx, CATALOG_SPACE)
        version = "" if space is None else f"{space.life}:{space.head}"
        if version != self._version and space is not None:
            page = await read_after(tx, space.id, 0, 20_000)
            bodies = [] if page is None else [body for _, body in page.rows]
            self._version, self._exercises = version, exercises_in(bodies)
        return self._exercises


class Histories:
    """The histories of one process."""

    def __init__(
        self,
        database: Database,
        *,
        kept_records_max: int = KEPT_RECORDS_MAX,
        catalog: CatalogExercises | None = None,
    ) -> None:
        """catalog: that of other histories of the process, where there are some."""
        self.catalog = catalog or CatalogExercises()
        self._database = database
        self._kept_records_max = kept_records_max
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0

    @property
    def kept(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def has(self, user: str) -> bool:
        """Whether a user's history is kept now."""
        return user in self._kept

    def forget(self, user: str) -> None:
        """Keep a user's history no longer."""
        self._drop(user)

    @asynccontextmanager
    async def of(self, caller: Caller) -> AsyncIterator[Kept]:
        """The caller's history as of now, theirs alone for the time of the block.

        Raises StorageError; the history is then read anew the next time. NotFound: they have no space.
        """
        async with self._database.read(snapshot=True) as tx:
            found = await list_spaces(tx, caller.user)
            own = next(
                (space for space, _, _ in found if space.kind == "personal" and space.owner == caller.user), None
            )
            if own is None:
                raise NotFound
            catalog = await self.catalog.read(tx)
            kept = self._kept.get(caller.user)
            if kept is None:
                kept = self._kept[caller.user] = Kept(History(Person(caller.user, own.id), catalog))
            self._kept.move_to_end(caller.user)
        async with kept.lock:
            spaces = [space for space, _, state in found if state == "member" and space.id != CATALOG_SPACE]
            try:
                await self._catch_up(caller, kept, spaces, own.id, catalog)
            except BaseException:
                # Half of a page may have been taken.
                self._drop(caller.user)
                raise
            yield kept
        self._let_go(caller.user)

    async def _catch_up(
        self, caller: Caller, kept: Kept, spaces: list[SpaceRow], own: str, catalog: Mapping[str, Exercise]
    ) -> None:
        here = {space.id for space in spaces}
        began_anew = any(space.id in kept.places and kept.places[space.id].life != space.life for space in spaces)
        fell_behind = any(space.id in kept.places and kept.places[space.id].head < space.floor for space in spaces)
        other_catalog = kept.history.catalog is not catalog
        if began_anew or fell_behind or other_catalog:
            kept.begin_anew(History(Person(caller.user, own), catalog))
        for left in set(kept.places) - here:
            kept.history.leave(left)
            del kept.places[left]
        size = kept.size
        for space in spaces:
            place = kept.places.get(space.id)
            if place is None or place.head < space.head:
                await self._read(kept, space, 0 if place is None else place.head, shared=space.id != own)
        if max(kept.size - size, kept.history.dirty_lifts) <= FEW:
            kept.work_out()
        else:
            await asyncio.to_thread(kept.work_out)

    async def _read(self, kept: Kept, space: SpaceRow, after: int, *, shared: bool) -> None:
        """Take what a space has above a seq, up to where it stands now, page by page."""
        while True:
            async with self._database.read(snapshot=True) as tx:
                page = await read_after(tx, space.id, after, _PAGE)
                if page is None or page.space.life != space.life:
                    raise NotFound  # It went away, or began anew, while it was read: the next look sees that.
                stored = await _stored(tx, page, shared=shared)
            if kept.unwritten is not None and any(_IS_RECORD in each.body for each in stored):
                kept.unwritten = None
            if len(stored) <= FEW and (kept.size <= FEW or _are_sets(stored)):
                kept.history.catch_up(stored)
            else:
                await asyncio.to_thread(kept.history.catch_up, stored)
            kept.size += len(stored)
            if len(page.rows) < _PAGE:
                kept.places[space.id] = Place(space.life, page.space.head)
                return
            after = page.rows[-1][0]

    def _let_go(self, but: str) -> None:
        if (kept := self._kept.get(but)) is not None:
            self._size += kept.size - kept.counted
            kept.counted = kept.size
        while self._size > self._kept_records_max and len(self._kept) > 1:
            oldest = next(iter(self._kept))
            if oldest == but:
                return
            self._drop(oldest)

    def _drop(self, user: str) -> None:
        if (kept := self._kept.pop(user, None)) is not None:
            self._size -= kept.counted


def _are_sets(stored: list[Stored]) -> bool:
    """Whether records concern no more than themselves: any other one may be of a whole history, as a bodyweight is."""
    return all(_decode_name(each.body).collection == "sets" for each in stored)


async def _stored(tx: Transaction, page: Page, *, shared: bool) -> list[Stored]:
    if not shared:
        return [Stored(page.space.id, body) for _, body in page.rows]
    named = [_decode_name(body) for _, body in page.rows]
    asked: list[Key] = [(each.collection, each.id) for each in named if each.collection in ("workouts", "participants")]
    writers = await writers_of(tx, page.space.id, asked)
    return [
        Stored(page.space.id, body, writers.get((each.collection, each.id), ()))
        for each, (_, body) in zip(named, page.rows, strict=True)
    ]
