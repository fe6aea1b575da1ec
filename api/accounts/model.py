"""What accounts are made of: pairs of tokens, where a request came from, and which fields will do.

Owns: these values, the form under which an address is unique, and the rules of the fields.
Refuses to know: what happens to accounts.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from msgspec.structs import asdict

from api.accounts.passwords import objection
from api.accounts.shapes import SignedIn, Tokens, User
from api.accounts.tokens import ACCESS_LIFETIME_S
from api.errors import InvalidFields
from api.rate_limits import Decision
from conflict.clock import rfc3339
from storage.accounts import UserRow

EMAIL_CHARS_MAX: Final = 254
NAME_CHARS_MAX: Final = 100

_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"]{1,64}@[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"]+\.[^\s@.]+")

_BAD_EMAIL: Final = {"field": "email", "code": "bad_email", "message": "email must be a mail address"}


@dataclass(frozen=True)
class Origin:
    """Where a request came from. address: as the limits count it; user_agent: as the client calls itself."""

    address: str
    user_agent: str = ""


@dataclass(frozen=True)
class Issued:
    """A pair of tokens, and what the limits said, for the headers. `user` where a session was opened."""

    access: str
    refresh: str
    decision: Decision
    user: User | None = None

    def shown(self) -> Tokens:
        pair = Tokens(
            access_token=self.access,
            refresh_token=self.refresh,
            token_type="Bearer",
            expires_in=ACCESS_LIFETIME_S,
        )
        return pair if self.user is None else SignedIn(**asdict(pair), user=self.user)


def user_of(row: UserRow) -> User:
    """An account as its owner sees it."""
    return User(
        id=row.id,
        email=row.email,
        email_verified=row.email_verified_at is not None,
        has_password=bool(row.password_hash),
        name=row.name,
        role=row.role,
        plan=row.plan,
        created_at=rfc3339(row.created_at),
    )


def email_key(email: str) -> str:
    """The form under which an address is unique: no two that look alike or differ in case."""
    return unicodedata.normalize("NFKC", email.strip()).casefold()[:EMAIL_CHARS_MAX]


def address_key(email: str) -> str:
    """The same of what has to be a mail address. Raises InvalidFields."""
    if not is_email(normal(email)):
        raise InvalidFields(fields=[_BAD_EMAIL])
    return email_key(email)


def normal(text: str) -> str:
    """An address or a name as it is kept."""
    return unicodedata.normalize("NFC", text.strip())


def plain(text: str) -> str:
    """The text without control characters: it is shown to the user, and in terminals."""
    return "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cs"))


def is_email(text: str) -> bool:
    """Whether this may be a mail address. Only a mail to it can tell more."""
    return len(text) <= EMAIL_CHARS_MAX and _EMAIL.fullmatch(text) is not None


def wrong_fields(email: str | None, password: str | None, name: str | None) -> list[dict[str, str]]:
    """What is wrong with the fields of a registration: {"field", "code", "message"} of each; None says nothing."""
    wrong = []
    if email is not None and not is_email(email):
        wrong.append(_BAD_EMAIL)
    if password is not None:
        wrong += wrong_password("password", password, email=email or "", name=name or "")
    if name is None:
        return wrong
    if not name or len(name) > NAME_CHARS_MAX or plain(name) != name:
        message = f"name must have 1 to {NAME_CHARS_MAX} characters, no control characters among them"
        wrong.append({"field": "name", "code": "out_of_range", "message": message})
    return wrong


def wrong_password(field: str, password: str, *, email: str, name: str) -> list[dict[str, str]]:
    """What is wrong with a new password, in the same form."""
    found = objection(password, email=email, name=name)
    return [] if found is None else [{"field": field, "code": found[0], "message": found[1]}]
