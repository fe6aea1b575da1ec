"""The account this database belongs to, and its tokens.

Owns: signing up, in and out, and a valid access token whenever there can be one. Tokens are kept in the local
database, whose file is the user's alone, and appear in no log and no error.

Invariants
    A1  One database belongs to one account: after the first sign-in no other may use it.
    A2  A refresh token is spent by one caller at a time, and the pair it brings is stored before it is used.
    A3  Where the account was deleted nothing here is: what is unsent can be exported until the user wipes it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from .core.database import LocalDatabase
from .core.refusals import ERASED
from .core.requests import Answer, Request
from .errors import AccountError, ServerRefused, Unreachable
from .transport import HttpTransport

__all__ = ["Account", "Identity"]

T = TypeVar("T")

# An access token is renewed this long before it ends, so that no request is sent to be refused.
RENEW_BEFORE_MS = 60_000
# How long closing waits for tokens that were asked for: a server that is there has answered long before.
STOP_S = 5.0
# A century: what lasts longer is a mistake.
TOKEN_S_MAX = 100 * 366 * 86_400


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose database this is."""

    user: str
    email: str
    name: str


class Account:
    """`run` calls a function in the thread of the database."""

    def __init__(
        self,
        db: LocalDatabase,
        transport: HttpTransport,
        run: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self._db = db
        self._transport = transport
        self._run = run
        self._lock = asyncio.Lock()
        self._renewals: set[asyncio.Task[str | None]] = set()
        with db.write() as tx:
            identity, tokens = tx.meta("identity"), tx.meta("tokens")
            self.erased = tx.meta("erased") is not None
            # Here, where a flipped bit in one of them is told as a damaged file.
            self.identity = Identity(**json.loads(identity)) if identity else None
            self._tokens: dict[str, Any] | None = json.loads(tokens) if tokens else None

    @property
    def signed_in(self) -> bool:
        return self._tokens is not None

    async def register(self, email: str, password: str, name: str) -> None:
        """Make the account and take its tokens.

        Raises:
            AccountError: `other_account`: this database belongs to somebody else. `account_erased`: to an account that
                was deleted. `confirmation_needed`: a mail went to the address; its link makes the account, and then it
                is signed in to.
            ServerRefused, Unreachable: as the server has it.
        """
        self._check_owner(email)
        body = {"email": email, "password": password, "name": name}
        answer = await self._call("/api/users/register", body)
        if answer.get("accepted") is True:
            raise AccountError(f"A mail went to {email}: open its link, then sign in.", code="confirmation_needed")
        await self._take(answer, email)
        await self._run(self._made_here)

    async def sign_in(self, email: str, password: str) -> None:
        """Take tokens for an account that exists. Raises as `register`, and `invalid_credentials`."""
        self._check_owner(email)
        await self._take(await self._call("/api/users/login", {"email": email, "password": password}), email)

    async def sign_in_by_code(self, provider: str, code: str, verifier: str) -> None:
        """Take tokens for the code that a browser brought back. Raises as `sign_in`, and ServerRefused."""
        self._check_erased()
        path = f"/api/auth/oauth/{quote(provider, safe='')}/exchange"
        answer = await self._call(path, {"code": code, "code_verifier": verifier})
        try:
            await self._take(answer, "")
        except AccountError:
            # Whose it is shows only now; a session that nobody uses is not left open.
            with suppress(Unreachable):
                logout = Request("spaces", "POST", "/api/auth/logout", body="{}")
                await self._transport.send(logout, str(answer.get("access_token")))
            raise

    async def sign_out(self) -> None:
        """End the session, on the server too where it can be reached, and forget the tokens."""
        # Unreachable: the session ends by itself, and the device no longer has its tokens.
        with suppress(Unreachable, ServerRefused):
            token = await self.token()
            if token is not None:
                await self._transport.send(Request("spaces", "POST", "/api/auth/logout", body="{}"), token)
        # Behind a renewal that is under way: what that brings would be stored after it.
        async with self._lock:
            await self._store(None)

    async def token(self, *, spent: str | None = None) -> str | None:
        """A valid access token, renewed where it is about to end, or where it is `spent`: one that was refused.

        None where there is no session any more: somebody has to sign in.

        Raises:
            Unreachable, ServerRefused: a renewal is due and cannot be had now.
        """
        if not self._lock.locked() and (access := self._good(spent)) is not None:
            return access
        # To its end, whoever stops waiting for it: a refresh token whose successor is lost ends the session.
        renewal = asyncio.create_task(self._renewed(spent), name="fitai-token")
        self._renewals.add(renewal)
        renewal.add_done_callback(self._renewals.discard)
        renewal.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(renewal)

    async def stop(self) -> None:
        """Wait for a renewal that is under way, for a while."""
        if self._renewals:
            await asyncio.wait(self._renewals, timeout=STOP_S)

    async def _renewed(self, spent: str | None) -> str | None:
        async with self._lock:
            if (access := self._good(spent)) is not None:
                return access
            # Another process of this device may have renewed them: one that is spent twice ends the session.
            self._tokens = await self._run(self._stored)
            if self._tokens is None or (access := self._good(spent)) is not None:
                return access
            body = json.dumps({"refresh_token": self._tokens["refresh"]})
            # The old token, ended or not, says whose device asks, should there be no account any more.
            renewal = Request("spaces", "POST", "/api/auth/refresh", body=body)
            answer = await self._transport.send(renewal, self._tokens["access"])
            if answer.is_of_erased:
                await self.lose()
                return None
            if answer.status in (400, 401, 403):
                await self._store(None)
                return None
            await self._keep(_data(answer))
            return str(self._tokens["access"])

    async def lose(self) -> None:
        """The server says that the account was deleted: there is nothing to sign in to any more (A3)."""
        self.erased = True
        await self._run(self._note_erased)
        await self._store(None)

    def not_signed_in(self) -> AccountError:
        """Why nothing can be had from the server."""
        if self.erased:
            return AccountError(ERASED, code="account_erased")
        return AccountError("Nobody is signed in: register or sign in first.")

    def _note_erased(self) -> None:
        with self._db.write() as tx:
            tx.set_meta("erased", "1")

    def _good(self, spent: str | None) -> str | None:
        """The access token, where it is not `spent` and does not end soon."""
        if self._tokens is None or self._tokens["access"] == spent:
            return None
        ends_soon = self._db.environment.now_ms() >= self._tokens["ends_ms"] - RENEW_BEFORE_MS
        return None if ends_soon else str(self._tokens["access"])

    def _stored(self) -> dict[str, Any] | None:
        with self._db.write() as tx:
            tokens = tx.meta("tokens")
        found: dict[str, Any] | None = json.loads(tokens) if tokens else None
        return found

    @property
    def token_ends_ms(self) -> int:
        """When the access token ends, by this device's clock; 0 without one."""
        return int(self._tokens["ends_ms"]) if self._tokens else 0

    def _check_owner(self, email: str) -> None:
        self._check_erased()
        if self.identity is not None and self.identity.email.casefold() != email.strip().casefold():
            raise AccountError(
                f"This database belongs to {self.identity.email}: open another file for another account.",
                code="other_account",
            )

    def _check_erased(self) -> None:
        if self.erased:
            raise AccountError(f"{ERASED} For another account open another file.", code="account_erased")

    async def _call(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        return _data(await self._transport.send(Request("spaces", "POST", path, body=json.dumps(body))))

    async def _take(self, data: dict[str, Any], email: str) -> None:
        identity = _identity(data.get("user"), email)
        if self.identity is not None and identity.user != self.identity.user:
            raise _other_account()
        before, self.identity = self.identity, identity
        try:
            # Behind a renewal that is under way: where that is refused it forgets the tokens, and not these.
            async with self._lock:
                await self._keep(data)
        except BaseException:
            # Nothing of it was stored: the next one to sign in is held against who it belonged to before.
            self.identity = before
            raise

    async def _keep(self, data: dict[str, Any]) -> None:
        access, refresh, lasts_s = (data.get(name) for name in ("access_token", "refresh_token", "expires_in"))
        if not isinstance(lasts_s, int | float) or not 0 <= lasts_s <= TOKEN_S_MAX:
            lasts_s = None
        # One that no header can carry would fail every request from then on.
        if not (_is_token(access) and _is_token(refresh)) or lasts_s is None:
            raise Unreachable("The answer has no tokens that are understood: is this a FitAI server?")
        ends_ms = self._db.environment.now_ms() + int(lasts_s * 1000)
        await self._store({"access": access, "refresh": refresh, "ends_ms": ends_ms})

    def _made_here(self) -> None:
        """The account is this device's own making: at first the server has nothing that is not here."""
        with self._db.write() as tx:
            tx.set_meta("made_here", "1")

    async def _store(self, tokens: dict[str, Any] | None) -> None:
        identity = self.identity

        def write() -> None:
            # Durable: a refresh token that was spent and whose successor is lost ends the session.
            with self._db.write(durable=True) as tx:
                if identity is not None:
                    # Another process of this device may have signed in since this one opened the file (A1).
                    known = json.loads(tx.meta("identity") or "{}")
                    if known.get("user", identity.user) != identity.user:
                        raise _other_account()
                    tx.set_meta(
                        "identity",
                        json.dumps({"user": identity.user, "email": identity.email, "name": identity.name}),
                    )
                tx.set_meta("tokens", json.dumps(tokens) if tokens else None)

        await self._run(write)
        self._tokens = tokens


def _other_account() -> AccountError:
    return AccountError("This database belongs to another account: open another file.", code="other_account")


def _is_token(token: Any) -> bool:
    return isinstance(token, str) and token.isascii() and token.isprintable() and token.strip() == token != ""


def _identity(user: Any, email: str) -> Identity:
    """Whose tokens came. What is stored of it decides who may sign in here from then on: it is never made up (A1)."""
    found = user if isinstance(user, dict) else {}
    id, named, name = found.get("id"), found.get("email", email), found.get("name", "")
    if not (isinstance(id, str) and id and isinstance(named, str) and named):
        raise Unreachable("The answer does not say whose the account is: is this a FitAI server?")
    return Identity(id, named, name if isinstance(name, str) else "")


def _data(answer: Answer) -> dict[str, Any]:
    """The `data` of the REST envelope."""
    body = answer.json()
    if answer.status in (200, 201, 202):
        data = body.get("data")
        if not isinstance(data, dict):
            raise Unreachable("The answer has no data: is this a FitAI server?")
        return data
    code, message = (
        str(body.get("code") or "refused"),
        str(body.get("error") or f"The server answered {answer.status}."),
    )
    if answer.status == 401 or answer.is_of_erased:
        raise AccountError(message, code=code)
    raise ServerRefused(message, code=code, status=answer.status, details=body.get("details"))
