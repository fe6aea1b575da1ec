"""The live socket: what others write arrives as deltas, and how far this device is is told.

A socket is a shortcut and never the truth: whatever it brings, loses or repeats, the pulls of the loop repair.

Rules of device.md kept here
    17  A socket that is refused for its id makes a push due: reading needs no id, so that nothing else would tell.
    18  A device that was replaced (4409) does not reconnect by itself until its turn comes: until it signs in, is
        opened again, or goes by another id than its twin (rule 17).
    20  `seen` goes out by the socket as soon as a delta has been applied.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from .account import RENEW_BEFORE_MS, Account
from .collections import SCHEMA
from .core.database import LocalDatabase
from .core.device import Device
from .core.running import told_ms
from .core.spaces import all_spaces, current_device, save, space
from .core.vectors import is_vector, merged
from .errors import FitaiError
from .loop import Loop
from .presence import Presence
from .transport import PROTOCOL

if TYPE_CHECKING:
    from .client import Client
    from .http import LiveConnection

__all__ = ["Live"]

log = logging.getLogger("fitai_client.live")

HEARTBEAT_S = 30.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 30.0
# A server that restarts, or says that it cannot serve this socket now, told all its devices so in the same moment.
RESTARTED_S = 4.0
# Signals are worth little later; of those that nobody reads, the newest are kept.
FRAMES_MAX = 256

UNAUTHENTICATED, REVOKED, REPLACED = 4401, 4403, 4409
RESTARTING, TRY_LATER = 1012, 1013


def reconnect_s(failures: int, fraction: float, *, told_s: float | None = None, code: int | None = None) -> float:
    """How long to stay away: jittered, so that a server that was restarted is not met by all at once.

    failures: sockets in a row that were not welcomed. fraction: drawn from [0, 1). told_s: what the server said.
    code: with what the last one was closed.
    """
    if told_s is not None:
        return told_ms(told_s, int(fraction * 2**31)) / 1000
    least = RESTARTED_S if code in (RESTARTING, TRY_LATER) else BACKOFF_MIN_S
    ceiling = min(max(least, BACKOFF_MIN_S * 2.0 ** min(failures, 10)), BACKOFF_MAX_S)
    # Right after a restart every moment is as good as any other; later on, half of the wait is certain.
    return ceiling * (fraction if least == RESTARTED_S and failures == 0 else 0.5 + fraction / 2)


class Live:
    """Keeps one socket open while somebody is signed in."""

    def __init__(self, client: Client, device: Device, account: Account, loop: Loop) -> None:
        self._client = client
        self._device = device
        self._account = account
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._connection: LiveConnection | None = None
        # The last one that the socket's server was told.
        self._token = ""
        self._may = asyncio.Event()
        self._back = asyncio.Event()
        self._numbers: dict[str, int] = {}
        self._seen: dict[str, dict[str, dict[str, int]]] = {}
        self._readers: list[asyncio.Queue[Mapping[str, Any] | None]] = []
        self._stopped = False
        self._connected = asyncio.Event()
        self._close_code: int | None = None
        # How often the server has welcomed this device.
        self.welcomes = 0
        self.presence = Presence(device.environment.elapsed_ms)
        if device.signed_in:
            self._may.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="fitai-live")

    async def stop(self) -> None:
        self._stopped = True
        self._publish(None)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.drop()

    def resume(self) -> None:
        """Connect when possible: somebody signed in, or this device's turn has come."""
        self._may.set()

    def server_is_back(self) -> None:
        """A request was answered after others were not: wait no longer. The requests' own waits are jittered."""
        self._back.set()

    async def follow_anew(self) -> None:
        """This device has another id now: follow under it. Who was replaced by a copy of itself is no twin any more."""
        self._may.set()
        if self._connection is not None:
            await self._connection.close()

    async def drop(self) -> None:
        """Close the socket and stay away until `resume`."""
        self._may.clear()
        if self._connection is not None:
            await self._connection.close()

    @property
    def connected(self) -> bool:
        """Whether the server has welcomed this device."""
        return self._connected.is_set()

    def seen_by_another(self, wanted: Mapping[str, Mapping[str, int]]) -> bool:
        """True where, for each space, some other device has seen these numbers."""
        return all(
            any(
                all(version.get(device, 0) >= n for device, n in numbers.items())
                for version in self._seen.get(space, {}).values()
            )
            for space, numbers in wanted.items()
            if numbers
        )

    def learn_seen(self, device: str, versions: Mapping[str, Mapping[str, int]]) -> None:
        """How far another device is in each space, from the server's list."""
        for id, version in versions.items():
            if is_vector(version):
                seen = self._seen.setdefault(id, {})
                # The socket may have told more while the list was on its way.
                seen[device] = merged(seen.get(device, {}), version)

    async def signal(self, space: str, topic: str, body: Any, ttl_s: int) -> bool:
        if self._connection is None or not self._connected.is_set():
            return False
        frame = {"type": "signal", "space": space, "topic": topic, "body": body}
        await self._connection.send({**frame, "ttl_s": ttl_s} if ttl_s else frame)
        return True

    async def frames(self) -> AsyncIterator[Mapping[str, Any]]:
        """Signals and events, from now until the client is closed; the oldest are dropped where nobody reads."""
        queue: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue(FRAMES_MAX)
        if self._stopped:
            return
        self._readers.append(queue)
        try:
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            self._readers.remove(queue)

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._may.wait()
            self._back.clear()
            told_s = None
            self._close_code = None
            try:
                welcomed = await self._session()
                failures = 0 if welcomed else failures + 1
            except FitaiError as error:
                log.info("no socket: %s", error)
                failures += 1
                told_s = getattr(error, "retry_after_s", None)
            except Exception:
                # A frame that no server of this protocol sends must not end following for good.
                log.exception("the socket is dropped")
                failures += 1
            await self._lost()
            await self._wait(reconnect_s(failures, self._fraction(), told_s=told_s, code=self._close_code))

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._back.wait()

    async def _session(self) -> bool:
        """One socket from hello to end; True where the server welcomed it, and took no offence at its session."""
        self._token = await self._something_to_follow()
        connection = self._connection = await self._client.transport.connect(heartbeat_s=HEARTBEAT_S)
        renewing = asyncio.create_task(self._renew(connection))
        try:
            # Only now: whoever signs out or takes another id from here on finds the connection, and closes it.
            hello = await self._client.run(self._hello)
            if hello is None or not self._may.is_set():
                return False
            await connection.send({**hello, "token": self._token})
            while (frame := await connection.receive()) is not None:
                await self._take(connection, frame)
            welcomed = self._connected.is_set()
        finally:
            renewing.cancel()
            await connection.close()
            self._connection = None
        self._close_code = connection.close_code
        if connection.close_code == REPLACED:
            log.info("another instance of this device holds the socket")
            self._may.clear()
        if connection.close_code == REVOKED:
            log.info("the server does not know this device")
            await self._client.run(lambda db: self._device.doubt_id())
            self._loop.wake()
        if connection.close_code == UNAUTHENTICATED:
            # Of one that was welcomed too: with the same token, the next might be welcomed and closed like it for ever.
            await self._account.token(spent=self._token)
            return False
        return welcomed

    async def _something_to_follow(self) -> str:
        """Wait until there is a session, an id and a space, which the loop has to get; the token."""
        while True:
            moved = self._loop.progress()
            token = await self._account.token()
            if token is not None and await self._client.run(self._hello) is not None:
                return token
            await moved

    def _hello(self, db: LocalDatabase) -> dict[str, Any] | None:
        with db.write() as tx:
            device = current_device(tx)
            spaces = [
                found for found in all_spaces(tx) if found.id and found.state == "member" and found.phase != "gone"
            ]
            self._numbers = {found.id: found.no for found in spaces if found.id}
            if not device or not spaces:
                return None
            cursors = {found.id: found.cursor if found.phase == "live" else None for found in spaces}
        return {"type": "hello", "protocol": PROTOCOL, "schema": SCHEMA, "device": device, "spaces": cursors}

    async def _take(self, connection: LiveConnection, frame: Mapping[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "welcome":
            log.info("the socket follows %d spaces", len(self._numbers))
            self._device.live = set(self._numbers.values())
            self._device.limits_told(frame.get("limits"))
            self._connected.set()
            # Whoever was let into a space since the list was last asked for was not told.
            await self._client.run(lambda db: self._device.wake(spaces=True))
            self.welcomes += 1
            # What happened between the hello's cursors and now comes as deltas; one pull makes sure.
            self._loop.wake(pull=True)
            self._loop.moved()
        elif kind == "delta" and frame.get("space") in self._numbers:
            number = self._numbers[str(frame["space"])]
            applied, seen = await self._client.run(lambda db: self._apply(db, number, dict(frame)))
            if seen is not None:
                await connection.send({"type": "seen", "space": frame["space"], "version": seen})
            self._loop.moved()
            if not applied:
                self._loop.wake()
        elif kind == "behind":
            self._loop.wake(pull=True)
        elif kind == "space":
            await self._client.run(lambda db: self._device.wake(spaces=True))
            self._loop.wake()
            await self._subscribe(connection, str(frame.get("space")), frame.get("role"))
        elif kind == "seen":
            if is_vector(version := frame.get("version")):
                self._seen.setdefault(str(frame.get("space")), {})[str(frame.get("device"))] = version
                self._loop.moved()
        elif kind in ("signal", "event"):
            self.presence.take(frame)
            self._publish(frame)
        elif kind == "error":
            log.info("the socket answered %s", frame.get("code"))

    def _apply(self, db: LocalDatabase, number: int, delta: dict[str, Any]) -> tuple[bool, dict[str, int] | None]:
        """Apply a delta; and the `seen` to tell, recorded as told."""
        with db.write() as tx:
            applied = self._device.delta(number, delta)
            found = space(tx, number)
            seen = self._device.seen(tx, found) if applied else None
            if seen is not None:
                save(tx, found, seen=seen, seen_at=tx.environment.now_ms())
        return applied, seen

    async def _subscribe(self, connection: LiveConnection, id: str, role: Any) -> None:
        """Follow a space that was joined while the socket is open; forget one that was left."""
        if role is None:
            number = self._numbers.pop(id, None)
            if number is not None:
                self._device.live.discard(number)
            return
        if self._numbers.get(id) in self._device.live:
            return
        # The next answer may be another one's.
        while self._device.want_spaces and self._may.is_set():
            await self._loop.progress()
        hello = await self._client.run(self._hello)
        if hello is not None and id in self._numbers:
            await connection.send({"type": "subscribe", "space": id, "cursor": hello["spaces"][id]})
            self._device.live.add(self._numbers[id])

    async def _renew(self, connection: LiveConnection) -> None:
        """Tell the server each new token before the one it was told ends."""
        failures = 0
        while True:
            now_ms = await self._client.run(lambda db: db.environment.now_ms())
            least_s = max(reconnect_s(failures, self._fraction()), 1.0)
            await asyncio.sleep(max((self._account.token_ends_ms - RENEW_BEFORE_MS - now_ms) / 1000, least_s))
            try:
                token = await self._account.token()
            except FitaiError:
                failures += 1
                continue
            failures = 0
            if token is not None and token != self._token:
                self._token = token
                await connection.send({"type": "token", "token": token})

    async def _lost(self) -> None:
        self._connected.clear()
        self.presence.forget()
        if self._device.live:
            self._device.live.clear()
            self._loop.wake(pull=True)

    def _publish(self, frame: Mapping[str, Any] | None) -> None:
        """Tell all readers; None is the end."""
        for queue in self._readers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(frame)

    def _fraction(self) -> float:
        return int.from_bytes(self._client.random_bytes(4), "big") / 2**32
