"""The shadow: a second memory of what was committed, compared with every commit.

I2   a dot counts once, and each device's dots come without holes
I3   the changes of one batch, and of one group, are there together or not at all
I4   nothing is stored that no phone issued, as it issued it, by whoever may write there
I8   no entry of a space's version ever goes back, and none covers what is not held
I9   what was served up to a seq never changes below it
I14  no stamp that counts is further ahead of the server's clock than is allowed, and those of a device rise
I18  no value of somebody stands where they have no place
I24  nothing is stored of a device that was revoked before; a session that stands has one refresh token that is not
     spent, and one that ended stays so
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from conflict.values import json_equal
from tests.simulator.people import MALLORYS_SESSION, People
from tests.simulator.store import SimStore
from tests.simulator.violation import Violation

# Every so many commits everything that is served is compared with what is remembered of it.
WHOLE_EVERY: Final = 100
decode: Final = msgspec.json.decode

_SESSIONS = (
    "SELECT s.id, s.revoked_at, COUNT(t.hash) FROM sessions AS s"
    " LEFT JOIN refresh_tokens AS t ON t.session_id = s.id AND t.spent_at IS NULL WHERE s.id <> ? GROUP BY s.id"
)
_LINES = (
    "SELECT rowid, space_id, device_id, n, arrival, collection, record_id, op, hlc, clamped_hlc, grp, context, fields,"
    " verdict, user_id FROM changes WHERE rowid > ? ORDER BY rowid"
)

Key = tuple[str, str]


class Line(NamedTuple):
    """One line of the ledger."""

    device: str
    n: int
    arrival: int
    collection: str | None
    record: str | None
    op: str
    hlc: str
    clamped: str | None
    group: str | None
    context: bytes | None
    fields: bytes | None
    verdict: bytes | None
    user: str


@dataclass
class _Space:
    head: int = 0
    life: str = ""
    version_text: bytes = b"{}"
    version: dict[str, int] = field(default_factory=dict)
    served: dict[Key, tuple[int, int, int]] = field(default_factory=dict)
    # The version at each head: what a cursor stands for.
    versions: dict[int, dict[str, int]] = field(default_factory=dict)
    # The last stamp of each device.
    stamps: dict[str, str] = field(default_factory=dict)
    groups: set[tuple[str, int]] = field(default_factory=set)


class Issued:
    """Every change that left a phone, by its dot, stamp and kind: a clone may give one number to two changes, and a
    void has the stamp of the change whose place it takes."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str, int, str, str], Mapping[str, Any]] = {}

    def sent(self, space: str, body: Mapping[str, Any]) -> None:
        context: Any = {}
        for change in body["changes"]:
            context = change.get("context", context)
            dot = (space, body["device"], change["n"], change["hlc"], change["op"])
            self._changes[dot] = {**change, "context": context}

    def find(self, space: str, device: str, n: int, hlc: str, op: str) -> Mapping[str, Any] | None:
        return self._changes.get((space, device, n, hlc, op))


class Shadow:
    """What one store should hold."""

    def __init__(
        self,
        store: SimStore,
        people: People,
        issued: Issued,
        latest_ms: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None:
        self.store = store
        self.people = people
        self.issued = issued
        # The clock of the worker that is furthest ahead, plus what a phone may be ahead of it.
        self.latest_ms = latest_ms
        self._now_s = now_s
        self.commits = 0
        self.changes = 0
        self._last = 0
        # A phone that sends parts of old batches splits groups by itself.
        self.groups_are_whole = True
        self._spaces: dict[str, _Space] = {}
        self._revoked: set[str] = set()
        # Since when each session that ended is known to have, in the world's time.
        self.ended: dict[str, float] = {}
        self.begin_anew()

    def begin_anew(self) -> None:
        """The store went back to an earlier state: what it holds now is where everything begins."""
        self._last = self.store.query("SELECT COALESCE(MAX(rowid), 0) FROM changes")[0][0]
        self._spaces = {}
        for id, head, life, version in self.store.query("SELECT id, head, life, version FROM spaces"):
            space = self._spaces[id] = _Space(head, life, version, decode(version))
            space.served = self._served(id, 0)
            space.versions[head] = space.version
            space.stamps = dict(
                self.store.query("SELECT device_id, MAX(hlc) FROM changes WHERE space_id = ? GROUP BY device_id", id)
            )
        self._revoked = self._revoked_now()
        self.ended = {}

    def version_at(self, space: str, head: int) -> dict[str, int] | None:
        """The version of a space when its head was this one; None where that was not seen."""
        found = self._spaces.get(space)
        return None if found is None else found.versions.get(head)

    def _revoked_now(self) -> set[str]:
        return {row[0] for row in self.store.query("SELECT id FROM devices WHERE revoked_at IS NOT NULL")}

    def committed(self, number: int) -> None:
        """Look at one commit."""
        self.commits += 1
        lines: dict[str, list[Line]] = {}
        for row in self.store.query(_LINES, self._last):
            self._last = row[0]
            lines.setdefault(row[1], []).append(Line(*row[2:]))
        for id, head, life, version in self.store.query("SELECT id, head, life, version FROM spaces"):
            space = self._spaces.get(id)
            if space is None:
                space = self._spaces[id] = _Space()
            if space.head != head or space.version_text != version or id in lines:
                self._space(id, space, head, life, version, lines.get(id, []))
        self._revoked = self._revoked_now()
        if self.commits % WHOLE_EVERY == 0:
            self.compare()

    def compare(self) -> None:
        """I9, I24: everything that is served is as it was when it was first served under its seq; and the sessions."""
        for id, space in self._spaces.items():
            now = self._served(id, 0)
            for key, row in now.items():
                if space.served.get(key) != row:
                    raise Violation("I9", f"{key} is served as {row} and was as {space.served.get(key)}")
            # What is hidden since, or was collected, is served no more.
            space.served = now
        self._sessions()

    def _sessions(self) -> None:
        for session, revoked_at, unspent in self.store.query(_SESSIONS, MALLORYS_SESSION):
            if revoked_at is not None:
                self.ended.setdefault(session, self._now_s())
            elif session in self.ended:
                raise Violation("I24", f"session {session} had ended, and stands again")
            elif unspent != 1:
                raise Violation("I24", f"session {session} has {unspent} refresh tokens that are not spent")

    def _served(self, id: str, after: int) -> dict[Key, tuple[int, int, int]]:
        rows = self.store.query(
            "SELECT collection, id, seq, status, body FROM records WHERE space_id = ? AND seq > ? AND status < 2",
            id,
            after,
        )
        return {(collection, record): (seq, status, hash(body)) for collection, record, seq, status, body in rows}

    def _space(self, id: str, space: _Space, head: int, life: str, version_text: bytes, lines: list[Line]) -> None:
        version: dict[str, int] = decode(version_text)
        if head < space.head:
            raise Violation("I9", f"the head of {id} went back from {space.head} to {head}")
        moved = self._served(id, space.head)
        space.served.update(moved)
        wanted = dict(space.version)
        for line in lines:
            self._line(id, line, wanted, space.head, head)
            if line.device in self._revoked:
                raise Violation("I24", f"{line.device}/{line.n} is stored, and the device was revoked before")
        honest = [line for line in lines if self.people.mallory is None or line.user != self.people.mallory.id]
        self._stamps(space, honest)
        self._groups(space, honest)
        if version != wanted:
            raise Violation("I8", f"the version of {id} is {version}, and by its ledger {wanted}")
        space.head, space.life, space.version, space.version_text = head, life, version, version_text
        space.versions[head] = version

    def _line(self, id: str, line: Line, wanted: dict[str, int], before: int, head: int) -> None:
        self.changes += 1
        what = f"{line.device}/{line.n} in {id}"
        if line.n != wanted.get(line.device, 0) + 1:
            raise Violation("I2", f"{what} is stored after {wanted.get(line.device, 0)}")
        if not before < line.arrival <= head:
            raise Violation("I9", f"{what} arrived at {line.arrival}, and the head moved from {before} to {head}")
        mallory = self.people.mallory
        if mallory is None or line.user != mallory.id:
            self._as_issued(id, line, what, wanted)
        elif id != mallory.personal and line.op != "void":
            raise Violation("I18", f"{what} is of the malicious device")
        if int((line.clamped or line.hlc)[:12], 16) > self.latest_ms():
            raise Violation("I14", f"{what} counts from {line.clamped or line.hlc}, further ahead than is allowed")
        role = self.people.spaces[id].roles.get(line.user)
        if role is None or (role == "viewer" and line.op != "void"):
            raise Violation("I18", f"{what} is written by {line.user}, who is {role} there")
        if line.fields and line.verdict is None:
            near = self.people.writers_of(id)
            text = line.fields.decode()
            if any(canary in text for canary in self.people.canaries if canary not in near):
                raise Violation("I18", f"{what} has a value of somebody else: {text}")
        wanted[line.device] = line.n

    def _as_issued(self, id: str, line: Line, what: str, wanted: dict[str, int]) -> None:
        sent = self.issued.find(id, line.device, line.n, line.hlc, line.op)
        if sent is None:
            raise Violation("I4", f"{what} was issued by nobody")
        named = (sent.get("collection"), sent.get("id"))
        same = json_equal(decode(line.fields), sent.get("fields")) if line.fields else not sent.get("fields")
        if named != (line.collection, line.record) or not same:
            raise Violation("I4", f"{what} is stored as {line}, and was sent as {sent}")
        claimed = sent.get("context") or {}
        for other, seen in decode(line.context).items() if line.context else ():
            if other != line.device and (seen > claimed.get(other, 0) or seen > wanted.get(other, 0)):
                raise Violation("I8", f"{what} counts as having seen {other}/{seen}, which it said or could not")

    def _stamps(self, space: _Space, lines: list[Line]) -> None:
        for line in lines:
            if line.hlc <= space.stamps.get(line.device, ""):
                raise Violation(
                    "I14", f"{line.device}/{line.n} has stamp {line.hlc}, after {space.stamps[line.device]}"
                )
            space.stamps[line.device] = line.hlc

    def _groups(self, space: _Space, lines: list[Line]) -> None:
        verdicts: dict[tuple[str, Any], tuple[bool, int]] = {}
        for line in lines:
            if line.group is None:
                continue
            group = (line.device, line.group)
            verdict = (line.verdict is None, line.arrival)
            if verdicts.setdefault(group, verdict) != verdict:
                raise Violation("I3", f"a part of group {group} is stored alone")
        again = space.groups.intersection(verdicts)
        if again and self.groups_are_whole:
            raise Violation("I3", f"the rest of group {min(again)} is stored by another commit")
        space.groups.update(verdicts)
