"""What every workload shares: the sizes, the server under load, and how work is done at once and measured.

Owns: how much each workload does, and what a figure is. Refuses to know: any workload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.client import Server
from bench.processes import cpu_s

# A user may have 64 live devices; one is left for whoever looks on.
DEVICES_A_USER: Final = 60
# Sockets opened at once, below every listen backlog.
OPENING: Final = 50
# Accounts and devices made at once: a server has only so many threads for passwords.
MAKING: Final = 4

# The figures of one run: a number, or None where it cannot be known.
Figures = dict[str, float | int | None]
T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """How much each workload does."""

    devices: int = 20
    batches: int = 50
    batch: int = 100
    # Sets that each device of W1b has before it edits them, over and over.
    edited: int = 500
    live_users: int = 100
    live_s: float = 20.0
    # What has not come by then, after the last set was written, counts as lost.
    late_s: float = 10.0
    records: int = 10_000
    readers: int = 5
    sockets: int = 1_000
    sockets_many: int = 10_000
    idle_s: float = 5.0
    conflicts: int = 500
    singles_devices: int = 64
    singles: int = 50
    # A space holds a million records; what is left is for the pushes that are measured.
    history: tuple[int, ...] = (1_000, 10_000, 100_000, 980_000)
    probes: int = 40
    device_records: int = 60_000
    start_records: int = 100_000
    people: int = 1_000
    # Of them so many have trained for five years, the others for some weeks.
    veterans: int = 10
    years_workouts: int = 1_000
    months_workouts: int = 20
    rest_s: float = 60.0
    rest_a_second: float = 200.0
    rest_fast: int = 6_000
    rest_at_once: int = 32
    rest_each: int = 200
    searches: int = 560
    import_sets: int = 7_211
    live_sets: int = 150

    def scaled(self, factor: float) -> Sizes:
        """The same shape, smaller or larger; a batch stays a batch, except in the tiniest runs."""
        if factor == 1:
            return self

        def scale(number: int, least: int) -> int:
            return max(least, round(number * factor))

        # However large the run, a space holds no more; however small, it grows.
        most = max(self.history)
        history = sorted({min(most, scale(size, 60 * (place + 1))) for place, size in enumerate(self.history)})
        return Sizes(
            devices=scale(self.devices, 2),
            batches=scale(self.batches, 2),
            batch=self.batch if factor >= 0.1 else scale(self.batch, 10),
            edited=scale(self.edited, 20),
            live_users=scale(self.live_users, 2),
            live_s=max(1.0, self.live_s * min(1.0, factor)),
            late_s=self.late_s,
            records=scale(self.records, 100),
            readers=self.readers,
            sockets=scale(self.sockets, 10),
            sockets_many=scale(self.sockets_many, 20),
            idle_s=self.idle_s * min(1.0, factor),
            conflicts=scale(self.conflicts, 10),
            singles_devices=scale(self.singles_devices, 4),
            singles=scale(self.singles, 5),
            history=tuple(history),
            probes=scale(self.probes, 3),
            device_records=scale(self.device_records, 1_000),
            start_records=scale(self.start_records, 2_000),
            people=scale(self.people, 10),
            veterans=scale(self.veterans, 1),
            years_workouts=scale(self.years_workouts, 10),
            months_workouts=scale(self.months_workouts, 2),
            rest_s=max(1.0, self.rest_s * min(1.0, factor)),
            rest_a_second=self.rest_a_second if factor >= 0.1 else max(10.0, self.rest_a_second * factor),
            rest_fast=scale(self.rest_fast, 60),
            rest_at_once=scale(self.rest_at_once, 4),
            rest_each=scale(self.rest_each, 4),
            searches=scale(self.searches, 10),
            import_sets=scale(self.import_sets, 30),
            live_sets=scale(self.live_sets, 6),
        )

    def as_json(self) -> dict[str, Any]:
        """The sizes as plain JSON."""
        return {name: list(size) if isinstance(size, tuple) else size for name, size in asdict(self).items()}

    def at_least(self, other: Sizes) -> bool:
        """True where no size is below that of `other`."""
        mine, theirs = asdict(self), asdict(other)
        return all(mine[name] >= theirs[name] for name in theirs)


def _ignored(_: int) -> None:
    return


@dataclass(frozen=True)
class Target:
    """A server with its process, where that is on this machine. `tick` is told of each step that is done.

    import_file: a log of another app for W8b; one is made where there is none.
    """

    server: Server
    pid: int | None = None
    tick: Callable[[int], None] = _ignored
    import_file: Path | None = None


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; the first failure ends the others and is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_parts(make: Callable[[int], Awaitable[T]], count: int) -> list[T]:
    """`make(0)` to `make(count - 1)`, some of them at once."""
    made: list[T] = []

    async def one(number: int) -> T:
        return await make(number)

    for start in range(0, count, MAKING):
        made += await together(one(number) for number in range(start, min(start + MAKING, count)))
    return made


class Cpu:
    """The processor time that a server's process uses from now on."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._before = cpu_s(pid)

    def used_s(self) -> float | None:
        """Seconds since it was made, all threads together; None where nobody knows."""
        now = cpu_s(self._pid)
        return None if self._before is None or now is None else now - self._before

    def used_us(self, count: int) -> float | None:
        """Microseconds for each of `count` things."""
        used = self.used_s()
        return None if used is None else used / count * 1e6


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a share `q` of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


def parts_of(total: int, most: int) -> Iterator[int]:
    """`total` in parts of at most `most`."""
    while total > 0:
        yield min(most, total)
        total -= most
