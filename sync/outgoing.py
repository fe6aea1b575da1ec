"""What waits to be written to one socket: a queue bounded in bytes, with a rule for what gives way.

Owns: the order of frames and the count of their bytes, from the moment they are queued until they are written.
Refuses to know: what stands in a frame, and who writes it.

Invariants
    O1  Queued and being-written bytes never pass OUTGOING_BYTES_MAX for what can give way (deltas, which a pull
        replaces; signals and events, which are hints), nor OUTGOING_HARD_BYTES_MAX for anything.
    O2  A frame that many sockets get is one object, held by reference; nothing is copied into a queue.
    O3  An empty queue holds no memory but itself: ten thousand idle sockets are cheap.
    O4  A held queue gives out pings and nothing else; the frame that releases it goes before all that waited.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

# One full delta; whoever is further behind than that is faster with a pull.
OUTGOING_BYTES_MAX: Final = 1_048_576
# Room for the answers and notices that cannot give way; a reader that leaves even these lying is cut off.
OUTGOING_HARD_BYTES_MAX: Final = OUTGOING_BYTES_MAX + 262_144
# What the writer takes in one go: the rest stays droppable. It equals the transport's own high-water mark.
TAKE_BYTES: Final = 65_536


class Kind(IntEnum):
    """What a frame is to the queue and to its writer."""

    CONTROL = 0  # welcome, ack, error, space: never dropped
    DELTA = 1  # dropped for `behind`
    HINT = 2  # signal, event, seen: dropped where there is no room
    BEHIND = 3  # as CONTROL; once written, its space goes on
    PING = 4


class Frame(NamedTuple):
    """One message as it goes out; `space` is set for DELTA and BEHIND."""

    data: bytes
    kind: Kind
    space: str = ""


class Outgoing:
    """The queue of one socket."""

    __slots__ = ("_frames", "_held", "size")

    def __init__(self, *, held: bool = False) -> None:
        """held: whether frames wait for `release`."""
        self._frames: list[Frame] | None = None
        self._held = held
        # Bytes queued and bytes taken but not yet written.
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._frames)

    def put(self, frame: Frame) -> bool:
        """Queue a frame; False where it does not fit (O1), and then nothing changed."""
        limit = OUTGOING_BYTES_MAX if frame.kind in (Kind.DELTA, Kind.HINT) else OUTGOING_HARD_BYTES_MAX
        if self.size + len(frame.data) > limit:
            return False
        self.size += len(frame.data)
        if self._frames is None:
            self._frames = []
        if frame.kind is Kind.PING:
            # Behind a full queue it would come too late to tell a slow reader from a dead one.
            self._frames.insert(0, frame)
        else:
            self._frames.append(frame)
        return True

    def release(self, first: Frame) -> None:
        """Give out what waited, `first` before all of it. It is never refused: nothing else goes without it."""
        self._held = False
        self.size += len(first.data)
        self._frames = [first, *(self._frames or ())]

    def drop(self, space: str) -> None:
        """Take out the queued deltas and the `behind` of one space; what is being written stays."""
        self._keep([f for f in self._frames or () if f.space != space])

    def drop_all_but_control(self) -> None:
        """Take out everything that a closing socket need not be told; the rest is held no longer."""
        self._held = False
        self._keep([f for f in self._frames or () if f.kind is Kind.CONTROL])

    def _keep(self, kept: list[Frame]) -> None:
        before = sum(len(f.data) for f in self._frames or ())
        self._frames = kept or None
        self.size -= before - sum(len(f.data) for f in kept)

    def take(self) -> list[Frame]:
        """The next frames to write, at least one where any wait and may go. Then call `written` with them."""
        frames = self._frames
        if not frames or (self._held and frames[0].kind is not Kind.PING):
            return []
        count = 1
        size = len(frames[0].data)
        while not self._held and count < len(frames) and size + len(frames[count].data) <= TAKE_BYTES:
            size += len(frames[count].data)
            count += 1
        self._frames = frames[count:] or None
        return frames[:count]

    def written(self, frames: list[Frame]) -> None:
        """These frames, all from `take`, are on their way; their bytes no longer count."""
        self.size -= sum(len(f.data) for f in frames)
