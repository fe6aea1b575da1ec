"""The unit of a log's weights: read, guessed, doubted, remembered."""

from __future__ import annotations

import pytest

from fitai_client.importing.units import guess_mass_unit, share_converted
from tests.client_sdk.importing.support import HEVY, STRONG, hevy, hevy_row, of, strong

POUNDS = (45, 95, 115, 135, 155, 185, 205, 225, 247.5, 275, 315)
KG_HEADER = STRONG.replace("Weight", "Weight (kg)")


def in_kg(*, but: int = 0) -> list[str]:
    """A log that was kept in pounds and exported in kilograms, of which `but` weights were not."""
    weights = [round(pounds * 0.45359237, 2) for pounds in POUNDS] + [41.13] * but
    return [f"2022-06-07 17:15:30,Pull,1h,Row,{i},{weight},5,0,0,,," for i, weight in enumerate(weights, 1)]


@pytest.mark.parametrize(
    ("weights", "unit"),
    [
        ((45, 95, 135, 185, 225, 275, 315), "lb"),
        ((20, 60, 62.5, 65, 70, 100), "kg"),
        ((22.5, 27.5, 32.5), "kg"),
        ((405, 495, 500), "lb"),
    ],
)
def test_a_unit_is_guessed_by_the_plates_there_are(weights: tuple[float, ...], unit: str) -> None:
    assert guess_mass_unit(weights)[0] == unit


def test_a_guess_is_surer_the_more_weights_speak_for_it_and_never_certain() -> None:
    few, many = guess_mass_unit([135])[1], guess_mass_unit([135] * 40)[1]
    assert 0.5 < few < many <= 0.95


def test_too_few_odd_weights_prove_no_conversion() -> None:
    weights = [round(pounds * 0.45359237, 2) for pounds in POUNDS]
    assert share_converted(weights, "kg") == 1
    assert share_converted(weights[:6], "kg") == 0


def test_a_log_of_honest_kilograms_looks_like_nothing_else() -> None:
    odd_plates = [round(40 + 0.37 * i, 2) for i in range(60)]
    assert share_converted(odd_plates, "kg") < 0.4


def test_most_quarter_pounds_are_enough_to_offer_pounds_and_the_share_says_how_sure_that_is() -> None:
    found = strong(*in_kg(but=2), header=KG_HEADER).preview
    assert (found.weight_unit, found.looks_like, found.looks_like_sure) == ("kg", "lb", 0.85)


def test_a_log_kept_in_kilograms_and_exported_in_pounds_is_offered_in_kilograms() -> None:
    header = HEVY.replace("weight_kg", "weight_lbs")
    weights = [
        round(kg / 0.45359237, 2) for kg in (22.5, 32.5, 42.5, 52.5, 62.5, 72.5, 82.5, 92.5, 102.5, 112.5, 122.5)
    ]
    found = hevy(*(hevy_row(index=str(i), weight=str(w)) for i, w in enumerate(weights)), header=header)
    assert (found.preview.weight_unit, found.preview.looks_like) == ("lb", "kg")


def test_a_remembered_unit_decides_where_the_file_leaves_it_open() -> None:
    rows = [f"2022-06-07 17:15:30,Pull,1h,Row,{i},{w},5,0,0,,," for i, w in enumerate((20, 60, 100), 1)]
    found = strong(*rows, usual_units={"strong": "lb"})
    assert (found.preview.weight_unit, found.preview.weight_unit_from) == ("lb", "remembered")
    assert of(found, "sets")[0]["weight"] == {"value": 20, "unit": "lb"}


def test_a_remembered_unit_converts_back_what_looks_converted_and_nothing_else() -> None:
    usual = {"strong": "lb"}
    converted = strong(*in_kg(), header=KG_HEADER, usual_units=usual)
    honest = strong("2022-06-07 17:15:30,Pull,1h,Row,1,60,5,0,0,,,", header=KG_HEADER, usual_units=usual)
    assert [s["weight"]["value"] for s in of(converted, "sets")] == list(POUNDS)
    assert (converted.preview.weight_unit_from, converted.preview.looks_like) == ("remembered", None)
    assert of(honest, "sets")[0]["weight"] == {"value": 60, "unit": "kg"}


def test_a_unit_remembered_for_one_app_says_nothing_of_another() -> None:
    found = strong("2022-06-07 17:15:30,Pull,1h,Row,1,60,5,0,0,,,", usual_units={"hevy": "lb"})
    assert found.preview.weight_unit == "kg"


def test_the_users_word_goes_before_what_is_remembered() -> None:
    rows = ["2022-06-07 17:15:30,Pull,1h,Row,1,60,5,0,0,,,"]
    found = strong(*rows, unit="kg", usual_units={"strong": "lb"})
    assert (found.preview.weight_unit, found.preview.weight_unit_from) == ("kg", "given")
