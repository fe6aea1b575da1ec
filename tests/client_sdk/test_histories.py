"""Random histories of three devices: whatever happens, all come to show the same, and no value is lost.

The model server judges by the executable model; the world remembers what each user saw when they wrote. Each
history is one list of steps, so a failure shrinks to the few that matter.
"""

from __future__ import annotations

from pathlib import Path

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
