"""A browser that signs in with an account elsewhere: it goes where it is sent, over a real provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from yarl import URL

from api.accounts.oidc.configuration import Provider as Configured
from tests.api.accounts.conftest import URL as PUBLIC_URL
from tests.api.accounts.conftest import Post, posting
from tests.api.harness import Answer, Clock
from tests.services.oidc import CLIENT, SECRET, Provider, oidc_provider

PATH = "/api/auth/oauth/example"
COOKIE = "__Host-fitai_sign_in"


@dataclass
class Browser:
    """Goes where it is sent, and keeps the one cookie."""

    post: Post
    provider: Provider
    cookie: str = ""

    def __post_init__(self) -> None:
        # Server and provider go by one clock, so that no stall of the machine makes a token too old.
        self.provider.now = lambda: self.post.server.clock.ms / 1_000

    async def begin(self, **query: str) -> URL:
        """Begin at the server; return where it leads."""
        session = self.post.server.session
        async with session.get(self.post.server.url + PATH, params=query, allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            morsel = response.cookies[COOKIE]
            assert (morsel["httponly"], morsel["secure"], morsel["samesite"], morsel["path"]) == (
                True,
                True,
                "Lax",
                "/",
            )
            self.cookie = morsel.value
            return URL(response.headers["Location"], encoded=True)

    async def sign_in_there(self, at: URL) -> URL:
        """Sign in at the provider; return where it sends the browser back to."""
        async with self.post.server.session.get(at, allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            return URL(response.headers["Location"])

    async def come_back(self, to: URL, *, cookie: str | None = None) -> Answer:
        kept = self.cookie if cookie is None else cookie
        headers = {"Cookie": f"{COOKIE}={kept}"} if kept else {}
        return await self.post.server.ask("GET", str(URL(to).relative()), headers=headers)

    async def land(self, to: URL, **headers: str) -> URL:
        """Come back as a browser does; return the page where it lands."""
        sent = {"Cookie": f"{COOKIE}={self.cookie}", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8", **headers}
        at = self.post.server.url + str(URL(to).relative())
        async with self.post.server.session.get(at, headers=sent, allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            if COOKIE in response.cookies:
                self.cookie = response.cookies[COOKIE].value
            return URL(response.headers["Location"])

    async def exchange(self, code: str, **more: str) -> Answer:
        headers = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        return await self.post.server.ask("POST", f"{PATH}/exchange", {"code": code, **more}, headers=headers)

    async def sign_in(self) -> Answer:
        return await self.come_back(await self.sign_in_there(await self.begin()))


@asynccontextmanager
async def browsing(database_url: str, clock: Clock | None = None, **changes: Any) -> AsyncIterator[Browser]:
    async with oidc_provider(f"{PUBLIC_URL}{PATH}/callback") as provider:
        configured = Configured("example", provider.url, CLIENT, SECRET)
        async with posting(database_url, clock, oidc=(configured,), **changes) as post:
            yield Browser(post, provider)
