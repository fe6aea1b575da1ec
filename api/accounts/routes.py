"""The routes of accounts and sessions: decode, one call, encode.

Owns: addresses, methods and status codes.
Refuses to know: rules (service.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from api.accounts.service import Accounts
from api.http import Network, caller, client_address, read_json, success, text_fields

# An address, a password and a name; anything longer is not one of these requests.
BODY_BYTES_MAX = 16_384


def routes(accounts: Accounts, trusted_proxies: Sequence[Network]) -> list[web.RouteDef]:
    """Return the routes, over one service. `trusted_proxies`: whose X-Forwarded-For counts."""

    def origin(request: web.Request) -> dict[str, str]:
        return {
            "address": client_address(request, trusted_proxies),
            "user_agent": request.headers.get("User-Agent", ""),
        }

    async def register(request: web.Request) -> web.Response:
        body = text_fields(await read_json(request, limit=BODY_BYTES_MAX), required=("email", "password", "name"))
        made = await accounts.register(body["email"], body["password"], body["name"], **origin(request))
        return success(request, made.shown(), status=201, headers=made.decision.headers())

    async def login(request: web.Request) -> web.Response:
        body = text_fields(await read_json(request, limit=BODY_BYTES_MAX), required=("email", "password"))
        made = await accounts.login(body["email"], body["password"], **origin(request))
        return success(request, made.shown(), headers=made.decision.headers())

    async def refresh(request: web.Request) -> web.Response:
        body = text_fields(await read_json(request, limit=BODY_BYTES_MAX), required=("refresh_token",))
        made = await accounts.refresh(body["refresh_token"], address=client_address(request, trusted_proxies))
        return success(request, made.shown(), headers=made.decision.headers())

    async def logout(request: web.Request) -> web.Response:
        await accounts.logout(caller(request))
        return success(request, {"ended": 1})

    async def logout_all(request: web.Request) -> web.Response:
        return success(request, {"ended": await accounts.logout_all(caller(request))})

    async def list_sessions(request: web.Request) -> web.Response:
        return success(request, {"sessions": await accounts.list_sessions(caller(request))})

    async def revoke_session(request: web.Request) -> web.Response:
        await accounts.revoke(caller(request), request.match_info["session"])
        return success(request, {"ended": 1})

    async def me(request: web.Request) -> web.Response:
        return success(request, (await accounts.me(caller(request))).shown())

    table: list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]] = [
        ("POST", "/api/users/register", register),
        ("POST", "/api/users/login", login),
        ("GET", "/api/users/me", me),
        ("POST", "/api/auth/refresh", refresh),
        ("POST", "/api/auth/logout", logout),
        ("POST", "/api/auth/logout-all", logout_all),
        ("GET", "/api/auth/sessions", list_sessions),
        ("DELETE", "/api/auth/sessions/{session}", revoke_session),
    ]
    return [web.route(method, path, handler) for method, path, handler in table]
