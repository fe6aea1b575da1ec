"""Pictures are well-formed, say in words what they show, and have room for whatever comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from figures.analytics import Day, Totals, Week
from figures.charts import calendar_chart, exercise_chart, muscles_chart, volume_chart
from figures.charts.canvas import Theme, amount, day_words, escaped, month_marks, shortened, ticks
from figures.exercise_progress import Point
from figures.muscles import OfMuscle

TODAY = date(2026, 11, 25)
SVG = "{http://www.w3.org/2000/svg}"


def totals(volume: float, sets: int = 10) -> Totals:
    return Totals(1, 1, sets, Decimal(5), Decimal(str(volume)), Decimal(0), Decimal(0))


def weeks(*volumes: float) -> list[Week]:
    first = date(2026, 11, 23) - timedelta(weeks=len(volumes) - 1)
    return [Week(first + timedelta(weeks=n), totals(volume)) for n, volume in enumerate(volumes)]


def points(*maxima: float | None, every: int = 7) -> list[Point]:
    return [
        Point("w", day, ["s"], Decimal(5), Decimal(500), Decimal(100), Decimal(str(one)) if one else None)
        for day, one in ((TODAY + timedelta(days=n * every), one) for n, one in enumerate(maxima))
    ]


MUSCLES = [
    OfMuscle("chest", 10, 3, Decimal("11.5"), Decimal(900)),
    OfMuscle("lower_back", 0, 3, Decimal("1.5"), Decimal(80)),
]
DAYS = [Day(TODAY - timedelta(days=n * 3), totals(100, n)) for n in range(200)]

CHARTS: dict[str, Callable[[Theme], str]] = {
    "volume": lambda theme: volume_chart(weeks(1000, 0, 2500.5), theme=theme),
    "volume of years": lambda theme: volume_chart(weeks(*range(1, 600)), theme=theme),
    "volume of nothing": lambda theme: volume_chart(weeks(0, 0), theme=theme),
    "muscles": lambda theme: muscles_chart(MUSCLES, theme=theme),
    "muscles of nobody": lambda theme: muscles_chart([], theme=theme),
    "calendar": lambda theme: calendar_chart(DAYS, TODAY, theme=theme),
    "calendar of nothing": lambda theme: calendar_chart([], TODAY, first_weekday=7, theme=theme),
    "calendar of a week": lambda theme: calendar_chart(DAYS, TODAY, first=TODAY - timedelta(days=6), theme=theme),
    "calendar of years": lambda theme: calendar_chart(DAYS, TODAY, first=date(2023, 5, 1), theme=theme),
    "calendar of ages": lambda theme: calendar_chart(DAYS, TODAY, first=date(1, 1, 1), theme=theme),
    "exercise": lambda theme: exercise_chart(points(100, None, 105, 103), "Bench Press", theme=theme),
    "exercise of years": lambda theme: exercise_chart(points(*range(60, 160)), "Bench Press", theme=theme),
    "exercise of one day": lambda theme: exercise_chart(points(100), "Bench Press", theme=theme),
    "exercise of nothing": lambda theme: exercise_chart([], "Bench Press", theme=theme),
}
every_chart = pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS.keys())


def texts(svg: str) -> list[str]:
    """What stands in the picture, without what only a pointer is told."""
    return [one.text or "" for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def hints(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [one.text or "" for shape in root for one in shape.findall(f"{SVG}title")]


@every_chart
def test_a_picture_is_an_svg_whose_title_and_description_are_read_out(draw: Callable[[Theme], str]) -> None:
    root = ElementTree.fromstring(draw("auto"))
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    assert title is not None and title.text and description is not None and description.text
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"


@every_chart
def test_a_picture_stands_alone(draw: Callable[[Theme], str]) -> None:
    svg = draw("auto").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|href|url\(|<script|<foreignObject|@import|\bon\w+=", svg)


@every_chart
def test_everything_is_within_the_page(draw: Callable[[Theme], str]) -> None:
    svg = draw("light")
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for shape in root:
        for across, most in (("x", width), ("x1", width), ("cx", width), ("y", height), ("y1", height), ("cy", height)):
            assert 0 <= float(shape.get(across, 0)) <= most
        assert float(shape.get("x", 0)) + float(shape.get("width", 0)) <= width
    for path in root.iter(f"{SVG}path"):
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d", "")):
            assert 0 <= float(x) <= width and 0 <= float(y) <= height


@every_chart
def test_the_reader_chooses_light_or_dark_unless_the_caller_did(draw: Callable[[Theme], str]) -> None:
    both, light, dark = draw("auto"), draw("light"), draw("dark")
    assert "prefers-color-scheme:dark" in both
    assert "prefers-color-scheme" not in light + dark
    assert "--page:#ffffff" in light and "--page:#ffffff" not in dark
    assert "--page:#ffffff" in both


def test_texts_of_people_are_escaped_and_cannot_break_out() -> None:
    name = "<script>\"Bench\" & 'Press'</script>\x00\ud800"
    root = ElementTree.fromstring(exercise_chart(points(100, 105), name))
    title = root.find(f"{SVG}title")
    assert title is not None and title.text == "<script>\"Bench\" & 'Press'</script>��"
    assert root.find(f".//{SVG}script") is None
    assert escaped("a<b>&\"'\x08") == "a&lt;b&gt;&amp;&quot;&#x27;�"


def test_volume_is_shown_in_the_users_unit() -> None:
    svg = volume_chart(weeks(0, 453.59237), unit="lb")
    assert "1,000 lb in 2 weeks" in texts(svg)[1]
    assert hints(svg) == ["Week of 23 Nov 2026: 1,000 lb, 10 sets, 1 workout"]


def test_of_very_many_weeks_the_newest_are_drawn() -> None:
    assert "in 260 weeks" in texts(volume_chart(weeks(*range(1, 600))))[1]


def test_the_line_of_the_mean_says_what_it_is_and_how_much() -> None:
    # Of the weeks with training: the one without is none of them.
    shown = texts(volume_chart(weeks(1000, 0, 2000, 3000)))
    assert "mean 2,000 kg in a week with training" in shown[1]
    assert shown[shown.index("mean") + 1] == "2,000 kg"
    # Of so few there is no line.
    assert "mean" not in texts(volume_chart(weeks(1000, 2000)))


def test_the_column_of_the_week_that_still_goes_on_is_named() -> None:
    assert "this week so far" in texts(volume_chart(weeks(1000, 2000)))
    assert "this week so far" not in texts(volume_chart(weeks(1000, 0)))


@pytest.mark.parametrize(
    ("svg", "unit"),
    [
        (volume_chart(weeks(1000, 2000), unit="lb"), "lb"),
        (exercise_chart(points(100, 105), "Bench Press"), "kg"),
        (muscles_chart(MUSCLES), "sets"),
    ],
)
def test_an_axis_names_the_unit_of_its_numbers(svg: str, unit: str) -> None:
    labels = [one for one in ElementTree.fromstring(svg).iter(f"{SVG}text") if one.get("class") == "unit"]
    assert [one.text for one in labels] == [unit]


def test_the_dashed_line_of_an_exercise_says_that_it_is_the_best_so_far() -> None:
    assert "best so far" in texts(exercise_chart(points(100, 105, 103), "Bench Press"))
    assert "best so far" not in texts(exercise_chart(points(100), "Bench Press"))


def test_the_shades_of_the_calendar_say_what_they_count() -> None:
    days = [Day(TODAY - timedelta(days=n), totals(0, sets)) for n, sets in enumerate((5, 10, 20))]
    assert texts(calendar_chart(days, TODAY))[-2:] == ["no workout", "20 sets or more"]


@pytest.mark.parametrize("length", [7, 30, 90, 365, 1_000])
def test_a_calendar_has_a_cell_for_each_day_of_its_span_and_no_other(length: int) -> None:
    told = hints(calendar_chart(DAYS, TODAY, first=TODAY - timedelta(days=length - 1)))
    wanted = [TODAY - timedelta(days=n) for n in reversed(range(length))]
    assert [one.split(":")[0] for one in told] == [day_words(day) for day in wanted]


def test_a_span_of_more_than_a_year_has_a_band_for_each() -> None:
    def weekdays(length: int) -> int:
        return texts(calendar_chart([], TODAY, first=TODAY - timedelta(weeks=length - 1))).count("Mon")

    assert [weekdays(weeks) for weeks in (1, 53, 54, 106, 107, 5_000)] == [1, 1, 2, 2, 3, 12]


def test_a_calendar_shows_loads_in_the_users_unit() -> None:
    day = Day(TODAY, totals(45.359237))
    assert hints(calendar_chart([day], TODAY, first=TODAY, unit="lb")) == ["25 Nov 2026: 1 workout, 10 sets, 100 lb"]


def test_each_muscle_is_there_the_most_trained_first() -> None:
    shown = texts(muscles_chart(MUSCLES))
    names = [one for one in shown if one[0].isupper()][2:]
    assert (names[:2], len(names), shown.count("none")) == (["Chest", "Lower back"], 17, 15)
    assert "11.5" in shown


def test_a_day_is_the_darker_the_more_sets_it_had() -> None:
    days = [Day(TODAY - timedelta(days=n), totals(0, sets)) for n, sets in enumerate((0, 5, 10, 15, 20))]
    cells = ElementTree.fromstring(calendar_chart(days, TODAY)).iter(f"{SVG}rect")
    shades = {(one.findtext(f"{SVG}title") or "").split(":")[0]: one.get("class") for one in cells}
    assert [shades[f"{25 - n} Nov 2026"] for n in range(6)] == ["s1", "s1", "s2", "s3", "s4", "s0"]


def test_the_calendar_ends_today_and_has_a_cell_for_each_day() -> None:
    told = [one for one in hints(calendar_chart(DAYS, TODAY)) if "2026: " in one or "2025: " in one]
    assert len(told) == 52 * 7 + 3
    assert told[-1].startswith("25 Nov 2026: 1 workout") and told[1] == "25 Nov 2025: no workout"


def test_the_weekday_on_top_is_the_users_first() -> None:
    assert texts(calendar_chart([], TODAY, first_weekday=7))[2] == "Sun"


def test_an_exercise_shows_its_best_and_names_the_formula() -> None:
    shown = texts(exercise_chart(points(100, 105, 103), "Bench Press", formula="brzycki"))
    assert shown[0] == "Bench Press" and "Brzycki, from up to 12 reps" in shown[1]
    assert "105 kg" in shown


def test_without_an_estimate_the_heaviest_weight_is_shown() -> None:
    shown = texts(exercise_chart(points(None, None), "Carry", unit="lb"))
    assert "Heaviest weight" in shown[1] and "220.5 lb" in shown


def test_of_two_workouts_on_one_day_the_better_one_is_shown() -> None:
    shown = exercise_chart(points(100, 90, 95, every=0), "Bench Press")
    assert hints(shown) == ["Best, 25 Nov 2026: 100 kg"]


def test_ticks_are_round_and_reach_around_what_is_shown() -> None:
    assert ticks(0, 52_000) == [0, 20_000, 40_000, 60_000]
    assert ticks(81, 96) == [80, 85, 90, 95, 100]
    assert ticks(0, 0.3)[0] == 0 and ticks(0, 0.3)[-1] >= 0.3
    assert ticks(100, 100)[0] <= 100 < ticks(100, 100)[-1]


def test_figures_are_short_and_texts_end_where_the_room_does() -> None:
    assert [amount(value) for value in (12_340.4, 102.54, 100.0, 2.5, 0.254)] == [
        "12,340",
        "102.5",
        "100",
        "2.5",
        "0.25",
    ]
    assert shortened("Bench Press (Barbell, Close Grip)", 100) == "Bench Press (…"
    assert shortened("Squat", 100) == "Squat"
    assert shortened("腕立て伏せの一種", 84) == "腕立て伏せの…"


def test_months_are_named_as_far_as_there_is_room() -> None:
    year = month_marks(date(2025, 11, 24), date(2026, 11, 25), 13)
    assert [name for _, name in year][:3] == ["Dec", "2026", "Feb"]
    decade = month_marks(date(2016, 3, 1), TODAY, 12)
    assert [name for _, name in decade] == [str(year) for year in range(2017, 2027)]
    assert month_marks(date(2024, 2, 3), TODAY, 12)[0] == (date(2024, 4, 1), "Apr 2024")
