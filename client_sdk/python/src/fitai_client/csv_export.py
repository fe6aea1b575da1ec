"""The way out: the personal space as the file that another app would export. The way in is imports.py."""

from __future__ import annotations

import asyncio
import json
import sqlite3

from .client import Client
from .import_names import catalog_names
from .importing import Layout, write_csv

__all__ = ["export_csv"]

_COLLECTIONS = ("exercises", "workouts", "workout_exercises", "sets")


async def export_csv(
    client: Client, app: str = "hevy", *, layout: Layout | None = None, unit: str | None = None
) -> bytes:
    """Every completed workout of the personal space, as `app` would export it.

    What came from a file of this app is written cell by cell as it was read, except where it was edited. What the app
    has no column for is left out: to keep everything, use `Client.export`.

    Args:
        app: the name of a dialect: hevy, strong, fitnotes, stronglifts, lyfta, fitbod or liftosaur.
        layout: how the file is written; an import's `file.layout` gives its bytes back.
        unit: "kg" or "lb", where the header names none; by default what most sets have.

    Raises:
        ValueError: there is no dialect of this name.
    """
    records, names = await client.read(lambda conn: (_records(conn, client.number), catalog_names(conn)))
    return await asyncio.to_thread(lambda: write_csv(records, app, layout=layout, names=names, unit=unit))


def _records(conn: sqlite3.Connection, space: int) -> list[tuple[str, str, dict[str, object]]]:
    rows = conn.execute(
        "SELECT collection, id, COALESCE(shown, body) FROM records WHERE space = ? AND alive"
        f" AND collection IN ({', '.join('?' * len(_COLLECTIONS))}) ORDER BY collection, id",
        (space, *_COLLECTIONS),
    ).fetchall()
    return [(collection, id, json.loads(text).get("values") or {}) for collection, id, text in rows]
