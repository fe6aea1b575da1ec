"""The cases of requests: too many writers, no database, no Redis, slow bodies, large bodies."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import asyncpg

from tests.faults.overload.outcome import MIB, POOL, Listening, Outcome, a_bystander
from tests.faults.overload.people import Asking, Device, asking
from tests.faults.overload.server import under


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
                bystander = await a_bystander(client)
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
            bystander = await a_bystander(client)
            # Every space is locked by somebody else, so that each push sleeps on its connection.
            locker = await asyncpg.connect(url)
            async with Listening(server, devices[0]), server.watched() as cost:
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
            bystander = await a_bystander(client)
            reader = Device(bystander.device.token, bystander.device.space, "")
            body = {"key": "00000000-0000-4000-8000-000000000001", "name": "Tablet"}
            made = await client.good("POST", "/api/sync/devices", token=reader.token, json=body)
            reader.device = made["device"]
            async with server.watched() as cost, Listening(server, reader) as line:
                for when in ("with", "gone", "back"):
                    if when == "gone":
                        server.redis.kill()
                    if when == "back":
                        server.redis.start()
                        async with asyncio.timeout(60):  # The bus says so in /health alone.
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
            device, bystander = (await client.devices(1))[0], await a_bystander(client)
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
            devices, bystander = await client.devices(count, a_user=1), await a_bystander(client)
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
