"""The addresses of live sessions: decode, one call, encode.

Owns: addresses, bodies, answers. Refuses to know: what a session is (live.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from api.rest.endpoint import Call, Empty, Endpoint, Fault, Reply, Shown, Strict
from api.training.answers import EDIT_ERRORS, WRITE_ERRORS, Deleted, InSpace, Warning, fault
from api.training.live import SessionActive, SessionOver, Sessions
from api.training.shapes import A_UUID, UUID_PATTERN, creating, patching, showing
from api.training.trees import NewWorkoutExercise, Set, Workout, WorkoutExercise
from sync.errors import TooLargeToShow
from sync.records import Records

TAG: Final = "Live sessions"
_UUID = Annotated[str, Meta(max_length=36)]


def _objections_to_start(given: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("week", "day"):
        if given.get("template_id") is None and given.get(name) is not None:
            yield fault("template_id", "required", f"{name} is of a program: name its template_id too")
            return


def _objections_to_set(given: Mapping[str, Any]) -> Iterator[Fault]:
    if given.get("workout_exercise") is None and given.get("exercise") is None:
        yield fault("workout_exercise", "required", "say of what the set is: workout_exercise, or exercise")


StartSession = creating(
    "StartSession",
    "workouts",
    without=("status", "ended_at", "pauses", "template", "rest_timer", "current_exercise"),
    more=[
        ("template_id", _UUID | None, None),
        ("week", Annotated[int, Meta(ge=1, le=520, description="Of the template's program.")] | None, None),
        ("day", Annotated[int, Meta(ge=1, le=366)] | None, None),
    ],
    check=_objections_to_start,
)
LiveSet = creating(
    "LiveSet",
    "sets",
    without=("workout_exercise",),
    more=[
        (
            "workout_exercise",
            Annotated[str, Meta(max_length=36, description="The session's exercise that it is of.")] | None,
            None,
        ),
        (
            "exercise",
            Annotated[
                str,
                Meta(max_length=36, description="Instead: of the session's last one of this exercise, or a new one."),
            ]
            | None,
            None,
        ),
    ],
    check=_objections_to_set,
)
SetPatch = patching("SetPatch", "sets")
WorkoutExercisePatch = patching("WorkoutExercisePatch", "workout_exercises")


class Timer(Strict):
    """A rest timer, which every device shows by the server's clock."""

    action: Literal["start", "stop"]
    duration_s: Annotated[float, Meta(gt=0, le=604_800)] | None = None
    set: Annotated[str, Meta(pattern=UUID_PATTERN, description="The set that it follows.", extra=A_UUID)] | None = None

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterator[Fault]:
        if given.get("action") == "start" and given.get("duration_s") is None:
            yield fault("duration_s", "required", "a timer that starts has a duration_s")


class OfProgram(Shown):
    """The day of a program that a session was started for; null where the program tells none apart."""

    week: int | None
    day: int | None


StartedSession = showing(
    "StartedSession",
    "workouts",
    more=[
        ("exercises", list[WorkoutExercise] | UnsetType, UNSET),  # type: ignore[valid-type]
        ("program", OfProgram | UnsetType, UNSET),
        ("warnings", list[Warning] | UnsetType, UNSET),
    ],
)
Complete = creating(
    "Complete",
    "workouts",
    without=(
        "status", "started_at", "timezone", "local_date", "template", "rest_timer", "current_exercise", "pauses",
        "source",
    ),
)  # fmt: skip


def endpoints(records: Records) -> Sequence[Endpoint]:
    """Return the endpoints of live sessions."""
    sessions = Sessions(records)

    async def start_session(call: Call[Any, InSpace]) -> Reply:
        return await sessions.start(call)

    async def active_sessions(call: Call[Empty, InSpace]) -> list[dict[str, Any]]:
        return await sessions.active(call)

    async def get_session(call: Call[Empty, InSpace]) -> Reply:
        return await sessions.read(call)

    async def add_set(call: Call[Any, InSpace]) -> Reply:
        return await sessions.add_set(call)

    async def change_set(call: Call[Any, InSpace]) -> Reply:
        return await sessions.change(call, ("sets", call.path["set"]))

    async def delete_set(call: Call[Empty, InSpace]) -> Deleted:
        return await sessions.delete(call, ("sets", call.path["set"]))

    async def add_exercise(call: Call[Any, InSpace]) -> Reply:
        return await sessions.add_exercise(call)

    async def change_exercise(call: Call[Any, InSpace]) -> Reply:
        return await sessions.change(call, ("workout_exercises", call.path["workout_exercise"]))

    async def delete_exercise(call: Call[Empty, InSpace]) -> Deleted:
        return await sessions.delete(call, ("workout_exercises", call.path["workout_exercise"]))

    async def set_timer(call: Call[Timer, InSpace]) -> Reply:
        return await sessions.timer(call)

    async def complete_session(call: Call[Any, InSpace]) -> Reply:
        return await sessions.end(call, "completed")

    async def discard_session(call: Call[Empty, InSpace]) -> Reply:
        return await sessions.end(call, "discarded")

    session = "/api/workouts/sessions/{workout}"
    one_set = f"{session}/sets/{{set}}"
    exercise = f"{session}/exercises/{{workout_exercise}}"

    def endpoint(method: str, path: str, handler: Any, summary: str, answer: Any = Workout, **more: Any) -> Endpoint:
        return Endpoint(method, path, handler, summary, TAG, answer=answer, query=InSpace, **more)

    return [
        endpoint(
            "POST",
            "/api/workouts/sessions/start",
            start_session,
            "Start a session",
            StartedSession,
            body=StartSession,
            status=201,
            errors=(*WRITE_ERRORS, SessionActive),
            example={"title": "Legs", "timezone": "Europe/Berlin"},
            description="From a template its exercises and sets are planned, with the targets of last time moved by "
            "the rules of progression of each set. Of a program, those of the week and day that are asked for, or of "
            "the day that follows the one that was completed last.",
        ),
        endpoint(
            "GET",
            "/api/workouts/sessions/active",
            active_sessions,
            "The sessions under way",
            answer=list[Workout],  # type: ignore[valid-type]
            description="Newest first. Devices that started one each without a network have made several: all stay. "
            "What began two weeks ago or longer was forgotten, and is in the history alone.",
        ),
        endpoint("GET", session, get_session, "One session, whole", etag=True, errors=(TooLargeToShow,)),
        endpoint(
            "POST",
            f"{session}/sets",
            add_set,
            "Add a set",
            Set,
            body=LiveSet,
            status=201,
            errors=WRITE_ERRORS,
            example={"exercise": "8106380d-5122-5600-b7e4-f73c25bdffc7", "reps": 8},
            description="It is done now, where `completed_at` is left out; with null it is planned.",
        ),
        endpoint("PATCH", one_set, change_set, "Change a set", Set, body=SetPatch, errors=EDIT_ERRORS),
        endpoint("DELETE", one_set, delete_set, "Delete a set", Deleted, errors=EDIT_ERRORS),
        endpoint(
            "POST",
            f"{session}/exercises",
            add_exercise,
            "Add an exercise",
            WorkoutExercise,
            body=NewWorkoutExercise,
            status=201,
            errors=WRITE_ERRORS,
        ),
        endpoint(
            "PATCH",
            exercise,
            change_exercise,
            "Change an exercise of a session",
            WorkoutExercise,
            body=WorkoutExercisePatch,
            errors=EDIT_ERRORS,
        ),
        endpoint("DELETE", exercise, delete_exercise, "Delete an exercise with its sets", Deleted, errors=EDIT_ERRORS),
        endpoint(
            "POST",
            f"{session}/timer",
            set_timer,
            "Start or stop the rest timer",
            body=Timer,
            errors=(*WRITE_ERRORS, SessionOver),
            example={"action": "start", "duration_s": 90},
            description="In a shared space, that of the caller's own participant, where they have one.",
        ),
        endpoint(
            "POST",
            f"{session}/complete",
            complete_session,
            "Complete a session",
            body=Complete,
            errors=(*EDIT_ERRORS, SessionOver),
        ),
        endpoint(
            "POST",
            f"{session}/discard",
            discard_session,
            "Discard a session",
            errors=(*EDIT_ERRORS, SessionOver),
            description="It stays in the history as discarded; delete it to have it gone.",
        ),
    ]
