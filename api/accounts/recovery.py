"""Passwords that are changed, and passwords that were forgotten.

Owns: what proves that somebody may set a password, and what ends with the old one.
Refuses to know: requests and answers (routes.py), what mails say (letters.py), SQL.

Invariants
    S11 A new password ends every other session of its account, with its tokens and sockets, in the transaction that
        sets it; and every link that would set yet another one.
    S12 To ask for a link is answered alike, in the same time, for every address: the mail is stored without looking
        whether it has an account. Whoever sends the mails looks.
"""

from __future__ import annotations

import logging

from api.accounts.confirming import Confirmation
from api.accounts.limits import LINK_BY_ADDRESS
from api.accounts.links import Purpose, hash_of, is_token
from api.accounts.model import Origin, address_key, wrong_password
from api.accounts.parts import Parts
from api.accounts.passwords import prepared
from api.errors import InvalidFields, InvalidLink, WrongPassword
from api.rate_limits import Decision
from storage import accounts, one_time_tokens
from storage.audit_log import Event
from storage.database import Transaction
from sync.audit_trail import note
from sync.caller import Caller

log = logging.getLogger(__name__)


class Recovery:
    """One a process."""

    def __init__(self, parts: Parts, confirmation: Confirmation) -> None:
        self._parts = parts
        self._confirmation = confirmation

    async def forgot(self, email: str, origin: Origin) -> Decision:
        """Send a link that sets a new password, if the address has an account (S12).

        Raises RateLimited, Busy: later, please.
        """
        key = address_key(email)
        decision = await self._parts.limits.for_mail(key, origin.address)
        async with self._parts.database.write() as tx:
            await self._parts.outbox.post(tx, "reset", key, asked=True)
        self._parts.outbox.wake()
        return decision

    async def reset(self, token: str, password: str, origin: Origin) -> tuple[int, Decision]:
        """Set a new password by a link. Who reads mail there has proven the address.

        Returns how many sessions ended, and what the limits said.

        Raises:
            InvalidLink: unknown, used or expired.
            InvalidFields: the password will not do; the link stays good.
            RateLimited, Busy: later, please.
        """
        decision = await self._parts.limits.take(LINK_BY_ADDRESS, origin.address)
        if not is_token(token):
            raise InvalidLink(headers=decision.headers())
        proof = {"token_hash": hash_of(token), "purpose": Purpose.RESET.value}
        async with self._parts.database.read() as tx:
            found = await one_time_tokens.find_token(tx, **proof, now_ms=self._parts.environment.now_ms())
            user = None if found is None else await accounts.find_user(tx, found[0])
        if user is None:
            raise InvalidLink(headers=decision.headers())
        if wrong := wrong_password("password", password, email=user.email, name=user.name):
            raise InvalidFields(fields=wrong)
        hashed = await self._parts.hasher.hash(password)
        now = self._parts.environment.now_ms()
        async with self._parts.database.write() as tx:
            spent = await one_time_tokens.spend_token(tx, **proof, now_ms=now)
            held = None if spent is None else await accounts.lock_user(tx, spent[0])
            if spent is None or held is None or held.disabled_at is not None or held.email_key != spent[1]:
                raise InvalidLink(headers=decision.headers())
            ended = await self._replace(tx, held.id, hashed, reason="password_reset", but=None)
            if await accounts.verify_email(tx, held.id, now):
                await note(tx, self._parts.environment, Event.EMAIL_VERIFIED, user=held.id, address=origin.address)
            await note(
                tx,
                self._parts.environment,
                Event.PASSWORD_RESET,
                user=held.id,
                address=origin.address,
                sessions=len(ended),
            )
        self._parts.outbox.wake()
        await self._parts.sessions.announce(held.id, ended)
        return len(ended), decision

    async def change(self, caller: Caller, current: str | None, new: str, origin: Origin) -> tuple[int, Decision]:
        """Set a new password, or the first one; return how many other sessions ended, and what the limits said.

        Raises:
            InvalidFields: the new one will not do.
            WrongPassword: `current` is not the password.
            Unauthenticated: the session ended meanwhile.
            What `Confirmation.check` raises, beside these.
        """
        proven = await self._confirmation.check(
            caller, current, origin, purpose="change of password", field="current_password"
        )
        found, decision = proven.user, proven.decision
        wrong = wrong_password("new_password", new, email=found.email, name=found.name)
        if found.password_hash and current is not None and prepared(new) == prepared(current):
            # All other sessions would end for nothing, and somebody would believe to be rid of whoever knows it.
            message = "new_password must not be the present one; choose another"
            wrong.append({"field": "new_password", "code": "unchanged", "message": message})
        if wrong:
            raise InvalidFields(fields=wrong)
        hashed = await self._parts.hasher.hash(new)
        async with self._parts.database.write() as tx:
            held = await accounts.lock_user(tx, caller.user)
            if held is None or held.password_hash != found.password_hash:
                raise WrongPassword(headers=decision.headers())
            ended = await self._replace(tx, held.id, hashed, reason="password_changed", but=caller.session)
            await note(
                tx,
                self._parts.environment,
                Event.PASSWORD_CHANGED,
                user=held.id,
                actor=held.id,
                session=caller.session,
                address=origin.address,
                sessions=len(ended),
            )
        self._parts.outbox.wake()
        await self._parts.sessions.announce(held.id, ended)
        return len(ended), decision

    async def _replace(self, tx: Transaction, user: str, hashed: str, *, reason: str, but: str | None) -> list[str]:
        """Set the password, end what went by the old one (S11), and tell the owner; the sessions that ended."""
        await accounts.set_password(tx, user, hashed)
        await one_time_tokens.forget_token(tx, user=user, purpose=Purpose.RESET.value)
        await self._parts.outbox.post(tx, "password_changed", user)
        return await self._parts.sessions.end_all(tx, user, reason=reason, but=but)
