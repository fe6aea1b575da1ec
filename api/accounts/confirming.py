"""Proving once more who one is, before what a stolen session must not be able to do.

Owns: the question, its limit, and what counts as a proof.
Refuses to know: what is confirmed by it.

Invariants
    C1  An account with a password needs it. One without (it was made by signing in elsewhere) needs a session that was
        opened less than FRESH_MS ago: whoever has that has just proven to the provider who they are.
    C2  A refresh does not make a session fresh, so a token that was stolen later never is.
    C3  What counts against the limit is a proof that failed. Each is counted before it is looked at, and given back
        where it held, so parallel guesses cannot pass together; those of one account are looked at one after the
        other, so right ones do not stand in each other's way.
    C4  A session has guesses of its own, and an account twice as many for all of them: whoever has stolen one session
        cannot use up its owner's in another, and more sessions are no way to more guesses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from api.accounts.limits import PASSWORD_BY_ACCOUNT, PASSWORD_BY_SESSION, tighter
from api.accounts.model import Origin
from api.accounts.parts import Parts
from api.errors import Busy, FreshSignInNeeded, InvalidFields, RateLimited, WrongPassword
from api.rate_limits import Decision
from storage.accounts import UserRow, find_user
from storage.audit_log import Event
from storage.sessions import opened_at
from sync.audit_trail import note
from sync.caller import Caller
from sync.errors import Unauthenticated

# From the way back from the provider to the button.
FRESH_MS: Final = 600_000


@dataclass(frozen=True)
class Confirmed:
    """Who proved it, as the account stood then, and what the limits said."""

    user: UserRow
    decision: Decision


@dataclass(frozen=True)
class _Guess:
    """A proof that counts until it is known to hold: against its session, and against the account."""

    caller: Caller
    session: Decision
    account: Decision

    def headers(self) -> dict[str, str]:
        return tighter(self.session, self.account).headers()


@dataclass(frozen=True)
class Confirmation:
    """Proofs for the accounts of one database."""

    parts: Parts
    # Of accounts that are being proven right now (C3).
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary, repr=False)

    async def check(
        self, caller: Caller, password: str | None, origin: Origin, *, purpose: str, field: str = "password"
    ) -> Confirmed:
        """Return where the caller proved who they are (C1).

        purpose: what is confirmed, for the audit log; field: what the request calls the password.

        Raises:
            WrongPassword: this is not the password.
            InvalidFields: there is none, and the account has one.
            FreshSignInNeeded: the account has none, and the session is not fresh.
            RateLimited, Busy: later, please.
        """
        async with self._turns.setdefault(caller.user, asyncio.Lock()):
            return await self._check(caller, password, origin, purpose, field)

    async def _check(self, caller: Caller, password: str | None, origin: Origin, purpose: str, field: str) -> Confirmed:
        parts = self.parts
        async with parts.database.read() as tx:
            user = await find_user(tx, caller.user)
            opened = await opened_at(tx, session=caller.session, user=caller.user)
        if user is None or opened is None:
            raise Unauthenticated
        if user.password_hash and password is None:
            raise InvalidFields(fields=[{"field": field, "code": "required", "message": f"{field} is required"}])
        guess = await self._take(caller)
        refusal: FreshSignInNeeded | WrongPassword | None = None
        if not user.password_hash:
            if not 0 <= parts.environment.now_ms() - opened < FRESH_MS:
                refusal = FreshSignInNeeded(headers=guess.headers())
        elif not await self._verify(password or "", user.password_hash, guess):
            refusal = WrongPassword(headers=guess.headers())
        if refusal is not None:
            async with parts.database.write() as tx:
                await note(
                    tx,
                    parts.environment,
                    Event.SIGN_IN_REFUSED,
                    user=caller.user,
                    session=caller.session,
                    address=origin.address,
                    by=purpose,
                )
            raise refusal
        return Confirmed(user, await self._give_back(guess))

    async def _take(self, caller: Caller) -> _Guess:
        """Count a guess. Raises RateLimited."""
        limits = self.parts.limits
        session = await limits.take(PASSWORD_BY_SESSION, caller.session)
        try:
            account = await limits.take(PASSWORD_BY_ACCOUNT, caller.user)
        except RateLimited:
            await limits.give_back(session, caller.session)
            raise
        return _Guess(caller, session, account)

    async def _give_back(self, guess: _Guess) -> Decision:
        """It was none; what the limits say then."""
        limits = self.parts.limits
        session = await limits.give_back(guess.session, guess.caller.session)
        return tighter(session, await limits.give_back(guess.account, guess.caller.user))

    async def _verify(self, password: str, hashed: str, guess: _Guess) -> bool:
        try:
            return await self.parts.hasher.verify(password, hashed)
        except Busy:
            await self._give_back(guess)
            raise
