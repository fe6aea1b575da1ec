"""Which day of a program is next: by what was asked for, and by what was done. Pure functions.

Owns: the order of a program's days, how a session says which of them it was of, and what follows.
Refuses to know: what is planned on a day (progression.py), and where records come from.

No field of a workout names the day. An exercise that is planned has an id which follows from its session and from the
exercise of the template, so a session that was started here tells it by its exercises, whatever was added or left out
since. One that a device started by itself tells it where it did what stands on a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from api.training.progression import Block, Past, planned_id

# (week, day): None where the program tells none apart.
Day = tuple[int | None, int | None]

# Ten years of every day; what a device wrote beyond that has no next day.
DAYS_MAX: Final = 3_660
# So much is compared to find the day of a session that says nothing of it; beyond, it counts as the next one.
_COMPARED_MAX: Final = 50_000


def days_of(template: Iterable[Block], weeks: int | None) -> list[Day]:
    """The days of a program in their order; one without weeks and days has a single one.

    An exercise without a week stands in all of them, and one without a day on all of them.

    weeks: how many there are; without it, those that some exercise names.
    """
    return list(islice(_days(template, weeks), DAYS_MAX))


def _days(template: Iterable[Block], weeks: int | None) -> Iterator[Day]:
    on: dict[int | None, set[int | None]] = {}
    for block in template:
        on.setdefault(block.values.get("week"), set()).add(block.values.get("day"))
    always = on.pop(None, set())
    numbers: set[int | None] = {*on, *(range(1, weeks + 1) if weeks is not None and always else ())}
    for week in sorted(numbers, key=int) if numbers else (None,):  # type: ignore[arg-type]
        found = always | on.get(week, set())
        days = sorted(day for day in found if day is not None)
        for day in days or (None,):
            yield week, day


def next_day(
    days: Sequence[Day],
    template: Sequence[Block],
    past: Sequence[Past],
    *,
    week: int | None = None,
    day: int | None = None,
) -> Day | None:
    """The day that a session is of; None where the program has none such.

    Args:
        days: of the program, as `days_of` has them.
        past: the sessions that were made from it and are over, newest first.
        week, day: what was asked for. What was left open is that of the first day that fits, from the one on that
            follows what was done last; behind the last one the program begins anew.
    """
    begin = _last_done(days, template, past) + 1
    for step in range(len(days)):
        found = days[(begin + step) % len(days)]
        if _fits(found[0], week) and _fits(found[1], day):
            return found
    return None


def _fits(stands: int | None, asked: int | None) -> bool:
    return stands is None or asked is None or stands == asked


def _last_done(days: Sequence[Day], template: Sequence[Block], past: Sequence[Past]) -> int:
    """The place of the day that was done last; -1 where none was."""
    maybe: list[Sequence[int]] = []
    for session in past:
        maybe.append(_days_of_session(days, template, session))
        if len(maybe[-1]) == 1:
            break
    place = -1
    for candidates in reversed(maybe):
        # Of days that look alike, the next one; of a session that looks like none, it is the next one too.
        following = [each for each in candidates if each > place] or candidates or [(place + 1) % len(days)]
        place = following[0]
    return place


def _days_of_session(days: Sequence[Day], template: Sequence[Block], session: Past) -> Sequence[int]:
    """The places of the days that a session may have been of."""
    stand = {block.id for block in session.blocks}
    planned = [block for block in template if planned_id(session.id, block.id) in stand]
    if planned:
        weeks, on = ({block.values.get(name) for block in planned} - {None} for name in ("week", "day"))
        return [
            place
            for place, (week, day) in enumerate(days)
            if (not weeks or weeks == {week}) and (not on or on == {day})
        ]
    if len(days) * len(template) > _COMPARED_MAX:
        return []
    done = Counter(block.values.get("exercise") for block in session.blocks)
    return [
        place
        for place, (week, day) in enumerate(days)
        if Counter(
            block.values.get("exercise")
            for block in template
            if _fits(block.values.get("week"), week) and _fits(block.values.get("day"), day)
        )
        == done
    ]
