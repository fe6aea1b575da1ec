"""What a person hardly meant: refused where it contradicts itself, else taken and pointed out.

Owns: the bounds of what is plausible. The limits of what is possible at all are the declared ones
(storage/collections.py). Refuses to know: where the values come from. Values are plain JSON, as records have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from api.training.answers import fault
from storage.field_types import KG_PER_MASS_UNIT
from sync.errors import InvalidFields

Fault = dict[str, str]
Values = Mapping[str, Any]

# Endurance events last a day; what is longer was not ended when it was over.
WORKOUT_H_MAX: Final = 24
# A phone's clock may be some minutes ahead, and a time zone some hours wrong.
AHEAD: Final = timedelta(days=1)
BODYWEIGHT_KG: Final = (20, 350)
# Above every lift that was ever judged.
SET_KG_MAX: Final = 600
SET_REPS_MAX: Final = 1_000
SET_DURATION_S_MAX: Final = 24 * 3_600

_PER_KG: Final = {unit: Decimal(str(factor)) for unit, factor in KG_PER_MASS_UNIT.items()}


def kilograms(mass: Values) -> Decimal:
    """A mass in kilograms, exactly."""
    return Decimal(str(mass["value"])) * _PER_KG[mass["unit"]]


def parsed(time: Any) -> datetime | None:
    """A time of a record; None where there is none."""
    return datetime.fromisoformat(time) if isinstance(time, str) and time else None


def contradictions_of_workout(values: Values) -> list[Fault]:
    """What a request says of a workout and cannot be: that it, or a pause, ends before it begins."""
    pauses = [[parsed(each) for each in pause] for pause in values.get("pauses") or ()]
    return _ends_first(values) + [
        fault(f"pauses[{place}]", "out_of_range", f"pauses[{place}] must not end before it begins")
        for place, (begun, ended) in enumerate(pauses)
        if begun is not None and ended is not None and ended < begun
    ]


def check_workout(values: Values) -> None:
    """Raises InvalidFields where a workout ends before it begins."""
    if wrong := _ends_first(values):
        raise InvalidFields(fields=wrong)


def _ends_first(values: Values) -> list[Fault]:
    begun, ended = parsed(values.get("started_at")), parsed(values.get("ended_at"))
    if begun is not None and ended is not None and ended < begun:
        return [fault("ended_at", "out_of_range", "ended_at must not be before started_at")]
    return []


def of_workout(values: Values, now: datetime) -> Iterator[Fault]:
    """What is odd about a workout's own fields."""
    begun, ended = parsed(values.get("started_at")), parsed(values.get("ended_at"))
    if begun is not None and begun > now + AHEAD:
        yield fault("started_at", "in_the_future", "the workout begins in the future")
    if begun is not None and ended is not None and (lasted := ended - begun) > timedelta(hours=WORKOUT_H_MAX):
        hours = round(lasted.total_seconds() / 3_600)
        yield fault("ended_at", "implausible", f"the workout lasts {hours} hours; was it ended when it was over?")
    yield from _of_bodyweight(values.get("bodyweight"), "bodyweight")


def of_set(values: Values, at: str = "") -> Iterator[Fault]:
    """What is odd about a set; `at` is where it stands in the request."""
    weight = values.get("weight")
    if weight is not None and kilograms(weight) > SET_KG_MAX:
        yield fault(f"{at}weight", "implausible", f"{weight['value']} {weight['unit']} is more than anybody lifts")
    for name, most in (("reps", SET_REPS_MAX), ("duration_s", SET_DURATION_S_MAX)):
        value = values.get(name)
        if value is not None and value > most:
            yield fault(f"{at}{name}", "implausible", f"{name} is {value}; is a decimal point missing?")


def _of_bodyweight(mass: Values | None, at: str) -> Iterator[Fault]:
    if mass is not None and not BODYWEIGHT_KG[0] <= kilograms(mass) <= BODYWEIGHT_KG[1]:
        yield fault(at, "implausible", f"{mass['value']} {mass['unit']} is hardly the weight of a person who trains")


# -- measurements ----------------------------------------------------------------------------------------------------

_MASS: Final = {unit: float(factor) for unit, factor in _PER_KG.items()}
_LENGTH: Final = {"cm": 1.0, "m": 100.0, "mm": 0.1, "in": 2.54, "ft": 30.48}
_SHARE: Final = {"%": 1.0}
_PULSE: Final = {"bpm": 1.0}
_PRESSURE: Final = {"mmHg": 1.0}
_GLUCOSE: Final = {"mg/dL": 1.0, "mmol/L": 18.0}
_ENERGY: Final = {"kcal": 1.0, "kJ": 1 / 4.184}

# Of each kind: its units, what is possible, and what is plausible, both in the unit whose factor is 1.
_KINDS: Final[dict[str, tuple[Mapping[str, float], tuple[float, float], tuple[float, float]]]] = {
    "weight": (_MASS, (0, 2_000), BODYWEIGHT_KG),
    "height": (_LENGTH, (0, 300), (80, 250)),
    **dict.fromkeys(("lean_mass", "fat_mass", "muscle_mass"), (_MASS, (0, 2_000), (1, 250))),
    "bone_mass": (_MASS, (0, 2_000), (0.5, 20)),
    "body_fat_pct": (_SHARE, (0, 100), (2, 70)),
    "water_pct": (_SHARE, (0, 100), (20, 80)),
    "resting_heart_rate": (_PULSE, (0, 300), (25, 150)),
    "blood_pressure_systolic": (_PRESSURE, (0, 400), (60, 250)),
    "blood_pressure_diastolic": (_PRESSURE, (0, 400), (30, 150)),
    "blood_glucose": (_GLUCOSE, (0, 2_000), (20, 600)),
    "energy_intake_kcal": (_ENERGY, (0, 100_000), (0, 15_000)),
    **dict.fromkeys(
        (
            "neck", "shoulders", "chest", "upper_abs", "abdomen", "lower_abs", "waist", "hips", "left_bicep",
            "right_bicep", "left_forearm", "right_forearm", "left_wrist", "right_wrist", "left_thigh", "right_thigh",
            "left_calf", "right_calf", "left_ankle", "right_ankle",
        ),
        (_LENGTH, (0, 500), (5, 250)),
    ),
}  # fmt: skip


def check_measurement(values: Values) -> list[Fault]:
    """What is odd about a measurement.

    Raises InvalidFields where its unit is none of its kind, or its value is impossible.
    """
    known = _KINDS.get(str(values.get("kind")))
    unit, value = values.get("unit"), values.get("value")
    if known is None or value is None or unit is None:
        return []
    units, possible, plausible = known
    factor = units.get(unit)
    if factor is None:
        message = f"unit must be one of {', '.join(units)} for {values['kind']}"
        raise InvalidFields(fields=[fault("unit", "unknown_value", message)])
    amount = value * factor
    if not possible[0] <= amount <= possible[1]:
        low, high = (_plain(bound / factor) for bound in possible)
        raise InvalidFields(fields=[fault("value", "out_of_range", f"value must be {low} to {high} {unit}")])
    if plausible[0] <= amount <= plausible[1]:
        return []
    return [fault("value", "implausible", f"{value} {unit} is unusual for {values['kind']}; is the unit right?")]


def _plain(bound: float) -> str:
    return f"{bound:.4f}".rstrip("0").rstrip(".")
