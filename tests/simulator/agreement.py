"""Whether a phone and the server are at one: nothing pending, and every record shown as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from fitai_client.core.inbox import Refused
from fitai_client.core.query import Query
from fitai_client.core.reads import read_list
from fitai_client.core.spaces import Space, all_spaces
from tests.client_sdk.witness import Key
from tests.client_sdk.world import same
from tests.simulator.phone import Phone
from tests.simulator.store import SimStore

SHOWN = 0
decode: Final = msgspec.json.decode


def served(store: SimStore, space: str) -> dict[Key, tuple[int, Any]]:
    """Every record that a space shows: its seq and its body."""
    rows = store.query("SELECT collection, id, seq, body FROM records WHERE space_id = ? AND status = 0", space)
    return {(collection, id): (seq, body) for collection, id, seq, body in rows}


def version_of(store: SimStore, space: str) -> dict[str, int]:
    """The version of a space."""
    version: dict[str, int] = decode(store.query("SELECT version FROM spaces WHERE id = ?", space)[0][0])
    return version


def pending(phone: Phone) -> str | None:
    """What this phone has not sent, or not seen come back."""
    conn = phone.db.conn
    for name, condition in (("unanswered", "state < 2"), ("laid over", "laid = 1")):
        count = conn.execute(f"SELECT COUNT(*) FROM log WHERE {condition}").fetchone()[0]
        if count:
            return f"{count} changes {name}"
    return None


def spaces_of(phone: Phone) -> list[Space]:
    """The spaces that this phone knows."""
    with phone.db.write() as tx:
        return all_spaces(tx)


def recovered(phone: Phone) -> list[Refused]:
    """What this phone keeps aside of what a server lost, for its owner to write again."""
    rows = phone.db.conn.execute("SELECT space, collection, id, body, at FROM aside WHERE kind = 'recovered'")
    return [
        Refused(0, no, "put", collection, id, json.loads(body)["values"], "recovered", None, "", at)
        for no, collection, id, body, at in rows
    ]


def differences(phone: Phone, store: SimStore, members: set[str]) -> Iterator[str]:
    """How this phone differs from the server, of the spaces that its user is a member of. Cheap ones come first."""
    waits = pending(phone)
    if waits is not None:
        yield waits
        return
    known = {one.id: one for one in spaces_of(phone) if one.id in members}
    for id in sorted(members - known.keys()):
        yield f"does not know space {id[:8]}"
    for id, one in known.items():
        if one.phase != "live" or one.resync or one.paused:
            yield f"space {id[:8] if id else ''} is {one.phase}, {one.resync}, {one.paused}"
        elif id is not None:
            if one.version != version_of(store, id):
                yield f"version of {id[:8]} is {one.version} and not {version_of(store, id)}"
            else:
                yield from _records(phone, store, one)


def _records(phone: Phone, store: SimStore, one: Space) -> Iterator[str]:
    assert one.id is not None
    there = served(store, one.id)
    rows = phone.db.conn.execute(
        "SELECT collection, id, seq, status FROM records WHERE space = ?", (one.no,)
    ).fetchall()
    for collection, id, seq, status in rows:
        if status != 1:
            yield f"{collection}/{id[:13]} has status {status}"
        elif (collection, id) not in there:
            yield f"{collection}/{id[:13]} is shown, and not served"
        elif there[collection, id][0] != seq:
            yield f"{collection}/{id[:13]} is at {seq}, and served at {there[collection, id][0]}"
    if len(rows) != len(there):
        missing = sorted(there.keys() - {(row[0], row[1]) for row in rows})
        yield f"{len(missing)} records are missing, such as {missing[:1]}"
    shown_here = {
        (collection, record.id): record
        for collection in sorted({collection for collection, _ in there})
        for record in read_list(phone.db.conn, one.no, collection, Query())
    }
    for key, (_, body) in there.items():
        shown = shown_here.get(key)
        if shown is None:
            yield f"{'/'.join(key)} is not shown"
            continue
        record = decode(body)
        losers = {name: [c.value for c in cs] for name, cs in shown.conflicts.items()}
        if not same(shown.values, record["values"]):
            yield f"{'/'.join(key)} shows {shown.values} and not {record['values']}"
        elif losers != {name: [c["value"] for c in cs] for name, cs in record.get("conflicts", {}).items()}:
            yield f"{'/'.join(key)} shows other conflicts"
