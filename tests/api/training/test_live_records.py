"""A record that is broken shows on every page and device that looks, and REST says the same."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from api.app import RECORD_KEEPING
from tests.api.training.conftest import Person
from tests.api.training.test_together import WAIT_S, Browser, browser

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXERCISE = {"name": "Squat", "measure": "weight_reps", "load_mode": "external", "primary_muscles": ["quadriceps"]}


async def sees_record(page: Browser, kind: str) -> dict[str, Any]:
    """Wait for the next delta that brings a record of a kind, once the server has looked at who trained."""
    await page.person.server.app[RECORD_KEEPING].settle()
    async with asyncio.timeout(WAIT_S):
        while True:
            said = await page.socket.receive_json()
            for record in said.get("records", ()):
                if record["collection"] == "personal_records" and record.get("values", {}).get("kind") == kind:
                    found: dict[str, Any] = record["values"]
                    return found


def lifted(exercise: str, kg: float) -> dict[str, Any]:
    return {"exercise": exercise, "reps": 3, "weight": {"value": kg, "unit": "kg"}}


async def test_a_set_that_breaks_a_record_tells_the_page_and_a_correction_takes_it_back(ann: Person) -> None:
    exercise = (await ann.made("/exercises", EXERCISE))["id"]
    async with browser(ann) as page:
        started = await ann.made("/workouts/sessions/start", {"title": "Legs"})
        path = f"/workouts/sessions/{started['id']}/sets"
        first = await ann.made(path, lifted(exercise, 100))
        assert (await sees_record(page, "max_weight"))["set"] == first["id"]
        second = await ann.made(path, lifted(exercise, 110))
        record = await sees_record(page, "max_weight")
        assert (record["value"], record["previous"], record["set"]) == (110, 100, second["id"])
        await ann.ask("PATCH", f"{path}/{second['id']}", {"weight": {"value": 90, "unit": "kg"}})
        record = await sees_record(page, "max_weight")
        assert (record["value"], record["previous"], record["set"]) == (100, None, first["id"])

        phone = await ann.device()
        pulled = (await ann.ask("GET", f"/sync/spaces/{phone.space}/pull")).json["records"]
        on_devices = [
            each["values"] for each in pulled if each["collection"] == "personal_records" and not each["deleted"]
        ]
        over_rest = (await ann.ask("GET", f"/exercises/{exercise}/records")).data
        assert sorted(map(plain, on_devices)) == sorted(map(plain, over_rest))


def plain(record: dict[str, Any]) -> tuple[Any, ...]:
    """What both sides say of a record, to the 4 decimals that records have."""
    value = Decimal(str(record["value"])).quantize(Decimal("0.0001"))
    return record["kind"], value, record["set"] or "", record["workout"], record["achieved_at"]
