"""What a put may hold: one rule a test, and no JSON value that breaks the checking."""

from __future__ import annotations

import json
import re
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.collection_specs import FieldSpec
from storage.collections import COLLECTIONS, NIL_UUID
from storage.field_types import FREE_DEPTH_MAX, TimeZone
from sync.validation import Rejection, check_id, check_put, compile_field

ID = "0193575e-3b01-7000-8000-000000000001"
IMPORTED = "0193575e-3b01-5000-a000-000000000001"
RANDOM = "0193575e-3b01-4000-8000-000000000001"
CODES = {"unknown_field", "wrong_type", "out_of_range", "too_long", "bad_id", "bad_text"}
NOW = "2026-11-23T10:00:00.123Z"


def put(collection: str, **fields: Any) -> Any:
    id = NIL_UUID if COLLECTIONS[collection].single else ID
    return check_put(COLLECTIONS[collection], id, fields)


def accepts(collection: str, field: str, value: Any) -> bool:
    checked = put(collection, **{field: value})
    if isinstance(checked, Rejection):
        return False
    assert checked == {field: value}
    return True


def code(collection: str, field: str, value: Any) -> str:
    refused = put(collection, **{field: value})
    assert isinstance(refused, Rejection), refused
    assert refused.field == field
    assert refused.message.startswith(field)
    return refused.code


# -- ids -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("id", [ID, IMPORTED])
def test_a_record_id_is_a_uuid_of_version_7_or_5(id: str) -> None:
    assert check_id(COLLECTIONS["sets"], id) is None


@pytest.mark.parametrize(
    "id", ["", "x", RANDOM, ID.upper(), ID[:-1], ID + "0", ID + "\n", "{" + ID + "}", ID.replace("-", ""), NIL_UUID, 7]
)
def test_any_other_id_is_a_bad_id(id: Any) -> None:
    refused = check_id(COLLECTIONS["sets"], id)
    assert refused is not None
    assert (refused.code, refused.field) == ("bad_id", None)
    assert check_put(COLLECTIONS["sets"], id, {}) == refused


def test_preferences_have_the_nil_uuid_and_no_other() -> None:
    assert check_id(COLLECTIONS["preferences"], NIL_UUID) is None
    refused = check_id(COLLECTIONS["preferences"], ID)
    assert refused is not None
    assert refused.code == "bad_id"


# -- fields --------------------------------------------------------------------------------------------------------


def test_a_put_of_no_fields_is_a_put() -> None:
    assert put("workouts") == {}


def test_a_field_that_is_not_declared_is_refused_by_name() -> None:
    refused = put("sets", reps=8, user_id="b")
    assert (refused.code, refused.field) == ("unknown_field", "user_id")


def test_a_hostile_name_is_not_repeated_in_full() -> None:
    refused = put("sets", **{"x" * 10_000: 1})
    assert len(refused.message) < 200
    assert len(refused.field) < 200


def test_fields_that_are_no_object_are_the_wrong_type() -> None:
    refused = check_put(COLLECTIONS["sets"], ID, ["reps"])  # type: ignore[arg-type]
    assert isinstance(refused, Rejection)
    assert refused.code == "wrong_type"


def test_null_clears_a_field_that_takes_null() -> None:
    assert accepts("sets", "reps", None)


@pytest.mark.parametrize(
    ("collection", "field"),
    [("sets", "kind"), ("sets", "workout_exercise"), ("workouts", "notes"), ("workouts", "tags")],
)
def test_null_is_the_wrong_type_elsewhere(collection: str, field: str) -> None:
    assert code(collection, field, None) == "wrong_type"


def test_the_first_fault_costs_the_change() -> None:
    refused = put("sets", reps=-1, rpe="x")
    assert (refused.code, refused.field, refused.message) == (
        "out_of_range",
        "reps",
        "reps must be 0 to 10000 by halves",
    )


def test_what_is_checked_is_not_changed() -> None:
    fields = {"tags": {"add": ["a"]}, "notes": {"yjs": "AAA="}, "rating": 4.0}
    before = json.dumps(fields)
    put("workouts", **fields)
    assert json.dumps(fields) == before


# -- texts of one line ---------------------------------------------------------------------------------------------


def test_a_string_has_at_most_its_length_in_characters() -> None:
    assert accepts("workouts", "title", "é" * 200)
    assert code("workouts", "title", "é" * 201) == "too_long"


def test_a_string_has_at_least_its_length() -> None:
    assert accepts("exercises", "name", "ab")
    assert code("exercises", "name", "a") == "out_of_range"


@pytest.mark.parametrize("value", [1, True, ["a"], {"$gt": 0}])
def test_a_string_is_nothing_else(value: Any) -> None:
    assert code("workouts", "title", value) == "wrong_type"


@pytest.mark.parametrize(
    ("collection", "field", "value"),
    [
        ("workouts", "title", "a\0b"),
        ("workouts", "status", "active\0"),
        ("workouts", "timezone", "Europe/Berlin\0"),
        ("workouts", "template", ID + "\0"),
        ("workouts", "started_at", NOW + "\0"),
        ("workouts", "tags", {"add": ["\0"]}),
        ("workouts", "bodyweight", {"value": 1, "unit": "kg\0"}),
        ("sets", "position", "a\0"),
        ("measurements", "kind", "custom:\0"),
        ("measurements", "kind", "\0"),
        ("preferences", "privacy", {"a": ["\0"]}),
        ("preferences", "privacy", {"\0": 1}),
    ],
)
def test_a_zero_character_is_the_wrong_type_in_any_string(collection: str, field: str, value: Any) -> None:
    assert code(collection, field, value) == "wrong_type"


def test_a_backslash_that_only_looks_like_a_zero_character_passes() -> None:
    assert accepts("preferences", "privacy", {"path": "\\u0000"})


# -- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 10])
def test_the_bounds_of_a_whole_number_belong_to_it(value: int) -> None:
    assert accepts("workouts", "perceived_effort", value)


@pytest.mark.parametrize("value", [0, 11, -1, 10**30])
def test_a_whole_number_stays_within_its_bounds(value: int) -> None:
    assert code("workouts", "perceived_effort", value) == "out_of_range"


@pytest.mark.parametrize("value", [True, "8", 8.5, [8], {"$gt": 0}])
def test_a_whole_number_is_nothing_else(value: Any) -> None:
    assert code("workouts", "perceived_effort", value) == "wrong_type"


def test_a_whole_number_may_be_spelled_with_a_point() -> None:
    checked = put("workouts", perceived_effort=8.0)
    assert checked == {"perceived_effort": 8}
    assert type(checked["perceived_effort"]) is int


@pytest.mark.parametrize("value", [0, 8, 8.5, 10_000, 9_999.5])
def test_reps_come_by_halves(value: float) -> None:
    assert accepts("sets", "reps", value)


@pytest.mark.parametrize("value", [-0.5, 8.25, 10_000.5, 1e300])
def test_other_parts_of_reps_are_out_of_range(value: float) -> None:
    assert code("sets", "reps", value) == "out_of_range"


@pytest.mark.parametrize("value", [True, False, "8", []])
def test_a_number_is_nothing_else(value: Any) -> None:
    assert code("sets", "reps", value) == "wrong_type"


@pytest.mark.parametrize("value", [0.1, 1.2345, 999_999_999.9999, -999_999_999.9999, 1e-4, 1_000_000_000])
def test_a_number_has_four_decimals(value: float) -> None:
    assert accepts("measurements", "value", value)


@pytest.mark.parametrize("value", [1.23456, 0.1 + 0.2, 1e-5, 5e-324, 123_456_789.12345])
def test_a_fifth_decimal_is_out_of_range(value: float) -> None:
    assert code("measurements", "value", value) == "out_of_range"


@pytest.mark.parametrize("value", [8.00001, 1e-9])
def test_a_fifth_decimal_is_out_of_range_in_a_whole_number_too(value: float) -> None:
    assert code("workouts", "rating", value) == "out_of_range"


@given(st.integers(-(10**13) + 1, 10**13 - 1))
def test_every_decimal_of_four_places_is_accepted_as_it_is(ten_thousandths: int) -> None:
    assert accepts("measurements", "value", ten_thousandths / 10_000)


@given(st.integers(-(10**12), 10**12).filter(lambda n: n % 10))
def test_every_decimal_of_five_places_is_refused(hundred_thousandths: int) -> None:
    assert code("measurements", "value", hundred_thousandths / 100_000) == "out_of_range"


@pytest.mark.parametrize("value", [True, False])
def test_a_bool_is_true_or_false(value: bool) -> None:
    assert accepts("sets", "is_amrap", value)


@pytest.mark.parametrize("value", [0, 1, "true", []])
def test_a_bool_is_no_number(value: Any) -> None:
    assert code("sets", "is_amrap", value) == "wrong_type"


# -- words ---------------------------------------------------------------------------------------------------------


def test_a_word_is_one_of_the_declared_ones() -> None:
    assert accepts("sets", "kind", "warmup")
    assert code("sets", "kind", "Warmup") == "out_of_range"
    assert code("sets", "kind", 1) == "wrong_type"
    assert code("sets", "kind", ["warmup"]) == "wrong_type"


def test_a_measurement_may_have_a_kind_of_its_own() -> None:
    assert accepts("measurements", "kind", "waist")
    assert accepts("measurements", "kind", "custom:left pinky")
    assert code("measurements", "kind", "custom:") == "out_of_range"
    assert code("measurements", "kind", "pinky") == "out_of_range"
    assert code("measurements", "kind", "custom:" + "x" * 51) == "too_long"
    assert code("measurements", "kind", {}) == "wrong_type"


# -- times ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [NOW, "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "2024-02-29T00:00:00.000Z"]
)
def test_a_time_is_utc_with_milliseconds(value: str) -> None:
    assert accepts("workouts", "started_at", value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T10:00:00Z",
        "2026-11-23T10:00:00.123456Z",
        "2026-11-23T10:00:00.123+00:00",
        "2026-11-23T10:00:00.123z",
        "2026-11-23 10:00:00.123Z",
        "2026-11-23T24:00:00.000Z",
        "2026-11-23T10:60:00.000Z",
        "2026-11-23T10:00:60.000Z",
        "2026-02-29T10:00:00.000Z",
        "2026-13-01T10:00:00.000Z",
        "0000-01-01T00:00:00.000Z",
        "２026-11-23T10:00:00.123Z",
        NOW + "\n",
        "",
        1_795_000_000_000,
        {},
    ],
)
def test_any_other_time_is_the_wrong_type(value: Any) -> None:
    assert code("workouts", "started_at", value) == "wrong_type"


def test_a_date_is_a_day_of_the_calendar() -> None:
    assert accepts("workouts", "local_date", "2024-02-29")
    for value in ("2026-02-29", "2026-2-1", "20260201", "2026-W01-1", NOW, 20260201):
        assert code("workouts", "local_date", value) == "wrong_type"


@pytest.mark.parametrize("value", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_a_time_zone_has_an_iana_name(value: str) -> None:
    assert accepts("workouts", "timezone", value)


@pytest.mark.parametrize("value", ["Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "", "a" * 10_000, "+02:00"])
def test_any_other_time_zone_is_out_of_range(value: str) -> None:
    assert code("workouts", "timezone", value) == "out_of_range"


def test_a_time_zone_is_a_string() -> None:
    assert code("workouts", "timezone", 2) == "wrong_type"


# -- places in a list ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a0", "Zz", "a0V", "!", "~" * 250])
def test_a_place_is_a_fractional_index(value: str) -> None:
    assert accepts("sets", "position", value)


def test_any_other_place_is_refused() -> None:
    for value in ("", "a b", "ä", "a\n", 1, None):
        assert code("sets", "position", value) == "wrong_type"
    assert code("sets", "position", "a" * 251) == "too_long"


# -- UUIDs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [ID, IMPORTED, RANDOM])
def test_a_field_may_name_anything_by_a_uuid(value: str) -> None:
    assert accepts("sets", "athlete", value)


@pytest.mark.parametrize("value", ["", "me", ID.upper(), NIL_UUID, ID + "\n"])
def test_what_is_no_uuid_in_lower_case_is_a_bad_id(value: str) -> None:
    assert code("sets", "athlete", value) == "bad_id"


def test_a_parent_is_named_by_a_record_id() -> None:
    assert accepts("sets", "workout_exercise", ID)
    assert code("sets", "workout_exercise", RANDOM) == "bad_id"
    assert code("sets", "workout_exercise", {"id": ID}) == "wrong_type"


# -- quantities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"value": 0, "unit": "kg"},
        {"value": 102.5, "unit": "kg"},
        {"value": 2_000, "unit": "kg"},
        {"unit": "lb", "value": 4_409.2452},
    ],
)
def test_a_mass_is_kept_as_it_was_entered(value: Any) -> None:
    assert accepts("sets", "weight", value)


@pytest.mark.parametrize(
    "value",
    [
        {"value": -1, "unit": "kg"},
        {"value": 2_000.5, "unit": "kg"},
        {"value": 4_409.2453, "unit": "lb"},
        {"value": 1.23456, "unit": "kg"},
        {"value": 1, "unit": "stone"},
        {"value": 1, "unit": ""},
    ],
)
def test_a_mass_stays_within_its_bounds_whatever_its_unit(value: Any) -> None:
    assert code("sets", "weight", value) == "out_of_range"


@pytest.mark.parametrize(
    "value",
    [
        100,
        "100 kg",
        {},
        {"value": 100},
        {"unit": "kg"},
        {"unit": "kg", "amount": 1},
        {"value": 1, "unit": "kg", "more": 1},
        {"value": "100", "unit": "kg"},
        {"value": True, "unit": "kg"},
        {"value": None, "unit": "kg"},
        {"value": 1, "unit": None},
        {"value": 1, "unit": ["kg"]},
        [100, "kg"],
    ],
)
def test_a_mass_is_a_value_with_its_unit(value: Any) -> None:
    assert code("sets", "weight", value) == "wrong_type"


@pytest.mark.parametrize("unit", ["m", "km", "mi", "yd", "ft"])
def test_a_length_has_one_of_five_units(unit: str) -> None:
    assert accepts("sets", "distance", {"value": 42.195, "unit": unit})


def test_a_length_stays_within_its_bounds_whatever_its_unit() -> None:
    assert accepts("sets", "distance", {"value": 10_000, "unit": "km"})
    assert code("sets", "distance", {"value": 10_000, "unit": "mi"}) == "out_of_range"
    assert code("sets", "distance", {"value": 1, "unit": "kg"}) == "out_of_range"


# -- lists and objects ---------------------------------------------------------------------------------------------


def test_pauses_are_pairs_of_times() -> None:
    assert accepts("workouts", "pauses", [])
    assert accepts("workouts", "pauses", [[NOW, NOW]])
    wrong: list[Any] = [{}, [NOW], [[NOW]], [[NOW, NOW, NOW]], [[NOW, None]], [[NOW, "later"]], ["ab"]]
    for value in wrong:
        assert code("workouts", "pauses", value) == "wrong_type"


def test_a_list_has_at_most_its_number_of_elements() -> None:
    assert accepts("workouts", "pauses", [[NOW, NOW]] * 200)
    assert code("workouts", "pauses", [[NOW, NOW]] * 201) == "too_long"


def test_a_fault_inside_names_its_place() -> None:
    assert put("workouts", pauses=[[NOW, NOW], [NOW, 1]]).message.startswith("pauses[1][1] must be a time")
    assert put("sets", weight={"value": -1, "unit": "kg"}).message == "weight.value must be 0 to 2000 kg"
    assert put("workouts", tags={"add": ["a", 1]}).message.startswith("tags.add[1] must be a string")


def test_a_rest_timer_has_a_start_and_a_duration() -> None:
    timer = {"started_at": NOW, "duration_s": 90}
    assert accepts("workouts", "rest_timer", timer)
    assert accepts("workouts", "rest_timer", {**timer, "set": ID})
    assert accepts("workouts", "rest_timer", {**timer, "set": None})
    for value in ({}, {"started_at": NOW}, {**timer, "x": 1}, {**timer, "duration_s": None}, [timer]):
        assert code("workouts", "rest_timer", value) == "wrong_type"
    assert code("workouts", "rest_timer", {**timer, "set": "x"}) == "bad_id"
    assert code("workouts", "rest_timer", {**timer, "duration_s": -1}) == "out_of_range"


def test_a_source_keeps_any_raw_value() -> None:
    raw = {"Set Order": "W", "Notes": None, "nested": [1, [2.123456, {"a": True}]]}
    assert accepts("sets", "source", {"app": "strong", "external_id": "7", "import": "a", "raw": raw})
    assert accepts("sets", "source", {"app": "strong"})
    assert code("sets", "source", {"external_id": "7"}) == "wrong_type"


def test_a_progression_is_a_list_of_rules() -> None:
    rule = {
        "field": "weight",
        "op": "+",
        "step": 2.5,
        "unit": "kg",
        "repeat": True,
        "requires": ["reps"],
        "ceiling": 100,
    }
    assert accepts("template_sets", "progression", [rule, {"field": "reps", "op": "="}])
    assert code("template_sets", "progression", [{"op": "+"}]) == "wrong_type"


def test_a_free_object_is_an_object() -> None:
    assert accepts("preferences", "privacy", {})
    assert code("preferences", "privacy", []) == "wrong_type"
    assert code("preferences", "privacy", "{}") == "wrong_type"


def test_a_free_object_has_at_most_4_kib() -> None:
    room = 4_096 - len('{"a":""}')
    assert accepts("preferences", "privacy", {"a": "x" * room})
    assert code("preferences", "privacy", {"a": "x" * (room + 1)}) == "too_long"
    assert code("preferences", "privacy", {"a": "é" * (room // 2 + 1)}) == "too_long"


def _nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_a_free_object_has_few_levels() -> None:
    assert accepts("preferences", "privacy", _nested(FREE_DEPTH_MAX))
    assert code("preferences", "privacy", _nested(FREE_DEPTH_MAX + 1)) == "out_of_range"
    assert code("preferences", "privacy", _nested(900)) == "out_of_range"


def test_a_free_object_holds_only_what_can_be_sent_on() -> None:
    assert code("preferences", "privacy", {"a": "\ud800"}) == "wrong_type"


# -- kinds ---------------------------------------------------------------------------------------------------------


def test_a_set_is_given_to_the_kernel_with_both_its_lists() -> None:
    assert put("workouts", tags={"add": ["a"]}) == {"tags": {"add": ["a"], "remove": []}}
    assert put("workouts", tags={"remove": ["a"]}) == {"tags": {"add": [], "remove": ["a"]}}
    assert put("workouts", tags={}) == {"tags": {"add": [], "remove": []}}


@pytest.mark.parametrize(
    "value", [["a"], "a", {"add": "a"}, {"add": None}, {"set": ["a"]}, {"add": [1]}, {"add": [["a"]]}]
)
def test_a_set_takes_adds_and_removes_alone(value: Any) -> None:
    assert code("workouts", "tags", value) == "wrong_type"


def test_the_elements_of_a_set_have_its_type() -> None:
    assert code("workouts", "tags", {"add": ["x" * 51]}) == "too_long"
    assert code("exercises", "primary_muscles", {"remove": ["gills"]}) == "out_of_range"
    assert code("measurements", "photos", {"add": ["x"]}) == "bad_id"


def test_a_text_is_given_to_the_kernel_as_bytes() -> None:
    assert put("workouts", notes={"yjs": "AAE="}) == {"notes": {"yjs": b"\x00\x01"}}


@pytest.mark.parametrize("value", ["A", "AAE", "AA=E", "AAE=\n", " AAE=", "AA-_", "ä", "\0", ""])
def test_a_text_that_is_no_base64_is_a_bad_text(value: str) -> None:
    assert code("workouts", "notes", {"yjs": value}) == "bad_text"


@pytest.mark.parametrize("value", ["AAE=", {}, {"text": "a"}, {"yjs": 1}, {"yjs": "AAE=", "text": "a"}, ["AAE="]])
def test_a_text_takes_a_yjs_update_alone(value: Any) -> None:
    assert code("workouts", "notes", value) == "wrong_type"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, "wrong_type"),
        ({}, "wrong_type"),
        ({"inc": 1, "dec": 1}, "wrong_type"),
        ({"inc": "1"}, "wrong_type"),
        ({"inc": 1e10}, "out_of_range"),
        ({"inc": 0.00001}, "out_of_range"),
    ],
)
def test_a_counter_takes_an_increment_alone(value: Any, expected: str) -> None:
    # No declared collection has a counter yet; the protocol does.
    check = compile_field(FieldSpec("counter", None))
    assert check({"inc": -2.5}) == {"inc": -2.5}
    assert check(value).code == expected


def test_a_machine_without_the_zone_database_takes_every_well_formed_name(tmp_path: Path) -> None:
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    try:
        check = compile_field(FieldSpec("register", TimeZone()))
    finally:
        zoneinfo.reset_tzpath()
    assert check("Europe/Atlantis") == "Europe/Atlantis"
    assert check("../../etc/passwd").code == "out_of_range"


# -- any JSON at all -----------------------------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40)
    | st.sampled_from([ID, NOW, "kg", "2026-11-23", "Europe/Berlin", "a0", "AAE=", "custom:x"])
)
KEYS = st.sampled_from(["value", "unit", "add", "remove", "yjs", "inc", "app", "raw", "started_at"]) | st.text(
    max_size=5
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@given(value=JSON)
@pytest.mark.parametrize("name", COLLECTIONS)
def test_any_json_in_any_field_is_accepted_or_refused_by_name(name: str, value: Any) -> None:
    spec = COLLECTIONS[name]
    for field in spec.fields:
        checked = put(name, **{field: value})
        if isinstance(checked, Rejection):
            assert checked.code in CODES
            assert checked.field == field
            assert re.match(rf"{field}[ .\[]", checked.message)
        else:
            assert checked.keys() == {field}


@given(fields=st.dictionaries(st.sampled_from([*COLLECTIONS["sets"].fields, "user_id", ""]), JSON, max_size=8))
def test_a_put_is_accepted_whole_or_refused_whole(fields: dict[str, Any]) -> None:
    checked = check_put(COLLECTIONS["sets"], ID, fields)
    alone = [check_put(COLLECTIONS["sets"], ID, {name: value}) for name, value in fields.items()]
    refused = next((each for each in alone if isinstance(each, Rejection)), None)
    if refused is not None:
        assert checked == refused
    else:
        assert checked == {name: value for each in alone if isinstance(each, dict) for name, value in each.items()}
