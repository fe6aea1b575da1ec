"""What a text of a request is, where no pattern can say it: for the OpenAPI page and its readers.

Owns: the names of the formats, and how a text that has a pattern is called in a refusal (wording.py). Refuses to
know: what else is checked; each area does that, and words the refusal.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from msgspec import Meta

EMAIL: Final = {"format": "email"}
PASSWORD: Final = {"format": "password"}
TIME_ZONE: Final = {"format": "time-zone"}

CALLED: Final = "called"


def called(words: str) -> dict[str, str]:
    """For `Meta(extra=…)`: what a value is, for a person whom its pattern tells nothing."""
    return {CALLED: words}


Email = Annotated[str, Meta(extra_json_schema=EMAIL)]
Password = Annotated[str, Meta(extra_json_schema=PASSWORD)]


def zone_objections(field: str, name: Any) -> list[dict[str, str]]:
    """What is wrong with the name of a time zone: nothing where this machine knows it, or where there is none."""
    if name is None:
        return []
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        message = f"{field} must be an IANA time zone that is known here, like Europe/Berlin"
        return [{"field": field, "code": "unknown_value", "message": message}]
    return []
