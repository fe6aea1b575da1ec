"""The declared collections: everything a device can hold offline, once, as data.

Owns: every collection's fields, with kind, type, limits, nullability and order of winning; its parent; and
who writes it. Validation, the merge rules (`RULES`), `GET /api/sync` (`describe`) and the database's audit
read this declaration, and nothing repeats it.

Refuses to know: what a declaration is made of (`storage/collection_specs.py`, `storage/field_types.py`), and how values
are checked (`sync/validation.py`) and merged (`conflict/`).

Invariants
    C1  A field of kind `text` or `counter`, and a set, is never null; a register is null only where declared so.
    C2  Within protocol 1 a collection only grows: new fields, wider limits. Every growth raises SCHEMA.
    C3  A parent's id is a field of its own, declared not null, so a record cannot leave its parent.
    C4  A register that is ranked by value names its values from the weakest to the strongest.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from conflict.rules import CollectionRules
from storage.collection_specs import (
    CollectionSpec,
    FieldSpec,
    below,
    by_name,
    collection,
    maybe,
    passing,
    ranked,
    register,
    set_of,
)
from storage.field_types import (
    Boolean,
    Date,
    Enum,
    Integer,
    Json,
    Length,
    ListOf,
    Mass,
    Member,
    Number,
    Order,
    Pair,
    String,
    Struct,
    Time,
    TimeZone,
    Uuid,
)
from storage.vocabulary import (
    CATEGORY,
    EQUIPMENT,
    LOAD_MODE,
    MEASURE,
    MEASUREMENT,
    MUSCLES,
    RECORD_KIND,
    SET_KIND,
    VISIBILITY,
)

# The version of these declarations; see C2.
SCHEMA: Final = 1

# The id of a record that there is only one of.
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"

_TEXT = FieldSpec("text", None)
_UUID = Uuid()
_TITLE = String(200)
_WORD = String(50)
_TAGS = set_of(_WORD)
_REST_S = Integer(0, 3_600)
_DURATION_S = Number(0, 604_800)
_REPS = Number(0, 10_000, halves=True)
_RPE = Number(0, 10, halves=True)
_RIR = Number(0, 20, halves=True)
_ENERGY_KCAL = Number(0, 20_000)
_HEART_RATE = Number(20, 250)
_AMOUNT = Number(0)
_VISIBILITY = register(VISIBILITY)
_LOAD_MODE = register(LOAD_MODE)
_SET_KIND = register(SET_KIND)

# Where an imported record came from. `raw` keeps what has no field of its own: a row of the widest known
# export, notes included, is some kilobytes.
_SOURCE = maybe(
    Struct(
        {
            "app": Member(_WORD),
            "external_id": Member(String(500), optional=True, nullable=True),
            "import": Member(String(200), optional=True, nullable=True),
            "raw": Member(Json(32_768), optional=True, nullable=True),
        }
    )
)

_REST_TIMER = passing(
    Struct(
        {
            "started_at": Member(Time()),
            "duration_s": Member(_DURATION_S),
            "set": Member(_UUID, optional=True, nullable=True),
        }
    )
)

# One rule of a program: "add 2.5 kg to the weight every week until 100, where all reps were done".
_PROGRESSION = maybe(
    ListOf(
        Struct(
            {
                "field": Member(_WORD),
                "op": Member(String(20)),
                "step": Member(Number(), optional=True, nullable=True),
                "unit": Member(String(20), optional=True, nullable=True),
                "repeat": Member(Json(1_024), optional=True, nullable=True),
                "requires": Member(Json(4_096), optional=True, nullable=True),
                "ceiling": Member(Number(), optional=True, nullable=True),
            }
        ),
        max_items=50,
    )
)

_TARGETS = {
    "target_reps_min": maybe(_REPS),
    "target_reps_max": maybe(_REPS),
    "target_weight": maybe(Mass()),
    "target_percent_1rm": maybe(Number(0, 1_000)),
    "target_rpe": maybe(_RPE),
    "target_rir": maybe(_RIR),
    "target_duration_s": maybe(_DURATION_S),
    "target_distance": maybe(Length()),
}

# What is measured live, of a workout or of one person in it.
_LIVE = {
    "energy_kcal": passing(_ENERGY_KCAL),
    "average_heart_rate": passing(_HEART_RATE),
    "max_heart_rate": passing(_HEART_RATE),
    "rest_timer": _REST_TIMER,
    "current_exercise": passing(_UUID),
}

_DECLARED = (
    collection(
        "workouts",
        {
            "title": register(_TITLE),
            "notes": _TEXT,
            "status": ranked("planned", "active", "paused", "discarded", "completed"),
            "started_at": maybe(Time()),
            "ended_at": maybe(Time()),
            "timezone": maybe(TimeZone()),
            "local_date": maybe(Date()),
            "template": maybe(_UUID),
            "bodyweight": maybe(Mass()),
            "perceived_effort": maybe(Integer(1, 10)),
            "rating": maybe(Integer(1, 5)),
            **_LIVE,
            "visibility": _VISIBILITY,
            "pauses": register(ListOf(Pair(Time()), max_items=200)),
            "tags": _TAGS,
            "source": _SOURCE,
        },
        listed_by="started_at",
    ),
    collection(
        "workout_exercises",
        {
            "workout": below("workouts"),
            "exercise": register(_UUID),
            "position": register(Order()),
            "superset": maybe(String(36)),
            "notes": _TEXT,
            "rest_s": maybe(_REST_S),
            "moved_from": maybe(_UUID),
            "source": _SOURCE,
        },
    ),
    collection(
        "participants",
        {
            "workout": below("workouts"),
            "athlete": register(_UUID),
            "bodyweight": maybe(Mass()),
            **_LIVE,
            "perceived_effort": maybe(Integer(1, 10)),
            "joined_at": maybe(Time()),
            "left_at": maybe(Time()),
        },
    ),
    collection(
        "sets",
        {
            "workout_exercise": below("workout_exercises"),
            "athlete": maybe(_UUID),
            "position": register(Order()),
            "performed_order": maybe(Integer(0, 1_000_000)),
            "kind": _SET_KIND,
            "to_failure": register(Boolean()),
            "is_amrap": register(Boolean()),
            "side": register(Enum(("both", "left", "right"))),
            "reps": maybe(_REPS),
            "weight": maybe(Mass()),
            "load_mode": _LOAD_MODE,
            "distance": maybe(Length()),
            "duration_s": maybe(_DURATION_S),
            "rpe": maybe(_RPE),
            "rir": maybe(_RIR),
            "tempo": maybe(String(20)),
            "incline_pct": maybe(Number()),
            "resistance": maybe(Number()),
            "speed_kmh": maybe(_AMOUNT),
            "floors": maybe(_AMOUNT),
            "steps": maybe(_AMOUNT),
            "calories": maybe(_AMOUNT),
            "rest_s": maybe(_REST_S),
            "completed_at": maybe(Time()),
            "notes": maybe(String(2_000)),
            **_TARGETS,
            "drop_of": maybe(_UUID),
            "moved_from": maybe(_UUID),
            "source": _SOURCE,
        },
    ),
    collection(
        "templates",
        {
            "title": register(_TITLE),
            "notes": _TEXT,
            "folder": maybe(_TITLE),
            "position": register(Order()),
            "visibility": _VISIBILITY,
            "tags": _TAGS,
            "weeks": maybe(Integer(1, 520)),
            "source": _SOURCE,
        },
    ),
    collection(
        "template_exercises",
        {
            "template": below("templates"),
            "exercise": register(_UUID),
            "week": maybe(Integer(1, 520)),
            "day": maybe(Integer(1, 366)),
            "position": register(Order()),
            "superset": maybe(String(36)),
            "rest_s": maybe(_REST_S),
            "notes": _TEXT,
        },
    ),
    collection(
        "template_sets",
        {
            "template_exercise": below("template_exercises"),
            "position": register(Order()),
            "kind": _SET_KIND,
            **_TARGETS,
            "is_amrap": register(Boolean()),
            "progression": _PROGRESSION,
        },
    ),
    collection(
        "exercises",
        {
            "name": register(String(100, min_length=2)),
            "aliases": set_of(_TITLE),
            "category": register(CATEGORY),
            "measure": register(MEASURE),
            "force": maybe(Enum(("push", "pull", "static"))),
            "level": register(Enum(("beginner", "intermediate", "advanced"))),
            "mechanic": maybe(Enum(("compound", "isolation"))),
            "equipment": set_of(EQUIPMENT),
            "primary_muscles": set_of(MUSCLES),
            "secondary_muscles": set_of(MUSCLES),
            "instructions": register(ListOf(String(2_000), max_items=100)),
            "load_mode": _LOAD_MODE,
            "bodyweight_fraction": maybe(Number(0, 1)),
            "is_unilateral": register(Boolean()),
            "default_rest_s": maybe(_REST_S),
            "weight_increment": maybe(Mass()),
            "variation_group": maybe(_UUID),
            "archived": register(Boolean()),
            "licence": maybe(_TITLE),
            "author": maybe(_TITLE),
            "source_url": maybe(String(2_000)),
        },
    ),
    collection(
        "measurements",
        {
            "at": register(Time()),
            "kind": register(MEASUREMENT),
            "value": register(Number()),
            "unit": register(String(20)),
            "note": maybe(String(2_000)),
            "photos": set_of(_UUID),
        },
        listed_by="at",
    ),
    collection(
        "goals",
        {
            "kind": register(Enum(("strength", "volume", "workouts", "bodyweight", "distance", "habit", "custom"))),
            "title": register(_TITLE),
            "exercise": maybe(_UUID),
            "target": register(Number()),
            "unit": maybe(String(20)),
            "start": maybe(Number()),
            "starts_on": maybe(Date()),
            "due_on": maybe(Date()),
            "status": ranked("active", "abandoned", "reached"),
            "visibility": _VISIBILITY,
        },
    ),
    collection(
        "preferences",
        {
            "units": register(Enum(("metric", "imperial"))),
            "first_weekday": register(Integer(1, 7)),
            "timezone": register(TimeZone()),
            "default_rest_s": register(_REST_S),
            "one_rep_max": register(Enum(("epley", "brzycki", "rpe_table"))),
            "weekly_target": register(Integer(1, 7)),
            "notifications": register(Json(4_096, object_only=True)),
            "privacy": register(Json(4_096, object_only=True)),
        },
        single=True,
    ),
    collection(
        "personal_records",
        {
            "exercise": register(_UUID),
            "kind": register(RECORD_KIND),
            "value": register(Number()),
            "unit": register(String(20)),
            "set": maybe(_UUID),
            "workout": maybe(_UUID),
            "achieved_at": register(Time()),
            "previous": maybe(Number()),
            "formula": maybe(_WORD),
        },
        server_only=True,
    ),
    collection(
        "achievements",
        {
            "kind": register(_WORD),
            "level": maybe(Integer(0, 1_000_000)),
            "value": maybe(Number()),
            "unit": maybe(String(20)),
            "workout": maybe(_UUID),
            "achieved_at": register(Time()),
        },
        server_only=True,
    ),
    collection(
        "notifications",
        {
            "kind": register(_WORD),
            "title": register(_TITLE),
            "body": register(String(2_000)),
            "data": maybe(Json(4_096, object_only=True)),
            "created_at": register(Time()),
        },
        server_only=True,
    ),
)


COLLECTIONS: Final[Mapping[str, CollectionSpec]] = MappingProxyType(by_name(_DECLARED))

# What the merge kernel is given for each collection.
RULES: Final[Mapping[str, CollectionRules]] = MappingProxyType({s.name: s.rules for s in COLLECTIONS.values()})

# The collections that people list by a time, and the time.
LISTED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {s.name: s.listed_by for s in COLLECTIONS.values() if s.listed_by}
)


def describe() -> dict[str, dict[str, dict[str, Any]]]:
    """Every collection as plain JSON, for `GET /api/sync`: {collection: {field: {"kind", "type", …}}}."""
    return {each.name: each.describe() for each in COLLECTIONS.values()}
