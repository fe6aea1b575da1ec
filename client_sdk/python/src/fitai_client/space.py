"""The face of one space: its collections, groups of writes, and the rest timer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from .collection import CollectionHandle, Transaction, id_of, joining, open_transaction
from .core.clock import parse_time
from .core.query import Query
from .core.reads import Record
from .core.writing import PutLike
from .errors import InvalidWrite
from .watching import Watch

if TYPE_CHECKING:
    from .calls.base import Calls

__all__ = ["SpaceHandle"]


class SpaceHandle:
    """One space: its collections, and groups of writes."""

    def __init__(self, client: Calls, number: int) -> None:
        self._client = client
        self.number = number
        self.workouts = CollectionHandle(client, number, "workouts")
        self.workout_exercises = CollectionHandle(client, number, "workout_exercises")
        self.participants = CollectionHandle(client, number, "participants")
        self.sets = CollectionHandle(client, number, "sets")
        self.templates = CollectionHandle(client, number, "templates")
        self.template_exercises = CollectionHandle(client, number, "template_exercises")
        self.template_sets = CollectionHandle(client, number, "template_sets")
        self.exercises = CollectionHandle(client, number, "exercises")
        self.measurements = CollectionHandle(client, number, "measurements")
        self.goals = CollectionHandle(client, number, "goals")
        self.preferences = CollectionHandle(client, number, "preferences")
        self.personal_records = CollectionHandle(client, number, "personal_records")
        self.achievements = CollectionHandle(client, number, "achievements")
        self.notifications = CollectionHandle(client, number, "notifications")

    def collection(self, name: str) -> CollectionHandle:
        """A collection by its name."""
        return CollectionHandle(self._client, self.number, name)

    def watch(self) -> Watch:
        """Every change of every record of this space. Raises DatabaseError where the client was closed."""
        return self._client.watchers.add(self.number, None, Query())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Writes of the block become one group: shown together, sent together, taken or refused together.

        They are shown when the block ends; an exception in it writes nothing. Reads within the block do not see them.

        Raises:
            InvalidWrite: when the block ends: a write cannot be made, or the group is larger than a batch.
        """
        if open_transaction() is not None:
            raise InvalidWrite("A transaction is open already: groups do not nest.")
        transaction = Transaction(self.number)
        with joining(transaction):
            yield transaction
        if transaction.writes:
            await self._client.write(self.number, [transaction.writes])

    async def write_group(self, group: Sequence[PutLike]) -> None:
        """Write several records as one group: taken or refused together.

        Raises:
            InvalidWrite: a write of it cannot be made, or it is larger than a batch; nothing was written.
        """
        await self._client.write(self.number, [group])

    async def write_groups(self, groups: Sequence[Sequence[PutLike]]) -> int:
        """Write many groups in one local transaction: an import. How many writes. Raises as `write_group`."""
        return await self._client.write(self.number, groups)

    async def rest_timer(self, who: str | Record, *, duration_s: float, set: str | None = None) -> Record | None:
        """Start a rest of `duration_s` seconds; it runs to the same second on every device.

        who: the workout, or its id; in a workout with participants, the participant's record.

        Raises:
            NotFound: the workout or participant is not there.
            InvalidWrite: a duration that no server would take.
        """
        timer: dict[str, Any] = {"started_at": await self._client.server_now(), "duration_s": duration_s}
        if set is not None:
            timer["set"] = set
        return await self._timed(who).update(id_of(who), rest_timer=timer)

    async def stop_rest(self, who: str | Record) -> Record | None:
        """End the rest before its time. Raises as `rest_timer`."""
        return await self._timed(who).update(id_of(who), rest_timer=None)

    async def rest_left(self, who: str | Record) -> float | None:
        """How many seconds of the rest are left by the server's clock; 0 once it is over, None where none was started.

        Raises:
            NotFound: the workout or participant is not there.
        """
        timer = (await self._timed(who).get(id_of(who))).get("rest_timer")
        started_ms = parse_time(timer["started_at"]) if timer else None
        now_ms = parse_time(await self._client.server_now())
        if started_ms is None or now_ms is None:
            return None
        duration_s = float(timer["duration_s"])
        # Two devices know the server's clock to some milliseconds: a rest that began just now elsewhere is whole.
        return min(max(duration_s - (now_ms - started_ms) / 1000, 0.0), duration_s)

    def _timed(self, who: str | Record) -> CollectionHandle:
        return self.collection(who.collection) if isinstance(who, Record) else self.workouts
