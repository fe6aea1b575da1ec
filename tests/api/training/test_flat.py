"""Goals, measurements and preferences over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXERCISE = "8106380d-5122-5600-b7e4-f73c25bdffc7"
GOAL = {
    "kind": "strength",
    "title": "Squat 140 kg",
    "exercise": EXERCISE,
    "target": 140,
    "unit": "kg",
    "due_on": "2027-06-30",
}
WEIGHT = {"at": "2026-11-23T07:00:00Z", "kind": "weight", "value": 82.4, "unit": "kg", "photos": []}
EACH = pytest.mark.parametrize(
    ("path", "body", "change"), [("/goals", GOAL, {"target": 150}), ("/measurements", WEIGHT, {"note": "after lunch"})]
)


@EACH
async def test_a_record_is_made_read_changed_and_deleted(
    ann: Person, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    made = await ann.ask("POST", path, body)
    assert made.status == 201
    assert made.headers["Location"] == f"/api{path}/{made.data['id']}"
    one = f"{path}/{made.data['id']}"
    read = await ann.ask("GET", one)
    assert (read.data, read.headers["ETag"]) == (made.data, made.headers["ETag"])
    assert (await ann.ask("GET", one, If_None_Match=read.headers["ETag"])).status == 304
    changed = await ann.ask("PATCH", one, change, If_Match=read.headers["ETag"])
    assert change.items() <= changed.data.items()
    for method, sent in (("PATCH", change), ("DELETE", None)):
        assert (await ann.ask(method, one, sent, If_Match=read.headers["ETag"])).code == "precondition_failed"
    assert (await ann.ask("DELETE", one)).data == {"id": made.data["id"]}
    assert (await ann.ask("GET", one)).status == 404


@EACH
async def test_what_was_read_may_come_back_whole_in_a_change(
    ann: Person, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    made = await ann.made(path, body)
    one = f"{path}/{made['id']}"
    changed = await ann.ask("PATCH", one, made | change)
    assert changed.status == 200 and change.items() <= changed.data.items()
    # What was read before that is another version.
    assert await ann.refused("PATCH", one, {"id": made["id"], "version": made["version"]}) == {("version", "immutable")}


@EACH
async def test_a_strangers_record_looks_like_none(
    ann: Person, bob: Person, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    made = await ann.made(path, body)
    for method, sent in (("GET", None), ("PATCH", change), ("DELETE", None)):
        foreign = (await bob.ask(method, f"{path}/{made['id']}", sent)).json
        missing = (await bob.ask(method, f"{path}/{uuid.uuid4()}", sent)).json
        del foreign["meta"], missing["meta"]
        assert (foreign, foreign["code"]) == (missing, "not_found")
    assert (await bob.ask("GET", path)).data == []


@EACH
async def test_a_request_that_is_sent_again_makes_one_record(
    ann: Person, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    key = str(uuid.uuid4())
    first, second = [await ann.ask("POST", path, body, Idempotency_Key=key) for _ in range(2)]
    assert first.text == second.text
    assert len((await ann.ask("GET", path)).data) == 1


async def test_every_wrong_field_is_named(ann: Person) -> None:
    assert await ann.refused("POST", "/goals", {"kind": "fame", "title": "x" * 201, "due_on": "soon", "id": "x"}) == {
        ("kind", "unknown_value"),
        ("title", "wrong_length"),
        ("due_on", "wrong_format"),
        ("id", "unknown_field"),
        ("target", "required"),
    }
    assert await ann.refused("POST", "/goals", {**GOAL, "starts_on": "2028-01-01"}) == {("due_on", "out_of_range")}
    assert await ann.refused("POST", "/goals", {**GOAL, "target": 1.23456}) == {("target", "out_of_range")}


async def test_a_body_weight_that_cannot_be_is_refused_and_an_unlikely_one_pointed_out(ann: Person) -> None:
    assert await ann.refused("POST", "/measurements", {**WEIGHT, "value": 7_000}) == {("value", "out_of_range")}
    made = await ann.made("/measurements", {**WEIGHT, "value": 824})
    assert [each["code"] for each in made["warnings"]] == ["implausible"]
    path = f"/measurements/{made['id']}"
    assert await ann.refused("PATCH", path, {"value": 7_000}) == {("value", "out_of_range")}
    assert "warnings" not in (await ann.ask("PATCH", path, {"value": 82.4})).data


async def test_measurements_are_listed_newest_first_page_by_page(ann: Person) -> None:
    for day in (3, 1, 2):
        await ann.made("/measurements", {**WEIGHT, "at": f"2026-11-0{day}T07:00:00Z", "value": 80 + day})
    first = await ann.ask("GET", "/measurements?limit=2")
    cursor = first.json["meta"]["pagination"]["cursor"]
    second = await ann.ask("GET", f"/measurements?limit=2&cursor={cursor}")
    assert [[each["value"] for each in page.data] for page in (first, second)] == [[83, 82], [81]]


async def test_a_goal_counts_in_a_unit_of_its_kind(ann: Person) -> None:
    for kind, unit in (("volume", "stone"), ("distance", "kg"), ("workouts", "sets"), ("strength", "km")):
        body = {"kind": kind, "title": "x", "target": 10, "unit": unit}
        assert await ann.refused("POST", "/goals", body) == {("unit", "unknown_value")}, kind
    await ann.made("/goals", {"kind": "custom", "title": "x", "target": 10, "unit": "handstands"})


async def test_a_goal_has_a_target_that_can_be_reached(ann: Person) -> None:
    for kind, target in (("strength", 0), ("workouts", -1)):
        assert await ann.refused("POST", "/goals", {"kind": kind, "title": "x", "target": target}) == {
            ("target", "out_of_range")
        }
    made = await ann.made("/goals", GOAL)
    assert await ann.refused("PATCH", f"/goals/{made['id']}", {"target": -1}) == {("target", "out_of_range")}
    await ann.made("/goals", {"kind": "custom", "title": "cigarettes", "target": 0})


async def test_what_was_wrong_before_a_change_may_leave_alone(ann: Person) -> None:
    phone = await ann.device()
    id = phone.new_id()
    await phone.push(("goals", id, {"kind": "workouts", "title": "x", "target": -1}))
    assert (await ann.ask("PATCH", f"/goals/{id}", {"status": "abandoned"})).status == 200
    for still in ({"target": -2}, {"kind": "strength"}):
        assert await ann.refused("PATCH", f"/goals/{id}", still) == {("target", "out_of_range")}


async def test_a_goal_of_strength_without_an_exercise_is_pointed_out(ann: Person) -> None:
    made = await ann.made("/goals", {**GOAL, "exercise": None})
    assert [(each["field"], each["code"]) for each in made["warnings"]] == [("exercise", "required")]
    assert "warnings" not in await ann.made("/goals", GOAL)


async def test_a_goal_with_an_exercise_that_nobody_knows_is_pointed_out(ann: Person) -> None:
    unknown = "0193575e-3a40-7000-8000-000000000009"
    told = [("exercise", "unknown_exercise")]
    made = await ann.made("/goals", {**GOAL, "exercise": unknown})
    assert [(each["field"], each["code"]) for each in made["warnings"]] == told
    known = await ann.ask("PATCH", f"/goals/{made['id']}", {"exercise": GOAL["exercise"]})
    assert "warnings" not in known.data
    again = await ann.ask("PATCH", f"/goals/{made['id']}", {"exercise": unknown})
    assert [(each["field"], each["code"]) for each in again.data["warnings"]] == told
    own = (await ann.made("/exercises", {"name": "Zercher Squat", "measure": "weight_reps"}))["id"]
    assert "warnings" not in await ann.made("/goals", {**GOAL, "exercise": own})


async def test_goals_are_listed_page_by_page(ann: Person) -> None:
    made = [(await ann.made("/goals", {**GOAL, "target": target}))["id"] for target in (1, 2, 3)]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await ann.ask("GET", f"/goals?limit=2{cursor and f'&cursor={cursor}'}")
        found += [each["id"] for each in page.data]
        cursor = page.json["meta"]["pagination"]["cursor"]
    assert sorted(found) == sorted(made)


async def test_preferences_are_set_one_by_one_and_hold_on_devices_too(ann: Person) -> None:
    unset = await ann.ask("GET", "/users/preferences")
    assert (unset.status, unset.data["updated_at"], unset.data["version"]) == (200, None, "none")
    whole = {**unset.data, "units": "imperial"}
    first = await ann.ask("PUT", "/users/preferences", whole, If_Match=unset.headers["ETag"])
    assert (first.status, first.data["units"], first.data["id"]) == (200, "imperial", unset.data["id"])
    late = await ann.ask("PUT", "/users/preferences", {"units": "metric"}, If_Match=unset.data["version"])
    assert late.code == "precondition_failed"
    await ann.ask("PUT", "/users/preferences", {"first_weekday": 7})
    read = await ann.ask("GET", "/users/preferences")
    assert (read.data["units"], read.data["first_weekday"]) == ("imperial", 7)
    stale = await ann.ask("PUT", "/users/preferences", {"units": "metric"}, If_Match=first.headers["ETag"])
    assert stale.code == "precondition_failed"
    assert await ann.refused(
        "PUT", "/users/preferences", {"units": "stone", "weekly_target": 8, "timezone": "Mars/Base"}
    ) == {
        ("timezone", "unknown_value"),
        ("units", "unknown_value"),
        ("weekly_target", "out_of_range"),
    }


async def test_preferences_of_which_nobody_said_anything_may_come_back_as_they_were_read(ann: Person) -> None:
    unset = await ann.ask("GET", "/users/preferences")
    for body in ({}, unset.data):
        again = await ann.ask("PUT", "/users/preferences", body)
        assert (again.status, again.data, again.headers["ETag"]) == (200, unset.data, unset.headers["ETag"])


async def test_of_preferences_only_what_differs_is_written(ann: Person) -> None:
    first = await ann.ask("PUT", "/users/preferences", {"units": "imperial", "weekly_target": 3})
    assert (await ann.ask("PUT", "/users/preferences", first.data)).data == first.data
    changed = await ann.ask("PUT", "/users/preferences", {**first.data, "units": "metric"})
    assert changed.data["version"] != first.data["version"]
    assert (changed.data["units"], changed.data["weekly_target"]) == ("metric", 3)


async def test_a_shared_space_is_named_and_its_viewers_do_not_write(ann: Person, bob: Person) -> None:
    space = (await ann.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"]
    made = await ann.made(f"/goals?space={space}", GOAL)
    assert (await ann.ask("GET", "/goals")).data == []
    assert (await bob.ask("GET", f"/goals?space={space}")).status == 404
    await ann.ask("POST", f"/sync/spaces/{space}/members", {"user": bob.user, "role": "viewer"})
    await bob.ask("POST", f"/sync/spaces/{space}/accept")
    assert (await bob.ask("GET", f"/goals/{made['id']}?space={space}")).data == made
    refused = await bob.ask("POST", f"/goals?space={space}", GOAL)
    assert (refused.status, refused.code) == (403, "read_only")
