"""The oracles: what must hold, looked at while the world goes on and once it has come to rest.

I1  every change that a phone heard to be stored is stored
I5  at rest all phones and the server are at one, and nothing that anybody wrote is lost
"""

from __future__ import annotations

import json

from fitai_client.core.inbox import read_inbox
from fitai_client.core.requests import Answer, Request
from tests.simulator.agreement import differences, served
from tests.simulator.phone import Phone
from tests.simulator.violation import Violation
from tests.simulator.world import World


class Oracles:
    """They look at one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        # (space, device) → the number up to which a phone was told that the server holds its changes.
        self.acked: dict[tuple[str, str], int] = {}
        self.acks = 0
        self.pushes = 0
        for phone in world.phones:
            self.watch(phone)

    def watch(self, phone: Phone) -> None:
        """Listen to what a phone asks and hears."""
        trace = self.world.trace

        def asks(request: Request) -> None:
            self.pushes += request.kind == "push"
            trace.note(
                "asks", phone.name, request.kind, request.path, dict(request.query), (request.body or "").encode()
            )

        def hears(request: Request, answer: Answer) -> None:
            trace.note("hears", phone.name, request.kind, answer.status, answer.body)
            if request.kind == "push" and answer.status == 200:
                self._acked(request, answer)

        def frame(data: bytes) -> None:
            trace.note("frame", phone.name, data)

        phone.asks, phone.hears, phone.hears_frame = asks, hears, frame

    def _acked(self, request: Request, answer: Answer) -> None:
        body = json.loads(request.body or "{}")
        if not body["changes"]:
            return
        space = request.path.rsplit("/", 2)[1]
        n = min(answer.json()["acked"], body["changes"][-1]["n"])
        key = (space, body["device"])
        self.acks += n - self.acked.get(key, 0)
        self.acked[key] = max(self.acked.get(key, 0), n)

    # -- at any time -------------------------------------------------------------------------------------------------

    def acked_is_stored(self) -> None:
        """I1: the server holds what it said it holds."""
        for space, text in self.world.store.query("SELECT id, version FROM spaces"):
            version = json.loads(text)
            for (place, device), n in self.acked.items():
                if place == space and version.get(device, 0) < n:
                    raise Violation("I1", f"{device} was told of {n} in {space}, and {version.get(device, 0)} are held")

    # -- at rest -----------------------------------------------------------------------------------------------------

    def disagreement(self) -> str | None:
        """How some phone differs from the server; None where all are at one."""
        world = self.world
        for phone in world.phones:
            members = {space.id for space in world.people.spaces.values() if phone.user in space.roles}
            for difference in differences(phone, world.store, members):
                return f"{phone.name}: {difference}"
        return None

    def nothing_lost(self) -> None:
        """Every value that was written shows, is a conflict, waits in an inbox, or was replaced by who had seen it."""
        world = self.world
        there = {}
        for space in world.people.spaces:
            there.update({key: json.loads(body) for key, (_, body) in served(world.store, space).items()})
        inboxes = [entry for phone in world.phones for entry in read_inbox(phone.db.conn)]
        lost = world.witness.lost(there, {}, inboxes)
        if lost:
            raise Violation("I5", f"lost: {sorted(map(str, lost))[:5]}")
