"""Prepared statements mean on the driver what they say by name."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, insert, select

from storage.database import Database
from storage.prepared import Prepared
from storage.tables import meta


@pytest.fixture
async def filled(database: Database) -> Database:
    async with database.write() as tx:
        await tx.execute(insert(meta), [{"key": key, "value": value} for key, value in (("a", "1"), ("b", "2"))])
    return database


@pytest.mark.parametrize(
    ("statement", "parameters", "rows"),
    [
        (Prepared("SELECT value FROM meta WHERE key = :key"), {"key": "a", "unused": 1}, [("1",)]),
        (Prepared("SELECT CAST(:x AS text), CAST(:y AS text), CAST(:x AS text)"), {"x": "1", "y": "2"},
         [("1", "2", "1")]),
        (Prepared("SELECT value FROM meta WHERE key = 'a'"), {}, [("1",)]),
        (Prepared(select(meta.c.value).where(meta.c.key == bindparam("k"))), {"k": "b"}, [("2",)]),
        (Prepared(select(meta.c.value).where(meta.c.key == "b", meta.c.value == bindparam("v"))), {"v": "2"},
         [("2",)]),
        (Prepared(postgresql="SELECT CAST(:x AS text)", sqlite="SELECT :x"), {"x": "same"}, [("same",)]),
    ],
)  # fmt: skip
async def test_a_prepared_statement_takes_its_parameters_by_name(
    filled: Database, statement: Prepared, parameters: dict[str, str], rows: list[tuple[str, ...]]
) -> None:
    async with filled.read() as tx:
        assert [tuple(row) for row in await tx.execute(statement, parameters)] == rows


async def test_a_prepared_statement_without_rows_has_none(filled: Database) -> None:
    async with filled.write() as tx:
        assert list(await tx.execute(Prepared("DELETE FROM meta WHERE key = :key"), {"key": "a"})) == []
        assert list(await tx.execute(Prepared("DELETE FROM meta WHERE key = 'b'"))) == []


def test_a_statement_for_one_database_is_refused_by_the_other() -> None:
    with pytest.raises(AssertionError, match="not meant for sqlite"):
        Prepared(postgresql="SELECT 1").compiled("sqlite")
