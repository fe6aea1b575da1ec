"""What a server cannot hold by itself: a tail that no standby had, a backup from yesterday, a phone that was cloned.

In each of these the database forgets, or tells two devices apart; the devices keep their logs and give back what is
missing. So all that was acknowledged has to be there in the end as well.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from fitai_client.core.environment import Environment, system
from tests.faults.broken_server import program
from tests.faults.phones import EMAIL, PASSWORD
from tests.faults.scenario import Tell, scenario
from tests.faults.servers import FITAI, PostgresCluster, run_fitai
from tests.faults.verdict import Violation, read_stored
from tests.faults.world import Kind, World, world
from tests.services.postgres import run_statement

YEAR_MS: Final = 365 * 24 * 3600 * 1000


@scenario("a standby is promoted that never got the last writes", kinds=("postgres",))
async def lost_tail(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2, redis=True, start=False) as made, _standby(made) as standby:
        primary = made.cluster
        assert primary is not None
        for server in made.servers:
            await server.start()
        await made.populate(phones=2, writers=2)
        await made.write_for(1)
        await made.settle()
        await _caught_up(made, standby)
        tell("the standby hears no more; everybody goes on writing")
        made.links["standby"].partition()
        await made.write_for(1.5)
        await made.settle()
        acked = await made.compare()
        held = len((await read_stored(standby.url(), made.writers[0].space)).changes)

        made.pace.resume()
        await asyncio.sleep(0.2)
        await primary.kill_group()
        tell(f"the primary is dead, and {acked - held} acknowledged changes with it")
        await run_statement(standby.url("postgres"), "SELECT pg_promote()")
        for server in made.servers:
            made.links[f"{server.name} postgres"].aim(standby.port)
        made.url = standby.url()
        await asyncio.sleep(0.5)
        made.pace.pause()
        await made.rest()
        took = await made.settle()
        if acked <= held:
            raise Violation("blind", "the standby had everything: the scenario lost nothing")
        await made.compare_whole(renamed=True)
        return {"acknowledged changes lost and given back": acked - held, "equal after": f"{took:.1f} s"}


@asynccontextmanager
async def _standby(made: World) -> AsyncIterator[PostgresCluster]:
    """A standby of the world's cluster that streams from it over the link "standby"."""
    primary = made.cluster
    assert primary is not None
    folder = Path(tempfile.mkdtemp(prefix="fitai-standby-"))
    os.chmod(folder, 0o755)  # noqa: PTH101 - before anything here is asynchronous
    try:
        await primary.stop()
        await primary.copy_to(folder / "data")
        await primary.start()
        link = await made.link("standby", primary.port)
        with (folder / "data" / "postgresql.auto.conf").open("a") as file:
            file.write(f"primary_conninfo = 'host=127.0.0.1 port={link.port} user=fitai'\n")
            # What waits in the link does not come in after the promotion.
            file.write("wal_receiver_timeout = '2s'\n")
        (folder / "data" / "standby.signal").touch()
        standby = primary.beside(folder / "data")
        await standby.start()
        try:
            yield standby
        finally:
            await standby.close()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _caught_up(made: World, standby: PostgresCluster) -> None:
    space = made.writers[0].space
    wanted = (await read_stored(made.url, space)).changes

    async def caught_up() -> bool:
        return (await read_stored(standby.url(), space)).changes == wanted

    await made.until(caught_up, "the standby has not caught up")


@scenario("a backup is restored under devices that are ahead of it, and under one that it does not know")
async def restored(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, linked=False) as made:
        await made.populate()
        await made.write_for(0.7)
        await made.settle()
        before = await made.compare()
        backup = made.folder / "backup.tar"
        # Beside the running server, while everybody goes on.
        made.pace.resume()
        await run_fitai("backup", str(backup), "--database-url", made.url)
        await made.write_for(0.7)
        tell(f"backed up with {before} changes or a few more")
        # It signs in after the backup was made: neither its session nor its id are in it.
        late = await made.add_phone("late")
        await late.client.wait_live()
        for _ in range(10):
            await late.write_once()
        await made.settle()

        made.pace.resume()
        await asyncio.sleep(0.2)
        await made.servers[0].kill()
        await _restore(made, backup)
        held = (await read_stored(made.url, made.writers[0].space)).changes
        lost = sum(dot not in held for dot in made.log.acks)
        if lost == 0:
            raise Violation("blind", "the backup had everything: the scenario lost nothing")
        tell(f"restored: {lost} acknowledged changes are gone")
        await made.servers[0].start()
        await asyncio.sleep(0.3)
        made.pace.pause()
        await made.rest()

        async def out() -> bool:
            return not (await late.client.status()).signed_in

        await made.until(out, "a device that the backup does not know has not noticed")
        await late.client.sign_in(EMAIL, PASSWORD)
        took = await made.settle()
        await made.compare_whole(renamed=True)
        return {"acknowledged changes lost and given back": lost, "equal after": f"{took:.1f} s"}


async def _restore(made: World, backup: Path) -> None:
    """What docs/operations.md says: into an empty place, and what was there is set aside."""
    if made.cluster is None:
        for suffix in ("", "-wal", "-shm"):
            (made.folder / f"server.db{suffix}").unlink(missing_ok=True)
    else:
        postgres = made.cluster.url("postgres")
        await run_statement(postgres, "DROP DATABASE fitai WITH (FORCE)")
        await run_statement(postgres, "CREATE DATABASE fitai")
    await run_fitai("restore", str(backup), "--database-url", made.url)


@scenario("a phone's database is copied to a second phone, and both go on")
async def cloned(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2 if kind == "postgres" else 1, redis=kind == "postgres") as made:
        await made.populate(phones=1)
        await made.write_for(0.7)
        await made.settle()
        await made.rest()
        first = made.phones[0]
        # What is not sent yet is in both copies.
        made.cut_off()
        for _ in range(5):
            await first.write_once()
        await first.note()
        await _copy_phone(made, "phone-1", "clone")
        made.reconnect()
        second = await made.add_phone("clone", server=len(made.servers) - 1, sign_in=False)
        for phone in (first, second, first, second):
            for _ in range(8):
                await phone.write_once()
        made.work()
        await made.write_for(1)
        for phone in (first, second):
            if not (await phone.client.status()).signed_in:
                await phone.client.sign_in(EMAIL, PASSWORD)
            elif not (await phone.client.status()).live:
                # The other took its socket, and then another id: until it is opened again it looks once a minute.
                await phone.client.sync()
        took = await made.settle()
        ids = {(await phone.client.status()).device for phone in (first, second)}
        if len(ids) != 2:
            raise Violation("cloned", f"two phones go by one id, {ids}")
        await made.rest()
        await made.compare_whole(renamed=True)
        return {"equal after": f"{took:.1f} s"}


async def _copy_phone(made: World, name: str, copy: str) -> None:
    def copied() -> None:
        source = sqlite3.connect(made.folder / f"{name}.db")
        target = sqlite3.connect(made.folder / f"{copy}.db")
        source.backup(target)
        source.close()
        target.close()

    await asyncio.to_thread(copied)


class _WrongClock:
    """A phone's clock that is set by the scenario."""

    def __init__(self, ahead_ms: int) -> None:
        self.ahead_ms = ahead_ms
        self._right = system()

    def environment(self) -> Environment:
        return Environment(lambda: self._right.now_ms() + self.ahead_ms, os.urandom)


@scenario("phones' clocks are wrong by years, and jump")
async def wrong_clocks(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random) as made:
        clocks = [_WrongClock(0), _WrongClock(20 * YEAR_MS), _WrongClock(-20 * YEAR_MS)]
        for number, clock in enumerate(clocks, start=1):
            await made.add_phone(f"phone-{number}", environment=clock.environment())
        await made.add_writer("writer-1", hlc_ahead_ms=70 * YEAR_MS)
        made.work()
        await made.write_for(1)
        took = [await made.settle()]
        for jumps in ((5 * YEAR_MS, -40 * YEAR_MS, 40 * YEAR_MS), (0, 0, 0)):
            tell(f"the clocks jump to {[ahead // YEAR_MS for ahead in jumps]} years")
            for clock, ahead_ms in zip(clocks, jumps, strict=True):
                clock.ahead_ms = ahead_ms
            await made.write_for(0.7)
            took.append(await made.settle())
        await made.rest()
        await made.compare_whole()
        return {"equal after": f"{max(took):.1f} s"}


@scenario("two servers' clocks are an hour apart, and one of them is set back")
async def wrong_server_clocks(kind: Kind, random: Random, tell: Tell) -> dict[str, Any]:
    async with world(kind, random, servers=2 if kind == "postgres" else 1, redis=kind == "postgres") as made:
        await made.populate()
        server, took = made.servers[-1], []
        for ahead_s in (3600, -3600, 0):
            tell(f"{server.name} is {ahead_s} s ahead")
            made.pace.resume()
            await asyncio.sleep(0.3)
            await server.kill()
            server.program = program(f"clock={ahead_s}") if ahead_s else FITAI
            await server.start()
            await made.write_for(0.7)
            took.append(await made.settle())
            await made.compare()
        await made.rest()
        await made.compare_whole()
        return {"equal after": f"{max(took):.1f} s"}
