"""A real provider of OpenID Connect on a loopback port: `async with oidc_provider() as provider: …`.

Whoever comes to its sign-in page is signed in at once, as `provider.claims` says, or refuses, as `provider.refuses`
says. It checks what a provider has to: the client and its secret, the redirect address, the code once, PKCE.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from yarl import URL

CLIENT, SECRET = "fitai client", "s3cret/with:signs"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@dataclass
class Provider:
    """One provider, and what a test may change of it."""

    redirect_uri: str = ""
    url: str = ""
    claims: dict[str, Any] = field(
        default_factory=lambda: {"sub": "ann-1", "email": "ann@example.com", "email_verified": True, "name": "Ann"}
    )
    refuses: bool = False
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=lambda: {"one": new_key()})
    # Signs an ID token's claims; the first key by RS256 where a test says nothing else.
    sign: Callable[[dict[str, Any]], str] | None = None
    description: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    # Its clock, in seconds since the epoch: the server's own, where a test moves that.
    now: Callable[[], float] = time.time
    # The paths that were called.
    calls: list[str] = field(default_factory=list)

    def signed(self, claims: dict[str, Any], *, kid: str = "one", algorithm: str = "RS256") -> str:
        return jwt.encode(claims, self.keys[kid], algorithm=algorithm, headers={"kid": kid})

    def jwk(self, kid: str) -> dict[str, Any]:
        shown: dict[str, Any] = RSAAlgorithm.to_jwk(self.keys[kid].public_key(), as_dict=True)
        return shown | {"kid": kid, "use": "sig", "alg": "RS256"}

    async def describe(self, _: web.Request) -> web.Response:
        described = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
        }
        return web.json_response(described | self.description)

    async def publish(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self.jwk(kid) for kid in self.keys]})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["client_id"] == CLIENT and asked["redirect_uri"] == self.redirect_uri
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        # As the great ones do, it sends back more than it has to.
        back = {"state": asked["state"], "iss": self.url, "authuser": "0"}
        if self.refuses:
            back |= {"error": "access_denied"}
        else:
            code = f"code {len(self.codes)}"
            self.codes[code] = asked
            back |= {"code": code}
        return web.Response(status=302, headers={"Location": str(URL(self.redirect_uri).update_query(back))})

    async def exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        proof = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert [unquote_plus(part) for part in proof.split(":")] == [CLIENT, SECRET]
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != self.redirect_uri:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(self.now())
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]} | self.claims
        token = (self.sign or self.signed)({name: value for name, value in claims.items() if value is not None})
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": token})


@asynccontextmanager
async def oidc_provider(redirect_uri: str = "") -> AsyncIterator[Provider]:
    """Serve until the block ends. redirect_uri: where it may send browsers back to."""
    made = Provider(redirect_uri)

    @web.middleware
    async def count(request: web.Request, handler: Any) -> web.StreamResponse:
        made.calls.append(request.path)
        answer: web.StreamResponse = await handler(request)
        return answer

    app = web.Application(middlewares=[count])
    app.add_routes(
        [
            web.get("/.well-known/openid-configuration", made.describe),
            web.get("/keys", made.publish),
            web.get("/authorize", made.authorize),
            web.post("/token", made.exchange),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()
