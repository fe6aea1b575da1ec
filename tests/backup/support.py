"""Backing up and restoring in a test, and looking at what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from storage.backup.archive import Archive, Header
from storage.backup.restoring import restore
from storage.backup.saving import save
from storage.database import Database, open_database
from storage.tables import metadata
from sync.audit import Audit
from sync.audit_rules import Violation
from sync.environment import system
from sync.lives import begin_life
from sync.texts import ProcessTextReader

TAKEN_AT = "2026-11-25T03:00:00.000Z"


async def back_up(database: Database, target: Path) -> Header:
    return (await save(database, target, fitai="1.2.3", taken_at=TAKEN_AT)).header


async def put_back(source: Path, url: str) -> None:
    environment = system()
    await restore(Archive.verified(source), url, begin_life=lambda space: begin_life(space, environment, ""))


async def violations_in(url: str) -> list[Violation]:
    """What `fitai check` finds."""
    database, texts, found = await open_database(url), ProcessTextReader(), list[Violation]()
    try:
        await Audit(database, texts, found.append).run()
    finally:
        await texts.close()
        await database.close()
    return found


async def rows_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in the order of its key."""
    async with database.read(snapshot=True) as tx:
        return {
            table.name: sorted((tuple(row) for row in await tx.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


async def rows_in(url: str) -> dict[str, list[tuple[Any, ...]]]:
    database = await open_database(url)
    try:
        return await rows_of(database)
    finally:
        await database.close()
