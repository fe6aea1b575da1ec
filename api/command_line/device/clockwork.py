"""Now, here: the machine's time and time zone, for what is logged.

Owns: the one place where the terminal reads them.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones


def zone_name() -> str:
    """The IANA name of the machine's time zone; UTC where the machine does not tell."""
    named = os.environ.get("TZ", "").lstrip(":")
    if named in available_timezones():
        return named
    try:
        _, found, name = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")
        name = name.removeprefix("posix/").removeprefix("right/")
        if found and name in available_timezones():
            return name
        name = Path("/etc/timezone").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return "UTC"
    return name if name in available_timezones() else "UTC"


def now() -> datetime:
    return datetime.now(UTC)


def today(zone: str) -> date:
    return now().astimezone(ZoneInfo(zone)).date()


def noon(day: date, zone: str) -> datetime:
    """The middle of a day, for what is logged later without a time."""
    return datetime.combine(day, time(12), ZoneInfo(zone)).astimezone(UTC)
