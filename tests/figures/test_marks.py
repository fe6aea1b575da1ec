"""Which sets are marked for a record that they broke, and keep the mark."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures.marks import marks_of
from tests.figures.log import Log, kg


@pytest.fixture
def log() -> Log:
    """Three workouts, in order."""
    log = Log()
    for name, day in (("a", "2026-11-01"), ("b", "2026-11-02"), ("w", "2026-11-03")):
        log.workout(name, day)
    return log


def marks(log: Log) -> dict[str, tuple[str, ...]]:
    return marks_of(log.catch_up().lifts.values())


def test_a_set_is_marked_where_it_broke_a_record_of_before_and_was_not_passed_the_same_day(log: Log) -> None:
    log.set(workout="a", weight=kg(100), reps=5)
    log.set(workout="b", weight=kg(101), reps=5)
    best = log.set(workout="b", weight=kg(105), reps=5)
    log.set(workout="b", weight=kg(105), reps=5)
    assert marks(log) == {best: ("max_weight", "one_rep_max")}


def test_a_mark_stays_when_the_record_is_broken_again(log: Log) -> None:
    log.set(workout="a", weight=kg(100), reps=5)
    then, later = [log.set(workout=workout, weight=kg(100), reps=reps) for workout, reps in (("b", 6), ("w", 7))]
    assert marks(log) == {then: ("one_rep_max",), later: ("one_rep_max",)}


def test_the_first_workout_with_an_exercise_marks_nothing(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    log.set(weight=kg(110), reps=5)
    assert marks(log) == {}


def test_most_reps_are_marked_only_where_no_weight_is_lifted(log: Log) -> None:
    log.set("pull-up", workout="a", reps=20)
    more = log.set("pull-up", workout="b", reps=25)
    assert marks(log) == {more: ("max_reps",)}
    log.set("pull-up", workout="a", weight=kg(5), reps=1)
    assert marks(log) == {}


@given(st.lists(st.tuples(st.sampled_from("abw"), st.integers(0, 150), st.integers(0, 15)), max_size=10), st.randoms())
def test_the_order_in_which_sets_are_read_does_not_matter(sets: list[tuple[str, int, int]], random: Any) -> None:
    log = Log()
    for place, name in enumerate("abw", 1):
        log.workout(name, f"2026-11-0{place}")
    for workout, weight, reps in sets:
        log.set(workout=workout, weight=kg(weight), reps=reps)
    lifts = list(log.catch_up().lifts.values())
    expected = marks_of(lifts)
    random.shuffle(lifts)
    assert marks_of(lifts) == expected
