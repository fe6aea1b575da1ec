"""A delta of a space as bytes: serialised once, for every socket of this process (D3).

Owns: how it is spelled, and that only its `from` differs between those who get it.
Refuses to know: who gets it (sync/channels.py), and when it is read (sync/hub.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from sync.cursors import encode_mark
from sync.outgoing import Frame, Kind

_encode: Final = msgspec.json.Encoder().encode


class DeltaLike(Protocol):
    """What moved in a space after `from_seq`, up to `to_seq`; see `sync.feed.Delta`."""

    @property
    def life(self) -> str: ...
    @property
    def to_seq(self) -> int: ...
    @property
    def records(self) -> tuple[bytes, ...]: ...
    @property
    def version(self) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class Shared:
    """One delta for all: `body` lacks only its `from`, which differs for few."""

    from_seq: int
    from_cursor: str
    to_seq: int
    to_cursor: str
    body: bytes
    frame: Frame

    def frame_from(self, cursor: str) -> Frame:
        """The frame for a device that stands at `cursor`."""
        return _frame(self.frame.space, self.body, cursor)


def serialise(space: str, from_seq: int, from_cursor: str, delta: DeltaLike, version: Mapping[str, int]) -> Shared:
    """The bytes of a delta from `from_seq` on, which tells of `version`."""
    to_cursor = encode_mark(space, delta.life, delta.to_seq)
    body = b'{"type":"delta","space":%b,"life":%b,"to":%b,"version":%b,"records":[%b],"from":' % (
        _encode(space),
        _encode(delta.life),
        _encode(to_cursor),
        _encode(version),
        b",".join(delta.records),
    )
    return Shared(from_seq, from_cursor, delta.to_seq, to_cursor, body, _frame(space, body, from_cursor))


def _frame(space: str, body: bytes, cursor: str) -> Frame:
    return Frame(b"%b%b}" % (body, _encode(cursor)), Kind.DELTA, space)
