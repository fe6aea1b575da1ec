"""The words of training: what a muscle, a kind of set, a measurement may be called.

Owns: the words that a field takes where they are many, or are those of several fields.
Refuses to know: which field takes them (storage/collections.py).
"""

from __future__ import annotations

from storage.field_types import Enum

VISIBILITY = Enum(("private", "friends", "public"))
LOAD_MODE = Enum(("external", "bodyweight_plus", "assisted", "none"))

SET_KIND = Enum(
    (
        "normal", "warmup", "drop", "failure", "myo", "partial", "forced", "negative", "tut", "isometric", "jump",
        "back_off", "rest_pause",
    )
)  # fmt: skip

# The 17 muscles of free-exercise-db, with the underscore that all words of the wire have.
MUSCLES = Enum(
    (
        "abdominals", "abductors", "adductors", "biceps", "calves", "chest", "forearms", "glutes", "hamstrings",
        "lats", "lower_back", "middle_back", "neck", "quadriceps", "shoulders", "traps", "triceps",
    )
)  # fmt: skip

EQUIPMENT = Enum(
    (
        "bodyweight", "dumbbell", "barbell", "kettlebell", "cable", "machine", "band", "medicine_ball",
        "exercise_ball", "foam_roller", "ez_bar", "suspension", "other",
    )
)  # fmt: skip

# The measurements of the apps people come from; anything else is `custom:<name>`.
MEASUREMENT = Enum(
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
CATEGORY = Enum(
    (
        "strength", "cardio", "stretching", "plyometrics", "powerlifting", "olympic_weightlifting",
        "strongman",
    )
)  # fmt: skip

# What of a set of this exercise is logged.
MEASURE = Enum(
    (
        "weight_reps", "reps_only", "bodyweight_reps", "assisted_reps", "duration", "weight_duration",
        "distance_duration", "weight_distance",
    )
)  # fmt: skip

# What a personal record is the best of.
RECORD_KIND = Enum(
    (
        "max_weight", "max_reps", "max_reps_at_weight", "one_rep_max", "set_volume", "session_volume",
        "duration", "distance", "pace", "least_assistance",
    )
)  # fmt: skip
