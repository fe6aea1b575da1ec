"""The SDK on a device: a first sync beside reads, single writes, and the start with a full database."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.client import BenchError, Writer
from bench.device import run_step
from bench.load import FILL_BATCH, RECORDS_A_TRAINING
from bench.workloads.measuring import Figures, Sizes, Target


async def device(target: Target, sizes: Sizes) -> Figures:
    """Each step in a process of its own, as a phone would run it."""
    server = target.server
    writer = await server.writer()
    with tempfile.TemporaryDirectory(prefix="fitai-bench-device-") as folder:

        async def step(name: str) -> Figures:
            records, home = writer.log.made, writer.home
            try:
                figures = await asyncio.to_thread(
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
            target.tick(1)
            return figures

        await _train(writer, sizes.device_records)
        figures = await step("bootstrap")
        figures |= await step("write")
        await _train(writer, sizes.start_records)
        await step("bootstrap")
        return figures | await step("start")


def device_steps(_: Sizes) -> int:
    """The steps of the workload."""
    return 4


async def _train(writer: Writer, records: int) -> None:
    """Push whole workouts until the space holds so many records."""
    while (missing := records - writer.log.made) > 0:
        workouts = max(1, min(FILL_BATCH, missing) // RECORDS_A_TRAINING)
        await writer.push(writer.log.training(workouts), writer.log.n)
