"""Signing in with an account elsewhere, against a real provider."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest
import pytest_asyncio
from sqlalchemy import select, update
from yarl import URL

from api.accounts.oidc.configuration import Provider as Configured
from api.accounts.oidc.fetching import Fetcher, FetchError, is_public
from storage.tables import identities, users
from tests.api.accounts.browser import PATH, Browser, browsing
from tests.api.accounts.conftest import URL as PUBLIC_URL
from tests.api.accounts.conftest import posting
from tests.api.audit_lines import newest_lines
from tests.api.harness import PASSWORD
from tests.services.oidc import CLIENT, SECRET, Provider, new_key, oidc_provider


@pytest_asyncio.fixture
async def browser(database_url: str) -> AsyncIterator[Browser]:
    async with browsing(database_url) as made:
        yield made


@pytest_asyncio.fixture
async def plain_browser(sqlite_url: str) -> AsyncIterator[Browser]:
    async with browsing(sqlite_url) as made:
        yield made


async def linked(browser: Browser) -> list[str]:
    """The users that identities open."""
    async with browser.post.server.database.read() as tx:
        return [row[0] for row in await tx.execute(select(identities.c.user_id))]


async def test_who_signs_in_for_the_first_time_gets_an_account(browser: Browser) -> None:
    answer = await browser.sign_in()
    assert answer.status == 200, answer.text
    user = answer.data["user"]
    assert (user["email"], user["name"], user["email_verified"]) == ("ann@example.com", "Ann", True)
    assert (await browser.post.server.me(answer.data["access_token"])).data == user
    assert (await browser.post.server.refresh(answer.data["refresh_token"])).status == 200
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


async def test_who_signs_in_again_gets_the_same_account_whatever_the_address_is_now(browser: Browser) -> None:
    first = (await browser.sign_in()).data["user"]
    browser.provider.claims |= {"email": "new@example.com", "email_verified": False}
    assert (await browser.sign_in()).data["user"]["id"] == first["id"]


async def test_an_account_without_a_password_is_opened_by_none(browser: Browser) -> None:
    await browser.sign_in()
    for password in ("", PASSWORD, "x" * 72):
        assert (await browser.post.server.login("ann@example.com", password)).code == "invalid_credentials"


async def test_an_account_without_a_password_gets_one_by_mail(plain_browser: Browser) -> None:
    await plain_browser.sign_in()
    await plain_browser.post.forgot("ann@example.com")
    assert (await plain_browser.post.reset(await plain_browser.post.token("reset-password"), PASSWORD)).status == 200
    assert (await plain_browser.post.server.login("ann@example.com")).status == 200


async def test_an_account_whose_address_is_proven_on_both_sides_is_linked_and_told(browser: Browser) -> None:
    made = await browser.post.server.register("Ann@Example.com")
    await browser.post.verify(await browser.post.token("verify-email"))
    answer = await browser.sign_in()
    assert answer.data["user"]["id"] == made["user"]["id"]
    assert await linked(browser) == [made["user"]["id"]]
    assert (await browser.post.newest())["Subject"] == "A new way to sign in to FitAI"
    assert (await browser.post.server.login("ann@example.com")).status == 200


async def test_an_account_that_somebody_made_in_advance_is_not_shared(browser: Browser) -> None:
    await browser.post.server.register("ann@example.com")
    answer = await browser.sign_in()
    assert (answer.status, answer.code) == (409, "address_unconfirmed")
    assert await linked(browser) == []


@pytest.mark.parametrize("said", [False, None, "false", 0, 1, "yes", [True]])
async def test_an_address_that_the_provider_does_not_vouch_for_opens_nothing(
    plain_browser: Browser, said: object
) -> None:
    await plain_browser.post.server.register("ann@example.com")
    await plain_browser.post.verify(await plain_browser.post.token("verify-email"))
    plain_browser.provider.claims["email_verified"] = said
    answer = await plain_browser.sign_in()
    assert (answer.status, answer.code) == (403, "address_unproven")
    assert await linked(plain_browser) == []


@pytest.mark.parametrize("email", [None, "", "ann", 7, ["ann@example.com"], "a@b.c\nBcc: x"])
async def test_what_is_no_address_makes_no_account(plain_browser: Browser, email: object) -> None:
    plain_browser.provider.claims["email"] = email
    assert (await plain_browser.sign_in()).code == "address_unproven"


async def test_a_closed_account_stays_closed(browser: Browser) -> None:
    await browser.sign_in()
    async with browser.post.server.database.write() as tx:
        await tx.execute(update(users).values(disabled_at=1))
    answer = await browser.sign_in()
    assert (answer.status, answer.code) == (403, "sign_in_denied")


async def test_parallel_first_sign_ins_make_one_account(browser: Browser) -> None:
    backs = []
    for _ in range(4):
        back = await browser.sign_in_there(await browser.begin())
        backs.append((back, browser.cookie))
    answers = await asyncio.gather(*(browser.come_back(back, cookie=cookie) for back, cookie in backs))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.data["user"]["id"] for answer in answers}) == 1
    assert len(await linked(browser)) == 1


async def test_who_refuses_is_not_signed_in(plain_browser: Browser) -> None:
    plain_browser.provider.refuses = True
    answer = await plain_browser.sign_in()
    assert (answer.status, answer.code) == (403, "sign_in_denied")


async def test_a_sign_in_ends_in_the_browser_where_it_began(plain_browser: Browser) -> None:
    """Else somebody could sign a stranger's browser in to their own account."""
    back = await plain_browser.sign_in_there(await plain_browser.begin())
    mine = plain_browser.cookie
    await plain_browser.begin()
    for cookie in ("", "x", plain_browser.cookie, mine[:-1] + ("A" if mine[-1] != "A" else "B"), "A" * 96):
        assert (await plain_browser.come_back(back, cookie=cookie)).code == "sign_in_expired"
    assert (await plain_browser.come_back(back.update_query(state="x"), cookie=mine)).code == "sign_in_expired"
    assert (await plain_browser.come_back(back.update_query(iss="https://evil"), cookie=mine)).code == "sign_in_expired"
    assert plain_browser.provider.calls.count("/token") == 0
    assert (await plain_browser.come_back(back, cookie=mine)).status == 200


async def test_a_code_is_good_once(plain_browser: Browser) -> None:
    back = await plain_browser.sign_in_there(await plain_browser.begin())
    assert (await plain_browser.come_back(back)).status == 200
    answer = await plain_browser.come_back(back)
    assert (answer.status, answer.code) == (502, "provider_failed")


async def test_a_sign_in_that_takes_too_long_begins_again(plain_browser: Browser) -> None:
    back = await plain_browser.sign_in_there(await plain_browser.begin())
    plain_browser.post.server.clock.advance(seconds=901)
    assert (await plain_browser.come_back(back)).code == "sign_in_expired"


async def test_a_cookie_for_one_provider_is_none_for_another(sqlite_url: str) -> None:
    async with oidc_provider(f"{PUBLIC_URL}{PATH}/callback") as provider:
        both = tuple(Configured(name, provider.url, CLIENT, SECRET) for name in ("example", "other"))
        async with posting(sqlite_url, oidc=both) as post:
            browser = Browser(post, provider)
            back = await browser.sign_in_there(await browser.begin())
            elsewhere = URL(str(back).replace("/example/", "/other/"))
            assert (await browser.come_back(elsewhere)).code == "sign_in_expired"


async def test_a_rotation_of_keys_loses_nobody_who_is_just_signing_in(sqlite_url: str) -> None:
    from tests.api.harness import SECRET as OLD
    from tests.api.test_sessions import NEWER_SECRET

    async with oidc_provider(f"{PUBLIC_URL}{PATH}/callback") as provider:
        oidc = (Configured("example", provider.url, CLIENT, SECRET),)
        async with posting(sqlite_url, oidc=oidc) as post:
            browser = Browser(post, provider)
            back = await browser.sign_in_there(await browser.begin())
        async with posting(sqlite_url, oidc=oidc, secret_key=f"{NEWER_SECRET},{OLD}") as post:
            again = Browser(post, provider, browser.cookie)
            assert (await again.come_back(back)).status == 200


async def test_an_unknown_provider_is_not_there(plain_browser: Browser) -> None:
    for path in ("/api/auth/oauth/nobody", "/api/auth/oauth/nobody/callback?state=x&code=y"):
        answer = await plain_browser.post.server.ask("GET", path)
        assert (answer.status, answer.code) == (404, "not_found")


# -- what an ID token has to be ------------------------------------------------------------------------------------


def none(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, algorithm="none", headers={"kid": "one"})


def in_the_clear(provider: Provider) -> Callable[[dict[str, Any]], str]:
    """HS256 with the public key for a secret."""

    def sign(claims: dict[str, Any]) -> str:
        def part(value: object) -> bytes:
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

        import hmac

        secret = json.dumps(provider.jwk("one")).encode()
        told = part({"alg": "HS256", "kid": "one"}) + b"." + part(claims)
        mark = base64.urlsafe_b64encode(hmac.digest(secret, told, "sha256")).rstrip(b"=")
        return (told + b"." + mark).decode()

    return sign


async def test_a_token_by_another_key_is_refused(plain_browser: Browser) -> None:
    provider = plain_browser.provider
    strange = new_key()
    ways: list[Callable[[dict[str, Any]], str]] = [
        lambda claims: jwt.encode(claims, strange, algorithm="RS256", headers={"kid": "one"}),
        lambda claims: jwt.encode(claims, strange, algorithm="RS256", headers={"kid": "unknown"}),
        lambda claims: jwt.encode(
            claims, strange, algorithm="RS256", headers={"kid": "x", "jku": f"{provider.url}/keys", "jwk": {}}
        ),
        none,
        in_the_clear(provider),
        lambda claims: provider.signed(claims)[:-6] + "AAAAAA",
        lambda claims: "a.b.c",
        lambda claims: "x" * 20_000,
        lambda claims: "",
    ]
    for sign in ways:
        provider.sign = sign
        answer = await plain_browser.sign_in()
        assert (answer.status, answer.code) == (502, "provider_failed")
    assert await linked(plain_browser) == []
    provider.sign = None
    assert (await plain_browser.sign_in()).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another"}, {"aud": None}, {"aud": []},
        {"aud": [CLIENT, "another"]}, {"azp": "another"}, {"nonce": "x"}, {"nonce": None}, {"nonce": 7},
        {"exp": 1_000_000_000}, {"exp": None}, {"exp": "soon"}, {"exp": True},
        {"iat": 4_000_000_000}, {"iat": None}, {"nbf": 4_000_000_000},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}, {"sub": "a\0b"},
    ],
)  # fmt: skip
async def test_a_token_with_a_wrong_claim_is_refused(plain_browser: Browser, wrong: dict[str, Any]) -> None:
    plain_browser.provider.claims |= wrong
    answer = await plain_browser.sign_in()
    assert (answer.status, answer.code) == (502, "provider_failed"), answer.text
    assert await linked(plain_browser) == []


async def test_a_key_that_is_new_is_asked_for(plain_browser: Browser) -> None:
    provider = plain_browser.provider
    assert (await plain_browser.sign_in()).status == 200
    provider.keys["two"] = new_key()
    provider.sign = lambda claims: provider.signed(claims, kid="two")
    # Not at once: else whoever invents keys makes the server call.
    assert (await plain_browser.sign_in()).code == "provider_failed"
    plain_browser.post.server.clock.advance(seconds=31)
    assert (await plain_browser.sign_in()).status == 200
    assert provider.calls.count("/keys") == 2


async def test_a_key_that_is_taken_away_is_taken_no_more_after_an_hour(plain_browser: Browser) -> None:
    provider = plain_browser.provider
    assert (await plain_browser.sign_in()).status == 200
    old, provider.keys = provider.keys["one"], {"two": new_key()}
    plain_browser.post.server.clock.advance(seconds=3_601)
    provider.sign = lambda claims: jwt.encode(claims, old, algorithm="RS256", headers={"kid": "one"})
    assert (await plain_browser.sign_in()).code == "provider_failed"
    provider.sign = lambda claims: provider.signed(claims, kid="two")
    assert (await plain_browser.sign_in()).status == 200


async def test_keys_and_description_are_kept_for_a_while(plain_browser: Browser) -> None:
    for _ in range(3):
        assert (await plain_browser.sign_in()).status == 200
    assert plain_browser.provider.calls.count("/keys") == 1
    assert plain_browser.provider.calls.count("/.well-known/openid-configuration") == 1


# -- where calls go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://evil.example"}, {"issuer": None}, {"token_endpoint": None}, {"jwks_uri": 7},
        {"token_endpoint": "http://127.0.0.1:1/token"}, {"jwks_uri": "https://169.254.169.254/latest"},
        {"jwks_uri": "https://[::1]/keys"}, {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": "gopher://x"},
        {"token_endpoint": "https://10.0.0.1/token"}, {"token_endpoint": "https://user@example.com/token"},
        {"authorization_endpoint": "javascript:alert(1)"}, {"authorization_endpoint": "http://evil.example/"},
    ],
)  # fmt: skip
async def test_a_description_leads_nowhere_but_to_the_issuer_and_public_addresses(
    plain_browser: Browser, described: dict[str, Any]
) -> None:
    plain_browser.provider.description = described
    answer = await plain_browser.post.server.ask("GET", PATH)
    assert (answer.status, answer.code) == (502, "provider_failed")
    assert plain_browser.provider.calls == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize("host", ["localhost", "0x7f000001", "2130706433", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"])
async def test_a_name_that_leads_into_the_private_net_reaches_nothing(host: str) -> None:
    fetcher = Fetcher("https://accounts.example.com")
    try:
        with pytest.raises(FetchError):
            await fetcher.get(f"https://{host}/keys")
    finally:
        await fetcher.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("::1", False),
        ("169.254.169.254", False), ("192.168.0.1", False), ("100.64.0.1", False), ("0.0.0.0", False), ("::", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False),
        ("224.0.0.1", False), ("::ffff:8.8.8.8", True),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_provider_that_is_not_there_is_told_as_that(sqlite_url: str) -> None:
    gone = Configured("example", "http://127.0.0.1:1", CLIENT, SECRET)
    async with posting(sqlite_url, oidc=(gone,)) as post:
        answer = await post.server.ask("GET", PATH)
    assert (answer.status, answer.code) == (502, "provider_failed")


async def test_sign_ins_are_on_record_without_tokens(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    answer = await browser.sign_in()
    browser.provider.claims |= {"sub": "eve", "email_verified": False}
    await browser.sign_in()
    async with browser.post.server.database.read() as tx:
        lines = (await newest_lines(tx))[::-1]
    assert [(line.event, line.details) for line in lines] == [
        ("registered", {"provider": "example"}),
        ("signed_in", {"by": "example"}),
        ("sign_in_refused", {"by": "example"}),
    ]
    own = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("api", "sync")))
    for secret in (answer.data["access_token"], SECRET, "code 0", browser.cookie, "ann@example.com"):
        assert secret not in own
