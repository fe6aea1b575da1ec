"""Addresses that are proven, and accounts that begin with that."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import bcrypt
import pytest
from sqlalchemy import select, update

from api.app import ACCOUNTS
from fitai_client import AccountError, Client
from storage.tables import members, registrations, users
from tests.api.accounts.conftest import URL, Post, posting
from tests.api.accounts.test_recovery import apart_from_meta
from tests.api.harness import PASSWORD, Answer, running, settings_for
from tests.services.smtp import html_of, text_of

OTHER = "another way to lift"


async def verified(post: Post, email: str = "ann@example.com") -> bool:
    return bool((await post.server.login(email)).data["user"]["email_verified"])


async def register(post: Post, email: str = "ann@example.com", password: str = PASSWORD, name: str = "Ann") -> Answer:
    return await post.ask("register", {"email": email, "password": password, "name": name})


async def test_a_new_account_gets_a_mail_whose_link_proves_its_address(post: Post) -> None:
    made = await post.server.register("Ann@example.com")
    assert made["user"]["email_verified"] is False
    token = await post.token("verify-email")
    assert (await post.newest())["To"] == "Ann@example.com"
    answer = await post.verify(token)
    assert answer.status == 200 and answer.data == {"email": "Ann@example.com"}
    assert await verified(post)
    assert (await post.verify(token)).code == "invalid_link"


async def test_a_registration_that_fails_sends_nothing(post: Post) -> None:
    await post.server.register("ann@example.com")
    assert (await register(post)).status == 409
    assert len(await post.sent()) == 1


async def test_another_link_can_be_asked_for_and_the_first_is_then_no_good(post: Post) -> None:
    await post.server.register("ann@example.com")
    first = await post.token("verify-email")
    assert (await post.ask("resend-verification", {"email": "ann@example.com"})).status == 202
    second = await post.token("verify-email")
    assert (await post.verify(first)).code == "invalid_link"
    assert (await post.verify(second)).status == 200


async def test_who_is_proven_gets_no_more_links(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    await plain_post.verify(await plain_post.token("verify-email"))
    assert (await plain_post.ask("resend-verification", {"email": "ann@example.com"})).status == 202
    assert len(await plain_post.sent()) == 1


async def test_a_link_expires_after_three_days(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    token = await plain_post.token("verify-email")
    plain_post.server.clock.advance(days=3.01)
    assert (await plain_post.verify(token)).code == "invalid_link"


async def test_a_link_proves_the_address_that_it_was_sent_to(plain_post: Post) -> None:
    await plain_post.server.register("ann@example.com")
    token = await plain_post.token("verify-email")
    async with plain_post.server.database.write() as tx:
        await tx.execute(update(users).values(email="eve@example.com", email_key="eve@example.com"))
    assert (await plain_post.verify(token)).code == "invalid_link"


async def test_a_name_is_no_markup_in_a_mail(plain_post: Post) -> None:
    name = "<img src=x onerror=alert(1)>"
    await register(plain_post, name=name)
    mail = await plain_post.newest()
    assert name in text_of(mail)
    assert name not in html_of(mail) and "&lt;img src=x" in html_of(mail)


async def test_without_a_mail_server_a_mail_is_a_file_and_the_log_says_where(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    database = Path(sqlite_url.partition(":///")[2])
    async with running(settings_for(sqlite_url)) as server:
        await server.register("ann@example.com")
    (mail,) = database.with_name("fitai.db.mails").glob("*.eml")
    assert str(mail) in caplog.text and "FITAI_SMTP_URL is not set" in caplog.text


@pytest.mark.parametrize(("public_url", "way", "other"), [(URL, "link", "code"), (None, "code", "link")])
async def test_a_mail_speaks_of_what_it_holds_and_says_how_long_that_is_good(
    sqlite_url: str, public_url: str | None, way: str, other: str
) -> None:
    """A link, or, of a server that was not told its address, a code; only the newest one is good."""
    texts = []
    async with posting(sqlite_url, public_url=public_url) as post:
        await post.server.register("ann@example.com")
        await post.forgot("ann@example.com")
        texts += [text_of(each) for each in await post.sent()]
    async with posting(sqlite_url, public_url=public_url, registration="confirmed") as post:
        await register(post, "bob@example.com")
        texts += [text_of(each) for each in await post.sent()]
    assert len(texts) == 3
    for text, span in zip(texts, ("three days", "one hour", "three days"), strict=True):
        assert f"The {way} is good for {span}, or until you ask for another one." in text
        assert re.search(rf"\b{other}\b", text) is None


# -- where registrations are confirmed -----------------------------------------------------------------------------


async def test_a_confirmed_registration_makes_an_account_by_its_link(database_url: str) -> None:
    async with posting(database_url, registration="confirmed") as post:
        answer = await register(post)
        assert answer.status == 202 and answer.data == {"accepted": True}
        assert (await post.server.login("ann@example.com")).code == "invalid_credentials"
        token = await post.token("verify-email")
        assert (await post.verify(token)).data == {"email": "ann@example.com"}
        assert await verified(post)
        assert (await post.verify(token)).code == "invalid_link"
        async with post.server.database.read() as tx:
            assert len(await tx.execute(select(members.c.space_id))) == 1
            assert await tx.execute(select(registrations.c.id)) == []


@pytest.mark.parametrize(
    ("smtp_url", "registration", "confirmed"),
    [
        ("smtp://127.0.0.1:25", None, True),
        (None, None, False),
        ("smtp://127.0.0.1:25", "open", False),
        (None, "confirmed", True),
    ],
)
def test_registrations_are_confirmed_where_mail_is_sent(
    smtp_url: str | None, registration: str | None, confirmed: bool
) -> None:
    made = settings_for(
        "sqlite+aiosqlite:///x.db", smtp_url=smtp_url, mail_from="fitai@example.com", registration=registration
    )
    assert made.confirms_registrations is confirmed


async def test_a_confirmed_registration_is_answered_alike_for_every_address(database_url: str) -> None:
    async with posting(database_url, registration="confirmed", rate_limits=True) as post:
        await register(post)
        await post.verify(await post.token("verify-email"))
        post.server.clock.advance(days=1)
        hashed = []
        original = bcrypt.hashpw

        def counting(password: bytes, salt: bytes) -> bytes:
            hashed.append(password)
            return original(password, salt)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bcrypt, "hashpw", counting)
            answers = [await register(post, email, OTHER) for email in ("ann@example.com", "bob@example.com")]
        assert len({str(apart_from_meta(answer)) for answer in answers}) == 1
        assert answers[0].status == 202 and "RateLimit" in answers[0].headers
        assert len(hashed) == 2
        ann, bob = (await post.sent())[1:]
        assert (ann["To"], ann["Subject"]) == ("ann@example.com", "You have a FitAI account already")
        assert "/account#" not in text_of(ann)
        assert (bob["To"], bob["Subject"]) == ("bob@example.com", "Finish signing up for FitAI")
        # Nothing of the second registration got into the account.
        assert (await post.server.login("ann@example.com")).status == 200
        assert (await post.server.login("ann@example.com", OTHER)).status == 401


async def test_a_link_confirms_the_registration_that_caused_its_mail(database_url: str) -> None:
    async with posting(database_url, registration="confirmed") as post:
        await register(post)
        mine = await post.token("verify-email")
        await register(post, password=OTHER, name="Eve")
        theirs = await post.token("verify-email")
        assert (await post.verify(mine)).status == 200
        assert (await post.server.login("ann@example.com")).data["user"]["name"] == "Ann"
        assert (await post.verify(theirs)).code == "email_unavailable"
        assert (await post.server.login("ann@example.com", OTHER)).status == 401


async def test_two_links_of_one_address_make_one_account(database_url: str) -> None:
    async with posting(database_url, registration="confirmed") as post:
        tokens = []
        for _ in range(2):
            await register(post)
            tokens.append(await post.token("verify-email"))
        answers = await asyncio.gather(*(post.verify(token) for token in tokens))
        assert sorted(answer.status for answer in answers) == [200, 409]
        async with post.server.database.read() as tx:
            assert len(await tx.execute(select(users.c.id))) == 1


async def test_a_confirmed_registration_can_get_another_link(sqlite_url: str) -> None:
    async with posting(sqlite_url, registration="confirmed") as post:
        await register(post)
        first = await post.token("verify-email")
        await post.ask("resend-verification", {"email": "ann@example.com"})
        second = await post.token("verify-email")
        assert (await post.verify(first)).code == "invalid_link"
        assert (await post.verify(second)).status == 200


async def test_a_device_says_that_a_mail_is_on_its_way_and_signs_in_after_it(sqlite_url: str, tmp_path: Path) -> None:
    async with (
        posting(sqlite_url, registration="confirmed") as post,
        await Client.open(tmp_path / "phone.db", server=post.server.url) as phone,
    ):
        with pytest.raises(AccountError) as caught:
            await phone.register("ann@example.com", PASSWORD, "Ann")
        assert caught.value.code == "confirmation_needed"
        await post.verify(await post.token("verify-email"))
        await phone.sign_in("ann@example.com", PASSWORD)
        assert phone.identity is not None and phone.identity.email == "ann@example.com"


async def test_what_has_expired_is_forgotten(database_url: str) -> None:
    async with posting(database_url, registration="confirmed") as post:
        await register(post)
        await post.sent()
        accounts = post.server.app[ACCOUNTS]
        assert await accounts.forget_old() == 0
        post.server.clock.advance(days=3.01)
        assert await accounts.forget_old() == 1


async def test_the_mode_of_registration_is_described(sqlite_url: str) -> None:
    async with posting(sqlite_url, registration="confirmed") as post:
        described = (await post.server.ask("GET", "/api/openapi.json")).json
        responses = described["paths"]["/api/users/register"]["post"]["responses"]
        assert "202" in responses and "201" not in responses and "409" not in responses
