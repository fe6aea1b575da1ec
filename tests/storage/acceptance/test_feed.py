"""The queries of the read path, on either database."""

from __future__ import annotations

import json

import pytest

from storage.counts import count_entered, count_shown
from storage.database import Database
from storage.devices import revoke_device
from storage.feed import (
    Served,
    read_accepted,
    read_after,
    read_history,
    read_ids,
    read_shown_keys,
    serve_after,
    serve_down,
)
from storage.history import read_touched
from storage.spaces import add_member
from sync.bodies import wire
from tests.storage.world import NOW, add_device, add_home, add_space, add_user, change, push, record

SHOWN, DELETED, HIDDEN, STUB = range(4)


@pytest.fixture
async def home(database: Database) -> Database:
    """Records 1 to 6 of each status, and a space beside it."""
    await add_home(database)
    await add_space(database, "club", "ann", "shared")
    await push(
        database,
        [
            record("a", 1, body=b'{"id":"a"}'),
            record("b", 2, status=DELETED, body=b'{"id":"b"}'),
            record("c", 3, status=HIDDEN),
            record("d", 4, status=STUB, collection="workouts"),
            record("e", 5, body=b'{"id":"e"}', collection="workouts"),
            record("f", 6, body=b'{"id":"f"}'),
        ],
    )
    await push(database, [record("a", 1, body=b'{"of":"club"}')], space="club")
    return database


async def after(database: Database, seq: int, limit: int = 100, space: str = "home") -> list[int]:
    async with database.read() as tx:
        page = await read_after(tx, space, seq, limit)
    assert page is not None
    return [row[0] for row in page.rows]


async def down(database: Database, ceiling: int, below: int, limit: int = 100) -> list[int]:
    async with database.read() as tx:
        return seqs(await serve_down(tx, "home", "ann", ceiling, below, limit, enough=10_000))


def seqs(page: Served | None) -> list[int]:
    assert page is not None
    found = [record["seq"] for record in json.loads(b"[%b]" % page.records)]
    assert page.last == (found[-1] if found else None)
    return found


async def test_a_space_that_is_not_there_has_no_page(home: Database) -> None:
    async with home.read() as tx:
        assert await read_after(tx, "elsewhere", 0, 10) is None
        assert await serve_after(tx, "elsewhere", "ann", 0, 10, enough=100) is None
        assert await serve_down(tx, "elsewhere", "ann", 9, 9, 10, enough=100) is None


async def test_a_page_is_served_to_members_alone(home: Database) -> None:
    await add_user(home, "bob")
    async with home.write() as tx:
        await add_member(tx, space="club", user="bob", role="editor", state="invited", invited_by="ann", now_ms=NOW)
    async with home.read() as tx:
        assert seqs(await serve_after(tx, "club", "ann", 0, 10, enough=100)) == [1]
        for user in ("bob", "nobody"):
            assert await serve_after(tx, "club", user, 0, 10, enough=100) is None
            assert await serve_down(tx, "club", user, 9, 9, 10, enough=100) is None


async def test_a_page_holds_what_is_shown_and_the_tombstones_in_seq_order(home: Database) -> None:
    assert await after(home, 0) == [1, 2, 5, 6]


async def test_a_page_begins_above_the_given_seq_and_ends_at_its_limit(home: Database) -> None:
    assert await after(home, 1, 2) == [2, 5]
    assert await after(home, 5) == [6]
    assert await after(home, 6) == []
    assert await after(home, 2**62) == []


async def test_a_snapshot_holds_what_is_shown_alone_newest_first(home: Database) -> None:
    assert await down(home, 6, 7) == [6, 5, 1]


async def test_a_snapshot_stays_at_or_below_its_ceiling_and_below_its_last_page(home: Database) -> None:
    assert await down(home, 5, 7) == [5, 1]
    assert await down(home, 6, 5) == [1]
    assert await down(home, 6, 7, 1) == [6]
    assert await down(home, 6, 1) == []


async def test_a_page_carries_the_stored_bytes_and_its_space(home: Database) -> None:
    async with home.read() as tx:
        page = await read_after(tx, "home", 5, 10)
    assert page is not None
    assert page.rows == [(6, b'{"id":"f"}')]
    assert (page.space.id, page.space.head) == ("home", 6)


async def test_an_empty_page_carries_its_space_too(home: Database) -> None:
    async with home.read() as tx:
        page = await read_after(tx, "home", 6, 10)
    assert page is not None
    assert (page.rows, page.space.head) == ([], 6)


async def test_a_page_reads_no_further_than_enough_bytes_and_always_shows_that_there_is_more(
    database: Database,
) -> None:
    await add_home(database)
    sizes = [10, 300, 20, 20, 400, 10, 10]
    rows = [record(f"{n}", n, body=b'{"x":"' + b"x" * (size - 8) + b'"}') for n, size in enumerate(sizes, 1)]
    await push(database, rows)

    def expected(order: list[int], limit: int, enough: int) -> list[int]:
        taken: list[int] = []
        for seq in order[:limit]:
            if len(taken) >= 2 and sum(sizes[each - 1] for each in taken) > enough:
                break
            taken.append(seq)
        return taken

    def fitting(order: list[int], limit: int, enough: int) -> list[int]:
        return [
            seq
            for place, seq in enumerate(order[:limit])
            if place == 0 or sum(sizes[each - 1] for each in order[: place + 1]) <= enough
        ]

    ascending = list(range(1, len(sizes) + 1))
    for enough in (0, 9, 10, 309, 310, 349, 350, 750, 10_000):
        for limit in (1, 2, 3, 7, 8):
            async with database.read() as tx:
                up = await read_after(tx, "home", 0, limit, enough=enough)
                above = await serve_after(tx, "home", "ann", 0, limit, enough=enough)
                below = await serve_down(tx, "home", "ann", 9, 9, limit, enough=enough)
            assert up is not None and above is not None and below is not None
            assert [seq for seq, _ in up.rows] == expected(ascending, limit, enough)
            assert all(len(body) == sizes[seq - 1] for seq, body in up.rows)
            for page, order in ((above, ascending), (below, ascending[::-1])):
                assert seqs(page) == fitting(order, limit, enough)
                assert page.more == (len(seqs(page)) < len(order))


async def test_a_page_is_served_as_the_wire_has_it(home: Database) -> None:
    async with home.read() as tx:
        page = await serve_after(tx, "home", "ann", 1, 2, enough=100)
    assert page is not None
    assert page.records == wire(2, b'{"id":"b"}') + b"," + wire(5, b'{"id":"e"}')
    assert (page.space.id, page.space.head, page.more) == ("home", 6, True)


async def test_a_page_is_one_statement(home: Database) -> None:
    before = home.statements
    await after(home, 0)
    await down(home, 6, 7)
    assert home.statements - before == 2


async def test_no_page_shows_a_record_of_another_space(home: Database) -> None:
    async with home.read() as tx:
        page = await read_after(tx, "club", 0, 10)
        assert page is not None
        assert page.rows == [(1, b'{"of":"club"}')]
        assert [each.body for each in await read_ids(tx, "club", ["a", "b", "e"])] == [b'{"of":"club"}']
        assert await read_shown_keys(tx, "club", 0, 10) == [("sets", "a", 1)]


async def test_records_are_found_by_id_in_any_collection_and_state(home: Database) -> None:
    async with home.read() as tx:
        found = await read_ids(tx, "home", ["a", "b", "c", "d", "e", "nobody", "a"])
        assert await read_ids(tx, "home", []) == []
        assert await read_ids(tx, "elsewhere", ["a"]) == []
    assert sorted((each.id, each.collection, each.status) for each in found) == [
        ("a", "sets", SHOWN),
        ("b", "sets", DELETED),
        ("c", "sets", HIDDEN),
        ("d", "workouts", STUB),
        ("e", "workouts", SHOWN),
    ]


async def test_records_come_in_the_order_in_which_their_ids_were_asked_for(home: Database) -> None:
    asked = ["e", "b", "a", "d", "c", "b"]
    async with home.read() as tx:
        assert [each.id for each in await read_ids(tx, "home", asked)] == ["e", "b", "a", "d", "c"]


async def test_one_id_in_two_collections_is_two_records(home: Database) -> None:
    await push(home, [record("a", 7, collection="goals")])
    async with home.read() as tx:
        found = await read_ids(tx, "home", ["a"])
    assert sorted(each.collection for each in found) == ["goals", "sets"]


async def test_the_keys_of_a_digest_are_those_of_what_is_shown(home: Database) -> None:
    async with home.read() as tx:
        assert await read_shown_keys(tx, "home", 0, 10) == [("sets", "a", 1), ("workouts", "e", 5), ("sets", "f", 6)]
        assert await read_shown_keys(tx, "home", 1, 1) == [("workouts", "e", 5)]
        assert await read_shown_keys(tx, "home", 6, 10) == []


async def test_what_is_shown_is_counted_by_collection(home: Database) -> None:
    async with home.read() as tx:
        assert await count_shown(tx, "home", "sets", most=9) == 2
        assert await count_shown(tx, "home", "workouts", most=9) == 1
        assert await count_shown(tx, "home", "goals", most=9) == 0
        # It looks no further than it is asked to.
        assert await count_shown(tx, "home", "sets", most=1) == 1


async def test_the_devices_of_a_version_are_counted_by_user_revoked_ones_too(home: Database) -> None:
    for device in ("watch", "lost", "elsewhere"):
        await add_device(home, device, "ann")
    async with home.write() as tx:
        await revoke_device(tx, "ann", "lost", NOW)
    async with home.read() as tx:
        version = ["phone", "watch", "lost", "server-a1", "nobody's"]
        assert await count_entered(tx, version, "ann") == 3
        assert await count_entered(tx, version, "bob") == 0
        assert await count_entered(tx, [], "ann") == 0


async def test_a_history_holds_one_records_lines_in_the_order_of_arrival(home: Database) -> None:
    lines = [
        change(1, "a", arrival=8),
        change(2, "b", arrival=8),
        change(3, "a", arrival=9, op="delete", fields=None),
        change(1, "a", device="watch", arrival=7),
        change(4, "a", arrival=10, verdict=b'{"code":"too_long"}'),
        change(5, "a", collection="goals", arrival=11),
    ]
    await push(home, [], lines)
    await push(home, [], [change(9, "a", device="watch", arrival=3)], space="club")
    async with home.read() as tx:
        found = await read_history(tx, "home", "sets", "a")
        accepted = [lines[2], lines[0], lines[3]]
        assert await read_accepted(tx, "home", ("sets", "a"), None, 10) == accepted
        assert await read_accepted(tx, "home", ("sets", "a"), None, 2) == accepted[:2]
        assert await read_accepted(tx, "home", ("sets", "a"), (9, 3), 2) == accepted[1:]
        assert await read_accepted(tx, "home", ("sets", "a"), (7, 1), 2) == []
    assert found == [lines[3], lines[0], lines[2], lines[4]]


async def test_what_a_member_touched_is_found_by_time_without_what_was_rejected_or_void(home: Database) -> None:
    await push(
        home,
        [],
        [
            change(1, "a", received_at=NOW - 1),
            change(2, "b"),
            change(3, "b", received_at=NOW + 1),
            change(4, "c", verdict=b"{}"),
            change(5, None, collection=None, op="void", fields=None),
            change(6, "d", user="bob"),
        ],
    )
    async with home.read() as tx:
        assert await read_touched(tx, "home", "ann", NOW) == [("sets", "b")]
        assert await read_touched(tx, "club", "ann", 0) == []
