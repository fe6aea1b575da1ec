"""A small server in memory, for the device's tests: the protocol's meaning on top of the executable model.

Owns: one user's personal space, answered as `protocol.md` says, slowly and plainly: after each push it shows the
whole history anew. It shares no code with the product's server nor with the device, so that either can be wrong
without the other being wrong in the same way. It can be saved and restored (a backup), revoke ids, and forget
tombstones under devices that lag.

Texts are the union of their Yjs updates; everything else is the model's.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pycrdt import Doc, Text

from fitai_client.core.requests import Answer, Request
from tests.shared import load_model

Json = dict[str, Any]
Key = tuple[str, str]

SPACE = "0193575e-0000-7000-8000-00000000aaaa"

_LIVE = ("energy_kcal", "rest_timer")


@dataclass(frozen=True)
class Collection:
    """A collection in the model's words, at hand before the model is."""

    kinds: Mapping[str, str]
    order: Mapping[str, Any] = field(default_factory=dict)
    parent: tuple[str, str] | None = None
    passing: frozenset[str] = frozenset()


SCHEMA = {
    "workouts": Collection(
        kinds={"title": "register", "status": "register", "rest_timer": "register", "tags": "set"},
        order={"status": ["planned", "active", "paused", "discarded", "completed"]},
        passing=frozenset({"rest_timer"}),
    ),
    "workout_exercises": Collection(
        kinds={"workout": "register", "superset": "register"}, parent=("workout", "workouts")
    ),
    "sets": Collection(
        kinds={"workout_exercise": "register", "reps": "register", "tempo": "register"},
        parent=("workout_exercise", "workout_exercises"),
    ),
}
TEXTS = {"workouts": {"notes"}, "workout_exercises": {"notes"}, "sets": set()}

# The one limit this server judges: enough to have changes refused. A newer schema has it wider.
REPS_MAX = 10_000


@dataclass
class Entry:
    """A change as it was sent, what became of it, and the model's view of it where it was accepted."""

    sent: Json
    verdict: Json | None
    change: Any


@dataclass
class State:
    """Everything a backup holds."""

    devices: dict[str, Json] = field(default_factory=dict)
    ledger: dict[tuple[str, int], Entry] = field(default_factory=dict)
    acked: dict[str, int] = field(default_factory=dict)
    head: int = 0
    floor: int = 0
    seqs: dict[Key, int] = field(default_factory=dict)
    shown: dict[Key, Json] = field(default_factory=dict)
    touched: dict[Key, tuple[str, str]] = field(default_factory=dict)
    seen: dict[str, dict[str, int]] = field(default_factory=dict)
    lagging: set[str] = field(default_factory=set)


class Refusal(Exception):
    """An error of the protocol."""

    def __init__(self, status: int, code: str, details: Json | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.details = status, code, details


class ModelServer:
    """`handle` takes what a transport would carry."""

    def __init__(self, now_ms: Callable[[], int], *, page: int = 3) -> None:
        self.now_ms = now_ms
        self.page = page
        # More records named in one question are too large an answer.
        self.ids_at_once = 100
        # More changes than this are too large a batch.
        self.batch_changes_max = 1_000
        # More ids than this are no question at all.
        self.ids_max = 500
        # A server of before says nothing of how far it still has what a device was served.
        self.says_kept = True
        self.state = State()
        self.life = 1
        self.schema = 1
        # (life, head at which it began); cursors of the lives before are judged by them.
        self.lives: list[tuple[int, int]] = [(1, 0)]
        self.issued = 0
        self.reads: list[dict[Key, Json]] = []

    # -- accidents -----------------------------------------------------------------------------------------------

    def backup(self) -> State:
        return copy.deepcopy(self.state)

    def restore(self, backup: State) -> None:
        """Go back to a backup: a new life begins."""
        self.state = copy.deepcopy(backup)
        self.life += 1
        self.lives.append((self.life, self.state.head))

    def has_device(self, device: str) -> bool:
        return device in self.state.devices

    def acked(self) -> dict[str, int]:
        """How far this server has got of each device."""
        return self.state.acked

    def close(self) -> None:
        """Nothing is open."""

    def revoke(self, device: str) -> None:
        self.state.devices[device]["revoked"] = True

    def forget_tombstones(self) -> None:
        """Let the deleted workouts go, with all below; who has not said that it knows the deletes must resync."""
        state = self.state
        gone = {key for key, record in state.shown.items() if key[0] == "workouts" and record["deleted"]}
        below = True
        while below:
            below = {
                key
                for key, record in state.shown.items()
                if key not in gone
                and (parent := SCHEMA[key[0]].parent)
                and (parent[1], record["values"].get(parent[0])) in gone
            }
            gone |= below
        if not gone:
            return
        for device in state.devices:
            seen = state.seen.get(device, {})
            deletes = [
                e.change for e in state.ledger.values() if e.change and (e.change.collection, e.change.id) in gone
            ]
            if any(seen.get(c.device, 0) < c.n for c in deletes if c.op == "delete" and c.device != device):
                state.lagging.add(device)
        for entry in state.ledger.values():
            if entry.change and (entry.change.collection, entry.change.id) in gone:
                entry.change = None
        state.floor = state.head
        for key in gone:
            state.seqs.pop(key, None)
            state.shown.pop(key, None)
            state.touched.pop(key, None)

    # -- the calls -----------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        """One request; never raises."""
        try:
            return _answer(200, {**self._call(request), "server_time": _time(self.now_ms())})
        except Refusal as refusal:
            body = {"success": False, "error": refusal.code, "code": refusal.code, "details": refusal.details}
            return _answer(refusal.status, body)

    def _call(self, request: Request) -> Json:
        if request.path == "/api/sync":
            return {"protocol": 1, "schema": self.schema, "limits": {"ids_max": self.ids_max}}
        if request.path == "/api/sync/devices":
            return self._register(json.loads(request.body or ""))
        if request.path == "/api/sync/spaces":
            return {"spaces": [{"id": SPACE, "kind": "personal", "name": "Personal", "role": "owner"}]}
        call = request.path.removeprefix(f"/api/sync/spaces/{SPACE}/")
        if call == "push":
            return self._push(json.loads(request.body or ""))
        if request.device:
            self._live_device(request.device, "")
        if call == "digest":
            return self._digest(request.query.get("bucket"))
        if call == "snapshot":
            return self._snapshot(request)
        if "ids" in request.query:
            return self._ids(request.query["ids"].split(","))
        return self._pull(request.query["cursor"])

    def _register(self, body: Json) -> Json:
        for device, line in self.state.devices.items():
            if line["key"] == body["key"]:
                if line["revoked"]:
                    raise Refusal(403, "device_revoked")
                return {"device": device}
        self.issued += 1
        device = f"dev{self.issued:05d}"
        self.state.devices[device] = {"key": body["key"], "revoked": False}
        return {"device": device}

    def _live_device(self, device: str, why: str) -> None:
        if device not in self.state.devices:
            raise Refusal(404, "unknown_device")
        if self.state.devices[device]["revoked"]:
            raise Refusal(403, "device_revoked")

    # -- push ----------------------------------------------------------------------------------------------------

    def _push(self, body: Json) -> Json:
        state, device, changes = self.state, body["device"], body["changes"]
        acked = state.acked.get(device, 0)
        if len(changes) > self.batch_changes_max:
            raise Refusal(413, "too_large")
        for before, after in pairwise(changes):
            if after["n"] != before["n"] + 1:
                raise Refusal(400, "malformed")
        matched = self._matched(device, body["after"], changes)
        try:
            self._live_device(device, "push")
        except Refusal as refusal:
            refusal.details = {"matched": 0 if refusal.code == "unknown_device" else matched}
            refusal.details["rejected"] = self._verdicts(device, changes, refusal.details["matched"])
            raise
        after_n = body["after"]["n"] if body["after"] else 0
        if after_n > acked:
            raise Refusal(409, "server_behind", {"acked": acked})
        held_upto = min(acked, changes[-1]["n"]) if changes else after_n
        if matched is None or matched < held_upto:
            rejected = self._verdicts(device, changes, matched)
            raise Refusal(409, "device_forked", {"matched": matched, "rejected": rejected})
        if changes and changes[0]["n"] > acked + 1:
            raise Refusal(409, "gap", {"expected": acked + 1})
        new = [change for change in changes if change["n"] > acked]
        if new:
            self._check_knowledge(device, body.get("cursor"), acked)
        self._apply(device, changes, acked)
        if body.get("seen") is not None:
            state.seen[device] = _merged(state.seen.get(device, {}), _cut(body["seen"], state.acked))
        return {
            "acked": state.acked.get(device, 0),
            "life": str(self.life),
            "cursor": self._cursor(state.head),
            "clock_skew_ms": 0,
            "rejected": self._verdicts(device, changes, state.acked.get(device, 0)),
            "quota": {"records": len(state.seqs), "records_max": 10**6, "bytes": 0, "bytes_max": 10**9},
        }

    def _matched(self, device: str, after: Json | None, changes: list[Json]) -> int | None:
        """Up to where the changes asked about are just what is held; None where `after` itself is not."""
        acked = self.state.acked.get(device, 0)
        if after is None:
            if changes and changes[0]["n"] > 1:
                return None
            matched = 0
        else:
            matched = after["n"]
            if matched <= acked and self.state.ledger[(device, matched)].sent["hlc"] != after["hlc"]:
                return None
        for change in changes:
            if change["n"] > acked or not _same(self.state.ledger[(device, change["n"])].sent, change):
                break
            matched = change["n"]
        return min(matched, acked)

    def _verdicts(self, device: str, changes: list[Json], upto: int | None) -> list[Json]:
        found = []
        for change in changes:
            entry = self.state.ledger.get((device, change["n"]))
            if entry is None or upto is None or change["n"] > upto:
                continue
            if entry.verdict is not None:
                found.append({"n": change["n"], **entry.verdict})
            elif entry.sent["op"] == "void" != change["op"]:
                found.append({"n": change["n"], "code": "withdrawn", "message": "a later state took it back"})
        return found

    def _check_knowledge(self, device: str, cursor: str | None, acked: int) -> None:
        if device in self.state.lagging:
            raise Refusal(410, "resync", {"acked": acked})
        if cursor is not None:
            try:
                self._position(cursor)
            except Refusal as refusal:
                raise Refusal(410, "resync", {"acked": acked}) from refusal

    def _apply(self, device: str, changes: list[Json], acked: int) -> None:
        state = self.state
        context: Json = {}
        units: list[list[Json]] = []
        for change in changes:
            context = change.get("context", context)
            change = {**change, "context": context}
            if change["n"] <= acked:
                continue
            if units and change.get("group") is not None and units[-1][0].get("group") == change["group"]:
                units[-1].append(change)
            else:
                units.append([change])
        for unit in units:
            verdicts = {change["n"]: self._judge(change) for change in unit}
            if any(verdicts.values()) and len(unit) > 1:
                verdicts = {n: v or {"code": "group", "message": "group"} for n, v in verdicts.items()}
            for change in unit:
                verdict = verdicts[change["n"]]
                made = None
                if verdict is None and change["op"] != "void":
                    made = load_model().Change(
                        device=device,
                        n=change["n"],
                        hlc=change["hlc"],
                        context=_cut(change["context"], state.acked),
                        collection=change["collection"],
                        id=change["id"],
                        op=change["op"],
                        fields=change.get("fields", {}),
                    )
                state.ledger[(device, change["n"])] = Entry(change, verdict, made)
                state.acked[device] = change["n"]
        self._show([state.ledger[(device, c["n"])].change for unit in units for c in unit])

    def _judge(self, change: Json) -> Json | None:
        if change["op"] != "put":
            return None
        reps = change["fields"].get("reps")
        most = REPS_MAX * self.schema
        if reps is not None and reps > most:
            return {"code": "out_of_range", "field": "reps", "message": f"reps must be 0 to {most}"}
        parent = SCHEMA[change["collection"]].parent
        if parent and parent[0] in change["fields"]:
            for entry in self.state.ledger.values():
                made = entry.change
                if made and (made.collection, made.id) == (change["collection"], change["id"]):
                    held = made.fields.get(parent[0])
                    if held is not None and held != change["fields"][parent[0]]:
                        return {"code": "immutable", "field": parent[0], "message": "a second parent"}
        return None

    def _show(self, written: list[Any]) -> None:
        """Show the whole history anew, and give what moved a new seq."""
        state = self.state
        history = [entry.change for entry in state.ledger.values() if entry.change is not None]
        shown = load_model().show(history, SCHEMA)
        for key, record in shown.items():
            self._show_texts(key, record, history)
        moved = {(change.collection, change.id) for change in written if change is not None}
        for change in written:
            if change is not None:
                key = (change.collection, change.id)
                state.touched[key] = max(state.touched.get(key, ("", "")), (change.hlc, change.device))
        moved |= {key for key, record in shown.items() if record != state.shown.get(key)}
        for key in sorted(moved):
            state.head += 1
            state.seqs[key] = state.head
        state.shown = shown

    def _show_texts(self, key: Key, record: Json, history: list[Any]) -> None:
        for name in TEXTS[key[0]]:
            updates = [c.fields[name]["yjs"] for c in history if (c.collection, c.id) == key and name in c.fields]
            if updates:
                document: Doc[Any] = Doc()
                for update in updates:
                    document.apply_update(base64.b64decode(update))
                content = str(document.get("text", type=Text))
                record["values"][name] = {"text": content, "yjs": base64.b64encode(document.get_update()).decode()}

    # -- reading -------------------------------------------------------------------------------------------------

    def wire(self, key: Key) -> Json | None:
        """The record as a pull serves it; None where it is hidden or unknown."""
        record = self.state.shown.get(key)
        if record is None or (record["hidden"] and not record["deleted"]):
            return None
        base: Json = {"collection": key[0], "id": key[1], "seq": self.state.seqs[key], "deleted": record["deleted"]}
        if record["deleted"]:
            return None if record["hidden"] else base
        hlc, device = self.state.touched[key]
        at = _time(int(hlc[:12], 16))
        base["values"] = _plain(record["values"])
        if record["conflicts"]:
            base["conflicts"] = {
                name: [{"value": _plain(value), "device": self._author(key, name, value), "at": at} for value in losers]
                for name, losers in record["conflicts"].items()
            }
        return {**base, "updated_at": at, "updated_by": device}

    def _author(self, key: Key, name: str, value: Any) -> str:
        """The device that wrote a value last."""
        made = (entry.change for entry in self.state.ledger.values())
        same = [one for one in made if one and (one.collection, one.id) == key and one.fields.get(name) == value]
        return str(max(same, key=lambda one: (one.hlc, one.device)).device)

    def visible(self) -> dict[Key, Json]:
        """Every record that is there, as it is served."""
        served = {key: self.wire(key) for key in self.state.shown}
        return {key: record for key, record in served.items() if record is not None and not record["deleted"]}

    def orphans(self) -> dict[Key, Json]:
        """What is kept, and hidden until a parent comes that was refused or is still on its way."""

        def waits(key: Key) -> bool:
            parent = SCHEMA[key[0]].parent
            if parent is None:
                return False
            above = (parent[1], self.state.shown[key]["values"].get(parent[0]))
            return above not in self.state.shown or (not self.state.shown[above]["deleted"] and waits(above))

        return {key: r for key, r in self.state.shown.items() if r["hidden"] and not r["deleted"] and waits(key)}

    def delta(self, cursor: str) -> Json | None:
        """The delta from a device's cursor to the head, as the socket would bring it."""
        try:
            position, _ = self._position(cursor)
        except Refusal:
            return None
        records = self._after(position)
        return {
            "space": SPACE,
            "life": str(self.life),
            "from": cursor,
            "to": self._cursor(self.state.head),
            "records": records,
            "version": dict(self.state.acked),
        }

    def _after(self, position: int) -> list[Json]:
        served = [self.wire(key) for key, seq in self.state.seqs.items() if seq > position]
        return sorted((record for record in served if record is not None), key=lambda record: record["seq"])

    def _pull(self, cursor: str) -> Json:
        position, head_seen = self._position(cursor)
        records = self._after(position)
        page, more = records[: self.page], len(records) > self.page
        answer: Json = {"records": page, "life": str(self.life), "more": more}
        if more:
            # What moved above the head that this pull has seen would be missed by a cursor that forgot it.
            answer["cursor"] = f"{self.life}:{page[-1]['seq']}:{max(head_seen, self.state.head)}"
        else:
            answer["cursor"] = self._cursor(self.state.head)
            answer["version"] = dict(self.state.acked)
        return answer

    def _snapshot(self, request: Request) -> Json:
        before = request.query.get("before")
        if before is None:
            ceiling = below = self.state.head
            if request.device in self.state.lagging:
                self.state.lagging.discard(request.device)
            version = dict(self.state.acked)
        else:
            life, ceiling, below, version_text = before.split("|")
            if int(life) != self.life or int(ceiling) < self.state.floor:
                raise Refusal(410, "resync")
            ceiling, below, version = int(ceiling), int(below) - 1, json.loads(version_text)
        rows = sorted(
            (r for r in self.visible().values() if r["seq"] <= below and r["seq"] <= ceiling), key=lambda r: -r["seq"]
        )
        page, more = rows[: self.page], len(rows) > self.page
        token = f"{self.life}|{ceiling}|{page[-1]['seq']}|{json.dumps(version)}" if more else None
        answer: Json = {
            "records": page,
            "before": token,
            "life": str(self.life),
            "cursor": self._cursor(ceiling),
            "version": version,
        }
        if before is None and "cursor" in request.query and self.says_kept:
            life, _, head = (int(part) for part in request.query["cursor"].split(":"))
            answer["kept"] = min([head, self.state.head, *(start for number, start in self.lives if number > life)])
        return answer

    def _ids(self, ids: list[str]) -> Json:
        if len(ids) > self.ids_max:
            raise Refusal(400, "malformed")
        if len(ids) > self.ids_at_once:
            raise Refusal(413, "too_large")
        records = []
        for id in ids:
            found = [record for key in self.state.shown if key[1] == id and (record := self.wire(key))]
            records += found or [{"id": id, "deleted": True}]
        return {"records": records, "cursor": self._cursor(self.state.head), "life": str(self.life)}

    def _digest(self, bucket: str | None) -> Json:
        """Written from the protocol's text, and not with the device's code."""
        cursor = self._cursor(self.state.head)
        shown = [(c, i, record["seq"]) for (c, i), record in self.visible().items()]
        if bucket is not None:
            found = [line for line in shown if _sha(line[0], line[1])[:2] == bucket]
            return {"cursor": cursor, "records": [{"collection": c, "id": i, "seq": seq} for c, i, seq in found]}
        sums: dict[str, int] = {}
        for collection, id, seq in shown:
            name = _sha(collection, id)[:2]
            sums[name] = sums.get(name, 0) + int(_sha(collection, id, str(seq))[:32], 16)
        buckets = {name: f"{total % 2**128:032x}" for name, total in sums.items()}
        return {
            "cursor": cursor,
            "count": len(shown),
            "digest": f"{sum(sums.values()) % 2**128:032x}",
            "buckets": buckets,
        }

    def _cursor(self, seq: int) -> str:
        return f"{self.life}:{seq}:{seq}"

    def _position(self, cursor: str) -> tuple[int, int]:
        try:
            life, seq, head = (int(part) for part in cursor.split(":"))
        except ValueError:
            raise Refusal(400, "bad_cursor") from None
        if life > self.life or seq < self.state.floor:
            raise Refusal(410, "resync")
        if life < self.life:
            starts = [start for number, start in self.lives if number > life]
            if head > min(starts):
                raise Refusal(410, "resync")
        return seq, head


def _sha(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _same(held: Json, sent: Json) -> bool:
    if held["hlc"] != sent["hlc"]:
        return False
    if "void" in (held["op"], sent["op"]):
        return True
    return all(held.get(name) == sent.get(name) for name in ("collection", "id", "op", "fields"))


def _cut(context: Mapping[str, int], seen: Mapping[str, int]) -> dict[str, int]:
    return {device: min(n, seen[device]) for device, n in context.items() if device in seen}


def _merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {device: max(one.get(device, 0), other.get(device, 0)) for device in {*one, *other}}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def _answer(status: int, body: Json) -> Answer:
    return Answer(status, json.dumps(body).encode())
