"""Workouts as they look: a heading, then a line of sets for each exercise.

Owns: the arrangement and the colours of workouts, on screen and as JSON. Short texts are wording.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api.command_line.device.screen import NARROW, Flow, Hanging, Signs, clean, line
from api.command_line.device.training import Block, Training, Workout
from api.command_line.device.wording import (
    at_words,
    counted,
    effort_words,
    is_done,
    label_words,
    load_words,
    record_value,
    record_words,
    reps_words,
    set_words,
    span,
    volume_words,
)
from fitai_client import Record


def heading(workout: Workout, training: Training, signs: Signs) -> Text:
    """The title, and the workout in figures."""
    done = [one for one in workout.sets if is_done(one.values)]
    facts = []
    seconds = duration_s(workout)
    if workout.started:
        zone = workout.record.get("timezone")
        ended = f"{signs.to}{at_words(workout.ended, zone)}" if workout.ended and seconds and seconds >= 60 else ""
        facts.append(at_words(workout.started, zone) + ended)
    if seconds and seconds >= 60:
        facts.append(span(seconds))
    facts.append(counted(len(done), "set"))
    if volume := training.volume(workout):
        facts.append(volume_words(volume, training.units))
    made = line((workout.title, "title"))
    if workout.status in ("active", "paused"):
        made.append(f"  {workout.status}", "live")
    made.append("  " + f" {signs.dot} ".join(facts), "quiet")
    broken = sum(1 for one in workout.sets if training.ledger.marks.get(one.id))
    if broken:
        made.append(f"  {signs.record} {counted(broken, 'record')}", "record")
    return made


def duration_s(workout: Workout, now: datetime | None = None) -> float | None:
    """How long it took, or takes until now."""
    if workout.started is None:
        return None
    until = workout.ended
    if until is None and workout.status in ("active", "paused"):
        until = now or datetime.now(UTC)
    return max((until - workout.started).total_seconds(), 0) if until else None


def body(workout: Workout, training: Training, signs: Signs, width: int) -> RenderableType:
    """One row an exercise: its name, its sets, on a narrow screen below it.

    Those of a superset are joined by a letter in front.
    """
    letters: dict[str, str] = {}
    rows: list[tuple[Text, list[Text], str]] = []
    for block in workout.blocks:
        group = block.record.get("superset")
        letter = letters.setdefault(group, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[len(letters) % 26]) if group else ""
        name = line("  ", (f"{letter} ", "quiet") if letter else "", training.exercises.name(block.exercise))
        name.stylize("name", 2)
        rows.append((name, pieces(block.sets, training.ledger.marks, signs), block.record.text("notes").strip()))
    if width < NARROW:
        return Group(*(each for row in rows for each in _below(*row)))
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(max_width=max(16, min(34, width // 3)))
    table.add_column(ratio=1 if width < 10_000 else None)
    for name, sets, notes in rows:
        table.add_row(Hanging(name), Flow(sets))
        if notes:
            table.add_row("", line((notes, "quiet")))
    return table


def _below(name: Text, sets: list[Text], notes: str) -> list[RenderableType]:
    shown: list[RenderableType] = [Hanging(name), Flow(sets, indent=4)]
    return [*shown, Hanging(line(("    " + notes, "quiet")), 0)] if notes else shown


def pieces(sets: Sequence[Record], marks: Mapping[str, Sequence[str]], signs: Signs) -> list[Text]:
    """The sets of one exercise; neighbours with the same weight share it: "100 kg × 5, 5, 4"."""
    made: list[Text] = []
    before: tuple[Any, ...] | None = None
    for one in sets:
        values, kind = one.values, one.get("kind")
        load, effort, label = load_words(values, signs), effort_words(values, signs), label_words(values)
        reps = reps_words(values, signs)
        key = (load, label)
        style = "warmup" if kind == "warmup" or not is_done(values) else ""
        text = Text()
        if key == before and reps and not one.get("notes"):
            made[-1].append(", ", style or "quiet")
            text = made[-1]
        else:
            made.append(text)
            parts = [(label, "quiet"), (load, style), (signs.times if effort and (load or reps) else "", "quiet")]
            given = [each for each in parts if each[0]]
            for place, (words, its) in enumerate(given):
                text.append(words + (" " if effort or place < len(given) - 1 else ""), its)
        text.append(effort, style)
        if kind == "failure":
            text.append(" F", "quiet")
        if marks.get(one.id):
            text.append(f" {signs.record}", "record")
        if one.conflicts:
            text.append(" !", "warn")
        if note := clean(str(one.get("notes") or "")):
            text.append(f" ({note})", "quiet")
        before = key
    return made


def broken_records(workout: Workout, training: Training, signs: Signs) -> list[Text]:
    """A line for each record that this workout broke."""
    lines = []
    for block in workout.blocks:
        for one in block.sets:
            kinds = training.ledger.marks.get(one.id)
            if kinds:
                bests = training.ledger.of(block.exercise)
                won = ", ".join(
                    f"{record_words(kind, one.values)} {record_value(kind, bests[kind].value, training.units)}"
                    for kind in kinds
                    if bests[kind].set == one.id
                )
                name = training.exercises.name(block.exercise)
                said = line(("  " + signs.record + " ", "record"), (name, "name"), "  ", set_words(one.values, signs))
                lines.append(said.append(f"  {won}" if won else "", "quiet"))
    return lines


# -- JSON --------------------------------------------------------------------------------------------------------


def workout_json(workout: Workout, training: Training, *, whole: bool = True) -> dict[str, Any]:
    """A workout for a program; `whole` with its exercises and sets."""
    made: dict[str, Any] = {
        "id": workout.id,
        "title": workout.record.get("title"),
        "status": workout.status,
        "local_date": workout.day.isoformat() if workout.day else None,
        "started_at": workout.record.get("started_at"),
        "ended_at": workout.record.get("ended_at"),
        "duration_s": duration_s(workout),
        "sets": sum(1 for one in workout.sets if one.get("completed_at")),
        "volume_kg": float(training.volume(workout)),
        "records": sum(1 for one in workout.sets if training.ledger.marks.get(one.id)),
    }
    if whole:
        made["rest_timer"] = workout.record.get("rest_timer")
        made["exercises"] = [_block_json(block, training) for block in workout.blocks]
    return made


def _block_json(block: Block, training: Training) -> dict[str, Any]:
    return {
        "id": block.record.id,
        "exercise": block.exercise,
        "name": training.exercises.name(block.exercise),
        "superset": block.record.get("superset"),
        "notes": block.record.text("notes"),
        "sets": [set_json(one, training) for one in block.sets],
    }


def set_json(one: Record, training: Training) -> dict[str, Any]:
    """A set for a program: its fields by their names in the data model."""
    names = ("kind", "load_mode", "weight", "reps", "duration_s", "distance", "rpe", "notes", "completed_at")
    return {
        "id": one.id,
        **{name: one.get(name) for name in names},
        "records": list(training.ledger.marks.get(one.id, ())),
        "conflicts": sorted(one.conflicts),
    }
