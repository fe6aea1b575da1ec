"""The demonstration ends in agreement on real input, on both databases, and says so where it does not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from api.command_line.demonstration.compare import differences
from tests.services.postgres import run_statement
from tests.shared import shared

LONG_LOG = shared() / "data" / "hevy-2025-kg-supersets-rpe-MIT.csv"


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api.command_line.main", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def empty_database(backend: str, request: pytest.FixtureRequest) -> list[str]:
    if backend == "sqlite":
        return []
    url: str = request.getfixturevalue("postgres_url")
    asyncio.run(run_statement(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    return ["--database-url", url]


@pytest.mark.parametrize("backend", ["sqlite", "postgres"])
def test_years_of_training_end_in_agreement(backend: str, request: pytest.FixtureRequest) -> None:
    done = demo(str(LONG_LOG), "--timezone", "Europe/Berlin", "--json", *empty_database(backend, request))
    result = json.loads(done.stdout)
    assert (done.returncode, result["problem"], result["agreed"]) == (0, None, True)
    # 335 workouts, their exercises, 7,211 sets and what the story adds.
    assert result["records"] > 9_578
    assert len(result["steps"]) == 9


def test_the_story_is_told_to_a_person_without_colour_codes_in_a_pipe() -> None:
    done = demo()
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    for promise in ("6 workouts and 72 sets", "kept as a conflict", "kill -9", "All three agree."):
        assert promise in done.stdout


def test_a_file_that_is_no_training_log_stops_it_in_one_sentence(tmp_path: Path) -> None:
    letter = tmp_path / "letter.csv"
    letter.write_text("Dear diary,\ntoday I did nothing.\n", encoding="utf-8")
    done = demo(str(letter))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("fitai: The demo stopped: ")


def test_a_database_that_cannot_be_used_or_is_not_empty_is_one_sentence(tmp_path: Path) -> None:
    nowhere = demo("--database-url", "postgresql+asyncpg://fitai@127.0.0.1:1/fitai")
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("fitai: The demo stopped: The server did not start: The database postgresql")
    assert nowhere.stderr.count("\n") == 1
    url = f"sqlite+aiosqlite:///{tmp_path}/demo.db"
    assert demo("--database-url", url).returncode == 0
    again = demo("--database-url", url)
    assert (again.returncode, again.stderr) == (
        1, "fitai: The demo stopped: its database is not empty; give it an empty one.\n"
    )  # fmt: skip


def test_the_settings_of_another_server_are_not_the_demos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITAI_HOST", "192.0.2.1")
    monkeypatch.setenv("FITAI_WORKERS", "4")
    assert demo().returncode == 0


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
