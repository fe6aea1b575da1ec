"""Rules 4 to 7 of device.md: what a device shows."""

from __future__ import annotations

from collections.abc import Callable

from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.writing import Write
from tests.client_sdk.world import Phone, World


def value(phone: Phone, collection: str, id: str, name: str) -> object:
    record = phone.get(collection, id)
    return None if record is None else record.get(name)


def pair(world: World) -> tuple[Phone, Phone, str, str, str]:
    """Two devices that both know a workout with one exercise and one set."""
    phone, other = world.phone(), world.phone()
    workout = phone.put("workouts", title="w")
    exercise = phone.put("workout_exercises", workout=workout)
    one = phone.put("sets", workout_exercise=exercise, reps=1)
    phone.sync()
    other.sync()
    return phone, other, workout, exercise, one


def push_only(phone: Phone) -> None:
    """Carry the next request, which is a push, and nothing after it."""
    request = phone.step()
    assert request is not None and request.kind == "push"


def test_rule_4_an_answer_alone_does_not_take_a_change_out_of_the_overlay(world: World) -> None:
    phone, other, _, _, one = pair(world)
    other.put("sets", one, reps=5)
    other.sync()
    phone.put("sets", one, reps=9)
    push_only(phone)

    record = phone.get("sets", one)

    assert record is not None and record["reps"] == 9 and record.pending == ("reps",)
    phone.sync()
    record = phone.get("sets", one)
    assert record is not None and record.pending == ()


def test_rule_4_a_version_alone_does_not_either(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    phone.step("unheard")

    # The version covers the refused change, but nobody has told this device that it was refused.
    phone.take_delta()
    assert value(phone, "sets", one, "reps") == 10_001

    phone.sync()
    assert value(phone, "sets", one, "reps") == 1


def test_rule_4_changes_are_laid_over_in_the_order_of_n(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    phone.put("sets", one, reps=2)
    phone.put("sets", one, tempo="slow")
    phone.put("sets", one, reps=3)
    phone.put("workouts", workout, tags=["a", "b"])
    phone.put("workouts", workout, tags={"remove": ["a"], "add": ["c"]})
    other.put("sets", one, reps=7)
    other.sync()
    phone.take_delta()
    record = phone.get("sets", one)
    assert record is not None and (record["reps"], record["tempo"]) == (3, "slow")
    assert value(phone, "workouts", workout, "tags") == ["b", "c"]


def test_rule_5_a_value_pulled_under_a_change_is_listed_and_the_next_change_replaces_it(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.put("sets", one, reps=9)
    other.put("sets", one, reps=7)
    other.sync()
    phone.take_delta()
    record = phone.get("sets", one)
    assert record is not None
    assert record["reps"] == 9
    assert [conflict.value for conflict in record.conflicts["reps"]] == [7]

    phone.put("sets", one, reps=10)

    world.settle()
    record = other.get("sets", one)
    assert record is not None
    # 7 had been listed, so that 10 names it; nothing is left to decide.
    assert record["reps"] == 10 and record.conflicts == {}


def test_rule_5_what_the_change_itself_had_seen_is_not_listed(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=9)
    phone.take_delta()
    record = phone.get("sets", one)
    assert record is not None and record.conflicts == {}


def test_rule_5_a_passing_register_lists_nothing(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, rest_timer={"started_at": "a", "duration_s": 1})
    other.put("workouts", workout, rest_timer={"started_at": "b", "duration_s": 2})
    other.sync()
    phone.take_delta()
    record = phone.get("workouts", workout)
    assert record is not None and record["rest_timer"]["duration_s"] == 1 and record.conflicts == {}


def test_rule_6_a_record_shows_where_its_parent_is_there(world: World) -> None:
    phone = world.phone()
    workout, exercise = phone.new_id(), phone.new_id()
    one = phone.put("sets", workout_exercise=exercise, reps=1)
    assert phone.list("sets") == []
    phone.put("workout_exercises", exercise, workout=workout)
    assert phone.list("sets") == []
    phone.put("workouts", workout, title="w")
    assert [record.id for record in phone.list("sets", workout=workout)] == [one]
    assert phone.list("sets")[0].above == {"workout_exercises": exercise, "workouts": workout}


def test_rule_6_a_tombstone_drops_what_lies_below_and_keeps_its_values_aside(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    other.delete("workouts", workout)
    other.sync()
    phone.sync()
    assert phone.shown() == {}
    with phone.db.write() as tx:
        assert {row[0] for row in tx.all("SELECT id FROM aside")} == {workout, exercise, one}
        assert tx.one("SELECT COUNT(*) FROM records")[0] == 0


def test_rule_6_a_tombstone_waits_for_own_puts_below_which_bring_the_record_back(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    phone.put("sets", one, reps=9)
    other.delete("workouts", workout)
    other.sync()

    phone.take_delta()
    assert phone.shown().keys() == {("workouts", workout), ("workout_exercises", exercise), ("sets", one)}

    world.settle()
    world.assert_settled()
    assert value(other, "sets", one, "reps") == 9


def test_rule_6_a_tombstone_that_waited_applies_when_the_put_is_refused(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    phone.put("sets", one, reps=10_001)
    other.delete("workouts", workout)
    other.sync()
    phone.take_delta()
    assert phone.get("sets", one) is not None

    push_only(phone)

    assert phone.shown() == {}


def test_rule_6_a_passing_value_alone_does_not_keep_a_record(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, rest_timer={"started_at": "a", "duration_s": 90})
    other.delete("workouts", workout)
    other.sync()
    phone.take_delta()
    assert phone.shown() == {}
    world.settle()
    world.assert_settled()


def test_rule_6_an_own_delete_hides_what_is_below_and_a_later_put_below_brings_it_back(world: World) -> None:
    phone, other, workout, exercise, one = pair(world)
    phone.delete("workouts", workout)
    assert phone.shown() == {}

    phone.put("sets", one, reps=5)

    assert phone.shown().keys() == {("workouts", workout), ("workout_exercises", exercise), ("sets", one)}
    world.settle()
    world.assert_settled()
    assert value(other, "sets", one, "reps") == 5


def test_rule_6_an_own_delete_of_what_was_never_sent_leaves_nothing(world: World) -> None:
    phone = world.phone()
    workout = phone.put("workouts", title="w")
    phone.delete("workouts", workout)
    assert phone.shown() == {}
    world.settle()
    world.assert_settled()


def test_rule_6_a_record_that_comes_back_brings_everything_below_anew(world: World) -> None:
    phone, other, workout, _, one = pair(world)
    third = world.phone()
    third.sync()
    other.delete("workouts", workout)
    other.sync()
    phone.sync()
    assert phone.shown() == {}

    third.put("sets", one, reps=3)
    third.sync()
    phone.sync()

    assert value(phone, "sets", one, "reps") == 3
    with phone.db.write() as tx:
        assert tx.all("SELECT * FROM aside") == []


def test_rule_5_what_was_pulled_under_an_own_delete_is_not_buried_by_a_delete_above(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    phone.delete("workout_exercises", exercise)
    unseen = other.put("sets", workout_exercise=exercise, reps=5)
    other.sync()
    phone.take_delta()
    assert phone.get("sets", unseen) is None

    phone.delete("workouts", workout)

    world.settle()
    world.assert_settled()
    assert value(phone, "sets", unseen, "reps") == 5


def test_rule_5_a_delete_above_knows_what_was_shown(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    phone.delete("workout_exercises", exercise)
    other.put("workouts", workout, title="seen")
    other.sync()
    phone.take_delta()
    phone.delete("workouts", workout)
    world.settle()
    world.assert_settled()
    assert phone.shown() == {}


def test_rule_7_a_late_pull_is_dropped(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.heal()
    assert phone.step().kind == "spaces"  # type: ignore[union-attr]
    other.put("sets", one, reps=2)
    other.sync()
    late = phone.device.next_request()
    assert late is not None and late.kind == "pull"
    old = world.server.handle(late)
    other.put("sets", one, reps=3)
    other.sync()
    phone.take_delta()

    phone.device.answer(late, old)

    assert value(phone, "sets", one, "reps") == 3
    with phone.db.write() as tx:
        assert space(tx, PERSONAL).version == world.server.state.acked


def phase_of(phone: Phone) -> str:
    with phone.db.write() as tx:
        return space(tx, PERSONAL).phase


def late_pull_then(phone: Phone, status: int, code: str) -> None:
    """The answer to a pull is on its way, and another one is refused meanwhile."""
    for fate in ("late", ""):
        phone.heal()
        assert phone.step().kind == "spaces"  # type: ignore[union-attr]
        request = phone.step(fate) if fate else phone.refuse(status, code)
        assert request is not None and request.kind == "pull"


def test_rule_7_a_pull_that_comes_once_a_snapshot_is_due_is_dropped(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    late_pull_then(phone, 400, "bad_cursor")
    while (request := phone.device.next_request()) is not None and request.kind != "snapshot":
        phone.step()
    assert request is not None and phase_of(phone) == "new"

    phone.deliver_late()

    phone.device.answer(request, world.server.handle(request))
    phone.put("workouts", workout, title="after")
    world.settle()
    world.assert_settled()


def test_rule_7_a_pull_that_comes_once_the_space_is_gone_is_dropped(world: World) -> None:
    phone, *_ = pair(world)
    late_pull_then(phone, 404, "not_found")

    phone.deliver_late()

    assert phase_of(phone) == "gone"


def test_rule_7_the_pages_of_one_pull_become_visible_together(world: World) -> None:
    phone, other, workout, exercise, _ = pair(world)
    other.write([Write("sets", other.new_id(), {"workout_exercise": exercise, "reps": n}) for n in range(10, 20)])
    other.sync()
    phone.heal()
    counts = []
    while phone.step() is not None:
        counts.append(len(phone.list("sets", workout=workout)))
    # A page holds three records, and nobody ever sees a part of the ten.
    assert len(counts) > 4
    assert set(counts) == {1, 11}


def test_a_poll_goes_on_to_its_last_page_at_once_and_again_where_no_answer_came(world: World) -> None:
    phone, other, _, _, _ = pair(world)
    while phone.step() is not None:
        pass
    for n in range(7):
        other.put("workouts", title=f"t{n}")
    other.sync()
    world.tick(60_000)

    request = phone.step("lost")
    assert request is not None and request.kind == "pull"
    world.tick(phone.device.next_wake_ms() or 0)
    assert (phone.device.next_wake_ms() or 0) == 0
    kinds = []
    while (request := phone.step()) is not None:
        kinds.append(request.kind)
    assert kinds == ["pull", "pull", "pull"]


def test_a_clock_that_is_set_back_makes_no_poll_late(world: World) -> None:
    phone, other, _, _, _ = pair(world)
    while phone.step() is not None:
        pass
    workout = other.put("workouts", title="late")
    other.sync()

    phone.skew_ms -= 24 * 3_600_000
    wait_ms = phone.device.next_wake_ms()
    assert wait_ms is not None and wait_ms <= 60_000
    world.tick(wait_ms)
    phone.step()
    assert value(phone, "workouts", workout, "title") == "late"


def test_rule_7_a_delta_applies_only_where_it_starts_where_the_device_is(world: World) -> None:
    phone, other, _, _, one = pair(world)
    with phone.db.write() as tx:
        cursor = space(tx, PERSONAL).cursor or ""
    other.put("sets", one, reps=2)
    other.sync()
    first = world.server.delta(cursor)
    assert first is not None
    other.put("sets", one, reps=3)
    other.sync()
    second = world.server.delta(str(first["to"]))
    assert second is not None

    assert phone.device.delta(PERSONAL, second) is False
    assert value(phone, "sets", one, "reps") == 1
    assert phone.device.delta(PERSONAL, first) is True
    assert phone.device.delta(PERSONAL, second) is True
    assert phone.device.delta(PERSONAL, first) is False
    assert value(phone, "sets", one, "reps") == 3


def test_rule_7_a_delta_that_overtakes_the_end_of_a_pull_makes_another_pull_due(world: World) -> None:
    phone, other, _, _, one = pair(world)
    other.put("sets", one, reps=2)
    other.sync()
    phone.heal()

    overtaken(phone, "pull", lambda: other.put("sets", one, reps=3), other)
    phone.finish()

    assert value(phone, "sets", one, "reps") == 3


def test_rule_12_so_does_one_that_overtakes_the_pull_at_the_end_of_a_snapshot(world: World) -> None:
    _, other, _, _, one = pair(world)
    phone = world.phone()

    overtaken(phone, "pull", lambda: other.put("sets", one, reps=3), other)
    phone.finish()

    assert value(phone, "sets", one, "reps") == 3


def test_a_change_that_is_answered_between_the_pages_of_a_pull_is_waited_for_after_them(world: World) -> None:
    phone, other, _, exercise, one = pair(world)
    other.write([Write("sets", other.new_id(), {"workout_exercise": exercise, "reps": n}) for n in range(10, 20)])
    other.sync()
    phone.device.live.add(PERSONAL)
    phone.heal()
    while (request := phone.step()) is not None and request.kind != "pull":
        pass
    phone.put("sets", one, reps=9)

    phone.finish()

    # The socket is to bring it; where it does not, the timer does.
    assert phone.device.next_wake_ms() is not None


def overtaken(phone: Phone, kind: str, write: Callable[[], object], other: Phone) -> None:
    """Carry requests up to one of this kind, whose answer comes only after the delta of what others write behind it."""
    while True:
        phone.world.tick()
        request = phone.device.next_request()
        assert request is not None
        answer = phone.world.server.handle(request)
        if request.kind == kind:
            break
        phone.device.answer(request, answer)
    write()
    other.sync()
    delta = phone.world.server.delta(str(answer.json()["cursor"]))
    assert delta is not None and phone.device.delta(PERSONAL, delta) is False
    phone.device.answer(request, answer)
    phone.assert_consistent()


def test_a_text_shows_every_devices_words(world: World) -> None:
    phone, other, workout, _, _ = pair(world)
    phone.put("workouts", workout, notes="felt strong")
    world.settle()
    phone.put("workouts", workout, notes="felt strong today")
    other.put("workouts", workout, notes="I felt strong")
    assert phone.get("workouts", workout).text("notes") == "felt strong today"  # type: ignore[union-attr]
    world.settle()
    world.assert_settled()
    assert phone.get("workouts", workout).text("notes") == "I felt strong today"  # type: ignore[union-attr]


def test_collections_and_fields_of_a_newer_server_are_kept_unread(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    with phone.db.write() as tx:
        found = space(tx, PERSONAL)
    record = {"collection": "gyms", "id": phone.new_id(), "seq": 900, "deleted": False, "values": {"name": "Iron"}}
    newer = {"collection": "workouts", "id": workout, "seq": 901, "deleted": False, "values": {"mood": 5, "title": "w"}}
    delta = {"life": found.life, "from": found.cursor, "to": "x", "records": [record, newer], "version": {}}
    assert phone.device.delta(PERSONAL, delta)
    assert phone.list("gyms")[0].values == {"name": "Iron"}
    phone.put("workouts", workout, title="new")
    assert phone.get("workouts", workout).values == {"mood": 5, "title": "new"}  # type: ignore[union-attr]
