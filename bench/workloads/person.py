"""W8b: what one person waits for over REST: a search, five years of training added up, a log of another app brought in,
and a session in a browser and on two devices at once.

The devices are the Python SDK's, so that from written here to shown there is what an app has.
"""

from __future__ import annotations

import asyncio
import csv
import io
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.client import TIMEOUT_S, BenchError, Home, Server
from bench.people import SEARCHES, Person, known_exercises, new_person
from bench.workloads.measuring import Figures, Sizes, Target, quantile
from fitai_client import Client, Watch

# Of the same person, each behind another set.
_ANALYSES: Final = 10
_POLL_S: Final = 0.05
# As the largest real export that we know of: exercises a workout, sets an exercise.
_IMPORT_EXERCISES: Final = (
    "Bench Press (Barbell)", "Squat (Barbell)", "Deadlift (Barbell)", "Lat Pulldown (Cable)",
    "Seated Leg Curl (Machine)", "Lateral Raise (Dumbbell)", "Triceps Pushdown", "Bicep Curl (Dumbbell)",
    "Leg Extension (Machine)", "Face Pull",
)  # fmt: skip
_SETS_A_WORKOUT: Final = 21
_HEVY: Final = (
    "title", "start_time", "end_time", "description", "exercise_title", "superset_id", "exercise_notes", "set_index",
    "set_type", "weight_kg", "reps", "distance_km", "duration_seconds", "rpe",
)  # fmt: skip


async def person(target: Target, sizes: Sizes) -> Figures:
    """W8b."""
    server = target.server
    home = await server.home()
    exercises = await known_exercises(server, home)
    figures = await _searched(server, home, sizes.searches)
    target.tick(1)
    figures |= await _analysed(server, exercises, sizes.years_workouts)
    target.tick(1)
    file = hevy_file(sizes.import_sets) if target.import_file is None else target.import_file.read_bytes()
    figures |= await _imported(server, file)
    target.tick(1)
    figures |= await _live(server, exercises, sizes.live_sets)
    target.tick(1)
    return figures


def person_steps(_: Sizes) -> int:
    """The parts of W8b."""
    return 4


async def _searched(server: Server, home: Home, count: int) -> Figures:
    """Searches, one after another."""
    taken = []
    for number in range(count):
        text = SEARCHES[number % len(SEARCHES)].replace(" ", "+")
        begun = time.perf_counter()
        await server.rest("GET", f"/api/exercises/search?q={text}", home.token)
        taken.append(time.perf_counter() - begun)
    return {"search_p50_ms": quantile(taken, 0.50) * 1e3, "search_p95_ms": quantile(taken, 0.95) * 1e3}


async def _analysed(server: Server, exercises: Sequence[str], workouts: int) -> Figures:
    """A long history added up: for the first time, and again each time that a set has been added."""
    veteran = await new_person(server, exercises, workouts, random.Random(1))
    taken = []
    for _ in range(1 + _ANALYSES):
        begun = time.perf_counter()
        made = await server.rest("GET", "/api/users/me/analytics?timeframe=all", veteran.home.token)
        taken.append(time.perf_counter() - begun)
        if made["totals"]["workouts"] < workouts:
            raise BenchError(f"{server.name} adds up {made['totals']['workouts']} workouts of {workouts}.")
        await _add_set(server, veteran)
    return {"first_analysis_ms": taken[0] * 1e3, "analysis_ms": quantile(taken[1:], 0.50) * 1e3}


async def _add_set(server: Server, person: Person) -> str:
    body = {"workout_exercise": person.places[0], "reps": 8, "weight": {"value": 60, "unit": "kg"}}
    made = await server.rest("POST", f"/api/workouts/sessions/{person.session}/sets", person.home.token, body)
    id: str = made["id"]
    return id


async def _imported(server: Server, file: bytes) -> Figures:
    """Seconds from handing a file in, over looking at it and saying yes, to its last record."""
    home = await server.home()
    begun = time.perf_counter()
    path = "/api/import?preview=true&timezone=Europe/Berlin"
    taken = msgspec.json.decode(await server.request("POST", path, token=home.token, data=file, media="text/csv"))
    id = taken["data"]["id"]
    seen = await _at_rest(server, home, id, "ready")
    ready_s = time.perf_counter() - begun
    await server.rest("POST", f"/api/imports/{id}/confirm", home.token, {"timezone": "Europe/Berlin"})
    done = await _at_rest(server, home, id, "done")
    seconds = time.perf_counter() - begun
    return {
        "imported_sets": seen["summary"]["sets"],
        "imported_records": done["summary"]["written"],
        "import_preview_s": ready_s,
        "import_s": seconds,
    }


async def _at_rest(server: Server, home: Home, id: str, state: str) -> Any:
    async with _in_time("import a file"):
        while True:
            found = await server.rest("GET", f"/api/imports/{id}", home.token)
            if found["state"] == state:
                return found
            if found["state"] not in ("reading", "importing"):
                why = found["summary"].get("refused", "it does not say why.")
                raise BenchError(f"{server.name} says that an import is {found['state']}: {why}")
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def _in_time(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except TimeoutError:
        raise BenchError(f"The server does not {what} within {TIMEOUT_S:.0f} s.") from None


# Who saw it, which set, and when.
_Arrival = tuple[str, str, float]


async def _live(server: Server, exercises: Sequence[str], sets: int) -> Figures:
    """Seconds from logging a set, in a browser or on one of two devices, until each of the others shows it."""
    athlete = await new_person(server, exercises, 1, random.Random(2))
    arrivals: asyncio.Queue[_Arrival] = asyncio.Queue()
    taken: list[float] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fitai-bench-live-")))
        devices = {
            name: await stack.enter_async_context(_device(server, athlete.home, folder / f"{name}.db", name, arrivals))
            for name in ("phone", "tablet")
        }

        def received(ids: list[str]) -> None:
            now = time.perf_counter()
            for id in ids:
                arrivals.put_nowait(("browser", id, now))

        page = await server.device(athlete.home)
        await stack.enter_async_context(server.live_socket(athlete.home, page, received))
        everybody = ("browser", *devices)
        for number in range(sets):
            writer = everybody[number % len(everybody)]
            begun = time.perf_counter()
            if writer == "browser":
                id = await _add_set(server, athlete)
            else:
                place, position = athlete.places[number % 3], f"b{number:03}"
                made = await devices[writer].sets.create(workout_exercise=place, position=position, reps=5)
                id = made.id
            missing = set(everybody) - {writer}
            async with _in_time("show a set on every device"):
                while missing:
                    who, which, when = await arrivals.get()
                    if which == id and who in missing:
                        missing.discard(who)
                        taken.append(when - begun)
    return {"shown_p50_ms": quantile(taken, 0.50) * 1e3, "shown_p95_ms": quantile(taken, 0.95) * 1e3}


@asynccontextmanager
async def _device(
    server: Server, home: Home, file: Path, name: str, arrivals: asyncio.Queue[_Arrival]
) -> AsyncIterator[Client]:
    """A device that is signed in and live, and tells what it shows."""
    async with await Client.open(file, server=server.url) as device:
        await device.sign_in(home.email, home.password)
        async with _in_time("let a device be live"):
            await device.wait_live()

        async def look(watch: Watch) -> None:
            async for change in watch:
                if change.before is None:
                    arrivals.put_nowait((name, change.id, time.perf_counter()))

        async with device.sets.watch() as watch:
            looking = asyncio.create_task(look(watch))
            try:
                yield device
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)


def hevy_file(sets: int) -> bytes:
    """A log of so many sets as Hevy exports it."""
    made = io.StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(_HEVY)
    for number in range(sets):
        workout, place = divmod(number, _SETS_A_WORKOUT)
        day, month, year = workout % 28 + 1, workout // 28 % 12, 2022 + workout // 336
        start, end = (f"{day} {_MONTHS[month]} {year}, {hour}:48" for hour in ("07", "09"))
        exercise, index = _IMPORT_EXERCISES[(workout % 4 + place // 4) % len(_IMPORT_EXERCISES)], place % 4
        kind = "warmup" if index == 0 else "normal"
        load = 40 + workout % 60, 5 + place % 8, "", 0, 6 + place % 8 / 2
        writer.writerow((f"Day {workout % 4 + 1}", start, end, "", exercise, "", "", index, kind, *load))
    return made.getvalue().encode()


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
