"""Where the device stands in each space, and the numbers of each of its ids there.

A space goes through phases: `new` (nothing was ever fetched), `snapshot` (pages are coming), `settling` (all
pages are there, the first pull from the snapshot's cursor is not), `live`. A `resync` takes a live space through
them again beside what is shown: `repeat` (what was sent is sent again for its verdicts), `snapshot`, `ids` (the
server is asked about what the snapshot lacked). `gone`: the user may no longer read it.

A *stream* is one device id in one space. `after` is the last change of it that the server is known to hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from .database import Damaged, Tx
from .vectors import Vector, decode, encode, merged

__all__ = [
    "PERSONAL",
    "Phase",
    "Space",
    "Stream",
    "all_spaces",
    "context_for",
    "current_device",
    "own_context",
    "pause",
    "restart_snapshot",
    "save",
    "save_stream",
    "space",
    "stream",
    "streams",
    "wish_pull",
]

# The number of the personal space, which every database has from the start.
PERSONAL = 1

Phase = Literal["new", "snapshot", "settling", "live", "gone"]

_COLUMNS = (
    "no, id, kind, name, role, state, phase, cursor, life, version, snap, snap_before, snap_cursor, snap_life, "
    "snap_version, resync, resync_acked, restate, seen, seen_at, pull, checked_at, paused, confirm_deletes, quota"
)
_ALL_SPACES = f"SELECT {_COLUMNS} FROM spaces ORDER BY no"
_ONE_SPACE = f"SELECT {_COLUMNS} FROM spaces WHERE no = ?"
_VECTORS = frozenset({"version", "snap_version", "seen"})


@dataclass(slots=True)
class Space:
    """One space, as the table has it.

    pull: how often a pull was wished for since the last one began that is complete; 0 where none is due.
    quota: the JSON of what the server told last. It is read where somebody looks at it, and a space is read with each
    question to the server.
    """

    no: int
    id: str | None
    kind: str
    name: str
    role: str
    state: str
    phase: Phase
    cursor: str | None
    life: str | None
    version: Vector
    snap: int
    snap_before: str | None
    snap_cursor: str | None
    snap_life: str | None
    snap_version: Vector
    resync: Literal["", "repeat", "snapshot", "ids"]
    resync_acked: int | None
    restate: bool
    seen: Vector
    seen_at: int
    pull: int
    checked_at: int
    paused: dict[str, Any] | None
    confirm_deletes: bool
    quota: str | None

    @property
    def in_snapshot(self) -> bool:
        return self.phase in ("snapshot", "settling")

    def knows(self, snap: int, device: str, n: int) -> bool:
        """True where the merged record, brought by snapshot `snap` if it is the present one, has this change."""
        if self.version.get(device, 0) >= n:
            return True
        return self.in_snapshot and snap == self.snap and self.snap_version.get(device, 0) >= n


@dataclass(slots=True)
class Stream:
    """One device id in one space.

    ask: push at once, empty if need be (rule 15). matched: what the server said it holds of an id that is being
    left (rule 17). from_n: where the next question of that kind starts, None for `after`.
    """

    space: int
    device: str
    last_n: int
    after_n: int
    after_hlc: str | None
    ask: bool
    matched: int | None
    from_n: int | None


def _space(row: Any) -> Space:
    found = Space(*row)
    found.version, found.snap_version, found.seen = decode(row[9]), decode(row[14]), decode(row[18])
    found.restate, found.confirm_deletes = bool(row[17]), bool(row[23])
    found.paused = json.loads(row[22]) if row[22] else None
    return found


def space(tx: Tx, no: int) -> Space:
    return _space(tx.recall(_ONE_SPACE, (no,))[0])


def all_spaces(tx: Tx) -> list[Space]:
    return [_space(row) for row in tx.recall(_ALL_SPACES)]


def save(tx: Tx, found: Space, **changes: Any) -> None:
    """Set columns of a space, in the table and in `found`."""
    for name, value in changes.items():
        setattr(found, name, value)
    tx.update(
        "spaces",
        f"UPDATE spaces SET {', '.join(f'{name} = ?' for name in changes)} WHERE no = ?",
        [*(_stored(name, value) for name, value in changes.items()), found.no],
    )


def wish_pull(tx: Tx, found: Space) -> None:
    """A pull of this space is due. One that is under way does not count: it may end before what is to be brought."""
    save(tx, found, pull=found.pull + 1)


def _stored(name: str, value: Any) -> Any:
    if name in _VECTORS:
        return encode(value)
    if name == "paused":
        return json.dumps(value) if value is not None else None
    return value


def pause(tx: Tx, found: Space, code: str, message: str, details: Any = None) -> None:
    """Hold the space's queue until somebody decides, and say why (rule 11)."""
    paused = {"code": code, "message": message, "details": details, "since": tx.environment.now_ms()}
    save(tx, found, paused=paused)


def restart_snapshot(tx: Tx, found: Space) -> None:
    """Take a snapshot from its first page on: there was none, or the one that was coming cannot be completed."""
    save(tx, found, phase="new", snap_before=None, snap_cursor=None)


def current_device(tx: Tx) -> str:
    """The id that new changes are numbered under; '' before the server gave one."""
    rows = tx.recall("SELECT id FROM devices WHERE state = 'current'")
    if not rows:
        raise Damaged("the row of this device is gone")
    device: str = rows[0][0]
    return device


def streams(tx: Tx, space: int) -> list[Stream]:
    """Every id of this device in a space, the current one first."""
    rows = tx.recall(
        "SELECT s.space, s.device, s.last_n, s.after_n, s.after_hlc, s.ask, s.matched, s.from_n FROM streams s"
        " JOIN devices d ON d.id = s.device WHERE s.space = ? ORDER BY d.state <> 'current', s.device",
        (space,),
    )
    return [_stream(row) for row in rows]


def stream(tx: Tx, space: int, device: str) -> Stream:
    """One id in a space; a new line where there is none yet."""
    rows = tx.recall(
        "SELECT space, device, last_n, after_n, after_hlc, ask, matched, from_n FROM streams"
        " WHERE space = ? AND device = ?",
        (space, device),
    )
    if not rows:
        tx.execute("INSERT INTO streams (space, device) VALUES (?, ?)", (space, device))
        return Stream(space, device, 0, 0, None, False, None, None)
    return _stream(rows[0])


def _stream(row: Any) -> Stream:
    found = Stream(*row)
    found.ask = bool(found.ask)
    return found


def save_stream(tx: Tx, found: Stream, **changes: Any) -> None:
    """Set columns of a stream, in the table and in `found`."""
    for name, value in changes.items():
        setattr(found, name, value)
    tx.update(
        "streams",
        f"UPDATE streams SET {', '.join(f'{name} = ?' for name in changes)} WHERE space = ? AND device = ?",
        [*changes.values(), found.space, found.device],
    )


def context_for(tx: Tx, found: Space, *, of_snapshot: bool) -> Vector:
    """What a change made now has seen.

    of_snapshot: the record was brought by the snapshot that is still coming, so that it is known as of the
    snapshot's version (rule 12). Ids that this device left count up to what the server matched (rule 17).
    """
    context = dict(found.snap_version if of_snapshot else found.version)
    left = tx.all(
        "SELECT s.device, s.matched FROM streams s JOIN devices d ON d.id = s.device"
        " WHERE s.space = ? AND d.state = 'old' AND s.matched > 0",
        (found.no,),
    )
    return merged(context, dict(left))


def own_context(tx: Tx, found: Space) -> Vector:
    """What this device wrote itself, under whatever id: a change in this context replaces nothing of anybody else's."""
    own = {row[0] for row in tx.recall("SELECT id FROM devices")}
    return {device: n for device, n in context_for(tx, found, of_snapshot=False).items() if device in own}
