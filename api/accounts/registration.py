"""Signing up: at once, or once the address has answered.

Owns: how an account comes into being, and what a sign-up tells about addresses that have one.
Refuses to know: requests and answers (routes.py), what mails say (letters.py), SQL.

Invariants
    S1  An account comes into being together with its personal space, in one transaction.
    S8  Where registrations are confirmed, an answer to one says nothing about the address: what is done before it is
        the same whether or not the address has an account. Whether it has one, the mail tells.
    S9  A link confirms the very registration that caused its mail, so that nobody's password slips into an account
        that somebody else confirms.
"""

from __future__ import annotations

import logging

from api.accounts.limits import REGISTER_BY_ADDRESS, tighter
from api.accounts.links import REGISTRATION_LIFETIME_MS
from api.accounts.model import Issued, Origin, email_key, normal, wrong_fields
from api.accounts.parts import Parts
from api.accounts.shapes import User
from api.errors import EmailUnavailable, InvalidFields
from api.rate_limits import Decision
from conflict.clock import rfc3339
from storage import accounts, one_time_tokens, spaces
from storage.audit_log import Event
from storage.database import Transaction
from storage.errors import Duplicate
from storage.one_time_tokens import Registration
from sync.audit_trail import note
from sync.environment import Environment, uuid7

log = logging.getLogger(__name__)


async def add_account(
    tx: Transaction,
    environment: Environment,
    *,
    email: str,
    name: str,
    password_hash: str,
    verified: bool,
) -> User:
    """Make an account and its personal space (S1). Raises Duplicate where the address has one."""
    now = environment.now_ms()
    user = User(
        id=uuid7(environment),
        email=email,
        name=name,
        role="user",
        plan="free",
        created_at=rfc3339(now),
        email_verified=verified,
        has_password=bool(password_hash),
    )
    await accounts.add_user(
        tx,
        user=user.id,
        email=email,
        email_key=email_key(email),
        name=name,
        password_hash=password_hash,
        now_ms=now,
        email_verified_at=now if verified else None,
    )
    await spaces.create_space(
        tx,
        space=uuid7(environment),
        kind="personal",
        name="Personal",
        owner=user.id,
        life=environment.token_bytes(4).hex(),
        now_ms=now,
    )
    return user


class SignUp:
    """One a process."""

    def __init__(self, parts: Parts, *, confirmed: bool) -> None:
        """confirmed: whether an account is made only once its address has answered."""
        self.confirmed = confirmed
        self._parts = parts

    async def register(self, email: str, password: str, name: str, origin: Origin) -> Issued | Decision:
        """Make an account and its first session; or, where registrations are confirmed, send a mail.

        Returns the tokens, or what the limits said where nobody is signed in yet.

        Raises:
            InvalidFields: naming each field that will not do.
            EmailUnavailable: after the same work as a success; never where registrations are confirmed.
            RateLimited, Busy: later, please.
        """
        email, name = normal(email), normal(name)
        if wrong := wrong_fields(email, password, name):
            raise InvalidFields(fields=wrong)
        decision = await self._parts.limits.take(REGISTER_BY_ADDRESS, origin.address)
        if self.confirmed:
            decision = tighter(decision, await self._parts.limits.for_mail(email_key(email), origin.address))
            await self._ask(email, name, await self._parts.hasher.hash(password))
            return decision
        return await self._open(email, name, await self._parts.hasher.hash(password), origin, decision)

    async def _open(self, email: str, name: str, password_hash: str, origin: Origin, decision: Decision) -> Issued:
        try:
            async with self._parts.database.write() as tx:
                user = await add_account(
                    tx, self._parts.environment, email=email, name=name, password_hash=password_hash, verified=False
                )
                opened = await self._parts.sessions.open(tx, user.id, origin)
                await note(
                    tx,
                    self._parts.environment,
                    Event.REGISTERED,
                    user=user.id,
                    actor=user.id,
                    session=opened.session,
                    address=origin.address,
                )
                await self._parts.outbox.post(tx, "verify", user.id)
        except Duplicate:
            raise EmailUnavailable from None
        self._parts.outbox.wake()
        await self._parts.limits.remember(email_key(email), origin.address)
        log.info("user %s registered, session %s", user.id, opened.session)
        return self._parts.sessions.tokens(user, opened, decision)

    async def _ask(self, email: str, name: str, password_hash: str) -> None:
        """Store what will be an account, and send a mail; the same for every address (S8)."""
        now = self._parts.environment.now_ms()
        waiting = Registration(uuid7(self._parts.environment), email, email_key(email), name, password_hash)
        async with self._parts.database.write() as tx:
            await one_time_tokens.add_registration(tx, waiting, now_ms=now, expires_at=now + REGISTRATION_LIFETIME_MS)
            await self._parts.outbox.post(tx, "confirm", waiting.id, asked=True)
        self._parts.outbox.wake()
