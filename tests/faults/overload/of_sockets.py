"""The cases of sockets: as many as can be, all of them at once, and readers that never read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import asyncpg

from sync.outgoing import OUTGOING_HARD_BYTES_MAX
from tests.faults.overload.herds import herds, together
from tests.faults.overload.outcome import MIB, POOL, Listening, Outcome, a_bystander
from tests.faults.overload.people import DEVICES_A_USER, Device, asking
from tests.faults.overload.server import Under, under
from tests.security.fuzz.wire import frame

_UPGRADE: Final = (
    b"GET /api/sync/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def sockets(scale: float) -> Outcome:
    """10,000 sockets on one process, idle, and somebody who goes on logging."""
    outcome, count = Outcome(), int(10_000 * scale)
    with under("postgres") as server:
        async with asking(server.url) as client:
            bystander = await a_bystander(client)
            devices = await planted(server, await client.devices(-(-count // DEVICES_A_USER), a_user=1), DEVICES_A_USER)
            devices = devices[:count]
            async with bystander.standing_by():
                await asyncio.sleep(2)
            outcome.figures["bystander_before"] = bystander.figures()
            async with server.watched() as cost, herds(server.port, devices, over_s=10 * scale) as herd:
                told = together(herd.there)
                settled = server.rss_mib()
                async with bystander.standing_by():
                    await asyncio.sleep(5)
                outcome.figures["open"] = server.files()
                outcome.hold(server.files() >= count, f"only {server.files()} files are open for {count} sockets")
                ended = together(await herd.end())["ended"]
        outcome.cost(cost)
        outcome.figures |= {
            "sockets": told["there"], "opened_in_s": told["max_s"], "refused": told["refused"], "ended": ended,
            "kib_a_socket": round((settled - cost.rss_before_mib) * 1024 / count, 1), "bystander": bystander.figures(),
        }  # fmt: skip
        outcome.hold(not ended, f"sockets ended by themselves: {ended}")
        outcome.hold(cost.db_connections <= POOL, f"{cost.db_connections} database connections")
    return outcome


async def herd(scale: float) -> Outcome:
    """5,000 devices that come back within one second after a restart, each with a change that waited."""
    outcome, count = Outcome(), int(5_000 * scale)
    with under("postgres") as server:
        async with asking(server.url) as client:
            # A phone, a watch, a tablet and a browser each.
            devices = (await planted(server, await client.devices(-(-count // 4), a_user=1), 4))[:count]
            bystander = await a_bystander(client)
        server.kill()
        outcome.figures["serving_in_s"] = round(server.start(), 2)
        async with asking(server.url) as client:
            bystander.asking = client
            begun = time.monotonic()
            async with (
                server.watched() as cost,
                bystander.standing_by(),
                herds(server.port, devices, over_s=1.0, sync=True) as back,
            ):
                seconds = time.monotonic() - begun
                told = together(back.there)
                await back.end()
        outcome.cost(cost)
        outcome.figures |= {"all_synced_in_s": round(seconds, 1), **told, "bystander": bystander.figures()}
        outcome.hold(told["there"] == count, f"{told['there']} of {count} came back")
        outcome.hold(told["max_s"] <= 60, f"the last was synced after {told['max_s']} s")
        outcome.hold(cost.db_connections <= POOL, f"{cost.db_connections} database connections")
        stored = await _rows(server, "SELECT count(*) FROM changes WHERE n = 1")
        outcome.hold(stored >= count, f"{stored} changes are stored of {count}")
    return outcome


async def planted(server: Under, homes: Sequence[Device], a_user: int) -> list[Device]:
    """So many devices for each user, written where registering leaves them: ten thousand calls take minutes."""
    rows, made = [], []
    for home in homes:
        made.append(home)
        for number in range(1, a_user):
            id = f"{home.device}-{number}"
            made.append(Device(home.token, home.space, id))
            rows.append((id, home.device, f"{home.device} {number}"))
    assert server.cluster is not None
    connection = await asyncpg.connect(server.cluster.url("fitai").replace("postgresql+asyncpg", "postgresql"))
    await connection.executemany(
        "INSERT INTO devices (id, user_id, key, name, platform, app_version, created_at, last_seen_at)"
        " SELECT $1, user_id, $3, name, platform, app_version, created_at, last_seen_at FROM devices WHERE id = $2",
        rows,
    )
    await connection.close()
    return made


async def _rows(server: Under, query: str) -> Any:
    assert server.cluster is not None
    url = server.cluster.url("fitai").replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def deaf(scale: float) -> Outcome:
    """Readers that never read, in a space that is written to all the time, beside one who does."""
    outcome, deaf_ones = Outcome(), max(1, int(20 * scale))
    with under("sqlite") as server:
        async with asking(server.url) as client:
            listeners = await client.devices(deaf_ones + 2)
            writer, reader = listeners[-2], listeners[-1]
            quiet = await a_bystander(client)
            async with AsyncExitStack() as stack:
                deafs = [await _socket(server.port, each) for each in listeners[:deaf_ones]]
                good = await stack.enter_async_context(Listening(server, reader))
                cost = await stack.enter_async_context(server.watched())
                await stack.enter_async_context(quiet.standing_by())
                pushed = 0
                # Beyond what the kernel keeps for each of them, far beyond what the server may.
                while pushed < 12 * MIB:
                    batch = writer.batch(500)
                    for change in batch["changes"]:
                        change["fields"]["title"] = "x" * 190
                    status, body, _ = await client.push(writer, batch)
                    outcome.hold(status == 200, f"the writer was answered {status} {body}")
                    pushed += len(json.dumps(batch))
                await good.caught_up(writer.n)
                outcome.figures |= {"pushed_mib": round(pushed / MIB, 1), "heard": good.records, "behind": good.behind}
                # The pings that nobody answers end them, within twice the heartbeat.
                files = server.files()
                closed_by = time.monotonic() + 75
                while server.files() > files - deaf_ones and time.monotonic() < closed_by:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
                outcome.figures["deaf_closed"] = files - server.files()
                outcome.hold(server.files() <= files - deaf_ones, "a reader that never reads keeps its socket")
                for each in deafs:
                    each.close()
        outcome.cost(cost)
        outcome.figures["bystander"] = quiet.figures()
        grown = cost.rss_mib - cost.rss_before_mib
        allowed = deaf_ones * OUTGOING_HARD_BYTES_MAX / MIB + 64
        outcome.hold(grown <= allowed, f"memory grew by {grown:.0f} MiB for {deaf_ones} readers that never read")
    return outcome


async def _socket(port: int, device: Device) -> asyncio.StreamWriter:
    """A socket that says hello and never reads, with as little room of its own as the kernel gives."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
    _, writer = await asyncio.open_connection(sock=own, limit=1)
    hello = {"type": "hello", "protocol": 1, "schema": 1, "token": device.token, "device": device.device}
    writer.write(_UPGRADE + frame(1, json.dumps({**hello, "spaces": {device.space: None}}).encode()))
    await writer.drain()
    transport: Any = writer.transport
    transport.pause_reading()
    return writer
