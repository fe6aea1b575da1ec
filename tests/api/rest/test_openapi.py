"""The server describes itself, truly and completely."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import pytest_asyncio

from api.app import ENDPOINTS
from api.rest.endpoint import Empty
from api.rest.openapi import document
from api.rest.page import html
from tests.api.harness import Server


@pytest_asyncio.fixture
async def described(plain_server: Server) -> dict[str, Any]:
    answer = await plain_server.ask("GET", "/api/openapi.json")
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


async def test_every_endpoint_is_described_once(plain_server: Server, described: dict[str, Any]) -> None:
    operations = {
        (method.upper(), path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    endpoints = plain_server.app[ENDPOINTS]
    assert operations.keys() == {(each.method, each.path) for each in endpoints}
    assert len(operations) == len(endpoints)
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)


async def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if "$ref" in value else set()
            return own.union(*(references(each) for each in value.values()))
        return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()

    known = {f"#/components/{kind}/{name}" for kind, named in described["components"].items() for name in named}
    assert references(described) <= known


async def test_what_is_named_is_named_by_a_word(described: dict[str, Any]) -> None:
    # Two types of one name would be called after their modules.
    assert [name for name in described["components"]["schemas"] if not name.isidentifier()] == []


async def test_an_example_is_what_its_endpoint_takes(plain_server: Server) -> None:
    from api.rest.binding import bind

    shown = [each for each in plain_server.app[ENDPOINTS] if each.example is not None]
    assert shown
    for endpoint in shown:
        bind(endpoint.example, endpoint.body or Empty)


async def test_only_public_endpoints_are_described_as_open(plain_server: Server, described: dict[str, Any]) -> None:
    open_ = {
        (method.upper(), path)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if operation.get("security") == []
    }
    assert open_ == {(each.method, each.path) for each in plain_server.app[ENDPOINTS] if each.public}


async def test_every_endpoint_but_the_public_ones_asks_for_a_token(plain_server: Server) -> None:
    for endpoint in plain_server.app[ENDPOINTS]:
        path = re.sub(r"\{[a-z_]+\}", "x", endpoint.path)
        answer = await plain_server.ask(endpoint.method, path, {} if endpoint.body else None)
        assert (answer.status == 401 and answer.code == "unauthenticated") != endpoint.public, endpoint.path


async def test_the_page_for_people_names_every_endpoint_and_runs_no_script(plain_server: Server) -> None:
    answer = await plain_server.ask("GET", "/api/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert all(endpoint.path in answer.text for endpoint in plain_server.app[ENDPOINTS])
    assert "<script" not in answer.text
    assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_what_a_declaration_says_is_escaped_on_the_page() -> None:
    described = document([], server_url="/")
    described["info"]["description"] = "<b>&"
    assert "&lt;b&gt;&amp;" in html(described)
    json.dumps(described)


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
async def test_the_description_needs_no_token(plain_server: Server, path: str) -> None:
    assert (await plain_server.ask("GET", path)).status == 200
