"""The histories of the people who look at their figures: kept in the process, caught up before every answer.

Owns: which spaces a history is of, how far it has read each, and how many are kept.
Refuses to know: what a figure is (figures/).

Invariants
    H1  Never stale: an answer asks first which of the person's spaces moved, by one read, and catches up.
    H2  Default deny: a space that the person left, or was only invited to, is none of theirs at the next answer.
    H3  A history is read and worked out by one at a time; reading a long one holds up nobody else (pacing.py). Whoever
        looks at their own waits no longer for that it is only kept up: it then goes on at the pace of a look.
    H4  What is kept is bounded by the number of records; who looked longest ago is read anew. A history that alone has
        more than all may have pushes out nobody: one such, the latest, is kept beside the others.
    H5  `unwritten` has every record that is another one than when it was last written, or is None: also once anybody
        else wrote one.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from api.training.pacing import Pace, take_all
from figures import Exercise, History, Person, PersonalRecord, Records, Steps, Stored, exercises_in
from storage.database import Database, Transaction
from storage.feed import Page, read_after
from storage.rows import Key
from storage.spaces import CATALOG_SPACE, SpaceRow, list_spaces, read_space
from storage.writers import writers_of
from sync.caller import Caller
from sync.errors import NotFound

# Twenty people with five years of training, or some thousands who have just begun: about 1.2 KiB each, so 600 MiB.
KEPT_RECORDS_MAX: Final = 500_000
# What the loop decodes of one answer of the database at once: a millisecond.
_PAGE: Final = 500
# What an empty one takes counts too: people without a record are many.
_EMPTY: Final = 20
# Twice what a person has after five years of training. Up to here nobody minds what a history costs: a second at most.
LONG: Final = 50_000
# For each moment that a history takes, so many are left to everybody else: where somebody waits for a long one, and
# where one is only kept up. A million records take a quarter of a minute, so these three quarters and five.
LOOK_LONG_REST: Final = 2.0
KEEP_REST: Final = 4.0
KEEP_LONG_REST: Final = 19.0

T = TypeVar("T")


class TooLong(Exception):
    """A history has more records than its reader has time for now."""


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


@dataclass(frozen=True)
class Paces:
    """The paces of one process: at which people look at their histories, and at which these are kept up otherwise."""

    look: Pace = field(default_factory=lambda: Pace(0))
    look_long: Pace = field(default_factory=lambda: Pace(LOOK_LONG_REST))
    keep: Pace = field(default_factory=lambda: Pace(KEEP_REST))
    keep_long: Pace = field(default_factory=lambda: Pace(KEEP_LONG_REST))

    def kept_s(self, *, long: bool) -> float:
        """How long histories were kept up by now where nobody looked, with the rests between: long ones, or others."""
        return (self.keep_long if long else self.keep).spent_s


@dataclass
class Kept:
    """One person's history with their records, and what it was made from."""

    history: History
    paces: Paces = field(default_factory=Paces)
    records: Records = field(default_factory=Records)
    places: dict[str, Place] = field(default_factory=dict)
    size: int = _EMPTY
    # How much of that is counted in the size of all.
    counted: int = 0
    # What changed since the records were stored (record_keeping.py), by the record's id; None where one is no more.
    # None in all: nobody knows what is stored.
    unwritten: dict[str, PersonalRecord | None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # How many have it or wait for it, and how many of these look at it.
    holders: int = 0
    looks: int = 0

    @property
    def person(self) -> Person:
        return self.history.person

    def begin_anew(self, history: History) -> None:
        """Forget what was read."""
        self.history, self.records, self.places, self.size = history, Records(), {}, _EMPTY
        self.unwritten = None

    def work_out_in_steps(self) -> Steps[None]:
        """Bring the history to where the records are that it took, and the personal ones to where it is (H5)."""
        yield from self.history.work_out_in_steps()
        difference = yield from self.records.update_in_steps(self.history, self.history.take_dirty())
        if self.unwritten is not None:
            user = self.person.user
            for one in difference.withdrawn:
                self.unwritten[one.key.id(user)] = None
                yield
            for one in (*difference.new, *difference.changed):
                self.unwritten[one.key.id(user)] = one
                yield

    async def made(self, steps: Steps[T]) -> T:
        """What is made of the history, by who holds its lock (H3)."""
        return await take_all(steps, self.pace)

    def pace(self) -> Pace:
        """How fast its next slice is worked on."""
        if self.looks:
            return self.paces.look if self.size <= LONG else self.paces.look_long
        return self.paces.keep if self.size <= LONG else self.paces.keep_long

    @asynccontextmanager
    async def held(self, *, looks: bool) -> AsyncIterator[bool]:
        """Have it to oneself, for a look or only to keep it up. Who waits for a look hurries whoever has it.

        Gives whether somebody else had it or was in line for it: then time went by.
        """
        # Not by the lock: between one who has released it and the next it is free, and yet there is a line.
        waited = self.holders > 0
        self.holders += 1
        self.looks += looks
        try:
            async with self.lock:
                yield waited
        finally:
            self.holders -= 1
            self.looks -= looks

    @property
    def version(self) -> str:
        """Names the state that all figures follow from."""
        return ",".join(f"{space}:{place.life}:{place.head}" for space, place in sorted(self.places.items()))


@dataclass(frozen=True, slots=True)
class _Found:
    """What a history is of now: the id of the person's own space, all that are theirs, and the catalog."""

    own: str
    spaces: list[SpaceRow]
    catalog: Mapping[str, Exercise]


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
        paces: Paces | None = None,
    ) -> None:
        """catalog, paces: those of other histories of the process, where there are some."""
        self.catalog = catalog or CatalogExercises()
        self.paces = paces or Paces()
        self._database = database
        self._kept_records_max = kept_records_max
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._size = 0
        # Whose history alone has more records than all may have.
        self._outsized: str | None = None

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
    async def of(self, caller: Caller, *, looks: bool = True, longest: float = math.inf) -> AsyncIterator[Kept]:
        """The caller's history as of now, theirs alone for the time of the block.

        looks: whether somebody waits for it, or it is only kept up. longest: how many records it may have.

        Raises StorageError; the history is then read anew the next time. NotFound: they have no space. TooLong: nothing
        was read.
        """
        while True:
            found = await self._find(caller)
            if self._length(caller, found) > longest:
                raise TooLong
            kept = self._kept_of(caller, found)
            async with kept.held(looks=looks) as waited:
                if self._kept.get(caller.user) is not kept:
                    continue  # Who had it meanwhile left half of it behind, or there was no room for it.
                try:
                    await self._catch_up(caller, kept, await self._find(caller) if waited else found)
                except BaseException:
                    # Half of a page may have been taken.
                    self._drop(caller.user)
                    raise
                try:
                    yield kept
                finally:
                    # Also where the block ends badly: what is kept is counted (H4).
                    self._count(kept)
                return

    async def _find(self, caller: Caller) -> _Found:
        """Raises NotFound where the caller has no space of their own."""
        async with self._database.read(snapshot=True) as tx:
            found = await list_spaces(tx, caller.user)
            for space, _, _ in found:
                if space.kind == "personal" and space.owner == caller.user:
                    theirs = [space for space, _, state in found if state == "member" and space.id != CATALOG_SPACE]
                    return _Found(space.id, theirs, await self.catalog.read(tx))
        raise NotFound

    def _length(self, caller: Caller, found: _Found) -> int:
        """How many records the history will have once it is read, at most."""
        kept = self._kept.get(caller.user)
        places: Mapping[str, Place] = {} if kept is None else kept.places
        there = 0 if kept is None else kept.size
        return there + sum(space.head - (places[space.id].head if space.id in places else 0) for space in found.spaces)

    def _kept_of(self, caller: Caller, found: _Found) -> Kept:
        kept = self._kept.get(caller.user)
        if kept is None:
            history = History(Person(caller.user, found.own), found.catalog)
            kept = self._kept[caller.user] = Kept(history, self.paces)
        self._kept.move_to_end(caller.user)
        return kept

    async def _catch_up(self, caller: Caller, kept: Kept, found: _Found) -> None:
        spaces, here = found.spaces, {space.id for space in found.spaces}
        began_anew = any(space.id in kept.places and kept.places[space.id].life != space.life for space in spaces)
        fell_behind = any(space.id in kept.places and kept.places[space.id].head < space.floor for space in spaces)
        other_catalog = kept.history.catalog is not found.catalog
        if began_anew or fell_behind or other_catalog:
            kept.begin_anew(History(Person(caller.user, found.own), found.catalog))
        for left in set(kept.places) - here:
            await take_all(kept.history.leave_in_steps(left), kept.pace)
            del kept.places[left]
        for space in spaces:
            place = kept.places.get(space.id)
            if place is None or place.head < space.head:
                await self._read(kept, space, 0 if place is None else place.head, shared=space.id != found.own)
        await take_all(kept.work_out_in_steps(), kept.pace)

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
            await take_all(kept.history.take_in_steps(stored), kept.pace)
            kept.size += len(stored)
            if len(page.rows) < _PAGE:
                kept.places[space.id] = Place(space.life, page.space.head)
                return
            after = page.rows[-1][0]

    def _count(self, kept: Kept) -> None:
        """Count a history that was looked at, and let others go where they are too many now (H4)."""
        user = kept.person.user
        if self._kept.get(user) is not kept:
            return
        if self._outsized == user:
            self._outsized = None
        is_outsized = kept.size > self._kept_records_max
        counted = 0 if is_outsized else kept.size
        self._size += counted - kept.counted
        kept.counted = counted
        if is_outsized:
            if self._outsized is not None:
                self._drop(self._outsized)
            self._outsized = user
        while self._size > self._kept_records_max:
            self._drop(next(other for other, each in self._kept.items() if each.counted and other != user))

    def _drop(self, user: str) -> None:
        if (kept := self._kept.pop(user, None)) is not None:
            self._size -= kept.counted
        if self._outsized == user:
            self._outsized = None


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
