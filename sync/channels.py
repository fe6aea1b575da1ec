"""What the hub keeps: a channel for each space, a subscription for each socket that listens to it.

Owns: where each stands, and the rule of what one gets of a delta. Refuses to know: when that is asked (sync/hub.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from sync.deltas import Shared
from sync.protocol import Session


class Standing(Enum):
    """What a subscription is waiting for."""

    JOINING = "joining"  # its right and its cursor are being looked at
    LIVE = "live"  # it gets deltas
    BEHIND = "behind"  # it was told to pull; deltas go on once that is written


class Step(Enum):
    """What one subscription gets of a delta."""

    NOTHING = "nothing"
    SHARED = "shared"
    OWN_FROM = "own_from"
    BEHIND = "behind"


class Subscription:
    """One space on one socket."""

    __slots__ = ("channel", "cursor", "position", "role", "session", "standing")

    def __init__(self, session: Session, channel: Channel) -> None:
        self.session = session
        self.channel = channel
        self.standing = Standing.JOINING
        # The seq, and the very text, that the device has as its cursor once it has read what was queued.
        self.position = 0
        self.cursor = ""
        self.role = ""

    @property
    def attached(self) -> bool:
        """False once it was ended or replaced by another subscription to the same space."""
        return self.channel.subscriptions.get(self.session) is self


@dataclass(eq=False, slots=True)
class Channel:
    """One space in this process. `position` is None until the space was first read."""

    space: str
    subscriptions: dict[Session, Subscription] = field(default_factory=dict)
    leave_topic: Callable[[], None] | None = None
    life: str = ""
    position: int | None = None
    version: Mapping[str, int] = field(default_factory=dict)
    cursor: str = ""
    # A hint came, or was perhaps lost, since the last read began.
    dirty: bool = False
    reader: asyncio.Task[None] | None = None


def step_of(standing: Standing, position: int, cursor: str, delta: Shared) -> Step:
    """What a subscription gets of `delta`: the rule by which nothing is skipped (D1, D2)."""
    if standing is not Standing.LIVE or position >= delta.to_seq:
        return Step.NOTHING
    if position < delta.from_seq:
        return Step.BEHIND
    if position == delta.from_seq and cursor == delta.from_cursor:
        return Step.SHARED
    return Step.OWN_FROM
