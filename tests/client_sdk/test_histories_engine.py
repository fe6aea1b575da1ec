"""Random histories of three devices against the product's own engine: the same driver, another server.

A few of each kind by default; FITAI_ENGINE_HISTORIES says how many, for a night.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings

from fitai_client.core.writing import Write
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
from tests.client_sdk.test_rules_lost_records import until_it_asks
from tests.client_sdk.world import World

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


def test_months_away_with_thousands_of_changes_lose_nothing_and_revive_only_what_was_edited(
    tmp_path: Path, sqlite_template: Path
) -> None:
    world = World(tmp_path, engine=sqlite_template, page=1_000)
    phone, other = world.phone(), world.phone()
    kept, deleted, edited = (phone.put("workouts", title=f"t{n}") for n in range(3))
    for phone_ in (phone, other):
        phone_.sync()
    for workout in (deleted, edited):
        other.delete("workouts", workout)
    other.sync()
    world.server.forget_tombstones()

    groups = []
    for n in range(400):
        exercise = phone.new_id()
        below = {"workout_exercise": exercise}
        groups.append(
            [
                Write("workout_exercises", exercise, {"workout": kept, "superset": f"s{n}"}),
                *(Write("sets", phone.new_id(), {**below, "reps": 10 * n + m, "tempo": f"p{n}.{m}"}) for m in range(3)),
            ]
        )
    phone.write(*groups)
    phone.put("workouts", edited, title="edited while away")
    world.settle()

    world.assert_settled()
    world.assert_nothing_lost()
    assert {id for name, id in world.server.visible() if name == "workouts"} == {kept, edited}
    assert phone.asked.count("push") >= 2 and "snapshot" in phone.asked
    world.close()


@pytest.mark.parametrize("what", FOUND)
def test_histories_that_once_failed(tmp_path: Path, sqlite_template: Path, what: str) -> None:
    play(tmp_path, sqlite_template, FOUND[what])


def test_an_edit_of_a_phone_that_is_gone_comes_back_from_who_showed_it(tmp_path: Path, sqlite_template: Path) -> None:
    world = World(folder_for(tmp_path), engine=sqlite_template)
    phone, other = world.phone(), world.phone()
    workout = phone.put("workouts", title="old", notes="one")
    world.settle()
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost", tags=["gym"], notes="one two")
    world.settle()
    world.devices.remove(phone)
    phone.db.close()
    world.server.restore(backup)

    world.settle()

    world.assert_settled()
    world.assert_nothing_lost()
    record = other.get("workouts", workout)
    assert record is not None and record.conflicts == {}
    assert (record["title"], record["tags"], record["notes"]["text"]) == ("lost", ["gym"], "one two")
    # The engine said how far it still had what the phones were served.
    assert other.db.conn.execute("SELECT COUNT(*) FROM log WHERE mark = 'anew'").fetchone()[0] == 1
    world.close()


def test_a_set_whose_delete_came_back_before_it_is_whole_again_by_an_edit_that_had_not_seen_the_delete(
    tmp_path: Path, sqlite_template: Path
) -> None:
    world = World(tmp_path, engine=sqlite_template)
    maker, deleter = world.phone(), world.phone()
    world.settle()
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    exercise = maker.put("workout_exercises", workout=workout)
    one = maker.put("sets", workout_exercise=exercise, reps=13)
    world.settle()
    deleter.delete("sets", one)
    deleter.sync()
    world.server.restore(backup)
    # A tombstone is there now, of a set that this server never had; whoever made the set has not heard of it.
    deleter.sync()
    maker.put("sets", one, tempo="since")

    world.settle()

    world.assert_settled()
    record = deleter.get("sets", one)
    assert record is not None and (record["reps"], record["tempo"]) == (13, "since")
    world.close()


@pytest.mark.parametrize("deleted", [0, 1, 2], ids=["a workout", "an exercise of it", "a set of it"])
def test_an_edit_brings_back_whole_what_a_restored_server_has_the_delete_of_alone(
    tmp_path: Path, sqlite_template: Path, deleted: int
) -> None:
    world = World(tmp_path, engine=sqlite_template)
    editor, deleter, maker = world.phone(), world.phone(), world.phone()
    world.settle()
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    exercise = maker.put("workout_exercises", workout=workout, superset="a")
    one = maker.put("sets", workout_exercise=exercise, reps=13)
    world.settle()
    world.devices.remove(maker)
    maker.db.close()
    deleter.delete(*[("workouts", workout), ("workout_exercises", exercise), ("sets", one)][deleted])
    deleter.sync()
    world.server.restore(backup)
    deleter.sync()
    editor.put("sets", one, tempo="since")

    world.settle()

    world.assert_settled()
    shown = {key[0]: record.values for key, record in deleter.shown().items()}
    assert shown["workouts"]["title"] == "made" and shown["workout_exercises"]["superset"] == "a"
    assert (shown["sets"]["reps"], shown["sets"]["tempo"]) == (13, "since")
    world.close()


@pytest.mark.parametrize("deleted", [0, 1, 2], ids=["its workout", "its exercise", "the set"])
@pytest.mark.parametrize("while_asked", [False, True], ids=["before the resync", "within it"])
def test_what_this_device_deleted_after_its_edit_stays_deleted_where_a_restored_server_has_a_delete_alone(
    tmp_path: Path, sqlite_template: Path, deleted: int, while_asked: bool
) -> None:
    world = World(tmp_path, engine=sqlite_template)
    editor, deleter, maker = world.phone(), world.phone(), world.phone()
    workout = maker.put("workouts", title="made")
    exercise = maker.put("workout_exercises", workout=workout, superset="a")
    world.settle()
    backup = world.server.backup()
    one = maker.put("sets", workout_exercise=exercise, reps=13)
    world.settle()
    world.devices.remove(maker)
    maker.db.close()
    deleter.delete("sets", one)
    deleter.sync()
    world.server.restore(backup)
    deleter.sync()
    editor.put("sets", one, tempo="since")
    if while_asked:
        until_it_asks(editor)
    key = [("workouts", workout), ("workout_exercises", exercise), ("sets", one)][deleted]
    editor.delete(*key)

    world.settle()

    world.assert_settled()
    assert deleter.get("sets", one) is None and deleter.get(*key) is None
    world.close()


def test_what_was_lost_is_recovered_though_what_it_was_in_was_deleted_since(
    tmp_path: Path, sqlite_template: Path
) -> None:
    world = World(tmp_path, engine=sqlite_template)
    deleter, lost, other = world.phone(), world.phone(), world.phone()
    template = deleter.put("templates", title="made")
    exercise = deleter.put("template_exercises", template=template)
    world.settle()
    backup = world.server.backup()
    one = lost.put("template_sets", template_exercise=exercise)
    lost.sync()
    other.sync()
    world.devices.remove(lost)
    lost.db.close()
    world.server.restore(backup)
    deleter.delete("template_exercises", exercise)
    deleter.sync()

    world.settle()

    rows = other.db.conn.execute("SELECT id, kind FROM aside ORDER BY kind").fetchall()
    assert rows == [(exercise, "dropped"), (one, "recovered")]
    world.close()
