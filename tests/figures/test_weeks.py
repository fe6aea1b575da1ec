"""Weeks and streaks by the user's own weekday, target and days."""

from __future__ import annotations

from datetime import date, timedelta

from figures.weeks import streak, streak_of, week_of
from tests.figures.log import Log

WEDNESDAY = date(2026, 11, 25)
WEEK = timedelta(days=7)


def test_a_week_begins_on_the_users_own_weekday() -> None:
    assert [week_of(WEDNESDAY, day) for day in (1, 7, 3, 4)] == [
        date(2026, 11, 23), date(2026, 11, 22), WEDNESDAY, date(2026, 11, 19),
    ]  # fmt: skip


def test_the_first_week_of_the_calendar_begins_with_it() -> None:
    assert week_of(date(1, 1, 2), 7) == date(1, 1, 1)


def test_a_streak_is_the_weeks_in_a_row_with_enough_distinct_days() -> None:
    days = [WEDNESDAY - WEEK * weeks + timedelta(days=day) for weeks in (1, 2, 4) for day in (0, 1)] * 2
    found = streak(days, WEDNESDAY, target=2)
    assert (found.current, found.longest, found.since) == (2, 2, date(2026, 11, 9))
    assert streak(days, WEDNESDAY, target=3).current == 0


def test_a_week_that_still_goes_on_breaks_no_streak_and_counts_once_it_has_its_days() -> None:
    days = [WEDNESDAY - WEEK, WEDNESDAY - 2 * WEEK]
    assert streak(days, WEDNESDAY).current == 2
    assert streak([*days, WEDNESDAY], WEDNESDAY).current == 3
    assert streak(days, WEDNESDAY + WEEK).current == 0


def test_the_longest_streak_stays_when_it_is_over() -> None:
    days = [WEDNESDAY - WEEK * n for n in (10, 11, 12, 1)]
    found = streak(days, WEDNESDAY)
    assert (found.current, found.longest) == (1, 3)


def test_a_day_of_the_future_is_in_no_streak() -> None:
    found = streak([WEDNESDAY + timedelta(days=1)], WEDNESDAY)
    assert (found.current, found.longest, found.days_this_week, found.since) == (0, 0, 0, None)


def test_a_streak_goes_by_preferences_and_the_workouts_own_days() -> None:
    log = Log()
    # By their clocks this is one day in a week that begins on Sunday, and two in one that begins on Monday.
    log.workout("a", started_at="2026-11-22T23:30:00.000Z", local_date="2026-11-22")
    log.workout("b", started_at="2026-11-22T23:40:00.000Z", local_date="2026-11-23")
    log.put("preferences", "nil", weekly_target=2, first_weekday=7)
    assert streak_of(log.catch_up(), WEDNESDAY).current == 1
    log.put("preferences", "nil", first_weekday=1)
    found = streak_of(log.catch_up(), WEDNESDAY)
    assert (found.current, found.days_this_week, found.target) == (0, 1, 2)


def test_who_never_said_how_often_needs_one_day_a_week() -> None:
    log = Log()
    log.workout("a")
    assert streak_of(log.catch_up(), WEDNESDAY).current == 1
