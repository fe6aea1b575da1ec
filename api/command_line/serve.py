"""`fitai serve`: migrate, then serve until SIGTERM or Ctrl+C.

Owns: the processes and their sockets, the order of the start, and what is said on the terminal.
Refuses to know: the application (api/app.py) and how one server stops (api/server.py).

One process is the ordinary case. With `--workers N` this process only watches over N others, each with an event
loop and a listening socket of its own on the same port (SO_REUSEPORT: the kernel spreads connections); Redis
carries the announcements between them.

Invariants
    V1  Everything that can be found wrong at the start is found before the port is taken: settings, secret,
        database. Each is one sentence and an exit code: 2 for a setting, 1 for the rest.
    V2  The first SIGTERM or SIGINT drains; the process exits with 0 once nothing is in flight.
    V3  Two servers never share a port by accident: it is tried without SO_REUSEPORT first.
    V4  A worker that ends is started again; one that cannot even start ends the server with 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, cast

import click

from api import logs
from api.app import SEARCH, create_app
from api.backends import secrets_of
from api.command_line import running
from api.command_line.failures import Failure, WrongSetting
from api.command_line.options import server_flags, settings_from
from api.command_line.terminal import say
from api.door import allow_files
from api.preparing import prepare
from api.secret_key import SecretKeyError
from api.server import HttpServer, spare_the_collector
from api.settings import Settings
from api.training.exercise_search import ExerciseSearch
from storage.errors import StorageError
from sync.environment import system
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# After the stop of a worker is asked for: its drains and a margin.
WORKER_STOP_S: Final = 60.0

EXAMPLES: Final = """\b
Examples:
  fitai serve                           on http://127.0.0.1:8080
  fitai serve --host 0.0.0.0 --port 80  for others too
  fitai serve --database-url postgresql+asyncpg://fitai@db/fitai
  fitai serve --redis-url redis://cache --workers 4
"""


@click.command(epilog=EXAMPLES)
@server_flags
@click.option("--end-with-input", is_flag=True, hidden=True, help="Stop once standard input ends.")
def serve(end_with_input: bool, **flags: Any) -> None:
    """Run the server until it is stopped.

    The database is brought up to date first. SIGTERM or Ctrl+C lets requests in flight finish and tells live
    sockets to come back.
    """
    if end_with_input:
        running.end_with_input()
    settings = settings_from(flags).settings
    logs.configure(settings.log_level)
    try:
        # Made here and not in a worker, so that all have the one (and where it must be given, it is missed first).
        secrets_of(settings, system())
        running.run(prepare(settings), loop_factory=running.fast_loop, stopped="Stopped before it served.")
        listening = _bind(settings)
        url = _url(settings, listening)
        if settings.workers == 1:
            _run(_serve_one(settings, listening, lambda: _greet(settings, url)))
        else:
            _watch_over(settings, listening, url)
    except SecretKeyError as error:
        raise WrongSetting(str(error)) from None
    except StorageError as error:
        raise Failure(str(error)) from None


async def _serve_one(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a bound socket until a signal comes, and stop as api/server.py says."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    watcher = multiprocessing.parent_process()
    if watcher is not None:
        # A worker whose watching process was killed would hold the port for ever.
        loop.add_reader(watcher.sentinel, stopping.set)
    allow_files()
    app = await create_app(settings)
    server = HttpServer(app)
    await server.start(listening)
    spare_the_collector()
    ready()
    warming = asyncio.create_task(_warm(app[SEARCH]))
    await stopping.wait()
    log.info("stopping: no new connections, requests in flight finish")
    await end_tasks([warming])
    await server.stop()


async def _warm(search: ExerciseSearch) -> None:
    """What need not be there before the port is open; whoever needs it meanwhile waits for it."""
    try:
        await search.warm()
    except StorageError as error:
        log.warning("the catalog's index is not built before somebody searches: %s", error)
    spare_the_collector()


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=running.fast_loop) as runner:
        runner.run(work)


def _bind(settings: Settings) -> socket.socket:
    """Return a socket that has the port and does not listen yet; raises Failure where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise WrongSetting(f"FITAI_HOST {settings.host} is no address of this machine: {error.strerror}.") from None
    attempt = socket.socket(family, kind, protocol)
    try:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            attempt.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        attempt.bind(address)
        if settings.workers > 1:
            # V3: bound alone, the port is nobody else's; now it is taken again in the way that can be shared.
            address = attempt.getsockname()
            attempt.close()
            attempt = _shared(family, address)
    except OSError as error:
        attempt.close()
        where = f"{settings.host}:{settings.port}"
        # No port would do where the address is another machine's.
        other = "--host, or FITAI_HOST" if error.errno == errno.EADDRNOTAVAIL else "--port, or FITAI_PORT"
        raise Failure(f"{where} cannot be listened on: {error.strerror}; choose another with {other}.") from None
    attempt.setblocking(False)
    return attempt


def _shared(family: int, address: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.setblocking(False)
    return made


def _url(settings: Settings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


def _greet(settings: Settings, url: str) -> None:
    data = settings.sqlite_file if settings.is_sqlite else settings.shown()["database_url"]
    processes = "1 process" if settings.workers == 1 else f"{settings.workers} processes"
    say(f"FitAI is ready on {url} (data in {data}, {processes}). Stop it with Ctrl+C.")
    if settings.workers > 1 and settings.is_sqlite:
        click.echo(
            "Note: SQLite takes one write at a time, so more processes only read faster; Postgres writes in parallel."
        )


def _work(settings: Settings, family: int, address: Any, ready: Any) -> None:
    """The life of one worker process. `ready` is the sending end of a pipe."""
    logs.configure(settings.log_level)

    def say() -> None:
        with contextlib.suppress(OSError):  # After a restart nobody listens any more.
            ready.send(True)
        ready.close()

    try:
        _run(_serve_one(settings, _shared(family, address), say))
    except (StorageError, SecretKeyError, OSError) as error:
        log.error("a worker cannot start: %s", error)
        sys.exit(1)


@dataclass
class _Worker:
    process: BaseProcess
    # Gets one message, once the worker serves.
    pipe: Connection[Any, Any]
    serves: bool = False

    def wait_until_it_serves(self) -> bool:
        """Return True once it does, False where it ended before."""
        if not self.serves:
            with self.pipe, contextlib.suppress(EOFError, OSError):
                self.serves = bool(self.pipe.recv())
        return self.serves


class _Workers:
    """The worker processes: started, restarted where they end, ended on a signal (V2, V4)."""

    def __init__(self, settings: Settings, reserved: socket.socket) -> None:
        """`reserved` stays bound and never listens, so the port remains ours while no worker has it."""
        self._settings = settings
        self._reserved = reserved
        # A fresh interpreter each: nothing of this process (threads, signal handlers) is inherited by accident.
        self._context = multiprocessing.get_context("spawn")
        # Begun with the first process otherwise, and it would undo the mask of `start`.
        resource_tracker.ensure_running()
        self._running: dict[int, _Worker] = {}
        self._stop_by: float | None = None

    @property
    def stopping(self) -> bool:
        return self._stop_by is not None

    @property
    def ids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [worker.process.pid or 0 for worker in list(self._running.values())]

    def start(self) -> _Worker:
        """Start one more."""
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work,
            args=(self._settings, self._reserved.family, self._reserved.getsockname(), sending),
        )
        # Ctrl+C reaches the whole group, also while the new process still imports; it inherits that none gets through.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sending.close()
        worker = self._running[process.sentinel] = _Worker(process, receiving)
        return worker

    def stop(self, *_: object) -> None:
        """Ask all to drain. Safe as a signal handler."""
        self._stop_by = time.monotonic() + WORKER_STOP_S
        for worker in list(self._running.values()):
            worker.process.terminate()

    def watch(self) -> bool:
        """Return once all have ended: True where that was asked for, False where one could not even start."""
        well = True
        while self._running:
            for sentinel in wait(list(self._running), timeout=1.0):
                well = self._goes_on_without(self._running.pop(cast(int, sentinel))) and well
            if self._stop_by is not None and time.monotonic() > self._stop_by:
                for worker in self._running.values():
                    worker.process.kill()
        return well

    def _goes_on_without(self, worker: _Worker) -> bool:
        """One has ended: start another. Where it had never served, another would not either: stop all."""
        worker.process.join()
        served = worker.wait_until_it_serves()
        if self.stopping:
            return True
        log.error("worker %s ended with code %s", worker.process.pid, worker.process.exitcode)
        if served:
            self.start()
        else:
            self.stop()
        return served


def _watch_over(settings: Settings, reserved: socket.socket, url: str) -> None:
    workers = _Workers(settings, reserved)
    signal.signal(signal.SIGTERM, workers.stop)
    signal.signal(signal.SIGINT, workers.stop)
    started = [workers.start() for _ in range(settings.workers)]
    # Each is waited for, so that the greeting comes when all of them serve.
    serving = [worker.wait_until_it_serves() for worker in started]
    if all(serving) and not workers.stopping:
        _greet(settings, url)
    if not workers.watch():
        raise Failure("A worker could not run; the log above says why.")
