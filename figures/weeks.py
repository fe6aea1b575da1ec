"""Weeks and streaks, by the user's own first weekday. Days are the user's; nothing here reads a calendar of its own.

A streak is a run of weeks with `target` distinct training days each. The week that `today` is in breaks no streak while
it still goes on, and counts as soon as it has its days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta

import msgspec

from figures.history import History

_WEEK = timedelta(days=7)
MONDAY = 1
# Who never said how often they want to train has a streak as long as no week goes by without.
TARGET = 1


class Streak(msgspec.Struct, frozen=True):
    """Weeks in a row. since: the first day of the current run's first week. days_this_week: distinct, up to today."""

    current: int
    longest: int
    since: date | None
    target: int
    days_this_week: int
    week_starts: date


def week_of(day: date, first_weekday: int = MONDAY) -> date:
    """The first day of the week that a day is in; weekdays count from 1, a Monday."""
    # The calendar has no day before 0001-01-01, so its first week may begin late.
    return day - timedelta(days=min((day.isoweekday() - first_weekday) % 7, day.toordinal() - 1))


def streak(days: Iterable[date], today: date, *, first_weekday: int = MONDAY, target: int = TARGET) -> Streak:
    """The streak of these training days as it stands today; days of the future are in none."""
    weeks = Counter(week_of(day, first_weekday) for day in set(days) if day <= today)
    this_week = week_of(today, first_weekday)
    met = sorted(week for week, count in weeks.items() if count >= target)
    longest = run = 0
    since: date | None = None
    last: date | None = None
    for week in met:
        going_on = last is not None and week - last == _WEEK
        run, since = (run + 1, since) if going_on else (1, week)
        longest, last = max(longest, run), week
    alive = last is not None and this_week - last <= _WEEK
    return Streak(run if alive else 0, longest, since if alive else None, target, weeks[this_week], this_week)


def training_days(history: History) -> set[date]:
    """Every day on which a workout of the person took place."""
    return {session.day for session in history.sessions.values() if session.day is not None}


def streak_of(history: History, today: date) -> Streak:
    """The person's streak, by their preferences. today: by their calendar."""
    preferences = history.preferences
    return streak(
        training_days(history),
        today,
        first_weekday=preferences.first_weekday or MONDAY,
        target=preferences.weekly_target or TARGET,
    )
