"""People at a browser, as W8 has them: their training logs, and what they ask of a server over REST.

Owns: what a log of some months or years looks like, and the mix of requests. Refuses to know: when they are sent, and
what is measured.

Who trains has a session under way, in which they log sets and between which they look around; one in ten rests, and
begins and ends sessions.
"""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.client import Home, Server, Writer
from bench.load import EXERCISE, EXERCISES_A_TRAINING, FILL_BATCH, SETS_ANEXERCISE, Log, uuid7

# Of so many people one rests.
RESTING_EVERY: Final = 10
# A person trains some exercises again and again.
_REPERTOIRE: Final = 12
_SESSION_SETS: Final = 6
# So that the newest workout is some days old wherever the test runs.
_LAST_DAY_AGO: Final = 3

# As people type: beginnings, names of their own, and slips.
SEARCHES: Final = (
    "bench", "bench pr", "squat", "rdl", "ohp", "pull up", "pullup", "dumbell curl", "lat pulldwon", "deadlift",
    "hip thrust", "inclin", "row", "plank", "calf raise", "leg extention", "kettlebell swing", "bulgarian split squat",
    "face pull", "db press", "cable fly", "military press", "skullcrusher", "hamstring", "triceps pushdwn",
    "lunge", "dips", "curl",
)  # fmt: skip


@dataclass
class Person:
    """Somebody with a log. session: the workout under way, with its exercises and their sets; None of who rests."""

    home: Home
    exercises: Sequence[str]
    workouts: list[str] = field(default_factory=list)
    session: str | None = None
    places: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    # A session of theirs begins when the one before has ended.
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True)
class Request:
    """One request; `then` makes the one that follows from the data of its answer."""

    kind: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    then: Callable[[Any], Request] | None = None


@dataclass(frozen=True)
class Kind:
    """What is asked for. share: of a hundred requests. rests: by those who have no session under way."""

    share: float
    make: Callable[[Person, random.Random], Request]
    rests: bool = False


def _get(kind: str, path: Callable[[Person, random.Random], str]) -> Callable[[Person, random.Random], Request]:
    return lambda person, chance: Request(kind, "GET", path(person, chance))


def _add_set(person: Person, chance: random.Random) -> Request:
    body = {
        "workout_exercise": chance.choice(person.places),
        "reps": chance.randint(3, 12),
        "weight": {"value": chance.randint(20, 70) * 2.5, "unit": "kg"},
        "rpe": chance.randint(12, 20) / 2,
    }
    return Request("add a set", "POST", f"/api/workouts/sessions/{person.session}/sets", body)


def _change_set(person: Person, chance: random.Random) -> Request:
    path = f"/api/workouts/sessions/{person.session}/sets/{chance.choice(person.sets)}"
    return Request("change a set", "PATCH", path, {"reps": chance.randint(3, 12)})


def _timer(person: Person, chance: random.Random) -> Request:
    body = {"action": "start", "duration_s": chance.choice((60, 90, 120, 180))}
    return Request("rest timer", "POST", f"/api/workouts/sessions/{person.session}/timer", body)


def _start(person: Person, chance: random.Random) -> Request:
    def complete(made: Any) -> Request:
        return Request("complete a session", "POST", f"/api/workouts/sessions/{made['id']}/complete", {"notes": "Good"})

    body = {"title": "Legs", "timezone": "Europe/Berlin"}
    return Request("start a session", "POST", "/api/workouts/sessions/start", body, complete)


def _log_workout(person: Person, chance: random.Random) -> Request:
    sets = [{"reps": chance.randint(3, 12), "weight": {"value": 60, "unit": "kg"}, "rpe": 8} for _ in range(4)]
    exercises = [{"exercise": each, "sets": sets} for each in chance.sample(list(person.exercises), k=3)]
    body = {"title": "Push", "timezone": "Europe/Berlin", "exercises": exercises}
    return Request("log a workout", "POST", "/api/workouts", body)


_FRAMES: Final = ("7d", "30d", "30d", "90d", "1y", "all")
# A quarter are writes. `complete a session` comes with each start.
KINDS: Final[Mapping[str, Kind]] = {
    "active session": Kind(15, _get("active session", lambda p, c: "/api/workouts/sessions/active")),
    "session": Kind(9, _get("session", lambda p, c: f"/api/workouts/sessions/{p.session}")),
    "add a set": Kind(15, _add_set),
    "change a set": Kind(4, _change_set),
    "rest timer": Kind(3, _timer),
    "start a session": Kind(1, _start, rests=True),
    "log a workout": Kind(1, _log_workout),
    "workouts": Kind(11, _get("workouts", lambda p, c: "/api/workouts")),
    "workout": Kind(9, _get("workout", lambda p, c: f"/api/workouts/{c.choice(p.workouts)}")),
    "search": Kind(11, _get("search", lambda p, c: f"/api/exercises/search?q={c.choice(SEARCHES).replace(' ', '+')}")),
    "exercise": Kind(2, _get("exercise", lambda p, c: f"/api/exercises/{c.choice(p.exercises)}")),
    "records": Kind(4, _get("records", lambda p, c: "/api/records")),
    "exercise history": Kind(
        3, _get("exercise history", lambda p, c: f"/api/exercises/{c.choice(p.exercises)}/history")
    ),
    "analytics": Kind(5, _get("analytics", lambda p, c: f"/api/users/me/analytics?timeframe={c.choice(_FRAMES)}")),
    "profile": Kind(4, _get("profile", lambda p, c: "/api/users/me")),
    "preferences": Kind(2, _get("preferences", lambda p, c: "/api/users/preferences")),
}  # fmt: skip


async def known_exercises(server: Server, home: Home) -> list[str]:
    """Exercises of the catalog, some of which each person trains."""
    found = await server.rest("GET", "/api/exercises?limit=100", home.token)
    # The bare limit has no catalog; to it any exercise is as good.
    return [each["id"] for each in found["exercises"]] if isinstance(found, dict) else [EXERCISE] * _REPERTOIRE


async def new_person(
    server: Server, exercises: Sequence[str], workouts: int, chance: random.Random, *, trains: bool = True
) -> Person:
    """Register somebody who has trained so often, and trains now where `trains` says so."""
    home = await server.home()
    log = Log(await server.device(home))
    writer = Writer(server, home, log)
    person = Person(home, chance.sample(list(exercises), k=_REPERTOIRE))
    today = datetime.datetime.now(datetime.UTC).replace(hour=17, minute=0, second=0, microsecond=0)
    days = [today - datetime.timedelta(days=_LAST_DAY_AGO + 2 * ago) for ago in reversed(range(workouts))]
    made = list(_EUROPEAN)
    for number, day in enumerate(days):
        made += _workout(person, number, day, chance)
    if trains:
        made += _session(person)
    for begin in range(0, len(made), FILL_BATCH):
        await writer.push(log.puts(made[begin : begin + FILL_BATCH]), log.n)
    return person


_Put = tuple[str, str, dict[str, Any]]
_EUROPEAN: Final[Sequence[_Put]] = (
    ("preferences", "00000000-0000-0000-0000-000000000000", {"timezone": "Europe/Berlin"}),
)


def _workout(person: Person, number: int, day: datetime.datetime, chance: random.Random) -> list[_Put]:
    """A past workout: each exercise a little heavier than half a year ago, so that there are records."""
    workout = uuid7()
    person.workouts.append(workout)
    fields = {
        "title": ("Push", "Pull", "Legs")[number % 3],
        "status": "completed",
        "started_at": _wire(day),
        "ended_at": _wire(day + datetime.timedelta(minutes=65)),
        "timezone": "Europe/Berlin",
        "local_date": day.date().isoformat(),
    }
    made: list[_Put] = [("workouts", workout, fields)]
    for place in range(EXERCISES_A_TRAINING):
        exercise = person.exercises[(number * EXERCISES_A_TRAINING + place) % _REPERTOIRE]
        made += _exercise(workout, exercise, place, day, 40 + 2.5 * (number // 12 % 30), chance)
    return made


def _exercise(
    workout: str, exercise: str, place: int, day: datetime.datetime, weight: float, chance: random.Random
) -> list[_Put]:
    id = uuid7()
    fields = {"workout": workout, "exercise": exercise, "position": f"a{place}", "rest_s": 120}
    made: list[_Put] = [("workout_exercises", id, fields)]
    for number in range(SETS_ANEXERCISE):
        done = day + datetime.timedelta(minutes=place * 12 + number * 3)
        made.append(("sets", uuid7(), _set(id, number, weight, chance.randint(4, 10), done)))
    return made


def _set(place: str, number: int, weight: float, reps: int, done: datetime.datetime) -> dict[str, Any]:
    return {
        "workout_exercise": place,
        "position": f"a{number}",
        "kind": "normal",
        "reps": reps,
        "weight": {"value": weight, "unit": "kg"},
        "load_mode": "external",
        "rpe": 7 + number * 0.5,
        "completed_at": _wire(done),
    }


def _session(person: Person) -> list[_Put]:
    """A workout that is under way."""
    person.session = uuid7()
    now = datetime.datetime.now(datetime.UTC)
    fields = {"title": "Push", "status": "active", "started_at": _wire(now), "timezone": "Europe/Berlin"}
    made: list[_Put] = [("workouts", person.session, fields | {"local_date": now.date().isoformat()})]
    for place, exercise in enumerate(person.exercises[:3]):
        person.places.append(uuid7())
        fields = {"workout": person.session, "exercise": exercise, "position": f"a{place}"}
        made.append(("workout_exercises", person.places[-1], fields))
    for number in range(_SESSION_SETS):
        person.sets.append(uuid7())
        made.append(("sets", person.sets[-1], _set(person.places[number % 3], number // 3, 60, 8, now)))
    return made


def _wire(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
