"""What is true of every stored space and record: pure, one row and its surroundings at a time.

Owns: the rules by name, each with what an operator does where it is broken; and the replay of a record from its
lines of the ledger. Refuses to know where rows come from (`storage/audit.py`) and in which order (`sync/audit.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from conflict import record as kernel
from conflict.clock import is_hlc
from conflict.errors import KernelError, RecordFull
from conflict.invariants import violations
from conflict.record import EMPTY, Change, RecordState
from conflict.values import json_equal
from conflict.vectors import covers
from storage.audit import AuditedRecord
from storage.collections import COLLECTIONS
from storage.rows import Key, StoredChange, listed_at
from storage.spaces import SpaceRow
from sync.bodies import DELETED, HIDDEN, SHOWN, STUB, deleted_body, shown_body
from sync.validation import Rejection, check_put

_RESTORE = "restore the database from a backup; devices push again what they hold"
_REPORT = "report it with the server's version; the data is as the devices see it"
_REWRITE = "write the record once more from any device, which rewrites its row"

# Rule → what to do where it is broken.
REMEDIES: Final[dict[str, str]] = {
    "file_damaged": _RESTORE,
    "space_unreadable": _RESTORE,
    "head_behind": f"{_RESTORE} (readers would miss what is written next)",
    "head_ahead": "write anything into the space from any device; numbers were skipped, and no reader misses anything",
    "lives_disorder": _RESTORE,
    "floor_above_head": _RESTORE,
    "seq_repeated": f"{_REWRITE}; devices may have missed one of them and find it by their digest",
    "seq_stale": f"{_REWRITE}; devices may have missed it and find it by their digest",
    "version_differs": _RESTORE,
    "ledger_hole": _RESTORE,
    "counter_differs": "set the counter in the table spaces to what was counted; only the quota depends on it",
    "seen_ahead": "set the column resync of the device's row in space_devices; the device then takes a snapshot",
    "unknown_collection": "run this check with the version of FitAI that wrote the record",
    "state_unreadable": _RESTORE,
    "state_broken": _RESTORE,
    "body_differs": _REWRITE,
    "status_differs": _REWRITE,
    "tombstone_undated": _REWRITE,
    "list_differs": _REWRITE,
    "parent_differs": _RESTORE,
    "parent_missing": _RESTORE,
    "below_unfounded": f"{_REPORT}; a delete could be refused for an edit that nobody made",
    "below_short": "write any record below once more; until then a delete could swallow an edit it had not seen",
    "text_differs": _REWRITE,
    "replay_differs": _RESTORE,
    "ledger_missing": _RESTORE,
    "record_missing": _RESTORE,
    "change_unreadable": _RESTORE,
    "row_unreadable": f"{_RESTORE}; what else is wrong there shows once this is mended",
    "member_without_user": "delete the row from members",
    "member_without_space": "delete the row from members",
    "member_without_role": "set the member's role (owner, editor, viewer) and state (invited, member) in members",
    "space_without_owner": "insert the owner's row into members, with the role owner and the state member; until then "
    "they cannot reach what they logged",
    "owner_without_user": _REPORT,
    "device_without_user": "delete the row from devices",
    "session_without_user": "delete the row from sessions",
    "session_without_device": "set the session's device_id to null",
    "token_without_session": "delete the session's rows from refresh_tokens",
    "session_with_two_tokens": "end the session: set its revoked_at; its user signs in again",
    "voter_without_device": "delete the row from space_devices; its vote would hold tombstones for ever",
    "voter_without_space": "delete the row from space_devices",
    "records_without_space": _RESTORE,
    "changes_without_space": _RESTORE,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that does not hold. `record` is collection/id, or what else within the space is at fault."""

    rule: str
    space: str | None
    record: str | None
    what: str

    @property
    def remedy(self) -> str:
        """What an operator does about it."""
        return REMEDIES[self.rule]


# What a value that its column cannot have comes to. SQLite stores any, and a hand with a tool writes one.
ODD: Final = (TypeError, ValueError, AttributeError)


class Finding(NamedTuple):
    """A rule that one row breaks, and how."""

    rule: str
    what: str


class Parent(NamedTuple):
    """What a record's parent says: its stored status, and the puts below it; no vector where it cannot be read."""

    status: int
    below: dict[str, int] | None


def check_space(space: SpaceRow) -> Iterator[Finding]:
    """What a space's own row says of itself."""
    names = [name for name, _ in space.lives]
    starts = [start for _, start in space.lives]
    if not names or names[-1] != space.life:
        yield Finding("lives_disorder", f"its life is {space.life!r} and the last of its lives is not")
    if len(set(names)) != len(names):
        yield Finding("lives_disorder", "two of its lives have one name")
    if starts != sorted(starts) or any(not 0 <= start <= space.head for start in starts):
        yield Finding("lives_disorder", f"its lives begin at {starts}, which must rise from 0 to the head {space.head}")
    if space.floor > space.head:
        yield Finding("floor_above_head", f"its floor {space.floor} is above its head {space.head}")
    if space.kind not in _KINDS:
        yield Finding("space_unreadable", f"its kind is {space.kind!r}")
    if not is_hlc(space.server_hlc):
        yield Finding("space_unreadable", f"the stamp of its server device is {space.server_hlc!r}")


def check_record(space: SpaceRow, row: AuditedRecord, state: RecordState, parent: Parent | None) -> Iterator[Finding]:
    """What a record's row says, compared with its state and its parent's row (None where there is none)."""
    spec = COLLECTIONS[row.collection]
    broken = violations(state, spec.rules)
    for sentence in broken:
        yield Finding("state_broken", f"its state breaks {sentence}")
    if row.seq > space.head:
        yield Finding("head_behind", f"its seq {row.seq} is above the head {space.head}")
    if row.status in (SHOWN, DELETED) and row.seq < 1:
        yield Finding("seq_repeated", f"it is served and has the seq {row.seq}")

    stored = None if row.parent_id is None else (row.parent_collection, row.parent_id)
    named = kernel.parent_id(state, spec.rules)
    meant = None if named is None or spec.rules.parent is None else (spec.rules.parent[1], named)
    if stored != meant or (row.parent_collection is None) != (row.parent_id is None):
        yield Finding("parent_differs", f"its row says it is below {_key(stored)}, and its state {_key(meant)}")
    elif meant is not None and parent is None:
        yield Finding("parent_missing", f"its parent {_key(meant)} has no row, not even an empty one")

    status = _status(state, spec.rules.parent is not None, parent)
    if row.status != status:
        yield Finding("status_differs", f"it is stored as {_NAMES.get(row.status, row.status)} and is {_NAMES[status]}")
    if (row.status == DELETED) != (row.deleted_at is not None):
        yield Finding("tombstone_undated", "the date of its delete is missing, or it is not deleted and has one")
    if not broken and not _same_body(row, state):
        yield Finding("body_differs", "what is served is not what its state shows")
    # Where the status is wrong, that is the finding, and not what follows from it.
    if row.status == status and row.listed_at != listed_at(row.collection, row.status, row.body):
        yield Finding("list_differs", f"lists have it at {row.listed_at!r}, and what is served says otherwise")
    if parent is not None and parent.below is not None:
        puts = kernel.puts_at_or_below(state)
        short = sorted(device for device, n in puts.items() if not covers(parent.below, device, n))
        if short:
            yield Finding("below_short", f"its parent does not count its puts of {', '.join(short)}")


_KINDS: Final = ("personal", "shared", "catalog", "erasing")
_NAMES: Final = {SHOWN: "shown", DELETED: "deleted", HIDDEN: "hidden", STUB: "a stub"}


def _key(key: tuple[str | None, str] | None) -> str:
    return "nothing" if key is None else f"{key[0]}/{key[1]}"


def _status(state: RecordState, has_parent: bool, parent: Parent | None) -> int:
    if not state.named:
        return STUB
    if kernel.is_deleted(state):
        return DELETED
    return HIDDEN if has_parent and (parent is None or parent.status != SHOWN) else SHOWN


def _same_body(row: AuditedRecord, state: RecordState) -> bool:
    if not state.named:
        return row.body == b""
    # By the stored status: a wrong one is a finding of its own, and not also one of the body.
    deleted = row.status == DELETED
    meant = deleted_body(row.key, state) if deleted else shown_body(row.key, state, COLLECTIONS[row.collection])
    if row.body == meant:
        return True
    try:
        # Another version may have spelt the same object otherwise.
        return json_equal(msgspec.json.decode(row.body), msgspec.json.decode(meant))
    except msgspec.DecodeError:
        return False


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    message: str
    field: str | None = None


def is_verdict(data: bytes) -> bool:
    """Whether a rejected line can be given to its device again."""
    try:
        msgspec.json.decode(data, type=_Verdict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def decode_state(data: bytes) -> RecordState | None:
    """The state of a row; None where it is none."""
    try:
        return kernel.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@dataclass
class Replay:
    """One record, worked out again from its lines of the ledger.

    Add the lines in the order in which the server took them. `broken` says which line cannot be applied, if any.
    """

    key: Key
    state: RecordState = EMPTY
    broken: str | None = None
    # The head after its newest batch, and after the one before that; 0 where there is none.
    arrival: int = 0
    before: int = 0

    def add(self, line: StoredChange, *, compacted: bool = False) -> bool:
        """Apply one accepted line; after a broken one, nothing more is applied.

        False where a text has no room: compact the texts of `state`, as had been done when the line came, and add
        it again, `compacted`.
        """
        if line.arrival > self.arrival:
            self.before, self.arrival = self.arrival, line.arrival
        if self.broken is not None:
            return True
        change = as_change(line)
        if isinstance(change, str):
            self.broken = change
            return True
        try:
            self.state = kernel.apply(self.state, change, COLLECTIONS[self.key[0]].rules)
        except KernelError as error:
            if isinstance(error, RecordFull) and not compacted:
                return False
            self.broken = f"change {line.n} of {line.device} no longer applies: {error.message}"
        return True


_context: Final = msgspec.json.Decoder(dict[str, int])
_fields: Final = msgspec.json.Decoder(dict[str, Any])


def as_change(line: StoredChange) -> Change | str:
    """A line of the ledger as the kernel takes it, or a sentence on why it cannot be."""
    name = f"change {line.n} of {line.device}"
    spec = COLLECTIONS.get(line.collection or "")
    if spec is None or line.id is None or line.op not in ("put", "delete"):
        return f"{name} is an accepted {line.op!r} of {line.collection}/{line.id}"
    hlc = line.clamped_hlc or line.hlc
    if not is_hlc(hlc):
        return f"{name} has the stamp {hlc!r}"
    try:
        context = _context.decode(line.context)
        sent = _fields.decode(line.fields or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{name} is stored in JSON that cannot be read"
    if line.op == "delete":
        return Change(line.device, line.n, hlc, context, "delete", {})
    fields = check_put(spec, line.id, sent)
    if isinstance(fields, Rejection):
        return f"{name} was accepted and is wrong: {fields.message}"
    return Change(line.device, line.n, hlc, context, "put", fields)


_COMPARED: Final = ("at", "by", "own_puts", "deletes", "writes", "sets", "counters")


def differences(state: RecordState, replayed: RecordState) -> list[str]:
    """The parts in which a state is not what its changes make of it; texts and what lies below are not compared."""
    if _differing(state, replayed):
        # Values that a device sent may be spelt otherwise once they have been stored: compare what is read back.
        replayed = kernel.decode(kernel.encode(replayed))
    return _differing(state, replayed) + ["texts"] * (state.texts.keys() != replayed.texts.keys())


def _differing(here: RecordState, there: RecordState) -> list[str]:
    return [name for name in _COMPARED if getattr(here, name) != getattr(there, name)]
