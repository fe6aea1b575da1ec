"""From the file of a backup into an empty place, as a whole or not at all.

The tables are made as they were when the backup was taken, filled, and brought to today's schema by the same steps
that every database takes.

Invariants
    R1  The checksum is compared before anything is written.
    R2  The place holds nothing, or the whole backup in today's schema; however the process ends.
    R3  Every space begins a new life with the head that it had: devices learn what the server no longer has, and
        those that missed nothing go on as if nothing had been.
    R4  An account that is known to be erased ends with the restore, before anybody can sign in to it; the server's
        first jobs take the rest of it away.
    R5  Names in a backup become part of statements, and only those do that the tables of its schema have.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from storage.backup.archive import Archive, damaged, shown
from storage.backup.postgres import postgres_place
from storage.backup.sqlite import sqlite_place
from storage.database import backend_of
from storage.erasure import erase_again
from storage.errors import BackupTooNew, StorageError
from storage.migrations import migrate, revisions
from storage.spaces import SPACE_COLUMNS, SpaceRow, space_row
from storage.tables import meta, spaces

SPACES_PER_PAGE: Final = 500

BeginLife = Callable[[SpaceRow], SpaceRow]


async def restore(
    archive: Archive,
    url: str,
    *,
    begin_life: BeginLife,
    erased: Sequence[tuple[str, int]] = (),
    walked: Callable[[int, int], None] = lambda step, total: None,
) -> int:
    """Put a verified backup into the empty database that `url` names; how many accounts in it had been erased since.

    `begin_life` gives a space as it is in a life that begins now. `erased` are (hash, Unix milliseconds) of erasures
    beside those that the backup itself knows of. `walked` is told of rows put back, and of how many in all.

    Raises BackupTooNew, PlaceTaken, BackupDamaged, BackupUnwritable, and StorageError where a row is refused; the
    place is as it was then.
    """
    _refuse_later(archive)
    place = sqlite_place(url) if backend_of(url) == "sqlite" else postgres_place(url)
    async with place as database:
        await database.run(lambda connection: _make_tables(connection, archive))
        for table, rows in archive.parts():
            try:
                await database.insert(table, rows)
            except StorageError as error:
                raise type(error)(f"A row of {table.name} cannot be put back: {error}") from error
            walked(len(rows), archive.header.rows)
        await database.run(migrate)
        await database.run(lambda connection: _begin_lives(connection, begin_life))
        again: list[int] = []
        await database.run(lambda connection: again.append(erase_again(connection, erased)))
    return again[0]


def _refuse_later(archive: Archive) -> None:
    header = archive.header
    if header.schema not in revisions():
        raise BackupTooNew(
            f"The backup {archive.path} was written by FitAI {header.fitai} with the schema {header.schema}, and the "
            f"newest that is known here is {revisions()[0]}; restore it with FitAI {header.fitai} or a later version."
        )


def _make_tables(connection: sa.Connection, archive: Archive) -> None:
    """Make the tables as they were when it was written, also those that there are no more, and refuse other names (R5).

    What else is in a database of Postgres is another program's.
    """
    others = {*sa.inspect(connection).get_table_names(), "alembic_version"}
    migrate(connection, archive.header.schema)
    made = sa.inspect(connection)
    ours = set(made.get_table_names()) - others
    for table in archive.header.tables:
        if table.name not in ours:
            raise damaged(archive.path, f"it names a table {shown(table.name)}, which FitAI does not have")
        columns = {column["name"] for column in made.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                raise damaged(archive.path, f"it names a column {shown(column.name)}, which {table.name} does not have")


_page = (
    sa.select(*SPACE_COLUMNS).where(spaces.c.id > sa.bindparam("after")).order_by(spaces.c.id).limit(SPACES_PER_PAGE)
)


def _begin_lives(connection: sa.Connection, begin_life: BeginLife) -> None:
    # A file of SQLite names its own history; it gets another name when it is opened.
    connection.execute(sa.delete(meta).where(meta.c.key == "timeline"))
    after = ""
    while rows := connection.execute(_page, {"after": after}).all():
        for row in rows:
            # What was damaged before the backup stays for `fitai check` to name.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                space = begin_life(space_row(row))
                connection.execute(
                    sa.update(spaces)
                    .where(spaces.c.id == space.id)
                    .values(
                        life=space.life,
                        lives=msgspec.json.encode(space.lives),
                        timeline=space.timeline,
                        server_device=space.server_device,
                        server_hlc=space.server_hlc,
                    )
                )
        after = rows[-1][0]
