"""The sync engine of one process: its parts, put together once.

    WritePath     the one write path            sync/write_path.py
    DeviceWriter  what devices push over it     sync/push.py
    ServerWriter  what is written without one   sync/server_writes.py
    Feed          the one read path             sync/feed.py
    History       what was, and going back      sync/history.py
    Votes         which devices hold tombstones sync/votes.py
    Devices       the installations of a user   sync/devices.py
    Spaces        who may be where              sync/spaces.py
    Digests       whether two hold the same     sync/digest.py

Everything that touches the outside (database, bus, reader of texts, clock, randomness) is an argument, so a test
or a simulator builds the same engine over its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from storage.collections import SCHEMA, describe
from storage.database import Database
from sync.attempts import Attempts
from sync.bus import Bus
from sync.caller import Caller
from sync.devices import Devices
from sync.digest import Digests
from sync.environment import Environment
from sync.feed import Feed
from sync.history import History
from sync.limits import LIMITS, MIN_PROTOCOL, PROTOCOL, Limits
from sync.messages import PushRequest
from sync.push import DeviceWriter
from sync.push_answer import Answer
from sync.server_writes import ServerWriter
from sync.spaces import Spaces
from sync.text_guard import TextGuard
from sync.texts import TextReader
from sync.votes import Votes
from sync.write_path import WritePath

FEATURES = ("groups", "history", "live", "rewind", "signals", "snapshot", "spaces", "yjs")


@dataclass(frozen=True)
class Engine:
    """Everything that the transports call. Close `texts` and `bus` with the process that opened them."""

    database: Database
    bus: Bus
    texts: TextReader
    environment: Environment
    limits: Limits = LIMITS
    # New devices of one account; None: as many as they like.
    devices_per_day: int | None = None
    write_path: WritePath = field(init=False)
    device_writer: DeviceWriter = field(init=False)
    server_writer: ServerWriter = field(init=False)
    feed: Feed = field(init=False)
    history: History = field(init=False)
    votes: Votes = field(init=False)
    devices: Devices = field(init=False)
    spaces: Spaces = field(init=False)
    digests: Digests = field(init=False)

    def __post_init__(self) -> None:
        attempts = Attempts(self.database, self.environment)
        path = WritePath(attempts, self.texts, self.bus, self.environment, self.limits)
        server_writer = ServerWriter(path)
        # The parts follow from the arguments, and a frozen value is set this way alone.
        object.__setattr__(self, "write_path", path)
        object.__setattr__(self, "device_writer", DeviceWriter(path, TextGuard(self.texts, self.environment)))
        object.__setattr__(self, "server_writer", server_writer)
        object.__setattr__(self, "feed", Feed(self.database, self.limits))
        object.__setattr__(self, "history", History(self.database, server_writer, self.texts))
        object.__setattr__(self, "votes", Votes(self.database, self.environment))
        devices = Devices(self.database, self.bus, self.environment, self.limits, self.devices_per_day)
        object.__setattr__(self, "devices", devices)
        object.__setattr__(self, "digests", Digests(self.database))
        object.__setattr__(self, "spaces", Spaces(self.database, self.bus, self.environment))

    def describe(self, server_time: str) -> dict[str, Any]:
        """What this server speaks: the answer of `GET /api/sync`."""
        return {
            "protocol": PROTOCOL,
            "min_protocol": MIN_PROTOCOL,
            "schema": SCHEMA,
            "server_time": server_time,
            "limits": self.limits.announced(),
            "features": list(FEATURES),
            "collections": describe(),
        }

    async def push(self, caller: Caller, space: str, request: PushRequest) -> Answer:
        """Apply one batch; see `DeviceWriter.push`. A session that pushes for a device is bound to it."""
        await self.devices.note(caller, request.device)
        answer = await self.device_writer.push(caller, space, request)
        self.votes.pushed(space, request.device)
        return answer

    def note_later(self, caller: Caller) -> None:
        """Bind a session to the device that it reads for, behind the answer; see `Devices.note_later`."""
        self.devices.note_later(caller)

    async def digest(self, caller: Caller, space: str, bucket: str | None) -> dict[str, Any]:
        """The digest of what a space shows; see `Digests.of`."""
        return await self.digests.of(caller, space, bucket)
