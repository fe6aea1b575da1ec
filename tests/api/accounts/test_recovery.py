"""Passwords that are changed, and passwords that were forgotten."""

from __future__ import annotations

import asyncio
import threading

import bcrypt
import pytest
from sqlalchemy import select, text, update

from api.app import OUTBOX
from storage.tables import mails, one_time_tokens, users
from tests.api.accounts.conftest import Post, posting
from tests.api.harness import PASSWORD, Answer, Server, running, settings_for
from tests.services.smtp import html_of, text_of

NEW = "a new way to lift"


def apart_from_meta(answer: Answer) -> object:
    headers = {name: value for name, value in answer.headers.items() if name not in ("Date", "X-Request-ID")}
    return answer.status, answer.json | {"meta": None}, headers


async def change(post: Post, made: dict[str, str], current: str = PASSWORD, new: str = NEW) -> Answer:
    body = {"current_password": current, "new_password": new}
    return await post.ask("change-password", body, token=made["access_token"])


async def test_a_forgotten_password_is_replaced_by_the_link_of_a_mail(post: Post) -> None:
    await post.server.register("ann@example.com")
    assert (await post.forgot("Ann@Example.com ")).status == 202
    mail = await post.newest()
    assert mail["To"] == "ann@example.com" and mail["Subject"] == "Set a new password for FitAI"
    answer = await post.reset(await post.token("reset-password"), NEW)
    assert answer.status == 200 and answer.data == {"ended": 1}
    assert (await post.server.login("ann@example.com", PASSWORD)).code == "invalid_credentials"
    assert (await post.server.login("ann@example.com", NEW)).status == 200


@pytest.mark.parametrize("public_url", [None, "https://fit.example.com"])
async def test_no_mail_follows_the_host_of_a_request(sqlite_url: str, public_url: str | None) -> None:
    evil = dict.fromkeys(("Host", "X-Forwarded-Host", "X-Forwarded-Server", "Origin"), "evil.example")
    async with posting(sqlite_url, public_url=public_url) as post:
        new = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
        assert (await post.ask("register", new, headers=evil)).status == 201
        for path in ("resend-verification", "forgot-password"):
            assert (await post.ask(path, {"email": "ann@example.com"}, headers=evil)).status == 202
        mails = await post.sent()
        texts = [said(mail) for mail in mails for said in (text_of, html_of)]
        assert len(mails) == 3
        for each in texts:
            assert "evil" not in each and each.count("://") == each.count(f"{public_url}/account#")


async def test_a_reset_ends_every_session_with_its_tokens(post: Post) -> None:
    one = await post.server.register("ann@example.com")
    other = (await post.server.login("ann@example.com")).data
    stranger = await post.server.register("bob@example.com")
    await post.forgot("ann@example.com")
    assert (await post.reset(await post.token("reset-password"))).data == {"ended": 2}
    for tokens in (one, other):
        assert (await post.server.me(tokens["access_token"])).status == 401
        assert (await post.server.refresh(tokens["refresh_token"])).code == "invalid_grant"
    assert (await post.server.me(stranger["access_token"])).status == 200


async def test_a_reset_proves_the_address_and_is_told_to_it(post: Post) -> None:
    await post.server.register("ann@example.com")
    await post.forgot("ann@example.com")
    await post.reset(await post.token("reset-password"))
    assert (await post.newest())["Subject"] == "Your FitAI password was changed"
    assert (await post.server.login("ann@example.com", NEW)).data["user"]["email_verified"] is True


async def test_a_link_is_good_once(post: Post) -> None:
    await post.server.register("ann@example.com")
    await post.forgot("ann@example.com")
    token = await post.token("reset-password")
    answers = await asyncio.gather(*(post.reset(token, f"{NEW} {number}") for number in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400, 400]
    assert (await post.reset(token)).code == "invalid_link"


async def test_a_link_is_good_for_an_hour(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    await plain_post.forgot("ann@example.com")
    token = await plain_post.token("reset-password")
    plain_post.server.clock.advance(seconds=3_601)
    assert (await plain_post.reset(token)).code == "invalid_link"


async def test_the_newest_link_alone_is_good(post: Post) -> None:
    await post.server.register("ann@example.com")
    await post.forgot("ann@example.com")
    first = await post.token("reset-password")
    await post.forgot("ann@example.com")
    second = await post.token("reset-password")
    assert (await post.reset(first)).code == "invalid_link"
    assert (await post.reset(second)).status == 200


async def test_a_link_is_good_for_the_address_that_it_was_sent_to(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    await plain_post.forgot("ann@example.com")
    token = await plain_post.token("reset-password")
    async with plain_post.server.database.write() as tx:
        await tx.execute(update(users).values(email="anna@example.com", email_key="anna@example.com"))
    assert (await plain_post.reset(token)).code == "invalid_link"


async def test_a_link_of_another_purpose_is_not_good(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    assert (await plain_post.reset(await plain_post.token("verify-email"))).code == "invalid_link"
    await plain_post.forgot("ann@example.com")
    assert (await plain_post.verify(await plain_post.token("reset-password"))).code == "invalid_link"


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 10_000, "ä" * 43, "../" * 14 + "A"])
async def test_what_is_no_token_is_no_good_link(plain_post: Post, token: str) -> None:
    assert (await plain_post.reset(token)).code == "invalid_link"
    assert (await plain_post.verify(token)).code == "invalid_link"


async def test_a_password_is_changed_to_another_one(plain_post: Post) -> None:
    made = await plain_post.server.register("ann@example.com")
    other = (await plain_post.server.login("ann@example.com")).data
    same = await change(plain_post, made, new=PASSWORD)
    assert [(wrong["field"], wrong["code"]) for wrong in same.json["details"]] == [("new_password", "unchanged")]
    assert (await plain_post.server.me(other["access_token"])).status == 200


async def test_a_password_that_will_not_do_leaves_the_link_good(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    await plain_post.forgot("ann@example.com")
    token = await plain_post.token("reset-password")
    answer = await plain_post.reset(token, "short")
    assert answer.status == 422
    assert [(wrong["field"], wrong["code"]) for wrong in answer.json["details"]] == [("password", "too_short")]
    assert (await plain_post.reset(token)).status == 200


async def test_a_forgotten_password_is_answered_alike_for_every_address(database_url: str) -> None:
    async with posting(database_url, rate_limits=True) as post:
        await post.server.register("ann@example.com")
        disabled = await post.server.register("bob@example.com")
        async with post.server.database.write() as tx:
            await tx.execute(update(users).where(users.c.id == disabled["user"]["id"]).values(disabled_at=1))
        await post.sent()
        for path in ("forgot-password", "resend-verification"):
            answers = [
                await post.ask(path, {"email": email})
                for email in ("ann@example.com", "bob@example.com", "nobody@example.com")
            ]
            assert len({str(apart_from_meta(answer)) for answer in answers}) == 1
            assert answers[0].status == 202 and "RateLimit" in answers[0].headers
        assert {mail["To"] for mail in (await post.sent())[2:]} == {"ann@example.com"}


async def test_the_same_is_stored_for_every_address_before_the_answer(sqlite_url: str) -> None:
    """What differs, whether there is an account to write to, is looked up behind the answer."""
    async with running(settings_for(sqlite_url)) as server:
        await server.register("ann@example.com")
        await server.app[OUTBOX].close()
        for email in ("ann@example.com", "nobody@example.com"):
            assert (await server.ask("POST", "/api/users/forgot-password", {"email": email})).status == 202
        async with server.database.read() as tx:
            rows = await tx.execute(select(mails.c.kind, mails.c.about, mails.c.attempts))
            assert await tx.execute(select(one_time_tokens.c.purpose)) == [("verify",)]
    assert sorted(tuple(row) for row in rows) == [("reset", "ann@example.com", 0), ("reset", "nobody@example.com", 0)]


async def test_nobody_can_fill_a_mailbox(sqlite_url: str) -> None:
    async with posting(sqlite_url, rate_limits=True) as post:
        await post.server.register("ann@example.com")
        answers = [await post.forgot("ann@example.com") for _ in range(4)]
        assert [answer.status for answer in answers] == [202, 202, 202, 429]
        assert answers[3].code == "rate_limited" and int(answers[3].headers["Retry-After"]) > 60
        # Somebody else's mailbox is another matter.
        assert (await post.forgot("bob@example.com")).status == 202


@pytest.mark.parametrize("email", ["", "ann", "a b@example.com", "ann@example.com\nBcc: eve@example.com"])
async def test_what_is_no_address_is_refused_by_field(plain_post: Post, email: str) -> None:
    answer = await plain_post.forgot(email)
    assert answer.status == 422
    assert [(wrong["field"], wrong["code"]) for wrong in answer.json["details"]] == [("email", "bad_email")]


async def test_a_changed_password_ends_every_other_session(post: Post) -> None:
    mine = await post.server.register("ann@example.com")
    other = (await post.server.login("ann@example.com")).data
    answer = await change(post, mine)
    assert answer.status == 200 and answer.data == {"ended": 1}
    assert (await post.server.me(mine["access_token"])).status == 200
    assert (await post.server.refresh(mine["refresh_token"])).status == 200
    assert (await post.server.me(other["access_token"])).status == 401
    assert (await post.server.refresh(other["refresh_token"])).code == "invalid_grant"
    assert (await post.server.login("ann@example.com", PASSWORD)).status == 401
    assert (await post.server.login("ann@example.com", NEW)).status == 200
    assert "was changed" in text_of(await post.newest())


async def test_a_change_needs_the_current_password_and_a_good_new_one(plain_post: Post) -> None:
    made = await plain_post.server.register("ann@example.com")
    wrong = await change(plain_post, made, current="not the password")
    assert (wrong.status, wrong.code) == (403, "wrong_password")
    weak = await change(plain_post, made, new="password123")
    assert [(fault["field"], fault["code"]) for fault in weak.json["details"]] == [("new_password", "too_common")]
    assert (await plain_post.server.login("ann@example.com")).status == 200


async def test_a_change_takes_away_a_link_that_would_set_another(plain_post: Post) -> None:
    made = await plain_post.server.register("ann@example.com")
    await plain_post.forgot("ann@example.com")
    token = await plain_post.token("reset-password")
    await change(plain_post, made)
    assert (await plain_post.reset(token)).code == "invalid_link"


async def test_whoever_holds_a_token_cannot_guess_the_password_by_changing_it(sqlite_url: str) -> None:
    async with posting(sqlite_url, rate_limits=True) as post:
        made = await post.server.register("ann@example.com")
        answers = [await change(post, made, current=f"guess number {number}") for number in range(6)]
        assert [answer.status for answer in answers] == [403] * 5 + [429]
        assert "RateLimit" in answers[0].headers


async def test_a_sign_in_under_way_opens_nothing_with_the_old_password(server: Server) -> None:
    await server.register("ann@example.com")
    compared, changed = threading.Event(), threading.Event()
    original = bcrypt.checkpw

    def slow(password: bytes, against: bytes) -> bool:
        matches = original(password, against)
        compared.set()
        return changed.wait(20) and matches

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", slow)
        login = asyncio.create_task(server.login("ann@example.com"))
        assert await asyncio.to_thread(compared.wait, 20)
        async with server.database.write() as tx:
            hashed = bcrypt.hashpw(NEW.encode(), bcrypt.gensalt(4)).decode()
            await tx.execute(update(users).values(password_hash=hashed))
        changed.set()
        assert (await login).code == "invalid_credentials"
    assert (await server.login("ann@example.com", NEW)).status == 200


async def test_neither_links_nor_passwords_are_stored_or_logged(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await post.server.register("ann@example.com")
    verify = await post.token("verify-email")
    await post.forgot("ann@example.com")
    reset = await post.token("reset-password")
    stored = ""
    async with post.server.database.read() as tx:
        for table in ("users", "one_time_tokens", "mails", "audit_log", "registrations"):
            stored += str([tuple(row) for row in await tx.execute(text(f"SELECT * FROM {table}"))])
        assert len(await tx.execute(select(one_time_tokens.c.hash))) == 2
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("api", "sync")))
    assert "went to" in own
    for secret in (verify, reset, PASSWORD):
        assert secret not in stored and secret not in own
    assert "ann@example.com" not in own
