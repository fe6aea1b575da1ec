"""Signals: presence, a heart rate, "resting". Told to the sockets of a space, stored nowhere.

Owns: the fan-out of signals, and the board of the last ones with a ttl, which late joiners are told.
Refuses to know: what a body means, and who may send (sync/live.py asks first).

A signal goes over the bus (`signal:<space>`) to every process that has a socket in the space. A board is kept in
each of them, for as long as it has one. A process whose first socket in a space comes later asks over the same
topic, and the others answer with what they hold; so a late joiner is told, whichever process it meets. What can be
missed: a signal while Redis is gone reaches the sender's own process only; and where the last listening process
lets go of a space, its board goes with it. Both last a ttl (120 s) at most, and nothing on a board is data.

Invariants
    G1  A signal never comes back to the socket that sent it, nor is a device replayed its own.
    G2  A board holds at most TOPICS_PER_DEVICE signals of a device; a further topic lets the oldest go.
    G3  Nothing is replayed after its ttl. A signal without one ends what was held of its topic.
    G4  A signal without room in a socket's queue is dropped for that socket alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from conflict.clock import rfc3339
from sync.bus import LOST, Bus, signal_topic
from sync.outgoing import Frame, Kind
from sync.protocol import Session, Signal

log = logging.getLogger(__name__)

TOPICS_PER_DEVICE: Final = 8
# A space of 64 members' devices with eight topics each; 2 MiB at the very worst.
HELD_PER_SPACE_MAX: Final = 512


class Message(msgspec.Struct, omit_defaults=True):
    """What travels on the bus. `frame` is the finished frame: serialised once, for all processes."""

    kind: str
    # The socket that sent it (G1); for "ask" and "held", the board that asks.
    sender: str
    device: str = ""
    topic: str = ""
    expires_ms: int = 0
    frame: msgspec.Raw = msgspec.Raw(b"null")


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Message)


@dataclass(slots=True)
class _Board:
    """The signals of one space in this process, oldest first."""

    leave: Callable[[], None]
    held: dict[tuple[str, str], Message] = field(default_factory=dict)


class Signals:
    """The signals of one process."""

    def __init__(
        self,
        bus: Bus,
        *,
        id: str,
        now_ms: Callable[[], int],
        sessions: Callable[[str], Iterable[Session]],
        later: Callable[[Any], None],
    ) -> None:
        """`id` names this process. `sessions` gives who listens to a space here. `later` runs a coroutine soon."""
        self._bus = bus
        self._id = id
        self._now_ms = now_ms
        self._sessions = sessions
        self._later = later
        self._boards: dict[str, _Board] = {}

    def join(self, session: Session, space: str) -> None:
        """`session` listens to `space` from now on: tell it what is held."""
        board = self._boards.get(space)
        if board is None:
            leave = self._bus.subscribe(signal_topic(space), partial(self._heard, space))
            board = self._boards[space] = _Board(leave)
            self._ask(space)
        self._expire(board)
        for message in board.held.values():
            if message.device != session.device:
                session.send_frame(_frame(message))

    def release(self, space: str) -> None:
        """Nobody here listens to `space` any more."""
        board = self._boards.pop(space, None)
        if board is not None:
            board.leave()

    async def send(self, session: Session, signal: Signal) -> None:
        """Tell the space's other sockets, in every process. The caller has checked the right to."""
        assert session.caller is not None
        now_ms = self._now_ms()
        frame = _encoder.encode(
            {
                "type": "signal",
                "space": signal.space,
                "topic": signal.topic,
                "body": signal.body,
                "user": session.caller.user,
                "device": session.device,
                "at": rfc3339(now_ms),
            }
        )
        expires_ms = now_ms + int((signal.ttl_s or 0) * 1_000)
        message = Message("signal", session.id, session.device, signal.topic, expires_ms, msgspec.Raw(frame))
        await self._bus.publish(signal_topic(signal.space), _encoder.encode(message))

    def _ask(self, space: str) -> None:
        self._later(self._bus.publish(signal_topic(space), _encoder.encode(Message("ask", self._id))))

    def _heard(self, space: str, data: bytes) -> None:
        board = self._boards.get(space)
        if board is None:
            return
        if data == LOST:
            # The subscription has just begun, or begun anew: what was said meanwhile is held elsewhere.
            self._ask(space)
            return
        try:
            message = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("a signal of space %s on the bus is not one of ours", space)
            return
        if message.kind == "signal":
            self._hold(board, message)
            self._tell(space, message)
        elif message.kind == "held":
            self._learn(space, board, message)
        elif message.sender != self._id:
            self._answer(space, board)

    def _learn(self, space: str, board: _Board, message: Message) -> None:
        """What another process holds: new here only where nothing is held of the device and topic."""
        if (message.device, message.topic) in board.held or message.expires_ms <= self._now_ms():
            return
        self._hold(board, message)
        self._tell(space, message)

    def _answer(self, space: str, board: _Board) -> None:
        self._expire(board)
        for message in board.held.values():
            held = msgspec.structs.replace(message, kind="held", sender=self._id)
            self._later(self._bus.publish(signal_topic(space), _encoder.encode(held)))

    def _tell(self, space: str, message: Message) -> None:
        frame = _frame(message)
        replayed = message.kind == "held"
        for session in self._sessions(space):
            if session.id != message.sender and not (replayed and session.device == message.device):
                session.send_frame(frame)

    def _hold(self, board: _Board, message: Message) -> None:
        self._expire(board)
        board.held.pop((message.device, message.topic), None)
        if message.expires_ms <= self._now_ms():
            return
        own = [key for key in board.held if key[0] == message.device]
        if len(own) >= TOPICS_PER_DEVICE:
            del board.held[own[0]]
        elif len(board.held) >= HELD_PER_SPACE_MAX:
            del board.held[next(iter(board.held))]
        board.held[message.device, message.topic] = message

    def _expire(self, board: _Board) -> None:
        now_ms = self._now_ms()
        for key in [key for key, message in board.held.items() if message.expires_ms <= now_ms]:
            del board.held[key]


def _frame(message: Message) -> Frame:
    return Frame(bytes(message.frame), Kind.HINT)
