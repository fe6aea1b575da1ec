"""One commit for all writes that wait: what returned well is on disk, and nobody pays for another one's failure."""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.engine import make_url

from storage import sqlite
from storage.database import Database, Transaction
from storage.errors import DatabaseUnavailable, Duplicate, Moved, Overloaded, StorageError
from storage.prepared import Prepared
from storage.sqlite import GROUP_WRITES_MAX, SqliteDatabase
from storage.sqlite_line import Line, write_all
from storage.tables import meta
from tests.patience import AS_GOOD_AS_FOR_EVER_S


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast this machine is decides no test."""
    monkeypatch.setattr(sqlite, "GROUP_S", math.inf)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqliteDatabase]:
    database = await SqliteDatabase.open(url, wait_s=AS_GOOD_AS_FOR_EVER_S)
    try:
        yield database
    finally:
        await database.close()


async def put(database: Database, key: str, more: Callable[[Transaction], Awaitable[None]] | None = None) -> None:
    async with database.write() as tx:
        await tx.execute(insert(meta), {"key": key, "value": "written"})
        if more is not None:
            await more(tx)
        await tx.execute(insert(meta), {"key": f"{key} too", "value": "written"})


async def written(database: Database) -> set[str]:
    """The keys that were written; both of a write, or it fails."""
    async with database.read() as tx:
        keys = {row[0] for row in await tx.execute(select(meta.c.key).where(meta.c.value == "written"))}
    single = {key for key in keys if not key.endswith(" too")}
    assert keys == single | {f"{key} too" for key in single}
    return single


@asynccontextmanager
async def waiting(database: Database, *writes: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Writes that wait for the one of the block."""
    tasks: list[asyncio.Task[None]] = []
    try:
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": "first", "value": "written"})
            await tx.execute(insert(meta), {"key": "first too", "value": "written"})
            tasks += [asyncio.create_task(write) for write in writes]
            await asyncio.sleep(0)
            yield tasks
    finally:
        await asyncio.wait(tasks)


async def test_writes_that_wait_for_each_other_are_stored_by_one_commit(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        async with waiting(database, *(put(database, f"{n}") for n in range(10))):
            pass
        assert await written(database) == {"first", *map(str, range(10))}
        assert database.commits == 1


async def test_a_group_of_writes_has_a_bound(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        async with waiting(database, *(put(database, f"{n}") for n in range(GROUP_WRITES_MAX))):
            pass
        assert len(await written(database)) == GROUP_WRITES_MAX + 1
        assert database.commits == 2


async def test_a_write_that_has_waited_long_enough_is_stored_before_the_next_one_begins(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "GROUP_S", 0)
    async with opened(sqlite_url) as database:

        async def look(tx: Transaction) -> None:
            # While this one is under way, those before it are on the disk.
            with closing(sqlite3.connect(Path(make_url(sqlite_url).database or ""))) as other:
                assert other.execute("SELECT count(*) FROM meta WHERE key = 'first'").fetchall() == [(1,)]

        async with waiting(database, put(database, "a", look), put(database, "b", look)) as tasks:
            pass
        for task in tasks:
            task.result()
        assert await written(database) == {"first", "a", "b"}
        assert database.commits == 3


async def test_no_write_of_a_group_returns_before_it_is_on_disk(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:

        async def put_and_look(key: str) -> None:
            await put(database, key)
            with closing(sqlite3.connect(Path(make_url(sqlite_url).database or ""))) as other:
                assert other.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall() == [("written",)]

        async with waiting(database, *(put_and_look(f"{n}") for n in range(5))) as tasks:
            pass
        for task in tasks:
            task.result()


async def test_a_write_that_fails_takes_back_its_own_statements_alone(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:

        async def fail(tx: Transaction) -> None:
            raise KeyError

        async def take_a_taken_key(tx: Transaction) -> None:
            await tx.execute(insert(meta), {"key": "first", "value": "again"})

        writes = (
            put(database, "a"),
            put(database, "b", fail),
            put(database, "c", take_a_taken_key),
            put(database, "d"),
        )
        async with waiting(database, *writes) as tasks:
            pass
        assert [type(task.exception()) for task in tasks] == [type(None), KeyError, Duplicate, type(None)]
        assert await written(database) == {"first", "a", "d"}


async def test_a_write_that_is_cancelled_takes_back_its_own_statements_alone(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:

        async def cancel(tx: Transaction) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        async with waiting(database, put(database, "a"), put(database, "b", cancel), put(database, "c")) as tasks:
            pass
        assert [task.cancelled() for task in tasks] == [False, True, False]
        assert await written(database) == {"first", "a", "c"}


async def test_where_sqlite_gives_up_the_transaction_no_write_of_the_group_is_said_to_be_stored(
    sqlite_url: str,
) -> None:
    async with opened(sqlite_url) as database:

        async def lose(tx: Transaction) -> None:
            await tx.execute(text("ROLLBACK"))
            raise KeyError

        with pytest.raises(StorageError):
            async with waiting(database, put(database, "a"), put(database, "b", lose), put(database, "c")) as tasks:
                pass
        assert type(tasks[0].exception()) is StorageError
        assert type(tasks[1].exception()) is KeyError
        assert tasks[2].exception() is None
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": "next", "value": "written"})
            await tx.execute(insert(meta), {"key": "next too", "value": "written"})
        # Those who came after the loss are a group of their own.
        assert await written(database) == {"c", "next"}


@settings(max_examples=25)
@given(
    plans=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(["well", "fails", "cancelled"]), st.booleans()), max_size=16
    ),
    waits_s=st.sampled_from([0, math.inf]),
)
def test_what_returned_well_is_stored_and_what_failed_is_not(
    sqlite_template: Path, plans: list[tuple[int, str, bool]], waits_s: float
) -> None:
    async def run(url: str) -> None:
        # The fixture above puts back what it was.
        sqlite.GROUP_S = waits_s  # type: ignore[misc]
        async with opened(url) as database:

            async def fail(tx: Transaction) -> None:
                raise KeyError

            async def begin(key: str, fate: str, at_once: bool) -> None:
                if not at_once:
                    await put(database, key, fail if fate == "fails" else None)
                else:
                    await put_at_once(database, key, *((NOBODY_STANDS,) if fate == "fails" else ()))

            tasks = []
            for number, (turns, fate, at_once) in enumerate(plans):
                task = asyncio.create_task(begin(str(number), fate, at_once))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if fate == "cancelled":
                    task.cancel()
                tasks.append(task)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            stored = await written(database)
            for number, outcome in enumerate(outcomes):
                if outcome is None:
                    assert str(number) in stored
                elif isinstance(outcome, KeyError | Moved):
                    assert plans[number][1] == "fails" and str(number) not in stored
                else:
                    assert isinstance(outcome, asyncio.CancelledError)

    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(sqlite_template, f"{folder}/fitai.db")
        asyncio.run(run(f"sqlite+aiosqlite:///{folder}/fitai.db"))


# -- single writes: a line of their own, and one visit to the thread for all who wait ------------------------------

ADD = Prepared("INSERT INTO meta (key, value) VALUES (:key, 'written')")
NOBODY_STANDS = (Prepared("SELECT 1 FROM meta WHERE key = ''", or_moved=True), dict[str, str]())
FIRST_STANDS = Prepared("SELECT 1 FROM meta WHERE key = 'first' AND value = :value", or_moved=True)


async def put_at_once(database: Database, key: str, *before: tuple[Prepared, dict[str, str]]) -> None:
    async with database.write(single=True) as tx:
        await tx.execute_all(*before, (ADD, {"key": key}), (ADD, {"key": f"{key} too"}))


async def test_single_writes_that_wait_are_stored_by_one_commit_with_what_waits_for_one(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        singles = [put_at_once(database, f"{n}") for n in range(10)]
        async with waiting(database, put(database, "a"), *singles) as tasks:
            pass
        for task in tasks:
            task.result()
        assert await written(database) == {"first", "a", *map(str, range(10))}
        assert database.commits == 1


async def test_a_single_write_reads_while_another_one_has_its_turn(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        await put(database, "before")
        async with database.write() as holder:
            await holder.execute(insert(meta), {"key": "held", "value": "unseen"})
            async with database.write(single=True) as tx:
                assert await tx.execute(select(meta.c.key).where(meta.c.key.in_(["before", "held"]))) == [("before",)]


async def test_a_single_write_that_fails_takes_back_its_own_statements_alone(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        singles = (
            put_at_once(database, "a"),
            put_at_once(database, "first"),
            put_at_once(database, "b", (FIRST_STANDS, {"value": "something else"})),
            put_at_once(database, "c", (FIRST_STANDS, {"value": "written"})),
        )
        async with waiting(database, *singles) as tasks:
            pass
        outcomes = [type(task.exception()) for task in tasks]
        assert outcomes == [type(None), Duplicate, Moved, type(None)]
        assert await written(database) == {"first", "a", "c"}
        assert database.commits == 1


async def test_a_single_write_that_is_cancelled_in_the_line_is_never_tried(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        async with waiting(database, put_at_once(database, "a"), put_at_once(database, "b")) as tasks:
            tasks[1].cancel()
            # While the turn is this block's own.
            await asyncio.wait([tasks[1]])
        assert [task.cancelled() for task in tasks] == [False, True]
        assert await written(database) == {"first", "a"}


async def test_a_single_write_whose_turn_does_not_come_is_told_so_and_never_tried(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of all waits this one alone is short, and nothing ends it but its own end.
    monkeypatch.setattr(sqlite, "Line", lambda wait_s: Line(0.01))
    async with opened(sqlite_url) as database:
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": "first", "value": "written"})
            await tx.execute(insert(meta), {"key": "first too", "value": "written"})
            with pytest.raises(Overloaded):
                await put_at_once(database, "a")
        assert await written(database) == {"first"}


async def test_a_single_write_into_a_database_that_was_closed_fails_and_does_not_wait(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        await put_at_once(database, "a")
    with pytest.raises(DatabaseUnavailable):
        await put_at_once(database, "b")


@asynccontextmanager
async def visited(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], Coroutine[Any, Any, bool]]]:
    """Every visit to the thread waits for the end of the block, which is given what waits for one to begin."""
    begun, go_on = threading.Event(), threading.Event()

    def held(*given: Any, **more: Any) -> list[StorageError | None]:
        begun.set()
        go_on.wait()
        return write_all(*given, **more)

    monkeypatch.setattr(sqlite, "write_all", held)
    try:
        yield lambda: asyncio.to_thread(begun.wait)
    finally:
        go_on.set()


async def test_a_single_write_that_is_cancelled_while_it_is_tried_is_carried_to_its_end(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(sqlite_url) as database:
        task = asyncio.create_task(put_at_once(database, "a"))
        async with visited(monkeypatch) as begun:
            await begun()
            task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            # It is not on disk yet.
            assert not task.done()
        await asyncio.wait([task])
        assert task.cancelled()
        assert await written(database) == {"a"}


async def test_who_was_taken_but_not_tried_keeps_their_place_in_the_line(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever a visit has done, it is late.
    monkeypatch.setattr(sqlite, "GROUP_S", 0)
    came: list[str] = []

    async def note(key: str) -> None:
        await put_at_once(database, key)
        came.append(key)

    async with opened(sqlite_url) as database:
        tasks = [asyncio.create_task(note(key)) for key in ("a", "b", "c")]
        async with visited(monkeypatch) as begun:
            await begun()
            tasks.append(asyncio.create_task(note("d")))
            await asyncio.sleep(0)
        await asyncio.wait(tasks)
        assert came == ["a", "b", "c", "d"]
        assert await written(database) == {*came}


async def test_where_sqlite_gives_up_the_transaction_no_single_write_in_it_is_said_to_be_stored(
    sqlite_url: str,
) -> None:
    async with opened(sqlite_url) as database:
        lose = ((Prepared("ROLLBACK"), {}), (FIRST_STANDS, {"value": "written"}))
        with pytest.raises(StorageError):
            async with waiting(database, put_at_once(database, "a"), put_at_once(database, "b", *lose)) as tasks:
                pass
        assert all(isinstance(task.exception(), StorageError) for task in tasks)
        assert await written(database) == set()
