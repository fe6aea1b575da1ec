"""What goes to the process that reads a file, and what comes back. The server knows no more of files than this, and how
its owner says that one is to be read."""

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


class Choices(msgspec.Struct):
    """How a file is read. unit: "kg" or "lb", where the file leaves it open. names: name in the file → id of an
    exercise, or None for one of its own. keep_twins: also workouts that begin when one that is there does."""

    timezone: str
    unit: str | None = None
    keep_twins: bool = False
    names: dict[str, str | None] = {}
