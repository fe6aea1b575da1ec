"""A phone: the real core, loop and live side of the SDK over a real file, and the person who holds it.

Only what reaches the outside is another's: the transport (requests and sockets go over the simulated network), and the
thread of the database (calls are made at once).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

from fitai_client.account import Account
from fitai_client.core.database import LocalDatabase
from fitai_client.core.device import Device
from fitai_client.core.environment import Environment
from fitai_client.core.requests import Answer, Request
from fitai_client.errors import Unreachable
from fitai_client.live import Live
from fitai_client.loop import Loop
from fitai_client.transport import REQUEST_TIMEOUT_S
from tests.simulator.clock import Clock
from tests.simulator.fence import outside
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.network import Network
from tests.simulator.people import User
from tests.simulator.sockets import PhoneEnd
from tests.simulator.worker import Worker

T = TypeVar("T")


class Transport:
    """Carries requests to whichever worker the balancer gives, and opens sockets there."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone

    async def send(self, request: Request, token: str | None = None) -> Answer:
        phone, network = self._phone, self._phone.network
        worker = phone.balance()
        there, back = (phone.name, worker.name), (worker.name, phone.name)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def settle(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        def fail() -> None:
            if not answered.done():
                answered.set_exception(Unreachable("the connection was reset"))

        def reply(answer: Answer) -> None:
            network.send(back, settle, answer, failed=fail)

        def refuse() -> None:
            network.send(back, fail)

        if phone.spoil and request.query.get("cursor"):
            phone.spoil = False
            request = replace(request, query={**request.query, "cursor": "forgotten"})
        phone.asks(request)
        phone.token, sent_at = token, phone.vloop.time()
        network.send(there, worker.serve, request, token, reply, refuse, failed=fail)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await answered
        except TimeoutError:
            raise Unreachable("it took too long") from None
        phone.hears(request, answer)
        if answer.status == 200 and token is not None and not request.path.startswith("/api/auth/"):
            phone.let_in(token, sent_at)
        return answer

    async def connect(self, *, heartbeat_s: float) -> PhoneEnd:
        phone, network = self._phone, self._phone.network
        worker = phone.balance()
        there, back = (phone.name, worker.name), (worker.name, phone.name)
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        end = PhoneEnd(network, phone.process, there, heartbeat_s, phone.hears_frame)

        def welcome() -> None:
            network.send(back, settle)

        def settle() -> None:
            if not opened.done():
                opened.set_result(None)

        def refuse() -> None:
            network.send(back, fail)

        def fail() -> None:
            if not opened.done():
                opened.set_exception(Unreachable("nobody listens there"))

        network.send(there, worker.connect, end, phone.name, welcome, refuse, failed=fail)
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await opened
        except (TimeoutError, Unreachable):
            await end.close()
            raise Unreachable("it opens no socket") from None
        return end


class Client:
    """What `Loop` and `Live` ask of the SDK's `Client`."""

    def __init__(self, phone: Phone, transport: Transport) -> None:
        self._phone = phone
        self.transport = transport

    async def run(self, function: Callable[[LocalDatabase], T]) -> T:
        """In the product a thread does it, and meanwhile others have their turn."""
        await asyncio.sleep(self._phone.disk_s)
        result = function(self._phone.db)
        self._phone.moved()
        return result

    @property
    def _live(self) -> Live:
        return self._phone.live

    async def learn_names(self) -> None:
        """Names of the catalog are no part of this world."""

    def random_bytes(self, count: int) -> bytes:
        return self._phone.random_bytes(count)


class Phone:
    """One installation. `boot` starts its process, `kill` ends it; the file stays."""

    def __init__(
        self,
        name: str,
        owner: User,
        path: Path,
        loop: VirtualLoop,
        network: Network,
        clock: Clock,
        draws: Random,
        balance: Callable[[], Worker],
    ) -> None:
        self.name = name
        self.owner = owner
        self.user = owner.id
        # What its last request was sent with.
        self.token: str | None = None
        self.path = path
        self.vloop = loop
        self.since_s = loop.time()
        self.network = network
        self.clock = clock
        self.balance = balance
        self.random_bytes = draws.randbytes
        self.environment = Environment(clock.now_ms, draws.randbytes, clock.elapsed_ms)
        self.process = Process(name)
        self.process.alive = False
        self.disk_s = 0.0
        self.is_running = False
        # The next pull names a cursor that nobody gave out.
        self.spoil = False
        self.signed_out = False
        self.open_database: Callable[[Path, Environment], LocalDatabase] = LocalDatabase
        self.db: LocalDatabase
        self.device: Device
        self.account: Account
        self.loop: Loop
        self.live: Live
        # What the world wants to see of it.
        self.asks: Callable[[Request], None] = lambda request: None
        self.hears: Callable[[Request, Answer], None] = lambda request, answer: None
        self.let_in: Callable[[str, float], None] = lambda token, sent_at: None
        self.hears_frame: Callable[[bytes], None] = lambda frame: None
        self.moved: Callable[[], None] = lambda: None

    @property
    def is_up(self) -> bool:
        return self.process.alive and not self.process.stopped

    def boot(self) -> None:
        """Start the app."""
        self.process = Process(self.name)
        self.is_running = False
        if not self.path.exists():
            self.path.write_bytes(empty())
        self.db = self.open_database(self.path, self.environment)
        self.device = Device(self.db, {"name": self.name, "platform": "test", "app_version": "1"})
        self.vloop.spawn(self.process, self._boot(), f"{self.name} boots")

    async def _boot(self) -> None:
        client, transport = cast(Any, Client(self, Transport(self))), cast(Any, Transport(self))
        account = self.account = Account(self.db, transport, lambda call: client.run(lambda _: call()))
        self.device.signed_in = account.signed_in
        self.loop = Loop(client, self.device, account)
        self.live = Live(client, self.device, account, self.loop)
        self.loop.start()
        self.live.start()
        self.is_running = True

    async def sign_in(self) -> None:
        """The owner signs in. Raises as the SDK's; whoever calls tries again."""
        await self.account.sign_in(self.owner.email, "a password")
        self.device.signed_in = True
        self.live.resume()
        self.loop.wake()

    async def sign_out(self) -> None:
        """The owner signs out, with or without a network."""
        self.device.signed_in = False
        self.loop.moved()
        await self.live.drop()
        await self.account.sign_out()

    def kill(self) -> None:
        """The app dies: only its file is left."""
        if self.process.alive:
            self.vloop.kill(self.process)
            self.db.conn.close()

    def wake(self) -> None:
        """The user wrote something."""
        if self.is_running:
            self.loop.wake()


@lru_cache(maxsize=1)
def empty() -> bytes:
    """A phone's file with nothing in it: making its tables takes longer than opening it."""
    with tempfile.TemporaryDirectory() as folder, outside():
        path = Path(folder) / "phone.db"
        LocalDatabase(path, Environment(lambda: 0, lambda count: b"", lambda: 0)).close()
        return path.read_bytes()
