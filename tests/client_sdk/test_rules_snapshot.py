"""Rules 12 to 14 of device.md: a new device, and `resync`."""

from __future__ import annotations

import json
from typing import Any

from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.writing import Write, write_groups
from tests.client_sdk.test_rules_sending import body
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World


def log_contexts(phone: Phone) -> list[dict[str, int]]:
    return [json.loads(row[0]) for row in phone.db.conn.execute("SELECT context FROM log ORDER BY pos")]


def up_to_first_page(phone: Phone) -> None:
    while True:
        request = phone.step()
        assert request is not None
        if request.kind == "snapshot":
            return


def many(world: World) -> tuple[Phone, list[str]]:
    first = world.phone()
    ids = [first.put("workouts", title=f"w{n}") for n in range(10)]
    first.sync()
    return first, ids


def test_rule_12_each_page_shows_as_it_comes_newest_first(world: World) -> None:
    _, ids = many(world)
    phone = world.phone()
    up_to_first_page(phone)
    assert {record.id for record in phone.list("workouts")} == set(ids[-3:])
    phone.sync()
    assert {record.id for record in phone.list("workouts")} == set(ids)


def test_rule_12_a_snapshot_goes_on_after_a_crash(world: World) -> None:
    many(world)
    phone = world.phone()
    up_to_first_page(phone)
    phone.restart()
    kinds = []
    while (request := phone.step()) is not None:
        kinds.append((request.kind, "before" in request.query))
    assert kinds.count(("snapshot", True)) == 3 and ("snapshot", False) not in kinds


def test_rule_12_a_change_to_what_the_snapshot_brought_names_its_version(world: World) -> None:
    _, ids = many(world)
    phone = world.phone()
    up_to_first_page(phone)
    phone.put("workouts", ids[-1], title="seen")
    phone.put("workouts", ids[0], title="unseen")
    phone.put("workouts", title="new")
    contexts = log_contexts(phone)
    assert contexts[0] == world.server.state.acked
    # What the snapshot has not brought is known to nobody here: naming it would bury it.
    assert contexts[1] == {} and contexts[2] == {}
    world.settle()
    world.assert_settled()
    assert value(phone, "workouts", ids[-1], "title") == "seen"
    record = phone.get("workouts", ids[0])
    assert record is not None and {record["title"], *(c.value for c in record.conflicts["title"])} == {"unseen", "w0"}


def test_rule_12_own_changes_that_the_snapshots_record_has_are_laid_over_no_more(world: World) -> None:
    _, ids = many(world)
    phone = world.phone()
    workout = phone.put("workouts", title="mine")
    up_to_first_page(phone)
    record = phone.get("workouts", workout)
    assert record is not None and record.pending == ()
    assert len(ids) == 10


def test_rule_12_it_is_complete_with_the_first_pull(world: World) -> None:
    first, ids = many(world)
    phone = world.phone()
    up_to_first_page(phone)
    first.put("workouts", ids[0], title="moved meanwhile")
    first.delete("workouts", ids[1])
    first.sync()
    phone.sync()
    world.assert_settled()
    with phone.db.write() as tx:
        assert space(tx, PERSONAL).phase == "live"


def test_rule_12_what_lost_its_parent_while_the_pages_came_is_dropped(world: World) -> None:
    first = world.phone()
    workout = first.put("workouts", title="w")
    exercise = first.put("workout_exercises", workout=workout)
    for n in range(4):
        first.put("sets", workout_exercise=exercise, reps=n)
    first.sync()
    phone = world.phone()
    up_to_first_page(phone)
    first.delete("workout_exercises", exercise)
    first.sync()
    phone.sync()
    world.settle()
    world.assert_settled()
    assert phone.db.conn.execute("SELECT COUNT(*) FROM records WHERE collection = 'sets'").fetchone()[0] == 0


def lag(world: World, phone: Phone) -> None:
    """The server forgets its tombstones, which `phone` has not seen."""
    world.server.forget_tombstones()
    world.server.state.lagging.add(phone.device_id())


def test_rule_13_what_was_sent_is_repeated_for_its_verdicts_before_the_snapshot(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.step("unheard")
    phone.put("sets", one, reps=5)
    other.delete("workouts", other.put("workouts", title="x"))
    other.sync()
    lag(world, phone)
    phone.device.wake()
    kinds = []
    while (request := phone.step()) is not None:
        changes = [c["n"] for c in body(request).get("changes", [])]
        kinds.append((request.kind, changes) if request.kind == "push" else (request.kind, []))
    # All of it is refused; then what the server holds is asked about; then the snapshot; the rest after it.
    assert kinds[:3] == [("push", [4, 5]), ("push", [4]), ("snapshot", [])]
    assert phone.inbox()[0].code == "out_of_range"
    assert workout


def test_rule_13_what_neither_snapshot_nor_pull_brought_goes(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    other.delete("workouts", workout)
    kept = other.put("workouts", title="kept")
    other.sync()
    lag(world, phone)
    phone.put("workouts", title="makes it push")
    phone.sync()
    assert value(phone, "workouts", kept, "title") == "kept"
    assert value(phone, "workouts", workout, "title") is None
    world.settle()
    world.assert_settled()


def test_rule_13_what_is_shown_stays_until_the_snapshot_is_complete(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    other.delete("workouts", workout)
    other.sync()
    lag(world, phone)
    phone.put("workouts", title="mine")
    while (request := phone.step()) is not None and request.kind != "snapshot":
        assert value(phone, "workouts", workout, "title") == "w"
    phone.sync()
    assert value(phone, "workouts", workout, "title") is None


def test_rule_14_an_unsent_edit_of_what_is_gone_is_written_anew_as_one_group(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    other.delete("workouts", workout)
    other.sync()
    phone.put("sets", one, reps=9)
    lag(world, phone)

    phone.sync()

    entries = [entry.sent for (device, _), entry in world.server.state.ledger.items() if device == phone.device_id()]
    assert [entry["op"] for entry in entries[3:]] == ["void", "put", "put", "put", "put"]
    group: list[dict[str, Any]] = entries[4:]
    assert len({entry["group"] for entry in group}) == 1
    # Missing ancestors first, every field that was shown, then the edit.
    assert [entry["id"] for entry in group] == [workout, exercise, one, one]
    assert group[2]["fields"] == {"reps": 1, "workout_exercise": exercise} and group[3]["fields"] == {"reps": 9}
    world.settle()
    world.assert_settled()
    assert value(other, "sets", one, "reps") == 9


def test_rule_14_a_tombstone_that_is_still_held_waits(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    other.delete("workouts", workout)
    other.sync()
    phone.put("sets", one, reps=9)
    world.server.state.lagging.add(phone.device_id())
    phone.sync()
    world.settle()
    world.assert_settled()
    assert value(other, "sets", one, "reps") == 9
    assert world.server.state.shown[("workouts", workout)]["values"]["title"] == "w"


def test_rule_14_a_new_record_below_what_is_gone_brings_it_back(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    other.delete("workouts", workout)
    other.sync()
    fresh = phone.put("sets", workout_exercise=exercise, reps=77)
    lag(world, phone)
    world.settle()
    world.assert_settled()
    assert value(other, "sets", fresh, "reps") == 77
    assert value(other, "workouts", workout, "title") == "w"


def test_rule_14_what_the_server_lost_of_a_device_it_no_longer_knows_is_kept_as_recovered(world: World) -> None:
    from fitai_client.core.undo import rewrite_recovered

    phone = world.phone()
    phone.put("workouts", title="old")
    phone.sync()
    backup = world.server.backup()
    stranger = world.phone()
    lost = stranger.put("workouts", title="lost")
    stranger.sync()
    phone.sync()
    world.devices.remove(stranger)
    stranger.db.close()
    world.server.restore(backup)

    world.settle()

    assert value(phone, "workouts", lost, "title") is None
    assert phone.status().recovered == 1
    with phone.db.write() as tx:
        assert rewrite_recovered(tx, PERSONAL) == 1
    world.settle()
    world.assert_settled()
    assert value(phone, "workouts", lost, "title") == "lost"
    assert phone.status().recovered == 0


def test_rule_14_what_had_lost_a_conflict_in_a_recovered_record_waits_in_the_inbox(world: World) -> None:
    from fitai_client.core.undo import rewrite_recovered

    phone = world.phone()
    phone.put("workouts", title="old")
    phone.sync()
    backup = world.server.backup()
    strangers = world.phone(), world.phone()
    lost = strangers[0].put("workouts", title="made")
    for one in (*strangers, *strangers):
        one.sync()
    for number, one in enumerate(strangers):
        one.put("workouts", lost, title=f"by {number}")
    for one in (*strangers, phone):
        one.sync()
    for one in strangers:
        world.devices.remove(one)
        one.db.close()
    world.server.restore(backup)
    world.settle()

    with phone.db.write() as tx:
        assert rewrite_recovered(tx, PERSONAL) == 1
    world.settle()

    there = value(phone, "workouts", lost, "title")
    assert {there, *(entry.fields["title"] for entry in phone.inbox())} == {"by 0", "by 1"}


def test_rule_14_a_group_is_split_only_where_a_batch_would_not_hold_it(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    ids = [phone.new_id() for _ in range(600)]
    with phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("sets", id, {"workout_exercise": exercise, "reps": 1})] for id in ids])
    world.server.page = 1_000
    phone.sync()
    other.sync()
    other.delete("workouts", workout)
    other.sync()
    with phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("sets", id, {"tempo": "slow"})] for id in ids])
    lag(world, phone)
    phone.device.wake()
    asked = 0
    while asked < 7:
        request = phone.device.next_request()
        assert request is not None
        phone.device.answer(request, world.server.handle(request))
        asked += request.kind == "ids"
    sizes = phone.db.conn.execute("SELECT COUNT(*) FROM log WHERE state = 0 AND op = 'put' GROUP BY grp").fetchall()
    # The workout, its exercise and 600 sets whole, then the 600 edits.
    assert sizes == [(1_000,), (202,)]


def test_rule_14_what_is_written_anew_keeps_its_order_with_what_is_above_and_below(world: World) -> None:
    empty = world.server.backup()
    phone = world.phone()
    workout = phone.put("workouts", title="w")
    exercise = phone.put("workout_exercises", workout=workout)
    phone.sync()
    other = world.phone()
    other.sync()
    other.put("workout_exercises", exercise, superset="s")
    other.sync()
    phone.delete("workout_exercises", exercise)
    phone.sync()
    # The other's edit, unseen by the delete, kept the exercise; a set is added below it, and the server is lost.
    one = phone.put("sets", workout_exercise=exercise, reps=6)
    world.server.restore(empty)
    other.delete("workout_exercises", exercise)

    world.settle()

    world.assert_settled()
    world.assert_nothing_lost()
    assert value(other, "sets", one, "reps") == 6
