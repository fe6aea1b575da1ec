"""Every failure as one envelope, and the one place where exceptions become answers.

Owns: the errors that only HTTP has (below), the envelope, and the middleware that turns what a handler raised
into an answer: these errors, `SyncError` of the sync side, aiohttp's own (404, 405, …), the storage layer's,
and whatever nobody expected.
Refuses to know: what any error means to a device; the protocol says that.

    SyncError (sync/errors.py: Malformed, Unauthenticated, NotFound, TooLarge, …)
    └── ApiError                  status  what the caller does next
        ├── InvalidLink              400  ask for another mail
        ├── SignInExpired            400  begin to sign in again
        ├── InvalidCredentials       401  type the address and the password again
        ├── InvalidGrant             401  sign in again
        ├── WrongPassword            403  type the current password again
        ├── FreshSignInNeeded        403  sign in with the provider once more, then send the same again
        ├── SignInDenied             403  sign in in another way
        ├── AddressUnproven          403  prove the address to the provider
        ├── OriginDenied             403  ask the operator to allow the origin
        ├── RequestTimeout           408  send the same again, faster
        ├── EmailUnavailable         409  sign in, or use another address
        ├── AddressUnconfirmed       409  sign in with the password, and confirm the address
        ├── UnsupportedMediaType     415  send JSON, as it is or as gzip
        ├── RateLimited              429  wait for Retry-After
        ├── ProviderFailed           502  try again later, or sign in with the password
        └── Busy                     503  wait for Retry-After, send the same again

Invariants
    E1  No answer holds a traceback, an exception's class, a statement or a path of this machine.
    E2  Every failure carries the request id under which the log has the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from api.shedding import Line
from conflict.clock import rfc3339
from storage.errors import StorageError
from sync.environment import Environment
from sync.errors import InvalidFields as InvalidFields  # what the areas of api/ raise most
from sync.errors import SyncError

log = logging.getLogger(__name__)

ENVIRONMENT: Final = web.AppKey("environment", Environment)
REQUEST_ID: Final = web.RequestKey("request_id", str)
LINE: Final = web.AppKey("line", Line)
# Set once the head of the answer has gone out: from then on nothing else can be answered.
ANSWERED: Final = web.RequestKey("answered", bool)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(SyncError):
    """A failure that only HTTP has. `headers` go onto the answer."""

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.headers = dict(headers or {})


class InvalidLink(ApiError):
    code = "invalid_link"
    status = 400
    default = "The link is unknown, was used already, or has expired; ask for another one."


class SignInExpired(ApiError):
    code = "sign_in_expired"
    status = 400
    default = "This sign-in was begun in another browser, or too long ago; begin again."


class InvalidCredentials(ApiError):
    code = "invalid_credentials"
    status = 401
    default = "The address or the password is wrong."


class InvalidGrant(ApiError):
    code = "invalid_grant"
    status = 401
    default = "The refresh token is unknown, expired or revoked; sign in again."


class WrongPassword(ApiError):
    """Not 401, which would say that the access token is no good."""

    code = "wrong_password"
    status = 403
    default = "The password is wrong; this needs the present password of the account."


class FreshSignInNeeded(ApiError):
    """Of an account without a password, which therefore cannot give it once more."""

    code = "fresh_sign_in_needed"
    status = 403
    default = (
        "Your account has no password, so this needs a fresh sign-in; sign in once more with your provider, and send "
        "this within ten minutes."
    )


class SignInDenied(ApiError):
    code = "sign_in_denied"
    status = 403
    default = "You were not signed in there, or your account here is closed; sign in in another way."


class AddressUnproven(ApiError):
    code = "address_unproven"
    status = 403
    default = "The provider does not say that your mail address is yours; confirm it there, or sign up with a password."


class OriginDenied(ApiError):
    code = "origin_denied"
    status = 403
    default = "Pages of this origin may not call this server; the operator can allow it in FITAI_CORS_ORIGINS."


class RequestTimeout(ApiError):
    code = "request_timeout"
    status = 408
    default = "The body of the request arrived too slowly; send it again."


class EmailUnavailable(ApiError):
    code = "email_unavailable"
    status = 409
    default = "No account can be made for this address; sign in, or use another one."


class AddressUnconfirmed(ApiError):
    code = "address_unconfirmed"
    status = 409
    default = (
        "Your address has an account here that nobody has confirmed; sign in with its password, or set a new one by "
        "“forgot password”, and come back."
    )


class UnsupportedMediaType(ApiError):
    code = "unsupported_media_type"
    status = 415
    default = "The body must be JSON (Content-Type: application/json)."


class RateLimited(ApiError):
    code = "rate_limited"
    status = 429
    default = "Too many requests; wait before the next one."


class ProviderFailed(ApiError):
    code = "provider_failed"
    status = 502
    default = "The provider did not answer as it should; try again later, or sign in with your password."


class Busy(ApiError):
    code = "busy"
    status = 503
    default = "The server is busy; wait a moment and send the same again."
    # How much room what was refused takes in the line of those who come back (api/shedding.py).
    places = 1


# Codes of what aiohttp refuses by itself; every other status gets its phrase in snake_case.
_HTTP: Final[dict[int, tuple[str, str]]] = {
    400: ("malformed", "The request is malformed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know the method; the Allow header lists those it knows."),
    413: ("too_large", "The body of the request is too large."),
    415: ("unsupported_media_type", "The server cannot read this kind of body."),
    417: ("expectation_failed", "The server knows no expectation but 100-continue."),
}


def envelope(*, error: str, code: str, details: Any, request_id: str, now_ms: int) -> bytes:
    """The body of every failure."""
    body: dict[str, Any] = {"success": False, "error": error, "code": code}
    if details is not None:
        body["details"] = details
    body["meta"] = {"request_id": request_id, "timestamp": rfc3339(now_ms)}
    return msgspec.json.encode(body)


def failure(
    request: web.Request,
    *,
    status: int,
    code: str,
    error: str,
    details: Any = None,
    retry_after_s: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """The answer for one failure of `request`."""
    response = web.Response(
        status=status,
        body=envelope(
            error=error,
            code=code,
            details=details,
            request_id=request.get(REQUEST_ID, ""),
            now_ms=request.app[ENVIRONMENT].now_ms(),
        ),
        content_type="application/json",
        headers=headers,
    )
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if status == 401:
        response.headers.setdefault("WWW-Authenticate", "Bearer")
    if status in (408, 413):
        # What is still on its way is not worth reading to the end.
        response.force_close()
    return response


def of_error(request: web.Request, error: SyncError) -> web.Response:
    """The answer for an error of ours."""
    own = error if isinstance(error, ApiError) else None
    return failure(
        request,
        status=error.status,
        code=error.code,
        error=error.message,
        details=error.fields if isinstance(error, InvalidFields) and error.fields else error.details,
        retry_after_s=_retry_after_s(request, error),
        headers=own.headers if own is not None else None,
    )


def _retry_after_s(request: web.Request, error: SyncError) -> int | None:
    """What the error says, but nobody who is refused for the server's sake comes back before their turn."""
    if error.status != 503:
        return error.retry_after_s
    places = error.places if isinstance(error, Busy) else 1
    return max(error.retry_after_s or 0, request.app[LINE].retry_after_s(places))


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what the handler raised into an answer; the module's docstring has the rules."""
    try:
        return await handler(request)
    except SyncError as error:
        return of_error(request, error)
    except StorageError as error:
        log.warning("storage failed for request %s: %s", request.get(REQUEST_ID), error)
        return failure(
            request,
            status=503,
            code="unavailable",
            error="The server cannot reach its data at the moment; wait and send the same again.",
            retry_after_s=request.app[LINE].retry_after_s(),
        )
    except web.HTTPException as error:
        return _of_aiohttp(request, error)
    except ConnectionError:
        raise  # The client is gone; there is nobody to answer.
    except Exception:
        # Whatever it was, the client learns only the id, and the log has the rest (E1, E2).
        log.exception("request %s failed unexpectedly", request.get(REQUEST_ID))
        if request.get(ANSWERED):
            raise
        return failure(
            request,
            status=500,
            code="internal",
            error="The server failed unexpectedly; report the request id if it happens again.",
        )


def in_envelope(request: web.Request, error: web.HTTPException) -> None:
    """Give a failure of aiohttp's that is on its way already the body of ours."""
    code, message = _worded(error.status)
    body = envelope(
        error=message,
        code=code,
        details=None,
        request_id=request.get(REQUEST_ID, ""),
        now_ms=request.app[ENVIRONMENT].now_ms(),
    )
    error.body = body
    error.content_type = "application/json"
    error.charset = None
    # Its head is written down already, though not sent.
    error.headers["Content-Length"] = str(len(body))


def _worded(status: int) -> tuple[str, str]:
    fallback = HTTPStatus(status).phrase
    return _HTTP.get(status, (fallback.lower().replace(" ", "_"), f"{fallback}."))


def _of_aiohttp(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    code, message = _worded(error.status)
    allow = {"Allow": ", ".join(sorted(error.allowed_methods))} if isinstance(error, web.HTTPMethodNotAllowed) else None
    return failure(request, status=error.status, code=code, error=message, headers=allow)
