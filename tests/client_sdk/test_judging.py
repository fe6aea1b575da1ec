"""What the server would refuse is told when it is written: the same rules on both sides, though they share no code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitai_client import Add, InvalidWrite, Remove, Write
from fitai_client.collections import CHILDREN, COLLECTIONS, chain
from fitai_client.core.judging import SET_ELEMENTS_MAX, judge_field, judge_id
from fitai_client.core.spaces import PERSONAL
from fitai_client.core.values import encode_field
from fitai_client.core.writing import write_groups
from storage import collections as server
from sync import planner
from sync.validation import Rejection, check_id, check_put
from tests.client_sdk.conftest import OpenPhone
from tests.client_sdk.declaration import PATH, declaration
from tests.client_sdk.world import World

ID = "0193575e-0000-7000-8000-000000000001"
OTHER_ID = "0193575e-0000-7000-8000-000000000002"


def test_the_declared_collections_are_the_servers() -> None:
    assert PATH.read_text(encoding="utf-8") == declaration(), "write it anew: python -m tests.client_sdk.declaration"
    assert {name: spec.rules.parent for name, spec in server.COLLECTIONS.items()} == {
        name: mine.parent for name, mine in COLLECTIONS.items()
    }
    assert {s.name for s in server.COLLECTIONS.values() if s.single} == {
        c.name for c in COLLECTIONS.values() if c.single
    }
    assert SET_ELEMENTS_MAX == planner.SET_ELEMENTS_MAX
    assert chain("sets") == (("workout_exercise", "workout_exercises"), ("workout", "workouts"))
    assert set(CHILDREN["workouts"]) == {"workout_exercises", "participants"}


REGISTERS = [(c.name, f) for c in COLLECTIONS.values() for f, field in c.fields.items() if field.kind == "register"]


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


ANYTHING: list[Any] = [
    None, True, False, 0, 1, -1, 8, 8.0, 8.25, 8.5, 8.12345, 20.5, 1e9, -1e9, 1e9 + 1, 10**10, 0.1 + 0.2, "", "a", "kg",
    "x" * 60, "x" * 600, "x" * 40_000, "Europe/Berlin", "Europe/Nowhere", "UTC", "../etc", "custom:", "custom:grip",
    "custom:" + "x" * 51, "2026-02-30", "2026-02-28", "2026-11-23T10:00:00.123Z", "2026-11-23T10:00:00Z",
    "2026-11-23T24:00:00.000Z", "2026-13-01T10:00:00.000Z", ID, ID.upper(), ID.replace("-7", "-4"), "a b",
    [], [1], ["a"], ["x" * 2_001], ["a"] * 101, [["2026-11-23T10:00:00.123Z", "2026-11-23T10:01:00.123Z"]],
    [["2026-11-23T10:00:00.123Z"]], {}, {"a": 1}, {"a": "x" * 5_000}, {"value": 100, "unit": "kg"},
    {"value": 4409.2452, "unit": "lb"}, {"value": 4409.2453, "unit": "lb"}, {"value": 100, "unit": "st"},
    {"value": -1, "unit": "kg"}, {"value": 100}, {"value": "1", "unit": "kg"}, {"value": 1, "unit": 2},
    {"value": 5, "unit": "km"}, {"value": 10_001, "unit": "km"}, {"value": 1, "unit": "kg", "more": 1},
    {"started_at": "2026-11-23T10:00:00.123Z", "duration_s": 90}, {"started_at": "x", "duration_s": 90},
    {"started_at": "2026-11-23T10:00:00.123Z", "duration_s": 90, "set": None},
    {"started_at": "2026-11-23T10:00:00.123Z", "duration_s": 90, "set": "s"}, {"duration_s": 90},
    {"app": "hevy"}, {"app": None}, {"app": "hevy", "raw": {"Row": "x" * 33_000}}, {"app": "hevy", "external_id": 7},
    [{"field": "weight", "op": "add", "step": 2.5, "unit": "kg"}], [{"field": "weight"}],
    nested(16), nested(17),
]  # fmt: skip


def values_for(described: Mapping[str, Any]) -> Iterator[Any]:
    """Anything, and what is just within and just beyond the declared limits."""
    yield from ANYTHING
    yield from described.get("values", ())
    for bound in ("minimum", "maximum"):
        if bound in described:
            limit = described[bound]
            yield from (limit - 1, limit - 0.5, limit - 0.00004, limit, limit + 0.5, limit + 0.0001, limit + 1)
    for bound in ("max_length", "min_length"):
        if bound in described:
            yield from ("y" * (described[bound] + more) for more in (-1, 0, 1) if described[bound] + more >= 0)


def mine(collection: str, field: str, edit: Any) -> tuple[str, str | None] | None:
    try:
        judge_field(collection, field, edit, None)
    except InvalidWrite as refused:
        return refused.code, refused.field
    return None


def theirs(collection: str, field: str, edit: Any) -> tuple[str, str | None] | None:
    spec = server.COLLECTIONS[collection]
    sent = json.loads(json.dumps(edit))
    judged = check_put(spec, server.NIL_UUID if spec.single else ID, {field: sent})
    return (judged.code, judged.field) if isinstance(judged, Rejection) else None


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_value_is_judged_as_the_server_judges_it(collection: str) -> None:
    for name, field in COLLECTIONS[collection].fields.items():
        if field.kind == "text":
            continue
        for value in values_for(field.declared or {}):
            edit = {"add": [value]} if field.kind == "set" else value
            assert mine(collection, name, edit) == theirs(collection, name, edit), (collection, name, value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text("ab:/-kg09", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "unit", "app"]), inner),
    max_leaves=5,
)


@given(where=st.sampled_from(REGISTERS), value=json_values)
def test_any_value_is_judged_as_the_server_judges_it(where: tuple[str, str], value: Any) -> None:
    assert mine(*where, value) == theirs(*where, value)


@pytest.mark.parametrize("id", [ID, server.NIL_UUID, ID.upper(), "0193575e-0000-4000-8000-000000000001", "", "x"])
@pytest.mark.parametrize("collection", ["workouts", "preferences"])
def test_an_id_is_judged_as_the_server_judges_it(collection: str, id: str) -> None:
    refused = check_id(server.COLLECTIONS[collection], id)
    if refused is None:
        judge_id(collection, id)
    else:
        with pytest.raises(InvalidWrite) as told:
            judge_id(collection, id)
        assert told.value.code == refused.code


async def test_a_refusal_names_the_field_and_nothing_is_written(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:9", background=False)
    workout = await phone.workouts.create(title="Push day")
    for fields, code in (
        ({"rating": 6}, "out_of_range"),
        ({"status": "begun"}, "out_of_range"),
        ({"title": "x" * 201}, "too_long"),
        ({"title": None}, "wrong_type"),
        ({"tags": [1, "a"]}, "wrong_type"),
        ({"tags": {"add": "abc"}}, "wrong_type"),
        ({"notes": {"yjs": "AAECAwQF"}}, "bad_text"),
        ({"colour": "red"}, "unknown_field"),
    ):
        with pytest.raises(InvalidWrite) as refused:
            await phone.workouts.update(workout.id, **fields)
        (name,) = fields
        assert (refused.value.code, refused.value.field) == (code, name)
        assert name in str(refused.value)
    with pytest.raises(InvalidWrite):
        async with phone.transaction():
            await phone.workouts.create(title="never")
            await phone.workouts.update(workout.id, rating=0)
    assert await phone.workouts.count() == 1 and (await phone.status()).pending == 1


async def test_a_record_does_not_change_its_parent(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:9", background=False)
    one, other = [await phone.workouts.create(title=t) for t in "ab"]
    exercise = await phone.workout_exercises.create(workout=one.id, exercise=phone.new_id(), position="a0")
    with pytest.raises(InvalidWrite) as refused:
        await phone.workout_exercises.update(exercise.id, workout=other.id)
    assert (refused.value.code, refused.value.field) == ("immutable", "workout")


async def test_a_set_holds_at_most_what_the_server_lets_it(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:9", background=False)
    workout = await phone.workouts.create(tags=[f"t{n}" for n in range(SET_ELEMENTS_MAX)])
    with pytest.raises(InvalidWrite) as refused:
        await phone.workouts.update(workout.id, tags=Add("one more"))
    assert refused.value.code == "record_full"
    await phone.workouts.update(workout.id, tags=Remove("t1"))
    await phone.workouts.update(workout.id, tags=Add("one more"))


def test_what_a_newer_server_let_in_is_read_and_given_back(world: World) -> None:
    """A field and a word of a newer schema pass; only what a program writes of its own is judged."""
    phone = world.phone()
    phone.sync()
    id = phone.new_id()
    newer = {
        "collection": "workouts", "id": id, "seq": 1, "updated_at": "2026-01-01T00:00:00.000Z", "updated_by": "dev",
        "values": {"title": "w", "status": "postponed", "mood": {"face": ":)"}},
    }  # fmt: skip
    start = {"space": "s", "life": "1", "from": "1:0:0", "to": "1:1:1", "records": [newer], "version": {"dev": 1}}
    assert phone.device.delta(PERSONAL, start)
    shown = phone.get("workouts", id)
    assert shown is not None and shown["mood"] == {"face": ":)"} and shown["status"] == "postponed"
    phone.put("workouts", id, status="postponed")
    with pytest.raises(InvalidWrite), phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("workouts", id, {"status": "postponed"})]], judged=True)


def test_a_whole_set_of_mixed_elements_has_a_form_to_be_judged_by(world: World) -> None:
    edit = encode_field("set", [1, "a"], None, "workouts.tags", world.phone().db.environment)
    assert mine("workouts", "tags", edit) == ("wrong_type", "tags")
