"""What is trained: by the user who asks, and by how many people.

Owns: the counts that decide between exercises that match alike, and their freshness.
Refuses to know: queries and searching.

Invariants
    U1  A user's own use is that of their personal space as it is now: they never miss their last workout.
    U2  Of others nothing is told but an order, and an exercise that fewer than PEOPLE_MIN people train does not count
        in it; what is counted is an hour or two old. So nobody's training shows through.
"""

from __future__ import annotations

import contextlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Final

from storage.database import Database
from storage.search.queries import Place, read_people, read_recent_use, read_uncounted, write_use
from sync.environment import Environment

# What fewer people do may be somebody's own.
PEOPLE_MIN: Final = 5
PEOPLE_AGE_MS: Final = 3_600_000
# A user trains some dozens of exercises: 5 KB each.
_OWN_HELD_MAX: Final = 2_000
_SPACES_AT_ONCE: Final = 100


class ExerciseUse:
    """The counts of this process."""

    def __init__(self, database: Database, environment: Environment) -> None:
        self._database = database
        self._environment = environment
        self._own: OrderedDict[str, tuple[Place, Counter[str]]] = OrderedDict()
        self._people: dict[str, int] = {}
        self._people_from_ms: int | None = None

    async def own(self, place: Place) -> Mapping[str, int]:
        """{exercise: how often it stands in the newest changes of a personal space} as it was at `place`, or later.

        Raises StorageError.
        """
        known = self._own.get(place.space)
        if known is None or known[0] != place:
            async with self._database.read() as tx:
                known = place, Counter(await read_recent_use(tx, place.space, place.head))
            self._own[place.space] = known
            if len(self._own) > _OWN_HELD_MAX:
                self._own.popitem(last=False)
        # Another search may have let go of it meanwhile.
        with contextlib.suppress(KeyError):
            self._own.move_to_end(place.space)
        return known[1]

    async def people(self) -> Mapping[str, int]:
        """{exercise: how many people train it}, of those that PEOPLE_MIN people or more do; for orders alone (U2).

        Raises StorageError.
        """
        now_ms = self._environment.now_ms()
        if self._people_from_ms is None or not 0 <= now_ms - self._people_from_ms < PEOPLE_AGE_MS:
            # First the time, so that those who come meanwhile do not ask as well.
            self._people_from_ms = now_ms
            async with self._database.read() as tx:
                self._people = await read_people(tx, PEOPLE_MIN)
        return self._people

    async def count(self) -> int:
        """Count what the people of every personal space train that moved since it was last counted; how many did.

        For now and then; it may be cut off anywhere, and done by several processes at once.

        Raises StorageError; what was counted by then is stored.
        """
        counted, after = 0, ""
        while True:
            async with self._database.read() as tx:
                moved = await read_uncounted(tx, after, _SPACES_AT_ONCE)
                trained = {space: await read_recent_use(tx, space, head) for space, head, _ in moved}
            for space, head, life in moved:
                async with self._database.write() as tx:
                    await write_use(tx, space, head, life, trained[space])
                counted, after = counted + 1, space
            if len(moved) < _SPACES_AT_ONCE:
                return counted
