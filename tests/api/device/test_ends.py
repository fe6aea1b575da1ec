"""Every way a command can end: an exit code that scripts can use, one sentence, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.command_line.commands import fitai
from tests.api.device.conftest import Terminal, environ


def refused(terminal: Terminal, code: int, *words: str) -> str:
    """The one sentence with which a command ends."""
    done = terminal.run(*words)
    assert done.exit_code == code, done.output
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("fitai: ")]
    assert "Traceback" not in done.output
    return line


def test_what_needs_an_account_says_so_with_3(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    said = refused(terminal, 3, "sync")
    assert "sign-in" in said and "sign-up" in said
    assert terminal.json("sync", code=3)["code"] == "sign_in_needed"
    assert refused(terminal, 3, "sign-out")


def test_a_server_that_cannot_be_reached_is_3(terminal: Terminal) -> None:
    done = terminal.run("sign-in", "you@example.com", "--password-stdin", stdin="secret words\n")
    assert done.exit_code == 3
    assert "http://127.0.0.1:9 does not answer: nothing listens there." in done.stderr
    assert "secret" not in done.output


def test_a_password_is_never_an_argument_and_never_asked_for_in_a_pipe(terminal: Terminal) -> None:
    assert terminal.run("sign-in", "you@example.com", "--password", "secret").exit_code == 2
    assert "--password-stdin" in refused(terminal, 2, "sign-in", "you@example.com")
    assert "--offline" in refused(terminal, 2, "sign-in", "you@example.com", "--offline")


@pytest.mark.parametrize(
    "words", [("log",), ("today", "--bogus"), ("conflicts", "resolve"), ("history", "--limit", "x")]
)
def test_a_wrong_command_line_is_2_and_told_as_json_where_that_is_asked_for(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    assert terminal.json(*words, code=2)["code"] == "usage"
    assert terminal.run(*words).exit_code == 2


def test_a_wrong_address_of_a_server_is_2(terminal: Terminal) -> None:
    terminal.server = "fitai.example"
    done = terminal.run("sign-in", "you@example.com", "--password-stdin", stdin="secret words\n")
    assert done.exit_code == 2 and "https://" in done.stderr


def test_a_damaged_database_is_4_and_left_as_it_is(terminal: Terminal) -> None:
    terminal.file.parent.mkdir(parents=True)
    terminal.file.write_bytes(b"no database " * 1000)
    refused(terminal, 4, "today")
    assert terminal.json("today", code=4)["ok"] is False
    assert terminal.file.read_bytes() == b"no database " * 1000


def test_a_name_of_a_profile_stays_in_its_folder(terminal: Terminal) -> None:
    terminal.profile = "../elsewhere"
    refused(terminal, 2, "today")


@pytest.mark.parametrize(
    "words",
    [
        *[(name,) for name in ("today", "history", "records", "status", "watch", "conflicts", "inbox", "undo", "sync")],
        ("export", "mine.json"),
        ("conflicts", "resolve", "7f3a", "--keep", "1"),
    ],
)
def test_a_device_that_is_not_there_is_made_by_nothing_that_only_reads(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    assert "no device phone yet" in refused(terminal, 1, *words)
    terminal.flags = ("--device", str(terminal.folder / "nope" / "mine.db"))
    assert terminal.json(*words, code=1)["code"] == "no_device"
    assert not [*terminal.folder.iterdir()]


@pytest.mark.parametrize("words", ["today", "history", "status"])
def test_before_anything_is_logged_the_default_device_shows_as_empty_and_is_not_made(
    terminal: Terminal, words: str
) -> None:
    terminal.profile = "default"
    terminal.does(words)
    assert not [*terminal.folder.iterdir()]


def test_the_flags_of_a_command_may_stand_before_it(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    flags = ("--profile", terminal.profile, "--json", "--server=http://127.0.0.1:9", "--offline")
    done = CliRunner().invoke(fitai, [*flags, "today"], env=environ(terminal.folder))
    assert done.exit_code == 0 and json.loads(done.stdout)["workouts"]
    alone = CliRunner().invoke(fitai, ["--profile", "phone"], env=environ(terminal.folder))
    assert alone.exit_code == 2 and "goes with a command" in alone.output


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_stopping_the_countdown_leaves_the_rest_and_says_so(terminal: Terminal) -> None:
    terminal.does("start")
    code, screen = terminal.seen("rest", "59min", "--wait", typed=[("\n  5", "\x03")])
    assert code == 130 and "fitai rest --stop" in screen
    assert terminal.json("rest")["left_s"] > 0


def test_a_file_that_cannot_be_written_or_read_is_named(terminal: Terminal, tmp_path: Path) -> None:
    terminal.does("start")
    assert "not there" in refused(terminal, 1, "export", str(tmp_path / "not there" / "mine.json"))
    assert terminal.run("import", str(tmp_path / "missing.csv")).exit_code == 2
    letter = tmp_path / "letter.csv"
    letter.write_text("Dear diary,\ntoday I did nothing.\n", encoding="utf-8")
    refused(terminal, 1, "import", str(letter), "--yes")


def test_an_export_replaces_nothing_unasked(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("precious", encoding="utf-8")
    terminal.does("start")
    refused(terminal, 1, "export", str(file))
    assert file.read_text(encoding="utf-8") == "precious"
    terminal.does("export", str(file), "--force")


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_without_a_traceback_and_with_a_closed_database(
    terminal: Terminal, number: signal.Signals, code: int
) -> None:
    terminal.does("log", "bench press", "100kgx5")
    with terminal.process("watch", "--for", "60", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None and watching.stderr is not None
        watching.stdout.readline()
        watching.send_signal(number)
        assert "Traceback" not in watching.stderr.read()
    assert watching.returncode == code
    assert len(terminal.sets()) == 1


def test_a_reader_that_has_had_enough_ends_it_quietly(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5x60")
    with terminal.process("history", "--sets", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        assert done.stdout is not None and done.stderr is not None
        done.stdout.close()
        assert done.stderr.read() == ""


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("command_line.device.log", ("aiohttp", "sqlalchemy", "api.app", "sync")),
        ("command_line.serve", ("fitai_client", "api.command_line.device.terminal")),
        # Started for each file that somebody hands in.
        ("training.imports.worker", ("aiohttp", "asyncio", "sqlalchemy", "fitai_client.client", "sync")),
    ],
)
def test_a_device_loads_no_server_and_a_server_no_device(module: str, foreign: tuple[str, ...]) -> None:
    told = "import sys, api.{}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", told.format(module)], capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) & set(foreign) == set()
