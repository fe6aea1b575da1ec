"""Plain writers: devices of some twenty lines that speak the protocol by themselves.

Owns: what they write, drawn from the seed, and that every acknowledgement they get is logged. They have no code in
common with the SDK, and take every answer exactly; what they do not expect is a `Violation`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import aiohttp

from tests.faults.acks import AckLog, Change
from tests.faults.phones import EMAIL, PASSWORD, Pace
from tests.faults.verdict import Violation

# Their patience with one request.
REQUEST_S: Final = 10.0


class PlainWriter:
    """A device of some twenty lines: it numbers its changes, keeps them, and sends what is not acknowledged."""

    def __init__(
        self, name: str, url: str, log: AckLog, random: Random, *, new_only: bool = False, hlc_ahead_ms: int = 0
    ) -> None:
        """new_only: it makes records and edits none. hlc_ahead_ms: how wrong its clock is."""
        self.name = name
        self.url = url
        self.device = ""
        self.space = ""
        self.acked = 0
        # When a push was last sent that was then acknowledged, by time.monotonic(): a server lived after that.
        self.last_success = 0.0
        # Requests without an answer, and answers that say "later".
        self.resent = 0
        self.refused = 0
        self._log = log
        self._random = random
        self._new_only = new_only
        self._hlc_ahead_ms = hlc_ahead_ms
        self._changes: list[dict[str, Any]] = []
        self._workouts: list[str] = []
        self._titles: dict[str, str] = {}
        self._hlc = 0
        # By server: where clocks differ, one takes the other's for expired, and each sign-in ends an older session.
        self._tokens: dict[str, str] = {}
        self._session: aiohttp.ClientSession

    @asynccontextmanager
    async def opened(self, server: str) -> AsyncIterator[PlainWriter]:
        """Sign in and get an id at `server` itself; everything after that goes by `url`."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            await self._sign_in(server)
            body = {"key": str(uuid.UUID(int=self._random.getrandbits(128), version=4)), "name": self.name}
            body |= {"platform": "rig", "app_version": "1"}
            self.device = (await self._ask(server, "POST", "/api/sync/devices", body))["device"]
            spaces = (await self._ask(server, "GET", "/api/sync/spaces"))["spaces"]
            self.space = next(one["id"] for one in spaces if one["kind"] == "personal")
            yield self

    async def write(self, pace: Pace) -> None:
        """Write for ever: a batch, and the next one once it is acknowledged."""
        while True:
            async with pace.turn():
                self.make()
                await self.send()
            await asyncio.sleep(self._random.uniform(0.02, 0.1))

    @property
    def unsent(self) -> int:
        """How many changes are not acknowledged."""
        return len(self._changes) - self.acked

    def make(self) -> None:
        """One more batch of changes: new workouts, and new titles of old ones."""
        for _ in range(self._random.randint(1, 3)):
            n = len(self._changes) + 1
            marker = f"{self.name} {n} {self._random.getrandbits(40):010x}"
            if self._workouts and not self._new_only and self._random.random() < 0.4:
                id = self._random.choice(self._workouts)
            else:
                id = self._new_id()
                self._workouts.append(id)
            self._hlc = max(self._hlc + 1, time.time_ns() // 1_000_000 + self._hlc_ahead_ms << 16)
            change = {"n": n, "hlc": f"{self._hlc:016x}", "context": {}, "collection": "workouts", "id": id}
            change |= {"op": "put", "fields": {"title": marker}}
            self._changes.append(change)
            # It reads nothing: what it replaces is its own title of before.
            seen = {"title": [self._titles[id]]} if id in self._titles else {}
            self._titles[id] = marker
            self._log.issue(self.name, Change.of("put", "workouts", id, change["fields"]), seen=seen)

    def _new_id(self) -> str:
        """A UUID of version 7."""
        made = uuid.UUID(int=(time.time_ns() // 1_000_000 << 80) | self._random.getrandbits(80), version=4).bytes
        return str(uuid.UUID(bytes=made[:6] + bytes([0x70 | made[6] & 0x0F]) + made[7:]))

    async def send(self) -> None:
        """Push what is not acknowledged until it is."""
        while self.unsent:
            if not await self.push_once():
                await asyncio.sleep(self._random.uniform(0.02, 0.15))

    async def push_once(self) -> bool:
        """One request; True where it was answered well. Raises Violation on an answer that nothing explains."""
        last = len(self._changes)
        after = None if self.acked == 0 else {name: self._changes[self.acked - 1][name] for name in ("n", "hlc")}
        body = {"device": self.device, "schema": 1, "after": after, "changes": self._changes[self.acked :]}
        sent = time.monotonic()
        try:
            status, answer = await self._request(self.url, "POST", f"/api/sync/spaces/{self.space}/push", body)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError):
            self.resent += 1
            return False
        if status == 200:
            self._take(answer, last)
            self.last_success = max(self.last_success, sent)
            return True
        code = answer.get("code")
        if code == "server_behind":
            # What it lost is sent again, out of the log.
            self.acked = int(answer["details"]["acked"])
        elif code == "gap":
            self.acked = int(answer["details"]["expected"]) - 1
        elif status == 401:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, Violation):
                await self._sign_in(self.url)
        elif status in (429, 503):
            self.refused += 1
        else:
            raise Violation("answer", f"{self.name} got {status} {answer} for a push that is in order")
        return False

    def _take(self, answer: dict[str, Any], last: int) -> None:
        if answer["rejected"]:
            raise Violation("refused", f"{self.name} had changes refused: {answer['rejected']}")
        if answer["acked"] < last:
            raise Violation("answer", f"{self.name} pushed up to {last} and was told {answer['acked']}")
        for change in self._changes[self.acked : last]:
            said = Change.of("put", "workouts", change["id"], change["fields"])
            self._log.acknowledged(self.name, (self.device, change["n"]), said)
        self.acked = last

    async def _sign_in(self, server: str) -> None:
        answer = await self._ask(server, "POST", "/api/users/login", {"email": EMAIL, "password": PASSWORD})
        self._tokens[server] = answer["data"]["access_token"]

    async def server_digest(self, server: str) -> dict[str, Any]:
        """What `server` shows of the space, as a digest."""
        return await self._ask(server, "GET", f"/api/sync/spaces/{self.space}/digest")

    async def server_shown(self, server: str) -> dict[tuple[str, str], int]:
        """The seq of every record that `server` shows, by collection and id."""
        shown = {}
        for bucket in (await self.server_digest(server))["buckets"]:
            answer = await self._ask(server, "GET", f"/api/sync/spaces/{self.space}/digest?bucket={bucket}")
            shown |= {(one["collection"], one["id"]): one["seq"] for one in answer["records"]}
        return shown

    async def _ask(self, server: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
        status, answer = await self._request(server, method, path, body)
        if status == 401:
            await self._sign_in(server)
            status, answer = await self._request(server, method, path, body)
        if status >= 300:
            raise Violation("answer", f"{method} {path} was answered {status}: {answer}")
        return answer

    async def _request(self, server: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        token = self._tokens.get(server)
        headers = {"Sync-Protocol": "1"} | ({"Authorization": f"Bearer {token}"} if token else {})
        async with self._session.request(method, server + path, json=body, headers=headers) as response:
            answer: dict[str, Any] = json.loads(await response.read())
            return response.status, answer
