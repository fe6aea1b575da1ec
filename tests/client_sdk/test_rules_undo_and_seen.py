"""Rules 19 and 20 of device.md: undo, and `seen`. (Rule 18 needs a socket: test_client_live.py.)"""

from __future__ import annotations

import pytest

from fitai_client.core import undo as undoing
from fitai_client.core.adopting import BEATEN_CODE
from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.undo import restore_deleted
from fitai_client.core.writing import Write
from fitai_client.errors import NotFound
from tests.client_sdk.test_rules_sending import body, ready
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World


def restore(phone: Phone, collection: str, id: str) -> int:
    with phone.db.write() as tx:
        return restore_deleted(tx, PERSONAL, (collection, id))


def undo(phone: Phone) -> int:
    with phone.db.write() as tx:
        done = undoing.undo(tx, PERSONAL)
    phone.assert_consistent()
    return done


def redo(phone: Phone) -> int:
    with phone.db.write() as tx:
        done = undoing.redo(tx, PERSONAL)
    phone.assert_consistent()
    return done


def test_rule_19_undoing_a_delete_writes_the_record_and_all_below_as_one_group(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    phone.delete("workouts", workout)
    world.settle()
    assert other.shown() == {}
    before = phone.db.conn.execute("SELECT MAX(pos) FROM log").fetchone()[0]

    assert restore(phone, "workouts", workout) == 3

    rows = phone.db.conn.execute("SELECT id, grp FROM log WHERE pos > ? ORDER BY pos", (before,)).fetchall()
    assert [row[0] for row in rows] == [workout, exercise, one] and len({row[1] for row in rows}) == 1
    world.settle()
    world.assert_settled()
    assert value(other, "sets", one, "reps") == 1


def test_rule_19_it_writes_every_field(world: World) -> None:
    phone = ready(world)
    workout = phone.put("workouts", title="t", notes="words", tags=["a", "b"], status="active")
    phone.sync()
    phone.delete("workouts", workout)
    phone.sync()
    world.server.forget_tombstones()
    restore(phone, "workouts", workout)
    world.settle()
    world.assert_settled()
    record = phone.get("workouts", workout)
    assert record is not None
    assert (record["title"], record.text("notes"), record["tags"]) == ("t", "words", ["a", "b"])


def test_rule_19_deleted_ones_above_come_back_too(world: World) -> None:
    phone, _, workout, exercise, one = pair(world)
    phone.delete("workouts", workout)
    phone.sync()
    assert restore(phone, "sets", one) == 3
    assert phone.shown().keys() == {("workouts", workout), ("workout_exercises", exercise), ("sets", one)}
    world.settle()
    world.assert_settled()


def test_rule_19_a_record_that_another_device_deleted_is_restored_from_what_was_kept(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    other.delete("workouts", workout)
    world.settle()
    assert restore(phone, "workouts", workout) == 3
    world.settle()
    world.assert_settled()
    assert value(other, "sets", one, "reps") == 1


def test_rule_19_a_delete_that_is_not_sent_yet_can_be_undone(world: World) -> None:
    phone, _, workout, _, one = pair(world)
    phone.delete("workouts", workout)
    assert undo(phone) == 1
    assert value(phone, "sets", one, "reps") == 1
    world.settle()
    world.assert_settled()


def test_rule_19_nothing_is_restored_that_shows_or_is_not_known(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    with pytest.raises(NotFound):
        restore(phone, "workouts", workout)
    with pytest.raises(NotFound):
        restore(phone, "workouts", phone.new_id())


def test_undo_writes_what_a_change_replaced(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    phone.put("sets", one, reps=5)
    phone.put("workouts", workout, tags=["a"], notes="first")
    phone.put("workouts", workout, tags=["b"], notes="second")
    assert undo(phone) == 1
    record = phone.get("workouts", workout)
    assert record is not None and (record["tags"], record.text("notes")) == (["a"], "first")
    world.settle()
    world.assert_settled()
    assert other.get("workouts", workout)["tags"] == ["a"]  # type: ignore[index]


def test_undo_of_a_group_undoes_all_of_it_and_a_create_by_a_delete(world: World) -> None:
    phone, _, workout, exercise, one = pair(world)
    fresh = phone.new_id()
    phone.write([Write("sets", fresh, {"workout_exercise": exercise, "reps": 3}), Write("sets", one, {"reps": 4})])
    assert undo(phone) == 2
    assert phone.get("sets", fresh) is None and value(phone, "sets", one, "reps") == 1
    assert workout
    world.settle()
    world.assert_settled()


def test_undo_with_nothing_to_undo_does_nothing(world: World) -> None:
    assert undo(world.phone()) == 0


def titles(phone: Phone, workout: str) -> str | None:
    record = phone.get("workouts", workout)
    return record["title"] if record is not None else None


def test_redo_brings_back_what_undo_took_one_by_one(world: World) -> None:
    phone = ready(world)
    workout = phone.put("workouts", title="a")
    phone.put("workouts", workout, title="b", notes="words")
    phone.put("workouts", workout, title="c", tags=["x"])
    seen = []
    for step in (undo, undo, undo, undo, redo, redo, redo, redo, undo, redo, undo):
        step(phone)
        # What stands does not depend on the process, which may end at any time.
        phone.restart()
        phone.sync()
        seen.append(titles(phone, workout))
    assert seen == ["b", "a", None, None, "a", "b", "c", "c", "b", "c", "b"]
    record = phone.get("workouts", workout)
    assert record is not None and record.text("notes") == "words" and record["tags"] == []
    world.settle()
    world.assert_settled()


def test_a_delete_is_undone_redone_and_undone_again(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    phone.sync()
    phone.delete("workouts", workout)
    there = []
    for step in (undo, redo, undo, redo, undo):
        assert step(phone) == 1
        phone.sync()
        there.append(phone.get("sets", one) is not None)
    assert there == [True, False, True, False, True]
    world.settle()
    world.assert_settled()
    assert other.get("workout_exercises", exercise) is not None


def test_a_write_ends_what_can_be_redone(world: World) -> None:
    phone = ready(world)
    workout = phone.put("workouts", title="a")
    phone.put("workouts", workout, title="b")
    undo(phone)
    phone.put("workouts", workout, title="c")
    assert redo(phone) == 0 and titles(phone, workout) == "c"
    assert undo(phone) == 1 and titles(phone, workout) == "a"
    assert undo(phone) == 1 and titles(phone, workout) is None


def test_U1_undo_leaves_what_others_wrote_since_and_passes_over_what_is_gone(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    phone.put("sets", one, tempo="slow")
    phone.put("sets", one, reps=5)
    phone.sync()
    other.sync()
    other.put("sets", one, reps=6)
    other.sync()
    phone.sync()
    assert undo(phone) == 1
    assert value(phone, "sets", one, "reps") == 6 and value(phone, "sets", one, "tempo") is None
    # What was never there before cannot be taken away from a register that takes no null.
    phone.put("workouts", workout, status="active")
    phone.sync()
    undo(phone)
    phone.sync()
    assert phone.inbox() == [] and value(phone, "workouts", workout, "status") == "active"


def test_U1_undo_deletes_nothing_that_others_wrote_into(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    theirs = other.put("sets", workout_exercise=exercise, reps=5)
    other.sync()
    phone.sync()
    # Its own set goes; the exercise and the workout have become the other's too.
    assert undo(phone) == 1
    assert undo(phone) == 0
    phone.sync()
    assert set(phone.shown()) == {("workouts", workout), ("workout_exercises", exercise), ("sets", theirs)}


def losers(phone: Phone, workout: str) -> list[object]:
    record = phone.get("workouts", workout)
    assert record is not None
    return [one.value for one in record.conflicts.get("title", ())]


def test_U1_undo_leaves_what_stands_in_conflict_with_what_it_takes_back(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    other.put("workouts", workout, title="theirs")
    phone.put("workouts", workout, title="mine")
    world.settle()
    assert undo(phone) == 1
    assert titles(phone, workout) == "w" and losers(phone, workout) == ["theirs"]
    assert redo(phone) == 1
    world.settle()
    world.assert_settled()
    assert titles(phone, workout) == "mine" and losers(other, workout) == ["theirs"]


def test_U1_undo_takes_no_words_along_that_others_wrote_into_a_text(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, notes="mine")
    world.settle()
    other.put("workouts", workout, notes="mine and theirs")
    world.settle()
    undo(phone)
    world.settle()
    record = other.get("workouts", workout)
    assert record is not None and record.text("notes") == "mine and theirs"


def test_U1_undo_of_an_element_leaves_it_in_where_others_added_it_too(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    for one in (phone, other):
        one.put("workouts", workout, tags={"add": ["gym"]})
    world.settle()
    assert undo(phone) == 1
    world.settle()
    assert value(other, "workouts", workout, "tags") == ["gym"]


def test_U1_undo_takes_nothing_back_that_does_not_show(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    fresh = phone.put("workout_exercises", workout=workout, superset="a")
    phone.put("workout_exercises", fresh, superset="b")
    world.settle()
    other.delete("workouts", workout)
    other.sync()
    phone.put("workout_exercises", fresh, superset="c")
    other.put("workouts", title="of another")
    with phone.db.write() as tx:
        # As where the workout has not come yet.
        tx.execute("DELETE FROM records WHERE id = ?", (workout,))
    assert undo(phone) == 0
    world.settle()
    assert value(other, "workout_exercises", fresh, "superset") == "c"


def test_U1_undo_deletes_nothing_that_others_wrote_into_before_its_own_last_change(world: World) -> None:
    phone, other, _, _, _ = pair(world)
    workout = phone.put("workouts", title="mine")
    world.settle()
    other.put("workouts", workout, status="active")
    world.settle()
    phone.put("workouts", workout, title="again")
    world.settle()
    undo(phone)
    undo(phone)
    world.settle()
    world.assert_settled()
    assert titles(other, workout) == "mine" and value(other, "workouts", workout, "status") == "active"


def test_U2_a_delete_that_is_redone_takes_nothing_along_that_others_wrote_since(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.delete("workouts", workout)
    world.settle()
    undo(phone)
    world.settle()
    other.put("workouts", workout, title="since")
    world.settle()
    assert redo(phone) == 1
    world.settle()
    world.assert_settled()
    assert titles(other, workout) == "since"


def test_U1_a_workout_stays_deleted_in_which_a_create_was_undone_just_before(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    other.put("workouts", workout, title="theirs")
    phone.put("sets", workout_exercise=exercise, reps=2)
    world.settle()
    assert titles(phone, workout) == "theirs"
    undo(phone)
    phone.delete("workouts", workout)
    world.settle()
    world.assert_settled()
    assert phone.shown() == {}


@pytest.mark.parametrize("field", ["title", "notes"])
def test_a_group_is_undone_and_redone_as_a_whole_where_it_writes_a_field_twice(world: World, field: str) -> None:
    phone, _, workout, _, _ = pair(world)

    def shows() -> object:
        record = phone.get("workouts", workout)
        assert record is not None
        return record.text("notes") if field == "notes" else record[field]

    phone.put("workouts", workout, **{field: "before"})
    phone.write([Write("workouts", workout, {field: text}) for text in ("one", "one two")])
    assert undo(phone) == 2 and shows() == "before"
    assert redo(phone) == 2 and shows() == "one two"


@pytest.mark.parametrize("pulled", ["before the delete", "under it"])
def test_U3_a_deleted_record_comes_back_with_what_stands_in_conflict_in_it(world: World, pulled: str) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    other.put("workouts", workout, title="one")
    third.put("workouts", workout, title="two")
    if pulled == "before the delete":
        world.settle()
    phone.delete("workouts", workout)
    other.sync()
    third.sync()
    phone.take_delta()
    assert undo(phone) == 1
    world.settle()
    world.assert_settled()
    assert {titles(phone, workout), *losers(phone, workout)} == {"one", "two"}


def test_U3_where_an_own_value_had_lost_the_conflict_that_waits_in_the_inbox(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, title="mine")
    other.put("workouts", workout, title="theirs")
    world.settle()
    assert losers(phone, workout) == ["mine"]
    phone.delete("workouts", workout)
    world.settle()
    restore(phone, "workouts", workout)
    world.settle()
    assert titles(phone, workout) == "theirs" and losers(phone, workout) == []
    assert [(entry.code, entry.fields) for entry in phone.inbox()] == [(BEATEN_CODE, {"title": "mine"})]


def test_a_delete_of_which_nothing_is_kept_does_not_stop_undo(world: World) -> None:
    phone = ready(world)
    workout = phone.put("workouts", title="a")
    gone = phone.put("workouts", title="b")
    phone.put("workouts", workout, title="c")
    phone.delete("workouts", gone)
    phone.sync()
    with phone.db.write() as tx:
        tx.execute("DELETE FROM aside")
        tx.execute("UPDATE log SET laid = 0")
        tx.execute("DELETE FROM records WHERE id = ?", (gone,))
    assert undo(phone) == 1 and titles(phone, workout) == "a"


def test_a_refused_change_is_not_there_to_be_undone(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=3)
    phone.put("sets", one, reps=10_001)
    phone.sync()
    assert undo(phone) == 1 and value(phone, "sets", one, "reps") == 1


def seen_sent(world: World, phone: Phone) -> dict[str, int]:
    return world.server.state.seen.get(phone.device_id(), {})


def test_rule_20_seen_is_the_version_that_has_been_applied(world: World) -> None:
    phone, other, _, _, one = pair(world)
    other.put("sets", one, reps=2)
    other.sync()
    phone.sync()
    assert seen_sent(world, phone) == world.server.state.acked


def test_rule_20_seen_waits_for_open_forms(world: World) -> None:
    phone, other, _, _, one = pair(world)
    world.settle()
    held = dict(world.server.state.acked)
    phone.device.forms[1] = (PERSONAL, held)
    other.put("sets", one, reps=2)
    other.sync()
    phone.sync()
    assert seen_sent(world, phone) == held
    del phone.device.forms[1]
    phone.sync()
    assert seen_sent(world, phone) == world.server.state.acked


def test_rule_20_seen_is_not_sent_while_an_older_change_is_unanswered(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.put("sets", one, reps=9)
    other.put("sets", one, reps=2)
    other.sync()
    phone.take_delta()
    request = phone.device.next_request()
    # The change in this push does not know what the delta brought: promising that it does would be a lie.
    assert request is not None and "seen" not in body(request)


def test_rule_20_seen_goes_with_a_push_whose_changes_know_it(world: World) -> None:
    phone, other, _, _, one = pair(world)
    other.put("sets", one, reps=2)
    other.sync()
    phone.take_delta()
    phone.put("sets", one, reps=9)
    request = phone.device.next_request()
    assert request is not None and body(request)["seen"] == world.server.state.acked


def test_rule_20_seen_goes_at_least_once_a_day(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.sync()
    other.put("sets", one, reps=2)
    other.sync()
    phone.take_delta()
    assert phone.step() is None
    world.tick(24 * 3600 * 1000)
    phone.device.live = {PERSONAL}
    request = phone.step()
    assert request is not None and body(request)["changes"] == [] and body(request)["seen"] == world.server.state.acked
    with phone.db.write() as tx:
        assert space(tx, PERSONAL).seen == world.server.state.acked


def test_rule_20_seen_waits_for_no_clock_that_was_set_back(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.sync()
    other.put("sets", one, reps=2)
    other.sync()
    phone.take_delta()
    assert phone.step() is None
    phone.skew_ms -= 365 * 24 * 3600 * 1000
    phone.device.live = {PERSONAL}
    request = phone.step()
    assert request is not None and request.kind == "push" and body(request)["seen"] == world.server.state.acked


def test_rule_20_a_viewer_sends_seen_by_a_push_without_changes(world: World) -> None:
    phone = ready(world)
    other = world.phone()
    other.put("workouts", title="w")
    other.sync()
    phone.sync()
    assert seen_sent(world, phone) == world.server.state.acked
