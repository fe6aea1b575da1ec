"""What a stolen session must not be able to do needs a proof: the password, or where there is none a fresh sign-in."""

from __future__ import annotations

from typing import Any

import pytest

from api.accounts.confirming import FRESH_MS
from storage.audit_log import newest_lines
from tests.api.accounts.browser import browsing
from tests.api.harness import PASSWORD, Answer, Server

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
