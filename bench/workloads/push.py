"""W1 push, W1b update and W6 single: devices that send what they have, and wait until it is durable."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.client import BenchError, Home, Writer
from bench.load import FILL_BATCH, Log
from bench.workloads.measuring import Cpu, Figures, Sizes, Target, in_parts, parts_of, quantile, together

# A batch as bytes, and the number of its last change.
Batch = tuple[bytes, int]
# Of the sets that W1b edits, another device has edited each tenth one meanwhile.
CONCURRENT_EVERY = 10


async def push(target: Target, sizes: Sizes) -> Figures:
    """W1: every device pushes its batches one after another, all devices at once; an ack means durable."""
    writers = await _writers(target, sizes.devices)
    batches = [[_of(writer.log, writer.log.sets(sizes.batch)) for _ in range(sizes.batches)] for writer in writers]
    figures = await _pushed(target, writers, batches, sizes.batch, "set")
    await _check_held(target, writers[0].home, writers[0].log, writers[0].log.n)
    return figures


async def update(target: Target, sizes: Sizes) -> Figures:
    """W1b: as W1, with edits of sets that are there; each tenth of them another device has edited unseen."""
    writers = await _writers(target, sizes.devices)
    edited: list[list[str]] = []
    for writer in writers:
        ids = await _filled(writer, sizes.edited)
        other = Log(await target.server.device(writer.home))
        # It has seen the sets, and none of the edits that follow.
        body = other.edits(ids[::CONCURRENT_EVERY], {writer.log.device: writer.log.n}, reps=3)
        await Writer(target.server, writer.home, other).push(body, other.n)
        edited.append(ids)
    held = [writer.log.n for writer in writers]
    batches = [
        [_of(writer.log, writer.log.edits(_round(ids, number, sizes.batch), {})) for number in range(sizes.batches)]
        for writer, ids in zip(writers, edited, strict=True)
    ]
    figures = await _pushed(target, writers, batches, sizes.batch, "edit")
    await _check_held(target, writers[0].home, writers[0].log, held[0])
    return figures


async def single(target: Target, sizes: Sizes) -> Figures:
    """W6: every device pushes one new set after another, each in a push of its own."""
    writers = await _writers(target, sizes.singles_devices)
    batches = [[_of(writer.log, writer.log.sets(1)) for _ in range(sizes.singles)] for writer in writers]
    figures = await _pushed(target, writers, batches, 1, "push")
    await _check_held(target, writers[0].home, writers[0].log, writers[0].log.n)
    return figures


def push_steps(sizes: Sizes) -> int:
    """How many pushes W1, and W1b, are made of."""
    return sizes.devices * sizes.batches


def single_steps(sizes: Sizes) -> int:
    """How many pushes W6 is made of."""
    return sizes.singles_devices * sizes.singles


async def _writers(target: Target, count: int) -> list[Writer]:
    return await in_parts(lambda _: target.server.writer(), count)


async def _filled(writer: Writer, sets: int) -> list[str]:
    """Push so many sets; their ids."""
    ids: list[str] = []
    for count in parts_of(sets, FILL_BATCH):
        await writer.push(writer.log.sets(count), writer.log.n)
        ids += writer.log.ids
    return ids


def _round(ids: Sequence[str], number: int, size: int) -> list[str]:
    """The sets that one batch edits: the next ones, from the beginning again after the last."""
    return [ids[(number * size + place) % len(ids)] for place in range(min(size, len(ids)))]


def _of(log: Log, body: bytes) -> Batch:
    return body, log.n


async def _pushed(
    target: Target, writers: Sequence[Writer], batches: Sequence[Sequence[Batch]], size: int, unit: str
) -> Figures:
    """Push the prepared batches of every writer, and what that took. `unit` names one change in the figures."""
    latencies: list[float] = []

    async def run(writer: Writer, own: Sequence[Batch]) -> None:
        for body, n in own:
            begun = time.perf_counter()
            await writer.push(body, n)
            latencies.append(time.perf_counter() - begun)
            target.tick(1)

    cpu, begun = Cpu(target.pid), time.perf_counter()
    await together(run(writer, own) for writer, own in zip(writers, batches, strict=True))
    seconds = time.perf_counter() - begun
    count = sum(map(len, batches)) * size
    plural = "pushes" if unit == "push" else f"{unit}s"
    return {
        plural: count,
        "seconds": seconds,
        f"{plural}_per_s": count / seconds,
        f"cpu_us_per_{unit}": cpu.used_us(count),
        "push_p50_ms": quantile(latencies, 0.50) * 1e3,
        "push_p99_ms": quantile(latencies, 0.99) * 1e3,
    }


async def _check_held(target: Target, home: Home, log: Log, records: int) -> None:
    held = sum([count async for count in target.server.snapshot(home, log.device)])
    if held != records:
        raise BenchError(f"{target.server.name} shows {held} records of {records} that it acknowledged.")
