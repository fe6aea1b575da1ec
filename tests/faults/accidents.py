"""Accidents of servers, told from beginning to end."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from tests.faults.scenario import Tell, scenario
from tests.faults.world import Kind, world


@scenario("Redis is not there when the servers start, and comes later", kinds=("postgres",))
async def redis_down_at_start(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2, redis=True, start=False) as made:
        assert made.redis is not None
        made.redis.kill()
        await made.servers[0].start()
        await made.servers[1].start()
        await made.populate()
        await made.write_for(1)
        # Each server's devices agree with the database; who is at the other one may wait for Redis, or half a minute.
        await asyncio.to_thread(made.redis.start)
        healed = await made.settle()
        await made.write_for(0.5)
        again = await made.settle()
        await made.compare_whole()
        return {"equal after": f"{healed:.1f} s", "then": f"{again:.1f} s"}
