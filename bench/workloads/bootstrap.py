"""W3 bootstrap: new devices take a space of many records, newest first: one alone, then several at once."""

from __future__ import annotations

import time

from bench.client import BenchError, Home, Server
from bench.load import FILL_BATCH
from bench.workloads.measuring import Cpu, Figures, Sizes, Target, parts_of, together


async def bootstrap(target: Target, sizes: Sizes) -> Figures:
    """W3."""
    server = target.server
    writer = await server.writer()
    for count in parts_of(sizes.records - writer.log.n, FILL_BATCH):
        await writer.push(writer.log.sets(count), writer.log.n)

    devices = [await server.device(writer.home) for _ in range(1 + sizes.readers)]
    first, alone = await _pull(server, writer.home, devices[0], sizes.records)
    target.tick(1)
    cpu, begun = Cpu(target.pid), time.perf_counter()
    await together(_pull(server, writer.home, device, sizes.records) for device in devices[1:])
    seconds = time.perf_counter() - begun
    target.tick(sizes.readers)
    total = sizes.records * sizes.readers
    return {
        "records": sizes.records,
        "readers": sizes.readers,
        "first_page_s": first,
        "alone_s": alone,
        "alone_records_per_s": sizes.records / alone,
        "together_s": seconds,
        "together_records_per_s": total / seconds,
        "cpu_us_per_record": cpu.used_us(total),
    }


def bootstrap_steps(sizes: Sizes) -> int:
    """How many devices pull."""
    return 1 + sizes.readers


async def _pull(server: Server, home: Home, device: str, expected: int) -> tuple[float, float]:
    """Seconds to the first page and to the last."""
    begun, first, held = time.perf_counter(), 0.0, 0
    async for count in server.snapshot(home, device):
        first = first or time.perf_counter() - begun
        held += count
    if held != expected:
        raise BenchError(f"{server.name} gave {held} records of {expected}.")
    return first, time.perf_counter() - begun
