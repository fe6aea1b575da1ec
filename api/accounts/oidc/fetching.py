"""Calls to a provider, and to nowhere else.

Owns: where a call may go, and how much of an answer is read.
Refuses to know: what is asked and answered (provider.py).

Invariants
    F1  A call goes to the issuer's own origin, as the operator wrote it, or by https to a public address: a
        description that names a host of the private net, or one that resolves to it, reaches nothing. What is
        connected to is what was checked, so no name can change between the two.
    F2  No redirect is followed, no proxy of the environment is used, no cookie is kept, nothing is inflated.
    F3  An answer has at most BODY_BYTES_MAX and comes within TIMEOUT_S.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

BODY_BYTES_MAX: Final = 262_144
TIMEOUT_S: Final = 10.0
# Through it the private net may be reached under names of the public one (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class FetchError(Exception):
    """No usable answer. The message is for the log: it names the host and what happened."""


class _Public(AbstractResolver):
    """Resolves names to public addresses alone; those of one host to whatever they are."""

    def __init__(self, trusted: str) -> None:
        self._trusted = trusted
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host == self._trusted:
            return found
        public = [each for each in found if is_public(each["host"])]
        if not public:
            raise OSError(None, f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._inner.close()


class Fetcher:
    """Calls for one issuer. Close it."""

    def __init__(self, issuer: str) -> None:
        self._issuer = URL(issuer)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Any:
        """The JSON value at `url`. Raises FetchError."""
        return await self._ask("GET", url)

    async def post(self, url: str, form: Mapping[str, str], *, user: str | None, password: str = "") -> Any:
        """The JSON value that a form is answered with. Raises FetchError."""
        # RFC 6749, section 2.3.1: both parts are encoded as in a form before they become a header.
        proof: dict[str, str] = {}
        if user is not None:
            proof["Authorization"] = aiohttp.encode_basic_auth(quote_plus(user), quote_plus(password))
        return await self._ask("POST", url, data=dict(form), headers=proof)

    def check(self, url: str) -> URL:
        """`url`, where a call may go there (F1). Raises FetchError."""
        try:
            parsed = URL(url)
            origin = parsed.origin()
        except (ValueError, TypeError):
            raise FetchError("an address is no URL") from None
        if origin == self._issuer.origin():
            return parsed
        host = parsed.host or ""
        if parsed.scheme != "https" or parsed.port != 443 or parsed.user is not None:
            raise FetchError(f"{host}: only https on its own port is called")
        try:
            literal = str(ipaddress.ip_address(host))
        except ValueError:
            return parsed
        # An address is not resolved, so the resolver never sees it.
        if not is_public(literal):
            raise FetchError(f"{host} is not public")
        return parsed

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, url: str, **more: Any) -> Any:
        target = self.check(url)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_Public(self._issuer.host or ""), use_dns_cache=False, limit=8),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        try:
            async with self._session.request(method, target, allow_redirects=False, **more) as response:
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > BODY_BYTES_MAX:
                        raise FetchError(f"{target.host} answers more than is read")
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FetchError(f"{target.host} cannot be called ({type(error).__name__})") from None
        if status != 200:
            raise FetchError(f"{target.host} answers {status} to {method} {target.path}")
        try:
            return msgspec.json.decode(bytes(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise FetchError(f"{target.host} answers what is no JSON") from None


def is_public(address: str) -> bool:
    """Whether an address is one of the internet at large."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    known = mapped or parsed
    if isinstance(known, ipaddress.IPv6Address) and known in _NAT64:
        return False
    return known.is_global and not known.is_multicast
