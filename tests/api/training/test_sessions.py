"""Live sessions over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from api.training.pauses import PAUSES_MAX
from tests.api.harness import Server
from tests.api.training.conftest import Person, person
from tests.api.training.test_statements import settled

pytestmark = pytest.mark.asyncio(loop_scope="module")

SQUAT = "8106380d-5122-5600-b7e4-f73c25bdffc7"
BENCH = "ae2c29e2-88dc-5389-9792-492a5dc0cf78"
NOBODY = "0193575e-3a40-7000-8000-00000000ffff"


def kg(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "kg"}


async def session(who: Person, **body: Any) -> tuple[str, Any]:
    """A session's path, and the session."""
    made = await who.made("/workouts/sessions/start", {"title": "Legs", **body})
    return f"/workouts/sessions/{made['id']}", made


async def test_a_session_is_active_from_now_on(ann: Person) -> None:
    path, made = await session(ann)
    assert (made["status"], made["title"], made["exercises"]) == ("active", "Legs", [])
    assert made["started_at"] and made["local_date"]
    assert (await ann.ask("GET", path)).data == made
    assert (await ann.ask("GET", "/workouts/sessions/active")).data == [made]


async def test_a_second_start_is_told_of_the_first(ann: Person) -> None:
    path, made = await session(ann)
    refused = await ann.ask("POST", "/workouts/sessions/start", {})
    assert (refused.status, refused.code) == (409, "session_active")
    assert refused.json["details"] == {"session": made["id"]}
    await ann.ask("POST", f"{path}/complete", {})
    assert (await session(ann))[1]["id"] != made["id"]


async def test_a_start_that_is_sent_again_starts_once(ann: Person) -> None:
    key = str(uuid.uuid4())
    first, second = [
        await ann.ask("POST", "/workouts/sessions/start", {"title": "A"}, Idempotency_Key=key) for _ in range(2)
    ]
    assert first.text == second.text


async def test_a_session_that_was_forgotten_holds_up_no_other(ann: Person) -> None:
    await session(ann, started_at="2020-01-01T10:00:00Z")
    assert (await ann.ask("GET", "/workouts/sessions/active")).data == []
    await session(ann)


async def test_sets_are_added_to_an_exercise_in_their_order(ann: Person) -> None:
    path, _ = await session(ann)
    first = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 8, "weight": kg(60), "kind": "warmup"})
    second = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 5, "weight": kg(100), "rpe": 8})
    drop = await ann.made(f"{path}/sets", {"workout_exercise": first["workout_exercise"], "reps": 9, "kind": "drop"})
    await ann.made(f"{path}/sets", {"exercise": BENCH, "reps": 5, "completed_at": None})

    squat, bench = (await ann.ask("GET", path)).data["exercises"]
    assert [each["id"] for each in squat["sets"]] == [first["id"], second["id"], drop["id"]]
    assert (squat["exercise"], bench["exercise"]) == (SQUAT, BENCH)
    assert drop["drop_of"] == second["id"]
    assert first["completed_at"] is not None
    assert bench["sets"][0]["completed_at"] is None


async def test_a_set_says_of_what_it_is(ann: Person) -> None:
    path, _ = await session(ann)
    assert await ann.refused("POST", f"{path}/sets", {"reps": 5}) == {("workout_exercise", "required")}
    other = await ann.made("/workouts", {"exercises": [{"exercise": SQUAT}]})
    foreign = other["exercises"][0]["id"]
    for wrong in (foreign, NOBODY):
        refused = await ann.refused("POST", f"{path}/sets", {"workout_exercise": wrong})
        assert refused == {("workout_exercise", "unknown_value")}


async def test_a_set_that_is_sent_again_is_added_once(ann: Person) -> None:
    path, _ = await session(ann)
    key = str(uuid.uuid4())
    for _ in range(2):
        await ann.ask("POST", f"{path}/sets", {"exercise": SQUAT, "reps": 5}, Idempotency_Key=key)
    (squat,) = (await ann.ask("GET", path)).data["exercises"]
    assert len(squat["sets"]) == 1


async def test_a_set_is_corrected_by_its_own_version(ann: Person) -> None:
    path, _ = await session(ann)
    made = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 5})
    changed = await ann.ask("PATCH", f"{path}/sets/{made['id']}", {"reps": 6}, If_Match=f'"{made["version"]}"')
    assert (changed.status, changed.data["reps"]) == (200, 6)
    assert changed.headers["ETag"] == f'"{changed.data["version"]}"'
    stale = await ann.ask("PATCH", f"{path}/sets/{made['id']}", {"reps": 7}, If_Match=f'"{made["version"]}"')
    assert (stale.status, stale.code) == (412, "precondition_failed")
    assert await ann.refused("PATCH", f"{path}/sets/{made['id']}", {"reps": None, "kind": None, "rpe": 11}) == {
        ("kind", "wrong_type"),
        ("rpe", "out_of_range"),
    }


async def test_a_set_is_found_below_its_own_session_alone(ann: Person) -> None:
    path, _ = await session(ann)
    made = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 5})
    other = await ann.made("/workouts", {"title": "other"})
    for method, body in (("PATCH", {"reps": 9}), ("DELETE", None)):
        assert (await ann.ask(method, f"/workouts/sessions/{other['id']}/sets/{made['id']}", body)).status == 404
    assert (await ann.ask("DELETE", f"{path}/sets/{made['id']}")).data == {"id": made["id"]}
    assert (await ann.ask("GET", path)).data["exercises"][0]["sets"] == []


async def test_an_exercise_is_added_with_its_sets_changed_and_deleted(ann: Person) -> None:
    path, _ = await session(ann)
    await ann.made(f"{path}/exercises", {"exercise": SQUAT})
    body = {"exercise": BENCH, "notes": "wide", "sets": [{"target_reps_min": 5}, {"target_reps_min": 5}]}
    made = await ann.made(f"{path}/exercises", body)
    assert [each["exercise"] for each in (await ann.ask("GET", path)).data["exercises"]] == [SQUAT, BENCH]
    assert ([each.get("completed_at") for each in made["sets"]], made["notes"]) == ([None, None], "wide")
    one = f"{path}/exercises/{made['id']}"
    assert (await ann.ask("PATCH", one, {"superset": "A", "notes": "narrow"})).data["notes"] == "narrow"
    assert (await ann.ask("DELETE", one)).status == 200
    assert [each["exercise"] for each in (await ann.ask("GET", path)).data["exercises"]] == [SQUAT]


async def test_a_rest_timer_starts_at_the_servers_time_and_stops(ann: Person) -> None:
    path, _ = await session(ann)
    made = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 5})
    started = await ann.ask("POST", f"{path}/timer", {"action": "start", "duration_s": 90, "set": made["id"]})
    timer = started.data["rest_timer"]
    assert (timer["duration_s"], timer["set"]) == (90, made["id"])
    assert made["completed_at"] <= timer["started_at"] <= started.json["meta"]["timestamp"]
    assert (await ann.ask("POST", f"{path}/timer", {"action": "stop"})).data["rest_timer"] is None
    assert await ann.refused("POST", f"{path}/timer", {"action": "start"}) == {("duration_s", "required")}


async def test_a_session_is_completed_once(ann: Person) -> None:
    path, _ = await session(ann)
    await ann.ask("POST", f"{path}/timer", {"action": "start", "duration_s": 90})
    ended = (await ann.ask("POST", f"{path}/complete", {"rating": 5, "notes": "good"})).data
    assert (ended["status"], ended["rating"], ended["notes"], ended["rest_timer"]) == ("completed", 5, "good", None)
    again = (await ann.ask("POST", f"{path}/complete", {})).data
    assert again == ended
    for step, body in (("discard", None), ("timer", {"action": "stop"})):
        refused = await ann.ask("POST", f"{path}/{step}", body)
        assert (refused.status, refused.code) == (409, "session_over")
    assert (await ann.ask("GET", "/workouts/sessions/active")).data == []


async def test_a_session_is_completed_and_discarded_without_a_body(ann: Person) -> None:
    for step in ("complete", "discard"):
        path, _ = await session(ann)
        assert (await ann.ask("POST", f"{path}/{step}")).status == 200
    empty = {"data": b"", "headers": {"Content-Type": "application/json"}}
    started = await ann.server.ask("POST", "/api/workouts/sessions/start", token=ann.token, **empty)
    assert (started.status, started.data["status"]) == (201, "active")
    for headers in (None, empty["headers"]):
        path = f"/api/workouts/sessions/{started.data['id']}/timer"
        needed = await ann.server.ask("POST", path, token=ann.token, headers=headers)
        assert (needed.status, [each["field"] for each in needed.json["details"]]) == (422, ["action"])
    untyped = await ann.server.ask("POST", "/api/workouts", data=b"{}", token=ann.token)
    assert (untyped.status, untyped.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("status", ["completed", "discarded"])
async def test_a_session_that_a_patch_ends_has_an_end_as_one_that_is_completed(ann: Person, status: str) -> None:
    path, made = await session(ann)
    workout = f"/workouts/{made['id']}"
    await ann.ask("POST", f"{path}/timer", {"action": "start", "duration_s": 90})
    ended = (await ann.ask("PATCH", workout, {"status": status})).data
    assert ended["ended_at"] > made["started_at"] and ended["rest_timer"] is None
    # Once it is over, its status tells of no other end.
    assert (await ann.ask("PATCH", workout, {"status": "completed"})).data["ended_at"] == ended["ended_at"]
    # As one that was taken up again, and as what was read and comes back.
    active = (await ann.ask("PATCH", workout, {"status": "active"})).data
    again = (await ann.ask("PATCH", workout, {**active, "status": status})).data
    assert again["ended_at"] > ended["ended_at"]
    assert "warnings" not in again


async def test_a_patch_that_says_when_a_session_ended_is_believed(ann: Person) -> None:
    _, made = await session(ann)
    said = {"status": "completed", "ended_at": made["started_at"]}
    assert (await ann.ask("PATCH", f"/workouts/{made['id']}", said)).data["ended_at"] == made["started_at"]


@pytest.mark.parametrize("status", ["planned", "active", "paused"])
async def test_an_end_that_stands_is_kept_when_the_session_is_over(ann: Person, status: str) -> None:
    ended = "2025-03-01T11:00:00.000Z"
    body = {"status": status, "started_at": "2025-03-01T10:00:00.000Z", "ended_at": ended}
    # Whether or not it is said once more.
    for said in ({}, {"ended_at": ended}):
        made = await ann.made("/workouts", body)
        over = await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "completed", **said})
        assert (over.data["ended_at"], over.data.get("warnings")) == (ended, None)
        made = await ann.made("/workouts", body)
        over = await ann.ask("POST", f"/workouts/sessions/{made['id']}/complete", said)
        assert over.data["ended_at"] == ended, status


async def test_a_session_that_ends_before_it_was_to_begin_has_no_end(ann: Person) -> None:
    made = await ann.made("/workouts", {"status": "planned", "started_at": "2099-01-05T10:00:00Z"})
    ended = (await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "discarded"})).data
    assert ended["status"] == "discarded" and ended.get("ended_at") is None


async def test_when_a_session_was_paused_is_noted_in_it(ann: Person) -> None:
    path, made = await session(ann)
    workout = f"/workouts/{made['id']}"

    async def turn(status: str, **more: Any) -> Any:
        return (await ann.ask("PATCH", workout, {"status": status, **more})).data["pauses"]

    ((begun, ended),) = await turn("paused")
    assert begun == ended > made["started_at"]
    # Said twice, it is one pause.
    assert await turn("paused") == [[begun, ended]]
    ((since, until),) = await turn("active")
    assert since == begun < until
    _, (begun, _) = await turn("paused")
    done = (await ann.ask("POST", f"{path}/complete")).data
    assert done["pauses"] == [[since, until], [begun, done["ended_at"]]]
    # Whoever says what was paused says all of it.
    assert await turn("completed", pauses=[[since, until]]) == [[since, until]]


async def test_a_pause_ends_no_later_than_its_session(ann: Person) -> None:
    path, made = await session(ann)
    ((begun, _),) = (await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "paused"})).data["pauses"]
    ended = (await ann.ask("POST", f"{path}/complete", {"ended_at": made["started_at"]})).data
    assert ended["pauses"] == [[begun, begun]]


async def test_a_session_that_is_taken_up_again_was_paused_since_it_ended(ann: Person) -> None:
    path, made = await session(ann)
    ended = (await ann.ask("POST", f"{path}/complete")).data["ended_at"]
    active = (await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "active"})).data
    ((begun, until),) = active["pauses"]
    assert (active["ended_at"], begun) == (None, ended) and until > ended
    again = (await ann.ask("POST", f"{path}/complete")).data
    assert again["ended_at"] > until and again["pauses"] == active["pauses"]

    paused = (await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "paused"})).data
    assert paused["ended_at"] is None
    assert paused["pauses"] == [[begun, until], [again["ended_at"]] * 2]
    on = (await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "active"})).data
    assert on["pauses"][1][0] == again["ended_at"] < on["pauses"][1][1]


async def test_a_workout_that_was_read_may_come_back_whole_to_be_taken_up_again(ann: Person) -> None:
    path, made = await session(ann)
    await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 8})
    await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "paused"})
    over = (await ann.ask("POST", f"{path}/complete")).data
    taken_up = (await ann.ask("PATCH", f"/workouts/{made['id']}", {**over, "status": "active"})).data
    assert (taken_up["ended_at"], taken_up["exercises"]) == (None, over["exercises"])
    assert [begun for begun, _ in taken_up["pauses"]] == [over["pauses"][0][0], over["ended_at"]]


async def test_a_workout_that_never_said_when_it_ended_is_taken_up_without_a_pause(ann: Person) -> None:
    made = await ann.made("/workouts", {"title": "x"})
    taken_up = (await ann.ask("PATCH", f"/workouts/{made['id']}", {"status": "active"})).data
    assert taken_up["status"] == "active" and "pauses" not in taken_up


async def test_a_pause_too_many_is_left_out_and_named(ann: Person) -> None:
    _, made = await session(ann)
    workout, at = f"/workouts/{made['id']}", made["started_at"]
    await ann.ask("PATCH", workout, {"pauses": [[at, at]] * PAUSES_MAX})
    paused = (await ann.ask("PATCH", workout, {"status": "paused"})).data
    assert (paused["status"], len(paused["pauses"])) == ("paused", PAUSES_MAX)
    assert [(each["field"], each["code"]) for each in paused["warnings"]] == [("pauses", "left_out")]


async def test_a_pause_that_ends_before_it_begins_is_refused_by_its_place(ann: Person) -> None:
    made = await ann.made("/workouts", {"title": "x"})
    early, late = "2026-11-23T10:00:00Z", "2026-11-23T10:05:00Z"
    wrong = {("pauses[1]", "out_of_range")}
    assert await ann.refused("PATCH", f"/workouts/{made['id']}", {"pauses": [[early, late], [late, early]]}) == wrong
    assert await ann.refused("PATCH", f"/workouts/{made['id']}", {"pauses": [[late, "early"]]}) == {
        ("pauses[0][1]", "wrong_format")
    }
    kept = await ann.ask("PATCH", f"/workouts/{made['id']}", {"pauses": [[early, early]]})
    assert kept.status == 200


async def test_a_session_that_was_left_running_is_pointed_out(ann: Person) -> None:
    path, made = await session(ann)
    late = {"ended_at": made["started_at"].replace(made["started_at"][:4], "2099")}
    ended = (await ann.ask("POST", f"{path}/complete", late)).data
    assert [each["field"] for each in ended["warnings"]] == ["ended_at"]


async def test_a_session_is_discarded_and_stays_in_the_history(ann: Person) -> None:
    path, made = await session(ann)
    assert (await ann.ask("POST", f"{path}/discard")).data["status"] == "discarded"
    assert (await ann.ask("POST", f"{path}/discard")).status == 200
    assert (await ann.ask("POST", f"{path}/complete", {})).code == "session_over"
    assert [each["id"] for each in (await ann.ask("GET", "/workouts")).data] == [made["id"]]


async def test_in_a_shared_space_each_has_their_own_timer_and_their_own_sets(ann: Person, bob: Person) -> None:
    space = (await ann.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"]
    await ann.ask("POST", f"/sync/spaces/{space}/members", {"user": bob.user, "role": "editor"})
    await bob.ask("POST", f"/sync/spaces/{space}/accept")
    await ann.ask("PUT", "/users/preferences", {"timezone": "Asia/Tokyo"})
    made = await ann.made(f"/workouts/sessions/start?space={space}", {"title": "Ours"})
    assert made["timezone"] == "Asia/Tokyo"
    phone = await bob.device()
    phone.space = space
    await phone.push(("participants", phone.new_id(), {"workout": made["id"], "athlete": bob.user}))

    path = f"/workouts/sessions/{made['id']}"
    for who, duration_s in ((ann, 60), (bob, 90)):
        await who.made(f"{path}/sets?space={space}", {"exercise": SQUAT, "reps": 5})
        await who.ask("POST", f"{path}/timer?space={space}", {"action": "start", "duration_s": duration_s})
    shown = (await bob.ask("GET", f"{path}?space={space}")).data
    assert [each["athlete"] for each in shown["exercises"][0]["sets"]] == [ann.user, bob.user]
    timers = (shown["rest_timer"]["duration_s"], shown["participants"][0]["rest_timer"]["duration_s"])
    assert timers == (60, 90)


# -- from a template -------------------------------------------------------------------------------------------------


async def template(who: Person, *exercises: tuple[dict[str, Any], list[dict[str, Any]]]) -> str:
    """A template, as a device would have pushed it."""
    device = await who.device()
    changes = [("templates", id := device.new_id(), {"title": "A", "notes": device.text("go deep")})]
    for place, (values, sets) in enumerate(exercises):
        exercise = device.new_id()
        changes.append(("template_exercises", exercise, {"template": id, "position": f"a{place}", **values}))
        for number, each in enumerate(sets):
            fields = {"template_exercise": exercise, "position": f"a{number}", **each}
            changes.append(("template_sets", device.new_id(), fields))
    await device.push(*changes)
    return id


async def test_a_session_from_a_template_goes_on_where_the_last_one_was_reached(ann: Person) -> None:
    rule = {"field": "weight", "op": "+", "step": 2.5, "unit": "kg", "requires": ["reps"]}
    sets = [{"kind": "normal", "target_weight": kg(100), "target_reps_min": 5, "progression": [rule]}] * 2
    id = await template(ann, ({"exercise": SQUAT, "superset": "1", "rest_s": 120}, sets))
    path, made = await session(ann, template_id=id)
    assert (made["title"], made["notes"], made["template"]) == ("Legs", "go deep", id)
    (squat,) = made["exercises"]
    assert squat["rest_s"] == 120
    assert squat["superset"] not in (None, "1")
    assert [each["target_weight"] for each in squat["sets"]] == [kg(100), kg(100)]
    assert all("completed_at" not in each for each in squat["sets"])

    for one, reps in zip(squat["sets"], (5, 4), strict=True):
        done = {"reps": reps, "weight": kg(100), "completed_at": made["started_at"]}
        await ann.ask("PATCH", f"{path}/sets/{one['id']}", done)
    await ann.ask("POST", f"{path}/complete", {})
    _, again = await session(ann, template_id=id)
    assert [each["target_weight"] for each in again["exercises"][0]["sets"]] == [kg(102.5), kg(100)]


async def test_what_is_done_in_turn_in_a_template_is_done_in_turn_in_its_session(ann: Person) -> None:
    id = await template(
        ann,
        *(
            ({"exercise": each, "superset": group}, [])
            for each, group in zip((SQUAT, BENCH, SQUAT), "AAB", strict=True)
        ),
    )
    first, second, other = [each["superset"] for each in (await session(ann, template_id=id))[1]["exercises"]]
    assert first == second
    assert len({"A", "B", first, other}) == 4


async def test_a_day_of_a_program_has_its_own_exercises(ann: Person) -> None:
    id = await template(ann, ({"exercise": SQUAT, "day": 1}, []), ({"exercise": BENCH, "day": 2}, []))
    _, made = await session(ann, template_id=id, day=2)
    assert [each["exercise"] for each in made["exercises"]] == [BENCH]


async def test_a_rule_that_nobody_can_read_is_pointed_out(ann: Person) -> None:
    rules = [{"field": "weight", "op": "+", "step": 2.5}, {"field": "mood", "op": "+", "step": 1}]
    sets = [{"target_weight": kg(100)}, {"target_weight": kg(100), "progression": rules}]
    other = ({"exercise": BENCH}, [{"target_weight": kg(60)}])
    _, made = await session(ann, template_id=await template(ann, other, ({"exercise": SQUAT}, sets)))
    assert [(each["field"], each["code"]) for each in made["warnings"]] == [
        ("template.exercises[1].sets[1].progression[1].field", "rule_left_out")
    ]


async def test_a_template_of_somebody_else_looks_like_none(ann: Person, bob: Person) -> None:
    id = await template(ann, ({"exercise": SQUAT}, []))
    answers = [await bob.ask("POST", "/workouts/sessions/start", {"template_id": wrong}) for wrong in (id, NOBODY)]
    assert [each.status for each in answers] == [422, 422]
    assert answers[0].json["details"] == answers[1].json["details"]
    assert answers[0].json["details"][0]["field"] == "template_id"


# -- what it costs ---------------------------------------------------------------------------------------------------


async def test_no_step_costs_more_statements_when_the_history_is_long(ann: Person) -> None:
    database = ann.server.database
    id = await template(ann, ({"exercise": SQUAT}, [{"target_reps_min": 5}] * 3))

    async def costs() -> list[int]:
        counted: list[int] = []

        async def step(method: str, path: str, body: Any = None) -> Any:
            before = database.statements
            answer = await ann.ask(method, path, body)
            counted.append(database.statements - before)
            return answer.data

        made = await step("POST", "/workouts/sessions/start", {"template_id": id})
        path = f"/workouts/sessions/{made['id']}"
        added = await step("POST", f"{path}/sets", {"exercise": SQUAT, "reps": 5})
        await step("PATCH", f"{path}/sets/{added['id']}", {"reps": 6})
        await step("POST", f"{path}/timer", {"action": "start", "duration_s": 60})
        await step("GET", "/workouts/sessions/active")
        await step("POST", f"{path}/complete", {})
        await step("GET", "/workouts?nested=true")
        return counted

    await settled(ann)
    await costs()
    few = await costs()
    for _ in range(30):
        await ann.made("/workouts", {"exercises": [{"exercise": SQUAT, "sets": [{"reps": 5}] * 5}] * 4})
    assert await costs() == few


async def test_everything_works_on_postgres_too(postgres_server: Server) -> None:
    ann = await person(postgres_server)
    id = await template(ann, ({"exercise": SQUAT}, [{"target_reps_min": 5}]))
    path, _ = await session(ann, template_id=id)
    await ann.made(f"{path}/sets", {"exercise": BENCH, "reps": 5})
    await ann.ask("POST", f"{path}/timer", {"action": "start", "duration_s": 60})
    assert (await ann.ask("POST", "/workouts/sessions/start", {})).code == "session_active"
    ended = (await ann.ask("POST", f"{path}/complete", {})).data
    assert [each["exercise"] for each in ended["exercises"]] == [SQUAT, BENCH]
    (listed,) = (await ann.ask("GET", "/workouts?nested=true")).data
    assert listed == ended
    await session(ann, template_id=id)
