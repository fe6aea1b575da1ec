"""Cursors: opaque strings that stand for "everything up to this seq of this space".

A cursor carries no authority. Whoever forges one can only misplace their own reading, because access is
judged by membership alone; so it is checked for sense, and not signed.

Invariants
    C1  A cursor of another space, or one that was never given out, is BadCursor, never somebody's data.
    C2  A cursor of an earlier life is good only where the head, when it was given, was not beyond the one at
        which the next life began: what was given after that may name changes that were lost.
    C3  A cursor below the floor is Resync: tombstones it never saw are gone.
    C4  Of what a cursor has seen, `kept_of` names no seq that a later life may lack.
"""

from __future__ import annotations

import base64
import binascii
from typing import Protocol

import msgspec

from sync.errors import BadCursor, Resync


class CursorSpace(Protocol):
    """What a cursor needs to know of its space."""

    @property
    def id(self) -> str: ...
    @property
    def head(self) -> int: ...
    @property
    def life(self) -> str: ...
    @property
    def lives(self) -> list[tuple[str, int]]: ...
    @property
    def floor(self) -> int: ...


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    space: str
    life: str
    seq: int
    head: int


class _Before(msgspec.Struct, array_like=True, frozen=True):
    space: str
    life: str
    ceiling: int
    below: int
    mark: str = "before"


_encoder = msgspec.json.Encoder()
_cursor_decoder = msgspec.json.Decoder(_Cursor)
_before_decoder = msgspec.json.Decoder(_Before)

# Above every seq.
NOWHERE = 2**62
# A real cursor is about 60 characters; a longer one is not worth decoding.
_TEXT_MAX = 400


def _pack(value: msgspec.Struct) -> str:
    return base64.urlsafe_b64encode(_encoder.encode(value)).rstrip(b"=").decode()


def _unpack(text: str) -> bytes:
    if len(text) > _TEXT_MAX:
        raise BadCursor()
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadCursor() from None


def encode_cursor(space: CursorSpace, seq: int | None = None) -> str:
    """The cursor of `seq` in `space` (of its head where none is given), which remembers the head it saw."""
    return _pack(_Cursor(space.id, space.life, space.head if seq is None else seq, space.head))


def encode_mark(space: str, life: str, seq: int) -> str:
    """The cursor of a place that was the head when it was reached: what a delta ends with."""
    return _pack(_Cursor(space, life, seq, seq))


def _cursor(text: str) -> _Cursor:
    try:
        return _cursor_decoder.decode(_unpack(text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadCursor() from None


def _before(text: str) -> _Before:
    try:
        return _before_decoder.decode(_unpack(text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadCursor() from None


def named_by_cursor(text: str) -> int:
    """The seq that a cursor names, from 0 up; NOWHERE where it names none.

    It is not judged: for whoever reads a page and its space at once, and then asks `decode_cursor`.
    """
    try:
        seq = _cursor(text).seq
    except BadCursor:
        return NOWHERE
    return seq if 0 <= seq < NOWHERE else NOWHERE


def named_by_before(text: str) -> tuple[int, int]:
    """The (ceiling, below) that a snapshot's token names, or (0, 0); not judged, as with `named_by_cursor`."""
    try:
        before = _before(text)
    except BadCursor:
        return 0, 0
    return (before.ceiling, before.below) if 0 <= before.below <= before.ceiling + 1 < NOWHERE else (0, 0)


def decode_cursor(text: str, space: CursorSpace) -> int:
    """The seq after which to read on.

    Raises:
        BadCursor: malformed, of another space, or beyond anything this space gave out (C1).
        Resync: of a life that ended before it, or below the floor (C2, C3).
    """
    cursor = _cursor(text)
    if cursor.space != space.id or not 0 <= cursor.seq <= cursor.head:
        raise BadCursor()
    _check_life(cursor.life, cursor.head, space)
    if cursor.seq < space.floor:
        raise Resync()
    return cursor.seq


def _check_life(life: str, head: int, space: CursorSpace) -> None:
    if life == space.life:
        if head > space.head:
            raise BadCursor()
        return
    names = [name for name, _ in space.lives]
    if life not in names:
        raise Resync()
    later = space.lives[names.index(life) + 1 :]
    if any(head > start for _, start in later):
        raise Resync()


def kept_of(text: str, space: CursorSpace) -> int | None:
    """The seq up to which this history has all that whoever holds the cursor `text` was served (C4).

    None where that cannot be said: no cursor of this space, or one of a life that this history does not know.
    """
    try:
        cursor = _cursor(text)
    except BadCursor:
        return None
    names = [name for name, _ in space.lives]
    if cursor.space != space.id or cursor.life not in names or not 0 <= cursor.seq <= cursor.head:
        return None
    later = space.lives[names.index(cursor.life) + 1 :]
    return min(space.head, cursor.head, *(start for _, start in later))


def encode_before(space: CursorSpace, ceiling: int, below: int) -> str:
    """The token with which a snapshot that began at `ceiling` goes on below seq `below`."""
    return _pack(_Before(space.id, space.life, ceiling, below))


def decode_before(text: str, space: CursorSpace) -> tuple[int, int]:
    """(ceiling, below) of a snapshot's token.

    Raises:
        BadCursor: malformed, or of another space.
        Resync: the life in which the snapshot began is over; begin a new one.
    """
    before = _before(text)
    if before.mark != "before" or before.space != space.id or not 0 <= before.below <= before.ceiling + 1:
        raise BadCursor()
    if before.life != space.life:
        raise Resync()
    if before.ceiling > space.head:
        raise BadCursor()
    return before.ceiling, before.below
