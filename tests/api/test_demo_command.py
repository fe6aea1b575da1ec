"""The demonstration ends in agreement on real input, on both databases, and says so where it does not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.command_line.commands import fitai
from api.command_line.demonstration.compare import differences
from tests.services import commands
from tests.services.postgres import run_statement
from tests.shared import shared

LONG_LOG = shared() / "data" / "hevy-2025-kg-supersets-rpe-MIT.csv"
DEADLINE_S = 600.0


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "100"}
    return commands.run(["demo", *arguments], cwd=Path.cwd(), env=env, timeout=DEADLINE_S)


@dataclass
class Told:
    """The story of the log that comes with it, over SQLite, and its database afterwards."""

    done: subprocess.CompletedProcess[str]
    database_url: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Where the settings of another server are in force, and the terminal writes nothing but ASCII."""
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('demo')}/demo.db"
    settings = {"FITAI_HOST": "192.0.2.1", "FITAI_WORKERS": "4", "PYTHONIOENCODING": "ascii"}
    # From its interpreter on, which is what asks for the encoding.
    command = [sys.executable, "-m", "api.command_line.main", "demo", "--database-url", url]
    env = {**os.environ, "COLUMNS": "100", **settings}
    return Told(subprocess.run(command, capture_output=True, text=True, check=False, env=env), url)


def test_a_file_that_is_no_training_log_is_refused_before_a_server_starts(tmp_path: Path) -> None:
    letter = tmp_path / "letter.csv"
    letter.write_text("Dear diary,\ntoday I did nothing.\n", encoding="utf-8")
    result = CliRunner().invoke(fitai, ["demo", str(letter)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"fitai: {letter} cannot be imported: The first line is no header of ")
    assert result.stderr.count("\n") == 1


def test_years_of_training_end_in_agreement(postgres_url: str) -> None:
    asyncio.run(run_statement(postgres_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    done = demo(str(LONG_LOG), "--timezone", "Europe/Berlin", "--json", "--database-url", postgres_url)
    result = json.loads(done.stdout)
    assert (done.returncode, result["problem"], result["agreed"]) == (0, None, True)
    # 335 workouts, their exercises, 7,211 sets and what the story adds.
    assert result["records"] > 9_578
    assert len(result["steps"]) == 9


def test_the_story_is_told_to_a_person_without_colour_codes_in_a_pipe(told: Told) -> None:
    assert told.done.returncode == 0, told.done.stderr
    assert "\x1b" not in told.done.stdout
    for promise in ("6 workouts and 72 sets", "kept as a conflict", "kill -9", "All three agree."):
        assert promise in told.done.stdout


def test_it_is_told_in_ascii_where_there_is_nothing_else(told: Told) -> None:
    assert (told.done.returncode, told.done.stderr) == (0, "")
    assert told.done.stdout.isascii()
    assert "40 kg x 5" in told.done.stdout and 'The phone deletes "Pull day"' in told.done.stdout


def test_the_settings_of_another_server_are_not_the_demos(told: Told) -> None:
    assert told.done.returncode == 0, told.done.stderr


def test_a_database_that_cannot_be_used_is_one_sentence() -> None:
    nowhere = demo("--database-url", "postgresql+asyncpg://fitai@127.0.0.1:1/fitai")
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("fitai: The demo stopped: The server did not start: The database postgresql")
    assert nowhere.stderr.count("\n") == 1


def test_a_database_that_is_not_empty_is_one_sentence(told: Told) -> None:
    again = demo("--database-url", told.database_url)
    assert (again.returncode, again.stderr) == (
        1, "fitai: The demo stopped: its database is not empty; give it an empty one.\n"
    )  # fmt: skip


def test_a_log_that_is_too_short_for_the_story_and_a_zone_that_is_none_are_one_sentence(tmp_path: Path) -> None:
    header = LONG_LOG.read_text(encoding="utf-8").splitlines()[0]
    short = tmp_path / "short.csv"
    short.write_text(header + "\n", encoding="utf-8")
    for done in (demo(str(short)), demo("--timezone", "Mars/Olympus")):
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr


def test_ended_by_the_system_it_leaves_no_server_behind(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-u", "-m", "api.command_line.main", "demo"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert running.stdout is not None
    with running:
        port = next(line.split("127.0.0.1:")[1].split(",")[0] for line in running.stdout if "It answers on" in line)
        running.terminate()
        running.stdout.read()
    assert running.returncode == 130
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), 1)
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_one_place_shows_otherwise_is_a_difference() -> None:
    key = ("sets", "a")
    same = {key: ({"reps": 5}, {})}
    assert differences({"phone": same, "server": same}) == []
    for other in ({}, {key: ({"reps": 6}, {})}, {key: ({"reps": 5}, {"reps": [4]})}):
        (found,) = differences({"phone": same, "server": other})
        assert found.key == key
