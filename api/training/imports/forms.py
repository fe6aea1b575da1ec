"""What goes to the process that reads a file, and what comes back. The server knows no more of files than this."""

from __future__ import annotations

from typing import Any

import msgspec


class Arguments(msgspec.Struct):
    """How a file is read. now: RFC 3339. choices, own, catalog: name → id of an exercise; in choices None for one of
    its own."""

    timezone: str
    now: str
    unit: str | None = None
    usual_units: dict[str, str] = {}
    choices: dict[str, str | None] = {}
    own: dict[str, str] = {}
    catalog: dict[str, str] = {}


class Reading(msgspec.Struct):
    """What is in a file. Records are [collection, id, fields], those of a group are one workout's.

    seen: what a person is shown of it. import_id: stands in `source.import` of its workouts.
    """

    import_id: str
    app: str
    seen: dict[str, Any]
    exercises: list[list[tuple[str, str, dict[str, Any]]]] = []
    groups: list[list[tuple[str, str, dict[str, Any]]]] = []
