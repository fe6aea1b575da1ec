"""The database's schema, step by step: alembic, run by the program itself at its start.

A start that finds the newest schema there imports none of it: alembic and what it brings along take longer to come up
than all the rest of the database's side.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from storage.database import Transaction, backend_of, masked
from storage.errors import DatabaseUnavailable
from storage.prepared import Prepared
from storage.sqlite_connection import sqlite_engine

if TYPE_CHECKING:
    from alembic.config import Config

# Several workers start at once; one migrates and the others find it done. The number is "fitai" in ASCII.
LOCK = 0x6669746169
# Another process may be migrating; it takes as long as its largest table needs.
MIGRATION_WAIT_S = 600.0

_STANDS_AT: Final = Prepared("SELECT version_num FROM alembic_version")


def newest() -> str:
    """The name of the last step: each file's name begins with its own."""
    return max(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*.py"))


async def is_newest(tx: Transaction) -> bool:
    """Whether all steps have been taken here. Raises StorageError where none was."""
    return [row[0] for row in await tx.execute(_STANDS_AT)] == [newest()]


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def revisions() -> list[str]:
    """The names of all steps that this program knows, the newest first."""
    from alembic.script import ScriptDirectory

    return [step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions()]


def strange_step(connection: Connection) -> str | None:
    """Where a database stands, if that is none of the steps that this program knows."""
    from alembic.migration import MigrationContext

    known = revisions()
    return next(
        (each for each in MigrationContext.configure(connection).get_current_heads() if each not in known), None
    )


def migrate(connection: Connection, to: str = "head") -> None:
    """Take the steps up to `to` in the transaction that is open on `connection`.

    Raises DatabaseUnavailable where it stands at none that this program knows, and leaves it as it is.
    """
    from alembic import command

    if (step := strange_step(connection)) is not None:
        raise DatabaseUnavailable(
            f"Its schema {step} is of a later version of FitAI, or of another program, and stays as it is; use the "
            "version that served it, or name another database."
        )
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


async def upgrade(url: str, *, to: str = "head") -> None:
    """Bring the database of `url` to the newest schema, or to the step `to`; nothing to do is fine, and so is being
    interrupted.

    Every step is one transaction on both databases, and several processes may call this at once: one migrates, the
    others wait for it and find it done.

    Raises DatabaseUnavailable, in one sentence, where the database cannot be reached or written.
    """
    try:
        if backend_of(url) == "sqlite":
            await asyncio.to_thread(_upgrade_sqlite, url, to)
        else:
            await _upgrade_postgres(url, to)
    except (SQLAlchemyError, sqlite3.Error, OSError, DatabaseUnavailable) as error:
        raise _cannot(url, error) from error


def _cannot(url: str, error: Exception) -> DatabaseUnavailable:
    original = getattr(error, "orig", None) or error
    if isinstance(error, DatabaseUnavailable):
        return DatabaseUnavailable(f"The database {masked(url)} cannot be set up: {error}")
    said = (str(original).splitlines() or [type(original).__name__])[0].rstrip(".")
    todo = "make room" if "full" in said or "No space" in said else "start it, or correct FITAI_DATABASE_URL"
    return DatabaseUnavailable(f"The database {masked(url)} cannot be set up: {said}; {todo}.")


def _upgrade_sqlite(url: str, to: str) -> None:
    path = Path(make_url(url).database or "")
    if path.parent.is_dir() and not path.exists():
        # Accounts live in it: it is nobody else's to read.
        path.touch(mode=0o600)
    engine = sqlite_engine(url, "rwc", wait_s=MIGRATION_WAIT_S)
    try:
        with engine.connect() as connection:
            # SQLite's tables are made and changed within transactions too, where one was begun in so many words.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            migrate(connection, to)
            connection.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()


async def _upgrade_postgres(url: str, to: str) -> None:
    import asyncpg
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            await connection.run_sync(migrate, to)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _cannot(url, error) from error
    finally:
        await engine.dispose()


def context_options(connection: Any) -> dict[str, Any]:
    """How alembic is to run here: in the caller's transaction, with SQLite's tables rebuilt where they change."""
    return {"connection": connection, "render_as_batch": connection.dialect.name == "sqlite"}
