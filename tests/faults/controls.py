"""Controls: the product broken on purpose. Each has to be seen, or the rig is blind.

A server that loses what it acknowledged gets it back from devices that keep their logs; so the controls that lose look
before the devices may speak to it again.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from tests.faults.broken_server import SEQUENCE, program
from tests.faults.power import STRACE, available, cut_power
from tests.faults.scenario import Skipped, Tell, scenario
from tests.faults.servers import FITAI
from tests.faults.verdict import Violation
from tests.faults.world import STUCK_S, Kind, World, world
from tests.services.postgres import run_statement

# How often a control may try before it counts as unseen: a crash can come at a moment when nothing is open.
TRIES: Final = 8
# When a control counts as stuck: a Redis that comes back is found within 5 s.
CONTROL_STUCK_S: Final = 15.0


async def power_cuts(random: Random, tell: Tell, *, level: str | None, cuts: int) -> dict[str, Any]:
    """Cut the power of a server over SQLite so often, and compare each time before a device can give anything back."""
    if not available():
        raise Skipped("there is no strace on this machine, by which a power cut is made")
    lost = 0
    async with world("sqlite", random, start=False) as made:
        server, trace = made.servers[0], made.folder / "trace"
        server.wrapper, server.program = (*STRACE, str(trace)), program(f"synchronous={level}") if level else FITAI
        await server.start()
        await made.populate()
        for number in range(cuts):
            await made.write_for(0.3)
            made.pace.resume()
            await asyncio.sleep(random.uniform(0.1, 0.4))
            lost += await cut_power(server, trace, made.folder / "server.db", random)
            made.cut_off()
            made.pace.pause()
            tell(f"cut {number + 1} of {cuts}, {lost} bytes never fsynced")
            await made.compare()
            await server.start()
            await made.compare()
            made.reconnect()
            await made.settle()
        await made.rest()
        await made.compare_whole()
    return {"power cuts": cuts, "bytes lost of what nobody was told": lost}


@scenario("the power is cut, on SQLite as it ships (synchronous=FULL)", kinds=("sqlite",))
async def power_cut(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    return await power_cuts(random, tell, level=None, cuts=5)


@scenario("control: synchronous=NORMAL under a power cut", kinds=("sqlite",), breaks=("lost",))
async def power_cut_normal(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    return await power_cuts(random, tell, level="NORMAL", cuts=TRIES)


@scenario("control: synchronous=OFF under a power cut", kinds=("sqlite",), breaks=("lost",))
async def power_cut_off(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    return await power_cuts(random, tell, level="OFF", cuts=TRIES)


async def _crash(made: World) -> None:
    """Kill everything while all write, bring it back, and compare before a device can give anything back."""
    await made.write_for(0.3)
    made.pace.resume()
    await asyncio.sleep(made.random.uniform(0.2, 0.5))
    if made.cluster is not None:
        await made.cluster.kill_group()
    for server in made.servers:
        await server.kill()
    made.cut_off()
    made.pace.pause()
    if made.cluster is not None:
        await made.cluster.start(safe=made.safe)
    await made.compare()
    await made.servers[0].start()
    made.reconnect()
    await made.settle()


@scenario("control: synchronous_commit=off under a crash of Postgres", kinds=("postgres",), breaks=("lost",))
async def asynchronous_commit(kind: Kind, random: Random, tell: Tell) -> None:
    async with world(kind, random, safe=False) as made:
        await made.populate()
        for number in range(TRIES):
            tell(f"crash {number + 1}")
            await _crash(made)


@scenario("control: a push is answered before its commit", kinds=("postgres",), breaks=("lost",))
async def acknowledged_before_commit(kind: Kind, random: Random, tell: Tell) -> None:
    async with world(kind, random, program=program("acknowledge-before-commit")) as made:
        await made.populate()
        for number in range(TRIES):
            tell(f"crash {number + 1}")
            await _crash(made)


@scenario("control: a feed that a plain sequence numbers, and late commits", kinds=("postgres",), breaks=("stuck",))
async def plain_sequence(kind: Kind, random: Random, tell: Tell) -> None:
    async with world(kind, random, program=program("plain-sequence")) as made:
        assert made.cluster is not None
        await run_statement(made.cluster.url(), SEQUENCE)
        await made.add_phone("reader")
        for number in range(3):
            await made.add_writer(f"writer-{number + 1}", new_only=True)
        one = made.writers[0]
        for _ in range(20):
            one.make()
            await one.send()
        try:
            await made.settle()
        except Violation as violation:
            # With nobody else writing nothing can be skipped: it would be broken otherwise than it is meant to be.
            raise Violation("broken_otherwise", str(violation)) from None
        tell("one writer alone is read whole; now three")
        made.work(phones=False)
        await made.write_for(4)
        await made.settle(stuck_s=CONTROL_STUCK_S)


@scenario("control: deltas by Redis alone, without asking for what it lost", kinds=("postgres",), breaks=("stuck",))
async def redis_alone(kind: Kind, random: Random, tell: Tell) -> None:
    async with world(kind, random, servers=2, redis=True, program=program("redis-alone")) as made:
        await redis_forgets(made, tell, stuck_s=CONTROL_STUCK_S)


@scenario("Redis dies while devices at two servers write, and comes back empty", kinds=("postgres",))
async def redis_dies(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2, redis=True) as made:
        took = await redis_forgets(made, tell)
        await made.rest()
        await made.compare_whole()
        return {"equal after": f"{took:.1f} s"}


async def redis_forgets(made: World, tell: Tell, *, stuck_s: float = STUCK_S) -> float:
    """Writes that Redis tells nobody of: how long until everybody has them all the same."""
    assert made.redis is not None
    await made.populate()
    await asyncio.gather(*(phone.client.wait_live() for phone in made.phones))
    await made.write_for(1)
    try:
        await made.settle()
    except Violation as violation:
        raise Violation("broken_otherwise", str(violation)) from None
    tell("Redis is killed")
    await asyncio.to_thread(made.redis.kill)
    await made.write_for(1)
    await asyncio.to_thread(made.redis.start)
    return await made.settle(stuck_s=stuck_s)
