"""The live socket over real sockets, the real engine and both databases."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket as stdlib_socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSMsgType

from api.sync.websocket import LATE_MS, _Socket
from storage.database import Database, open_database
from storage.spaces import CATALOG_SPACE
from storage.tables import devices, members, sessions
from sync.bus import user_topic
from sync.cursors import encode_cursor
from sync.errors import NotFound
from sync.outgoing import OUTGOING_HARD_BYTES_MAX
from sync.protocol import FRAME_BYTES_MAX, HELLO_MS, PING_MS, Session
from tests.api.sync.live_server import LiveServer, Socket, closed, live_server
from tests.sync.harness import Device, World
from tests.sync.live_fakes import until


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    made = await World.make(database)
    yield made
    await made.close()


@pytest_asyncio.fixture
async def server(world: World, database: Database) -> AsyncIterator[LiveServer]:
    async with live_server(world, database) as started:
        yield started


@pytest_asyncio.fixture
async def lone(sqlite_url: str) -> AsyncIterator[LiveServer]:
    """A server over SQLite, for what no database can change."""
    database = await open_database(sqlite_url)
    world = await World.make(database)
    async with live_server(world, database) as started:
        yield started
    await world.close()
    await database.close()


def push_body(device: Device, *changes: dict[str, Any]) -> dict[str, Any]:
    body = {"device": device.id, "schema": 1, "after": device.after, "changes": list(changes)}
    device.after = {"n": changes[-1]["n"], "hlc": changes[-1]["hlc"]}
    return body


def a_workout(world: World, device: Device, **fields: Any) -> dict[str, Any]:
    return device.put("workouts", world.uuid(), **(fields or {"title": "Push day"}))


# -- a push here is a delta there ----------------------------------------------------------------------------


async def test_a_push_over_one_socket_is_a_delta_on_the_other(server: LiveServer) -> None:
    world = server.world
    phone, watch = await world.device(), await world.device()
    writer = await server.connect(phone, {world.space: None})
    reader = await server.connect(watch, {world.space: None})
    change = a_workout(world, phone)
    await writer.say("push", id="p", space=world.space, **push_body(phone, change))
    delta = await reader.hear()
    assert (delta["type"], [r["id"] for r in delta["records"]]) == ("delta", [change["id"]])
    assert delta["version"] == {phone.id: 1}
    answers = {m["type"]: m for m in (await writer.hear(), await writer.hear())}
    assert (answers["ack"]["id"], answers["ack"]["acked"]) == ("p", 1)
    assert answers["delta"] == delta
    await watch.pull()
    assert watch.cursor == delta["to"]


async def test_a_push_over_http_is_a_delta_too_and_fits_the_pulled_cursor(server: LiveServer) -> None:
    world = server.world
    phone, watch = await world.device(), await world.device()
    await phone.push(a_workout(world, phone))
    await watch.pull()
    reader = await server.connect(watch, {world.space: watch.cursor})
    await phone.push(a_workout(world, phone))
    assert (await reader.hear())["from"] == watch.cursor


async def test_a_device_that_comes_back_gets_what_it_missed(server: LiveServer) -> None:
    world = server.world
    phone, watch = await world.device(), await world.device()
    await watch.pull()
    changes = [a_workout(world, phone) for _ in range(3)]
    await phone.push(*changes)
    reader = await server.connect(watch, {world.space: watch.cursor})
    delta = await reader.hear()
    assert delta["from"] == watch.cursor
    assert [r["id"] for r in delta["records"]] == [c["id"] for c in changes]
    assert delta["version"] == {phone.id: 3}


async def test_a_refused_push_has_the_code_and_details_of_http(server: LiveServer) -> None:
    world = server.world
    phone = await world.device()
    socket = await server.connect(phone, {})
    phone.n = 5
    await socket.say("push", id=1, space=world.space, **push_body(phone, a_workout(world, phone)))
    error = await socket.hear()
    assert (error["type"], error["id"], error["code"]) == ("error", 1, "device_forked")
    await socket.say("push", id=2, space=world.uuid(), **push_body(phone, a_workout(world, phone)))
    assert (await socket.hear())["code"] == NotFound.code


async def test_seen_is_told_to_the_users_other_devices(server: LiveServer) -> None:
    world = server.world
    phone, watch = await world.device(), await world.device()
    await phone.push(a_workout(world, phone))
    one, two = await server.connect(phone, {}), await server.connect(watch, {})
    await two.say("seen", space=world.space, version={phone.id: 1})
    assert await one.hear() == {
        "type": "seen",
        "space": world.space,
        "device": watch.id,
        "version": {phone.id: 1},
    }


async def test_a_shared_space_is_seen_by_members_alone(server: LiveServer) -> None:
    world = server.world
    bob, cleo = await world.add_user(), await world.add_user()
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, bob, "viewer")
    await world.add_member(shared, cleo, "viewer", state="invited")
    owner = await world.device()
    member = await server.connect(await world.device(bob), {shared: None})
    invited = await server.connect(await world.device(cleo), {shared: None, world.space: None})
    refused = [await invited.hear(), await invited.hear()]
    assert {m["details"]["space"] for m in refused} == {shared, world.space}
    assert {m["code"] for m in refused} == {"not_found"}
    await owner.push(a_workout(world, owner), space=shared)
    assert (await member.hear())["type"] == "delta"
    assert server.live.hub.spaces == [shared]


async def test_what_a_lost_event_left_standing_ends_with_the_next_comparison(server: LiveServer) -> None:
    world = server.world
    shared = await world.add_space(world.user, "shared")
    users = [await world.add_user() for _ in range(3)]
    connected = []
    for user in users:
        await world.add_member(shared, user, "editor")
        connected.append(await server.connect(await world.device(user), {shared: None}))
    phone = await world.device()
    stays = await server.connect(phone, {shared: None, world.space: None, CATALOG_SPACE: None})
    async with world.database.write() as tx:
        await tx.execute(members.delete().where(members.c.space_id == shared, members.c.user_id == users[0]))
        await tx.execute(sessions.update().where(sessions.c.user_id == users[1]).values(revoked_at=1))
        await tx.execute(devices.update().where(devices.c.user_id == users[2]).values(revoked_at=1))
    await server.live.recheck()
    assert await connected[0].hear() == {"type": "space", "space": shared, "role": None, "state": None}
    assert await connected[1].hear_close() == 4401
    assert await connected[2].hear_close() == 4403
    await phone.push(a_workout(world, phone), space=shared)
    while (heard := await stays.hear())["type"] == "error":
        assert heard["details"] == {"space": CATALOG_SPACE}
    assert heard["type"] == "delta"
    assert not connected[0].ws.closed


async def test_a_lost_hint_is_found_by_the_comparison(server: LiveServer) -> None:
    world = server.world
    phone, watch = await world.device(), await world.device()
    reader = await server.connect(watch, {world.space: None})
    publish, world.engine.bus.publish = world.engine.bus.publish, _drop  # type: ignore[method-assign]
    await phone.push(a_workout(world, phone))
    world.engine.bus.publish = publish  # type: ignore[method-assign]
    await server.live.recheck()
    assert (await reader.hear())["type"] == "delta"


async def _drop(topic: str, message: bytes) -> None:
    return


# -- the handshake -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://app.example.com.evil.com",
        "https://app.example.com:8443",
        "http://app.example.com",
        "http://127.0.0.1:1",
        "file:///",
        "http://[",
    ],
)
async def test_a_foreign_origin_gets_403_before_the_upgrade(lone: LiveServer, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await lone.raw(headers={"Origin": origin})
    assert refused.value.status == 403


async def test_the_servers_own_origin_a_named_one_and_none_may_connect(lone: LiveServer) -> None:
    own = str(lone.server.make_url("/").origin())
    for headers in ({}, {"Origin": own}, {"Origin": "https://app.example.com"}):
        await (await lone.raw(headers=headers)).close()


async def test_a_token_in_the_address_gets_401(lone: LiveServer) -> None:
    for name in ("token", "access_token"):
        response = await lone.client.get(lone.server.make_url("/api/sync/live").with_query({name: "x"}))
        assert response.status == 401
        response.release()


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic eDp5", "Bearer"])
async def test_a_bad_authorization_header_gets_401_before_the_upgrade(lone: LiveServer, header: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await lone.raw(headers={"Authorization": header})
    assert refused.value.status == 401


async def test_a_good_authorization_header_may_be_there_and_the_hello_still_counts(lone: LiveServer) -> None:
    ws = await lone.raw(headers={"Authorization": "Bearer a/b/1"})
    await ws.send_str("{}")
    assert await closed(ws) == 4400


async def test_compression_is_not_offered(lone: LiveServer) -> None:
    ws = await lone.raw(compress=15)
    assert ws.compress == 0
    await ws.close()


async def test_a_process_takes_a_bounded_number_of_sockets(lone: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.sync.websocket.SOCKETS_MAX", 1)
    ws = await lone.raw()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await lone.raw()
    assert refused.value.status == 503
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "5"
    await ws.close()
    await until(lambda: lone.live.sockets == 0)
    await (await lone.raw()).close()


# -- closing -------------------------------------------------------------------------------------------------


async def test_no_hello_in_time_closes_with_4401(lone: LiveServer) -> None:
    ws = await lone.raw()
    await until(lambda: lone.live.sockets == 1)
    lone.move(HELLO_MS - 1)
    assert lone.live.sockets == 1
    lone.move(1)
    assert await closed(ws) == 4401
    await until(lambda: lone.live.sockets == 0)


async def test_a_hello_that_lies_unread_when_its_time_is_over_is_taken(lone: LiveServer) -> None:
    device = await lone.world.device()
    hello = {"protocol": 1, "schema": 1, "token": await lone.token(lone.world.user, "s"), "device": device.id}
    socket = Socket(await lone.raw(), device)
    await until(lambda: lone.live.sockets == 1)
    # All in one turn of the loop: the server is as if it had stood still.
    await socket.say("hello", **hello)
    lone.move(HELLO_MS)
    assert (await socket.hear())["type"] == "welcome"


async def test_a_pong_that_came_while_the_server_stood_still_counts(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {}, autoping=False)
    lone.move(PING_MS)
    assert (await socket.ws.receive(timeout=60)).type is WSMsgType.PING
    await socket.ws.pong()
    lone.move(PING_MS + LATE_MS + 1)
    assert (await socket.ws.receive(timeout=60)).type is WSMsgType.PING


async def test_a_socket_that_ends_before_it_is_looked_at_once_more_is_not_kept(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {})
    lone.move(PING_MS + LATE_MS + 1)
    await socket.ws.close()
    await until(lambda: lone.live.sockets == 0)
    # Another one is judged after it.
    other = await lone.raw()
    await until(lambda: lone.live.sockets == 1)
    lone.move(HELLO_MS)
    assert await closed(other) == 4401
    assert [entry for entry in lone.sockets._heap if entry[2] is not None] == []


async def test_an_expired_token_closes_with_4401_unless_it_is_renewed(lone: LiveServer) -> None:
    world = lone.world
    phone, watch = await world.device(), await world.device()
    ends = await lone.connect(phone, {}, lives_s=10)
    stays = await lone.connect(watch, {}, lives_s=10)
    await stays.say("token", token=await lone.token(world.user, "fresh"))
    await stays.say("telepathy")
    assert (await stays.hear())["code"] == "unknown_message"
    lone.move(10_000)
    assert await ends.hear_close() == 4401
    await stays.say("telepathy")
    assert (await stays.hear())["code"] == "unknown_message"


@pytest.mark.parametrize("data", ["{", '{"type":"hello"}', '{"type":"hello","type":"hello"}'])
async def test_what_is_malformed_closes_with_4400(lone: LiveServer, data: str) -> None:
    ws = await lone.raw()
    await ws.send_str(data)
    assert await closed(ws) == 4400


async def test_a_binary_frame_closes_with_4400(lone: LiveServer) -> None:
    ws = await lone.raw()
    await ws.send_bytes(b"{}")
    assert await closed(ws) == 4400


async def test_another_protocol_is_told_why_before_the_close(lone: LiveServer) -> None:
    ws = await lone.raw()
    await ws.send_str('{"type":"hello","protocol":2}')
    assert json.loads((await ws.receive()).data)["code"] == "protocol_unsupported"
    assert await closed(ws) == 4400


async def test_a_frame_above_the_limit_closes_with_1009(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {})
    await socket.ws.send_str("x" * (FRAME_BYTES_MAX + 1))
    assert await socket.hear_close() == 1009


async def test_a_push_of_a_whole_mebibyte_is_taken(lone: LiveServer) -> None:
    world = lone.world
    phone = await world.device()
    socket = await lone.connect(phone, {})
    change = a_workout(world, phone)
    frame = {"type": "push", "id": 1, "space": world.space, **push_body(phone, change)}
    frame["pad"] = "x" * (FRAME_BYTES_MAX - len(json.dumps(frame)) - 11)
    assert len(json.dumps(frame)) == FRAME_BYTES_MAX
    await socket.ws.send_str(json.dumps(frame))
    assert (await socket.hear())["acked"] == 1


async def test_a_revoked_device_and_an_ended_session_close_at_once(lone: LiveServer) -> None:
    world = lone.world
    phone, watch = await world.device(), await world.device()
    one, two = await lone.connect(phone, {}), await lone.connect(watch, {})
    event = {"kind": "device_revoked", "device": phone.id}
    await world.engine.bus.publish(user_topic(world.user), json.dumps(event).encode())
    assert await one.hear_close() == 4403
    await world.engine.bus.publish(user_topic(world.user), b'{"kind":"session_ended","session":null}')
    assert await two.hear_close() == 4401


async def test_an_unknown_another_users_and_a_revoked_device_close_with_4403(lone: LiveServer) -> None:
    world = lone.world
    revoked, bobs = await world.device(), await world.device(await world.add_user())
    await world.revoke(revoked)
    for device in (revoked.id, bobs.id, "nobody"):
        ws = await lone.raw()
        hello = {"type": "hello", "protocol": 1, "schema": 1, "token": await lone.token(world.user, world.uuid())}
        await ws.send_str(json.dumps({**hello, "device": device, "spaces": {}}))
        assert await closed(ws) == 4403


async def test_sockets_that_listen_to_nothing_are_compared_too(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {})
    await lone.live.recheck()
    await socket.say("telepathy")
    assert (await socket.hear())["code"] == "unknown_message"


async def test_a_server_that_stops_without_a_drain_says_1012_as_well(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {})
    [task] = [o._reader for entry in lone.sockets._heap for o in entry if isinstance(o, _Socket)]
    assert task is not None
    task.cancel()
    assert await socket.hear_close() == 1012


async def test_a_device_that_connects_anew_replaces_its_older_socket(lone: LiveServer) -> None:
    phone = await lone.world.device()
    older = await lone.connect(phone, {})
    newer = await lone.connect(phone, {})
    assert await older.hear_close() == 4409
    assert not newer.ws.closed


async def test_a_restart_closes_with_1012_and_waits_for_everybody(lone: LiveServer) -> None:
    phone = await lone.world.device()
    greeted = await lone.connect(phone, {lone.world.space: None})
    silent = await lone.raw()
    await until(lambda: lone.live.sockets == 2)
    closing = asyncio.create_task(lone.sockets.close_all())
    assert await greeted.hear_close() == 1012
    assert await closed(silent) == 1012
    await closing
    assert lone.live.sockets == 0
    assert lone.live.hub.spaces == []


# -- life and death of a connection --------------------------------------------------------------------------


async def test_pings_are_answered_and_sent(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {}, autoping=False)
    await socket.ws.ping(b"there?")
    answer = await socket.ws.receive(timeout=60)
    assert (answer.type, answer.data) == (WSMsgType.PONG, b"there?")
    lone.move(PING_MS)
    assert (await socket.ws.receive(timeout=60)).type is WSMsgType.PING
    await socket.ws.pong()
    await socket.say("telepathy")
    await socket.hear()
    lone.move(PING_MS)
    assert (await socket.ws.receive(timeout=60)).type is WSMsgType.PING


async def test_a_peer_that_answers_no_ping_closes_with_4408(lone: LiveServer) -> None:
    socket = await lone.connect(await lone.world.device(), {}, autoping=False)
    lone.move(PING_MS)
    assert (await socket.ws.receive(timeout=60)).type is WSMsgType.PING
    lone.move(PING_MS)
    assert await socket.hear_close() == 4408


async def test_an_abrupt_end_leaves_nothing_and_no_traceback(
    lone: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    world = lone.world
    phone, watch = await world.device(), await world.device()
    socket = await lone.connect(watch, {world.space: None})
    transport = socket.ws._conn.transport  # type: ignore[union-attr]
    assert transport is not None
    transport.abort()
    for _ in range(3):
        await phone.push(a_workout(world, phone))
    await until(lambda: lone.live.sockets == 0)
    assert lone.live.hub.spaces == []
    assert "Traceback" not in caplog.text


async def test_a_reader_that_stalls_is_bounded_and_slows_nobody(lone: LiveServer) -> None:
    world = lone.world
    phone, watch, tablet = await world.device(), await world.device(), await world.device()
    stalled = await lone.connect(watch, {world.space: None})
    quick = await lone.connect(tablet, {world.space: None})
    stalled.ws._conn.transport.pause_reading()  # type: ignore[union-attr]
    [session] = [s for s in lone.live.roster if s.device == watch.id]
    _narrow(stalled, lone)
    title = "x" * 190
    for _ in range(40):
        changes = [a_workout(world, phone, title=title) for _ in range(200)]
        assert (await phone.push(*changes)).rejected == []
        delta = await quick.hear()
        assert len(delta["records"]) == 200
        assert session.outgoing.size <= OUTGOING_HARD_BYTES_MAX
        if session.subscriptions and session.subscriptions[world.space].standing.value == "behind":
            break
    else:
        pytest.fail("the stalled reader was never told that it is behind")
    stalled.ws._conn.transport.resume_reading()  # type: ignore[union-attr]
    while (heard := await stalled.hear())["type"] == "delta":
        pass
    assert heard == {"type": "behind", "space": world.space}
    await watch.pull()
    await until(lambda: session.subscriptions[world.space].standing.value == "live")
    await phone.push(a_workout(world, phone))
    assert (await stalled.hear())["from"] == watch.cursor


async def test_a_peer_that_never_reads_is_gone_after_its_time(
    lone: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.sync.websocket.CLOSE_S", 0.05)
    world = lone.world
    watch = await world.device()
    stalled = await lone.connect(watch, {})
    stalled.ws._conn.transport.pause_reading()  # type: ignore[union-attr]
    [session] = list(lone.live.roster)
    while session.closing is None:
        session.send({"type": "ack", "pad": "x" * 60_000})
        await asyncio.sleep(0)
    assert session.closing.code == 1013
    await until(lambda: lone.live.sockets == 0 and lone.sockets._open == 0)


async def test_a_peer_that_leaves_its_answers_lying_is_not_read_from(lone: LiveServer) -> None:
    world = lone.world
    watch = await world.device()
    socket = await lone.connect(watch, {})
    socket.ws._conn.transport.pause_reading()  # type: ignore[union-attr]
    [session] = list(lone.live.roster)
    while not session.outgoing.size:
        session.send({"type": "ack", "pad": "x" * 60_000})
        await asyncio.sleep(0)
    while session.outgoing.size <= 1_048_576:
        session.send({"type": "ack", "pad": "x" * 60_000})
    await socket.say("telepathy", id="first")
    await socket.say("telepathy", id="second")
    await until(lambda: _waits(lone))
    socket.ws._conn.transport.resume_reading()  # type: ignore[union-attr]
    ids = []
    while len(ids) < 2:
        heard = await socket.hear()
        if heard["type"] == "error":
            ids.append(heard["id"])
    assert ids == ["first", "second"]


def _narrow(socket: Socket, lone: LiveServer) -> None:
    """Take the kernel's buffers out of the picture, which would swallow some megabytes."""
    ends = [socket.ws._conn.transport]  # type: ignore[union-attr]
    ends += [o._request.transport for entry in lone.sockets._heap for o in entry if isinstance(o, _Socket)]
    for end in ends:
        assert end is not None
        kernel = end.get_extra_info("socket")
        kernel.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, 4_096)
        kernel.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_SNDBUF, 4_096)


def _waits(lone: LiveServer) -> bool:
    return any(
        isinstance(o, _Socket) and o._drained is not None and not o._drained.done()
        for entry in lone.sockets._heap
        for o in entry
    )


async def test_a_socket_that_is_gone_is_not_kept(lone: LiveServer) -> None:
    phone = await lone.world.device()
    for _ in range(3):
        socket = await lone.connect(phone, {lone.world.space: None})
        await socket.ws.close()
    await until(lambda: lone.live.sockets == 0)
    await asyncio.sleep(0)
    gc.collect()
    assert [o for o in gc.get_objects() if isinstance(o, Session)] == []


# -- two processes -------------------------------------------------------------------------------------------


async def test_two_processes_tell_each_others_sockets(world: World, database: Database) -> None:
    async with live_server(world, database) as one, live_server(world, database) as two:
        phone, watch = await world.device(), await world.device()
        writer = await one.connect(phone, {world.space: None})
        reader = await two.connect(watch, {world.space: None})
        await writer.say("push", id=1, space=world.space, **push_body(phone, a_workout(world, phone)))
        assert (await reader.hear())["type"] == "delta"
        await writer.say("signal", space=world.space, topic="hr", body=93, ttl_s=30)
        assert (await reader.hear())["body"] == 93
        newer = await one.connect(watch, {})
        assert await reader.hear_close() == 4409
        await asyncio.gather(newer.ws.close(), writer.ws.close())


async def test_a_pull_and_the_deltas_name_the_same_places(server: LiveServer) -> None:
    world = server.world
    phone = await world.device()
    socket: Socket = await server.connect(phone, {world.space: None})
    for _ in range(3):
        answer = await phone.push(a_workout(world, phone))
        assert (await socket.hear())["to"] == encode_cursor(answer.space)
