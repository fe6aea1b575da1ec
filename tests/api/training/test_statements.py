"""What a request asks of the database, in statements: a number that follows from the request alone."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from storage.tables import mails
from tests.api.harness import until
from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

SQUAT = "0193575e-3a40-7000-8000-000000000001"
PRESS = "0193575e-3a40-7000-8000-000000000002"

READS = [
    ("/users/me", 1),
    # The member with the space, then what is asked for.
    ("/workouts/sessions/active", 3),
    ("/workouts/sessions/{session}", 2),
    ("/workouts", 2),
    ("/workouts?nested=true", 3),
    ("/workouts/{workout}", 2),
    ("/goals", 2),
    ("/measurements", 2),
    ("/users/preferences", 2),
    # The spaces that one sees, then the exercises of the page.
    ("/exercises", 2),
    ("/exercises/search?q=squat", 2),
    # The spaces, how far the catalog is, and what moved.
    ("/records", 4),
    ("/users/me/analytics", 4),
    ("/goals/progress", 4),
    (f"/exercises/{SQUAT}/history", 4),
    (f"/exercises/{SQUAT}/records", 4),
]
SESSION = "/workouts/sessions/{session}"
WRITES = [
    # What stands with the space, what else is looked at, whether it still stands, the three that write; then what is
    # answered, where it is more than what was written.
    ("POST", f"{SESSION}/sets", {"workout_exercise": "{place}", "reps": 5}, 6),
    ("POST", f"{SESSION}/sets", {"exercise": SQUAT, "reps": 5}, 8),
    ("PATCH", f"{SESSION}/sets/{{set}}", {"reps": 6}, 5),
    ("POST", f"{SESSION}/timer", {"action": "start", "duration_s": 60}, 7),
    ("POST", "/workouts", {"exercises": [{"exercise": SQUAT, "sets": [{"reps": 5}] * 5}]}, 9),
    ("POST", "/goals", {"kind": "strength", "title": "Squat", "target": 140}, 5),
]


async def trained(person: Person) -> dict[str, str]:
    """Somebody with a past workout and a session under way; the ids in addresses."""
    done = {"sets": [{"reps": 5, "weight": {"value": 100, "unit": "kg"}}] * 3}
    workout = await person.made("/workouts", {"exercises": [{"exercise": each, **done} for each in (SQUAT, PRESS)]})
    session = await person.made("/workouts/sessions/start", {"title": "Legs"})
    first = await person.made(f"/workouts/sessions/{session['id']}/sets", {"exercise": SQUAT, "reps": 5})
    return {
        "workout": workout["id"],
        "session": session["id"],
        "set": first["id"],
        "place": first["workout_exercise"],
    }


async def least(person: Person, method: str, path: str, body: Any = None) -> int:
    """The statements of a request, the least of several: the server may do something of its own meanwhile."""
    database = person.server.database
    counted = []
    for _ in range(3):
        before = database.statements
        answer = await person.ask(method, path, body)
        assert answer.status < 300, answer.text
        counted.append(database.statements - before)
    return min(counted)


async def settled(person: Person) -> None:
    """The mail that greets somebody is on its way."""
    waiting = select(func.count()).select_from(mails)

    async def none() -> bool:
        async with person.server.database.read() as tx:
            return (await tx.execute(waiting))[0][0] == 0

    await until(none)


@pytest.mark.parametrize(("path", "most"), READS)
async def test_a_read_takes_no_more_statements_than_these(ann: Person, path: str, most: int) -> None:
    ids = await trained(ann)
    await settled(ann)
    # The first one reads what the process knows from then on: one's space, one's history, what one trains.
    await ann.ask("GET", path.format(**ids))
    assert await least(ann, "GET", path.format(**ids)) <= most


@pytest.mark.parametrize(("method", "path", "body", "most"), WRITES)
async def test_a_write_takes_no_more_statements_than_these(
    ann: Person, method: str, path: str, body: dict[str, Any], most: int
) -> None:
    ids = await trained(ann)
    await settled(ann)
    body = {name: ids["place"] if value == "{place}" else value for name, value in body.items()}
    assert await least(ann, method, path.format(**ids), body) <= most
