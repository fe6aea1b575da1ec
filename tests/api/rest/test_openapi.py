"""The server describes itself, truly and completely."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from api.app import ENDPOINTS
from api.rest.binding import bind
from api.rest.endpoint import Empty
from api.rest.examples import example_of
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


async def test_an_example_made_from_a_schema_is_what_its_endpoint_takes_or_answers(
    plain_server: Server, described: dict[str, Any]
) -> None:
    schemas = described["components"]["schemas"]
    looked_at = 0
    for endpoint in plain_server.app[ENDPOINTS]:
        operation = described["paths"][endpoint.path][endpoint.method.lower()]
        if endpoint.body is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            bind(example_of(schema, schemas), endpoint.body)
        if endpoint.answer is not None:
            answer = operation["responses"][str(endpoint.status)]["content"]["application/json"]
            example = example_of(answer["schema"]["properties"]["data"], schemas)
            msgspec.json.decode(json.dumps(example), type=endpoint.answer)
            looked_at += 1
    assert looked_at > 50


def test_an_example_shows_every_field_of_every_type_within() -> None:
    schemas = {
        "Set": {"type": "object", "properties": {"reps": {"type": "integer"}, "unit": {"enum": ["kg", "lb"]}}},
        "Sets": {"type": "array", "items": {"$ref": "#/components/schemas/Set"}},
    }
    schema = {
        "properties": {
            "sets": {"$ref": "#/components/schemas/Sets"},
            "title": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 200}]},
            "by_name": {"type": "object", "additionalProperties": {"type": "string", "format": "date"}},
            "workout_id": {"type": "string"},
            "kind": {"type": "string", "pattern": "^(waist|hips|custom:.{1,50})$"},
            "level": {"type": "integer", "minimum": 20},
        },
        "type": "object",
    }
    assert example_of(schema, schemas) == {
        "sets": [{"reps": 5, "unit": "kg"}],
        "title": "Legs",
        "by_name": {"a0": "2026-11-23"},
        "workout_id": "0193575e-3a40-7000-8000-000000000001",
        "kind": "waist",
        "level": 20,
    }


async def test_people_are_called_like_people_in_examples(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    names = {each: example_of(schemas[each], schemas)["name"] for each in ("User", "Person", "Author", "Exercise")}
    assert names == {"User": "Ann", "Person": "Ann", "Author": "Ann", "Exercise": "Barbell Back Squat"}


async def test_the_page_marks_parameters_that_may_be_left_out(plain_server: Server) -> None:
    page = (await plain_server.ask("GET", "/api/docs")).text
    (call,) = re.findall(r'<code>/api/analytics/exercise.svg</code>.*?(?=<details class="call">)', page, re.S)
    assert "<td>exercise</td>" in call and "<td>unit?</td>" in call


async def test_the_page_shows_what_stands_within_what(plain_server: Server) -> None:
    """A set within an exercise within a workout, each behind the name of its type, and an example of it all."""
    page = (await plain_server.ask("GET", "/api/docs")).text
    (call,) = re.findall(
        r'<code>/api/workouts</code><span>Log a whole workout.*?(?=<details class="call">)', page, re.S
    )
    body, answer = call.split("<h3>Answer 201: data</h3>")
    for part, (exercise, set_) in ((body, ("NewWorkoutExercise", "NewSet")), (answer, ("WorkoutExercise", "Set"))):
        within = part[part.index(f"<b>{exercise}</b>") :]
        of_set = within[within.index(f"<b>{set_}</b>") :]
        table = of_set[: of_set.index("</table>")]
        assert "<td>weight?</td>" in table or "<td>reps?</td>" in table
        assert "&quot;exercises&quot;: [" in part[part.index("<summary>Example</summary>") :]
    # Where a type is named again, its name will do.
    assert body.count("<b>Mass</b>") == 1 and body.count("Mass or null") > 1


async def test_every_type_that_an_answer_holds_is_opened_in_it(plain_server: Server, described: dict[str, Any]) -> None:
    page = (await plain_server.ask("GET", "/api/docs")).text
    calls = page.split('<details class="call">')[1:]
    schemas = described["components"]["schemas"]

    def named(value: Any) -> str:
        return str(value.get("$ref", "")).rpartition("/")[2]

    def held(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(held, value))
        if not isinstance(value, dict):
            return set()
        if name := named(value):
            return {name} | held(schemas[name])
        return set().union(*map(held, value.values()))

    looked_at = 0
    for endpoint in plain_server.app[ENDPOINTS]:
        if endpoint.answer is None:
            continue
        head = f"<b>{endpoint.method}</b><code>{endpoint.path}</code>"
        (call,) = [each for each in calls if head in each]
        responses = described["paths"][endpoint.path][endpoint.method.lower()]["responses"]
        schema = responses[str(endpoint.status)]["content"]["application/json"]["schema"]["properties"]["data"]
        # What it is itself, or a list of, is the table that all of this stands in.
        itself = named(schema) or named(schema.get("items", {}))
        inside = held(schemas[itself]) if itself else held(schema)
        assert [name for name in sorted(inside) if f"<b>{name}</b>" not in call] == [], head
        looked_at += len(inside)
    assert looked_at > 100


def test_what_a_declaration_says_is_escaped_on_the_page() -> None:
    described = document([], server_url="/")
    described["info"]["description"] = "<b>&"
    assert "&lt;b&gt;&amp;" in html(described)
    json.dumps(described)


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
async def test_the_description_needs_no_token(plain_server: Server, path: str) -> None:
    assert (await plain_server.ask("GET", path)).status == 200
