"""Rules 8 to 11 of device.md: sending."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from fitai_client.core import inbox
from fitai_client.core.requests import Answer, Request
from fitai_client.core.spaces import PERSONAL, all_spaces, save, space, stream
from fitai_client.core.writing import Write
from fitai_client.errors import NotFound, Unreachable
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World
from tests.simulator.power import Mark, WatchedDatabase, left_by, mark_of


def body(request: Request) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(request.body or "{}")
    return result


def states(phone: Phone) -> list[int]:
    return [row[0] for row in phone.db.conn.execute("SELECT state FROM log ORDER BY pos")]


def ready(world: World) -> Phone:
    """A device that has its id and its space, and nothing to do."""
    phone = world.phone()
    phone.sync()
    return phone


def pushed(phone: Phone) -> list[int]:
    """Sync until nothing is due; how many changes each push held."""
    sizes = []
    while (request := phone.step()) is not None:
        if request.kind == "push" and request.asked["first"] is not None:
            sizes.append(len(body(request)["changes"]))
    return sizes


def test_rule_8_sent_is_recorded_before_the_request_leaves(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="w")
    request = phone.device.next_request()
    assert request is not None and request.kind == "push"

    # The process dies here: the request may be on its way.
    phone.restart()

    assert states(phone) == [1]
    assert phone.step().kind == "spaces"  # type: ignore[union-attr]
    again = phone.device.next_request()
    assert again is not None and body(again)["changes"] == body(request)["changes"]


def power_of(phone: Phone, *, synced_before: bool = True) -> Callable[[], None]:
    """Cuts the phone's power when called: of its file what is on the disk is left, and it starts again.

    synced_before: whether what is in the file now is on the disk.
    """
    phone.db.__class__ = WatchedDatabase
    synced = [mark_of(phone.path) if synced_before else Mark(b"", 0)]
    cast(WatchedDatabase, phone.db).synced = lambda: synced.append(mark_of(phone.path))

    def cut() -> None:
        files = left_by(phone.path, synced[-1])
        phone.db.conn.close()
        for suffix, data in files.items():
            phone.path.with_name(phone.path.name + suffix).write_bytes(data)
        phone.open()

    return cut


def push_void(phone: Phone) -> None:
    """Up to where a void has left, and the server has it."""
    while (request := phone.step()) is None or '"op":"void"' not in (request.body or ""):
        assert request is not None


def test_rule_8_what_a_server_refused_is_on_the_disk_before_a_void_in_its_place_leaves(world: World) -> None:
    phone = ready(world)
    cut_power = power_of(phone)
    id = phone.put("workouts", title="w")
    phone.refuse(400, "malformed")

    push_void(phone)
    cut_power()
    phone.sync()

    assert [(entry.id, entry.fields) for entry in phone.inbox()] == [(id, {"title": "w"})]


def test_rule_8_so_it_is_where_the_server_that_had_refused_it_is_restored(world: World) -> None:
    phone, _, _, exercise, _ = pair(world)
    backup = world.server.backup()
    cut_power = power_of(phone)
    id = phone.put("sets", workout_exercise=exercise, reps=10_001)
    phone.sync()
    assert [entry.id for entry in phone.inbox()] == [id]
    world.server.restore(backup)

    phone.heal()
    push_void(phone)
    cut_power()
    phone.sync()

    assert [entry.id for entry in phone.inbox()] == [id]


def test_rule_8_an_installations_key_is_on_the_disk_before_it_asks_for_an_id(world: World) -> None:
    phone = world.phone()
    cut_power = power_of(phone, synced_before=False)
    key = body(registration(phone))["key"]

    cut_power()

    assert body(registration(phone))["key"] == key


def registration(phone: Phone) -> Request:
    request = phone.device.next_request()
    assert request is not None and request.kind == "register"
    return request


def test_rule_9_an_answer_speaks_for_the_changes_of_its_request_alone(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    request = phone.device.next_request()
    assert request is not None
    phone.put("workouts", title="b")

    # A twin under the same id may have pushed more than this request carried.
    answer = json.loads(world.server.handle(request).body) | {"acked": 7}
    phone.device.answer(request, Answer(200, json.dumps(answer).encode()))

    assert states(phone) == [2, 0]
    with phone.db.write() as tx:
        assert stream(tx, PERSONAL, phone.device_id()).after_n == 1


def test_rule_9_less_may_be_acked_than_was_sent(world: World) -> None:
    phone = ready(world)
    for title in "abc":
        phone.put("workouts", title=title)
    request = phone.device.next_request()
    assert request is not None
    reply = {"acked": 2, "life": "1", "cursor": "1:2:2", "rejected": []}
    phone.device.answer(request, Answer(200, json.dumps(reply).encode()))
    assert states(phone) == [2, 2, 1]
    with phone.db.write() as tx:
        assert stream(tx, PERSONAL, phone.device_id()).after_n == 2


def test_rule_9_a_late_answer_does_not_move_after(world: World) -> None:
    phone = ready(world)
    backup = world.server.backup()
    phone.put("workouts", title="a")
    phone.step("late")
    world.server.restore(backup)

    phone.sync()
    phone.put("workouts", title="b")
    phone.deliver_late()

    assert states(phone) == [2, 0]
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()


def test_rule_10_a_refused_change_goes_to_the_inbox_with_its_reason(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.sync()
    (entry,) = phone.inbox()
    assert (entry.code, entry.field, entry.fields) == ("out_of_range", "reps", {"reps": 10_001})
    assert "10000" in entry.message
    assert value(phone, "sets", one, "reps") == 1


def test_rule_10_later_puts_of_the_record_and_below_that_never_left_go_with_it(world: World) -> None:
    phone, _, workout, exercise, one = pair(world)
    phone.put("sets", one, reps=10_001)
    request = phone.device.next_request()
    assert request is not None
    phone.put("sets", one, tempo="slow")
    phone.put("sets", workout_exercise=exercise, reps=3)
    phone.write([Write("sets", one, {"reps": 4}), Write("workouts", workout, {"title": "grouped"})])
    phone.device.answer(request, world.server.handle(request))

    assert [(entry.code, entry.fields) for entry in phone.inbox()] == [
        ("out_of_range", {"reps": 10_001}),
        ("depends", {"tempo": "slow"}),
        ("depends", {"reps": 4}),
        ("depends", {"title": "grouped"}),
    ]
    world.settle()
    world.assert_settled()
    # Their numbers are spent by voids, so that the sequence has no hole.
    assert [c.sent["op"] for c in world.server.state.ledger.values()][-4:] == ["void", "put", "void", "void"]


def test_rule_10_what_a_void_stands_for_takes_nothing_else_of_its_group_along(world: World) -> None:
    phone, _, workout, _, one = pair(world)
    phone.write([Write("workouts", workout, {"title": "t"}), Write("sets", one, {"reps": 7})])
    request = phone.device.next_request()
    assert request is not None
    answer = json.loads(world.server.handle(request).body)
    answer["rejected"] = [{"n": request.asked["first"], "code": "withdrawn", "message": "A later state took it back."}]
    phone.device.answer(request, Answer(200, json.dumps(answer).encode()))
    assert [(entry.code, entry.fields) for entry in phone.inbox()] == [("withdrawn", {"title": "t"})]
    assert value(phone, "sets", one, "reps") == 7


def test_rule_10_of_a_group_all_go(world: World) -> None:
    phone, _, workout, _, one = pair(world)
    phone.write([Write("workouts", workout, {"title": "t"}), Write("sets", one, {"reps": 10_001})])
    phone.sync()
    assert {entry.code for entry in phone.inbox()} == {"group", "out_of_range"}
    assert value(phone, "workouts", workout, "title") == "w"


def test_rule_10_what_is_malformed_alone_is_replaced_by_a_void(world: World) -> None:
    phone = ready(world)
    for title in "abcd":
        phone.put("workouts", title=title)
    sizes = []
    for _ in range(8):
        request = phone.device.next_request()
        if request is None or request.kind != "push":
            break
        sent = body(request)["changes"]
        sizes.append(len(sent))
        if any(change.get("fields") == {"title": "b"} for change in sent):
            refusal = {"error": "no", "code": "malformed", "details": None}
            phone.device.answer(request, Answer(400, json.dumps(refusal).encode()))
        else:
            phone.device.answer(request, world.server.handle(request))
    assert sizes[:3] == [4, 2, 1]
    phone.sync()
    assert [(entry.code, entry.fields) for entry in phone.inbox()] == [("malformed", {"title": "b"})]
    assert sorted(r["title"] for r in phone.list("workouts")) == ["a", "c", "d"]
    world.settle()
    world.assert_settled()


@pytest.mark.parametrize("told", [True, False], ids=["announced", "not heard of"])
def test_a_server_that_takes_little_at_once_is_sent_little_at_once(world: World, told: bool) -> None:
    phone = ready(world)
    world.server.batch_changes_max = 3
    if told:
        phone.device.limits_told({"batch_changes_max": 3})
    for n in range(100):
        phone.put("workouts", title=str(n))
    sizes = pushed(phone)
    taken = [size for size in sizes if size <= 3]
    assert sum(taken) == 100
    # Where it has to find out: from the top once, and then at most one try in vain for each batch.
    assert len(sizes) - len(taken) <= (0 if told else len(taken) + 6)


def test_after_a_batch_that_was_too_large_batches_grow_again(world: World) -> None:
    phone = ready(world)
    phone.device.batch_limit[PERSONAL] = 1
    for n in range(14):
        phone.put("workouts", title=str(n))
    assert pushed(phone) == [1, 2, 4, 7]


def test_rule_10_where_the_right_to_write_is_gone_the_whole_queue_goes(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    phone.put("workouts", title="b")
    phone.refuse(403, "read_only")
    assert [entry.code for entry in phone.inbox()] == ["read_only", "read_only"]
    assert phone.list("workouts") == []
    # Voids may still be pushed, so that a later right to write finds no hole.
    phone.sync()
    assert phone.status().pending == 0


def test_rule_10_where_the_space_is_gone_what_is_shown_stays_readable(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    phone.put("workouts", workout, title="unsent")
    phone.refuse(404, "not_found")
    assert [entry.code for entry in phone.inbox()] == ["not_found"]
    assert value(phone, "workouts", workout, "title") == "w"
    assert phone.status().spaces[0].phase == "gone"
    assert phone.step() is None
    with pytest.raises(NotFound):
        phone.put("workouts", title="new")


def test_a_space_that_lets_the_user_in_again_is_fetched_anew(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    with phone.db.write() as tx:
        save(tx, space(tx, PERSONAL), phase="gone")
    world.settle()
    world.assert_settled()
    assert value(phone, "workouts", workout, "title") == "w"


@pytest.mark.parametrize(("status", "code"), [(418, "teapot"), (426, "protocol_unsupported"), (409, "over_quota")])
def test_rule_11_an_unknown_4xx_pauses_the_queue_and_status_says_why(world: World, status: int, code: str) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    phone.refuse(status, code)
    assert phone.step() is None
    told = phone.status()
    assert told.pending == 1 and code in told.why
    assert told.spaces[0].paused is not None and told.spaces[0].paused["code"] == code

    with phone.db.write() as tx:
        for found in all_spaces(tx):
            save(tx, found, paused=None)
    world.settle()
    world.assert_settled()


def test_a_pause_does_not_stop_fetching(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.put("workouts", title="a")
    phone.refuse(409, "over_quota")
    other.put("sets", one, reps=8)
    other.sync()
    phone.sync()
    assert value(phone, "sets", one, "reps") == 8


def test_mass_delete_asks_and_a_yes_is_sent_once(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    phone.delete("workouts", workout)
    phone.refuse(409, "mass_delete", {"collection": "workouts", "count": 200, "of": 210})
    assert "is really to be deleted (mass_delete" in phone.status().why
    with phone.db.write() as tx:
        save(tx, space(tx, PERSONAL), paused=None, confirm_deletes=True)
    request = phone.step()
    assert request is not None and body(request)["confirm_deletes"] is True
    phone.put("workouts", title="next")
    request = phone.device.next_request()
    assert request is not None and "confirm_deletes" not in body(request)


@pytest.mark.parametrize(
    ("status", "code"), [(503, "unavailable"), (429, "rate_limited"), (500, "internal"), (409, "schema_ahead")]
)
def test_busy_waits_and_pushes_the_same_again(world: World, status: int, code: str) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    first = phone.refuse(status, code, retry_after_s=2)
    assert phone.device.next_request() is None
    wake = phone.device.next_wake_ms()
    # Pending and refused for now: a timer is armed.
    assert wake is not None and 2_000 <= wake < 3_000
    world.tick(wake)
    again = phone.device.next_request()
    assert again is not None and body(again)["changes"] == body(first)["changes"]


def test_a_read_that_is_too_much_is_asked_again_when_it_was_told(world: World) -> None:
    phone = world.phone()
    assert [phone.step().kind for _ in range(2)] == ["register", "spaces"]  # type: ignore[union-attr]
    first = phone.refuse(429, "rate_limited", retry_after_s=2)
    assert first.kind == "snapshot" and phone.device.next_request() is None
    wake = phone.device.next_wake_ms()
    assert wake is not None and 2_000 <= wake < 3_000
    world.tick(wake)
    again = phone.device.next_request()
    assert again is not None and (again.kind, again.query) == (first.kind, first.query)


def test_a_wait_that_ends_between_two_looks_is_over_and_not_forgotten(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    phone.refuse(503, "unavailable", retry_after_s=2)
    phone.device.live = {PERSONAL, 2}
    phone.device.pull_at_ms.clear()
    world.tick((phone.device.next_wake_ms() or 0) - 1)
    # Somebody writes in the last moment: it is too early, and once that was said it is not any more.
    assert phone.device.next_request() is None
    world.tick(5)
    assert phone.device.next_wake_ms() == 0
    assert phone.step() is not None
    phone.finish()
    world.tick(phone.device.next_wake_ms() or 0)
    phone.finish()
    # Nothing waits, so nothing wakes it.
    assert phone.device.next_wake_ms() is None


def test_nothing_wakes_a_device_for_a_space_that_it_may_no_longer_read(world: World) -> None:
    phone = ready(world)
    phone.finish()
    assert phone.device.next_wake_ms()
    # Another process of this device was told so.
    with phone.db.write() as tx:
        save(tx, space(tx, PERSONAL), phase="gone", pull=0)
    world.tick(phone.device.next_wake_ms() or 0)
    assert phone.step() is None
    assert phone.device.next_wake_ms() is None


def test_what_waits_for_a_space_that_one_was_let_out_of_and_is_invited_to_again_does_not_wait_for_ever(
    world: World,
) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    with phone.db.write() as tx:
        save(tx, space(tx, PERSONAL), state="invited")
    assert phone.refuse(404, "not_found").kind == "push"
    assert phone.status().pending == 0 and len(phone.inbox()) == 1


def test_so_does_what_waits_where_its_first_snapshot_had_not_come_whole(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    with phone.db.write() as tx:
        save(tx, space(tx, PERSONAL), state="invited", phase="snapshot", cursor=None)
    assert phone.refuse(404, "not_found").kind == "push"
    assert phone.status().pending == 0 and len(phone.inbox()) == 1


def test_spaces_that_are_wished_for_while_their_list_is_on_its_way_are_asked_for_once_more(world: World) -> None:
    phone = ready(world)
    phone.device.wake(spaces=True)
    asked = phone.device.next_request()
    assert asked is not None and asked.kind == "spaces"
    answer = Answer(200, b'{"spaces": []}')
    # Somebody is let into a space, which the list that is on its way does not have yet.
    phone.device.wake(spaces=True)
    phone.device.answer(asked, answer)
    again = phone.device.next_request()
    assert again is not None and again.kind == "spaces"
    phone.device.answer(again, answer)
    assert not phone.device.want_spaces


def test_a_list_of_spaces_that_could_not_be_taken_is_asked_for_again(world: World) -> None:
    phone = ready(world)
    phone.device.wake(spaces=True)
    world.tick()
    request = phone.device.next_request()
    assert request is not None and request.kind == "spaces"
    with pytest.raises(Unreachable):
        phone.device.answer(request, Answer(200, b'{"spaces": [{"kind": "personal"}]}'))
    phone.device.failed(request, "It was none.")
    world.tick(phone.device.next_wake_ms() or 0)
    again = phone.device.next_request()
    assert again is not None and again.kind == "spaces"


def test_a_clock_that_is_set_back_makes_no_wait_longer(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    assert phone.step("lost") is not None
    phone.skew_ms -= 24 * 3_600_000
    wake = phone.device.next_wake_ms()
    assert wake is not None and wake < 1_000
    world.tick(wake)
    assert phone.device.next_request() is not None


def test_no_answer_waits_longer_each_time_up_to_a_minute(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    waits = []
    for _ in range(12):
        assert phone.step("lost") is not None
        wake = phone.device.next_wake_ms()
        assert wake is not None
        waits.append(wake)
        world.tick(wake)
    assert waits[0] < 1_000 and waits[-1] > 25_000 and max(waits) <= 60_000
    assert "no network" in phone.status().why
    phone.sync()
    assert phone.status().why == ""


def test_a_401_needs_a_sign_in_and_keeps_everything(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    phone.refuse(401, "unauthenticated")
    assert phone.step() is None and phone.device.next_wake_ms() is None
    assert "sign-in" in phone.status().why
    world.settle()
    world.assert_settled()


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"acked": "7"}'])
def test_what_is_no_answer_of_the_protocol_changes_nothing(world: World, answer: bytes) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    request = phone.device.next_request()
    assert request is not None
    with pytest.raises(Unreachable):
        phone.device.answer(request, Answer(200, answer))
    phone.device.failed(request, "no answer")
    assert states(phone) == [1]
    world.settle()
    world.assert_settled()


def test_batches_hold_at_most_a_thousand_changes_and_never_split_a_group(world: World) -> None:
    phone = ready(world)
    groups = [[Write("goals", phone.new_id(), {"title": "g"}) for _ in range(400)] for _ in range(3)]
    with phone.db.write() as tx:
        from fitai_client.core.writing import write_groups

        write_groups(tx, PERSONAL, groups)
    request = phone.device.next_request()
    assert request is not None
    assert len(body(request)["changes"]) == 800
    assert {change["group"] for change in body(request)["changes"]} == {1, 401}


def test_batches_hold_at_most_a_mebibyte(world: World) -> None:
    phone = ready(world)
    with phone.db.write() as tx:
        from fitai_client.core.writing import write_groups

        write_groups(tx, PERSONAL, [[Write("goals", phone.new_id(), {"title": "x" * 60_000})] for _ in range(30)])
    request = phone.device.next_request()
    assert request is not None
    assert 900_000 < len(request.body or "") <= 1024 * 1024


def test_contexts_are_left_out_where_they_are_those_of_the_change_before(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=2)
    phone.put("sets", one, reps=3)
    request = phone.device.next_request()
    assert request is not None
    assert ["context" in change for change in body(request)["changes"]] == [True, False]


def test_a_gap_is_filled_from_the_kept_log(world: World) -> None:
    phone = ready(world)
    phone.put("workouts", title="a")
    phone.sync()
    phone.put("workouts", title="b")
    phone.refuse(409, "gap", {"expected": 1})
    request = phone.device.next_request()
    assert request is not None
    assert [change["n"] for change in body(request)["changes"]] == [1, 2] and body(request)["after"] is None


def test_a_refused_text_is_followed_by_the_whole_document(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, notes="one")
    phone.sync()
    phone.put("workouts", workout, notes="one two")
    request = phone.device.next_request()
    assert request is not None
    reply = {"acked": body(request)["changes"][-1]["n"], "life": "1", "cursor": "x"}
    reply["rejected"] = [{"n": reply["acked"], "code": "bad_text", "field": "notes", "message": "no"}]
    world.server.state.ledger.clear()
    phone.device.answer(request, Answer(200, json.dumps(reply).encode()))
    phone.put("workouts", workout, notes="one three")
    fields = json.loads(phone.db.conn.execute("SELECT fields FROM log ORDER BY pos DESC LIMIT 1").fetchone()[0])

    from fitai_client.core.text import laid_over

    assert laid_over(None, fields["notes"]["yjs"])["text"] == "one three"
    assert other is not phone


def test_the_inbox_can_be_mended_resent_and_discarded(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.sync()
    phone.put("sets", one, reps=10_002)
    phone.sync()
    first, second = phone.inbox()
    with phone.db.write() as tx:
        inbox.resend(tx, first.no, {"reps": 100})
        inbox.discard(tx, second.no)
        with pytest.raises(NotFound):
            inbox.discard(tx, second.no)
        with pytest.raises(NotFound):
            inbox.resend(tx, second.no)
    assert value(phone, "sets", one, "reps") == 100
    assert phone.inbox() == []
    world.settle()
    world.assert_settled()


def test_status_tells_of_what_was_refused_while_nothing_waits(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.sync()
    assert phone.status().why == "1 change was refused."


def test_status_tells_of_a_snapshot_that_is_not_complete_while_the_server_is_away(world: World) -> None:
    _, other, _, _, _ = pair(world)
    for n in range(5):
        other.put("workouts", title=f"w{n}")
    other.sync()
    phone = world.phone()
    while (request := phone.step()) is not None and request.kind != "snapshot":
        pass
    assert phone.status().why == "Your training has not all arrived yet (3 records so far): it is being fetched."
    phone.step("lost")
    why = phone.status().why
    assert why.startswith("Your training has not all arrived yet (3 records so far): no network; the next try is in ")
    phone.device.signed_in = False
    assert "sign in again" in phone.status().why
    world.settle()
    assert phone.status().why == ""


def test_status_says_a_reason_once(world: World) -> None:
    pair(world)
    phone = world.phone()
    while (request := phone.step()) is not None and request.kind != "snapshot":
        pass
    phone.put("workouts", title="mine")
    phone.step("lost")
    why = phone.status().why
    assert why.startswith("1 change waits: no network") and why.count("no network") == 1
    assert why.endswith("Your training has not all arrived yet (3 records so far).")


@pytest.mark.parametrize("made_here", [True, False])
def test_nothing_is_to_come_into_an_account_that_was_made_on_this_device(world: World, made_here: bool) -> None:
    phone = world.phone()
    with phone.db.write() as tx:
        tx.set_meta("made_here", "1" if made_here else None)
    phone.put("workouts", title="mine")
    while phone.step("lost") is None:
        pass
    assert ("Your training has not all arrived yet" in phone.status().why) is not made_here


def newer_schema(world: World, phone: Phone) -> None:
    """The server is updated, and the device looks again the day after."""
    world.server.schema = 2
    world.tick(25 * 3600 * 1000)
    phone.sync()


def test_what_the_schema_did_not_allow_is_sent_again_once_it_does(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    phone.put("sets", one, reps=10_001)
    made = phone.new_id()
    phone.write(
        [
            Write("sets", made, {"workout_exercise": exercise, "reps": 10_002}),
            Write("workouts", workout, {"title": "grouped"}),
        ]
    )
    phone.sync()
    assert [entry.code for entry in phone.inbox()] == ["out_of_range", "out_of_range", "group"]
    phone.restart()
    phone.sync()
    assert len(phone.inbox()) == 3

    newer_schema(world, phone)

    assert phone.inbox() == []
    assert value(phone, "sets", one, "reps") == 10_001 and value(phone, "sets", made, "reps") == 10_002
    assert value(phone, "workouts", workout, "title") == "grouped"
    world.settle()
    world.assert_settled()
    assert value(other, "sets", made, "reps") == 10_002


def test_what_another_wrote_meanwhile_is_not_replaced_but_a_conflict(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.sync()
    other.put("sets", one, reps=7)
    other.sync()
    phone.sync()
    newer_schema(world, phone)
    world.settle()
    record = phone.get("sets", one)
    assert record is not None
    assert {record["reps"], record.conflicts["reps"][0].value} == {10_001, 7}


def test_what_the_user_wrote_over_or_deleted_waits_for_a_decision(world: World) -> None:
    phone, _, workout, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.sync()
    phone.put("sets", one, reps=12)
    newer_schema(world, phone)
    assert [entry.fields for entry in phone.inbox()] == [{"reps": 10_001}] and value(phone, "sets", one, "reps") == 12
    world.server.schema = 1
    other_set = phone.put("sets", workout_exercise=phone.list("workout_exercises")[0].id, reps=1)
    phone.put("sets", other_set, reps=10_003)
    phone.sync()
    phone.delete("workouts", workout)
    world.server.schema = 3
    world.tick(25 * 3600 * 1000)
    phone.sync()
    assert len(phone.inbox()) == 2 and phone.shown() == {}


def test_what_is_refused_again_stays_and_is_not_sent_each_day(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=20_001)
    phone.sync()
    newer_schema(world, phone)
    assert [entry.fields for entry in phone.inbox()] == [{"reps": 20_001}]
    ledger = len(world.server.state.ledger)
    world.tick(25 * 3600 * 1000)
    phone.sync()
    assert len(world.server.state.ledger) == ledger


@pytest.mark.parametrize(
    "body",
    [
        '{"spaces": [null]}',
        '{"spaces": [{"id": {}, "kind": "personal", "role": "owner", "state": "member", "name": ""}]}',
        '{"spaces": [{"id": "s", "kind": "personal", "role": 1180591620717411303424, "state": "member"}]}',
        "[" * 100_000,
    ],
)
def test_an_answer_that_breaks_the_protocol_deep_inside_changes_nothing_and_is_asked_for_again(
    world: World, body: str
) -> None:
    phone = world.phone()
    while (request := phone.device.next_request()) is not None and request.kind != "spaces":
        phone.device.answer(request, world.server.handle(request))
    assert request is not None
    before = phone.db.conn.execute("SELECT * FROM spaces").fetchall()
    with pytest.raises(Unreachable):
        phone.device.answer(request, Answer(200, body.encode()))
    assert phone.db.conn.execute("SELECT * FROM spaces").fetchall() == before
    phone.device.failed(request, "no answer")
    world.settle()
    world.assert_settled()


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_no_answer_and_leaves_the_database_readable(
    world: World, number: str
) -> None:
    phone = ready(world)
    other = world.phone()
    other.put("workouts", title="theirs")
    other.sync()
    phone.heal()
    while (request := phone.device.next_request()) is not None and request.kind != "pull":
        phone.device.answer(request, world.server.handle(request))
    assert request is not None
    body = world.server.handle(request).body.decode().replace('"theirs"', number)
    assert number in body
    with pytest.raises(Unreachable):
        phone.device.answer(request, Answer(200, body.encode()))
    phone.device.failed(request, "no answer")
    assert phone.list("workouts") == []
    world.settle()
    world.assert_settled()


def test_a_wait_that_the_server_named_is_kept_and_spread_by_as_much_as_half_of_it(world: World) -> None:
    waits = []
    for _ in range(40):
        phone = world.phone()
        phone.refuse(503, "busy", retry_after_s=20.0)
        waits.append(phone.device.next_wake_ms() or 0)
    assert min(waits) >= 20_000 and max(waits) <= 30_000
    assert len({wait // 1_000 for wait in waits}) >= 6


def test_the_status_shows_the_quota_that_the_server_told_last(world: World) -> None:
    phone = ready(world)
    assert phone.status().spaces[0].quota is None

    phone.put("workouts", title="w")
    phone.sync()

    assert phone.status().spaces[0].quota == {"records": 1, "records_max": 10**6, "bytes": 0, "bytes_max": 10**9}


def refused_for_the_schema(world: World) -> tuple[Phone, Phone, str]:
    """`phone` has written a set and then something that a schema of before did not allow."""
    phone, other, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    world.settle()
    assert len(phone.inbox()) == 1
    return phone, other, one


def grow(world: World) -> None:
    world.server.schema += 1
    for _ in range(2):
        world.tick(25 * 3600 * 1000)
        world.settle()


def test_what_the_schema_refused_and_was_written_over_is_not_sent_again_once_the_log_is_shorter(world: World) -> None:
    phone, other, one = refused_for_the_schema(world)
    phone.put("sets", one, reps=50)
    world.settle()
    world.tick(31 * 24 * 3600 * 1000)
    phone.restart()
    grow(world)
    assert value(other, "sets", one, "reps") == 50
    assert [entry.fields for entry in phone.inbox()] == [{"reps": 10_001}]
    world.assert_nothing_lost()


def test_what_the_schema_refused_is_sent_again_where_nothing_was_written_over_it_however_late(world: World) -> None:
    phone, other, one = refused_for_the_schema(world)
    phone.put("sets", one, tempo="slow")
    world.settle()
    world.tick(31 * 24 * 3600 * 1000)
    phone.restart()
    grow(world)
    assert value(other, "sets", one, "reps") == 10_001 and phone.inbox() == []


def test_what_the_schema_refused_of_a_workout_that_is_deleted_since_waits_for_a_person(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, title="long")
    phone.refuse(400, "malformed")
    with phone.db.write() as tx:
        tx.execute("UPDATE inbox SET code = 'too_long', cause = (SELECT MAX(pos) FROM log)")
    world.settle()
    other.delete("workouts", workout)
    world.settle()
    with phone.db.write() as tx:
        inbox.schema_told(tx, 1)
        assert inbox.schema_told(tx, 2) == 0
    assert len(phone.inbox()) == 1 and phone.get("workouts", workout) is None
