"""The OpenAPI 3.1 document, from the endpoints themselves.

Owns: how a declaration is described, and what every endpoint may answer beside its own.
Refuses to know: any one endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, get_origin

import msgspec
from msgspec import structs

from api.errors import (
    Busy,
    InvalidFields,
    RateLimited,
    RequestTimeout,
    UnsupportedMediaType,
)
from api.rest.binding import is_list
from api.rest.endpoint import Empty, Endpoint, Permission
from api.rest.idempotency import AnswerNotKept, RequestInProgress
from api.version import fitai_version
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

_PATH_PART: Final = re.compile(r"\{([a-z_]+)\}")
_REF: Final = "#/components/schemas/{name}"

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


def document(endpoints: Sequence[Endpoint], *, server_url: str) -> dict[str, Any]:
    """The whole document. `server_url`: under which the paths stand."""
    types = _types(endpoints)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(_key, types), map(_as_sent, schemas), strict=True))
    paths: dict[str, dict[str, Any]] = {}
    failures: dict[str, Any] = {}
    versioned = {endpoint.path for endpoint in endpoints if endpoint.shows_version}
    used: set[str] = set()
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of, components, failures, versioned)
        if operation["operationId"] in used:
            # Generated clients make functions of them.
            operation["operationId"] = f"{endpoint.tag.lower().replace(' ', '_')}_{operation['operationId']}"
        used.add(operation["operationId"])
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FitAI",
            "version": fitai_version(),
            "description": "The REST side. Devices that work offline speak the sync protocol instead.",
        },
        "servers": [{"url": server_url}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "headers": {
                f"{name}{suffix}": {"schema": {"type": "string"}, **described, **({"required": True} if suffix else {})}
                for name, described in _HEADERS.items()
                for suffix in ("", _ALWAYS)
            },
            "responses": failures,
            "schemas": {"Meta": _META, "Failure": _FAILURE, **_as_sent(components)},
        },
    }


_ALWAYS: Final = "-always"


def _headers(which: Mapping[str, bool]) -> dict[str, Any]:
    """The headers of one answer: name → whether it is always there."""
    given = {"X-Request-ID": True, **which}
    return {name: {"$ref": f"#/components/headers/{name}{_ALWAYS if always else ''}"} for name, always in given.items()}


def _as_sent(schema: Any) -> Any:
    """A schema of msgspec's, with exact decimals as the numbers that they are on the wire."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {name: each for name, each in schema.items() if name != "format"} | {"type": "number"}
        return {name: _as_sent(each) for name, each in schema.items()}
    return [_as_sent(each) for each in schema] if isinstance(schema, list) else schema


def _types(endpoints: Iterable[Endpoint]) -> list[Any]:
    found: dict[Any, Any] = {}
    for endpoint in endpoints:
        for type_ in (endpoint.body, endpoint.query, endpoint.answer):
            if type_ is not None:
                found.setdefault(_key(type_), type_)
    return list(found.values())


def _key(type_: Any) -> Any:
    return str(type_) if get_origin(type_) is not None else type_


def _operation(
    endpoint: Endpoint,
    schema_of: dict[Any, Any],
    components: dict[str, Any],
    failures: dict[str, Any],
    versioned: Collection[str],
) -> dict[str, Any]:
    """One operation; answers that several of them give are put into `failures`.

    versioned: the paths of what is shown under a version.
    """
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, components)],
        "responses": _responses(endpoint, schema_of, failures),
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.public:
        operation["security"] = []
    if endpoint.permission is not Permission.OWN:
        operation["description"] = f"Needs the permission {endpoint.permission}. {endpoint.description}".strip()
    if endpoint.idempotent_by_key:
        operation["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
                "description": "Sent again under the same key, the request has its effect once.",
            }
        )
    if endpoint.etag and endpoint.method == "GET":
        operation["parameters"].append(
            {
                "name": "If-None-Match",
                "in": "header",
                "schema": {"type": "string"},
                "description": "A version that is known already; where it still stands, the answer is 304.",
            }
        )
    if endpoint.compares_versions or (endpoint.method != "GET" and endpoint.path in versioned):
        operation["parameters"].append(
            {
                "name": "If-Match",
                "in": "header",
                "schema": {"type": "string"},
                "description": "The version that is meant; the request does nothing where there is another one.",
            }
        )
    if endpoint.body is not None:
        content: dict[str, Any] = {"schema": schema_of[_key(endpoint.body)]}
        if endpoint.example is not None:
            content["example"] = endpoint.example
        operation["requestBody"] = {"required": not endpoint.body_is_optional, "content": {_JSON: content}}
    elif endpoint.upload:
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(endpoint.upload, binary)}
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PART.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.query is Empty:
        return []
    schema = components[endpoint.query.__name__]
    parameters = []
    for each in structs.fields(endpoint.query):
        described = _never_null(schema["properties"][each.encode_name])
        parameter: dict[str, Any] = {"name": each.encode_name, "in": "query", "schema": described}
        if "description" in described:
            parameter["description"] = described.pop("description")
        if each.required:
            parameter["required"] = True
        if is_list(each.type):
            parameter["explode"] = True
        parameters.append(parameter)
    return parameters


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: an address has no way to say null, it leaves the parameter out."""
    made = dict(schema)
    if isinstance(made.get("anyOf"), list):
        kinds = [each for each in made.pop("anyOf") if each != {"type": "null"}]
        made |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if isinstance(made.get("enum"), list):
        made["enum"] = [each for each in made["enum"] if each is not None]
    if "default" in made and made["default"] is None:
        del made["default"]
    return made


def _responses(endpoint: Endpoint, schema_of: dict[Any, Any], failures: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    headers = _headers_of_success(endpoint)
    if 300 <= endpoint.status < 400:
        responses[str(endpoint.status)] = {"description": "It goes on there.", "headers": headers}
    elif endpoint.media:
        responses[str(endpoint.status)] = {
            "description": "Done.",
            "headers": headers,
            "content": {media: {"schema": {} if media == _JSON else {"type": "string"}} for media in endpoint.media},
        }
    else:
        data = {} if endpoint.answer is None else schema_of[_key(endpoint.answer)]
        responses[str(endpoint.status)] = {
            "description": "Done.",
            "headers": headers,
            "content": {
                _JSON: {
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


_JSON: Final = "application/json"
_LIMITED: Final = {"RateLimit": False, "RateLimit-Policy": False}


def _failure(status: int, errors: Iterable[type[SyncError]], known: dict[str, Any]) -> dict[str, Any]:
    """A reference to the answer with one of these errors, which is among the `known` ones from then on."""
    by_code = {error.code: error for error in errors}
    name = "-".join([str(status), *sorted(by_code)])
    known[name] = {
        "description": " ".join(f"`{code}`: {error.default}" for code, error in sorted(by_code.items())),
        "headers": _headers({**_LIMITED, **_OF_FAILURES.get(status, {})}),
        "content": {
            _JSON: {
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
