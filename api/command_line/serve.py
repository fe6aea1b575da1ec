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
import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

import click

from api import logs
from api.app import create_app, secrets_of
from api.command_line.main import Failure
from api.command_line.options import server_flags, settings_from
from api.secret_key import SecretKeyError
from api.server import HttpServer
from api.settings import Settings, SettingsError
from storage.errors import StorageError
from storage.migrations import upgrade
from sync.environment import system

log = logging.getLogger(__name__)

# Run after the migration and before the port is taken, for instance to fill the catalog. Each has to be
# restartable, and quick where nothing is to be done.
Seed = Callable[[Settings], Awaitable[None]]
SEEDS: Final[Sequence[Seed]] = ()

# A worker that lives shorter than this has not started at all.
WORKER_START_S: Final = 10.0
# After the stop of a worker is asked for: its drains and a margin.
WORKER_STOP_S: Final = 60.0

EXAMPLES: Final = """\b
Examples:
  fitai serve
  fitai serve --host 0.0.0.0 --port 80
  fitai serve --database-url postgresql+asyncpg://fitai@db/fitai --redis-url redis://cache --workers 4
"""


@click.command(epilog=EXAMPLES)
@server_flags
def serve(**flags: Any) -> None:
    """Run the server until it is stopped.

    The database is brought up to date first. SIGTERM or Ctrl+C lets requests in flight finish and tells live
    sockets to come back.
    """
    settings = settings_from(flags).settings
    logs.configure(settings.log_level)
    try:
        # Made here and not in a worker, so that all have the one (and where it must be given, it is missed first).
        secrets_of(settings, system())
        _run(_prepare(settings))
    except SecretKeyError as error:
        raise Failure(str(error), exit_code=2) from None
    except SettingsError as error:
        raise Failure(str(error), exit_code=2) from None
    except StorageError as error:
        raise Failure(str(error)) from None
    listening = _bind(settings)
    url = _url(settings, listening)
    if settings.workers == 1:
        _run(_serve_one(settings, listening, lambda: _greet(settings, url)))
    else:
        _watch_over(settings, listening, url)


async def _prepare(settings: Settings) -> None:
    await upgrade(settings.database_url)
    for seed in SEEDS:
        await seed(settings)


async def _serve_one(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a bound socket until a signal comes, and stop as api/server.py says."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = HttpServer(await create_app(settings))
    await server.start(listening)
    ready()
    await stopping.wait()
    log.info("stopping: no new connections, requests in flight finish")
    await server.stop()


def _run(work: Any) -> None:
    """Run a coroutine on the fastest event loop there is."""
    if sys.platform == "win32":
        asyncio.run(work)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def _bind(settings: Settings) -> socket.socket:
    """Return a socket that has the port and does not listen yet; raises Failure where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise Failure(f"FITAI_HOST {settings.host} is no address of this machine: {error.strerror}.", 2) from None
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
        raise Failure(f"{where} cannot be listened on: {error.strerror}; choose another --port.") from None
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
    click.echo(f"FitAI is ready on {url} (data in {data}, {processes}). Stop it with Ctrl+C.")
    if settings.workers > 1 and settings.is_sqlite:
        click.echo(
            "Note: SQLite takes one write at a time, so more processes only read faster; Postgres writes in parallel."
        )


def _work(settings: Settings, family: int, address: Any, ready: Any) -> None:
    """The life of one worker process. `ready` is the sending end of a pipe."""
    logs.configure(settings.log_level)

    def say() -> None:
        ready.send(True)
        ready.close()

    try:
        _run(_serve_one(settings, _shared(family, address), say))
    except (StorageError, SecretKeyError, OSError) as error:
        log.error("a worker cannot start: %s", error)
        sys.exit(1)


def _watch_over(settings: Settings, reserved: socket.socket, url: str) -> None:
    """Start the workers, restart those that end, and end them all on a signal (V2, V4).

    `reserved` stays bound and never listens, so that the port remains ours while no worker has it.
    """
    # A fresh interpreter each: nothing of this process (threads, signal handlers) is inherited by accident.
    context = multiprocessing.get_context("spawn")
    workers: dict[int, tuple[BaseProcess, float]] = {}
    asked_to_stop = False

    def stop(*_: object) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True
        for process, _ in list(workers.values()):
            process.terminate()

    def start() -> Any:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(
            target=_work, args=(settings, reserved.family, reserved.getsockname(), sending), daemon=False
        )
        process.start()
        sending.close()
        workers[process.sentinel] = (process, time.monotonic())
        return receiving

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pipes = [start() for _ in range(settings.workers)]
    if all(_is_ready(pipe) for pipe in pipes) and not asked_to_stop:
        _greet(settings, url)
    failed = False
    while workers:
        for sentinel in wait(list(workers), timeout=1.0):
            process, started = workers.pop(int(sentinel))  # type: ignore[call-overload]
            process.join()
            if asked_to_stop:
                continue
            log.error("worker %s ended with code %s", process.pid, process.exitcode)
            if time.monotonic() - started < WORKER_START_S:
                failed = True
                stop()
            else:
                start()
    if failed:
        raise Failure("A worker could not run; the log above says why.")


def _is_ready(pipe: Any) -> bool:
    """Wait until a worker serves, or has ended without."""
    try:
        return bool(pipe.recv())
    except (EOFError, OSError):
        return False
