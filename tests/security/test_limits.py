"""Every kind of route tells how much is left of its limit, whatever it answers, and refuses what is too much."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest_asyncio

from api.accounts.limits import LINK_BY_ADDRESS
from api.app import ENDPOINTS
from api.rest.endpoint import BY_USER
from tests.api.accounts.browser import PATH, Browser, browsing
from tests.api.harness import PASSWORD, FrozenClock, Server, running, settings_for

TOKEN = "x" * 43
ATTACKED: list[tuple[str, dict[str, str]]] = [
    ("users/register", {"password": PASSWORD, "name": "Bob"}),
    ("users/login", {"email": "nobody@example.com", "password": PASSWORD}),
    ("auth/refresh", {"refresh_token": "x"}),
    ("users/verify-email", {"token": TOKEN}),
    ("users/reset-password", {"token": TOKEN, "password": PASSWORD}),
    ("users/forgot-password", {"email": "nobody@example.com"}),
    ("users/resend-verification", {"email": "nobody@else.example.com"}),
    ("users/change-password", {"current_password": "not the password", "new_password": PASSWORD}),
    ("users/export-data", {"password": "not the password"}),
]


@pytest_asyncio.fixture
async def limited(sqlite_url: str) -> AsyncIterator[Server]:
    async with running(settings_for(sqlite_url, rate_limits=True), FrozenClock()) as made:
        yield made


@pytest_asyncio.fixture
async def browser(sqlite_url: str) -> AsyncIterator[Browser]:
    async with browsing(sqlite_url, rate_limits=True) as made:
        yield made


async def test_every_endpoint_that_is_counted_tells_its_limit_whatever_it_answers(limited: Server) -> None:
    token = (await limited.register())["access_token"]
    silent = []
    for endpoint in limited.app[ENDPOINTS]:
        if endpoint.limit is None:
            continue
        path = re.sub(r"\{\w+\}", "x", endpoint.path)
        answer = await limited.ask(endpoint.method, path + "?no_such_parameter=1", token=token)
        policy = answer.headers.get("RateLimit-Policy", "")
        if answer.status != 422 or not policy.startswith(f'"{endpoint.limit.name}";q={endpoint.limit.burst};'):
            silent.append((endpoint.method, endpoint.path, answer.status))
        assert "RateLimit" in answer.headers
    assert silent == []


async def test_every_call_by_which_accounts_are_attacked_tells_its_limit(limited: Server) -> None:
    token = (await limited.register())["access_token"]
    for path, body in ATTACKED:
        left = []
        for number in range(2):
            email = {"email": f"new{number}@example.com"} if path == "users/register" else {}
            answer = await limited.ask("POST", f"/api/{path}", {**body, **email}, token=token)
            found = re.search(r";r=(\d+)", answer.headers.get("RateLimit", ""))
            assert found is not None, (path, answer.status)
            left.append(int(found[1]))
        assert left[1] == left[0] - 1, path


async def test_a_sign_in_elsewhere_tells_its_limit_and_is_refused_past_it(browser: Browser) -> None:
    server = browser.post.server
    statuses = []
    for _ in range(31):
        async with server.session.get(server.url + PATH, allow_redirects=False) as response:
            statuses.append(response.status)
            assert response.headers["RateLimit-Policy"].startswith('"oidc-address"')
    assert statuses == [302] * 30 + [429]
    assert (await browser.exchange("x" * 43)).status == 429


async def test_codes_cannot_be_guessed_at_any_speed(limited: Server) -> None:
    answers = [
        await limited.ask("POST", "/api/users/verify-email", {"token": TOKEN}) for _ in range(LINK_BY_ADDRESS.burst + 1)
    ]
    assert [answer.status for answer in answers] == [400] * LINK_BY_ADDRESS.burst + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0


async def test_a_writing_call_of_a_device_tells_its_limit_also_where_it_is_refused(limited: Server) -> None:
    token = (await limited.register())["access_token"]
    for body in ({"name": "Gym"}, {"no such": "field"}):
        answer = await limited.ask("POST", "/api/sync/spaces", body, token=token)
        assert answer.headers["RateLimit-Policy"].startswith('"writes"')
    assert answer.status == 422


async def test_one_users_reads_are_no_load_of_anybody_elses(limited: Server) -> None:
    ann, bob = [(await limited.register())["access_token"] for _ in range(2)]
    statuses = [(await limited.me(ann)).status for _ in range(BY_USER.burst + 50)]
    assert 429 in statuses
    assert (await limited.me(bob)).status == 200
