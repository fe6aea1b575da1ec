"""Thousands of devices in a process of its own: `python -m tests.faults.overload.herd`, told by lines of JSON.

The first line of the input: {"port", "devices", "over_s", "sync"}. Every device opens its socket at a moment drawn
from `over_s` seconds, says hello and stays; with `sync` it pushes one change and pulls first, as a device does that was
away. What is refused is tried again as the SDK tries: after what the server said, or longer each time, with jitter. One
line comes out when all are there, one more after the input has ended.

Nothing of a device but its own state costs memory here: no SDK, no database.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from fitai_client.core.environment import Environment
from fitai_client.core.running import Running
from tests.faults.overload.people import Device
from tests.faults.overload.server import allow_files
from tests.security.fuzz.wire import frame

TIMEOUT_S: Final = 60.0
# Source addresses, so that no pair of addresses runs out of ports.
SOURCES: Final = 8
_UPGRADE: Final = (
    b"GET /api/sync/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Refused(Exception):
    """The server said no for now."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


@dataclass
class Herd:
    """All of them."""

    port: int
    sync: bool
    seconds: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    deltas: int = 0

    async def live(self, device: Device, delay_s: float) -> asyncio.Task[None]:
        """One device until it is synced and welcomed; the task in which it stays."""
        await asyncio.sleep(delay_s)
        begun = time.monotonic()
        running = Running(Environment(lambda: time.monotonic_ns() // 1_000_000, os.urandom))
        # What has been answered is not asked again, whatever is refused after it.
        base = f"/api/sync/spaces/{device.space}"
        due: list[tuple[str, str, bytes]] = []
        if self.sync:
            due = [("POST", f"{base}/push", json.dumps(device.batch()).encode()), ("GET", f"{base}/pull?limit=1", b"")]
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    if due:
                        await self._sync(device, due)
                    made = await self._open(device)
                self.seconds.append(time.monotonic() - begun)
                return asyncio.create_task(self.stay(*made))
            except Refused as error:
                self._refused(running, str(error), error.retry_after_s)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._refused(running, type(error).__name__, None)
            wait_s = max(0.0, running.not_before_ms / 1_000 - time.monotonic())
            self.waits.append(wait_s)
            await asyncio.sleep(wait_s)

    def _refused(self, running: Running, why: str, seconds: float | None) -> None:
        self.refused[why] += 1
        running.wait("busy", why, seconds)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        source = (f"127.0.0.{random.randrange(1, 1 + SOURCES)}", 0)
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=source, limit=2**17)

    async def _sync(self, device: Device, due: list[tuple[str, str, bytes]]) -> None:
        """Ask what is due, one after the other, and take off what was answered."""
        reader, writer = await self._connect()
        try:
            while due:
                await _ask(reader, writer, device, *due[0])
                del due[0]
        finally:
            writer.close()

    async def _open(self, device: Device) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self._connect()
        try:
            hello = {"type": "hello", "protocol": 1, "schema": 1, "token": device.token, "device": device.device}
            # At once: thousands of phones have a processor each, and here they share one.
            writer.write(_UPGRADE + frame(1, json.dumps({**hello, "spaces": {device.space: None}}).encode()))
            status, headers, _ = await _reply(reader)
            if status != 101:
                raise Refused(f"handshake {status}", _retry_after(headers))
            opcode, payload = await _frame(reader)
            while opcode == 9:  # Its hello still waits in line.
                writer.write(frame(10, payload))
                opcode, payload = await _frame(reader)
            if opcode != 1 or b'"welcome"' not in payload:
                raise Refused(f"close {int.from_bytes(payload[:2])}" if opcode == 8 else payload[:40].decode())
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer pings until the server ends it."""
        try:
            while True:
                opcode, payload = await _frame(reader)
                if opcode == 9:
                    writer.write(frame(10, payload))
                elif opcode == 8:
                    self.ended[str(int.from_bytes(payload[:2]))] += 1
                    return
                self.deltas += b'"type":"delta"' in payload
        except (OSError, asyncio.IncompleteReadError):
            self.ended["lost"] += 1
        finally:
            writer.close()

    def figures(self) -> dict[str, Any]:
        ordered = sorted(self.seconds) or [0.0]
        waits = sorted(self.waits) or [0.0]
        return {
            "there": len(self.seconds),
            "p50_s": round(ordered[len(ordered) // 2], 2),
            "max_s": round(ordered[-1], 2),
            "refused": dict(self.refused),
            "waits_s": [round(waits[0], 2), round(waits[len(waits) // 2], 2), round(waits[-1], 2)],
            "ended": dict(self.ended),
            "deltas": self.deltas,
        }


async def _reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(lines[0].split(" ", 2)[1]), headers, body


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    device: Device,
    method: str,
    path: str,
    body: bytes,
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {device.token}\r\n"
    head += f"Sync-Device: {device.device}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    status, headers, said = await _reply(reader)
    if status != 200:
        code = json.loads(said)["code"] if said.startswith(b"{") else "?"
        raise Refused(f"{method} {status} {code}", _retry_after(headers))


def _retry_after(headers: dict[str, str]) -> float | None:
    return float(headers["retry-after"]) if "retry-after" in headers else None


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8))
    return head[0] & 0x0F, await reader.readexactly(size)


async def run(told: dict[str, Any]) -> None:
    """As the module says."""
    allow_files()
    herd = Herd(told["port"], told["sync"])
    devices = [Device(**each) for each in told["devices"]]
    staying = await asyncio.gather(*(herd.live(each, random.uniform(0, told["over_s"])) for each in devices))
    _say(herd.figures())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for task in staying:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*staying, return_exceptions=True)
    _say(herd.figures())


def _say(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.stdin.readline())))
