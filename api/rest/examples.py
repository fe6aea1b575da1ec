"""An example of what a schema describes, for the page for people.

Owns: values that look like those of a training log, by the names of the fields, and others by their types.
Refuses to know: any one endpoint; an example that an endpoint gives itself is better than one made here.

An example shows every field that there may be, so that what stands within what is seen whole; tests hold each against
its schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_ID: Final = "0193575e-3a40-7000-8000-000000000001"
_TIME: Final = "2026-11-23T10:00:00.000Z"
# Of several the first that its field takes.
_BY_NAME: Final[dict[str, Any]] = {
    "access_token": "eyJhbGciOiJIUzI1NiIs…",
    "action": "start",
    "app": "strong",
    "archived": False,
    "author": "Ann",
    "average_heart_rate": 128,
    "bio": "Lifting since 2019.",
    "bodyweight_fraction": 0.65,
    "category": "strength",
    "code": "out_of_range",
    "conflicts": "title",
    "date": "2026-11-23",
    "day": 1,
    "device": "Phone",
    "duration_s": 45,
    "email": "ann@example.com",
    "ended_at": "2026-11-23T11:05:00.000Z",
    "energy_kcal": 320,
    "equipment": "barbell",
    "expires_in": 900,
    "field": "weight",
    "folder": "Winter",
    "incline_pct": 1,
    "instructions": "Sit back until the thighs are level.",
    "is_amrap": False,
    "is_unilateral": False,
    "kind": ("normal", "strength", "weight", "workouts"),
    "level": "beginner",
    "limit": 20,
    "link": "rSoKSy3n2mIeUeQO_2_e4twmsHdAuR2d3wX8aeYbHLM",
    "load_mode": "external",
    "local_date": "2026-11-23",
    "max_heart_rate": 165,
    "measure": "weight_reps",
    "message": "weight must be 2,000 kg or less",
    "name": "Barbell Back Squat",
    "new_password": "lift heavy things",
    "notes": "Felt light.",
    "op": "+",
    "password": "lift heavy things",
    "perceived_effort": 7,
    "plan": "free",
    "position": "a0",
    "primary_muscles": "quadriceps",
    "refresh_token": "b1nVhk2yXv0…",
    "reps": 5,
    "rest_s": 180,
    "rir": 2,
    "role": "user",
    "rpe": 8,
    "secondary_muscles": "glutes",
    "status": "completed",
    "step": 2.5,
    "superset": _ID,
    "tags": "strength",
    "target_duration_s": 45,
    "target_percent_1rm": 80,
    "target_reps_max": 8,
    "target_reps_min": 5,
    "target_rir": 2,
    "target_rpe": 8,
    "tempo": "3-1-1-0",
    "timezone": "Europe/Berlin",
    "title": "Legs",
    "to_failure": False,
    "token_type": "Bearer",
    "tz": "Europe/Berlin",
    "unit": ("kg", "m"),
    "user_agent": "FitAI/1.0",
    "value": 80,
    "version": "eyJhIjo0fQ",
    "visibility": "private",
    "week": 1,
    "weeks": 4,
}
# What is called as something else is elsewhere, by its type.
_BY_TYPE: Final = {
    **dict.fromkeys(
        [(each, "name") for each in ("Author", "BlockedPerson", "FoundPerson", "Person", "Profile", "User")], "Ann"
    ),
    ("ImportShown", "name"): "hevy.csv",
}
# Of what may be anything.
_ANYTHING: Final = {"repeat": "week", "requires": ["reps"], "value": "Leg day"}
_BY_FORMAT: Final = {
    "date": "2026-11-23",
    "date-time": _TIME,
    "email": "ann@example.com",
    "password": "lift heavy things",
    "time-zone": "Europe/Berlin",
}
# Names of what is an id or a time, where the type says no more than that it is a text.
_IDS: Final = re.compile(r"(^|_)(id|user|exercise|set|workout|template|space|goal)$|^updated_by$")
_TIMES: Final = re.compile(r"_(at|by)$|^(at|timestamp)$")
_ALTERNATIVES: Final = re.compile(r"^\^\((\w+)\|")


def example_of(schema: Schema, schemas: Mapping[str, Any], name: str = "") -> Any:
    """A value of a schema. schemas: what references lead to. name: of the field that it stands in."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        # Whoever may be null is shown as what else it may be.
        return example_of(next(each for each in schema["anyOf"] if each != _NULL), schemas, name)
    if "const" in schema:
        return schema["const"]
    known = _BY_NAME.get(name)
    samples = known if isinstance(known, tuple) else (known,)
    match schema.get("type"):
        case "object":
            if "properties" in schema:
                own = {key: _BY_TYPE.get((schema.get("title", ""), key)) for key in schema["properties"]}
                return {key: own[key] or example_of(each, schemas, key) for key, each in schema["properties"].items()}
            of = schema.get("additionalProperties")
            return {str(known or "a0"): example_of(of, schemas)} if isinstance(of, Mapping) and of else {}
        case "array":
            least = schema.get("minItems") or 1
            return [example_of(schema.get("items", {}), schemas, name)] * least
        case None if "enum" not in schema:
            return _ANYTHING.get(name)
    return next((each for each in samples if _fits(each, schema)), _by_type(schema, name))


_NULL: Final = {"type": "null"}


def _fits(sample: Any, schema: Schema) -> bool:
    """Whether a value is one of a schema of no parts."""
    if "enum" in schema:
        return sample in schema["enum"]
    if isinstance(sample, str):
        return (
            schema["type"] == "string"
            and schema.get("minLength", 0) <= len(sample) <= schema.get("maxLength", len(sample))
            and re.search(schema.get("pattern", ""), sample) is not None
            and schema.get("format") in (None, *_formats(sample))
        )
    if isinstance(sample, bool):
        return bool(schema["type"] == "boolean")
    if isinstance(sample, int | float):
        whole = isinstance(sample, int)
        return (
            (schema["type"] == "number" or (schema["type"] == "integer" and whole))
            and schema.get("minimum", sample) <= sample <= schema.get("maximum", sample)
            and sample % schema.get("multipleOf", 0.5) == 0
        )
    return False


def _formats(sample: str) -> list[str]:
    return ["date-time"] if sample.endswith("Z") else [each for each, known in _BY_FORMAT.items() if known == sample]


def _by_type(schema: Schema, name: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "boolean":
            return True
        case "integer" | "number":
            # Small numbers look like counts, and stay within most bounds.
            return max(schema.get("minimum", 3), min(schema.get("maximum", 3), 3))
    if (format := schema.get("format")) in _BY_FORMAT:
        return _BY_FORMAT[format]
    if pattern := schema.get("pattern"):
        alternatives = _ALTERNATIVES.match(pattern)
        return alternatives[1] if alternatives else next(each for each in (_ID, "a0") if re.search(pattern, each))
    if _IDS.search(name):
        return _ID[: schema.get("maxLength")]
    if _TIMES.search(name):
        return _TIME
    return "text"[: schema.get("maxLength")]
