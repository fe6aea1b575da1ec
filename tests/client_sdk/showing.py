"""Scripts of one device, its user and its server, as data: how `showing.json` is recorded and played.

A script is played twice: recorded beside the model server, which makes the answers, and played again from the file by
any SDK, without a server. What must show after each step is what our own device shows; `like_the_model` holds that to
the merge rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fitai_client.core.requests import Answer, Request, space_path
from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.vectors import decode
from fitai_client.core.writing import Write
from tests.client_sdk.model_server import SCHEMA, SPACE, Key, model
from tests.client_sdk.world import Phone, World

Json = Any
ME, OTHER = "dev00001", "laptop00"


def put(of: str, **fields: Any) -> Json:
    """A put of `collection/last digits of the id`."""
    return {**_key(of), "op": "put", "fields": fields}


def delete(of: str) -> Json:
    return {**_key(of), "op": "delete"}


def id_of(number: str) -> str:
    return f"0193575e-0000-7000-8000-{number:0>12}"


def _key(of: str) -> Json:
    collection, number = of.split("/")
    return {"collection": collection, "id": id_of(number)}


# What happens, in the words of a script: ("write", changes) by this device's user; ("other", changes) by another
# device that had seen all the server has; ("blind", changes) by one that had seen nothing but its own; ("send",) a
# push whose answer is lost; ("push",); ("pull",).
Act = tuple[Any, ...]
W, E, S = "workouts/1", "workout_exercises/2", "sets/3"
KNOWN: list[Act] = [
    ("other", put(W, title="push"), put(E, workout=id_of("1")), put(S, workout_exercise=id_of("2"), reps=8)),
    ("pull",),
]
SCRIPTS: dict[str, list[Act]] = {
    "a write shows at once, numbered from 1, and knows nothing": [("write", put(W, title="x"), put(W, title="y"))],
    "an answer alone takes nothing out of the overlay": [
        ("write", put(W, title="x")),
        ("push",),
        ("write", put(W, status="active")),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a version alone does not either: the verdict is still missing": [
        *KNOWN,
        ("write", put(S, reps=10_001)),
        ("send",),
        ("pull",),
        ("push",),
    ],
    "a rejected change shows no more, and the next number is used": [
        *KNOWN,
        ("write", put(S, reps=10_001), put(W, title="y")),
        ("push",),
        ("write", put(S, reps=9)),
        ("push",),
        ("pull",),
    ],
    "what is pulled under an own change is listed, and the next change has seen it": [
        *KNOWN,
        ("write", put(W, title="mine")),
        ("other", put(W, title="theirs")),
        ("pull",),
        ("write", put(W, title="both")),
        ("push",),
        ("pull",),
    ],
    "what the change had seen is not listed": [
        *KNOWN,
        ("write", put(W, title="mine")),
        ("other", put(W, status="active")),
        ("pull",),
    ],
    "the same value from both sides is no conflict": [
        *KNOWN,
        ("write", put(S, reps=9)),
        ("other", put(S, reps=9.0)),
        ("pull",),
    ],
    "a conflict that was shown is resolved by a write": [
        *KNOWN,
        ("blind", put(W, title="unseen")),
        ("pull",),
        ("write", put(W, title="one")),
        ("push",),
        ("pull",),
    ],
    "a passing register lists nothing": [
        *KNOWN,
        ("write", put(W, rest_timer={"started_at": "2026-11-23T10:00:00.000Z", "duration_s": 90})),
        ("other", put(W, rest_timer={"started_at": "2026-11-23T10:00:01.000Z", "duration_s": 60})),
        ("pull",),
    ],
    "own adds and removes are laid over the pulled set": [
        ("other", put(W, tags={"add": ["gym", "legs"]})),
        ("pull",),
        ("write", put(W, tags={"add": ["am"], "remove": ["gym"]})),
        ("other", put(W, tags={"add": ["heavy"], "remove": ["legs"]})),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a tombstone drops what lies below it": [*KNOWN, ("other", delete(W)), ("pull",)],
    "a tombstone waits for an own put below, which brings the record back": [
        *KNOWN,
        ("write", put(S, reps=9)),
        ("other", delete(W)),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a tombstone that waited applies where the put is rejected": [
        *KNOWN,
        ("write", put(S, reps=10_001)),
        ("other", delete(W)),
        ("pull",),
        ("push",),
    ],
    "a passing put alone makes no tombstone wait": [
        *KNOWN,
        ("write", put(W, rest_timer=None)),
        ("other", delete(W)),
        ("pull",),
    ],
    "an own delete hides what is below, and a later put below brings it back": [
        *KNOWN,
        ("write", delete(W)),
        ("write", put(S, reps=9)),
        ("push",),
        ("pull",),
    ],
    "an edit that an own delete had not seen brings the record back": [
        *KNOWN,
        ("write", delete(W)),
        ("other", put(S, reps=9)),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a record shows where its parent is there": [
        ("write", put(S, workout_exercise=id_of("2"), reps=8)),
        ("write", put(E, workout=id_of("1"))),
        ("write", put(W, title="x")),
        ("push",),
        ("pull",),
    ],
}


class _Device:
    """A device that has signed up and stands at an empty space."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, page=1_000)
        self.phone = self.world.phone()
        self.phone.sync()
        assert self.phone.device_id() == ME

    def write(self, changes: Sequence[Json]) -> list[Json]:
        """Write each change alone; what is then logged of them, its own id left out of the contexts."""
        first = len(self._log())
        self.phone.write(*([Write(c["collection"], c["id"], c.get("fields", {}), c["op"])] for c in changes))
        return [
            {"n": n, "context": {device: k for device, k in decode(context).items() if device != ME}}
            for n, context in self._log()[first:]
        ]

    def _log(self) -> list[Any]:
        with self.phone.db.write() as tx:
            return tx.all("SELECT n, context FROM log ORDER BY pos")

    def request(self) -> Request:
        self.phone.heal()
        while (request := self.phone.device.next_request()) is not None and not request.asked.get("first"):
            self.phone.device.answer(request, self.world.server.handle(request))
        assert request is not None
        return request

    def pull(self, records: list[Json], version: Json, cursor: str = "head") -> None:
        """What a pull brings, here as a delta: the device stands where it starts."""
        with self.phone.db.write() as tx:
            found = space(tx, PERSONAL)
        delta = {"life": found.life, "from": found.cursor, "to": cursor, "records": records}
        assert self.phone.device.delta(PERSONAL, {**delta, "version": version})

    def shows(self) -> list[Json]:
        return [
            {"collection": key[0], "id": key[1], "values": record.values}
            | ({"conflicts": _losers(record)} if record.conflicts else {})
            for key, record in sorted(self.phone.shown().items())
        ]


def _losers(record: Any) -> Json:
    return {name: [loser.value for loser in losers] for name, losers in record.conflicts.items()}


def play(folder: Path, steps: list[Json]) -> None:
    """Play a recorded script on our own device, and compare what it logs and shows after each step."""
    device = _Device(folder)
    pending: Request | None = None
    for place, step in enumerate(steps):
        what = step["step"]
        if what == "write":
            assert device.write(step["changes"]) == step["logged"], place
        elif what == "send":
            pending = device.request()
            device.phone.device.failed(pending, "no answer")
        elif what == "answer":
            body = {"acked": step["acked"], "rejected": step["rejected"], "life": "1", "cursor": "head"}
            request = device.request()
            device.phone.device.answer(request, Answer(200, json.dumps(body).encode()))
        else:
            device.pull(step["records"], step["version"])
        assert device.shows() == step["shows"], (place, what)
    device.world.close()


def record(folder: Path, script: list[Act], look: Callable[[Phone, World], None] | None = None) -> list[Json]:
    """The script as steps of a file; `look` is called after each."""
    device = _Device(folder)
    server, phone = device.world.server, device.phone
    server.state.devices[OTHER] = {"key": "", "revoked": False}
    steps: list[Json] = []
    head = server.state.head
    for what, *changes in script:
        if what in ("other", "blind"):
            _others(device.world, changes, seen_all=what == "other")
            continue
        if what == "write":
            step: Json = {"step": "write", "changes": changes, "logged": device.write(changes)}
        elif what == "pull":
            records = server._after(head)
            step = {"step": "pull", "records": records, "version": dict(server.acked())}
            head = server.state.head
            device.pull(records, step["version"], server._cursor(head))
        else:
            device.world.tick()
            request = device.request()
            answer = server.handle(request)
            if what == "send":
                phone.device.failed(request, "no answer")
                step = {"step": "send"}
            else:
                phone.device.answer(request, answer)
                step = {"step": "answer", **{name: answer.json()[name] for name in ("acked", "rejected")}}
        steps.append({**step, "shows": device.shows()})
        if look is not None:
            look(phone, device.world)
    device.world.close()
    return steps


def _others(world: World, changes: Sequence[Json], *, seen_all: bool) -> None:
    world.tick()
    state = world.server.state
    n = state.acked.get(OTHER, 0)
    after = {"n": n, "hlc": state.ledger[(OTHER, n)].sent["hlc"]} if n else None
    device = OTHER
    if not seen_all:
        # Another device still, whose context names nothing.
        device, n, after = "tablet00", 0, None
        state.devices[device] = {"key": "", "revoked": False}
    sent = [
        {"n": n + i, "hlc": f"{world.now:012x}{i:04x}", "context": dict(state.acked) if seen_all else {}, **change}
        for i, change in enumerate(changes, 1)
    ]
    body = json.dumps({"device": device, "after": after, "changes": sent})
    answer = world.server.handle(Request("push", "POST", space_path(SPACE, "push"), body=body, device=device))
    assert answer.status == 200 and not answer.json()["rejected"]


def like_the_model(phone: Phone, world: World) -> None:
    """What shows is what the merge rules make of all that the device knows: what it pulled, and its own changes.

    Until the server has merged, two things may differ: of concurrent values a device shows its own on top, and what
    it has deleted it does not show, even where an edit that the delete had not seen will bring it back.
    """
    with phone.db.write() as tx:
        version = space(tx, PERSONAL).version
        own = tx.all(
            "SELECT n, hlc, context, collection, id, op, fields FROM log WHERE op <> 'void' AND verdict IS NULL"
        )
        deleted = set(tx.all("SELECT collection, id FROM log WHERE op = 'delete' AND laid = 1"))
    history = [
        entry.change
        for (device, n), entry in world.server.state.ledger.items()
        if device != ME and n <= version.get(device, 0) and entry.change is not None
    ]
    for n, hlc, context, collection, id_, op, fields in own:
        history.append(model.Change(ME, n, hlc, decode(context), collection, id_, op, json.loads(fields or "{}")))
    expected = {k: r for k, r in model.show(history, SCHEMA).items() if not r["deleted"] and not r["hidden"]}
    shown = phone.shown()
    assert shown.keys() <= expected.keys()
    assert all(deleted.intersection(_and_above(key, expected)) for key in expected.keys() - shown.keys())
    for key, found in shown.items():
        assert found.values.keys() == expected[key]["values"].keys()
        rules = SCHEMA[key[0]]
        for name, value in found.values.items():
            theirs = expected[key]["values"][name]
            if rules.kinds[name] != "register":
                assert value == theirs
            elif name not in rules.passing:
                losers = [loser.value for loser in found.conflicts.get(name, ())]
                assert _bag([value, *losers]) == _bag([theirs, *expected[key]["conflicts"].get(name, ())])


def _and_above(key: Key, records: dict[Key, Json]) -> list[Key]:
    parent = SCHEMA[key[0]].parent
    if parent is None:
        return [key]
    return [key, *_and_above((parent[1], records[key]["values"][parent[0]]), records)]


def _bag(values: list[Json]) -> list[str]:
    return sorted(str(float(v)) if isinstance(v, int | float) else json.dumps(v, sort_keys=True) for v in values)


def showing_vectors(folder: Path) -> Json:
    """The file: the collections as far as its scripts use them, and every script."""
    collections = {
        name: {
            "fields": {
                field: {"kind": kind}
                | ({"order": rules.order[field]} if field in rules.order else {})
                | ({"passing": True} if field in rules.passing else {})
                for field, kind in rules.kinds.items()
            },
            "parent": list(rules.parent) if rules.parent else None,
        }
        for name, rules in SCHEMA.items()
    }
    cases = []
    for number, (name, script) in enumerate(SCRIPTS.items()):
        place = folder / str(number)
        place.mkdir()
        cases.append({"name": name, "steps": record(place, script)})
    return {"device": ME, "collections": collections, "cases": cases}
