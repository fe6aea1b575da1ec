"""The served OpenAPI document, read as a promise: what it does not name is not answered.

Owns: how strict the document is taken, and which headers every answer may have. Refuses to know: any one endpoint.
"""

from __future__ import annotations

from typing import Any, Final

# What HTTP itself and the connection need (RFC 9110 and 9112), which no document lists. `Server` stands where the bytes
# were none that reach the application.
OF_HTTP: Final = frozenset({"connection", "content-length", "content-type", "date", "server", "transfer-encoding"})
# How every answer is told to be treated (api/middleware.py), whatever it says.
OF_EVERY_ANSWER: Final = frozenset(
    {"cache-control", "content-security-policy", "referrer-policy", "x-content-type-options"}
)


def taken_strictly(document: dict[str, Any]) -> dict[str, Any]:
    """The document with answers that hold no field beside those that it names.

    Clients are to ignore fields that they do not know, so the document itself leaves that open.
    """

    def walk(schema: Any) -> Any:
        if isinstance(schema, list):
            return [walk(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        made = {name: walk(each) for name, each in schema.items()}
        if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and "type" in schema:
            made["additionalProperties"] = False
        return made

    schemas = document["components"]["schemas"]
    strict = {name: walk(schema) for name, schema in schemas.items()}
    paths = {
        path: {
            method: {**operation, "responses": walk(operation["responses"])} for method, operation in methods.items()
        }
        for path, methods in document["paths"].items()
    }
    components = {**document["components"], "schemas": strict, "responses": walk(document["components"]["responses"])}
    return {**document, "paths": paths, "components": components}


def forget(document: dict[str, Any], pointer: str) -> None:
    """Leave out of a document what a JSON pointer (RFC 6901) names."""
    *above, last = (each.replace("~1", "/").replace("~0", "~") for each in pointer.removeprefix("/").split("/"))
    for name in above:
        document = document[name]
    del document[last]
