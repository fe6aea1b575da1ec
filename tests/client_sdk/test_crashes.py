"""Crash at any statement: opened again, a device goes on without loss or doubling."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import Write, write_groups
from tests.client_sdk.model_server import State
from tests.client_sdk.old_files import as_version_1
from tests.client_sdk.test_rules_showing import pair
from tests.client_sdk.world import World

# Every statement is a minute of work; here a part of them, and all of them by FITAI_CRASH_EVERY=1.
EVERY = os.environ.get("FITAI_CRASH_EVERY", "8")
ROOT = Path(__file__).parents[2]


def killed(story: str, folder: Path, every: str, old: Path | None = None) -> int:
    """Play a story, killed at every so manieth writing statement; how many statements that write it has."""
    command = [sys.executable, "-m", "tests.client_sdk.crash_child", story, str(folder), every, str(old or "")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_device_that_is_killed_at_any_statement_loses_and_doubles_nothing(tmp_path: Path) -> None:
    assert killed("life", tmp_path / "life", EVERY) > 400


def test_an_update_that_is_killed_at_any_statement_is_made_the_next_time(world: World, tmp_path: Path) -> None:
    phone = world.phone()
    phone.put("workouts", title="from before")
    old = tmp_path / "old.db"
    as_version_1(phone.path, old, seq=False)
    assert killed("update", tmp_path / "update", "3", old) > 15


def test_an_attachment_is_there_with_its_file_or_not_at_all_whatever_statement_it_is_killed_at(tmp_path: Path) -> None:
    assert killed("photos", tmp_path / "photos", "3") > 60


def test_a_copy_taken_between_any_two_statements_goes_on_without_loss_or_doubling(world: World, tmp_path: Path) -> None:
    phone, other, workout, exercise, one = pair(world)
    copies: list[tuple[Path, State]] = []

    def take(statement: str) -> None:
        if "durable" in statement or statement.startswith(("PRAGMA", "SELECT")):
            return
        path = tmp_path / f"copy{len(copies)}.db"
        for suffix in ("", "-wal"):
            source = phone.path.with_name(phone.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, f"{path}{suffix}")
        copies.append((path, world.server.backup()))

    other.put("sets", one, reps=70)
    other.sync()
    phone.db.conn.set_trace_callback(take)
    with phone.db.write() as tx:
        write_groups(
            tx,
            PERSONAL,
            [[Write("sets", one, {"reps": 50}), Write("workouts", workout, {"title": "crash"})]],
        )
        write_groups(tx, PERSONAL, [[Write("workout_exercises", exercise, op="delete")]])
    phone.device.wake(pull=True, spaces=True, seen=True)
    while (request := phone.device.next_request()) is not None:
        phone.device.answer(request, world.server.handle(request))
    phone.db.conn.set_trace_callback(None)
    assert len(copies) > 40

    counts = set()
    for path, state in copies[:: max(len(copies) // 25, 1)]:
        folder = path.with_suffix("")
        folder.mkdir()
        for suffix in ("", "-wal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copyfile(f"{path}{suffix}", folder / f"phone0.db{suffix}")
        again = World(folder)
        again.server.state = copy.deepcopy(state)
        again.now = world.now
        victim = again.phone()
        victim.assert_consistent()
        number = victim.db.conn.execute("SELECT COUNT(*) FROM log").fetchone()[0]
        counts.add(number)
        again.settle()
        again.assert_settled()
        dots = list(again.server.state.ledger)
        assert len(dots) == len(set(dots))
        titles = [e.sent for e in again.server.state.ledger.values() if e.sent.get("fields") == {"title": "crash"}]
        assert len(titles) == (1 if number > 3 else 0)
        again.close()
    # Before the commit there is nothing of the writes, after it there is all of them.
    assert counts == {3, 6}
