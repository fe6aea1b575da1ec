"""The log as a person thinks of it, put together from records however they stand."""

from __future__ import annotations

from typing import Any

from api.command_line.device.exercises import Exercise, Exercises
from api.command_line.device.log import _target
from api.command_line.device.training import Training, put_together
from fitai_client import Record

BENCH = Exercise("bench", "Bench Press", {"load_mode": "external"})


def workout(id: str, **values: Any) -> Record:
    return Record("workouts", id, {"status": "completed", "local_date": "2026-11-25", **values})


def block(id: str, of: str, **values: Any) -> Record:
    return Record("workout_exercises", id, {"workout": of, "exercise": "bench", "position": "a0", **values})


def one_set(id: str, of: str, **values: Any) -> Record:
    done = {"completed_at": "2026-11-25T10:00:00.000Z", "load_mode": "external", "kind": "normal", "position": "a0"}
    return Record("sets", id, {"workout_exercise": of, **done, **values})


def training(workouts: list[Record], blocks: list[Record], sets: list[Record], user: str | None = None) -> Training:
    made = put_together(workouts, blocks, sets)
    return Training(made, Exercises([BENCH], [], {}), "epley", 1, None, "kg", user)


def counted(made: Training) -> set[str]:
    return {one.id for one in made.lifts()}


def test_what_was_planned_or_discarded_is_not_part_of_the_log() -> None:
    made = training([workout("a", status="planned"), workout("b", status="discarded"), workout("c")], [], [])
    assert [one.id for one in made.workouts] == ["c"]


def test_workouts_are_in_order_of_time_and_sets_in_order_of_position() -> None:
    made = training(
        [workout("b", started_at="2026-11-25T10:00:00.000Z"), workout("a", started_at="2026-11-24T10:00:00.000Z")],
        [block("y", "b", position="a1"), block("x", "b", position="a0")],
        [one_set("2", "x", position="a1"), one_set("1", "x", position="a0")],
    )
    assert [one.id for one in made.workouts] == ["a", "b"]
    assert [one.record.id for one in made.workouts[1].blocks] == ["x", "y"]
    assert [one.id for one in made.workouts[1].sets] == ["1", "2"]


def test_what_was_moved_away_counts_no_more_where_an_edit_brought_it_back() -> None:
    made = training([workout("a")], [block("x", "a")], [one_set("old", "x"), one_set("new", "x", moved_from="old")])
    assert counted(made) == {"new"}
    blocks = [block("x", "a"), block("y", "a", moved_from="x")]
    made = training([workout("a")], blocks, [one_set("1", "x"), one_set("2", "y")])
    assert counted(made) == {"2"}


def test_a_set_that_another_person_lifted_is_not_ones_own() -> None:
    sets = [one_set("mine", "x", athlete="me"), one_set("theirs", "x", athlete="you"), one_set("plain", "x")]
    assert counted(training([workout("a")], [block("x", "a")], sets, user="me")) == {"mine", "plain"}


def test_the_body_counts_as_the_workout_says_it_or_as_it_was_last_measured() -> None:
    pull_up = Exercise("bench", "Pull-up", {"load_mode": "bodyweight_plus", "bodyweight_fraction": 0.95})
    lifted = [one_set("1", "x", load_mode="bodyweight_plus", weight={"value": 10, "unit": "kg"}, reps=5)]
    measured = Record(
        "measurements", "m", {"kind": "weight", "at": "2026-11-01T08:00:00.000Z", "value": 80, "unit": "kg"}
    )
    volumes = []
    for said, beside in (({}, []), ({}, [measured]), ({"bodyweight": {"value": 100, "unit": "kg"}}, [measured])):
        made = put_together([workout("a", **said)], [block("x", "a")], lifted)
        log = Training(made, Exercises([pull_up], [], {}), "epley", 1, None, "kg", None, beside=beside)
        volumes.append(log.volume(made[0]))
    assert volumes == [0, 5 * (76 + 10), 5 * (95 + 10)]


def test_what_is_narrowed_to_some_workouts_has_the_records_and_the_marks_of_the_whole_log() -> None:
    workouts = [workout(name, started_at=f"2026-11-0{place}T10:00:00.000Z") for place, name in enumerate("abc", 1)]
    blocks = [block(f"{name}/{e}", name, exercise=e) for name in "abc" for e in ("bench", "squat")]
    sets = [
        one_set(f"{each.id}/1", each.id, weight={"value": 100 + place, "unit": "kg"}, reps=5)
        for place, each in enumerate(blocks)
    ]
    moved = block("moved", "b", exercise="squat", moved_from="c/bench")
    whole, narrowed = [training(workouts, [*blocks, moved], sets) for _ in range(2)]
    narrowed.narrow([put_together([workouts[0]], [blocks[0]], [])[0]])
    assert narrowed.ledger.exercises == {"bench"}
    assert narrowed.ledger.of("bench") == whole.ledger.of("bench")
    assert narrowed.ledger.of("bench")["max_weight"].set == "b/bench/1"
    assert narrowed.ledger.marks.items() <= whole.ledger.marks.items()
    assert [narrowed.volume(one) for one in narrowed.workouts] == [whole.volume(one) for one in whole.workouts]


def test_sets_go_to_the_live_session_even_where_it_began_yesterday() -> None:
    live = workout("live", status="active", local_date="2026-11-24", started_at="2026-11-24T23:00:00.000Z")
    made = training([live, workout("over", started_at="2026-11-25T08:00:00.000Z")], [], [])
    today = made.workouts[-1].day
    assert today is not None
    found, back = _target(made, today, live=True), _target(made, today, live=False)
    assert (found and found.id, back and back.id) == ("live", "over")


def test_sets_never_go_to_a_workout_that_was_imported() -> None:
    made = training([workout("a", source={"app": "hevy"})], [], [])
    day = made.workouts[0].day
    assert day is not None and _target(made, day, live=True) is None
