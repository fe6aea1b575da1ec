"""`fitai inbox`: the changes that the server refused, with its reasons, until somebody mends or drops them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from api.command_line.device import asking
from api.command_line.device.conflicts import value_words
from api.command_line.device.given import given_value
from api.command_line.device.outcome import Refused, Usage
from api.command_line.device.running import JsonCommand, JsonGroup, Result, on_device
from api.command_line.device.terminal import Terminal
from fitai_client import Refused as RefusedChange


@click.group(
    cls=JsonGroup,
    invoke_without_command=True,
    epilog="""\b
Examples:
  fitai inbox                     what was refused, and why
  fitai inbox resend 3 reps=12    mended
  fitai inbox discard 3           given up
""",
)
@on_device(sync="before")
async def inbox(terminal: Terminal) -> Result:
    """See and mend what the server refused. It is kept here until you decide."""
    found = await terminal.client.inbox()
    screen = terminal.screen
    if not found:
        screen.say((f"{screen.signs.done} ", "good"), "Nothing was refused.")
    for one in found:
        at = datetime.fromtimestamp(one.at_ms / 1000, UTC).astimezone()
        screen.say(
            (f"{one.no}  ", "live"), (f"{one.op} of {one.collection}", "title"), (f"  {at:%d %b %H:%M}", "quiet")
        )
        screen.say("   ", (f"{one.message.rstrip('.')}. ", "warn"), (one.code, "quiet"))
        for name, value in one.fields.items():
            screen.say((f"   {name}  ", "bad" if name == one.field else "quiet"), value_words(value))
    if found:
        screen.say(("`fitai inbox resend NO [field=value]` sends it again, `discard NO` drops it.", "quiet"))
    return {"inbox": [asdict(one) for one in found]}


@inbox.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai inbox resend 3                  as it was
  fitai inbox resend 3 reps=12          with another value
  fitai inbox resend 3 weight=100kg
""",
)
@click.argument("no", type=click.IntRange(1))
@click.argument("fields", nargs=-1)
@on_device()
async def resend(terminal: Terminal, no: int, fields: tuple[str, ...]) -> Result:
    """Write a refused change anew, mended where fields are given."""
    entry = await _entry(terminal, no)
    mended = dict(_field(text, entry.fields) for text in fields)
    await terminal.client.resend(no, **({**entry.fields, **mended} if mended else {}))
    await terminal.finish_sending()
    again = len(await terminal.client.inbox())
    terminal.screen.say(f"Entry {no} was written again." + (" The inbox is empty." if not again else ""))
    return {"resent": no, "left": again}


@inbox.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai inbox discard 3
  fitai inbox discard 3 --yes
""",
)
@click.argument("no", type=click.IntRange(1))
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@on_device()
async def discard(terminal: Terminal, no: int, yes: bool) -> Result:
    """Drop a refused change for good."""
    entry = await _entry(terminal, no)
    if not yes:
        if not terminal.can_ask:
            raise Refused("Nothing was dropped: add --yes, since there is nobody to ask.", code="not_confirmed")
        if not asking.confirm(f"Drop this {entry.op} of {entry.collection} for good?", default=False):
            raise Refused("Nothing was dropped.", code="not_confirmed")
    await terminal.client.discard(no)
    terminal.screen.say(f"Entry {no} is dropped.")
    return {"discarded": no, "left": len(await terminal.client.inbox())}


async def _entry(terminal: Terminal, no: int) -> RefusedChange:
    for one in await terminal.client.inbox():
        if one.no == no:
            return one
    raise Refused(f"The inbox has no entry {no}; `fitai inbox` lists what there is.", code="not_found")


def _field(text: str, refused: Mapping[str, Any]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise Usage(f"{text!r} is no field=value.")
    return name, given_value(value, refused.get(name))
