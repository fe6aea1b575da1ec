"""What a span of days adds up to."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from figures.analytics import TIMEFRAMES, WEEKS_MAX, Totals, analyse, compare
from figures.exercise_progress import progress_of_exercise
from figures.records import Records
from tests.figures.log import Log, kg, lb

TODAY = date(2026, 11, 25)


@pytest.fixture
def log() -> Log:
    """Two workouts today, one within the last 7 days, one in the 7 before."""
    log = Log()
    log.workout("old", "2026-11-18", ended_at="2026-11-18T13:00:00.000Z")
    log.workout("recent", "2026-11-19")
    log.workout("one", ended_at="2026-11-25T12:30:00.000Z")
    log.workout("two")
    log.set(workout="old", weight=kg(100), reps=5)
    log.set(workout="recent", weight=lb(100), reps=10)
    log.set("squat", workout="one", weight=kg(50), reps=4)
    log.set("run", workout="two", distance={"value": 5, "unit": "km"}, duration_s=1500)
    log.set(workout="two", weight=kg(50), reps=4, kind="warmup")
    return log


def test_totals_are_of_the_days_of_the_span_and_exact(log: Log) -> None:
    totals = analyse(log.catch_up(), "7d", TODAY).totals
    assert totals == Totals(
        workouts=3,
        days=2,
        sets=3,
        reps=Decimal(14),
        volume=Decimal("653.59237"),
        distance=Decimal(5000),
        duration=Decimal(1800),
    )


def test_a_span_is_compared_with_as_many_days_before_it(log: Log) -> None:
    found = analyse(log.catch_up(), "7d", TODAY)
    assert found.before is not None and found.change is not None
    assert [found.before.workouts, found.before.volume] == [1, 500]
    assert [found.change["workouts"].difference, found.change["workouts"].percent] == [2, Decimal("200.0")]
    assert found.change["volume"].difference == Decimal("153.59237")
    # There was no way before, and nothing is so and so many percent of nothing.
    assert found.change["distance"].percent is None


def test_the_span_before_ends_where_this_one_begins_and_is_as_long(log: Log) -> None:
    log.workout("first of the days before", "2026-11-12")
    log.workout("too long ago", "2026-11-11")
    found = analyse(log.catch_up(), "7d", TODAY)
    assert found.before is not None
    assert (found.totals.workouts, found.before.workouts) == (3, 2)


def test_all_begins_with_the_first_workout_and_has_nothing_before_it(log: Log) -> None:
    found = analyse(log.catch_up(), "all", TODAY)
    assert (found.span.first, found.span.last, found.totals.workouts) == (date(2026, 11, 18), TODAY, 4)
    assert (found.before, found.change) == (None, None)


def test_the_spans_are_of_so_many_days_with_today() -> None:
    history = Log().catch_up()
    lengths = {name: (found := analyse(history, name, TODAY).span).last - found.first for name in TIMEFRAMES}
    assert {name: length.days + 1 for name, length in lengths.items()} == {
        "7d": 7,
        "30d": 30,
        "90d": 90,
        "1y": 365,
        "all": 1,
    }


def test_a_timeframe_that_is_not_known_is_refused() -> None:
    with pytest.raises(KeyError):
        analyse(Log().catch_up(), "2w", TODAY)


def test_every_week_of_the_span_is_there_trained_in_or_not(log: Log) -> None:
    log.put("preferences", "nil", first_weekday=7)
    found = analyse(log.catch_up(), "30d", TODAY)
    assert [(week.starts, week.totals.workouts) for week in found.weeks] == [
        (date(2026, 10, 25), 0), (date(2026, 11, 1), 0), (date(2026, 11, 8), 0),
        (date(2026, 11, 15), 2), (date(2026, 11, 22), 2),
    ]  # fmt: skip


def test_a_workout_of_the_year_one_does_not_bring_two_thousand_years_of_weeks(log: Log) -> None:
    log.workout("slip", "0001-01-01")
    found = analyse(log.catch_up(), "all", TODAY)
    assert (len(found.weeks), found.totals.workouts, found.weeks[-1].starts) == (WEEKS_MAX, 5, date(2026, 11, 23))


def test_the_weeks_and_the_days_add_up_to_the_whole(log: Log) -> None:
    found = analyse(log.catch_up(), "all", TODAY)
    for parts in (found.weeks, found.days):
        for name in Totals.__struct_fields__:
            assert sum(getattr(part.totals, name) for part in parts) == getattr(found.totals, name)


def test_the_calendar_has_the_days_with_a_workout(log: Log) -> None:
    found = analyse(log.catch_up(), "7d", TODAY)
    assert [(day.date, day.totals.workouts) for day in found.days] == [(date(2026, 11, 19), 1), (TODAY, 2)]


def test_the_day_is_the_users_and_not_the_servers(log: Log) -> None:
    log.workout("late", started_at="2026-11-26T03:00:00.000Z", local_date="2026-11-25")
    assert analyse(log.catch_up(), "7d", TODAY).totals.workouts == 4


def test_exercises_come_with_the_most_trained_first(log: Log) -> None:
    log.set(workout="one", weight=kg(60), reps=5)
    found = analyse(log.catch_up(), "7d", TODAY).exercises
    assert [(one.exercise, one.name, one.workouts, one.sets) for one in found] == [
        ("bench", "Bench Press", 2, 2), ("squat", "Squat", 1, 1), ("run", "Run", 1, 1),
    ]  # fmt: skip
    assert found[0].one_rep_max == 70


def test_a_set_counts_whole_for_a_primary_muscle_and_half_for_a_secondary_one(log: Log) -> None:
    log.set(workout="one", weight=kg(60), reps=5)
    found = analyse(log.catch_up(), "7d", TODAY)
    muscles = {one.muscle: [one.primary, one.secondary, one.sets, one.volume] for one in found.muscles}
    assert muscles["chest"] == [2, 0, 2, Decimal("753.59237")]
    assert muscles["triceps"] == [0, 2, 1, Decimal("376.796185")]
    assert muscles["glutes"] == [0, 1, Decimal("0.5"), 100]
    assert [one.muscle for one in found.muscles][:2] == ["chest", "quadriceps"]
    assert [found.primary_share, found.secondary_share] == [1, Decimal("0.5")]


def test_a_muscle_that_is_both_is_a_primary_one(log: Log) -> None:
    log.put("exercises", "bench", name="Bench", primary_muscles=["chest"], secondary_muscles=["chest"])
    (chest,) = analyse(log.catch_up(), "30d", date(2026, 11, 19)).muscles
    assert (chest.muscle, chest.primary, chest.secondary) == ("chest", 2, 0)


def test_records_are_those_that_were_achieved_in_the_span_and_stand(log: Log) -> None:
    records = Records()
    records.update(log.catch_up())
    found = analyse(log.history, "7d", TODAY, records).records
    assert {one.exercise for one in found} == {"bench", "squat", "run"}
    assert [one.kind for one in found if one.exercise == "bench"] == ["max_reps"]


def test_the_answer_names_the_formula_its_cap_and_the_streak(log: Log) -> None:
    found = analyse(log.catch_up(), "7d", TODAY)
    assert (found.formula, found.reps_max, found.streak.current) == ("epley", 12, 2)


def test_without_training_everything_is_nothing() -> None:
    found = analyse(Log().catch_up(), "30d", TODAY)
    assert found.totals == found.before == Totals(0, 0, 0, *[Decimal(0)] * 4)
    assert (found.days, found.exercises, found.muscles, len(found.weeks)) == ([], [], [], 5)


def test_a_fall_is_a_change_below_nothing() -> None:
    less, more = (Totals(n, n, n, *[Decimal(n)] * 4) for n in (1, 3))
    change = compare(less, more)["sets"]
    assert [change.difference, change.percent] == [-2, Decimal("-66.7")]


def test_the_progress_of_an_exercise_is_workout_by_workout(log: Log) -> None:
    log.set(workout="recent", weight=kg(40), reps=1)
    points = progress_of_exercise(log.catch_up(), "bench")
    assert [(one.workout, one.day, one.sets) for one in points] == [
        ("old", date(2026, 11, 18), ["s0001"]), ("recent", date(2026, 11, 19), ["s0002", "s0006"]),
    ]  # fmt: skip
    assert [points[1].weight, points[1].reps, points[1].volume] == [Decimal("45.359237"), 11, Decimal("493.59237")]


def test_assistance_is_no_heaviest_weight(log: Log) -> None:
    log.set("dip", workout="one", weight=kg(30), reps=5)
    assert progress_of_exercise(log.catch_up(), "dip")[0].weight is None
