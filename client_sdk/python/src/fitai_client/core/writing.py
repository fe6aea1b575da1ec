"""Writing: a change, its number, its context and what the user sees of it are one local transaction (rule 1).

Rules of device.md kept here
    1   The context is the version at the moment the edited value was shown; a form that is open holds it.
    2   A group larger than a batch is refused when it is made; a change over 64 KiB likewise.
    3   The hlc is made once, by the clock corrected with the last known offset, and never changed.
    12  While a snapshot is coming, only a record that it has brought is known as of its version.

Cost: four statements a write, whatever the number of records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ..collections import COLLECTIONS, field_of, no_such_field
from ..errors import InvalidWrite, NotFound
from . import text
from .clock import JUMP_MAX, tick
from .database import Tx
from .ids import is_uuid
from .judging import judge_field, judge_id
from .overlay import LaidPut, counts, lay_over, same_value, seen_values, start
from .records import NONE, SHOWN, Key, ancestors, descendants, dumps, read_row, recompute, revive_above, touch_tree
from .rejecting import LOST_CODE, LOST_MESSAGE, Verdict, enqueue_inbox
from .spaces import Space, context_for, current_device, save_stream, space, stream
from .values import encode_field
from .vectors import Vector, at_least, decode, encode, minimum

__all__ = [
    "BATCH_BYTES_MAX",
    "BATCH_CHANGES_MAX",
    "CHANGE_BYTES_MAX",
    "WRITTEN_ANEW",
    "PutLike",
    "Write",
    "write_groups",
]

# What the protocol allows; a kibibyte is left for the envelope of a batch, and vectors are counted with changes.
BATCH_CHANGES_MAX = 1_000
BATCH_BYTES_MAX = 1024 * 1024 - 16 * 1024
CHANGE_BYTES_MAX = 64 * 1024

# The mark of what a device writes of its own accord, because a server lost it: no user's doing, so nothing to undo.
WRITTEN_ANEW = "anew"


class PutLike(Protocol):
    """Anything that names a record and its fields: `Write`, or what an importer yields."""

    @property
    def collection(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Write:
    """One write to one record.

    context, seen: what had been seen when the edit began, of the space and of each field (an open form); None means
    now. began: the last place in the log then. must_exist: refuse to write to a record that does not show.
    """

    collection: str
    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    op: Literal["put", "delete"] = "put"
    context: Vector | None = None
    seen: Mapping[str, list[Any]] | None = None
    began: int | None = None
    must_exist: bool = False


def write_groups(
    tx: Tx, space_no: int, groups: Iterable[Sequence[PutLike]], *, judged: bool = False, mark: str | None = None
) -> int:
    """Log and show every write; the writes of a group stand or fall together. Returns how many were written.

    judged: hold each value against what the server takes (`judging.py`): for what a program writes of its own.
    mark: what these writes are to `undo.py`, where they are not simply the user's.

    Raises:
        InvalidWrite: a write that no server would take; nothing of any group is written then, provided the caller
            lets the exception end the transaction.
        NotFound: a write with `must_exist` names a record that does not show.
    """
    session = _Session(tx, space(tx, space_no), judged, mark)
    for group in groups:
        session.write(group)
    session.finish()
    return session.written


class _Session:
    """Many writes in one transaction: what does not change between them is read once."""

    def __init__(self, tx: Tx, found: Space, judged: bool, mark: str | None) -> None:
        self.tx = tx
        self.mark = mark
        self.judged = judged
        self.space = found
        if found.phase == "gone":
            raise NotFound("This space is no longer open to this account.")
        if judged and found.role == "viewer":
            raise InvalidWrite(f"{found.name or 'This space'} may be read, and not written.", code="read_only")
        self.device = current_device(tx)
        self.stream = stream(tx, found.no, self.device)
        self.n = self.stream.last_n
        self.hlc = tx.meta("hlc")
        self.jump = int.from_bytes(tx.environment.random_bytes(2), "big") & JUMP_MAX
        self.now_ms = tx.environment.now_ms()
        self.clock_ms = self.now_ms + int(tx.meta("clock_offset_ms") or 0)
        self.context = encode(context_for(tx, found, of_snapshot=False))
        self.snapshot_context = encode(context_for(tx, found, of_snapshot=True)) if found.in_snapshot else self.context
        # The highest seq that was shown: what a delete hides above it was pulled later (`_knowledge_of_below`).
        self.seq: int | None = None
        # Records above, known to be there: a put below them brings nothing back.
        self.there: set[Key] = set()
        self.written = 0

    def write(self, group: Sequence[PutLike]) -> None:
        if len(group) > BATCH_CHANGES_MAX:
            raise InvalidWrite(
                f"A group has {len(group)} writes; the limit is {BATCH_CHANGES_MAX}: write it in parts.",
                code="group_too_large",
            )
        first = self.n + 1
        size = sum(self._write_one(one, first if len(group) > 1 else None) for one in group)
        if size > BATCH_BYTES_MAX:
            raise InvalidWrite(
                f"A group takes {size} bytes; the limit is {BATCH_BYTES_MAX}: write it in parts.",
                code="group_too_large",
            )

    def finish(self) -> None:
        if self.written:
            save_stream(self.tx, self.stream, last_n=self.n)
            self.tx.set_meta("hlc", self.hlc)

    def _write_one(self, one: PutLike, group: int | None) -> int:
        """Log and show one write; its bytes on the wire, at most."""
        tx, no = self.tx, self.space.no
        op = getattr(one, "op", "put")
        key = (one.collection, one.id)
        _check_key(key)
        if self.judged:
            judge_id(*key)
        row = read_row(tx, no, key)
        if getattr(one, "must_exist", False) and not self._shows(key):
            raise NotFound(f"{key[0]} {key[1]} is not there.")
        if op == "delete":
            touch_tree(tx, no, key)
        else:
            tx.touch(no, *key)
        base = json.loads(row.body) if row and row.body else None
        shown = json.loads(row.shown) if row and row.shown else start(base)
        fields = self._encode(key, one.fields, shown) if op == "put" else {}
        held = getattr(one, "context", None)
        of_snapshot = self.space.in_snapshot and row is not None and row.snap == self.space.snap and row.status == SHOWN
        context = encode(held) if held is not None else self.snapshot_context if of_snapshot else self.context
        if op == "delete" and held is None:
            context = self._knowledge_of_below(key, context)
        text_fields = dumps(fields)
        size = len(text_fields.encode()) + len(context) + 300
        if size > CHANGE_BYTES_MAX:
            raise InvalidWrite(
                f"A change of {key[0]} takes {size} bytes; the limit is {CHANGE_BYTES_MAX}: shorten it.",
                code="too_long",
            )
        self.n += 1
        self.written += 1
        self.hlc = tick(self.hlc, self.clock_ms, self.jump)
        self.jump = 0
        seen = seen_values(key[0], base, fields) if held is None else dict(getattr(one, "seen", None) or {})
        if (began := getattr(one, "began", None)) is not None:
            self._keep_written_anew(key, fields, seen, began)
        before = {name: shown["values"].get(name) for name in fields} if shown["values"] else {}
        counting = op == "put" and counts(key[0], fields)
        tx.execute(
            "INSERT INTO log (space, device, n, hlc, context, life, op, collection, id, fields, grp, counts, seen,"
            " before, seq, made_at, mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                no,
                self.device,
                self.n,
                self.hlc,
                context,
                self.space.life,
                op,
                *key,
                text_fields if op == "put" else None,
                group,
                counting,
                dumps(seen) if seen else None,
                dumps(before) if before else None,
                self._seq_of_delete(context) if op == "delete" else None,
                self.now_ms,
                self.mark,
            ),
        )
        if op == "delete":
            self.there.clear()
            recompute(tx, no, key)
            return size
        alive = row is None or bool(row.alive)
        if not alive:
            recompute(tx, no, key)
        else:
            lay_over(key[0], shown, base, LaidPut(self.hlc, fields, seen))
            self._show(key, shown, row is None)
        if counting:
            self._bring_back_above(key)
        return size

    def _keep_written_anew(
        self, key: Key, fields: Mapping[str, Any], seen: Mapping[str, list[Any]], began: int
    ) -> None:
        """Into the inbox, what this device wrote anew under an open form, and its user was never shown.

        It is somebody else's, and the number of what is saved now counts as having seen it.
        """
        rows = self.tx.all(
            # Not by an index: what is behind `began` is little, and the whole log may be long.
            "SELECT fields FROM log NOT INDEXED WHERE space = ? AND collection = ? AND id = ? AND pos > ? AND mark = ?"
            " AND op = 'put' AND verdict IS NULL",
            (self.space.no, *key, began, WRITTEN_ANEW),
        )
        for (text_anew,) in rows:
            for name, value in json.loads(text_anew).items():
                known = [*seen.get(name, ()), fields.get(name)]
                if name in fields and field_of(key[0], name).kind == "register" and not _is_among(value, known):
                    change = ("put", *key, dumps({name: value}))
                    verdict = Verdict(LOST_CODE, LOST_MESSAGE, name)
                    enqueue_inbox(self.tx, self.space.no, self.device, 0, change, verdict, context="{}")

    def _knowledge_of_below(self, key: Key, context: str) -> str:
        """The context of a delete: no more than the user can have seen of what it takes along.

        Where an own delete below is laid over, what was pulled under it has not been shown to anybody; a delete that
        named it would bury it. So there the context is what both deletes know.
        """
        tx, no = self.tx, self.space.no
        if tx.one("SELECT 1 FROM log WHERE space = ? AND laid = 1 AND op = 'delete' LIMIT 1", (no,)) is None:
            return context
        known = decode(context)
        for below in descendants(tx, no, key):
            for earlier, seq in tx.all(
                "SELECT context, seq FROM log"
                " WHERE space = ? AND collection = ? AND id = ? AND laid = 1 AND op = 'delete'",
                (no, *below),
            ):
                rows = (read_row(tx, no, one) for one in (below, *descendants(tx, no, below)))
                if any(row is not None and (row.seq or 0) > abs(seq or 0) for row in rows):
                    known = minimum(known, decode(earlier))
        return encode(known)

    def _seq_of_delete(self, context: str) -> int:
        """The highest seq that was shown; negative where the delete knows less (an undone create, a rescued delete): it
        takes along nothing that others wrote, and a server that lost that lost more than was deleted here."""
        seq = self._highest_seq()
        return seq if at_least(decode(context), decode(self.context)) else -seq

    def _highest_seq(self) -> int:
        if self.seq is None:
            row = self.tx.one("SELECT MAX(seq) FROM records WHERE space = ?", (self.space.no,))
            self.seq = row[0] or 0
        return self.seq

    def _show(self, key: Key, shown: dict[str, Any], new: bool) -> None:
        declared = COLLECTIONS[key[0]].parent
        parent = shown["values"].get(declared[0]) if declared else None
        values = (parent if isinstance(parent, str) else None, "conflicts" in shown, dumps(shown))
        if new:
            self.tx.execute(
                "INSERT INTO records (space, collection, id, status, alive, parent, conflicted, shown)"
                " VALUES (?, ?, ?, ?, 1, ?, ?, ?)",
                (self.space.no, *key, NONE, *values),
            )
        else:
            self.tx.execute(
                "UPDATE records SET parent = ?, conflicted = ?, shown = ?"
                " WHERE space = ? AND collection = ? AND id = ?",
                (*values, self.space.no, *key),
            )

    def _bring_back_above(self, key: Key) -> None:
        declared = COLLECTIONS[key[0]].parent
        if declared is None:
            return
        row = self.tx.one(
            "SELECT parent FROM records WHERE space = ? AND collection = ? AND id = ?", (self.space.no, *key)
        )
        above = (declared[1], row[0])
        if above in self.there:
            return
        revive_above(self.tx, self.space.no, key)
        self.there.add(above)

    def _shows(self, key: Key) -> bool:
        row = read_row(self.tx, self.space.no, key)
        if row is None or not row.alive:
            return False
        for above in ancestors(self.tx, self.space.no, key):
            line = read_row(self.tx, self.space.no, above)
            if line is None or not line.alive:
                return False
        return True

    def _encode(self, key: Key, fields: Mapping[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
        declared = COLLECTIONS[key[0]]
        result = {}
        for name, value in fields.items():
            if name not in declared.fields:
                raise InvalidWrite(no_such_field(key[0], name), code="unknown_field", field=name)
            where = f"{key[0]}.{name}"
            present = shown["values"].get(name)
            try:
                edit = encode_field(field_of(key[0], name).kind, value, present, where, self.tx.environment)
                if self.judged:
                    judge_field(key[0], name, edit, present)
            except InvalidWrite as refused:
                refused.field = name
                raise
            if declared.fields[name].kind == "text" and self._text_was_refused(key, name):
                edit = {"yjs": text.whole(text.laid_over(present, edit["yjs"]))}
            result[name] = edit
        return result

    def _text_was_refused(self, key: Key, name: str) -> bool:
        """After a refused change of a text, the server may lack what later ones build on."""
        rows = self.tx.all(
            "SELECT fields FROM inbox WHERE space = ? AND collection = ? AND id = ? AND op = 'put'",
            (self.space.no, *key),
        )
        return any(name in json.loads(row[0]) for row in rows)


def _is_among(value: Any, values: Iterable[Any]) -> bool:
    return any(same_value(value, other) for other in values)


def _check_key(key: Key) -> None:
    declared = COLLECTIONS.get(key[0])
    if declared is None:
        raise InvalidWrite(f"There is no collection {key[0]!r}.", code="unknown_collection")
    if declared.read_only:
        raise InvalidWrite(f"{key[0]} is written by the server alone.", code="read_only")
    if not is_uuid(key[1]):
        raise InvalidWrite(f"{key[1]!r} is no id: a UUID in lower case is wanted.", code="bad_id")
