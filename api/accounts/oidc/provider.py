"""One provider of OpenID Connect: where people sign in, and what its tokens prove.

Owns: the provider's description and keys, the exchange of a code, and the strictest reading of an ID token.
Refuses to know: accounts (signing_in.py), and how a call is made (fetching.py).

Invariants
    I1  An ID token counts only with a signature by a key that the issuer publishes, by an asymmetric algorithm of our
        list: nothing in a token chooses how it is verified, and `kid` only picks among the issuer's keys.
    I2  It counts only for this client, this sign-in (`nonce`) and now; every claim is checked by type too.
    I3  A description counts only where it names the very issuer that was configured (RFC 8414, section 3.3).
    I4  An address counts as proven only where the provider says so in so many words.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from yarl import URL

from api.accounts.oidc.configuration import Provider
from api.accounts.oidc.fetching import Fetcher, FetchError
from api.errors import ProviderFailed
from sync.environment import Environment

log = logging.getLogger(__name__)

SCOPE: Final = "openid email profile"
ALGORITHMS: Final = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
# The clocks of two services.
LEEWAY_S: Final = 60
# Descriptions hardly ever change, and a key that is new is asked for when it is met.
KEPT_MS: Final = 3_600_000
ASKED_AGAIN_MS: Final = 30_000
TOKEN_CHARS_MAX: Final = 16_384
SUBJECT_CHARS_MAX: Final = 255


@dataclass(frozen=True)
class Identity:
    """Who somebody is to a provider. email: proven only where `email_verified`."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None


@dataclass(frozen=True)
class _Description:
    authorization: str
    token: str
    keys: str
    # Whether the secret goes into the form, because the provider takes no header.
    secret_in_form: bool


class OidcProvider:
    """One a process and provider. Close it."""

    def __init__(self, provider: Provider, environment: Environment) -> None:
        self.name = provider.name
        self._provider = provider
        self._environment = environment
        self._fetcher = Fetcher(provider.issuer)
        self._lock = asyncio.Lock()
        self._description: tuple[_Description, int] | None = None
        self._keys: tuple[list[Mapping[str, Any]], int] | None = None

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where the user's browser goes to sign in. Raises ProviderFailed."""
        described = await self._describe()
        asked = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return str(URL(described.authorization).update_query(asked))

    async def identity(self, *, code: str, verifier: str, nonce: str, redirect_uri: str) -> Identity:
        """Who signed in, by the code that the browser brought back. Raises ProviderFailed."""
        described = await self._describe()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        user: str | None = self._provider.client_id
        if described.secret_in_form:
            form |= {"client_id": self._provider.client_id, "client_secret": self._provider.client_secret}
            user = None
        try:
            answer = await self._fetcher.post(described.token, form, user=user, password=self._provider.client_secret)
        except FetchError as error:
            raise self._failed(str(error)) from None
        token = answer.get("id_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or len(token) > TOKEN_CHARS_MAX:
            raise self._failed("no ID token came for the code")
        return self._judge(await self._claims(token, described), nonce)

    def is_issuer(self, issuer: str) -> bool:
        """Whether this is the issuer's name."""
        return issuer == self._provider.issuer

    async def close(self) -> None:
        await self._fetcher.close()

    async def _describe(self) -> _Description:
        async with self._lock:
            now = self._environment.now_ms()
            if self._description is not None and 0 <= now - self._description[1] < KEPT_MS:
                return self._description[0]
            try:
                found = await self._fetcher.get(self._provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
                read = self._read(found)
            except FetchError as error:
                raise self._failed(str(error)) from None
            self._description = read, now
            return read

    def _read(self, found: Any) -> _Description:
        """Raises FetchError for what is no description of this issuer (I3)."""
        if not isinstance(found, dict) or found.get("issuer") != self._provider.issuer:
            raise FetchError("the description is not of this issuer")
        authorization, token, keys = (
            str(found.get(name, "")) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        )
        # The browser goes to the first by itself; it too must be no `javascript:`.
        for address in (token, keys):
            self._fetcher.check(address)
        if not authorization.startswith(("https://", self._provider.issuer)):
            raise FetchError("the description names no address to sign in at")
        ways = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        in_form = isinstance(ways, list) and "client_secret_basic" not in ways and "client_secret_post" in ways
        return _Description(authorization, token, keys, in_form)

    async def _claims(self, token: str, described: _Description) -> dict[str, Any]:
        """The claims of a token whose signature is good (I1). Raises ProviderFailed."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise self._failed("the ID token is no token") from None
        key = await self._key(header.get("kid"), str(header.get("alg")), described)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[str(header["alg"])],
                audience=self._provider.client_id,
                issuer=self._provider.issuer,
                # The times are checked below, by the clock that was passed in and by type.
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "require": ["iss", "aud"],
                    "enforce_minimum_key_length": True,
                },
            )
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise self._failed(f"the ID token is refused ({type(error).__name__})") from None
        return claims

    async def _key(self, kid: Any, algorithm: str, described: _Description) -> Any:
        """The issuer's public key of this name that may verify by this algorithm. Raises ProviderFailed."""
        for again in (False, True):
            for each in await self._published(described, again=again):
                kind = each.get("kty")
                fits = isinstance(kind, str) and algorithm in ALGORITHMS.get(kind, ())
                named = kid is None or each.get("kid") == kid
                if not fits or not named or each.get("use", "sig") != "sig" or each.get("alg", algorithm) != algorithm:
                    continue
                try:
                    return jwt.PyJWK(dict(each), algorithm=algorithm).key
                except jwt.PyJWTError:
                    continue
        raise self._failed("the issuer publishes no key that fits its ID token")

    async def _published(self, described: _Description, *, again: bool) -> list[Mapping[str, Any]]:
        async with self._lock:
            now = self._environment.now_ms()
            if self._keys is not None:
                found, read_at = self._keys
                if 0 <= now - read_at < (ASKED_AGAIN_MS if again else KEPT_MS):
                    return found
            try:
                answer = await self._fetcher.get(described.keys)
            except FetchError as error:
                raise self._failed(str(error)) from None
            keys = answer.get("keys") if isinstance(answer, dict) else None
            if not isinstance(keys, list):
                raise self._failed("the issuer publishes no keys")
            found = [each for each in keys if isinstance(each, dict)]
            self._keys = found, now
            return found

    def _judge(self, claims: dict[str, Any], nonce: str) -> Identity:
        """Who the claims are about (I2, I4). Raises ProviderFailed."""
        now = self._environment.now_ms() // 1_000
        expires, issued, not_before = (self._moment(claims.get(*name)) for name in (("exp",), ("iat",), ("nbf", 0)))
        subject, given = claims.get("sub"), claims.get("nonce")
        if now - LEEWAY_S >= expires or max(issued, not_before) >= now + LEEWAY_S:
            raise self._failed("the ID token is not of now")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise self._failed("the ID token is of another sign-in")
        audience, party = claims["aud"], claims.get("azp")
        several = isinstance(audience, list) and len(audience) > 1
        if (party is not None or several) and party != self._provider.client_id:
            raise self._failed("the ID token was made for another client")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX or "\0" in subject:
            raise self._failed("the ID token names nobody")
        email, name, proven = claims.get("email"), claims.get("name"), claims.get("email_verified")
        return Identity(
            issuer=self._provider.issuer,
            subject=subject,
            email=email if isinstance(email, str) else None,
            email_verified=proven is True or proven == "true",  # A text at some providers.
            name=name if isinstance(name, str) else None,
        )

    def _moment(self, value: Any) -> float:
        if type(value) not in (int, float):
            raise self._failed("the ID token has no times")
        return float(value)

    def _failed(self, why: str) -> ProviderFailed:
        log.warning("sign-in with %s: %s", self.name, why)
        return ProviderFailed()
