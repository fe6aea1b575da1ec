"""The history of workouts over HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

BENCH = "ae2c29e2-88dc-5389-9792-492a5dc0cf78"
DIPS = "8879e77b-a0f0-5d0b-ae0d-5d44fceba9ba"
AT = "2026-11-23T22:45:00.000Z"
NOBODY = "0193575e-3a40-7000-8000-00000000ffff"


def workout(**more: Any) -> dict[str, Any]:
    lifts = [
        {"reps": 8, "weight": {"value": 60, "unit": "kg"}, "kind": "warmup"},
        {"reps": 5.5, "weight": {"value": 225, "unit": "lb"}, "rpe": 8.5, "rir": 1},
        {"reps": 10, "weight": {"value": 40, "unit": "kg"}, "kind": "drop"},
    ]
    dips = {"exercise": DIPS, "sets": [{"reps": 8, "load_mode": "assisted", "weight": {"value": 20, "unit": "kg"}}]}
    return {
        "title": "Push",
        "notes": "felt strong",
        "started_at": "2026-11-23T22:30:00Z",
        "ended_at": "2026-11-23T23:30:00Z",
        "timezone": "Europe/Berlin",
        "tags": ["gym"],
        "exercises": [{"exercise": BENCH, "superset": "A", "sets": lifts}, {**dips, "superset": "A"}],
        **more,
    }


async def test_a_whole_workout_is_logged_at_once_and_reads_as_it_was_given(ann: Person) -> None:
    made = await ann.made("/workouts", workout())
    read = (await ann.ask("GET", f"/workouts/{made['id']}")).data
    assert read == made
    assert (read["status"], read["notes"], read["tags"]) == ("completed", "felt strong", ["gym"])
    bench, dips = read["exercises"]
    assert (bench["exercise"], bench["superset"], dips["superset"]) == (BENCH, "A", "A")
    _, top, drop = bench["sets"]
    assert (top["reps"], top["weight"], top["rpe"]) == (5.5, {"value": 225, "unit": "lb"}, 8.5)
    assert drop["drop_of"] == top["id"]
    assert dips["sets"][0]["load_mode"] == "assisted"


async def test_what_has_a_result_in_a_workout_that_is_over_was_done_when_it_ended(ann: Person) -> None:
    planned = {"reps": 5, "completed_at": None}
    sets = [{"reps": 5}, {"duration_s": 60}, {"target_reps_min": 5}, planned, {"reps": 5, "completed_at": AT}]
    made = await ann.made("/workouts", workout(exercises=[{"exercise": BENCH, "sets": sets}]))
    done = [each.get("completed_at") for each in made["exercises"][0]["sets"]]
    assert done == [made["ended_at"], made["ended_at"], None, None, AT]


async def test_the_day_of_a_workout_is_that_of_its_time_zone(ann: Person) -> None:
    assert (await ann.made("/workouts", workout()))["local_date"] == "2026-11-23"
    assert (await ann.made("/workouts", workout(started_at="2026-11-23T23:10:00Z")))["local_date"] == "2026-11-24"


async def test_without_a_time_zone_it_is_that_of_the_persons_preferences(ann: Person) -> None:
    await ann.ask("PUT", "/users/preferences", {"timezone": "Asia/Tokyo"})
    body = workout()
    del body["timezone"]
    made = await ann.made("/workouts", body)
    assert (made["timezone"], made["local_date"]) == ("Asia/Tokyo", "2026-11-24")


async def test_a_request_that_is_sent_again_makes_one_workout(ann: Person) -> None:
    key = str(uuid.uuid4())
    first, second = [await ann.ask("POST", "/workouts", workout(), Idempotency_Key=key) for _ in range(2)]
    assert (second.text, second.headers["Location"]) == (first.text, f"/api/workouts/{first.data['id']}")
    assert len((await ann.ask("GET", "/workouts")).data) == 1
    elsewhere = await ann.ask("POST", f"/workouts?space={NOBODY}", workout(), Idempotency_Key=key)
    assert elsewhere.json["details"][0]["code"] == "key_reused"


async def test_workouts_are_listed_newest_first_page_by_page(ann: Person) -> None:
    for day in (3, 1, 2):
        await ann.made("/workouts", {"title": str(day), "started_at": f"2026-11-0{day}T10:00:00Z"})
    planned = await ann.made("/workouts", {"title": "planned", "status": "planned", "started_at": None})
    first = await ann.ask("GET", "/workouts?limit=2")
    cursor = first.json["meta"]["pagination"]["cursor"]
    second = await ann.ask("GET", f"/workouts?limit=2&cursor={cursor}")
    assert [[each["title"] for each in page.data] for page in (first, second)] == [["3", "2"], ["1", "planned"]]
    assert second.json["meta"]["pagination"]["cursor"] is None
    assert "local_date" not in planned or planned["local_date"] is None


async def test_a_list_shows_exercises_on_demand_and_a_span_of_time(ann: Person) -> None:
    await ann.made("/workouts", workout())
    await ann.made("/workouts", {"title": "later", "started_at": "2026-11-24T10:00:00Z"})
    span = "since=2026-11-23T00:00:00Z&until=2026-11-24T00:00:00Z"
    (plain,) = (await ann.ask("GET", f"/workouts?{span}")).data
    (nested,) = (await ann.ask("GET", f"/workouts?{span}&nested=true")).data
    assert "exercises" not in plain
    assert [len(each["sets"]) for each in nested["exercises"]] == [3, 1]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "W10", "WyJcdTAwMDAiLCIiXQ", "%00"])
async def test_a_cursor_that_no_answer_gave_is_refused(ann: Person, cursor: str) -> None:
    answer = await ann.ask("GET", f"/workouts?cursor={cursor}")
    assert (answer.status, answer.json["details"][0]["field"]) == (422, "cursor")


async def test_a_workout_is_corrected_and_its_day_follows(ann: Person) -> None:
    made = await ann.made("/workouts", workout())
    answer = await ann.ask("PATCH", f"/workouts/{made['id']}", {"started_at": "2026-11-23T23:15:00Z", "tags": ["pm"]})
    assert (answer.data["local_date"], answer.data["tags"]) == ("2026-11-24", ["pm"])
    assert answer.data["exercises"] == made["exercises"]


async def test_a_deleted_workout_is_gone_with_everything_in_it(ann: Person) -> None:
    made = await ann.made("/workouts", workout())
    assert (await ann.ask("DELETE", f"/workouts/{made['id']}")).data == {"id": made["id"]}
    assert (await ann.ask("GET", f"/workouts/{made['id']}")).status == 404
    assert (await ann.ask("DELETE", f"/workouts/{made['id']}")).status == 404
    assert (await ann.ask("GET", "/workouts")).data == []


# -- versions --------------------------------------------------------------------------------------------------------


async def test_the_version_of_a_workout_is_that_of_everything_in_it(ann: Person) -> None:
    made = await ann.made("/workouts", workout())
    path = f"/workouts/{made['id']}"
    etag = (await ann.ask("GET", path)).headers["ETag"]
    assert (await ann.ask("GET", path, If_None_Match=etag)).status == 304
    one = made["exercises"][0]["sets"][0]
    await ann.ask("PATCH", f"/workouts/sessions/{made['id']}/sets/{one['id']}", {"reps": 9})
    assert (await ann.ask("GET", path, If_None_Match=etag)).status == 200
    for method in ("PATCH", "DELETE"):
        answer = await ann.ask(method, path, {"title": "x"} if method == "PATCH" else None, If_Match=etag)
        assert (answer.status, answer.code) == (412, "precondition_failed")


async def test_a_write_that_names_what_it_saw_lands(ann: Person) -> None:
    made = await ann.made("/workouts", workout())
    path = f"/workouts/{made['id']}"
    whole = (await ann.ask("GET", path)).headers["ETag"]
    answer = await ann.ask("PATCH", path, {"title": "Pull"}, If_Match=f'"other", {whole}')
    assert answer.status == 200
    # Its own version does as well, whatever became of its sets.
    answer = await ann.ask("PATCH", path, {"title": "Legs"}, If_Match=f'"{answer.data["version"]}"')
    assert (answer.status, answer.data["title"]) == (200, "Legs")
    assert (await ann.ask("PATCH", path, {"title": "x"}, If_Match=f"W/{answer.headers['ETag']}")).status == 412


# -- what is refused -------------------------------------------------------------------------------------------------


async def test_every_wrong_field_is_named_in_one_answer(ann: Person) -> None:
    body = workout(rating=6, bodyweight={"value": 7_000, "unit": "kg"}, nope=1)
    body["exercises"][0]["sets"][1]["reps"] = 0.3
    body["exercises"][1]["rest_s"] = -1
    del body["exercises"][1]["exercise"]
    assert await ann.refused("POST", "/workouts", body) == {
        ("rating", "out_of_range"),
        ("bodyweight.value", "out_of_range"),
        ("nope", "unknown_field"),
        ("exercises[0].sets[1].reps", "out_of_range"),
        ("exercises[1].rest_s", "out_of_range"),
        ("exercises[1].exercise", "required"),
    }
    assert (await ann.ask("GET", "/workouts")).data == []


async def test_what_no_type_can_say_is_named_in_the_same_form(ann: Person) -> None:
    body = workout(timezone="Mars/Base")
    body["exercises"][0]["sets"][1]["weight"] = {"value": 2_500, "unit": "kg"}
    body["exercises"][0]["sets"][2]["weight"] = {"value": 1.23456, "unit": "kg"}
    assert await ann.refused("POST", "/workouts", body) == {
        ("timezone", "unknown_value"),
        ("exercises[0].sets[1].weight", "out_of_range"),
        ("exercises[0].sets[2].weight", "out_of_range"),
    }


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-05:00"])
async def test_a_time_that_is_in_no_calendar_is_refused(ann: Person, at: str) -> None:
    assert await ann.refused("POST", "/workouts", {"started_at": at, "timezone": "Asia/Tokyo"}) == {
        ("started_at", "wrong_type")
    }
    assert (await ann.ask("GET", f"/workouts?since={at.replace('+', '%2B')}")).status == 200


async def test_the_last_day_of_the_calendar_is_one(ann: Person) -> None:
    made = await ann.made("/workouts", {"started_at": "9999-12-31T23:59:59Z", "timezone": "Asia/Tokyo"})
    assert "local_date" not in made


async def test_a_workout_does_not_end_before_it_begins(ann: Person) -> None:
    backwards = {"started_at": "2026-11-23T10:00:00Z", "ended_at": "2026-11-23T09:00:00Z"}
    assert await ann.refused("POST", "/workouts", backwards) == {("ended_at", "out_of_range")}
    made = await ann.made("/workouts", workout())
    later = {"started_at": "2026-11-24T10:00:00Z"}
    assert await ann.refused("PATCH", f"/workouts/{made['id']}", later) == {("ended_at", "out_of_range")}


async def test_what_looks_like_a_slip_is_taken_and_pointed_out(ann: Person) -> None:
    body = workout(ended_at="2026-12-04T22:30:00Z", bodyweight={"value": 820, "unit": "kg"})
    body["exercises"][0]["sets"][1] |= {"weight": {"value": 1_000, "unit": "kg"}, "reps": 5_000}
    made = await ann.made("/workouts", body)
    assert {(each["field"], each["code"]) for each in made["warnings"]} == {
        ("ended_at", "implausible"),
        ("bodyweight", "implausible"),
        ("exercises[0].sets[1].weight", "implausible"),
        ("exercises[0].sets[1].reps", "implausible"),
    }
    assert "264 hours" in made["warnings"][0]["message"]
    assert "warnings" not in (await ann.ask("GET", f"/workouts/{made['id']}")).data


async def test_a_strangers_workout_looks_like_none(ann: Person, bob: Person) -> None:
    made = await ann.made("/workouts", workout())
    set_ = made["exercises"][0]["sets"][0]["id"]

    def same(text: str) -> Any:
        answer = json.loads(text)
        del answer["meta"]
        return answer

    for method, path, body in (
        ("GET", "/workouts/{}", None),
        ("PATCH", "/workouts/{}", {"title": "mine"}),
        ("DELETE", "/workouts/{}", None),
        ("GET", "/workouts/sessions/{}", None),
        ("POST", "/workouts/sessions/{}/sets", {"exercise": BENCH}),
        ("POST", "/workouts/sessions/{}/exercises", {"exercise": BENCH}),
        ("PATCH", f"/workouts/sessions/{{}}/sets/{set_}", {"reps": 1}),
        ("DELETE", f"/workouts/sessions/{{}}/sets/{set_}", None),
        ("POST", "/workouts/sessions/{}/timer", {"action": "stop"}),
        ("POST", "/workouts/sessions/{}/complete", {}),
        ("POST", "/workouts/sessions/{}/discard", None),
    ):
        foreign = await bob.ask(method, path.format(made["id"]), body)
        missing = await bob.ask(method, path.format(NOBODY), body)
        assert foreign.status == missing.status == 404
        assert same(foreign.text) == same(missing.text)
    assert (await ann.ask("GET", f"/workouts/{made['id']}")).data == made
    assert (await bob.ask("GET", "/workouts")).data == []


@pytest.mark.parametrize("id", ["x", "%00", "%F0%9F%98%80", "0" * 500, BENCH.upper()])
async def test_what_is_no_id_is_of_nothing(ann: Person, id: str) -> None:
    assert (await ann.ask("GET", f"/workouts/{id}")).status == 404
    assert (await ann.ask("GET", f"/workouts?space={id[:36]}")).status in (404, 422)


async def test_an_exercise_that_nobody_knows_is_taken_and_pointed_out(ann: Person) -> None:
    own = await ann.made("/exercises", {"name": "My Press", "measure": "weight_reps"})
    lifts = [{"exercise": each, "sets": [{"reps": 5}]} for each in (BENCH, NOBODY, own["id"])]
    made = await ann.made("/workouts", workout(exercises=lifts))
    unknown = ("exercises[1].exercise", "unknown_exercise")
    assert [(each["field"], each["code"]) for each in made["warnings"]] == [unknown]
    session = await ann.made("/workouts/sessions/start")
    path = f"/workouts/sessions/{session['id']}"
    by_set = await ann.made(f"{path}/sets", {"exercise": NOBODY, "reps": 5})
    by_itself = await ann.made(f"{path}/exercises", {"exercise": NOBODY})
    known = await ann.made(f"{path}/exercises", {"exercise": BENCH})
    changed = (await ann.ask("PATCH", f"{path}/exercises/{known['id']}", {"exercise": NOBODY})).data
    for each in (by_set, by_itself, changed):
        assert [(one["field"], one["code"]) for one in each["warnings"]] == [("exercise", "unknown_exercise")]
    assert "warnings" not in await ann.made(f"{path}/sets", {"exercise": own["id"], "reps": 5})
    template = {"title": "Push", "exercises": [{"exercise": each} for each in (own["id"], NOBODY)]}
    made = await ann.made("/templates", template)
    assert [(each["field"], each["code"]) for each in made["warnings"]] == [unknown]
