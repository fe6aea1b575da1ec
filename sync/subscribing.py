"""What one socket listens to: joining a space, the right to it, and leaving.

Owns: the order in which a space is joined and the right to it is looked for.
Refuses to know: messages, and how deltas are read (sync/hub.py) and signals held (sync/signals.py).

Invariants
    L1  A subscription is joined before the right to it is checked: a right that is lost meanwhile is found either by
        the check or by the event.
    L5  What a socket reads is counted with what its account reads over HTTP. Too much of it refuses nothing: the space
        is listened to, and told to be `behind`, so that its device pulls, and is told there how long to wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.channels import Subscription
from sync.errors import NotFound, SyncError
from sync.hub import Hub, SpaceState
from sync.protocol import SPACES_MAX, Session
from sync.rights import Access, Sight
from sync.signals import Signals
from sync.throttle import Throttle


class TooManySpaces(SyncError):
    """More subscriptions than one socket may hold."""

    code = "too_many_spaces"
    status = 409
    default = f"A socket listens to at most {SPACES_MAX} spaces; unsubscribe from one."


@dataclass(frozen=True)
class Subscribing:
    """The subscriptions of one process's sockets."""

    hub: Hub
    signals: Signals
    access: Access
    throttle: Throttle

    async def subscribe(self, session: Session, space: str, cursor: str | None) -> None:
        """Listen to a space from `cursor` on, or from now. Raises NotFound, TooManySpaces."""
        subscription, sight = await self._look(session, space)
        if cursor is None:
            self.hub.go_live(subscription, sight.state)
        else:
            await self.resume(subscription, sight.state, cursor)
        if subscription.attached:
            self.signals.join(session, space)

    async def resume(self, subscription: Subscription, state: SpaceState, cursor: str) -> None:
        """Go on with a space that may be seen from `cursor` on, where its account may read that much (L5)."""
        assert subscription.session.caller is not None
        try:
            await self.throttle.read(subscription.session.caller.user)
        except SyncError:
            self.hub.fall_behind(subscription, state)
        else:
            await self.hub.resume(subscription, state, cursor)

    async def _look(self, session: Session, space: str) -> tuple[Subscription, Sight]:
        """Join a space, then check the right to it (L1); on any failure nothing stays joined."""
        assert session.caller is not None
        if len(session.subscriptions) >= SPACES_MAX and space not in session.subscriptions:
            raise TooManySpaces()
        subscription = self.hub.join(session, space)
        try:
            sight = await self.access.see(session.caller.user, space)
            if not subscription.attached:
                raise NotFound()
        except BaseException:
            if subscription.attached:
                self.leave(session, space)
            raise
        self.let_in(subscription, sight)
        return subscription, sight

    def let_in(self, subscription: Subscription, sight: Sight) -> None:
        """The right to a space that was joined is there."""
        subscription.role = sight.role if sight.signals else ""

    def leave(self, session: Session, space: str) -> None:
        """Listen to a space no more."""
        self.hub.leave(session, space)
        if not self.hub.subscribers(space):
            self.signals.release(space)
