"""What is planned for a session from a template: targets of last time, moved by rules."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from api.training.progression import Block, Past, Planned, start_from_template, unreadable

SQUAT, CURL = "squat", "curl"
TODAY = date(2026, 11, 23)  # a Monday
RULE = {"field": "weight", "op": "+", "step": 2.5, "unit": "kg"}


def kg(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "kg"}


def target(weight: Any = None, *rules: Any, **more: Any) -> dict[str, Any]:
    planned = {"kind": "normal", "target_weight": weight or kg(100), "target_reps_min": 5, "target_reps_max": 5}
    return {**planned, "progression": [*rules], **more}


def done(weight: Any, reps: float = 5, **more: Any) -> dict[str, Any]:
    """A set of a past session, with what was planned for it."""
    planned = {"target_weight": weight, "target_reps_min": 5, "target_reps_max": 5, "weight": weight}
    return {**planned, "reps": reps, "completed_at": "2026-11-16T10:00:00.000Z", **more}


def past(*sets: dict[str, Any], day: date | None = date(2026, 11, 16), exercise: str = SQUAT) -> Past:
    return Past(day, [Block({"exercise": exercise}, list(sets))])


def planned(template: dict[str, Any], *sessions: Past) -> Planned:
    return start_from_template([Block({"exercise": SQUAT}, [template])], list(sessions), today=TODAY)


def weight(template: dict[str, Any], *sessions: Past) -> Any:
    (block,) = planned(template, *sessions).blocks
    return block.sets[0]["target_weight"]


def test_the_first_session_is_the_template_as_it_stands() -> None:
    block = Block({"exercise": SQUAT, "rest_s": 120, "superset": "A", "notes": "deep", "week": None}, [target()])
    (made,) = start_from_template([block], [], today=TODAY).blocks
    assert made.values == {"exercise": SQUAT, "rest_s": 120, "superset": "A", "notes": "deep"}
    assert made.sets == [{"kind": "normal", "target_weight": kg(100), "target_reps_min": 5, "target_reps_max": 5}]


def test_a_week_and_a_day_choose_what_stands_on_them_and_what_stands_on_all() -> None:
    days = [(1, 1), (1, 2), (2, 1), (None, None), (None, 1)]
    template = [Block({"exercise": str(stands), "week": stands[0], "day": stands[1]}, []) for stands in days]

    def chosen(week: int | None, day: int | None) -> list[str]:
        blocks = start_from_template(template, [], today=TODAY, week=week, day=day).blocks
        return [each.values["exercise"] for each in blocks]

    assert chosen(1, 1) == ["(1, 1)", "(None, None)", "(None, 1)"]
    assert chosen(2, None) == ["(2, 1)", "(None, None)", "(None, 1)"]
    assert len(chosen(None, None)) == 5


def test_what_was_reached_moves_the_target_of_last_time() -> None:
    assert weight(target(kg(100), RULE), past(done(kg(110)))) == kg(112.5)


def test_what_was_missed_keeps_it() -> None:
    assert weight(target(kg(100), RULE), past(done(kg(110), reps=4))) == kg(110)
    assert weight(target(kg(100), RULE), past(done(kg(110), completed_at=None))) == kg(110)


def test_without_a_rule_the_template_counts_and_not_last_time() -> None:
    assert weight(target(kg(100)), past(done(kg(110)))) == kg(100)


def test_last_time_is_the_newest_session_that_had_the_exercise() -> None:
    curls = past(done(kg(20)), exercise=CURL)
    assert weight(target(kg(100), RULE), curls, past(done(kg(105))), past(done(kg(100)))) == kg(107.5)


def test_each_set_progresses_by_itself() -> None:
    template = Block({"exercise": SQUAT}, [target(kg(100), RULE), target(kg(90), RULE)])
    session = past(done(kg(100)), done(kg(90), reps=3))
    (block,) = start_from_template([template], [session], today=TODAY).blocks
    assert [each["target_weight"] for each in block.sets] == [kg(102.5), kg(90)]


def test_a_set_that_was_added_on_the_way_shifts_no_other() -> None:
    extra = {"reps": 12, "weight": kg(60), "completed_at": "2026-11-16T10:00:00.000Z"}
    assert weight(target(kg(100), RULE), past(extra, done(kg(100)))) == kg(102.5)


def test_an_exercise_that_stands_twice_goes_on_at_each_place() -> None:
    template = [Block({"exercise": SQUAT}, [target(kg(weight), RULE)]) for weight in (100, 80)]
    session = Past(None, [Block({"exercise": SQUAT}, [done(kg(weight))]) for weight in (110, 90)])
    blocks = start_from_template(template, [session], today=TODAY).blocks
    assert [each.sets[0]["target_weight"] for each in blocks] == [kg(112.5), kg(92.5)]


def test_rules_apply_one_after_the_other() -> None:
    reps = {"field": "reps", "op": "+", "step": 1}
    twice = target(kg(100), RULE, {**RULE, "op": "*", "step": 2, "unit": None}, reps)
    (block,) = planned(twice, past(done(kg(100)))).blocks
    assert (block.sets[0]["target_weight"], block.sets[0]["target_reps_max"]) == (kg(205), 6)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"op": "-", "step": 5, "unit": "kg"}, kg(95)),
        ({"op": "*", "step": 1.1}, kg(110)),
        ({"op": "=", "step": 60, "unit": "kg"}, kg(60)),
        ({"op": "+", "step": 5, "unit": "%"}, kg(105)),
        ({"op": "+", "step": 5, "unit": "lb"}, kg(102.268)),
        ({"op": "add", "step": 10}, kg(110)),
        ({"op": "+", "step": 10, "unit": "kg", "ceiling": 105}, kg(105)),
        ({"op": "-", "step": 10, "unit": "kg", "ceiling": 95}, kg(95)),
        ({"op": "+", "step": 10, "unit": "kg", "ceiling": 90}, kg(100)),
        ({"op": "-", "step": 200, "unit": "kg"}, kg(0)),
    ],
)
def test_a_rule_moves_a_weight_exactly(rule: dict[str, Any], expected: Any) -> None:
    assert weight(target(kg(100), {"field": "weight", **rule}), past(done(kg(100)))) == expected


def test_pounds_stay_pounds() -> None:
    pounds = {"value": 225, "unit": "lb"}
    rule = {"field": "weight", "op": "+", "step": 5, "unit": "lb"}
    assert weight(target(pounds, rule), past(done(pounds))) == {"value": 230, "unit": "lb"}


def test_reps_move_at_both_ends_and_by_halves() -> None:
    rule = {"field": "reps", "op": "*", "step": 1.15}
    (block,) = planned(target(None, rule, target_reps_max=8), past(done(kg(100), 8, target_reps_max=8))).blocks
    assert (block.sets[0]["target_reps_min"], block.sets[0]["target_reps_max"]) == (6, 9)


@pytest.mark.parametrize(
    ("requires", "last", "applies"),
    [
        (["reps", "weight"], {}, True),
        (["weight"], {"weight": kg(95)}, False),
        (["weight"], {"weight": {"value": 225, "unit": "lb"}, "target_weight": kg(100)}, True),
        ({"rules": ["reps"]}, {"reps": 4}, False),
        (["rpe"], {"target_rpe": 8, "rpe": 9}, False),
        (["rpe"], {"target_rpe": 8, "rpe": 7.5}, True),
        (["rir"], {"target_rir": 2, "rir": 1}, False),
        ([], {"reps": 1}, True),
    ],
)
def test_what_is_required_has_to_be_reached(requires: Any, last: dict[str, Any], applies: bool) -> None:
    moved = weight(target(kg(100), {**RULE, "requires": requires}), past({**done(kg(100)), **last}))
    assert (moved == kg(102.5)) is applies


def test_once_a_week_at_most() -> None:
    rule = {**RULE, "repeat": "week"}
    assert weight(target(kg(100), rule), past(done(kg(100)), day=date(2026, 11, 22))) == kg(102.5)
    assert weight(target(kg(100), rule), past(done(kg(100)), day=TODAY)) == kg(100)


def test_once_and_never_again() -> None:
    rule = {**RULE, "repeat": False}
    assert weight(target(kg(100), rule), past(done(kg(100)))) == kg(102.5)
    assert weight(target(kg(100), rule), past(done(kg(102.5)))) == kg(102.5)


def test_after_so_many_sessions_in_a_row() -> None:
    rule = {**RULE, "repeat": 2}
    reached, missed, lighter = past(done(kg(100))), past(done(kg(100), reps=3)), past(done(kg(97.5)))
    assert weight(target(kg(100), rule), reached) == kg(100)
    assert weight(target(kg(100), rule), reached, missed) == kg(100)
    assert weight(target(kg(100), rule), reached, lighter) == kg(100)
    assert weight(target(kg(100), rule), reached, reached, missed) == kg(102.5)


@pytest.mark.parametrize(
    "rule",
    [
        {**RULE, "field": "mood"},
        {**RULE, "op": "^"},
        {**RULE, "step": None},
        {**RULE, "unit": "m"},
        {**RULE, "requires": ["mood"]},
        {**RULE, "requires": 7},
        {**RULE, "requires": [{"rules": ["reps"]}]},
        {**RULE, "requires": {"rules": [["reps"]]}},
        {**RULE, "op": "*", "unit": "m", "ceiling": 120},
        {**RULE, "op": "*", "unit": "stone", "ceiling": 120},
        {**RULE, "repeat": {"every": 2}},
        {**RULE, "repeat": 0},
    ],
)
def test_a_rule_that_nobody_can_read_changes_nothing_and_is_named(rule: dict[str, Any]) -> None:
    made = planned(target(kg(100), rule), past(done(kg(100))))
    assert made.blocks[0].sets[0]["target_weight"] == kg(100)
    assert len(made.problems) == 1


@pytest.mark.parametrize(("rule", "at"), [({"op": "^", "step": 1}, "op"), ({"op": "+"}, "step"), ({"op": "^"}, "op")])
def test_a_rule_that_nobody_can_read_is_named_also_where_the_set_has_no_such_target(
    rule: dict[str, Any], at: str
) -> None:
    assert [each.at for each in unreadable({"progression": [{"field": "weight", **rule}]})] == [f"progression[0].{at}"]
