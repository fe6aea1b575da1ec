"""Random histories of three devices against the product's own engine: the same driver, another server.

A few of each kind by default; FITAI_ENGINE_HISTORIES says how many, for a night.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings

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
from tests.client_sdk.test_histories import FOUND

few = settings(max_examples=int(os.environ.get("FITAI_ENGINE_HISTORIES", "5")))


def play(folder: Path, template: Path, history: list[Step]) -> None:
    player = Player(folder_for(folder), engine=template)
    try:
        player.play(history)
        player.end()
    finally:
        player.world.close()


@few
@given(history=steps(USE, NETWORK, CRASH))
def test_lost_late_and_repeated_answers_and_crashes_lose_nothing(
    tmp_path: Path, sqlite_template: Path, history: list[Step]
) -> None:
    play(tmp_path, sqlite_template, history)


@few
@given(history=steps(USE, NETWORK, CRASH, RESTORE))
def test_a_restored_server_gets_everything_back(tmp_path: Path, sqlite_template: Path, history: list[Step]) -> None:
    play(tmp_path, sqlite_template, WARM + history)


@few
@given(history=steps(USE, NETWORK, CRASH, COPIES))
def test_clones_old_copies_and_revoked_ids_lose_nothing(
    tmp_path: Path, sqlite_template: Path, history: list[Step]
) -> None:
    play(tmp_path, sqlite_template, WARM + history)


@few
@given(history=steps(USE, NETWORK, CRASH, FORGET, ("delete", "delete")))
def test_forgotten_tombstones_do_not_come_back_and_edits_do(
    tmp_path: Path, sqlite_template: Path, history: list[Step]
) -> None:
    play(tmp_path, sqlite_template, WARM + history)


@pytest.mark.parametrize("what", FOUND)
def test_histories_that_once_failed(tmp_path: Path, sqlite_template: Path, what: str) -> None:
    play(tmp_path, sqlite_template, FOUND[what])
