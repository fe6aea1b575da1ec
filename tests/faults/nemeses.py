"""What goes wrong: each nemesis strikes once, lasts for as long as its draw says, and heals what it did.

Owns: the faults of processes and links, drawn from the seed. Refuses to know: who judges (`soak.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from storage.cancelling import to_the_end
from tests.faults.duplicates import Duplicator
from tests.faults.figures import Figures
from tests.faults.proxy import Direction, Healing, Proxy
from tests.faults.servers import FitaiServer
from tests.faults.verdict import Violation
from tests.faults.world import World

# Past this a server or a database does not come back.
BACK_S: Final = 60.0
# After so many deaths the database is looked at before a device can give anything back.
LOOKS: Final = 0.4

Strike = Callable[[], Awaitable[None]]


class Nemesis:
    """The faults of one world. Strikes may overlap; each heals its own."""

    def __init__(self, world: World, random: Random, figures: Figures) -> None:
        self._world = world
        self._random = random
        self._figures = figures
        # A server or the cluster is struck by one at a time.
        self._locks: dict[str, asyncio.Lock] = {}
        # What struck lately, for whoever tells of a failure.
        self.history: list[str] = []

    # -- what may be drawn -------------------------------------------------------------------------------------------

    def draw_kill(self) -> Strike:
        """One of the deaths."""
        deaths: dict[Strike, int] = {self.kill_server: 6}
        if self._world.cluster is not None:
            deaths |= {self.kill_cluster: 2, self.kill_postmaster: 1}
        if self._world.redis is not None:
            deaths |= {self.kill_redis: 2}
        return self._random.choices(list(deaths), list(deaths.values()))[0]

    def draw_partition(self) -> Strike:
        """Some links, some directions, for a while."""
        links = self._draw_links()
        mode = self._random.choice(("both", "both", "up", "down", "flapping"))
        healing: Healing = self._random.choice(("deliver", "deliver", "reset"))
        return lambda: self.partition(links, mode, healing)

    def draw_pause(self) -> Strike:
        """A process that stands still."""
        if self._world.cluster is not None and self._random.random() < 0.4:
            return self.freeze_cluster
        return self.freeze_server

    def _draw_links(self) -> list[str]:
        world = self._world
        devices = [actor.name for actor in world.actors]
        inside = [name for name in world.links if name not in devices]
        what = self._random.random()
        if inside and what < 0.35:
            return [self._random.choice(inside)]
        if what < 0.5:
            return devices
        return self._random.sample(devices, self._random.randint(1, len(devices) // 2 + 1))

    # -- deaths ------------------------------------------------------------------------------------------------------

    async def kill_server(self) -> None:
        server = self._random.choice(self._world.servers)
        async with self._struck(server.name, f"kill -9 of {server.name}"):
            self._figures.kills += 1
            self._fail_over(server)
            await server.kill()
            looks = self._cut_off()
            await self._pause(0.0, 0.2)
            began = time.monotonic()
            await self._serving(server)
            self._figures.times["server"].add(time.monotonic() - began)
            if looks:
                await self._look()

    async def kill_cluster(self) -> None:
        assert self._world.cluster is not None
        await self._kill_cluster("kill -9 of all of Postgres", self._world.cluster.kill_group)

    async def kill_postmaster(self) -> None:
        assert self._world.cluster is not None
        await self._kill_cluster("kill -9 of the postmaster alone", self._world.cluster.kill_postmaster)

    async def _kill_cluster(self, what: str, kill: Callable[[], Awaitable[None]]) -> None:
        cluster = self._world.cluster
        assert cluster is not None
        async with self._struck("postgres", what):
            self._figures.kills += 1
            began = time.monotonic()
            await kill()
            killed = time.monotonic()
            looks = self._cut_off()
            await cluster.start()
            if looks:
                await self._look()
                return
            while not any(writer.last_success > killed for writer in self._world.writers):
                self._world.failed()
                if time.monotonic() - began > BACK_S:
                    raise Violation("stuck", f"no push succeeded within {BACK_S:.0f} s after Postgres was back")
                await asyncio.sleep(0.01)
            self._figures.times["postgres"].add(time.monotonic() - began)

    def _cut_off(self) -> bool:
        """Sometimes let no device speak after a death until it was looked whether all is there that was acknowledged:
        otherwise those who keep their logs give back what is lost before anybody sees it."""
        looks = self._random.random() < LOOKS
        if looks:
            self._world.cut_off()
        return looks

    async def _look(self) -> None:
        try:
            await self._world.compare(at_rest=False)
            self._figures.looks += 1
        finally:
            self._world.reconnect()

    async def kill_redis(self) -> None:
        redis = self._world.redis
        assert redis is not None
        async with self._struck("redis", "kill -9 of Redis"):
            self._figures.kills += 1
            await asyncio.to_thread(redis.kill)
            await self._pause(0.0, 0.6)
            await to_the_end(asyncio.to_thread(redis.start))

    # -- pauses ------------------------------------------------------------------------------------------------------

    async def freeze_server(self) -> None:
        server = self._random.choice(self._world.servers)
        async with self._struck(server.name, f"SIGSTOP of {server.name}"):
            self._figures.pauses += 1
            server.freeze()
            try:
                await self._pause(0.3, 1.5)
            finally:
                server.thaw()

    async def freeze_cluster(self) -> None:
        cluster = self._world.cluster
        assert cluster is not None
        async with self._struck("postgres", "SIGSTOP of Postgres"):
            self._figures.pauses += 1
            cluster.freeze()
            try:
                await self._pause(0.3, 1.2)
            finally:
                cluster.thaw()

    # -- links -------------------------------------------------------------------------------------------------------

    async def partition(self, names: list[str], mode: str, healing: Healing) -> None:
        """Cut links off: "both" ways, "up" or "down" alone, or "flapping"."""
        links = [self._world.links[name] for name in names]
        async with self._struck("", f"partition ({mode}, then {healing}) of {', '.join(names)}", mode):
            self._figures.partitions += 1
            if mode != "flapping":
                await self._hold(links, () if mode == "both" else (Direction(mode),), healing, 0.3, 1.5)
                return
            for _ in range(self._random.randint(3, 6)):
                direction = self._random.choice(((), (Direction.UP,), (Direction.DOWN,)))
                await self._hold(links, direction, self._random.choice(("deliver", "reset")), 0.05, 0.3)
                await self._pause(0.02, 0.15)

    async def _hold(
        self, links: list[Proxy], directions: tuple[Direction, ...], healing: Healing, least: float, most: float
    ) -> None:
        for link in links:
            link.partition(*directions)
        try:
            await self._pause(least, most)
        finally:
            # One by one, so that for a while some are there and some are not.
            for link in self._random.sample(links, len(links)):
                link.heal(healing)
                await asyncio.sleep(0)

    def draw_weather(self) -> None:
        """How the devices' links are in the next round; and one of them is cut at a byte."""
        world = self._world
        links = [world.links[actor.name] for actor in world.actors]
        for link in links:
            late = self._random.choice((0.0, 0.0, 0.003, 0.03))
            link.weather.delay_s = (0.0, late)
            link.weather.bytes_per_s = self._random.choice((None, None, None, 40_000.0))
        if self._random.random() < 0.6:
            done = self._random.choice(links).cut_after(
                self._random.choice(list(Direction)),
                self._random.randint(0, 3000),
                self._random.choice(("reset", "close")),
            )
            done.add_done_callback(self._count_cut)

    def calm(self) -> None:
        """Every link as it should be."""
        for link in self._world.links.values():
            link.weather.delay_s, link.weather.bytes_per_s = (0.0, 0.0), None

    def _count_cut(self, done: asyncio.Future[None]) -> None:
        self._figures.cuts += not done.cancelled()

    # -- what they share ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _struck(self, target: str, what: str, kind: str = "") -> AsyncIterator[None]:
        """Alone at its target, counted, and told of."""
        lock = self._locks.setdefault(target, asyncio.Lock()) if target else contextlib.nullcontext()
        async with lock:
            self._figures.strikes[f"partition, {kind}" if kind else what] += 1
            self.history.append(f"{self._world.log.now:9.3f} s  {what}")
            yield

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._random.uniform(least, most))

    def _fail_over(self, server: FitaiServer) -> None:
        """Sometimes the balancer sends who was there to another server; otherwise they wait for it."""
        others = [other for other in self._world.servers if other is not server]
        if not others or self._random.random() < 0.5:
            return
        for actor in self._world.actors:
            link = self._world.links[actor.name]
            if link.target[1] == server.port:
                link.aim(self._random.choice(others).port)

    async def _serving(self, server: FitaiServer) -> None:
        """Start a server until it serves, however often it takes while its database is struck too."""
        end = time.monotonic() + BACK_S
        while True:
            try:
                await server.start()
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                await server.kill()
            else:
                return


def duplicate_some(world: World, figures: Figures) -> Duplicator:
    """Let the pushes of a phone and of a writer arrive twice: at their server, and at another where there is one."""
    duplicator = Duplicator(lambda: world.servers[-1].port)
    for name in (world.phones[0].name, world.writers[0].name):
        world.links[name].new_tap = duplicator.tap
    return duplicator
