"""The network: messages that come late, twice, or not at all, and paths that are cut for a while.

Every machine has a name; a path is (from, to), and each way of it can be cut alone.

Invariants
    N1  What a message meets is drawn when it is sent, from the network's own stream.
    N2  A path that is cut delivers nothing; what was on its way then is lost.
    N3  The frames of one `Wire` come in order, each once, or not at all from some frame on, as TCP has it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Final

from tests.simulator.loop import VirtualLoop
from tests.simulator.weather import NetworkWeather

# One message in a hundred takes much longer than its mean (a Pareto tail).
TAIL: Final = 0.01
# A packet that is lost under a stream is sent again after a second, then after two, and so on.
AGAIN_S: Final = 1.0
AGAIN_MAX_S: Final = 16.0
# Of lost packets under a stream, those that end it.
RESETS: Final = 0.05
# What a stream takes before its writer waits.
WINDOW_BYTES: Final = 262_144

Path = tuple[str, str]


class Network:
    """Paths between named machines."""

    def __init__(self, loop: VirtualLoop, draws: Random, weather: NetworkWeather) -> None:
        self.loop = loop
        self.draws = draws
        self.weather = weather
        self.struck: Counter[str] = Counter()
        self._cuts: Counter[Path] = Counter()
        self._clogged: dict[Path, float] = {}
        self._under_way: Counter[Path] = Counter()
        # Streams that have something to send over a path that is cut.
        self._held_up: dict[Path, list[Wire]] = {}

    def send(
        self, path: Path, deliver: Callable[..., None], *what: Any, failed: Callable[[], None] | None = None
    ) -> None:
        """Carry a message: `deliver(*what)` is called once it is there, perhaps twice, perhaps never.

        `failed` is called where the sender learns that it is not arriving; often nobody learns it.
        """
        weather, draws = self.weather, self.draws
        if self._under_way[path] >= weather.capacity or (weather.loss and draws.random() < weather.loss):
            self.struck["lost message"] += 1
            if failed is not None and draws.random() < 0.5:
                self.loop.later(self.latency(path), failed)
            return
        self._under_way[path] += 1
        self.loop.later(self.latency(path), self._arrive, path, deliver, what)
        if weather.duplicate and draws.random() < weather.duplicate:
            self.struck["duplicated message"] += 1
            self._under_way[path] += 1
            self.loop.later(self.latency(path) + self.latency(path), self._arrive, path, deliver, what)

    def latency(self, path: Path) -> float:
        """How long the next message takes, in seconds."""
        weather, draws = self.weather, self.draws
        seconds = weather.least_s + draws.expovariate(1 / weather.mean_s)
        if draws.random() < TAIL:
            seconds *= draws.paretovariate(1.2)
        if weather.clog and draws.random() < weather.clog:
            self.struck["clog"] += 1
            self._clogged[path] = self.loop.now + draws.uniform(0, weather.clog_s)
        clogged_until = self._clogged.get(path)
        if clogged_until is not None:
            if clogged_until > self.loop.now + seconds:
                return clogged_until - self.loop.now
            if clogged_until < self.loop.now:
                del self._clogged[path]
        return min(seconds, 600.0)

    def _arrive(self, path: Path, deliver: Callable[..., None], what: tuple[Any, ...]) -> None:
        self._under_way[path] -= 1
        if self._cuts[path]:
            self.struck["message into a cut"] += 1
        else:
            deliver(*what)

    # -- cuts ------------------------------------------------------------------------------------------------------

    def cut(self, paths: Iterable[Path]) -> None:
        """Nothing passes these paths until each was healed as often as it was cut."""
        self._cuts.update(paths)

    def heal(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._cuts[path] -= 1
            if not self.is_cut(path):
                self._let_through(path)

    def hold_up(self, wire: Wire) -> None:
        """Tell this stream once its path is cut no more."""
        self._held_up.setdefault(wire.path, []).append(wire)

    def _let_through(self, path: Path) -> None:
        for wire in self._held_up.pop(path, ()):
            wire.go_on()

    def is_cut(self, path: Path) -> bool:
        return self._cuts[path] > 0

    def calm(self) -> None:
        """From now on there is no fault in it, but for what is on its way."""
        self._cuts.clear()
        for path in list(self._held_up):
            self._let_through(path)
        self._clogged.clear()
        weather = self.weather
        self.weather = NetworkWeather(mean_s=min(weather.mean_s, 0.1), least_s=weather.least_s)


class Wire:
    """One way of a stream. `deliver` gets each frame in its order; `broken` is called once it can carry no more."""

    def __init__(
        self, network: Network, path: Path, deliver: Callable[[Any], None], broken: Callable[[], None]
    ) -> None:
        self.network = network
        self.path = path
        self._deliver = deliver
        self._broken = broken
        self._frames: deque[tuple[float, Any, int]] = deque()
        self._last_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._again_s = AGAIN_S
        # While the path is cut: when the next packet is sent again.
        self._again_at = 0.0
        self._is_held_up = False
        self.closed = False
        self._size = 0
        self._room: list[asyncio.Future[None]] = []

    def send(self, frame: Any, size: int = 1) -> None:
        """Send a frame; one on a closed wire goes nowhere."""
        if self.closed:
            return
        network = self.network
        seconds = network.latency(self.path)
        if network.weather.loss and network.draws.random() < network.weather.loss:
            network.struck["lost packet"] += 1
            if network.draws.random() < RESETS:
                self.close()
                network.loop.later(seconds, self._broken)
                return
            seconds += AGAIN_S
        self._last_at = max(self._last_at, network.loop.now + seconds)
        self._frames.append((self._last_at, frame, size))
        self._size += size
        if self._timer is None and not self._is_held_up:
            self._arm()

    async def room(self) -> None:
        """Wait until the stream takes more."""
        while self._size > WINDOW_BYTES and not self.closed:
            waiter = self.network.loop.create_future()
            self._room.append(waiter)
            await waiter

    def close(self) -> None:
        """Nothing more passes; what is on its way is lost."""
        self.closed = True
        self._frames.clear()
        self._size = 0
        self._let_go_on()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        delay = max(self._frames[0][0] - self.network.loop.now, 0)
        self._timer = self.network.loop.later(delay, self._next)

    def _next(self) -> None:
        self._timer = None
        loop = self.network.loop
        if self.network.is_cut(self.path):
            # Nobody is there to see the packets that are sent again meanwhile.
            self._send_again_from(loop.now)
            self._is_held_up = True
            self.network.hold_up(self)
            return
        self._again_s = AGAIN_S
        while self._frames and self._frames[0][0] <= loop.now and not self.closed:
            _, frame, size = self._frames.popleft()
            self._size -= size
            self._deliver(frame)
        self._let_go_on()
        if self._frames and self._timer is None:
            self._arm()

    def go_on(self) -> None:
        """The path is cut no more: the next packet that is sent again arrives."""
        self._is_held_up = False
        if self.closed or not self._frames:
            return
        now, again_at, again_s = self.network.loop.now, self._again_at, self._again_s
        # Step by step, a thousand of them after a long cut: a product would be another number in its last bits.
        while again_at < now:
            again_at += again_s
            again_s = min(2 * again_s, AGAIN_MAX_S) if again_s < AGAIN_MAX_S else again_s
        self._again_at, self._again_s = again_at, again_s
        self._timer = self.network.loop.later(again_at - now, self._next)

    def _send_again_from(self, at: float) -> None:
        self._again_at = at + self._again_s
        self._again_s = min(2 * self._again_s, AGAIN_MAX_S)

    def _let_go_on(self) -> None:
        waiting, self._room = self._room, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
