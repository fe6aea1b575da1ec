"""Hostile users against the real application on a real socket: accounts, raw requests, and what no answer may be."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.api.harness import Answer, Server

CATALOG = "00000000-0000-7000-8000-00000000ca7a"
ALLOWED_GROWTH_BYTES = 32 * 1024 * 1024
# How often a device of these tests sends the same to a server that is busy.
TRIES = 20


def record_id(number: int) -> str:
    """A UUID of version 7 that is the same for the same number."""
    return str(UUID(int=(0x01A1EE56_5E00_7000_8000_000000000000 + number)))


@dataclass
class Person:
    """A signed-in user with a device and a personal space. `push` numbers its changes by itself."""

    server: Server
    user: str
    token: str
    refresh_token: str
    device: str
    space: str
    last: dict[str, Any] | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    stamps: int = 0

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request, and the same again where the server was busy, as a device does; whatever is asked, the answer is
        no failure of the server."""
        more.setdefault("token", self.token)
        if body is not None:
            more["headers"] = {"Content-Type": "application/json", **more.get("headers", {})}
        for _ in range(TRIES):
            if body is not None:
                more["data"] = io.BytesIO(json.dumps(body).encode())
            answer = await self.server.ask(method, path, **more)
            if answer.status != 503 or answer.code != "unavailable":
                break
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        assert answer.status < 500, (method, path[:200], answer.status, answer.text[:500])
        return answer

    def at(self, what: str, space: str | None = None) -> str:
        return f"/api/sync/spaces/{quote(space or self.space, safe='')}/{what}"

    def stamp(self) -> str:
        self.stamps += 1
        return f"01a1ee56{self.stamps:08x}"

    def change(self, space: str | None = None, **change: Any) -> dict[str, Any]:
        """The next change of this device in a space; what is given stands in place of what is usual."""
        key = space or self.space
        self.numbers[key] = self.numbers.get(key, 0) + 1
        return {"n": self.numbers[key], "hlc": self.stamp(), "context": {}, **change}

    def put(self, id: str, *, collection: str = "workouts", space: str | None = None, **fields: Any) -> dict[str, Any]:
        return self.change(space, collection=collection, id=id, op="put", fields=fields)

    def delete(self, id: str, *, collection: str = "workouts", space: str | None = None) -> dict[str, Any]:
        return self.change(space, collection=collection, id=id, op="delete")

    def body(self, *changes: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"device": self.device, "schema": 1, "after": None, "changes": list(changes), **more}

    async def push(self, *changes: dict[str, Any], space: str | None = None, **more: Any) -> Answer:
        """Push; `after` is what the last push through here ended with."""
        key = space or self.space
        body = self.body(*changes, **{"after": (self.last or {}).get(key), **more})
        answer = await self.ask("POST", self.at("push", space), body)
        if answer.status == 200 and changes:
            self.last = {**(self.last or {}), key: {"n": changes[-1]["n"], "hlc": changes[-1]["hlc"]}}
        return answer

    async def pull(self, space: str | None = None, query: str = "") -> Any:
        answer = await self.ask("GET", self.at("pull", space) + query)
        assert answer.status == 200, answer.text
        return answer.json

    async def shown(self, space: str | None = None) -> dict[str, Any]:
        """The records of a whole pull, by id."""
        return {record["id"]: record for record in (await self.pull(space))["records"]}

    async def shared_with(self, *others: Person, role: str = "editor") -> str:
        """A new shared space of this user in which the others are members."""
        space: str = (await self.ask("POST", "/api/sync/spaces", {"name": "Gym"})).json["id"]
        for other in others:
            invited = await self.ask("POST", self.at("members", space), {"user": other.user, "role": role})
            assert invited.status == 201, invited.text
            assert (await other.ask("POST", other.at("accept", space))).status == 200
        return space

    @asynccontextmanager
    async def socket(self, spaces: dict[str, str | None] | None = None, **hello: Any) -> AsyncIterator[Line]:
        """A live socket of this device that has been welcomed."""
        async with self.server.session.ws_connect(self.server.url + "/api/sync/live") as ws:
            line = Line(ws)
            await line.say("hello", **self.hello(spaces, **hello))
            welcome = await line.hear()
            assert welcome["type"] == "welcome", welcome
            yield line

    def hello(self, spaces: dict[str, str | None] | None = None, **more: Any) -> dict[str, Any]:
        usual = {"protocol": 1, "schema": 1, "token": self.token, "device": self.device, "spaces": spaces or {}}
        return usual | more


@dataclass
class Line:
    """The client's end of a socket."""

    ws: ClientWebSocketResponse

    async def say(self, type: str, **message: Any) -> None:
        await self.ws.send_str(json.dumps({"type": type, **message}))

    async def hear(self, type: str | None = None) -> dict[str, Any]:
        """The next message, or the next one of a type."""
        while True:
            message = await self.ws.receive(timeout=60)
            assert message.type is WSMsgType.TEXT, (message, self.ws.close_code)
            heard: dict[str, Any] = json.loads(message.data)
            if type is None or heard["type"] == type:
                return heard

    async def acks(self, space: str, pushed: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """The ack of each of these pushes, by id; one for which the server was busy is sent again, as a device does."""
        found: dict[int, dict[str, Any]] = {}
        while len(found) < len(pushed):
            heard = await self.hear()
            if heard["type"] == "ack":
                found[heard["id"]] = heard
            elif heard["type"] == "error":
                assert heard["code"] == "unavailable", heard
                await self.say("push", id=heard["id"], space=space, **pushed[heard["id"]])
        return found

    async def end(self) -> tuple[int | None, list[dict[str, Any]]]:
        """The code with which the server closes, and what it said before."""
        said: list[dict[str, Any]] = []
        while True:
            message = await self.ws.receive(timeout=60)
            if message.type is not WSMsgType.TEXT:
                await self.ws.close()
                return self.ws.close_code, said
            said.append(json.loads(message.data))


async def join(server: Server) -> Person:
    """Sign up a new user with a device."""
    made = await server.register()
    token = made["access_token"]
    registration = {"key": str(UUID(int=server.users)), "name": "Phone"}
    device = (await server.ask("POST", "/api/sync/devices", registration, token=token)).json["device"]
    listed = (await server.ask("GET", "/api/sync/spaces", token=token)).json["spaces"]
    personal = next(space["id"] for space in listed if space["kind"] == "personal")
    return Person(server, made["user"]["id"], token, made["refresh_token"], device, personal)


async def send_raw(server: Server, data: bytes, *, end: bool = False) -> bytes:
    """Send bytes as they are; what the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def resident_bytes() -> int:
    """What this process, the server in it included, holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def faults(records: list[logging.LogRecord]) -> list[str]:
    """What a hostile request may never make the server log: a traceback, or an error."""
    return [
        f"{record.name}: {record.getMessage()[:300]} {record.exc_info[1]!r}"
        if record.exc_info
        else record.getMessage()[:300]
        for record in records
        if record.levelno >= logging.ERROR or record.exc_info
    ]


__all__ = ["CATALOG", "Answer", "Line", "Person", "Server", "aiohttp", "faults", "join", "record_id", "send_raw"]
