"""Who loads the server: users with devices, made over HTTP as any app does, and one bystander who is to notice little.

Owns: the requests of the load, and how long each took. Refuses to know: how many are too many.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from bench.load import uuid7

DEVICES_A_USER: Final = 60
# Requests under way at once while accounts are made: more would only wait.
AT_ONCE: Final = 16


@dataclass
class Device:
    """One device with its user's token and space. `n` and `after` are where its log stands."""

    token: str
    space: str
    device: str
    n: int = 0
    after: dict[str, Any] | None = None

    def batch(self, changes: int = 1, **fields: Any) -> dict[str, Any]:
        """The next push; `landed` once it was taken, and until then the same again."""
        made = [
            {
                "n": self.n + 1 + i,
                "hlc": f"{time.time_ns() // 1_000_000:012x}{i:04x}",
                "op": "put",
                "collection": "workouts",
                "id": uuid7(),
                "fields": {"title": f"{self.device} {self.n + 1 + i}", **fields},
            }
            for i in range(changes)
        ]
        made[0]["context"] = {self.device: self.n} if self.n else {}
        return {"device": self.device, "schema": 1, "after": self.after, "changes": made}

    def landed(self, batch: dict[str, Any]) -> None:
        last = batch["changes"][-1]
        self.n, self.after = last["n"], {"n": last["n"], "hlc": last["hlc"]}

    def as_json(self) -> dict[str, Any]:
        return {"token": self.token, "space": self.space, "device": self.device, "n": self.n, "after": self.after}


class Asking:
    """A client that gives back whatever is answered, and never waits for ever."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def ask(
        self, method: str, path: str, *, token: str | None = None, json: Any = None, data: Any = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """(status, JSON, headers)."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if data is not None:
            headers["Content-Type"] = "application/json"
        async with self._http.request(method, path, json=json, data=data, headers=headers) as response:
            return response.status, await response.json(), response.headers

    async def good(self, method: str, path: str, **more: Any) -> Any:
        status, body, _ = await self.ask(method, path, **more)
        if status >= 300:
            raise RuntimeError(f"{method} {path} was answered {status}: {body}")
        return body

    async def push(self, device: Device, batch: dict[str, Any]) -> tuple[int, Any, Any]:
        answer = await self.ask("POST", f"/api/sync/spaces/{device.space}/push", token=device.token, json=batch)
        if answer[0] == 200:
            device.landed(batch)
        return answer

    async def devices(self, count: int, *, a_user: int = DEVICES_A_USER) -> list[Device]:
        """So many devices, `a_user` of them to a user."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def user(devices: int) -> list[Device]:
            async with gate:
                email = f"{uuid.uuid4().hex}@example.com"
                made = await self.good(
                    "POST", "/api/users/register", json={"email": email, "password": "lift heavy things", "name": "A"}
                )
                token = made["data"]["access_token"]
                spaces = (await self.good("GET", "/api/sync/spaces", token=token))["spaces"]
                space = next(each["id"] for each in spaces if each["kind"] == "personal")
                found = []
                for _ in range(devices):
                    body = {"key": str(uuid.uuid4()), "name": "Phone"}
                    device = (await self.good("POST", "/api/sync/devices", token=token, json=body))["device"]
                    found.append(Device(token, space, device))
                return found

        sizes = [min(a_user, count - start) for start in range(0, count, a_user)]
        return [device for each in await asyncio.gather(*map(user, sizes)) for device in each]


@asynccontextmanager
async def asking(url: str, *, timeout_s: float = 60.0) -> AsyncIterator[Asking]:
    """Speak to the server at `url`."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        url, connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s)
    ) as session:
        yield Asking(session)


@dataclass
class Bystander:
    """Somebody who logs a set now and then while others overload the server."""

    asking: Asking
    device: Device
    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    unanswered: dict[str, Any] | None = None

    async def step(self) -> None:
        """One push, timed; one that is refused is sent again by the next step."""
        begun = time.perf_counter()
        try:
            batch = self.unanswered = self.unanswered or self.device.batch()
            status, body, _ = await self.asking.push(self.device, batch)
            self.unanswered = None if status == 200 else batch
            self.answers[str(status) if status < 400 else f"{status} {body['code']}"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers[type(error).__name__] += 1
        self.seconds.append(time.perf_counter() - begun)

    @asynccontextmanager
    async def standing_by(self, pause_s: float = 0.05) -> AsyncIterator[None]:
        """Push again and again while the block lasts."""
        self.seconds.clear()
        self.answers.clear()

        async def stand() -> None:
            while True:
                await self.step()
                await asyncio.sleep(pause_s)

        standing = asyncio.create_task(stand())
        try:
            yield
        finally:
            standing.cancel()
            with suppress(asyncio.CancelledError):
                await standing

    def figures(self) -> dict[str, Any]:
        ordered = sorted(self.seconds) or [0.0]
        return {
            "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 1),
            "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3, 1),
            "max_ms": round(ordered[-1] * 1e3, 1),
            "answers": dict(self.answers),
        }
