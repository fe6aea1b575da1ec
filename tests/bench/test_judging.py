"""What the benchmark says of its figures: what counts as lost, what as reached, and how it is drawn."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from bench.picture import picture
from bench.report import Line, Result
from bench.workloads import Comparison, Sizes
from bench.workloads.conflict import Held, judged

SVG = "{http://www.w3.org/2000/svg}"
APART = Held(reps=0, rir=0, losing_reps=())
# The phone wrote 0.5 and the laptop 5,000.
WON = Held(reps=5_000, rir=0, losing_reps=(0.5,))


def test_both_fields_and_a_visible_loser_are_nothing_lost() -> None:
    assert judged([APART], [APART], [WON], [WON]) == {
        "both_fields_kept": 1,
        "losers_visible": 1,
        "writes_lost": 0,
        "losers_hidden": 0,
        "records_unequal": 0,
    }


@pytest.mark.parametrize(
    ("apart", "phone", "laptop", "told"),
    [
        # The laptop's field swept the phone's away.
        (Held(5, 0, ()), WON, WON, {"writes_lost": 1, "both_fields_kept": 0}),
        # The loser is nowhere.
        (APART, Held(5_000, 0, ()), Held(5_000, 0, ()), {"writes_lost": 1, "losers_hidden": 1, "records_unequal": 0}),
        # Only one of them shows it.
        (APART, WON, Held(5_000, 0, ()), {"writes_lost": 0, "losers_hidden": 1, "records_unequal": 1}),
        # They do not agree who won.
        (APART, WON, Held(0.5, 0, (5_000,)), {"writes_lost": 0, "losers_hidden": 0, "records_unequal": 1}),
    ],
)
def test_what_is_gone_hidden_or_unequal_is_counted(
    apart: Held, phone: Held, laptop: Held, told: dict[str, int]
) -> None:
    assert told.items() <= judged([apart], [apart], [phone], [laptop]).items()


def test_a_count_is_judged_however_little_was_done() -> None:
    none_lost = Comparison("lost", higher=False, limit=0.0, counted=True)
    assert Line("lost", none_lost, 0, None, judged=False).verdict == "reached"
    assert Line("lost", none_lost, 1, None, judged=False).verdict == "missed"
    assert Line("lost", none_lost, 0, None).aim == "none"


def test_a_figure_of_which_more_is_better_reaches_its_bound_from_above() -> None:
    a_minute = Comparison("requests/min", higher=True, limit=10_000.0)
    assert Line("x", a_minute, 12_000, 50_000).verdict == "reached"
    assert Line("x", a_minute, 9_000, 50_000).verdict == "missed"
    assert Line("x", a_minute, None, None).reached is None
    assert Line("x", a_minute, 12_000, None).aim == "at least 10,000"


def test_what_is_to_be_reached_is_drawn_as_a_figure_like_ours() -> None:
    assert Line("x", Comparison("x", higher=True, reach=0.5), 40.0, 100.0).aim_value == 50.0
    assert Line("x", Comparison("x", higher=True, reach=0.5), 40.0, None).aim_value is None
    assert Line("x", Comparison("x", higher=False, limit=20.0), 40.0, 100.0).aim_value == 20.0
    assert Line("x", Comparison("x", higher=False), 40.0, 100.0).aim_value is None
    # Too small to be measured: a share of it is no aim.
    assert Line("x", Comparison("x", higher=False, reach=2.0), 40.0, 0.0).aim_value is None


def drawn(*results: Result) -> ElementTree.Element:
    return ElementTree.fromstring(picture(results, "on <paper> & screen"))


def test_bars_are_to_one_scale_and_the_mark_stands_at_the_aim() -> None:
    figures = {"sets_per_s": 25.0, "cpu_us_per_set": None, "push_p50_ms": None, "push_p99_ms": None}
    root = drawn(Result("W1", [figures], [{**figures, "sets_per_s": 100.0}], Sizes()))

    (ours,) = (bar for bar in root.iter(f"{SVG}rect") if bar.get("class") == "ours" and bar.get("height") == "11")
    (bare,) = (bar for bar in root.iter(f"{SVG}rect") if bar.get("class") == "bare" and bar.get("height") == "5")
    mark = [line for line in root.iter(f"{SVG}line") if line.get("class") == "aim"][-1]
    left, full = float(bare.get("x", "")), float(bare.get("width", ""))
    assert float(ours.get("width", "")) == pytest.approx(full / 4, abs=0.1)
    assert float(mark.get("x1", "")) == pytest.approx(left + full / 2, abs=0.1)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "✗ missed" in texts and "not known" in texts and "on <paper> & screen" in texts


@pytest.mark.parametrize("bare", [None, 0.0])
def test_a_figure_with_nothing_beside_it_is_a_number_without_a_bar(bare: float | None) -> None:
    figures = {"sets_per_s": 25.0, "cpu_us_per_set": None, "push_p50_ms": None, "push_p99_ms": None}
    root = drawn(Result("W1", [figures], [] if bare is None else [{**figures, "sets_per_s": bare}], Sizes()))

    legend = 1
    for kind in ("ours", "bare"):
        assert len([bar for bar in root.iter(f"{SVG}rect") if bar.get("class") == kind]) == legend
    assert len([line for line in root.iter(f"{SVG}line") if line.get("class") == "aim"]) == legend
    assert "25" in [text.text for text in root.iter(f"{SVG}text")]


def test_growth_is_drawn_with_a_point_for_each_size() -> None:
    sizes = Sizes(history=(1_000, 10_000, 100_000))
    kinds = ("push", "edit", "pull", "first_page")
    figures = {f"{kind}_ms_at_{size}": 3.0 for kind in kinds for size in sizes.history}
    growths = {f"{kind}_growth": 1.0 for kind in kinds}

    root = drawn(Result("W7", [{**figures, **growths}], [], sizes))

    lines = list(root.iter(f"{SVG}polyline"))
    assert [len(line.get("points", "").split()) for line in lines] == [3] * 4
    names = [text for text in root.iter(f"{SVG}text") if "name" in text.get("class", "").split()]
    heights = sorted(float(name.get("y", "")) for name in names)
    assert all(below - above >= 16 for above, below in itertools.pairwise(heights))
