"""One file of each dialect, and exactly the records it becomes.

After a change that is meant, `python -m tests.client_sdk.importing.test_golden` writes the expected records anew; read
the difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fitai_client.importing import DIALECTS, write_csv
from tests.client_sdk.importing.support import GOLDEN, accounted, cells, imported, of, records, violations

FILES = sorted(GOLDEN.glob("*.csv"))
RECORDS = ("exercises", "groups")


def _facts(path: Path) -> dict[str, Any]:
    found = imported(path.read_bytes())
    preview = found.preview
    return {
        "dialect": preview.dialect,
        "text": [preview.encoding, preview.delimiter],
        "dates": [str(preview.first_date), str(preview.last_date)],
        "counts": [preview.workouts, preview.exercises, preview.sets],
        "units": [preview.weight_unit, preview.weight_unit_from, preview.distance_unit, preview.distance_unit_from],
        "errors": [[e.line, e.reason] for e in found.errors],
        "warnings": [[d.line, d.field, d.value, d.reason] for d in found.warnings],
        "exercises": [[list(write) for write in group] for group in found.exercises],
        "groups": [[list(write) for write in group] for group in found.groups],
    }


def _text(path: Path) -> str:
    """One line a fact and one line a record, so that a difference shows what changed."""
    facts = _facts(path)
    lines = [f" {json.dumps(name)}: {_line(value)}" for name, value in facts.items() if name not in RECORDS]
    for name in RECORDS:
        groups = ["  [\n" + ",\n".join(f"   {_line(write)}" for write in group) + "\n  ]" for group in facts[name]]
        lines.append(f" {json.dumps(name)}: [\n" + ",\n".join(groups) + "\n ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _dialect_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def test_every_dialect_has_a_golden_file() -> None:
    assert {_dialect_of(path) for path in FILES} == {dialect.name for dialect in DIALECTS}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_golden_file_becomes_exactly_these_records(path: Path) -> None:
    assert _facts(path) == json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_golden_file_is_legal_and_accounted_for(path: Path) -> None:
    found = imported(path.read_bytes())
    assert (found.dialect.name, found.errors, violations(found)) == (_dialect_of(path), [], [])
    assert accounted(found, path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_golden_file_is_written_back_cell_by_cell(path: Path) -> None:
    found = imported(path.read_bytes())
    written = write_csv(records(found), found.dialect, layout=found.layout)
    assert sorted(cells(written, found.layout.delimiter)) == sorted(cells(path.read_bytes(), found.layout.delimiter))
    once = write_csv(records(found), found.dialect)
    assert write_csv(records(imported(once)), found.dialect) == once


def test_fitnotes_makes_one_workout_of_a_day_and_keeps_the_order_of_performance() -> None:
    found = imported((GOLDEN / "fitnotes.csv").read_bytes())
    assert [w["local_date"] for w in of(found, "workouts")] == ["2024-01-05", "2024-01-06", "2024-01-07"]
    assert len(of(found, "workout_exercises")) == 5
    assert sorted((s["performed_order"], s["reps"]) for s in of(found, "sets") if "performed_order" in s) == [
        (0, 8),
        (1, 10),
        (2, 6),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "Date,Exercise,Category,Weight (kgs),Reps,Distance,Distance Unit,Time",
        "Date,Exercise,Category,Weight (kgs),Reps,Distance,Distance Unit,Time,Comment",
        "Date,Exercise,Category,Weight,Weight Unit,Reps,Distance,Distance Unit,Time",
        "Date,Exercise,Category,Weight,Weight Unit,Reps,Distance,Distance Unit,Time,Comment",
        "Date,Exercise,Category,Weight (kg),Weight (lbs),Reps,Distance,Distance Unit,Time,Notes,Kind",
    ],
)
def test_every_header_of_fitnotes_is_read_and_written(header: str) -> None:
    values = {"Date": "2024-01-05", "Exercise": "Squat", "Category": "Legs", "Weight": "60", "Weight Unit": "kgs",
              "Weight (kgs)": "60", "Weight (kg)": "60", "Weight (lbs)": "132.28", "Reps": "5", "Comment": "deep",
              "Notes": "deep"}  # fmt: skip
    text = header + "\n" + ",".join(values.get(name, "") for name in header.split(",")) + "\n"
    found = imported(text)
    assert of(found, "sets")[0]["weight"] == {"value": 60, "unit": "kg"}
    assert cells(write_csv(records(found), "fitnotes")) == cells(text.encode())


def test_fitnotes_without_a_header_is_known_by_its_shape() -> None:
    text = "2024-01-05,Squat,Legs,60,5,,,\n2024-01-05,Squat,Legs,62.5,5,,,0:01:00\n"
    found = imported(text)
    assert (found.dialect.name, found.preview.sets, accounted(found, text.encode())) == ("fitnotes", 2, True)
    assert write_csv(records(found), "fitnotes", layout=found.layout) == text.encode()


def test_a_time_with_its_offset_is_that_instant_and_the_day_is_the_users() -> None:
    late = imported((GOLDEN / "fitbod.csv").read_bytes()).groups[1][0].fields
    assert (late["started_at"], late["local_date"]) == ("2024-11-28T23:30:00.000Z", "2024-11-29")


if __name__ == "__main__":
    for each in FILES:
        each.with_suffix(".json").write_text(_text(each))
