"""What others' pushes take while somebody's long history is worked out: `python -m tests.api.training.measure [SETS]`.

One person pushes, in turn beside nothing, beside a history that is only kept up, and beside one that is looked at.
Whatever else the machine does meets all three alike, so what counts is how they compare.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import Final

import uvloop

from api.server import spare_the_collector
from api.training.histories import LONG, Histories
from storage.database import open_database
from storage.migrations import upgrade
from sync.caller import Caller
from tests.api.training.logbook import AT, Lifter
from tests.services.postgres import postgres
from tests.sync.harness import World

ROUNDS: Final = 8
PUSHES: Final = 25
BESIDE: Final = ("nothing", "one that is kept up", "one that is looked at")


async def log(who: Lifter, sets: int) -> None:
    """Log so many sets of one exercise, which is the longest way to its records."""
    for first in range(0, sets, 900):
        changes = [
            change
            for workout in range(45)
            for change in who.workout(*[(60 + n, 5 + n % 8) for n in range(20)], day=1 + (first + workout) % 28)
        ]
        await who.push(changes)


async def work_out(histories: Histories, who: Lifter, *, looks: bool) -> None:
    """Again and again, until it is cancelled."""
    while True:
        histories.forget(who.user)
        async with histories.of(Caller(who.user, ""), looks=looks):
            pass


async def measure(url: str, sets: int) -> None:
    database = await open_database(url)
    world = await World.make(database)
    histories = Histories(database)
    long, other = await Lifter.make(world), await Lifter.make(world, await world.add_user())
    await log(long, sets)
    _, block, _ = await other.log((60, 5))

    async def push() -> float:
        at = AT.format(day=20, hour=19)
        weight = {"value": 60, "unit": "kg"}
        changes = [
            other.device.put("sets", world.uuid(), workout_exercise=block, reps=5, weight=weight, completed_at=at)
            for _ in range(10)
        ]
        began = time.perf_counter()
        await other.push(changes)
        return time.perf_counter() - began

    times: dict[str, list[float]] = {beside: [] for beside in BESIDE}
    for _ in range(ROUNDS):
        for beside in BESIDE:
            task = None
            if beside != BESIDE[0]:
                task = asyncio.create_task(work_out(histories, long, looks=beside == BESIDE[2]))
                # What comes first is read faster.
                while (kept := histories._kept.get(long.user)) is None or kept.size <= min(LONG, sets // 2):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            times[beside] += [await push() for _ in range(PUSHES)]
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    alone = statistics.median(times[BESIDE[0]])
    for beside, those in times.items():
        median = statistics.median(those)
        sys.stdout.write(f"beside {beside:<22} {median * 1e3:7.1f} ms ({median / alone:.2f} x)\n")
    await world.close()
    await database.close()


def main() -> None:
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with postgres() as server:
        url = server.create_database("measured")
        asyncio.run(upgrade(url))
        spare_the_collector()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(url, sets))


if __name__ == "__main__":
    main()
