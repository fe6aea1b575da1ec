"""What happens around every handler of the REST side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from api.app import DATABASE
from api.errors import ENVIRONMENT, LINE, InvalidCredentials, answer_errors
from api.http import CALLER
from api.middleware import DRAIN_HOOKS, SETTINGS, TRAFFIC, Traffic, dress, track
from api.rate_limits import MemoryLimiter, Rule
from api.rest import idempotency
from api.rest.endpoint import BY_USER, Call, Endpoint, Pagination, Permission, Reply, Shown, Strict
from api.rest.idempotency import ABANDONED_MS, ANSWER_BYTES_MAX, KEPT_MS, Idempotency
from api.rest.serving import Serving
from api.shedding import Line
from storage.database import open_database
from storage.errors import DatabaseUnavailable
from sync.caller import Caller
from tests.api.harness import Answer, Clock, Server, environment, running, serving, settings_for

RARE = Rule("rare", burst=1, interval_ms=60_000)
KEY = {"Idempotency-Key": "0b9d4e0e-8a1b-4a55-9a59-000000000001"}


class Name(Strict):
    name: str


class Made(Shown):
    id: str
    times: int
    padding: str = ""


@dataclass
class Desk:
    """A server with some endpoints; `user` and `role` are who calls. `behave` is what the maker does beside."""

    server: Server
    idempotency: Idempotency
    limiter: MemoryLimiter
    clock: Clock
    user: str
    role: str = "user"
    made: list[str] = field(default_factory=list)
    behave: Callable[[], Awaitable[None]] | None = None
    # How long an answer is.
    padding: str = ""

    async def make(self, name: str = "x", headers: dict[str, str] = KEY) -> Answer:
        return await self.server.ask("POST", "/api/made", {"name": name}, headers=headers)


def endpoints(desk: Callable[[], Desk]) -> list[Endpoint]:
    async def make(call: Call[Name, Any]) -> Reply:
        here = desk()
        if here.behave is not None:
            await here.behave()
        here.made.append(id := call.new_id())
        return Reply(Made(id=id, times=len(here.made), padding=here.padding), headers={"Location": f"/api/made/{id}"})

    async def read(call: Call[Any, Any]) -> Made:
        return Made(id="it", times=len(desk().made))

    async def listed(call: Call[Any, Any]) -> Reply:
        return Reply(desk().made, pagination=Pagination(limit=10, page=1, total=len(desk().made)))

    return [
        Endpoint("POST", "/api/made", make, "Make", "Made", body=Name, answer=Made, status=201),
        Endpoint("GET", "/api/made", listed, "List", "Made", answer=list[str], paged=True),
        Endpoint("GET", "/api/made/one", read, "Read", "Made", answer=Made, etag=True),
        Endpoint("GET", "/api/secret", read, "Read", "Made", answer=Made, permission=Permission.ADMINISTER),
        Endpoint(
            "GET", "/api/rare", read, "Read", "Made", answer=Made, limit=Rule("rare", burst=1, interval_ms=60_000)
        ),
    ]


@pytest_asyncio.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    clock = Clock()
    async with running(settings_for(database_url), clock) as real:
        user = (await real.register())["user"]["id"]
    database = await open_database(database_url)
    idempotency = Idempotency(database, environment(clock))
    here: list[Desk] = []

    @web.middleware
    async def sign_in(request: web.Request, handler: Any) -> web.StreamResponse:
        request[CALLER] = Caller(user=here[0].user, session="s", role=here[0].role)
        answer: web.StreamResponse = await handler(request)
        return answer

    app = web.Application(middlewares=[track, answer_errors, sign_in])
    app[ENVIRONMENT] = environment(clock)
    app[SETTINGS] = settings_for(database_url)
    app[LINE] = Line(environment(clock).now_ms)
    app[TRAFFIC] = Traffic()
    app[DRAIN_HOOKS] = []
    app.on_response_prepare.append(dress)
    limiter = MemoryLimiter(environment(clock))
    stand = Serving(environment(clock), limiter, idempotency)
    app.add_routes(stand.routes(endpoints(lambda: here[0])))
    app[DATABASE] = database
    async with serving(app, clock) as server:
        here.append(Desk(server, idempotency, limiter, clock, user))
        yield here[0]
    await database.close()


async def test_an_answer_has_its_data_in_the_envelope(desk: Desk) -> None:
    answer = await desk.make()
    assert (answer.status, answer.json["success"], answer.data["times"]) == (201, True, 1)
    assert answer.json["meta"].keys() == {"request_id", "timestamp"}


async def test_a_list_says_where_it_goes_on(desk: Desk) -> None:
    answer = await desk.server.ask("GET", "/api/made")
    assert answer.json["meta"]["pagination"] == {"page": 1, "limit": 10, "total": 0}


async def test_a_wrong_body_has_no_effect(desk: Desk) -> None:
    answer = await desk.server.ask("POST", "/api/made", {"nome": "x"})
    assert (answer.status, answer.code, desk.made) == (422, "invalid", [])
    assert {each["field"] for each in answer.json["details"]} == {"nome", "name"}


async def test_an_unknown_parameter_is_refused(desk: Desk) -> None:
    assert (await desk.server.ask("GET", "/api/made?lmit=3")).status == 422


# -- who may -------------------------------------------------------------------------------------------------------


async def test_what_one_may_not_call_looks_as_if_it_did_not_exist(desk: Desk) -> None:
    refused = await desk.server.ask("GET", "/api/secret")
    assert (refused.status, refused.code) == (404, "not_found")
    desk.role = "admin"
    assert (await desk.server.ask("GET", "/api/secret")).status == 200


async def test_a_role_that_nobody_knows_may_do_nothing(desk: Desk) -> None:
    desk.role = "wizard"
    assert (await desk.server.ask("GET", "/api/made")).status == 404


async def test_a_limit_is_told_with_every_answer_and_holds(desk: Desk) -> None:
    first = await desk.server.ask("GET", "/api/rare")
    assert (first.status, first.headers["RateLimit"]) == (200, '"rare";r=0;t=60')
    second = await desk.server.ask("GET", "/api/rare")
    assert (second.status, second.code, second.headers["Retry-After"]) == (429, "rate_limited", "60")


async def test_what_is_refused_for_its_shape_costs_nothing_of_an_endpoints_own_limit(desk: Desk) -> None:
    refused = await desk.server.ask("GET", "/api/rare?lmit=3")
    assert (refused.status, refused.headers["RateLimit"][:12]) == (422, '"rare";r=1;t')
    assert (await desk.server.ask("GET", "/api/rare")).status == 200


async def test_what_is_refused_for_its_shape_is_held_to_the_general_limit(desk: Desk) -> None:
    await desk.limiter.take(BY_USER, desk.user, cost=BY_USER.burst)
    refused = await desk.server.ask("GET", "/api/rare?lmit=3")
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.headers["RateLimit-Policy"].startswith('"rest"')


# -- versions ------------------------------------------------------------------------------------------------------


async def test_what_has_not_changed_is_not_sent_again(desk: Desk) -> None:
    first = await desk.server.ask("GET", "/api/made/one")
    again = await desk.server.ask("GET", "/api/made/one", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"])


async def test_what_has_changed_is_sent_under_another_version(desk: Desk) -> None:
    first = await desk.server.ask("GET", "/api/made/one")
    await desk.make()
    again = await desk.server.ask("GET", "/api/made/one", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.data["times"]) == (200, 1)
    assert again.headers["ETag"] != first.headers["ETag"]


# -- sending again -------------------------------------------------------------------------------------------------


async def test_a_request_sent_again_under_its_key_has_its_effect_once(desk: Desk) -> None:
    first, second = await desk.make(), await desk.make()
    assert (second.status, second.text) == (first.status, first.text)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(desk.made) == 1


async def test_without_a_key_each_request_counts(desk: Desk) -> None:
    assert [(await desk.make(headers={})).data["times"] for _ in range(2)] == [1, 2]


async def test_a_key_stands_for_one_request(desk: Desk) -> None:
    await desk.make()
    other = await desk.make("y")
    assert (other.status, other.json["details"][0]["code"], len(desk.made)) == (422, "key_reused", 1)


async def test_keys_of_two_users_do_not_meet(desk: Desk) -> None:
    first = await desk.make()
    async with running(settings_for(desk.server.app[SETTINGS].database_url), desk.clock) as real:
        desk.user = (await real.register("other@example.com"))["user"]["id"]
    assert (await desk.make()).data["id"] != first.data["id"]


async def test_while_the_first_is_under_way_a_repetition_is_told_to_wait(desk: Desk) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        begun.set()
        await go.wait()

    desk.behave = wait
    first = asyncio.create_task(desk.make())
    await begun.wait()
    second = await desk.make()
    go.set()
    assert (second.status, second.code) == (409, "request_in_progress")
    assert (await first).status == 201


async def test_a_refusal_is_not_kept(desk: Desk) -> None:
    async def refuse() -> None:
        raise InvalidCredentials

    desk.behave = refuse
    assert (await desk.make()).status == 401
    desk.behave = None
    assert (await desk.make()).status == 201


async def test_a_database_that_was_gone_for_a_moment_takes_no_key(desk: Desk) -> None:
    async def fail() -> None:
        raise DatabaseUnavailable("gone")

    desk.behave = fail
    assert (await desk.make()).status == 503
    desk.behave = None
    assert (await desk.make()).status == 201


async def test_a_request_whose_process_died_runs_again_and_names_what_it_makes_alike(desk: Desk) -> None:
    async def die() -> None:
        raise RuntimeError("the power went out")

    first = await desk.make(headers={})
    desk.behave = die
    assert (await desk.make()).status == 500
    assert (await desk.make()).code == "request_in_progress"
    desk.clock.advance(seconds=ABANDONED_MS / 1_000)
    desk.behave = None
    made = (await desk.make()).data["id"]
    desk.clock.advance(seconds=KEPT_MS / 1_000 + 1)
    assert await desk.idempotency.forget() == 1
    assert (await desk.make()).data["id"] == made != first.data["id"]


async def test_an_answer_that_is_too_large_to_be_kept_is_not_given_again_but_told_as_done(desk: Desk) -> None:
    desk.padding = "x" * ANSWER_BYTES_MAX
    first, second = await desk.make(), await desk.make()
    assert (first.status, second.status, second.code, len(desk.made)) == (201, 409, "answer_not_kept", 1)
    assert second.json["details"] == {"status": 201, "Location": f"/api/made/{first.data['id']}"}


async def kept(desk: Desk, numbers: range) -> list[int]:
    """Which of the requests under numbered keys are answered from memory. The others run again."""
    answers = [await desk.make(headers={"Idempotency-Key": f"k{number}"}) for number in numbers]
    return [number for number, answer in zip(numbers, answers, strict=True) if "Idempotent-Replayed" in answer.headers]


async def test_of_more_answers_than_are_kept_of_a_user_the_oldest_go_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "COUNTED_ONE_IN", 1)
    monkeypatch.setattr(idempotency, "KEYS_MAX", 3)
    assert await kept(desk, range(5)) == []
    # The fifth came to the three before it.
    assert await kept(desk, range(1, 5)) == [1, 2, 3, 4]


async def test_the_answers_that_are_kept_of_a_user_are_bounded_in_bytes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "COUNTED_ONE_IN", 1)
    monkeypatch.setattr(idempotency, "BYTES_MAX", 5_000)
    desk.padding = "x" * 2_000
    assert await kept(desk, range(4)) == []
    assert await kept(desk, range(1, 4)) == [1, 2, 3]
    assert await kept(desk, range(1)) == []


async def test_a_request_under_way_keeps_its_key_however_many_come_after_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "COUNTED_ONE_IN", 1)
    monkeypatch.setattr(idempotency, "KEYS_MAX", 0)
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        desk.behave = None
        begun.set()
        await go.wait()

    desk.behave = wait
    first = asyncio.create_task(desk.make())
    await begun.wait()
    await kept(desk, range(2))
    assert (await desk.make()).code == "request_in_progress"
    go.set()
    assert (await first).status == 201


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ä"])
async def test_a_key_that_is_none_is_refused(desk: Desk, key: str) -> None:
    answer = await desk.make(headers={"Idempotency-Key": key})
    assert (answer.status, desk.made) == (400, [])
