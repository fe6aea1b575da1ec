"""The OpenAPI document as a page for people: whole in itself, without a script, like the page at `/`.

Owns: the look. Refuses to know: where the document comes from (openapi.py).
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any, Final

from api.pages import BASE_STYLE, policy

_STYLE: Final = (
    BASE_STYLE
    + """
body{max-width:58rem;margin:0 auto;padding:2rem 1.25rem 6rem}
h1{font-size:1.75rem;letter-spacing:-.02em}h1 small{font-size:.875rem;font-weight:400;color:var(--dim)}
h2{margin:2.5rem 0 .75rem;font-size:1.125rem}
p{color:var(--dim)}a{color:inherit;text-decoration-color:var(--mark);text-underline-offset:.2em}
nav{margin-top:1rem;display:flex;flex-wrap:wrap;gap:.25rem 1rem}
details{background:var(--card);border:1px solid var(--line);border-radius:.6rem;margin-top:.5rem}
summary{padding:.6rem 1rem;cursor:pointer;display:flex;flex-wrap:wrap;gap:0 .75rem;align-items:baseline}
summary b{font:600 .8125rem var(--code);color:var(--mark);min-width:3.75rem}
summary code{font:.875rem var(--code);overflow-wrap:anywhere}summary span{color:var(--dim);font-size:.875rem}
details>div{padding:0 1rem 1rem;font-size:.875rem}
h3{margin:1rem 0 .25rem;font-size:.8125rem;color:var(--dim);font-weight:600}
table{border-collapse:collapse;width:100%}td{padding:.25rem .75rem .25rem 0;vertical-align:top;
border-top:1px solid var(--line)}td:first-child{font-family:var(--code);width:12rem}
td code{font:.8125rem var(--code);color:var(--mark)}
pre{padding:.75rem 1rem;overflow-x:auto;border:1px solid var(--line);border-radius:.5rem;
font:.8125rem/1.5 var(--code)}
"""
)
POLICY: Final = policy(_STYLE)


def html(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document of ours. Everything of the document is escaped."""
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    components = document["components"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append(_operation(method.upper(), path, operation, components))
    links = "".join(f'<a href="#{escape(_anchor(tag))}">{escape(tag)}</a>' for tag in by_tag)
    sections = "".join(
        f'<h2 id="{escape(_anchor(tag))}">{escape(tag)}</h2>{"".join(operations)}' for tag, operations in by_tag.items()
    )
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} REST</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} REST <small>version {escape(info['version'])}</small></h1>"
        f"<p>{escape(info['description'])} The same for programs: "
        f'<a href="openapi.json">openapi.json</a></p><nav>{links}</nav>{sections}</html>'
    )


def _anchor(tag: str) -> str:
    return tag.lower().replace(" ", "-")


def _operation(method: str, path: str, operation: dict[str, Any], components: dict[str, Any]) -> str:
    parts: list[str] = []
    schemas = components["schemas"]
    responses = {
        status: _resolved(response, components["responses"]) for status, response in operation["responses"].items()
    }
    if "description" in operation:
        parts.append(f"<p>{escape(operation['description'])}</p>")
    if operation["parameters"]:
        rows = [
            (each["name"], f"{each['in']}, {_kind(each['schema'])}. {each.get('description', '')}")
            for each in operation["parameters"]
        ]
        parts.append(f"<h3>Parameters</h3>{_table(rows)}")
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body, {escape(media)}</h3>{_fields(content['schema'], schemas)}")
        if "example" in content:
            parts.append(f"<pre>{escape(json.dumps(content['example'], indent=2, ensure_ascii=False))}</pre>")
    for status, response in responses.items():
        for content in response.get("content", {}).values():
            data = content["schema"].get("properties", {}).get("data")
            if data:
                parts.append(f"<h3>Answer {escape(status)}: data</h3>{_fields(data, schemas)}")
    rows = [(status, response["description"]) for status, response in responses.items() if status >= "3"]
    parts.append(f"<h3>Else</h3>{_table(rows)}")
    return (
        f"<details><summary><b>{escape(method)}</b><code>{escape(path)}</code>"
        f"<span>{escape(operation['summary'])}</span></summary><div>{''.join(parts)}</div></details>"
    )


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    schema = _resolved(schema, schemas)
    if schema.get("type") == "array":
        return f"<p>a list of</p>{_fields(schema.get('items', {}), schemas)}"
    required = set(schema.get("required", ()))
    rows = [
        (name if name in required else f"{name}?", f"{_kind(each)}. {each.get('description', '')}")
        for name, each in schema.get("properties", {}).items()
    ]
    return _table(rows) if rows else f"<p>{escape(_kind(schema))}</p>"


def _resolved(described: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    reference = described.get("$ref")
    return described if reference is None else components[reference.rpartition("/")[2]]


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(json.dumps(each) for each in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return ", ".join([str(schema.get("format", schema.get("type", "anything"))), *bounds])


_BOUNDS: Final = {
    "minimum": "from",
    "maximum": "to",
    "minLength": "at least",
    "maxLength": "at most",
    "minItems": "at least",
    "maxItems": "at most",
}


def _table(rows: list[tuple[str, str]]) -> str:
    return f"<table>{''.join(f'<tr><td>{escape(a)}</td><td>{_marked(b)}</td></tr>' for a, b in rows)}</table>"


def _marked(text: str) -> str:
    """Escaped, with what stands between backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
