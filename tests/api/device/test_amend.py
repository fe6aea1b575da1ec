"""`fitai edit` and `fitai delete`: what was logged is put right, or taken out, and `fitai undo` takes that back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fitai_client import Client
from tests.api.device.conftest import Terminal, Terminals
from tests.api.device.test_synced import pair


@pytest.fixture
def logged(terminal: Terminal) -> Terminal:
    """Today a warm-up and three sets of one exercise and one of another; yesterday two."""
    terminal.does("log", "deadlift", "140kgx5x2", "--date", "yesterday", "--title", "Pull day")
    terminal.does("log", "bench press", "w:60kgx5", "100kgx5x2", "102.5kgx3@8.5")
    terminal.does("log", "squat", "100kgx5")
    return terminal


def reps(terminal: Terminal, day: str = "today") -> dict[str, list[Any]]:
    workouts = terminal.json("today", "--date", day)["workouts"]
    return {block["name"]: [one["reps"] for one in block["sets"]] for w in workouts for block in w["exercises"]}


BEFORE = {"Barbell Bench Press": [5, 5, 5, 3], "Barbell Back Squat": [5]}


@pytest.mark.parametrize(("number", "after"), [("2", [5, 6, 5, 3]), ("last", [5, 5, 5, 6])])
def test_a_set_is_put_right_by_its_number_and_undo_takes_it_back(
    logged: Terminal, number: str, after: list[int]
) -> None:
    told = logged.json("edit", "bench", "press", number, "100kgx6")
    assert told["exercise"]["name"] == "Barbell Bench Press" and told["set"]["reps"] == 6
    assert reps(logged) == {**BEFORE, "Barbell Bench Press": after}
    logged.does("undo")
    assert reps(logged) == BEFORE


def test_what_is_not_typed_stays(logged: Terminal) -> None:
    logged.does("edit", "bench", "press", "4", "105kgx2", "--note", "with a belt")
    last = logged.sets()[3][1]
    assert (last["rpe"], last["notes"], last["weight"]["value"]) == (8.5, "with a belt", 105)
    logged.does("edit", "bench", "press", "1", "62.5kgx5")
    assert logged.sets()[0][1]["kind"] == "warmup"
    logged.does("edit", "bench", "press", "1", "normal:62.5kgx5")
    assert logged.sets()[0][1]["kind"] == "normal"
    for _ in range(3):
        logged.does("undo")
    assert [(one["kind"], one["notes"]) for _, one in logged.sets()[:4:3]] == [("warmup", None), ("normal", None)]


def test_a_set_that_is_a_time_or_a_way_is_put_right_as_it_is_typed(terminal: Terminal) -> None:
    terminal.does("log", "plank", "60s", "70s")
    terminal.does("edit", "plank", "2", "90s")
    terminal.does("edit", "plank", "1", "1:15")
    assert [one["duration_s"] for _, one in terminal.sets()] == [75, 90]
    terminal.does("log", "treadmill", "running", "5km")
    terminal.does("edit", "treadmill", "running", "6km")
    assert terminal.sets()[-1][1]["distance"] == {"value": 6, "unit": "km"}


def test_a_name_that_looks_like_a_time_stays_a_name(terminal: Terminal) -> None:
    terminal.does("log", "barbell 21s", "20kgx21")
    terminal.does("edit", "barbell", "21s", "1", "25kgx21")
    assert [one["weight"]["value"] for _, one in terminal.sets()] == [25]


async def _plan_two(terminal: Terminal) -> None:
    """Two sets more of the newest exercise, as a session from a template has them."""
    async with await Client.open(terminal.file, server="http://127.0.0.1:9", background=False) as client:
        (block,) = await client.workout_exercises.list()
        for position in ("b0", "b1"):
            await client.sets.create(workout_exercise=block.id, position=position, target_reps_min=5, target_rpe=8)


def test_a_planned_set_is_done_once_it_says_what_was_done_and_undo_plans_it_again(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    asyncio.run(_plan_two(terminal))
    assert "planned" in terminal.does("today")
    terminal.does("edit", "bench", "press", "2", "--note", "slow")

    def done() -> list[bool]:
        return [one["completed_at"] is not None for _, one in terminal.sets()]

    assert done() == [True, False, False]
    terminal.does("edit", "bench", "press", "2", "100kgx6")
    assert done() == [True, True, False]
    assert terminal.json("today")["workouts"][0]["volume_kg"] == 1_100
    terminal.does("undo")
    assert done() == [True, False, False]


def test_which_set_is_never_guessed_and_the_numbers_are_told(logged: Terminal) -> None:
    told = logged.json("edit", "bench", "press", "100kgx6", code=1)
    assert told["code"] == "unclear_set" and "2: 100 kg × 5" in told["error"]
    assert logged.json("edit", "bench", "press", "9", "100kgx6", code=1)["code"] == "unclear_set"
    assert logged.json("delete", "bench", "press", "9", code=1)["code"] == "unclear_set"
    assert "--date" in logged.json("edit", "deadlift", "1", "100kgx6", code=1)["error"]
    assert logged.json("edit", "bench", "press", "2", code=2)["code"] == "usage"
    assert logged.json("delete", code=2)["code"] == "usage"
    assert reps(logged) == BEFORE


def test_the_only_set_needs_no_number_and_the_newest_exercise_no_name(logged: Terminal) -> None:
    logged.does("edit", "squat", "100kgx8")
    logged.does("edit", "1", "100kgx9")
    assert reps(logged)["Barbell Back Squat"] == [9]


def test_one_set_goes_without_a_question_and_comes_back(logged: Terminal) -> None:
    told = logged.json("delete", "bench", "press", "2")
    assert len(told["deleted"]) == 1 and told["left"] == 4
    assert reps(logged) == {**BEFORE, "Barbell Bench Press": [5, 5, 3]}
    logged.does("undo")
    assert reps(logged) == BEFORE


def test_several_are_asked_about_and_leave_what_else_was_trained(logged: Terminal) -> None:
    assert logged.json("delete", "bench", "press", code=1)["code"] == "not_confirmed"
    logged.does("delete", "bench", "press", "--yes")
    assert reps(logged) == {"Barbell Back Squat": [5]}
    logged.does("undo")
    assert reps(logged) == BEFORE


def test_with_its_last_set_a_workout_goes_too_and_what_was_deleted_before_stays_deleted(logged: Terminal) -> None:
    logged.does("delete", "deadlift", "1", "--date", "yesterday")
    logged.does("delete", "deadlift", "--date", "yesterday")
    assert logged.json("history")["total"] == 1
    logged.does("undo")
    assert reps(logged, "yesterday") == {"Barbell Deadlift": [5]}
    logged.does("undo")
    assert reps(logged, "yesterday") == {"Barbell Deadlift": [5, 5]}


def test_a_workout_goes_as_a_whole_by_its_day(logged: Terminal) -> None:
    assert logged.json("delete", "--workout", "--date", "-1", "--yes")["left"] == 0
    assert logged.json("history")["total"] == 1
    logged.does("undo")
    (workout,) = logged.json("today", "--date", "-1")["workouts"]
    assert (workout["title"], workout["sets"]) == ("Pull day", 2)


def test_of_several_workouts_of_a_day_one_is_named(logged: Terminal) -> None:
    logged.does("start", "Evening")
    logged.does("log", "plank", "60s")
    assert logged.json("delete", "--workout", "--yes", code=1)["code"] == "unclear_workout"
    logged.does("delete", "--workout", "evening", "--yes")
    assert reps(logged) == BEFORE


def test_a_workouts_title_and_bodyweight_are_put_right(logged: Terminal) -> None:
    told = logged.json("edit", "--workout", "--title", "Push day", "--bodyweight", "80kg")
    assert told["title"] == "Push day"
    logged.does("undo")
    assert "Push day" not in logged.does("history")


def test_it_was_another_exercise(logged: Terminal) -> None:
    logged.does("edit", "squat", "--exercise", "front squat")
    assert "Front Squat" in [*reps(logged)][1]
    logged.does("undo")
    assert reps(logged) == BEFORE


def test_an_id_names_a_set_an_exercise_or_a_workout(logged: Terminal) -> None:
    (workout,) = logged.json("today")["workouts"]
    first = workout["exercises"][0]["sets"][0]["id"]
    assert logged.json("edit", "--id", first, "60kgx9")["set"]["id"] == first
    logged.does("delete", "--id", first)
    logged.does("delete", "--id", workout["exercises"][1]["id"], "--yes")
    assert reps(logged) == {"Barbell Bench Press": [5, 5, 3]}
    logged.does("delete", "--id", workout["id"], "--yes")
    assert reps(logged) == {}
    assert logged.json("delete", "--id", "ffffffff", code=1)["code"] == "not_found"


def test_a_delete_reaches_the_other_devices_and_so_does_its_undo(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "amend@example.com")
    phone.does("log", "bench press", "100kgx5x30")
    laptop.does("sync")
    assert phone.json("delete", "bench", "press", "--yes")["sync"]["pending"] == 0
    assert laptop.json("today")["workouts"] == []
    laptop.does("log", "squat", "100kgx5")
    assert phone.json("undo")["sync"]["pending"] == 0
    assert len(laptop.json("today")["workouts"]) == 2


# -- sessions into which nothing was logged --------------------------------------------------------------------------


def test_a_session_without_a_set_leaves_no_trace_and_undo_brings_it_back(terminal: Terminal) -> None:
    terminal.does("start", "Push day")
    told = terminal.json("done")
    assert told["status"] == "discarded"
    assert terminal.json("history")["total"] == 0
    terminal.does("undo")
    assert terminal.json("history")["workouts"][0]["status"] == "active"
    assert "No set was logged" in terminal.does("done")


def test_a_session_that_somebody_said_something_of_stays(terminal: Terminal) -> None:
    terminal.does("start")
    terminal.does("done", "--title", "A long walk", "--effort", "3")
    assert terminal.json("history")["workouts"][0]["title"] == "A long walk"


def test_sets_that_another_device_logs_unseen_bring_an_empty_session_back(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "empty@example.com")
    phone.does("start", "Push day")
    laptop.does("sync")
    laptop.does("log", "bench press", "100kgx5", "--offline")
    phone.does("done", "--offline")
    for device in (phone, laptop, phone):
        device.does("sync")
    for device in (phone, laptop):
        (workout,) = device.json("today")["workouts"]
        assert (workout["title"], workout["sets"]) == ("Push day", 1)
