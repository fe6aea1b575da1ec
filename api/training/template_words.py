"""What stands in a template, in words for people: targets, rests, rules of progression. Pure functions.

Owns: the words. Refuses to know: who sees them (template_page.py), and what a rule does (progression.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.training.progression import unreadable

Values = Mapping[str, Any]

_KINDS: Final = {
    "warmup": "warm-up",
    "drop": "drop set",
    "failure": "to failure",
    "myo": "myo-reps",
    "partial": "partial reps",
    "forced": "forced reps",
    "negative": "negatives",
    "tut": "time under tension",
    "isometric": "isometric",
    "jump": "jumps",
    "back_off": "back-off",
    "rest_pause": "rest-pause",
}
_MOVES: Final = {
    "weight": "weight",
    "reps": "reps",
    "reps_min": "fewest reps",
    "reps_max": "most reps",
    "rpe": "RPE",
    "rir": "RIR",
    "duration_s": "time",
    "distance": "distance",
    "percent_1rm": "percentage of 1RM",
}
_OPS: Final = {"add": "+", "subtract": "-", "multiply": "*", "set": "="}
_SIGNS: Final = {"+": "+", "-": "−", "*": "× ", "=": "to "}
_SHARES: Final = ("%", "percent")


def kind(values: Values) -> str:
    """What kind of set it is; nothing for an ordinary one."""
    return _KINDS.get(str(values.get("kind")), "")


def target(values: Values) -> str:
    """What a set asks for: "8–12 reps · 80 kg · RPE 8"."""
    parts = [_reps(values)]
    if (weight := values.get("target_weight")) is not None:
        parts.append(measure(weight))
    if (share := values.get("target_percent_1rm")) is not None:
        parts.append(f"{number(share)}% of 1RM")
    if (seconds := values.get("target_duration_s")) is not None:
        parts.append(duration(seconds))
    if (distance := values.get("target_distance")) is not None:
        parts.append(measure(distance))
    parts += [
        f"{name.upper()} {number(values[key])}" for name in ("rpe", "rir") if _has(values, key := f"target_{name}")
    ]
    return " · ".join(filter(None, parts)) or "as it feels right"


def _reps(values: Values) -> str:
    low, high = values.get("target_reps_min"), values.get("target_reps_max")
    if values.get("is_amrap"):
        fewest = high if low is None else low
        return "as many reps as possible" if fewest is None else f"{number(fewest)} reps or more"
    if low is not None and high is not None and low != high:
        return f"{number(low)}–{number(high)} reps"
    if low is None and high is not None:
        return f"up to {_counted(high)}"
    return "" if low is None else _counted(low)


def _counted(reps: float) -> str:
    return f"{number(reps)} rep{'' if reps == 1 else 's'}"


def rules(values: Values) -> list[str]:
    """A set's rules of progression: "weight +2.5 kg each time the reps are reached, up to 140 kg".

    One that nobody can read moves nothing, and is left out.
    """
    given = values.get("progression") or ()
    return [_rule(rule, values) for rule in given if not unreadable({**values, "progression": [rule]})]


def _rule(rule: Values, values: Values) -> str:
    moves = str(rule["field"]).removeprefix("target_")
    op = _OPS.get(str(rule["op"]), str(rule["op"]))
    step = number(rule["step"]) + ("" if op == "*" else _unit(rule, moves, values))
    words = f"{_MOVES[moves]} {_SIGNS[op]}{step} {_often(rule.get('repeat'))} {_required(rule, values)}"
    if (bound := rule.get("ceiling")) is None:
        return words
    # The bound of a share is in the target's own unit.
    unit = _unit({} if rule.get("unit") in _SHARES else rule, moves, values)
    return f"{words}, {'down' if op == '-' else 'up'} to {number(bound)}{unit}"


def _unit(rule: Values, moves: str, values: Values) -> str:
    given = rule.get("unit")
    if given in _SHARES:
        return "%"
    if moves in ("weight", "distance"):
        own = values.get(f"target_{moves}")
        unit = given or (own["unit"] if isinstance(own, Mapping) else "")
        return f" {unit}" if unit else ""
    return " s" if moves == "duration_s" else ""


def _often(repeat: Any) -> str:
    if repeat == "week":
        return "once a week, when"
    if repeat == "once" or repeat is False:
        return "once, when"
    if type(repeat) is int and repeat > 1:
        return f"after {repeat} sessions in a row in which"
    return "each time"


def _required(rule: Values, values: Values) -> str:
    """What has to have been reached for it."""
    named = rule.get("requires")
    if isinstance(named, Mapping):
        named = named.get("rules")
    if isinstance(named, str):
        named = [named]
    if named is None:
        named = ["reps"] if _has(values, "target_reps_min") or _has(values, "target_reps_max") else []
    if not named:
        return "it is done"
    *others, last = [_MOVES[each] for each in named]
    together = f"{', '.join(others)} and {last}" if others else last
    return f"the {together} {'are' if others or last == 'reps' else 'is'} reached"


def _has(values: Values, name: str) -> bool:
    return values.get(name) is not None


def measure(value: Values) -> str:
    """A mass or a length as it was entered: "80 kg"."""
    return f"{number(value['value'])} {value['unit']}"


def duration(seconds: float) -> str:
    """Seconds as a clock shows them: "45 s", "3 min", "1:30 min", "1:05:00 h"."""
    if seconds < 60:
        return f"{number(seconds)} s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 3_600:
        return f"{minutes} min" if not rest else f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


def number(value: float) -> str:
    """A number as people write it: no point where nothing stands behind it."""
    return str(int(value)) if value == int(value) else str(value)


def count(number: int, one: str, more: str | None = None) -> str:
    """How many of something there are: "1 set", "3 sets"."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def part(week: int | None, day: int | None) -> str:
    """What a part of a program is called."""
    if week is None and day is None:
        return "Every day"
    return " · ".join(f"{name} {each}" for name, each in (("Week", week), ("Day", day)) if each is not None)


def size(exercises: Sequence[Values], weeks: int | None) -> str:
    """How much stands in a template."""
    parts = [count(len(exercises), "exercise"), count(sum(len(each["sets"]) for each in exercises), "set")]
    return " · ".join([*parts, count(weeks, "week")] if weeks else parts)
