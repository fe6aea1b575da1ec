"""From a database into a file, beside a running server.

Everything is read in one snapshot, page by page: on SQLite a reader of the write-ahead log, on Postgres a REPEATABLE
READ transaction. Neither keeps a writer waiting, and what was answered before the backup began is in it.

Invariants
    S1  All rows are of one moment.
    S2  Memory does not grow with the database: a page of rows.
    S3  The database's own rows and columns are written, whatever this program thinks of them: an older schema is
        saved as it stands, and so is damage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from storage.backup.archive import FORMAT, FORMAT_VERSION, ArchiveWriter, Header, Table
from storage.backup.files import draft
from storage.backup.rows import Column, Type
from storage.cancelling import to_the_end
from storage.database import Database, Transaction
from storage.errors import BackupTooNew, BackupUnwritable, PlaceTaken, StorageError
from storage.migrations import revisions
from storage.prepared import Prepared
from storage.tables import metadata

# What a page should have before it is compressed; rows are up to half a megabyte each.
PAGE_BYTES: Final = 4 * 1024 * 1024
PAGE_ROWS_FIRST: Final = 128
PAGE_ROWS_MAX: Final = 8_192

# Both databases' words for the types of our columns.
_TYPES: Final[dict[str, Type]] = {
    "text": "text",
    "bigint": "integer",
    "integer": "integer",
    "smallint": "integer",
    "boolean": "boolean",
    "bytea": "bytes",
    "blob": "bytes",
}
_COLUMNS: Final = {
    "sqlite": sa.text("SELECT name, type FROM pragma_table_info(:table) ORDER BY cid"),
    "postgresql": sa.text(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = :table ORDER BY ordinal_position"
    ),
}
_SCHEMA: Final = sa.text("SELECT version_num FROM alembic_version")


class Saved(NamedTuple):
    """A backup that is on disk: what it says of itself, its size in bytes, and the checksum of the whole file."""

    header: Header
    size: int
    sha256: str


Walked = Callable[[int, int], None]


async def save(
    database: Database, target: Path, *, fitai: str, taken_at: str, walked: Walked = lambda step, total: None
) -> Saved:
    """Write a backup of `database` to `target`, which must not exist.

    fitai: this program's version. taken_at: now, in RFC 3339. `walked` is told of rows written, and of how many in all.

    Raises PlaceTaken, BackupUnwritable, BackupTooNew, and StorageError where the database cannot be read; there is
    nothing at `target` then.
    """
    try:
        with draft(target) as path:
            async with database.read(snapshot=True) as tx:
                header = await _header(tx, fitai, taken_at)
                with path.open("wb") as file:
                    writer = ArchiveWriter(file, header)
                    for table in header.tables:
                        await _save_table(tx, writer, table, lambda step: walked(step, header.rows))
                    sha256 = writer.close()
                size = path.stat().st_size
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        raise BackupUnwritable(
            f"The backup {target} cannot be written: {error.strerror}; "
            "see to its folder and the room there, or name another place."
        ) from error
    return Saved(header, size, sha256)


def _taken(target: Path) -> PlaceTaken:
    return PlaceTaken(f"{target} exists already, and no backup is ever replaced; name another file, or a folder.")


async def _header(tx: Transaction, fitai: str, taken_at: str) -> Header:
    schema = str((await tx.execute(_SCHEMA))[0][0])
    if schema not in revisions():
        raise BackupTooNew(
            f"The database is of a later schema ({schema}) than this FitAI {fitai} knows; "
            "back it up with the version that serves it."
        )
    tables = []
    for name in (str(table.name) for table in metadata.sorted_tables):
        columns = tuple(_column(name, *row) for row in await tx.execute(_COLUMNS[tx.dialect], {"table": name}))
        if columns:
            (count,) = await tx.execute(sa.text(f"SELECT COUNT(*) FROM {name}"))
            tables.append(Table(name, columns, int(count[0])))
    return Header(FORMAT, FORMAT_VERSION, fitai, schema, tx.dialect, taken_at, tuple(tables))


def _column(table: str, name: str, type_: str) -> Column:
    neutral = _TYPES.get(type_.lower())
    if neutral is None:
        raise StorageError(f"The column {name} of {table} is of the type {type_}, which no backup has; report it.")
    return Column(name, neutral)


async def _save_table(tx: Transaction, writer: ArchiveWriter, table: Table, walked: Callable[[int], None]) -> None:
    most = PAGE_ROWS_FIRST
    after: Sequence[Any] | None = None
    key = [column.name for column in metadata.tables[table.name].primary_key]
    places = [[column.name for column in table.columns].index(name) for name in key]
    while True:
        statement = _page(table, key, most, first=after is None)
        rows = await tx.execute(statement, dict(zip(key, after or (), strict=False)))
        if not rows:
            return
        size = 0

        def add(rows: Sequence[Any] = rows) -> None:
            nonlocal size
            size = writer.add(table, rows)

        await to_the_end(asyncio.to_thread(add))
        walked(len(rows))
        if len(rows) < most:
            return
        after = [rows[-1][place] for place in places]
        most = min(PAGE_ROWS_MAX, 2 * most, _power_of_two(PAGE_BYTES * len(rows) // size))


def _power_of_two(number: int) -> int:
    """The largest one that is no larger, so that there are few statements."""
    return 1 << max(number, 1).bit_length() - 1


def _page(table: Table, key: Sequence[str], most: int, *, first: bool) -> Prepared:
    # The number stands in the statement: a plan for any number of rows would sort the whole table for each page.
    return Prepared(
        f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name} "
        + ("" if first else f"WHERE ({', '.join(key)}) > ({', '.join(f':{name}' for name in key)}) ")
        + f"ORDER BY {', '.join(key)} LIMIT {most}"
    )
