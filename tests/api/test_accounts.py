"""Registration and sign-in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from sqlalchemy import select, text, update

from storage.tables import members, sessions, spaces, users
from tests.api.harness import PASSWORD, Server, running, settings_for


async def register(server: Server, **body: object) -> tuple[int, str, list[dict[str, str]]]:
    whole = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"} | body
    answer = await server.ask("POST", "/api/users/register", whole)
    return answer.status, answer.json.get("code", ""), answer.json.get("details") or []


async def test_a_registration_gives_an_account_and_a_session(server: Server) -> None:
    made = await server.register("Ann@Example.com")
    assert made["user"]["email"] == "Ann@Example.com"
    assert made["user"]["role"] == "user" and made["user"]["plan"] == "free"
    assert made["expires_in"] == 900
    me = await server.me(made["access_token"])
    assert me.data == made["user"]


async def test_a_registration_makes_one_personal_space_that_its_user_owns(server: Server) -> None:
    made = await server.register()
    async with server.database.read() as tx:
        rows = await tx.execute(
            select(spaces.c.kind, spaces.c.name, members.c.role, members.c.state)
            .join_from(spaces, members, members.c.space_id == spaces.c.id)
            .where(members.c.user_id == made["user"]["id"])
        )
    assert [tuple(row) for row in rows] == [("personal", "Personal", "owner", "member")]


async def test_a_registration_that_fails_leaves_nothing_behind(server: Server) -> None:
    await server.register("ann@example.com")
    assert (await register(server))[:2] == (409, "email_unavailable")
    async with server.database.read() as tx:
        assert len(await tx.execute(select(users.c.id))) == 1
        assert len(await tx.execute(select(spaces.c.id).where(spaces.c.kind == "personal"))) == 1
        assert len(await tx.execute(select(sessions.c.id))) == 1


@pytest.mark.parametrize("same", ["ann@example.com", " ANN@Example.COM ", "ａｎｎ@example.com"])
async def test_an_address_has_one_account_however_it_is_written(plain_server: Server, same: str) -> None:
    await plain_server.register("Ann@example.com")
    assert (await register(plain_server, email=same))[0] == 409
    assert (await plain_server.login(same)).status == 200


async def test_parallel_registrations_of_one_address_make_one_account(server: Server) -> None:
    answers = await asyncio.gather(*(register(server) for _ in range(8)))
    assert sorted(status for status, _, _ in answers) == [201] + [409] * 7


@pytest.mark.parametrize(
    "email",
    ["", "ann", "ann@", "@example.com", "ann@example", "a b@example.com", "a@b@example.com", "ann@exa\nmple.com",
     "x" * 65 + "@example.com", "ann@" + "x" * 250 + ".com"],
)  # fmt: skip
async def test_what_is_no_mail_address_is_refused_by_field(plain_server: Server, email: str) -> None:
    status, code, details = await register(plain_server, email=email)
    assert (status, code) == (422, "invalid")
    assert [(wrong["field"], wrong["code"]) for wrong in details] == [("email", "bad_email")]


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "bell\x07", "\x1b[31mred"])
async def test_a_name_is_short_plain_text(plain_server: Server, name: str) -> None:
    status, _, details = await register(plain_server, name=name)
    assert status == 422
    assert [wrong["field"] for wrong in details] == ["name"]


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("x" * 9, "too_short"),
        ("\U0001f4aa" * 25, "too_long"),
        ("y" + "ab" * 36, "too_long"),
        ("iloveyou123", "too_common"),
        ("Password2024!", "too_common"),
        ("aaaaaaaaaaaa", "too_common"),
        ("ann@example.com", "too_common"),
    ],
)
async def test_a_weak_password_is_refused_with_a_reason(plain_server: Server, password: str, code: str) -> None:
    status, _, details = await register(plain_server, password=password)
    assert status == 422
    assert [(wrong["field"], wrong["code"]) for wrong in details] == [("password", code)]


@pytest.mark.parametrize("password", ["correct horse battery staple is long but fine x7", "y" + "ab" * 35 + "z"])
async def test_a_password_of_up_to_72_bytes_signs_in(plain_server: Server, password: str) -> None:
    await plain_server.register("ann@example.com", password)
    assert (await plain_server.login("ann@example.com", password)).status == 200


async def test_what_lies_beyond_72_bytes_never_signs_in(plain_server: Server) -> None:
    password = "y" + "ab" * 35 + "z"
    assert len(password) == 72
    await plain_server.register("ann@example.com", password)
    for other in (password + "!", password[:71], password + "x" * 10_000):
        assert (await plain_server.login("ann@example.com", other)).code == "invalid_credentials"


async def test_a_nul_in_a_password_is_refused_and_never_a_server_error(plain_server: Server) -> None:
    assert (await register(plain_server, password="lift\0heavy things"))[0] == 422
    await plain_server.register("ann@example.com")
    assert (await plain_server.login("ann@example.com", PASSWORD + "\0")).status == 422


async def test_a_password_is_the_same_in_both_normal_forms_of_unicode(plain_server: Server) -> None:
    await plain_server.register("ann@example.com", "crème brûlée 1")
    decomposed = "cre\u0300me bru\u0302le\u0301e 1"
    assert (await plain_server.login("ann@example.com", decomposed)).status == 200


async def test_unknown_fields_are_refused_by_name(plain_server: Server) -> None:
    status, _, details = await register(plain_server, role="admin")
    assert status == 422
    assert [(wrong["field"], wrong["code"]) for wrong in details] == [("role", "unknown_field")]


@pytest.mark.parametrize("body", [[], "text", 7, None])
async def test_a_body_that_is_no_object_is_refused(plain_server: Server, body: object) -> None:
    answer = await plain_server.ask(
        "POST", "/api/users/login", data=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert (answer.status, answer.code) == (422, "invalid")


@pytest.mark.parametrize("email", [{"$gt": ""}, ["ann@example.com"], 7, True, None])
async def test_a_field_of_another_type_is_refused(plain_server: Server, email: object) -> None:
    answer = await plain_server.ask("POST", "/api/users/login", {"email": email, "password": PASSWORD})
    assert (answer.status, answer.code) == (422, "invalid")


async def test_unknown_address_wrong_password_and_disabled_account_get_one_answer(server: Server) -> None:
    await server.register("ann@example.com")
    disabled = await server.register("bob@example.com")
    async with server.database.write() as tx:
        await tx.execute(
            update(users).where(users.c.id == disabled["user"]["id"]).values(disabled_at=server.clock.now_ms())
        )
    answers = [
        await server.login("ann@example.com", "not the password"),
        await server.login("nobody@example.com", "not the password"),
        await server.login("bob@example.com", PASSWORD),
        await server.login("ann@example.com", "x" * 80),
    ]
    for answer in answers:
        assert (answer.status, answer.code) == (401, "invalid_credentials")
        shown = answer.json | {"meta": None}
        assert shown == answers[0].json | {"meta": None}
        assert set(answer.headers) == set(answers[0].headers)


async def test_an_unknown_address_costs_the_same_hashing_as_a_wrong_password(plain_server: Server) -> None:
    """Counted in what was hashed, because time on a busy machine proves nothing."""
    hashed = []
    originals = {name: getattr(bcrypt, name) for name in ("checkpw", "hashpw")}

    def counting(name: str) -> Callable[[bytes, bytes], Any]:
        def count(password: bytes, against: bytes) -> Any:
            hashed.append(against[:7])
            return originals[name](password, against)

        return count

    await plain_server.register("ann@example.com")
    with pytest.MonkeyPatch.context() as patch:
        for name in originals:
            patch.setattr(bcrypt, name, counting(name))
        await plain_server.login("ann@example.com", "not the password")
        await plain_server.login("nobody@example.com", "not the password")
        await plain_server.login("ann@example.com", "x" * 80)
    assert hashed == [b"$2b$04$"] * 3


async def test_disabling_an_account_ends_its_tokens(server: Server) -> None:
    made = await server.register()
    async with server.database.write() as tx:
        await tx.execute(update(users).values(disabled_at=server.clock.now_ms()))
    server.clock.advance(seconds=5)
    assert (await server.me(made["access_token"])).status == 401
    assert (await server.refresh(made["refresh_token"])).code == "invalid_grant"


async def test_neither_passwords_nor_tokens_are_stored(server: Server) -> None:
    made = await server.register()
    refreshed = (await server.refresh(made["refresh_token"])).data
    tables = ("users", "sessions", "refresh_tokens", "devices", "meta")
    stored = ""
    async with server.database.read() as tx:
        for table in tables:
            stored += repr(await tx.execute(text(f"SELECT * FROM {table}")))
    assert made["user"]["id"] in stored
    for secret in (PASSWORD, made["refresh_token"], refreshed["refresh_token"], made["access_token"]):
        assert secret not in stored


async def test_neither_passwords_nor_tokens_nor_addresses_are_logged(
    plain_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = await plain_server.register("ann@example.com")
    await plain_server.login("ann@example.com", "not the password")
    await plain_server.refresh(made["refresh_token"])
    await plain_server.me(made["access_token"])
    await plain_server.ask("GET", f"/api/users/me?token={made['access_token']}")
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("api", "sync")))
    assert "/api/users/login 401" in own
    for secret in (PASSWORD, "not the password", made["refresh_token"], made["access_token"], "ann@example.com"):
        assert secret not in own


async def test_hashing_never_stops_the_server(sqlite_url: str) -> None:
    """While logins are being hashed in their threads, the event loop answers others first."""
    async with running(settings_for(sqlite_url, bcrypt_cost=10)) as server:
        await server.register("ann@example.com")
        logins = [asyncio.create_task(server.login("ann@example.com", "not the password")) for _ in range(20)]
        await asyncio.wait(logins, return_when=asyncio.FIRST_COMPLETED)
        pending = sum(not login.done() for login in logins)
        assert pending > 0
        assert (await server.ask("GET", "/health/live")).status == 200
        # The health check overtook what was waiting for a thread.
        assert any(not login.done() for login in logins)
        for login in logins:
            assert (await login).status == 401


async def test_more_hashing_than_can_wait_is_told_to_come_back(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, bcrypt_cost=8)) as server:
        answers = await asyncio.gather(*(server.login("nobody@example.com") for _ in range(180)))
    by_status = {answer.status for answer in answers}
    assert by_status == {401, 503}
    busy = next(answer for answer in answers if answer.status == 503)
    assert busy.code == "busy" and int(busy.headers["Retry-After"]) >= 1
