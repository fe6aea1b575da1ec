"""What the rig kills: `fitai serve`, as a user starts it, and a whole Postgres.

Owns: their processes and ports, which stay the same through every death. Refuses to know: when they die.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import aiohttp

from storage.cancelling import to_the_end
from tests.services.postgres import Postgres
from tests.services.postgres import start as start_postgres
from tests.services.processes import free_port, no_leftovers

ROOT: Final = Path(__file__).resolve().parents[2]
READY_S: Final = 300.0
# Backends that a killed postmaster left behind may hold its shared memory for a moment.
ORPHANS_S: Final = 30.0

FITAI: Final = ("-m", "api.command_line.main")


def plain_environment() -> dict[str, str]:
    """The variables of this process as a server gets them: without settings of the product, and with bytecode kept, as
    it is of an installed one. A start that compiles everything anew takes a fifth longer."""
    left_out = ("FITAI_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


class FitaiServer:
    """One `fitai serve` on a port of its own; killed and started as often as wanted."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: Mapping[str, str],
        *,
        program: Sequence[str] = FITAI,
        wrapper: Sequence[str] = (),
    ) -> None:
        """`settings`: FITAI_* variables. `program`: what python runs; a control runs a broken product. `wrapper`: what
        runs python."""
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{name}.log"
        self.settings = dict(settings)
        self.program = tuple(program)
        self.wrapper = tuple(wrapper)
        self._process: asyncio.subprocess.Process | None = None
        self._frozen = False

    @property
    def pid(self) -> int:
        """Of python, or of what wraps it."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> float:
        """Start it and wait until it serves: the seconds that took. Raises RuntimeError where it ends before that."""
        began = time.monotonic()
        await self.launch()
        await self.wait_ready()
        return time.monotonic() - began

    async def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*self.wrapper, sys.executable, *self.program, "serve", "--port", str(self.port), "--end-with-input"),
                env=plain_environment() | self.settings,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._frozen = False

    async def wait_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + READY_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while not await self.is_ready(session):
                if self._process.returncode is not None:
                    raise RuntimeError(f"{self.name} ended with {self._process.returncode}: {self.last_words()}")
                if time.monotonic() > end:
                    raise RuntimeError(f"{self.name} was not ready within {READY_S:.0f} s: {self.last_words()}")
                await asyncio.sleep(0.02)

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/health/ready") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def kill(self) -> None:
        """kill -9 of it and its children."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def wait_ended(self) -> None:
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, as an operator stops it; killed where it does not go."""
        if self._process is None or self._process.returncode is not None:
            return
        self.thaw()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await self._process.wait()
        await self.kill()

    def freeze(self) -> None:
        """SIGSTOP: it stands still and its sockets stay open, as in a long pause of its machine."""
        if self.runs:
            self._frozen = True
            os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.runs and self._frozen:
            self._frozen = False
            os.killpg(self.pid, signal.SIGCONT)

    def limit_files(self, most: int) -> None:
        """Bound how many files and sockets it may have open, from now on."""
        resource.prlimit(
            self.pid, resource.RLIMIT_NOFILE, (most, resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1])
        )


class PostgresCluster:
    """A cluster with fsync as in production. It is killed whole or by its head alone, and started again at its port."""

    def __init__(self, first: Postgres, binaries: Path | None = None) -> None:
        self.folder = first.folder
        self.port = first.port
        self._server = first
        # Where the launcher had to copy the programs to.
        copied = next((first.folder.parent / "server").rglob("bin/postgres"), None)
        self._binaries = copied.parent if copied else binaries
        self._stack = ExitStack()
        self._frozen: list[int] = []

    def url(self, database: str = "fitai", *, port: int | None = None) -> str:
        """The URL for the product; by another port where a proxy is in between."""
        return Postgres(port or self.port, self.folder, self._server.process).url(database)

    @property
    def pid(self) -> int:
        return self._server.process.pid

    @property
    def runs(self) -> bool:
        return self._server.process.poll() is None

    async def kill_group(self) -> None:
        """kill -9 of every process of it: what was not written to the disk by then never will be."""
        # Stopped first, so that it starts no new ones while the old ones are looked for.
        self._signal(self.pid, signal.SIGSTOP)
        for child in children(self.pid):
            self._signal(child, signal.SIGKILL)
        await self.kill_postmaster()

    async def kill_postmaster(self) -> None:
        """kill -9 of its head alone: its backends go on for as long as they are busy, and commit."""
        self._signal(self.pid, signal.SIGKILL)
        await asyncio.to_thread(self._server.process.wait)

    async def stop(self) -> None:
        """End it as an operator does, with everything on the disk."""
        self._signal(self.pid, signal.SIGINT)
        await asyncio.to_thread(self._server.process.wait)

    def beside(self, folder: Path) -> PostgresCluster:
        """A cluster over a copy of the files, at another port; it is not started."""
        return PostgresCluster(Postgres(free_port(), folder, self._server.process), self._binaries)

    async def copy_to(self, folder: Path) -> None:
        """Copy its files, while it is stopped, with their owner."""
        await asyncio.to_thread(_copy, self.folder, folder)

    async def start(self, *, safe: bool = True) -> None:
        """Start it again over its folder, and return when it answers. `safe`: no control, but as in production."""
        end = time.monotonic() + ORPHANS_S
        while True:
            try:
                # Whoever is told to end meanwhile ends the server as well.
                await to_the_end(asyncio.to_thread(self._start, safe))
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    def _start(self, safe: bool) -> None:
        self._server = start_postgres(self.folder, self._binaries, fsync=safe, port=self.port)
        self._stack.enter_context(no_leftovers(self._server.process, self.folder))

    def freeze(self) -> None:
        self._frozen = [self.pid, *children(self.pid)]
        for pid in self._frozen:
            self._signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self._frozen):
            self._signal(pid, signal.SIGCONT)
        self._frozen = []

    async def close(self) -> None:
        self.thaw()
        if self.runs:
            await self.stop()
        await asyncio.to_thread(self._stack.close)

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def run_fitai(*words: str) -> None:
    """Run a command of the product. Raises RuntimeError with what it said where it fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *FITAI, *words),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"fitai {words[0]} ended with {process.returncode}: {said.decode(errors='replace').strip()}")


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def children(pid: int) -> Iterator[int]:
    """The processes that a process started, by what the kernel says of each."""
    for entry in list(Path("/proc").iterdir()):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    yield int(entry.name)
