"""Rules 14 and 21 of docs/sdk-authors.md: records younger than the backup, which own changes touch, and which a device
that is gone had edited last."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from fitai_client.core import adopting, undo
from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.writing import Write
from tests.client_sdk.test_rules_adopting import adoptions, conflicts, finish, gone
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World


@dataclass
class Scene:
    """`maker` made a workout after the backup, another phone edited it and is at the bottom of a lake, and `other` has
    shown that too; `stranger` never heard of it. Then the server went back to the backup."""

    world: World
    maker: Phone
    other: Phone
    stranger: Phone
    workout: str


def scene(world: World, *, edited: bool = True) -> Scene:
    lost, maker, _, _, _ = pair(world)
    other, stranger = world.phone(), world.phone()
    for phone in (other, stranger):
        phone.sync()
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    maker.sync()
    lost.sync()
    if edited:
        lost.put("workouts", workout, title="lost", tags=["lost"])
    lost.sync()
    maker.sync()
    other.sync()
    gone(world, lost)
    world.server.restore(backup)
    return Scene(world, maker, other, stranger, workout)


def until_it_asks(phone: Phone) -> None:
    """Up to where the snapshot is complete, and the server is about to be asked for what it lacked."""
    phone.heal()
    while True:
        with phone.db.write() as tx:
            if space(tx, PERSONAL).resync == "ids":
                return
        assert phone.step() is not None


def in_inbox(phone: Phone) -> list[object]:
    assert all(entry.code == adopting.LOST_CODE for entry in phone.inbox())
    return [entry.fields for entry in phone.inbox()]


def test_rule_14_a_record_that_is_back_before_it_was_asked_for_shows_as_before_until_it_is_pulled(
    world: World,
) -> None:
    one = scene(world)
    one.other.put("workouts", one.workout, status="active")
    until_it_asks(one.other)
    one.maker.sync()
    while (request := one.other.device.next_request()) is None or request.kind != "pull":
        one.other.step()
        assert value(one.other, "workouts", one.workout, "title") == "lost"
        assert value(one.other, "workouts", one.workout, "status") == "active"
    finish(one.world)


def test_rule_21_what_was_lost_of_a_record_that_another_device_gives_back_is_not_replaced_without_a_word(
    world: World,
) -> None:
    one = scene(world)
    # Its own change keeps the record on the screen, though the snapshot lacks it; and then it is there again.
    one.other.put("workouts", one.workout, status="active")
    until_it_asks(one.other)
    one.maker.put("workouts", one.workout, title="since")
    one.maker.sync()

    finish(one.world)

    record = one.other.get("workouts", one.workout)
    assert record is not None
    assert (record["title"], record["tags"], record["status"]) == ("since", ["lost"], "active")
    assert in_inbox(one.other) == [{"title": "lost"}]


def test_rule_21_it_is_compared_as_well_where_a_tombstone_waits_for_own_changes(world: World) -> None:
    one = scene(world)
    one.other.put("workouts", one.workout, status="active")
    until_it_asks(one.other)
    one.stranger.put("workouts", one.workout, title="since")
    one.stranger.delete("workouts", one.workout)
    one.stranger.sync()
    one.other.step()
    assert value(one.other, "workouts", one.workout, "title") == "lost"

    finish(one.world)

    assert value(one.other, "workouts", one.workout, "status") == "active"
    assert {"title": "lost"} in in_inbox(one.other)


def test_rule_14_an_own_change_that_a_gone_device_replaced_is_not_written_over_it(world: World) -> None:
    one = scene(world)

    finish(one.world)

    record = one.other.get("workouts", one.workout)
    assert record is not None and (record["title"], record["tags"]) == ("lost", ["lost"])
    assert conflicts(one.other, one.workout) == [] and in_inbox(one.maker) == [] == in_inbox(one.other)
    assert len(adoptions(one.maker)) == 1


def test_rule_14_an_own_delete_that_a_gone_device_overruled_is_not_written_again(world: World) -> None:
    lost, maker, _, _, _ = pair(world)
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    world.settle()
    maker.delete("workouts", workout)
    lost.put("workouts", workout, title="lost")
    maker.sync()
    world.settle()
    assert value(maker, "workouts", workout, "title") == "lost"
    gone(world, lost)
    world.server.restore(backup)

    finish(world)

    assert value(maker, "workouts", workout, "title") == "lost"


def test_rule_21_what_had_lost_a_conflict_of_gone_devices_waits_in_the_inbox(world: World) -> None:
    one, two, _, _, _ = pair(world)
    maker = world.phone()
    maker.sync()
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    world.settle()
    for phone, title in ((one, "first"), (two, "second")):
        phone.put("workouts", workout, title=title)
    world.settle()
    shown = [value(maker, "workouts", workout, "title"), *conflicts(maker, workout)]
    assert sorted(map(str, shown)) == ["first", "second"]
    for phone in (one, two):
        gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(maker, "workouts", workout, "title") == shown[0]
    assert in_inbox(maker) == [{"title": shown[1]}]


def test_rule_21_an_own_value_that_had_not_seen_it_stays_and_the_lost_one_waits_in_the_inbox(world: World) -> None:
    lost, maker, _, _, _ = pair(world)
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    world.settle()
    maker.put("workouts", workout, title="own")
    lost.put("workouts", workout, title="lost")
    lost.sync()
    # Pulled under the own change, which is not sent yet.
    maker.take_delta()
    gone(world, lost)
    world.server.restore(backup)

    finish(world)

    assert value(maker, "workouts", workout, "title") == "own"
    assert in_inbox(maker) == [{"title": "lost"}]


def test_rule_21_what_a_user_wrote_over_it_while_the_server_was_asked_is_no_loss(world: World) -> None:
    one = scene(world)
    one.other.put("workouts", one.workout, status="active")
    until_it_asks(one.other)
    one.other.put("workouts", one.workout, title="own", tags={"remove": ["lost"]})

    finish(one.world)

    assert in_inbox(one.other) == []
    shown = [value(one.other, "workouts", one.workout, "title"), *conflicts(one.other, one.workout)]
    assert "own" in shown


def test_rule_14_a_record_of_which_nothing_was_lost_leaves_no_word(world: World) -> None:
    one = scene(world, edited=False)
    one.other.put("workouts", one.workout, status="active")
    until_it_asks(one.other)
    one.maker.sync()

    finish(one.world)

    assert in_inbox(one.other) == [] == in_inbox(one.maker)
    assert value(one.other, "workouts", one.workout, "title") == "made"
    rows = one.other.db.conn.execute("SELECT COUNT(*) FROM aside").fetchone()
    assert rows == (0,)


def test_rule_6_a_tombstone_waits_on_for_what_is_written_anew_below_it(world: World) -> None:
    editor, deleter, maker = world.phone(), world.phone(), world.phone()
    world.settle()
    backup = world.server.backup()
    workout = maker.put("workouts", title="made")
    exercise = maker.put("workout_exercises", workout=workout)
    world.settle()
    gone(world, maker)
    deleter.delete("workouts", workout)
    deleter.sync()
    world.server.restore(backup)
    deleter.sync()
    # The server has a delete of the workout alone, and nothing of what is below it.
    editor.put("workout_exercises", exercise, superset="since")

    editor.heal()
    while editor.asked[-1:] != ["ids"]:
        assert editor.step() is not None
    assert value(editor, "workouts", workout, "title") == "made"
    finish(world)

    assert value(deleter, "workouts", workout, "title") == "made"
    assert value(deleter, "workout_exercises", exercise, "superset") == "since"


def test_rule_14_nor_is_one_of_an_id_that_the_server_lost_too_written_over_what_had_replaced_it(world: World) -> None:
    other = world.phone()
    world.settle()
    backup = world.server.backup()
    # It signs in after the backup was made.
    maker = world.phone()
    world.settle()
    workout = maker.put("workouts", title="made")
    world.settle()
    other.put("workouts", workout, title="new")
    world.settle()
    world.server.restore(backup)

    maker.sync()
    finish(world)

    for phone in (maker, other):
        assert value(phone, "workouts", workout, "title") == "new"
        assert conflicts(phone, workout) == [] and in_inbox(phone) == []


def test_rule_14_an_own_value_that_others_replaced_is_not_written_again_though_the_server_is_restored_twice(
    world: World,
) -> None:
    other, deleter = world.phone(), world.phone()
    world.settle()
    backup = world.server.backup()
    # The server never heard of it, so that it takes a new id after each restore.
    maker = world.phone()
    world.settle()
    deleted, kept = maker.put("workouts", title="one"), maker.put("workouts", title="made")
    world.settle()
    other.put("workouts", kept, title="new")
    world.settle()
    gone(world, other)
    deleter.delete("workouts", deleted)
    deleter.sync()
    world.server.restore(backup)
    deleter.sync()
    maker.device.ids_at_once = 1
    maker.put("workouts", deleted, status="active")
    maker.heal()
    while maker.asked[-1:] != ["ids"]:
        assert maker.step() is not None
    world.server.restore(backup)

    finish(world)

    assert value(maker, "workouts", kept, "title") == "new"


def test_rule_14_what_was_lost_is_recovered_though_somebody_who_never_heard_of_it_deletes_what_it_was_in(
    world: World,
) -> None:
    lost, other, _, exercise, _ = pair(world)
    deleter = world.phone()
    deleter.sync()
    backup = world.server.backup()
    one = lost.put("sets", workout_exercise=exercise, reps=77)
    lost.sync()
    other.sync()
    gone(world, lost)
    world.server.restore(backup)
    deleter.sync()
    # The snapshot still has what the set was in, and the pull behind it has the tombstone.
    other.heal()
    while other.asked[-1:] != ["snapshot"]:
        assert other.step() is not None
    deleter.delete("workout_exercises", exercise)
    deleter.sync()

    world.settle()

    kept = other.db.conn.execute("SELECT id FROM aside WHERE kind = 'recovered'").fetchall()
    assert kept == [(one,)] and other.get("sets", one) is None


@dataclass
class Below:
    """`one`, a set that the server lost, is among the recovered of `phone`; the workout that it was in was deleted
    since by somebody who never heard of it."""

    world: World
    phone: Phone
    other: Phone
    workout: str
    exercise: str
    one: str


def below_what_is_gone(world: World) -> Below:
    """And the server has let the tombstone go."""
    return below_what_is_deleted(world, collected=True)


def below_what_is_deleted(world: World, *, collected: bool = False) -> Below:
    phone, lost, workout, exercise, _ = pair(world)
    deleter = world.phone()
    deleter.sync()
    backup = world.server.backup()
    one = lost.put("sets", workout_exercise=exercise, reps=77)
    lost.sync()
    phone.sync()
    gone(world, lost)
    world.server.restore(backup)
    deleter.sync()
    deleter.delete("workouts", workout)
    deleter.sync()
    if collected:
        world.server.forget_tombstones()
    world.settle()
    assert recovered(phone) == [one]
    return Below(world, phone, deleter, workout, exercise, one)


def title_aside(scene: Below) -> object:
    row = scene.phone.db.conn.execute("SELECT body FROM aside WHERE id = ?", (scene.workout,)).fetchone()
    return json.loads(row[0])["values"]["title"]


def recovered(phone: Phone) -> list[str]:
    return [row[0] for row in phone.db.conn.execute("SELECT id FROM aside WHERE kind = 'recovered' ORDER BY id")]


def rewrite(phone: Phone) -> int:
    with phone.db.write() as tx:
        return undo.rewrite_recovered(tx, PERSONAL)


@pytest.mark.parametrize("days", [0, 31], ids=["at once", "a month later"])
def test_rule_14_what_is_written_again_comes_with_what_it_is_in_where_no_server_has_that_any_more(
    world: World, days: int
) -> None:
    scene = below_what_is_gone(world)
    world.tick(days * 24 * 3600 * 1000)
    scene.phone.restart()
    title = title_aside(scene)

    assert rewrite(scene.phone) == 1
    finish(world)

    assert value(scene.other, "sets", scene.one, "reps") == 77
    assert value(scene.other, "workouts", scene.workout, "title") == title
    assert recovered(scene.phone) == []
    # What else was in it stays deleted.
    assert [record.id for record in scene.other.list("sets")] == [scene.one]


def test_rule_14_where_the_server_still_has_what_it_is_in_that_comes_back_without_a_conflict(world: World) -> None:
    scene = below_what_is_deleted(world)

    assert rewrite(scene.phone) == 1
    finish(world)

    assert value(scene.other, "sets", scene.one, "reps") == 77
    assert conflicts(scene.other, scene.workout) == []


def test_rule_14_where_nothing_is_known_of_what_it_is_in_it_stays_among_the_recovered(world: World) -> None:
    scene = below_what_is_gone(world)
    with scene.phone.db.write() as tx:
        tx.execute("DELETE FROM aside WHERE kind = 'dropped'")

    assert rewrite(scene.phone) == 0
    world.settle()

    assert recovered(scene.phone) == [scene.one] and world.server.orphans() == {}


def test_rule_14_what_one_server_did_not_hold_is_not_written_anew_where_the_next_one_holds_it(world: World) -> None:
    deleter = world.phone()
    world.settle()
    older = world.server.backup()
    # The older backup does not know it, so that it takes an id that the newer one does not know.
    maker = world.phone()
    world.settle()
    kept, deleted, last = (maker.put("workouts", title=f"made {n}") for n in range(3))
    world.settle()
    newer = world.server.backup()
    deleter.delete("workouts", deleted)
    deleter.sync()
    world.server.restore(older)
    deleter.sync()
    maker.device.ids_at_once = 1
    for workout in (kept, deleted, last):
        maker.put("workouts", workout, status="active")
    maker.heal()
    while maker.asked.count("ids") < 2:
        assert maker.step() is not None
    world.server.restore(newer)

    finish(world)

    assert not any("made 0" in fields for fields in adoptions(maker))
    with maker.db.write() as tx:
        assert tx.meta(f"gone:{PERSONAL}") is None


@pytest.mark.parametrize("collection", ["moods", "personal_records"], ids=["of a newer schema", "the server's own"])
def test_rule_14_what_cannot_be_written_stays_among_the_recovered_and_holds_back_nothing_else(
    world: World, collection: str
) -> None:
    scene = below_what_is_gone(world)
    strange = scene.phone.new_id()
    keep_aside(scene.phone, PERSONAL, collection, strange)

    assert rewrite(scene.phone) == 1
    finish(world)

    assert value(scene.other, "sets", scene.one, "reps") == 77
    assert recovered(scene.phone) == [strange]


def test_rule_14_what_is_recovered_of_a_space_that_is_gone_stays_and_holds_back_nothing_else(world: World) -> None:
    scene = below_what_is_gone(world)
    with scene.phone.db.write() as tx:
        tx.execute("INSERT INTO spaces (no, id, kind, phase) VALUES (7, 'team', 'shared', 'gone')")
    strange = scene.phone.new_id()
    keep_aside(scene.phone, 7, "workouts", strange)

    with scene.phone.db.write() as tx:
        assert sum(undo.rewrite_recovered(tx, no) for no in (7, PERSONAL)) == 1

    assert recovered(scene.phone) == [strange]


def keep_aside(phone: Phone, no: int, collection: str, id: str) -> None:
    with phone.db.write() as tx:
        tx.execute("INSERT INTO aside VALUES (?, ?, ?, 'recovered', ?, '{\"values\":{}}', 0)", (no, collection, id, id))


def test_rule_14_what_the_server_alone_writes_is_not_kept_to_be_written_again(world: World) -> None:
    lost, phone, _, exercise, _ = pair(world)
    backup = world.server.backup()
    one = lost.put("sets", workout_exercise=exercise, reps=77)
    lost.sync()
    phone.sync()
    shown = phone.db.conn.execute("SELECT body FROM records WHERE id = ?", (one,)).fetchone()[0]
    best = phone.new_id()
    with phone.db.write() as tx:
        tx.execute(
            "INSERT INTO records (space, collection, id, status, snap, alive, body)"
            " SELECT space, 'personal_records', ?, status, snap, alive, ? FROM records WHERE id = ?",
            (best, shown, one),
        )
    gone(world, lost)
    world.server.restore(backup)

    world.settle()

    assert recovered(phone) == [one] and phone.get("personal_records", best) is None


@pytest.mark.parametrize("collection", ["sets", "workouts"], ids=["itself", "what it is in"])
def test_rule_14_what_is_deleted_here_is_not_kept_to_be_written_again(world: World, collection: str) -> None:
    lost, phone, workout, exercise, _ = pair(world)
    backup = world.server.backup()
    one = lost.put("sets", workout_exercise=exercise, reps=77)
    lost.sync()
    phone.sync()
    phone.delete(collection, {"sets": one, "workouts": workout}[collection])
    gone(world, lost)
    world.server.restore(backup)

    world.settle()

    assert recovered(phone) == []
    kept = phone.db.conn.execute("SELECT kind FROM aside WHERE id = ?", (one,)).fetchall()
    assert kept == [("dropped",)]


def test_rule_14_an_edit_that_the_delete_here_had_not_seen_is_kept_all_the_same(world: World) -> None:
    lost, phone, _, exercise, _ = pair(world)
    backup = world.server.backup()
    one = lost.put("sets", workout_exercise=exercise, reps=77)
    lost.sync()
    phone.sync()
    phone.delete("sets", one)
    lost.put("sets", one, reps=78)
    lost.sync()
    phone.take_delta()
    gone(world, lost)
    world.server.restore(backup)

    world.settle()

    assert recovered(phone) == [one]


def test_rule_14_of_a_recovered_record_that_was_made_again_here_nothing_is_lost_by_writing_it_again(
    world: World,
) -> None:
    lost, phone, _, _, _ = pair(world)
    backup = world.server.backup()
    workout = lost.put("workouts", title="made", tags=["legs"])
    world.settle()
    gone(world, lost)
    world.server.restore(backup)
    phone.sync()
    assert recovered(phone) == [workout]
    # An import that is made again gives its records the same ids.
    phone.put("workouts", workout, title="imported")

    assert rewrite(phone) == 1
    finish(world)

    assert value(phone, "workouts", workout, "title") == "imported"
    assert value(phone, "workouts", workout, "tags") == ["legs"] and in_inbox(phone) == [{"title": "made"}]


def test_rule_14_what_had_lost_a_conflict_in_a_record_that_is_written_anew_waits_in_the_inbox(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    other.put("workouts", workout, title="one")
    third.put("workouts", workout, title="two")
    world.settle()
    won = value(phone, "workouts", workout, "title")
    phone.put("workouts", workout, status="active")
    other.delete("workouts", workout)
    other.sync()
    world.server.forget_tombstones()

    world.settle()

    assert value(phone, "workouts", workout, "title") == won and conflicts(phone, workout) == []
    assert in_inbox(phone) == [{"title": ({"one", "two"} - {won}).pop()}]


def test_rule_14_a_delete_that_had_not_seen_what_shows_keeps_nothing_of_it_from_being_recovered(world: World) -> None:
    lost, phone, _, _, _ = pair(world)
    backup = world.server.backup()
    workout = lost.put("workouts", title="lost")
    world.settle()
    gone(world, lost)
    # As it comes from a file that was rescued.
    phone.write([Write("workouts", workout, op="delete", context={})])
    world.server.restore(backup)

    world.settle()

    assert recovered(phone) == [workout]
