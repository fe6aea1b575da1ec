"""The tokens of links in mails, and codes of sign-ins: opaque, random, good once.

Owns: their form, their purposes and their lifetimes.
Refuses to know: where they are stored (storage/one_time_tokens.py) and what they open.

Invariants
    O1  A token has 256 random bits and is stored as its SHA-256 alone.
    O2  It counts once, for one purpose, for the address that it was sent to, until it expires.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

HOUR_MS: Final = 3_600_000

_FORM: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Purpose(StrEnum):
    """What a token of an account is good for."""

    VERIFY = "verify"
    RESET = "reset"
    # No mail: a code that a browser takes from the provider's way back (oidc/signing_in.py).
    SIGN_IN = "sign_in"


# Of those that go by mail.
LIFETIME_MS: Final = {
    # Mail is read on the next day, or after the weekend.
    Purpose.VERIFY: 72 * HOUR_MS,
    # It opens the account: OWASP asks for an hour at most.
    Purpose.RESET: HOUR_MS,
}
# The whole way of a registration, from the form to the click.
REGISTRATION_LIFETIME_MS: Final = 72 * HOUR_MS


def new_token(token_bytes: Callable[[int], bytes]) -> str:
    """Return a new token (O1)."""
    return base64.urlsafe_b64encode(token_bytes(32)).rstrip(b"=").decode("ascii")


def is_token(text: str) -> bool:
    """Whether `text` has the form of one; a cheap no for everything else."""
    return _FORM.fullmatch(text) is not None


def hash_of(token: str) -> str:
    """What is stored of one. Plain SHA-256 will do: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()
