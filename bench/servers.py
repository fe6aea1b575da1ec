"""The servers under load as real processes, over real databases that only this run uses.

Owns: their folder, their ports, their databases and their end. Refuses to know: what is asked of them.

Invariants
    B1  Whatever was started or made here is gone when its block ends, also where it ends by an exception; the
        processes also where this one is killed.
    B2  Both servers get a database of the same kind on the same disk or cluster, and the same limits.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import asyncpg
from sqlalchemy.engine import make_url

from bench.client import BenchError

Database = Literal["sqlite", "postgres"]

START_S: Final = 60.0
STOP_S: Final = 15.0
# Sockets, their peers in the generator, and some.
FILES: Final = 65_536

FITAI: Final = ("-m", "api.command_line.main", "serve", "--port", "0", "--log-level", "warning", "--end-with-input")
BARE: Final = ("-m", "bench.bare", "--port", "0", "--end-with-input")


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    pid: int | None


@asynccontextmanager
async def started(
    database: Database, database_url: str | None = None, folder: Path | None = None
) -> AsyncIterator[tuple[Running, Running]]:
    """Our server and the bare one, both ready, for as long as the block lasts.

    Args:
        database: what both keep their rows in.
        database_url: a Postgres to make the two databases in; one is started where it is left out.
        folder: where the SQLite files go; it decides which disk is measured. The system's temporary folder by default.

    Raises BenchError where one does not start.
    """
    allow_files()
    async with AsyncExitStack() as stack:
        # The place of both servers' logs too.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fitai-bench-", dir=folder)))
        if database == "sqlite":
            urls = [f"sqlite+aiosqlite:///{home / name}.db" for name in ("fitai", "bare")]
        else:
            cluster = database_url or _cluster(stack)
            urls = [await stack.enter_async_context(_database(cluster)) for _ in range(2)]
        commands = (FITAI, BARE)
        fitai, bare = [
            await stack.enter_async_context(_process([*command, "--database-url", url], home))
            for command, url in zip(commands, urls, strict=True)
        ]
        yield fitai, bare


def allow_files() -> None:
    """Let this process, and the servers that it starts, have as many files open as W4 has sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _cluster(stack: AsyncExitStack) -> str:
    """The URL of a new Postgres that syncs its commits to disk, from the launcher of the tests."""
    try:
        launcher = importlib.import_module("tests.services.postgres")
    except ModuleNotFoundError:
        raise BenchError(
            "The launcher of Postgres is part of the source tree; run there, or name a server with --database-url."
        ) from None
    try:
        url: str = stack.enter_context(launcher.postgres(fsync=True)).url()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        said = str(error).rstrip(".")
        raise BenchError(
            f"A Postgres for the run cannot be started: {said}; or name one with --database-url."
        ) from None
    return url


@asynccontextmanager
async def _database(cluster: str) -> AsyncIterator[str]:
    """A database of its own, dropped in the end."""
    name = f"fitai_bench_{secrets.token_hex(6)}"
    await _run_statement(cluster, f'CREATE DATABASE "{name}"')
    try:
        yield make_url(cluster).set(database=name).render_as_string(hide_password=False)
    finally:
        await _run_statement(cluster, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _run_statement(url: str, statement: str) -> None:
    try:
        connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BenchError(f"Postgres cannot be reached: {error}; start it, or correct --database-url.") from None
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        raise BenchError(f"Postgres refuses a database of its own for the run: {error}") from None
    finally:
        await connection.close()


@asynccontextmanager
async def _process(arguments: Sequence[str], home: Path) -> AsyncIterator[Running]:
    # Settings of the one who runs this are not those of the servers under load. Accounts are no part of any figure:
    # cheap hashes and no limits, which loopback alone allows. The bare server heeds none of these.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FITAI_")}
    environment |= {
        "FITAI_SECRET_KEY": secrets.token_urlsafe(48),
        "FITAI_BCRYPT_COST": "4",
        "FITAI_RATE_LIMITS": "off",
    }
    log = home / f"{arguments[1]}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            # Held by this process alone: both servers end where it does, also where it is killed.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
    try:
        yield Running(await _address(process, log), process.pid)
    finally:
        await _end(process)


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    """The URL on the first line that names one."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            while line := (await process.stdout.readline()).decode():
                if found := re.search(r"http://\S+", line):
                    return found[0]
    except TimeoutError:
        raise BenchError(f"A server was not ready within {START_S:.0f} s.") from None
    raise BenchError(f"A server did not start: {_last_line(log)}")


def _last_line(log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()
    return said[-1] if said else "it said nothing"


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        try:
            os.killpg(process.pid, number)
            async with asyncio.timeout(STOP_S):
                # What it still says must not fill the pipe.
                await process.communicate()
        except (ProcessLookupError, TimeoutError):
            continue
