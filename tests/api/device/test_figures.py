"""The figures are those of the data model, exactly, whatever the order of the sets."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction as F
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.command_line.device.figures import Lift, one_rep_max, records, streak, week_of

DONE = "2026-11-25T10:00:00.000Z"


def lift(place: int, workout: str = "a", exercise: str = "bench", **values: Any) -> Lift:
    body, share = values.pop("bodyweight", None), values.pop("fraction", None)
    whole = {"completed_at": DONE, "kind": "normal", "load_mode": "external", **values}
    return Lift(f"{place:04}", workout, exercise, (workout, f"{place:04}"), whole, body, share)


def kg(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "kg"}


def best(lifts: list[Lift], kind: str, exercise: str = "bench") -> F | None:
    found = records(lifts).bests.get((exercise, kind))
    return found.value if found else None


def test_one_rep_is_the_weight_and_epley_counts_from_two_to_twelve() -> None:
    assert one_rep_max(F(100), F(1)) == 100
    assert one_rep_max(F(100), F(2)) == 100 + F(100, 15)
    assert one_rep_max(F(100), F(12)) == 140
    assert one_rep_max(F(100), F(13)) is None
    assert one_rep_max(F(100), F(0)) is None


def test_brzycki_and_the_rpe_table_are_by_preference() -> None:
    assert one_rep_max(F(100), F(5), "brzycki") == F(3600, 32)
    assert one_rep_max(F(100), F(1), "rpe_table", F(10)) == 100
    assert one_rep_max(F(863), F(5), "rpe_table", F(10)) == 1000
    assert one_rep_max(F(100), F(5), "rpe_table") is None


def test_pounds_are_converted_exactly() -> None:
    assert lift(1, weight={"value": 225, "unit": "lb"}, reps=5).load == F("102.05828325")
    assert lift(1, weight={"value": 0.1, "unit": "kg"}, reps=3).volume == F("0.3")


def test_the_effective_load_counts_the_body_by_the_exercises_fraction() -> None:
    body = {"bodyweight": F(80), "fraction": F("0.95")}
    assert lift(1, load_mode="bodyweight_plus", reps=5, **body).load == 76
    assert lift(1, load_mode="bodyweight_plus", weight=kg(10), reps=5, **body).load == 86
    assert lift(1, load_mode="assisted", weight=kg(20), reps=5, **body).load == 56
    assert lift(1, load_mode="none", weight=kg(20), **body).load is None


def test_without_the_bodys_weight_there_is_no_load_and_nothing_is_guessed() -> None:
    pull_up = lift(1, load_mode="bodyweight_plus", weight=kg(10), reps=5)
    assert pull_up.load is None
    assert best([pull_up], "one_rep_max") is None
    assert best([pull_up], "max_weight") == 10


@pytest.mark.parametrize("values", [{"kind": "warmup"}, {"completed_at": None}])
def test_warm_ups_and_sets_that_are_not_done_hold_no_record(values: dict[str, Any]) -> None:
    assert records([lift(1, weight=kg(100), reps=5, **values)]).bests == {}


def test_the_records_of_an_exercise() -> None:
    lifts = [
        lift(1, weight=kg(100), reps=5),
        lift(2, weight=kg(110), reps=2),
        lift(3, weight=kg(60), reps=15),
        lift(4, workout="b", weight=kg(100), reps=6),
    ]
    assert best(lifts, "max_weight") == 110
    assert best(lifts, "max_reps") == 15
    assert best(lifts, "one_rep_max") == 120
    assert best(lifts, "set_volume") == 900
    assert best(lifts, "session_volume") == 500 + 220 + 900
    assert {w: one.value for w, one in records(lifts).at_weight["bench"].items()} == {100: 6, 110: 2, 60: 15}


def test_time_distance_and_pace_have_records_of_their_own() -> None:
    lifts = [
        lift(1, exercise="run", load_mode="none", distance={"value": 5, "unit": "km"}, duration_s=1500),
        lift(2, exercise="run", load_mode="none", distance={"value": 10, "unit": "km"}, duration_s=3600),
    ]
    assert best(lifts, "distance", "run") == 10_000
    assert best(lifts, "duration", "run") == 3600
    assert best(lifts, "pace", "run") == F(5000, 1500)


def test_less_help_is_better() -> None:
    lifts = [lift(n, load_mode="assisted", weight=kg(help), reps=5) for n, help in ((1, 30), (2, 20), (3, 25))]
    assert best(lifts, "least_assistance") == 20
    assert best(lifts, "max_weight") is None


def test_the_first_to_reach_a_value_holds_the_record() -> None:
    found = records([lift(1, weight=kg(100), reps=5), lift(2, workout="b", weight=kg(100), reps=5)])
    assert found.bests["bench", "max_weight"].lift.id == "0001"
    assert found.marks == {}


def test_a_set_is_marked_where_it_broke_a_record_of_before_and_was_not_passed_the_same_day() -> None:
    lifts = [
        lift(1, weight=kg(100), reps=5),
        lift(2, workout="b", weight=kg(101), reps=5),
        lift(3, workout="b", weight=kg(105), reps=5),
        lift(4, workout="b", weight=kg(105), reps=5),
    ]
    assert records(lifts).marks == {"0003": ("max_weight", "one_rep_max")}


def test_the_first_workout_with_an_exercise_marks_nothing() -> None:
    assert records([lift(1, weight=kg(100), reps=5), lift(2, weight=kg(110), reps=5)]).marks == {}


def test_most_reps_are_marked_only_where_no_weight_is_lifted() -> None:
    push_ups = [lift(1, load_mode="bodyweight_plus", reps=20), lift(2, "b", load_mode="bodyweight_plus", reps=25)]
    assert records(push_ups).marks == {"0002": ("max_reps",)}
    light = [lift(1, weight=kg(100), reps=5), lift(2, "b", weight=kg(20), reps=30)]
    assert records(light).marks == {}


sets = st.builds(
    lambda n, w, r, k: lift(n, workout=f"w{n // 3}", weight=kg(w), reps=r, kind=k),
    st.integers(0, 9_999),
    st.integers(0, 200),
    st.integers(0, 15),
    st.sampled_from(["normal", "warmup"]),
)


@given(st.lists(sets, unique_by=lambda one: one.id, max_size=12), st.randoms())
def test_the_order_in_which_sets_are_read_does_not_matter(lifts: list[Lift], random: Any) -> None:
    shuffled = lifts.copy()
    random.shuffle(shuffled)
    here, there = records(lifts), records(shuffled)
    assert (here.bests, here.at_weight, here.marks) == (there.bests, there.at_weight, there.marks)
    counting = [one.weight for one in lifts if one.counts and one.weight and one.reps]
    assert best(lifts, "max_weight") == max(counting, default=None)


# -- weeks -----------------------------------------------------------------------------------------------------

WEDNESDAY = date(2026, 11, 25)


def test_a_week_begins_on_the_users_own_weekday() -> None:
    assert week_of(WEDNESDAY, 1) == date(2026, 11, 23)
    assert week_of(WEDNESDAY, 7) == date(2026, 11, 22)
    assert week_of(WEDNESDAY, 3) == WEDNESDAY


def test_a_streak_is_the_weeks_in_a_row_that_had_enough_days() -> None:
    days = [WEDNESDAY - timedelta(days=7 * weeks + day) for weeks in (1, 2, 4) for day in (0, 1)]
    assert streak(days, WEDNESDAY, 1, 2) == 2
    assert streak(days, WEDNESDAY, 1, 3) == 0


def test_a_week_that_is_not_over_breaks_no_streak_and_counts_once_it_has_its_days() -> None:
    days = [WEDNESDAY - timedelta(days=7), WEDNESDAY - timedelta(days=14)]
    assert streak(days, WEDNESDAY, 1, 1) == 2
    assert streak([*days, WEDNESDAY, WEDNESDAY], WEDNESDAY, 1, 1) == 3
    assert streak([*days, WEDNESDAY, WEDNESDAY], WEDNESDAY, 1, 2) == 0


def test_a_day_of_the_future_is_in_no_streak() -> None:
    assert streak([WEDNESDAY + timedelta(days=1)], WEDNESDAY, 1, 1) == 0
