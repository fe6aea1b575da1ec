"""What a browser keeps while its user is at the provider: a sign-in that was begun, in a cookie.

Owns: the cookie's form, and the values that follow from its secret.
Refuses to know: requests and answers (routes.py), and what a sign-in leads to (signing_in.py).

Nothing is stored on the server meanwhile. One secret gives the state, the nonce and the verifier of PKCE (RFC 7636);
whoever brings a state without its cookie was sent here by somebody else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from api.secret_key import Keys

# Somebody has to find a password, and perhaps a second factor.
PENDING_MS: Final = 900_000
_SECRET_BYTES: Final = 32
_TIME_BYTES: Final = 8
_MARK_BYTES: Final = 32


class Landing(msgspec.Struct, frozen=True, array_like=True):
    """Where the browser goes with what came of it. challenge: proves later that it is the one who began (PKCE)."""

    url: str
    challenge: str


@dataclass(frozen=True)
class Pending:
    """A sign-in that was begun. landing: None where whoever began it did not say."""

    secret: bytes
    landing: Landing | None = None

    def part(self, use: str) -> str:
        """One of the values that the secret gives."""
        return encoded(hmac.digest(self.secret, use.encode(), "sha256"))


def begun(token_bytes: Callable[[int], bytes], landing: Landing | None) -> Pending:
    """A new one."""
    return Pending(token_bytes(_SECRET_BYTES), landing)


def kept(pending: Pending, provider: str, *, now_ms: int, key: Keys) -> str:
    """The cookie that holds it."""
    more = b"" if pending.landing is None else msgspec.json.encode(pending.landing)
    told = pending.secret + now_ms.to_bytes(_TIME_BYTES, "big") + more
    return encoded(told + _mark(key, provider, told))


def read(cookie: str, provider: str, *, now_ms: int, keys: Sequence[Keys]) -> Pending | None:
    """What a cookie of ours holds; None for any other, and for one that is too old."""
    try:
        data = base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4))
    except (ValueError, binascii.Error):
        return None
    told, mark = data[:-_MARK_BYTES], data[-_MARK_BYTES:]
    # Under all keys, so that none who is just signing in is lost when they are rotated.
    if not any(hmac.compare_digest(mark, _mark(key, provider, told)) for key in keys):
        return None
    secret, moment, more = told[:_SECRET_BYTES], told[_SECRET_BYTES:][:_TIME_BYTES], told[_SECRET_BYTES + _TIME_BYTES :]
    if not 0 <= now_ms - int.from_bytes(moment, "big") < PENDING_MS:
        return None
    return Pending(secret, msgspec.json.decode(more, type=Landing) if more else None)


def challenge_of(verifier: str) -> str:
    """What is told of a verifier in advance (RFC 7636, S256)."""
    return encoded(hashlib.sha256(verifier.encode()).digest())


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _mark(key: Keys, provider: str, told: bytes) -> bytes:
    return hmac.digest(key.sign_in, provider.encode() + b"\n" + told, "sha256")
