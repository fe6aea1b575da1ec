"""`fitai log`, `undo` and the live session, on a device without a network."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from api.command_line.demonstration.sample import SAMPLE
from tests.api.device.conftest import Terminal


def lines(terminal: Terminal) -> list[tuple[str, float | None, int | None]]:
    """(exercise, weight, reps) of today's sets."""
    return [(name, (one["weight"] or {}).get("value"), one["reps"]) for name, one in terminal.sets()]


def test_sets_are_there_without_a_network(terminal: Terminal) -> None:
    said = terminal.does("log", "Bench Press", "100kgx5", "100kgx5", "102.5kgx3@8.5")
    assert "100 kg × 5, 5   102.5 kg × 3 @8.5" in said
    assert [(weight, reps) for _, weight, reps in lines(terminal)] == [(100, 5), (100, 5), (102.5, 3)]


def test_who_wants_no_account_hears_of_one_after_an_import_and_in_status_alone(
    terminal: Terminal, tmp_path: Path
) -> None:
    for words in (("log", "bench press", "100kgx5"), ("today",), ("history",), ("records",)):
        assert "account" not in terminal.does(*words)
    assert "3 changes wait for an account" in terminal.does("status")
    file = tmp_path / "short.csv"
    file.write_text(SAMPLE, encoding="utf-8")
    assert "wait here for an account" in terminal.does("import", str(file), "--yes")


def test_a_load_without_a_bodyweight_is_said_to_be_unknown_once_a_workout(terminal: Terminal) -> None:
    assert "--bodyweight" in terminal.does("log", "pull up", "x8")
    assert "--bodyweight" not in terminal.does("log", "pull up", "x8")
    assert "--bodyweight" not in terminal.does("log", "bench press", "100kgx5")
    terminal.does("start")
    assert "--bodyweight" not in terminal.does("log", "pull up", "x8", "--bodyweight", "80kg")
    assert "--bodyweight" not in terminal.does("log", "dip", "x8")


def test_a_day_is_one_workout_and_an_exercise_one_block_in_it(terminal: Terminal) -> None:
    for words in (("bench press", "100kgx5"), ("barbell back squat", "120kgx5"), ("bench press", "100kgx4")):
        terminal.does("log", *words)
    (workout,) = terminal.json("today")["workouts"]
    assert [(block["name"], len(block["sets"])) for block in workout["exercises"]] == [
        ("Barbell Bench Press", 2),
        ("Barbell Back Squat", 1),
    ]


def test_an_alias_and_words_in_any_order_name_an_exercise(terminal: Terminal) -> None:
    for name in ("Bench Press (Barbell)", "press bench barbell", "flat bench press", "benchpress"):
        assert terminal.json("log", name, "60kgx5")["exercise"]["name"] == "Barbell Bench Press"


def test_a_name_needs_no_quotes(terminal: Terminal) -> None:
    assert terminal.json("log", "flat", "bench", "press", "60kgx5")["exercise"]["name"] == "Barbell Bench Press"
    assert terminal.json("history", "bench", "press")["total"] == 1
    assert terminal.json("log", "bench", "press", "60x5", code=2)["code"] == "bad_set"


def test_a_name_that_is_unclear_lists_candidates_and_logs_nothing(terminal: Terminal) -> None:
    told = terminal.json("log", "bulgarian", "100kgx5", code=1)
    assert told["code"] == "unclear_exercise"
    assert "Bulgarian Split Squat" in told["candidates"]
    assert terminal.sets() == []


@pytest.mark.parametrize(("typed", "meant"), [("kro", "Kroc Row"), ("deadlitf", "Barbell Deadlift")])
def test_a_beginning_or_a_misspelling_is_asked_about_and_logs_nothing(
    terminal: Terminal, typed: str, meant: str
) -> None:
    told = terminal.json("log", typed, "60kgx5", code=1)
    assert (told["code"], told["candidates"]) == ("unclear_exercise", [meant])
    assert f"did you mean {meant}?" in told["error"] and "--new" in told["error"]
    assert terminal.sets() == []
    assert terminal.run("log", typed, "60kgx5").stderr.count(meant) == 1


@pytest.mark.parametrize("typed", ["foo", "\N{WEIGHT LIFTER} Bench Press", "Bench"])
def test_with_new_what_was_typed_is_made_unless_it_is_a_whole_name(terminal: Terminal, typed: str) -> None:
    assert terminal.json("log", typed, "60kgx5", "--new")["exercise"]["name"] == typed
    assert terminal.json("log", "press bench barbell", "60kgx5", "--new")["exercise"]["name"] == "Barbell Bench Press"


def test_some_whole_words_name_an_exercise_in_the_plural_too(terminal: Terminal) -> None:
    assert terminal.json("log", "leg extensions", "60kgx5")["exercise"]["name"] == "Leg Extension"
    assert terminal.json("log", "spider curls", "20kgx5")["exercise"]["name"] == "Barbell Spider Curl"


def test_of_several_that_fit_the_one_that_was_trained_is_meant(terminal: Terminal) -> None:
    terminal.does("log", "Bulgarian Split Squat", "20kgx5")
    assert terminal.json("log", "split", "20kgx5")["exercise"]["name"] == "Bulgarian Split Squat"


def test_a_slip_of_the_pen_is_offered_what_it_is_like(terminal: Terminal) -> None:
    assert "Barbell Bench Press" in terminal.json("log", "Barbel Bench Pres", "100kgx5", code=1)["candidates"]


def test_new_makes_an_exercise_of_ones_own(terminal: Terminal) -> None:
    assert terminal.run("log", "Wardrobe Carry", "60kgx3").exit_code == 1
    terminal.does("log", "Wardrobe Carry", "60kgx20m", "--new")
    assert terminal.json("log", "wardrobe carry", "60kgx20m")["exercise"]["name"] == "Wardrobe Carry"
    assert len(terminal.sets()) == 2


def test_without_an_exercise_the_sets_go_to_that_of_the_last_one(terminal: Terminal) -> None:
    assert terminal.run("log", "100kgx5").exit_code == 2
    terminal.does("log", "bench press", "100kgx5")
    terminal.does("log", "105kgx4")
    assert lines(terminal)[-1] == ("Barbell Bench Press", 105, 4)


def test_help_and_added_weight_are_typed_with_a_sign(terminal: Terminal) -> None:
    terminal.does("log", "pull up", "x12", "+10kgx5", "-20kgx8", "--bodyweight", "80kg")
    assert [one["load_mode"] for _, one in terminal.sets()] == ["bodyweight_plus", "bodyweight_plus", "assisted"]
    (workout,) = terminal.json("today")["workouts"]
    assert workout["volume_kg"] > 0


def test_another_day_gets_a_workout_of_its_own(terminal: Terminal) -> None:
    terminal.does("log", "deadlift", "140kgx5", "--date", "2024-02-29", "--title", "Pull day")
    (workout,) = terminal.json("history")["workouts"]
    assert (workout["local_date"], workout["title"]) == ("2024-02-29", "Pull day")
    assert terminal.run("log", "deadlift", "140kgx5", "--date", "2199-01-01").exit_code == 1


@pytest.mark.parametrize("words", [("bench press",), ("bench press", "100x5"), ("bench press", "100kgx5", "heavy")])
def test_what_is_no_set_is_a_wrong_command_line_and_writes_nothing(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.json("log", *words, code=2)["code"] == "bad_set"
    assert terminal.sets() == []


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (("60kgx5@11",), "the RPE after @ is 0 to 10"),
        (("5x60kg",), "60kgx5"),
        (("bench press", "5x60kg"), "60kgx5"),
        (("bench press", "200", "kg", "x", "10"), "write it together, 200kgx10"),
        (("bench press", "100kgx5", "200kg", "x", "10"), "write it together, 200kgx10"),
        (("bench press", "200kg", "x10"), "write it together, 200kgx10"),
        (("bench press", "5", "x", "60", "kg"), "write it together, 60kgx5"),
        (("45", "20kgx5"), "could be reps or a weight"),
        (("bench press", "6", "60kgx5"), "could be reps or a weight"),
        (("200", "kg", "x", "10"), "write it together, 200kgx10"),
        (("plank", "1m"), "1min"),
        (("plank", "20kgx1m"), "1min"),
    ],
)
def test_a_set_that_is_typed_another_way_is_told_the_right_one(
    terminal: Terminal, words: tuple[str, ...], way: str
) -> None:
    told = terminal.json("log", *words, code=2)
    assert told["code"] == "bad_set" and way in told["error"]
    assert terminal.sets() == []


def test_a_name_may_have_numbers_in_it(terminal: Terminal) -> None:
    for name in ("45 Degree Press", "45° Press", "1/2 Squat", "21s Curl"):
        assert terminal.json("log", name, "60kgx5", "--new")["exercise"]["name"] == name
    assert terminal.json("log", "45", "degree", "press", "60kgx5")["exercise"]["name"] == "45 Degree Press"


def test_a_flag_that_is_none_is_told_the_nearest_and_writes_nothing(terminal: Terminal) -> None:
    told = terminal.json("log", "bench press", "100kgx5", "--titel", "x", code=2)
    assert told["code"] == "usage" and "did you mean --title?" in told["error"]
    assert terminal.json("log", "bench press", "-x", "100kgx5", code=2)["code"] == "usage"
    assert terminal.sets() == []


def test_nobody_else_on_the_machine_reads_the_device(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    folder = terminal.file.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_a_record_is_marked_and_named(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "2025-01-01")
    said = terminal.does("log", "bench press", "110kgx5")
    assert "110 kg × 5 ★" in said and "heaviest 110 kg" in said
    (_, one) = terminal.sets()[0]
    assert one["records"] == ["max_weight", "one_rep_max"]


# -- the live session ------------------------------------------------------------------------------------------


def test_a_session_takes_what_is_logged_until_it_is_done(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "60kgx5")
    terminal.does("start", "Push day")
    assert terminal.json("start", code=1)["code"] == "session_active"
    terminal.does("log", "bench press", "100kgx5")
    done = terminal.json("done", "--effort", "8")
    assert (done["title"], done["status"], done["sets"]) == ("Push day", "completed", 1)
    assert terminal.json("done", code=1)["code"] == "no_session"


def test_a_rest_is_shown_begun_and_ended(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "2020-01-01")
    assert terminal.json("rest", "90", code=1)["code"] == "no_session"
    terminal.does("start")
    assert 0 < terminal.json("rest", "1h")["left_s"] <= 3_600
    assert 0 < terminal.json("rest")["left_s"] <= 3_600
    assert terminal.json("rest", "--stop")["rest_timer"] is None
    assert terminal.json("rest", "soon", code=2)["code"] == "usage"


def test_a_discarded_session_leaves_the_log_and_undo_brings_it_back(terminal: Terminal) -> None:
    terminal.does("start", "Push day")
    terminal.does("log", "bench press", "100kgx5")
    terminal.does("done", "--discard")
    assert terminal.json("today")["workouts"] == []
    terminal.does("undo")
    (workout,) = terminal.json("today")["workouts"]
    assert (workout["status"], workout["ended_at"], workout["sets"]) == ("active", None, 1)


# -- undo ------------------------------------------------------------------------------------------------------


def test_undo_takes_back_one_command_after_the_other(terminal: Terminal) -> None:
    for words in (("bench press", "100kgx5x2"), ("deadlift", "140kgx5"), ("bench press", "90kgx8")):
        terminal.does("log", *words)
    for left in (3, 2, 0):
        terminal.does("undo")
        assert len(terminal.sets()) == left
    assert terminal.json("today")["workouts"] == []
    assert terminal.json("undo", code=1)["code"] == "nothing_to_undo"


def test_the_list_of_what_can_be_undone_changes_nothing(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    (command,) = terminal.json("undo", "--list")["commands"]
    assert command["words"] == "log of 1 set of Barbell Bench Press"
    assert len(terminal.sets()) == 1


def test_a_text_that_is_too_long_is_refused_and_not_cut(terminal: Terminal) -> None:
    assert terminal.json("start", "x" * 201, code=1)["code"] == "too_long"
    assert terminal.json("log", "bench press", "60kgx5", "--note", "x" * 2_001, code=1)["code"] == "too_long"
    assert terminal.json("history")["total"] == 0


def test_a_journal_that_cannot_be_read_costs_the_undo_and_nothing_else(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    journal = terminal.file.with_name("phone.db.json")
    for text in ("no json", "[]", '{"journal": [1, {}], "server": 3}', '{"journal": 7}'):
        journal.write_text(text, encoding="utf-8")
        assert terminal.json("undo", code=1)["code"] == "nothing_to_undo"
    terminal.does("log", "bench press", "100kgx5")
    terminal.does("undo")
    assert len(terminal.sets()) == 1
