"""Proving an address: by the link of a mail that was sent to it.

Owns: what a link proves, and how another one is asked for.
Refuses to know: requests and answers (routes.py), what mails say (letters.py), SQL.
"""

from __future__ import annotations

import logging

from api.accounts.limits import LINK_BY_ADDRESS
from api.accounts.links import Purpose, hash_of, is_token
from api.accounts.model import Origin, address_key
from api.accounts.parts import Parts
from api.accounts.registration import add_account
from api.errors import EmailUnavailable, InvalidLink
from api.rate_limits import Decision
from storage import accounts, one_time_tokens
from storage.audit_log import Event
from storage.database import Transaction
from storage.errors import Duplicate
from sync.audit_trail import note

log = logging.getLogger(__name__)


class Verification:
    """One a process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def verify(self, token: str, origin: Origin) -> tuple[str, Decision]:
        """Take a link's proof: the address of an account, or a registration that becomes one.

        Returns the address, and what the limits said.

        Raises:
            InvalidLink: unknown, used or expired.
            EmailUnavailable: the address got an account in another way meanwhile.
            RateLimited: later, please.
        """
        decision = await self._parts.limits.take(LINK_BY_ADDRESS, origin.address)
        if not is_token(token):
            raise InvalidLink(headers=decision.headers())
        try:
            async with self._parts.database.write() as tx:
                email = await self._of_account(tx, hash_of(token), origin)
                if email is None:
                    email = await self._of_registration(tx, hash_of(token), origin)
        except Duplicate:
            raise EmailUnavailable(headers=decision.headers()) from None
        if email is None:
            raise InvalidLink(headers=decision.headers())
        return email, decision

    async def resend(self, email: str, origin: Origin) -> Decision:
        """Send another link, if there is something to confirm; answered alike for every address, as a lost password.

        Raises RateLimited, Busy: later, please.
        """
        key = address_key(email)
        decision = await self._parts.limits.for_mail(key, origin.address)
        async with self._parts.database.write() as tx:
            await self._parts.outbox.post(tx, "resend", key, asked=True)
        self._parts.outbox.wake()
        return decision

    async def _of_account(self, tx: Transaction, token_hash: str, origin: Origin) -> str | None:
        now = self._parts.environment.now_ms()
        spent = await one_time_tokens.spend_token(tx, token_hash=token_hash, purpose=Purpose.VERIFY.value, now_ms=now)
        if spent is None:
            return None
        user = await accounts.lock_user(tx, spent[0])
        if user is None or user.email_key != spent[1]:
            return None
        if await accounts.verify_email(tx, user.id, now):
            await note(tx, self._parts.environment, Event.EMAIL_VERIFIED, user=user.id, address=origin.address)
            log.info("user %s proved the address", user.id)
        return user.email

    async def _of_registration(self, tx: Transaction, token_hash: str, origin: Origin) -> str | None:
        waiting = await one_time_tokens.spend_registration(tx, token_hash, self._parts.environment.now_ms())
        if waiting is None:
            return None
        user = await add_account(
            tx,
            self._parts.environment,
            email=waiting.email,
            name=waiting.name,
            password_hash=waiting.password_hash,
            verified=True,
        )
        for event in (Event.REGISTERED, Event.EMAIL_VERIFIED):
            await note(tx, self._parts.environment, event, user=user.id, address=origin.address)
        log.info("user %s registered and proved the address", user.id)
        return waiting.email
