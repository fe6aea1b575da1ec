"""One world: its machines, its people and what happens to them, from a plan and a seed."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from storage.errors import StorageError
from sync.limits import Limits
from tests.client_sdk.witness import Witness
from tests.simulator.bus import Exchange
from tests.simulator.clock import Clock
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.network import Network
from tests.simulator.people import People, add_mallory, draw_people, move_in
from tests.simulator.phone import Phone
from tests.simulator.randomness import Streams
from tests.simulator.signing_in import keep_signed_in
from tests.simulator.store import SimStore, StoreFaults, migrated, without_faults
from tests.simulator.trace import Trace
from tests.simulator.user import FOLLOWED, Person
from tests.simulator.weather import Plan
from tests.simulator.worker import Worker

DAY_MS = 86_400_000


class World:
    """Everything that there is. Make it outside of the fence, and `close` it there."""

    def __init__(self, seed: int, plan: Plan, show: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.plan = plan
        self.streams = Streams(seed)
        self.loop = VirtualLoop()
        self.trace = Trace(self.loop.time, show)
        shm = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(prefix="simulator", dir=shm if shm.is_dir() else None)
        self.folder = Path(self._folder.name)
        self.network = Network(self.loop, self.streams.of("net"), plan.network)
        self.exchange = Exchange(self.loop, self.streams.of("bus"), plan.bus)
        weather = plan.store
        self.store = SimStore.open(
            migrated(),
            self.streams.of("store"),
            StoreFaults(
                latency_s=weather.latency_s,
                abort=weather.abort,
                ambiguous=weather.ambiguous,
                timeout=weather.timeout,
                timeout_s=5.0,
                no_connection=weather.no_connection,
                disk_full=weather.disk_full,
            ),
        )
        self.server_clock = Clock(self.loop.time)
        self.limits = Limits(
            page_records_max=plan.config.page,
            batch_changes_max=plan.config.batch,
            delta_records_max=plan.config.delta,
            ids_max=plan.config.ids,
            mass_delete_records=plan.config.mass_delete,
            # In some worlds an account's list of devices fills up now and then.
            devices_max=self.streams.of("devices").choice((16, 64, 64)),
        )
        self.workers = [self._worker(n) for n in range(plan.workers)]
        self.witness = Witness(FOLLOWED)
        self.people: People = draw_people(self.streams.of("people"), plan.users, plan.shared)
        if plan.malice:
            add_mallory(self.people, self.streams.of("malice"))
        self.persons = [
            Person(user, self.streams.of(f"work:{n}"), plan.work, self.witness)
            for n, user in enumerate(self.people.users)
        ]
        self.phones: list[Phone] = []
        for n, user in enumerate(self.people.users):
            for m in range(plan.devices[n]):
                self.add_phone(user.id, f"u{n}p{m}")
        # Machines that are down, and when they come back.
        self.faults: Counter[str] = Counter()
        self.calm = False
        self.edits_left: int | None = None
        self.founded = 0

    def _worker(self, n: int) -> Worker:
        clock = Clock(self.loop.time, offset_ms=self.streams.of("clock:workers").randint(-2_500, 2_500))
        return Worker(
            f"w{n}",
            self.loop,
            self.network,
            self.exchange,
            self.store,
            clock,
            self.streams.of(f"entropy:w{n}"),
            self.limits,
            self.plan.work,
        )

    def add_phone(self, user: str, name: str) -> Phone:
        """One more phone of an account; it is not switched on."""
        draws = self.streams.of(f"clock:{name}")
        phone = Phone(
            name,
            next(one for one in self.people.users if one.id == user),
            self.folder / f"{name}.db",
            self.loop,
            self.network,
            self._clock(draws),
            self.streams.of(f"entropy:{name}"),
            self._balance,
        )
        self.phones.append(phone)
        return phone

    def _clock(self, draws: Random) -> Clock:
        weather = self.plan.clocks
        offset = int(draws.gauss(0, weather.spread_ms)) if weather.spread_ms else 0
        if draws.random() < weather.wild:
            offset += draws.choice((-1, 1)) * int(DAY_MS * 7_300 ** draws.random())
        return Clock(self.loop.time, offset_ms=offset, drift_ppm=draws.uniform(-1, 1) * weather.drift_ppm)

    def _balance(self) -> Worker:
        return self.network.draws.choice(self.workers)

    # -- life --------------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Move the people in and switch everything on."""
        faults, self.store.faults = self.store.faults, without_faults(self.store.faults)
        await move_in(self.store.database("setup"), self.people)
        self.store.faults = faults
        # What was before anybody could push is never lost: a world without its accounts promises nothing.
        self.founded = self.store.number
        for worker in self.workers:
            worker.boot()
        await asyncio.sleep(0.1)
        for phone in self.phones:
            self.hand_over(phone)

    def hand_over(self, phone: Phone) -> None:
        """Switch a phone on for the first time; its owner looks after it from now on."""
        phone.boot()
        draws = self.streams.of(f"owner:{phone.name}")
        self.loop.spawn(None, keep_signed_in(phone, self.loop, self.trace, draws), "owner")

    async def work(self, person: Person) -> None:
        """A user's edits, until everything is calm."""
        mine = [phone for phone in self.phones if phone.user == person.user.id]
        while True:
            await asyncio.sleep(person.draws.expovariate(person.work.edits / 3_600))
            if self.calm or self.edits_left == 0:
                return
            up = [phone for phone in mine if phone.is_up]
            if up:
                phone = person.draws.choice(up)
                if (decided := person.decide(phone)) is not None:
                    self.trace.note("decides", phone.name, decided)
                what = person.act(phone)
                if what is not None:
                    if self.edits_left is not None:
                        self.edits_left -= 1
                    self.trace.note("edit", phone.name, what)

    def unexpected(self, error: BaseException) -> None:
        """Somebody caught an exception that they did not know, and went on: a fault of the product or of this world,
        unless it is the database's."""
        if not (isinstance(error, StorageError) and error.retryable):
            self.loop.broke(error)

    def heal(self) -> None:
        """Every fault ends, and everything that is down comes back."""
        self.calm = True
        self.network.calm()
        self.exchange.calm()
        self.store.faults = without_faults(self.store.faults)
        self.store.is_full = False
        self.store.start()
        for worker in self.workers:
            if worker.process.alive:
                worker.heal_links()
            self._let_go_on(worker.process)
            if not worker.process.alive:
                worker.boot()
        for phone in self.phones:
            phone.clock.thaw()
            self._let_go_on(phone.process)
            if not phone.process.alive:
                phone.boot()

    def _let_go_on(self, process: Process) -> None:
        if process.stopped and process.alive:
            self.loop.continue_process(process)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill(told=False)
        for phone in self.phones:
            phone.kill()
        self.loop.bury()
        self.store.close()
        self._folder.cleanup()
