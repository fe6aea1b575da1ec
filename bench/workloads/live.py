"""W2 live: two sockets a user, a set a second each: from written here to received there.

The devices begin at moments drawn once and alike for both servers, so that neither meets a kinder rhythm.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench.client import Home, LiveSocket, Writer
from bench.load import Log
from bench.workloads.measuring import Cpu, Figures, Sizes, Target, in_parts, quantile, together


@dataclass
class _User:
    """Two devices of one user, and the sets under way from one to the other."""

    home: Home
    logs: list[Log]
    sockets: list[LiveSocket] = field(default_factory=list)
    # Each with its number and the id of its one set.
    bodies: list[list[tuple[bytes, int, str]]] = field(default_factory=list)
    # id → when it was written; one a direction.
    under_way: tuple[dict[str, float], dict[str, float]] = field(default_factory=lambda: ({}, {}))


async def live(target: Target, sizes: Sizes) -> Figures:
    """W2."""
    sets = max(1, round(sizes.live_s))
    written = live_steps(sizes)
    all_there = asyncio.Event()
    latencies: list[float] = []
    users = await in_parts(lambda _: _user(target, sets), sizes.live_users)
    chance = random.Random(2)
    async with AsyncExitStack() as stack:
        for user in users:
            for side in range(2):
                arriving = user.under_way[1 - side]

                def received(ids: list[str], arriving: dict[str, float] = arriving) -> None:
                    now = time.perf_counter()
                    latencies.extend(now - arriving.pop(id_) for id_ in ids if id_ in arriving)
                    if len(latencies) == written:
                        all_there.set()

                socket = target.server.live_socket(user.home, user.logs[side].device, received)
                user.sockets.append(await stack.enter_async_context(socket))
        cpu, begun = Cpu(target.pid), time.perf_counter()
        await together(
            _write(target, user, side, chance.random() * sizes.live_s / sets) for user in users for side in range(2)
        )
        used, seconds = cpu.used_s(), time.perf_counter() - begun
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(sizes.late_s):
                await all_there.wait()
    return {
        "sets": written,
        "received": len(latencies),
        "lost": written - len(latencies),
        "live_p50_ms": quantile(latencies, 0.50) * 1e3 if latencies else None,
        "live_p99_ms": quantile(latencies, 0.99) * 1e3 if latencies else None,
        "cpu_percent": None if used is None else used / seconds * 100,
    }


def live_steps(sizes: Sizes) -> int:
    """How many sets are written."""
    return 2 * max(1, round(sizes.live_s)) * sizes.live_users


async def _user(target: Target, sets: int) -> _User:
    writer = await target.server.writer()
    other = Log(await target.server.device(writer.home))
    await Writer(target.server, writer.home, other).push(other.workout(), other.n)
    user = _User(writer.home, [writer.log, other])
    user.bodies = [[(log.sets(1), log.n, log.ids[0]) for _ in range(sets)] for log in user.logs]
    return user


async def _write(target: Target, user: _User, side: int, wait_s: float) -> None:
    """One device writes a set a second; an acknowledgement is waited for before the next one."""
    loop = asyncio.get_running_loop()
    at = loop.time() + wait_s
    for body, n, id_ in user.bodies[side]:
        await asyncio.sleep(max(0.0, at - loop.time()))
        at += 1.0
        user.under_way[side][id_] = time.perf_counter()
        await user.sockets[side].push(user.home.space, body, n)
        target.tick(1)
