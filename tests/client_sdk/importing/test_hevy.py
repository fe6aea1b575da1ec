"""Hevy's export in its variants: languages, units, with and without supersets, edited on the way."""

from __future__ import annotations

from typing import Any

import pytest

from fitai_client.importing import Write, write_csv
from tests.client_sdk.importing.support import (
    HEVY,
    accounted,
    by_id,
    cells,
    hevy,
    hevy_row,
    imported,
    of,
    only,
    records,
)


@pytest.mark.parametrize(
    "text",
    [
        "8 Apr 2026, 16:50",
        "Apr 8, 2026, 4:50 PM",
        "Apr 8, 2026, 4:50\u202fPM",
        "08.04.2026, 16:50",
        "8 abr 2026, 16:50",
        "8 abr. 2026, 16:50",
        "8 abr 2026, 4:50 p. m.",
        "8 avr. 2026, 16:50",
        "8 avr. 2026 à 16:50",
        "8. Apr. 2026, 16:50",
        "8. April 2026, 16:50",
        "8 de abr. de 2026, 16:50",
        "8 апр. 2026 г., 16:50",
        "2026-04-08 16:50",
        "2026-04-08T16:50:00",
        "2026年4月8日 16:50",
    ],
)
def test_a_date_is_read_in_the_phones_language(text: str) -> None:
    workout = only(hevy(hevy_row(start=f'"{text}"')), "workouts")
    assert (workout["started_at"], workout["local_date"]) == ("2026-04-08T14:50:00.000Z", "2026-04-08")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("7 mai 2026, 06:13", "2026-05-07"),
        ("7 Mai 2026, 06:13", "2026-05-07"),
        ("7 may 2026, 06:13", "2026-05-07"),
        ("3 août 2025, 06:13", "2025-08-03"),
        ("3 févr. 2025, 06:13", "2025-02-03"),
        ("3 Mär 2025, 06:13", "2025-03-03"),
        ("3 März 2025, 06:13", "2025-03-03"),
        ("3 Dez. 2025, 06:13", "2025-12-03"),
        ("3 déc. 2025, 06:13", "2025-12-03"),
        ("3 dic 2025, 06:13", "2025-12-03"),
        ("3 ene 2025, 06:13", "2025-01-03"),
        ("3 juin 2025, 06:13", "2025-06-03"),
        ("3 juil. 2025, 06:13", "2025-07-03"),
        ("3 Okt 2025, 06:13", "2025-10-03"),
        ("3 Sept 2025, 06:13", "2025-09-03"),
        ("05.06.2026, 07:30", "2026-06-05"),
        ("May 7, 2026, 6:13 AM", "2026-05-07"),
    ],
)
def test_months_are_known_by_their_local_names(text: str, day: str) -> None:
    assert only(hevy(hevy_row(start=f'"{text}"')), "workouts")["local_date"] == day


def test_noon_and_midnight_are_twelve_in_american_times() -> None:
    night = only(hevy(hevy_row(start='"Jan 7, 2026, 12:05 AM"')), "workouts")
    noon = only(hevy(hevy_row(start='"Jan 7, 2026, 12:05 PM"')), "workouts")
    assert (night["started_at"], noon["started_at"]) == ("2026-01-06T23:05:00.000Z", "2026-01-07T11:05:00.000Z")


def test_slashed_dates_are_read_as_the_rest_of_the_file_shows() -> None:
    rows = [hevy_row(start=f'"{text}"') for text in ("03/04/2026 10:00", "03/25/2026 10:00")]
    assert {w["local_date"] for w in of(hevy(*rows), "workouts")} == {"2026-03-04", "2026-03-25"}


def test_a_slashed_date_that_nothing_decides_is_doubted() -> None:
    found = hevy(hevy_row(start='"03/04/2026 10:00"', end=""))
    assert only(found, "workouts")["local_date"] == "2026-04-03"
    assert [(d.line, d.field) for d in found.warnings] == [(2, "started_at")]


def test_the_same_log_in_another_language_has_the_same_ids() -> None:
    english = hevy(hevy_row())
    german = hevy(hevy_row(start='"08.04.2026, 16:50"', end='"08.04.2026, 17:50"'))
    assert by_id(english).keys() == by_id(german).keys()


def test_pounds_and_miles_come_from_the_header_and_stay_as_entered() -> None:
    header = HEVY.replace("weight_kg", "weight_lbs").replace("distance_km", "distance_miles")
    fields = only(hevy(hevy_row(weight="225", distance="3.1"), header=header), "sets")
    assert fields["weight"] == {"value": 225, "unit": "lb"}
    assert fields["distance"] == {"value": 3.1, "unit": "mi"}


def test_an_american_export_writes_pounds_and_miles_again() -> None:
    header = HEVY.replace("weight_kg", "weight_lbs").replace("distance_km", "distance_miles")
    found = hevy(hevy_row(weight="225", distance="3.1"), header=header)
    assert cells(write_csv(records(found), "hevy"))[0] == header.split(",")


def test_the_old_header_without_supersets_is_read_and_written() -> None:
    header = HEVY.replace("superset_id,", "")
    text = header + '\nPush,"8 Apr 2026, 16:50","8 Apr 2026, 17:50",,Dip,,0,normal,10,5,,,8\n'
    found = imported(text)
    assert (found.preview.sets, found.errors) == (1, [])
    assert cells(write_csv(records(found), "hevy")) == cells(text.encode())


def test_a_header_in_another_language_is_read_by_position() -> None:
    header = "titel,beginn,ende,beschreibung,übung,supersatz,notiz,nummer,art,gewicht,wdh,strecke,dauer,anstrengung"
    assert only(hevy(hevy_row(rpe="8"), header=header), "sets")["rpe"] == 8


def test_a_superset_is_a_group_of_its_workout_alone() -> None:
    found = hevy(
        hevy_row(superset="0", exercise="Curl"),
        hevy_row(superset="0", exercise="Row"),
        hevy_row(superset="1", exercise="Dip"),
        hevy_row(superset="0", exercise="Curl", start='"9 Apr 2026, 16:50"'),
    )
    first, second, third, other = (block["superset"] for block in of(found, "workout_exercises"))
    assert first == second
    assert len({first, third, other}) == 3
    assert all(len(each) <= 36 for each in (first, third, other))


def test_set_numbers_that_start_again_begin_a_new_block() -> None:
    found = hevy(*(hevy_row(index=index) for index in "01012"))
    blocks = [w.id for w in records(found) if w.collection == "workout_exercises"]
    assert [sum(s["workout_exercise"] == block for s in of(found, "sets")) for block in blocks] == [2, 3]


def test_an_exercise_that_is_returned_to_with_numbers_going_on_is_one_block_in_the_order_performed() -> None:
    rows = [hevy_row(index=i, exercise=e) for i, e in (("0", "A row"), ("0", "B row"), ("1", "A row"), ("1", "B row"))]
    found = hevy(*rows)
    assert len(of(found, "workout_exercises")) == 2
    assert sorted(s["performed_order"] for s in of(found, "sets")) == [0, 1, 2, 3]
    assert cells(write_csv(records(found), "hevy")) == cells("\n".join([HEVY, *rows]).encode())


def test_positions_sort_in_the_order_of_the_file() -> None:
    found = hevy(*(hevy_row(index=str(i), reps=str(i + 1)) for i in range(200)))
    sets = of(found, "sets")
    assert [s["reps"] for s in sorted(sets, key=lambda s: s["position"])] == list(range(1, 201))


@pytest.mark.parametrize(
    ("word", "kind"),
    [("normal", "normal"), ("warmup", "warmup"), ("dropset", "drop"), ("failure", "failure"), ("Drop Set", "drop")],
)
def test_kinds_of_set(word: str, kind: str) -> None:
    assert only(hevy(hevy_row(kind=word)), "sets")["kind"] == kind


def test_a_set_to_failure_says_so_twice() -> None:
    assert only(hevy(hevy_row(kind="failure")), "sets")["to_failure"] is True


def test_an_unknown_kind_is_a_normal_set_doubted_and_written_back() -> None:
    found = hevy(hevy_row(kind="cluster"))
    assert only(found, "sets")["kind"] == "normal"
    assert [(d.field, d.value) for d in found.warnings] == [("kind", "cluster")]
    assert cells(write_csv(records(found), "hevy"))[1][8] == "cluster"


def test_a_set_is_done_when_its_workout_ended() -> None:
    assert only(hevy(hevy_row()), "sets")["completed_at"] == "2026-04-08T15:50:00.000Z"


def test_a_set_is_done_when_its_workout_began_where_no_end_is_told() -> None:
    found = hevy(hevy_row(end=""))
    assert "ended_at" not in only(found, "workouts")
    assert only(found, "sets")["completed_at"] == "2026-04-08T14:50:00.000Z"


def test_notes_with_line_breaks_of_both_kinds_are_written_back_as_they_stood() -> None:
    row = hevy_row(notes='"one\\ntwo"', description='"three\nfour"')
    found = hevy(row)
    assert only(found, "workout_exercises")["notes"] == "one\ntwo"
    assert only(found, "workouts")["notes"] == "three\nfour"
    assert cells(write_csv(records(found), "hevy")) == cells(f"{HEVY}\n{row}\n".encode())


def test_an_unknown_column_is_kept_and_written_back() -> None:
    text = f"{HEVY},mood\n{hevy_row()},great\n"
    found = imported(text)
    assert only(found, "sets")["source"]["raw"]["columns"] == {"mood": "great"}
    assert cells(write_csv(records(found), "hevy")) == cells(text.encode())


@pytest.mark.parametrize(
    ("exercise", "weight", "mode"),
    [
        ("Bench Press (Barbell)", "80", "external"),
        ("Push Up", "", "bodyweight_plus"),
        ("Pull Up (Weighted)", "20", "bodyweight_plus"),
        ("Pull Up", "10", "bodyweight_plus"),
        ("Pull Up (Assisted)", "30", "assisted"),
        ("Leg Press (Machine)", "", "external"),
        ("Some Movement", "", "bodyweight_plus"),
    ],
)
def test_how_the_weight_counts_is_told_by_exercise_and_row(exercise: str, weight: str, mode: str) -> None:
    assert only(hevy(hevy_row(exercise=exercise, weight=weight)), "sets")["load_mode"] == mode


def test_a_set_of_time_alone_lifts_nothing() -> None:
    found = hevy(hevy_row(exercise="Plank", weight="", reps="", seconds="60"))
    assert (only(found, "sets")["load_mode"], only(found, "exercises")["measure"]) == ("none", "duration")


def test_an_edited_value_is_exported_as_it_is_now() -> None:
    found = hevy(hevy_row(weight="80.0", kind="cluster", notes='"old\nnote"'), hevy_row(index="1", weight='"82,5"'))
    edited = []
    for write in records(found):
        fields = dict(write.fields)
        if fields.get("weight", {}).get("value") == 80:
            fields |= {"weight": {"value": 85, "unit": "kg"}, "kind": "drop"}
        edited.append(Write(write.collection, write.id, fields))
    rows = cells(write_csv(edited, "hevy"))
    assert (rows[1][8], rows[1][9], rows[2][9]) == ("dropset", "85", "82,5")


def test_a_kept_text_that_still_says_the_same_is_exported_as_it_stood() -> None:
    text = f"{HEVY}\n{hevy_row(weight='80.0', reps='5.00', rpe='8.0')}\n"
    assert cells(write_csv(records(imported(text)), "hevy")) == cells(text.encode())


def test_deleting_a_set_numbers_the_others_anew() -> None:
    found = hevy(*(hevy_row(index=str(i), reps=str(10 + i)) for i in range(3)))
    left = [w for w in records(found) if w.fields.get("reps") != 10]
    assert [row[7] for row in cells(write_csv(left, "hevy"))[1:]] == ["0", "1"]


def test_a_moved_workout_is_exported_at_its_new_time() -> None:
    found = hevy(hevy_row(start='"08.04.2026, 16:50"'))
    moved = [
        Write(
            w.collection,
            w.id,
            {**w.fields, "started_at": "2026-04-08T13:00:00.000Z"} if w.collection == "workouts" else w.fields,
        )
        for w in records(found)
    ]
    assert cells(write_csv(moved, "hevy"))[1][1] == "8 Apr 2026, 15:00"


def test_sets_that_are_not_done_and_planned_workouts_are_not_exported() -> None:
    found = hevy(hevy_row(), hevy_row(index="1"))
    undone = [
        Write(w.collection, w.id, {**w.fields, "completed_at": None} if w.fields.get("position") == "a1" else w.fields)
        for w in records(found)
    ]
    planned = [
        Write(w.collection, w.id, {**w.fields, "status": "planned"} if w.collection == "workouts" else w.fields)
        for w in records(found)
    ]
    assert len(cells(write_csv(undone, "hevy"))) == 2
    assert len(cells(write_csv(planned, "hevy"))) == 1


def test_records_made_in_the_app_are_exported_too() -> None:
    found = [
        ("exercises", "e", {"name": "Squat"}),
        ("workouts", "w", {"title": "Legs", "status": "completed", "started_at": "2026-01-05T10:00:00.000Z",
                           "ended_at": "2026-01-05T11:00:00.000Z", "timezone": "Europe/Paris",
                           "notes": {"text": "good\nday", "yjs": ""}}),
        ("workout_exercises", "b", {"workout": "w", "exercise": "e", "position": "a0", "superset": "g"}),
        ("sets", "s", {"workout_exercise": "b", "position": "a0", "kind": "myo", "reps": 5,
                       "weight": {"value": 100, "unit": "lb"}, "completed_at": "2026-01-05T10:10:00.000Z"}),
    ]  # fmt: skip
    rows = cells(write_csv(found, "hevy", unit="kg"))
    assert rows[1] == [
        "Legs", "5 Jan 2026, 11:00", "5 Jan 2026, 12:00", "good\\nday", "Squat", "0", "", "0", "normal", "45.36", "5",
        "", "", "",
    ]  # fmt: skip


def test_exercises_that_nothing_names_are_told_apart_and_stay_so_from_export_to_export() -> None:
    lost, other = "01a1ee56-5e00-7101-9e37-79b97f4a7c15", "01a1ee56-5e00-7101-9e37-79b97f4a7c16"
    start = {"title": "Legs", "status": "completed", "started_at": "2026-01-05T10:00:00.000Z"}
    found: list[Any] = [("workouts", "w", start)]
    for place, exercise in enumerate((lost, other, lost)):
        block, values = f"b{place}", {"workout": "w", "exercise": exercise, "position": f"a{place}"}
        done = {"workout_exercise": block, "position": "a0", "reps": 5, "completed_at": "2026-01-05T10:10:00.000Z"}
        found += [("workout_exercises", block, values), ("sets", f"s{place}", done)]
    data = write_csv(found, "hevy")
    called = ["Unknown exercise 7f4a7c15", "Unknown exercise 7f4a7c16", "Unknown exercise 7f4a7c15"]
    assert [row[4] for row in cells(data)[1:]] == called
    again = imported(data)
    assert set(again.preview.unmatched) == set(called)
    assert write_csv(records(again), "hevy", layout=again.layout) == data


def test_a_file_of_the_header_alone_imports_nothing() -> None:
    found = hevy()
    assert (found.groups, found.exercises, found.errors, found.preview.first_date) == ([], [], [], None)
    assert accounted(found, f"{HEVY}\n".encode())
