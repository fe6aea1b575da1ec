"""Access tokens (JWT) and refresh tokens (opaque): made and read, nothing stored.

Owns: the forms of both, their lifetimes, and the strictest reading of the first.
Refuses to know: whether a session still stands (api/accounts/authenticator.py), and the database.

Invariants
    T1  Exactly one algorithm, HS256, and exactly three header fields, `alg`, `kid` and `typ`: nothing in a
        token chooses how it is verified, and nothing in it is fetched, opened or looked up but the `kid`
        among the keys this server was started with.
    T2  Every claim is checked by type as well as by value, against a clock that was passed in.
    T3  A refresh token has 256 random bits and is stored as its SHA-256 alone.
    T4  The successor of a refresh token follows from it by HMAC under the server's secret. A retry whose
        answer was lost gets the same one, though only hashes are stored; who steals the database cannot
        derive it.
    T5  What a signature proves is remembered for the latest REMEMBERED_MAX tokens; whether the token is in its time
        is judged each time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from api.secret_key import Keys
from sync.environment import Environment
from sync.errors import Unauthenticated

ISSUER: Final = "fitai"
AUDIENCE: Final = "fitai-api"
TYPE: Final = "at+jwt"  # RFC 9068: never to be taken for a token of another use.
ACCESS_LIFETIME_S: Final = 900
# The clocks of two servers of one service; anything more would only lengthen the life of a stolen token.
LEEWAY_S: Final = 10
# Ours have about 500 characters. The header is parsed before the signature is checked, so it is kept too short
# to nest deeply.
ACCESS_CHARS_MAX: Final = 2_048
HEADER_CHARS_MAX: Final = 256
# Reading a token takes as long as a whole statement of the database; each of these takes about a kibibyte.
REMEMBERED_MAX: Final = 2_000

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REFRESH_PREFIX: Final = "fitai_rt_"  # Lets scanners of published code find a leaked one.
_REFRESH_FORM: Final = re.compile(r"fitai_rt_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Claims:
    """What a good access token says. Times are in milliseconds since the Unix epoch."""

    user: str
    session: str
    role: str
    plan: str
    issued_ms: int
    expires_ms: int


class AccessTokens:
    """Issues with the first key and verifies with all, so that keys are rotated without logging anyone out."""

    def __init__(self, keys: Sequence[Keys], environment: Environment, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._signing = keys[0]
        self._keys = {key.kid: key.access for key in keys}
        self._environment = environment
        # The claims of tokens whose signature was good, the oldest first (T5).
        self._read: dict[str, dict[str, Any]] = {}

    def issue(self, *, user: str, session: str, role: str, plan: str) -> str:
        """Return a token for the next ACCESS_LIFETIME_S seconds."""
        now = self._environment.now_ms() // 1_000
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "sid": session,
            "role": role,
            "plan": plan,
            "iat": now,
            "exp": now + ACCESS_LIFETIME_S,
            "jti": self._environment.token_bytes(12).hex(),
        }
        headers = {"kid": self._signing.kid, "typ": TYPE}
        return jwt.encode(claims, self._signing.access, algorithm="HS256", headers=headers)

    def verify(self, token: str) -> Claims:
        """Return what the token says; raises Unauthenticated, without saying why, for any other text."""
        payload = self._read.get(token)
        if payload is not None:
            return self._judge(payload)
        payload = self._payload(token)
        claims = self._judge(payload)
        if len(self._read) >= self._remembered_max:
            del self._read[next(iter(self._read))]
        self._read[token] = payload
        return claims

    def bearer(self, token: str) -> tuple[str, str] | None:
        """The user and the session to which a token was once given, however long ago; None for any other text.

        It lets nobody in: it only says who may be told something.
        """
        try:
            payload = self._read.get(token) or self._payload(token)
        except Unauthenticated:
            return None
        user, session = payload.get("sub"), payload.get("sid")
        return (user, session) if type(user) is str and type(session) is str else None

    def _payload(self, token: str) -> dict[str, Any]:
        """The claims of a token of ours, their values not yet judged. Raises Unauthenticated."""
        if len(token) > ACCESS_CHARS_MAX or _FORM.fullmatch(token) is None or token.index(".") > HEADER_CHARS_MAX:
            raise Unauthenticated
        try:
            header = jwt.get_unverified_header(token)
            if header.keys() != {"alg", "kid", "typ"} or header["typ"] != TYPE:
                raise Unauthenticated
            payload: dict[str, Any] = jwt.decode(
                token,
                self._keys[header["kid"]],
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                # The times are checked below, by the clock that was passed in and by type.
                options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, KeyError, TypeError, ValueError):
            raise Unauthenticated from None
        return payload

    def _judge(self, payload: dict[str, Any]) -> Claims:
        texts = [payload.get(name) for name in ("sub", "sid", "role", "plan", "jti")]
        issued, expires = payload.get("iat"), payload.get("exp")
        not_before = payload.get("nbf", issued)
        if not all(type(text) is str and text for text in texts) or payload.get("aud") != AUDIENCE:
            raise Unauthenticated
        # `type(…) is int` refuses floats, texts and booleans: there is one way to write a time.
        if type(issued) is not int or type(expires) is not int or type(not_before) is not int:
            raise Unauthenticated
        now = self._environment.now_ms() // 1_000
        lifetime_is_ours = 0 < expires - issued <= ACCESS_LIFETIME_S
        if not lifetime_is_ours or now >= expires + LEEWAY_S or max(issued, not_before) > now + LEEWAY_S:
            raise Unauthenticated
        return Claims(
            user=payload["sub"],
            session=payload["sid"],
            role=payload["role"],
            plan=payload["plan"],
            issued_ms=issued * 1_000,
            expires_ms=expires * 1_000,
        )


def _written(secret: bytes) -> str:
    return _REFRESH_PREFIX + base64.urlsafe_b64encode(secret).rstrip(b"=").decode("ascii")


def new_refresh_token(token_bytes: Callable[[int], bytes]) -> str:
    """Return the first refresh token of a session (T3)."""
    return _written(token_bytes(32))


def is_refresh_token(text: str) -> bool:
    """Whether `text` has the form of one; a cheap no for everything else."""
    return _REFRESH_FORM.fullmatch(text) is not None


def hash_of(token: str) -> str:
    """What is stored of a refresh token. Plain SHA-256 will do: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def successor(token: str, key: Keys) -> str:
    """The refresh token that follows `token` under this key (T4)."""
    return _written(hmac.digest(key.refresh, token.encode("ascii"), "sha256"))
