"""What is larger than anybody trains: it holds up nobody, loses nothing, and is used on like anything else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

SQUAT = "8106380d-5122-5600-b7e4-f73c25bdffc7"
BENCH = "ae2c29e2-88dc-5389-9792-492a5dc0cf78"
SHOWN_MAX = 6


@pytest.fixture(autouse=True)
def few_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.records.TREE_MAX", SHOWN_MAX)


def said(answer: Any) -> list[str]:
    return [each["code"] for each in answer.get("warnings", ())]


@pytest.mark.parametrize("of", ["workouts", "templates"])
async def test_what_is_too_large_to_show_is_made_changed_and_deleted_and_says_how_it_is_read(
    ann: Person, of: str
) -> None:
    sets = [{}] * SHOWN_MAX
    body = {"title": "Long", "exercises": [{"exercise": SQUAT, "sets": sets}]}
    made = await ann.made(f"/{of}", body)
    assert (said(made), "exercises" in made) == (["too_large_to_show"], False)
    path = f"/{of}/{made['id']}"
    refused = await ann.ask("GET", path)
    assert (refused.status, refused.code) == (409, "too_large_to_show")
    changed = await ann.ask("PATCH", path, {"title": "Longer"}, If_Match=f'"{made["version"]}"')
    assert (changed.status, changed.data["title"], said(changed.data)) == (200, "Longer", ["too_large_to_show"])
    stale = await ann.ask("PATCH", path, {"title": "Old"}, If_Match=f'"{made["version"]}"')
    assert stale.status == 412
    assert (await ann.ask("DELETE", path)).status == 200


@pytest.mark.parametrize("of", ["workouts", "templates"])
async def test_a_page_of_whole_ones_ends_where_it_shows_enough_and_goes_on_behind_it(ann: Person, of: str) -> None:
    made = [
        (await ann.made(f"/{of}", {"title": "A", "exercises": [{"exercise": SQUAT, "sets": [{}] * size}]}))["id"]
        for size in (1, 2, SHOWN_MAX, 1)
    ]
    pages, cursor = [], ""
    while True:
        answer = await ann.ask("GET", f"/{of}?nested=true&limit=4{cursor}")
        assert answer.status == 200, answer.text
        pages.append([(made.index(each["id"]), "exercises" in each) for each in answer.data])
        if (following := answer.json["meta"]["pagination"]["cursor"]) is None:
            break
        cursor = f"&cursor={following}"
    whole = {"workouts": [[3], [2], [1, 0]], "templates": [[0, 1], [2], [3]]}[of]
    assert pages == [[(each, each != 2) for each in page] for page in whole]


async def test_a_session_goes_on_however_much_was_done_in_it(ann: Person) -> None:
    made = await ann.made("/workouts/sessions/start", {"title": "Long"})
    path = f"/workouts/sessions/{made['id']}"
    await ann.made(f"{path}/exercises", {"exercise": SQUAT, "sets": [{"reps": 5}] * SHOWN_MAX})
    before = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 5})
    behind = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 6})
    assert behind["workout_exercise"] == before["workout_exercise"]
    assert behind["position"] > before["position"]
    dropped = await ann.made(f"{path}/sets", {"exercise": SQUAT, "reps": 4, "kind": "drop"})
    assert dropped["drop_of"] == behind["id"]
    (active,) = (await ann.ask("GET", "/workouts/sessions/active")).data
    assert (active["id"], said(active)) == (made["id"], ["too_large_to_show"])
    timer = await ann.ask("POST", f"{path}/timer", {"action": "start", "duration_s": 60})
    over = await ann.ask("POST", f"{path}/complete", {})
    assert (timer.status, over.status, over.data["status"]) == (200, 200, "completed")
    assert "too_large_to_show" in said(over.data)


async def test_no_session_starts_from_what_is_too_large_to_show(ann: Person) -> None:
    body = {"title": "Long", "exercises": [{"exercise": BENCH, "sets": [{}] * SHOWN_MAX}]}
    template = await ann.made("/templates", body)
    start = {"template_id": template["id"]}
    assert await ann.refused("POST", "/workouts/sessions/start", start) == {("template_id", "wrong_length")}
