"""`fitai import` and `export` on a real log, and its undo as a whole."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.command_line.commands import fitai
from api.command_line.demonstration.sample import SAMPLE
from api.command_line.device.named import completions
from tests.api.device.conftest import ZONE, Terminal, Terminals, environ
from tests.shared import shared

YEARS = shared() / "data" / "hevy-2025-kg-supersets-rpe-MIT.csv"


@pytest.fixture
def short(tmp_path: Path) -> str:
    """A log of six workouts."""
    file = tmp_path / "short.csv"
    file.write_text(SAMPLE, encoding="utf-8")
    return str(file)


def test_a_preview_comes_first_and_without_a_yes_nothing_is_written(terminal: Terminal, short: str) -> None:
    done = terminal.run("import", short)
    assert done.exit_code == 1 and "--yes" in done.stderr
    for word in ("Hevy", "6 workouts · 72 sets", "2 Nov 2026 – 13 Nov 2026", "as its header says", ZONE):
        assert word in done.stdout
    assert terminal.json("history")["total"] == 0
    assert terminal.json("import", short, "--preview")["imported"] is False


def test_the_same_file_twice_imports_once(terminal: Terminal, short: str) -> None:
    first = terminal.json("import", short, "--yes")
    again = terminal.json("import", short, "--yes")
    assert first["written"] > 72 and again["written"] == 0
    assert (again["preview"]["known"], again["preview"]["new"]) == (first["written"], 0)
    assert terminal.json("history")["total"] == 6


def test_names_become_exercises_of_the_catalog(terminal: Terminal, short: str) -> None:
    preview = terminal.json("import", short, "--yes")["preview"]
    assert "Bench Press (Barbell)" in preview["matched"]
    records = terminal.json("records", "bench press")
    assert records["exercise"]["name"] == "Barbell Bench Press"
    assert records["records"]["max_weight"]["value"] == 62.5


def test_a_name_means_what_the_user_says_now_and_later(terminal: Terminal, short: str) -> None:
    preview = terminal.json("import", short, "--preview", "--match", "Bench Press (Barbell)=floor press")["preview"]
    floor = terminal.json("log", "floor press", "20kgx5", "--date", "2020-01-01")["exercise"]["id"]
    assert preview["matched"]["Bench Press (Barbell)"] == floor
    terminal.does("import", short, "--yes", "--match", "Bench Press (Barbell)=new")
    assert "Bench Press (Barbell)" not in terminal.json("import", short, "--preview")["preview"]["matched"]
    assert terminal.json("import", short, "--preview", "--match", "=x", code=2)["code"] == "usage"


def test_the_preview_says_what_becomes_of_a_new_name_and_the_command_that_makes_it_a_known_one(
    terminal: Terminal, short: str
) -> None:
    file = Path(short).with_name("my log.csv")
    file.write_text(SAMPLE.replace("Bench Press (Barbell)", "Barbell Board Press"), encoding="utf-8")
    told = terminal.does("import", str(file), "--preview", "--timezone", "Asia/Tokyo")
    assert "1 new: it becomes an exercise of yours" in told
    assert "Barbell Board Press  perhaps your word for " in told
    command = next(each.strip() for each in told.splitlines() if "--match" in each)
    words = shlex.split(command)
    assert words[:2] == ["fitai", "import"] and "--preview" not in words
    assert words[words.index("--timezone") + 1] == "Asia/Tokyo"
    known = CliRunner().invoke(fitai, [*words[1:], "--preview", "--json"], env=environ(terminal.folder))
    assert json.loads(known.stdout)["preview"]["unmatched"] == []


def test_a_name_that_the_user_calls_new_is_not_asked_about_again(terminal: Terminal, short: str) -> None:
    file = Path(short)
    text = SAMPLE.replace("Bench Press (Barbell)", "Barbell Board Press").replace("Squat (Barbell)", "Barbell Sqat")
    file.write_text(text, encoding="utf-8")
    told = terminal.does("import", short, "--preview", "--match", "Barbell Board Press=new")
    assert "Barbell Board Press  perhaps" not in told and "Barbell Sqat  perhaps" in told
    assert "Barbell Board Press=new" in told and '"Barbell Sqat=' in told
    told = terminal.does(
        "import", short, "--preview", "--match", "Barbell Board Press=new", "--match", "Barbell Sqat=new"
    )
    assert "If so" not in told


def test_an_exercise_that_a_name_cannot_mean_is_told_how_to_make_it_an_own_one(terminal: Terminal, short: str) -> None:
    refused = terminal.run("import", short, "--match", "Bench Press (Barbell)=zzyzx")
    assert refused.exit_code == 1 and '--match "Bench Press (Barbell)=new"' in refused.stderr


def test_a_workout_that_another_app_brought_stays_out_unless_it_is_wanted(terminal: Terminal, short: str) -> None:
    terminal.does("import", short, "--yes")
    twin = Path(short).with_name("twin.csv")
    terminal.does("export", str(twin), "--as", "strong")
    told = terminal.json("import", str(twin), "--yes")
    assert (len(told["preview"]["twins"]), told["written"]) == (6, 0)
    assert "--keep-twins" in terminal.does("import", str(twin), "--preview")
    assert terminal.json("import", str(twin), "--preview", "--keep-twins")["preview"]["twins"] == []


def test_one_undo_takes_an_import_back_as_a_whole(terminal: Terminal, short: str) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "2020-01-01")
    terminal.does("import", short, "--yes")
    assert terminal.run("undo").exit_code == 1
    assert terminal.json("undo", "--yes")["workouts"] == 6
    assert terminal.json("history")["total"] == 1
    terminal.does("undo")
    assert terminal.json("history")["total"] == 0


def test_an_undone_import_says_how_many_workouts_were_written_into_since(terminal: Terminal, tmp_path: Path) -> None:
    header = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes,RPE"
    file = tmp_path / "two.csv"
    days = [f"2022-06-0{day} 17:15:30,Pull,1h,Row,1,50,5,0,0,,," for day in (7, 8)]
    file.write_text("\n".join([header, *days, ""]), encoding="utf-8")
    made = terminal.json("import", str(file), "--yes", "--unit", "kg")["import"]
    terminal.does("edit", "Row", "1", "55kgx5", "--date", "2022-06-07")
    told = terminal.json("undo", "--import", made, "--yes")
    assert (told["workouts"], told["kept"]) == (1, 1)


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_an_import_that_is_stopped_while_it_is_written_is_there_and_in_the_journal_or_neither(
    terminal: Terminal,
) -> None:
    code, screen = terminal.seen("import", str(YEARS), "--yes", typed=[("Writing", "\x03")])
    assert code == 130
    listed = terminal.json("undo", "--list")["commands"]
    if "nothing was imported" in screen:
        assert terminal.json("history")["total"] == 0 == len(listed)
    else:
        assert "335 workouts were imported" in screen and terminal.json("history")["total"] == 335
        assert terminal.json("undo", "--yes")["workouts"] == 335


def test_a_file_without_a_workout_is_told_as_one(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.write_text(SAMPLE.splitlines()[0] + "\n", encoding="utf-8")
    assert "There is no workout in empty.csv" in terminal.does("import", str(file), "--yes")
    assert terminal.json("import", str(file), "--yes")["imported"] is False


def test_an_import_again_with_other_times_says_that_the_first_ones_stay(terminal: Terminal, short: str) -> None:
    made = terminal.json("import", short, "--yes")["import"]
    told = terminal.json("import", short, "--yes", "--timezone", "America/New_York")
    assert (told["written"], told["preview"]["differs"]) == (0, ["times"])
    said = terminal.does("import", short, "--yes", "--timezone", "America/New_York")
    assert "with other times" in said and f"fitai undo --import {made[:8]}" in said
    assert terminal.json("import", short, "--yes")["preview"]["differs"] == []


def test_an_import_again_with_another_unit_says_that_the_first_one_stays(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "strong.csv"
    header = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes,RPE"
    file.write_text(f"{header}\n2022-06-07 17:15:30,Pull,1h,Row,1,50,5,0,0,,,\n", encoding="utf-8")
    terminal.does("import", str(file), "--yes", "--unit", "kg")
    assert terminal.json("import", str(file), "--yes", "--unit", "lb")["preview"]["differs"] == ["units"]


def test_an_import_is_taken_back_by_its_id_however_long_ago(terminal: Terminal, short: str) -> None:
    made = terminal.json("import", short, "--yes")["import"]
    terminal.does("log", "bench press", "100kgx5")
    (listed,) = terminal.json("undo", "--list")["imports"]
    assert (listed["id"], listed["app"], listed["workouts"]) == (made, "hevy", 6)
    terminal.does("undo", "--import", made[:8], "--yes")
    assert terminal.json("history")["total"] == 1
    assert terminal.json("undo", "--import", made, "--yes", code=1)["code"] == "not_found"


def test_lines_that_cannot_be_read_are_named_and_the_rest_lands(terminal: Terminal, tmp_path: Path) -> None:
    torn = SAMPLE.splitlines()
    torn[3] = '"torn'
    file = tmp_path / "torn.csv"
    file.write_text("\n".join(torn) + "\n", encoding="utf-8")
    told = terminal.json("import", str(file), "--yes")
    assert told["preview"]["errors"] and all(each["reason"] for each in told["preview"]["errors"])
    assert told["written"] > 0
    assert "cannot be read" in terminal.does("import", str(file), "--yes")


def test_an_export_as_csv_is_the_file_that_was_imported(terminal: Terminal, short: str, tmp_path: Path) -> None:
    terminal.does("import", short, "--yes")
    mine = tmp_path / "mine.csv"
    terminal.does("start")
    terminal.does("log", "bench press", "100kgx5")
    terminal.does("done", "--discard")
    assert terminal.json("export", str(mine))["sets"] == 72
    assert mine.read_text(encoding="utf-8") == SAMPLE
    terminal.does("export", str(tmp_path / "mine.json"))
    whole = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert whole["format"] == "fitai-export"


def test_an_export_says_what_the_app_has_no_place_for(terminal: Terminal, tmp_path: Path) -> None:
    terminal.does("log", "bench press", "100kgx5x2")
    assert "no place" not in terminal.does("export", str(tmp_path / "all.csv"), "--as", "stronglifts")
    terminal.does("log", "bench press", "100kgx5@8")
    terminal.does("log", "plank", "60s")
    told = terminal.does("export", str(tmp_path / "some.csv"), "--as", "stronglifts")
    assert "StrongLifts has no place for the time of 1 set, the RPE of 1 set" in told
    left_out = terminal.json("export", str(tmp_path / "hevy.csv"))["left_out"]
    assert left_out == {"weight": 0, "reps": 0, "duration_s": 0, "distance": 0, "rpe": 0}


def test_years_of_training_reach_the_other_terminal_and_go_again(terminals: Terminals) -> None:
    phone, laptop = terminals("phone"), terminals("laptop")
    phone.sign_up("years@example.com")
    told = phone.json("import", str(YEARS), "--yes")
    assert (told["written"] > 9_000, told["sync"]["pending"]) == (True, 0)
    laptop.sign_in("years@example.com")
    assert laptop.json("history")["total"] == 335
    assert laptop.json("records") == {**phone.json("records"), "sync": laptop.json("records")["sync"]}
    # The server asks about so many deletes; the question was answered here.
    assert phone.json("undo", "--yes")["sync"]["pending"] == 0
    # A look at the history waits a moment for the server; a sync waits until it has everything.
    laptop.does("sync")
    assert laptop.json("history")["total"] == 0


@pytest.mark.parametrize(
    "name", ["Zork;touch x;", "Zork$(id)", "Zork`id`", "Zork\nrm", "Zork\x1b[2J", "Zork*", "Zork & x", "Zork (x)"]
)
def test_a_name_that_a_shell_could_run_is_never_completed(name: str) -> None:
    assert completions([name, "Zork Press"], [], "Zor") == ["Zork Press"]


def test_an_export_is_for_its_user_alone(terminal: Terminal, tmp_path: Path) -> None:
    terminal.does("log", "squat", "100kgx5")
    for name in ("mine.json", "mine.csv"):
        terminal.does("export", str(tmp_path / name))
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
