"""The live socket as a state machine: text in, actions out, and frames to write. Sans-I/O: nothing here awaits.

Owns: the order in which messages may come (TABLE) and how often, the deadlines of one socket (hello, token,
heartbeat), what is queued for it, and the code with which it closes.
Refuses to know: what a message carries (sync/socket_messages.py), sockets, the database, other sockets. The driver
(api/sync/websocket.py) moves bytes; the actions are carried out by `Live` (sync/live.py).

    AWAITING_HELLO ──hello──▶ OPENING ──welcome()──▶ OPEN ──▶ CLOSED
                                                      push, subscribe, unsubscribe, signal, seen, token

What is wrong, and what it costs:
    4400  the frame is no strict JSON object with a `type`, a known message has the wrong shape, or it is not its
          turn (a pair of state and type that TABLE does not list). A client that cannot spell is not repaired by
          going on.
    error a message of an unknown type: within protocol 1 messages only grow, so a newer device on an older server
          goes on without that message. Also whatever a push, subscription or signal is refused for.
    4401  no hello in time, anything before the hello, a bad token, an expired one.
    4403  the device is revoked, or not this user's.
    4408  nothing was heard for a whole heartbeat after a ping.
    4409  the same device connected anew.
    1008  a flood of messages, pings or pongs.  1009  a frame above the limit.  1012  the server restarts.
    1013  too many sockets, a reader that takes nothing, or no database: try again later.

Invariants
    P1  A pair of state and type that TABLE does not list closes the socket; illegal orders need no other code.
    P2  Before `welcome` nothing is acted on but the hello.
    P3  After `close` nothing is acted on, and no delta, signal or event is queued any more.
    P4  Deltas of a space leave in the order in which they were queued; where one does not fit, all queued ones of
        the space are dropped and one `behind` takes their place (O1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from sync.caller import Caller
from sync.limits import MIN_PROTOCOL, PROTOCOL
from sync.outgoing import Frame, Kind, Outgoing
from sync.socket_messages import (
    CONTROL_BYTES_MAX,
    FRAME_BYTES_MAX,
    MESSAGES,
    SIGNAL_BODY_BYTES_MAX,
    SIGNAL_TTL_S_MAX,
    SPACES_MAX,
    Action,
    Hello,
    Push,
    Seen,
    Signal,
    Subscribe,
    Token,
    Unsubscribe,
    plain_id,
    read_message,
)
from sync.strict_json import MalformedJson, strict_json

# What a driver needs to know of the messages is exported beside the session: what `receive` returns, and what to read.
__all__ = [
    "CLOSE_FLOOD", "CLOSE_MALFORMED", "CLOSE_NO_PONG", "CLOSE_REPLACED", "CLOSE_RESTARTING", "CLOSE_REVOKED",
    "CLOSE_TOO_BIG", "CLOSE_TRY_LATER", "CLOSE_UNAUTHENTICATED", "CONTROLS_BURST", "CONTROLS_PER_S", "FRAME_BYTES_MAX",
    "HEARTBEAT_S", "HELLO_MS", "PING_MS", "SIGNALS_PER_S", "SPACES_MAX", "TABLE", "Action", "Close", "Hello", "Moment",
    "Push", "Seen", "Session", "Signal", "State", "Subscribe", "Token", "Unsubscribe",
]  # fmt: skip

CLOSE_MALFORMED: Final = 4400
CLOSE_UNAUTHENTICATED: Final = 4401
CLOSE_REVOKED: Final = 4403
CLOSE_NO_PONG: Final = 4408
CLOSE_REPLACED: Final = 4409
CLOSE_FLOOD: Final = 1008
CLOSE_TOO_BIG: Final = 1009
CLOSE_RESTARTING: Final = 1012
CLOSE_TRY_LATER: Final = 1013

HELLO_MS: Final = 5_000
HEARTBEAT_S: Final = 30
# Below the announced heartbeat, so that two of them pass within twice 30 s: a dead peer is gone by then.
PING_MS: Final = 25_000
SIGNALS_PER_S: Final = 20
# A device that joins all its spaces one by one stays far below; a loop gone wild does not.
CONTROLS_PER_S: Final = 50
CONTROLS_BURST: Final = SPACES_MAX * 2


class State(Enum):
    """Where a socket is in its life."""

    AWAITING_HELLO = "awaiting_hello"
    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


TABLE: Final[Mapping[tuple[State, str], State]] = {
    (State.AWAITING_HELLO, "hello"): State.OPENING,
    (State.OPEN, "push"): State.OPEN,
    (State.OPEN, "subscribe"): State.OPEN,
    (State.OPEN, "unsubscribe"): State.OPEN,
    (State.OPEN, "signal"): State.OPEN,
    (State.OPEN, "seen"): State.OPEN,
    (State.OPEN, "token"): State.OPEN,
}


class Moment(NamedTuple):
    """Now, on two clocks: tokens expire by the wall, silence is measured by the one that never jumps."""

    wall_ms: int
    steady_ms: int


class Close(NamedTuple):
    """How a socket ends."""

    code: int
    reason: str


encode: Final = msgspec.json.Encoder().encode


class Session:
    """One live socket.

    The driver calls `receive` for each text frame and carries out the action it returns, calls `tick` when the
    deadline it returned has come, writes what `take_outgoing` gives (then `written`), and ends the socket once
    `closing` is set. `wake` is called whenever there is something new to write or the session was closed.
    """

    __slots__ = (
        "_controls_at",
        "_hello_by_ms",
        "_ping_at_ms",
        "_pinged",
        "_signals_at",
        "caller",
        "closing",
        "device",
        "expires_ms",
        "id",
        "opened_ms",
        "outgoing",
        "state",
        "subscriptions",
        "told_to_wait",
        "wake",
    )

    def __init__(self, id: str, now: Moment, wake: Callable[[], None] = lambda: None) -> None:
        """`id` names this socket among those of all processes."""
        self.id = id
        self.wake = wake
        self.state = State.AWAITING_HELLO
        self.closing: Close | None = None
        self.caller: Caller | None = None
        self.device = ""
        self.opened_ms = now.wall_ms
        self.expires_ms = 0
        # What happens in a space while the others of the hello are looked up is told after the welcome.
        self.outgoing = Outgoing(held=True)
        # What the hub keeps for this socket, by space.
        self.subscriptions: dict[str, Any] = {}
        # Its last push was too much for the account.
        self.told_to_wait = False
        self._hello_by_ms = now.steady_ms + HELLO_MS
        self._ping_at_ms = now.steady_ms + PING_MS
        self._pinged = False
        # Theoretical arrival times of the two rates, in ms on the steady clock.
        self._controls_at = 0.0
        self._signals_at = 0.0

    # -- what comes in ---------------------------------------------------------------------------------------

    def receive(self, text: str, now: Moment) -> Action | None:
        """Take one text frame; return what is to be done, or None where it was answered (or refused) here.

        Never raises for what a client sent. After it, look at `closing` and `take_outgoing`.
        """
        if self.state is State.CLOSED:
            return None
        self.heard()
        if self.state is State.OPEN and now.wall_ms >= self.expires_ms:
            self.close(CLOSE_UNAUTHENTICATED, "token_expired")
            return None
        data = text.encode("utf-8", "surrogatepass")
        try:
            message = strict_json(data)
        except MalformedJson as error:
            self.close(CLOSE_MALFORMED, str(error))
            return None
        name = message.get("type") if isinstance(message, dict) else None
        if not isinstance(name, str):
            self.close(CLOSE_MALFORMED, "A frame is a JSON object with a type.")
            return None
        if name != "push" and len(data) > CONTROL_BYTES_MAX:
            self.close(CLOSE_TOO_BIG, f"A {name[:32]} has at most {CONTROL_BYTES_MAX} bytes.")
            return None
        return self._accept(name, message, len(data), now)

    def _accept(self, name: str, message: dict[str, Any], size: int, now: Moment) -> Action | None:
        if name != "push" and not self._within_rate(now):
            self._refuse_flood()
            return None
        if self.state is State.OPEN and name not in MESSAGES:
            self.refuse(plain_id(message), "unknown_message", f"This server knows no message {name[:32]!r}.")
            return None
        following = TABLE.get((self.state, name))
        if following is None:
            self._refuse_order(name)
            return None
        if name == "hello" and not self._speaks(message):
            return None
        try:
            action = read_message(name, message, size)
        except msgspec.ValidationError as error:
            self._refuse_shape(name, message, error, now)
            return None
        if isinstance(action, Signal) and not self._may_signal(action, now):
            return None
        if isinstance(action, Hello):
            self.device = action.device
        self.state = following
        return action

    def heard(self) -> None:
        """Anything arrived, a pong included: the peer lives."""
        self._pinged = False

    def beat(self, now: Moment) -> None:
        """A ping or a pong arrived. They count as messages do: each costs a turn, also of who never says hello."""
        self.heard()
        if not self._within_rate(now):
            self._refuse_flood()

    def _speaks(self, message: dict[str, Any]) -> bool:
        """Judge the protocol before the shape: a newer hello may look different."""
        protocol = message.get("protocol")
        if not isinstance(protocol, int) or MIN_PROTOCOL <= protocol <= PROTOCOL:
            return True
        details = {"protocol": PROTOCOL, "min_protocol": MIN_PROTOCOL}
        self.refuse(
            None, "protocol_unsupported", f"This server speaks version {PROTOCOL} of the protocol; update.", details
        )
        self.close(CLOSE_MALFORMED, "protocol_unsupported")
        return False

    def _refuse_order(self, name: str) -> None:
        if self.state is State.AWAITING_HELLO:
            self.close(CLOSE_UNAUTHENTICATED, "The first message is hello.")
        else:
            self.close(CLOSE_MALFORMED, f"A {name[:32]} is not expected now.")

    def _refuse_shape(self, name: str, message: dict[str, Any], error: msgspec.ValidationError, now: Moment) -> None:
        id_ = plain_id(message)
        if name == "push" and id_ is not None:
            if not self._within_rate(now):
                self._refuse_flood()
                return
            # As over HTTP: the batch is refused by its number and nothing of it was applied.
            self.refuse(id_, "malformed", f"The push has the wrong shape: {error}")
        else:
            self.close(CLOSE_MALFORMED, f"The {name} has the wrong shape: {error}")

    def _refuse_flood(self) -> None:
        self.close(CLOSE_FLOOD, f"At most {CONTROLS_PER_S} messages a second.")

    def _within_rate(self, now: Moment) -> bool:
        self._controls_at = max(self._controls_at, now.steady_ms) + 1_000 / CONTROLS_PER_S
        return self._controls_at - now.steady_ms <= CONTROLS_BURST * 1_000 / CONTROLS_PER_S

    def _may_signal(self, signal: Signal, now: Moment) -> bool:
        """Signals within their limits: a refused one costs an error, and does not count against the rate."""
        size = len(encode(signal.body))
        code, why = "", ""
        if size > SIGNAL_BODY_BYTES_MAX:
            code, why = "too_long", f"The body has {size} bytes; at most {SIGNAL_BODY_BYTES_MAX} may be sent."
        elif signal.ttl_s is not None and not 0 <= signal.ttl_s <= SIGNAL_TTL_S_MAX:
            code, why = "out_of_range", f"ttl_s is {signal.ttl_s}; it lies between 0 and {SIGNAL_TTL_S_MAX}."
        elif max(self._signals_at, now.steady_ms) - now.steady_ms > 1_000 - 1_000 / SIGNALS_PER_S:
            code, why = "rate_limited", f"At most {SIGNALS_PER_S} signals a second; this one was not sent."
        if code:
            self.refuse(None, code, why, {"space": signal.space, "topic": signal.topic})
            return False
        # Source of the algorithm: the generic cell rate of ATM (GCRA): one number instead of a list of times.
        self._signals_at = max(self._signals_at, now.steady_ms) + 1_000 / SIGNALS_PER_S
        return True

    # -- what the server does --------------------------------------------------------------------------------

    def admit(self, caller: Caller, expires_ms: int) -> None:
        """The token of the hello, or of a `token`, is good: the socket is this caller's until `expires_ms`."""
        self.caller = caller
        self.expires_ms = expires_ms

    def welcome(self, message: dict[str, Any]) -> None:
        """Every space of the hello is subscribed: say so before anything else, and act on what comes from now on."""
        if self.state is State.OPENING:
            self.state = State.OPEN
            self.outgoing.release(Frame(encode({"type": "welcome", **message}), Kind.CONTROL))
            self.wake()

    def send(self, message: dict[str, Any], kind: Kind = Kind.CONTROL) -> None:
        """Queue one message of the server. A HINT without room is dropped; any other ends the socket."""
        self.send_frame(Frame(encode(message), kind))

    def send_frame(self, frame: Frame) -> None:
        """As `send`, for a frame that other sockets get too."""
        if self.state is State.CLOSED:
            return
        if self.outgoing.put(frame):
            self.wake()
        elif frame.kind is not Kind.HINT:
            self.close(CLOSE_TRY_LATER, "This reader takes nothing.")

    def send_delta(self, frame: Frame) -> bool:
        """Queue a delta; False where there is no room, and then the space is `behind` (P4)."""
        if self.state is State.CLOSED:
            return False
        if self.outgoing.put(frame):
            self.wake()
            return True
        self.send_behind(frame.space)
        return False

    def send_behind(self, space: str) -> None:
        """Tell the device to pull, in place of every queued delta of the space."""
        self.outgoing.drop(space)
        self.send_frame(Frame(encode({"type": "behind", "space": space}), Kind.BEHIND, space))

    def refuse(self, id_: str | int | None, code: str, error: str, details: Any = None) -> None:
        """Queue an `error`; `id_` is that of the push it answers, else None."""
        self.send({"type": "error", "id": id_, "code": code, "error": error, "details": details})

    def close(self, code: int, reason: str) -> None:
        """End the socket. The first close counts; what must still be told (errors) is written before it."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        # A close frame has room for 123 bytes of reason.
        self.closing = Close(code, reason.encode()[:120].decode("utf-8", "ignore"))
        self.outgoing.drop_all_but_control()
        self.wake()

    def tick(self, now: Moment) -> int | None:
        """Judge the deadlines; return when to call again, in ms on the steady clock, or None once closed.

        A ping that is due is queued. The caller may come late; it never needs to come early.
        """
        if self.state is State.CLOSED:
            return None
        if self.state is State.AWAITING_HELLO:
            if now.steady_ms >= self._hello_by_ms:
                self.close(CLOSE_UNAUTHENTICATED, "No hello came in time.")
                return None
            return self._hello_by_ms
        if self.state is State.OPEN and now.wall_ms >= self.expires_ms:
            self.close(CLOSE_UNAUTHENTICATED, "token_expired")
            return None
        if now.steady_ms >= self._ping_at_ms:
            if self._pinged:
                self.close(CLOSE_NO_PONG, "no_pong")
                return None
            self._pinged = True
            self._ping_at_ms = now.steady_ms + PING_MS
            self.send_frame(Frame(b"", Kind.PING))
        return self.next_deadline_ms(now)

    def next_deadline_ms(self, now: Moment) -> int:
        """When `tick` has something to judge, in ms on the steady clock."""
        if self.state is State.AWAITING_HELLO:
            return self._hello_by_ms
        if self.state is not State.OPEN:
            return self._ping_at_ms
        return min(self._ping_at_ms, now.steady_ms + max(0, self.expires_ms - now.wall_ms))

    # -- what goes out ---------------------------------------------------------------------------------------

    def take_outgoing(self) -> list[Frame]:
        """The next frames to write, oldest first; an empty list means that nothing waits."""
        return self.outgoing.take()

    def written(self, frames: list[Frame]) -> list[str]:
        """These frames were written. Return the spaces whose `behind` is out: they go on from here."""
        self.outgoing.written(frames)
        return [frame.space for frame in frames if frame.kind is Kind.BEHIND]
