"""W7 growth: what a push and a pull cost as one user's history grows, up to what a space may hold.

The history comes through the push path like any other, a thousand changes at a time. At each size the same small
requests are timed: they should cost the same, whatever lies below them.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable
from typing import Final

from bench.client import BenchError, Writer
from bench.load import FILL_BATCH, RECORDS_A_TRAINING
from bench.workloads.measuring import Cpu, Figures, Sizes, Target

# What one probe pushes: sets of a workout that has just begun, and edits of sets from all over the history.
PROBED: Final = 10
REMEMBERED: Final = 20
KINDS: Final = ("push", "edit", "pull", "first_page")


async def growth(target: Target, sizes: Sizes) -> Figures:
    """W7."""
    writer = await target.server.writer()
    chance = random.Random(7)
    known: list[str] = []
    figures: Figures = {}
    for size in sizes.history:
        await _grow(target, writer, size, known)
        for name, value in (await _probe(target, writer, sizes.probes, known, chance)).items():
            figures[figure_at(name, size)] = value
    held = sum([count async for count in target.server.snapshot(writer.home, writer.log.device)])
    if held != writer.log.made:
        raise BenchError(f"{target.server.name} shows {held} records of {writer.log.made} that it acknowledged.")
    first, last = sizes.history[0], sizes.history[-1]
    for kind in KINDS:
        before, after = (figures[figure_at(f"{kind}_ms", size)] for size in (first, last))
        figures[f"{kind}_growth"] = after / before if before and after is not None else None
    return figures | {"records": held}


def growth_steps(sizes: Sizes) -> int:
    """How many records the history gets."""
    return sizes.history[-1]


def figure_at(name: str, size: int) -> str:
    """The name of a figure at one size of the history."""
    return f"{name}_at_{size}"


async def _grow(target: Target, writer: Writer, size: int, known: list[str]) -> None:
    """Push whole workouts until there are `size` records; some sets of each batch are remembered in `known`."""
    while (missing := size - writer.log.made) > 0:
        before = writer.log.made
        workouts = max(1, min(FILL_BATCH, missing) // RECORDS_A_TRAINING)
        await writer.push(writer.log.training(workouts), writer.log.n)
        known += writer.log.ids[:: max(1, len(writer.log.ids) // REMEMBERED)]
        target.tick(writer.log.made - before)


async def _probe(target: Target, writer: Writer, count: int, known: list[str], chance: random.Random) -> Figures:
    """The median time of each kind of request, and the server's processor time of a push."""
    server, home, log = target.server, writer.home, writer.log
    device = await server.device(home)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}

    async def timed(kind: str, work: Awaitable[object]) -> None:
        begun = time.perf_counter()
        await work
        times[kind].append(time.perf_counter() - begun)

    await writer.push(log.workout(), log.n)
    pushes = [(log.sets(PROBED), log.n) for _ in range(count)]
    edits = [(log.edits(chance.sample(known, min(PROBED, len(known))), {}), log.n) for _ in range(count)]
    cursors: list[str] = []
    cpu = Cpu(target.pid)
    for body, n in pushes:
        await timed("push", _pushed(writer, body, n, cursors))
    used = cpu.used_us(count)
    for _ in range(count):
        # What the last push brought, and no more.
        await timed("pull", server.pull(home, device, cursors[-2]))
        await timed("first_page", server.first_page(home, device))
    for body, n in edits:
        await timed("edit", writer.push(body, n))
    made: Figures = {f"{kind}_ms": statistics.median(values) * 1e3 for kind, values in times.items()}
    return made | {"cpu_us_per_push": used}


async def _pushed(writer: Writer, body: bytes, n: int, cursors: list[str]) -> None:
    cursors.append(await writer.push(body, n))
