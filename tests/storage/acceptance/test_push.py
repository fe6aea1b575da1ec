"""The queries of the write path, on either database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from storage.database import Database
from storage.errors import Duplicate
from storage.feed import read_after, read_ids
from storage.push_reads import open_push, read_below, read_changes
from storage.push_writes import write_push
from storage.rows import StoredChange, StoredRecord
from storage.spaces import CATALOG_SPACE, add_member
from tests.storage.world import NOW, add_device, add_home, add_space, add_user, change, opened, push, record, voter

WORKOUT, EXERCISE = ("workouts", "w"), ("workout_exercises", "e")


async def stored(database: Database, *ids: str, space: str = "home") -> dict[str, StoredRecord]:
    async with database.read() as tx:
        return {each.id: each for each in await read_ids(tx, space, ids)}


async def lines(database: Database, *, space: str = "home", device: str = "phone") -> list[StoredChange]:
    async with database.read() as tx:
        return await read_changes(tx, space, device, 0, 1_000_000)


async def test_a_space_that_is_not_there_opens_as_none(database: Database) -> None:
    await add_home(database)
    assert await opened(database, "elsewhere") is None


async def test_an_opened_push_knows_the_member_the_device_and_the_space(database: Database) -> None:
    await add_home(database)
    found = await opened(database)
    assert found is not None
    assert (found.space.id, found.space.owner, found.space.head, found.space.life) == ("home", "ann", 0, "a1")
    assert (found.space.version, found.space.lives, found.space.floor) == ({}, [("a1", 0)], 0)
    assert (found.role, found.state, found.device_user, found.device_revoked) == ("owner", "member", "ann", False)
    assert (found.voter, found.after, found.records) == (None, None, {})


async def test_a_stranger_has_no_role_and_an_unknown_device_no_owner(database: Database) -> None:
    await add_home(database)
    found = await opened(database, user="eve", device="nothing")
    assert found is not None
    assert (found.role, found.state, found.device_user) == (None, None, None)


async def test_everybody_is_a_viewer_of_the_catalog(database: Database) -> None:
    await add_home(database)
    await add_space(database, CATALOG_SPACE, None, "catalog")
    found = await opened(database, CATALOG_SPACE)
    assert found is not None
    assert (found.role, found.state) == ("viewer", "member")


async def test_an_invited_member_is_told_from_one_who_accepted(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    async with database.write() as tx:
        await add_member(tx, space="home", user="bob", role="editor", state="invited", invited_by="ann", now_ms=NOW)
    found = await opened(database, user="bob")
    assert found is not None
    assert (found.role, found.state) == ("editor", "invited")


async def test_what_a_push_wrote_is_what_the_next_one_finds(database: Database) -> None:
    await add_home(database)
    written = record("a", 1, parent=EXERCISE, body=bytes(range(256)))
    line = change(1, "a", clamped_hlc="0193575e3b010001", group="7", context=b'{"p":1}', verdict=bytes(range(256)))
    vote = voter(seen={"phone": 3}, seen_at=NOW + 1)
    moved: dict[str, Any] = {
        "version": {"phone": 1},
        "life": "b2",
        "lives": [("a1", 0), ("b2", 1)],
        "timeline": "t",
        "records": 5,
        "bytes": 600,
        "server_device": "server-b2",
        "server_hlc": "0193575e3b01ffff",
    }
    await push(database, [written], [line], vote=vote, **moved)

    found = await opened(database, after_n=1, keys=[("sets", "a")])

    assert found is not None
    assert found.records == {("sets", "a"): written}
    assert found.after == line
    assert found.voter == vote
    assert {name: getattr(found.space, name) for name in moved} == moved
    assert found.space.head == 1


async def test_the_named_records_come_with_all_their_ancestors_and_nothing_else(database: Database) -> None:
    await add_home(database)
    await push(
        database,
        [
            record("w", 1, collection="workouts"),
            record("e", 2, collection="workout_exercises", parent=WORKOUT),
            record("a", 3, parent=EXERCISE),
            record("b", 4, parent=EXERCISE),
            record("other", 5, collection="workouts"),
        ],
    )
    found = await opened(database, keys=[("sets", "a"), ("sets", "not yet there")])
    assert found is not None
    assert set(found.records) == {("sets", "a"), EXERCISE, WORKOUT}


async def test_a_parent_that_a_new_record_names_comes_with_its_own_ancestors(database: Database) -> None:
    await add_home(database)
    await push(
        database,
        [
            record("w", 1, collection="workouts", status=1),
            record("e", 2, collection="workout_exercises", parent=WORKOUT, status=2),
        ],
    )
    found = await opened(database, keys=[("sets", "new"), EXERCISE])
    assert found is not None
    assert {key: each.status for key, each in found.records.items()} == {EXERCISE: 2, WORKOUT: 1}


async def test_records_that_name_each_other_as_parents_end_the_search(database: Database) -> None:
    await add_home(database)
    await push(database, [record("a", 1, parent=("sets", "b")), record("b", 2, parent=("sets", "a"))])
    found = await opened(database, keys=[("sets", "a")])
    assert found is not None
    assert set(found.records) == {("sets", "a"), ("sets", "b")}


async def test_a_record_written_again_is_one_row_with_the_new_seq(database: Database) -> None:
    await add_home(database)
    await push(database, [record("a", 1, body=b'{"old":1}')])
    await push(database, [record("a", 2, body=b'{"new":1}')])
    async with database.read() as tx:
        page = await read_after(tx, "home", 0, 10)
    assert page is not None
    assert page.rows == [(2, b'{"new":1}')]


async def test_a_number_that_the_ledger_holds_is_a_duplicate_and_nothing_of_its_push_is_stored(
    database: Database,
) -> None:
    await add_home(database)
    await push(database, [record("a", 1)], [change(1)])
    with pytest.raises(Duplicate):
        await push(database, [record("b", 2)], [change(2), change(1)], vote=voter())
    assert await stored(database, "a", "b") == {"a": record("a", 1)}
    assert [line.n for line in await lines(database)] == [1]
    found = await opened(database)
    assert found is not None
    assert (found.space.head, found.voter) == (1, None)


async def test_two_devices_may_use_the_same_number_and_so_may_one_in_two_spaces(database: Database) -> None:
    await add_home(database)
    await add_space(database, "club", "ann", "shared")
    await push(database, [], [change(1), change(1, device="watch")])
    await push(database, [], [change(1)], space="club")
    assert [line.n for line in await lines(database, device="watch")] == [1]
    assert [line.n for line in await lines(database, space="club")] == [1]


async def test_the_same_id_in_two_spaces_is_two_records(database: Database) -> None:
    await add_home(database)
    await add_space(database, "club", "ann", "shared")
    await push(database, [record("a", 1, body=b'{"at":"home"}'), record("child", 2, parent=("sets", "a"))])
    await push(database, [record("a", 1, body=b'{"at":"club"}')], space="club")

    found = await opened(database, "club", keys=[("sets", "a"), ("sets", "child")])

    assert found is not None
    assert {key: each.body for key, each in found.records.items()} == {("sets", "a"): b'{"at":"club"}'}
    async with database.read() as tx:
        assert await read_below(tx, "club", [("sets", "a")]) == []


async def test_a_write_in_one_space_moves_no_other(database: Database) -> None:
    await add_home(database)
    await add_space(database, "club", "ann", "shared")
    await push(database, [record("a", 1)], [change(1)], vote=voter())
    found = await opened(database, "club")
    assert found is not None
    assert (found.space.head, found.space.version, found.voter) == (0, {}, None)


async def test_an_empty_push_writes_the_space_alone(database: Database) -> None:
    await add_home(database)
    await push(database, version={"phone": 4})
    found = await opened(database)
    assert found is not None
    assert found.space.version == {"phone": 4}


async def test_a_vote_that_moves_keeps_its_beginning_and_its_debt(database: Database) -> None:
    await add_home(database)
    await push(database, vote=voter(resync=True))
    await push(database, vote=voter(seen={"phone": 2}, seen_at=NOW + 5, first_at=NOW + 5))
    found = await opened(database)
    assert found is not None
    assert found.voter == voter(seen={"phone": 2}, seen_at=NOW + 5, resync=True)


async def test_lines_of_the_ledger_come_in_order_and_only_those_asked_for(database: Database) -> None:
    await add_home(database)
    await push(database, [], [change(n) for n in (3, 1, 2, 4)] + [change(2, device="watch")])
    async with database.read() as tx:
        found = await read_changes(tx, "home", "phone", 2, 3)
    assert found == [change(2), change(3)]


async def test_everything_below_is_found_at_any_depth_and_in_any_state(database: Database) -> None:
    await add_home(database)
    await push(
        database,
        [
            record("w", 1, collection="workouts", status=1),
            record("e", 2, collection="workout_exercises", parent=WORKOUT, status=3),
            record("a", 3, parent=EXERCISE, status=1),
            record("b", 4, parent=EXERCISE, status=2),
            record("c", 5, parent=("workout_exercises", "of another")),
        ],
    )
    async with database.read() as tx:
        found = await read_below(tx, "home", [WORKOUT])
        assert await read_below(tx, "home", []) == []
    assert {each.id for each in found} == {"e", "a", "b"}


@pytest.mark.parametrize("history", [0, 5_000])
async def test_a_push_of_100_new_sets_is_at_most_four_statements_however_long_the_history(
    database: Database, history: int
) -> None:
    await add_home(database)
    if history:
        olds = [record(f"old {i}", i + 1, parent=EXERCISE) for i in range(history)]
        await push(database, olds, [change(i + 1, f"old {i}") for i in range(history)])
    news = [record(f"new {i}", history + i + 1, parent=EXERCISE) for i in range(100)]
    changes = [change(history + i + 1, f"new {i}") for i in range(100)]

    before = database.statements
    async with database.write() as tx:
        found = await open_push(
            tx, space="home", user="ann", device="phone", after_n=history, keys=[*map(_key, news), EXERCISE]
        )
        assert found is not None
        space = replace(found.space, head=history + 100)
        await write_push(tx, space=space, records=news, changes=changes, voter=voter(), deleted_at=NOW)
    assert database.statements - before <= 4
    assert len(await stored(database, *(each.id for each in news))) == 100


def _key(each: StoredRecord) -> tuple[str, str]:
    return (each.collection, each.id)


async def test_who_waited_for_a_space_finds_what_the_one_before_left(database: Database) -> None:
    await add_home(database)
    locked, waiting = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.write() as tx:
            found = await open_push(tx, space="home", user="ann", device="phone", after_n=None, keys=[])
            assert found is not None
            locked.set()
            await waiting.wait()
            space = replace(found.space, head=1, version={"phone": 1})
            await write_push(
                tx, space=space, records=[record("a", 1)], changes=[change(1)], voter=voter(), deleted_at=NOW
            )

    async def second() -> None:
        await locked.wait()
        waiting.set()
        found = await opened(database, after_n=1, keys=[("sets", "a")])
        assert found is not None
        assert found.space.version == {"phone": 1}
        assert found.after == change(1)
        assert found.voter == voter()
        assert found.records == {("sets", "a"): record("a", 1)}

    await asyncio.gather(first(), second())


async def test_seq_order_is_commit_order(database: Database) -> None:
    """I9: once a reader has seen seq ≤ N, no new row with seq ≤ N ever appears."""
    await add_home(database)
    writers, pushes = 16, 8
    done = asyncio.Event()
    seen: dict[int, bytes] = {}

    async def write(number: int) -> None:
        device = f"device {number}"
        await add_device(database, device, "ann")
        for n in range(1, pushes + 1):
            async with database.write() as tx:
                found = await open_push(tx, space="home", user="ann", device=device, after_n=n - 1, keys=[])
                assert found is not None
                head = found.space.head
                # Some hold the space longer than others.
                for _ in range((number * n) % 5):
                    await asyncio.sleep(0)
                name = f"{number}-{n}"
                rows = [record(f"{name}-{i}", head + i, body=f'"{name}-{i}"'.encode()) for i in (1, 2)]
                space = replace(found.space, head=head + 2, version={**found.space.version, device: n})
                await write_push(
                    tx, space=space, records=rows, changes=[change(n, device=device)], voter=None, deleted_at=NOW
                )

    async def shadow() -> None:
        while not done.is_set() or len(seen) < writers * pushes * 2:
            newest = max(seen, default=0)
            async with database.read() as tx:
                page = await read_after(tx, "home", 0, 10_000)
            assert page is not None
            rows = dict(page.rows)
            assert {seq: body for seq, body in rows.items() if seq <= newest} == seen
            assert page.space.head == max(rows, default=0), "head and rows are of one state"
            assert len(rows) == 2 * sum(page.space.version.values()), "a batch is seen whole or not at all"
            seen.update(rows)
            await asyncio.sleep(0)

    async def write_all() -> None:
        await asyncio.gather(*(write(number) for number in range(writers)))
        done.set()

    await asyncio.gather(shadow(), write_all())
    assert sorted(seen) == list(range(1, writers * pushes * 2 + 1))


async def test_writers_of_different_spaces_do_not_disturb_each_other(database: Database) -> None:
    await add_home(database)
    names = [f"space {i}" for i in range(8)]
    for name in names:
        await add_space(database, name, "ann")

    async def write(name: str) -> Sequence[int]:
        for n in range(1, 6):
            await push(database, [record(f"{n}", n)], [change(n)], space=name)
        async with database.read() as tx:
            page = await read_after(tx, name, 0, 10)
        assert page is not None
        return [seq for seq, _ in page.rows]

    assert await asyncio.gather(*map(write, names)) == [[1, 2, 3, 4, 5]] * len(names)
