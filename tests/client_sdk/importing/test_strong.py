"""Strong's export in its variants since 2016: columns, languages, units, and rows that are no sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fitai_client.importing import Write, write_csv
from tests.client_sdk.importing.support import accounted, cells, imported, of, only, records, strong, violations

S1 = """Date,Workout Name,Exercise Name,Set Order,kg,Reps,km,Seconds,Notes
2016-03-01 18:00:00,Day A,Squat,0,100,5,0,0,deep
2016-03-01 18:00:00,Day A,Squat,1,100,5,0,0,
2016-03-01 18:00:00,Day A,Run,0,0,0,2.5,900,
"""
S2 = """Date,Workout Name,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes
2017-03-01 18:00:00,Day A,Squat,1,225,5,0,0,,felt strong
2017-03-01 18:00:00,Day A,Squat,2,235,5,0,0,,felt strong
"""
S3 = """Date;Workout Name;Exercise Name;Set Order;Weight;Weight Unit;Reps;RPE;Distance;Distance Unit;Seconds;Notes;\
Workout Notes;Workout Duration
2019-05-02 07:00:00;"Push";"Bench Press (Barbell)";1;62,5;kg;5;8,5;;;0;"";"";35m
2019-05-02 07:00:00;"Push";"Bench Press (Barbell)";2;135;lbs;5;;;;0;"";"";35m
2019-05-02 07:00:00;"Push";"Running";1;;;;;5;km;1500;"";"";35m
"""
S4 = """Date,Nom de l'entraînement,Durée,Nom de l'exercice,Ordre de la série,Poids,Réps,Distance,Secondes,Notes,\
Notes d'entraînement,RPE
2020-01-05 09:30:00,Matin,1h 2m,Squat (Barre),1,100.0,5.0,0,0.0,,,8
"""
S5 = """Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes,RPE
2021-06-07 17:15:30,"Pull",57m,"Deadlift (Barbell)",W,60.0,5,0,0,"","",
2021-06-07 17:15:30,"Pull",57m,"Deadlift (Barbell)",1,140.0,5,0,0,"","",8
2021-06-07 17:15:30,"Pull",57m,"Deadlift (Barbell)",D,100.0,8,0,0,"","",
2021-06-07 17:15:30,"Pull",57m,"Deadlift (Barbell)",F,100.0,6,0,0,"","",10
"""
S6 = """Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,RPE
2024-11-28 17:36:08,"B",35m,"Bent Over Row (Barbell)",1,10.0,13.0,0,0.0,
"""
S7 = """Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes,RPE
2022-06-07 17:15:30,"Pull","1h 1min","Deadlift (Barbell)","Note",,,,,"straps from set 2",,
2022-06-07 17:15:30,"Pull","1h 1min","Deadlift (Barbell)",1,140.0,5,0,0,,,
2022-06-07 17:15:30,"Pull","1h 1min","Deadlift (Barbell)","Rest Timer",,,,120.0,,,
2022-06-07 17:15:30,"Pull","1h 1min","Deadlift (Barbell)",2,140.0,5,0,0,,,
"""
S8 = """Date,Workout Name,Duration,Exercise Name,Set Order,"Weight (lbs)",Reps,"Distance (m)",Seconds,Notes,\
Workout Notes,RPE
2022-06-07 17:15:30,"Row",3324,"Rowing Machine",1,0,0,2000.0,480,,,
2022-06-07 17:15:30,"Row",3324,"Curl (Dumbbell)",WARM_UP,20,12,0,0,,,
2022-06-07 17:15:30,"Row",3324,"Curl (Dumbbell)",FAILURE,35,9,0,0,,,
2022-06-07 17:15:30,"Row",3324,"Curl (Dumbbell)",DROP_SET,25,9,0,0,,,
"""
S9 = """Workout #;Date;Workout Name;Duration (sec);Exercise Name;Set Order;Weight (kg);Reps;RPE;Distance (meters);\
Seconds;Notes;Workout Notes
1;2023-02-03 06:45:10;"Früh";3720;"Push Up";1;65.18;20;;;;"";"müde"
1;2023-02-03 06:45:10;"Früh";3720;"Push Up";2;;18;9.5;;;"";"müde"
2;2023-02-04 06:45:10;"Früh";950400;"Plank";1;;;;;60.0;"";""
"""
VARIANTS = {"S1": S1, "S2": S2, "S3": S3, "S4": S4, "S5": S5, "S6": S6, "S7": S7, "S8": S8, "S9": S9}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_read_whole(name: str) -> None:
    text = VARIANTS[name]
    found = imported(text)
    assert (found.dialect.name, found.errors, violations(found)) == ("strong", [], [])
    assert accounted(found, text.encode())


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_written_back_cell_by_cell(name: str) -> None:
    text = VARIANTS[name]
    found = imported(text)
    delimiter = found.layout.delimiter
    assert cells(write_csv(records(found), "strong", layout=found.layout), delimiter) == cells(text.encode(), delimiter)
    assert cells(write_csv(records(found), "strong")) == cells(text.encode(), delimiter)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_stable_from_export_to_export(name: str) -> None:
    once = write_csv(records(imported(VARIANTS[name])), "strong")
    assert write_csv(records(imported(once)), "strong") == once


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("S1", [("kg", 100), ("kg", 100), ("kg", 0)]),
        ("S3", [("kg", 62.5), ("lb", 135)]),
        ("S8", [("lb", 0), ("lb", 20), ("lb", 35), ("lb", 25)]),
        ("S9", [("kg", 65.18)]),
    ],
)
def test_the_unit_of_weights_comes_from_header_or_column(name: str, weights: list[tuple[str, float]]) -> None:
    sets = of(imported(VARIANTS[name]), "sets")
    assert [(s["weight"]["unit"], s["weight"]["value"]) for s in sets if "weight" in s] == weights


def test_distances_have_the_unit_of_header_or_column() -> None:
    distances = [[s["distance"] for s in of(imported(text), "sets") if "distance" in s] for text in (S1, S3, S8)]
    assert distances == [
        [{"value": 2.5, "unit": "km"}],
        [{"value": 5, "unit": "km"}],
        [{"value": 2000, "unit": "m"}],
    ]


def test_the_set_number_tells_the_kind() -> None:
    assert [s["kind"] for s in of(imported(S5), "sets")] == ["warmup", "normal", "drop", "failure"]
    assert [s["kind"] for s in of(imported(S8), "sets")] == ["normal", "warmup", "failure", "drop"]


def test_a_rest_timer_row_is_the_rest_after_its_set_and_a_note_row_the_exercises_note() -> None:
    found = imported(S7)
    block = only(found, "workout_exercises")
    assert block["notes"] == "straps from set 2"
    assert [s.get("rest_s") for s in of(found, "sets")] == [120, None]
    assert (found.preview.sets, found.rows_imported) == (2, 4)


@pytest.mark.parametrize("word", ["Temporizador de descanso", "Pausentimer", "Minuteur de repos", "Хронометр"])
def test_a_rest_timer_is_known_in_other_languages(word: str) -> None:
    found = strong(
        "2022-06-07 17:15:30,Pull,1h,Deadlift,1,140.0,5,0,0,,,",
        f"2022-06-07 17:15:30,Pull,1h,Deadlift,{word},0,0,0,90.0,,,",
    )
    assert only(found, "sets")["rest_s"] == 90


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h 2m", 3_720),
        ("57m", 3_420),
        ("20s", 20),
        ("1h", 3_600),
        ("35min", 2_100),
        ("1h 1min", 3_660),
        ("3324", 3_324),
        ("1:02:03", 3_723),
    ],
)
def test_the_length_of_a_workout_is_read_in_every_form(text: str, seconds: int) -> None:
    workout = only(strong(f"2022-06-07 17:15:30,Pull,{text},Deadlift,1,140.0,5,0,0,,,"), "workouts")
    minutes, left = divmod(15 * 60 + 30 + seconds, 60)
    assert workout["ended_at"] == f"2022-06-07T{15 + minutes // 60:02}:{minutes % 60:02}:{left:02}.000Z"


def test_a_workout_of_264_hours_is_kept_and_doubted() -> None:
    found = strong("2022-06-07 17:15:30,Pull,264h 1m,Deadlift,1,140.0,5,0,0,,,")
    assert only(found, "workouts")["ended_at"] == "2022-06-18T15:16:30.000Z"
    assert [(d.line, d.field, d.reason) for d in found.warnings] == [
        (2, "ended_at", "makes the workout 264 hours long")
    ]


def test_a_length_that_cannot_be_read_costs_the_end_alone() -> None:
    found = strong("2022-06-07 17:15:30,Pull,soon,Deadlift,1,140.0,5,0,0,,,")
    assert "ended_at" not in only(found, "workouts")
    assert [d.field for d in found.warnings] == ["duration"]
    assert cells(write_csv(records(found), "strong"))[1][2] == "soon"


def test_zero_stands_for_nothing_entered_but_the_cell_is_written_back() -> None:
    found = strong("2022-06-07 17:15:30,Pull,1h,Plank,1,0,0,0,60,,,", "2022-06-07 17:15:30,Pull,1h,Plank,2,,,,61,,,")
    first, second = of(found, "sets")
    assert not {"reps", "distance"} & (first.keys() | second.keys())
    assert [row[5:9] for row in cells(write_csv(records(found), "strong"))[1:]] == [
        ["0", "0", "0", "60"],
        ["", "", "", "61"],
    ]


def test_reps_with_a_decimal_are_the_same_reps() -> None:
    found = strong(
        *(f"2022-06-07 17:15:30,Pull,1h,Row,{i},50,{r},0,0,,," for i, r in ((1, "5"), (2, "5.0"), (3, "5.5")))
    )
    assert [s["reps"] for s in of(found, "sets")] == [5, 5, 5.5]


def test_the_same_exercise_twice_in_a_row_takes_its_warm_ups_along() -> None:
    found = strong(
        *(f"2022-06-07 17:15:30,Pull,1h,Row,{order},50,5,0,0,,," for order in ("W", "1", "2", "W", "1", "2"))
    )
    blocks = [w.id for w in records(found) if w.collection == "workout_exercises"]
    assert [[s["kind"] for s in of(found, "sets") if s["workout_exercise"] == b] for b in blocks] == [
        ["warmup", "normal", "normal"]
    ] * 2


def test_a_note_on_every_row_is_the_exercises_and_differing_notes_are_the_sets() -> None:
    same = strong(*(f"2022-06-07 17:15:30,Pull,1h,Row,{i},50,5,0,0,tight,," for i in (1, 2)))
    differing = strong(*(f"2022-06-07 17:15:30,Pull,1h,Row,{i},50,5,0,0,note {i},," for i in (1, 2)))
    assert only(same, "workout_exercises")["notes"] == "tight"
    assert "notes" not in only(differing, "workout_exercises")
    assert [s["notes"] for s in of(differing, "sets")] == ["note 1", "note 2"]


def test_without_a_unit_the_users_word_decides_and_a_guess_says_how_sure_it_is() -> None:
    rows = [f"2022-06-07 17:15:30,Pull,1h,Row,{i},{w},5,0,0,,," for i, w in enumerate((45, 95, 135, 185, 225, 275), 1)]
    guessed, told = strong(*rows), strong(*rows, unit="kg")
    assert (guessed.preview.weight_unit, guessed.preview.weight_unit_from) == ("lb", "guessed")
    assert 0.5 < guessed.preview.weight_unit_sure < 1
    assert (told.preview.weight_unit, told.preview.weight_unit_from, told.preview.weight_unit_sure) == (
        "kg",
        "given",
        1,
    )
    assert of(told, "sets")[0]["weight"] == {"value": 45, "unit": "kg"}


POUNDS = (45, 95, 115, 135, 155, 185, 205, 225, 247.5, 275, 315)
IN_KG = [f"2022-06-07 17:15:30,Pull,1h,Row,{i},{round(lb * 0.45359237, 2)},5,0,0,,," for i, lb in enumerate(POUNDS, 1)]
KG_HEADER = (
    "Date,Workout Name,Duration,Exercise Name,Set Order,Weight (kg),Reps,Distance,Seconds,Notes,Workout Notes,RPE"
)


def test_a_log_kept_in_pounds_but_exported_in_kilograms_is_recognised() -> None:
    found = strong(*IN_KG, header=KG_HEADER)
    assert (found.preview.weight_unit, found.preview.looks_like) == ("kg", "lb")


def test_on_the_users_word_the_weights_are_what_was_entered() -> None:
    found = strong(*IN_KG, header=KG_HEADER, unit="lb")
    assert [s["weight"] for s in of(found, "sets")] == [{"value": lb, "unit": "lb"} for lb in POUNDS]
    assert [r[5] for r in cells(write_csv(records(found), "strong"))[1:]] == [r.split(",")[5] for r in IN_KG]


def test_a_header_in_an_unknown_language_is_read_by_position() -> None:
    header = "Dátum,Edzés neve,Időtartam,Gyakorlat,Sorozat,Súly,Ismétlés,Távolság,Másodperc,Jegyzet,Edzés jegyzet,RPE"
    found = strong("2022-06-07 17:15:30,Pull,1h,Row,W,50,5,0,0,,,8", header=header)
    assert (found.dialect.name, only(found, "sets")["kind"], only(found, "sets")["rpe"]) == ("strong", "warmup", 8)


def test_a_column_without_a_known_name_is_read_by_position_where_all_others_agree() -> None:
    header = (
        "Fecha,Nombre del entrenamiento,Tiempo,Nombre del ejercicio,Orden de la serie,Carga,Reps,Metros,Bajo tensión,"
        "Comentario,Notas del entrenamiento,RPE"
    )
    fields = only(strong("2022-06-07 17:15:30,Pull,1h,Remo,1,52.5,5,0,0,lento,,8", header=header), "sets")
    assert (fields["weight"]["value"], fields["rpe"]) == (52.5, 8)


def test_a_german_header_is_read() -> None:
    header = (
        "Datum;Trainingsname;Dauer;Name der Übung;Satznummer;Gewicht;Wiederholungen;Entfernung;Sekunden;Notizen;"
        "Trainingsnotizen;RPE"
    )
    found = strong("2022-06-07 17:15:30;Pull;1h;Rudern;1;52,5;5;0;0;;;8", header=header)
    assert only(found, "sets")["weight"]["value"] == 52.5


def test_a_twelve_hour_clock_is_read() -> None:
    workout = only(strong("2022-06-07 5:15:30\u202fPM,Pull,1h,Row,1,50,5,0,0,,,"), "workouts")
    assert workout["started_at"] == "2022-06-07T15:15:30.000Z"


def _with(found: list[Write], collection: str, change: Mapping[str, Any]) -> list[Write]:
    return [
        Write(w.collection, w.id, {**w.fields, **change} if w.collection == collection else w.fields) for w in found
    ]


def test_an_edited_note_replaces_the_note_rows_and_an_edited_rest_its_row() -> None:
    found = records(imported(S7))
    notes = [row[9] for row in cells(write_csv(_with(found, "workout_exercises", {"notes": "new"}), "strong"))]
    rests = [row[8] for row in cells(write_csv(_with(found, "sets", {"rest_s": 90}), "strong"))]
    assert [text for text in notes[1:] if text] == ["new"]
    assert "90.0" in rests or "90" in rests
    assert "120.0" not in rests


def test_an_edited_end_changes_the_length() -> None:
    found = _with(records(imported(S5)), "workouts", {"ended_at": "2021-06-07T17:15:30.000Z"})
    assert {row[2] for row in cells(write_csv(found, "strong"))[1:]} == {"2h"}


def test_a_hevy_import_is_exported_for_strong_and_read_back_with_the_same_figures() -> None:
    found = imported(S5)
    as_hevy = imported(write_csv(records(found), "hevy"))
    keys = ("kind", "reps", "weight", "rpe")
    assert as_hevy.dialect.name == "hevy"
    assert [[s.get(k) for k in keys] for s in of(as_hevy, "sets")] == [
        [s.get(k) for k in keys] for s in of(found, "sets")
    ]
