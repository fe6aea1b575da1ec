"""The addresses of signing in with an account elsewhere. A browser opens two, whoever began it calls the third.

Owns: addresses, the cookie between them, where a browser lands, and status codes.
Refuses to know: rules (signing_in.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from api.accounts import page
from api.accounts.oidc.pending import PENDING_MS, Landing
from api.accounts.oidc.signing_in import Back, SignInElsewhere
from api.accounts.routes import BODY_BYTES_MAX, origin
from api.accounts.shapes import SignedIn
from api.errors import (
    AddressUnconfirmed,
    AddressUnproven,
    InvalidFields,
    ProviderFailed,
    SignInDenied,
    SignInExpired,
)
from api.rest.endpoint import Call, Empty, Endpoint, Reply, Strict
from sync.errors import NotFound

COOKIE: Final = "fitai_sign_in"
_BEGIN: Final = "/api/auth/oauth/{provider}"
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Begin(Strict):
    """Where the browser is to go in the end. Without it a browser lands on this server's own page."""

    return_to: str | None = None
    # S256 of a secret of whoever begins (RFC 7636); `exchange` asks for the secret.
    code_challenge: str | None = None


class Callback(msgspec.Struct, frozen=True):
    """What a provider sends a browser back with. Providers add parameters of their own, which are passed over."""

    state: str
    code: str | None = None
    error: str | None = None
    iss: str | None = None


class Exchange(Strict):
    """The code that a browser brought, and the secret behind the challenge."""

    code: str
    code_verifier: str | None = None


def endpoints(elsewhere: SignInElsewhere, *, public_url: str, return_urls: Sequence[str]) -> Sequence[Endpoint]:
    """Return the endpoints. return_urls: where browsers may be sent beside our own page, each exactly so."""
    own_page = public_url.rstrip("/") + page.PATH
    secure = public_url.startswith("https:")
    # With the prefix no other host of the domain can set the cookie, and so begin a sign-in for somebody else.
    name = f"__Host-{COOKIE}" if secure else COOKIE

    def kept(value: str, seconds: int) -> dict[str, str]:
        # Lax: it comes along when the provider sends the browser back.
        attributes = f"Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
        return {"Set-Cookie": f"{name}={value}; {attributes}"}

    def landing(asked: Begin) -> Landing | None:
        """Where the browser is to go, as it was asked. Raises InvalidFields."""
        if asked.return_to is None and asked.code_challenge is None:
            return None
        wrong = []
        if asked.return_to not in return_urls:
            wrong.append(_wrong("return_to", "unknown_value", "must be one of FITAI_RETURN_URLS"))
        if asked.code_challenge is None or _CHALLENGE.fullmatch(asked.code_challenge) is None:
            wrong.append(_wrong("code_challenge", "wrong_format", "must be an S256 challenge of 43 characters"))
        if wrong or asked.return_to is None or asked.code_challenge is None:
            raise InvalidFields(fields=wrong)
        return Landing(asked.return_to, asked.code_challenge)

    async def oauth_begin(call: Call[Empty, Begin]) -> web.Response:
        begun = await elsewhere.begin(call.path["provider"], origin(call), landing(call.query))
        headers = {"Location": begun.url} | kept(begun.cookie, PENDING_MS // 1_000) | begun.decision.headers()
        return web.Response(status=302, headers=headers)

    async def oauth_callback(call: Call[Empty, Callback]) -> Reply | web.Response:
        query, provider = call.query, call.path["provider"]
        if query.code is None and query.error is None:
            raise InvalidFields(fields=[_wrong("code", "required", "is required")])
        cookie = call.request.cookies.get(name, "")
        back = Back(cookie, query.state, query.code if query.error is None else None, query.iss)
        wanted = elsewhere.landing(provider, cookie)
        if wanted is None and "text/html" not in call.request.headers.get("Accept", ""):
            made = await elsewhere.finish(provider, back, origin(call))
            return Reply(made.shown(), headers=dict(made.decision.headers()) | kept("", 0))
        try:
            told = {"code": await elsewhere.leave(provider, back, origin(call))}
        except page.SIGN_IN_ERRORS as error:
            told = {"error": error.code}
        if wanted is not None:
            address = f"{wanted.url}#{urlencode({'provider': provider} | told)}"
        elif "error" in told:
            address = f"{own_page}#sign-in-error={told['error']}"
        else:
            address = f"{own_page}#sign-in={provider}.{told['code']}"
        # Our own page proves by the cookie that it is who began.
        done = wanted is not None or "error" in told
        return web.Response(status=302, headers={"Location": address} | (kept("", 0) if done else {}))

    async def oauth_exchange(call: Call[Exchange, Empty]) -> Reply:
        made = await elsewhere.exchange(
            call.path["provider"],
            call.body.code,
            verifier=call.body.code_verifier,
            cookie=call.request.cookies.get(name, ""),
            origin=origin(call),
        )
        return Reply(made.shown(), headers=dict(made.decision.headers()) | kept("", 0))

    return [
        Endpoint(
            "GET",
            _BEGIN,
            oauth_begin,
            "Begin to sign in with an account elsewhere",
            "Accounts",
            status=302,
            public=True,
            query=Begin,
            limit=None,
            errors=(NotFound, ProviderFailed),
            description="Open it in a browser: it leads to the provider, and from there to the callback.",
        ),
        Endpoint(
            "GET",
            _BEGIN + "/callback",
            oauth_callback,
            "Finish to sign in with an account elsewhere",
            "Accounts",
            query=Callback,
            answer=SignedIn,
            public=True,
            limit=None,
            errors=(NotFound, SignInExpired, SignInDenied, AddressUnproven, AddressUnconfirmed, ProviderFailed),
            redirects=True,
            description="Where the provider sends the browser back to. Whoever accepts text/html, or named a "
            "`return_to`, is sent on to a page with a code, which `exchange` takes; others get the tokens at once.",
        ),
        Endpoint(
            "POST",
            _BEGIN + "/exchange",
            oauth_exchange,
            "Get the tokens for the code of a sign-in elsewhere",
            "Accounts",
            body=Exchange,
            answer=SignedIn,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(NotFound, SignInExpired),
            description="Within two minutes, once, and by whoever began: with the `code_verifier` of the challenge.",
        ),
    ]


def _wrong(field: str, code: str, what: str) -> dict[str, str]:
    return {"field": field, "code": code, "message": f"{field} {what}"}
