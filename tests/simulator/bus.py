"""The bus between workers: local delivery is the product's own, and what crosses machines may be lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from sync.bus import LOST, Handler, MemoryBus
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.weather import BusWeather


class Exchange:
    """The server in the middle. Messages that a worker missed for an outage are gone; it is told that some were."""

    def __init__(self, loop: VirtualLoop, draws: Random, weather: BusWeather) -> None:
        self.loop = loop
        self.draws = draws
        self.weather = weather
        self.struck: Counter[str] = Counter()
        self.members: list[WorkerBus] = []
        self.is_down = False

    def publish(self, origin: WorkerBus, topic: str, message: bytes) -> None:
        if self.is_down or origin.is_cut:
            return
        for member in list(self.members):
            if member is origin or not member.has(topic):
                continue
            if self.weather.drop and self.draws.random() < self.weather.drop:
                self.struck["lost hint"] += 1
                continue
            self._carry(member, topic, message)
            if self.weather.duplicate and self.draws.random() < self.weather.duplicate:
                self.struck["doubled hint"] += 1
                self._carry(member, topic, message)

    def _carry(self, member: WorkerBus, topic: str, message: bytes) -> None:
        # Each takes its own time, so they overtake each other.
        self.loop.later(self.draws.expovariate(1 / self.weather.late_s), member.arrive, topic, message)

    def go_down(self) -> None:
        self.is_down = True

    def come_back(self) -> None:
        self.is_down = False
        for member in list(self.members):
            member.missed()

    def calm(self) -> None:
        """From now on there is no fault in it."""
        self.weather = BusWeather(late_s=min(self.weather.late_s, 0.1))
        for member in list(self.members):
            member.is_cut = False
        self.come_back()


class WorkerBus(MemoryBus):
    """The `Bus` of one worker process."""

    def __init__(self, exchange: Exchange, process: Process) -> None:
        super().__init__()
        self._exchange = exchange
        self._process = process
        self.is_cut = False

    async def publish(self, topic: str, message: bytes) -> None:
        self.deliver(topic, message)
        self._exchange.publish(self, topic, message)

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        first = not self.has(topic)
        leave = super().subscribe(topic, handler)
        if first and len(self._exchange.members) > 1:
            # It reaches other processes only from now on: what was said before was perhaps missed.
            self._exchange.loop.later(self._exchange.weather.late_s, self.arrive, topic, LOST)
        return leave

    async def start(self) -> None:
        self._exchange.members.append(self)

    async def close(self) -> None:
        self.leave()

    def leave(self) -> None:
        if self in self._exchange.members:
            self._exchange.members.remove(self)

    def arrive(self, topic: str, message: bytes) -> None:
        """Something of another worker is there."""
        if not self.is_cut and not self._exchange.is_down:
            self._exchange.loop.call_soon(self.deliver, topic, message, context=self._process.context)

    def missed(self) -> None:
        """Connected again: every topic may have missed something."""
        for topic in self.topics:
            self.arrive(topic, LOST)
