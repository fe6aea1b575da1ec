"""The command line's argument that names an exercise, completed with Tab.

Owns: the completion. What a name means is exercises.py's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from api.command_line.device.exercises import Exercises, read_exercises, shipped_exercises
from api.command_line.device.place import SERVER, device_file
from fitai_client import Client

COMPLETIONS_MAX = 60
# A shell puts what is offered on its command line as it is, and an import brings names that others made up: what a
# shell could take for anything but letters is not offered. (It can still be typed, in quotes.)
_PLAIN = frozenset(" -_.,/+:%")


class ExerciseName(click.ParamType[str]):
    """A name; completed from what this device knows. Whether it names anything is for the command to find out."""

    name = "exercise"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before = [str(word) for word in ctx.params.get(param.name or "") or ()]
        if any(char.isdigit() for word in before for char in word):
            return []
        try:
            names = {each.name for each in asyncio.run(_read(ctx.params.get("device"), ctx.params.get("profile"))).all}
        except Exception:  # noqa: BLE001 - Tab must never fail, whatever the file is.
            return []
        return [CompletionItem(name) for name in completions(names, before, incomplete)[:COMPLETIONS_MAX]]


def completions(names: Iterable[str], before: Sequence[str], incomplete: str) -> list[str]:
    """What Tab may put in the place of the last word, where a name is typed without quotes: the rest of the name."""
    typed = " ".join([*before, incomplete.strip("'\"")]).casefold()
    begun = len(" ".join([*before, ""]))
    plain = [name for name in names if all(char.isalnum() or char in _PLAIN for char in name)]
    fitting = [name for name in plain if name.casefold().startswith(typed) or (not before and typed in name.casefold())]
    return [name[begun:] for name in sorted(fitting, key=lambda name: (not name.casefold().startswith(typed), name))]


EXERCISE = ExerciseName()


async def _read(device: Any, profile: Any) -> Exercises:
    path = device_file(os.environ, device, profile)
    if not path.exists():
        return Exercises((), shipped_exercises(), {})
    async with await Client.open(path, server=SERVER, background=False) as client:
        return await read_exercises(client)
