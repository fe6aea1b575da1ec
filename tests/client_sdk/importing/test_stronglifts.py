"""StrongLifts' export: a row is an exercise, with columns for each set; date and time of day apart."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitai_client.importing import Import, Write, write_csv
from tests.client_sdk.importing.support import (
    GOLDEN,
    accounted,
    cells,
    hevy,
    hevy_row,
    imported,
    of,
    only,
    records,
    violations,
)

HEADER = (
    "Date (yyyy/mm/dd),Workout,Workout Name,Program Name,Body Weight (KG),Exercise,Sets×Reps,Duration (hours),"
    "Start Time (h:mm),End Time (h:mm),Notes,Set 1 (Reps),Set 1 (KG),Set 2 (Reps),Set 2 (KG),Set 3 (Reps),Set 3 (KG)"
)


def row(
    *,
    date: str = "2025/02/03",
    number: str = "41",
    title: str = "A",
    body: str = "81.5",
    exercise: str = "Squat",
    summary: str = "3×5",
    hours: str = "1",
    start: str = "6:40 PM",
    end: str = "7:40 PM",
    notes: str = "",
    sets: str = "5,95,5,95,5,95",
) -> str:
    return ",".join((date, number, title, "Five by five", body, exercise, summary, hours, start, end, notes, sets))


def stronglifts(*rows: str, header: str = HEADER, **options: Any) -> Import:
    return imported("\n".join([header, *rows]) + "\n", **options)


def test_a_row_is_an_exercise_with_its_sets() -> None:
    found = stronglifts(row(sets="5,95,4,97.5,3,100"))
    assert [(s["reps"], s["weight"]["value"]) for s in of(found, "sets")] == [(5, 95), (4, 97.5), (3, 100)]
    assert (len(of(found, "workout_exercises")), found.rows_imported) == (1, 1)


def test_columns_without_a_set_make_none() -> None:
    assert len(of(stronglifts(row(sets="5,95,,,,")), "sets")) == 1


def test_date_and_times_of_day_are_one_moment_and_may_pass_midnight() -> None:
    workout = only(stronglifts(row(start="11:50 PM", end="12:20 AM")), "workouts")
    assert (workout["started_at"], workout["ended_at"]) == ("2025-02-03T22:50:00.000Z", "2025-02-03T23:20:00.000Z")


def test_without_times_of_day_the_length_in_hours_tells_the_end() -> None:
    workout = only(stronglifts(row(start="", end="", hours="0.75")), "workouts")
    assert (workout["started_at"], workout["ended_at"]) == ("2025-02-03T11:00:00.000Z", "2025-02-03T11:45:00.000Z")


def test_the_bodys_weight_has_its_own_unit() -> None:
    found = stronglifts(row(), header=HEADER.replace("Set 1 (KG)", "Set 1 (LB)").replace("Set 2 (KG)", "Set 2 (LB)"))
    assert only(found, "workouts")["bodyweight"] == {"value": 81.5, "unit": "kg"}
    assert of(found, "sets")[0]["weight"] == {"value": 95, "unit": "lb"}


def test_a_bodyweight_that_nobody_has_is_doubted_and_left_out() -> None:
    found = stronglifts(row(body="9999"))
    assert "bodyweight" not in only(found, "workouts")
    assert [(d.field, d.value) for d in found.warnings] == [("bodyweight", "9999")]


def test_a_skipped_set_is_there_but_not_done_and_a_failed_one_is_done() -> None:
    found = stronglifts(row(summary="5/-/0", sets="5,95,0,95,0,95"))
    assert [(s["reps"], "completed_at" in s) for s in of(found, "sets")] == [(5, True), (0, False), (0, True)]


def test_a_weight_below_zero_is_assistance() -> None:
    fields = of(stronglifts(row(exercise="Chinups", sets="8,-10,,,,")), "sets")[0]
    assert (fields["load_mode"], fields["weight"]["value"]) == ("assisted", 10)


def test_two_workouts_of_a_day_are_told_by_their_time_or_else_by_their_number() -> None:
    timed = stronglifts(row(), row(start="8:10 PM", end="9:05 PM"), row(number="99"))
    bare = stronglifts(row(start="", end=""), row(number="42", start="", end=""))
    assert (len(of(timed, "workouts")), len(of(bare, "workouts"))) == (2, 2)


def test_a_number_that_changed_changes_no_id_where_the_time_is_known() -> None:
    assert [w.id for w in records(stronglifts(row()))] == [w.id for w in records(stronglifts(row(number="40")))]


def test_one_bad_cell_costs_its_row_and_no_other() -> None:
    found = stronglifts(row(sets="5,95,many,95,5,95"), row(exercise="Bench Press"))
    assert [(e.line, e.reason) for e in found.errors] == [(2, "“Set (Reps)” is not a number: 'many'")]
    assert (found.rows_read, found.preview.sets) == (2, 3)


def test_nothing_of_a_row_that_was_not_read_is_doubted() -> None:
    found = stronglifts(row(sets="5000,95,many,95,5,95"))
    assert (len(found.errors), found.warnings) == (1, [])


def test_a_length_within_the_minute_of_the_end_is_kept_once_for_the_workout() -> None:
    found = stronglifts(row(hours="0.9944444"))
    assert only(found, "workouts")["source"]["raw"]["duration"] == "0.9944444"
    assert "source" not in of(found, "sets")[1]


def test_an_edited_set_is_written_as_it_is_now() -> None:
    found = stronglifts(row())
    edited = [
        Write(w.collection, w.id, {**w.fields, "reps": 8} if w.fields.get("position") == "a1" else w.fields)
        for w in records(found)
    ]
    assert cells(write_csv(edited, "stronglifts", layout=found.layout))[1][11:] == ["5", "95", "8", "95", "5", "95"]


def test_a_set_more_than_there_are_columns_widens_the_file() -> None:
    found = stronglifts(row())
    last = [w for w in records(found) if w.collection == "sets"][-1]
    more = Write("sets", last.id[:-1] + "0", {**last.fields, "position": "b00", "reps": 2})
    rows = cells(write_csv([*records(found), more], "stronglifts", layout=found.layout))
    assert rows[0][-2:] == ["Set 4 (Reps)", "Set 4 (KG)"]
    assert rows[1][-4:] == ["5", "95", "2", "95"]


def test_a_log_of_another_app_is_exported_and_read_back_with_the_same_sets() -> None:
    found = hevy(hevy_row(), hevy_row(index="1", reps="4"), hevy_row(exercise="Dip", weight="10"))
    again = imported(write_csv(records(found), "stronglifts"))
    facts = [[(s["reps"], s["weight"]) for s in of(each, "sets")] for each in (found, again)]
    assert (again.dialect.name, facts[0]) == ("stronglifts", facts[1])


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_either_line_end_below_a_byte_order_mark_comes_back(newline: bytes) -> None:
    data = (GOLDEN / "stronglifts-kg.csv").read_bytes().replace(b"\n", newline)
    found = imported(data)
    assert write_csv(records(found), "stronglifts", layout=found.layout) == data


_SET = st.sampled_from(["5,95", "0,95", ",", "5,", ",95", "5.0,95.00", "8,-10"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            row,
            date=st.sampled_from(["2025/02/03", "2025/02/05"]),
            number=st.sampled_from(["41", "42"]),
            body=st.sampled_from(["", "81.5", "0", "-3", "9999"]),
            exercise=st.sampled_from(["Squat", "Chinups"]),
            summary=st.sampled_from(["", "3×5", "5/-/5", "-/-/-"]),
            hours=st.sampled_from(["", "1", "0.9983333", "0.5"]),
            start=st.sampled_from(["6:40 PM", ""]),
            end=st.sampled_from(["7:40 PM", ""]),
            notes=st.sampled_from(["", "slow", '"a, b"']),
            sets=st.tuples(_SET, _SET, _SET).map(",".join),
        ),
        max_size=6,
    )
)
def test_no_cell_of_a_log_is_lost(rows: list[str]) -> None:
    found = stronglifts(*rows)
    assert (found.errors, violations(found)) == ([], [])
    assert accounted(found, "\n".join([HEADER, *rows, ""]).encode())
    written = cells(write_csv(records(found), "stronglifts", layout=found.layout))[1:]
    assert sorted(written) == sorted(cells("\n".join(rows).encode()))
