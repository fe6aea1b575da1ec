"""The history of workouts: listing it, reading one, logging a whole one at once, correcting and deleting it.

Owns: addresses and answers. Refuses to know: how a workout is put together (trees.py), and sessions that are under
way (sessions.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from msgspec import Meta

from api.rest.endpoint import Call, Empty, Endpoint, Pagination, Reply
from api.training import known_exercises, listing, odd, pauses
from api.training.answers import (
    EDIT_ERRORS,
    READ_MAY_COME_BACK,
    WRITE_ERRORS,
    Deleted,
    InSpace,
    etag,
    expected,
    with_warnings,
)
from api.training.shapes import patching, values_of, wire_time
from api.training.trees import (
    PREFERENCES,
    NewWorkout,
    Workout,
    dated,
    expect,
    now_of,
    shown,
    whole_workout,
    written,
    zone_elsewhere,
)
from conflict.clock import rfc3339
from sync.errors import TooLargeToShow
from sync.records import Edit, Records, View

TAG: Final = "Workouts"
_EXAMPLE: Final = {
    "title": "Push",
    "started_at": "2026-11-23T10:00:00Z",
    "ended_at": "2026-11-23T11:05:00Z",
    "timezone": "Europe/Berlin",
    "exercises": [
        {
            "exercise": "ae2c29e2-88dc-5389-9792-492a5dc0cf78",
            "sets": [{"reps": 8, "weight": {"value": 80, "unit": "kg"}, "rpe": 8.5}],
        }
    ],
}

WorkoutPatch = patching("WorkoutPatch", "workouts", check=odd.contradictions_of_workout)


ListWorkouts = listing.query(
    "ListWorkouts",
    "workouts",
    "status",
    more=[("nested", Annotated[bool, Meta(description="Also their exercises and sets.")], False)],
)


def endpoints(records: Records) -> Sequence[Endpoint]:
    """Return the endpoints of past workouts."""

    async def list_workouts(call: Call[Empty, Any]) -> Reply:
        query = call.query
        space = await records.space_of(call.caller, query.space)
        async with records.database.read() as tx:
            view = await records.view(tx, call.caller, space)
            found, cursor = await listing.page(view, "workouts", query, ("status",))
            trees = await view.trees(found) if query.nested else []
        if query.nested and len(trees) < len(found):
            cursor = listing.behind(trees[-1].root, "workouts")
        data = [shown(tree) for tree in trees] if query.nested else [each.plain() for each in found]
        return Reply(data, pagination=Pagination(limit=query.limit, cursor=cursor))

    async def get_workout(call: Call[Empty, InSpace]) -> Reply:
        space = await records.space_of(call.caller, call.query.space)
        tree = await records.tree(call.caller, space, "workouts", call.path["workout"])
        return Reply(shown(tree), etag=etag(tree.version))

    async def log_workout(call: Call[Any, InSpace]) -> Reply:
        space = await records.space_of(call.caller, call.query.space)
        id, now = call.new_id("workout"), now_of(call.environment)
        zone = await zone_elsewhere(records, call.caller, call.query.space)
        warnings: list[odd.Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            given = {"status": "completed", "started_at": rfc3339(call.environment.now_ms())}
            values = await dated(view, {**given, **values_of(call.body, "workouts")}, zone)
            edits, warnings[:] = whole_workout(id, values, call.body, call.new_id, now)
            warnings.extend(await known_exercises.warnings(view, personal, edits))
            return edits

        personal = await records.space_of(call.caller)
        keys = [
            ("workouts", id),
            PREFERENCES,
            *known_exercises.looked_for(each.exercise for each in call.body.exercises),
        ]
        await records.decide(call.caller, space, keys, decide)
        tree = await written(records, call.caller, space, id)
        location = {"Location": f"/api/workouts/{id}"}
        return Reply(with_warnings(shown(tree), warnings), etag=etag(tree.version), headers=location)

    async def change_workout(call: Call[Any, InSpace]) -> Reply:
        space, id = await records.space_of(call.caller, call.query.space), call.path["workout"]
        warnings: list[odd.Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            await expect(view, id, expected(call))
            standing = await view.get("workouts", id)
            values = values_of(call.body, "workouts")
            after = {**standing.values, **values}
            if values.keys() & {"started_at", "ended_at"}:
                odd.check_workout(after)
            if values.keys() & {"started_at", "timezone"} and "local_date" not in values:
                day = (await dated(view, {**after, "local_date": None})).get("local_date")
                values["local_date"] = day
            now = now_of(call.environment)
            beside, left_out = pauses.noted(standing.values, values, wire_time(now))
            warnings[:] = [*odd.of_workout({**after, **beside}, now), *left_out] if values else []
            return [Edit("patch", "workouts", id, {**values, **beside})]

        await records.decide(call.caller, space, [("workouts", id), PREFERENCES], decide)
        tree = await written(records, call.caller, space, id)
        return Reply(with_warnings(shown(tree), warnings), etag=etag(tree.version))

    async def delete_workout(call: Call[Empty, InSpace]) -> Deleted:
        space, id = await records.space_of(call.caller, call.query.space), call.path["workout"]

        async def decide(view: View) -> Sequence[Edit]:
            await expect(view, id, expected(call))
            return [Edit("delete", "workouts", id)]

        await records.decide(call.caller, space, [("workouts", id)], decide)
        return Deleted(id=id)

    one = "/api/workouts/{workout}"
    return [
        Endpoint(
            "GET",
            "/api/workouts",
            list_workouts,
            "List workouts, newest first",
            TAG,
            query=ListWorkouts,
            answer=list[Workout],  # type: ignore[valid-type]
            paged=True,
            description="By their start; those without one come last. A page of whole ones ends earlier where it has "
            "5,000 records.",
        ),
        Endpoint(
            "POST",
            "/api/workouts",
            log_workout,
            "Log a whole workout",
            TAG,
            body=NewWorkout,
            query=InSpace,
            answer=Workout,
            status=201,
            errors=WRITE_ERRORS,
            example=_EXAMPLE,
            description="With its exercises and their sets, in their order. Without a status it is completed, without "
            "a start it began now; a drop set goes with the set before it.",
        ),
        Endpoint(
            "GET",
            one,
            get_workout,
            "One workout, whole",
            TAG,
            query=InSpace,
            answer=Workout,
            etag=True,
            errors=(TooLargeToShow,),
        ),
        Endpoint(
            "PATCH",
            one,
            change_workout,
            "Change a workout's own fields",
            TAG,
            body=WorkoutPatch,
            query=InSpace,
            answer=Workout,
            errors=(*EDIT_ERRORS, TooLargeToShow),
            description=f"If-Match takes the ETag of the whole workout, or its own `version`. {READ_MAY_COME_BACK}",
        ),
        Endpoint(
            "DELETE",
            one,
            delete_workout,
            "Delete a workout",
            TAG,
            query=InSpace,
            answer=Deleted,
            errors=EDIT_ERRORS,
            description="With everything in it. An edit of it that a device made meanwhile, unseen, brings it back.",
        ),
    ]
