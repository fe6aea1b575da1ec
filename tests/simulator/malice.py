"""A malicious device: an account of its own, every request it can think of, and a stream of randomness of its own.

It may do in its own space what it likes. Of any other it must not learn or change a byte: the shadow (I4, I18) holds
every line of the ledger against that, and every answer it gets is searched for what honest users write.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random
from typing import Any

from fitai_client.core.requests import Answer, Request
from tests.simulator.people import MALLORYS_SESSION, User
from tests.simulator.world import World

NAME = "mallory"
PUSH = "/api/sync/spaces/{}/push"


class Malice:
    """One such device in one world. `start` it once."""

    def __init__(
        self,
        world: World,
        mallory: User,
        draws: Random,
        heard: Callable[[bytes], None],
    ) -> None:
        """`heard` gets the body of every answer."""
        self.world = world
        self.mallory = mallory
        self.draws = draws
        self._heard = heard
        self.device = ""
        self.n = 0
        self.requests = 0
        # What it knows of others, as of its present request: twenty records and devices.
        self._records: list[str] = []
        self._devices: list[str] = []

    def start(self) -> None:
        self.world.loop.spawn(None, self._live(), NAME)

    async def _live(self) -> None:
        while not self.world.calm:
            await asyncio.sleep(self.draws.expovariate(self.world.plan.malice / 3_600))
            self._look_around()
            request = self._register() if not self.device else self._choose()
            self._send(request)

    def _send(self, request: Request) -> None:
        """Straight into a worker: no network of others may be slower for it."""
        worker = self.draws.choice(self.world.workers)
        self.requests += 1
        self.world.trace.note("malice", request.path, (request.body or "").encode())
        # With a session of its own, like anybody.
        token = worker.accounts.issue(self.mallory.id, MALLORYS_SESSION) if worker.is_ready else None
        worker.serve(request, token, lambda answer: self._answered(request, answer), _refused)

    def _answered(self, request: Request, answer: Answer) -> None:
        self.world.trace.note("malice hears", answer.status, answer.body)
        self._heard(answer.body)
        body = json.loads(answer.body)
        if request.kind == "register" and answer.status == 200:
            self.device = body["device"]
        if request.kind == "push" and answer.status == 200:
            self.n = max(self.n, body["acked"])

    # -- what it asks ------------------------------------------------------------------------------------------------

    def _register(self) -> Request:
        body = {"key": self._uuid(), "name": NAME, "platform": "x", "app_version": "0"}
        return Request("register", "POST", "/api/sync/devices", body=json.dumps(body))

    def _choose(self) -> Request:
        draws = self.draws
        others = [space for space in self.world.people.spaces if space != self.mallory.personal]
        space = draws.choice(others) if others and draws.random() < 0.6 else self.mallory.personal
        if draws.random() < 0.25:
            call = draws.choice(("pull", "snapshot", "digest"))
            query = {"ids": ",".join(self._ids())} if call == "pull" and draws.random() < 0.5 else {}
            return Request("pull", "GET", f"/api/sync/spaces/{space}/{call}", query, device=self._device_id())
        return self._push(space)

    def _push(self, space: str) -> Request:
        draws = self.draws
        device = self._device_id()
        start = max(1, self.n + draws.choice((1, 1, 1, 0, -1, -5, 2, 10**6)))
        changes = [self._change(start + k) for k in range(draws.randint(1, 5))]
        if draws.random() < 0.1:
            changes = changes[::-1]
        body: dict[str, Any] = {"device": device, "schema": 1, "changes": changes}
        body["after"] = draws.choice((None, {"n": start - 1, "hlc": self._hlc()}))
        if draws.random() < 0.3:
            body["seen"] = self._vector()
        if draws.random() < 0.2:
            body["cursor"] = draws.choice(("", "x" * 50, "WyJhIiwiYiIsMSwxXQ"))
        if draws.random() < 0.1:
            body["confirm_deletes"] = True
        return Request("push", "POST", PUSH.format(space), body=json.dumps(body), device=device)

    def _change(self, n: int) -> dict[str, Any]:
        draws = self.draws
        collection = draws.choice(("workouts", "sets", "workout_exercises", "nonsense"))
        change: dict[str, Any] = {"n": n, "hlc": self._hlc(), "context": self._vector(), "collection": collection}
        change |= {"id": draws.choice(self._ids()), "op": draws.choice(("put", "put", "delete"))}
        if change["op"] == "put":
            change["fields"] = {
                "workouts": {"title": self.mallory.canary},
                "sets": {"workout_exercise": draws.choice(self._ids()), "reps": draws.choice((1, -1, 10**9))},
                "workout_exercises": {"workout": draws.choice(self._ids())},
                "nonsense": {"x": 1},
            }[collection]
        return change

    def _hlc(self) -> str:
        """Any stamp: now, the year 2099, the end of time, or none."""
        ms = self.world.server_clock.now_ms() + self.draws.choice((0, 0, 59_000, 61_000, 2_300_000_000_000))
        return self.draws.choice((f"{ms:012x}0000", "f" * 16, "0" * 16))

    def _vector(self) -> dict[str, int]:
        """A claim to have seen what nobody has written, or what others have."""
        size = self.draws.choice((0, 1, 5, 500))
        known = self._devices
        return {
            self.draws.choice(known) if known and self.draws.random() < 0.5 else f"dev{k}": self.draws.choice(
                (1, 2**52)
            )
            for k in range(size)
        }

    def _device_id(self) -> str:
        """Its own, or somebody's."""
        known = self._devices
        return self.draws.choice(known) if known and self.draws.random() < 0.3 else self.device

    def _look_around(self) -> None:
        """Once a request, for while one is put together nobody writes: each of its changes names a record or two."""
        query = self.world.store.query
        self._records = [row[0] for row in query("SELECT id FROM records ORDER BY id LIMIT 20")]
        self._devices = [row[0] for row in query("SELECT id FROM devices ORDER BY id LIMIT 20")]

    def _ids(self) -> list[str]:
        """Records of others, and one of nobody."""
        return [*self._records, self._uuid()]

    def _uuid(self) -> str:
        digits = f"{self.draws.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _refused() -> None:
    """Nobody listens there now."""
