"""Virtual time, and processes that die."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.simulator.fence import Forbidden, fence, outside
from tests.simulator.loop import Deadlock, Process, VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.bury()


def test_time_passes_only_where_nothing_is_left_to_run(loop: VirtualLoop) -> None:
    async def sleep() -> float:
        await asyncio.sleep(3_600)
        return loop.time()

    assert loop.run_until_complete(sleep()) == 3_600


def test_a_killed_process_does_nothing_more_not_even_a_last_block(loop: VirtualLoop) -> None:
    did: list[str] = []
    process = Process("w")

    async def serve() -> None:
        try:
            await asyncio.sleep(1)
            did.append("went on")
        finally:
            did.append("cleaned up")

    async def world() -> None:
        loop.spawn(process, serve())
        await asyncio.sleep(0.5)
        loop.kill(process)
        await asyncio.sleep(10)

    loop.run_until_complete(world())
    assert did == []


def test_what_a_process_starts_is_of_the_process(loop: VirtualLoop) -> None:
    did: list[str] = []
    process = Process("w")

    async def child() -> None:
        await asyncio.sleep(1)
        did.append("child")

    async def parent() -> None:
        asyncio.get_running_loop().call_later(1, did.append, "timer")
        task = asyncio.get_running_loop().create_task(child())
        await task

    async def world() -> None:
        loop.spawn(process, parent())
        await asyncio.sleep(0.5)
        loop.kill(process)
        await asyncio.sleep(10)

    loop.run_until_complete(world())
    assert did == []


def test_a_stopped_process_goes_on_where_it_stood_and_in_order(loop: VirtualLoop) -> None:
    did: list[tuple[int, float]] = []
    process = Process("w")

    async def step(n: int) -> None:
        await asyncio.sleep(n)
        did.append((n, loop.time()))

    async def world() -> None:
        for n in (1, 2, 3):
            loop.spawn(process, step(n))
        await asyncio.sleep(1.5)
        process.stopped = True
        await asyncio.sleep(8.5)
        loop.continue_process(process)
        await asyncio.sleep(0)

    loop.run_until_complete(world())
    assert did == [(1, 1.0), (2, 10.0), (3, 10.0)]


def test_v2_what_is_due_at_one_time_runs_in_the_order_of_asking(loop: VirtualLoop) -> None:
    did: list[int] = []

    async def world() -> None:
        for n in range(20):
            loop.later(5 if n % 2 else 1, did.append, n)
        loop.later(3, did.append, 99).cancel()
        await asyncio.sleep(10)

    loop.run_until_complete(world())
    assert did == [*range(0, 20, 2), *range(1, 20, 2)]


def test_a_callback_that_raises_ends_the_run(loop: VirtualLoop) -> None:
    def fail() -> None:
        raise ValueError("seen")

    async def world() -> None:
        loop.later(1, fail)
        await asyncio.sleep(10)

    with pytest.raises(RuntimeError):
        loop.run_until_complete(world())
    assert isinstance(loop.error, ValueError)


def test_a_world_in_which_nothing_can_happen_any_more_is_told(loop: VirtualLoop) -> None:
    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock):
        loop.run_until_complete(wait())


def test_nobody_behind_the_fence_reads_the_machines_clock_or_randomness() -> None:
    with fence():
        for call in (time.time, time.monotonic, uuid.uuid4):
            with pytest.raises(Forbidden):
                call()
        with outside():
            assert time.time() > 0
    assert uuid.uuid4()
