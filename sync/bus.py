"""The bus: hints from whoever committed something to whoever shows it, in this process and in others.

Owns: topics, handlers, and delivery within one process. `sync/redis_bus.py` carries the same messages to other
processes.
Refuses to know: what a message means. Nothing on the bus is the truth; the database is.

Topics are plain text. The sync side uses `space:<id>` (something was committed), `signal:<id>` (a signal for the
sockets of a space) and `user:<id>` (JSON events for the sockets of a user).

Invariants
    B1  A message is a hint. Losing, doubling or reordering one costs latency and never data: whoever gets it
        reads the truth anew.
    B2  Local delivery happens within `publish`, before it returns, and needs no other server.
    B3  A handler that fails harms neither the publisher nor the other handlers.
    B4  Where messages may have been lost, or a subscription has just begun to reach other processes, the handler
        gets LOST: level-triggered, "read again", rather than edge-triggered, "this happened".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

log = logging.getLogger(__name__)

Handler = Callable[[bytes], None]

# What a handler gets in place of messages that may have been lost (B4). No real message is empty.
LOST: Final = b""


def space_topic(space: str) -> str:
    """The topic that tells of commits to `space`: JSON {"from", "to"}."""
    return f"space:{space}"


def signal_topic(space: str) -> str:
    """The topic of the signals of `space`; see sync/signals.py."""
    return f"signal:{space}"


def user_topic(user: str) -> str:
    """The topic of events for the sockets of `user`: JSON {"kind", …}; see sync/roster.py."""
    return f"user:{user}"


class Bus(Protocol):
    """Publish and subscribe. One bus a process; every part of the sync side shares it."""

    async def publish(self, topic: str, message: bytes) -> None:
        """Tell every subscriber of `topic`. Never raises for a server that is gone, and never waits for one."""
        ...

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` for each message of `topic` until the returned function is called (once or more often).

        The handler is called from the event loop and must not block; what takes time it starts as a task.
        """
        ...

    async def start(self) -> None:
        """Begin to reach other processes. A server that cannot be reached is no error (B1)."""
        ...

    async def close(self) -> None:
        """Stop, and let go of every connection. Local delivery goes on working."""
        ...


@runtime_checkable
class Linked(Protocol):
    """A bus that reaches other processes over a server, which may be gone for a while."""

    @property
    def connected(self) -> bool: ...


class _Leave:
    """Ends one subscription. An object and no closure: there are three of them for each idle socket."""

    __slots__ = ("_handler", "_handlers", "_topic")

    def __init__(self, handlers: dict[str, list[Handler]], topic: str, handler: Handler) -> None:
        self._handlers = handlers
        self._topic = topic
        self._handler: Handler | None = handler

    def __call__(self) -> None:
        if self._handler is None:
            return
        handlers = self._handlers[self._topic]
        handlers.remove(self._handler)
        self._handler = None
        if not handlers:
            del self._handlers[self._topic]


class MemoryBus:
    """A bus for one process."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}

    @property
    def topics(self) -> list[str]:
        """The topics that have a handler now."""
        return list(self._handlers)

    def has(self, topic: str) -> bool:
        """Return True where `topic` has a handler."""
        return topic in self._handlers

    async def publish(self, topic: str, message: bytes) -> None:
        self.deliver(topic, message)

    def deliver(self, topic: str, message: bytes) -> None:
        """Call the handlers of `topic` now (B2, B3)."""
        # A handler may unsubscribe itself or others, so the list is copied; it is short.
        for handler in tuple(self._handlers.get(topic, ())):
            try:
                handler(message)
            except Exception:  # B3: whose fault it is stands in the log, and nobody else suffers
                log.exception("a handler of %s failed", topic)

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        self._handlers.setdefault(topic, []).append(handler)
        return _Leave(self._handlers, topic, handler)

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return
