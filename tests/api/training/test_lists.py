"""Lists that are narrowed to what is asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from api.training import listing
from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(person: Person, path: str, field: str, **query: Any) -> list[Any]:
    """A field of everything that a list shows, page by page."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await person.ask("GET", f"{path}?{urlencode({**query, **cursor}, doseq=True)}")
        assert answer.status == 200, answer.text
        found += [each[field] for each in answer.data]
        following = answer.json["meta"]["pagination"]["cursor"]
        if following is None:
            return found
        cursor = {"cursor": following}


async def measured(person: Person, kind: str, *days: int) -> None:
    for day in days:
        body = {
            "at": f"2026-11-{day:02}T07:00:00Z",
            "kind": kind,
            "value": 80,
            "unit": "kg" if kind == "weight" else "cm",
        }
        await person.made("/measurements", body)


async def test_measurements_are_listed_by_kind_and_by_a_span_of_time(ann: Person) -> None:
    await measured(ann, "weight", 1, 3, 5)
    await measured(ann, "waist", 2, 4)
    await measured(ann, "chest", 6)
    days = {"since": "2026-11-02T00:00:00Z", "until": "2026-11-05T07:00:00Z"}
    assert await listed(ann, "/measurements", "kind", **days) == ["waist", "weight", "waist"]
    weights = await listed(ann, "/measurements", "at", kind="weight", limit=2)
    assert [each[:10] for each in weights] == ["2026-11-05", "2026-11-03", "2026-11-01"]
    assert await listed(ann, "/measurements", "kind", kind=["waist", "chest"], limit=1) == ["chest", "waist", "waist"]
    assert await listed(ann, "/measurements", "kind", kind="height") == []


async def test_workouts_are_listed_by_status_and_by_a_span_of_time(ann: Person) -> None:
    for day, status in ((1, "completed"), (2, "discarded"), (3, "planned"), (4, "completed")):
        await ann.made("/workouts", {"status": status, "started_at": f"2026-11-0{day}T10:00:00Z"})
    assert await listed(ann, "/workouts", "status", status=["planned", "discarded"]) == ["planned", "discarded"]
    since = await listed(ann, "/workouts", "started_at", status="completed", since="2026-11-02T00:00:00Z")
    assert [each[:10] for each in since] == ["2026-11-04"]


async def test_goals_are_listed_by_status_and_kind(ann: Person) -> None:
    for title, kind, status in (("a", "strength", "active"), ("b", "habit", "reached"), ("c", "strength", "reached")):
        await ann.made("/goals", {"kind": kind, "title": title, "target": 1, "status": status})
    assert await listed(ann, "/goals", "title", status="reached", limit=1) == ["b", "c"]
    assert await listed(ann, "/goals", "title", status="reached", kind="strength") == ["c"]


async def test_what_is_rare_is_found_behind_any_number_of_others(ann: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SCANNED_MAX", 4)
    monkeypatch.setattr(listing, "_STEP", 2)
    await measured(ann, "waist", 1)
    await measured(ann, "weight", *range(2, 12))
    first = await ann.ask("GET", "/measurements?kind=waist")
    assert (first.data, first.json["meta"]["pagination"]["cursor"] is None) == ([], False)
    assert await listed(ann, "/measurements", "kind", kind="waist") == ["waist"]


@pytest.mark.parametrize("query", ["kind=sloth", "since=0", "since=2026-11-01", "until=yesterday", "status=active"])
async def test_what_narrows_nothing_is_refused(ann: Person, query: str) -> None:
    field = query.partition("=")[0]
    assert {name for name, _ in await ann.refused("GET", f"/measurements?{query}")} <= {field, f"{field}[0]"}
