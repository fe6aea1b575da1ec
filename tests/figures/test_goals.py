"""Goals follow what was done, between their days, in their own unit."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from figures.goals import Progress, progress_of, progress_of_in_steps
from tests.figures.counted import counted
from tests.figures.log import Log, kg, lb

TODAY = date(2026, 11, 25)


@pytest.fixture
def log() -> Log:
    log = Log()
    for n, day in enumerate(("2026-10-01", "2026-11-04", "2026-11-11", "2026-11-25")):
        log.workout(f"w{n}", day)
        log.set(workout=f"w{n}", weight=kg(80 + 10 * n), reps=5)
    return log


def goal(log: Log, today: date = TODAY, **values: Any) -> Progress:
    log.put("goals", "g", **{"exercise": None, "unit": None, "start": None, **values})
    return progress_of(log.catch_up(), today)["g"]


def test_strength_is_the_heaviest_weight_and_reached_on_its_day(log: Log) -> None:
    found = goal(log, kind="strength", exercise="bench", target=100, start=60)
    assert [found.current, found.target, found.unit, found.share] == [110, 100, "kg", 1]
    assert found.reached_on == date(2026, 11, 11)


def test_an_estimate_reaches_no_strength_goal(log: Log) -> None:
    found = goal(log, kind="strength", exercise="bench", target=120)
    assert [found.current, found.reached_on] == [110, None]
    assert found.share == Decimal("0.9167")


def test_pounds_are_compared_exactly(log: Log) -> None:
    log.set(workout="w3", weight=lb(245), reps=1)
    found = goal(log, kind="strength", exercise="bench", target=245, unit="lb")
    assert [found.current, found.reached_on] == [245, TODAY]


def test_strength_in_reps_counts_repetitions(log: Log) -> None:
    log.set("pull-up", workout="w2", reps=12)
    assert goal(log, kind="strength", exercise="pull-up", target=15, unit="reps").current == 12


def test_volume_adds_up_between_the_days_of_the_goal(log: Log) -> None:
    assert goal(log, kind="volume", target=1500).current == 400 + 450 + 500 + 550
    found = goal(log, kind="volume", target=900, starts_on="2026-11-01", due_on="2026-11-11")
    assert [found.current, found.reached_on] == [950, date(2026, 11, 11)]


def test_a_goal_may_be_of_one_exercise(log: Log) -> None:
    log.set("squat", workout="w1", weight=kg(100), reps=1)
    assert goal(log, kind="volume", target=1, exercise="squat").current == 100
    assert goal(log, kind="workouts", target=1, exercise="squat").current == 1
    assert goal(log, kind="workouts", target=1, exercise=None).current == 4


def test_what_lies_in_the_future_does_not_count_yet(log: Log) -> None:
    assert goal(log, date(2026, 11, 10), kind="workouts", target=4, due_on="2026-12-31").current == 2
    assert goal(log, date(2026, 11, 10), kind="workouts", target=4, due_on=None).current == 2


def test_distance_is_in_kilometres_unless_it_says_otherwise(log: Log) -> None:
    for workout in ("w1", "w2"):
        log.set("run", workout=workout, distance={"value": 1, "unit": "mi"})
    assert goal(log, kind="distance", target=5).current == Decimal("3.218688")
    assert goal(log, kind="distance", target=5, unit="mi").current == 2


def test_a_habit_is_weeks_in_a_row_that_met_the_target_or_days(log: Log) -> None:
    found = goal(log, kind="habit", target=2)
    assert [found.current, found.unit, found.reached_on] == [2, "weeks", date(2026, 11, 11)]
    assert goal(log, kind="habit", target=2, unit="days").current == 4
    log.workout("again", "2026-11-12")
    log.workout("between", "2026-11-18")
    assert goal(log, kind="habit", target=2).current == 4
    log.put("preferences", "nil", weekly_target=2)
    assert goal(log, kind="habit", target=2).current == 1
    log.put("preferences", "nil", weekly_target=3)
    assert goal(log, kind="habit", target=2).current == 0


def weigh(log: Log, day: str, value: float) -> None:
    log.put("measurements", day, kind="weight", at=f"{day}T08:00:00.000Z", value=value, unit="kg")


def test_a_bodyweight_goal_goes_down_from_what_it_was_when_it_began(log: Log) -> None:
    weigh(log, "2026-09-30", 90)
    weigh(log, "2026-11-10", 84)
    found = goal(log, kind="bodyweight", target=80, starts_on="2026-10-01")
    assert [found.start, found.current, found.share, found.reached_on] == [90, 84, Decimal("0.6"), None]
    weigh(log, "2026-11-20", 79.5)
    weigh(log, "2026-11-24", 81)
    found = goal(log, kind="bodyweight", target=80)
    assert [found.current, found.share, found.reached_on] == [81, Decimal("0.9"), date(2026, 11, 20)]


def test_a_bodyweight_goal_goes_up_from_a_start_that_was_given(log: Log) -> None:
    weigh(log, "2026-11-10", 70)
    found = goal(log, kind="bodyweight", target=75, start=65)
    assert [found.start, found.share] == [65, Decimal("0.5")]


def test_without_a_measurement_nobody_knows(log: Log) -> None:
    found = goal(log, kind="bodyweight", target=75)
    assert (found.start, found.current, found.share, found.reached_on) == (None, None, None, None)


def test_a_goal_of_ones_own_kind_counts_nothing(log: Log) -> None:
    found = goal(log, kind="custom", target=1, unit="muscle-ups")
    assert (found.current, found.share, found.unit) == (None, None, "muscle-ups")


def test_a_correction_takes_a_reached_goal_back(log: Log) -> None:
    assert goal(log, kind="strength", exercise="bench", target=110).reached_on == TODAY
    log.put("sets", "s0004", weight=kg(101))
    assert goal(log, kind="strength", exercise="bench", target=110).reached_on is None


def test_a_target_that_is_the_start_is_reached_at_once(log: Log) -> None:
    weigh(log, "2026-11-10", 70)
    found = goal(log, kind="bodyweight", target=70)
    assert [found.share, found.reached_on] == [1, date(2026, 11, 10)]


# The log has four workouts on as many days, with a set each, and here a weighing on each of these days.
@pytest.mark.parametrize(
    ("values", "goes_through"),
    [
        ({"kind": "habit"}, ["workouts", "days"]),
        ({"kind": "habit", "unit": "days"}, ["workouts"]),
        ({"kind": "workouts"}, ["workouts"]),
        ({"kind": "workouts", "exercise": "bench"}, ["sets", "workouts"]),
        ({"kind": "strength", "exercise": "bench"}, ["sets", "days"]),
        ({"kind": "volume"}, ["sets", "days"]),
        ({"kind": "bodyweight"}, ["weighings"]),
    ],
    ids=str,
)
def test_each_of_what_a_goal_goes_through_is_a_step(log: Log, values: dict[str, Any], goes_through: list[str]) -> None:
    for day in ("2026-10-01", "2026-11-04", "2026-11-11", "2026-11-25"):
        weigh(log, day, 80)
    log.put("goals", "g", target=1, **values)
    steps, _ = counted(progress_of_in_steps(log.catch_up(), TODAY))
    # Beside the one that each goal is.
    assert steps - 1 >= 4 * len(goes_through)
