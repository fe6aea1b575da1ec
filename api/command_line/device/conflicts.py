"""`fitai conflicts`: fields that two devices wrote without knowing of each other, and what to do about them.

Owns: naming a conflict. A name is made from the record and the field, so it stays the same while others are settled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from api.command_line.device import asking, clockwork
from api.command_line.device.given import given_value
from api.command_line.device.outcome import Refused, Usage
from api.command_line.device.running import JsonCommand, JsonGroup, Result, on_device
from api.command_line.device.terminal import Terminal, whole
from api.command_line.device.training import Training, moment, read_training
from api.command_line.device.wording import day_words, plain_number, set_words
from fitai_client import KnownDevice, Record

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True, slots=True)
class Contested:
    """One field of one record. choices: what it shows, then what lost, each with who wrote it and when."""

    name: str
    record: Record
    field: str

    @property
    def choices(self) -> list[tuple[Any, str | None, str | None]]:
        shown = (self.record.get(self.field), self.record.updated_by, None)
        return [shown, *((one.value, one.device, one.at) for one in self.record.conflicts[self.field])]


@click.group(
    cls=JsonGroup,
    invoke_without_command=True,
    epilog="""\b
Examples:
  fitai conflicts                         what is contested, with every value
  fitai conflicts resolve 7f3a --keep 2   the second value listed
  fitai conflicts resolve 7f3a --value 8  another one
""",
)
@on_device(sync="before")
async def conflicts(terminal: Terminal) -> Result:
    """See and settle what two devices wrote at once. Nothing that lost is lost until you decide."""
    found = await _read(terminal)
    training = await read_training(terminal.client)
    screen = terminal.screen
    if not found:
        screen.say((f"{screen.signs.done} ", "good"), "There is no conflict.")
    devices = {one.id: one for one in await terminal.client.devices()}
    for one in found:
        screen.say((one.name, "live"), "  ", _where(one.record, training, terminal), ("  " + one.field, "title"))
        for number, (value, device, at) in enumerate(one.choices, 1):
            told, when = device_words(device, devices), moment(at)
            told += f", {when.astimezone():%d %b %H:%M}" if when else ""
            shown = "shown" if number == 1 else "lost"
            screen.say((f"  {number}  ", "quiet"), value_words(value), (f"   {shown}  {told}", "quiet"))
    if found:
        screen.say(("Settle one with `fitai conflicts resolve NAME --keep NUMBER`.", "quiet"))
    return {"conflicts": [_json(one, devices) for one in found]}


@conflicts.command(
    cls=JsonCommand,
    short_help="Decide a conflict, on every device.",
    epilog="""\b
Examples:
  fitai conflicts resolve 7f3a            asks which value
  fitai conflicts resolve 7f3a --keep 1   what is shown now is right
  fitai conflicts resolve 7f3a --value 102.5kg
""",
)
@click.argument("name")
@click.option("--keep", type=click.IntRange(1), help="The number of a value in the list.")
@click.option("--value", help="Another value: a number, 102.5kg, a text, or JSON.")
@on_device()
async def resolve(terminal: Terminal, name: str, keep: int | None, value: str | None) -> Result:
    """Decide a conflict: one value replaces all the others, on every device."""
    found = [one for one in await _read(terminal) if one.name.startswith(name.lower())]
    if len(found) != 1:
        told = f"{len(found)} conflicts go" if found else "No conflict goes"
        raise Refused(f"{told} by {name!r}: see `fitai conflicts`.", code="not_found")
    (one,) = found
    choices = one.choices
    if keep is None and value is None:
        if not terminal.can_ask:
            raise Usage("Say --keep NUMBER or --value VALUE.")
        for number, (each, _, _) in enumerate(choices, 1):
            terminal.screen.say((f"  {number}  ", "quiet"), value_words(each))
        keep = asking.number("Which is right", most=len(choices), default=1)
    if value is not None:
        decided = given_value(value, next((each for each, _, _ in choices if each is not None), None))
    elif keep is not None and keep <= len(choices):
        decided = choices[keep - 1][0]
    else:
        raise Usage(f"There are {len(choices)} values, not {keep}.")

    async def settle() -> None:
        after = await terminal.client.resolve(one.record, one.field, _writable(decided))
        shown, shows = choices[0][0], after.get(one.field) if after is not None else None
        # Undone, the field shows what it showed; that it was contested does not come back.
        words = f"decision that {one.field} is {value_words(decided)}"
        changed = [[one.record.collection, one.record.id, {one.field: _writable(shown)}, {one.field: shows}]]
        terminal.remember(words, created=[], changed=changed, settled=True)

    await whole(settle(), f"Stopped, after it was settled: {one.field} is {value_words(decided)}.")
    await terminal.send()
    terminal.screen.say((f"{terminal.screen.signs.done} ", "good"), f"{one.field} is {value_words(decided)}.")
    return {"resolved": one.name, "field": one.field, "value": decided}


async def _read(terminal: Terminal) -> list[Contested]:
    found = [
        Contested(_name(record, field), record, field)
        for record in await terminal.client.conflicts()
        for field in record.conflicts
    ]
    return sorted(found, key=lambda one: (one.record.collection, one.record.id, one.field))


def _name(record: Record, field: str) -> str:
    return hashlib.sha256(f"{record.collection}/{record.id}/{field}".encode()).hexdigest()[:6]


def _writable(value: Any) -> Any:
    """A text field is written as its text."""
    return value["text"] if isinstance(value, dict) and "yjs" in value else value


def _where(record: Record, training: Training, terminal: Terminal) -> str:
    """Which record it is, in words."""
    today = clockwork.today(clockwork.zone_name())
    for workout in training.workouts:
        if workout.id == record.id:
            return f"{workout.title}, {day_words(workout.day, today)}"
        for block in workout.blocks:
            name = training.exercises.name(block.exercise)
            if block.record.id == record.id:
                return f"{name}, {day_words(workout.day, today)}"
            for number, one in enumerate(block.sets, 1):
                if one.id == record.id:
                    said = set_words(one.values, terminal.screen.signs)
                    return f"{name}, set {number} ({said}), {day_words(workout.day, today)}"
    return f"{record.get('name') or record.get('title') or record.id[:8]} ({record.collection})"


def value_words(value: Any) -> str:
    """A field's value in words."""
    if value is None:
        return "nothing"
    if isinstance(value, dict) and "unit" in value and "value" in value:
        return f"{plain_number(value['value'])} {value['unit']}"
    if isinstance(value, dict) and "text" in value:
        return str(value["text"])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain_number(value)
    if isinstance(value, str):
        at = moment(value) if _TIME.fullmatch(value) else None
        return f"{at.astimezone():%d %b %Y %H:%M:%S}" if at else value
    return json.dumps(value, ensure_ascii=False)


def device_words(id: str | None, devices: Mapping[str, KnownDevice]) -> str:
    """Who wrote it, in words; empty where that is not known yet, of what has not been sent."""
    if id is None:
        return ""
    found = devices.get(id)
    if found is None or not (found.name or found.own):
        return "another device"
    if found.own:
        return "this device"
    alike = any(one.own and one.name == found.name for one in devices.values())
    return f"another {found.name}" if alike else found.name


def _json(one: Contested, devices: Mapping[str, KnownDevice]) -> dict[str, Any]:
    names: dict[str | None, str] = {id: each.name for id, each in devices.items() if each.name}
    return {
        "name": one.name,
        "collection": one.record.collection,
        "id": one.record.id,
        "field": one.field,
        "values": [
            {"value": value, "device": device, "device_name": names.get(device), "at": at}
            for value, device, at in one.choices
        ],
    }
