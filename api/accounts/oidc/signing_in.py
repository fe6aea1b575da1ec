"""Signing in with an account elsewhere: from the first address to the session.

Owns: what binds the two halves of a sign-in to one browser, and which account an identity opens.
Refuses to know: requests and answers (routes.py), tokens of providers (provider.py), SQL.

Nothing is stored between the halves. One secret in a cookie gives the state, the nonce and the verifier of PKCE
(RFC 7636); whoever brings a state without its cookie was sent here by somebody else.

Invariants
    E1  A sign-in ends in the browser, with the provider, and within PENDING_MS of where it began.
    E2  An identity opens the account that it was linked to, whatever address it has now.
    E3  A new identity opens an account, or makes one, only by an address that the provider says is proven.
    E4  It opens an account that is there already only if that account's address was proven here too: else whoever
        made the account in advance would share it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from api.accounts.limits import OIDC_BY_ADDRESS
from api.accounts.model import NAME_CHARS_MAX, Issued, Origin, email_key, is_email, normal, plain, user_of
from api.accounts.oidc.provider import Identity, OidcProvider
from api.accounts.parts import Parts
from api.accounts.registration import add_account
from api.accounts.sessions import Opened
from api.errors import AddressUnconfirmed, AddressUnproven, ApiError, SignInDenied, SignInExpired
from api.secret_key import Keys
from storage import accounts, identities
from storage.accounts import UserRow
from storage.audit_log import Event
from storage.database import Transaction
from storage.errors import Duplicate
from sync.audit_trail import note
from sync.errors import NotFound

log = logging.getLogger(__name__)

# Somebody has to find a password, and perhaps a second factor.
PENDING_MS: Final = 900_000
_SECRET_BYTES: Final = 32
_TIME_BYTES: Final = 8


@dataclass(frozen=True)
class Begun:
    """Where the browser goes, and what it keeps until it is back."""

    url: str
    cookie: str


class SignInElsewhere:
    """One a process."""

    def __init__(
        self, parts: Parts, *, providers: Sequence[OidcProvider], public_url: str, keys: Sequence[Keys]
    ) -> None:
        self._parts = parts
        self._providers: Mapping[str, OidcProvider] = {provider.name: provider for provider in providers}
        self._public_url = public_url.rstrip("/")
        self._keys = keys

    async def begin(self, provider: str, origin: Origin) -> Begun:
        """Raises NotFound, ProviderFailed; RateLimited: later, please."""
        known = self._provider(provider)
        await self._parts.limits.take(OIDC_BY_ADDRESS, origin.address)
        secret = self._parts.environment.token_bytes(_SECRET_BYTES)
        url = await known.authorization_url(
            redirect_uri=self._redirect_uri(provider),
            state=_part(secret, "state"),
            nonce=_part(secret, "nonce"),
            challenge=_base64(hashlib.sha256(_part(secret, "verifier").encode()).digest()),
        )
        told = secret + self._parts.environment.now_ms().to_bytes(_TIME_BYTES, "big")
        return Begun(url, _base64(told + _mark(self._keys[0], provider, told)))

    async def finish(
        self, provider: str, *, cookie: str, state: str, code: str | None, issuer: str | None, origin: Origin
    ) -> Issued:
        """Open a session for whom the provider sent back.

        code: None where the provider says that the user did not sign in.
        issuer: what the answer says of itself (RFC 9207), if anything.

        Raises:
            NotFound: there is no such provider.
            SignInExpired: begun elsewhere, or too long ago.
            SignInDenied: the user did not sign in, or the account is closed.
            ProviderFailed: the provider's answer proves nothing.
            AddressUnproven, AddressUnconfirmed: see E3 and E4.
            RateLimited: later, please.
        """
        known = self._provider(provider)
        decision = await self._parts.limits.take(OIDC_BY_ADDRESS, origin.address)
        secret = self._secret(provider, cookie)
        if secret is None or not hmac.compare_digest(state.encode(), _part(secret, "state").encode()):
            raise SignInExpired
        if issuer is not None and not known.is_issuer(issuer):
            raise SignInExpired
        if code is None:
            raise SignInDenied
        identity = await known.identity(
            code=code,
            verifier=_part(secret, "verifier"),
            nonce=_part(secret, "nonce"),
            redirect_uri=self._redirect_uri(provider),
        )
        try:
            user, opened = await self._enter(provider, identity, origin)
        except Duplicate:
            # Somebody took the address, or the identity, in the same moment: now it is there.
            user, opened = await self._enter(provider, identity, origin)
        self._parts.outbox.wake()
        await self._parts.sessions.announce(user.id, opened.ended)
        log.info("user %s signed in with %s, session %s", user.id, provider, opened.session)
        return self._parts.sessions.tokens(user_of(user), opened, decision)

    async def _enter(self, provider: str, identity: Identity, origin: Origin) -> tuple[UserRow, Opened]:
        """Find or make the account, and open a session, in one transaction; a refusal is on record too."""
        refusal: ApiError | None = None
        async with self._parts.database.write() as tx:
            user = await self._account(tx, provider, identity, origin)
            if isinstance(user, ApiError):
                refusal = user
            elif user.disabled_at is not None:
                refusal = SignInDenied()
            if refusal is None and not isinstance(user, ApiError):
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
                return user, opened
            await note(
                tx,
                self._parts.environment,
                Event.SIGN_IN_REFUSED,
                user=None if isinstance(user, ApiError) else user.id,
                address=origin.address,
                by=provider,
            )
        assert refusal is not None
        raise refusal

    async def _account(self, tx: Transaction, provider: str, identity: Identity, origin: Origin) -> UserRow | ApiError:
        """The account that an identity opens, locked, or why it opens none."""
        now = self._parts.environment.now_ms()
        issuer, subject = identity.issuer, identity.subject
        linked = await identities.user_of_identity(tx, issuer=issuer, subject=subject)
        if linked is not None:
            await identities.note_identity_used(tx, issuer=issuer, subject=subject, now_ms=now)
            return await self._locked(tx, linked)
        email = normal(identity.email or "")
        if not identity.email_verified or not is_email(email):
            return AddressUnproven()
        found = await accounts.find_login(tx, email_key(email))
        if found is None:
            made = await add_account(
                tx,
                self._parts.environment,
                email=email,
                name=plain(normal(identity.name or ""))[:NAME_CHARS_MAX].strip() or email.partition("@")[0],
                password_hash="",
                verified=True,
            )
            user = await self._locked(tx, made.id)
            event = Event.REGISTERED
        else:
            user = await self._locked(tx, found.id)
            if user.email_verified_at is None:
                return AddressUnconfirmed()
            if user.disabled_at is not None:
                return user
            event = Event.IDENTITY_LINKED
            await self._parts.outbox.post(tx, "identity_linked", user.id, {"provider": provider})
        await identities.add_identity(tx, issuer=issuer, subject=subject, user=user.id, now_ms=now)
        await note(
            tx, self._parts.environment, event, user=user.id, actor=user.id, address=origin.address, provider=provider
        )
        return user

    async def _locked(self, tx: Transaction, user: str) -> UserRow:
        found = await accounts.lock_user(tx, user)
        if found is None:
            raise SignInDenied
        return found

    def _provider(self, name: str) -> OidcProvider:
        found = self._providers.get(name)
        if found is None:
            raise NotFound
        return found

    def _redirect_uri(self, provider: str) -> str:
        return f"{self._public_url}/api/auth/oauth/{provider}/callback"

    def _secret(self, provider: str, cookie: str) -> bytes | None:
        """What a cookie of ours holds; None for any other, and for one that is too old (E1)."""
        try:
            data = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
        except (ValueError, binascii.Error):
            return None
        told, mark = data[: _SECRET_BYTES + _TIME_BYTES], data[_SECRET_BYTES + _TIME_BYTES :]
        # Under all keys, so that none who is just signing in is lost when they are rotated.
        if not any(hmac.compare_digest(mark, _mark(key, provider, told)) for key in self._keys):
            return None
        age = self._parts.environment.now_ms() - int.from_bytes(told[_SECRET_BYTES:], "big")
        return told[:_SECRET_BYTES] if 0 <= age < PENDING_MS else None


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _part(secret: bytes, use: str) -> str:
    """One of the values that the secret gives."""
    return _base64(hmac.digest(secret, use.encode(), "sha256"))


def _mark(key: Keys, provider: str, told: bytes) -> bytes:
    return hmac.digest(key.sign_in, provider.encode() + b"\n" + told, "sha256")
