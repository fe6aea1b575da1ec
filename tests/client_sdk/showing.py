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

from fitai_client.core.forms import open_form
from fitai_client.core.requests import Answer, Request, space_path
from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.vectors import decode
from fitai_client.core.writing import Write
from tests.client_sdk.model_server import SCHEMA, SPACE, Key
from tests.client_sdk.scripts import SCRIPTS, Act, Json, key_of
from tests.client_sdk.world import Phone, World
from tests.shared import load_model

ME, OTHER = "dev00001", "laptop00"


class Device:
    """A device that has signed up and stands at an empty space."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, page=1_000)
        self.phone = self.world.phone()
        self.phone.sync()
        assert self.phone.device_id() == ME

    def write(self, changes: Sequence[Json]) -> list[Json]:
        """Write each change alone; what is then logged of them, its own id left out of the contexts."""
        return self._logged(*([Write(c["collection"], c["id"], c.get("fields", {}), c["op"])] for c in changes))

    def open(self, collection: str, id: str) -> None:
        with self.phone.db.write() as tx:
            self.form = open_form(tx, PERSONAL, collection, id)

    def save(self, fields: Json) -> list[Json]:
        return self._logged([self.form.write(fields)])

    def _logged(self, *groups: list[Write]) -> list[Json]:
        first = len(self._log())
        self.phone.write(*groups)
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
    device = Device(folder)
    for place, step in enumerate(steps):
        what = step["step"]
        if what == "write":
            assert device.write(step["changes"]) == step["logged"], place
        elif what == "open":
            device.open(step["collection"], step["id"])
        elif what == "save":
            assert device.save(step["fields"]) == step["logged"], place
        elif what == "send":
            device.phone.device.failed(device.request(), "no answer")
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
    device = Device(folder)
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
        elif what == "open":
            step = {"step": "open", **key_of(changes[0])}
            device.open(step["collection"], step["id"])
        elif what == "save":
            step = {"step": "save", "fields": changes[0], "logged": device.save(changes[0])}
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
        history.append(
            load_model().Change(ME, n, hlc, decode(context), collection, id_, op, json.loads(fields or "{}"))
        )
    expected = {k: r for k, r in load_model().show(history, SCHEMA).items() if not r["deleted"] and not r["hidden"]}
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
