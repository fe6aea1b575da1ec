"""W4 idle: sockets that say nothing, each of its own device; what one costs in memory, and all of them in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.client import Home, Server
from bench.processes import settled_bytes
from bench.workloads.measuring import DEVICES_A_USER, OPENING, Cpu, Figures, Sizes, Target, in_parts, together

Seat = tuple[Home, str]


async def idle(target: Target, sizes: Sizes) -> Figures:
    """W4: first some sockets, then many."""
    server = target.server
    # The first sockets load what all of them share, and stay: what they gave back would be taken again unseen.
    seats = await _seats(server, DEVICES_A_USER + max(sizes.sockets, sizes.sockets_many))
    few = DEVICES_A_USER + sizes.sockets
    sockets = await _open(target, seats[:DEVICES_A_USER])
    try:
        before = await settled_bytes(target.pid)
        sockets += await _open(target, seats[DEVICES_A_USER:few])
        after = await settled_bytes(target.pid)
        figures: Figures = {
            "sockets": sizes.sockets,
            "memory_before_kib": None if before is None else before / 1024,
            "kib_per_socket": _kib_each(before, after, sizes.sockets),
            "cpu_percent": await _watched(target, sockets, sizes.idle_s),
        }
        sockets += await _open(target, seats[few:])
        count = len(sockets) - DEVICES_A_USER
        return figures | {
            "sockets_many": count,
            "kib_per_socket_many": _kib_each(before, await settled_bytes(target.pid), count),
            "cpu_percent_many": await _watched(target, sockets, sizes.idle_s),
        }
    finally:
        await _close(sockets)


def idle_steps(sizes: Sizes) -> int:
    """How many sockets are opened."""
    return DEVICES_A_USER + max(sizes.sockets, sizes.sockets_many)


def _kib_each(before: int | None, after: int | None, count: int) -> float | None:
    return None if before is None or after is None else (after - before) / count / 1024


async def _watched(target: Target, sockets: Sequence[asyncio.Task[None]], seconds: float) -> float | None:
    """The share of a core that the server takes, in percent, while nothing is said. Raises where a socket ends."""
    cpu, begun = Cpu(target.pid), time.perf_counter()
    ended, _ = await asyncio.wait(sockets, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()
    used = cpu.used_s()
    return None if used is None else used / (time.perf_counter() - begun) * 100


async def _seats(server: Server, count: int) -> list[Seat]:
    homes = await in_parts(lambda _: server.home(), -(-count // DEVICES_A_USER))

    async def seat(number: int) -> Seat:
        home = homes[number // DEVICES_A_USER]
        return home, await server.device(home)

    return await in_parts(seat, count)


async def _open(target: Target, seats: Sequence[Seat]) -> list[asyncio.Task[None]]:
    opened: list[asyncio.Task[None]] = []
    try:
        for start in range(0, len(seats), OPENING):
            part = seats[start : start + OPENING]
            opened += await together(target.server.idle_socket(*seat) for seat in part)
            target.tick(len(part))
    except BaseException:
        await _close(opened)
        raise
    return opened


async def _close(sockets: Sequence[asyncio.Task[None]]) -> None:
    for task in sockets:
        task.cancel()
    await asyncio.gather(*sockets, return_exceptions=True)
