"""Hostile messages over the live socket: each is refused by name or ends the socket, and nobody else hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from aiohttp import WSMsgType

from api.app import SOCKETS
from tests.api.harness import Server
from tests.security.harness import ALLOWED_GROWTH_BYTES, Line, Person, record_id, resident_bytes

ODD_NAMES = ["\0", "a\0b", "", "x" * 128, "x" * 129, "é" * 100, "😀", "../..", "%00", "\r\nX: y", "' OR 1=1 --", "\x7f"]


@pytest.mark.parametrize("odd", ODD_NAMES, ids=ascii)
async def test_a_space_of_any_name_is_one_that_does_not_exist(server: Server, mallory: Person, odd: str) -> None:
    """Beyond the list: in every message that names a space, the hello included."""
    messages: dict[str, dict[str, Any]] = {
        "push": {"id": 1, **mallory.body(mallory.put(record_id(1), title="x"))},
        "subscribe": {"cursor": None},
        "unsubscribe": {},
        "signal": {"topic": "t", "body": odd},
        "seen": {"version": {odd: 2**53 - 1}},
    }
    for type_, message in messages.items():
        async with mallory.socket() as line:
            await line.say(type_, space=odd, **message)
            await line.say("what")
            answer = await line.ws.receive(timeout=60)
            said = json.loads(answer.data) if isinstance(answer.data, str) else {"code": line.ws.close_code}
            assert said["code"] in ("not_found", "malformed", "unknown_message", 4400), (type_, said)
    async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
        await Line(ws).say("hello", **mallory.hello({odd: None, mallory.space: None}))
        first = await ws.receive(timeout=60)
        assert ws.close_code == 4400 or json.loads(first.data)["type"] == "welcome"


@pytest.mark.parametrize("odd", ODD_NAMES, ids=ascii)
async def test_a_hello_of_an_odd_device_or_token_ends_at_once(server: Server, mallory: Person, odd: str) -> None:
    """Item 54: with 4400, 4401 or 4403, never with "try again later"."""
    hellos: list[dict[str, Any]] = [{"device": odd}, {"token": odd}, {"token": mallory.refresh_token}]
    for wrong in hellos:
        async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
            line = Line(ws)
            await line.say("hello", **mallory.hello(**wrong))
            code, said = await line.end()
            assert code in (4400, 4401, 4403)
            assert said == []


async def test_a_hello_of_thousands_of_spaces_is_refused(server: Server, mallory: Person) -> None:
    """Beyond the list: each would be a question to the database, while others wait for their welcome."""
    async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
        line = Line(ws)
        await line.say("hello", **mallory.hello({f"{n:x}": None for n in range(3_000)}))
        assert (await line.end())[0] == 4400
    async with mallory.socket({f"{n:x}": None for n in range(512)}) as line:
        await line.say("what")
        codes = [(await line.hear("error"))["code"] for _ in range(513)]
        assert set(codes[:512]) == {"not_found"}


@pytest.fixture
async def at_once(server: Server) -> None:
    """No time goes by for the sockets' rates: what comes, comes at once, however slow the machine is."""
    sockets = server.app[SOCKETS]
    now = sockets.now().steady_ms
    sockets.steady_ms = lambda: now


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("type", ["subscribe", "unsubscribe", "seen", "token"])
async def test_a_flood_ends_the_socket_and_nobody_elses(ann: Person, mallory: Person, type: str) -> None:
    """Item 58: 2,000 messages at once."""
    space = await ann.shared_with(mallory)
    message: dict[str, dict[str, Any]] = {
        "subscribe": {"space": space, "cursor": None}, "unsubscribe": {"space": space},
        "seen": {"space": space, "version": {}}, "token": {"token": mallory.token},
    }  # fmt: skip
    before = resident_bytes()
    async with ann.socket({space: None}) as other, mallory.socket({space: None}) as line:
        # It may be over before the last of them is written.
        with contextlib.suppress(ConnectionError):
            for _ in range(2_000):
                await line.say(type, **message[type])
        code, _said = await line.end()
        assert code == 1008
        await ann.push(ann.put(record_id(1), space=space, title="x"), space=space)
        assert (await other.hear("delta"))["records"][0]["values"] == {"title": "x"}
    assert resident_bytes() - before < ALLOWED_GROWTH_BYTES


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("opcode", [WSMsgType.PING, WSMsgType.PONG])
async def test_a_flood_of_pings_by_nobody_ends_the_socket(server: Server, opcode: WSMsgType) -> None:
    """Beyond the list: each is answered, and three such sockets made everybody else wait for a second and more."""
    async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
        with contextlib.suppress(ConnectionError):
            for _ in range(2_000):
                await ws.send_frame(b"", opcode)
        while (message := await ws.receive(timeout=60)).type is WSMsgType.PONG:
            pass
        assert (message.type, ws.close_code) == (WSMsgType.CLOSE, 1008)


@pytest.mark.usefixtures("at_once")
async def test_a_flood_of_signals_reaches_others_at_its_rate(ann: Person, mallory: Person) -> None:
    """Item 58: those above the rate are refused, and what comes after a flood of them is a delta as ever."""
    space = await ann.shared_with(mallory)
    async with ann.socket({space: None}) as other, mallory.socket({space: None}) as line:
        for n in range(300):
            await line.say("signal", space=space, topic=f"t{n}", body="b" * 4_000, ttl_s=120)
        refused = [await line.hear() for _ in range(270)]
        assert {message["code"] for message in refused} == {"rate_limited"}
        await mallory.push(mallory.put(record_id(1), space=space, title="x"), space=space)
        assert (await other.hear("delta"))["records"][0]["id"] == record_id(1)
    async with ann.socket({space: None}) as late:
        await late.say("what")
        held = []
        while (message := await late.hear())["type"] == "signal":
            held.append(message["topic"])
        assert len(held) <= 8


@pytest.mark.parametrize(
    "body", [None, True, 2**53, 1e308, "\0", "x" * 5_000, [[[]]] * 2_000, {"\0": "\0"}], ids=lambda b: repr(b)[:12]
)
@pytest.mark.parametrize("ttl", [None, 0, 120, 121, -1, 1e300, 2**53])
async def test_signals_of_any_shape(sqlite_pair: tuple[Person, Person, str], body: Any, ttl: Any) -> None:
    """Item 58: what passes reaches the other one as it was sent; what does not is refused by name."""
    ann, mallory, space = sqlite_pair
    async with ann.socket({space: None}) as other, mallory.socket({space: None}) as line:
        await line.say("signal", space=space, topic="odd\0", body=body, ttl_s=ttl)
        await line.say("signal", space=space, topic="end", body=1)
        heard = await other.hear("signal")
        if heard["topic"] == "end":
            assert (await line.hear("error"))["code"] in ("too_long", "out_of_range")
        else:
            assert heard["body"] == body


@pytest.mark.parametrize("id", [0, -(2**53), 2**53, "", "\0", "x" * 128])
async def test_an_answer_names_the_id_of_its_push(mallory: Person, id: Any) -> None:
    """Beyond the list: whatever the id, and however long the fault."""
    async with mallory.socket() as line:
        await line.say(
            "push", id=id, space=mallory.space, device=mallory.device, schema=1, changes=[{"op": "o" * 500_000}]
        )
        answer = await line.hear("error")
        assert (answer["id"], answer["code"]) == (id, "malformed")
        assert len(answer["error"]) < 1_000


@pytest.mark.parametrize("id", [2**53 + 1, 1.5, None, [], {}, "x" * 129], ids=repr)
async def test_a_push_without_an_id_that_can_be_named(mallory: Person, id: Any) -> None:
    """Beyond the list: it is refused, or the socket ends; nothing of it lands."""
    async with mallory.socket() as line:
        await line.say("push", id=id, space=mallory.space, **mallory.body(mallory.put(record_id(1), title="x")))
        answer = await line.ws.receive(timeout=60)
        assert line.ws.close_code == 4400 or json.loads(answer.data)["code"] == "malformed"
    assert await mallory.shown() == {}


async def test_a_user_has_a_bounded_number_of_sockets(server: Server, mallory: Person) -> None:
    """Item 58: the same device replaces itself, however fast it comes."""

    async def connect() -> int | None:
        async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
            line = Line(ws)
            await line.say("hello", **mallory.hello({mallory.space: None}))
            return (await line.end())[0]

    waiting = [asyncio.create_task(connect()) for _ in range(100)]
    async with asyncio.timeout(60):
        done, standing = set(), set(waiting)
        while len(standing) > 1:
            newly, standing = await asyncio.wait(standing, return_when=asyncio.FIRST_COMPLETED)
            done |= newly
    assert {task.result() for task in done} <= {4409, 1013}
    (await mallory.ask("POST", "/api/auth/logout"))
    for task in standing:
        assert await task == 4401


async def test_what_was_pushed_over_a_socket_that_is_cut_is_there_or_is_not(mallory: Person) -> None:
    """Item 7 and beyond: a socket that is cut off in the middle of its pushes leaves whole batches."""
    batches = [[mallory.put(record_id(10 * b + n), title=str(b)) for n in range(10)] for b in range(10)]
    after = None
    async with mallory.socket() as line:
        for number, batch in enumerate(batches):
            await line.say("push", id=number, space=mallory.space, **mallory.body(*batch, after=after))
            after = {"n": batch[-1]["n"], "hlc": batch[-1]["hlc"]}
        await line.hear("ack")
        assert line.ws._conn is not None
        line.ws._conn.close()
    every = [change for batch in batches for change in batch]
    assert (await mallory.push(*every)).json["acked"] == 100
    assert len(await mallory.shown()) == 100
