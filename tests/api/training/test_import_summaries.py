"""What is kept of an import to be shown is bounded, and says what is not there."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from api.training.imports.forms import Arguments
from api.training.imports.summaries import ENTRIES_MAX, SENTENCE_CHARS_MAX, SUMMARY_BYTES_MAX, bounded
from api.training.imports.worker import read_log

# Beside what its parts take: the marks between entries, and the words around them.
AROUND = 10_000
SMALL: dict[str, Any] = {"state": "x", "n": 3, "unmatched": ["a", "b"], "skipped": {"c": 1}}


def test_a_short_summary_stays_as_it_is_and_says_its_counts() -> None:
    assert bounded(SMALL) == SMALL | {"counts": {"unmatched": 2, "skipped": 1}, "left_out": {}}


def test_a_part_has_its_first_entries_and_says_how_many_are_left_out() -> None:
    found = bounded({"twins": list(range(ENTRIES_MAX + 7)), "skipped": {str(n): n for n in range(ENTRIES_MAX + 2)}})
    assert found["twins"] == list(range(ENTRIES_MAX))
    assert list(found["skipped"].values()) == list(range(ENTRIES_MAX))
    assert found["left_out"] == {"twins": 7, "skipped": 2}
    assert found["counts"] == {"twins": ENTRIES_MAX + 7, "skipped": ENTRIES_MAX + 2}


def test_all_parts_together_are_bounded_and_a_large_one_takes_no_small_ones_place() -> None:
    large = {"a": ["x" * 500] * ENTRIES_MAX, "b": {str(n): "y" * 500 for n in range(ENTRIES_MAX)}}
    found = bounded(SMALL | large)
    assert len(msgspec.json.encode(found)) <= SUMMARY_BYTES_MAX + AROUND
    assert (found["unmatched"], found["skipped"]) == (SMALL["unmatched"], SMALL["skipped"])
    assert len(found["a"]) > 100 and len(found["b"]) > 100


def test_an_entry_that_is_too_large_takes_no_others_place() -> None:
    found = bounded({"unmatched": ["x" * SUMMARY_BYTES_MAX, "y"]})
    assert (found["unmatched"], found["left_out"]) == (["y"], {"unmatched": 1})


def test_a_sentence_is_bounded() -> None:
    assert bounded({"refused": "x" * 10_000})["refused"] == "x" * SENTENCE_CHARS_MAX


def test_what_is_bounded_stays_as_it_is_when_more_is_said() -> None:
    once = bounded({"a": ["x" * 500] * ENTRIES_MAX, "b": list(range(5_000))})
    assert bounded(once) == once
    assert bounded(once | {"written": 3}) == once | {"written": 3}


def test_an_own_export_of_collections_that_nobody_knows_is_bounded() -> None:
    records = [{"collection": f"{n:06d}" + "x" * 44, "id": "a"} for n in range(5_000)]
    space = {"kind": "personal", "records": records}
    file = json.dumps({"format": "fitai-export", "version": 1, "spaces": [space]}).encode()
    seen = read_log(file, Arguments(timezone="UTC", now="2026-11-24T12:00:00.000Z")).seen
    assert (len(seen["skipped"]), seen["counts"]["skipped"], seen["left_out"]) == (1_000, 5_000, {"skipped": 4_000})


def test_a_log_of_names_and_lines_that_nobody_knows_is_bounded() -> None:
    header = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,RPE\n"
    rows = [f"2025-03-01 10:00:00,Legs,45m,{n:05d} {'x' * 80},1,100,5,0,0,8\n" for n in range(2_000)]
    wrong = [f"never,Legs,45m,Squat,1,100,5,0,0,{'9' * 400}\n"] * 1_500
    given = Arguments(timezone="UTC", now="2026-11-24T12:00:00.000Z")
    seen = read_log((header + "".join(rows + wrong)).encode(), given).seen
    assert len(msgspec.json.encode(seen)) <= SUMMARY_BYTES_MAX + AROUND
    assert (seen["counts"]["unmatched"], seen["counts"]["row_errors"]) == (2_000, 1_500)
    assert 0 < len(seen["unmatched"]) == 2_000 - seen["left_out"]["unmatched"]
    assert 0 < len(seen["row_errors"]) == 1_500 - seen["left_out"]["row_errors"]
