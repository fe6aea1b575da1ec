"""One simulation from one seed: a world is made, lives for some hours, comes to rest, and is judged."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.simulator.bugs import Bugs
from tests.simulator.fence import fence
from tests.simulator.nemesis import Nemesis
from tests.simulator.oracles import Oracles
from tests.simulator.violation import Violation
from tests.simulator.weather import Plan, draw
from tests.simulator.world import World

# Once all faults are over, everything is at one within so many seconds (I15).
REST_S = 900.0
LOOK_EVERY_S = 5.0


@dataclass
class Outcome:
    """What became of a seed. `violation` is the invariant and what was seen, or None; `error` its traceback, if any."""

    seed: int
    plan: Plan
    hash: str = ""
    violation: str | None = None
    at_s: float = 0.0
    device_hours: float = 0.0
    events: int = 0
    edits: int = 0
    pushes: int = 0
    acks: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    options: str = ""
    error: str = ""

    @property
    def line(self) -> str:
        """One line that says what happened and how to see it again."""
        return (
            f"seed={self.seed} invariant={(self.violation or 'none').split(':')[0]} t={self.at_s:.3f}"
            f" {self.violation or ''} replay: python -m tests.simulator --seed {self.seed}{self.options}"
        )


def simulate(
    seed: int,
    *,
    hours: float | None = None,
    without: tuple[str, ...] = (),
    show: Callable[[str], None] | None = None,
) -> Outcome:
    """Run one seed to its end.

    hours: of the world's time, instead of what the seed draws. without: dimensions that are switched off.
    show: gets every line of the log. May be called again and again in one process.
    """
    world_draws = draw_plan(seed, hours)
    plan = world_draws
    for dimension in without:
        plan = plan.without(dimension)
    outcome = Outcome(seed, plan)
    world = World(seed, plan, show)
    try:
        with fence():
            asyncio.set_event_loop(world.loop)
            try:
                world.loop.run_until_complete(_live(world, outcome))
            except RuntimeError:
                # `stop` was called: a callback raised.
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
        outcome.at_s = world.loop.time()
        outcome.hash = world.trace.digest
        outcome.events = world.loop.callbacks
        world.close()
        asyncio.set_event_loop(None)
    return outcome


def draw_plan(seed: int, hours: float | None = None) -> Plan:
    """The plan of a seed."""
    from tests.simulator.randomness import Streams

    plan = draw(Streams(seed).of("plan"))
    return plan if hours is None else replace(plan, hours=hours)


async def _live(world: World, outcome: Outcome) -> None:
    oracles = Oracles(world)
    loop = world.loop
    await world.begin()
    nemesis = Nemesis(world)
    nemesis.rewinds = oracles.rewound
    nemesis.start()
    bugs = Bugs(world, nemesis, oracles.watch, oracles.replaced)
    oracles.sent = bugs.remember
    bugs.start()
    for person in world.persons:
        loop.spawn(None, world.work(person), "user")
    await asyncio.sleep(world.plan.hours * 3_600)
    world.heal()
    await _rest(world, oracles)
    oracles.judge()
    oracles.acked_is_stored()
    oracles.nothing_lost()
    outcome.device_hours = loop.time() / 3_600 * len(world.phones)
    outcome.edits = sum(person.edits for person in world.persons)
    outcome.pushes, outcome.acks = oracles.pushes, oracles.acks
    outcome.faults = dict(world.network.struck + world.exchange.struck + world.faults)


async def _rest(world: World, oracles: Oracles) -> None:
    until = world.loop.time() + REST_S
    while (difference := oracles.disagreement()) is not None:
        if world.loop.time() > until:
            raise Violation("I15", f"not at rest after {REST_S:g} s: {difference}")
        await asyncio.sleep(LOOK_EVERY_S)
