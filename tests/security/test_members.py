"""Hostile members of a shared space, and owners: what they may destroy, and for how long."""

from __future__ import annotations

import asyncio
import base64

import pycrdt

from api.app import ENGINE
from sync.audit import Audit
from sync.audit_rules import Violation
from tests.api.harness import Server
from tests.security.harness import Person, join, record_id

WORKOUT = record_id(1)
LONG_AGO = "2020-01-01T00:00:00.000Z"


async def test_a_member_who_is_removed_mid_push_lands_whole_or_not_at_all(ann: Person, mallory: Person) -> None:
    """Beyond the list: every batch is there as a whole, or is 404, and after the removal all are."""
    space = await ann.shared_with(mallory)
    batches = [[mallory.put(record_id(10 * b + n), space=space, title=str(b)) for n in range(10)] for b in range(12)]

    async def push_all() -> list[int]:
        return [(await mallory.push(*batch, space=space)).status for batch in batches]

    pushing = asyncio.create_task(push_all())
    gone = await ann.ask("DELETE", ann.at(f"members/{mallory.user}", space))
    assert gone.status == 200
    statuses = await pushing
    assert statuses == sorted(statuses)
    assert set(statuses) <= {200, 404}
    assert len(await ann.shown(space)) == 10 * statuses.count(200)
    assert (await mallory.push(*batches[0], space=space, after=None)).status == 404


async def test_a_member_who_is_removed_hears_nothing_more(ann: Person, mallory: Person) -> None:
    """Item 57: each message asks for the right anew."""
    space = await ann.shared_with(mallory)
    async with mallory.socket({space: None}) as line:
        await ann.ask("DELETE", ann.at(f"members/{mallory.user}", space))
        assert (await line.hear("space"))["role"] is None
        await ann.push(ann.put(WORKOUT, space=space, title="secret"), space=space)
        await line.say("signal", space=space, topic="t", body="x")
        await line.say("push", id=1, space=space, **mallory.body(mallory.put(WORKOUT, space=space, title="evil")))
        await line.say("subscribe", space=space, cursor=None)
        for _ in range(3):
            answer = await line.hear()
            assert (answer["type"], answer["code"]) == ("error", "not_found")


async def test_a_viewer_moves_nothing(ann: Person, mallory: Person) -> None:
    """Item 1: not by a push, a restore, a rewind, an invitation or a role of their own making."""
    space = await ann.shared_with(mallory, role="viewer")
    change = ann.put(WORKOUT, space=space, title="x")
    await ann.push(change, space=space)
    before = await ann.pull(space)
    dot = {"device": ann.device, "n": 1}
    attempts = [
        await mallory.push(mallory.put(WORKOUT, space=space, title="y"), space=space),
        await mallory.ask("POST", mallory.at("restore", space), {"collection": "workouts", "id": WORKOUT, "dot": dot}),
        await mallory.ask("POST", mallory.at("rewind", space), {"user": ann.user, "since": LONG_AGO}),
        await mallory.ask("POST", mallory.at("members", space), {"user": mallory.user, "role": "owner"}),
        await mallory.ask("PATCH", mallory.at(f"members/{mallory.user}", space), {"role": "owner"}),
        await mallory.ask("DELETE", mallory.at(f"members/{ann.user}", space)),
    ]
    assert {answer.status for answer in attempts} == {403}
    assert await ann.pull(space) == before


async def test_a_members_devices_cannot_swell_a_spaces_version(ann: Person, mallory: Person) -> None:
    """Beyond the list: a viewer who registers and revokes in a loop; each new device spends a number, 256 at most."""
    space = await ann.shared_with(mallory, role="viewer")
    again = mallory.at("push", space)
    answers = []
    for number in range(300):
        key = {"key": record_id(number), "name": "x"}
        device = (await mallory.ask("POST", "/api/sync/devices", key)).json["device"]
        body = {"device": device, "schema": 1, "after": None, "changes": [{"n": 1, "hlc": "0" * 16, "op": "void"}]}
        answers.append(await mallory.ask("POST", again, body))
        if number == 0:
            first = body
        else:
            await mallory.ask("DELETE", f"/api/sync/devices/{device}")
    assert [answer.status for answer in answers] == [200] * 256 + [409] * 44
    assert answers[-1].code == "too_many_devices"
    assert len((await ann.pull(space))["version"]) == 256
    # What has its entry goes on, and so do the other members.
    more = {**first, "after": {"n": 1, "hlc": "0" * 16}, "changes": [{"n": 2, "hlc": "0" * 16, "op": "void"}]}
    assert (await mallory.ask("POST", again, more)).status == 200
    assert (await ann.push(ann.put(WORKOUT, space=space, title="x"), space=space)).status == 200


async def test_the_owner_who_leaves_is_not_the_last(server: Server, ann: Person, mallory: Person) -> None:
    """Beyond the list: two owners who leave at once leave one behind, who still can do everything."""
    space = await ann.shared_with(mallory, role="owner")
    left = await asyncio.gather(
        ann.ask("DELETE", ann.at(f"members/{ann.user}", space)),
        mallory.ask("DELETE", mallory.at(f"members/{mallory.user}", space)),
    )
    assert sorted(answer.status for answer in left) == [200, 409]
    stays = ann if left[0].status == 409 else mallory
    assert (await stays.push(stays.put(WORKOUT, space=space, title="x"), space=space)).status == 200
    bob = await join(server)
    assert (await stays.ask("POST", stays.at("members", space), {"user": bob.user, "role": "owner"})).status == 201
    demoted = await stays.ask("PATCH", stays.at(f"members/{stays.user}", space), {"role": "viewer"})
    assert (demoted.status, demoted.code) == (409, "last_owner")


async def test_a_rewind_takes_back_what_a_hostile_editor_did(ann: Person, mallory: Person) -> None:
    """Beyond the list: deletes, overwrites, sets, rejected changes and odd stamps among them."""
    space = await ann.shared_with(mallory)
    records = [ann.put(record_id(n), space=space, title=f"mine {n}", tags={"add": ["a", "b"]}) for n in range(6)]
    await ann.push(*records, space=space)
    before = {id: record["values"] for id, record in (await ann.shown(space)).items()}
    seen = {"context": {ann.device: 6}}
    await mallory.push(
        mallory.delete(record_id(0), space=space) | seen,
        mallory.put(record_id(1), space=space, title="evil") | seen,
        mallory.put(record_id(2), space=space, title="no\0", rating=99) | seen,
        mallory.put(record_id(3), space=space, tags={"add": ["evil"], "remove": ["a", "b"]})
        | {**seen, "hlc": "f" * 16},
        mallory.put(record_id(4), space=space, no_such_field=1) | {**seen, "hlc": "0" * 16},
        mallory.put(record_id(5), space=space, title="") | {**seen, "hlc": "0" * 16},
        mallory.put(record_id(6), space=space, title="new") | seen,
        mallory.change(space, op="void"),
        space=space,
    )
    rewound = await ann.ask("POST", ann.at("rewind", space), {"user": mallory.user, "since": LONG_AGO})
    assert rewound.status == 200, rewound.text
    after = await ann.shown(space)
    assert {id: record["values"] for id, record in after.items() if not record["deleted"]} == before


async def test_a_rewind_passes_whatever_the_editor_cleared(ann: Person, mallory: Person) -> None:
    """Beyond the list: a long text that was cleared does not keep everything else from being taken back."""
    space = await ann.shared_with(mallory)
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    document["text"] = held = pycrdt.Text("")

    def update(state: bytes) -> dict[str, str]:
        return {"yjs": base64.b64encode(document.get_update(state)).decode()}

    for n in range(2):
        state = document.get_state()
        held += f"{n}" * 40_000
        await ann.push(ann.put(WORKOUT, space=space, notes=update(state)), space=space)
    await ann.push(ann.put(record_id(2), space=space, title="mine"), space=space)
    state = document.get_state()
    del held[:]
    seen = {"context": {ann.device: 3}}
    await mallory.push(
        mallory.put(WORKOUT, space=space, notes=update(state)) | seen,
        mallory.put(record_id(2), space=space, title="evil") | seen,
        space=space,
    )
    rewound = await ann.ask("POST", ann.at("rewind", space), {"user": mallory.user, "since": LONG_AGO})
    assert rewound.status == 200, rewound.text
    assert (await ann.shown(space))[record_id(2)]["values"]["title"] == "mine"


async def test_odd_wishes_to_go_back_are_refused(mallory: Person) -> None:
    """Beyond the list: dots that never were, of rejected changes and of voids; moments that are none."""
    changes = [mallory.put(WORKOUT, title="x"), mallory.put(WORKOUT, rating=99), mallory.change(op="void")]
    assert (await mallory.push(*changes, mallory.delete(WORKOUT))).json["acked"] == 4
    for n in (0, -1, 2, 3, 5, 2**53):
        wish = {"collection": "workouts", "id": WORKOUT, "dot": {"device": mallory.device, "n": n}}
        assert (await mallory.ask("POST", mallory.at("restore"), wish)).status == 404, n
    for since in ("", "now", "2026", "2026-11-23", "9" * 40_000, "2026-11-23T10:00:00", "0000-00-00T00:00:00Z", "\0"):
        answer = await mallory.ask("POST", mallory.at("rewind"), {"user": mallory.user, "since": since})
        assert answer.status == 422, since
    for since in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        assert (await mallory.ask("POST", mallory.at("rewind"), {"user": mallory.user, "since": since})).status == 200
    wish = {"collection": "workouts", "id": WORKOUT, "dot": {"device": mallory.device, "n": 1}}
    assert (await mallory.ask("POST", mallory.at("restore"), wish)).status == 200
    assert (await mallory.shown())[WORKOUT]["values"] == {"title": "x"}


async def test_a_text_that_was_rewritten_often_can_be_brought_back(server: Server, mallory: Person) -> None:
    """Beyond the list: what its changes make together was never stored at once; going back and auditing still work."""
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    for n in range(9):
        state = document.get_state()
        held = document.get("text", type=pycrdt.Text)
        del held[:]
        held += chr(97 + n) * 40_000
        update = base64.b64encode(document.get_update(state)).decode()
        assert (await mallory.push(mallory.put(WORKOUT, notes={"yjs": update}))).json["rejected"] == []
    wish = {"collection": "workouts", "id": WORKOUT, "dot": {"device": mallory.device, "n": 3}}
    restored = await mallory.ask("POST", mallory.at("restore"), wish)
    assert restored.status == 200, restored.text
    assert (await mallory.shown())[WORKOUT]["values"]["notes"]["text"] == "c" * 40_000
    found: list[Violation] = []
    engine = server.app[ENGINE]
    await Audit(engine.database, engine.texts, found.append).run()
    assert found == []
    rewound = await mallory.ask("POST", mallory.at("rewind"), {"user": mallory.user, "since": LONG_AGO})
    assert rewound.status == 200, rewound.text
    assert await mallory.shown() == {WORKOUT: (await mallory.shown())[WORKOUT]}
