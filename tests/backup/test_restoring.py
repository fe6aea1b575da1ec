"""A backup put back: the same rows in either database, in a new life, in today's schema; or nothing at all."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import sqlalchemy as sa

from storage.backup import saving
from storage.backup.archive import Archive
from storage.backup.restoring import restore
from storage.database import Database, Transaction, open_database
from storage.errors import BackupTooNew, BackupUnwritable, DatabaseUnavailable, PlaceTaken, StorageError
from storage.migrations import revisions, upgrade
from storage.tables import metadata
from sync.bus import MemoryBus
from sync.engine import Engine
from sync.errors import BadCursor, Resync, ServerBehind
from sync.texts import ProcessTextReader
from tests.backup.conftest import Empty
from tests.backup.support import TAKEN_AT, back_up, put_back, rows_in, rows_of, violations_in
from tests.sync.harness import World
from tests.sync.test_audit import Story


async def history(world: World, seed: int = 1) -> None:
    """A little of everything that can be stored."""
    story = Story(world, seed)
    devices = [await world.device() for _ in range(2)]
    for _ in range(12):
        device = random.Random(seed).choice(devices)
        await device.push(*[story.change(device) for _ in range(4)], confirm_deletes=True, seen=device.context)
        await device.pull()
    async with world.database.write() as tx:
        await tx.execute(
            sa.text(
                "INSERT INTO sessions (id, user_id, device_id, created_at, last_used_at, expires_at, user_agent) "
                "VALUES ('s1', :user, :device, 1, 2, 3, 'Mobile \N{SNOWMAN}')"
            ),
            {"user": world.user, "device": devices[0].id},
        )
        await tx.execute(sa.text("INSERT INTO refresh_tokens (hash, session_id, issued_at) VALUES ('h', 's1', 1)"))


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_every_row_is_put_back_into_either_database(
    world: World, kind: str, empty: Empty, tmp_path: Path
) -> None:
    await history(world)
    before = await rows_of(world.database)
    header = await back_up(world.database, tmp_path / "a.tar")
    assert {table.name: table.rows for table in header.tables} == {name: len(rows) for name, rows in before.items()}

    url = empty(kind)
    await put_back(tmp_path / "a.tar", url)

    after = await rows_in(url)
    assert {name: rows for name, rows in after.items() if name not in ("spaces", "meta")} == {
        name: rows for name, rows in before.items() if name not in ("spaces", "meta")
    }
    assert len(after["changes"]) > 20


async def test_what_was_put_back_is_sound(world: World, empty_url: str, tmp_path: Path) -> None:
    await history(world)
    await back_up(world.database, tmp_path / "a.tar")
    await put_back(tmp_path / "a.tar", empty_url)
    assert await violations_in(empty_url) == []


async def in_place_of(world: World, url: str) -> Database:
    """The world's engine over another database."""
    world.database = database = await open_database(url)
    world.engine = Engine(database, MemoryBus(), ProcessTextReader(), world.engine.environment, world.engine.limits)
    return database


async def test_every_space_begins_a_new_life_with_the_head_it_had(
    database: Database, empty_url: str, tmp_path: Path
) -> None:
    world = await World.make(database)
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    unwritten = await world.add_space(world.user, "shared")
    await back_up(database, tmp_path / "a.tar")
    await put_back(tmp_path / "a.tar", empty_url)

    restored = await open_database(empty_url)
    async with restored.read() as tx:
        rows = await tx.execute(sa.text("SELECT id, life, lives, head, server_device, timeline FROM spaces"))
    await restored.close()
    found = {row[0]: row[1:] for row in rows}
    for space, head in ((world.space, 1), (unwritten, 0)):
        life, lives, stored_head, server_device, timeline = found[space]
        assert stored_head == head
        assert msgspec.json.decode(lives) == [["a1", 0], [life, head]]
        assert server_device != "server-a1"
        assert timeline == ""
    await world.close()


async def test_a_device_that_missed_nothing_goes_on_from_its_cursor_and_one_that_is_ahead_takes_a_snapshot(
    database: Database, empty_url: str, tmp_path: Path
) -> None:
    world = await World.make(database)
    phone, laptop, tablet = [await world.device() for _ in range(3)]
    unwritten = await world.add_space(world.user, "shared")
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    await laptop.pull()
    await back_up(database, tmp_path / "a.tar")
    await phone.push(*[phone.put("workouts", world.uuid(), title="y") for _ in range(3)])
    await phone.pull()
    await tablet.push(tablet.put("workouts", world.uuid(), title="z"), space=unwritten)
    await tablet.pull(unwritten)
    await world.close()
    await put_back(tmp_path / "a.tar", empty_url)
    restored = await in_place_of(world, empty_url)

    newcomer = await world.device()
    # Past every seq that the lost history had given out.
    for space in (world.space, unwritten):
        newcomer.n, newcomer.after = 0, None
        await newcomer.push(*[newcomer.put("workouts", world.uuid(), title="n") for _ in range(9)], space=space)
    assert len(await laptop.pull()) == 9
    for device, space in ((phone, world.space), (tablet, unwritten)):
        with pytest.raises((Resync, BadCursor)):
            await device.pull(space)
    with pytest.raises(ServerBehind):
        await phone.push(phone.put("workouts", world.uuid(), title="more"))
    await world.close()
    await restored.close()


# -- what is refused ---------------------------------------------------------------------------------------------


async def test_a_place_with_something_in_it_is_refused_by_name_and_left_alone(
    world: World, database_url: str, tmp_path: Path
) -> None:
    await history(world)
    await back_up(world.database, tmp_path / "a.tar")
    before = await rows_of(world.database)
    with pytest.raises(PlaceTaken, match=r"(fitai\.db is there|has \d+ rows in changes), and a backup is"):
        await put_back(tmp_path / "a.tar", database_url)
    assert await rows_of(world.database) == before


@pytest.mark.parametrize("beside", ["-wal", "-journal"])
async def test_a_log_that_a_removed_file_left_is_refused(
    world: World, empty: Empty, tmp_path: Path, beside: str
) -> None:
    await back_up(world.database, tmp_path / "a.tar")
    url = empty("sqlite")
    left = tmp_path / (url.rpartition("/")[2] + beside)
    left.write_bytes(b"x")
    with pytest.raises(PlaceTaken, match=beside):
        await put_back(tmp_path / "a.tar", url)
    assert left.read_bytes() == b"x"


@pytest.mark.parametrize("schema", ["0001", "head"])
async def test_tables_without_a_row_are_an_empty_place(world: World, schema: str, empty: Empty, tmp_path: Path) -> None:
    await history(world)
    await back_up(world.database, tmp_path / "a.tar")
    url = empty("postgres")
    await upgrade(url, to=schema)
    await put_back(tmp_path / "a.tar", url)
    assert (await rows_in(url))["records"] == (await rows_of(world.database))["records"]


async def test_a_later_schema_is_refused_by_its_version(
    world: World, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await back_up(world.database, tmp_path / "a.tar")
    newest, *known = revisions()
    monkeypatch.setattr("storage.backup.restoring.revisions", lambda: known)
    said = rf"written by FitAI 1\.2\.3 with the schema {newest}.* here is {known[0]}"
    with pytest.raises(BackupTooNew, match=said):
        await put_back(tmp_path / "a.tar", empty_url)
    await is_empty(empty_url)


async def test_a_backup_of_an_earlier_schema_is_brought_up_to_date(
    empty: Empty, empty_url: str, tmp_path: Path
) -> None:
    old = empty("sqlite")
    await upgrade(old, to="0001")
    database = await open_database(old)
    async with database.write() as tx:
        # As the first schema had it, which counted without the ledger.
        await tx.execute(
            sa.text(
                "INSERT INTO spaces (id, kind, name, head, version, life, lives, timeline, floor, records, bytes,"
                " server_device, server_hlc, created_at) VALUES ('00000000-0000-7000-8000-000000000001', 'personal',"
                " '', 1, CAST('{}' AS BLOB), 'l', CAST('[[\"l\",0]]' AS BLOB), '', 0, 1, 70, 'd',"
                " '0000000000000000', 0)"
            )
        )
        await tx.execute(
            sa.text(
                "INSERT INTO changes (space_id, device_id, n, arrival, op, hlc, context, fields, received_at, user_id)"
                " VALUES ('00000000-0000-7000-8000-000000000001', 'd', 1, 1, 'put', '0', CAST('{}' AS BLOB),"
                " NULL, 0, 'u')"
            )
        )
    header = await back_up(database, tmp_path / "a.tar")
    await database.close()
    assert header.schema == "0001"

    await put_back(tmp_path / "a.tar", empty_url)

    restored = await open_database(empty_url)
    async with restored.read() as tx:
        assert await tx.execute(sa.text("SELECT version_num FROM alembic_version")) == [(revisions()[0],)]
        ((counted,),) = await tx.execute(sa.text("SELECT bytes FROM spaces"))
    await restored.close()
    assert counted > 200


async def test_a_table_that_there_is_no_more_is_put_back_for_the_steps_to_read(
    world: World, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a later step takes away: the tables of today do not say which an earlier schema had."""
    await history(world)
    await back_up(world.database, tmp_path / "a.tar")
    monkeypatch.setattr(metadata, "tables", {name: each for name, each in metadata.tables.items() if name != "mails"})
    await put_back(tmp_path / "a.tar", empty_url)
    assert (await rows_in(empty_url))["records"] == (await rows_of(world.database))["records"]


async def test_a_backup_that_changes_while_it_is_put_back_leaves_nothing(
    world: World, empty_url: str, tmp_path: Path
) -> None:
    await history(world)
    path = tmp_path / "a.tar"
    await back_up(world.database, path)
    archive = Archive.verified(path)
    data = bytearray(path.read_bytes())
    # In the last rows: nearly everything is in by then.
    data[data.rindex(b"refresh_tokens/000001") + 520] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError):
        await restore(archive, empty_url, begin_life=lambda space: space)
    await is_empty(empty_url)


async def is_empty(url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await open_database(url)


async def test_a_damaged_database_is_put_back_as_it_was_for_the_check_to_name(
    sqlite_url: str, empty: Empty, tmp_path: Path
) -> None:
    database = await open_database(sqlite_url)
    world = await World.make(database)
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    async with database.write() as tx:
        await tx.execute(sa.text("UPDATE records SET state = :bytes, seq = 'seven'"), {"bytes": b"\xff\xfe"})
        await tx.execute(sa.text("UPDATE spaces SET version = :bytes"), {"bytes": b"{"})
    await back_up(database, tmp_path / "a.tar")
    url = empty("sqlite")
    await put_back(tmp_path / "a.tar", url)
    before, after = await rows_of(database), await rows_in(url)
    assert after["records"] == before["records"]
    assert [row[5] for row in after["spaces"]] == [b"{"]
    await world.close()
    await database.close()


# -- saving ------------------------------------------------------------------------------------------------------


class Interrupted:
    """A database in which somebody writes before each statement of a reading but the first."""

    def __init__(self, database: Database, write: Callable[[], Awaitable[None]]) -> None:
        self._database, self._write = database, write

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[Any]:
        async with self._database.read(snapshot=snapshot) as tx:
            yield _Interrupted(tx, self._write)


class _Interrupted:
    def __init__(self, tx: Transaction, write: Callable[[], Awaitable[None]]) -> None:
        self.dialect, self._tx, self._write, self._begun = tx.dialect, tx, write, False

    async def execute(self, statement: Any, parameters: Any = None) -> Any:
        if self._begun:
            await self._write()
        self._begun = True
        return await self._tx.execute(statement, parameters)


async def test_a_backup_is_one_state_of_the_whole_and_keeps_no_writer_waiting(
    world: World, empty_url: str, tmp_path: Path
) -> None:
    await history(world)
    before = await rows_of(world.database)
    phone = await world.device()
    devices = await rows_of(world.database)

    async def write() -> None:
        await phone.push(phone.put("workouts", world.uuid(), title="meanwhile"))

    await back_up(cast(Database, Interrupted(world.database, write)), tmp_path / "a.tar")
    assert phone.n > 20
    await put_back(tmp_path / "a.tar", empty_url)
    after = await rows_in(empty_url)
    assert after["devices"] == devices["devices"]
    assert {name: after[name] for name in ("records", "changes", "space_devices")} == {
        name: before[name] for name in ("records", "changes", "space_devices")
    }


async def test_a_table_of_many_pages_is_saved_whole(
    database: Database, empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "PAGE_ROWS_FIRST", 2)
    monkeypatch.setattr(saving, "PAGE_ROWS_MAX", 2)
    world = await World.make(database)
    await history(world)
    await back_up(database, tmp_path / "a.tar")
    await put_back(tmp_path / "a.tar", empty_url)
    assert (await rows_in(empty_url))["changes"] == (await rows_of(database))["changes"]
    await world.close()


async def test_what_has_the_name_of_a_backup_stays(world: World, tmp_path: Path) -> None:
    target = tmp_path / "a.tar"
    await back_up(world.database, target)
    data = target.read_bytes()
    with pytest.raises(PlaceTaken, match=r"a\.tar exists already"):
        await back_up(world.database, target)
    assert target.read_bytes() == data


async def test_a_folder_that_is_not_there_is_told(world: World, tmp_path: Path) -> None:
    with pytest.raises(BackupUnwritable, match="No such file or directory"):
        await back_up(world.database, tmp_path / "none" / "a.tar")


async def test_a_backup_says_what_it_is(world: World, tmp_path: Path) -> None:
    header = await back_up(world.database, tmp_path / "a.tar")
    assert (header.fitai, header.taken_at) == ("1.2.3", TAKEN_AT)
    assert (header.schema, header.database) == (revisions()[0], world.database.dialect)
    assert Archive.verified(tmp_path / "a.tar").header == header
