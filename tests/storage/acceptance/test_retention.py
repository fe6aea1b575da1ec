"""The removal of old tombstones, on either database."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from storage import retention
from storage.audit import ledger_bytes
from storage.database import Database
from storage.devices import revoke_device
from storage.feed import read_history, read_ids
from storage.history import read_touched
from storage.push_reads import read_changes
from storage.retention import Removed, Tombstone
from storage.spaces import read_space
from storage.tables import spaces
from tests.storage.world import NOW, add_device, add_home, add_space, change, opened, push, record, voter

WORKOUT, EXERCISE = ("workouts", "w"), ("workout_exercises", "e")


@pytest.fixture
async def home(database: Database) -> Database:
    """A deleted workout with an exercise and two sets, and a set that stays."""
    await add_home(database)
    await push(
        database,
        [
            record("w", 5, collection="workouts", status=1),
            record("e", 2, collection="workout_exercises", parent=WORKOUT, status=2),
            record("a", 3, parent=EXERCISE, status=2),
            record("b", 4, parent=EXERCISE, status=1),
            record("stays", 6, body=b"12345678"),
        ],
        [change(1, "a"), change(2, "w", collection="workouts", op="delete", fields=None), change(3, "stays")],
        version={"phone": 3},
        records=4,
        bytes=1_000,
    )
    return database


async def test_a_tombstone_is_dated_when_it_is_written_and_undated_when_the_record_is_back(
    database: Database,
) -> None:
    await add_home(database)
    await push(database, [record("a", 1, status=1), record("b", 2, status=1)], deleted_at=NOW)
    await push(database, [record("a", 3)], deleted_at=NOW + 5)
    async with database.read() as tx:
        assert await retention.old_tombstones(tx, "home", NOW, 10) == [Tombstone("sets", "b", 2, NOW)]
        assert await retention.old_tombstones(tx, "home", NOW - 1, 10) == []


async def test_spaces_with_old_tombstones_are_found(home: Database) -> None:
    await add_space(home, "club", "ann", "shared")
    async with home.read() as tx:
        assert await retention.spaces_with_tombstones(tx, NOW, 10) == ["home"]
        assert await retention.spaces_with_tombstones(tx, NOW - 1, 10) == []


async def test_the_oldest_tombstones_come_first_and_no_more_than_asked_for(database: Database) -> None:
    await add_home(database)
    for seq, (name, at) in enumerate([("a", NOW + 2), ("b", NOW), ("c", NOW + 1)], 1):
        await push(database, [record(name, seq, status=1)], deleted_at=at)
    async with database.read() as tx:
        assert [each.id for each in await retention.old_tombstones(tx, "home", NOW + 9, 2)] == ["b", "c"]


async def test_the_deletes_of_a_record_are_told_by_device(home: Database) -> None:
    more = [change(n, "w", collection="workouts", op="delete", fields=None, verdict=verdict)
            for n, verdict in ((4, None), (5, b"{}"))]  # fmt: skip
    await push(home, [], more)
    async with home.read() as tx:
        assert await retention.delete_dots(tx, "home", WORKOUT) == {"phone": 4}
        assert await retention.delete_dots(tx, "home", ("sets", "stays")) == {}


async def test_the_votes_are_those_of_live_devices_that_owe_no_snapshot(home: Database) -> None:
    for device in ("watch", "tablet", "lost"):
        await add_device(home, device, "ann")
        await push(home, vote=voter(device, seen={"phone": 1}), device=device)
    async with home.write() as tx:
        await retention.take_vote(tx, "home", "tablet")
        await revoke_device(tx, "ann", "lost", NOW)
    async with home.read() as tx:
        assert await retention.read_voters(tx, "home") == [voter("watch", seen={"phone": 1})]
    found = await opened(home, device="tablet")
    assert found is not None
    assert found.voter == voter("tablet", seen={"phone": 1}, resync=True)


async def test_a_tombstone_goes_with_everything_below_it_and_nothing_else(home: Database) -> None:
    await add_space(home, "club", "ann", "shared")
    await push(home, [record("a", 1, parent=EXERCISE), record("w", 2, collection="workouts", status=1)], space="club")
    async with home.write() as tx:
        removed = await retention.remove_records(tx, "home", [WORKOUT], {"phone": 3})
    size = sum(2 + len(b"state of ?") for _ in range(4))
    assert removed == Removed(rows=4, records=2, bytes=size)
    async with home.read() as tx:
        assert [each.id for each in await read_ids(tx, "home", ["w", "e", "a", "b", "stays"])] == ["stays"]
        assert len(await read_ids(tx, "club", ["w", "a"])) == 2


async def test_a_record_that_is_no_tombstone_stays(home: Database) -> None:
    async with home.write() as tx:
        kept = [("sets", "stays"), EXERCISE, ("sets", "nothing")]
        assert await retention.remove_records(tx, "home", kept, {"phone": 3}) == Removed(0, 0, 0)
        assert await retention.remove_records(tx, "home", [], {"phone": 3}) == Removed(0, 0, 0)
    async with home.read() as tx:
        assert len(await read_ids(tx, "home", ["w", "e", "a", "b", "stays"])) == 5


async def test_what_went_leaves_the_histories_at_once_and_the_ledger_no_earlier_than_pushes_may_reach_back(
    home: Database,
) -> None:
    async with home.write() as tx:
        await retention.remove_records(tx, "home", [WORKOUT], {"phone": 3})
    async with home.read() as tx:
        assert await read_history(tx, "home", "sets", "a") == []
        assert await read_history(tx, "home", "sets", "stays") == [change(3, "stays")]
        assert await read_touched(tx, "home", "ann", 0) == [("sets", "stays")]
        assert await retention.delete_dots(tx, "home", WORKOUT) == {}
        assert [line.n for line in await read_changes(tx, "home", "phone", 1, 9)] == [1, 2, 3]


async def test_lines_that_no_push_may_reach_back_to_go(home: Database) -> None:
    kept = retention.LEDGER_KEPT
    async with home.write() as tx:
        lines = await read_changes(tx, "home", "phone", 1, 9)
        before = await ledger_bytes(tx, "home")
        removed = await retention.remove_records(tx, "home", [WORKOUT], {"phone": kept + 1})
    async with home.read() as tx:
        assert [line.n for line in await read_changes(tx, "home", "phone", 1, 9)] == [2, 3]
        # Their room is given back, to the byte.
        assert before == sum(line.weight for line in lines)
        assert before - await ledger_bytes(tx, "home") == lines[0].weight < removed.bytes
    # What was let go earlier goes with a later removal, when its time has come.
    await push(home, [record("x", 7, status=1)])
    async with home.write() as tx:
        await retention.remove_records(tx, "home", [("sets", "x")], {"phone": kept + 3})
    async with home.read() as tx:
        assert [line.n for line in await read_changes(tx, "home", "phone", 1, 9)] == [3]


async def test_the_floor_rises_and_what_went_is_off_the_quota(home: Database) -> None:
    async with home.write() as tx:
        await retention.set_floor(tx, "home", 5, Removed(rows=4, records=2, bytes=300))
        space = await read_space(tx, "home")
    assert space is not None
    assert (space.floor, space.records, space.bytes) == (5, 2, 700)


async def test_a_push_leaves_the_floor_where_it_is(home: Database) -> None:
    async with home.write() as tx:
        await tx.execute(update(spaces).where(spaces.c.id == "home").values(floor=5))
    await push(home, [record("y", 9)])
    async with home.read() as tx:
        space = await read_space(tx, "home")
    assert space is not None
    assert (space.floor, space.head) == (5, 9)
