"""How often somebody may try what accounts can be attacked by.

Owns: the rules, and the memory of where an account's owner was seen.
Refuses to know: the arithmetic and the stores (api/rate_limits.py).

Invariants
    S6  Who guesses is slowed down by account and by address; the owner, on an address where they signed in
        before, has a bucket of their own, so nobody can lock them out from elsewhere.
    S7  What counts against an account counts alike for one that is not there: the headers tell nothing.
"""

from __future__ import annotations

import logging
from typing import Final

from api.errors import RateLimited
from api.rate_limits import Decision, Limiter, Rule

log = logging.getLogger(__name__)

DAY_MS: Final = 86_400_000
KNOWN_ADDRESS_MS: Final = 30 * DAY_MS

# A family or a gym behind one address signs in without waiting; a list of a thousand accounts takes an hour.
LOGIN_BY_ADDRESS: Final = Rule("login-address", burst=30, interval_ms=4_000)
# Ten slips at once, then one guess a minute: 1,440 a day against one account.
LOGIN_BY_ACCOUNT: Final = Rule("login-account", burst=10, interval_ms=60_000)
LOGIN_BY_OWNER: Final = Rule("login-known", burst=10, interval_ms=30_000)
REGISTER_BY_ADDRESS: Final = Rule("register-address", burst=20, interval_ms=15_000)
REFRESH_BY_ADDRESS: Final = Rule("refresh-address", burst=240, interval_ms=500)
# Slips of the owner; for whoever found a phone open, or a token lying about, it is no way to the password.
PASSWORD_BY_SESSION: Final = Rule("password-session", burst=5, interval_ms=90_000)
# Twice as much: what one session uses up leaves another as much again. At most 90 guesses in the first hour, then 80.
PASSWORD_BY_ACCOUNT: Final = Rule("password-account", burst=10, interval_ms=45_000)
# Links have 256 bits; this only bounds the work.
LINK_BY_ADDRESS: Final = Rule("link-address", burst=30, interval_ms=4_000)
MAIL_BY_ADDRESS: Final = Rule("mail-address", burst=20, interval_ms=60_000)
# Nobody can fill somebody else's mailbox: three at once, then one every twenty minutes.
MAIL_BY_ACCOUNT: Final = Rule("mail-account", burst=3, interval_ms=1_200_000)
OIDC_BY_ADDRESS: Final = Rule("oidc-address", burst=30, interval_ms=4_000)


class Limits:
    """The rules over one limiter."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    async def take(self, rule: Rule, key: str) -> Decision:
        """Count one attempt. Raises RateLimited."""
        decision = await self._limiter.take(rule, key)
        if not decision.allowed:
            log.info("the limit %s is reached", rule.name)
            raise RateLimited(retry_after_s=decision.retry_after_s, headers=decision.headers())
        return decision

    async def give_back(self, decision: Decision, key: str) -> Decision:
        """Take back an attempt that turned out harmless; what is left then."""
        await self._limiter.give_back(decision.rule, key)
        return decision.given_back()

    async def by_account(self, key: str, address: str) -> tuple[Rule, str]:
        """The rule and the bucket of a sign-in to an account from an address (S6)."""
        known = _known(key, address)
        return (LOGIN_BY_OWNER, known) if await self._limiter.remembers(known) else (LOGIN_BY_ACCOUNT, key)

    async def remember(self, key: str, address: str) -> None:
        """The owner of the account was at this address."""
        await self._limiter.remember(_known(key, address), for_ms=KNOWN_ADDRESS_MS)

    async def for_mail(self, key: str, address: str) -> Decision:
        """Count a mail that somebody at `address` wants sent to the mail address `key`. Raises RateLimited."""
        by_address = await self.take(MAIL_BY_ADDRESS, address)
        return tighter(by_address, await self.take(MAIL_BY_ACCOUNT, key))


def tighter(one: Decision, other: Decision) -> Decision:
    """The one that leaves less."""
    return min(one, other, key=lambda decision: decision.remaining)


def _known(key: str, address: str) -> str:
    return f"{key}\n{address}"
