"""Facts of real exports: nothing of them may get lost on the way in, or on the way out again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fitai_client.importing import Import, read, sniff, write_csv
from tests.client_sdk.importing.support import (
    DATA,
    HEVY_BIG,
    NOW,
    REAL_FILES,
    accounted,
    by_id,
    cells,
    imported,
    of,
    records,
    violations,
)


@pytest.fixture(scope="module")
def big() -> Import:
    return imported(HEVY_BIG.read_bytes())


def test_the_dialect_is_told_by_the_content() -> None:
    assert {path.name.split("-")[0]: sniff(path.read_bytes()).name for path in REAL_FILES} == {
        "hevy": "hevy",
        "strong": "strong",
    }


def test_the_large_hevy_file_has_its_workouts_sets_and_exercises(big: Import) -> None:
    preview = big.preview
    assert (preview.workouts, preview.sets, preview.exercises, preview.errors) == (335, 7_211, 86, 0)
    assert (str(preview.first_date), str(preview.last_date)) == ("2024-07-03", "2025-09-15")
    assert (preview.weight_unit, preview.weight_unit_from, preview.looks_like) == ("kg", "header", None)


def test_the_large_hevy_file_keeps_every_kind_of_set(big: Import) -> None:
    kinds = Counter(fields["kind"] for fields in of(big, "sets"))
    assert kinds == {"normal": 3_851, "warmup": 2_195, "failure": 1_122, "drop": 43}


def test_superset_zero_is_a_group_in_all_its_277_rows(big: Import) -> None:
    blocks = {w.id: w.fields for w in records(big) if w.collection == "workout_exercises"}
    grouped = [s for s in of(big, "sets") if "superset" in blocks[s["workout_exercise"]]]
    assert len(grouped) == 277
    assert {b["source"]["raw"]["superset"] for b in blocks.values() if "superset" in b} == {"0"}


def test_a_superset_never_reaches_into_another_workout(big: Import) -> None:
    workouts: dict[str, set[str]] = {}
    for block in of(big, "workout_exercises"):
        if "superset" in block:
            workouts.setdefault(block["superset"], set()).add(block["workout"])
    assert len(workouts) > 1
    assert all(len(each) == 1 for each in workouts.values())


def test_a_duration_of_zero_is_not_an_empty_one(big: Import) -> None:
    durations = Counter(fields.get("duration_s", "empty") for fields in of(big, "sets"))
    assert (durations[0], durations["empty"], durations[300]) == (6_099, 837, 259)


def test_half_steps_of_rpe_are_kept(big: Import) -> None:
    efforts = Counter(fields.get("rpe") for fields in of(big, "sets"))
    assert (efforts[6], efforts[9.5], efforts[8.5], efforts[None]) == (2_200, 1_017, 809, 295)


def test_the_same_exercise_twice_in_a_row_stays_two(big: Import) -> None:
    (workout,) = {
        w.id
        for w in records(big)
        if w.collection == "workouts" and w.fields["source"]["external_id"].startswith("Forearms | 2024-07-22T16:16")
    }
    curl = next(w.id for w in records(big) if w.fields.get("name") == "Seated Palms Up Wrist Curl")
    blocks = [w for w in records(big) if w.fields.get("workout") == workout and w.fields.get("exercise") == curl]
    reps = [[s["reps"] for s in of(big, "sets") if s["workout_exercise"] == block.id] for block in blocks]
    assert reps == [[6, 8], [6, 12]]
    assert blocks[0].fields["position"] < blocks[1].fields["position"]


def test_literal_line_breaks_in_notes_become_line_breaks(big: Import) -> None:
    escaped = {row[6] for row in cells(HEVY_BIG.read_bytes())[1:] if "\\n" in row[6]}
    notes = {block.get("notes") for block in of(big, "workout_exercises")}
    assert escaped
    assert all(text.replace("\\n", "\n") in notes for text in escaped)


def test_emoji_and_typographic_quotes_survive() -> None:
    found = imported((DATA / "hevy-2025-kg.csv").read_bytes())
    titles = {fields["title"] for fields in of(found, "workouts")}
    notes = " ".join(fields.get("notes", "") for fields in of(found, "workouts"))
    assert (found.preview.workouts, found.preview.sets, found.preview.exercises) == (17, 330, 44)
    assert "Evening workout 🏋️" in titles
    assert "—" in notes
    assert "’" in notes


def test_strong_without_notes_has_its_workouts_and_lengths() -> None:
    found = imported((DATA / "strong-2025-10col-no-notes-MIT.csv").read_bytes())
    longest = next(w for w in of(found, "workouts") if w["started_at"] == "2025-10-08T11:03:21.000Z")
    assert (found.preview.workouts, found.preview.sets, found.preview.exercises) == (15, 250, 19)
    assert (found.preview.weight_unit, found.preview.weight_unit_from) == ("kg", "guessed")
    assert longest["ended_at"] == "2025-10-08T12:18:21.000Z"


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_what_is_imported_is_what_the_data_model_takes(path: Path) -> None:
    assert violations(imported(path.read_bytes())) == []


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_importing_twice_gives_the_same(path: Path) -> None:
    data = path.read_bytes()
    assert imported(data) == imported(data)


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_no_value_depends_on_the_clock(path: Path) -> None:
    data = path.read_bytes()
    assert imported(data).groups == imported(data, now=NOW.replace(year=2001)).groups


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_every_line_is_accounted_for(path: Path) -> None:
    data = path.read_bytes()
    assert accounted(imported(data), data)


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_exporting_with_the_files_own_layout_gives_its_bytes_back(path: Path) -> None:
    data = path.read_bytes()
    found = imported(data)
    assert write_csv(records(found), found.dialect, layout=found.layout) == data


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_every_cell_of_every_row_is_exported(path: Path) -> None:
    data = path.read_bytes()
    found = imported(data)
    assert cells(write_csv(records(found), found.dialect)) == cells(data)


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_export_import_export_is_stable_to_the_byte(path: Path) -> None:
    found = imported(path.read_bytes())
    once = write_csv(records(found), found.dialect)
    again = imported(once)
    assert write_csv(records(again), again.dialect) == once


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_an_export_imports_to_the_same_records(path: Path) -> None:
    found = imported(path.read_bytes())
    again = imported(write_csv(records(found), found.dialect))
    before, after = by_id(found), by_id(again)
    assert before.keys() == after.keys()
    for identity, write in before.items():
        mine, theirs = dict(write.fields), dict(after[identity].fields)
        # The file's own id differs where its line ends did.
        mine.get("source", {}).pop("import", None)
        theirs.get("source", {}).pop("import", None)
        assert mine == theirs


@pytest.mark.parametrize("path", REAL_FILES, ids=lambda p: p.name)
def test_the_order_of_the_records_handed_to_the_export_does_not_matter(path: Path) -> None:
    found = imported(path.read_bytes())
    writes = records(found)
    by_id = sorted(writes, key=lambda w: w.id)
    assert write_csv(by_id, found.dialect) == write_csv(writes, found.dialect)


def test_a_later_export_repeats_the_ids_of_an_earlier_one() -> None:
    data = HEVY_BIG.read_bytes()
    lines = data.splitlines(keepends=True)
    # Newest first: an earlier export is the header and what lies from the first row of some workout on.
    start = next(i for i in range(4_000, 5_000) if lines[i].split(b'","')[:2] != lines[i - 1].split(b'","')[:2])
    earlier = by_id(imported(lines[0] + b"".join(lines[start:])))
    assert len(earlier) > 3_000
    assert earlier.keys() <= by_id(imported(data)).keys()


def test_the_time_zone_moves_the_instants_and_not_the_ids() -> None:
    data = HEVY_BIG.read_bytes()
    berlin = by_id(read(data, timezone="Europe/Berlin", now=NOW))
    tokyo = by_id(read(data, timezone="Asia/Tokyo", now=NOW))
    workout = next(identity for identity, write in berlin.items() if write.collection == "workouts")
    assert berlin.keys() == tokyo.keys()
    assert berlin[workout].fields["local_date"] == tokyo[workout].fields["local_date"]
    assert berlin[workout].fields["started_at"] != tokyo[workout].fields["started_at"]
