"""The schema's steps lead to just what the tables say, from anywhere, however often."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from storage.database import open_database
from storage.errors import DatabaseUnavailable
from storage.migrations import is_newest, newest, revisions, upgrade
from storage.sqlite_connection import sqlite_engine
from storage.tables import metadata
from tests.services.postgres import run_statement


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
    return list(compare_metadata(context, metadata))


async def look(url: str, work: Any) -> Any:
    """Run `work` on a synchronous connection to the database."""
    if url.startswith("sqlite"):
        engine: Engine = sqlite_engine(url, "rw")
        try:
            with engine.connect() as connection:
                return work(connection)
        finally:
            engine.dispose()
    asynchronous = create_async_engine(url)
    try:
        async with asynchronous.connect() as connection_:
            return await connection_.run_sync(work)
    finally:
        await asynchronous.dispose()


def indexes(connection: Connection) -> set[tuple[str, str, tuple[str, ...]]]:
    inspector = inspect(connection)
    return {
        (table, str(index["name"]), tuple(str(name) for name in index["column_names"]))
        for table in metadata.tables
        for index in inspector.get_indexes(table)
        if not index.get("unique")
    }


async def test_the_steps_lead_to_what_the_tables_say(empty_url: str) -> None:
    await upgrade(empty_url)
    assert await look(empty_url, differences) == []
    declared = {
        (table.name, str(index.name), tuple(column.name for column in index.columns))
        for table in metadata.tables.values()
        for index in table.indexes
    }
    assert await look(empty_url, indexes) == declared


async def test_an_upgrade_of_what_is_newest_changes_nothing(empty_url: str) -> None:
    await upgrade(empty_url)
    before = await open_database(empty_url)
    timeline = before.timeline
    await before.close()
    await upgrade(empty_url)
    again = await open_database(empty_url)
    assert again.timeline == timeline
    await again.close()


async def test_whether_all_steps_were_taken_is_told_without_alembic(empty_url: str) -> None:
    assert newest() == revisions()[0]
    for to, expected in ((revisions()[1], False), ("head", True)):
        await upgrade(empty_url, to=to)
        database = await open_database(empty_url)
        async with database.read() as tx:
            assert await is_newest(tx) is expected
        await database.close()


async def test_several_processes_may_upgrade_at_once(empty_url: str) -> None:
    await asyncio.gather(*(upgrade(empty_url) for _ in range(5)))
    assert await look(empty_url, differences) == []


async def test_an_upgrade_that_was_cut_off_left_nothing_and_may_be_repeated(empty_url: str) -> None:
    """A step is one transaction: what stops it half-way (here a table in its way) leaves the database as it was."""
    await upgrade(empty_url, to="0001")
    await run(empty_url, "CREATE TABLE jobs (x integer)")
    before = await look(empty_url, lambda connection: set(inspect(connection).get_table_names()))
    with pytest.raises(DatabaseUnavailable, match="cannot be set up"):
        await upgrade(empty_url)
    assert await look(empty_url, lambda connection: set(inspect(connection).get_table_names())) == before
    await run(empty_url, "DROP TABLE jobs")
    await upgrade(empty_url)
    assert await look(empty_url, differences) == []


async def test_a_database_of_a_later_version_is_refused_in_a_sentence_and_left_as_it_is(empty_url: str) -> None:
    await upgrade(empty_url)
    await run(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnavailable, match="cannot be set up: Its schema 9999 is of a later"):
        await upgrade(empty_url)
    stands = await look(empty_url, lambda connection: connection.execute(text("SELECT * FROM alembic_version")).all())
    assert stands == [("9999",)]


async def test_what_stood_in_the_ledger_before_it_counted_is_added_to_the_quota(empty_url: str) -> None:
    await upgrade(empty_url, to="0001")
    await run(
        empty_url,
        "INSERT INTO spaces (id, kind, name, head, version, life, lives, timeline, floor, records, bytes,"
        " server_device, server_hlc, created_at)"
        " VALUES ('s', 'personal', '', 2, '{}', 'l', '[]', 't', 0, 1, 70, 'd', '0', 0)",
    )
    for n, fields, verdict in ((1, "'12345'", "NULL"), (2, "NULL", "'123'")):
        await run(
            empty_url,
            "INSERT INTO changes (space_id, device_id, n, arrival, op, hlc, context, fields, verdict, received_at,"
            f" user_id) VALUES ('s', 'd', {n}, 1, 'put', '0', '12', {fields}, {verdict}, 0, 'u')",
        )
    await upgrade(empty_url)
    found = await look(empty_url, lambda connection: connection.execute(text("SELECT bytes FROM spaces")).scalar())
    assert found == 70 + (200 + 2 + 5) + (200 + 2 + 3)


async def test_workouts_from_before_there_were_lists_stand_in_them(empty_url: str) -> None:
    await upgrade(empty_url, to="0007")
    at = "2026-11-23T10:00:00.000Z"
    bodies = {
        "started": f'{{"values":{{"started_at":"{at}"}}}}',
        "planned": '{"values":{}}',
        "gone": '{"deleted":true}',
    }
    for id, body in bodies.items():
        await run(
            empty_url,
            "INSERT INTO records (space_id, collection, id, seq, status, body, state)"
            f" VALUES ('s', 'workouts', '{id}', 1, {int(id == 'gone')}, '{body}', '')",
        )
    await upgrade(empty_url)
    rows = await look(empty_url, lambda c: c.execute(text("SELECT id, listed_at FROM records")).fetchall())
    assert dict(map(tuple, rows)) == {"started": at, "planned": "", "gone": None}


async def test_templates_that_were_public_before_there_was_a_list_stand_in_it(empty_url: str) -> None:
    await upgrade(empty_url, to="0010")
    await run(
        empty_url,
        "INSERT INTO spaces (id, kind, name, head, version, life, lives, timeline, floor, records, bytes,"
        " server_device, server_hlc, created_at)"
        " VALUES ('s', 'personal', '', 2, '{}', 'l', '[]', 't', 0, 1, 70, 'd', '0', 0)",
    )
    bodies = {
        ("templates", "open", None): '{"title":"Push Day","visibility":"public"}',
        ("templates", "closed", None): '{"title":"Pull","visibility":"private"}',
        ("template_exercises", "e", "open"): '{"exercise":"squat"}',
    }
    for (collection, id, above), values in bodies.items():
        parent = "NULL, NULL" if above is None else f"'templates', '{above}'"
        await run(
            empty_url,
            "INSERT INTO records (space_id, collection, id, seq, parent_collection, parent_id, status, body, state)"
            f" VALUES ('s', '{collection}', '{id}', 1, {parent}, 0,"
            f""" '{{"values":{values},"updated_at":"2026-11-23T10:00:00.000Z"}}', '')""",
        )
    await upgrade(empty_url)
    query = text("SELECT template_id, exercises, published_at FROM public_templates")
    (listed,) = await look(empty_url, lambda c: c.execute(query).fetchall())
    assert tuple(listed) == ("open", 1, 1_795_428_000_000)
    terms = await look(empty_url, lambda c: c.execute(text("SELECT term FROM public_template_terms")).scalars().all())
    assert sorted(map(bytes, terms)) == [b"esquat", b"wday", b"wpush"]


async def run(url: str, statement: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.partition(":///")[2])) as connection:
            connection.execute(statement)
            connection.commit()
    else:
        await run_statement(url, statement)
