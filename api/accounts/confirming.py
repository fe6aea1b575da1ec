"""The password once more, before what a stolen session must not be able to do.

Owns: the question and its limit. Refuses to know: what is confirmed by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.accounts.passwords import PasswordHasher
from api.errors import RateLimited, WrongPassword
from api.rate_limits import Limiter, Rule
from storage.accounts import find_user
from storage.database import Database
from sync.caller import Caller
from sync.errors import Unauthenticated

# Slips of the owner; for whoever found a phone open it is no way to the password.
BY_USER: Final = Rule("password-again", burst=5, interval_ms=60_000)


@dataclass(frozen=True)
class Confirmation:
    """Passwords of one database."""

    database: Database
    hasher: PasswordHasher
    limiter: Limiter

    async def check(self, caller: Caller, password: str) -> None:
        """Return where this is the caller's password.

        Raises:
            WrongPassword: it is not, or the account has none.
            RateLimited, Busy: later, please.
        """
        decision = await self.limiter.take(BY_USER, caller.user)
        if not decision.allowed:
            raise RateLimited(retry_after_s=decision.retry_after_s, headers=decision.headers())
        async with self.database.read() as tx:
            found = await find_user(tx, caller.user)
        if found is None:
            raise Unauthenticated
        if not await self.hasher.verify(password, found.password_hash or None):
            raise WrongPassword(headers=decision.headers())
        await self.limiter.give_back(BY_USER, caller.user)
