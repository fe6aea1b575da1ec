"""What happens to accounts is on record, in the transaction of the event and without secrets."""

from __future__ import annotations

import pytest

from api.accounts.service import AUDIT_KEPT_MS
from api.app import ACCOUNTS
from storage import accounts
from storage.errors import StorageError
from tests.api.accounts.conftest import Post
from tests.api.audit_lines import Line, newest_lines
from tests.api.harness import PASSWORD, Server


async def lines(server: Server) -> list[Line]:
    """Every line, oldest first."""
    async with server.database.read() as tx:
        return (await newest_lines(tx))[::-1]


async def events(server: Server) -> list[str]:
    return [line.event for line in await lines(server)]


async def test_a_life_of_an_account_is_on_record(post: Post) -> None:
    server = post.server
    made = await server.register("ann@example.com")
    await post.verify(await post.token("verify-email"))
    await server.login("ann@example.com", "not the password")
    again = (await server.login("ann@example.com")).data
    third = (await server.login("ann@example.com")).data
    listed = (await server.ask("GET", "/api/auth/sessions", token=made["access_token"])).data["sessions"]
    (first,) = [each["id"] for each in listed if each["current"]]
    last = next(each["id"] for each in listed if each["id"] != first)
    await server.ask("DELETE", f"/api/auth/sessions/{last}", token=made["access_token"])
    body = {"current_password": PASSWORD, "new_password": "a new way to lift"}
    await post.ask("change-password", body, token=made["access_token"])
    await post.forgot("ann@example.com")
    await post.reset(await post.token("reset-password"))
    assert again and third
    found = await lines(server)
    assert [line.event for line in found] == [
        "registered", "email_verified", "sign_in_refused", "signed_in", "signed_in", "session_revoked",
        "password_changed", "password_reset",
    ]  # fmt: skip
    user = made["user"]["id"]
    assert {line.user for line in found} == {user}
    assert {line.address for line in found} == {"127.0.0.1"}
    by_event = {line.event: line for line in found}
    assert by_event["registered"].session == first and by_event["registered"].actor == user
    assert by_event["sign_in_refused"].actor is None and by_event["sign_in_refused"].session is None
    assert by_event["session_revoked"].details == {"ended": last}
    assert by_event["password_changed"].details == {"sessions": 1}
    assert [line.at for line in found] == sorted(line.at for line in found)


async def test_logouts_and_the_reuse_of_a_token_are_on_record(server: Server) -> None:
    made = await server.register("ann@example.com")
    await server.refresh(made["refresh_token"])
    server.clock.advance(seconds=11)
    await server.refresh(made["refresh_token"])
    one = (await server.login("ann@example.com")).data
    await server.ask("POST", "/api/auth/logout", token=one["access_token"])
    other = (await server.login("ann@example.com")).data
    await server.ask("POST", "/api/auth/logout-all", token=other["access_token"])
    assert await events(server) == [
        "registered", "token_reused", "signed_in", "signed_out", "signed_in", "signed_out_everywhere"
    ]  # fmt: skip


async def test_a_device_that_is_revoked_is_on_record_once(server: Server) -> None:
    made = await server.register("ann@example.com")
    token = made["access_token"]
    key = {"key": "6f1c2b0b-5d0e-4c57-9f0a-3f0bb8d56d11", "name": "phone"}
    device = (await server.ask("POST", "/api/sync/devices", key, token=token)).json["device"]
    other = (await server.login("ann@example.com")).data["access_token"]
    for _ in range(2):
        assert (await server.ask("DELETE", f"/api/sync/devices/{device}", token=other)).status == 200
    (line,) = [line for line in await lines(server) if line.event == "device_revoked"]
    assert line.details == {"device": device} and line.actor == made["user"]["id"]


async def test_an_unknown_address_leaves_a_line_without_what_was_typed(server: Server) -> None:
    await server.login("secret-typed-in-the-wrong-field@example.com")
    (line,) = await lines(server)
    assert (line.event, line.user, line.details) == ("sign_in_refused", None, {"by": "password"})
    assert "typed" not in str(line)


async def test_what_fails_leaves_no_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line stands in the transaction of the event: where that fails, both are gone."""

    async def broken(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    made = await server.register("ann@example.com")
    monkeypatch.setattr(accounts, "add_user", broken)
    body = {"email": "bob@example.com", "password": PASSWORD, "name": "Bob"}
    assert (await server.ask("POST", "/api/users/register", body)).status == 503
    assert await events(server) == ["registered"]
    assert (await server.me(made["access_token"])).status == 200


async def test_old_lines_go(server: Server) -> None:
    await server.register("ann@example.com")
    server.clock.advance(seconds=AUDIT_KEPT_MS / 1_000 + 1)
    await server.login("nobody@example.com")
    assert await server.app[ACCOUNTS].forget_old() >= 1
    assert await events(server) == ["sign_in_refused"]
