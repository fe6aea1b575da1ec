"""Accidents of machines and networks, told from beginning to end."""

from __future__ import annotations

import asyncio
import itertools
import resource
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp

from tests.faults.disks import NotMounted, SmallDisk, small_disk
from tests.faults.duplicates import Duplicator
from tests.faults.proxy import Direction
from tests.faults.scenario import Skipped, Tell, scenario
from tests.faults.servers import FitaiServer
from tests.faults.verdict import Violation
from tests.faults.world import Kind, World, world

# Room for a database, its log and what the servers write; and for a whole Postgres.
SQLITE_MIB, POSTGRES_MIB = 24, 320
# A full disk for so long.
FULL_S: Final = 2.0
# Files and sockets that a server may have open in the scenario that takes them all.
FILES: Final = 96


@scenario("Redis is not there when the servers start, and comes later", kinds=("postgres",))
async def redis_down_at_start(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2, redis=True, start=False) as made:
        assert made.redis is not None
        made.redis.kill()
        await made.servers[0].start()
        await made.servers[1].start()
        await made.populate()
        await made.write_for(1)
        await asyncio.to_thread(made.redis.start)
        healed = await made.settle()
        await made.write_for(0.5)
        await made.settle()
        await made.compare_whole()
        return {"equal after": f"{healed:.1f} s"}


@scenario("the disk is full for a while")
async def disk_full(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(SQLITE_MIB if kind == "sqlite" else POSTGRES_MIB))
        except NotMounted as error:
            if kind == "postgres":
                raise Skipped(str(error)) from None
            disk = None
        place = None if disk is None or kind == "postgres" else disk.folder
        async with world(kind, random, start=False, database_folder=place) as made:
            if disk is not None and kind == "postgres":
                await _move(made, disk.folder)
            await made.servers[0].start()
            await made.populate()
            await made.write_for(0.7)
            await made.settle()
            refused = await _without_room(made, disk, tell)
            healed = await made.settle()
            await made.write_for(0.5)
            await made.settle()
            await made.compare_whole()
            how = "a tmpfs" if disk is not None else "RLIMIT_FSIZE"
            return {"made by": how, "pushes refused": refused, "equal after": f"{healed:.1f} s"}


async def _move(made: World, folder: Path) -> None:
    """Put the cluster on another disk."""
    cluster = made.cluster
    assert cluster is not None
    await cluster.stop()
    await cluster.copy_to(folder / "data")
    cluster.folder = folder / "data"
    await cluster.start()


async def _without_room(made: World, disk: SmallDisk | None, tell: Tell) -> int:
    """Write while there is no room: how many pushes were refused. Afterwards there is room, and the database runs."""
    server = made.servers[0]
    before = sum(writer.refused for writer in made.writers)
    tell("the disk is full")
    limit = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    if disk is not None:
        disk.fill()
    else:
        # No file may grow beyond what it is.
        wal = (made.folder / "server.db-wal").stat().st_size
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (max(wal, 4096), limit[1]))
    await made.write_for(FULL_S)
    if not server.runs:
        raise Violation("died", "the server ended for want of room", [server.last_words()])
    tell("there is room again")
    if disk is not None:
        disk.free()
    else:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, limit)
    if made.cluster is not None and not made.cluster.runs:
        # Postgres stops where its log cannot grow; who watches over it starts it again.
        await made.cluster.start()
    refused = sum(writer.refused for writer in made.writers) - before
    if refused == 0:
        raise Violation("blind", "every push went through though the disk was full: the scenario filled nothing")
    return refused


@scenario("a server has no file or socket left", kinds=("sqlite",))
async def no_files_left(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random) as made:
        await made.populate()
        await made.write_for(0.5)
        server = made.servers[0]
        pid = server.pid
        server.limit_files(FILES)
        tell("somebody opens sockets until none is left")
        crowd = [await _open(server.port) for _ in range(2 * FILES)]
        if await _answers(server):
            raise Violation("blind", "a server without sockets still answers: the scenario took none")
        made.pace.resume()
        # Those who are connected must come back through the crowd.
        for link in made.links.values():
            link.reset()
        await asyncio.sleep(2)
        made.pace.pause()
        for writer in crowd:
            if writer is not None:
                writer.close()
        healed = await made.settle()
        if server.pid != pid or not server.runs:
            raise Violation("died", "the server ended for want of sockets", [server.last_words()])
        await made.rest()
        await made.compare_whole()
        return {"equal after": f"{healed:.1f} s"}


async def _open(port: int) -> asyncio.StreamWriter | None:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(0.5):
            return (await asyncio.open_connection("127.0.0.1", port))[1]
    return None


@scenario("the answer to a push is cut at each of its bytes, and the request at some")
async def cut_at_each_byte(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, linked=False) as made:
        await made.add_phone("phone-1")
        writer = await made.add_writer("writer-1")
        link = made.links["writer-1"]
        cuts = {}
        for direction, step in ((Direction.DOWN, 1), (Direction.UP, 23)):
            for count in itertools.count(0, step):
                cut = link.cut_after(direction, count, random.choice(("reset", "close")))
                writer.make()
                await writer.push_once()
                if not cut.done():
                    # All of it came through.
                    break
                await writer.send()
            link.uncut()
            cuts[direction.value] = count
            tell(f"{count} bytes {direction.value}")
        await made.settle()
        await made.compare_whole()
        return {"bytes of the answer": cuts["down"], "of the request": cuts["up"]}


@scenario("every push arrives twice, at two servers at once", kinds=("postgres",))
async def duplicated(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2, redis=True) as made:
        duplicators = [Duplicator(lambda server=server: server.port) for server in reversed(made.servers)]  # type: ignore[misc]
        await made.populate(phones=2, writers=2)
        for number, actor in enumerate(made.actors):
            made.links[actor.name].new_tap = duplicators[number % 2].tap
            made.links[actor.name].reset()
        await made.write_for(2.5)
        for duplicator in duplicators:
            await duplicator.settle()
        await made.settle()
        await made.rest()
        await made.compare_whole()
        return {"copies": sum(duplicator.copied for duplicator in duplicators)}


@scenario("a device's connections fall silent for ever, and both ends think they stand", kinds=("sqlite",), usual=False)
async def half_open(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random) as made:
        await made.populate()
        phone = made.phones[0]
        await phone.client.wait_live()
        await made.write_for(0.5)
        link = made.links[phone.name]
        link.partition()
        await made.write_for(0.5)
        link.heal("silence")
        tell("phone-1 is connected to nobody and does not know it")
        took = await made.settle()
        await made.rest()
        await made.compare_whole()
        return {"equal after": f"{took:.1f} s"}


@scenario("no server for half a minute", kinds=("sqlite",), usual=False)
async def long_outage(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random) as made:
        await made.populate(phones=3)
        await made.write_for(0.5)
        await made.servers[0].kill()
        await made.write_for(1)
        await asyncio.sleep(30)
        await made.servers[0].start()
        took = await made.settle()
        await made.rest()
        await made.compare_whole()
        return {"equal after": f"{took:.1f} s"}


@scenario("Postgres answers nothing for a while, and a push is refused and not kept waiting", kinds=("postgres",))
async def silent_database(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random) as made:
        await made.populate()
        await made.write_for(0.5)
        link = made.links["server-1 postgres"]
        link.partition()
        alive = await _health(made.servers[0])
        await made.write_for(2)
        link.heal("reset")
        took = await made.settle()
        await made.rest()
        await made.compare_whole()
        return {"health answered in": f"{alive:.2f} s", "equal after": f"{took:.1f} s"}


async def _answers(server: FitaiServer) -> bool:
    """Whether it says that it lives, to somebody who comes anew."""
    try:
        await _health(server)
    except Violation:
        return False
    return True


async def _health(server: FitaiServer) -> float:
    """How long the server takes to say that it lives. Raises Violation where it does not."""
    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
        try:
            async with session.get(f"{server.url}/health/live") as response:
                if response.status == 200:
                    return time.monotonic() - began
        except (aiohttp.ClientError, TimeoutError):
            pass
    raise Violation("hangs", "a server whose database is silent does not say that it lives")
