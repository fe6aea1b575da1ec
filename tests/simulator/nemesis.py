"""The nemesis: accidents of machines and paths, each kind by its own clock and its own stream of randomness.

Every accident ends by itself; `World.heal` ends what is left. What belongs to phones and their owners is in bugs.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from tests.simulator.fence import outside
from tests.simulator.network import Path
from tests.simulator.worker import Worker
from tests.simulator.world import World

Strike = Callable[[Random], Awaitable[str | None]]


class Nemesis:
    """What strikes one world. `start` it once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rewinds: Callable[[], None] = lambda: None

    def start(self) -> None:
        accidents, bus, clocks = self.world.plan.accidents, self.world.plan.bus, self.world.plan.clocks
        for name, an_hour, strike in (
            ("partition", accidents.partition, self._partition),
            ("worker crash", accidents.worker_crash, self._worker_crash),
            ("worker pause", accidents.worker_pause, self._worker_pause),
            ("phone crash", accidents.phone_crash, self._phone_crash),
            ("phone pause", accidents.phone_pause, self._phone_pause),
            ("store crash", accidents.store_crash, self._store_crash),
            ("store full", accidents.store_full, self._store_full),
            ("fail over", accidents.fail_over, self._fail_over),
            ("restore", accidents.restore, self._restore),
            ("bus outage", bus.outage, self._bus_outage),
            ("clock step", clocks.step, self._clock_step),
            ("clock freeze", clocks.freeze, self._clock_freeze),
            ("server clock step", clocks.server_step / self.world.plan.hours, self._server_step),
        ):
            if an_hour > 0:
                self.every(name, an_hour, strike)

    def every(self, name: str, an_hour: float, strike: Strike) -> None:
        """Have something strike so often an hour, one after the other."""
        draws = self.world.streams.of(f"fault:{name}")
        self.world.loop.spawn(None, self._strikes(name, draws, an_hour, strike), name)

    async def _strikes(self, name: str, draws: Random, an_hour: float, strike: Strike) -> None:
        world = self.world
        while True:
            await asyncio.sleep(draws.expovariate(an_hour / 3_600))
            if world.calm:
                return
            what = await strike(draws)
            if what is not None:
                world.faults[name] += 1

    def _begins(self, name: str, what: object) -> str:
        self.world.trace.note("fault", name, what)
        return str(what)

    async def _lasts(self, draws: Random, mean_s: float) -> bool:
        """Wait until an accident is over by itself; False where everything was healed meanwhile."""
        await asyncio.sleep(draws.expovariate(1 / mean_s))
        return not self.world.calm

    # -- paths -------------------------------------------------------------------------------------------------------

    async def _partition(self, draws: Random) -> str | None:
        world = self.world
        kind = draws.choice(("phone", "half", "worker", "database", "bus"))
        seconds = world.plan.accidents.partition_s
        if kind in ("database", "bus"):
            worker = draws.choice(world.workers)
            if not worker.is_ready:
                return None
            self._begins(f"{kind} cut", worker.name)
            process = worker.process
            if kind == "database":
                worker.cut_database(silent=draws.random() < 0.5)
            else:
                worker.cut_bus()
            if await self._lasts(draws, seconds) and worker.process is process:
                worker.heal_links()
            return kind
        paths = self._paths(draws, kind)
        self._begins("partition", f"{kind} {paths[0]}")
        # Swizzled: links go one by one, and come back in another order.
        swizzle = draws.random() < 0.3
        for path in paths:
            world.network.cut([path])
            if swizzle:
                await asyncio.sleep(draws.random())
        if not await self._lasts(draws, seconds):
            return kind
        draws.shuffle(paths)
        for path in paths:
            if world.calm:
                break
            world.network.heal([path])
            if swizzle:
                await asyncio.sleep(draws.random())
        return kind

    def _paths(self, draws: Random, kind: str) -> list[Path]:
        world = self.world
        phones, workers = [phone.name for phone in world.phones], [worker.name for worker in world.workers]
        if kind == "phone":
            phones = [draws.choice(phones)]
        elif kind == "half":
            phones = draws.sample(phones, (len(phones) + 1) // 2)
        else:
            workers = [draws.choice(workers)]
        there = [(phone, worker) for phone in phones for worker in workers]
        back = [(worker, phone) for phone in phones for worker in workers]
        if draws.random() < world.plan.accidents.one_way:
            return there if draws.random() < 0.5 else back
        return there + back

    async def _bus_outage(self, draws: Random) -> str:
        exchange = self.world.exchange
        exchange.go_down()
        what = self._begins("bus outage", "")
        if await self._lasts(draws, self.world.plan.bus.outage_s):
            exchange.come_back()
        return what

    # -- machines ----------------------------------------------------------------------------------------------------

    def _a_worker(self, draws: Random) -> Worker | None:
        worker = draws.choice(self.world.workers)
        return worker if worker.process.alive and not worker.process.stopped else None

    async def _worker_crash(self, draws: Random) -> str | None:
        worker = self._a_worker(draws)
        if worker is None:
            return None
        worker.kill(told=draws.random() < 0.5)
        what = self._begins("worker crash", worker.name)
        if await self._lasts(draws, self.world.plan.accidents.worker_down_s):
            worker.boot()
        return what

    async def _worker_pause(self, draws: Random) -> str | None:
        worker = self._a_worker(draws)
        if worker is None:
            return None
        process = worker.process
        process.stopped = True
        what = self._begins("worker pause", worker.name)
        await self._lasts(draws, self.world.plan.accidents.pause_s)
        if process.stopped and process.alive:
            self.world.loop.continue_process(process)
        return what

    async def _phone_crash(self, draws: Random) -> str | None:
        phone = draws.choice(self.world.phones)
        if not phone.is_up:
            return None
        phone.kill()
        what = self._begins("phone crash", phone.name)
        if await self._lasts(draws, self.world.plan.accidents.phone_down_s) and not phone.process.alive:
            phone.boot()
        return what

    async def _phone_pause(self, draws: Random) -> str | None:
        phone = draws.choice(self.world.phones)
        if not phone.is_up:
            return None
        process = phone.process
        process.stopped = True
        what = self._begins("phone pause", phone.name)
        await self._lasts(draws, self.world.plan.accidents.pause_s)
        if process.stopped and process.alive:
            self.world.loop.continue_process(process)
        return what

    # -- the store ---------------------------------------------------------------------------------------------------

    async def _store_crash(self, draws: Random) -> str:
        store = self.world.store
        what = self._begins("store crash", "")
        if draws.random() < 0.5:
            store.crash()
            return what
        store.stop()
        if await self._lasts(draws, self.world.plan.accidents.store_down_s):
            store.start()
        return what

    async def _store_full(self, draws: Random) -> str:
        store = self.world.store
        store.fill_disk()
        what = self._begins("store full", "")
        if await self._lasts(draws, self.world.plan.accidents.store_down_s):
            store.free_disk()
        return what

    async def _fail_over(self, draws: Random) -> str:
        lose = draws.randint(0, self.world.plan.accidents.fail_over_lose)
        with outside():
            lost = self.world.store.fail_over(min(lose, self.world.store.number - self.world.founded))
        what = self._begins("fail over", lost)
        if lost:
            self.rewinds()
        return what

    async def _restore(self, draws: Random) -> str | None:
        """A backup is taken, and some time later it is put in the place of what there is."""
        store = self.world.store
        backup = store.snapshot()
        self.world.trace.note("backup", backup.number)
        if not await self._lasts(draws, 600):
            return None
        with outside():
            store.restore(backup)
        what = self._begins("restore", backup.number)
        self.rewinds()
        return what

    # -- clocks ------------------------------------------------------------------------------------------------------

    async def _clock_step(self, draws: Random) -> str:
        phone = draws.choice(self.world.phones)
        ms = int(draws.gauss(0, 10 ** draws.uniform(3, 9)))
        phone.clock.step(ms)
        return self._begins("clock step", f"{phone.name} {ms}")

    async def _clock_freeze(self, draws: Random) -> str:
        phone = draws.choice(self.world.phones)
        phone.clock.freeze()
        what = self._begins("clock freeze", phone.name)
        await self._lasts(draws, 120)
        phone.clock.thaw()
        return what

    async def _server_step(self, draws: Random) -> str:
        ms = draws.choice((-3_600_000, 3_600_000))
        for worker in self.world.workers:
            worker.clock.step(ms)
        return self._begins("server clock step", ms)
