"""Personal records in people's own spaces: written by the server, so that every device has them offline.

Owns: when a person's records are brought up, what of them is written, and up to where that was done.
Refuses to know: what a record is (figures/), how a history is kept up (histories.py), what of the stored records
differs (stored_records.py), who of the processes may write any (record_rules.py), and how one is written
(sync/server_writes.py).

A record is a function of everything that its person trains, and stands in their own space alone: a shared space tells
nobody of anybody's records. Commits of this process are heard of at once; everything else is found from the marks that
are stored (storage/record_marks.py): what was committed by a process that died, what others changed in a shared space,
who came to one or left it, and another way of working records out.

Invariants
    P1  What is written is what the history says at the head at which it is written: where the space has moved since it
        was read, nothing is written, and it is read again. So two servers write the same, and the second one nothing.
    P2  Only what differs from what stands is written; where nothing does, no transaction is begun.
    P3  Nothing is lost: whoever is behind their mark is brought up, whatever became of the process that heard of it.
    P4  Pushes never wait for records. A person's are brought up once their pushes pause, one person after the other and
        with a rest after each: the busier the server is, the rarer, and the more is done at once.
    P5  Nothing is written for an account that was closed, or is being erased.
    P6  Nobody's records wait for all of somebody else's: a person has a turn, in which so many are written, and goes
        behind the others until theirs are done. What a long turn took the person rests for, and the others no longer
        than REST_MAX_S. Those with a long history have turns of their own beside the others', at a slower pace.
    P7  Processes that work records out by older rules write none while there is one with newer rules (record_rules.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import msgspec

from api.operations.carrying_on import CarryingOn
from api.training.coalescing import Coalescing
from api.training.histories import LONG, Histories, Kept, Place, TooLong
from api.training.record_rules import Agreement
from api.training.stored_records import differing_in_steps, read_all, read_some, write_of
from figures import Exercise, PersonalRecord
from storage import record_marks as store
from storage.database import Database, Transaction
from storage.errors import StorageError
from storage.record_marks import Mark
from storage.spaces import SpaceRow, read_space
from sync.caller import Caller
from sync.errors import NotFound
from sync.server_writes import ServerWrite, ServerWriter
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# Count it up where figures/ gives other records of the same history: all of them are then worked out anew.
RULES: Final = 1
# Somebody who breaks a record looks at the screen for longer; and an import has no pauses.
QUIET_S: Final = 0.5
LONGEST_S: Final = 30.0
# What others wrote in a shared space is mostly about themselves.
LOOK_S: Final = 30.0
# After this many looks at what moved, all that is stored is looked at: only what was missed is found there.
SCAN_LOOKS: Final = 20
# For each moment that a person's records take, so many are left to everybody else: under load a moment is long.
REST: Final = 4.0
REST_MAX_S: Final = 10.0
# A person has hundreds of records. So many more are written in several turns, each as long as a large push.
WRITES_MAX: Final = 1_000
# Histories of people of whom something is left, and who do not look: some long ones.
PASSING_RECORDS_MAX: Final = 100_000
_SPACES_AT_ONCE: Final = 1_000
# A space that moves again and again while it is read is one that is pushed to: the next pause comes.
TRIES_MAX: Final = 3


class _Moved(Exception):
    """The space is not where it was when its history was read."""


@dataclass
class RecordKeeping:
    """The records of everybody, kept by one process. `heard` belongs to the listeners of the
    write path.

    histories: those that are kept for people's own looks. fraction: draws from [0, 1). rest: how much longer than the
    records of one person took nobody's are looked at. rules: names how records are worked out; the larger number is the
    newer. writes_max: how many of one person are written in a turn. long: of more records a history is a long one.
    """

    database: Database
    writer: ServerWriter
    histories: Histories
    fraction: Callable[[], float]
    rest: float = REST
    rules: int = RULES
    writes_max: int = WRITES_MAX
    long: int = LONG
    _asked: Coalescing = field(default_factory=lambda: Coalescing(QUIET_S, LONGEST_S))
    # Of those who were asked for, who turned out to have a long history.
    _asked_long: Coalescing = field(default_factory=lambda: Coalescing(QUIET_S, LONGEST_S))
    _spaces: set[str] = field(default_factory=set)
    _marks: dict[str, Mark] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _wake_long: asyncio.Event = field(default_factory=asyncio.Event)
    _basis: tuple[Mapping[str, Exercise] | None, str] = (None, "")
    _passing: Histories = field(init=False)
    # Of whom something is left, and who were only passed by.
    _passed: set[str] = field(default_factory=set)
    _agreement: Agreement = field(init=False)

    def __post_init__(self) -> None:
        # Who is only caught up with takes nobody's place among those who look.
        self._passing = Histories(
            self.database,
            kept_records_max=PASSING_RECORDS_MAX,
            catalog=self.histories.catalog,
            paces=self.histories.paces,
        )
        self._agreement = Agreement(self.database, self.writer.path.environment, self.rules)

    # -- when ------------------------------------------------------------------------------------------------

    def heard(self, space: str, user: str | None) -> None:
        """Somebody's write into a space has committed. What the server itself wrote concerns nobody's history."""
        if user is None:
            return
        self._asked.ask(user, _now())
        self._spaces.add(space)
        self._wake.set()

    def start(self) -> Callable[[], Awaitable[None]]:
        """Begin; await what is returned to stop. What is not done by then is found when it is begun again (P3)."""
        tasks = [
            asyncio.create_task(self._work(), name="personal records"),
            asyncio.create_task(self._work(long=True), name="personal records of long histories"),
            asyncio.create_task(self._look(), name="personal records that are behind"),
        ]

        async def stop() -> None:
            await end_tasks(tasks)
            await self._flush()

        return stop

    async def settle(self) -> None:
        """Do at once whatever there is to do, for everybody. For tests and for tools: a server has `start`."""
        self._asked, self._spaces = Coalescing(QUIET_S, LONGEST_S), set()
        await self._agreement.renew()
        await self._flush()
        await self._scan()
        while self._asked or self._asked_long:
            if (user := self._asked.take(math.inf)) is not None:
                await self._try(user, passing=True)
            if (user := self._asked_long.take(math.inf)) is not None:
                await self._try(user, passing=True, long=True)
        await self._flush()

    async def _work(self, *, long: bool = False) -> None:
        wake = self._wake_long if long else self._wake
        while True:
            user = self._line(long).take(_now())
            if user is not None:
                await self._try(user, passing=user in self._passed, long=long)
                continue
            wake.clear()
            try:
                async with asyncio.timeout(self._line(long).wait_s(_now())):
                    await wake.wait()
            except TimeoutError:
                pass

    def _line(self, long: bool) -> Coalescing:
        return self._asked_long if long else self._asked

    async def _look(self) -> None:
        # Servers that are started together do not look for the same people at once.
        await asyncio.sleep(LOOK_S * self.fraction())
        looks = 0
        while True:
            await self._agreement.renew()
            await self._flush()
            moved, self._spaces = self._spaces, set()
            await self._bring_up_behind(moved)
            if looks % SCAN_LOOKS == 0:
                await self._scan()
            looks += 1
            await asyncio.sleep(LOOK_S)

    async def _bring_up_behind(self, spaces: set[str]) -> None:
        """Bring up those members of spaces that moved who did not write there themselves."""
        if not self._agreement.allows:
            return
        behind: set[str] = set()
        with CarryingOn(log, "personal records wait"):
            basis = await self._read_basis()
            listed = sorted(spaces)
            for first in range(0, len(listed), _SPACES_AT_ONCE):
                async with self.database.read() as tx:
                    behind.update(await store.read_behind_in(tx, basis, listed[first : first + _SPACES_AT_ONCE]))
            spaces = set()
        # Where they could not be looked at, the next look does.
        self._spaces |= spaces
        for user in behind:
            await self._try(user, passing=True)

    async def _scan(self) -> None:
        """Bring up everybody who is behind, page by page (P3)."""
        if not self._agreement.allows:
            return
        after = ""
        while True:
            behind: Sequence[str] = ()
            with CarryingOn(log, "personal records wait"):
                basis = await self._read_basis()
                async with self.database.read() as tx:
                    behind = await store.read_behind(tx, basis, after)
            if not behind:
                return
            for user in behind:
                await self._try(user, passing=True)
            await self._flush()
            after = behind[-1]

    async def _try(self, user: str, *, passing: bool = False, long: bool = False) -> None:
        """Give a person a turn; where something is left, they go behind everybody who waits (P6).

        long: whether this is a turn of those with a long history; in another one they only get in line for it.
        """
        self._passed.discard(user)
        if not await self._agreement.is_known_to_allow():
            return
        paces = self.histories.paces
        began, kept_before = _now(), paces.kept_s(long=long)
        try:
            _, is_done = await self._take_turn(user, passing=passing, longest=math.inf if long else self.long)
            if not is_done:
                self._line(long).put_back(user, _now())
                if passing:
                    self._passed.add(user)
        except TooLong:
            self._asked_long.put_back(user, _now())
            self._wake_long.set()
            if passing:
                self._passed.add(user)
        except StorageError as error:
            # Their mark is behind, and tells so at the next scan.
            log.warning("the personal records of user %s wait for the database: %s", user, error)
        except NotFound:
            log.info("user %s has no personal records any more: the account is closed", user)
        except Exception:
            # Whatever it was, nobody else's records suffer.
            log.exception("the personal records of user %s cannot be brought up", user)
        # What was done in slices was rested for between them.
        rest_s = self.rest * max(0.0, _now() - began - (paces.kept_s(long=long) - kept_before))
        if rest_s > REST_MAX_S:
            self._line(long).rest(user, _now(), rest_s)
        await asyncio.sleep(min(rest_s, REST_MAX_S))

    async def _flush(self) -> None:
        """Store the marks, of many people at once."""
        marks, self._marks = self._marks, {}
        if not marks:
            return
        with CarryingOn(log, "marks of personal records wait"):
            async with self.database.write() as tx:
                await store.write_marks(tx, list(marks.values()))
            marks = {}
        self._marks = marks | self._marks

    # -- what ------------------------------------------------------------------------------------------------

    async def bring_up(self, user: str) -> int:
        """Write all of a person's records that differ from what stands; how many were written.

        Raises StorageError, and NotFound where there is no such account or it is closed. Nothing is lost by that.
        """
        written, is_done = await self._take_turn(user)
        while not is_done:
            more, is_done = await self._take_turn(user)
            written += more
        return written

    async def _take_turn(self, user: str, *, passing: bool = False, longest: float = math.inf) -> tuple[int, bool]:
        """Write at most `writes_max` of what differs; how many, and whether that was all, for now.

        passing: nobody looks for them now, so their history is kept until all is written, and no longer.

        Raises as bring_up, and TooLong where the history has more records than `longest`.
        """
        histories = self._passing if passing and not self.histories.has(user) else self.histories
        for _ in range(TRIES_MAX):
            async with histories.of(Caller(user, ""), looks=False, longest=longest) as kept:
                try:
                    written = await self._write(kept)
                except _Moved:
                    continue
                if kept.unwritten:
                    return written, False
                self._spaces.discard(kept.person.space)
                places = {space: (place.life, place.head) for space, place in kept.places.items()}
                self._marks[user] = Mark(user, self._basis_of(kept.history.catalog), places)
            self._passing.forget(user)
            return written, True
        self._asked.ask(user, _now())
        self._wake.set()
        return 0, True

    async def _write(self, kept: Kept) -> int:
        """Write the first of what differs. Raises _Moved (P1)."""
        if kept.unwritten is not None and not kept.unwritten:
            return 0
        space = kept.person.space
        async with self.database.read(snapshot=True) as tx:
            _check(kept, await read_space(tx, space))
            if kept.unwritten is None:
                stored = await read_all(tx, space)
            else:
                stored = await read_some(tx, space, self._part_of(kept.unwritten))
        if kept.unwritten is None:
            kept.unwritten = await kept.made(differing_in_steps(kept.person.user, kept.records, stored))
        part = self._part_of(kept.unwritten)
        writes = [write for id in part if (write := write_of(id, kept.unwritten[id], stored.get(id))) is not None]
        if writes:
            await self._write_some(kept, writes)
        for id in part:
            del kept.unwritten[id]
        return len(writes)

    def _part_of(self, unwritten: Mapping[str, PersonalRecord | None]) -> list[str]:
        """The ids of what is written in one turn."""
        return sorted(islice(unwritten, self.writes_max))

    async def _write_some(self, kept: Kept, writes: Sequence[ServerWrite]) -> None:
        async def guard(tx: Transaction, space: SpaceRow) -> Sequence[ServerWrite]:
            _check(kept, space)
            if not await store.is_open(tx, kept.person.user):
                raise NotFound
            return writes

        # On nobody's behalf: what a person takes back by `rewind` is what they wrote, and the records follow.
        plan = await self.writer.write_as_server(kept.person.space, (), guard=guard)
        # Nothing but these came since the history was read.
        kept.places[kept.person.space] = Place(plan.space.life, plan.space.head)

    async def _read_basis(self) -> str:
        async with self.database.read() as tx:
            return self._basis_of(await self.histories.catalog.read(tx))

    def _basis_of(self, catalog: Mapping[str, Exercise]) -> str:
        """Names what records follow from beside the spaces."""
        if self._basis[0] is not catalog:
            loads = sorted((id, one.load_mode, one.bodyweight_fraction) for id, one in catalog.items())
            self._basis = catalog, f"{self.rules}.{hashlib.sha256(msgspec.json.encode(loads)).hexdigest()[:16]}"
        return self._basis[1]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _check(kept: Kept, space: SpaceRow | None) -> None:
    """Raises _Moved where the person's space is not where it was read."""
    place = kept.places[kept.person.space]
    if space is None or (space.life, space.head) != (place.life, place.head):
        raise _Moved
