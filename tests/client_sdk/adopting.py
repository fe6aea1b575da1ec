"""What a device adopts of what a server lost (rule 21), as data: how `adopting.json` is recorded and played.

A case is what showed before (`before`, and `own` changes laid over it), what the snapshot after a `resync` says
(`after`), and what is then logged, put into the inbox and shown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fitai_client.core.requests import Answer
from fitai_client.core.vectors import decode
from tests.client_sdk.scripts import Json, key_of, put
from tests.client_sdk.showing import ME, Device

W = "workouts/1"
GONE, OTHER = "phone000", "laptop00"
# Before the restore both had written; the backup has three changes of each.
KNOWN, BACKUP = {GONE: 5, OTHER: 3}, {GONE: 3, OTHER: 3}
SINCE = {GONE: 3, OTHER: 4}


def record(of: str, seq: int, by: str = GONE, conflicts: Json | None = None, **values: Any) -> Json:
    body = {**key_of(of), "seq": seq, "deleted": False, "values": values}
    if conflicts:
        losers = {name: [{"value": v, "device": OTHER, "at": _AT} for v in many] for name, many in conflicts.items()}
        body["conflicts"] = losers
    return {**body, "updated_at": _AT, "updated_by": by}


_AT = "2025-01-15T09:45:01.504Z"


def case(before: list[Json], after: list[Json], *, own: list[Json] | None = None, **more: Any) -> Json:
    told = {"kept": 9, "version": BACKUP, "records": after} | more
    if told["kept"] is None:
        del told["kept"]
    return {"before": {"version": KNOWN, "records": before}, "own": own or [], "after": told}


CASES: dict[str, Json] = {
    "an edit above what is kept is adopted": case(
        [record(W, 10, title="lost", status="active")], [record(W, 4, title="old", status="active")]
    ),
    "what was served at or below it is let alone": case(
        [record(W, 9, title="old")], [record(W, 12, OTHER, title="since")], version=SINCE
    ),
    "where the version covers what was known nothing is adopted": case(
        [record(W, 10, title="x")], [record(W, 12, title="y")], version={GONE: 6, OTHER: 3}
    ),
    "a field that is gone altogether is adopted": case([record(W, 10, title="x", rating=4)], [record(W, 4, title="x")]),
    "a value that was cleared is cleared again": case([record(W, 10, rating=None)], [record(W, 4, rating=3)]),
    "a set by what is missing and what came back": case(
        [record(W, 10, tags=["a", "b"])], [record(W, 4, tags=["b", "c"])]
    ),
    "of a set that was written since nothing is taken out": case(
        [record(W, 10, tags=["a", "b"])], [record(W, 12, OTHER, tags=["b", "c"])], version=SINCE
    ),
    "a passing register is let alone": case(
        [record(W, 10, title="x", energy_kcal=300)], [record(W, 4, title="x", energy_kcal=200)]
    ),
    "a value that was written since stays, and the lost one goes to the inbox": case(
        [record(W, 10, title="lost")], [record(W, 12, OTHER, title="since")], version=SINCE
    ),
    "a record that moved, by somebody of whom everything is known, is no reason to wait": case(
        [record(W, 11, OTHER, title="lost", tags=["a"])], [record(W, 12, OTHER, title="old", tags=["a"])]
    ),
    "of a conflict the winner stands beside the server's, and a loser that is gone goes to the inbox": case(
        [record(W, 10, conflicts={"title": ["kept", "gone too"]}, title="lost")], [record(W, 4, title="kept")]
    ),
    "what is among the server's conflicts is there": case(
        [record(W, 10, title="lost")], [record(W, 12, conflicts={"title": ["lost"]}, title="since")]
    ),
    "an own change that had seen it replaced it": case(
        [record(W, 10, title="lost")], [record(W, 4, title="old")], own=[put(W, title="own")]
    ),
    "without kept, what falls in the order was moved by what was lost": case(
        [record(W, 10, OTHER, title="lost")], [record(W, 4, OTHER, title="old")], kept=None
    ),
}


def run(folder: Path, one: Json) -> Json:
    """What our own device does with a case: `adopted`, `inbox` and `shows`."""
    device = Device(folder)
    before, after = one["before"], one["after"]
    device.pull(before["records"], before["version"], "a cursor of before")
    device.write(one["own"])
    phone = device.phone
    phone.device.wake(pull=True)
    while (request := phone.device.next_request()) is not None and request.kind in ("spaces", "push", "pull"):
        if request.kind == "spaces":
            answer = device.world.server.handle(request)
        else:
            answer = Answer(410, json.dumps({"code": "resync", "details": {"acked": 0}}).encode())
        phone.device.answer(request, answer)
    assert request is not None and request.query["cursor"] == "a cursor of before"
    page = {**after, "before": None, "life": "2", "cursor": "of the snapshot"}
    phone.device.answer(request, Answer(200, json.dumps(page).encode()))
    request = phone.device.next_request()
    assert request is not None and request.kind == "pull"
    last = {"records": [], "more": False, "life": "2", "cursor": "of the snapshot", "version": after["version"]}
    phone.device.answer(request, Answer(200, json.dumps(last).encode()))
    rows = phone.db.conn.execute("SELECT collection, id, fields, context FROM log WHERE mark = 'anew' ORDER BY pos")
    result = {
        "adopted": [
            {"collection": name, "id": id, "fields": json.loads(fields), "context": _others(context)}
            for name, id, fields, context in rows
        ],
        "inbox": [
            {"collection": entry.collection, "id": entry.id, "fields": dict(entry.fields)} for entry in phone.inbox()
        ],
        "shows": device.shows(),
    }
    device.world.close()
    return result


def _others(context: str) -> Json:
    return {device: n for device, n in decode(context).items() if device != ME}


def adopting_vectors(folder: Path) -> Json:
    """The file: every case with what comes of it."""
    cases = []
    for number, (name, one) in enumerate(CASES.items()):
        place = folder / str(number)
        place.mkdir()
        cases.append({"name": name, **one, **run(place, one)})
    return {"device": ME, "cases": cases}
