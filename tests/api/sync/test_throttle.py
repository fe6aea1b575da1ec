"""How much one account may write in a while: what honest devices do passes, a flood waits, and nobody else feels it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api.errors import RateLimited
from api.rate_limits import MemoryLimiter, NoLimiter
from api.settings import Settings
from api.sync.throttle import KIB, AccountThrottle
from sync.limits import LIMITS
from tests.api.harness import Clock, FrozenClock, Server, environment, running, settings_for
from tests.security.harness import Person, join, record_id


@asynccontextmanager
async def limited(url: str, **settings: Any) -> AsyncIterator[Server]:
    async with running(settings_for(url, rate_limits=True, **settings)) as server:
        yield server


def throttle(clock: Clock | None = None, **settings: Any) -> AccountThrottle:
    return AccountThrottle(MemoryLimiter(environment(clock or FrozenClock())), Settings(**settings))


def voids(person: Person, count: int) -> list[dict[str, Any]]:
    return [person.change(op="void") for _ in range(count)]


# -- what is generous ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "size"), [(1_000, 300_000), (1_000, 1_048_576), (16, 1_048_576)])
async def test_a_full_space_is_sent_in_one_go_without_waiting(changes: int, size: int) -> None:
    """A million small records, or a gigabyte of large ones, by a device that comes online for the first time."""
    account = throttle()
    for _ in range(max(LIMITS.records_max // changes if size < KIB * KIB else 0, 1_024)):
        await account.write("ann")
        await account.upload("ann", changes, size)


async def test_a_script_that_pushes_set_after_set_runs_for_minutes() -> None:
    account = throttle()
    for _ in range(1_800):
        await account.write("ann")
        await account.upload("ann", 1, 300)
    with pytest.raises(RateLimited) as refused:
        await account.write("ann")
    # From then on ten a second, each with whatever was logged meanwhile.
    assert refused.value.retry_after_s == 1


async def test_the_largest_batch_fits_the_smallest_limits() -> None:
    account = throttle(writes_per_minute=1, upload_mib_per_day=1)
    await account.write("ann")
    await account.upload("ann", LIMITS.batch_changes_max, LIMITS.batch_bytes_max)


async def test_limits_that_are_off_limit_nothing() -> None:
    account = AccountThrottle(NoLimiter(), Settings(rate_limits=False, writes_per_minute=1, upload_mib_per_day=1))
    for _ in range(100):
        await account.write("ann")
        await account.upload("ann", 1_000, 1_048_576)
        await account.seen("ann")


async def test_a_server_without_limits_takes_any_number_of_pushes_and_devices(sqlite_url: str) -> None:
    settings = settings_for(sqlite_url, rate_limits=False, writes_per_minute=1, upload_mib_per_day=1, devices_per_day=1)
    async with running(settings) as server:
        ann = await join(server)
        for number in range(10):
            assert (await ann.push(*voids(ann, 500))).status == 200
            asked = {"key": record_id(number), "name": "Phone"}
            assert (await ann.ask("POST", "/api/sync/devices", asked)).status == 201


# -- what waits ----------------------------------------------------------------------------------------------------


async def test_a_flood_of_pushes_is_told_when_to_come_again_and_nobody_else_is(sqlite_url: str) -> None:
    async with limited(sqlite_url, writes_per_minute=2) as server:
        ann, mallory = await join(server), await join(server)
        # Registering the device was the first of six.
        answers = [await mallory.push(*voids(mallory, 1)) for _ in range(5)]
        assert [answer.status for answer in answers] == [200] * 5
        assert answers[0].headers["RateLimit-Policy"] == '"writes";q=6;w=180'
        assert answers[0].headers["RateLimit"].startswith('"writes";r=4;t=')
        refused = await mallory.push(*voids(mallory, 1))
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert refused.headers["RateLimit"].startswith('"writes";r=0;t=')
        assert 1 <= int(refused.headers["Retry-After"]) <= 30
        assert (await ann.push(*voids(ann, 1))).status == 200
        # Reading goes on, and so does writing after the wait.
        assert (await mallory.pull())["version"] == {mallory.device: 5}
        server.clock.advance(seconds=int(refused.headers["Retry-After"]))
        mallory.numbers[mallory.space] -= 1
        assert (await mallory.push(*voids(mallory, 1))).json["acked"] == 6


async def test_what_is_too_much_is_refused_before_its_body_is_read(sqlite_url: str) -> None:
    async with limited(sqlite_url, writes_per_minute=1) as server:
        mallory = await join(server)
        answers = [await mallory.ask("POST", mallory.at("push"), data=b"no json") for _ in range(3)]
        assert [answer.code for answer in answers] == ["malformed", "malformed", "rate_limited"]


@pytest.mark.parametrize(("limit", "counted"), [("writes_per_minute", "writes"), ("reads_per_minute", "reads")])
async def test_every_route_of_an_account_is_counted_as_a_write_or_as_a_read(
    sqlite_url: str, limit: str, counted: str
) -> None:
    async with limited(sqlite_url, **{limit: 1}) as server:
        mallory = await join(server)
        while True:
            answer = await (mallory.push() if counted == "writes" else mallory.ask("GET", mallory.at("pull")))
            if answer.status == 429:
                break
        routes = {
            (route.method, route.resource.canonical)
            for route in server.app.router.routes()
            if route.resource is not None and route.resource.canonical.startswith(("/api/sync", "/api/v1/sync"))
        } - {("GET", "/api/sync/live"), ("GET", "/api/v1/sync/live")}
        assert len(routes) > 20
        # What this server speaks is said to everybody.
        kinds = {
            (method, path): "" if path.endswith("/sync") else "reads" if method == "GET" else "writes"
            for method, path in routes
            if method != "HEAD"
        }
        # Those that do something come last: one of them ends the session.
        for (method, path), kind in sorted(kinds.items(), key=lambda each: each[1] != counted):
            asked = path.format(space=mallory.space, user=mallory.user, device=mallory.device)
            answer = await mallory.ask(method, asked, None if method == "GET" else {})
            assert (answer.status == 429) == (kind == counted), (method, path, answer.text)


async def test_who_reads_too_much_is_told_when_to_come_again_and_goes_on_writing(sqlite_url: str) -> None:
    async with limited(sqlite_url, reads_per_minute=2) as server:
        ann, mallory = await join(server), await join(server)
        # To look for one's own space was the first of six.
        answers = [await mallory.ask("GET", mallory.at("pull")) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 5 + [429]
        assert answers[0].headers["RateLimit-Policy"] == '"reads";q=6;w=180'
        wait_s = int(answers[-1].headers["Retry-After"])
        assert (answers[-1].code, 1 <= wait_s <= 30) == ("rate_limited", True)
        assert (await ann.ask("GET", ann.at("pull"))).status == 200
        assert (await mallory.push(*voids(mallory, 1))).status == 200
        server.clock.advance(seconds=wait_s)
        assert (await mallory.ask("GET", mallory.at("pull"))).status == 200


async def test_several_new_devices_read_a_full_space_without_waiting() -> None:
    account = throttle()
    for _ in range(25 * LIMITS.records_max // LIMITS.page_records_max):
        await account.read("ann")


async def test_a_push_over_the_socket_is_counted_with_those_of_http(sqlite_url: str) -> None:
    async with limited(sqlite_url, writes_per_minute=1) as server:
        mallory = await join(server)
        async with mallory.socket({mallory.space: None}) as line:
            await line.say("push", id=1, space=mallory.space, **mallory.body(*voids(mallory, 1)))
            assert (await line.hear("ack"))["acked"] == 1
            assert (await mallory.push()).status == 200
            await line.say("push", id=2, space=mallory.space, **mallory.body(*voids(mallory, 1)))
            refused = await line.hear("error")
            assert (refused["id"], refused["code"]) == (2, "rate_limited")
            assert 1 <= refused["details"]["retry_after_s"] <= 60
            server.clock.advance(seconds=refused["details"]["retry_after_s"])
            await line.say("push", id=3, space=mallory.space, **mallory.body())
            assert (await line.hear("ack"))["acked"] == 1


async def test_what_a_socket_brings_up_to_date_is_counted_with_the_reads_of_http(sqlite_url: str) -> None:
    async with limited(sqlite_url, reads_per_minute=2) as server:
        mallory = await join(server)
        cursor = (await mallory.pull())["cursor"]
        await mallory.push(*voids(mallory, 1))
        # To look for one's own space, and that pull, were two of six.
        async with mallory.socket({mallory.space: cursor}) as line:
            assert (await line.hear())["type"] == "delta"
            for _ in range(3):
                await line.say("subscribe", space=mallory.space, cursor=cursor)
                assert (await line.hear())["type"] == "delta"
            await line.say("subscribe", space=mallory.space, cursor=cursor)
            assert await line.hear() == {"type": "behind", "space": mallory.space}
            refused = await mallory.ask("GET", mallory.at("pull"))
            assert (refused.status, refused.code) == (429, "rate_limited")
        # A server that was restarted is met by one hello of each device, and closes none for it.
        async with mallory.socket({mallory.space: cursor}) as line:
            assert (await line.hear())["type"] == "behind"
            await mallory.push(*voids(mallory, 1))
            assert (await line.hear("delta"))["version"] == {mallory.device: 2}


async def test_a_seen_too_many_is_told_and_takes_no_push_away(sqlite_url: str) -> None:
    async with limited(sqlite_url, writes_per_minute=1) as server:
        mallory = await join(server)
        async with mallory.socket({mallory.space: None}) as line:
            for _ in range(4):
                await line.say("seen", space=mallory.space, version={})
            refused = await line.hear("error")
            assert (refused["code"], refused["details"]["space"]) == ("rate_limited", mallory.space)
            await line.say("push", id=1, space=mallory.space, **mallory.body(*voids(mallory, 1)))
            assert (await line.hear("ack"))["acked"] == 1


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_what_an_account_may_make_the_server_keep_in_a_day_is_bounded(sqlite_url: str, transport: str) -> None:
    """Item 44: a change counts as 1 KiB at least, whether it leaves a record, a tombstone or a line of the ledger."""
    async with limited(sqlite_url, upload_mib_per_day=1) as server:
        ann, mallory = await join(server), await join(server)
        churn = [
            change
            for n in range(500)
            for change in (mallory.put(record_id(n), title="x"), mallory.delete(record_id(n)))
        ]
        assert (await mallory.push(*churn)).status == 200
        assert (await mallory.push(*voids(mallory, 1_000))).status == 200
        more = mallory.body(*voids(mallory, 1_000), after=(mallory.last or {})[mallory.space])
        if transport == "http":
            refused = await mallory.ask("POST", mallory.at("push"), more)
            assert (refused.status, refused.code) == (429, "rate_limited")
            assert refused.headers["RateLimit"].startswith('"upload-kib";r=48;t=')
            assert 80_000 < int(refused.headers["Retry-After"]) < 86_400
        else:
            async with mallory.socket() as line:
                await line.say("push", id=1, space=mallory.space, **more)
                assert (await line.hear("error"))["code"] == "rate_limited"
        assert (await mallory.pull())["version"] == {mallory.device: 2_000}
        assert (await ann.push(ann.put(record_id(1), title="honest"))).status == 200


async def test_a_large_batch_weighs_its_bytes(sqlite_url: str) -> None:
    async with limited(sqlite_url, upload_mib_per_day=1) as server:
        mallory = await join(server)
        body = json.dumps(mallory.body(*voids(mallory, 1))) + " " * 900_000
        answers = [await mallory.ask("POST", mallory.at("push"), data=body.encode()) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]


async def test_new_devices_of_an_account_are_limited_by_the_day(sqlite_url: str) -> None:
    async with limited(sqlite_url, devices_per_day=2) as server:
        ann, mallory = await join(server), await join(server)
        keys = [record_id(number) for number in range(3)]
        answers = [await mallory.ask("POST", "/api/sync/devices", {"key": key, "name": "x"}) for key in keys]
        assert [answer.status for answer in answers] == [201, 429, 429]
        refused = answers[-1]
        assert refused.code == "rate_limited"
        assert refused.headers["RateLimit-Policy"] == '"new-devices";q=2;w=86400'
        assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
        # One that is known is answered as ever.
        assert (await mallory.ask("POST", "/api/sync/devices", {"key": keys[0], "name": "x"})).status == 200
        assert (await ann.ask("POST", "/api/sync/devices", {"key": keys[0], "name": "x"})).status == 201
