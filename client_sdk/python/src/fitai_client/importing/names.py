"""What the name of an exercise tells: the equipment, how its weight counts, what a custom exercise is described by.

Pure text rules, decided by the name and the row alone, so that a longer export of the same log decides the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .moments import fold
from .numbers import Number

_EQUIPMENT = (
    ("ez_bar", "ez bar|ez-bar|curl bar|sz"),
    ("barbell", "barbell|langhantel|barra|barre"),
    ("dumbbell", "dumbbell|dumbbells|kurzhantel|mancuerna|mancuernas|halteres?"),
    ("kettlebell", "kettlebell"),
    ("cable", "cable|kabel|kabelzug|polea|poulie"),
    ("machine", "machine|maschine|maquina|smith machine|smith|lever"),
    ("band", "band|banded|resistance band"),
    ("medicine_ball", "medicine ball"),
    ("exercise_ball", "exercise ball|stability ball|swiss ball"),
    ("foam_roller", "foam roller|foam rolling"),
    ("suspension", "trx|suspension|rings"),
    ("other", "plate|trap bar|sled"),
    ("bodyweight", "bodyweight"),
)
_EQUIPMENT_WORDS = tuple((name, re.compile(rf"\b(?:{words})\b")) for name, words in _EQUIPMENT)
_ASSISTED = re.compile(r"\b(assisted|assistance|unterstutzt|asistid[ao]s?|assiste[es]?)\b")
_WEIGHTED = re.compile(r"\b(weighted|lastre|lest[ee]s?|mit gewicht|con peso)\b")
_BODYWEIGHT = re.compile(
    r"\b(push ?ups?|pull ?ups?|chin ?ups?|muscle ?ups?|dips?|sit ?ups?|crunch(es)?|planks?|burpees?|inverted rows?|"
    r"pistol squats?|leg raises?|knee raises?|mountain climbers?|air squats?|handstand push ?ups?|"
    r"liegestutze?n?|klimmzuge?|flexiones|dominadas|fondos|pompes|tractions)\b"
)
_CARDIO = re.compile(
    r"\b(run|running|jog|jogging|walk|walking|cycling|bike|bicycle|treadmill|rowing machine|rower|elliptical|swim|"
    r"swimming|stair|stairs|stairmaster|hike|hiking|laufen|radfahren|schwimmen|correr|cardio)\b"
)
_STRETCHING = re.compile(r"\b(stretch|stretching|stretches|dehnen|foam rolling|yoga|mobility)\b")
_UNILATERAL = re.compile(r"\b(single|one) (arm|leg|hand)(ed)?\b|\bunilateral\b")


# More than a catalog and a log have names, all of which are folded several times.
@lru_cache(maxsize=16_384)
def plain(name: str) -> str:
    """A name folded: lower case, no accents, single spaces, hyphens as spaces."""
    return " ".join(re.sub(r"[-_/]+", " ", fold(name)).split())


@lru_cache(maxsize=4096)
def equipment(name: str) -> tuple[str, ...]:
    text = plain(name)
    return tuple(sorted({kind for kind, pattern in _EQUIPMENT_WORDS if pattern.search(text)}))


@lru_cache(maxsize=4096)
def _traits(name: str) -> tuple[bool, bool, bool, bool]:
    text = plain(name)
    loaded = bool(set(equipment(name)) - {"bodyweight", "band", "suspension", "exercise_ball"})
    return (
        bool(_ASSISTED.search(text)),
        bool(_WEIGHTED.search(text)),
        bool(_BODYWEIGHT.search(text)) and not loaded,
        loaded,
    )


def load_mode(name: str, reps: Number | None, weight: Number | None, unit: str) -> str:
    """How a set's weight counts.

    none: nothing was lifted a number of times. assisted: the name says so, or the weight is negative. bodyweight_plus:
    the weight, if any, is added to the body's; so it is for "weighted" and bodyweight movements, and for sets of reps
    without a weight where the name tells of no equipment. Some apps enter the body's own weight for a push-up: from
    45 kg on, a bodyweight movement not called weighted is taken to be external load.
    """
    assisted, weighted, bodyweight, loaded = _traits(name)
    if reps is None and not weight:
        return "none"
    if (assisted and weight) or (weight is not None and weight < 0):
        return "assisted"
    if weighted:
        return "bodyweight_plus"
    if is_body_itself(name, weight, unit):
        return "external"
    if bodyweight or assisted:
        return "bodyweight_plus"
    return "external" if weight or loaded else "bodyweight_plus"


def is_body_itself(name: str, weight: Number | None, unit: str) -> bool:
    """Whether a bodyweight movement's weight is so large that it must be the body's own."""
    assisted, weighted, bodyweight, _ = _traits(name)
    return (
        bodyweight and not assisted and not weighted and weight is not None and weight >= (45 if unit == "kg" else 100)
    )


def describe(name: str, measured: set[str]) -> dict[str, object]:
    """The fields of a custom exercise, as far as its name and what was measured of it tell.

    Args:
        measured: which of "reps", "weight", "distance", "seconds" any of its sets has, and the load modes of its sets.
    """
    text = plain(name)
    assisted, weighted, _, loaded = _traits(name)
    mode = "assisted" if assisted else "bodyweight_plus" if weighted else None
    if mode is None:
        mode = next((m for m in ("external", "bodyweight_plus", "assisted") if m in measured), "none")
    if "distance" in measured:
        measure = "weight_distance" if "weight" in measured else "distance_duration"
    elif "reps" in measured:
        by_mode = {"assisted": "assisted_reps", "bodyweight_plus": "weight_reps" if weighted else "bodyweight_reps"}
        measure = by_mode.get(mode, "weight_reps" if "weight" in measured or loaded else "reps_only")
    elif "seconds" in measured:
        measure = "weight_duration" if "weight" in measured else "duration"
    else:
        measure = "weight_reps" if loaded else "reps_only"
    category = "strength"
    if measure == "distance_duration" or (_CARDIO.search(text) and measure == "duration"):
        category = "cardio"
    elif _STRETCHING.search(text) and measure in {"duration", "reps_only", "bodyweight_reps"}:
        category = "stretching"
    fields: dict[str, object] = {"category": category, "measure": measure, "load_mode": mode}
    if kinds := equipment(name):
        fields["equipment"] = list(kinds)
    if _UNILATERAL.search(text):
        fields["is_unilateral"] = True
    return fields
