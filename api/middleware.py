"""What happens to every request before and after its handler.

Owns, from the outside in: the request id and the count of requests in flight (`track`), CORS (`share`), the
envelope of failures (api/errors.py), and authentication (`authenticate`); and the security headers, which
`dress` puts on every answer, sockets and failures included.
Refuses to know: how a token is verified (api/accounts/authenticator.py), and what a route does.

Invariants
    M1  A route under /api answers 401 without a valid access token, unless PUBLIC or its endpoint says otherwise.
    M2  No answer names a product or a version, but for our own, and only where `/` is asked for them.
    M3  A token counts only in the Authorization header. In a query string it would be in every log on the way.
    M4  No origin may read an answer, unless the operator named it; none at all by default.
    M5  An address has the methods that were declared for it, and not those of another one whose variable part would
        also take its last word.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from api.accounts.authenticator import Authenticator
from api.errors import ANSWERED, ENVIRONMENT, REQUEST_ID, Handler, OriginDenied, in_envelope, of_error
from api.http import CALLER, LIMIT_HEADERS, bearer_token
from api.settings import Settings
from storage.pool import begin_work
from sync.errors import Unauthenticated

# What needs no access token, beside the endpoints that say so. The socket authenticates by its hello instead.
PUBLIC: Final = frozenset(
    {("GET", "/api/sync"), ("GET", "/api/sync/live"), ("GET", "/api/openapi.json"), ("GET", "/api/docs")}
)
# The whole list, put together in api/app.py: (method, path).
OPEN: Final = web.AppKey("open", frozenset[tuple[str, str]])

# By address, for those without variable parts; put together in api/app.py.
METHODS: Final = web.AppKey("methods", Mapping[str, frozenset[str]])

SETTINGS: Final = web.AppKey("settings", Settings)
AUTHENTICATOR: Final = web.AppKey("authenticator", Authenticator)
# Awaited when the server begins to stop, while connections still work: the live sockets say 1012 here.
DRAIN_HOOKS: Final = web.AppKey("drain_hooks", list[Callable[[], Awaitable[None]]])


class Traffic:
    """How many requests are in flight, and whether the server is about to stop."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        self.in_flight += 1
        self._idle.clear()

    def end(self) -> None:
        self.in_flight -= 1
        if self.in_flight == 0:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Return once no request is in flight."""
        await self._idle.wait()


TRAFFIC: Final = web.AppKey("traffic", Traffic)

# An id from a proxy in front is kept, so that both logs agree; anything else could forge log lines.
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_.-]{8,64}")
# What a device id may look like at most; whether it is one is the sync engine's to say.
_DEVICE: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TOKEN_PARAMETERS: Final = ("access_token", "token", "refresh_token", "authorization")

_ALLOWED_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS: Final = (
    "Authorization, Content-Type, Content-Encoding, Idempotency-Key, If-Match, If-None-Match, "
    "Sync-Device, Sync-Protocol, X-Request-ID"
)
_EXPOSED_HEADERS: Final = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"
_PREFLIGHT_MAX_AGE_S: Final = 600


@web.middleware
async def track(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Name the request and count it while it is in flight."""
    given = request.headers.get("X-Request-ID", "")
    kept = _REQUEST_ID.fullmatch(given) is not None
    request[REQUEST_ID] = given if kept else request.app[ENVIRONMENT].token_bytes(12).hex()
    # Where the database was opened, a connection was had: what comes in is none of that work.
    begin_work()
    traffic = request.app[TRAFFIC]
    traffic.begin()
    try:
        response = await handler(request)
        if traffic.draining:
            response.force_close()
        return response
    finally:
        traffic.end()


@web.middleware
async def share(request: web.Request, handler: Handler) -> web.StreamResponse:
    """CORS. Tokens travel in a header and never in a cookie, so there are no credentials to allow."""
    origin = request.headers.get("Origin")
    if origin is None:
        return await handler(request)
    allowed = origin in request.app[SETTINGS].cors_origins
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        if not allowed:
            return of_error(request, OriginDenied())
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": _ALLOWED_METHODS,
                "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
                "Access-Control-Max-Age": str(_PREFLIGHT_MAX_AGE_S),
                "Vary": "Origin",
            },
        )
    response = await handler(request)
    if not response.prepared:
        response.headers.add("Vary", "Origin")
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
    return response


def methods_by_path(router: web.UrlDispatcher) -> Mapping[str, frozenset[str]]:
    """The methods of each address without variable parts."""
    found: dict[str, frozenset[str]] = {}
    for resource in router.resources():
        if isinstance(resource, web.PlainResource):
            methods = frozenset(route.method for route in resource)
            found[resource.canonical] = found.get(resource.canonical, frozenset()) | methods
    return found


@web.middleware
async def know_methods(request: web.Request, handler: Handler) -> web.StreamResponse:
    """405 for a method that an address does not have (M5), and to OPTIONS which ones it has."""
    methods = request.app[METHODS].get(request.path)
    error = request.match_info.http_exception
    if methods is None and isinstance(error, web.HTTPMethodNotAllowed):
        methods = frozenset(error.allowed_methods)
    if methods is None or request.method in methods:
        return await handler(request)
    if request.method == "OPTIONS":
        return web.Response(status=204, headers={"Allow": ", ".join(sorted({*methods, "OPTIONS"}))})
    raise web.HTTPMethodNotAllowed(request.method, methods)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out who is calling (M1), before any body is read."""
    resource = request.match_info.route.resource
    if resource is None or not resource.canonical.startswith("/api"):
        return await handler(request)  # Not an address of ours, or one of the operator's (/health).
    path = re.sub(r"^/api/v1(?=/|$)", "/api", resource.canonical)
    if any(name in request.query for name in _TOKEN_PARAMETERS):
        raise Unauthenticated("A token belongs into the Authorization header, never into the address.")
    # HEAD is a GET whose body is thrown away.
    method = "GET" if request.method == "HEAD" else request.method
    if (method, path) not in request.app[OPEN]:
        token = bearer_token(request)
        if token is None:
            raise Unauthenticated
        device = request.headers.get("Sync-Device", "")
        request[CALLER] = await request.app[AUTHENTICATOR].authenticate(
            token, device=device if _DEVICE.fullmatch(device) else None
        )
    return await handler(request)


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer that is about to go out (M2)."""
    request[ANSWERED] = True
    if isinstance(response, web.HTTPException) and REQUEST_ID not in request:
        # An expectation (RFC 9110, section 10.1.1) is refused by aiohttp itself, before any middleware.
        request[REQUEST_ID] = request.app[ENVIRONMENT].token_bytes(12).hex()
        in_envelope(request, response)
    headers = response.headers
    headers.popall("Server", None)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Request-ID"] = request.get(REQUEST_ID, "")
    for name, value in request.get(LIMIT_HEADERS, {}).items():
        headers.setdefault(name, value)
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    # Everything here is somebody's own data, or changes with every commit.
    headers.setdefault("Cache-Control", "no-store")
    public_url = request.app[SETTINGS].public_url
    if public_url is not None and public_url.startswith("https://"):
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
