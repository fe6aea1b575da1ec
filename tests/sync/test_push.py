"""The write path, rule by rule, on both databases."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from conflict import clock
from storage import tables
from storage.push_reads import open_push
from storage.push_writes import write_push
from storage.rows import LINE_BYTES, StoredChange
from sync.bus import MemoryBus
from sync.engine import Engine
from sync.errors import (
    DeviceForked,
    DeviceRevoked,
    Gap,
    MassDelete,
    NotFound,
    OverQuota,
    ReadOnly,
    Resync,
    SchemaAhead,
    ServerBehind,
    UnknownDevice,
)
from sync.limits import Limits
from tests.storage.world import until_blocked
from tests.sync.harness import Device, World


def by_id(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in records}


async def test_what_one_device_pushed_another_pulls(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    workout = world.uuid()

    answer = await phone.push(phone.put("workouts", workout, title="Push day", status="completed"))

    assert (answer.acked, answer.rejected) == (1, [])
    (record,) = await laptop.pull()
    assert record["values"] == {"status": "completed", "title": "Push day"}
    assert (record["collection"], record["id"], record["deleted"]) == ("workouts", workout, False)
    assert record["updated_by"] == phone.id
    assert laptop.context == {phone.id: 1}


async def test_a_repeated_push_changes_nothing_and_answers_the_same(world: World) -> None:
    phone = await world.device()
    good, bad = phone.put("workouts", world.uuid(), title="A"), phone.put("workouts", world.uuid(), title=7)
    first = await phone.push(good, bad)
    phone.after = None

    again = await phone.push(good, bad)

    assert again.as_json()["rejected"] == first.as_json()["rejected"]
    assert (again.acked, again.space.head) == (2, first.space.head)


async def test_one_bad_change_is_rejected_by_name_and_the_rest_lands(world: World) -> None:
    phone = await world.device()
    exercise, good = world.uuid(), world.uuid()
    answer = await phone.push(
        phone.put("workouts", good, title="Good"),
        phone.put("workouts", world.uuid(), reps=5),
        phone.put("nothing", world.uuid(), title="x"),
        phone.put("sets", world.uuid(), workout_exercise=exercise, reps=10_001),
        phone.put("workouts", "not-an-id", title="x"),
        phone.put("personal_records", world.uuid(), value=1),
    )

    assert [(r.n, r.code) for r in answer.rejected] == [
        (2, "unknown_field"),
        (3, "unknown_collection"),
        (4, "out_of_range"),
        (5, "bad_id"),
        (6, "read_only"),
    ]
    assert answer.acked == 6
    assert [r["id"] for r in await phone.pull()] == [good]


async def test_a_group_stands_or_falls_together(world: World) -> None:
    phone = await world.device()
    workout, lost = world.uuid(), world.uuid()
    answer = await phone.push(
        phone.put("workouts", workout, title="Alone"),
        phone.put("workouts", lost, {"group": 1}, title="Of a group"),
        phone.put("workouts", workout, {"group": 1}, title=5),
        phone.put("workouts", workout, {"group": 2}, rating=4),
    )

    assert [(r.n, r.code) for r in answer.rejected] == [(2, "group"), (3, "wrong_type")]
    records = by_id(await phone.pull())
    assert lost not in records
    assert records[workout]["values"] == {"rating": 4, "title": "Alone"}


async def test_concurrent_edits_of_one_field_leave_the_loser_as_a_conflict_until_a_write_saw_it(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, title="Start", rating=3))
    await laptop.pull()
    await phone.pull()
    await phone.push(phone.put("workouts", workout, title="Phone"))
    await laptop.push(laptop.put("workouts", workout, title="Laptop", rating=5))

    (record,) = await phone.pull()
    assert record["values"] == {"rating": 5, "title": "Laptop"}
    assert [(c["value"], c["device"]) for c in record["conflicts"]["title"]] == [("Phone", phone.id)]

    await phone.push(phone.put("workouts", workout, title="Both"))
    (record,) = await laptop.pull()
    assert record["values"]["title"] == "Both"
    assert "conflicts" not in record


async def test_an_edit_below_brings_a_deleted_workout_back_with_all_its_sets(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    workout, exercise, old, new = (world.uuid() for _ in range(4))
    await phone.push(
        phone.put("workouts", workout, title="Legs"),
        phone.put("workout_exercises", exercise, workout=workout),
        phone.put("sets", old, workout_exercise=exercise, reps=5),
    )
    await laptop.pull()
    await phone.push(phone.delete("workouts", workout))
    assert [r["deleted"] for r in await laptop.pull()] == [True]
    laptop.context = {phone.id: 3}

    await laptop.push(laptop.put("sets", new, workout_exercise=exercise, reps=8))

    back = by_id(await phone.pull())
    assert {id for id, record in back.items() if not record["deleted"]} == {workout, exercise, old, new}
    assert back[workout]["seq"] < back[exercise]["seq"] < min(back[old]["seq"], back[new]["seq"])


async def test_what_lies_below_a_deleted_record_is_on_no_wire(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    workout, exercise, lone = world.uuid(), world.uuid(), world.uuid()
    await phone.push(
        phone.put("workouts", workout, title="Legs"),
        phone.put("workout_exercises", exercise, workout=workout),
        phone.put("sets", lone, workout_exercise=world.uuid(), reps=1),
    )
    await phone.push(phone.delete("workouts", workout))

    assert [(r["id"], r["deleted"]) for r in await laptop.pull()] == [(workout, True)]
    ids = json.loads(await world.engine.feed.pull_ids(phone.caller, world.space, [exercise, lone]))
    assert ids["records"] == [{"id": exercise, "deleted": True}, {"id": lone, "deleted": True}]


async def test_a_parent_that_comes_late_shows_what_lies_below_it(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    workout, exercise, one = world.uuid(), world.uuid(), world.uuid()
    await phone.push(
        phone.put("sets", one, workout_exercise=exercise, reps=1),
        phone.put("workout_exercises", exercise, workout=workout),
    )
    assert await laptop.pull() == []

    await phone.push(phone.put("workouts", workout, title="Late"))

    assert [r["id"] for r in await laptop.pull()] == [workout, exercise, one]


async def test_a_second_parent_is_immutable(world: World) -> None:
    phone = await world.device()
    set_, first, second = world.uuid(), world.uuid(), world.uuid()
    answer = await phone.push(
        phone.put("sets", set_, workout_exercise=first, reps=1),
        phone.put("sets", set_, workout_exercise=second),
        phone.put("sets", set_, workout_exercise=first, reps=2),
    )
    assert [(r.n, r.code, r.field) for r in answer.rejected] == [(2, "immutable", "workout_exercise")]


async def test_a_context_is_cut_to_what_the_server_has_seen(world: World) -> None:
    phone, liar = await world.device(), await world.device()
    workout = world.uuid()
    await phone.push(phone.put("workouts", workout, title="Before"))
    liar.context = {phone.id: 999, "ghost": 5}
    await liar.push(liar.put("workouts", workout, title="Claims too much"))

    await phone.push(phone.put("workouts", workout, title="After"))

    (record,) = await phone.pull()
    assert {record["values"]["title"], record["conflicts"]["title"][0]["value"]} == {"After", "Claims too much"}


async def test_a_clock_in_the_future_is_set_back_and_said_so(world: World) -> None:
    phone, honest = await world.device(), await world.device()
    workout = world.uuid()
    future = phone.put("workouts", workout, title="2099")
    at_the_edge = phone.put("workouts", world.uuid(), title="60 s")
    future["hlc"] = clock.pack(world.clock.ms + 60_001, 0)
    at_the_edge["hlc"] = clock.pack(world.clock.ms + 60_000, 0)
    answer = await phone.push(future, at_the_edge)
    assert answer.clamped == [1]

    world.clock.ms += 1_000
    await honest.push(honest.put("workouts", workout, title="Now"))
    records = by_id(await honest.pull())
    assert records[workout]["values"]["title"] == "Now"
    phone.after = None
    assert (await phone.push(future, at_the_edge)).clamped == [1]


async def test_a_hole_before_the_batch_is_a_gap_and_burns_nothing(world: World) -> None:
    phone = await world.device()
    first = phone.put("workouts", world.uuid(), title="1")
    await phone.push(first)
    phone.n = 5
    with pytest.raises(Gap) as refused:
        await phone.push(phone.put("workouts", world.uuid(), title="6"))
    assert refused.value.details == {"expected": 2}
    phone.n = 1
    assert (await phone.push(phone.put("workouts", world.uuid(), title="2"))).acked == 2


async def test_a_server_that_holds_less_than_after_says_so(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="1"))
    phone.n = 9
    phone.after = {"n": 9, "hlc": phone.stamp()}
    with pytest.raises(ServerBehind) as refused:
        await phone.push(phone.put("workouts", world.uuid(), title="10"))
    assert refused.value.details == {"acked": 1}
    with pytest.raises(ServerBehind):
        await phone.push()


async def test_other_changes_under_the_same_numbers_are_a_fork(world: World) -> None:
    phone = await world.device()
    same = phone.put("workouts", world.uuid(), title="1")
    other = phone.put("workouts", world.uuid(), title="2")
    await phone.push(same, other)
    phone.after = None
    with pytest.raises(DeviceForked) as refused:
        await phone.push(same, other | {"fields": {"title": "not 2"}})
    assert refused.value.details == {"matched": 1, "rejected": []}

    phone.after = {"n": 2, "hlc": "0" * 16}
    with pytest.raises(DeviceForked) as refused:
        await phone.push()
    assert refused.value.details == {"matched": None, "rejected": []}

    phone.after = None
    with pytest.raises(DeviceForked) as refused:
        await phone.push(other)
    assert refused.value.details == {"matched": None, "rejected": []}


async def test_a_difference_below_after_is_matched_up_to_the_number_before_it(world: World) -> None:
    phone = await world.device()
    changes = [phone.put("workouts", world.uuid(), title=f"{n}") for n in range(1, 4)]
    await phone.push(*changes)
    with pytest.raises(DeviceForked) as refused:
        await phone.push(changes[0], changes[1] | {"fields": {"title": "other"}}, changes[2])
    assert refused.value.details == {"matched": 1, "rejected": []}
    phone.after = {"n": 3, "hlc": changes[2]["hlc"]}
    assert (await phone.push(*changes[:2])).acked == 3


async def test_numbers_are_compared_as_json_values(world: World) -> None:
    phone = await world.device()
    change = phone.put("sets", world.uuid(), workout_exercise=world.uuid(), reps=8)
    await phone.push(change)
    phone.after = None
    again = {**change, "fields": {**change["fields"], "reps": 8.0}}
    assert (await phone.push(again)).acked == 1


async def test_a_void_spends_a_number_and_writes_nothing(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.void(), phone.put("workouts", world.uuid(), title="2"))
    assert len(await phone.pull()) == 1
    assert phone.context == {phone.id: 2}


async def test_voids_and_rejected_changes_alone_move_the_head_so_that_losing_them_is_noticed(world: World) -> None:
    phone = await world.device()
    heads = []
    for change in (phone.void(), phone.put("sets", world.uuid(), workout_exercise=world.uuid(), reps=-1)):
        answer = await phone.push(change)
        heads.append(answer.space.head)
    assert answer.rejected and heads == [1, 2]
    # Sockets compare the head with the database (sync/hub.py); a cursor from beyond it is no good (sync/cursors.py).
    assert (await world.engine.feed.space(world.space)).head == 2


async def test_a_void_for_a_held_number_is_skipped_where_the_hlc_is_the_same_and_a_fork_otherwise(
    world: World,
) -> None:
    phone = await world.device()
    change = phone.put("workouts", world.uuid(), title="1")
    await phone.push(change)
    phone.after = None
    assert (await phone.push({"n": 1, "hlc": change["hlc"], "op": "void"})).acked == 1
    phone.after = None
    with pytest.raises(DeviceForked):
        await phone.push({"n": 1, "hlc": phone.stamp(), "op": "void"})


async def test_a_change_that_repeats_a_void_is_not_stored_and_told_so(world: World) -> None:
    phone = await world.device()
    change = phone.put("workouts", world.uuid(), title="1")
    await phone.push({"n": 1, "hlc": change["hlc"], "op": "void"})
    phone.after = None
    answer = await phone.push(change, phone.put("workouts", world.uuid(), title="2"))
    assert answer.acked == 2 and [(one.n, one.code) for one in answer.rejected] == [(1, "withdrawn")]
    assert [record["values"]["title"] for record in await phone.pull()] == ["2"]


async def test_a_newer_schema_is_refused_whole(world: World) -> None:
    phone = await world.device()
    with pytest.raises(SchemaAhead):
        await phone.push(phone.put("workouts", world.uuid(), title="1"), schema=2)
    assert await phone.pull() == []


async def test_a_strangers_space_is_not_there_and_a_viewer_may_not_write(world: World) -> None:
    stranger = await world.device(await world.add_user())
    with pytest.raises(NotFound):
        await stranger.push(stranger.put("workouts", world.uuid(), title="x"))
    with pytest.raises(NotFound):
        await stranger.pull()

    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, stranger.caller.user, "viewer")
    with pytest.raises(ReadOnly):
        await stranger.push(stranger.put("workouts", world.uuid(), title="x"), space=shared)
    stranger.n = 0
    assert (await stranger.push(space=shared)).acked == 0
    assert (await stranger.push(stranger.void(), space=shared)).acked == 1


async def test_an_invited_user_sees_nothing_before_they_accept(world: World) -> None:
    guest = await world.device(await world.add_user())
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, guest.caller.user, "editor", "invited")
    with pytest.raises(NotFound):
        await guest.pull(shared)


async def test_an_unknown_device_and_another_users_get_the_same_answer(world: World) -> None:
    phone = await world.device()
    theirs = await world.device(await world.add_user())
    answers = []
    for id in (theirs.id, "nobody"):
        with pytest.raises(UnknownDevice) as refused:
            await world.engine.push(phone.caller, world.space, phone.request([], device=id))
        answers.append((refused.value.message, refused.value.details))
    assert answers[0] == answers[1]


async def test_a_revoked_device_is_told_how_far_it_was_heard(world: World) -> None:
    phone = await world.device()
    held, new = phone.put("workouts", world.uuid(), title="1"), phone.put("workouts", world.uuid(), title="2")
    await phone.push(held)
    await world.revoke(phone)
    with pytest.raises(DeviceRevoked) as refused:
        await phone.push(new)
    assert refused.value.details == {"matched": 1, "rejected": []}


async def test_deleting_most_of_a_collection_asks_first(database: Any) -> None:
    world = await World.make(database, Limits(mass_delete_records=3))
    phone = await world.device()
    ids = [world.uuid() for _ in range(6)]
    await phone.push(*(phone.put("workouts", id, title="x") for id in ids))
    deletes = [phone.delete("workouts", id) for id in ids[:4]]
    with pytest.raises(MassDelete) as refused:
        await phone.push(*deletes)
    assert refused.value.details == {"collection": "workouts", "count": 4, "of": 6}
    assert len(await phone.pull()) == 6
    assert (await phone.push(*deletes, confirm_deletes=True)).acked == 10
    await world.close()


async def test_a_full_space_refuses_puts_and_lets_deletes_through(database: Any) -> None:
    world = await World.make(database, Limits(records_max=2))
    phone = await world.device()
    ids = [world.uuid() for _ in range(3)]
    await phone.push(*(phone.put("workouts", id, title="x") for id in ids[:2]))
    with pytest.raises(OverQuota):
        await phone.push(phone.put("workouts", ids[2], title="x"))
    phone.n, phone.after = 2, phone.after
    answer = await phone.push(phone.delete("workouts", ids[0]))
    assert answer.space.records == 1
    await world.close()


async def test_every_change_takes_room_for_its_line_in_the_ledger(world: World) -> None:
    phone = await world.device()
    id = world.uuid()
    sizes = []
    for _ in range(3):
        # The same fields again and again: the record stays as large as it is, and its history grows.
        answer = await phone.push(phone.put("workouts", id, title="x"))
        sizes.append(answer.space.bytes)
    assert sizes[1] - sizes[0] > LINE_BYTES and sizes[2] - sizes[1] == sizes[1] - sizes[0]
    refused = await phone.push(phone.put("workouts", id, no_such_field="x"))
    assert refused.rejected and refused.space.bytes > sizes[2] + LINE_BYTES


async def test_a_change_over_its_limit_is_rejected_alone(world: World) -> None:
    phone = await world.device()
    big = {"app": "test", "external_id": None, "import": None, "raw": {"x": "y" * 70_000}}
    answer = await phone.push(
        phone.put("workouts", world.uuid(), source=big), phone.put("workouts", world.uuid(), title="fits")
    )
    assert [(r.n, r.code) for r in answer.rejected] == [(1, "too_long")]


async def test_a_device_with_a_cursor_below_the_floor_takes_a_snapshot_first(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="1"))
    await phone.pull()
    async with world.database.write() as tx:
        await tx.execute(tables.spaces.update().where(tables.spaces.c.id == world.space).values(floor=100))
    with pytest.raises(Resync) as refused:
        await phone.push(phone.put("workouts", world.uuid(), title="2"), cursor=phone.cursor)
    assert refused.value.details == {"acked": 1}
    phone.n = 1
    assert (await phone.push(cursor=phone.cursor)).acked == 1


@pytest.mark.parametrize("history", [0, 3_000])
async def test_a_push_of_100_new_sets_runs_at_most_five_statements(world: World, history: int) -> None:
    phone = await world.device()
    workout, exercise = world.uuid(), world.uuid()
    await phone.push(
        phone.put("workouts", workout, title="x"), phone.put("workout_exercises", exercise, workout=workout)
    )
    for _ in range(history // 1_000):
        await phone.push(*(phone.put("sets", world.uuid(), workout_exercise=exercise, reps=1) for _ in range(1_000)))
    before = world.database.statements
    await phone.push(*(phone.put("sets", world.uuid(), workout_exercise=exercise, reps=5) for _ in range(100)))
    assert world.database.statements - before <= 5


async def test_a_push_that_is_alone_in_its_space_reads_without_a_lock(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    before = world.database.statements
    await phone.push(phone.put("workouts", world.uuid(), title="y"))
    assert world.database.statements - before == (2 if world.database.dialect == "postgresql" else 5)


async def test_pushes_of_several_processes_into_one_space_are_all_taken_in_some_order(world: World) -> None:
    """W1: what each rests on still holds when it commits, though none knows of the others'."""
    devices = [await world.device() for _ in range(4)]
    others = [Engine(world.database, MemoryBus(), world.engine.texts, world.engine.environment) for _ in devices]
    workout, pushes = world.uuid(), 12
    await devices[0].push(devices[0].put("workouts", workout, title="x"))

    async def write(device: Device, engine: Engine) -> None:
        for number in range(pushes):
            exercise = device.put("workout_exercises", world.uuid(), workout=workout, position=f"a{number}")
            answer = await engine.push(device.caller, world.space, device.request([exercise]))
            assert answer.acked == device.n and not answer.rejected
            device.after = {"n": exercise["n"], "hlc": exercise["hlc"]}

    await asyncio.gather(*(write(*each) for each in zip(devices, others, strict=True)))

    reader = await world.device()
    records = await reader.pull()
    assert len(records) == 1 + pushes * len(devices)
    assert len({each["seq"] for each in records}) == len(records)
    assert reader.context == {device.id: device.n for device in devices}


async def test_nobody_is_refused_for_what_another_is_just_writing(world: World) -> None:
    """The device's last push is under way elsewhere: the next one is not told that the server is behind."""
    phone = await world.device()
    first, second = (phone.put("workouts", world.uuid(), title=title) for title in ("1", "2"))
    elsewhere = Engine(world.database, MemoryBus(), world.engine.texts, world.engine.environment)
    async with world.database.write() as tx:
        opened = await open_push(tx, space=world.space, user=world.user, device=phone.id, after_n=None, keys=())
        assert opened is not None
        space = replace(opened.space, head=1, version={phone.id: 1})
        line = ledger_line(first, phone)
        await write_push(tx, space=space, records=[], changes=[line], voter=None, deleted_at=0)
        phone.after = {"n": 1, "hlc": first["hlc"]}
        pushing = asyncio.ensure_future(elsewhere.push(phone.caller, world.space, phone.request([second])))
        if world.database.dialect == "postgresql":
            await until_blocked(world.database)
    assert (await pushing).acked == 2


def ledger_line(sent: dict[str, Any], device: Device) -> StoredChange:
    """What a change leaves in the ledger."""
    id_, hlc = sent["id"], sent["hlc"]
    return StoredChange(
        device.id, sent["n"], 1, "workouts", id_, "put", hlc, None, None, b"{}", b"{}", None, 0, device.caller.user
    )


async def test_a_name_that_no_database_stores_is_rejected_alone_and_known_again(world: World) -> None:
    phone = await world.device()
    bad = [
        phone.put("workouts", "a\0b", title="x"),
        phone.put("work\0outs", world.uuid(), title="x"),
        phone.put("sets", world.uuid(), workout_exercise="a\0b"),
        phone.delete("workouts", "z" * 10_000),
        phone.put("workouts", world.uuid(), {"group": "a\0b"}, title="fine"),
    ]
    first = await phone.push(*bad)
    assert [(r.n, r.code) for r in first.rejected] == [
        (1, "bad_id"),
        (2, "unknown_collection"),
        (3, first.rejected[2].code),
        (4, "bad_id"),
    ]
    phone.after = None
    assert (await phone.push(*bad)).rejected == first.rejected


async def test_seen_may_name_the_changes_of_its_own_batch(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"), seen={phone.id: 1, "ghost": 5})
    assert (await world.engine.devices.of(phone.caller))[0]["seen"] == {world.space: {phone.id: 1}}


async def test_a_set_holds_a_thousand_elements_and_one_that_is_made_smaller_passes(world: World) -> None:
    phone = await world.device()
    workout = world.uuid()
    tags = [f"tag{n}" for n in range(1_001)]
    answer = await phone.push(
        phone.put("workouts", workout, tags={"add": tags[:600]}),
        phone.put("workouts", workout, tags={"add": tags[600:]}),
        phone.put("workouts", workout, tags={"add": tags[600:700], "remove": tags[:500]}),
    )
    assert [(r.n, r.code, r.field) for r in answer.rejected] == [(2, "record_full", "tags")]


async def test_what_was_refused_for_its_size_is_known_again_without_being_kept(world: World) -> None:
    phone = await world.device()
    big = {"app": "test", "external_id": None, "import": None, "raw": {"x": "y" * 70_000}}
    change = phone.put("workouts", world.uuid(), source=big)
    first = await phone.push(change)
    phone.after = None
    assert (await phone.push(change)).rejected == first.rejected
    phone.after = None
    with pytest.raises(DeviceForked):
        await phone.push(change | {"fields": {"source": big | {"app": "other"}}})
