"""Rule 21 of docs/sdk-authors.md: edits of a device that is gone, which a restored server lost and others showed."""

from __future__ import annotations

import json

import pytest

from fitai_client.core import adopting, undo
from fitai_client.core.forms import open_form
from fitai_client.core.spaces import PERSONAL, save, space
from fitai_client.core.text import laid_over, replaced
from fitai_client.core.writing import Write, write_groups
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World


def gone(world: World, phone: Phone) -> None:
    """The phone is at the bottom of a lake."""
    world.devices.remove(phone)
    phone.db.close()


def conflicts(phone: Phone, workout: str, name: str = "title") -> list[object]:
    record = phone.get("workouts", workout)
    assert record is not None
    return [one.value for one in record.conflicts.get(name, ())]


def adoptions(phone: Phone) -> list[str]:
    return [row[0] for row in phone.db.conn.execute("SELECT fields FROM log WHERE mark = 'anew' ORDER BY pos")]


def finish(world: World) -> None:
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()


@pytest.mark.parametrize("says_kept", [True, False], ids=["the server says what it kept", "a server of before"])
def test_rule_21_an_edit_that_only_a_gone_device_pushed_comes_back_from_who_showed_it(
    world: World, says_kept: bool
) -> None:
    world.server.says_kept = says_kept
    phone, other, workout, exercise, one = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="heavy", tags=["gym"])
    phone.put("sets", one, reps=12)
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "title") == "heavy"
    assert value(other, "workouts", workout, "tags") == ["gym"]
    assert value(other, "sets", one, "reps") == 12
    assert conflicts(other, workout) == []
    # What was not edited is not written.
    assert len(adoptions(other)) == 2
    assert exercise


def test_rule_21_the_edit_shows_all_the_while(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="heavy")
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    other.heal()
    while other.step() is not None:
        assert value(other, "workouts", workout, "title") == "heavy"
    finish(world)


def test_rule_21_an_old_copy_of_the_phone_gets_it_back_too(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    copy = world.folder / "copy.db"
    phone.copy_to(copy)
    backup = world.server.backup()
    phone.put("workouts", workout, title="heavy")
    fresh = phone.put("workouts", title="new")
    world.settle()
    phone.go_back_to(copy)
    world.settle()
    world.server.restore(backup)

    world.settle()

    world.assert_settled()
    assert value(phone, "workouts", workout, "title") == value(other, "workouts", workout, "title") == "heavy"
    with other.db.write() as tx:
        assert undo.rewrite_recovered(tx, PERSONAL) == 1
    finish(world)
    assert value(phone, "workouts", fresh, "title") == "new"


def test_rule_21_two_devices_that_both_adopt_come_to_one_value(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    note = {"yjs": replaced(None, "slow and low", b"\1\2\3\4")}
    phone.put("workouts", workout, title="heavy", tags=["gym"], notes=note)
    world.settle()
    gone(world, phone)
    world.server.restore(backup)
    # Both take the snapshot before either has pushed.
    for one in (other, third):
        one.heal()
        while not adoptions(one):
            assert one.step() is not None

    finish(world)

    assert conflicts(other, workout) == []
    record = other.get("workouts", workout)
    assert record is not None and record["notes"]["text"] == "slow and low" and record["tags"] == ["gym"]


def test_rule_21_nothing_is_adopted_once_the_phone_itself_has_given_it_back(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="heavy")
    phone.sync()
    other.sync()
    world.server.restore(backup)
    phone.sync()
    phone.put("workouts", workout, title="heavier")
    phone.sync()

    finish(world)

    assert adoptions(other) == [] and conflicts(other, workout) == []
    assert value(other, "workouts", workout, "title") == "heavier"


def test_rule_21_a_phone_that_comes_back_late_finds_its_own_value(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="heavy")
    phone.sync()
    other.sync()
    world.server.restore(backup)
    other.sync()

    finish(world)

    assert value(phone, "workouts", workout, "title") == "heavy" and conflicts(phone, workout) == []


def test_rule_21_a_newer_value_stays_and_the_lost_one_waits_in_the_inbox(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    third.put("workouts", workout, title="written since")
    third.sync()

    finish(world)

    assert value(other, "workouts", workout, "title") == "written since" and conflicts(other, workout) == []
    (entry,) = other.inbox()
    assert (entry.code, entry.fields) == (adopting.LOST_CODE, {"title": "lost"})


def test_rule_21_another_field_written_since_does_not_hold_it_up(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.put("workouts", workout, tags=["mine"])
    other.sync()
    third = world.phone()
    third.sync()
    gone(world, phone)
    world.server.restore(backup)
    # It gives its own tag back, so that the workout stands above what the backup had.
    other.heal()
    while other.step() is not None and not world.server.state.shown[("workouts", workout)]["values"].get("tags"):
        pass

    finish(world)

    assert value(third, "workouts", workout, "title") == "lost"
    assert value(third, "workouts", workout, "tags") == ["mine"]
    assert conflicts(third, workout) == []


def test_rule_21_a_value_written_since_by_a_slow_clock_is_a_conflict_and_not_replaced(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    slow = world.phone(skew_ms=-3_600_000)
    slow.sync()
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.put("workouts", workout, tags=["mine"])
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    with slow.db.write() as tx:
        tx.set_meta("clock_offset_ms", "0")
    slow.put("workouts", workout, title="written since")
    slow.step()
    other.heal()
    # Its own tag, given back, is the newest stamp of the workout.
    while other.device.next_request() is not None and other.asked[-1] != "snapshot":
        other.step()

    finish(world)

    shown = {value(other, "workouts", workout, "title"), *conflicts(other, workout)}
    assert shown == {"lost", "written since"}


def test_rule_21_what_moved_since_but_not_in_what_was_lost_is_let_alone(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    phone.put("sets", one, reps=12)
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    third.put("workouts", workout, title="written since")
    third.sync()

    finish(world)

    assert value(other, "workouts", workout, "title") == "written since"
    assert conflicts(other, workout) == [] and other.inbox() == []


def test_rule_21_of_two_values_in_conflict_neither_replaces_the_other(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    third.put("workouts", workout, title="kept")
    phone.put("workouts", workout, title="lost")
    third.sync()
    backup = world.server.backup()
    phone.step()
    other.sync()
    assert {value(other, "workouts", workout, "title"), *conflicts(other, workout)} == {"kept", "lost"}
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    shown = {value(other, "workouts", workout, "title"), *conflicts(other, workout)}
    in_inbox = {entry.fields.get("title") for entry in other.inbox()}
    assert "kept" in shown and "lost" in shown | in_inbox


def test_rule_21_an_own_change_that_had_not_seen_it_is_not_replaced(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    other.put("workouts", workout, title="own")
    phone.put("workouts", workout, title="lost")
    phone.sync()
    # Pulled under the own change, which is not sent yet.
    other.take_delta()
    assert value(other, "workouts", workout, "title") == "own"
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "title") == "own"
    assert [entry.fields for entry in other.inbox()] == [{"title": "lost"}]


def test_rule_21_what_the_user_replaced_knowingly_is_not_adopted(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    other.put("workouts", workout, title="own")
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "title") == "own"
    assert other.inbox() == [] and adoptions(other) == []


def test_rule_21_own_changes_that_were_lost_come_from_the_log_and_are_not_adopted(world: World) -> None:
    phone, _, workout, _, one = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="own", tags=["a"], notes="words")
    phone.put("sets", one, reps=3)
    phone.sync()
    world.server.restore(backup)

    finish(world)

    assert adoptions(phone) == [] and phone.inbox() == []


def test_rule_21_what_was_deleted_here_is_not_adopted(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    backup = world.server.backup()
    phone.put("sets", one, reps=12)
    phone.sync()
    other.sync()
    other.delete("workout_exercises", exercise)
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert other.get("sets", one) is None and other.get("workouts", workout) is not None


def test_rule_21_elements_that_were_taken_out_and_a_value_that_was_cleared_are_so_again(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    phone.put("workouts", workout, tags=["a", "b"])
    phone.put("sets", one, tempo="slow")
    world.settle()
    backup = world.server.backup()
    phone.put("workouts", workout, tags={"remove": ["a"]})
    phone.put("sets", one, tempo=None)
    world.settle()
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "tags") == ["b"]
    assert value(other, "sets", one, "tempo") is None


def test_rule_21_words_of_a_text_come_back_beside_those_written_since(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, notes="one")
    world.settle()
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    phone.put("workouts", workout, notes="one two")
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    third.put("workouts", workout, notes="zero one")
    third.sync()

    finish(world)

    record = other.get("workouts", workout)
    assert record is not None and record["notes"]["text"] == "zero one two"
    assert laid_over(record["notes"], replaced(None, "", b"\1\2\3\4"))["text"] == "zero one two"


def test_rule_21_a_viewer_keeps_it_to_be_read(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    gone(world, phone)
    with other.db.write() as tx:
        save(tx, space(tx, PERSONAL), role="viewer")
    world.server.restore(backup)
    other.device.wake(pull=True)
    while other.inbox() == []:
        assert other.step() is not None
    assert adoptions(other) == []
    assert [(entry.code, entry.fields) for entry in other.inbox()] == [(adopting.LOST_CODE, {"title": "lost"})]


def test_rule_21_a_snapshot_that_begins_anew_adopts_once(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    fill(phone)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    other.heal()
    while not adoptions(other):
        assert other.step() is not None
    # Restored once more while the pages come.
    world.server.restore(backup)

    finish(world)

    assert len(adoptions(other)) == 1
    assert value(other, "workouts", workout, "title") == "lost"


def test_rule_21_a_recovered_record_that_comes_back_in_part_is_completed(world: World) -> None:
    phone, other, _, _, _ = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    fresh = phone.put("workouts", title="made by the gone one", tags=["a"])
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    other.sync()
    assert other.get("workouts", fresh) is None
    # Somebody who knows nothing of it but its id.
    third.put("workouts", fresh, status="active")

    finish(world)

    record = third.get("workouts", fresh)
    assert record is not None
    assert (record["title"], record["tags"], record["status"]) == ("made by the gone one", ["a"], "active")


@pytest.mark.parametrize("own_first", [True, False])
def test_rule_21_an_own_value_in_conflict_with_it_is_not_replaced(world: World, own_first: bool) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    writes = [(other, "own"), (phone, "lost")]
    for one, title in writes if own_first else reversed(writes):
        one.put("workouts", workout, title=title)
    other.step()
    phone.step()
    world.settle()
    assert {value(other, "workouts", workout, "title"), *conflicts(other, workout)} == {"own", "lost"}
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "title") == "own"
    assert [entry.fields for entry in other.inbox()] == [{"title": "lost"}]


def test_rule_21_an_own_value_in_conflict_with_it_that_the_server_still_has_is_not_replaced(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    other.put("workouts", workout, title="own")
    world.tick(1_000)
    phone.put("workouts", workout, title="lost")
    other.sync()
    backup = world.server.backup()
    phone.step()
    world.settle()
    assert (value(other, "workouts", workout, "title"), conflicts(other, workout)) == ("lost", ["own"])
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "title") == "own"
    assert [entry.fields for entry in other.inbox()] == [{"title": "lost"}]


def until_the_first_page(phone: Phone) -> None:
    phone.heal()
    while (request := phone.step()) is None or request.kind != "snapshot":
        pass


def fill(phone: Phone) -> None:
    """More records than a page has, so that a snapshot takes several requests."""
    for n in range(6):
        phone.put("workouts", title=f"w{n}")
    phone.world.settle()


def test_rule_21_an_own_value_that_a_second_restore_took_is_not_replaced_either(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    older = world.server.backup()
    other.put("workouts", workout, title="own")
    phone.put("workouts", workout, title="lost")
    other.step()
    phone.step()
    world.settle()
    fill(other)
    backup = world.server.backup()
    phone.put("sets", one, reps=12)
    world.settle()
    gone(world, phone)
    world.server.restore(backup)
    # The first page does not bring the workout yet.
    until_the_first_page(other)
    world.server.restore(older)

    finish(world)

    assert value(other, "workouts", workout, "title") == "own"
    assert [entry.fields for entry in other.inbox()] == [{"title": "lost"}]


def test_rule_21_what_only_a_snapshot_in_between_brought_is_kept_too(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    third = world.phone()
    fill(phone)
    backup = world.server.backup()
    phone.put("sets", one, reps=12)
    world.settle()
    world.server.restore(backup)
    third.put("workouts", workout, title="of the life in between", tags=["in between"])
    third.sync()
    until_the_first_page(other)
    assert value(other, "workouts", workout, "title") == "of the life in between"
    gone(world, third)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "tags") == ["in between"]
    assert {"title": "of the life in between"} in [entry.fields for entry in other.inbox()]


def test_rule_21_what_moves_between_the_pages_and_the_pull_is_compared_once(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    fill(phone)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    until_the_first_page(other)
    for one in third.list("workouts"):
        if one.id != workout:
            third.put("workouts", one.id, title=f"since {one['title']}")
    third.sync()

    finish(world)

    assert len(adoptions(other)) == 1 and other.inbox() == []
    assert value(third, "workouts", workout, "title") == "lost"


def test_rule_21_a_record_that_moved_while_the_pages_came_is_compared_with_what_the_pull_brings(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    third = world.phone()
    fill(phone)
    backup = world.server.backup()
    phone.put("sets", one, reps=12)
    world.settle()
    gone(world, phone)
    world.server.restore(backup)
    until_the_first_page(other)
    third.put("sets", one, tempo="slow")
    third.put("workouts", workout, status="active")
    third.sync()

    finish(world)

    record = other.get("sets", one)
    assert record is not None and (record["reps"], record["tempo"]) == (12, "slow")


def test_rule_21_elements_added_since_are_not_taken_out(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    phone.put("workouts", workout, tags=["lost"])
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    third.put("workouts", workout, tags={"add": ["since"]})
    third.sync()

    finish(world)

    assert adoptions(other) == ['{"tags":{"add":["lost"]}}']
    assert value(other, "workouts", workout, "tags") == ["lost", "since"]


def test_rule_14_what_was_deleted_since_by_who_had_not_seen_all_of_it_is_recovered(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    third.put("workouts", workout, status="active")
    third.step()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    # It gives its own change back, and has never seen the lost title.
    third.sync()
    third.delete("workouts", workout)
    third.sync()

    other.sync()

    rows = other.db.conn.execute("SELECT kind, body FROM aside WHERE id = ?", (workout,)).fetchall()
    assert [(kind, json.loads(body)["values"]["title"]) for kind, body in rows] == [("recovered", "lost")]


def test_rule_14_writing_the_recovered_again_replaces_nothing_newer(world: World) -> None:
    phone, other, _, exercise, _ = pair(world)
    third = world.phone()
    third.sync()
    backup = world.server.backup()
    fresh = phone.put("sets", workout_exercise=exercise, reps=5)
    world.settle()
    gone(world, phone)
    world.server.restore(backup)
    third.put("sets", fresh, reps=6)
    other.sync()
    third.step()
    with other.db.write() as tx:
        assert undo.rewrite_recovered(tx, PERSONAL) == 1

    finish(world)

    record = other.get("sets", fresh)
    assert record is not None
    assert {record["reps"], *(one.value for one in record.conflicts["reps"])} == {5, 6}


def test_a_delete_that_only_a_gone_device_pushed_is_undone_by_a_restore_and_nothing_is_lost(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    backup = world.server.backup()
    phone.delete("workouts", workout)
    world.settle()
    assert other.get("workouts", workout) is None
    gone(world, phone)
    world.server.restore(backup)

    finish(world)

    assert value(other, "workouts", workout, "title") == "w" and value(other, "sets", one, "reps") == 1


def test_rule_21_an_edit_in_a_form_that_saw_it_replaces_it(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    other.heal()
    while not adoptions(other):
        assert other.step() is not None
    other.write([Write("workouts", workout, {"title": "after"})])

    finish(world)

    assert value(other, "workouts", workout, "title") == "after" and conflicts(other, workout) == []


@pytest.mark.parametrize("opened", ["before it was pulled", "when it showed"])
def test_rule_21_a_form_that_was_open_meanwhile_replaces_nothing_that_it_never_showed(
    world: World, opened: str
) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="theirs")
    phone.sync()
    if opened == "when it showed":
        other.sync()
    with other.db.write() as tx:
        form = open_form(tx, PERSONAL, "workouts", workout)
    other.sync()
    gone(world, phone)
    world.server.restore(backup)
    other.sync()
    assert len(adoptions(other)) == 1

    with other.db.write() as tx:
        write_groups(tx, PERSONAL, [[form.write({"title": "saved"})]])

    world.settle()
    assert value(other, "workouts", workout, "title") == "saved"
    kept = [{"title": "theirs"}] if opened == "before it was pulled" else []
    assert [entry.fields for entry in other.inbox()] == kept
