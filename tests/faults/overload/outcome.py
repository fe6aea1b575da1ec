"""What a case saw, and the two who watch while it lasts: one who logs, and one whose socket listens."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.faults.overload.people import Asking, Bystander, Device
from tests.faults.overload.server import Cost, Under

MIB: Final = 2**20
POOL: Final = 10


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


async def a_bystander(asking_: Asking) -> Bystander:
    return Bystander(asking_, (await asking_.devices(1))[0])


@dataclass
class Listening:
    """A reader that reads; a `behind` is a reader that pulls, which counts as heard too."""

    server: Under
    device: Device
    records: int = 0
    behind: int = 0
    last: int = 0
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Listening:
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
