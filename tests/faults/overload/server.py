"""The server under load, as a real process over real databases, and what it costs while the load lasts.

Owns: its start, its kill and its restart on the same port, and readings of memory, files and database connections.
Refuses to know: what the load is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import asyncpg

from bench.processes import cpu_s
from tests.faults.servers import plain_environment
from tests.services.postgres import Postgres, postgres
from tests.services.processes import end, free_port
from tests.services.redis import Redis, redis_server

Kind = Literal["sqlite", "postgres"]

SAMPLE_S: Final = 0.1
_END_BACKENDS: Final = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'fitai'"
START_S: Final = 60.0
SECRET: Final = "7f" + "0123456789abcdef" * 3 + "e4d909c290d0fb"


@dataclass
class Cost:
    """The largest readings of a while."""

    rss_mib: float = 0.0
    files: int = 0
    db_connections: int = 0
    cpu_s: float = 0.0
    rss_before_mib: float = 0.0


@dataclass
class Under:
    """`fitai serve` under load. `start` again after `kill`: it comes back on the same port."""

    url: str
    port: int
    folder: Path
    settings: dict[str, str]
    cluster: Postgres | None = None
    redis: Redis | None = None
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> float:
        """Start it; the seconds until it listens."""
        begun = time.monotonic()
        command = [sys.executable, "-m", "api.command_line.main", "serve", "--port", str(self.port)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--log-level", "warning", "--end-with-input"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=plain_environment() | self.settings,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not re.search(r"http://\S+", line):
            raise RuntimeError(f"the server did not start: {self.said()}")
        return time.monotonic() - begun

    def kill(self) -> None:
        """As a crash does. Nothing of it is connected to the database any more when this returns."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close_pipes()
        if self.cluster is not None:
            # Its backends end by themselves, but in their own time, and would be counted with those of the next start.
            self.cluster.run(_END_BACKENDS)

    def stop(self) -> None:
        """As a deploy does."""
        if self.process is not None and self.process.poll() is None:
            end(self.process)
            self._close_pipes()

    def _close_pipes(self) -> None:
        assert self.process is not None
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def said(self) -> str:
        """The end of its log: an overload is no fault, so that nothing but warnings stands there."""
        return (self.folder / "server.log").read_text(errors="replace")[-2_000:]

    def rss_mib(self, name: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) / 1024

    def files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def forget_peak(self) -> None:
        """Let the kernel count the largest memory anew from here on."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Cost]:
        """The largest readings while the block lasts."""
        self.forget_peak()
        used_s = cpu_s(self.pid) or 0.0
        cost = Cost(rss_before_mib=self.rss_mib())
        watching = asyncio.create_task(self._watch(cost))
        try:
            yield cost
        finally:
            watching.cancel()
            cost.cpu_s = (cpu_s(self.pid) or used_s) - used_s
            with contextlib.suppress(OSError):
                cost.rss_mib = max(cost.rss_mib, self.rss_mib("VmHWM"))

    async def _watch(self, cost: Cost) -> None:
        connection = await self._own_connection()
        try:
            while True:
                with contextlib.suppress(OSError, IndexError):
                    cost.rss_mib = max(cost.rss_mib, self.rss_mib())
                    cost.files = max(cost.files, self.files())
                if connection is not None:
                    used = await connection.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fitai'"
                    )
                    cost.db_connections = max(cost.db_connections, used)
                await asyncio.sleep(SAMPLE_S)
        finally:
            if connection is not None:
                connection.terminate()

    async def _own_connection(self) -> asyncpg.Connection | None:
        if self.cluster is None:
            return None
        return await asyncpg.connect(self.cluster.url("postgres").replace("postgresql+asyncpg", "postgresql"))


@contextmanager
def under(kind: Kind, *, redis: bool = False, **settings: str) -> Iterator[Under]:
    """A server over a database of its own, for as long as the block lasts."""
    allow_files()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fitai-overload-")))
        cluster = stack.enter_context(postgres(fsync=True)) if kind == "postgres" else None
        url = cluster.create_database("fitai") if cluster else f"sqlite+aiosqlite:///{folder / 'fitai.db'}"
        cache = stack.enter_context(redis_server()) if redis else None
        # Accounts are no part of the load: cheap hashes and no limits, which loopback alone allows.
        given = {
            "FITAI_DATABASE_URL": url,
            "FITAI_SECRET_KEY": SECRET,
            "FITAI_BCRYPT_COST": "4",
            "FITAI_RATE_LIMITS": "off",
            **({"FITAI_REDIS_URL": cache.url()} if cache else {}),
            **settings,
        }
        port = free_port()
        server = Under(f"http://127.0.0.1:{port}", port, folder, given, cluster, cache)
        server.start()
        stack.callback(server.stop)
        yield server


def allow_files() -> None:
    """As many open files as this machine allows; processes started from here on inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
