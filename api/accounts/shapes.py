"""What an account, a session and a pair of tokens look like to their owner.

Owns: the names of the fields. Refuses to know: where the values come from (service.py).
"""

from __future__ import annotations

from typing import Literal

from api.rest.endpoint import Shown


class User(Shown):
    """An account as its owner sees it."""

    id: str
    email: str
    # Whether somebody proved to read mail there.
    email_verified: bool
    # Without one (the account signs in elsewhere) a fresh session stands in for it.
    has_password: bool
    name: str
    role: str
    plan: str
    created_at: str


class Tokens(Shown):
    """A pair of tokens. `expires_in`: seconds that the access token is good for."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int


class SignedIn(Tokens):
    """A new session."""

    user: User


class Session(Shown):
    """One session: a sign-in on one device or in one browser."""

    id: str
    device: str | None
    user_agent: str
    created_at: str
    last_used_at: str
    expires_at: str
    current: bool
