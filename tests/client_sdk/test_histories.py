"""Random histories of three devices: whatever happens, all come to show the same, and no value is lost.

The model server judges by the executable model; the world remembers what each user saw when they wrote. Each
history is one list of steps, so a failure shrinks to the few that matter.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from tests.client_sdk.histories import (
    COPIES,
    CRASH,
    FORGET,
    NETWORK,
    RESTORE,
    USE,
    WARM,
    Player,
    Step,
    folder_for,
    steps,
)


def play(folder: Path, history: list[Step]) -> None:
    player = Player(folder_for(folder))
    try:
        player.play(history)
        player.end()
    finally:
        player.world.close()


@given(history=steps(USE, NETWORK, CRASH))
def test_lost_late_and_repeated_answers_and_crashes_lose_nothing(tmp_path: Path, history: list[Step]) -> None:
    play(tmp_path, history)


@given(history=steps(USE, NETWORK, CRASH, RESTORE))
def test_a_restored_server_gets_everything_back(tmp_path: Path, history: list[Step]) -> None:
    play(tmp_path, WARM + history)


@given(history=steps(USE, NETWORK, CRASH, COPIES))
def test_clones_old_copies_and_revoked_ids_lose_nothing(tmp_path: Path, history: list[Step]) -> None:
    play(tmp_path, WARM + history)


@given(history=steps(USE, NETWORK, CRASH, FORGET, ("delete", "delete")))
def test_forgotten_tombstones_do_not_come_back_and_edits_do(tmp_path: Path, history: list[Step]) -> None:
    play(tmp_path, WARM + history)


# Histories that once lost a value, with what was wrong.
FOUND: dict[str, list[Step]] = {
    "a put below what was written anew changed places with a delete": [
        (2, "sync", 28), (2, "tempo", 2), (2, "exercise", 4), (2, "twice", 6), (2, "delete", 22), (1, "sync", 16),
        (1, "superset", 20), (1, "sync", 27), (2, "sync", 20), (2, "server_restore", 26), (1, "delete", 12),
        (2, "tempo", 10), (2, "sync", 3),
    ],
    "a second snapshot showed a record without an own change that the first one had": [
        (0, "ok", 7), (0, "delete", 16), (2, "delete_set", 18), (2, "server_backup", 14), (0, "ok", 11),
        (0, "twice", 7), (2, "delete", 29), (2, "delete", 1), (0, "ok", 24), (2, "sync", 29), (1, "server_restore", 16),
        (2, "tempo", 24), (2, "rest", 11), (2, "sync", 6), (0, "twice", 7), (0, "ok", 6), (0, "group", 27),
    ],
    "an answer for changes that were renumbered meanwhile was applied": [
        (0, "sync", 16), (0, "reps", 21), (0, "late", 7), (0, "server_restore", 21), (0, "sync", 15),
        (0, "deliver_late", 1),
    ],
    "a device that had never fetched anything and had to resync pushed for ever": [
        (2, "delete_set", 5), (2, "sync", 20), (2, "delete", 3), (0, "ok", 15), (0, "tempo", 14), (2, "ok", 13),
        (0, "forget", 25),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_histories_that_once_failed(tmp_path: Path, what: str) -> None:
    play(tmp_path, FOUND[what])
