"""The declared collections: what every reader of the declaration relies on."""

from __future__ import annotations

import json

import pytest

from conflict.rules import CollectionRules
from storage.collection_specs import CollectionSpec, FieldSpec
from storage.collections import COLLECTIONS, NIL_UUID, RULES, SCHEMA, describe
from storage.field_types import Enum, Uuid

FIELDS = [
    pytest.param(spec, name, field, id=f"{spec.name}.{name}")
    for spec in COLLECTIONS.values()
    for name, field in spec.fields.items()
]
EVERY_FIELD = pytest.mark.parametrize(("spec", "name", "field"), FIELDS)


def test_every_collection_of_the_data_model_is_declared() -> None:
    assert set(COLLECTIONS) == {
        "workouts",
        "workout_exercises",
        "participants",
        "sets",
        "templates",
        "template_exercises",
        "template_sets",
        "exercises",
        "measurements",
        "goals",
        "preferences",
        "personal_records",
        "achievements",
        "notifications",
    }


def test_this_is_the_first_version_of_the_schema() -> None:
    assert SCHEMA == 1


def test_a_collection_below_another_names_it_in_one_field() -> None:
    parents = {name: spec.rules.parent for name, spec in COLLECTIONS.items() if spec.rules.parent}
    assert parents == {
        "workout_exercises": ("workout", "workouts"),
        "participants": ("workout", "workouts"),
        "sets": ("workout_exercise", "workout_exercises"),
        "template_exercises": ("template", "templates"),
        "template_sets": ("template_exercise", "template_exercises"),
    }


def test_a_collection_knows_its_depth_and_whether_something_is_below_it() -> None:
    tree = {name: (spec.depth, spec.has_children) for name, spec in COLLECTIONS.items()}
    assert tree["workouts"] == tree["templates"] == (0, True)
    assert tree["workout_exercises"] == tree["template_exercises"] == (1, True)
    assert tree["sets"] == tree["template_sets"] == (2, False)
    assert tree["participants"] == (1, False)
    assert tree["goals"] == (0, False)


def test_the_server_alone_writes_records_achievements_and_notifications() -> None:
    alone = {name for name, spec in COLLECTIONS.items() if spec.server_only}
    assert alone == {"personal_records", "achievements", "notifications"}


def test_preferences_are_one_record() -> None:
    assert [name for name, spec in COLLECTIONS.items() if spec.single] == ["preferences"]
    assert NIL_UUID == "00000000-0000-0000-0000-000000000000"


def test_a_status_is_ranked_by_value() -> None:
    assert RULES["workouts"].fields["status"].order == ("planned", "active", "paused", "discarded", "completed")
    assert RULES["goals"].fields["status"].order == ("active", "abandoned", "reached")
    ranked = {(c, f) for c, spec in COLLECTIONS.items() for f, field in spec.fields.items() if field.ranked}
    assert ranked == {("workouts", "status"), ("goals", "status")}


def test_what_is_measured_live_passes_by() -> None:
    live = {"energy_kcal", "average_heart_rate", "max_heart_rate", "rest_timer", "current_exercise"}
    assert RULES["workouts"].passing == RULES["participants"].passing == live
    assert all(not rules.passing for name, rules in RULES.items() if name not in ("workouts", "participants"))


@EVERY_FIELD
def test_only_a_register_may_be_null_or_pass_by(spec: CollectionSpec, name: str, field: FieldSpec) -> None:
    assert field.kind == "register" or not (field.nullable or field.passing or field.ranked)


@EVERY_FIELD
def test_a_parent_is_a_record_id_that_is_never_null(spec: CollectionSpec, name: str, field: FieldSpec) -> None:
    if field.parent is not None:
        assert field.type == Uuid(record=True)
        assert not field.nullable
        assert field.parent in COLLECTIONS


@EVERY_FIELD
def test_a_ranked_register_names_just_the_values_it_takes(spec: CollectionSpec, name: str, field: FieldSpec) -> None:
    if field.ranked is not None:
        assert isinstance(field.type, Enum)
        assert field.type.values == field.ranked


@EVERY_FIELD
def test_a_text_alone_has_no_type(spec: CollectionSpec, name: str, field: FieldSpec) -> None:
    assert (field.type is None) == (field.kind == "text")


@EVERY_FIELD
def test_a_field_is_announced_with_its_kind_and_type(spec: CollectionSpec, name: str, field: FieldSpec) -> None:
    announced = describe()[spec.name][name]
    assert announced["kind"] == field.kind
    assert isinstance(announced["type"], str)
    assert announced.get("nullable", False) == field.nullable
    assert announced.get("passing", False) == field.passing
    assert announced.get("parent") == field.parent
    assert announced.get("read_only", False) == spec.server_only
    assert tuple(announced.get("order", ())) == (field.ranked or ())


def test_the_kernel_is_given_every_field_of_every_collection() -> None:
    for name, spec in COLLECTIONS.items():
        assert isinstance(RULES[name], CollectionRules)
        assert RULES[name].fields.keys() == spec.fields.keys()
        assert all(RULES[name].fields[f].kind == field.kind for f, field in spec.fields.items())


def test_the_announcement_is_plain_json() -> None:
    assert json.loads(json.dumps(describe())) == describe()


def test_limits_are_announced_beside_the_type() -> None:
    sets = describe()["sets"]
    assert sets["reps"] == {
        "kind": "register",
        "type": "number",
        "minimum": 0,
        "maximum": 10_000,
        "step": 0.5,
        "nullable": True,
    }
    assert sets["weight"] == {
        "kind": "register",
        "type": "mass",
        "units": ["kg", "lb"],
        "minimum": 0,
        "maximum_kg": 2_000,
        "nullable": True,
    }
    assert describe()["workouts"]["tags"] == {"kind": "set", "type": "string", "max_length": 50}
    assert describe()["workouts"]["notes"] == {"kind": "text", "type": "text"}
    assert describe()["exercises"]["name"]["min_length"] == 2
    assert describe()["measurements"]["kind"]["prefix"] == "custom:"
