"""What a server stands on, as its settings ask for it: the database, the bus, the limiter, the cache, mail, secrets.

Owns: which of several kinds is taken, and that the database and the bus are opened together.
Refuses to know: what is built on them (app.py, preparing.py).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from api.cache import Cache, MemoryCache, RedisCache
from api.mail.server import mail_server, sender
from api.mail.transport import FolderTransport, SmtpTransport, Transport
from api.rate_limits import Limiter, MemoryLimiter, NoLimiter, RedisLimiter
from api.secret_key import SecretKeyError, kept_beside
from api.settings import Settings
from storage.database import Database, open_database
from sync.bus import Bus, MemoryBus
from sync.environment import Environment

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_storage(settings: Settings, environment: Environment) -> AsyncIterator[tuple[Database, Bus]]:
    """The database, and the bus by which servers that run already hear of what is written into it.

    Raises StorageError where the database cannot be opened.
    """
    async with AsyncExitStack() as opened:
        database = await open_database(settings.database_url)
        opened.push_async_callback(database.close)
        bus = _bus(settings, environment)
        await bus.start()
        opened.push_async_callback(bus.close)
        yield database, bus


def _bus(settings: Settings, environment: Environment) -> Bus:
    """Not yet started."""
    if settings.redis_url is None:
        return MemoryBus()
    from sync.redis_bus import RedisBus

    return RedisBus(
        settings.redis_url,
        tag=environment.token_bytes(8),
        fraction=lambda: int.from_bytes(environment.token_bytes(4), "big") / 2**32,
    )


def limiter_of(settings: Settings, environment: Environment) -> Limiter:
    """What counts requests: in this process, for all servers together, or not at all."""
    if not settings.rate_limits:
        return NoLimiter()
    if settings.redis_url is None:
        return MemoryLimiter(environment)
    return RedisLimiter(settings.redis_url, environment)


def cache_of(settings: Settings, environment: Environment) -> Cache:
    """The cache: in this process, or the servers' common one."""
    return MemoryCache(environment) if settings.redis_url is None else RedisCache(settings.redis_url, environment)


def mail_sender(settings: Settings) -> tuple[str, str]:
    """The name and the address that mails come from."""
    return ("FitAI", "fitai@localhost") if settings.mail_from is None else sender(settings.mail_from)


def mail_transport(settings: Settings) -> Transport:
    """The way of mails: to a mail server, or into a folder."""
    if settings.smtp_url is not None:
        host_name = mail_sender(settings)[1].rpartition("@")[2]
        return SmtpTransport(mail_server(settings.smtp_url), host_name=host_name)
    beside = settings.sqlite_file or Path("fitai")
    folder = Path(settings.mail_folder or beside.with_name(beside.name + ".mails")).absolute()
    log.info("FITAI_SMTP_URL is not set: mails are not sent but written to %s", folder)
    return FolderTransport(folder)


def secrets_of(settings: Settings, environment: Environment) -> tuple[str, ...]:
    """Return the server's secrets, the signing one first; made now if this is the first start with SQLite."""
    if settings.secrets():
        return settings.secrets()
    file = settings.sqlite_file
    if file is None:
        raise SecretKeyError(
            "FITAI_SECRET_KEY must be set with Postgres: 32 random bytes, for instance from `openssl rand -hex 32`."
        )
    return (kept_beside(file, environment),)
