"""What a transaction promises on either database: D1 to D5 of storage/database.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import insert, select, text

from storage.database import Database, Transaction, open_database
from storage.errors import Busy, Duplicate, StorageError
from storage.prepared import Prepared
from storage.tables import meta, refresh_tokens, spaces

# Runs for minutes on either database where nobody stops it.
ENDLESS = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n"
)


@asynccontextmanager
async def opened(url: str, *, pool_size: int = 10, wait_s: float = 30.0) -> AsyncIterator[Database]:
    database = await open_database(url, pool_size=pool_size, wait_s=wait_s)
    try:
        yield database
    finally:
        await database.close()


async def note(tx: Transaction, key: str, value: str = "x") -> None:
    await tx.execute(insert(meta), {"key": key, "value": value})


async def notes(database: Database) -> set[str]:
    async with database.read() as tx:
        return {row[0] for row in await tx.execute(select(meta.c.key).where(meta.c.key.like("note%")))}


async def test_what_a_write_stored_is_there_for_the_next_reading(database: Database) -> None:
    async with database.write() as tx:
        await note(tx, "note 1")
    assert await notes(database) == {"note 1"}


async def test_a_write_that_says_nothing_is_no_error(database: Database) -> None:
    async with database.write():
        pass
    assert await notes(database) == set()


async def test_an_exception_takes_back_everything_of_its_transaction(database: Database) -> None:
    with pytest.raises(KeyError):
        async with database.write() as tx:
            await note(tx, "note 1")
            raise KeyError
    assert await notes(database) == set()


async def test_a_transaction_after_one_that_failed_is_a_fresh_one(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        with pytest.raises(KeyError):
            async with database.write() as tx:
                await note(tx, "note 1")
                raise KeyError
        async with database.write() as tx:
            await note(tx, "note 2")
        assert await notes(database) == {"note 2"}


async def test_a_reading_sees_nothing_of_a_write_that_is_under_way(database: Database) -> None:
    async with database.write() as tx:
        await note(tx, "note 1")
        assert await notes(database) == set()


@pytest.mark.parametrize("snapshot", [True, False])
async def test_a_snapshot_shows_one_state_and_a_plain_reading_the_present_one(
    database: Database, snapshot: bool
) -> None:
    count = text("SELECT count(*) FROM meta WHERE key LIKE 'note%'")
    async with database.read(snapshot=snapshot) as reading:
        assert (await reading.execute(count))[0][0] == 0
        async with database.write() as tx:
            await note(tx, "note 1")
        assert (await reading.execute(count))[0][0] == (0 if snapshot else 1)


async def test_a_cancelled_transaction_is_rolled_back(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        inside = asyncio.Event()

        async def write() -> None:
            async with database.write() as tx:
                await note(tx, "note 1")
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(write())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.write() as tx:
            await note(tx, "note 2")
        assert await notes(database) == {"note 2"}


@pytest.mark.parametrize("turns", [0, 1, 5, 200])
@pytest.mark.parametrize("writing", [True, False])
async def test_a_statement_that_is_cut_off_leaves_no_connection_half_used(
    database_url: str, writing: bool, turns: int
) -> None:
    async with opened(database_url, pool_size=1) as database:
        started = asyncio.Event()

        async def run() -> None:
            async with database.write() if writing else database.read() as tx:
                if writing:
                    await note(tx, "note 1")
                started.set()
                await tx.execute(ENDLESS)

        task = asyncio.create_task(run())
        await started.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with database.write() as tx:
            assert (await tx.execute(text("SELECT 7")))[0][0] == 7
            await note(tx, "note 2")
        assert await notes(database) == {"note 2"}


async def test_a_commit_under_way_is_carried_to_its_end_where_its_caller_is_cancelled(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:

        async def write() -> None:
            task = asyncio.current_task()
            assert task is not None
            async with database.write() as tx:
                await note(tx, "note 1")
                # It arrives at the next await: the COMMIT.
                asyncio.get_running_loop().call_soon(task.cancel)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(write())
        assert await notes(database) == {"note 1"}
        async with database.write() as tx:
            await note(tx, "note 2")
        assert await notes(database) == {"note 1", "note 2"}


async def test_a_rollback_under_way_is_carried_to_its_end_where_its_caller_is_cancelled(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:

        async def write() -> None:
            task = asyncio.current_task()
            assert task is not None
            async with database.write() as tx:
                await note(tx, "note 1")
                asyncio.get_running_loop().call_soon(task.cancel)
                raise KeyError

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(write())
        async with database.write() as tx:
            await note(tx, "note 2")
        assert await notes(database) == {"note 2"}


async def test_a_cancellation_at_any_moment_stores_all_of_a_transaction_or_nothing(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:

        async def write(number: int) -> None:
            async with database.write() as tx:
                await note(tx, f"note {number} a")
                await note(tx, f"note {number} b")

        for turns in range(40):
            task = asyncio.create_task(write(turns))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            found = {key for key in await notes(database) if key.startswith(f"note {turns} ")}
            assert len(found) in (0, 2)
            if not task.cancelled():
                assert len(found) == 2


async def test_an_error_that_was_passed_over_does_not_store_half_of_a_transaction(database: Database) -> None:
    with pytest.raises(StorageError):
        async with database.write() as tx:
            await note(tx, "note 1")
            with suppress(Duplicate):
                await note(tx, "note 1")
            with pytest.raises(StorageError):
                await note(tx, "note 2")
    assert await notes(database) == set()


async def test_a_unique_key_that_is_taken_is_a_duplicate(database: Database) -> None:
    async with database.write() as tx:
        await note(tx, "note 1")
    with pytest.raises(Duplicate) as raised:
        async with database.write() as tx:
            await note(tx, "note 1")
    assert (raised.value.code, raised.value.retryable) == ("duplicate", False)


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (text("SELECT * FROM no_such_table"), {}),
        (text("SELEKT"), {}),
        (Prepared("SELECT no_such_column FROM meta"), {}),
        (insert(spaces), {"id": "x"}),
        (insert(meta), {"key": "k", "value": None}),
        (insert(refresh_tokens), {"hash": "h", "session_id": "nobody's", "issued_at": 1}),
        (select(spaces.c.id).where(spaces.c.head == 2**70), {}),
        (select(meta.c.key).where(meta.c.key == "\ud800"), {}),
    ],
)
async def test_what_the_database_refuses_is_a_defect_of_ours_and_no_exception_of_a_driver(
    database: Database, statement: object, parameters: dict[str, object]
) -> None:
    with pytest.raises(StorageError) as raised:
        async with database.write() as tx:
            await tx.execute(statement, parameters)  # type: ignore[arg-type]
    assert type(raised.value) is StorageError
    assert not raised.value.retryable
    assert "\n" not in str(raised.value)


async def test_who_gets_no_turn_in_time_is_busy(database_url: str) -> None:
    async with opened(database_url, pool_size=1, wait_s=0.05) as database:
        async with database.write() as tx:
            await note(tx, "note 1")
            with pytest.raises(Busy) as raised:
                async with database.write():
                    pass
        assert raised.value.retryable
        async with database.write() as tx:
            await note(tx, "note 2")
        assert await notes(database) == {"note 1", "note 2"}


async def test_who_is_cancelled_while_waiting_takes_nobodys_turn(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        async with database.write():

            async def write(key: str) -> None:
                async with database.write() as tx:
                    await note(tx, key)

            impatient, patient = asyncio.create_task(write("note 1")), asyncio.create_task(write("note 2"))
            await asyncio.sleep(0)
            impatient.cancel()
        await patient
        with pytest.raises(asyncio.CancelledError):
            await impatient
        assert await notes(database) == {"note 2"}


async def test_writes_have_their_turns_in_the_order_in_which_they_came(database_url: str) -> None:
    async with opened(database_url, pool_size=1) as database:
        turns: list[int] = []

        async def write(number: int) -> None:
            async with database.write() as tx:
                turns.append(number)
                await note(tx, f"note {number}")

        await asyncio.gather(*(write(number) for number in range(50)))
        assert turns == list(range(50))


async def test_statements_are_counted_and_begin_and_commit_are_not(database: Database) -> None:
    before = database.statements
    async with database.write() as tx:
        await note(tx, "note 1")
        await tx.execute(text("SELECT 1"))
    async with database.read(snapshot=True) as tx:
        await tx.execute(text("SELECT 1"))
    assert database.statements - before == 3


async def test_a_statement_over_many_rows_is_one_statement(database: Database) -> None:
    prepared = Prepared("INSERT INTO meta (key, value) VALUES (:key, :value)")
    before = database.statements
    async with database.write() as tx:
        await tx.execute(prepared, [{"key": f"note {i}", "value": "x"} for i in range(5)])
        await tx.execute(insert(meta), [{"key": f"note {i}", "value": "x"} for i in range(5, 9)])
    assert database.statements - before == 2
    assert await notes(database) == {f"note {i}" for i in range(9)}


async def test_rows_outlive_their_transaction(database: Database) -> None:
    async with database.write() as tx:
        await note(tx, "note 1", "kept")
        rows = await tx.execute(select(meta.c.key, meta.c.value).where(meta.c.key == "note 1"))
    assert [tuple(row) for row in rows] == [("note 1", "kept")]


async def test_a_transaction_names_the_timeline_of_its_database(database: Database) -> None:
    async with database.read() as tx:
        assert tx.timeline == database.timeline != ""


async def test_two_openings_of_one_database_name_the_same_timeline(database_url: str, database: Database) -> None:
    async with opened(database_url) as again:
        assert again.timeline == database.timeline
