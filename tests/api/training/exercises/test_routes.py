"""Exercises over HTTP: found, made, changed, taken in from a file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest_asyncio

from api.app import ENGINE
from sync.catalog import seed_catalog
from tests.api.harness import Server, running, settings_for
from tests.api.training.conftest import Person, person
from tests.api.training.exercises.world import BENCHES

BENCH = {"name": "Belt Bench", "measure": "weight_reps", "equipment": ["barbell"], "primary_muscles": ["chest"]}
ROW = {
    "id": "Ring_Row",
    "name": "Ring Row",
    "force": "pull",
    "level": "beginner",
    "mechanic": "compound",
    "equipment": "other",
    "primaryMuscles": ["lats"],
    "secondaryMuscles": ["biceps"],
    "instructions": ["Pull."],
    "category": "strength",
    "images": [],
}


@pytest_asyncio.fixture
async def server(sqlite_url: str) -> AsyncIterator[Server]:
    async with running(settings_for(sqlite_url)) as made:
        await seed_catalog(made.app[ENGINE], BENCHES)
        yield made


@pytest_asyncio.fixture
async def ann(server: Server) -> Person:
    return await person(server)


async def names(of: Person, path: str) -> list[str]:
    answer = await of.ask("GET", path)
    assert answer.status == 200, answer.text
    return [each["name"] for each in answer.data["exercises"]]


async def test_an_exercise_of_ones_own_is_found_at_once_and_by_nobody_else(server: Server, ann: Person) -> None:
    made = await ann.made("/exercises", BENCH)
    assert await names(ann, "/exercises/search?q=belt+ben") == ["Belt Bench"]
    bob = await person(server)
    assert await names(bob, "/exercises/search?q=belt+ben") == []
    assert (await bob.ask("GET", f"/exercises/{made['id']}")).status == 404


async def test_who_takes_the_parameter_for_the_field_is_told_which_is_which(ann: Person) -> None:
    asked = await ann.ask("GET", "/exercises?level=beginner")
    made = await ann.ask("POST", "/exercises", {**BENCH, "difficulty": "beginner"})
    assert [each["message"] for each in (*asked.json["details"], *made.json["details"])] == [
        "level is not a parameter of this address: did you mean difficulty?",
        "difficulty is not a field of this request: did you mean level?",
    ]


async def test_a_change_and_a_deletion_are_seen_by_the_next_search(ann: Person) -> None:
    made = await ann.made("/exercises", BENCH)
    await ann.ask("PATCH", f"/exercises/{made['id']}", {"name": "Strap Bench"})
    assert (await names(ann, "/exercises/search?q=belt"), await names(ann, "/exercises/search?q=strap")) == (
        [],
        ["Strap Bench"],
    )
    await ann.ask("DELETE", f"/exercises/{made['id']}")
    assert await names(ann, "/exercises/search?q=strap") == []
    assert (await ann.ask("GET", f"/exercises/{made['id']}")).status == 404


async def test_an_exercise_of_the_catalog_is_nobodys_to_change(ann: Person) -> None:
    (found, *_) = (await ann.ask("GET", "/exercises/search?q=bench+press")).data["exercises"]
    for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
        answer = await ann.ask(method, f"/exercises/{found['id']}", body)
        assert (answer.status, answer.code) == (403, "read_only") and "one of your own" in answer.text


async def test_the_catalog_is_searched_by_its_facets_a_page_at_a_time(ann: Person) -> None:
    answer = await ann.ask("GET", "/exercises?equipment=barbell&limit=2")
    assert all("barbell" in each["equipment"] for each in answer.data["exercises"])
    total = answer.json["meta"]["pagination"]["total"]
    assert total == answer.data["facets"]["equipment"]["barbell"] > 2
    pages = [await names(ann, f"/exercises?equipment=barbell&limit=2&page={page}") for page in (1, 2, 3)]
    assert len({name for page in pages for name in page}) == min(total, 6)


async def test_the_catalog_cannot_be_written(ann: Person) -> None:
    found = (await ann.ask("GET", "/exercises?limit=1")).data["exercises"][0]
    assert found["is_catalog"] is True
    answer = await ann.ask("PATCH", f"/exercises/{found['id']}?space={found['space']}", {"name": "Mine"})
    assert (answer.status, answer.code) == (403, "read_only")


async def test_a_facet_that_nobody_knows_is_refused_by_name(ann: Person) -> None:
    answer = await ann.ask("GET", "/exercises?equipment=rocket&colour=red&page=0")
    assert {each["field"] for each in answer.json["details"]} == {"equipment[0]", "colour", "page"} or {
        each["field"] for each in answer.json["details"]
    } == {"equipment", "colour", "page"}


async def test_what_has_not_changed_since_the_last_search_is_not_sent_again(ann: Person) -> None:
    first = await ann.ask("GET", "/exercises/search?q=bench")
    again = await ann.ask("GET", "/exercises/search?q=bench", If_None_Match=first.headers["ETag"])
    assert again.status == 304
    await ann.made("/exercises", BENCH)
    assert (await ann.ask("GET", "/exercises/search?q=bench", If_None_Match=first.headers["ETag"])).status == 200


async def test_a_list_of_another_project_becomes_ones_own_exercises_once(server: Server, ann: Person) -> None:
    file = json.dumps([ROW]).encode()

    async def take(query: str = "") -> tuple[int, int, int]:
        headers = {"Content-Type": "application/json"}
        path = f"/api/exercises/import{query}"
        answer = await server.ask("POST", path, data=file, token=ann.token, headers=headers)
        assert answer.status == 200, answer.text
        return answer.data["new"], answer.data["known"], answer.data["written"]

    assert await take("?preview=true") == (1, 0, 0)
    assert await names(ann, "/exercises/search?q=ring+row") == []
    assert await take() == (1, 0, 1)
    assert await take() == (0, 1, 0)
    assert await names(ann, "/exercises/search?q=ring+row") == ["Ring Row"]


async def test_a_file_that_is_no_list_of_exercises_is_refused_in_one_sentence(server: Server, ann: Person) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await server.ask("POST", "/api/exercises/import", data=b"[1]", token=ann.token, headers=headers)
    assert (answer.status, answer.code) == (422, "invalid")
