"""The OpenAPI 3.1 document, from the endpoints themselves.

Owns: how a declaration is described: its address, what it is asked with, and the shapes of both sides.
Refuses to know: any one endpoint, and what one answers with (openapi_answers.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, get_origin

import msgspec
from msgspec import structs

from api.rest.binding import is_list
from api.rest.endpoint import Empty, Endpoint, Permission
from api.rest.openapi_answers import JSON, SCHEMAS, answers, header_components
from api.version import fitai_version

_PATH_PART: Final = re.compile(r"\{([a-z_]+)\}")
_REF: Final = "#/components/schemas/{name}"


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
            "headers": header_components(),
            "responses": failures,
            "schemas": {**SCHEMAS, **_as_sent(components)},
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
    data = {} if endpoint.answer is None else schema_of[_key(endpoint.answer)]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint, components)],
        "responses": answers(endpoint, data, failures),
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
        operation["requestBody"] = {"required": not endpoint.body_is_optional, "content": {JSON: content}}
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
