"""Types over HTTP that follow from the declared collections."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from api.rest.binding import bind
from api.training.shapes import creating, patching, showing, values_of
from storage.collections import COLLECTIONS
from sync.errors import InvalidFields
from sync.validation import check_fields

SET = creating("NewSet", "sets", without=["workout_exercise"])


def faults(value: Any, type_: Any = SET) -> set[tuple[str, str]]:
    with pytest.raises(InvalidFields) as caught:
        bind(value, type_)
    return {(fault["field"], fault["code"]) for fault in caught.value.fields}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_collection_has_its_types_and_they_can_be_described(collection: str) -> None:
    declared = COLLECTIONS[collection].fields
    made = [each("Some" + each.__name__, collection) for each in (creating, patching, showing)]
    schemas, _ = msgspec.json.schema_components(made)
    assert len(schemas) == 3
    assert set(made[0].__struct_fields__) == declared.keys()
    assert set(made[1].__struct_fields__) == {name for name, each in declared.items() if each.parent is None}
    assert set(made[2].__struct_fields__) >= declared.keys()


def test_what_a_type_takes_is_plain_json_that_the_write_path_takes() -> None:
    given = {
        "reps": 8.0,
        "rpe": 8.5,
        "weight": {"value": 225.0, "unit": "lb"},
        "completed_at": "2026-11-23T11:00:00.1239+01:00",
        "drop_of": None,
        "source": {"app": "strong", "raw": {"Weight": 225}},
    }
    values = values_of(bind(given, SET), "sets")
    assert values == {
        "reps": 8,
        "rpe": 8.5,
        "weight": {"value": 225, "unit": "lb"},
        "completed_at": "2026-11-23T10:00:00.123Z",
        "drop_of": None,
        "source": {"app": "strong", "raw": {"Weight": 225}},
    }
    assert type(values["reps"]) is int
    assert check_fields(COLLECTIONS["sets"], values) == values


def test_spans_of_time_are_spelled_like_times() -> None:
    pauses = [["2026-11-23T10:00:00Z", "2026-11-23T10:05:00Z"]]
    workout = bind({"pauses": pauses, "local_date": "2026-11-23"}, creating("NewWorkout", "workouts"))
    assert values_of(workout, "workouts") == {
        "pauses": [["2026-11-23T10:00:00.000Z", "2026-11-23T10:05:00.000Z"]],
        "local_date": "2026-11-23",
    }


def test_a_time_that_no_calendar_has_is_refused() -> None:
    assert faults({"completed_at": "9999-12-31T23:59:59-05:00"}) == {("completed_at", "wrong_type")}


def test_the_declared_bounds_hold() -> None:
    given = {
        "reps": 10_001,
        "rpe": 8.3,
        "kind": "heavy",
        "weight": {"value": 7_000, "unit": "kg"},
        "notes": "x" * 2_001,
        "position": "",
        "drop_of": "x",
        "completed_at": "2026-11-23T10:00:00",
        "workout_exercise": "x",
    }
    assert faults(given) == {
        ("reps", "out_of_range"),
        ("rpe", "out_of_range"),
        ("kind", "unknown_value"),
        ("weight.value", "out_of_range"),
        ("notes", "wrong_length"),
        ("position", "wrong_format"),
        ("drop_of", "wrong_format"),
        ("completed_at", "wrong_format"),
        ("workout_exercise", "unknown_field"),
    }


def test_what_no_type_can_say_is_refused_with_what_is_of_a_wrong_type() -> None:
    given = {
        "reps": "many",
        "weight": {"value": 2_001, "unit": "kg"},
        "rpe": 8,
        "speed_kmh": 1.00001,
        "completed_at": "9999-12-31T23:59:59-05:00",
    }
    assert faults(given) == {
        ("reps", "wrong_type"),
        ("weight", "out_of_range"),
        ("speed_kmh", "out_of_range"),
        ("completed_at", "wrong_type"),
    }


def test_a_refused_value_is_told_in_words_without_a_pattern() -> None:
    for collection in COLLECTIONS:
        made = creating("NewRecord", collection)
        with pytest.raises(InvalidFields) as caught:
            bind(dict.fromkeys(made.__struct_fields__, "/"), made)
        for fault in caught.value.fields:
            assert " must be " in fault["message"] and fault["message"].startswith(fault["field"])
            assert not any(mark in fault["message"] for mark in ("^", "`", "regex", "Expected", "Invalid"))


def test_a_word_that_is_none_of_the_allowed_ones_is_answered_with_these() -> None:
    with pytest.raises(InvalidFields) as caught:
        bind({"kind": "heavy", "side": "top"}, SET)
    told = {fault["field"]: fault["message"] for fault in caught.value.fields}
    assert told["side"] == 'side must be one of both, left, right, not "top"'
    assert "back_off, drop, failure" in told["kind"]
    with pytest.raises(InvalidFields) as caught:
        bind({"kind": "wieght"}, creating("NewMeasurement", "measurements"))
    assert "one of weight, height" in caught.value.fields[0]["message"]
    assert "custom:<name>" in caught.value.fields[0]["message"]


def test_what_is_required_is_missed_by_name() -> None:
    assert faults({}, creating("NewGoal", "goals", required=["title", "target"])) == {
        ("title", "required"),
        ("target", "required"),
    }


def test_a_measurement_of_ones_own_has_a_name() -> None:
    type_ = creating("NewMeasurement", "measurements")
    assert values_of(bind({"kind": "custom:grip"}, type_), "measurements") == {"kind": "custom:grip"}
    assert faults({"kind": "custom:"}, type_) == {("kind", "wrong_format")}
