"""A session from a template: what is planned for today, with the rules of progression applied. Pure functions.

Owns: which exercises of a program stand on a day, what a rule of progression means, and what last time has to have
been for it to apply.
Refuses to know: where records come from, and how the planned workout is written.

A rule is {"field", "op", "step", "unit", "repeat", "requires", "ceiling"}, of a set of a template:

    field     what moves: weight, reps, rpe, rir, duration_s, distance or percent_1rm (also as target_…). "reps" moves
              both ends of the range.
    op        "+" (or "add"), "-" ("subtract"), "*" ("multiply"), "=" ("set").
    step      by how much, or to what.
    unit      of the step: the target's own where it is left out; a mass or a length is converted exactly; "%" or
              "percent" is a share of the standing target, for + and -.
    repeat    how often: true, null or "session" every time the requirement was met; "week" at most once a calendar
              week; false or "once" only where the target is still the template's own; a number n after n sessions in
              a row that met it with the same target.
    requires  what the same set has to have reached last time, a list (also as {"rules": […]}) of reps, weight, rpe,
              rir, duration_s, distance. That it was done is always required; null requires reps, where it has any.
    ceiling   where it ends (for "-": the floor).

What a rule moves is the target of last time, and not the template's: so progress adds up, stays where a requirement was
missed, and needs no record of its own. In a program whose weeks or days ask for different targets, last
time is the last time that it asked for these. A rule that nobody can read changes nothing and is named in the warnings.

Source of the idea: the slot rules of wger, and the progressions of StrongLifts and GZCLP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from storage.field_types import KG_PER_MASS_UNIT, M_PER_LENGTH_UNIT

Values = Mapping[str, Any]

# The fields of a template's records that a session's own take over.
_OF_EXERCISE: Final = ("exercise", "position", "superset", "rest_s", "notes")
_OF_SET: Final = (
    "position", "kind", "is_amrap", "target_reps_min", "target_reps_max", "target_weight", "target_percent_1rm",
    "target_rpe", "target_rir", "target_duration_s", "target_distance",
)  # fmt: skip
_FIELDS: Final = {
    "weight": ("target_weight",),
    "reps": ("target_reps_min", "target_reps_max"),
    "reps_min": ("target_reps_min",),
    "reps_max": ("target_reps_max",),
    "rpe": ("target_rpe",),
    "rir": ("target_rir",),
    "duration_s": ("target_duration_s",),
    "distance": ("target_distance",),
    "percent_1rm": ("target_percent_1rm",),
}
_TARGETS: Final = tuple(dict.fromkeys(name for names in _FIELDS.values() for name in names))
_OPS: Final = {
    "+": "+", "add": "+", "-": "-", "subtract": "-", "*": "*", "multiply": "*", "=": "=", "set": "=",
}  # fmt: skip
_SHARES: Final = ("%", "percent")
_FACTORS: Final = {unit: Decimal(str(factor)) for unit, factor in (KG_PER_MASS_UNIT | M_PER_LENGTH_UNIT).items()}
# What can be reached, and whether less is better.
_REACHED: Final = {"weight": False, "rpe": True, "rir": False, "duration_s": False, "distance": False}
_REQUIRED: Final = ("reps", *_REACHED)
_PLANNED: Final = UUID("5d0f2c0b-9a44-5c2e-8f0d-3a8d3f6a2b77")
# The finest that any bar, clock or tape shows; a pound is not a round number of kilograms.
_STEP: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Block:
    """An exercise with its sets in their order: of a template, of a planned session, or of one that is over.

    id: of the record; of a planned one, that of the template's exercise.
    """

    values: Values
    sets: Sequence[Values]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Past:
    """A session that is over: its day, and its exercises in their order. id: of its workout."""

    day: date | None
    blocks: Sequence[Block]
    id: str = ""


class Problem(NamedTuple):
    """What nobody can read of a rule. at: the path of what is wrong, from the set or the template on."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """What stands on the program today. `problems`: with rules that were left out."""

    blocks: list[Block] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def planned_id(workout: str, exercise: str) -> str:
    """The id of the exercise that a session plans from one of a template."""
    return str(uuid5(_PLANNED, f"{workout}\n{exercise}"))


def start_from_template(
    template: Sequence[Block], past: Sequence[Past], *, today: date, week: int | None = None, day: int | None = None
) -> Planned:
    """Return the exercises and sets of a session that starts today.

    Args:
        template: every exercise of the template, in order; a set's `progression` has its rules.
        past: the sessions that were made from this template and are over, newest first.
        week, day: of the program; an exercise without one of them stands in every week, or on every day. None
            takes them all.
    """
    planned = Planned()
    # How many sets of each exercise stand before: the same one may stand twice on a day.
    before: dict[Any, int] = {}
    telling = [_planned_in(session, template) for session in past]
    for place, block in enumerate(template):
        if not (_is_on(block.values.get("week"), week) and _is_on(block.values.get("day"), day)):
            continue
        exercise = block.values.get("exercise")
        sessions = _sessions_of(exercise, _of_the_same(block, past, telling))
        sets = []
        for within, each in enumerate(block.sets):
            number = before.get(exercise, 0)
            # The same set of each session before: the one at the same place.
            same = [(on, done[number]) for on, done in sessions if number < len(done)]
            problems: list[Problem] = []
            sets.append(_set(each, same, today, problems))
            here = f"exercises[{place}].sets[{within}]."
            planned.problems.extend(each._replace(at=here + each.at) for each in problems)
            before[exercise] = number + _is_aimed(each)
        planned.blocks.append(Block(_taken(block.values, _OF_EXERCISE), sets, block.id))
    return planned


def _is_aimed(values: Values) -> bool:
    """Whether a set has a target: one that was only added on the way has none."""
    return any(values.get(name) is not None for name in _TARGETS)


def _is_on(stands: int | None, asked: int | None) -> bool:
    return stands is None or asked is None or stands == asked


def _planned_in(session: Past, template: Iterable[Block]) -> list[Block]:
    """The exercises of a template that a session planned; none of one that a device began by itself."""
    stand = {block.id for block in session.blocks}
    return [block for block in template if planned_id(session.id, block.id) in stand]


def _of_the_same(block: Block, past: Sequence[Past], telling: Sequence[Sequence[Block]]) -> list[Past]:
    """The sessions from which an exercise goes on.

    What stands in one week, or on one day, may have targets of its own there, as in a light week: it goes on from the
    last time that the program asked for the same. A session that does not tell what it was asked for counts for all.
    """
    if block.values.get("week") is None and block.values.get("day") is None:
        return list(past)
    asked = _asked(block)
    return [
        session
        for session, told in zip(past, telling, strict=True)
        if not told or any(_asked(each) == asked for each in told)
    ]


def _asked(block: Block) -> tuple[Any, list[dict[str, Any]]]:
    return block.values.get("exercise"), [_taken(each, _TARGETS) for each in block.sets]


def _sessions_of(exercise: Any, past: Iterable[Past]) -> list[tuple[date | None, Sequence[Values]]]:
    """The day and the sets of an exercise that had targets, of each session that had any, newest first."""
    found: list[tuple[date | None, Sequence[Values]]] = []
    for session in past:
        blocks = [block for block in session.blocks if block.values.get("exercise") == exercise]
        sets = [each for block in blocks for each in block.sets if _is_aimed(each)]
        if sets:
            found.append((session.day, sets))
    return found


def _taken(values: Values, names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}


def _set(
    template: Values, past: Sequence[tuple[date | None, Values]], today: date, problems: list[Problem]
) -> dict[str, Any]:
    """One planned set: the template's, with the targets of last time, moved by its rules."""
    planned = _taken(template, _OF_SET)
    rules = list(_rules(template, problems))
    # Only what has a rule goes on from last time; the rest is the template's, which may have been changed since.
    for name in {name for _, _, names in rules for name in names}:
        if past and past[0][1].get(name) is not None and name in planned:
            planned[name] = past[0][1][name]
    for at, rule, names in rules:
        found: list[Problem] = []
        if _applies(rule, names, template, past, today, found):
            for name in names:
                if name in planned:
                    planned[name] = _moved(rule, name, planned[name], found)
        problems += _placed(at, found)
    return planned


def unreadable(template: Values) -> list[Problem]:
    """What nobody can read in the rules of a template's set; none where they are all good."""
    problems: list[Problem] = []
    for at, rule, names in _rules(template, problems):
        found: list[Problem] = []
        _required(rule.get("requires"), template, found)
        if not _is_often(rule.get("repeat")):
            found.append(_how_often(rule.get("repeat")))
        if (problem := _unmoving(rule)) is not None:
            found.append(problem)
        for name in names:
            if template.get(name) is not None:
                _moved(rule, name, template[name], found)
        problems += _placed(at, found)
    return problems


def _rules(template: Values, problems: list[Problem]) -> Iterator[tuple[str, Values, tuple[str, ...]]]:
    """The rules of a set that move something: where each stands, itself, and the targets that it moves."""
    for number, rule in enumerate(template.get("progression") or ()):
        names = _FIELDS.get(str(rule.get("field")).removeprefix("target_"))
        if names is None:
            text = f"{rule.get('field')} is nothing that can progress; it can be one of {', '.join(_FIELDS)}"
            problems.append(Problem(f"progression[{number}].field", text))
        else:
            yield f"progression[{number}].", rule, names


def _placed(at: str, problems: Iterable[Problem]) -> list[Problem]:
    """The problems of one rule, each once: one rule may move both ends of a range."""
    return [each._replace(at=at + each.at) for each in dict.fromkeys(problems)]


def _how_often(repeat: Any) -> Problem:
    return Problem("repeat", f'nobody knows how often {repeat!r} is; it can be true, "week", "once" or a number')


def _is_often(repeat: Any) -> bool:
    """Whether `repeat` says how often."""
    if type(repeat) is int:
        return repeat > 0
    return repeat is None or type(repeat) is bool or repeat in ("session", "once", "week")


# -- whether a rule applies ------------------------------------------------------------------------------------------


def _applies(
    rule: Values,
    names: Sequence[str],
    template: Values,
    past: Sequence[tuple[date | None, Values]],
    today: date,
    problems: list[Problem],
) -> bool:
    required = _required(rule.get("requires"), template, problems)
    if not past or required is None or not _met(past[0][1], required):
        return False
    repeat = rule.get("repeat")
    if repeat is None or repeat is True or repeat == "session":
        return True
    if repeat is False or repeat == "once":
        return all(past[0][1].get(name) == template.get(name) for name in names)
    if repeat == "week":
        last = past[0][0]
        return last is None or last.isocalendar()[:2] != today.isocalendar()[:2]
    if type(repeat) is int and repeat > 0:
        run = past[:repeat]
        same = all(each.get(name) == run[0][1].get(name) for _, each in run for name in names)
        return len(run) == repeat and same and all(_met(each, required) for _, each in run)
    problems.append(_how_often(repeat))
    return False


def _required(requires: Any, template: Values, problems: list[Problem]) -> list[str] | None:
    """What has to be reached; None where that cannot be read."""
    if isinstance(requires, Mapping):
        requires = requires.get("rules")
    if requires is None:
        has_reps = template.get("target_reps_min") is not None or template.get("target_reps_max") is not None
        return ["reps"] if has_reps else []
    if isinstance(requires, str):
        requires = [requires]
    if isinstance(requires, list) and all(isinstance(each, str) and each in _REQUIRED for each in requires):
        return list(requires)
    reached = ", ".join(_REQUIRED)
    problems.append(Problem("requires", f"nobody knows how {requires!r} is reached; it can be a list of {reached}"))
    return None


def _met(done: Values, required: Sequence[str]) -> bool:
    """Whether a set was done and reached its own targets."""
    return bool(done.get("completed_at")) and all(_reached(done, each) for each in required)


def _reached(done: Values, name: str) -> bool:
    if name == "reps":
        target = done.get("target_reps_max")
        target = done.get("target_reps_min") if target is None else target
        return target is None or (done.get("reps") is not None and done["reps"] >= target)
    target, value = done.get(f"target_{name}"), done.get(name)
    if target is None:
        return True
    if value is None:
        return False
    here, there = _amount(value), _amount(target)
    return here <= there if _REACHED[name] else here >= there


def _amount(value: Any) -> Decimal:
    """A number, a mass in kilograms or a length in metres, exactly."""
    if isinstance(value, Mapping):
        return Decimal(str(value["value"])) * _FACTORS[value["unit"]]
    return Decimal(str(value))


# -- what a rule does ------------------------------------------------------------------------------------------------


def _moved(rule: Values, name: str, value: Any, problems: list[Problem]) -> Any:
    """A target after a rule; as it is where the rule cannot be read."""
    if (problem := _unmoving(rule)) is not None:
        problems.append(problem)
        return value
    op, ceiling = _OPS[str(rule["op"])], rule.get("ceiling")
    unit = value["unit"] if isinstance(value, Mapping) else None
    standing = Decimal(str(value["value"] if isinstance(value, Mapping) else value))
    by = Decimal(str(rule["step"]))
    given = rule.get("unit")
    # A factor has no unit, and what bounds it has.
    factor = Decimal(1)
    if unit is not None and given not in (None, unit, *_SHARES) and (op != "*" or ceiling is not None):
        if not _convertible(given, unit):
            problems.append(Problem("unit", f"{given} is no unit of {name.removeprefix('target_')}"))
            return value
        factor = _FACTORS[given] / _FACTORS[unit]
    if given in _SHARES:
        by = standing * by / 100
    elif op != "*":
        by = by * factor
    made = {"+": standing + by, "-": standing - by, "*": standing * by, "=": by}[op]
    if ceiling is not None:
        bound = Decimal(str(ceiling)) * factor
        # What stands beyond the bound already was put there by a person, and stays.
        made = max(made, min(bound, standing)) if made < standing else min(made, max(bound, standing))
    number = _number(
        max(made, Decimal(0)), halves=name in ("target_rpe", "target_rir") or name.startswith("target_reps")
    )
    return {"value": number, "unit": unit} if unit is not None else number


def _unmoving(rule: Values) -> Problem | None:
    """Why a rule moves nothing, whatever stands there."""
    if str(rule.get("op")) not in _OPS:
        return Problem("op", f"nobody knows what {rule.get('op')!r} does; it can be +, -, * or =")
    if rule.get("step") is None:
        return Problem("step", f"nobody knows by how much; {rule.get('op')} needs a step")
    return None


def _convertible(here: Any, there: str) -> bool:
    return (here in KG_PER_MASS_UNIT and there in KG_PER_MASS_UNIT) or (
        here in M_PER_LENGTH_UNIT and there in M_PER_LENGTH_UNIT
    )


def _number(amount: Decimal, *, halves: bool) -> int | float:
    rounded = (amount * 2).quantize(Decimal(1)) / 2 if halves else amount.quantize(_STEP)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)
