"""A day as people say it, for every option that takes one."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, Final

import click

from api.command_line.device import clockwork

EXAMPLES: Final = "a day like 2026-11-24, yesterday, or -1"
_BACK: Final = re.compile(r"-(\d{1,5})")
_YEAR_FIRST: Final = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})")
# With points the day goes first everywhere; with slashes nobody knows.
_DAY_FIRST: Final = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})")


def parse_day(text: str, today: date) -> date | None:
    """The day that is meant; None for what is none."""
    text = text.strip().lower()
    named = {"today": 0, "yesterday": 1}
    if (back := named.get(text)) is not None:
        return today - timedelta(days=back)
    if found := _BACK.fullmatch(text):
        return today - timedelta(days=int(found[1]))
    if found := _YEAR_FIRST.fullmatch(text) or _DAY_FIRST.fullmatch(text):
        try:
            return date(int(found["year"]), int(found["month"]), int(found["day"]))
        except ValueError:
            return None
    return None


class Day(click.ParamType[date]):
    """A day by this machine's clock."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        found = parse_day(str(value), clockwork.today(clockwork.zone_name()))
        if found is None:
            self.fail(f"{str(value)!r} is no day: say {EXAMPLES}.", param, ctx)
        return found


DAY: Final = Day()
