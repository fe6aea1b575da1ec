"""The shape of a Yjs update (encoding version 1) of one plain text, checked before any library reads it.

Owns the grammar below. Refuses to know what an update means: merging and reading are pycrdt's (text.py).

    update     = clients, deletes
    clients    = count, { structs, client, clock, struct × structs } × count
    struct     = 0, length                                        a collected run
               | 10, length                                       a gap: what lies there is still to come
               | info, [left id], [right id], [parent], content   info: 0x80 left, 0x40 right, 0x20 sub-key, kind
    parent     = 1, root name | 0, id                             only without left and right
    content    = 1: length deleted | 4: string | 5: embed, a string | 6: format, two strings
    deletes    = count, { client, ranges, { clock, length } × ranges } × count

Invariants
    U1  What passes has no more parts than bytes, so that no count in it can make a reader reserve memory.
    U2  Clocks stay below CLOCK_MAX, so that no 32-bit sum of a reader wraps around.
    U3  It writes to the one root named ROOT alone: an edit of any other would be accepted and never be seen.
    U4  It contains no U+0000, which no text of ours may hold.

Source: the Yjs project, `src/utils/encoding.js` and lib0's `encoding.js` (variable-length integers).
"""

from __future__ import annotations

from conflict.errors import BadText, NulInText

ROOT = "text"
# Yjs counts clocks in 32 bits in some implementations; half of that is two billion characters by one client.
CLOCK_MAX = 1 << 31
# A client id is a JavaScript integer.
CLIENT_MAX = (1 << 53) - 1

# How far an update reaches, whatever is missing before that: client → the clock after the last one it names.
Extent = dict[int, int]

_LEFT, _RIGHT, _SUB_KEY, _KIND = 0x80, 0x40, 0x20, 0x1F
_COLLECTED, _DELETED, _STRING, _EMBED, _FORMAT, _GAP = 0, 1, 4, 5, 6, 10


def check_update(data: bytes) -> Extent:
    """Return the extent of `data` where it is one whole update of a plain text; time and memory are linear in
    its length.

    Raises:
        BadText: it is not, with the byte at which that shows.
        NulInText: it is, and inserts U+0000.
    """
    return _Reader(data).update()


def read_state_vector(data: bytes) -> Extent:
    """Return a Yjs state vector: client → the clock up to which everything is there. Raises BadText."""
    reader = _Reader(data)
    return {reader.number(CLIENT_MAX): reader.number(CLOCK_MAX) for _ in range(reader.number())}


class _Reader:
    """One pass over the bytes; `at` is the next one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def update(self) -> Extent:
        extent: Extent = {}
        for _ in range(self.number()):
            structs = self.number()
            client = self.number(CLIENT_MAX)
            clock = self.number(CLOCK_MAX)
            if client in extent:
                raise self.bad("a client that was there before")
            for _ in range(structs):
                clock += self.struct()
                if clock > CLOCK_MAX:
                    raise self.bad("a clock that is too high")
            extent[client] = clock
        self.deletes(extent)
        if self.at != len(self.data):
            raise self.bad("bytes after the end")
        return extent

    def struct(self) -> int:
        """Read one struct and return how many clocks it takes."""
        info = self.byte()
        kind = info & _KIND
        if kind in (_COLLECTED, _GAP):
            return self.length()
        if info & _LEFT:
            self.id()
        if info & _RIGHT:
            self.id()
        if not info & (_LEFT | _RIGHT):
            if self.number(1) == 0:
                self.id()
            elif self.string() != ROOT:
                raise self.bad(f"a root that is not named {ROOT!r}")
            if info & _SUB_KEY:
                raise self.bad("an entry of a map")
        if kind == _STRING:
            text = self.string()
            if "\0" in text:
                raise NulInText("The text inserts U+0000; take it out.")
            # Yjs counts UTF-16 units: two for what lies beyond the basic plane.
            return len(text) + sum(character > "\uffff" for character in text)
        if kind == _DELETED:
            return self.length()
        if kind == _EMBED:
            self.string()
        elif kind == _FORMAT:
            self.string()
            self.string()
        else:
            raise self.bad(f"content of kind {kind}, which no plain text has")
        return 1

    def deletes(self, extent: Extent) -> None:
        for _ in range(self.number()):
            client = self.number(CLIENT_MAX)
            for _ in range(self.number()):
                end = self.number(CLOCK_MAX) + self.length()
                if end > CLOCK_MAX:
                    raise self.bad("a clock that is too high")
                extent[client] = max(extent.get(client, 0), end)

    def id(self) -> None:
        self.number(CLIENT_MAX)
        self.number(CLOCK_MAX)

    def length(self) -> int:
        length = self.number(CLOCK_MAX)
        if length == 0:
            raise self.bad("a length of 0")
        return length

    def string(self) -> str:
        length = self.number(len(self.data))
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise self.bad("the end")
        try:
            return self.data[start : self.at].decode()
        except UnicodeDecodeError as error:
            raise self.bad("a string that is not UTF-8") from error

    def number(self, limit: int = CLOCK_MAX) -> int:
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            if result > limit:
                raise self.bad("a number that is too large")
            if byte < 0x80:
                return result
            shift += 7
            if shift > 63:
                raise self.bad("a number that does not end")

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise self.bad("the end")
        self.at += 1
        return self.data[self.at - 1]

    def bad(self, found: str) -> BadText:
        return BadText(f"The text update has {found} at byte {self.at}; send the whole document.")
