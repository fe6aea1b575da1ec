"""What comes in becomes typed values, or one answer that names every fault."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest

from api.errors import InvalidFields
from api.rest import binding
from api.rest.binding import FAULTS_MAX, bind, bind_query
from api.rest.endpoint import Fault, Strict
from api.rest.formats import Password


class Load(Strict):
    value: Annotated[float, msgspec.Meta(ge=0, le=2_000)]
    unit: Literal["kg", "lb"]


class Lift(Strict):
    reps: Annotated[int, msgspec.Meta(ge=1, le=100)]
    weight: Load | None = None
    note: Annotated[str, msgspec.Meta(max_length=10)] = ""


class Workout(Strict):
    title: str
    sets: list[Lift] = msgspec.field(default_factory=list)
    day: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")] | None = None


class Search(Strict):
    q: str
    page: Annotated[int, msgspec.Meta(ge=1)] = 1
    muscle: list[str] = msgspec.field(default_factory=list)


def faults(value: Any, type_: Any = Workout) -> set[tuple[str, str]]:
    with pytest.raises(InvalidFields) as caught:
        bind(value, type_)
    return {(fault["field"], fault["code"]) for fault in caught.value.fields}


def test_what_is_right_becomes_the_declared_type() -> None:
    made = bind({"title": "Legs", "sets": [{"reps": 5, "weight": {"value": 100, "unit": "kg"}}]}, Workout)
    assert made == Workout(title="Legs", sets=[Lift(reps=5, weight=Load(value=100, unit="kg"))])


def test_every_fault_is_named_in_one_answer() -> None:
    value = {
        "sets": [{"reps": 0}, {"reps": 5, "weight": {"value": "heavy", "unit": "st"}, "note": "x" * 11}],
        "day": "yesterday",
        "Title": "Legs",
    }
    assert faults(value) == {
        ("title", "required"),
        ("Title", "unknown_field"),
        ("sets[0].reps", "out_of_range"),
        ("sets[1].weight.value", "wrong_type"),
        ("sets[1].weight.unit", "unknown_value"),
        ("sets[1].note", "wrong_length"),
        ("day", "wrong_format"),
    }


class Span(Strict):
    since: int
    until: int
    note: str = ""

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        if given.get("until", 0) < given.get("since", 0):
            yield {"field": "until", "code": "out_of_range", "message": "until must not be before since"}


class Plan(Strict):
    title: str
    spans: list[Span]


def test_what_contradicts_itself_is_named_with_what_is_of_a_wrong_type() -> None:
    early, odd = {"since": 5, "until": 2}, {"since": 5, "until": "late"}
    assert faults({"title": 7, "spans": [early, odd, {**early, "note": 3}]}, Plan) == {
        ("title", "wrong_type"),
        ("spans[0].until", "out_of_range"),
        ("spans[1].until", "wrong_type"),
        ("spans[2].until", "out_of_range"),
        ("spans[2].note", "wrong_type"),
    }
    assert faults({"title": "x", "spans": [early, early]}, Plan) == {
        ("spans[0].until", "out_of_range"),
        ("spans[1].until", "out_of_range"),
    }


class Named(Strict):
    ids: dict[str, int]
    others: Annotated[dict[str, int], msgspec.Meta(max_length=9)] | msgspec.UnsetType = msgspec.UNSET
    tags: list[Annotated[str, msgspec.Meta(max_length=3)]] = msgspec.field(default_factory=list)


def test_a_fault_inside_a_list_or_a_mapping_says_where() -> None:
    given = {"ids": {"a": 1, "b": "x"}, "others": {"c": "y"}, "tags": ["abc", "abcd", 7]}
    assert faults(given, Named) == {
        ("ids.b", "wrong_type"),
        ("others.c", "wrong_type"),
        ("tags[1]", "wrong_length"),
        ("tags[2]", "wrong_type"),
    }


@pytest.mark.parametrize(
    ("type_", "value", "told"),
    [
        (Lift, {"reps": 0}, "reps must be a whole number from 1 to 100, not 0"),
        (Lift, {"reps": "many"}, "reps must be a whole number from 1 to 100, not a text"),
        (Lift, {"reps": 5, "note": "x" * 11}, "note must be a text of at most 10 characters, and has 11"),
        (Lift, {"reps": 5, "weight": 80}, "weight must be an object with value and unit, or null, not 80"),
        (Load, {"value": 80, "unit": "st"}, 'unit must be one of kg, lb, not "st"'),
        (Load, {"value": True, "unit": "kg"}, "value must be a number from 0 to 2,000, not true"),
        (Load, [], "The body must be an object with value and unit, not a list"),
    ],
)
def test_a_refusal_says_what_is_allowed_and_what_is_there(type_: Any, value: Any, told: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        bind(value, type_)
    assert [fault["message"] for fault in caught.value.fields] == [told]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"Title": "Legs"}, "Title is not a field of this request: did you mean title?"),
        ({"titel": "Legs"}, "titel is not a field of this request: did you mean title?"),
        ({"name": "Legs"}, "name is not a field of this request: did you mean title?"),
        ({"sauna": True}, "sauna is not a field of this request"),
        ({"title": "Legs", "titel": "Arms"}, "titel is not a field of this request"),
    ],
)
def test_a_field_that_nobody_knows_is_refused_with_the_nearest_that_is_missing(value: Any, told: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        bind(value, Workout)
    assert caught.value.fields[0]["message"] == told


def test_a_parameter_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidFields) as caught:
        bind_query([("q", "bench"), ("muscles", "chest"), ("per_page", "5")], Search)
    assert [fault["message"] for fault in caught.value.fields] == [
        "muscles is not a parameter of this address: did you mean muscle?",
        "per_page is not a parameter of this address",
    ]


class Target(Strict):
    target_weight: float | None = None
    target_reps_min: int | None = None
    target_reps_max: int | None = None
    kind: str = "normal"


@pytest.mark.parametrize(
    ("name", "meant"), [("reps", "target_reps_min or target_reps_max"), ("weight", "target_weight"), ("type", "kind")]
)
def test_a_part_of_names_and_another_word_for_one_mean_them(name: str, meant: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        bind({name: 5}, Target)
    assert caught.value.fields[0]["message"] == f"{name} is not a field of this request: did you mean {meant}?"


@pytest.mark.parametrize("unit", ["lbs", "LB", "pounds"])
def test_a_word_that_nobody_knows_is_refused_with_the_nearest(unit: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        bind({"value": 80, "unit": unit}, Load)
    assert caught.value.fields[0]["message"] == f'unit must be one of kg, lb, not "{unit}": did you mean lb?'


class Proof(Strict):
    password: Password
    other: Password | None = None


@pytest.mark.parametrize("name", ["password", "other"])
def test_a_secret_is_repeated_in_no_refusal(name: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        bind({"password": "x", name: 83117204}, Proof)
    (fault,) = caught.value.fields
    assert fault["message"].endswith(", not a number") and "8" not in fault["message"]


def test_a_word_that_is_repeated_in_a_refusal_is_bounded() -> None:
    with pytest.raises(InvalidFields) as caught:
        bind({"value": 1, "unit": "x" * 10_000}, Load)
    assert len(caught.value.fields[0]["message"]) < 100


@pytest.mark.parametrize("value", [None, 7, "x", [], True])
def test_what_is_no_object_is_one_fault(value: Any) -> None:
    assert faults(value) == {("", "wrong_type")}


def test_null_is_a_wrong_type_where_it_is_not_allowed() -> None:
    assert faults({"title": None}) == {("title", "wrong_type")}


@pytest.mark.parametrize("number", [float("inf"), 10**400, -1, 2_000.1], ids=lambda number: str(number)[:9])
def test_a_number_out_of_bounds_is_refused(number: Any) -> None:
    assert faults({"value": number, "unit": "kg"}, Load) == {("value", "out_of_range")}


def test_a_text_that_no_database_takes_is_refused_by_name() -> None:
    assert faults({"title": "a\0b"}) == {("title", "wrong_type")}
    assert faults({"title": "x", "sets": [{"reps": 1, "note": "\0"}]}) == {("sets[0].note", "wrong_type")}


def test_an_answer_names_a_bounded_number_of_faults() -> None:
    assert len(faults({"title": "x", "sets": [{"reps": 0}] * (FAULTS_MAX * 2)})) == FAULTS_MAX


def test_of_what_is_long_only_what_is_wrong_is_walked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walked: list[str] = []
    walk = binding._faults_of_object

    def noted(value: Any, type_: Any, at: str, *, strict: bool) -> Iterable[Fault]:
        walked.append(at)
        return walk(value, type_, at, strict=strict)

    monkeypatch.setattr(binding, "_faults_of_object", noted)
    sets = [{"reps": 1, "weight": {"value": 80, "unit": "kg"}}] * 1_000
    assert faults({"title": "Pull", "sets": [*sets, {"reps": 0}, *sets]}) == {("sets[1000].reps", "out_of_range")}
    assert walked == ["", "sets[1000]"]


def test_a_name_that_comes_back_in_the_answer_is_bounded() -> None:
    ((field, code), *_) = faults({"title": "x", "y" * 10_000: 1})
    assert (len(field), code) == (64, "unknown_field")


def test_parameters_of_an_address_are_converted() -> None:
    given = [("q", "bench"), ("page", "2"), ("muscle", "chest"), ("muscle", "triceps")]
    assert bind_query(given, Search) == Search(q="bench", page=2, muscle=["chest", "triceps"])


def test_every_wrong_parameter_is_named() -> None:
    given = [("q", "bench"), ("q", "squat"), ("page", "zero"), ("Muscle", "chest")]
    with pytest.raises(InvalidFields) as caught:
        bind_query(given, Search)
    assert {(fault["field"], fault["code"]) for fault in caught.value.fields} == {
        ("q", "invalid"),
        ("page", "wrong_type"),
        ("Muscle", "unknown_field"),
    }


class Reps(Strict):
    reps: int


def test_a_whole_number_may_be_spelled_with_a_point() -> None:
    assert bind({"reps": 8.0}, Reps) == Reps(reps=8)
    with pytest.raises(InvalidFields):
        bind({"reps": 8.5}, Reps)


class Asked(Strict):
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    nested: bool | None = None
    name: str | None = None


@pytest.mark.parametrize(("name", "text"), [("since", "0"), ("since", "1.5"), ("since", "null"), ("nested", "null")])
def test_neither_a_number_nor_null_stands_for_what_an_address_cannot_say(name: str, text: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        bind_query([(name, text)], Asked)
    assert [fault["field"] for fault in caught.value.fields] == [name]
    assert bind_query([("since", "2026-11-23T10:00:00Z"), ("nested", "true"), ("name", "null")], Asked).name == "null"


def test_a_parameter_with_a_nul_is_refused() -> None:
    with pytest.raises(InvalidFields):
        bind_query([("q", "a\0")], Search)


def test_an_address_is_told_what_it_may_say_and_never_null() -> None:
    with pytest.raises(InvalidFields) as caught:
        bind_query([("q", "bench"), ("page", "0")], Search)
    assert caught.value.fields[0]["message"] == 'page must be a whole number from 1 on, not "0"'
    with pytest.raises(InvalidFields) as caught:
        bind_query([("nested", "perhaps")], Asked)
    assert caught.value.fields[0]["message"] == 'nested must be true or false, not "perhaps"'
