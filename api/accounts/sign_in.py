"""Signing in with a password.

Owns: what is compared, in which time, and what is answered.
Refuses to know: requests and answers (routes.py), sessions (sessions.py), SQL (storage/accounts.py).

Invariants
    S2  Sign-in gives one answer, in one time, for an unknown address, a wrong password, a password that no
        account can have, an account without a password, and a disabled account.
    S10 A session is opened only while the password that was compared still is the account's: one that is changed
        meanwhile opens none, so a change ends every session of the old one.
"""

from __future__ import annotations

import logging

from api.accounts.limits import LOGIN_BY_ADDRESS, tighter
from api.accounts.model import Issued, Origin, email_key, user_of
from api.accounts.parts import Parts
from api.errors import InvalidCredentials
from storage import accounts
from storage.audit_log import Event
from sync.audit_trail import note

log = logging.getLogger(__name__)


class SignIn:
    """One a process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def login(self, email: str, password: str, origin: Origin) -> Issued:
        """Open a session.

        Raises:
            InvalidCredentials: see S2.
            RateLimited, Busy: later, please.
        """
        key, address = email_key(email), origin.address
        by_address = await self._parts.limits.take(LOGIN_BY_ADDRESS, address)
        rule, bucket = await self._parts.limits.by_account(key, address)
        by_account = await self._parts.limits.take(rule, bucket)
        decision = tighter(by_address, by_account)
        async with self._parts.database.read() as tx:
            found = await accounts.find_login(tx, key)
        # The limits were counted before the slow part, so that parallel guesses cannot pass together.
        matches = await self._parts.hasher.verify(password, found.password_hash or None if found is not None else None)
        opened = None
        async with self._parts.database.write() as tx:
            if matches and found is not None:
                now_is = await accounts.lock_user(tx, found.id)
                if now_is is not None and now_is.disabled_at is None and now_is.password_hash == found.password_hash:
                    opened = await self._parts.sessions.open(tx, found.id, origin)
            await note(
                tx,
                self._parts.environment,
                Event.SIGN_IN_REFUSED if opened is None else Event.SIGNED_IN,
                user=None if found is None else found.id,
                actor=None if opened is None or found is None else found.id,
                session=None if opened is None else opened.session,
                address=address,
                by="password",
            )
        if opened is None or found is None:
            log.info("sign-in refused for %s", found.id if found is not None else "an unknown address")
            raise InvalidCredentials(headers=decision.headers())
        await self._parts.sessions.announce(found.id, opened.ended)
        decision = tighter(
            await self._parts.limits.give_back(by_address, address),
            await self._parts.limits.give_back(by_account, bucket),
        )
        await self._parts.limits.remember(key, address)
        log.info("user %s signed in, session %s", found.id, opened.session)
        return self._parts.sessions.tokens(user_of(found), opened, decision)
