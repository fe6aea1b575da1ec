"""What answers is no server of the protocol: no call ends in anything but this package's errors, or without end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fitai_client import ServerRefused, Unreachable
from fitai_client.core.requests import Answer, Request
from fitai_client.core.running import ANSWERS_FREE, BACKOFF_MAX_MS
from fitai_client.core.spaces import PERSONAL
from fitai_client.transport import ANSWER_BYTES_MAX, HttpTransport
from tests.client_sdk.conftest import OpenPhone
from tests.client_sdk.world import Phone, World

TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 900}
ANN = {"id": "0193575e-0000-7000-8000-00000000bbbb", "email": "ann@example.com", "name": "Ann"}


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.parametrize(
    "data",
    [
        {},
        TOKENS | {"expires_in": 1e300},
        TOKENS | {"expires_in": "soon"},
        TOKENS | {"refresh_token": None},
        TOKENS | {"access_token": "a\nb"},
        TOKENS | {"refresh_token": "\0"},
        TOKENS | {"access_token": ""},
        TOKENS | {"refresh_token": "r "},
    ],
    ids=["empty", "for ever", "no number", "no token", "two lines", "control character", "no letter", "a space behind"],
)
async def test_tokens_that_are_none_sign_nobody_in(open_phone: OpenPhone, data: dict[str, Any]) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"user": ANN, **data}})

    async with answering(answer) as url:
        phone = await open_phone("phone", url, background=False)
        with pytest.raises(Unreachable):
            await phone.sign_in("ann@example.com", "a long enough phrase")
        assert phone.identity is None and not (await phone.status()).signed_in


@pytest.mark.parametrize(
    "user",
    [None, ["no user"], {}, ANN | {"id": ""}, ANN | {"id": None}, ANN | {"id": 7}, ANN | {"email": None}],
    ids=["none", "no user", "empty", "no id", "null", "number", "no address"],
)
async def test_tokens_of_nobody_sign_nobody_in_and_keep_nobody_out(open_phone: OpenPhone, user: object) -> None:
    users = [user, ANN]

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"user": users.pop(0) if users else None, **TOKENS}})

    async with answering(answer) as url:
        phone = await open_phone("phone", url, background=False)
        with pytest.raises(Unreachable, match="does not say whose the account is"):
            await phone.sign_in("ann@example.com", "a long enough phrase")
        assert phone.identity is None and not (await phone.status()).signed_in
        # Signed in; that it is no server of the protocol shows when it is asked for more.
        with pytest.raises(Unreachable, match="no answer of the protocol"):
            await phone.sign_in("ann@example.com", "a long enough phrase")
        assert phone.identity is not None and phone.identity.user == ANN["id"]


async def test_an_answer_without_end_is_cut_off() -> None:
    sent = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        # Far beyond the limit, where nobody cuts it off.
        while sent < 4 * ANSWER_BYTES_MAX:
            await response.write(b" " * 1_048_576)
            sent += 1_048_576
        return response

    async with answering(answer) as url:
        transport = HttpTransport(url)
        try:
            with pytest.raises(Unreachable, match="more than the protocol has"):
                await transport.send(Request("about", "GET", "/"))
        finally:
            await transport.close()
    assert sent < 3 * ANSWER_BYTES_MAX


Told = Callable[[Request], tuple[int, dict[str, Any]] | None]


def asked_in_a_day(world: World, phone: Phone, told: Told, *, requests: int = 400) -> list[tuple[Request, int]]:
    """The requests of a day, and how long each waited, where `told` answers in the server's place what it wants to."""
    ends, came, waited = world.now + 24 * 3600 * 1000, list[tuple[Request, int]](), 0
    while world.now < ends and len(came) < requests:
        request = phone.device.next_request()
        if request is None:
            wait_ms = phone.device.next_wake_ms()
            if wait_ms is None:
                break
            waited += wait_ms
            world.tick(max(wait_ms, 1))
            continue
        came.append((request, waited))
        waited = 0
        answer = told(request)
        try:
            if answer is None:
                phone.device.answer(request, world.server.handle(request))
            else:
                phone.device.answer(request, Answer(answer[0], json.dumps(answer[1]).encode()))
        except Unreachable as error:
            phone.device.failed(request, str(error))
        world.tick()
    return came


def waits_grow(came: list[tuple[Request, int]]) -> bool:
    """Whether the last of these waited about as long as anything does, and the first as little."""
    waits = [waited for _, waited in came]
    return min(waits[-5:]) >= BACKOFF_MAX_MS // 2 and len([one for one in waits if one < 1_000]) < 30


def settled_phone(world: World, workouts: int = 1) -> Phone:
    phone = world.phone()
    for n in range(workouts):
        phone.put("workouts", title=f"w{n}")
    world.settle()
    return phone


def refusal(status: int, code: str, **details: Any) -> tuple[int, dict[str, Any]]:
    return status, {"success": False, "error": f"The server says {code}.", "code": code, "details": details}


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"acked": 0}),
        (200, {"acked": -5}),
        refusal(409, "server_behind", acked=0),
    ],
    ids=["acked 0", "acked less", "behind"],
)
def test_a_push_that_is_answered_and_moves_nothing_is_asked_ever_more_rarely(
    world: World, answer: tuple[int, dict[str, Any]]
) -> None:
    phone = settled_phone(world)
    phone.put("workouts", title="waits")
    came = asked_in_a_day(world, phone, lambda request: answer if request.kind == "push" else None, requests=60)
    pushes = [one for one in came if one[0].kind == "push"]
    assert len(pushes) > 10 and waits_grow(pushes)


def test_what_waits_for_a_server_that_moves_nothing_says_so(world: World) -> None:
    phone = settled_phone(world)
    phone.put("workouts", title="waits")
    asked_in_a_day(world, phone, lambda request: (200, {"acked": 0}), requests=ANSWERS_FREE)
    assert phone.device.next_request() is None
    assert "1 change waits: The server answers, but nothing comes of it" in phone.status().why
    world.settle()
    assert phone.status().why == ""
    world.assert_settled()


@pytest.mark.parametrize("code", ["unknown_device", "device_revoked"])
def test_a_device_that_is_never_known_does_not_register_without_a_pause(world: World, code: str) -> None:
    phone = settled_phone(world)
    phone.put("workouts", title="waits")
    came = asked_in_a_day(
        world, phone, lambda request: refusal(403, code) if request.kind == "push" else None, requests=120
    )
    assert "register" in {request.kind for request, _ in came}
    assert sum(waited for _, waited in came) > 10 * BACKOFF_MAX_MS


def test_a_server_that_forgets_what_it_took_is_not_told_again_without_a_pause(world: World) -> None:
    phone = settled_phone(world)
    phone.put("workouts", title="forgotten")

    def told(request: Request) -> tuple[int, dict[str, Any]] | None:
        if request.kind != "pull":
            return None
        body = world.server.handle(request).json()
        return 200, {**body, "version": {}}

    came = asked_in_a_day(world, phone, told, requests=120)
    assert sum(waited for _, waited in came) > 10 * BACKOFF_MAX_MS


def test_a_list_of_spaces_without_ones_own_is_asked_for_ever_more_rarely(world: World) -> None:
    phone = world.phone()
    came = asked_in_a_day(
        world, phone, lambda request: (200, {"spaces": []}) if request.kind == "spaces" else None, requests=60
    )
    assert waits_grow([one for one in came if one[0].kind == "spaces"])


def record(n: int) -> dict[str, Any]:
    return {"collection": "workouts", "id": f"01890000-0000-7000-8000-{n:012d}", "seq": n, "values": {"title": f"w{n}"}}


NO_VERSIONS = [[], "1", {"another": [1]}, {"another": "1"}, {"another": -1}, {"another": True}]


@pytest.mark.parametrize("version", NO_VERSIONS, ids=str)
@pytest.mark.parametrize("kind", ["pull", "snapshot"])
def test_a_version_that_is_none_is_no_answer_and_not_kept(world: World, kind: str, version: object) -> None:
    phone = world.phone() if kind == "snapshot" else settled_phone(world)
    phone.heal()
    while (request := phone.device.next_request()) is not None and request.kind != kind:
        phone.device.answer(request, world.server.handle(request))
        world.tick()
    assert request is not None
    honest = world.server.handle(request).json()
    with pytest.raises(Unreachable, match="version"):
        phone.device.answer(request, Answer(200, json.dumps({**honest, "version": version}).encode()))
    phone.device.failed(request, "no answer of the protocol")
    phone.heal()
    world.settle()
    world.assert_settled()


@pytest.mark.parametrize("version", NO_VERSIONS, ids=str)
def test_a_delta_whose_version_is_none_is_not_applied(world: World, version: object) -> None:
    phone = settled_phone(world)
    cursor, life = phone.db.conn.execute("SELECT cursor, life FROM spaces WHERE no = ?", (PERSONAL,)).fetchone()
    delta = {"life": life, "from": cursor, "to": "x", "records": [], "version": version}
    with pytest.raises(Unreachable, match="version"):
        phone.device.delta(PERSONAL, delta)
    assert phone.db.conn.execute("SELECT cursor FROM spaces WHERE no = ?", (PERSONAL,)).fetchone()[0] == cursor


@pytest.mark.parametrize(
    "page",
    [
        lambda n: {"records": [record(n)], "cursor": "same"},
        lambda n: {"records": [], "cursor": f"c{n}"},
        lambda n: {"records": [record(1)], "cursor": f"c{n}"},
        lambda n: {"records": [record(1 + n % 3)], "cursor": f"c{n % 3}"},
    ],
    ids=["one cursor", "empty", "one record", "a circle"],
)
def test_pages_of_a_pull_without_end_are_no_answer(world: World, page: Callable[[int], dict[str, Any]]) -> None:
    phone = settled_phone(world)
    number, staged = 0, 0

    def told(request: Request) -> tuple[int, dict[str, Any]] | None:
        nonlocal number, staged
        if request.kind != "pull":
            return None
        number += 1
        staged = max([staged, *(len(pages) for _, pages in phone.device.staged.values())])
        return 200, {"life": "1", "more": True, **page(number)}

    phone.heal()
    came = asked_in_a_day(world, phone, told, requests=100)
    assert staged < 5 and sum(waited for _, waited in came) > 10 * BACKOFF_MAX_MS
    phone.put("workouts", title="after it")
    world.settle()
    world.assert_settled()


@pytest.mark.parametrize(
    "page",
    [
        lambda n: {"records": [record(n)], "before": "same"},
        lambda n: {"records": [], "before": f"b{n}"},
        lambda n: {"records": [record(1)], "before": f"b{n}"},
        lambda n: {"records": [record(1 + n % 3)], "before": f"b{n % 3}"},
    ],
    ids=["one before", "empty", "one record", "a circle"],
)
def test_pages_of_a_snapshot_without_end_are_no_answer(world: World, page: Callable[[int], dict[str, Any]]) -> None:
    phone = world.phone()
    number = 0

    def told(request: Request) -> tuple[int, dict[str, Any]] | None:
        nonlocal number
        if request.kind != "snapshot":
            return None
        number += 1
        return 200, {"life": "1", "cursor": "1:1:1", "version": {}, **page(number)}

    came = asked_in_a_day(world, phone, told, requests=100)
    assert len(came) == 100 and sum(waited for _, waited in came) > 10 * BACKOFF_MAX_MS
    assert "Your training has not all arrived yet" in phone.status().why and "no server of it" in phone.status().why


@asynccontextmanager
async def taking_nothing(pushes: list[str]) -> AsyncIterator[str]:
    """A server of which every answer looks well, and that takes nothing."""

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path.rsplit("/", 1)[1]:
            case "login" | "refresh":
                user = {"id": "u", "email": "ann@example.com", "name": "Ann"}
                return web.json_response({"data": {"user": user, **TOKENS}})
            case "devices":
                return web.json_response({"device": "d", "devices": []})
            case "spaces":
                return web.json_response({"spaces": [{"id": "s", "kind": "personal", "role": "owner"}]})
            case "history":
                return web.json_response({"changes": [{"n": 1}], "before": "same"})
            case "push":
                pushes.append(await request.text())
                return web.json_response({"acked": 0})
            case _:
                return web.json_response({"schema": 1})

    async with answering(answer) as url:
        yield url


async def test_a_sync_and_a_sign_in_with_a_server_that_takes_nothing_end_in_one_sentence(open_phone: OpenPhone) -> None:
    pushes: list[str] = []
    async with taking_nothing(pushes) as url:
        phone = await open_phone("phone", url, background=False)
        await phone.workouts.create(title="waits")
        with pytest.raises(ServerRefused, match="nothing comes of it") as told:
            await phone.sign_in("ann@example.com", "a long enough phrase")
        assert told.value.code == "no_progress" and len(pushes) == ANSWERS_FREE
        with pytest.raises(ServerRefused, match="nothing comes of it"):
            await phone.sync()
        assert len(pushes) == ANSWERS_FREE + 1
        status = await phone.status()
        assert status.pending == 1 and "nothing comes of it" in status.why


async def test_a_history_without_end_is_no_answer(open_phone: OpenPhone) -> None:
    async with taking_nothing([]) as url:
        phone = await open_phone("phone", url, background=False)
        made = await phone.workouts.create(title="waits")
        with pytest.raises(ServerRefused):
            await phone.sign_in("ann@example.com", "a long enough phrase")
        with pytest.raises(Unreachable, match="have no end"):
            await phone.history("workouts", made.id)
