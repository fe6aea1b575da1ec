"""What is typed is either exactly one meaning, or refused with the way to say it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.command_line.device.grammar import BadSet, parse, parse_seconds

KG100 = {"weight": {"value": 100, "unit": "kg"}, "load_mode": "external"}


def fields(text: str, load_mode: str = "external") -> dict[str, Any]:
    (one,) = parse(text)
    return one.fields(load_mode)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("100kgx5", {**KG100, "reps": 5, "kind": "normal"}),
        ("102.5kgx3@8.5", {"weight": {"value": 102.5, "unit": "kg"}, "reps": 3, "rpe": 8.5}),
        ("102,5KGx3", {"weight": {"value": 102.5, "unit": "kg"}, "reps": 3}),
        ("225lbsx5", {"weight": {"value": 225, "unit": "lb"}, "reps": 5}),
        ("100kg×5", {**KG100, "reps": 5}),
        ("w:60kgx8", {"kind": "warmup", "weight": {"value": 60, "unit": "kg"}, "reps": 8}),
        ("f:60kgx8", {"kind": "failure", "to_failure": True}),
        ("rest_pause:60kgx8", {"kind": "rest_pause"}),
        ("x12", {"reps": 12}),
        ("x7.5", {"reps": 7.5}),
        ("+10kgx5", {"load_mode": "bodyweight_plus", "weight": {"value": 10, "unit": "kg"}, "reps": 5}),
        ("-20kgx8", {"load_mode": "assisted", "weight": {"value": 20, "unit": "kg"}, "reps": 8}),
        ("60s", {"duration_s": 60, "load_mode": "none"}),
        ("1:02:03", {"duration_s": 3723}),
        ("1h5min", {"duration_s": 3900}),
        ("20kgx45s", {"weight": {"value": 20, "unit": "kg"}, "duration_s": 45, "load_mode": "external"}),
        ("5km", {"distance": {"value": 5, "unit": "km"}, "load_mode": "none"}),
        ("5km/25:30", {"distance": {"value": 5, "unit": "km"}, "duration_s": 1530}),
        ("24kgx40m", {"weight": {"value": 24, "unit": "kg"}, "distance": {"value": 40, "unit": "m"}}),
    ],
)
def test_a_set_is_typed_as_lifters_write_it(typed: str, meant: dict[str, Any]) -> None:
    found = fields(typed)
    assert {name: found[name] for name in meant} == meant


def test_a_number_after_the_reps_is_how_many_such_sets() -> None:
    assert parse("100kgx5x3") == parse("100kgx5") * 3
    assert parse("x10x2") == parse("x10") * 2


@pytest.mark.parametrize(
    ("typed", "way"),
    [
        ("100x5", "100kgx5"),
        ("12", "x12"),
        ("100kg", "100kgx5"),
        ("z:100kgx5", "warm-up"),
        ("100kgx5@11", "0 to 10"),
        ("100kgx5@8.3", "half"),
        ("100kgx5.3", "half"),
        ("60kgx0", "no reps"),
        ("x0", "no reps"),
        ("10x200kg", "the weight comes first, 200kgx10[.]"),
        ("5x60kg", "the weight comes first, 60kgx5[.]"),
        ("5x60,5lbs", "the weight comes first, 60,5lbsx5[.]"),
        ("3x5x60kg@8", "the weight comes first, 60kgx5x3@8[.]"),
        ("200 kg x 10", "write it together, 200kgx10[.]"),
        ("2001kgx1", "2,000 kg"),
        ("5000lbx1", "2,000 kg"),
        ("x10001", "10,000"),
        ("200h", "a week"),
        ("100kgx100kgx5", "more than one weight"),
        ("bench", "typed like"),
        ("", "typed like"),
        ("@8", "typed like"),
    ],
)
def test_what_could_mean_two_things_or_nothing_is_refused_with_the_way_to_say_it(typed: str, way: str) -> None:
    with pytest.raises(BadSet, match=way):
        parse(typed)


def test_an_unsigned_weight_counts_as_the_exercise_does() -> None:
    assert fields("20kgx8", "bodyweight_plus")["load_mode"] == "bodyweight_plus"
    assert fields("20kgx8", "assisted")["load_mode"] == "assisted"
    assert fields("20kgx8", "none")["load_mode"] == "external"
    assert fields("x8", "none")["load_mode"] == "bodyweight_plus"


@given(st.text(alphabet="0123456789.,:x/@+-kglbsminhdwf ×", max_size=24))
def test_every_text_is_a_set_or_a_sentence(text: str) -> None:
    try:
        parse(text)
    except BadSet as error:
        assert str(error).endswith(".")


def test_a_rest_is_seconds_or_has_its_unit() -> None:
    assert [parse_seconds(text) for text in ("90", "90s", "1:30", "2min")] == [90, 90, 90, 120]
    assert parse_seconds("1.5min") == Decimal("90")
    assert parse_seconds("soon") is None
