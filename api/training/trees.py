"""A workout with its exercises and their sets: how a whole one comes in, and how it goes out.

Owns: the nested shapes, the edits that make a whole workout, and the order of what is below it.
Refuses to know: addresses, and when a workout is made, changed or over (workouts.py, sessions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.training import odd
from api.training.answers import Warning, cut
from api.training.odd import Fault
from api.training.shapes import creating, showing, values_of
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import NotFound, TooLargeToShow
from sync.positions import position_after, position_at
from sync.records import Edit, Records, Tree, View, check_version

# More than anybody does in a day; the body's limit of bytes ends a request before.
EXERCISES_MAX: Final = 200
SETS_MAX: Final = 200
PREFERENCES: Final = ("preferences", "00000000-0000-0000-0000-000000000000")

# What somebody did, as against what they planned.
_RESULTS: Final = ("reps", "duration_s", "distance")

NewId = Callable[[str], str]

NewSet = creating("NewSet", "sets", without=("workout_exercise",))
NewWorkoutExercise = creating(
    "NewWorkoutExercise",
    "workout_exercises",
    required=("exercise",),
    without=("workout",),
    more=[("sets", Annotated[list[NewSet], Meta(max_length=SETS_MAX)], msgspec.field(default_factory=list))],  # type: ignore[valid-type]
)
NewWorkout = creating(
    "NewWorkout",
    "workouts",
    more=[
        (
            "exercises",
            Annotated[list[NewWorkoutExercise], Meta(max_length=EXERCISES_MAX)],  # type: ignore[valid-type]
            msgspec.field(default_factory=list),
        )
    ],
    check=odd.contradictions_of_workout,
)

_WARNINGS: Final = ("warnings", list[Warning] | UnsetType, UNSET)
Set = showing("Set", "sets", more=[_WARNINGS])
Participant = showing("Participant", "participants")
WorkoutExercise = showing(
    "WorkoutExercise",
    "workout_exercises",
    more=[("sets", list[Set] | UnsetType, UNSET), _WARNINGS],  # type: ignore[valid-type]
)
Workout = showing(
    "Workout",
    "workouts",
    more=[
        ("exercises", list[WorkoutExercise] | UnsetType, UNSET),  # type: ignore[valid-type]
        ("participants", list[Participant] | UnsetType, UNSET),  # type: ignore[valid-type]
        _WARNINGS,
    ],
)


def shown(tree: Tree) -> dict[str, Any]:
    """A workout with its exercises, each with its sets, in their order; `participants` where there are any.

    One that is not whole comes without them, and says so."""
    if not tree.is_whole:
        return cut(tree.root)
    exercises = [
        each.plain() | {"sets": [one.plain() for one in tree.children(each, "sets")]}
        for each in tree.children(tree.root, "workout_exercises")
    ]
    data = tree.root.plain() | {"exercises": exercises}
    if people := tree.children(tree.root, "participants"):
        data["participants"] = [each.plain() for each in people]
    return data


def now_of(environment: Environment) -> datetime:
    """The server's time."""
    return datetime.fromtimestamp(environment.now_ms() / 1_000, UTC)


async def expect(view: View, id: str, versions: frozenset[str] | None) -> None:
    """Raises NotFound where there is no such workout, PreconditionFailed where neither it nor the whole of it is of
    one of these versions."""
    root = await view.get("workouts", id)
    if versions is not None and root.version not in versions:
        check_version(versions, await view.version_below(root))


async def written(records: Records, caller: Caller, space: str, id: str) -> Tree:
    """A workout that was just written, whole where it can be shown whole. Raises NotFound."""
    try:
        return await records.tree(caller, space, "workouts", id)
    except TooLargeToShow:
        return Tree(await records.get(caller, space, "workouts", id), [], is_whole=False)


# -- making ----------------------------------------------------------------------------------------------------------


def new_exercise(
    workout: str, body: Any, new_id: NewId, *, label: str, position: str, done_at: str | None, at: str = ""
) -> Iterator[tuple[Edit, list[Fault]]]:
    """The edits that make an exercise of a workout with its sets, each with what is odd about it.

    label: names the exercise within the request, for ids that come out the same when it is sent again.
    position: where the request says none.
    done_at: when a set was done that has a result, and says nothing of when; None where none is done yet.
    at: where the exercise stands in the request ("exercises[0].").
    """
    id = new_id(label)
    values = {"position": position, **values_of(body, "workout_exercises"), "workout": workout}
    yield Edit("create", "workout_exercises", id, values, at), []
    # What follows a set as drop sets goes with it.
    dropped_from: str | None = None
    place = ""
    for index, each in enumerate(body.sets):
        given = {"completed_at": done_at} if done_at is not None and _was_done(each) else {}
        one = new_id(f"{label} set {index}")
        made = new_set(id, each, one, place, dropped_from, f"{at}sets[{index}].", given=given)
        place = str(made[0].values["position"])
        if made[0].values.get("kind") != "drop":
            dropped_from = made[0].id
        yield made


def _was_done(body: Any) -> bool:
    return body.completed_at is UNSET and any(getattr(body, name) not in (UNSET, None) for name in _RESULTS)


def new_set(
    exercise: str,
    body: Any,
    id: str,
    last: str,
    dropped_from: str | None,
    at: str = "",
    *,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[Edit, list[Fault]]:
    """The edit that makes a set behind the position `last`, with what is odd about it.

    dropped_from: the set that a drop set belongs to, where the request names none.
    given: what it has where the request says nothing.
    """
    values = {"position": position_after(last), **given, **values_of(body, "sets"), "workout_exercise": exercise}
    if values.get("kind") == "drop" and dropped_from is not None:
        values.setdefault("drop_of", dropped_from)
    return Edit("create", "sets", id, values, at), list(odd.of_set(values, at))


def whole_workout(
    id: str, values: Mapping[str, Any], body: Any, new_id: NewId, now: datetime
) -> tuple[list[Edit], list[Fault]]:
    """The edits that make a workout with everything below it, and what is odd about them."""
    odd.check_workout(values)
    is_over = values.get("status") == "completed"
    done_at = values.get("ended_at") or values.get("started_at") if is_over else None
    edits, warnings = [Edit("create", "workouts", id, values)], list(odd.of_workout(values, now))
    for index, each in enumerate(body.exercises):
        where = f"exercises[{index}]."
        for edit, found in new_exercise(
            id, each, new_id, label=f"exercise {index}", position=position_at(index), done_at=done_at, at=where
        ):
            edits.append(edit)
            warnings += found
    return edits, warnings


async def zone_elsewhere(records: Records, caller: Caller, space: str | None) -> str | None:
    """The time zone of a person's preferences, for a workout in a shared space, which has none of its own."""
    if space is None:
        return None
    try:
        preferences = await records.get(caller, await records.space_of(caller), *PREFERENCES)
    except NotFound:
        return None
    zone = preferences.values.get("timezone")
    return zone if isinstance(zone, str) else None


async def dated(view: View, values: dict[str, Any], zone: str | None = None) -> dict[str, Any]:
    """A workout's values with its time zone and its day, where they follow: from the time zone that it is given, or
    else from `zone`, or from the preferences that stand in the same space."""
    if values.get("timezone") is None:
        preferences = await view.find(*PREFERENCES)
        zone = zone if preferences is None else preferences.values.get("timezone")
        if zone is not None:
            values = {**values, "timezone": zone}
    begun = odd.parsed(values.get("started_at"))
    if begun is not None and values.get("local_date") is None:
        # The first and the last day of the calendar have no other zone's day.
        with suppress(OverflowError):
            values = {**values, "local_date": begun.astimezone(_zone(values.get("timezone"))).date().isoformat()}
    return values


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(str(name or "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # refused by name when it is written
        return ZoneInfo("UTC")
