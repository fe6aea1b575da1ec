"""Templates over HTTP: made, read, replaced and deleted as a whole."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from storage.templates import RECORDS_MAX
from tests.api.harness import Server
from tests.api.training.conftest import Person, person
from tests.api.training.test_sessions import BENCH, NOBODY, SQUAT, kg, session
from tests.api.training.test_statements import settled
from tests.api.training.test_workouts import DIPS

pytestmark = pytest.mark.asyncio(loop_scope="module")

RULE = {"field": "weight", "op": "+", "step": 2.5, "unit": "kg", "requires": ["reps"]}


def push_day(**more: Any) -> dict[str, Any]:
    sets = [
        {"kind": "warmup", "target_reps_min": 5, "target_weight": kg(40)},
        {
            "target_reps_min": 5,
            "target_reps_max": 8,
            "target_weight": {"value": 225, "unit": "lb"},
            "progression": [RULE],
        },
    ]
    return {
        "title": "Druckübungen 💪 推",
        "notes": "Rest well.",
        "folder": "Winter",
        "tags": ["strength", "gym"],
        "exercises": [
            {"exercise": SQUAT, "superset": "A", "rest_s": 120, "notes": "deep", "sets": sets},
            {"exercise": BENCH, "superset": "A", "sets": [{"is_amrap": True}]},
        ],
        **more,
    }


def body_of(shown: dict[str, Any]) -> dict[str, Any]:
    """A template as it was answered, as a PUT takes it."""
    told = {"version", "updated_at", "updated_by", "position", "is_favorite", "is_shared", "published"}
    plain = {name: value for name, value in shown.items() if name not in {*told, "id", "exercises"}}

    def below(each: dict[str, Any], parent: str) -> dict[str, Any]:
        return {name: value for name, value in each.items() if name not in {*told, parent}}

    exercises = [
        below(each, "template") | {"sets": [below(one, "template_exercise") for one in each["sets"]]}
        for each in shown["exercises"]
    ]
    return plain | {"exercises": exercises}


async def put(who: Person, made: dict[str, Any], body: dict[str, Any], **headers: str) -> Any:
    answer = await who.ask("PUT", f"/templates/{made['id']}", body, **headers)
    assert answer.status == 200, answer.text
    return answer.data


async def test_a_template_reads_as_it_was_made(ann: Person) -> None:
    answer = await ann.ask("POST", "/templates", push_day())
    made = answer.data
    assert (answer.status, answer.headers["Location"]) == (201, f"/api/templates/{made['id']}")
    read = await ann.ask("GET", f"/templates/{made['id']}")
    assert read.data == made
    assert read.headers["ETag"] == answer.headers["ETag"]
    assert (made["title"], made["notes"], sorted(made["tags"])) == (
        "Druckübungen 💪 推",
        "Rest well.",
        ["gym", "strength"],
    )
    squat, bench = made["exercises"]
    assert (squat["exercise"], squat["notes"], squat["rest_s"], bench["superset"]) == (SQUAT, "deep", 120, "A")
    warm_up, top = squat["sets"]
    assert (warm_up["kind"], top["target_weight"], top["progression"]) == (
        "warmup",
        {"value": 225, "unit": "lb"},
        [RULE],
    )
    assert bench["sets"][0]["is_amrap"] is True


async def test_a_template_reaches_the_devices_and_what_they_make_is_read_here(ann: Person) -> None:
    phone = await ann.device()
    made = await ann.made("/templates", push_day())
    pulled = (await ann.ask("GET", f"/sync/spaces/{phone.space}/pull")).json["records"]
    assert {each["collection"] for each in pulled} == {"templates", "template_exercises", "template_sets"}
    exercise = phone.new_id()
    await phone.push(
        ("template_exercises", exercise, {"template": made["id"], "exercise": NOBODY, "position": "zz"}),
        ("template_sets", phone.new_id(), {"template_exercise": exercise, "position": "a0", "target_reps_min": 3}),
    )
    last = (await ann.ask("GET", f"/templates/{made['id']}")).data["exercises"][-1]
    assert (last["id"], last["exercise"], last["sets"][0]["target_reps_min"]) == (exercise, NOBODY, 3)


async def test_templates_are_listed_page_by_page_and_nested_on_demand(ann: Person) -> None:
    made = [await ann.made("/templates", {"title": title}) for title in "abc"]
    first = await ann.ask("GET", "/templates?limit=2")
    cursor = first.json["meta"]["pagination"]["cursor"]
    second = await ann.ask("GET", f"/templates?limit=2&cursor={cursor}&nested=true")
    assert [each["id"] for each in first.data + second.data] == [each["id"] for each in made]
    assert ["exercises" in each for each in first.data + second.data] == [False, False, True]
    assert second.json["meta"]["pagination"]["cursor"] is None


async def test_a_request_that_is_sent_again_makes_one_template(ann: Person) -> None:
    key = str(uuid.uuid4())
    first, second = [await ann.ask("POST", "/templates", push_day(), Idempotency_Key=key) for _ in range(2)]
    assert (first.status, first.text) == (201, second.text)
    assert len((await ann.ask("GET", "/templates")).data) == 1


async def test_a_template_starts_a_session(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    _, started = await session(ann, template_id=made["id"])
    assert [len(each["sets"]) for each in started["exercises"]] == [2, 1]
    assert "program" not in started


# -- replacing -------------------------------------------------------------------------------------------------------


async def test_a_replacement_by_what_is_there_writes_nothing(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    assert await put(ann, made, body_of(made)) == made


async def test_what_was_read_may_come_back_whole_and_changed(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    read = await ann.ask("GET", f"/templates/{made['id']}")
    assert await put(ann, made, read.data, If_Match=read.headers["ETag"]) == read.data
    changed = {**read.data, "title": "Pull", "exercises": read.data["exercises"][::-1]}
    after = await put(ann, made, changed)
    assert [each["id"] for each in after["exercises"]] == [each["id"] for each in changed["exercises"]]
    assert (after["title"], after["version"] != made["version"]) == ("Pull", True)


async def test_a_read_only_field_that_stands_otherwise_is_refused_by_name_with_what_else_is_wrong(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    path, body = f"/templates/{made['id']}", json.loads(json.dumps(made))
    body |= {"is_favorite": True, "weeks": 0, "mood": 1}
    body["exercises"][0]["sets"][1]["version"] = "x"
    body["exercises"].append({"exercise": SQUAT, "updated_at": made["updated_at"]})
    assert await ann.refused("PUT", path, body) == {
        ("is_favorite", "immutable"),
        ("exercises[0].sets[1].version", "immutable"),
        ("exercises[2].updated_at", "immutable"),
        ("weeks", "out_of_range"),
        ("mood", "unknown_field"),
    }
    # What can be the id of nothing stands nowhere.
    body["exercises"][1] |= {"id": {}}
    body["exercises"][0]["sets"][0] |= {"id": []}
    assert await ann.refused("PUT", path, body) >= {
        ("exercises[0].sets[0].id", "wrong_type"),
        ("exercises[0].sets[0].version", "immutable"),
        ("exercises[1].id", "wrong_type"),
        ("exercises[1].version", "immutable"),
    }
    await ann.ask("PATCH", path, {"title": "Pull"})
    assert ("version", "immutable") in await ann.refused("PUT", path, made)
    stale = await ann.ask("PUT", path, made, If_Match=made["version"])
    assert (stale.status, stale.code) == (412, "precondition_failed")
    assert (await ann.ask("GET", path)).data["title"] == "Pull"
    assert (await ann.ask("PUT", f"/templates/{NOBODY}", made)).status == 404


async def test_what_is_left_out_is_deleted_and_ids_that_are_given_stay(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    squat, bench = made["exercises"]
    body = body_of(made)
    body["exercises"] = [{"exercise": DIPS, "sets": [{"target_reps_min": 1}]}, body["exercises"][0]]
    del body["exercises"][1]["sets"][0]
    after = await put(ann, made, body)
    new, kept = after["exercises"]
    assert (new["exercise"], kept["id"]) == (DIPS, squat["id"])
    assert [each["id"] for each in kept["sets"]] == [squat["sets"][1]["id"]]
    assert {new["id"], new["sets"][0]["id"]}.isdisjoint({squat["id"], bench["id"]})
    assert (await ann.ask("GET", f"/templates/{made['id']}")).data == after


async def test_a_field_that_is_left_out_is_empty_but_for_where_it_is_kept_and_came_from(ann: Person) -> None:
    source = {"app": "hevy", "external_id": "7"}
    made = await ann.made("/templates", push_day(source=source, position="m", visibility="friends", weeks=3))
    exercises = [{"id": each["id"], "exercise": each["exercise"]} for each in made["exercises"]]
    after = await put(ann, made, {"title": "bare", "exercises": exercises})
    assert (after["notes"], after["folder"], after["tags"], after["weeks"]) == ("", None, [], None)
    assert (after["visibility"], after["position"], after["source"]) == ("private", "m", source)
    squat = after["exercises"][0]
    assert (squat["notes"], squat["superset"], squat["rest_s"], squat["sets"]) == ("", None, None, [])


async def test_the_order_of_the_list_is_the_order(ann: Person) -> None:
    exercises = [{"exercise": SQUAT, "notes": str(number)} for number in range(4)]
    made = await ann.made("/templates", {"title": "A", "exercises": exercises})
    body = body_of(made)
    body["exercises"].reverse()
    body["exercises"].insert(2, {"exercise": BENCH, "notes": "new"})
    after = await put(ann, made, body)
    assert [each["notes"] for each in after["exercises"]] == ["3", "2", "new", "1", "0"]
    ids = [each["id"] for each in made["exercises"]][::-1]
    assert [each["id"] for each in after["exercises"] if each["notes"] != "new"] == ids


async def test_only_what_differs_is_written_so_that_what_a_device_adds_elsewhere_stays(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    body = body_of(made) | {"title": "Later"}
    body["exercises"][0]["sets"][1]["target_rpe"] = 8
    after = await put(ann, made, body)
    squat, bench = after["exercises"]
    assert (bench, squat["version"]) == (made["exercises"][1], made["exercises"][0]["version"])
    versions = zip(squat["sets"], made["exercises"][0]["sets"], strict=True)
    assert [one["version"] == before["version"] for one, before in versions] == [True, False]


async def test_a_field_that_devices_wrote_at_once_is_decided_by_a_replacement(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    phone = await ann.device()
    await phone.push(("templates", made["id"], {"folder": "Summer"}))
    shown = (await ann.ask("GET", f"/templates/{made['id']}")).data
    assert "folder" in shown["conflicts"]
    after = await put(ann, made, body_of({name: each for name, each in shown.items() if name != "conflicts"}))
    assert (after["folder"], "conflicts" in after) == ("Summer", False)


async def test_an_id_of_something_else_is_refused_by_name(ann: Person) -> None:
    made, other = [await ann.made("/templates", push_day()) for _ in range(2)]
    body = body_of(made)
    body["exercises"][0]["id"] = other["exercises"][0]["id"]
    body["exercises"][1]["sets"][0]["id"] = made["exercises"][0]["sets"][0]["id"]
    assert await ann.refused("PUT", f"/templates/{made['id']}", body) == {
        ("exercises[0].id", "unknown_value"),
        ("exercises[1].sets[0].id", "unknown_value"),
    }
    twice = body_of(made)
    twice["exercises"][1]["id"] = twice["exercises"][0]["id"]
    twice["exercises"][1]["sets"] = []
    assert ("exercises[1].id", "invalid") in await ann.refused("PUT", f"/templates/{made['id']}", twice)
    assert (await ann.ask("GET", f"/templates/{made['id']}")).data == made


async def test_an_id_that_nobody_has_is_the_new_ones(ann: Person) -> None:
    made = await ann.made("/templates", {"title": "A"})
    id = (await ann.device()).new_id()
    body: dict[str, Any] = {"title": "A", "exercises": [{"id": id, "exercise": SQUAT}]}
    assert (await put(ann, made, body))["exercises"][0]["id"] == id
    body["exercises"][0]["id"] = str(uuid.uuid4())
    assert await ann.refused("PUT", f"/templates/{made['id']}", body) == {("exercises[0].id", "wrong_format")}


async def test_an_id_of_what_was_deleted_brings_nothing_back(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    await put(ann, made, {"title": "A"})
    body = {"title": "A", "exercises": [{"id": made["exercises"][0]["id"], "exercise": BENCH}]}
    assert await ann.refused("PUT", f"/templates/{made['id']}", body) == {("exercises[0].id", "unknown_value")}


async def test_a_write_applies_to_what_was_seen_or_not_at_all(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    path = f"/templates/{made['id']}"
    etag = (await ann.ask("GET", path)).headers["ETag"]
    assert (await ann.ask("GET", path, If_None_Match=etag)).status == 304
    # Its version is that of everything in it; what stands beside it is no part of what a writer has to have seen.
    await ann.ask("POST", f"{path}/favorite")
    assert (await ann.ask("GET", path, If_None_Match=etag)).data["is_favorite"] is True
    await put(ann, made, body_of(made) | {"title": "B"}, If_Match=etag)
    for method, body in (("PUT", body_of(made)), ("PATCH", {"title": "C"}), ("DELETE", None)):
        refused = await ann.ask(method, path, body, If_Match=etag)
        assert (refused.status, refused.code) == (412, "precondition_failed")
    read = (await ann.ask("GET", path)).data
    assert read["title"] == "B"
    changed = await ann.ask("PATCH", path, {"title": "C"}, If_Match=f'"{read["version"]}"')
    assert (changed.status, changed.data["title"], changed.data["exercises"]) == (200, "C", read["exercises"])


async def test_a_deleted_template_is_gone_with_everything_in_it(ann: Person) -> None:
    made = await ann.made("/templates", push_day())
    path = f"/templates/{made['id']}"
    assert (await ann.ask("DELETE", path)).data == {"id": made["id"]}
    for method, body in (("GET", None), ("PUT", {"title": "A"}), ("PATCH", {"title": "A"}), ("DELETE", None)):
        assert (await ann.ask(method, path, body)).status == 404
    assert (await ann.ask("GET", "/templates")).data == []


# -- what is refused -------------------------------------------------------------------------------------------------


async def test_every_wrong_field_is_named_in_one_answer(ann: Person) -> None:
    body = push_day(weeks=0, nope=1)
    body["exercises"][0]["sets"][1]["target_reps_min"] = 0.3
    body["exercises"][1]["position"] = "a0"
    del body["exercises"][0]["exercise"], body["title"]
    wrong = {
        ("weeks", "out_of_range"),
        ("nope", "unknown_field"),
        ("title", "required"),
        ("exercises[0].exercise", "required"),
        ("exercises[0].sets[1].target_reps_min", "out_of_range"),
        ("exercises[1].position", "unknown_field"),
    }
    assert await ann.refused("POST", "/templates", body) == wrong
    made = await ann.made("/templates", push_day())
    # What is read-only where something stands is so by name.
    replaced = wrong - {("exercises[1].position", "unknown_field")} | {("exercises[1].position", "immutable")}
    assert await ann.refused("PUT", f"/templates/{made['id']}", body) == replaced
    assert await ann.refused("POST", "/templates", push_day(title="x" * 201)) == {("title", "wrong_length")}


async def test_what_contradicts_itself_is_refused(ann: Person) -> None:
    body = push_day(weeks=2)
    body["exercises"][1] |= {"week": 3, "sets": [{"target_reps_min": 8, "target_reps_max": 5}]}
    assert await ann.refused("POST", "/templates", body) == {
        ("exercises[1].week", "out_of_range"),
        ("exercises[1].sets[0].target_reps_max", "out_of_range"),
    }


async def test_a_template_is_no_larger_than_anybody_trains(ann: Person) -> None:
    many = [{"exercise": SQUAT}] * 1_000
    assert await ann.refused("POST", "/templates", push_day(exercises=many)) == {("exercises", "wrong_length")}
    sets = [{"exercise": SQUAT, "sets": [{}] * 100}] * (RECORDS_MAX // 100)
    assert await ann.refused("POST", "/templates", push_day(exercises=sets)) == {("exercises", "wrong_length")}
    one = [{"exercise": SQUAT, "sets": [{}] * 101}]
    assert await ann.refused("POST", "/templates", push_day(exercises=one)) == {("exercises[0].sets", "wrong_length")}
    assert (await ann.ask("GET", "/templates")).data == []


async def test_a_rule_that_nobody_can_read_is_taken_and_pointed_out(ann: Person) -> None:
    body = push_day()
    wrong = [{"field": "mood", "op": "+", "step": 1}, {**RULE, "unit": "m"}, {**RULE, "repeat": "often"}]
    body["exercises"][0]["sets"][1]["progression"] = [*wrong, {**RULE, "requires": ["joy"]}, {**RULE, "op": "?"}]
    made = await ann.made("/templates", body)
    wrong_parts = ("[0].field", "[1].unit", "[2].repeat", "[3].requires", "[4].op")
    assert [(each["field"], each["code"]) for each in made["warnings"]] == [
        (f"exercises[0].sets[1].progression{part}", "rule_left_out") for part in wrong_parts
    ]


async def test_a_strangers_template_looks_like_none(ann: Person, bob: Person) -> None:
    made = await ann.made("/templates", push_day())

    def same(text: str) -> Any:
        answer = json.loads(text)
        del answer["meta"]
        return answer

    for method, path, body in (
        ("GET", "/templates/{}", None),
        ("PUT", "/templates/{}", {"title": "mine"}),
        ("PATCH", "/templates/{}", {"title": "mine"}),
        ("DELETE", "/templates/{}", None),
        ("GET", "/templates/public/{}", None),
        ("POST", "/templates/{}/favorite", None),
        ("POST", "/templates/{}/copy", None),
        ("POST", "/templates/{}/share", None),
        ("DELETE", "/templates/{}/share", None),
    ):
        foreign, missing = [await bob.ask(method, path.format(id), body) for id in (made["id"], NOBODY)]
        assert foreign.status == missing.status == 404, (method, path)
        assert same(foreign.text) == same(missing.text)
    assert (await ann.ask("GET", f"/templates/{made['id']}")).data == made


async def test_a_viewer_of_a_shared_space_reads_its_templates_and_writes_none(ann: Person, bob: Person) -> None:
    space = (await ann.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"]
    await ann.ask("POST", f"/sync/spaces/{space}/members", {"user": bob.user, "role": "viewer"})
    await bob.ask("POST", f"/sync/spaces/{space}/accept")
    made = await ann.made(f"/templates?space={space}", push_day())
    path = f"/templates/{made['id']}"
    assert (await bob.ask("GET", f"{path}?space={space}")).data["exercises"] == made["exercises"]
    assert (await bob.ask("GET", path)).status == 404
    for method, at, body in (
        ("POST", "/templates", push_day()),
        ("PUT", path, push_day()),
        ("PATCH", path, {"title": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/share", None),
    ):
        assert (await bob.ask(method, f"{at}?space={space}", body)).code == "read_only"


# -- what it costs ---------------------------------------------------------------------------------------------------


async def test_no_call_costs_more_statements_when_there_is_much(ann: Person) -> None:
    database = ann.server.database

    async def costs(exercises: int) -> list[int]:
        counted: list[int] = []

        async def step(method: str, path: str, body: Any = None) -> Any:
            before = database.statements
            answer = await ann.ask(method, path, body)
            counted.append(database.statements - before)
            assert answer.status < 300, answer.text
            return answer.data

        body = push_day(exercises=[{"exercise": SQUAT, "sets": [{"target_reps_min": 5}] * 3}] * exercises)
        made = await step("POST", "/templates", body)
        await step("GET", f"/templates/{made['id']}")
        changed = body_of(made)
        changed["exercises"] = [*changed["exercises"][1:], {"exercise": BENCH}]
        await step("PUT", f"/templates/{made['id']}", changed)
        await step("GET", "/templates?nested=true")
        return counted

    await settled(ann)
    await costs(2)
    few = await costs(2)
    assert await costs(40) == few


async def test_everything_works_on_postgres_too(postgres_server: Server) -> None:
    ann = await person(postgres_server)
    made = await ann.made("/templates", push_day())
    body = body_of(made)
    body["exercises"] = [{"exercise": DIPS, "sets": [{}]}, body["exercises"][1]]
    after = await put(ann, made, body)
    assert [each["exercise"] for each in after["exercises"]] == [DIPS, BENCH]
    (listed,) = (await ann.ask("GET", "/templates?nested=true")).data
    assert listed == after
    assert (await ann.ask("DELETE", f"/templates/{made['id']}")).status == 200
