"""Liftosaur's export: times to the millisecond in UTC, what was planned beside what was done."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fitai_client.importing import Import, Write, write_csv
from tests.client_sdk.importing.support import cells, imported, of, only, records, violations

HEADER = (
    "Workout DateTime,Program,Day Name,Exercise,Is Warmup Set?,Required Reps,Completed Reps,Is AMRAP?,Required RPE,"
    "Completed RPE,Log RPE?,Required Weight Value,Required Weight Unit,Completed Weight Value,Completed Weight Unit,"
    "Ask Weight?,Completed Reps Time,Target Muscles,Synergist Muscles,Notes"
)


def row(
    *,
    at: str = "2026-02-11T17:02:13.481Z",
    exercise: str = '"Bench Press, Barbell"',
    warmup: str = "0",
    required: str = "5",
    reps: str = "5",
    amrap: str = "0",
    required_rpe: str = "",
    rpe: str = "",
    required_weight: str = "135,lb",
    weight: str = "135,lb",
    done_at: str = "2026-02-11T17:09:58.250Z",
    notes: str = "",
) -> str:
    return ",".join(
        (at, "Basics", "Day 1", exercise, warmup, required, reps, amrap, required_rpe, rpe, "0", required_weight,
         weight, "0", done_at, "Chest", "", notes)
    )  # fmt: skip


def liftosaur(*rows: str, **options: Any) -> Import:
    return imported("\n".join([HEADER, *rows]) + "\n", **options)


def test_times_are_instants_to_the_millisecond_whatever_the_users_zone() -> None:
    found = liftosaur(row(), timezone="Asia/Tokyo")
    workout = only(found, "workouts")
    assert (workout["started_at"], workout["local_date"]) == ("2026-02-11T17:02:13.481Z", "2026-02-12")
    assert only(found, "sets")["completed_at"] == "2026-02-11T17:09:58.250Z"


def test_the_last_set_is_the_end_of_the_workout() -> None:
    found = liftosaur(row(), row(done_at="2026-02-11T17:31:00.000Z"), row(done_at="2026-02-11T17:20:00.000Z"))
    assert only(found, "workouts")["ended_at"] == "2026-02-11T17:31:00.000Z"


def test_what_was_planned_stands_beside_what_was_done() -> None:
    fields = only(liftosaur(row(reps="7", required_rpe="8", rpe="8.5", weight="137.5,lb")), "sets")
    assert (fields["target_reps_min"], fields["target_reps_max"], fields["reps"]) == (5, 5, 7)
    assert (fields["target_weight"]["value"], fields["weight"]["value"]) == (135, 137.5)
    assert (fields["target_rpe"], fields["rpe"]) == (8, 8.5)


def test_as_many_as_possible_has_no_upper_bound() -> None:
    fields = only(liftosaur(row(amrap="1", reps="9")), "sets")
    assert (fields["is_amrap"], fields["target_reps_min"], "target_reps_max" in fields) == (True, 5, False)


def test_a_set_without_completed_reps_was_not_done_and_is_written_back() -> None:
    line = row(reps="", weight=",", done_at="")
    found = liftosaur(row(), line)
    assert ["completed_at" in s for s in of(found, "sets")] == [True, False]
    assert cells(write_csv(records(found), "liftosaur"))[2] == cells(line.encode())[0]


def test_a_planned_number_that_cannot_be_read_costs_no_set() -> None:
    found = liftosaur(row(required="8-12"))
    assert [(d.field, d.value) for d in found.warnings] == [("target_reps", "8-12")]
    assert (only(found, "sets")["reps"], cells(write_csv(records(found), "liftosaur"))[1][5]) == (5, "8-12")


def test_an_edited_plan_is_written_as_it_is_now() -> None:
    found = liftosaur(row())
    edited = [
        Write(w.collection, w.id, {**w.fields, "target_reps_min": 6} if w.collection == "sets" else w.fields)
        for w in records(found)
    ]
    assert cells(write_csv(edited, "liftosaur"))[1][5] == "6"


def test_the_older_header_with_one_weight_and_one_rpe_is_read() -> None:
    header = "Workout DateTime,Program,Day Name,Exercise,Equipment,Is Warmup Set?,Required Reps,Completed Reps,RPE,\
Is AMRAP?,Weight Value,Weight Unit,Completed Reps Time,Target Muscles,Synergist Muscles,Notes"
    line = "2023-01-02T06:00:00.000Z,Basics,Day 1,Squat,barbell,1,5,5,8,0,60,kg,2023-01-02T06:10:00.000Z,Quads,,"
    found = imported(f"{header}\n{line}\n")
    fields = only(found, "sets")
    assert (found.dialect.name, fields["kind"], fields["rpe"], fields["weight"]["value"]) == (
        "liftosaur",
        "warmup",
        8,
        60,
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            row,
            at=st.sampled_from(["2026-02-11T17:02:13.481Z", "2026-02-12T17:00:00.000Z"]),
            exercise=st.sampled_from(['"Bench Press, Barbell"', "Plank"]),
            warmup=st.sampled_from(["0", "1"]),
            required=st.sampled_from(["", "5", "8-12", "5.25"]),
            reps=st.sampled_from(["", "0", "5"]),
            amrap=st.sampled_from(["0", "1", ""]),
            required_rpe=st.sampled_from(["", "8", "11"]),
            rpe=st.sampled_from(["", "8.5", "7.3"]),
            required_weight=st.sampled_from([",", "135,lb", "60,kg", "9999,kg"]),
            weight=st.sampled_from([",", "135,lb", "60,kg"]),
            done_at=st.sampled_from(["", "2026-02-11T17:09:58.250Z", "2026-02-11T17:09:58Z", "later"]),
            notes=st.sampled_from(["", "slow"]),
        ),
        max_size=6,
    )
)
def test_no_cell_of_a_log_is_lost(rows: list[str]) -> None:
    found = liftosaur(*rows)
    assert (found.errors, violations(found)) == ([], [])
    written = cells(write_csv(records(found), "liftosaur"))[1:]
    assert sorted(written) == sorted(cells("\n".join(rows).encode()))
