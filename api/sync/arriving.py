"""The bytes of sockets that have arrived and are no message yet: bounded for the whole process.

Owns: their count, and the rule of who has to go. Refuses to know: frames, and what a message says.

A frame of a mebibyte is kept until its last byte is there, and whoever never sends that has it kept for as long as the
socket lives; so a thousand of them, of people without a token, would be a gigabyte.

Invariants
    I1  What is kept of unfinished messages never passes SIGNED_IN_BYTES_MAX by more than a read of each socket, and
        those that have not said who they are go from NAMELESS_BYTES_MAX on.
    I2  Who has to go is one who sends something large; small messages, which nearly all are, pass always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api.bodies import SMALL_BYTES

NAMELESS_BYTES_MAX: Final = 16 * 1_048_576
SIGNED_IN_BYTES_MAX: Final = 64 * 1_048_576


@dataclass(slots=True)
class Arriving:
    """All sockets of one process together."""

    held: int = 0

    def has_room(self, own: int, *, nameless: bool) -> bool:
        """Whether a socket of which `own` bytes are unfinished may go on (I1, I2)."""
        most = NAMELESS_BYTES_MAX if nameless else SIGNED_IN_BYTES_MAX
        return own <= SMALL_BYTES or self.held <= most


class Listening(asyncio.Protocol):
    """Stands between a connection and what reads it. `arrived` is told of each read, in bytes, and says whether that is
    handed on."""

    __slots__ = ("_arrived", "_reader")

    def __init__(self, reader: asyncio.Protocol, arrived: Callable[[int], bool]) -> None:
        self._reader = reader
        self._arrived = arrived

    def data_received(self, data: bytes) -> None:
        if self._arrived(len(data)):
            self._reader.data_received(data)

    def eof_received(self) -> bool | None:
        return self._reader.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._reader.connection_lost(error)

    def pause_writing(self) -> None:
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        self._reader.resume_writing()
