"""The words of `fitai log`: which of them are the name and which the sets, and the right way where one is typed wrong.

Owns: the line as a whole. One set is grammar.py's, what a name means is exercises.py's.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import click

from api.command_line.device.exercises import Exercise
from api.command_line.device.grammar import BadSet, TypedSet, is_set, looks_typed, parse, together
from api.command_line.device.outcome import Usage


def split_words(words: Sequence[str]) -> tuple[str | None, list[TypedSet]]:
    """The exercise's name, None where the first word is a set already, and the sets.

    The first word is a name unless it is a set; those behind it belong to the name while there is no digit in them.

    Raises:
        Usage: what should be a set is none; the sentence says how it is typed.
    """
    name: list[str] = []
    for place, word in enumerate(words):
        if _has_digit(word) and (name or looks_typed(word) or is_set(word)):
            break
        if not name and word.isdigit() and all(map(_has_digit, words[place:])):
            # A number alone names nothing.
            break
        name.append(word)
    sets = words[len(name) :]
    _refuse_spaces(words if name and _has_digit(name[0]) else sets)
    try:
        typed = [one for word in sets for one in parse(word)]
    except BadSet as error:
        raise Usage(str(error), code="bad_set") from None
    if not typed:
        raise Usage(f'Say what was done: fitai log "{" ".join(name)}" 100kgx5', code="bad_set")
    return " ".join(name) or None, typed


def _refuse_spaces(words: Sequence[str]) -> None:
    """Refuse `200 kg x 10`, saying how it is written."""
    for first in range(len(words)):
        if is_set(words[first]):
            continue
        for last in range(first + 2, min(first + 5, len(words)) + 1):
            others = words[first + 1 : last]
            if any(is_set(each) and not each.startswith("x") for each in others):
                break
            if (whole := together(words[first:last])) is not None:
                apart = " ".join(words[first:last])
                raise Usage(f"{apart!r}: write it together, {whole}.", code="bad_set")
        return


def refuse_unknown_flags(words: Sequence[str]) -> None:
    """Refuse flags among the words: a set may begin with a dash, so click lets every word with one through."""
    for word in words:
        if word.startswith("-") and not _has_digit(word.partition("=")[0]):
            flag = word.partition("=")[0]
            known = [each for option in click.get_current_context().command.params for each in option.opts]
            if flag in known:
                raise Usage(f"{flag} stands behind --, where only sets do: put it in front.")
            close = difflib.get_close_matches(flag, [each for each in known if each.startswith("--")], 1)
            raise Usage(f"There is no option {flag}" + (f": did you mean {close[0]}?" if close else "."))


def refuse_metres(exercise: Exercise, typed: Sequence[TypedSet]) -> None:
    """`1m` of what is held is probably a minute (G1 of grammar.py)."""
    if str(exercise.values.get("measure")) not in ("duration", "weight_duration"):
        return
    for one in typed:
        if one.distance is not None and one.duration_s is None:
            length = "".join(str(part) for part in one.distance)
            minutes = f", and m is for metres: {one.distance[0]}min is a time" if one.distance[1] == "m" else ""
            raise Usage(f"{length}: {exercise.name} is held for a time{minutes}.", code="bad_set")


def _has_digit(word: str) -> bool:
    return any(char.isdigit() for char in word)


def mass_typed(text: str) -> dict[str, Any]:
    """The mass that --bodyweight says. Raises Usage where it is none."""
    try:
        (one,) = parse(f"{text}x1")
    except (BadSet, ValueError):
        raise Usage(f"--bodyweight {text}: a weight like 80kg or 176lb.") from None
    found = one.fields("external").get("weight")
    if not isinstance(found, dict):
        raise Usage(f"--bodyweight {text}: a weight like 80kg or 176lb.")
    return found
