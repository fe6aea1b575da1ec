"""Signing in with an account elsewhere: from the first address to the session.

Owns: what binds the parts of a sign-in to whoever began it.
Refuses to know: which account an identity opens (linking.py), requests and answers (routes.py), tokens of providers
(provider.py), SQL.

A program that follows the addresses by itself gets its tokens at the end. A browser cannot hand tokens on: it gets a
code, good once and for CODE_MS, which whoever began the sign-in exchanges for them.

Invariants
    E1  A sign-in ends in the browser, with the provider, and within PENDING_MS of where it began.
    E5  No token is ever in an address. A code is, behind the #, and is worth nothing without the secret of whoever
        began: the verifier of its challenge, or the browser's own cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from api.accounts.limits import OIDC_BY_ADDRESS
from api.accounts.links import Purpose, is_token, new_token
from api.accounts.model import Issued, Origin, user_of
from api.accounts.oidc.linking import account_of
from api.accounts.oidc.pending import Landing, Pending, begun, challenge_of, kept, read
from api.accounts.oidc.provider import Identity, OidcProvider
from api.accounts.parts import Parts
from api.accounts.sessions import Opened
from api.errors import ApiError, SignInDenied, SignInExpired
from api.rate_limits import Decision
from api.secret_key import Keys
from storage import accounts, one_time_tokens
from storage.accounts import UserRow
from storage.audit_log import Event
from storage.database import Transaction
from storage.errors import Duplicate
from sync.audit_trail import note
from sync.errors import NotFound

log = logging.getLogger(__name__)

# From the page where the provider sends the browser back to, to the program that waits for it.
CODE_MS: Final = 120_000

T = TypeVar("T")


@dataclass(frozen=True)
class Begun:
    """Where the browser goes, what it keeps until it is back, and what the limits said."""

    url: str
    cookie: str
    decision: Decision


@dataclass(frozen=True)
class Back:
    """What a browser brought back: its cookie, and the parameters of the address.

    code: None where the provider says that the user did not sign in. issuer: what the answer says of itself (RFC 9207).
    """

    cookie: str
    state: str
    code: str | None
    issuer: str | None


class SignInElsewhere:
    """One a process."""

    def __init__(
        self, parts: Parts, *, providers: Sequence[OidcProvider], public_url: str, keys: Sequence[Keys]
    ) -> None:
        self._parts = parts
        self._providers: Mapping[str, OidcProvider] = {provider.name: provider for provider in providers}
        self._public_url = public_url.rstrip("/")
        self._keys = keys

    async def begin(self, provider: str, origin: Origin, landing: Landing | None = None) -> Begun:
        """Raises NotFound, ProviderFailed; RateLimited: later, please."""
        known = self._provider(provider)
        decision = await self._parts.limits.take(OIDC_BY_ADDRESS, origin.address)
        environment = self._parts.environment
        pending = begun(environment.token_bytes, landing)
        url = await known.authorization_url(
            redirect_uri=self._redirect_uri(provider),
            state=pending.part("state"),
            nonce=pending.part("nonce"),
            challenge=challenge_of(pending.part("verifier")),
        )
        return Begun(url, kept(pending, provider, now_ms=environment.now_ms(), key=self._keys[0]), decision)

    def landing(self, provider: str, cookie: str) -> Landing | None:
        """Where a browser that comes back wants to go, as it said when it began; None where it did not."""
        pending = self._pending(provider, cookie)
        return None if pending is None else pending.landing

    async def finish(self, provider: str, back: Back, origin: Origin) -> Issued:
        """Open a session for whom the provider sent back.

        Raises:
            NotFound: there is no such provider.
            SignInExpired: begun elsewhere, or too long ago.
            SignInDenied: the user did not sign in, or the account is closed.
            ProviderFailed: the provider's answer proves nothing.
            AddressUnproven, AddressUnconfirmed: see linking.py.
            RateLimited: later, please.
        """
        decision = await self._count(provider, origin)
        _, identity = await self._prove(provider, back)

        async def open_session(tx: Transaction, user: UserRow) -> Opened:
            return await self._open(tx, user, provider, origin)

        user, opened = await self._enter(provider, identity, origin, open_session)
        return await self._signed_in(user, opened, provider, decision)

    async def leave(self, provider: str, back: Back, origin: Origin) -> str:
        """Make a code for whom the provider sent back; `exchange` takes it (E5). Raises as `finish`."""
        await self._count(provider, origin)
        pending, identity = await self._prove(provider, back)
        code = new_token(self._parts.environment.token_bytes)
        challenge = challenge_of(pending.part("exchange")) if pending.landing is None else pending.landing.challenge

        async def put_code(tx: Transaction, user: UserRow) -> None:
            await one_time_tokens.put_token(
                tx,
                user=user.id,
                purpose=Purpose.SIGN_IN.value,
                token_hash=_hash_of(code, provider, challenge),
                email_key=user.email_key,
                expires_at=self._parts.environment.now_ms() + CODE_MS,
            )

        await self._enter(provider, identity, origin, put_code)
        return code

    async def exchange(self, provider: str, code: str, *, verifier: str | None, cookie: str, origin: Origin) -> Issued:
        """Open a session for a code.

        verifier: of the challenge with which it was begun; None where the browser's cookie proves it.

        Raises:
            NotFound: there is no such provider.
            SignInExpired: the code is unknown, used or expired, or this is not who began.
            RateLimited: later, please.
        """
        decision = await self._count(provider, origin)
        if verifier is None:
            pending = self._pending(provider, cookie)
            verifier = None if pending is None else pending.part("exchange")
        if verifier is None or not is_token(code):
            raise SignInExpired(headers=decision.headers())
        proof = {"token_hash": _hash_of(code, provider, challenge_of(verifier)), "purpose": Purpose.SIGN_IN.value}
        async with self._parts.database.write() as tx:
            spent = await one_time_tokens.spend_token(tx, **proof, now_ms=self._parts.environment.now_ms())
            user = None if spent is None else await accounts.lock_user(tx, spent[0])
            if user is None or user.disabled_at is not None:
                raise SignInExpired(headers=decision.headers())
            opened = await self._open(tx, user, provider, origin)
        return await self._signed_in(user, opened, provider, decision)

    async def _count(self, provider: str, origin: Origin) -> Decision:
        """Count an attempt with a provider that there is."""
        self._provider(provider)
        return await self._parts.limits.take(OIDC_BY_ADDRESS, origin.address)

    async def _prove(self, provider: str, back: Back) -> tuple[Pending, Identity]:
        """What was begun, and who signed in (E1)."""
        known = self._provider(provider)
        pending = self._pending(provider, back.cookie)
        if pending is None or not hmac.compare_digest(back.state.encode(), pending.part("state").encode()):
            raise SignInExpired
        if back.issuer is not None and not known.is_issuer(back.issuer):
            raise SignInExpired
        if back.code is None:
            raise SignInDenied
        identity = await known.identity(
            code=back.code,
            verifier=pending.part("verifier"),
            nonce=pending.part("nonce"),
            redirect_uri=self._redirect_uri(provider),
        )
        return pending, identity

    async def _open(self, tx: Transaction, user: UserRow, provider: str, origin: Origin) -> Opened:
        opened = await self._parts.sessions.open(tx, user.id, origin)
        await note(
            tx,
            self._parts.environment,
            Event.SIGNED_IN,
            user=user.id,
            actor=user.id,
            session=opened.session,
            address=origin.address,
            by=provider,
        )
        return opened

    async def _signed_in(self, user: UserRow, opened: Opened, provider: str, decision: Decision) -> Issued:
        await self._parts.sessions.announce(user.id, opened.ended)
        log.info("user %s signed in with %s, session %s", user.id, provider, opened.session)
        return self._parts.sessions.tokens(user_of(user), opened, decision)

    async def _enter(
        self,
        provider: str,
        identity: Identity,
        origin: Origin,
        welcome: Callable[[Transaction, UserRow], Awaitable[T]],
    ) -> tuple[UserRow, T]:
        """Find or make the account, and welcome its user there."""
        try:
            entered = await self._enter_once(provider, identity, origin, welcome)
        except Duplicate:
            # Somebody took the address, or the identity, in the same moment: now it is there.
            entered = await self._enter_once(provider, identity, origin, welcome)
        self._parts.outbox.wake()
        return entered

    async def _enter_once(
        self,
        provider: str,
        identity: Identity,
        origin: Origin,
        welcome: Callable[[Transaction, UserRow], Awaitable[T]],
    ) -> tuple[UserRow, T]:
        """The same in one transaction; a refusal is on record too."""
        async with self._parts.database.write() as tx:
            user = await account_of(tx, self._parts, provider, identity, origin)
            if not isinstance(user, ApiError) and user.disabled_at is None:
                return user, await welcome(tx, user)
            await note(
                tx,
                self._parts.environment,
                Event.SIGN_IN_REFUSED,
                user=None if isinstance(user, ApiError) else user.id,
                address=origin.address,
                by=provider,
            )
        raise user if isinstance(user, ApiError) else SignInDenied()

    def _provider(self, name: str) -> OidcProvider:
        found = self._providers.get(name)
        if found is None:
            raise NotFound
        return found

    def _redirect_uri(self, provider: str) -> str:
        return f"{self._public_url}/api/auth/oauth/{provider}/callback"

    def _pending(self, provider: str, cookie: str) -> Pending | None:
        return read(cookie, provider, now_ms=self._parts.environment.now_ms(), keys=self._keys)


def _hash_of(code: str, provider: str, challenge: str) -> str:
    """What is stored of a code: with the wrong proof it is unknown."""
    return hashlib.sha256(f"{code}\n{provider}\n{challenge}".encode()).hexdigest()
