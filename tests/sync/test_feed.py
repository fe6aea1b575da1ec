"""Pull, snapshot, digest and cursors, rule by rule, on both databases."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import tables
from sync import digest
from sync.cursors import decode_before, decode_cursor, encode_cursor
from sync.errors import BadCursor, Malformed, NotFound, Resync, TooLarge
from sync.limits import Limits
from tests.sync.harness import Device, World


async def fill(world: World, device: Device, count: int) -> list[str]:
    ids = [world.uuid() for _ in range(count)]
    for start in range(0, count, 500):
        await device.push(*(device.put("workouts", id, title=f"w{id[-4:]}") for id in ids[start : start + 500]))
    return ids


async def test_each_record_comes_once_as_it_is_now_in_seq_order(world: World) -> None:
    phone = await world.device()
    ids = await fill(world, phone, 5)
    await phone.push(phone.put("workouts", ids[0], title="again"))

    records = await phone.pull(limit=2)

    assert [r["id"] for r in records] == [*ids[1:], ids[0]]
    assert [r["seq"] for r in records] == sorted(r["seq"] for r in records)
    assert await phone.pull() == []


async def test_the_version_stands_on_the_last_page_alone(world: World) -> None:
    phone = await world.device()
    await fill(world, phone, 3)
    first = json.loads(await world.engine.feed.pull(phone.caller, world.space, None, 2))
    last = json.loads(await world.engine.feed.pull(phone.caller, world.space, first["cursor"], 2))
    assert (first["more"], "version" in first) == (True, False)
    assert (last["more"], last["version"]) == (False, {phone.id: 3})


async def test_a_page_ends_at_its_bytes_and_loses_nothing(database: Any) -> None:
    world = await World.make(database, Limits(page_bytes_max=600))
    phone = await world.device()
    ids = await fill(world, phone, 10)
    first = json.loads(await world.engine.feed.pull(phone.caller, world.space, None, 1_000))
    assert 0 < len(first["records"]) < 10
    assert [r["id"] for r in await phone.pull()] == ids
    await world.close()


async def test_a_snapshot_comes_newest_first_and_goes_on_with_a_pull(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    ids = await fill(world, phone, 5)
    await phone.push(phone.delete("workouts", ids[2]))
    feed = world.engine.feed

    first = json.loads(await feed.snapshot(laptop.caller, world.space, None, 3))
    await phone.push(phone.put("workouts", ids[0], title="moved above the ceiling"))
    rest = json.loads(await feed.snapshot(laptop.caller, world.space, first["before"], 3))

    assert [r["id"] for r in first["records"]] == [ids[4], ids[3], ids[1]]
    assert first["version"] == {phone.id: 6}
    assert (rest["records"], rest["before"]) == ([], None)
    laptop.cursor = first["cursor"]
    assert [r["values"]["title"] for r in await laptop.pull()] == ["moved above the ceiling"]


async def test_the_first_page_of_a_snapshot_says_what_is_kept_of_where_the_device_stood(world: World) -> None:
    phone, laptop = await world.device(), await world.device()
    await fill(world, phone, 3)
    await laptop.pull()
    async with world.database.write() as tx:
        await tx.execute(tables.spaces.update().values(timeline="another", head=2))
    await phone.push(phone.put("workouts", world.uuid(), title="first of the new life"))
    feed = world.engine.feed

    first = json.loads(await feed.snapshot(laptop.caller, world.space, None, 1, cursor=laptop.cursor))
    rest = json.loads(await feed.snapshot(laptop.caller, world.space, first["before"], 1, cursor=laptop.cursor))
    silent = json.loads(await feed.snapshot(laptop.caller, world.space, None, 1))

    assert first["kept"] == 2
    assert "kept" not in rest and "kept" not in silent


async def test_a_cursor_of_another_space_is_a_bad_cursor(world: World) -> None:
    phone = await world.device()
    other = await world.add_space(world.user, "shared")
    await phone.pull(other)
    with pytest.raises(BadCursor):
        await phone.pull(world.space)


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda b: base64.urlsafe_b64encode(b).decode().rstrip("=")))
def test_a_forged_cursor_is_refused_and_never_an_accident(text: str) -> None:
    space = FakeSpace()
    for decode in (decode_cursor, decode_before):
        with pytest.raises((BadCursor, Resync)):
            decode(text, space)


class FakeSpace:
    id, head, life, floor = "space", 10, "b", 0
    lives = [("a", 0), ("b", 5)]  # noqa: RUF012


def cursor_of_life(life: str, seq: int, head: int) -> str:
    space = FakeSpace()
    space.life, space.head = life, head
    return encode_cursor(space, seq)


def test_a_cursor_of_the_life_before_is_good_where_its_head_was_not_beyond_the_new_lifes_beginning() -> None:
    assert decode_cursor(cursor_of_life("a", 5, 5), FakeSpace()) == 5
    assert decode_cursor(cursor_of_life("a", 3, 5), FakeSpace()) == 3
    with pytest.raises(Resync):
        decode_cursor(cursor_of_life("a", 3, 6), FakeSpace())
    with pytest.raises(Resync):
        decode_cursor(cursor_of_life("x", 3, 3), FakeSpace())


def test_a_cursor_beyond_the_head_was_never_given_out() -> None:
    with pytest.raises(BadCursor):
        decode_cursor(cursor_of_life("b", 11, 11), FakeSpace())


async def test_a_new_timeline_of_the_database_begins_a_new_life_at_the_next_write(world: World) -> None:
    phone = await world.device()
    await fill(world, phone, 2)
    await phone.pull()
    async with world.database.write() as tx:
        await tx.execute(tables.spaces.update().values(timeline="another"))
    before = (await world.engine.feed.space(world.space)).life

    answer = await phone.push(phone.put("workouts", world.uuid(), title="first of the new life"))

    assert answer.space.life != before
    assert answer.space.lives[-1] == (answer.space.life, 2)
    assert len(await phone.pull()) == 1


async def test_a_space_whose_first_writes_were_lost_begins_a_new_life_too(world: World) -> None:
    phone = await world.device()
    made = await world.engine.spaces.create(phone.caller, "Gym")
    async with world.database.write() as tx:
        await tx.execute(tables.spaces.update().where(tables.spaces.c.timeline != "").values(timeline="lost"))

    answer = await phone.push(phone.put("workouts", world.uuid(), title="first of the new life"), space=made["id"])

    assert [start for _, start in answer.space.lives] == [0, 0]


async def test_the_digest_is_the_sum_that_the_protocol_defines(world: World) -> None:
    phone = await world.device()
    ids = await fill(world, phone, 20)
    await phone.push(phone.delete("workouts", ids[0]))
    records = {r["id"]: r for r in await phone.pull() if not r["deleted"]}
    total = 0
    for id, record in records.items():
        total += int(hashlib.sha256(f"workouts\0{id}\0{record['seq']}".encode()).hexdigest()[:32], 16)

    found = await world.engine.digest(phone.caller, world.space, None)

    assert (found["count"], found["digest"]) == (19, f"{total % 2**128:032x}")
    name = next(iter(found["buckets"]))
    bucket = await world.engine.digest(phone.caller, world.space, name)
    part = 0
    for record in bucket["records"]:
        key = f"{record['collection']}\0{record['id']}"
        assert hashlib.sha256(key.encode()).hexdigest()[:2] == name
        part += int(hashlib.sha256(f"{key}\0{record['seq']}".encode()).hexdigest()[:32], 16)
    assert found["buckets"][name] == f"{part % 2**128:032x}"
    with pytest.raises(Malformed):
        await world.engine.digest(phone.caller, world.space, "zz")


async def test_a_digest_is_worked_out_in_pages_however_many_records_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await world.device()
    await fill(world, phone, 20)
    whole = await world.engine.digest(phone.caller, world.space, None)
    name = next(iter(whole["buckets"]))
    bucket = await world.engine.digest(phone.caller, world.space, name)
    monkeypatch.setattr(digest, "KEYS_PER_PAGE", 6)
    before = world.database.statements
    assert await world.engine.digest(phone.caller, world.space, None) == whole
    # The caller's place, and 6, 6, 6, 2 and no records.
    assert world.database.statements - before == 6
    assert await world.engine.digest(phone.caller, world.space, name) == bucket


async def test_digests_asked_for_at_once_take_turns_and_pulls_do_not_wait_for_them(world: World) -> None:
    phone = await world.device()
    await fill(world, phone, 3)
    whole = await world.engine.digest(phone.caller, world.space, None)
    async with world.engine.digests._turn:
        waiting = [asyncio.create_task(world.engine.digest(phone.caller, world.space, None)) for _ in range(20)]
        # More than there are connections: none of them holds one.
        assert len(await phone.pull()) == 3
        assert not any(task.done() for task in waiting)
    assert await asyncio.gather(*waiting) == [whole] * 20


async def test_pulled_ids_come_whatever_the_cursor_and_unknown_ones_as_gone(world: World) -> None:
    phone = await world.device()
    ids = await fill(world, phone, 2)
    await phone.push(phone.delete("workouts", ids[1]))
    unknown = world.uuid()
    answer = json.loads(await world.engine.feed.pull_ids(phone.caller, world.space, [*ids, unknown]))
    found = {r["id"]: r for r in answer["records"]}
    assert found[ids[0]]["deleted"] is False
    assert found[ids[1]]["deleted"] is True and found[ids[1]]["seq"] == 3
    assert found[unknown] == {"id": unknown, "deleted": True}
    with pytest.raises(Malformed):
        await world.engine.feed.pull_ids(phone.caller, world.space, ["x"] * 501)


async def test_records_that_are_too_much_for_one_answer_are_asked_for_in_parts(database: Any) -> None:
    world = await World.make(database, Limits(ids_bytes_max=300))
    phone = await world.device()
    ids = [world.uuid() for _ in range(2)]
    await phone.push(*(phone.put("workouts", id, title="x" * 190) for id in ids))
    with pytest.raises(TooLarge, match="fewer ids"):
        await world.engine.feed.pull_ids(phone.caller, world.space, ids)
    for id in ids:
        # One alone is always answered.
        answer = json.loads(await world.engine.feed.pull_ids(phone.caller, world.space, [id]))
        assert [each["id"] for each in answer["records"]] == [id]
    await world.close()


async def test_a_stranger_reads_nothing(world: World) -> None:
    phone, stranger = await world.device(), await world.device(await world.add_user())
    await fill(world, phone, 1)
    feed = world.engine.feed
    for reading in (
        feed.pull(stranger.caller, world.space, None, 10),
        feed.pull(stranger.caller, world.uuid(), None, 10),
        feed.snapshot(stranger.caller, world.space, None, 10),
        feed.pull_ids(stranger.caller, world.space, ["x"]),
        world.engine.digest(stranger.caller, world.space, None),
        world.engine.history.read(stranger.caller, world.space, ("workouts", "x")),
    ):
        with pytest.raises(NotFound):
            await reading


def packed(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


async def test_of_a_cursor_that_is_no_good_members_are_told_and_strangers_learn_nothing(world: World) -> None:
    phone, stranger, feed = await world.device(), await world.device(await world.add_user()), world.engine.feed
    huge, below = packed(world.space, "a1", 2**62, 2**62), packed(world.space, "a1", -2, -2)
    beyond, above = packed(world.space, "a1", 2**70, 2**70), packed(world.space, "a1", 2**63, 2**63, "before")
    for text in ("x", "\U0001f4aa", huge, below, beyond, above):
        for device, refusal in ((phone, BadCursor), (stranger, NotFound)):
            for reading in (
                feed.pull(device.caller, world.space, text, 10),
                feed.snapshot(device.caller, world.space, text, 10),
            ):
                with pytest.raises(refusal):
                    await reading


async def test_a_page_and_the_right_to_it_are_one_statement(world: World) -> None:
    phone = await world.device()
    await fill(world, phone, 3)
    feed = world.engine.feed
    first = json.loads(await feed.snapshot(phone.caller, world.space, None, 2))
    before = world.database.statements
    await feed.pull(phone.caller, world.space, first["cursor"], 10)
    await feed.snapshot(phone.caller, world.space, None, 2)
    await feed.snapshot(phone.caller, world.space, first["before"], 2)
    assert world.database.statements - before == 3


async def test_a_delta_holds_everything_after_a_seq_or_is_too_much(database: Any) -> None:
    world = await World.make(database, Limits(delta_records_max=3))
    phone = await world.device()
    await fill(world, phone, 3)
    delta = await world.engine.feed.read_delta(world.space, 1)
    assert delta is not None
    assert [json.loads(r)["seq"] for r in delta.records] == [2, 3]
    assert (delta.from_seq, delta.to_seq, delta.version) == (1, 3, {phone.id: 3})
    await fill(world, phone, 1)
    assert await world.engine.feed.read_delta(world.space, 0) is None
    await world.close()


async def test_a_delta_of_too_many_bytes_is_too_much_and_so_is_one_of_no_space(database: Any) -> None:
    world = await World.make(database, Limits(delta_bytes_max=500))
    phone = await world.device()
    await fill(world, phone, 1)
    assert await world.engine.feed.read_delta(world.space, 0) is not None
    await fill(world, phone, 5)
    assert await world.engine.feed.read_delta(world.space, 0) is None
    assert await world.engine.feed.read_delta(world.uuid(), 0) is None
    with pytest.raises(NotFound):
        await world.engine.feed.space(world.uuid())
    await world.close()
