"""What a set is worth, for whom it counts, and what a workout is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from figures.lifts import Lift, Session
from figures.quantities import exactly
from tests.figures.log import CLUB, GYM, HOME, ME, Log, kg, lb


@pytest.fixture
def log() -> Log:
    """One workout at noon of 25 November, nothing in it yet."""
    log = Log()
    log.workout("w")
    return log


def only(log: Log) -> Lift:
    (lift,) = log.catch_up().lifts.values()
    return lift


def load(log: Log) -> Decimal | None:
    value = only(log).load
    return exactly(value) if value is not None else None


# -- load ------------------------------------------------------------------------------------------------------


def test_an_external_load_is_the_weight_in_kilograms_exactly(log: Log) -> None:
    log.set(weight=lb(225), reps=5)
    assert load(log) == Decimal("102.05828325")
    assert exactly(only(log).volume or 0) == Decimal("510.29141625")


def test_the_body_counts_by_the_exercises_fraction(log: Log) -> None:
    log.workout("w", bodyweight=kg(80))
    log.set("pull-up", weight=kg(10), reps=5)
    assert load(log) == 86


def test_without_an_added_weight_the_body_alone_is_the_load(log: Log) -> None:
    log.workout("w", bodyweight=kg(80))
    log.set("pull-up", reps=5)
    assert load(log) == 76


def test_help_takes_load_away_and_never_more_than_there_is(log: Log) -> None:
    log.workout("w", bodyweight=kg(80))
    log.set("dip", weight=kg(30), reps=5)
    assert load(log) == 42
    log.set("dip", weight=kg(90), reps=5)
    assert min(one.load or 0 for one in log.catch_up().lifts.values()) == 0


def test_a_mode_of_none_has_no_load(log: Log) -> None:
    log.set("run", weight=kg(10), reps=5)
    assert load(log) is None


def test_a_set_that_does_not_say_how_its_weight_counts_goes_by_its_exercise(log: Log) -> None:
    log.workout("w", bodyweight=kg(80))
    log.set("dip", weight=kg(30), reps=5, load_mode=None)
    assert load(log) == 42


def test_without_a_weight_of_the_body_or_a_fraction_there_is_no_load(log: Log) -> None:
    log.set("pull-up", weight=kg(10), reps=5)
    assert load(log) is None
    log.workout("w", bodyweight=kg(80))
    assert load(log) == 86
    log.put("exercises", "pull-up", bodyweight_fraction=None)
    assert load(log) is None


def test_a_unit_that_is_not_known_is_no_weight(log: Log) -> None:
    log.set(weight={"value": 10, "unit": "stone"}, reps=5)
    assert load(log) is None


# -- the weight of the body ------------------------------------------------------------------------------------


def weigh(log: Log, at: str, value: float, **values: Any) -> None:
    log.put("measurements", at, at=at, **{"kind": "weight", "value": value, "unit": "kg", **values})


def test_the_latest_measurement_before_a_workout_is_what_the_body_weighed(log: Log) -> None:
    log.set("pull-up", reps=5)
    weigh(log, "2026-11-01T08:00:00.000Z", 100)
    weigh(log, "2026-11-25T11:59:59.999Z", 80)
    weigh(log, "2026-11-25T12:00:00.001Z", 60)
    assert load(log) == 76


def test_a_measurement_after_the_workout_says_nothing_about_it(log: Log) -> None:
    log.set("pull-up", reps=5)
    weigh(log, "2026-11-25T12:00:00.001Z", 60)
    assert load(log) is None


def test_a_measurement_that_is_written_late_counts_from_its_own_time(log: Log) -> None:
    log.set("pull-up", reps=5)
    weigh(log, "2026-11-01T08:00:00.000Z", 100)
    assert load(log) == 95
    weigh(log, "2026-11-10T08:00:00.000Z", 80)
    assert load(log) == 76
    log.delete("measurements", "2026-11-10T08:00:00.000Z")
    assert load(log) == 95


def test_a_measurement_that_is_dated_anew_leaves_the_workouts_before_its_new_time(log: Log) -> None:
    log.set("pull-up", reps=5)
    weigh(log, "2026-11-10T08:00:00.000Z", 80)
    assert load(log) == 76
    log.put("measurements", "2026-11-10T08:00:00.000Z", at="2026-11-26T08:00:00.000Z")
    assert load(log) is None


def test_measurements_that_arrive_together_count_each_from_its_own_time(log: Log) -> None:
    log.set("pull-up", reps=5)
    assert load(log) is None
    weigh(log, "2026-11-26T08:00:00.000Z", 60)
    weigh(log, "2026-11-10T08:00:00.000Z", 80)
    weigh(log, "2026-11-27T08:00:00.000Z", 60)
    assert load(log) == 76


def test_what_the_workout_says_goes_before_any_measurement(log: Log) -> None:
    log.workout("w", bodyweight=lb(100))
    weigh(log, "2026-11-01T08:00:00.000Z", 80)
    log.set("pull-up", reps=5)
    assert load(log) == Decimal("45.359237") * Decimal("0.95")


def test_a_workout_that_only_knows_its_day_takes_the_measurements_of_that_day(log: Log) -> None:
    log.workout("w", started_at=None)
    log.set("pull-up", reps=5)
    weigh(log, "2026-11-25T20:00:00.000Z", 80)
    assert load(log) == 76


def test_other_measurements_and_other_units_are_no_weights(log: Log) -> None:
    log.set("pull-up", reps=5)
    weigh(log, "2026-11-01T08:00:00.000Z", 90, kind="waist")
    weigh(log, "2026-11-02T08:00:00.000Z", 90, unit="cm")
    assert load(log) is None


# -- what counts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{"kind": "warmup"}, {"completed_at": None}])
def test_warm_ups_and_sets_that_are_not_done_do_not_count(log: Log, values: dict[str, Any]) -> None:
    log.set(weight=kg(100), reps=5, **values)
    assert log.catch_up().lifts == {}


@pytest.mark.parametrize("status", ["planned", "discarded"])
def test_a_workout_that_did_not_take_place_has_no_lifts(log: Log, status: str) -> None:
    log.set(weight=kg(100), reps=5)
    assert only(log)
    log.put("workouts", "w", status=status)
    assert log.catch_up().lifts == {}
    assert log.catch_up().sessions == {}


def test_an_active_workout_is_a_session_from_its_first_set_on(log: Log) -> None:
    log.put("workouts", "w", status="active")
    assert log.catch_up().sessions == {}
    log.set(weight=kg(100), reps=5)
    assert set(log.catch_up().sessions) == {"w"}


def test_a_deleted_workout_takes_its_sets_with_it_and_brings_them_back(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    before = dict(log.records)
    log.delete("workouts", "w")
    assert (log.catch_up().lifts, log.history.sessions) == ({}, {})
    log.restore(before)
    assert only(log)


def test_a_set_waits_for_its_workout(log: Log) -> None:
    log.set(weight=kg(100), reps=5, workout="later")
    assert log.catch_up().lifts == {}
    log.workout("later")
    assert only(log).workout == "later"


# -- moves -----------------------------------------------------------------------------------------------------


def test_what_a_set_was_moved_from_counts_no_more(log: Log) -> None:
    old = log.set(weight=kg(100), reps=5)
    new = log.set("squat", weight=kg(100), reps=5, moved_from=old)
    assert set(log.catch_up().lifts) == {new}
    log.delete("sets", new)
    assert set(log.catch_up().lifts) == {old}


def test_what_an_exercise_was_moved_from_counts_no_more_with_all_its_sets(log: Log) -> None:
    log.set(weight=kg(100), reps=5)
    log.workout("other")
    new = log.set(workout="other", weight=kg(100), reps=5)
    log.put("workout_exercises", "other/bench", moved_from="w/bench")
    assert set(log.catch_up().lifts) == {new}


def test_a_set_that_names_itself_was_moved_nowhere(log: Log) -> None:
    log.put("sets", log.set(weight=kg(100), reps=5), moved_from="s0001")
    assert only(log)


def test_nobody_moves_a_set_of_ones_own_space_from_a_shared_one(log: Log) -> None:
    mine = log.set(weight=kg(100), reps=5)
    log.workout("theirs", space=GYM, by="you")
    log.set(workout="theirs", space=GYM, by="you", moved_from=mine)
    assert set(log.catch_up().lifts) == {mine}


def test_what_was_moved_from_a_shared_space_into_ones_own_counts_once() -> None:
    log = Log()
    log.workout("w")
    log.workout("shared", space=GYM)
    old = log.set(workout="shared", space=GYM, weight=kg(100), reps=5)
    assert set(log.catch_up().lifts) == {old}
    new = log.set(weight=kg(100), reps=5, moved_from=old)
    assert set(log.catch_up().lifts) == {new}


# -- for whom --------------------------------------------------------------------------------------------------


def test_in_ones_own_space_sets_are_ones_own_unless_they_name_somebody_else(log: Log) -> None:
    unnamed = log.set(weight=kg(100), reps=5)
    named = log.set(weight=kg(100), reps=5, athlete=ME)
    log.set(weight=kg(100), reps=5, athlete="you")
    assert set(log.catch_up().lifts) == {unnamed, named}


def shared(log: Log, *, owner: str) -> None:
    log.workout("together", space=GYM, by=owner)


def shared_set(log: Log, athlete: str | None, by: str = ME) -> str:
    return log.set(workout="together", space=GYM, by=by, weight=kg(100), reps=5, athlete=athlete)


def test_in_a_shared_space_a_set_without_an_athlete_is_the_workouts_owners() -> None:
    log = Log()
    shared(log, owner=ME)
    mine = shared_set(log, None, by="you")
    shared_set(log, "you")
    assert set(log.catch_up().lifts) == {mine}


def test_in_somebody_elses_workout_nothing_counts_without_taking_part() -> None:
    log = Log()
    shared(log, owner="you")
    shared_set(log, None)
    shared_set(log, ME)
    assert log.catch_up().lifts == {}


def test_a_set_counts_for_its_athlete_where_they_wrote_themselves_in() -> None:
    log = Log()
    shared(log, owner="you")
    mine = shared_set(log, ME, by="you")
    log.put("participants", "p", space=GYM, by="you", workout="together", athlete=ME)
    assert log.catch_up().lifts == {}
    log.put("participants", "p", space=GYM, by=ME, bodyweight=kg(70))
    assert set(log.catch_up().lifts) == {mine}
    log.delete("participants", "p", space=GYM)
    assert log.catch_up().lifts == {}


def test_a_set_without_an_athlete_is_not_that_of_whoever_takes_part() -> None:
    log = Log()
    shared(log, owner="you")
    log.put("participants", "p", space=GYM, by=ME, workout="together", athlete=ME)
    shared_set(log, None)
    assert log.catch_up().lifts == {}


def test_in_a_workout_with_participants_its_owner_has_to_take_part_too() -> None:
    log = Log()
    shared(log, owner=ME)
    shared_set(log, None)
    assert len(log.catch_up().lifts) == 1
    log.put("participants", "p", space=GYM, by="you", workout="together", athlete="you")
    assert log.catch_up().lifts == {}


def test_each_participant_has_their_own_body() -> None:
    log = Log()
    log.workout("together", space=GYM, by="you", bodyweight=kg(200))
    log.put("participants", "p", space=GYM, by=ME, workout="together", athlete=ME, bodyweight=kg(80))
    log.set("pull-up", workout="together", space=GYM, athlete=ME, reps=5)
    assert load(log) == 76
    log.put("participants", "p", space=GYM, bodyweight=None)
    assert load(log) is None


def test_an_id_that_stands_in_several_spaces_counts_once_ones_own_first() -> None:
    log = Log()
    for space, weight in ((GYM, 120), (CLUB, 110), (HOME, 100)):
        log.workout("w", space=space)
        log.put("workout_exercises", "b", space=space, workout="w", exercise="bench", position="a")
        log.put("sets", "s", space=space, workout_exercise="b", weight=kg(weight), reps=5, completed_at="2026")
    assert load(log) == 100
    log.delete("sets", "s")
    assert load(log) == 110
    log.catch_up().leave(CLUB)
    assert load(log) == 120


def test_a_shared_workout_under_the_id_of_ones_own_says_nothing_about_it(log: Log) -> None:
    log.put("workouts", "w", space=CLUB, by="you", status="completed", local_date="1999-01-01")
    log.workout("shared", space=GYM)
    log.set(workout="shared", space=GYM, weight=kg(100), reps=5)
    log.put("workouts", "shared", space=CLUB, by="you", status="completed", local_date="1999-01-01")
    assert {one.day for one in log.catch_up().sessions.values()} == {date(2026, 11, 25)}


def test_a_shared_space_does_not_change_what_an_exercise_is_to_a_person() -> None:
    log = Log()
    log.workout("together", space=GYM, bodyweight=kg(80))
    log.put("exercises", "pull-up", space=GYM, by="you", bodyweight_fraction=1)
    log.put("exercises", "only-here", space=GYM, by="you", bodyweight_fraction=0.5)
    log.set("pull-up", workout="together", space=GYM, reps=5)
    assert load(log) == 76
    log.put("workout_exercises", "together/pull-up", space=GYM, exercise="only-here")
    assert load(log) == 40


def test_measurements_goals_and_preferences_of_a_shared_space_are_nobodys() -> None:
    log = Log()
    log.put("preferences", "nil", space=GYM, by="you", one_rep_max="brzycki")
    log.put("goals", "g", space=GYM, by="you", kind="volume", target=1)
    log.put("measurements", "m", space=GYM, by="you", kind="weight", at="2026", value=1, unit="kg")
    history = log.catch_up()
    assert (history.formula, dict(history.goals), list(history.weighings())) == ("epley", {}, [])


# -- sessions --------------------------------------------------------------------------------------------------


def session(**values: Any) -> Session:
    log = Log()
    log.workout("w", **values)
    return log.catch_up().sessions["w"]


def test_the_day_of_a_workout_is_its_local_date() -> None:
    assert session(started_at="2026-11-25T23:30:00.000Z", local_date="2026-11-26").day == date(2026, 11, 26)


def test_without_a_local_date_the_day_is_that_of_the_workouts_own_zone() -> None:
    late = {"started_at": "2026-11-25T23:30:00.000Z", "local_date": None}
    assert session(**late, timezone="Asia/Tokyo").day == date(2026, 11, 26)
    assert session(**late, timezone="Somewhere/New").day == date(2026, 11, 25)
    assert session(**late).day == date(2026, 11, 25)


def test_without_a_zone_of_the_workout_the_users_counts() -> None:
    log = Log()
    log.workout("w", started_at="2026-11-25T23:30:00.000Z", local_date=None)
    log.catch_up()
    log.put("preferences", "nil", timezone="Asia/Tokyo")
    assert log.catch_up().sessions["w"].day == date(2026, 11, 26)
    log.put("workouts", "w", timezone="Europe/London")
    assert log.catch_up().sessions["w"].day == date(2026, 11, 25)


def test_a_workout_lasts_from_its_begin_to_its_end_without_its_pauses() -> None:
    at = "2026-11-25T{}:00.000Z".format
    assert exactly(session(started_at=at("10:00"), ended_at=at("11:00")).seconds or 0) == 3600
    pauses = [
        [at("10:10"), at("10:20")],
        [at("10:15"), at("10:30")],
        [at("10:50"), at("11:30")],
        [at("09:00"), at("09:30")],
    ]
    assert exactly(session(started_at=at("10:00"), ended_at=at("11:00"), pauses=pauses).seconds or 0) == 1800


def test_a_workout_without_an_end_or_with_one_before_its_begin_has_no_duration() -> None:
    assert session(ended_at=None).seconds is None
    assert session(ended_at="2026-11-25T11:00:00.000Z").seconds is None
