"""What the importer tests share: the real files, short ways to read text, and a check against the data model."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fitai_client.importing import Import, Write, read
from tests.shared import shared

DATA = shared() / "data"
REAL_FILES = sorted(DATA.glob("*.csv"))
HEVY_BIG = DATA / "hevy-2025-kg-supersets-rpe-MIT.csv"
GOLDEN = Path(__file__).with_name("golden")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

HEVY = (
    "title,start_time,end_time,description,exercise_title,superset_id,exercise_notes,set_index,set_type,"
    "weight_kg,reps,distance_km,duration_seconds,rpe"
)
STRONG = "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,Notes,Workout Notes,RPE"


def imported(text: str | bytes, **options: Any) -> Import:
    data = text.encode() if isinstance(text, str) else text
    return read(data, **{"timezone": "Europe/Berlin", "now": NOW, **options})


def hevy(*rows: str, header: str = HEVY, **options: Any) -> Import:
    return imported("\n".join([header, *rows]) + "\n", **options)


def strong(*rows: str, header: str = STRONG, **options: Any) -> Import:
    return imported("\n".join([header, *rows]) + "\n", **options)


def hevy_row(
    *,
    title: str = "Push",
    start: str = '"8 Apr 2026, 16:50"',
    end: str = '"8 Apr 2026, 17:50"',
    description: str = "",
    exercise: str = "Bench Press (Barbell)",
    superset: str = "",
    notes: str = "",
    index: str = "0",
    kind: str = "normal",
    weight: str = "80",
    reps: str = "5",
    distance: str = "",
    seconds: str = "",
    rpe: str = "",
) -> str:
    cells = (
        title,
        start,
        end,
        description,
        exercise,
        superset,
        notes,
        index,
        kind,
        weight,
        reps,
        distance,
        seconds,
        rpe,
    )
    return ",".join(cells)


def records(found: Import) -> list[Write]:
    return [write for group in [*found.exercises, *found.groups] for write in group]


def of(found: Import, collection: str) -> list[dict[str, Any]]:
    return [write.fields for write in records(found) if write.collection == collection]


def only(found: Import, collection: str) -> dict[str, Any]:
    (fields,) = of(found, collection)
    return fields


def by_id(found: Import) -> dict[str, Write]:
    return {write.id: write for write in records(found)}


def cells(data: bytes, delimiter: str = ",") -> list[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def accounted(found: Import, data: bytes) -> bool:
    """Whether each line below the header is imported, reported or blank, and none is two of these."""
    reported = [error.line + extra for error in found.errors for extra in range(error.lines)]
    lines = data.split(b"\n" if b"\n" in data else b"\r")
    total = len(lines) - (lines[-1] == b"")
    once = len(set(reported)) == len(reported) and not set(reported) & found.imported_lines
    below = total - found.header_lines
    return once and len(reported) + len(found.imported_lines) + found.blank_lines == below


# The data model, as far as an import writes: what each field may hold.

_UUID5 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_KINDS = {
    "normal", "warmup", "drop", "failure", "myo", "partial", "forced", "negative", "tut", "isometric", "jump",
    "back_off", "rest_pause",
}  # fmt: skip
_MODES = ["external", "bodyweight_plus", "assisted", "none"]
_MEASURES = {
    "weight_reps", "reps_only", "bodyweight_reps", "assisted_reps", "duration", "weight_duration",
    "distance_duration", "weight_distance",
}  # fmt: skip
_EQUIPMENT = {
    "bodyweight", "dumbbell", "barbell", "kettlebell", "cable", "machine", "band", "medicine_ball", "exercise_ball",
    "foam_roller", "ez_bar", "suspension", "other",
}  # fmt: skip


def _text(maximum: int, minimum: int = 0) -> Any:
    return lambda v: isinstance(v, str) and minimum <= len(v) <= maximum and "\x00" not in v


def _number(low: float, high: float, halves: bool = False) -> Any:
    def check(value: Any) -> bool:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        return plain and low <= value <= high and round(value, 4) == value and (not halves or value * 2 % 1 == 0)

    return check


def _measure(units: Mapping[str, float], high: float) -> Any:
    return lambda v: (
        set(v) == {"value", "unit"} and v["unit"] in units and _number(0, high / units[v["unit"]])(v["value"])
    )


_MASS = _measure({"kg": 1, "lb": 0.45359237}, 2_000)
_LENGTH = _measure({"m": 1, "km": 1000, "mi": 1609.344, "yd": 0.9144, "ft": 0.3048}, 10_000_000)


def _source(value: Any) -> bool:
    raw = json.dumps(value.get("raw"), ensure_ascii=False, separators=(",", ":")).encode()
    return (
        set(value) <= {"app", "external_id", "import", "raw"}
        and _text(50, 1)(value["app"])
        and _text(500)(value.get("external_id", ""))
        and len(raw) <= 32_768
        # An escape, and not a backslash of the text's own, which is doubled.
        and b"\\u0000" not in raw.replace(b"\\\\", b"")
    )


def _is(pattern: re.Pattern[str]) -> Any:
    return lambda v: isinstance(v, str) and pattern.fullmatch(v) is not None


def _in(words: Iterable[str]) -> Any:
    return lambda v: v in words


_BOOL = lambda v: isinstance(v, bool)  # noqa: E731
_ORDER = _is(re.compile(r"[!-~]{1,250}"))

MODEL: dict[str, dict[str, Any]] = {
    "workouts": {
        "title": _text(200),
        "notes": _text(60_000),
        "status": _in(["completed"]),
        "started_at": _is(_TIME),
        "ended_at": _is(_TIME),
        "timezone": _text(64, 1),
        "local_date": _is(re.compile(r"\d{4}-\d\d-\d\d")),
        "bodyweight": _MASS,
        "source": _source,
    },
    "workout_exercises": {
        "workout": _is(_UUID5),
        "exercise": _text(36, 36),
        "position": _ORDER,
        "superset": _text(36, 1),
        "notes": _text(60_000),
        "rest_s": _number(0, 3_600),
        "source": _source,
    },
    "sets": {
        "workout_exercise": _is(_UUID5),
        "position": _ORDER,
        "performed_order": _number(0, 1_000_000),
        "kind": _in(_KINDS),
        "to_failure": _BOOL,
        "reps": _number(0, 10_000, halves=True),
        "weight": _MASS,
        "load_mode": _in(_MODES),
        "distance": _LENGTH,
        "duration_s": _number(0, 604_800),
        "rpe": _number(0, 10, halves=True),
        "rest_s": _number(0, 3_600),
        "completed_at": _is(_TIME),
        "notes": _text(2_000),
        "is_amrap": _BOOL,
        "target_reps_min": _number(0, 10_000, halves=True),
        "target_reps_max": _number(0, 10_000, halves=True),
        "target_weight": _MASS,
        "target_rpe": _number(0, 10, halves=True),
        "source": _source,
    },
    "exercises": {
        "name": _text(100, 2),
        "category": _in(["strength", "cardio", "stretching"]),
        "measure": _in(_MEASURES),
        "load_mode": _in(_MODES),
        "equipment": lambda v: v == sorted(set(v)) and all(each in _EQUIPMENT for each in v),
        "is_unilateral": _BOOL,
    },
}
_REQUIRED = {
    "workouts": {"status", "started_at", "timezone", "local_date"},
    "workout_exercises": {"workout", "exercise", "position"},
    "sets": {"workout_exercise", "position", "kind", "load_mode"},
    "exercises": {"name", "category", "measure", "load_mode"},
}


def _is_undone(fields: Mapping[str, Any]) -> bool:
    """Only a set that its file says was not done has no time at which it was."""
    return bool(fields.get("source", {}).get("raw", {}).get("undone"))


def violations(found: Import) -> list[tuple[str, str, Any]]:
    """What the data model would refuse: an id, a field, a value, a parent that does not come first."""
    wrong: list[tuple[str, str, Any]] = []
    before: set[str] = set()
    for collection, identity, fields in records(found):
        if not _UUID5.fullmatch(identity) or identity in before:
            wrong.append((collection, "id", identity))
        before.add(identity)
        parents = [name for name in ("workout", "workout_exercise") if name in fields]
        wrong += [(collection, name, fields[name]) for name in parents if fields[name] not in before]
        wrong += [(collection, name, None) for name in _REQUIRED[collection] - set(fields)]
        if collection == "sets" and ("completed_at" in fields) == _is_undone(fields):
            wrong.append((collection, "completed_at", fields.get("completed_at")))
        for name, value in fields.items():
            check = MODEL[collection].get(name)
            if check is None or not check(value):
                wrong.append((collection, name, value))
    return wrong
