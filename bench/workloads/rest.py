"""W8 REST: people at browsers who log sets, look at their history and their figures, and search.

First at the pace of so many people, each request at a moment drawn once and alike for both servers, timed from that
moment on, so that waiting for one's turn counts; then as fast as it goes; then one kind after another, for what each
costs the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from bench.client import BenchError, Server
from bench.people import KINDS, RESTING_EVERY, Kind, Person, Request, known_exercises, new_person
from bench.workloads.measuring import Cpu, Figures, Sizes, Target, in_parts, quantile, together

log = logging.getLogger(__name__)

# Of one kind at once, when each is measured by itself.
_KIND_AT_ONCE = 8


@dataclass
class _Asked:
    """What became of requests: seconds of each that was answered well, and how many were not."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0


class _Crowd:
    """People, and the requests that they make at random."""

    def __init__(self, server: Server, people: Sequence[Person]) -> None:
        self._server = server
        self._training = [each for each in people if each.session is not None]
        self._resting = [each for each in people if each.session is None]
        self._chance = random.Random(8)
        self._turn = itertools.count()
        self._told = False

    def kinds(self, count: int) -> list[Kind]:
        """So many of the mix."""
        kinds = list(KINDS.values())
        return self._chance.choices(kinds, [each.share for each in kinds], k=count)

    def moments(self, count: int, seconds: float) -> list[float]:
        """So many moments of a span, in order."""
        return sorted(self._chance.random() * seconds for _ in range(count))

    async def ask(self, kind: Kind, asked: _Asked, due: float | None = None) -> None:
        """One person makes a request of this kind, which was due at a moment of the wall's clock."""
        people = self._resting if kind.rests else self._training
        person = people[next(self._turn) % len(people)]
        # A second session of one person would be refused.
        async with person.busy if kind.rests else nullcontext():
            request: Request | None = kind.make(person, self._chance)
            while request is not None:
                begun = time.perf_counter() if due is None else due
                try:
                    data = await self._server.rest(request.method, request.path, person.home.token, request.body)
                except BenchError as error:
                    asked.errors += 1
                    self._tell(error)
                    return
                asked.latencies.append(time.perf_counter() - begun)
                due, request = None, request.then(data) if request.then is not None else None

    def _tell(self, error: BenchError) -> None:
        if not self._told:
            self._told = True
            log.warning("The first request that failed, of those that are counted: %s", error)

    async def at_once(self, kinds: Iterator[Kind], many: int) -> _Asked:
        """All of these, so many at any time."""
        asked = _Asked()

        async def one_after_another() -> None:
            for kind in kinds:
                await self.ask(kind, asked)

        await together(one_after_another() for _ in range(many))
        return asked


async def rest(target: Target, sizes: Sizes) -> Figures:
    """W8."""
    people = await _people(target, sizes)
    crowd = _Crowd(target.server, people)
    figures: Figures = {"people": len(people)}

    paced, cpu = _Asked(), Cpu(target.pid)
    await _paced(crowd, paced, sizes, target)
    latencies = paced.latencies or [0.0]
    figures |= {
        "requests": len(paced.latencies),
        "rest_p50_ms": quantile(latencies, 0.50) * 1e3,
        "rest_p95_ms": quantile(latencies, 0.95) * 1e3,
        "rest_p99_ms": quantile(latencies, 0.99) * 1e3,
        "cpu_us_per_request": cpu.used_us(len(latencies)),
    }

    begun = time.perf_counter()
    fast = await crowd.at_once(iter(crowd.kinds(sizes.rest_fast)), sizes.rest_at_once)
    figures["requests_a_minute"] = len(fast.latencies) / (time.perf_counter() - begun) * 60
    errors = paced.errors + fast.errors
    target.tick(sizes.rest_fast)

    for name, kind in KINDS.items():
        cpu = Cpu(target.pid)
        asked = await crowd.at_once(itertools.repeat(kind, sizes.rest_each), _KIND_AT_ONCE)
        figures[cpu_of(name)] = cpu.used_us(max(1, len(asked.latencies)))
        errors += asked.errors
        target.tick(sizes.rest_each)
    return figures | {"errors": errors}


def rest_steps(sizes: Sizes) -> int:
    """How many people there are, and requests."""
    return sizes.people + round(sizes.rest_s * sizes.rest_a_second) + sizes.rest_fast + len(KINDS) * sizes.rest_each


def cpu_of(kind: str) -> str:
    """The figure of what one kind of request costs the server."""
    return f"cpu_us_{kind.replace(' ', '_')}"


async def _people(target: Target, sizes: Sizes) -> list[Person]:
    server, chance = target.server, random.Random(5)
    exercises = await known_exercises(server, await server.home())

    async def one(number: int) -> Person:
        # The first ones have trained for years.
        workouts = sizes.years_workouts if number < sizes.veterans else sizes.months_workouts
        person = await new_person(
            server, exercises, workouts, chance, trains=number % RESTING_EVERY != RESTING_EVERY - 1
        )
        target.tick(1)
        return person

    return await in_parts(one, sizes.people)


async def _paced(crowd: _Crowd, asked: _Asked, sizes: Sizes, target: Target) -> None:
    count = max(1, round(sizes.rest_s * sizes.rest_a_second))
    moments, kinds = crowd.moments(count, sizes.rest_s), crowd.kinds(count)
    under_way: set[asyncio.Task[None]] = set()
    begun = time.perf_counter()
    try:
        for moment, kind in zip(moments, kinds, strict=True):
            due = begun + moment
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(crowd.ask(kind, asked, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            target.tick(1)
        await asyncio.gather(*under_way)
    finally:
        for task in under_way:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*under_way, return_exceptions=True)
