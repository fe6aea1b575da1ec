"""The bus between processes, over the publish/subscribe of Redis (or of anything that speaks its protocol).

Owns: two connections (one that listens, one that publishes), their loss and their return. Redis's exceptions stop
here.
Refuses to know: what a message means, and every other use of Redis.

Invariants, beside those of sync/bus.py
    R1  `publish` only puts the message into a bounded outbox. No caller ever awaits Redis, so no caller's
        cancellation can leave a reply unread on a connection that somebody else uses next: every command is
        awaited by a task of this bus alone, and a connection whose command was cancelled is closed, not reused.
    R2  While Redis is gone, publishing is a no-op that was logged once. The topics of what could not be sent are
        remembered, and told LOST to the other processes when Redis is back.
    R3  Each time a subscription is confirmed, first or anew, its handlers get LOST: what was published before is
        read from the database.
    R4  A process never gets its own messages back: local delivery has happened already (B2).
    R5  Redis pub/sub is at most once and cuts a subscriber that is too slow; both end in R3.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sync.bus import LOST, Handler, MemoryBus
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# Every topic bears it, so that one Redis may serve other programs too.
PREFIX: Final = "fitai:"
# Subscribed for ever, so that a connection has something to listen to before the first topic.
_KEEP: Final = "bus"

# A hint is about 50 bytes, a signal at most 5 KiB: tens of MiB at the very worst. What is beyond is dropped (B1).
OUTBOX_MESSAGES_MAX: Final = 10_000
# Topics to tell LOST after an outage; what is beyond is found by the hub's periodic reading.
MISSED_TOPICS_MAX: Final = 10_000
# One round trip carries so many: large enough to keep up, small enough to stay below Redis's own buffers.
PIPELINE_MESSAGES: Final = 256
SUBSCRIBE_TOPICS: Final = 512
# A link that is silent for longer than this, pings and all, is dead though its socket is open.
PING_S: Final = 10.0
SILENCE_S: Final = 25.0
CONNECT_S: Final = 3.0
COMMAND_S: Final = 5.0
BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 5.0

# What redis-py raises when the server is gone, slow, loading, or answers nonsense.
_GONE: Final = (RedisError, OSError, asyncio.TimeoutError)


def backoff_s(attempt: int, fraction: float) -> float:
    """Seconds to wait before attempt number `attempt` (from 0), with `fraction` in [0, 1) drawn by the caller.

    Full jitter over a doubling span, so that the processes of a fleet do not come back in step.
    Source: Brooker, "Exponential Backoff and Jitter", 2015.
    """
    span = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2.0 ** min(attempt, 16))
    return span * (0.5 + fraction / 2)


class RedisBus:
    """A Bus whose messages reach every process that uses the same Redis."""

    def __init__(
        self,
        url: str,
        *,
        tag: bytes,
        fraction: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`tag`: 8 random bytes that name this process. `fraction`: draws from [0, 1), for the jitter."""
        if len(tag) != 8:
            raise ValueError("the tag of a bus has 8 bytes")
        parse_url(url)  # A wrong address is a ValueError now, not a silent loss later.
        self._url = url
        self._tag = tag
        self._fraction = fraction
        self._sleep = sleep
        self._local = MemoryBus()
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._outbox_filled = asyncio.Event()
        self._changed: dict[str, None] = {}
        self._topics_changed = asyncio.Event()
        self._missed: set[str] = set()
        self._connected = asyncio.Event()
        self._confirmed: set[str] = set()
        self._gone_logged = False
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """True while both connections stand."""
        return self._connected.is_set()

    def is_confirmed(self, topic: str) -> bool:
        """True while messages of `topic` from other processes arrive here."""
        return topic in self._confirmed

    async def wait_connected(self) -> None:
        """Wait until both connections stand; for a health check or a test, never on the way of a change."""
        await self._connected.wait()

    async def publish(self, topic: str, message: bytes) -> None:
        self._local.deliver(topic, message)
        if not self._connected.is_set():
            self._miss(topic)
            return
        if len(self._outbox) >= OUTBOX_MESSAGES_MAX:
            dropped, _ = self._outbox.popleft()
            self._miss(dropped)
        self._outbox.append((topic, message))
        self._outbox_filled.set()

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        first = not self._local.has(topic)
        unsubscribe = self._local.subscribe(topic, handler)
        if first:
            self._mark_changed(topic)

        def leave() -> None:
            unsubscribe()
            if not self._local.has(topic):
                self._mark_changed(topic)

        return leave

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="redis-bus")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await end_tasks([task])
        self._connected.clear()

    def _mark_changed(self, topic: str) -> None:
        self._changed[topic] = None
        self._topics_changed.set()

    def _miss(self, topic: str) -> None:
        if len(self._missed) < MISSED_TOPICS_MAX:
            self._missed.add(topic)

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                await self._serve()
            except _GONE as error:
                attempt = 0 if self._connected.is_set() else attempt
                self._lose(error)
            except Exception as error:  # R2: no fault of this bus may end the process's live side
                log.exception("the bus over Redis failed; it starts anew")
                self._lose(error)
            await self._sleep(backoff_s(attempt, self._fraction()))
            attempt += 1

    def _lose(self, error: BaseException) -> None:
        self._connected.clear()
        self._confirmed.clear()
        for topic, _ in self._outbox:
            self._miss(topic)
        self._outbox.clear()
        if not self._gone_logged:
            self._gone_logged = True
            log.warning("Redis is gone (%s); other processes learn of changes later until it is back", error)

    async def _serve(self) -> None:
        """Connect, and carry messages until a connection is lost; raises what redis-py raised."""
        client: Redis = Redis.from_url(
            self._url,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=COMMAND_S,
            # A silent reconnect would hide that messages were lost; `_run` reconnects, loudly (R3).
            retry=Retry(NoBackoff(), 0),
        )
        pubsub = client.pubsub()
        try:
            await pubsub.subscribe(PREFIX + _KEEP)
            await client.ping()
            self._begin()
            await _first_failure(self._listen(pubsub), self._steer(pubsub), self._send(client))
        finally:
            # The connections are never reused, whatever state a cancelled command left them in (R1).
            await asyncio.shield(_discard(pubsub, client))

    def _begin(self) -> None:
        self._changed = dict.fromkeys(self._local.topics)
        self._topics_changed.set()
        self._outbox.extend((topic, LOST) for topic in self._missed)
        self._missed.clear()
        self._outbox_filled.set()
        self._connected.set()
        if self._gone_logged:
            self._gone_logged = False
            log.info("Redis is back")

    async def _listen(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=SILENCE_S)
            if message is None:
                raise TimeoutError(f"nothing was heard for {SILENCE_S:.0f} s")
            if message["type"] == "pong":
                continue
            topic = message["channel"].decode().removeprefix(PREFIX)
            if message["type"] == "message":
                data: bytes = message["data"]
                if data[:8] != self._tag:  # R4
                    self._local.deliver(topic, data[8:])
            elif message["type"] == "subscribe" and topic != _KEEP:
                self._confirmed.add(topic)
                self._local.deliver(topic, LOST)  # R3

    async def _steer(self, pubsub: PubSub) -> None:
        """Keep Redis's subscriptions equal to the local ones, and the link from falling silent."""
        held: set[str] = set()
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    await self._topics_changed.wait()
            except TimeoutError:
                await pubsub.ping()
                continue
            self._topics_changed.clear()
            changed, self._changed = self._changed, {}
            join = [topic for topic in changed if topic not in held and self._local.has(topic)]
            leave = [topic for topic in changed if topic in held and not self._local.has(topic)]
            held.update(join)
            held.difference_update(leave)
            self._confirmed.difference_update(leave)
            for start in range(0, len(join), SUBSCRIBE_TOPICS):
                await pubsub.subscribe(*(PREFIX + topic for topic in join[start : start + SUBSCRIBE_TOPICS]))
            for start in range(0, len(leave), SUBSCRIBE_TOPICS):
                await pubsub.unsubscribe(*(PREFIX + topic for topic in leave[start : start + SUBSCRIBE_TOPICS]))

    async def _send(self, client: Redis) -> None:
        while True:
            await self._outbox_filled.wait()
            self._outbox_filled.clear()
            while self._outbox:
                # Taken out only once it is sent: what was in flight when the link broke counts as missed (R2).
                batch = [self._outbox[i] for i in range(min(PIPELINE_MESSAGES, len(self._outbox)))]
                pipeline = client.pipeline(transaction=False)
                for topic, message in batch:
                    pipeline.publish(PREFIX + topic, self._tag + message)
                await pipeline.execute()
                for sent in batch:
                    # The outbox may have dropped some of its oldest meanwhile.
                    if self._outbox and self._outbox[0] is sent:
                        self._outbox.popleft()


async def _first_failure(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, which is always by an exception; end the others; raise it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.shield(end_tasks(tasks))
    for task in done:
        task.result()


async def _discard(pubsub: PubSub, client: Redis) -> None:
    try:
        await pubsub.aclose()  # type: ignore[no-untyped-call]
        await client.aclose()
        await client.connection_pool.disconnect()
    except _GONE:
        log.debug("a lost connection to Redis did not close cleanly")
