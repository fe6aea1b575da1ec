"""The collections this SDK knows: their fields' kinds and their parents, as data.

Owns: what a device must know to lay its own changes over merged records and to hide what lies below a deleted
one. Refuses to know: types and limits, which the server alone judges, and collections and fields that a newer
server may have: those are kept as they come and shown unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["CHILDREN", "COLLECTIONS", "NIL_UUID", "SCHEMA", "Collection", "Field", "chain", "field_of", "parent_of"]

# The version of the server's declarations that this table was written for; every push names it.
SCHEMA: Final = 1

# The id of the one record of `preferences`.
NIL_UUID: Final = "00000000-0000-0000-0000-000000000000"

Kind = Literal["register", "set", "counter", "text"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field. A passing register (a rest timer) alone brings no deleted record back."""

    kind: Kind
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection. `parent` is (the field that holds the parent's id, the parent's collection)."""

    name: str
    fields: Mapping[str, Field]
    parent: tuple[str, str] | None = None
    read_only: bool = False


def _declare(
    name: str,
    registers: str,
    *,
    passing: str = "",
    texts: str = "",
    sets: str = "",
    parent: tuple[str, str] | None = None,
    read_only: bool = False,
) -> Collection:
    fields = {field: Field("register") for field in registers.split()}
    fields |= {field: Field("register", passing=True) for field in passing.split()}
    fields |= {field: Field("text") for field in texts.split()}
    fields |= {field: Field("set") for field in sets.split()}
    return Collection(name, MappingProxyType(fields), parent, read_only)


_LIVE = "energy_kcal average_heart_rate max_heart_rate rest_timer current_exercise"
_TARGETS = (
    "target_reps_min target_reps_max target_weight target_percent_1rm target_rpe target_rir "
    "target_duration_s target_distance"
)

_DECLARED = (
    _declare(
        "workouts",
        "title status started_at ended_at timezone local_date template bodyweight perceived_effort rating "
        "visibility pauses source",
        passing=_LIVE,
        texts="notes",
        sets="tags",
    ),
    _declare(
        "workout_exercises",
        "workout exercise position superset rest_s moved_from source",
        texts="notes",
        parent=("workout", "workouts"),
    ),
    _declare(
        "participants",
        "workout athlete bodyweight perceived_effort joined_at left_at",
        passing=_LIVE,
        parent=("workout", "workouts"),
    ),
    _declare(
        "sets",
        "workout_exercise athlete position performed_order kind to_failure is_amrap side reps weight load_mode "
        "distance duration_s rpe rir tempo incline_pct resistance speed_kmh floors steps calories rest_s "
        f"completed_at notes {_TARGETS} drop_of moved_from source",
        parent=("workout_exercise", "workout_exercises"),
    ),
    _declare("templates", "title folder position visibility weeks source", texts="notes", sets="tags"),
    _declare(
        "template_exercises",
        "template exercise week day position superset rest_s",
        texts="notes",
        parent=("template", "templates"),
    ),
    _declare(
        "template_sets",
        f"template_exercise position kind {_TARGETS} is_amrap progression",
        parent=("template_exercise", "template_exercises"),
    ),
    _declare(
        "exercises",
        "name category measure force level mechanic instructions load_mode bodyweight_fraction is_unilateral "
        "default_rest_s weight_increment variation_group archived licence author source_url",
        sets="aliases equipment primary_muscles secondary_muscles",
    ),
    _declare("measurements", "at kind value unit note", sets="photos"),
    _declare("goals", "kind title exercise target unit start starts_on due_on status visibility"),
    _declare(
        "preferences",
        "units first_weekday timezone default_rest_s one_rep_max weekly_target notifications privacy",
    ),
    _declare(
        "personal_records",
        "exercise kind value unit set workout achieved_at previous formula",
        read_only=True,
    ),
    _declare("achievements", "kind level value unit workout achieved_at", read_only=True),
    _declare("notifications", "kind title body data created_at", read_only=True),
)

COLLECTIONS: Final[Mapping[str, Collection]] = MappingProxyType({c.name: c for c in _DECLARED})

# The collections directly below each one.
CHILDREN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {name: tuple(c.name for c in _DECLARED if c.parent and c.parent[1] == name) for name in COLLECTIONS}
)

_REGISTER = Field("register")


def field_of(collection: str, name: str) -> Field:
    """The declaration of a field; one that is not known is taken as a register."""
    declared = COLLECTIONS.get(collection)
    return (declared.fields.get(name) if declared else None) or _REGISTER


def parent_of(collection: str) -> tuple[str, str] | None:
    """(field, collection) of the parent, or None for a collection at the top or an unknown one."""
    declared = COLLECTIONS.get(collection)
    return declared.parent if declared else None


def chain(collection: str) -> tuple[tuple[str, str], ...]:
    """Everything above a collection, nearest first, as (field, collection)."""
    above: list[tuple[str, str]] = []
    parent = parent_of(collection)
    while parent:
        above.append(parent)
        parent = parent_of(parent[1])
    return tuple(above)
