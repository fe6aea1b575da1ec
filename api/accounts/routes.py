"""The endpoints of accounts and sessions: decode, one call, encode.

Owns: addresses, bodies, answers and status codes.
Refuses to know: rules (service.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from api.accounts.service import Accounts
from api.accounts.shapes import Session, SignedIn, Tokens, User
from api.errors import EmailUnavailable, InvalidCredentials, InvalidGrant
from api.rest.endpoint import Call, Empty, Endpoint, Reply, Shown, Strict
from sync.errors import NotFound

# An address, a password and a name; anything longer is not one of these requests.
BODY_BYTES_MAX = 16_384


class Register(Strict):
    email: str
    password: str
    name: str


class Login(Strict):
    email: str
    password: str


class Refresh(Strict):
    refresh_token: str


class Ended(Shown):
    """How many sessions ended."""

    ended: int


class Sessions(Shown):
    sessions: list[Session]


def endpoints(accounts: Accounts) -> Sequence[Endpoint]:
    """Return the endpoints, over one service, which counts attempts by itself."""

    async def register(call: Call[Register, Empty]) -> Reply:
        body = call.body
        made = await accounts.register(
            body.email, body.password, body.name, address=call.address, user_agent=call.user_agent
        )
        return Reply(made.shown(), headers=made.decision.headers())

    async def login(call: Call[Login, Empty]) -> Reply:
        body = call.body
        made = await accounts.login(body.email, body.password, address=call.address, user_agent=call.user_agent)
        return Reply(made.shown(), headers=made.decision.headers())

    async def refresh(call: Call[Refresh, Empty]) -> Reply:
        made = await accounts.refresh(call.body.refresh_token, address=call.address)
        return Reply(made.shown(), headers=made.decision.headers())

    async def logout(call: Call[Empty, Empty]) -> Ended:
        await accounts.logout(call.caller)
        return Ended(ended=1)

    async def logout_all(call: Call[Empty, Empty]) -> Ended:
        return Ended(ended=await accounts.logout_all(call.caller))

    async def list_sessions(call: Call[Empty, Empty]) -> Sessions:
        return Sessions(sessions=await accounts.list_sessions(call.caller))

    async def revoke_session(call: Call[Empty, Empty]) -> Ended:
        await accounts.revoke(call.caller, call.path["session"])
        return Ended(ended=1)

    async def me(call: Call[Empty, Empty]) -> User:
        return await accounts.me(call.caller)

    tag = "Accounts"
    return [
        Endpoint(
            "POST",
            "/api/users/register",
            register,
            "Make an account and sign in",
            tag,
            body=Register,
            answer=SignedIn,
            status=201,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(EmailUnavailable,),
            description="The password has 10 to 72 bytes in UTF-8 and is not a common one.",
            example={"email": "ann@example.com", "password": "lift heavy things", "name": "Ann"},
        ),
        Endpoint(
            "POST",
            "/api/users/login",
            login,
            "Sign in",
            tag,
            body=Login,
            answer=SignedIn,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(InvalidCredentials,),
            example={"email": "ann@example.com", "password": "lift heavy things"},
        ),
        Endpoint(
            "POST",
            "/api/auth/refresh",
            refresh,
            "Spend a refresh token for a new pair",
            tag,
            body=Refresh,
            answer=Tokens,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(InvalidGrant,),
        ),
        Endpoint("POST", "/api/auth/logout", logout, "End this session", tag, answer=Ended, keeps_answer=False),
        Endpoint(
            "POST", "/api/auth/logout-all", logout_all, "End every session", tag, answer=Ended, keeps_answer=False
        ),
        Endpoint("GET", "/api/auth/sessions", list_sessions, "One's live sessions", tag, answer=Sessions),
        Endpoint(
            "DELETE",
            "/api/auth/sessions/{session}",
            revoke_session,
            "End one session",
            tag,
            answer=Ended,
            errors=(NotFound,),
        ),
        Endpoint("GET", "/api/users/me", me, "One's own account", tag, answer=User),
    ]
