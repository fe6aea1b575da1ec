"""Where a browser lands after a sign-in elsewhere: on a page, with a code that nobody else can use."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import pytest_asyncio

from api.accounts.oidc.configuration import is_return_url
from api.accounts.oidc.signing_in import CODE_MS
from api.accounts.page import PATH as PAGE
from api.settings import SettingsError
from fitai_client import AccountError, Client, ServerRefused
from storage.tables import one_time_tokens, sessions
from tests.api.accounts.browser import PATH, Browser, browsing
from tests.api.accounts.conftest import URL as PUBLIC_URL
from tests.api.audit_lines import newest_lines
from tests.api.harness import settings_for
from tests.services.oidc import new_key

APP = "https://app.example.com/signed-in?tab=me"
VERIFIER = "a verifier of the app, of 43 characters or more"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest_asyncio.fixture
async def browser(database_url: str) -> AsyncIterator[Browser]:
    async with browsing(database_url, return_urls=(APP,)) as made:
        yield made


@pytest_asyncio.fixture
async def plain_browser(sqlite_url: str) -> AsyncIterator[Browser]:
    async with browsing(sqlite_url, return_urls=(APP,)) as made:
        yield made


async def land(browser: Browser, **query: str) -> str:
    """Sign in; the fragment of the page where the browser lands."""
    at = await browser.land(await browser.sign_in_there(await browser.begin(**query)))
    assert str(at.with_fragment(None)) == (query.get("return_to") or f"{PUBLIC_URL}{PAGE}")
    return at.fragment


async def app_code(browser: Browser) -> str:
    told = parse_qs(await land(browser, return_to=APP, code_challenge=CHALLENGE))
    assert told["provider"] == ["example"]
    return told["code"][0]


async def test_a_browser_lands_on_the_servers_page_with_a_code_and_no_token(browser: Browser) -> None:
    what, _, told = (await land(browser)).partition("=")
    provider, _, code = told.partition(".")
    assert (what, provider) == ("sign-in", "example")
    answer = await browser.exchange(code)
    assert answer.status == 200, answer.text
    assert (await browser.post.server.me(answer.data["access_token"])).data["email"] == "ann@example.com"
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


async def test_a_browser_lands_where_the_app_said_and_the_app_gets_the_tokens(browser: Browser) -> None:
    code = await app_code(browser)
    browser.cookie = ""
    answer = await browser.exchange(code, code_verifier=VERIFIER)
    assert answer.status == 200, answer.text
    assert answer.data["user"]["email"] == "ann@example.com"


async def test_a_device_signs_in_by_the_code_and_by_no_code_of_another_account(
    plain_browser: Browser, tmp_path: Path
) -> None:
    server, provider = plain_browser.post.server, plain_browser.provider
    async with await Client.open(tmp_path / "phone.db", server=server.url, background=False) as phone:
        await phone.workouts.create(title="before there was an account")
        status = await phone.sign_in_by_code("example", await app_code(plain_browser), VERIFIER)
        assert (status.account, status.pending) == ("ann@example.com", 0)
        with pytest.raises(ServerRefused) as refused:
            await phone.sign_in_by_code("example", "x" * 43, VERIFIER)
        assert refused.value.code == "sign_in_expired"
        provider.claims |= {"sub": "bob-1", "email": "bob@example.com", "name": "Bob"}
        with pytest.raises(AccountError) as other:
            await phone.sign_in_by_code("example", await app_code(plain_browser), VERIFIER)
        assert other.value.code == "other_account"
        assert (await phone.sync()).account == "ann@example.com"
    async with server.database.read() as tx:
        open_ones = await tx.execute(sessions.select().where(sessions.c.revoked_at.is_(None)))
    assert len(open_ones) == 1


async def test_there_is_no_session_before_the_code_is_exchanged(browser: Browser) -> None:
    code = await app_code(browser)
    async with browser.post.server.database.read() as tx:
        assert not await tx.execute(sessions.select())
    await browser.exchange(code, code_verifier=VERIFIER)
    async with browser.post.server.database.read() as tx:
        lines = await newest_lines(tx)
    assert [line.event for line in lines] == ["signed_in", "registered"]
    assert lines[0].details == {"by": "example"}


async def test_a_code_is_good_once(browser: Browser) -> None:
    code = await app_code(browser)
    assert (await browser.exchange(code, code_verifier=VERIFIER)).status == 200
    again = await browser.exchange(code, code_verifier=VERIFIER)
    assert (again.status, again.code) == (400, "sign_in_expired")


async def test_a_code_lasts_two_minutes(plain_browser: Browser) -> None:
    code = await app_code(plain_browser)
    plain_browser.post.server.clock.advance(seconds=CODE_MS / 1_000)
    assert (await plain_browser.exchange(code, code_verifier=VERIFIER)).code == "sign_in_expired"


@pytest.mark.parametrize("verifier", [None, "", VERIFIER[:-1], CHALLENGE])
async def test_a_code_is_worth_nothing_without_the_verifier_of_its_challenge(
    plain_browser: Browser, verifier: str | None
) -> None:
    code = await app_code(plain_browser)
    more = {} if verifier is None else {"code_verifier": verifier}
    assert (await plain_browser.exchange(code, **more)).code == "sign_in_expired"
    # Whoever guesses takes it from nobody.
    assert (await plain_browser.exchange(code, code_verifier=VERIFIER)).status == 200


async def test_a_code_of_the_servers_page_is_for_the_browser_that_began(plain_browser: Browser) -> None:
    code = (await land(plain_browser)).partition(".")[2]
    kept, plain_browser.cookie = plain_browser.cookie, ""
    assert (await plain_browser.exchange(code)).code == "sign_in_expired"
    await plain_browser.begin()
    assert (await plain_browser.exchange(code)).code == "sign_in_expired"
    plain_browser.cookie = kept
    assert (await plain_browser.exchange(code)).status == 200


@pytest.mark.parametrize(
    ("return_to", "challenge", "wrong"),
    [
        ("https://app.example.com/signed-in", CHALLENGE, ["return_to"]),
        (APP + "&x=1", CHALLENGE, ["return_to"]),
        ("https://evil.example.com/", CHALLENGE, ["return_to"]),
        (f"{PUBLIC_URL}{PAGE}", CHALLENGE, ["return_to"]),
        ("javascript:alert(1)", CHALLENGE, ["return_to"]),
        (APP, None, ["code_challenge"]),
        (APP, "short", ["code_challenge"]),
        (None, CHALLENGE, ["return_to"]),
        ("//evil.example.com", None, ["return_to", "code_challenge"]),
    ],
)
async def test_a_browser_is_sent_to_no_other_address(
    plain_browser: Browser, return_to: str | None, challenge: str | None, wrong: list[str]
) -> None:
    query = {"return_to": return_to, "code_challenge": challenge}
    params = {name: value for name, value in query.items() if value is not None}
    server = plain_browser.post.server
    async with server.session.get(server.url + PATH, params=params, allow_redirects=False) as response:
        assert response.status == 422
        assert [each["field"] for each in (await response.json())["details"]] == wrong


async def test_what_goes_wrong_is_told_on_the_page_where_the_browser_lands(plain_browser: Browser) -> None:
    plain_browser.provider.refuses = True
    assert await land(plain_browser) == "sign-in-error=sign_in_denied"
    told = parse_qs(await land(plain_browser, return_to=APP, code_challenge=CHALLENGE))
    assert told == {"provider": ["example"], "error": ["sign_in_denied"]}
    plain_browser.provider.refuses = False
    back = await plain_browser.sign_in_there(await plain_browser.begin())
    plain_browser.cookie = ""
    assert (await plain_browser.land(back)).fragment == "sign-in-error=sign_in_expired"
    plain_browser.provider.keys = {"one": new_key()}
    plain_browser.provider.sign = lambda claims: "x"
    assert await land(plain_browser) == "sign-in-error=provider_failed"


async def test_a_cookie_that_was_changed_leads_nowhere_else(plain_browser: Browser) -> None:
    back = await plain_browser.sign_in_there(await plain_browser.begin(return_to=APP, code_challenge=CHALLENGE))
    data = bytearray(base64.urlsafe_b64decode(plain_browser.cookie + "=" * (-len(plain_browser.cookie) % 4)))
    place = data.index(b"app.example")
    data[place : place + 3] = b"spy"
    plain_browser.cookie = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    at = await plain_browser.land(back)
    assert str(at) == f"{PUBLIC_URL}{PAGE}#sign-in-error=sign_in_expired"


async def test_neither_codes_nor_tokens_are_stored_or_logged(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    code = await app_code(browser)
    async with browser.post.server.database.read() as tx:
        stored = repr(await tx.execute(one_time_tokens.select()))
    assert "sign_in" in stored and code not in stored
    made = (await browser.exchange(code, code_verifier=VERIFIER)).data
    for secret in (code, made["access_token"], made["refresh_token"]):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://app.example.com/", True),
        ("http://127.0.0.1:3000/in", True),
        ("http://localhost/in", True),
        ("com.example.app:/signed-in", True),
        ("http://app.example.com/", False),
        ("https://app.example.com/#x", False),
        ("https://ann@app.example.com/", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("myapp:/signed-in", False),
        ("com.example.app://host/x", False),
        ("//app.example.com/", False),
        ("https://app.example.com/\r\nX: y", False),
        ("", False),
    ],
)
def test_which_addresses_a_code_may_be_sent_to(url: str, good: bool) -> None:
    assert is_return_url(url) is good


def test_another_address_stops_the_start() -> None:
    with pytest.raises(SettingsError, match="FITAI_RETURN_URLS"):
        settings_for("sqlite+aiosqlite:///x.db", return_urls=("http://app.example.com/",))
