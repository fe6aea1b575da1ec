"""The hub: one a process, it turns "something was committed" into deltas on sockets.

Owns: a channel for each space that a socket of this process listens to, with the position it has reached, and for
each subscription the position that its device was last sent.
Refuses to know: who may see what (sync/subscribing.py asks first), how records are stored, how a delta is spelled
(sync/deltas.py), how frames are written.

A hint says only that a space moved. The hub then reads once from the channel's position, builds the delta once, and
hands the same bytes to every subscriber. A subscriber that stands elsewhere (it resumed a moment ago) gets the same
body behind its own `from`: a delta may bring a record again, as it is now, and never leaves one out.

Invariants
    D1  Between two deltas of a space on one socket stands nothing, and the second's `from` is the first's `to`; or
        a `behind`, or a new `subscribe`, stands between. So a device that applies a delta only where `from` is its
        cursor, and pulls otherwise, misses nothing, whatever the hub drops.
    D2  After a commit that the hub knows of, every subscriber has been queued a delta that reaches it, or a
        `behind`. After a `behind` it gets deltas again, from the channel's position, as soon as that `behind` is
        written: the pull that the device then makes covers everything up to there.
    D3  However many sockets listen, a delta is read once and serialised once.
    D4  Nothing waits for a slow reader: `send_delta` never blocks.
    D5  A lost, doubled or late hint changes latency only: reading starts at the position, and `recheck` compares
        every channel with the database now and then.
    D6  A channel's position goes back only where the database lost what it had; then, and in a new life, everybody is
        `behind` once.

`version` of a delta holds what moved since the channel's last one; the first delta that a resuming device gets
holds the whole. It moves with the head alone: voids and rejected changes move that too, so what a failover lost of
them is noticed as any other loss (D6).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

from conflict.vectors import moved
from sync.bus import Bus, space_topic
from sync.channels import Channel, Standing, Step, Subscription, step_of
from sync.cursors import CursorSpace, decode_cursor, encode_mark
from sync.deltas import DeltaLike, Shared, serialise
from sync.errors import BadCursor, NotFound, Resync
from sync.outgoing import Frame
from sync.protocol import Session
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

# Reads of all channels together: a Redis that comes back must not empty the database's pool at once.
READS_AT_ONCE: Final = 8
# A device that resumes while others keep writing is caught up in two or three; then it had better pull.
RESUME_READS_MAX: Final = 5
RETRY_MIN_S: Final = 0.1
RETRY_MAX_S: Final = 10.0


class SpaceState(CursorSpace, Protocol):
    """A space as it is now: what a cursor is judged by, and where a channel begins."""

    @property
    def version(self) -> dict[str, int]: ...


class DeltaFeed(Protocol):
    """The one read path, as far as the hub needs it; `sync.feed.Feed` is one."""

    async def read_delta(self, space: str, after: int) -> DeltaLike | None:
        """What moved after `after`; None where it is too much for a socket, or the space is gone."""
        ...

    async def space(self, space: str) -> SpaceState:
        """The space as it is now. Raises NotFound."""
        ...


class Hub:
    """Channels and their subscribers. Call `close` at the end; afterwards nothing is read or sent."""

    def __init__(
        self,
        bus: Bus,
        feed: DeltaFeed,
        *,
        fraction: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`fraction` draws from [0, 1), for the jitter of retries."""
        self._bus = bus
        self._feed = feed
        self._fraction = fraction
        self._sleep = sleep
        self._channels: dict[str, Channel] = {}
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        # How often a delta was turned into bytes (D3), and how often the feed was read.
        self.serialised = 0
        self.reads = 0

    @property
    def spaces(self) -> list[str]:
        """The spaces that somebody here listens to."""
        return list(self._channels)

    def subscribers(self, space: str) -> list[Subscription]:
        """Who listens to `space` here."""
        channel = self._channels.get(space)
        return list(channel.subscriptions.values()) if channel else []

    # -- joining and leaving ---------------------------------------------------------------------------------

    def join(self, session: Session, space: str) -> Subscription:
        """Begin a subscription, in place of an older one to the same space.

        It gets nothing yet. Check the right to see the space now, not before: whoever loses it from here on is
        found by `leave`. Then call `go_live` or `resume`, or `leave`.
        """
        channel = self._channels.get(space)
        if channel is None:
            channel = self._channels[space] = Channel(space)
            # Before the space is read, so that no commit falls in between.
            channel.leave_topic = self._bus.subscribe(space_topic(space), partial(self._hint, channel))
        session.outgoing.drop(space)
        subscription = Subscription(session, channel)
        channel.subscriptions[session] = subscription
        session.subscriptions[space] = subscription
        return subscription

    def leave(self, session: Session, space: str) -> None:
        """End a subscription, if there is one; what is queued of the space is dropped."""
        subscription = session.subscriptions.pop(space, None)
        if subscription is None:
            return
        session.outgoing.drop(space)
        channel = subscription.channel
        channel.subscriptions.pop(session, None)
        if not channel.subscriptions:
            self._close_channel(channel)

    def go_live(self, subscription: Subscription, state: SpaceState) -> None:
        """Deltas from now on. `state` was read after `join`."""
        if not subscription.attached:
            return
        channel = subscription.channel
        self._note_state(channel, state)
        self._stand_at_channel(subscription)
        self._decide(channel)

    def fall_behind(self, subscription: Subscription, state: SpaceState) -> None:
        """Deltas from now on, once the device was told to pull what it missed. `state` was read after `join`."""
        if subscription.attached:
            self._note_state(subscription.channel, state)
            self._tell_behind(subscription)
            self._decide(subscription.channel)

    async def resume(self, subscription: Subscription, state: SpaceState, cursor: str) -> None:
        """Deltas from `cursor` on: what was missed first, then what comes. `state` was read after `join`.

        A cursor that is no good, or too far back, or a feed that fails, makes the space `behind`: the pull tells
        the device the reason.
        """
        if not subscription.attached:
            return
        channel = subscription.channel
        self._note_state(channel, state)
        try:
            subscription.position = decode_cursor(cursor, state)
        except (BadCursor, Resync):
            self._tell_behind(subscription)
            return
        subscription.cursor = cursor
        self._decide(channel)
        try:
            await self._catch_up(subscription, state.life)
        except Exception:
            # Whatever a database does, a device that pulls later loses nothing.
            log.warning("a socket of space %s could not be brought up to date", channel.space, exc_info=True)
            if subscription.attached:
                self._tell_behind(subscription)

    async def _catch_up(self, subscription: Subscription, life: str) -> None:
        channel = subscription.channel
        for _ in range(RESUME_READS_MAX):
            if channel.life == life and subscription.position >= (channel.position or 0):
                # Further than the channel is fine: the next delta is cut to fit by its `from`.
                subscription.standing = Standing.LIVE
                return
            async with self._reads:
                self.reads += 1
                delta = await self._feed.read_delta(channel.space, subscription.position)
            if not subscription.attached:
                return
            if delta is None or delta.life != life:
                break
            if delta.to_seq > subscription.position:
                self.serialised += 1
                shared = serialise(channel.space, subscription.position, subscription.cursor, delta, delta.version)
                if not self._send(subscription, shared, shared.frame):
                    return
        self._tell_behind(subscription)

    # -- what happens ----------------------------------------------------------------------------------------

    def _hint(self, channel: Channel, _message: bytes = b"") -> None:
        channel.dirty = True
        self._decide(channel)

    def written_behind(self, session: Session, spaces: list[str]) -> None:
        """The `behind` of these spaces has been written to the socket: they go on from the channel's position."""
        for space in spaces:
            subscription = session.subscriptions.get(space)
            if subscription is not None and subscription.standing is Standing.BEHIND:
                self._stand_at_channel(subscription)

    def compare(self, heads: Mapping[str, tuple[str, int]]) -> None:
        """Hold the channels against the database: `heads` gives (life, head) by space; others are left alone."""
        for space, (life, head) in heads.items():
            channel = self._channels.get(space)
            if channel is not None and (channel.life, channel.position) != (life, head):
                self._hint(channel)

    async def close(self) -> None:
        """Stop reading, and forget every channel."""
        for channel in list(self._channels.values()):
            for session in list(channel.subscriptions):
                self.leave(session, channel.space)
        await end_tasks(list(self._tasks))

    def _note_state(self, channel: Channel, state: SpaceState) -> None:
        """A fresh reading of the space: the channel begins there, or learns that it must read on."""
        if channel.position is None:
            self._place(channel, state)
        elif (state.life, state.head) != (channel.life, channel.position):
            channel.dirty = True

    def _place(self, channel: Channel, state: SpaceState) -> None:
        channel.life, channel.position, channel.version = state.life, state.head, state.version
        channel.cursor = encode_mark(channel.space, state.life, state.head)

    def _stand_at_channel(self, subscription: Subscription) -> None:
        channel = subscription.channel
        subscription.position = channel.position or 0
        subscription.cursor = channel.cursor
        subscription.standing = Standing.LIVE

    # -- deciding --------------------------------------------------------------------------------------------

    def _decide(self, channel: Channel, delta: Shared | None = None) -> None:
        """The one place that works out what a channel does next: who is sent what, and whether to read."""
        if delta is not None:
            for subscription in list(channel.subscriptions.values()):
                self._carry_out(subscription, delta)
        if channel.dirty and channel.reader is None and channel.position is not None and channel.subscriptions:
            channel.reader = asyncio.get_running_loop().create_task(self._read(channel))
            self._tasks.add(channel.reader)
            channel.reader.add_done_callback(self._tasks.discard)

    def _carry_out(self, subscription: Subscription, delta: Shared) -> None:
        step = step_of(subscription.standing, subscription.position, subscription.cursor, delta)
        if step is Step.SHARED:
            self._send(subscription, delta, delta.frame)
        elif step is Step.OWN_FROM:
            self._send(subscription, delta, delta.frame_from(subscription.cursor))
        elif step is Step.BEHIND:
            self._tell_behind(subscription)

    def _send(self, subscription: Subscription, delta: Shared, frame: Frame) -> bool:
        if subscription.session.send_delta(frame):
            subscription.position = delta.to_seq
            subscription.cursor = delta.to_cursor
            return True
        # The session has put `behind` in place of what was queued (P4).
        subscription.standing = Standing.BEHIND
        return False

    def _tell_behind(self, subscription: Subscription) -> None:
        subscription.standing = Standing.BEHIND
        subscription.session.send_behind(subscription.channel.space)

    # -- reading ---------------------------------------------------------------------------------------------

    async def _read(self, channel: Channel) -> None:
        """Read until no hint is left; one task a channel, and none while nothing happens."""
        failures = 0
        try:
            while channel.dirty and channel.subscriptions:
                channel.dirty = False
                try:
                    await self._read_once(channel)
                    failures = 0
                except NotFound:
                    self._end_space(channel)
                except Exception:  # Whatever a database does, the space is read again later (D5)
                    log.warning("space %s could not be read for its sockets", channel.space, exc_info=failures == 0)
                    channel.dirty = True
                    span = min(RETRY_MAX_S, RETRY_MIN_S * 2.0 ** min(failures, 16))
                    failures += 1
                    await self._sleep(span * (0.5 + self._fraction() / 2))
        finally:
            channel.reader = None

    async def _read_once(self, channel: Channel) -> None:
        position = channel.position
        assert position is not None
        async with self._reads:
            self.reads += 1
            delta = await self._feed.read_delta(channel.space, position)
            # A head that went back: a failover lost the rest, and a new life begins only with the next write.
            jumps = delta is None or delta.life != channel.life or delta.to_seq < position
            state = await self._feed.space(channel.space) if jumps else None
        if state is not None:
            self._jump(channel, state)
        elif delta is not None and delta.to_seq > position:
            news = moved(channel.version, delta.version)
            self.serialised += 1
            shared = serialise(channel.space, position, channel.cursor, delta, news)
            channel.position, channel.version, channel.cursor = delta.to_seq, delta.version, shared.to_cursor
            self._decide(channel, shared)

    def _jump(self, channel: Channel, state: SpaceState) -> None:
        """Too much moved for a socket, another life began, or something was lost: everybody pulls (D6)."""
        if (state.life, state.head) == (channel.life, channel.position):
            return
        self._place(channel, state)
        for subscription in list(channel.subscriptions.values()):
            if subscription.standing is Standing.LIVE:
                self._tell_behind(subscription)

    def _end_space(self, channel: Channel) -> None:
        """The space is gone; a pull tells the devices so."""
        for session in list(channel.subscriptions):
            session.send_behind(channel.space)
            session.subscriptions.pop(channel.space, None)
        channel.subscriptions.clear()
        self._close_channel(channel)

    def _close_channel(self, channel: Channel) -> None:
        if self._channels.get(channel.space) is channel:
            del self._channels[channel.space]
        if channel.leave_topic is not None:
            channel.leave_topic()
