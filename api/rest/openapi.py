"""The OpenAPI 3.1 document, from the endpoints themselves.

Owns: how a declaration is described, and what every endpoint may answer beside its own.
Refuses to know: any one endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
from api.rest.idempotency import RequestInProgress
from api.version import fitai_version
from sync.errors import AccountErased, Malformed, NotFound, PreconditionFailed, SyncError, TooLarge, Unauthenticated

_PATH_PART: Final = re.compile(r"\{([a-z_]+)\}")
_REF: Final = "#/components/schemas/{name}"

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
    used: set[str] = set()
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of, components)
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
            "schemas": {"Meta": _META, "Failure": _FAILURE, **_as_sent(components)},
        },
    }


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


def _operation(endpoint: Endpoint, schema_of: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, components)],
        "responses": _responses(endpoint, schema_of),
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
    if PreconditionFailed in endpoint.errors:
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
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
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
        described = dict(schema["properties"][each.encode_name])
        parameter: dict[str, Any] = {"name": each.encode_name, "in": "query", "schema": described}
        if "description" in described:
            parameter["description"] = described.pop("description")
        if each.required:
            parameter["required"] = True
        if is_list(each.type):
            parameter["explode"] = True
        parameters.append(parameter)
    return parameters


def _responses(endpoint: Endpoint, schema_of: dict[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    if endpoint.media is not None:
        responses[str(endpoint.status)] = {
            "description": "Done.",
            "content": {endpoint.media: {"schema": {"type": "string"}}},
        }
    else:
        data = {} if endpoint.answer is None else schema_of[_key(endpoint.answer)]
        responses[str(endpoint.status)] = {
            "description": "Done.",
            "content": {
                "application/json": {
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
    if endpoint.etag:
        responses["304"] = {"description": "What If-None-Match names is still what stands here."}
    if endpoint.redirects:
        responses["302"] = {"description": "A browser is sent on to another page."}
    by_status: dict[int, list[type[SyncError]]] = {}
    for error in _errors(endpoint):
        by_status.setdefault(error.status, []).append(error)
    for status, errors in sorted(by_status.items()):
        responses[str(status)] = {
            "description": " ".join(f"`{error.code}`: {error.default}" for error in errors),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}},
        }
    return responses


def _errors(endpoint: Endpoint) -> list[type[SyncError]]:
    """Everything that an endpoint may fail with, each once."""
    found: list[type[SyncError]] = [Malformed, RequestTimeout, TooLarge, UnsupportedMediaType, RateLimited, Busy]
    if not endpoint.public:
        found += [Unauthenticated, AccountErased]
    if endpoint.permission is not Permission.OWN or _PATH_PART.search(endpoint.path):
        found.append(NotFound)
    found.append(InvalidFields)
    if endpoint.idempotent_by_key:
        found.append(RequestInProgress)
    return list(dict.fromkeys([*found, *endpoint.errors]))
