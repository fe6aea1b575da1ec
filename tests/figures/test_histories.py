"""Whatever happens to a log, figures kept up are those worked out anew, and those of the definitions."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from figures.history import History
from figures.quantities import ONE
from figures.records import Difference, Key, PersonalRecord, Records
from figures.spaces import Person
from figures.steps import at_once
from tests.figures.counted import counted
from tests.figures.log import CATALOG, CLUB, GYM, HOME, ME, Log, kg, lb
from tests.figures.oracle import Oracle

TODAY = date(2026, 11, 25)
DAYS = ["2026-11-02", "2026-11-10", "2026-11-20"]
TIMES = [f"{day}T{hour:02}:00:00.000Z" for day in DAYS for hour in (8, 23)]
PEOPLE = [ME, "you"]
# The ids of the populated log: in each space some of them stand.
SETS, BLOCKS = [f"s{n}" for n in range(12)], [f"b{n}" for n in range(6)]

# What is written to which field of which collection.
EDITS: dict[str, dict[str, list[Any]]] = {
    "sets": {
        "weight": [None, kg(0), kg(20), kg(100), kg(102.0583), lb(225), lb(45)],
        "reps": [None, 0, 1, 5, 5.5, 12, 13],
        "kind": ["normal", "normal", "warmup", "drop"],
        "completed_at": [None, *TIMES],
        "load_mode": ["external", "bodyweight_plus", "assisted", "none"],
        "position": ["a", "b", "c"],
        "athlete": [None, None, *PEOPLE],
        "moved_from": [None, *SETS],
        "duration_s": [None, 0, 30.5],
        "distance": [None, {"value": 1, "unit": "mi"}, {"value": 2.5, "unit": "km"}],
    },
    "workout_exercises": {
        "exercise": ["bench", "pull-up", "dip", "own"],
        "position": ["a", "b", "c"],
        "moved_from": [None, *BLOCKS],
    },
    "workouts": {
        "status": ["completed", "completed", "active", "discarded"],
        "started_at": [None, *TIMES],
        "local_date": [None, *DAYS],
        "bodyweight": [None, None, kg(80), lb(10)],
    },
    "participants": {"athlete": PEOPLE, "bodyweight": [None, kg(90)]},
    "exercises": {"bodyweight_fraction": [None, 0.5, 1], "primary_muscles": [[], ["lats"]]},
    "measurements": {"at": TIMES, "value": [15.5, 75.5, 180], "unit": ["kg", "lb"], "kind": ["weight", "waist"]},
    "preferences": {
        "one_rep_max": ["epley", "brzycki"],
        "timezone": ["UTC", "Asia/Tokyo"],
        "first_weekday": [1, 7],
        "weekly_target": [1, 2],
    },
    "goals": {"kind": ["volume", "bodyweight", "habit"], "target": [0.5, 70]},
}
# Most of what happens, happens to sets; and below a workout more hangs than below a goal.
OFTEN = ["sets"] * 8 + ["workout_exercises"] * 5 + ["workouts"] * 5 + ["measurements"] * 2 + list(EDITS)


def populated() -> Log:
    """A log with a bit of everything in each space; w2 and what is below it stands in all of them."""
    log = Log()
    log.put("preferences", "nil", one_rep_max="epley", timezone="UTC", first_weekday=1, weekly_target=1)
    log.put("exercises", "own", bodyweight_fraction=0.64)
    log.put("goals", "g", kind="volume", target=70)
    for n, day in enumerate(DAYS):
        log.put("measurements", f"m{n}", kind="weight", at=f"{day}T10:00:00.000Z", value=75.5 + n, unit="kg")
    for space, by, workouts in ((HOME, ME, [0, 1, 2]), (GYM, "you", [2, 3]), (CLUB, ME, [2, 4, 5])):
        for n in workouts:
            started_at = f"{DAYS[n % 3]}T12:00:00.000Z"
            log.put("workouts", f"w{n}", space=space, by=by, status="completed", started_at=started_at)
            exercise, mode = [("bench", "external"), ("own", "bodyweight_plus"), ("dip", "assisted")][n % 3]
            log.put("workout_exercises", f"b{n}", space=space, by=by, workout=f"w{n}", exercise=exercise, position="a")
            for each in (2 * n, 2 * n + 1):
                log.put(
                    "sets", f"s{each}", space=space, by=by, workout_exercise=f"b{n}", position="a", kind="normal",
                    weight=kg(100 if mode == "external" else 10), reps=1 if n == 0 else 5, load_mode=mode,
                    completed_at=started_at,
                )  # fmt: skip
        log.put("participants", f"p-{space}", space=space, workout=f"w{workouts[-1]}", athlete=ME)
    return log


def happen(log: Log, number: int) -> None:
    """Let something happen to a log; the number says what."""
    chance = Random(number)
    by = chance.choice(PEOPLE)
    if chance.random() < 0.05:
        log.leave(chance.choice([GYM, CLUB]))
        return
    if chance.random() < 0.1:
        space, workout = chance.choice([GYM, CLUB]), f"w{chance.randrange(6)}"
        if (space, "workouts", workout) in log.records and (space, "participants", "p") not in log.records:
            log.put("participants", "p", space=space, by=by, workout=workout, athlete=chance.choice(PEOPLE))
        return
    collection = chance.choice(OFTEN)
    keys = sorted(key for key in log.records if key[1] == collection)
    if not keys:
        return
    space, _, id = chance.choice(keys)
    if chance.random() < 0.15:
        before = dict(log.records)
        log.delete(collection, id, space=space)
        if chance.random() < 0.7:
            log.catch_up()
            log.restore(before)
        return
    name = chance.choice(sorted(EDITS[collection]))
    log.put(
        collection, id, space=space, by=ME if space == HOME else by, **{name: chance.choice(EDITS[collection][name])}
    )


# What happens, one thing after the other: Hypothesis leaves out what does not matter to a failure.
happenings = st.lists(st.integers(0, 2**32 - 1), min_size=25, max_size=60)


def state(history: History) -> tuple[Any, ...]:
    return (
        history.lifts, history.sessions, list(history.weighings()), history.preferences, dict(history.goals),
        dict(history.lifts_of_exercise), dict(history.lifts_of_workout),
    )  # fmt: skip


def apply(difference: Difference, to: dict[Key, PersonalRecord]) -> None:
    """What a reader of differences knows."""
    for one in difference.new:
        assert one.key not in to
        to[one.key] = one
    for one in difference.changed:
        assert to[one.key] != one
        to[one.key] = one
    for one in difference.withdrawn:
        assert to.pop(one.key) == one


@given(happenings)
def test_figures_that_are_kept_up_equal_those_worked_out_anew_after_every_change(numbers: list[int]) -> None:
    log, records, told = populated(), Records(), dict[Key, PersonalRecord]()
    for number in numbers:
        happen(log, number)
        if number % 3 == 0:
            # Some changes come alone, some together.
            continue
        history = log.catch_up()
        apply(records.update(history, history.take_dirty()), told)

        anew, all_anew = log.fresh(), Records()
        all_anew.update(anew)
        assert state(history) == state(anew)
        assert list(records) == list(all_anew)
        assert told == {one.key: one for one in records}


@given(happenings)
def test_lifts_and_records_are_those_of_the_definitions(numbers: list[int]) -> None:
    log, records = populated(), Records()
    for number in numbers:
        happen(log, number)
        if number % 4:
            continue
        history, oracle = log.catch_up(), Oracle(log)
        records.update(history, history.take_dirty())

        loads = {id: Fraction(one.load, ONE) if one.load is not None else None for id, one in history.lifts.items()}
        assert loads == {id: one.load for id, one in oracle.done.items()}
        found = {
            (one.exercise, one.kind, Fraction(one.weight) if one.weight is not None else None): one for one in records
        }
        expected = oracle.records()
        assert found.keys() == expected.keys()
        for key, (value, holder) in expected.items():
            assert (found[key].set or found[key].workout) == holder
            # Quotients end at the seventeenth decimal; everything else is exact.
            within = Fraction(1, 10**17) if key[1] in ("one_rep_max", "pace") else 0
            assert abs(Fraction(found[key].value) - value) <= within


@given(happenings, st.randoms())
def test_the_order_in_which_records_are_read_does_not_matter(numbers: list[int], chance: Any) -> None:
    log = populated()
    for number in numbers:
        happen(log, number)
    feed = [log.stored(key) for key in log.records]
    chance.shuffle(feed)
    shuffled = History(Person(ME, HOME), CATALOG)
    shuffled.catch_up(feed)
    assert state(shuffled) == state(log.fresh())


@given(happenings, st.integers(1, 40))
def test_nor_does_it_matter_how_many_pages_they_are_read_in(numbers: list[int], size: int) -> None:
    log = populated()
    for number in numbers:
        happen(log, number)
    feed = [log.stored(key) for key in log.records]
    paged = History(Person(ME, HOME), CATALOG)
    for first in range(0, len(feed), size):
        at_once(paged.take_in_steps(feed[first : first + size]))
    at_once(paged.work_out_in_steps())
    assert state(paged) == state(log.fresh())


def test_somebody_who_weighs_themselves_before_every_workout_costs_in_proportion_to_the_days() -> None:
    def steps(days: int) -> int:
        log = Log()
        for n in range(days):
            day = str(TODAY - timedelta(days=n))
            log.put("measurements", f"m{n}", kind="weight", at=f"{day}T08:00:00.000Z", value=80, unit="kg")
            log.workout(f"w{n}", day)
            log.set("pull-up", f"w{n}", reps=5)
        history, feed = History(Person(ME, HOME), CATALOG), [log.stored(key) for key in log.records]
        # A page a day.
        taken = sum(counted(history.take_in_steps(feed[first : first + 4]))[0] for first in range(0, len(feed), 4))
        return taken + counted(history.work_out_in_steps())[0]

    assert steps(200) <= 2 * steps(100) + 1
