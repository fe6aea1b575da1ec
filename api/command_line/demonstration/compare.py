"""Holding the devices and the server against each other, record by record.

The server is asked over plain HTTP, by code that shares nothing with the SDK, so that a mistake of the SDK cannot
hide itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from fitai_client import Client

# Everything the demonstration writes.
COLLECTIONS = ("workouts", "workout_exercises", "sets", "exercises")

Key = tuple[str, str]
# What a record shows: its values, and the losing values of each contested field.
Shown = dict[Key, tuple[Mapping[str, Any], dict[str, list[Any]]]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that is not the same everywhere: what each place shows of it, None where it is not there."""

    key: Key
    places: dict[str, Any]


async def shown_by_device(client: Client) -> Shown:
    """Everything a device shows."""
    shown: Shown = {}
    for collection in COLLECTIONS:
        for record in await client.collection(collection).list():
            losers = {name: [one.value for one in found] for name, found in record.conflicts.items()}
            shown[(collection, record.id)] = (record.values, losers)
    return shown


async def shown_by_server(url: str, email: str, password: str) -> Shown:
    """Everything the account's personal space shows, pulled from its beginning."""
    shown: Shown = {}
    async with aiohttp.ClientSession(base_url=url, raise_for_status=True) as session:
        async with session.post("/api/users/login", json={"email": email, "password": password}) as response:
            token = (await response.json())["data"]["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get("/api/sync/spaces", headers=headers) as response:
            space = next(s["id"] for s in (await response.json())["spaces"] if s["kind"] == "personal")
        query = {"limit": "5000"}
        while True:
            async with session.get(f"/api/sync/spaces/{space}/pull", params=query, headers=headers) as response:
                page = await response.json()
            for record in page["records"]:
                key = (record["collection"], record["id"])
                if record["deleted"]:
                    shown.pop(key, None)
                elif record["collection"] in COLLECTIONS:
                    losers = {
                        name: [loser["value"] for loser in found] for name, found in record.get("conflicts", {}).items()
                    }
                    shown[key] = (record["values"], losers)
            if not page["more"]:
                return shown
            query["cursor"] = page["cursor"]


def differences(places: Mapping[str, Shown]) -> list[Difference]:
    """Every record that some place shows otherwise than another."""
    keys = sorted(set().union(*places.values()))
    found = []
    for key in keys:
        views = {name: shown.get(key) for name, shown in places.items()}
        first = next(iter(views.values()))
        if any(view != first for view in views.values()):
            found.append(Difference(key, dict(views)))
    return found
