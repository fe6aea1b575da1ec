"""People who train in a world without a server around it, and what each of their devices has of their records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from api.training.histories import Histories
from api.training.record_keeping import RecordKeeping
from api.training.stored_records import COLLECTION
from figures import History, Person, Records, Stored
from storage.database import Database, Transaction
from tests.sync.harness import Device, World

AT = "2026-11-{day:02}T{hour:02}:00:00.000Z"
Values = dict[str, Any]


def keeping_of(world: World, **more: Any) -> RecordKeeping:
    """A process of its own that keeps records, and hears of what is written in this world."""
    given = {"database": world.database, "fraction": lambda: 0.0, "rest": 0, **more}
    given.setdefault("histories", Histories(world.database))
    made = RecordKeeping(writer=world.engine.server_writer, **given)
    world.engine.write_path.listeners.append(made.heard)
    return made


@dataclass
class Meanwhile:
    """A database in which somebody else does something between a reading and what follows from it, once."""

    database: Database
    happen: Callable[[], Awaitable[Any]] | None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Transaction]:
        async with self.database.read(snapshot=snapshot) as tx:
            yield tx
        happen, self.happen = self.happen, None
        if happen is not None:
            await happen()


@dataclass
class Copy:
    """What a device was given by now, by key."""

    device: Device
    space: str
    records: dict[tuple[str, str], Values] = field(default_factory=dict)
    # As often as a page brought one.
    brought: int = 0

    async def pull(self) -> None:
        for record in await self.device.pull(self.space):
            key = (record["collection"], record["id"])
            self.brought += record["collection"] == COLLECTION
            if record["deleted"]:
                self.records.pop(key, None)
                self._drop_below(key)
            else:
                assert not record.get("conflicts") or key[0] != COLLECTION
                self.records[key] = record["values"]

    def _drop_below(self, key: tuple[str, str]) -> None:
        above = {"workouts": ("workout_exercises", "workout"), "workout_exercises": ("sets", "workout_exercise")}
        if key[0] in above:
            collection, name = above[key[0]]
            for each in [k for k, v in self.records.items() if k[0] == collection and v.get(name) == key[1]]:
                del self.records[each]
                self._drop_below(each)

    @property
    def shown(self) -> dict[str, Values]:
        """The personal records that the device has, by id."""
        return {id: values for (collection, id), values in self.records.items() if collection == COLLECTION}

    def worked_out(self) -> dict[str, Values]:
        """What they have to be: everything worked out anew from the other records that the device has."""
        history, records = History(Person(self.device.caller.user, self.space)), Records()
        history.catch_up(
            Stored(self.space, msgspec.json.encode({"collection": collection, "id": id, "values": values}))
            for (collection, id), values in self.records.items()
        )
        records.update(history)
        return {one.key.id(self.device.caller.user): one.values() for one in records}

    def best(self, kind: str) -> Any:
        """The value of the one record of a kind; None where there is none."""
        found = [values["value"] for values in self.shown.values() if values["kind"] == kind]
        assert len(found) < 2
        return found[0] if found else None


@dataclass
class Lifter:
    """Somebody with a device that logs sets of one exercise."""

    world: World
    device: Device
    space: str
    exercise: str

    @classmethod
    async def make(cls, world: World, user: str | None = None) -> Lifter:
        """A lifter with a space of their own: by default the one that the world begins with."""
        if user is None:
            user, space = world.user, world.space
        else:
            space = await world.add_space(user)
        return cls(world, await world.device(user), space, world.uuid())

    @property
    def user(self) -> str:
        return self.device.caller.user

    async def also_in(self, space: str) -> Lifter:
        """The same person with the same exercise in another space, where a device of its own writes."""
        return Lifter(self.world, await self.world.device(self.user), space, self.exercise)

    async def copy(self) -> Copy:
        """A second device of theirs, which has nothing yet."""
        return Copy(await self.world.device(self.user), self.space)

    def workout(self, *sets: tuple[float, float], day: int = 20, **values: Any) -> list[Values]:
        """The changes that log a workout with (kg, reps) of each set."""
        workout, block = self.world.uuid(), self.world.uuid()
        at = AT.format(day=day, hour=18)
        changes = [
            self.device.put("workouts", workout, status="completed", started_at=at, **values),
            self.device.put("workout_exercises", block, workout=workout, exercise=self.exercise, position="a"),
        ]
        for place, (kg, reps) in enumerate(sets):
            changes.append(
                self.device.put(
                    "sets", self.world.uuid(), workout_exercise=block, position=f"a{place:03}", kind="normal",
                    reps=reps, weight={"value": kg, "unit": "kg"}, load_mode="external", completed_at=at,
                )
            )  # fmt: skip
        return changes

    async def log(self, *sets: tuple[float, float], **more: Any) -> list[str]:
        """Log a workout and push it; the ids of the workout, of its exercise and of the sets."""
        return await self.push(self.workout(*sets, **more))

    async def push(self, changes: Iterable[Values]) -> list[str]:
        sent = list(changes)
        answer = await self.device.push(*sent, space=self.space)
        assert answer.rejected == []
        return [change["id"] for change in sent]
