"""Which account an identity elsewhere opens.

Owns: the rules by which one is found, linked or made.
Refuses to know: how the identity was proven (provider.py), and what is opened (signing_in.py).

Invariants
    E2  An identity opens the account that it was linked to, whatever address it has now.
    E3  A new identity opens an account, or makes one, only by an address that the provider says is proven.
    E4  It opens an account that is there already only if that account's address was proven here too: else whoever
        made the account in advance would share it.
"""

from __future__ import annotations

from api.accounts.model import NAME_CHARS_MAX, Origin, email_key, is_email, normal, plain
from api.accounts.oidc.provider import Identity
from api.accounts.parts import Parts
from api.accounts.registration import add_account
from api.errors import AddressUnconfirmed, AddressUnproven, ApiError, SignInDenied
from storage import accounts, identities
from storage.accounts import UserRow
from storage.audit_log import Event
from storage.database import Transaction
from sync.audit_trail import note


async def account_of(
    tx: Transaction, parts: Parts, provider: str, identity: Identity, origin: Origin
) -> UserRow | ApiError:
    """The account that an identity opens, locked, or why it opens none. Raises Duplicate: look again."""
    now = parts.environment.now_ms()
    issuer, subject = identity.issuer, identity.subject
    linked = await identities.user_of_identity(tx, issuer=issuer, subject=subject)
    if linked is not None:
        # The account is locked before anything of it is written, here as below: else two would wait for each other.
        user = await _locked(tx, linked)
        await identities.note_identity_used(tx, issuer=issuer, subject=subject, now_ms=now)
        return user
    email = normal(identity.email or "")
    if not identity.email_verified or not is_email(email):
        return AddressUnproven()
    found = await accounts.find_login(tx, email_key(email))
    if found is None:
        made = await add_account(
            tx,
            parts.environment,
            email=email,
            name=plain(normal(identity.name or ""))[:NAME_CHARS_MAX].strip() or email.partition("@")[0],
            password_hash="",
            verified=True,
        )
        user = await _locked(tx, made.id)
        event = Event.REGISTERED
    else:
        user = await _locked(tx, found.id)
        if user.email_verified_at is None:
            return AddressUnconfirmed()
        if user.disabled_at is not None:
            return user
        event = Event.IDENTITY_LINKED
        await parts.outbox.post(tx, "identity_linked", user.id, {"provider": provider})
    await identities.add_identity(tx, issuer=issuer, subject=subject, user=user.id, now_ms=now)
    await note(tx, parts.environment, event, user=user.id, actor=user.id, address=origin.address, provider=provider)
    return user


async def _locked(tx: Transaction, user: str) -> UserRow:
    found = await accounts.lock_user(tx, user)
    if found is None:
        raise SignInDenied
    return found
