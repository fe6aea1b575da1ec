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
    SCHEMA,
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


@given(history=steps(USE, NETWORK, CRASH, SCHEMA))
def test_what_a_newer_schema_allows_is_sent_again_once(tmp_path: Path, history: list[Step]) -> None:
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
    "a delete named what had been pulled under an earlier delete, which nobody saw": [
        (1, "status", 29), (1, "set", 11), (0, "status", 19), (1, "sync", 25), (0, "exercise", 9), (0, "sync", 0),
        (1, "restart", 17), (0, "too_many_reps", 9), (1, "delete", 4), (0, "ok", 25), (1, "delta", 26),
        (1, "delete", 1),
    ],
    "under a new id a put went to a record whose tombstone had been forgotten": [
        (2, "status", 16), (0, "reps", 30), (1, "tempo", 5), (0, "sync", 9), (1, "delete_set", 17), (1, "sync", 12),
        (2, "sync", 8), (2, "delete", 13), (1, "delete", 15), (1, "twice", 9), (2, "tempo", 24), (2, "delta", 16),
        (2, "rest", 25), (2, "forget", 2), (2, "revoke", 6),
    ],
    "a set stayed whose exercise was deleted while a snapshot's pages came": [
        (0, "exercise", 0), (0, "set", 0), (0, "set", 0), (0, "workout", 0), (0, "sync", 0), (1, "sync", 0),
        (2, "sync", 0), (1, "set", 1), (1, "sync", 0), (0, "server_backup", 0), (0, "sync", 0), (2, "group", 13),
        (0, "delete", 2), (0, "sync", 14), (2, "sync", 3), (2, "reps", 13), (0, "server_restore", 30),
        (2, "twice", 18), (2, "ok", 5), (2, "ok", 19),
    ],
    "a twin's void bore the stamp of one's own change, which then counted as held": [
        (1, "notes", 18), (1, "sync", 10), (0, "sync", 30), (0, "delete", 21), (0, "sync", 0), (1, "forget", 12),
        (0, "clone", 3), (1, "tempo", 11), (0, "title", 26),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", FOUND)
def test_histories_that_once_failed(tmp_path: Path, what: str) -> None:
    play(tmp_path, FOUND[what])
