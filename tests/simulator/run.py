"""One simulation from one seed: a world is made, lives for some hours, comes to rest, and is judged."""

from __future__ import annotations

import asyncio
import gc
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.simulator.bugs import Bugs
from tests.simulator.fence import fence
from tests.simulator.malice import Malice
from tests.simulator.mishaps import draw_mishaps, start_mishaps
from tests.simulator.nemesis import Nemesis
from tests.simulator.oracles import Oracles
from tests.simulator.owners import none_of_it_is_taken
from tests.simulator.phone import Phone
from tests.simulator.randomness import Streams
from tests.simulator.tidying import Tidying
from tests.simulator.violation import Violation
from tests.simulator.weather import Plan, draw
from tests.simulator.world import World

# Once all faults are over, everything is at one within so many seconds, and some for each page that there is (I15).
REST_S = 600.0
PAGE_S = 2.0
LOOK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """What of a seed's world is taken otherwise than drawn.

    hours: of the world's time. without: dimensions that are switched off. phones: at most so many in all. edits: the
    users stop after so many.
    """

    hours: float | None = None
    without: tuple[str, ...] = ()
    phones: int | None = None
    edits: int | None = None

    def applied(self, plan: Plan) -> Plan:
        """The plan with these options."""
        for dimension in self.without:
            plan = plan.without(dimension)
        if self.phones is not None:
            left, devices = self.phones, []
            for wanted in plan.devices:
                devices.append(min(wanted, left))
                left -= devices[-1]
            plan = replace(plan, devices=tuple(devices))
        return plan if self.hours is None else replace(plan, hours=self.hours)

    def __str__(self) -> str:
        parts = [f" --without {dimension}" for dimension in self.without]
        for name in ("hours", "phones", "edits"):
            value = getattr(self, name)
            if value is not None:
                parts.append(f" --{name} {value:g}" if name == "hours" else f" --{name} {value}")
        return "".join(parts)


@dataclass
class Outcome:
    """What became of a seed. `violation` is the invariant and what was seen, or None; `error` its traceback, if any."""

    seed: int
    options: Options
    hash: str = ""
    violation: str | None = None
    at_s: float = 0.0
    device_hours: float = 0.0
    events: int = 0
    edits: int = 0
    pushes: int = 0
    acks: int = 0
    commits: int = 0
    cpu_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def invariant(self) -> str:
        """The broken one's number, or `none`."""
        return (self.violation or "none").partition(":")[0]

    @property
    def line(self) -> str:
        """One line that says what happened and how to see it again."""
        broken = f" invariant={self.invariant}" if self.violation else ""
        what = f" {self.violation}" if self.violation else ""
        return f"seed={self.seed}{broken} t={self.at_s:.3f}{what} replay: {self.replay}"

    @property
    def replay(self) -> str:
        """The command that runs the same world again."""
        return f"python -m tests.simulator --seed {self.seed}{self.options}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "device_hours": round(self.device_hours, 2), "cpu_s": round(self.cpu_s, 2)}


def simulate(
    seed: int,
    *,
    hours: float | None = None,
    options: Options | None = None,
    show: Callable[[str], None] | None = None,
) -> Outcome:
    """Run one seed to its end. May be called again and again in one process.

    hours: of the world's time, in place of what the seed draws. options: what else is taken otherwise.
    show: gets every line of the log.
    """
    options = options or Options(hours=hours)
    outcome = Outcome(seed, options)
    began = time.process_time()
    with _rarely_collecting():
        _play(outcome, options, show)
    outcome.cpu_s = time.process_time() - began
    return outcome


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """A world makes garbage by the million, next to none of it in cycles: looking for those took a twentieth."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _play(outcome: Outcome, options: Options, show: Callable[[str], None] | None) -> None:
    seed = outcome.seed
    world = World(seed, options.applied(draw_plan(seed)), show)
    world.edits_left = options.edits
    oracles = Oracles(world)
    try:
        with fence(world.unexpected):
            asyncio.set_event_loop(world.loop)
            try:
                world.loop.run_until_complete(_live(world, oracles))
            except RuntimeError:
                # `stop` was called, since a callback raised.
                if world.loop.error is None:
                    raise
            if world.loop.error is not None:
                raise world.loop.error
    except Violation as violation:
        outcome.violation = str(violation)
    except Exception as error:  # noqa: BLE001 - a crash of anything is a finding
        outcome.violation = f"crash: {type(error).__name__}: {error}"
        outcome.error = traceback.format_exc()
    finally:
        _count(outcome, world, oracles)
        world.close()
        asyncio.set_event_loop(None)


def draw_plan(seed: int) -> Plan:
    """The plan of a seed, as it is drawn."""
    streams = Streams(seed)
    return replace(draw(streams.of("plan")), mishaps=draw_mishaps(streams.of("mishaps")))


def _count(outcome: Outcome, world: World, oracles: Oracles) -> None:
    outcome.at_s = world.loop.time()
    outcome.hash = world.trace.digest
    outcome.events = world.loop.callbacks
    # A clone counts from its first moment.
    outcome.device_hours = sum(world.loop.time() - phone.since_s for phone in world.phones) / 3_600
    outcome.edits = sum(person.edits for person in world.persons)
    outcome.pushes, outcome.acks, outcome.commits = oracles.pushes, oracles.acks, oracles.shadow.commits
    struck = world.network.struck + world.exchange.struck + world.faults + Counter(world.store.struck)
    outcome.faults = dict(sorted(struck.items()))


async def _live(world: World, oracles: Oracles) -> None:
    loop = world.loop
    await world.begin()
    nemesis = Nemesis(world)
    tidying = Tidying(world, world.streams.of("tidying"))
    for phone in world.phones:
        tidying.watch(phone)

    def watch(phone: Phone) -> None:
        oracles.watch(phone)
        tidying.watch(phone)

    bugs = Bugs(world, nemesis, watch, tidying, oracles.replaced)
    oracles.sent = bugs.remember

    def rewound() -> None:
        oracles.rewound()
        bugs.discarded.look()

    nemesis.rewinds = rewound
    nemesis.start()
    if world.people.mallory is not None:
        Malice(world, world.people.mallory, world.streams.of("malice"), oracles.mallory_hears).start()
    bugs.start()
    start_mishaps(world, nemesis, bugs, oracles)
    for person in world.persons:
        loop.spawn(None, world.work(person), "user")
    await asyncio.sleep(world.plan.hours * 3_600)
    oracles.judge()
    world.heal()
    for phone in world.phones:
        phone.signed_out = False
    await _rest(world, oracles)
    oracles.judge()
    oracles.acked_is_stored()
    oracles.nothing_lost()
    if oracles.shadow.groups_are_whole:
        none_of_it_is_taken(world, oracles.refused)


async def _rest(world: World, oracles: Oracles) -> None:
    records = world.store.query("SELECT COUNT(*) FROM records")[0][0]
    limit_s = REST_S + PAGE_S * records / world.plan.config.page
    until = world.loop.time() + limit_s
    while (difference := oracles.disagreement()) is not None:
        if world.loop.time() > until:
            raise Violation("I15", f"not at rest after {limit_s:g} s: {difference}")
        await asyncio.sleep(LOOK_EVERY_S)
