"""Refresh tokens, and the end of sessions."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from sqlalchemy import func, select

from api.accounts.sessions import SESSIONS_MAX
from storage.tables import refresh_tokens, sessions
from tests.api.harness import PASSWORD, SECRET, FrozenClock, Server, running, settings_for, until

NEWER_SECRET = "d1" + "fedcba9876543210" * 3 + "a0b1c2d3e4f506"


async def live_tokens(server: Server) -> int:
    async with server.database.read() as tx:
        rows = await tx.execute(
            select(func.count())
            .select_from(refresh_tokens.join(sessions, sessions.c.id == refresh_tokens.c.session_id))
            .where(refresh_tokens.c.spent_at.is_(None), sessions.c.revoked_at.is_(None))
        )
    return int(rows[0][0])


async def test_a_refresh_gives_a_new_pair(server: Server) -> None:
    first = await server.register()
    second = (await server.refresh(first["refresh_token"])).data
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert (await server.me(second["access_token"])).status == 200
    # The first access token lives on until it expires: its session still stands.
    assert (await server.me(first["access_token"])).status == 200


async def test_a_repeated_refresh_within_ten_seconds_gets_the_same_successor(server: Server) -> None:
    first = (await server.register())["refresh_token"]
    second = (await server.refresh(first)).data["refresh_token"]
    server.clock.advance(seconds=9)
    assert (await server.refresh(first)).data["refresh_token"] == second
    assert (await server.refresh(second)).status == 200


async def test_twenty_parallel_refreshes_make_one_successor(server: Server) -> None:
    first = (await server.register())["refresh_token"]
    answers = await asyncio.gather(*(server.refresh(first) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["refresh_token"] for answer in answers}) == 1
    assert await live_tokens(server) == 1


async def test_a_spent_token_used_later_ends_its_whole_session(server: Server) -> None:
    made = await server.register()
    second = (await server.refresh(made["refresh_token"])).data
    server.clock.advance(seconds=11)
    assert (await server.refresh(made["refresh_token"])).code == "invalid_grant"
    assert (await server.refresh(second["refresh_token"])).code == "invalid_grant"
    assert (await server.me(made["access_token"])).status == 401
    assert (await server.me(second["access_token"])).status == 401


async def test_a_spent_token_used_later_leaves_other_sessions_alone(server: Server) -> None:
    made = await server.register("ann@example.com")
    other = (await server.login("ann@example.com")).data
    await server.refresh(made["refresh_token"])
    server.clock.advance(seconds=11)
    await server.refresh(made["refresh_token"])
    assert (await server.me(other["access_token"])).status == 200
    assert (await server.refresh(other["refresh_token"])).status == 200


@pytest.mark.parametrize(
    "token", ["", "x", "fitai_rt_", "fitai_rt_" + "A" * 43, "fitai_rt_" + "A" * 10_000, "a.b.c", "fitai_rt_" + "ä" * 43]
)
async def test_what_is_no_refresh_token_is_an_invalid_grant(plain_server: Server, token: str) -> None:
    answer = await plain_server.refresh(token)
    assert (answer.status, answer.code) == (401, "invalid_grant")


async def test_neither_token_stands_in_for_the_other(plain_server: Server) -> None:
    made = await plain_server.register()
    assert (await plain_server.me(made["refresh_token"])).status == 401
    assert (await plain_server.refresh(made["access_token"])).code == "invalid_grant"


async def test_an_idle_session_ends(server: Server) -> None:
    made = await server.register()
    server.clock.advance(days=181)
    assert (await server.refresh(made["refresh_token"])).code == "invalid_grant"


async def test_a_session_ends_after_a_year_however_often_it_is_refreshed(server: Server) -> None:
    token = (await server.register())["refresh_token"]
    for _ in range(4):
        server.clock.advance(days=90)
        answer = await server.refresh(token)
        assert answer.status == 200
        token = answer.data["refresh_token"]
    server.clock.advance(days=6)
    assert (await server.refresh(token)).code == "invalid_grant"


async def test_an_access_token_expires(server: Server) -> None:
    made = await server.register()
    server.clock.advance(seconds=899)
    assert (await server.me(made["access_token"])).status == 200
    server.clock.advance(seconds=12)
    assert (await server.me(made["access_token"])).status == 401


async def test_tokens_spent_long_ago_are_forgotten(server: Server) -> None:
    token = (await server.register())["refresh_token"]
    for _ in range(4):
        token = (await server.refresh(token)).data["refresh_token"]
    server.clock.advance(days=31)
    await server.refresh(token)
    async with server.database.read() as tx:
        assert len(await tx.execute(select(refresh_tokens.c.hash))) == 2


async def test_a_logout_ends_both_tokens_at_once(server: Server) -> None:
    made = await server.register()
    assert (await server.ask("POST", "/api/auth/logout", token=made["access_token"])).status == 200
    assert (await server.me(made["access_token"])).status == 401
    assert (await server.refresh(made["refresh_token"])).code == "invalid_grant"


async def test_a_logout_leaves_other_sessions_alone(server: Server) -> None:
    made = await server.register("ann@example.com")
    other = (await server.login("ann@example.com")).data
    await server.ask("POST", "/api/auth/logout", token=made["access_token"])
    assert (await server.me(other["access_token"])).status == 200


async def test_logout_all_ends_every_session_of_this_user_alone(server: Server) -> None:
    made = await server.register("ann@example.com")
    again = (await server.login("ann@example.com")).data
    stranger = await server.register("bob@example.com")
    answer = await server.ask("POST", "/api/auth/logout-all", token=made["access_token"])
    assert answer.data == {"ended": 2}
    for tokens in (made, again):
        assert (await server.me(tokens["access_token"])).status == 401
        assert (await server.refresh(tokens["refresh_token"])).code == "invalid_grant"
    assert (await server.me(stranger["access_token"])).status == 200


async def test_the_list_shows_the_live_sessions_and_which_one_is_this(server: Server) -> None:
    made = await server.register("ann@example.com")
    await server.register("bob@example.com")
    server.clock.advance(seconds=1)
    again = (await server.login("ann@example.com", headers={"User-Agent": "watch \u00e9 1"})).data
    listed = (await server.ask("GET", "/api/auth/sessions", token=made["access_token"])).data["sessions"]
    assert [session["current"] for session in listed] == [False, True]
    assert listed[0]["user_agent"] == "watch \u00e9 1"
    assert listed[0]["device"] is None
    await server.ask("POST", "/api/auth/logout", token=again["access_token"])
    listed = (await server.ask("GET", "/api/auth/sessions", token=made["access_token"])).data["sessions"]
    assert [session["current"] for session in listed] == [True]


async def test_one_of_my_sessions_can_be_revoked(server: Server) -> None:
    made = await server.register("ann@example.com")
    server.clock.advance(seconds=1)
    other = (await server.login("ann@example.com")).data
    assert (await server.me(other["access_token"])).status == 200
    listed = (await server.ask("GET", "/api/auth/sessions", token=made["access_token"])).data["sessions"]
    answer = await server.ask("DELETE", f"/api/auth/sessions/{listed[0]['id']}", token=made["access_token"])
    assert answer.status == 200
    assert (await server.me(other["access_token"])).status == 401
    assert (await server.me(made["access_token"])).status == 200


async def test_a_strangers_session_is_as_unknown_as_one_that_never_was(server: Server) -> None:
    mine = await server.register("ann@example.com")
    theirs = await server.register("bob@example.com")
    listed = (await server.ask("GET", "/api/auth/sessions", token=theirs["access_token"])).data["sessions"]
    paths = [listed[0]["id"], "01a20ee5-5c94-7632-b58e-99991960930b", "x", "%00", "%ff", "..%2f"]
    answers = [await server.ask("DELETE", f"/api/auth/sessions/{path}", token=mine["access_token"]) for path in paths]
    assert {(answer.status, answer.code) for answer in answers} == {(404, "not_found")}
    assert len({str(answer.json | {"meta": None}) for answer in answers}) == 1
    assert (await server.me(theirs["access_token"])).status == 200


async def test_a_session_that_ended_gets_no_token_whatever_was_under_way(server: Server) -> None:
    for _ in range(5):
        made = await server.register()
        await asyncio.gather(
            server.refresh(made["refresh_token"]),
            server.ask("POST", "/api/auth/logout", token=made["access_token"]),
            server.refresh(made["refresh_token"]),
        )
        assert (await server.refresh(made["refresh_token"])).code == "invalid_grant"
    assert await live_tokens(server) == 0


async def test_more_sessions_than_allowed_end_the_one_used_longest_ago(server: Server) -> None:
    first = await server.register("ann@example.com")
    for _ in range(SESSIONS_MAX):
        server.clock.advance(seconds=1)
        last = (await server.login("ann@example.com")).data
    assert (await server.me(first["access_token"])).status == 401
    listed = (await server.ask("GET", "/api/auth/sessions", token=last["access_token"])).data["sessions"]
    assert len(listed) == SESSIONS_MAX


async def test_a_new_key_signs_and_the_old_one_goes_on_verifying(database_url: str) -> None:
    async with running(settings_for(database_url, secret_key=SECRET)) as server:
        made = await server.register("ann@example.com")
        second = (await server.refresh(made["refresh_token"])).data
        clock = server.clock
    async with running(settings_for(database_url, secret_key=f"{NEWER_SECRET},{SECRET}"), clock) as server:
        assert (await server.me(second["access_token"])).status == 200
        # The answer of the first refresh was lost: its successor is found under the key of then.
        again = (await server.refresh(made["refresh_token"])).data
        assert again["refresh_token"] == second["refresh_token"]
        third = (await server.refresh(second["refresh_token"])).data
    async with running(settings_for(database_url, secret_key=NEWER_SECRET), clock) as server:
        assert (await server.me(third["access_token"])).status == 200
        assert (await server.me(second["access_token"])).status == 401
        assert (await server.refresh(third["refresh_token"])).status == 200
        # In its grace, but the key that derived its successor was taken away.
        assert (await server.refresh(made["refresh_token"])).code == "invalid_grant"


async def test_a_rotation_survives_a_restart_before_its_answer(database_url: str) -> None:
    async with running(settings_for(database_url)) as server:
        first = (await server.register())["refresh_token"]
        second = (await server.refresh(first)).data["refresh_token"]
        clock = server.clock
    async with running(settings_for(database_url), clock) as server:
        assert (await server.refresh(first)).data["refresh_token"] == second
        clock.advance(seconds=11)
        assert (await server.refresh(first)).code == "invalid_grant"
        assert (await server.refresh(second)).code == "invalid_grant"


async def test_a_logout_in_one_process_is_felt_in_another_without_a_bus_within_five_seconds(
    database_url: str,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(settings_for(database_url)))
        other = await stack.enter_async_context(running(settings_for(database_url), one.clock))
        made = await one.register()
        assert (await other.me(made["access_token"])).status == 200
        await one.ask("POST", "/api/auth/logout", token=made["access_token"])
        one.clock.advance(seconds=5)
        assert (await other.me(made["access_token"])).status == 401


async def test_a_logout_in_one_process_is_felt_in_another_at_once_through_redis(
    sqlite_url: str, redis_url: str
) -> None:
    from api.app import BUS
    from sync.redis_bus import RedisBus

    settings = settings_for(sqlite_url, redis_url=redis_url)
    # In no time at all: by itself a process would go on taking what it knows for good.
    clock = FrozenClock()
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(settings, clock))
        other = await stack.enter_async_context(running(settings, clock))
        made = await one.register()
        topic = f"user:{made['user']['id']}"
        bus = other.app[BUS]
        assert isinstance(bus, RedisBus)
        async with asyncio.timeout(60):
            await bus.wait_connected()
            while not bus.is_confirmed(topic):
                assert (await other.me(made["access_token"])).status == 200
                await asyncio.sleep(0.01)
            # Known here, and fresh: without the bus it would count for seconds to come.
            assert (await other.me(made["access_token"])).status == 200
            await one.ask("POST", "/api/auth/logout", token=made["access_token"])

            async def ended() -> bool:
                return (await other.me(made["access_token"])).status == 401

            await until(ended)


async def test_sign_in_works_after_everything_was_ended(server: Server) -> None:
    made = await server.register("ann@example.com")
    await server.ask("POST", "/api/auth/logout-all", token=made["access_token"])
    assert (await server.login("ann@example.com", PASSWORD)).status == 200
