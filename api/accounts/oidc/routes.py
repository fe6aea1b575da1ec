"""The two addresses of signing in with an account elsewhere. A browser opens both.

Owns: addresses, the cookie between them, and status codes.
Refuses to know: rules (signing_in.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from api.accounts.oidc.signing_in import PENDING_MS, SignInElsewhere
from api.accounts.routes import origin
from api.accounts.shapes import SignedIn
from api.errors import (
    AddressUnconfirmed,
    AddressUnproven,
    InvalidFields,
    ProviderFailed,
    SignInDenied,
    SignInExpired,
)
from api.rest.endpoint import Call, Empty, Endpoint, Reply
from sync.errors import NotFound

COOKIE: Final = "fitai_sign_in"
_BEGIN: Final = "/api/auth/oauth/{provider}"


class Callback(msgspec.Struct, frozen=True):
    """What a provider sends a browser back with. Providers add parameters of their own, which are passed over."""

    state: str
    code: str | None = None
    error: str | None = None
    iss: str | None = None


def endpoints(elsewhere: SignInElsewhere, *, secure: bool) -> Sequence[Endpoint]:
    """Return the endpoints. secure: whether people reach the server by https."""
    # With the prefix no other host of the domain can set the cookie, and so begin a sign-in for somebody else.
    name = f"__Host-{COOKIE}" if secure else COOKIE

    def kept(value: str, seconds: int) -> dict[str, str]:
        # Lax: it comes along when the provider sends the browser back.
        attributes = f"Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
        return {"Set-Cookie": f"{name}={value}; {attributes}"}

    async def oauth_begin(call: Call[Empty, Empty]) -> web.Response:
        begun = await elsewhere.begin(call.path["provider"], origin(call))
        return web.Response(status=302, headers={"Location": begun.url} | kept(begun.cookie, PENDING_MS // 1_000))

    async def oauth_callback(call: Call[Empty, Callback]) -> Reply:
        query = call.query
        if query.code is None and query.error is None:
            raise InvalidFields(fields=[{"field": "code", "code": "required", "message": "code is required"}])
        made = await elsewhere.finish(
            call.path["provider"],
            cookie=call.request.cookies.get(name, ""),
            state=query.state,
            code=query.code if query.error is None else None,
            issuer=query.iss,
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
            description="Where the provider sends the browser back to.",
        ),
    ]
