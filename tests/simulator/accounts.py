"""The accounts of one worker: who bears a token, signing in, and the rotation of tokens, by the product's own services.

Passwords are no part of this world: everybody knows their own, and to hash one takes longer than an hour of the rest.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from api.accounts.authenticator import Authenticated, Authenticator
from api.accounts.limits import Limits
from api.accounts.model import Issued, Origin, user_of
from api.accounts.sessions import Sessions
from api.accounts.tokens import AccessTokens
from api.rate_limits import NoLimiter, Rule
from api.secret_key import derive
from fitai_client.core.requests import Request
from storage import accounts
from storage.database import Database
from sync.bus import Bus
from sync.caller import Caller
from sync.environment import Environment

KEYS: Final = [derive("the secret of every world")]
# What rates are is no question here: a world's phones ask from as many addresses.
ORIGIN: Final = Origin("simulated")
FREELY: Final = Rule("none", burst=1, interval_ms=1)


def session_of(token: str) -> str:
    """The session that an access token of these worlds speaks for."""
    payload = token.split(".")[1]
    session: str = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sid"]
    return session


class Accounts:
    """One a process."""

    def __init__(self, database: Database, bus: Bus, environment: Environment) -> None:
        self._database = database
        self._limiter = NoLimiter()
        self._tokens = AccessTokens(KEYS, environment)
        self._authenticator = Authenticator(self._tokens, database, bus, environment)
        self._sessions = Sessions(
            database=database,
            bus=bus,
            environment=environment,
            access_tokens=self._tokens,
            keys=KEYS,
            limits=Limits(self._limiter),
        )
        self._calls: dict[str, Callable[[dict[str, Any], str], Awaitable[Issued | None]]] = {
            "/api/users/login": self._sign_in,
            "/api/auth/refresh": self._refresh,
            "/api/auth/logout": self._sign_out,
        }

    async def open(self, token: str) -> Authenticated:
        """Who bears this token. Raises as the product's."""
        return await self._authenticator.open(token)

    def issue(self, user: str, session: str) -> str:
        """An access token for a session that is there."""
        return self._tokens.issue(user=user, session=session, role="user", plan="free")

    async def answer(self, request: Request, token: str | None) -> bytes | None:
        """The body of the answer to a call of accounts; None for any other one."""
        call = self._calls.get(request.path)
        if call is None:
            return None
        issued = await call(json.loads(request.body or "{}"), token or "")
        return msgspec.json.encode({"success": True, "data": issued.shown() if issued is not None else {}})

    async def _sign_in(self, body: dict[str, Any], token: str) -> Issued:
        async with self._database.write() as tx:
            row = await accounts.find_login(tx, body["email"])
            assert row is not None
            opened = await self._sessions.open(tx, row.id, ORIGIN)
        await self._sessions.announce(row.id, opened.ended)
        return self._sessions.tokens(user_of(row), opened, await self._limiter.take(FREELY, ""))

    async def _refresh(self, body: dict[str, Any], token: str) -> Issued:
        return await self._sessions.refresh(body["refresh_token"], ORIGIN, token)

    async def _sign_out(self, body: dict[str, Any], token: str) -> None:
        caller: Caller = (await self.open(token)).caller
        await self._sessions.logout(caller, ORIGIN)
