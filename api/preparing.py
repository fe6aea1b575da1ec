"""What a database has to hold before a server serves from it: this version's schema, and the exercises it ships.

Owns: that both are there. A start that finds them there costs one look; it is what a server does that was killed.
Refuses to know: how they come there (`storage/migrations`, `sync/catalog.py`).
"""

from __future__ import annotations

from api.backends import open_storage
from api.settings import Settings
from storage.database import Database, open_database
from storage.errors import StorageError
from storage.migrations import is_newest, upgrade
from sync.catalog import is_seeded, seed_catalog
from sync.engine import Engine
from sync.environment import system
from sync.texts import ProcessTextReader


async def prepare(settings: Settings) -> None:
    """Bring the database to this version's schema and catalog. Restartable, and safe where several do it at once.

    Raises StorageError where the database is not to be had, or not to be written.
    """
    if not await _needs_nothing(settings.database_url):
        await upgrade(settings.database_url)
        await _fill_catalog(settings)


async def is_prepared(database: Database) -> bool:
    """Whether `prepare` has nothing to do here, by two statements. A no may be none. Raises StorageError."""
    async with database.read() as tx:
        return await is_newest(tx) and await is_seeded(tx)


async def _needs_nothing(url: str) -> bool:
    try:
        database = await open_database(url, pool_size=1)
    except StorageError:
        # Nothing is in it yet, or it is not to be had: the upgrade does the one, and says the other.
        return False
    try:
        return await is_prepared(database)
    except StorageError:
        return False
    finally:
        await database.close()


async def _fill_catalog(settings: Settings) -> None:
    environment = system()
    # Servers that run already hear of it, so that their sockets do too.
    async with open_storage(settings, environment) as (database, bus):
        texts = ProcessTextReader()
        try:
            await seed_catalog(Engine(database, bus, texts, environment))
        finally:
            await texts.close()
