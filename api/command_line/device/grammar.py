"""How a set is typed: `100kgx5`, `102.5kgx3@8.5`, `w:60kgx8`, `x12`, `+10kgx5`, `-20kgx8`, `60s`, `5km/25:30`.

    set   = [kind ":"] part { ("x" | "/") part } ["@" RPE]
    part  = weight | duration | distance | reps, and after the reps how many such sets: 100kgx5x3

Owns: the grammar and its sentences. Refuses to know: exercises, and how a set is kept.

Invariants
    G1  Nothing is guessed: a weight has its unit, a number that could mean two things is refused with both spellings.
    G2  What parses is within the limits that the server keeps, so that it is not refused a week later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

KINDS: Final = {
    "w": "warmup",
    "d": "drop",
    "f": "failure",
    "m": "myo",
    **{
        name: name
        for name in (
            "warmup", "drop", "failure", "myo", "partial", "forced", "negative", "tut", "isometric", "jump",
            "back_off", "rest_pause", "normal",
        )
    },
}  # fmt: skip

EXAMPLES: Final = "100kgx5, 102.5kgx3@8.5, x12, +10kgx5, -20kgx8, 60s, 5km/25:30 or w:60kgx8"

# As the server keeps them (storage/collections.py).
_REPS_MAX, _KG_MAX, _SECONDS_MAX, _SETS_MAX = 10_000, 2_000, 604_800, 100
_KG_A_POUND: Final = Decimal("0.45359237")

_NUMBER = r"\d{1,7}(?:[.,]\d{1,4})?"
_MASS: Final = re.compile(rf"([+-]?)({_NUMBER})(kg|kgs|lb|lbs)")
_DISTANCE: Final = re.compile(rf"({_NUMBER})(km|mi|m|yd|ft)")
_CLOCK: Final = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d\d)")
_SPAN: Final = re.compile(rf"(?:({_NUMBER})h)?(?:({_NUMBER})min)?(?:({_NUMBER})s(?:ec)?)?")
_PLAIN: Final = re.compile(_NUMBER)
# As many apps and programs write it: [sets x] reps x weight.
_REPS_FIRST: Final = re.compile(rf"(\d{{1,3}}x)?(\d{{1,4}})x([+-]?{_NUMBER}(?:kg|lb)s?)(@.*)?")
_MEANT: Final = re.compile(
    rf"[a-z_]+:[+-]?\d|[+-]?{_NUMBER}(?:(?:kg|lb)s?|s|min|h|k?m|mi|yd|ft)?[x@]|[+-]?{_NUMBER}(?:kg|lb)|x\d"
)
_KIND: Final = re.compile(r"([^\W\d]+):")


class BadSet(ValueError):
    """What was typed is no set; the sentence says what to type instead."""


@dataclass(frozen=True, slots=True)
class TypedSet:
    """One set as it was typed. `sign` is "+" for weight added to the body's, "-" for assistance, else empty."""

    kind: str = "normal"
    sign: str = ""
    weight: tuple[Decimal, str] | None = None
    reps: Decimal | None = None
    duration_s: Decimal | None = None
    distance: tuple[Decimal, str] | None = None
    rpe: Decimal | None = None
    # Whether its kind was typed, or is that of a set of which nobody said one.
    kind_said: bool = field(default=False, compare=False)

    @property
    def measure(self) -> str:
        """What of an exercise is logged, where this is its first set."""
        if self.distance is not None:
            return "weight_distance" if self.weight else "distance_duration"
        if self.reps is None:
            return "weight_duration" if self.weight else "duration"
        return "assisted_reps" if self.sign == "-" else "weight_reps" if self.weight else "bodyweight_reps"

    def fields(self, load_mode: str) -> dict[str, Any]:
        """The fields of the record, for an exercise whose weights count as `load_mode`.

        An unsigned weight counts as the exercise does: "Dip 20kgx8" is 20 kg added to the body.
        """
        mode = {"+": "bodyweight_plus", "-": "assisted"}.get(self.sign)
        if mode is None:
            if self.reps is None and self.weight is None:
                mode = "none"
            elif load_mode == "none":
                mode = "external" if self.weight else "bodyweight_plus"
            else:
                mode = load_mode
        fields: dict[str, Any] = {"kind": self.kind, "load_mode": mode}
        if self.kind == "failure":
            fields["to_failure"] = True
        if self.weight is not None:
            fields["weight"] = {"value": number(self.weight[0]), "unit": self.weight[1]}
        if self.distance is not None:
            fields["distance"] = {"value": number(self.distance[0]), "unit": self.distance[1]}
        for name in ("reps", "duration_s", "rpe"):
            if (value := getattr(self, name)) is not None:
                fields[name] = number(value)
        return fields


def number(value: Decimal) -> int | float:
    """As JSON has it."""
    return int(value) if value == value.to_integral_value() else float(value)


def parse(text: str) -> list[TypedSet]:
    """The sets that one word of the command line stands for: one, or several where it ends in their number.

    Raises:
        BadSet: it is none.
    """
    rest = text.strip().lower().replace("×", "x").replace("−", "-")
    if (whole := together([text])) is not None:
        raise BadSet(f"{text!r}: write it together, {whole}.")
    if (turned := _weight_first(rest)) is not None:
        raise BadSet(f"{text!r}: the weight comes first, {turned}.")
    made = TypedSet()
    if found := _KIND.match(rest):
        kind, after = found[1], rest[found.end() :]
        if kind not in KINDS:
            raise BadSet(f"{text!r}: {kind!r} is no kind of set; w: is a warm-up, d: a drop set, f: a set to failure.")
        made, rest = replace(made, kind=KINDS[kind], kind_said=True), after
    rest, at, rpe = rest.partition("@")
    if at:
        made = replace(made, rpe=_rpe(text, rpe))
    times = 1
    parts = re.split(r"[x/]", rest)
    if len(parts) == 1 and _PLAIN.fullmatch(rest):
        raise BadSet(f"{text!r} could be reps or a weight: say x{rest}, or {rest}kgx5.")
    for place, part in enumerate(parts):
        if part == "" and place == 0 and len(parts) > 1:
            continue
        if _PLAIN.fullmatch(part):
            if place == 0:
                raise BadSet(
                    f"{text!r}: say the unit, {part}kgx{parts[1]}; or x{parts[1]}x{part} for {part} sets of {parts[1]}."
                )
            if made.reps is None:
                made = replace(made, reps=_reps(text, part))
                continue
            if times == 1 and place == len(parts) - 1 and part.isdigit() and 1 <= int(part) <= _SETS_MAX:
                times = int(part)
                continue
        made = _add(text, part, made)
    if made.weight is not None and made.reps is None and made.duration_s is None and made.distance is None:
        raise BadSet(f"{text!r} says no reps: 100kgx5 is 5 reps with 100 kg.")
    return [made] * times


def together(typed: Sequence[str]) -> str | None:
    """The set that these words are without the spaces, as it is written; None where there are none, or it is no set."""
    apart = " ".join(typed).split()
    if len(apart) < 2:
        return None
    whole = "".join(apart)
    whole = _weight_first(whole.lower()) or whole
    try:
        return whole if parse(whole) else None
    except BadSet:
        return None


def _weight_first(text: str) -> str | None:
    """`5x60kg` turned round."""
    if (turned := _REPS_FIRST.fullmatch(text)) is None:
        return None
    sets, reps, weight, rpe = turned.groups()
    again = f"x{sets.removesuffix('x')}" if sets else ""
    return f"{weight}x{reps}{again}{rpe or ''}"


def looks_typed(word: str) -> bool:
    """Whether a word is meant as a set, right or wrong, and not as a part of a name."""
    return _MEANT.match(word.strip().lower().replace("×", "x").replace("−", "-")) is not None


def is_set(word: str) -> bool:
    """Whether a word is a set as it is written."""
    try:
        return bool(parse(word))
    except BadSet:
        return False


def parse_seconds(text: str) -> Decimal | None:
    """`90`, `90s`, `2min`, `1:30` or `1h5min` in seconds; None for what is none of these."""
    text = text.strip().lower()
    return _decimal(text) if _PLAIN.fullmatch(text) else _duration(text)


def _add(text: str, part: str, made: TypedSet) -> TypedSet:
    """`made` with one more part that carries its unit."""
    if found := _MASS.fullmatch(part):
        weight, unit = _decimal(found[2]), found[3].rstrip("s")
        if weight * (1 if unit == "kg" else _KG_A_POUND) > _KG_MAX:
            raise BadSet(f"{text!r}: a weight is at most 2,000 kg.")
        _once(text, made.weight, "weight")
        return replace(made, weight=(weight, unit), sign=found[1])
    if found := _DISTANCE.fullmatch(part):
        _once(text, made.distance, "distance")
        return replace(made, distance=(_decimal(found[1]), found[2]))
    seconds = _duration(part)
    if seconds is None:
        raise BadSet(f"{text!r} is no set; sets are typed like {EXAMPLES}.")
    if seconds > _SECONDS_MAX:
        raise BadSet(f"{text!r}: a set lasts at most a week.")
    _once(text, made.duration_s, "duration")
    return replace(made, duration_s=seconds)


def _once(text: str, value: object, name: str) -> None:
    if value is not None:
        raise BadSet(f"{text!r} has more than one {name}.")


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def _duration(part: str) -> Decimal | None:
    if found := _CLOCK.fullmatch(part):
        return Decimal(int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3]))
    found = _SPAN.fullmatch(part)
    if found is None or not part:
        return None
    hours, minutes, seconds = (_decimal(each) if each else Decimal(0) for each in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def _reps(text: str, part: str) -> Decimal:
    reps = _decimal(part)
    if not reps:
        raise BadSet(f"{text!r} has no reps: log what was done, half a rep as 0.5.")
    if reps > _REPS_MAX or reps * 2 % 1:
        raise BadSet(f"{text!r}: reps are at most 10,000, in whole or half ones.")
    return reps


def _rpe(text: str, part: str) -> Decimal:
    if not _PLAIN.fullmatch(part) or (rpe := _decimal(part)) > 10 or rpe * 2 % 1:
        raise BadSet(f"{text!r}: the RPE after @ is 0 to 10, in whole or half ones.")
    return rpe
