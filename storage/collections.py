"""The declared collections: everything a device can hold offline, once, as data.

Owns: every collection's fields, with kind, type, limits, nullability and order of winning; its parent; and
who writes it. Validation, the merge rules (`RULES`), `GET /api/sync` (`describe`) and the database's audit
read this declaration, and nothing repeats it.

Refuses to know: how values are checked (`sync/validation.py`) and merged (`conflict/`).

Invariants
    C1  A field of kind `text` or `counter`, and a set, is never null; a register is null only where declared so.
    C2  Within protocol 1 a collection only grows: new fields, wider limits. Every growth raises SCHEMA.
    C3  A parent's id is a field of its own, declared not null, so a record cannot leave its parent.
    C4  A register that is ranked by value names its values from the weakest to the strongest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from conflict.rules import CollectionRules, FieldRules
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
    Type,
    Uuid,
)

# The version of these declarations; see C2.
SCHEMA: Final = 1

# The id of a record that there is only one of.
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field. `type` is of the value of a register and of one element of a set; None for text.

    ranked: the values from weakest to strongest, where not the latest write wins but the strongest value.
    passing: the latest write counts, losers are not kept, and alone it brings no deleted record back.
    parent: the collection whose record this field names, where it says what the record is below.
    """

    kind: Literal["register", "set", "counter", "text"]
    type: Type | None
    nullable: bool = False
    ranked: tuple[str, ...] | None = None
    passing: bool = False
    parent: str | None = None

    def describe(self) -> dict[str, Any]:
        """This field as `GET /api/sync` announces it."""
        described: dict[str, Any] = {"kind": self.kind}
        described.update(self.type.describe() if self.type else {"type": "text"})
        if self.nullable:
            described["nullable"] = True
        if self.ranked:
            described["order"] = list(self.ranked)
        if self.passing:
            described["passing"] = True
        if self.parent:
            described["parent"] = self.parent
        return described


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """One collection, with what its declaration implies computed once.

    rules: what the merge kernel needs of it; `rules.parent` says which field names the record it is below.
    single: its one record has the nil UUID.
    server_only: the server alone writes it; a device may only read.
    depth: 0 for a collection at the top, 1 for one below such a collection, and so on.
    has_children: some other collection is below this one.
    listed_by: the time by which people list it, newest first; an index keeps that order (`records.listed_at`).
    """

    name: str
    fields: Mapping[str, FieldSpec]
    rules: CollectionRules
    single: bool = False
    server_only: bool = False
    depth: int = 0
    has_children: bool = False
    listed_by: str | None = None

    def describe(self) -> dict[str, dict[str, Any]]:
        """This collection as `GET /api/sync` announces it: {field: {"kind", "type", …}}."""
        server = {"read_only": True} if self.server_only else {}
        return {name: {**field.describe(), **server} for name, field in self.fields.items()}


def _r(type: Type) -> FieldSpec:
    return FieldSpec("register", type)


def _maybe(type: Type) -> FieldSpec:
    """A register that may be null."""
    return FieldSpec("register", type, nullable=True)


def _ranked(*weakest_first: str) -> FieldSpec:
    return FieldSpec("register", Enum(weakest_first), ranked=weakest_first)


def _passing(type: Type) -> FieldSpec:
    return FieldSpec("register", type, nullable=True, passing=True)


def _set(element: Type) -> FieldSpec:
    return FieldSpec("set", element)


def _below(collection: str) -> FieldSpec:
    return FieldSpec("register", Uuid(record=True), parent=collection)


_TEXT = FieldSpec("text", None)
_UUID = Uuid()
_TITLE = String(200)
_WORD = String(50)
_TAGS = _set(_WORD)
_REST_S = Integer(0, 3_600)
_DURATION_S = Number(0, 604_800)
_REPS = Number(0, 10_000, halves=True)
_RPE = Number(0, 10, halves=True)
_RIR = Number(0, 20, halves=True)
_ENERGY_KCAL = Number(0, 20_000)
_HEART_RATE = Number(20, 250)
_AMOUNT = Number(0)
_VISIBILITY = _r(Enum(("private", "friends", "public")))
_LOAD_MODE = _r(Enum(("external", "bodyweight_plus", "assisted", "none")))

# Where an imported record came from. `raw` keeps what has no field of its own: a row of the widest known
# export, notes included, is some kilobytes.
_SOURCE = _maybe(
    Struct(
        {
            "app": Member(_WORD),
            "external_id": Member(String(500), optional=True, nullable=True),
            "import": Member(String(200), optional=True, nullable=True),
            "raw": Member(Json(32_768), optional=True, nullable=True),
        }
    )
)

_REST_TIMER = _passing(
    Struct(
        {
            "started_at": Member(Time()),
            "duration_s": Member(_DURATION_S),
            "set": Member(_UUID, optional=True, nullable=True),
        }
    )
)

# One rule of a program: "add 2.5 kg to the weight every week until 100, where all reps were done".
_PROGRESSION = _maybe(
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

_SET_KIND = _r(
    Enum(
        (
            "normal", "warmup", "drop", "failure", "myo", "partial", "forced", "negative", "tut", "isometric",
            "jump", "back_off", "rest_pause",
        )
    )
)  # fmt: skip

_TARGETS = {
    "target_reps_min": _maybe(_REPS),
    "target_reps_max": _maybe(_REPS),
    "target_weight": _maybe(Mass()),
    "target_percent_1rm": _maybe(Number(0, 1_000)),
    "target_rpe": _maybe(_RPE),
    "target_rir": _maybe(_RIR),
    "target_duration_s": _maybe(_DURATION_S),
    "target_distance": _maybe(Length()),
}

# What is measured live, of a workout or of one person in it.
_LIVE = {
    "energy_kcal": _passing(_ENERGY_KCAL),
    "average_heart_rate": _passing(_HEART_RATE),
    "max_heart_rate": _passing(_HEART_RATE),
    "rest_timer": _REST_TIMER,
    "current_exercise": _passing(_UUID),
}

# The 17 muscles of free-exercise-db, with the underscore that all words of the wire have.
_MUSCLES = Enum(
    (
        "abdominals", "abductors", "adductors", "biceps", "calves", "chest", "forearms", "glutes", "hamstrings",
        "lats", "lower_back", "middle_back", "neck", "quadriceps", "shoulders", "traps", "triceps",
    )
)  # fmt: skip

_EQUIPMENT = Enum(
    (
        "bodyweight", "dumbbell", "barbell", "kettlebell", "cable", "machine", "band", "medicine_ball",
        "exercise_ball", "foam_roller", "ez_bar", "suspension", "other",
    )
)  # fmt: skip

# The measurements of the apps people come from; anything else is `custom:<name>`.
_MEASUREMENT = Enum(
    (
        "weight", "height", "lean_mass", "fat_mass", "muscle_mass", "bone_mass", "body_fat_pct", "water_pct",
        "visceral_fat", "neck", "shoulders", "chest", "upper_abs", "abdomen", "lower_abs", "waist", "hips",
        "left_bicep", "right_bicep", "left_forearm", "right_forearm", "left_wrist", "right_wrist", "left_thigh",
        "right_thigh", "left_calf", "right_calf", "left_ankle", "right_ankle", "resting_heart_rate",
        "blood_pressure_systolic", "blood_pressure_diastolic", "blood_glucose", "energy_intake_kcal",
    ),
    prefix="custom:",
)  # fmt: skip

# The kinds of movement of free-exercise-db.
_CATEGORY = Enum(
    (
        "strength", "cardio", "stretching", "plyometrics", "powerlifting", "olympic_weightlifting",
        "strongman",
    )
)  # fmt: skip

# What of a set of this exercise is logged.
_MEASURE = Enum(
    (
        "weight_reps", "reps_only", "bodyweight_reps", "assisted_reps", "duration", "weight_duration",
        "distance_duration", "weight_distance",
    )
)  # fmt: skip

# What a personal record is the best of.
_RECORD_KIND = Enum(
    (
        "max_weight", "max_reps", "max_reps_at_weight", "one_rep_max", "set_volume", "session_volume",
        "duration", "distance", "pace", "least_assistance",
    )
)  # fmt: skip


def _collection(
    name: str,
    fields: dict[str, FieldSpec],
    *,
    single: bool = False,
    server_only: bool = False,
    listed_by: str | None = None,
) -> CollectionSpec:
    rules = {
        field: FieldRules(kind=spec.kind, order=spec.ranked or "latest", passing=spec.passing)
        for field, spec in fields.items()
    }
    parent = next(((field, spec.parent) for field, spec in fields.items() if spec.parent), None)
    return CollectionSpec(
        name, MappingProxyType(fields), CollectionRules(rules, parent), single, server_only, listed_by=listed_by
    )


_DECLARED = (
    _collection(
        "workouts",
        {
            "title": _r(_TITLE),
            "notes": _TEXT,
            "status": _ranked("planned", "active", "paused", "discarded", "completed"),
            "started_at": _maybe(Time()),
            "ended_at": _maybe(Time()),
            "timezone": _maybe(TimeZone()),
            "local_date": _maybe(Date()),
            "template": _maybe(_UUID),
            "bodyweight": _maybe(Mass()),
            "perceived_effort": _maybe(Integer(1, 10)),
            "rating": _maybe(Integer(1, 5)),
            **_LIVE,
            "visibility": _VISIBILITY,
            "pauses": _r(ListOf(Pair(Time()), max_items=200)),
            "tags": _TAGS,
            "source": _SOURCE,
        },
        listed_by="started_at",
    ),
    _collection(
        "workout_exercises",
        {
            "workout": _below("workouts"),
            "exercise": _r(_UUID),
            "position": _r(Order()),
            "superset": _maybe(String(36)),
            "notes": _TEXT,
            "rest_s": _maybe(_REST_S),
            "moved_from": _maybe(_UUID),
            "source": _SOURCE,
        },
    ),
    _collection(
        "participants",
        {
            "workout": _below("workouts"),
            "athlete": _r(_UUID),
            "bodyweight": _maybe(Mass()),
            **_LIVE,
            "perceived_effort": _maybe(Integer(1, 10)),
            "joined_at": _maybe(Time()),
            "left_at": _maybe(Time()),
        },
    ),
    _collection(
        "sets",
        {
            "workout_exercise": _below("workout_exercises"),
            "athlete": _maybe(_UUID),
            "position": _r(Order()),
            "performed_order": _maybe(Integer(0, 1_000_000)),
            "kind": _SET_KIND,
            "to_failure": _r(Boolean()),
            "is_amrap": _r(Boolean()),
            "side": _r(Enum(("both", "left", "right"))),
            "reps": _maybe(_REPS),
            "weight": _maybe(Mass()),
            "load_mode": _LOAD_MODE,
            "distance": _maybe(Length()),
            "duration_s": _maybe(_DURATION_S),
            "rpe": _maybe(_RPE),
            "rir": _maybe(_RIR),
            "tempo": _maybe(String(20)),
            "incline_pct": _maybe(Number()),
            "resistance": _maybe(Number()),
            "speed_kmh": _maybe(_AMOUNT),
            "floors": _maybe(_AMOUNT),
            "steps": _maybe(_AMOUNT),
            "calories": _maybe(_AMOUNT),
            "rest_s": _maybe(_REST_S),
            "completed_at": _maybe(Time()),
            "notes": _maybe(String(2_000)),
            **_TARGETS,
            "drop_of": _maybe(_UUID),
            "moved_from": _maybe(_UUID),
            "source": _SOURCE,
        },
    ),
    _collection(
        "templates",
        {
            "title": _r(_TITLE),
            "notes": _TEXT,
            "folder": _maybe(_TITLE),
            "position": _r(Order()),
            "visibility": _VISIBILITY,
            "tags": _TAGS,
            "weeks": _maybe(Integer(1, 520)),
            "source": _SOURCE,
        },
    ),
    _collection(
        "template_exercises",
        {
            "template": _below("templates"),
            "exercise": _r(_UUID),
            "week": _maybe(Integer(1, 520)),
            "day": _maybe(Integer(1, 366)),
            "position": _r(Order()),
            "superset": _maybe(String(36)),
            "rest_s": _maybe(_REST_S),
            "notes": _TEXT,
        },
    ),
    _collection(
        "template_sets",
        {
            "template_exercise": _below("template_exercises"),
            "position": _r(Order()),
            "kind": _SET_KIND,
            **_TARGETS,
            "is_amrap": _r(Boolean()),
            "progression": _PROGRESSION,
        },
    ),
    _collection(
        "exercises",
        {
            "name": _r(String(100, min_length=2)),
            "aliases": _set(_TITLE),
            "category": _r(_CATEGORY),
            "measure": _r(_MEASURE),
            "force": _maybe(Enum(("push", "pull", "static"))),
            "level": _r(Enum(("beginner", "intermediate", "advanced"))),
            "mechanic": _maybe(Enum(("compound", "isolation"))),
            "equipment": _set(_EQUIPMENT),
            "primary_muscles": _set(_MUSCLES),
            "secondary_muscles": _set(_MUSCLES),
            "instructions": _r(ListOf(String(2_000), max_items=100)),
            "load_mode": _LOAD_MODE,
            "bodyweight_fraction": _maybe(Number(0, 1)),
            "is_unilateral": _r(Boolean()),
            "default_rest_s": _maybe(_REST_S),
            "weight_increment": _maybe(Mass()),
            "variation_group": _maybe(_UUID),
            "archived": _r(Boolean()),
            "licence": _maybe(_TITLE),
            "author": _maybe(_TITLE),
            "source_url": _maybe(String(2_000)),
        },
    ),
    _collection(
        "measurements",
        {
            "at": _r(Time()),
            "kind": _r(_MEASUREMENT),
            "value": _r(Number()),
            "unit": _r(String(20)),
            "note": _maybe(String(2_000)),
            "photos": _set(_UUID),
        },
        listed_by="at",
    ),
    _collection(
        "goals",
        {
            "kind": _r(Enum(("strength", "volume", "workouts", "bodyweight", "distance", "habit", "custom"))),
            "title": _r(_TITLE),
            "exercise": _maybe(_UUID),
            "target": _r(Number()),
            "unit": _maybe(String(20)),
            "start": _maybe(Number()),
            "starts_on": _maybe(Date()),
            "due_on": _maybe(Date()),
            "status": _ranked("active", "abandoned", "reached"),
            "visibility": _VISIBILITY,
        },
    ),
    _collection(
        "preferences",
        {
            "units": _r(Enum(("metric", "imperial"))),
            "first_weekday": _r(Integer(1, 7)),
            "timezone": _r(TimeZone()),
            "default_rest_s": _r(_REST_S),
            "one_rep_max": _r(Enum(("epley", "brzycki", "rpe_table"))),
            "weekly_target": _r(Integer(1, 7)),
            "notifications": _r(Json(4_096, object_only=True)),
            "privacy": _r(Json(4_096, object_only=True)),
        },
        single=True,
    ),
    _collection(
        "personal_records",
        {
            "exercise": _r(_UUID),
            "kind": _r(_RECORD_KIND),
            "value": _r(Number()),
            "unit": _r(String(20)),
            "set": _maybe(_UUID),
            "workout": _maybe(_UUID),
            "achieved_at": _r(Time()),
            "previous": _maybe(Number()),
            "formula": _maybe(_WORD),
        },
        server_only=True,
    ),
    _collection(
        "achievements",
        {
            "kind": _r(_WORD),
            "level": _maybe(Integer(0, 1_000_000)),
            "value": _maybe(Number()),
            "unit": _maybe(String(20)),
            "workout": _maybe(_UUID),
            "achieved_at": _r(Time()),
        },
        server_only=True,
    ),
    _collection(
        "notifications",
        {
            "kind": _r(_WORD),
            "title": _r(_TITLE),
            "body": _r(String(2_000)),
            "data": _maybe(Json(4_096, object_only=True)),
            "created_at": _r(Time()),
        },
        server_only=True,
    ),
)


def _related(declared: tuple[CollectionSpec, ...]) -> dict[str, CollectionSpec]:
    """The declarations by name, each with its place in the tree; a parent is declared before its children."""
    parents = {spec.rules.parent[1] for spec in declared if spec.rules.parent}
    placed: dict[str, CollectionSpec] = {}
    for spec in declared:
        depth = placed[spec.rules.parent[1]].depth + 1 if spec.rules.parent else 0
        placed[spec.name] = replace(spec, depth=depth, has_children=spec.name in parents)
    return placed


COLLECTIONS: Final[Mapping[str, CollectionSpec]] = MappingProxyType(_related(_DECLARED))

# What the merge kernel is given for each collection.
RULES: Final[Mapping[str, CollectionRules]] = MappingProxyType({s.name: s.rules for s in COLLECTIONS.values()})

# The collections that people list by a time, and the time.
LISTED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {s.name: s.listed_by for s in COLLECTIONS.values() if s.listed_by}
)


def describe() -> dict[str, dict[str, dict[str, Any]]]:
    """Every collection as plain JSON, for `GET /api/sync`: {collection: {field: {"kind", "type", …}}}."""
    return {each.name: each.describe() for each in COLLECTIONS.values()}
