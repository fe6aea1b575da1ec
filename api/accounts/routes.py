"""The endpoints of accounts and sessions: decode, one call, encode.

Owns: addresses, bodies, answers and status codes.
Refuses to know: rules (service.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from api.accounts.model import Origin, normal, wrong_fields
from api.accounts.service import Accounts
from api.accounts.shapes import Session, SignedIn, Tokens, User
from api.errors import EmailUnavailable, FreshSignInNeeded, InvalidCredentials, InvalidGrant, InvalidLink, WrongPassword
from api.http import bearer_token
from api.rate_limits import Decision
from api.rest.endpoint import Call, Empty, Endpoint, Fault, Reply, Shown, Strict
from api.rest.formats import Email, Password
from sync.errors import AccountErased, NotFound

# An address, a password and a name; anything longer is not one of these requests.
BODY_BYTES_MAX: Final = 16_384

_PASSWORD: Final = "The password has 10 to 72 bytes in UTF-8 and is not a common one."
_BY_MAIL: Final = " A mail goes to the address; its link makes the account. The answer is the same for every address."
_ALIKE: Final = "The answer is the same for every address, whether or not it has an account."


class Register(Strict):
    email: Email
    password: Password
    name: str

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        email, name = given.get("email"), given.get("name")
        return wrong_fields(
            None if email is None else normal(email), given.get("password"), None if name is None else normal(name)
        )


class Login(Strict):
    email: Email
    password: Password


class Refresh(Strict):
    refresh_token: str


class Address(Strict):
    email: Email


class Link(Strict):
    """The token of a link in a mail."""

    token: str


class Reset(Link):
    password: Password


class PasswordChange(Strict):
    """`current_password` is left out where the account has none and the session is fresh."""

    new_password: Password
    current_password: Password | None = None


class Accepted(Shown):
    """A mail is sent, if there is something to send to this address."""

    accepted: Literal[True] = True


class Verified(Shown):
    """The address that was proven."""

    email: str


class Ended(Shown):
    """How many sessions ended."""

    ended: int


class Sessions(Shown):
    sessions: list[Session]


def origin(call: Call[Any, Any]) -> Origin:
    """Where a request came from."""
    return Origin(call.address, call.user_agent)


def endpoints(accounts: Accounts) -> Sequence[Endpoint]:
    """Return the endpoints, over one service, which counts attempts by itself."""
    sessions, recovery, verification = accounts.sessions, accounts.recovery, accounts.verification

    async def register(call: Call[Register, Empty]) -> Reply:
        body = call.body
        made = await accounts.sign_up.register(body.email, body.password, body.name, origin(call))
        if isinstance(made, Decision):
            return Reply(Accepted(), headers=made.headers())
        return Reply(made.shown(), headers=made.decision.headers())

    async def login(call: Call[Login, Empty]) -> Reply:
        made = await accounts.sign_in.login(call.body.email, call.body.password, origin(call))
        return Reply(made.shown(), headers=made.decision.headers())

    async def refresh(call: Call[Refresh, Empty]) -> Reply:
        made = await sessions.refresh(call.body.refresh_token, origin(call), bearer_token(call.request))
        return Reply(made.shown(), headers=made.decision.headers())

    async def logout(call: Call[Empty, Empty]) -> Ended:
        await sessions.logout(call.caller, origin(call))
        return Ended(ended=1)

    async def logout_all(call: Call[Empty, Empty]) -> Ended:
        return Ended(ended=await sessions.logout_all(call.caller, origin(call)))

    async def list_sessions(call: Call[Empty, Empty]) -> Sessions:
        return Sessions(sessions=await sessions.live(call.caller))

    async def revoke_session(call: Call[Empty, Empty]) -> Ended:
        await sessions.revoke(call.caller, call.path["session"], origin(call))
        return Ended(ended=1)

    async def verify_email(call: Call[Link, Empty]) -> Reply:
        email, decision = await verification.verify(call.body.token, origin(call))
        return Reply(Verified(email=email), headers=decision.headers())

    async def resend_verification(call: Call[Address, Empty]) -> Reply:
        return Reply(Accepted(), headers=(await verification.resend(call.body.email, origin(call))).headers())

    async def forgot_password(call: Call[Address, Empty]) -> Reply:
        return Reply(Accepted(), headers=(await recovery.forgot(call.body.email, origin(call))).headers())

    async def reset_password(call: Call[Reset, Empty]) -> Reply:
        ended, decision = await recovery.reset(call.body.token, call.body.password, origin(call))
        return Reply(Ended(ended=ended), headers=decision.headers())

    async def change_password(call: Call[PasswordChange, Empty]) -> Reply:
        body = call.body
        ended, decision = await recovery.change(call.caller, body.current_password, body.new_password, origin(call))
        return Reply(Ended(ended=ended), headers=decision.headers())

    async def me(call: Call[Empty, Empty]) -> User:
        return await accounts.me(call.caller)

    tag = "Accounts"
    confirmed = accounts.sign_up.confirmed
    return [
        Endpoint(
            "POST",
            "/api/users/register",
            register,
            "Make an account and sign in",
            tag,
            body=Register,
            answer=Accepted if confirmed else SignedIn,
            status=202 if confirmed else 201,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=() if confirmed else (EmailUnavailable,),
            description=_PASSWORD + (_BY_MAIL if confirmed else ""),
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
            errors=(InvalidGrant, AccountErased),
            description="Send the access token that it renews along, expired or not: only so can a device be told, "
            "long afterwards, that its account was deleted.",
        ),
        Endpoint("POST", "/api/auth/logout", logout, "End this session", tag, answer=Ended, keeps_answer=False),
        Endpoint(
            "POST", "/api/auth/logout-all", logout_all, "End every session", tag, answer=Ended, keeps_answer=False
        ),
        Endpoint("GET", "/api/auth/sessions", list_sessions, "One's live sessions", tag, answer=Sessions, etag=True),
        Endpoint(
            "DELETE",
            "/api/auth/sessions/{session}",
            revoke_session,
            "End one session",
            tag,
            answer=Ended,
            errors=(NotFound,),
        ),
        Endpoint(
            "POST",
            "/api/users/verify-email",
            verify_email,
            "Prove an address by the link of a mail",
            tag,
            body=Link,
            answer=Verified,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(InvalidLink, EmailUnavailable),
            description="Where registrations are confirmed, the account is made by this.",
        ),
        Endpoint(
            "POST",
            "/api/users/resend-verification",
            resend_verification,
            "Ask for another link that proves an address",
            tag,
            body=Address,
            answer=Accepted,
            status=202,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            description=f"{_ALIKE} The link of an earlier such mail is no good from then on.",
        ),
        Endpoint(
            "POST",
            "/api/users/forgot-password",
            forgot_password,
            "Ask for a link that sets a new password",
            tag,
            body=Address,
            answer=Accepted,
            status=202,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            description=f"{_ALIKE} The link of an earlier such mail is no good from then on.",
        ),
        Endpoint(
            "POST",
            "/api/users/reset-password",
            reset_password,
            "Set a new password by the link of a mail",
            tag,
            body=Reset,
            answer=Ended,
            public=True,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(InvalidLink,),
            description="Ends every session of the account. " + _PASSWORD,
        ),
        Endpoint(
            "POST",
            "/api/users/change-password",
            change_password,
            "Change one's password, or set the first one",
            tag,
            body=PasswordChange,
            answer=Ended,
            keeps_answer=False,
            limit=None,
            body_bytes_max=BODY_BYTES_MAX,
            errors=(WrongPassword, FreshSignInNeeded),
            description="Ends every other session of the account. An account without a password, which signs in "
            "elsewhere, gets its first one, in a session that was opened in the last ten minutes. " + _PASSWORD,
        ),
        Endpoint("GET", "/api/users/me", me, "One's own account", tag, answer=User, etag=True),
    ]
