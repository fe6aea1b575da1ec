"""The OpenAPI document as a page for people: whole in itself, without a script, like the page at `/`.

Owns: the look, and how what stands within a type is opened where the type is named.
Refuses to know: where the document comes from (openapi.py), and what examples look like (examples.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from api.pages import BASE_STYLE, Html, element, joined, policy
from api.rest.examples import example_of

Schema = dict[str, Any]

_STYLE: Final = (
    BASE_STYLE
    + """
body{max-width:58rem;margin:0 auto;padding:2rem 1.25rem 6rem}
h1{font-size:1.75rem;letter-spacing:-.02em}h1 small{font-size:.875rem;font-weight:400;color:var(--dim)}
h2{margin:2.5rem 0 .75rem;font-size:1.125rem}
p{color:var(--dim)}a{color:inherit;text-decoration-color:var(--mark);text-underline-offset:.2em}
nav{margin-top:1rem;display:flex;flex-wrap:wrap;gap:.25rem 1rem}
.call{background:var(--card);border:1px solid var(--line);border-radius:.6rem;margin-top:.5rem}
.call>summary{padding:.6rem 1rem;cursor:pointer;display:flex;flex-wrap:wrap;gap:0 .75rem;align-items:baseline}
.call>summary b{font:600 .8125rem var(--code);color:var(--mark);min-width:3.75rem}
.call>summary code{font:.875rem var(--code);overflow-wrap:anywhere}
.call>summary span{color:var(--dim);font-size:.875rem}
.call>div{padding:0 1rem 1rem;font-size:.875rem}
h3{margin:1rem 0 .25rem;font-size:.8125rem;color:var(--dim);font-weight:600}
table{border-collapse:collapse;width:100%}td{padding:.25rem .75rem .25rem 0;vertical-align:top;
border-top:1px solid var(--line)}td:first-child{font-family:var(--code);width:12rem;overflow-wrap:anywhere}
.in>summary{cursor:pointer}.in>summary b{font:600 .8125rem var(--code);color:var(--mark)}
.in>table{margin:.25rem 0 .5rem;border-left:2px solid var(--line)}.in>table td{padding-left:.75rem}
.in table td:first-child{width:9.5rem}
td code{font:.8125rem var(--code);color:var(--mark)}
pre{padding:.75rem 1rem;overflow-x:auto;border:1px solid var(--line);border-radius:.5rem;
font:.8125rem/1.5 var(--code)}
.in>pre{margin-top:.25rem}.in+.in,table+.in,p+.in{margin-top:.5rem}
@media(max-width:40rem){td,td:first-child,.in table td:first-child{display:block;width:auto;padding-right:0}
td+td{border-top:0;padding-top:0}}
"""
)
POLICY: Final = policy(_STYLE)


def html(document: dict[str, Any]) -> str:
    """The page for an OpenAPI document of ours. Everything of the document is escaped."""
    by_tag: dict[str, list[Html]] = {tag["name"]: [] for tag in document["tags"]}
    components = document["components"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append(_operation(method.upper(), path, operation, components))
    info = document["info"]
    return joined(
        Html('<!doctype html><html lang="en"><meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"{info['title']} REST"),
        Html(f"<style>{_STYLE}</style>"),
        element("h1", f"{info['title']} REST ", element("small", f"version {info['version']}")),
        element(
            "p",
            f"{info['description']} The same for programs: ",
            element("a", "openapi.json", href="openapi.json"),
        ),
        element("nav", *(element("a", tag, href=f"#{_anchor(tag)}") for tag in by_tag)),
        *(joined(element("h2", tag, id=_anchor(tag)), *operations) for tag, operations in by_tag.items()),
        Html("</html>"),
    )


def _anchor(tag: str) -> str:
    return tag.lower().replace(" ", "-")


def _operation(method: str, path: str, operation: Schema, components: Schema) -> Html:
    return element(
        "details",
        element("summary", element("b", method), element("code", path), element("span", operation["summary"])),
        element("div", *_parts(operation, components)),
        class_="call",
    )


def _parts(operation: Schema, components: Schema) -> Iterator[Html]:
    schemas = components["schemas"]
    responses = {
        status: _resolved(response, components["responses"]) for status, response in operation["responses"].items()
    }
    if "description" in operation:
        yield element("p", _marked(operation["description"]))
    if operation["parameters"]:
        yield element("h3", "Parameters")
        yield _table(
            (
                _named_as(each["name"], each.get("required", False)),
                _marked(
                    f"{each['in']}, {_kind(each['schema'])}. {each.get('description', _description(each['schema']))}"
                ),
            )
            for each in operation["parameters"]
        )
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield element("h3", f"Body, {media}")
        yield _Fields(schemas).of(content["schema"])
        if media == _JSON:
            yield _example(content.get("example", example_of(content["schema"], schemas)))
    for status, response in responses.items():
        data = response.get("content", {}).get(_JSON, {}).get("schema", {}).get("properties", {}).get("data")
        if data:
            yield element("h3", f"Answer {status}: data")
            yield _Fields(schemas).of(data)
            yield _example(example_of(data, schemas))
    yield element("h3", "Else")
    yield _table((status, _marked(response["description"])) for status, response in responses.items() if status >= "3")


def _named_as(name: str, required: bool) -> str:
    """A field or a parameter as it is listed: with a mark where it may be left out."""
    return name if required else f"{name}?"


_JSON: Final = "application/json"


def _example(value: Any) -> Html:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return element("details", element("summary", "Example"), element("pre", text), class_="in")


@dataclass
class _Fields:
    """The tables of one body or answer. A type is opened where it is named first; where else, its name will do."""

    schemas: Schema
    shown: set[str] = field(default_factory=set)

    def of(self, schema: Schema) -> Html:
        """The fields of a schema, or in a few words what it is."""
        named = _resolved(schema, self.schemas)
        if named.get("type") == "array":
            return joined(element("p", "a list of"), self.of(named.get("items", {})))
        return self._table(named) if named.get("properties") else element("div", self._field(named))

    def _table(self, schema: Schema) -> Html:
        required = set(schema.get("required", ()))
        return _table(
            (_named_as(name, name in required), self._field(each))
            for name, each in schema.get("properties", {}).items()
        )

    def _field(self, schema: Schema) -> Html:
        kind, text = _kind(schema), _description(schema)
        inside = joined(*(self._opened(name) for name in _named(schema)))
        words = _marked(f"{kind}. {text}".strip())
        return joined(words, inside) if inside else words

    def _opened(self, name: str) -> Html:
        """A type with its fields, behind its name; nothing where it was shown already, or has none."""
        schema = self.schemas[name]
        if name in self.shown or not schema.get("properties"):
            return Html()
        self.shown.add(name)
        return element("details", element("summary", element("b", name)), self._table(schema), class_="in")


def _description(schema: Schema) -> str:
    """What is said of a schema, or of one of those that it may be."""
    told = (each["description"] for each in (schema, *schema.get("anyOf", ())) if "description" in each)
    return next(told, "")


def _named(schema: Schema) -> list[str]:
    """The types that a schema names: itself, as one of several, or as what a list or an object holds."""
    if "$ref" in schema:
        return [schema["$ref"].rpartition("/")[2]]
    parts = [*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")]
    return list(dict.fromkeys(name for each in parts if isinstance(each, dict) for name in _named(each)))


def _resolved(described: Schema, components: Schema) -> Schema:
    reference = described.get("$ref")
    return described if reference is None else components[reference.rpartition("/")[2]]


def _kind(schema: Schema) -> str:
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
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])} by name"
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


def _table(rows: Iterable[tuple[str, Html]]) -> Html:
    made = [element("tr", element("td", name), element("td", about)) for name, about in rows]
    return element("table", *made) if made else Html()


def _marked(text: str) -> Html:
    """Escaped, with what stands between backticks as code."""
    return Html(re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text)))
