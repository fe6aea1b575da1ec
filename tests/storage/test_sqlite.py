"""What only a file can do to a transaction: be missing, be full, be locked, be another one."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.engine import make_url

from storage import feed
from storage.database import Database, backend_of, masked, open_database
from storage.errors import Busy, DatabaseReadOnly, DatabaseUnavailable, StorageError
from storage.migrations import upgrade
from storage.tables import meta
from tests.storage.world import add_home, add_user, push, record

KEY = select(meta.c.value).where(meta.c.key == "k")


@asynccontextmanager
async def opened(url: str, *, wait_s: float = 5.0) -> AsyncIterator[Database]:
    database = await open_database(url, wait_s=wait_s)
    try:
        yield database
    finally:
        await database.close()


def file_of(url: str) -> Path:
    return Path(make_url(url).database or "")


async def test_a_commit_is_on_disk_before_it_is_answered(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database, database.write() as tx:
        assert (await tx.execute(text("PRAGMA journal_mode")))[0][0] == "wal"
        assert (await tx.execute(text("PRAGMA synchronous")))[0][0] == 2
        assert (await tx.execute(text("PRAGMA foreign_keys")))[0][0] == 1


async def test_a_missing_file_is_not_made_in_passing(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(DatabaseUnavailable, match=r"none\.db.*fitai db upgrade"):
        await open_database(f"sqlite+aiosqlite:///{path}")
    assert not path.exists()


async def test_a_missing_folder_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="folder"):
        await upgrade(f"sqlite+aiosqlite:///{tmp_path}/none/fitai.db")


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
async def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="file"):
        await open_database(url)


async def test_what_is_no_database_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 500)
    with pytest.raises(DatabaseUnavailable, match=r"letter\.db"):
        await open_database(f"sqlite+aiosqlite:///{path}")
    with pytest.raises(DatabaseUnavailable, match=r"letter\.db"):
        await upgrade(f"sqlite+aiosqlite:///{path}")


async def test_a_file_without_tables_says_how_to_make_them(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(DatabaseUnavailable, match="fitai db upgrade"):
        await open_database(f"sqlite+aiosqlite:///{path}")


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A file as a device has one: with a table of ours by name, and not one step of the schema."""
    path = tmp_path / "phone.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)")
    return path


@pytest.mark.parametrize("use", [open_database, upgrade], ids=["opened", "upgraded"])
async def test_a_file_of_a_device_or_of_another_program_is_refused_and_left_as_it_is(
    foreign: Path, use: Callable[[str], Awaitable[object]]
) -> None:
    was = content(foreign)
    with pytest.raises(DatabaseUnavailable, match="stays as it is"):
        await use(f"sqlite+aiosqlite:///{foreign}")
    assert content(foreign) == was


async def test_a_file_of_which_sqlite_alone_has_tables_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "fitai.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("ANALYZE")
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("sqlite_stat1",)]
    await upgrade(f"sqlite+aiosqlite:///{path}")
    await (await open_database(f"sqlite+aiosqlite:///{path}")).close()


@pytest.mark.parametrize("url", ["", "fitai", "://", "sqlite//x", "http://[::1"])
def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="is no URL"):
        backend_of(url)


def test_another_kind_of_database_is_refused_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        backend_of("mysql://ann:geheim@host/db")
    assert "mysql" in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_a_url_is_shown_without_its_password() -> None:
    assert masked("postgresql+asyncpg://ann:geheim@host/db") == "postgresql+asyncpg://ann:***@host/db"


async def test_a_file_that_another_process_writes_is_busy_and_readable(sqlite_url: str) -> None:
    async with opened(sqlite_url, wait_s=0.05) as database:
        with closing(sqlite3.connect(file_of(sqlite_url), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO meta (key, value) VALUES ('k', 'v')")
            with pytest.raises(Busy):
                async with database.write() as tx:
                    await tx.execute(KEY)
            async with database.read() as tx:
                assert await tx.execute(KEY) == []
            other.execute("COMMIT")
        async with database.write() as tx:
            assert [row[0] for row in await tx.execute(KEY)] == ["v"]


async def test_a_full_disk_takes_no_writes_and_loses_nothing_that_was_acknowledged(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        async with database.write() as tx:
            await tx.execute(insert(meta), {"key": "k", "value": "kept"})
            await tx.execute(text("PRAGMA max_page_count = 1"))
        with pytest.raises(DatabaseReadOnly) as raised:
            async with database.write() as tx:
                await tx.execute(insert(meta), {"key": "small", "value": "v"})
                await tx.execute(insert(meta), {"key": "large", "value": "v" * 1_000_000})
        assert raised.value.retryable
        async with database.read() as tx:
            assert [row[0] for row in await tx.execute(select(meta.c.key).where(meta.c.value != ""))].count(
                "small"
            ) == 0
            assert [row[0] for row in await tx.execute(KEY)] == ["kept"]
        async with database.write() as tx:
            await tx.execute(text("PRAGMA max_page_count = 1000000"))
            await tx.execute(insert(meta), {"key": "large", "value": "v" * 1_000_000})


@pytest.mark.parametrize("snapshot", [True, False])
async def test_a_reading_takes_no_writes(sqlite_url: str, snapshot: bool) -> None:
    async with opened(sqlite_url) as database:
        with pytest.raises(DatabaseReadOnly):
            async with database.read(snapshot=snapshot) as tx:
                await tx.execute(insert(meta), {"key": "k", "value": "v"})
        async with database.read() as tx:
            assert await tx.execute(KEY) == []


async def test_a_restored_file_with_a_new_id_is_another_timeline(sqlite_url: str, tmp_path: Path) -> None:
    async with opened(sqlite_url) as database:
        before = database.timeline
    copy = tmp_path / "restored.db"
    shutil.copyfile(file_of(sqlite_url), copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE meta SET value = lower(hex(randomblob(8))) WHERE key = 'timeline'")
    async with opened(f"sqlite+aiosqlite:///{copy}") as database:
        assert database.timeline != before
    async with opened(sqlite_url) as database:
        assert database.timeline == before


async def test_two_processes_may_write_one_file(sqlite_url: str) -> None:
    async with opened(sqlite_url) as one, opened(sqlite_url) as two:

        async def write(database: Database, name: str) -> None:
            for number in range(20):
                async with database.write() as tx:
                    await tx.execute(insert(meta), {"key": f"{name} {number}", "value": "written"})

        await asyncio.gather(write(one, "one"), write(two, "two"))
        async with one.read() as tx:
            written = select(meta.c.key).where(meta.c.value == "written")
            assert len(await tx.execute(written)) == 40


async def test_more_readings_than_readers_wait_for_each_other(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:

        async def read() -> int:
            async with database.read(snapshot=True) as tx:
                await asyncio.sleep(0)
                return int((await tx.execute(text("SELECT 7")))[0][0])

        assert await asyncio.gather(*(read() for _ in range(50))) == [7] * 50


async def test_nothing_is_written_after_a_statement_that_failed(sqlite_url: str) -> None:
    async with opened(sqlite_url) as database:
        with pytest.raises(StorageError):
            async with database.write() as tx:
                with pytest.raises(StorageError):
                    await tx.execute(text("SELEKT"))
                await tx.execute(insert(meta), {"key": "k", "value": "v"})
        async with database.read() as tx:
            assert await tx.execute(KEY) == []


async def test_of_a_space_that_somebody_may_not_see_no_record_is_looked_at(sqlite_url: str) -> None:
    def steps(user: str) -> int:
        """What the database does for a page of theirs, in steps of its own machine."""
        query, arguments = feed._SERVE_AFTER.compiled("sqlite")
        asked = arguments({"space": "home", "user": user, "after": 0, "limit": 500, "enough": 1_000_000})
        done: list[None] = []
        with closing(sqlite3.connect(file_of(sqlite_url))) as connection:
            connection.set_progress_handler(lambda: done.append(None), 1)
            assert len(connection.execute(query, asked).fetchall()) == 1
        return len(done)

    async with opened(sqlite_url) as database:
        await add_home(database)
        await add_user(database, "eve")
        await push(database, [record("1", 1)])
        before, own = steps("eve"), steps("ann")
        await push(database, [record(str(n), n) for n in range(2, 200)])
        # How many there are would be told by how long it takes.
        assert (steps("eve"), steps("ann") > own + 1_000) == (before, True)
