"""The command line's argument that names an exercise, completed with Tab.

Owns: the completion. What a name means is exercises.py's.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import click
from click.shell_completion import CompletionItem

from api.command_line.device.exercises import Exercises, read_exercises, shipped_exercises
from api.command_line.device.place import SERVER, device_file
from fitai_client import Client

COMPLETIONS_MAX = 60


class ExerciseName(click.ParamType[str]):
    """A name; completed from what this device knows. Whether it names anything is for the command to find out."""

    name = "exercise"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        typed = incomplete.strip("'\"").casefold()
        try:
            exercises = asyncio.run(_read(ctx.params.get("device"), ctx.params.get("profile")))
        except Exception:  # noqa: BLE001 - Tab must never fail, whatever the file is.
            return []
        found = [each.name for each in exercises.all if typed in each.name.casefold()]
        ranked = sorted(set(found), key=lambda name: (not name.casefold().startswith(typed), name))
        return [CompletionItem(name) for name in ranked[:COMPLETIONS_MAX]]


EXERCISE = ExerciseName()


async def _read(device: Any, profile: Any) -> Exercises:
    path = device_file(os.environ, device, profile)
    if not path.exists():
        return Exercises((), shipped_exercises(), {})
    async with await Client.open(path, server=SERVER, background=False) as client:
        return await read_exercises(client)
