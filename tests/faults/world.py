"""One run's world: a database, servers, a Redis, the links between them, and the devices at their ends.

Owns: what is there and how it is wired, one proxy a link, and waiting until all agree. Refuses to know: what goes wrong
and when.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import aiohttp

from api.command_line.demonstration.compare import differences, shown_by_device, shown_by_server
from fitai_client.core.adopting import LOST_CODE
from storage.cancelling import to_the_end
from tests.faults.acks import AckLog, Change
from tests.faults.phones import EMAIL, PASSWORD, Pace, Phone
from tests.faults.plain_writer import PlainWriter
from tests.faults.proxy import Proxy
from tests.faults.servers import FITAI, FitaiServer, PostgresCluster
from tests.faults.verdict import Violation, audit, compare, read_stored
from tests.services.postgres import postgres
from tests.services.redis import Redis, redis_server

Kind = Literal["sqlite", "postgres"]
SECRET: Final = "c0b74c2f6c1de88a4ff1a9b7712fd0a46e9b3e55d10c8fa2f7d3b1946a5c8e27"
# Past this a device is stuck, and not slow: longer than any wait of the SDK, a request that hangs among them.
STUCK_S: Final = 120.0


@dataclass
class World:
    """See the module. Links are named by what they join: "phone-1", "server-1 postgres", "server-2 redis"."""

    kind: Kind
    folder: Path
    random: Random
    log: AckLog
    url: str
    # Whether Postgres is safe from crashes.
    safe: bool = True
    servers: list[FitaiServer] = field(default_factory=list)
    cluster: PostgresCluster | None = None
    redis: Redis | None = None
    links: dict[str, Proxy] = field(default_factory=dict)
    phones: list[Phone] = field(default_factory=list)
    writers: list[PlainWriter] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    _working: list[asyncio.Task[None]] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def link(self, name: str, port: int) -> Proxy:
        proxy = self.links[name] = Proxy(port, Random(self.random.getrandbits(64)))
        await proxy.start()
        self._stack.push_async_callback(proxy.stop)
        return proxy

    async def add_phone(self, name: str, *, server: int = 0, sign_in: bool = True, **options: Any) -> Phone:
        """A phone behind a link of its own to a server."""
        link = await self.link(name, self.servers[server].port)
        url = f"http://127.0.0.1:{link.port}"
        seed = Random(self.random.getrandbits(64))
        phone = await self._stack.enter_async_context(Phone.open(name, self.folder, url, self.log, seed, **options))
        if sign_in:
            if self.phones:
                await phone.client.sign_in(EMAIL, PASSWORD)
            else:
                await phone.client.register(EMAIL, PASSWORD, "You")
        self.phones.append(phone)
        return phone

    async def add_writer(self, name: str, *, server: int = 0, **options: Any) -> PlainWriter:
        """A plain writer behind a link of its own to a server. There has to be an account: a phone makes it."""
        link = await self.link(name, self.servers[server].port)
        seed = Random(self.random.getrandbits(64))
        writer = PlainWriter(name, f"http://127.0.0.1:{link.port}", self.log, seed, **options)
        self.writers.append(await self._stack.enter_async_context(writer.opened(self.servers[server].url)))
        return writer

    async def populate(self, *, phones: int = 2, writers: int = 1) -> None:
        """Devices, spread over the servers; they write when `pace` says so."""
        for number in range(phones):
            await self.add_phone(f"phone-{number + 1}", server=number % len(self.servers))
        for number in range(writers):
            await self.add_writer(f"writer-{number + 1}", server=number % len(self.servers))
        self.work()

    async def write_for(self, seconds: float) -> None:
        """Let everybody write for a while, and pause."""
        self.pace.resume()
        await asyncio.sleep(seconds)
        self.pace.pause()
        self.failed()

    @property
    def actors(self) -> list[Phone | PlainWriter]:
        """Everybody who writes."""
        return [*self.phones, *self.writers]

    def work(self, *, phones: bool = True) -> None:
        """Let everybody write, whenever `pace` allows it; or the plain writers alone."""
        for actor in self.actors if phones else self.writers:
            self._working.append(asyncio.create_task(actor.write(self.pace), name=actor.name))

    def cut_off(self) -> None:
        """Let no device reach a server, until `reconnect`."""
        for actor in self.actors:
            self.links[actor.name].partition()

    def reconnect(self) -> None:
        for actor in self.actors:
            self.links[actor.name].heal("reset")

    def failed(self) -> None:
        """Raise what ended an actor, if anything did."""
        for task in self._working:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def rest(self) -> None:
        """Let everybody stop for good."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        self._working.clear()

    async def settle(self, *, stuck_s: float = STUCK_S) -> float:
        """Wait until nothing is unsent and all devices and servers show the same: the seconds that took.

        Raises Violation where that takes so long that something is stuck.
        """
        began = time.monotonic()
        while (why := await self._unsettled()) is not None:
            self.failed()
            if time.monotonic() - began > stuck_s:
                lines = [*await self._states(), *await self._unequal()]
                raise Violation("stuck", f"after {stuck_s:.0f} s without faults {why}", lines)
            await asyncio.sleep(0.03)
        return time.monotonic() - began

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for something that has to come. Raises Violation where it does not."""
        end = time.monotonic() + STUCK_S
        while not await holds():
            if time.monotonic() > end:
                raise Violation("stuck", f"after {STUCK_S:.0f} s {what}", await self._states())
            await asyncio.sleep(0.05)

    async def _unsettled(self) -> str | None:
        if self.pace.busy:
            return "somebody is still writing"
        for writer in self.writers:
            if not self._working and not await writer.push_once():
                return f"{writer.name} is not answered well"
            if writer.unsent:
                return f"{writer.name} has {writer.unsent} changes unsent"
        served: dict[str, Any] | None = None
        for server in self.servers:
            try:
                digest = await self.writers[0].server_digest(server.url)
            except (aiohttp.ClientError, TimeoutError, ConnectionError, Violation) as error:
                return f"{server.name} does not answer ({error})"
            if served is not None and digest["buckets"] != served["buckets"]:
                return f"{server.name} shows something else than the first server"
            served = digest
        assert served is not None
        for phone in self.phones:
            mine = await phone.digest()
            if mine is None:
                return f"{phone.name} has changes unsent"
            if mine != served["buckets"]:
                return f"{phone.name} shows something else than the servers"
        return None

    async def _states(self) -> list[str]:
        lines = []
        for phone in self.phones:
            status = await phone.client.status()
            lines.append(
                f"{phone.name}: {status.pending} pending, live {status.live}, {status.why or 'nothing to say'}"
            )
        return lines

    async def _unequal(self) -> list[str]:
        """The records that a device and its server show with other seqs, or one of them alone."""
        served: dict[tuple[str, str], int] = {}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, Violation):
            served = await self.writers[0].server_shown(self.servers[0].url)
        lines = []
        for phone in self.phones:
            mine = {(collection, id): seq for collection, id, seq in await phone.shown()}
            lines += [
                f"{phone.name}: {key[0]} {key[1]}: seq {mine.get(key)}, at the server {served.get(key)}"
                for key in sorted({*served, *mine})
                if served.get(key) != mine.get(key)
            ]
        return lines

    async def compare(self, *, renamed: bool = False, at_rest: bool = True) -> int:
        """Hold the database against the log of acknowledgements: how many there are.

        at_rest: nobody writes meanwhile, so that what is stored was written by somebody.

        Raises Violation.
        """
        offered: list[Change] = []
        for phone in self.phones:
            await phone.note()
            offered += await phone.offered()
        acks = list(self.log.acks.values())
        stored = await read_stored(self.url, self.writers[0].space)
        made = self.log.made.values()
        compare(acks, self.log.issued if at_rest else None, stored, renamed=renamed, made=made, offered=offered)
        if self.log.contradictions:
            lines = [f"{first}, and {second}" for first, second in self.log.contradictions]
            raise Violation("contradiction", "one number was acknowledged for two changes", lines)
        return len(acks)

    async def compare_whole(self, *, renamed: bool = False, everything: bool = True) -> None:
        """The last word: acknowledgements, every record of every place field by field, and `fitai check`."""
        await self.compare(renamed=renamed)
        places = {phone.name: await shown_by_device(phone.client) for phone in self.phones}
        for server in self.servers:
            places[server.name] = await shown_by_server(server.url, EMAIL, PASSWORD)
        found = differences(places)
        if found:
            raise Violation("unequal", f"{len(found)} records are not the same everywhere", map(str, found))
        for phone in self.phones:
            # A value that the server lost, and that something newer stands for by now, is offered there, not refused.
            refused = [each for each in await phone.client.inbox() if each.code != LOST_CODE]
            if refused:
                raise Violation("refused", f"{phone.name} had changes refused", map(str, refused))
        if everything:
            await audit(self.url, self.folder / "check.json")


@asynccontextmanager
async def world(
    kind: Kind,
    random: Random,
    *,
    servers: int = 1,
    redis: bool = False,
    linked: bool = True,
    folder: Path | None = None,
    program: Sequence[str] = FITAI,
    wrapper: Sequence[str] = (),
    safe: bool = True,
    settings: dict[str, str] | None = None,
    start: bool = True,
    database_folder: Path | None = None,
) -> AsyncIterator[World]:
    """A world whose servers serve. Its folder is kept where the block raises, and named in a note of the exception.

    linked: whether the servers reach the database and Redis by proxies. safe: whether Postgres is safe from crashes;
    a control is not. program, wrapper: as `FitaiServer` has them. database_folder: where the file of SQLite is.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="fitai-faults-"))
    try:
        async with AsyncExitStack() as stack:
            log = AckLog(folder / "acks.jsonl")
            stack.callback(log.close)
            made = World(
                kind,
                folder,
                random,
                log,
                f"sqlite+aiosqlite:///{(database_folder or folder) / 'server.db'}",
                safe,
                _stack=stack,
            )
            if kind == "postgres":
                # The cluster's own start and end are in threads: they wait.
                first = await _entered(stack, postgres(fsync=safe))
                made.cluster = PostgresCluster(first)
                stack.push_async_callback(made.cluster.close)
                await asyncio.to_thread(first.create_database, "fitai")
                made.url = made.cluster.url()
            if redis:
                made.redis = await _entered(stack, redis_server())
            stack.push_async_callback(_stop_servers, made)
            for number in range(1, servers + 1):
                name = f"server-{number}"
                environment = await _environment(made, name, linked=linked) | (settings or {})
                made.servers.append(FitaiServer(name, folder, environment, program=program, wrapper=wrapper))
            if start:
                await made.servers[0].start()
                await asyncio.gather(*(server.start() for server in made.servers[1:]))
            yield made
            await made.rest()
    except BaseException as error:
        error.add_note(f"its logs are in {folder}")
        if isinstance(error, Violation):
            error.folder = folder
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)


async def _entered(stack: AsyncExitStack, manager: contextlib.AbstractContextManager[Any]) -> Any:
    entered: list[Any] = []

    async def enter() -> None:
        entered.append(await asyncio.to_thread(manager.__enter__))
        stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)

    # Whoever is told to end meanwhile leaves it as well.
    await to_the_end(enter())
    return entered[0]


async def _environment(made: World, name: str, *, linked: bool) -> dict[str, str]:
    environment = {
        "FITAI_SECRET_KEY": SECRET,
        "FITAI_LOG_LEVEL": "warning",
        "FITAI_RATE_LIMITS": "off",
        "FITAI_BCRYPT_COST": "4",
        "FITAI_DATABASE_URL": made.url,
    }
    if made.cluster is not None and linked:
        link = await made.link(f"{name} postgres", made.cluster.port)
        environment["FITAI_DATABASE_URL"] = made.cluster.url(port=link.port)
    if made.redis is not None:
        port = (await made.link(f"{name} redis", made.redis.port)).port if linked else made.redis.port
        environment["FITAI_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    return environment


async def _stop_servers(made: World) -> None:
    await made.rest()
    await asyncio.gather(*(server.kill() for server in made.servers))
