"""Accounts, put together: what may happen to them, without HTTP. Each part has a file of its own.

Owns: which parts there are.
Refuses to know: requests and answers (routes.py), SQL (storage/).
"""

from __future__ import annotations

from collections.abc import Sequence

from api.accounts.confirming import Confirmation
from api.accounts.limits import Limits
from api.accounts.model import user_of
from api.accounts.parts import Parts
from api.accounts.passwords import PasswordHasher
from api.accounts.recovery import Recovery
from api.accounts.registration import SignUp
from api.accounts.sessions import Sessions
from api.accounts.shapes import User
from api.accounts.sign_in import SignIn
from api.accounts.tokens import AccessTokens
from api.accounts.verification import Verification
from api.mail.outbox import Outbox
from api.rate_limits import Limiter
from api.secret_key import Keys
from storage import accounts, audit_log, one_time_tokens
from storage.database import Database
from sync.bus import Bus
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import Unauthenticated

# An address, a user agent and a time are about a person; a year answers what an audit asks.
AUDIT_KEPT_MS = 365 * 86_400_000


class Accounts:
    """One a process."""

    def __init__(
        self,
        *,
        database: Database,
        bus: Bus,
        environment: Environment,
        hasher: PasswordHasher,
        access_tokens: AccessTokens,
        keys: Sequence[Keys],
        limiter: Limiter,
        outbox: Outbox,
        confirmed: bool = False,
    ) -> None:
        """confirmed: whether an account is made only once its address has answered."""
        limits = Limits(limiter)
        self.sessions = Sessions(
            database=database, bus=bus, environment=environment, access_tokens=access_tokens, keys=keys, limits=limits
        )
        self.parts = parts = Parts(database, environment, hasher, self.sessions, limits, outbox)
        self.sign_in = SignIn(parts)
        self.sign_up = SignUp(parts, confirmed=confirmed)
        self.confirmation = Confirmation(parts)
        self.recovery = Recovery(parts, self.confirmation)
        self.verification = Verification(parts)

    async def me(self, caller: Caller) -> User:
        """Return the caller's account."""
        async with self.parts.database.read() as tx:
            found = await accounts.find_user(tx, caller.user)
        if found is None:
            raise Unauthenticated
        return user_of(found)

    async def forget_old(self) -> int:
        """Let go what has expired: links, registrations that nobody confirmed, old lines of the audit log."""
        now = self.parts.environment.now_ms()
        async with self.parts.database.write() as tx:
            expired = await one_time_tokens.forget_expired(tx, now)
            return expired + await audit_log.forget_lines(tx, before=now - AUDIT_KEPT_MS)
