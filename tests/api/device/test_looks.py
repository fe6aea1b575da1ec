"""What is printed fits its reader: a person at any width, a pipe, a program, an old encoding."""

from __future__ import annotations

import io
import json
import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from api.command_line.device import COMMANDS
from api.command_line.device.days import parse_day
from api.command_line.device.named import completions
from api.command_line.device.pictures import pieces
from api.command_line.device.screen import ASCII, UNICODE, Flow, Screen, clean, sparkline
from api.command_line.device.wording import clock, plain_number, set_words, span
from fitai_client import Record
from tests.api.device.conftest import Terminal, told
from tests.test_docs import named, page, tables


def documented() -> dict[str, set[str]]:
    """Command → every member of its JSON that the documentation names."""
    found = {
        command: set(re.findall(r"`(\w+)`", " ".join(row[1:])))
        for row in tables(page("terminal.md"))
        for command in named(row)
        if command in COMMANDS
    }
    return found | {"done": found["done"] | found["today"]}


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert clean("leg\x1b[2J day\x07\x9b\n\u202eyad") == "leg[2J day yad"
    assert clean("Beinpresse 45° – ÄÖÜ 💪") == "Beinpresse 45° – ÄÖÜ 💪"


def test_a_title_with_an_escape_sequence_reaches_no_terminal(terminal: Terminal) -> None:
    terminal.does("start", "\x1b]0;owned\x07Push")
    for words in (("today",), ("history",), ("done",)):
        assert "\x1b" not in terminal.does(*words)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-24", date(2026, 11, 24)),
        ("24.11.2026", date(2026, 11, 24)),
        ("1.3.2026", date(2026, 3, 1)),
        ("Yesterday", date(2026, 11, 24)),
        ("today", date(2026, 11, 25)),
        ("-1", date(2026, 11, 24)),
        ("-40", date(2026, 10, 16)),
        ("24/11/2026", None),
        ("31.2.2026", None),
        ("tomorrow", None),
    ],
)
def test_a_day_is_typed_as_people_say_it(typed: str, meant: date | None) -> None:
    assert parse_day(typed, date(2026, 11, 25)) == meant


def test_what_is_no_day_is_told_how_one_is_typed(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "-1")
    for day in ("yesterday", "-1"):
        assert len(terminal.json("today", "--date", day)["workouts"]) == 1
    for words in (("today",), ("log", "bench press", "60kgx5")):
        assert "a day like 2026-11-24, yesterday, or -1" in terminal.json(*words, "--date", "11/24", code=2)["error"]
        assert "yesterday" in told(words[0], "--help")


def test_lines_end_between_sets() -> None:
    stream = io.StringIO()
    screen = Screen(file=stream)
    screen.console.width = 20
    screen.show(Flow([Text("100 kg × 5, 5"), Text("60 kg × 8"), Text("x")]))
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == ["100 kg × 5, 5", "60 kg × 8   x"]


DONE = {"completed_at": "2026-11-25T10:00:00.000Z"}


def test_sets_are_said_as_they_were_entered() -> None:
    kg = {"value": 102.5, "unit": "kg"}

    def said(**values: Any) -> str:
        return set_words(DONE | values, UNICODE)

    assert said(weight=kg, reps=3, rpe=8.5, load_mode="external") == "102.5 kg × 3 @8.5"
    assert said(weight=kg, reps=3, load_mode="bodyweight_plus") == "+102.5 kg × 3"
    assert said(reps=12, load_mode="bodyweight_plus") == "× 12"
    assert set_words(DONE | {"duration_s": 90, "load_mode": "none"}, ASCII) == "1:30"
    assert said(distance={"value": 5, "unit": "km"}, duration_s=1530) == "5 km · 25:30"
    # Of what was done a target says nothing.
    assert said(target_reps_min=5, target_weight=kg) == "done"


def test_a_set_that_is_only_planned_is_said_to_be_planned_with_its_targets() -> None:
    kg = {"value": 80, "unit": "kg"}

    def said(**values: Any) -> str:
        return set_words(values, UNICODE)

    assert said() == "planned"
    assert said(target_weight=kg) == "planned 80 kg"
    assert said(target_weight=kg, target_reps_min=8, target_reps_max=12, target_rpe=8) == "planned 80 kg × 8–12 @8"
    assert said(target_reps_min=5, target_reps_max=5, is_amrap=True) == "planned × 5+"
    assert said(target_duration_s=90) == "planned 1:30"
    assert said(target_percent_1rm=80, target_reps_min=3) == "planned × 3 80% 1RM"
    assert said(target_weight=kg, target_percent_1rm=80) == "planned 80 kg"
    assert said(target_reps_min=3, target_rir=2) == "planned × 3 RIR 2"
    assert said(target_rir=2, target_rpe=8) == "planned @8"
    # What was put in already goes before the target, and was not done for that.
    assert said(reps=6, target_reps_min=5, weight=kg) == "planned 80 kg × 6"


def test_todays_training_tells_what_was_done_from_what_is_planned() -> None:
    kg = {"value": 80, "unit": "kg"}
    aims = {"load_mode": "external", "target_weight": kg, "target_reps_min": 5}
    warmup = {"kind": "warmup", "load_mode": "external", "target_reps_min": 8}
    values = [DONE | aims | {"weight": kg, "reps": 6}, aims, aims, warmup, {}]
    sets = [Record("sets", str(n), each) for n, each in enumerate(values)]
    said = [each.plain for each in pieces(sets, {}, UNICODE)]
    assert said == ["80 kg × 6", "planned 80 kg × 5, 5", "planned w × 8", "planned"]


def test_numbers_and_times_are_short() -> None:
    assert [plain_number(each) for each in (5, 5.0, 102.5, 0.0001, 12000)] == ["5", "5", "102.5", "0.0001", "12,000"]
    assert [clock(each) for each in (5, 90, 3723)] == ["0:05", "1:30", "1:02:03"]
    assert [span(each) for each in (20, 600, 3600, 4080)] == ["20 s", "10 min", "1 h", "1 h 8 min"]


def test_a_sparkline_goes_from_the_lowest_to_the_highest() -> None:
    assert sparkline([1, 2, 3], UNICODE) == "▁▅█"
    assert sparkline([1, 2, 3], ASCII) == "" == sparkline([2, 2], UNICODE)


def test_an_encoding_without_the_signs_gets_ascii(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    terminal.does("start", "Brust & Rücken")
    with terminal.process("log", "bench press", "100kgx5", stdout=subprocess.PIPE) as done:
        assert done.stdout is not None
        said = done.stdout.read()
    assert done.returncode == 0
    assert "100 kg x 5" in said and said.isascii()
    with terminal.process("today", "--json", stdout=subprocess.PIPE) as done:
        assert done.stdout is not None
        assert json.loads(done.stdout.read())["workouts"][0]["title"] == "Brust & Rücken"


def test_no_colour_reaches_a_pipe(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    assert all("\x1b" not in terminal.does(command) for command in ("today", "history", "records", "status"))


def test_no_line_in_a_pipe_ends_in_blanks(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    terminal.does("log", "deadlift", "100kgx5x3", "--note", "slow")
    for command in ("today", "history", "records", "status"):
        said = terminal.does(command)
        assert [line for line in said.splitlines() if line != line.rstrip()] == [], command


def test_the_day_of_a_record_stands_beside_the_weight_that_it_is_of(terminal: Terminal) -> None:
    terminal.does("log", "Leg Press", "204kgx1", "--date", "2025-08-28")
    terminal.does("log", "Leg Press", "140kgx18", "--date", "2024-08-21")
    head, row = (re.split(r"\s{2,}", line) for line in terminal.does("records").splitlines()[:2])
    assert dict(zip(head, row, strict=True)) == {
        "exercise": "Leg Press",
        "heaviest": "204 kg",
        "on": "28 Aug 2025",
        "est. 1RM": "204 kg",
        "best set": "140 kg × 18",
    }
    assert head.index("on") == head.index("heaviest") + 1


def test_the_records_of_a_bodyweight_exercise_say_whether_the_body_is_counted(terminal: Terminal) -> None:
    terminal.does("log", "pull up", "+10kgx5", "--bodyweight", "80kg")
    said = terminal.does("records", "pull up")
    assert "heaviest added weight" in said and "best 1RM, the body counted" in said
    terminal.does("log", "bench press", "100kgx5")
    assert "added" not in terminal.does("records", "bench press")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_examples(name: str) -> None:
    said = told(name, "--help")
    assert "Examples:" in said and f"fitai {name}" in said


def test_every_command_answers_with_one_object_as_documented(terminal: Terminal, tmp_path: Path) -> None:
    for words in (
        ("log", "bench press", "100kgx5"),
        ("start",),
        ("rest", "90"),
        ("done",),
        ("today",),
        ("history",),
        ("history", "bench press"),
        ("records",),
        ("records", "bench press"),
        ("status",),
        ("conflicts",),
        ("inbox",),
        ("export", str(tmp_path / "mine.json")),
        ("undo",),
        ("undo", "--list"),
    ):
        answer = terminal.json(*words)
        assert answer["sync"]["signed_in"] is False
        assert answer.keys() - {"ok", "sync"} <= documented()[words[0]], words


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_there_is_a_script_for_each_shell(shell: str, word: str) -> None:
    script = told("completion", shell)
    assert "_FITAI_COMPLETE" in script and word in script


def test_exercises_are_completed_from_what_the_device_knows(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.does("log", "Stone Carry", "60kgx20m", "--new")
    monkeypatch.setenv("_FITAI_COMPLETE", "fish_complete")
    monkeypatch.setenv("COMP_WORDS", "fitai log --profile phone Stone")
    monkeypatch.setenv("COMP_CWORD", "Stone")
    with terminal.process(stdout=subprocess.PIPE) as done:
        assert done.stdout is not None
        assert "plain,Stone Carry" in done.stdout.read()


def test_the_rest_of_a_name_without_quotes_is_completed() -> None:
    names = ["Barbell Bench Press", "Barbell Row", "Bench Dip"]
    assert completions(names, (), "bench") == ["Bench Dip", "Barbell Bench Press"]
    assert completions(names, ("barbell",), "") == ["Bench Press", "Row"]
    assert completions(names, ("Barbell", "Bench"), "P") == ["Press"]
    assert completions(names, ("Barbell",), "x") == []
