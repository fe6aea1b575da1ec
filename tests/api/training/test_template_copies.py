"""Copies of templates: what they take over, what they bring along, and that each is of one state."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from storage.database import Transaction
from tests.api.training.conftest import Person
from tests.api.training.sharing import BENCH, SQUAT, either_server, either_url, eve, public, publish, rob
from tests.api.training.test_sessions import NOBODY, kg, session

__all__ = ["either_server", "either_url", "eve", "rob"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


def content(template: dict[str, Any]) -> dict[str, Any]:
    """What stands in a template, without ids: groups are numbered in the order in which they come."""
    groups: dict[str, int] = {}
    dropped = {"id", "version", "updated_at", "updated_by", "template", "template_exercise", "position", "source"}
    dropped |= {"is_favorite", "is_shared", "published", "visibility", "folder", "conflicts", "warnings"}

    def plain(each: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in each.items() if name not in dropped and value not in (None, "", [])}
        if "superset" in kept:
            kept["superset"] = groups.setdefault(kept["superset"], len(groups))
        if "tags" in kept:
            kept["tags"] = sorted(kept["tags"])
        return kept

    exercises = [plain(each) | {"sets": [plain(one) for one in each["sets"]]} for each in template["exercises"]]
    return plain(template) | {"exercises": exercises}


async def test_a_copy_of_a_public_template_is_ones_own(eve: Person, rob: Person) -> None:
    rule = {"field": "weight", "op": "+", "step": 2.5, "unit": "kg"}
    sets = [{"target_weight": kg(100), "target_reps_min": 5, "progression": [rule]}]
    exercises = [{"exercise": SQUAT, "superset": "A", "week": 1, "day": 2, "notes": "deep", "sets": sets}]
    original = await publish(eve, notes="All.", tags=["gym"], weeks=2, folder="mine", exercises=exercises)
    called = original["published"]["id"]
    answer = await rob.ask("POST", f"/templates/{called}/copy")
    made = answer.data
    assert (answer.status, answer.headers["Location"]) == (201, f"/api/templates/{made['id']}")
    assert content(made) == content(original)
    assert (made["visibility"], made["published"], made.get("folder")) == ("private", None, None)
    assert made["source"] == {"app": "fitai", "external_id": called}
    # It is a template like any other: later changes of the original are not its own.
    await eve.ask("DELETE", f"/templates/{original['id']}")
    assert (await rob.ask("GET", f"/templates/{made['id']}")).data == made
    _, started = await session(rob, template_id=made["id"])
    assert started["program"] == {"week": 1, "day": 2}


async def test_a_copy_reaches_the_devices_of_its_owner(eve: Person, rob: Person) -> None:
    phone = await rob.device()
    made = await rob.made(f"/templates/{(await publish(eve))['published']['id']}/copy")
    pulled = {each["id"] for each in (await rob.ask("GET", f"/sync/spaces/{phone.space}/pull")).json["records"]}
    assert {made["id"], made["exercises"][0]["id"], made["exercises"][0]["sets"][0]["id"]} <= pulled


async def test_an_exercise_of_the_owners_own_is_copied_along_once(eve: Person, rob: Person) -> None:
    facts = {"measure": "bodyweight_reps", "equipment": ["band"], "instructions": ["Pull."]}
    own = await eve.made("/exercises", {"name": "Towel Row", "aliases": ["private"], **facts})
    templates = [await publish(eve, exercises=[{"exercise": own["id"]}, {"exercise": SQUAT}]) for _ in range(2)]
    copies = [await rob.made(f"/templates/{each['published']['id']}/copy") for each in templates]
    brought = {each["exercises"][0]["exercise"] for each in copies}
    assert len(brought) == 1 and own["id"] not in brought
    assert copies[0]["exercises"][1]["exercise"] == SQUAT
    found = (await rob.ask("GET", f"/exercises/{brought.pop()}")).data
    assert {name: found[name] for name in facts} == facts
    assert (found["name"], found["is_catalog"], found.get("aliases")) == ("Towel Row", False, None)
    # What its new owner makes of it is theirs.
    await rob.ask("PATCH", f"/exercises/{found['id']}", {"name": "Sheet Row"})
    await rob.made(f"/templates/{templates[0]['published']['id']}/copy")
    assert (await rob.ask("GET", f"/exercises/{found['id']}")).data["name"] == "Sheet Row"
    # One that they deleted is brought again.
    await rob.ask("DELETE", f"/exercises/{found['id']}")
    await rob.made(f"/templates/{templates[0]['published']['id']}/copy")
    assert (await rob.ask("GET", f"/exercises/{found['id']}")).data["name"] == "Towel Row"


async def test_an_exercise_that_nobody_else_sees_is_left_out_and_named(eve: Person, rob: Person) -> None:
    exercises = [{"exercise": SQUAT}, {"exercise": NOBODY, "sets": [{}]}, {"exercise": BENCH}]
    called = (await publish(eve, exercises=exercises))["published"]["id"]
    made = await rob.made(f"/templates/{called}/copy")
    assert [each["exercise"] for each in made["exercises"]] == [SQUAT, BENCH]
    assert [(each["field"], each["code"]) for each in made["warnings"]] == [("exercises[1].exercise", "left_out")]


async def test_ones_own_template_is_copied_as_it_is(eve: Person) -> None:
    original = await publish(eve, folder="mine", exercises=[{"exercise": NOBODY, "sets": [{"is_amrap": True}]}])
    for id in (original["id"], original["published"]["id"]):
        made = await eve.made(f"/templates/{id}/copy")
        assert (content(made), made["folder"], made["visibility"]) == (content(original), "mine", "private")
    read = (await eve.ask("GET", f"/templates/{original['id']}")).data
    assert read["published"]["copies"] == 0


async def test_a_template_is_copied_into_a_shared_space_and_out_of_it(eve: Person, rob: Person) -> None:
    space = (await eve.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"]
    await eve.ask("POST", f"/sync/spaces/{space}/members", {"user": rob.user, "role": "viewer"})
    await rob.ask("POST", f"/sync/spaces/{space}/accept")
    own = await eve.made("/exercises", {"name": "Stone Lift", "measure": "weight_reps", "aliases": ["stone"]})
    original = await eve.made("/templates", {"title": "A", "exercises": [{"exercise": own["id"]}]})
    shared = await eve.made(f"/templates/{original['id']}/copy?to={space}")
    # In a space that several share an exercise has the id that it has at home.
    assert content(shared) == content(original)
    home = await rob.made(f"/templates/{shared['id']}/copy?space={space}")
    assert content(home) == content(original)
    found = (await rob.ask("GET", f"/exercises/{own['id']}")).data
    assert (found["name"], found["aliases"]) == ("Stone Lift", ["stone"])
    assert (await rob.ask("POST", f"/templates/{home['id']}/copy?to={space}")).code == "read_only"
    assert (await rob.ask("POST", f"/templates/{home['id']}/copy?to={NOBODY}")).status == 404


async def test_each_person_who_copies_counts_once(eve: Person, rob: Person) -> None:
    title = f"w{uuid.uuid4().hex}"
    called = (await publish(eve, title))["published"]["id"]
    for _ in range(2):
        await rob.made(f"/templates/{called}/copy")
    assert [each["copies"] for each in await public(rob, f"q={title}")] == [1]
    # Made private and public again it has lost nothing.
    original = (await eve.ask("GET", "/templates")).data[-1]["id"]
    for visibility in ("private", "public"):
        await eve.ask("PATCH", f"/templates/{original}", {"visibility": visibility})
    assert [each["copies"] for each in await public(rob, f"q={title}")] == [1]


async def test_a_copy_that_is_asked_for_again_is_made_once(eve: Person, rob: Person) -> None:
    called, key = (await publish(eve))["published"]["id"], str(uuid.uuid4())
    first, second = [await rob.ask("POST", f"/templates/{called}/copy", Idempotency_Key=key) for _ in range(2)]
    assert (first.status, first.text) == (201, second.text)
    assert len((await rob.ask("GET", "/templates")).data) == 1


class Meanwhile:
    """A transaction behind each of whose statements something happens elsewhere."""

    def __init__(self, tx: Transaction, happens: Callable[[], Awaitable[None]]) -> None:
        self.dialect, self.timeline = tx.dialect, tx.timeline
        self._tx, self._happens = tx, happens

    async def execute(self, *statement: Any) -> Any:
        rows = await self._tx.execute(*statement)
        await self._happens()
        return rows


async def test_a_copy_is_of_one_state_of_a_template_that_changes_meanwhile(
    eve: Person, rob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(number: int) -> dict[str, Any]:
        sets = [{"target_reps_min": number}] * 3
        exercises = [{"exercise": each, "notes": str(number), "sets": sets} for each in (SQUAT, BENCH)]
        return {"title": str(number), "visibility": "public", "exercises": exercises}

    made = await eve.made("/templates", state(1))
    changes: list[int] = []
    changing = False

    async def change() -> None:
        nonlocal changing
        if not changing:
            changing = True
            changes.append(2 - len(changes) % 2)
            answer = await eve.ask("PUT", f"/templates/{made['id']}", state(changes[-1]))
            assert answer.status == 200, answer.text
            changing = False

    database = eve.server.database
    original = database.read

    @asynccontextmanager
    async def read(*, snapshot: bool = False) -> AsyncIterator[Any]:
        async with original(snapshot=snapshot) as tx:
            yield tx if changing else Meanwhile(tx, change)

    monkeypatch.setattr(database, "read", read)
    copies: list[dict[str, Any]] = []
    # While somebody else's reading is what changes it, a copy is read as it stands.
    while len(copies) < 2 or (set(changes) < {1, 2} and len(copies) < 20):
        copies.append(await rob.made(f"/templates/{made['published']['id']}/copy"))
    monkeypatch.undo()
    assert {1, 2} <= set(changes)
    whole = [content(state(number)) for number in (1, 2)]
    read_back = [(await rob.ask("GET", f"/templates/{each['id']}")).data for each in copies]
    assert all(content(each) in whole for each in read_back)


# -- any template ----------------------------------------------------------------------------------------------------

TEXTS = ("", "a", "Élan 推 💪", "two\nlines", 'quotes " and \\ slashes', "x" * 200)


def any_set(random: Random) -> dict[str, Any]:
    """A set with some of the fields that there are."""
    rule = {"field": "weight", "op": random.choice("+-*="), "step": random.randint(0, 40) / 4, "repeat": "week"}
    fields = {
        "kind": random.choice(["normal", "warmup", "drop", "back_off"]),
        "target_reps_max": random.randint(0, 40) / 2,
        "target_weight": {"value": random.randint(0, 2_000) / 4, "unit": random.choice(["kg", "lb"])},
        "target_percent_1rm": random.randint(0, 1_000) / 10,
        "target_rpe": random.randint(0, 20) / 2,
        "target_duration_s": random.randint(0, 3_600),
        "target_distance": {"value": random.randint(0, 100), "unit": random.choice(["m", "mi"])},
        "is_amrap": random.random() < 0.5,
        "progression": [rule] * random.randint(0, 2),
    }
    return some(random, fields)


def any_template(random: Random, exercises: list[str]) -> dict[str, Any]:
    """A template of a few exercises, or of none."""
    many = [
        {"exercise": random.choice(exercises), "sets": [any_set(random) for _ in range(random.randint(0, 3))]}
        | some(
            random,
            {
                "week": random.randint(1, 4),
                "day": random.randint(1, 7),
                "superset": random.choice("AB"),
                "rest_s": random.randint(0, 600),
                "notes": random.choice(TEXTS),
            },
        )
        for _ in range(random.randint(0, 5))
    ]
    more = {"notes": random.choice(TEXTS), "tags": random.sample(["a", "é", "gym 3"], 2), "weeks": 4}
    return {"title": random.choice(TEXTS), "exercises": many} | some(random, more)


def some(random: Random, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if random.random() < 0.7}


def exported(log: dict[str, Any]) -> list[dict[str, Any]]:
    """The templates of an export, nested."""
    (space,) = log["spaces"]
    of: dict[str, list[dict[str, Any]]] = {}
    for record in space["records"]:
        of.setdefault(record["collection"], []).append({"id": record["id"], **record["values"]})

    def below(collection: str, parent: str, id: str) -> list[dict[str, Any]]:
        return sorted((each for each in of.get(collection, []) if each[parent] == id), key=lambda e: e["position"])

    return [
        {
            **root,
            "exercises": [
                {**each, "sets": below("template_sets", "template_exercise", each["id"])}
                for each in below("template_exercises", "template", root["id"])
            ],
        }
        for root in of.get("templates", [])
    ]


async def test_what_a_copy_exports_is_the_original_but_for_ids(eve: Person, rob: Person) -> None:
    own = (await eve.made("/exercises", {"name": "Towel Row", "measure": "reps_only"}))["id"]
    originals, brought = [], set()
    for seed in range(15):
        made = await publish(eve, **any_template(Random(seed), [SQUAT, BENCH, own]))
        copied = await rob.made(f"/templates/{made['published']['id']}/copy")
        originals.append(content(made))
        brought |= {each["exercise"] for each in copied["exercises"]} - {SQUAT, BENCH}
    (theirs,) = brought
    copies = [content(each) for each in exported((await rob.ask("GET", "/export")).json)]
    for each in copies:
        for exercise in each["exercises"]:
            exercise["exercise"] = own if exercise["exercise"] == theirs else exercise["exercise"]
    assert copies == originals
