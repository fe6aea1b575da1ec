"""Damaged files: what is broken costs its own rows, each is reported by line and reason, and the rest lands."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitai_client.importing import NotATrainingLog, RowError, Write, sniff, write_csv
from fitai_client.importing.reader import GROUP_WRITES_MAX
from fitai_client.importing.table import Lines, Table
from tests.client_sdk.importing.support import (
    GOLDEN,
    HEVY,
    HEVY_BIG,
    NOW,
    REAL_FILES,
    STRONG,
    accounted,
    cells,
    hevy,
    hevy_row,
    imported,
    of,
    only,
    records,
    strong,
    violations,
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"hello",
        b"a,b,c\n1,2,3\n",
        b"\x00" * 100,
        b"PK\x03\x04rubbish",
        b'"',
        b"{}",
        b"Date,Weight\n2020-01-01,80\n",
    ],
)
def test_what_is_no_training_log_is_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(NotATrainingLog) as refused:
        sniff(data)
    assert refused.value.code == "not_a_training_log"
    assert "\n" not in str(refused.value)


def test_a_bad_number_costs_its_row_and_names_line_and_column() -> None:
    found = hevy(hevy_row(), hevy_row(index="1", weight="heavy"), hevy_row(index="2"))
    assert [(e.line, e.reason) for e in found.errors] == [(3, "“weight_kg” is not a number: 'heavy'")]
    assert found.preview.sets == 2


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"start": "yesterday"}, "start_time"),
        ({"start": '"31 Feb 2026, 10:00"'}, "start_time"),
        ({"start": ""}, "start_time"),
        ({"exercise": ""}, "exercise_title"),
        ({"index": ""}, "set_index"),
        ({"reps": "five"}, "reps"),
        ({"seconds": "long"}, "duration_seconds"),
        ({"weight": "nan"}, "weight_kg"),
        ({"weight": "inf"}, "weight_kg"),
        ({"reps": "1e99"}, "reps"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(change: dict[str, str], column: str) -> None:
    (error,) = hevy(hevy_row(**change)).errors
    assert column in error.reason
    assert error.line == 2


def test_a_file_torn_by_a_spreadsheet_loses_only_the_torn_rows() -> None:
    rows = [
        hevy_row(index="0"),
        # A note over three lines whose quotes were dropped.
        'Push,"8 Apr 2026, 16:50","8 Apr 2026, 17:50",,Bench Press (Barbell),,first line',
        "second line",
        "third line,1,normal,80,5,,,",
        hevy_row(index="2"),
        # A quote that nothing closes.
        'Push,"8 Apr 2026, 16:50","8 Apr 2026, 17:50",,"Bench Press (Barbell),,,3,normal,80,5,,,',
        hevy_row(index="4"),
        # Escapes in the wrong place.
        'Push,"8 Apr 2026, 16:50","8 Apr 2026, 17:50",,Bench,,"say ""hi" now",5,normal,80,5,,,',
        # The whole line in one quoted cell, and another delimiter: both can be told, and land.
        '"Push,""8 Apr 2026, 16:50"",""8 Apr 2026, 17:50"",,Bench Press (Barbell),,,6,normal,80,5,,,"',
        'Push;"8 Apr 2026, 16:50";"8 Apr 2026, 17:50";;Bench Press (Barbell);;;7;normal;80;5;;;',
        # Empty cells left out at the end, and more of them than there are columns.
        'Push,"8 Apr 2026, 16:50","8 Apr 2026, 17:50",,Bench Press (Barbell),,,8,normal,80,5',
        hevy_row(index="9") + ",,,",
    ]
    found = hevy(*rows)
    assert [error.line for error in found.errors] == [3, 4, 5, 7, 9]
    assert found.preview.sets == 7
    assert accounted(found, "\n".join([HEVY, *rows, ""]).encode())


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("8 Apr 2026, 16:50", "8 Apr 2026, 17:50"),
        ("Apr 8, 2026, 4:50 PM", "Apr 8, 2026, 5:50 PM"),
        ("8 Apr 2026, 16:50", ""),
    ],
)
@pytest.mark.parametrize("rpe", ["8", ""])
def test_dates_whose_quotes_were_dropped_are_put_together_again(start: str, end: str, rpe: str) -> None:
    found = hevy(hevy_row(start=start, end=end, rpe=rpe))
    assert found.errors == []
    assert only(found, "workouts")["started_at"] == "2026-04-08T14:50:00.000Z"
    assert (only(found, "sets")["reps"], only(found, "sets").get("rpe")) == (5, 8 if rpe else None)


def test_a_comma_in_a_title_whose_quotes_were_dropped_cannot_be_told_from_a_delimiter() -> None:
    found = hevy(hevy_row(title="Push, heavy", start="8 Apr 2026, 16:50"), hevy_row())
    assert [error.line for error in found.errors] == [2]
    assert found.preview.sets == 1


def test_an_effort_that_cannot_be_read_costs_no_set_and_is_written_back() -> None:
    found = hevy(hevy_row(rpe="08. Mai"))
    assert [(d.field, d.value) for d in found.warnings] == [("rpe", "08. Mai")]
    assert cells(write_csv(records(found), "hevy"))[1][13] == "08. Mai"


def test_an_open_quote_in_the_first_row_does_not_swallow_the_file() -> None:
    lines = HEVY_BIG.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"",0,"warmup"', b'"oops,0,"warmup"')
    found = imported(b"\n".join(lines))
    assert [error.line for error in found.errors] == [2]
    assert found.preview.sets == 7_210


def test_a_note_over_several_lines_is_one_row() -> None:
    row = hevy_row(notes='"one\n\ntwo, ""three"""')
    found = hevy(row, hevy_row(index="1", reps="x"))
    assert only(found, "workout_exercises")["notes"] == 'one\n\ntwo, "three"'
    assert [error.line for error in found.errors] == [5]


def test_a_file_that_ends_in_the_middle_of_a_row_reports_it() -> None:
    found = imported(f"{HEVY}\n{hevy_row()}\n{hevy_row(index='1')[:-6]}")
    assert [(e.line, e.reason) for e in found.errors] == [(3, "the file ends in the middle of this row")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_every_encoding_gives_the_same_text(encoding: str) -> None:
    text = f"{HEVY}\n{hevy_row(title='Früh', notes='plus léger')}\n"
    found = imported(text.encode(encoding))
    assert only(found, "workouts")["title"] == "Früh"
    assert only(found, "workout_exercises")["notes"] == "plus léger"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (hevy_row().encode(), "utf-8"),
        (hevy_row(title="Früh").encode(), "utf-8"),
        (hevy_row(title="Früh").encode("cp1252"), "windows-1252"),
        (hevy_row(title="Früh").encode() + b"\n" + hevy_row(title="Spät").encode("cp1252"), "mixed"),
    ],
)
def test_the_preview_names_encoding_and_delimiter(data: bytes, encoding: str) -> None:
    preview = imported(HEVY.encode() + b"\n" + data).preview
    assert (preview.encoding, preview.delimiter) == (encoding, ",")


def test_a_file_in_windows_1252_comes_back_in_it_as_long_as_all_of_it_can_be() -> None:
    data = f"{HEVY}\n{hevy_row(title='Früh')}\n".encode("cp1252")
    found = imported(data)
    assert write_csv(records(found), "hevy", layout=found.layout) == data
    moved = [
        Write(w.collection, w.id, {**w.fields, "title": "早"} if "title" in w.fields else w.fields)
        for w in records(found)
    ]
    assert "早".encode() in write_csv(moved, "hevy", layout=found.layout)


def test_progress_tells_the_rows_read_and_ends_with_all_of_them() -> None:
    told: list[tuple[int, int]] = []
    hevy(*(hevy_row(index=str(i)) for i in range(1_200)), progress=lambda *each: told.append(each))
    assert told == [(0, 1_200), (500, 1_200), (1_000, 1_200), (1_200, 1_200)]


def test_one_stray_byte_spoils_no_other_line() -> None:
    good, bad = hevy_row(title="Früh"), hevy_row(title="Spät", start='"9 Apr 2026, 16:50"')
    found = imported(f"{HEVY}\n{good}\n".encode() + f"{bad}\n".encode("latin-1"))
    assert {w["title"] for w in of(found, "workouts")} == {"Früh", "Spät"}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_line_end_is_read_and_written_back(newline: str) -> None:
    data = newline.join([HEVY, hevy_row(), hevy_row(index="1"), ""]).encode()
    found = imported(data)
    assert found.preview.sets == 2
    assert write_csv(records(found), "hevy", layout=found.layout) == data


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_delimiter_is_told_by_the_header(delimiter: str) -> None:
    lines = [STRONG, "2022-06-07 17:15:30,Pull,1h,Row,1,52.5,5,0,0,,,8"]
    found = imported("\n".join(line.replace(",", delimiter) for line in lines))
    assert only(found, "sets")["weight"]["value"] == 52.5


def test_the_hint_that_spreadsheets_put_above_the_header_is_skipped() -> None:
    found = imported(f"sep=;\n{STRONG}\n2022-06-07 17:15:30,Pull,1h,Row,1,52.5,5,0,0,,,8\n".replace(",", ";"))
    assert (found.preview.sets, found.header_lines) == (1, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("62.5", 62.5),
        ("62,5", 62.5),
        ("1.234,5", 1234.5),
        ("1,234.5", 1234.5),
        ("61.23496905", 61.235),
        (" 60 ", 60),
        ("6E1", 60),
    ],
)
def test_numbers_are_read_with_either_decimal_mark_to_four_decimals(text: str, value: float) -> None:
    assert only(hevy(hevy_row(weight=f'"{text}"')), "sets")["weight"]["value"] == value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": '"1 Jan 2031, 10:00"', "end": ""}, "started_at"),
        ({"start": '"1 Jan 1970, 10:00"', "end": ""}, "started_at"),
        ({"end": '"12 Apr 2026, 16:50"'}, "ended_at"),
        ({"end": '"7 Apr 2026, 16:50"'}, "ended_at"),
        ({"reps": "1001"}, "reps"),
        ({"weight": "1400"}, "weight"),
    ],
)
def test_a_suspicious_value_lands_and_is_doubted(change: dict[str, str], field: str) -> None:
    found = hevy(hevy_row(**change))
    assert found.preview.sets == 1
    assert [(doubt.line, doubt.field) for doubt in found.warnings] == [(2, field)]


def test_tomorrow_is_not_the_future_yet() -> None:
    start = (NOW + timedelta(hours=20)).strftime("%Y-%m-%d %H:%M")
    assert hevy(hevy_row(start=start, end="")).warnings == []


@pytest.mark.parametrize(
    "change",
    [
        {"reps": "20000"},
        {"weight": "3000"},
        {"rpe": "11"},
        {"rpe": "8.3"},
        {"reps": "5.3"},
        {"distance": "-1"},
        {"seconds": "999999"},
    ],
)
def test_a_value_that_no_field_may_hold_is_doubted_and_still_written_back(change: dict[str, str]) -> None:
    row = hevy_row(**change)
    found = hevy(row)
    assert violations(found) == []
    assert [doubt.field for doubt in found.warnings if "source" in doubt.reason]
    assert cells(write_csv(records(found), "hevy")) == cells(f"{HEVY}\n{row}\n".encode())


def test_names_and_titles_that_are_too_long_or_short_are_kept_whole_in_the_source() -> None:
    row = hevy_row(title="T" * 300, exercise="E" * 150)
    other = hevy_row(exercise="X", index="1")
    found = hevy(row, other.replace("Push", "T" * 300))
    assert violations(found) == []
    assert cells(write_csv(records(found), "hevy"))[1][0] == "T" * 300
    assert [r[4] for r in cells(write_csv(records(found), "hevy"))[1:]] == ["E" * 150, "X"]


def test_a_time_that_the_clocks_skipped_is_doubted_and_written_back() -> None:
    row = hevy_row(start='"29 Mar 2026, 02:30"', end='"29 Mar 2026, 03:30"')
    found = hevy(row)
    assert [doubt.field for doubt in found.warnings] == ["started_at"]
    assert cells(write_csv(records(found), "hevy")) == cells(f"{HEVY}\n{row}\n".encode())


def test_a_time_that_the_clocks_repeated_is_the_first_of_the_two() -> None:
    workout = only(hevy(hevy_row(start='"26 Oct 2025, 02:30"', end="")), "workouts")
    assert workout["started_at"] == "2025-10-26T00:30:00.000Z"


def test_a_workout_larger_than_a_batch_becomes_groups_with_parents_first() -> None:
    found = hevy(*(hevy_row(index=str(i)) for i in range(2_500)))
    assert len(found.groups) == 3
    assert all(len(group) <= GROUP_WRITES_MAX for group in found.groups)
    assert violations(found) == []


def test_one_group_is_one_workout() -> None:
    found = imported(HEVY_BIG.read_bytes())
    assert len(found.groups) == 335
    assert all([w.collection for w in group].count("workouts") == 1 for group in found.groups)


def test_the_arguments_are_checked() -> None:
    for wrong in ({"unit": "stone"}, {"timezone": "Mars/Olympus"}, {"now": NOW.replace(tzinfo=None)}):
        with pytest.raises(ValueError, match=r"must|no IANA"):
            hevy(hevy_row(), **wrong)


SAMPLE = {
    path.name: b"\n".join(path.read_bytes().split(b"\n")[:60]) for path in [*REAL_FILES, *sorted(GOLDEN.glob("*.csv"))]
}


def _survives(data: bytes) -> None:
    """Reads it or refuses it; and then each line is accounted for, and all that lands is legal."""
    try:
        found = imported(data)
    except NotATrainingLog:
        return
    assert accounted(found, data)
    assert found.rows_read == found.rows_imported + len(found.errors)
    assert violations(found) == []
    once = write_csv(records(found), found.dialect)
    assert write_csv(records(imported(once)), found.dialect) == once


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SAMPLE)), st.data())
def test_any_prefix_of_a_file_is_read_or_refused(name: str, data: st.DataObject) -> None:
    whole = SAMPLE[name]
    _survives(whole[: data.draw(st.integers(0, len(whole)))])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SAMPLE)), st.data())
def test_any_corruption_of_a_file_is_read_or_refused(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SAMPLE[name])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged)))
        cut = data.draw(st.integers(0, 30))
        piece = st.one_of(
            st.binary(max_size=12),
            st.sampled_from([b'"', b'""', b"\n", b"\r\n", b",", b";", b"\x00", b"\xe4", b'","', b"-1", b"9" * 30]),
        )
        damaged[at : at + cut] = data.draw(piece)
    _survives(bytes(damaged))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(st.text(max_size=12), st.from_regex(r"[0-9.,:/ -]{0,12}", fullmatch=True)),
            min_size=14,
            max_size=14,
        ),
        max_size=6,
    )
)
def test_rows_of_any_text_are_imported_or_reported(rows: list[list[str]]) -> None:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    _survives("\n".join([HEVY, *lines]).encode("utf-8", "replace"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            hevy_row,
            title=st.sampled_from(["Push", "Pull"]),
            exercise=st.sampled_from(["Squat", "Dip", "Pull Up (Assisted)"]),
            superset=st.sampled_from(["", "0", "1"]),
            notes=st.sampled_from(["", "slow", '"a, b"', "x\\ny"]),
            index=st.sampled_from(["0", "1", "2"]),
            kind=st.sampled_from(["normal", "warmup", "dropset", "failure", "other"]),
            weight=st.sampled_from(["", "0", "80", "80.0", '"62,5"', "-20", "5000"]),
            reps=st.sampled_from(["", "0", "5", "5.0", "5.5", "20000"]),
            seconds=st.sampled_from(["", "0", "60"]),
            rpe=st.sampled_from(["", "8", "8.5", "11", "7.3"]),
        ),
        max_size=12,
    )
)
def test_no_cell_of_a_hevy_log_is_lost(rows: list[str]) -> None:
    found = hevy(*rows)
    assert found.errors == []
    exported = cells(write_csv(records(found), "hevy"))[1:]
    assert sorted(exported) == sorted(cells("\n".join(rows).encode()))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["2022-06-07 17:15:30,Pull,1h", "2022-06-08 17:15:30,Legs,57m", "2022-06-08 17:15:30,Legs,58m"]
            ),
            st.sampled_from(["Squat", "Plank"]),
            st.sampled_from(["1", "2", "W", "D", "F", "Rest Timer", "Note", "0"]),
            st.sampled_from(["0", "0.0", "", "60.0", "62.5", "-20"]),
            st.sampled_from(["0", "5", "5.0", ""]),
            st.sampled_from(["0", "", "0.0", "2.5"]),
            st.sampled_from(["0", "0.0", "90.0", "", "61"]),
            st.sampled_from(["", "tight", '"a, b"']),
            st.sampled_from(["", "good day"]),
            st.sampled_from(["", "8", "8.0"]),
        ).map(",".join),
        max_size=12,
    )
)
def test_no_cell_of_a_strong_log_is_lost(rows: list[str]) -> None:
    found = strong(*rows)
    assert found.errors == []
    exported = cells(write_csv(records(found), "strong"))[1:]
    assert sorted(exported) == sorted(cells("\n".join(rows).encode()))


def test_an_open_quote_ends_at_the_next_whole_row_even_where_a_later_quote_would_close_it() -> None:
    found = strong(
        '2022-06-07 17:15:30,Pull,1h,"Row,1,50,5,0,0,,,',
        "2022-06-07 17:15:30,Pull,1h,Row,2,50,5,0,0,,,",
        'the rest of a note",3,50,5,0,0,,,',
    )
    assert [error.line for error in found.errors] == [2, 4]
    assert found.preview.sets == 1


def test_a_line_is_looked_at_once_however_many_open_quotes_run_through_it() -> None:
    asked = 0

    def no_row(_cells: list[str]) -> bool:
        nonlocal asked
        asked += 1
        return False

    # Each odd line opens a quote of its own, and is no end of one that is open already.
    texts = ['a",b,"', "a,b,c"] * 150
    table = Table(Lines(texts, "\n", True, False, "utf-8"), 0, 3, ",", no_row, lambda _cells: None)
    found = list(table.rows())
    assert sum(row.lines for row in found) == len(texts)
    assert sum(isinstance(row, RowError) for row in found) == 150
    assert asked <= len(texts)
