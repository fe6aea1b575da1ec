"""The story, step by step. Each step does what it says with real parts, checks it, and tells what was seen.

A step that finds something missing raises `Failed`; nothing is retried or smoothed over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from api.command_line.demonstration.compare import Difference, differences, shown_by_device, shown_by_server
from api.command_line.demonstration.server import ServerProcess
from fitai_client import Client, Record, ServerRefused, Write
from fitai_client.imports import import_csv

EMAIL = "you@example.com"
PASSWORD = "a long enough phrase"
# Three batches, so that the server can be killed between the first answer and the last.
SETS_BEFORE_THE_KILL = 2_600
# How often that is tried.
KILLS_MAX = 5


class Failed(Exception):
    """The product did not do what the step promises; the message says what is missing."""


class Teller(Protocol):
    """Who tells the story to the person at the terminal."""

    def begin(self, title: str) -> None: ...
    def say(self, line: str) -> None: ...
    def workout(self, title: str, rows: list[tuple[str, str]]) -> None: ...
    def end(self, seconds: float) -> None: ...


@dataclass
class Story:
    """One run: its server, the folder of its devices, and the steps with their seconds."""

    folder: Path
    file: Path
    timezone: str
    server: ServerProcess
    teller: Teller
    steps: list[tuple[str, float]] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    records: int = 0

    async def tell(self) -> None:
        """Live through the whole story. Raises Failed where something is missing."""
        await self._step("A server starts", self._start_server)
        await self._step("A phone without a network imports a training log", self._import_offline)
        await self._step("The phone gets a network and an account", self._first_sync)
        await self._step("A laptop signs in and has it all", self._second_device)
        await self._step("Both go offline and edit the same things", self._edit_apart)
        await self._step("Both come back: nothing is lost", self._meet_again)
        await self._step("A rest timer started on the phone runs on the laptop", self._rest_timer)
        await self._step("The server is killed in the middle of a push", self._kill_the_server)
        await self._step("Phone, laptop and server are compared, record by record", self._compare)

    async def _step(self, title: str, work: Callable[[], Any]) -> None:
        self.teller.begin(title)
        began = time.perf_counter()
        await work()
        seconds = time.perf_counter() - began
        self.steps.append((title, seconds))
        self.teller.end(seconds)

    @asynccontextmanager
    async def _device(self, name: str, *, online: bool = False) -> AsyncIterator[Client]:
        """A device over its own file. Offline it makes no connection by itself; `sync()` is its moment of network."""
        path = self.folder / f"{name}.db"
        async with await Client.open(path, server=self.server.url, name=name, background=online) as client:
            yield client

    @asynccontextmanager
    async def _both(self, *, online: bool = False) -> AsyncIterator[tuple[Client, Client]]:
        async with self._device("phone", online=online) as phone, self._device("laptop", online=online) as laptop:
            yield phone, laptop

    # -- the steps -------------------------------------------------------------------------------------------

    async def _start_server(self) -> None:
        await self.server.start()
        self.teller.say(f"It answers on {self.server.url}, a process of its own.")

    async def _import_offline(self) -> None:
        data = await asyncio.to_thread(self.file.read_bytes)
        async with self._device("phone") as phone:
            imported = await import_csv(phone, data, timezone=self.timezone)
            preview = imported.file.preview
            self.teller.say(
                f"{self.file.name}: an export of {preview.dialect.capitalize()} with {preview.workouts:,} workouts "
                f"and {preview.sets:,} sets, {preview.first_date} to {preview.last_date}."
            )
            _require(preview.workouts >= 2, "the file holds fewer than two workouts; take a longer one")
            for doubt in imported.file.warnings[:3]:
                self.teller.say(f"In doubt, line {doubt.line}: {doubt.field} {doubt.value!r}, {doubt.reason}")
            for error in imported.file.errors[:3]:
                self.teller.say(f"Not read, line {error.line}: {error.reason}")
            again = await import_csv(phone, data, timezone=self.timezone)
            _require(again.written == 0, f"importing the file again wrote {again.written} records")
            status = await phone.status()
            _require(status.pending == imported.written, "the log does not hold what was imported")
            self.teller.say(
                f"{status.pending:,} changes are in the phone's log. A second import of the file adds none."
            )

    async def _first_sync(self) -> None:
        async with self._device("phone") as phone:
            try:
                status = await phone.register(EMAIL, PASSWORD, "You")
            except ServerRefused as refused:
                _require(refused.code != "email_unavailable", "its database is not empty; give it an empty one")
                raise
            _require(status.pending == 0, f"{status.pending} changes are still unsent: {status.why}")
            _require(status.inbox == 0, f"the server refused {status.inbox} changes")
            self.teller.say("The account was made, and the whole log was its first push.")

    async def _second_device(self) -> None:
        async with self._both() as (phone, laptop):
            await laptop.sign_in(EMAIL, PASSWORD)
            here, there = await laptop.sets.count(), await phone.sets.count()
            _require(here == there, f"the laptop shows {here} sets of {there}")
            newest = (await laptop.workouts.list(order="-started_at", limit=1))[0]
            self.teller.workout(_title(newest), await _rows(laptop, newest))
            self.teller.say(f"{here:,} sets are on the laptop.")

    async def _edit_apart(self) -> None:
        async with self._both() as (phone, laptop):
            same, other, gone = await self._targets(phone)
            await phone.sets.update(same.id, reps=12)
            await laptop.sets.update(same.id, reps=15)
            self.teller.say("One set: the phone says 12 reps, the laptop says 15.")
            await phone.sets.update(other.id, rpe=9.5)
            await laptop.sets.update(other.id, notes="left knee, watch it")
            self.teller.say("Another set: the phone writes its RPE, the laptop a note.")
            await phone.workouts.delete(gone.id)
            exercise = (await laptop.workout_exercises.list(workout=gone.id, limit=1))[0]
            await laptop.sets.create(
                workout_exercise=exercise.id, position="zz", reps=5, weight={"value": 60, "unit": "kg"}
            )
            self.teller.say(f"The phone deletes “{_title(gone)}”, while the laptop adds a set to it.")

    async def _targets(self, client: Client) -> tuple[Record, Record, Record]:
        """The set that both edit, the one of which they edit different fields, and the workout that goes."""
        workouts = await client.workouts.list(order="-started_at", limit=2)
        _require(len(workouts) == 2, "the file holds fewer than two workouts; take a longer one")
        sets = await client.sets.list(workout=workouts[0].id, limit=2)
        _require(len(sets) == 2, "the newest workout holds fewer than two sets; take another file")
        return sets[0], sets[1], workouts[1]

    async def _meet_again(self) -> None:
        async with self._both() as (phone, laptop):
            gone_before = await laptop.workouts.list(order="-started_at", limit=2)
            await phone.sync()
            await laptop.sync()
            await phone.sync()
            same, other, back = await self._targets(phone)
            _require(back.id == gone_before[1].id, "the deleted workout did not come back for the set that was added")
            self.teller.say(f"“{_title(back)}” is back, whole: the delete had not seen the new set.")
            _require(
                other.get("rpe") == 9.5 and other.get("notes") == "left knee, watch it",
                "an edit of another field was lost",
            )
            self.teller.say("The other set has both the RPE and the note.")
            conflicts = {record.id: record for record in await phone.conflicts()}
            _require(same.id in conflicts, "the concurrent edit of the reps left no conflict")
            losers = [loser.value for loser in conflicts[same.id].conflicts["reps"]]
            _require({same["reps"], *losers} == {12, 15}, f"the reps show {same['reps']} and {losers}")
            self.teller.say(
                f"The reps show {same['reps']:g}; {losers[0]:g} is kept as a conflict, with its device and time."
            )
            await phone.resolve(conflicts[same.id], "reps", 15)
            await phone.sync()
            await laptop.sync()
            settled = await laptop.sets.get(same.id)
            _require(settled["reps"] == 15 and not settled.conflicts, "the resolution did not reach the laptop")
            self.teller.say("Resolved to 15 on the phone; the laptop agrees.")

    async def _rest_timer(self) -> None:
        async with self._both(online=True) as (phone, laptop):
            await asyncio.gather(_until_live(phone), _until_live(laptop))
            workout = (await phone.workouts.list(order="-started_at", limit=1))[0]
            async with laptop.workouts.watch(id=workout.id) as watch:
                began = time.perf_counter()
                await phone.rest_timer(workout, duration_s=90)
                async with asyncio.timeout(20):
                    async for change in watch:
                        if change.after is not None and change.after.get("rest_timer"):
                            break
                took_ms = (time.perf_counter() - began) * 1_000
            here, there = await phone.workouts.get(workout.id), await laptop.workouts.get(workout.id)
            _require(here["rest_timer"] == there["rest_timer"], "the two timers differ")
            self.teller.say(f"90 s from {there['rest_timer']['started_at']}, on both, {took_ms:.0f} ms after the tap.")

    async def _kill_the_server(self) -> None:
        async with self._device("phone") as phone:
            workout = (await phone.workouts.list(order="-started_at", limit=1))[0]
            exercise = (await phone.workout_exercises.list(workout=workout.id, limit=1))[0]
            left = 0
            for number in range(KILLS_MAX):
                left = await self._killed_while_pushing(phone, exercise, number)
                if left:
                    break
                # On a busy machine all was answered before this process had its turn again.
                await self.server.start()
            _require(left > 0, "the push was over before the server was killed")
            self.teller.say(f"kill -9, with {left:,} of {SETS_BEFORE_THE_KILL:,} new sets not yet acknowledged.")
            await self.server.start()
            status = await phone.sync()
            _require(status.pending == 0, f"{status.pending} changes are still unsent: {status.why}")
            self.teller.say("The server is back on its data, and the phone has sent the rest.")

    async def _killed_while_pushing(self, phone: Client, exercise: Record, number: int) -> int:
        """Push new sets, and kill the server after the first answer; how many of them were not answered."""
        place = {"workout_exercise": exercise.id, "reps": 1}
        new = [
            [Write("sets", phone.new_id(), {**place, "position": f"z{number}{n:04}"})]
            for n in range(SETS_BEFORE_THE_KILL)
        ]
        await phone.write_groups(new)
        pushing = asyncio.create_task(phone.sync())
        # Status is asked for, not announced; the answer to the first batch is the moment.
        while (await phone.status()).pending == SETS_BEFORE_THE_KILL and not pushing.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        await self.server.kill()
        await asyncio.gather(pushing, return_exceptions=True)
        return (await phone.status()).pending

    async def _compare(self) -> None:
        async with self._both() as (phone, laptop):
            await laptop.sync()
            await phone.sync()
            places = {
                "phone": await shown_by_device(phone),
                "laptop": await shown_by_device(laptop),
                "server": await shown_by_server(self.server.url, EMAIL, PASSWORD),
            }
        self.differences = differences(places)
        self.records = len(places["server"])
        _require(not self.differences, f"{len(self.differences)} records are not the same everywhere")
        added = sum(1 for key in places["server"] if key[0] == "sets")
        self.teller.say(f"{self.records:,} records, {added:,} of them sets: the same on all three.")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


async def _until_live(client: Client) -> None:
    async with asyncio.timeout(20):
        while not (await client.status()).live:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def _title(workout: Record) -> str:
    return str(workout.get("title") or "Workout")


async def _rows(client: Client, workout: Record) -> list[tuple[str, str]]:
    """(exercise, its sets) of a workout, as a person reads them."""
    rows = []
    for exercise in await client.workout_exercises.list(workout=workout.id, order="position"):
        named = await client.exercises.find(exercise["exercise"])
        sets = await client.sets.list(workout_exercise=exercise.id, order="position")
        rows.append((str(named["name"]) if named else "Exercise", "  ".join(_set_in_words(one) for one in sets)))
    return rows


def _set_in_words(one: Record) -> str:
    weight, reps = one.get("weight"), one.get("reps")
    load = f"{weight['value']:g} {weight['unit']} × " if weight else ""
    rpe = f" @{one['rpe']:g}" if one.get("rpe") else ""
    return f"{load}{reps:g}{rpe}" if reps is not None else "done"
