"""What only a person at a terminal gets: colours, a picture redrawn in place, questions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from api.command_line.demonstration.sample import SAMPLE
from tests.api.device.conftest import PASSWORD, Terminal, Terminals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="terminals as POSIX has them")

GREEN, HIDDEN, SHOWN = "\x1b[32m", "\x1b[?25l", "\x1b[?25h"


def test_a_terminal_gets_colours_unless_it_wants_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal.does("log", "bench press", "100kgx5")
    code, screen = terminal.seen("today")
    assert code == 0 and GREEN in screen
    terminal.more = {"NO_COLOR": "1"}
    assert GREEN not in terminal.seen("today")[1]


def test_a_narrow_terminal_shows_whole_names_and_indents_what_goes_on_below(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal.does("log", "Bulgarian Split Squat", "100.5kgx12@8.5", "--title", "A long day for the legs and the back")

    def printed(command: str, columns: int) -> list[str]:
        terminal.more = {"COLUMNS": str(columns)}
        return re.sub(r"\x1b\[[\d;]*m", "", terminal.seen(command)[1]).splitlines()

    head, row, *_ = printed("records", 60)
    assert row.startswith("Bulgarian Split Squat  100.5 kg") and "best set" not in head
    assert "best set" in printed("records", 100)[0]
    _, _, title, below, *_ = printed("today", 60)
    assert title.startswith("A long day") and below.startswith("  ") and "kg" in below
    assert max(len(title), len(below)) <= 60


@pytest.mark.parametrize("columns", [40, 50, 60, 80])
def test_no_width_cuts_a_name_a_figure_or_a_day(
    terminal: Terminal, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal.more = {"COLUMNS": str(columns), "NO_COLOR": "1"}
    name = "Chest-Supported Incline Dumbbell Row"
    title = "A long day for the back and the arms"
    terminal.does("log", name, "60kgx5", "--new", "--title", title, "--date", "2024-09-21")
    terminal.does("log", name, "102.5kgx12@8.5", "102.5kgx11@9.5", "102.5kgx10@10", "--new", "--date", "2024-09-28")
    for words in (
        ("today", "--date", "2024-09-28"),
        ("history",),
        ("history", name),
        ("records",),
        ("records", name),
    ):
        code, screen = terminal.seen(*words)
        assert code == 0 and "…" not in screen, screen
        lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", screen).splitlines()
        assert max(map(len, lines)) <= columns
        said = " ".join(" ".join(lines).split())
        for word in ("Chest-Supported", "Row") if words != ("history",) else (title,):
            assert word in said
    assert "143.5 kg" in said and "28 Sep 2024" in said


def test_a_watch_is_drawn_in_place_and_gives_the_cursor_back(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal.does("log", "bench press", "100kgx5")
    code, screen = terminal.seen("watch", typed=[("100 kg", "\x03")])
    assert code == 130
    assert HIDDEN in screen and screen.rindex(SHOWN) > screen.rindex(HIDDEN)
    assert "Traceback" not in screen


def test_an_import_asks_and_no_is_an_answer(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text(SAMPLE, encoding="utf-8")
    assert terminal.seen("import", str(file), typed=[("Import it?", "n\n")])[0] == 1
    assert terminal.seen("import", str(file), typed=[("Import it?", "\x03")])[0] == 130
    assert terminal.json("history")["total"] == 0
    assert terminal.seen("import", str(file), typed=[("Import it?", "y\n")])[0] == 0
    assert terminal.json("history")["total"] == 6


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_question_at_once(
    terminal: Terminal, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    file = tmp_path / "short.csv"
    file.write_text(SAMPLE, encoding="utf-8")
    keyboard, screen = os.openpty()
    with terminal.process("import", str(file), stdin=screen, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        os.close(screen)
        assert asking.stdout is not None and asking.stderr is not None
        said = ""
        while "Import it?" not in said:
            said += (char := asking.stderr.read(1))
            assert char, said
        asking.send_signal(number)
        assert "Traceback" not in asking.stderr.read()
    os.close(keyboard)
    assert asking.returncode == code


def test_what_is_no_answer_is_asked_again(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text(SAMPLE, encoding="utf-8")
    typed = [("Import it? [Y/n]", "perhaps\n"), ("answer y or n", "\n")]
    code, screen = terminal.seen("import", str(file), typed=typed)
    assert code == 0 and "records on this device" in screen


def test_a_password_is_asked_for_twice_and_never_shown(terminals: Terminals) -> None:
    phone = terminals("phone")
    typed = [("Password", PASSWORD + "\n"), ("Repeat", "another one\n")]
    typed += [
        ("not the same.\nPassword: ", PASSWORD + "\n"),
        ("same.\nPassword: \nRepeat for confirmation: ", PASSWORD + "\n"),
    ]
    code, screen = phone.seen("sign-up", "asked@example.com", typed=typed)
    assert code == 0 and "Signed in as asked@example.com" in screen
    assert PASSWORD not in screen
