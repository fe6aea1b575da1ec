"""Sessions of programs over HTTP: each is of the day that follows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.training.conftest import Person
from tests.api.training.test_sessions import BENCH, SQUAT, kg, session, template

pytestmark = pytest.mark.asyncio(loop_scope="module")


PULL = "0193575e-3a40-7000-8000-000000000003"


async def train(who: Person, path: str, made: Any) -> None:
    """Do each set as it is planned, and end the session."""
    for exercise in made["exercises"]:
        for each in exercise["sets"]:
            values = {"reps": 5, "weight": each["target_weight"], "completed_at": made["started_at"]}
            await who.ask("PATCH", f"{path}/sets/{each['id']}", values)
    await who.ask("POST", f"{path}/complete", {})


async def program(who: Person) -> str:
    rule = {"field": "weight", "op": "+", "step": 5, "unit": "kg"}
    sets = [{"target_weight": kg(100), "target_reps_min": 5, "progression": [rule]}]
    days = [({"exercise": e, "week": w, "day": d}, sets) for w in (1, 2) for d, e in ((1, SQUAT), (2, BENCH))]
    return await template(who, *days)


async def test_each_session_of_a_program_is_of_its_next_day_with_its_rules_applied(ann: Person) -> None:
    id = await program(ann)
    seen = []
    for _ in range(4):
        path, made = await session(ann, template_id=id)
        (exercise,) = made["exercises"]
        weights = [each["target_weight"]["value"] for each in exercise["sets"]]
        seen.append((*made["program"].values(), exercise["exercise"], *weights))
        await train(ann, path, made)
    assert seen == [(1, 1, SQUAT, 100), (1, 2, BENCH, 100), (2, 1, SQUAT, 105), (2, 2, BENCH, 105)]


async def test_a_week_with_targets_of_its_own_goes_on_from_the_last_time_it_came_itself(ann: Person) -> None:
    rule = {"field": "weight", "op": "+", "step": 5, "unit": "kg"}
    weeks = [
        ({"exercise": SQUAT, "week": n}, [{"target_weight": kg(load), "target_reps_min": 5, "progression": [rule]}])
        for n, load in ((1, 100), (2, 110), (3, 60))
    ]
    id = await template(ann, *weeks)
    seen = []
    for _ in range(6):
        path, made = await session(ann, template_id=id)
        seen.append(made["exercises"][0]["sets"][0]["target_weight"]["value"])
        await train(ann, path, made)
    assert seen == [100, 110, 60, 105, 115, 65]


async def test_a_week_without_a_program_is_refused(ann: Person) -> None:
    start = "/workouts/sessions/start"
    assert await ann.refused("POST", start, {"week": 1}) == {("template_id", "required")}


async def test_a_session_that_was_discarded_moves_nothing(ann: Person) -> None:
    id = await program(ann)
    path, made = await session(ann, template_id=id)
    await ann.ask("POST", f"{path}/discard")
    assert (await session(ann, template_id=id))[1]["program"] == made["program"] == {"week": 1, "day": 1}


async def test_a_session_is_still_of_its_day_after_it_was_edited(ann: Person) -> None:
    id = await template(ann, *(({"exercise": e, "day": d}, []) for d in (1, 2, 3) for e in (SQUAT, BENCH)))
    path, made = await session(ann, template_id=id, day=2)
    await ann.ask("DELETE", f"{path}/exercises/{made['exercises'][0]['id']}")
    await ann.made(f"{path}/exercises", {"exercise": PULL})
    await ann.ask("POST", f"{path}/complete", {})
    assert (await session(ann, template_id=id))[1]["program"] == {"week": None, "day": 3}


async def test_a_day_that_a_program_has_not_is_refused_by_name(ann: Person) -> None:
    id = await program(ann)
    start = "/workouts/sessions/start"
    assert await ann.refused("POST", start, {"template_id": id, "week": 3}) == {("week", "unknown_value")}
    assert await ann.refused("POST", start, {"template_id": id, "week": 2, "day": 9}) == {("day", "unknown_value")}
    assert (await ann.ask("GET", "/workouts/sessions/active")).data == []


async def test_a_session_goes_on_where_its_template_is_deleted_meanwhile(ann: Person) -> None:
    id = await program(ann)
    path, made = await session(ann, template_id=id)
    phone = await ann.device()
    await phone.delete("templates", id)
    await train(ann, path, made)
    ended = (await ann.ask("GET", path)).data
    assert (ended["status"], ended["template"]) == ("completed", id)
    assert ended["exercises"][0]["sets"][0]["reps"] == 5
    assert await ann.refused("POST", "/workouts/sessions/start", {"template_id": id}) == {
        ("template_id", "unknown_value")
    }
