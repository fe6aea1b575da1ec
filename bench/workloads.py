"""The workloads: what is done to a server, and what is measured of it.

Owns: the sizes, the order of preparing, running and checking, and the figures. Refuses to know: which server it is.

Invariants
    W1  Whatever is prepared (accounts, batches as bytes) is prepared before the clock runs.
    W2  A figure counts only what was acknowledged or received; less than was asked for ends the run.
    W3  Both servers get the same work of the same size.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.client import BenchError, Home, Server, Writer
from bench.device import run_step
from bench.load import RECORDS_A_TRAINING
from bench.processes import cpu_s, settled_bytes

# A user may have 64 live devices; one is left for whoever looks on.
DEVICES_A_USER: Final = 60
# Sockets opened at once, below every listen backlog.
OPENING: Final = 50


@dataclass(frozen=True)
class Sizes:
    """How much each workload does."""

    devices: int = 20
    batches: int = 50
    batch: int = 100
    records: int = 10_000
    readers: int = 5
    sockets: int = 1_000
    idle_s: float = 5.0
    device_records: int = 60_000
    start_records: int = 100_000

    def scaled(self, factor: float) -> Sizes:
        """The same shape, smaller or larger; a batch stays a batch, except in the tiniest runs."""
        if factor == 1:
            return self

        def scale(number: int, least: int) -> int:
            return max(least, round(number * factor))

        return Sizes(
            devices=scale(self.devices, 2),
            batches=scale(self.batches, 2),
            batch=self.batch if factor >= 0.1 else scale(self.batch, 10),
            records=scale(self.records, 100),
            readers=self.readers,
            sockets=scale(self.sockets, 10),
            idle_s=self.idle_s * min(1.0, factor),
            device_records=scale(self.device_records, 1_000),
            start_records=scale(self.start_records, 2_000),
        )


@dataclass(frozen=True)
class Target:
    """A server with its process, where that is on this machine."""

    server: Server
    pid: int | None = None


# The figures of one run: a number, or None where it cannot be known.
Figures = dict[str, float | int | None]


async def push(target: Target, sizes: Sizes) -> Figures:
    """W1: every device pushes its batches one after another, all devices at once; an ack means durable."""
    server = target.server
    writers = [await server.writer() for _ in range(sizes.devices)]
    bodies = [[(writer.log.sets(sizes.batch), writer.log.n) for _ in range(sizes.batches)] for writer in writers]
    latencies: list[float] = []

    async def run(writer: Writer, batches: Sequence[tuple[bytes, int]]) -> None:
        for body, n in batches:
            begun = time.perf_counter()
            await writer.push(body, n)
            latencies.append(time.perf_counter() - begun)

    cpu, begun = cpu_s(target.pid), time.perf_counter()
    await _together(run(writer, batches) for writer, batches in zip(writers, bodies, strict=True))
    seconds = time.perf_counter() - begun
    used = _since(cpu, target.pid)

    held = sum([count async for count in server.snapshot(writers[0].home, writers[0].log.device)])
    if held != writers[0].log.n:
        raise BenchError(f"{server.name} shows {held} records of {writers[0].log.n} that it acknowledged.")
    sets = sizes.devices * sizes.batches * sizes.batch
    return {
        "sets": sets,
        "seconds": seconds,
        "sets_per_s": sets / seconds,
        "cpu_s": used,
        "cpu_us_per_set": None if used is None else used / sets * 1e6,
        "push_p50_ms": _quantile(latencies, 0.50) * 1e3,
        "push_p99_ms": _quantile(latencies, 0.99) * 1e3,
    }


async def bootstrap(target: Target, sizes: Sizes) -> Figures:
    """W3: new devices pull a space of many records, newest first: one alone, then several at once."""
    server = target.server
    writer = await server.writer()
    while writer.log.n < sizes.records:
        body = writer.log.sets(min(1_000, sizes.records - writer.log.n))
        await writer.push(body, writer.log.n)

    devices = [await server.device(writer.home) for _ in range(1 + sizes.readers)]
    first, alone = await _pull(server, writer.home, devices[0], sizes.records)
    cpu, begun = cpu_s(target.pid), time.perf_counter()
    await _together(_pull(server, writer.home, device, sizes.records) for device in devices[1:])
    seconds = time.perf_counter() - begun
    used, total = _since(cpu, target.pid), sizes.records * sizes.readers
    return {
        "records": sizes.records,
        "readers": sizes.readers,
        "first_page_s": first,
        "alone_s": alone,
        "alone_records_per_s": sizes.records / alone,
        "together_s": seconds,
        "together_records_per_s": total / seconds,
        "cpu_us_per_record": None if used is None else used / total * 1e6,
    }


async def _pull(server: Server, home: Home, device: str, expected: int) -> tuple[float, float]:
    """Seconds to the first page and to the last."""
    begun, first, held = time.perf_counter(), 0.0, 0
    async for count in server.snapshot(home, device):
        first = first or time.perf_counter() - begun
        held += count
    if held != expected:
        raise BenchError(f"{server.name} gave {held} records of {expected}.")
    return first, time.perf_counter() - begun


async def idle(target: Target, sizes: Sizes) -> Figures:
    """W4: sockets that say nothing, each of its own device; what one costs in memory, and all of them in time."""
    server = target.server
    # The first sockets load what all of them share, and stay: what they gave back would be taken again unseen.
    seats = await _seats(server, sizes.sockets + DEVICES_A_USER)
    sockets = await _open(server, seats[:DEVICES_A_USER])
    seats = seats[DEVICES_A_USER:]
    try:
        before = await settled_bytes(target.pid)
        sockets += await _open(server, seats)
        after = await settled_bytes(target.pid)
        cpu, begun = cpu_s(target.pid), time.perf_counter()
        ended, _ = await asyncio.wait(sockets, timeout=sizes.idle_s, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
        used, seconds = _since(cpu, target.pid), time.perf_counter() - begun
    finally:
        await _close(sockets)
    grown = None if before is None or after is None else (after - before) / len(seats)
    return {
        "sockets": len(seats),
        "memory_before_kib": None if before is None else before / 1024,
        "kib_per_socket": None if grown is None else grown / 1024,
        "cpu_percent": None if used is None else used / seconds * 100,
    }


async def device(target: Target, sizes: Sizes) -> Figures:
    """The SDK on a device: a first sync beside reads, single writes, and the start with a full database."""
    server = target.server
    writer = await server.writer()
    with tempfile.TemporaryDirectory(prefix="fitai-bench-device-") as folder:

        async def step(name: str) -> Figures:
            records, home = writer.log.n, writer.home
            try:
                return await asyncio.to_thread(
                    run_step,
                    name,
                    server=server.url,
                    email=home.email,
                    password=home.password,
                    records=records,
                    folder=Path(folder),
                )
            except RuntimeError as error:
                raise BenchError(str(error)) from None

        await _train(writer, sizes.device_records)
        figures = await step("bootstrap")
        figures |= await step("write")
        await _train(writer, sizes.start_records)
        await step("bootstrap")
        return figures | await step("start")


async def _train(writer: Writer, records: int) -> None:
    """Push whole workouts until the space holds so many records."""
    while (missing := records - writer.log.n) > 0:
        workouts = max(1, min(1_000, missing) // RECORDS_A_TRAINING)
        await writer.push(writer.log.training(workouts), writer.log.n)


async def _seats(server: Server, count: int) -> list[tuple[Home, str]]:
    seats: list[tuple[Home, str]] = []
    while len(seats) < count:
        home = await server.home()
        devices = min(DEVICES_A_USER, count - len(seats))
        seats += [(home, await server.device(home)) for _ in range(devices)]
    return seats


async def _open(server: Server, seats: Sequence[tuple[Home, str]]) -> list[asyncio.Task[None]]:
    opened: list[asyncio.Task[None]] = []
    try:
        for start in range(0, len(seats), OPENING):
            opened += await _together(server.open_socket(*seat) for seat in seats[start : start + OPENING])
    except BaseException:
        await _close(opened)
        raise
    return opened


async def _close(sockets: Sequence[asyncio.Task[None]]) -> None:
    for task in sockets:
        task.cancel()
    await asyncio.gather(*sockets, return_exceptions=True)


async def _together(work: Any) -> list[Any]:
    """Run all at once; the first failure ends the others and is raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _since(cpu: float | None, pid: int | None) -> float | None:
    now = cpu_s(pid)
    return None if cpu is None or now is None else now - cpu


def _quantile(values: Sequence[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


Workload = Callable[[Target, Sizes], Awaitable[Figures]]


@dataclass(frozen=True)
class Kind:
    """A workload with what is compared, by figure.

    once: a second round on the same server would measure something else. alone: it has no bare limit; its figures are
    judged by themselves.
    """

    title: str
    run: Workload
    compared: dict[str, Comparison]
    once: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Comparison:
    """How a figure is judged: as a ratio to the bare limit, or, where `limit` says so, by itself.

    higher: whether more is better. reach: the ratio to reach, by database. limit: the absolute figure to keep.
    """

    label: str
    higher: bool
    reach: float | None = None
    limit: float | None = None


# Idle comes first whatever order is asked for, and once: a process takes memory that it freed before without asking
# the kernel, so sockets after other work seem to cost nothing.
WORKLOADS: Final[dict[str, Kind]] = {
    "W4": Kind(
        "idle sockets",
        idle,
        {
            "kib_per_socket": Comparison("KiB a socket", higher=False, limit=20.0),
            "cpu_percent": Comparison("CPU %", higher=False),
        },
        once=True,
    ),
    "W1": Kind(
        "push",
        push,
        {
            "sets_per_s": Comparison("sets/s", higher=True, reach=0.5),
            "cpu_us_per_set": Comparison("server CPU µs a set", higher=False, reach=2.0),
            "push_p50_ms": Comparison("push p50 ms", higher=False),
            "push_p99_ms": Comparison("push p99 ms", higher=False),
        },
    ),
    "W3": Kind(
        "bootstrap",
        bootstrap,
        {
            "alone_records_per_s": Comparison("records/s, one device", higher=True, reach=0.8),
            "together_records_per_s": Comparison("records/s, all at once", higher=True, reach=0.8),
            "first_page_s": Comparison("first page s", higher=False, limit=0.3),
            "cpu_us_per_record": Comparison("server CPU µs a record", higher=False),
        },
    ),
    "device": Kind(
        "the SDK",
        device,
        {
            "first_screen_s": Comparison("first screen s", higher=False, limit=0.3),
            "applied_s": Comparison("all records s", higher=False, limit=5.0),
            "slowest_read_ms": Comparison("slowest read meanwhile ms", higher=False, limit=50.0),
            "memory_mib": Comparison("memory MiB", higher=False, limit=150.0),
            "writes_s": Comparison("1,000 single writes s", higher=False, limit=1.0),
            "start_s": Comparison("start when full s", higher=False, limit=0.2),
        },
        alone=True,
    ),
}


# What is done where nobody names anything: what compares two servers.
USUAL: Final = tuple(sorted(name for name, kind in WORKLOADS.items() if not kind.alone))


def sizes_shown(sizes: Sizes) -> dict[str, Any]:
    """The sizes as plain JSON."""
    return asdict(sizes)
