"""Personal records: what each kind is the best of, who holds it, and what an update says of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from figures.records import WEIGHTS_MAX, Difference, Records
from tests.figures.log import ME, Log, kg, lb


@pytest.fixture
def log() -> Log:
    """A workout on the 20th and one on the 25th."""
    log = Log()
    log.workout("first", "2026-11-20")
    log.workout("w", "2026-11-25")
    return log


def records(log: Log) -> Records:
    found = Records()
    found.update(log.catch_up())
    return found


def best(log: Log, kind: str, exercise: str = "bench", at: float | None = None) -> Decimal | None:
    found = records(log).get(exercise, kind, Decimal(str(at)) if at is not None else None)
    return found.value if found is not None else None


# -- kinds -----------------------------------------------------------------------------------------------------


def test_the_heaviest_weight_is_as_entered_and_the_added_one_where_the_body_is_lifted(log: Log) -> None:
    log.workout("w", bodyweight=kg(80))
    log.set(weight=lb(225), reps=1)
    log.set(weight=kg(100), reps=5)
    log.set("pull-up", weight=kg(10), reps=5)
    assert best(log, "max_weight") == Decimal("102.05828325")
    assert best(log, "max_weight", "pull-up") == 10


def test_the_most_repetitions_are_of_any_weight_and_at_each_one(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    log.set(weight=kg(100), reps=7.5)
    log.set(weight=kg(60), reps=15)
    assert best(log, "max_reps") == 15
    assert best(log, "max_reps_at_weight", at=100) == Decimal("7.5")
    assert best(log, "max_reps_at_weight", at=60) == 15
    assert best(log, "max_reps_at_weight", at=80) is None


def test_a_weight_has_its_record_where_no_heavier_one_was_lifted_as_often(log: Log) -> None:
    for weight, reps in ((60, 12), (80, 12), (90, 5), (100, 5), (100, 4)):
        log.set(weight=kg(weight), reps=reps)
    found = {one.weight: one.value for one in records(log) if one.kind == "max_reps_at_weight"}
    assert found == {80: 12, 100: 5}


def test_of_the_records_at_a_weight_the_heaviest_are_kept(log: Log) -> None:
    for place in range(WEIGHTS_MAX + 5):
        log.set(weight=kg(200 - place), reps=1 + place)
    found = [one.weight for one in records(log) if one.kind == "max_reps_at_weight"]
    assert found == [200 - place for place in reversed(range(WEIGHTS_MAX))]


def test_what_no_record_can_hold_is_none(log: Log) -> None:
    log.set("run", distance={"value": 0.0001, "unit": "m"}, duration_s=604_800)
    assert [one.kind for one in records(log)] == ["duration", "distance"]


def test_the_one_rep_maximum_is_of_the_effective_load_by_the_preferred_formula_and_names_it(log: Log) -> None:
    log.workout("w", bodyweight=kg(80))
    log.set("pull-up", weight=kg(24), reps=6)
    found = records(log).get("pull-up", "one_rep_max")
    assert found is not None
    assert [found.value, found.unit, found.formula] == [120, "kg", "epley"]
    log.put("preferences", "nil", one_rep_max="brzycki")
    found = records(log).get("pull-up", "one_rep_max")
    assert found is not None
    assert (found.values()["value"], found.formula) == (116.129, "brzycki")


def test_the_effort_that_the_rpe_table_asks_for_is_an_rpe_or_what_was_left(log: Log) -> None:
    log.put("preferences", "nil", one_rep_max="rpe_table")
    log.set(weight=kg(81.1), reps=5, rpe=8, rir=9)
    log.set("squat", weight=kg(81.1), reps=5, rir=2)
    assert [best(log, "one_rep_max"), best(log, "one_rep_max", "squat")] == [100, 100]


def test_volume_has_a_best_set_and_a_best_session(log: Log) -> None:
    for weight, workout in ((100, "first"), (90, "w"), (95, "w")):
        log.set(workout=workout, weight=kg(weight), reps=5)
    found = records(log)
    a_set, session = found.get("bench", "set_volume"), found.get("bench", "session_volume")
    assert a_set is not None and session is not None
    assert [a_set.value, a_set.set, a_set.workout] == [500, "s0001", "first"]
    assert [session.value, session.set, session.workout, session.previous] == [925, None, "w", 500]


def test_time_way_and_pace_have_records_where_less_time_for_a_way_is_better(log: Log) -> None:
    log.set("run", distance={"value": 5, "unit": "km"}, duration_s=1500)
    log.set("run", distance={"value": 10, "unit": "km"}, duration_s=3600)
    assert [best(log, kind, "run") for kind in ("duration", "distance", "pace")] == [3600, 10_000, 300]
    assert [one.unit for one in records(log).of("run")] == ["s", "m", "s/km"]


def test_less_help_is_better_and_is_no_weight(log: Log) -> None:
    for help in (30, 20, 25):
        log.set("dip", weight=kg(help), reps=5)
    assert best(log, "least_assistance", "dip") == 20
    assert best(log, "max_weight", "dip") is None
    assert best(log, "max_reps_at_weight", "dip", 20) is None


def test_a_set_in_which_nothing_was_lifted_holds_no_record(log: Log) -> None:
    log.set(weight=kg(100), reps=0)
    log.set("dip", weight=kg(10), reps=0)
    log.set("squat", kind="warmup", weight=kg(100), reps=5)
    assert list(records(log)) == []


# -- who holds one ---------------------------------------------------------------------------------------------


def test_the_first_to_reach_a_value_holds_the_record(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    log.set(workout="first", weight=kg(100), reps=5)
    found = records(log).get("bench", "max_weight")
    assert found is not None
    assert (found.set, found.previous) == ("s0002", None)


def test_a_record_names_the_one_it_broke_and_when(log: Log) -> None:
    for weight, workout in ((95, "first"), (80, "first"), (102.5, "w"), (105, "w")):
        log.set(workout=workout, weight=kg(weight), reps=1)
    found = records(log).get("bench", "max_weight")
    assert found is not None
    assert [found.value, found.previous, found.workout] == [105, Decimal("102.5"), "w"]
    assert found.achieved_at == "2026-11-25T12:00:00.000Z"


def test_a_record_has_the_values_of_the_collection_to_four_decimals(log: Log) -> None:
    log.set(weight=lb(225), reps=1)
    found = records(log).get("bench", "max_weight")
    assert found is not None
    assert found.values() == {
        "exercise": "bench", "kind": "max_weight", "value": 102.0583, "unit": "kg", "set": "s0001", "workout": "w",
        "achieved_at": "2026-11-25T12:00:00.000Z", "previous": None, "formula": None,
    }  # fmt: skip


def test_a_record_has_one_id_for_ever_and_each_has_its_own(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    log.set(weight=kg(60), reps=6)
    before = {one.key.id(ME) for one in records(log)}
    log.set(weight=kg(110), reps=4)
    after = {one.key.id(ME) for one in records(log)}
    assert len(before) == len(list(records(log))) - 1
    assert before < after
    assert not before & {one.key.id("you") for one in records(log)}


# -- updates ---------------------------------------------------------------------------------------------------


def update(log: Log, found: Records) -> Difference:
    history = log.catch_up()
    return found.update(history, history.take_dirty())


def kinds(of: list[Any]) -> set[str]:
    return {one.kind for one in of}


def test_an_update_tells_new_changed_and_withdrawn_records(log: Log) -> None:
    found = Records()
    log.set(weight=kg(100), reps=5)
    assert len(update(log, found).new) == 6
    second = log.set(weight=kg(130), reps=4)
    difference = update(log, found)
    assert kinds(difference.changed) == {"max_weight", "one_rep_max", "set_volume", "session_volume"}
    assert [one.weight for one in difference.new] == [130]
    assert difference.withdrawn == []
    log.delete("sets", second)
    difference = update(log, found)
    assert kinds(difference.changed) == {"max_weight", "one_rep_max", "set_volume", "session_volume"}
    assert [one.weight for one in difference.withdrawn] == [130]


def test_an_update_without_a_change_of_records_says_nothing(log: Log) -> None:
    found = Records()
    log.set(weight=kg(100), reps=5)
    assert update(log, found)
    log.set(weight=kg(60), reps=5, kind="warmup")
    log.put("workouts", "w", title="Push")
    assert not update(log, found)


def test_only_what_a_change_touches_is_dirty(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    log.set("squat", weight=kg(100), reps=5)
    log.catch_up().take_dirty()
    log.set("squat", workout="first", weight=kg(100), reps=5)
    dirty = log.catch_up().take_dirty()
    assert (dirty.exercises, dirty.workouts) == ({"squat"}, {"first"})
    assert not log.history.take_dirty()


def test_a_back_dated_workout_takes_a_record_from_a_later_one(log: Log) -> None:
    found = Records()
    log.set(weight=kg(100), reps=5)
    update(log, found)
    log.workout("earlier", "2026-11-01")
    log.set(workout="earlier", weight=kg(100), reps=5)
    assert "max_weight" in kinds(update(log, found).changed)
    holder = found.get("bench", "max_weight")
    assert holder is not None and holder.workout == "earlier"
