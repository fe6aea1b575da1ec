"""Rules 15 to 17 of device.md: the server lost something; another wears the same id, or the id is gone."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pycrdt import Doc, Text

from fitai_client import Remove
from fitai_client.core.spaces import PERSONAL, context_for, space, stream, streams
from fitai_client.core.text import laid_over
from fitai_client.core.whole import whole_writes
from tests.client_sdk.test_rules_sending import body, ready
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World


def test_rule_15_a_server_that_holds_less_gets_it_again(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.put("workouts", title="lost too")
    phone.sync()
    world.server.restore(backup)
    phone.put("workouts", title="new")

    request = phone.step()
    assert request is not None and body(request)["after"]["n"] == 5

    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()
    assert value(other, "workouts", workout, "title") == "lost"


def test_rule_15_what_had_been_refused_is_sent_as_a_void(world: World) -> None:
    phone, _, _, _, one = pair(world)
    backup = world.server.backup()
    phone.put("sets", one, reps=10_001)
    phone.put("sets", one, reps=2)
    phone.sync()
    world.server.restore(backup)
    world.settle()
    world.assert_settled()
    ops = [e.sent["op"] for (d, n), e in world.server.state.ledger.items() if d == phone.device_id() and n > 3]
    assert ops == ["void", "put"]
    assert len(phone.inbox()) == 1


def test_rule_15_a_device_with_nothing_to_say_pushes_at_a_version_that_counts_too_little(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    other.sync()
    world.server.restore(backup)
    phone.sync()
    assert world.server.state.shown[("workouts", workout)]["values"]["title"] == "lost"


def test_rule_15_a_new_life_makes_every_device_ask(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    world.server.restore(world.server.backup())
    phone.heal()
    kinds = []
    while (request := phone.step()) is not None:
        kinds.append(request.kind)
    assert kinds == ["spaces", "pull", "push"]


def test_rule_15_changes_are_laid_over_again_until_they_are_back(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="lost")
    phone.sync()
    world.server.restore(backup)
    phone.heal()
    for _ in range(4):
        phone.step()
        assert value(phone, "workouts", workout, "title") == "lost"
    world.settle()
    world.assert_settled()


def forget_log(phone: Phone, upto: int, *, above: int = 0) -> None:
    """Thirty days pass."""
    with phone.db.write() as tx:
        tx.execute("DELETE FROM log WHERE n > ? AND n <= ? AND state = 2", (above, upto))


def test_rule_15_where_the_log_no_longer_reaches_back_every_record_is_written_under_a_new_id(world: World) -> None:
    phone = ready(world)
    backup = world.server.backup()
    workout = phone.put("workouts", title="old", tags=["a"], notes="words")
    exercise = phone.put("workout_exercises", workout=workout)
    phone.put("workouts", title="kept in the log")
    phone.sync()
    old_id = phone.device_id()
    forget_log(phone, 2)
    world.server.restore(backup)

    world.settle()

    world.assert_settled()
    world.assert_nothing_lost()
    assert phone.device_id() != old_id
    served = world.server.visible()
    assert served[("workouts", workout)]["values"]["tags"] == ["a"]
    assert served[("workouts", workout)]["values"]["notes"]["text"] == "words"
    assert ("workout_exercises", exercise) in served


@pytest.mark.parametrize("is_signed", [True, False], ids=["with its author", "without"])
def test_rule_15_a_value_that_lost_a_conflict_still_shows_after_every_record_is_written(
    world: World, is_signed: bool
) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, title="the phone's")
    other.put("workouts", workout, title="the other's")
    world.settle()
    backup = world.server.backup()
    phone.put("workouts", title="lost, and not in the log")
    phone.put("workouts", title="lost")
    phone.sync()
    forget_log(phone, 5, above=4)
    if not is_signed:
        # A server may leave out who wrote it: the device goes on all the same.
        unsigned = "REPLACE({0}, '\"device\":', '\"by\":')"
        with phone.db.write() as tx:
            tx.execute(f"UPDATE records SET body = {unsigned.format('body')}, shown = {unsigned.format('shown')}")
    world.server.restore(backup)
    phone.sync()
    phone.sync()
    other.sync()
    for each in (phone, other):
        record = each.get("workouts", workout)
        assert record is not None
        shown = {record["title"], *(one.value for one in record.conflicts["title"])}
        assert shown == {"the phone's", "the other's"}


def test_rule_15_what_is_unsent_stands_when_every_record_is_written(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, title="before", tags=["a", "b"])
    phone.sync()
    backup = world.server.backup()
    phone.put("workouts", title="lost, and not in the log")
    phone.put("workouts", title="lost")
    phone.sync()
    phone.put("workouts", workout, title="unsent", tags=Remove("a"))
    forget_log(phone, 5, above=4)
    world.server.restore(backup)
    phone.heal()
    phone.finish()
    other.sync()
    record = other.get("workouts", workout)
    assert record is not None and (record["title"], record["tags"]) == ("unsent", ["b"])
    assert record.conflicts == {}


def test_rule_16_the_same_holds_for_ids_of_before(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="under the first id")
    phone.sync()
    world.server.revoke(phone.device_id())
    phone.put("workouts", title="under the second")
    world.settle()
    first, second = [one for one in phone_ids(phone) if one != phone.device_id()], phone.device_id()
    assert len(first) == 1
    world.server.restore(backup)

    world.settle()

    world.assert_settled()
    world.assert_nothing_lost()
    assert value(other, "workouts", workout, "title") == "under the first id"
    assert world.server.state.acked[first[0]] == 4
    assert second


def test_rule_16_what_was_written_under_an_id_of_before_shows_until_it_is_back(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    backup = world.server.backup()
    fresh = phone.put("workouts", title="under the first id")
    phone.sync()
    world.server.revoke(phone.device_id())
    phone.put("workouts", title="under the second")
    world.settle()
    world.server.restore(backup)
    # The push comes before the pull, and hears of the loss first.
    phone.put("workouts", title="new")
    phone.device.wake()
    while phone.step() is not None:
        assert value(phone, "workouts", fresh, "title") == "under the first id"
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()


def test_rule_16_an_id_of_before_that_has_nothing_to_carry_over_gets_no_successor(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="under the first id")
    phone.sync()
    for _ in range(6):
        world.server.revoke(phone.device_id())
        phone.put("workouts", title="one more")
        phone.sync()
        world.server.restore(backup)
        world.settle()

    # Six that have something, the present one, and those of both phones from the beginning.
    assert len(world.server.state.devices) <= 6 + 1 + 2
    world.assert_settled()
    world.assert_nothing_lost()


def test_rule_16_what_can_no_longer_go_under_an_old_id_goes_under_a_fresh_one(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    backup = world.server.backup()
    phone.put("workouts", workout, title="under the first id")
    phone.sync()
    first = phone.device_id()
    world.server.revoke(first)
    phone.put("workouts", title="under the second")
    world.settle()
    world.server.restore(backup)
    world.server.revoke(first)

    world.settle()

    world.assert_settled()
    world.assert_nothing_lost()
    with phone.db.write() as tx:
        current = [row[0] for row in tx.all("SELECT id FROM devices WHERE state = 'current'")]
        assert len(current) == 1 and tx.one("SELECT COUNT(*) FROM devices WHERE state = 'old'")[0] >= 2
    carrier = next(
        e.change.device
        for e in world.server.state.ledger.values()
        if e.sent.get("fields") == {"title": "under the first id"}
    )
    assert carrier not in (first, current[0])


def phone_ids(phone: Phone) -> list[str]:
    with phone.db.write() as tx:
        return [one.device for one in streams(tx, PERSONAL)]


def test_rule_17_a_clone_takes_a_new_id_and_renumbers_what_lies_above_matched(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    clone = world.phone(copy_of=phone)
    phone.put("workouts", workout, title="the original's")
    phone.sync()
    clone.put("workouts", workout, title="the clone's")
    clone.put("workouts", title="another of the clone's")
    shared = clone.device_id()

    clone.sync()

    assert clone.device_id() != shared == phone.device_id()
    assert [n for d, n in world.server.state.ledger if d == clone.device_id()] == [1, 2]
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()
    record = clone.get("workouts", workout)
    assert record is not None
    assert {record["title"], *(c.value for c in record.conflicts["title"])} == {"the original's", "the clone's"}


def test_rule_17_the_old_id_counts_up_to_matched_in_the_renumbered_contexts(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    phone.put("workouts", workout, title="sent before the copy was taken")
    phone.sync()
    clone = world.phone(copy_of=phone)
    phone.put("workouts", title="x")
    phone.sync()
    clone.put("workouts", workout, title="the clone's")
    old = clone.device_id()
    clone.sync()
    entry = next(e for (d, _), e in world.server.state.ledger.items() if d == clone.device_id())
    assert entry.sent["context"][old] == 4
    record = clone.get("workouts", workout)
    # It replaced what the copy already knew: no conflict with oneself.
    assert record is not None and record.conflicts == {}


def test_rule_17_a_clone_that_sends_few_changes_at_once_asks_on_behind_what_the_server_holds(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    backup = world.server.backup()
    clone = world.phone(copy_of=phone)
    clone.put("workouts", workout, title="the clone's")
    clone.sync()
    clone.put("workouts", title="another of the clone's")
    clone.step("unheard")
    world.server.restore(backup)
    for n in range(3):
        phone.put("workouts", title=f"the original's {n}")
    phone.sync()
    shared = clone.device_id()

    clone.device.changes_at_once = 2
    clone.sync()

    assert clone.device_id() != shared == phone.device_id()
    # What the server holds under the shared id is not sent again.
    assert [n for d, n in world.server.state.ledger if d == clone.device_id()] == [1, 2]
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()


def test_rule_17_later_contexts_name_the_old_id_until_a_version_covers_it(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    old = phone.device_id()
    world.server.revoke(old)
    phone.put("workouts", title="x")
    phone.heal()
    while phone.device_id() == old:
        assert phone.step() is not None
    with phone.db.write() as tx:
        found = space(tx, PERSONAL)
        found.version.pop(old)
        assert context_for(tx, found, of_snapshot=False)[old] == 3


def test_rule_17_a_revoked_id_is_left_and_nothing_is_sent_twice(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=2)
    phone.step("unheard")
    phone.put("sets", one, reps=3)
    world.server.revoke(phone.device_id())
    world.settle()
    world.assert_settled()
    values = [
        e.sent["fields"].get("reps") for e in world.server.state.ledger.values() if "reps" in e.sent.get("fields", {})
    ]
    assert sorted(values) == [1, 2, 3]


def test_rule_17_an_unknown_id_gives_everything_back_under_a_new_one(world: World) -> None:
    backup = world.server.backup()
    _, other, workout, exercise, one = pair(world)
    world.server.restore(backup)
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()
    assert world.server.visible().keys() >= {("workouts", workout), ("workout_exercises", exercise), ("sets", one)}
    assert value(other, "sets", one, "reps") == 1


def test_rule_17_where_after_itself_differs_it_asks_from_further_back(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    clone = world.phone(copy_of=phone)
    backup = world.server.backup()
    phone.put("workouts", workout, title="original")
    phone.sync()
    world.server.restore(backup)
    clone.put("workouts", workout, title="the clone's")
    clone.sync()
    phone.put("workouts", title="next")

    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()
    assert phone.device_id() != clone.device_id()


def test_rule_17_a_question_that_is_wholly_matched_is_followed_by_the_next(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    for n in range(6):
        phone.put("workouts", title=f"t{n}")
    # Sent and taken, and none of the answers heard: first four changes, then all six.
    for limit in (2, 6):
        phone.device.batch_limit[PERSONAL] = limit
        phone.step("unheard")
        phone.device.wake()
    phone.device.batch_limit[PERSONAL] = 2
    world.server.revoke(phone.device_id())
    world.settle()
    world.assert_settled()
    titles = [e.sent["fields"].get("title") for e in world.server.state.ledger.values()]
    assert sorted(t for t in titles if t and t.startswith("t")) == [f"t{n}" for n in range(6)]


def test_rule_17_a_twin_is_told_apart_where_both_clocks_stand_still(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    clone = world.phone(copy_of=phone)
    world.now -= 3_600_000
    phone.put("workouts", workout, title="original")
    clone.put("workouts", workout, title="the clone's")
    stamps = {p.db.conn.execute("SELECT hlc FROM log WHERE n = 4").fetchone()[0] for p in (phone, clone)}
    assert len(stamps) == 2
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()


def test_rule_17_a_read_under_a_revoked_id_makes_the_device_ask(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    old = phone.device_id()
    world.server.revoke(old)
    phone.sync()
    assert phone.device_id() != old
    world.settle()
    world.assert_settled()


def test_a_first_log_without_an_account_is_simply_the_first_push(world: World) -> None:
    phone = world.phone()
    for n in range(5):
        phone.put("workouts", title=f"w{n}")
    phone.sync()
    pushes = list(world.server.state.ledger)
    assert [n for _, n in pushes] == [1, 2, 3, 4, 5]
    with phone.db.write() as tx:
        assert json.loads(tx.one("SELECT context FROM log WHERE n = 5")[0]) == {}
        assert stream(tx, PERSONAL, phone.device_id()).after_n == 5


def test_rule_17_a_key_whose_id_was_revoked_is_replaced(world: World) -> None:
    phone = world.phone()
    phone.put("workouts", title="w")
    phone.step("unheard")
    world.server.revoke("dev00001")
    world.settle()
    world.assert_settled()
    assert phone.device_id() == "dev00002"


def test_a_record_too_large_for_one_change_is_written_anew_in_several(world: World) -> None:
    phone = ready(world)
    big = phone.new_id()
    with phone.db.write() as tx:
        shown = {"values": {"title": "x" * 50_000, "unit": "y" * 50_000, "kind": "custom"}}
        writes = whole_writes(tx, PERSONAL, ("goals", big), shown)
        assert [sorted(one.fields) for one in writes] == [["kind", "title"], ["unit"]]
        # What no change can hold at all can still be read.
        assert whole_writes(tx, PERSONAL, ("goals", big), {"values": {"title": "x" * 70_000}})[0].fields == {}
    assert [entry.code for entry in phone.inbox()] == ["too_long"]


def test_a_text_with_too_long_a_past_is_written_anew_without_it(world: World) -> None:
    phone = ready(world)
    document: Doc[Any] = Doc(client_id=1)
    content = document.get("text", type=Text)
    content += "short"
    for n in range(4_000):
        # Typed and deleted again, never in one place twice: nothing of it can be joined.
        with document.transaction():
            content.insert(n % 5, "x")
            del content[n % 5 : n % 5 + 1]
            content.insert(5 - n % 5, "y")
            del content[5 - n % 5 : 6 - n % 5]
    shown = {"text": "short", "yjs": base64.b64encode(document.get_update()).decode()}
    assert len(shown["yjs"]) > 57_344
    with phone.db.write() as tx:
        (write,) = whole_writes(tx, PERSONAL, ("workouts", phone.new_id()), {"values": {"notes": shown}})
    assert laid_over(None, write.fields["notes"]["yjs"])["text"] == "short"


def test_what_a_later_state_of_a_phone_took_back_waits_in_the_inbox_of_its_older_copy(
    world: World, tmp_path: Path
) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    request = phone.device.next_request()
    assert request is not None
    phone.put("sets", one, tempo="builds on it")
    phone.copy_to(tmp_path / "copy.db")
    phone.device.answer(request, world.server.handle(request))
    phone.sync()
    assert {entry.code for entry in phone.inbox()} == {"out_of_range", "depends"}

    phone.go_back_to(tmp_path / "copy.db")
    phone.sync()

    told = {(entry.code, *entry.fields) for entry in phone.inbox()}
    assert told == {("out_of_range", "reps"), ("withdrawn", "tempo")}
    world.settle()
    world.assert_nothing_lost()
