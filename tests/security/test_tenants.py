"""No request reaches a byte of another user, and none moves what is theirs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.app import ENGINE
from sync.catalog import seed_catalog
from tests.api.harness import PASSWORD, Server
from tests.security.harness import CATALOG, Person, join, record_id

CANARY = "canary-of-ann"


async def test_no_parameter_widens_what_is_read(ann: Person, mallory: Person) -> None:
    """Item 5: whatever names another user or space beside the address is of no effect."""
    assert (await ann.push(ann.put(record_id(1), title=CANARY))).status == 200
    theirs = f"space={ann.space}&user={ann.user}&user_id={ann.user}&owner={ann.user}&scope=all&filter=*&collection=sets"
    for what in ("pull", "snapshot", "digest"):
        answer = await mallory.ask("GET", f"{mallory.at(what)}?{theirs}")
        assert answer.status == 200
        assert CANARY not in answer.text
        assert record_id(1) not in answer.text
    for headers in ({"Sync-Device": ann.device}, {"X-User-Id": ann.user}, {"Sync-Space": ann.space}):
        answer = await mallory.ask("GET", mallory.at("pull"), headers=headers)
        assert answer.json["records"] == []


async def test_by_ids_only_ones_own_are_found(ann: Person, mallory: Person) -> None:
    """Items 1 and 5: another user's record answers as one that never was."""
    await ann.push(ann.put(record_id(1), title=CANARY))
    answer = await mallory.ask("GET", f"{mallory.at('pull')}?ids={record_id(1)},{record_id(2)}")
    assert answer.json["records"] == [{"id": record_id(1), "deleted": True}, {"id": record_id(2), "deleted": True}]


async def test_a_child_of_another_users_parent_stays_hidden(ann: Person, mallory: Person) -> None:
    """Item 6: a parent is looked for in one's own space alone."""
    await ann.push(ann.put(record_id(1), title=CANARY))
    child = mallory.put(record_id(2), collection="workout_exercises", workout=record_id(1), position="a")
    assert (await mallory.push(child)).json["rejected"] == []
    assert await mallory.shown() == {}
    assert list(await ann.shown()) == [record_id(1)]
    # One that names it in a free reference learns nothing either.
    await mallory.push(mallory.put(record_id(3), title="mine", template=record_id(1)))
    assert CANARY not in (await mallory.ask("GET", mallory.at("pull"))).text


@pytest.mark.parametrize("what", ["pull", "snapshot", "digest", "history", "push", "restore", "rewind", "members"])
async def test_another_users_space_is_one_that_does_not_exist(ann: Person, mallory: Person, what: str) -> None:
    """Items 1, 4 and 7: the same 404 for every address of a space."""

    async def ask(space: str) -> tuple[int, Any]:
        bodies: dict[str, Any] = {
            "push": mallory.body({"n": 1, "hlc": "0" * 16, "op": "void"}),
            "restore": {"collection": "workouts", "id": record_id(1), "dot": {"device": ann.device, "n": 1}},
            "rewind": {"user": ann.user, "since": "2020-01-01T00:00:00.000Z"},
        }
        path = mallory.at(what, space) + (f"?collection=workouts&id={record_id(1)}" if what == "history" else "")
        answer = await mallory.ask("POST" if what in bodies else "GET", path, bodies.get(what))
        return answer.status, {key: value for key, value in answer.json.items() if key != "meta"}

    await ann.push(ann.put(record_id(1), title=CANARY))
    theirs = await ask(ann.space)
    assert theirs[0] == 404
    assert theirs == await ask(record_id(9))


async def test_sockets_of_two_users_never_mix(ann: Person, mallory: Person) -> None:
    """Item 7: sockets that come and go while another user writes hear nothing of it."""
    heard: list[dict[str, Any]] = []

    async def listen(round_: int) -> None:
        async with mallory.socket({mallory.space: None, ann.space: None, CATALOG: None}) as line:
            await line.say("subscribe", space=ann.space, cursor=None)
            await line.say("signal", space=ann.space, topic="t", body="x")
            await line.say("push", id=round_, space=ann.space, **mallory.body())
            heard.append(await line.hear())
            await line.say("enough")
            while heard[-1].get("code") != "unknown_message":
                heard.append(await line.hear())

    async def write() -> None:
        for n in range(40):
            await ann.push(ann.put(record_id(n), title=CANARY))

    writing = asyncio.create_task(write())
    for round_ in range(8):
        await listen(round_)
    await writing
    assert {message["type"] for message in heard} == {"error"}
    assert CANARY not in str(heard)
    assert len(await ann.shown()) == 40


async def test_the_catalog_takes_nothing_of_a_device(server: Server, ann: Person, mallory: Person) -> None:
    """Beyond the list: no user's device stands in the version, or the votes, of what everybody reads."""
    await seed_catalog(server.app[ENGINE])
    before = await ann.pull(CATALOG)
    exercise = before["records"][0]["id"]
    attempts = (
        mallory.change(CATALOG, op="void"),
        mallory.put(exercise, collection="exercises", space=CATALOG, name="Mine now"),
        mallory.delete(exercise, collection="exercises", space=CATALOG),
    )
    for attempt in attempts:
        answer = await mallory.ask("POST", mallory.at("push", CATALOG), mallory.body({**attempt, "n": 1}))
        assert (answer.status, answer.code) == (403, "read_only")
    asking = mallory.body(seen={mallory.device: 2**53 - 1, "server": 7})
    assert (await mallory.ask("POST", mallory.at("push", CATALOG), asking)).status == 200
    assert await ann.pull(CATALOG) == before
    devices = (await mallory.ask("GET", "/api/sync/devices")).json["devices"]
    assert all(CATALOG not in device["seen"] for device in devices)


async def test_a_session_pushes_for_its_own_users_devices_alone(server: Server, ann: Person, mallory: Person) -> None:
    """Item 9: over the socket too, and with the numbers that the other one is about to use."""
    await ann.push(ann.put(record_id(1), title="first"))
    body = {**mallory.body(mallory.put(record_id(1), title="evil")), "device": ann.device}
    over_http = await mallory.ask("POST", mallory.at("push"), body)
    assert (over_http.status, over_http.code) == (404, "unknown_device")
    async with mallory.socket() as line:
        await line.say("push", id=1, space=mallory.space, **body)
        assert (await line.hear("error"))["code"] == "unknown_device"
    async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
        await ws.send_json({"type": "hello", **mallory.hello(device=ann.device)})
        await ws.receive()
        assert ws.close_code == 4403
    assert (await ann.push(ann.put(record_id(1), title="second"))).json["acked"] == 2


async def test_a_logout_ends_the_sockets_of_its_session(server: Server, ann: Person, mallory: Person) -> None:
    """Items 21 and 22: a logout ends the sockets of the session, and of no other user."""
    async with mallory.socket({mallory.space: None}) as gone, ann.socket({ann.space: None}) as stays:
        assert (await mallory.ask("POST", "/api/auth/logout")).status == 200
        code, _ = await gone.end()
        assert code == 4401
        await stays.say("what")
        assert (await stays.hear("error"))["code"] == "unknown_message"


async def test_a_new_password_ends_the_sockets_of_every_other_session(server: Server, mallory: Person) -> None:
    """Item 22."""
    email = (await mallory.ask("GET", "/api/users/me")).data["email"]
    owner = (await server.login(email)).data["access_token"]
    body = {"current_password": PASSWORD, "new_password": "a new way to lift"}
    async with mallory.socket({mallory.space: None}) as gone:
        assert (await mallory.ask("POST", "/api/users/change-password", body, token=owner)).data == {"ended": 1}
        code, _ = await gone.end()
        assert code == 4401
    async with mallory.socket({mallory.space: None}, token=owner) as stays:
        await stays.say("what")
        assert (await stays.hear("error"))["code"] == "unknown_message"


async def test_a_reused_refresh_token_ends_the_sockets_of_its_session(server: Server, mallory: Person) -> None:
    """Item 18: the whole family is dead, its socket included."""
    assert (await server.refresh(mallory.refresh_token)).status == 200
    server.clock.advance(seconds=60)
    async with mallory.socket() as line:
        assert (await server.refresh(mallory.refresh_token)).code == "invalid_grant"
        code, _ = await line.end()
        assert code == 4401


async def test_devices_cannot_pass_their_limit_in_parallel(server: Server) -> None:
    """Item 45: counting and adding are one step."""
    person = await join(server)

    async def register(number: int) -> int:
        key = f"00000000-0000-4000-8000-{number:012d}"
        return (await person.ask("POST", "/api/sync/devices", {"key": key, "name": "Bot"})).status

    answers = await asyncio.gather(*(register(number) for number in range(80)))
    assert sorted(set(answers)) == [201, 409]
    assert answers.count(201) == 63


async def test_one_key_from_two_requests_at_once_is_one_device(server: Server, mallory: Person) -> None:
    """Beyond the list: an installation that registers twice at once."""
    body = {"key": "00000000-0000-4000-8000-00000000abcd", "name": "Twin"}
    answers = await asyncio.gather(*(mallory.ask("POST", "/api/sync/devices", body) for _ in range(12)))
    assert len({answer.json["device"] for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == [200] * 11 + [201]
