"""How often somebody may try."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from api.accounts.limits import LOGIN_BY_ACCOUNT, LOGIN_BY_ADDRESS, REGISTER_BY_ADDRESS
from api.rate_limits import Limiter, MemoryLimiter, NoLimiter, RedisLimiter, Rule
from tests.api.harness import PASSWORD, Answer, Clock, Server, environment, running, settings_for

RULE = Rule("try", burst=3, interval_ms=60_000)
PROXY = ("127.0.0.1",)


@pytest_asyncio.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[Limiter]:
    made: Limiter
    if request.param == "memory":
        made = MemoryLimiter(environment(Clock()))
    else:
        made = RedisLimiter(request.getfixturevalue("redis_url"), environment(Clock()))
    yield made
    await made.close()


async def test_a_burst_passes_and_what_follows_waits(limiter: Limiter) -> None:
    decisions = [await limiter.take(RULE, "ann") for _ in range(5)]
    assert [decision.allowed for decision in decisions] == [True, True, True, False, False]
    assert [decision.remaining for decision in decisions] == [2, 1, 0, 0, 0]
    # A refused attempt does not push the time away.
    assert all(30 <= decision.retry_after_s <= 60 for decision in decisions[3:])
    assert decisions[0].retry_after_s == 0


async def test_keys_and_rules_do_not_share(limiter: Limiter) -> None:
    for _ in range(4):
        await limiter.take(RULE, "ann")
    assert (await limiter.take(RULE, "bob")).allowed
    assert (await limiter.take(Rule("other", 3, 60_000), "ann")).allowed


async def test_parallel_attempts_cannot_pass_together(limiter: Limiter) -> None:
    decisions = await asyncio.gather(*(limiter.take(RULE, "ann") for _ in range(50)))
    assert sum(decision.allowed for decision in decisions) == 3


async def test_an_attempt_can_be_given_back(limiter: Limiter) -> None:
    for _ in range(3):
        await limiter.take(RULE, "ann")
    await limiter.give_back(RULE, "ann")
    assert (await limiter.take(RULE, "ann")).allowed
    assert not (await limiter.take(RULE, "ann")).allowed
    await limiter.give_back(RULE, "nobody")


async def test_a_fact_is_remembered(limiter: Limiter) -> None:
    assert not await limiter.remembers("ann")
    await limiter.remember("ann", for_ms=60_000)
    assert await limiter.remembers("ann")


async def test_time_makes_room_again() -> None:
    clock = Clock()
    limiter = MemoryLimiter(environment(clock))
    for _ in range(4):
        last = await limiter.take(RULE, "ann")
    clock.advance(seconds=last.retry_after_s)
    assert (await limiter.take(RULE, "ann")).allowed
    await limiter.remember("ann", for_ms=1_000)
    clock.advance(seconds=1_000)
    assert not await limiter.remembers("ann")


async def test_a_clock_that_is_set_back_locks_nobody_out_for_longer_than_a_full_bucket() -> None:
    clock = Clock()
    limiter = MemoryLimiter(environment(clock))
    assert (await limiter.take(RULE, "ann")).allowed
    clock.advance(seconds=-3_600)
    refused = await limiter.take(RULE, "ann")
    assert refused.retry_after_s <= RULE.interval_ms / 1_000
    clock.advance(seconds=RULE.interval_ms / 1_000)
    assert (await limiter.take(RULE, "ann")).allowed


async def test_what_is_over_is_forgotten_and_the_rest_is_bounded() -> None:
    clock = Clock()
    limiter = MemoryLimiter(environment(clock), keys_max=100)
    for number in range(90):
        await limiter.take(RULE, f"a{number}")
    clock.advance(seconds=300)
    for number in range(90):
        await limiter.take(RULE, f"b{number}")
    assert len(limiter._until) == 90
    for number in range(1_000):
        await limiter.take(RULE, f"c{number}")
    assert len(limiter._until) == 100


async def test_redis_shares_a_limit_between_processes(redis_url: str) -> None:
    one, other = (RedisLimiter(redis_url, environment(Clock())) for _ in range(2))
    try:
        allowed = [(await limiter.take(RULE, "ann")).allowed for limiter in (one, other, one, other)]
    finally:
        await one.close()
        await other.close()
    assert allowed == [True, True, True, False]


async def test_without_redis_each_process_limits_by_itself() -> None:
    clock = Clock()
    limiter = RedisLimiter("redis://127.0.0.1:1/0", environment(clock))
    try:
        allowed = [(await limiter.take(RULE, "ann")).allowed for _ in range(4)]
        assert allowed == [True, True, True, False]
        await limiter.remember("ann", for_ms=60_000)
        assert await limiter.remembers("ann")
        assert not await limiter.remembers("bob")
        await limiter.give_back(RULE, "ann")
        assert (await limiter.take(RULE, "ann")).allowed
    finally:
        await limiter.close()


async def test_a_caller_that_is_cancelled_leaves_redis_usable(redis_url: str) -> None:
    limiter = RedisLimiter(redis_url, environment(Clock()))
    try:
        for _ in range(20):
            task = asyncio.create_task(limiter.take(RULE, "ann"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await limiter.remember("bob", for_ms=60_000)
        assert await limiter.remembers("bob")
    finally:
        await limiter.close()


async def test_no_limiter_limits_nothing() -> None:
    limiter = NoLimiter()
    await limiter.give_back(RULE, "ann")
    await limiter.remember("ann", for_ms=1)
    assert (await limiter.take(RULE, "ann")).allowed and not await limiter.remembers("ann")
    await limiter.close()


@pytest_asyncio.fixture
async def limited(sqlite_url: str) -> AsyncIterator[Server]:
    async with running(settings_for(sqlite_url, rate_limits=True)) as server:
        yield server


@pytest_asyncio.fixture
async def proxied(sqlite_url: str) -> AsyncIterator[Server]:
    """A server behind a trusted proxy, so that a test can come from many addresses."""
    async with running(settings_for(sqlite_url, rate_limits=True, trusted_proxies=PROXY)) as server:
        yield server


async def guess(server: Server, email: str = "ann@example.com", *, via: str | None = None) -> Answer:
    headers = {} if via is None else {"X-Forwarded-For": via}
    return await server.login(email, "not the password", headers=headers)


async def test_guessing_at_one_account_is_slowed_down_from_however_many_addresses(proxied: Server) -> None:
    answers = [await guess(proxied, via=f"198.51.100.{number}") for number in range(LOGIN_BY_ACCOUNT.burst + 1)]
    assert [answer.status for answer in answers] == [401] * LOGIN_BY_ACCOUNT.burst + [429]
    limited = answers[-1]
    assert limited.code == "rate_limited"
    assert 1 <= int(limited.headers["Retry-After"]) <= 60
    assert limited.headers["RateLimit"].startswith('"login-account";r=0;t=')
    assert limited.headers["RateLimit-Policy"] == '"login-account";q=10;w=600'
    proxied.clock.advance(seconds=int(limited.headers["Retry-After"]))
    assert (await guess(proxied, via="198.51.100.99")).status == 401


async def test_guessing_at_many_accounts_from_one_address_is_slowed_down(limited: Server) -> None:
    answers = [await guess(limited, f"user{number}@example.com") for number in range(LOGIN_BY_ADDRESS.burst + 1)]
    assert [answer.status for answer in answers] == [401] * LOGIN_BY_ADDRESS.burst + [429]
    assert answers[-1].headers["RateLimit"].startswith('"login-address";')


async def test_the_owner_is_not_locked_out_where_they_signed_in_before(proxied: Server) -> None:
    home = {"X-Forwarded-For": "203.0.113.7"}
    body = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
    assert (await proxied.ask("POST", "/api/users/register", body, headers=home)).status == 201
    for number in range(LOGIN_BY_ACCOUNT.burst + 5):
        last = await guess(proxied, via=f"198.51.100.{number}")
    assert last.status == 429
    assert (await proxied.login("ann@example.com", headers=home)).status == 200
    assert (await proxied.login("ann@example.com", headers={"X-Forwarded-For": "198.51.100.200"})).status == 429


async def test_signing_in_rightly_costs_nothing(limited: Server) -> None:
    await limited.register("ann@example.com")
    for _ in range(LOGIN_BY_ADDRESS.burst + 5):
        assert (await limited.login("ann@example.com")).status == 200


async def test_the_limits_are_told_before_they_are_reached(limited: Server) -> None:
    answer = await guess(limited)
    assert answer.headers["RateLimit"] == '"login-account";r=9;t=60'


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP"])
async def test_no_header_moves_a_client_to_another_address(limited: Server, header: str) -> None:
    for number in range(LOGIN_BY_ADDRESS.burst + 1):
        answer = await limited.login(f"u{number}@example.com", headers={header: f"198.51.100.{number}"})
    assert answer.status == 429


async def test_what_a_client_wrote_left_of_a_trusted_proxy_is_not_believed(proxied: Server) -> None:
    for number in range(LOGIN_BY_ADDRESS.burst + 1):
        answer = await guess(proxied, f"u{number}@example.com", via=f"198.51.100.{number}, 203.0.113.7")
    assert answer.status == 429


async def test_a_forwarded_address_that_is_none_is_the_proxys_own(proxied: Server) -> None:
    for number in range(LOGIN_BY_ADDRESS.burst + 1):
        answer = await guess(proxied, f"u{number}@example.com", via=f"nonsense-{number}")
    assert answer.status == 429


async def test_one_network_of_ipv6_is_one_address(proxied: Server) -> None:
    for number in range(LOGIN_BY_ADDRESS.burst + 1):
        answer = await guess(proxied, f"u{number}@example.com", via=f"2001:db8::{number:x}")
    assert answer.status == 429
    assert (await guess(proxied, via="2001:db8:0:1::1")).status == 401
    # An IPv4 address in IPv6's clothes is the IPv4 address.
    assert (await guess(proxied, via="::ffff:198.51.100.1")).status == 401


async def test_registrations_are_limited_by_address(limited: Server) -> None:
    for number in range(REGISTER_BY_ADDRESS.burst):
        await limited.register(f"u{number}@example.com")
    body = {"email": "last@example.com", "password": PASSWORD, "name": "Ann"}
    answer = await limited.ask("POST", "/api/users/register", body)
    assert answer.status == 429 and "Retry-After" in answer.headers


async def test_limits_are_shared_through_redis(sqlite_url: str, redis_url: str) -> None:
    settings = settings_for(sqlite_url, rate_limits=True, redis_url=redis_url)
    async with running(settings) as one, running(settings) as other:
        for number in range(LOGIN_BY_ACCOUNT.burst):
            assert (await guess((one, other)[number % 2])).status == 401
        assert (await guess(one)).status == 429
        assert (await guess(other)).status == 429
