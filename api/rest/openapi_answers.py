"""What an endpoint may answer, as the OpenAPI document says it: its success, and every failure.

Owns: which headers stand on which answer, the shape around what an endpoint answers with, and what any endpoint may
fail with beside its own errors.
Refuses to know: any one endpoint, and what it is asked with (openapi.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from api.errors import (
    Busy,
    InvalidFields,
    RateLimited,
    RequestTimeout,
    UnsupportedMediaType,
)
from api.rest.endpoint import Endpoint, Permission
from api.rest.idempotency import AnswerNotKept, RequestInProgress
from sync.errors import (
    AccountErased,
    Malformed,
    NotFound,
    PreconditionFailed,
    SyncError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

JSON: Final = "application/json"

# What answers carry beside their bodies; which of them stands where, `_headers` says.
_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "X-Request-ID": {"description": "Under this the server's log has the rest; one that the request named is kept."},
    "ETag": {"description": "The version of what is shown, for If-None-Match and If-Match."},
    "Location": {"description": "Where that which was made stands."},
    "Idempotent-Replayed": {"description": "This is the first answer again.", "schema": {"const": "true"}},
    "Content-Disposition": {"description": "The name of the file."},
    "Last-Modified": {"description": "When the file was made."},
    "Accept-Ranges": {"description": "A part may be asked for."},
    "Content-Range": {"description": "Which part it is, and of how much."},
    "RateLimit": {"description": "How much is left, and until when."},
    "RateLimit-Policy": {"description": "How much there is."},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "What is to stand in Authorization.", "schema": {"const": "Bearer"}},
    "Accept-Encoding": {"description": "Which Content-Encodings a body may have."},
    "Vary": {"description": "By what of the request the answer goes."},
    "Set-Cookie": {"description": "For the next step of the sign-in."},
}
# Beside X-Request-ID, which every answer has, by the status of a failure: the header, and whether it is always there.
_OF_FAILURES: Final[dict[int, dict[str, bool]]] = {
    401: {"WWW-Authenticate": True},
    409: {"Retry-After": False},
    415: {"Accept-Encoding": False},
    429: {"Retry-After": True},
    503: {"Retry-After": True},
}
_LIMITED: Final = {"RateLimit": False, "RateLimit-Policy": False}
# A header that an answer always has is another component than the same one that it may have.
_ALWAYS: Final = "-always"

_META: Final = {
    "type": "object",
    "required": ["request_id", "timestamp"],
    "properties": {
        "request_id": {"type": "string", "description": "Under this the server's log has the rest."},
        "timestamp": {"type": "string", "format": "date-time"},
        "pagination": {
            "type": "object",
            "properties": {
                "page": {"type": "integer"},
                "limit": {"type": "integer"},
                "total": {"type": "integer"},
                "cursor": {"type": ["string", "null"], "description": "What the next request sends; null at the end."},
            },
        },
    },
}
_FAILURE: Final = {
    "type": "object",
    "required": ["success", "error", "code", "meta"],
    "properties": {
        "success": {"const": False},
        "error": {"type": "string", "description": "One sentence for a person."},
        "code": {"type": "string", "description": "For programs; it never changes its meaning."},
        "details": {
            "description": "Which fields are wrong, or the facts of the failure.",
            "anyOf": [
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["field", "code", "message"],
                        "properties": {
                            "field": {"type": "string"},
                            "code": {"type": "string"},
                            "message": {"type": "string"},
                        },
                    },
                },
                {"type": "object"},
            ],
        },
        "meta": {"$ref": "#/components/schemas/Meta"},
    },
}
# What every answer is made of, beside the shapes of endpoints.
SCHEMAS: Final[dict[str, Any]] = {"Meta": _META, "Failure": _FAILURE}


def header_components() -> dict[str, Any]:
    """Every header as a component of the document, as `answers` refers to it."""
    return {
        f"{name}{suffix}": {"schema": {"type": "string"}, **described, **({"required": True} if suffix else {})}
        for name, described in _HEADERS.items()
        for suffix in ("", _ALWAYS)
    }


def answers(endpoint: Endpoint, data: dict[str, Any], failures: dict[str, Any]) -> dict[str, Any]:
    """Everything that an endpoint may answer, by status.

    data: the shape of what it answers with. failures: where answers are put that several endpoints give.
    """
    responses: dict[str, Any] = {}
    headers = _headers_of_success(endpoint)
    if 300 <= endpoint.status < 400:
        responses[str(endpoint.status)] = {"description": "It goes on there.", "headers": headers}
    elif endpoint.media:
        responses[str(endpoint.status)] = {
            "description": "Done.",
            "headers": headers,
            "content": {media: {"schema": {} if media == JSON else {"type": "string"}} for media in endpoint.media},
        }
    else:
        responses[str(endpoint.status)] = {
            "description": "Done.",
            "headers": headers,
            "content": {
                JSON: {
                    "schema": {
                        "type": "object",
                        "required": ["success", "data", "meta"],
                        "properties": {
                            "success": {"const": True},
                            "data": data,
                            "meta": {"$ref": "#/components/schemas/Meta"},
                        },
                    }
                }
            },
        }
    if endpoint.shows_page:
        page = {"schema": {"type": "string", "description": "A page, for who would rather have that."}}
        responses[str(endpoint.status)]["content"]["text/html"] = page
    if endpoint.etag:
        also = {"Vary": True} if endpoint.shows_page else {}
        responses["304"] = {
            "description": "What If-None-Match names is still what stands here.",
            "headers": _headers({"ETag": True, **also, **_LIMITED}),
        }
    if endpoint.resumable:
        responses |= _of_files(responses[str(endpoint.status)])
    if endpoint.redirects:
        responses["302"] = {
            "description": "A browser is sent on to another page.",
            "headers": _headers({"Location": True, **_LIMITED}),
        }
    by_status: dict[int, list[type[SyncError]]] = {}
    for error in _errors(endpoint):
        by_status.setdefault(error.status, []).append(error)
    for status, errors in sorted(by_status.items()):
        responses[str(status)] = _failure(status, errors, failures)
    return responses


def _failure(status: int, errors: Iterable[type[SyncError]], known: dict[str, Any]) -> dict[str, Any]:
    """A reference to the answer with one of these errors, which is among the `known` ones from then on."""
    by_code = {error.code: error for error in errors}
    name = "-".join([str(status), *sorted(by_code)])
    known[name] = {
        "description": " ".join(f"`{code}`: {error.default}" for code, error in sorted(by_code.items())),
        "headers": _headers({**_LIMITED, **_OF_FAILURES.get(status, {})}),
        "content": {
            JSON: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Failure"},
                        {"properties": {"code": {"enum": sorted(by_code)}}},
                    ]
                }
            }
        },
    }
    return {"$ref": f"#/components/responses/{name}"}


def _of_files(whole: dict[str, Any]) -> dict[str, Any]:
    """What a file answers where a part of it is asked for (RFC 9110, section 14), or where it is known already."""
    known = {"description": "The file is known already.", "headers": whole["headers"]}
    part = {
        "description": "A part of the file.",
        "headers": {**whole["headers"], **_headers({"Content-Range": True})},
        "content": whole["content"],
    }
    beyond = {"description": "The file has no such part.", "headers": _headers({"Content-Range": True})}
    return {"206": part, "304": known, "416": beyond}


def _headers_of_success(endpoint: Endpoint) -> dict[str, Any]:
    which = dict(_LIMITED)
    if endpoint.etag:
        which["ETag"] = True
    elif endpoint.method != "GET":
        which["ETag"] = False
    if endpoint.method == "POST" or 300 <= endpoint.status < 400:
        which["Location"] = False
    if endpoint.idempotent_by_key:
        which["Idempotent-Replayed"] = False
    if endpoint.media:
        which["Content-Disposition"] = False
    if endpoint.shows_page:
        which["Vary"] = True
    if endpoint.resumable:
        which |= {"ETag": True, "Last-Modified": True, "Accept-Ranges": True}
    return _headers(which)


def _errors(endpoint: Endpoint) -> list[type[SyncError]]:
    """Everything that an endpoint may fail with, each once."""
    found: list[type[SyncError]] = [Malformed, RequestTimeout, TooLarge, UnsupportedMediaType, RateLimited]
    found += [Busy, Unavailable]
    if endpoint.method != "GET":
        found.append(PreconditionFailed)
    if not endpoint.public:
        found += [Unauthenticated, AccountErased]
    if endpoint.permission is not Permission.OWN or endpoint.looks_up:
        found.append(NotFound)
    found.append(InvalidFields)
    if endpoint.idempotent_by_key:
        found += [RequestInProgress, AnswerNotKept]
    return list(dict.fromkeys([*found, *endpoint.errors]))


def _headers(which: Mapping[str, bool]) -> dict[str, Any]:
    """The headers of one answer: name → whether it is always there."""
    given = {"X-Request-ID": True, **which}
    return {name: {"$ref": f"#/components/headers/{name}{_ALWAYS if always else ''}"} for name, always in given.items()}
