"""A server of the demonstration's own: a real process, which may be killed and started again on its data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

# A machine that has much else to do takes half a minute to import all of it.
READY_TIMEOUT_S = 60.0


class ServerProcess:
    """One `fitai serve` over `database_url`, on a loopback port, as a process group of its own.

    It ends with this process, however this process ends. `settings` are its FITAI_* variables beside the address and
    the database: a secret shared with another server, a Redis. Those of this process are not passed on: they describe
    another server.
    """

    def __init__(self, folder: Path, database_url: str | None, settings: Mapping[str, str] | None = None) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._database_url = database_url or f"sqlite+aiosqlite:///{folder / 'server.db'}"
        self._settings = {"FITAI_SECRET_KEY": secrets.token_hex(32), "FITAI_LOG_LEVEL": "warning", **(settings or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and return when it is ready. Raises RuntimeError with what it said where it does not get there."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FITAI_")}
        # `with` ends after the child has its own handle.
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "api.command_line.main", "serve"),
                *("--port", str(self.port), "--database-url", self._database_url, "--end-with-input"),
                env=environment | self._settings,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with aiohttp.ClientSession() as session:
            end = asyncio.get_running_loop().time() + READY_TIMEOUT_S
            while not await self._is_ready(session):
                if self._process.returncode is not None or asyncio.get_running_loop().time() > end:
                    raise RuntimeError(f"The server did not start: {self._last_words()}")
                await asyncio.sleep(0.02)

    def _last_words(self) -> str:
        """The last line of its log, which is the reason, as every command has it."""
        said = (self._folder / "server.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return said[-1].removeprefix("fitai: ") if said else "it said nothing"

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/health/ready") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        """kill -9 of the process and its children: no handler runs, nothing is flushed."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def stop(self) -> None:
        """End it as an operator does; kill it where it does not go."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(15):
                    await self._process.wait()
            except TimeoutError:
                pass
        await self.kill()


def _free_port() -> int:
    """A port that nobody listens on, and that no system gives to anybody by itself while the server is down."""
    for port in secrets.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("A hundred ports are all taken.")
