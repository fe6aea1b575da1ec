"""Programs of several weeks: which day a session is of."""

from __future__ import annotations

from api.training.programs import DAYS_MAX, days_of, next_day
from api.training.progression import Block, Past, planned_id

SQUAT, BENCH, PULL = "squat", "bench", "pull"


def on(id: str, week: int | None = None, day: int | None = None, exercise: str = SQUAT) -> Block:
    return Block({"exercise": exercise, "week": week, "day": day}, [], id)


def done(workout: str, *exercises: str) -> Past:
    """A session that was started from these exercises of the template."""
    return Past(None, [Block({}, [], planned_id(workout, each)) for each in exercises], workout)


TWO_WEEKS = [on("a", 1, 1), on("b", 1, 3), on("c", 2, 1), on("d", 2, 3)]


def test_the_days_of_a_program_are_those_that_its_exercises_name() -> None:
    assert days_of(TWO_WEEKS, None) == [(1, 1), (1, 3), (2, 1), (2, 3)]
    assert days_of([on("a")], None) == [(None, None)]
    assert days_of([], 4) == [(None, None)]


def test_what_stands_in_every_week_stands_in_as_many_as_the_program_has() -> None:
    assert days_of([on("a", None, 1), on("b", None, 2)], 2) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert days_of([on("a", None, 1), on("b", 7, 2)], None) == [(7, 1), (7, 2)]
    # Without a day, on every day that there is.
    assert days_of([on("a", 1, None), on("b", 1, 4)], None) == [(1, 4)]


def test_no_program_has_more_days_than_anybody_trains() -> None:
    assert len(days_of([on(str(day), None, day) for day in range(1, 367)], 520)) == DAYS_MAX


def test_a_program_begins_with_its_first_day_and_begins_anew_behind_its_last() -> None:
    days, past = days_of(TWO_WEEKS, None), []
    seen = []
    for number, each in enumerate("abcda"):
        seen.append(next_day(days, TWO_WEEKS, past))
        past.insert(0, done(str(number), each))
    assert seen == [(1, 1), (1, 3), (2, 1), (2, 3), (1, 1)]


def test_what_follows_is_what_follows_the_day_that_was_done_last_and_not_their_number() -> None:
    days = days_of(TWO_WEEKS, None)
    assert next_day(days, TWO_WEEKS, [done("2", "c"), done("1", "a")]) == (2, 3)
    assert next_day(days, TWO_WEEKS, [done("2", "a"), done("1", "a")]) == (1, 3)


def test_what_is_asked_for_is_found_from_the_next_day_on() -> None:
    days, past = days_of(TWO_WEEKS, None), [done("1", "b")]
    assert next_day(days, TWO_WEEKS, past, day=3) == (2, 3)
    assert next_day(days, TWO_WEEKS, past, week=1) == (1, 1)
    assert next_day(days, TWO_WEEKS, past, week=1, day=3) == (1, 3)
    assert next_day(days, TWO_WEEKS, past, week=3) is None


def test_of_days_that_look_alike_the_next_one_was_done() -> None:
    every = [on("a", None, 1), on("b", None, 2)]
    days = days_of(every, 2)
    past = [done("3", "a"), done("2", "b"), done("1", "a")]
    assert next_day(days, every, past) == (2, 2)


def test_a_session_of_a_device_is_of_the_day_whose_exercises_it_did() -> None:
    program = [on("a", None, 1, SQUAT), on("b", None, 2, BENCH), on("c", None, 3, PULL)]
    days = days_of(program, None)

    def by_device(exercise: str) -> Past:
        return Past(None, [Block({"exercise": exercise}, [], "own")], "w")

    assert next_day(days, program, [by_device(BENCH)]) == (None, 3)
    # One that did something else counts as the one that was next.
    assert next_day(days, program, [by_device("else"), by_device(SQUAT)]) == (None, 3)
