"""A server process: the product's engine and live side over the world's store, bus, clock and network.

What stands here in place of aiohttp does what `api/sync` and `api/errors.py` do: a request comes in as a `Request`,
and goes out as an `Answer`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from random import Random

import msgspec

from conflict.clock import rfc3339
from fitai_client.core.requests import Answer, Request
from storage.errors import StorageError
from sync.access import DatabaseAccess
from sync.caller import Caller
from sync.devices import Registration
from sync.engine import Engine
from sync.environment import Environment
from sync.errors import SyncError
from sync.limits import Limits
from sync.live import Live
from sync.messages import decode_push
from sync.protocol import Moment
from sync.retention import Retention
from tests.simulator.accounts import Accounts
from tests.simulator.bus import Exchange, WorkerBus
from tests.simulator.clock import Clock
from tests.simulator.database_link import DatabaseLink
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.network import Network
from tests.simulator.sockets import PhoneEnd, WorkerEnd
from tests.simulator.store import SimStore
from tests.simulator.weather import Work
from tests.sync.inline_texts import InlineTexts

Reply = Callable[[Answer], None]
encode = msgspec.json.encode


class Worker:
    """One place for a server process: `boot` starts one, `kill` ends it at once."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        network: Network,
        exchange: Exchange,
        store: SimStore,
        clock: Clock,
        draws: Random,
        limits: Limits,
        work: Work,
    ) -> None:
        self.name = name
        self.loop = loop
        self.network = network
        self.exchange = exchange
        self.store = store
        self.clock = clock
        self.limits = limits
        self.work = work
        self.environment = Environment(clock.now_ms, draws.randbytes)
        self.process = Process(name)
        self.process.alive = False
        self.accounts: Accounts
        self.engine: Engine
        self.live: Live
        self.bus: WorkerBus
        self.ends: list[WorkerEnd] = []
        self._database: DatabaseLink
        self.is_ready = False

    def boot(self) -> None:
        """Start a process in this place."""
        self.process = Process(self.name)
        self.ends = []
        self.bus = WorkerBus(self.exchange, self.process)
        self._database = DatabaseLink(self.store, self.name)
        self.loop.spawn(self.process, self._boot(), f"{self.name} boots")

    async def _boot(self) -> None:
        await self.bus.start()
        self.accounts = Accounts(self._database, self.bus, self.environment)
        self.engine = Engine(self._database, self.bus, InlineTexts(), self.environment, self.limits)
        self.live = Live(
            bus=self.bus,
            feed=self.engine.feed,
            pusher=self.engine,
            access=DatabaseAccess(self._database, self.environment, self.accounts.open),
            environment=self.environment,
            limits=self.limits,
        )
        await self.live.start()
        if self.work.retention:
            asyncio.get_running_loop().create_task(self._collect())
        self.is_ready = True

    def kill(self, *, told: bool = True) -> None:
        """kill -9. `told`: the machine lives on, and closes the process's connections."""
        if not self.process.alive:
            return
        self.is_ready = False
        self.loop.kill(self.process)
        self.bus.leave()
        self._database.kill()
        if told:
            for end in self.ends:
                if not end.ended:
                    end.reset_peer()

    async def _collect(self) -> None:
        retention = Retention(
            self._database, self.environment, keep_ms=self.work.keep_ms, lag_ms=max(self.work.lag_ms, self.work.keep_ms)
        )
        while True:
            await asyncio.sleep(3_600 / self.work.retention)
            with contextlib.suppress(StorageError):
                await retention.run()

    def cut_database(self, *, silent: bool) -> None:
        """Nothing passes between this process and the store."""
        self._database.cut(silent=silent)

    def cut_bus(self) -> None:
        """Nothing passes between this process and the bus."""
        self.bus.is_cut = True

    def heal_links(self) -> None:
        """Both pass again."""
        self._database.heal()
        if self.bus.is_cut:
            self.bus.is_cut = False
            self.bus.missed()

    # -- what comes in ---------------------------------------------------------------------------------------------

    def serve(self, request: Request, token: str | None, reply: Reply, refused: Callable[[], None]) -> None:
        """A request is there; `reply` gets its answer, `refused` is called where nobody listens."""
        if not self.is_ready:
            refused()
            return
        self.loop.spawn(self.process, self._serve(request, token, reply), request.kind)

    async def _serve(self, request: Request, token: str | None, reply: Reply) -> None:
        reply(await self.answer(request, token))

    def connect(self, peer: PhoneEnd, phone: str, welcome: Callable[[], None], refused: Callable[[], None]) -> None:
        """Open a live socket to a phone."""
        if not self.is_ready or peer.close_code is not None:
            refused()
            return
        self.ends = [end for end in self.ends if not end.ended]
        self.ends.append(
            WorkerEnd(self.loop, self.process, self.live, self.now, self.network, (self.name, phone), peer)
        )
        welcome()

    def now(self) -> Moment:
        return Moment(self.clock.now_ms(), int(self.loop.now * 1_000))

    async def answer(self, request: Request, token: str | None) -> Answer:
        """One request; never raises for what a device or a database did."""
        try:
            body = await self.accounts.answer(request, token)
            if body is None:
                body = await self._call(request, (await self.accounts.open(token or "")).caller)
            return Answer(200, body)
        except SyncError as error:
            told = {"success": False, "error": error.message, "code": error.code, "details": error.details}
            return Answer(error.status, encode(told), error.retry_after_s)
        except StorageError as error:
            if not error.retryable:
                raise
            told = {"success": False, "error": "The server is busy.", "code": "unavailable", "details": None}
            return Answer(503, encode(told), 1)

    async def _call(self, request: Request, known: Caller) -> bytes:
        engine = self.engine
        caller = Caller(known.user, known.session, device=request.device)
        if request.path == "/api/sync":
            return encode(engine.describe(self._time()))
        if request.path == "/api/sync/devices":
            device, _ = await engine.devices.register(caller, Registration(**json.loads(request.body or "")))
            return encode({"device": device, "server_time": self._time()})
        if request.path == "/api/sync/spaces":
            return encode({"spaces": await engine.spaces.of(caller)})
        space, call = request.path.rsplit("/", 2)[1:]
        return await self._call_space(engine, caller, space, call, request)

    async def _call_space(self, engine: Engine, caller: Caller, space: str, call: str, request: Request) -> bytes:
        query = request.query
        limit = int(query.get("limit", "1000"))
        if call == "push":
            batch = decode_push((request.body or "").encode(), self.limits)
            return encode((await engine.push(caller, space, batch)).as_json())
        if call == "digest":
            return encode(await engine.digest(caller, space, query.get("bucket")))
        if call == "snapshot":
            before = query.get("before")
            page = await engine.feed.snapshot(caller, space, before, limit, cursor=query.get("cursor"))
            await engine.votes.note(caller, space, snapshot=before is None)
            return page
        if "ids" in query:
            return await engine.feed.pull_ids(caller, space, [id for id in query["ids"].split(",") if id])
        page = await engine.feed.pull(caller, space, query.get("cursor"), limit)
        await engine.votes.note(caller, space)
        return page

    def _time(self) -> str:
        return rfc3339(self.environment.now_ms())
