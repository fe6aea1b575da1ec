"""The names of the catalog: one means one exercise, and what people and apps call an exercise is found."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from fitai_client.importing.resolving import Names, letters, words
from storage.catalog import load, names
from storage.collections import COLLECTIONS
from storage.field_types import String
from tests.shared import shared

EXERCISES = load()
KNOWN = names(EXERCISES)
RESOLVER = Names(KNOWN)
# Names in real logs that name no exercise.
NOT_AN_EXERCISE = {"Warm Up": "a label under which one logs whatever was done before the first exercise"}
# Words whose order is their meaning: such names are found as they are written, and never by their words alone.
ORDERED = {"to"}


def app_names() -> list[str]:
    """What exercises are usually called in Strong, Hevy, FitNotes and Fitbod."""
    text = (Path(__file__).parent / "app_exercise_names.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def log_names(path: Path) -> set[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row.get("exercise_title") or row["Exercise Name"] for row in csv.DictReader(file)}


def test_a_name_or_an_alias_means_one_exercise() -> None:
    told = Counter(name.casefold() for each in EXERCISES for name in (each.name, *each.aliases))
    assert {name for name, count in told.items() if count > 1} == set()
    assert len(KNOWN) == len(told)


@pytest.mark.parametrize("same", [words, letters], ids=["words", "letters"])
def test_however_a_name_is_spelt_it_means_one_exercise(same: type) -> None:
    meant: dict[object, set[str]] = {}
    for each in EXERCISES:
        for name in (each.name, *each.aliases):
            if not ORDERED & set(words(name)):
                meant.setdefault(same(name), set()).add(each.name)
    assert [sorted(exercises) for exercises in meant.values() if len(exercises) > 1] == []


def test_every_name_fits_its_field() -> None:
    type_ = COLLECTIONS["exercises"].fields["name"].type
    assert isinstance(type_, String)
    for exercise in EXERCISES:
        for name in (exercise.name, *exercise.aliases):
            assert type_.min_length <= len(name) <= type_.max_length
            assert name == " ".join(name.split())


@pytest.mark.parametrize("path", sorted((shared() / "data").glob("*.csv")), ids=lambda path: path.stem)
def test_every_exercise_of_a_real_log_is_a_name_of_the_catalog(path: Path) -> None:
    found = log_names(path)
    assert found
    assert {name for name in found if name.casefold() not in KNOWN} - set(NOT_AN_EXERCISE) == set()


def test_the_names_of_the_usual_apps_are_found() -> None:
    assert len(app_names()) > 500
    assert [name for name in app_names() if RESOLVER.resolve(name) is None] == []


def test_the_names_of_free_exercise_db_are_found_but_for_a_few() -> None:
    theirs = json.loads((shared() / "data" / "free-exercise-db.json").read_text(encoding="utf-8"))
    found = [each["name"] for each in theirs if RESOLVER.resolve(each["name"]) is not None]
    assert len(found) > 0.95 * len(theirs)


@pytest.mark.parametrize(
    ("name", "exercise"),
    [
        ("ohp", "Barbell Overhead Press"),
        ("RDL", "Romanian Deadlift"),
        ("skull crushers", "Barbell Skullcrusher"),
        ("farmers carry", "Farmer's Walk"),
        ("pushups", "Push-Up"),
        ("One Arm Lateral Raise (Cable)", "Single-Arm Cable Lateral Raise"),
        ("tgu", "Turkish Get-Up"),
        ("hspu", "Handstand Push-Up"),
        ("downward dog", "Downward-Facing Dog"),
    ],
)
def test_common_speech_is_found(name: str, exercise: str) -> None:
    assert RESOLVER.resolve(name) == KNOWN[exercise.casefold()]
