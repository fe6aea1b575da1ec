"""Sets, figures, days and spans in words, the same in every command.

Owns: short texts without colour. Numbers are shown as they were entered; figures that were worked out have one decimal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from api.command_line.device.figures import KG, exact
from api.command_line.device.screen import Signs

# In front of a set; a set to failure has an F behind it.
KINDS: Final = {"normal": "", "failure": "", "warmup": "w", "back_off": "back-off", "rest_pause": "rest-pause"}

RECORDS: Final = {
    "max_weight": "heaviest",
    "one_rep_max": "best 1RM",
    "max_reps": "most reps",
    "max_reps_at_weight": "most reps at a weight",
    "set_volume": "best set",
    "session_volume": "best session",
    "duration": "longest",
    "distance": "farthest",
    "pace": "fastest",
    "least_assistance": "least help",
}


def counted(number: int, noun: str) -> str:
    """1 set, 2 sets, 1,200 sets."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def plain_number(value: Any) -> str:
    """A JSON number as a person writes it: no exponent, no trailing zeros, thousands apart."""
    number = exact(value)
    whole = f"{float(number):,.4f}".rstrip("0").rstrip(".")
    return whole or "0"


def is_done(values: Mapping[str, Any]) -> bool:
    """Whether a set was done; what is not is planned, whatever stands in it."""
    return bool(values.get("completed_at"))


def label_words(values: Mapping[str, Any]) -> str:
    """What stands in front of a set: "planned", "w" of a warm-up."""
    kind = str(values.get("kind") or "normal")
    return " ".join(filter(None, ("" if is_done(values) else "planned", KINDS.get(kind, kind))))


def load_words(values: Mapping[str, Any], signs: Signs) -> str:
    """What was, or is to be, moved in a set: "100 kg", "+10 kg", "-20 kg"; empty for the body alone."""
    weight = _aim(values, "weight")
    if not weight or (not weight["value"] and values.get("load_mode") in ("bodyweight_plus", "none")):
        return ""
    sign = {"bodyweight_plus": "+", "assisted": "-"}.get(str(values.get("load_mode")), "")
    text = plain_number(weight["value"])
    return f"{sign if not text.startswith('-') else ''}{text} {weight['unit']}"


def effort_words(values: Mapping[str, Any], signs: Signs) -> str:
    """What was done with it, or is to be: reps, a time, a distance, with the RPE. Empty where nothing is aimed at."""
    parts = []
    if reps := reps_words(values, signs):
        parts.append(reps)
    if length := _aim(values, "distance"):
        parts.append(f"{plain_number(length['value'])} {length['unit']}")
    if seconds := _aim(values, "duration_s"):
        parts.append(clock(float(seconds)) if seconds >= 60 else f"{plain_number(seconds)} s")
    said = f" {signs.dot} ".join(parts) or ("done" if is_done(values) else "")
    # Some apps give every warm-up an RPE of 6.
    rpe = _aim(values, "rpe") if values.get("kind") != "warmup" else None
    words = [said, f"@{plain_number(rpe)}" if rpe is not None else "", *_aims_words(values, rpe)]
    return " ".join(filter(None, words))


def _aims_words(values: Mapping[str, Any], rpe: Any) -> Iterator[str]:
    """What else a planned set aims at: a share of the maximum, where no weight is said, and repetitions in reserve."""
    if is_done(values):
        return
    share, spare = values.get("target_percent_1rm"), values.get("target_rir")
    if share is not None and _aim(values, "weight") is None:
        yield f"{plain_number(share)}% 1RM"
    if spare is not None and rpe is None:
        yield f"RIR {plain_number(spare)}"


def reps_words(values: Mapping[str, Any], signs: Signs) -> str:
    """How many repetitions there were, or are to be: "5", "8–12", "5+"; empty where they are not what counts."""
    if (reps := values.get("reps")) is not None or is_done(values):
        return "" if reps is None else plain_number(reps)
    low, high = values.get("target_reps_min"), values.get("target_reps_max")
    aims = list(dict.fromkeys(plain_number(each) for each in (low, high) if each is not None))
    return signs.to.join(aims) + ("+" if aims and values.get("is_amrap") else "")


def _aim(values: Mapping[str, Any], name: str) -> Any:
    """What stands in a set, or, of a planned one in which nothing does, its target."""
    value = values.get(name)
    return values.get(f"target_{name}") if value is None and not is_done(values) else value


def set_words(values: Mapping[str, Any], signs: Signs) -> str:
    """One set on its own: "100 kg × 5 @8", "× 12", "5 km · 25:30"; "planned 80 kg × 8–12"."""
    load, effort = load_words(values, signs), effort_words(values, signs)
    parts = ["" if is_done(values) else "planned", load]
    parts += [signs.times] if effort and (load or reps_words(values, signs)) else []
    return " ".join(filter(None, (*parts, effort)))


def clock(seconds: float) -> str:
    """1:30, 25:30, 1:02:03."""
    total = round(seconds)
    minutes, second = divmod(abs(total), 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
    return f"-{text}" if total < 0 else text


def span(seconds: float) -> str:
    """1 h 8 min, 43 min, 30 s."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"


def day_words(day: date | None, today: date) -> str:
    """Today, Yesterday, Tue 25 Nov, 25 Nov 2025."""
    if day is None:
        return "no date"
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    short = f"{day:%a} {day.day} {day:%b}"
    return short if day.year == today.year else f"{short} {day.year}"


def short_day(day: date | None, today: date) -> str:
    """Today, 25 Nov, 25 Nov 2025."""
    if day is None or day == today:
        return day_words(day, today)
    return f"{day.day} {day:%b}" if day.year == today.year else f"{day.day} {day:%b %Y}"


def at_words(moment: datetime | None, zone: str | None = None) -> str:
    """The time of the day, by the clock of a zone; of this machine's, where none is given or it is not known here."""
    try:
        local = moment.astimezone(ZoneInfo(zone) if zone else None) if moment else None
    except (ValueError, OSError, ZoneInfoNotFoundError):
        local = moment.astimezone() if moment else None
    return f"{local:%H:%M}" if local else ""


def mass(value: Fraction | Decimal | int, unit: str | None) -> str:
    """Kilograms in the user's unit, one decimal at most."""
    shown = Fraction(value) / KG["lb"] if unit == "lb" else value
    text = f"{float(shown):,.1f}".removesuffix(".0")
    return f"{text} {unit or 'kg'}"


def volume_words(value: Fraction | Decimal, unit: str | None) -> str:
    """A volume, without decimals."""
    return f"{float(Fraction(value) / KG['lb'] if unit == 'lb' else value):,.0f} {unit or 'kg'}"


def record_words(kind: str, values: Mapping[str, Any]) -> str:
    """What a record is called, of a set with these values: where the body is lifted too, whether it is counted."""
    if values.get("load_mode") in ("bodyweight_plus", "assisted"):
        told = {"max_weight": "heaviest added weight", "one_rep_max": "best 1RM, the body counted"}
        return told.get(kind, RECORDS[kind])
    return RECORDS[kind]


def record_value(kind: str, value: Fraction | Decimal, unit: str | None) -> str:
    """The value of a personal record, in words."""
    if kind in ("max_weight", "one_rep_max", "set_volume", "session_volume", "least_assistance"):
        return volume_words(value, unit) if kind.endswith("volume") else mass(value, unit)
    if kind == "duration":
        return clock(float(value))
    if kind == "distance":
        return f"{float(value) / 1000:,.2f} km" if value >= 1000 else f"{float(value):,.0f} m"
    if kind == "pace":
        return f"{clock(float(value))} /km"
    return f"{plain_number(float(value))} reps"
