"""What a stolen session must not be able to do needs a proof: the password, or where there is none a fresh sign-in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.accounts.confirming import FRESH_MS
from api.accounts.limits import PASSWORD_BY_ACCOUNT, PASSWORD_BY_SESSION
from api.app import ACCOUNTS
from tests.api.accounts.browser import browsing
from tests.api.audit_lines import newest_lines
from tests.api.harness import PASSWORD, Answer, FrozenClock, Server, running, settings_for

NEW = "a new way to lift"


async def ask(server: Server, made: Any, what: str, **body: str) -> Answer:
    method, path = {
        "export": ("POST", "/api/users/export-data"),
        "delete": ("DELETE", "/api/users/account"),
        "change": ("POST", "/api/users/change-password"),
    }[what]
    if what == "change":
        body["new_password"] = NEW
    return await server.ask(method, path, body, token=made["access_token"])


@pytest.mark.parametrize("what", ["export", "delete", "change"])
async def test_an_account_without_a_password_is_proven_by_a_fresh_sign_in(database_url: str, what: str) -> None:
    async with browsing(database_url) as browser:
        server = browser.post.server
        made = (await browser.sign_in()).data
        assert made["user"]["has_password"] is False
        server.clock.advance(seconds=FRESH_MS / 1_000)
        # Neither is a session made fresh by being used, nor does a password that there is not help.
        renewed = (await server.refresh(made["refresh_token"])).data
        for more in ({}, {"current_password" if what == "change" else "password": PASSWORD}):
            stale = await ask(server, renewed, what, **more)
            assert (stale.status, stale.code) == (403, "fresh_sign_in_needed")
        assert (await ask(server, (await browser.sign_in()).data, what)).status in (200, 202)


async def test_an_account_with_a_password_needs_it_however_fresh_the_session_is(plain_server: Server) -> None:
    made = await plain_server.register()
    bare = await plain_server.ask("DELETE", "/api/users/account", token=made["access_token"])
    assert [(each["field"], each["code"]) for each in bare.json["details"]] == [("password", "required")]
    for what, field in (("export", "password"), ("delete", "password"), ("change", "current_password")):
        missing = await ask(plain_server, made, what)
        assert missing.status == 422
        assert [(each["field"], each["code"]) for each in missing.json["details"]] == [(field, "required")]
        wrong = await ask(plain_server, made, what, **{field: "not the password"})
        assert (wrong.status, wrong.code) == (403, "wrong_password")


async def test_the_first_password_opens_the_account_and_is_asked_for_from_then_on(sqlite_url: str) -> None:
    async with browsing(sqlite_url) as browser:
        server = browser.post.server
        made = (await browser.sign_in()).data
        assert (await ask(server, made, "change")).status == 200
        signed_in = await server.login("ann@example.com", NEW)
        assert signed_in.data["user"]["has_password"] is True
        assert (await ask(server, made, "delete")).status == 422
        assert (await ask(server, made, "delete", password=NEW)).status == 202


async def test_a_proof_that_fails_is_on_record(plain_server: Server) -> None:
    made = await plain_server.register()
    for what, field in (("export", "password"), ("delete", "password"), ("change", "current_password")):
        await ask(plain_server, made, what, **{field: "not the password"})
    async with plain_server.database.read() as tx:
        lines = (await newest_lines(tx))[::-1][1:]
    assert [(line.event, line.details["by"]) for line in lines] == [
        ("sign_in_refused", "export of data"),
        ("sign_in_refused", "deletion of account"),
        ("sign_in_refused", "change of password"),
    ]
    assert {(line.user, line.actor, line.address) for line in lines} == {(made["user"]["id"], None, "127.0.0.1")}


GUESSES = PASSWORD_BY_SESSION.burst


async def prove(server: Server, made: Any, password: str | None = PASSWORD) -> str:
    """What became of a proof that has no effect but to have been looked at: the new password will not do."""
    body = {"new_password": "short"} | ({} if password is None else {"current_password": password})
    answer = await server.ask("POST", "/api/users/change-password", body, token=made["access_token"])
    return {("current_password", 422): "missing", ("new_password", 422): "right"}.get(
        (answer.json.get("details", [{}])[0].get("field"), answer.status), answer.code
    )


async def test_only_proofs_that_fail_count_against_the_limit_also_of_many_at_once(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True), FrozenClock()) as server:
        made = await server.register()
        assert await asyncio.gather(*(prove(server, made) for _ in range(GUESSES + 3))) == ["right"] * (GUESSES + 3)
        assert [await prove(server, made, None) for _ in range(GUESSES + 3)] == ["missing"] * (GUESSES + 3)
        wrong = await asyncio.gather(*(prove(server, made, f"guess number {n}") for n in range(GUESSES + 3)))
        assert sorted(wrong) == ["rate_limited"] * 3 + ["wrong_password"] * GUESSES
        # Whoever has no guess left does not learn which would have been right.
        assert await prove(server, made) == "rate_limited"


async def test_a_proof_that_nobody_had_time_to_look_at_is_no_guess(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True), FrozenClock()) as server:
        made = await server.register()
        hasher = server.app[ACCOUNTS].confirmation.parts.hasher
        room, hasher._waiting_max = hasher._waiting_max, 0
        assert [await prove(server, made, "a guess of mine") for _ in range(GUESSES + 1)] == ["busy"] * (GUESSES + 1)
        hasher._waiting_max = room
        assert await prove(server, made) == "right"


async def test_a_proof_that_held_tells_that_nothing_was_spent(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True), FrozenClock()) as server:
        made = await server.register()
        answer = await ask(server, made, "change", current_password=PASSWORD)
        assert answer.headers["RateLimit"] == f'"password-session";r={GUESSES};t=0'


async def test_whoever_has_stolen_a_session_cannot_use_up_the_guesses_of_another(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True), FrozenClock()) as server:
        stolen = await server.register("ann@example.com")
        own = (await server.login("ann@example.com")).data
        for round in range(10):
            # As fast as may be, and for as long as it likes.
            while await prove(server, stolen, "a guess of mine") == "wrong_password":
                pass
            if round in (0, 9):
                slips = [await prove(server, own, "a slip of mine") for _ in range(GUESSES - 1)]
                assert slips == ["wrong_password"] * (GUESSES - 1)
            assert await prove(server, own) == "right"
            server.clock.advance(seconds=PASSWORD_BY_SESSION.interval_ms / 1_000)
            stolen, own = [(await server.refresh(each["refresh_token"])).data for each in (stolen, own)]


async def test_more_sessions_are_no_way_to_more_guesses(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True), FrozenClock()) as server:
        first = await server.register("ann@example.com")
        others = [(await server.login("ann@example.com")).data for _ in range(3)]
        answers = [await prove(server, each, f"guess {n}") for each in (first, *others) for n in range(GUESSES)]
        assert answers == ["wrong_password"] * PASSWORD_BY_ACCOUNT.burst + ["rate_limited"] * (2 * GUESSES)
        # What the account refuses has cost the session nothing.
        server.clock.advance(seconds=PASSWORD_BY_ACCOUNT.interval_ms / 1_000 * GUESSES)
        assert [await prove(server, others[-1], f"guess {n}") for n in range(GUESSES)] == ["wrong_password"] * GUESSES


def test_an_account_has_as_many_guesses_as_two_sessions_and_less_than_a_hundred_an_hour() -> None:
    session, account = PASSWORD_BY_SESSION, PASSWORD_BY_ACCOUNT
    assert (account.burst, account.interval_ms) == (2 * session.burst, session.interval_ms / 2)
    assert account.burst + 3_600_000 / account.interval_ms < 100
