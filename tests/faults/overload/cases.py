"""The cases: what is asked of the server, what it costs, and what must hold whatever the machine.

A case gives figures, which are told, and findings, which are none: an empty list is what a run is for. Times are
figures but where a promise of docs/reliability.md names one, with room for a slow machine.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import asyncpg

from sync.outgoing import OUTGOING_HARD_BYTES_MAX
from tests.faults.overload.herds import herds, together
from tests.faults.overload.people import DEVICES_A_USER, Asking, Bystander, Device, asking
from tests.faults.overload.server import Cost, Under, under
from tests.security.fuzz.wire import frame

MIB: Final = 2**20
POOL: Final = 10
_UPGRADE: Final = (
    b"GET /api/sync/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass
class Outcome:
    """What a case saw. `findings`: what must not be, in a sentence each."""

    figures: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def hold(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.findings.append(sentence)

    def cost(self, cost: Cost) -> None:
        self.figures |= {
            "rss_before_mib": round(cost.rss_before_mib),
            "rss_peak_mib": round(cost.rss_mib),
            "files": cost.files,
            "server_cpu_s": round(cost.cpu_s, 1),
            "db_connections": cost.db_connections,
        }


async def _bystander(asking_: Asking) -> Bystander:
    return Bystander(asking_, (await asking_.devices(1))[0])


async def sockets(scale: float) -> Outcome:
    """10,000 sockets on one process, idle, and somebody who goes on logging."""
    outcome, count = Outcome(), int(10_000 * scale)
    with under("postgres") as server:
        async with asking(server.url) as client:
            bystander = await _bystander(client)
            devices = await planted(server, await client.devices(-(-count // DEVICES_A_USER), a_user=1))
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
            devices = await client.devices(count, a_user=4)
            bystander = await _bystander(client)
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


async def planted(server: Under, homes: Sequence[Device]) -> list[Device]:
    """DEVICES_A_USER devices for each user, written where registering leaves them: ten thousand calls take minutes."""
    rows, made = [], []
    for home in homes:
        made.append(home)
        for number in range(1, DEVICES_A_USER):
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
            quiet = await _bystander(client)
            async with AsyncExitStack() as stack:
                deafs = [await _socket(server.port, each) for each in listeners[:deaf_ones]]
                good = await stack.enter_async_context(_listening(server, reader))
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


@dataclass
class _Listening:
    """A reader that reads; a `behind` is a reader that pulls, which counts as heard too."""

    server: Under
    device: Device
    records: int = 0
    behind: int = 0
    last: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> _Listening:
        welcomed = asyncio.Event()
        self.task = asyncio.create_task(self._listen(welcomed))
        await asyncio.wait_for(welcomed.wait(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _listen(self, welcomed: asyncio.Event) -> None:
        async with (
            aiohttp.ClientSession(self.server.url) as http,
            http.ws_connect("/api/sync/live", max_msg_size=0) as ws,
        ):
            hello = {"type": "hello", "protocol": 1, "schema": 1, "token": self.device.token}
            await ws.send_json({**hello, "device": self.device.device, "spaces": {self.device.space: None}})
            async for message in ws:
                heard = json.loads(message.data)
                if heard["type"] == "welcome":
                    welcomed.set()
                elif heard["type"] == "delta":
                    self.records += len(heard["records"])
                    self.last = max([self.last, *heard["version"].values()])
                elif heard["type"] == "behind":
                    self.behind += 1
                self.moved.set()

    async def caught_up(self, n: int) -> None:
        async with asyncio.timeout(60):
            while self.last < n and not self.behind:
                self.moved.clear()
                await self.moved.wait()


def _listening(server: Under, device: Device) -> _Listening:
    return _Listening(server, device)


async def writers(scale: float) -> Outcome:
    """64 devices that all write into one space at once, and one in a space of its own."""
    outcome, count = Outcome(), 64
    each = max(3, int(20 * scale))
    for kind in ("postgres", "sqlite"):
        with under(kind) as server:  # type: ignore[arg-type]
            async with asking(server.url) as client:
                user = await client.devices(60)
                more = [Device(user[0].token, user[0].space, user[0].device)]
                for number in range(count - len(user)):
                    body = {"key": f"00000000-0000-4000-8000-{number:012d}", "name": "Tablet"}
                    made = await client.good("POST", "/api/sync/devices", token=user[0].token, json=body)
                    more.append(Device(user[0].token, user[0].space, made["device"]))
                devices = user + more[1:]
                bystander = await _bystander(client)
                async with bystander.standing_by():
                    await asyncio.sleep(1)
                alone = bystander.figures()
                answers: Counter[str] = Counter()
                retries: Counter[int] = Counter()

                async def write(
                    device: Device, client: Asking = client, answers: Counter[str] = answers,
                    retries: Counter[int] = retries,
                ) -> None:  # fmt: skip
                    for _ in range(each):
                        batch, tries = device.batch(), 0
                        while True:
                            status, body, headers = await client.push(device, batch)
                            answers[str(status) if status < 400 else f"{status} {body['code']}"] += 1
                            if status == 200:
                                break
                            tries += 1
                            await asyncio.sleep(float(headers.get("Retry-After", 1)))
                        retries[tries] += 1

                begun = time.monotonic()
                async with server.watched() as cost, bystander.standing_by():
                    await asyncio.gather(*map(write, devices))
                seconds = time.monotonic() - begun
                held = await _count(client, devices[0])
            part = Outcome()
            part.cost(cost)
            part.figures |= {
                "pushes_a_second": round(count * each / seconds), "answers": dict(answers), "retries": dict(retries),
                "held": held, "bystander_alone": alone, "bystander": bystander.figures(),
            }  # fmt: skip
            outcome.figures[kind] = part.figures
            outcome.hold(held == count * each, f"{kind}: {held} records are held of {count * each}")
            outcome.hold(max(retries) <= 5, f"{kind}: a push was sent {max(retries) + 1} times")
            outcome.hold(cost.db_connections <= POOL, f"{cost.db_connections} database connections")
    return outcome


async def _count(client: Asking, device: Device) -> int:
    digest = await client.good("GET", f"/api/sync/spaces/{device.space}/digest", token=device.token)
    return int(digest["count"])


async def pool(scale: float) -> Outcome:
    """Every connection to the database is asleep: refused in a second, live heartbeats, back by itself."""
    outcome = Outcome()
    with under("postgres") as server:
        assert server.cluster is not None
        url = server.cluster.url("fitai").replace("postgresql+asyncpg", "postgresql")
        async with asking(server.url) as client:
            devices = await client.devices(200)
            bystander = await _bystander(client)
            # Every space is locked by somebody else, so that each push sleeps on its connection.
            locker = await asyncpg.connect(url)
            async with _listening(server, devices[0]), server.watched() as cost:
                lock = locker.transaction()
                await lock.start()
                await locker.execute("LOCK TABLE spaces IN ACCESS EXCLUSIVE MODE")
                seconds: list[float] = []
                answers: Counter[str] = Counter()
                retry: Counter[str] = Counter()

                async def ask(device: Device) -> None:
                    begun = time.monotonic()
                    status, body, headers = await client.push(device, device.batch())
                    seconds.append(time.monotonic() - begun)
                    answers[f"{status} {body.get('code', '')}".strip()] += 1
                    retry[str(headers.get("Retry-After"))] += 1

                sleeping = [asyncio.create_task(ask(each)) for each in devices[:POOL]]
                await asyncio.sleep(0.5)
                begun = time.monotonic()
                burst = [asyncio.create_task(ask(each)) for each in devices[POOL:]]
                await asyncio.wait(burst)
                outcome.figures["burst_answered_in_s"] = round(time.monotonic() - begun, 2)
                outcome.figures["health_live_ms"] = await _health(client)
                await asyncio.sleep(1)
                late: list[float] = []
                for _ in range(5):
                    one = time.monotonic()
                    await ask(devices[-1])
                    late.append(round(time.monotonic() - one, 2))
                outcome.figures["later_answered_in_s"] = late
                await lock.rollback()
                healed = time.monotonic()
                while True:
                    bystander.answers.clear()
                    await bystander.step()
                    if bystander.answers["200"]:
                        break
                outcome.figures["recovered_in_s"] = round(time.monotonic() - healed, 2)
                await asyncio.gather(*sleeping)
            await locker.close()
        outcome.cost(cost)
        outcome.figures |= {"answers": dict(answers), "retry_after": dict(retry), "slowest_s": round(max(seconds), 2)}
        outcome.hold(outcome.figures["burst_answered_in_s"] <= 3, "requests hang while the pool is exhausted")
        outcome.hold(max(late) <= 1.5, f"a request of a stalled server waited {max(late)} s")
        outcome.hold("None" not in retry or answers["200"] >= retry["None"], "a refusal says not when to come back")
        outcome.hold(outcome.figures["recovered_in_s"] <= 5, "it did not recover within 5 s")
        outcome.hold(cost.db_connections <= POOL, f"{cost.db_connections} database connections")
    return outcome


async def _health(client: Asking) -> float:
    begun = time.perf_counter()
    status, _, _ = await client.ask("GET", "/health/live")
    return round((time.perf_counter() - begun) * 1e3, 1) if status == 200 else -1.0


async def redis(scale: float) -> Outcome:
    """Redis is killed, is gone for a while, and comes back empty."""
    outcome = Outcome()
    with under("sqlite", redis=True) as server:
        assert server.redis is not None
        async with asking(server.url) as client:
            bystander = await _bystander(client)
            reader = Device(bystander.device.token, bystander.device.space, "")
            body = {"key": "00000000-0000-4000-8000-000000000001", "name": "Tablet"}
            made = await client.good("POST", "/api/sync/devices", token=reader.token, json=body)
            reader.device = made["device"]
            async with server.watched() as cost, _listening(server, reader) as line:
                for when in ("with", "gone", "back"):
                    if when == "gone":
                        server.redis.kill()
                    if when == "back":
                        server.redis.start()
                        async with asyncio.timeout(30):  # The bus says so in /health alone.
                            while (await client.good("GET", "/health"))["data"]["checks"]["redis"] != "ok":  # noqa: ASYNC110
                                await asyncio.sleep(0.05)
                    async with bystander.standing_by(0.01):
                        await asyncio.sleep(max(2.0, 6 * scale))
                    outcome.figures[when] = bystander.figures()
                    failed = {answer for answer in bystander.answers if answer != "200"}
                    outcome.hold(not failed, f"Redis {when}: pushes were answered {failed}")
                    await line.caught_up(bystander.device.n)
        outcome.cost(cost)
        p99 = [outcome.figures[when]["p99_ms"] for when in ("with", "gone", "back")]
        outcome.figures["p99_of_gone_to_with"] = round(p99[1] / max(p99[0], 0.1), 2)
    return outcome


async def drip(scale: float) -> Outcome:
    """Heads and bodies that come a byte at a time, and connections that say nothing, beside one who logs."""
    outcome, count = Outcome(), int(1_500 * scale)
    with under("sqlite") as server:
        async with asking(server.url) as client:
            device, bystander = (await client.devices(1))[0], await _bystander(client)
            async with bystander.standing_by():
                await asyncio.sleep(2)
            alone = bystander.figures()
            async with server.watched() as cost:
                begun = time.monotonic()
                slow = [asyncio.create_task(_drip(server.port, device, number)) for number in range(count)]
                async with bystander.standing_by():
                    ended = await asyncio.gather(*slow)
            outcome.cost(cost)
        seconds = [at - begun for at, _ in ended]
        outcome.figures |= {
            "dripping": count, "last_closed_s": round(max(seconds), 1), "answers": dict(Counter(w for _, w in ended)),
            "bystander_alone": alone, "bystander": bystander.figures(),
        }  # fmt: skip
        # 25 s for a head, 20 s for a body, 5 s of lingering; and a slow machine.
        outcome.hold(max(seconds) <= 45, f"a dripping connection was kept for {max(seconds):.0f} s")
        refused = {answer for answer in bystander.answers if answer != "200"}
        outcome.hold(not refused, f"the bystander was answered {refused}")
    return outcome


async def _drip(port: int, device: Device, number: int) -> tuple[float, str]:
    """(when the server closed, what it said) to a head, a body, or nothing at all, that never comes to its end."""
    await asyncio.sleep(number % 100 / 100)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return time.monotonic(), "not accepted"
    head = f"POST /api/sync/spaces/{device.space}/push HTTP/1.1\r\nHost: x\r\n".encode()
    body = f"Authorization: Bearer {device.token}\r\nContent-Length: 900000\r\n\r\n".encode()
    first = [head, head + body + b"{", b""][number % 3]

    async def drip() -> None:
        writer.write(first)
        while first:
            await asyncio.sleep(2)
            writer.write(b"x")

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(90):
            said = await reader.read()
        return time.monotonic(), said[9:12].decode() or "closed"
    except (OSError, TimeoutError) as error:
        return time.monotonic(), type(error).__name__
    finally:
        dripping.cancel()
        writer.close()


async def bodies(scale: float) -> Outcome:
    """Batches of a mebibyte from hundreds of devices at once."""
    outcome, count = Outcome(), int(200 * scale)
    with under("postgres") as server:
        async with asking(server.url, timeout_s=300) as client:
            devices, bystander = await client.devices(count, a_user=1), await _bystander(client)
            filled = [_filled(each) for each in devices]
            answers: Counter[str] = Counter()

            async def send(device: Device, body: bytes) -> None:
                for _ in range(100):
                    path = f"/api/sync/spaces/{device.space}/push"
                    status, said, headers = await client.ask("POST", path, token=device.token, data=body)
                    answers[str(status) if status < 400 else f"{status} {said['code']}"] += 1
                    if status == 200:
                        return
                    await asyncio.sleep(float(headers["Retry-After"]))

            begun = time.monotonic()
            async with server.watched() as cost, bystander.standing_by():
                await asyncio.gather(*(send(*each) for each in zip(devices, filled, strict=True)))
            seconds = time.monotonic() - begun
        outcome.cost(cost)
        outcome.figures |= {
            "bodies": count, "mib": round(sum(map(len, filled)) / MIB), "all_in_s": round(seconds, 1),
            "answers": dict(answers), "bystander": bystander.figures(),
        }  # fmt: skip
        outcome.hold(answers["200"] == count, f"{answers['200']} of {count} batches were taken")
        grown = cost.rss_mib - cost.rss_before_mib
        outcome.hold(grown <= 320, f"memory grew by {grown:.0f} MiB")
    return outcome


def _filled(device: Device) -> bytes:
    """A push just below the limit of a body."""
    batch = device.batch(1_000)
    for change in batch["changes"]:
        change["fields"] = {"title": "t" * 190, "tags": {"add": [f"tag {n} " + "y" * 40 for n in range(12)]}}
    data = json.dumps(batch).encode()
    while len(data) > 1_048_576:
        batch["changes"] = batch["changes"][: len(batch["changes"]) * 9 // 10]
        data = json.dumps(batch).encode()
    return data


CASES: Final[Mapping[str, Callable[[float], Awaitable[Outcome]]]] = {
    "sockets": sockets,
    "herd": herd,
    "deaf": deaf,
    "writers": writers,
    "pool": pool,
    "redis": redis,
    "drip": drip,
    "bodies": bodies,
}
