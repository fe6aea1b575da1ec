"""Everything of one's own training log that is served over HTTP, in one list.

Owns: which collections have addresses, and what a new record of each begins with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.rest.endpoint import Endpoint
from api.training import flat, odd, preferences, sessions, workouts
from api.training.answers import fault
from figures.goals import UNITS as GOAL_UNITS
from sync.errors import InvalidFields
from sync.records import Records


def endpoints(records: Records) -> list[Endpoint]:
    """Return the endpoints of workouts, live sessions, goals, measurements and preferences."""
    return [
        *sessions.endpoints(records),
        *workouts.endpoints(records),
        *flat.endpoints(
            records,
            "goals",
            "goal",
            "Goals",
            required=("kind", "title", "target"),
            given={"status": "active"},
            check=_check_goal,
            filters=("status", "kind"),
            example={
                "kind": "strength",
                "title": "Squat 140 kg",
                "exercise": "8106380d-5122-5600-b7e4-f73c25bdffc7",
                "target": 140,
                "unit": "kg",
                "due_on": "2027-06-30",
            },
        ),
        *flat.endpoints(
            records,
            "measurements",
            "measurement",
            "Measurements",
            required=("at", "kind", "value", "unit"),
            given={},
            check=odd.check_measurement,
            filters=("kind",),
            example={"at": "2026-11-23T07:00:00Z", "kind": "weight", "value": 82.4, "unit": "kg"},
        ),
        *preferences.endpoints(records),
    ]


def _check_goal(values: Mapping[str, Any]) -> list[odd.Fault]:
    kind, unit = values.get("kind"), values.get("unit")
    units = GOAL_UNITS.get(str(kind))
    wrong = []
    if units is not None and unit is not None and unit not in units:
        wrong.append(fault("unit", "unknown_value", f"unit of a goal of the kind {kind} must be {' or '.join(units)}"))
    target = values.get("target")
    if units is not None and target is not None and target <= 0:
        wrong.append(fault("target", "out_of_range", f"target of a goal of the kind {kind} must be above 0"))
    begins, due = values.get("starts_on"), values.get("due_on")
    if begins and due and due < begins:
        wrong.append(fault("due_on", "out_of_range", "due_on must not be before starts_on"))
    if wrong:
        raise InvalidFields(fields=wrong)
    if kind == "strength" and values.get("exercise") is None:
        return [fault("exercise", "required", "nothing counts for a goal of strength until it names an exercise")]
    return []
